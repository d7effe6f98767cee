/* Aggregations that fold: batches of series go into accumulators, one per group and step, and are forgotten. */
#include "metrics/promql/aggr.h"

/* ---- grouping ---- */

Str *sorted_names(Eval *e, const Str *names, u32 n, const Str *extra, u32 *ret_n)
{
    Str *at = arena_array(e->arena, Str, n + 1);
    if (!at)
        return NULL;
    for (u32 i = 0; i < n; i++)
        at[i] = names[i];
    if (extra)
        at[n++] = *extra;
    qsort(at, n, sizeof *at, str_order);
    u32 k = 0;
    for (u32 i = 0; i < n; i++)
        if (k == 0 || !str_eq(at[k - 1], at[i]))
            at[k++] = at[i];
    *ret_n = k;
    return at;
}

static bool listed(const Str *sorted, u32 n, Str name)
{
    for (u32 i = 0; i < n; i++)
        if (str_eq(sorted[i], name))
            return true;
    return false;
}

u64 group_hash(Labels l, const Str *sorted, u32 n, bool without)
{
    if (without)
        return labels_hash_without(l, sorted, n);
    return n ? labels_hash_for(l, sorted, n) : 0;
}

Labels group_labels(Eval *e, Labels l, const Str *sorted, u32 n, bool without)
{
    Label *at = arena_array(e->arena, Label, MAX(l.len, 1));
    u32 k = 0;
    for (u32 i = 0; at && i < l.len; i++) {
        bool is_listed = listed(sorted, n, l.at[i].name);
        if (without ? !is_listed && !str_eq(l.at[i].name, LABEL_NAME) : is_listed)
            at[k++] = l.at[i];
    }
    return (Labels){at, k};
}

Err fold_group_new(FoldOp *f, Labels l, Group **ret, Why *why)
{
    Eval *e = f->op.e;
    Grid *g = f->op.g;
    Group *groups = arena_grow(e->arena, f->groups, &f->groups_cap, f->groups_len + 1, sizeof *groups);
    if (!groups)
        return eval_memory(why);
    f->groups = groups;
    Group *group = &groups[f->groups_len++];
    *group = (Group){.labels = l};
    bool sums = f->kind == AGGR_SUM || f->kind == AGGR_AVG,
         spread = f->kind == AGGR_STDDEV || f->kind == AGGR_STDVAR,
         counts = f->kind == AGGR_AVG || spread || f->kind == AGGR_COUNT;
    group->v = col_get(e, g);
    group->flags = arena_array(e->arena, u8, g->n);
    group->c = sums ? col_get(e, g) : NULL;
    group->count = counts ? col_get(e, g) : NULL;
    group->mean = spread ? col_get(e, g) : NULL;
    if (!group->v || !group->flags || (sums && !group->c) || (counts && !group->count) ||
        (spread && !group->mean))
        return eval_memory(why);
    fold_start(f->kind, group, g->n);
    TRY(eval_hold(e, g->n, why));
    *ret = group;
    return arena_over(e->arena) ? eval_memory(why) : OK;
}

static Err group_of(FoldOp *f, StepSeries *s, Group **ret, Why *why)
{
    Eval *e = f->op.e;
    u64 key = s->bare ? s->group : group_hash(s->labels, f->grouping, f->grouping_len, f->without);
    u64 *found = u64map_find(f->index, key);
    if (found) {
        *ret = &f->groups[*found];
        return OK;
    }
    TRY(step_labels(e, s, why));
    u64map_put(f->index, key, f->groups_len);
    return fold_group_new(f, group_labels(e, s->labels, f->grouping, f->grouping_len, f->without), ret, why);
}

/* ---- folding histograms ---- */

static Err sum_histogram(FoldOp *f, Group *g, u32 k, const Histogram *h, Str name, Why *why)
{
    Eval *e = f->op.e;
    const Plan *arg = f->op.p->args[0];
    g->is_plain = false;
    g->hist_name = name;
    if (!g->sums && !(g->sums = (void *)hist_col_get(e, f->op.g)))
        return eval_memory(why);
    u8 saw = h->hint == HIST_RESET ? SAW_RESET : h->hint == HIST_NO_RESET ? SAW_NO_RESET : 0;
    if (!(g->flags[k] & SEEN)) {
        g->flags[k] = SEEN | HAS_HISTOGRAM | saw;
        g->sums[k] = arena_new(e->arena, HistSum);
        g->sums[k]->h = *histogram_dup(e->arena, h);
        if (g->count)
            g->count[k] = 1;
        return eval_hold(e, 1 + (h->pos_len + h->neg_len) / 2, why);
    }
    if (g->flags[k] & INCOMPATIBLE)
        return OK;
    if (g->count)
        g->count[k]++;
    g->flags[k] |= HAS_HISTOGRAM;
    if (!g->sums[k])
        return OK; /* floats came first */
    g->flags[k] |= saw;
    u32 flags;
    if (f->kind == AGGR_AVG) {
        bool is_running = (g->flags[k] & RUNNING_HISTOGRAM_MEAN) != 0;
        flags = histogram_mean_add(e->arena, g->sums[k], &is_running, h, g->count[k]);
        if (is_running)
            g->flags[k] |= RUNNING_HISTOGRAM_MEAN;
    } else {
        flags = histogram_sum_add(e->arena, g->sums[k], h);
    }
    if (flags & HIST_INCOMPATIBLE) {
        note(e, NOTE_MIXED_EXPONENTIAL_CUSTOM, arg, name);
        g->flags[k] |= INCOMPATIBLE;
    }
    if (flags & HIST_BOUNDS_RECONCILED)
        note_words(e, NOTE_BOUNDS_RECONCILED, arg, "aggregation");
    return OK;
}

Err fold_histogram(FoldOp *f, Group *g, u32 k, const Histogram *h, Str name, Why *why)
{
    static const char *const words[] = {
        [AGGR_MIN] = "min", [AGGR_MAX] = "max", [AGGR_STDDEV] = "stddev", [AGGR_STDVAR] = "stdvar"};
    if (f->kind == AGGR_SUM || f->kind == AGGR_AVG)
        return sum_histogram(f, g, k, h, name, why);
    if (f->kind == AGGR_COUNT || f->kind == AGGR_GROUP)
        fold_float(f->kind, g, k, 0);
    else
        note_words(f->op.e, NOTE_IGNORED_IN_AGGREGATION, f->op.p->args[0], words[f->kind]);
    return OK;
}

/* ---- one series ---- */

static Err fold_series(FoldOp *f, StepSeries *s, Why *why)
{
    Group *g = NULL;
    u32 n = f->op.g->n;
    TRY(group_of(f, s, &g, why));
    g->drop_name |= s->drop_name;
    fold_floats(f->kind, g, s->v, n);
    if (!s->h)
        return OK;
    TRY(step_labels(f->op.e, s, why));
    Str name = labels_get(s->labels, LABEL_NAME);
    for (u32 k = 0; k < n; k++)
        if (s->h[k])
            TRY(fold_histogram(f, g, k, s->h[k], name, why));
    return OK;
}

Err fold_all(FoldOp *f, Why *why)
{
    Eval *e = f->op.e;
    /* What the child makes lives until its batch is folded. */
    Arena *hists = e->hists, scratch;
    TRY(op_build(e, f->op.p->args[0], f->op.g, &f->child, why));
    arena_init(&scratch, e->arena->account, e->arena->limit);
    e->hists = &scratch;
    Batch *b = arena_new(e->arena, Batch);
    Err err = OK;
    for (;;) {
        if ((err = eval_check(e, why)) != OK || (err = f->child->next(f->child, b, why)) != OK || b->n == 0)
            break;
        for (u32 i = 0; i < b->n && err == OK; i++)
            err = fold_series(f, &b->at[i], why);
        batch_put(e, f->op.g, b);
        if (err != OK)
            break;
        if (arena_over(&scratch)) {
            err = eval_memory(why);
            break;
        }
        arena_reset(&scratch);
    }
    e->hists = hists;
    arena_done(&scratch);
    return err;
}

/* ---- results ---- */

static Err finish_sum(FoldOp *f, Group *g, u32 k, const Histogram ***ret_h, Why *why)
{
    Eval *e = f->op.e;
    u8 flags = g->flags[k];
    if ((flags & HAS_FLOAT) && (flags & HAS_HISTOGRAM)) {
        note(e, NOTE_MIXED_AGGREGATION, f->op.p->args[0], (Str){0});
        g->v[k] = ABSENT;
        return OK;
    }
    if (flags & INCOMPATIBLE) {
        g->v[k] = ABSENT;
        return OK;
    }
    if (!(flags & HAS_HISTOGRAM)) {
        if (f->kind == AGGR_SUM || (flags & RUNNING_MEAN))
            g->v[k] += g->c[k];
        else
            g->v[k] = g->v[k] / g->count[k] + g->c[k] / g->count[k];
        return OK;
    }
    HistSum *s = g->sums[k];
    if (f->kind == AGGR_AVG)
        histogram_mean_end(e->arena, s, (flags & RUNNING_HISTOGRAM_MEAN) != 0, g->count[k]);
    else
        histogram_sum_end(e->arena, s);
    histogram_compact(e->arena, &s->h);
    if ((flags & SAW_RESET) && (flags & SAW_NO_RESET))
        note_words(e, NOTE_RESET_COLLISION, f->op.p->args[0], "aggregation");
    if (!*ret_h && !(*ret_h = hist_col_get(e, f->op.g)))
        return eval_memory(why);
    (*ret_h)[k] = &s->h;
    g->v[k] = ABSENT;
    return OK;
}

static Err finish_group(FoldOp *f, Group *g, StepSeries *out, Why *why)
{
    Grid *grid = f->op.g;
    for (u32 k = 0; k < grid->n; k++) {
        if (!(g->flags[k] & SEEN)) {
            g->v[k] = ABSENT;
            continue;
        }
        switch (f->kind) {
        case AGGR_SUM:
        case AGGR_AVG:
            TRY(finish_sum(f, g, k, &out->h, why));
            break;
        case AGGR_COUNT:
            g->v[k] = g->count[k];
            break;
        case AGGR_GROUP:
            g->v[k] = 1;
            break;
        case AGGR_STDVAR:
            g->v[k] /= g->count[k];
            break;
        case AGGR_STDDEV:
            g->v[k] = sqrt(g->v[k] / g->count[k]);
            break;
        default:
            break;
        }
    }
    out->v = g->v;
    out->labels = g->labels;
    out->drop_name = g->drop_name;
    col_put(f->op.e, grid, g->c);
    col_put(f->op.e, grid, g->count);
    col_put(f->op.e, grid, g->mean);
    return OK;
}

static Err fold_next(Op *op, Batch *b, Why *why)
{
    FoldOp *f = (FoldOp *)op;
    b->n = 0;
    if (!f->list) {
        SeriesList l = {0};
        bool is_done = false;
        TRY(fold_slices(f, &is_done, why));
        if (!is_done)
            TRY(fold_all(f, why));
        for (u32 i = 0; i < f->groups_len; i++) {
            StepSeries out = {0};
            TRY(finish_group(f, &f->groups[i], &out, why));
            TRY(list_push(op->e, &l, out, why));
        }
        eval_release(op->e, (u64)f->groups_len * op->g->n);
        f->list = op_from_list(op->e, op->g, op->p, &l);
    }
    return f->list->next(f->list, b, why);
}

Err op_aggr(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    AggrOp kind = p->node->u.aggr.op;
    if (kind >= AGGR_TOPK)
        return op_aggr_k(e, p, g, ret, why);
    FoldOp *f = arena_new(e->arena, FoldOp);
    f->kind = kind;
    f->index = eval_map(e);
    f->without = p->node->u.aggr.without;
    f->grouping =
        sorted_names(e, p->node->u.aggr.grouping, p->node->u.aggr.grouping_len, NULL, &f->grouping_len);
    if (!f->grouping)
        return eval_memory(why);
    *ret = op_init(&f->op, e, p, g, fold_next);
    return OK;
}
