/* api: Prometheus's HTTP API over the series engine. Bodies, statuses and error types are the peer's (3.5), byte for byte;
 * tests/golden/api holds what it answered.
 *
 * Snapshots are Prometheus's: <snapshot_dir>/<name>/<blocks>, to be served by it or brought in with `pharos import`.
 *
 * Registered under /api/v1: query, query_range, query_exemplars, format_query, parse_query, labels, label/{name}/values, series,
 * metadata, write, status/{buildinfo, runtimeinfo, flags, config, tsdb, walreplay}, admin/tsdb/..., and /federate, /metrics,
 * /-/healthy, /-/ready. Targets, rules and alerts are other modules' routes; /-/reload and /-/quit are cmd's.
 *
 * query_range keeps what it answered and evaluates only the steps that are new (cache.c); nocache=1, cache=0 and stats= evaluate all.
 * The time a query may take counts from the request's arrival, waiting for a thread included.
 *
 * The Api lives as long as the servers it is registered on. Handlers run on the server's pools and share nothing but what
 * is in ApiConfig, which must be thread-safe.
 */
#pragma once
#include "metrics/metrics.h"
#include "metrics/promql/promql.h"
#include "net/net.h"

typedef struct ApiBuildInfo {
    Str version; /* the compatible Prometheus version */
    Str revision, branch, build_user, build_date;
    Str pharos_version; /* ours; in an extra member */
} ApiBuildInfo;

typedef struct ApiRuntimeInfo {
    i64 start_ms, last_config_ms;
    Str cwd, hostname, storage_retention; /* "15d", "15d or 10GiB" */
    bool reload_ok;
    u64 corruption_count, threads;
} ApiRuntimeInfo;

typedef struct ApiFlag {
    Str name, value;
} ApiFlag;

/* What the process knows and this module does not. Any may be NULL. Called on pool threads. */
typedef struct ApiHooks {
    void *arg;
    bool (*is_ready)(void *arg);              /* NULL = always; false: 503 on everything but /-/healthy */
    bool (*is_stopping)(void *arg);           /* X-Prometheus-Stopping on those 503s */
    void (*config_text)(void *arg, Buf *out); /* the loaded YAML, secrets as <secret> */
    void (*runtime_info)(void *arg, Arena *arena, ApiRuntimeInfo *ret);
    void (*flags)(void *arg, Arena *arena, const ApiFlag **ret, u32 *ret_len); /* sorted by name */
    void (*external_labels)(void *arg, Arena *arena, Labels *ret);             /* for federation */
} ApiHooks;

typedef struct ApiConfig {
    PromSource *source; /* queries read here */
    SampleSink *sink;   /* remote_write goes here; NULL = receiver off (404 with the peer's sentence) */
    /* Exemplars, metadata, tsdb status, deletion; NULL = those are empty or unavailable. */
    MetricsEngine *engine;
    PromEngineConfig query; /* limits of a query */
    u32 query_concurrency;  /* how many may run at once, for the metric that says so */
    u64 cache_bytes;        /* of kept results of range queries; 0 = none are kept */
    Clock *clock;
    Str default_tenant; /* of a request without one; empty = "anonymous" */
    Str cors_origin;    /* regular expression, anchored; empty = ".*" */
    bool enable_admin;  /* --web.enable-admin-api */
    Str snapshot_dir; /* where admin/tsdb/snapshot makes its folders; made when missing; empty = there are none */
    ApiBuildInfo build;
    ApiHooks hooks;
} ApiConfig;

typedef struct Api Api;
/* E_INVALID: cors_origin does not compile. Strings are borrowed. */
Err api_new(const ApiConfig *c, Api **ret, Why *why);
void api_register(Api *a, HttpServer *s); /* may be called for several servers, before they start */
void api_free(Api *a);                    /* after those servers */

/* ---- for other modules' routes under /api/v1, so that all answer alike ---- */
typedef enum ApiErrorType {
    API_BAD_DATA,
    API_EXECUTION,
    API_CANCELED,
    API_TIMEOUT,
    API_INTERNAL,
    API_UNAVAILABLE,
    API_NOT_FOUND,
    API_NOT_ACCEPTABLE,
} ApiErrorType;
/* CORS headers, and 503 while not ready. False: answered. Call first in every handler. */
bool api_enter(Api *a, HttpReq *r);
/* {"status":"error","errorType":"bad_data","error":"..."} with the status that belongs to the type. */
void api_error(HttpReq *r, ApiErrorType t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* `invalid parameter "name": ...` */
void api_bad_param(HttpReq *r, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Small answers: api_data opens {"status":"success","data": in out; the caller writes the value; api_reply closes and sends. */
void api_data(Buf *out, Json *j);
void api_reply(HttpReq *r, Buf *out);
