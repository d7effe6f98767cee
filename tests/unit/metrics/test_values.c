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

/* Encodes, decodes, and says how long head and body came out. */
static size_t same_values(const f64 *v, u32 n, bool thorough)
{
    Buf head, body;
    ValueHead h, read;
    buf_init(&head, 1 << 10);
    buf_init(&body, 1 << 20);
    values_encode(&body, v, n, thorough, &h);
    values_head_encode(&head, &h);
    assert_false(buf_over(&body) || buf_over(&head));
    assert_int_equal(values_body_len(&h), body.len);
    Reader r = reader_of(head.at, head.len);
    assert_true(values_head_decode(&r, values_head_flags(&h), n, &read));
    assert_int_equal(rd_left(&r), 0);
    assert_true(read.mode == h.mode && read.scale == h.scale && read.shift == h.shift &&
                read.width == h.width);
    assert_true(read.other == h.other && read.packed == h.packed && read.high_bytes == h.high_bytes);
    assert_true(read.patches == h.patches && read.patch_bytes == h.patch_bytes);
    assert_true(read.first == h.first && read.delta == h.delta && read.base == h.base);
    f64 *got = mem_alloc(n * sizeof(f64));
    const u8 *at = body.at ? (const u8 *)body.at : (const u8 *)"";
    assert_true(values_decode(&h, at, body.len, got, n));
    for (u32 i = 0; i < n; i++)
        if (f64_bits(got[i]) != f64_bits(v[i]))
            fail_msg("value %u of %u: got %a, want %a", i, n, got[i], v[i]);
    /* Cut short or bent, it is refused or decodes to something: never a read past its end. */
    for (size_t cut = 0; cut < body.len && cut < 40; cut++) {
        u8 *copy = mem_alloc(cut + 1);
        memcpy(copy, body.at, cut);
        values_decode(&h, copy, cut, got, n);
        mem_free(copy);
    }
    for (u32 k = 0; k < 8 && body.len; k++) {
        u8 *copy = mem_alloc(body.len);
        memcpy(copy, body.at, body.len);
        copy[rnd() % body.len] ^= (u8)(1 + rnd() % 255);
        values_decode(&h, copy, body.len, got, n);
        mem_free(copy);
    }
    size_t bytes = 1 + head.len + body.len;
    mem_free(got);
    buf_done(&head);
    buf_done(&body);
    return bytes;
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
    static f64 v[1024];
    for (u32 round = 0; round < 3000; round++) {
        u32 n = 1 + rnd() % (round % 10 == 0 ? 1024 : 40), kind = rnd() % 10;
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
            case 8:
                v[i] = (x += (f64)(rnd() % 5000)) * 1e-3;
                break;
            case 7: /* mostly still, now and then far away */
                v[i] = rnd() % 20 ? x : (f64)(i64)(rnd() % 2000000) - 1e6;
                break;
            default:
                v[i] = x / scale;
                break;
            }
            if (kind != 0 && round % 3 == 0 && rnd() % rare == 0)
                v[i] = hostile();
        }
        size_t plain = same_values(v, n, false), thorough = same_values(v, n, true);
        assert_true(plain <= 40 + 8 * (size_t)n && thorough <= plain + plain / 16 + 8);
    }
}

static void test_values_small(void **state)
{
    static f64 v[1024];
    for (u32 i = 0; i < 1024; i++)
        v[i] = 1000 + i * 15;
    assert_true(same_values(v, 1024, false) < 16); /* a steady counter is a few bytes in all */
    for (u32 i = 0; i < 1024; i++)
        v[i] = round((f64)(i64)(i % 7)) / 10;
    assert_true(same_values(v, 120, false) < 60); /* one decimal: 3 bits each */
    /* A counter of small steps that leaps three times: the leaps are kept beside. */
    f64 x = 5e9;
    for (u32 i = 0; i < 1024; i++)
        v[i] = x += i % 300 == 250 ? 1e8 : (f64)(rnd() % 16);
    assert_true(same_values(v, 1024, true) < 1024 / 2 + 64);
    assert_true(same_values(v, 1024, false) > 1024 * 3);
    /* Multiples of a page: their zeros are left out. */
    for (u32 i = 0; i < 1024; i++)
        v[i] = (f64)(1220703 + rnd() % 1000) * 4096;
    assert_true(same_values(v, 1024, false) < 1024 * 10 / 8 + 32);
    /* Ticks made seconds as Go programs do it: no decimals, but nearly. */
    x = 100000;
    for (u32 i = 0; i < 1024; i++)
        v[i] = (x += (f64)(rnd() % 1000)) * 0.001;
    assert_true(same_values(v, 1024, true) < 1024 * 11 / 8 + 32);
    x = 1e8;
    for (u32 i = 0; i < 1024; i++)
        v[i] = (x += (f64)(rnd() % 1000)) / 1000.0 / 1000.0;
    assert_true(same_values(v, 1024, true) < 1024 * 11 / 8 + 64);
    /* The time of day as a double: second differences of the bits. */
    for (u32 i = 0; i < 1024; i++)
        v[i] = 1.7e9 + 15.0 * i + (f64)(rnd() % 1000) * 1e-6;
    assert_true(same_values(v, 1024, true) < 1024 * 2);
}

/* Both ways of doing the arithmetic give the same bits, whatever the width, the length and where the bytes end. */
static void test_unpack(void **state)
{
    const Unpack *fast = unpack_avx2(), *slow = &unpack_scalar;
    static u64 want[1100], a[1100], b[1100];
    for (u32 round = 0; round < 6500; round++) {
        u32 width = round % 65, n = 1 + rnd() % (round % 7 == 0 ? 1024 : 70);
        Buf packed;
        buf_init(&packed, 1 << 16);
        BitWriter w = {.out = &packed};
        for (u32 i = 0; i < n; i++) {
            want[i] = width ? rnd() >> (64 - width) : 0;
            bits_put(&w, want[i], width);
        }
        bits_end(&w);
        assert_int_equal(packed.len, ((size_t)n * width + 7) / 8);
        size_t extra = rnd() % 40;
        u8 *at =
            mem_alloc(packed.len + extra + 1); /* exactly as much as is said to be there, for the sanitizer */
        memset(at, 0xa5, packed.len + extra);
        if (packed.len)
            memcpy(at, packed.at, packed.len);
        slow->bits(at, packed.len + extra, width, n, a);
        assert_memory_equal(a, want, n * sizeof(u64));
        u64 first = rnd(), base = rnd() >> rnd() % 64;
        u32 scale = (u32)(rnd() % SCALES);
        if (fast) {
            fast->bits(at, packed.len + extra, width, n, b);
            assert_memory_equal(b, want, n * sizeof(u64));
            slow->sums(a, n, first, base);
            fast->sums(b, n, first, base);
            assert_memory_equal(a, b, n * sizeof(u64));
            slow->doubles(a, n, base, scale);
            fast->doubles(b, n, base, scale);
            assert_memory_equal(a, b, n * sizeof(u64));
        }
        mem_free(at);
        buf_done(&packed);
    }
}

/* What a block says about itself is what its values come to. */
static void test_aggregates(void **state)
{
    static f64 v[1024];
    u32 known = 0;
    for (u32 round = 0; round < 4000; round++) {
        u32 n = 1 + rnd() % (round % 10 == 0 ? 1024 : 90), kind = rnd() % 9;
        f64 x = (f64)(i64)(rnd() % 100000) - (kind == 5 ? 5e4 : 0), scale = pow(10, (f64)(rnd() % 5));
        for (u32 i = 0; i < n; i++)
            v[i] = kind == 0   ? (x += (f64)(rnd() % 100))
                   : kind == 1 ? (f64)(i64)(rnd() % 2000 - 1000) / scale
                   : kind == 2 ? x
                   : kind == 3 ? (f64)rnd() / 3e15
                   : kind == 4 ? (x = rnd() % 40 ? x + 3 : 0)
                   : kind == 5 ? x * 1e12
                   : kind == 6 ? (x += (f64)(rnd() % 5000)) * 1e-3
                   : kind == 7 ? (f64)(rnd() % 5000) * 4096
                               : x / scale;
        if (round % 9 == 0)
            v[rnd() % n] = hostile();
        Buf body, bytes;
        ValueHead h;
        PageAggr want, got;
        buf_init(&body, 1 << 20);
        buf_init(&bytes, 255);
        values_encode(&body, v, n, true, &h);
        bool is_known = aggr_compute(v, n, &want), is_short = aggr_of_head(&h, n, &got);
        assert_true(is_known || !is_short);
        if (is_known && !is_short) {
            aggr_encode(&bytes, &h, &want);
            assert_false(buf_over(&bytes));
            assert_true(aggr_decode(buf_view(&bytes), &h, n, &got));
            for (size_t cut = 0; cut < bytes.len; cut++) {
                PageAggr ignored;
                assert_false(aggr_decode(str_of(bytes.at, cut), &h, n, &ignored));
            }
        }
        if (is_known) {
            known++;
            assert_int_equal(got.count, n);
            assert_int_equal(got.resets, want.resets);
            f64 a[] = {got.first, got.last, got.min, got.max, got.sum, got.sum_c, got.reset_sum};
            f64 b[] = {want.first, want.last, want.min, want.max, want.sum, want.sum_c, want.reset_sum};
            if (memcmp(a, b, sizeof a) != 0)
                for (u32 i = 0; i < COUNT_OF(a); i++)
                    if (f64_bits(a[i]) != f64_bits(b[i]))
                        fail_msg("round %u, kind %u, field %u: got %a, want %a", round, kind, i, a[i], b[i]);
        }
        buf_done(&body);
        buf_done(&bytes);
    }
    assert_true(known > 3000);
}

static size_t same_times(const i64 *t, u32 n)
{
    static i64 got[2000];
    Buf b;
    buf_init(&b, 1 << 20);
    times_encode(&b, t, n);
    u8 *copy = mem_alloc(b.len);
    memcpy(copy, b.at, b.len);
    assert_true(times_decode(str_of((char *)copy, b.len), t[0], t[n - 1], got, n));
    assert_memory_equal(got, t, n * sizeof(i64));
    if (n > 2)
        assert_false(times_decode(str_of((char *)copy, b.len), t[0], t[n - 1] - 1, got, n));
    size_t bytes = b.len;
    mem_free(copy);
    buf_done(&b);
    return bytes;
}

static void test_times(void **state)
{
    static i64 t[2000];
    u64 step;
    for (u32 round = 0; round < 3000; round++) {
        u32 n = 2 + rnd() % (round % 20 == 0 ? 1900 : 30), kind = rnd() % 5;
        i64 at = kind == 3 ? INT64_MIN : (i64)(rnd() % 2000000000000ULL) - 100;
        for (u32 i = 0; i < n; i++) {
            t[i] = at;
            u64 gap = kind == 0   ? 15000
                      : kind == 1 ? 14990 + rnd() % 20
                      : kind == 2 ? 1 + rnd() % 100000000
                      : kind == 3 ? 1 + rnd() / n / 2
                                  : (rnd() % 50 ? 15000 : 30000);
            at = (i64)((u64)at + gap);
        }
        size_t bytes = same_times(t, n);
        bool is_regular = times_are_regular(t, n, &step);
        assert_true(!is_regular || step == (u64)t[1] - (u64)t[0]);
        if (kind == 0)
            assert_true(is_regular && step == 15000 && bytes < 16);
        if (kind == 1 && n > 500) /* jitter of 20 ms that adds up: a random walk */
            assert_true(bytes < (size_t)n * 2);
    }
    i64 ends[3] = {INT64_MIN, 0, INT64_MAX};
    same_times(ends, 3);
    for (u32 i = 0; i < 1024; i++) /* jitter around a grid */
        t[i] = 1700000000000 + (i64)i * 15000 + (i64)(rnd() % 5);
    assert_true(same_times(t, 1024) < 1024 * 4 / 8 + 32);
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
        ValueHead h;
        PageAggr aggr;
        u32 len = 2 + rnd() % 1023;
        if (values_head_decode(&r, (u8)(rnd() & 31), len, &h)) {
            aggr_decode(str_of((const char *)r.at, rd_left(&r)), &h, len, &aggr);
            if (h.mode != VALUES_OTHER || h.other != OTHER_HISTS)
                values_decode(&h, r.at, rd_left(&r), v, len);
        }
        times_decode(str_of((char *)bytes, n), (i64)rnd(), (i64)rnd(), t, len);
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
        cmocka_unit_test(test_unpack),         cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_times),          cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_histograms),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
