/* Chunks of Prometheus's blocks: floats with timestamps as deltas of deltas and values XORed; histograms of one bucket layout.
 * See docs/formats/prometheus-blocks.md. */
#include <math.h>

#include "metrics/blocks/bits.h"
#include "metrics/blocks/blocks.h"

enum { HEAD_RESET = 0x80, HEAD_NO_RESET = 0x40, HEAD_GAUGE = 0xc0 };
enum { SPANS_MAX = 1 << 16, BUCKETS_MAX = 1 << 20 };

/* ---- floats ---- */

static void put_uvarint(BitWriter *w, u64 v)
{
    for (; v >= 0x80; v >>= 7)
        bits_put(w, (v & 0x7f) | 0x80, 8);
    bits_put(w, v, 8);
}

static u64 get_uvarint(BitReader *r)
{
    u64 v = 0;
    for (u32 shift = 0; shift < 64; shift += 7) {
        u64 b = bits_get(r, 8);
        v |= (b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

static void put_f64(BitWriter *w, f64 v)
{
    bits_put(w, f64_bits(v), 64);
}

static f64 get_f64(BitReader *r)
{
    return f64_from_bits(bits_get(r, 64));
}

/* Widths of a float chunk's deltas of deltas; past them 64 bits. */
static const u8 dod_widths[] = {0, 14, 17, 20};

static void put_dod(BitWriter *w, i64 dod)
{
    u32 k = 0;
    if (dod)
        for (k = 1; k < 4 && !fits_bits(dod, dod_widths[k]);)
            k++;
    bits_put(w, k == 4 ? 0xf : (1ULL << (k + 1)) - 2, k == 4 ? 4 : k + 1);
    bits_put(w, (u64)dod, k == 4 ? 64 : dod_widths[k]);
}

static i64 get_dod(BitReader *r)
{
    u32 k = 0;
    while (k < 4 && bits_get(r, 1))
        k++;
    if (k == 4)
        return (i64)bits_get(r, 64);
    return k ? bits_signed(bits_get(r, dod_widths[k]), dod_widths[k]) : 0;
}

static void begin(Buf *out, BitWriter *w, u32 n)
{
    *w = (BitWriter){out, 0};
    bits_put(w, n, 16);
}

static u32 encode_floats(const i64 *t, const f64 *v, const Histogram *const *h, u32 n, Buf *out)
{
    u32 take = 1;
    while (take < MIN(n, (u32)BLOCK_CHUNK_SAMPLES) && !(h && h[take]))
        take++;
    BitWriter w;
    begin(out, &w, take);
    put_uvarint(&w, ((u64)t[0] << 1) ^ (u64)(t[0] >> 63));
    put_f64(&w, v[0]);
    XorState x = xor_from(v[0]);
    u64 delta = 0;
    for (u32 i = 1; i < take; i++) {
        u64 now = (u64)t[i] - (u64)t[i - 1];
        if (i == 1)
            put_uvarint(&w, now);
        else
            put_dod(&w, (i64)(now - delta));
        delta = now;
        xor_put(&w, &x, v[i]);
    }
    return take;
}

static void decode_floats(BitReader *r, ChunkSamples *c)
{
    u64 t = get_uvarint(r), delta = 0;
    t = (t >> 1) ^ -(t & 1);
    f64 v = get_f64(r);
    XorState x = xor_from(v);
    for (u32 i = 0; i < c->n && !r->bad; i++) {
        if (i) {
            delta = i == 1 ? get_uvarint(r) : delta + (u64)get_dod(r);
            t += delta;
            v = xor_get(r, &x);
        }
        c->t[i] = (i64)t;
        c->v[i] = v;
    }
}

/* ---- the layout of histograms ---- */

static void put_threshold(BitWriter *w, f64 v)
{
    int e;
    if (v == 0) {
        bits_put(w, 0, 8);
    } else if (frexp(v, &e) == 0.5 && e >= -242 && e <= 11) {
        bits_put(w, (u64)(e + 243), 8);
    } else {
        bits_put(w, 255, 8);
        put_f64(w, v);
    }
}

static f64 get_threshold(BitReader *r)
{
    u64 b = bits_get(r, 8);
    return b == 0 ? 0 : b == 255 ? get_f64(r) : ldexp(0.5, (int)b - 243);
}

/* Bounds that people set have few decimals: thousandths as integers where that is exact. */
static void put_bound(BitWriter *w, f64 v)
{
    f64 y = v * 1000;
    if (y >= 0 && y <= 33554430 && (f64)(u64)round(y) / 1000 == v && !(v == 0 && signbit(v))) {
        varbit_put_uint(w, (u64)round(y) + 1);
    } else {
        bits_put(w, 0, 1);
        put_f64(w, v);
    }
}

static f64 get_bound(BitReader *r)
{
    u64 n = varbit_get_uint(r);
    return n ? (f64)(n - 1) / 1000 : get_f64(r);
}

static void put_spans(BitWriter *w, const HistSpan *s, u32 n)
{
    varbit_put_uint(w, n);
    for (u32 i = 0; i < n; i++) {
        varbit_put_uint(w, s[i].length);
        varbit_put_int(w, s[i].offset);
    }
}

static HistSpan *get_spans(BitReader *r, Arena *arena, u32 *ret_n, u32 *ret_buckets)
{
    u64 n = varbit_get_uint(r), buckets = 0;
    if (n > SPANS_MAX || n * 2 > bits_left(r)) {
        r->bad |= n > 0;
        n = r->bad ? 0 : n;
    }
    HistSpan *s = arena_array(arena, HistSpan, n + 1);
    for (u64 i = 0; s && i < n; i++) {
        u64 length = varbit_get_uint(r);
        i64 offset = varbit_get_int(r);
        s[i] = (HistSpan){(i32)offset, (u32)length};
        buckets += length;
        if (length > BUCKETS_MAX || buckets > BUCKETS_MAX || offset != (i32)offset)
            r->bad = true;
    }
    *ret_n = (u32)n;
    *ret_buckets = r->bad ? 0 : (u32)buckets;
    return s;
}

static bool same_spans(const HistSpan *a, u32 a_len, const HistSpan *b, u32 b_len)
{
    return a_len == b_len && (!a_len || !memcmp(a, b, a_len * sizeof *a));
}

static bool same_layout(const Histogram *a, const Histogram *b)
{
    return a->schema == b->schema && f64_bits(a->zero_threshold) == f64_bits(b->zero_threshold) &&
           same_spans(a->pos_spans, a->pos_spans_len, b->pos_spans, b->pos_spans_len) &&
           same_spans(a->neg_spans, a->neg_spans_len, b->neg_spans, b->neg_spans_len) &&
           a->custom_len == b->custom_len &&
           (!a->custom_len || !memcmp(a->custom, b->custom, a->custom_len * sizeof(f64)));
}

/* How many of the histograms go on in the chunk of the first. */
static u32 histograms_alike(const Histogram *const *h, u32 n)
{
    const Histogram *first = h[0];
    bool gauge = first->hint == HIST_GAUGE;
    u32 take = 1;
    if (histogram_is_stale(first))
        return 1;
    Arena scratch;
    arena_init(&scratch, NULL, 64 << 20);
    for (; take < MIN(n, (u32)BLOCK_CHUNK_SAMPLES); take++) {
        const Histogram *now = h[take];
        if (!now || now->is_int != first->is_int || (now->hint == HIST_GAUGE) != gauge ||
            histogram_is_stale(now) || !same_layout(first, now))
            break;
        if (!gauge && (now->hint == HIST_RESET || histogram_is_reset(&scratch, now, h[take - 1])))
            break;
    }
    arena_done(&scratch);
    return take;
}

/* ---- histograms ---- */

/* A number that is written as the delta of its deltas. */
typedef struct Dod {
    i64 v, delta;
} Dod;
static void dod_put(BitWriter *w, Dod *d, i64 v)
{
    i64 delta = (i64)((u64)v - (u64)d->v);
    varbit_put_int(w, (i64)((u64)delta - (u64)d->delta));
    d->delta = delta;
    d->v = v;
}
static i64 dod_get(BitReader *r, Dod *d)
{
    d->delta = (i64)((u64)d->delta + (u64)varbit_get_int(r));
    d->v = (i64)((u64)d->v + (u64)d->delta);
    return d->v;
}

static void put_int_buckets(BitWriter *w, Dod *state, const f64 *v, u32 n, bool is_first)
{
    i64 before = 0;
    for (u32 i = 0; i < n; i++) {
        i64 delta = (i64)v[i] - before;
        before = (i64)v[i];
        if (is_first) {
            varbit_put_int(w, delta);
            state[i] = (Dod){delta, 0};
        } else {
            dod_put(w, &state[i], delta);
        }
    }
}

static void encode_ints(BitWriter *w, const i64 *t, const Histogram *const *h, u32 n)
{
    u32 buckets = h[0]->pos_len + h[0]->neg_len;
    Dod *state = mem_alloc(sizeof *state * (buckets + 1)), time = {t[0], 0}, count = {(i64)h[0]->count, 0},
        zero = {(i64)h[0]->zero_count, 0};
    XorState sum = xor_from(h[0]->sum);
    for (u32 i = 0; i < n; i++) {
        if (i) {
            dod_put(w, &time, t[i]);
            dod_put(w, &count, (i64)h[i]->count);
            dod_put(w, &zero, (i64)h[i]->zero_count);
            xor_put(w, &sum, h[i]->sum);
        } else {
            varbit_put_int(w, t[0]);
            varbit_put_uint(w, (u64)h[0]->count);
            varbit_put_uint(w, (u64)h[0]->zero_count);
            put_f64(w, h[0]->sum);
        }
        put_int_buckets(w, state, h[i]->pos, h[i]->pos_len, !i);
        put_int_buckets(w, state + h[0]->pos_len, h[i]->neg, h[i]->neg_len, !i);
    }
    mem_free(state);
}

static void put_float_buckets(BitWriter *w, XorState *state, const f64 *v, u32 n, bool is_first)
{
    for (u32 i = 0; i < n; i++) {
        if (is_first) {
            put_f64(w, v[i]);
            state[i] = xor_from(v[i]);
        } else {
            xor_put(w, &state[i], v[i]);
        }
    }
}

static void encode_doubles(BitWriter *w, const i64 *t, const Histogram *const *h, u32 n)
{
    u32 buckets = h[0]->pos_len + h[0]->neg_len;
    XorState *state = mem_alloc(sizeof *state * (buckets + 1)), count = xor_from(h[0]->count),
             zero = xor_from(h[0]->zero_count), sum = xor_from(h[0]->sum);
    Dod time = {t[0], 0};
    for (u32 i = 0; i < n; i++) {
        if (i) {
            dod_put(w, &time, t[i]);
            xor_put(w, &count, h[i]->count);
            xor_put(w, &zero, h[i]->zero_count);
            xor_put(w, &sum, h[i]->sum);
        } else {
            varbit_put_int(w, t[0]);
            put_f64(w, h[0]->count);
            put_f64(w, h[0]->zero_count);
            put_f64(w, h[0]->sum);
        }
        put_float_buckets(w, state, h[i]->pos, h[i]->pos_len, !i);
        put_float_buckets(w, state + h[0]->pos_len, h[i]->neg, h[i]->neg_len, !i);
    }
    mem_free(state);
}

static u32 encode_histograms(const i64 *t, const Histogram *const *h, u32 n, Buf *out)
{
    const Histogram *first = h[0], empty = {.sum = first->sum, .is_int = first->is_int}, *stale = &empty;
    u32 take = histograms_alike(h, n);
    BitWriter w;
    begin(out, &w, take);
    u8 head = first->hint == HIST_GAUGE ? HEAD_GAUGE : first->hint == HIST_RESET ? HEAD_RESET : 0;
    bits_put(&w, head, 8);
    if (histogram_is_stale(first))
        h = &stale; /* a marker has nothing but its sum */
    put_threshold(&w, h[0]->zero_threshold);
    varbit_put_int(&w, h[0]->schema);
    put_spans(&w, h[0]->pos_spans, h[0]->pos_spans_len);
    put_spans(&w, h[0]->neg_spans, h[0]->neg_spans_len);
    if (h[0]->schema == HIST_SCHEMA_CUSTOM) {
        varbit_put_uint(&w, h[0]->custom_len);
        for (u32 i = 0; i < h[0]->custom_len; i++)
            put_bound(&w, h[0]->custom[i]);
    }
    (first->is_int ? encode_ints : encode_doubles)(&w, t, h, take);
    return take;
}

u32 chunk_encode(const i64 *t, const f64 *v, const Histogram *const *h, u32 n, Buf *out, ChunkKind *ret_kind)
{
    *ret_kind = !h || !h[0] ? CHUNK_XOR : h[0]->is_int ? CHUNK_HISTOGRAM : CHUNK_FLOAT_HISTOGRAM;
    return *ret_kind == CHUNK_XOR ? encode_floats(t, v, h, n, out) : encode_histograms(t, h, n, out);
}

/* ---- decoding histograms ---- */

typedef struct HistDecoder {
    BitReader r;
    Arena *arena;
    Histogram layout; /* what all have in common */
    u8 head;
    Dod time, count, zero, *ints;
    XorState sum, count_x, zero_x, *floats;
} HistDecoder;

static bool layout_read(HistDecoder *d)
{
    BitReader *r = &d->r;
    Histogram *l = &d->layout;
    u64 custom = 0;
    d->head = (u8)bits_get(r, 8);
    l->zero_threshold = get_threshold(r);
    l->schema = (i32)varbit_get_int(r);
    l->pos_spans = get_spans(r, d->arena, &l->pos_spans_len, &l->pos_len);
    l->neg_spans = get_spans(r, d->arena, &l->neg_spans_len, &l->neg_len);
    if (l->schema == HIST_SCHEMA_CUSTOM)
        custom = varbit_get_uint(r);
    /* The first sample takes a bit for each bucket at least, so does a bound. */
    u64 room = bits_left(r);
    if (r->bad || custom > room || (u64)l->pos_len + l->neg_len > room - custom)
        return false;
    l->custom = arena_array(d->arena, f64, custom + 1);
    for (; l->custom && l->custom_len < custom; l->custom_len++)
        l->custom[l->custom_len] = get_bound(r);
    u32 buckets = l->pos_len + l->neg_len + 1;
    if (l->is_int)
        d->ints = arena_array(d->arena, Dod, buckets);
    else
        d->floats = arena_array(d->arena, XorState, buckets);
    return l->pos_spans && l->neg_spans && l->custom && (d->ints || d->floats) && !r->bad;
}

static void get_int_buckets(BitReader *r, Dod *state, f64 *v, u32 n, bool is_first)
{
    i64 at = 0;
    for (u32 i = 0; i < n; i++) {
        if (is_first)
            state[i] = (Dod){varbit_get_int(r), 0};
        else
            dod_get(r, &state[i]);
        at = (i64)((u64)at + (u64)state[i].v);
        v[i] = (f64)at;
        r->bad |= at < 0 || at > 1LL << 53;
    }
}

static void get_float_buckets(BitReader *r, XorState *state, f64 *v, u32 n, bool is_first)
{
    for (u32 i = 0; i < n; i++) {
        if (is_first)
            state[i] = xor_from(v[i] = get_f64(r));
        else
            v[i] = xor_get(r, &state[i]);
    }
}

static void head_read(HistDecoder *d, Histogram *h, i64 *ret_t, bool is_first)
{
    BitReader *r = &d->r;
    if (is_first) {
        d->time = (Dod){varbit_get_int(r), 0};
        if (h->is_int) {
            d->count = (Dod){(i64)varbit_get_uint(r), 0};
            d->zero = (Dod){(i64)varbit_get_uint(r), 0};
        } else {
            d->count_x = xor_from(get_f64(r));
            d->zero_x = xor_from(get_f64(r));
        }
        d->sum = xor_from(h->sum = get_f64(r));
    } else {
        dod_get(r, &d->time);
        if (h->is_int) {
            dod_get(r, &d->count);
            dod_get(r, &d->zero);
        } else {
            xor_get(r, &d->count_x);
            xor_get(r, &d->zero_x);
        }
        h->sum = xor_get(r, &d->sum);
    }
    *ret_t = d->time.v;
    h->count = h->is_int ? (f64)d->count.v : f64_from_bits(d->count_x.v);
    h->zero_count = h->is_int ? (f64)d->zero.v : f64_from_bits(d->zero_x.v);
    if (h->is_int && ((u64)d->count.v > 1ULL << 53 || (u64)d->zero.v > 1ULL << 53))
        r->bad = true;
}

static const Histogram *histogram_read(HistDecoder *d, i64 *ret_t, bool is_first)
{
    Histogram *h = arena_new(d->arena, Histogram);
    *h = d->layout;
    head_read(d, h, ret_t, is_first);
    h->hint = d->head >> 6 == HEAD_GAUGE >> 6   ? HIST_GAUGE
              : !is_first                       ? HIST_NO_RESET
              : d->head >> 6 == HEAD_RESET >> 6 ? HIST_RESET
                                                : HIST_UNKNOWN_RESET;
    if (histogram_is_stale(h)) { /* nothing follows but in the first, whose layout is its own */
        if (!is_first) {
            *h = (Histogram){.is_int = h->is_int, .hint = h->hint, .sum = h->sum};
            return h;
        }
    }
    h->pos = arena_array(d->arena, f64, h->pos_len + 1);
    h->neg = arena_array(d->arena, f64, h->neg_len + 1);
    if (!h->pos || !h->neg)
        return NULL;
    if (h->is_int) {
        get_int_buckets(&d->r, d->ints, h->pos, h->pos_len, is_first);
        get_int_buckets(&d->r, d->ints + h->pos_len, h->neg, h->neg_len, is_first);
    } else {
        get_float_buckets(&d->r, d->floats, h->pos, h->pos_len, is_first);
        get_float_buckets(&d->r, d->floats + h->pos_len, h->neg, h->neg_len, is_first);
    }
    return h;
}

static Err decode_histograms(HistDecoder *d, ChunkSamples *c, Why *why)
{
    bool ok = layout_read(d);
    for (u32 i = 0; ok && i < c->n; i++) {
        c->h[i] = histogram_read(d, &c->t[i], !i);
        ok = c->h[i] && !d->r.bad && !arena_over(d->arena);
        if (ok && !histogram_is_stale(c->h[i]))
            TRY(histogram_check(c->h[i], why) == OK ? OK : E_CORRUPT);
    }
    if (ok)
        return OK;
    return d->r.bad ? E_CORRUPT : arena_over(d->arena) ? E_LIMIT : E_CORRUPT;
}

/* ---- any chunk ---- */

Err chunk_decode(ChunkKind kind, Str payload, Arena *arena, ChunkSamples *ret, Why *why)
{
    BitReader r = bits_of(payload.at, payload.len);
    *ret = (ChunkSamples){.n = (u32)bits_get(&r, 16)};
    u32 n = ret->n;
    if (r.bad || !n || (u64)n * 2 > payload.len * 8 + 2)
        return why_set(why, E_CORRUPT, "a chunk of %zu bytes claims to hold %u samples", payload.len, n);
    if (kind < CHUNK_XOR || kind > CHUNK_FLOAT_HISTOGRAM)
        return why_set(why, E_CORRUPT, "a chunk has the encoding %d, which is not known here", (int)kind);
    ret->t = arena_array(arena, i64, n);
    ret->v = arena_array(arena, f64, n);
    if (kind != CHUNK_XOR)
        ret->h = arena_array(arena, const Histogram *, n);
    if (!ret->t || !ret->v || (kind != CHUNK_XOR && !ret->h))
        return why_set(why, E_LIMIT, "a chunk of %u samples is too large", n);
    Err e = OK;
    if (kind == CHUNK_XOR) {
        decode_floats(&r, ret);
        e = r.bad ? E_CORRUPT : OK;
    } else {
        HistDecoder d = {.r = r, .arena = arena, .layout.is_int = kind == CHUNK_HISTOGRAM};
        memset(ret->v, 0, n * sizeof(f64));
        Why reason = {0};
        e = decode_histograms(&d, ret, &reason);
        if (reason.text[0])
            return why_set(why, e, "a chunk holds an impossible histogram: %s", reason.text);
    }
    if (e == E_LIMIT)
        return why_set(why, e, "a chunk takes more memory than it may");
    if (e != OK)
        return why_set(why, e, "a chunk ends before its samples do, or holds impossible numbers");
    for (u32 i = 1; i < n; i++)
        if (ret->t[i] <= ret->t[i - 1])
            return why_set(why, E_CORRUPT, "the samples of a chunk are not in order of time");
    return OK;
}
