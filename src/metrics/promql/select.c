/* Where samples enter: selectors read from the source, subqueries evaluate a plan on a grid of their own. */
#include "metrics/promql/engine.h"

/* What the first reader saw, for those after it. Given up when it grows past SHARED_SAMPLES_MAX: reading twice is cheaper
 * than holding very much. */
#define SHARED_SAMPLES_MAX 4000000u

struct SharedRead {
    i64 mint, maxt;
    bool is_begun, is_complete, is_too_large;
    RawSeries *list;
    u32 n, cap;
    u64 samples;
};
struct RawReader {
    Eval *e;
    bool stats_only;
    SeriesCursor *cursor; /* storage, or: */
    RawSeries *list;      /* what a subquery computed or an earlier reader kept */
    u32 list_len, list_at;
    SharedRead *keeps; /* what is read is kept here too */
};

/* ---- reading ---- */

SharedRead *shared_read_new(Eval *e)
{
    return arena_new(e->arena, SharedRead);
}

/* True: everything is there already. */
static bool share(RawReader *r, SharedRead *s, i64 mint, i64 maxt)
{
    if (!s || s->is_too_large)
        return false;
    if (!s->is_begun) {
        *s = (SharedRead){.mint = mint, .maxt = maxt, .is_begun = true};
        r->keeps = s;
        return false;
    }
    if (!s->is_complete || s->mint != mint || s->maxt != maxt)
        return false;
    r->list = s->list;
    r->list_len = s->n;
    return true;
}

static void *copy_array(Eval *e, const void *at, size_t bytes)
{
    void *copy = at ? arena_try(e->arena, MAX(bytes, 1)) : NULL;
    if (copy)
        memcpy(copy, at, bytes);
    return copy;
}

static Err keep(Eval *e, SharedRead *s, const RawSeries *from, Why *why)
{
    if (s->samples + from->n > SHARED_SAMPLES_MAX || s->samples + from->n > e->samples_max / 2) {
        s->is_too_large = true;
        eval_release(e, s->samples);
        return OK;
    }
    RawSeries *list = arena_grow(e->arena, s->list, &s->cap, s->n + 1, sizeof *list);
    if (!list)
        return eval_memory(why);
    s->list = list;
    RawSeries *to = &list[s->n++];
    *to = *from;
    to->t = copy_array(e, from->t, from->n * sizeof *from->t);
    to->v = copy_array(e, from->v, from->n * sizeof *from->v);
    to->st = copy_array(e, from->st, from->n * sizeof *from->st);
    const Histogram **h = copy_array(e, from->h, from->n * sizeof *from->h);
    to->h = h;
    if (!to->t || !to->v || (from->st && !to->st) || (from->h && !h))
        return eval_memory(why);
    for (u32 i = 0; h && i < from->n; i++)
        if (h[i])
            h[i] = histogram_dup(e->arena, h[i]);
    s->samples += from->n;
    return eval_hold(e, from->n, why);
}

Err raw_open(Eval *e, const Plan *p, Selector *s, const SelectHints *asked, RawReader **ret, Why *why)
{
    RawReader *r = arena_new(e->arena, RawReader);
    r->e = e;
    r->stats_only = s->stats_only;
    *ret = r;
    if (share(r, s->shared, asked->mint, asked->maxt))
        return OK;
    SelectHints hints = *asked;
    hints.func = s->func;
    hints.slice = e->slice;
    hints.slices = e->slices;
    if (!r->keeps)
        hints.grouping = s->grouping;
    else
        hints.want_pages = false;
    SeriesCursor **cursors =
        arena_grow(e->arena, e->cursors, &e->cursors_cap, e->cursors_len + 1, sizeof *cursors);
    if (!cursors)
        return eval_memory(why);
    e->cursors = cursors;
    TRY(e->src->select(e->src, e->q->tenant, s->matchers, &hints, e->arena, e->q->cancel, &r->cursor, why));
    e->cursors[e->cursors_len++] = r->cursor;
    return OK;
}

/* Only count and sum of the histograms are wanted: buckets are looked at once, for resets, and left behind. */
static Err strip_buckets(Eval *e, RawSeries *s, Why *why)
{
    const Histogram **h = arena_array(e->hists, const Histogram *, MAX(s->n, 1));
    if (!h)
        return eval_memory(why);
    const Histogram *last = NULL;
    for (u32 i = 0; i < s->n; i++) {
        const Histogram *from = s->h[i];
        h[i] = NULL;
        if (!from)
            continue;
        Histogram *to = arena_new(e->hists, Histogram);
        to->schema = from->schema;
        to->hint = from->hint;
        to->count = from->count;
        to->sum = from->sum;
        h[i] = to;
        if (histogram_is_stale(from))
            continue;
        if (last && from->hint == HIST_UNKNOWN_RESET)
            to->hint = histogram_is_reset(e->tmp, from, last) ? HIST_RESET : HIST_NO_RESET;
        last = from;
    }
    s->h = h;
    return OK;
}

Err raw_next(RawReader *r, RawSeries *ret, u32 max, u32 *ret_n, Why *why)
{
    Eval *e = r->e;
    *ret_n = 0;
    arena_reset(e->tmp);
    if (!r->cursor) {
        while (*ret_n < max && r->list_at < r->list_len)
            ret[(*ret_n)++] = r->list[r->list_at++];
        return OK;
    }
    SeriesView views[BATCH_MAX];
    u32 n;
    TRY(r->cursor->next(r->cursor, views, MIN(max, BATCH_MAX), &n, why));
    for (u32 i = 0; i < n; i++) {
        const SeriesView *v = &views[i];
        ret[i] = (RawSeries){.labels = v->labels,
                             .t = v->t,
                             .v = v->v,
                             .h = v->h,
                             .st = v->st,
                             .n = v->n,
                             .bare = v->is_bare ? r->cursor : NULL,
                             .id = v->id,
                             .group = v->group,
                             .pages = v->pages,
                             .pages_len = v->pages_len,
                             .same_times = v->same_times};
        e->samples_read += v->n + v->pages_len;
        TRY(eval_hold(e, v->n, why));
        eval_release(e, v->n);
        if (r->stats_only && v->h)
            TRY(strip_buckets(e, &ret[i], why));
        if (r->keeps && !r->keeps->is_too_large)
            TRY(keep(e, r->keeps, &ret[i], why));
    }
    if (n == 0 && r->keeps && !r->keeps->is_too_large)
        r->keeps->is_complete = true;
    *ret_n = n;
    return OK;
}

/* ---- subqueries ---- */

/* The inner series as samples at their steps. Hints about resets are forgotten: between the steps others may lie. */
static Err as_samples(Eval *e, Grid *g, StepSeries *s, RawSeries *ret, Why *why)
{
    u32 n = series_count(g, s);
    i64 *t = arena_array(e->arena, i64, MAX(n, 1));
    f64 *v = arena_array(e->arena, f64, MAX(n, 1));
    const Histogram **h = s->h ? arena_array(e->arena, const Histogram *, MAX(n, 1)) : NULL;
    if (!t || !v || (s->h && !h))
        return eval_memory(why);
    u32 k = 0;
    for (u32 i = 0; i < g->n; i++) {
        if (!series_has(s, i))
            continue;
        t[k] = grid_at(g, i);
        v[k] = s->v[i];
        if (h)
            h[k] = s->h[i];
        if (h && h[k] && (h[k]->hint == HIST_RESET || h[k]->hint == HIST_NO_RESET)) {
            Histogram *copy = arena_new(e->arena, Histogram);
            *copy = *h[k];
            copy->hint = HIST_UNKNOWN_RESET;
            h[k] = copy;
        }
        k++;
    }
    *ret = (RawSeries){.labels = s->labels,
                       .t = t,
                       .v = v,
                       .h = h,
                       .n = n,
                       .drop_name = s->drop_name,
                       .bare = s->bare,
                       .id = s->id,
                       .group = s->group};
    series_put(e, g, s);
    return OK;
}

static i64 align_after(i64 t, i64 step)
{
    i64 down = t / step * step;
    if (down > t)
        down -= step;
    return down + step;
}

Err raw_open_subquery(Eval *e, const Plan *p, Grid *g, RawReader **ret, Why *why)
{
    RawReader *r = arena_new(e->arena, RawReader);
    r->e = e;
    *ret = r;
    i64 step = p->step > 0 ? p->step : e->subquery_step;
    i64 first = (p->has_at ? p->at : g->start) - p->offset - p->range;
    i64 end = (p->has_at ? p->at : grid_end(g)) - p->offset;
    i64 start = align_after(first, step);
    if (start > end)
        return OK;
    u64 n = (u64)(end - start) / (u64)step + 1;
    if (n > e->samples_max || n > UINT32_MAX / 2)
        return eval_hold(e, e->samples_max + 1, why);
    Grid *inner = grid_new(e, start, step, (u32)n);
    inner->is_instant = false;
    Op *op;
    SeriesList list = {0};
    TRY(op_build(e, p->args[0], inner, &op, why));
    TRY(op_drain(op, &list, why));
    r->list = arena_array(e->arena, RawSeries, MAX(list.n, 1));
    if (!r->list)
        return eval_memory(why);
    for (u32 i = 0; i < list.n; i++)
        TRY(as_samples(e, inner, &list.at[i], &r->list[r->list_len++], why));
    return OK;
}

/* ---- splitting ---- */

bool times_seen(Eval *e, TimesSeen *s, const RawSeries *from, const i64 *t, u32 n)
{
    bool were_raw = s->are_raw;
    s->are_raw = t == from->t && n == from->n;
    if (s->n == n && n > 0 &&
        ((from->same_times && were_raw && s->are_raw) || memcmp(s->t, t, n * sizeof *t) == 0))
        return true;
    s->n = 0;
    if (n > s->cap) {
        u32 cap = MAX(n, s->cap * 2);
        i64 *at = arena_array(e->arena, i64, cap);
        if (!at)
            return false;
        s->t = at;
        s->cap = cap;
    }
    if (n > 0)
        memcpy(s->t, t, n * sizeof *t);
    s->n = n;
    return false;
}

u32 first_after(const i64 *t, u32 n, i64 at)
{
    u32 lo = 0, hi = n;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (t[mid] > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static bool has_stale(const f64 *v, u32 n)
{
    u64 found = 0;
    for (u32 i = 0; i < n; i++)
        found |= f64_bits(v[i]) == STALE_NAN_BITS;
    return found != 0;
}

static Err split_reserve(Eval *e, Split *s, u32 n, Why *why)
{
    if (n <= s->cap)
        return OK;
    u32 cap = MAX(n, s->cap * 2);
    for (int i = 0; i < 2; i++) {
        s->t_buf[i] = arena_array(e->arena, i64, cap);
        s->st_buf[i] = arena_array(e->arena, i64, cap);
        if (!s->t_buf[i] || !s->st_buf[i])
            return eval_memory(why);
    }
    s->v_buf = arena_array(e->arena, f64, cap);
    s->h_buf = arena_array(e->arena, const Histogram *, cap);
    if (!s->v_buf || !s->h_buf)
        return eval_memory(why);
    s->cap = cap;
    return OK;
}

Err split_series(Eval *e, const RawSeries *r, Split *s, Why *why)
{
    if (!r->h && !has_stale(r->v, r->n)) {
        s->ft = r->t;
        s->fv = r->v;
        s->fst = r->st;
        s->fn = r->n;
        s->hn = 0;
        return OK;
    }
    TRY(split_reserve(e, s, r->n, why));
    u32 fn = 0, hn = 0;
    for (u32 i = 0; i < r->n; i++) {
        const Histogram *h = r->h ? r->h[i] : NULL;
        if (h ? histogram_is_stale(h) : is_stale(r->v[i]))
            continue;
        u32 *n = h ? &hn : &fn;
        s->t_buf[h != NULL][*n] = r->t[i];
        s->st_buf[h != NULL][*n] = r->st ? r->st[i] : 0;
        if (h)
            s->h_buf[hn] = h;
        else
            s->v_buf[fn] = r->v[i];
        (*n)++;
    }
    s->ft = s->t_buf[0];
    s->ht = s->t_buf[1];
    s->fst = r->st ? s->st_buf[0] : NULL;
    s->hst = r->st ? s->st_buf[1] : NULL;
    s->fv = s->v_buf;
    s->hv = s->h_buf;
    s->fn = fn;
    s->hn = hn;
    return OK;
}

/* ---- instant vectors ---- */

typedef struct SelectOp {
    Op op;
    RawReader *reader;
    RawSeries *views;
    Split split;
    SelectWhat what;
    TimesSeen seen;
    u32 *newest; /* per step: place of its sample + 1 in a series of the times seen; 0 = none */
} SelectOp;

static Err open_instant(SelectOp *s, Why *why)
{
    Eval *e = s->op.e;
    Selector *sel = s->op.p->sel;
    i64 ahead = sel->smoothed ? e->lookback : 0;
    s->views = arena_array(e->arena, RawSeries, BATCH_MAX);
    s->newest = arena_array(e->arena, u32, s->op.g->n);
    if (!s->views || !s->newest)
        return eval_memory(why);
    SelectHints hints = {.mint = sel_ref(sel, s->op.g->start) - e->lookback + 1,
                         .maxt = sel_ref(sel, grid_end(s->op.g)) + ahead,
                         .step_ms = s->op.g->step,
                         .newest_only = s->op.g->n == 1 && !sel->smoothed};
    return raw_open(e, s->op.p, sel, &hints, &s->reader, why);
}

static void find_newest(SelectOp *s, const i64 *t, u32 n)
{
    Eval *e = s->op.e;
    const Grid *g = s->op.g;
    const Selector *sel = s->op.p->sel;
    u32 at = first_after(t, n, sel_ref(sel, g->start));
    for (u32 k = 0; k < g->n; k++) {
        i64 ref = sel_ref(sel, grid_at(g, k));
        while (at < n && t[at] <= ref)
            at++;
        s->newest[k] = at > 0 && t[at - 1] > ref - e->lookback ? at : 0;
    }
}

static Err not_info(const RawSeries *r, Why *why)
{
    Buf b;
    buf_init(&b, 900);
    print_labels(&b, r->labels);
    Err err = why_set(why, E_EXEC, "this should be an info metric, with float samples: %.*s",
                      STR_FMT(buf_view(&b)));
    buf_done(&b);
    return err;
}

/* Histograms among the samples, or times instead of values. */
static Err fill_other(SelectOp *s, const RawSeries *r, StepSeries *out, Why *why)
{
    Eval *e = s->op.e;
    const Histogram *last = NULL, *last_dup = NULL;
    for (u32 k = 0; k < s->op.g->n; k++) {
        u32 i = s->newest[k] - 1;
        out->v[k] = ABSENT;
        if (!s->newest[k])
            continue;
        const Histogram *h = r->h ? r->h[i] : NULL;
        if (h ? histogram_is_stale(h) : is_stale(r->v[i]))
            continue;
        if (h && s->what == SELECT_INFO)
            return not_info(r, why);
        if (s->what != SELECT_VALUES) {
            out->v[k] = (f64)(s->what != SELECT_START_TIMES ? r->t[i] : r->st ? r->st[i] : 0) / 1000;
            continue;
        }
        if (!h) {
            out->v[k] = r->v[i];
            continue;
        }
        if (!out->h && !(out->h = hist_col_get(e, s->op.g)))
            return eval_memory(why);
        if (h != last) {
            last = h;
            last_dup = histogram_dup(e->hists, h);
        }
        out->h[k] = last_dup;
    }
    return OK;
}

/* The newest sample at or before each step, unless it is too old or a staleness marker (which is ABSENT as it stands). */
static Err fill_instant(SelectOp *s, const RawSeries *r, StepSeries *out, Why *why)
{
    if (!times_seen(s->op.e, &s->seen, r, r->t, r->n))
        find_newest(s, r->t, r->n);
    if (r->h || s->what != SELECT_VALUES)
        return fill_other(s, r, out, why);
    for (u32 k = 0; k < s->op.g->n; k++)
        out->v[k] = s->newest[k] ? r->v[s->newest[k] - 1] : ABSENT;
    return OK;
}

static f64 smooth_float(const Split *s, u32 lo, u32 hi, u32 next, i64 t, bool *ret_has)
{
    *ret_has = next > lo || (next < hi && s->ft[next] == t);
    if (!*ret_has)
        return 0;
    if (next < hi && s->ft[next] == t)
        return s->fv[next];
    if (next == hi)
        return s->fv[next - 1];
    return interpolate_floats(s->ft[next - 1], s->fv[next - 1], s->ft[next], s->fv[next], t, false);
}

static Histogram *smooth_histogram(SelectOp *op, const Split *s, Str name, u32 lo, u32 hi, u32 next, i64 t)
{
    Eval *e = op->op.e;
    if (next < hi && s->ht[next] == t)
        return histogram_dup(e->hists, s->hv[next]);
    if (next == lo)
        return NULL;
    const Histogram *prev = s->hv[next - 1];
    if (next == hi) {
        Histogram *h = histogram_dup(e->hists, prev);
        h->hint = HIST_UNKNOWN_RESET;
        return h;
    }
    const Histogram *after = s->hv[next];
    bool is_counter = prev->hint != HIST_GAUGE || after->hint != HIST_GAUGE;
    if ((prev->schema == HIST_SCHEMA_CUSTOM) != (after->schema == HIST_SCHEMA_CUSTOM)) {
        note(e, NOTE_MIXED_EXPONENTIAL_CUSTOM, op->op.p, name);
        return NULL;
    }
    return interpolate_histograms(e, op->op.p, name, s->ht[next - 1], prev, s->ht[next], after, t,
                                  is_counter);
}

/* Smoothed: the value between the neighbours of each step, no further away than the lookback. */
static Err fill_smoothed(SelectOp *op, const RawSeries *r, StepSeries *out, Why *why)
{
    Eval *e = op->op.e;
    Grid *g = op->op.g;
    const Selector *sel = op->op.p->sel;
    Split *s = &op->split;
    Str name = labels_get(r->labels, LABEL_NAME);
    TRY(split_series(e, r, s, why));
    for (u32 k = 0; k < g->n; k++) {
        i64 t = sel_ref(sel, grid_at(g, k));
        u32 flo = first_after(s->ft, s->fn, t - e->lookback),
            fhi = first_after(s->ft, s->fn, t + e->lookback);
        u32 hlo = first_after(s->ht, s->hn, t - e->lookback),
            hhi = first_after(s->ht, s->hn, t + e->lookback);
        out->v[k] = ABSENT;
        if (flo < fhi && hlo < hhi) {
            note(e, NOTE_MIXED_FLOATS_HISTOGRAMS, op->op.p, name);
        } else if (flo < fhi) {
            bool has;
            f64 v = smooth_float(s, flo, fhi, flo + first_after(s->ft + flo, fhi - flo, t - 1), t, &has);
            if (has)
                out->v[k] = v;
        } else if (hlo < hhi) {
            if (!out->h && !(out->h = hist_col_get(e, g)))
                return eval_memory(why);
            out->h[k] =
                smooth_histogram(op, s, name, hlo, hhi, hlo + first_after(s->ht + hlo, hhi - hlo, t - 1), t);
        }
    }
    return OK;
}

static Err select_next(Op *op, Batch *b, Why *why)
{
    SelectOp *s = (SelectOp *)op;
    Eval *e = op->e;
    b->n = 0;
    if (!s->reader)
        TRY(open_instant(s, why));
    while (b->n == 0) {
        u32 n;
        TRY(eval_check(e, why));
        TRY(raw_next(s->reader, s->views, BATCH_MAX, &n, why));
        if (n == 0)
            return OK;
        for (u32 i = 0; i < n; i++) {
            StepSeries *out = &b->at[b->n];
            *out = step_of_raw(&s->views[i], col_get(e, op->g));
            if (!out->v)
                return eval_memory(why);
            TRY(op->p->sel->smoothed ? fill_smoothed(s, &s->views[i], out, why)
                                     : fill_instant(s, &s->views[i], out, why));
            if (s->what == SELECT_TIMES || s->what == SELECT_START_TIMES)
                name_drop(e, out);
            if (series_count(op->g, out))
                b->n++;
            else
                series_put(e, op->g, out);
        }
    }
    return OK;
}

Op *op_select(Eval *e, const Plan *p, Grid *g)
{
    return op_init(&arena_new(e->arena, SelectOp)->op, e, p, g, select_next);
}

Op *op_select_times(Eval *e, const Plan *p, Grid *g, SelectWhat what)
{
    SelectOp *s = arena_new(e->arena, SelectOp);
    s->what = what;
    return op_init(&s->op, e, p, g, select_next);
}

/* ---- range vectors as results ---- */

/* Anchored and smoothed ranges show the values at both borders. */
static void extend(const Split *s, i64 mint, i64 maxt, bool smoothed, i64 *t, f64 *v, u32 *ret_n)
{
    u32 last = s->fn - 1, first = first_after(s->ft, last, mint);
    first = first ? first - 1 : 0;
    if (smoothed)
        last = first_after(s->ft, last, maxt - 1);
    *ret_n = 0;
    if (s->ft[last] <= mint)
        return;
    f64 left = s->fv[first], right = s->fv[last];
    if (smoothed && s->ft[first] < mint)
        left =
            interpolate_floats(s->ft[first], s->fv[first], s->ft[first + 1], s->fv[first + 1], mint, false);
    if (smoothed && last > 0 && s->ft[last] > maxt)
        right = interpolate_floats(s->ft[last - 1], s->fv[last - 1], s->ft[last], s->fv[last], maxt, false);
    u32 n = 0;
    t[n] = mint;
    v[n++] = left;
    for (u32 i = first; i <= last; i++) {
        if (s->ft[i] > mint && s->ft[i] < maxt) {
            t[n] = s->ft[i];
            v[n++] = s->fv[i];
        }
    }
    t[n] = maxt;
    v[n++] = right;
    *ret_n = n;
}

static Err matrix_series(Eval *e, const Plan *p, const RawSeries *r, i64 end, Split *s, Arena *arena,
                         PromSeries *ret, Why *why)
{
    const Selector *sel = p->sel;
    bool extended = sel && (sel->anchored || sel->smoothed);
    i64 from = end - p->range - (extended ? e->lookback : 0),
        to = end + (sel && sel->smoothed ? e->lookback : 0);
    u32 lo = first_after(r->t, r->n, from), hi = first_after(r->t, r->n, to), n = 0;
    *ret = (PromSeries){.labels = r->labels};
    i64 *t = arena_array(arena, i64, hi - lo + 2);
    f64 *v = arena_array(arena, f64, hi - lo + 2);
    const Histogram **h = r->h ? arena_array(arena, const Histogram *, hi - lo + 2) : NULL;
    if (!t || !v || (r->h && !h))
        return eval_memory(why);
    RawSeries part = *r;
    part.t += lo;
    part.v += lo;
    part.st = NULL;
    part.h = r->h ? r->h + lo : NULL;
    part.n = hi - lo;
    if (extended) {
        TRY(split_series(e, &part, s, why));
        if (s->hn)
            return why_set(why, E_EXEC, "%s modifier is not supported with histograms",
                           sel->anchored ? "anchored" : "smoothed");
        if (s->fn)
            extend(s, end - p->range, end, sel->smoothed, t, v, &n);
        h = NULL;
    } else {
        for (u32 i = 0; i < part.n; i++) {
            const Histogram *from_h = part.h ? part.h[i] : NULL;
            if (from_h ? histogram_is_stale(from_h) : is_stale(part.v[i]))
                continue;
            t[n] = part.t[i];
            v[n] = from_h ? 0 : part.v[i];
            if (h)
                h[n] = from_h ? histogram_dup(arena, from_h) : NULL;
            n++;
        }
    }
    ret->t = t;
    ret->v = v;
    ret->h = h;
    ret->n = n;
    if (r->drop_name)
        ret->labels = drop_metadata_labels(e, ret->labels);
    ret->labels = labels_dup(arena, ret->labels);
    return OK;
}

Err eval_matrix(Eval *e, const Plan *p, Grid *g, Arena *arena, PromResult *ret, Why *why)
{
    RawReader *reader;
    Selector *sel = p->sel;
    i64 end = sel ? sel_ref(sel, g->start) : (p->has_at ? p->at : g->start) - p->offset;
    if (sel) {
        bool extended = sel->anchored || sel->smoothed;
        SelectHints hints = {.mint = end - p->range + 1 - (extended ? e->lookback : 0),
                             .maxt = end + (sel->smoothed ? e->lookback : 0),
                             .range_ms = p->range};
        TRY(raw_open(e, p, sel, &hints, &reader, why));
    } else {
        TRY(raw_open_subquery(e, p, g, &reader, why));
    }
    RawSeries *views = arena_array(e->arena, RawSeries, BATCH_MAX);
    if (!views)
        return eval_memory(why);
    Split split = {0};
    u32 cap = 0, n;
    for (;;) {
        TRY(eval_check(e, why));
        TRY(raw_next(reader, views, BATCH_MAX, &n, why));
        if (n == 0)
            break;
        for (u32 i = 0; i < n; i++) {
            PromSeries *at = arena_grow(arena, ret->series, &cap, ret->series_len + 1, sizeof *at);
            if (!at)
                return eval_memory(why);
            ret->series = at;
            TRY(matrix_series(e, p, &views[i], end, &split, arena, &at[ret->series_len], why));
            TRY(eval_hold(e, at[ret->series_len].n, why));
            ret->series_len += at[ret->series_len].n > 0;
        }
    }
    if (ret->series_len)
        qsort(ret->series, ret->series_len, sizeof *ret->series, series_order);
    return OK;
}
