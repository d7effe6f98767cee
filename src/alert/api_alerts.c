/* Alertmanager's API: alerts and groups. */
#include "alert/api.h"

#include <stdio.h>
#include <stdlib.h>

enum { MATCHING_MAX = 32 };

/* ---- what a request asks for ---- */
static bool flag(HttpReq *r, const char *name)
{
    Str v = http_param(r, str_c(name));
    static const char *const yes[] = {"true", "1",       "yes", "on",       "t",
                                      "y",    "checked", "ok",  "selected", "enabled"};
    for (size_t i = 0; i < COUNT_OF(yes); i++)
        if (str_eq_nocase(v, str_c(yes[i])))
            return true;
    return !http_has_param(r, str_c(name));
}

typedef struct Ask {
    ApiFilter filter, receivers;
    Regex *receiver;
    bool active, silenced, inhibited, muted;
} Ask;

static void ask_done(Ask *q)
{
    api_filter_done(&q->filter);
    api_filter_done(&q->receivers);
    regex_free(q->receiver);
}

static bool ask_read(HttpReq *r, Ask *q)
{
    *q = (Ask){.active = flag(r, "active"),
               .silenced = flag(r, "silenced"),
               .inhibited = flag(r, "inhibited"),
               .muted = flag(r, "muted")};
    Why why = {0};
    Str receiver = http_param(r, S("receiver"));
    if (!api_filter_read(r, "filter", "", &q->filter))
        return false;
    if (receiver.len && regex_new(receiver, REGEX_ANCHORED, &q->receiver, &why) != OK) {
        api_reply_string(r, 400, arena_printf(r->arena, "failed to parse receiver param: %s", why.text));
        ask_done(q);
        return false;
    }
    if (api_filter_read(r, "receiver_matchers", "failed to parse receiver_matchers param: ", &q->receivers))
        return true;
    ask_done(q);
    return false;
}

static bool receiver_wanted(const Ask *q, const Receiver *r)
{
    return (!q->receiver || regex_match(q->receiver, r->name)) &&
           (!q->receivers.len || api_filter_matches(&q->receivers, r->labels));
}

/* ---- one alert ---- */
typedef struct Status {
    const StoredAlert *inhibitor;
    const Silence *silences[MATCHING_MAX];
    u32 silences_len;
} Status;

static bool alert_wanted(Alerter *a, const Ask *q, const StoredAlert *x, i64 now_ns, Status *st)
{
    if (x->ends_ns < now_ns || !api_filter_matches(&q->filter, x->labels))
        return false;
    st->inhibitor = inhibitor_find(&a->inhibitor, x->labels, now_ns, NULL);
    st->silences_len = silences_matching(&a->state, x->labels, now_ns, st->silences, MATCHING_MAX);
    bool suppressed = st->inhibitor || st->silences_len;
    return (q->active || suppressed) && (q->silenced || !st->silences_len) &&
           (q->inhibited || !st->inhibitor);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp((*(const Receiver *const *)a)->name, (*(const Receiver *const *)b)->name);
}

static void put_alert(Json *j, const StoredAlert *x, const Status *st, const Receiver *const *receivers,
                      u32 n, const TimeIntervals *const *muted, u32 muted_len)
{
    char fp[24];
    js_object(j);
    api_put_labels(j, S("annotations"), x->annotations, false);
    api_put_time(j, "endsAt", x->ends_ns);
    snprintf(fp, sizeof fp, "%016llx", (unsigned long long)x->fingerprint);
    js_kv(j, "fingerprint", str_c(fp));
    js_key(j, S("receivers"));
    js_array(j);
    for (u32 i = 0; i < n; i++) {
        js_object(j);
        js_kv(j, "name", receivers[i]->name);
        js_object_end(j);
    }
    js_array_end(j);
    api_put_time(j, "startsAt", x->starts_ns);
    js_key(j, S("status"));
    js_object(j);
    js_key(j, S("inhibitedBy"));
    js_array(j);
    if (st->inhibitor) {
        snprintf(fp, sizeof fp, "%016llx", (unsigned long long)st->inhibitor->fingerprint);
        js_c(j, fp);
    }
    js_array_end(j);
    js_key(j, S("mutedBy"));
    js_array(j);
    for (u32 i = 0; i < muted_len; i++)
        js_str(j, muted[i]->name);
    js_array_end(j);
    js_key(j, S("silencedBy"));
    js_array(j);
    for (u32 i = 0; i < st->silences_len; i++)
        js_c(j, st->silences[i]->id);
    js_array_end(j);
    js_kv(j, "state", st->inhibitor || st->silences_len || muted_len ? S("suppressed") : S("active"));
    js_object_end(j);
    api_put_time(j, "updatedAt", x->updated_ns);
    if (x->generator_url)
        js_kv(j, "generatorURL", str_c(x->generator_url));
    api_put_labels(j, S("labels"), x->labels, false);
    js_object_end(j);
}

/* ---- GET /api/v2/alerts ---- */
void api_all_fingerprints(Alerter *a, Fingerprints *ret)
{
    size_t cursor = 0;
    u64 key, value;
    mutex_lock(&a->lock);
    vec_reserve(ret, a->state.alerts.len + 1);
    while (u64map_next(&a->state.alerts, &cursor, &key, &value))
        vec_push(ret, key);
    mutex_unlock(&a->lock);
    if (ret->len > 1)
        qsort(ret->at, ret->len, sizeof ret->at[0], u64_order);
}

typedef struct Receivers {
    const Receiver *at[64];
    u32 len;
} Receivers;

static void on_route(void *arg, const AlertRoute *r)
{
    Receivers *rs = arg;
    if (rs->len < COUNT_OF(rs->at))
        rs->at[rs->len++] = r->receiver;
}

/* A few alerts under the lock; those that write wait for nobody but this. */
static void put_batch(Alerter *a, const Ask *q, const u64 *fps, size_t n, i64 now_ns, Json *j)
{
    mutex_lock(&a->lock);
    const AlertRoute *root = a->config ? alert_config_route(a->config) : NULL;
    for (size_t i = 0; i < n; i++) {
        const StoredAlert *x = alert_state_alert(&a->state, fps[i]);
        Receivers rs = {.len = 0};
        Status st;
        if (!x || !root)
            continue;
        alert_route_match(root, x->labels, on_route, &rs);
        bool wanted = !q->receiver && !q->receivers.len;
        for (u32 k = 0; k < rs.len && !wanted; k++)
            wanted = receiver_wanted(q, rs.at[k]);
        if (wanted && alert_wanted(a, q, x, now_ns, &st))
            put_alert(j, x, &st, rs.at, rs.len, NULL, 0);
    }
    mutex_unlock(&a->lock);
}

void api_get_alerts(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Ask q;
    Fingerprints fps = {0};
    Buf b;
    Json j;
    if (!ask_read(r, &q))
        return;
    i64 now_ns = clock_wall_ns(api->a->env.clock);
    api_all_fingerprints(api->a, &fps);
    buf_init(&b, 64 << 20);
    js_init(&j, &b);
    js_array(&j);
    http_begin(r, 200, "application/json");
    bool there = true;
    for (size_t i = 0; i < fps.len && there; i += API_BATCH) {
        put_batch(api->a, &q, fps.at + i, MIN((size_t)API_BATCH, fps.len - i), now_ns, &j);
        there = http_write(r, buf_view(&b));
        buf_clear(&b);
    }
    js_array_end(&j);
    buf_char(&b, '\n');
    http_write(r, buf_view(&b));
    http_end(r);
    buf_done(&b);
    alerter_untidy(api->a, (u32)(fps.len / API_BATCH));
    vec_done(&fps);
    ask_done(&q);
}

/* ---- POST /api/v2/alerts ---- */
void api_post_alerts(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    NewAlert *alerts;
    u32 n, invalid;
    char invalid_why[300] = "";
    PostError error = {0};
    Why why = {0};
    if (!api_is_json(r))
        return;
    mutex_lock(&a->lock);
    i64 timeout = a->config ? a->config->resolve_timeout_ms : 5 * 60 * MS_PER_SEC;
    mutex_unlock(&a->lock);
    Arena arena;
    arena_init(&arena, NULL, 4ull * API_POST_BYTES_MAX);
    if (post_read_alerts(r->body, clock_wall_ns(a->env.clock), timeout, &arena, &alerts, &n, &invalid,
                         invalid_why, &error) != OK) {
        if (!error.status)
            error = (PostError){413, 413, "the request is too large"};
        api_reply_error(r, &error);
    } else {
        Err e = alerter_post(a, alerts, n, &why);
        metric_add(a->m_invalid, invalid);
        if (e != OK)
            api_reply_string(r, e == E_UNAVAILABLE ? 503 : 500, str_c(why.text));
        else if (invalid)
            api_reply_string(r, 400, str_c(invalid_why));
        else
            http_reply(r, 200, "application/json", S(""));
    }
    arena_done(&arena);
}

/* ---- GET /api/v2/alerts/groups ---- */
static int by_labels(const void *pa, const void *pb)
{
    const AlertGroup *a = *(const AlertGroup *const *)pa, *b = *(const AlertGroup *const *)pb;
    int c = alert_labels_order(a->labels, b->labels);
    return c ? c : str_cmp(a->route->receiver->name, b->route->receiver->name);
}

static int by_alert_labels(const void *pa, const void *pb)
{
    return alerts_order((*(const StoredAlert *const *)pa)->labels, (*(const StoredAlert *const *)pb)->labels);
}

/* Of those asked for. */
static u32 receivers_of(const Ask *q, const StoredAlert *x, const Receiver **ret, u32 max)
{
    u32 n = 0;
    for (u32 i = 0; i < x->groups_len && n < max; i++)
        if (receiver_wanted(q, x->groups[i]->route->receiver))
            ret[n++] = x->groups[i]->route->receiver;
    if (n > 1)
        qsort(ret, n, sizeof *ret, by_name);
    return n;
}

static void put_group(Alerter *a, const Ask *q, const AlertGroup *g, i64 now_ns, Json *j)
{
    const TimeIntervals *muted[16];
    u32 muted_len = alert_route_muted_by(g->route, now_ns / NS_PER_SEC, muted, COUNT_OF(muted));
    if (!receiver_wanted(q, g->route->receiver) || (muted_len && !q->muted))
        return;
    VEC(StoredAlert *) sorted = {0};
    for (size_t i = 0; i < g->alerts.len; i++)
        vec_push(&sorted, g->alerts.at[i]);
    if (sorted.len > 1)
        qsort(sorted.at, sorted.len, sizeof sorted.at[0], by_alert_labels);
    bool any = false;
    for (size_t i = 0; i < sorted.len; i++) {
        const Receiver *rs[64];
        Status st;
        if (!alert_wanted(a, q, sorted.at[i], now_ns, &st))
            continue;
        if (!any) {
            js_object(j);
            js_key(j, S("alerts"));
            js_array(j);
        }
        any = true;
        put_alert(j, sorted.at[i], &st, rs, receivers_of(q, sorted.at[i], rs, COUNT_OF(rs)), muted,
                  muted_len);
    }
    vec_done(&sorted);
    if (!any)
        return;
    js_array_end(j);
    api_put_labels(j, S("labels"), g->labels, true);
    js_key(j, S("receiver"));
    js_object(j);
    js_kv(j, "name", g->route->receiver->name);
    js_object_end(j);
    js_object_end(j);
}

/* Groups come and go between batches: each is looked up again by what it is. */
typedef struct GroupName {
    const AlertRoute *route;
    Labels labels;
} GroupName;

static size_t name_groups(Alerter *a, Arena *arena, GroupName **ret)
{
    VEC(const AlertGroup *) all = {0};
    size_t cursor = 0;
    u64 key, value;
    while (u64map_next(&a->groups, &cursor, &key, &value))
        for (const AlertGroup *g = (const AlertGroup *)(uintptr_t)value; g; g = g->same_hash)
            vec_push(&all, g);
    if (all.len > 1)
        qsort(all.at, all.len, sizeof all.at[0], by_labels);
    size_t n = all.len;
    *ret = arena_array(arena, GroupName, n + 1);
    for (size_t i = 0; *ret && i < n; i++)
        (*ret)[i] = (GroupName){all.at[i]->route, labels_dup(arena, all.at[i]->labels)};
    vec_done(&all);
    return *ret ? n : 0;
}

void api_get_groups(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Ask q;
    GroupName *names;
    Buf b;
    Json j;
    Arena arena;
    if (!ask_read(r, &q))
        return;
    i64 now_ns = clock_wall_ns(a->env.clock);
    arena_init(&arena, NULL, 512 << 20);
    mutex_lock(&a->lock);
    AlertConfig *config = a->config ? alert_config_ref(a->config) : NULL; /* routes stay what they are */
    size_t n = name_groups(a, &arena, &names);
    mutex_unlock(&a->lock);
    buf_init(&b, 512 << 20);
    js_init(&j, &b);
    js_array(&j);
    http_begin(r, 200, "application/json");
    bool there = true;
    for (size_t i = 0; i < n && there; i++) {
        mutex_lock(&a->lock);
        const AlertGroup *g =
            a->config == config ? alerter_find_group(a, names[i].route, names[i].labels) : NULL;
        if (g)
            put_group(a, &q, g, now_ns, &j);
        mutex_unlock(&a->lock);
        if (b.len > (64 << 10)) {
            there = http_write(r, buf_view(&b));
            buf_clear(&b);
        }
    }
    js_array_end(&j);
    buf_char(&b, '\n');
    http_write(r, buf_view(&b));
    http_end(r);
    buf_done(&b);
    alert_config_unref(config);
    alerter_untidy(a, (u32)MIN(n, (size_t)UINT32_MAX));
    arena_done(&arena);
    ask_done(&q);
}
