/* /api/v1/rules and /api/v1/alerts, field by field as the peer answers. */
#include "rules/rules_internal.h"
#include "metrics/api/api.h"

#include <openssl/sha.h>
#include <stdlib.h>

enum { ANSWER_BYTES_MAX = 256 << 20 };

static void json_time_ns(Json *j, i64 ns)
{
    Buf b;
    buf_init(&b, 64);
    if (!ns) {
        buf_c(&b, "0001-01-01T00:00:00Z");
    } else {
        Civil c;
        civil_from_unix(ns / NS_PER_SEC, &c);
        c.nanos = (i32)(ns % NS_PER_SEC);
        print_time_go(&b, &c, S("2006-01-02T15:04:05.999999999Z07:00"));
    }
    js_str(j, buf_view(&b));
    buf_done(&b);
}

static void json_alert(Json *j, const ActiveAlert *a)
{
    js_object(j);
    js_key(j, S("labels"));
    labels_json(j, a->labels);
    js_key(j, S("annotations"));
    labels_json(j, a->annotations);
    js_kv(j, "state", str_c(alert_state_name(a->state)));
    js_key(j, S("activeAt"));
    json_time_ns(j, a->active_ms * NS_PER_MS);
    if (a->keep_since_ms) {
        js_key(j, S("keepFiringSince"));
        json_time_ns(j, a->keep_since_ms * NS_PER_MS);
    }
    Buf b;
    buf_init(&b, 64);
    print_f64_go(&b, a->value, 'e', -1);
    js_kv(j, "value", buf_view(&b));
    buf_done(&b);
    js_object_end(j);
}

static int by_labels(const void *a, const void *b)
{
    return labels_cmp((*(ActiveAlert *const *)a)->labels, (*(ActiveAlert *const *)b)->labels);
}

static void json_alerts(Json *j, const RuleState *st)
{
    VEC(ActiveAlert *) active = {0};
    for (size_t i = 0; i < st->alerts.len; i++)
        if (st->alerts.at[i]->state != ALERT_INACTIVE)
            vec_push(&active, st->alerts.at[i]);
    if (active.len > 1)
        qsort(active.at, active.len, sizeof active.at[0], by_labels);
    for (size_t i = 0; i < active.len; i++)
        json_alert(j, active.at[i]);
    vec_done(&active);
}

static void json_rule(Json *j, const RuleState *st, bool exclude_alerts)
{
    static const char *const health[] = {"unknown", "ok", "err"};
    const Rule *r = st->rule;
    AlertState state = ALERT_INACTIVE;
    for (size_t i = 0; i < st->alerts.len; i++)
        state = MAX(state, st->alerts.at[i]->state);
    js_object(j);
    if (r->is_alert)
        js_kv(j, "state", str_c(alert_state_name(state)));
    js_kv(j, "name", r->name);
    js_kv(j, "query", r->query);
    if (r->is_alert) {
        js_key(j, S("duration"));
        js_f64(j, (f64)r->for_ms / 1000);
        js_key(j, S("keepFiringFor"));
        js_f64(j, (f64)r->keep_firing_for_ms / 1000);
    }
    if (r->is_alert || r->labels.len) {
        js_key(j, S("labels"));
        labels_json(j, r->labels);
    }
    if (r->is_alert) {
        js_key(j, S("annotations"));
        labels_json(j, r->annotations);
        js_key(j, S("alerts"));
        if (exclude_alerts) {
            js_null(j);
        } else {
            js_array(j);
            json_alerts(j, st);
            js_array_end(j);
        }
    }
    js_kv(j, "health", str_c(health[st->health]));
    if (st->last_error)
        js_kv(j, "lastError", str_c(st->last_error));
    js_key(j, S("evaluationTime"));
    js_f64(j, (f64)st->took_ns / 1e9);
    js_key(j, S("lastEvaluation"));
    json_time_ns(j, st->evaluated_ns);
    js_kv(j, "type", r->is_alert ? S("alerting") : S("recording"));
    js_object_end(j);
}

/* ---- parameters ---- */
typedef struct Filter {
    const RulesQuery *q;
    bool want_alerts, want_records, exclude_alerts;
    Matchers *sets;
    u32 sets_len;
    u64 group_limit;
} Filter;

static bool one_of(Str s, const Str *list, u32 n)
{
    for (u32 i = 0; i < n; i++)
        if (str_eq(s, list[i]))
            return true;
    return n == 0;
}

static bool rule_wanted(const Filter *f, const Rule *r)
{
    if (!(r->is_alert ? f->want_alerts : f->want_records) ||
        !one_of(r->name, f->q->rule_names, f->q->rule_names_len))
        return false;
    for (u32 i = 0; i < f->sets_len; i++)
        if (matchers_match(f->sets[i], r->labels))
            return true;
    return f->sets_len == 0;
}

static Err bad_param(Why *why, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static Err bad_param(Why *why, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    Buf b;
    buf_init(&b, 900);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    Err e = why_set(why, E_INVALID, "invalid parameter \"%s\": %.*s", name, STR_FMT(buf_view(&b)));
    buf_done(&b);
    return e;
}

static Err read_bool(Str s, bool *ret, Why *why)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"", "0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < COUNT_OF(no); i++)
        if (str_eq(s, str_c(no[i])))
            return *ret = false, OK;
    for (size_t i = 0; i < COUNT_OF(yes); i++)
        if (str_eq(s, str_c(yes[i])))
            return *ret = true, OK;
    return bad_param(why, "exclude_alerts",
                     "error converting exclude_alerts: strconv.ParseBool: parsing \"%.*s\": invalid syntax",
                     (int)MIN(s.len, 100), s.at);
}

static Err filter_read(Filter *f, const RulesQuery *q, Arena *arena, Why *why)
{
    f->q = q;
    if (q->type.len && !str_eq(q->type, S("alert")) && !str_eq(q->type, S("record")))
        return bad_param(why, "type", "not supported value \"%.*s\"", (int)MIN(q->type.len, 100), q->type.at);
    f->want_alerts = !str_eq(q->type, S("record"));
    f->want_records = !str_eq(q->type, S("alert"));
    f->sets = arena_array(arena, Matchers, q->matches_len + 1);
    if (!f->sets)
        return why_set(why, E_LIMIT, "too many match[] parameters");
    for (u32 i = 0; i < q->matches_len; i++) {
        TRY(promql_parse_selector(q->matches[i], arena, &f->sets[i], why));
        f->sets_len++;
    }
    TRY(read_bool(q->exclude_alerts, &f->exclude_alerts, why));
    if (q->group_limit.len) {
        i64 limit;
        if (parse_i64(q->group_limit, &limit) != OK)
            return bad_param(
                why, "group_limit",
                "group_limit needs to be a valid number: strconv.ParseInt: parsing \"%.*s\": invalid syntax",
                (int)MIN(q->group_limit.len, 100), q->group_limit.at);
        if (limit <= 0)
            return bad_param(why, "group_limit", "group_limit needs to be greater than 0");
        f->group_limit = (u64)limit;
    } else if (q->group_next_token.len) {
        return bad_param(why, "group_next_token",
                         "group_limit needs to be present in order to paginate over the groups");
    }
    return OK;
}

static void group_token(const RuleGroup *g, Buf *out)
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    Buf b;
    buf_init(&b, g->file.len + g->name.len + 2);
    buf_str(&b, g->file);
    buf_char(&b, ';');
    buf_str(&b, g->name);
    SHA1((const unsigned char *)b.at, b.len, digest);
    buf_clear(out);
    hex_encode(out, str_of((const char *)digest, sizeof digest));
    buf_done(&b);
}

static bool group_wanted(const Filter *f, const Group *g)
{
    if (!one_of(g->g->name, f->q->rule_groups, f->q->rule_groups_len) ||
        !one_of(g->g->file, f->q->files, f->q->files_len))
        return false;
    for (u32 i = 0; i < g->g->rules_len; i++)
        if (rule_wanted(f, &g->g->rules[i]))
            return true;
    return false;
}

static void json_group(Json *j, const Filter *f, const Group *g)
{
    js_object(j);
    js_kv(j, "name", g->g->name);
    js_kv(j, "file", g->g->file);
    js_key(j, S("rules"));
    js_array(j);
    for (u32 i = 0; i < g->g->rules_len; i++)
        if (rule_wanted(f, g->rules[i].rule))
            json_rule(j, &g->rules[i], f->exclude_alerts);
    js_array_end(j);
    js_key(j, S("interval"));
    js_f64(j, (f64)g->interval_ms / 1000);
    js_key(j, S("limit"));
    js_u64(j, g->g->limit);
    js_key(j, S("evaluationTime"));
    js_f64(j, (f64)g->took_ns / 1e9);
    js_key(j, S("lastEvaluation"));
    json_time_ns(j, g->evaluated_ns);
    js_object_end(j);
}

static Err json_groups(Rules *r, const Filter *f, Json *j, Why *why)
{
    Buf token;
    buf_init(&token, 64);
    Str wanted = f->q->group_next_token;
    bool found = !wanted.len;
    u64 given = 0;
    char next[64] = "";
    js_object(j);
    js_key(j, S("groups"));
    js_array(j);
    for (size_t i = 0; i < r->groups.len; i++) {
        const Group *g = r->groups.at[i];
        if (!found) {
            group_token(g->g, &token);
            if (!(found = str_eq(buf_view(&token), wanted)))
                continue;
        }
        if (!group_wanted(f, g))
            continue;
        if (f->group_limit && given == f->group_limit) {
            group_token(g->g, &token);
            memcpy(next, token.at, token.len);
            next[token.len] = 0;
            break;
        }
        json_group(j, f, g);
        given++;
    }
    js_array_end(j);
    if (next[0])
        js_kv(j, "groupNextToken", str_c(next));
    js_object_end(j);
    buf_done(&token);
    if (!found)
        return bad_param(why, "group_next_token",
                         "invalid group_next_token '%.*s'. were rule groups changed?",
                         (int)MIN(wanted.len, 100), wanted.at);
    return OK;
}

Err rules_json(Rules *r, const RulesQuery *q, Buf *out, Why *why)
{
    Arena arena;
    arena_init(&arena, NULL, 16 << 20);
    Filter f = {0};
    Err e = filter_read(&f, q, &arena, why);
    if (e == OK) {
        Json j;
        js_init(&j, out);
        mutex_lock(&r->lock);
        e = json_groups(r, &f, &j, why);
        mutex_unlock(&r->lock);
    }
    for (u32 i = 0; i < f.sets_len; i++)
        for (u32 k = 0; k < f.sets[i].len; k++)
            matcher_done((Matcher *)&f.sets[i].at[k]);
    arena_done(&arena);
    return e;
}

void rules_alerts_json(Rules *r, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_object(&j);
    js_key(&j, S("alerts"));
    js_array(&j);
    mutex_lock(&r->lock);
    for (size_t i = 0; i < r->groups.len; i++)
        for (u32 k = 0; k < r->groups.at[i]->g->rules_len; k++)
            json_alerts(&j, &r->groups.at[i]->rules[k]);
    mutex_unlock(&r->lock);
    js_array_end(&j);
    js_object_end(&j);
}

/* ---- routes ---- */
static void answer(HttpReq *req, Err e, Buf *data, const Why *why)
{
    if (e != OK) {
        api_error(req, e == E_INVALID || e == E_PARSE ? API_BAD_DATA : API_INTERNAL, "%s", why->text);
        return;
    }
    if (buf_over(data)) {
        api_error(req, API_INTERNAL, "the answer is too large: use group_limit");
        return;
    }
    Buf b;
    buf_init(&b, ANSWER_BYTES_MAX + 1024);
    buf_c(&b, "{\"status\":\"success\",\"data\":");
    buf_str(&b, buf_view(data));
    buf_char(&b, '}');
    http_reply(req, 200, "application/json", buf_view(&b));
    buf_done(&b);
}

enum { NAMES_MAX = 1024 };
static u32 all_params(const HttpReq *req, const char *name, const Str **ret)
{
    u32 n = http_params_all(req, str_c(name), NULL, 0);
    n = MIN(n, (u32)NAMES_MAX);
    Str *at = arena_array(req->arena, Str, n + 1);
    if (!at)
        return 0;
    *ret = at;
    return MIN(http_params_all(req, str_c(name), at, n), n);
}

static void on_rules(HttpReq *req, void *arg)
{
    RulesQuery q = {.type = http_param(req, S("type")),
                    .exclude_alerts = http_param(req, S("exclude_alerts")),
                    .group_limit = http_param(req, S("group_limit")),
                    .group_next_token = http_param(req, S("group_next_token"))};
    q.rule_names_len = all_params(req, "rule_name[]", &q.rule_names);
    q.rule_groups_len = all_params(req, "rule_group[]", &q.rule_groups);
    q.files_len = all_params(req, "file[]", &q.files);
    q.matches_len = all_params(req, "match[]", &q.matches);
    Buf data;
    Why why = {0};
    buf_init(&data, ANSWER_BYTES_MAX);
    Err e = rules_json(arg, &q, &data, &why);
    answer(req, e, &data, &why);
    buf_done(&data);
}

static void on_alerts(HttpReq *req, void *arg)
{
    Buf data;
    Why why = {0};
    buf_init(&data, ANSWER_BYTES_MAX);
    rules_alerts_json(arg, &data);
    answer(req, OK, &data, &why);
    buf_done(&data);
}

void rules_routes(HttpServer *s, Rules *r)
{
    const HttpRoute routes[] = {
        {.methods = "GET",
         .path = "/api/v1/rules",
         .handler = on_rules,
         .arg = r,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "GET",
         .path = "/api/v1/alerts",
         .handler = on_alerts,
         .arg = r,
         .role = ROLE_READ,
         .run = RUN_QUERY},
    };
    http_server_route(s, routes, COUNT_OF(routes));
    rules_try_routes(s, r);
}
