#include "engine_help.h"
#include "metrics/memo.h"

static void put_ok(Bench *b, const char *series, i64 t, f64 v)
{
    SinkResult r = bench_put(b, series, t, v);
    if (r.err != OK)
        fail_msg("%s: %s", err_name(r.err), r.why.text);
    assert_int_equal(r.samples_ok, 1);
}

static void same_two(Bench *b)
{
    const char *got = GET_ALL(b);
    assert_non_null(strstr(got, "1000:1 2000:0\n"));
    assert_non_null(strstr(got, "1000:1\n"));
}

/* The road: write, query, restart from the log, flush, restart from parts, merge. */
static void test_road(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    Why why = {0};
    put_ok(&b, "up{instance=a,job=n}", 1000, 1);
    put_ok(&b, "up{instance=b,job=n}", 1000, 1);
    put_ok(&b, "up{instance=a,job=n}", 2000, 0);
    same_two(&b);
    bench_reopen(&b);
    same_two(&b);
    assert_ok(metrics_flush(b.e, &why), &why);
    same_two(&b);
    MetricsStats s;
    metrics_stats(b.e, S("x"), &s);
    assert_int_equal(s.parts, 1);
    assert_int_equal(s.samples_memtable, 0);
    assert_int_equal(s.series_total, 2);
    assert_int_equal(s.mint, 1000);
    assert_int_equal(s.maxt, 2000);
    bench_reopen(&b);
    same_two(&b);
    put_ok(&b, "up{instance=a,job=n}", 3000, 5);
    assert_ok(metrics_flush(b.e, &why), &why);
    put_ok(&b, "up{instance=a,job=n}", 4000, 6);
    assert_non_null(strstr(GET_ALL(&b, "instance", "=", "a"), "1000:1 2000:0 3000:5 4000:6\n"));
    assert_non_null(strstr(GET(&b, 2000, 3000, "instance", "=", "a"), "\"n\"} 2000:0 3000:5\n"));
    assert_ok(metrics_merge_all(b.e, &why), &why);
    metrics_stats(b.e, S("x"), &s);
    assert_int_equal(s.parts, 1);
    assert_non_null(strstr(GET_ALL(&b, "instance", "=", "a"), "1000:1 2000:0 3000:5 4000:6\n"));
    assert_ok(metrics_close(b.e, &why), &why);
    bench_open(&b);
    assert_non_null(strstr(GET_ALL(&b, "instance", "=", "a"), "1000:1 2000:0 3000:5 4000:6\n"));
    assert_string_equal(bench_get_as(&b, S("other"), INT64_MIN, INT64_MAX, NULL), "");
    bench_done(&b);
}

/* ---- refusals ---- */

static void test_conflicts_and_order(void **state)
{
    Bench b;
    bench_init(&b);
    b.c.out_of_order_ms = 60000;
    bench_open(&b);
    put_ok(&b, "m{a=1}", BENCH_NOW_MS, 1);
    put_ok(&b, "m{a=1}", BENCH_NOW_MS, 1); /* the same again: silently fine */
    SinkResult r = bench_put(&b, "m{a=1}", BENCH_NOW_MS, 2);
    assert_int_equal(r.err, E_CONFLICT);
    assert_int_equal(r.rejected_conflict, 1);
    assert_non_null(strstr(r.why.text, "a=\"1\""));
    r = bench_put(&b, "m{a=1}", BENCH_NOW_MS - 30000, 7);
    assert_int_equal(r.err, OK);
    assert_int_equal(r.out_of_order, 1);
    r = bench_put(&b, "m{a=1}", BENCH_NOW_MS - 60001, 7);
    assert_int_equal(r.err, E_TOO_OLD);
    assert_int_equal(r.rejected_old, 1);
    /* A sample from the future must not move the window past now. */
    put_ok(&b, "m{a=2}", BENCH_NOW_MS + 86400000, 1);
    assert_int_equal(bench_put(&b, "m{a=1}", BENCH_NOW_MS - 59000, 7).err, OK);
    Why why = {0};
    assert_ok(metrics_flush(b.e, &why), &why);
    put_ok(&b, "m{a=1}", BENCH_NOW_MS, 2); /* across parts the later write wins */
    assert_non_null(strstr(GET(&b, BENCH_NOW_MS, BENCH_NOW_MS, "a", "=", "1"), "1700000000000:2\n"));
    assert_ok(metrics_merge_all(b.e, &why), &why);
    assert_ok(metrics_flush(b.e, &why), &why);
    assert_ok(metrics_merge_all(b.e, &why), &why);
    assert_non_null(strstr(GET(&b, BENCH_NOW_MS, BENCH_NOW_MS, "a", "=", "1"), "1700000000000:2\n"));
    bench_done(&b);
}

static SinkResult put_labels(Bench *b, const Label *l, u32 n)
{
    Sample s = {BENCH_NOW_MS, 1};
    SeriesItem item = {.labels = {l, n}, .samples = &s, .samples_len = 1};
    SampleBatch batch = {.tenant = S("x"), .series = &item, .series_len = 1};
    SinkResult r;
    metrics_sink(b->e)->write(metrics_sink(b->e), &batch, NULL, &r);
    return r;
}

static void test_bad_labels(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    static char huge[70000];
    memset(huge, 'x', sizeof huge);
    const struct {
        Label l[2];
        u32 n;
        const char *what;
    } cases[] = {
        {{{S("a"), S("1")}}, 0, "empty label set"},
        {{{S(""), S("1")}}, 1, "empty label name"},
        {{{S("a"), S("")}}, 1, "has no value"},
        {{{S("b"), S("1")}, {S("a"), S("1")}}, 2, "not sorted"},
        {{{S("a"), S("1")}, {S("a"), S("2")}}, 2, "not unique"},
        {{{S("a"), S("\xff")}}, 1, "not valid UTF-8"},
        {{{S("a"), {huge, sizeof huge}}}, 1, "longer than 65535"},
    };
    for (u32 i = 0; i < COUNT_OF(cases); i++) {
        SinkResult r = put_labels(&b, cases[i].l, cases[i].n);
        assert_int_equal(r.err, E_INVALID);
        assert_int_equal(r.rejected_invalid, 1);
        if (!strstr(r.why.text, cases[i].what))
            fail_msg("case %u: %s", i, r.why.text);
    }
    static Label many[1100];
    static char names[1100][8];
    for (u32 i = 0; i < 1100; i++) {
        snprintf(names[i], 8, "n%04u", i);
        many[i] = (Label){str_c(names[i]), S("v")};
    }
    assert_int_equal(put_labels(&b, many, 1100).err, E_INVALID);
    assert_int_equal(put_labels(&b, many, 1024).err, OK);
    static char long_value[65535];
    memset(long_value, 'y', sizeof long_value);
    assert_int_equal(put_labels(&b, &(Label){S("a"), {long_value, sizeof long_value}}, 1).err, OK);
    bench_reopen(&b);
    MetricsStats s;
    metrics_stats(b.e, S("x"), &s);
    assert_int_equal(s.series_total, 2);
    bench_done(&b);
}

static void test_series_limit(void **state)
{
    Bench b;
    bench_init(&b);
    b.c.series_max = 3;
    bench_open(&b);
    put_ok(&b, "m{a=1}", BENCH_NOW_MS, 1);
    put_ok(&b, "m{a=2}", BENCH_NOW_MS, 1);
    put_ok(&b, "m{a=3}", BENCH_NOW_MS, 1);
    SinkResult r = bench_put(&b, "m{a=4}", BENCH_NOW_MS, 1);
    assert_int_equal(r.err, E_LIMIT);
    assert_int_equal(r.rejected_limit, 1);
    put_ok(&b, "m{a=3}", BENCH_NOW_MS + 1, 1);                                     /* old ones go on */
    assert_int_equal(bench_put_as(&b, S("y"), "m{a=4}", BENCH_NOW_MS, 1).err, OK); /* per tenant */
    bench_done(&b);
}

static void test_budget(void **state)
{
    Bench b;
    bench_init(&b);
    b.c.memtable_bytes_max = 1 << 20;
    bench_open(&b);
    /* The flusher empties it in the background: sooner or later a writer that does not wait for it meets E_BUSY or goes on. */
    for (u32 i = 0; i < 40000; i++) {
        char name[64];
        snprintf(name, sizeof name, "m{a=%u}", i);
        SinkResult r = bench_put(&b, name, BENCH_NOW_MS, 1);
        assert_true(r.err == OK || (r.err == E_BUSY && strstr(r.why.text, "memtable")));
    }
    Why why = {0};
    assert_ok(metrics_flush(b.e, &why), &why);
    put_ok(&b, "m{a=1}", BENCH_NOW_MS + 1, 1);
    bench_done(&b);
}

/* ---- retention ---- */

static u64 parts_of(Bench *b)
{
    MetricsStats s;
    metrics_stats(b->e, S("x"), &s);
    return s.parts;
}

static void test_retention_time(void **state)
{
    Bench b;
    bench_init(&b);
    b.c.retention_ms = 3600000;
    bench_open(&b);
    Why why = {0};
    put_ok(&b, "m{a=1}", BENCH_NOW_MS, 1);
    assert_ok(metrics_flush(b.e, &why), &why);
    virtual_clock_advance(&b.clock, 3700 * NS_PER_SEC);
    put_ok(&b, "m{a=1}", BENCH_NOW_MS + 3700000, 2);
    assert_ok(metrics_flush(b.e, &why), &why);
    /* A date set into the future deletes nothing, whatever is stored under it. */
    virtual_clock_jump(&b.clock, 1000 * 86400 * NS_PER_SEC);
    put_ok(&b, "m{a=1}", BENCH_NOW_MS + 3700000 + 900 * 86400000LL, 3);
    assert_ok(metrics_flush(b.e, &why), &why);
    assert_ok(metrics_merge_all(b.e, &why), &why);
    assert_non_null(strstr(GET_ALL(&b), "1700003700000:2"));
    virtual_clock_jump(&b.clock, -1000 * 86400 * NS_PER_SEC);
    assert_ok(metrics_merge_all(b.e, &why), &why);
    const char *got = GET_ALL(&b);
    assert_null(strstr(got, "1700000000000:1"));
    assert_non_null(strstr(got, "1700003700000:2"));
    assert_non_null(strstr(got, ":3"));
    bench_done(&b);
}

/* What has no samples any more leaves catalogue, postings and disk; the same labels again are a new series. */
static void test_series_forgotten(void **state)
{
    Bench b;
    bench_init(&b);
    b.c.retention_ms = 3600000;
    bench_open(&b);
    Why why = {0};
    for (u32 i = 0; i < 500; i++) {
        char name[64];
        snprintf(name, sizeof name, "old{i=%u,job=a,same=x}", i);
        assert_int_equal(bench_put(&b, name, BENCH_NOW_MS, i).err, OK);
    }
    Label l[4];
    Sample s = {BENCH_NOW_MS, 1};
    SeriesItem item = {.labels = bench_labels("stays{job=b,same=x}", l), .samples = &s, .samples_len = 1};
    SampleBatch batch = {.tenant = S("x"), .series = &item, .series_len = 1};
    SampleSink *sink = metrics_sink(b.e);
    SinkResult r;
    u64 stays, gone;
    sink->write(sink, &batch, &stays, &r);
    item.labels = bench_labels("old{i=7,job=a,same=x}", l);
    s.v = 7;
    sink->write(sink, &batch, &gone, &r);
    assert_int_equal(r.err, OK);
    assert_ok(metrics_flush(b.e, &why), &why);
    MetricsStats stats;
    metrics_stats(b.e, S("x"), &stats);
    u64 pairs = stats.label_pairs;

    virtual_clock_advance(&b.clock, 3 * 3600 * NS_PER_SEC);
    item = (SeriesItem){.hint = stays, .samples = &s, .samples_len = 1};
    s = (Sample){BENCH_NOW_MS + 3 * 3600000, 2};
    sink->write(sink, &batch, NULL, &r);
    assert_int_equal(r.samples_ok, 1);
    assert_ok(metrics_merge_all(b.e, &why), &why);
    metrics_stats(b.e, S("x"), &stats);
    assert_int_equal(stats.label_pairs, pairs - 502); /* __name__, i's, job */

    item.hint = gone;
    s = (Sample){BENCH_NOW_MS + 3 * 3600000, 3};
    sink->write(sink, &batch, NULL, &r);
    assert_int_equal(r.unknown, 1);
    item.labels = bench_labels("old{i=7,job=a,same=x}", l);
    u64 again;
    sink->write(sink, &batch, &again, &r);
    assert_int_equal(r.samples_ok, 1);
    assert_int_equal(r.series_added, 1);
    assert_true(again != gone);
    for (u32 way = 0; way < 3; way++) { /* as it is, from the log, from segments */
        if (way == 2)
            assert_ok(metrics_flush(b.e, &why), &why);
        if (way)
            bench_reopen(&b);
        assert_string_equal(bench_get_as(&b, S("x"), 0, INT64_MAX, NULL),
                            "old{i=\"7\", job=\"a\", same=\"x\"} 1700010800000:3\n"
                            "stays{job=\"b\", same=\"x\"} 1700010800000:2\n");
        assert_string_equal(
            bench_get_as(&b, S("x"), 0, INT64_MAX, (const char *[]){"same", "=", "x", "i", "=", "", NULL}),
            "stays{job=\"b\", same=\"x\"} 1700010800000:2\n");
        metrics_stats(b.e, S("x"), &stats);
        assert_int_equal(stats.label_pairs, pairs - 502 + 3);
    }
    Buf findings;
    buf_init(&findings, 4096);
    FsckReport report = {.out = &findings};
    metrics_abandon(b.e);
    b.e = NULL;
    assert_ok(metrics_fsck(b.c.vfs, b.dir, &report, &why), &why);
    assert_int_equal(report.errors, 0);
    buf_done(&findings);
    bench_done(&b);
}

static void test_retention_size(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    Why why = {0};
    for (u32 i = 0; i < 5; i++) {
        put_ok(&b, "m{a=1}", BENCH_NOW_MS + i, i);
        assert_ok(metrics_flush(b.e, &why), &why);
    }
    assert_int_equal(parts_of(&b), 5);
    MetricsStats s;
    metrics_stats(b.e, S(""), &s);
    assert_true(s.log_written > 0 && s.bytes_written > 0);
    metrics_set_retention(b.e, 0, s.wal_bytes + 420); /* a part of one sample has about 170 bytes */
    assert_ok(metrics_merge_all(b.e, &why), &why);
    assert_non_null(strstr(GET_ALL(&b), "1700000000004:4"));
    assert_non_null(strstr(GET_ALL(&b), "1700000000003:3"));
    assert_null(strstr(GET_ALL(&b), "1700000000002:2"));
    bench_done(&b);
}

static Err small_disk(Vfs *v, const char *path, u64 *ret_free, u64 *ret_total, Why *why)
{
    *ret_free = 500;
    *ret_total = 1000;
    return OK;
}

static void test_retention_percent(void **state)
{
    Bench b;
    Vfs vfs = *vfs_os();
    vfs.free_bytes = small_disk;
    bench_init(&b);
    b.c.vfs = &vfs;
    bench_open(&b);
    Why why = {0};
    for (u32 i = 0; i < 5; i++) {
        put_ok(&b, "m{a=1}", BENCH_NOW_MS + i, i);
        assert_ok(metrics_flush(b.e, &why), &why);
    }
    metrics_set_retention(b.e, 0, 100000);
    assert_ok(metrics_merge_all(b.e, &why), &why);
    assert_non_null(strstr(GET_ALL(&b), "1700000000000:0"));
    metrics_set_retention_percent(b.e, 0.5); /* of 1,000 bytes: not even one part */
    assert_ok(metrics_merge_all(b.e, &why), &why);
    assert_string_equal(GET_ALL(&b), "");
    bench_done(&b);
}

/* ---- deletes ---- */

static void test_delete(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    Why why = {0};
    put_ok(&b, "m{a=1}", 1000, 1);
    put_ok(&b, "m{a=1}", 2000, 2);
    put_ok(&b, "m{a=2}", 1000, 3);
    assert_ok(metrics_flush(b.e, &why), &why);
    put_ok(&b, "m{a=1}", 3000, 4);
    Matcher m;
    assert_ok(matcher_init(&m, MATCH_EQ, S("a"), S("1"), &why), &why);
    assert_int_equal(metrics_delete(b.e, S("x"), (Matchers){&m, 1}, 5, 4, &why), E_INVALID);
    assert_ok(metrics_delete(b.e, S("none"), (Matchers){&m, 1}, 0, 9999, &why), &why);
    assert_ok(metrics_delete(b.e, S("x"), (Matchers){&m, 1}, 1500, 9999, &why), &why);
    put_ok(&b, "m{a=1}", 2500, 5); /* written after the delete: stays */
    for (u32 i = 0; i < 3; i++) {
        const char *got = GET_ALL(&b);
        assert_non_null(strstr(got, "a=\"1\"} 1000:1 2500:5\n"));
        assert_non_null(strstr(got, "a=\"2\"} 1000:3\n"));
        if (i == 0)
            bench_reopen(&b);
        else
            assert_ok(metrics_merge_all(b.e, &why), &why);
    }
    matcher_done(&m);
    bench_done(&b);
}

/* ---- names, values, limits of a select ---- */

static bool collect(void *arg, Str s)
{
    Buf *b = arg;
    buf_printf(b, "%.*s ", STR_FMT(s));
    return true;
}

static const char *values_of(Bench *b, const char *name, const Matcher *m, u32 n, i64 mint, i64 maxt)
{
    static Buf out;
    if (!out.max)
        buf_init(&out, 1 << 20);
    buf_clear(&out);
    Arena a;
    arena_init(&a, NULL, 0);
    Why why = {0};
    PromSource *src = metrics_source(b->e);
    Matchers set = {m, n};
    if (name)
        assert_ok(
            src->label_values(src, S("x"), str_c(name), &set, n ? 1 : 0, mint, maxt, &a, collect, &out, &why),
            &why);
    else
        assert_ok(src->label_names(src, S("x"), &set, n ? 1 : 0, mint, maxt, &a, collect, &out, &why), &why);
    arena_done(&a);
    return buf_cstr(&out);
}

static void test_names_and_values(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    Why why = {0};
    put_ok(&b, "m{a=1,z=q}", 1000, 1);
    put_ok(&b, "m{a=2}", 1000, 1);
    assert_ok(metrics_flush(b.e, &why), &why);
    put_ok(&b, "n{a=3,y=w}", 900000, 1);
    for (u32 round = 0; round < 3; round++) {
        assert_string_equal(values_of(&b, "a", NULL, 0, INT64_MIN, INT64_MAX), "1 2 3 ");
        assert_string_equal(values_of(&b, "a", NULL, 0, 0, 2000), "1 2 ");
        assert_string_equal(values_of(&b, "a", NULL, 0, 800000, INT64_MAX), "3 ");
        assert_string_equal(values_of(&b, "a", NULL, 0, 2000, 3000), "");
        assert_string_equal(values_of(&b, NULL, NULL, 0, INT64_MIN, INT64_MAX), "__name__ a y z ");
        assert_string_equal(values_of(&b, NULL, NULL, 0, 0, 1000), "__name__ a z ");
        assert_string_equal(values_of(&b, "none", NULL, 0, INT64_MIN, INT64_MAX), "");
        Matcher m;
        assert_ok(matcher_init(&m, MATCH_RE, S("__name__"), S("m|k"), &why), &why);
        assert_string_equal(values_of(&b, "a", &m, 1, INT64_MIN, INT64_MAX), "1 2 ");
        assert_string_equal(values_of(&b, NULL, &m, 1, INT64_MIN, INT64_MAX), "__name__ a z ");
        matcher_done(&m);
        if (round == 0) {
            assert_ok(metrics_flush(b.e, &why), &why);
            bench_reopen(&b);
        } else {
            bench_reopen(&b);
        }
    }
    bench_done(&b);
}

static void test_select_limits(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    for (u32 i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "m{a=%u}", i);
        put_ok(&b, name, 1000, i);
    }
    Why why = {0};
    PromSource *src = metrics_source(b.e);
    Arena a;
    arena_init(&a, NULL, 0);
    SeriesCursor *c;
    SeriesView v[64];
    u32 n, total = 0;
    for (u32 labels_only = 0; labels_only < 2; labels_only++) {
        SelectHints h = {.mint = 0, .maxt = 5000, .limit = 17, .labels_only = labels_only};
        assert_ok(src->select(src, S("x"), (Matchers){0}, &h, &a, NULL, &c, &why), &why);
        total = 0;
        do {
            assert_ok(c->next(c, v, 10, &n, &why), &why);
            total += n;
        } while (n);
        c->close(c);
        assert_int_equal(total, 17);
    }
    Cancel cancel = {true};
    SelectHints h = {.mint = 0, .maxt = 5000};
    Err e = src->select(src, S("x"), (Matchers){0}, &h, &a, &cancel, &c, &why);
    assert_int_equal(e, E_CANCELED);
    Account *small = account_new("query", NULL, 4096);
    Arena tight;
    arena_init(&tight, small, 4096);
    e = src->select(src, S("x"), (Matchers){0}, &h, &tight, NULL, &c, &why);
    if (e == OK) {
        while ((e = c->next(c, v, 64, &n, &why)) == OK && n)
            ;
        c->close(c);
    }
    assert_int_equal(e, E_LIMIT);
    arena_done(&tight);
    assert_int_equal(account_used(small), 0);
    account_free(small);
    arena_done(&a);
    bench_done(&b);
}

/* ---- exemplars and metadata ---- */

static void got_exemplars(void *arg, Labels series, const Exemplar *e, u32 n)
{
    Buf *b = arg;
    labels_print(b, series);
    for (u32 i = 0; i < n; i++) {
        buf_printf(b, " %lld:%g", (long long)e[i].t, e[i].v);
        labels_print(b, e[i].labels);
    }
    buf_char(b, '\n');
}

static const char *exemplars_of(Bench *b, i64 mint, i64 maxt)
{
    static Buf out;
    if (!out.max)
        buf_init(&out, 1 << 20);
    buf_clear(&out);
    Arena a;
    arena_init(&a, NULL, 0);
    Why why = {0};
    assert_ok(metrics_exemplars(b->e, S("x"), NULL, 0, mint, maxt, &a, got_exemplars, &out, &why), &why);
    arena_done(&a);
    return buf_cstr(&out);
}

static u64 put_exemplar(Bench *b, const char *series, i64 t, const char *trace)
{
    Label l[8];
    Sample s = {t, 1};
    Label id = {S("trace_id"), str_c(trace)};
    Exemplar x = {.labels = {&id, 1}, .v = 0.5, .t = t};
    SeriesItem item = {.labels = bench_labels(series, l),
                       .samples = &s,
                       .samples_len = 1,
                       .exemplars = &x,
                       .exemplars_len = 1};
    SampleBatch batch = {.tenant = S("x"), .series = &item, .series_len = 1};
    SinkResult r;
    metrics_sink(b->e)->write(metrics_sink(b->e), &batch, NULL, &r);
    assert_int_equal(r.err, OK);
    return r.exemplars_ok;
}

static u32 lines_of(const char *text)
{
    u32 n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* What an expression said of a label's values is remembered, and asked of those that came since. */
static void test_remembered_values(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    const char *const ends[] = {"a", "=~", ".*7", NULL}, *const not_ends[] = {"a", "!~", ".*7|", NULL};
    u32 written = 0;
    for (u32 round = 1; round <= 3; round++) {
        for (; written < round * 300; written++) {
            char name[32];
            snprintf(name, sizeof name, "m{a=%u}", written);
            put_ok(&b, name, 1000, written);
        }
        for (u32 again = 0; again < 2; again++) {
            assert_int_equal(lines_of(bench_get_as(&b, S("x"), 0, 5000, ends)), round * 30);
            assert_int_equal(lines_of(bench_get_as(&b, S("x"), 0, 5000, not_ends)), round * 270);
        }
    }
    bench_done(&b);

    PairMemos m;
    memos_init(&m);
    u32 pairs[1000], len, seen;
    for (u32 i = 0; i < 1000; i++)
        pairs[i] = i;
    char text[200][8];
    for (u32 i = 0; i < 200; i++) { /* of more than there is room for, the last ones stay */
        snprintf(text[i], sizeof text[i], "x%u", i);
        memo_put(&m, 1, &(Matcher){.op = MATCH_RE, .value = str_c(text[i])}, pairs, i, 1000, 1000);
    }
    for (u32 i = 0; i < 200; i++) {
        u32 *out = memo_get(&m, 1, &(Matcher){.op = MATCH_RE, .value = str_c(text[i])}, 3, &len, &seen);
        assert_int_equal(seen, i < 200 - MEMOS ? 0 : 1000);
        assert_int_equal(len, i < 200 - MEMOS ? 0 : i);
        assert_memory_equal(out, pairs, len * sizeof(u32));
        mem_free(out);
    }
    Matcher last = {.op = MATCH_RE, .value = S("x199")};
    mem_free(memo_get(&m, 2, &last, 0, &len, &seen));
    assert_int_equal(len + seen, 0);
    last.op = MATCH_NRE;
    mem_free(memo_get(&m, 1, &last, 0, &len, &seen));
    assert_int_equal(len + seen, 0);
    memo_put(&m, 1, &last, pairs, 1, 5, MEMO_VALUES_MIN - 1); /* not worth it */
    mem_free(memo_get(&m, 1, &last, 0, &len, &seen));
    assert_int_equal(len + seen, 0);
    u32 *many = mem_zalloc(MEMO_BYTES_MAX / 4);
    for (u32 i = 0; i < 200; i++)
        memo_put(&m, 3, &(Matcher){.op = MATCH_RE, .value = str_c(text[i])}, many, MEMO_BYTES_MAX / 16,
                 1u << 20, 1u << 20);
    assert_true(m.bytes <= MEMO_BYTES_MAX && m.bytes > MEMO_BYTES_MAX / 2);
    mem_free(many);
    memos_done(&m);
}

static void test_exemplars(void **state)
{
    Bench b;
    bench_init(&b);
    b.c.exemplars_max = 4;
    bench_open(&b);
    Why why = {0};
    assert_int_equal(put_exemplar(&b, "m{a=1}", 1000, "t1"), 1);
    assert_int_equal(put_exemplar(&b, "m{a=1}", 1000, "t1"), 0); /* known */
    assert_int_equal(put_exemplar(&b, "m{a=2}", 1500, "t2"), 1);
    const char *want = "m{a=\"1\"} 1000:0.5{trace_id=\"t1\"}\nm{a=\"2\"} 1500:0.5{trace_id=\"t2\"}\n";
    assert_string_equal(exemplars_of(&b, 0, 9999), want);
    bench_reopen(&b); /* from the log */
    assert_string_equal(exemplars_of(&b, 0, 9999), want);
    assert_ok(metrics_flush(b.e, &why), &why);
    bench_reopen(&b); /* from the side object */
    assert_string_equal(exemplars_of(&b, 0, 9999), want);
    assert_string_equal(exemplars_of(&b, 1200, 9999), "m{a=\"2\"} 1500:0.5{trace_id=\"t2\"}\n");
    for (u32 i = 0; i < 100; i++) { /* the ring keeps four; side objects stay few */
        char trace[16];
        snprintf(trace, sizeof trace, "u%u", i);
        assert_int_equal(put_exemplar(&b, "m{a=1}", 2000 + i, trace), 1);
        if (i % 2)
            assert_ok(metrics_flush(b.e, &why), &why);
    }
    want = "m{a=\"1\"} 2096:0.5{trace_id=\"u96\"} 2097:0.5{trace_id=\"u97\"} 2098:0.5{trace_id=\"u98\"} "
           "2099:0.5{trace_id=\"u99\"}\n";
    assert_string_equal(exemplars_of(&b, 0, 9999), want);
    bench_reopen(&b);
    assert_string_equal(exemplars_of(&b, 0, 9999), want);
    bench_done(&b);
}

static void got_metadata(void *arg, const MetadataItem *m)
{
    buf_printf(arg, "%.*s %s %.*s %.*s;", STR_FMT(m->family), metric_type_name(m->type), STR_FMT(m->help),
               STR_FMT(m->unit));
}

static void test_metadata(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    Why why = {0};
    MetadataItem items[] = {{.family = S("m"), .help = S("help"), .type = TYPE_GAUGE},
                            {.family = S("n"), .help = S("h"), .unit = S("bytes"), .type = TYPE_COUNTER},
                            {.family = S("m"), .help = S("newer"), .type = TYPE_GAUGE}};
    SampleBatch batch = {.tenant = S("x"), .metadata = items, .metadata_len = 3};
    SinkResult r;
    for (u32 i = 0; i < 2; i++) {
        metrics_sink(b.e)->write(metrics_sink(b.e), &batch, NULL, &r);
        assert_int_equal(r.err, OK);
    }
    for (u32 round = 0; round < 3; round++) {
        Buf out;
        buf_init(&out, 1 << 16);
        metrics_metadata(b.e, S("x"), S("m"), got_metadata, &out);
        assert_string_equal(buf_cstr(&out), "m gauge newer ;m gauge help ;");
        buf_clear(&out);
        metrics_metadata(b.e, S("x"), S(""), got_metadata, &out);
        assert_non_null(strstr(buf_cstr(&out), "n counter h bytes;"));
        buf_done(&out);
        if (round)
            assert_ok(metrics_flush(b.e, &why), &why);
        bench_reopen(&b);
    }
    bench_done(&b);
}

/* ---- tenants, figures ---- */

static void got_top(void *arg, const char *kind, Str name, u64 value)
{
    buf_printf(arg, "%s %.*s %llu;", kind, STR_FMT(name), (unsigned long long)value);
}

static void test_tenants_and_top(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    Why why = {0};
    put_ok(&b, "m{a=1}", 1000, 1);
    put_ok(&b, "m{a=2}", 1000, 1);
    put_ok(&b, "n{a=2}", 1000, 1);
    bench_put_as(&b, S("y"), "secret{a=9}", 1000, 1);
    for (u32 round = 0; round < 3; round++) {
        assert_null(strstr(GET_ALL(&b), "secret"));
        assert_non_null(strstr(bench_get_as(&b, S("y"), 0, 5000, NULL), "secret"));
        assert_null(strstr(bench_get_as(&b, S("y"), 0, 5000, NULL), "m{"));
        MetricsStats s;
        metrics_stats(b.e, S("y"), &s);
        assert_int_equal(s.series_total, 1);
        Buf out;
        buf_init(&out, 1 << 16);
        metrics_top(b.e, S("x"), 1, got_top, &out);
        assert_string_equal(buf_cstr(&out),
                            "seriesCountByMetricName m 2;labelValueCountByLabelName __name__ 2;"
                            "memoryInBytesByLabelName __name__ 3;seriesCountByLabelValuePair __name__=m 2;");
        buf_done(&out);
        if (round == 0)
            assert_ok(metrics_flush(b.e, &why), &why);
        bench_reopen(&b);
    }
    Buf page;
    buf_init(&page, 1 << 20);
    metrics_render(&page);
    const char *text = buf_cstr(&page);
    assert_non_null(strstr(text, "prometheus_tsdb_head_samples_appended_total{type=\"float\"}"));
    assert_non_null(strstr(text, "prometheus_tsdb_storage_blocks_bytes"));
    buf_done(&page);
    bench_done(&b);
}

/* ---- damage ---- */

static void corrupt(const char *path, i64 at_from_end)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at_from_end, at_from_end < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(f);
    fseek(f, -1, SEEK_CUR);
    fputc(c ^ 0x5a, f);
    fclose(f);
}

static bool first_part(void *arg, const char *name, bool is_dir)
{
    if (name[0] != 'p')
        return true;
    snprintf(arg, 128, "%s", name);
    return false;
}

static const char *part_path(Bench *b)
{
    static char path[600];
    char dir[400], name[128] = "";
    snprintf(dir, sizeof dir, "%s/bucket/t1", b->dir);
    vfs_os()->list(vfs_os(), dir, first_part, name, NULL);
    assert_true(name[0]);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* A flipped byte in a page costs that page; in the footer, the part. Everything else answers, and writing goes on. */
static void test_bit_rot(void **state)
{
    Why why = {0};
    for (u32 where = 0; where < 2; where++) {
        Bench b;
        bench_init(&b);
        bench_open(&b);
        for (u32 i = 0; i < 3000; i++) {
            char name[32];
            snprintf(name, sizeof name, "m{a=%u}", i);
            SinkResult r = bench_put(&b, name, 1000, i);
            assert_int_equal(r.err, OK);
        }
        assert_ok(metrics_close(b.e, &why), &why);
        corrupt(part_path(&b), where ? -20 : 40);
        bench_open(&b);
        put_ok(&b, "m{a=1}", 2000, 5);
        assert_non_null(strstr(GET_ALL(&b, "a", "=", "1"), where ? "} 2000:5\n" : "2000:5\n"));
        if (where == 0) {
            assert_string_equal(GET_ALL(&b, "a", "=", "3"), ""); /* in the damaged page */
            assert_string_equal(GET_ALL(&b, "a", "=", "2999"), "m{a=\"2999\"} 1000:2999\n");
        }
        /* Merging leaves damage alone rather than dropping what may yet be restored. */
        assert_ok(metrics_flush(b.e, &why), &why);
        assert_ok(metrics_merge_all(b.e, &why), &why);
        assert_int_equal(parts_of(&b), 2);
        bench_done(&b);
    }
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_road),
        cmocka_unit_test(test_conflicts_and_order),
        cmocka_unit_test(test_bad_labels),
        cmocka_unit_test(test_series_limit),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_retention_time),
        cmocka_unit_test(test_series_forgotten),
        cmocka_unit_test(test_retention_size),
        cmocka_unit_test(test_retention_percent),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_names_and_values),
        cmocka_unit_test(test_select_limits),
        cmocka_unit_test(test_exemplars),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_tenants_and_top),
        cmocka_unit_test(test_bit_rot),
        cmocka_unit_test(test_remembered_values),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
