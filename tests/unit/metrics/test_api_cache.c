/* Kept results of range queries: over data that changes in every way it may, the answer is what it would be without. */
#include "engine_help.h"

#include <math.h>

#include "metrics/api/impl.h"

static Bench b;
static ResultCache *cache;
static u64 seed;
static i64 now_ms;

static u32 pick(u32 n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (u32)(seed >> 33) % n;
}

static int start(void **state)
{
    bench_init(&b);
    bench_open(&b);
    cache = result_cache_new(NULL, 1 << 20);
    now_ms = BENCH_NOW_MS;
    seed = 1;
    return 0;
}

static int stop(void **state)
{
    result_cache_free(cache);
    bench_done(&b);
    return 0;
}

static void tick(i64 ms)
{
    now_ms += ms;
    virtual_clock_advance(&b.clock, ms * NS_PER_MS);
}

static void put(u32 i, i64 t, f64 v)
{
    char name[64];
    snprintf(name, sizeof name, "m%u_total{a=%u,b=%u}", i % 2, i / 2, i % 3);
    bench_put(&b, name, t, v);
}

static void scrape(u32 series, i64 t)
{
    for (u32 i = 0; i < series; i++)
        if (pick(30))
            put(i, t, pick(3) ? (f64)pick(100000) : pick(1000) / 7.0);
}

static Err ask(ResultCache *c, const char *text, i64 from, i64 to, i64 step, Arena *a, PromResult *ret,
               Why *why)
{
    PromEngineConfig config = {.features = PROMQL_EXPERIMENTAL_FUNCTIONS};
    PromQuery q = {.text = str_c(text),
                   .tenant = S("x"),
                   .start_ms = from,
                   .end_ms = to,
                   .step_ms = step,
                   .is_range = true};
    return cached_query(c, &config, b.e, metrics_source(b.e), &q, now_ms, a, ret, why);
}

static void same(const char *text, const PromResult *x, const PromResult *y)
{
    assert_int_equal(x->type, y->type);
    if (x->series_len != y->series_len)
        fail_msg("%s: %u series kept, %u fresh", text, y->series_len, x->series_len);
    for (u32 i = 0; i < x->series_len; i++) {
        const PromSeries *s = &x->series[i], *t = &y->series[i];
        if (!labels_eq(s->labels, t->labels) || s->n != t->n)
            fail_msg("%s: series %u: %u points kept, %u fresh", text, i, t->n, s->n);
        for (u32 k = 0; k < s->n; k++)
            if (s->t[k] != t->t[k] || f64_bits(s->v[k]) != f64_bits(t->v[k]))
                fail_msg("%s at %lld: %.17g kept, %.17g fresh", text, (long long)s->t[k], t->v[k], s->v[k]);
    }
    assert_int_equal(x->notes_len, y->notes_len);
}

static f64 hits(void)
{
    return metric_value(metric_counter("pharos_query_cache_hits_total", "", ""));
}

static const char *const queries[] = {
    "m0_total",
    "sum by (b) (rate(m0_total[2m]))",
    "rate(m1_total[1m]) / on (a) group_left sum by (a) (rate(m1_total[3m]))",
    "avg_over_time(m0_total[90s] offset 30s)",
    "topk(2, m1_total)",
    "max_over_time(sum(m0_total)[5m:30s])",
    "m0_total > 50000 or m1_total",
    "absent(m0_total{a=\"1\"})",
    "count_values(\"v\", floor(m0_total / 20000))",
    "m0_total offset -1m",         /* looks ahead */
    "m0_total - m0_total @ end()", /* depends on the query's end */
    "{a=\"1\"}",                   /* several names */
    "stddev(m0_total) + time()",
    "quantile by (b) (0.7, m1_total)",
    "vector(3)",
};

static void check_one(const char *text, i64 from, i64 to, i64 step)
{
    Arena a;
    Why why = {0};
    PromResult fresh, kept;
    arena_init(&a, NULL, 0);
    Err e = ask(NULL, text, from, to, step, &a, &fresh, &why),
        f = ask(cache, text, from, to, step, &a, &kept, &why);
    assert_int_equal(e, f);
    if (e == OK)
        same(text, &fresh, &kept);
    arena_done(&a);
}

static void change(u32 series)
{
    switch (pick(12)) {
    case 0: /* a late one */
        put(pick(series), now_ms - pick(1200000), pick(1000));
        return;
    case 1: { /* a deletion */
        Why why = {0};
        Matcher m;
        assert_ok(matcher_init(&m, MATCH_EQ, S("b"), S("1"), &why), &why);
        i64 from = now_ms - pick(1500000);
        assert_ok(metrics_delete(b.e, S("x"), (Matchers){&m, 1}, from, from + pick(100000), &why), &why);
        matcher_done(&m);
        return;
    }
    case 2: {
        Why why = {0};
        assert_ok(metrics_flush(b.e, &why), &why);
        return;
    }
    default:
        return;
    }
}

static void test_kept_is_as_good_as_fresh(void **state)
{
    f64 before = hits();
    u32 asked = 0;
    for (u32 i = 0; i < 80; i++, tick(15000))
        scrape(12, now_ms - pick(2000));
    for (u32 round = 0; round < 250; round++) {
        tick(1000 + pick(30000));
        scrape(10 + round % 6, now_ms - pick(2000));
        change(12);
        for (u32 k = 0; k < 3; k++, asked++) {
            i64 step = pick(2) ? 15000 : 60000, end = now_ms / step * step;
            end -= pick(3) ? 0 : pick(20) * step;
            i64 from = end - (i64)(10 + pick(60)) * 15000;
            check_one(queries[pick(COUNT_OF(queries))], from - from % step, end, step);
        }
    }
    printf("%g of %u range queries met kept results\n", hits() - before, asked);
    assert_true(hits() - before > asked / 10.0);
}

/* The memory stays below its limit whatever comes, and the newest are what is kept. */
static void test_memory_is_bounded(void **state)
{
    result_cache_free(cache);
    Account *parent = account_new("all", NULL, 0);
    cache = result_cache_new(parent, 100000);
    for (u32 i = 0; i < 40; i++, tick(15000))
        scrape(12, now_ms);
    tick(600000);
    for (u32 i = 0; i < 200; i++) {
        char text[64];
        snprintf(text, sizeof text, "m0_total + %u", i);
        check_one(text, now_ms - 1200000, now_ms - 600000, 15000);
        assert_true(account_used(parent) <= 100000);
    }
    f64 before = hits();
    check_one("m0_total + 199", now_ms - 1200000, now_ms - 600000, 15000);
    assert_true(hits() == before + 1);
    check_one("m0_total + 1", now_ms - 1200000, now_ms - 600000, 15000);
    assert_true(hits() == before + 1);
    result_cache_free(cache);
    cache = NULL;
    account_free(parent);
}

/* Other tenants, steps, phases and lookbacks are other entries. */
static void test_keys(void **state)
{
    for (u32 i = 0; i < 40; i++, tick(15000))
        scrape(4, now_ms);
    tick(600000);
    i64 end = now_ms - 600000;
    f64 before = hits();
    check_one("m0_total", end - 300000, end, 15000);
    check_one("m0_total", end - 300000, end, 30000);
    check_one("m0_total", end - 300001, end, 15000);
    assert_true(hits() == before);
    check_one(" m0_total ", end - 300000, end, 15000);
    assert_true(hits() == before + 1);
    check_one("m0_total", end - 150000, end + 150000, 15000);
    assert_true(hits() == before + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_is_as_good_as_fresh, start, stop),
        cmocka_unit_test_setup_teardown(test_memory_is_bounded, start, stop),
        cmocka_unit_test_setup_teardown(test_keys, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
