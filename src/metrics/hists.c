#include "metrics/values.h"

#define COUNT_MAX 9007199254740992.0 /* 2^53 */

enum { HIST_F_INT = 1, HIST_F_PACKED = 2, HIST_HINT_SHIFT = 2 };
#define HIST_BUCKETS_MAX (1u << 20)

static bool is_count(f64 v)
{
    return v >= 0 && v <= COUNT_MAX && f64_bits((f64)(u64)v) == f64_bits(v);
}

static bool are_counts(const f64 *v, u32 n)
{
    for (u32 i = 0; i < n; i++)
        if (!is_count(v[i]))
            return false;
    return true;
}

static void spans_encode(Buf *out, const HistSpan *s, u32 n)
{
    wr_varint(out, n);
    for (u32 i = 0; i < n; i++) {
        wr_zigzag(out, s[i].offset);
        wr_varint(out, s[i].length);
    }
}

static void buckets_encode(Buf *out, const f64 *v, u32 n, bool packed)
{
    wr_varint(out, n);
    if (!packed) {
        buf_put(out, v, 8 * (size_t)n);
        return;
    }
    i64 last = 0;
    for (u32 i = 0; i < n; i++) {
        wr_zigzag(out, (i64)v[i] - last);
        last = (i64)v[i];
    }
}

/* flags: bit 0 integer, bit 1 counts as varints, bits 2-3 the reset hint. */
void hist_encode(Buf *out, const Histogram *h)
{
    bool packed = is_count(h->count) && is_count(h->zero_count) && are_counts(h->pos, h->pos_len) &&
                  are_counts(h->neg, h->neg_len);
    wr_u8(out, (u8)((h->is_int ? HIST_F_INT : 0) | (packed ? HIST_F_PACKED : 0) |
                    (h->hint & 3) << HIST_HINT_SHIFT));
    wr_zigzag(out, h->schema);
    wr_u64(out, f64_bits(h->sum));
    wr_u64(out, f64_bits(h->zero_threshold));
    if (packed) {
        wr_varint(out, (u64)h->zero_count);
        wr_varint(out, (u64)h->count);
    } else {
        wr_u64(out, f64_bits(h->zero_count));
        wr_u64(out, f64_bits(h->count));
    }
    spans_encode(out, h->pos_spans, h->pos_spans_len);
    buckets_encode(out, h->pos, h->pos_len, packed);
    spans_encode(out, h->neg_spans, h->neg_spans_len);
    buckets_encode(out, h->neg, h->neg_len, packed);
    wr_varint(out, h->custom_len);
    buf_put(out, h->custom, 8 * (size_t)h->custom_len);
}

static bool spans_decode(Reader *r, Arena *a, HistSpan **ret, u32 *ret_len, u64 *ret_sum)
{
    u64 n = rd_varint(r), sum = 0;
    if (n > rd_left(r) / 2)
        return false;
    HistSpan *s = n ? arena_array(a, HistSpan, n) : NULL;
    if (n && !s)
        return false;
    for (u64 i = 0; i < n; i++) {
        i64 offset = rd_zigzag(r);
        u64 length = rd_varint(r);
        if (offset < INT32_MIN || offset > INT32_MAX || length > HIST_BUCKETS_MAX)
            return false;
        s[i] = (HistSpan){(i32)offset, (u32)length};
        sum += length;
        if (sum > HIST_BUCKETS_MAX)
            return false;
    }
    *ret = s;
    *ret_len = (u32)n;
    *ret_sum = sum;
    return !r->bad;
}

static bool doubles_decode(Reader *r, Arena *a, u64 n, f64 **ret)
{
    *ret = NULL;
    if (n > rd_left(r) / 8)
        return false;
    if (!n)
        return true;
    *ret = arena_array(a, f64, n);
    const u8 *p = rd_bytes(r, 8 * (size_t)n);
    if (!*ret || !p)
        return false;
    memcpy(*ret, p, 8 * (size_t)n);
    return true;
}

static bool buckets_decode(Reader *r, Arena *a, bool packed, u64 expect, f64 **ret, u32 *ret_len)
{
    u64 n = rd_varint(r);
    if (r->bad || n != expect)
        return false;
    *ret_len = (u32)n;
    if (!packed)
        return doubles_decode(r, a, n, ret);
    *ret = NULL;
    if (n > rd_left(r))
        return false;
    if (!n)
        return true;
    f64 *v = arena_array(a, f64, n);
    if (!v)
        return false;
    u64 last = 0;
    for (u64 i = 0; i < n; i++) {
        last += (u64)rd_zigzag(r);
        v[i] = (f64)(i64)last;
    }
    *ret = v;
    return !r->bad;
}

Histogram *hist_decode(Str blob, Arena *arena)
{
    Reader r = reader_of(blob.at, blob.len);
    u8 flags = rd_u8(&r);
    if (flags >> 4)
        return NULL;
    bool packed = flags & HIST_F_PACKED;
    Histogram *h = arena_new(arena, Histogram);
    h->is_int = flags & HIST_F_INT;
    h->hint = flags >> HIST_HINT_SHIFT & 3;
    i64 schema = rd_zigzag(&r);
    if (schema < -100 || schema > 100)
        return NULL;
    h->schema = (i32)schema;
    h->sum = f64_from_bits(rd_u64(&r));
    h->zero_threshold = f64_from_bits(rd_u64(&r));
    h->zero_count = packed ? (f64)rd_varint(&r) : f64_from_bits(rd_u64(&r));
    h->count = packed ? (f64)rd_varint(&r) : f64_from_bits(rd_u64(&r));
    u64 sum;
    if (!spans_decode(&r, arena, &h->pos_spans, &h->pos_spans_len, &sum) ||
        !buckets_decode(&r, arena, packed, sum, &h->pos, &h->pos_len) ||
        !spans_decode(&r, arena, &h->neg_spans, &h->neg_spans_len, &sum) ||
        !buckets_decode(&r, arena, packed, sum, &h->neg, &h->neg_len))
        return NULL;
    u64 custom = rd_varint(&r);
    if (r.bad || custom > HIST_BUCKETS_MAX || !doubles_decode(&r, arena, custom, &h->custom))
        return NULL;
    h->custom_len = (u32)custom;
    return r.bad || rd_left(&r) ? NULL : h;
}
