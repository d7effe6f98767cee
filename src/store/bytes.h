/* Little-endian integers at unaligned places, for the formats of this floor. */
#pragma once
#include "base/base.h"

static inline void put_u32(void *at, u32 v)
{
    u8 *p = at;
    p[0] = (u8)v, p[1] = (u8)(v >> 8), p[2] = (u8)(v >> 16), p[3] = (u8)(v >> 24);
}
static inline void put_u64(void *at, u64 v)
{
    put_u32(at, (u32)v);
    put_u32((u8 *)at + 4, (u32)(v >> 32));
}
static inline u32 get_u32(const void *at)
{
    const u8 *p = at;
    return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}
static inline u64 get_u64(const void *at)
{
    return get_u32(at) | (u64)get_u32((const u8 *)at + 4) << 32;
}
static inline void buf_u8(Buf *b, u8 v)
{
    buf_put(b, &v, 1);
}
static inline void buf_u32(Buf *b, u32 v)
{
    u8 le[4];
    put_u32(le, v);
    buf_put(b, le, 4);
}
static inline void buf_u64(Buf *b, u64 v)
{
    u8 le[8];
    put_u64(le, v);
    buf_put(b, le, 8);
}
static inline void buf_name(Buf *b, Str s) /* u32 length, then the bytes */
{
    buf_u32(b, (u32)s.len);
    buf_str(b, s);
}

/* A reader over borrowed bytes. Past the end it yields zeros and sets bad: test it once. */
typedef struct Bytes {
    const u8 *at, *end;
    bool bad;
} Bytes;
static inline Bytes bytes_of(Str s)
{
    return (Bytes){(const u8 *)s.at, (const u8 *)s.at + s.len, false};
}
static inline const u8 *bytes_take(Bytes *b, size_t n)
{
    static const u8 zeros[8];
    if ((size_t)(b->end - b->at) < n) {
        b->bad = true;
        b->at = b->end;
        return n <= sizeof zeros ? zeros : NULL;
    }
    b->at += n;
    return b->at - n;
}
static inline u8 bytes_u8(Bytes *b)
{
    return *bytes_take(b, 1);
}
static inline u32 bytes_u32(Bytes *b)
{
    return get_u32(bytes_take(b, 4));
}
static inline u64 bytes_u64(Bytes *b)
{
    return get_u64(bytes_take(b, 8));
}
static inline Str bytes_str(Bytes *b, size_t n)
{
    const u8 *at = bytes_take(b, n);
    return b->bad ? (Str){"", 0} : (Str){(const char *)at, n};
}
static inline Str bytes_name(Bytes *b)
{
    u32 n = bytes_u32(b);
    return bytes_str(b, n);
}
