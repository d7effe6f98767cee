#include "test.h"
#include "metrics/values.h"
#include <math.h>

static u64 rnd_state = 12345;
static u64 rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state;
}

static void same_values(const f64 *v, u32 n)
{
    Buf b;
    buf_init(&b, 1 << 24);
    values_encode(&b, v, n);
    assert_false(buf_over(&b));
    assert_true(b.len <= 1 + 8 * (size_t)n || n < 3);
    f64 *got = mem_alloc(n * sizeof(f64));
    Reader r = reader_of(b.at, b.len);
    assert_true(values_decode(&r, got, n));
    if (memcmp(got, v, n * sizeof(f64)) != 0)
        for (u32 i = 0; i < n; i++)
            if (f64_bits(got[i]) != f64_bits(v[i]))
                fail_msg("value %u of %u: got %a, want %a", i, n, got[i], v[i]);
    /* Every prefix is refused or decodes to something: never a read past its end. */
    for (size_t cut = 0; cut < b.len && cut < 40; cut++) {
        char *copy = mem_alloc(cut + 1);
        memcpy(copy, b.at, cut);
        r = reader_of(copy, cut);
        values_decode(&r, got, n);
        mem_free(copy);
    }
    mem_free(got);
    buf_done(&b);
}

static f64 hostile(void)
{
    static const f64 special[] = {0,
                                  -0.0,
                                  1,
                                  -1,
                                  INFINITY,
                                  -INFINITY,
                                  0.1,
                                  1e300,
                                  -1e-300,
                                  5e-324,
                                  9007199254740992.0,
                                  9007199254740993.0,
                                  -9007199254740992.0,
                                  0.30000000000000004,
                                  1.7976931348623157e308,
                                  1e15 + 0.5};
    switch (rnd() % 8) {
    case 0:
        return f64_from_bits(STALE_NAN_BITS);
    case 1:
        return f64_from_bits(NORMAL_NAN_BITS);
    case 2:
        return f64_from_bits(0x7ff0000000000000ULL | (rnd() & 0xfffffffffffffULL));
    case 3:
        return f64_from_bits(rnd());
    default:
        return special[rnd() % COUNT_OF(special)];
    }
}

static void test_values_hostile(void **state)
{
    static f64 v[3000];
    for (u32 round = 0; round < 3000; round++) {
        u32 n = 1 + rnd() % (round % 50 == 0 ? 3000 : 40), kind = rnd() % 8;
        f64 x = (f64)(rnd() % 100000);
        f64 scale = pow(10, (f64)(rnd() % 8));
        u32 rare = 2 + rnd() % 30;
        for (u32 i = 0; i < n; i++) {
            switch (kind) {
            case 0:
                v[i] = hostile();
                break;
            case 1:
                v[i] = x += (f64)(rnd() % 100);
                break; /* a counter */
            case 2:
                v[i] = (f64)(i64)(rnd() % 2000 - 1000) / scale;
                break; /* decimals */
            case 3:
                v[i] = x;
                break;
            case 4:
                v[i] = x * i;
                break; /* a line */
            case 5:
                v[i] = (f64)rnd() / 18446744073709551616.0;
                break; /* true doubles */
            case 6:
                v[i] = (f64)(i64)rnd();
                break;
            default:
                v[i] = x / scale;
                break;
            }
            if (kind != 0 && round % 3 == 0 && rnd() % rare == 0)
                v[i] = hostile();
        }
        same_values(v, n);
    }
}

static void test_values_small(void **state)
{
    f64 counter[120];
    for (u32 i = 0; i < 120; i++)
        counter[i] = 1000 + i * 15;
    Buf b;
    buf_init(&b, 4096);
    values_encode(&b, counter, 120);
    assert_true(b.len < 16); /* a steady counter is a few bytes in all */
    buf_clear(&b);
    for (u32 i = 0; i < 120; i++)
        counter[i] = 0.1 * (f64)(i64)(i % 7);
    for (u32 i = 0; i < 120; i++)
        counter[i] = round(counter[i] * 10) / 10;
    values_encode(&b, counter, 120);
    assert_true(b.len < 60); /* one decimal: 3 bits each */
    buf_done(&b);
}

static void test_times(void **state)
{
    static i64 t[2000], got[2000];
    for (u32 round = 0; round < 3000; round++) {
        u32 n = 1 + rnd() % (round % 20 == 0 ? 2000 : 30), kind = rnd() % 4;
        i64 at = kind == 3 ? INT64_MIN : (i64)(rnd() % 2000000000000ULL) - 100;
        for (u32 i = 0; i < n; i++) {
            t[i] = at;
            u64 step = kind == 0   ? 15000
                       : kind == 1 ? 14990 + rnd() % 20
                       : kind == 2 ? 1 + rnd() % 100000000
                                   : 1 + rnd() / n / 2;
            at = (i64)((u64)at + step);
        }
        Buf b;
        buf_init(&b, 1 << 20);
        times_encode(&b, t, n);
        Reader r = reader_of(b.at, b.len);
        u32 len;
        assert_true(times_count(&r, 2000, &len));
        assert_int_equal(len, n);
        assert_true(times_decode(&r, got, n));
        assert_memory_equal(got, t, n * sizeof(i64));
        assert_int_equal(rd_left(&r), 0);
        if (kind == 0)
            assert_true(b.len < 24);
        buf_done(&b);
    }
    i64 ends[3] = {INT64_MIN, 0, INT64_MAX};
    Buf b;
    buf_init(&b, 100);
    times_encode(&b, ends, 3);
    Reader r = reader_of(b.at, b.len);
    u32 len;
    assert_true(times_count(&r, 3, &len) && times_decode(&r, got, 3));
    assert_memory_equal(got, ends, sizeof ends);
    buf_done(&b);
}

static void test_garbage(void **state)
{
    static f64 v[1024];
    static i64 t[1024];
    Arena a;
    arena_init(&a, NULL, 1 << 24);
    for (u32 round = 0; round < 20000; round++) {
        u32 n = rnd() % 60;
        u8 *bytes = mem_alloc(n + 1);
        for (u32 i = 0; i < n; i++)
            bytes[i] = (u8)(rnd() % 5 == 0 ? 0xff : rnd());
        Reader r = reader_of(bytes, n);
        values_decode(&r, v, 1 + rnd() % 1024);
        r = reader_of(bytes, n);
        u32 len;
        if (times_count(&r, 1024, &len))
            times_decode(&r, t, len);
        arena_reset(&a);
        hist_decode((Str){(char *)bytes, n}, &a);
        mem_free(bytes);
    }
    arena_done(&a);
}

static void test_histograms(void **state)
{
    Arena a;
    arena_init(&a, NULL, 0);
    for (u32 round = 0; round < 2000; round++) {
        arena_reset(&a);
        HistSpan spans[4];
        f64 pos[40], neg[40], custom[8];
        Histogram h = {.schema = (i32)(rnd() % 13) - 4, .hint = (u8)(rnd() % 4), .is_int = rnd() & 1};
        u32 spans_len = rnd() % 4, len = 0;
        for (u32 i = 0; i < spans_len; i++) {
            spans[i] = (HistSpan){(i32)(rnd() % 20) - (i ? 0 : 10), 1 + (u32)(rnd() % 8)};
            len += spans[i].length;
        }
        for (u32 i = 0; i < len; i++) {
            pos[i] = h.is_int ? (f64)(rnd() % 1000) : hostile();
            neg[i] = h.is_int ? (f64)(rnd() & 0x1fffffffffffff) : (f64)(rnd() % 1000) / 8;
        }
        h.pos_spans = h.neg_spans = spans;
        h.pos_spans_len = h.neg_spans_len = spans_len;
        h.pos = pos;
        h.neg = neg;
        h.pos_len = h.neg_len = len;
        h.sum = hostile();
        h.count = h.is_int ? (f64)(rnd() % 100000) : 1.5;
        h.zero_count = h.is_int ? 3 : 0.25;
        h.zero_threshold = 1e-128;
        if (rnd() % 4 == 0) {
            h.schema = HIST_SCHEMA_CUSTOM;
            h.neg_spans_len = h.neg_len = 0;
            for (u32 i = 0; i < 8; i++)
                custom[i] = (f64)i * 0.25;
            h.custom = custom;
            h.custom_len = 8;
        }
        Buf b;
        buf_init(&b, 1 << 16);
        hist_encode(&b, &h);
        Histogram *got = hist_decode(buf_view(&b), &a);
        assert_non_null(got);
        assert_true(histogram_eq(got, &h));
        assert_int_equal(got->is_int, h.is_int);
        for (size_t cut = 0; cut < b.len; cut++)
            assert_null(hist_decode(str_of(b.at, cut), &a));
        buf_done(&b);
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_values_hostile), cmocka_unit_test(test_values_small),
        cmocka_unit_test(test_times),          cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_histograms),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
