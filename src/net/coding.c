/* Content codings of whole bodies. Every decoder stops at the output's maximum before it grows past it. */
#include "net/net.h"
#include <libdeflate.h>
#include <pthread.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

enum { GROW_BYTES = 65536, ZSTD_WINDOW_LOG_MAX = 23 /* 8 MiB, what RFC 9659 allows on the web */ };

static Err too_large(const Buf *out, Why *why)
{
    return why_set(why, E_TOO_LARGE, "the body is larger than %zu bytes when decompressed", out->max);
}

/* Room to write into: at least one byte, more when cheap. NULL at the maximum. */
static char *room(Buf *out, size_t *ret_n)
{
    if (out->len == out->max)
        return NULL;
    if (out->cap == out->len &&
        !buf_reserve(out, MIN(out->max - out->len, MAX((size_t)GROW_BYTES, out->len))))
        return NULL;
    *ret_n = out->cap - out->len;
    return out->at + out->len;
}

/* ---- gzip and deflate ---- */

typedef struct Codecs {
    struct libdeflate_decompressor *decompressor;
    struct libdeflate_compressor *compressor[13];
    ZSTD_DCtx *zstd;
} Codecs;

static pthread_key_t codecs_key;
static pthread_once_t codecs_once = PTHREAD_ONCE_INIT;

static void codecs_free(void *p)
{
    Codecs *c = p;
    libdeflate_free_decompressor(c->decompressor);
    for (size_t i = 0; i < COUNT_OF(c->compressor); i++)
        libdeflate_free_compressor(c->compressor[i]);
    ZSTD_freeDCtx(c->zstd);
    mem_free(c);
}

static void codecs_make_key(void)
{
    check(pthread_key_create(&codecs_key, codecs_free) == 0);
}

/* One set per thread: they are large to make and may not be shared. */
static Codecs *codecs(void)
{
    pthread_once(&codecs_once, codecs_make_key);
    Codecs *c = pthread_getspecific(codecs_key);
    if (!c) {
        c = mem_new(Codecs);
        pthread_setspecific(codecs_key, c);
    }
    return c;
}

/* A gzip file ends with its length: when that is believable, the fast whole-buffer decoder does it in one go.
 * False: let zlib decide, and say what is wrong. */
static bool gunzip_at_once(Str in, Buf *out)
{
    if (in.len < 18)
        return false;
    const u8 *tail = (const u8 *)in.at + in.len - 4;
    size_t size = (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    if (size > out->max - out->len || size > in.len * 1032 + 1024 || size == 0)
        return false;
    if (!buf_reserve(out, size))
        return false;
    Codecs *c = codecs();
    if (!c->decompressor)
        c->decompressor = libdeflate_alloc_decompressor();
    size_t used, n;
    if (!c->decompressor || libdeflate_gzip_decompress_ex(c->decompressor, in.at, in.len, out->at + out->len,
                                                          size, &used, &n) != LIBDEFLATE_SUCCESS)
        return false;
    if (used != in.len || n != size)
        return false;
    out->len += n;
    return true;
}

static Err inflate_all(Str in, Buf *out, int window_bits, bool is_gzip, Why *why)
{
    z_stream z = {0};
    check(inflateInit2(&z, window_bits) == Z_OK);
    Err err = OK;
    Str left = in;
    for (;;) {
        size_t n, taken = MIN(left.len, (size_t)1 << 30);
        char *at = room(out, &n);
        char spare; /* at the maximum, only the end of the stream may still follow */
        z.next_in = (Bytef *)left.at;
        z.avail_in = (uInt)taken;
        z.next_out = at ? (Bytef *)at : (Bytef *)&spare;
        z.avail_out = at ? (uInt)MIN(n, (size_t)1 << 30) : 1;
        uInt before = z.avail_out;
        int e = inflate(&z, Z_NO_FLUSH);
        size_t made = before - z.avail_out;
        left = str_skip(left, taken - z.avail_in);
        if (!at && made) {
            err = too_large(out, why);
            break;
        }
        out->len += made;
        if (e == Z_STREAM_END) {
            if (left.len == 0)
                break;
            if (!is_gzip) {
                err = why_set(why, E_PARSE, "deflate: bytes after the end of the stream");
                break;
            }
            inflateReset(&z); /* gzip members may follow one another */
            continue;
        }
        if (e != Z_OK && e != Z_BUF_ERROR) {
            err = why_set(why, E_PARSE, "%s: %s", is_gzip ? "gzip" : "deflate",
                          z.msg ? z.msg : "broken stream");
            break;
        }
        if (made == 0 && left.len == 0) {
            err = why_set(why, E_PARSE, "%s: the stream ends too early", is_gzip ? "gzip" : "deflate");
            break;
        }
    }
    inflateEnd(&z);
    return err;
}

/* RFC 9110 means the zlib wrapper; some clients send the bare stream. */
static Err decode_deflate(Str in, Buf *out, Why *why)
{
    bool has_wrapper =
        in.len >= 2 && ((u8)in.at[0] & 15) == 8 && ((u8)in.at[0] << 8 | (u8)in.at[1]) % 31 == 0;
    return inflate_all(in, out, has_wrapper ? 15 : -15, false, why);
}

/* ---- zstd ---- */

static Err decode_zstd(Str in, Buf *out, Why *why)
{
    Codecs *c = codecs();
    if (!c->zstd)
        c->zstd = ZSTD_createDCtx();
    check(c->zstd);
    ZSTD_DCtx_reset(c->zstd, ZSTD_reset_session_and_parameters);
    ZSTD_DCtx_setParameter(c->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    ZSTD_inBuffer from = {in.at, in.len, 0};
    size_t hint = 1;
    for (;;) {
        size_t n = 1;
        char spare, *at = room(out, &n);
        ZSTD_outBuffer to = {at ? at : &spare, n, 0};
        size_t before = from.pos;
        hint = ZSTD_decompressStream(c->zstd, &to, &from);
        if (ZSTD_isError(hint))
            return why_set(why, E_PARSE, "zstd: %s", ZSTD_getErrorName(hint));
        if (!at && to.pos)
            return too_large(out, why);
        out->len += to.pos;
        if (from.pos == from.size && hint == 0)
            return OK;
        if (from.pos == from.size && to.pos < to.size)
            return why_set(why, E_PARSE, "zstd: the stream ends too early");
        if (from.pos == before && to.pos == 0)
            return why_set(why, E_PARSE, "zstd: broken stream");
    }
}

/* ---- snappy, framing format ---- */

enum {
    FRAME_DATA_MAX = 65536,
    FRAME_COMPRESSED = 0,
    FRAME_PLAIN = 1,
    FRAME_SKIPPABLE = 0x80,
    FRAME_ID = 0xff
};

static Err frame_data(u8 kind, Str body, Buf *out, Why *why)
{
    if (body.len < 4)
        return why_set(why, E_PARSE, "snappy: a data chunk is too short for its checksum");
    u32 masked = (u32)(u8)body.at[0] | (u32)(u8)body.at[1] << 8 | (u32)(u8)body.at[2] << 16 |
                 (u32)(u8)body.at[3] << 24;
    Str data = str_skip(body, 4);
    size_t n = data.len;
    if (kind == FRAME_COMPRESSED && snappy_uncompressed_length(data.at, data.len, &n) != SNAPPY_OK)
        return why_set(why, E_PARSE, "snappy: a chunk has no valid length");
    if (n > FRAME_DATA_MAX)
        return why_set(why, E_PARSE, "snappy: a chunk holds more than 65536 bytes");
    if (n > out->max - out->len || !buf_reserve(out, n))
        return too_large(out, why);
    u32 crc = crc32c(0, "", 0);
    if (n) {
        char *to = out->at + out->len;
        if (kind == FRAME_PLAIN)
            memcpy(to, data.at, n);
        else if (snappy_uncompress(data.at, data.len, to, &n) != SNAPPY_OK)
            return why_set(why, E_PARSE, "snappy: a chunk does not decompress");
        crc = crc32c(0, to, n);
    }
    if (((crc >> 15 | crc << 17) + 0xa282ead8u) != masked)
        return why_set(why, E_PARSE, "snappy: the checksum of a chunk is wrong");
    out->len += n;
    return OK;
}

static Err decode_snappy_framed(Str in, Buf *out, Why *why)
{
    static const Str magic = STR_INIT("\xff\x06\x00\x00sNaPpY");
    if (!str_starts(in, magic))
        return why_set(why, E_PARSE, "snappy: the body is not in the framing format");
    while (in.len) {
        if (in.len < 4)
            return why_set(why, E_PARSE, "snappy: the stream ends too early");
        u8 kind = (u8)in.at[0];
        size_t n = (size_t)(u8)in.at[1] | (size_t)(u8)in.at[2] << 8 | (size_t)(u8)in.at[3] << 16;
        in = str_skip(in, 4);
        if (n > in.len)
            return why_set(why, E_PARSE, "snappy: the stream ends too early");
        Str body = str_sub(in, 0, n);
        in = str_skip(in, n);
        if (kind == FRAME_COMPRESSED || kind == FRAME_PLAIN)
            TRY(frame_data(kind, body, out, why));
        else if (kind == FRAME_ID ? !str_eq(body, S("sNaPpY")) : kind < FRAME_SKIPPABLE)
            return why_set(why, E_PARSE, "snappy: unknown chunk type %u", kind);
    }
    return OK;
}

/* ---- all ---- */

Err coding_decode(Coding coding, Str in, Buf *out, Why *why)
{
    switch (coding) {
    case CODING_IDENTITY:
        if (in.len > out->max - out->len || !buf_reserve(out, in.len))
            return too_large(out, why);
        buf_str(out, in);
        return OK;
    case CODING_GZIP:
        return gunzip_at_once(in, out) ? OK : inflate_all(in, out, 15 + 16, true, why);
    case CODING_DEFLATE:
        return decode_deflate(in, out, why);
    case CODING_ZSTD:
        return decode_zstd(in, out, why);
    case CODING_SNAPPY_FRAMED:
        return decode_snappy_framed(in, out, why);
    }
    return why_set(why, E_UNSUPPORTED, "unknown content coding");
}

void coding_gzip(Str in, int level, Buf *out)
{
    Codecs *c = codecs();
    level = MAX(1, MIN(level, 12));
    if (!c->compressor[level])
        c->compressor[level] = libdeflate_alloc_compressor(level);
    check(c->compressor[level]);
    size_t bound = MIN(libdeflate_gzip_compress_bound(c->compressor[level], in.len), out->max - out->len);
    if (!buf_reserve(out, bound))
        return;
    size_t n = libdeflate_gzip_compress(c->compressor[level], in.at, in.len, out->at + out->len, bound);
    out->len += n;
    out->over |= n == 0;
}
