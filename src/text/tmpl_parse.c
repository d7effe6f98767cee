/* Tokens to tree, after the grammar of Go's text/template. */
#include "text/tmpl_parse.h"

static Tok peek(Parser *p)
{
    return p->at < p->toks.len ? p->toks.at[p->at] : (Tok){.kind = TK_EOF, .pos = (u32)p->text.len};
}
static Tok next(Parser *p)
{
    Tok t = peek(p);
    if (p->at < p->toks.len)
        p->at++;
    return t;
}
static void skip_space(Parser *p)
{
    while (peek(p).kind == TK_SPACE)
        p->at++;
}
static Tok next_word(Parser *p)
{
    skip_space(p);
    return next(p);
}
static bool is_keyword(Tok t, const char *w)
{
    return t.kind == TK_KEYWORD && str_eq(t.text, str_c(w));
}

static void unexpected(Parser *p, Tok t, const char *context)
{
    if (t.kind == TK_EOF)
        tmpl_fail_at(p, t.pos, "unexpected EOF");
    else if (t.kind == TK_KEYWORD || t.kind == TK_DOT || t.kind == TK_NIL)
        tmpl_fail_at(p, t.pos, "unexpected <%.*s> in %s", STR_FMT(t.text), context);
    else
        tmpl_fail_at(p, t.pos, "unexpected \"%.*s\" in %s", (int)MIN(t.text.len, 40), t.text.at, context);
}

static TNode *node_new(Parser *p, TNodeKind kind, u32 pos)
{
    TNode *n = arena_new(p->set->arena, TNode);
    n->kind = kind;
    n->pos = pos;
    if (arena_over(p->set->arena))
        tmpl_fail_at(p, pos, "template is too large");
    return n;
}

static void node_add(Parser *p, TNode *n, TNode *item)
{
    if ((n->len & (n->len - 1)) == 0) { /* a full power of two (or empty): double */
        u32 cap = n->len ? n->len * 2 : 1;
        TNode **items = arena_array(p->set->arena, TNode *, cap);
        if (!items) {
            tmpl_fail_at(p, n->pos, "template is too large");
            return;
        }
        if (n->len)
            memcpy(items, n->items, n->len * sizeof *items);
        n->items = items;
    }
    n->items[n->len++] = item;
}

static void node_name(Parser *p, TNode *n, Str name)
{
    if ((n->names_len & (n->names_len - 1)) == 0) {
        u32 cap = n->names_len ? n->names_len * 2 : 1;
        Str *names = arena_array(p->set->arena, Str, cap);
        if (!names) {
            tmpl_fail_at(p, n->pos, "template is too large");
            return;
        }
        if (n->names_len)
            memcpy(names, n->names, n->names_len * sizeof *names);
        n->names = names;
    }
    n->names[n->names_len++] = name;
}

static void node_end(Parser *p, TNode *n)
{
    size_t end = p->at > 0 && p->at <= p->toks.len
                     ? p->toks.at[p->at - 1].pos + p->toks.at[p->at - 1].text.len
                     : n->pos;
    n->source = tmpl_trim_right(str_sub(p->text, n->pos, MAX(end, n->pos)));
}

static TNode *number_node(Parser *p, Tok t)
{
    TNode *n = node_new(p, TN_CONST, t.pos);
    n->source = t.text;
    i64 i;
    f64 f;
    bool hex = str_find_char(t.text, 'x') != SIZE_MAX || str_find_char(t.text, 'X') != SIZE_MAX;
    if (t.kind == TK_CHAR) {
        if (!tmpl_char_value(t, &i))
            tmpl_fail_at(p, t.pos, "malformed character constant: %.*s", (int)MIN(t.text.len, 40), t.text.at);
        n->value = tv_int(i);
    } else if (tmpl_int_value(t.text, &i)) {
        n->value = tv_int(i);
    } else if ((str_find_char(t.text, '.') != SIZE_MAX || hex || str_find_char(t.text, 'e') != SIZE_MAX ||
                str_find_char(t.text, 'E') != SIZE_MAX) &&
               parse_f64(t.text, &f) == OK) {
        n->value = tv_f64(f);
    } else {
        tmpl_fail_at(p, t.pos, "bad number syntax: \"%.*s\"", (int)MIN(t.text.len, 40), t.text.at);
    }
    return n;
}

static TNode *pipeline(Parser *p, const char *context, TokKind end);

static bool var_known(Parser *p, Str name)
{
    for (u32 i = 0; i < p->vars_len; i++)
        if (str_eq(p->vars[i], name))
            return true;
    return false;
}

static TNode *term(Parser *p)
{
    Tok t = next_word(p);
    TNode *n;
    switch (t.kind) {
    case TK_IDENT:
        if (!tmpl_find_func(p->set, t.text))
            tmpl_fail_at(p, t.pos, "function \"%.*s\" not defined", (int)MIN(t.text.len, 100), t.text.at);
        n = node_new(p, TN_IDENT, t.pos);
        n->text = t.text;
        break;
    case TK_DOT:
        n = node_new(p, TN_DOT, t.pos);
        break;
    case TK_NIL:
        n = node_new(p, TN_NIL, t.pos);
        break;
    case TK_VARIABLE:
        if (!var_known(p, t.text))
            tmpl_fail_at(p, t.pos, "undefined variable \"%.*s\"", (int)MIN(t.text.len, 100), t.text.at);
        n = node_new(p, TN_VARIABLE, t.pos);
        node_name(p, n, t.text);
        break;
    case TK_FIELD:
        n = node_new(p, TN_FIELD, t.pos);
        node_name(p, n, str_skip(t.text, 1));
        break;
    case TK_BOOL:
        n = node_new(p, TN_CONST, t.pos);
        n->value = tv_bool(t.text.at[0] == 't');
        break;
    case TK_CHAR:
    case TK_NUMBER:
        n = number_node(p, t);
        break;
    case TK_STRING:
    case TK_RAW:
        n = node_new(p, TN_CONST, t.pos);
        n->value = tv_str(tmpl_string_value(p, t));
        break;
    case TK_LPAREN:
        n = pipeline(p, "parenthesized pipeline", TK_RPAREN);
        break;
    default:
        p->at--;
        return NULL;
    }
    node_end(p, n);
    return n;
}

static TNode *operand(Parser *p)
{
    TNode *n = term(p);
    if (!n || peek(p).kind != TK_FIELD)
        return n;
    if (n->kind == TN_CONST || n->kind == TN_NIL) {
        Buf b;
        buf_init(&b, 1 << 10);
        go_quote(&b, str_sub(n->source, 0, 40));
        tmpl_fail_at(p, peek(p).pos, "unexpected . after term %s", buf_cstr(&b));
        buf_done(&b);
        return n;
    }
    TNode *to = n;
    if (n->kind != TN_FIELD && n->kind != TN_VARIABLE) {
        to = node_new(p, TN_CHAIN, n->pos);
        node_add(p, to, n);
    }
    u32 field_pos = peek(p).pos;
    while (peek(p).kind == TK_FIELD && p->err == OK)
        node_name(p, to, str_skip(next(p).text, 1));
    node_end(p, to);
    if (to == n)
        to->pos = field_pos; /* messages point at the fields, as Go's do */
    return to;
}

static TNode *command(Parser *p)
{
    skip_space(p);
    TNode *cmd = node_new(p, TN_COMMAND, peek(p).pos);
    while (p->err == OK) {
        skip_space(p);
        TNode *n = operand(p);
        if (n)
            node_add(p, cmd, n);
        Tok t = next(p);
        if (t.kind == TK_SPACE)
            continue;
        if (t.kind == TK_RIGHT || t.kind == TK_RPAREN)
            p->at--;
        else if (t.kind != TK_PIPE)
            unexpected(p, t, "operand");
        break;
    }
    if (p->err == OK && cmd->len == 0)
        tmpl_fail_at(p, cmd->pos, "empty command");
    size_t keep = p->at;
    if (keep > 0 && p->toks.at[keep - 1].kind == TK_PIPE)
        p->at--;
    node_end(p, cmd);
    p->at = keep;
    return cmd;
}

static void declare(Parser *p, TNode *pipe, Tok v)
{
    node_name(p, pipe, v.text);
    if (p->vars_len == VARS_MAX)
        tmpl_fail_at(p, v.pos, "more than %d variables", VARS_MAX);
    else
        p->vars[p->vars_len++] = v.text;
}

/* "$x :=", "$x =", "$i, $e :=" at the head of a pipeline; leaves the cursor alone when there is none. */
static void declarations(Parser *p, TNode *pipe, const char *context)
{
    for (;;) {
        skip_space(p);
        size_t back = p->at;
        Tok v = next(p);
        if (v.kind != TK_VARIABLE) {
            p->at = back;
            return;
        }
        Tok after = next_word(p);
        if (after.kind == TK_DECLARE || after.kind == TK_ASSIGN) {
            pipe->is_assign = after.kind == TK_ASSIGN;
            declare(p, pipe, v);
            return;
        }
        if (after.kind != TK_COMMA) {
            p->at = back;
            return;
        }
        declare(p, pipe, v);
        if (strcmp(context, "range") != 0 || pipe->names_len >= 2) {
            tmpl_fail_at(p, v.pos, "too many declarations in %s", context);
            return;
        }
        skip_space(p);
        if (peek(p).kind != TK_VARIABLE) {
            tmpl_fail_at(p, v.pos, "range can only initialize variables");
            return;
        }
    }
}

static TNode *pipeline(Parser *p, const char *context, TokKind end)
{
    skip_space(p);
    TNode *pipe = node_new(p, TN_PIPE, peek(p).pos);
    if (++p->depth > DEPTH_MAX) {
        tmpl_fail_at(p, pipe->pos, "nested deeper than %d", DEPTH_MAX);
        return pipe;
    }
    declarations(p, pipe, context);
    while (p->err == OK) {
        Tok t = next_word(p);
        if (t.kind == end)
            break;
        if (t.kind == TK_EOF || t.kind == TK_KEYWORD || t.kind == TK_RIGHT || t.kind == TK_RPAREN ||
            t.kind == TK_PIPE || t.kind == TK_COMMA || t.kind == TK_DECLARE || t.kind == TK_ASSIGN) {
            unexpected(p, t, context);
            break;
        }
        p->at--;
        node_add(p, pipe, command(p));
    }
    if (p->err == OK && pipe->len == 0)
        tmpl_fail_at(p, pipe->pos, "missing value for %s", context);
    for (u32 i = 1; p->err == OK && i < pipe->len; i++) {
        TNodeKind k = pipe->items[i]->items[0]->kind;
        if (k == TN_CONST || k == TN_DOT || k == TN_NIL)
            tmpl_fail_at(p, pipe->items[i]->pos, "non executable command in pipeline stage %u", i + 1);
    }
    size_t keep = p->at;
    if (end == TK_RIGHT && keep > 0)
        p->at--;
    node_end(p, pipe);
    p->at = keep;
    p->depth--;
    return pipe;
}

typedef enum Stop { STOP_EOF, STOP_END, STOP_ELSE } Stop;
static TNode *text_list(Parser *p, bool top, Stop *ret_stop);

/* After {{if|with|range}}: pipeline, body, maybe else, end. The keyword is read already. */
static TNode *control(Parser *p, TNodeKind kind, const char *context, u32 pos)
{
    TNode *n = node_new(p, kind, pos);
    u32 vars = p->vars_len;
    Stop stop;
    n->pipe = pipeline(p, context, TK_RIGHT);
    if (kind == TN_RANGE)
        p->range_depth++;
    n->body = text_list(p, false, &stop);
    if (kind == TN_RANGE)
        p->range_depth--;
    if (p->err == OK && stop == STOP_ELSE) {
        Tok t = next_word(p);
        bool else_if = kind == TN_IF && is_keyword(t, "if"),
             else_with = kind == TN_WITH && is_keyword(t, "with");
        if (else_if || else_with) {
            /* {{else if}} nests a control that shares our {{end}}. */
            if (++p->depth > DEPTH_MAX) {
                tmpl_fail_at(p, t.pos, "nested deeper than %d", DEPTH_MAX);
                return n;
            }
            n->other = node_new(p, TN_LIST, t.pos);
            node_add(p, n->other, control(p, kind, context, t.pos));
            p->depth--;
        } else if (t.kind == TK_RIGHT) {
            n->other = text_list(p, false, &stop);
            if (p->err == OK && stop == STOP_ELSE)
                tmpl_fail_at(p, t.pos, "expected end; found {{else}}");
        } else {
            unexpected(p, t, "else");
        }
    }
    if (p->err == OK && stop == STOP_EOF)
        tmpl_fail_at(p, p->text.len, "unexpected EOF");
    p->vars_len = vars;
    return n;
}

static void define(Parser *p, Str name, TNode *body)
{
    bool blank = true;
    for (u32 i = 0; i < body->len; i++)
        blank = blank && body->items[i]->kind == TN_TEXT && str_trim(body->items[i]->text).len == 0;
    /* A blank definition does not replace a real one, as in Go. */
    const Tmpl *before = strmap_find(&p->set->templates, name);
    if (blank && before)
        return;
    Tmpl *t = arena_new(p->set->arena, Tmpl);
    *t = (Tmpl){arena_dup(p->set->arena, name), p->text, body};
    strmap_put(&p->set->templates, name, t);
}

static Str template_name(Parser *p, const char *context)
{
    Tok t = next_word(p);
    if (t.kind != TK_STRING && t.kind != TK_RAW) {
        unexpected(p, t, context);
        return S("");
    }
    return tmpl_string_value(p, t);
}

static void parse_define(Parser *p)
{
    Str name = template_name(p, "define clause");
    Tok t = next_word(p);
    if (p->err == OK && t.kind != TK_RIGHT)
        unexpected(p, t, "define clause");
    u32 vars = p->vars_len;
    int ranges = p->range_depth;
    p->vars_len = 1;
    p->range_depth = 0;
    Stop stop = STOP_EOF;
    TNode *body = p->err == OK ? text_list(p, false, &stop) : NULL;
    p->vars_len = vars;
    p->range_depth = ranges;
    if (p->err == OK && stop == STOP_ELSE)
        tmpl_fail_at(p, t.pos, "unexpected {{else}} in define clause");
    if (p->err == OK && stop == STOP_EOF)
        tmpl_fail_at(p, p->text.len, "unexpected EOF");
    if (p->err == OK)
        define(p, name, body);
}

static TNode *parse_template(Parser *p, u32 pos, bool is_block)
{
    skip_space(p);
    TNode *n = node_new(p, TN_TEMPLATE, peek(p).pos);
    n->text = template_name(p, is_block ? "block clause" : "template clause");
    skip_space(p);
    if (!is_block && peek(p).kind == TK_RIGHT)
        p->at++;
    else
        n->pipe = pipeline(p, is_block ? "block clause" : "template clause", TK_RIGHT);
    Str action = str_sub(p->text, pos, p->at ? p->toks.at[p->at - 1].pos : pos);
    n->source = arena_printf(p->set->arena, "{{%.*s}}", STR_FMT(str_trim(action)));
    if (!is_block || p->err != OK)
        return n;
    Stop stop = STOP_EOF;
    u32 vars = p->vars_len;
    int ranges = p->range_depth;
    p->vars_len = 1;
    p->range_depth = 0;
    TNode *body = text_list(p, false, &stop);
    p->vars_len = vars;
    p->range_depth = ranges;
    if (p->err == OK && stop != STOP_END)
        tmpl_fail_at(p, p->text.len,
                     stop == STOP_EOF ? "unexpected EOF" : "unexpected {{else}} in block clause");
    if (p->err == OK)
        define(p, n->text, body);
    return n;
}

static void expect_right(Parser *p, const char *context)
{
    Tok t = next_word(p);
    if (t.kind != TK_RIGHT)
        unexpected(p, t, context);
}

/* The keyword after {{. True when it ends the list. */
static bool keyword(Parser *p, TNode *list, Tok t, bool top, Stop *ret_stop)
{
    if (is_keyword(t, "if"))
        node_add(p, list, control(p, TN_IF, "if", t.pos));
    else if (is_keyword(t, "with"))
        node_add(p, list, control(p, TN_WITH, "with", t.pos));
    else if (is_keyword(t, "range"))
        node_add(p, list, control(p, TN_RANGE, "range", t.pos));
    else if (is_keyword(t, "template"))
        node_add(p, list, parse_template(p, t.pos, false));
    else if (is_keyword(t, "block"))
        node_add(p, list, parse_template(p, t.pos, true));
    else if (is_keyword(t, "define") && top)
        parse_define(p);
    else if (is_keyword(t, "break") || is_keyword(t, "continue")) {
        expect_right(p, is_keyword(t, "break") ? "{{break}}" : "{{continue}}");
        if (p->err == OK && !p->range_depth)
            tmpl_fail_at(p, t.pos, "{{%.*s}} outside {{range}}", STR_FMT(t.text));
        node_add(p, list, node_new(p, is_keyword(t, "break") ? TN_BREAK : TN_CONTINUE, t.pos));
    } else if (is_keyword(t, "end") && !top) {
        expect_right(p, "end");
        *ret_stop = STOP_END;
        return true;
    } else if (is_keyword(t, "else") && !top) {
        *ret_stop = STOP_ELSE; /* the rest of {{else …}} is our caller's */
        return true;
    } else {
        tmpl_fail_at(p, t.pos, "unexpected {{%.*s}}", STR_FMT(t.text));
    }
    return false;
}

static TNode *text_list(Parser *p, bool top, Stop *ret_stop)
{
    TNode *list = node_new(p, TN_LIST, peek(p).pos);
    *ret_stop = STOP_EOF;
    if (++p->depth > DEPTH_MAX)
        tmpl_fail_at(p, list->pos, "nested deeper than %d", DEPTH_MAX);
    while (p->err == OK) {
        Tok t = next(p);
        if (t.kind == TK_EOF)
            break;
        if (t.kind == TK_TEXT) {
            TNode *n = node_new(p, TN_TEXT, t.pos);
            n->text = t.text;
            node_add(p, list, n);
            continue;
        }
        /* TK_LEFT */
        skip_space(p);
        if (peek(p).kind == TK_KEYWORD) {
            if (keyword(p, list, next(p), top, ret_stop))
                break;
            continue;
        }
        TNode *n = node_new(p, TN_ACTION, peek(p).pos);
        n->pipe = pipeline(p, "command", TK_RIGHT);
        node_add(p, list, n);
    }
    p->depth--;
    return list;
}

Err tmpl_parse_into(TmplSet *s, Str name, Str text, Why *why)
{
    if (text.len > (4u << 20))
        return why_set(why, E_TOO_LARGE, "template: %.*s: text is over 4 MiB", (int)MIN(name.len, 200),
                       name.at);
    Parser p = {.set = s, .name = arena_dup(s->arena, name), .text = arena_dup(s->arena, text), .why = why};
    if (text.len && !p.text.len)
        return why_set(why, E_TOO_LARGE, "template: %.*s: text is too large", (int)MIN(name.len, 200),
                       name.at);
    p.vars[p.vars_len++] = S("$");
    tmpl_lex(&p);
    if (p.err == OK) {
        Stop stop;
        TNode *body = text_list(&p, true, &stop);
        if (p.err == OK)
            define(&p, p.name, body);
    }
    vec_done(&p.toks);
    return p.err;
}
