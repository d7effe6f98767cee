/* Whole blocks given as aggregates: they are what decoding gives, stand only where nobody looks inside, and nothing is told twice. Slices of
 * a selection: every series in exactly one. */
#include "engine_help.h"
#include "metrics/values.h"
#include <stdlib.h>

enum { SERIES = 12, N = 4000, STEP_MS = 15000 };
static u64 rnd_state = 7;
static u64 rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state;
}

static void put(Bench *b, u32 series, const Sample *s, u32 n)
{
    char name[32];
    Label l[4];
    snprintf(name, sizeof name, "m{a=%u}", series);
    SeriesItem item = {.labels = bench_labels(name, l), .samples = s, .samples_len = n};
    SampleBatch batch = {.tenant = S("x"), .series = &item, .series_len = 1};
    SinkResult r;
    metrics_sink(b->e)->write(metrics_sink(b->e), &batch, NULL, &r);
    assert_int_equal(r.err, OK);
}

static f64 value_of(u32 series, f64 *state)
{
    switch (series % 6) {
    case 0:
        return *state += (f64)(rnd() % 9); /* a counter */
    case 1:
        return *state = rnd() % 300 ? *state + 2 : 1; /* with resets */
    case 2:
        return 42;
    case 3:
        return (f64)(rnd() % 1000) / 100;
    case 4:
        return (f64)rnd() / 7e17;
    default:
        return rnd() % 400 ? (f64)(rnd() % 5) : f64_from_bits(STALE_NAN_BITS);
    }
}

/* Four flushes of a quarter each, merged now and then. */
static void fill(Bench *b, i64 from)
{
    static Sample s[N / 4];
    static f64 state[SERIES];
    Why why = {0};
    memset(state, 0, sizeof state);
    for (u32 part = 0; part < 4; part++) {
        for (u32 k = 0; k < SERIES; k++) {
            for (u32 i = 0; i < N / 4; i++)
                s[i] =
                    (Sample){from + (i64)(part * N / 4 + i) * STEP_MS + (k % 5 == 4 ? (i64)(rnd() % 9) : 0),
                             value_of(k, &state[k])};
            put(b, k, s, N / 4);
        }
        assert_ok(metrics_flush(b->e, &why), &why);
        if (part == 2)
            assert_ok(metrics_merge_all(b->e, &why), &why);
    }
}

typedef struct Run {
    i64 *t;
    f64 *v;
    u32 n;
    PageAggr *pages;
    u32 pages_len;
} Run;

static u32 series_of(Labels l)
{
    for (u32 i = 0; i < l.len; i++)
        if (str_eq(l.at[i].name, S("a")))
            return (u32)atoi(l.at[i].value.at);
    fail();
    return 0;
}

static void select_runs(Bench *b, const SelectHints *h, Run *runs, u32 *seen)
{
    Arena arena;
    arena_init(&arena, NULL, 0);
    Why why = {0};
    PromSource *src = metrics_source(b->e);
    SeriesCursor *cur;
    SeriesView views[5];
    u32 n;
    assert_ok(src->select(src, S("x"), (Matchers){0}, h, &arena, NULL, &cur, &why), &why);
    for (;;) {
        assert_ok(cur->next(cur, views, 5, &n, &why), &why);
        if (!n)
            break;
        for (u32 i = 0; i < n; i++) {
            u32 k = series_of(views[i].labels);
            assert_true(k < 1000);
            seen[k]++;
            if (!runs)
                continue;
            Run *r = &runs[k];
            *r = (Run){.n = views[i].n, .pages_len = views[i].pages_len};
            r->t = mem_alloc((r->n + 1) * sizeof(i64));
            r->v = mem_alloc((r->n + 1) * sizeof(f64));
            r->pages = mem_alloc((r->pages_len + 1) * sizeof(PageAggr));
            for (u32 j = 0; j < r->n; j++) {
                r->t[j] = views[i].t[j];
                r->v[j] = views[i].v[j];
            }
            for (u32 j = 0; j < r->pages_len; j++)
                r->pages[j] = views[i].pages[j];
        }
    }
    cur->close(cur);
    arena_done(&arena);
}

static void runs_free(Run *runs)
{
    for (u32 k = 0; k < SERIES; k++) {
        mem_free(runs[k].t);
        mem_free(runs[k].v);
        mem_free(runs[k].pages);
    }
    memset(runs, 0, SERIES * sizeof(Run));
}

static void no_edge_inside(const SelectHints *h, const PageAggr *p)
{
    for (u32 k = 0; k < h->windows; k++) {
        i64 end = h->windows_start + k * h->step_ms, begin = end - h->range_ms;
        assert_false(p->first_t <= end && end < p->last_t);
        assert_false(p->first_t <= begin && begin < p->last_t);
    }
}

/* Pages and samples together are the plain answer. */
static u32 check_run(const SelectHints *h, const Run *plain, const Run *run)
{
    u32 at = 0, from = 0; /* in run, in plain */
    for (u32 i = 0; i <= run->pages_len; i++) {
        u32 to = i < run->pages_len ? run->pages[i].at : run->n;
        for (; at < to; at++, from++) {
            assert_true(from < plain->n && plain->t[from] == run->t[at]);
            assert_true(f64_bits(plain->v[from]) == f64_bits(run->v[at]));
        }
        if (i == run->pages_len)
            break;
        const PageAggr *p = &run->pages[i];
        PageAggr is;
        no_edge_inside(h, p);
        assert_true(from + p->count <= plain->n && plain->t[from] == p->first_t);
        assert_true(plain->t[from + p->count - 1] == p->last_t);
        assert_true(aggr_compute(plain->v + from, p->count, &is));
        f64 a[] = {p->first, p->last, p->min, p->max, p->sum, p->sum_c, p->reset_sum};
        f64 b[] = {is.first, is.last, is.min, is.max, is.sum, is.sum_c, is.reset_sum};
        assert_memory_equal(a, b, sizeof a);
        assert_int_equal(p->resets, is.resets);
        from += p->count;
    }
    assert_int_equal(from, plain->n);
    return run->pages_len;
}

/* Pages given over some windows; everything they stand for is checked. */
static u32 check_select(Bench *b, i64 mint, i64 maxt, i64 start, i64 step, u32 windows, i64 range)
{
    static Run plain[SERIES], paged[SERIES];
    static u32 seen[1000];
    SelectHints h = {.mint = mint, .maxt = maxt, .step_ms = step, .range_ms = range};
    select_runs(b, &h, plain, seen);
    h.want_pages = true;
    h.windows_start = start;
    h.windows = windows;
    select_runs(b, &h, paged, seen);
    u32 pages = 0;
    for (u32 k = 0; k < SERIES; k++)
        pages += check_run(&h, &plain[k], &paged[k]);
    runs_free(plain);
    runs_free(paged);
    return pages;
}

static void test_pages(void **state)
{
    Bench b;
    Why why = {0};
    bench_init(&b);
    b.c.retention_ms = 4000LL * 86400000;
    bench_open(&b);
    i64 from = BENCH_NOW_MS - (i64)N * STEP_MS, end = from + (i64)N * STEP_MS, hour = 3600000;
    fill(&b, from);
    /* One window over everything: only what holds stale markers is read. */
    assert_true(check_select(&b, from, end, end, 0, 1, end - from + 1) > SERIES * 2);
    assert_true(check_select(&b, from, end, end, 0, 1, 3 * hour) > SERIES * 2);
    check_select(&b, from + 5 * hour, end - hour, from + 6 * hour, hour, 8, 4 * hour);
    for (u32 round = 0; round < 60; round++) {
        i64 step = 1 + (i64)(rnd() % (u64)(4 * hour)), start = from + (i64)(rnd() % (u64)(end - from));
        u32 windows = 1 + rnd() % 6;
        check_select(&b, from + (i64)(rnd() % (u64)hour), end - (i64)(rnd() % (u64)hour), start, step,
                     windows, (i64)(rnd() % (u64)(8 * hour)));
    }
    /* What comes late lies across a block, in the memtable and then in a part of its own. */
    u32 before = check_select(&b, from, end, end, 0, 1, end - from + 1);
    Sample late = {from + 100 * STEP_MS + 7, 1e6};
    for (u32 k = 0; k < SERIES; k++)
        put(&b, k, &late, 1);
    assert_true(check_select(&b, from, end, end, 0, 1, end - from + 1) < before);
    assert_ok(metrics_flush(b.e, &why), &why);
    assert_true(check_select(&b, from, end, end, 0, 1, end - from + 1) < before);
    /* A tombstone, and what merging makes of it. */
    Matcher m;
    assert_ok(matcher_init(&m, MATCH_NE, S("a"), S("0"), &why), &why);
    assert_ok(
        metrics_delete(b.e, S("x"), (Matchers){&m, 1}, from + 50 * STEP_MS, from + 2500 * STEP_MS, &why),
        &why);
    matcher_done(&m);
    for (u32 i = 0; i < 2; i++) {
        assert_true(check_select(&b, from, end, end, 0, 1, end - from + 1) > 0);
        check_select(&b, from, end, from + 9 * hour, hour, 5, 3 * hour);
        assert_ok(metrics_merge_all(b.e, &why), &why);
    }
    bench_done(&b);
}

static void test_slices(void **state)
{
    Bench b;
    bench_init(&b);
    bench_open(&b);
    for (u32 k = 0; k < 1000; k++) {
        Sample s = {BENCH_NOW_MS, k};
        put(&b, k, &s, 1);
    }
    for (u32 slices = 0; slices < 5; slices++) {
        static u32 seen[1000];
        memset(seen, 0, sizeof seen);
        for (u32 i = 0; i < MAX(slices, 1u); i++) {
            u32 had = 0, has = 0;
            for (u32 k = 0; k < 1000; k++)
                had += seen[k];
            SelectHints h = {.mint = 0, .maxt = INT64_MAX, .slice = i, .slices = slices};
            select_runs(&b, &h, NULL, seen);
            for (u32 k = 0; k < 1000; k++)
                has += seen[k];
            assert_true(has - had > 1000 / MAX(slices, 1u) / 2);
        }
        for (u32 k = 0; k < 1000; k++)
            assert_int_equal(seen[k], 1);
    }
    bench_done(&b);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest all[] = {cmocka_unit_test(test_pages), cmocka_unit_test(test_slices)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
