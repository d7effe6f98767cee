#include "test.h"
#include "rules/rules_internal.h"

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

/* ---- the past ---- */
enum { PAST_STEP_MS = 10000, PAST_TICKS = 400 };

/* Three series that wander over and under the threshold, vanish and come back. */
static void feed_wandering(Bench *b, i64 t)
{
    static u64 seed;
    if (t % 5000)
        return;
    seed = t == START + 5000 ? 42 : seed;
    for (int i = 0; i < 3; i++) {
        char name[40];
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        snprintf(name, sizeof name, "m{s=\"%d\"}", i);
        u64 r = seed >> 33;
        if (r % 17 < 3)
            mem_put(&b->mem, name, t, stale_nan());
        else
            mem_put(&b->mem, name, t, (f64)((u64)(t / 60000 + i * 3) % 10) + (f64)(r % 100) / 50);
    }
}

typedef struct Past {
    VEC(char *) firings;
    u32 calls;
} Past;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *firing_text(Labels l, i64 starts_ms, i64 ends_ms)
{
    Buf b;
    buf_init(&b, 4096);
    labels_print(&b, l);
    buf_printf(&b, " %lld %lld", (long long)starts_ms, (long long)ends_ms);
    char *text = mem_strdup(buf_view(&b));
    buf_done(&b);
    return text;
}

static bool on_firing(void *arg, const BacktestFiring *f)
{
    Past *p = arg;
    assert_true(f->active_ms <= f->starts_ms && (!f->ends_ms || f->ends_ms > f->starts_ms));
    assert_true(f->peak >= f->first && f->peak >= f->last);
    vec_push(&p->firings, firing_text(f->labels, f->starts_ms, f->ends_ms));
    return true;
}

static bool on_part(void *arg, f64 part)
{
    ((Past *)arg)->calls++;
    assert_true(part > 0 && part <= 1);
    return true;
}

/* The times ALERTS said "firing", as the engine wrote it: stamped the query's offset earlier. */
static void engine_firings(Bench *b, Past *ret, i64 end_ms, i64 offset_ms)
{
    for (size_t i = 0; i < b->mem.series.len; i++) {
        const MemSeries *x = b->mem.series.at[i];
        if (!str_eq(labels_get(x->labels, LABEL_NAME), S("ALERTS")) ||
            !str_eq(labels_get(x->labels, S("alertstate")), S("firing")))
            continue;
        Arena arena;
        LabelsBuilder lb;
        arena_init(&arena, NULL, 0);
        lb_init(&lb, &arena, x->labels);
        lb_del(&lb, LABEL_NAME);
        lb_del(&lb, S("alertstate"));
        Labels l = lb_build(&lb);
        i64 from = 0, last = 0;
        for (size_t k = 0; k <= x->t.len; k++) {
            bool on = k < x->t.len && !is_stale(x->v.at[k]);
            if (from && (!on || x->t.at[k] + offset_ms != last + PAST_STEP_MS)) {
                vec_push(&ret->firings,
                         firing_text(l, from, last + PAST_STEP_MS > end_ms ? 0 : last + PAST_STEP_MS));
                from = 0;
            }
            if (on) {
                from = from ? from : x->t.at[k] + offset_ms;
                last = x->t.at[k] + offset_ms;
            }
        }
        arena_done(&arena);
    }
}

static void same_past(const char *group, const char *expr, i64 offset_ms, bool wants_failures)
{
    Bench *b = bench_new();
    Past engine = {0}, past = {0};
    char yaml[1000];
    snprintf(
        yaml, sizeof yaml,
        "groups:\n- name: g\n  interval: 10s\n  %s\n  rules:\n  - alert: A\n    expr: %s\n    for: 30s\n"
        "    keep_firing_for: 20s\n    labels: {how: '{{ if gt $value 10.0 }}high{{ else }}low{{ end }}'}\n",
        group, expr);
    apply(b, yaml);
    run_for(b, PAST_TICKS * PAST_STEP_MS / 1000, feed_wandering);
    MemSeries *any = NULL;
    for (size_t i = 0; i < b->mem.series.len && !any; i++)
        if (str_eq(labels_get(b->mem.series.at[i]->labels, LABEL_NAME), S("ALERTS")))
            any = b->mem.series.at[i];
    assert_non_null(any);
    RuleSet *set = rule_set_parse("r.yml", str_c(yaml), NULL);
    u32 n;
    const RuleGroup *g = rule_set_groups(set, &n);
    BacktestAsk ask = {.group = g,
                       .rule = &g->rules[0],
                       .start_ms = START + 1 + (any->t.at[0] + offset_ms - START - 1) % PAST_STEP_MS,
                       .interval_ms = PAST_STEP_MS,
                       .firing = on_firing,
                       .progress = on_part,
                       .arg = &past};
    ask.end_ms = ask.start_ms + (PAST_TICKS - 1) * PAST_STEP_MS;
    BacktestTotals totals;
    Why why = {0};
    assert_ok(rules_backtest(b->rules, &ask, &totals, &why), &why);
    engine_firings(b, &engine, ask.end_ms, offset_ms);
    assert_int_equal(totals.evaluations, PAST_TICKS);
    assert_int_equal(totals.failed > 0, wants_failures);
    qsort(engine.firings.at, engine.firings.len, sizeof(char *), by_text);
    qsort(past.firings.at, past.firings.len, sizeof(char *), by_text);
    assert_int_equal(totals.firings, engine.firings.len);
    assert_true(engine.firings.len > 5);
    assert_true(totals.pending_only > 0 && past.calls > 0);
    for (size_t i = 0; i < engine.firings.len; i++) {
        assert_string_equal(past.firings.at[i], engine.firings.at[i]);
        mem_free(past.firings.at[i]);
        mem_free(engine.firings.at[i]);
    }
    vec_done(&past.firings);
    vec_done(&engine.firings);
    rule_set_unref(set);
    bench_free(b);
}

static void test_backtest(void **state)
{
    same_past("query_offset: 0s", "m > 5", 0, false);
    same_past("query_offset: 15s", "m > 5 and m < 100", 15000, false);
    same_past("limit: 2", "m > 4", 0, true); /* all are cleared where three are active */
    same_past("query_offset: 0s", "m > 5 unless m_start", 0, false); /* step by step */
}

static bool nobody(void *arg, f64 part)
{
    return false;
}

static void test_backtest_bounds(void **state)
{
    Bench *b = bench_new();
    RuleSet *set =
        rule_set_parse("r.yml",
                       S("groups: [{name: g, rules: [{alert: A, expr: vector(1) > 0}, {record: r, expr: 1}, "
                         "{alert: B, expr: '-3 >= (m)'}, {alert: C, expr: 'm > 1 == bool 1'}]}]"),
                       NULL);
    u32 n;
    const RuleGroup *g = rule_set_groups(set, &n);
    Past past = {0};
    BacktestTotals totals;
    Why why = {0};
    BacktestAsk ask = {.rule = &g->rules[0],
                       .start_ms = START,
                       .end_ms = START + 3600000,
                       .interval_ms = 1,
                       .firing = on_firing,
                       .arg = &past};
    assert_int_equal(rules_backtest(b->rules, &ask, &totals, &why), E_INVALID);
    ask.interval_ms = 1000;
    ask.progress = nobody; /* the reader leaves after the first piece */
    assert_ok(rules_backtest(b->rules, &ask, &totals, &why), &why);
    assert_true(totals.evaluations > 0 && totals.evaluations < 3601);
    assert_int_equal(past.firings.len, 0);
    ask.rule = &g->rules[1];
    assert_int_equal(rules_backtest(b->rules, &ask, &totals, &why), E_INVALID);
    Cancel gone = {0};
    cancel_set(&gone);
    ask.rule = &g->rules[0];
    ask.cancel = &gone;
    assert_int_equal(rules_backtest(b->rules, &ask, &totals, &why), E_CANCELED);
    RuleThreshold t;
    assert_true(rule_threshold(g->rules[2].tree, &t));
    assert_string_equal(t.op, "<=");
    assert_true(t.at == -3);
    assert_false(rule_threshold(g->rules[3].tree, &t));
    assert_false(rule_threshold(g->rules[1].tree, &t));
    vec_done(&past.firings);
    rule_set_unref(set);
    bench_free(b);
}

/* ---- the ruler ---- */
static char *ruler_text(Ruler *r, const char *space, const char *group)
{
    static char text[4000];
    Buf b;
    Why why = {0};
    buf_init(&b, sizeof text - 1);
    Err e = ruler_yaml(r, str_c(space), str_c(group), &b, &why);
    snprintf(text, sizeof text, "%s", e == OK ? buf_cstr(&b) : why.text);
    buf_done(&b);
    return text;
}

static Err set_group(Ruler *r, const char *space, const char *yaml, Why *why)
{
    *why = (Why){0};
    return ruler_set_group(r, str_c(space), str_c(yaml), why);
}

static void test_ruler(void **state)
{
    Bench *b = bench_new();
    Ruler *r;
    Why why = {0};
    char dir[300];
    snprintf(dir, sizeof dir, "%s/ruler", b->dir);
    RulerEnv env = {.rules = b->rules, .vfs = vfs_os(), .dir = dir};
    RulesGlobals globals = {.interval_ms = 10000};
    RuleSet *files =
        rule_set_parse("file.yml", S("groups: [{name: g, rules: [{record: from_file, expr: 1}]}]"), NULL);
    assert_ok(ruler_open(&r, &env, &why), &why);
    ruler_apply(r, files, &globals);
    assert_string_equal(ruler_text(r, "", ""), "no rule groups found");
    assert_string_equal(ruler_text(r, "ns", "g"), "group does not exist");
    assert_int_equal(ruler_delete(r, S("ns"), S(""), &why), E_NOT_FOUND);
    assert_string_equal(why.text, "group namespace does not exist");

    /* As YAML and as JSON; replaced, added, and what is wrong changes nothing. */
    assert_ok(set_group(r, "a/b c", "name: g\ninterval: 20s\nrules:\n- record: x\n  expr: 1\n", &why), &why);
    assert_ok(
        set_group(
            r, "a/b c",
            "{\"name\": \"h\", \"labels\": {\"l\": \"1\"}, \"rules\": [{\"alert\": \"Up: down\", \"expr\": "
            "\"m > 1\\n and m < 9\", \"for\": \"1m30s\","
            "\"labels\": {\"severity\": \"yes\"}, \"annotations\": {\"summary\": \"{{ $value }} # a\"}}]}",
            &why),
        &why);
    assert_ok(set_group(r, "a/b c", "name: g\nlimit: 3\nrules: [{record: x, expr: 2}]\n", &why), &why);
    static const char *const want =
        "a/b c:\n    - name: g\n      limit: 3\n      rules:\n        - record: x\n          expr: \"2\"\n"
        "    - name: h\n      labels:\n        l: \"1\"\n      rules:\n        - alert: \"Up: down\"\n       "
        "   expr: |-\n            m > 1\n             and m < 9\n"
        "          for: 1m30s\n          labels:\n            severity: \"yes\"\n          annotations:\n    "
        "        summary: \"{{ $value }} # a\"\n";
    assert_string_equal(ruler_text(r, "", ""), want);
    assert_string_equal(ruler_text(r, "a/b c", "g"),
                        "name: g\nlimit: 3\nrules:\n    - record: x\n      expr: \"2\"\n");
    static const struct {
        const char *space, *yaml, *said;
    } wrong[] = {
        {"ns", "rules: [{record: x, expr: 1}]", "rule group name must not be empty"},
        {"ns", "name: g\nrules: []", "rule group 'g' has no rules"},
        {"ns", "name: g\nrules: [{record: x, expr: 'm >'}]", "parse error"},
        {"ns", "name: g\ntypo: 1\nrules: [{record: x, expr: 1}]", "typo"},
        {"ns", "[1, 2]", ""},
        {"ns", "", ""},
        {"", "name: g\nrules: [{record: x, expr: 1}]", "namespace"},
        {"file.yml", "name: g\nrules: [{record: x, expr: 1}]", "a rule file has this name"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_true(set_group(r, wrong[i].space, wrong[i].yaml, &why) != OK);
        if (!strstr(why.text, wrong[i].said))
            fail_msg("%zu: %s", i, why.text);
    }
    assert_string_equal(ruler_text(r, "", ""), want);

    /* Evaluated beside the files, and there again after a restart. */
    run_for(b, 25, NULL);
    assert_non_null(find(b, "from_file"));
    MemSeries *x = find(b, "x");
    assert_non_null(x);
    assert_true(x->v.at[0] == 2);
    ruler_close(r);
    assert_ok(ruler_open(&r, &env, &why), &why);
    ruler_apply(r, files, &globals);
    assert_string_equal(ruler_text(r, "", ""), want);
    RulesQuery q = {0};
    Buf out;
    buf_init(&out, 1 << 20);
    assert_ok(rules_json(b->rules, &q, &out, &why), &why);
    assert_non_null(strstr(buf_cstr(&out), "\"file\":\"a/b c\""));
    buf_done(&out);

    assert_ok(ruler_delete(r, S("a/b c"), S("h"), &why), &why);
    assert_string_equal(ruler_text(r, "a/b c", "h"), "group does not exist");
    assert_ok(ruler_delete(r, S("a/b c"), S("g"), &why), &why); /* the last one takes the namespace along */
    assert_string_equal(ruler_text(r, "", ""), "no rule groups found");
    size_t before = x->t.len;
    run_for(b, 60, NULL);
    assert_true(is_stale(x->v.at[x->t.len - 1]) && x->t.len <= before + 2);
    ruler_close(r);

    /* A broken file stops the start, with its name. */
    char path[400];
    snprintf(path, sizeof path, "%s/bad.yml", dir);
    assert_ok(vfs_write_file(vfs_os(), path, S("groups: [{name: g, rules: [{record: x, expr: ')'}]}]"), &why),
              &why);
    assert_int_equal(ruler_open(&r, &env, &why), E_INVALID);
    assert_non_null(strstr(why.text, "bad.yml"));
    rule_set_unref(files);
    bench_free(b);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recording),
        cmocka_unit_test(test_alert_life),
        cmocka_unit_test(test_keep_firing),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_long_outage),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_failures_and_limits),
        cmocka_unit_test(test_api),
        cmocka_unit_test(test_backtest),
        cmocka_unit_test(test_backtest_bounds),
        cmocka_unit_test(test_ruler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
