/* Matchers as alertmanager.yml, the API and amtool write them: the UTF-8 grammar, the classic one, and both at once
 * (fallback), where the classic reading wins when they disagree. */
#include "alert/alert.h"

#include <stdio.h>
#include <stdlib.h>

enum { MATCHERS_MAX = 1000, INPUT_MAX = 64 << 10 };

static MatchMode mode = MATCH_FALLBACK;

void match_set_mode(MatchMode m)
{
    mode = m;
}

bool match_label_name_ok(Str name)
{
    return mode == MATCH_CLASSIC ? label_name_is_classic(name) : name.len && str_is_utf8(name);
}

static bool is_space(u32 r)
{
    return r == ' ' || (r >= 9 && r <= 13) || r == 0x85 || r == 0xa0 || r == 0x1680 ||
           (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f || r == 0x205f ||
           r == 0x3000;
}

static bool is_reserved(u32 r)
{
    return is_space(r) || (r && r < 0x80 && strchr("{}!=~,\\\"'`", (int)r));
}

/* ---- lists ---- */
void match_list_done(MatchList *l)
{
    for (u32 i = 0; i < l->len; i++)
        matcher_done(&l->at[i]);
    *l = (MatchList){0};
}

/* Alertmanager's dot does not match a line feed; PromQL's, which matcher_init makes, does. */
Err match_init(Matcher *m, MatchOp op, Str name, Str value, Why *why)
{
    if ((op != MATCH_RE && op != MATCH_NRE) || str_find_char(value, '.') == SIZE_MAX)
        return matcher_init(m, op, name, value, why);
    Buf b;
    Regex *re = NULL;
    buf_init(&b, value.len + 16);
    buf_printf(&b, "^(?:%.*s)$", STR_FMT(value));
    Err e = regex_new(value, 0, &re, why); /* so that the complaint is about what was written */
    regex_free(re);
    if (e == OK)
        e = regex_new(buf_view(&b), 0, &re, why);
    buf_done(&b);
    if (e == OK)
        *m = (Matcher){.name = name, .value = value, .op = op, .re = re};
    return e;
}

static Err list_add(MatchList *l, Arena *arena, MatchOp op, Str name, Str value, Why *why)
{
    if (l->len >= MATCHERS_MAX)
        return why_set(why, E_LIMIT, "more than %d matchers", MATCHERS_MAX);
    if ((l->len & (l->len - 1)) == 0) { /* full at every power of two */
        Matcher *at = arena_array(arena, Matcher, l->len ? 2 * l->len : 1);
        if (!at)
            return why_set(why, E_LIMIT, "too many matchers");
        if (l->len)
            memcpy(at, l->at, l->len * sizeof *at);
        l->at = at;
    }
    TRY(match_init(&l->at[l->len], op, name, value, why));
    l->len++;
    return OK;
}

int match_order(const void *x, const void *y)
{
    const Matcher *a = x, *b = y;
    int c = str_cmp(a->name, b->name);
    if (!c)
        c = str_cmp(a->value, b->value);
    return c ? c : (int)a->op - (int)b->op;
}

int alert_labels_order(Labels a, Labels b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    for (u32 i = 0; i < a.len; i++) {
        int c = str_cmp(b.at[i].name, a.at[i].name); /* the one that lacks a name comes first */
        if (!c)
            c = str_cmp(a.at[i].value, b.at[i].value);
        if (c)
            return c;
    }
    return 0;
}

int alerts_order(Labels a, Labels b)
{
    static const Str first[] = {STR_INIT("job"), STR_INIT("instance")};
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        bool has_a = labels_has(a, first[i]), has_b = labels_has(b, first[i]);
        int c = has_a && has_b ? str_cmp(labels_get(a, first[i]), labels_get(b, first[i])) : has_b - has_a;
        if (c)
            return c;
    }
    return alert_labels_order(a, b);
}

/* ---- the UTF-8 grammar: [{] name op value {, name op value} [,] [}] ---- */
typedef enum TokenKind { TOK_END, TOK_OPEN, TOK_CLOSE, TOK_COMMA, TOK_OP, TOK_QUOTED, TOK_WORD } TokenKind;
typedef struct Token {
    TokenKind kind;
    MatchOp op;
    Str text;
    u32 from, to; /* columns, in code points */
} Token;
typedef struct Scanner {
    Str in;
    size_t at;
    u32 col;
} Scanner;

static u32 scan_rune(Scanner *s)
{
    u32 r = 0;
    s->at += str_rune(str_skip(s->in, s->at), &r);
    s->col++;
    return r;
}

static Err scan_operator(Scanner *s, Token *t, Why *why)
{
    char first = s->in.at[s->at], second = s->at + 1 < s->in.len ? s->in.at[s->at + 1] : 0;
    t->kind = TOK_OP;
    s->at++, s->col++;
    if (first == '=') {
        t->op = second == '~' ? MATCH_RE : MATCH_EQ;
        if (second == '~')
            s->at++, s->col++;
        return OK;
    }
    if (second != '=' && second != '~')
        return why_set(why, E_PARSE, "%u:%u: !: expected one of '=~'", t->from, s->col);
    t->op = second == '=' ? MATCH_NE : MATCH_NRE;
    s->at++, s->col++;
    return OK;
}

static Err scan_quoted(Scanner *s, Token *t, Why *why)
{
    bool escaped = false;
    t->kind = TOK_QUOTED;
    scan_rune(s);
    while (s->at < s->in.len) {
        u32 r = scan_rune(s);
        if (!escaped && r == '"')
            return OK;
        escaped = !escaped && r == '\\';
    }
    return why_set(why, E_PARSE, "%u:%u: the closing quote is missing", t->from, s->col);
}

static Err scan(Scanner *s, Token *t, Why *why)
{
    u32 r = 0;
    for (;;) { /* spaces */
        if (s->at >= s->in.len) {
            *t = (Token){.kind = TOK_END, .from = s->col, .to = s->col};
            return OK;
        }
        str_rune(str_skip(s->in, s->at), &r);
        if (!is_space(r))
            break;
        scan_rune(s);
    }
    size_t from = s->at;
    *t = (Token){.from = s->col};
    if (r == '{' || r == '}' || r == ',') {
        t->kind = r == '{' ? TOK_OPEN : r == '}' ? TOK_CLOSE : TOK_COMMA;
        scan_rune(s);
    } else if (r == '=' || r == '!') {
        TRY(scan_operator(s, t, why));
    } else if (r == '"') {
        TRY(scan_quoted(s, t, why));
    } else if (is_reserved(r)) {
        return why_set(why, E_PARSE, "%u:%u: %c: invalid input", s->col, s->col + 1, (char)r);
    } else {
        t->kind = TOK_WORD;
        while (s->at < s->in.len) {
            str_rune(str_skip(s->in, s->at), &r);
            if (is_reserved(r))
                break;
            scan_rune(s);
        }
    }
    t->text = str_sub(s->in, from, s->at);
    t->to = s->col;
    return OK;
}

static Err token_value(const Token *t, Arena *arena, const char *want, Str *ret, Why *why)
{
    if (t->kind == TOK_WORD) {
        *ret = t->text;
        return OK;
    }
    if (t->kind != TOK_QUOTED)
        return why_set(why, E_PARSE, "%u:%u: %s%.*s: expected %s", t->from, t->to,
                       t->kind == TOK_END ? "end of input" : "unexpected ", (int)MIN(t->text.len, 200),
                       t->text.at, want);
    if (!go_unquote(t->text, arena, ret) || !str_is_utf8(*ret))
        return why_set(why, E_PARSE, "%u:%u: %.*s: invalid input", t->from, t->to, (int)MIN(t->text.len, 200),
                       t->text.at);
    return OK;
}

static Err parse_utf8(Str in, Arena *arena, MatchList *ret, Why *why)
{
    Scanner s = {.in = in};
    Token t;
    TRY(scan(&s, &t, why));
    bool open = t.kind == TOK_OPEN;
    if (open)
        TRY(scan(&s, &t, why));
    while (t.kind != TOK_END && t.kind != TOK_CLOSE) {
        Str name, value;
        Token op;
        TRY(token_value(&t, arena, "label name", &name, why));
        TRY(scan(&s, &op, why));
        if (op.kind != TOK_OP)
            return why_set(why, E_PARSE,
                           "%u:%u: expected an operator such as '=', '!=', '=~' or '!~' after %.*s", op.from,
                           op.to, (int)MIN(name.len, 200), name.at);
        TRY(scan(&s, &t, why));
        TRY(token_value(&t, arena, "label value", &value, why));
        TRY(list_add(ret, arena, op.op, name, value, why));
        TRY(scan(&s, &t, why));
        if (t.kind == TOK_COMMA)
            TRY(scan(&s, &t, why));
        else if (t.kind != TOK_END && t.kind != TOK_CLOSE)
            return why_set(why, E_PARSE, "%u:%u: unexpected %.*s: expected a comma or close brace", t.from,
                           t.to, (int)MIN(t.text.len, 200), t.text.at);
    }
    if (open && t.kind != TOK_CLOSE)
        return why_set(why, E_PARSE, "%u:%u: end of input: expected close brace", t.from, t.to);
    if (!open && t.kind == TOK_CLOSE)
        return why_set(why, E_PARSE, "%u:%u: }: expected opening brace", t.from, t.to);
    if (t.kind == TOK_CLOSE) {
        TRY(scan(&s, &t, why));
        if (t.kind != TOK_END)
            return why_set(why, E_PARSE, "%u:%u: %.*s: expected end of input", t.from, t.to,
                           (int)MIN(t.text.len, 200), t.text.at);
    }
    return OK;
}

/* ---- the classic grammar ---- */
static bool classic_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool classic_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (!first && c >= '0' && c <= '9');
}

static Err classic_value(Str raw, Arena *arena, Str *ret, Why *why)
{
    Str s = raw;
    bool quoted = s.len && s.at[0] == '"', closed = false;
    if (quoted)
        s = str_skip(s, 1);
    if (!str_is_utf8(s))
        return why_set(why, E_PARSE, "matcher value not valid UTF-8");
    char *out = arena_array(arena, char, 2 * s.len + 1);
    size_t n = 0;
    if (!out)
        return why_set(why, E_LIMIT, "the matcher is too long");
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '\\' && i + 1 < s.len) {
            char next = s.at[++i];
            if (next == 'n') {
                out[n++] = '\n';
            } else {
                if (next != '"' && next != '\\') /* no escape: the backslash stands for itself */
                    out[n++] = '\\';
                out[n++] = next;
            }
        } else if (c == '"') {
            if (!quoted || i + 1 < s.len)
                return why_set(why, E_PARSE, "matcher value contains unescaped double quote: %.*s",
                               (int)MIN(raw.len, 200), raw.at);
            closed = true;
        } else {
            out[n++] = c;
        }
    }
    if (quoted && !closed)
        return why_set(why, E_PARSE, "matcher value contains unescaped double quote: %.*s",
                       (int)MIN(raw.len, 200), raw.at);
    *ret = str_of(out, n);
    return OK;
}

static Err classic_one(Str in, Arena *arena, MatchList *ret, Why *why)
{
    Str s = in;
    size_t n = 0;
    while (s.len && classic_space(s.at[0]))
        s = str_skip(s, 1);
    while (n < s.len && classic_name_char(s.at[n], n == 0))
        n++;
    Str name = str_sub(s, 0, n), value;
    s = str_skip(s, n);
    while (s.len && classic_space(s.at[0]))
        s = str_skip(s, 1);
    MatchOp op;
    size_t used = 2;
    if (str_starts(s, S("=~"))) {
        op = MATCH_RE;
    } else if (str_starts(s, S("="))) {
        op = MATCH_EQ;
        used = 1;
    } else if (str_starts(s, S("!="))) {
        op = MATCH_NE;
    } else if (str_starts(s, S("!~"))) {
        op = MATCH_NRE;
    } else {
        n = 0;
    }
    if (!n)
        return why_set(why, E_PARSE, "bad matcher format: %.*s", (int)MIN(in.len, 200), in.at);
    s = str_skip(s, used);
    while (s.len && classic_space(s.at[0]))
        s = str_skip(s, 1);
    while (s.len && classic_space(s.at[s.len - 1]))
        s.len--;
    TRY(classic_value(s, arena, &value, why));
    return list_add(ret, arena, op, name, value, why);
}

/* Commas outside quotes separate; one at the end is allowed. */
static Err parse_classic(Str in, Arena *arena, MatchList *ret, Why *why)
{
    if (in.len && in.at[0] == '{')
        in = str_skip(in, 1);
    if (in.len && in.at[in.len - 1] == '}')
        in.len--;
    bool quoted = false, escaped = false;
    size_t from = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        if (c == ',' && !quoted) {
            TRY(classic_one(str_sub(in, from, i), arena, ret, why));
            from = i + 1;
        } else if (c == '"') {
            quoted ^= !escaped;
            escaped = false;
        } else {
            escaped = c == '\\' && !escaped;
        }
    }
    Str last = str_trim(str_skip(in, from));
    return last.len ? classic_one(last, arena, ret, why) : OK;
}

/* ---- both ---- */
static bool same_lists(const MatchList *a, const MatchList *b)
{
    if (a->len != b->len)
        return false;
    for (u32 i = 0; i < a->len; i++)
        if (match_order(&a->at[i], &b->at[i]) != 0)
            return false;
    return true;
}

static Err parse_both(Str in, bool single, Arena *arena, MatchList *ret, Str *ret_remark, Why *why)
{
    MatchList utf8 = {0}, classic = {0};
    Why why8 = {0}, why_classic = {0};
    Err e8 = parse_utf8(in, arena, &utf8, &why8);
    if (e8 == OK && single && utf8.len != 1)
        e8 = why_set(&why8, E_PARSE, "expected 1 matcher, found %u", utf8.len);
    Err e = single ? classic_one(in, arena, &classic, &why_classic)
                   : parse_classic(in, arena, &classic, &why_classic);
    if (e8 != OK && e != OK) {
        match_list_done(&utf8);
        match_list_done(&classic);
        return why_set(why, e, "%s", why_classic.text);
    }
    if (e == OK && (e8 != OK || !same_lists(&utf8, &classic))) {
        if (e8 == OK) {
            *ret_remark =
                S("it means different things to the classic and to the UTF-8 matcher syntax; the "
                  "classic reading holds. Put the value in double quotes, with backslashes doubled");
        } else {
            Buf b;
            buf_init(&b, 64 << 10);
            for (u32 i = 0; i < classic.len; i++) {
                if (i)
                    buf_char(&b, ',');
                match_print(&b, &classic.at[i]);
            }
            *ret_remark = arena_printf(arena, "only the classic matcher syntax can read it; write %.*s",
                                       STR_FMT(buf_view(&b)));
            buf_done(&b);
        }
        match_list_done(&utf8);
        *ret = classic;
        return OK;
    }
    match_list_done(&classic);
    *ret = utf8;
    return OK;
}

static Err parse(Str in, bool single, Arena *arena, MatchList *ret, Str *ret_remark, Why *why)
{
    Str remark = S("");
    MatchList l = {0};
    Err e;
    *ret = (MatchList){0};
    if (in.len > INPUT_MAX)
        return why_set(why, E_TOO_LARGE, "a matcher of %zu bytes: at most %d", in.len, INPUT_MAX);
    if (single && mode != MATCH_CLASSIC && (str_starts(in, S("{")) || (in.len && in.at[in.len - 1] == '}')))
        return why_set(why, E_PARSE, "unexpected open or close brace: %.*s", (int)MIN(in.len, 200), in.at);
    if (mode == MATCH_FALLBACK)
        e = parse_both(in, single, arena, &l, &remark, why);
    else if (mode == MATCH_UTF8)
        e = parse_utf8(in, arena, &l, why);
    else
        e = single ? classic_one(in, arena, &l, why) : parse_classic(in, arena, &l, why);
    if (e == OK && single && l.len != 1)
        e = l.len ? why_set(why, E_PARSE, "expected 1 matcher, found %u", l.len)
                  : why_set(why, E_PARSE, "no matchers");
    if (e != OK) {
        match_list_done(&l);
        return e;
    }
    *ret = l;
    if (ret_remark)
        *ret_remark = remark;
    return OK;
}

Err match_parse(Str in, Arena *arena, MatchList *ret, Str *ret_remark, Why *why)
{
    return parse(in, false, arena, ret, ret_remark, why);
}

Err match_parse_one(Str in, Arena *arena, MatchList *ret, Why *why)
{
    return parse(in, true, arena, ret, NULL, why);
}

/* ---- printing ---- */
void match_print(Buf *out, const Matcher *m)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    for (size_t i = 0; i < m->name.len;) {
        u32 r;
        i += str_rune(str_skip(m->name, i), &r);
        if (is_reserved(r)) {
            go_quote(out, m->name);
            buf_c(out, ops[m->op]);
            go_quote(out, m->value);
            return;
        }
    }
    buf_printf(out, "%.*s%s\"", STR_FMT(m->name), ops[m->op]);
    for (size_t i = 0; i < m->value.len; i++) {
        char c = m->value.at[i];
        if (c == '\n')
            buf_c(out, "\\n");
        else if (c == '\\' || c == '"')
            buf_printf(out, "\\%c", c);
        else
            buf_char(out, c);
    }
    buf_char(out, '"');
}

void match_print_all(Buf *out, Matchers m)
{
    buf_char(out, '{');
    for (u32 i = 0; i < m.len; i++) {
        if (i)
            buf_char(out, ',');
        match_print(out, &m.at[i]);
    }
    buf_char(out, '}');
}
