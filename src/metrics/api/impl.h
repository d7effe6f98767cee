/* What the files of api/ share. */
#pragma once
#include "metrics/api/api.h"

typedef struct ResultCache ResultCache;
struct Api {
    ApiConfig c;
    ResultCache *cache;
    Regex *cors;
    Metric *federation_errors, *invalid_labels;
    Metric *queries, *query_samples, *inner_seconds, *queue_seconds;
};

#define API_JSON      "application/json"
#define API_SMALL_MAX ((size_t)64 << 20) /* of an answer built in one piece */

Str api_tenant(const Api *a, const HttpReq *r);

/* ---- parameters (params.c); false = answered with the peer's sentence ---- */
#define API_TIME_MIN (-9223309901257974000LL) /* the defaults of start and end */
#define API_TIME_MAX 9223309901257974999LL
bool param_limit(HttpReq *r, u64 *ret); /* 0 = none */
bool param_time(HttpReq *r, const char *name, i64 fallback, i64 *ret_ms);
bool param_range(HttpReq *r, i64 *ret_start, i64 *ret_end); /* optional start and end */
Str label_unescape(Arena *arena, Str name); /* U__a_2e_b is a.b; what is malformed stands for itself */
/* Seconds or a Prometheus duration. */
Err parse_api_duration_ns(Str s, i64 *ret_ns, Why *why);
typedef struct MatcherSets {
    Matchers *at;
    u32 len;
} MatcherSets;
/* All match[]. Err with the parser's sentence. Free with matcher_sets_done (also after an error: empty then). */
Err param_matchers(HttpReq *r, bool need_non_empty, MatcherSets *ret, Why *why);
void matcher_sets_done(MatcherSets *s);

/* ---- kept answers of range queries (cache.c) ---- */
ResultCache *result_cache_new(Account *parent, u64 bytes_max);
void result_cache_free(ResultCache *c); /* NULL is fine */
/* As promql_query; range queries may take steps from the cache (c or e NULL: never) and leave theirs there. The answer is the same
 * to the byte. Safe from several threads. */
Err cached_query(ResultCache *c, const PromEngineConfig *config, MetricsEngine *e, PromSource *src,
                 const PromQuery *q, i64 now_ms, Arena *arena, PromResult *ret, Why *why);

/* ---- answers (result.c) ---- */
typedef struct OutTime { /* how the point of a time begins: [1.234, */
    i64 t;
    u32 len; /* 0 = not written yet */
    char text[28];
} OutTime;
#define OUT_TIMES 1024u
typedef struct Out { /* gathers and streams */
    HttpReq *r;
    Buf b;
    bool is_gone;
    OutTime *times; /* by place in a series, OUT_TIMES of them; NULL until there are points */
} Out;
void out_begin(Out *o, HttpReq *r, int status, const char *content_type);
void out_spill(Out *o); /* sends what is there when it is much: call between items */
void out_end(Out *o);
void out_json_str(Buf *b, Str s); /* as labels are escaped: <, > and & stay */
void out_labels(Buf *b, Labels l);
void out_time(Buf *b, i64 ms); /* seconds, three decimals or none */
void out_value(Buf *b, f64 v); /* "1.5", in quotes */
/* ,"warnings":[...],"infos":[...] at most ten of each. */
void out_notes(Buf *b, const PromNote *notes, u32 n, const char *extra_warning);
void out_result(Out *o, const PromResult *res, u64 limit, bool *ret_truncated);

/* ---- handlers ---- */
void api_query_init(Api *a); /* the cache, the metrics of queries */
void handle_query(HttpReq *r, void *arg);
void handle_query_range(HttpReq *r, void *arg);
void handle_format_query(HttpReq *r, void *arg);
void handle_parse_query(HttpReq *r, void *arg);
void handle_query_exemplars(HttpReq *r, void *arg);
void handle_labels(HttpReq *r, void *arg);
void handle_label_values(HttpReq *r, void *arg);
void handle_series(HttpReq *r, void *arg);
void handle_drop_series(HttpReq *r, void *arg);
void handle_metadata(HttpReq *r, void *arg);
void handle_buildinfo(HttpReq *r, void *arg);
void handle_runtimeinfo(HttpReq *r, void *arg);
void handle_flags(HttpReq *r, void *arg);
void handle_config(HttpReq *r, void *arg);
void handle_tsdb(HttpReq *r, void *arg);
void handle_walreplay(HttpReq *r, void *arg);
void handle_write(HttpReq *r, void *arg);
void handle_federate(HttpReq *r, void *arg);
void handle_delete_series(HttpReq *r, void *arg);
void handle_clean_tombstones(HttpReq *r, void *arg);
void handle_snapshot(HttpReq *r, void *arg);
