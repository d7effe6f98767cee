/* prometheus.yml: Prometheus's verdicts on its own test files, what is read, and the sentences of errors. */
#include "test.h"
#include "collect/collect.h"
#include <dirent.h>

/* Files whose names do not tell Prometheus's verdict, and the few where ours differs on purpose. */
static const struct {
    const char *file;
    bool refused;
    const char *reason;
} exceptions[] = {
    {"config_with_deprecated_am_api_config.yml", true,
     "Prometheus refuses api_version v1 although the file is not named bad"},
    {"otlp_allow_utf8.incompatible.yml", true, "refused by Prometheus: the strategy needs UTF-8 names"},
    {"otlp_no_translation.incompatible.yml", true, "refused by Prometheus: the strategy needs UTF-8 names"},
    {"rules_abs_path_windows.good.yml", false, "accepted; a backslash is a plain character of a path here"},
    {"remote_write_retry_on_rate_limit.good.yml", true,
     "Prometheus takes localhost:9090 for a URL of the scheme localhost and fails at every send; here it is "
     "refused"},
};

static bool ends(const char *s, const char *suffix)
{
    size_t a = strlen(s), b = strlen(suffix);
    return a >= b && strcmp(s + a - b, suffix) == 0;
}

static void test_verdicts(void **state)
{
    skip_without_shared("config/conf.good.yml");
    DIR *dir = opendir(shared_path("config"));
    u32 files = 0, agree = 0;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!ends(e->d_name, ".yml"))
            continue;
        bool want_refused = ends(e->d_name, ".bad.yml");
        for (size_t i = 0; i < COUNT_OF(exceptions); i++)
            if (strcmp(exceptions[i].file, e->d_name) == 0)
                want_refused = exceptions[i].refused;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", shared_path("config"), e->d_name);
        PromConfig *p = prom_config_read(vfs_os(), path);
        Why why;
        bool refused = prom_config_verdict(p, &why) != OK;
        files++;
        agree += refused == want_refused;
        if (refused != want_refused)
            print_error("%s: %s, Prometheus %s it\n", e->d_name, refused ? why.text : "accepted",
                        want_refused ? "refuses" : "accepts");
        prom_config_unref(p);
    }
    closedir(dir);
    print_message("%u of %u verdicts agree\n", agree, files);
    assert_true(files >= 200);
    assert_int_equal(agree, files);
}

static PromConfig *config_of(const char *text)
{
    return prom_config_read_text(vfs_os(), "dir/prometheus.yml", str_c(text));
}

static void test_conf_good(void **state)
{
    skip_without_shared("config/conf.good.yml");
    PromConfig *p = prom_config_read(vfs_os(), shared_path("config/conf.good.yml"));
    Why why;
    assert_ok(prom_config_verdict(p, &why), &why);
    assert_int_equal(p->scrape_interval_ms, 15000);
    assert_int_equal(p->scrape_timeout_ms, 10000);
    assert_int_equal(p->evaluation_interval_ms, 30000);
    assert_int_equal(p->external_labels.len, 2);
    assert_str(p->external_labels.at[0].name, "foo");
    assert_int_equal(p->rule_files_len, 2);
    assert_int_equal(p->remote_write_len, 2);
    assert_int_equal(p->remote_read_len, 2);
    assert_int_equal(p->retention_ms, 86400000);
    assert_int_equal(p->retention_bytes, 1u << 30);
    assert_int_equal(p->out_of_order_ms, 30 * 60000);
    assert_int_equal(p->alertmanagers_len, 1);
    assert_str(p->alertmanagers[0].scheme, "https");
    assert_int_equal(p->alertmanagers[0].sd.statics[0].targets_len, 3);
    const ScrapeJob *j = &p->jobs[0];
    assert_str(j->name, "prometheus");
    assert_true(j->honor_labels && j->honor_timestamps);
    assert_int_equal(j->interval_ms, 15000);
    assert_int_equal(j->limits.samples, 1500);
    assert_int_equal(j->limits.body_bytes_max, 15 << 20);
    assert_int_equal(j->fallback, PROTO_TEXT_0_0_4);
    assert_int_equal(j->sd.files_len, 2);
    assert_int_equal(j->sd.files[0].refresh_ms, 600000);
    assert_int_equal(j->sd.statics[0].labels.len, 2);
    assert_int_equal(j->relabel.len, 6);
    assert_str(j->http.tls.min_version, "TLS10");
    j = &p->jobs[1];
    assert_int_equal(j->interval_ms, 50000);
    assert_int_equal(j->timeout_ms, 5000);
    assert_int_equal(j->limits.samples, 1000);
    assert_str(j->scheme, "https");
    assert_int_equal(j->protocols_len, 1);
    assert_int_equal(j->sd.dns[0].refresh_ms, 15000);
    assert_str(secret_reveal(j->http.basic_password), "multiline\nmysecret\ntest");
    prom_config_unref(p);
}

static void test_defaults(void **state)
{
    PromConfig *p = config_of("scrape_configs:\n- job_name: a\n- job_name: b\n  scrape_interval: 5s\n- "
                              "{job_name: c, scrape_native_histograms: true}\n");
    Why why;
    assert_ok(prom_config_verdict(p, &why), &why);
    assert_int_equal(p->scrape_interval_ms, 60000);
    assert_int_equal(p->jobs[0].timeout_ms, 10000);
    assert_int_equal(p->jobs[1].timeout_ms, 5000);
    assert_str(p->jobs[0].metrics_path, "/metrics");
    assert_str(p->jobs[0].scheme, "http");
    assert_int_equal(p->jobs[0].escaping, ESCAPE_ALLOW_UTF8);
    assert_int_equal(p->jobs[0].protocols_len, 4);
    assert_int_equal(p->jobs[0].protocols[0], PROTO_OM_1_0_0);
    assert_int_equal(p->jobs[2].protocols_len, 5);
    assert_int_equal(p->jobs[2].protocols[0], PROTO_PROTOBUF);
    assert_int_equal(p->max_exemplars, -1);
    prom_config_unref(p);
    p = config_of("");
    assert_ok(prom_config_verdict(p, &why), &why);
    assert_int_equal(p->jobs_len, 0);
    assert_int_equal(p->evaluation_interval_ms, 60000);
    prom_config_unref(p);
}

static void test_external_labels(void **state)
{
    setenv("PHAROS_TEST_TEST", "value", 1);
    PromConfig *p = config_of(
        "global: {external_labels: {bar: foo, foo: '${PHAROS_TEST_TEST}', baz: 'foo${PHAROS_TEST_TEST}bar', "
        "qux: 'foo$${TEST}', xyz: 'foo$$bar', plain: '$PHAROS_TEST_TEST/x', dflt: '${PHAROS_NONE:-d}', one: "
        "'a$', two: '${x'}}\n");
    static const char *const want[][2] = {{"bar", "foo"},        {"baz", "foovaluebar"}, {"dflt", "d"},
                                          {"foo", "value"},      {"one", "a$"},          {"plain", "value/x"},
                                          {"qux", "foo${TEST}"}, {"two", "${x"},         {"xyz", "foo$bar"}};
    assert_int_equal(p->external_labels.len, COUNT_OF(want));
    for (u32 i = 0; i < COUNT_OF(want); i++) {
        assert_str(p->external_labels.at[i].name, want[i][0]);
        assert_str(p->external_labels.at[i].value, want[i][1]);
    }
    prom_config_unref(p);
}

static void test_sentences(void **state)
{
    PromConfig *p = config_of("global:\n  scrape_intervall: 15s\nscrape_configs:\n- job_name: a\n  "
                              "scrape_interval: 5s\n  scrape_timeout: 6s\n"
                              "  static_configs:\n  - targets: ['http://x:1/metrics']\n  relabel_configs: "
                              "[]\n- job_name: a\n  consult_sd_configs: []\n"
                              "  fallback_scrape_protocol: prometheusproto\n  scheme: htps\n");
    Buf out;
    buf_init(&out, 1u << 16);
    prom_config_print_issues(p, &out);
    assert_str(
        buf_view(&out),
        "dir/prometheus.yml:2:3: global.scrape_intervall: unknown field, did you mean scrape_interval?\n"
        "dir/prometheus.yml:4:3: scrape_configs[0]: scrape_timeout is greater than scrape_interval: make it "
        "shorter or scrape less often\n"
        "dir/prometheus.yml:8:15: scrape_configs[0].static_configs[0].targets[0]: \"http://x:1/metrics\" is "
        "not host:port; the scheme and "
        "path belong in `scheme` and `metrics_path`\n"
        "dir/prometheus.yml:12:29: scrape_configs[1].fallback_scrape_protocol: unknown scrape protocol "
        "\"prometheusproto\", did you mean "
        "PrometheusProto?\n"
        "dir/prometheus.yml:13:11: scrape_configs[1].scheme: must be http or https\n"
        "dir/prometheus.yml:11:3: scrape_configs[1].consult_sd_configs: unknown field, did you mean "
        "consul_sd_configs?\n"
        "dir/prometheus.yml:10:13: scrape_configs[1].job_name: a second job with the name \"a\": rename or "
        "merge one of them\n");
    buf_done(&out);
    prom_config_unref(p);
    p = prom_config_read(vfs_os(), "/nowhere/prometheus.yml");
    Why why;
    assert_int_equal(prom_config_verdict(p, &why), E_INVALID);
    assert_non_null(strstr(why.text, "cannot be read"));
    prom_config_unref(p);
}

static void test_fingerprints(void **state)
{
    const char *base =
        "scrape_configs:\n- {job_name: a, metrics_path: '/${PHAROS_TEST_P}'}\n- {job_name: b}\n";
    setenv("PHAROS_TEST_P", "x", 1);
    PromConfig *p = config_of(base),
               *q = config_of("# another comment\nscrape_configs:\n- job_name: a\n  metrics_path: "
                              "'/${PHAROS_TEST_P}'\n- {job_name: b, honor_labels: true}\n");
    setenv("PHAROS_TEST_P", "y", 1);
    PromConfig *r = config_of(base);
    assert_true(p->jobs[0].fingerprint == q->jobs[0].fingerprint);
    assert_true(p->jobs[1].fingerprint != q->jobs[1].fingerprint);
    assert_true(p->jobs[1].series_fingerprint != q->jobs[1].series_fingerprint);
    assert_true(p->jobs[0].fingerprint != r->jobs[0].fingerprint);
    assert_true(p->jobs[0].series_fingerprint == r->jobs[0].series_fingerprint);
    prom_config_unref(p);
    prom_config_unref(q);
    prom_config_unref(r);
}

/* The configuration that `make run` starts with. */
static void test_shipped(void **state)
{
    const char *path = "../monitoring/prometheus.yml";
    VfsStat st;
    Why why;
    if (vfs_os()->stat(vfs_os(), path, &st, NULL) != OK)
        path += 3;
    if (vfs_os()->stat(vfs_os(), path, &st, NULL) != OK) {
        fprintf(stderr, "SKIPPED: no %s from here\n", path);
        skip();
    }
    PromConfig *p = prom_config_read(vfs_os(), path);
    assert_ok(prom_config_verdict(p, &why), &why);
    assert_int_equal(p->jobs_len, 6);
    assert_str(p->jobs[1].metrics_path, "/metrics/host");
    assert_int_equal(p->destinations_len, getenv("GRAFANA_CLOUD_PROM_URL") ? 1 : 0);
    for (u32 i = 2; i < 6; i++) {
        Buf text;
        Arena a;
        TargetGroup *groups;
        u32 n;
        buf_init(&text, 65536);
        arena_init(&a, NULL, 0);
        assert_ok(vfs_read_file(vfs_os(), p->jobs[i].sd.files[0].patterns[0].at, 65536, &text, &why), &why);
        assert_ok(target_groups_parse(buf_view(&text), false, "list", &a, &groups, &n, &why), &why);
        assert_int_equal(n, 0);
        buf_done(&text);
        arena_done(&a);
    }
    prom_config_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),  cmocka_unit_test(test_conf_good),
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_external_labels),
        cmocka_unit_test(test_sentences), cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_shipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
