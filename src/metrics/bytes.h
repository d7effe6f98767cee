/* Bytes of records, parts and segments: a bounded reader that cannot run past its end, and writers over Buf.
 *
 * Integers are little-endian; "varint" is LEB128, at most 10 bytes; "zigzag" maps signed to unsigned before it. A reader that
 * meets something impossible sets `bad` and returns zeroes from then on, so decoders test once at the end of a step.
 */
#pragma once
#include "base/base.h"

typedef struct Reader {
    const u8 *at, *end;
    bool bad;
} Reader;

static inline Reader reader_of(const void *at, size_t len)
{
    return (Reader){(const u8 *)at, (const u8 *)at + len, false};
}
static inline size_t rd_left(const Reader *r)
{
    return (size_t)(r->end - r->at);
}
static inline const u8 *rd_bytes(Reader *r, size_t n)
{
    if (r->bad || rd_left(r) < n) {
        r->bad = true;
        r->at = r->end;
        return NULL;
    }
    const u8 *p = r->at;
    r->at += n;
    return p;
}
static inline u8 rd_u8(Reader *r)
{
    const u8 *p = rd_bytes(r, 1);
    return p ? *p : 0;
}
static inline u32 load_u32(const u8 *p)
{
    u32 v;
    memcpy(&v, p, 4);
    return v;
}
static inline u64 load_u64(const u8 *p)
{
    u64 v;
    memcpy(&v, p, 8);
    return v;
}
static inline u32 rd_u32(Reader *r)
{
    const u8 *p = rd_bytes(r, 4);
    return p ? load_u32(p) : 0;
}
static inline u64 rd_u64(Reader *r)
{
    const u8 *p = rd_bytes(r, 8);
    return p ? load_u64(p) : 0;
}
static inline u64 rd_varint(Reader *r)
{
    u64 v = 0;
    for (u32 shift = 0; shift < 70; shift += 7) {
        if (r->at == r->end)
            break;
        u8 b = *r->at++;
        if (shift == 63 && b > 1)
            break;
        v |= (u64)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    r->at = r->end;
    return 0;
}
static inline i64 unzigzag(u64 u)
{
    return (i64)(u >> 1) ^ -(i64)(u & 1);
}
static inline u64 zigzag(i64 v)
{
    return ((u64)v << 1) ^ (u64)(v >> 63);
}
static inline i64 rd_zigzag(Reader *r)
{
    return unzigzag(rd_varint(r));
}
static inline Str rd_str(Reader *r, size_t max)
{
    u64 n = rd_varint(r);
    if (n > max) {
        r->bad = true;
        return (Str){"", 0};
    }
    const u8 *p = rd_bytes(r, (size_t)n);
    return p ? (Str){(const char *)p, (size_t)n} : (Str){"", 0};
}

/* Room for n more bytes, or NULL past the buffer's maximum. Does not count them as written. */
static inline u8 *wr_room(Buf *b, size_t n)
{
    if (b->cap - b->len < n && !buf_reserve(b, n))
        return NULL;
    return (u8 *)b->at + b->len;
}
static inline void wr_u8(Buf *b, u8 v)
{
    u8 *p = wr_room(b, 1);
    if (p) {
        *p = v;
        b->len++;
    }
}
static inline void wr_u32(Buf *b, u32 v)
{
    u8 *p = wr_room(b, 4);
    if (p) {
        memcpy(p, &v, 4);
        b->len += 4;
    }
}
static inline void wr_u64(Buf *b, u64 v)
{
    u8 *p = wr_room(b, 8);
    if (p) {
        memcpy(p, &v, 8);
        b->len += 8;
    }
}
static inline void wr_varint(Buf *b, u64 v)
{
    u8 *p = wr_room(b, 10);
    if (!p)
        return;
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (u8)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (u8)v;
    b->len += n;
}
static inline void wr_zigzag(Buf *b, i64 v)
{
    wr_varint(b, zigzag(v));
}
static inline void wr_str(Buf *b, Str s)
{
    wr_varint(b, s.len);
    buf_put(b, s.at, s.len);
}
