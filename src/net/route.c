#include "net/route.h"
#include <stdatomic.h>
#include <stdio.h>

static Route *route_new(const HttpRoute *pub)
{
    Route *r = mem_new(Route);
    r->pub = *pub;
    r->path = mem_dup(str_c(pub->path));
    r->pub.path = r->path.at;
    r->methods = method_bits(str_c(pub->methods));
    check(r->methods != 0);
    if (r->methods & METHOD_GET)
        r->methods |= METHOD_HEAD;
    r->pub.methods = NULL;
    return r;
}

static void route_free(Route *r)
{
    while (r) {
        Route *next = r->next;
        mem_free((void *)r->path.at);
        mem_free(r);
        r = next;
    }
}

void routes_init(Routes *rs, Str prefix)
{
    *rs = (Routes){.prefix = mem_dup(prefix)};
    rs->unmatched.path = S("unmatched");
}

void routes_done(Routes *rs)
{
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(&rs->exact, &i));)
        route_free(slot->value);
    strmap_done(&rs->exact);
    for (size_t i = 0; i < rs->patterns.len; i++)
        route_free(rs->patterns.at[i]);
    for (size_t i = 0; i < rs->rests.len; i++)
        route_free(rs->rests.at[i]);
    vec_done(&rs->patterns);
    vec_done(&rs->rests);
    route_free(rs->fallback);
    mem_free((void *)rs->prefix.at);
}

static void chain(Route *first, Route *r)
{
    u32 had = first->methods;
    check((had & r->methods & ~(u32)METHOD_HEAD) == 0); /* registered twice */
    while (first->next) {
        first = first->next;
        check((first->methods & r->methods & ~(u32)METHOD_HEAD) == 0);
    }
    first->next = r;
}

static Route *find_same_path(Route **at, size_t n, Str path)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(at[i]->path, path))
            return at[i];
    return NULL;
}

void routes_add(Routes *rs, const HttpRoute *pub)
{
    Route *r = route_new(pub), *first;
    check(str_starts(r->path, S("/")));
    if (str_ends(r->path, S("*"))) {
        first = find_same_path(rs->rests.at, rs->rests.len, r->path);
        if (first) {
            chain(first, r);
            return;
        }
        vec_push(&rs->rests, r);
        for (size_t i = rs->rests.len - 1; i > 0 && rs->rests.at[i - 1]->path.len < r->path.len; i--) {
            rs->rests.at[i] = rs->rests.at[i - 1];
            rs->rests.at[i - 1] = r; /* longest first */
        }
    } else if (str_find_char(r->path, '{') != SIZE_MAX) {
        first = find_same_path(rs->patterns.at, rs->patterns.len, r->path);
        if (first)
            chain(first, r);
        else
            vec_push(&rs->patterns, r);
    } else {
        first = strmap_find(&rs->exact, r->path);
        if (first)
            chain(first, r);
        else
            strmap_put(&rs->exact, r->path, r);
    }
}

void routes_set_fallback(Routes *rs, const HttpRoute *pub)
{
    check(!rs->fallback);
    rs->fallback = route_new(pub);
}

/* {} or {name} takes one segment that is not empty; a star at the end takes the rest, which may be empty. */
static bool pattern_fits(Str pattern, Str path, Str args[ROUTE_ARGS_MAX])
{
    u32 n = 0;
    while (pattern.len) {
        if (pattern.at[0] == '*') {
            if (n < ROUTE_ARGS_MAX)
                args[n] = path;
            return true;
        }
        if (pattern.at[0] == '{') {
            size_t close = str_find_char(pattern, '}');
            check(close != SIZE_MAX);
            size_t end = str_find_char(path, '/');
            if (end == SIZE_MAX)
                end = path.len;
            if (end == 0)
                return false;
            if (n < ROUTE_ARGS_MAX)
                args[n++] = str_sub(path, 0, end);
            path = str_skip(path, end);
            pattern = str_skip(pattern, close + 1);
            continue;
        }
        if (path.len == 0 || path.at[0] != pattern.at[0])
            return false;
        path = str_skip(path, 1);
        pattern = str_skip(pattern, 1);
    }
    return path.len == 0;
}

static Route *pick_method(Route *first, u32 bit, u32 *allow)
{
    for (Route *r = first; r; r = r->next) {
        if (r->methods & bit)
            return r;
        *allow |= r->methods;
    }
    return NULL;
}

static Route *find_in(Routes *rs, Str path, u32 bit, Str args[ROUTE_ARGS_MAX], u32 *allow)
{
    Route *first = strmap_find(&rs->exact, path);
    if (first)
        return pick_method(first, bit, allow);
    for (size_t i = 0; i < rs->patterns.len; i++)
        if (pattern_fits(rs->patterns.at[i]->path, path, args))
            return pick_method(rs->patterns.at[i], bit, allow);
    for (size_t i = 0; i < rs->rests.len; i++)
        if (pattern_fits(rs->rests.at[i]->path, path, args))
            return pick_method(rs->rests.at[i], bit, allow);
    return NULL;
}

Route *routes_find(Routes *rs, Str *path, u32 bit, Str args[ROUTE_ARGS_MAX], u32 *ret_allow)
{
    *ret_allow = 0;
    memset(args, 0, sizeof(Str) * ROUTE_ARGS_MAX);
    if (rs->prefix.len && str_eq(*path, rs->prefix))
        *path = S("/");
    else if (rs->prefix.len && str_starts(*path, rs->prefix) && path->at[rs->prefix.len] == '/')
        *path = str_skip(*path, rs->prefix.len);
    Route *r = find_in(rs, *path, bit, args, ret_allow);
    if (r || *ret_allow || !rs->fallback)
        return r;
    args[0] = *path;
    return pick_method(rs->fallback, bit, ret_allow);
}

void route_allow_text(u32 methods, char ret[64])
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    size_t n = 0;
    ret[0] = 0;
    for (u32 i = 0; i < COUNT_OF(names); i++)
        if (methods & 1u << i)
            n += (size_t)snprintf(ret + n, 64 - n, "%s%s", n ? ", " : "", names[i]);
}

/* ---- metrics ---- */

static const f64 seconds_bounds[] = {.1, .2, .4, 1, 3, 8, 20, 60, 120};
static const f64 bytes_bounds[] = {100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

static Metric *status_counter(const char *of, Route *r, int status)
{
    for (u32 i = 0; i < STATUS_KINDS; i++) {
        int have = r->by_status[i].status;
        if (have == status && r->by_status[i].counter)
            return r->by_status[i].counter;
        if (have == 0)
            break;
    }
    char labels[320];
    snprintf(labels, sizeof labels, "code=\"%d\",handler=\"%.*s\"", status, STR_FMT(r->path));
    char name[64];
    snprintf(name, sizeof name, "%s_http_requests_total", of);
    Metric *m = metric_counter(name, "Counter of HTTP requests.", labels);
    for (u32 i = 0; i < STATUS_KINDS; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&r->by_status[i].status, &none, status) || none == status) {
            r->by_status[i].counter = m;
            break;
        }
    }
    return m;
}

void route_count(const Routes *rs, Route *r, int status, f64 seconds, u64 bytes)
{
    const char *of = rs->metrics_of ? rs->metrics_of : "prometheus";
    if (!r->seconds || !r->bytes) {
        char labels[300], name[64];
        snprintf(labels, sizeof labels, "handler=\"%.*s\"", STR_FMT(r->path));
        snprintf(name, sizeof name, "%s_http_request_duration_seconds", of);
        r->seconds = metric_histogram(name, "Histogram of latencies for HTTP requests.", labels,
                                      seconds_bounds, COUNT_OF(seconds_bounds));
        snprintf(name, sizeof name, "%s_http_response_size_bytes", of);
        r->bytes = metric_histogram(name, "Histogram of response size for HTTP requests.", labels,
                                    bytes_bounds, COUNT_OF(bytes_bounds));
    }
    metric_inc(status_counter(of, r, status));
    metric_observe(r->seconds, seconds);
    metric_observe(r->bytes, (f64)bytes);
}
