/* What binary.c (elements, scalars), sets.c and join.c share. */
#pragma once
#include "metrics/promql/engine.h"

typedef struct Value {
    f64 v;
    const Histogram *h;
} Value;
/* False: no result, remarked on. *ret_keep: whether a comparison holds. */
bool binop_element(Eval *e, const Plan *p, Value a, Value b, Value *ret, bool *ret_keep);
f64 binop_arithmetic(TokenOp op, f64 a, f64 b);
bool binop_compare(TokenOp op, f64 a, f64 b);
bool op_changes_meaning(TokenOp op); /* the result is not the metric any more: its name goes */

/* By which labels two sides match. */
typedef struct Signatures {
    const VectorMatching *m;
    Str *names; /* sorted; with __name__ for ignoring */
    u32 names_len;
    U64Map *index; /* hash -> ordinal */
    u32 n;
} Signatures;
Err signatures_init(Eval *e, Signatures *s, const VectorMatching *m, Why *why);
bool signature_names(const Signatures *s, Str name); /* is it one of the labels written */
u32 signature_of(Signatures *s, Labels l);
Labels match_labels(Eval *e, const Signatures *s, Labels l);

Err op_set(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
Err op_join(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
