/* The parser of PromQL: recursive descent, operators by precedence. One token of lookahead; the first error ends it. */
#include "metrics/promql/parse.h"

#include <stdio.h>

/* ---- errors ---- */

void *parse_error(Parser *p, u32 from, u32 to, const char *fmt, ...)
{
    va_list ap;
    if (p->is_failed)
        return NULL;
    p->is_failed = true;
    p->error_from = from;
    p->error_to = to;
    va_start(ap, fmt);
    vsnprintf(p->error, sizeof p->error, fmt, ap);
    va_end(ap);
    return NULL;
}

const char *parse_quote(Parser *p, Str s)
{
    Buf b;
    buf_init(&b, 4096);
    go_quote(&b, str_sub(s, 0, str_rune_prefix(s, 200)));
    Str r = arena_dup(p->arena, buf_view(&b));
    buf_done(&b);
    return r.at ? r.at : "";
}

/* "unexpected X in context, expected what". A broken token tells its own story. */
void *parse_unexpected(Parser *p, const char *context, const char *expected)
{
    Buf b;
    if (p->cur.kind == T_ERROR)
        return parse_error(p, p->cur.from, p->cur.to, "%s", p->lex.error);
    buf_init(&b, sizeof p->error - 200);
    tok_describe(&b, p->cur, p->query);
    if (context[0] != '\0')
        buf_printf(&b, " in %s", context);
    if (expected[0] != '\0')
        buf_printf(&b, ", expected %s", expected);
    parse_error(p, p->cur.from, p->cur.to, "unexpected %s", buf_cstr(&b));
    buf_done(&b);
    return NULL;
}

/* An unexpected token where an expression stands: it is in the innermost aggregation, if any. */
void *parse_unexpected_here(Parser *p)
{
    return parse_unexpected(p, p->aggr_depth > 0 ? "aggregation" : "", "");
}

void *parse_no_memory(Parser *p)
{
    return parse_error(p, 0, 0, "query needs too much memory");
}

/* ---- tokens ---- */

Token parse_advance(Parser *p)
{
    Token t = p->cur;
    p->prev_to = t.to;
    p->cur = lex_next(&p->lex);
    return t;
}

bool parse_at(const Parser *p, Tok kind)
{
    return p->cur.kind == kind;
}

Str parse_text(const Parser *p, Token t)
{
    return str_sub(p->query, t.from, t.to);
}

bool parse_unquote(Parser *p, Token t, Str *ret)
{
    if (go_unquote(parse_text(p, t), p->arena, ret))
        return true;
    parse_error(p, t.from, t.to, "error unquoting string %s: invalid syntax",
                parse_quote(p, parse_text(p, t)));
    return false;
}

bool tok_is_number(Tok t)
{
    return t == T_NUMBER || t == T_DURATION;
}

bool tok_can_be_label(Tok t)
{
    return t == T_IDENTIFIER || t == T_METRIC || t == T_ATAN2 || (t >= T_AND && t <= T_UNLESS) ||
           tok_is_aggr(t) || (t >= T_OFFSET && t <= T_MIN_OF && t != T_WITHOUT);
}

bool tok_can_be_metric(Tok t)
{
    switch (t) {
    case T_ATAN2:
    case T_BOOL:
    case T_ON:
    case T_IGNORING:
    case T_GROUP_LEFT:
    case T_GROUP_RIGHT:
        return false;
    default:
        return tok_can_be_label(t) || t == T_WITHOUT;
    }
}

int tok_precedence(Tok t)
{
    switch (t) {
    case T_OR:
        return PREC_OR;
    case T_AND:
    case T_UNLESS:
        return PREC_AND;
    case T_EQLC:
    case T_NEQ:
    case T_LSS:
    case T_GTR:
    case T_LTE:
    case T_GTE:
    case T_TRIM_UPPER:
    case T_TRIM_LOWER:
        return PREC_CMP;
    case T_ADD:
    case T_SUB:
        return PREC_ADD;
    case T_MUL:
    case T_DIV:
    case T_MOD:
    case T_ATAN2:
        return PREC_MUL;
    case T_POW:
        return PREC_POW;
    default:
        return 0;
    }
}

TokenOp tok_op(Tok t)
{
    return (TokenOp)((int)t - (int)T_ADD + (int)OP_ADD);
}

/* ---- nodes ---- */

Node *parse_node(Parser *p, NodeKind kind, PromType type, u32 from, u32 to)
{
    Node *n = arena_new(p->arena, Node);
    n->kind = kind;
    n->type = type;
    n->from = from;
    n->to = to;
    n->depth = 1;
    return n;
}

void *parse_too_deep(Parser *p, u32 from, u32 to)
{
    return parse_error(p, from, to, "expression is nested deeper than %d levels", PROMQL_DEPTH_MAX);
}

/* Puts child below n; false when the tree has become too deep. */
bool parse_adopt(Parser *p, Node *n, const Node *child)
{
    if (child->depth >= n->depth)
        n->depth = (u16)(child->depth + 1);
    if (n->depth > PROMQL_DEPTH_MAX)
        parse_too_deep(p, n->from, n->to);
    return !p->is_failed;
}

/* ---- expressions ---- */

typedef VEC(Node *) NodeVec;

static bool starts_expr(Tok t)
{
    return tok_is_number(t) || t == T_STRING || t == T_LPAREN || t == T_LBRACE || t == T_ADD || t == T_SUB ||
           tok_can_be_metric(t);
}

static bool take_args(Parser *p, NodeVec *list)
{
    if (!parse_at(p, T_LPAREN)) {
        parse_unexpected_here(p);
        return false;
    }
    parse_advance(p);
    if (parse_at(p, T_RPAREN)) {
        parse_advance(p);
        return true;
    }
    for (;;) {
        Node *e = parse_expr(p, 0);
        if (!e)
            return false;
        vec_push(list, e);
        if (parse_at(p, T_RPAREN))
            break;
        if (!parse_at(p, T_COMMA)) {
            parse_unexpected_here(p);
            return false;
        }
        Token comma = parse_advance(p);
        if (parse_at(p, T_ERROR)) {
            parse_unexpected_here(p);
            return false;
        }
        if (!starts_expr(p->cur.kind)) {
            parse_error(p, comma.from, comma.to, "trailing commas not allowed in function call args");
            return false;
        }
    }
    parse_advance(p);
    return true;
}

/* (a, b) into the arena, below n. */
static bool parse_args(Parser *p, Node *n, Node ***ret, u32 *ret_len)
{
    NodeVec list = {0};
    bool ok = take_args(p, &list);
    n->to = p->prev_to;
    if (ok) {
        Node **at = arena_array(p->arena, Node *, list.len + 1);
        if (at && list.len > 0)
            memcpy(at, list.at, sizeof(Node *) * list.len);
        if (!at)
            parse_no_memory(p);
        for (size_t i = 0; at && i < list.len; i++)
            parse_adopt(p, n, list.at[i]);
        *ret = at;
        *ret_len = (u32)list.len;
    }
    vec_done(&list);
    return ok && !p->is_failed;
}

static Node *parse_call(Parser *p)
{
    Token name = parse_advance(p);
    Str s = parse_text(p, name);
    Node *n = parse_node(p, NODE_CALL, PROM_NONE, name.from, name.to);
    if (!parse_args(p, n, &n->u.call.args, &n->u.call.args_len))
        return NULL;
    const FuncDef *f = prom_func_find(s);
    if (!f)
        return parse_error(p, name.from, name.to, "unknown function with name %s", parse_quote(p, s));
    if (f->experimental && !(p->features & PROMQL_EXPERIMENTAL_FUNCTIONS))
        return parse_error(p, name.from, name.to, "function %s is not enabled", parse_quote(p, s));
    n->u.call.fn = f;
    n->type = f->returns;
    return n;
}

static bool parse_grouping(Parser *p, Node *n)
{
    n->u.aggr.without = parse_advance(p).kind == T_WITHOUT;
    n->u.aggr.has_grouping = true;
    return parse_labels(p, &n->u.aggr.grouping, &n->u.aggr.grouping_len);
}

static Node *finish_aggr(Parser *p, Node *n, Node **args, u32 args_len)
{
    AggrOp op = n->u.aggr.op;
    u32 want = aggr_has_param(op) ? 2 : 1;
    n->to = p->prev_to;
    if (args_len == 0)
        return parse_error(p, n->from, n->to, "no arguments for aggregate expression provided");
    if (op >= AGGR_LIMITK && !(p->features & PROMQL_EXPERIMENTAL_FUNCTIONS))
        return parse_error(p, n->from, n->to,
                           "%s() is experimental and must be enabled with "
                           "--enable-feature=promql-experimental-functions",
                           aggr_text(op));
    if (args_len != want)
        return parse_error(p, n->from, n->to,
                           "wrong number of arguments for aggregate expression provided, expected %u, got %u",
                           want, args_len);
    n->u.aggr.param = want == 2 ? args[0] : NULL;
    n->u.aggr.expr = args[want - 1];
    return n;
}

/* sum by (a) (x), sum(x) by (a), sum(x) */
static Node *parse_aggr(Parser *p)
{
    Token op = parse_advance(p);
    Node **args = NULL, *n = parse_node(p, NODE_AGGR, PROM_VECTOR, op.from, op.to);
    u32 args_len = 0;
    n->u.aggr.op = (AggrOp)((int)op.kind - (int)T_SUM + (int)AGGR_SUM);
    p->aggr_depth++;
    if ((parse_at(p, T_BY) || parse_at(p, T_WITHOUT)) && !parse_grouping(p, n))
        return NULL;
    if (!parse_args(p, n, &args, &args_len))
        return NULL;
    if (parse_at(p, T_ERROR))
        return parse_unexpected_here(p);
    if (!n->u.aggr.has_grouping && (parse_at(p, T_BY) || parse_at(p, T_WITHOUT)) && !parse_grouping(p, n))
        return NULL;
    p->aggr_depth--;
    return finish_aggr(p, n, args, args_len);
}

static Node *parse_paren(Parser *p)
{
    Node *n = parse_node(p, NODE_PAREN, PROM_NONE, p->cur.from, p->cur.to);
    parse_advance(p);
    Node *e = parse_expr(p, 0);
    if (!e)
        return NULL;
    if (!parse_at(p, T_RPAREN))
        return parse_unexpected_here(p);
    parse_advance(p);
    n->to = p->prev_to;
    n->type = e->type;
    n->u.paren = e;
    return parse_adopt(p, n, e) ? n : NULL;
}

static Node *parse_unary(Parser *p)
{
    Token sign = parse_advance(p);
    Node *e = parse_expr(p, PREC_MUL + 1);
    if (!e)
        return NULL;
    if (e->kind == NODE_NUMBER) {
        if (sign.kind == T_SUB)
            e->u.number = -e->u.number;
        e->from = sign.from;
        return e;
    }
    Node *n = parse_node(p, NODE_UNARY, e->type, sign.from, e->to);
    n->u.unary.op = tok_op(sign.kind);
    n->u.unary.expr = e;
    return parse_adopt(p, n, e) ? n : NULL;
}

static Node *parse_literal(Parser *p)
{
    Node *n = parse_node(p, NODE_NUMBER, PROM_SCALAR, p->cur.from, p->cur.to);
    if (parse_at(p, T_STRING)) {
        n->kind = NODE_STRING;
        n->type = PROM_STRING;
        return parse_unquote(p, parse_advance(p), &n->u.string) ? n : NULL;
    }
    n->number_is_duration = parse_at(p, T_DURATION);
    return parse_take_number(p, &n->u.number) ? n : NULL;
}

/* Does ( follow the current token? The scanner is a value: look with a copy. */
static Tok peek_kind(const Parser *p)
{
    Lexer copy = p->lex;
    return lex_next(&copy).kind;
}

static Node *parse_primary(Parser *p)
{
    Tok t = p->cur.kind;
    if (tok_is_number(t) || t == T_STRING)
        return parse_literal(p);
    if (t == T_LPAREN)
        return parse_paren(p);
    if (t == T_ADD || t == T_SUB)
        return parse_unary(p);
    if (tok_is_aggr(t)) {
        Tok then = peek_kind(p);
        if (then == T_LPAREN || then == T_BY || then == T_WITHOUT)
            return parse_aggr(p);
    } else if ((t == T_IDENTIFIER || (t >= T_START && t <= T_MIN_OF)) && peek_kind(p) == T_LPAREN) {
        return parse_call(p);
    }
    if (t == T_LBRACE || tok_can_be_metric(t))
        return parse_selector(p);
    return parse_unexpected_here(p);
}

static bool take_fill(Parser *p, f64 *ret)
{
    parse_advance(p);
    if (!parse_at(p, T_LPAREN)) {
        parse_unexpected_here(p);
        return false;
    }
    parse_advance(p);
    bool is_negative = parse_at(p, T_SUB);
    if (is_negative || parse_at(p, T_ADD))
        parse_advance(p);
    if (!tok_is_number(p->cur.kind)) {
        parse_unexpected_here(p);
        return false;
    }
    if (!parse_take_number(p, ret))
        return false;
    *ret = is_negative ? -*ret : *ret;
    if (!parse_at(p, T_RPAREN)) {
        parse_unexpected_here(p);
        return false;
    }
    parse_advance(p);
    return true;
}

static bool parse_fills(Parser *p, VectorMatching *m)
{
    if (parse_at(p, T_FILL)) {
        m->has_fill_left = m->has_fill_right = true;
        if (!take_fill(p, &m->fill_left))
            return false;
        m->fill_right = m->fill_left;
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (parse_at(p, T_FILL_LEFT) && !m->has_fill_left) {
            m->has_fill_left = true;
            if (!take_fill(p, &m->fill_left))
                return false;
        } else if (parse_at(p, T_FILL_RIGHT) && !m->has_fill_right) {
            m->has_fill_right = true;
            if (!take_fill(p, &m->fill_right))
                return false;
        }
    }
    return true;
}

static bool sort_labels(Parser *p, VectorMatching *m)
{
    Str *sorted = arena_array(p->arena, Str, m->labels_len + 1);
    if (!sorted) {
        parse_no_memory(p);
        return false;
    }
    if (m->labels_len > 0) {
        memcpy(sorted, m->labels_written, sizeof(Str) * m->labels_len);
        qsort(sorted, m->labels_len, sizeof(Str), str_order);
    }
    m->labels = sorted;
    return true;
}

/* bool, on/ignoring, group_left/right, fill: between the operator and its right side. */
static bool parse_matching(Parser *p, Node *n)
{
    VectorMatching *m = arena_new(p->arena, VectorMatching);
    n->u.bin.matching = m;
    if (parse_at(p, T_BOOL)) {
        parse_advance(p);
        n->u.bin.return_bool = true;
    }
    if (parse_at(p, T_ON) || parse_at(p, T_IGNORING)) {
        m->on = parse_advance(p).kind == T_ON;
        m->has_matching = true;
        if (!parse_labels(p, &m->labels_written, &m->labels_len))
            return false;
        if (parse_at(p, T_GROUP_LEFT) || parse_at(p, T_GROUP_RIGHT)) {
            m->card = parse_advance(p).kind == T_GROUP_LEFT ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
            if (parse_at(p, T_LPAREN) && !parse_labels(p, &m->include, &m->include_len))
                return false;
        }
    }
    return parse_fills(p, m) && sort_labels(p, m);
}

static Node *parse_binary(Parser *p, Node *l, int prec)
{
    Token op = parse_advance(p);
    Node *n = parse_node(p, NODE_BINARY, PROM_VECTOR, l->from, op.to);
    n->u.bin.op = tok_op(op.kind);
    if (!parse_matching(p, n))
        return NULL;
    Node *r = parse_expr(p, op.kind == T_POW ? prec : prec + 1);
    if (!r)
        return NULL;
    n->to = r->to;
    n->u.bin.lhs = l;
    n->u.bin.rhs = r;
    if (l->type == PROM_SCALAR && r->type == PROM_SCALAR)
        n->type = PROM_SCALAR;
    const VectorMatching *m = n->u.bin.matching;
    if ((m->has_fill_left || m->has_fill_right) && !(p->features & PROMQL_BINOP_FILL))
        return parse_error(p, n->from, n->to, "binop fill modifiers are experimental and not enabled");
    return parse_adopt(p, n, l) && parse_adopt(p, n, r) ? n : NULL;
}

Node *parse_expr(Parser *p, int min_prec)
{
    if (p->depth >= PROMQL_DEPTH_MAX)
        return parse_too_deep(p, p->cur.from, p->cur.to);
    p->depth++;
    Node *l = parse_suffixes(p, parse_primary(p));
    while (l) {
        int prec = tok_precedence(p->cur.kind);
        if (prec == 0 || prec < min_prec)
            break;
        l = parse_binary(p, l, prec);
    }
    if (l && parse_at(p, T_ERROR))
        l = parse_unexpected_here(p);
    p->depth--;
    return l;
}

/* ---- entries ---- */

Err parse_begin(Parser *p, Str text, u32 features, Arena *arena, Why *why)
{
    if (text.len > PROMQL_QUERY_MAX)
        return why_set(why, E_TOO_LARGE, "query has %zu bytes, at most %u are allowed", text.len,
                       PROMQL_QUERY_MAX);
    memset(p, 0, sizeof *p);
    p->query = text;
    p->arena = arena;
    p->features = features;
    lex_init(&p->lex, text);
    p->cur = lex_next(&p->lex);
    return OK;
}

static void free_owned(Parser *p)
{
    for (OwnedMatchers *o = p->owned; o; o = o->next)
        for (u32 i = 0; i < o->len; i++)
            matcher_done(&o->at[i]);
    p->owned = NULL;
}

/* "1:5: parse error: ..." */
Err parse_report(Parser *p, u32 ret_pos[2], Why *why)
{
    u32 line = 1, line_from = 0, at = MIN(p->error_from, (u32)p->query.len);
    free_owned(p);
    if (ret_pos) {
        ret_pos[0] = p->error_from;
        ret_pos[1] = MAX(p->error_to, p->error_from);
    }
    if (p->query.len == 0)
        return why_set(why, E_PARSE, "unknown position: parse error: %s", p->error);
    for (u32 i = 0; i < at; i++)
        if (p->query.at[i] == '\n') {
            line++;
            line_from = i + 1;
        }
    return why_set(why, E_PARSE, "%u:%u: parse error: %s", line, at - line_from + 1, p->error);
}

/* Nothing may follow. */
bool parse_end(Parser *p)
{
    if (!p->is_failed && !parse_at(p, T_EOF))
        parse_unexpected_here(p);
    if (!p->is_failed && arena_over(p->arena))
        parse_no_memory(p);
    return !p->is_failed;
}

Err promql_parse(Str query, u32 features, Arena *arena, Node **ret, u32 ret_pos[2], Why *why)
{
    Parser p;
    Node *n = NULL;
    TRY(parse_begin(&p, query, features, arena, why));
    if (parse_at(&p, T_EOF))
        parse_error(&p, 0, 0, "no expression found in input");
    else
        n = parse_expr(&p, 0);
    if (!n || !parse_end(&p) || !check_tree(&p, n))
        return parse_report(&p, ret_pos, why);
    *ret = n;
    return OK;
}

/* ---- the end of a tree ---- */

static void matchers_done(Matchers m)
{
    for (u32 i = 0; i < m.len; i++)
        matcher_done((Matcher *)&m.at[i]); /* made here, in a mutable array */
}

void promql_done(Node *n)
{
    if (!n)
        return;
    switch (n->kind) {
    case NODE_SELECTOR:
        matchers_done(n->u.sel.matchers);
        break;
    case NODE_MATRIX:
        promql_done(n->u.matrix.sel);
        break;
    case NODE_SUBQUERY:
        promql_done(n->u.sub.expr);
        break;
    case NODE_CALL:
        for (u32 i = 0; i < n->u.call.args_len; i++)
            promql_done(n->u.call.args[i]);
        break;
    case NODE_AGGR:
        promql_done(n->u.aggr.expr);
        promql_done(n->u.aggr.param);
        break;
    case NODE_BINARY:
        promql_done(n->u.bin.lhs);
        promql_done(n->u.bin.rhs);
        break;
    case NODE_UNARY:
        promql_done(n->u.unary.expr);
        break;
    case NODE_PAREN:
        promql_done(n->u.paren);
        break;
    case NODE_STEP_INVARIANT:
        promql_done(n->u.invariant);
        break;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DURATION:
        break;
    }
}
