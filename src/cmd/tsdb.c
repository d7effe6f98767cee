/* pharos tsdb: blocks of Prometheus listed, dumped, and made from what we or others have. */
#include <stdio.h>
#include <time.h>

#include "cmd/cmd.h"
#include "metrics/blocks/blocks.h"
#include "metrics/metrics.h"
#include "metrics/promql/memsource.h"
#include "store/store.h"
#include "wire/wire.h"

enum { PAGE_BYTES_MAX = 1 << 30 };

/* ---- list ---- */

static void print_time(char out[64], i64 ms, bool human)
{
    time_t s = ms / 1000;
    struct tm t;
    if (!human) {
        snprintf(out, 64, "%lld", (long long)ms);
        return;
    }
    gmtime_r(&s, &t);
    strftime(out, 64, "%Y-%m-%d %H:%M:%S +0000 UTC", &t);
}

static u64 folder_bytes(const char *dir)
{
    Block *b;
    u64 n = 0;
    if (block_open(&b, vfs_os(), dir, NULL) == OK) {
        n = block_bytes(b);
        block_close(b);
    }
    return n;
}

/* promtool's columns, three blanks apart. */
static int list_blocks(const char *dir, bool human)
{
    BlockList list;
    Why why = {0};
    if (blocks_list(&list, vfs_os(), dir, &why) != OK)
        return complain("tsdb", &why);
    static const char *const heads[] = {"BLOCK ULID",  "MIN TIME",   "MAX TIME",   "DURATION",
                                        "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"};
    char(*cells)[8][64] = mem_zalloc((list.at.len + 1) * sizeof *cells);
    size_t width[8] = {0};
    for (u32 k = 0; k < 8; k++)
        snprintf(cells[0][k], 64, "%s", heads[k]);
    for (size_t i = 0; i < list.at.len; i++) {
        const BlockMeta *m = &list.at.at[i];
        char path[4096];
        Buf duration;
        buf_init(&duration, 64);
        print_go_duration_ns(&duration, (m->maxt - m->mint) * NS_PER_MS);
        snprintf(path, sizeof path, "%s/%s", dir, m->ulid);
        snprintf(cells[i + 1][0], 64, "%s", m->ulid);
        print_time(cells[i + 1][1], m->mint, human);
        print_time(cells[i + 1][2], m->maxt, human);
        snprintf(cells[i + 1][3], 64, "%s", buf_cstr(&duration));
        buf_done(&duration);
        const u64 counts[] = {m->samples, m->chunks, m->series, folder_bytes(list.is_single ? dir : path)};
        for (u32 k = 0; k < 4; k++)
            snprintf(cells[i + 1][4 + k], 64, "%llu", (unsigned long long)counts[k]);
    }
    for (size_t i = 0; i <= list.at.len; i++)
        for (u32 k = 0; k < 8; k++)
            width[k] = MAX(width[k], strlen(cells[i][k]));
    for (size_t i = 0; i <= list.at.len; i++)
        for (u32 k = 0; k < 8; k++)
            printf("%-*s%s", k == 7 ? 0 : (int)width[k] + 3, cells[i][k], k == 7 ? "\n" : "");
    mem_free(cells);
    blocks_list_done(&list);
    return 0;
}

/* ---- dump ---- */

static void dump_piece(const BlockPiece *p, i64 mint, i64 maxt, Buf *out)
{
    for (u32 i = 0; i < p->n; i++) {
        if (p->t[i] < mint || p->t[i] > maxt)
            continue;
        buf_clear(out);
        buf_char(out, '{');
        for (u32 k = 0; k < p->labels.len; k++) {
            buf_printf(out, "%s%.*s=", k ? ", " : "", STR_FMT(p->labels.at[k].name));
            go_quote(out, p->labels.at[k].value);
        }
        buf_c(out, "} ");
        if (p->h && p->h[i])
            histogram_print(out, p->h[i]);
        else
            print_f64(out, p->v[i]);
        printf("%.*s %lld\n", STR_FMT(buf_view(out)), (long long)p->t[i]);
    }
}

static int dump_blocks(const char *dir, i64 mint, i64 maxt)
{
    BlockList list;
    Why why = {0};
    Buf line;
    if (blocks_list(&list, vfs_os(), dir, &why) != OK)
        return complain("tsdb", &why);
    buf_init(&line, 1 << 20);
    Err e = OK;
    for (size_t i = 0; i < list.at.len && e == OK; i++) {
        char path[4096];
        Block *b;
        BlockPiece p;
        snprintf(path, sizeof path, "%s/%s", dir, list.at.at[i].ulid);
        if ((e = block_open(&b, vfs_os(), list.is_single ? dir : path, &why)) != OK)
            break;
        while ((e = block_next(b, &p, &why)) == OK)
            dump_piece(&p, mint, maxt, &line);
        e = e == E_NOT_FOUND ? OK : e;
        block_close(b);
    }
    buf_done(&line);
    blocks_list_done(&list);
    return e == OK ? 0 : complain("tsdb", &why);
}

/* ---- blocks from OpenMetrics, blocks from our data ---- */

static Err read_page(Str page, const char *name, MemSource *m, i64 *ret_mint, i64 *ret_maxt, Why *why)
{
    Arena a;
    ExpoItem item;
    arena_init(&a, NULL, 8ULL << 30);
    ExpoParser *p = expo_new(page, EXPO_OPENMETRICS, &(ExpoOptions){0}, &a);
    Err e;
    while ((e = expo_next(p, &item, why)) == OK) {
        if (item.kind != EXPO_SERIES && item.kind != EXPO_HISTOGRAM)
            continue;
        if ((e = expo_labels(p, &item, why)) != OK)
            break;
        if (item.t == INT64_MIN) {
            e = why_at(why, E_INVALID, item.line, item.col, "expected timestamp for series, got none");
            break;
        }
        e = mem_source_add(m, item.labels, item.t, item.value, item.kind == EXPO_HISTOGRAM ? item.hist : NULL,
                           0, why);
        if (e != OK)
            break;
        *ret_mint = MIN(*ret_mint, item.t);
        *ret_maxt = MAX(*ret_maxt, item.t);
    }
    arena_done(&a);
    if (e == E_NOT_FOUND)
        return OK;
    if (why)
        snprintf(why->file, sizeof why->file, "%s", name);
    return e;
}

static int from_openmetrics(const char *file, const char *out)
{
    Buf page;
    Why why = {0};
    u32 blocks = 0;
    i64 mint = INT64_MAX, maxt = INT64_MIN;
    buf_init(&page, PAGE_BYTES_MAX);
    MemSource *m = mem_source_new();
    Err e = vfs_read_file(vfs_os(), file, PAGE_BYTES_MAX, &page, &why);
    if (e == OK)
        e = read_page(buf_view(&page), file, m, &mint, &maxt, &why);
    if (e == OK)
        e = blocks_export(vfs_os(), mem_source_face(m), S(""), (Matchers){0}, mint, maxt, out, NULL, &blocks,
                          &why);
    mem_source_free(m);
    buf_done(&page);
    return e == OK ? list_blocks(out, false) : complain("tsdb", &why);
}

static int from_pharos(const char *path, const char *tenant, const char *out)
{
    DataDir *lock;
    Why why = {0};
    char inside[4096];
    u32 blocks = 0;
    if (datadir_open(&lock, vfs_os(), path, &why) != OK)
        return complain("tsdb", &why);
    snprintf(inside, sizeof inside, "%s/metrics", path);
    MetricsEngine *engine;
    MetricsConfig c = {.vfs = vfs_os(),
                       .clock = clock_real(),
                       .dir = inside,
                       .retention_ms = 1000LL * 365 * 86400 * 1000,
                       .out_of_order_ms = -1};
    Err e = metrics_open(&engine, &c, &why);
    if (e == OK) {
        MetricsStats st;
        Str whose = tenant[0] ? str_c(tenant) : S(DEFAULT_TENANT);
        metrics_stats(engine, whose, &st);
        e = blocks_export(vfs_os(), metrics_source(engine), whose, (Matchers){0}, st.mint, st.maxt, out, NULL,
                          &blocks, &why);
        Err closed = metrics_close(engine, e == OK ? &why : NULL);
        e = e == OK ? closed : e;
    }
    datadir_close(lock);
    return e == OK ? list_blocks(out, false) : complain("tsdb", &why);
}

/* ---- the command ---- */

static int run(int argc, char **argv)
{
    const char *path = "", *tenant = "", *min_text = "", *max_text = "";
    bool human = false;
    Flag flags[] = {
        {"human-readable", FLAG_BOOL, &human, "false", "list: times as dates"},
        {"min-time", FLAG_STR, &min_text, "", "dump: oldest, in milliseconds"},
        {"max-time", FLAG_STR, &max_text, "", "dump: newest, in milliseconds"},
        {"storage.path", FLAG_STR, &path, "data",
         "create-blocks-from pharos: our data directory; no server may run on it"},
        {"tenant", FLAG_STR, &tenant, "", "create-blocks-from pharos: whose samples"},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_tsdb, argc, argv, &words);
    if (stop)
        return stop - 1;
    i64 mint = INT64_MIN, maxt = INT64_MAX;
    if ((min_text[0] && parse_i64(str_c(min_text), &mint) != OK) ||
        (max_text[0] && parse_i64(str_c(max_text), &maxt) != OK)) {
        fprintf(stderr, "pharos tsdb: --min-time and --max-time are milliseconds since 1970\n");
        return 2;
    }
    const char *word = words ? argv[0] : "", *second = words > 1 ? argv[1] : "";
    if (!strcmp(word, "list") && words <= 2)
        return list_blocks(words > 1 ? second : "data", human);
    if (!strcmp(word, "dump") && words <= 2)
        return dump_blocks(words > 1 ? second : "data", mint, maxt);
    if (!strcmp(word, "create-blocks-from") && !strcmp(second, "openmetrics") && words >= 3 && words <= 4)
        return from_openmetrics(argv[2], words > 3 ? argv[3] : "data");
    if (!strcmp(word, "create-blocks-from") && !strcmp(second, "pharos") && words == 3)
        return from_pharos(path, tenant, argv[2]);
    fprintf(stderr, "pharos tsdb: want list, dump or create-blocks-from\n(pharos tsdb --help shows them)\n");
    return 2;
}

const Command cmd_tsdb = {
    .name = "tsdb",
    .summary = "list, dump and make blocks of Prometheus",
    .help =
        "pharos tsdb list [DIR]                                   the blocks of a Prometheus data directory\n"
        "pharos tsdb dump [DIR]                                   their samples, a line each\n"
        "pharos tsdb create-blocks-from openmetrics FILE [DIR]    samples with timestamps become blocks\n"
        "pharos tsdb create-blocks-from pharos DIR                our own data as blocks\n\n"
        "list and dump read a data directory, a snapshot or a single block; the write-ahead log is not "
        "looked at.\n\n"
        "  pharos tsdb list -human-readable /var/lib/prometheus\n"
        "  pharos tsdb create-blocks-from pharos --storage.path=data /tmp/blocks\n",
    .run = run,
};
