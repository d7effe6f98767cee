/* Building targets: labels, relabelling, defaults, refusals, URLs, the Accept header. */
#include "test.h"
#include "collect/collect.h"

static PromConfig *job_of(const char *more)
{
    char text[2048];
    Why why;
    snprintf(text, sizeof text, "scrape_configs:\n- job_name: j\n%s", more);
    PromConfig *p = prom_config_read_text(vfs_os(), "p.yml", str_c(text));
    assert_ok(prom_config_verdict(p, &why), &why);
    assert_int_equal(p->jobs_len, 1);
    return p;
}

static Labels labels_of(Arena *a, const char *text)
{
    LabelsBuilder b;
    lb_init(&b, a, (Labels){0});
    for (Str rest = str_c(text), pair; rest.len;) {
        Str name, value;
        str_cut(rest, ',', &pair, &rest);
        str_cut(pair, '=', &name, &value);
        lb_set(&b, name, value);
    }
    return lb_build(&b);
}

static void test_labels_and_urls(void **state)
{
    static const struct {
        const char *job, *target, *group, *labels,
            *url; /* url NULL: dropped; labels then the error or NULL */
    } cases[] = {
        {"", "__address__=h:1", "env=dev", "{env=\"dev\", instance=\"h:1\", job=\"j\"}",
         "http://h:1/metrics"},
        {"", "__address__=h:1,env=own", "env=dev,job=other", "{env=\"own\", instance=\"h:1\", job=\"other\"}",
         "http://h:1/metrics"},
        {"", "__address__=h:1,instance=i", "", "{instance=\"i\", job=\"j\"}", "http://h:1/metrics"},
        {"", "__address__=h:1,__metrics_path__=p a/é?x,__scheme__=https", "", "{instance=\"h:1\", job=\"j\"}",
         "https://h:1/p%20a/%C3%A9%3Fx"},
        {"  params: {m: [a, b], z: [1]}\n", "__address__=h:1,__param_m=x&y,__param_q=1", "",
         "{instance=\"h:1\", job=\"j\"}", "http://h:1/metrics?m=x%26y&m=b&q=1&z=1"},
        {"  relabel_configs: [{source_labels: [__address__], regex: 'h:.*', action: drop}]\n",
         "__address__=h:1", "", NULL, NULL},
        {"  relabel_configs: [{source_labels: [__meta_x], target_label: x}, {target_label: __address__, "
         "replacement: 'new:2'}]\n",
         "__address__=h:1,__meta_x=v", "", "{instance=\"new:2\", job=\"j\", x=\"v\"}",
         "http://new:2/metrics"},
        {"", "", "a=b", "no address", NULL},
        {"  relabel_configs: [{target_label: __address__, replacement: 'http://x'}]\n", "__address__=h:1", "",
         "\"http://x\" is not a valid hostname", NULL},
        {"  relabel_configs: [{target_label: __scrape_interval__, replacement: 'often'}]\n",
         "__address__=h:1", "", "error parsing scrape interval: not a valid duration string: \"often\"",
         NULL},
        {"  relabel_configs: [{target_label: __scrape_timeout__, replacement: '0s'}]\n", "__address__=h:1",
         "", "scrape timeout cannot be 0", NULL},
        {"  relabel_configs: [{target_label: __scrape_timeout__, replacement: '2m'}]\n", "__address__=h:1",
         "", "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena a;
        Buf out;
        Why why;
        Labels all;
        arena_init(&a, NULL, 0);
        buf_init(&out, 4096);
        PromConfig *p = job_of(cases[i].job);
        Labels discovered = target_discovered_labels(&p->jobs[0], labels_of(&a, cases[i].target),
                                                     labels_of(&a, cases[i].group), &a);
        Err e = target_labels(&p->jobs[0], discovered, &a, &all, &why);
        if (e != OK) {
            assert_null(cases[i].url);
            assert_string_equal(why.text, cases[i].labels);
        } else if (all.len == 0) {
            assert_null(cases[i].labels);
        } else {
            labels_print(&out, target_public_labels(all, &a));
            assert_str(buf_view(&out), cases[i].labels);
            assert_str(target_url(&p->jobs[0], all, &a), cases[i].url);
        }
        prom_config_unref(p);
        buf_done(&out);
        arena_done(&a);
    }
}

static void test_accept(void **state)
{
    static const struct {
        const char *job, *want;
    } cases[] = {
        {"", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/"
             "openmetrics-text;version=0.0.1;q=0.5,"
             "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"},
        {"  metric_name_escaping_scheme: dots\n  scrape_protocols: [PrometheusText1.0.0, PrometheusProto]\n",
         "text/plain;version=1.0.0;escaping=dots;q=0.6,application/"
         "vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
         "encoding=delimited;q=0.5,*/*;q=0.4"},
        {"  metric_name_validation_scheme: legacy\n  scrape_protocols: [OpenMetricsText1.0.0]\n",
         "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena a;
        arena_init(&a, NULL, 0);
        PromConfig *p = job_of(cases[i].job);
        assert_str(scrape_accept_header(&p->jobs[0], &a), cases[i].want);
        prom_config_unref(p);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_labels_and_urls), cmocka_unit_test(test_accept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
