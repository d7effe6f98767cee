/* Routes, the frame of every answer, health, and our own metrics page. */
#include "metrics/api/impl.h"

#include <stdio.h>

Str api_tenant(const Api *a, const HttpReq *r)
{
    if (r->principal.tenant.len > 0)
        return r->principal.tenant;
    return a->c.default_tenant.len > 0 ? a->c.default_tenant : S("anonymous");
}

/* ---- the frame ---- */

static void add_cors(Api *a, HttpReq *r)
{
    Str origin = http_header(r, S("Origin"));
    http_add_header(r, S("Vary"), S("Origin"));
    if (origin.len == 0)
        return;
    http_add_header(r, S("Access-Control-Allow-Headers"), S("Accept, Authorization, Content-Type, Origin"));
    http_add_header(r, S("Access-Control-Allow-Methods"), S("GET, POST, OPTIONS"));
    http_add_header(r, S("Access-Control-Expose-Headers"), S("Date"));
    if (regex_match(a->cors, origin))
        http_add_header(r, S("Access-Control-Allow-Origin"), origin);
}

static bool is_ready(Api *a, HttpReq *r)
{
    const ApiHooks *h = &a->c.hooks;
    if (!h->is_ready || h->is_ready(h->arg))
        return true;
    http_add_header(r, S("X-Prometheus-Stopping"),
                    h->is_stopping && h->is_stopping(h->arg) ? S("true") : S("false"));
    http_reply_text(r, 503, "Service Unavailable");
    return false;
}

bool api_enter(Api *a, HttpReq *r)
{
    if (!is_ready(a, r))
        return false;
    add_cors(a, r);
    return true;
}

static void error_reply(HttpReq *r, ApiErrorType t, Str text)
{
    static const struct {
        const char *name;
        int status;
    } types[] = {
        [API_BAD_DATA] = {"bad_data", 400},   [API_EXECUTION] = {"execution", 422},
        [API_CANCELED] = {"canceled", 499},   [API_TIMEOUT] = {"timeout", 503},
        [API_INTERNAL] = {"internal", 500},   [API_UNAVAILABLE] = {"unavailable", 500},
        [API_NOT_FOUND] = {"not_found", 404}, [API_NOT_ACCEPTABLE] = {"not_acceptable", 406},
    };
    Buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", types[t].name);
    js_quote(&b, text);
    buf_char(&b, '}');
    http_reply(r, types[t].status, API_JSON, buf_view(&b));
    buf_done(&b);
}

void api_error(HttpReq *r, ApiErrorType t, const char *fmt, ...)
{
    Buf b;
    va_list ap;
    buf_init(&b, 1 << 16);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    error_reply(r, t, buf_view(&b));
    buf_done(&b);
}

void api_bad_param(HttpReq *r, const char *name, const char *fmt, ...)
{
    Buf b;
    va_list ap;
    buf_init(&b, 1 << 16);
    buf_printf(&b, "invalid parameter \"%s\": ", name);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    error_reply(r, API_BAD_DATA, buf_view(&b));
    buf_done(&b);
}

void api_data(Buf *out, Json *j)
{
    buf_init(out, API_SMALL_MAX);
    buf_c(out, "{\"status\":\"success\",\"data\":");
    js_init(j, out);
}

void api_reply(HttpReq *r, Buf *out)
{
    buf_char(out, '}');
    if (buf_over(out))
        api_error(r, API_INTERNAL, "the answer is larger than %zu bytes: ask for less with limit or match[]",
                  API_SMALL_MAX);
    else
        http_reply(r, 200, API_JSON, buf_view(out));
    buf_done(out);
}

/* ---- health, options, own metrics ---- */

static void handle_healthy(HttpReq *r, void *arg)
{
    http_reply_text(r, 200, "Prometheus Server is Healthy.\n");
}

static void handle_ready(HttpReq *r, void *arg)
{
    if (is_ready(arg, r))
        http_reply_text(r, 200, "Prometheus Server is Ready.\n");
}

static void handle_options(HttpReq *r, void *arg)
{
    if (api_enter(arg, r))
        http_reply(r, 204, NULL, S(""));
}

static void handle_metrics(HttpReq *r, void *arg)
{
    Buf b;
    buf_init(&b, API_SMALL_MAX);
    metrics_render(&b);
    http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", buf_view(&b));
    buf_done(&b);
}

/* ---- life ---- */

Err api_new(const ApiConfig *c, Api **ret, Why *why)
{
    Api *a = mem_new(Api);
    a->c = *c;
    if (regex_new(c->cors_origin.len > 0 ? c->cors_origin : S(".*"), REGEX_ANCHORED, &a->cors, why) != OK) {
        mem_free(a);
        return why_prefix(why, "--web.cors.origin: ");
    }
    a->federation_errors =
        metric_counter("prometheus_web_federation_errors_total",
                       "Total number of errors that occurred while sending federation responses.", "");
    a->invalid_labels =
        metric_counter("prometheus_api_remote_write_invalid_labels_samples_total",
                       "The total number of received remote write samples and histogram samples which "
                       "were rejected due to invalid labels.",
                       "");
    api_query_init(a);
    *ret = a;
    return OK;
}

void api_free(Api *a)
{
    if (!a)
        return;
    regex_free(a->cors);
    result_cache_free(a->cache);
    mem_free(a);
}

#define FORM_MAX  ((u64)10 << 20) /* as Go's ParseForm */
#define WRITE_MAX ((u64)33 << 20) /* compressed; 32 MiB decoded */

void api_register(Api *a, HttpServer *s)
{
#define READ(m, p, h)                                                                                        \
    {.methods = (m),                                                                                         \
     .path = (p),                                                                                            \
     .handler = (h),                                                                                         \
     .arg = a,                                                                                               \
     .role = ROLE_READ,                                                                                      \
     .tenant = TENANT_READ,                                                                                  \
     .run = RUN_QUERY,                                                                                       \
     .body_max = FORM_MAX}
#define ADMIN(m, p, h)                                                                                       \
    {.methods = (m),                                                                                         \
     .path = (p),                                                                                            \
     .handler = (h),                                                                                         \
     .arg = a,                                                                                               \
     .role = ROLE_ADMIN,                                                                                     \
     .tenant = TENANT_WRITE,                                                                                 \
     .run = RUN_ADMIN,                                                                                       \
     .body_max = FORM_MAX}
#define PLAIN(p, h, where)                                                                                   \
    {.methods = "GET",                                                                                       \
     .path = (p),                                                                                            \
     .handler = (h),                                                                                         \
     .arg = a,                                                                                               \
     .role = ROLE_NONE,                                                                                      \
     .tenant = TENANT_NONE,                                                                                  \
     .run = (where)}
    const HttpRoute routes[] = {
        READ("GET,POST", "/api/v1/query", handle_query),
        READ("GET,POST", "/api/v1/query_range", handle_query_range),
        READ("GET,POST", "/api/v1/query_exemplars", handle_query_exemplars),
        READ("GET,POST", "/api/v1/format_query", handle_format_query),
        READ("GET,POST", "/api/v1/parse_query", handle_parse_query),
        READ("GET,POST", "/api/v1/labels", handle_labels),
        READ("GET", "/api/v1/label/{}/values", handle_label_values),
        READ("GET,POST", "/api/v1/series", handle_series),
        READ("DELETE", "/api/v1/series", handle_drop_series),
        READ("GET", "/api/v1/metadata", handle_metadata),
        READ("GET", "/api/v1/status/buildinfo", handle_buildinfo),
        READ("GET", "/api/v1/status/runtimeinfo", handle_runtimeinfo),
        READ("GET", "/api/v1/status/flags", handle_flags),
        READ("GET", "/api/v1/status/config", handle_config),
        READ("GET", "/api/v1/status/tsdb", handle_tsdb),
        READ("GET", "/api/v1/status/walreplay", handle_walreplay),
        READ("GET", "/federate", handle_federate),
        ADMIN("POST,PUT", "/api/v1/admin/tsdb/delete_series", handle_delete_series),
        ADMIN("POST,PUT", "/api/v1/admin/tsdb/clean_tombstones", handle_clean_tombstones),
        ADMIN("POST,PUT", "/api/v1/admin/tsdb/snapshot", handle_snapshot),
        {.methods = "POST",
         .path = "/api/v1/write",
         .handler = handle_write,
         .arg = a,
         .role = ROLE_WRITE,
         .tenant = TENANT_WRITE,
         .run = RUN_INGEST,
         .flags = BODY_RAW,
         .body_max = WRITE_MAX},
        PLAIN("/-/healthy", handle_healthy, RUN_LOOP),
        PLAIN("/-/ready", handle_ready, RUN_LOOP),
        {.methods = "GET",
         .path = "/metrics",
         .handler = handle_metrics,
         .arg = a,
         .role = ROLE_READ,
         .run = RUN_ADMIN},
    };
#undef READ
#undef ADMIN
#undef PLAIN
    http_server_route(s, routes, COUNT_OF(routes));
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        bool is_again = i > 0 && strcmp(routes[i].path, routes[i - 1].path) == 0;
        const HttpRoute options = {
            .methods = "OPTIONS", .path = routes[i].path, .handler = handle_options, .arg = a};
        if (str_starts(str_c(routes[i].path), S("/api/v1/")) && !is_again)
            http_server_route(s, &options, 1);
    }
}
