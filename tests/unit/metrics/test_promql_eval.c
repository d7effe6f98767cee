/* The evaluator as its callers see it: budgets, cancellation, orders, names, notes, results. */
#include "test.h"

#include <math.h>

#include "metrics/promql/memsource.h"

static MemSource *source;
static Arena arena;
static PromEngineConfig config;
static PromResult result;
static Why why;

static int start(void **state)
{
    source = mem_source_new();
    arena_init(&arena, NULL, 0);
    config = (PromEngineConfig){0};
    return 0;
}

static int stop(void **state)
{
    mem_source_free(source);
    arena_done(&arena);
    return 0;
}

static void load(const char *text)
{
    Labels l;
    SeriesPoint *p;
    u32 n;
    assert_ok(prom_parse_series(str_c(text), &arena, &l, &p, &n, &why), &why);
    for (u32 i = 0; i < n; i++)
        if (!p[i].is_omitted)
            assert_ok(mem_source_add(source, l, (i64)i * 60000, p[i].v, p[i].h, 0, &why), &why);
}

static Err range(const char *text, i64 from, i64 to, i64 step)
{
    PromQuery q = {.text = str_c(text), .start_ms = from, .end_ms = to, .step_ms = step, .is_range = true};
    return promql_query(&config, mem_source_face(source), &q, &arena, &result, &why);
}

static Err instant(const char *text, i64 t)
{
    PromQuery q = {.text = str_c(text), .start_ms = t, .end_ms = t};
    return promql_query(&config, mem_source_face(source), &q, &arena, &result, &why);
}

static const char *labels_text(u32 i)
{
    Buf b;
    buf_init(&b, 4096);
    labels_print(&b, result.series[i].labels);
    Str s = arena_dup(&arena, buf_view(&b));
    buf_done(&b);
    return s.at;
}

/* ---- results ---- */

static void test_types_of_results(void **state)
{
    load("a{x=\"1\"} 1 2 3");
    load("a{x=\"0\"} 4 5 6");
    assert_ok(instant("a", 60000), &why);
    assert_int_equal(result.type, PROM_VECTOR);
    assert_int_equal(result.series_len, 2);
    assert_string_equal(labels_text(0), "a{x=\"0\"}");
    assert_true(result.series[0].v[0] == 5 && result.series[0].t[0] == 60000 && !result.series[0].h);
    assert_ok(instant("a[2m]", 120000), &why);
    assert_int_equal(result.type, PROM_MATRIX);
    assert_int_equal(result.series[1].n, 2);
    assert_ok(instant("1 + 1", 7000), &why);
    assert_int_equal(result.type, PROM_SCALAR);
    assert_true(result.scalar == 2 && result.t == 7000);
    assert_ok(instant("\"text\"", 0), &why);
    assert_int_equal(result.type, PROM_STRING);
    assert_str(result.string, "text");
    assert_ok(range("time()", 0, 120000, 60000), &why);
    assert_int_equal(result.type, PROM_MATRIX);
    assert_int_equal(result.series_len, 1);
    assert_int_equal(result.series[0].labels.len, 0);
    assert_true(result.series[0].n == 3 && result.series[0].v[2] == 120);
    assert_ok(range("nothing", 0, 120000, 60000), &why);
    assert_int_equal(result.series_len, 0);
}

static void test_orders(void **state)
{
    load("a{x=\"1\"} 1");
    load("a{x=\"2\"} 3");
    load("a{x=\"3\"} 2");
    assert_ok(instant("sort_desc(a)", 0), &why);
    assert_true(result.series[0].v[0] == 3 && result.series[2].v[0] == 1);
    assert_ok(instant("(topk(2, a))", 0), &why);
    assert_true(result.series[0].v[0] == 3 && result.series[1].v[0] == 2);
    assert_ok(instant("sort_desc(a) * 1", 0), &why);
    assert_string_equal(labels_text(0), "{x=\"1\"}");
    assert_ok(range("sort_desc(a)", 0, 60000, 60000), &why);
    assert_string_equal(labels_text(0), "a{x=\"1\"}");
}

static void test_mixed_points_keep_their_order(void **state)
{
    load("m 1 {{schema:0 count:3 sum:2 buckets:[3]}} 2");
    assert_ok(range("m", 0, 120000, 60000), &why);
    assert_int_equal(result.series[0].n, 3);
    assert_true(result.series[0].h && !result.series[0].h[0] && result.series[0].h[1] &&
                !result.series[0].h[2]);
    assert_true(result.series[0].v[2] == 2 && result.series[0].h[1]->count == 3);
}

/* ---- names ---- */

static void test_names_go_now_or_later(void **state)
{
    load("a_total{x=\"1\"} 0+60x5");
    load("b_total{x=\"1\"} 0+60x5");
    assert_ok(range("rate(a_total[5m])", 300000, 300000, 1000), &why);
    assert_string_equal(labels_text(0), "{x=\"1\"}");
    /* Two series that differ in nothing but the name. */
    assert_int_equal(range("rate({x=\"1\"}[5m])", 300000, 300000, 1000), E_EXEC);
    assert_string_equal(why.text, "vector cannot contain metrics with the same labelset");
    assert_int_equal(instant("abs({x=\"1\"})", 300000), E_EXEC);
    assert_int_equal(instant("-{x=\"1\"}", 300000), E_EXEC);
    assert_int_equal(instant("sum({x=\"1\"} * 2)", 300000), E_EXEC);
    assert_ok(instant("absent_over_time({x=\"1\"}[5m])", 300000), &why);
    assert_int_equal(result.series_len, 0);
    config.features = PROMQL_DELAYED_NAME_REMOVAL;
    assert_int_equal(instant("rate({x=\"1\"}[5m])", 300000), E_EXEC);
    assert_ok(instant("count(sum by (__name__) (rate({x=\"1\"}[5m])))", 300000), &why);
    assert_true(result.series[0].v[0] == 2);
    assert_ok(instant("label_replace(rate({x=\"1\"}[5m]), \"n\", \"$1\", \"__name__\", \"(.*)\")", 300000),
              &why);
    assert_int_equal(result.series_len, 2);
    assert_string_equal(labels_text(0), "{n=\"a_total\", x=\"1\"}");
}

/* ---- budgets ---- */

static void fill(u32 series, u32 points)
{
    for (u32 i = 0; i < series; i++) {
        Label l[2] = {{LABEL_NAME, S("m")}, {S("i"), arena_printf(&arena, "%u", i)}};
        if (str_cmp(l[0].name, l[1].name) > 0) {
            Label swap = l[0];
            l[0] = l[1];
            l[1] = swap;
        }
        for (u32 k = 0; k < points; k++)
            assert_ok(mem_source_add(source, (Labels){l, 2}, k * 1000, i + k, NULL, 0, &why), &why);
    }
}

static void test_samples_limit(void **state)
{
    fill(200, 100);
    config.samples_max = 1000;
    assert_int_equal(range("m", 0, 99000, 1000), E_LIMIT);
    assert_string_equal(why.text,
                        "query processing would load too many samples into memory in query execution "
                        "(query.max-samples is 1000)");
    /* What is folded as it comes does not count. */
    assert_ok(range("sum(m)", 0, 99000, 1000), &why);
    assert_true(result.series[0].n == 100 && result.series[0].v[0] == 199 * 200 / 2);
    assert_true(result.samples_read == 20000 && result.samples_peak <= 1000);
    assert_int_equal(range("topk(3, m)", 0, 99000, 1000), E_LIMIT);
    assert_int_equal(instant("sum_over_time(m[100s:1ms])", 99000), E_LIMIT);
    assert_int_equal(instant("m[100s]", 99000), E_LIMIT);
}

static void test_memory_limit(void **state)
{
    fill(200, 100);
    config.memory_max = 200000;
    assert_int_equal(range("m + on(i) m", 0, 99000, 100), E_LIMIT);
    assert_ok(range("sum(m)", 0, 99000, 1000), &why);
    Account *account = account_new("queries", NULL, 0);
    config.account = account;
    config.memory_max = 0;
    assert_ok(range("m + on(i) m", 0, 99000, 1000), &why);
    assert_int_equal(account_used(account), 0);
    assert_true(account_peak(account) > 0);
    config.account = NULL;
    account_free(account);
}

static void test_cancel_and_deadline(void **state)
{
    fill(10, 10);
    Cancel cancel = {true};
    VirtualClock clock;
    virtual_clock_init(&clock, 0);
    PromQuery q = {.text = S("sum(m)"), .cancel = &cancel};
    assert_int_equal(promql_query(&config, mem_source_face(source), &q, &arena, &result, &why), E_CANCELED);
    assert_string_equal(why.text, "query was canceled in expression evaluation");
    q.cancel = NULL;
    q.deadline = deadline_in_ms(&clock.clock, 1000);
    assert_ok(promql_query(&config, mem_source_face(source), &q, &arena, &result, &why), &why);
    virtual_clock_advance(&clock, 2 * NS_PER_SEC);
    assert_int_equal(promql_query(&config, mem_source_face(source), &q, &arena, &result, &why), E_TIMEOUT);
    assert_string_equal(why.text, "query timed out in expression evaluation");
}

static void test_bad_queries(void **state)
{
    assert_int_equal(instant("sum(", 0), E_PARSE);
    assert_int_equal(range("a[5m]", 0, 1000, 1000), E_INVALID);
    assert_string_equal(
        why.text,
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector");
    assert_int_equal(range("a", 0, 1000, 0), E_INVALID);
    assert_int_equal(range("a", 1000, 0, 1000), E_INVALID);
    assert_int_equal(range("a", 0, INT64_MAX, 1000), E_INVALID);
    assert_int_equal(range("a", 0, 1ll << 50, 1), E_LIMIT);
    config.features = PROMQL_DURATION_EXPR;
    assert_int_equal(instant("a[1m-1m]", 0), E_INVALID);
}

/* Extremes of what can be written must not overflow. */
static void test_far_times(void **state)
{
    static const char *const queries[] = {
        "m offset 292y",
        "m offset -292y",
        "m[292y]",
        "m[292y:1y]",
        "m @ 1e15",
        "m @ -1e15",
        "rate(m[292y] offset -292y)",
        "sum_over_time(m[1y:1y] @ 9e14)",
        "m offset 100y @ end()",
        "predict_linear(m[200y] offset 90y, 1e300)",
    };
    load("m 1 2 3");
    for (u32 i = 0; i < COUNT_OF(queries); i++)
        for (i64 t = -(INT64_MAX / 8); t < INT64_MAX / 8; t += INT64_MAX / 16)
            (void)instant(queries[i], t);
}

/* ---- sources ---- */

typedef struct CountingSource {
    PromSource face;
    PromSource *inner;
    u32 selects, open;
    SelectHints last;
    Err fail_next;
} CountingSource;
typedef struct CountingCursor {
    SeriesCursor face;
    SeriesCursor *inner;
    CountingSource *source;
} CountingCursor;

static Err counting_next(SeriesCursor *c, SeriesView *ret, u32 max, u32 *ret_n, Why *w)
{
    CountingCursor *cc = (CountingCursor *)c;
    if (cc->source->fail_next)
        return why_set(w, cc->source->fail_next, "the disk is gone");
    return cc->inner->next(cc->inner, ret, max, ret_n, w);
}

static void counting_close(SeriesCursor *c)
{
    CountingCursor *cc = (CountingCursor *)c;
    cc->source->open--;
    cc->inner->close(cc->inner);
}

static Err counting_select(PromSource *s, Str tenant, Matchers m, const SelectHints *h, Arena *a,
                           Cancel *cancel, SeriesCursor **ret, Why *w)
{
    CountingSource *cs = (CountingSource *)s;
    CountingCursor *c = arena_new(a, CountingCursor);
    *c = (CountingCursor){{counting_next, counting_close}, NULL, cs};
    TRY(cs->inner->select(cs->inner, tenant, m, h, a, cancel, &c->inner, w));
    cs->selects++;
    cs->open++;
    cs->last = *h;
    *ret = &c->face;
    return OK;
}

static void test_cursors_are_closed_and_errors_pass(void **state)
{
    load("m 1 2 3");
    CountingSource cs = {.face = {.select = counting_select}, .inner = mem_source_face(source)};
    PromQuery q = {
        .text = S("sum(rate(m[5m])) + count(m) or vector(1)"), .start_ms = 120000, .end_ms = 120000};
    assert_ok(promql_query(&config, &cs.face, &q, &arena, &result, &why), &why);
    assert_int_equal(cs.selects, 2);
    assert_int_equal(cs.open, 0);
    cs.fail_next = E_IO;
    assert_int_equal(promql_query(&config, &cs.face, &q, &arena, &result, &why), E_IO);
    assert_string_equal(why.text, "the disk is gone");
    assert_int_equal(cs.open, 0);
}

static void test_the_same_samples_are_read_once(void **state)
{
    load("m 1 2 3");
    CountingSource cs = {.face = {.select = counting_select}, .inner = mem_source_face(source)};
    PromQuery q = {.start_ms = 120000, .end_ms = 120000};
    static const struct {
        const char *text;
        u32 selects;
        f64 value;
    } cases[] = {
        {"m / m", 1, 1},
        {"m - m offset 1m", 2, 1},
        {"rate(m[5m]) / rate(m[5m])", 1, 1},
        {"sum(m) + count(m) + max(m{})", 1, 7},
        {"m{a=\"\"} + m", 2, 6},
        {"count_over_time(m[2m]) + count_over_time(m[1m])", 2, 3},
        {"m @ 60 + m @ 60", 1, 4},
        {"sum_over_time(m[2m:1m]) + sum_over_time(m[2m:1m])", 1, 10},
    };
    for (u32 i = 0; i < COUNT_OF(cases); i++) {
        cs.selects = 0;
        q.text = str_c(cases[i].text);
        assert_ok(promql_query(&config, &cs.face, &q, &arena, &result, &why), &why);
        assert_int_equal(result.series_len, 1);
        if (result.series[0].v[0] != cases[i].value || cs.selects != cases[i].selects)
            fail_msg("%s: %g after %u reads", cases[i].text, result.series[0].v[0], cs.selects);
    }
}

static void test_hints(void **state)
{
    CountingSource cs = {.face = {.select = counting_select}, .inner = mem_source_face(source)};
    PromQuery q = {
        .text = S("sum(rate(m[5m] offset 1m))"), .start_ms = 600000, .end_ms = 900000, .step_ms = 60000};
    assert_ok(promql_query(&config, &cs.face, &q, &arena, &result, &why), &why);
    assert_int_equal(cs.last.mint, 600000 - 60000 - 300000 + 1);
    assert_int_equal(cs.last.maxt, 900000 - 60000);
    assert_int_equal(cs.last.range_ms, 300000);
    assert_int_equal(cs.last.step_ms, 60000);
    assert_str(cs.last.func, "rate");
}

/* ---- notes ---- */

static void test_notes_have_places(void **state)
{
    load("m 1 2 3");
    assert_ok(instant("sum(\n  rate(m[5m])\n)", 120000), &why);
    assert_int_equal(result.notes_len, 1);
    assert_true(result.notes[0].is_info);
    assert_str(result.notes[0].text, "PromQL info: metric might not be a counter, name does not end in "
                                     "_total/_sum/_count/_bucket: \"m\" (2:8)");
}

/* ---- agreement of ways ---- */

/* Whether steps are evaluated together or one by one must not matter. */
static void test_ranges_agree_with_instants(void **state)
{
    static const char *const queries[] = {
        "rate(c[3m])",
        "increase(c[90s])",
        "delta(c[5m])",
        "sum_over_time(f[4m])",
        "avg_over_time(f[4m])",
        "avg_over_time(c[4m])",
        "sum_over_time(c[4m])",
        "max_over_time(f[3m])",
        "min_over_time(f[3m])",
        "last_over_time(f[2m])",
        "count_over_time(f[3m])",
        "changes(f[5m])",
        "resets(c[5m])",
        "quantile_over_time(0.9, f[5m])",
        "sum(f) by (x)",
        "avg(c)",
        "topk(1, c)",
        "f + on(x) c",
        "c > 30",
        "f or c",
        "f unless c > 20",
        "stddev(c)",
        "deriv(c[5m])",
        "max_over_time(rate(c[2m])[4m:1m])",
        "f offset 2m",
        "absent(f{x=\"1\"})",
        "histogram_quantile(0.5, c)",
        "count_values(\"v\", c)",
        "irate(c[3m])",
        "sort(c)",
        "limitk(1, c)",
    };
    config.features = PROMQL_EXPERIMENTAL_FUNCTIONS;
    load("c{x=\"1\"} 0+7x10 0+3x10 _x3 5 stale 6 7");
    load("c{x=\"2\"} 10+1x5 3 NaN 4 1 2 0+1x10");
    load("f{x=\"1\"} 0.1+0.3x12 -5 1e17 2 -1e17 _ 3 NaN NaN NaN NaN 4");
    load("f{x=\"2\"} _x6 1+0.7x4 _x6 9.3-0.1x7");
    for (u32 i = 0; i < COUNT_OF(queries); i++) {
        assert_ok(range(queries[i], -60000, 1800000, 30000), &why);
        PromResult all = result;
        u64 points = 0, found = 0;
        for (u32 s = 0; s < all.series_len; s++)
            points += all.series[s].n;
        for (i64 t = -60000; t <= 1800000; t += 30000) {
            assert_ok(instant(queries[i], t), &why);
            for (u32 k = 0; k < result.series_len; k++) {
                bool same = false;
                for (u32 s = 0; s < all.series_len; s++)
                    for (u32 n = 0;
                         n < all.series[s].n && labels_eq(all.series[s].labels, result.series[k].labels); n++)
                        same |= all.series[s].t[n] == t &&
                                (f64_bits(all.series[s].v[n]) == f64_bits(result.series[k].v[0]) ||
                                 (isnan(all.series[s].v[n]) && isnan(result.series[k].v[0])));
                if (!same)
                    fail_msg("%s at %lld: %.17g not in the range result", queries[i], (long long)t,
                             result.series[k].v[0]);
                found++;
            }
        }
        assert_int_equal(points, found);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_types_of_results),
        TEST(test_orders),
        TEST(test_mixed_points_keep_their_order),
        TEST(test_names_go_now_or_later),
        TEST(test_samples_limit),
        TEST(test_memory_limit),
        TEST(test_cancel_and_deadline),
        TEST(test_bad_queries),
        TEST(test_far_times),
        TEST(test_cursors_are_closed_and_errors_pass),
        TEST(test_the_same_samples_are_read_once),
        TEST(test_hints),
        TEST(test_notes_have_places),
        TEST(test_ranges_agree_with_instants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
