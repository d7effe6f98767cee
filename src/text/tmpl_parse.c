/* Template text to tokens to tree, after the grammar of Go's text/template. */
#include "text/tmpl_internal.h"

#include <stdio.h>

typedef enum TokKind {
    TK_TEXT,
    TK_LEFT,
    TK_RIGHT,
    TK_SPACE,
    TK_IDENT,
    TK_KEYWORD,
    TK_FIELD,
    TK_VARIABLE,
    TK_DOT,
    TK_NIL,
    TK_BOOL,
    TK_NUMBER,
    TK_CHAR,
    TK_STRING,
    TK_RAW,
    TK_LPAREN,
    TK_RPAREN,
    TK_PIPE,
    TK_DECLARE,
    TK_ASSIGN,
    TK_COMMA,
    TK_EOF,
} TokKind;
typedef struct Tok {
    TokKind kind;
    Str text;
    u32 pos;
} Tok;

enum { DEPTH_MAX = 100, TOKENS_MAX = 1 << 20, VARS_MAX = 256 };

typedef struct Parser {
    TmplSet *set;
    Str name, text;
    VEC(Tok) toks;
    size_t at;
    Str vars[VARS_MAX];
    u32 vars_len;
    int depth, range_depth;
    Err err;
    Why *why;
} Parser;

static u32 line_of(Str text, size_t pos)
{
    u32 line = 1;
    for (size_t i = 0; i < pos && i < text.len; i++)
        line += text.at[i] == '\n';
    return line;
}

static void fail_at(Parser *p, size_t pos, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fail_at(Parser *p, size_t pos, const char *fmt, ...)
{
    if (p->err != OK)
        return;
    char sentence[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    u32 line = line_of(p->text, pos);
    p->err = why_at(p->why, E_PARSE, line, 0, "template: %.*s:%u: %s", (int)MIN(p->name.len, 200), p->name.at,
                    line, sentence);
}

/* ---- tokens ---- */
static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
static bool is_alnum(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (u8)c >= 0x80;
}

static Str trim_right(Str s)
{
    while (s.len && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

static void emit(Parser *p, TokKind kind, size_t from, size_t to)
{
    if (p->toks.len >= TOKENS_MAX)
        fail_at(p, from, "more than %d tokens", TOKENS_MAX);
    else
        vec_push(&p->toks, (Tok){kind, str_sub(p->text, from, to), (u32)from});
}

static bool at_right(Str s, size_t i, bool *ret_trim)
{
    Str rest = str_skip(s, i);
    *ret_trim =
        rest.len >= 4 && is_space(rest.at[0]) && rest.at[1] == '-' && rest.at[2] == '}' && rest.at[3] == '}';
    return *ret_trim || str_starts(rest, S("}}"));
}

static bool at_terminator(Str s, size_t i)
{
    return i >= s.len || is_space(s.at[i]) || strchr(".,|:()", s.at[i]) ||
           str_starts(str_skip(s, i), S("}}"));
}

static TokKind word_kind(Str w)
{
    static const char *const keywords[] = {"block", "break", "continue", "define",   "else",
                                           "end",   "if",    "range",    "template", "with"};
    for (size_t i = 0; i < COUNT_OF(keywords); i++)
        if (str_eq(w, str_c(keywords[i])))
            return TK_KEYWORD;
    if (str_eq(w, S("nil")))
        return TK_NIL;
    if (str_eq(w, S("true")) || str_eq(w, S("false")))
        return TK_BOOL;
    return TK_IDENT;
}

static size_t lex_quote(Parser *p, size_t i, char quote)
{
    size_t start = i++;
    for (; i < p->text.len; i++) {
        char c = p->text.at[i];
        if (c == '\\' && quote != '`' && i + 1 < p->text.len && p->text.at[i + 1] != '\n')
            i++;
        else if (c == '\n' && quote != '`')
            break;
        else if (c == quote) {
            emit(p, quote == '"' ? TK_STRING : quote == '`' ? TK_RAW : TK_CHAR, start, i + 1);
            return i + 1;
        }
    }
    fail_at(p, start, "%s",
            quote == '"'   ? "unterminated quoted string"
            : quote == '`' ? "unterminated raw quoted string"
                           : "unterminated character constant");
    return p->text.len;
}

static size_t lex_number(Parser *p, size_t i)
{
    size_t start = i;
    Str s = p->text;
    if (s.at[i] == '+' || s.at[i] == '-')
        i++;
    bool hex = i + 1 < s.len && s.at[i] == '0' && (s.at[i + 1] | 32) == 'x';
    while (i < s.len && (is_alnum(s.at[i]) || s.at[i] == '.' ||
                         ((s.at[i] == '+' || s.at[i] == '-') &&
                          ((s.at[i - 1] | 32) == 'p' || (!hex && (s.at[i - 1] | 32) == 'e')))))
        i++;
    emit(p, TK_NUMBER, start, i);
    return i;
}

/* One token inside an action. */
static size_t lex_inside(Parser *p, size_t i)
{
    Str s = p->text;
    char c = s.at[i];
    size_t start = i;
    if (is_space(c)) {
        bool trim;
        while (i < s.len && is_space(s.at[i]) && !at_right(s, i, &trim))
            i++;
        emit(p, TK_SPACE, start, i);
    } else if (c == '"' || c == '`' || c == '\'') {
        return lex_quote(p, i, c);
    } else if (c == ':') {
        if (i + 1 >= s.len || s.at[i + 1] != '=')
            fail_at(p, i, "expected :=");
        emit(p, TK_DECLARE, i, i + 2);
        return i + 2;
    } else if (strchr("=|,()", c) && c) {
        static const char marks[] = "=|,()";
        static const TokKind kinds[] = {TK_ASSIGN, TK_PIPE, TK_COMMA, TK_LPAREN, TK_RPAREN};
        emit(p, kinds[strchr(marks, c) - marks], i, i + 1);
        return i + 1;
    } else if (c == '$' || (c == '.' && !(i + 1 < s.len && s.at[i + 1] >= '0' && s.at[i + 1] <= '9'))) {
        i++;
        while (i < s.len && is_alnum(s.at[i]))
            i++;
        bool bare = i == start + 1;
        if (!at_terminator(s, i))
            fail_at(p, i, "bad character U+%04X '%c'", (u8)s.at[i], s.at[i]);
        emit(p, c == '$' ? TK_VARIABLE : bare ? TK_DOT : TK_FIELD, start, i);
    } else if (c == '.' || c == '+' || c == '-' || (c >= '0' && c <= '9')) {
        return lex_number(p, i);
    } else if (is_alnum(c)) {
        while (i < s.len && is_alnum(s.at[i]))
            i++;
        if (!at_terminator(s, i))
            fail_at(p, i, "bad character U+%04X '%c'", (u8)s.at[i], s.at[i]);
        emit(p, word_kind(str_sub(s, start, i)), start, i);
    } else {
        if ((u8)c > 0x20 && (u8)c < 0x7f)
            fail_at(p, i, "unexpected \"%c\" in command", c);
        else
            fail_at(p, i, "unrecognized character in action: U+%04X", (u8)c);
        i++;
    }
    return i;
}

static size_t lex_comment(Parser *p, size_t i, bool *ret_trim)
{
    size_t end = str_find(str_skip(p->text, i), S("*/"));
    if (end == SIZE_MAX) {
        fail_at(p, i, "unclosed comment");
        return p->text.len;
    }
    i += end + 2;
    if (!at_right(p->text, i, ret_trim)) {
        fail_at(p, i, "comment ends before closing delimiter");
        return p->text.len;
    }
    return i + (*ret_trim ? 4 : 2);
}

static void lex_all(Parser *p)
{
    Str s = p->text;
    size_t i = 0;
    bool trim_left = false;
    while (p->err == OK && i <= s.len) {
        size_t open = str_find(str_skip(s, i), S("{{"));
        size_t text_end = open == SIZE_MAX ? s.len : i + open;
        bool trim = open != SIZE_MAX && text_end + 3 < s.len && s.at[text_end + 2] == '-' &&
                    is_space(s.at[text_end + 3]);
        size_t from = i;
        if (trim_left)
            while (from < text_end && is_space(s.at[from]))
                from++;
        Str text = str_sub(s, from, text_end);
        if (trim)
            text = trim_right(text);
        if (text.len)
            emit(p, TK_TEXT, from, from + text.len);
        if (open == SIZE_MAX)
            break;
        i = text_end + 2 + (trim ? 2 : 0);
        trim_left = false;
        size_t after = i;
        if (str_starts(str_skip(s, after), S("/*"))) {
            i = lex_comment(p, after, &trim_left);
            continue;
        }
        emit(p, TK_LEFT, text_end, i);
        int parens = 0;
        for (;;) {
            if (p->err != OK)
                return;
            if (i >= s.len) {
                fail_at(p, text_end, "unclosed action");
                return;
            }
            if (at_right(s, i, &trim_left)) {
                size_t to = i + (trim_left ? 4 : 2);
                if (parens)
                    fail_at(p, i, "unclosed left paren");
                emit(p, TK_RIGHT, i, to);
                i = to;
                break;
            }
            parens += (s.at[i] == '(') - (s.at[i] == ')');
            if (parens < 0)
                fail_at(p, i, "unexpected right paren");
            i = lex_inside(p, i);
        }
    }
    emit(p, TK_EOF, s.len, s.len);
}

/* ---- parser ---- */
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
        fail_at(p, t.pos, "unexpected EOF");
    else if (t.kind == TK_KEYWORD || t.kind == TK_DOT || t.kind == TK_NIL)
        fail_at(p, t.pos, "unexpected <%.*s> in %s", STR_FMT(t.text), context);
    else
        fail_at(p, t.pos, "unexpected \"%.*s\" in %s", (int)MIN(t.text.len, 40), t.text.at, context);
}

static TNode *node_new(Parser *p, TNodeKind kind, u32 pos)
{
    TNode *n = arena_new(p->set->arena, TNode);
    n->kind = kind;
    n->pos = pos;
    if (arena_over(p->set->arena))
        fail_at(p, pos, "template is too large");
    return n;
}

static void node_add(Parser *p, TNode *n, TNode *item)
{
    if ((n->len & (n->len - 1)) == 0) { /* a full power of two (or empty): double */
        u32 cap = n->len ? n->len * 2 : 1;
        TNode **items = arena_array(p->set->arena, TNode *, cap);
        if (!items) {
            fail_at(p, n->pos, "template is too large");
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
            fail_at(p, n->pos, "template is too large");
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
    n->source = trim_right(str_sub(p->text, n->pos, MAX(end, n->pos)));
}

/* Go's escapes in "…" and '…'. */
static bool unquote(Parser *p, Str body, Buf *out)
{
    for (size_t i = 0; i < body.len;) {
        char c = body.at[i++];
        if (c != '\\') {
            buf_char(out, c);
            continue;
        }
        if (i >= body.len)
            return false;
        c = body.at[i++];
        static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
        const char *hit = strchr(from, c);
        int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '7' ? 3 : 0;
        if (hit && c) {
            buf_char(out, to[hit - from]);
        } else if (digits) {
            u32 v = 0;
            if (digits == 3)
                i--;
            for (int k = 0; k < digits; k++, i++) {
                u32 h = i < body.len ? hex_digit(body.at[i]) : 16, base = digits == 3 ? 8 : 16;
                if (h >= base)
                    return false;
                v = v * base + h;
            }
            if (digits <= 3) {
                if (v > 255)
                    return false;
                buf_char(out, (char)v);
            } else {
                char utf8[4];
                if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
                    return false;
                buf_put(out, utf8, rune_encode(v, utf8));
            }
        } else {
            return false;
        }
    }
    return true;
}

static Str string_value(Parser *p, Tok t)
{
    Str body = str_sub(t.text, 1, t.text.len - 1);
    if (t.kind == TK_RAW) {
        if (str_find_char(body, '\r') == SIZE_MAX)
            return body;
        Buf raw;
        buf_init(&raw, body.len + 1);
        for (size_t i = 0; i < body.len; i++)
            if (body.at[i] != '\r')
                buf_char(&raw, body.at[i]);
        Str ret = arena_dup(p->set->arena, buf_view(&raw));
        buf_done(&raw);
        return ret;
    }
    if (str_find_char(body, '\\') == SIZE_MAX)
        return body;
    Buf b;
    buf_init(&b, body.len + 16);
    if (!unquote(p, body, &b))
        fail_at(p, t.pos, "invalid syntax");
    Str ret = arena_dup(p->set->arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

static bool parse_int(Str s, i64 *ret)
{
    bool neg = false;
    if (s.len && (s.at[0] == '+' || s.at[0] == '-')) {
        neg = s.at[0] == '-';
        s = str_skip(s, 1);
    }
    u32 base = 10;
    bool prefixed = false;
    if (s.len > 1 && s.at[0] == '0') {
        char k = (char)(s.at[1] | 32);
        base = k == 'x' ? 16 : k == 'b' ? 2 : 8;
        s = str_skip(s, k == 'x' || k == 'b' || k == 'o' ? 2 : 1);
        prefixed = true;
    }
    u64 v = 0;
    bool digit = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '_' && (digit || prefixed) && i + 1 < s.len && s.at[i + 1] != '_')
            continue;
        u32 d = hex_digit(c);
        if (d >= base || __builtin_mul_overflow(v, (u64)base, &v) || __builtin_add_overflow(v, (u64)d, &v))
            return false;
        digit = true;
    }
    if (!digit || v > (u64)INT64_MAX + neg)
        return false;
    *ret = neg ? (i64)(0 - v) : (i64)v;
    return true;
}

static TNode *number_node(Parser *p, Tok t)
{
    TNode *n = node_new(p, TN_CONST, t.pos);
    n->source = t.text;
    i64 i;
    f64 f;
    bool hex = str_find_char(t.text, 'x') != SIZE_MAX || str_find_char(t.text, 'X') != SIZE_MAX;
    if (t.kind == TK_CHAR) {
        Buf b;
        u32 rune = 0;
        buf_init(&b, 64);
        Str body = str_sub(t.text, 1, t.text.len - 1);
        bool good = unquote(p, body, &b) && b.len && str_rune(buf_view(&b), &rune) == b.len;
        if (!good)
            fail_at(p, t.pos, "malformed character constant: %.*s", (int)MIN(t.text.len, 40), t.text.at);
        n->value = tv_int((i64)rune);
        buf_done(&b);
    } else if (parse_int(t.text, &i)) {
        n->value = tv_int(i);
    } else if ((str_find_char(t.text, '.') != SIZE_MAX || hex || str_find_char(t.text, 'e') != SIZE_MAX ||
                str_find_char(t.text, 'E') != SIZE_MAX) &&
               parse_f64(t.text, &f) == OK) {
        n->value = tv_f64(f);
    } else {
        fail_at(p, t.pos, "bad number syntax: \"%.*s\"", (int)MIN(t.text.len, 40), t.text.at);
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
            fail_at(p, t.pos, "function \"%.*s\" not defined", (int)MIN(t.text.len, 100), t.text.at);
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
            fail_at(p, t.pos, "undefined variable \"%.*s\"", (int)MIN(t.text.len, 100), t.text.at);
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
        n->value = tv_str(string_value(p, t));
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
        fail_at(p, peek(p).pos, "unexpected . after term %s", buf_cstr(&b));
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
        fail_at(p, cmd->pos, "empty command");
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
        fail_at(p, v.pos, "more than %d variables", VARS_MAX);
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
            fail_at(p, v.pos, "too many declarations in %s", context);
            return;
        }
        skip_space(p);
        if (peek(p).kind != TK_VARIABLE) {
            fail_at(p, v.pos, "range can only initialize variables");
            return;
        }
    }
}

static TNode *pipeline(Parser *p, const char *context, TokKind end)
{
    skip_space(p);
    TNode *pipe = node_new(p, TN_PIPE, peek(p).pos);
    if (++p->depth > DEPTH_MAX) {
        fail_at(p, pipe->pos, "nested deeper than %d", DEPTH_MAX);
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
        fail_at(p, pipe->pos, "missing value for %s", context);
    for (u32 i = 1; p->err == OK && i < pipe->len; i++) {
        TNodeKind k = pipe->items[i]->items[0]->kind;
        if (k == TN_CONST || k == TN_DOT || k == TN_NIL)
            fail_at(p, pipe->items[i]->pos, "non executable command in pipeline stage %u", i + 1);
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
                fail_at(p, t.pos, "nested deeper than %d", DEPTH_MAX);
                return n;
            }
            n->other = node_new(p, TN_LIST, t.pos);
            node_add(p, n->other, control(p, kind, context, t.pos));
            p->depth--;
        } else if (t.kind == TK_RIGHT) {
            n->other = text_list(p, false, &stop);
            if (p->err == OK && stop == STOP_ELSE)
                fail_at(p, t.pos, "expected end; found {{else}}");
        } else {
            unexpected(p, t, "else");
        }
    }
    if (p->err == OK && stop == STOP_EOF)
        fail_at(p, p->text.len, "unexpected EOF");
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
    return string_value(p, t);
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
        fail_at(p, t.pos, "unexpected {{else}} in define clause");
    if (p->err == OK && stop == STOP_EOF)
        fail_at(p, p->text.len, "unexpected EOF");
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
        fail_at(p, p->text.len, stop == STOP_EOF ? "unexpected EOF" : "unexpected {{else}} in block clause");
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
            fail_at(p, t.pos, "{{%.*s}} outside {{range}}", STR_FMT(t.text));
        node_add(p, list, node_new(p, is_keyword(t, "break") ? TN_BREAK : TN_CONTINUE, t.pos));
    } else if (is_keyword(t, "end") && !top) {
        expect_right(p, "end");
        *ret_stop = STOP_END;
        return true;
    } else if (is_keyword(t, "else") && !top) {
        *ret_stop = STOP_ELSE; /* the rest of {{else …}} is our caller's */
        return true;
    } else {
        fail_at(p, t.pos, "unexpected {{%.*s}}", STR_FMT(t.text));
    }
    return false;
}

static TNode *text_list(Parser *p, bool top, Stop *ret_stop)
{
    TNode *list = node_new(p, TN_LIST, peek(p).pos);
    *ret_stop = STOP_EOF;
    if (++p->depth > DEPTH_MAX)
        fail_at(p, list->pos, "nested deeper than %d", DEPTH_MAX);
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
    lex_all(&p);
    if (p.err == OK) {
        Stop stop;
        TNode *body = text_list(&p, true, &stop);
        if (p.err == OK)
            define(&p, p.name, body);
    }
    vec_done(&p.toks);
    return p.err;
}
