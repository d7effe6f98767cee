#include "test.h"
#include "net/net.h"
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

static void deflate_with(Str in, int window_bits, Buf *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uLong bound = deflateBound(&z, in.len) + 64;
    assert_true(buf_reserve(out, bound));
    z.next_in = (Bytef *)in.at;
    z.avail_in = (uInt)in.len;
    z.next_out = (Bytef *)out->at + out->len;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += bound - z.avail_out;
    deflateEnd(&z);
}

static void snappy_frame(Str in, Buf *out)
{
    buf_put(out, "\xff\x06\x00\x00sNaPpY", 10);
    for (Str rest = in; rest.len; rest = str_skip(rest, 65536)) {
        Str part = str_sub(rest, 0, 65536);
        size_t n = snappy_max_compressed_length(part.len);
        char *packed = mem_alloc(n);
        assert_int_equal(snappy_compress(part.at, part.len, packed, &n), SNAPPY_OK);
        bool plain = n >= part.len;
        Str data = plain ? part : str_of(packed, n);
        u32 crc = crc32c(0, part.at, part.len);
        crc = (crc >> 15 | crc << 17) + 0xa282ead8u;
        size_t len = data.len + 4;
        u8 head[8] = {plain,   (u8)len,        (u8)(len >> 8),  (u8)(len >> 16),
                      (u8)crc, (u8)(crc >> 8), (u8)(crc >> 16), (u8)(crc >> 24)};
        buf_put(out, head, 8);
        buf_str(out, data);
        mem_free(packed);
    }
}

static void encode(Coding c, Str in, Buf *out)
{
    switch (c) {
    case CODING_IDENTITY:
        buf_str(out, in);
        break;
    case CODING_GZIP:
        deflate_with(in, 15 + 16, out);
        break;
    case CODING_DEFLATE:
        deflate_with(in, 15, out);
        break;
    case CODING_ZSTD:
        assert_true(buf_reserve(out, ZSTD_compressBound(in.len)));
        out->len += ZSTD_compress(out->at + out->len, ZSTD_compressBound(in.len), in.at, in.len, 3);
        break;
    case CODING_SNAPPY_FRAMED:
        snappy_frame(in, out);
        break;
    }
}

static void check_round(Coding c, Str in)
{
    Buf packed, plain;
    Why why = {0};
    buf_init(&packed, 64 << 20);
    encode(c, in, &packed);
    buf_init(&plain, in.len); /* exactly enough */
    assert_ok(coding_decode(c, buf_view(&packed), &plain, &why), &why);
    assert_true(str_eq(buf_view(&plain), in));
    buf_done(&plain);
    if (in.len) {
        buf_init(&plain, in.len - 1); /* one too few */
        assert_int_equal(coding_decode(c, buf_view(&packed), &plain, &why), E_TOO_LARGE);
        assert_true(plain.len <= in.len - 1 && plain.cap <= in.len - 1);
        buf_done(&plain);
    }
    if (c != CODING_IDENTITY) { /* cut anywhere: an error, never a shorter body taken for the whole */
        size_t step = MAX((size_t)1, packed.len / 50);
        for (size_t n = 0; n < packed.len; n += step) {
            buf_init(&plain, in.len);
            Err e = coding_decode(c, str_sub(buf_view(&packed), 0, n), &plain, &why);
            bool whole_frames = c == CODING_SNAPPY_FRAMED && e == OK; /* that format has no end mark */
            if (e != E_PARSE && !whole_frames)
                fail_msg("coding %d cut at %zu of %zu: %s", c, n, packed.len, err_name(e));
            buf_done(&plain);
        }
    }
    buf_done(&packed);
}

static void test_round_trips(void **state)
{
    Buf b;
    buf_init(&b, 64 << 20);
    for (int i = 0; i < 300000; i++)
        buf_printf(&b, "metric{n=\"%d\"} %d\n", i, i * 7);
    Str text = buf_view(&b);
    static const size_t lengths[] = {0, 1, 100, 65536, 65537, 1000000};
    for (Coding c = CODING_IDENTITY; c <= CODING_SNAPPY_FRAMED; c++) {
        for (u32 i = 0; i < COUNT_OF(lengths); i++)
            check_round(c, str_sub(text, 0, lengths[i]));
        char noise[5000];
        random_bytes(noise, sizeof noise);
        check_round(c, str_of(noise, sizeof noise));
    }
    buf_done(&b);
}

static void test_variants(void **state)
{
    Buf b, plain;
    Why why = {0};
    buf_init(&b, 1 << 20);
    buf_init(&plain, 1 << 20);
    deflate_with(S("bare"), -15, &b);
    assert_ok(coding_decode(CODING_DEFLATE, buf_view(&b), &plain, &why), &why);
    assert_str(buf_view(&plain), "bare");
    buf_clear(&b);
    buf_clear(&plain);
    deflate_with(S("one "), 15 + 16, &b); /* members follow one another */
    deflate_with(S("two"), 15 + 16, &b);
    assert_ok(coding_decode(CODING_GZIP, buf_view(&b), &plain, &why), &why);
    assert_str(buf_view(&plain), "one two");
    buf_char(&b, 'x');
    assert_int_equal(coding_decode(CODING_GZIP, buf_view(&b), &plain, &why), E_PARSE);
    buf_clear(&b);
    buf_clear(&plain);
    coding_gzip(S("ours"), 6, &b);
    assert_ok(coding_decode(CODING_GZIP, buf_view(&b), &plain, &why), &why);
    assert_str(buf_view(&plain), "ours");
    buf_done(&b);
    buf_init(&b, 10);
    coding_gzip(S("does not fit into ten bytes"), 6, &b);
    assert_true(buf_over(&b));
    buf_done(&b);
    buf_done(&plain);
}

/* A thousandfold bomb: refused with no more memory than the maximum. */
static void test_bombs(void **state)
{
    enum { BOMB = 64 << 20, MAX_BYTES = 1 << 20 };
    char *zeros = mem_zalloc(BOMB);
    for (Coding c = CODING_GZIP; c <= CODING_SNAPPY_FRAMED; c++) {
        Buf packed, plain;
        Why why = {0};
        buf_init(&packed, 2 * BOMB);
        encode(c, str_of(zeros, BOMB), &packed);
        buf_init(&plain, MAX_BYTES);
        assert_int_equal(coding_decode(c, buf_view(&packed), &plain, &why), E_TOO_LARGE);
        assert_true(plain.cap <= MAX_BYTES);
        assert_non_null(strstr(why.text, "1048576"));
        buf_done(&packed);
        buf_done(&plain);
    }
    mem_free(zeros);
}

static void test_damage(void **state)
{
    Buf packed, plain;
    buf_init(&packed, 1 << 20);
    for (Coding c = CODING_GZIP; c <= CODING_SNAPPY_FRAMED; c++) {
        char text[2000];
        for (u32 i = 0; i < sizeof text; i++)
            text[i] = (char)(i * i % 251);
        buf_clear(&packed);
        encode(c, str_of(text, sizeof text), &packed);
        for (size_t i = 0; i < packed.len; i++) {
            packed.at[i] ^= 0x10;
            buf_init(&plain, 100000);
            coding_decode(c, buf_view(&packed), &plain,
                          NULL); /* any verdict, no crash, no more than asked for */
            assert_true(plain.len <= 100000);
            buf_done(&plain);
            packed.at[i] ^= 0x10;
        }
    }
    /* a snappy checksum that does not fit */
    buf_clear(&packed);
    encode(CODING_SNAPPY_FRAMED, S("some text"), &packed);
    packed.at[14] ^= 1;
    buf_init(&plain, 1000);
    assert_int_equal(coding_decode(CODING_SNAPPY_FRAMED, buf_view(&packed), &plain, NULL), E_PARSE);
    buf_done(&plain);
    buf_done(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
