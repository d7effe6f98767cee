/* What tmpl_lex.c and tmpl_parse.c share: tokens of a template's text, and the parser they are gathered in. */
#pragma once
#include "text/tmpl_internal.h"

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

/* Notes the first mistake with its line; later ones are consequences of it. */
void tmpl_fail_at(Parser *p, size_t pos, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void tmpl_lex(Parser *p); /* text to p->toks, ended by TK_EOF unless p->err */
/* What a TK_STRING or TK_RAW says; lives in the template's text or the set's arena. */
Str tmpl_string_value(Parser *p, Tok t);
/* The code point of a TK_CHAR; false: malformed. */
bool tmpl_char_value(Tok t, i64 *ret);
bool tmpl_int_value(Str s, i64 *ret); /* Go's integer literals; false: not one, or over 64 bits */
Str tmpl_trim_right(Str s);
