/* The engine against a table in memory: random writes, flushes, merges, deletes, reopenings and queries from fixed seeds. */
#include "engine_help.h"
#include <math.h>

enum { SERIES = 24, TIMES = 600 };

typedef struct Cell {
    bool is_there, is_hist, in_memtable;
    f64 v;
} Cell;
static Cell model[SERIES][TIMES];

static u64 rnd_state;
static u64 rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state;
}
#define T0 (BENCH_NOW_MS - 600000)
static i64 time_of(u32 i)
{
    return T0 + (i64)i * 1000;
}

typedef struct Names {
    char i[8], job[8], even[8];
    Label l[4];
} Names;

static Labels labels_of(u32 series, Names *n)
{
    snprintf(n->i, sizeof n->i, "%u", series);
    snprintf(n->job, sizeof n->job, "j%u", series % 3);
    snprintf(n->even, sizeof n->even, "%s", series % 2 ? "no" : "yes");
    u32 len = 0;
    n->l[len++] = (Label){LABEL_NAME, series < SERIES / 2 ? S("low") : S("high")};
    if (series % 4)
        n->l[len++] = (Label){S("even"), str_c(n->even)};
    n->l[len++] = (Label){S("i"), str_c(n->i)};
    n->l[len++] = (Label){S("job"), str_c(n->job)};
    return (Labels){n->l, len};
}

static f64 value_of(u64 r)
{
    switch (r % 6) {
    case 0:
        return f64_from_bits(STALE_NAN_BITS);
    case 1:
        return -0.0;
    case 2:
        return (f64)(r % 1000) / 10;
    case 3:
        return f64_from_bits(r * 0x9e3779b97f4a7c15ULL);
    default:
        return (f64)(r % 5);
    }
}

static void hist_of(f64 v, Histogram *h, HistSpan *span, f64 *bucket)
{
    *span = (HistSpan){1, 1};
    *bucket = v;
    *h = (Histogram){.schema = 2,
                     .is_int = true,
                     .count = v,
                     .sum = v,
                     .pos_spans = span,
                     .pos_spans_len = 1,
                     .pos = bucket,
                     .pos_len = 1};
}

/* Targets: lists of series that mostly come in the same order at a later time, as scrapes do. */
typedef struct Target {
    u32 series[SERIES], len, at;
    f64 v[SERIES];
    u64 note;
} Target;
static Target targets[3];
static u64 forgotten; /* series, in all runs */

/* One batch of a few samples; what the sink says must be what the model says. */
static void step_write(Bench *b, u64 *hints, bool *known)
{
    enum { MAX_ITEMS = 12 };
    Names names[MAX_ITEMS];
    SeriesItem items[MAX_ITEMS] = {0};
    Sample samples[MAX_ITEMS];
    i64 times[MAX_ITEMS];
    Histogram hists[MAX_ITEMS];
    const Histogram *hist_ptrs[MAX_ITEMS];
    HistSpan spans[MAX_ITEMS];
    f64 buckets[MAX_ITEMS];
    u32 of[MAX_ITEMS], n = 1 + rnd() % MAX_ITEMS, at_all = (u32)(rnd() % TIMES);
    u64 ok = 0, conflicts = 0, hist_ok = 0;
    for (u32 k = 0; k < n; k++) {
        u32 series = of[k] = (u32)(rnd() % SERIES), at = rnd() % 2 ? at_all : (u32)(rnd() % TIMES);
        bool is_hist = rnd() % 8 == 0;
        f64 v = is_hist ? (f64)(rnd() % 50) : value_of(rnd());
        Cell *c = &model[series][at];
        if (c->in_memtable && (c->is_hist != is_hist || f64_bits(c->v) != f64_bits(v))) {
            conflicts++;
        } else {
            *c = (Cell){true, is_hist, true, v};
            ok += !is_hist;
            hist_ok += is_hist;
        }
        items[k].labels = labels_of(series, &names[k]);
        items[k].hint = rnd() % 3   ? hints[series]
                        : rnd() % 2 ? hints[rnd() % SERIES]
                                    : rnd(); /* wrong ones too */
        samples[k] = (Sample){time_of(at), v};
        times[k] = time_of(at);
        hist_of(v, &hists[k], &spans[k], &buckets[k]);
        hist_ptrs[k] = &hists[k];
        if (is_hist) {
            items[k].hists = &hist_ptrs[k];
            items[k].hist_t = &times[k];
            items[k].hists_len = 1;
        } else {
            items[k].samples = &samples[k];
            items[k].samples_len = 1;
        }
    }
    SampleBatch batch = {.tenant = S("x"), .series = items, .series_len = n, .from_self = rnd() % 2};
    if (rnd() % 2) { /* as a target's first page, whose next one is a row */
        batch.row.t = samples[rnd() % n].t;
        batch.row.group = &targets[rnd() % COUNT_OF(targets)].note;
    }
    SinkResult r;
    u64 out[MAX_ITEMS];
    SampleSink *sink = metrics_sink(b->e);
    sink->write(sink, &batch, out, &r);
    assert_int_equal(r.samples_ok, ok);
    assert_int_equal(r.histograms_ok, hist_ok);
    assert_int_equal(r.rejected_conflict, conflicts);
    assert_int_equal(r.err, conflicts ? E_CONFLICT : OK);
    for (u32 k = 0; k < n; k++)
        if (out[k]) {
            hints[of[k]] = out[k];
            known[of[k]] = true;
        }
}

static void target_shuffle(Target *t)
{
    t->len = 1 + (u32)(rnd() % SERIES);
    for (u32 i = 0; i < t->len; i++)
        t->series[i] = rnd() % 20 ? (u32)(rnd() % SERIES) : i; /* also the same one twice */
}

/* One row. Hints are those of this opening of the engine (known) or older ones, which it must refuse. */
static void step_row(Bench *b, const u64 *hints, const bool *known)
{
    Target *t = &targets[rnd() % COUNT_OF(targets)];
    u64 row_hints[SERIES], ok = 0, conflicts = 0, unknown = 0;
    f64 values[SERIES];
    u32 n = 0;
    if (!t->len || rnd() % 12 == 0)
        target_shuffle(t);
    t->at = rnd() % 8 ? t->at + 1 + (u32)(rnd() % 2) : (u32)(rnd() % TIMES);
    t->at %= TIMES;
    for (u32 k = 0; k < t->len; k++) {
        u32 series = t->series[k];
        if (!hints[series] || rnd() % 40 == 0)
            continue; /* comes as an item first; or is not on the page this time */
        if (rnd() % 3 == 0)
            t->v[k] = rnd() % 2 ? value_of(rnd()) : t->v[k] + (f64)(rnd() % 1000) / 100;
        row_hints[n] = hints[series];
        values[n] =
            rnd() % 200 ? t->v[k] : f64_from_bits(0x7ff4dead0ab5e47dULL); /* what columns use for "none" */
        Cell *c = &model[series][t->at];
        if (!known[series]) {
            unknown++;
        } else if (c->in_memtable && (c->is_hist || f64_bits(c->v) != f64_bits(values[n]))) {
            conflicts++;
        } else {
            *c = (Cell){true, false, true, values[n]};
            ok++;
        }
        n++;
    }
    SampleBatch batch = {.tenant = S("x"),
                         .row = {row_hints, values, n, time_of(t->at), rnd() % 10 ? &t->note : NULL},
                         .from_self = rnd() % 2};
    SinkResult r;
    metrics_sink(b->e)->write(metrics_sink(b->e), &batch, NULL, &r);
    assert_int_equal(r.samples_ok, ok);
    assert_int_equal(r.rejected_conflict, conflicts);
    assert_int_equal(r.unknown, unknown);
    assert_int_equal(r.err, conflicts ? E_CONFLICT : OK);
}

static void memtable_is_flushed(void)
{
    for (u32 s = 0; s < SERIES; s++)
        for (u32 i = 0; i < TIMES; i++)
            model[s][i].in_memtable = false;
}

/* Series without samples are forgotten, and then everything was flushed; none that has samples is. */
static void step_merge(Bench *b, const u64 *hints, bool *known)
{
    Why why = {0};
    assert_ok(metrics_merge_all(b->e, &why), &why);
    MetricsStats stats;
    metrics_stats(b->e, S("x"), &stats);
    if (!stats.samples_memtable)
        memtable_is_flushed();
    Arena arena;
    arena_init(&arena, NULL, 0);
    for (u32 s = 0; s < SERIES; s++) {
        Labels ignored;
        bool was = known[s], is_there = false;
        for (u32 i = 0; i < TIMES; i++)
            is_there |= model[s][i].is_there;
        known[s] = was && metrics_sink(b->e)->labels(metrics_sink(b->e), S("x"), hints[s], &arena, &ignored);
        forgotten += was && !known[s];
        if (was && !known[s] && is_there)
            fail_msg("series %u has samples and was forgotten", s);
    }
    arena_done(&arena);
}

static bool model_selects(u32 series, const Matcher *m, u32 n)
{
    Names names;
    return matchers_match((Matchers){m, n}, labels_of(series, &names));
}

static u32 random_matchers(Matcher *m)
{
    static const struct {
        MatchOp op;
        Str name, value;
    } choices[] = {
        {MATCH_EQ, STR_INIT("job"), STR_INIT("j1")},      {MATCH_NE, STR_INIT("job"), STR_INIT("j1")},
        {MATCH_RE, STR_INIT("job"), STR_INIT("j[02]")},   {MATCH_NRE, STR_INIT("i"), STR_INIT("1.*")},
        {MATCH_EQ, STR_INIT("even"), STR_INIT("")},       {MATCH_NE, STR_INIT("even"), STR_INIT("")},
        {MATCH_RE, STR_INIT("even"), STR_INIT("(yes)?")}, {MATCH_EQ, STR_INIT("__name__"), STR_INIT("low")},
        {MATCH_RE, STR_INIT("i"), STR_INIT("3|7|20|99")}, {MATCH_EQ, STR_INIT("absent"), STR_INIT("")},
        {MATCH_NE, STR_INIT("absent"), STR_INIT("x")},    {MATCH_EQ, STR_INIT("absent"), STR_INIT("x")},
        {MATCH_RE, STR_INIT("absent"), STR_INIT(".+")},   {MATCH_NRE, STR_INIT("even"), STR_INIT("no")},
    };
    u32 n = (u32)(rnd() % 4);
    Why why = {0};
    for (u32 i = 0; i < n; i++) {
        size_t k = rnd() % COUNT_OF(choices);
        assert_ok(matcher_init(&m[i], choices[k].op, choices[k].name, choices[k].value, &why), &why);
    }
    return n;
}

static void same_series(const SeriesView *v, u32 series, u32 lo, u32 hi)
{
    u32 at = 0;
    for (u32 i = lo; i <= hi && i < TIMES; i++) {
        const Cell *c = &model[series][i];
        if (!c->is_there)
            continue;
        if (at >= v->n || v->t[at] != time_of(i))
            fail_msg("series %u: sample at %u is missing (got %u samples)", series, i, v->n);
        const Histogram *h = v->h ? v->h[at] : NULL;
        if ((h != NULL) != c->is_hist)
            fail_msg("series %u at %u: float and histogram mixed up", series, i);
        f64 got = h ? h->count : v->v[at];
        if (f64_bits(got) != f64_bits(c->v))
            fail_msg("series %u at %u: got %a (%llx), want %a (%llx)", series, i, got,
                     (unsigned long long)f64_bits(got), c->v, (unsigned long long)f64_bits(c->v));
        at++;
    }
    assert_int_equal(at, v->n);
}

static void step_query(Bench *b)
{
    Matcher m[4];
    u32 n = random_matchers(m), lo = (u32)(rnd() % TIMES), hi = lo + (u32)(rnd() % TIMES);
    if (rnd() % 3 == 0) {
        lo = 0;
        hi = TIMES;
    }
    Arena arena;
    arena_init(&arena, NULL, 0);
    Why why = {0};
    PromSource *src = metrics_source(b->e);
    SelectHints h = {.mint = time_of(lo), .maxt = time_of(hi)};
    SeriesCursor *cur;
    assert_ok(src->select(src, S("x"), (Matchers){m, n}, &h, &arena, NULL, &cur, &why), &why);
    bool seen[SERIES] = {0};
    SeriesView views[5];
    u32 got;
    do {
        assert_ok(cur->next(cur, views, 5, &got, &why), &why);
        for (u32 i = 0; i < got; i++) {
            u64 series = 999;
            parse_u64(labels_get(views[i].labels, S("i")), &series);
            assert_true(series < SERIES && !seen[series] && model_selects((u32)series, m, n));
            seen[series] = true;
            same_series(&views[i], (u32)series, lo, hi);
        }
    } while (got);
    cur->close(cur);
    for (u32 s = 0; s < SERIES; s++) {
        bool expected = false;
        for (u32 i = lo; i <= hi && i < TIMES; i++)
            expected |= model[s][i].is_there;
        if (expected && model_selects(s, m, n) && !seen[s])
            fail_msg("series %u was not selected", s);
    }
    for (u32 i = 0; i < n; i++)
        matcher_done(&m[i]);
    arena_done(&arena);
}

static void step_delete(Bench *b)
{
    Matcher m[4];
    u32 n = random_matchers(m), lo = (u32)(rnd() % TIMES), hi = lo + (u32)(rnd() % 100);
    Why why = {0};
    assert_ok(metrics_delete(b->e, S("x"), (Matchers){m, n}, time_of(lo), time_of(hi), &why), &why);
    memtable_is_flushed();
    for (u32 s = 0; s < SERIES; s++)
        for (u32 i = lo; i <= hi && i < TIMES && model_selects(s, m, n); i++)
            model[s][i].is_there = false;
    for (u32 i = 0; i < n; i++)
        matcher_done(&m[i]);
}

static void run(u64 seed, u32 steps)
{
    rnd_state = seed * 0x9e3779b97f4a7c15ULL + 1;
    memset(model, 0, sizeof model);
    memset(targets, 0, sizeof targets);
    u64 hints[SERIES] = {0};
    bool known[SERIES] = {0};
    Bench b;
    bench_init(&b);
    bench_open(&b);
    Why why = {0};
    log_set_level(LOG_LEVEL_WARN);
    for (u32 i = 0; i < steps; i++) {
        u64 what = rnd() % 100;
        if (what < 30) {
            step_write(&b, hints, known);
        } else if (what < 60) {
            step_row(&b, hints, known);
        } else if (what < 85) {
            step_query(&b);
        } else if (what < 91) {
            assert_ok(metrics_flush(b.e, &why), &why);
            memtable_is_flushed();
        } else if (what < 93) {
            step_merge(&b, hints, known);
        } else if (what < 95) {
            step_delete(&b);
        } else if (what < 98) {
            u32 before = b.c.shards;
            if (rnd() % 3 == 0)
                b.c.shards = 1 + (u32)(rnd() % 3);
            bench_reopen(&b);
            memset(known, 0, sizeof known);
            if (b.c.shards != before) /* flushed at once */
                memtable_is_flushed();
        } else {
            assert_ok(metrics_close(b.e, &why), &why);
            memtable_is_flushed();
            memset(known, 0, sizeof known);
            bench_open(&b);
        }
    }
    step_query(&b);
    Buf out;
    buf_init(&out, 1 << 20);
    assert_ok(metrics_close(b.e, &why), &why);
    b.e = NULL;
    FsckReport report = {.out = &out};
    assert_ok(metrics_fsck(vfs_os(), b.dir, &report, &why), &why);
    if (report.errors || report.warnings)
        fail_msg("fsck: %s", buf_cstr(&out));
    assert_true(report.checked_files > 0);
    buf_done(&out);
    bench_done(&b);
}

static void test_model(void **state)
{
    const char *seeds = getenv("PHAROS_SEEDS");
    u64 n = seeds ? strtoull(seeds, NULL, 10) : 6;
    const char *from = getenv("PHAROS_SEED_FROM");
    for (u64 seed = from ? strtoull(from, NULL, 10) : 1; seed <= n; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        fflush(stdout);
        run(seed, 600);
    }
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
