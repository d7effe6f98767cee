/* rate, increase, delta, irate, idelta, resets, changes. */
#include "metrics/promql/engine.h"

static const Plan *place(const RangeCall *c)
{
    return c->p->args[0];
}

static bool note_mixed(RangeCall *c)
{
    note(c->e, NOTE_MIXED_FLOATS_HISTOGRAMS, place(c), c->name);
    return false;
}

static bool note_incompatible(RangeCall *c)
{
    note(c->e, NOTE_MIXED_EXPONENTIAL_CUSTOM, place(c), c->name);
    return false;
}

/* h += sign * other, remarking on what happened. False: incompatible. Contradicting hints are dealt with by the callers,
 * who look at resets themselves. */
static bool combine(RangeCall *c, Histogram *h, const Histogram *other, bool add)
{
    u32 flags = add ? histogram_add(c->e->hists, h, other) : histogram_sub(c->e->hists, h, other);
    if (flags & HIST_INCOMPATIBLE)
        return note_incompatible(c);
    if (flags & HIST_BOUNDS_RECONCILED)
        note_words(c->e, NOTE_BOUNDS_RECONCILED, place(c), add ? "addition" : "subtraction");
    return true;
}

/* ---- start timestamps ---- */

bool is_start_reset(i64 prev_st, i64 prev_t, i64 st, i64 t)
{
    if (st == 0 || st >= t || st < prev_t)
        return false;
    if (st > prev_t)
        return true;
    /* It starts where the last sample was: a delta series, or a counter of unknown start if the last one's start is not known
     * either. */
    return prev_st <= prev_t && prev_st != 0 && prev_st != prev_t;
}

static bool overlaps(i64 prev_st, i64 prev_t, i64 st)
{
    return st != 0 && st < prev_t && st != prev_st;
}

static bool start_reset_at(const i64 *st, const i64 *t, u32 i)
{
    return st && is_start_reset(st[i - 1], t[i - 1], st[i], t[i]);
}

static void note_overlaps(RangeCall *c, const i64 *st, const i64 *t, u32 n)
{
    for (u32 i = 1; st && i < n; i++) {
        if (overlaps(st[i - 1], t[i - 1], st[i])) {
            note(c->e, NOTE_START_OVERLAP, place(c), c->name);
            return;
        }
    }
}

/* ---- extrapolation ---- */

typedef struct Span {
    i64 first, last; /* times of the samples */
    u32 n;
    f64 at_first, result; /* value (or count of observations) at the first, increase so far */
    i64 start_time;       /* of the first sample; 0 = unknown */
} Span;

/* By what to multiply the increase between first and last sample for the whole window. 0: not enough to tell. */
static f64 extrapolate(const RangeCall *c, const Window *w, const Span *s, bool is_counter, bool is_rate)
{
    f64 to_start = (f64)(s->first - w->start) / 1000, to_end = (f64)(w->end - s->last) / 1000;
    f64 sampled = (f64)(s->last - s->first) / 1000;
    f64 between = s->n > 1 ? sampled / (f64)(s->n - 1) : 0;
    /* A border further away than this is beyond where the series begins or ends: half an interval is assumed then. */
    f64 threshold = between * 1.1;
    if (s->start_time) {
        to_start = 0;
        sampled = (f64)(s->last - s->start_time) / 1000;
    } else {
        if (to_start >= threshold)
            to_start = between / 2;
        if (is_counter) {
            /* Not further back than where the counter would have been zero. */
            f64 to_zero = to_start;
            if (s->result > 0 && s->at_first >= 0)
                to_zero = sampled * (s->at_first / s->result);
            if (to_zero < to_start)
                to_start = to_zero;
        }
    }
    if (to_end >= threshold)
        to_end = between / 2;
    f64 factor = 1;
    if (sampled != 0)
        factor = (sampled + to_start + to_end) / sampled;
    if (is_rate)
        factor /= (f64)c->range / 1000;
    return factor;
}

/* A start inside the window stands for a sample of zero. */
static i64 start_inside(const Window *w, const i64 *st, i64 first, bool is_counter)
{
    return is_counter && st && st[0] != 0 && st[0] > w->start && st[0] < first ? st[0] : 0;
}

static bool float_rate(RangeCall *c, const Window *w, bool is_counter, bool is_rate, f64 *ret)
{
    const f64 *v = w->fv;
    u32 n = w->fn;
    f64 result = v[n - 1] - v[0];
    if (is_counter) {
        note_overlaps(c, w->fst, w->ft, n);
        for (u32 i = 1; i < n; i++)
            if (v[i] < v[i - 1] || start_reset_at(w->fst, w->ft, i))
                result += v[i - 1];
    }
    Span s = {w->ft[0], w->ft[n - 1], n, v[0], result, start_inside(w, w->fst, w->ft[0], is_counter)};
    if (s.start_time)
        result += v[0];
    else if (n < 2)
        return false;
    *ret = result * extrapolate(c, w, &s, is_counter, is_rate);
    return true;
}

/* The increase over a window of histograms, resets accounted for; NULL when they do not fit together. */
static Histogram *histogram_increase(RangeCall *c, const Window *w, bool is_counter)
{
    Eval *e = c->e;
    const Histogram *first = w->hv[0], *last = w->hv[w->hn - 1], *prev = first;
    bool is_custom = first->schema == HIST_SCHEMA_CUSTOM;
    if (is_counter && (first->hint == HIST_GAUGE || last->hint == HIST_GAUGE))
        note(e, NOTE_NOT_COUNTER, place(c), c->name);
    Histogram nothing = {0};
    if (is_counter && (start_reset_at(w->hst, w->ht, 1) || histogram_is_reset(e->tmp, w->hv[1], first))) {
        /* The first sample does not matter then, its layout neither. */
        nothing.schema = w->hv[1]->schema;
        nothing.custom = w->hv[1]->custom;
        nothing.custom_len = w->hv[1]->custom_len;
        prev = &nothing;
        is_custom = nothing.schema == HIST_SCHEMA_CUSTOM;
    }
    if ((last->schema == HIST_SCHEMA_CUSTOM) != is_custom)
        return note_incompatible(c), NULL;
    i32 schema = MIN(last->schema, prev->schema);
    for (u32 i = 1; is_counter && i + 1 < w->hn; i++) {
        const Histogram *h = w->hv[i];
        if (h->hint == HIST_GAUGE)
            note(e, NOTE_NOT_COUNTER, place(c), c->name);
        schema = MIN(schema, h->schema);
        if ((h->schema == HIST_SCHEMA_CUSTOM) != is_custom)
            return note_incompatible(c), NULL;
    }
    Histogram *h = histogram_dup(e->hists, last);
    histogram_reduce(e->hists, h, schema);
    if (!combine(c, h, prev, false))
        return NULL;
    if (is_counter) {
        note_overlaps(c, w->hst, w->ht, w->hn);
        for (u32 i = 1; i < w->hn; i++) {
            const Histogram *now = w->hv[i];
            if (start_reset_at(w->hst, w->ht, i) || histogram_is_reset(e->tmp, now, prev))
                if (!combine(c, h, prev, true))
                    return NULL;
            prev = now;
        }
    } else if (first->hint != HIST_GAUGE || last->hint != HIST_GAUGE) {
        note(e, NOTE_NOT_GAUGE, place(c), c->name);
    }
    h->hint = HIST_GAUGE;
    histogram_compact(e->hists, h);
    return h;
}

static bool histogram_rate(RangeCall *c, const Window *w, bool is_counter, bool is_rate, Histogram **ret)
{
    Histogram *h = NULL;
    if (w->hn > 1 && !(h = histogram_increase(c, w, is_counter)))
        return false;
    Span s = {w->ht[0],        w->ht[w->hn - 1], w->hn,
              w->hv[0]->count, h ? h->count : 0, start_inside(w, w->hst, w->ht[0], is_counter)};
    if (s.start_time) {
        if (!h)
            h = histogram_dup(c->e->hists, w->hv[0]);
        else if (!combine(c, h, w->hv[0], true))
            return false;
    } else if (!h) {
        return false;
    }
    histogram_mul(c->e->hists, h, extrapolate(c, w, &s, is_counter, is_rate));
    *ret = h;
    return true;
}

/* ---- anchored and smoothed ---- */

f64 interpolate_floats(i64 t1, f64 v1, i64 t2, f64 v2, i64 t, bool is_counter)
{
    if (is_counter && v2 < v1)
        v1 = 0;
    return v1 + (v2 - v1) * (f64)(t - t1) / (f64)(t2 - t1);
}

Histogram *interpolate_histograms(Eval *e, const Plan *at, Str name, i64 t1, const Histogram *h1, i64 t2,
                                  const Histogram *h2, i64 t, bool is_counter)
{
    if (t == t1)
        return histogram_dup(e->hists, h1);
    Histogram *h = histogram_dup(e->hists, h2);
    if (t == t2)
        return h;
    f64 fraction = (f64)(t - t1) / (f64)(t2 - t1);
    if (is_counter && histogram_is_reset(e->tmp, h2, h1)) {
        histogram_mul(e->hists, h, fraction);
        return h;
    }
    u32 flags = histogram_sub(e->hists, h, h1);
    if (flags & HIST_INCOMPATIBLE) {
        note(e, NOTE_MIXED_EXPONENTIAL_CUSTOM, at, name);
        return NULL;
    }
    if (flags & HIST_BOUNDS_RECONCILED)
        note_words(e, NOTE_BOUNDS_RECONCILED, at, "subtraction");
    histogram_mul(e->hists, h, fraction);
    flags = histogram_add(e->hists, h, h1);
    if (flags & HIST_BOUNDS_RECONCILED)
        note_words(e, NOTE_BOUNDS_RECONCILED, at, "addition");
    return h;
}

/* The samples that span the window: the last at or before its start, the last inside or (smoothed) the first at or after its
 * end. False: nothing of the series is in the window. */
static bool find_borders(const i64 *t, u32 n, const Window *w, bool smoothed, u32 *ret_first, u32 *ret_last)
{
    u32 last = n - 1, first = first_after(t, last, w->start);
    first = first ? first - 1 : 0;
    if (smoothed)
        last = first_after(t, last, w->end - 1);
    *ret_first = first;
    *ret_last = last;
    return t[last] > w->start && !(smoothed && t[first] > w->end);
}

static bool float_extended(RangeCall *c, const Window *w, bool is_counter, bool is_rate, f64 *ret)
{
    bool smoothed = c->sel->smoothed;
    const i64 *t = w->ft;
    const f64 *v = w->fv;
    u32 first, last;
    if (!find_borders(t, w->fn, w, smoothed, &first, &last))
        return false;
    f64 left = v[first], right = v[last];
    if (smoothed && t[first] < w->start)
        left = interpolate_floats(t[first], v[first], t[first + 1], v[first + 1], w->start, is_counter);
    if (smoothed && last > 0 && t[last] > w->end)
        right = interpolate_floats(t[last - 1], v[last - 1], t[last], v[last], w->end, is_counter);
    f64 result = right - left;
    if (is_counter) {
        f64 prev = left, correction = 0;
        for (u32 i = first; i <= last; i++) {
            if (t[i] <= w->start || t[i] >= w->end)
                continue;
            if (v[i] < prev)
                correction += prev;
            prev = v[i];
        }
        if (right < prev)
            correction += prev;
        result += correction;
    }
    *ret = is_rate ? result / ((f64)c->range / 1000) : result;
    return true;
}

/* What the resets between the borders hid. *ret NULL: nothing. False: the histograms do not fit. */
static bool hidden_by_resets(RangeCall *c, const Window *w, u32 first, u32 last, const Histogram *left,
                             const Histogram *right, Histogram **ret)
{
    Eval *e = c->e;
    const Histogram *prev = left;
    u32 from = first + 1;
    *ret = NULL;
    if (c->sel->smoothed && w->ht[first] < w->start &&
        histogram_is_reset(e->tmp, w->hv[first + 1], w->hv[first])) {
        /* The value at the left border was interpolated across this reset already. */
        prev = w->hv[first + 1];
        from++;
    }
    if (from > last)
        return true;
    for (u32 i = from; i <= last; i++) {
        const Histogram *now = i == last ? right : w->hv[i];
        if (histogram_is_reset(e->tmp, now, prev)) {
            if (!*ret)
                *ret = histogram_dup(e->hists, prev);
            else if (!combine(c, *ret, prev, true))
                return false;
        }
        prev = now;
    }
    return true;
}

static bool same_kind(RangeCall *c, const Window *w, u32 first, u32 last, bool is_counter)
{
    bool is_custom = w->hv[first]->schema == HIST_SCHEMA_CUSTOM;
    for (u32 i = first; i <= last; i++) {
        if ((w->hv[i]->schema == HIST_SCHEMA_CUSTOM) != is_custom)
            return note_incompatible(c);
        if (is_counter && w->hv[i]->hint == HIST_GAUGE)
            note(c->e, NOTE_NOT_COUNTER, place(c), c->name);
    }
    return true;
}

static bool histogram_extended(RangeCall *c, const Window *w, bool is_counter, bool is_rate, Histogram **ret)
{
    Eval *e = c->e;
    bool smoothed = c->sel->smoothed;
    const i64 *t = w->ht;
    u32 first, last;
    if (!find_borders(t, w->hn, w, smoothed, &first, &last) || !same_kind(c, w, first, last, is_counter))
        return false;
    Histogram *left, *right;
    if (smoothed && t[first] < w->start)
        left = interpolate_histograms(e, place(c), c->name, t[first], w->hv[first], t[first + 1],
                                      w->hv[first + 1], w->start, is_counter);
    else
        left = histogram_dup(e->hists, w->hv[first]);
    if (smoothed && last > 0 && t[last] > w->end)
        right = interpolate_histograms(e, place(c), c->name, t[last - 1], w->hv[last - 1], t[last],
                                       w->hv[last], w->end, is_counter);
    else
        right = histogram_dup(e->hists, w->hv[last]);
    if (!left || !right)
        return false;
    if (!is_counter && (left->hint != HIST_GAUGE || right->hint != HIST_GAUGE))
        note(e, NOTE_NOT_GAUGE, place(c), c->name);
    Histogram *h = histogram_dup(e->hists, right), *hidden;
    if (!combine(c, h, left, false))
        return false;
    if (is_counter) {
        if (!hidden_by_resets(c, w, first, last, left, right, &hidden))
            return false;
        if (hidden && !combine(c, h, hidden, true))
            return false;
    }
    if (is_rate)
        histogram_div(e->hists, h, (f64)c->range / 1000);
    h->hint = HIST_GAUGE;
    histogram_compact(e->hists, h);
    *ret = h;
    return true;
}

static bool any_rate(RangeCall *c, const Window *w, bool is_counter, bool is_rate, f64 *ret,
                     Histogram **ret_h)
{
    if (w->fn && w->hn)
        return note_mixed(c);
    if (c->sel && (c->sel->anchored || c->sel->smoothed))
        return w->hn ? histogram_extended(c, w, is_counter, is_rate, ret_h)
                     : float_extended(c, w, is_counter, is_rate, ret);
    return w->hn ? histogram_rate(c, w, is_counter, is_rate, ret_h)
                 : float_rate(c, w, is_counter, is_rate, ret);
}

bool range_rate(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    return any_rate(c, w, true, true, ret, ret_h);
}
bool range_increase(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    return any_rate(c, w, true, false, ret, ret_h);
}
bool range_delta(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    return any_rate(c, w, false, false, ret, ret_h);
}

/* The same as extrapolate, in two steps: what the times say, then what the values say. */
RateSpan rate_span(const RangeCall *c, i64 end, i64 first, i64 last, u32 n, bool is_rate)
{
    RateSpan s = {.sampled = (f64)(last - first) / 1000,
                  .to_start = (f64)(first - (end - c->range)) / 1000,
                  .to_end = (f64)(end - last) / 1000,
                  .factor = 1};
    f64 between = n > 1 ? s.sampled / (f64)(n - 1) : 0, threshold = between * 1.1;
    if (s.to_start >= threshold)
        s.to_start = between / 2;
    if (s.to_end >= threshold)
        s.to_end = between / 2;
    if (s.sampled != 0)
        s.factor = (s.sampled + s.to_start + s.to_end) / s.sampled;
    if (is_rate)
        s.factor /= (f64)c->range / 1000;
    return s;
}

static inline f64 result_of(const RangeCall *c, RateSpan s, f64 at_first, f64 increase, bool is_counter,
                            bool is_rate)
{
    /* Far enough above zero at the start that no division is needed to see it. */
    if (!is_counter || !(increase > 0 && at_first >= 0) ||
        at_first * s.sampled > s.to_start * increase * (1 + 1e-9))
        return increase * s.factor;
    f64 to_zero = s.sampled * (at_first / increase), factor = s.factor;
    if (to_zero < s.to_start) {
        factor = 1;
        if (s.sampled != 0)
            factor = (s.sampled + to_zero + s.to_end) / s.sampled;
        if (is_rate)
            factor /= (f64)c->range / 1000;
    }
    return increase * factor;
}

f64 rate_result(const RangeCall *c, RateSpan s, f64 at_first, f64 increase, bool is_counter, bool is_rate)
{
    return result_of(c, s, at_first, increase, is_counter, is_rate);
}

static i64 window_end(const RangeCall *c, i64 t)
{
    return c->sel ? sel_ref(c->sel, t) : (c->arg->has_at ? c->arg->at : t) - c->arg->offset;
}

static RateSpan *rate_times(RangeCall *c, const Grid *g, const i64 *t, const u32 *lo, const u32 *hi,
                            bool is_rate)
{
    _Static_assert(sizeof(RateSpan) == 4 * sizeof(f64), "four per step");
    if (!c->rate_times)
        c->rate_times = arena_array(c->e->arena, f64, (u64)g->n * 4);
    RateSpan *s = (void *)c->rate_times;
    if (!s || c->has_rate_times)
        return s;
    for (u32 k = 0; k < g->n; k++)
        if (hi[k] >= lo[k] + 2)
            s[k] = rate_span(c, window_end(c, grid_at(g, k)), t[lo[k]], t[hi[k] - 1], hi[k] - lo[k], is_rate);
    c->has_rate_times = true;
    return s;
}

static bool any_fall(const f64 *v, u32 n)
{
    u64 found = 0;
    for (u32 i = 1; i < n; i++)
        found |= v[i] < v[i - 1];
    return found != 0;
}

/* All windows of a series of floats: the resets are found once, each window adds those inside in their order. */
void range_rate_floats(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                       const u32 *hi, f64 *out)
{
    bool is_counter = c->p->fn != FN_delta, is_rate = c->p->fn == FN_rate;
    u32 *resets = NULL, len = 0, from = 0;
    const RateSpan *spans = rate_times(c, g, t, lo, hi, is_rate);
    if (is_counter && any_fall(v, n) && !(resets = (u32 *)(void *)range_scratch(c, n / 2 + 1)))
        return;
    if (!spans)
        return;
    for (u32 i = 1; resets && i < n; i++)
        if (v[i] < v[i - 1])
            resets[len++] = i;
    for (u32 k = 0; k < g->n; k++) {
        u32 a = lo[k], b = hi[k];
        if (b < a + 2)
            continue;
        f64 result = v[b - 1] - v[a];
        while (from < len && resets[from] <= a)
            from++;
        for (u32 i = from; i < len && resets[i] < b; i++)
            result += v[resets[i] - 1];
        out[k] = result_of(c, spans[k], v[a], result, is_counter, is_rate);
    }
}

/* ---- the last two samples ---- */

typedef struct Point {
    i64 t, st;
    f64 v;
    const Histogram *h;
} Point;

static Point float_point(const Window *w, u32 i)
{
    return (Point){w->ft[i], w->fst ? w->fst[i] : 0, w->fv[i], NULL};
}

static Point histogram_point(const Window *w, u32 i)
{
    return (Point){w->ht[i], w->hst ? w->hst[i] : 0, 0, w->hv[i]};
}

static bool last_two(const Window *w, Point ret[2])
{
    u32 f = w->fn, h = w->hn;
    if (f + h < 2)
        return false;
    for (int k = 1; k >= 0; k--) {
        if (!h || (f && w->ft[f - 1] >= w->ht[h - 1]))
            ret[k] = float_point(w, --f);
        else
            ret[k] = histogram_point(w, --h);
    }
    return ret[1].t != ret[0].t;
}

static bool instant_histogram(RangeCall *c, const Point p[2], bool is_rate, Histogram **ret)
{
    Eval *e = c->e;
    bool gauges = p[0].h->hint == HIST_GAUGE && p[1].h->hint == HIST_GAUGE;
    if (is_rate && (p[0].h->hint == HIST_GAUGE || p[1].h->hint == HIST_GAUGE))
        note(e, NOTE_NOT_COUNTER, place(c), c->name);
    if (!is_rate && !gauges)
        note(e, NOTE_NOT_GAUGE, place(c), c->name);
    Histogram *h = histogram_dup(e->hists, p[1].h);
    bool is_reset = is_rate && (is_start_reset(p[0].st, p[0].t, p[1].st, p[1].t) ||
                                histogram_is_reset(e->tmp, p[1].h, p[0].h));
    if (!is_reset && !combine(c, h, p[0].h, false))
        return false;
    h->hint = HIST_GAUGE;
    histogram_compact(e->hists, h);
    if (is_rate)
        histogram_div(e->hists, h, (f64)(p[1].t - p[0].t) / 1000);
    *ret = h;
    return true;
}

static bool instant_value(RangeCall *c, const Window *w, bool is_rate, f64 *ret, Histogram **ret_h)
{
    Point p[2];
    if (!last_two(w, p))
        return false;
    if ((p[0].h != NULL) != (p[1].h != NULL))
        return note_mixed(c);
    if (p[0].h)
        return instant_histogram(c, p, is_rate, ret_h);
    bool is_reset = is_rate && (p[1].v < p[0].v || is_start_reset(p[0].st, p[0].t, p[1].st, p[1].t));
    *ret = is_reset ? p[1].v : p[1].v - p[0].v;
    if (is_rate)
        *ret /= (f64)(p[1].t - p[0].t) / 1000;
    return true;
}

bool range_irate(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    return instant_value(c, w, true, ret, ret_h);
}
bool range_idelta(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    return instant_value(c, w, false, ret, ret_h);
}

/* ---- counting transitions ---- */

/* Anchored: from the newest sample at or before the start of the window on. False: nothing inside. */
static bool anchor(const RangeCall *c, const Window *w, u32 *f, u32 *h)
{
    *f = *h = 0;
    if (!c->sel || !c->sel->anchored)
        return true;
    u32 fa = first_after(w->ft, w->fn, w->start), ha = first_after(w->ht, w->hn, w->start);
    if (fa >= w->fn && ha >= w->hn)
        return false;
    if (fa == 0 && ha == 0)
        return true;
    bool float_is_anchor = ha == 0 || (fa > 0 && w->ft[fa - 1] >= w->ht[ha - 1]);
    *f = float_is_anchor ? fa - 1 : fa;
    *h = float_is_anchor ? ha : ha - 1;
    return true;
}

static bool count_transitions(RangeCall *c, const Window *w,
                              bool (*differs)(RangeCall *, const Point *, const Point *), f64 *ret)
{
    u32 f, h, n = 0;
    if (!anchor(c, w, &f, &h))
        return false;
    Point prev = {0}, now;
    bool any = false;
    while (f < w->fn || h < w->hn) {
        if (h >= w->hn || (f < w->fn && w->ft[f] < w->ht[h]))
            now = float_point(w, f++);
        else
            now = histogram_point(w, h++);
        if (any)
            n += (prev.h != NULL) != (now.h != NULL) || differs(c, &prev, &now);
        prev = now;
        any = true;
    }
    *ret = n;
    return true;
}

static bool is_reset(RangeCall *c, const Point *prev, const Point *now)
{
    if (is_start_reset(prev->st, prev->t, now->st, now->t))
        return true;
    return now->h ? histogram_is_reset(c->e->tmp, now->h, prev->h) : now->v < prev->v;
}

static bool is_change(RangeCall *c, const Point *prev, const Point *now)
{
    if (now->h)
        return !histogram_same(now->h, prev->h);
    return now->v != prev->v && !(isnan(now->v) && isnan(prev->v));
}

bool range_resets(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    return count_transitions(c, w, is_reset, ret);
}
bool range_changes(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    return count_transitions(c, w, is_change, ret);
}
