/* Our own views of alerting, for pages: what is queued and was delivered, the routing tree and a test of it, what a silence
 * would match, and why an alert did or did not notify. */
#include "alert/alerter_internal.h"
#include "alert/post.h"

#include <stdio.h>

enum { BODY_BYTES_MAX = 4 << 20, SHOWN_MAX = 1000, DELIVERIES_SHOWN = 10 };

static void put_labels(Json *j, const char *key, Labels l)
{
    js_key(j, str_c(key));
    labels_json(j, l);
}

static void put_u64(Json *j, const char *key, u64 v)
{
    js_key(j, str_c(key));
    js_u64(j, v);
}

static void put_fingerprint(Json *j, const char *key, u64 fp)
{
    char text[24];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)fp);
    js_kv(j, key, str_c(text));
}

static void refuse(HttpReq *r, const char *text)
{
    Buf b;
    buf_init(&b, 4096);
    buf_c(&b, "{\"status\":\"error\",\"error\":");
    js_quote(&b, str_c(text));
    buf_c(&b, "}\n");
    http_reply(r, 400, "application/json", buf_view(&b));
    buf_done(&b);
}

/* ---- deliveries ---- */
typedef enum LedgerField {
    LEDGER_INTEGRATION,
    LEDGER_GROUP,
    LEDGER_STATE,
    LEDGER_ID,
    LEDGER_REASON,
    LEDGER_FIELDS
} LedgerField;

static void ledger_split(const LedgerEntry *e, Str ret[LEDGER_FIELDS])
{
    Str rest = str_c(e->text);
    for (int i = 0; i < LEDGER_REASON; i++)
        str_cut(rest, '\n', &ret[i], &rest);
    ret[LEDGER_REASON] = rest;
}

/* Did the last delivery of the group end badly? The lock is held. */
static bool was_given_up(const AlertState *s, Str integration, Str group)
{
    for (size_t i = s->ledger.len; i-- > 0;) {
        const LedgerEntry *e = &s->ledger.at[(s->ledger_next + i) % s->ledger.len];
        Str f[LEDGER_FIELDS];
        ledger_split(e, f);
        if (str_eq(f[LEDGER_INTEGRATION], integration) && str_eq(f[LEDGER_GROUP], group))
            return str_eq(f[LEDGER_STATE], S("given up")) || str_eq(f[LEDGER_STATE], S("not queued"));
    }
    return false;
}

/* The latest first; empty texts ask for all. The lock is held. */
static void put_ledger(Json *j, const AlertState *s, Str integration, Str group, u32 max)
{
    static const char *const names[LEDGER_FIELDS] = {"integration", "group", "state", "id", "reason"};
    js_array(j);
    for (size_t i = s->ledger.len; i-- > 0 && max;) {
        const LedgerEntry *e = &s->ledger.at[(s->ledger_next + i) % s->ledger.len];
        Str f[LEDGER_FIELDS];
        ledger_split(e, f);
        if ((integration.len && !str_eq(f[LEDGER_INTEGRATION], integration)) ||
            (group.len && !str_eq(f[LEDGER_GROUP], group)))
            continue;
        max--;
        js_object(j);
        js_kv_time_ms(j, "at", e->at_ms);
        for (size_t k = 0; k < LEDGER_FIELDS; k++)
            if (f[k].len)
                js_kv(j, names[k], f[k]);
        js_object_end(j);
    }
    js_array_end(j);
}

static void put_queue(Json *j, const Integration *i)
{
    for (u32 l = 0; l < i->lanes_len; l++)
        for (size_t k = 0; k < i->lanes[l].queue.len && k < SHOWN_MAX; k++) {
            const QueueItem *q = &i->lanes[l].queue.at[k];
            js_object(j);
            js_kv(j, "integration", i->config->id);
            js_kv(j, "group", q->group_key);
            js_kv_time_ms(j, "since", q->created_ms);
            js_kv_time_ms(j, "notBefore", MAX(i->lanes[l].blocked_until_ms, i->blocked_until_ms));
            js_object_end(j);
        }
}

static void on_letter(void *arg, const OutboxItem *i, Str reason, i64 at_ms)
{
    Json *j = arg;
    Str id, group;
    str_cut(i->key, '\n', &id, &group);
    js_object(j);
    js_kv(j, "integration", id);
    js_kv(j, "group", group);
    js_kv(j, "reason", reason);
    js_kv_time_ms(j, "created", i->created_ms);
    js_kv_time_ms(j, "at", at_ms);
    js_object_end(j);
}

void alerter_deliveries_json(Alerter *a, Str integration, Json *j)
{
    js_object(j);
    mutex_lock(&a->lock);
    js_key(j, S("queued"));
    js_array(j);
    for (size_t i = 0; i < a->integrations.len; i++)
        if (!integration.len || str_eq(a->integrations.at[i]->config->id, integration))
            put_queue(j, a->integrations.at[i]);
    js_array_end(j);
    js_key(j, S("deliveries"));
    put_ledger(j, &a->state, integration, S(""), LEDGER_MAX);
    mutex_unlock(&a->lock);
    js_key(j, S("deadLetters"));
    js_array(j);
    outbox_dead_letters(a->outbox, on_letter, j);
    js_array_end(j);
    js_object_end(j);
}

/* ---- why ---- */
typedef struct Path {
    Alerter *a;
    Json *j;
    Labels labels;
    const StoredAlert *alert; /* NULL: only what would be */
    i64 now_ms;
    Arena *arena;
    bool is_inhibited, is_silenced;
} Path;

/* Where the way to one integration ends, in one word. The lock is held. */
static const char *verdict_of(const Path *p, const AlertRoute *r, const Integration *i, Str key, bool knows,
                              u64 queued)
{
    const TimeIntervals *by;
    if (!p->alert)
        return "hypothetical";
    if (queued && !i->is_stopped)
        return i->last_error[0] && i->last_error_ms > i->last_ok_ms ? "retrying" : "queued";
    if (queued || (knows && was_given_up(&p->a->state, i->config->id, key)))
        return i->is_stopped ? "stopped" : "given up";
    if (knows)
        return "notified";
    if (alert_is_resolved(p->alert, p->now_ms * NS_PER_MS))
        return "resolved";
    if (p->is_inhibited)
        return "inhibited";
    if (alert_route_muted_by(r, p->now_ms / 1000, &by, 1))
        return "muted";
    if (p->is_silenced)
        return "silenced";
    return "waiting";
}

static void put_integration(const Path *p, const AlertRoute *r, const Integration *i, Str key)
{
    Json *j = p->j;
    Said s = said_read(p->a, i->config->id, key, p->arena);
    bool knows = p->alert && s.exists &&
                 bsearch(&p->alert->fingerprint, s.firing, s.firing_len, sizeof(u64), u64_order) != NULL;
    u64 queued = 0;
    for (u32 l = 0; l < i->lanes_len; l++)
        for (size_t k = 0; k < i->lanes[l].queue.len; k++)
            queued += str_eq(i->lanes[l].queue.at[k].group_key, key);
    js_object(j);
    js_kv(j, "integration", i->config->id);
    js_kv(j, "verdict", str_c(verdict_of(p, r, i, key, knows, queued)));
    js_key(j, S("stopped"));
    js_bool(j, i->is_stopped);
    if (s.exists) {
        js_kv_time_ms(j, "lastNotified", s.at_ms);
        put_u64(j, "firingThen", s.firing_len);
        if (p->alert) {
            js_key(j, S("knowsThisAlert"));
            js_bool(j, knows);
        }
    }
    put_u64(j, "queued", queued);
    if (i->last_error[0]) {
        js_kv(j, "lastError", str_c(i->last_error));
        js_kv_time_ms(j, "lastErrorAt", i->last_error_ms);
    }
    js_key(j, S("deliveries"));
    put_ledger(j, &p->a->state, i->config->id, key, DELIVERIES_SHOWN);
    js_object_end(j);
}

static void on_route(void *arg, const AlertRoute *r)
{
    const Path *p = arg;
    Json *j = p->j;
    Labels group = alert_group_labels(r, p->labels, p->arena);
    const AlertGroup *g = alerter_find_group(p->a, r, group);
    Buf key;
    buf_init(&key, 1 << 20);
    group_key_print(&key, r, group);
    js_object(j);
    route_head_json(j, r);
    js_kv(j, "groupKey", buf_view(&key));
    route_muted_json(j, r, p->now_ms / 1000);
    if (g) {
        put_u64(j, "groupAlerts", g->alerts.len);
        js_kv_time_ms(j, "lastFlush", g->last_ms);
        js_kv_time_ms(j, "nextFlush", g->next_ms);
    }
    js_key(j, S("integrations"));
    js_array(j);
    for (size_t i = 0; i < p->a->integrations.len; i++)
        if (p->a->integrations.at[i]->receiver == r->receiver)
            put_integration(p, r, p->a->integrations.at[i], buf_view(&key));
    js_array_end(j);
    js_object_end(j);
    buf_done(&key);
}

static void put_silences(Path *p)
{
    const Silence *by[64];
    Json *j = p->j;
    u32 n = silences_matching(&p->a->state, p->labels, p->now_ms * NS_PER_MS, by, COUNT_OF(by));
    p->is_silenced = n > 0;
    js_key(j, S("silencedBy"));
    js_array(j);
    for (u32 i = 0; i < n; i++) {
        js_object(j);
        js_kv(j, "id", str_c(by[i]->id));
        js_kv(j, "createdBy", by[i]->created_by);
        js_kv(j, "comment", by[i]->comment);
        js_kv_time_ms(j, "endsAt", by[i]->ends_ns / NS_PER_MS);
        js_object_end(j);
    }
    js_array_end(j);
}

/* The path of an alert, in the order in which Alertmanager decides. The lock is held. */
static void put_path(Path *p)
{
    Json *j = p->j;
    const InhibitRule *rule = NULL;
    const StoredAlert *by = inhibitor_find(&p->a->inhibitor, p->labels, p->now_ms * NS_PER_MS, &rule);
    js_object(j);
    put_labels(j, "labels", p->labels);
    if (p->alert) {
        put_fingerprint(j, "fingerprint", p->alert->fingerprint);
        js_kv_time_ms(j, "startsAt", p->alert->starts_ns / NS_PER_MS);
        js_kv_time_ms(j, "endsAt", p->alert->ends_ns / NS_PER_MS);
        js_kv_time_ms(j, "updatedAt", p->alert->updated_ns / NS_PER_MS);
        js_kv(j, "state", alert_is_resolved(p->alert, p->now_ms * NS_PER_MS) ? S("resolved") : S("firing"));
    } else {
        js_kv(j, "state", S("unknown: no such alert is held"));
    }
    p->is_inhibited = by != NULL;
    if (by) {
        js_key(j, S("inhibitedBy"));
        js_object(j);
        put_fingerprint(j, "fingerprint", by->fingerprint);
        put_labels(j, "labels", by->labels);
        if (rule->name.len)
            js_kv(j, "rule", rule->name);
        js_object_end(j);
    }
    put_silences(p);
    js_key(j, S("walk"));
    route_walk_json(j, alert_config_route(p->a->config), p->labels);
    js_key(j, S("routes"));
    js_array(j);
    alert_route_match(alert_config_route(p->a->config), p->labels, on_route, p);
    js_array_end(j);
    js_object_end(j);
}

/* Only where an alert would go: what `amtool config routes test` answers, and the way there. */
static void on_taken(void *arg, const AlertRoute *r)
{
    const Path *p = arg;
    Buf key;
    buf_init(&key, 1 << 20);
    group_key_print(&key, r, alert_group_labels(r, p->labels, p->arena));
    js_object(p->j);
    route_head_json(p->j, r);
    js_kv(p->j, "groupKey", buf_view(&key));
    route_muted_json(p->j, r, p->now_ms / 1000);
    js_object_end(p->j);
    buf_done(&key);
}

static void on_receiver(void *arg, const AlertRoute *r)
{
    js_str(((Path *)arg)->j, r->receiver->name);
}

static void put_test(Path *p)
{
    const AlertRoute *root = alert_config_route(p->a->config);
    Json *j = p->j;
    js_object(j);
    put_labels(j, "labels", p->labels);
    js_key(j, S("receivers"));
    js_array(j);
    alert_route_match(root, p->labels, on_receiver, p);
    js_array_end(j);
    js_key(j, S("routes"));
    js_array(j);
    alert_route_match(root, p->labels, on_taken, p);
    js_array_end(j);
    js_key(j, S("walk"));
    route_walk_json(j, root, p->labels);
    js_object_end(j);
}

/* fingerprint=…, or labels as a={value} parameters named label: label=team=x */
static bool read_subject(HttpReq *r, Path *p)
{
    Str fp = http_param(r, S("fingerprint")), pairs[100];
    u32 n = http_params_all(r, S("label"), pairs, COUNT_OF(pairs));
    LabelsBuilder b;
    if (fp.len) {
        u64 v = 0;
        for (size_t i = 0; i < fp.len && i < 16; i++)
            v = v << 4 | (hex_digit(fp.at[i]) & 15);
        p->alert = alert_state_alert(&p->a->state, v);
        if (p->alert)
            p->labels = p->alert->labels;
        return p->alert != NULL;
    }
    lb_init(&b, r->arena, (Labels){0});
    for (u32 i = 0; i < n; i++) {
        Str name, value;
        if (!str_cut(pairs[i], '=', &name, &value))
            return false;
        lb_set(&b, name, value);
    }
    p->labels = lb_build(&b);
    p->alert = alert_state_alert(&p->a->state, labels_fingerprint(p->labels));
    return n > 0;
}

/* ---- routes ---- */
static void begin(Buf *b, Json *j)
{
    buf_init(b, 256 << 20);
    buf_c(b, "{\"status\":\"success\",\"data\":");
    js_init(j, b);
}

static void end(HttpReq *r, Buf *b)
{
    buf_c(b, "}\n");
    http_reply(r, 200, "application/json", buf_view(b));
    buf_done(b);
}

static void get_status(HttpReq *r, void *arg)
{
    Buf b;
    Json j;
    begin(&b, &j);
    alerter_status_json(arg, &j);
    end(r, &b);
}

static void get_deliveries(HttpReq *r, void *arg)
{
    Buf b;
    Json j;
    begin(&b, &j);
    alerter_deliveries_json(arg, http_param(r, S("integration")), &j);
    end(r, &b);
}

static void get_routes(HttpReq *r, void *arg)
{
    Alerter *a = arg;
    Buf b;
    Json j;
    begin(&b, &j);
    mutex_lock(&a->lock);
    if (a->config)
        route_tree_json(&j, alert_config_route(a->config), clock_wall_ms(a->env.clock) / 1000);
    else
        js_null(&j);
    mutex_unlock(&a->lock);
    end(r, &b);
}

static void answer_path(HttpReq *r, Alerter *a, void (*put)(Path *p))
{
    Buf b;
    Json j;
    Path p = {.a = a, .j = &j, .now_ms = clock_wall_ms(a->env.clock), .arena = r->arena};
    begin(&b, &j);
    mutex_lock(&a->lock);
    bool ok = a->config && read_subject(r, &p);
    if (ok)
        put(&p);
    mutex_unlock(&a->lock);
    if (ok) {
        end(r, &b);
    } else {
        buf_done(&b);
        refuse(r, "want fingerprint=<16 hex digits of an alert that is held>, or label=name=value, repeated");
    }
}

static void get_why(HttpReq *r, void *arg)
{
    answer_path(r, arg, put_path);
}

static void get_test(HttpReq *r, void *arg)
{
    answer_path(r, arg, put_test);
}

/* ---- saying it once more ---- */
static AlertGroup *group_by_key(Alerter *a, Str wanted)
{
    AlertGroup *found = NULL;
    Buf key;
    buf_init(&key, 1 << 20);
    for (size_t i = 0; i < a->heap.len && !found; i++) {
        buf_clear(&key);
        group_key_print(&key, a->heap.at[i]->route, a->heap.at[i]->labels);
        if (str_eq(buf_view(&key), wanted))
            found = a->heap.at[i];
    }
    buf_done(&key);
    return found;
}

static Integration *integration_by_id(Alerter *a, Str id)
{
    for (size_t i = 0; i < a->integrations.len; i++)
        if (str_eq(a->integrations.at[i]->config->id, id))
            return a->integrations.at[i];
    return NULL;
}

/* A dead letter's text is not kept, and would be old: the integration is told what the group looks like now. It is to forget
 * what it was told, and the group is looked at at once. */
static Err tell_again(Alerter *a, Str id, Str group_key, Arena *arena, Why *why)
{
    mutex_lock(&a->lock);
    Integration *i = integration_by_id(a, id);
    AlertGroup *g = i ? group_by_key(a, group_key) : NULL;
    bool ok = g && g->route->receiver == i->receiver;
    mutex_unlock(&a->lock);
    if (!ok)
        return why_set(why, E_NOT_FOUND,
                       i ? "the group is gone: nothing of it is firing" : "no such integration");
    TRY(outbox_fact_set(a->outbox, alerter_key(arena, "n\n", id, group_key), S(""), why));
    mutex_lock(&a->lock);
    if ((i = integration_by_id(a, id)))
        i->is_stopped = false;
    if ((g = group_by_key(a, group_key))) {
        g->next_ms = clock_wall_ms(a->env.clock);
        group_heap_put(a, g);
    }
    mutex_unlock(&a->lock);
    alerter_tick_soon(a);
    return OK;
}

static void post_retry(HttpReq *r, void *arg)
{
    Why why = {0};
    Buf b;
    Json j;
    Err e = tell_again(arg, http_param(r, S("integration")), http_param(r, S("group")), r->arena, &why);
    if (e != OK) {
        refuse(r, why.text);
        return;
    }
    begin(&b, &j);
    js_null(&j);
    end(r, &b);
}

/* A silence's JSON, as POST /api/v2/silences takes it: the alerts it would match now. */
static void post_preview(HttpReq *r, void *arg)
{
    Alerter *a = arg;
    NewSilence n;
    PostError error = {0};
    Why why = {0};
    Buf b;
    Json j;
    if (post_read_silence(r->body, r->arena, &n, &error) != OK) {
        refuse(r, error.text);
        return;
    }
    Matcher *at = arena_array(r->arena, Matcher, n.matchers_len);
    u32 len = 0;
    for (; at && len < n.matchers_len; len++)
        if (match_init(&at[len], n.matchers[len].op, n.matchers[len].name, n.matchers[len].value, &why) != OK)
            break;
    if (len < n.matchers_len) {
        refuse(r, why.text);
    } else {
        size_t cursor = 0;
        u64 key, value, total = 0;
        i64 now_ns = clock_wall_ns(a->env.clock);
        begin(&b, &j);
        js_object(&j);
        js_key(&j, S("alerts"));
        js_array(&j);
        mutex_lock(&a->lock);
        while (u64map_next(&a->state.alerts, &cursor, &key, &value)) {
            const StoredAlert *x = (const StoredAlert *)(uintptr_t)value;
            if (alert_is_resolved(x, now_ns) || !matchers_match((Matchers){at, len}, x->labels))
                continue;
            if (total++ >= SHOWN_MAX)
                continue;
            js_object(&j);
            put_fingerprint(&j, "fingerprint", x->fingerprint);
            put_labels(&j, "labels", x->labels);
            js_object_end(&j);
        }
        mutex_unlock(&a->lock);
        js_array_end(&j);
        put_u64(&j, "total", total);
        js_object_end(&j);
        end(r, &b);
    }
    for (u32 i = 0; i < len; i++)
        matcher_done(&at[i]);
}

void alerter_routes(Alerter *a, HttpServer *s)
{
    const HttpRoute routes[] = {
        {.methods = "GET", .path = "/api/v1/alerting/status", .handler = get_status, .run = RUN_QUERY},
        {.methods = "GET",
         .path = "/api/v1/alerting/deliveries",
         .handler = get_deliveries,
         .run = RUN_QUERY},
        {.methods = "GET", .path = "/api/v1/alerting/routes", .handler = get_routes, .run = RUN_QUERY},
        {.methods = "GET", .path = "/api/v1/alerting/routes/test", .handler = get_test, .run = RUN_QUERY},
        {.methods = "GET", .path = "/api/v1/alerting/why", .handler = get_why, .run = RUN_QUERY},
        {.methods = "POST",
         .path = "/api/v1/alerting/deliveries/retry",
         .handler = post_retry,
         .role = ROLE_WRITE,
         .run = RUN_ADMIN,
         .body_max = 64 << 10},
        {.methods = "POST",
         .path = "/api/v1/alerting/silences/preview",
         .handler = post_preview,
         .run = RUN_QUERY,
         .body_max = BODY_BYTES_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        HttpRoute r = routes[i];
        r.arg = a;
        r.role = MAX(r.role, ROLE_READ);
        http_server_route(s, &r, 1);
    }
}
