/* model: what telemetry is made of. Labels, matchers, samples, native histograms, and the sinks that producers
 * write to and stores, queues and taps implement.
 *
 * Labels are arrays of name/value slices sorted by name (bytes), names unique, no empty values. A Labels value
 * borrows everything; labels_dup copies into an arena.
 */
#pragma once
#include "base/base.h"
#include "text/text.h"

/* ---- labels (labels.c) ---- */
typedef struct Label {
    Str name, value;
} Label;
typedef struct Labels {
    const Label *at;
    u32 len;
} Labels;

#define LABEL_NAME S("__name__")

Str labels_get(Labels l, Str name); /* empty when absent */
bool labels_has(Labels l, Str name);
bool labels_eq(Labels a, Labels b);
int labels_cmp(Labels a, Labels b); /* Prometheus's order: label by label, name then value */
/* For qsort: Label by name, Labels as labels_cmp. */
int label_order(const void *a, const void *b);
int labels_order(const void *a, const void *b);
u64 labels_hash(Labels l);                                  /* ours, 64 bits; not Prometheus's */
u64 labels_hash_for(Labels l, const Str *names, u32 n);     /* only these names (sorted) */
u64 labels_hash_without(Labels l, const Str *names, u32 n); /* all but these (sorted) and __name__ */
u64 labels_fingerprint(Labels l);      /* FNV-1a over name 0xff value 0xff: Alertmanager's identity */
Labels labels_dup(Arena *a, Labels l); /* deep copy, strings too */
Labels labels_own(Labels l);           /* the same in one heap block; free with labels_disown */
void labels_disown(Labels l);
/* `name{a="b"}`; `{}` when empty. Names that are not classic identifiers are quoted: {"my.metric", "a.b"="c"}. */
void labels_print(Buf *out, Labels l);
void labels_json(Json *j, Labels l); /* {"__name__":"up",...} */
bool label_name_is_classic(Str s);   /* [a-zA-Z_][a-zA-Z0-9_]* */
bool metric_name_is_classic(Str s);  /* also ':' */

/* A mutable set in an arena, for relabelling and joins. Setting an empty value deletes. */
typedef struct LabelsBuilder {
    Arena *arena;
    Label *at;
    u32 len, cap;
} LabelsBuilder;
void lb_init(LabelsBuilder *b, Arena *arena, Labels from);
void lb_set(LabelsBuilder *b, Str name, Str value); /* borrows: strings must outlive the result */
void lb_del(LabelsBuilder *b, Str name);
Str lb_get(const LabelsBuilder *b, Str name);
Labels lb_build(LabelsBuilder *b); /* sorted; the array lives in the arena */

/* ---- matchers (matcher.c) ---- */
typedef enum MatchOp { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE } MatchOp;
typedef struct Matcher {
    Str name, value;
    MatchOp op;
    const Regex *re; /* for RE and NRE; owned by whoever made the matcher (matcher_done) */
} Matcher;
typedef struct Matchers {
    const Matcher *at;
    u32 len;
} Matchers;
Err matcher_init(Matcher *m, MatchOp op, Str name, Str value, Why *why); /* borrows the strings */
void matcher_done(Matcher *m);
bool matcher_matches(const Matcher *m, Str value);
bool matchers_match(Matchers m, Labels l); /* an absent label is an empty value */
void matcher_print(Buf *out, const Matcher *m);

/* ---- relabelling (relabel.c): docs of Prometheus's relabel_config ---- */
typedef enum RelabelAction {
    RELABEL_REPLACE,
    RELABEL_KEEP,
    RELABEL_DROP,
    RELABEL_KEEPEQUAL,
    RELABEL_DROPEQUAL,
    RELABEL_HASHMOD,
    RELABEL_LABELMAP,
    RELABEL_LABELDROP,
    RELABEL_LABELKEEP,
    RELABEL_LOWERCASE,
    RELABEL_UPPERCASE,
} RelabelAction;
typedef struct RelabelRule {
    Str *source_labels;
    u32 source_labels_len;
    Str separator; /* ";" */
    Regex *regex;  /* anchored; "(.*)" when absent */
    Str regex_text;
    u64 modulus;
    Str target_label;
    Str replacement; /* "$1" */
    RelabelAction action;
} RelabelRule;
typedef struct RelabelRules {
    const RelabelRule *at;
    u32 len;
} RelabelRules;
/* False when the rules drop the set. Expanded strings live in b's arena. */
bool relabel_apply(RelabelRules rules, LabelsBuilder *b);

/* ---- samples ---- */
#define STALE_NAN_BITS  0x7ff0000000000002ULL /* Prometheus's staleness marker */
#define NORMAL_NAN_BITS 0x7ff8000000000001ULL
static inline u64 f64_bits(f64 v)
{
    u64 b;
    memcpy(&b, &v, 8);
    return b;
}
static inline f64 f64_from_bits(u64 b)
{
    f64 v;
    memcpy(&v, &b, 8);
    return v;
}
static inline bool is_stale(f64 v)
{
    return f64_bits(v) == STALE_NAN_BITS;
}
f64 stale_nan(void);

typedef struct Sample {
    i64 t; /* ms since the epoch */
    f64 v;
} Sample;

/* ---- native histograms (histogram.c) ----
 * One struct for integer and float histograms: counts are f64, exact for integers up to 2^53; is_int says what was
 * received so it can be given back as such. Integer counts over 2^53 are refused at the door. Buckets are absolute
 * counts, not deltas. schema -4..8 exponential, -53 custom bounds (then zero_* and negative parts are unused). */
typedef struct HistSpan {
    i32 offset; /* gap to the previous span; for the first, the index of its first bucket */
    u32 length;
} HistSpan;
typedef enum HistHint { HIST_UNKNOWN_RESET, HIST_RESET, HIST_NO_RESET, HIST_GAUGE } HistHint;
#define HIST_SCHEMA_CUSTOM (-53)
typedef struct Histogram {
    i32 schema;
    u8 hint; /* HistHint */
    bool is_int;
    f64 zero_threshold, zero_count, count, sum; /* sum may be the stale marker: then the sample is stale */
    HistSpan *pos_spans, *neg_spans;
    f64 *pos, *neg; /* pos_len = sum of span lengths */
    f64 *custom;    /* upper bounds, ascending, without +Inf */
    u32 pos_spans_len, neg_spans_len, pos_len, neg_len, custom_len;
} Histogram;
/* spans match buckets, counts not negative, bounds ascend */
Err histogram_check(const Histogram *h, Why *why);
Histogram *histogram_dup(Arena *a, const Histogram *h);
bool histogram_eq(const Histogram *a, const Histogram *b); /* bit for bit, hints included */
static inline bool histogram_is_stale(const Histogram *h)
{
    return is_stale(h->sum);
}

/* Buckets in order; histogram_next clips the bounds of the innermost ones to the zero threshold, as quantiles want it. */
typedef struct HistBucket {
    f64 lower, upper, count;
    bool lower_incl, upper_incl;
    i32 index;
} HistBucket;
typedef struct HistCursor { /* over the buckets of one side; opaque */
    const HistSpan *spans;
    const f64 *v;
    u32 spans_len, span, in_span, at;
    i32 index;
    bool back;
} HistCursor;
typedef struct HistIter {
    const Histogram *h;
    HistCursor first, last;
    u8 state;
    bool is_descending;
} HistIter;
/* negative, zero, positive; or the reverse */
void histogram_iter(HistIter *it, const Histogram *h, bool descending);
bool histogram_next(HistIter *it, HistBucket *ret);
f64 histogram_bound(const Histogram *h, i32 index); /* upper bound of positive bucket `index` */
/* back: from the outermost bucket inwards */
HistCursor histogram_side(const Histogram *h, bool positive, bool back);
bool histogram_side_next(HistCursor *c, i32 *ret_index, f64 *ret_count);
/* bounds not clipped */
void histogram_bucket(const Histogram *h, bool positive, i32 index, f64 count, HistBucket *ret);

/* ---- histogram arithmetic (histogram_math.c): in place, so h must own its arrays (histogram_dup); custom bounds are never
 * written to. Arrays that have to grow come from the arena. Results are float histograms. ---- */
/* what add and sub report */
enum {
    HIST_RESET_COLLISION = 1,   /* one side says reset, the other no reset */
    HIST_BOUNDS_RECONCILED = 2, /* custom bounds differed: reduced to the common ones */
    HIST_INCOMPATIBLE = 4,      /* exponential with custom buckets: nothing was done */
};
u32 histogram_add(Arena *a, Histogram *h, const Histogram *other);
u32 histogram_sub(Arena *a, Histogram *h, const Histogram *other);
/* A sum with Neumaier's compensation for every count. Starts as {copy of the first, {0}}. */
typedef struct HistSum {
    Histogram h;
    Histogram c; /* compensation, same layout as h */
    bool has_c;
} HistSum;
u32 histogram_sum_add(Arena *a, HistSum *s, const Histogram *other);
u32 histogram_sum_end(Arena *a, HistSum *s);               /* folds the compensation into h */
void histogram_mul(Arena *a, Histogram *h, f64 factor);    /* a negative factor makes a gauge */
void histogram_div(Arena *a, Histogram *h, f64 divisor);   /* by zero: no buckets left, counts infinite */
void histogram_compact(Arena *a, Histogram *h);            /* no empty buckets, fewest spans */
void histogram_reduce(Arena *a, Histogram *h, i32 schema); /* to a lower resolution; does nothing otherwise */
bool histogram_has_inf(const Histogram *h);
/* Did a counter restart between prev and h? Hints decide where they speak. */
bool histogram_is_reset(Arena *scratch, const Histogram *h, const Histogram *prev);
/* Same numbers in the same buckets (explicit empty ones count), hints and span layout ignored: PromQL's == */
bool histogram_same(const Histogram *a, const Histogram *b);

/* ---- what histograms tell (histogram_stat.c) ---- */
/* remarks about NaN observations */
enum {
    HIST_NAN_RESULT = 1,
    HIST_NAN_SKEW = 2,
};
f64 histogram_quantile(const Histogram *h, f64 q, u32 *ret_remarks);
f64 histogram_fraction(const Histogram *h, f64 lower, f64 upper, u32 *ret_remarks);
f64 histogram_variance(const Histogram *h);
/* Removes observations above (upper) or below `bound`, estimating inside buckets. */
void histogram_trim(Arena *a, Histogram *h, f64 bound, bool upper);
void histogram_print(Buf *out, const Histogram *h); /* {count:20, sum:10, [-2,-1):2, (0.5,1]:1} */
/* {{schema:0 sum:5 count:4 buckets:[1 2 1]}}, as rule tests write it. */
void histogram_print_test(Buf *out, const Histogram *h);
/* {"count":"4","sum":"5","buckets":[[0,"0.5","1","1"],...]} as the query API answers. */
void histogram_json(Json *j, const Histogram *h);

/* Neumaier's summation; the order of operations is part of the contract, results agree with the peer to the last bit. */
static inline void kahan_add(f64 inc, f64 *sum, f64 *c)
{
    f64 t = *sum + inc;
    if (__builtin_isinf(t))
        *c = 0;
    else if (__builtin_fabs(*sum) >= __builtin_fabs(inc))
        *c += (*sum - t) + inc;
    else
        *c += (inc - t) + *sum;
    *sum = t;
}

/* ---- exemplars and metadata ---- */
typedef struct Exemplar {
    Labels labels;
    f64 v;
    i64 t; /* 0 = has none */
} Exemplar;
typedef enum MetricType {
    TYPE_UNKNOWN,
    TYPE_COUNTER,
    TYPE_GAUGE,
    TYPE_HISTOGRAM,
    TYPE_GAUGEHISTOGRAM,
    TYPE_SUMMARY,
    TYPE_INFO,
    TYPE_STATESET,
} MetricType;
const char *metric_type_name(MetricType t); /* "counter"; "unknown" */
MetricType metric_type_parse(Str s);        /* unknown for unknown words; "untyped" too */

/* ---- the sink ----
 * A batch is decoded by an edge into borrowed slices (valid during the call) and goes to one SampleSink: the store,
 * a remote_write queue, or a tee over several, composed in cmd/. One SeriesBatchItem = one series with its points.
 * `hint` (0 = none) is a cache handle the sink returned earlier for exactly these labels: see ret_hints. An item without labels
 * means the series of its hint. */
typedef struct SeriesItem {
    Labels labels;
    u64 hint;
    const Sample *samples;
    u32 samples_len;
    const i64 *hist_t;
    const Histogram *const *hists;
    u32 hists_len;
    const Exemplar *exemplars;
    u32 exemplars_len;
    i64 start_t; /* created timestamp, 0 = unknown */
} SeriesItem;
typedef struct MetadataItem {
    Str family, help, unit;
    MetricType type;
} MetadataItem;
/* Samples of many known series at one time: what a scrape brings again and again, without a word about labels. */
typedef struct SampleRow {
    const u64 *hints; /* from this sink, for this tenant */
    const f64 *values;
    u32 len;
    i64 t;
    u64 *
        group; /* what the sink remembers about this list of hints; 0 at first. NULL: nothing is remembered */
} SampleRow;
typedef struct SampleBatch {
    Str tenant;
    const SeriesItem *series;
    u32 series_len;
    SampleRow row; /* comes before the series */
    const MetadataItem *metadata;
    u32 metadata_len;
    bool from_self; /* scrape or rule: nobody waits for durability */
} SampleBatch;

/* What became of a batch. Rejected samples do not fail the batch; the first reason is kept. */
typedef struct SinkResult {
    Err err; /* OK, or why nothing (E_BUSY, E_NOSPACE, E_LIMIT ...) or a part was not stored */
    Why why;
    u64 samples_ok, histograms_ok, exemplars_ok;
    u64 rejected_old, rejected_conflict, rejected_invalid, rejected_limit, out_of_order;
    u64 series_added; /* series never seen before (of this engine's memory) */
    u64 unknown; /* samples left out because their hint is outdated and no labels came with it: send the labels */
} SinkResult;

typedef struct SampleSink SampleSink;
struct SampleSink {
    /* Blocking; call on a pool thread or a producer's own thread. Returns when the batch is applied, and, unless from_self,
     * durable. ret_hints may be NULL, else series_len entries that may be passed back as SeriesItem.hint (0 = none). A
     * hint that comes with other labels, or from before the sink was opened, is detected and never used. */
    void (*write)(SampleSink *s, const SampleBatch *batch, u64 *ret_hints, SinkResult *ret);
    /* The labels behind a hint, copied into the arena; false when it is outdated. NULL in sinks that give no hints. */
    bool (*labels)(SampleSink *s, Str tenant, u64 hint, Arena *arena, Labels *ret);
    /* Nothing would be done with a batch now. NULL = never so. */
    bool (*is_idle)(SampleSink *s);
};

/* Log records and spans get their sinks (LogSink, SpanSink) with the event engine. */
