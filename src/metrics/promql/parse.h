/* What the parser and the checker of types share: the query and its first error. */
#pragma once
#include "metrics/promql/lex.h"
#include "metrics/promql/promql.h"

/* Matchers compiled so far, to be freed when the query fails. */
typedef struct OwnedMatchers OwnedMatchers;
struct OwnedMatchers {
    OwnedMatchers *next;
    Matcher *at;
    u32 len;
};
typedef struct Parser {
    Lexer lex;
    Token cur;
    u32 prev_to; /* end of the token consumed last */
    Str query;
    Arena *arena;
    u32 features;
    u32 depth;      /* of the recursion */
    u32 aggr_depth; /* enclosing aggregations: what an unexpected token is "in" */
    OwnedMatchers *owned;
    bool is_failed;
    u32 error_from, error_to;
    char error[900];
} Parser;

/* The first error wins. Returns NULL so that callers can `return parse_error(...)`. */
void *parse_error(Parser *p, u32 from, u32 to, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Go's %q, for messages: valid until the next four calls; cut to what a message can hold. */
const char *parse_quote(Parser *p, Str s);

/* "unexpected X in context, expected what", about the current token. A broken token tells its own story. */
void *parse_unexpected(Parser *p, const char *context, const char *expected);
void *parse_unexpected_here(Parser *p); /* where an expression stands: in the innermost aggregation, if any */
void *parse_no_memory(Parser *p);
void *parse_too_deep(Parser *p, u32 from, u32 to);

/* Tokens. */
Token parse_advance(Parser *p); /* returns the token left behind */
bool parse_at(const Parser *p, Tok kind);
Str parse_text(const Parser *p, Token t);
bool parse_unquote(Parser *p, Token t, Str *ret);
bool tok_is_number(Tok t);
bool tok_can_be_label(Tok t);
bool tok_can_be_metric(Tok t);
enum { PREC_OR = 1, PREC_AND, PREC_CMP, PREC_ADD, PREC_MUL, PREC_POW };
int tok_precedence(Tok t); /* 0 = no operator */
TokenOp tok_op(Tok t);

/* Nodes. */
Node *parse_node(Parser *p, NodeKind kind, PromType type, u32 from, u32 to);
bool parse_adopt(Parser *p, Node *n, const Node *child); /* false when the tree has become too deep */

/* Grammar. */
Node *parse_expr(Parser *p, int min_prec);
Node *parse_selector(Parser *p);                             /* name, name{...} or {...} */
Node *parse_suffixes(Parser *p, Node *e);                    /* [range], offset, @ ... after e */
bool parse_take_number(Parser *p, f64 *ret);                 /* NUMBER or DURATION, in seconds */
bool parse_labels(Parser *p, const Str **ret, u32 *ret_len); /* (a, "b.c",) */

/* Beginning and end of a query. */
Err parse_begin(Parser *p, Str text, u32 features, Arena *arena, Why *why);
bool parse_end(Parser *p);                             /* nothing may follow */
Err parse_report(Parser *p, u32 ret_pos[2], Why *why); /* frees what was compiled */

/* Types and the rules about them, in the reference's order. False: an error is in p. */
bool check_tree(Parser *p, Node *n);
const char *type_word(PromType t); /* "vector", "matrix" */
const char *op_text(TokenOp op);
const char *aggr_text(AggrOp op);
bool op_is_comparison(TokenOp op);
bool op_is_set(TokenOp op);
bool aggr_has_param(AggrOp op);
