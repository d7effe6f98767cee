/* What the files of the evaluator share.
 *
 * A query runs in three steps. plan.c copies the tree into a Plan: durations, @ and start()/end() resolved for this query,
 * parentheses gone, parts that do not depend on the step marked. build.c turns plans into operators. Operators are pulled:
 * next() fills a batch of up to BATCH_MAX series, each a column of one value per step of the Grid. Aggregations fold batches
 * into groups and forget them, so memory follows the output, not the input; operators that must see everything (joins,
 * topk, sorting) drain their child first.
 *
 * A column holds f64 values; ABSENT (the bit pattern of the staleness marker, which no selector lets through and no
 * arithmetic produces) means there is no float at that step. Histograms live beside in h: where h[i] is set, v[i] is ABSENT.
 *
 * Columns come from the free list of their grid and belong to whoever holds the series. Histograms an operator makes are
 * allocated from Eval.hists: who pulls decides how long they live (an aggregation resets that arena after each batch).
 */
#pragma once
#include <math.h>

#include "metrics/promql/func.h"
#include "metrics/promql/promql.h"

#define BATCH_MAX    64
#define STEPS_MAX    1000000u /* per grid; the API allows 11,000 */
#define ABSENT       f64_from_bits(STALE_NAN_BITS)
#define is_absent(v) (f64_bits(v) == STALE_NAN_BITS)

/* As the peer's language has them: an infinity on their side wins over NaN, NaN over the rest, and zeros are told apart. */
static inline f64 larger_of(f64 a, f64 b)
{
    if (a == INFINITY || b == INFINITY)
        return INFINITY;
    if (isnan(a) || isnan(b))
        return NAN;
    return a > b || (a == b && !signbit(a)) ? a : b;
}
static inline f64 smaller_of(f64 a, f64 b)
{
    return -larger_of(-a, -b);
}

typedef struct Plan Plan;
typedef struct Op Op;
typedef struct Eval Eval;

typedef struct Grid {
    i64 start, step; /* ms; step > 0 */
    u32 n;
    bool is_instant; /* one step: the order of results is kept */
    f64 **free_cols;
    u32 free_len, free_cap;
    struct Grid *single; /* the first step alone, for parts that do not depend on the step */
} Grid;
static inline i64 grid_at(const Grid *g, u32 i)
{
    return g->start + (i64)i * g->step;
}
static inline i64 grid_end(const Grid *g)
{
    return grid_at(g, g->n - 1);
}

typedef struct StepSeries {
    Labels labels;
    f64 *v;
    const Histogram **h; /* NULL: no histograms */
    bool drop_name;      /* the name goes at the end (delayed name removal) */
    /* Set: labels were left behind in storage (step_labels has them). Only below an aggregation that groups by `group`. */
    SeriesCursor *bare;
    u32 id;
    u64 group;
} StepSeries;
typedef struct Batch {
    StepSeries at[BATCH_MAX];
    u32 n;
} Batch;
typedef struct SeriesList {
    StepSeries *at;
    u32 n, cap;
} SeriesList;

typedef struct SharedRead SharedRead; /* samples several places of a query read, kept by the first */
typedef struct Selector {
    Matchers matchers;
    i64 offset;
    bool has_at, anchored, smoothed;
    i64 at;
    bool stats_only;          /* only count and sum of histograms are used */
    bool name_is_fixed;       /* every series has the same __name__ */
    Str func;                 /* hint for storage */
    const Grouping *grouping; /* of the aggregation that is all that looks at labels, or NULL */
    SharedRead *shared;       /* set when the query reads the same samples elsewhere too */
} Selector;

struct Plan {
    const Node *node; /* for positions */
    NodeKind kind;    /* never PAREN, STEP_INVARIANT, DURATION */
    PromType type;
    bool invariant;
    Plan **
        args; /* call: arguments; binary: lhs, rhs; aggregation: expression, parameter; unary, subquery: the one */
    u32 args_len;
    f64 number;
    Str string;
    Selector *sel;               /* SELECTOR and MATRIX */
    i64 range, step, offset, at; /* MATRIX, SUBQUERY */
    bool has_at;
    FuncId fn;
    const char *fn_name;
    /* Aggregations: the selector below, where every series goes its own way from there to here; else NULL. Such a selection may be
     * evaluated in slices. */
    const Plan *chain;
};

struct Op {
    Err (*next)(Op *op, Batch *b, Why *why); /* b->n == 0: end */
    Eval *e;
    Grid *g;
    const Plan *p;
};

/* ---- notes ---- */
typedef enum NoteKind {
    /* warnings */
    NOTE_INVALID_RATIO,
    NOTE_INVALID_QUANTILE,
    NOTE_BAD_BUCKET_LABEL,
    NOTE_MIXED_FLOATS_HISTOGRAMS,
    NOTE_MIXED_AGGREGATION,
    NOTE_MIXED_CLASSIC_NATIVE,
    NOTE_NOT_COUNTER,
    NOTE_NOT_GAUGE,
    NOTE_MIXED_EXPONENTIAL_CUSTOM,
    NOTE_INCOMPATIBLE_LAYOUT,
    NOTE_SORT_IN_RANGE,
    NOTE_RESET_COLLISION,
    NOTE_START_OVERLAP,
    NOTE_FIRST_INFO,
    NOTE_POSSIBLE_NON_COUNTER = NOTE_FIRST_INFO,
    NOTE_FORCED_MONOTONIC,
    NOTE_INCOMPATIBLE_TYPES,
    NOTE_IGNORED_IN_AGGREGATION,
    NOTE_IGNORED_IN_RANGE,
    NOTE_QUANTILE_NAN_RESULT,
    NOTE_QUANTILE_NAN_SKEW,
    NOTE_FRACTION_NAN,
    NOTE_BOUNDS_RECONCILED,
} NoteKind;
typedef struct Note Note;

/* ---- the query in flight ---- */
struct Eval {
    const PromEngineConfig *config;
    PromSource *src;
    const PromQuery *q;
    Arena *arena; /* lives as long as the query */
    Arena *hists; /* where operators put the histograms they make */
    Arena *tmp;   /* may be reset by tmp_reset only where no caller keeps anything in it */
    i64 lookback, subquery_step;
    u32 features;
    bool delayed_names, is_range;
    u32 slice, slices; /* of the selections read here; slices 0 = whole */
    Deadline deadline;
    u64 samples_max, samples_now, samples_peak, samples_read;
    Note *notes;
    u32 notes_len, notes_cap;
    U64Map note_keys;
    SeriesCursor **cursors;
    u32 cursors_len, cursors_cap;
    Matcher **matchers; /* made by the engine, freed at the end */
    u32 matchers_len, matchers_cap;
    U64Map **maps; /* of operators, freed at the end */
    u32 maps_len, maps_cap;
};

/* eval.c */
/* For a part of the same query on another thread: the same limits, nothing shared but what does not change. */
void eval_child(const Eval *e, Eval *ret, Arena *work, Arena *tmp);
void eval_absorb(Eval *e, const Eval *child); /* its notes and counts */
void eval_done(Eval *e);                      /* closes cursors, frees what is not in arenas */
Err eval_check(Eval *e, Why *why);            /* deadline, cancellation, budgets: between batches */
Err eval_hold(Eval *e, u64 samples, Why *why);
void eval_release(Eval *e, u64 samples);
static inline Err eval_memory(Why *why)
{
    return why_set(
        why, E_LIMIT,
        "query processing would use too much memory (query.max-memory, or memory.max of the process)");
}
U64Map *eval_map(Eval *e); /* freed with the query, so that operators need no closing */
Grid *grid_new(Eval *e, i64 start, i64 step, u32 n);
Grid *grid_single(Eval *e, Grid *g);
f64 *col_get(Eval *e, Grid *g); /* NULL past the memory limit; contents undefined */
void col_put(Eval *e, Grid *g, f64 *col);
const Histogram **hist_col_get(Eval *e, Grid *g); /* zeroed */
void series_put(Eval *e, Grid *g, StepSeries *s);
void batch_put(Eval *e, Grid *g, Batch *b);
void *arena_grow(Arena *a, void *at, u32 *cap, u32 need, size_t item_bytes); /* NULL past the limit */
Err list_push(Eval *e, SeriesList *l, StepSeries s, Why *why);
u32 series_count(const Grid *g, const StepSeries *s); /* samples present */
static inline bool series_has(const StepSeries *s, u32 i)
{
    return !is_absent(s->v[i]) || (s->h && s->h[i]);
}
/* Everything the operator yields, in query-long memory. */
Err op_drain(Op *op, SeriesList *ret, Why *why);
Op *op_from_list(Eval *e, Grid *g, const Plan *p, SeriesList *list); /* hands the columns over */
/* Joins series of equal labels; two values at one step are an error. Order of first appearance is kept. */
Err list_merge(Eval *e, Grid *g, SeriesList *l, Why *why);
Err same_labelset(Why *why);
void print_labels(Buf *out, Labels l); /* {__name__="up", a="b"}, as errors show series */
bool has_metadata_label(Labels l);
Labels drop_metadata_labels(Eval *e, Labels l); /* without __name__, __type__, __unit__ */
/* The name goes: now, or at the end. */
void name_drop(Eval *e, StepSeries *s);
Err step_labels(Eval *e, StepSeries *s, Why *why); /* fetches the labels of a series that came bare */

/* notes.c */
void note(Eval *e, NoteKind kind, const Plan *at, Str name);
void note_words(Eval *e, NoteKind kind, const Plan *at, const char *word); /* operation, operator */
void note_f64(Eval *e, NoteKind kind, const Plan *at, f64 v, f64 to);
void note_label(Eval *e, NoteKind kind, const Plan *at, Str name, Str label);
void note_types(Eval *e, const Plan *at, const char *lhs, const char *op, const char *rhs);
void note_monotonic(Eval *e, const Plan *at, Str name, i64 t, f64 min_bucket, f64 max_bucket, f64 max_diff);
void notes_absorb(Eval *e, const Eval *child); /* as if the child's remarks had been made here */
void notes_export(Eval *e, Arena *arena, PromResult *ret);

/* plan.c */
Err plan_make(Eval *e, const Node *tree, Plan **ret, Why *why);

/* build.c */
Err op_build(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
Err scalar_eval(Eval *e, const Plan *p, Grid *g, f64 **ret_col,
                Why *why); /* a column of the grid; col_put when done */
Err op_empty(Eval *e, const Plan *p, Grid *g, Op **ret);
/* Wraps *op when dropping names from arg's series could make two of them equal. */
Err op_merge_names(Eval *e, const Plan *arg, Op **op, Why *why);

/* select.c: samples as they lie in storage, or as a subquery computed them */
typedef struct RawSeries {
    Labels labels;
    const i64 *t;
    const f64 *v;
    const Histogram *const *h; /* NULL, or NULL per float */
    const i64 *st;             /* start timestamps, or NULL */
    u32 n;
    bool drop_name;
    SeriesCursor *bare; /* as in StepSeries */
    u32 id;
    u64 group;
    const PageAggr *pages; /* as in SeriesView */
    u32 pages_len;
    bool same_times; /* as in SeriesView */
} RawSeries;
typedef struct RawReader RawReader;
static inline StepSeries step_of_raw(const RawSeries *r, f64 *v)
{
    return (StepSeries){.labels = r->labels, .v = v, .bare = r->bare, .id = r->id, .group = r->group};
}
SharedRead *shared_read_new(Eval *e);
/* hints: times, step, range, what is known of the use; the rest is filled in. */
Err raw_open(Eval *e, const Plan *p, Selector *s, const SelectHints *hints, RawReader **ret, Why *why);
Err raw_open_subquery(Eval *e, const Plan *p, Grid *g, RawReader **ret, Why *why);
/* Views stay valid until the next call. *ret_n == 0: end. */
Err raw_next(RawReader *r, RawSeries *ret, u32 max, u32 *ret_n, Why *why);
/* A series without its staleness markers, floats and histograms apart. Points into the view where nothing was to be left out;
 * the buffers are reused by the next call with the same Split. */
typedef struct Split {
    const i64 *ft, *ht, *fst, *hst;
    const f64 *fv;
    const Histogram *const *hv;
    u32 fn, hn;
    i64 *t_buf[2], *st_buf[2];
    f64 *v_buf;
    const Histogram **h_buf;
    u32 cap;
} Split;
Err split_series(Eval *e, const RawSeries *r, Split *s, Why *why);
/* The times of the series before: series scraped together share them, and what follows from them alone is kept. */
typedef struct TimesSeen {
    i64 *t;
    u32 n, cap;
    bool are_raw; /* they are those of the series before as it came */
} TimesSeen;
/* True: the same times as at the last call. Else remembers them (or, past the memory limit, nothing). `from`: the series, which has
 * these times or some of them. */
bool times_seen(Eval *e, TimesSeen *s, const RawSeries *from, const i64 *t, u32 n);
u32 first_after(const i64 *t, u32 n, i64 at); /* index of the first sample later than `at` */
Op *op_select(Eval *e, const Plan *p, Grid *g);
typedef enum SelectWhat {
    SELECT_VALUES,
    SELECT_TIMES,
    SELECT_START_TIMES,
    SELECT_INFO /* times, names kept */
} SelectWhat;
Op *op_select_times(Eval *e, const Plan *p, Grid *g, SelectWhat what);
/* The instant a step looks at: @ or the step itself, without the offset. */
static inline i64 sel_ref(const Selector *s, i64 step_t)
{
    return (s->has_at ? s->at : step_t) - s->offset;
}
int series_order(const void *a, const void *b); /* qsort: PromSeries by labels */
Err eval_matrix(Eval *e, const Plan *p, Grid *g, Arena *arena, PromResult *ret,
                Why *why); /* foo[5m] as a result */

/* range.c */
typedef struct Window {
    const i64 *ft, *ht, *fst, *hst; /* fst, hst: start timestamps or NULL */
    const f64 *fv;
    const Histogram *const *hv;
    u32 fn, hn;
    i64 t, start, end; /* the step; the window (start, end] */
} Window;
typedef struct RangeCall {
    Eval *e;
    const Plan *p, *arg; /* the call; its range argument after unwrapping */
    const Selector *sel; /* NULL for subqueries */
    i64 range;
    Str name;      /* of the series at hand */
    f64 params[2]; /* scalar arguments at the step at hand */
    f64 *scratch;  /* as large as the largest window */
    u32 scratch_cap;
    f64 *rate_times; /* what rate knows from the times alone, 4 per step */
    bool has_rate_times;
} RangeCall;
/* False: no result at this step. *ret_h NULL: the float counts. */
typedef bool (*RangeFn)(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
/* For series of floats only: all steps at once. out is full of ABSENT. lo[i], hi[i]: window i is t[lo..hi). */
typedef void (*RangeFloatFn)(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                             const u32 *hi, f64 *out);
/* A series that came with page aggregates: samples and pages in one row, without staleness markers. The buffers are reused. */
typedef struct RangeItems {
    const PageAggr **page; /* NULL where the item is a sample */
    i64 *t, *t_last;       /* the same for samples */
    f64 *v, *v_last;
    u32 *before; /* samples before this item; n + 1 entries */
    u32 n, cap;
} RangeItems;
/* As RangeFloatFn. No edge of a window lies inside a page. */
typedef void (*RangePageFn)(RangeCall *c, const Grid *g, const RangeItems *x, const u32 *lo, const u32 *hi,
                            f64 *out);
Err items_of(Eval *e, const RawSeries *r, RangeItems *ret, Why *why); /* range_pages.c */
RangePageFn range_page_fn(FuncId id);                                 /* NULL: needs every sample */
Err op_range(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
RangeFn range_fn(FuncId id);
RangeFloatFn range_float_fn(FuncId id);
f64 *range_scratch(RangeCall *c, u32 n);
/* range_rate.c */
bool range_rate(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
bool range_increase(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
bool range_delta(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
bool range_irate(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
bool range_idelta(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
bool range_resets(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
bool range_changes(RangeCall *c, const Window *w, f64 *ret, Histogram **ret_h);
void range_rate_floats(RangeCall *c, const Grid *g, const i64 *t, const f64 *v, u32 n, const u32 *lo,
                       const u32 *hi, f64 *out);
/* Where the float samples of one window lie, and the factor from increase to result. */
typedef struct RateSpan {
    f64 sampled, to_start, to_end, factor; /* seconds; factor without looking at the values */
} RateSpan;
RateSpan rate_span(const RangeCall *c, i64 end, i64 first, i64 last, u32 n, bool is_rate);
f64 rate_result(const RangeCall *c, RateSpan s, f64 at_first, f64 increase, bool is_counter, bool is_rate);
bool is_start_reset(i64 prev_st, i64 prev_t, i64 st, i64 t);
f64 interpolate_floats(i64 t1, f64 v1, i64 t2, f64 v2, i64 t, bool is_counter);
/* NULL: incompatible, noted. */
Histogram *interpolate_histograms(Eval *e, const Plan *at, Str name, i64 t1, const Histogram *h1, i64 t2,
                                  const Histogram *h2, i64 t, bool is_counter);

/* aggr.c */
Err op_aggr(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
Labels group_labels(Eval *e, Labels l, const Str *sorted, u32 n, bool without);
u64 group_hash(Labels l, const Str *sorted, u32 n, bool without);
Str *sorted_names(Eval *e, const Str *names, u32 n, const Str *extra, u32 *ret_n); /* extra may be NULL */
/* aggr_k.c: topk, bottomk, limitk, limit_ratio, quantile, count_values */
Err op_aggr_k(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
f64 quantile_of(f64 q, f64 *v, u32 n); /* sorts v */

/* binary.c */
Err op_binary(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
f64 scalar_binop(TokenOp op, f64 a, f64 b);
bool op_compares(TokenOp op);
const char *op_word(TokenOp op);

/* map.c: one series in, one out */
Err op_map(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
bool map_knows(FuncId fn);

/* quantile.c: histogram_quantile, histogram_quantiles, histogram_fraction */
Err op_histogram(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);

/* misc.c: label_replace, label_join, sort*, absent*, vector, info ... */
Err op_misc(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);
Labels absent_labels(Eval *e, const Plan *arg);
Err op_info(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why);

static inline Op *op_init(Op *op, Eval *e, const Plan *p, Grid *g, Err (*next)(Op *, Batch *, Why *))
{
    *op = (Op){.next = next, .e = e, .g = g, .p = p};
    return op;
}
/* range_fn.c, shared with the aggregation */
u32 histogram_mean_add(Arena *a, HistSum *s, bool *is_running, const Histogram *h, f64 count);
void histogram_mean_end(Arena *a, HistSum *s, bool is_running, f64 count);
