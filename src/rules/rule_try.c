/* Trying a rule out: POST /api/v1/rules/preview says what it would give now, POST /api/v1/rules/backtest what it would have done. */
#include "rules/rules_internal.h"
#include "metrics/api/api.h"

enum { FORM_BYTES_MAX = 4 << 20, PAIRS_MAX = 200, SHOWN_MAX = 1000, ARENA_BYTES_MAX = 1 << 30 };

/* ---- the rule of a request ---- */
static Labels read_pairs(HttpReq *req, const char *name)
{
    Str pairs[PAIRS_MAX], key, value;
    u32 n = MIN(http_params_all(req, str_c(name), pairs, PAIRS_MAX), (u32)PAIRS_MAX);
    LabelsBuilder b;
    lb_init(&b, req->arena, (Labels){0});
    for (u32 i = 0; i < n; i++)
        if (str_cut(pairs[i], '=', &key, &value) && key.len)
            lb_set(&b, key, value);
    return lb_build(&b);
}

static bool read_ms(HttpReq *req, const char *name, i64 *ret)
{
    Str s = http_param(req, str_c(name));
    Why why = {0};
    if (!s.len || parse_duration_ms(s, ret, &why) == OK)
        return true;
    api_bad_param(req, name, "%s", why.text);
    return false;
}

/* Fields of a form, as the text of a file: from there on both are one. False: answered. */
static bool text_of_fields(HttpReq *req, Buf *out)
{
    Str alert = http_param(req, S("alert")), record = http_param(req, S("record"));
    Rule rule = {.is_alert = !record.len,
                 .name = record.len  ? record
                         : alert.len ? alert
                                     : S("Test"),
                 .expr = http_param(req, S("expr"))};
    RuleGroup group = {.name = S("test"), .rules = &rule, .rules_len = 1};
    if (!read_ms(req, "for", &rule.for_ms) || !read_ms(req, "keep_firing_for", &rule.keep_firing_for_ms))
        return false;
    rule.labels = read_pairs(req, "label");
    rule.annotations = read_pairs(req, "annotation");
    buf_c(out, "groups:\n");
    rule_group_yaml(out, &group, true, 0);
    return true;
}

/* `yaml`, a rule file; of it `rule`, counted from 0, or the first alerting rule, or the first. Without it the fields alert, expr, for,
 * keep_firing_for, label=name=value, annotation=name=value. NULL: answered. */
static RuleSet *read_rule(HttpReq *req, Rules *r, const RuleGroup **ret_group, const Rule **ret)
{
    Buf text, issues;
    Why why = {0};
    u32 groups_len;
    u64 wanted = 0, at = 0;
    Str which = http_param(req, S("rule"));
    buf_init(&text, FORM_BYTES_MAX);
    buf_str(&text, http_param(req, S("yaml")));
    if (!text.len && !text_of_fields(req, &text)) {
        buf_done(&text);
        return NULL;
    }
    RuleSet *set = rule_set_parse("rule", arena_dup(req->arena, buf_view(&text)),
                                  &(RuleReadOptions){.features = r->env.prom.features});
    buf_done(&text);
    if (rule_set_verdict(set, &why) != OK) {
        buf_init(&issues, 64 << 10);
        rule_set_print_issues(set, &issues);
        api_error(req, API_BAD_DATA, "%.*s", STR_FMT(str_trim(buf_view(&issues))));
        buf_done(&issues);
        rule_set_unref(set);
        return NULL;
    }
    const RuleGroup *groups = rule_set_groups(set, &groups_len);
    const Rule *first = NULL;
    bool by_number = which.len && parse_u64(which, &wanted) == OK;
    *ret = NULL;
    for (u32 i = 0; i < groups_len && !*ret; i++)
        for (u32 k = 0; k < groups[i].rules_len && !*ret; k++, at++) {
            const Rule *x = &groups[i].rules[k];
            if (by_number ? at == wanted : x->is_alert)
                *ret = x;
            if (*ret || !first) {
                *ret_group = &groups[i];
                first = first ? first : x;
            }
        }
    if (!*ret && !by_number)
        *ret = first;
    if (*ret)
        return set;
    api_bad_param(req, "rule", "there is no such rule in the text");
    rule_set_unref(set);
    return NULL;
}

static void put_rule(Json *j, const Rule *rule)
{
    RuleThreshold t;
    js_kv(j, "name", rule->name);
    js_kv(j, "type", rule->is_alert ? S("alerting") : S("recording"));
    js_kv(j, "query", rule->query);
    js_key(j, S("duration"));
    js_f64(j, (f64)rule->for_ms / 1000);
    js_key(j, S("keepFiringFor"));
    js_f64(j, (f64)rule->keep_firing_for_ms / 1000);
    if (!rule_threshold(rule->tree, &t))
        return;
    Buf b;
    buf_init(&b, 1 << 20);
    promql_print(t.value, &b);
    js_key(j, S("threshold"));
    js_object(j);
    js_kv(j, "query", buf_view(&b));
    js_kv(j, "op", str_c(t.op));
    js_key(j, S("value"));
    js_f64(j, t.at);
    js_object_end(j);
    buf_done(&b);
}

static void query_failed(HttpReq *req, Err e, const Why *why)
{
    api_error(req,
              e == E_TIMEOUT                   ? API_TIMEOUT
              : e == E_CANCELED                ? API_CANCELED
              : e == E_INVALID || e == E_PARSE ? API_BAD_DATA
              : e == E_EXEC || e == E_LIMIT    ? API_EXECUTION
                                               : API_INTERNAL,
              "%s", why->text);
}

/* ---- now ---- */
static void put_found(Json *j, const Found *f)
{
    Buf b;
    buf_init(&b, 64);
    js_object(j);
    js_key(j, S("labels"));
    labels_json(j, f->labels);
    js_key(j, S("annotations"));
    labels_json(j, f->annotations);
    print_f64_go(&b, f->value, 'e', -1);
    js_kv(j, "value", buf_view(&b));
    js_object_end(j);
    buf_done(&b);
}

static void put_recorded(Json *j, const Rule *rule, const PromSeries *s, Arena *arena)
{
    LabelsBuilder b;
    lb_init(&b, arena, s->labels);
    lb_set(&b, LABEL_NAME, rule->name);
    for (u32 i = 0; i < rule->labels.len; i++)
        lb_set(&b, rule->labels.at[i].name, rule->labels.at[i].value);
    Found f = {.labels = lb_build(&b), .value = s->h && s->h[0] ? 0 : s->v[0]};
    put_found(j, &f);
}

static Err evaluate_now(Rules *r, HttpReq *req, Eval *e, PromResult *res, Found **found, u32 *n, Why *why)
{
    PromQuery q = {.text = e->st->rule->expr,
                   .start_ms = e->stamp_ms,
                   .end_ms = e->stamp_ms,
                   .cancel = req->cancel,
                   .deadline = deadline_in_ms(r->env.clock,
                                              r->env.prom.timeout_ms > 0 ? r->env.prom.timeout_ms : 120000)};
    TRY(promql_eval(&r->env.prom, r->env.source, &q, e->st->rule->tree, &e->arena, res, why));
    TRY(eval_as_vector(res, &e->arena, why));
    return e->st->rule->is_alert ? eval_found(e, res, found, n, why) : OK;
}

static void on_preview(HttpReq *req, void *arg)
{
    Rules *r = arg;
    const RuleGroup *group;
    const Rule *rule;
    RuleSet *set = read_rule(req, r, &group, &rule);
    if (!set)
        return;
    Group husk = {.owner = r, .g = group};
    RuleState st = {.rule = rule};
    Eval e = {.r = r, .group = &husk, .st = &st, .ts_ms = clock_wall_ms(r->env.clock)};
    PromResult res = {0};
    Found *found = NULL;
    u32 n = 0;
    Why why = {0};
    arena_init(&e.arena, r->env.prom.account, ARENA_BYTES_MAX);
    mutex_lock(&r->lock);
    e.stamp_ms = e.ts_ms - (group->has_query_offset ? group->query_offset_ms : r->globals.query_offset_ms);
    e.host = (RuleTmplHost){.prom = &r->env.prom,
                            .source = r->env.source,
                            .now_ms = e.stamp_ms,
                            .external_url = arena_dup(&e.arena, r->globals.external_url),
                            .external_labels = labels_dup(&e.arena, r->globals.external_labels)};
    mutex_unlock(&r->lock);
    Err err = evaluate_now(r, req, &e, &res, &found, &n, &why);
    if (err != OK) {
        query_failed(req, err, &why);
    } else {
        Buf b;
        Json j;
        u32 total = rule->is_alert ? n : res.series_len;
        buf_init(&b, 64 << 20);
        api_data(&b, &j);
        js_object(&j);
        put_rule(&j, rule);
        js_key(&j, S("total"));
        js_u64(&j, total);
        js_key(&j, S("series"));
        js_array(&j);
        for (u32 i = 0; i < total && i < SHOWN_MAX; i++)
            if (rule->is_alert)
                put_found(&j, &found[i]);
            else
                put_recorded(&j, rule, &res.series[i], &e.arena);
        js_array_end(&j);
        js_object_end(&j);
        api_reply(req, &b);
        buf_done(&b);
    }
    arena_done(&e.arena);
    rule_set_unref(set);
}

/* ---- then: a JSON object per line, as it becomes known ---- */
typedef struct Stream {
    HttpReq *req;
    const Rule *rule;
    const BacktestAsk *ask;
    bool begun;
} Stream;

static void put_seconds(Json *j, const char *key, i64 ms)
{
    js_key(j, str_c(key));
    js_f64(j, (f64)ms / 1000);
}

static void put_value(Json *j, const char *key, f64 v)
{
    Buf b;
    buf_init(&b, 64);
    print_f64_go(&b, v, 'g', -1);
    js_kv(j, key, buf_view(&b));
    buf_done(&b);
}

static bool line_end(Stream *s, Buf *b)
{
    buf_char(b, '\n');
    bool there = http_write(s->req, buf_view(b));
    buf_done(b);
    return there;
}

static void line_begin(Stream *s, Buf *b, Json *j, const char *what)
{
    if (!s->begun) {
        s->begun = true;
        http_begin(s->req, 200, "application/x-ndjson");
        line_begin(s, b, j, "rule");
        put_rule(j, s->rule);
        put_seconds(j, "start", s->ask->start_ms);
        put_seconds(j, "end", s->ask->end_ms);
        put_seconds(j, "interval", s->ask->interval_ms);
        js_object_end(j);
        js_object_end(j);
        line_end(s, b);
    }
    buf_init(b, 16 << 20);
    js_init(j, b);
    js_object(j);
    js_key(j, str_c(what));
    js_object(j);
}

static bool on_firing(void *arg, const BacktestFiring *f)
{
    Stream *s = arg;
    Buf b;
    Json j;
    line_begin(s, &b, &j, "firing");
    js_key(&j, S("labels"));
    labels_json(&j, f->labels);
    put_seconds(&j, "activeAt", f->active_ms);
    put_seconds(&j, "startsAt", f->starts_ms);
    if (f->ends_ms) {
        put_seconds(&j, "endsAt", f->ends_ms);
    } else {
        js_key(&j, S("endsAt"));
        js_null(&j);
    }
    put_value(&j, "first", f->first);
    put_value(&j, "last", f->last);
    put_value(&j, "peak", f->peak);
    put_seconds(&j, "peakAt", f->peak_ms);
    js_object_end(&j);
    js_object_end(&j);
    return line_end(s, &b);
}

static bool on_progress(void *arg, f64 part)
{
    Stream *s = arg;
    Buf b;
    Json j;
    line_begin(s, &b, &j, "progress");
    js_key(&j, S("part"));
    js_f64(&j, part);
    js_object_end(&j);
    js_object_end(&j);
    return line_end(s, &b) && http_flush(s->req);
}

static void put_totals(Stream *s, const BacktestTotals *t)
{
    Buf b;
    Json j;
    line_begin(s, &b, &j, "done");
    js_key(&j, S("firings"));
    js_u64(&j, t->firings);
    put_seconds(&j, "firingSeconds", t->firing_ms);
    js_key(&j, S("pendingOnly"));
    js_u64(&j, t->pending_only);
    put_seconds(&j, "longestPending", t->longest_pending_ms);
    js_key(&j, S("evaluations"));
    js_u64(&j, t->evaluations);
    js_key(&j, S("failed"));
    js_u64(&j, t->failed);
    if (t->failed)
        js_kv(&j, "firstFailure", str_c(t->first_failure));
    js_key(&j, S("truncated"));
    js_bool(&j, t->truncated);
    js_object_end(&j);
    js_object_end(&j);
    line_end(s, &b);
}

static bool read_time(HttpReq *req, const char *name, i64 *ret)
{
    Str s = http_param(req, str_c(name));
    if (s.len && parse_api_time_ms(s, ret) == OK)
        return true;
    api_bad_param(req, name, "want a time: seconds since 1970, or as RFC 3339");
    return false;
}

static void on_backtest(HttpReq *req, void *arg)
{
    Rules *r = arg;
    Stream s = {.req = req};
    BacktestAsk ask = {.cancel = req->cancel, .firing = on_firing, .progress = on_progress, .arg = &s};
    BacktestTotals totals;
    Why why = {0};
    if (!read_time(req, "start", &ask.start_ms) || !read_time(req, "end", &ask.end_ms) ||
        !read_ms(req, "interval", &ask.interval_ms))
        return;
    RuleSet *set = read_rule(req, r, &ask.group, &ask.rule);
    if (!set)
        return;
    mutex_lock(&r->lock);
    if (!ask.interval_ms)
        ask.interval_ms = ask.group->interval_ms ? ask.group->interval_ms : r->globals.interval_ms;
    mutex_unlock(&r->lock);
    if (!ask.interval_ms)
        ask.interval_ms = 60 * MS_PER_SEC;
    s.rule = ask.rule;
    s.ask = &ask;
    Err e = rules_backtest(r, &ask, &totals, &why);
    if (e == OK) {
        put_totals(&s, &totals);
    } else if (!s.begun) {
        query_failed(req, e, &why);
    } else { /* the status is out already */
        Buf b;
        Json j;
        line_begin(&s, &b, &j, "error");
        js_kv(&j, "message", str_c(why.text));
        js_object_end(&j);
        js_object_end(&j);
        line_end(&s, &b);
    }
    if (s.begun)
        http_end(req);
    rule_set_unref(set);
}

void rules_try_routes(HttpServer *s, Rules *r)
{
    const HttpRoute routes[] = {
        {.methods = "POST",
         .path = "/api/v1/rules/preview",
         .handler = on_preview,
         .arg = r,
         .role = ROLE_READ,
         .run = RUN_QUERY,
         .body_max = FORM_BYTES_MAX},
        {.methods = "POST",
         .path = "/api/v1/rules/backtest",
         .handler = on_backtest,
         .arg = r,
         .role = ROLE_READ,
         .run = RUN_QUERY,
         .body_max = FORM_BYTES_MAX},
    };
    http_server_route(s, routes, COUNT_OF(routes));
}
