/* Binary operators: what happens to a pair of values, and vectors with scalars. */
#include "metrics/promql/binary.h"

const char *op_word(TokenOp op)
{
    static const char *const words[] = {"",  "+", "-",  "*",  "/",   "%",  "^",      "atan2", "==", "!=",
                                        "<", ">", "<=", ">=", "and", "or", "unless", "</",    ">/"};
    return words[op];
}

bool op_compares(TokenOp op)
{
    return op >= OP_EQL && op <= OP_GTE;
}
bool op_changes_meaning(TokenOp op)
{
    return op >= OP_ADD && op <= OP_ATAN2;
}

/* ---- elements ---- */

f64 binop_arithmetic(TokenOp op, f64 a, f64 b)
{
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUB:
        return a - b;
    case OP_MUL:
        return a * b;
    case OP_DIV:
        return a / b;
    case OP_MOD:
        return fmod(a, b);
    case OP_POW:
        return pow(a, b);
    case OP_ATAN2:
        return atan2(a, b);
    default:
        return NAN;
    }
}

bool binop_compare(TokenOp op, f64 a, f64 b)
{
    switch (op) {
    case OP_EQL:
        return a == b;
    case OP_NEQ:
        return a != b;
    case OP_LSS:
        return a < b;
    case OP_GTR:
        return a > b;
    case OP_LTE:
        return a <= b;
    case OP_GTE:
        return a >= b;
    default:
        return false;
    }
}

f64 scalar_binop(TokenOp op, f64 a, f64 b)
{
    return op_compares(op) ? binop_compare(op, a, b) : binop_arithmetic(op, a, b);
}

static bool note_wrong(Eval *e, const Plan *p, Value a, Value b)
{
    note_types(e, p, a.h ? "histogram" : "float", op_word(p->node->u.bin.op), b.h ? "histogram" : "float");
    return false;
}

static bool add_histograms(Eval *e, const Plan *p, const Histogram *a, const Histogram *b, bool is_add,
                           Value *ret)
{
    Histogram *h = histogram_dup(e->hists, a);
    u32 flags = is_add ? histogram_add(e->hists, h, b) : histogram_sub(e->hists, h, b);
    const char *word = is_add ? "addition" : "subtraction";
    if (flags & HIST_INCOMPATIBLE) {
        note_words(e, NOTE_INCOMPATIBLE_LAYOUT, p, op_word(p->node->u.bin.op));
        return false;
    }
    if (flags & HIST_RESET_COLLISION) {
        note_words(e, NOTE_RESET_COLLISION, p, word);
        return false;
    }
    if (flags & HIST_BOUNDS_RECONCILED)
        note_words(e, NOTE_BOUNDS_RECONCILED, p, word);
    if (!is_add)
        h->hint = HIST_GAUGE;
    histogram_compact(e->hists, h);
    ret->h = h;
    return true;
}

/* False: no result, remarked on. ret_keep: whether a comparison holds. */
static bool with_histograms(Eval *e, const Plan *p, Value a, Value b, Value *ret, bool *ret_keep)
{
    TokenOp op = p->node->u.bin.op;
    *ret_keep = true;
    if (a.h && b.h) {
        if (op == OP_ADD || op == OP_SUB)
            return add_histograms(e, p, a.h, b.h, op == OP_ADD, ret);
        if (op != OP_EQL && op != OP_NEQ)
            return note_wrong(e, p, a, b);
        *ret = a;
        *ret_keep = histogram_same(a.h, b.h) == (op == OP_EQL);
        return true;
    }
    bool scales = op == OP_MUL || (a.h && op == OP_DIV),
         trims = a.h && (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER);
    if (!scales && !trims)
        return note_wrong(e, p, a, b);
    Histogram *h = histogram_dup(e->hists, a.h ? a.h : b.h);
    f64 by = a.h ? b.v : a.v;
    if (trims)
        histogram_trim(e->hists, h, by, op == OP_TRIM_UPPER);
    else if (op == OP_MUL)
        histogram_mul(e->hists, h, by);
    else
        histogram_div(e->hists, h, by);
    if (scales)
        histogram_compact(e->hists, h);
    *ret = (Value){0, h};
    return true;
}

bool binop_element(Eval *e, const Plan *p, Value a, Value b, Value *ret, bool *ret_keep)
{
    TokenOp op = p->node->u.bin.op;
    if (a.h || b.h)
        return with_histograms(e, p, a, b, ret, ret_keep);
    ret->h = NULL;
    if (op_compares(op)) {
        *ret_keep = binop_compare(op, a.v, b.v);
        ret->v = a.v;
        return true;
    }
    if (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER)
        return note_wrong(e, p, a, b);
    *ret_keep = true;
    ret->v = binop_arithmetic(op, a.v, b.v);
    return true;
}

/* ---- vector and scalar ---- */

typedef struct ScalarOp {
    Op op;
    Op *child;
    f64 *scalar;
    bool swapped; /* the scalar is on the left */
} ScalarOp;

/* The four that matter most, without a branch per operator in the loop. */
#define EACH(expr)                                                                                           \
    for (u32 k = 0; k < n; k++) {                                                                            \
        f64 x = v[k], y = c[k];                                                                              \
        v[k] = is_absent(x) ? x : (expr);                                                                    \
    }

static void scalar_floats(const ScalarOp *s, f64 *v)
{
    u32 n = s->op.g->n;
    const f64 *c = s->scalar;
    const Plan *p = s->op.p;
    TokenOp op = p->node->u.bin.op;
    bool swapped = s->swapped;
    if (op_compares(op)) {
        for (u32 k = 0; k < n; k++) {
            if (is_absent(v[k]))
                continue;
            bool holds = swapped ? binop_compare(op, c[k], v[k]) : binop_compare(op, v[k], c[k]);
            if (p->node->u.bin.return_bool)
                v[k] = holds;
            else if (!holds)
                v[k] = ABSENT;
        }
        return;
    }
    switch (op) {
    case OP_ADD:
        EACH(x + y) return;
    case OP_MUL:
        EACH(x * y) return;
    case OP_SUB:
        if (swapped)
            EACH(y - x)
        else
            EACH(x - y)
        return;
    case OP_DIV:
        if (swapped)
            EACH(y / x)
        else
            EACH(x / y)
        return;
    default:
        if (swapped)
            EACH(binop_arithmetic(op, y, x))
        else
            EACH(binop_arithmetic(op, x, y))
    }
}

static void scalar_mixed(const ScalarOp *s, StepSeries *series)
{
    Eval *e = s->op.e;
    const Plan *p = s->op.p;
    bool is_comparison = op_compares(p->node->u.bin.op), wants_bool = p->node->u.bin.return_bool;
    for (u32 k = 0; k < s->op.g->n; k++) {
        Value x = {series->v[k], series->h ? series->h[k] : NULL}, c = {s->scalar[k], NULL}, r = {0};
        bool keep = false;
        if (!x.h && is_absent(x.v))
            continue;
        bool ok = s->swapped ? binop_element(e, p, c, x, &r, &keep) : binop_element(e, p, x, c, &r, &keep);
        if (is_comparison && s->swapped)
            r = x;
        if (ok && wants_bool)
            r = (Value){keep, NULL};
        bool has = ok && (keep || wants_bool);
        series->v[k] = has && !r.h ? r.v : ABSENT;
        if (series->h)
            series->h[k] = has ? r.h : NULL;
    }
}

static Err scalar_next(Op *op, Batch *b, Why *why)
{
    ScalarOp *s = (ScalarOp *)op;
    TokenOp token = op->p->node->u.bin.op;
    bool trims = token == OP_TRIM_UPPER || token == OP_TRIM_LOWER;
    TRY(s->child->next(s->child, b, why));
    for (u32 i = 0; i < b->n; i++) {
        if (b->at[i].h || trims)
            scalar_mixed(s, &b->at[i]);
        else
            scalar_floats(s, b->at[i].v);
        if (op_changes_meaning(token) || op->p->node->u.bin.return_bool)
            name_drop(op->e, &b->at[i]);
    }
    return OK;
}

static Err build_scalar(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    ScalarOp *s = arena_new(e->arena, ScalarOp);
    s->swapped = p->args[0]->type == PROM_SCALAR;
    const Plan *vector = p->args[s->swapped ? 1 : 0];
    TRY(scalar_eval(e, p->args[s->swapped ? 0 : 1], g, &s->scalar, why));
    TRY(op_build(e, vector, g, &s->child, why));
    *ret = op_init(&s->op, e, p, g, scalar_next);
    if (op_changes_meaning(p->node->u.bin.op) || p->node->u.bin.return_bool)
        return op_merge_names(e, vector, ret, why);
    return OK;
}

Err op_binary(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    if (p->args[0]->type == PROM_SCALAR || p->args[1]->type == PROM_SCALAR)
        return build_scalar(e, p, g, ret, why);
    TokenOp op = p->node->u.bin.op;
    if (op == OP_AND || op == OP_OR || op == OP_UNLESS)
        return op_set(e, p, g, ret, why);
    return op_join(e, p, g, ret, why);
}
