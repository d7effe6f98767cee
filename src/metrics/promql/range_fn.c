/* What is computed over one window (or, for floats alone, over all windows of a series at once). */
#include "metrics/promql/engine.h"

static const Plan *place(const RangeCall *c)
{
    return c->p->args[0];
}

/* Histograms beside floats are left out by functions that know floats only. */
static void note_ignored(RangeCall *c, const Window *w)
{
    if (w->hn)
        note(c->e, NOTE_IGNORED_IN_RANGE, place(c), c->name);
}

static bool note_mixed(RangeCall *c)
{
    note(c->e, NOTE_MIXED_FLOATS_HISTOGRAMS, place(c), c->name);
    return false;
}

/* ---- sums and means ---- */

static f64 sum_floats(const f64 *v, u32 n)
{
    f64 sum = 0, comp = 0;
    for (u32 i = 0; i < n; i++)
        kahan_add(v[i], &sum, &comp);
    return isinf(sum) ? sum : sum + comp;
}

/* The plain mean as long as the sum does not overflow, then the running mean. */
static f64 mean_floats(const f64 *v, u32 n)
{
    f64 sum = v[0], comp = 0, mean = 0;
    u32 i = 1;
    for (; i < n; i++) {
        f64 next = sum, next_comp = comp;
        kahan_add(v[i], &next, &next_comp);
        if (isinf(next))
            break;
        sum = next;
        comp = next_comp;
    }
    if (i == n)
        return sum / n + comp / n;
    mean = sum / i;
    comp /= i;
    for (; i < n; i++) {
        f64 count = i + 1, q = (count - 1) / count;
        mean *= q;
        comp *= q;
        kahan_add(v[i] / count, &mean, &comp);
    }
    return mean + comp;
}

typedef struct Hints {
    bool reset, no_reset, reconciled;
} Hints;

static void see_hint(Hints *s, const Histogram *h)
{
    s->reset |= h->hint == HIST_RESET;
    s->no_reset |= h->hint == HIST_NO_RESET;
}

static void note_hints(RangeCall *c, const Hints *s)
{
    if (s->reset && s->no_reset)
        note_words(c->e, NOTE_RESET_COLLISION, place(c), "aggregation");
    if (s->reconciled)
        note_words(c->e, NOTE_BOUNDS_RECONCILED, place(c), "aggregation");
}

static bool incompatible(RangeCall *c)
{
    note(c->e, NOTE_MIXED_EXPONENTIAL_CUSTOM, place(c), c->name);
    return false;
}

static HistSum *sum_start(Eval *e, const Histogram *h)
{
    HistSum *s = arena_new(e->hists, HistSum);
    s->h = *histogram_dup(e->hists, h);
    return s;
}

static bool sum_histograms(RangeCall *c, const Window *w, Histogram **ret)
{
    Arena *a = c->e->hists;
    HistSum *s = sum_start(c->e, w->hv[0]);
    Hints hints = {0};
    see_hint(&hints, w->hv[0]);
    for (u32 i = 1; i < w->hn; i++) {
        see_hint(&hints, w->hv[i]);
        u32 flags = histogram_sum_add(a, s, w->hv[i]);
        if (flags & HIST_INCOMPATIBLE)
            return incompatible(c);
        hints.reconciled |= (flags & HIST_BOUNDS_RECONCILED) != 0;
    }
    histogram_sum_end(a, s);
    note_hints(c, &hints);
    *ret = &s->h;
    return true;
}

static HistSum sum_copy(Arena *a, const HistSum *s)
{
    HistSum copy = {.h = *histogram_dup(a, &s->h), .has_c = s->has_c};
    if (s->has_c)
        copy.c = *histogram_dup(a, &s->c);
    return copy;
}

static void sum_div(Arena *a, HistSum *s, f64 by)
{
    histogram_div(a, &s->h, by);
    if (s->has_c)
        histogram_div(a, &s->c, by);
}

static void sum_mul(Arena *a, HistSum *s, f64 by)
{
    histogram_mul(a, &s->h, by);
    if (s->has_c)
        histogram_mul(a, &s->c, by);
}

/* One step of a mean over histograms; shared with the aggregation. count includes h. */
u32 histogram_mean_add(Arena *a, HistSum *s, bool *is_running, const Histogram *h, f64 count)
{
    u32 flags;
    if (!*is_running) {
        f64 limit = 0x1p1000; /* far from overflow there is no need to try on a copy */
        if (fabs(s->h.sum) < limit && fabs(h->sum) < limit && s->h.count < limit && h->count < limit)
            return histogram_sum_add(a, s, h);
        HistSum trial = sum_copy(a, s);
        flags = histogram_sum_add(a, &trial, h);
        if ((flags & HIST_INCOMPATIBLE) || !histogram_has_inf(&trial.h)) {
            *s = trial;
            return flags;
        }
        *is_running = true;
        sum_div(a, s, count - 1);
    }
    sum_mul(a, s, (count - 1) / count);
    Histogram *part = histogram_dup(a, h);
    histogram_div(a, part, count);
    return histogram_sum_add(a, s, part);
}

void histogram_mean_end(Arena *a, HistSum *s, bool is_running, f64 count)
{
    if (!is_running)
        sum_div(a, s, count);
    histogram_sum_end(a, s);
}

static bool mean_histograms(RangeCall *c, const Window *w, Histogram **ret)
{
    Arena *a = c->e->hists;
    HistSum *s = sum_start(c->e, w->hv[0]);
    Hints hints = {0};
    bool is_running = false;
    see_hint(&hints, w->hv[0]);
    for (u32 i = 1; i < w->hn; i++) {
        see_hint(&hints, w->hv[i]);
        u32 flags = histogram_mean_add(a, s, &is_running, w->hv[i], i + 1);
        if (flags & HIST_INCOMPATIBLE)
            return incompatible(c);
        hints.reconciled |= (flags & HIST_BOUNDS_RECONCILED) != 0;
    }
    histogram_mean_end(a, s, is_running, w->hn);
    note_hints(c, &hints);
    *ret = &s->h;
    return true;
}

static bool fn_sum(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    if (w->fn && w->hn)
        return note_mixed(c);
    if (w->hn)
        return sum_histograms(c, w, ret_h);
    *ret = sum_floats(w->fv, w->fn);
    return true;
}

static bool fn_avg(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    if (w->fn && w->hn)
        return note_mixed(c);
    if (w->hn)
        return mean_histograms(c, w, ret_h);
    *ret = mean_floats(w->fv, w->fn);
    return true;
}

/* Whole numbers whose sums stay exact can be summed by prefixes: the compensation would be zero all along. */
static f64 *exact_prefix(RangeCall *c, const f64 *v, u32 n)
{
    f64 *prefix = range_scratch(c, n + 1), size = 0;
    if (!prefix)
        return NULL;
    prefix[0] = 0;
    for (u32 i = 0; i < n; i++) {
        if (v[i] != floor(v[i]) || (v[i] == 0 && signbit(v[i])))
            return NULL;
        size += fabs(v[i]);
        prefix[i + 1] = prefix[i] + v[i];
    }
    return size < 0x1p53 ? prefix : NULL;
}

/* Four windows of one length side by side, as each addition waits for the one before. The rounding error of a sum is one number, so this
 * way without a branch finds what kahan_add does, unless something overflows: false then. */
#define LANES 4u
static bool sum_lanes(const f64 *v, const u32 *lo, u32 n, bool from_zero, f64 *ret_sum, f64 *ret_comp)
{
    const f64 *at[LANES];
    f64 sum[LANES], comp[LANES] = {0};
    for (u32 k = 0; k < LANES; k++) {
        at[k] = v + lo[k];
        sum[k] = from_zero ? 0 + *at[k] : *at[k];
    }
    for (u32 i = 1; i < n; i++)
        for (u32 k = 0; k < LANES; k++) {
            f64 s = sum[k], x = at[k][i], t = s + x, gone = t - s;
            comp[k] += (s - (t - gone)) + (x - gone);
            sum[k] = t;
        }
    bool is_finite = true;
    for (u32 k = 0; k < LANES; k++) {
        is_finite &= isfinite(sum[k]) && isfinite(comp[k]);
        ret_sum[k] = sum[k];
        ret_comp[k] = comp[k];
    }
    return is_finite;
}

/* Sums or means of all windows, one after another where LANES of them do not go together. */
static void fold_windows(const f64 *v, u32 steps, const u32 *lo, const u32 *hi, bool is_mean, f64 *out)
{
    for (u32 k = 0; k < steps;) {
        u32 n = hi[k] - lo[k], alike = 1;
        while (n && alike < LANES && k + alike < steps && hi[k + alike] - lo[k + alike] == n)
            alike++;
        f64 sum[LANES], comp[LANES];
        bool together = alike == LANES && sum_lanes(v, lo + k, n, !is_mean, sum, comp);
        for (u32 i = 0; n && i < alike; i++) {
            if (together)
                out[k + i] = is_mean ? sum[i] / n + comp[i] / n : sum[i] + comp[i];
            else
                out[k + i] = is_mean ? mean_floats(v + lo[k + i], n) : sum_floats(v + lo[k + i], n);
        }
        k += alike;
    }
}

static void sum_all(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                    const u32 *hi, f64 *out)
{
    f64 *prefix = g->n > 1 ? exact_prefix(c, v, n) : NULL;
    for (u32 k = 0; prefix && k < g->n; k++)
        if (lo[k] < hi[k])
            out[k] = prefix[hi[k]] - prefix[lo[k]];
    if (!prefix)
        fold_windows(v, g->n, lo, hi, false, out);
}

static void avg_all(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                    const u32 *hi, f64 *out)
{
    f64 *prefix = g->n > 1 ? exact_prefix(c, v, n) : NULL;
    for (u32 k = 0; prefix && k < g->n; k++)
        if (lo[k] < hi[k])
            out[k] = (prefix[hi[k]] - prefix[lo[k]]) / (hi[k] - lo[k]);
    if (!prefix)
        fold_windows(v, g->n, lo, hi, true, out);
}

/* ---- counting, first, last ---- */

static bool fn_count(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    *ret = (f64)w->fn + w->hn;
    return true;
}

static void count_all(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                      const u32 *hi, f64 *out)
{
    for (u32 k = 0; k < g->n; k++)
        if (lo[k] < hi[k])
            out[k] = hi[k] - lo[k];
}

static bool fn_present(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    *ret = 1;
    return true;
}

static void present_all(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                        const u32 *hi, f64 *out)
{
    for (u32 k = 0; k < g->n; k++)
        if (lo[k] < hi[k])
            out[k] = 1;
}

static bool fn_first(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    if (w->hn && !(w->fn && w->ft[0] < w->ht[0]))
        *ret_h = histogram_dup(c->e->hists, w->hv[0]);
    else
        *ret = w->fv[0];
    return true;
}

static bool fn_last(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    if (w->hn && !(w->fn && w->ft[w->fn - 1] > w->ht[w->hn - 1]))
        *ret_h = histogram_dup(c->e->hists, w->hv[w->hn - 1]);
    else
        *ret = w->fv[w->fn - 1];
    return true;
}

static void last_all(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                     const u32 *hi, f64 *out)
{
    for (u32 k = 0; k < g->n; k++)
        if (lo[k] < hi[k])
            out[k] = v[hi[k] - 1];
}

static bool fn_ts_of_first(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    i64 f = w->fn ? w->ft[0] : INT64_MAX, h = w->hn ? w->ht[0] : INT64_MAX;
    *ret = (f64)MIN(f, h) / 1000;
    return true;
}

static bool fn_ts_of_last(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    i64 f = w->fn ? w->ft[w->fn - 1] : INT64_MIN, h = w->hn ? w->ht[w->hn - 1] : INT64_MIN;
    *ret = (f64)MAX(f, h) / 1000;
    return true;
}

/* ---- extremes ---- */

static bool extreme(RangeCall *c, const Window *w, bool is_max, bool last_of_equals, u32 *ret_at)
{
    if (!w->fn)
        return false;
    note_ignored(c, w);
    u32 at = 0;
    for (u32 i = 0; i < w->fn; i++) {
        f64 v = w->fv[i], best = w->fv[at];
        if ((is_max ? v > best : v < best) || (last_of_equals && v == best) || isnan(best))
            at = i;
    }
    *ret_at = at;
    return true;
}

static bool fn_max(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    u32 at;
    if (!extreme(c, w, true, false, &at))
        return false;
    *ret = w->fv[at];
    return true;
}

static bool fn_min(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    u32 at;
    if (!extreme(c, w, false, false, &at))
        return false;
    *ret = w->fv[at];
    return true;
}

static bool fn_ts_of_max(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    u32 at;
    if (!extreme(c, w, true, true, &at))
        return false;
    *ret = (f64)w->ft[at] / 1000;
    return true;
}

static bool fn_ts_of_min(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    u32 at;
    if (!extreme(c, w, false, true, &at))
        return false;
    *ret = (f64)w->ft[at] / 1000;
    return true;
}

/* A queue of candidates: the front is the extreme of the window, what follows are those that may become it. NaN never is,
 * unless there is nothing else. */
static void extreme_all(RangeCall *c, const Grid *g, const f64 *v, u32 n, const u32 *lo, const u32 *hi,
                        bool is_max, f64 *out)
{
    u32 *queue = (u32 *)(void *)range_scratch(c, n / 2 + 1);
    if (!queue)
        return;
    u32 head = 0, tail = 0, next = 0;
    for (u32 k = 0; k < g->n; k++) {
        if (lo[k] >= hi[k])
            continue;
        next = MAX(next, lo[k]);
        for (; next < hi[k]; next++) {
            if (isnan(v[next]))
                continue;
            while (tail > head && (is_max ? v[queue[tail - 1]] < v[next] : v[queue[tail - 1]] > v[next]))
                tail--;
            queue[tail++] = next;
        }
        while (head < tail && queue[head] < lo[k])
            head++;
        out[k] = head < tail ? v[queue[head]] : NAN;
    }
}

static void max_all(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                    const u32 *hi, f64 *out)
{
    extreme_all(c, g, v, n, lo, hi, true, out);
}

static void min_all(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                    const u32 *hi, f64 *out)
{
    extreme_all(c, g, v, n, lo, hi, false, out);
}

/* ---- spread ---- */

static f64 variance(const f64 *v, u32 n)
{
    f64 count = 0, mean = 0, mean_c = 0, aux = 0, aux_c = 0;
    for (u32 i = 0; i < n; i++) {
        count++;
        f64 delta = v[i] - (mean + mean_c);
        kahan_add(delta / count, &mean, &mean_c);
        kahan_add(delta * (v[i] - (mean + mean_c)), &aux, &aux_c);
    }
    return (aux + aux_c) / count;
}

static bool fn_stdvar(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    if (!w->fn)
        return false;
    note_ignored(c, w);
    *ret = variance(w->fv, w->fn);
    return true;
}

static bool fn_stddev(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    if (!fn_stdvar(c, w, ret, ret_h))
        return false;
    *ret = sqrt(*ret);
    return true;
}

static bool fn_quantile(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    f64 q = c->params[0], *v = range_scratch(c, w->fn);
    if (!w->fn || !v)
        return false;
    if (isnan(q) || q < 0 || q > 1)
        note_f64(c->e, NOTE_INVALID_QUANTILE, place(c), q, 0);
    note_ignored(c, w);
    memcpy(v, w->fv, w->fn * sizeof *v);
    *ret = quantile_of(q, v, w->fn);
    return true;
}

/* The median of the distances from the median. */
static bool fn_mad(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    f64 *v = range_scratch(c, w->fn);
    if (!w->fn || !v)
        return false;
    note_ignored(c, w);
    *ret = NAN;
    for (u32 i = 0; i < w->fn; i++) {
        if (isnan(w->fv[i]))
            return true;
        v[i] = w->fv[i];
    }
    f64 median = quantile_of(0.5, v, w->fn);
    for (u32 i = 0; i < w->fn; i++)
        v[i] = fabs(v[i] - median);
    *ret = quantile_of(0.5, v, w->fn);
    return true;
}

/* ---- trends ---- */

/* Least squares; seconds are counted from `origin`, where the intercept is taken. */
static void regress(const Window *w, i64 origin, f64 *ret_slope, f64 *ret_intercept)
{
    f64 sx = 0, sy = 0, sxy = 0, sxx = 0, cx = 0, cy = 0, cxy = 0, cxx = 0, n = w->fn;
    bool constant = true;
    for (u32 i = 0; i < w->fn; i++) {
        f64 x = (f64)(w->ft[i] - origin) / 1e3, y = w->fv[i];
        if (i > 0 && y != w->fv[0])
            constant = false;
        kahan_add(x, &sx, &cx);
        kahan_add(y, &sy, &cy);
        kahan_add(x * y, &sxy, &cxy);
        kahan_add(x * x, &sxx, &cxx);
    }
    if (constant) {
        bool is_inf = isinf(w->fv[0]);
        *ret_slope = is_inf ? NAN : 0;
        *ret_intercept = is_inf ? NAN : w->fv[0];
        return;
    }
    sx += cx;
    sy += cy;
    sxy += cxy;
    sxx += cxx;
    f64 cov = sxy - sx * sy / n, var = sxx - sx * sx / n;
    *ret_slope = cov / var;
    *ret_intercept = sy / n - *ret_slope * sx / n;
}

static bool enough_for_trend(RangeCall *c, const Window *w)
{
    if (w->fn >= 1)
        note_ignored(c, w);
    return w->fn >= 2;
}

static bool fn_deriv(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    f64 intercept;
    if (!enough_for_trend(c, w))
        return false;
    regress(w, w->ft[0], ret, &intercept);
    return true;
}

static bool fn_predict_linear(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    f64 slope, intercept;
    if (!enough_for_trend(c, w))
        return false;
    regress(w, w->t, &slope, &intercept);
    *ret = slope * c->params[0] + intercept;
    return true;
}

static bool fn_double_exponential(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h)
{
    f64 sf = c->params[0], tf = c->params[1];
    if (!enough_for_trend(c, w))
        return false;
    f64 before = 0, smooth = w->fv[0], trend = w->fv[1] - w->fv[0];
    for (u32 i = 1; i < w->fn; i++) {
        if (i > 1)
            trend = tf * (smooth - before) + (1 - tf) * trend;
        f64 next = sf * w->fv[i] + (1 - sf) * (smooth + trend);
        before = smooth;
        smooth = next;
    }
    *ret = smooth;
    return true;
}

/* ---- which function is which ---- */

RangeFn range_fn(FuncId id)
{
    switch (id) {
    case FN_rate:
        return range_rate;
    case FN_increase:
        return range_increase;
    case FN_delta:
        return range_delta;
    case FN_irate:
        return range_irate;
    case FN_idelta:
        return range_idelta;
    case FN_resets:
        return range_resets;
    case FN_changes:
        return range_changes;
    case FN_sum_over_time:
        return fn_sum;
    case FN_avg_over_time:
        return fn_avg;
    case FN_count_over_time:
        return fn_count;
    case FN_present_over_time:
    case FN_absent_over_time:
        return fn_present;
    case FN_first_over_time:
        return fn_first;
    case FN_last_over_time:
        return fn_last;
    case FN_ts_of_first_over_time:
        return fn_ts_of_first;
    case FN_ts_of_last_over_time:
        return fn_ts_of_last;
    case FN_ts_of_max_over_time:
        return fn_ts_of_max;
    case FN_ts_of_min_over_time:
        return fn_ts_of_min;
    case FN_max_over_time:
        return fn_max;
    case FN_min_over_time:
        return fn_min;
    case FN_stddev_over_time:
        return fn_stddev;
    case FN_stdvar_over_time:
        return fn_stdvar;
    case FN_quantile_over_time:
        return fn_quantile;
    case FN_mad_over_time:
        return fn_mad;
    case FN_deriv:
        return fn_deriv;
    case FN_predict_linear:
        return fn_predict_linear;
    case FN_double_exponential_smoothing:
        return fn_double_exponential;
    default:
        return NULL;
    }
}

RangeFloatFn range_float_fn(FuncId id)
{
    switch (id) {
    case FN_rate:
    case FN_increase:
    case FN_delta:
        return range_rate_floats;
    case FN_sum_over_time:
        return sum_all;
    case FN_avg_over_time:
        return avg_all;
    case FN_count_over_time:
        return count_all;
    case FN_present_over_time:
    case FN_absent_over_time:
        return present_all;
    case FN_last_over_time:
        return last_all;
    case FN_max_over_time:
        return max_all;
    case FN_min_over_time:
        return min_all;
    default:
        return NULL;
    }
}
