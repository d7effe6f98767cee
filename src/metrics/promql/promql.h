/* promql: parse -> check types -> evaluate over step vectors. The stable language of Prometheus 3; experimental parts
 * behind flags of the same names. Sources of samples come in through PromSource, so the engine knows no storage.
 */
#pragma once
#include "base/base.h"
#include "model/model.h"
#include "text/text.h"

/* ---- where samples come from ---- */
/* What a whole page of floats comes to, in place of its samples. Never holds staleness markers, NaN, infinities or histograms, its sum
 * is finite, and the view it comes with has no histograms. */
typedef struct PageAggr {
    u32 at; /* the page lies between t[at - 1] and t[at] of its view; several with the same `at` ascend in time */
    u32 count; /* > 0 */
    i64 first_t, last_t;
    f64 first, last, min, max;
    f64 sum, sum_c; /* Neumaier's running sum and compensation over the page from (0, 0), in order */
    u32 resets;     /* times a value was lower than the one before, inside the page */
    f64 reset_sum;  /* of the values before those; exact in Prometheus's order when resets <= 1 */
} PageAggr;
typedef struct SeriesView {
    Labels labels;             /* valid until the cursor is closed */
    const i64 *t;              /* ascending; valid until the next call of next */
    const f64 *v;              /* v[i] is meaningless where h && h[i] */
    const Histogram *const *h; /* NULL when the series has no histograms here; else NULL = float */
    const i64 *st;             /* start timestamps per sample, 0 = unknown; NULL when there are none */
    u32 n;
    bool same_times;       /* t and n are those of the view before, from the same call of next */
    const PageAggr *pages; /* only when asked for with want_pages; NULL = none */
    u32 pages_len;
    /* A bare view came without labels (see SelectHints.grouping): group is equal where the labels of the grouping are equal, in
     * every slice of the selection, and the cursor has the labels of `id` when they are needed after all. */
    bool is_bare;
    u32 id;
    u64 group;
} SeriesView;
/* By which labels an aggregation groups: those named, or with `without` all but those and __name__. */
typedef struct Grouping {
    const Str *names; /* sorted, unique; never __name__, __type__ or __unit__ when !without */
    u32 len;
    bool without;
} Grouping;
typedef struct SelectHints {
    i64 mint, maxt; /* ms, both inclusive */
    i64 step_ms, range_ms;
    Str func; /* innermost function or aggregation, for engines that can answer from aggregates; may be empty */
    u32 limit;        /* series; 0 = all */
    bool labels_only; /* no samples wanted, only which series exist in the range */
    /* Of each series only the newest sample in [mint, maxt] is looked at. A source may give more. */
    bool newest_only;
    /* The reader wants labels of few series: views may be bare. NULL = always with labels. A source that has series with __type__
     * or __unit__ ignores it, so that series of one name which differ in nothing else are told apart. */
    const Grouping *grouping;
    /* The reader folds windows (w - range_ms, w] for w = windows_start + k * step_ms, k < windows, and takes PageAggr where no
     * edge of any window falls inside a page: an edge e does when first_t <= e < last_t. A source may ignore it. */
    bool want_pages;
    i64 windows_start;
    u32 windows;
    /* One slice of the selection, for readers that work side by side: every series is in exactly one of `slices` slices.
     * 0 = all. Cursors of several slices may be used from different threads. */
    u32 slice, slices;
} SelectHints;
typedef struct SeriesCursor SeriesCursor;
struct SeriesCursor {
    /* Fills up to max views; *ret_n 0 = end. Series come in any order, each exactly once, even if it has no sample in range
     * only when labels_only. Stale markers are delivered as samples. */
    Err (*next)(SeriesCursor *c, SeriesView *ret, u32 max, u32 *ret_n, Why *why);
    void (*close)(SeriesCursor *c);
    /* Labels of a bare view; they live as long as the arena given to select. NULL where views are never bare. */
    Err (*labels)(SeriesCursor *c, u32 id, Labels *ret, Why *why);
};
typedef struct PromSource PromSource;
typedef bool (*PromStrFn)(void *arg, Str s); /* false stops */
struct PromSource {
    Err (*select)(PromSource *s, Str tenant, Matchers m, const SelectHints *h, Arena *arena, Cancel *cancel,
                  SeriesCursor **ret, Why *why);
    /* Sorted, unique. m.len 0 = everything. mint/maxt inclusive. */
    Err (*label_names)(PromSource *s, Str tenant, const Matchers *sets, u32 sets_len, i64 mint, i64 maxt,
                       Arena *arena, PromStrFn fn, void *arg, Why *why);
    Err (*label_values)(PromSource *s, Str tenant, Str name, const Matchers *sets, u32 sets_len, i64 mint,
                        i64 maxt, Arena *arena, PromStrFn fn, void *arg, Why *why);
    /* Not fewer series than the matchers select, at little cost. NULL = nobody knows. */
    u64 (*estimate)(PromSource *s, Str tenant, Matchers m);
};

/* ---- syntax tree ---- */
typedef enum PromType { PROM_NONE, PROM_SCALAR, PROM_VECTOR, PROM_MATRIX, PROM_STRING } PromType;
const char *prom_type_name(PromType t); /* "instant vector" as error messages say it */

typedef enum NodeKind {
    NODE_NUMBER,
    NODE_STRING,
    NODE_SELECTOR,
    NODE_MATRIX /* selector[range] */,
    NODE_SUBQUERY,
    NODE_CALL,
    NODE_AGGR,
    NODE_BINARY,
    NODE_UNARY,
    NODE_PAREN,
    NODE_STEP_INVARIANT,
    NODE_DURATION /* duration expression, in offsets, ranges and steps */,
} NodeKind;

typedef enum TokenOp {
    OP_NONE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_ATAN2,
    OP_EQL,
    OP_NEQ,
    OP_LSS,
    OP_GTR,
    OP_LTE,
    OP_GTE,
    OP_AND,
    OP_OR,
    OP_UNLESS,
    OP_TRIM_UPPER /* </ */,
    OP_TRIM_LOWER /* >/ */,
} TokenOp;
typedef enum AggrOp {
    AGGR_SUM,
    AGGR_AVG,
    AGGR_COUNT,
    AGGR_MIN,
    AGGR_MAX,
    AGGR_GROUP,
    AGGR_STDDEV,
    AGGR_STDVAR,
    AGGR_TOPK,
    AGGR_BOTTOMK,
    AGGR_COUNT_VALUES,
    AGGR_QUANTILE,
    AGGR_LIMITK,
    AGGR_LIMIT_RATIO,
} AggrOp;
typedef enum MatchCard { CARD_ONE_TO_ONE, CARD_MANY_TO_ONE, CARD_ONE_TO_MANY, CARD_MANY_TO_MANY } MatchCard;
typedef enum AtKind { AT_NONE, AT_TIME, AT_START, AT_END } AtKind;

typedef struct Node Node;
typedef struct VectorMatching {
    MatchCard card;
    bool on;           /* on(...) given; else ignoring(...), perhaps empty */
    bool has_matching; /* on or ignoring written */
    const Str *labels; /* sorted for hashing; as written for printing in labels_written */
    const Str *labels_written;
    u32 labels_len;
    const Str *include; /* group_left/right(...) */
    u32 include_len;
    bool has_fill_left, has_fill_right;
    f64 fill_left, fill_right;
} VectorMatching;

typedef struct FuncDef {
    const char *name;
    PromType args[6];
    u8 args_len;
    i8 variadic; /* as Prometheus: 0 = exact; n > 0 = up to n optional of the last; -1 = any number */
    PromType returns;
    bool experimental;
    u16 id; /* FN_... in func.h */
} FuncDef;
const FuncDef *prom_func_find(Str name);
const FuncDef *prom_funcs(u32 *ret_len);

struct Node {
    NodeKind kind;
    u32 from, to; /* byte positions in the query */
    PromType type;
    u16 depth; /* of the tree below, 1 for a leaf; <= PROMQL_DEPTH_MAX */
    union {
        f64 number; /* with number_is_duration for printing "5m" back */
        Str string;
        struct {
            Str name;          /* metric name written before the braces, or empty */
            Matchers matchers; /* includes __name__; in written order */
            i64 offset_ms;     /* original offset; positive = into the past */
            Node *offset_expr; /* NODE_DURATION or NULL */
            AtKind at;
            i64 at_ms;
            bool anchored, smoothed;
            bool name_in_braces;
        } sel; /* NODE_SELECTOR */
        struct {
            Node *sel; /* NODE_SELECTOR, carries offset and @ */
            i64 range_ms;
            Node *range_expr;
        } matrix;
        struct {
            Node *expr;
            i64 range_ms, step_ms, offset_ms; /* step 0 = default */
            Node *range_expr, *step_expr, *offset_expr;
            AtKind at;
            i64 at_ms;
        } sub;
        struct {
            const FuncDef *fn;
            Node **args;
            u32 args_len;
        } call;
        struct {
            AggrOp op;
            Node *expr, *param; /* param: k, quantile, label name; NULL */
            bool without, has_grouping;
            const Str *grouping; /* as written */
            u32 grouping_len;
        } aggr;
        struct {
            TokenOp op;
            Node *lhs, *rhs;
            VectorMatching *matching; /* NULL unless both sides are vectors */
            bool return_bool;
        } bin;
        struct {
            TokenOp op;
            Node *expr;
        } unary;
        Node *paren;
        Node *invariant; /* evaluated once, the value repeated for all steps */
        struct {
            TokenOp op; /* OP_NONE: number (ms in value) or call step()/range()/min_of/max_of by fn */
            Node *lhs, *rhs;
            f64 value_s;
            const char *fn;
            bool wrapped;
        } dur;
    } u;
    bool number_is_duration;
};

#define PROMQL_DEPTH_MAX 500
#define PROMQL_QUERY_MAX (4u << 20) /* bytes */

/* features, by their Prometheus flag names */
enum {
    PROMQL_EXPERIMENTAL_FUNCTIONS = 1,
    PROMQL_DURATION_EXPR = 2,
    PROMQL_EXTENDED_RANGE_SELECTORS = 4,
    PROMQL_BINOP_FILL = 8,
    PROMQL_DELAYED_NAME_REMOVAL = 16,
    PROMQL_USE_START_TIMESTAMPS = 32,
};

/* Parses and type-checks. The tree lives in arena and borrows query. Errors: E_PARSE with Prometheus's sentence
 * (`1:5: parse error: unexpected ...`); ret_pos = byte range of the error for editors (may be NULL). Depth <= 500. */
Err promql_parse(Str query, u32 features, Arena *arena, Node **ret, u32 ret_pos[2], Why *why);
/* Only a selector, for match[] parameters. */
Err promql_parse_selector(Str text, Arena *arena, Matchers *ret, Why *why);
/* A metric with labels as in test scripts and rule tests: `up{a="b"}`; labels only. */
Err promql_parse_metric(Str text, Arena *arena, Labels *ret, Why *why);
void promql_done(Node *n); /* frees compiled matchers inside the tree (the rest is the arena's) */
void promql_print(const Node *n, Buf *out);   /* one line, as Prometheus's String() */
void promql_pretty(const Node *n, Buf *out);  /* format_query */
void promql_ast_json(const Node *n, Json *j); /* parse_query's data */

/* ---- evaluation ---- */
typedef struct PromEngineConfig {
    i64 lookback_ms;              /* 0 = 5 min */
    i64 default_subquery_step_ms; /* the global evaluation interval; 0 = 1 min */
    u64 samples_max;              /* 0 = 50,000,000, as --query.max-samples */
    u64 memory_max;               /* bytes per query; 0 = 1 GiB */
    i64 timeout_ms;               /* 0 = 2 min */
    u32 features;
    Account *account;
    Clock *clock;
    /* Aggregations over large selections are cut into `slices` (0 or 1: never), which threads of `helpers` (NULL: none) take part in.
     * Floats may differ in the last place by the number of slices, never by who did them. */
    Pool *helpers;
    u32 slices;
    u32 slice_series_min; /* smaller selections stay whole; 0 = 4096 */
} PromEngineConfig;

typedef struct PromNote { /* warning or info annotation */
    bool is_info;
    Str text; /* with position " (1:5)" appended where known, as the API shows */
} PromNote;

typedef struct PromSeries {
    Labels labels;
    u32 n;
    const i64 *t;
    const f64 *v;
    const Histogram *const *h; /* NULL or per sample */
    bool drop_name;            /* delayed name removal, internal */
} PromSeries;

typedef struct PromResult {
    PromType type; /* SCALAR, VECTOR (n = 1 each), MATRIX, STRING */
    PromSeries *series;
    u32 series_len;
    i64 t; /* scalar and string */
    f64 scalar;
    Str string;
    PromNote *notes;
    u32 notes_len;
    u64 samples_read, samples_peak;
} PromResult; /* lives in the arena */

typedef struct PromQuery {
    Str text;
    Str tenant;
    i64 start_ms, end_ms, step_ms; /* instant: start == end, step 0 */
    i64 lookback_ms;               /* 0 = the engine's */
    Cancel *cancel;
    Deadline deadline;
    bool is_range; /* query_range semantics even for one step */
} PromQuery;
/* Matrix results are sorted by labels; instant vectors too unless the expression orders them. Errors: E_PARSE/E_INVALID (bad_data),
 * E_EXEC (execution), E_TIMEOUT, E_CANCELED, E_LIMIT (names the limit; 422 as the peer). */
Err promql_query(const PromEngineConfig *c, PromSource *src, const PromQuery *q, Arena *arena,
                 PromResult *ret, Why *why);
/* The same from a tree already parsed (rules). */
Err promql_eval(const PromEngineConfig *c, PromSource *src, const PromQuery *q, Node *tree, Arena *arena,
                PromResult *ret, Why *why);
