/* Runs of floats. A value is an integer over a power of ten, equal bit for bit, or its own bits taken for an integer; integers are
 * kept as they are or as first or second differences, less a base, packed to one width; the few that need more have their high parts
 * beside, and the few values that are no such number are kept whole. What all that cannot shorten is XORed with its neighbour. */
#include "metrics/values.h"
#include <math.h>

/* ---- bits, least significant first ---- */

void bits_put(BitWriter *w, u64 v, u32 n)
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

void bits_end(BitWriter *w)
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

/* ---- decimals ---- */

#define DECIMAL_INT_MAX 9007199254740992.0 /* 2^53 */

/* m such that m / 10^k is v again, bit for bit. */
static inline bool decimal_of(f64 v, u32 k, i64 *ret)
{
    f64 scaled = v * unpack_pow10[k];
    if (!(fabs(scaled) <= DECIMAL_INT_MAX))
        return false;
    i64 m = k == 0 ? (i64)scaled : (i64)nearbyint(scaled);
    if (f64_bits((f64)m / unpack_pow10[k]) != f64_bits(v))
        return false;
    *ret = m;
    return true;
}

static bool decimal_exp_of(f64 v, u32 from, u32 *ret)
{
    i64 m;
    for (u32 k = from; k <= UNPACK_EXP_MAX; k++)
        if (decimal_of(v, k, &m)) {
            *ret = k;
            return true;
        }
    return false;
}

#define PATCHES_MAX(n) ((n) / 8 + 1)

/* Finds the smallest exponent that serves all but a few values; those become patches and take their neighbour's number.
 * False when decimals are not what these values are. */
static bool decimal_plan(const f64 *v, u32 n, i64 *m, u32 *patches, u32 *ret_patches, u32 *ret_k)
{
    u32 allowed = PATCHES_MAX(n), k = 0, failed = 0;
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

/* ---- choosing how integers are packed ---- */

typedef struct Form {
    u32 width;
    u64 base;
    u64 bits; /* what it costs, base included; high parts about */
} Form;

static u64 varint_bits(u64 v)
{
    u64 zz = zigzag((i64)v);
    return 8 * (u64)((bits_width(zz | 1) + 6) / 7);
}

#define HIGHS_MIN_N 32u /* shorter runs are not worth looking at twice */

/* of[w]: numbers that need w bits. Tries every narrower width, the numbers beyond it kept beside. center: of[] counts the bits of
 * the distance from a middle, so that the base lies half a range below it. */
static void form_narrow(Form *best, const u32 *of, u32 n, u32 top, u64 base, bool center)
{
    u32 over = 0;
    for (u32 w = top; w-- > 0;) {
        over += of[w + 1];
        if (over > n / 4)
            return;
        u64 narrow = center && w ? base - ((u64)1 << (w - 1)) : base;
        u64 bits = (u64)n * w + 16 + varint_bits(narrow);
        for (u32 k = w + 1; k <= top; k++)
            bits += (u64)of[k] * 8 * (1 + (k - w + 7) / 7);
        if (bits < best->bits)
            *best = (Form){w, narrow, bits};
    }
}

/* Of a few dozen numbers spread over the run: near enough. */
static i64 middle_of(const i64 *x, u32 n)
{
    i64 few[33];
    u32 len = 0, step = n / 33 + 1;
    for (u32 i = step / 2; i < n && len < 33; i += step) {
        u32 k = len++;
        for (; k > 0 && few[k - 1] > x[i]; k--)
            few[k] = few[k - 1];
        few[k] = x[i];
    }
    return few[len / 2];
}

static Form form_of(const i64 *x, u32 n, bool thorough)
{
    i64 lo = n ? x[0] : 0, hi = lo;
    for (u32 i = 1; i < n; i++) {
        lo = MIN(lo, x[i]);
        hi = MAX(hi, x[i]);
    }
    u32 width = bits_width((u64)hi - (u64)lo);
    Form best = {width, (u64)lo, (u64)n * width + varint_bits((u64)lo)};
    if (!thorough || n < HIGHS_MIN_N || width == 0)
        return best;
    u32 above[66] = {0}, around[66] = {0};
    u64 middle = (u64)middle_of(x, n);
    for (u32 i = 0; i < n; i++) {
        u64 a = (u64)x[i] - (u64)lo, s = (u64)x[i] - middle;
        above[bits_width(a)]++;
        around[s ? bits_width(s ^ (u64)((i64)s >> 63)) + 1 : 0]++;
    }
    form_narrow(&best, above, n, width, (u64)lo, false);
    u32 top = 65;
    while (top && !around[top])
        top--;
    if (top <= 63)
        form_narrow(&best, around, n, top, middle, true);
    return best;
}

typedef struct Numbers {
    i64 m[VALUES_N_MAX], d1[VALUES_N_MAX], d2[VALUES_N_MAX];
} Numbers;

/* Differences modulo 2^64. */
static u32 numbers_mode(Numbers *x, u32 n, bool thorough, Form *ret)
{
    Form form = form_of(x->m, n, thorough);
    u32 mode = VALUES_DIRECT;
    *ret = form;
    if (n < 2 || !form.width)
        return mode;
    for (u32 i = 1; i < n; i++)
        x->d1[i - 1] = (i64)((u64)x->m[i] - (u64)x->m[i - 1]);
    u64 first = varint_bits((u64)x->m[0]);
    Form delta = form_of(x->d1, n - 1, thorough);
    delta.bits += first;
    if (delta.bits < ret->bits) {
        *ret = delta;
        mode = VALUES_DELTA;
    }
    if (n < 3 || !delta.width)
        return mode;
    for (u32 i = 2; i < n; i++)
        x->d2[i - 2] = (i64)((u64)x->d1[i - 1] - (u64)x->d1[i - 2]);
    Form second = form_of(x->d2, n - 2, thorough);
    second.bits += first + varint_bits((u64)x->d1[0]);
    if (second.bits < ret->bits) {
        *ret = second;
        mode = VALUES_DELTA2;
    }
    return mode;
}

/* Packs x->m; exp says what the numbers are. */
static void numbers_encode(Buf *body, Numbers *x, u32 n, u32 exp, bool thorough, ValueHead *h)
{
    Form f;
    u32 mode = numbers_mode(x, n, thorough, &f), len = n - mode;
    const i64 *of = mode == VALUES_DIRECT ? x->m : mode == VALUES_DELTA ? x->d1 : x->d2;
    *h = (ValueHead){.mode = (u8)mode,
                     .exp = (u8)exp,
                     .width = (u8)f.width,
                     .first = mode ? (u64)x->m[0] : 0,
                     .delta = mode == VALUES_DELTA2 ? (u64)x->d1[0] : 0,
                     .base = f.base};
    size_t start = body->len;
    BitWriter w = {.out = body};
    for (u32 i = 0; i < len; i++)
        bits_put(&w, (u64)of[i] - f.base, f.width);
    bits_end(&w);
    h->packed = (u32)(body->len - start);
    if (f.width == 64)
        return;
    start = body->len;
    for (u32 i = 0, at = 0; i < len; i++) {
        i64 high = (i64)((u64)of[i] - f.base) >> f.width;
        if (!high)
            continue;
        wr_varint(body, i - at);
        wr_zigzag(body, high);
        at = i;
    }
    h->high_bytes = (u32)(body->len - start);
}

static void patches_encode(Buf *body, const f64 *v, const u32 *patches, u32 len, ValueHead *h)
{
    size_t start = body->len;
    for (u32 i = 0, at = 0; i < len; at = patches[i++]) {
        wr_varint(body, patches[i] - at);
        wr_u64(body, f64_bits(v[patches[i]]));
    }
    h->patches = len;
    h->patch_bytes = (u32)(body->len - start);
}

/* ---- xor ---- */

/* Each value is XORed with the one before: 0 = same; 10 = the meaningful bits lie in the last window; 11 = 6 bits of trailing
 * zeroes, 6 bits of length - 1, then the bits. */
static void xor_encode(Buf *out, const f64 *v, u32 n)
{
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

static bool xor_decode(const u8 *at, size_t bytes, f64 *v, u32 n)
{
    if (bytes < 8)
        return false;
    u64 last = load_u64(at);
    v[0] = f64_from_bits(last);
    BitReader b = {.at = at + 8, .end = at + bytes};
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

/* ---- a run ---- */

/* For what decimals do not suit: whichever of the bits as integers, XOR and plain bytes is shortest. */
static void doubles_encode(Buf *body, Numbers *x, const f64 *v, u32 n, bool thorough, ValueHead *h)
{
    size_t start = body->len;
    for (u32 i = 0; i < n; i++)
        x->m[i] = (i64)f64_bits(v[i]);
    numbers_encode(body, x, n, UNPACK_EXP_BITS, thorough, h);
    size_t packed = body->len - start;
    if (packed == 0)
        return;
    size_t mid = body->len;
    xor_encode(body, v, n);
    size_t xored = body->len - mid;
    if (buf_over(body) || packed <= xored + xored / 32) {
        body->len = mid;
        return;
    }
    body->len = start;
    bool is_raw = xored >= 8 * (size_t)n;
    *h = (ValueHead){
        .mode = VALUES_OTHER, .other = is_raw ? OTHER_RAW : OTHER_XOR, .packed = is_raw ? 8 * n : (u32)xored};
    if (is_raw) {
        buf_put(body, v, 8 * (size_t)n);
    } else {
        memmove(body->at + start, body->at + mid, xored);
        body->len = start + xored;
    }
}

void values_encode(Buf *body, const f64 *v, u32 n, bool thorough, ValueHead *ret)
{
    Numbers x;
    u32 patches[PATCHES_MAX(VALUES_N_MAX)], patches_len = 0, k = 0;
    check(n > 0 && n <= VALUES_N_MAX);
    size_t start = body->len;
    bool is_decimal = decimal_plan(v, n, x.m, patches, &patches_len, &k);
    if (is_decimal) {
        numbers_encode(body, &x, n, k, thorough, ret);
        patches_encode(body, v, patches, patches_len, ret);
        if (!patches_len || buf_over(body))
            return;
    }
    /* Patched decimals may still be the longer form. */
    size_t mid = body->len;
    ValueHead other;
    doubles_encode(body, &x, v, n, thorough, &other);
    if (buf_over(body) || (is_decimal && mid - start <= body->len - mid)) {
        body->len = MIN(mid, body->len);
        return;
    }
    if (mid > start) {
        memmove(body->at + start, body->at + mid, body->len - mid);
        body->len -= mid - start;
    }
    *ret = other;
}

u8 values_head_flags(const ValueHead *h)
{
    if (h->mode == VALUES_OTHER)
        return VALUES_OTHER;
    return (u8)(h->mode | (h->patches ? HEAD_PATCHES : 0) | (h->width || h->high_bytes ? HEAD_WIDTH : 0) |
                (h->exp ? HEAD_EXP : 0));
}

#define WIDTH_HIGHS 0x80u /* in the width's byte: the bytes of high parts follow */

void values_head_encode(Buf *out, const ValueHead *h)
{
    if (h->mode == VALUES_OTHER) {
        wr_u8(out, h->other);
        wr_varint(out, h->packed);
        return;
    }
    if (h->exp)
        wr_u8(out, h->exp);
    if (h->width || h->high_bytes)
        wr_u8(out, (u8)(h->width | (h->high_bytes ? WIDTH_HIGHS : 0)));
    if (h->high_bytes)
        wr_varint(out, h->high_bytes);
    if (h->patches) {
        wr_varint(out, h->patches);
        wr_varint(out, h->patch_bytes);
    }
    if (h->mode != VALUES_DIRECT)
        wr_zigzag(out, (i64)h->first);
    if (h->mode == VALUES_DELTA2)
        wr_zigzag(out, (i64)h->delta);
    wr_zigzag(out, (i64)h->base);
}

#define BODY_MAX (1u << 30)

bool values_head_decode(Reader *r, u8 flags, u32 n, ValueHead *h)
{
    *h = (ValueHead){.mode = flags & HEAD_MODE};
    if (h->mode == VALUES_OTHER) {
        h->other = rd_u8(r);
        u64 bytes = rd_varint(r);
        h->packed = (u32)bytes;
        return !r->bad && h->other < OTHER_KINDS && bytes <= BODY_MAX &&
               !(flags & (HEAD_PATCHES | HEAD_WIDTH | HEAD_EXP));
    }
    if (flags & HEAD_EXP)
        h->exp = rd_u8(r);
    u64 high = 0, patches = 0, patch_bytes = 0;
    if (flags & HEAD_WIDTH) {
        u8 width = rd_u8(r);
        h->width = width & ~WIDTH_HIGHS;
        if (width & WIDTH_HIGHS)
            high = rd_varint(r);
    }
    if (flags & HEAD_PATCHES) {
        patches = rd_varint(r);
        patch_bytes = rd_varint(r);
    }
    if (h->mode != VALUES_DIRECT)
        h->first = (u64)rd_zigzag(r);
    if (h->mode == VALUES_DELTA2)
        h->delta = (u64)rd_zigzag(r);
    h->base = (u64)rd_zigzag(r);
    if (r->bad || n < 1u + h->mode || h->exp > UNPACK_EXP_BITS || h->width > 64 || high > BODY_MAX ||
        patches > n || patch_bytes > BODY_MAX || (high && h->width == 64))
        return false;
    h->packed = ((n - h->mode) * h->width + 7) / 8;
    h->high_bytes = (u32)high;
    h->patches = (u32)patches;
    h->patch_bytes = (u32)patch_bytes;
    return true;
}

static bool highs_add(const ValueHead *h, const u8 *body, u64 *x, u32 n)
{
    Reader r = reader_of(body + h->packed, h->high_bytes);
    u64 at = 0;
    while (rd_left(&r)) {
        at += rd_varint(&r);
        u64 high = (u64)rd_zigzag(&r);
        if (r.bad || at >= n)
            return false;
        x[at] += high << h->width;
    }
    return true;
}

static bool patches_apply(const ValueHead *h, const u8 *body, f64 *v, u32 n)
{
    Reader r = reader_of(body + h->packed + h->high_bytes, h->patch_bytes);
    u64 at = 0;
    for (u32 i = 0; i < h->patches; i++) {
        at += rd_varint(&r);
        u64 bits = rd_u64(&r);
        if (r.bad || at >= n)
            return false;
        v[at] = f64_from_bits(bits);
    }
    return true;
}

static bool numbers_decode(const ValueHead *h, const u8 *body, size_t avail, f64 *v, u32 n)
{
    const Unpack *u = unpack_best();
    u64 *x = (u64 *)v, base = 0;
    u32 lead = h->mode;
    u->bits(body, avail, h->width, n - lead, x + lead);
    if (h->high_bytes && !highs_add(h, body, x + lead, n - lead))
        return false;
    if (lead == VALUES_DIRECT) {
        base = h->base;
    } else if (lead == VALUES_DELTA) {
        x[0] = h->first;
        u->sums(x + 1, n - 1, h->first, h->base);
    } else {
        x[0] = h->first;
        x[1] = h->first + h->delta;
        u->sums(x + 2, n - 2, h->delta, h->base);
        u->sums(x + 2, n - 2, x[1], 0);
    }
    u->doubles(x, n, base, h->exp);
    return !h->patches || patches_apply(h, body, v, n);
}

bool values_decode(const ValueHead *h, const u8 *body, size_t avail, f64 *v, u32 n)
{
    if (values_body_len(h) > avail || n == 0)
        return false;
    if (h->mode != VALUES_OTHER)
        return numbers_decode(h, body, avail, v, n);
    if (h->other == OTHER_XOR)
        return xor_decode(body, h->packed, v, n);
    if (h->other != OTHER_RAW || h->packed != 8 * (size_t)n)
        return false;
    memcpy(v, body, 8 * (size_t)n);
    return true;
}
