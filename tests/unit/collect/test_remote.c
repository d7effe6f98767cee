/* The remote_write sender against a receiver of our own that checks what it gets, answers badly on demand and goes away. */
#include "test.h"
#include "collect/remote/remote_internal.h"
#include <sys/wait.h>
#include <unistd.h>

/* ---- the receiver ---- */

typedef struct Got {
    VEC(Sample) samples;
    u32 histograms, exemplars;
} Got;

typedef struct Receiver {
    Loop *loop;
    HttpServer *server;
    pthread_t thread;
    char address[64], url[128];
    Mutex mutex;
    StrMap series; /* printed labels -> Got * */
    _Atomic u32 metadata;
    _Atomic u64 duplicates;
    char problem[512];
    _Atomic u32 requests;
    _Atomic int bad_status; /* what to answer ... */
    _Atomic int bad_left;   /* ... so many times */
    _Atomic u32 largest;
    const char *_Atomic retry_after;
    _Atomic int knows; /* 0: 1.0 and 415 for 2.0; 1: takes all for 1.0, unlooked; 2: 2.0 and 1.0 */
    _Atomic u32 requests_v2,
        refuse_next; /* of a 2.0 request: say 400, and that all but so many were written */
    _Atomic u64 custom, started, described;
} Receiver;

static void problem(Receiver *r, const char *text, Str detail)
{
    if (!r->problem[0])
        snprintf(r->problem, sizeof r->problem, "%s: %.*s", text, (int)MIN(detail.len, (size_t)300),
                 detail.at);
}

static void receive_series(Receiver *r, const SeriesItem *s)
{
    Buf name;
    buf_init(&name, 1 << 16);
    labels_print(&name, s->labels);
    Got *g = strmap_find(&r->series, buf_view(&name));
    if (!g) {
        g = mem_new(Got);
        strmap_put(&r->series, buf_view(&name), g);
    }
    for (u32 i = 0; i < s->samples_len; i++) {
        bool twice = false;
        for (size_t k = g->samples.len; k > 0 && g->samples.at[k - 1].t >= s->samples[i].t && !twice; k--)
            twice = g->samples.at[k - 1].t == s->samples[i].t &&
                    f64_bits(g->samples.at[k - 1].v) == f64_bits(s->samples[i].v);
        if (twice)
            r->duplicates++;
        else if (g->samples.len && g->samples.at[g->samples.len - 1].t >= s->samples[i].t)
            problem(r, "out of order", buf_view(&name));
        else
            vec_push(&g->samples, s->samples[i]);
    }
    for (u32 i = 0; i < s->hists_len; i++)
        r->custom += s->hists[i]->schema == HIST_SCHEMA_CUSTOM;
    r->started += s->start_t != 0;
    g->histograms += s->hists_len;
    g->exemplars += s->exemplars_len;
    buf_done(&name);
}

static void receive(HttpReq *q, void *arg)
{
    Receiver *r = arg;
    Arena a;
    Buf pb;
    Why why = {0};
    WriteDecoded d;
    r->requests++;
    if (r->bad_left > 0) {
        r->bad_left--;
        const char *after = r->retry_after;
        if (after)
            http_add_header(q, S("Retry-After"), str_c(after));
        http_reply_text(q, r->bad_status, "no, \"thank\" you\nsecond line\n");
        return;
    }
    bool is_v2 = str_eq(http_header(q, S("Content-Type")), S(REMOTE_TYPE_V2));
    r->requests_v2 += is_v2;
    if (is_v2 && r->knows < 2) {
        http_reply_text(q, r->knows ? 204 : 415, "%s", r->knows ? "" : "what?\n");
        return;
    }
    arena_init(&a, NULL, 0);
    buf_init(&pb, 32 << 20);
    mutex_lock(&r->mutex);
    if (!str_eq(http_header(q, S("Content-Encoding")), S("snappy")))
        problem(r, "Content-Encoding", http_header(q, S("Content-Encoding")));
    if (!is_v2 && !str_eq(http_header(q, S("Content-Type")), S("application/x-protobuf")))
        problem(r, "Content-Type", http_header(q, S("Content-Type")));
    if (!str_eq(http_header(q, S("X-Prometheus-Remote-Write-Version")), is_v2 ? S("2.0.0") : S("0.1.0")))
        problem(r, "version", http_header(q, S("X-Prometheus-Remote-Write-Version")));
    if (!str_eq(http_header(q, S("User-Agent")), S("pharos/test")))
        problem(r, "User-Agent", http_header(q, S("User-Agent")));
    if (!str_eq(http_header(q, S("X-Scope-OrgID")), S("team")))
        problem(r, "X-Scope-OrgID", http_header(q, S("X-Scope-OrgID")));
    if (snappy_decode(q->body, 32 << 20, &pb, &why) != OK ||
        (is_v2 ? remote_write2_decode : remote_write_decode)(buf_view(&pb), &a, &d, &why) != OK) {
        problem(r, "body", str_c(why.text));
    } else {
        if (d.samples > r->largest)
            r->largest = (u32)d.samples;
        for (u32 i = 0; i < d.series_len; i++)
            receive_series(r, &d.series[i]);
        r->metadata += d.metadata_len;
        for (u32 i = 0; i < d.metadata_len; i++)
            r->described += str_eq(d.metadata[i].help, S("help")) && d.metadata[i].type == TYPE_GAUGE;
    }
    mutex_unlock(&r->mutex);
    u32 refused = is_v2 ? r->refuse_next : 0;
    if (is_v2) {
        http_add_header(q, S("X-Prometheus-Remote-Write-Samples-Written"),
                        arena_printf(q->arena, "%llu", (unsigned long long)(d.samples - refused)));
        http_add_header(q, S("X-Prometheus-Remote-Write-Histograms-Written"),
                        arena_printf(q->arena, "%llu", (unsigned long long)d.histograms));
    }
    arena_done(&a);
    buf_done(&pb);
    if (refused) {
        r->refuse_next = 0;
        http_reply_text(q, 400, "some were out of order\n");
        return;
    }
    http_reply(q, 204, "text/plain", S(""));
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void receiver_up(Receiver *r)
{
    Why why = {0};
    r->loop = loop_new(clock_real());
    HttpServerConfig c = {.loop = r->loop,
                          .component = "test",
                          .address = r->address[0] ? str_c(r->address) : S("127.0.0.1:0")};
    assert_ok(http_server_new(&c, &r->server, &why), &why);
    HttpRoute route = {.methods = "POST",
                       .path = "/write",
                       .handler = receive,
                       .arg = r,
                       .run = RUN_INGEST,
                       .flags = BODY_RAW,
                       .body_max = 32 << 20};
    http_server_route(r->server, &route, 1);
    snprintf(r->address, sizeof r->address, "%.*s", STR_FMT(http_server_address(r->server)));
    snprintf(r->url, sizeof r->url, "http://%s/write", r->address);
    http_server_start(r->server);
    assert_int_equal(thread_start(&r->thread, "receiver", run_loop, r->loop), OK);
}

static void receiver_down(Receiver *r)
{
    loop_stop(r->loop);
    pthread_join(r->thread, NULL);
    http_server_free(r->server);
    loop_free(r->loop);
    r->loop = NULL;
}

static Receiver *receiver_new(void)
{
    Receiver *r = mem_new(Receiver);
    mutex_init(&r->mutex, RANK_LEAF);
    receiver_up(r);
    return r;
}

static void receiver_free(Receiver *r)
{
    if (r->loop)
        receiver_down(r);
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(&r->series, &i));) {
        vec_done(&((Got *)slot->value)->samples);
        mem_free(slot->value);
    }
    strmap_done(&r->series);
    mutex_done(&r->mutex);
    mem_free(r);
}

static u64 received(Receiver *r)
{
    u64 n = 0;
    StrMapSlot *slot;
    mutex_lock(&r->mutex);
    if (r->problem[0])
        fail_msg("%s", r->problem);
    for (size_t i = 0; (slot = strmap_next(&r->series, &i));)
        n += ((Got *)slot->value)->samples.len;
    mutex_unlock(&r->mutex);
    return n;
}

static Got got(Receiver *r, const char *labels)
{
    mutex_lock(&r->mutex);
    Got *g = strmap_find(&r->series, str_c(labels)), copy = g ? *g : (Got){0};
    mutex_unlock(&r->mutex);
    return copy;
}

/* ---- the sender ---- */

typedef struct Sender {
    Loop *loop;
    pthread_t thread;
    RemoteWrite *rw;
    char dir[256];
    u64 disk_bytes_max;
    RemoteWriteConfig c;
    Labels external;
} Sender;

static const HttpHeader org = {STR_INIT("X-Scope-OrgID"), STR_INIT("team")};

static void sender_up(Sender *s)
{
    Why why = {0};
    s->loop = loop_new(clock_real());
    RemoteWriteOptions o = {.loop = s->loop,
                            .vfs = vfs_os(),
                            .dir = s->dir,
                            .disk_bytes_max = s->disk_bytes_max,
                            .user_agent = S("pharos/test"),
                            .flush_ms = 10};
    s->rw = remote_write_new(&o);
    assert_int_equal(thread_start(&s->thread, "sender", run_loop, s->loop), OK);
    assert_ok(remote_write_apply(s->rw, &s->c, s->c.url.len != 0, s->external, &why), &why);
}

static void sender_down(Sender *s)
{
    loop_stop(s->loop);
    pthread_join(s->thread, NULL);
    remote_write_free(s->rw);
    loop_free(s->loop);
}

static void sender_init(Sender *s, const Receiver *r)
{
    memset(s, 0, sizeof *s);
    test_dir(s->dir);
    remote_write_config_init(&s->c);
    s->c.url = str_c(r->url);
    s->c.name = S("cloud");
    s->c.headers = &org;
    s->c.headers_len = 1;
    s->c.batch_send_deadline_ms = 10;
    s->c.backoff_min_ms = 2;
    s->c.backoff_max_ms = 20;
    s->c.send_metadata = false;
}

static void sender_done(Sender *s)
{
    sender_down(s);
    vfs_remove_tree(vfs_os(), s->dir, NULL);
}

static void take_status(void *arg, const RemoteWriteStatus *s)
{
    RemoteWriteStatus *ret = arg;
    static char error[256];
    snprintf(error, sizeof error, "%s", s->last_error);
    *ret = *s;
    ret->last_error = error;
}

static RemoteWriteStatus status_of(Sender *s)
{
    RemoteWriteStatus st = {0};
    remote_write_status(s->rw, take_status, &st);
    return st;
}

#define eventually(cond)                                                                                     \
    do {                                                                                                     \
        int left_ = 3000;                                                                                    \
        while (!(cond) && --left_)                                                                           \
            usleep(10000);                                                                                   \
        if (!left_)                                                                                          \
            fail_msg("never: %s", #cond);                                                                    \
    } while (0)

static void drained(Sender *s)
{
    assert_true(remote_write_drain(s->rw, 30000));
}

/* One batch: `series` series m{i="0"} ..., a sample each at t. */
static SinkResult write_batch(Sender *s, u32 series, i64 t, f64 v, bool from_self)
{
    Arena a;
    SinkResult ret;
    arena_init(&a, NULL, 0);
    SeriesItem *items = arena_array(&a, SeriesItem, series);
    memset(items, 0, series * sizeof *items);
    for (u32 i = 0; i < series; i++) {
        Label *l = arena_alloc(&a, 2 * sizeof *l);
        Sample *p = arena_alloc(&a, sizeof *p);
        l[0] = (Label){LABEL_NAME, S("m")};
        l[1] = (Label){S("i"), arena_printf(&a, "%u", i)};
        *p = (Sample){t, v + i};
        items[i].labels = (Labels){l, 2};
        items[i].samples = p;
        items[i].samples_len = 1;
    }
    SampleBatch b = {.series = items, .series_len = series, .from_self = from_self};
    remote_write_sink(s->rw)->write(remote_write_sink(s->rw), &b, NULL, &ret);
    arena_done(&a);
    return ret;
}

/* ---- tests ---- */

static void everything_arrives_in_order(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    sender_up(&s);
    for (int t = 1; t <= 50; t++) {
        SinkResult res = write_batch(&s, 500, t * 1000, t, t % 2);
        assert_int_equal(res.err, OK);
        assert_int_equal(res.samples_ok, 500);
    }
    drained(&s);
    assert_int_equal(received(r), 25000);
    assert_int_equal(r->duplicates, 0);
    Got g = got(r, "m{i=\"7\"}");
    assert_int_equal(g.samples.len, 50);
    assert_true(g.samples.at[49].t == 50000 && g.samples.at[49].v == 57);
    RemoteWriteStatus st = status_of(&s);
    assert_int_equal(st.samples_sent, 25000);
    assert_int_equal(st.samples_pending, 0);
    assert_true(r->largest <= 2000);
    assert_true(
        metric_value(metric_gauge("prometheus_remote_storage_highest_timestamp_in_seconds", "", "")) >= 50);
    sender_done(&s);
    receiver_free(r);
}

static void scrapes_wait_for_company(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    s.c.batch_send_deadline_ms = 300000; /* never in this test: only full requests go */
    s.c.samples_per_send_max = 1000;
    sender_up(&s);
    for (int t = 1; t <= 10; t++)
        write_batch(&s, 390, t * 1000, t, true);
    eventually(received(r) >= 2800);
    assert_true(r->requests <= 6);
    assert_true(received(r) <= 3900);
    drained(&s);
    assert_int_equal(received(r), 3900);
    sender_done(&s);
    receiver_free(r);
}

static void labels_and_kinds(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    Label ext[] = {{S("cluster"), S("eu")}, {S("env"), S("prod")}};
    s.external = (Labels){ext, 2};
    Regex *drop, *any;
    Why why;
    assert_ok(regex_new(S("secret.*"), REGEX_ANCHORED, &drop, &why), &why);
    assert_ok(regex_new(S("(.*)"), REGEX_ANCHORED, &any, &why), &why);
    Str name = LABEL_NAME, env = S("env");
    RelabelRule rules[] = {
        {.source_labels = &name,
         .source_labels_len = 1,
         .separator = S(";"),
         .regex = drop,
         .regex_text = S("secret.*"),
         .action = RELABEL_DROP,
         .target_label = S(""),
         .replacement = S("$1")},
        {.source_labels = &env,
         .source_labels_len = 1,
         .separator = S(";"),
         .regex = any,
         .regex_text = S("(.*)"),
         .action = RELABEL_REPLACE,
         .target_label = S("stage"),
         .replacement = S("$1")},
    };
    s.c.relabel = (RelabelRules){rules, 2};
    s.c.send_exemplars = true;
    s.c.send_native_histograms = true;
    s.c.send_metadata = true;
    s.c.metadata_interval_ms = 20;
    s.c.metadata_per_send_max = 2;
    sender_up(&s);
    regex_free(drop); /* the sender has its own */
    regex_free(any);

    Label l1[] = {{LABEL_NAME, S("a")}, {S("env"), S("dev")}}, l2[] = {{LABEL_NAME, S("secret_x")}},
          l3[] = {{LABEL_NAME, S("h")}};
    Sample p[] = {{1000, 1}, {2000, stale_nan()}};
    Label tl = {S("trace"), S("t")};
    Exemplar ex = {{&tl, 1}, 5, 900};
    HistSpan span = {0, 1};
    f64 three = 3, bound = 1;
    Histogram h = {.schema = 1,
                   .is_int = true,
                   .count = 3,
                   .sum = 4,
                   .pos_spans = &span,
                   .pos_spans_len = 1,
                   .pos = &three,
                   .pos_len = 1};
    Histogram nhcb = h;
    nhcb.schema = HIST_SCHEMA_CUSTOM, nhcb.custom = &bound, nhcb.custom_len = 1;
    const Histogram *hists[] = {&h, &nhcb};
    i64 ht[] = {1000, 2000};
    SeriesItem items[] = {
        {.labels = {l1, 2}, .samples = p, .samples_len = 2, .exemplars = &ex, .exemplars_len = 1},
        {.labels = {l2, 1}, .samples = p, .samples_len = 2},
        {.labels = {l3, 1}, .hists = hists, .hist_t = ht, .hists_len = 2},
    };
    MetadataItem md[] = {{S("a"), S("help"), S(""), TYPE_GAUGE},
                         {S("b"), S(""), S(""), TYPE_COUNTER},
                         {S("c"), S(""), S(""), TYPE_COUNTER}};
    SampleBatch b = {.series = items, .series_len = 3, .metadata = md, .metadata_len = 3};
    SinkResult res;
    remote_write_sink(s.rw)->write(remote_write_sink(s.rw), &b, NULL, &res);
    assert_int_equal(res.err, OK);
    drained(&s);
    Got g = got(r, "a{cluster=\"eu\", env=\"dev\", stage=\"dev\"}");
    assert_int_equal(g.samples.len, 2);
    assert_true(is_stale(g.samples.at[1].v));
    assert_int_equal(g.exemplars, 1);
    g = got(r, "h{cluster=\"eu\", env=\"prod\", stage=\"prod\"}");
    assert_int_equal(g.histograms, 1); /* 1.0 does not know custom buckets */
    assert_int_equal(received(r), 2);
    assert_int_equal(status_of(&s).samples_dropped, 3);
    eventually(r->metadata >= 6); /* two rounds of three, at most two a request */

    /* Both are off unless asked for. */
    RemoteWriteConfig off = s.c;
    off.send_exemplars = off.send_native_histograms = false;
    off.relabel.len = 0;
    assert_ok(remote_write_apply(s.rw, &off, 1, (Labels){0}, &why), &why);
    p[0].t = 3000, p[1].t = 4000;
    remote_write_sink(s.rw)->write(remote_write_sink(s.rw), &b, NULL, &res);
    drained(&s);
    g = got(r, "a{env=\"dev\"}");
    assert_int_equal(g.samples.len, 2);
    assert_int_equal(g.exemplars, 0);
    assert_int_equal(got(r, "h").histograms, 0);
    assert_int_equal(got(r, "secret_x").samples.len, 2);
    sender_done(&s);
    receiver_free(r);
}

/* Two samples of "a" with a start time and metadata, an exponential histogram and one with custom buckets. */
static void write_kinds(Sender *s, i64 t)
{
    Label l1[] = {{LABEL_NAME, S("a")}}, l2[] = {{LABEL_NAME, S("h")}};
    Sample p[] = {{t, 1}, {t + 1, 2}};
    HistSpan span = {0, 1};
    f64 three = 3, bound = 1;
    Histogram h = {.is_int = true,
                   .count = 3,
                   .sum = 4,
                   .pos_spans = &span,
                   .pos_spans_len = 1,
                   .pos = &three,
                   .pos_len = 1},
              custom = h;
    custom.schema = HIST_SCHEMA_CUSTOM, custom.custom = &bound, custom.custom_len = 1;
    const Histogram *hists[] = {&h, &custom};
    i64 ht[] = {t, t + 1};
    SeriesItem items[] = {{.labels = {l1, 1}, .samples = p, .samples_len = 2, .start_t = 500},
                          {.labels = {l2, 1}, .hists = hists, .hist_t = ht, .hists_len = 2}};
    MetadataItem md = {S("a"), S("help"), S(""), TYPE_GAUGE};
    SinkResult res;
    remote_write_sink(s->rw)->write(
        remote_write_sink(s->rw),
        &(SampleBatch){.series = items, .series_len = 2, .metadata = &md, .metadata_len = 1}, NULL, &res);
    assert_int_equal(res.err, OK);
    assert_int_equal(res.histograms_ok, 2);
}

static void version_2_and_the_way_back(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    Why why = {0};
    sender_init(&s, r);
    s.c.is_v2 = s.c.send_native_histograms = true;
    r->knows = 2;
    sender_up(&s);
    write_kinds(&s, 1000);
    drained(&s);
    assert_true(r->requests_v2 == r->requests && r->requests_v2);
    assert_int_equal(got(r, "a").samples.len, 2);
    assert_int_equal(got(r, "h").histograms, 2);
    assert_true(r->custom == 1 && r->started == 1 && r->described);
    assert_int_equal(status_of(&s).samples_sent, 4);

    /* A part refused: what was written counts as sent. Nothing is sent again. */
    u32 before = r->requests;
    r->refuse_next = 1;
    write_batch(&s, 10, 2000, 1, false);
    drained(&s);
    eventually(status_of(&s).samples_sent + status_of(&s).samples_failed == 14);
    assert_int_equal(status_of(&s).samples_failed, 1);
    assert_true(r->requests - before <= 4);

    /* Two kinds of receivers that know 1.0 only; each is asked once. Custom buckets are left out then. */
    for (int knows = 0; knows < 2; knows++) {
        r->knows = knows;
        assert_ok(remote_write_apply(s.rw, &s.c, 1, (Labels){0}, &why), &why);
        before = r->requests_v2;
        u64 custom = r->custom, dropped = status_of(&s).samples_dropped;
        for (int i = 0; i < 3; i++) {
            write_kinds(&s, 10000 * (knows + 1) + i * 100);
            drained(&s);
        }
        assert_true(r->requests_v2 - before <= REMOTE_LANES);
        assert_int_equal(got(r, "a").samples.len, 2 + 6 * (knows + 1));
        assert_int_equal(got(r, "h").histograms, 2 + 3 * (knows + 1));
        assert_int_equal(r->custom, custom);
        assert_int_equal(status_of(&s).samples_dropped - dropped, 3);
    }
    assert_int_equal(r->duplicates, 0);
    assert_int_equal(status_of(&s).samples_pending, 0);
    sender_done(&s);
    receiver_free(r);
}

/* More lanes, fewer lanes, one: with requests that fail in between nothing is lost and no series is out of order. */
static void lanes_follow_the_shards(void **state)
{
    static const u32 shards[][2] = {{1, 50}, {9, 50}, {1, 1}, {64, 200}, {2, 3}};
    Receiver *r = receiver_new();
    Sender s;
    Why why = {0};
    sender_init(&s, r);
    s.c.samples_per_send_max = 50;
    s.c.capacity = 60;
    sender_up(&s);
    i64 t = 0;
    for (size_t i = 0; i < 2 * COUNT_OF(shards); i++) {
        s.c.shards_min = shards[i % COUNT_OF(shards)][0];
        s.c.shards_max = shards[i % COUNT_OF(shards)][1];
        r->bad_status = 503;
        r->bad_left = 6;
        assert_ok(remote_write_apply(s.rw, &s.c, 1, (Labels){0}, &why), &why);
        for (int k = 0; k < 4; k++, t++)
            write_batch(&s, 200, (t + 1) * 1000, (f64)t, k % 2);
    }
    drained(&s);
    assert_int_equal(received(r), 200 * t);
    assert_int_equal(r->duplicates, 0);
    sender_down(&s);
    sender_up(&s); /* a restart finds records of several kinds */
    write_batch(&s, 200, (t + 1) * 1000, (f64)t, false);
    drained(&s);
    assert_int_equal(received(r), 200 * (t + 1));
    sender_done(&s);
    receiver_free(r);
}

static void failures_are_retried(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    sender_up(&s);
    static const int statuses[] = {500, 503, 502};
    for (int i = 0; i < 3; i++) {
        r->bad_status = statuses[i];
        r->retry_after = i == 1 ? "0" : NULL;
        r->bad_left = 5;
        write_batch(&s, 100, 1000 * (i + 1), i, false);
        drained(&s);
        assert_int_equal(r->bad_left, 0);
        assert_int_equal(received(r), 100 * (i + 1));
    }
    RemoteWriteStatus st = status_of(&s);
    assert_true(st.samples_retried >= 500);
    assert_int_equal(st.samples_failed, 0);
    assert_string_equal(st.last_error, "");
    /* Retry-After of a second is kept. */
    r->bad_status = 503, r->retry_after = "1", r->bad_left = 1;
    i64 before = clock_mono_ms(clock_real());
    write_batch(&s, 1, 9000, 0, false);
    drained(&s);
    assert_true(clock_mono_ms(clock_real()) - before >= 900);
    sender_done(&s);
    receiver_free(r);
}

static void refusals_are_dropped(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    sender_up(&s);
    r->bad_status = 400, r->bad_left = 1000000;
    write_batch(&s, 100, 1000, 0, false);
    drained(&s);
    RemoteWriteStatus st = status_of(&s);
    assert_int_equal(st.samples_failed, 100);
    assert_int_equal(st.samples_retried, 0);
    assert_string_equal(st.last_error, "the server answers 400: no, \"thank\" you");
    r->bad_status = 429;
    write_batch(&s, 100, 2000, 0, false);
    drained(&s);
    assert_int_equal(status_of(&s).samples_failed, 200);
    r->bad_left = 0;
    write_batch(&s, 100, 3000, 0, false);
    drained(&s);
    assert_int_equal(received(r), 100);
    /* ... unless 429 may be retried */
    Why why;
    s.c.retry_on_http_429 = true;
    assert_ok(remote_write_apply(s.rw, &s.c, 1, s.external, &why), &why);
    r->bad_left = 10;
    write_batch(&s, 100, 4000, 0, false);
    drained(&s);
    assert_int_equal(received(r), 200);
    assert_int_equal(status_of(&s).samples_failed, 200);
    sender_done(&s);
    receiver_free(r);
}

static void an_outage_loses_nothing(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    sender_up(&s);
    write_batch(&s, 300, 1000, 0, true);
    drained(&s);
    receiver_down(r);
    for (int t = 2; t <= 40; t++)
        assert_int_equal(write_batch(&s, 300, 1000 * t, t, t % 3 == 0).err, OK);
    eventually(status_of(&s).last_error[0]);
    assert_true(status_of(&s).samples_pending > 0);
    receiver_up(r);
    drained(&s);
    assert_int_equal(received(r), 300 * 40);
    sender_done(&s);
    receiver_free(r);
}

static void a_restart_goes_on(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    sender_up(&s);
    for (int t = 1; t <= 20; t++)
        write_batch(&s, 300, 1000 * t, t, true);
    drained(&s);
    receiver_down(r);
    for (int t = 21; t <= 40; t++)
        write_batch(&s, 300, 1000 * t, t, true);
    sender_down(&s); /* right away: what waits for company must not be lost */
    receiver_up(r);
    sender_up(&s);
    assert_true(status_of(&s).samples_pending > 0);
    drained(&s);
    assert_int_equal(received(r), 300 * 40);
    assert_true(r->duplicates <= 300 * 20);
    u64 before = r->duplicates;
    sender_down(&s);
    sender_up(&s);
    write_batch(&s, 300, 1000 * 41, 0, true);
    drained(&s);
    assert_int_equal(received(r), 300 * 41);
    assert_int_equal(r->duplicates, before); /* after an orderly end nothing is sent twice */
    sender_done(&s);
    receiver_free(r);
}

/* A process that dies right after its push was acknowledged: the next one sends it. */
static void a_crash_between_append_and_send(void **state)
{
    Sender s = {0};
    test_dir(s.dir);
    remote_write_config_init(&s.c);
    s.c.url = S("http://127.0.0.1:1/write"); /* nobody there */
    s.c.name = S("cloud");
    s.c.headers = &org, s.c.headers_len = 1;
    pid_t pid = fork(); /* before there is any thread */
    if (pid == 0) {
        sender_up(&s);
        for (int t = 1; t <= 10; t++)
            if (write_batch(&s, 777, t * 1000, t, false).err != OK)
                _exit(2);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    Receiver *r = receiver_new();
    s.c.url = str_c(r->url);
    s.c.batch_send_deadline_ms = 10;
    sender_up(&s);
    drained(&s);
    assert_int_equal(received(r), 7770);
    sender_done(&s);
    receiver_free(r);
}

static void the_disk_limit_drops_the_oldest(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    s.disk_bytes_max = 256 << 10;
    sender_up(&s);
    receiver_down(r);
    for (int t = 1; t <= 200; t++) /* more than is read ahead */
        assert_int_equal(write_batch(&s, 3000, 1000 * t, (f64)(random_u64() >> 11), false).err, OK);
    assert_true(status_of(&s).spool_bytes <= (256 << 10) + (64 << 10));
    receiver_up(r);
    drained(&s);
    RemoteWriteStatus st = status_of(&s);
    assert_true(st.samples_dropped > 0);
    assert_int_equal(received(r) + st.samples_dropped, 200 * 3000);
    assert_int_equal(got(r, "m{i=\"3\"}").samples.at[got(r, "m{i=\"3\"}").samples.len - 1].t, 200000);
    sender_done(&s);
    receiver_free(r);
}

static void old_samples_are_left_out(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    s.c.sample_age_limit_ms = 3600000;
    sender_up(&s);
    i64 now = clock_wall_ms(clock_real());
    Label l[] = {{LABEL_NAME, S("m")}};
    Sample p[] = {{now - 7200000, 1}, {now - 1000, 2}};
    SeriesItem item = {.labels = {l, 1}, .samples = p, .samples_len = 2};
    SampleBatch b = {.series = &item, .series_len = 1};
    SinkResult res;
    remote_write_sink(s.rw)->write(remote_write_sink(s.rw), &b, NULL, &res);
    write_batch(&s, 100, 1000, 0, false); /* all of 1970 */
    drained(&s);
    assert_int_equal(received(r), 1);
    assert_int_equal(status_of(&s).samples_dropped, 101);
    assert_int_equal(status_of(&s).samples_sent, 1);
    sender_done(&s);
    receiver_free(r);
}

static void reloads(void **state)
{
    Receiver *a = receiver_new(), *b = receiver_new();
    Sender s;
    Why why = {0};
    sender_init(&s, a);
    sender_up(&s);
    RemoteWriteConfig two[2] = {s.c, s.c};
    two[1].name = S("other place");
    two[1].url = str_c(b->url);
    assert_ok(remote_write_apply(s.rw, two, 2, s.external, &why), &why);
    write_batch(&s, 100, 1000, 0, false);
    drained(&s);
    assert_int_equal(received(a), 100);
    assert_int_equal(received(b), 100);
    /* b is away, then not configured any more; what it did not get waits on disk until it comes back. */
    receiver_down(b);
    write_batch(&s, 100, 2000, 0, false);
    assert_ok(remote_write_apply(s.rw, two, 1, s.external, &why), &why);
    write_batch(&s, 100, 3000, 0, false);
    drained(&s);
    assert_int_equal(received(a), 300);
    receiver_up(b);
    assert_ok(remote_write_apply(s.rw, two, 2, s.external, &why), &why);
    write_batch(&s, 100, 4000, 0, false);
    drained(&s);
    assert_int_equal(received(b), 300);
    assert_int_equal(received(a), 400);
    /* None at all. */
    assert_ok(remote_write_apply(s.rw, NULL, 0, s.external, &why), &why);
    eventually(!remote_write_is_active(s.rw));
    assert_int_equal(write_batch(&s, 100, 5000, 0, false).err, OK);
    two[1].name = two[0].name;
    assert_int_equal(remote_write_apply(s.rw, two, 2, s.external, &why), E_INVALID);
    sender_done(&s);
    receiver_free(a);
    receiver_free(b);
}

typedef struct Producer {
    Sender *s;
    u32 n;
} Producer;

static void *produce(void *arg)
{
    Producer *p = arg;
    for (int t = 1; t <= 60; t++) {
        Label l[] = {{LABEL_NAME, S("p")}, {S("n"), str_c((const char *[]){"0", "1", "2", "3"}[p->n])}};
        Sample v = {t * 1000, t};
        SeriesItem item = {.labels = {l, 2}, .samples = &v, .samples_len = 1};
        SampleBatch b = {.series = &item, .series_len = 1, .from_self = t % 2};
        SinkResult res;
        remote_write_sink(p->s->rw)->write(remote_write_sink(p->s->rw), &b, NULL, &res);
        write_batch(p->s, 1, 0, 0, true); /* contended and all the same: duplicates */
    }
    return NULL;
}

static void many_producers(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    sender_init(&s, r);
    s.c.samples_per_send_max = 7;
    sender_up(&s);
    pthread_t t[4];
    Producer p[4];
    r->bad_status = 500, r->bad_left = 20;
    for (u32 i = 0; i < 4; i++) {
        p[i] = (Producer){&s, i};
        assert_int_equal(thread_start(&t[i], "producer", produce, &p[i]), OK);
    }
    Why why;
    for (int i = 0; i < 20; i++) {
        s.c.samples_per_send_max = 5 + (u32)i;
        assert_ok(remote_write_apply(s.rw, &s.c, 1, s.external, &why), &why);
        usleep(2000);
    }
    for (u32 i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    drained(&s);
    assert_int_equal(received(r), 4 * 60 + 1);
    assert_int_equal(r->duplicates, 4 * 60 - 1);
    sender_done(&s);
    receiver_free(r);
}

/* A disk that refuses writes while `full`. */
static _Atomic bool disk_is_full;
static Err full_pwrite(File *f, u64 off, const void *at, size_t n, Why *why)
{
    return disk_is_full ? why_set(why, E_NOSPACE, "the disk is full") : vfs_os()->pwrite(f, off, at, n, why);
}

static void a_full_disk_is_said_and_survived(void **state)
{
    Receiver *r = receiver_new();
    Sender s;
    Why why = {0};
    sender_init(&s, r);
    sender_up(&s);
    sender_down(&s);
    /* The file object carries the real Vfs: calls through ours reach the real file. */
    Vfs v = *vfs_os();
    v.pwrite = full_pwrite;
    s.loop = loop_new(clock_real());
    RemoteWriteOptions o = {
        .loop = s.loop, .vfs = &v, .dir = s.dir, .user_agent = S("pharos/test"), .flush_ms = 10};
    s.rw = remote_write_new(&o);
    assert_int_equal(thread_start(&s.thread, "sender", run_loop, s.loop), OK);
    assert_ok(remote_write_apply(s.rw, &s.c, 1, s.external, &why), &why);
    assert_int_equal(write_batch(&s, 100, 1000, 0, false).err, OK);
    disk_is_full = true;
    SinkResult res = write_batch(&s, 100, 2000, 0, false);
    assert_int_equal(res.err, E_NOSPACE);
    assert_true(res.why.text[0]);
    assert_int_equal(write_batch(&s, 100, 3000, 0, true).err, OK); /* waits in memory */
    disk_is_full = false;
    assert_int_equal(write_batch(&s, 100, 4000, 0, false).err, OK);
    drained(&s);
    assert_int_equal(received(r), 400);
    sender_done(&s);
    receiver_free(r);
}

/* ---- small parts ---- */

static void retry_after_forms(void **state)
{
    i64 now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
    assert_int_equal(retry_after_ms(S(""), now), 0);
    assert_int_equal(retry_after_ms(S("0"), now), 0);
    assert_int_equal(retry_after_ms(S(" 7 "), now), 7000);
    assert_int_equal(retry_after_ms(S("99999999999"), now), 600000);
    assert_int_equal(retry_after_ms(S("Sun, 06 Nov 1994 08:49:47 GMT"), now), 10000);
    assert_int_equal(retry_after_ms(S("Sun, 06 Nov 1994 08:49:27 GMT"), now), 0);
    assert_int_equal(retry_after_ms(S("Sun, 06 Xxx 1994 08:49:47 GMT"), now), 0);
    assert_int_equal(retry_after_ms(S("soon"), now), 0);
    assert_int_equal(retry_after_ms(S("-5"), now), 0);
}

static void record_heads(void **state)
{
    u8 at[RECORD_HEAD_BYTES + 3] = {0};
    RecordHead h = {3, 7, 1, 2, 3, -4, 5, 6}, back;
    Str block;
    Why why;
    record_head_encode(&h, at);
    memcpy(at + RECORD_HEAD_BYTES, "abc", 3);
    for (size_t n = 0; n < RECORD_HEAD_BYTES; n++)
        assert_int_equal(record_head_decode(str_of((char *)at, n), &back, &block, &why), E_CORRUPT);
    assert_ok(record_head_decode(str_of((char *)at, sizeof at), &back, &block, &why), &why);
    assert_memory_equal(&back, &h, sizeof h);
    assert_str(block, "abc");
    at[1] = 7;
    assert_int_equal(record_head_decode(str_of((char *)at, sizeof at), &back, &block, &why), E_CORRUPT);
    at[1] = 0, at[2] = REMOTE_LANES_MAX + 1;
    assert_int_equal(record_head_decode(str_of((char *)at, sizeof at), &back, &block, &why), E_CORRUPT);
    at[2] = 0; /* written before the number of lanes could be chosen */
    assert_ok(record_head_decode(str_of((char *)at, sizeof at), &back, &block, &why), &why);
    assert_int_equal(back.lanes, 4);
    at[1] = 0, at[0] = 2;
    assert_int_equal(record_head_decode(str_of((char *)at, sizeof at), &back, &block, &why), E_CORRUPT);
}

static u32 read_config(const char *yaml, RemoteWriteConfig **ret, Conf **ret_conf, Buf *issues)
{
    Conf *c = conf_new("prometheus.yml");
    *ret_conf = c;
    conf_parse(c, str_c(yaml));
    ConfMap m;
    const ConfNode *items;
    assert_true(conf_map_begin(c, conf_root(c), &m));
    m.expand = true;
    u32 n = conf_list(&m, "remote_write", &items);
    n = remote_write_read(c, items, n, ret);
    conf_map_end(&m);
    buf_clear(issues);
    conf_print_issues(c, issues);
    return n;
}

static void configuration(void **state)
{
    RemoteWriteConfig *r;
    Conf *c;
    Buf issues;
    buf_init(&issues, 1 << 16);
    u32 n = read_config(
        "remote_write:\n"
        "- url: https://user@example.org/api/v1/push\n"
        "  name: cloud\n"
        "  remote_timeout: 7s\n"
        "  headers: {X-Scope-OrgID: team, X-Two: '2'}\n"
        "  basic_auth: {username: u, password: p}\n"
        "  write_relabel_configs:\n"
        "  - {source_labels: [__name__], regex: 'go_.*', action: drop}\n"
        "  send_exemplars: true\n"
        "  queue_config: {max_samples_per_send: 500, batch_send_deadline: 1s, min_backoff: 1s, max_backoff: "
        "1m, retry_on_http_429: true, sample_age_limit: 1h, capacity: 5, max_shards: 3, min_shards: 2}\n"
        "  metadata_config: {send: false, send_interval: 2m, max_samples_per_send: 9}\n"
        "  protobuf_message: io.prometheus.write.v2.Request\n"
        "- url: http://localhost:9009/api/v1/push\n",
        &r, &c, &issues);
    assert_int_equal(n, 2);
    assert_true(r[0].is_v2 && !r[1].is_v2 && !issues.len);
    assert_int_equal(dest_lanes(&r[0]), 3);
    assert_int_equal(dest_lanes(&r[1]), REMOTE_LANES);
    assert_str(r[0].name, "cloud");
    assert_int_equal(r[0].timeout_ms, 7000);
    assert_int_equal(r[0].headers_len, 2);
    assert_str(r[0].http.basic_username, "u");
    assert_int_equal(r[0].relabel.len, 1);
    assert_true(r[0].send_exemplars && !r[0].send_native_histograms && r[0].retry_on_http_429 &&
                !r[0].send_metadata);
    assert_int_equal(r[0].samples_per_send_max, 500);
    assert_int_equal(r[0].sample_age_limit_ms, 3600000);
    assert_int_equal(r[0].backoff_max_ms, 60000);
    assert_int_equal(r[0].metadata_per_send_max, 9);
    assert_int_equal(r[1].timeout_ms, 30000);
    assert_int_equal(r[1].samples_per_send_max, 2000);
    assert_true(r[1].send_metadata);
    conf_free(c);

    static const struct {
        const char *yaml, *want;
        u32 n;
    } cases[] = {
        {"remote_write:\n- url: ${PHAROS_TEST_NOT_SET}\n- url: http://a/\n", "this remote_write is skipped",
         1},
        {"remote_write:\n- name: x\n", "url is missing", 0},
        {"remote_write:\n- url: ftp://a/\n", "must be an http", 0},
        {"remote_write:\n- url: http://a/\n- url: http://a/\n", "there already", 1},
        {"remote_write:\n- {url: http://a/, name: x}\n- {url: http://b/, name: x}\n", "there already", 1},
        {"remote_write:\n- {url: http://a/, sigv4: {region: x}}\n", "sigv4 is not supported yet", 0},
        {"remote_write:\n- {url: http://a/, headers: {Authorization: x}}\n", "sets itself", 1},
        {"remote_write:\n- {url: http://a/, headers: {\"X-A\": \"a\\nb\"}}\n", "single-line", 1},
        {"remote_write:\n- {url: http://a/, protobuf_message: x}\n", "must be prometheus.WriteRequest", 1},
        {"remote_write:\n- {url: http://a/, queue_config: {min_backoff: 9s}}\n",
         "max_backoff must not be below", 1},
        {"remote_write:\n- {url: http://a/, queue_config: {max_shard: 9}}\n", "max_shards", 1},
        {"remote_write:\n- {url: http://a/, queue_config: {capacity: 0}}\n", "capacity", 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        n = read_config(cases[i].yaml, &r, &c, &issues);
        if (n != cases[i].n || !strstr(buf_cstr(&issues), cases[i].want))
            fail_msg("case %zu: %u, «%s»", i, n, buf_cstr(&issues));
        conf_free(c);
    }
    buf_done(&issues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_between_append_and_send), /* first: it forks */
        cmocka_unit_test(everything_arrives_in_order),
        cmocka_unit_test(scrapes_wait_for_company),
        cmocka_unit_test(labels_and_kinds),
        cmocka_unit_test(version_2_and_the_way_back),
        cmocka_unit_test(lanes_follow_the_shards),
        cmocka_unit_test(failures_are_retried),
        cmocka_unit_test(refusals_are_dropped),
        cmocka_unit_test(an_outage_loses_nothing),
        cmocka_unit_test(a_restart_goes_on),
        cmocka_unit_test(the_disk_limit_drops_the_oldest),
        cmocka_unit_test(old_samples_are_left_out),
        cmocka_unit_test(reloads),
        cmocka_unit_test(many_producers),
        cmocka_unit_test(a_full_disk_is_said_and_survived),
        cmocka_unit_test(retry_after_forms),
        cmocka_unit_test(record_heads),
        cmocka_unit_test(configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
