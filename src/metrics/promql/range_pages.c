/* Range functions over series whose long stretches came as aggregates of whole pages. A page stands in the row of samples as one item; the
 * source gives it only where no window's edge falls inside, so an item is in a window or is not, as a sample.
 *
 * Exactness: counts, extremes, first and last are what the samples give. Increases too, but for counters that are no whole numbers and
 * fall more than once within a page; sums and averages too where the sums are whole numbers below 2^53, else but for the last place:
 * additions happen in another order (docs/differences.md).
 */
#include "metrics/promql/engine.h"

static Err items_reserve(Eval *e, RangeItems *x, u32 n, Why *why)
{
    if (n <= x->cap)
        return OK;
    u32 cap = MAX(n, x->cap * 2);
    x->page = arena_array(e->arena, const PageAggr *, cap);
    x->t = arena_array(e->arena, i64, cap);
    x->t_last = arena_array(e->arena, i64, cap);
    x->v = arena_array(e->arena, f64, cap);
    x->v_last = arena_array(e->arena, f64, cap);
    x->before = arena_array(e->arena, u32, (u64)cap + 1);
    x->cap = cap;
    return x->page && x->t && x->t_last && x->v && x->v_last && x->before ? OK : eval_memory(why);
}

Err items_of(Eval *e, const RawSeries *r, RangeItems *x, Why *why)
{
    if (r->h)
        return why_set(why, E_INTERNAL, "page aggregates beside histograms");
    TRY(items_reserve(e, x, r->n + r->pages_len, why));
    u32 n = 0, total = 0, page = 0;
    for (u32 i = 0; i <= r->n; i++) {
        for (; page < r->pages_len && r->pages[page].at <= i; page++, n++) {
            const PageAggr *p = &r->pages[page];
            x->page[n] = p;
            x->t[n] = p->first_t;
            x->t_last[n] = p->last_t;
            x->v[n] = p->first;
            x->v_last[n] = p->last;
            x->before[n] = total;
            total += p->count;
        }
        if (i == r->n || is_stale(r->v[i]))
            continue;
        x->page[n] = NULL;
        x->t[n] = x->t_last[n] = r->t[i];
        x->v[n] = x->v_last[n] = r->v[i];
        x->before[n++] = total++;
    }
    x->before[n] = total;
    x->n = n;
    return OK;
}

/* ---- increases ---- */

typedef struct Fall {
    u32 item;
    bool is_before; /* between the item before and this one, so only in windows that hold both */
    f64 from;
} Fall;

static Fall *find_falls(RangeCall *c, const RangeItems *x, u32 *ret_n)
{
    u32 len = 0;
    Fall *falls = (Fall *)(void *)range_scratch(c, x->n * 4 + 1);
    _Static_assert(sizeof(Fall) == 2 * sizeof(f64), "two per item at most");
    for (u32 i = 0; falls && i < x->n; i++) {
        if (i > 0 && x->v[i] < x->v_last[i - 1])
            falls[len++] = (Fall){i, true, x->v_last[i - 1]};
        if (x->page[i] && x->page[i]->resets)
            falls[len++] = (Fall){i, false, x->page[i]->reset_sum};
    }
    *ret_n = len;
    return falls;
}

static i64 window_end(const RangeCall *c, i64 t)
{
    return sel_ref(c->sel, t);
}

static void rate_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                       f64 *out)
{
    bool is_counter = c->p->fn != FN_delta, is_rate = c->p->fn == FN_rate;
    u32 len = 0, from = 0;
    const Fall *falls = is_counter ? find_falls(c, x, &len) : NULL;
    if (is_counter && !falls)
        return;
    for (u32 k = 0; k < g->n; k++) {
        u32 a = lo[k], b = hi[k], n = b > a ? x->before[b] - x->before[a] : 0;
        if (n < 2)
            continue;
        f64 result = x->v_last[b - 1] - x->v[a];
        while (from < len && (falls[from].item < a || (falls[from].item == a && falls[from].is_before)))
            from++;
        for (u32 i = from; i < len && falls[i].item < b; i++)
            result += falls[i].from;
        RateSpan s = rate_span(c, window_end(c, grid_at(g, k)), x->t[a], x->t_last[b - 1], n, is_rate);
        out[k] = rate_result(c, s, x->v[a], result, is_counter, is_rate);
    }
}

static void resets_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                         f64 *out)
{
    for (u32 k = 0; k < g->n; k++) {
        u64 n = 0;
        for (u32 i = lo[k]; i < hi[k]; i++)
            n += (x->page[i] ? x->page[i]->resets : 0) + (i > lo[k] && x->v[i] < x->v_last[i - 1]);
        if (lo[k] < hi[k])
            out[k] = (f64)n;
    }
}

/* ---- sums ---- */

/* Sums by prefixes where every one of them is exact; NULL otherwise. */
static f64 *whole_prefix(RangeCall *c, const RangeItems *x)
{
    f64 *prefix = range_scratch(c, x->n + 1), size = 0;
    if (!prefix)
        return NULL;
    prefix[0] = 0;
    for (u32 i = 0; i < x->n; i++) {
        const PageAggr *p = x->page[i];
        f64 v = p ? p->sum : x->v[i];
        /* That the sum of a page is whole does not say that its values are: the compensation would be, in their sums. */
        if (v != floor(v) || (p && p->sum_c != 0) || (!p && v == 0 && signbit(v)))
            return NULL;
        size += p ? fmax(fabs(p->min), fabs(p->max)) * p->count : fabs(v);
        prefix[i + 1] = prefix[i] + v;
    }
    return size < 0x1p53 ? prefix : NULL;
}

static void sum_items(const RangeItems *x, u32 lo, u32 hi, f64 *ret_sum, f64 *ret_c)
{
    f64 sum = 0, comp = 0;
    for (u32 i = lo; i < hi; i++) {
        kahan_add(x->page[i] ? x->page[i]->sum : x->v[i], &sum, &comp);
        if (x->page[i] && !isinf(sum))
            comp += x->page[i]->sum_c;
    }
    *ret_sum = sum;
    *ret_c = comp;
}

static void sum_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                      f64 *out)
{
    f64 *prefix = whole_prefix(c, x), sum, comp;
    for (u32 k = 0; k < g->n; k++) {
        if (lo[k] >= hi[k])
            continue;
        if (prefix) {
            out[k] = prefix[hi[k]] - prefix[lo[k]];
            continue;
        }
        sum_items(x, lo[k], hi[k], &sum, &comp);
        out[k] = isinf(sum) ? sum : sum + comp;
    }
}

/* For sums beyond the largest number: the mean of means, by their weight. */
static f64 running_mean(const RangeItems *x, u32 lo, u32 hi)
{
    f64 mean = 0, comp = 0, n = 0;
    for (u32 i = lo; i < hi; i++) {
        const PageAggr *p = x->page[i];
        f64 count = p ? p->count : 1, v = p ? p->sum / count + p->sum_c / count : x->v[i];
        n += count;
        f64 keep = (n - count) / n;
        mean *= keep;
        comp *= keep;
        kahan_add(v * (count / n), &mean, &comp);
    }
    return mean + comp;
}

static void avg_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                      f64 *out)
{
    f64 *prefix = whole_prefix(c, x), sum, comp;
    for (u32 k = 0; k < g->n; k++) {
        if (lo[k] >= hi[k])
            continue;
        f64 n = x->before[hi[k]] - x->before[lo[k]];
        if (prefix) {
            out[k] = (prefix[hi[k]] - prefix[lo[k]]) / n;
            continue;
        }
        sum_items(x, lo[k], hi[k], &sum, &comp);
        out[k] = isinf(sum) ? running_mean(x, lo[k], hi[k]) : sum / n + comp / n;
    }
}

/* ---- what needs one number of each item ---- */

static void extreme_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                          f64 *out)
{
    bool is_max = c->p->fn == FN_max_over_time;
    for (u32 k = 0; k < g->n; k++) {
        if (lo[k] >= hi[k])
            continue;
        f64 best = NAN;
        for (u32 i = lo[k]; i < hi[k]; i++) {
            f64 v = !x->page[i] ? x->v[i] : is_max ? x->page[i]->max : x->page[i]->min;
            if ((is_max ? v > best : v < best) || isnan(best))
                best = v;
        }
        out[k] = best;
    }
}

static void count_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                        f64 *out)
{
    for (u32 k = 0; k < g->n; k++)
        if (lo[k] < hi[k])
            out[k] = x->before[hi[k]] - x->before[lo[k]];
}

static void present_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                          f64 *out)
{
    for (u32 k = 0; k < g->n; k++)
        if (lo[k] < hi[k])
            out[k] = 1;
}

/* first_over_time, last_over_time and their times. */
static void end_pages(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                      f64 *out)
{
    for (u32 k = 0; k < g->n; k++) {
        if (lo[k] >= hi[k])
            continue;
        switch (c->p->fn) {
        case FN_first_over_time:
            out[k] = x->v[lo[k]];
            break;
        case FN_last_over_time:
            out[k] = x->v_last[hi[k] - 1];
            break;
        case FN_ts_of_first_over_time:
            out[k] = (f64)x->t[lo[k]] / 1000;
            break;
        default:
            out[k] = (f64)x->t_last[hi[k] - 1] / 1000;
        }
    }
}

RangePageFn range_page_fn(FuncId id)
{
    switch (id) {
    case FN_rate:
    case FN_increase:
    case FN_delta:
        return rate_pages;
    case FN_resets:
        return resets_pages;
    case FN_sum_over_time:
        return sum_pages;
    case FN_avg_over_time:
        return avg_pages;
    case FN_min_over_time:
    case FN_max_over_time:
        return extreme_pages;
    case FN_count_over_time:
        return count_pages;
    case FN_present_over_time:
    case FN_absent_over_time:
        return present_pages;
    case FN_first_over_time:
    case FN_last_over_time:
    case FN_ts_of_first_over_time:
    case FN_ts_of_last_over_time:
        return end_pages;
    default:
        return NULL;
    }
}
