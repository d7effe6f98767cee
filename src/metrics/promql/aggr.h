/* Folding aggregations, shared by aggr.c (the operator), aggr_fold.c (floats into groups) and aggr_slices.c (side by side). */
#pragma once
#include "metrics/promql/engine.h"

typedef struct Group {
    Labels labels;
    f64 *v, *c, *count, *mean; /* per step, as the operation needs them; v and c: sum and its compensation */
    u8 *flags;
    HistSum **sums;
    bool drop_name;
    Str hist_name; /* of a series that had histograms */
    bool is_plain; /* nothing but floats so far, and no running mean: all steps may be folded alike */
} Group;
enum {
    SEEN = 1,
    HAS_FLOAT = 2,
    HAS_HISTOGRAM = 4,
    INCOMPATIBLE = 8,
    RUNNING_MEAN = 16,
    RUNNING_HISTOGRAM_MEAN = 32,
    SAW_RESET = 64,
    SAW_NO_RESET = 128,
};
typedef struct FoldOp {
    Op op;
    AggrOp kind;
    Op *child; /* NULL: not built yet */
    Op *list;
    Str *grouping;
    u32 grouping_len;
    bool without;
    U64Map *index;
    Group *groups;
    u32 groups_len, groups_cap;
} FoldOp;

/* aggr.c */
Err fold_group_new(FoldOp *f, Labels l, Group **ret, Why *why); /* l: already of the group alone */
/* Runs the child to its end. */
Err fold_all(FoldOp *f, Why *why);
Err fold_histogram(FoldOp *f, Group *g, u32 k, const Histogram *h, Str name, Why *why);

/* aggr_fold.c */
void fold_start(AggrOp kind, Group *g, u32 n); /* fills the columns of a new group */
void fold_float(AggrOp kind, Group *g, u32 k, f64 v);
/* A column of floats, where it is not ABSENT, into the group. */
void fold_floats(AggrOp kind, Group *g, const f64 *v, u32 n);

/* aggr_slices.c */
/* Folds slices of the selection on several threads. *ret_done false: not worth it, nothing happened. */
Err fold_slices(FoldOp *f, bool *ret_done, Why *why);
