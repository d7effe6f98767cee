/* alertmanager.yml. Everything Alertmanager knows is read; what is not built yet is warned about, so that any existing file
 * loads. */
#include "alert/alert_internal.h"
#include "alert/notify/notify.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 16 << 20, ROUTES_DEPTH_MAX = 50 };
#define GROUP_WAIT_MS      (30 * MS_PER_SEC)
#define GROUP_INTERVAL_MS  (5 * 60 * MS_PER_SEC)
#define REPEAT_INTERVAL_MS (4 * 3600 * MS_PER_SEC)

static const char *const other_receivers[] = {
    "email_configs",    "incidentio_configs", "jira_configs",     "mattermost_configs",
    "msteams_configs",  "msteamsv2_configs",  "opsgenie_configs", "pagerduty_configs",
    "pushover_configs", "rocketchat_configs", "slack_configs",    "sns_configs",
    "telegram_configs", "victorops_configs",  "webex_configs",    "wechat_configs",
};
static const char *const global_fields[] = {
    "smtp_from",
    "smtp_hello",
    "smtp_smarthost",
    "smtp_auth_username",
    "smtp_auth_password",
    "smtp_auth_password_file",
    "smtp_auth_secret",
    "smtp_auth_secret_file",
    "smtp_auth_identity",
    "smtp_require_tls",
    "smtp_tls_config",
    "smtp_force_implicit_tls",
    "slack_api_url",
    "slack_api_url_file",
    "slack_app_token",
    "slack_app_token_file",
    "slack_app_url",
    "pagerduty_url",
    "opsgenie_api_url",
    "opsgenie_api_key",
    "opsgenie_api_key_file",
    "wechat_api_url",
    "wechat_api_secret",
    "wechat_api_secret_file",
    "wechat_api_corp_id",
    "victorops_api_url",
    "victorops_api_key",
    "victorops_api_key_file",
    "telegram_api_url",
    "telegram_bot_token",
    "telegram_bot_token_file",
    "webex_api_url",
    "rocketchat_api_url",
    "rocketchat_token",
    "rocketchat_token_file",
    "rocketchat_token_id",
    "rocketchat_token_id_file",
    "jira_api_url",
    "mattermost_webhook_url",
    "mattermost_webhook_url_file",
};

typedef struct Reader {
    AlertConfig *c;
    Conf *conf;
    Vfs *vfs;
    HttpClientConfig http; /* global */
} Reader;

static HttpClientConfig read_http(Reader *r, ConfMap *m)
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

/* A URL that is a secret: checked without ever being quoted. */
static void read_url(Reader *r, ConfMap *m, const char *key, const char *file_key, IntegrationConfig *ret)
{
    const ConfNode *at = conf_get(m, key);
    ret->url = conf_secret(m, key);
    ret->url_file = conf_str(m, file_key, S(""));
    if (ret->url_file.len)
        ret->url_file = conf_file_path(r->conf, ret->url_file);
    bool url = secret_is_set(ret->url), file = ret->url_file.len != 0;
    if (url && file)
        conf_error(r->conf, at, "at most one of %s & %s must be configured", key, file_key);
    else if (!url && !file)
        conf_error(r->conf, m->node, "one of %s or %s must be configured", key, file_key);
    Url u;
    if (url && (url_parse(secret_reveal(ret->url), &u, NULL) != OK ||
                !(str_eq(u.scheme, S("http")) || str_eq(u.scheme, S("https"))) || !u.host.len))
        conf_error(r->conf, at, "%s is not a URL that begins with http:// or https://", key);
}

static void check_template(Reader *r, ConfMap *m, const char *key, Str text)
{
    Arena arena;
    Why why = {0};
    arena_init(&arena, NULL, 64 << 20);
    if (tmpl_check(r->c->templates, S(""), text, &arena, &why) != OK)
        conf_error(r->conf, conf_get(m, key), "%s", why.text);
    arena_done(&arena);
}

static void read_discord(Reader *r, const ConfNode *n, IntegrationConfig *ret)
{
    static const char *const styles[] = {"card", "alertmanager"};
    ConfMap m;
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->kind = INTEGRATION_DISCORD;
    ret->send_resolved = conf_bool(&m, "send_resolved", true);
    read_url(r, &m, "webhook_url", "webhook_url_file", ret);
    ret->http = read_http(r, &m);
    ret->has_title = conf_has(&m, "title");
    ret->has_message = conf_has(&m, "message");
    m.expand = false; /* templates: ${...} and $x are theirs */
    ret->title = conf_str(&m, "title", S("{{ template \"discord.default.title\" . }}"));
    ret->message = conf_str(&m, "message", S("{{ template \"discord.default.message\" . }}"));
    ret->content = conf_str(&m, "content", S("{{ template \"discord.default.content\" . }}"));
    m.expand = true;
    ret->username = conf_str(&m, "username", S(""));
    ret->avatar_url = conf_str(&m, "avatar_url", S(""));
    ret->style = (DiscordStyle)conf_enum(&m, "style", styles, 2, DISCORD_CARD);
    check_template(r, &m, "title", ret->title);
    check_template(r, &m, "message", ret->message);
    check_template(r, &m, "content", ret->content);
    conf_map_end(&m);
}

static void read_webhook(Reader *r, const ConfNode *n, IntegrationConfig *ret)
{
    ConfMap m;
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->kind = INTEGRATION_WEBHOOK;
    ret->send_resolved = conf_bool(&m, "send_resolved", true);
    read_url(r, &m, "url", "url_file", ret);
    ret->http = read_http(r, &m);
    ret->max_alerts = (u64)conf_i64(&m, "max_alerts", 0, 0, INT64_MAX);
    ret->timeout_ms = conf_duration(&m, "timeout", 0);
    conf_ignore(&m, "payload");
    if (conf_has(&m, "payload"))
        conf_warn(r->conf, conf_get(&m, "payload"), "payload is not built yet: the standard body is sent");
    conf_map_end(&m);
}

static void read_receiver(Reader *r, const ConfNode *n, Receiver *ret)
{
    ConfMap m;
    const ConfNode *discord, *webhook;
    Arena *arena = &r->c->arena;
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->name = conf_str(&m, "name", S(""));
    if (!ret->name.len)
        conf_error(r->conf, n, "missing name in receiver");
    if (ret->name.len > 500 || str_find_char(ret->name, '\n') != SIZE_MAX)
        conf_error(r->conf, n, "a receiver's name has one line of at most 500 bytes");
    u32 discord_len = conf_list(&m, "discord_configs", &discord),
        webhook_len = conf_list(&m, "webhook_configs", &webhook);
    for (size_t i = 0; i < COUNT_OF(other_receivers); i++) {
        conf_ignore(&m, other_receivers[i]);
        if (conf_has(&m, other_receivers[i]))
            conf_warn(r->conf, conf_get(&m, other_receivers[i]), "%s is not built yet: nothing is sent there",
                      other_receivers[i]);
    }
    conf_map_end(&m);
    IntegrationConfig *at = arena_array(arena, IntegrationConfig, discord_len + webhook_len + 1);
    if (!at)
        return;
    memset(at, 0, (discord_len + webhook_len + 1) * sizeof *at);
    for (u32 i = 0; i < discord_len; i++) {
        read_discord(r, &discord[i], &at[i]);
        at[i].id = arena_printf(arena, "%.*s/discord/%u", STR_FMT(ret->name), i);
    }
    for (u32 i = 0; i < webhook_len; i++) {
        read_webhook(r, &webhook[i], &at[discord_len + i]);
        at[discord_len + i].id = arena_printf(arena, "%.*s/webhook/%u", STR_FMT(ret->name), i);
    }
    ret->integrations = at;
    ret->len = discord_len + webhook_len;
}

static void read_receivers(Reader *r, ConfMap *top)
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

/* ---- routes ---- */
static void read_group_by(Reader *r, ConfMap *m, const AlertRoute *parent, AlertRoute *ret)
{
    const Str *names;
    if (!conf_has(m, "group_by") && parent) {
        ret->group_by = parent->group_by;
        ret->group_by_len = parent->group_by_len;
        ret->group_by_all = parent->group_by_all;
        conf_ignore(m, "group_by");
        return;
    }
    u32 n = conf_strs(m, "group_by", &names);
    Str *at = arena_array(&r->c->arena, Str, n + 1);
    if (!at)
        return;
    const ConfNode *node = conf_get(m, "group_by");
    for (u32 i = 0; i < n; i++) {
        if (str_eq(names[i], S("..."))) {
            ret->group_by_all = true;
            continue;
        }
        if (!names[i].len)
            conf_error(r->conf, node, "invalid label name \"\" in group_by list");
        for (u32 k = 0; k < ret->group_by_len; k++)
            if (str_eq(at[k], names[i]))
                conf_error(r->conf, node, "duplicated label \"%.*s\" in group_by", STR_FMT(names[i]));
        at[ret->group_by_len++] = names[i];
    }
    if (ret->group_by_all && ret->group_by_len)
        conf_error(r->conf, node, "cannot have wildcard group_by (`...`) and other labels at the same time");
    if (ret->group_by_len > 1)
        qsort(at, ret->group_by_len, sizeof *at, str_order);
    ret->group_by = at;
}

static const Receiver *find_receiver(const AlertConfig *c, Str name)
{
    for (u32 i = 0; i < c->receivers_len; i++)
        if (str_eq(c->receivers[i].name, name))
            return &c->receivers[i];
    return NULL;
}

static void read_route(Reader *r, const ConfNode *n, const AlertRoute *parent, int depth, AlertRoute *ret)
{
    static const char *const selecting[] = {"match", "match_re", "matchers", "mute_time_intervals",
                                            "active_time_intervals"};
    ConfMap m;
    const ConfNode *routes;
    if (depth > ROUTES_DEPTH_MAX) {
        conf_error(r->conf, n, "routes nest deeper than %d", ROUTES_DEPTH_MAX);
        return;
    }
    if (!conf_map_begin(r->conf, n, &m))
        return;
    const ConfNode *at = conf_get(&m, "receiver");
    Str receiver = conf_str(&m, "receiver", S(""));
    ret->receiver = receiver.len ? find_receiver(r->c, receiver) : parent ? parent->receiver : NULL;
    if (!receiver.len && !parent)
        conf_error(r->conf, n, "root route must specify a default receiver");
    else if (receiver.len && !ret->receiver)
        conf_error(r->conf, at, "undefined receiver \"%.*s\" used in route", STR_FMT(receiver));
    read_group_by(r, &m, parent, ret);
    ret->group_wait_ms = conf_duration(&m, "group_wait", parent ? parent->group_wait_ms : GROUP_WAIT_MS);
    ret->group_interval_ms =
        conf_duration(&m, "group_interval", parent ? parent->group_interval_ms : GROUP_INTERVAL_MS);
    ret->repeat_interval_ms =
        conf_duration(&m, "repeat_interval", parent ? parent->repeat_interval_ms : REPEAT_INTERVAL_MS);
    if (!ret->group_interval_ms)
        conf_error(r->conf, conf_get(&m, "group_interval"), "group_interval cannot be zero");
    if (!ret->repeat_interval_ms)
        conf_error(r->conf, conf_get(&m, "repeat_interval"), "repeat_interval cannot be zero");
    bool continues = conf_bool(&m, "continue", false);
    conf_ignore(&m, "labels");
    for (size_t i = 0; i < COUNT_OF(selecting); i++) {
        conf_ignore(&m, selecting[i]);
        if (!parent && conf_has(&m, selecting[i]))
            conf_error(r->conf, conf_get(&m, selecting[i]), "root route must not have any %s",
                       i < 3 ? "matchers" : selecting[i]);
    }
    if (!parent && continues)
        conf_error(r->conf, conf_get(&m, "continue"), "cannot have continue in root route");
    u32 len = conf_list(&m, "routes", &routes);
    conf_map_end(&m);
    AlertRoute *sub = arena_array(&r->c->arena, AlertRoute, len + 1);
    if (!sub)
        return;
    memset(sub, 0, (len + 1) * sizeof *sub);
    for (u32 i = 0; i < len; i++)
        read_route(r, &routes[i], ret, depth + 1, &sub[i]);
    if (len && !parent)
        conf_warn(r->conf, routes,
                  "nested routes are not followed yet: every alert goes to the root route's receiver");
    ret->routes = sub;
    ret->routes_len = len;
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

static void read_template_file(Reader *r, const ConfNode *at, const char *path)
{
    Buf text;
    Why why = {0};
    const char *base = strrchr(path, '/');
    buf_init(&text, FILE_BYTES_MAX);
    if (vfs_read_file(r->vfs, path, FILE_BYTES_MAX, &text, &why) != OK ||
        tmpl_parse(r->c->templates, str_c(base ? base + 1 : path), buf_view(&text), &why) != OK)
        conf_error(r->conf, at, "template file %s: %s", path, why.text);
    buf_done(&text);
}

static void read_templates(Reader *r, ConfMap *top)
{
    const Str *patterns;
    u32 n = conf_strs(top, "templates", &patterns);
    const ConfNode *at = conf_get(top, "templates");
    for (u32 i = 0; i < n; i++) {
        char path[1024];
        Str full = conf_file_path(r->conf, patterns[i]);
        if (full.len >= sizeof path)
            continue;
        memcpy(path, full.at, full.len);
        path[full.len] = 0;
        char *slash = strrchr(path, '/');
        Paths found = {0};
        Listing l = {.out = &found};
        snprintf(l.pattern, sizeof l.pattern, "%s", slash ? slash + 1 : path);
        if (slash)
            *slash = 0;
        l.dir = slash ? (*path ? path : "/") : ".";
        r->vfs->list(r->vfs, l.dir, on_name, &l, NULL);
        if (found.len)
            qsort(found.at, found.len, sizeof found.at[0], by_cstr);
        for (size_t k = 0; k < found.len; k++) {
            read_template_file(r, at, found.at[k]);
            mem_free(found.at[k]);
        }
        vec_done(&found);
    }
}

static void read_global(Reader *r, ConfMap *top)
{
    ConfMap m;
    r->c->resolve_timeout_ms = 5 * 60 * MS_PER_SEC;
    const ConfNode *n = conf_get(top, "global");
    if (!n || conf_node_is_null(n) || !conf_map_begin(r->conf, n, &m))
        return;
    r->c->resolve_timeout_ms = conf_duration(&m, "resolve_timeout", r->c->resolve_timeout_ms);
    r->http = read_http(r, &m);
    for (size_t i = 0; i < COUNT_OF(global_fields); i++)
        conf_ignore(&m, global_fields[i]);
    conf_map_end(&m);
}

static void read_all(Reader *r)
{
    static const char *const later[] = {"inhibit_rules", "mute_time_intervals", "time_intervals"};
    ConfMap m;
    if (!conf_map_begin(r->conf, conf_root(r->conf), &m))
        return;
    read_global(r, &m);
    read_templates(r, &m);
    read_receivers(r, &m);
    const ConfNode *route = conf_get(&m, "route");
    if (!route || conf_node_is_null(route)) {
        conf_error(r->conf, conf_root(r->conf), "no route provided in config");
    } else {
        AlertRoute *root = arena_new(&r->c->arena, AlertRoute);
        read_route(r, route, NULL, 0, root);
        r->c->route = root;
    }
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        const ConfNode *items;
        if (conf_list(&m, later[i], &items))
            conf_warn(r->conf, items, "%s is not built yet: it has no effect", later[i]);
    }
    conf_ignore(&m, "tracing");
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

AlertConfig *alert_config_parse(Vfs *vfs, const char *file, Str yaml)
{
    AlertConfig *c = config_new();
    c->conf = conf_new(file);
    Reader r = {.c = c, .conf = c->conf, .vfs = vfs};
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
    AlertConfig *c = config_new();
    IntegrationConfig *i = arena_new(&c->arena, IntegrationConfig);
    Receiver *r = arena_new(&c->arena, Receiver);
    AlertRoute *route = arena_new(&c->arena, AlertRoute);
    Str *by = arena_new(&c->arena, Str);
    *by = S("alertname");
    *i = (IntegrationConfig){.kind = INTEGRATION_DISCORD,
                             .id = S("discord/discord/0"),
                             .send_resolved = true,
                             .url = {arena_dup(&c->arena, secret_reveal(webhook_url))},
                             .title = S("{{ template \"discord.default.title\" . }}"),
                             .message = S("{{ template \"discord.default.message\" . }}"),
                             .content = S("")};
    *r = (Receiver){S("discord"), i, 1};
    *route = (AlertRoute){.receiver = r,
                          .group_by = by,
                          .group_by_len = 1,
                          .group_wait_ms = 10 * MS_PER_SEC,
                          .group_interval_ms = 60 * MS_PER_SEC,
                          .repeat_interval_ms = REPEAT_INTERVAL_MS};
    c->route = route;
    c->receivers = r;
    c->receivers_len = 1;
    Url u;
    if (url_parse(secret_reveal(webhook_url), &u, NULL) != OK ||
        !(str_eq(u.scheme, S("http")) || str_eq(u.scheme, S("https"))) || !u.host.len)
        why_set(&c->broken, E_INVALID, "DISCORD_WEBHOOK_URL is not a URL that begins with https://");
    return c;
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
