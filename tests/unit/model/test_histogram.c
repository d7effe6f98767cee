/* Native histograms: checks, and properties of their arithmetic over random ones. */
#include "test.h"

#include <math.h>

#include "model/model.h"

static Arena arena;
static u64 seed = 88172645463325252ull;

static u32 below(u32 n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (u32)(seed % n);
}

static void random_side(HistSpan **spans, u32 *spans_len, f64 **v, u32 *len)
{
    *spans_len = below(4);
    *spans = arena_zalloc(&arena, sizeof(HistSpan) * 4);
    *v = arena_zalloc(&arena, sizeof(f64) * 32);
    *len = 0;
    for (u32 i = 0; i < *spans_len; i++) {
        (*spans)[i] = (HistSpan){i ? (i32)below(5) : (i32)below(40) - 20, below(6)};
        for (u32 k = 0; k < (*spans)[i].length; k++)
            (*v)[(*len)++] = below(4) ? below(100) : 0;
    }
}

static f64 bucket_sum(const Histogram *h)
{
    f64 sum = h->zero_count;
    for (u32 i = 0; i < h->pos_len; i++)
        sum += h->pos[i];
    for (u32 i = 0; i < h->neg_len; i++)
        sum += h->neg[i];
    return sum;
}

/* Where the innermost populated bucket begins: as far as the zero bucket may reach. */
static f64 innermost(const Histogram *h)
{
    f64 inner = 1;
    for (int positive = 0; positive < 2; positive++) {
        HistCursor c = histogram_side(h, positive, false);
        i32 index;
        f64 n;
        while (histogram_side_next(&c, &index, &n))
            if (n != 0)
                inner = fmin(inner, histogram_bound(h, index - 1));
    }
    return inner;
}

static Histogram *random_histogram(void)
{
    Histogram *h = arena_new(&arena, Histogram);
    h->schema = (i32)below(13) - 4;
    random_side(&h->pos_spans, &h->pos_spans_len, &h->pos, &h->pos_len);
    random_side(&h->neg_spans, &h->neg_spans_len, &h->neg, &h->neg_len);
    h->zero_threshold = below(2) ? 0 : below(2) ? innermost(h) : innermost(h) / 3;
    h->zero_count = below(10);
    histogram_compact(&arena, h);
    h->count = bucket_sum(h);
    h->sum = (f64)below(1000) - 500;
    return h;
}

static Histogram *custom_histogram(const f64 *bounds, u32 n, const f64 *counts)
{
    Histogram *h = arena_new(&arena, Histogram);
    h->schema = HIST_SCHEMA_CUSTOM;
    h->custom = arena_zalloc(&arena, sizeof(f64) * (n + 1));
    h->pos = arena_zalloc(&arena, sizeof(f64) * (n + 1));
    h->pos_spans = arena_new(&arena, HistSpan);
    *h->pos_spans = (HistSpan){0, n + 1};
    h->pos_spans_len = 1;
    h->pos_len = n + 1;
    h->custom_len = n;
    for (u32 i = 0; i <= n; i++) {
        h->pos[i] = counts[i];
        h->count += counts[i];
        if (i < n)
            h->custom[i] = bounds[i];
    }
    return h;
}

static const char *text_of(const Histogram *h, bool for_tests)
{
    static char text[4][4096];
    static int turn;
    char *to = text[turn++ & 3];
    Buf b;
    buf_init(&b, 4000);
    if (for_tests)
        histogram_print_test(&b, h);
    else
        histogram_print(&b, h);
    snprintf(to, 4096, "%.*s", STR_FMT(buf_view(&b)));
    buf_done(&b);
    return to;
}

/* The same buckets, empty ones aside. */
static bool same_buckets(const Histogram *a, const Histogram *b)
{
    return a->schema == b->schema && strcmp(text_of(a, false), text_of(b, false)) == 0;
}

/* ---- checks, copies ---- */

static void test_check_accepts_and_refuses(void **state)
{
    Why why;
    for (int i = 0; i < 1000; i++) {
        Histogram *h = random_histogram();
        assert_ok(histogram_check(h, &why), &why);
        h->is_int = true;
        assert_ok(histogram_check(h, &why), &why);
    }
    Histogram *h = random_histogram();
    h->count += 1;
    assert_ok(histogram_check(h, &why), &why);
    h->is_int = true;
    assert_int_equal(histogram_check(h, &why), E_INVALID);
    h->sum = NAN; /* NaN observations are in no bucket */
    assert_ok(histogram_check(h, &why), &why);
    HistSpan spans[2] = {{0, 1}, {-1, 1}};
    f64 v[2] = {1, 1};
    Histogram bad = {.schema = 9};
    assert_int_equal(histogram_check(&bad, &why), E_INVALID);
    bad = (Histogram){.pos_spans = spans, .pos_spans_len = 2, .pos = v, .pos_len = 2};
    assert_int_equal(histogram_check(&bad, &why), E_INVALID);
    bad.pos_spans_len = 1;
    assert_int_equal(histogram_check(&bad, &why), E_INVALID);
    bad.pos_len = 1;
    assert_ok(histogram_check(&bad, &why), &why);
    v[0] = -1;
    assert_int_equal(histogram_check(&bad, &why), E_INVALID);
    v[0] = NAN;
    assert_int_equal(histogram_check(&bad, &why), E_INVALID);
    HistSpan huge[2] = {{0, 1}, {INT32_MAX, UINT32_MAX}};
    bad = (Histogram){.pos_spans = huge, .pos_spans_len = 2, .pos = v, .pos_len = 0};
    assert_int_equal(histogram_check(&bad, &why), E_INVALID);
}

static void test_check_of_custom_bounds(void **state)
{
    Why why;
    Histogram *h = custom_histogram((f64[]){1, 2, 3}, 3, (f64[]){1, 2, 3, 4});
    assert_ok(histogram_check(h, &why), &why);
    h->custom[1] = 1;
    assert_int_equal(histogram_check(h, &why), E_INVALID);
    h->custom[1] = NAN;
    assert_int_equal(histogram_check(h, &why), E_INVALID);
    h->custom[1] = 2;
    h->custom_len = 2;
    assert_int_equal(histogram_check(h, &why), E_INVALID);
    h->custom_len = 3;
    h->zero_count = 1;
    assert_int_equal(histogram_check(h, &why), E_INVALID);
}

static void test_copies_are_equal_and_apart(void **state)
{
    for (int i = 0; i < 200; i++) {
        Histogram *h = random_histogram(), *copy = histogram_dup(&arena, h);
        assert_true(histogram_eq(h, copy));
        assert_true(histogram_same(h, copy));
        copy->hint = HIST_GAUGE;
        assert_false(histogram_eq(h, copy));
        assert_true(histogram_same(h, copy));
        if (copy->pos_len) {
            copy->pos[0] += 1;
            assert_false(histogram_same(h, copy));
        }
    }
}

/* ---- arithmetic ---- */

static void test_add_then_subtract_is_nothing(void **state)
{
    for (int i = 0; i < 3000; i++) {
        Histogram *a = random_histogram(), *b = random_histogram();
        a->zero_threshold = b->zero_threshold = 0;
        Histogram *r = histogram_dup(&arena, a), *want = histogram_dup(&arena, a);
        assert_int_equal(histogram_add(&arena, r, b), 0);
        assert_true(r->count == a->count + b->count && r->schema == MIN(a->schema, b->schema));
        assert_int_equal(histogram_sub(&arena, r, b), 0);
        histogram_reduce(&arena, want, b->schema);
        histogram_compact(&arena, r);
        histogram_compact(&arena, want);
        assert_true(same_buckets(r, want));
        assert_true(r->count == a->count && r->sum == a->sum);
        arena_reset(&arena);
    }
}

static void test_sums_keep_every_observation(void **state)
{
    for (int i = 0; i < 3000; i++) {
        Histogram *a = random_histogram(), *b = random_histogram();
        HistSum s = {.h = *histogram_dup(&arena, a)};
        Histogram *plain = histogram_dup(&arena, a);
        assert_int_equal(histogram_sum_add(&arena, &s, b), 0);
        histogram_sum_end(&arena, &s);
        histogram_add(&arena, plain, b);
        assert_true(bucket_sum(plain) == a->count + b->count);
        assert_true(bucket_sum(&s.h) == a->count + b->count);
        assert_true(same_buckets(&s.h, plain));
        assert_true(plain->zero_threshold >= MAX(a->zero_threshold, b->zero_threshold));
        assert_int_equal(histogram_check(plain, NULL), OK);
        arena_reset(&arena);
    }
}

static void test_adding_does_not_depend_on_order(void **state)
{
    for (int i = 0; i < 2000; i++) {
        Histogram *a = random_histogram(), *b = random_histogram();
        Histogram *ab = histogram_dup(&arena, a), *ba = histogram_dup(&arena, b);
        histogram_add(&arena, ab, b);
        histogram_add(&arena, ba, a);
        assert_true(same_buckets(ab, ba));
        arena_reset(&arena);
    }
}

static void test_reduction_keeps_count_and_sum(void **state)
{
    for (int i = 0; i < 2000; i++) {
        Histogram *h = random_histogram(), *r = histogram_dup(&arena, h);
        i32 to = (i32)below(13) - 4;
        histogram_reduce(&arena, r, to);
        assert_int_equal(r->schema, MIN(h->schema, to));
        assert_true(bucket_sum(r) == bucket_sum(h) && r->count == h->count && r->sum == h->sum);
        assert_true(r->pos_len <= h->pos_len && r->neg_len <= h->neg_len);
        assert_int_equal(histogram_check(r, NULL), OK);
        /* In two strides or in one. */
        Histogram *twice = histogram_dup(&arena, h);
        histogram_reduce(&arena, twice, to + 1);
        histogram_reduce(&arena, twice, to);
        assert_true(same_buckets(r, twice));
        arena_reset(&arena);
    }
}

static void test_compensation_keeps_what_is_small(void **state)
{
    f64 counts[2] = {1e16, 0};
    HistSum s = {.h = *custom_histogram((f64[]){1}, 1, counts)};
    Histogram *one = custom_histogram((f64[]){1}, 1, (f64[]){1, 0});
    for (int i = 0; i < 10; i++)
        histogram_sum_add(&arena, &s, one);
    histogram_sum_end(&arena, &s);
    assert_true(s.h.pos[0] == 1e16 + 10 && s.h.count == 1e16 + 10);
}

static void test_different_custom_bounds_meet_in_the_common_ones(void **state)
{
    Histogram *a = custom_histogram((f64[]){1, 2, 3}, 3, (f64[]){1, 2, 3, 4});
    Histogram *b = custom_histogram((f64[]){0.5, 2, 4}, 3, (f64[]){1, 1, 1, 1});
    assert_int_equal(histogram_add(&arena, a, b), HIST_BOUNDS_RECONCILED);
    assert_string_equal(text_of(a, true), "{{schema:-53 count:14 custom_values:[2] buckets:[5 9]}}");
    Histogram *c = custom_histogram((f64[]){7}, 1, (f64[]){2, 2});
    assert_int_equal(histogram_sub(&arena, a, c), HIST_BOUNDS_RECONCILED);
    assert_string_equal(text_of(a, true), "{{schema:-53 count:10 custom_values:[] buckets:[10]}}");
    assert_int_equal(histogram_add(&arena, a, random_histogram()), HIST_INCOMPATIBLE);
}

static void test_hints_of_sums(void **state)
{
    static const struct {
        u8 a, b, want;
        u32 flags;
    } cases[] = {
        {HIST_GAUGE, HIST_RESET, HIST_GAUGE, 0},
        {HIST_NO_RESET, HIST_GAUGE, HIST_GAUGE, 0},
        {HIST_UNKNOWN_RESET, HIST_RESET, HIST_UNKNOWN_RESET, 0},
        {HIST_NO_RESET, HIST_UNKNOWN_RESET, HIST_UNKNOWN_RESET, 0},
        {HIST_NO_RESET, HIST_NO_RESET, HIST_NO_RESET, 0},
        {HIST_NO_RESET, HIST_RESET, HIST_UNKNOWN_RESET, HIST_RESET_COLLISION},
    };
    for (u32 i = 0; i < COUNT_OF(cases); i++) {
        Histogram a = {.hint = cases[i].a}, b = {.hint = cases[i].b};
        assert_int_equal(histogram_add(&arena, &a, &b), cases[i].flags);
        assert_int_equal(a.hint, cases[i].want);
    }
}

static void test_scaling(void **state)
{
    for (int i = 0; i < 500; i++) {
        Histogram *h = random_histogram(), *r = histogram_dup(&arena, h);
        histogram_mul(&arena, r, 4);
        histogram_div(&arena, r, 4);
        assert_true(histogram_same(h, r));
        histogram_mul(&arena, r, -1);
        assert_int_equal(r->hint, HIST_GAUGE);
        histogram_div(&arena, r, 0);
        assert_int_equal(r->pos_len + r->neg_len, 0);
        assert_false(isfinite(r->sum));
    }
}

/* ---- resets ---- */

static void test_growth_is_no_reset_and_loss_is(void **state)
{
    for (int i = 0; i < 2000; i++) {
        Histogram *a = random_histogram(), *more = random_histogram();
        a->zero_threshold = more->zero_threshold = 0;
        Histogram *later = histogram_dup(&arena, a);
        histogram_add(&arena, later, more);
        assert_false(histogram_is_reset(&arena, later, a));
        if (a->count > 0 && later->schema == a->schema) {
            later->count = a->count - 1;
            assert_true(histogram_is_reset(&arena, later, a));
            later->count = a->count;
        }
        for (u32 k = 0; k < a->pos_len; k++) {
            if (a->pos[k] == 0)
                continue;
            Histogram *lost = histogram_dup(&arena, a);
            lost->pos[k] -= 1;
            assert_true(histogram_is_reset(&arena, lost, a));
        }
        Histogram *hinted = histogram_dup(&arena, a);
        hinted->hint = HIST_RESET;
        assert_true(histogram_is_reset(&arena, hinted, a));
        hinted->hint = HIST_NO_RESET;
        hinted->count = 0;
        assert_false(histogram_is_reset(&arena, hinted, a));
        arena_reset(&arena);
    }
}

/* ---- what they tell ---- */

static void test_quantiles_rise_and_fractions_undo_them(void **state)
{
    u32 remarks;
    for (int i = 0; i < 2000; i++) {
        Histogram *h = random_histogram();
        if (h->count == 0)
            continue;
        f64 last = -INFINITY;
        for (int k = 0; k <= 20; k++) {
            f64 q = k / 20.0, v = histogram_quantile(h, q, &remarks);
            assert_true(v >= last - 1e-9 * fabs(last));
            last = v;
            f64 below_v = histogram_fraction(h, -INFINITY, v, &remarks);
            if (q > 0 && q < 1 && isfinite(v) && v != 0)
                assert_true(below_v >= q - 1e-6 || h->zero_count > 0);
        }
        assert_true(histogram_quantile(h, -1, &remarks) == -INFINITY);
        assert_true(histogram_quantile(h, 2, &remarks) == INFINITY);
        assert_true(isnan(histogram_quantile(h, NAN, &remarks)));
        assert_true(fabs(histogram_fraction(h, -INFINITY, INFINITY, &remarks) - 1) < 1e-9);
        assert_true(histogram_fraction(h, 1, 1, &remarks) == 0);
        arena_reset(&arena);
    }
}

static void test_trimming_splits_the_count(void **state)
{
    for (int i = 0; i < 2000; i++) {
        Histogram *h = random_histogram(), *low = histogram_dup(&arena, h), *high = histogram_dup(&arena, h);
        f64 cut = ldexp((f64)below(100) - 50, (int)below(20) - 10);
        histogram_trim(&arena, low, cut, true);
        histogram_trim(&arena, high, cut, false);
        assert_true(fabs(low->count + high->count - h->count) <= 1e-9 * (h->count + 1));
        assert_int_equal(histogram_check(low, NULL), OK);
        assert_int_equal(histogram_check(high, NULL), OK);
        arena_reset(&arena);
    }
}

static void test_iteration_is_ordered_both_ways(void **state)
{
    for (int i = 0; i < 500; i++) {
        Histogram *h = random_histogram();
        f64 up = 0, down = 0, last = -INFINITY;
        HistIter it;
        HistBucket b;
        histogram_iter(&it, h, false);
        while (histogram_next(&it, &b)) {
            assert_true(b.lower >= last || h->zero_threshold > 0);
            last = b.lower;
            up += b.count;
        }
        histogram_iter(&it, h, true);
        last = INFINITY;
        while (histogram_next(&it, &b)) {
            assert_true(b.upper <= last || h->zero_threshold > 0);
            last = b.upper;
            down += b.count;
        }
        assert_true(up == h->count && down == h->count);
    }
}

static void test_bounds(void **state)
{
    Histogram h = {.schema = 0};
    assert_true(histogram_bound(&h, 0) == 1 && histogram_bound(&h, 3) == 8 && histogram_bound(&h, -1) == 0.5);
    assert_true(histogram_bound(&h, 1024) == 0x1.fffffffffffffp1023 && histogram_bound(&h, 1025) == INFINITY);
    h.schema = -4;
    assert_true(histogram_bound(&h, 1) == 65536 && histogram_bound(&h, 64) == 0x1.fffffffffffffp1023);
    for (i32 schema = 1; schema <= 8; schema++) {
        h.schema = schema;
        Histogram coarser = {.schema = schema - 1};
        for (i32 k = -300; k < 300; k++) {
            assert_true(histogram_bound(&h, 2 * k) == histogram_bound(&coarser, k));
            assert_true(histogram_bound(&h, k) < histogram_bound(&h, k + 1));
        }
    }
}

static void test_printing(void **state)
{
    HistSpan pos = {0, 2}, neg = {0, 2};
    f64 p[2] = {1, 2}, n[2] = {1, 2};
    Histogram h = {.count = 20,
                   .sum = 10,
                   .zero_threshold = 0.001,
                   .zero_count = 2,
                   .pos_spans = &pos,
                   .neg_spans = &neg,
                   .pos = p,
                   .neg = n,
                   .pos_spans_len = 1,
                   .neg_spans_len = 1,
                   .pos_len = 2,
                   .neg_len = 2};
    assert_string_equal(text_of(&h, false),
                        "{count:20, sum:10, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2}");
    assert_string_equal(
        text_of(&h, true),
        "{{schema:0 count:20 sum:10 z_bucket:2 z_bucket_w:0.001 buckets:[1 2] n_buckets:[1 2]}}");
    Buf b;
    Json j;
    buf_init(&b, 10000);
    js_init(&j, &b);
    histogram_json(&j, &h);
    assert_str(
        buf_view(&b),
        "{\"count\":\"20\",\"sum\":\"10\",\"buckets\":[[1,\"-2\",\"-1\",\"2\"],[1,\"-1\",\"-0.5\",\"1\"],"
        "[3,\"-0.001\",\"0.001\",\"2\"],[0,\"0.5\",\"1\",\"1\"],[0,\"1\",\"2\",\"2\"]]}");
    buf_done(&b);
}

static int start(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int stop(void **state)
{
    arena_done(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_accepts_and_refuses),
        cmocka_unit_test(test_check_of_custom_bounds),
        cmocka_unit_test(test_copies_are_equal_and_apart),
        cmocka_unit_test(test_add_then_subtract_is_nothing),
        cmocka_unit_test(test_sums_keep_every_observation),
        cmocka_unit_test(test_adding_does_not_depend_on_order),
        cmocka_unit_test(test_reduction_keeps_count_and_sum),
        cmocka_unit_test(test_compensation_keeps_what_is_small),
        cmocka_unit_test(test_different_custom_bounds_meet_in_the_common_ones),
        cmocka_unit_test(test_hints_of_sums),
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_growth_is_no_reset_and_loss_is),
        cmocka_unit_test(test_quantiles_rise_and_fractions_undo_them),
        cmocka_unit_test(test_trimming_splits_the_count),
        cmocka_unit_test(test_iteration_is_ordered_both_ways),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_printing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
