/* Discovery: target lists in both formats, files that change and break, DNS answers, HTTP endpoints. */
#include "fake.h"

/* ---- lists ---- */

static void test_lists(void **state)
{
    static const struct {
        const char *text;
        bool is_json;
        const char *want; /* "labels|address address;..." or the start of the error */
        bool ok;
    } cases[] = {
        {"- targets: ['a:1', 'b:2']\n  labels: {z: '1', y: x}\n", false, "{y=\"x\", z=\"1\"}|a:1 b:2;", true},
        {"[]", false, "", true},
        {"# nothing\n", false, "", true},
        {"[{\"targets\": [\"a:1\"], \"labels\": {\"x\": \"\\u00e9\\ud83d\\ude00\\ud83d\"}}, "
         "{\"targets\":[\"b:1\"]}]",
         true, "{x=\"\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\"}|a:1;{}|b:1;", true},
        {"null", true, "", true},
        {"[{\"targets\":null}]", true, "{}|;", true},
        {"[{\"targets\": [1]}]", true, "must be a string in double quotes", false},
        {"[{\"targets\": [\"a:1\"], \"lables\": {}}]", true, "unknown field, did you mean labels?", false},
        {"{\"targets\": [\"a:1\"]}", true, "expected a JSON list", false},
        {"[{\"targets\": [\"a:1\"]", true, "YAML syntax", false},
        {"- targets: a:1\n", false, "must be a list", false},
        {"-\n", false, "an empty target group", false},
        {"targets: [a]\n", false, "expected a list of target groups", false},
        {"- targets: [a]\n  targets: [b]\n", false, "duplicate key", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena a;
        Buf out;
        Why why = {0};
        TargetGroup *groups = NULL;
        u32 n = 0;
        arena_init(&a, NULL, 0);
        buf_init(&out, 4096);
        Err e = target_groups_parse(str_c(cases[i].text), cases[i].is_json, "list", &a, &groups, &n, &why);
        for (u32 g = 0; e == OK && g < n; g++) {
            labels_print(&out, groups[g].labels);
            buf_char(&out, '|');
            for (u32 t = 0; t < groups[g].targets_len; t++)
                buf_printf(&out, "%s%.*s", t ? " " : "",
                           STR_FMT(labels_get(groups[g].targets[t], S("__address__"))));
            buf_char(&out, ';');
        }
        if ((e == OK) != cases[i].ok || (e == OK && strcmp(buf_cstr(&out), cases[i].want) != 0) ||
            (e != OK && !strstr(why.text, cases[i].want)))
            fail_msg("case %zu: %s: %s", i, e == OK ? buf_cstr(&out) : why.text, cases[i].want);
        buf_done(&out);
        arena_done(&a);
    }
}

/* ---- a discovery under test ---- */

typedef struct Watch {
    FakeWorld w;
    Discovery *d;
    u32 changes;
    DnsAnswer answers[4];
    u32 answers_len;
    Err dns_err;
} Watch;

static void on_change(void *arg)
{
    ((Watch *)arg)->changes++;
}

static Err fake_dns(void *arg, Str name, DnsSdType type, Arena *arena, DnsAnswer **ret, u32 *ret_len,
                    Why *why)
{
    Watch *x = arg;
    if (x->dns_err)
        return why_set(why, x->dns_err, "no answer");
    *ret = arena_array(arena, DnsAnswer, 4);
    memcpy(*ret, x->answers, sizeof x->answers);
    *ret_len = x->answers_len;
    return OK;
}

static void watch(Watch *x, const SdConfigs *c)
{
    DiscoveryEnv env = {.loop = x->w.loop,
                        .fetch = fake_fetcher(&x->w),
                        .vfs = vfs_os(),
                        .dns = fake_dns,
                        .dns_arg = x,
                        .manager = "test"};
    x->d = discovery_new(&env, c, S("job"), on_change, x);
}

static void assert_targets(Watch *x, const char *want)
{
    const TargetGroup *const *groups;
    Buf out;
    u32 n = discovery_groups(x->d, &groups);
    buf_init(&out, 1u << 16);
    for (u32 i = 0; i < n; i++)
        for (u32 t = 0; t < groups[i]->targets_len; t++) {
            labels_print(&out, groups[i]->targets[t]);
            labels_print(&out, groups[i]->labels);
            buf_char(&out, '\n');
        }
    assert_str(buf_view(&out), want);
    buf_done(&out);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[400];
    Why why;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(vfs_write_file(vfs_os(), path, str_c(text), &why), &why);
}

static void test_files(void **state)
{
    char dir[256], pattern[400], fixed[400], want[2048];
    Watch x = {0};
    test_dir(dir);
    snprintf(pattern, sizeof pattern, "%s/t*.yml", dir);
    snprintf(fixed, sizeof fixed, "%s/one.json", dir);
    const Str patterns[] = {str_c(pattern), str_c(fixed)};
    const FileSd file = {patterns, 2, 300000};
    const Labels addr = {&(Label){S("__address__"), S("s:1")}, 1};
    const TargetGroup statics = {.targets = &addr, .targets_len = 1};
    fake_init(&x.w, 1000);
    put(dir, "t1.yml", "- targets: [a:1]\n");
    put(dir, "other.yml", "- targets: [no:1]\n");
    watch(&x, &(SdConfigs){.files = &file, .files_len = 1, .statics = &statics, .statics_len = 1});
    fake_run(&x.w, 100, 10);
    assert_int_equal(x.changes, 1); /* static and files together, not one after the other */
    snprintf(want, sizeof want,
             "{__address__=\"s:1\"}{}\n{__address__=\"a:1\"}{__meta_filepath=\"%s/t1.yml\"}\n", dir);
    assert_targets(&x, want);
    fake_run(&x.w, 10000, 100);
    assert_int_equal(x.changes, 1);
    /* A new file, a changed file, a fixed path. */
    put(dir, "t2.yml", "- targets: [b:1]\n  labels: {k: v}\n");
    put(dir, "t1.yml", "- targets: [a:1, a:22]\n");
    put(dir, "one.json", "[{\"targets\":[\"c:1\"]}]");
    fake_run(&x.w, 5000, 100);
    assert_int_equal(x.changes, 2);
    snprintf(want, sizeof want,
             "{__address__=\"s:1\"}{}\n{__address__=\"a:1\"}{__meta_filepath=\"%s/"
             "t1.yml\"}\n{__address__=\"a:22\"}{__meta_filepath=\"%s/t1.yml\"}\n"
             "{__address__=\"b:1\"}{__meta_filepath=\"%s/t2.yml\", "
             "k=\"v\"}\n{__address__=\"c:1\"}{__meta_filepath=\"%s/one.json\"}\n",
             dir, dir, dir, dir);
    assert_targets(&x, want);
    /* A broken file keeps its last good list. */
    log_set_level(LOG_LEVEL_ERROR);
    put(dir, "t1.yml", "- targets: {\n");
    fake_run(&x.w, 10000, 100);
    assert_int_equal(x.changes, 2);
    assert_targets(&x, want);
    /* Files that go take their targets along. */
    char path[400];
    snprintf(path, sizeof path, "%s/t1.yml", dir);
    vfs_os()->unlink(vfs_os(), path, NULL);
    vfs_os()->unlink(vfs_os(), fixed, NULL);
    fake_run(&x.w, 5000, 100);
    snprintf(want, sizeof want,
             "{__address__=\"s:1\"}{}\n{__address__=\"b:1\"}{__meta_filepath=\"%s/t2.yml\", k=\"v\"}\n", dir);
    assert_targets(&x, want);
    discovery_free(x.d);
    fake_done(&x.w);
    vfs_remove_tree(vfs_os(), dir, NULL);
}

static void test_dns(void **state)
{
    const Str names[] = {S("_x._tcp.example")};
    DnsSd dns = {names, 1, DNS_SRV, 0, 30000};
    Watch x = {.answers = {{S("b.example"), 9}, {S("a.example."), 8}}, .answers_len = 2};
    fake_init(&x.w, 1000);
    watch(&x, &(SdConfigs){.dns = &dns, .dns_len = 1});
    fake_run(&x.w, 100, 10);
    const char *want = "{__address__=\"a.example:8\", __meta_dns_name=\"_x._tcp.example\", "
                       "__meta_dns_srv_record_port=\"8\", "
                       "__meta_dns_srv_record_target=\"a.example.\"}{}\n"
                       "{__address__=\"b.example:9\", __meta_dns_name=\"_x._tcp.example\", "
                       "__meta_dns_srv_record_port=\"9\", "
                       "__meta_dns_srv_record_target=\"b.example.\"}{}\n";
    assert_targets(&x, want);
    /* Another order is no change; no answer keeps the last; "no such name" empties. */
    DnsAnswer swap = x.answers[0];
    x.answers[0] = x.answers[1];
    x.answers[1] = swap;
    log_set_level(LOG_LEVEL_ERROR);
    fake_run(&x.w, 30000, 100);
    x.dns_err = E_TIMEOUT;
    fake_run(&x.w, 30000, 100);
    assert_int_equal(x.changes, 1);
    assert_targets(&x, want);
    x.dns_err = E_NOT_FOUND;
    fake_run(&x.w, 30000, 100);
    assert_int_equal(x.changes, 2);
    assert_targets(&x, "");
    discovery_free(x.d);
    dns = (DnsSd){names, 1, DNS_AAAA, 9100, 30000};
    x.dns_err = OK;
    x.answers[0] = (DnsAnswer){S("::1"), 0};
    x.answers_len = 1;
    watch(&x, &(SdConfigs){.dns = &dns, .dns_len = 1});
    fake_run(&x.w, 100, 10);
    assert_targets(&x, "{__address__=\"[::1]:9100\", __meta_dns_name=\"_x._tcp.example\"}{}\n");
    discovery_free(x.d);
    dns.type = DNS_MX;
    x.answers[0].host = S("mx.example");
    watch(&x, &(SdConfigs){.dns = &dns, .dns_len = 1});
    fake_run(&x.w, 100, 10);
    assert_targets(&x, "{__address__=\"mx.example:9100\", __meta_dns_mx_record_target=\"mx.example.\", "
                       "__meta_dns_name=\"_x._tcp.example\"}{}\n");
    discovery_free(x.d);
    fake_done(&x.w);
}

static void test_http(void **state)
{
    const HttpSd http = {.url = S("http://sd/list"), .refresh_ms = 60000};
    Watch x = {0};
    fake_init(&x.w, 1000);
    log_set_level(LOG_LEVEL_ERROR);
    fake_page(&x.w, "sd/list", "[{\"targets\":[\"a:1\"],\"labels\":{\"k\":\"v\"}}]");
    x.w.pages[0].type = "application/json; charset=utf-8";
    watch(&x, &(SdConfigs){.https = &http, .https_len = 1});
    fake_run(&x.w, 100, 10);
    const char *want = "{__address__=\"a:1\"}{__meta_url=\"http://sd/list\", k=\"v\"}\n";
    assert_targets(&x, want);
    assert_string_equal(
        x.w.last_headers,
        "Accept: application/json\nUser-Agent: Pharos\nX-Prometheus-Refresh-Interval-Seconds: 60\n");
    /* Wrong status, type or content: the last good list stays. */
    static const FakePage bad[] = {{"sd/list", 500, "application/json", "[]", OK, NULL, 0},
                                   {"sd/list", 200, "text/plain", "[]", OK, NULL, 0},
                                   {"sd/list", 200, "application/json", "[1]", OK, NULL, 0},
                                   {"sd/list", 0, NULL, NULL, E_TIMEOUT, "timeout", 0}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        x.w.pages[0] = bad[i];
        fake_run(&x.w, 60000, 1000);
        assert_int_equal(x.changes, 1);
        assert_targets(&x, want);
    }
    x.w.pages[0] = (FakePage){"sd/list", 200, "application/json", "[]", OK, NULL, 0};
    fake_run(&x.w, 60000, 1000);
    assert_int_equal(x.changes, 2);
    assert_targets(&x, "");
    /* Freed while a request is under way. */
    x.w.pages[0].delay_ms = 30000;
    fake_run(&x.w, 65000, 1000);
    discovery_free(x.d);
    fake_done(&x.w);
}

/* A slow provider holds the first callback back, but not for ever. */
static void test_first_callback(void **state)
{
    const HttpSd http = {.url = S("http://sd/list"), .refresh_ms = 60000};
    const Labels addr = {&(Label){S("__address__"), S("s:1")}, 1};
    const TargetGroup statics = {.targets = &addr, .targets_len = 1};
    Watch x = {0};
    fake_init(&x.w, 1000);
    fake_page(&x.w, "sd/list", "[{\"targets\":[\"a:1\"]}]");
    x.w.pages[0].type = "application/json";
    x.w.pages[0].delay_ms = 8000;
    watch(&x, &(SdConfigs){.https = &http, .https_len = 1, .statics = &statics, .statics_len = 1});
    fake_run(&x.w, 4000, 100);
    assert_int_equal(x.changes, 0);
    fake_run(&x.w, 2000, 100);
    assert_int_equal(x.changes, 1);
    fake_run(&x.w, 3000, 100);
    assert_int_equal(x.changes, 2);
    assert_targets(&x, "{__address__=\"s:1\"}{}\n{__address__=\"a:1\"}{__meta_url=\"http://sd/list\"}\n");
    discovery_free(x.d);
    fake_done(&x.w);
}

/* With a real pool: freed while the worker reads, nothing is leaked or touched after its end. */
static void test_free_with_pool(void **state)
{
    char dir[256], pattern[400];
    test_dir(dir);
    snprintf(pattern, sizeof pattern, "%s/*.yml", dir);
    put(dir, "a.yml", "- targets: [a:1]\n");
    const Str patterns[] = {str_c(pattern)};
    const FileSd file = {patterns, 1, 1000};
    for (int i = 0; i < 50; i++) {
        Loop *loop = loop_new(clock_real());
        Pool *pool = pool_new("sd", 1, 100);
        Watch x = {0};
        DiscoveryEnv env = {.loop = loop, .pool = pool, .vfs = vfs_os(), .manager = "test"};
        Discovery *d =
            discovery_new(&env, &(SdConfigs){.files = &file, .files_len = 1}, S("job"), on_change, &x);
        loop_run_once(loop, 0);
        if (i & 1)
            loop_run_once(loop, 5);
        discovery_free(d);
        pool_free(pool);
        loop_run_once(loop, 0);
        loop_free(loop);
    }
    vfs_remove_tree(vfs_os(), dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_first_callback),
        cmocka_unit_test(test_free_with_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
