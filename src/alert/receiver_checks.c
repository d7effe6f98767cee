/* What a table of fields cannot say about an integration: fields that exclude each other, defaults of the global block. */
#include "alert/alert_internal.h"
#include "alert/notify/notify.h"

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
        const FieldValue *sub = actions->sub[i].sub; /* type, text, url, style, name, value, confirm */
        if (sub && !sub[2].text.len && !sub[4].text.len)
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

static void check_ntfy(Checked *k)
{
    one_of(k, "topic", "topic_file");
    at_most_one(k, "token", "token_file");
    if (k->has_auth && (is_given(k, "token") || is_given(k, "token_file")))
        conf_error(k->r->conf, k->node, "a token and http_config.authorization: one of them is enough");
    if (field(k, "url_file")->text.len && !field(k, "url")->is_set)
        field(k, "url")->text = S("");
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
        inherit(k, "api_url", "webex_api_url", NULL);
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
    case INTEGRATION_NTFY:
        check_ntfy(k);
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
        [INTEGRATION_PAGERDUTY] = "url",       [INTEGRATION_OPSGENIE] = "api_url",
        [INTEGRATION_VICTOROPS] = "api_url",   [INTEGRATION_WEBEX] = "api_url",
        [INTEGRATION_MSTEAMS] = "webhook_url", [INTEGRATION_MSTEAMSV2] = "webhook_url",
        [INTEGRATION_ROCKETCHAT] = "api_url",  [INTEGRATION_MATTERMOST] = "webhook_url",
        [INTEGRATION_INCIDENTIO] = "url",      [INTEGRATION_NTFY] = "url",
    };
    static const char *const url_file[INTEGRATION_KINDS] = {
        [INTEGRATION_DISCORD] = "webhook_url_file",   [INTEGRATION_WEBHOOK] = "url_file",
        [INTEGRATION_SLACK] = "api_url_file",         [INTEGRATION_MSTEAMS] = "webhook_url_file",
        [INTEGRATION_MSTEAMSV2] = "webhook_url_file", [INTEGRATION_MATTERMOST] = "webhook_url_file",
        [INTEGRATION_INCIDENTIO] = "url_file",        [INTEGRATION_NTFY] = "url_file",
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

void integration_check(ConfigReader *r, const ConfNode *n, IntegrationConfig *c, bool has_http, bool has_auth)
{
    Checked k = {r, n, c, has_http, has_auth};
    check_kind(&k);
    set_address(c);
}
