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

/* m that stands for v bit for bit. */
static inline bool decimal_of(f64 v, u32 scale, i64 *ret)
{
    f64 scaled = v * unpack_pow10[unpack_digits(scale)];
    if (!(fabs(scaled) <= DECIMAL_INT_MAX))
        return false;
    i64 m = scale == 0 ? (i64)scaled : (i64)nearbyint(scaled);
    if (f64_bits(unpack_value(m, scale)) != f64_bits(v))
        return false;
    *ret = m;
    return true;
}

static bool decimal_ten_of(f64 v, u32 from, u32 *ret)
{
    i64 m;
    for (u32 k = from; k <= SCALE_TEN_MAX; k++)
        if (decimal_of(v, k, &m)) {
            *ret = k;
            return true;
        }
    return false;
}

#define PATCHES_MAX(n) ((n) / 8 + 1)

/* The smallest power of ten that serves all but a few values. False when decimals are not what these values are. */
static bool decimal_plan(const f64 *v, u32 n, u32 *ret)
{
    u32 k = 0, failed = 0;
    for (u32 i = 0; i < n; i++) {
        i64 ignored;
        if (decimal_of(v[i], k, &ignored))
            continue;
        u32 need;
        if (decimal_ten_of(v[i], k + 1, &need))
            k = need;
        else if (++failed > PATCHES_MAX(n))
            return false;
    }
    *ret = k;
    return true;
}

/* Values that have no number become patches and take their neighbour's. False: too many. */
static bool decimals_take(const f64 *v, u32 n, u32 scale, i64 *m, u32 *patches, u32 *ret_patches)
{
    u32 len = 0;
    i64 last = 0;
    for (u32 i = 0; i < n; i++) {
        if (!decimal_of(v[i], scale, &m[i])) {
            if (len == PATCHES_MAX(n))
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
    return true;
}

/* ---- choosing how integers are packed ---- */

typedef struct Form {
    u32 width, shift;
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
    u32 shift = best->shift;
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
            *best = (Form){w, shift, narrow, bits};
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

static const u8 shifts[8] = {0, 4, 8, 9, 10, 12, 16, 20}; /* as the head names them */

static u32 shift_of(const i64 *x, u32 n)
{
    u64 bits = 0;
    for (u32 i = 1; i < n; i++)
        bits |= (u64)x[i] - (u64)x[0];
    u32 zeros = bits ? (u32)__builtin_ctzll(bits) : 0, i = COUNT_OF(shifts) - 1;
    while (shifts[i] > zeros)
        i--;
    return shifts[i];
}

/* Of numbers without their common zeros. */
static Form form_plain(const i64 *x, u32 n, u32 shift, bool thorough)
{
    i64 lo = n ? x[0] : 0, hi = lo;
    for (u32 i = 1; i < n; i++) {
        lo = MIN(lo, x[i]);
        hi = MAX(hi, x[i]);
    }
    u32 width = bits_width((u64)hi - (u64)lo);
    Form best = {width, shift, (u64)lo, (u64)n * width + varint_bits((u64)lo)};
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

static Form form_of(const i64 *x, u32 n, bool thorough)
{
    u32 shift = shift_of(x, n);
    if (!shift)
        return form_plain(x, n, 0, thorough);
    i64 y[VALUES_N_MAX];
    for (u32 i = 0; i < n; i++)
        y[i] = (i64)((u64)x[i] - (u64)x[0]) >> shift;
    Form f = form_plain(y, n, shift, thorough);
    f.base = (u64)x[0] + (f.base << shift);
    f.bits += 8;
    return f;
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

/* Packs x->m. */
static void numbers_encode(Buf *body, Numbers *x, u32 n, u32 scale, bool thorough, ValueHead *h)
{
    Form f;
    u32 mode = numbers_mode(x, n, thorough, &f), len = n - mode;
    const i64 *of = mode == VALUES_DIRECT ? x->m : mode == VALUES_DELTA ? x->d1 : x->d2;
    *h = (ValueHead){.mode = (u8)mode,
                     .scale = (u8)scale,
                     .shift = (u8)f.shift,
                     .width = (u8)f.width,
                     .first = mode ? (u64)x->m[0] : 0,
                     .delta = mode == VALUES_DELTA2 ? (u64)x->d1[0] : 0,
                     .base = f.base};
    size_t start = body->len;
    BitWriter w = {.out = body};
    for (u32 i = 0; i < len; i++)
        bits_put(&w, (u64)((i64)((u64)of[i] - f.base) >> f.shift), f.width);
    bits_end(&w);
    h->packed = (u32)(body->len - start);
    if (f.width == 64)
        return;
    start = body->len;
    for (u32 i = 0, at = 0; i < len; i++) {
        u64 number = f.shift ? (u64)((i64)((u64)of[i] - f.base) >> f.shift) : (u64)of[i] - f.base;
        i64 high = (i64)number >> f.width;
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

/* A head's bytes but for the first. */
static size_t head_len(const ValueHead *h)
{
    char bytes[96];
    Buf b = {.at = bytes, .cap = sizeof bytes, .max = sizeof bytes};
    values_head_encode(&b, h);
    return b.len;
}

/* From `start` lies the shortest form so far, from `mid` another one. Only the shorter stays. */
static void keep_shorter(Buf *body, size_t start, size_t mid, ValueHead *best, const ValueHead *other)
{
    if (buf_over(body))
        return;
    size_t had = mid - start, has = body->len - mid;
    if (had + head_len(best) <= has + head_len(other)) {
        body->len = mid;
        return;
    }
    if (had) {
        memmove(body->at + start, body->at + mid, has);
        body->len = start + has;
    }
    *best = *other;
}

static bool decimals_encode(Buf *body, Numbers *x, const f64 *v, u32 n, u32 scale, bool thorough,
                            ValueHead *h)
{
    u32 patches[PATCHES_MAX(VALUES_N_MAX)], len;
    if (!decimals_take(v, n, scale, x->m, patches, &len))
        return false;
    numbers_encode(body, x, n, scale, thorough, h);
    patches_encode(body, v, patches, len, h);
    return true;
}

static void bits_encode(Buf *body, Numbers *x, const f64 *v, u32 n, bool thorough, ValueHead *h)
{
    for (u32 i = 0; i < n; i++)
        x->m[i] = (i64)f64_bits(v[i]);
    numbers_encode(body, x, n, SCALE_BITS, thorough, h);
}

static void other_encode(Buf *body, const f64 *v, u32 n, ValueHead *h)
{
    size_t start = body->len;
    xor_encode(body, v, n);
    *h = (ValueHead){.mode = VALUES_OTHER, .other = OTHER_XOR, .packed = (u32)(body->len - start)};
    if (buf_over(body) || h->packed < 8 * n)
        return;
    body->len = start;
    buf_put(body, v, 8 * (size_t)n);
    h->other = OTHER_RAW;
    h->packed = 8 * n;
}

#define DIGITS_PLAIN 9 /* decimals of more digits are often something else in disguise */

void values_encode(Buf *body, const f64 *v, u32 n, bool thorough, ValueHead *ret)
{
    Numbers x;
    ValueHead other;
    u32 k = 0;
    check(n > 0 && n <= VALUES_N_MAX);
    size_t start = body->len;
    if (decimal_plan(v, n, &k) && decimals_encode(body, &x, v, n, k, thorough, ret)) {
        if ((!ret->patches && k <= DIGITS_PLAIN) || buf_over(body))
            return;
    } else {
        bits_encode(body, &x, v, n, thorough, ret);
        if (body->len == start)
            return;
        k = SCALE_BITS;
    }
    for (u32 scale = SCALE_MILLI; scale < SCALES; scale++) {
        size_t mid = body->len;
        if (decimals_encode(body, &x, v, n, scale, thorough, &other))
            keep_shorter(body, start, mid, ret, &other);
    }
    size_t mid = body->len;
    if (k != SCALE_BITS) {
        bits_encode(body, &x, v, n, thorough, &other);
        keep_shorter(body, start, mid, ret, &other);
        mid = body->len;
    }
    other_encode(body, v, n, &other);
    keep_shorter(body, start, mid, ret, &other);
}

u8 values_head_flags(const ValueHead *h)
{
    if (h->mode == VALUES_OTHER)
        return VALUES_OTHER;
    return (u8)(h->mode | (h->patches ? HEAD_PATCHES : 0) | (h->width || h->high_bytes ? HEAD_WIDTH : 0) |
                (h->scale || h->shift ? HEAD_SCALE : 0));
}

#define WIDTH_HIGHS 0x80u /* in the width's byte: the bytes of high parts follow */

void values_head_encode(Buf *out, const ValueHead *h)
{
    if (h->mode == VALUES_OTHER) {
        wr_u8(out, h->other);
        wr_varint(out, h->packed);
        return;
    }
    if (h->scale || h->shift) {
        u8 name = 0;
        while (shifts[name] != h->shift)
            name++;
        wr_u8(out, (u8)(h->scale | name << 5));
    }
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
               !(flags & (HEAD_PATCHES | HEAD_WIDTH | HEAD_SCALE));
    }
    if (flags & HEAD_SCALE) {
        u8 scale = rd_u8(r);
        h->scale = scale & 31;
        h->shift = shifts[scale >> 5];
    }
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
    if (r->bad || n < 1u + h->mode || h->scale >= SCALES || h->width > 64 || high > BODY_MAX || patches > n ||
        patch_bytes > BODY_MAX || (high && h->width == 64))
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
    for (u32 i = lead; h->shift && i < n; i++)
        x[i] <<= h->shift;
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
    u->doubles(x, n, base, h->scale);
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
