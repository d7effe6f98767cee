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
u64 labels_hash(Labels l);          /* ours, 64 bits; not Prometheus's */
u64 labels_hash_for(Labels l, const Str *names, u32 n);     /* only these names (sorted) */
u64 labels_hash_without(Labels l, const Str *names, u32 n); /* all but these (sorted) and __name__ */
u64 labels_fingerprint(Labels l);   /* FNV-1a over name 0xff value 0xff: Alertmanager's identity */
Labels labels_dup(Arena *a, Labels l); /* deep copy, strings too */
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
    RELABEL_REPLACE, RELABEL_KEEP, RELABEL_DROP, RELABEL_KEEPEQUAL, RELABEL_DROPEQUAL, RELABEL_HASHMOD,
    RELABEL_LABELMAP, RELABEL_LABELDROP, RELABEL_LABELKEEP, RELABEL_LOWERCASE, RELABEL_UPPERCASE,
} RelabelAction;
typedef struct RelabelRule {
    Str *source_labels;
    u32 source_labels_len;
    Str separator;   /* ";" */
    Regex *regex;    /* anchored; "(.*)" when absent */
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
#define STALE_NAN_BITS 0x7ff0000000000002ULL  /* Prometheus's staleness marker */
#define NORMAL_NAN_BITS 0x7ff8000000000001ULL
static inline u64 f64_bits(f64 v) { u64 b; memcpy(&b, &v, 8); return b; }
static inline f64 f64_from_bits(u64 b) { f64 v; memcpy(&v, &b, 8); return v; }
static inline bool is_stale(f64 v) { return f64_bits(v) == STALE_NAN_BITS; }
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
Err histogram_check(const Histogram *h, Why *why); /* spans match buckets, counts not negative, bounds ascend */
Histogram *histogram_dup(Arena *a, const Histogram *h);
bool histogram_eq(const Histogram *a, const Histogram *b); /* bit for bit, hints included */
static inline bool histogram_is_stale(const Histogram *h) { return is_stale(h->sum); }

/* ---- exemplars and metadata ---- */
typedef struct Exemplar {
    Labels labels;
    f64 v;
    i64 t; /* 0 = has none */
} Exemplar;
typedef enum MetricType {
    TYPE_UNKNOWN, TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM, TYPE_GAUGEHISTOGRAM, TYPE_SUMMARY, TYPE_INFO, TYPE_STATESET,
} MetricType;
const char *metric_type_name(MetricType t); /* "counter"; "unknown" */
MetricType metric_type_parse(Str s);        /* unknown for unknown words; "untyped" too */

/* ---- the sink ----
 * A batch is decoded by an edge into borrowed slices (valid during the call) and goes to one SampleSink: the store,
 * a remote_write queue, or a tee over several, composed in cmd/. One SeriesBatchItem = one series with its points.
 * `hint` (0 = none) is a cache handle the sink returned earlier for exactly these labels: see ret_hints. */
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
typedef struct SampleBatch {
    Str tenant;
    const SeriesItem *series;
    u32 series_len;
    const MetadataItem *metadata;
    u32 metadata_len;
    bool from_self; /* scrape or rule: nobody waits for durability */
} SampleBatch;

/* What became of a batch. Rejected samples do not fail the batch; the first reason is kept. */
typedef struct SinkResult {
    Err err;                         /* OK, or why nothing (E_BUSY, E_NOSPACE, E_LIMIT ...) or a part was not stored */
    Why why;
    u64 samples_ok, histograms_ok, exemplars_ok;
    u64 rejected_old, rejected_conflict, rejected_invalid, rejected_limit, out_of_order;
    u64 series_added;                /* series never seen before (of this engine's memory) */
} SinkResult;

typedef struct SampleSink SampleSink;
struct SampleSink {
    /* Blocking; call on a pool thread or a producer's own thread. Returns when the batch is applied, and, unless from_self,
     * durable. ret_hints may be NULL, else series_len entries that may be passed back as SeriesItem.hint (0 = none). A
     * wrong or outdated hint is detected by the sink, never trusted. */
    void (*write)(SampleSink *s, const SampleBatch *batch, u64 *ret_hints, SinkResult *ret);
};

/* Log records and spans get their sinks (LogSink, SpanSink) with the event engine. */
