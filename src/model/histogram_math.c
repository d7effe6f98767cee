#include "model/model.h"

#include <math.h>

/* One side (positive or negative) of a histogram as the algorithms below see it. c is the compensation of a Neumaier sum,
 * bucket by bucket, or NULL. */
typedef struct Side {
    HistSpan *spans;
    f64 *v, *c;
    u32 spans_len, len;
} Side;

static Side side_of(const Histogram *h, const Histogram *c, bool positive)
{
    if (positive)
        return (Side){h->pos_spans, h->pos, c ? c->pos : NULL, h->pos_spans_len, h->pos_len};
    return (Side){h->neg_spans, h->neg, c ? c->neg : NULL, h->neg_spans_len, h->neg_len};
}

static void side_store(Histogram *h, bool positive, const Side *s, f64 *v)
{
    if (positive) {
        h->pos_spans = s->spans;
        h->pos_spans_len = s->spans_len;
        h->pos = v;
        h->pos_len = s->len;
    } else {
        h->neg_spans = s->spans;
        h->neg_spans_len = s->spans_len;
        h->neg = v;
        h->neg_len = s->len;
    }
}

static void sides_store(Histogram *h, Histogram *c, bool positive, const Side *s)
{
    side_store(h, positive, s, s->v);
    if (c)
        side_store(c, positive, s, s->c);
}

/* Memory for a side of at most `len` buckets. An arena past its limit yields an empty side; the query is over anyway. */
static Side side_new(Arena *a, u32 len, bool with_c)
{
    Side s = {.spans = arena_array(a, HistSpan, MAX(len, 1)), .v = arena_array(a, f64, MAX(len, 1))};
    if (with_c)
        s.c = arena_array(a, f64, MAX(len, 1));
    if (!s.spans || !s.v || (with_c && !s.c))
        return (Side){0};
    return s;
}

/* Appends a bucket at `index`; *end is one past the index of the bucket before. */
static void side_push(Side *s, i32 *end, i32 index, f64 v, f64 c)
{
    if (s->spans_len && index == *end)
        s->spans[s->spans_len - 1].length++;
    else
        s->spans[s->spans_len++] = (HistSpan){s->spans_len ? index - *end : index, 1};
    *end = index + 1;
    s->v[s->len] = v;
    if (s->c)
        s->c[s->len] = c;
    s->len++;
}

/* ---- one cursor for values and compensations ---- */
typedef struct Walk {
    HistCursor cur;
    const f64 *c;
    u32 at;
    i32 index;
    f64 v;
    bool ok;
} Walk;

static void walk_next(Walk *w)
{
    w->ok = histogram_side_next(&w->cur, &w->index, &w->v);
    w->at = w->cur.at - 1;
}

static Walk walk_start(const Side *s)
{
    Histogram view = {.pos_spans = s->spans, .pos_spans_len = s->spans_len, .pos = s->v, .pos_len = s->len};
    Walk w = {.cur = histogram_side(&view, true, false), .c = s->c};
    walk_next(&w);
    return w;
}

static f64 walk_c(const Walk *w)
{
    return w->c ? w->c[w->at] : 0;
}

/* ---- adding ---- */

static bool same_layout(const Side *a, const Side *b)
{
    return a->len == b->len && a->spans_len == b->spans_len &&
           (a->spans_len == 0 || memcmp(a->spans, b->spans, a->spans_len * sizeof *a->spans) == 0);
}

static void add_bucket(f64 *v, f64 *c, f64 bv, f64 bc)
{
    if (!c) {
        *v += bv;
        return;
    }
    kahan_add(bv, v, c);
    if (bc != 0)
        kahan_add(bc, v, c);
}

/* Adds sign * b to a. Buckets of b inside the zero bucket were counted there and are left out. */
static void side_add(Arena *arena, Side *a, const Side *b, f64 sign, const Histogram *h)
{
    Walk wb = walk_start(b);
    if (h->schema != HIST_SCHEMA_CUSTOM)
        while (wb.ok && histogram_bound(h, wb.index) <= h->zero_threshold)
            walk_next(&wb);
    if (!wb.ok)
        return;
    if (wb.at == 0 && same_layout(a, b)) {
        for (u32 i = 0; i < a->len; i++)
            add_bucket(&a->v[i], a->c ? &a->c[i] : NULL, sign * b->v[i], b->c ? sign * b->c[i] : 0);
        return;
    }
    Side out = side_new(arena, a->len + b->len, a->c != NULL);
    if (!out.v)
        return;
    i32 end = 0;
    for (Walk wa = walk_start(a); wa.ok || wb.ok;) {
        if (!wb.ok || (wa.ok && wa.index < wb.index)) {
            side_push(&out, &end, wa.index, wa.v, walk_c(&wa));
            walk_next(&wa);
        } else if (!wa.ok || wb.index < wa.index) {
            side_push(&out, &end, wb.index, sign * wb.v, sign * walk_c(&wb));
            walk_next(&wb);
        } else {
            f64 v = wa.v, c = walk_c(&wa);
            add_bucket(&v, a->c ? &c : NULL, sign * wb.v, sign * walk_c(&wb));
            side_push(&out, &end, wa.index, v, c);
            walk_next(&wa);
            walk_next(&wb);
        }
    }
    *a = out;
}

/* Merges buckets down to a lower resolution, in place: the result is never longer than what was read. */
static void side_reduce(Side *s, i32 from, i32 to)
{
    Side out = {s->spans, s->v, s->c, 0, 0};
    i32 end = 0, index = 0;
    u32 at = 0;
    for (u32 i = 0; i < s->spans_len; i++) {
        HistSpan span = s->spans[i];
        index += span.offset;
        for (u32 k = 0; k < span.length; k++, index++, at++) {
            i32 target = ((index - 1) >> (from - to)) + 1;
            f64 v = s->v[at], c = s->c ? s->c[at] : 0;
            if (out.len && target == end - 1) {
                f64 *sum = &out.v[out.len - 1];
                if (s->c) {
                    kahan_add(v, sum, &out.c[out.len - 1]);
                    kahan_add(c, sum, &out.c[out.len - 1]);
                } else {
                    *sum += v;
                }
            } else {
                side_push(&out, &end, target, v, c);
            }
        }
    }
    *s = out;
}

static Side side_copy(Arena *a, const Side *s, bool with_c)
{
    Side out = {.spans_len = s->spans_len, .len = s->len};
    out.spans = arena_array(a, HistSpan, MAX(s->spans_len, 1));
    out.v = arena_array(a, f64, MAX(s->len, 1));
    out.c = with_c ? arena_array(a, f64, MAX(s->len, 1)) : NULL;
    if (!out.spans || !out.v || (with_c && !out.c))
        return (Side){0};
    if (s->spans_len)
        memcpy(out.spans, s->spans, s->spans_len * sizeof *s->spans);
    if (s->len)
        memcpy(out.v, s->v, s->len * sizeof *s->v);
    if (with_c)
        memset(out.c, 0, s->len * sizeof *out.c);
    return out;
}

void histogram_reduce(Arena *a, Histogram *h, i32 schema)
{
    if (h->schema == HIST_SCHEMA_CUSTOM || schema == HIST_SCHEMA_CUSTOM || schema >= h->schema)
        return;
    for (int positive = 0; positive < 2; positive++) {
        Side s = side_of(h, NULL, positive);
        side_reduce(&s, h->schema, schema);
        side_store(h, positive, &s, s.v);
    }
    h->schema = schema;
}

/* ---- empty buckets ---- */

static bool side_is_compact(const Side *s)
{
    for (u32 i = 0; i < s->len; i++)
        if (s->v[i] == 0 && (!s->c || s->c[i] == 0))
            return false;
    for (u32 i = 0; i < s->spans_len; i++)
        if (s->spans[i].length == 0 || (i > 0 && s->spans[i].offset == 0))
            return false;
    return true;
}

static void side_compact(Arena *a, Side *s)
{
    if (side_is_compact(s))
        return;
    Side out = side_new(a, s->len, s->c != NULL);
    if (!out.v) {
        s->len = s->spans_len = 0;
        return;
    }
    i32 end = 0;
    for (Walk w = walk_start(s); w.ok; walk_next(&w))
        if (w.v != 0 || walk_c(&w) != 0)
            side_push(&out, &end, w.index, w.v, walk_c(&w));
    *s = out;
}

static void compact_both(Arena *a, Histogram *h, Histogram *c)
{
    for (int positive = 0; positive < 2; positive++) {
        Side s = side_of(h, c, positive);
        side_compact(a, &s);
        sides_store(h, c, positive, &s);
    }
}

void histogram_compact(Arena *a, Histogram *h)
{
    compact_both(a, h, NULL);
}

/* ---- zero buckets of different width ---- */

/* What the zero count would be were the zero bucket as wide as `threshold`, which grows when it would cut a populated bucket.
 * Returns the threshold reached. */
static f64 zero_widened(const Histogram *h, const Histogram *c, f64 threshold, f64 *ret_count, f64 *ret_c)
{
    if (threshold == h->zero_threshold) {
        *ret_count = h->zero_count;
        *ret_c = c ? c->zero_count : 0;
        return threshold;
    }
    for (;;) {
        bool is_cut = false;
        *ret_count = h->zero_count;
        *ret_c = c ? c->zero_count : 0;
        for (int side = 0; side < 2 && !is_cut; side++) {
            bool positive = side == 0;
            Side s = side_of(h, c, positive);
            for (Walk w = walk_start(&s); w.ok; walk_next(&w)) {
                f64 inner = histogram_bound(h, w.index - 1), outer = histogram_bound(h, w.index);
                if (inner >= threshold)
                    break;
                kahan_add(w.v, ret_count, ret_c);
                if (w.c)
                    kahan_add(walk_c(&w), ret_count, ret_c);
                if (outer > threshold) {
                    if (w.v != 0) {
                        threshold = outer;
                        /* The positive side, already counted, has to be counted again for the wider bucket. */
                        is_cut = !positive;
                    }
                    break;
                }
            }
        }
        if (!is_cut)
            return threshold;
    }
}

/* Drops the buckets that the widened zero bucket has swallowed. */
static void drop_inside_zero(Arena *a, Histogram *h, Histogram *c)
{
    for (int positive = 0; positive < 2; positive++) {
        Side s = side_of(h, c, positive);
        for (Walk w = walk_start(&s); w.ok && histogram_bound(h, w.index - 1) < h->zero_threshold;
             walk_next(&w)) {
            s.v[w.at] = 0;
            if (s.c)
                s.c[w.at] = 0;
        }
    }
    compact_both(a, h, c);
}

static void reconcile_zero(Arena *a, Histogram *h, Histogram *c, const Histogram *other, f64 *ret_count,
                           f64 *ret_c)
{
    f64 threshold = other->zero_threshold;
    *ret_count = other->zero_count;
    *ret_c = 0;
    while (threshold != h->zero_threshold) {
        if (threshold < h->zero_threshold)
            threshold = zero_widened(other, NULL, h->zero_threshold, ret_count, ret_c);
        if (threshold > h->zero_threshold) {
            f64 count, comp;
            h->zero_threshold = zero_widened(h, c, threshold, &count, &comp);
            h->zero_count = count;
            if (c) {
                c->zero_count = comp;
                c->zero_threshold = h->zero_threshold;
            }
            drop_inside_zero(a, h, c);
        }
    }
}

/* ---- custom bounds ---- */

static bool same_bounds(const Histogram *a, const Histogram *b)
{
    if (a->custom_len != b->custom_len)
        return false;
    if (a->custom == b->custom)
        return true;
    for (u32 i = 0; i < a->custom_len; i++)
        if (a->custom[i] != b->custom[i])
            return false;
    return true;
}

static u32 common_bounds(const Histogram *a, const Histogram *b, f64 *out)
{
    u32 n = 0;
    for (u32 i = 0, j = 0; i < a->custom_len && j < b->custom_len;) {
        if (a->custom[i] == b->custom[j]) {
            out[n++] = a->custom[i];
            i++;
            j++;
        } else if (a->custom[i] < b->custom[j]) {
            i++;
        } else {
            j++;
        }
    }
    return n;
}

static void pour(const Side *s, const Histogram *h, f64 sign, const f64 *bounds, u32 n, f64 *v, f64 *c)
{
    u32 to = 0;
    for (Walk w = walk_start(s); w.ok; walk_next(&w)) {
        if ((u32)w.index < h->custom_len)
            while (to < n && bounds[to] < h->custom[w.index])
                to++;
        else
            to = n;
        kahan_add(sign * w.v, &v[to], &c[to]);
        if (w.c)
            kahan_add(walk_c(&w), &v[to], &c[to]);
    }
}

/* Empties the buckets of s (a side of h) that lie inside a zero bucket of the given width. */
static void empty_inside(Side *s, const Histogram *h, f64 threshold)
{
    for (Walk w = walk_start(s); s->v && w.ok && histogram_bound(h, w.index) <= threshold; walk_next(&w))
        s->v[w.at] = 0;
}

/* h + sign * other where the bounds differ: both poured into the buckets they have in common. */
static void add_mismatched(Arena *a, Histogram *h, Histogram *c, const Histogram *other, f64 sign)
{
    u32 max = MIN(h->custom_len, other->custom_len);
    f64 *bounds = arena_array(a, f64, MAX(max, 1));
    f64 *v = arena_array(a, f64, max + 1), *comp = arena_array(a, f64, max + 1);
    Side out = side_new(a, max + 1, c != NULL);
    if (!bounds || !v || !comp || !out.v)
        return;
    u32 n = common_bounds(h, other, bounds);
    memset(v, 0, (n + 1) * sizeof *v);
    memset(comp, 0, (n + 1) * sizeof *comp);
    Side sh = side_of(h, c, true), so = side_of(other, NULL, true);
    pour(&sh, h, 1, bounds, n, v, comp);
    pour(&so, other, sign, bounds, n, v, comp);
    i32 end = 0;
    for (u32 i = 0; i <= n; i++)
        if (v[i] != 0 || comp[i] != 0)
            side_push(&out, &end, (i32)i, v[i], comp[i]);
    sides_store(h, c, true, &out);
    h->custom = bounds;
    h->custom_len = n;
    if (c) {
        c->custom = bounds;
        c->custom_len = n;
    }
}

/* ---- the whole ---- */

static bool merge_hints(Histogram *h, const Histogram *other)
{
    if (other->hint == h->hint || h->hint == HIST_GAUGE)
        return false;
    if (other->hint == HIST_GAUGE) {
        h->hint = HIST_GAUGE;
        return false;
    }
    bool is_collision = h->hint != HIST_UNKNOWN_RESET && other->hint != HIST_UNKNOWN_RESET;
    h->hint = HIST_UNKNOWN_RESET;
    return is_collision;
}

static void scalar_add(f64 inc, f64 *v, f64 *c)
{
    if (c)
        kahan_add(inc, v, c);
    else
        *v += inc;
}

/* h += sign * other; c is h's compensation or NULL. */
static u32 combine(Arena *a, Histogram *h, Histogram *c, const Histogram *other, f64 sign)
{
    bool is_custom = h->schema == HIST_SCHEMA_CUSTOM;
    if (is_custom != (other->schema == HIST_SCHEMA_CUSTOM))
        return HIST_INCOMPATIBLE;
    u32 flags = merge_hints(h, other) ? HIST_RESET_COLLISION : 0;
    h->is_int = false;
    if (!is_custom) {
        f64 zero, zero_c;
        reconcile_zero(a, h, c, other, &zero, &zero_c);
        scalar_add(sign * zero, &h->zero_count, c ? &c->zero_count : NULL);
        if (c)
            kahan_add(sign * zero_c, &h->zero_count, &c->zero_count);
    }
    scalar_add(sign * other->count, &h->count, c ? &c->count : NULL);
    scalar_add(sign * other->sum, &h->sum, c ? &c->sum : NULL);
    if (is_custom && !same_bounds(h, other)) {
        add_mismatched(a, h, c, other, sign);
        return flags | HIST_BOUNDS_RECONCILED;
    }
    i32 schema = MIN(h->schema, other->schema);
    for (int positive = 0; positive < 2; positive++) {
        Side sh = side_of(h, c, positive), so = side_of(other, NULL, positive);
        if (h->schema > schema)
            side_reduce(&sh, h->schema, schema);
        if (other->schema > schema) {
            /* What the zero bucket has counted already must not be carried into a coarser bucket that reaches beyond it. */
            so = side_copy(a, &so, c != NULL);
            empty_inside(&so, other, h->zero_threshold);
            side_reduce(&so, other->schema, schema);
        }
        Histogram at = *h;
        at.schema = schema;
        side_add(a, &sh, &so, sign, &at);
        sides_store(h, c, positive, &sh);
    }
    h->schema = schema;
    if (c)
        c->schema = schema;
    return flags;
}

u32 histogram_add(Arena *a, Histogram *h, const Histogram *other)
{
    return combine(a, h, NULL, other, 1);
}
u32 histogram_sub(Arena *a, Histogram *h, const Histogram *other)
{
    return combine(a, h, NULL, other, -1);
}

static f64 *zeros(Arena *a, u32 n)
{
    f64 *v = arena_array(a, f64, MAX(n, 1));
    if (v)
        memset(v, 0, MAX(n, 1) * sizeof *v);
    return v;
}

u32 histogram_sum_add(Arena *a, HistSum *s, const Histogram *other)
{
    if ((s->h.schema == HIST_SCHEMA_CUSTOM) != (other->schema == HIST_SCHEMA_CUSTOM))
        return HIST_INCOMPATIBLE;
    if (!s->has_c) {
        s->c = s->h;
        s->c.zero_count = s->c.count = s->c.sum = 0;
        s->c.pos = s->c.neg = NULL;
    }
    /* Also in a copy an empty side has no memory, and a side without is taken for one that is not compensated. */
    if (!s->c.pos)
        s->c.pos = zeros(a, s->h.pos_len);
    if (!s->c.neg)
        s->c.neg = zeros(a, s->h.neg_len);
    if (!s->c.pos || !s->c.neg)
        return 0;
    s->has_c = true;
    return combine(a, &s->h, &s->c, other, 1);
}

u32 histogram_sum_end(Arena *a, HistSum *s)
{
    if (!s->has_c)
        return 0;
    s->has_c = false;
    s->c.hint = s->h.hint;
    return histogram_add(a, &s->h, &s->c);
}

void histogram_mul(Arena *a, Histogram *h, f64 factor)
{
    (void)a;
    h->is_int = false;
    h->zero_count *= factor;
    h->count *= factor;
    h->sum *= factor;
    for (u32 i = 0; i < h->pos_len; i++)
        h->pos[i] *= factor;
    for (u32 i = 0; i < h->neg_len; i++)
        h->neg[i] *= factor;
    if (factor < 0)
        h->hint = HIST_GAUGE;
}

void histogram_div(Arena *a, Histogram *h, f64 divisor)
{
    (void)a;
    h->is_int = false;
    h->zero_count /= divisor;
    h->count /= divisor;
    h->sum /= divisor;
    if (divisor == 0) {
        h->pos_spans_len = h->neg_spans_len = h->pos_len = h->neg_len = 0;
        return;
    }
    for (u32 i = 0; i < h->pos_len; i++)
        h->pos[i] /= divisor;
    for (u32 i = 0; i < h->neg_len; i++)
        h->neg[i] /= divisor;
    if (divisor < 0)
        h->hint = HIST_GAUGE;
}

bool histogram_has_inf(const Histogram *h)
{
    if (isinf(h->zero_count) || isinf(h->count) || isinf(h->sum))
        return true;
    for (u32 i = 0; i < h->pos_len; i++)
        if (isinf(h->pos[i]))
            return true;
    for (u32 i = 0; i < h->neg_len; i++)
        if (isinf(h->neg[i]))
            return true;
    return false;
}

/* ---- comparing ---- */

static bool same_side(const Histogram *a, const Histogram *b, bool positive)
{
    HistCursor ca = histogram_side(a, positive, false), cb = histogram_side(b, positive, false);
    i32 ia = 0, ib = 0;
    f64 va = 0, vb = 0;
    for (;;) {
        bool more_a = histogram_side_next(&ca, &ia, &va), more_b = histogram_side_next(&cb, &ib, &vb);
        if (more_a != more_b)
            return false;
        if (!more_a)
            return true;
        if (ia != ib || f64_bits(va) != f64_bits(vb))
            return false;
    }
}

bool histogram_same(const Histogram *a, const Histogram *b)
{
    return a->schema == b->schema && f64_bits(a->count) == f64_bits(b->count) &&
           f64_bits(a->sum) == f64_bits(b->sum) && a->zero_threshold == b->zero_threshold &&
           f64_bits(a->zero_count) == f64_bits(b->zero_count) && same_bounds(a, b) && same_side(a, b, true) &&
           same_side(a, b, false);
}

/* Is any bucket of prev larger than in h, or missing there though it holds something (less than nothing, too)? Both sides of the
 * same schema. */
static bool side_fell(Walk h, Walk prev)
{
    for (; prev.ok; walk_next(&prev)) {
        while (h.ok && h.index < prev.index)
            walk_next(&h);
        if (h.ok && h.index == prev.index ? h.v < prev.v : prev.v != 0)
            return true;
    }
    return false;
}

static bool custom_fell(Arena *scratch, const Histogram *h, const Histogram *prev)
{
    u32 max = MIN(h->custom_len, prev->custom_len);
    f64 *at = zeros(scratch, 5 * (max + 1));
    if (!at)
        return true;
    f64 *bounds = at, *now = at + (max + 1), *was = now + (max + 1), *c = was + (max + 1);
    u32 n = common_bounds(h, prev, bounds);
    Side sh = side_of(h, NULL, true), sp = side_of(prev, NULL, true);
    pour(&sh, h, 1, bounds, n, now, c);
    pour(&sp, prev, 1, bounds, n, was, c + (max + 1));
    for (u32 i = 0; i <= n; i++)
        if (now[i] < was[i])
            return true;
    return false;
}

bool histogram_is_reset(Arena *scratch, const Histogram *h, const Histogram *prev)
{
    if (h->hint == HIST_RESET)
        return true;
    if (h->hint == HIST_NO_RESET)
        return false;
    if (h->count < prev->count)
        return true;
    if (h->schema == HIST_SCHEMA_CUSTOM) {
        if (prev->schema != HIST_SCHEMA_CUSTOM)
            return true;
        if (!same_bounds(h, prev))
            return custom_fell(scratch, h, prev);
    }
    /* Resolution grows and the zero bucket shrinks only with a restart. */
    if (h->schema > prev->schema || h->zero_threshold < prev->zero_threshold)
        return true;
    f64 zero, zero_c;
    if (zero_widened(prev, NULL, h->zero_threshold, &zero, &zero_c) != h->zero_threshold ||
        h->zero_count < zero)
        return true;
    for (int positive = 0; positive < 2; positive++) {
        Side sh = side_of(h, NULL, positive), sp = side_of(prev, NULL, positive);
        if (prev->schema > h->schema) {
            sp = side_copy(scratch, &sp, false);
            if (h->zero_threshold > prev->zero_threshold) /* else zero does not have them */
                empty_inside(&sp, prev, h->zero_threshold);
            side_reduce(&sp, prev->schema, h->schema);
        }
        Walk now = walk_start(&sh), was = walk_start(&sp);
        if (h->schema != HIST_SCHEMA_CUSTOM)
            while (was.ok && histogram_bound(h, was.index) <= h->zero_threshold)
                walk_next(&was);
        if (side_fell(now, was))
            return true;
    }
    return false;
}
