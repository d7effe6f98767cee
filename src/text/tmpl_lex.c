/* Template text to tokens, and what literals say, after the lexical grammar of Go's text/template. */
#include <stdio.h>

#include "text/tmpl_parse.h"

static u32 line_of(Str text, size_t pos)
{
    u32 line = 1;
    for (size_t i = 0; i < pos && i < text.len; i++)
        line += text.at[i] == '\n';
    return line;
}

void tmpl_fail_at(Parser *p, size_t pos, const char *fmt, ...)
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

Str tmpl_trim_right(Str s)
{
    while (s.len && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

static void emit(Parser *p, TokKind kind, size_t from, size_t to)
{
    if (p->toks.len >= TOKENS_MAX)
        tmpl_fail_at(p, from, "more than %d tokens", TOKENS_MAX);
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
    tmpl_fail_at(p, start, "%s",
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
            tmpl_fail_at(p, i, "expected :=");
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
            tmpl_fail_at(p, i, "bad character U+%04X '%c'", (u8)s.at[i], s.at[i]);
        emit(p, c == '$' ? TK_VARIABLE : bare ? TK_DOT : TK_FIELD, start, i);
    } else if (c == '.' || c == '+' || c == '-' || (c >= '0' && c <= '9')) {
        return lex_number(p, i);
    } else if (is_alnum(c)) {
        while (i < s.len && is_alnum(s.at[i]))
            i++;
        if (!at_terminator(s, i))
            tmpl_fail_at(p, i, "bad character U+%04X '%c'", (u8)s.at[i], s.at[i]);
        emit(p, word_kind(str_sub(s, start, i)), start, i);
    } else {
        if ((u8)c > 0x20 && (u8)c < 0x7f)
            tmpl_fail_at(p, i, "unexpected \"%c\" in command", c);
        else
            tmpl_fail_at(p, i, "unrecognized character in action: U+%04X", (u8)c);
        i++;
    }
    return i;
}

static size_t lex_comment(Parser *p, size_t i, bool *ret_trim)
{
    size_t end = str_find(str_skip(p->text, i), S("*/"));
    if (end == SIZE_MAX) {
        tmpl_fail_at(p, i, "unclosed comment");
        return p->text.len;
    }
    i += end + 2;
    if (!at_right(p->text, i, ret_trim)) {
        tmpl_fail_at(p, i, "comment ends before closing delimiter");
        return p->text.len;
    }
    return i + (*ret_trim ? 4 : 2);
}

void tmpl_lex(Parser *p)
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
            text = tmpl_trim_right(text);
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
                tmpl_fail_at(p, text_end, "unclosed action");
                return;
            }
            if (at_right(s, i, &trim_left)) {
                size_t to = i + (trim_left ? 4 : 2);
                if (parens)
                    tmpl_fail_at(p, i, "unclosed left paren");
                emit(p, TK_RIGHT, i, to);
                i = to;
                break;
            }
            parens += (s.at[i] == '(') - (s.at[i] == ')');
            if (parens < 0)
                tmpl_fail_at(p, i, "unexpected right paren");
            i = lex_inside(p, i);
        }
    }
    emit(p, TK_EOF, s.len, s.len);
}

/* ---- literals ---- */
/* Go's escapes in "…" and '…'. */
static bool unquote(Str body, Buf *out)
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

Str tmpl_string_value(Parser *p, Tok t)
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
    if (!unquote(body, &b))
        tmpl_fail_at(p, t.pos, "invalid syntax");
    Str ret = arena_dup(p->set->arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

bool tmpl_int_value(Str s, i64 *ret)
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

bool tmpl_char_value(Tok t, i64 *ret)
{
    Buf b;
    u32 rune = 0;
    buf_init(&b, 64);
    bool good =
        unquote(str_sub(t.text, 1, t.text.len - 1), &b) && b.len && str_rune(buf_view(&b), &rune) == b.len;
    buf_done(&b);
    *ret = rune;
    return good;
}
