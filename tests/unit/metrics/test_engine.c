#include "engine_help.h"

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

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(test_road)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
