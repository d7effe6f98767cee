/* Scraping from tick to sink: labels, cache, limits, staleness, reports, reload. Hours pass in milliseconds. */
#include "fake.h"

static PromConfig *config_of(const char *text)
{
    PromConfig *p = prom_config_read_text(vfs_os(), "prometheus.yml", str_c(text));
    Why why;
    if (prom_config_verdict(p, &why) != OK)
        fail_msg("%s", why.text);
    return p;
}

typedef struct World {
    FakeWorld w;
    Collector *c;
    PromConfig *cfg;
} World;

static void start(World *x, const char *config)
{
    fake_init(&x->w, 1700000000000);
    x->c = fake_collector(&x->w);
    x->cfg = config_of(config);
    collector_apply(x->c, x->cfg);
    fake_run(&x->w, 0, 1);
}

static void reload(World *x, const char *config)
{
    prom_config_unref(x->cfg);
    x->cfg = config_of(config);
    collector_apply(x->c, x->cfg);
    fake_run(&x->w, 0, 1);
}

static void finish(World *x)
{
    collector_free(x->c);
    prom_config_unref(x->cfg);
    fake_done(&x->w);
}

static TargetStatus status_of(World *x, const char *job)
{
    TargetStatus s = {0};
    assert_true(collector_target_status(x->c, str_c(job), S("h:1"), &s));
    return s;
}

#define ONE_JOB(more)                                                                                        \
    "scrape_configs:\n- job_name: j\n  scrape_interval: 15s\n  static_configs: [{targets: ['h:1']}]\n" more

static void test_first_scrapes(void **state)
{
    World x;
    start(&x, ONE_JOB("  params: {b: [x, y], a: ['1 2']}\n"));
    fake_page(&x.w, "h:1", "# HELP a help\n# TYPE a counter\na{x=\"1\"} 1\nb 2\n");
    fake_run(&x.w, 15000, 100);
    assert_int_equal(x.w.calls, 1);
    assert_string_equal(x.w.last_url, "http://h:1/metrics?a=1+2&b=x&b=y");
    assert_string_equal(
        x.w.last_headers,
        "Accept: "
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/"
        "openmetrics-text;version=0.0.1;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\n"
        "User-Agent: Pharos\nX-Prometheus-Scrape-Timeout-Seconds: 10\n");
    assert_true(fake_last(&x.w, "a{instance=\"h:1\", job=\"j\", x=\"1\"}") == 1);
    assert_true(fake_last(&x.w, "b{instance=\"h:1\", job=\"j\"}") == 2);
    assert_true(fake_last(&x.w, "up{instance=\"h:1\", job=\"j\"}") == 1);
    assert_true(fake_last(&x.w, "scrape_samples_scraped{instance=\"h:1\", job=\"j\"}") == 2);
    assert_true(fake_last(&x.w, "scrape_series_added{instance=\"h:1\", job=\"j\"}") == 2);
    assert_int_equal(x.w.metadata.len, 1);
    assert_str(x.w.metadata.at[0].help, "help");
    assert_int_equal(x.w.metadata.at[0].type, TYPE_COUNTER);
    fake_forget(&x.w);
    /* Two hours: one batch per interval, everything by hint, timestamps exactly one interval apart. */
    fake_run(&x.w, 2 * 3600 * 1000, 500);
    assert_int_equal(x.w.batches, 480);
    assert_int_equal(x.w.hinted, 480 * 7);
    assert_int_equal(x.w.metadata.len, 0);
    assert_true(fake_last(&x.w, "scrape_series_added{instance=\"h:1\", job=\"j\"}") == 0);
    i64 before = 0;
    for (size_t i = 0; i < x.w.stored.len; i++)
        if (str_starts(x.w.stored.at[i].series, S("b{"))) {
            assert_true(!before || x.w.stored.at[i].t == before + 15000);
            before = x.w.stored.at[i].t;
        }
    TargetStatus s = status_of(&x, "j");
    assert_int_equal(s.health, HEALTH_UP);
    assert_int_equal(s.cached_series, 2);
    finish(&x);
}

static void test_stale_series(void **state)
{
    World x;
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", "a 1\nb 2\nc 3\n");
    fake_run(&x.w, 15000, 100);
    fake_forget(&x.w);
    fake_page(&x.w, "h:1", "a 1\nc 3\n");
    fake_run(&x.w, 15000, 100);
    assert_true(is_stale(fake_last(&x.w, "b{instance=\"h:1\", job=\"j\"}")));
    assert_int_equal(status_of(&x, "j").cached_series, 2);
    fake_forget(&x.w);
    fake_run(&x.w, 15000, 100);
    assert_int_equal(fake_count(&x.w, "b{instance=\"h:1\", job=\"j\"}", NULL), 0);
    /* It comes back, and in another order. */
    fake_page(&x.w, "h:1", "c 3\nb 2\na 1\nd 4\n");
    fake_run(&x.w, 15000, 100);
    assert_true(fake_last(&x.w, "b{instance=\"h:1\", job=\"j\"}") == 2);
    assert_true(fake_last(&x.w, "scrape_series_added{instance=\"h:1\", job=\"j\"}") == 2);
    finish(&x);
}

static void test_failed_scrapes(void **state)
{
    static const struct {
        FakePage page;
        const char *more, *error;
        f64 scraped;
    } cases[] = {
        {{"h:1", 200, "text/plain", "a 1\nb x\n", OK, NULL, 0}, "", "line 2, column", 1},
        {{"h:1", 404, "text/plain", "", OK, NULL, 0}, "", "server returned HTTP status 404 Not Found", 0},
        {{"h:1", 200, NULL, "a 1\n", OK, NULL, 0},
         "",
         "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified "
         "for target",
         0},
        {{"h:1", 200, "text/html", "a 1\n", OK, NULL, 0},
         "",
         "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified for "
         "target",
         0},
        {{"h:1", 0, NULL, NULL, E_UNAVAILABLE, "connection refused", 0}, "", "connection refused", 0},
        {{"h:1", 200, "text/plain", "a 1\nb 2\nc 3\n", OK, NULL, 0},
         "  sample_limit: 2\n",
         "sample limit exceeded",
         3},
        {{"h:1", 200, "text/plain", "a{x=\"1\"} 1\n", OK, NULL, 0},
         "  label_limit: 3\n",
         "label_limit exceeded (metric: a, number of labels: 4, limit: 3)",
         1},
        {{"h:1", 200, "text/plain", "a{verylongname=\"1\"} 1\n", OK, NULL, 0},
         "  label_name_length_limit: 9\n",
         "label_name_length_limit exceeded (metric: a, label name: verylongname, length: 12, limit: 9)",
         1},
        {{"h:1", 200, "text/plain", "a{n=\"0123456789\"} 1\n", OK, NULL, 0},
         "  label_value_length_limit: 9\n",
         "label_value_length_limit exceeded (metric: a, label name: n, value: \"0123456789\", length: 10, "
         "limit: 9)",
         1},
        {{"h:1", 200, "text/plain", "a 1\nb 2\nccccccccccccccc 3\n", OK, NULL, 0},
         "  body_size_limit: 10B\n",
         "body size limit exceeded",
         0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        World x;
        char config[512];
        snprintf(config, sizeof config, ONE_JOB("%s"), cases[i].more);
        start(&x, config);
        bool good_first =
            cases[i].more[0] == 0 || strstr(cases[i].more, "sample") || strstr(cases[i].more, "body");
        if (good_first) {
            fake_page(&x.w, "h:1", "a 1\n");
            fake_run(&x.w, 15000, 100);
            assert_true(fake_last(&x.w, "up{instance=\"h:1\", job=\"j\"}") == 1);
        }
        fake_forget(&x.w);
        x.w.pages[0] = cases[i].page;
        x.w.pages_len = 1;
        fake_run(&x.w, 15000, 100);
        assert_true(fake_last(&x.w, "up{instance=\"h:1\", job=\"j\"}") == 0);
        assert_true(fake_last(&x.w, "scrape_samples_scraped{instance=\"h:1\", job=\"j\"}") ==
                    cases[i].scraped);
        if (good_first)
            assert_true(is_stale(fake_last(&x.w, "a{instance=\"h:1\", job=\"j\"}")));
        assert_int_equal(fake_count(&x.w, "b{instance=\"h:1\", job=\"j\"}", NULL), 0);
        assert_int_equal(x.w.stored.len, 5 + good_first);
        TargetStatus s = status_of(&x, "j");
        assert_int_equal(s.health, HEALTH_DOWN);
        if (strncmp(s.last_error, cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("case %zu: %s", i, s.last_error);
        /* Markers once, not at every failure. */
        fake_forget(&x.w);
        fake_run(&x.w, 15000, 100);
        assert_int_equal(x.w.stored.len, 5);
        finish(&x);
    }
}

static void test_duplicates_and_times(void **state)
{
    World x;
    start(&x, ONE_JOB("  track_timestamps_staleness: false\n"));
    fake_page(&x.w, "h:1", "a 1\na 2\nt 5 1699999990000\nt 6 1699999995000\n");
    fake_run(&x.w, 15000, 100);
    assert_int_equal(fake_count(&x.w, "a{instance=\"h:1\", job=\"j\"}", NULL), 1);
    assert_true(fake_last(&x.w, "a{instance=\"h:1\", job=\"j\"}") == 1);
    StoredSample s;
    assert_int_equal(fake_count(&x.w, "t{instance=\"h:1\", job=\"j\"}", &s), 2);
    assert_true(s.t == 1699999995000 && s.v == 6);
    /* A series with its own times gets no marker. */
    fake_forget(&x.w);
    fake_page(&x.w, "h:1", "a 1\n");
    fake_run(&x.w, 15000, 100);
    assert_int_equal(fake_count(&x.w, "t{instance=\"h:1\", job=\"j\"}", NULL), 0);
    reload(&x, ONE_JOB("  honor_timestamps: false\n"));
    fake_page(&x.w, "h:1", "t 5 1699999990000\n");
    fake_run(&x.w, 15000, 100);
    assert_int_equal(fake_count(&x.w, "t{instance=\"h:1\", job=\"j\"}", &s), 1);
    assert_true(s.t > 1700000000000);
    finish(&x);
}

static void test_label_conflicts(void **state)
{
    World x;
    const char *page = "a{job=\"p\",instance=\"\",exported_job=\"q\"} 1\n";
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", page);
    fake_run(&x.w, 15000, 100);
    assert_true(
        fake_last(&x.w, "a{exported_exported_job=\"p\", exported_job=\"q\", instance=\"h:1\", job=\"j\"}") ==
        1);
    fake_forget(&x.w);
    reload(&x, ONE_JOB("  honor_labels: true\n"));
    fake_run(&x.w, 15000, 100);
    assert_true(fake_last(&x.w, "a{exported_job=\"q\", job=\"p\"}") == 1);
    /* The series of the old configuration ended. */
    assert_true(is_stale(
        fake_last(&x.w, "a{exported_exported_job=\"p\", exported_job=\"q\", instance=\"h:1\", job=\"j\"}")));
    finish(&x);
}

static void test_metric_relabel(void **state)
{
    World x;
    start(
        &x,
        ONE_JOB("  metric_relabel_configs:\n  - {source_labels: [__name__], regex: 'drop.*', action: drop}\n"
                "  - {source_labels: [x], target_label: y, replacement: 'made-$1'}\n"));
    fake_page(&x.w, "h:1", "drop_me 1\na{x=\"1\"} 1\n");
    fake_run(&x.w, 15000, 100);
    assert_true(fake_last(&x.w, "a{instance=\"h:1\", job=\"j\", x=\"1\", y=\"made-1\"}") == 1);
    assert_true(fake_last(&x.w, "scrape_samples_scraped{instance=\"h:1\", job=\"j\"}") == 2);
    assert_true(fake_last(&x.w, "scrape_samples_post_metric_relabeling{instance=\"h:1\", job=\"j\"}") == 1);
    assert_int_equal(x.w.stored.len, 6);
    finish(&x);
}

static void test_target_goes_and_returns(void **state)
{
    World x;
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", "a 1\n");
    fake_run(&x.w, 15000, 100);
    fake_forget(&x.w);
    reload(&x, "scrape_configs: []\n");
    assert_int_equal(collector_target_count(x.c), 0);
    /* Between 1.1 and 2.1 intervals later, by where the target stood in its interval. */
    fake_run(&x.w, 16400, 100);
    assert_int_equal(x.w.stored.len, 0);
    fake_run(&x.w, 15200, 100);
    /* a and the five reports end at the time of the scrape that was not. */
    assert_int_equal(x.w.stored.len, 6);
    for (size_t i = 0; i < x.w.stored.len; i++)
        assert_true(is_stale(x.w.stored.at[i].v));
    fake_forget(&x.w);
    /* Again there, then away for a moment only: no markers, and the cache goes on. */
    reload(&x, ONE_JOB(""));
    fake_run(&x.w, 15000, 100);
    fake_forget(&x.w);
    reload(&x, "scrape_configs: []\n");
    fake_run(&x.w, 5000, 100);
    reload(&x, ONE_JOB("  metrics_path: /other\n"));
    fake_run(&x.w, 60000, 100);
    assert_non_null(strstr(x.w.last_url, "/other"));
    for (size_t i = 0; i < x.w.stored.len; i++)
        assert_false(is_stale(x.w.stored.at[i].v));
    assert_true(x.w.stored.len >= 18 && x.w.hinted > 0);
    finish(&x);
}

static void test_reload_keeps_targets(void **state)
{
    World x;
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", "a 1\n");
    fake_run(&x.w, 30000, 100);
    fake_forget(&x.w);
    reload(&x, "# the same\n" ONE_JOB(
                   "") "- {job_name: k, static_configs: [{targets: ['h:1', 'h:2']}], sample_limit: 5}\n");
    assert_int_equal(status_of(&x, "j").health, HEALTH_UP);
    assert_int_equal(collector_target_count(x.c), 3);
    fake_run(&x.w, 15000, 100);
    for (size_t i = 0; i < x.w.stored.len; i++)
        assert_false(is_stale(x.w.stored.at[i].v));
    assert_true(fake_last(&x.w, "scrape_series_added{instance=\"h:1\", job=\"j\"}") == 0);
    /* A changed limit reaches a running target. */
    fake_page(&x.w, "h:1", "a 1\nb 2\n");
    reload(&x, ONE_JOB("  sample_limit: 1\n"));
    fake_run(&x.w, 15000, 100);
    assert_int_equal(status_of(&x, "j").health, HEALTH_DOWN);
    finish(&x);
}

static void test_slow_target_and_stop(void **state)
{
    World x;
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", "a 1\n");
    x.w.pages[0].delay_ms = 20000; /* longer than the interval: every second tick is left out */
    fake_run(&x.w, 60000, 100);
    assert_int_equal(x.w.calls, 2);
    fake_forget(&x.w);
    finish(&x); /* one under way: cancelled, no markers */
}

static void test_retire_while_under_way(void **state)
{
    World x;
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", "a 1\n");
    fake_run(&x.w, 15000, 100);
    x.w.pages[0].delay_ms = 9000;
    fake_run(&x.w, 15000, 100);
    fake_run(&x.w, 10000, 100);
    fake_forget(&x.w);
    reload(&x, "scrape_configs: []\n");
    reload(&x, ONE_JOB(""));
    fake_run(&x.w, 100000, 100);
    for (size_t i = 0; i < x.w.stored.len; i++)
        assert_false(is_stale(x.w.stored.at[i].v));
    assert_true(fake_last(&x.w, "a{instance=\"h:1\", job=\"j\"}") == 1);
    finish(&x);
}

static void test_sink_refuses(void **state)
{
    World x;
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", "a 1\nb 1\n");
    fake_run(&x.w, 15000, 100);
    x.w.sink_err = E_NOSPACE;
    fake_page(&x.w, "h:1", "a 1\n");
    fake_run(&x.w, 15000, 100);
    assert_non_null(strstr(status_of(&x, "j").last_error, "the disk is full"));
    x.w.sink_err = OK;
    fake_forget(&x.w);
    fake_run(&x.w, 15000, 100);
    /* The marker that could not be written then is written now. */
    assert_true(is_stale(fake_last(&x.w, "b{instance=\"h:1\", job=\"j\"}")));
    assert_int_equal(status_of(&x, "j").health, HEALTH_UP);
    finish(&x);
}

static void test_spread_and_limit(void **state)
{
    World x;
    Buf config;
    buf_init(&config, 1u << 20);
    buf_c(&config, "scrape_configs:\n- job_name: j\n  scrape_interval: 10s\n  target_limit: 300\n  "
                   "static_configs:\n  - targets:\n");
    for (int i = 0; i < 200; i++)
        buf_printf(&config, "    - h:%d\n", i + 1);
    start(&x, buf_cstr(&config));
    fake_page(&x.w, "h:", "a 1\n");
    u32 most = 0;
    for (int i = 0; i < 10; i++) {
        u32 before = x.w.calls;
        fake_run(&x.w, 1000, 50);
        most = MAX(most, x.w.calls - before);
    }
    assert_true(x.w.calls >= 200 && x.w.calls <= 201);
    assert_true(most < 50); /* 20 each second, give or take */
    buf_c(&config, "    - h:1\n");
    for (int i = 200; i < 301; i++)
        buf_printf(&config, "    - h:%d\n", i + 1);
    reload(&x, buf_cstr(&config));
    assert_int_equal(collector_target_count(x.c), 301);
    fake_run(&x.w, 10000, 100);
    TargetStatus s;
    assert_true(collector_target_status(x.c, S("j"), S("h:5"), &s));
    assert_string_equal(s.last_error, "target_limit exceeded (number of targets: 301, limit: 300)");
    buf_done(&config);
    finish(&x);
}

static void test_histograms_and_exemplars(void **state)
{
    World x;
    start(&x, ONE_JOB("  convert_classic_histograms_to_nhcb: true\n  extra_scrape_metrics: true\n  "
                      "fallback_scrape_protocol: OpenMetricsText1.0.0\n"));
    fake_page(&x.w, "h:1",
              "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {trace_id=\"abc\"} 0.5 "
              "1.5\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n# EOF\n");
    x.w.pages[0].type = NULL;
    fake_run(&x.w, 15000, 100);
    StoredSample s = {0};
    assert_int_equal(fake_count(&x.w, "h{instance=\"h:1\", job=\"j\"}", &s), 1);
    assert_true(s.is_hist && s.v == 3);
    assert_true(x.w.exemplars >= 1);
    assert_true(fake_last(&x.w, "scrape_timeout_seconds{instance=\"h:1\", job=\"j\"}") == 10);
    assert_true(fake_last(&x.w, "scrape_body_size_bytes{instance=\"h:1\", job=\"j\"}") > 50);
    fake_run(&x.w, 15000, 100);
    assert_int_equal(fake_count(&x.w, "h{instance=\"h:1\", job=\"j\"}", &s), 2);
    assert_true(s.hint_in != 0);
    finish(&x);
}

static void test_bucket_limit(void **state)
{
    World x;
    start(&x, ONE_JOB("  convert_classic_histograms_to_nhcb: true\n  native_histogram_bucket_limit: 2\n"));
    fake_page(&x.w, "h:1",
              "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} "
              "3\nh_sum 4\nh_count 3\n");
    fake_run(&x.w, 15000, 100);
    assert_string_equal(status_of(&x, "j").last_error, "histogram bucket limit exceeded");
    reload(&x, ONE_JOB("  convert_classic_histograms_to_nhcb: true\n  native_histogram_bucket_limit: 3\n"));
    fake_run(&x.w, 15000, 100);
    assert_int_equal(fake_count(&x.w, "h{instance=\"h:1\", job=\"j\"}", NULL), 1);
    finish(&x);
}

static void test_targets_json(void **state)
{
    World x;
    start(&x, "global: {scrape_interval: 2s, scrape_timeout: 1500ms}\nscrape_configs:\n- job_name: ok\n  "
              "params: {b: [x, y], a: ['1 2']}\n"
              "  static_configs: [{targets: ['127.0.0.1:18181'], labels: {env: dev, __param_c: q}}]\n"
              "  relabel_configs: [{target_label: __param_b, replacement: z}]\n"
              "- job_name: dropped\n  static_configs: [{targets: ['127.0.0.1:18181']}]\n"
              "  relabel_configs: [{source_labels: [job], action: drop, regex: .*}]\n");
    Buf out;
    buf_init(&out, 1u << 20);
    collector_targets_json(x.c, true, true, S(""), &out);
    /* As the peer printed it, before its first scrape. */
    assert_str(
        buf_view(&out),
        "{\"status\":\"success\",\"data\":{\"activeTargets\":[{\"discoveredLabels\":{\"__address__\":\"127.0."
        "0.1:18181\","
        "\"__metrics_path__\":\"/metrics\",\"__param_a\":\"1 "
        "2\",\"__param_b\":\"x\",\"__param_c\":\"q\",\"__scheme__\":\"http\","
        "\"__scrape_interval__\":\"2s\",\"__scrape_timeout__\":\"1s500ms\",\"env\":\"dev\",\"job\":\"ok\"},"
        "\"labels\":{\"env\":\"dev\","
        "\"instance\":\"127.0.0.1:18181\",\"job\":\"ok\"},\"scrapePool\":\"ok\",\"scrapeUrl\":\"http://"
        "127.0.0.1:18181/metrics?a=1+2"
        "\\u0026b=z\\u0026b=y\\u0026c=q\",\"globalUrl\":\"http://me:18181/"
        "metrics?a=1+2\\u0026b=z\\u0026b=y\\u0026c=q\",\"lastError\":\"\","
        "\"lastScrape\":\"0001-01-01T00:00:00Z\",\"lastScrapeDuration\":0,\"health\":\"unknown\","
        "\"scrapeInterval\":\"2s\","
        "\"scrapeTimeout\":\"1s500ms\"}],\"droppedTargets\":[{\"discoveredLabels\":{\"__address__\":\"127.0."
        "0.1:18181\","
        "\"__metrics_path__\":\"/"
        "metrics\",\"__scheme__\":\"http\",\"__scrape_interval__\":\"2s\",\"__scrape_timeout__\":\"1s500ms\","
        "\"job\":\"dropped\"},\"scrapePool\":\"dropped\"}],\"droppedTargetCounts\":{\"dropped\":1,\"ok\":0}}"
        "}");
    buf_clear(&out);
    collector_targets_json(x.c, false, false, S(""), &out);
    assert_str(buf_view(&out), "{\"status\":\"success\",\"data\":{\"activeTargets\":[],\"droppedTargets\":[],"
                               "\"droppedTargetCounts\":null}}");
    buf_clear(&out);
    collector_pools_json(x.c, &out);
    assert_str(buf_view(&out), "{\"status\":\"success\",\"data\":{\"scrapePools\":[\"dropped\",\"ok\"]}}");
    buf_done(&out);
    finish(&x);
}

static void test_wall_clock_jumps(void **state)
{
    World x;
    start(&x, ONE_JOB(""));
    fake_page(&x.w, "h:1", "a 1\n");
    fake_run(&x.w, 30000, 100);
    virtual_clock_jump(&x.w.clock, -3600 * NS_PER_SEC);
    fake_forget(&x.w);
    fake_run(&x.w, 30000, 100);
    StoredSample s;
    assert_int_equal(fake_count(&x.w, "a{instance=\"h:1\", job=\"j\"}", &s), 2);
    assert_true(s.t < 1700000000000 - 3500 * 1000);
    finish(&x);
}

/* ---- random pages against a plain reading of them ---- */

static u64 rnd_state;
static u64 rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state;
}

enum { FAMILIES = 12, LINES_MAX = 64 };
typedef struct RandomPage {
    u8 lines[LINES_MAX]; /* family * 4 + series of it */
    u32 len;
    u64 helps; /* bits: which families are told about */
    u32 words; /* a version of the HELP texts */
} RandomPage;

static void page_change(RandomPage *p)
{
    switch (rnd() % 8) {
    case 0: /* one more, somewhere; perhaps one that is there already */
        if (p->len < LINES_MAX) {
            u32 at = (u32)(rnd() % (p->len + 1));
            memmove(p->lines + at + 1, p->lines + at, p->len - at);
            p->lines[at] = (u8)(rnd() % (FAMILIES * 4));
            p->len++;
        }
        break;
    case 1:
        if (p->len) {
            u32 at = (u32)(rnd() % p->len);
            memmove(p->lines + at, p->lines + at + 1, p->len - at - 1);
            p->len--;
        }
        break;
    case 2:
        if (p->len > 1) {
            u32 a = (u32)(rnd() % p->len), b = (u32)(rnd() % p->len);
            u8 was = p->lines[a];
            p->lines[a] = p->lines[b];
            p->lines[b] = was;
        }
        break;
    case 3:
        p->helps ^= 1ULL << rnd() % FAMILIES;
        break;
    case 4:
        p->words++;
        break;
    case 5:
        p->len = (u32)(rnd() % (p->len + 1));
        break;
    default:
        break;
    }
}

static void page_print(const RandomPage *p, Buf *out, bool is_bad)
{
    u64 told = 0;
    for (u32 i = 0; i < p->len; i++) {
        u32 family = p->lines[i] / 4, k = p->lines[i] % 4;
        if (p->helps >> family & 1 && !(told >> family & 1))
            buf_printf(out, "# HELP m%u text %u\n\n# TYPE m%u %s\n", family, p->words % 3, family,
                       family % 2 ? "gauge" : "histogram");
        told |= 1ULL << family;
        if (k == 3) /* relabelled away */
            buf_printf(out, "m%u{gone=\"yes\",k=\"%u\"} ", family, k);
        else
            buf_printf(out, "m%u{b=\"%u\",k=\"a b} %u\"} ", family, k, k);
        buf_printf(out, rnd() % 3 ? "%llu" : "%llue-2", (unsigned long long)(rnd() % 100000));
        if (rnd() % 10 == 0)
            buf_printf(out, " %llu", 1700000000000ULL + rnd() % 3);
        buf_c(out, "\n");
    }
    if (is_bad)
        buf_c(out, "m1{ 1\n");
}

typedef struct Expected {
    VEC(StoredSample) samples;
    StrMap tracked; /* printed labels -> 1 */
} Expected;

/* What the page says by the parser alone: the first of equal lines counts, but those with a time of their own all do. */
static bool page_expect(Str page, Expected *x, Arena *a, i64 now)
{
    ExpoParser *p = expo_new(page, EXPO_TEXT, NULL, a);
    StrMap seen = {0};
    ExpoItem it;
    Err e;
    while ((e = expo_next(p, &it, NULL)) == OK) {
        if (it.kind != EXPO_SERIES)
            continue;
        if ((e = expo_labels(p, &it, NULL)) != OK)
            break;
        if (labels_get(it.labels, S("gone")).len)
            continue;
        bool again = strmap_find(&seen, it.series_text);
        strmap_put(&seen, it.series_text, x);
        if (again && it.t == INT64_MIN)
            continue;
        LabelsBuilder b;
        lb_init(&b, a, it.labels);
        lb_set(&b, S("instance"), S("h:1"));
        lb_set(&b, S("job"), S("j"));
        Buf text;
        buf_init(&text, 4096);
        labels_print(&text, lb_build(&b));
        Str series = arena_dup(a, buf_view(&text));
        buf_done(&text);
        if (it.t == INT64_MIN)
            strmap_put(&x->tracked, series, x);
        vec_push(&x->samples, (StoredSample){series, it.t == INT64_MIN ? now : it.t, it.value, false, 0});
    }
    strmap_done(&seen);
    return e == E_NOT_FOUND;
}

static u32 stored_times(const FakeWorld *w, Str series, i64 t, f64 v)
{
    u32 n = 0;
    for (size_t i = 0; i < w->stored.len; i++)
        n += str_eq(w->stored.at[i].series, series) && w->stored.at[i].t == t &&
             f64_bits(w->stored.at[i].v) == f64_bits(v);
    return n;
}

static void one_random_scrape(World *x, RandomPage *page, StrMap *tracked)
{
    Arena a;
    arena_init(&a, NULL, 0);
    Buf text;
    buf_init(&text, 1 << 20);
    bool bad = rnd() % 20 == 0, forgets = rnd() % 20 == 0;
    for (u64 n = rnd() % 4; n; n--)
        page_change(page);
    page_print(page, &text, bad);
    x->w.pages_len = 0;
    fake_page(&x->w, "h:1", buf_cstr(&text));
    fake_forget(&x->w);
    if (forgets)
        x->w.forgotten = x->w.known.len;
    fake_run(&x->w, 15000, 500);
    Expected e = {0};
    i64 now = 0;
    for (size_t i = 0; i < x->w.stored.len; i++)
        if (str_starts(x->w.stored.at[i].series, S("up{")))
            now = x->w.stored.at[i].t;
    bool whole = page_expect(buf_view(&text), &e, &a, now);
    assert_int_equal(whole, !bad);
    if (!whole) {
        e.samples.len = 0;
        strmap_done(&e.tracked);
    }
    assert_true(fake_last(&x->w, "up{instance=\"h:1\", job=\"j\"}") == whole);
    for (size_t i = 0; i < e.samples.len; i++) {
        StoredSample *s = &e.samples.at[i];
        u32 n = stored_times(&x->w, s->series, s->t, s->v), same = 0;
        for (size_t k = 0; k < e.samples.len; k++)
            same += str_eq(e.samples.at[k].series, s->series) && e.samples.at[k].t == s->t &&
                    e.samples.at[k].v == s->v;
        if (forgets ? n < same : n != same)
            fail_msg("%.*s = %g: %u times instead of %u, page\n%s", STR_FMT(s->series), s->v, n, same,
                     buf_cstr(&text));
    }
    u32 markers = 0;
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(tracked, &i));) {
        bool due = !strmap_find(&e.tracked, slot->key);
        u32 n = stored_times(&x->w, slot->key, now, stale_nan());
        markers += due;
        if (!forgets && n != due)
            fail_msg("%.*s: %u markers, due %d, page\n%s", STR_FMT(slot->key), n, due, buf_cstr(&text));
    }
    if (!forgets)
        assert_int_equal(x->w.stored.len, e.samples.len + markers + 5);
    strmap_done(tracked);
    *tracked = e.tracked;
    vec_done(&e.samples);
    buf_done(&text);
    arena_done(&a);
}

static void test_random_pages(void **state)
{
    for (u64 seed = 1; seed <= 8; seed++) {
        World x;
        start(&x,
              ONE_JOB("  metric_relabel_configs: [{source_labels: [gone], regex: 'yes', action: drop}]\n"));
        x.w.gives_no_hints = seed % 4 == 0;
        rnd_state = seed * 0x9e3779b97f4a7c15ULL;
        RandomPage page = {0};
        StrMap tracked = {0};
        for (int i = 0; i < 30; i++)
            page.lines[page.len++] = (u8)(rnd() % (FAMILIES * 4));
        for (int i = 0; i < 120; i++)
            one_random_scrape(&x, &page, &tracked);
        strmap_done(&tracked);
        finish(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_scrapes),
        cmocka_unit_test(test_stale_series),
        cmocka_unit_test(test_failed_scrapes),
        cmocka_unit_test(test_duplicates_and_times),
        cmocka_unit_test(test_label_conflicts),
        cmocka_unit_test(test_metric_relabel),
        cmocka_unit_test(test_target_goes_and_returns),
        cmocka_unit_test(test_reload_keeps_targets),
        cmocka_unit_test(test_slow_target_and_stop),
        cmocka_unit_test(test_retire_while_under_way),
        cmocka_unit_test(test_sink_refuses),
        cmocka_unit_test(test_spread_and_limit),
        cmocka_unit_test(test_histograms_and_exemplars),
        cmocka_unit_test(test_bucket_limit),
        cmocka_unit_test(test_targets_json),
        cmocka_unit_test(test_wall_clock_jumps),
        cmocka_unit_test(test_random_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
