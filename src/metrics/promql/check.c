/* The types of a tree and what follows from them. */
#include "metrics/promql/parse.h"

#include "metrics/promql/func.h"

#include <assert.h>
#include <stdio.h>

const char *type_word(PromType t)
{
    static const char *const words[] = {"none", "scalar", "vector", "matrix", "string"};
    return words[t];
}

const char *op_text(TokenOp op)
{
    static_assert((int)OP_TRIM_LOWER - (int)OP_ADD == (int)T_TRIM_LOWER - (int)T_ADD,
                  "tokens and operators have one order");
    return op == OP_NONE ? "" : tok_text((Tok)((int)T_ADD + (int)op - (int)OP_ADD));
}

const char *aggr_text(AggrOp op)
{
    static const char *const words[] = {"sum",          "avg",      "count",  "min",        "max",
                                        "group",        "stddev",   "stdvar", "topk",       "bottomk",
                                        "count_values", "quantile", "limitk", "limit_ratio"};
    return words[op];
}

bool op_is_comparison(TokenOp op)
{
    return op >= OP_EQL && op <= OP_GTE;
}

bool op_is_set(TokenOp op)
{
    return op == OP_AND || op == OP_OR || op == OP_UNLESS;
}

bool aggr_has_param(AggrOp op)
{
    return op >= AGGR_TOPK;
}

static bool expect(Parser *p, Node *n, PromType want, const char *context)
{
    if (!check_tree(p, n))
        return false;
    if (n->type != want)
        parse_error(p, n->from, n->to, "expected type %s in %s, got %s", prom_type_name(want), context,
                    prom_type_name(n->type));
    return !p->is_failed;
}

static bool check_aggr(Parser *p, Node *n)
{
    if (!expect(p, n->u.aggr.expr, PROM_VECTOR, "aggregation expression"))
        return false;
    if (!n->u.aggr.param)
        return true;
    return expect(p, n->u.aggr.param, n->u.aggr.op == AGGR_COUNT_VALUES ? PROM_STRING : PROM_SCALAR,
                  "aggregation parameter");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void *operator_error(Parser *p, const Node *n, const char *text)
{
    u32 from = n->u.bin.lhs->to, to = n->u.bin.rhs->from;
    while (from < p->query.len && is_space(p->query.at[from]))
        from++;
    while (to > from && is_space(p->query.at[to - 1]))
        to--;
    return parse_error(p, from, to, "%s", text);
}

/* The first label of on() that stands in group_x() too. */
static const Str *on_and_group(const VectorMatching *m)
{
    for (u32 i = 0; m->on && i < m->labels_len; i++)
        for (u32 k = 0; k < m->include_len; k++)
            if (str_eq(m->labels_written[i], m->include[k]))
                return &m->labels_written[i];
    return NULL;
}

static bool check_matching(Parser *p, Node *n)
{
    VectorMatching *m = n->u.bin.matching;
    TokenOp op = n->u.bin.op;
    bool is_filled = m->has_fill_left || m->has_fill_right;
    if (n->u.bin.lhs->type != PROM_VECTOR || n->u.bin.rhs->type != PROM_VECTOR) {
        if (m->labels_len > 0)
            parse_error(p, n->from, n->to, "vector matching only allowed between instant vectors");
        if (is_filled)
            parse_error(p, n->from, n->to, "filling in missing series only allowed between instant vectors");
        n->u.bin.matching = NULL;
    } else if (op_is_set(op)) {
        if (m->card == CARD_ONE_TO_MANY || m->card == CARD_MANY_TO_ONE)
            parse_error(p, n->from, n->to, "no grouping allowed for \"%s\" operation", op_text(op));
        if (is_filled)
            parse_error(p, n->from, n->to, "filling in missing series not allowed for set operators");
    }
    return !p->is_failed;
}

static bool check_binary(Parser *p, Node *n)
{
    Node *l = n->u.bin.lhs, *r = n->u.bin.rhs;
    VectorMatching *m = n->u.bin.matching;
    TokenOp op = n->u.bin.op;
    if (!check_tree(p, l) || !check_tree(p, r))
        return false;
    if (n->u.bin.return_bool && !op_is_comparison(op))
        operator_error(p, n, "bool modifier can only be used on comparison operators");
    if (op_is_comparison(op) && !n->u.bin.return_bool && l->type == PROM_SCALAR && r->type == PROM_SCALAR)
        operator_error(p, n, "comparisons between scalars must use BOOL modifier");
    if (op_is_set(op) && m->card == CARD_ONE_TO_ONE)
        m->card = CARD_MANY_TO_MANY;
    const Str *both = on_and_group(m);
    if (both) {
        char text[300];
        snprintf(text, sizeof text, "label %s must not occur in ON and GROUP clause at once",
                 parse_quote(p, *both));
        operator_error(p, n, text);
    }
    for (int side = 0; side < 2; side++) {
        const Node *e = side ? r : l;
        if (e->type != PROM_SCALAR && e->type != PROM_VECTOR)
            parse_error(p, e->from, e->to,
                        "binary expression must contain only scalar and instant vector types");
    }
    if (!check_matching(p, n))
        return false;
    if (op_is_set(op) && (l->type == PROM_SCALAR || r->type == PROM_SCALAR))
        parse_error(p, n->from, n->to, "set operator \"%s\" not allowed in binary scalar expression",
                    op_text(op));
    return !p->is_failed;
}

/* info()'s second argument is a selector of labels, not of series. */
static bool check_info(Parser *p, Node *n)
{
    Node *arg = n->u.call.args[1];
    if (arg->type != PROM_VECTOR)
        parse_error(p, n->from, n->to, "expected type instant vector in call to function \"info\", got %s",
                    prom_type_name(arg->type));
    else if (arg->kind != NODE_SELECTOR)
        parse_error(p, arg->from, arg->to, "expected label selectors only");
    else if (arg->u.sel.name.len > 0)
        parse_error(p, arg->from, arg->to, "expected label selectors only, got vector selector instead");
    return !p->is_failed;
}

static bool check_args_len(Parser *p, Node *n)
{
    const FuncDef *f = n->u.call.fn;
    u32 got = n->u.call.args_len, least = f->args_len - 1u;
    if (f->variadic == 0) {
        if (got != f->args_len)
            parse_error(p, n->from, n->to, "expected %u argument(s) in call to \"%s\", got %u", f->args_len,
                        f->name, got);
    } else if (got < least) {
        parse_error(p, n->from, n->to, "expected at least %u argument(s) in call to \"%s\", got %u", least,
                    f->name, got);
    } else if (f->variadic > 0 && got > least + (u32)f->variadic) {
        parse_error(p, n->from, n->to, "expected at most %u argument(s) in call to \"%s\", got %u",
                    least + (u32)f->variadic, f->name, got);
    }
    return !p->is_failed;
}

static bool selector_is_empty(const Node *n)
{
    for (u32 i = 0; i < n->u.sel.matchers.len; i++)
        if (!matcher_matches(&n->u.sel.matchers.at[i], S("")))
            return false;
    return true;
}

static bool check_selector(Parser *p, Node *n, bool may_be_empty)
{
    Matchers m = n->u.sel.matchers;
    if (n->u.sel.name.len > 0) { /* the last matcher is made of the name */
        for (u32 i = 0; i + 1 < m.len; i++)
            if (str_eq(m.at[i].name, LABEL_NAME))
                parse_error(p, n->from, n->to, "metric name must not be set twice: %s or %s",
                            parse_quote(p, n->u.sel.name), parse_quote(p, m.at[i].value));
    } else if (!may_be_empty && selector_is_empty(n)) {
        parse_error(p, n->from, n->to, "vector selector must contain at least one non-empty matcher");
    }
    return !p->is_failed;
}

static bool check_call(Parser *p, Node *n)
{
    const FuncDef *f = n->u.call.fn;
    if (!check_args_len(p, n))
        return false;
    bool is_info = f->id == FN_info && n->u.call.args_len > 1;
    if (is_info && !check_info(p, n))
        return false;
    for (u32 i = 0; i < n->u.call.args_len; i++) {
        Node *arg = n->u.call.args[i];
        PromType want = f->args[MIN(i, f->args_len - 1u)];
        bool ok = is_info && i == 1 ? check_selector(p, arg, true) : check_tree(p, arg);
        if (ok && arg->type != want)
            parse_error(p, arg->from, arg->to, "expected type %s in call to function \"%s\", got %s",
                        prom_type_name(want), f->name, prom_type_name(arg->type));
        if (p->is_failed)
            return false;
    }
    return true;
}

static bool check_unary(Parser *p, Node *n)
{
    Node *e = n->u.unary.expr;
    if (!check_tree(p, e))
        return false;
    if (e->type != PROM_SCALAR && e->type != PROM_VECTOR)
        parse_error(
            p, n->from, n->to,
            "unary expression only allowed on expressions of type scalar or instant vector, got \"%s\"",
            prom_type_name(e->type));
    return !p->is_failed;
}

static bool check_subquery(Parser *p, Node *n)
{
    Node *e = n->u.sub.expr;
    if (!check_tree(p, e))
        return false;
    if (e->type != PROM_VECTOR)
        parse_error(p, n->from, n->to, "subquery is only allowed on instant vector, got %s instead",
                    type_word(e->type));
    return !p->is_failed;
}

bool check_tree(Parser *p, Node *n)
{
    switch (n->kind) {
    case NODE_AGGR:
        return check_aggr(p, n);
    case NODE_BINARY:
        return check_binary(p, n);
    case NODE_CALL:
        return check_call(p, n);
    case NODE_PAREN:
        return check_tree(p, n->u.paren);
    case NODE_UNARY:
        return check_unary(p, n);
    case NODE_SUBQUERY:
        return check_subquery(p, n);
    case NODE_MATRIX:
        return check_selector(p, n->u.matrix.sel, false);
    case NODE_SELECTOR:
        return check_selector(p, n, false);
    case NODE_STEP_INVARIANT:
        return check_tree(p, n->u.invariant);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DURATION:
        return true;
    }
    return true;
}
