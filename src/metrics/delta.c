#include "metrics/delta.h"

#define WHOLE_MAX 4503599627370496.0 /* 2^52 */

static bool is_whole(f64 v)
{
    return v >= -WHOLE_MAX && v <= WHOLE_MAX && f64_bits((f64)(i64)v) == f64_bits(v);
}

void value_write(Buf *out, f64 v)
{
    if (is_whole(v)) {
        wr_varint(out, zigzag((i64)v) << 1);
        return;
    }
    wr_u8(out, 1);
    wr_u64(out, f64_bits(v));
}

f64 value_read(Reader *r)
{
    u64 u = rd_varint(r);
    if (u == 1)
        return f64_from_bits(rd_u64(r));
    r->bad |= u & 1;
    return (f64)unzigzag(u >> 1);
}

/* The low two bits of the varint say what was subtracted. */
enum { DELTA_WHOLE, DELTA_RAW, DELTA_HUNDREDTHS, DELTA_THOUSANDTHS };

static bool scaled(f64 v, f64 scale, i64 *ret)
{
    f64 x = v * scale;
    if (!(x >= -WHOLE_MAX && x <= WHOLE_MAX))
        return false;
    *ret = (i64)(x < 0 ? x - 0.5 : x + 0.5);
    return f64_bits((f64)*ret / scale) == f64_bits(v);
}

static bool scaled_write(Buf *out, f64 was, f64 v, f64 scale, u32 how)
{
    i64 a, b;
    if (!scaled(v, scale, &b) || !scaled(was, scale, &a))
        return false;
    wr_varint(out, zigzag(b - a) << 2 | how);
    return true;
}

void value_delta_write(Buf *out, f64 was, f64 v)
{
    if (is_whole(v) && is_whole(was)) {
        wr_varint(out, zigzag((i64)v - (i64)was) << 2 | DELTA_WHOLE);
        return;
    }
    if (scaled_write(out, was, v, 100, DELTA_HUNDREDTHS) ||
        scaled_write(out, was, v, 1000, DELTA_THOUSANDTHS))
        return;
    wr_u8(out, DELTA_RAW);
    wr_u64(out, f64_bits(v));
}

f64 value_delta_read(Reader *r, f64 was)
{
    u64 u = rd_varint(r);
    u32 how = u & 3;
    if (how == DELTA_RAW) {
        r->bad |= u != DELTA_RAW;
        return f64_from_bits(rd_u64(r));
    }
    f64 scale = how == DELTA_WHOLE ? 1 : how == DELTA_HUNDREDTHS ? 100 : 1000;
    i64 a = 0, sum;
    r->bad |= how == DELTA_WHOLE ? !is_whole(was) : !scaled(was, scale, &a);
    if (how == DELTA_WHOLE && !r->bad)
        a = (i64)was;
    if (__builtin_add_overflow(a, unzigzag(u >> 2), &sum))
        r->bad = true;
    return r->bad ? 0 : (f64)sum / scale;
}
