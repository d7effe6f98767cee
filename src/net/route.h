/* Which handler answers a path. Exact paths are looked up in a map; patterns and rests are few and tried in turn. */
#pragma once
#include "net/head.h"

enum { ROUTE_ARGS_MAX = 4, STATUS_KINDS = 24 };

typedef struct Route {
    HttpRoute pub; /* with path and methods copied */
    Str path;
    u32 methods;        /* bits; GET brings HEAD */
    struct Route *next; /* same path, other methods */
    /* Metrics, made at the first answer. Pool threads race to fill a slot; both would put the same pointer. */
    struct {
        _Atomic int status;
        Metric *_Atomic counter;
    } by_status[STATUS_KINDS];
    Metric *_Atomic seconds, *_Atomic bytes;
} Route;

typedef struct Routes {
    StrMap exact; /* path -> Route, a list */
    VEC(Route *) patterns, rests;
    Route *fallback;
    Route unmatched; /* where requests that fit nothing are counted */
    Str prefix;
    const char *metrics_of; /* as in HttpServerConfig */
} Routes;

void routes_init(Routes *rs, Str prefix);
void routes_add(Routes *rs, const HttpRoute *r);
void routes_set_fallback(Routes *rs, const HttpRoute *r);
void routes_done(Routes *rs);
/* NULL: 404 when *ret_allow is 0, else 405 with these methods allowed. args are slices of *path, from which the
 * route prefix is taken away. */
Route *routes_find(Routes *rs, Str *path, u32 method_bit, Str args[ROUTE_ARGS_MAX], u32 *ret_allow);
void route_allow_text(u32 methods, char ret[64]); /* "GET, HEAD, POST" */
void route_count(const Routes *rs, Route *r, int status, f64 seconds, u64 bytes);
