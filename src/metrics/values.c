#include "metrics/values.h"
#include <math.h>

/* ---- timestamps ---- */

/* After the first two, each token is varint(zigzag(dod) << 1 | has_run) and, with has_run, a varint of further
 * repetitions. Differences are taken modulo 2^64, so every i64 survives. */
void times_encode(Buf *out, const i64 *t, u32 n)
{
    wr_varint(out, n);
    wr_zigzag(out, t[0]);
    if (n == 1)
        return;
    u64 delta = (u64)t[1] - (u64)t[0];
    wr_varint(out, delta);
    for (u32 i = 2; i < n;) {
        u64 next = (u64)t[i] - (u64)t[i - 1];
        u64 zz = zigzag((i64)(next - delta));
        u32 run = 1;
        u64 d = next, dod = next - delta;
        while (i + run < n && (u64)t[i + run] - (u64)t[i + run - 1] - d == dod) {
            d += dod;
            run++;
        }
        if (zz >= (u64)INT64_MAX) { /* does not fit beside the flag: all ones mark a raw delta */
            wr_varint(out, UINT64_MAX);
            wr_u64(out, next);
            run = 1;
            d = next;
        } else {
            wr_varint(out, zz << 1 | (run > 1));
            if (run > 1)
                wr_varint(out, run - 1);
        }
        delta = d;
        i += run;
    }
}

bool times_count(Reader *r, u32 n_max, u32 *ret_n)
{
    u64 n = rd_varint(r);
    if (r->bad || n == 0 || n > n_max)
        return false;
    *ret_n = (u32)n;
    return true;
}

bool times_decode(Reader *r, i64 *t, u32 n)
{
    t[0] = rd_zigzag(r);
    if (n == 1)
        return !r->bad;
    u64 delta = rd_varint(r);
    t[1] = (i64)((u64)t[0] + delta);
    for (u32 i = 2; i < n;) {
        u64 token = rd_varint(r);
        if (r->bad)
            return false;
        if (token == UINT64_MAX) {
            delta = rd_u64(r);
            t[i] = (i64)((u64)t[i - 1] + delta);
            i++;
            continue;
        }
        u64 run = 1 + (token & 1 ? rd_varint(r) : 0);
        u64 dod = (u64)unzigzag(token >> 1);
        if (r->bad || run > n - i)
            return false;
        for (; run; run--, i++) {
            delta += dod;
            t[i] = (i64)((u64)t[i - 1] + delta);
        }
    }
    if (r->bad)
        return false;
    for (u32 i = 1; i < n; i++)
        if (t[i] <= t[i - 1])
            return false;
    return true;
}

/* ---- bits, least significant first ---- */

typedef struct BitWriter {
    Buf *out;
    u64 acc;
    u32 used;
} BitWriter;

static inline void bits_put(BitWriter *w, u64 v, u32 n)
{
    if (n == 0)
        return;
    if (n < 64)
        v &= ((u64)1 << n) - 1;
    w->acc |= v << w->used;
    if (w->used + n < 64) {
        w->used += n;
        return;
    }
    wr_u64(w->out, w->acc);
    u32 taken = 64 - w->used;
    w->acc = taken < 64 ? v >> taken : 0;
    w->used = w->used + n - 64;
}

static void bits_end(BitWriter *w)
{
    for (; w->used; w->used = w->used > 8 ? w->used - 8 : 0, w->acc >>= 8)
        wr_u8(w->out, (u8)w->acc);
}

typedef struct BitReader {
    const u8 *at, *end;
    u64 acc;
    u32 have;
    bool bad;
} BitReader;

static inline u64 bits_get(BitReader *r, u32 n)
{
    if (n == 0)
        return 0;
    u64 v = r->acc;
    u32 got = r->have;
    if (got < n) {
        u64 word = 0;
        size_t left = (size_t)(r->end - r->at);
        u32 take = left >= 8 ? 8 : (u32)left;
        memcpy(&word, r->at, take);
        r->at += take;
        if (got + take * 8 < n) {
            r->bad = true;
            r->acc = 0;
            r->have = 0;
            return 0;
        }
        v |= got < 64 ? word << got : 0;
        u32 used = n - got; /* bits of word that belong to this value, 1..64 */
        r->acc = used < 64 ? word >> used : 0;
        r->have = take * 8 - used;
    } else {
        r->acc = n < 64 ? r->acc >> n : 0;
        r->have -= n;
    }
    return n < 64 ? v & (((u64)1 << n) - 1) : v;
}

static inline u32 bits_width(u64 v)
{
    return v ? 64 - (u32)__builtin_clzll(v) : 0;
}

/* ---- values ---- */

#define DECIMAL_EXP_MAX 14
#define DECIMAL_INT_MAX 9007199254740992.0 /* 2^53 */
enum { DECIMAL_DIRECT, DECIMAL_DELTA, DECIMAL_DELTA2 };

static const f64 pow10_of[DECIMAL_EXP_MAX + 1] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};

/* m such that m / 10^k is v again, bit for bit. */
static inline bool decimal_of(f64 v, u32 k, i64 *ret)
{
    f64 scaled = v * pow10_of[k];
    if (!(fabs(scaled) <= DECIMAL_INT_MAX))
        return false;
    i64 m = k == 0 ? (i64)scaled : (i64)nearbyint(scaled);
    if (f64_bits((f64)m / pow10_of[k]) != f64_bits(v))
        return false;
    *ret = m;
    return true;
}

static bool decimal_exp_of(f64 v, u32 from, u32 *ret)
{
    i64 m;
    for (u32 k = from; k <= DECIMAL_EXP_MAX; k++)
        if (decimal_of(v, k, &m)) {
            *ret = k;
            return true;
        }
    return false;
}

/* Finds the smallest exponent that serves all but a few values; those become patches and take their neighbour's number.
 * False when decimals are not what these values are. */
static bool decimal_plan(const f64 *v, u32 n, i64 *m, u32 *patches, u32 *ret_patches, u32 *ret_k)
{
    u32 allowed = n / 8 + 1, k = 0, failed = 0;
    for (u32 i = 0; i < n; i++) {
        i64 ignored;
        if (decimal_of(v[i], k, &ignored))
            continue;
        u32 need;
        if (decimal_exp_of(v[i], k + 1, &need))
            k = need;
        else if (++failed > allowed)
            return false;
    }
    u32 len = 0;
    i64 last = 0;
    for (u32 i = 0; i < n; i++) {
        if (!decimal_of(v[i], k, &m[i])) {
            if (len == allowed)
                return false;
            patches[len++] = i;
            m[i] = last;
        }
        last = m[i];
    }
    /* A patch at the start takes the first real number, so that it costs no width. */
    if (len && patches[0] == 0) {
        u32 real = 0;
        for (u32 p = 0; p < len && patches[p] == real; p++)
            real++;
        for (u32 i = 0; i < real && real < n; i++)
            m[i] = m[real];
    }
    *ret_patches = len;
    *ret_k = k;
    return true;
}

static u32 range_width(const i64 *d, u32 n, i64 *ret_min)
{
    i64 lo = n ? d[0] : 0, hi = lo;
    for (u32 i = 1; i < n; i++) {
        lo = MIN(lo, d[i]);
        hi = MAX(hi, d[i]);
    }
    *ret_min = lo;
    return bits_width((u64)hi - (u64)lo);
}

static void decimal_encode(Buf *out, const f64 *v, u32 n, i64 *m, const u32 *patches, u32 patches_len, u32 k)
{
    i64 *d1 = m + n, *d2 = m + 2 * (size_t)n, min0, min1 = 0, min2 = 0;
    for (u32 i = 1; i < n; i++)
        d1[i - 1] = m[i] - m[i - 1]; /* |m| <= 2^53: no overflow */
    for (u32 i = 2; i < n; i++)
        d2[i - 2] = d1[i - 1] - d1[i - 2];
    u32 w0 = range_width(m, n, &min0), w1 = 64, w2 = 64, mode = DECIMAL_DIRECT;
    if (n > 1)
        w1 = range_width(d1, n - 1, &min1);
    if (n > 2)
        w2 = range_width(d2, n - 2, &min2);
    u32 width = w0;
    if (n > 1 && (u64)w1 * (n - 1) + 8 < (u64)width * n) {
        mode = DECIMAL_DELTA;
        width = w1;
    }
    if (n > 2 && (u64)w2 * (n - 2) + 16 < (u64)width * n) {
        mode = DECIMAL_DELTA2;
        width = w2;
    }
    wr_u8(out, VALUES_DECIMAL | (u8)(mode << 2) | (u8)(k << 4));
    wr_u8(out, (u8)width);
    wr_varint(out, patches_len);
    const i64 *packed = m;
    i64 base = min0;
    u32 packed_len = n;
    if (mode == DECIMAL_DIRECT) {
        wr_zigzag(out, min0);
    } else {
        wr_zigzag(out, m[0]);
        if (mode == DECIMAL_DELTA2)
            wr_zigzag(out, d1[0]);
        packed = mode == DECIMAL_DELTA ? d1 : d2;
        base = mode == DECIMAL_DELTA ? min1 : min2;
        packed_len = mode == DECIMAL_DELTA ? n - 1 : n - 2;
        wr_zigzag(out, base);
    }
    u32 at = 0;
    for (u32 i = 0; i < patches_len; i++) {
        wr_varint(out, patches[i] - at);
        wr_u64(out, f64_bits(v[patches[i]]));
        at = patches[i];
    }
    BitWriter w = {.out = out};
    for (u32 i = 0; i < packed_len; i++)
        bits_put(&w, (u64)packed[i] - (u64)base, width);
    bits_end(&w);
}

static bool decimal_decode(Reader *r, u8 head, f64 *v, u32 n)
{
    u32 mode = head >> 2 & 3, k = head >> 4, width = rd_u8(r);
    u64 patches_len = rd_varint(r);
    if (k > DECIMAL_EXP_MAX || mode > DECIMAL_DELTA2 || width > 64 || patches_len > n ||
        (mode == DECIMAL_DELTA && n < 2) || (mode == DECIMAL_DELTA2 && n < 3))
        return false;
    u64 first = 0, delta = 0;
    if (mode != DECIMAL_DIRECT)
        first = (u64)rd_zigzag(r);
    if (mode == DECIMAL_DELTA2)
        delta = (u64)rd_zigzag(r);
    u64 base = (u64)rd_zigzag(r);
    Reader patches = *r;
    for (u64 i = 0; i < patches_len; i++) {
        rd_varint(r);
        rd_u64(r);
    }
    if (r->bad)
        return false;
    BitReader b = {.at = r->at, .end = r->end};
    f64 scale = pow10_of[k];
    u32 i = 0;
    if (mode != DECIMAL_DIRECT)
        v[i++] = (f64)(i64)first / scale;
    if (mode == DECIMAL_DELTA2) {
        first += delta;
        v[i++] = (f64)(i64)first / scale;
    }
    for (; i < n; i++) {
        u64 x = base + bits_get(&b, width);
        if (mode == DECIMAL_DELTA2)
            x = delta += x;
        first = mode == DECIMAL_DIRECT ? x : first + x;
        v[i] = k ? (f64)(i64)first / scale : (f64)(i64)first;
    }
    if (b.bad)
        return false;
    u64 at = 0;
    for (u64 p = 0; p < patches_len; p++) {
        at += rd_varint(&patches);
        if (at >= n)
            return false;
        v[at] = f64_from_bits(rd_u64(&patches));
    }
    return true;
}

/* Each value is XORed with the one before: 0 = same; 10 = the meaningful bits lie in the last window; 11 = 6 bits of trailing
 * zeroes, 6 bits of length - 1, then the bits. */
static void xor_encode(Buf *out, const f64 *v, u32 n)
{
    wr_u8(out, VALUES_XOR);
    u64 last = f64_bits(v[0]);
    wr_u64(out, last);
    BitWriter w = {.out = out};
    u32 shift = 0, len = 0;
    for (u32 i = 1; i < n; i++) {
        u64 bits = f64_bits(v[i]), x = bits ^ last;
        last = bits;
        if (!x) {
            bits_put(&w, 0, 1);
            continue;
        }
        u32 tz = (u32)__builtin_ctzll(x), need = 64 - tz - (u32)__builtin_clzll(x);
        if (len && tz >= shift && tz + need <= shift + len && len < need + 12) {
            bits_put(&w, 1, 2);
        } else {
            shift = tz;
            len = need;
            bits_put(&w, 3 | (u64)shift << 2 | (u64)(len - 1) << 8, 14);
        }
        bits_put(&w, x >> shift, len);
    }
    bits_end(&w);
}

static bool xor_decode(Reader *r, f64 *v, u32 n)
{
    u64 last = rd_u64(r);
    if (r->bad)
        return false;
    v[0] = f64_from_bits(last);
    BitReader b = {.at = r->at, .end = r->end};
    u32 shift = 0, len = 0;
    for (u32 i = 1; i < n; i++) {
        if (bits_get(&b, 1)) {
            if (bits_get(&b, 1)) {
                shift = (u32)bits_get(&b, 6);
                len = (u32)bits_get(&b, 6) + 1;
            }
            if (!len || shift + len > 64)
                return false;
            last ^= bits_get(&b, len) << shift;
        }
        if (b.bad)
            return false;
        v[i] = f64_from_bits(last);
    }
    return true;
}

#define VALUES_STACK 1024

void values_encode(Buf *out, const f64 *v, u32 n)
{
    i64 numbers_stack[3 * VALUES_STACK];
    u32 patches_stack[VALUES_STACK / 8 + 2];
    i64 *numbers = n <= VALUES_STACK ? numbers_stack : mem_alloc(sizeof(i64) * 3 * n);
    u32 *patches = n <= VALUES_STACK ? patches_stack : mem_alloc(sizeof(u32) * (n / 8 + 2));
    u32 patches_len, k, same = 1;
    size_t start = out->len;
    while (same < n && f64_bits(v[same]) == f64_bits(v[0]))
        same++;
    if (decimal_plan(v, n, numbers, patches, &patches_len, &k) && !(same == n && patches_len)) {
        decimal_encode(out, v, n, numbers, patches, patches_len, k);
    } else if (same == n) {
        wr_u8(out, VALUES_CONST);
        wr_u64(out, f64_bits(v[0]));
    } else {
        xor_encode(out, v, n);
    }
    if (!buf_over(out) && out->len - start > 1 + 8 * (size_t)n) {
        out->len = start;
        wr_u8(out, VALUES_RAW);
        buf_put(out, v, 8 * (size_t)n);
    }
    if (n > VALUES_STACK) {
        mem_free(numbers);
        mem_free(patches);
    }
}

bool values_decode(Reader *r, f64 *v, u32 n)
{
    u8 head = rd_u8(r);
    if (r->bad || n == 0)
        return false;
    switch (head & 3) {
    case VALUES_CONST: {
        f64 c = f64_from_bits(rd_u64(r));
        for (u32 i = 0; i < n; i++)
            v[i] = c;
        return !r->bad;
    }
    case VALUES_DECIMAL:
        return decimal_decode(r, head, v, n);
    case VALUES_XOR:
        return xor_decode(r, v, n);
    default: {
        const u8 *p = rd_bytes(r, 8 * (size_t)n);
        if (p)
            memcpy(v, p, 8 * (size_t)n);
        return p != NULL;
    }
    }
}

/* ---- histograms ---- */

enum { HIST_F_INT = 1, HIST_F_PACKED = 2, HIST_HINT_SHIFT = 2 };
#define HIST_BUCKETS_MAX (1u << 20)

static bool is_count(f64 v)
{
    return v >= 0 && v <= DECIMAL_INT_MAX && f64_bits((f64)(u64)v) == f64_bits(v);
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
