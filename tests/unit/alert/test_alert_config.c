#include "test.h"
#include "alert/alert.h"

static const struct {
    const char *yaml, *want; /* NULL: accepted; "~": accepted with this warning */
} rows[] = {
    {"route: {receiver: a}\nreceivers: [{name: a}]\n", NULL},
    {"global: {resolve_timeout: 1m, slack_api_url: 'http://x'}\nroute: {receiver: a, group_by: "
     "['...']}\nreceivers: [{name: a}]\n",
     NULL},
    {"route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{channel: x}]}]\n",
     "no Slack API URL nor App token set"},
    {"global: {slack_api_url: 'http://x/SECRET'}\nroute: {receiver: a}\nreceivers: [{name: a, slack_configs: "
     "[{channel: x}]}]\n",
     NULL},
    {"route: {receiver: a}\nreceivers: [{name: a, wechat_configs: [{api_secret: SECRETkey, corp_id: c}]}]\n",
     "~wechat_configs is not built yet"},
    {"route: {receiver: a, routes: [{receiver: b, matchers: [x=y]}]}\nreceivers: [{name: a}, {name: b}]\n",
     NULL},
    {"route: {receiver: a, routes: [{matchers: ['x=\\d']}]}\nreceivers: [{name: a}]\n",
     "~only the classic matcher syntax can read it; write x=\"\\\\d\""},
    {"route: {receiver: a, routes: [{mute_time_intervals: [t]}]}\nreceivers: [{name: a}]\n",
     "undefined time interval \"t\" used in route"},
    {"route: {receiver: a}\nreceivers: [{name: a}]\ninhibit_rules: [{equal: [x]}]\n", NULL},
    {"route: {receiver: a}\nreceivers: [{name: a}]\ninhibit_rules: [{equal: ['']}]\n", "invalid label name"},
    {"route: {receiver: a}\nreceivers: [{name: a, email_configs: [{to: x}]}]\n",
     "no global SMTP smarthost set"},
    {"route: {receiver: a}\nreceivers: [{name: a, telegram_configs: [{bot_token: SECRETtoken}]}]\n",
     "missing chat_id"},
    {"route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{}]}]\n",
     "missing service or routing key"},
    {"route: {receiver: a}\nreceivers: [{name: a, pushover_configs: [{user_key: SECRETu, token: SECRETt, "
     "retry: "
     "30}]}]\n",
     "retry"},
    {"receivers: [{name: a}]\n", "no route provided in config"},
    {"route: {}\nreceivers: [{name: a}]\n", "root route must specify a default receiver"},
    {"route: {receiver: b}\nreceivers: [{name: a}]\n", "undefined receiver \"b\" used in route"},
    {"route: {receiver: a}\nreceivers: [{name: a}, {name: a}]\n",
     "notification config name \"a\" is not unique"},
    {"route: {receiver: a}\nreceivers: [{}]\n", "missing name in receiver"},
    {"route: {receiver: a, group_by: [x, x]}\nreceivers: [{name: a}]\n",
     "duplicated label \"x\" in group_by"},
    {"route: {receiver: a, group_by: [x, '...']}\nreceivers: [{name: a}]\n", "cannot have wildcard group_by"},
    {"route: {receiver: a, group_interval: 0s}\nreceivers: [{name: a}]\n", "group_interval cannot be zero"},
    {"route: {receiver: a, matchers: [a=b]}\nreceivers: [{name: a}]\n",
     "root route must not have any matchers"},
    {"route: {receiver: a, continue: true}\nreceivers: [{name: a}]\n", "cannot have continue in root route"},
    {"route: {receiver: a, reciever: b}\nreceivers: [{name: a}]\n", "reciever"},
    {"route: {receiver: a}\nreceivers: [{name: a, discord_configs: [{}]}]\n",
     "one of webhook_url or webhook_url_file must be configured"},
    {"route: {receiver: a}\nreceivers: [{name: a, discord_configs: [{webhook_url: 'http://x/SECRET', "
     "webhook_url_file: f}]}]\n",
     "at most one of webhook_url & webhook_url_file must be configured"},
    {"route: {receiver: a}\nreceivers: [{name: a, discord_configs: [{webhook_url: 'SECRETnourl'}]}]\n",
     "is not a URL"},
    {"route: {receiver: a}\nreceivers: [{name: a, discord_configs: [{webhook_url: 'http://x/SECRET', title: "
     "'{{ nope }}'}]}]\n",
     "~function \"nope\" not defined"},
    {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x', max_alerts: -1}]}]\n",
     "max_alerts"},
    {"route: {receiver: a, group_wait: soon}\nreceivers: [{name: a}]\n", "group_wait"},
    {"- a\n", ""},
    {"", "no route"},
};

static void test_verdicts(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AlertConfig *c = alert_config_parse(vfs_os(), "am.yml", str_c(rows[i].yaml));
        Buf out;
        Why why = {0};
        buf_init(&out, 1 << 16);
        Err e = alert_config_verdict(c, &why);
        alert_config_print_issues(c, &out);
        const char *want = rows[i].want;
        bool accept = !want || want[0] == '~';
        if ((e == OK) != accept || (want && !strstr(buf_cstr(&out), want + (want[0] == '~'))))
            fail_msg("%s\n%s: %s\n%s", rows[i].yaml, err_name(e), why.text, buf_cstr(&out));
        if (strstr(buf_cstr(&out), "SECRET"))
            fail_msg("a secret was printed: %s", buf_cstr(&out));
        assert_true((alert_config_route(c) != NULL) == accept);
        buf_done(&out);
        alert_config_unref(c);
    }
    AlertConfig *c = alert_config_load(vfs_os(), "/nonexistent/am.yml");
    assert_int_not_equal(alert_config_verdict(c, NULL), OK);
    alert_config_unref(c);
}

static void test_defaults(void **state)
{
    AlertConfig *c = alert_config_parse(
        vfs_os(), "am.yml", S("route: {receiver: a, routes: [{group_wait: 1s}]}\nreceivers: [{name: a}]\n"));
    const AlertRoute *r = alert_config_route(c);
    assert_int_equal(r->group_wait_ms, 30000);
    assert_int_equal(r->group_interval_ms, 300000);
    assert_int_equal(r->repeat_interval_ms, 4 * 3600000);
    assert_int_equal(r->routes[0].group_wait_ms, 1000);
    assert_int_equal(r->routes[0].group_interval_ms, 300000);
    assert_ptr_equal(r->routes[0].receiver, r->receiver);
    alert_config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts), cmocka_unit_test(test_defaults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
