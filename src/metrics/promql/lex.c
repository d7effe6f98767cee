/* The scanner of PromQL. See lex.h. */
#include "metrics/promql/lex.h"

#include <stdio.h>

#include "text/text.h"

#define RUNE_EOF   0xffffffffu
#define RUNE_ERROR 0xfffdu

typedef struct Word {
    const char *text;
    Tok kind;
} Word;

/* Sorted by text; inf and nan are numbers. */
static const Word words[] = {
    {"anchored", T_ANCHORED},
    {"and", T_AND},
    {"atan2", T_ATAN2},
    {"avg", T_AVG},
    {"bool", T_BOOL},
    {"bottomk", T_BOTTOMK},
    {"by", T_BY},
    {"count", T_COUNT},
    {"count_values", T_COUNT_VALUES},
    {"end", T_END},
    {"fill", T_FILL},
    {"fill_left", T_FILL_LEFT},
    {"fill_right", T_FILL_RIGHT},
    {"group", T_GROUP},
    {"group_left", T_GROUP_LEFT},
    {"group_right", T_GROUP_RIGHT},
    {"ignoring", T_IGNORING},
    {"inf", T_NUMBER},
    {"limit_ratio", T_LIMIT_RATIO},
    {"limitk", T_LIMITK},
    {"max", T_MAX},
    {"max_of", T_MAX_OF},
    {"min", T_MIN},
    {"min_of", T_MIN_OF},
    {"nan", T_NUMBER},
    {"offset", T_OFFSET},
    {"on", T_ON},
    {"or", T_OR},
    {"quantile", T_QUANTILE},
    {"range", T_RANGE},
    {"smoothed", T_SMOOTHED},
    {"start", T_START},
    {"stddev", T_STDDEV},
    {"stdvar", T_STDVAR},
    {"step", T_STEP},
    {"sum", T_SUM},
    {"topk", T_TOPK},
    {"unless", T_UNLESS},
    {"without", T_WITHOUT},
};
#define WORD_MAX 12

const char *tok_text(Tok t)
{
    switch (t) {
    case T_LPAREN:
        return "(";
    case T_RPAREN:
        return ")";
    case T_LBRACE:
        return "{";
    case T_RBRACE:
        return "}";
    case T_LBRACKET:
        return "[";
    case T_RBRACKET:
        return "]";
    case T_COMMA:
        return ",";
    case T_COLON:
        return ":";
    case T_EQL:
        return "=";
    case T_ADD:
        return "+";
    case T_SUB:
        return "-";
    case T_MUL:
        return "*";
    case T_DIV:
        return "/";
    case T_MOD:
        return "%";
    case T_POW:
        return "^";
    case T_EQLC:
        return "==";
    case T_NEQ:
        return "!=";
    case T_LSS:
        return "<";
    case T_GTR:
        return ">";
    case T_LTE:
        return "<=";
    case T_GTE:
        return ">=";
    case T_TRIM_UPPER:
        return "</";
    case T_TRIM_LOWER:
        return ">/";
    case T_EQL_REGEX:
        return "=~";
    case T_NEQ_REGEX:
        return "!~";
    case T_AT:
        return "@";
    default:
        for (size_t i = 0; i < COUNT_OF(words); i++)
            if (words[i].kind == t)
                return words[i].text;
        return "";
    }
}

bool tok_is_aggr(Tok t)
{
    return t >= T_SUM && t <= T_LIMIT_RATIO;
}

/* %.10q of Go: the first ten code points, quoted. */
static void put_short_quoted(Buf *out, Str s)
{
    go_quote(out, str_sub(s, 0, str_rune_prefix(s, 10)));
    if (s.len > 10)
        buf_c(out, "...");
}

void tok_describe(Buf *out, Token t, Str input)
{
    Str text = str_sub(input, t.from, t.to);
    switch (t.kind) {
    case T_EOF:
        buf_c(out, "end of input");
        return;
    case T_IDENTIFIER:
        buf_c(out, "identifier ");
        break;
    case T_METRIC:
        buf_c(out, "metric identifier ");
        break;
    case T_STRING:
        buf_c(out, "string ");
        break;
    case T_NUMBER:
        buf_c(out, "number ");
        break;
    case T_DURATION:
        buf_c(out, "duration ");
        break;
    default:
        break;
    }
    if (t.kind == T_IDENTIFIER || t.kind == T_METRIC)
        go_quote(out, text);
    else if (t.kind >= T_OFFSET && t.kind <= T_BOOL)
        buf_printf(out, "<%.*s>", STR_FMT(text));
    else if (t.kind >= T_ADD && t.kind <= T_AT)
        buf_printf(out, "<op:%.*s>", STR_FMT(text));
    else if (tok_is_aggr(t.kind))
        buf_printf(out, "<aggr:%.*s>", STR_FMT(text));
    else
        put_short_quoted(out, text);
}

/* ---- characters ---- */

static bool is_digit(u32 r)
{
    return r >= '0' && r <= '9';
}

static bool is_alpha(u32 r)
{
    return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
}

static bool is_alnum(u32 r)
{
    return is_alpha(r) || is_digit(r);
}

static bool is_space(u32 r)
{
    return r == ' ' || r == '\t' || r == '\n' || r == '\r';
}

static u32 next(Lexer *l)
{
    u32 r;
    if (l->pos >= l->input.len)
        return RUNE_EOF;
    u8 c = (u8)l->input.at[l->pos];
    if (c < 0x80) {
        l->pos++;
        return c;
    }
    l->pos += (u32)str_rune(str_skip(l->input, l->pos), &r);
    return r;
}

static u32 peek(Lexer *l)
{
    u32 at = l->pos, r = next(l);
    l->pos = at;
    return r;
}

static bool in_set(u32 r, const char *set)
{
    return r != 0 && r < 0x80 && strchr(set, (int)r) != NULL;
}

static bool accept(Lexer *l, const char *set)
{
    if (!in_set(peek(l), set))
        return false;
    l->pos++;
    return true;
}

/* ---- tokens ---- */

static Token emit(Lexer *l, Tok kind)
{
    Token t = {kind, l->start, l->pos};
    l->start = l->pos;
    return t;
}

static Token fail(Lexer *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static Token fail(Lexer *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->error, sizeof l->error, fmt, ap);
    va_end(ap);
    l->is_done = true;
    return (Token){T_ERROR, l->start, (u32)l->input.len};
}

/* Go's %q of a rune: 'x' with escapes. */
static void quote_rune(u32 r, char ret[32])
{
    char utf8[4];
    Buf b;
    if (r == RUNE_EOF)
        r = RUNE_ERROR;
    if (r == '\'' || r == '"') {
        snprintf(ret, 32, r == '"' ? "'\"'" : "'\\''");
        return;
    }
    buf_init(&b, 64);
    go_quote(&b, str_of(utf8, rune_encode(r, utf8)));
    Str s = buf_view(&b);
    snprintf(ret, 32, "'%.*s'", (int)(s.len - 2), s.at + 1);
    buf_done(&b);
}

static Token fail_rune(Lexer *l, const char *text, u32 r)
{
    char q[32];
    quote_rune(r, q);
    return fail(l, "%s: %s", text, q);
}

static Token fail_text(Lexer *l, const char *text, Str s)
{
    Buf b;
    buf_init(&b, 200);
    go_quote(&b, str_sub(s, 0, 100));
    Token t = fail(l, "%s: %s", text, buf_cstr(&b));
    buf_done(&b);
    return t;
}

/* ---- numbers and durations ---- */

/* A superset of the valid numbers: the parser finds the rest. Where it stops when it fails is part of the message. */
static bool scan_number(Lexer *l)
{
    const char *digits = "0123456789";
    bool is_hex = false, dot = false, exponent = false;
    u32 from = l->pos;
    if (accept(l, "0") && accept(l, "xX")) {
        accept(l, "_");
        digits = "0123456789abcdefABCDEF";
        is_hex = true;
    }
    accept(l, ".");
    accept(l, digits);
    for (;;) {
        u32 r = peek(l);
        if (r == '.') {
            l->pos++;
            if (dot || accept(l, "_.") || is_hex)
                return false;
            dot = true;
        } else if (r == 'e' || r == 'E') { /* of hexadecimal numbers too, as the reference scanner does */
            l->pos++;
            if (exponent)
                return false;
            exponent = true;
            accept(l, "+-");
            if (accept(l, "._eE") || peek(l) == RUNE_EOF)
                return false;
        } else if (r == '_') {
            l->pos++;
            if (accept(l, "._eE") || peek(l) == RUNE_EOF)
                return false;
        } else if (accept(l, digits)) {
            while (accept(l, digits))
                ;
        } else {
            break;
        }
    }
    return l->pos != from && !is_alnum(peek(l));
}

/* The rest of a duration after its first number. */
static bool scan_duration(Lexer *l)
{
    if (!accept(l, "smhdwy"))
        return false;
    accept(l, "s");
    while (accept(l, "0123456789")) {
        while (accept(l, "0123456789"))
            ;
        if (!accept(l, "smhdw"))
            return false;
        accept(l, "s");
    }
    if (is_alnum(peek(l))) {
        next(l);
        return false;
    }
    return true;
}

static Token number_or_duration(Lexer *l)
{
    l->in_duration = false;
    if (scan_number(l))
        return emit(l, T_NUMBER);
    if (scan_duration(l))
        return emit(l, T_DURATION);
    return fail_text(l, "bad number or duration syntax", str_sub(l->input, l->start, l->pos));
}

/* ---- strings ---- */

/* Go's %#U: U+0063 'c'; without the character when it does not print. */
static void name_rune(u32 r, char ret[48])
{
    char q[32], utf8[4] = {0};
    quote_rune(r, q);
    bool prints = q[1] != '\\' || r == '\\' || r == '\'';
    if (prints)
        snprintf(ret, 48, "U+%04X '%.*s'", r, (int)rune_encode(r, utf8), utf8);
    else
        snprintf(ret, 48, "U+%04X", r);
}

/* After the backslash. True when fine; else *ret is the error. */
static bool scan_escape(Lexer *l, u32 quote, Token *ret)
{
    char q[48];
    u32 n, base, max, x = 0, r = next(l);
    if (r == quote || in_set(r, "abfnrtv\\"))
        return true;
    if (r >= '0' && r <= '7') {
        n = 3, base = 8, max = 255;
    } else if (r == 'x' || r == 'u' || r == 'U') {
        n = r == 'x' ? 2 : r == 'u' ? 4 : 8, base = 16, max = r == 'x' ? 255 : 0x10ffff;
        r = next(l);
    } else {
        name_rune(r, q);
        *ret = r == RUNE_EOF ? fail(l, "escape sequence not terminated")
                             : fail(l, "unknown escape sequence %s", q);
        return false;
    }
    for (; n > 0; n--) {
        u32 d = r < 0x80 ? hex_digit((char)r) : 16;
        if (d >= base) {
            name_rune(r, q);
            *ret = r == RUNE_EOF ? fail(l, "escape sequence not terminated")
                                 : fail(l, "illegal character %s in escape sequence", q);
            return false;
        }
        x = x * base + d;
        if (n > 1)
            r = next(l);
    }
    if (x > max || (x >= 0xd800 && x < 0xe000)) {
        *ret = fail(l, "escape sequence is an invalid Unicode code point");
        return false;
    }
    return true;
}

static Token string(Lexer *l, u32 quote)
{
    Token t;
    for (;;) {
        u32 r = next(l);
        if (r == quote)
            return emit(l, T_STRING);
        if (r == RUNE_ERROR)
            return fail(l, "invalid UTF-8 rune");
        if (quote == '`') {
            if (r == RUNE_EOF)
                return fail(l, "unterminated raw string");
            continue;
        }
        if (r == RUNE_EOF || r == '\n')
            return fail(l, "unterminated quoted string");
        if (r == '\\' && !scan_escape(l, quote, &t))
            return t;
    }
}

/* ---- words ---- */

static bool find_word(Str s, Tok *ret)
{
    char low[WORD_MAX + 1];
    if (s.len > WORD_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        low[i] = s.at[i] >= 'A' && s.at[i] <= 'Z' ? (char)(s.at[i] + 32) : s.at[i];
    low[s.len] = '\0';
    size_t lo = 0, hi = COUNT_OF(words);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(words[mid].text, low);
        if (c == 0) {
            *ret = words[mid].kind;
            return true;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

static bool paren_follows(const Lexer *l)
{
    u32 at = l->pos;
    while (at < l->input.len && is_space((u8)l->input.at[at]))
        at++;
    return at < l->input.len && l->input.at[at] == '(';
}

static Token word(Lexer *l)
{
    Tok kind;
    while (is_alnum(peek(l)) || peek(l) == ':')
        l->pos++;
    Str s = str_sub(l->input, l->start, l->pos);
    if (find_word(s, &kind)) {
        /* fill is young: metrics of that name must go on working. */
        bool is_fill = kind == T_FILL || kind == T_FILL_LEFT || kind == T_FILL_RIGHT;
        return emit(l, is_fill && !paren_follows(l) ? T_IDENTIFIER : kind);
    }
    return emit(l, str_find_char(s, ':') == SIZE_MAX ? T_IDENTIFIER : T_METRIC);
}

/* Inside brackets only these words may stand. */
static bool duration_word(Lexer *l, u32 r, Token *ret)
{
    Tok kind;
    if (!in_set(r | 32, "srm"))
        return false;
    while (is_alpha(peek(l)))
        l->pos++;
    if (!find_word(str_sub(l->input, l->start, l->pos), &kind) || kind < T_STEP || kind > T_MIN_OF)
        return false;
    *ret = emit(l, kind);
    return true;
}

/* ---- states ---- */

static Token close_paren(Lexer *l)
{
    Token t = emit(l, T_RPAREN);
    return --l->paren_depth < 0 ? fail(l, "unexpected right parenthesis ')'") : t;
}

static Token open_paren(Lexer *l)
{
    l->paren_depth++;
    return emit(l, T_LPAREN);
}

static Token either(Lexer *l, char second, Tok two, Tok one)
{
    if (peek(l) != (u8)second)
        return emit(l, one);
    l->pos++;
    return emit(l, two);
}

static Token close_bracket(Lexer *l)
{
    l->bracket_open = l->in_duration = false;
    return emit(l, T_RBRACKET);
}

static Token colon_in_duration(Lexer *l)
{
    Token t = emit(l, T_COLON);
    if (!l->got_duration)
        return fail(l, "unexpected colon before duration in duration expression");
    if (l->got_colon)
        return fail(l, "unexpected repeated colon in duration expression");
    l->got_colon = true;
    return t;
}

static bool arithmetic(u32 r, Tok *ret)
{
    switch (r) {
    case '+':
        *ret = T_ADD;
        return true;
    case '-':
        *ret = T_SUB;
        return true;
    case '*':
        *ret = T_MUL;
        return true;
    case '/':
        *ret = T_DIV;
        return true;
    case '%':
        *ret = T_MOD;
        return true;
    case '^':
        *ret = T_POW;
        return true;
    case ',':
        *ret = T_COMMA;
        return true;
    default:
        return false;
    }
}

static Token duration_state(Lexer *l)
{
    Token t;
    Tok kind;
    u32 r = next(l);
    if (arithmetic(r, &kind))
        return emit(l, kind);
    switch (r) {
    case RUNE_EOF:
        return fail(l, "unexpected end of input in duration expression");
    case ']':
        l->got_colon = false;
        return close_bracket(l);
    case ':':
        return colon_in_duration(l);
    case '(':
        return open_paren(l);
    case ')':
        return close_paren(l);
    default:
        break;
    }
    if (is_digit(r) || (r == '.' && is_digit(peek(l)))) {
        l->pos--;
        l->got_duration = true;
        return number_or_duration(l);
    }
    if (duration_word(l, r, &t))
        return t;
    return fail_rune(l, "unexpected character in duration expression", r);
}

static Token brace_state(Lexer *l)
{
    u32 r = next(l);
    if (is_alpha(r)) {
        while (is_alnum(peek(l)))
            l->pos++;
        return emit(l, T_IDENTIFIER);
    }
    switch (r) {
    case RUNE_EOF:
        return fail(l, "unexpected end of input inside braces");
    case ',':
        return emit(l, T_COMMA);
    case '"':
    case '\'':
    case '`':
        return string(l, r);
    case '=':
        return either(l, '~', T_EQL_REGEX, T_EQL);
    case '!':
        r = next(l);
        if (r == '~' || r == '=')
            return emit(l, r == '~' ? T_NEQ_REGEX : T_NEQ);
        return fail_rune(l, "unexpected character after '!' inside braces", r);
    case '{':
        return fail(l, "unexpected left brace '{'");
    case '}':
        l->brace_open = false;
        return emit(l, T_RBRACE);
    default:
        return fail_rune(l, "unexpected character inside braces", r);
    }
}

static Token end_of_input(Lexer *l)
{
    if (l->paren_depth != 0)
        return fail(l, "unclosed left parenthesis");
    if (l->bracket_open)
        return fail(l, "unclosed left bracket");
    l->is_done = true;
    return emit(l, T_EOF);
}

/* A letter or colon between brackets, after the first number. */
static Token bracket_word(Lexer *l, u32 r)
{
    Token t;
    char q[32];
    if (r == ':') {
        if (l->got_colon)
            return fail(l, "unexpected colon ':'");
        l->got_colon = true;
        return emit(l, T_COLON);
    }
    if (duration_word(l, r, &t))
        return t;
    quote_rune(r, q);
    return fail(l, "unexpected character: %s, expected ':'", q);
}

static Token open_bracket(Lexer *l)
{
    if (l->bracket_open)
        return fail(l, "unexpected left bracket '['");
    l->got_colon = false;
    l->bracket_open = l->in_duration = true;
    return emit(l, T_LBRACKET);
}

static Token statement_state(Lexer *l)
{
    Tok kind;
    u32 r = next(l);
    if (arithmetic(r, &kind))
        return emit(l, kind);
    if (is_digit(r) || (r == '.' && is_digit(peek(l)))) {
        l->pos--;
        return number_or_duration(l);
    }
    if (is_alpha(r) || r == ':') {
        if (l->bracket_open)
            return bracket_word(l, r);
        l->pos--;
        return word(l);
    }
    switch (r) {
    case RUNE_EOF:
        return end_of_input(l);
    case '=':
        if (peek(l) == '~')
            return fail(l, "unexpected character after '=': '~'");
        return either(l, '=', T_EQLC, T_EQL);
    case '!':
        r = next(l);
        return r == '=' ? emit(l, T_NEQ) : fail_rune(l, "unexpected character after '!'", r);
    case '<':
        return peek(l) == '/' ? either(l, '/', T_TRIM_UPPER, T_LSS) : either(l, '=', T_LTE, T_LSS);
    case '>':
        return peek(l) == '/' ? either(l, '/', T_TRIM_LOWER, T_GTR) : either(l, '=', T_GTE, T_GTR);
    case '"':
    case '\'':
    case '`':
        return string(l, r);
    case '(':
        return open_paren(l);
    case ')':
        return close_paren(l);
    case '{':
        l->brace_open = true;
        return emit(l, T_LBRACE);
    case '[':
        return open_bracket(l);
    case ']':
        return l->bracket_open ? close_bracket(l) : fail(l, "unexpected right bracket ']'");
    case '@':
        return emit(l, T_AT);
    default:
        return fail_rune(l, "unexpected character", r);
    }
}

void lex_init(Lexer *l, Str input)
{
    *l = (Lexer){.input = input};
}

Token lex_next(Lexer *l)
{
    if (l->is_done) {
        Tok kind = l->error[0] ? T_ERROR : T_EOF;
        return (Token){kind, l->start, (u32)l->input.len};
    }
    while (is_space(peek(l)) || (!l->in_duration && peek(l) == '#')) {
        if (next(l) == '#')
            while (peek(l) != RUNE_EOF && peek(l) != '\n' && peek(l) != '\r')
                next(l);
        l->start = l->pos;
    }
    if (l->in_duration)
        return duration_state(l);
    return l->brace_open ? brace_state(l) : statement_state(l);
}
