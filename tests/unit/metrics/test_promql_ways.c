/* The evaluator's shortcuts against its plainest way, over random series: page aggregates, bare views, slices on threads. */
#include "test.h"

#include <math.h>

#include "metrics/promql/memsource.h"

enum { SERIES = 12, SAMPLES = 300, STEP_MS = 10000 };

static u64 seed;

static u32 pick(u32 n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (u32)(seed >> 33) % n;
}

typedef enum Kind { WHOLE_COUNTER, COUNTER, WHOLE, REAL, EXTREME } Kind;

static f64 next_value(Kind kind, f64 v)
{
    switch (kind) {
    case WHOLE_COUNTER:
        return pick(40) ? v + pick(100) : pick(50);
    case COUNTER:
        return pick(60) ? v + pick(1000) / 7.0 : pick(100) / 3.0;
    case WHOLE:
        return (f64)pick(2000) - 1000;
    case REAL:
        return pick(5) ? (pick(100000) - 50000.0) / 37 : v * 1e9;
    default:
        switch (pick(9)) {
        case 0:
            return NAN;
        case 1:
            return INFINITY;
        case 2:
            return -INFINITY;
        case 3:
            return -0.0;
        case 4:
            return pick(2) ? 1.7e308 : -1.7e308;
        default:
            return pick(10);
        }
    }
}

static void fill(MemSource *m, Kind kind, u32 histograms)
{
    Why why;
    Arena a;
    arena_init(&a, NULL, 0);
    for (u32 i = 0; i < SERIES; i++) {
        Label l[4] = {{LABEL_NAME, S("m_total")},
                      {S("a"), arena_printf(&a, "%u", i % 3)},
                      {S("b"), arena_printf(&a, "%u", i % 4)},
                      {S("c"), arena_printf(&a, "%u", i)}};
        f64 v = 0;
        u32 jitter = pick(3) ? 0 : 3000;
        for (u32 k = 0; k < SAMPLES; k++) {
            i64 t = (i64)k * STEP_MS + 337 + (jitter ? pick(jitter) : 0);
            if (pick(20) == 0)
                continue;
            if (histograms && i % histograms == 0 && pick(2)) {
                Histogram h = {.count = k, .sum = v, .zero_count = k};
                assert_ok(mem_source_add(m, (Labels){l, 4}, t, 0, &h, 0, &why), &why);
                continue;
            }
            v = next_value(kind, v);
            f64 stored = pick(50) ? v : f64_from_bits(STALE_NAN_BITS);
            assert_ok(mem_source_add(m, (Labels){l, 4}, t, stored, NULL, 0, &why), &why);
        }
    }
    arena_done(&a);
}

static Err ask(MemSource *m, const PromEngineConfig *c, const char *text, i64 step, Arena *a, PromResult *ret,
               Why *why)
{
    bool is_range = step != 0;
    i64 end = (i64)SAMPLES * STEP_MS - pick(3) * 337;
    PromQuery q = {.text = str_c(text),
                   .start_ms = is_range ? (i64)pick(60) * 10000 : end,
                   .end_ms = end,
                   .step_ms = step,
                   .is_range = is_range};
    return promql_query(c, mem_source_face(m), &q, a, ret, why);
}

static bool same_value(f64 a, f64 b, f64 slack)
{
    if (f64_bits(a) == f64_bits(b) || (isnan(a) && isnan(b)))
        return true;
    return slack > 0 && fabs(a - b) <= slack * fmax(fabs(a), fabs(b));
}

static void compare(const char *text, const PromResult *want, const PromResult *got, f64 slack)
{
    if (want->series_len != got->series_len)
        fail_msg("%s: %u series, not %u", text, got->series_len, want->series_len);
    for (u32 i = 0; i < want->series_len; i++) {
        const PromSeries *x = &want->series[i], *y = &got->series[i];
        if (!labels_eq(x->labels, y->labels) || x->n != y->n)
            fail_msg("%s: series %u differs in labels or length (%u, %u)", text, i, x->n, y->n);
        for (u32 k = 0; k < x->n; k++) {
            const Histogram *h = x->h ? x->h[k] : NULL, *g = y->h ? y->h[k] : NULL;
            if (x->t[k] != y->t[k] || (h != NULL) != (g != NULL) || (h && !histogram_same(h, g)) ||
                (!h && !same_value(x->v[k], y->v[k], slack)))
                fail_msg("%s at %lld: %.17g, not %.17g (seed %llu)", text, (long long)x->t[k], y->v[k],
                         x->v[k], (unsigned long long)seed);
        }
    }
    assert_int_equal(want->notes_len, got->notes_len);
    for (u32 i = 0; i < want->notes_len; i++)
        assert_true(str_eq(want->notes[i].text, got->notes[i].text));
}

/* Both ways with the same times; returns how many points there were. */
static u64 both(MemSource *m, const PromEngineConfig *plain, const PromEngineConfig *other, bool bare,
                u32 page, const char *text, i64 step, f64 slack)
{
    Arena a;
    Why why;
    PromResult want, got;
    u64 points = 0, at = seed;
    arena_init(&a, NULL, 0);
    mem_source_offer(m, false, 0);
    Err e = ask(m, plain, text, step, &a, &want, &why);
    seed = at;
    mem_source_offer(m, bare, page);
    Err f = ask(m, other, text, step, &a, &got, &why);
    assert_int_equal(e, f);
    assert_ok(e, &why);
    compare(text, &want, &got, slack);
    for (u32 i = 0; i < want.series_len; i++)
        points += want.series[i].n;
    arena_done(&a);
    return points;
}

/* ---- pages ---- */

static void test_pages(void **state)
{
    static const struct {
        const char *fn;
        bool is_sum; /* exact only where sums are */
    } fns[] = {
        {"rate", false},
        {"increase", false},
        {"delta", false},
        {"resets", false},
        {"sum_over_time", true},
        {"avg_over_time", true},
        {"min_over_time", false},
        {"max_over_time", false},
        {"count_over_time", false},
        {"last_over_time", false},
        {"first_over_time", false},
        {"present_over_time", false},
        {"irate", false},
        {"stddev_over_time", false},
        {"absent_over_time", false},
        {"changes", false},
        {"ts_of_last_over_time", false},
        {"ts_of_first_over_time", false},
    };
    static const char *const ranges[] = {"3m", "17m", "41m", "11s", "7h"};
    PromEngineConfig c = {.features = PROMQL_EXPERIMENTAL_FUNCTIONS};
    for (u32 round = 0; round < 8; round++) {
        u64 points = 0;
        Kind kind = (Kind)(round % 5);
        seed = round + 1;
        MemSource *m = mem_source_new();
        fill(m, kind, round > 5 ? 3 : 0);
        for (u32 i = 0; i < COUNT_OF(fns); i++) {
            for (u32 r = 0; r < COUNT_OF(ranges); r++) {
                char text[128];
                snprintf(text, sizeof text, "%s(m_total[%s]%s)", fns[i].fn, ranges[r],
                         pick(4) ? "" : " offset 77s");
                bool inexact = kind != WHOLE_COUNTER && kind != WHOLE && fns[i].is_sum;
                points += both(m, &c, &c, false, 5 + pick(60), text, pick(3) ? 400000 + pick(100000) : 0,
                               inexact ? 1e-9 : 0);
            }
        }
        assert_true(points > 1000);
        mem_source_free(m);
    }
}

/* ---- aggregations ---- */

static const char *const inner[] = {
    "m_total",
    "rate(m_total[2m])",
    "abs(m_total)",
    "-m_total",
    "m_total * 2 > 10",
    "max_over_time(rate(m_total[2m])[5m:1m])",
    "{__name__=~\"m_.*\"}",
    "m_total @ 600",
    "timestamp(m_total)",
    "m_total offset 3m",
};
static const char *const outer[] = {"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"};
static const char *const by[] = {"",        "by (a)",       "by (b, a)", "without (c)", "without (b, zz)",
                                 "by (zz)", "by (__name__)"};

static void test_aggregations(void **state)
{
    PromEngineConfig c = {0};
    Pool *pool = pool_new("help", 2, 8);
    for (u32 round = 0; round < 12; round++) {
        u64 points = 0;
        Kind kind = (Kind)(round % 5);
        seed = 100 + round;
        MemSource *m = mem_source_new();
        fill(m, kind, round > 5 ? 2 : 0);
        PromEngineConfig sliced = {
            .slices = 1 + round % 4, .slice_series_min = 1, .helpers = round % 2 ? pool : NULL};
        for (u32 i = 0; i < COUNT_OF(inner); i++)
            for (u32 o = 0; o < COUNT_OF(outer); o++) {
                char text[200];
                const char *grouping = by[pick(COUNT_OF(by))];
                snprintf(text, sizeof text, "%s %s (%s)", outer[o], grouping, inner[i]);
                f64 slack = kind == WHOLE_COUNTER && o > 1 && o < 6 ? 0 : 1e-6;
                if (kind == EXTREME && (o < 2 || o > 5))
                    continue; /* sums of 1e308 with both signs depend on their order */
                points += both(m, &c, &sliced, true, 0, text, pick(3) ? 60000 : 0, slack);
            }
        assert_true(points > 1000);
        mem_source_free(m);
    }
    pool_free(pool);
}

/* Several queries at once over one pool that is too small for all: each is complete and the same every time. */
typedef struct Asker {
    MemSource *m;
    PromEngineConfig c;
    pthread_t thread;
    f64 sum;
} Asker;

static void *ask_often(void *arg)
{
    Asker *x = arg;
    for (u32 i = 0; i < 20; i++) {
        Arena a;
        PromResult r;
        Why why;
        arena_init(&a, NULL, 0);
        PromQuery q = {
            .text = S("sum(rate(m_total[5m]))"), .end_ms = 2000000, .step_ms = 30000, .is_range = true};
        if (promql_query(&x->c, mem_source_face(x->m), &q, &a, &r, &why) == OK && r.series_len == 1)
            for (u32 k = 0; k < r.series[0].n; k++)
                x->sum += r.series[0].v[k];
        arena_done(&a);
    }
    return NULL;
}

static void test_helpers_are_shared(void **state)
{
    Pool *pool = pool_new("help", 1, 2);
    MemSource *m = mem_source_new();
    Asker askers[4];
    seed = 7;
    fill(m, COUNTER, 0);
    mem_source_offer(m, true, 0);
    for (u32 i = 0; i < COUNT_OF(askers); i++) {
        askers[i] = (Asker){.m = m, .c = {.slices = 3, .slice_series_min = 1, .helpers = pool}};
        assert_int_equal(thread_start(&askers[i].thread, "ask", ask_often, &askers[i]), OK);
    }
    for (u32 i = 0; i < COUNT_OF(askers); i++)
        pthread_join(askers[i].thread, NULL);
    for (u32 i = 0; i < COUNT_OF(askers); i++)
        assert_true(askers[i].sum > 0 && f64_bits(askers[i].sum) == f64_bits(askers[0].sum));
    pool_free(pool);
    mem_source_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_aggregations),
        cmocka_unit_test(test_helpers_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
