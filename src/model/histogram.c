#include "model/model.h"

#include <float.h>
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

/* ---- bounds ---- */

/* Bucket bounds in [0.5, 1) of schema 8; lower schemas use every second, fourth ... of them. They are part of the
 * exchange format: computing them anew would differ in the last bit. */
static const f64 schema8_bounds[256] = {
    0x1.0000000000000p-1, 0x1.00b1afa5abcbfp-1, 0x1.0163da9fb3335p-1, 0x1.02168143b0281p-1,
    0x1.02c9a3e778061p-1, 0x1.037d42e11bbccp-1, 0x1.04315e86e7f84p-1, 0x1.04e5f72f654b1p-1,
    0x1.059b0d3158574p-1, 0x1.0650a0e3c1f89p-1, 0x1.0706b29ddf6ddp-1, 0x1.07bd42b72a836p-1,
    0x1.0874518759bc8p-1, 0x1.092bdf66607e0p-1, 0x1.09e3ecac6f383p-1, 0x1.0a9c79b1f3919p-1,
    0x1.0b5586cf9890fp-1, 0x1.0c0f145e46c85p-1, 0x1.0cc922b7247f6p-1, 0x1.0d83b23395deap-1,
    0x1.0e3ec32d3d1a2p-1, 0x1.0efa55fdfa9c5p-1, 0x1.0fb66affed31ap-1, 0x1.1073028d7233dp-1,
    0x1.11301d0125b50p-1, 0x1.11edbab5e2ab5p-1, 0x1.12abdc06c31cbp-1, 0x1.136a814f204aap-1,
    0x1.1429aaea92ddfp-1, 0x1.14e95934f312dp-1, 0x1.15a98c8a58e50p-1, 0x1.166a45471c3c1p-1,
    0x1.172b83c7d517bp-1, 0x1.17ed48695bbc0p-1, 0x1.18af9388c8de9p-1, 0x1.1972658375d2fp-1,
    0x1.1a35beb6fcb75p-1, 0x1.1af99f8138a1cp-1, 0x1.1bbe084045cd3p-1, 0x1.1c82f95281c6bp-1,
    0x1.1d4873168b9aap-1, 0x1.1e0e75eb44026p-1, 0x1.1ed5022fcd91cp-1, 0x1.1f9c18438ce4cp-1,
    0x1.2063b88628cd6p-1, 0x1.212be3578a819p-1, 0x1.21f49917ddc95p-1, 0x1.22bdda27912d0p-1,
    0x1.2387a6e756238p-1, 0x1.2451ffb82140ap-1, 0x1.251ce4fb2a63ep-1, 0x1.25e85711ece74p-1,
    0x1.26b4565e27cddp-1, 0x1.2780e341ddf2ap-1, 0x1.284dfe1f56380p-1, 0x1.291ba7591bb6fp-1,
    0x1.29e9df51fdee1p-1, 0x1.2ab8a66d10f13p-1, 0x1.2b87fd0dad98fp-1, 0x1.2c57e39771b2ep-1,
    0x1.2d285a6e4030bp-1, 0x1.2df961f641589p-1, 0x1.2ecafa93e2f55p-1, 0x1.2f9d24abd886ap-1,
    0x1.306fe0a31b715p-1, 0x1.31432edeeb2fdp-1, 0x1.32170fc4cd831p-1, 0x1.32eb83ba8ea32p-1,
    0x1.33c08b26416ffp-1, 0x1.3496266e3fa2dp-1, 0x1.356c55f929ff0p-1, 0x1.36431a2de883ap-1,
    0x1.371a7373aa9cap-1, 0x1.37f26231e7549p-1, 0x1.38cae6d05d864p-1, 0x1.39a401b7140edp-1,
    0x1.3a7db34e59ff6p-1, 0x1.3b57fbfec6cf4p-1, 0x1.3c32dc313a8e3p-1, 0x1.3d0e544ede172p-1,
    0x1.3dea64c123422p-1, 0x1.3ec70df1c5175p-1, 0x1.3fa4504ac801bp-1, 0x1.40822c367a024p-1,
    0x1.4160a21f72e2ap-1, 0x1.423fb2709468ap-1, 0x1.431f5d950a896p-1, 0x1.43ffa3f84b9d4p-1,
    0x1.44e086061892dp-1, 0x1.45c2042a7d232p-1, 0x1.46a41ed1d0057p-1, 0x1.4786d668b3236p-1,
    0x1.486a2b5c13cd0p-1, 0x1.494e1e192aed2p-1, 0x1.4a32af0d7d3dep-1, 0x1.4b17dea6db7d7p-1,
    0x1.4bfdad5362a27p-1, 0x1.4ce41b817c114p-1, 0x1.4dcb299fddd0dp-1, 0x1.4eb2d81d8abfep-1,
    0x1.4f9b2769d2ca7p-1, 0x1.508417f4531efp-1, 0x1.516daa2cf6642p-1, 0x1.5257de83f4eefp-1,
    0x1.5342b569d4f81p-1, 0x1.542e2f4f6ad27p-1, 0x1.551a4ca5d920dp-1, 0x1.56070dde910d0p-1,
    0x1.56f4736b527dap-1, 0x1.57e27dbe2c4cfp-1, 0x1.58d12d497c7fcp-1, 0x1.59c0827ff07cbp-1,
    0x1.5ab07dd485429p-1, 0x1.5ba11fba87a02p-1, 0x1.5c9268a5946b6p-1, 0x1.5d84590998b92p-1,
    0x1.5e76f15ad2148p-1, 0x1.5f6a320dceb71p-1, 0x1.605e1b976dc08p-1, 0x1.6152ae6cdf6f4p-1,
    0x1.6247eb03a5584p-1, 0x1.633dd1d1929fdp-1, 0x1.6434634ccc31ep-1, 0x1.652b9febc8fb5p-1,
    0x1.6623882552224p-1, 0x1.671c1c70833f5p-1, 0x1.68155d44ca972p-1, 0x1.690f4b19e9537p-1,
    0x1.6a09e667f3bccp-1, 0x1.6b052fa75173ep-1, 0x1.6c012750bdabep-1, 0x1.6cfdcddd47645p-1,
    0x1.6dfb23c651a2ep-1, 0x1.6ef9298593ae4p-1, 0x1.6ff7df9519482p-1, 0x1.70f7466f42e85p-1,
    0x1.71f75e8ec5f73p-1, 0x1.72f8286ead089p-1, 0x1.73f9a48a58172p-1, 0x1.74fbd35d7cbfcp-1,
    0x1.75feb564267c8p-1, 0x1.77024b1ab6e09p-1, 0x1.780694fde5d3ep-1, 0x1.790b938ac1cf5p-1,
    0x1.7a11473eb0186p-1, 0x1.7b17b0976cfdap-1, 0x1.7c1ed0130c131p-1, 0x1.7d26a62ff86efp-1,
    0x1.7e2f336cf4e61p-1, 0x1.7f3878491c490p-1, 0x1.80427543e1a10p-1, 0x1.814d2add106d8p-1,
    0x1.82589994cce11p-1, 0x1.8364c1eb941f6p-1, 0x1.8471a4623c7abp-1, 0x1.857f4179f5b1fp-1,
    0x1.868d99b4492ebp-1, 0x1.879cad931a435p-1, 0x1.88ac7d98a6697p-1, 0x1.89bd0a478580dp-1,
    0x1.8ace5422aa0dbp-1, 0x1.8be05bad61778p-1, 0x1.8cf3216b5448bp-1, 0x1.8e06a5e0866d8p-1,
    0x1.8f1ae99157736p-1, 0x1.902fed0282c8ap-1, 0x1.9145b0b91ffc5p-1, 0x1.925c353aa2fe2p-1,
    0x1.93737b0cdc5e4p-1, 0x1.948b82b5f98e4p-1, 0x1.95a44cbc8520dp-1, 0x1.96bdd9a7670b1p-1,
    0x1.97d829fde4e4fp-1, 0x1.98f33e47a22a2p-1, 0x1.9a0f170ca07b8p-1, 0x1.9b2bb4d53fe0bp-1,
    0x1.9c49182a3f08fp-1, 0x1.9d674194bb8d4p-1, 0x1.9e86319e32321p-1, 0x1.9fa5e8d07f29cp-1,
    0x1.a0c667b5de564p-1, 0x1.a1e7aed8eb8bbp-1, 0x1.a309bec4a2d32p-1, 0x1.a42c980460ad7p-1,
    0x1.a5503b23e255bp-1, 0x1.a674a8af46051p-1, 0x1.a799e1330b356p-1, 0x1.a8bfe53c12e57p-1,
    0x1.a9e6b5579fdbep-1, 0x1.ab0e521356eb9p-1, 0x1.ac36bbfd3f378p-1, 0x1.ad5ff3a3c2773p-1,
    0x1.ae89f995ad3acp-1, 0x1.afb4ce622f2fep-1, 0x1.b0e07298db663p-1, 0x1.b20ce6c9a8950p-1,
    0x1.b33a2b84f15fap-1, 0x1.b468415b749b0p-1, 0x1.b59728de55938p-1, 0x1.b6c6e29f1c529p-1,
    0x1.b7f76f2fb5e45p-1, 0x1.b928cf22749e2p-1, 0x1.ba5b030a10647p-1, 0x1.bb8e0b79a6f1dp-1,
    0x1.bcc1e904bc1d0p-1, 0x1.bdf69c3f3a205p-1, 0x1.bf2c25bd71e06p-1, 0x1.c06286141b33bp-1,
    0x1.c199bdd85529ap-1, 0x1.c2d1cd9fa652ap-1, 0x1.c40ab5fffd078p-1, 0x1.c544778fafb20p-1,
    0x1.c67f12e57d149p-1, 0x1.c7ba88988c931p-1, 0x1.c8f6d9406e7b2p-1, 0x1.ca3405751c4d8p-1,
    0x1.cb720dcef9066p-1, 0x1.ccb0f2e6d1672p-1, 0x1.cdf0b555dc3f6p-1, 0x1.cf3155b5bab70p-1,
    0x1.d072d4a078979p-1, 0x1.d1b532b08c966p-1, 0x1.d2f87080d89eep-1, 0x1.d43c8eacaa1d3p-1,
    0x1.d5818dcfba486p-1, 0x1.d6c76e862e6d2p-1, 0x1.d80e316c98396p-1, 0x1.d955d71ff6074p-1,
    0x1.da9e603db3284p-1, 0x1.dbe7cd63a8313p-1, 0x1.dd321f301b45ep-1, 0x1.de7d5641c0656p-1,
    0x1.dfc97337b9b5dp-1, 0x1.e11676b197d16p-1, 0x1.e264614f5a126p-1, 0x1.e3b333b16ee0fp-1,
    0x1.e502ee78b3ff5p-1, 0x1.e653924676d75p-1, 0x1.e7a51fbc74c81p-1, 0x1.e8f7977cdb73ep-1,
    0x1.ea4afa2a490d8p-1, 0x1.eb9f4867cca6dp-1, 0x1.ecf482d8e67eep-1, 0x1.ee4aaa218850ep-1,
    0x1.efa1bee615a26p-1, 0x1.f0f9c1cb64129p-1, 0x1.f252b376bba95p-1, 0x1.f3ac948dd7272p-1,
    0x1.f50765b6e453ep-1, 0x1.f6632798844f6p-1, 0x1.f7bfdad9cbe10p-1, 0x1.f91d802243c86p-1,
    0x1.fa7c1819e90d6p-1, 0x1.fbdba3692d512p-1, 0x1.fd3c22b8f71eep-1, 0x1.fe9d96b2a23d6p-1,
};

static f64 exponential_bound(i32 index, i32 schema)
{
    if (schema < 0) {
        i64 exp = (i64)index * (1 << -schema);
        if (exp == 1024)
            return DBL_MAX;
        return ldexp(1, (int)MAX(MIN(exp, 4096), -4096));
    }
    u32 frac_index = (u32)index & ((1u << schema) - 1);
    f64 frac = schema8_bounds[frac_index << (8 - schema)];
    int exp = (index >> schema) + 1;
    /* The last regular bucket ends at the largest number, so that infinities have a bucket of their own. */
    if (frac == 0.5 && exp == 1025)
        return DBL_MAX;
    return ldexp(frac, exp);
}

f64 histogram_bound(const Histogram *h, i32 index)
{
    if (h->schema != HIST_SCHEMA_CUSTOM)
        return exponential_bound(index, h->schema);
    if (index < 0)
        return -INFINITY;
    return (u32)index < h->custom_len ? h->custom[index] : INFINITY;
}

/* ---- iteration ---- */

static HistCursor cursor_at(const HistSpan *spans, u32 spans_len, const f64 *v, u32 len, bool back)
{
    HistCursor c = {.spans = spans, .v = v, .spans_len = spans_len, .back = back};
    if (!back) {
        c.index = spans_len ? spans[0].offset : 0;
        return c;
    }
    c.span = spans_len;
    c.at = len;
    for (u32 i = 0; i < spans_len; i++)
        c.index += spans[i].offset + (i32)spans[i].length;
    return c;
}

static bool cursor_next(HistCursor *c, i32 *ret_index, f64 *ret_count)
{
    if (!c->back) {
        while (c->span < c->spans_len && c->in_span == c->spans[c->span].length) {
            c->span++;
            c->in_span = 0;
            if (c->span < c->spans_len)
                c->index += c->spans[c->span].offset;
        }
        if (c->span == c->spans_len)
            return false;
        c->in_span++;
        *ret_index = c->index++;
        *ret_count = c->v[c->at++];
        return true;
    }
    while (c->in_span == 0) {
        if (c->span < c->spans_len)
            c->index -= c->spans[c->span].offset;
        if (c->span == 0)
            return false;
        c->span--;
        c->in_span = c->spans[c->span].length;
    }
    c->in_span--;
    *ret_index = --c->index;
    *ret_count = c->v[--c->at];
    return true;
}

void histogram_iter(HistIter *it, const Histogram *h, bool descending)
{
    *it = (HistIter){.h = h, .is_descending = descending};
    HistCursor pos = cursor_at(h->pos_spans, h->pos_spans_len, h->pos, h->pos_len, descending);
    HistCursor neg = cursor_at(h->neg_spans, h->neg_spans_len, h->neg, h->neg_len, !descending);
    it->first = descending ? pos : neg;
    it->last = descending ? neg : pos;
}

void histogram_bucket(const Histogram *h, bool positive, i32 index, f64 count, HistBucket *ret)
{
    f64 outer = histogram_bound(h, index), inner = histogram_bound(h, index - 1);
    *ret = (HistBucket){.index = index, .count = count};
    ret->lower = positive ? inner : -outer;
    ret->upper = positive ? outer : -inner;
    bool is_custom = h->schema == HIST_SCHEMA_CUSTOM;
    ret->lower_incl = is_custom ? index == 0 : ret->lower < 0;
    ret->upper_incl = is_custom || ret->upper > 0;
}

static bool side_next(HistIter *it, HistCursor *c, bool positive, HistBucket *ret)
{
    i32 index;
    f64 count;
    if (!cursor_next(c, &index, &count))
        return false;
    histogram_bucket(it->h, positive, index, count, ret);
    f64 width = it->h->zero_threshold;
    if (ret->upper < 0 && ret->upper > -width)
        ret->upper = -width;
    if (ret->lower > 0 && ret->lower < width)
        ret->lower = width;
    return true;
}

bool histogram_next(HistIter *it, HistBucket *ret)
{
    if (it->state == 0) {
        if (side_next(it, &it->first, it->is_descending, ret))
            return true;
        it->state = 1;
        f64 width = it->h->zero_threshold;
        if (it->h->zero_count > 0) {
            *ret = (HistBucket){-width, width, it->h->zero_count, true, true, 0};
            return true;
        }
    }
    return side_next(it, &it->last, !it->is_descending, ret);
}

bool histogram_side_next(HistCursor *c, i32 *ret_index, f64 *ret_count)
{
    return cursor_next(c, ret_index, ret_count);
}

HistCursor histogram_side(const Histogram *h, bool positive, bool back)
{
    return positive ? cursor_at(h->pos_spans, h->pos_spans_len, h->pos, h->pos_len, back)
                    : cursor_at(h->neg_spans, h->neg_spans_len, h->neg, h->neg_len, back);
}
