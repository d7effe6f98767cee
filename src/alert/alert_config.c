/* alertmanager.yml: the frame, the global block, receivers, inhibition, time intervals, templates. Everything that
 * Alertmanager 0.33 knows is read and checked as it does; see alert_receivers.c and route.c. */
#include "alert/alert_internal.h"
#include "alert/notify/notify.h"

#include <fnmatch.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 16 << 20 };

static const FieldSpec global_fields[] = {
    {"jira_api_url", F_URL},
    {"smtp_from", F_TEXT},
    {"smtp_hello", F_TEXT, "localhost"},
    {"smtp_smarthost", F_HOSTPORT},
    {"smtp_auth_username", F_TEXT},
    {"smtp_auth_password", F_SECRET},
    {"smtp_auth_password_file", F_FILE},
    {"smtp_auth_secret", F_SECRET},
    {"smtp_auth_secret_file", F_FILE},
    {"smtp_auth_identity", F_TEXT},
    {"smtp_require_tls", F_BOOL},
    {"smtp_tls_config", F_TLS},
    {"smtp_force_implicit_tls", F_BOOL},
    {"slack_api_url", F_SECRET_URL},
    {"slack_api_url_file", F_FILE},
    {"slack_app_token", F_SECRET},
    {"slack_app_token_file", F_FILE},
    {"slack_app_url", F_URL, "https://slack.com/api/chat.postMessage"},
    {"pagerduty_url", F_URL, "https://events.pagerduty.com/v2/enqueue"},
    {"opsgenie_api_url", F_URL, "https://api.opsgenie.com/"},
    {"opsgenie_api_key", F_SECRET},
    {"opsgenie_api_key_file", F_FILE},
    {"wechat_api_url", F_URL, "https://qyapi.weixin.qq.com/cgi-bin/"},
    {"wechat_api_secret", F_SECRET},
    {"wechat_api_secret_file", F_FILE},
    {"wechat_api_corp_id", F_TEXT},
    {"victorops_api_url", F_URL, "https://alert.victorops.com/integrations/generic/20131114/alert/"},
    {"victorops_api_key", F_SECRET},
    {"victorops_api_key_file", F_FILE},
    {"telegram_api_url", F_URL, "https://api.telegram.org"},
    {"telegram_bot_token", F_SECRET},
    {"telegram_bot_token_file", F_FILE},
    {"webex_api_url", F_URL, "https://webexapis.com/v1/messages"},
    {"rocketchat_api_url", F_URL, "https://open.rocket.chat/"},
    {"rocketchat_token", F_SECRET},
    {"rocketchat_token_file", F_FILE},
    {"rocketchat_token_id", F_SECRET},
    {"rocketchat_token_id_file", F_FILE},
    {"mattermost_webhook_url", F_SECRET_URL},
    {"mattermost_webhook_url_file", F_FILE},
};

const FieldValue *global_field(const ConfigReader *r, const char *name)
{
    return fields_find(global_fields, COUNT_OF(global_fields), r->global, name);
}

/* The block's own http_config, else the global one. */
HttpClientConfig config_read_http(ConfigReader *r, ConfMap *m)
{
    const ConfNode *n = conf_get(m, "http_config");
    HttpClientConfig http = r->http;
    ConfMap sub;
    if (n && !conf_node_is_null(n) && conf_map_begin(r->conf, n, &sub)) {
        memset(&http, 0, sizeof http);
        conf_http_client(&sub, &http);
        conf_map_end(&sub);
    }
    return http;
}

static void check_pairs(ConfigReader *r, const ConfNode *n)
{
    static const char *const pairs[][2] = {
        {"slack_app_token", "slack_app_token_file"},
        {"slack_api_url", "slack_api_url_file"},
        {"opsgenie_api_key", "opsgenie_api_key_file"},
        {"victorops_api_key", "victorops_api_key_file"},
        {"telegram_bot_token", "telegram_bot_token_file"},
        {"smtp_auth_password", "smtp_auth_password_file"},
        {"rocketchat_token", "rocketchat_token_file"},
        {"rocketchat_token_id", "rocketchat_token_id_file"},
        {"smtp_auth_secret", "smtp_auth_secret_file"},
        {"wechat_api_secret", "wechat_api_secret_file"},
        {"mattermost_webhook_url", "mattermost_webhook_url_file"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        if (global_field(r, pairs[i][0])->text.len && global_field(r, pairs[i][1])->text.len)
            conf_error(r->conf, n, "at most one of %s & %s must be configured", pairs[i][0], pairs[i][1]);
    Str api = global_field(r, "slack_api_url")->text;
    if ((global_field(r, "slack_app_token")->text.len || global_field(r, "slack_app_token_file")->text.len) &&
        (api.len || global_field(r, "slack_api_url_file")->text.len) &&
        !str_eq(api, global_field(r, "slack_app_url")->text))
        conf_error(r->conf, n,
                   "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file "
                   "must be configured");
}

static void read_global(ConfigReader *r, ConfMap *top)
{
    ConfMap m;
    r->c->resolve_timeout_ms = 5 * 60 * MS_PER_SEC;
    const ConfNode *n = conf_get(top, "global");
    if (n && conf_node_is_null(n))
        n = NULL;
    if (!n) {
        memset(&m, 0, sizeof m); /* an absent block: every field its default */
        m.conf = r->conf;
    } else if (!conf_map_begin(r->conf, n, &m)) {
        return;
    }
    r->c->resolve_timeout_ms = conf_duration(&m, "resolve_timeout", r->c->resolve_timeout_ms);
    r->http = config_read_http(r, &m);
    r->global = fields_read(r, &m, global_fields, COUNT_OF(global_fields));
    if (n) {
        conf_map_end(&m);
        check_pairs(r, n);
    }
}

/* ---- receivers ---- */
static void read_receiver_labels(ConfigReader *r, ConfMap *m, Receiver *ret)
{
    Labels given = {0};
    const ConfNode *n = conf_get(m, "labels");
    if (n && !conf_node_is_null(n) && n->kind != CONF_MAP)
        conf_error(r->conf, n, "labels is a map");
    u32 len = n && n->kind == CONF_MAP ? n->len : 0;
    Label *at = arena_array(&r->c->arena, Label, len + 2);
    for (u32 i = 0; at && i < len; i++)
        at[given.len++] = (Label){n->keys[i].text, conf_scalar(r->conf, &n->items[i], false)};
    given.at = at;
    Str own = labels_get(given, S("name"));
    for (u32 i = 0; i < given.len; i++)
        if (str_eq(given.at[i].name, S("name")))
            own = given.at[i].value;
    if (own.len && !str_eq(own, ret->name))
        conf_error(r->conf, n, "receiver label \"name\" must match receiver name \"%.*s\", got \"%.*s\"",
                   STR_FMT(ret->name), STR_FMT(own));
    if (!own.len && at)
        at[given.len++] = (Label){S("name"), ret->name};
    if (given.len > 1)
        qsort(at, given.len, sizeof *at, label_order);
    ret->labels = given;
}

static void read_receiver(ConfigReader *r, const ConfNode *n, Receiver *ret)
{
    ConfMap m;
    const ConfNode *items[INTEGRATION_KINDS];
    u32 len[INTEGRATION_KINDS], total = 0;
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->name = conf_str(&m, "name", S(""));
    if (!ret->name.len)
        conf_error(r->conf, n, "missing name in receiver");
    if (ret->name.len > 500 || str_find_char(ret->name, '\n') != SIZE_MAX)
        conf_error(r->conf, n, "a receiver's name has one line of at most 500 bytes");
    read_receiver_labels(r, &m, ret);
    for (u32 k = 0; k < INTEGRATION_KINDS; k++)
        total += len[k] = conf_list(&m, integration_specs[k].key, &items[k]);
    conf_map_end(&m);
    IntegrationConfig *at = arena_array(&r->c->arena, IntegrationConfig, total + 1);
    if (!at)
        return;
    memset(at, 0, (total + 1) * sizeof *at);
    ret->integrations = at;
    ret->len = total;
    for (u32 k = 0; k < INTEGRATION_KINDS; k++)
        for (u32 i = 0; i < len[k]; i++, at++) {
            integration_read(r, &items[k][i], (IntegrationKind)k, at);
            at->id =
                arena_printf(&r->c->arena, "%.*s/%s/%u", STR_FMT(ret->name), integration_specs[k].name, i);
            at->index = i;
        }
}

static void read_receivers(ConfigReader *r, ConfMap *top)
{
    const ConfNode *items;
    u32 n = conf_list(top, "receivers", &items);
    Receiver *at = arena_array(&r->c->arena, Receiver, n + 1);
    if (!at)
        return;
    memset(at, 0, (n + 1) * sizeof *at);
    for (u32 i = 0; i < n; i++) {
        read_receiver(r, &items[i], &at[i]);
        for (u32 k = 0; k < i; k++)
            if (at[i].name.len && str_eq(at[k].name, at[i].name))
                conf_error(r->conf, &items[i], "notification config name \"%.*s\" is not unique",
                           STR_FMT(at[i].name));
    }
    r->c->receivers = at;
    r->c->receivers_len = n;
}

/* ---- inhibition, time intervals ---- */
static void read_inhibit_rule(ConfigReader *r, const ConfNode *n, InhibitRule *ret)
{
    ConfMap m;
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->name = conf_str(&m, "name", S(""));
    ret->source = config_read_matchers(r, &m, "source_match", "source_match_re", "source_matchers");
    ret->target = config_read_matchers(r, &m, "target_match", "target_match_re", "target_matchers");
    u32 len = conf_strs(&m, "equal", &ret->equal);
    for (u32 i = 0; i < len; i++)
        if (!match_label_name_ok(ret->equal[i]))
            conf_error(r->conf, conf_get(&m, "equal"), "invalid label name \"%.*s\" in equal list",
                       STR_FMT(ret->equal[i]));
    ret->equal_len = len;
    conf_map_end(&m);
    if (len > 1)
        qsort((void *)ret->equal, len, sizeof *ret->equal, str_order);
}

static void read_inhibit_rules(ConfigReader *r, ConfMap *top)
{
    const ConfNode *items;
    u32 n = conf_list(top, "inhibit_rules", &items);
    InhibitRule *at = arena_array(&r->c->arena, InhibitRule, n + 1);
    if (!at)
        return;
    memset(at, 0, (n + 1) * sizeof *at);
    for (u32 i = 0; i < n; i++)
        read_inhibit_rule(r, &items[i], &at[i]);
    r->c->inhibit_rules = at;
    r->c->inhibit_rules_len = n;
}

static void read_time_intervals(ConfigReader *r, ConfMap *top)
{
    static const char *const keys[] = {"mute_time_intervals", "time_intervals"};
    static const char *const what[] = {"mute time interval", "time interval"};
    const ConfNode *items[2];
    u32 n[2] = {conf_list(top, keys[0], &items[0]), conf_list(top, keys[1], &items[1])}, len = 0;
    TimeIntervals *at = arena_array(&r->c->arena, TimeIntervals, n[0] + n[1] + 1);
    if (!at)
        return;
    memset(at, 0, (n[0] + n[1] + 1) * sizeof *at);
    for (u32 k = 0; k < 2; k++)
        for (u32 i = 0; i < n[k]; i++, len++) {
            time_intervals_read(r->conf, &items[k][i], what[k], &at[len]);
            for (u32 j = 0; j < len; j++)
                if (at[len].name.len && str_eq(at[j].name, at[len].name))
                    conf_error(r->conf, &items[k][i], "%s \"%.*s\" is not unique", what[k],
                               STR_FMT(at[len].name));
        }
    r->c->intervals = at;
    r->c->intervals_len = len;
}

/* ---- templates ---- */
typedef VEC(char *) Paths;
typedef struct Listing {
    char pattern[1024];
    const char *dir;
    Paths *out;
} Listing;

static bool on_name(void *arg, const char *name, bool is_dir)
{
    Listing *l = arg;
    if (!is_dir && fnmatch(l->pattern, name, FNM_PERIOD) == 0) {
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", l->dir, name);
        vec_push(l->out, mem_strdup(str_c(path)));
    }
    return l->out->len < 1000;
}

static int by_cstr(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static Err read_template_file(Vfs *vfs, TmplSet *set, const char *path, Why *why)
{
    Buf text;
    const char *base = strrchr(path, '/');
    buf_init(&text, FILE_BYTES_MAX);
    Err e = vfs_read_file(vfs, path, FILE_BYTES_MAX, &text, why);
    if (e == OK)
        e = tmpl_parse(set, str_c(base ? base + 1 : path), buf_view(&text), why);
    buf_done(&text);
    if (e != OK)
        why_prefix(why, "template file %s: ", path);
    return e;
}

Err notify_templates_add(Vfs *vfs, TmplSet *set, Str pattern, Why *why)
{
    char path[1024];
    Paths found = {0};
    Listing l = {.out = &found};
    Err e = OK;
    if (pattern.len >= sizeof path)
        return why_set(why, E_INVALID, "a template path of %zu bytes", pattern.len);
    memcpy(path, pattern.at, pattern.len);
    path[pattern.len] = 0;
    char *slash = strrchr(path, '/');
    snprintf(l.pattern, sizeof l.pattern, "%s", slash ? slash + 1 : path);
    if (slash)
        *slash = 0;
    l.dir = slash ? (*path ? path : "/") : ".";
    vfs->list(vfs, l.dir, on_name, &l, NULL);
    if (found.len)
        qsort(found.at, found.len, sizeof found.at[0], by_cstr);
    for (size_t k = 0; k < found.len; k++) {
        if (e == OK)
            e = read_template_file(vfs, set, found.at[k], why);
        mem_free(found.at[k]);
    }
    vec_done(&found);
    return e;
}

static void read_templates(ConfigReader *r, ConfMap *top)
{
    const Str *patterns;
    u32 n = r->c->templates_len = conf_strs(top, "templates", &patterns);
    for (u32 i = 0; i < n; i++) {
        Why why = {0};
        if (notify_templates_add(r->vfs, r->c->templates, conf_file_path(r->conf, patterns[i]), &why) != OK)
            conf_error(r->conf, conf_get(top, "templates"), "%s", why.text);
    }
}

/* ---- blocks that have no effect here ---- */
static void read_tracing(ConfigReader *r, ConfMap *top)
{
    static const char *const ignored[] = {"sampling_fraction", "insecure", "tls_config", "headers",
                                          "timeout"};
    ConfMap m;
    const ConfNode *n = conf_get(top, "tracing");
    if (!n || conf_node_is_null(n) || !conf_map_begin(r->conf, n, &m))
        return;
    Str type = conf_str(&m, "client_type", S("grpc")), compression = conf_str(&m, "compression", S(""));
    if (!str_eq(type, S("grpc")) && !str_eq(type, S("http")))
        conf_error(r->conf, conf_get(&m, "client_type"), "client_type is grpc or http");
    if (!conf_str(&m, "endpoint", S("")).len)
        conf_error(r->conf, n, "tracing endpoint must be set");
    if (compression.len && !str_eq(compression, S("gzip")))
        conf_error(r->conf, conf_get(&m, "compression"), "compression is gzip or absent");
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        conf_ignore(&m, ignored[i]);
    conf_map_end(&m);
    conf_warn(r->conf, n, "tracing has no effect");
}

static void read_all(ConfigReader *r)
{
    ConfMap m;
    if (!conf_map_begin(r->conf, conf_root(r->conf), &m))
        return;
    read_global(r, &m);
    read_templates(r, &m);
    read_receivers(r, &m);
    read_inhibit_rules(r, &m);
    read_time_intervals(r, &m);
    const ConfNode *route = conf_get(&m, "route");
    if (!route || conf_node_is_null(route))
        conf_error(r->conf, conf_root(r->conf), "no route provided in config");
    else
        r->c->route = route_read(r, route);
    read_tracing(r, &m);
    if (conf_has(&m, "event_recorder"))
        conf_warn(r->conf, conf_get(&m, "event_recorder"), "event_recorder has no effect");
    conf_ignore(&m, "event_recorder");
    conf_map_end(&m);
}

static AlertConfig *config_new(void)
{
    AlertConfig *c = mem_new(AlertConfig);
    c->refs = 1;
    arena_init(&c->arena, NULL, 64 << 20);
    c->templates = notify_templates_new();
    return c;
}

static u64 hash_of(Str yaml)
{
    u8 sum[EVP_MAX_MD_SIZE];
    u64 h = 0;
    if (EVP_Digest(yaml.at, yaml.len, sum, NULL, EVP_md5(), NULL) == 1)
        memcpy(&h, sum, 6);
    return h;
}

AlertConfig *alert_config_parse(Vfs *vfs, const char *file, Str yaml)
{
    AlertConfig *c = config_new();
    c->conf = conf_new(file);
    c->hash = hash_of(yaml);
    ConfigReader r = {.c = c, .conf = c->conf, .vfs = vfs};
    if (conf_parse(c->conf, yaml))
        read_all(&r);
    return c;
}

AlertConfig *alert_config_load(Vfs *vfs, const char *path)
{
    Buf text;
    Why why = {0};
    buf_init(&text, FILE_BYTES_MAX);
    Err e = vfs_read_file(vfs, path, FILE_BYTES_MAX, &text, &why);
    AlertConfig *c = alert_config_parse(vfs, path, e == OK ? buf_view(&text) : S(""));
    if (e != OK) {
        c->broken = why;
        c->broken.err = e;
        snprintf(c->broken.file, sizeof c->broken.file, "%s", path);
    }
    buf_done(&text);
    return c;
}

AlertConfig *alert_config_discord(Secret webhook_url)
{
    Buf yaml;
    Url u;
    Str url = secret_reveal(webhook_url);
    buf_init(&yaml, 64 << 10);
    buf_c(&yaml, "route: {receiver: discord, group_by: [alertname], group_wait: 10s, group_interval: 1m}\n"
                 "receivers: [{name: discord, discord_configs: [{webhook_url: ");
    js_quote(&yaml, url); /* a JSON string is a YAML string */
    buf_c(&yaml, "}]}]\n");
    AlertConfig *c = alert_config_parse(vfs_os(), "DISCORD_WEBHOOK_URL", buf_view(&yaml));
    buf_done(&yaml);
    if (url_parse(url, &u, NULL) != OK || !(str_eq(u.scheme, S("http")) || str_eq(u.scheme, S("https"))) ||
        !u.host.len)
        why_set(&c->broken, E_INVALID, "DISCORD_WEBHOOK_URL is not a URL that begins with https://");
    return c;
}

AlertConfig *alert_config_none(void)
{
    return alert_config_parse(vfs_os(), "built-in",
                              S("route: {receiver: none}\nreceivers: [{name: none}]\n"));
}

AlertConfig *alert_config_ref(AlertConfig *c)
{
    c->refs++;
    return c;
}

void alert_config_unref(AlertConfig *c)
{
    if (!c || --c->refs)
        return;
    conf_free(c->conf);
    tmpl_set_free(c->templates);
    for (size_t i = 0; i < c->matchers.len; i++)
        match_list_done(&c->matchers.at[i]);
    vec_done(&c->matchers);
    arena_done(&c->arena);
    mem_free(c);
}

Err alert_config_verdict(const AlertConfig *c, Why *why)
{
    if (c->broken.err != OK) {
        if (why)
            *why = c->broken;
        return c->broken.err;
    }
    return c->conf ? conf_finish(c->conf, why) : OK;
}

void alert_config_print_issues(const AlertConfig *c, Buf *out)
{
    char line[2048];
    if (c->broken.err != OK)
        buf_printf(out, "%s\n", why_print(&c->broken, line, sizeof line));
    else if (c->conf)
        conf_print_issues(c->conf, out);
}

const AlertRoute *alert_config_route(const AlertConfig *c)
{
    return alert_config_verdict(c, NULL) == OK ? c->route : NULL;
}

const Receiver *alert_config_receivers(const AlertConfig *c, u32 *ret_len)
{
    *ret_len = c->receivers_len;
    return c->receivers;
}

void alert_config_print(const AlertConfig *c, Buf *out)
{
    if (c->conf)
        conf_print_yaml(c->conf, out);
}

void alert_config_counts(const AlertConfig *c, AlertConfigCounts *ret)
{
    *ret = (AlertConfigCounts){.receivers = c->receivers_len,
                               .inhibit_rules = c->inhibit_rules_len,
                               .templates = c->templates_len,
                               .time_intervals = c->intervals_len};
}

TmplSet *alert_config_templates(const AlertConfig *c)
{
    return c->templates;
}
