/* http_sd: target lists from a URL, as JSON. */
#include "collect/discovery.h"
#include <stdio.h>

typedef struct SdCall {
    Provider *provider; /* NULL: the provider is gone */
    HttpCallHandle *handle;
    PromConfig *owner;
} SdCall;

static HttpCallHandle *client_send(void *arg, const HttpCall *call, void (*done)(void *, const HttpResult *),
                                   void *done_arg)
{
    return http_send(arg, call, done, done_arg);
}
static void client_cancel(void *arg, HttpCallHandle *h)
{
    http_cancel(arg, h);
}
Fetcher fetcher_of(HttpClient *client)
{
    return (Fetcher){client_send, client_cancel, client};
}

static void failed(const HttpSd *c, const char *reason)
{
    Buf url;
    buf_init(&url, 4096);
    url_print_redacted(&url, c->url);
    metric_inc(metric_counter("prometheus_sd_http_failures_total",
                              "Number of HTTP service discovery refresh failures.", ""));
    LOG_WARN("discovery", "HTTP discovery failed, the last good list stays", LF_STR("url", buf_view(&url)),
             LF_C("err", reason));
    buf_done(&url);
}

static void add_meta(SdItem *item, Str url)
{
    Str kept = arena_dup(&item->arena, url);
    for (u32 i = 0; i < item->groups_len; i++) {
        TargetGroup *g = &item->groups[i];
        LabelsBuilder b;
        lb_init(&b, &item->arena, g->labels);
        lb_set(&b, S("__meta_url"), kept);
        g->labels = lb_build(&b);
        g->source = arena_printf(&item->arena, "%.*s:%u", STR_FMT(kept), i);
    }
}

static void parse_work(SdJob *job)
{
    const HttpSd *c = job->config;
    Why why;
    SdItem *old = job->before.len ? job->before.at[0] : NULL;
    SdItem *item = sd_item_new(c->url);
    u64 hash = hash_str(buf_view(&job->body));
    if (old && old->bytes == hash) {
        sd_item_free(item);
        item = old;
    } else if (target_groups_parse(buf_view(&job->body), true, "http_sd", &item->arena, &item->groups,
                                   &item->groups_len, &why) != OK) {
        failed(c, why.text);
        sd_item_free(item);
        item = old;
    } else {
        add_meta(item, c->url);
        item->bytes = hash;
    }
    if (item)
        vec_push(&job->after, item);
}

static bool is_json_type(Str s)
{
    Str type, rest;
    str_cut(s, ';', &type, &rest);
    rest = str_trim(rest);
    return str_eq_nocase(str_trim(type), S("application/json")) &&
           (rest.len == 0 || str_eq_nocase(rest, S("charset=utf-8")) ||
            str_eq_nocase(rest, S("charset=\"utf-8\"")));
}

static void on_answer(void *arg, const HttpResult *r)
{
    SdCall *call = arg;
    Provider *p = call->provider;
    if (p) {
        const HttpSd *c = p->config;
        char reason[160];
        p->call = NULL;
        if (r->err != OK) {
            failed(c, r->why.text);
        } else if (r->status != 200) {
            snprintf(reason, sizeof reason, "server returned HTTP status %d", r->status);
            failed(c, reason);
        } else if (!is_json_type(http_result_header(r, S("Content-Type")))) {
            failed(c, "the Content-Type must be application/json");
        } else {
            Buf body;
            buf_init(&body, r->body.len + 1);
            buf_str(&body, r->body);
            provider_run(p, parse_work, &body);
            buf_done(&body);
        }
        if (!p->job)
            provider_settled(p);
    }
    prom_config_unref(call->owner);
    mem_free(call);
}

void http_sd_start(Provider *p)
{
    const HttpSd *c = p->config;
    const DiscoveryEnv *env = provider_env(p);
    if (p->call || p->job || !env->fetch.send)
        return;
    char seconds[32];
    Buf text;
    buf_init(&text, 400);
    print_f64(&text, (f64)c->refresh_ms / 1000);
    snprintf(seconds, sizeof seconds, "%s", buf_cstr(&text));
    buf_done(&text);
    const HttpHeader headers[] = {
        {S("Accept"), S("application/json")},
        {S("User-Agent"), S("Pharos")},
        {S("X-Prometheus-Refresh-Interval-Seconds"), str_c(seconds)},
    };
    SdCall *call = mem_new(SdCall);
    call->provider = p;
    call->owner = env->owner ? prom_config_ref(env->owner) : NULL;
    p->call = call;
    HttpCall request = {.config = &c->http,
                        .egress = EGRESS_CONFIGURED,
                        .method = S("GET"),
                        .url = c->url,
                        .headers = headers,
                        .headers_len = COUNT_OF(headers),
                        .timeout_ms = MAX(c->refresh_ms, 1000),
                        .body_max = SD_BYTES_MAX};
    call->handle = env->fetch.send(env->fetch.arg, &request, on_answer, call);
}

void http_sd_stop(Provider *p)
{
    const DiscoveryEnv *env = provider_env(p);
    if (!p->call)
        return;
    p->call->provider = NULL;
    env->fetch.cancel(env->fetch.arg, p->call->handle);
    p->call = NULL;
}
