/* Protobuf fields, varints and snappy blocks: round trips, every truncation, malformed input. */
#include "test.h"
#include "wire/wire.h"

static void varints_round_trip(void **state)
{
    for (u32 bit = 0; bit < 64; bit++)
        for (int d = -1; d <= 1; d++) {
            u64 v = (1ULL << bit) + (u64)d, got = 0;
            u8 at[10];
            size_t n = uvarint_put(at, v);
            assert_int_equal(uvarint_get(at, at + n, &got), n);
            assert_true(got == v);
            for (size_t cut = 0; cut < n; cut++)
                assert_int_equal(uvarint_get(at, at + cut, &got), 0);
            assert_true(unzigzag(zigzag((i64)v)) == (i64)v);
        }
    u8 long_one[11] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0};
    u64 v;
    assert_int_equal(uvarint_get(long_one, long_one + 11, &v), 0);
    long_one[9] = 0x81;
    assert_int_equal(uvarint_get(long_one, long_one + 11, &v), 0);
}

static void message(Buf *b)
{
    pb_put_u64(b, 1, 300);
    pb_put_sint(b, 2, -5);
    pb_put_f64(b, 3, 1.5);
    pb_put_bytes(b, 4, S("hello"));
    size_t m = pb_begin(b, 5);
    pb_put_u64(b, 1, 7);
    pb_end(b, m);
    m = pb_begin(b, 6);
    for (int i = 0; i < 300; i++)
        buf_char(b, (char)i);
    pb_end(b, m);
    pb_put_u64(b, 7, 0);
    pb_put_f64(b, 7, 0.0);
    pb_put_bytes(b, 7, S(""));
    pb_put_f64(b, 8, -0.0);
}

static void fields_round_trip(void **state)
{
    Buf b;
    buf_init(&b, 1 << 16);
    message(&b);
    PbReader r, s;
    pb_init(&r, buf_view(&b));
    assert_true(pb_next(&r) && r.field == 1 && r.type == PB_VARINT && r.num == 300);
    assert_true(pb_next(&r) && r.field == 2 && pb_sint(r.num) == -5);
    assert_true(pb_next(&r) && r.field == 3 && pb_f64(r.num) == 1.5);
    assert_true(pb_next(&r) && r.field == 4 && str_eq(r.bytes, S("hello")));
    assert_true(pb_next(&r) && r.field == 5 && r.bytes.len == 2);
    pb_init(&s, r.bytes);
    assert_true(pb_next(&s) && s.num == 7 && !pb_next(&s) && !s.is_bad);
    assert_true(pb_next(&r) && r.field == 6 && r.bytes.len == 300 && (u8)r.bytes.at[299] == (299 & 255));
    assert_true(pb_next(&r) && r.field == 8 && f64_bits(pb_f64(r.num)) == f64_bits(-0.0));
    assert_false(pb_next(&r));
    assert_false(r.is_bad);
    buf_done(&b);
}

static void truncation_is_noticed(void **state)
{
    Buf b;
    buf_init(&b, 1 << 16);
    message(&b);
    u32 whole = 0;
    for (size_t cut = 0; cut < b.len; cut++) {
        char *copy = malloc(cut + 1); /* so that a read past the end is caught */
        memcpy(copy, b.at, cut);
        PbReader r;
        pb_init(&r, str_of(copy, cut));
        while (pb_next(&r))
            ;
        whole += !r.is_bad;
        free(copy);
    }
    assert_int_equal(whole, 7); /* only the cuts between fields are messages */
    buf_done(&b);
}

static void malformed_fields(void **state)
{
    static const char *const bad[] = {"\x00\x01",
                                      "\x0b",
                                      "\x0c",
                                      "\x0e",
                                      "\x0f",
                                      "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                      "\x12\x05"
                                      "abcd",
                                      "\x09"
                                      "1234567",
                                      "\x0d"
                                      "123",
                                      "\x08"};
    static const u8 lens[] = {2, 1, 1, 1, 1, 11, 6, 8, 4, 1};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        PbReader r;
        pb_init(&r, str_of(bad[i], lens[i]));
        while (pb_next(&r))
            ;
        if (!r.is_bad)
            fail_msg("case %zu passes", i);
    }
    PbReader r;
    pb_init(&r, S("\x08\x01"));
    assert_true(pb_next(&r));
    assert_false(pb_expect(&r, PB_BYTES));
    assert_true(r.is_bad);
    assert_false(pb_next(&r));
}

static void snappy_round_trip(void **state)
{
    Buf in, out, back;
    Why why;
    buf_init(&in, 1 << 20);
    buf_init(&out, 1 << 21);
    buf_init(&back, 1 << 20);
    for (u32 n = 0; n < 100000; n = n * 3 + 1) {
        buf_clear(&in), buf_clear(&out), buf_clear(&back);
        for (u32 i = 0; i < n; i++)
            buf_char(&in, (char)(n & 1 ? random_u64() : i % 7));
        snappy_encode(buf_view(&in), &out);
        assert_ok(snappy_decode(buf_view(&out), 1 << 20, &back, &why), &why);
        assert_true(str_eq(buf_view(&in), buf_view(&back)));
        for (size_t cut = 0; cut < out.len; cut += 1 + out.len / 50) {
            buf_clear(&back);
            assert_int_not_equal(snappy_decode(str_of(out.at, cut), 1 << 20, &back, &why), OK);
            assert_int_equal(back.len, 0);
        }
    }
    buf_done(&in), buf_done(&out), buf_done(&back);
}

static void snappy_refuses_bombs(void **state)
{
    Buf out;
    Why why;
    buf_init(&out, 1 << 20);
    /* Declares 4 GiB, 512 KiB, and 64 KiB in four bytes. */
    assert_int_equal(snappy_decode(S("\xff\xff\xff\xff\x0f\x00"), 1 << 20, &out, &why), E_TOO_LARGE);
    assert_int_equal(snappy_decode(S("\x80\x80\x20\x00"), 1000, &out, &why), E_TOO_LARGE);
    assert_non_null(strstr(why.text, "1000"));
    assert_int_equal(snappy_decode(S("\x80\x80\x04\x00"), 1 << 20, &out, &why), E_PARSE);
    assert_int_equal(snappy_decode(S(""), 1 << 20, &out, &why), E_PARSE);
    assert_int_equal(snappy_decode(S("\xff"), 1 << 20, &out, &why), E_PARSE);
    assert_int_equal(out.len, 0);
    assert_true(out.cap < 1 << 17);
    /* Appends: what is there counts against the maximum. */
    Buf small;
    buf_init(&small, 10);
    buf_c(&small, "12345");
    Buf enc;
    buf_init(&enc, 100);
    snappy_encode(S("abcdef"), &enc);
    assert_int_equal(snappy_decode(buf_view(&enc), 100, &small, &why), E_TOO_LARGE);
    assert_int_equal(small.len, 5);
    assert_false(buf_over(&small));
    buf_done(&small), buf_done(&enc), buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_round_trip),    cmocka_unit_test(fields_round_trip),
        cmocka_unit_test(truncation_is_noticed), cmocka_unit_test(malformed_fields),
        cmocka_unit_test(snappy_round_trip),     cmocka_unit_test(snappy_refuses_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
