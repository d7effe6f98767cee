/* The status routes: what the server knows of itself. */
#include "metrics/api/impl.h"

#include <unistd.h>

void handle_buildinfo(HttpReq *r, void *arg)
{
    Api *a = arg;
    const ApiBuildInfo *b = &a->c.build;
    Buf out;
    Json j;
    if (!api_enter(a, r))
        return;
    api_data(&out, &j);
    js_object(&j);
    js_kv(&j, "version", b->version);
    js_kv(&j, "revision", b->revision);
    js_kv(&j, "branch", b->branch);
    js_kv(&j, "buildUser", b->build_user);
    js_kv(&j, "buildDate", b->build_date);
    js_kv(&j, "goVersion", S(""));
    js_kv(&j, "pharosVersion", b->pharos_version);
    js_object_end(&j);
    api_reply(r, &out);
}

static void key_time(Json *j, const char *name, i64 ms)
{
    Buf b;
    buf_init(&b, 64);
    print_rfc3339_ms(&b, ms);
    js_kv(j, name, buf_view(&b));
    buf_done(&b);
}

static void key_u64(Json *j, const char *name, u64 v)
{
    js_key(j, str_c(name));
    js_u64(j, v);
}

void handle_runtimeinfo(HttpReq *r, void *arg)
{
    Api *a = arg;
    ApiRuntimeInfo i = {.reload_ok = true};
    Buf out;
    Json j;
    if (!api_enter(a, r))
        return;
    if (a->c.hooks.runtime_info)
        a->c.hooks.runtime_info(a->c.hooks.arg, r->arena, &i);
    api_data(&out, &j);
    js_object(&j);
    key_time(&j, "startTime", i.start_ms);
    js_kv(&j, "CWD", i.cwd);
    js_kv(&j, "hostname", i.hostname);
    key_time(&j, "serverTime", clock_wall_ms(a->c.clock));
    js_key(&j, S("reloadConfigSuccess"));
    js_bool(&j, i.reload_ok);
    key_time(&j, "lastConfigTime", i.last_config_ms);
    key_u64(&j, "corruptionCount", i.corruption_count);
    key_u64(&j, "goroutineCount",
            i.threads); /* the members of Go's runtime: the nearest we have, or nothing */
    key_u64(&j, "GOMAXPROCS", (u64)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1));
    key_u64(&j, "GOMEMLIMIT", INT64_MAX);
    js_kv(&j, "GOGC", S(""));
    js_kv(&j, "GODEBUG", S(""));
    js_kv(&j, "storageRetention", i.storage_retention);
    js_object_end(&j);
    api_reply(r, &out);
}

void handle_flags(HttpReq *r, void *arg)
{
    Api *a = arg;
    const ApiFlag *flags = NULL;
    u32 n = 0;
    Buf out;
    Json j;
    if (!api_enter(a, r))
        return;
    if (a->c.hooks.flags)
        a->c.hooks.flags(a->c.hooks.arg, r->arena, &flags, &n);
    api_data(&out, &j);
    js_object(&j);
    for (u32 i = 0; i < n; i++) {
        js_key(&j, flags[i].name);
        js_str(&j, flags[i].value);
    }
    js_object_end(&j);
    api_reply(r, &out);
}

void handle_config(HttpReq *r, void *arg)
{
    Api *a = arg;
    Buf out, yaml;
    Json j;
    if (!api_enter(a, r))
        return;
    buf_init(&yaml, API_SMALL_MAX / 8);
    if (a->c.hooks.config_text)
        a->c.hooks.config_text(a->c.hooks.arg, &yaml);
    api_data(&out, &j);
    js_object(&j);
    js_kv(&j, "yaml", buf_view(&yaml));
    js_object_end(&j);
    api_reply(r, &out);
    buf_done(&yaml);
}

/* ---- tsdb ---- */

/* metrics_top gives one kind after the other, in this order. */
static const char *const top_kinds[] = {"seriesCountByMetricName", "labelValueCountByLabelName",
                                        "memoryInBytesByLabelName", "seriesCountByLabelValuePair"};
typedef struct Top {
    Json *j;
    u32 opened; /* arrays begun so far; the last one is open */
} Top;

/* Opens arrays up to the one of kind; all of them for NULL. */
static void open_kind(Top *t, const char *kind)
{
    while (t->opened < COUNT_OF(top_kinds) &&
           (t->opened == 0 || !kind || strcmp(top_kinds[t->opened - 1], kind) != 0)) {
        if (t->opened > 0)
            js_array_end(t->j);
        js_key(t->j, str_c(top_kinds[t->opened++]));
        js_array(t->j);
    }
}

static void write_top(void *arg, const char *kind, Str name, u64 value)
{
    Top *t = arg;
    open_kind(t, kind);
    js_object(t->j);
    js_kv(t->j, "name", name);
    key_u64(t->j, "value", value);
    js_object_end(t->j);
}

static void key_i64(Json *j, const char *name, i64 v)
{
    js_key(j, str_c(name));
    js_i64(j, v);
}

void handle_tsdb(HttpReq *r, void *arg)
{
    Api *a = arg;
    Str tenant = api_tenant(a, r), s = http_param(r, S("limit"));
    MetricsStats st = {.mint = INT64_MAX, .maxt = INT64_MIN};
    i64 limit = 10;
    Buf out;
    Json j;
    if (!api_enter(a, r))
        return;
    if (s.len > 0 && (parse_i64(s, &limit) != OK || limit < 1)) {
        api_error(r, API_BAD_DATA, "limit must be a positive number");
        return;
    }
    if (a->c.engine)
        metrics_stats(a->c.engine, tenant, &st);
    api_data(&out, &j);
    js_object(&j);
    js_key(&j, S("headStats"));
    js_object(&j);
    key_u64(&j, "numSeries", st.series_active);
    key_u64(&j, "numLabelPairs", st.label_pairs);
    key_u64(&j, "chunkCount", st.chunks_like_pages);
    key_i64(&j, "minTime", st.mint);
    key_i64(&j, "maxTime", st.maxt);
    js_object_end(&j);
    Top t = {.j = &j};
    if (a->c.engine)
        metrics_top(a->c.engine, tenant, (u32)MIN(limit, 10000), write_top, &t);
    open_kind(&t, NULL);
    js_array_end(&j);
    js_object_end(&j);
    api_reply(r, &out);
}

/* The log is replayed before the listener opens. */
void handle_walreplay(HttpReq *r, void *arg)
{
    Buf out;
    Json j;
    if (!api_enter(arg, r))
        return;
    api_data(&out, &j);
    js_object(&j);
    key_u64(&j, "min", 0);
    key_u64(&j, "max", 0);
    key_u64(&j, "current", 0);
    js_object_end(&j);
    api_reply(r, &out);
}
