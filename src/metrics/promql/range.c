/* Functions over range vectors: windows slide over each series with two pointers. */
#include "metrics/promql/engine.h"

typedef struct RangeOp {
    Op op;
    RangeCall call;
    RangeFn fn;
    RangeFloatFn float_fn;
    RangePageFn page_fn;
    Str fixed_name; /* of all series, where the selector says so */
    RawReader *reader;
    RawSeries *views;
    Split split;
    TimesSeen seen;
    RangeItems items; /* of a series that came with page aggregates */
    f64 *params[2];
    u32 params_len;
    u32 *flo, *fhi, *hlo, *hhi; /* per step */
    bool keeps_name, warns_non_counter, uses_start_times;
    U64Map *labels_seen; /* label sets after the name went, to find duplicates */
} RangeOp;

f64 *range_scratch(RangeCall *c, u32 n)
{
    if (n <= c->scratch_cap)
        return c->scratch;
    u32 cap = MAX(n, c->scratch_cap * 2);
    f64 *at = arena_array(c->e->arena, f64, cap);
    if (!at)
        return NULL;
    c->scratch = at;
    c->scratch_cap = cap;
    return at;
}

/* ---- windows ---- */

static void slide(const RangeOp *r, const i64 *t, u32 n, u32 *lo, u32 *hi)
{
    const Grid *g = r->op.g;
    const Plan *arg = r->call.arg;
    const Selector *sel = r->call.sel;
    i64 before = sel && (sel->anchored || sel->smoothed) ? r->op.e->lookback : 0;
    i64 after = sel && sel->smoothed ? r->op.e->lookback : 0;
    u32 a = 0, b = 0;
    for (u32 k = 0; k < g->n; k++) {
        i64 end = sel ? sel_ref(sel, grid_at(g, k)) : (arg->has_at ? arg->at : grid_at(g, k)) - arg->offset;
        i64 from = end - r->call.range - before, to = end + after;
        if (k == 0) {
            a = first_after(t, n, from);
            b = first_after(t, n, to);
        }
        while (a < n && t[a] <= from)
            a++;
        while (b < n && t[b] <= to)
            b++;
        lo[k] = a;
        hi[k] = b;
    }
}

static i64 window_end(const RangeOp *r, i64 t)
{
    const Plan *arg = r->call.arg;
    return r->call.sel ? sel_ref(r->call.sel, t) : (arg->has_at ? arg->at : t) - arg->offset;
}

static Err run_windows(RangeOp *r, StepSeries *out, Why *why)
{
    Eval *e = r->op.e;
    Grid *g = r->op.g;
    const Split *s = &r->split;
    bool with_st = r->uses_start_times;
    for (u32 k = 0; k < g->n; k++) {
        u32 fl = r->flo[k], fh = r->fhi[k], hl = s->hn ? r->hlo[k] : 0, hh = s->hn ? r->hhi[k] : 0;
        if (fl == fh && hl == hh)
            continue;
        i64 t = grid_at(g, k), end = window_end(r, t);
        Window w = {
            .ft = s->ft + fl,
            .fv = s->fv + fl,
            .fn = fh - fl,
            .hn = hh - hl,
            .t = t,
            .start = end - r->call.range,
            .end = end,
        };
        if (w.hn) {
            w.ht = s->ht + hl;
            w.hv = s->hv + hl;
        }
        if (with_st && s->fst)
            w.fst = s->fst + fl;
        if (with_st && s->hst && w.hn)
            w.hst = s->hst + hl;
        for (u32 i = 0; i < r->params_len; i++)
            r->call.params[i] = r->params[i][k];
        f64 v = 0;
        Histogram *h = NULL;
        if (!r->fn(&r->call, &w, &v, &h))
            continue;
        if (!h) {
            out->v[k] = v;
            continue;
        }
        if (!out->h && !(out->h = hist_col_get(e, g)))
            return eval_memory(why);
        out->h[k] = h;
        if (arena_over(e->hists))
            return eval_memory(why);
    }
    return OK;
}

/* Some of the samples came as aggregates of whole pages: only asked for where r->page_fn knows them, and never with histograms. */
static Err run_pages(RangeOp *r, const RawSeries *raw, StepSeries *out, Why *why)
{
    TRY(items_of(r->op.e, raw, &r->items, why));
    r->seen.n = 0;
    slide(r, r->items.t_last, r->items.n, r->flo, r->fhi);
    r->page_fn(&r->call, r->op.g, &r->items, r->flo, r->fhi, out->v);
    return arena_over(r->op.e->arena) ? eval_memory(why) : OK;
}

/* Factors are judged where they are used: at steps whose window has samples. */
static Err check_smoothing(const RangeOp *r, Why *why)
{
    const f64 *sf = r->params[0], *tf = r->params[1];
    for (u32 k = 0; k < r->op.g->n; k++) {
        if (r->flo[k] == r->fhi[k] && (r->split.hn == 0 || r->hlo[k] == r->hhi[k]))
            continue;
        if (sf[k] <= 0 || sf[k] >= 1)
            return why_set(why, E_EXEC, "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", sf[k]);
        if (tf[k] <= 0 || tf[k] >= 1)
            return why_set(why, E_EXEC, "invalid trend factor. Expected: 0 < tf < 1, got: %f", tf[k]);
    }
    return OK;
}

static Err run_series(RangeOp *r, const RawSeries *raw, StepSeries *out, Why *why)
{
    Eval *e = r->op.e;
    Grid *g = r->op.g;
    Split *s = &r->split;
    r->call.name = raw->bare ? r->fixed_name : labels_get(raw->labels, LABEL_NAME);
    for (u32 k = 0; k < g->n; k++)
        out->v[k] = ABSENT;
    if (raw->pages_len)
        return run_pages(r, raw, out, why);
    TRY(split_series(e, raw, s, why));
    if (!times_seen(e, &r->seen, raw, s->ft, s->fn)) {
        slide(r, s->ft, s->fn, r->flo, r->fhi);
        r->call.has_rate_times = false;
    }
    if (s->hn)
        slide(r, s->ht, s->hn, r->hlo, r->hhi);
    if (r->op.p->fn == FN_double_exponential_smoothing)
        TRY(check_smoothing(r, why));
    const Selector *sel = r->call.sel;
    bool plain = s->hn == 0 && !(sel && (sel->anchored || sel->smoothed)) && !(r->uses_start_times && s->fst);
    if (plain && r->float_fn)
        r->float_fn(&r->call, g, s->ft, s->fv, s->fn, r->flo, r->fhi, out->v);
    else
        TRY(run_windows(r, out, why));
    return arena_over(e->arena) ? eval_memory(why) : OK;
}

/* ---- the operator ---- */

static Str fixed_name(Matchers m)
{
    for (u32 i = 0; i < m.len; i++)
        if (m.at[i].op == MATCH_EQ && str_eq(m.at[i].name, LABEL_NAME))
            return m.at[i].value;
    return (Str){0};
}

static bool any_float(const Grid *g, const f64 *v)
{
    for (u32 i = 0; i < g->n; i++)
        if (!is_absent(v[i]))
            return true;
    return false;
}

static bool looks_like_counter(Str name)
{
    return str_ends(name, S("_total")) || str_ends(name, S("_sum")) || str_ends(name, S("_count")) ||
           str_ends(name, S("_bucket"));
}

static Err finish_series(RangeOp *r, const RawSeries *raw, StepSeries *out, Why *why)
{
    Eval *e = r->op.e;
    if (r->warns_non_counter && !str_empty(r->call.name) && !looks_like_counter(r->call.name) &&
        any_float(r->op.g, out->v))
        note(e, NOTE_POSSIBLE_NON_COUNTER, r->op.p->args[0], r->call.name);
    u32 labels_before = out->labels.len;
    if (!r->keeps_name || raw->drop_name)
        name_drop(e, out);
    /* Two series that differ by nothing but the name that went are an error, wherever in time they lie. */
    bool may_collide = !e->delayed_names && r->op.p->fn != FN_absent_over_time &&
                       (!r->call.sel || !r->call.sel->name_is_fixed || labels_before > out->labels.len + 1);
    if (!may_collide)
        return OK;
    TRY(step_labels(e, out, why));
    u64 hash = labels_hash(out->labels);
    if (u64map_find(r->labels_seen, hash))
        return same_labelset(why);
    u64map_put(r->labels_seen, hash, 1);
    return OK;
}

/* Sums come out the same from query to query as long as windows are too short to hold many pages. */
#define SUM_PAGES_RANGE_MS 21600000

static i64 pages_range_min(FuncId fn)
{
    return fn == FN_sum_over_time || fn == FN_avg_over_time ? SUM_PAGES_RANGE_MS : 0;
}

static Err open_range(RangeOp *r, Why *why)
{
    Eval *e = r->op.e;
    Grid *g = r->op.g;
    const Plan *arg = r->call.arg;
    Selector *sel = arg->sel;
    if (sel) {
        bool extended = sel->anchored || sel->smoothed;
        SelectHints hints = {.mint = sel_ref(sel, g->start) - arg->range + 1 - (extended ? e->lookback : 0),
                             .maxt = sel_ref(sel, grid_end(g)) + (sel->smoothed ? e->lookback : 0),
                             .step_ms = g->step,
                             .range_ms = arg->range,
                             .want_pages = r->page_fn && !extended && !r->uses_start_times &&
                                           arg->range >= pages_range_min(r->op.p->fn),
                             .windows_start = sel_ref(sel, g->start),
                             .windows = sel->has_at ? 1 : g->n};
        TRY(raw_open(e, arg, sel, &hints, &r->reader, why));
    } else {
        TRY(raw_open_subquery(e, arg, g, &r->reader, why));
    }
    r->views = arena_array(e->arena, RawSeries, BATCH_MAX);
    u32 *steps = arena_array(e->arena, u32, (u64)g->n * 4);
    if (!r->views || !steps)
        return eval_memory(why);
    r->flo = steps;
    r->fhi = steps + g->n;
    r->hlo = steps + (size_t)g->n * 2;
    r->hhi = steps + (size_t)g->n * 3;
    return OK;
}

static Err range_next(Op *op, Batch *b, Why *why)
{
    RangeOp *r = (RangeOp *)op;
    Eval *e = op->e;
    b->n = 0;
    if (!r->reader)
        TRY(open_range(r, why));
    Err err = OK;
    while (b->n == 0 && err == OK) {
        u32 n;
        if ((err = eval_check(e, why)) != OK ||
            (err = raw_next(r->reader, r->views, BATCH_MAX, &n, why)) != OK)
            break;
        if (n == 0)
            return OK;
        for (u32 i = 0; i < n && err == OK; i++) {
            StepSeries *out = &b->at[b->n];
            *out = step_of_raw(&r->views[i], col_get(e, op->g));
            if (!out->v) {
                err = eval_memory(why);
                break;
            }
            err = run_series(r, &r->views[i], out, why);
            if (err != OK)
                break;
            if (!series_count(op->g, out)) {
                series_put(e, op->g, out);
                continue;
            }
            err = finish_series(r, &r->views[i], out, why);
            b->n++;
        }
    }
    return err;
}

static Err check_modifiers(const Plan *p, const Selector *sel, Why *why)
{
    bool smoothable = p->fn == FN_rate || p->fn == FN_increase || p->fn == FN_delta;
    if (sel->anchored && !smoothable && p->fn != FN_resets && p->fn != FN_changes)
        return why_set(
            why, E_EXEC,
            "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with %s",
            p->fn_name);
    if (sel->smoothed && !smoothable)
        return why_set(why, E_EXEC,
                       "smoothed modifier can only be used with: delta, increase, rate - not with %s",
                       p->fn_name);
    return OK;
}

Err op_range(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    RangeOp *r = arena_new(e->arena, RangeOp);
    for (u32 i = 0; i < p->args_len; i++) {
        const Plan *arg = p->args[i];
        if (arg->type == PROM_MATRIX)
            r->call.arg = arg;
        else if (r->params_len < 2)
            TRY(scalar_eval(e, arg, g, &r->params[r->params_len++], why));
    }
    if (!r->call.arg)
        return why_set(why, E_INTERNAL, "%s without a range vector", p->fn_name);
    r->labels_seen = eval_map(e);
    r->call.e = e;
    r->call.p = p;
    r->call.sel = r->call.arg->sel;
    r->call.range = r->call.arg->range;
    if (r->call.sel) {
        TRY(check_modifiers(p, r->call.sel, why));
        r->fixed_name = fixed_name(r->call.sel->matchers);
    }
    r->fn = range_fn(p->fn);
    r->float_fn = range_float_fn(p->fn);
    r->page_fn = range_page_fn(p->fn);
    r->keeps_name = p->fn == FN_last_over_time || p->fn == FN_first_over_time;
    r->warns_non_counter = p->fn == FN_rate || p->fn == FN_increase;
    r->uses_start_times =
        (e->features & PROMQL_USE_START_TIMESTAMPS) &&
        (p->fn == FN_rate || p->fn == FN_increase || p->fn == FN_irate || p->fn == FN_resets);
    if (!r->fn)
        return why_set(why, E_UNSUPPORTED, "function %s is not implemented", p->fn_name);
    *ret = op_init(&r->op, e, p, g, range_next);
    return OK;
}
