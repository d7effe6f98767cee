#include "test.h"
#include "rules/rules.h"

/* ---- a store in memory: sink and source ---- */
typedef struct MemSeries {
    Labels labels;
    VEC(i64) t;
    VEC(f64) v;
} MemSeries;
typedef struct Mem {
    SampleSink sink;
    PromSource source;
    VEC(MemSeries *) series;
} Mem;

static MemSeries *mem_series(Mem *m, Labels l)
{
    for (size_t i = 0; i < m->series.len; i++)
        if (labels_eq(m->series.at[i]->labels, l))
            return m->series.at[i];
    MemSeries *s = mem_new(MemSeries);
    s->labels = labels_own(l);
    vec_push(&m->series, s);
    return s;
}

static void mem_write(SampleSink *s, const SampleBatch *b, u64 *hints, SinkResult *ret)
{
    Mem *m = (Mem *)s;
    assert_true(b->from_self);
    assert_int_equal(b->tenant.len, 0);
    for (u32 i = 0; i < b->series_len; i++) {
        MemSeries *x = mem_series(m, b->series[i].labels);
        for (u32 k = 0; k < b->series[i].samples_len; k++) {
            vec_push(&x->t, b->series[i].samples[k].t);
            vec_push(&x->v, b->series[i].samples[k].v);
            ret->samples_ok++;
        }
    }
}

typedef struct MemCursor {
    SeriesCursor c;
    Mem *m;
    Matchers sel;
    size_t at;
    i64 mint, maxt;
} MemCursor;

static Err cursor_next(SeriesCursor *c, SeriesView *ret, u32 max, u32 *ret_n, Why *why)
{
    MemCursor *k = (MemCursor *)c;
    *ret_n = 0;
    for (; k->at < k->m->series.len && *ret_n < max; k->at++) {
        MemSeries *s = k->m->series.at[k->at];
        u32 from = 0, to = 0;
        if (!matchers_match(k->sel, s->labels))
            continue;
        while (from < s->t.len && s->t.at[from] < k->mint)
            from++;
        for (to = from; to < s->t.len && s->t.at[to] <= k->maxt;)
            to++;
        if (to > from)
            ret[(*ret_n)++] =
                (SeriesView){.labels = s->labels, .t = s->t.at + from, .v = s->v.at + from, .n = to - from};
    }
    return OK;
}
static void cursor_close(SeriesCursor *c)
{
    mem_free(c);
}

static Err mem_select(PromSource *s, Str tenant, Matchers sel, const SelectHints *h, Arena *arena,
                      Cancel *cancel, SeriesCursor **ret, Why *why)
{
    MemCursor *k = mem_new(MemCursor);
    *k = (MemCursor){
        {cursor_next, cursor_close}, (Mem *)((char *)s - offsetof(Mem, source)), sel, 0, h->mint, h->maxt};
    *ret = &k->c;
    return OK;
}

static void mem_put(Mem *m, const char *metric, i64 t, f64 v)
{
    Arena a;
    arena_init(&a, NULL, 0);
    Labels l;
    Why why = {0};
    assert_ok(promql_parse_metric(str_c(metric), &a, &l, &why), &why);
    MemSeries *s = mem_series(m, l);
    vec_push(&s->t, t);
    vec_push(&s->v, v);
    arena_done(&a);
}

/* ---- the harness: a virtual clock, a loop turned by hand, alerts collected ---- */
typedef struct Got {
    char text[300];
    i64 starts, ends;
    bool resolved;
} Got;
typedef struct Bench {
    VirtualClock clock;
    Loop *loop;
    Mem mem;
    AlertSink alerts;
    VEC(Got) got;
    Rules *rules;
    char dir[256], state[300];
} Bench;

static void on_alerts(AlertSink *s, const AlertNotice *a, u32 n)
{
    Bench *b = (Bench *)((char *)s - offsetof(Bench, alerts));
    for (u32 i = 0; i < n; i++) {
        Got g = {.starts = a[i].starts_ms, .ends = a[i].ends_ms, .resolved = a[i].is_resolved};
        Buf t;
        buf_init(&t, 2000);
        labels_print(&t, a[i].labels);
        labels_print(&t, a[i].annotations);
        snprintf(g.text, sizeof g.text, "%s", buf_cstr(&t));
        buf_done(&t);
        assert_true(str_starts(a[i].generator_url, S("http://me:9090/graph?g0.expr=")));
        vec_push(&b->got, g);
    }
}

#define START 1800000000000LL

static void open_rules(Bench *b)
{
    RulesEnv env = {.loop = b->loop,
                    .clock = &b->clock.clock,
                    .source = &b->mem.source,
                    .sink = &b->mem.sink,
                    .alerts = &b->alerts,
                    .vfs = vfs_os(),
                    .state_dir = b->state,
                    .prom = {.clock = &b->clock.clock}};
    Why why = {0};
    assert_ok(rules_open(&b->rules, &env, &why), &why);
}

static void apply(Bench *b, const char *yaml)
{
    static const Label external[] = {{STR_INIT("dc"), STR_INIT("eu")}};
    RuleSet *set = rule_set_parse("r.yml", str_c(yaml), NULL);
    Why why = {0};
    assert_ok(rule_set_verdict(set, &why), &why);
    RulesGlobals g = {
        .interval_ms = 60000, .external_url = S("http://me:9090"), .external_labels = {external, 1}};
    rules_apply(b->rules, set, &g);
    rule_set_unref(set);
}

/* Moves the clock in steps of a second, turning the loop. before(arg, now_ms) feeds samples. */
static void run_for(Bench *b, i64 sec, void (*before)(Bench *b, i64 t))
{
    for (i64 i = 0; i < sec; i++) {
        virtual_clock_advance(&b->clock, NS_PER_SEC);
        if (before)
            before(b, clock_wall_ms(&b->clock.clock));
        loop_run_once(b->loop, 0);
    }
}

static Bench *bench_new(void)
{
    Bench *b = mem_new(Bench);
    virtual_clock_init(&b->clock, START * NS_PER_MS);
    b->loop = loop_new(&b->clock.clock);
    b->mem.sink.write = mem_write;
    b->mem.source.select = mem_select;
    b->alerts.send = on_alerts;
    test_dir(b->dir);
    snprintf(b->state, sizeof b->state, "%s/rules", b->dir);
    open_rules(b);
    return b;
}

static void bench_free(Bench *b)
{
    if (b->rules)
        rules_close(b->rules);
    loop_free(b->loop);
    for (size_t i = 0; i < b->mem.series.len; i++) {
        labels_disown(b->mem.series.at[i]->labels);
        vec_done(&b->mem.series.at[i]->t);
        vec_done(&b->mem.series.at[i]->v);
        mem_free(b->mem.series.at[i]);
    }
    vec_done(&b->mem.series);
    vec_done(&b->got);
    vfs_remove_tree(vfs_os(), b->dir, NULL);
    mem_free(b);
}

static MemSeries *find(Bench *b, const char *metric)
{
    Arena a;
    Labels l;
    arena_init(&a, NULL, 0);
    Why why = {0};
    assert_ok(promql_parse_metric(str_c(metric), &a, &l, &why), &why);
    MemSeries *ret = NULL;
    for (size_t i = 0; i < b->mem.series.len; i++)
        if (labels_eq(b->mem.series.at[i]->labels, l))
            ret = b->mem.series.at[i];
    arena_done(&a);
    return ret;
}

static char *alerts_json(Bench *b)
{
    static char text[20000];
    Buf out;
    buf_init(&out, sizeof text - 1);
    rules_alerts_json(b->rules, &out);
    snprintf(text, sizeof text, "%s", buf_cstr(&out));
    buf_done(&out);
    return text;
}

/* ---- tests ---- */
static void test_recording(void **state)
{
    Bench *b = bench_new();
    apply(b, "groups:\n- name: g\n  interval: 10s\n  labels: {gl: x}\n  rules:\n"
             "  - record: double\n    expr: m * 2\n    labels: {own: y}\n"
             "  - record: again\n    expr: double + 1\n"
             "  - record: one\n    expr: 1\n");
    mem_put(&b->mem, "m{a=\"1\"}", START, 21);
    mem_put(&b->mem, "m{a=\"2\"}", START, 5);
    run_for(b, 30, NULL);
    MemSeries *s = find(b, "double{a=\"1\",gl=\"x\",own=\"y\"}");
    assert_non_null(s);
    assert_int_equal(s->t.len, 3);
    assert_true(s->v.at[0] == 42);
    assert_int_equal(s->t.at[1] - s->t.at[0], 10000);
    s = find(b, "again{a=\"1\",gl=\"x\",own=\"y\"}"); /* sees the rule before it, at the same timestamp */
    assert_non_null(s);
    assert_true(s->v.at[0] == 43);
    assert_non_null(find(b, "one{gl=\"x\"}"));
    /* A series that ends leaves a marker. */
    mem_put(&b->mem, "m{a=\"1\"}", START + 31000, stale_nan());
    run_for(b, 10, NULL);
    s = find(b, "double{a=\"1\",gl=\"x\",own=\"y\"}");
    assert_int_equal(s->t.len, 4);
    assert_true(is_stale(s->v.at[3]));
    run_for(b, 10, NULL);
    assert_int_equal(s->t.len, 4); /* one marker, not two */
    assert_int_equal(find(b, "double{a=\"2\",gl=\"x\",own=\"y\"}")->t.len, 5);
    bench_free(b);
}

static bool broken;
static void feed(Bench *b, i64 t)
{
    if (t % 5000 == 0)
        mem_put(&b->mem, "up{instance=\"a:1\",job=\"j\"}", t, broken ? 0 : 1);
}

static const char *down_rules =
    "groups:\n- name: g\n  interval: 10s\n  rules:\n"
    "  - alert: Down\n    expr: up == 0\n    for: 5m\n"
    "    labels: {severity: page, job: '{{ $labels.job }}-{{ $value }}'}\n"
    "    annotations: {summary: '{{ $labels.instance }} in {{ $externalLabels.dc }} is down'}\n";

/* Forty minutes: fires after five, is sent again every minute, resolves, is told so, is forgotten. */
static void test_alert_life(void **state)
{
    Bench *b = bench_new();
    apply(b, down_rules);
    broken = false;
    run_for(b, 60, feed);
    assert_string_equal(alerts_json(b), "{\"alerts\":[]}");
    broken = true;
    run_for(b, 60, feed);
    assert_non_null(strstr(alerts_json(b), "\"state\":\"pending\""));
    assert_non_null(find(
        b,
        "ALERTS{alertname=\"Down\",alertstate=\"pending\",instance=\"a:1\",job=\"j-0\",severity=\"page\"}"));
    assert_int_equal(b->got.len, 0);
    run_for(b, 280, feed);
    assert_non_null(strstr(alerts_json(b), "\"state\":\"firing\""));
    assert_true(b->got.len >= 1);
    assert_string_equal(b->got.at[0].text,
                        "{alertname=\"Down\", instance=\"a:1\", job=\"j-0\", severity=\"page\"}"
                        "{summary=\"a:1 in eu is down\"}");
    assert_false(b->got.at[0].resolved);
    assert_int_equal(b->got.at[0].ends - b->got.at[0].starts, 240000); /* 4 x resend delay */
    MemSeries *s = find(
        b,
        "ALERTS{alertname=\"Down\",alertstate=\"pending\",instance=\"a:1\",job=\"j-0\",severity=\"page\"}");
    assert_true(is_stale(s->v.at[s->v.len - 1]));
    s = find(b, "ALERTS_FOR_STATE{alertname=\"Down\",instance=\"a:1\",job=\"j-0\",severity=\"page\"}");
    assert_true(s->v.at[s->v.len - 1] >= START / 1000 + 60 && s->v.at[s->v.len - 1] <= START / 1000 + 80);
    size_t before = b->got.len;
    run_for(b, 600, feed);
    assert_in_range(b->got.len - before, 8, 10);
    broken = false;
    run_for(b, 20, feed);
    assert_true(b->got.at[b->got.len - 1].resolved);
    assert_string_equal(alerts_json(b), "{\"alerts\":[]}");
    before = b->got.len;
    run_for(b, 1200, feed); /* resolved alerts are sent for 15 minutes, then no more */
    assert_in_range(b->got.len - before, 11, 16);
    assert_true(b->got.at[b->got.len - 1].resolved);
    before = b->got.len;
    run_for(b, 300, feed);
    assert_int_equal(b->got.len, before);
    bench_free(b);
}

static void test_keep_firing(void **state)
{
    Bench *b = bench_new();
    apply(b, "groups:\n- name: g\n  interval: 10s\n  rules:\n  - alert: A\n    expr: up == 0\n    "
             "keep_firing_for: 2m\n");
    broken = true;
    run_for(b, 30, feed);
    assert_non_null(strstr(alerts_json(b), "firing"));
    broken = false;
    run_for(b, 60, feed);
    assert_non_null(strstr(alerts_json(b), "keepFiringSince"));
    broken = true; /* again: the keeping starts over */
    run_for(b, 20, feed);
    assert_null(strstr(alerts_json(b), "keepFiringSince"));
    broken = false;
    run_for(b, 100, feed);
    assert_non_null(strstr(alerts_json(b), "firing"));
    run_for(b, 60, feed);
    assert_string_equal(alerts_json(b), "{\"alerts\":[]}");
    bench_free(b);
}

/* Killed and started again at any moment, an alert fires when it would have fired. */
static void test_restart(void **state)
{
    for (i64 kill_at = 40; kill_at <= 365; kill_at += 65) {
        Bench *b = bench_new();
        apply(b, down_rules);
        broken = true;
        run_for(b, kill_at, feed);
        bool fired = strstr(alerts_json(b), "firing") != NULL;
        if (kill_at < 300)
            assert_false(fired);
        rules_close(b->rules);
        open_rules(b);
        apply(b, down_rules);
        assert_non_null(strstr(alerts_json(b), fired ? "firing" : "pending"));
        run_for(b, MAX(295 - kill_at, 0), feed);
        if (kill_at < 280)
            assert_null(strstr(alerts_json(b), "firing"));
        run_for(b, 30, feed);
        assert_non_null(strstr(alerts_json(b), "firing"));
        /* It ends while we are down: told after the start. */
        rules_close(b->rules);
        broken = false;
        run_for(b, 20, NULL);
        mem_put(&b->mem, "up{instance=\"a:1\",job=\"j\"}", clock_wall_ms(&b->clock.clock), 1);
        open_rules(b);
        apply(b, down_rules);
        b->got.len = 0;
        run_for(b, 20, feed);
        assert_true(b->got.len && b->got.at[0].resolved);
        bench_free(b);
    }
}

/* After an outage longer than RULES_GAP_MS a pending alert does not fire at once: nobody saw it hold. */
static void test_long_outage(void **state)
{
    Bench *b = bench_new();
    apply(b, down_rules);
    broken = true;
    run_for(b, 200, feed);
    rules_close(b->rules);
    virtual_clock_advance(&b->clock, 3600 * NS_PER_SEC);
    open_rules(b);
    apply(b, down_rules);
    run_for(b, 60, feed);
    assert_null(strstr(alerts_json(b), "firing"));
    run_for(b, 120, feed);
    assert_non_null(strstr(alerts_json(b), "firing"));
    bench_free(b);
}

static void test_reload(void **state)
{
    Bench *b = bench_new();
    apply(b, down_rules);
    broken = true;
    run_for(b, 200, feed);
    assert_non_null(strstr(alerts_json(b), "pending"));
    /* Unchanged and changed: the alert goes on either way. */
    apply(b, down_rules);
    assert_non_null(strstr(alerts_json(b), "pending"));
    apply(b, "groups:\n- name: g\n  interval: 10s\n  rules:\n  - record: first\n    expr: vector(1)\n"
             "  - alert: Down\n    expr: up == 0\n    for: 4m\n"
             "    labels: {severity: page, job: '{{ $labels.job }}-{{ $value }}'}\n");
    assert_non_null(strstr(alerts_json(b), "pending"));
    run_for(b, 60, feed);
    assert_non_null(strstr(alerts_json(b), "firing"));
    /* Raised above what has passed: pending again. */
    apply(b,
          "groups:\n- name: g\n  interval: 10s\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 1h\n"
          "    labels: {severity: page, job: '{{ $labels.job }}-{{ $value }}'}\n");
    run_for(b, 20, feed);
    assert_null(strstr(alerts_json(b), "firing"));
    /* The recording rule is gone: its series ends with a marker after two intervals. */
    MemSeries *s = find(b, "first");
    assert_non_null(s);
    run_for(b, 30, feed);
    assert_true(is_stale(s->v.at[s->v.len - 1]));
    /* All gone. */
    apply(b, "groups: []\n");
    assert_string_equal(alerts_json(b), "{\"alerts\":[]}");
    bench_free(b);
}

static char *rules_text(Bench *b, const RulesQuery *q, Why *why)
{
    static char text[20000];
    Buf out;
    buf_init(&out, sizeof text - 1);
    RulesQuery none = {0};
    Err e = rules_json(b->rules, q ? q : &none, &out, why);
    snprintf(text, sizeof text, "%s", e == OK ? buf_cstr(&out) : why->text);
    buf_done(&out);
    return text;
}

static void test_failures_and_limits(void **state)
{
    Bench *b = bench_new();
    Why why = {0};
    apply(b, "groups:\n- name: g\n  interval: 10s\n  limit: 1\n  rules:\n"
             "  - alert: Dup\n    expr: label_replace(vector(1), \"a\", \"1\", \"\", \"\") or "
             "label_replace(vector(1), \"a\", \"2\", \"\", \"\")\n"
             "    labels: {a: same}\n"
             "  - alert: Many\n    expr: label_replace(vector(1), \"a\", \"1\", \"\", \"\") or "
             "label_replace(vector(1), \"a\", \"2\", \"\", \"\")\n"
             "  - record: many\n    expr: label_replace(vector(1), \"a\", \"1\", \"\", \"\") or "
             "label_replace(vector(1), \"a\", \"2\", \"\", \"\")\n"
             "  - alert: Bad\n    expr: vector(1)\n    annotations: {x: '{{ .Nope }}', y: 'fine'}\n");
    run_for(b, 20, NULL);
    char *text = rules_text(b, NULL, &why);
    assert_non_null(strstr(
        text,
        "\"lastError\":\"vector contains metrics with the same labelset after applying alert labels\""));
    assert_non_null(strstr(text, "\"lastError\":\"exceeded limit of 1 with 2 alerts\""));
    assert_non_null(strstr(text, "\"lastError\":\"exceeded limit of 1 with 2 series\""));
    /* A template that fails loses no alert. */
    assert_non_null(strstr(
        text,
        "<error expanding template: error executing template __alert_Bad: template: __alert_Bad:1:115: "
        "executing \\\"__alert_Bad\\\" at <.Nope>: can't evaluate field Nope in type struct { Labels "
        "map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }>"));
    assert_non_null(strstr(text, "\"y\":\"fine\""));
    assert_int_equal(rules_count_firing(b->rules), 1);
    bench_free(b);
}

static void test_api(void **state)
{
    Bench *b = bench_new();
    apply(b, "groups:\n- name: h\n  rules:\n  - record: c\n    expr: vector(2)\n"
             "- name: a\n  interval: 1h\n  rules:\n  - record: lab\n    expr: sum(up)  > 0\n    labels: "
             "{foo: bar}\n"
             "  - alert: Pend\n    expr: vector(1)\n    for: 1h\n    labels: {sev: p}\n    annotations: {s: "
             "\"x < y & 'z'\"}\n");
    Why why = {0};
    assert_string_equal(
        rules_text(b, NULL, &why),
        "{\"groups\":[{\"name\":\"a\",\"file\":\"r.yml\",\"rules\":["
        "{\"name\":\"lab\",\"query\":\"sum(up) \\u003e "
        "0\",\"labels\":{\"foo\":\"bar\"},\"health\":\"unknown\",\"evaluationTime\":0,"
        "\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"type\":\"recording\"},"
        "{\"state\":\"inactive\",\"name\":\"Pend\",\"query\":\"vector(1)\",\"duration\":3600,"
        "\"keepFiringFor\":0,\"labels\":{\"sev\":\"p\"},"
        "\"annotations\":{\"s\":\"x < y & 'z'\"},\"alerts\":[],\"health\":\"unknown\",\"evaluationTime\":0,"
        "\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"type\":\"alerting\"}],\"interval\":3600,\"limit\":0,"
        "\"evaluationTime\":0,"
        "\"lastEvaluation\":\"0001-01-01T00:00:00Z\"},"
        "{\"name\":\"h\",\"file\":\"r.yml\",\"rules\":[{\"name\":\"c\",\"query\":\"vector(2)\",\"health\":"
        "\"unknown\",\"evaluationTime\":0,"
        "\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"type\":\"recording\"}],\"interval\":60,\"limit\":0,"
        "\"evaluationTime\":0,"
        "\"lastEvaluation\":\"0001-01-01T00:00:00Z\"}]}");
    Str one[] = {S("Pend")}, match[] = {S("{sev=\"p\"}")}, bad[] = {S("zz{")};
    RulesQuery q = {.rule_names = one, .rule_names_len = 1, .exclude_alerts = S("true")};
    assert_non_null(strstr(rules_text(b, &q, &why), "\"alerts\":null"));
    assert_null(strstr(rules_text(b, &q, &why), "\"lab\""));
    q = (RulesQuery){.matches = match, .matches_len = 1};
    assert_null(strstr(rules_text(b, &q, &why), "\"lab\""));
    q = (RulesQuery){.type = S("record")};
    assert_null(strstr(rules_text(b, &q, &why), "Pend"));
    q = (RulesQuery){.group_limit = S("1")};
    char *token = strstr(rules_text(b, &q, &why), "\"groupNextToken\":\"");
    assert_non_null(token);
    char copy[64];
    snprintf(copy, sizeof copy, "%.40s", token + 18);
    q.group_next_token = str_c(copy);
    assert_non_null(strstr(rules_text(b, &q, &why), "\"name\":\"h\""));
    assert_null(strstr(rules_text(b, &q, &why), "groupNextToken"));
    static const struct {
        RulesQuery q;
        const char *want;
    } wrong[] = {
        {{.type = STR_INIT("x")}, "invalid parameter \"type\": not supported value \"x\""},
        {{.group_limit = STR_INIT("x")},
         "invalid parameter \"group_limit\": group_limit needs to be a valid number: strconv.ParseInt: "
         "parsing \"x\": invalid syntax"},
        {{.group_limit = STR_INIT("-1")},
         "invalid parameter \"group_limit\": group_limit needs to be greater than 0"},
        {{.group_limit = STR_INIT("1"), .group_next_token = STR_INIT("zz")},
         "invalid parameter \"group_next_token\": invalid group_next_token 'zz'. were rule groups changed?"},
        {{.group_next_token = STR_INIT("a")},
         "invalid parameter \"group_next_token\": group_limit needs to be present in order to paginate over "
         "the groups"},
        {{.exclude_alerts = STR_INIT("z")},
         "invalid parameter \"exclude_alerts\": error converting exclude_alerts: strconv.ParseBool: parsing "
         "\"z\": invalid syntax"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_string_equal(rules_text(b, &wrong[i].q, &why), wrong[i].want);
    q = (RulesQuery){.matches = bad, .matches_len = 1};
    assert_non_null(
        strstr(rules_text(b, &q, &why), "1:4: parse error: unexpected end of input inside braces"));
    bench_free(b);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recording),           cmocka_unit_test(test_alert_life),
        cmocka_unit_test(test_keep_firing),         cmocka_unit_test(test_restart),
        cmocka_unit_test(test_long_outage),         cmocka_unit_test(test_reload),
        cmocka_unit_test(test_failures_and_limits), cmocka_unit_test(test_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
