/* Tree -> plan: everything that is known before the first sample is read. */
#include "metrics/promql/engine.h"

typedef struct Planner {
    Eval *e;
    i64 start, end, step; /* of the query; step 0 for instant queries */
    bool wants_stats, wants_buckets;
    Str func; /* innermost function or aggregation */
} Planner;

static Err plan_node(Planner *pl, const Node *n, Plan **ret, Why *why);

/* ---- duration expressions ---- */

static Err duration_value(const Planner *pl, const Node *n, f64 *ret, Why *why)
{
    if (n->kind == NODE_NUMBER) {
        *ret = n->u.number;
        return OK;
    }
    f64 a = 0, b = 0;
    const char *fn = n->u.dur.fn;
    if (n->u.dur.lhs)
        TRY(duration_value(pl, n->u.dur.lhs, &a, why));
    if (n->u.dur.rhs)
        TRY(duration_value(pl, n->u.dur.rhs, &b, why));
    if (fn && !strcmp(fn, "step")) {
        *ret = (f64)pl->step / 1000;
        return OK;
    }
    if (fn && !strcmp(fn, "range")) {
        *ret = (f64)(pl->end - pl->start) / 1000;
        return OK;
    }
    if (fn) {
        bool is_min = !strncmp(fn, "min", 3);
        *ret = is_min ? smaller_of(a, b) : larger_of(a, b);
        return OK;
    }
    switch (n->u.dur.op) {
    case OP_NONE:
        *ret = n->u.dur.lhs ? a : n->u.dur.rhs ? b : n->u.dur.value_s;
        return OK;
    case OP_ADD:
        *ret = n->u.dur.lhs ? a + b : b;
        return OK;
    case OP_SUB:
        *ret = n->u.dur.lhs ? a - b : -b;
        return OK;
    case OP_MUL:
        *ret = a * b;
        return OK;
    case OP_DIV:
    case OP_MOD:
        if (b == 0)
            return why_set(why, E_INVALID, "%u:%u: %s by zero", n->from, n->to,
                           n->u.dur.op == OP_DIV ? "division" : "modulo");
        *ret = n->u.dur.op == OP_DIV ? a / b : fmod(a, b);
        return OK;
    case OP_POW:
        *ret = pow(a, b);
        return OK;
    default:
        return why_set(why, E_INVALID, "%u:%u: unexpected operator in a duration expression", n->from, n->to);
    }
}

/* Far from the ends of the number line, so that sums of a few cannot overflow. */
static i64 tame(i64 ms)
{
    return MAX(MIN(ms, INT64_MAX / 32), -(INT64_MAX / 32));
}

/* The expression if there is one, else the plain value. */
static Err duration_ms(const Planner *pl, const Node *expr, i64 plain, bool may_be_negative, i64 *ret,
                       Why *why)
{
    if (!expr) {
        *ret = tame(plain);
        return OK;
    }
    f64 s;
    TRY(duration_value(pl, expr, &s, why));
    if (!isfinite(s))
        return why_set(why, E_INVALID, "%u:%u: duration is NaN or infinite", expr->from, expr->to);
    if (s <= 0 && !may_be_negative)
        return why_set(why, E_INVALID, "%u:%u: duration must be greater than 0", expr->from, expr->to);
    if (fabs(s) > 0x1p63 / 1e9)
        return why_set(why, E_INVALID, "%u:%u: duration is out of range", expr->from, expr->to);
    *ret = tame((i64)fmax(fmin(s * 1000, 0x1p60), -0x1p60));
    return OK;
}

/* ---- nodes ---- */

static Plan *plan_new(Planner *pl, const Node *n)
{
    Plan *p = arena_new(pl->e->arena, Plan);
    p->node = n;
    p->kind = n->kind;
    p->type = n->type;
    return p;
}

static Err plan_args(Planner *pl, Plan *p, Node *const *nodes, u32 n, Why *why)
{
    p->args = arena_array(pl->e->arena, Plan *, MAX(n, 1));
    if (!p->args)
        return eval_memory(why);
    p->args_len = n;
    for (u32 i = 0; i < n; i++)
        TRY(plan_node(pl, nodes[i], &p->args[i], why));
    return OK;
}

static void resolve_at(const Planner *pl, AtKind kind, i64 ms, bool *ret_has, i64 *ret)
{
    *ret_has = kind != AT_NONE;
    *ret = kind == AT_START ? pl->start : kind == AT_END ? pl->end : tame(ms);
}

static bool fixes_name(Matchers m)
{
    for (u32 i = 0; i < m.len; i++)
        if (m.at[i].op == MATCH_EQ && str_eq(m.at[i].name, LABEL_NAME))
            return true;
    return false;
}

static Err plan_selector(Planner *pl, const Node *n, Plan *p, Why *why)
{
    Selector *s = arena_new(pl->e->arena, Selector);
    s->matchers = n->u.sel.matchers;
    TRY(duration_ms(pl, n->u.sel.offset_expr, n->u.sel.offset_ms, true, &s->offset, why));
    resolve_at(pl, n->u.sel.at, n->u.sel.at_ms, &s->has_at, &s->at);
    s->anchored = n->u.sel.anchored;
    s->smoothed = n->u.sel.smoothed;
    s->stats_only = pl->wants_stats && !pl->wants_buckets;
    s->name_is_fixed = fixes_name(s->matchers);
    s->func = pl->func;
    p->sel = s;
    p->invariant = s->has_at;
    return OK;
}

/* Functions whose result depends on the time of evaluation even where the arguments do not. */
static bool depends_on_time(FuncId fn)
{
    switch (fn) {
    case FN_day_of_month:
    case FN_day_of_week:
    case FN_day_of_year:
    case FN_days_in_month:
    case FN_hour:
    case FN_minute:
    case FN_month:
    case FN_year:
    case FN_predict_linear:
    case FN_time:
    case FN_timestamp:
        return true;
    default:
        return false;
    }
}

static bool fold_context_function(const Planner *pl, FuncId fn, f64 *ret)
{
    switch (fn) {
    case FN_start:
        *ret = (f64)pl->start / 1000;
        return true;
    case FN_end:
        *ret = (f64)pl->end / 1000;
        return true;
    case FN_range:
        *ret = (f64)(pl->end - pl->start) / 1000;
        return true;
    case FN_step:
        *ret = pl->start == pl->end ? 0 : (f64)pl->step / 1000;
        return true;
    default:
        return false;
    }
}

static Err plan_call(Planner *pl, const Node *n, Plan *p, Why *why)
{
    p->fn = n->u.call.fn->id;
    p->fn_name = n->u.call.fn->name;
    if (fold_context_function(pl, p->fn, &p->number)) {
        p->kind = NODE_NUMBER;
        p->invariant = true;
        return OK;
    }
    Planner saved = *pl;
    pl->func = str_c(p->fn_name);
    pl->wants_stats |= p->fn == FN_histogram_count || p->fn == FN_histogram_sum || p->fn == FN_histogram_avg;
    pl->wants_buckets |=
        p->fn == FN_histogram_quantile || p->fn == FN_histogram_quantiles || p->fn == FN_histogram_fraction;
    TRY(plan_args(pl, p, n->u.call.args, n->u.call.args_len, why));
    *pl = saved;
    bool args_invariant = true;
    for (u32 i = 0; i < p->args_len; i++)
        args_invariant &= p->args[i]->invariant;
    p->invariant = args_invariant && !depends_on_time(p->fn);
    /* timestamp(metric @ 1) is the sample's own time. */
    if (p->fn == FN_timestamp && args_invariant && p->args[0]->kind == NODE_SELECTOR)
        p->invariant = true;
    return OK;
}

static bool reads_nothing(const Plan *p)
{
    if (p->sel)
        return false;
    for (u32 i = 0; i < p->args_len; i++)
        if (!reads_nothing(p->args[i]))
            return false;
    return true;
}

/* Do all arguments but `except` come without reading samples? */
static bool others_read_nothing(const Plan *p, const Plan *except)
{
    for (u32 i = 0; i < p->args_len; i++)
        if (p->args[i] != except && !reads_nothing(p->args[i]))
            return false;
    return true;
}

static const Plan *only_series_arg(const Plan *p)
{
    for (u32 i = 0; i < p->args_len; i++)
        if (p->args[i]->type == PROM_VECTOR || p->args[i]->type == PROM_MATRIX)
            return p->args[i];
    return NULL;
}

/* The selector from which to p every series goes its own way; NULL where series meet. Where names go, they must be the same
 * for all, or two series could become one. */
static const Plan *chain_of(const Plan *p)
{
    const Plan *arg = only_series_arg(p), *end;
    switch (p->kind) {
    case NODE_SELECTOR:
    case NODE_MATRIX:
        return p;
    case NODE_SUBQUERY:
        return chain_of(p->args[0]);
    case NODE_UNARY:
        end = chain_of(p->args[0]);
        break;
    case NODE_BINARY:
        if (p->args[0]->type != PROM_SCALAR && p->args[1]->type != PROM_SCALAR)
            return NULL;
        end = arg ? chain_of(arg) : NULL;
        break;
    case NODE_CALL:
        if (!arg || p->fn == FN_absent_over_time || !(map_knows(p->fn) || range_fn(p->fn)))
            return NULL;
        end = chain_of(arg);
        break;
    default:
        return NULL;
    }
    return end && end->sel->name_is_fixed && others_read_nothing(p, arg) ? end : NULL;
}

static bool is_metadata_name(Str name)
{
    return str_eq(name, LABEL_NAME) || str_eq(name, S("__type__")) || str_eq(name, S("__unit__"));
}

/* Nobody below looks at labels but the aggregation itself: then storage need not come up with them. */
static Err leave_labels(Planner *pl, const Node *n, const Plan *chain, Why *why)
{
    Grouping *g = arena_new(pl->e->arena, Grouping);
    g->without = n->u.aggr.without;
    g->names = sorted_names(pl->e, n->u.aggr.grouping, n->u.aggr.grouping_len, NULL, &g->len);
    if (!g->names)
        return eval_memory(why);
    for (u32 i = 0; i < g->len; i++)
        if (is_metadata_name(g->names[i]))
            return OK;
    if (!chain->sel->anchored && !chain->sel->smoothed)
        chain->sel->grouping = g;
    return OK;
}

static Err plan_aggr(Planner *pl, const Node *n, Plan *p, Why *why)
{
    static const char *const names[] = {"sum",          "avg",      "count",  "min",        "max",
                                        "group",        "stddev",   "stdvar", "topk",       "bottomk",
                                        "count_values", "quantile", "limitk", "limit_ratio"};
    Planner saved = *pl;
    pl->func = str_c(names[n->u.aggr.op]);
    Node *nodes[2] = {n->u.aggr.expr, n->u.aggr.param};
    TRY(plan_args(pl, p, nodes, n->u.aggr.param ? 2 : 1, why));
    *pl = saved;
    p->invariant = p->args[0]->invariant && (p->args_len < 2 || p->args[1]->invariant);
    if (n->u.aggr.op >= AGGR_TOPK)
        return OK;
    p->chain = chain_of(p->args[0]);
    return p->chain ? leave_labels(pl, n, p->chain, why) : OK;
}

static Err plan_binary(Planner *pl, const Node *n, Plan *p, Why *why)
{
    Planner saved = *pl;
    pl->func = (Str){0};
    pl->wants_buckets |= n->u.bin.op == OP_TRIM_UPPER || n->u.bin.op == OP_TRIM_LOWER;
    Node *nodes[2] = {n->u.bin.lhs, n->u.bin.rhs};
    TRY(plan_args(pl, p, nodes, 2, why));
    *pl = saved;
    p->invariant = p->args[0]->invariant && p->args[1]->invariant;
    return OK;
}

static Err plan_subquery(Planner *pl, const Node *n, Plan *p, Why *why)
{
    Planner saved = *pl;
    pl->wants_buckets = true; /* resets have to be seen */
    TRY(plan_args(pl, p, &n->u.sub.expr, 1, why));
    *pl = saved;
    TRY(duration_ms(pl, n->u.sub.offset_expr, n->u.sub.offset_ms, true, &p->offset, why));
    TRY(duration_ms(pl, n->u.sub.step_expr, n->u.sub.step_ms, false, &p->step, why));
    TRY(duration_ms(pl, n->u.sub.range_expr, n->u.sub.range_ms, false, &p->range, why));
    resolve_at(pl, n->u.sub.at, n->u.sub.at_ms, &p->has_at, &p->at);
    p->invariant = p->has_at;
    return OK;
}

static Err plan_node(Planner *pl, const Node *n, Plan **ret, Why *why)
{
    while (n->kind == NODE_PAREN || n->kind == NODE_STEP_INVARIANT)
        n = n->kind == NODE_PAREN ? n->u.paren : n->u.invariant;
    if (arena_over(pl->e->arena))
        return eval_memory(why);
    Plan *p = plan_new(pl, n);
    *ret = p;
    switch (n->kind) {
    case NODE_NUMBER:
        p->number = n->u.number;
        p->invariant = true;
        return OK;
    case NODE_STRING:
        p->string = n->u.string;
        p->invariant = true;
        return OK;
    case NODE_SELECTOR:
        return plan_selector(pl, n, p, why);
    case NODE_MATRIX:
        TRY(plan_selector(pl, n->u.matrix.sel, p, why));
        return duration_ms(pl, n->u.matrix.range_expr, n->u.matrix.range_ms, false, &p->range, why);
    case NODE_SUBQUERY:
        return plan_subquery(pl, n, p, why);
    case NODE_CALL:
        return plan_call(pl, n, p, why);
    case NODE_AGGR:
        return plan_aggr(pl, n, p, why);
    case NODE_BINARY:
        return plan_binary(pl, n, p, why);
    case NODE_UNARY:
        TRY(plan_args(pl, p, &n->u.unary.expr, 1, why));
        p->invariant = p->args[0]->invariant;
        return OK;
    default:
        return why_set(why, E_INVALID, "%u:%u: unexpected node in the expression", n->from, n->to);
    }
}

/* ---- selectors that read the same ---- */

#define SELECTORS_MAX 256 /* beyond, nobody looks for equals */

typedef struct Selectors {
    const Plan *at[SELECTORS_MAX];
    u32 n;
} Selectors;

static void collect(const Plan *p, Selectors *s)
{
    if (p->sel && s->n < SELECTORS_MAX)
        s->at[s->n++] = p;
    for (u32 i = 0; i < p->args_len; i++)
        if (!(p->kind == NODE_CALL && p->fn == FN_info && i == 1)) /* only its matchers count */
            collect(p->args[i], s);
}

static bool same_matchers(Matchers a, Matchers b)
{
    if (a.len != b.len)
        return false;
    for (u32 i = 0; i < a.len; i++)
        if (a.at[i].op != b.at[i].op || !str_eq(a.at[i].name, b.at[i].name) ||
            !str_eq(a.at[i].value, b.at[i].value))
            return false;
    return true;
}

static bool reads_same(const Plan *a, const Plan *b)
{
    const Selector *x = a->sel, *y = b->sel;
    return a->kind == b->kind && a->range == b->range && x->offset == y->offset && x->has_at == y->has_at &&
           (!x->has_at || x->at == y->at) && x->stats_only == y->stats_only && x->anchored == y->anchored &&
           x->smoothed == y->smoothed && same_matchers(x->matchers, y->matchers);
}

static void find_shared(Eval *e, const Plan *p)
{
    Selectors *s = arena_new(e->arena, Selectors);
    collect(p, s);
    for (u32 i = 0; i < s->n; i++) {
        for (u32 k = i + 1; k < s->n && !s->at[i]->sel->shared; k++) {
            if (!reads_same(s->at[i], s->at[k]))
                continue;
            SharedRead *shared = shared_read_new(e);
            for (u32 m = i; m < s->n; m++)
                if (reads_same(s->at[i], s->at[m]))
                    s->at[m]->sel->shared = shared;
        }
    }
}

Err plan_make(Eval *e, const Node *tree, Plan **ret, Why *why)
{
    Planner pl = {
        .e = e,
        .start = e->q->start_ms,
        .end = e->q->end_ms,
        .step = e->is_range ? e->q->step_ms : 0,
    };
    TRY(plan_node(&pl, tree, ret, why));
    find_shared(e, *ret);
    return OK;
}
