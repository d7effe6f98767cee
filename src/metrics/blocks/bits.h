/* Bits, most significant first, and the variable-width integers of Prometheus's chunks. */
#pragma once
#include "base/base.h"

typedef struct BitWriter {
    Buf *out;
    u32 free; /* unused low bits of the last byte */
} BitWriter;
static inline void bits_put(BitWriter *w, u64 v, u32 n)
{
    while (n) {
        if (!w->free) {
            buf_char(w->out, 0);
            w->free = 8;
        }
        u32 take = MIN(n, w->free);
        u64 part = v >> (n - take) & ((1ULL << take) - 1);
        if (w->out->len)
            w->out->at[w->out->len - 1] |= (char)(part << (w->free - take));
        w->free -= take;
        n -= take;
    }
}

typedef struct BitReader {
    const u8 *at, *end;
    u32 left; /* unread low bits of *at */
    bool bad;
} BitReader;
static inline BitReader bits_of(const void *at, size_t n)
{
    return (BitReader){at, (const u8 *)at + n, 8, false};
}
static inline u64 bits_left(const BitReader *r)
{
    return r->bad || r->at == r->end ? 0 : (u64)(r->end - r->at - 1) * 8 + r->left;
}
static inline u64 bits_get(BitReader *r, u32 n)
{
    u64 v = 0;
    while (n) {
        if (r->at == r->end) {
            r->bad = true;
            return 0;
        }
        u32 take = MIN(n, r->left);
        v = v << take | ((u64)(*r->at >> (r->left - take)) & ((1u << take) - 1));
        n -= take;
        r->left -= take;
        if (!r->left) {
            r->at++;
            r->left = 8;
        }
    }
    return v;
}

/* Is x one of the 2^n values around zero, of which one more is positive than negative? */
static inline bool fits_bits(i64 x, u32 n)
{
    return -((1LL << (n - 1)) - 1) <= x && x <= 1LL << (n - 1);
}
static inline i64 bits_signed(u64 v, u32 n)
{
    return v > 1ULL << (n - 1) ? (i64)(v - (1ULL << n)) : (i64)v;
}

/* varbit: k ones and a zero choose the width; eight ones mean 64 bits. */
static const u8 varbit_widths[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
static inline void varbit_head(BitWriter *w, u32 k)
{
    bits_put(w, k == 8 ? 0xff : (1ULL << (k + 1)) - 2, k == 8 ? 8 : k + 1);
}
static inline void varbit_put_int(BitWriter *w, i64 v)
{
    u32 k = 0;
    if (v)
        for (k = 1; k < 8 && !fits_bits(v, varbit_widths[k]);)
            k++;
    varbit_head(w, k);
    bits_put(w, (u64)v, varbit_widths[k]);
}
static inline void varbit_put_uint(BitWriter *w, u64 v)
{
    u32 k = 0;
    if (v)
        for (k = 1; k < 8 && v >> varbit_widths[k];)
            k++;
    varbit_head(w, k);
    bits_put(w, v, varbit_widths[k]);
}
static inline u32 varbit_width(BitReader *r)
{
    u32 k = 0;
    while (k < 8 && bits_get(r, 1))
        k++;
    return varbit_widths[k];
}
static inline u64 varbit_get_uint(BitReader *r)
{
    return bits_get(r, varbit_width(r));
}
static inline i64 varbit_get_int(BitReader *r)
{
    u32 n = varbit_width(r);
    u64 v = bits_get(r, n);
    return n == 64 || n == 0 ? (i64)v : bits_signed(v, n);
}

/* A double as the difference to the one before: unchanged, or the bits between leading and trailing zeros. */
typedef struct XorState {
    u64 v;
    u8 leading, trailing; /* leading 0xff: none yet */
} XorState;
static inline XorState xor_from(f64 v)
{
    XorState s = {.leading = 0xff};
    memcpy(&s.v, &v, 8);
    return s;
}
static inline void xor_put(BitWriter *w, XorState *s, f64 v)
{
    u64 now;
    memcpy(&now, &v, 8);
    u64 delta = now ^ s->v;
    s->v = now;
    if (!delta) {
        bits_put(w, 0, 1);
        return;
    }
    u8 leading = (u8)MIN(__builtin_clzll(delta), 31), trailing = (u8)__builtin_ctzll(delta);
    bits_put(w, 1, 1);
    if (s->leading != 0xff && leading >= s->leading && trailing >= s->trailing) {
        bits_put(w, 0, 1);
        bits_put(w, delta >> s->trailing, 64u - s->leading - s->trailing);
        return;
    }
    u32 width = 64u - leading - trailing;
    bits_put(w, 1, 1);
    bits_put(w, leading, 5);
    bits_put(w, width & 63, 6); /* 64 is written as 0 */
    bits_put(w, delta >> trailing, width);
    s->leading = leading;
    s->trailing = trailing;
}
static inline f64 xor_get(BitReader *r, XorState *s)
{
    if (bits_get(r, 1)) {
        if (bits_get(r, 1)) {
            u32 leading = (u32)bits_get(r, 5), width = (u32)bits_get(r, 6);
            width = width ? width : 64;
            if (leading + width > 64)
                r->bad = true, width = 64 - leading;
            s->leading = (u8)leading;
            s->trailing = (u8)(64 - leading - width);
        } else if (s->leading == 0xff) {
            r->bad = true; /* nothing to refer to */
            return 0;
        }
        s->v ^= bits_get(r, 64u - s->leading - s->trailing) << s->trailing;
    }
    f64 v;
    memcpy(&v, &s->v, 8);
    return v;
}
