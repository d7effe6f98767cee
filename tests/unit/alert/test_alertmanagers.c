#include "test.h"
#include "alert/alert.h"

typedef struct Far {
    VEC(char *) seen; /* url, newline, body */
    int status;
} Far;

static Err on_call(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret)
{
    Far *f = arg;
    Buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "%.*s\n%.*s", STR_FMT(call->url), STR_FMT(call->body));
    vec_push(&f->seen, mem_strdup(buf_view(&b)));
    buf_done(&b);
    *ret = (HttpResult){.status = f->status ? f->status : 200};
    return OK;
}

static void test_sends(void **state)
{
    static VirtualClock clock;
    Far far = {0};
    virtual_clock_init(&clock, 1800000000000LL * NS_PER_MS);
    Loop *loop = loop_new(&clock.clock);
    AlertmanagersEnv env = {
        .loop = loop, .clock = &clock.clock, .call = on_call, .call_arg = &far, .vfs = vfs_os()};
    Alertmanagers *m = alertmanagers_new(&env);
    PromConfig *cfg = prom_config_read_text(
        vfs_os(), "p.yml",
        S("global: {external_labels: {dc: eu, team: ext}}\n"
          "alerting:\n"
          "  alert_relabel_configs: [{source_labels: [drop], regex: 'yes', action: drop}]\n"
          "  alertmanagers:\n"
          "  - path_prefix: /am\n    static_configs: [{targets: ['a:9093', 'me:9090']}]\n"
          "  - scheme: https\n    static_configs: [{targets: ['b', 'gone:1']}]\n"
          "    relabel_configs: [{source_labels: [__address__], regex: 'gone.*', action: drop}]\n"));
    Why why = {0};
    assert_ok(prom_config_verdict(cfg, &why), &why);
    alertmanagers_apply(m, cfg, S("me:9090"));
    for (int i = 0; i < 10; i++)
        loop_run_once(loop, 0);
    Buf out;
    buf_init(&out, 1 << 16);
    alertmanagers_json(m, &out);
    assert_string_equal(buf_cstr(&out), "{\"activeAlertmanagers\":[{\"url\":\"http://a:9093/am/api/v2/"
                                        "alerts\"},{\"url\":\"https://b:443/api/v2/alerts\"}],"
                                        "\"droppedAlertmanagers\":[{\"url\":\"http://me:9090/am/api/v2/"
                                        "alerts\"},{\"url\":\"https://gone:1/api/v2/alerts\"}]}");
    Label one[] = {{S("alertname"), S("A")}, {S("team"), S("own")}},
          two[] = {{S("alertname"), S("B")}, {S("drop"), S("yes")}};
    AlertNotice as[] = {{.labels = {one, 2},
                         .starts_ms = 1800000000000,
                         .ends_ms = 1800000240000,
                         .generator_url = S("http://g")},
                        {.labels = {two, 2},
                         .starts_ms = 1800000000000,
                         .ends_ms = 1800000240000,
                         .generator_url = S("http://g")}};
    AlertSink *sinks[] = {alertmanagers_sink(m)};
    AlertSink *tee = alert_tee_new(sinks, 1);
    tee->send(tee, as, 2);
    assert_int_equal(far.seen.len, 2);
    assert_string_equal(
        far.seen.at[0],
        "http://a:9093/am/api/v2/"
        "alerts\n[{\"annotations\":{},\"endsAt\":\"2027-01-15T08:04:00Z\",\"startsAt\":\"2027-01-15T08:00:"
        "00Z\","
        "\"generatorURL\":\"http://g\",\"labels\":{\"alertname\":\"A\",\"dc\":\"eu\",\"team\":\"own\"}}]");
    far.status = 500; /* no retry: the rules send again */
    tee->send(tee, as, 1);
    assert_int_equal(far.seen.len, 4);
    alertmanagers_apply(m, cfg, S(""));
    for (int i = 0; i < 10; i++)
        loop_run_once(loop, 0);
    tee->send(tee, as, 1);
    assert_int_equal(far.seen.len, 7);
    alert_tee_free(tee);
    alertmanagers_free(m);
    for (int i = 0; i < 10; i++)
        loop_run_once(loop, 0);
    prom_config_unref(cfg);
    loop_free(loop);
    for (size_t i = 0; i < far.seen.len; i++)
        mem_free(far.seen.at[i]);
    vec_done(&far.seen);
    buf_done(&out);
}

int main(void)
{
    log_set_level((LogLevel)(LOG_LEVEL_ERROR + 1));
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
