/* query, query_range, format_query, parse_query. */
#include "metrics/api/impl.h"

typedef struct Asked {
    PromQuery q;
    u64 limit;
    i64 timeout_ns; /* INT64_MIN = not given */
    i64 asked_ns;   /* mono: when the request came */
} Asked;

/* timeout, then lookback_delta: the peer's order. */
static bool take_options(Api *a, HttpReq *r, Asked *ret)
{
    Str timeout = http_param(r, S("timeout")), lookback = http_param(r, S("lookback_delta"));
    Why why = {0};
    i64 ns;
    ret->timeout_ns = INT64_MIN;
    if (timeout.len > 0) {
        if (parse_api_duration_ns(timeout, &ret->timeout_ns, &why) != OK) {
            api_bad_param(r, "timeout", "%s", why.text);
            return false;
        }
        if (ret->timeout_ns > 0)
            ret->q.deadline = (Deadline){a->c.clock, ret->asked_ns + MIN(ret->timeout_ns, INT64_MAX / 4)};
    }
    if (lookback.len > 0) {
        if (parse_api_duration_ns(lookback, &ns, &why) != OK) {
            api_error(r, API_BAD_DATA, "error parsing lookback delta duration: %s", why.text);
            return false;
        }
        ret->q.lookback_ms = ns > 0 ? MAX(ns / NS_PER_MS, 1) : 0;
    }
    return true;
}

static void fill(Api *a, HttpReq *r, Asked *ret)
{
    *ret = (Asked){.q = {.text = http_param(r, S("query")), .tenant = api_tenant(a, r), .cancel = r->cancel}};
    ret->asked_ns = r->start_ns > 0 ? r->start_ns : clock_mono_ns(a->c.clock);
    i64 longest_ms = a->c.query.timeout_ms > 0 ? a->c.query.timeout_ms : 120000;
    ret->q.deadline = (Deadline){a->c.clock, ret->asked_ns + longest_ms * NS_PER_MS};
}

static void query_error(HttpReq *r, Err e, const Why *why)
{
    switch (e) {
    case E_PARSE:
    case E_INVALID:
        api_bad_param(r, "query", "%s", why->text);
        break;
    case E_TIMEOUT:
        api_error(r, API_TIMEOUT, "%s", why->text);
        break;
    case E_CANCELED:
        api_error(r, API_CANCELED, "%s", why->text);
        break;
    case E_EXEC:
    case E_TOO_LARGE:
    case E_LIMIT:
        api_error(r, API_EXECUTION, "%s", why->text);
        break;
    case E_BUSY:
    case E_UNAVAILABLE:
        http_add_header(r, S("Retry-After"), S("1"));
        http_reply_text(r, 503, "%s\n", why->text);
        break;
    default:
        api_error(r, API_INTERNAL, "%s", why->text);
        break;
    }
}

static void key_seconds(Buf *b, const char *name, i64 ns)
{
    buf_printf(b, "\"%s\":", name);
    print_f64_g(b, (f64)ns / 1e9);
}

static void out_stats(Api *a, Buf *b, const Asked *q, const PromResult *res, i64 begun_ns)
{
    i64 now = clock_mono_ns(a->c.clock);
    buf_c(b, ",\"stats\":{\"timings\":{");
    key_seconds(b, "evalTotalTime", now - begun_ns);
    buf_c(b, ",\"resultSortTime\":0,\"queryPreparationTime\":0,");
    key_seconds(b, "innerEvalTime", now - begun_ns);
    buf_char(b, ',');
    key_seconds(b, "execQueueTime", begun_ns - q->asked_ns);
    buf_char(b, ',');
    key_seconds(b, "execTotalTime", now - q->asked_ns);
    buf_c(b, "},\"samples\":{\"totalQueryableSamples\":");
    print_u64(b, res->samples_read);
    buf_c(b, ",\"peakSamples\":");
    print_u64(b, res->samples_peak);
    buf_c(b, "}}");
}

static void reply_result(Api *a, HttpReq *r, const Asked *q, const PromResult *res, i64 begun_ns)
{
    Out o;
    bool truncated = false;
    out_begin(&o, r, 200, API_JSON);
    buf_c(&o.b, "{\"status\":\"success\",\"data\":{");
    out_result(&o, res, q->limit, &truncated);
    if (http_param(r, S("stats")).len > 0)
        out_stats(a, &o.b, q, res, begun_ns);
    buf_char(&o.b, '}');
    out_notes(&o.b, res->notes, res->notes_len, truncated ? "results truncated due to limit" : NULL);
    buf_char(&o.b, '}');
    out_end(&o);
}

/* Nothing kept: asked for, or wanted with its costs. */
static bool wants_fresh(const HttpReq *r)
{
    return str_eq(http_param(r, S("nocache")), S("1")) || str_eq(http_param(r, S("cache")), S("0")) ||
           http_param(r, S("stats")).len > 0;
}

/* Everything a query allocates, its result too, is on one account. */
static void run_charged(Api *a, HttpReq *r, const Asked *q, i64 begun_ns)
{
    PromResult res = {0};
    Why why = {0};
    Arena memory;
    PromEngineConfig c = a->c.query;
    c.memory_max = c.memory_max ? c.memory_max : (u64)1 << 30;
    c.account = account_new("query.max-memory", a->c.query.account, c.memory_max);
    arena_init(&memory, c.account, c.memory_max);
    Err e = cached_query(wants_fresh(r) ? NULL : a->cache, &c, a->c.engine, a->c.source, &q->q,
                         clock_wall_ms(a->c.clock), &memory, &res, &why);
    metric_observe(a->inner_seconds, (f64)(clock_mono_ns(a->c.clock) - begun_ns) / 1e9);
    metric_add(a->query_samples, (f64)res.samples_read);
    if (e == OK)
        reply_result(a, r, q, &res, begun_ns);
    else
        query_error(r, e, &why);
    arena_done(&memory);
    account_free(c.account);
}

static void run(Api *a, HttpReq *r, const Asked *q)
{
    if (q->timeout_ns != INT64_MIN && q->timeout_ns <= 0) { /* the peer's context fails before its parser */
        if (q->timeout_ns < 0)
            api_bad_param(r, "query", "context deadline exceeded");
        else
            api_error(r, API_TIMEOUT, "query timed out in query execution");
        return;
    }
    i64 begun_ns = clock_mono_ns(a->c.clock);
    metric_observe(a->queue_seconds, (f64)(begun_ns - q->asked_ns) / 1e9);
    if (deadline_passed(q->q.deadline)) {
        http_add_header(r, S("Retry-After"), S("1"));
        api_error(r, API_TIMEOUT, "query timed out in query queue");
        return;
    }
    metric_add(a->queries, 1);
    run_charged(a, r, q, begun_ns);
    metric_add(a->queries, -1);
}

void api_query_init(Api *a)
{
    static const char name[] = "prometheus_engine_query_duration_seconds", help[] = "Query timings.";
    a->queries = metric_gauge("prometheus_engine_queries", "Queries being evaluated.", "");
    a->query_samples =
        metric_counter("prometheus_engine_query_samples_total", "Samples loaded by all queries.", "");
    a->inner_seconds = metric_histogram(name, help, "slice=\"inner_eval\"", metric_latency_bounds,
                                        COUNT_OF(metric_latency_bounds));
    a->queue_seconds = metric_histogram(name, help, "slice=\"queue_time\"", metric_latency_bounds,
                                        COUNT_OF(metric_latency_bounds));
    metric_set(metric_gauge("prometheus_engine_queries_concurrent_max",
                            "Queries that may be evaluated at once.", ""),
               a->c.query_concurrency);
    if (a->c.cache_bytes && a->c.engine)
        a->cache = result_cache_new(a->c.query.account, a->c.cache_bytes);
}

void handle_query(HttpReq *r, void *arg)
{
    Api *a = arg;
    Asked q;
    if (!api_enter(a, r))
        return;
    fill(a, r, &q);
    if (!param_limit(r, &q.limit) || !param_time(r, "time", clock_wall_ms(a->c.clock), &q.q.start_ms))
        return;
    q.q.end_ms = q.q.start_ms;
    if (take_options(a, r, &q))
        run(a, r, &q);
}

/* start and end must be there, and their errors are shorter than those of optional times. */
static bool need_time(HttpReq *r, const char *name, i64 *ret_ms)
{
    Str s = http_param(r, str_c(name));
    Buf b;
    if (parse_api_time_ms(s, ret_ms) == OK)
        return true;
    buf_init(&b, 4096);
    go_quote(&b, str_sub(s, 0, str_rune_prefix(s, 500)));
    api_bad_param(r, name, "cannot parse %s to a valid timestamp", buf_cstr(&b));
    buf_done(&b);
    return false;
}

#define POINTS_MAX 11000

static bool take_step(HttpReq *r, PromQuery *q)
{
    Why why = {0};
    i64 ns;
    if (parse_api_duration_ns(http_param(r, S("step")), &ns, &why) != OK) {
        api_bad_param(r, "step", "%s", why.text);
        return false;
    }
    if (ns <= 0) {
        api_bad_param(
            r, "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer");
        return false;
    }
    __int128 span_ns = ((__int128)q->end_ms - q->start_ms) * NS_PER_MS;
    if (span_ns / ns > POINTS_MAX) {
        api_error(r, API_BAD_DATA,
                  "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
                  "resolution "
                  "(?step=XX)");
        return false;
    }
    q->step_ms = MAX(ns / NS_PER_MS, 1);
    return true;
}

void handle_query_range(HttpReq *r, void *arg)
{
    Api *a = arg;
    Asked q;
    if (!api_enter(a, r))
        return;
    fill(a, r, &q);
    q.q.is_range = true;
    if (!param_limit(r, &q.limit) || !need_time(r, "start", &q.q.start_ms) ||
        !need_time(r, "end", &q.q.end_ms))
        return;
    if (q.q.end_ms < q.q.start_ms) {
        api_bad_param(r, "end", "end timestamp must not be before start time");
        return;
    }
    if (take_step(r, &q.q) && take_options(a, r, &q))
        run(a, r, &q);
}

/* The tree of query=; NULL = answered. The caller frees it. */
static Node *parse_param(Api *a, HttpReq *r)
{
    Node *n = NULL;
    Why why = {0};
    if (promql_parse(http_param(r, S("query")), a->c.query.features, r->arena, &n, NULL, &why) != OK)
        api_bad_param(r, "query", "%s", why.text);
    return n;
}

void handle_format_query(HttpReq *r, void *arg)
{
    Node *n;
    Buf text, out;
    Json j;
    if (!api_enter(arg, r) || !(n = parse_param(arg, r)))
        return;
    buf_init(&text, API_SMALL_MAX / 8);
    promql_pretty(n, &text);
    promql_done(n);
    if (buf_over(&text)) {
        api_error(r, API_BAD_DATA, "the formatted query is too long");
    } else {
        api_data(&out, &j);
        js_str(&j, buf_view(&text));
        api_reply(r, &out);
    }
    buf_done(&text);
}

void handle_parse_query(HttpReq *r, void *arg)
{
    Node *n;
    Buf out;
    Json j;
    if (!api_enter(arg, r) || !(n = parse_param(arg, r)))
        return;
    api_data(&out, &j);
    promql_ast_json(n, &j);
    promql_done(n);
    api_reply(r, &out);
}
