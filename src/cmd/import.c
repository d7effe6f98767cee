/* pharos import: what a Prometheus stored, into a data directory of ours or, by remote write, into a running server. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/client.h"
#include "cmd/cmd.h"
#include "metrics/blocks/blocks.h"
#include "metrics/metrics.h"
#include "store/store.h"
#include "wire/wire.h"

#define FOREVER_MS (1000LL * 365 * 86400 * 1000)
enum { BATCH_SERIES = 200, BATCH_SAMPLES = 10000, TRIES = 10 };

typedef struct Import {
    /* Where to: one of the two. */
    MetricsEngine *engine;
    CmdClient *client;
    Str url;
    Str tenant;

    Arena arena; /* of the batch being gathered */
    VEC(SeriesItem) series;
    u64 batch_samples;
    u64 samples, series_len, stored, refused;
    Why first_refusal;
    bool is_terminal;
    i64 shown_ms;
} Import;

/* ---- a batch on its way ---- */

static void note_refused(Import *x, u64 n, const Why *why)
{
    if (n && !x->refused)
        x->first_refusal = *why;
    x->refused += n;
}

static Err store_batch(Import *x, Why *why)
{
    SinkResult r;
    SampleSink *sink = metrics_sink(x->engine);
    SampleBatch b = {
        .tenant = x->tenant, .series = x->series.at, .series_len = (u32)x->series.len, .from_self = true};
    sink->write(sink, &b, NULL, &r);
    u64 stored = r.samples_ok + r.histograms_ok;
    x->stored += stored;
    note_refused(x, x->batch_samples - MIN(stored, x->batch_samples), &r.why);
    if (r.err == OK || r.err == E_CONFLICT || r.err == E_INVALID || r.err == E_TOO_OLD)
        return OK;
    if (why)
        *why = r.why;
    return r.err;
}

/* Answers that promise nothing of a second try are counted; others are waited for, a minute at most. */
static Err post(Import *x, Str body, Why *why)
{
    HttpHeader headers[] = {
        {S("Content-Encoding"), S("snappy")},
        {S("Content-Type"), S("application/x-protobuf;proto=io.prometheus.write.v2.Request")},
        {S("X-Prometheus-Remote-Write-Version"), S("2.0.0")},
        {S("X-Scope-OrgID"), x->tenant}};
    HttpCall call = {.method = S("POST"),
                     .url = x->url,
                     .headers = headers,
                     .headers_len = x->tenant.len ? 4 : 3,
                     .body = body,
                     .timeout_ms = 120000};
    for (u32 turn = 0;; turn++) {
        HttpResult r;
        u64 written[2] = {0};
        Err e = http_call(x->client->http, &call, &x->arena, &r);
        bool may_help = e != OK || r.status >= 500 || r.status == 429;
        if (!may_help) {
            parse_u64(http_result_header(&r, S("X-Prometheus-Remote-Write-Samples-Written")), &written[0]);
            parse_u64(http_result_header(&r, S("X-Prometheus-Remote-Write-Histograms-Written")), &written[1]);
            x->stored += written[0] + written[1];
            why_set(&x->first_refusal, E_INVALID, "%.*s", (int)MIN(r.body.len, (size_t)300), r.body.at);
            note_refused(x, x->batch_samples - MIN(written[0] + written[1], x->batch_samples),
                         &x->first_refusal);
            if (r.status / 100 == 2 || r.status == 400)
                return OK;
        }
        if (!may_help || turn == TRIES)
            return e != OK ? why_set(why, e, "%s", r.why.text)
                           : why_set(why, E_UNAVAILABLE, "%.*s answers %d: %.*s", STR_FMT(x->url), r.status,
                                     (int)MIN(r.body.len, (size_t)200), r.body.at);
        usleep(MIN(200000u << turn, 10000000u));
    }
}

static Err send_batch(Import *x, Why *why)
{
    Buf plain, packed;
    buf_init(&plain, 31 << 20);
    buf_init(&packed, 40 << 20);
    Err e = remote_write2_encode(x->series.at, (u32)x->series.len, NULL, NULL, &x->arena, &plain, why);
    if (e == OK) {
        snappy_encode(buf_view(&plain), &packed);
        e = post(x, buf_view(&packed), why);
    }
    buf_done(&plain);
    buf_done(&packed);
    return e;
}

static Err flush(Import *x, Why *why)
{
    Err e = !x->series.len ? OK : x->engine ? store_batch(x, why) : send_batch(x, why);
    x->series.len = 0;
    x->batch_samples = 0;
    arena_reset(&x->arena);
    return e;
}

/* ---- pieces of blocks ---- */

/* A copy in the batch's arena: the piece goes with the next. */
static Err add(Import *x, const BlockPiece *p, Why *why)
{
    SeriesItem s = {.labels = labels_dup(&x->arena, p->labels)};
    Sample *samples = arena_array(&x->arena, Sample, p->n);
    const Histogram **hists = arena_array(&x->arena, const Histogram *, p->n);
    i64 *hist_t = arena_array(&x->arena, i64, p->n);
    if (!samples || !hists || !hist_t)
        return why_set(why, E_LIMIT, "a series is too large to be read");
    for (u32 i = 0; i < p->n; i++) {
        if (p->h && p->h[i]) {
            hist_t[s.hists_len] = p->t[i];
            hists[s.hists_len++] = histogram_dup(&x->arena, p->h[i]);
        } else {
            samples[s.samples_len++] = (Sample){p->t[i], p->v[i]};
        }
    }
    if (arena_over(&x->arena))
        return why_set(why, E_LIMIT, "a series is too large to be read");
    s.samples = samples, s.hists = hists, s.hist_t = hist_t;
    vec_push(&x->series, s);
    x->batch_samples += p->n;
    x->samples += p->n;
    x->series_len += p->is_first;
    return x->series.len >= BATCH_SERIES || x->batch_samples >= BATCH_SAMPLES ? flush(x, why) : OK;
}

static void show(Import *x, const Block *b, u32 i, u32 n, bool is_last)
{
    i64 now = clock_mono_ns(clock_real()) / NS_PER_MS;
    if (!x->is_terminal || (!is_last && now - x->shown_ms < 200))
        return;
    u64 end = block_progress_end(b);
    x->shown_ms = now;
    fprintf(stderr, "\r  block %u of %u  %s  %3.0f %%  %llu samples ", i + 1, n, block_meta(b)->ulid,
            end ? 100.0 * (f64)block_progress(b) / (f64)end : 100.0, (unsigned long long)x->samples);
    if (is_last)
        fprintf(stderr, "\n");
}

static Err import_block(Import *x, const char *dir, u32 i, u32 n, Why *why)
{
    Block *b;
    BlockPiece p;
    TRY(block_open(&b, vfs_os(), dir, why));
    Err e;
    while ((e = block_next(b, &p, why)) == OK) {
        if (p.n && (e = add(x, &p, why)) != OK)
            break;
        show(x, b, i, n, false);
    }
    if (e == E_NOT_FOUND)
        e = flush(x, why);
    show(x, b, i, n, true);
    block_close(b);
    return e;
}

static Err import_all(Import *x, const char *dir, const BlockList *list, Why *why)
{
    for (u32 i = 0; i < list->at.len; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, list->at.at[i].ulid);
        TRY(import_block(x, list->is_single ? dir : path, i, (u32)list->at.len, why));
    }
    return OK;
}

static Err into_directory(Import *x, const char *path, const char *dir, const BlockList *list, Why *why)
{
    DataDir *lock;
    char inside[4096];
    TRY(datadir_open(&lock, vfs_os(), path, why));
    snprintf(inside, sizeof inside, "%s/metrics", path);
    MetricsConfig c = {.vfs = vfs_os(),
                       .clock = clock_real(),
                       .dir = inside,
                       .durability =
                           DURABLE_PROCESS,        /* closing syncs; until then the blocks are still there */
                       .retention_ms = FOREVER_MS, /* what is too old is the server's decision */
                       .out_of_order_ms = -1};
    Err e = metrics_open(&x->engine, &c, why);
    if (e == OK) {
        e = import_all(x, dir, list, why);
        Err closed = metrics_close(x->engine, e == OK ? why : NULL);
        e = e == OK ? closed : e;
    }
    datadir_close(lock);
    return e;
}

static Err into_server(Import *x, const char *dir, const BlockList *list, Why *why)
{
    CmdClient client;
    cmd_client_init(&client);
    x->client = &client;
    Err e = import_all(x, dir, list, why);
    cmd_client_done(&client);
    return e;
}

/* ---- the command ---- */

static Err find_blocks(const char *dir, bool without_wal, BlockList *ret, Why *why)
{
    TRY(blocks_list(ret, vfs_os(), dir, why));
    if (ret->has_wal && !without_wal)
        return why_set(
            why, E_UNSUPPORTED,
            "%s has a write-ahead log (wal), whose samples are in no block yet. Let that Prometheus make a "
            "snapshot (POST /api/v1/admin/tsdb/snapshot, with --web.enable-admin-api) and import "
            "%s/snapshots/<name>, or take the blocks alone with --without-wal",
            dir, dir);
    if (!ret->at.len)
        return why_set(why, E_NOT_FOUND, "%s holds no blocks of Prometheus", dir);
    return OK;
}

static int run(int argc, char **argv)
{
    const char *from = "", *path = "", *url = "", *tenant = "";
    bool without_wal = false;
    Flag flags[] = {
        {"from", FLAG_STR, &from, "", "the same as DIR"},
        {"storage.path", FLAG_STR, &path, "data", "our data directory; no server may run on it"},
        {"url", FLAG_STR, &url, "", "write to a running server instead: http://127.0.0.1:9090/api/v1/write"},
        {"tenant", FLAG_STR, &tenant, "", "whose samples they become"},
        {"without-wal", FLAG_BOOL, &without_wal, "false", "leave out what is only in the write-ahead log"},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_import, argc, argv, &words);
    if (stop)
        return stop - 1;
    const char *dir = words == 1 ? argv[0] : from;
    if (words > 1 || !dir[0]) {
        fprintf(stderr, "pharos import: want one data directory, snapshot or block of Prometheus\n");
        return 2;
    }
    Why why = {0};
    BlockList list = {0};
    Import *x = mem_new(Import);
    arena_init(&x->arena, NULL, 0);
    x->url = str_c(url);
    x->tenant = str_c(tenant);
    x->is_terminal = on_terminal(STDERR_FILENO);
    Err e = find_blocks(dir, without_wal, &list, &why);
    if (e == OK)
        e = url[0] ? into_server(x, dir, &list, &why) : into_directory(x, path, dir, &list, &why);
    if (e == OK)
        printf("%llu samples of %llu series in %zu blocks\n", (unsigned long long)x->stored,
               (unsigned long long)x->series_len, list.at.len);
    if (x->refused)
        fprintf(stderr, "%llu samples were not taken; the first: %s\n", (unsigned long long)x->refused,
                x->first_refusal.text[0] ? x->first_refusal.text : "the answer does not say");
    int rc = e != OK ? complain("import", &why) : x->refused != 0;
    blocks_list_done(&list);
    vec_done(&x->series);
    arena_done(&x->arena);
    mem_free(x);
    return rc;
}

const Command cmd_import = {
    .name = "import",
    .summary = "bring in what a Prometheus stored",
    .help = "pharos import DIR      a data directory, a snapshot or a single block of Prometheus\n\n"
            "Reads the blocks and writes their samples into a data directory of Pharos (no server may run on "
            "it), or "
            "with --url\n"
            "into a running one. The original is only read. Importing twice changes nothing.\n\n"
            "  pharos import /var/lib/prometheus/snapshots/20261128T113220Z-56ff6641ae301555\n"
            "  pharos import --storage.path=data /var/lib/prometheus --without-wal\n"
            "  pharos import --url=http://127.0.0.1:9090/api/v1/write 01M8GYTXH8DC55E0FZAARX6NJC\n",
    .run = run,
};
