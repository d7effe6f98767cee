/* What each receiver is sent, where its secrets go, and that they go nowhere else. */
#include "test.h"
#include "alert/alert.h"
#include "alert/notify/notify.h"

#include <jansson.h>
#include <stdlib.h>

typedef struct Seen {
    char *url, *body, *auth, more[300], methods[100];
    const char *answer;
    int status, calls;
    bool keep_first; /* of several requests the first is kept, not the last */
} Seen;

static Err on_call(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret)
{
    Seen *s = arg;
    size_t used = strlen(s->methods);
    snprintf(s->methods + used, sizeof s->methods - used, "%.*s ", STR_FMT(call->method));
    if (!s->calls++ || !s->keep_first) {
        mem_free(s->url);
        mem_free(s->body);
        mem_free(s->auth);
        s->url = mem_strdup(call->url);
        s->body = mem_strdup(call->body);
        s->auth = mem_strdup(secret_reveal(call->config->auth_credentials));
    }
    s->more[0] = 0;
    for (u32 i = 1; i < call->headers_len; i++) {
        used = strlen(s->more);
        snprintf(s->more + used, sizeof s->more - used, "%.*s: %.*s\n", STR_FMT(call->headers[i].name),
                 STR_FMT(call->headers[i].value));
    }
    *ret = (HttpResult){.status = s->status ? s->status : 200, .body = str_c(s->answer ? s->answer : "ok")};
    if (s->status < 0) { /* a careless library */
        why_set(&ret->why, E_TIMEOUT, "timeout at %s with %s", s->url, s->body);
        ret->err = E_TIMEOUT;
        return E_TIMEOUT;
    }
    return OK;
}

static void seen_done(Seen *s)
{
    mem_free(s->url);
    mem_free(s->body);
    mem_free(s->auth);
}

/* Renders for the one integration of yaml and sends. */
static DeliveryResult deliver(const char *receiver, bool resolved, Seen *seen)
{
    char yaml[4096];
    snprintf(yaml, sizeof yaml, "route: {receiver: r}\nreceivers: [{name: r, %s}]\n", receiver);
    AlertConfig *c = alert_config_parse(vfs_os(), "am.yml", str_c(yaml));
    Why why = {0};
    Arena arena;
    Buf body;
    u32 n;
    assert_ok(alert_config_verdict(c, &why), &why);
    const IntegrationConfig *i = &alert_config_receivers(c, &n)[0].integrations[0];
    Label labels[] = {{S("alertname"), S("A<b>")}, {S("sev"), S("page")}};
    Label notes[] = {{S("summary"), S("It's \"bad\" & worse")}};
    NotifyAlert a = {.labels = {labels, 2},
                     .annotations = {notes, 1},
                     .starts_ns = 1800000000 * NS_PER_SEC,
                     .ends_ns = resolved ? 1800000060 * NS_PER_SEC : 0,
                     .is_resolved = resolved,
                     .generator_url = S("http://g/"),
                     .fingerprint = 0xabc};
    NotifyData d = {.receiver = S("r"),
                    .external_url = S("http://am:9093"),
                    .group_key = S("{}:{alertname=\"A<b>\"}"),
                    .alerts = &a,
                    .len = 1,
                    .group_labels = {labels, 1},
                    .now_ms = 1800000070000};
    arena_init(&arena, NULL, 16 << 20);
    buf_init(&body, 4 << 20);
    notify_set_common(&d, &arena);
    TmplSet *set = notify_templates_new();
    assert_ok(notify_body(i, set, &d, &arena, &body, &why), &why);
    NotifyTransport t = {.call = on_call, .arg = seen, .vfs = vfs_os(), .clock = clock_real()};
    Delivery del = {.config = i, .kind = 'W', .body = buf_view(&body), .group_key = d.group_key};
    DeliveryResult r;
    if (strstr(buf_cstr(&body), "SECRET"))
        fail_msg("a secret in what the outbox would hold: %s", buf_cstr(&body));
    notify_deliver(&t, &del, &arena, &r);
    if (strstr(r.reason, "SECRET"))
        fail_msg("a secret in a reason: %s", r.reason);
    tmpl_set_free(set);
    buf_done(&body);
    arena_done(&arena);
    alert_config_unref(c);
    return r;
}

static void test_slack(void **state)
{
    Seen s = {.answer = "{\"ok\":true,\"ts\":\"1503.0002\"}"};
    DeliveryResult r =
        deliver("slack_configs: [{app_token: SECRETtoken, channel: '#x', fields: [{title: t, value: "
                "'{{ .Status }}', short: true}], actions: [{type: button, text: b, url: u}]}]",
                false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_string_equal(r.provider_id, "1503.0002");
    assert_string_equal(s.url, "https://slack.com/api/chat.postMessage");
    assert_string_equal(s.auth, "SECRETtoken");
    assert_string_equal(
        s.body,
        "{\"channel\":\"#x\",\"username\":\"Alertmanager\",\"attachments\":[{\"title\":\"[FIRING:1] "
        "A\\u003cb\\u003e (page)\",\"title_link\":\"http://am:9093/#/"
        "alerts?receiver=r\",\"text\":\"\",\"fallback\":\"[FIRING:1] A\\u003cb\\u003e (page) | "
        "http://am:9093/#/alerts?receiver=r\",\"callback_id\":\"\",\"fields\":[{\"title\":\"t\",\"value\":"
        "\"firing\",\"short\":true}],\"actions\":[{\"type\":\"button\",\"text\":\"b\",\"url\":\"u\"}],"
        "\"footer\":\"\",\"color\":\"danger\",\"mrkdwn_in\":[\"fallback\",\"pretext\",\"text\"]}]}\n");
    seen_done(&s);
    s = (Seen){.answer = "{\"ok\":false,\"error\":\"channel_not_found\"}"};
    r = deliver("slack_configs: [{api_url: 'http://h/SECRETSECRET'}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_GONE);
    assert_non_null(strstr(r.reason, "channel_not_found"));
    seen_done(&s);
    s = (Seen){.answer = "no_team", .status = 404};
    r = deliver("slack_configs: [{api_url: 'http://h/SECRETSECRET'}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_GONE);
    seen_done(&s);
    s = (Seen){.status = -1};
    r = deliver("slack_configs: [{api_url: 'http://h/SECRETSECRET'}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_RETRY);
    seen_done(&s);
}

static void test_telegram(void **state)
{
    Seen s = {.answer = "{\"ok\":true,\"result\":{\"message_id\":77}}"};
    DeliveryResult r =
        deliver("telegram_configs: [{bot_token: 'SECRET:token', chat_id: -100, message: '<b>{{ "
                ".CommonAnnotations.summary }}</b>'}]",
                false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_string_equal(r.provider_id, "77");
    assert_string_equal(s.url, "https://api.telegram.org/botSECRET:token/sendMessage");
    assert_string_equal(s.body,
                        "{\"chat_id\":\"-100\",\"disable_web_page_preview\":\"true\",\"parse_mode\":\"HTML\","
                        "\"text\":\"\\u003cb\\u003eIt\\u0026#39;s "
                        "\\u0026#34;bad\\u0026#34; \\u0026amp; worse\\u003c/b\\u003e\"}\n");
    seen_done(&s);
    s = (Seen){.status = 429,
               .answer =
                   "{\"ok\":false,\"description\":\"Too Many Requests\",\"parameters\":{\"retry_after\":7}}"};
    r = deliver("telegram_configs: [{bot_token: 'SECRET:token', chat_id: 1}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_RETRY);
    assert_int_equal(r.retry_ms, 7000);
    seen_done(&s);
    s = (Seen){.status = -1};
    r = deliver("telegram_configs: [{bot_token: 'SECRET:token', chat_id: 1}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_RETRY);
    seen_done(&s);
}

static void test_pagerduty(void **state)
{
    for (int resolved = 0; resolved <= 1; resolved++) {
        Seen s = {.status = 202, .answer = "{\"status\":\"success\",\"dedup_key\":\"k\"}"};
        DeliveryResult r =
            deliver("pagerduty_configs: [{routing_key: SECRETkey1, details: {n: {x: '{{ .Status }}'}}, "
                    "links: [{href: 'http://l', text: t}, {text: nowhere}]}]",
                    resolved, &s);
        json_error_t err;
        json_t *root = json_loads(s.body, 0, &err), *payload = json_object_get(root, "payload"),
               *details = json_object_get(payload, "custom_details");
        assert_int_equal(r.verdict, DELIVERED);
        assert_string_equal(s.url, "https://events.pagerduty.com/v2/enqueue");
        assert_string_equal(json_string_value(json_object_get(root, "routing_key")), "SECRETkey1");
        assert_string_equal(json_string_value(json_object_get(root, "event_action")),
                            resolved ? "resolve" : "trigger");
        /* SHA-256 of the group key */
        assert_string_equal(json_string_value(json_object_get(root, "dedup_key")),
                            "47e352f74f0a3b2ea8e82c3f00202a44129a0118de383057ca852da10be1a260");
        assert_string_equal(json_string_value(json_object_get(payload, "severity")), "error");
        assert_string_equal(json_string_value(json_object_get(json_object_get(details, "n"), "x")),
                            resolved ? "resolved" : "firing");
        assert_int_equal(json_array_size(json_object_get(details, "firing")), !resolved);
        assert_int_equal(json_array_size(json_object_get(root, "links")), 1);
        json_decref(root);
        seen_done(&s);
    }
    Seen s = {.status = -1};
    DeliveryResult r = deliver("pagerduty_configs: [{service_key: SECRETkey1}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_RETRY);
    assert_non_null(strstr(s.body, "\"service_key\":\"SECRETkey1\",\"incident_key\":"));
    seen_done(&s);
}

static void test_pushover(void **state)
{
    Seen s = {.answer = "{\"status\":1,\"request\":\"req-1\"}"};
    DeliveryResult r =
        deliver("pushover_configs: [{user_key: SECRETuser, token: SECRETtoken, ttl: 90s}]", false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_string_equal(r.provider_id, "req-1");
    assert_true(
        str_starts(str_c(s.body), S("token=SECRETtoken&user=SECRETuser&title=%5BFIRING%3A1%5D+A%3Cb%3E")));
    assert_non_null(strstr(s.body, "&priority=2&retry=60&expire=3600&device=&sound=&ttl=90"));
    seen_done(&s);
}

static void test_webhook(void **state)
{
    Seen s = {.answer = ""};
    deliver("webhook_configs: [{url: 'http://h/SECRETSECRET', payload: {text: '{{ .Status }}', n: 1, on: "
            "true, list: [a, "
            "'{{ .Alerts | len }}'], alerts: '{{ .Alerts | toJson }}'}}]",
            false, &s);
    assert_string_equal(
        s.body,
        "{\"text\":\"firing\",\"n\":1,\"on\":true,\"list\":[\"a\",1],\"alerts\":[{\"status\":\"firing\","
        "\"labels\":{\"alertname\":\"A\\u003cb\\u003e\",\"sev\":\"page\"},\"annotations\":{\"summary\":"
        "\"It's \\\"bad\\\" \\u0026 worse\"},\"startsAt\":\"2027-01-15T08:00:00Z\",\"endsAt\":"
        "\"0001-01-01T00:00:00Z\",\"generatorURL\":\"http://g/\",\"fingerprint\":\"0000000000000abc\"}]}\n");
    seen_done(&s);
    /* A template that fails is told with what can be told. */
    s = (Seen){.answer = "ok"};
    DeliveryResult r =
        deliver("slack_configs: [{api_url: 'http://h/SECRETSECRET', title: '{{ .Nope.Nope }}'}]", false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_non_null(strstr(s.body, "template error"));
    assert_non_null(strstr(s.body, "page"));
    seen_done(&s);
}

/* ---- rooms and pagers ---- */
static json_t *member(const Seen *s, const char *path)
{
    static json_t *root;
    json_error_t err;
    char copy[200];
    json_decref(root);
    root = s ? json_loads(s->body, 0, &err) : NULL;
    json_t *at = root;
    snprintf(copy, sizeof copy, "%s", s ? path : "");
    for (char *part = strtok(copy, "/"); part && at; part = strtok(NULL, "/"))
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(part)) : json_object_get(at, part);
    return at;
}

#define assert_member(s, path, want)                                                                         \
    do {                                                                                                     \
        const char *text_ = json_string_value(member((s), (path)));                                          \
        if (!text_ || strcmp(text_, (want)))                                                                 \
            fail_msg("%s is %s, not %s, in %s", (path), text_ ? text_ : "not there", (want), (s)->body);     \
    } while (0)

static void test_rooms(void **state)
{
    Seen s = {.answer = "{\"id\":\"w1\"}"};
    DeliveryResult r =
        deliver("webex_configs: [{room_id: 'room {{ .Status }}', http_config: {authorization: {credentials: "
                "SECRETcred}}}]",
                false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_string_equal(s.url, "https://webexapis.com/v1/messages");
    assert_member(&s, "roomId", "room firing");
    seen_done(&s);
    s = (Seen){.answer = "1"};
    r = deliver("msteams_configs: [{webhook_url: 'http://h/SECRETSECRET'}]", true, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_member(&s, "@context", "http://schema.org/extensions");
    assert_member(&s, "themeColor", "2DC72D");
    assert_member(&s, "title", "[RESOLVED] A<b> (page)");
    seen_done(&s);
    s = (Seen){.status = 202, .answer = ""};
    r = deliver("msteamsv2_configs: [{webhook_url: 'http://h/SECRETSECRET'}]", false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_member(&s, "attachments/0/content/body/0/color", "Attention");
    assert_member(&s, "attachments/0/content/body/0/text", "[FIRING:1] A<b> (page)");
    assert_non_null(
        strstr(json_string_value(member(&s, "attachments/0/content/body/1/text")), "# Alerts Firing:"));
    seen_done(&s);
    s = (Seen){.answer = "{\"success\":true,\"message\":{\"_id\":\"m7\"}}"};
    r = deliver("rocketchat_configs: [{token: SECRETtoken, token_id: SECRETid00, channel: c, fields: "
                "[{title: t, value: v, short: "
                "true}], actions: [{text: go, url: 'http://x'}]}]",
                false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_string_equal(r.provider_id, "m7");
    assert_string_equal(s.url, "https://open.rocket.chat/api/v1/chat.postMessage");
    assert_string_equal(s.more, "X-Auth-Token: SECRETtoken\nX-User-Id: SECRETid00\n");
    assert_member(&s, "attachments/0/color", "red");
    assert_member(&s, "attachments/0/actions/0/type", "button");
    seen_done(&s);
    s = (Seen){.answer = "{\"success\":false,\"error\":\"no such room for SECRETtoken\"}"};
    r = deliver("rocketchat_configs: [{token: SECRETtoken, token_id: SECRETid00, channel: c}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_GONE);
    assert_non_null(strstr(r.reason, "no such room"));
    seen_done(&s);
    s = (Seen){.answer = "ok"};
    r = deliver("mattermost_configs: [{webhook_url: 'http://h/SECRETSECRET', channel: c, priority: "
                "{priority: Urgent, "
                "requested_ack: true, persistent_notifications: true}, props: {card: x}}]",
                false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_member(&s, "priority/priority", "urgent");
    assert_true(json_is_true(member(&s, "priority/persistent_notifications")));
    assert_member(&s, "props/card", "x");
    assert_member(&s, "attachments/0/color", "danger");
    seen_done(&s);
    s = (Seen){.answer = "{\"id\":\"n1\"}"};
    r = deliver(
        "ntfy_configs: [{url: 'https://ntfy.example', topic: SECRETtopic, token: SECRETtoken, tags: 'a, b'}]",
        false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_string_equal(s.url, "https://ntfy.example");
    assert_string_equal(s.auth, "SECRETtoken");
    assert_member(&s, "topic", "SECRETtopic");
    assert_member(&s, "tags/1", "b");
    assert_int_equal(json_integer_value(member(&s, "priority")), 4);
    seen_done(&s);
    s = (Seen){.status = 429, .answer = "{\"code\":42901,\"error\":\"limit reached on SECRETtopic\"}"};
    r = deliver("ntfy_configs: [{topic: SECRETtopic}]", false, &s);
    assert_int_equal(r.verdict, DELIVERY_RETRY);
    assert_string_equal(s.url, "https://ntfy.sh");
    seen_done(&s);
    member(NULL, "");
}

static void test_pagers(void **state)
{
    static const char *const opsgenie =
        "opsgenie_configs: [{api_key: SECRETkey1, update_alerts: true, tags: 'a,,b', details: {x: "
        "'{{ .Status }}', sev: own}, responders: [{type: teams, name: 'p,q'}, {type: user, "
        "username: '{{ .CommonLabels.nobody }}'}]}]";
    Seen s = {.status = 202, .answer = "{\"requestId\":\"r1\"}"};
    DeliveryResult r = deliver(opsgenie, false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_int_equal(s.calls, 3); /* what is seen is the last of them */
    assert_string_equal(s.methods, "POST PUT PUT ");
    assert_string_equal(s.url, "https://api.opsgenie.com/v2/alerts/"
                               "47e352f74f0a3b2ea8e82c3f00202a44129a0118de383057ca852da10be1a260/"
                               "description?identifierType=alias");
    assert_string_equal(s.auth, "SECRETkey1");
    seen_done(&s);
    s = (Seen){.status = 202, .answer = "{}", .keep_first = true};
    deliver(opsgenie, false, &s);
    assert_string_equal(s.url, "https://api.opsgenie.com/v2/alerts");
    assert_member(&s, "details/x", "firing");
    assert_member(&s, "details/sev", "own");
    assert_member(&s, "details/alertname", "A<b>");
    assert_member(&s, "responders/1/name", "q");
    assert_member(&s, "responders/1/type", "team");
    assert_member(&s, "tags/1", "b");
    seen_done(&s);
    s = (Seen){.status = 202, .answer = "{}"};
    deliver(opsgenie, true, &s);
    assert_int_equal(s.calls, 1);
    assert_true(str_ends(str_c(s.url), S("a260/close?identifierType=alias")));
    seen_done(&s);
    s = (Seen){.status = 500, .answer = "{\"message\":\"oops SECRETkey1\"}"};
    r = deliver(opsgenie, false, &s);
    assert_int_equal(r.verdict, DELIVERY_RETRY); /* the first failed: the others are not sent */
    assert_int_equal(s.calls, 1);
    seen_done(&s);
    for (int resolved = 0; resolved <= 1; resolved++) {
        s = (Seen){.answer = "{}"};
        r = deliver("victorops_configs: [{api_key: SECRETkey1, routing_key: 'team {{ .Status }}', "
                    "message_type: nonsense, "
                    "custom_fields: {f: '{{ .Receiver }}'}}]",
                    resolved, &s);
        assert_int_equal(r.verdict, DELIVERED);
        assert_string_equal(
            s.url,
            resolved
                ? "https://alert.victorops.com/integrations/generic/20131114/alert/SECRETkey1/team%20resolved"
                : "https://alert.victorops.com/integrations/generic/20131114/alert/SECRETkey1/team%20firing");
        assert_member(&s, "message_type", resolved ? "RECOVERY" : "CRITICAL");
        assert_member(&s, "f", "r");
        seen_done(&s);
    }
    s = (Seen){.status = 202, .answer = "{}"};
    r = deliver("incidentio_configs: [{url: 'http://h/SECRETSECRET', alert_source_token: SECRETtoken}]",
                false, &s);
    assert_int_equal(r.verdict, DELIVERED);
    assert_string_equal(s.auth, "SECRETtoken");
    assert_member(&s, "version", "1");
    seen_done(&s);
    member(NULL, "");
}

/* The card: the worst severity's colour, labels as fields, links; no link that is none. */
static void test_card(void **state)
{
    static const struct {
        const char *severity;
        int color;
    } rows[] = {{"critical", 0x992d22},
                {"page", 0x992d22},
                {"Warning", 0xe67e22},
                {"info", 0x3498db},
                {"", 0x992d22}};
    AlertConfig *c = alert_config_discord((Secret){S("https://discord.example/api/webhooks/1/SECRETtoken")});
    Why why = {0};
    u32 n;
    const IntegrationConfig *i = &alert_config_receivers(c, &n)[0].integrations[0];
    TmplSet *set = notify_templates_new();
    for (size_t k = 0; k < COUNT_OF(rows); k++)
        for (int resolved = 0; resolved <= 1; resolved++) {
            Label labels[] = {
                {S("alertname"), S("A")}, {S("job"), S("j(1)")}, {S("severity"), str_c(rows[k].severity)}};
            Label notes[] = {{S("dashboard_url"), S("https://d/(x)")},
                             {S("runbook_url"), S("javascript:alert(1)")}};
            NotifyAlert a = {.labels = {labels, rows[k].severity[0] ? 3 : 2},
                             .annotations = {notes, 2},
                             .starts_ns = NS_PER_SEC,
                             .ends_ns = resolved ? 2 * NS_PER_SEC : 0,
                             .is_resolved = resolved,
                             .generator_url = S("http://g/?q=1")};
            NotifyData d = {.external_url = S("http://me:9090"),
                            .silence_path = S("/silences?new=1&filter="),
                            .group_key = S("{}:{}"),
                            .alerts = &a,
                            .len = 1};
            Arena arena;
            Buf body;
            json_error_t err;
            arena_init(&arena, NULL, 1 << 20);
            buf_init(&body, 1 << 20);
            notify_set_common(&d, &arena);
            assert_ok(discord_body(i, set, &d, DISCORD_POST, &arena, &body, &why), &why);
            json_t *root = json_loads(buf_cstr(&body), 0, &err),
                   *card = json_array_get(json_object_get(root, "embeds"), 0),
                   *fields = json_object_get(card, "fields"),
                   *links = json_array_get(fields, json_array_size(fields) - 1);
            assert_int_equal(json_integer_value(json_object_get(card, "color")),
                             resolved ? 0x2ecc71 : rows[k].color);
            assert_string_equal(json_string_value(json_object_get(json_array_get(fields, 0), "name")), "job");
            const char *text = json_string_value(json_object_get(links, "value"));
            assert_non_null(strstr(text, "[Graph](http://g/?q=1)"));
            assert_non_null(strstr(text, "[Dashboard](https://d/%28x%29)"));
            assert_null(strstr(text, "Runbook"));
            const char *silence =
                strstr(text, "[Silence](http://me:9090/"
                             "silences?new=1&filter=%7Balertname%3D%22A%22%2Cjob%3D%22j%281%29%22");
            assert_true((silence == NULL) == (resolved != 0));
            json_decref(root);
            buf_done(&body);
            arena_done(&arena);
        }
    tmpl_set_free(set);
    alert_config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slack),     cmocka_unit_test(test_telegram),
                                       cmocka_unit_test(test_pagerduty), cmocka_unit_test(test_pushover),
                                       cmocka_unit_test(test_webhook),   cmocka_unit_test(test_rooms),
                                       cmocka_unit_test(test_pagers),    cmocka_unit_test(test_card)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
