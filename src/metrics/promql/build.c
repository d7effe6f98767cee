/* Plan -> operators, and the evaluation of scalars. */
#include "metrics/promql/engine.h"

/* ---- names ---- */

/* Can dropping names from this make two series equal? Not where all have the same name, or none. */
static bool name_is_fixed(const Plan *p)
{
    switch (p->kind) {
    case NODE_SELECTOR:
    case NODE_MATRIX:
        return p->sel->name_is_fixed;
    case NODE_SUBQUERY:
        return name_is_fixed(p->args[0]);
    case NODE_AGGR:
        switch (p->node->u.aggr.op) {
        case AGGR_TOPK:
        case AGGR_BOTTOMK:
        case AGGR_LIMITK:
        case AGGR_LIMIT_RATIO:
            return name_is_fixed(p->args[0]);
        default:
            if (p->node->u.aggr.without)
                return true;
            for (u32 i = 0; i < p->node->u.aggr.grouping_len; i++)
                if (str_eq(p->node->u.aggr.grouping[i], LABEL_NAME))
                    return name_is_fixed(p->args[0]);
            return true;
        }
    case NODE_BINARY:
        switch (p->node->u.bin.op) {
        case OP_OR:
            return false;
        case OP_AND:
        case OP_UNLESS:
            return name_is_fixed(p->args[0]);
        default:
            return (p->args[0]->type == PROM_SCALAR || name_is_fixed(p->args[0])) &&
                   (p->args[1]->type == PROM_SCALAR || name_is_fixed(p->args[1]));
        }
    case NODE_CALL:
        if (p->fn == FN_label_replace || p->fn == FN_label_join)
            return false;
        for (u32 i = 0; i < p->args_len; i++)
            if ((p->args[i]->type == PROM_VECTOR || p->args[i]->type == PROM_MATRIX) &&
                !name_is_fixed(p->args[i]))
                return false;
        return true;
    default:
        return p->args_len == 0 || name_is_fixed(p->args[0]);
    }
}

typedef struct MergeOp {
    Op op;
    Op *child, *list;
} MergeOp;

static Err merge_next(Op *op, Batch *b, Why *why)
{
    MergeOp *m = (MergeOp *)op;
    if (!m->list) {
        SeriesList l = {0};
        TRY(op_drain(m->child, &l, why));
        TRY(list_merge(op->e, op->g, &l, why));
        m->list = op_from_list(op->e, op->g, op->p, &l);
    }
    return m->list->next(m->list, b, why);
}

Err op_merge_names(Eval *e, const Plan *arg, Op **op, Why *why)
{
    if (e->delayed_names || name_is_fixed(arg))
        return OK;
    MergeOp *m = arena_new(e->arena, MergeOp);
    m->child = *op;
    *op = op_init(&m->op, e, (*op)->p, (*op)->g, merge_next);
    return OK;
}

/* ---- what does not depend on the step ---- */

typedef struct RepeatOp {
    Op op;
    Op *child;
    Batch *batch;
} RepeatOp;

static Err repeat_next(Op *op, Batch *b, Why *why)
{
    RepeatOp *r = (RepeatOp *)op;
    Eval *e = op->e;
    Grid *g = op->g;
    b->n = 0;
    TRY(r->child->next(r->child, r->batch, why));
    for (u32 i = 0; i < r->batch->n; i++) {
        StepSeries *from = &r->batch->at[i], *to = &b->at[b->n++];
        *to = *from;
        to->v = col_get(e, g);
        if (!to->v || (from->h && !(to->h = hist_col_get(e, g))))
            return eval_memory(why);
        for (u32 k = 0; k < g->n; k++)
            to->v[k] = from->v[0];
        for (u32 k = 0; from->h && k < g->n; k++)
            to->h[k] = from->h[0];
    }
    batch_put(e, r->child->g, r->batch);
    return OK;
}

static Err build_repeat(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    RepeatOp *r = arena_new(e->arena, RepeatOp);
    r->batch = arena_new(e->arena, Batch);
    TRY(op_build(e, p, grid_single(e, g), &r->child, why));
    *ret = op_init(&r->op, e, p, g, repeat_next);
    return OK;
}

/* ---- minus ---- */

typedef struct UnaryOp {
    Op op;
    Op *child;
} UnaryOp;

static Err negate_next(Op *op, Batch *b, Why *why)
{
    UnaryOp *u = (UnaryOp *)op;
    Eval *e = op->e;
    TRY(u->child->next(u->child, b, why));
    for (u32 i = 0; i < b->n; i++) {
        StepSeries *s = &b->at[i];
        name_drop(e, s);
        for (u32 k = 0; k < op->g->n; k++) {
            if (!is_absent(s->v[k]))
                s->v[k] = -s->v[k];
            if (!s->h || !s->h[k])
                continue;
            Histogram *h = histogram_dup(e->hists, s->h[k]);
            histogram_mul(e->hists, h, -1);
            s->h[k] = h;
        }
    }
    return OK;
}

static Err build_unary(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    if (p->node->u.unary.op != OP_SUB)
        return op_build(e, p->args[0], g, ret, why);
    UnaryOp *u = arena_new(e->arena, UnaryOp);
    TRY(op_build(e, p->args[0], g, &u->child, why));
    *ret = op_init(&u->op, e, p, g, negate_next);
    return op_merge_names(e, p->args[0], ret, why);
}

/* ---- vectors ---- */

static Err build_call(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    const Plan *first = p->args_len ? p->args[0] : NULL;
    if (first && (p->fn == FN_timestamp || p->fn == FN_start_timestamp) && first->kind == NODE_SELECTOR) {
        bool start = p->fn == FN_start_timestamp;
        if (start && !(e->features & PROMQL_USE_START_TIMESTAMPS))
            return op_empty(e, p, g, ret);
        *ret = op_select_times(e, first, g, start ? SELECT_START_TIMES : SELECT_TIMES);
        return op_merge_names(e, first, ret, why);
    }
    if (map_knows(p->fn))
        return op_map(e, p, g, ret, why);
    for (u32 i = 0; i < p->args_len; i++)
        if (p->args[i] && p->args[i]->type == PROM_MATRIX && p->fn != FN_absent_over_time)
            return op_range(e, p, g, ret, why);
    return op_misc(e, p, g, ret, why);
}

Err op_build(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    if (arena_over(e->arena))
        return eval_memory(why);
    if (p->invariant && g->n > 1)
        return build_repeat(e, p, g, ret, why);
    switch (p->kind) {
    case NODE_SELECTOR:
        *ret = op_select(e, p, g);
        return OK;
    case NODE_CALL:
        return build_call(e, p, g, ret, why);
    case NODE_AGGR:
        return op_aggr(e, p, g, ret, why);
    case NODE_BINARY:
        return op_binary(e, p, g, ret, why);
    case NODE_UNARY:
        return build_unary(e, p, g, ret, why);
    default:
        return why_set(why, E_INTERNAL, "not an instant vector: node kind %d", p->kind);
    }
}

static Err empty_next(Op *op, Batch *b, Why *why)
{
    b->n = 0;
    return OK;
}

Err op_empty(Eval *e, const Plan *p, Grid *g, Op **ret)
{
    *ret = op_init(arena_new(e->arena, Op), e, p, g, empty_next);
    return OK;
}

/* ---- scalars ---- */

/* scalar(v): the one float there is at a step, or NaN. */
static Err scalar_of_vector(Eval *e, const Plan *p, Grid *g, f64 *col, Why *why)
{
    Op *op;
    u8 *seen = arena_array(e->arena, u8, g->n);
    Batch *b = arena_new(e->arena, Batch);
    if (!seen)
        return eval_memory(why);
    memset(seen, 0, g->n);
    TRY(op_build(e, p->args[0], g, &op, why));
    for (;;) {
        TRY(eval_check(e, why));
        TRY(op->next(op, b, why));
        if (b->n == 0)
            break;
        for (u32 i = 0; i < b->n; i++) {
            for (u32 k = 0; k < g->n; k++) {
                if (is_absent(b->at[i].v[k]))
                    continue;
                col[k] = b->at[i].v[k];
                seen[k] += seen[k] < 2;
            }
        }
        batch_put(e, g, b);
    }
    for (u32 k = 0; k < g->n; k++)
        if (seen[k] != 1)
            col[k] = NAN;
    return OK;
}

static Err scalar_binary(Eval *e, const Plan *p, Grid *g, f64 *col, Why *why)
{
    f64 *a, *b;
    TRY(scalar_eval(e, p->args[0], g, &a, why));
    TRY(scalar_eval(e, p->args[1], g, &b, why));
    for (u32 k = 0; k < g->n; k++)
        col[k] = scalar_binop(p->node->u.bin.op, a[k], b[k]);
    col_put(e, g, a);
    col_put(e, g, b);
    return OK;
}

static Err scalar_extreme(Eval *e, const Plan *p, Grid *g, f64 *col, Why *why)
{
    f64 *a, *b;
    bool is_max = p->fn == FN_max_of;
    TRY(scalar_eval(e, p->args[0], g, &a, why));
    TRY(scalar_eval(e, p->args[1], g, &b, why));
    for (u32 k = 0; k < g->n; k++)
        col[k] = is_max ? larger_of(a[k], b[k]) : smaller_of(a[k], b[k]);
    col_put(e, g, a);
    col_put(e, g, b);
    return OK;
}

static Err scalar_call(Eval *e, const Plan *p, Grid *g, f64 *col, Why *why)
{
    switch (p->fn) {
    case FN_time:
        for (u32 k = 0; k < g->n; k++)
            col[k] = (f64)grid_at(g, k) / 1000;
        return OK;
    case FN_pi:
        for (u32 k = 0; k < g->n; k++)
            col[k] = M_PI;
        return OK;
    case FN_scalar:
        return scalar_of_vector(e, p, g, col, why);
    case FN_max_of:
    case FN_min_of:
        return scalar_extreme(e, p, g, col, why);
    default:
        return why_set(why, E_UNSUPPORTED, "function %s is not implemented", p->fn_name);
    }
}

static Err scalar_repeat(Eval *e, const Plan *p, Grid *g, f64 *col, Why *why)
{
    f64 *one;
    Grid *single = grid_single(e, g);
    TRY(scalar_eval(e, p, single, &one, why));
    for (u32 k = 0; k < g->n; k++)
        col[k] = one[0];
    col_put(e, single, one);
    return OK;
}

Err scalar_eval(Eval *e, const Plan *p, Grid *g, f64 **ret_col, Why *why)
{
    f64 *col = col_get(e, g);
    if (!col)
        return eval_memory(why);
    *ret_col = col;
    if (p->invariant && g->n > 1 && p->kind != NODE_NUMBER)
        return scalar_repeat(e, p, g, col, why);
    switch (p->kind) {
    case NODE_NUMBER:
        for (u32 k = 0; k < g->n; k++)
            col[k] = p->number;
        return OK;
    case NODE_BINARY:
        return scalar_binary(e, p, g, col, why);
    case NODE_UNARY: {
        f64 *inner;
        TRY(scalar_eval(e, p->args[0], g, &inner, why));
        for (u32 k = 0; k < g->n; k++)
            col[k] = p->node->u.unary.op == OP_SUB ? -inner[k] : inner[k];
        col_put(e, g, inner);
        return OK;
    }
    case NODE_CALL:
        return scalar_call(e, p, g, col, why);
    default:
        return why_set(why, E_INTERNAL, "not a scalar: node kind %d", p->kind);
    }
}
