/* Receivers: one table says which fields each kind of integration has, of what type and with what default; what cannot
 * be said in a table is a check per kind. All kinds are read and checked as Alertmanager 0.33 does. */
#include "alert/alert_internal.h"
#include "alert/notify/notify.h"

#include <stdio.h>

#define T(name) "{{ template \"" name "\" . }}"
#define SUB(a)  .sub = (a), .sub_len = COUNT_OF(a)

/* ---- tables ---- */
static const FieldSpec discord_fields[] = {
    {"webhook_url", F_SECRET_URL},
    {"webhook_url_file", F_FILE},
    {"content", F_TMPL, T("discord.default.content")},
    {"title", F_TMPL, T("discord.default.title")},
    {"message", F_TMPL, T("discord.default.message")},
    {"username", F_TEXT},
    {"avatar_url", F_TEXT},
    {"style", F_TEXT, "card"}, /* ours */
};
static const FieldSpec webhook_fields[] = {
    {"url", F_TMPL_URL},        {"url_file", F_FILE}, {"max_alerts", F_U64},
    {"timeout", F_GO_DURATION}, {"payload", F_ANY},
};
static const FieldSpec threading_fields[] = {{"enabled", F_BOOL}, {"thread_by_date", F_TEXT}};
static const FieldSpec email_fields[] = {
    {"to", F_TMPL},
    {"from", F_TMPL},
    {"hello", F_TEXT},
    {"smarthost", F_HOSTPORT},
    {"auth_username", F_TEXT},
    {"auth_password", F_SECRET},
    {"auth_password_file", F_FILE},
    {"auth_secret", F_SECRET},
    {"auth_secret_file", F_FILE},
    {"auth_identity", F_TEXT},
    {"headers", F_MAP},
    {"html", F_TMPL, T("email.default.html")},
    {"text", F_TMPL},
    {"require_tls", F_BOOL},
    {"tls_config", F_TLS},
    {"force_implicit_tls", F_BOOL},
    {"threading", F_SUB, SUB(threading_fields)},
};
static const FieldSpec pagerduty_image_fields[] = {{"src", F_TMPL}, {"alt", F_TMPL}, {"href", F_TMPL}};
static const FieldSpec pagerduty_link_fields[] = {{"href", F_TMPL}, {"text", F_TMPL}};
static const FieldSpec pagerduty_fields[] = {
    {"service_key", F_SECRET},
    {"service_key_file", F_FILE},
    {"routing_key", F_SECRET},
    {"routing_key_file", F_FILE},
    {"url", F_URL},
    {"client", F_TMPL, T("pagerduty.default.client")},
    {"client_url", F_TMPL, T("pagerduty.default.clientURL")},
    {"description", F_TMPL, T("pagerduty.default.description")},
    {"details", F_ANY},
    {"images", F_LIST, SUB(pagerduty_image_fields)},
    {"links", F_LIST, SUB(pagerduty_link_fields)},
    {"source", F_TMPL},
    {"severity", F_TMPL},
    {"class", F_TMPL},
    {"component", F_TMPL},
    {"group", F_TMPL},
    {"timeout", F_GO_DURATION},
};
static const FieldSpec slack_field_fields[] = {
    {"title", F_TMPL, .need = true}, {"value", F_TMPL, .need = true}, {"short", F_BOOL}};
static const FieldSpec slack_confirm_fields[] = {
    {"text", F_TMPL, .need = true}, {"title", F_TMPL}, {"ok_text", F_TMPL}, {"dismiss_text", F_TMPL}};
static const FieldSpec slack_action_fields[] = {
    {"type", F_TMPL, .need = true},
    {"text", F_TMPL, .need = true},
    {"url", F_TMPL},
    {"style", F_TMPL},
    {"name", F_TMPL},
    {"value", F_TMPL},
    {"confirm", F_SUB, SUB(slack_confirm_fields)},
};
static const FieldSpec slack_fields[] = {
    {"api_url", F_SECRET_URL},
    {"api_url_file", F_FILE},
    {"app_token", F_SECRET},
    {"app_token_file", F_FILE},
    {"app_url", F_URL},
    {"channel", F_TMPL},
    {"username", F_TMPL, T("slack.default.username")},
    {"color", F_TMPL, T("slack.default.color")},
    {"title", F_TMPL, T("slack.default.title")},
    {"title_link", F_TMPL, T("slack.default.titlelink")},
    {"pretext", F_TMPL, T("slack.default.pretext")},
    {"text", F_TMPL, T("slack.default.text")},
    {"message_text", F_TMPL},
    {"fields", F_LIST, SUB(slack_field_fields)},
    {"short_fields", F_BOOL},
    {"footer", F_TMPL, T("slack.default.footer")},
    {"fallback", F_TMPL, T("slack.default.fallback")},
    {"callback_id", F_TMPL, T("slack.default.callbackid")},
    {"icon_emoji", F_TMPL, T("slack.default.iconemoji")},
    {"icon_url", F_TMPL, T("slack.default.iconurl")},
    {"image_url", F_TMPL},
    {"thumb_url", F_TMPL},
    {"link_names", F_BOOL},
    {"mrkdwn_in", F_STRS},
    {"actions", F_LIST, SUB(slack_action_fields)},
    {"update_message", F_BOOL},
    {"timeout", F_GO_DURATION},
};
static const FieldSpec telegram_fields[] = {
    {"api_url", F_URL},
    {"bot_token", F_SECRET},
    {"bot_token_file", F_FILE},
    {"chat_id", F_I64},
    {"chat_id_file", F_FILE},
    {"message_thread_id", F_I64},
    {"message", F_TMPL, T("telegram.default.message")},
    {"disable_notifications", F_BOOL},
    {"parse_mode", F_TEXT, "HTML"},
};
static const FieldSpec pushover_fields[] = {
    {"user_key", F_SECRET},
    {"user_key_file", F_FILE},
    {"token", F_SECRET},
    {"token_file", F_FILE},
    {"title", F_TMPL, T("pushover.default.title")},
    {"message", F_TMPL, T("pushover.default.message")},
    {"url", F_TMPL, T("pushover.default.url")},
    {"url_title", F_TMPL},
    {"device", F_TMPL},
    {"sound", F_TMPL},
    {"priority", F_TMPL, "{{ if eq .Status \"firing\" }}2{{ else }}0{{ end }}"},
    {"retry", F_TEXT_DURATION, "1m"},
    {"expire", F_TEXT_DURATION, "1h"},
    {"ttl", F_TEXT_DURATION},
    {"html", F_BOOL},
    {"monospace", F_BOOL},
};
/* The rest is read and checked; nothing is sent there yet. */
static const FieldSpec incidentio_fields[] = {
    {"url", F_URL},
    {"url_file", F_FILE},
    {"alert_source_token", F_SECRET},
    {"alert_source_token_file", F_FILE},
    {"max_alerts", F_U64},
    {"timeout", F_GO_DURATION},
};
static const FieldSpec responder_fields[] = {
    {"id", F_TMPL}, {"name", F_TMPL}, {"username", F_TMPL}, {"type", F_TMPL}};
static const FieldSpec opsgenie_fields[] = {
    {"api_key", F_SECRET}, {"api_key_file", F_FILE},  {"api_url", F_URL},
    {"message", F_TMPL},   {"description", F_TMPL},   {"source", F_TMPL},
    {"details", F_MAP},    {"entity", F_TMPL},        {"responders", F_LIST, SUB(responder_fields)},
    {"actions", F_TMPL},   {"tags", F_TMPL},          {"note", F_TMPL},
    {"priority", F_TMPL},  {"update_alerts", F_BOOL},
};
static const FieldSpec wechat_fields[] = {
    {"api_secret", F_SECRET}, {"api_secret_file", F_FILE},
    {"corp_id", F_TEXT},      {"message", F_TMPL},
    {"api_url", F_URL},       {"to_user", F_TMPL},
    {"to_party", F_TMPL},     {"to_tag", F_TMPL},
    {"agent_id", F_TMPL},     {"message_type", F_TEXT, "text"},
};
static const FieldSpec victorops_fields[] = {
    {"api_key", F_SECRET},           {"api_key_file", F_FILE},    {"api_url", F_URL},
    {"routing_key", F_TMPL},         {"message_type", F_TMPL},    {"state_message", F_TMPL},
    {"entity_display_name", F_TMPL}, {"monitoring_tool", F_TMPL}, {"custom_fields", F_MAP},
};
static const FieldSpec sigv4_fields[] = {
    {"region", F_TEXT},
    {"access_key", F_TEXT},
    {"secret_key", F_SECRET},
    {"profile", F_TEXT},
    {"role_arn", F_TEXT},
    {"external_id", F_TEXT},
    {"use_fips_sts_endpoint", F_BOOL},
    {"service_name", F_TEXT},
};
static const FieldSpec sns_fields[] = {
    {"api_url", F_TMPL},
    {"sigv4", F_SUB, SUB(sigv4_fields)},
    {"topic_arn", F_TMPL},
    {"phone_number", F_TMPL},
    {"target_arn", F_TMPL},
    {"subject", F_TMPL},
    {"message", F_TMPL},
    {"attributes", F_MAP},
    {"use_aws_http_client", F_BOOL},
};
static const FieldSpec webex_fields[] = {{"api_url", F_URL}, {"message", F_TMPL}, {"room_id", F_TMPL}};
static const FieldSpec msteams_fields[] = {
    {"webhook_url", F_SECRET_URL}, {"webhook_url_file", F_FILE}, {"title", F_TMPL}, {"text", F_TMPL},
    {"summary", F_TMPL},
};
static const FieldSpec jira_fields[] = {
    {"api_url", F_URL},
    {"api_type", F_TEXT, "auto"},
    {"project", F_TMPL},
    {"summary", F_ANY},
    {"description", F_ANY},
    {"labels", F_STRS},
    {"priority", F_TMPL},
    {"issue_type", F_TMPL},
    {"reopen_transition", F_TMPL},
    {"resolve_transition", F_TMPL},
    {"wont_fix_resolution", F_TMPL},
    {"reopen_duration", F_DURATION},
    {"fields", F_ANY},
};
static const FieldSpec rocketchat_field_fields[] = {{"short", F_BOOL}, {"title", F_TMPL}, {"value", F_TMPL}};
static const FieldSpec rocketchat_action_fields[] = {
    {"type", F_TMPL},
    {"text", F_TMPL},
    {"url", F_TMPL},
    {"imageurl", F_TMPL},
    {"iswebview", F_BOOL},
    {"webviewheightratio", F_TMPL},
    {"msg", F_TMPL},
    {"msginchatwindow", F_BOOL},
    {"msgprocessingtype", F_TMPL},
};
static const FieldSpec rocketchat_fields[] = {
    {"api_url", F_URL},
    {"token_id", F_SECRET},
    {"token_id_file", F_FILE},
    {"token", F_SECRET},
    {"token_file", F_FILE},
    {"channel", F_TMPL},
    {"color", F_TMPL},
    {"title", F_TMPL},
    {"title_link", F_TMPL},
    {"text", F_TMPL},
    {"fields", F_LIST, SUB(rocketchat_field_fields)},
    {"short_fields", F_BOOL},
    {"emoji", F_TMPL},
    {"icon_url", F_TMPL},
    {"image_url", F_TMPL},
    {"thumb_url", F_TMPL},
    {"link_names", F_BOOL},
    {"actions", F_LIST, SUB(rocketchat_action_fields)},
};
static const FieldSpec mattermost_attachment_fields[] = {
    {"fallback", F_TMPL},    {"color", F_TMPL},
    {"pretext", F_TMPL},     {"text", F_TMPL},
    {"author_name", F_TMPL}, {"author_link", F_TMPL},
    {"author_icon", F_TMPL}, {"title", F_TMPL},
    {"title_link", F_TMPL},  {"fields", F_LIST, SUB(slack_field_fields)},
    {"thumb_url", F_TMPL},   {"footer", F_TMPL},
    {"footer_icon", F_TMPL}, {"image_url", F_TMPL},
};
static const FieldSpec mattermost_props_fields[] = {{"card", F_TMPL}};
static const FieldSpec mattermost_priority_fields[] = {
    {"priority", F_TMPL}, {"requested_ack", F_BOOL}, {"persistent_notifications", F_BOOL}};
static const FieldSpec mattermost_fields[] = {
    {"webhook_url", F_SECRET_URL},
    {"webhook_url_file", F_FILE},
    {"channel", F_TMPL},
    {"username", F_TMPL},
    {"text", F_TMPL},
    {"fallback", F_TMPL},
    {"color", F_TMPL},
    {"pretext", F_TMPL},
    {"author_name", F_TMPL},
    {"author_link", F_TMPL},
    {"author_icon", F_TMPL},
    {"title", F_TMPL},
    {"title_link", F_TMPL},
    {"fields", F_LIST, SUB(slack_field_fields)},
    {"thumb_url", F_TMPL},
    {"footer", F_TMPL},
    {"footer_icon", F_TMPL},
    {"image_url", F_TMPL},
    {"icon_url", F_TMPL},
    {"icon_emoji", F_TMPL},
    {"attachments", F_LIST, SUB(mattermost_attachment_fields)},
    {"type", F_TMPL},
    {"props", F_SUB, SUB(mattermost_props_fields)},
    {"priority", F_SUB, SUB(mattermost_priority_fields)},
};

#define KIND(k, name_, resolved, sent)                                                                       \
    [INTEGRATION_##k] = {#name_, #name_ "_configs", name_##_fields, COUNT_OF(name_##_fields), resolved, sent}
const IntegrationSpec integration_specs[INTEGRATION_KINDS] = {
    KIND(WEBHOOK, webhook, true, true),
    KIND(EMAIL, email, false, true),
    KIND(PAGERDUTY, pagerduty, true, true),
    KIND(OPSGENIE, opsgenie, true, false),
    KIND(WECHAT, wechat, false, false),
    KIND(SLACK, slack, false, true),
    KIND(VICTOROPS, victorops, true, false),
    KIND(PUSHOVER, pushover, true, true),
    KIND(SNS, sns, true, false),
    KIND(TELEGRAM, telegram, true, true),
    KIND(DISCORD, discord, true, true),
    KIND(WEBEX, webex, true, false),
    KIND(MSTEAMS, msteams, true, false),
    [INTEGRATION_MSTEAMSV2] = {"msteamsv2", "msteamsv2_configs", msteams_fields, COUNT_OF(msteams_fields) - 1,
                               true, false},
    KIND(JIRA, jira, true, false),
    KIND(ROCKETCHAT, rocketchat, false, false),
    KIND(MATTERMOST, mattermost, true, false),
    KIND(INCIDENTIO, incidentio, true, false),
};

/* ---- values ---- */
static const FieldValue no_value;

const FieldValue *fields_find(const FieldSpec *spec, u32 len, const FieldValue *v, const char *name)
{
    for (u32 i = 0; v && i < len; i++)
        if (!strcmp(spec[i].name, name))
            return &v[i];
    return &no_value;
}

const FieldValue *integration_field(const IntegrationConfig *c, const char *name)
{
    const IntegrationSpec *s = &integration_specs[c->kind];
    return fields_find(s->fields, s->len, c->fields, name);
}

Str integration_text(const IntegrationConfig *c, const char *name)
{
    return integration_field(c, name)->text;
}

bool integration_is_on(const IntegrationConfig *c, const char *name)
{
    return integration_field(c, name)->num != 0;
}

const char *integration_kind_name(IntegrationKind k)
{
    return integration_specs[k].name;
}

/* ---- reading ---- */
static void warn_template(ConfigReader *r, const ConfNode *at, Str text)
{
    Arena arena;
    Why why = {0};
    arena_init(&arena, NULL, 64 << 20);
    if (tmpl_check(r->c->templates, S(""), text, &arena, &why) != OK)
        conf_warn(r->conf, at, "%s: alerts will be sent with this error in them", why.text);
    arena_done(&arena);
}

/* Never quotes: it may be a secret. */
static void check_url(ConfigReader *r, const ConfNode *at, const char *name, Str text)
{
    Url u;
    if (url_parse(text, &u, NULL) != OK || !u.host.len ||
        !(str_eq(u.scheme, S("http")) || str_eq(u.scheme, S("https"))))
        conf_error(r->conf, at, "%s is not a URL that begins with http:// or https://", name);
}

static void check_hostport(ConfigReader *r, const ConfNode *at, Str s)
{
    size_t colon = s.len;
    while (colon > 0 && s.at[colon - 1] != ':')
        colon--;
    Str host = str_sub(s, 0, colon ? colon - 1 : 0);
    bool bracketed = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    if (!s.len)
        return;
    if (!colon)
        conf_error(r->conf, at, "address %.*s: missing port: write host:port", STR_FMT(s));
    else if (!bracketed && str_find_char(host, ':') != SIZE_MAX)
        conf_error(r->conf, at, "address %.*s: too many colons: put an IPv6 address in [ ]", STR_FMT(s));
    else if (colon == s.len)
        conf_error(r->conf, at, "address %.*s: port cannot be empty", STR_FMT(s));
}

static i64 read_go_duration(ConfigReader *r, const ConfNode *n, bool bare_ns)
{
    Str s = conf_scalar(r->conf, n, true);
    i64 ns = 0;
    Why why = {0};
    if (bare_ns && !n->is_quoted && parse_i64(s, &ns) == OK)
        return ns;
    if (parse_go_duration_ns(s, &ns, &why) != OK)
        conf_error(r->conf, n, "%s: write 10s, 1m30s or 2h", why.text);
    return ns;
}

static Labels read_map(ConfigReader *r, const ConfNode *n)
{
    if (conf_node_is_null(n))
        return (Labels){0};
    if (n->kind != CONF_MAP) {
        conf_error(r->conf, n, "want a map of names to texts");
        return (Labels){0};
    }
    Label *at = arena_array(&r->c->arena, Label, n->len + 1);
    u32 len = 0;
    for (u32 i = 0; at && i < n->len; i++)
        at[len++] = (Label){n->keys[i].text, conf_scalar(r->conf, &n->items[i], false)};
    return (Labels){at, len};
}

static FieldValue read_sub(ConfigReader *r, const ConfNode *n, const FieldSpec *s)
{
    FieldValue v = {.node = n};
    ConfMap m;
    if (conf_node_is_null(n) || !conf_map_begin(r->conf, n, &m))
        return v;
    v.is_set = true;
    v.sub = fields_read(r, &m, s->sub, s->sub_len);
    conf_map_end(&m);
    for (u32 i = 0; v.sub && i < s->sub_len; i++)
        if (s->sub[i].need && !v.sub[i].text.len)
            conf_error(r->conf, n, "missing %s", s->sub[i].name);
    return v;
}

static void read_sublist(ConfigReader *r, ConfMap *m, const FieldSpec *s, FieldValue *v)
{
    const ConfNode *items;
    u32 n = conf_list(m, s->name, &items);
    FieldValue *at = arena_array(&r->c->arena, FieldValue, n + 1);
    for (u32 i = 0; at && i < n; i++)
        at[i] = read_sub(r, &items[i], s);
    v->sub = at;
    v->len = at ? n : 0;
}

static void read_secret(ConfigReader *r, ConfMap *m, const FieldSpec *s, FieldValue *v)
{
    bool expand = m->expand;
    m->expand = s->kind != F_TMPL_URL;
    v->text = secret_reveal(conf_secret(m, s->name));
    m->expand = expand;
    if (s->kind == F_SECRET || !v->is_set || str_eq(v->text, S(SECRET_TEXT)))
        return;
    if (s->kind == F_TMPL_URL && str_find(v->text, S("{{")) != SIZE_MAX)
        warn_template(r, v->node, v->text);
    else if (s->kind != F_TMPL_URL || v->text.len)
        check_url(r, v->node, s->name, v->text);
}

static void read_field(ConfigReader *r, ConfMap *m, const FieldSpec *s, FieldValue *v)
{
    Str dflt = str_c(s->dflt);
    bool expand = m->expand;
    v->node = conf_get(m, s->name);
    v->is_set = conf_has(m, s->name);
    switch (s->kind) {
    case F_TMPL:
        m->expand = false;
        v->text = conf_str(m, s->name, dflt);
        m->expand = expand;
        if (v->is_set && str_find(v->text, S("{{")) != SIZE_MAX)
            warn_template(r, v->node, v->text);
        break;
    case F_TEXT:
        v->text = conf_str(m, s->name, dflt);
        break;
    case F_FILE:
        v->text = conf_str(m, s->name, dflt);
        if (v->text.len)
            v->text = conf_file_path(r->conf, v->text);
        break;
    case F_BOOL:
        v->num = conf_bool(m, s->name, false);
        break;
    case F_I64:
        v->num = conf_i64(m, s->name, 0, INT64_MIN, INT64_MAX);
        break;
    case F_U64:
        v->num = conf_i64(m, s->name, 0, 0, INT64_MAX);
        break;
    case F_SECRET:
    case F_SECRET_URL:
    case F_TMPL_URL:
        read_secret(r, m, s, v);
        break;
    case F_URL:
        v->text = conf_str(m, s->name, dflt);
        if (v->is_set)
            check_url(r, v->node, s->name, v->text);
        break;
    case F_HOSTPORT:
        v->text = conf_str(m, s->name, dflt);
        check_hostport(r, v->node, v->text);
        break;
    case F_GO_DURATION:
        v->num = v->is_set ? read_go_duration(r, v->node, true) : 0;
        break;
    case F_TEXT_DURATION:
        if (v->is_set)
            v->num = read_go_duration(r, v->node, false);
        else if (dflt.len)
            check(parse_go_duration_ns(dflt, &v->num, NULL) == OK);
        break;
    case F_DURATION:
        v->num = conf_duration(m, s->name, 0);
        break;
    case F_MAP:
        if (v->node)
            v->map = read_map(r, v->node);
        break;
    case F_STRS:
        v->len = conf_strs(m, s->name, &v->strs);
        break;
    case F_TLS:
        if (v->is_set) {
            TlsConfig *tls = arena_new(&r->c->arena, TlsConfig);
            conf_tls(m, s->name, tls);
            v->tls = tls;
        }
        break;
    case F_ANY:
        break;
    case F_SUB:
        if (v->node)
            *v = read_sub(r, v->node, s);
        break;
    case F_LIST:
        read_sublist(r, m, s, v);
        break;
    }
}

FieldValue *fields_read(ConfigReader *r, ConfMap *m, const FieldSpec *spec, u32 len)
{
    FieldValue *v = arena_array(&r->c->arena, FieldValue, len + 1);
    if (!v)
        return NULL;
    memset(v, 0, (len + 1) * sizeof *v);
    for (u32 i = 0; i < len; i++)
        read_field(r, m, &spec[i], &v[i]);
    return v;
}

/* ---- checks ---- */
typedef struct Checked {
    ConfigReader *r;
    const ConfNode *node;
    IntegrationConfig *c;
    bool has_http, has_auth;
} Checked;

static FieldValue *field(Checked *k, const char *name)
{
    return (FieldValue *)integration_field(k->c, name);
}

static bool is_given(Checked *k, const char *name)
{
    const FieldValue *v = field(k, name);
    return v->text.len || v->num;
}

static void at_most_one(Checked *k, const char *a, const char *b)
{
    if (is_given(k, a) && is_given(k, b))
        conf_error(k->r->conf, k->node, "at most one of %s & %s must be configured", a, b);
}

static void one_of(Checked *k, const char *a, const char *b)
{
    at_most_one(k, a, b);
    if (!is_given(k, a) && !is_given(k, b))
        conf_error(k->r->conf, k->node, "one of %s or %s must be configured", a, b);
}

/* The receiver's own value, else global's; `what` is the complaint when there is neither. */
static void inherit(Checked *k, const char *name, const char *global, const char *what)
{
    FieldValue *v = field(k, name);
    const FieldValue *g = global_field(k->r, global);
    if (!v->text.len)
        v->text = g->text;
    if (!v->text.len && what)
        conf_error(k->r->conf, k->node, "%s: set %s here or %s under global", what, name, global);
}

/* The same for a secret and the file that may hold it. */
static void inherit_secret(Checked *k, const char *name, const char *file, const char *global,
                           const char *global_file, const char *what)
{
    FieldValue *v = field(k, name), *f = field(k, file);
    at_most_one(k, name, file);
    if (!v->text.len && !f->text.len) {
        v->text = global_field(k->r, global)->text;
        f->text = global_field(k->r, global_file)->text;
    }
    if (!v->text.len && !f->text.len && what)
        conf_error(k->r->conf, k->node, "%s: set %s or %s here, or %s under global", what, name, file,
                   global);
}

static void check_email(Checked *k)
{
    Conf *conf = k->r->conf;
    if (!is_given(k, "to"))
        conf_error(conf, k->node, "missing to address in email config");
    inherit(k, "smarthost", "smtp_smarthost", "no global SMTP smarthost set");
    inherit(k, "from", "smtp_from", "no global SMTP from set");
    inherit(k, "hello", "smtp_hello", NULL);
    inherit(k, "auth_username", "smtp_auth_username", NULL);
    inherit(k, "auth_identity", "smtp_auth_identity", NULL);
    FieldValue *pw = field(k, "auth_password"), *pf = field(k, "auth_password_file");
    FieldValue *sec = field(k, "auth_secret"), *sf = field(k, "auth_secret_file");
    if (!pw->text.len && !pf->text.len) {
        pw->text = global_field(k->r, "smtp_auth_password")->text;
        pf->text = global_field(k->r, "smtp_auth_password_file")->text;
    }
    if (!sec->text.len && !sf->text.len) {
        sec->text = global_field(k->r, "smtp_auth_secret")->text;
        sf->text = global_field(k->r, "smtp_auth_secret_file")->text;
    }
    FieldValue *tls = field(k, "require_tls"), *implicit = field(k, "force_implicit_tls");
    const FieldValue *gtls = global_field(k->r, "smtp_require_tls");
    if (!tls->is_set)
        tls->num = gtls->is_set ? gtls->num : 1;
    if (!implicit->is_set)
        *implicit = *global_field(k->r, "smtp_force_implicit_tls");
    if (!field(k, "tls_config")->tls)
        field(k, "tls_config")->tls = global_field(k->r, "smtp_tls_config")->tls;
    const FieldValue *h = field(k, "headers"), *threading = field(k, "threading");
    bool threads = threading->sub && threading->sub[0].num;
    for (u32 i = 0; i < h->map.len; i++) {
        for (u32 j = 0; j < i; j++)
            if (str_eq_nocase(h->map.at[i].name, h->map.at[j].name))
                conf_error(conf, h->node, "duplicate header \"%.*s\" in email config",
                           STR_FMT(h->map.at[i].name));
        if (threads && (str_eq_nocase(h->map.at[i].name, S("References")) ||
                        str_eq_nocase(h->map.at[i].name, S("In-Reply-To"))))
            conf_error(conf, h->node, "threading.enabled conflicts with a header %.*s of your own",
                       STR_FMT(h->map.at[i].name));
    }
    if (threads && !str_eq(threading->sub[1].text, S("none")) && !str_eq(threading->sub[1].text, S("daily")))
        conf_error(conf, k->node, "threading.thread_by_date must be either 'none' or 'daily'");
}

static void check_pagerduty(Checked *k)
{
    if (!is_given(k, "routing_key") && !is_given(k, "service_key") && !is_given(k, "routing_key_file") &&
        !is_given(k, "service_key_file"))
        conf_error(k->r->conf, k->node, "missing service or routing key in PagerDuty config");
    at_most_one(k, "routing_key", "routing_key_file");
    at_most_one(k, "service_key", "service_key_file");
    inherit(k, "url", "pagerduty_url", NULL);
    const FieldValue *details = field(k, "details");
    if (details->is_set && details->node->kind != CONF_MAP)
        conf_error(k->r->conf, details->node, "details is a map");
    if (!is_given(k, "source"))
        field(k, "source")->text = integration_text(k->c, "client");
}

static void check_slack(Checked *k)
{
    static const Str bot_url = STR_INIT("https://slack.com/api/chat.postMessage");
    Conf *conf = k->r->conf;
    bool url = is_given(k, "api_url") || is_given(k, "api_url_file");
    bool token = is_given(k, "app_token") || is_given(k, "app_token_file");
    at_most_one(k, "api_url", "api_url_file");
    at_most_one(k, "app_token", "app_token_file");
    if (url && token)
        conf_error(conf, k->node,
                   "at most one of api_url/api_url_file & app_token/app_token_file must be configured");
    if (integration_is_on(k->c, "update_message") && !str_eq(integration_text(k->c, "api_url"), bot_url))
        conf_error(conf, k->node,
                   "update_message can only be used with bot tokens. api_url must be set to "
                   "https://slack.com/api/chat.postMessage");
    inherit(k, "app_url", "slack_app_url", NULL);
    if (!token && !k->has_auth && !is_given(k, "api_url")) {
        field(k, "app_token")->text = global_field(k->r, "slack_app_token")->text;
        field(k, "app_token_file")->text = global_field(k->r, "slack_app_token_file")->text;
    }
    if (!url) {
        field(k, "api_url")->text = global_field(k->r, "slack_api_url")->text;
        field(k, "api_url_file")->text = global_field(k->r, "slack_api_url_file")->text;
    }
    token = is_given(k, "app_token") || is_given(k, "app_token_file");
    if (!token && !is_given(k, "api_url") && !is_given(k, "api_url_file"))
        conf_error(conf, k->node, "no Slack API URL nor App token set either inline or in a file");
    if (token && (k->has_auth || (!k->has_http && k->c->http.auth_type.len)))
        conf_error(conf, k->node, "http authorization can't be set when using Slack App tokens");
    if (token)
        field(k, "api_url")->text = integration_text(k->c, "app_url");
    const FieldValue *actions = field(k, "actions");
    for (u32 i = 0; i < actions->len; i++) {
        const FieldValue *sub = actions->sub[i].sub;
        if (sub && !fields_find(slack_action_fields, COUNT_OF(slack_action_fields), sub, "url")->text.len &&
            !fields_find(slack_action_fields, COUNT_OF(slack_action_fields), sub, "name")->text.len)
            conf_error(conf, actions->sub[i].node, "missing name or url in Slack action configuration");
    }
}

static void check_telegram(Checked *k)
{
    static const char *const modes[] = {"", "Markdown", "MarkdownV2", "HTML"};
    bool known = false;
    inherit(k, "api_url", "telegram_api_url", NULL);
    inherit_secret(k, "bot_token", "bot_token_file", "telegram_bot_token", "telegram_bot_token_file",
                   "missing bot_token or bot_token_file on telegram_config");
    at_most_one(k, "chat_id", "chat_id_file");
    if (!is_given(k, "chat_id") && !is_given(k, "chat_id_file"))
        conf_error(k->r->conf, k->node, "missing chat_id or chat_id_file on telegram_config");
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        known |= str_eq(integration_text(k->c, "parse_mode"), str_c(modes[i]));
    if (!known)
        conf_error(
            k->r->conf, field(k, "parse_mode")->node,
            "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string");
}

static void check_opsgenie(Checked *k)
{
    static const char *const types[] = {"team", "teams", "user", "escalation", "schedule"};
    inherit(k, "api_url", "opsgenie_api_url", NULL);
    inherit_secret(k, "api_key", "api_key_file", "opsgenie_api_key", "opsgenie_api_key_file",
                   "no global OpsGenie API Key set either inline or in a file");
    const FieldValue *rs = field(k, "responders");
    for (u32 i = 0; i < rs->len; i++) {
        const FieldValue *v = rs->sub[i].sub; /* id, name, username, type */
        if (!v)
            continue;
        bool known = str_find(v[3].text, S("{{")) != SIZE_MAX;
        for (size_t t = 0; t < COUNT_OF(types); t++)
            known |= str_eq_nocase(v[3].text, str_c(types[t]));
        if (!v[0].text.len && !v[1].text.len && !v[2].text.len)
            conf_error(k->r->conf, rs->sub[i].node,
                       "a responder has to have at least one of id, username or name specified");
        if (!known)
            conf_error(k->r->conf, rs->sub[i].node,
                       "a responder's type is one of team, teams, user, escalation, schedule");
    }
}

static void check_wechat(Checked *k)
{
    Str type = integration_text(k->c, "message_type");
    if (type.len && !str_eq(type, S("text")) && !str_eq(type, S("markdown")))
        conf_error(k->r->conf, field(k, "message_type")->node, "message_type is text or markdown");
    inherit(k, "api_url", "wechat_api_url", NULL);
    inherit_secret(k, "api_secret", "api_secret_file", "wechat_api_secret", "wechat_api_secret_file",
                   "no global Wechat Api Secret set either inline or in a file");
    inherit(k, "corp_id", "wechat_api_corp_id", "no global Wechat CorpID set");
}

static void check_victorops(Checked *k)
{
    static const char *const taken[] = {"routing_key",         "message_type",    "state_message",
                                        "entity_display_name", "monitoring_tool", "entity_id",
                                        "entity_state"};
    if (!is_given(k, "routing_key"))
        conf_error(k->r->conf, k->node, "missing Routing key in VictorOps config");
    inherit(k, "api_url", "victorops_api_url", NULL);
    inherit_secret(k, "api_key", "api_key_file", "victorops_api_key", "victorops_api_key_file",
                   "no global VictorOps API Key set");
    const FieldValue *custom = field(k, "custom_fields");
    for (u32 i = 0; i < custom->map.len; i++)
        for (size_t t = 0; t < COUNT_OF(taken); t++)
            if (str_eq(custom->map.at[i].name, str_c(taken[t])))
                conf_error(k->r->conf, custom->node,
                           "custom field %s cannot be used as it conflicts with the fixed fields", taken[t]);
}

static void check_sns(Checked *k)
{
    bool target = is_given(k, "target_arn"), topic = is_given(k, "topic_arn"),
         phone = is_given(k, "phone_number");
    if ((!target != !topic) != !phone)
        conf_error(k->r->conf, k->node,
                   "must provide either a Target ARN, Topic ARN, or Phone Number for SNS config");
    const FieldValue *sigv4 = field(k, "sigv4"), *v = sigv4->sub;
    if (v && (v[1].text.len != 0) != (v[2].text.len != 0))
        conf_error(k->r->conf, sigv4->node, "access_key and secret_key are given together or not at all");
}

/* A text, or a block of a template and whether an issue that is there already gets it too. */
static void check_jira_text(Checked *k, const char *name)
{
    static const char *const known[] = {"template", "enable_update"};
    const FieldValue *v = field(k, name);
    ConfMap m;
    if (!v->is_set || v->node->kind == CONF_SCALAR || !conf_map_begin(k->r->conf, v->node, &m))
        return;
    conf_str(&m, known[0], S(""));
    conf_bool(&m, known[1], true);
    conf_map_end(&m);
}

static void check_jira(Checked *k)
{
    const FieldValue *fields = field(k, "fields");
    check_jira_text(k, "summary");
    check_jira_text(k, "description");
    if (fields->is_set && fields->node->kind != CONF_MAP)
        conf_error(k->r->conf, fields->node, "fields is a map");
    Str type = integration_text(k->c, "api_type");
    if (!is_given(k, "project"))
        conf_error(k->r->conf, k->node, "missing project in jira_config");
    if (!is_given(k, "issue_type"))
        conf_error(k->r->conf, k->node, "missing issue_type in jira_config");
    if (!str_eq(type, S("auto")) && !str_eq(type, S("cloud")) && !str_eq(type, S("datacenter")))
        conf_error(k->r->conf, k->node, "unknown api_type on jira_config, must be auto, cloud or datacenter");
    inherit(k, "api_url", "jira_api_url", "no global Jira Cloud URL set");
}

static void check_incidentio(Checked *k)
{
    bool token = is_given(k, "alert_source_token") || is_given(k, "alert_source_token_file");
    one_of(k, "url", "url_file");
    at_most_one(k, "alert_source_token", "alert_source_token_file");
    if (k->has_auth && token)
        conf_error(k->r->conf, k->node,
                   "cannot specify alert_source_token or alert_source_token_file when using "
                   "http_config.authorization");
    if (k->has_http && !k->has_auth && !token)
        conf_error(k->r->conf, k->node,
                   "at least one of alert_source_token, alert_source_token_file or "
                   "http_config.authorization must be configured");
}

static void check_pushover(Checked *k)
{
    one_of(k, "user_key", "user_key_file");
    one_of(k, "token", "token_file");
    at_most_one(k, "html", "monospace");
}

static void check_rocketchat(Checked *k)
{
    inherit(k, "api_url", "rocketchat_api_url", NULL);
    inherit_secret(k, "token_id", "token_id_file", "rocketchat_token_id", "rocketchat_token_id_file",
                   "no global Rocketchat TokenID set either inline or in a file");
    inherit_secret(k, "token", "token_file", "rocketchat_token", "rocketchat_token_file",
                   "no global Rocketchat Token set either inline or in a file");
}

static void check_kind(Checked *k)
{
    static const char *const styles[] = {"card", "alertmanager"};
    switch (k->c->kind) {
    case INTEGRATION_DISCORD: {
        FieldValue *style = field(k, "style");
        one_of(k, "webhook_url", "webhook_url_file");
        k->c->style = str_eq(style->text, S("alertmanager")) ? DISCORD_ALERTMANAGER : DISCORD_CARD;
        if (!str_eq(style->text, str_c(styles[0])) && !str_eq(style->text, str_c(styles[1])))
            conf_error(k->r->conf, style->node, "style is card or alertmanager");
        break;
    }
    case INTEGRATION_MSTEAMS:
    case INTEGRATION_MSTEAMSV2:
        one_of(k, "webhook_url", "webhook_url_file");
        break;
    case INTEGRATION_WEBHOOK:
        one_of(k, "url", "url_file");
        break;
    case INTEGRATION_EMAIL:
        check_email(k);
        break;
    case INTEGRATION_PAGERDUTY:
        check_pagerduty(k);
        break;
    case INTEGRATION_SLACK:
        check_slack(k);
        break;
    case INTEGRATION_TELEGRAM:
        check_telegram(k);
        break;
    case INTEGRATION_PUSHOVER:
        check_pushover(k);
        break;
    case INTEGRATION_OPSGENIE:
        check_opsgenie(k);
        break;
    case INTEGRATION_WECHAT:
        check_wechat(k);
        break;
    case INTEGRATION_VICTOROPS:
        check_victorops(k);
        break;
    case INTEGRATION_SNS:
        check_sns(k);
        break;
    case INTEGRATION_WEBEX:
        if (!is_given(k, "room_id"))
            conf_error(k->r->conf, k->node, "missing room_id on webex_config");
        if (!k->has_auth)
            conf_error(k->r->conf, k->node, "missing webex_configs.http_config.authorization");
        break;
    case INTEGRATION_JIRA:
        check_jira(k);
        break;
    case INTEGRATION_ROCKETCHAT:
        check_rocketchat(k);
        break;
    case INTEGRATION_MATTERMOST:
        inherit_secret(k, "webhook_url", "webhook_url_file", "mattermost_webhook_url",
                       "mattermost_webhook_url_file",
                       "missing webhook_url or webhook_url_file on mattermost_config");
        break;
    case INTEGRATION_INCIDENTIO:
        check_incidentio(k);
        break;
    case INTEGRATION_KINDS:
        break;
    }
}

/* Where messages go, under names that do not depend on the kind. */
static void set_address(IntegrationConfig *c)
{
    static const char *const url[INTEGRATION_KINDS] = {
        [INTEGRATION_DISCORD] = "webhook_url", [INTEGRATION_WEBHOOK] = "url",
        [INTEGRATION_SLACK] = "api_url",       [INTEGRATION_TELEGRAM] = "api_url",
        [INTEGRATION_PAGERDUTY] = "url",
    };
    static const char *const url_file[INTEGRATION_KINDS] = {
        [INTEGRATION_DISCORD] = "webhook_url_file",
        [INTEGRATION_WEBHOOK] = "url_file",
        [INTEGRATION_SLACK] = "api_url_file",
    };
    if (url[c->kind])
        c->url = (Secret){integration_text(c, url[c->kind])};
    if (url_file[c->kind])
        c->url_file = integration_text(c, url_file[c->kind]);
    if (c->kind == INTEGRATION_PUSHOVER)
        c->url = (Secret){S("https://api.pushover.net/1/messages.json")};
    c->timeout_ms = (integration_field(c, "timeout")->num + NS_PER_MS - 1) / NS_PER_MS;
    c->max_alerts = (u64)integration_field(c, "max_alerts")->num;
    if (c->kind == INTEGRATION_DISCORD) {
        c->title = integration_text(c, "title");
        c->message = integration_text(c, "message");
        c->content = integration_text(c, "content");
        c->username = integration_text(c, "username");
        c->avatar_url = integration_text(c, "avatar_url");
        c->has_title = integration_field(c, "title")->is_set;
        c->has_message = integration_field(c, "message")->is_set;
    }
}

static bool has_authorization(const ConfNode *http)
{
    for (u32 i = 0; http && http->kind == CONF_MAP && i < http->len; i++)
        if (str_eq(http->keys[i].text, S("authorization")) || str_eq(http->keys[i].text, S("bearer_token")) ||
            str_eq(http->keys[i].text, S("bearer_token_file")))
            return !conf_node_is_null(&http->items[i]);
    return false;
}

void integration_read(ConfigReader *r, const ConfNode *n, IntegrationKind kind, IntegrationConfig *ret)
{
    const IntegrationSpec *s = &integration_specs[kind];
    ConfMap m;
    ret->kind = kind;
    ret->http = r->http;
    bool lenient = kind == INTEGRATION_SLACK || kind == INTEGRATION_OPSGENIE || kind == INTEGRATION_WECHAT ||
                   kind == INTEGRATION_ROCKETCHAT;
    if (conf_node_is_null(n) && !lenient) {
        conf_error(r->conf, n, "missing %s config", s->name);
        return;
    }
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->send_resolved = conf_bool(&m, "send_resolved", s->send_resolved);
    const ConfNode *http = kind == INTEGRATION_EMAIL ? NULL : conf_get(&m, "http_config");
    if (kind != INTEGRATION_EMAIL)
        ret->http = config_read_http(r, &m);
    ret->fields = fields_read(r, &m, s->fields, s->len);
    conf_map_end(&m);
    Checked k = {r, n, ret, http && !conf_node_is_null(http), has_authorization(http)};
    if (!ret->fields)
        return;
    check_kind(&k);
    set_address(ret);
    if (!s->is_sent)
        conf_warn(r->conf, n, "%s is not built yet: nothing is sent there", s->key);
}
