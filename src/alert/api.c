/* Alertmanager's API, version 2, as its OpenAPI file has it. */
#include "alert/alerter_internal.h"
#include "alert/post.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { POST_BYTES_MAX = 64 << 20, BATCH = 128, FILTERS_MAX = 64, MATCHING_MAX = 32 };

struct AlertApi {
    Alerter *a;
    AlertApiEnv env;
};

/* ---- answers ---- */
static void reply_string(HttpReq *r, int status, Str text)
{
    Buf b;
    buf_init(&b, 2 * text.len + 1024);
    js_quote(&b, text);
    buf_char(&b, '\n');
    http_reply(r, status, "application/json", buf_view(&b));
    buf_done(&b);
}

static void reply_error(HttpReq *r, const PostError *e)
{
    Buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "{\"code\":%d,\"message\":", e->code);
    js_quote(&b, str_c(e->text));
    buf_char(&b, '}');
    http_reply(r, e->status, "application/json", buf_view(&b));
    buf_done(&b);
}

static bool is_json(HttpReq *r)
{
    Str type = http_header(r, S("Content-Type")), head, tail;
    str_cut(type, ';', &head, &tail);
    if (str_eq_nocase(str_trim(head), S("application/json")))
        return true;
    PostError e = {.status = 415, .code = 415};
    snprintf(e.text, sizeof e.text, "unsupported media type \"%.*s\", only [application/json] are allowed",
             (int)MIN(type.len, 100), type.at);
    reply_error(r, &e);
    return false;
}

static void put_time(Json *j, const char *key, i64 ns)
{
    char text[40];
    Civil c;
    i64 sec = ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
    civil_from_unix(sec, &c);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year, c.month, c.day, c.hour,
             c.minute, c.second, (int)((ns - sec * NS_PER_SEC) / NS_PER_MS));
    js_kv(j, key, str_c(text));
}

static void put_labels(Json *j, Str key, Labels l, bool plain)
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
typedef struct Filter {
    MatchList lists[FILTERS_MAX];
    u32 len;
} Filter;

static void filter_done(Filter *f)
{
    for (u32 i = 0; i < f->len; i++)
        match_list_done(&f->lists[i]);
}

/* False: answered. */
static bool filter_read(HttpReq *r, const char *param, const char *prefix, Filter *f)
{
    Str texts[FILTERS_MAX];
    u32 n = http_params_all(r, str_c(param), texts, FILTERS_MAX);
    Why why = {0};
    f->len = 0;
    for (u32 i = 0; i < n && i < FILTERS_MAX; i++) {
        if (match_parse_one(texts[i], r->arena, &f->lists[i], &why) != OK) {
            reply_string(r, 400, arena_printf(r->arena, "%s%s", prefix, why.text));
            filter_done(f);
            return false;
        }
        f->len++;
    }
    return true;
}

/* An empty value asks whether the label is there at all. */
static bool filter_matches(const Filter *f, Labels l)
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
    Filter filter, receivers;
    Regex *receiver;
    bool active, silenced, inhibited, muted;
} Ask;

static void ask_done(Ask *q)
{
    filter_done(&q->filter);
    filter_done(&q->receivers);
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
    if (!filter_read(r, "filter", "", &q->filter))
        return false;
    if (receiver.len && regex_new(receiver, REGEX_ANCHORED, &q->receiver, &why) != OK) {
        reply_string(r, 400, arena_printf(r->arena, "failed to parse receiver param: %s", why.text));
        ask_done(q);
        return false;
    }
    if (filter_read(r, "receiver_matchers", "failed to parse receiver_matchers param: ", &q->receivers))
        return true;
    ask_done(q);
    return false;
}

static bool receiver_wanted(const Ask *q, const Receiver *r)
{
    return (!q->receiver || regex_match(q->receiver, r->name)) &&
           (!q->receivers.len || filter_matches(&q->receivers, r->labels));
}

/* ---- one alert ---- */
typedef struct Status {
    const StoredAlert *inhibitor;
    const Silence *silences[MATCHING_MAX];
    u32 silences_len;
} Status;

static bool alert_wanted(Alerter *a, const Ask *q, const StoredAlert *x, i64 now_ns, Status *st)
{
    if (x->ends_ns < now_ns || !filter_matches(&q->filter, x->labels))
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
    put_labels(j, S("annotations"), x->annotations, false);
    put_time(j, "endsAt", x->ends_ns);
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
    put_time(j, "startsAt", x->starts_ns);
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
    put_time(j, "updatedAt", x->updated_ns);
    if (x->generator_url)
        js_kv(j, "generatorURL", str_c(x->generator_url));
    put_labels(j, S("labels"), x->labels, false);
    js_object_end(j);
}

/* ---- GET /api/v2/alerts ---- */
typedef VEC(u64) Fingerprints;
static void all_fingerprints(Alerter *a, Fingerprints *ret)
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

static void get_alerts(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Ask q;
    Fingerprints fps = {0};
    Buf b;
    Json j;
    if (!ask_read(r, &q))
        return;
    i64 now_ns = clock_wall_ns(api->a->env.clock);
    all_fingerprints(api->a, &fps);
    buf_init(&b, 64 << 20);
    js_init(&j, &b);
    js_array(&j);
    http_begin(r, 200, "application/json");
    bool there = true;
    for (size_t i = 0; i < fps.len && there; i += BATCH) {
        put_batch(api->a, &q, fps.at + i, MIN((size_t)BATCH, fps.len - i), now_ns, &j);
        there = http_write(r, buf_view(&b));
        buf_clear(&b);
    }
    js_array_end(&j);
    buf_char(&b, '\n');
    http_write(r, buf_view(&b));
    http_end(r);
    buf_done(&b);
    vec_done(&fps);
    ask_done(&q);
}

/* ---- POST /api/v2/alerts ---- */
static void post_alerts(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    NewAlert *alerts;
    u32 n, invalid;
    char invalid_why[300] = "";
    PostError error = {0};
    Why why = {0};
    if (!is_json(r))
        return;
    mutex_lock(&a->lock);
    i64 timeout = a->config ? a->config->resolve_timeout_ms : 5 * 60 * MS_PER_SEC;
    mutex_unlock(&a->lock);
    Arena arena;
    arena_init(&arena, NULL, 4ull * POST_BYTES_MAX);
    if (post_read_alerts(r->body, clock_wall_ns(a->env.clock), timeout, &arena, &alerts, &n, &invalid,
                         invalid_why, &error) != OK) {
        if (!error.status)
            error = (PostError){413, 413, "the request is too large"};
        reply_error(r, &error);
    } else {
        Err e = alerter_post(a, alerts, n, &why);
        metric_add(a->m_invalid, invalid);
        if (e != OK)
            reply_string(r, e == E_UNAVAILABLE ? 503 : 500, str_c(why.text));
        else if (invalid)
            reply_string(r, 400, str_c(invalid_why));
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

static u32 receivers_of(const StoredAlert *x, const Receiver **ret, u32 max)
{
    u32 n = 0;
    for (u32 i = 0; i < x->groups_len && n < max; i++)
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
        put_alert(j, sorted.at[i], &st, rs, receivers_of(sorted.at[i], rs, COUNT_OF(rs)), muted, muted_len);
    }
    vec_done(&sorted);
    if (!any)
        return;
    js_array_end(j);
    put_labels(j, S("labels"), g->labels, true);
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

static void get_groups(HttpReq *r, void *arg)
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
    arena_done(&arena);
    ask_done(&q);
}

/* ---- silences ---- */
static void put_silence(Json *j, const Silence *x, i64 now_ns)
{
    static const char *const states[] = {"active", "pending", "expired"};
    js_object(j);
    js_kv(j, "id", str_c(x->id));
    js_key(j, S("status"));
    js_object(j);
    js_kv(j, "state", str_c(states[silence_state(x, now_ns)]));
    js_object_end(j);
    put_time(j, "updatedAt", x->updated_ns);
    if (x->annotations.len)
        put_labels(j, S("annotations"), x->annotations, false);
    js_kv(j, "comment", x->comment);
    js_kv(j, "createdBy", x->created_by);
    put_time(j, "endsAt", x->ends_ns);
    js_key(j, S("matchers"));
    js_array(j);
    for (u32 i = 0; i < x->matchers.len; i++) {
        const Matcher *m = &x->matchers.at[i];
        js_object(j);
        js_key(j, S("isEqual"));
        js_bool(j, m->op == MATCH_EQ || m->op == MATCH_RE);
        js_key(j, S("isRegex"));
        js_bool(j, m->op == MATCH_RE || m->op == MATCH_NRE);
        js_kv(j, "name", m->name);
        js_kv(j, "value", m->value);
        js_object_end(j);
    }
    js_array_end(j);
    put_time(j, "startsAt", x->starts_ns);
    js_object_end(j);
}

/* For each matcher asked for the silence has the same one. */
static bool silence_wanted(const Filter *f, const Silence *x)
{
    for (u32 i = 0; i < f->len; i++) {
        bool found = false;
        for (u32 k = 0; k < x->matchers.len && !found; k++)
            found = match_order(&x->matchers.at[k], f->lists[i].at) == 0;
        if (!found)
            return false;
    }
    return true;
}

static void get_silences(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Filter f;
    Buf b;
    Json j;
    VEC(const Silence *) all = {0};
    StrMapSlot *slot;
    if (!filter_read(r, "filter", "", &f))
        return;
    i64 now_ns = clock_wall_ns(a->env.clock);
    buf_init(&b, 512 << 20);
    js_init(&j, &b);
    js_array(&j);
    mutex_lock(&a->lock);
    for (size_t cursor = 0; (slot = strmap_next(&a->state.silences.by_id, &cursor));)
        if (silence_wanted(&f, slot->value))
            vec_push(&all, slot->value);
    silence_order_now = now_ns;
    if (all.len > 1)
        qsort(all.at, all.len, sizeof all.at[0], silence_order);
    for (size_t i = 0; i < all.len; i++)
        put_silence(&j, all.at[i], now_ns);
    mutex_unlock(&a->lock);
    js_array_end(&j);
    buf_char(&b, '\n');
    http_reply(r, 200, "application/json", buf_view(&b));
    buf_done(&b);
    vec_done(&all);
    filter_done(&f);
}

static void post_silences(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    NewSilence n;
    PostError error = {0};
    Why why = {0};
    if (!is_json(r))
        return;
    if (post_read_silence(r->body, r->arena, &n, &error) != OK) {
        reply_error(r, &error);
        return;
    }
    i64 now_ns = clock_wall_ns(a->env.clock);
    if (n.starts_ns >= n.ends_ns) {
        reply_string(r, 400, S("Failed to create silence: start time must be before end time"));
        return;
    }
    if (n.ends_ns < now_ns) {
        reply_string(r, 400, S("Failed to create silence: end time can't be in the past"));
        return;
    }
    Silence *x = NULL;
    mutex_lock(&a->lock);
    u64 after = alert_state_ticket(&a->state);
    Err e = silences_set(&a->state, &n, now_ns, &x, &why);
    Str id = e == OK ? arena_dup(r->arena, str_c(x->id)) : S("");
    u64 ticket = alert_state_ticket(&a->state);
    mutex_unlock(&a->lock);
    if (e != OK) {
        reply_string(r, e == E_NOT_FOUND ? 404 : 400, str_c(why.text));
        return;
    }
    if (alert_state_wait(&a->state, after, ticket, &why) != OK)
        reply_string(r, 500, str_c(why.text));
    else
        http_reply(r, 200, "application/json",
                   arena_printf(r->arena, "{\"silenceID\":\"%.*s\"}\n", STR_FMT(id)));
}

static bool is_uuid(Str s)
{
    bool ok = s.len == SILENCE_ID_LEN;
    for (size_t i = 0; ok && i < s.len; i++)
        ok = i == 8 || i == 13 || i == 18 || i == 23 ? s.at[i] == '-' : hex_digit(s.at[i]) < 16;
    return ok;
}

static bool check_uuid(HttpReq *r, Str id)
{
    PostError e = {.status = 422, .code = 601};
    if (is_uuid(id))
        return true;
    snprintf(e.text, sizeof e.text, "silenceID in path must be of type uuid: \"%.*s\"", (int)MIN(id.len, 100),
             id.at);
    reply_error(r, &e);
    return false;
}

static void get_silence(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Str id = r->path_args[0];
    Buf b;
    Json j;
    if (!check_uuid(r, id))
        return;
    buf_init(&b, 4 << 20);
    js_init(&j, &b);
    mutex_lock(&a->lock);
    const Silence *x = silences_find(&a->state, id);
    if (x)
        put_silence(&j, x, clock_wall_ns(a->env.clock));
    mutex_unlock(&a->lock);
    buf_char(&b, '\n');
    http_reply(r, x ? 200 : 404, "application/json", x ? buf_view(&b) : S(""));
    buf_done(&b);
}

static void delete_silence(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Str id = r->path_args[0];
    Why why = {0};
    if (!check_uuid(r, id))
        return;
    mutex_lock(&a->lock);
    u64 after = alert_state_ticket(&a->state);
    Err e = silences_expire(&a->state, id, clock_wall_ns(a->env.clock), &why);
    u64 ticket = alert_state_ticket(&a->state);
    mutex_unlock(&a->lock);
    if (e == OK)
        e = alert_state_wait(&a->state, after, ticket, &why);
    if (e == E_NOT_FOUND)
        http_reply(r, 404, "application/json", S(""));
    else if (e != OK)
        reply_string(r, 500, str_c(why.text));
    else
        http_reply(r, 200, "application/json", S(""));
}

/* ---- receivers, status ---- */
static void get_receivers(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Filter f;
    Buf b;
    Json j;
    if (!filter_read(r, "receiver_matchers", "failed to parse receiver_matchers param: ", &f))
        return;
    buf_init(&b, 64 << 20);
    js_init(&j, &b);
    js_array(&j);
    mutex_lock(&a->lock);
    for (u32 i = 0; a->config && i < a->config->receivers_len; i++) {
        const Receiver *x = &a->config->receivers[i];
        if (!filter_matches(&f, x->labels))
            continue;
        js_object(&j);
        put_labels(&j, S("labels"), x->labels, false);
        js_kv(&j, "name", x->name);
        js_object_end(&j);
    }
    mutex_unlock(&a->lock);
    js_array_end(&j);
    buf_char(&b, '\n');
    http_reply(r, 200, "application/json", buf_view(&b));
    buf_done(&b);
    filter_done(&f);
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
    put_time(&j, "uptime", a->started_ms * NS_PER_MS);
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
    reply_error(r, &e);
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
    all_fingerprints(a, &fps);
    for (size_t i = 0; i < fps.len; i += BATCH) {
        mutex_lock(&a->lock);
        for (size_t k = i; k < fps.len && k < i + BATCH; k++) {
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
    *api = (AlertApi){a, *env};
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
         .handler = get_alerts,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "POST",
         .path = "/api/v2/alerts",
         .handler = post_alerts,
         .role = ROLE_WRITE,
         .run = RUN_INGEST,
         .body_max = POST_BYTES_MAX},
        {.methods = "GET",
         .path = "/api/v2/alerts/groups",
         .handler = get_groups,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "GET",
         .path = "/api/v2/silences",
         .handler = get_silences,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "POST",
         .path = "/api/v2/silences",
         .handler = post_silences,
         .role = ROLE_WRITE,
         .run = RUN_ADMIN,
         .body_max = 4 << 20},
        {.methods = "GET",
         .path = "/api/v2/silence/{}",
         .handler = get_silence,
         .role = ROLE_READ,
         .run = RUN_ADMIN},
        {.methods = "DELETE",
         .path = "/api/v2/silence/{}",
         .handler = delete_silence,
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
}
