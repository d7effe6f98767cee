/* Lists of labels, selectors, and metrics with labels. */
#include "metrics/promql/parse.h"

/* ---- lists of labels ---- */

static bool take_label(Parser *p, Str *ret)
{
    if (!tok_can_be_label(p->cur.kind) && !parse_at(p, T_STRING)) {
        parse_unexpected(p, "grouping opts", "label");
        return false;
    }
    Token t = parse_advance(p);
    *ret = parse_text(p, t);
    if (t.kind == T_STRING && !parse_unquote(p, t, ret))
        return false;
    if (ret->len == 0 || !str_is_utf8(*ret))
        parse_error(p, t.from, t.to, "invalid label name for grouping: %s", parse_quote(p, *ret));
    return !p->is_failed;
}

typedef VEC(Str) StrVec;

static bool take_labels(Parser *p, StrVec *list)
{
    if (!parse_at(p, T_LPAREN)) {
        parse_unexpected(p, "grouping opts", "\"(\"");
        return false;
    }
    parse_advance(p);
    while (!parse_at(p, T_RPAREN)) {
        Str label;
        if (!take_label(p, &label))
            return false;
        vec_push(list, label);
        if (parse_at(p, T_COMMA)) {
            parse_advance(p);
        } else if (!parse_at(p, T_RPAREN)) {
            parse_unexpected(p, "grouping opts", "\",\" or \")\"");
            return false;
        }
    }
    parse_advance(p);
    return true;
}

/* (a, "b.c",) into the arena. */
bool parse_labels(Parser *p, const Str **ret, u32 *ret_len)
{
    StrVec list = {0};
    bool ok = take_labels(p, &list);
    if (ok && list.len > 0) {
        Str *at = arena_array(p->arena, Str, list.len);
        if (at)
            memcpy(at, list.at, sizeof(Str) * list.len);
        else
            parse_no_memory(p);
        *ret = at;
    }
    *ret_len = (u32)list.len;
    vec_done(&list);
    return ok && !p->is_failed;
}

/* ---- selectors ---- */

typedef VEC(Matcher) MatcherVec;

static bool take_matcher_op(Parser *p, MatchOp *ret)
{
    switch (p->cur.kind) {
    case T_EQL:
        *ret = MATCH_EQ;
        break;
    case T_NEQ:
        *ret = MATCH_NE;
        break;
    case T_EQL_REGEX:
        *ret = MATCH_RE;
        break;
    case T_NEQ_REGEX:
        *ret = MATCH_NRE;
        break;
    default:
        return false;
    }
    parse_advance(p);
    return true;
}

static bool take_matcher(Parser *p, Matcher *ret)
{
    MatchOp op;
    Str name, value;
    Why why = {0};
    if (!parse_at(p, T_IDENTIFIER) && !parse_at(p, T_STRING)) {
        parse_unexpected(p, "label matching", "identifier or \"}\"");
        return false;
    }
    Token label = parse_advance(p);
    name = parse_text(p, label);
    if (label.kind == T_STRING && !parse_unquote(p, label, &name))
        return false;
    if (!take_matcher_op(p, &op)) {
        if (label.kind == T_STRING) /* a quoted metric name alone */
            return matcher_init(ret, MATCH_EQ, LABEL_NAME, name, NULL) == OK;
        parse_unexpected(p, "label matching", "label matching operator");
        return false;
    }
    if (!parse_at(p, T_STRING)) {
        parse_unexpected(p, "label matching", "string");
        return false;
    }
    Token text = parse_advance(p);
    if (!parse_unquote(p, text, &value))
        return false;
    if (matcher_init(ret, op, name, value, &why) != OK) {
        parse_error(p, label.from, text.to, "%s", why.text);
        return false;
    }
    return true;
}

/* What stands between braces, into list. */
static bool take_matchers(Parser *p, MatcherVec *list)
{
    parse_advance(p);
    while (!parse_at(p, T_RBRACE)) {
        Matcher m = {0};
        if (!take_matcher(p, &m))
            return false;
        vec_push(list, m);
        if (parse_at(p, T_COMMA)) {
            parse_advance(p);
        } else if (!parse_at(p, T_RBRACE)) {
            parse_unexpected(p, "label matching", "\",\" or \"}\"");
            return false;
        }
    }
    parse_advance(p);
    return true;
}

/* Moves the list into the arena and notes who must be freed if the query fails later. */
static bool keep_matchers(Parser *p, MatcherVec *list, Matchers *ret)
{
    Matcher *at = arena_array(p->arena, Matcher, list->len + 1);
    if (!at) {
        for (size_t i = 0; i < list->len; i++)
            matcher_done(&list->at[i]);
        parse_no_memory(p);
        return false;
    }
    if (list->len > 0)
        memcpy(at, list->at, sizeof(Matcher) * list->len);
    OwnedMatchers *o = arena_new(p->arena, OwnedMatchers);
    *o = (OwnedMatchers){p->owned, at, (u32)list->len};
    p->owned = o;
    *ret = (Matchers){at, (u32)list->len};
    return true;
}

/* name, name{...} or {...} */
Node *parse_selector(Parser *p)
{
    MatcherVec list = {0};
    Node *n = parse_node(p, NODE_SELECTOR, PROM_VECTOR, p->cur.from, p->cur.to);
    bool ok = true;
    if (!parse_at(p, T_LBRACE))
        n->u.sel.name = parse_text(p, parse_advance(p));
    if (parse_at(p, T_LBRACE))
        ok = take_matchers(p, &list);
    if (n->u.sel.name.len > 0) {
        Matcher m = {0};
        matcher_init(&m, MATCH_EQ, LABEL_NAME, n->u.sel.name, NULL);
        vec_push(&list, m);
    }
    ok = keep_matchers(p, &list, &n->u.sel.matchers) && ok;
    vec_done(&list);
    for (u32 i = 0; ok && n->u.sel.name.len == 0 && i < n->u.sel.matchers.len; i++)
        n->u.sel.name_in_braces |= str_eq(n->u.sel.matchers.at[i].name, LABEL_NAME);
    n->to = p->prev_to;
    return ok ? n : NULL;
}

/* ---- metrics with labels ---- */

static bool take_label_pair(Parser *p, LabelsBuilder *b)
{
    Str name, value;
    if (!parse_at(p, T_IDENTIFIER) && !parse_at(p, T_STRING)) {
        parse_unexpected(p, "label set", "identifier or \"}\"");
        return false;
    }
    Token label = parse_advance(p);
    name = parse_text(p, label);
    if (label.kind == T_STRING && !parse_unquote(p, label, &name))
        return false;
    if (!parse_at(p, T_EQL)) {
        if (label.kind == T_STRING) {
            lb_set(b, LABEL_NAME, name);
            return true;
        }
        parse_unexpected(p, "label set", "\"=\"");
        return false;
    }
    parse_advance(p);
    if (!parse_at(p, T_STRING)) {
        parse_unexpected(p, "label set", "string");
        return false;
    }
    if (!parse_unquote(p, parse_advance(p), &value))
        return false;
    lb_set(b, name, value);
    return true;
}

static bool take_label_set(Parser *p, LabelsBuilder *b)
{
    parse_advance(p);
    while (!parse_at(p, T_RBRACE)) {
        if (!take_label_pair(p, b))
            return false;
        if (parse_at(p, T_COMMA)) {
            parse_advance(p);
        } else if (!parse_at(p, T_RBRACE)) {
            parse_unexpected(p, "label set", "\",\" or \"}\"");
            return false;
        }
    }
    parse_advance(p);
    return true;
}

Err promql_parse_selector(Str text, Arena *arena, Matchers *ret, Why *why)
{
    Parser p;
    TRY(parse_begin(&p, text, 0, arena, why));
    Node *n = parse_at(&p, T_LBRACE) || tok_can_be_metric(p.cur.kind) ? parse_selector(&p)
                                                                      : parse_unexpected_here(&p);
    if (!n || !parse_end(&p))
        return parse_report(&p, NULL, why);
    *ret = n->u.sel.matchers;
    return OK;
}

Err promql_parse_metric(Str text, Arena *arena, Labels *ret, Why *why)
{
    Parser p;
    LabelsBuilder b;
    Str name = {0};
    bool ok = true;
    TRY(parse_begin(&p, text, 0, arena, why));
    lb_init(&b, arena, (Labels){0});
    if (tok_can_be_metric(p.cur.kind))
        name = parse_text(&p, parse_advance(&p));
    if (parse_at(&p, T_LBRACE))
        ok = take_label_set(&p, &b);
    if (!ok || !parse_end(&p))
        return parse_report(&p, NULL, why);
    if (name.len > 0)
        lb_set(&b, LABEL_NAME, name);
    *ret = lb_build(&b);
    return OK;
}
