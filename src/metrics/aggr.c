/* What a run of floats comes to, so that whole runs are answered without being decoded. */
#include "metrics/values.h"
#include <math.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: integers up to here add up exactly in any order */

/* As PromQL adds up: Neumaier's variant of Kahan's sum. */
bool aggr_compute(const f64 *v, u32 n, PageAggr *ret)
{
    f64 sum = 0, c = 0, min = v[0], max = v[0], reset_sum = 0;
    u32 resets = 0;
    for (u32 i = 0; i < n; i++) {
        f64 x = v[i];
        if (!isfinite(x))
            return false;
        f64 t = sum + x;
        if (fabs(sum) >= fabs(x))
            c += (sum - t) + x;
        else
            c += (x - t) + sum;
        sum = t;
        min = x < min ? x : min;
        max = x > max ? x : max;
        if (i && x < v[i - 1]) {
            resets++;
            reset_sum += v[i - 1];
        }
    }
    if (!isfinite(sum) || !isfinite(c) || !isfinite(reset_sum))
        return false;
    *ret = (PageAggr){.count = n,
                      .first = v[0],
                      .last = v[n - 1],
                      .min = min,
                      .max = max,
                      .sum = sum,
                      .sum_c = c,
                      .resets = resets,
                      .reset_sum = reset_sum};
    return true;
}

bool aggr_of_head(const ValueHead *h, u32 n, PageAggr *ret)
{
    if (h->mode != VALUES_DIRECT || h->scale || values_body_len(h))
        return false;
    f64 v = (f64)(i64)h->base, sum = v * n;
    if (!(fabs(sum) <= EXACT_MAX))
        return false;
    *ret = (PageAggr){.count = n, .first = v, .last = v, .min = v, .max = v, .sum = sum};
    return true;
}

/* ---- bytes ---- */

enum {
    AGGR_DECIMAL = 1,     /* first, last, min and max as integers of the run's exponent; else 8 bytes each */
    AGGR_RISING = 2,      /* no reset: min is first, max is last */
    AGGR_EXACT = 4,       /* sums as integers; else 8 bytes each */
    AGGR_COMPENSATED = 8, /* 8 bytes of sum_c follow the sum; else it is 0 */
    AGGR_FLAGS = 15,
};

static void wr_f64(Buf *out, f64 v)
{
    wr_u64(out, f64_bits(v));
}

static bool has_decimals(const ValueHead *h)
{
    return h->mode != VALUES_OTHER && h->scale != SCALE_BITS && !h->patches;
}

/* first is not written where the head knows it. */
static bool head_first(const ValueHead *h, u64 *ret)
{
    *ret = h->first;
    return h->mode == VALUES_DELTA || h->mode == VALUES_DELTA2;
}

static i64 decimal_number(f64 v, u32 scale)
{
    return (i64)nearbyint(v * unpack_pow10[unpack_digits(scale)]);
}

void aggr_encode(Buf *out, const ValueHead *h, const PageAggr *a)
{
    bool is_decimal = has_decimals(h), rises = !a->resets && f64_bits(a->min) == f64_bits(a->first) &&
                                               f64_bits(a->max) == f64_bits(a->last);
    f64 largest = MAX(fabs(a->min), fabs(a->max));
    bool is_exact = is_decimal && h->scale == 0 && largest * a->count <= EXACT_MAX;
    bool has_c = !is_exact && f64_bits(a->sum_c) != 0;
    wr_u8(out, (u8)((is_decimal ? AGGR_DECIMAL : 0) | (rises ? AGGR_RISING : 0) |
                    (is_exact ? AGGR_EXACT : 0) | (has_c ? AGGR_COMPENSATED : 0)));
    if (is_decimal) {
        u64 first;
        i64 f = decimal_number(a->first, h->scale);
        if (!head_first(h, &first))
            wr_zigzag(out, f);
        wr_zigzag(out, decimal_number(a->last, h->scale) - f);
        if (!rises) {
            wr_varint(out, (u64)(f - decimal_number(a->min, h->scale)));
            wr_varint(out, (u64)(decimal_number(a->max, h->scale) - f));
        }
    } else {
        wr_f64(out, a->first);
        wr_f64(out, a->last);
        if (!rises) {
            wr_f64(out, a->min);
            wr_f64(out, a->max);
        }
    }
    if (is_exact)
        wr_zigzag(out, (i64)a->sum - (i64)a->first * (i64)a->count);
    else
        wr_f64(out, a->sum);
    if (has_c)
        wr_f64(out, a->sum_c);
    if (rises)
        return;
    wr_varint(out, a->resets);
    if (a->resets && is_exact)
        wr_zigzag(out, (i64)a->reset_sum - (i64)a->first * (i64)a->resets);
    else if (a->resets)
        wr_f64(out, a->reset_sum);
}

static f64 rd_f64(Reader *r)
{
    return f64_from_bits(rd_u64(r));
}

static void ends_decode(Reader *r, const ValueHead *h, bool rises, PageAggr *a)
{
    u64 first;
    if (!head_first(h, &first))
        first = (u64)rd_zigzag(r);
    a->first = unpack_value((i64)first, h->scale);
    a->last = unpack_value((i64)(first + (u64)rd_zigzag(r)), h->scale);
    if (rises)
        return;
    a->min = unpack_value((i64)(first - rd_varint(r)), h->scale);
    a->max = unpack_value((i64)(first + rd_varint(r)), h->scale);
}

bool aggr_decode(Str bytes, const ValueHead *h, u32 n, PageAggr *a)
{
    Reader r = reader_of(bytes.at, bytes.len);
    *a = (PageAggr){.count = n};
    u8 flags = rd_u8(&r);
    bool rises = flags & AGGR_RISING, is_exact = flags & AGGR_EXACT;
    if (r.bad || flags & ~AGGR_FLAGS || (flags & (AGGR_DECIMAL | AGGR_EXACT) && !has_decimals(h)))
        return false;
    if (flags & AGGR_DECIMAL) {
        ends_decode(&r, h, rises, a);
    } else {
        a->first = rd_f64(&r);
        a->last = rd_f64(&r);
        if (!rises) {
            a->min = rd_f64(&r);
            a->max = rd_f64(&r);
        }
    }
    if (rises) {
        a->min = a->first;
        a->max = a->last;
    }
    f64 exact_first = is_exact && fabs(a->first) <= EXACT_MAX ? a->first : 0;
    u64 whole = (u64)(i64)exact_first;
    a->sum = is_exact ? (f64)(i64)((u64)rd_zigzag(&r) + whole * n) : rd_f64(&r);
    a->sum_c = flags & AGGR_COMPENSATED ? rd_f64(&r) : 0;
    if (!rises) {
        u64 resets = rd_varint(&r);
        if (resets >= n && resets)
            return false;
        a->resets = (u32)resets;
        if (resets)
            a->reset_sum = is_exact ? (f64)(i64)((u64)rd_zigzag(&r) + whole * resets) : rd_f64(&r);
    }
    return !r.bad && !rd_left(&r) && isfinite(a->first) && isfinite(a->last) && isfinite(a->min) &&
           isfinite(a->max) && isfinite(a->sum) && isfinite(a->sum_c) && isfinite(a->reset_sum);
}
