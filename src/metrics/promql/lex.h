/* The scanner of PromQL. Its words, its quirks and its sentences are Prometheus's: scripts and clients compare them.
 *
 * A token borrows the query. A broken one has kind T_ERROR and its sentence in Lexer.error; the error becomes the
 * query's only when the parser looks at the token, so that what was wrong before it is told first.
 */
#pragma once
#include "base/base.h"

typedef enum Tok {
    T_EOF,
    T_ERROR,
    T_IDENTIFIER,
    T_METRIC,
    T_STRING,
    T_NUMBER,
    T_DURATION,
    T_LPAREN,
    T_RPAREN,
    T_LBRACE,
    T_RBRACE,
    T_LBRACKET,
    T_RBRACKET,
    T_COMMA,
    T_COLON,
    T_EQL,
    /* operators: T_ADD .. T_AT */
    T_ADD,
    T_SUB,
    T_MUL,
    T_DIV,
    T_MOD,
    T_POW,
    T_ATAN2,
    T_EQLC,
    T_NEQ,
    T_LSS,
    T_GTR,
    T_LTE,
    T_GTE,
    T_AND,
    T_OR,
    T_UNLESS,
    T_TRIM_UPPER,
    T_TRIM_LOWER,
    T_EQL_REGEX,
    T_NEQ_REGEX,
    T_AT,
    /* aggregations, in the order of AggrOp: T_SUM .. T_LIMIT_RATIO */
    T_SUM,
    T_AVG,
    T_COUNT,
    T_MIN,
    T_MAX,
    T_GROUP,
    T_STDDEV,
    T_STDVAR,
    T_TOPK,
    T_BOTTOMK,
    T_COUNT_VALUES,
    T_QUANTILE,
    T_LIMITK,
    T_LIMIT_RATIO,
    /* keywords: T_OFFSET .. T_BOOL */
    T_OFFSET,
    T_SMOOTHED,
    T_ANCHORED,
    T_BY,
    T_WITHOUT,
    T_ON,
    T_IGNORING,
    T_GROUP_LEFT,
    T_GROUP_RIGHT,
    T_FILL,
    T_FILL_LEFT,
    T_FILL_RIGHT,
    T_BOOL,
    /* words that are functions, or parts of a duration: T_START .. T_MIN_OF */
    T_START,
    T_END,
    T_STEP,
    T_RANGE,
    T_MAX_OF,
    T_MIN_OF,
} Tok;

typedef struct Token {
    Tok kind;
    u32 from, to;
} Token;

typedef struct Lexer {
    Str input;
    u32 pos, start;
    i32 paren_depth;
    bool brace_open, bracket_open, got_colon, got_duration;
    bool in_duration; /* after [, until the first number */
    bool is_done;
    char error[256];
} Lexer;

void lex_init(Lexer *l, Str input);
Token lex_next(Lexer *l);
const char *tok_text(Tok t); /* "and", "==", "sum" */
bool tok_is_aggr(Tok t);
void tok_describe(Buf *out, Token t,
                  Str input); /* as "unexpected ..." names it: identifier "x", <op:*>, end of input */
