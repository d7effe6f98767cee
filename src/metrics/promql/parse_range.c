/* Numbers, durations and what follows a selector: ranges, offset, @. */
#include "metrics/promql/parse.h"

#include <math.h>
#include <stdio.h>

/* ---- numbers ---- */

/* Underscores stand between digits, or after the prefix 0x. */
static bool underscores_fit(Str s)
{
    bool is_hex = s.len > 1 && s.at[0] == '0' && (s.at[1] | 32) == 'x';
    char prev = is_hex ? '0' : '^';
    for (size_t i = is_hex ? 2 : 0; i < s.len; i++) {
        char c = s.at[i], low = (char)(c | 32);
        if ((c >= '0' && c <= '9') || (is_hex && low >= 'a' && low <= 'f')) {
            prev = '0';
        } else if (c == '_') {
            if (prev != '0')
                return false;
            prev = '_';
        } else {
            if (prev == '_')
                return false;
            prev = '!';
        }
    }
    return prev != '_';
}

/* Integers as Go's base 0: 0x1f, 010 is eight. False when it is none (or over 63 bits). */
static bool parse_integer(Str s, f64 *ret)
{
    u32 base = 10;
    u64 v = 0;
    if (s.len > 1 && s.at[0] == '0') {
        bool is_hex = (s.at[1] | 32) == 'x';
        base = is_hex ? 16 : 8;
        s = str_skip(s, is_hex ? 2 : 1);
    }
    for (size_t i = 0; i < s.len; i++) {
        u32 d = hex_digit(s.at[i]);
        if (d >= base || v > ((u64)INT64_MAX - d) / base)
            return false;
        v = v * base + d;
    }
    *ret = (f64)v;
    return s.len > 0;
}

static bool parse_number(Parser *p, Token t, f64 *ret)
{
    char plain[512];
    size_t len = 0;
    Str s = parse_text(p, t);
    const char *problem = "invalid syntax";
    if (s.len < sizeof plain && underscores_fit(s)) {
        for (size_t i = 0; i < s.len; i++)
            if (s.at[i] != '_')
                plain[len++] = s.at[i];
        Str digits = str_of(plain, len);
        if (parse_integer(digits, ret))
            return true;
        bool is_word = len && ((plain[0] | 32) == 'i' || (plain[0] | 32) == 'n');
        if (parse_f64(digits, ret) == OK && (is_word || !isinf(*ret)))
            return true;
        f64 probe;
        if (parse_f64(digits, &probe) == OK ? isinf(probe) : str_find_char(digits, 'e') != SIZE_MAX)
            problem = "value out of range";
    }
    parse_error(p, t.from, t.to, "error parsing number: strconv.ParseFloat: parsing %s: %s",
                parse_quote(p, s), problem);
    return false;
}

/* Seconds, as Go's Duration.Seconds() adds them up. */
static bool parse_duration_s(Parser *p, Token t, f64 *ret)
{
    Why why = {0};
    i64 ms;
    if (parse_duration_ms(parse_text(p, t), &ms, &why) != OK) {
        parse_error(p, t.from, t.to, "%s", why.text);
        return false;
    }
    *ret = (f64)(ms / 1000) + (f64)(ms % 1000 * 1000000) / 1e9;
    return true;
}

bool parse_take_number(Parser *p, f64 *ret)
{
    Token t = parse_advance(p);
    return t.kind == T_NUMBER ? parse_number(p, t, ret) : parse_duration_s(p, t, ret);
}

static i64 ms_of_seconds(f64 s)
{
    f64 ns = round(s * 1e9);
    if (!(ns > -9223372036854775808.0))
        return INT64_MIN / 1000000;
    return (ns >= 9223372036854775808.0 ? INT64_MAX : (i64)ns) / 1000000;
}

static bool duration_fits(f64 s)
{
    return s <= 9223372036.854775808 && s >= -9223372036.854775808;
}

/* ---- durations: literals, and arithmetic on them ---- */

static Node *parse_duration_expr(Parser *p, int min_prec, const char *context, const char *expected);

static bool require_duration_exprs(Parser *p, u32 from, u32 to)
{
    if (!(p->features & PROMQL_DURATION_EXPR))
        parse_error(p, from, to, "experimental duration expression is not enabled");
    return !p->is_failed;
}

static Node *duration_number(Parser *p)
{
    Node *n = parse_node(p, NODE_DURATION, PROM_SCALAR, p->cur.from, p->cur.to);
    n->number_is_duration = parse_at(p, T_DURATION);
    if (!parse_take_number(p, &n->u.dur.value_s))
        return NULL;
    if (!duration_fits(n->u.dur.value_s))
        return parse_error(p, n->from, n->to, "duration out of range");
    return n;
}

static bool is_literal(const Node *n)
{
    return n->u.dur.op == OP_NONE && !n->u.dur.fn;
}

static Node *duration_unary(Parser *p, Token sign, Node *e)
{
    if (is_literal(e)) {
        if (sign.kind == T_SUB)
            e->u.dur.value_s = -e->u.dur.value_s;
        e->from = sign.from;
        return e;
    }
    if (sign.kind == T_ADD)
        return e;
    Node *n = parse_node(p, NODE_DURATION, PROM_SCALAR, sign.from, e->to);
    n->u.dur.op = OP_SUB;
    n->u.dur.rhs = e;
    return parse_adopt(p, n, e) ? n : NULL;
}

/* A literal has no parentheses to remember: it becomes +literal, printed as the literal alone. */
static Node *duration_wrapped(Parser *p, Node *e, u32 from, u32 to)
{
    if (is_literal(e)) {
        Node *n = parse_node(p, NODE_DURATION, PROM_SCALAR, from, to);
        n->u.dur.op = OP_ADD;
        n->u.dur.rhs = e;
        if (!parse_adopt(p, n, e))
            return NULL;
        e = n;
    }
    e->u.dur.wrapped = true;
    return e;
}

/* step(), range(), min_of(a, b), max_of(a, b) */
static Node *duration_call(Parser *p, const char *context, const char *expected)
{
    Token name = parse_advance(p);
    bool has_args = name.kind == T_MAX_OF || name.kind == T_MIN_OF;
    Node *n = parse_node(p, NODE_DURATION, PROM_SCALAR, name.from, name.to);
    n->u.dur.fn = tok_text(name.kind);
    if (!parse_at(p, T_LPAREN))
        return parse_unexpected(p, context, expected);
    parse_advance(p);
    if (has_args) {
        n->u.dur.lhs = parse_duration_expr(p, 0, context, expected);
        if (!n->u.dur.lhs || !parse_adopt(p, n, n->u.dur.lhs))
            return NULL;
        if (!parse_at(p, T_COMMA))
            return parse_unexpected(p, context, expected);
        parse_advance(p);
        n->u.dur.rhs = parse_duration_expr(p, 0, context, expected);
        if (!n->u.dur.rhs || !parse_adopt(p, n, n->u.dur.rhs))
            return NULL;
    }
    if (!parse_at(p, T_RPAREN))
        return parse_unexpected(p, context, expected);
    parse_advance(p);
    n->to = p->prev_to;
    return require_duration_exprs(p, n->from, n->to) ? n : NULL;
}

static Node *duration_primary(Parser *p, const char *context, const char *expected)
{
    if (tok_is_number(p->cur.kind))
        return duration_number(p);
    if (p->cur.kind >= T_STEP && p->cur.kind <= T_MIN_OF)
        return duration_call(p, context, expected);
    if (parse_at(p, T_ADD) || parse_at(p, T_SUB)) {
        Token sign = parse_advance(p);
        Node *e = parse_duration_expr(p, PREC_MUL + 1, context, expected);
        return e ? duration_unary(p, sign, e) : NULL;
    }
    if (parse_at(p, T_LPAREN)) {
        u32 from = parse_advance(p).from;
        Node *e = parse_duration_expr(p, 0, context, expected);
        if (!e)
            return NULL;
        if (!parse_at(p, T_RPAREN))
            return parse_unexpected(p, context, expected);
        parse_advance(p);
        if (!require_duration_exprs(p, e->from, e->to))
            return NULL;
        return duration_wrapped(p, e, from, p->prev_to);
    }
    return parse_unexpected(p, context, expected);
}

static Node *duration_binary(Parser *p, Token op, Node *l, Node *r)
{
    bool is_zero = is_literal(r) && r->u.dur.value_s == 0;
    if (!require_duration_exprs(p, l->from, l->to))
        return NULL;
    if (is_zero && op.kind == T_DIV)
        return parse_error(p, op.from, op.to, "division by zero");
    if (is_zero && op.kind == T_MOD)
        return parse_error(p, op.from, op.to, "modulo by zero");
    Node *n = parse_node(p, NODE_DURATION, PROM_SCALAR, l->from, r->to);
    n->u.dur.op = tok_op(op.kind);
    n->u.dur.lhs = l;
    n->u.dur.rhs = r;
    return parse_adopt(p, n, l) && parse_adopt(p, n, r) ? n : NULL;
}

static Node *parse_duration_expr(Parser *p, int min_prec, const char *context, const char *expected)
{
    if (p->depth >= PROMQL_DEPTH_MAX)
        return parse_too_deep(p, p->cur.from, p->cur.to);
    p->depth++;
    Node *l = duration_primary(p, context, expected);
    while (l) {
        int prec = tok_precedence(p->cur.kind);
        if (prec < PREC_ADD || prec < min_prec || parse_at(p, T_ATAN2))
            break;
        Token op = parse_advance(p);
        Node *r = parse_duration_expr(p, op.kind == T_POW ? prec : prec + 1, context, expected);
        l = r ? duration_binary(p, op, l, r) : NULL;
    }
    p->depth--;
    return l;
}

/* ---- what follows a selector: [range], [range:step], offset, @, anchored, smoothed ---- */

static const char *duration_words(const Parser *p)
{
    return p->features & PROMQL_DURATION_EXPR ? "number, duration, step(), or range()" : "number or duration";
}

/* A duration that must be positive as far as one can tell now: *ret_ms or *ret_expr. */
static bool take_range(Parser *p, const char *context, const char *expected, i64 *ret_ms, Node **ret_expr)
{
    Node *e = parse_duration_expr(p, 0, context, expected);
    if (!e)
        return false;
    if (!is_literal(e))
        *ret_expr = e;
    else if (e->u.dur.value_s <= 0)
        parse_error(p, e->from, e->to, "duration must be greater than 0");
    else
        *ret_ms = ms_of_seconds(e->u.dur.value_s);
    return !p->is_failed;
}

static Node *parse_subquery(Parser *p, Node *e, i64 range_ms, Node *range_expr)
{
    const char *context = "subquery selector";
    Node *n = parse_node(p, NODE_SUBQUERY, PROM_MATRIX, e->from, p->cur.to);
    n->u.sub.expr = e;
    n->u.sub.range_ms = range_ms;
    n->u.sub.range_expr = range_expr;
    parse_advance(p);
    if (!parse_at(p, T_RBRACKET)) {
        const char *expected = p->features & PROMQL_DURATION_EXPR
                                   ? "number, duration, step(), range(), or \"]\""
                                   : "number or duration or \"]\"";
        if (!take_range(p, context, expected, &n->u.sub.step_ms, &n->u.sub.step_expr))
            return NULL;
        if (!parse_at(p, T_RBRACKET))
            return parse_unexpected(p, context, "\"]\"");
    }
    parse_advance(p);
    n->to = p->prev_to;
    return parse_adopt(p, n, e) ? n : NULL;
}

static Node *parse_brackets(Parser *p, Node *e)
{
    bool with_exprs = p->features & PROMQL_DURATION_EXPR;
    i64 range_ms = 0;
    Node *range_expr = NULL;
    u32 from = parse_advance(p).from;
    if (!take_range(p, with_exprs ? "subquery or range selector" : "subquery selector", duration_words(p),
                    &range_ms, &range_expr))
        return NULL;
    if (parse_at(p, T_COLON))
        return parse_subquery(p, e, range_ms, range_expr);
    if (!parse_at(p, T_RBRACKET))
        return parse_unexpected(p, "subquery or range", "\":\" or \"]\"");
    parse_advance(p);
    if (e->kind != NODE_SELECTOR)
        return parse_error(p, from, p->prev_to, "ranges only allowed for vector selectors");
    if (e->u.sel.offset_ms != 0 || e->u.sel.offset_expr)
        return parse_error(p, from, p->prev_to, "no offset modifiers allowed before range");
    if (e->u.sel.at != AT_NONE)
        return parse_error(p, from, p->prev_to, "no @ modifiers allowed before range");
    Node *n = parse_node(p, NODE_MATRIX, PROM_MATRIX, e->from, p->prev_to);
    n->u.matrix.sel = e;
    n->u.matrix.range_ms = range_ms;
    n->u.matrix.range_expr = range_expr;
    return parse_adopt(p, n, e) ? n : NULL;
}

/* The duration after `offset` binds less than an expression: `a offset -2^2` is `(a offset -2)^2`. */
static Node *offset_duration(Parser *p)
{
    const char *context = "offset", *expected = duration_words(p);
    Token sign = {T_EOF, 0, 0};
    if (parse_at(p, T_LPAREN))
        return parse_duration_expr(p, 0, context, expected);
    if (parse_at(p, T_ADD) || parse_at(p, T_SUB))
        sign = parse_advance(p);
    Node *e = parse_at(p, T_ADD) || parse_at(p, T_SUB) ? parse_unexpected(p, context, expected)
                                                       : duration_primary(p, context, expected);
    return e && sign.kind != T_EOF ? duration_unary(p, sign, e) : e;
}

static Node *parse_offset(Parser *p, Node *e)
{
    parse_advance(p);
    Node *d = offset_duration(p);
    if (!d)
        return NULL;
    i64 *ms;
    Node **expr, *sel = e->kind == NODE_MATRIX ? e->u.matrix.sel : e;
    if (sel->kind == NODE_SELECTOR) {
        ms = &sel->u.sel.offset_ms;
        expr = &sel->u.sel.offset_expr;
    } else if (e->kind == NODE_SUBQUERY) {
        ms = &e->u.sub.offset_ms;
        expr = &e->u.sub.offset_expr;
    } else {
        return parse_error(
            p, e->from, e->to,
            "offset modifier must be preceded by an instant vector selector or range vector selector "
            "or a subquery");
    }
    if (*ms != 0 || *expr)
        return parse_error(p, e->from, e->to, "offset may not be set multiple times");
    if (is_literal(d))
        *ms = ms_of_seconds(d->u.dur.value_s);
    else
        *expr = d;
    e->to = p->prev_to;
    return e;
}

/* The place of @ in e; NULL and an error when it cannot have one. */
static AtKind *at_place(Parser *p, Node *e, i64 **ret_ms)
{
    Node *sel = e->kind == NODE_MATRIX ? e->u.matrix.sel : e;
    AtKind *at;
    if (sel->kind == NODE_SELECTOR) {
        at = &sel->u.sel.at;
        *ret_ms = &sel->u.sel.at_ms;
    } else if (e->kind == NODE_SUBQUERY) {
        at = &e->u.sub.at;
        *ret_ms = &e->u.sub.at_ms;
    } else {
        return parse_error(
            p, e->from, e->to,
            "@ modifier must be preceded by an instant vector selector or range vector selector or a "
            "subquery");
    }
    if (*at != AT_NONE)
        return parse_error(p, e->from, e->to, "@ <timestamp> may not be set multiple times");
    return at;
}

static bool set_timestamp(Parser *p, Node *e, f64 ts)
{
    i64 *ms = NULL;
    if (isinf(ts) || isnan(ts) || ts >= 9223372036854775808.0 || ts <= -9223372036854775808.0) {
        char text[400];
        snprintf(text, sizeof text, "%f", ts);
        parse_error(p, e->from, e->to, "timestamp out of bounds for @ modifier: %s",
                    isnan(ts)   ? "NaN"
                    : isinf(ts) ? ts > 0 ? "+Inf" : "-Inf"
                                : text);
        return false;
    }
    AtKind *at = at_place(p, e, &ms);
    if (!at || !ms)
        return false;
    f64 t = round(ts * 1000);
    *ms = t >= 9223372036854775808.0 ? INT64_MAX : t <= -9223372036854775808.0 ? INT64_MIN : (i64)t;
    *at = AT_TIME;
    return true;
}

static Node *parse_at_modifier(Parser *p, Node *e)
{
    i64 *ms;
    parse_advance(p);
    if (parse_at(p, T_START) || parse_at(p, T_END)) {
        AtKind kind = parse_at(p, T_START) ? AT_START : AT_END;
        parse_advance(p);
        for (int i = 0; i < 2; i++) {
            if (!parse_at(p, i == 0 ? T_LPAREN : T_RPAREN))
                return parse_unexpected(p, "@", "timestamp");
            parse_advance(p);
        }
        AtKind *at = at_place(p, e, &ms);
        if (!at)
            return NULL;
        *at = kind;
    } else {
        f64 ts;
        bool is_negative = parse_at(p, T_SUB);
        if (is_negative || parse_at(p, T_ADD))
            parse_advance(p);
        if (!tok_is_number(p->cur.kind))
            return parse_unexpected(p, "@", "timestamp");
        if (!parse_take_number(p, &ts) || !set_timestamp(p, e, is_negative ? -ts : ts))
            return NULL;
    }
    e->to = p->prev_to;
    return e;
}

static Node *parse_extended(Parser *p, Node *e)
{
    bool is_anchored = parse_advance(p).kind == T_ANCHORED;
    const char *word = is_anchored ? "anchored" : "smoothed";
    Node *sel = e->kind == NODE_MATRIX ? e->u.matrix.sel : e;
    if (!(p->features & PROMQL_EXTENDED_RANGE_SELECTORS))
        return parse_error(p, e->from, e->to, "%s modifier is experimental and not enabled", word);
    if (e->kind == NODE_SUBQUERY)
        return parse_error(p, e->from, e->to, "%s modifier is not supported for subqueries", word);
    if (sel->kind != NODE_SELECTOR)
        return parse_error(p, e->from, e->to, "%s modifier not implemented", word);
    if (is_anchored)
        sel->u.sel.anchored = true;
    else
        sel->u.sel.smoothed = true;
    if (sel->u.sel.anchored && sel->u.sel.smoothed)
        return parse_error(p, e->from, e->to, "anchored and smoothed modifiers cannot be used together");
    return e;
}

Node *parse_suffixes(Parser *p, Node *e)
{
    while (e) {
        switch (p->cur.kind) {
        case T_LBRACKET:
            e = parse_brackets(p, e);
            break;
        case T_OFFSET:
            e = parse_offset(p, e);
            break;
        case T_AT:
            e = parse_at_modifier(p, e);
            break;
        case T_ANCHORED:
        case T_SMOOTHED:
            e = parse_extended(p, e);
            break;
        default:
            return e;
        }
    }
    return NULL;
}
