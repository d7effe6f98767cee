/* Alerts to the Alertmanagers that prometheus.yml names, as Prometheus sends them: batches to every target, no retry (the
 * rules send again within the resend delay), the oldest dropped when a target cannot keep up. */
#include "alert/alert_internal.h"

#include <stdio.h>

enum { BATCH_ALERTS = 256, QUEUE_ALERTS_MAX = 10000, BODY_BYTES_MAX = 64 << 20 };

typedef struct Batch {
    _Atomic u32 refs;
    Str json;
    u32 alerts;
} Batch;

typedef struct Set Set;
typedef struct Target {
    Alertmanagers *m;
    Set *set;
    Str url; /* heap */
    VEC(Batch *) queue;
    u64 queued;
    bool busy, is_gone;
    Metric *m_sent, *m_errors;
} Target;

struct Set { /* one entry of `alertmanagers:` */
    Alertmanagers *m;
    const AlertmanagerConfig *cfg;
    Discovery *discovery;
    VEC(Target *) targets;
    VEC(char *) dropped; /* addresses that relabelling removed */
};

struct Alertmanagers {
    AlertmanagersEnv env;
    AlertSink sink;
    Mutex lock;
    Cond idle;
    PromConfig *cfg;
    VEC(Set *) sets;
    char *own_address;
    bool is_closing;
    Metric *m_dropped, *m_queue, *m_discovered;
};

static void batch_unref(Batch *b)
{
    if (--b->refs)
        return;
    mem_free((void *)b->json.at);
    mem_free(b);
}

/* ---- sending ---- */
static void send_batch(Target *t, const Batch *b)
{
    Alertmanagers *m = t->m;
    Arena arena;
    HttpResult r = {0};
    HttpHeader headers[] = {{S("Content-Type"), S("application/json")}};
    HttpCall call = {.config = &t->set->cfg->http,
                     .egress = EGRESS_CONFIGURED,
                     .method = S("POST"),
                     .url = t->url,
                     .headers = headers,
                     .headers_len = COUNT_OF(headers),
                     .body = b->json,
                     .timeout_ms = t->set->cfg->timeout_ms,
                     .body_max = 1 << 20};
    arena_init(&arena, NULL, 4 << 20);
    Err e = m->env.call ? m->env.call(m->env.call_arg, &call, &arena, &r)
                        : http_call(m->env.client, &call, &arena, &r);
    if (e == OK && r.err == OK && r.status >= 200 && r.status < 300) {
        metric_add(t->m_sent, b->alerts);
    } else {
        Buf url;
        buf_init(&url, 4096);
        url_print_redacted(&url, t->url);
        metric_add(t->m_errors, b->alerts);
        metric_add(m->m_dropped, b->alerts);
        LOG_ERROR("notifier", "Error sending alerts", LF_STR("alertmanager", buf_view(&url)),
                  LF_INT("count", b->alerts), LF_INT("status", r.status), LF_WHY(&r.why));
        buf_done(&url);
    }
    arena_done(&arena);
}

static void run_target(void *arg)
{
    Target *t = arg;
    Alertmanagers *m = t->m;
    mutex_lock(&m->lock);
    while (t->queue.len && !m->is_closing && !t->is_gone) {
        Batch *b = t->queue.at[0];
        memmove(t->queue.at, t->queue.at + 1, (t->queue.len - 1) * sizeof t->queue.at[0]);
        t->queue.len--;
        t->queued -= b->alerts;
        mutex_unlock(&m->lock);
        send_batch(t, b);
        batch_unref(b);
        mutex_lock(&m->lock);
    }
    t->busy = false;
    cond_broadcast(&m->idle);
    mutex_unlock(&m->lock);
}

/* The lock is held. */
static void enqueue(Target *t, Batch *b)
{
    b->refs++;
    vec_push(&t->queue, b);
    t->queued += b->alerts;
    while (t->queued > QUEUE_ALERTS_MAX && t->queue.len > 1) {
        Batch *old = t->queue.at[0];
        memmove(t->queue.at, t->queue.at + 1, (t->queue.len - 1) * sizeof t->queue.at[0]);
        t->queue.len--;
        t->queued -= old->alerts;
        metric_add(t->m->m_dropped, old->alerts);
        batch_unref(old);
    }
}

static void put_map(Json *j, const char *key, Labels l)
{
    js_key(j, str_c(key));
    js_object(j);
    for (u32 i = 0; i < l.len; i++) {
        js_key(j, l.at[i].name);
        js_str(j, l.at[i].value);
    }
    js_object_end(j);
}

static Batch *make_batch(Alertmanagers *m, const Set *s, const AlertNotice *alerts, u32 n, Arena *arena)
{
    Buf b;
    Json j;
    u32 put = 0;
    buf_init(&b, BODY_BYTES_MAX);
    js_init(&j, &b);
    js_array(&j);
    for (u32 i = 0; i < n; i++) {
        LabelsBuilder lb;
        lb_init(&lb, arena, alerts[i].labels);
        for (u32 k = 0; k < m->cfg->external_labels.len; k++) {
            Label l = m->cfg->external_labels.at[k];
            if (!lb_get(&lb, l.name).len)
                lb_set(&lb, l.name, l.value);
        }
        if (!relabel_apply(m->cfg->alert_relabel, &lb) || !relabel_apply(s->cfg->alert_relabel, &lb))
            continue;
        js_object(&j);
        put_map(&j, "annotations", alerts[i].annotations);
        js_kv_time_ms(&j, "endsAt", alerts[i].ends_ms);
        js_kv_time_ms(&j, "startsAt", alerts[i].starts_ms);
        js_kv(&j, "generatorURL", alerts[i].generator_url);
        put_map(&j, "labels", lb_build(&lb));
        js_object_end(&j);
        put++;
    }
    js_array_end(&j);
    Batch *ret = NULL;
    if (put && !buf_over(&b)) {
        ret = mem_new(Batch);
        ret->refs = 1;
        ret->alerts = put;
        ret->json = mem_dup(buf_view(&b));
    }
    buf_done(&b);
    return ret;
}

static void on_notices(AlertSink *sink, const AlertNotice *alerts, u32 n)
{
    Alertmanagers *m = (Alertmanagers *)((char *)sink - offsetof(Alertmanagers, sink));
    VEC(Target *) ready = {0};
    mutex_lock(&m->lock);
    for (u32 from = 0; from < n; from += BATCH_ALERTS)
        for (size_t i = 0; i < m->sets.len && !m->is_closing; i++) {
            Set *s = m->sets.at[i];
            Arena arena;
            arena_init(&arena, NULL, 256 << 20);
            Batch *b = s->targets.len
                           ? make_batch(m, s, alerts + from, MIN(n - from, (u32)BATCH_ALERTS), &arena)
                           : NULL;
            arena_done(&arena);
            for (size_t k = 0; b && k < s->targets.len; k++) {
                Target *t = s->targets.at[k];
                enqueue(t, b);
                if (!t->busy) {
                    t->busy = true;
                    vec_push(&ready, t);
                }
            }
            if (b)
                batch_unref(b);
        }
    u64 queued = 0;
    for (size_t i = 0; i < m->sets.len; i++)
        for (size_t k = 0; k < m->sets.at[i]->targets.len; k++)
            queued = MAX(queued, m->sets.at[i]->targets.at[k]->queued);
    metric_set(m->m_queue, (f64)queued);
    mutex_unlock(&m->lock);
    for (size_t i = 0; i < ready.len; i++) {
        if (!m->env.pool) {
            run_target(ready.at[i]);
        } else if (pool_submit(m->env.pool, run_target, ready.at[i]) !=
                   OK) { /* the next notice tries again */
            mutex_lock(&m->lock);
            ready.at[i]->busy = false;
            cond_broadcast(&m->idle);
            mutex_unlock(&m->lock);
        }
    }
    vec_done(&ready);
}

AlertSink *alertmanagers_sink(Alertmanagers *m)
{
    return &m->sink;
}

/* ---- targets ---- */

/* Takes it out of service; waits for a delivery under way. The lock is held. */
static void target_retire(Target *t)
{
    t->is_gone = true;
    while (t->busy)
        cond_wait(&t->m->idle, &t->m->lock);
    for (size_t i = 0; i < t->queue.len; i++)
        batch_unref(t->queue.at[i]);
    vec_done(&t->queue);
    mem_free((void *)t->url.at);
    mem_free(t);
}

static Target *target_new(Set *s, Str url)
{
    Target *t = mem_new(Target);
    Buf labels, shown;
    t->m = s->m;
    t->set = s;
    t->url = mem_dup(url);
    buf_init(&labels, 4096);
    buf_init(&shown, 2048);
    url_print_redacted(&shown, url);
    buf_c(&labels, "alertmanager=");
    go_quote(&labels, buf_view(&shown));
    t->m_sent = metric_counter("prometheus_notifications_sent_total", "Total number of alerts sent.",
                               buf_cstr(&labels));
    t->m_errors = metric_counter("prometheus_notifications_errors_total",
                                 "Total number of sent alerts affected by errors.", buf_cstr(&labels));
    buf_done(&labels);
    buf_done(&shown);
    return t;
}

static Labels am_labels(const Set *s, const TargetGroup *g, Labels target, Arena *arena, bool *ret_keep)
{
    LabelsBuilder b;
    lb_init(&b, arena, target);
    for (u32 i = 0; i < g->labels.len; i++)
        if (!lb_get(&b, g->labels.at[i].name).len)
            lb_set(&b, g->labels.at[i].name, g->labels.at[i].value);
    Str prefix = s->cfg->path_prefix;
    while (prefix.len && prefix.at[prefix.len - 1] == '/')
        prefix.len--;
    lb_set(&b, S("__scheme__"), s->cfg->scheme);
    lb_set(&b, S("__alerts_path__"),
           arena_printf(arena, "%s%.*s/api/v2/alerts", prefix.len && prefix.at[0] != '/' ? "/" : "",
                        STR_FMT(prefix)));
    *ret_keep = relabel_apply(s->cfg->relabel, &b);
    return lb_build(&b);
}

static bool has_port(Str address)
{
    size_t colon = str_find_char(address, ':');
    if (address.len && address.at[0] == '[') {
        size_t end = str_find_char(address, ']');
        return end != SIZE_MAX && end + 1 < address.len && address.at[end + 1] == ':';
    }
    return colon != SIZE_MAX;
}

static bool is_own(const Alertmanagers *m, Str address)
{
    for (Str rest = str_c(m->own_address), one; rest.len;) {
        str_cut(rest, ' ', &one, &rest);
        if (str_eq(one, address))
            return true;
    }
    return false;
}

typedef VEC(Target *) Targets;

static void add_url(Set *s, Targets *old, Targets *fresh, Str url)
{
    for (size_t i = 0; i < fresh->len; i++)
        if (str_eq(fresh->at[i]->url, url))
            return;
    for (size_t i = 0; i < old->len; i++)
        if (old->at[i] && str_eq(old->at[i]->url, url)) {
            vec_push(fresh, old->at[i]);
            old->at[i] = NULL;
            return;
        }
    vec_push(fresh, target_new(s, url));
}

static void clear_dropped(Set *s)
{
    for (size_t i = 0; i < s->dropped.len; i++)
        mem_free(s->dropped.at[i]);
    s->dropped.len = 0;
}

/* On the loop: discovery found something. */
static void on_groups(void *arg)
{
    Set *s = arg;
    Alertmanagers *m = s->m;
    const TargetGroup *const *groups;
    u32 n = discovery_groups(s->discovery, &groups);
    Arena arena;
    Targets old = {0}, fresh = {0};
    arena_init(&arena, NULL, 64 << 20);
    mutex_lock(&m->lock);
    for (size_t i = 0; i < s->targets.len; i++)
        vec_push(&old, s->targets.at[i]);
    clear_dropped(s);
    for (u32 i = 0; i < n; i++)
        for (u32 k = 0; k < groups[i]->targets_len; k++) {
            bool keep;
            Labels l = am_labels(s, groups[i], groups[i]->targets[k], &arena, &keep);
            Str address = labels_get(keep ? l : groups[i]->targets[k], S("__address__"));
            Str scheme = labels_get(l, S("__scheme__"));
            const char *port = has_port(address) ? "" : str_eq(scheme, S("https")) ? ":443" : ":80";
            Str url = arena_printf(&arena, "%.*s://%.*s%s%.*s", STR_FMT(scheme), STR_FMT(address), port,
                                   STR_FMT(labels_get(l, S("__alerts_path__"))));
            if (!keep || !address.len) {
                vec_push(&s->dropped, mem_strdup(url));
            } else if (is_own(m, address)) {
                LOG_WARN(
                    "notifier",
                    "An alertmanager target is this process itself: skipped, its own router has the alerts",
                    LF_STR("address", address));
                vec_push(&s->dropped, mem_strdup(url));
            } else {
                add_url(s, &old, &fresh, url);
            }
        }
    s->targets.len = 0;
    for (size_t i = 0; i < fresh.len; i++)
        vec_push(&s->targets, fresh.at[i]);
    for (size_t i = 0; i < old.len; i++)
        if (old.at[i] && !old.at[i]->busy) {
            target_retire(old.at[i]);
        } else if (old.at[i]) { /* still sending: it leaves at the next change or at the end */
            old.at[i]->is_gone = true;
            vec_push(&s->targets, old.at[i]);
        }
    u64 total = 0;
    for (size_t i = 0; i < m->sets.len; i++)
        total += m->sets.at[i]->targets.len;
    metric_set(m->m_discovered, (f64)total);
    mutex_unlock(&m->lock);
    vec_done(&old);
    vec_done(&fresh);
    arena_done(&arena);
}

/* ---- life ---- */
Alertmanagers *alertmanagers_new(const AlertmanagersEnv *env)
{
    Alertmanagers *m = mem_new(Alertmanagers);
    m->env = *env;
    m->sink.send = on_notices;
    mutex_init(&m->lock, RANK_ALERT);
    cond_init(&m->idle);
    m->m_dropped =
        metric_counter("prometheus_notifications_dropped_total",
                       "Total number of alerts dropped due to errors when sending to Alertmanager.", "");
    m->m_queue = metric_gauge("prometheus_notifications_queue_length",
                              "The number of alert notifications in the queue.", "");
    m->m_discovered = metric_gauge("prometheus_notifications_alertmanagers_discovered",
                                   "The number of alertmanagers discovered and active.", "");
    metric_set(metric_gauge("prometheus_notifications_queue_capacity",
                            "The capacity of the alert notifications queue.", ""),
               QUEUE_ALERTS_MAX);
    return m;
}

typedef struct Errand {
    Alertmanagers *m;
    PromConfig *cfg;
} Errand;

/* Discovery has stopped. Notices may come meanwhile and must not meet a set that is half gone. */
static void free_sets(Alertmanagers *m)
{
    VEC(Set *) gone = {0};
    mutex_lock(&m->lock);
    for (size_t i = 0; i < m->sets.len; i++)
        vec_push(&gone, m->sets.at[i]);
    m->sets.len = 0;
    mutex_unlock(&m->lock);
    for (size_t i = 0; i < gone.len; i++) {
        Set *s = gone.at[i];
        mutex_lock(&m->lock);
        for (size_t k = 0; k < s->targets.len; k++)
            target_retire(s->targets.at[k]);
        mutex_unlock(&m->lock);
        vec_done(&s->targets);
        clear_dropped(s);
        vec_done(&s->dropped);
        mem_free(s);
    }
    vec_done(&gone);
}

static void stop_discovery(void *arg)
{
    Errand *e = arg;
    for (size_t i = 0; i < e->m->sets.len; i++) {
        discovery_free(e->m->sets.at[i]->discovery);
        e->m->sets.at[i]->discovery = NULL;
    }
}

static void start_discovery(void *arg)
{
    Errand *e = arg;
    Alertmanagers *m = e->m;
    for (u32 i = 0; i < e->cfg->alertmanagers_len; i++) {
        Set *s = m->sets.at[i];
        DiscoveryEnv env = {.loop = m->env.loop,
                            .pool = m->env.pool,
                            .fetch = fetcher_of(m->env.client),
                            .owner = e->cfg,
                            .vfs = m->env.vfs,
                            .manager = "notify"};
        char name[32];
        snprintf(name, sizeof name, "config-%u", i);
        s->discovery = discovery_new(&env, &s->cfg->sd, str_c(name), on_groups, s);
    }
}

void alertmanagers_apply(Alertmanagers *m, PromConfig *cfg, Str own_address)
{
    Errand e = {m, cfg};
    PromConfig *old = m->cfg;
    loop_call(m->env.loop, stop_discovery, &e);
    free_sets(m);
    mutex_lock(&m->lock);
    m->cfg = prom_config_ref(cfg);
    mem_free(m->own_address);
    m->own_address = own_address.len ? mem_strdup(own_address) : NULL;
    for (u32 i = 0; i < cfg->alertmanagers_len; i++) {
        Set *s = mem_new(Set);
        *s = (Set){.m = m, .cfg = &cfg->alertmanagers[i]};
        vec_push(&m->sets, s);
    }
    mutex_unlock(&m->lock);
    loop_call(m->env.loop, start_discovery, &e);
    if (old)
        prom_config_unref(old);
}

void alertmanagers_free(Alertmanagers *m)
{
    Errand e = {m, NULL};
    mutex_lock(&m->lock);
    m->is_closing = true;
    mutex_unlock(&m->lock);
    loop_call(m->env.loop, stop_discovery, &e);
    free_sets(m);
    vec_done(&m->sets);
    if (m->cfg)
        prom_config_unref(m->cfg);
    mem_free(m->own_address);
    cond_done(&m->idle);
    mutex_done(&m->lock);
    mem_free(m);
}

/* ---- /api/v1/alertmanagers ---- */
static void put_url(Json *j, Str url)
{
    Buf b;
    buf_init(&b, 8192);
    url_print_redacted(&b, url);
    js_object(j);
    js_kv(j, "url", buf_view(&b));
    js_object_end(j);
    buf_done(&b);
}

void alertmanagers_json(Alertmanagers *m, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_object(&j);
    mutex_lock(&m->lock);
    js_key(&j, S("activeAlertmanagers"));
    js_array(&j);
    for (size_t i = 0; i < m->sets.len; i++)
        for (size_t k = 0; k < m->sets.at[i]->targets.len; k++)
            if (!m->sets.at[i]->targets.at[k]->is_gone)
                put_url(&j, m->sets.at[i]->targets.at[k]->url);
    js_array_end(&j);
    js_key(&j, S("droppedAlertmanagers"));
    js_array(&j);
    for (size_t i = 0; i < m->sets.len; i++)
        for (size_t k = 0; k < m->sets.at[i]->dropped.len; k++)
            put_url(&j, str_c(m->sets.at[i]->dropped.at[k]));
    js_array_end(&j);
    mutex_unlock(&m->lock);
    js_object_end(&j);
}

static void on_request(HttpReq *req, void *arg)
{
    Buf b;
    buf_init(&b, 16 << 20);
    buf_c(&b, "{\"status\":\"success\",\"data\":");
    alertmanagers_json(arg, &b);
    buf_char(&b, '}');
    http_reply(req, 200, "application/json", buf_view(&b));
    buf_done(&b);
}

void alertmanagers_routes(HttpServer *s, Alertmanagers *m)
{
    const HttpRoute routes[] = {{.methods = "GET",
                                 .path = "/api/v1/alertmanagers",
                                 .handler = on_request,
                                 .arg = m,
                                 .role = ROLE_READ,
                                 .run = RUN_QUERY}};
    http_server_route(s, routes, COUNT_OF(routes));
}

/* ---- tee ---- */
typedef struct Tee {
    AlertSink sink;
    u32 len;
    AlertSink *to[];
} Tee;

static void tee_send(AlertSink *s, const AlertNotice *alerts, u32 n)
{
    Tee *t = (Tee *)s;
    for (u32 i = 0; i < t->len; i++)
        t->to[i]->send(t->to[i], alerts, n);
}

AlertSink *alert_tee_new(AlertSink *const *sinks, u32 n)
{
    Tee *t = mem_zalloc(sizeof *t + n * sizeof t->to[0]);
    t->sink.send = tee_send;
    t->len = n;
    for (u32 i = 0; i < n; i++)
        t->to[i] = sinks[i];
    return &t->sink;
}

void alert_tee_free(AlertSink *tee)
{
    mem_free(tee);
}
