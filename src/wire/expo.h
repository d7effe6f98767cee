/* Private to wire: what the exposition parsers share. expo.c dispatches, expo_text.c reads both text formats,
 * expo_proto.c the delimited protobuf, expo_nhcb.c folds classic histograms into custom-bucket ones. */
#pragma once
#include "wire/wire.h"

/* The start time that a `_created` line gives to the series of its family with the same labels (le and quantile aside). */
typedef struct ExpoCreated {
    u64 hash;
    i64 t;
} ExpoCreated;

typedef struct ExpoProto {
    u8 stage;
    Str name, help, unit;
    i32 kind;          /* MetricType of io.prometheus.client */
    PbReader metrics;  /* the family's messages, for its metrics */
    Str metric, value; /* the current Metric and the counter, gauge, summary or histogram in it */
    i64 t, start_t;    /* t INT64_MIN: none */
    PbReader parts;    /* quantiles or buckets still to come */
    u8 part;           /* PART_COUNT ... */
    bool has_inf;
    Str exemplar; /* of the current counter or bucket */
    f64 count, sum;
    f64 bound;
    bool has_bound;
    const char *suffix; /* "", "_count" ... of the current series */
} ExpoProto;

typedef struct ExpoNhcb {
    bool is_on, is_collecting, has_held;
    Err held_err; /* the item (or end) that closed the histogram comes after it */
    ExpoItem held, out;
    Str base; /* family from the last TYPE */
    MetricType type;
    Str series_name; /* of what is collected */
    u64 hash;
    bool after_native;
    Labels labels;
    i64 t, start_t;
    f64 *le, *counts;
    u32 len, cap;
    f64 count, sum;
    bool has_count, is_wrong;
    Exemplar exemplars[10];
    u32 exemplars_len;
} ExpoNhcb;

struct ExpoParser {
    const char *page, *at, *end;
    ExpoFormat format;
    ExpoOptions options;
    Arena *arena;
    u32 line;
    MetricType type;
    bool is_done, has_created;
    u32 expected_len; /* expo_expect; 0 = none */
    u64 expected_hash, expected_key;
    Label *scratch;
    u32 scratch_len, scratch_cap;
    char *key; /* protobuf's series_text */
    size_t key_len, key_cap;
    ExpoCreated *created;
    u32 created_len, created_cap;
    ExpoProto proto;
    ExpoNhcb nhcb;
};

Err expo_text_next(ExpoParser *p, ExpoItem *ret, Why *why);
Err expo_text_labels(ExpoParser *p, ExpoItem *item, Why *why);
Err expo_proto_next(ExpoParser *p, ExpoItem *ret, Why *why);
Err expo_proto_labels(ExpoParser *p, ExpoItem *item, Why *why);
Err expo_nhcb_next(ExpoParser *p, ExpoItem *ret, Why *why);
Err expo_raw_next(ExpoParser *p, ExpoItem *ret, Why *why);
Err expo_raw_labels(ExpoParser *p, ExpoItem *item, Why *why);

/* Error at a place of a text page: line and column are found here, errors being rare. */
Err expo_fail(ExpoParser *p, const char *at, Why *why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
Err expo_too_big(Why *why);
/* Labels gather in scratch (which may hold dropped ones), then are sorted, checked and copied to the arena. */
bool expo_label_add(ExpoParser *p, Str name, Str value);
/* dup_name names the label that came twice when the answer is E_CONFLICT; E_LIMIT when the arena is full. */
Err expo_labels_take(ExpoParser *p, Labels *ret, Str *ret_dup);
/* 0.5 -> "0.5", 1 -> "1.0", 1e6 -> "1e+06", +Inf: how le and quantile are written. */
Str expo_format_bound(ExpoParser *p, f64 v);
/* Exemplar labels as gathered: false when the set is unusable (a name twice, longer than 128 code points). */
Err expo_exemplar_labels(ExpoParser *p, Exemplar *e, bool *ret_usable);
