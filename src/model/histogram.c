#include "model/model.h"

#include <math.h>

/* A histogram with more buckets than this is refused: no real one comes near, and sizes stay far from overflow. */
#define HIST_BUCKETS_MAX 1000000u

static Err check_spans(const HistSpan *spans, u32 spans_len, u32 buckets_len, const char *side, Why *why)
{
    u64 total = 0;
    i64 index = 0;
    for (u32 i = 0; i < spans_len; i++) {
        if (i > 0 && spans[i].offset < 0)
            return why_set(
                why, E_INVALID,
                "%s side: span number %u with offset %d: histogram has a span whose offset is negative", side,
                i + 1, spans[i].offset);
        index += spans[i].offset;
        index += spans[i].length;
        total += spans[i].length;
        if (index > INT32_MAX || index < INT32_MIN || total > HIST_BUCKETS_MAX)
            return why_set(why, E_INVALID,
                           "%s side: histogram has too many buckets or a bucket index out of range", side);
    }
    if (total != buckets_len)
        return why_set(
            why, E_INVALID,
            "%s side: spans need %llu buckets, have %u buckets: histogram spans specify different number of "
            "buckets than provided",
            side, (unsigned long long)total, buckets_len);
    return OK;
}

static Err check_buckets(const f64 *at, u32 n, const char *side, f64 *ret_sum, Why *why)
{
    for (u32 i = 0; i < n; i++) {
        if (!(at[i] >= 0))
            return why_set(
                why, E_INVALID,
                "%s side: bucket number %u has observation count of %g: histogram has a bucket whose "
                "observation count is negative or not a number",
                side, i + 1, at[i]);
        *ret_sum += at[i];
    }
    return OK;
}

static Err check_custom(const Histogram *h, Why *why)
{
    if (h->zero_count != 0 || h->zero_threshold != 0)
        return why_set(why, E_INVALID,
                       "histogram with custom buckets must have zero bucket and threshold of 0");
    if (h->neg_spans_len || h->neg_len)
        return why_set(why, E_INVALID, "histogram with custom buckets must not have negative buckets");
    for (u32 i = 0; i < h->custom_len; i++) {
        f64 bound = h->custom[i];
        if (isnan(bound) || (isinf(bound) && bound > 0))
            return why_set(why, E_INVALID, "histogram custom bounds must be finite or -Inf, got %g", bound);
        if (i && bound <= h->custom[i - 1])
            return why_set(
                why, E_INVALID,
                "histogram custom bounds must be in strictly increasing order: upper boundary %g follows %g",
                bound, h->custom[i - 1]);
    }
    i64 index = 0;
    for (u32 i = 0; i < h->pos_spans_len; i++) {
        index += h->pos_spans[i].offset;
        if (index < 0)
            return why_set(
                why, E_INVALID,
                "positive side: histogram with custom buckets has a bucket before the first bound");
        index += h->pos_spans[i].length;
    }
    if (index > (i64)h->custom_len + 1)
        return why_set(why, E_INVALID,
                       "positive side: only %u custom bounds defined which is insufficient to cover total "
                       "span length of %lld: "
                       "histogram custom bounds are too few",
                       h->custom_len, (long long)index);
    return OK;
}

Err histogram_check(const Histogram *h, Why *why)
{
    if (h->schema != HIST_SCHEMA_CUSTOM) {
        if (h->schema < -4 || h->schema > 8)
            return why_set(
                why, E_INVALID,
                "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or "
                "-53 for custom buckets, got schema %d",
                h->schema);
        if (h->custom_len)
            return why_set(why, E_INVALID, "histogram with exponential schema must not have custom bounds");
    }
    TRY(check_spans(h->pos_spans, h->pos_spans_len, h->pos_len, "positive", why));
    TRY(check_spans(h->neg_spans, h->neg_spans_len, h->neg_len, "negative", why));
    if (h->schema == HIST_SCHEMA_CUSTOM)
        TRY(check_custom(h, why));
    if (histogram_is_stale(h))
        return OK;
    f64 total = 0;
    TRY(check_buckets(h->neg, h->neg_len, "negative", &total, why));
    TRY(check_buckets(h->pos, h->pos_len, "positive", &total, why));
    if (!(h->zero_count >= 0))
        return why_set(
            why, E_INVALID,
            "histogram's zero bucket has observation count of %g, which is negative or not a number",
            h->zero_count);
    if (!(h->zero_threshold >= 0) || isinf(h->zero_threshold))
        return why_set(why, E_INVALID, "histogram's zero threshold must be finite and not negative, got %g",
                       h->zero_threshold);
    if (!(h->count >= 0))
        return why_set(why, E_INVALID,
                       "histogram's observation count is %g, which is negative or not a number", h->count);
    if (!h->is_int)
        return OK;
    total += h->zero_count;
    /* Observations of NaN count but fall into no bucket; they make the sum NaN. */
    if (isnan(h->sum) ? total > h->count : total != h->count)
        return why_set(
            why, E_INVALID,
            "%.0f observations found in buckets, but the Count field is %.0f: histogram's observation count "
            "should equal the number of observations found in the buckets%s",
            total, h->count, isnan(h->sum) ? " (or exceed it, the sum being NaN)" : "");
    return OK;
}

static void *dup_array(Arena *a, const void *at, size_t n)
{
    if (!n)
        return NULL;
    void *copy = arena_try(a, n);
    if (copy)
        memcpy(copy, at, n);
    return copy;
}

/* Past the arena's limit an array may be missing; its length then becomes zero so the value stays well formed. The arena is
 * `over`, so the caller gives up anyway. */
Histogram *histogram_dup(Arena *a, const Histogram *h)
{
    Histogram *r = arena_alloc(a, sizeof *r);
    *r = *h;
    r->pos_spans = dup_array(a, h->pos_spans, sizeof *h->pos_spans * h->pos_spans_len);
    r->neg_spans = dup_array(a, h->neg_spans, sizeof *h->neg_spans * h->neg_spans_len);
    r->pos = dup_array(a, h->pos, sizeof *h->pos * h->pos_len);
    r->neg = dup_array(a, h->neg, sizeof *h->neg * h->neg_len);
    r->custom = dup_array(a, h->custom, sizeof *h->custom * h->custom_len);
    if ((h->pos_spans_len && !r->pos_spans) || (h->pos_len && !r->pos))
        r->pos_spans_len = r->pos_len = 0;
    if ((h->neg_spans_len && !r->neg_spans) || (h->neg_len && !r->neg))
        r->neg_spans_len = r->neg_len = 0;
    if (h->custom_len && !r->custom)
        r->custom_len = 0;
    return r;
}

static bool f64s_same(const f64 *a, const f64 *b, u32 n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

static bool spans_same(const HistSpan *a, const HistSpan *b, u32 n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

bool histogram_eq(const Histogram *a, const Histogram *b)
{
    return a->schema == b->schema && a->hint == b->hint && a->is_int == b->is_int &&
           f64_bits(a->zero_threshold) == f64_bits(b->zero_threshold) &&
           f64_bits(a->zero_count) == f64_bits(b->zero_count) && f64_bits(a->count) == f64_bits(b->count) &&
           f64_bits(a->sum) == f64_bits(b->sum) && a->pos_spans_len == b->pos_spans_len &&
           a->neg_spans_len == b->neg_spans_len && a->pos_len == b->pos_len && a->neg_len == b->neg_len &&
           a->custom_len == b->custom_len && spans_same(a->pos_spans, b->pos_spans, a->pos_spans_len) &&
           spans_same(a->neg_spans, b->neg_spans, a->neg_spans_len) &&
           f64s_same(a->pos, b->pos, a->pos_len) && f64s_same(a->neg, b->neg, a->neg_len) &&
           f64s_same(a->custom, b->custom, a->custom_len);
}
