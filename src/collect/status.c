/* /api/v1/targets and its neighbours, as Prometheus answers them. */
#include "collect/collector.h"
#include "metrics/api/api.h"
#include "metrics/promql/promql.h"
#include <stdio.h>

#define ANSWER_MAX (256u << 20)

static const char *const health_names[] = {"unknown", "up", "down"};

/* Go's RFC 3339 with nanoseconds, without trailing zeros. */
static void time_json(Json *j, i64 wall_ns)
{
    char text[64], frac[16];
    Civil c;
    if (wall_ns == 0) {
        js_c(j, "0001-01-01T00:00:00Z");
        return;
    }
    civil_from_unix(wall_ns / NS_PER_SEC, &c);
    int n = snprintf(frac, sizeof frac, ".%09lld", (long long)(wall_ns % NS_PER_SEC));
    while (n > 1 && frac[n - 1] == '0')
        frac[--n] = 0;
    if (n == 1)
        frac[0] = 0;
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", c.year, c.month, c.day, c.hour, c.minute,
             c.second, frac);
    js_c(j, text);
}

/* localhost and the loopback addresses give way to the name this server is known by. */
static void global_url(const Collector *c, Str url, Buf *out)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t scheme = str_find(url, S("://"));
    Str host, port, known = c->env.external_host, rest = str_skip(url, scheme + 3);
    size_t end = 0;
    while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?')
        end++;
    host = str_sub(rest, 0, end);
    port = (Str){0};
    size_t colon = end;
    while (colon > 0 && rest.at[colon - 1] >= '0' && rest.at[colon - 1] <= '9')
        colon--;
    if (colon > 0 && colon < end && rest.at[colon - 1] == ':') {
        host = str_sub(rest, 0, colon - 1);
        port = str_sub(rest, colon, end);
    }
    bool local = false;
    for (size_t i = 0; i < COUNT_OF(loopback); i++)
        local = local || str_eq(host, str_c(loopback[i]));
    if (!local || known.len == 0) {
        buf_str(out, url);
        return;
    }
    Str name, own_port;
    if (!str_cut(known, ':', &name, &own_port))
        name = known;
    buf_str(out, str_sub(url, 0, scheme + 3));
    buf_str(out, name);
    if (port.len) {
        buf_char(out, ':');
        buf_str(out, port);
    }
    buf_str(out, str_skip(rest, end));
}

static void target_json(Collector *c, const Target *t, Json *j)
{
    Buf url, text;
    buf_init(&url, 128u << 10);
    buf_init(&text, 400);
    js_object(j);
    js_key(j, S("discoveredLabels"));
    labels_json(j, t->discovered);
    js_key(j, S("labels"));
    labels_json(j, t->labels);
    js_kv(j, "scrapePool", str_c(t->pool->name));
    js_kv(j, "scrapeUrl", t->url);
    global_url(c, t->url, &url);
    js_kv(j, "globalUrl", buf_view(&url));
    js_kv(j, "lastError", str_c(t->last_error));
    js_key(j, S("lastScrape"));
    time_json(j, t->last_scrape_wall_ns);
    js_key(j, S("lastScrapeDuration"));
    js_f64(j, (f64)t->last_duration_ns / 1e9);
    js_kv(j, "health", str_c(health_names[t->health]));
    js_kv(j, "scrapeInterval", labels_get(t->all, S("__scrape_interval__")));
    js_kv(j, "scrapeTimeout", labels_get(t->all, S("__scrape_timeout__")));
    js_object_end(j);
    buf_done(&url);
    buf_done(&text);
}

static void data_begin(Json *j, Buf *out)
{
    js_init(j, out);
    js_object(j);
    js_kv(j, "status", S("success"));
    js_key(j, S("data"));
}

static bool in_pool(const ScrapePool *p, Str name)
{
    return name.len == 0 || str_eq(str_c(p->name), name);
}

void collector_targets_json(Collector *c, bool active, bool dropped, Str pool, Buf *out)
{
    Json j;
    data_begin(&j, out);
    js_object(&j);
    mutex_lock(&c->lock);
    js_key(&j, S("activeTargets"));
    js_array(&j);
    for (size_t i = 0; active && i < c->pools.len; i++)
        for (size_t k = 0; in_pool(c->pools.at[i], pool) && k < c->pools.at[i]->targets.len; k++)
            target_json(c, c->pools.at[i]->targets.at[k], &j);
    js_array_end(&j);
    js_key(&j, S("droppedTargets"));
    js_array(&j);
    for (size_t i = 0; dropped && i < c->pools.len; i++) {
        const ScrapePool *p = c->pools.at[i];
        for (size_t k = 0; in_pool(p, pool) && k < p->dropped.len; k++) {
            js_object(&j);
            js_key(&j, S("discoveredLabels"));
            labels_json(&j, p->dropped.at[k]->discovered);
            js_kv(&j, "scrapePool", str_c(p->name));
            js_object_end(&j);
        }
    }
    js_array_end(&j);
    js_key(&j, S("droppedTargetCounts"));
    if (dropped) {
        js_object(&j);
        for (size_t i = 0; i < c->pools.len; i++) {
            js_key(&j, str_c(c->pools.at[i]->name));
            js_u64(&j, c->pools.at[i]->dropped_len);
        }
        js_object_end(&j);
    } else {
        js_null(&j);
    }
    mutex_unlock(&c->lock);
    js_object_end(&j);
    js_object_end(&j);
}

void collector_pools_json(Collector *c, Buf *out)
{
    Json j;
    data_begin(&j, out);
    js_object(&j);
    js_key(&j, S("scrapePools"));
    js_array(&j);
    mutex_lock(&c->lock);
    for (size_t i = 0; i < c->pools.len; i++)
        js_c(&j, c->pools.at[i]->name);
    mutex_unlock(&c->lock);
    js_array_end(&j);
    js_object_end(&j);
    js_object_end(&j);
}

bool collector_target_status(Collector *c, Str job, Str instance, TargetStatus *ret)
{
    bool found = false;
    mutex_lock(&c->lock);
    for (size_t i = 0; !found && i < c->pools.len; i++)
        for (size_t k = 0; !found && k < c->pools.at[i]->targets.len; k++) {
            const Target *t = c->pools.at[i]->targets.at[k];
            found = str_eq(labels_get(t->labels, S("job")), job) &&
                    str_eq(labels_get(t->labels, S("instance")), instance);
            if (!found)
                continue;
            *ret = (TargetStatus){.health = t->health,
                                  .last_scrape_ms = t->last_scrape_wall_ns / NS_PER_MS,
                                  .last_duration_ns = t->last_duration_ns,
                                  .cached_series = t->cached_series};
            memcpy(ret->last_error, t->last_error, sizeof ret->last_error);
        }
    mutex_unlock(&c->lock);
    return found;
}

u32 collector_target_count(Collector *c)
{
    u32 n = 0;
    mutex_lock(&c->lock);
    for (size_t i = 0; i < c->pools.len; i++)
        n += (u32)c->pools.at[i]->targets.len;
    mutex_unlock(&c->lock);
    return n;
}

/* ---- routes ---- */

static void reply_json(HttpReq *r, Buf *out)
{
    if (buf_over(out))
        api_error(r, API_INTERNAL, "the answer is too large");
    else
        http_reply(r, 200, "application/json", buf_view(out));
    buf_done(out);
}

static void on_targets(HttpReq *r, void *arg)
{
    Buf out;
    Str state = http_param(r, S("state"));
    bool any = state.len == 0 || str_eq_nocase(state, S("any"));
    buf_init(&out, ANSWER_MAX);
    collector_targets_json(arg, any || str_eq_nocase(state, S("active")),
                           any || str_eq_nocase(state, S("dropped")), http_param(r, S("scrapePool")), &out);
    reply_json(r, &out);
}

static void on_pools(HttpReq *r, void *arg)
{
    Buf out;
    buf_init(&out, ANSWER_MAX);
    collector_pools_json(arg, &out);
    reply_json(r, &out);
}

static void meta_json(Json *j, const Target *t, const MetaSaid *m, bool with_metric)
{
    js_object(j);
    js_key(j, S("target"));
    labels_json(j, t->labels);
    if (with_metric)
        js_kv(j, "metric", m->family);
    js_kv(j, "type", str_c(metric_type_name(m->type)));
    js_kv(j, "help", m->help);
    js_kv(j, "unit", m->unit);
    js_object_end(j);
}

static int family_order(const void *a, const void *b)
{
    return str_cmp((*(const MetaSaid *const *)a)->family, (*(const MetaSaid *const *)b)->family);
}

static void target_metadata(Json *j, const Target *t, Str metric, i64 limit, i64 *count)
{
    VEC(const MetaSaid *) sorted = {0};
    const MetaSaid *m;
    if (metric.len) {
        m = metadata_find(&t->metadata, metric);
        if (m && (limit < 0 || *count < limit)) {
            meta_json(j, t, m, false);
            ++*count;
        }
        return;
    }
    for (u32 i = 0; (m = metadata_next(&t->metadata, &i));)
        vec_push(&sorted, m);
    if (sorted.len)
        qsort(sorted.at, sorted.len, sizeof *sorted.at, family_order);
    for (size_t i = 0; i < sorted.len && (limit < 0 || *count < limit); i++, ++*count)
        meta_json(j, t, sorted.at[i], true);
    vec_done(&sorted);
}

static void metadata_json(Collector *c, Matchers matchers, Str metric, i64 limit, Buf *out)
{
    Json j;
    i64 count = 0;
    data_begin(&j, out);
    js_array(&j);
    mutex_lock(&c->lock);
    for (size_t i = 0; i < c->pools.len; i++)
        for (size_t k = 0; k < c->pools.at[i]->targets.len; k++)
            if (matchers_match(matchers, c->pools.at[i]->targets.at[k]->labels))
                target_metadata(&j, c->pools.at[i]->targets.at[k], metric, limit, &count);
    mutex_unlock(&c->lock);
    js_array_end(&j);
    js_object_end(&j);
}

static void on_metadata(HttpReq *r, void *arg)
{
    Buf out;
    Matchers matchers = {0};
    Why why;
    i64 limit = -1;
    Str limit_text = http_param(r, S("limit")), selector = http_param(r, S("match_target"));
    if (limit_text.len && parse_i64(limit_text, &limit) != OK) {
        api_error(r, API_BAD_DATA, "limit must be a number");
        return;
    }
    if (selector.len && promql_parse_selector(selector, r->arena, &matchers, &why) != OK) {
        api_error(r, API_BAD_DATA, "invalid parameter \"match_target\": %u:%u: parse error: %s", why.line,
                  why.col, why.text);
        return;
    }
    buf_init(&out, ANSWER_MAX);
    metadata_json(arg, matchers, http_param(r, S("metric")), limit, &out);
    reply_json(r, &out);
    for (u32 i = 0; i < matchers.len; i++)
        matcher_done((Matcher *)&matchers.at[i]);
}

static void relabel_rule_json(Json *j, const RelabelRule *rule)
{
    static const char *const actions[] = {"replace",   "keep",      "drop",     "keepequal",
                                          "dropequal", "hashmod",   "labelmap", "labeldrop",
                                          "labelkeep", "lowercase", "uppercase"};
    js_object(j);
    if (rule->source_labels_len) {
        js_key(j, S("source_labels"));
        js_array(j);
        for (u32 i = 0; i < rule->source_labels_len; i++)
            js_str(j, rule->source_labels[i]);
        js_array_end(j);
    }
    js_kv(j, "separator", rule->separator);
    js_kv(j, "regex", rule->regex_text);
    js_key(j, S("modulus"));
    js_u64(j, rule->modulus);
    js_kv(j, "target_label", rule->target_label);
    js_kv(j, "replacement", rule->replacement);
    js_kv(j, "action", str_c(actions[rule->action]));
    js_object_end(j);
}

/* What each rule does to a target: /api/v1/targets/relabel_steps?scrapePool=...&labels={"__address__":"a:1"}. */
static void steps_json(const ScrapeJob *job, Labels in, Arena *a, Buf *out)
{
    Json j;
    data_begin(&j, out);
    js_object(&j);
    js_key(&j, S("steps"));
    js_array(&j);
    LabelsBuilder b;
    lb_init(&b, a, in);
    for (u32 i = 0; i < job->relabel.len; i++) {
        const RelabelRule *rule = &job->relabel.at[i];
        bool keep = relabel_apply((RelabelRules){rule, 1}, &b);
        js_object(&j);
        js_key(&j, S("rule"));
        relabel_rule_json(&j, rule);
        js_key(&j, S("output"));
        labels_json(&j, keep ? lb_build(&b) : (Labels){0});
        js_key(&j, S("keep"));
        js_bool(&j, keep);
        js_object_end(&j);
        if (!keep)
            break;
    }
    js_array_end(&j);
    js_object_end(&j);
    js_object_end(&j);
}

static void on_relabel_steps(HttpReq *r, void *arg)
{
    Collector *c = arg;
    Str pool = http_param(r, S("scrapePool")), text = http_param(r, S("labels"));
    Conf *conf = conf_new("labels");
    Buf out;
    Why why;
    conf_set_expand(conf, false);
    conf_parse(conf, text);
    Labels in = conf_node_labels(conf, conf_root(conf), false);
    PromConfig *cfg = NULL;
    const ScrapeJob *job = NULL;
    mutex_lock(&c->lock);
    for (size_t i = 0; i < c->pools.len; i++)
        if (pool.len && str_eq(str_c(c->pools.at[i]->name), pool)) {
            cfg = prom_config_ref(c->pools.at[i]->cfg);
            job = c->pools.at[i]->job;
        }
    mutex_unlock(&c->lock);
    if (pool.len == 0)
        api_error(r, API_BAD_DATA, "no scrapePool parameter provided");
    else if (text.len == 0 || conf_finish(conf, &why) != OK)
        api_error(r, API_BAD_DATA, "%s", text.len ? why.text : "no labels parameter provided");
    else if (!job)
        api_error(r, API_BAD_DATA, "scrape pool %.*s not found", STR_FMT(pool));
    else {
        buf_init(&out, 16u << 20);
        steps_json(job, in, r->arena, &out);
        reply_json(r, &out);
    }
    prom_config_unref(cfg);
    conf_free(conf);
}

void collect_routes(HttpServer *s, Collector *c)
{
    const HttpRoute routes[] = {
        {.methods = "GET",
         .path = "/api/v1/targets",
         .handler = on_targets,
         .arg = c,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "GET",
         .path = "/api/v1/scrape_pools",
         .handler = on_pools,
         .arg = c,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "GET",
         .path = "/api/v1/targets/metadata",
         .handler = on_metadata,
         .arg = c,
         .role = ROLE_READ,
         .run = RUN_QUERY},
        {.methods = "GET",
         .path = "/api/v1/targets/relabel_steps",
         .handler = on_relabel_steps,
         .arg = c,
         .role = ROLE_READ,
         .run = RUN_QUERY},
    };
    http_server_route(s, routes, COUNT_OF(routes));
}
