/* Which fields each kind of integration has, of what type and with what default: Alertmanager 0.33's. */
#include "alert/alert_internal.h"

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
    {"api_key", F_SECRET},
    {"api_key_file", F_FILE},
    {"api_url", F_URL},
    {"message", F_TMPL, T("opsgenie.default.message")},
    {"description", F_TMPL, T("opsgenie.default.description")},
    {"source", F_TMPL, T("opsgenie.default.source")},
    {"details", F_MAP},
    {"entity", F_TMPL},
    {"responders", F_LIST, SUB(responder_fields)},
    {"actions", F_TMPL},
    {"tags", F_TMPL},
    {"note", F_TMPL},
    {"priority", F_TMPL},
    {"update_alerts", F_BOOL},
};
static const FieldSpec wechat_fields[] = {
    {"api_secret", F_SECRET}, {"api_secret_file", F_FILE},
    {"corp_id", F_TEXT},      {"message", F_TMPL},
    {"api_url", F_URL},       {"to_user", F_TMPL},
    {"to_party", F_TMPL},     {"to_tag", F_TMPL},
    {"agent_id", F_TMPL},     {"message_type", F_TEXT, "text"},
};
static const FieldSpec victorops_fields[] = {
    {"api_key", F_SECRET},
    {"api_key_file", F_FILE},
    {"api_url", F_URL},
    {"routing_key", F_TMPL},
    {"message_type", F_TMPL, "CRITICAL"},
    {"state_message", F_TMPL, T("victorops.default.state_message")},
    {"entity_display_name", F_TMPL, T("victorops.default.entity_display_name")},
    {"monitoring_tool", F_TMPL, T("victorops.default.monitoring_tool")},
    {"custom_fields", F_MAP},
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
static const FieldSpec webex_fields[] = {
    {"api_url", F_URL}, {"message", F_TMPL, T("webex.default.message")}, {"room_id", F_TMPL}};
static const FieldSpec msteams_fields[] = {
    {"webhook_url", F_SECRET_URL},
    {"webhook_url_file", F_FILE},
    {"title", F_TMPL, T("msteams.default.title")},
    {"text", F_TMPL, T("msteams.default.text")},
    {"summary", F_TMPL, T("msteams.default.summary")},
};
static const FieldSpec msteamsv2_fields[] = {
    {"webhook_url", F_SECRET_URL},
    {"webhook_url_file", F_FILE},
    {"title", F_TMPL, T("msteamsv2.default.title")},
    {"text", F_TMPL, T("msteamsv2.default.text")},
};
static const FieldSpec ntfy_fields[] = {
    /* ours: https://docs.ntfy.sh/publish */
    {"url", F_SECRET_URL, "https://ntfy.sh"},
    {"url_file", F_FILE},
    {"topic", F_SECRET}, /* who knows it may read: a secret */
    {"topic_file", F_FILE},
    {"token", F_SECRET},
    {"token_file", F_FILE},
    {"title", F_TMPL, "{{ template \"__subject\" . }}"},
    {"message", F_TMPL, T("pushover.default.message")},
    {"priority", F_TMPL, "{{ if eq .Status \"firing\" }}high{{ else }}default{{ end }}"},
    {"tags", F_TMPL, "{{ if eq .Status \"firing\" }}rotating_light{{ else }}white_check_mark{{ end }}"},
    {"click", F_TMPL, T("pushover.default.url")},
    {"icon", F_TMPL},
    {"email", F_TMPL},
    {"markdown", F_BOOL},
    {"timeout", F_GO_DURATION},
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
    {"color", F_TMPL, "{{ if eq .Status \"firing\" }}red{{ else }}green{{ end }}"},
    {"title", F_TMPL, T("rocketchat.default.title")},
    {"title_link", F_TMPL, T("rocketchat.default.titlelink")},
    {"text", F_TMPL, T("rocketchat.default.text")},
    {"fields", F_LIST, SUB(rocketchat_field_fields)},
    {"short_fields", F_BOOL},
    {"emoji", F_TMPL, T("rocketchat.default.emoji")},
    {"icon_url", F_TMPL, T("rocketchat.default.iconurl")},
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
    {"username", F_TMPL, T("mattermost.default.username")},
    {"text", F_TMPL, T("mattermost.default.text")},
    {"fallback", F_TMPL, T("mattermost.default.fallback")},
    {"color", F_TMPL, T("mattermost.default.color")},
    {"pretext", F_TMPL},
    {"author_name", F_TMPL},
    {"author_link", F_TMPL},
    {"author_icon", F_TMPL},
    {"title", F_TMPL, T("mattermost.default.title")},
    {"title_link", F_TMPL, T("mattermost.default.titlelink")},
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
    KIND(OPSGENIE, opsgenie, true, true),
    KIND(WECHAT, wechat, false, false),
    KIND(SLACK, slack, false, true),
    KIND(VICTOROPS, victorops, true, true),
    KIND(PUSHOVER, pushover, true, true),
    KIND(SNS, sns, true, false),
    KIND(TELEGRAM, telegram, true, true),
    KIND(DISCORD, discord, true, true),
    KIND(WEBEX, webex, true, true),
    KIND(MSTEAMS, msteams, true, true),
    KIND(MSTEAMSV2, msteamsv2, true, true),
    KIND(JIRA, jira, true, false),
    KIND(ROCKETCHAT, rocketchat, false, true),
    KIND(MATTERMOST, mattermost, true, true),
    KIND(INCIDENTIO, incidentio, true, true),
    KIND(NTFY, ntfy, true, true),
};
