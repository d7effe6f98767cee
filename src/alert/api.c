/* Alertmanager's API, version 2, as its OpenAPI file has it: the frame. */
#include "alert/api.h"

#include <stdio.h>

/* ---- answers ---- */
void api_reply_string(HttpReq *r, int status, Str text)
{
    Buf b;
    buf_init(&b, 2 * text.len + 1024);
    js_quote(&b, text);
    buf_char(&b, '\n');
    http_reply(r, status, "application/json", buf_view(&b));
    buf_done(&b);
}

void api_reply_error(HttpReq *r, const PostError *e)
{
    Buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "{\"code\":%d,\"message\":", e->code);
    js_quote(&b, str_c(e->text));
    buf_char(&b, '}');
    http_reply(r, e->status, "application/json", buf_view(&b));
    buf_done(&b);
}

bool api_is_json(HttpReq *r)
{
    Str type = http_header(r, S("Content-Type")), head, tail;
    str_cut(type, ';', &head, &tail);
    if (str_eq_nocase(str_trim(head), S("application/json")))
        return true;
    PostError e = {.status = 415, .code = 415};
    snprintf(e.text, sizeof e.text, "unsupported media type \"%.*s\", only [application/json] are allowed",
             (int)MIN(type.len, 100), type.at);
    api_reply_error(r, &e);
    return false;
}

void api_put_time(Json *j, const char *key, i64 ns)
{
    js_key(j, str_c(key));
    js_raw(j, S("\""));
    print_rfc3339_milli(j->out, ns / NS_PER_MS - (ns % NS_PER_MS < 0));
    buf_char(j->out, '"');
}

void api_put_labels(Json *j, Str key, Labels l, bool plain)
{
    js_key(j, key);
    js_object(j);
    for (u32 i = 0; i < l.len; i++) {
        js_key(j, l.at[i].name);
        if (plain)
            js_str_plain(j, l.at[i].value);
        else
            js_str(j, l.at[i].value);
    }
    js_object_end(j);
}

/* ---- what a request filters by ---- */
void api_filter_done(ApiFilter *f)
{
    for (u32 i = 0; i < f->len; i++)
        match_list_done(&f->lists[i]);
}

/* False: answered. */
bool api_filter_read(HttpReq *r, const char *param, const char *prefix, ApiFilter *f)
{
    Str texts[API_FILTERS_MAX];
    u32 n = http_params_all(r, str_c(param), texts, API_FILTERS_MAX);
    Why why = {0};
    f->len = 0;
    for (u32 i = 0; i < n && i < API_FILTERS_MAX; i++) {
        if (match_parse_one(texts[i], r->arena, &f->lists[i], &why) != OK) {
            api_reply_string(r, 400, arena_printf(r->arena, "%s%s", prefix, why.text));
            api_filter_done(f);
            return false;
        }
        f->len++;
    }
    return true;
}

/* An empty value asks whether the label is there at all. */
bool api_filter_matches(const ApiFilter *f, Labels l)
{
    for (u32 i = 0; i < f->len; i++) {
        const Matcher *m = f->lists[i].at;
        bool has = labels_has(l, m->name), negative = m->op == MATCH_NE || m->op == MATCH_NRE;
        if (!m->value.len && negative == has)
            continue;
        if (!matcher_matches(m, labels_get(l, m->name)))
            return false;
    }
    return true;
}

/* ---- receivers, status ---- */
static void get_receivers(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    ApiFilter f;
    Buf b;
    Json j;
    if (!api_filter_read(r, "receiver_matchers", "failed to parse receiver_matchers param: ", &f))
        return;
    buf_init(&b, 64 << 20);
    js_init(&j, &b);
    js_array(&j);
    mutex_lock(&a->lock);
    for (u32 i = 0; a->config && i < a->config->receivers_len; i++) {
        const Receiver *x = &a->config->receivers[i];
        if (!api_filter_matches(&f, x->labels))
            continue;
        js_object(&j);
        api_put_labels(&j, S("labels"), x->labels, false);
        js_kv(&j, "name", x->name);
        js_object_end(&j);
    }
    mutex_unlock(&a->lock);
    js_array_end(&j);
    buf_char(&b, '\n');
    http_reply(r, 200, "application/json", buf_view(&b));
    buf_done(&b);
    api_filter_done(&f);
}

static void get_status(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Buf b, original;
    Json j;
    buf_init(&b, 64 << 20);
    buf_init(&original, 32 << 20);
    mutex_lock(&a->lock);
    AlertConfig *config = a->config ? alert_config_ref(a->config) : NULL;
    mutex_unlock(&a->lock);
    if (config)
        alert_config_print(config, &original);
    js_init(&j, &b);
    js_object(&j);
    js_key(&j, S("cluster"));
    js_object(&j);
    js_key(&j, S("peers"));
    js_array(&j);
    js_array_end(&j);
    js_kv(&j, "status", S("disabled"));
    js_object_end(&j);
    js_key(&j, S("config"));
    js_object(&j);
    js_kv(&j, "original", buf_view(&original));
    js_object_end(&j);
    api_put_time(&j, "uptime", a->started_ms * NS_PER_MS);
    js_key(&j, S("versionInfo"));
    js_object(&j);
    js_kv(&j, "branch", S("pharos"));
    js_kv(&j, "buildDate", S(""));
    js_kv(&j, "buildUser", S(""));
    js_kv(&j, "goVersion", S(""));
    js_kv(&j, "revision", str_c(api->env.own_version));
    js_kv(&j, "version", S(ALERTMANAGER_VERSION));
    js_object_end(&j);
    js_object_end(&j);
    buf_char(&b, '\n');
    http_reply(r, 200, "application/json", buf_view(&b));
    buf_done(&b);
    buf_done(&original);
    alert_config_unref(config);
}

static void not_found(HttpReq *r, void *arg)
{
    PostError e = {.status = 404, .code = 404};
    snprintf(e.text, sizeof e.text, "path %.*s was not found", (int)MIN(r->path.len, 200), r->path.at);
    api_reply_error(r, &e);
}

/* ---- life ---- */
static void on_render(void *arg)
{
    static const char *const states[] = {"state=\"active\"", "state=\"pending\"", "state=\"expired\""};
    static _Atomic(Metric *) m[8];
    AlertApi *api = arg;
    Alerter *a = api->a;
    u64 silences[3] = {0}, firing = 0, suppressed = 0;
    i64 now_ns = clock_wall_ns(a->env.clock);
    StrMapSlot *slot;
    if (!m[0])
        for (int i = 0; i < 3; i++)
            m[i] = metric_gauge("alertmanager_silences", "How many silences by state.", states[i]);
    if (!m[3]) {
        m[3] = metric_gauge("alertmanager_alerts", "How many alerts by state.", "state=\"active\"");
        m[4] = metric_gauge("alertmanager_alerts", "How many alerts by state.", "state=\"suppressed\"");
        m[5] = metric_gauge("alertmanager_receivers", "Number of configured receivers.", "");
        m[6] = metric_gauge("alertmanager_inhibition_rules", "Number of configured inhibition rules.", "");
        m[7] = metric_gauge("alertmanager_cluster_enabled",
                            "Indicates whether the clustering is enabled or not.", "");
    }
    Fingerprints fps = {0};
    api_all_fingerprints(a, &fps);
    for (size_t i = 0; i < fps.len; i += API_BATCH) {
        mutex_lock(&a->lock);
        for (size_t k = i; k < fps.len && k < i + API_BATCH; k++) {
            const StoredAlert *x = alert_state_alert(&a->state, fps.at[k]);
            const Silence *s;
            if (!x || alert_is_resolved(x, now_ns))
                continue;
            if (silences_matching(&a->state, x->labels, now_ns, &s, 1) ||
                inhibitor_find(&a->inhibitor, x->labels, now_ns, NULL))
                suppressed++;
            else
                firing++;
        }
        mutex_unlock(&a->lock);
    }
    vec_done(&fps);
    mutex_lock(&a->lock);
    for (size_t cursor = 0; (slot = strmap_next(&a->state.silences.by_id, &cursor));)
        silences[silence_state(slot->value, now_ns)]++;
    u32 integrations = 0;
    for (u32 i = 0; a->config && i < a->config->receivers_len; i++)
        integrations += a->config->receivers[i].len;
    metric_set(alert_meters()->integrations, integrations);
    metric_set(alert_meters()->config_hash, a->config ? (f64)a->config->hash : 0);
    metric_set(alert_meters()->silences, (f64)a->state.silences.by_id.len);
    metric_set(alert_meters()->silence_versions, (f64)a->state.silences.by_id.len);
    metric_set(alert_meters()->silence_patterns, (f64)a->state.silences.regexes.len);
    metric_set(alert_meters()->snapshot_bytes, (f64)a->state.live_bytes);
    metric_set(m[5], a->config ? a->config->receivers_len : 0);
    metric_set(m[6], a->config ? a->config->inhibit_rules_len : 0);
    mutex_unlock(&a->lock);
    for (int i = 0; i < 3; i++)
        metric_set(m[i], (f64)silences[i]);
    metric_set(m[3], (f64)firing);
    metric_set(m[4], (f64)suppressed);
    metric_set(m[7], 0);
}

AlertApi *alert_api_new(Alerter *a, const AlertApiEnv *env)
{
    AlertApi *api = mem_new(AlertApi);
    api->a = a;
    api->env = *env;
    return api;
}

void alert_api_free(AlertApi *api)
{
    mem_free(api);
}

void alert_api_refresh_metrics(AlertApi *api)
{
    on_render(api);
}

void alert_api_routes(AlertApi *api, HttpServer *s)
{
    const HttpRoute routes[] = {
        {.methods = "GET",
         .path = "/api/v2/alerts",
         .handler = api_get_alerts,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "POST",
         .path = "/api/v2/alerts",
         .handler = api_post_alerts,
         .role = ROLE_WRITE,
         .run = RUN_INGEST,
         .body_max = API_POST_BYTES_MAX},
        {.methods = "GET",
         .path = "/api/v2/alerts/groups",
         .handler = api_get_groups,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "GET",
         .path = "/api/v2/silences",
         .handler = api_get_silences,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "POST",
         .path = "/api/v2/silences",
         .handler = api_post_silences,
         .role = ROLE_WRITE,
         .run = RUN_ADMIN,
         .body_max = 4 << 20},
        {.methods = "GET",
         .path = "/api/v2/silence/{}",
         .handler = api_get_silence,
         .role = ROLE_READ,
         .run = RUN_ADMIN},
        {.methods = "DELETE",
         .path = "/api/v2/silence/{}",
         .handler = api_delete_silence,
         .role = ROLE_WRITE,
         .run = RUN_ADMIN,
         .body_max = 1024},
        {.methods = "GET",
         .path = "/api/v2/receivers",
         .handler = get_receivers,
         .role = ROLE_READ,
         .run = RUN_ADMIN},
        {.methods = "GET",
         .path = "/api/v2/status",
         .handler = get_status,
         .role = ROLE_READ,
         .run = RUN_ADMIN},
        {.methods = "GET,POST,DELETE,PUT",
         .path = "/api/v2/*",
         .handler = not_found,
         .role = ROLE_READ,
         .run = RUN_ADMIN,
         .body_max = 1 << 20},
    };
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        HttpRoute r = routes[i];
        r.arg = api;
        http_server_route(s, &r, 1);
    }
    alerter_routes(api->a, s);
    api_config_routes(api, s);
}
