/* Unit tests of rule files: series written down, rules run over them from time 0, alerts and samples compared. Forms, verdicts and
 * sentences are promtool's. */
#include <math.h>
#include <stdio.h>

#include "metrics/promql/memsource.h"
#include "rules/rules_internal.h"

enum { FILE_BYTES_MAX = 64 << 20, ERROR_BYTES_MAX = 16 << 20, STEPS_MAX = 10 << 20 };

typedef struct InputSeries {
    Labels labels;
    SeriesPoint *points;
    u32 len, next;
} InputSeries;
typedef struct ExpAlert {
    Labels labels, annotations;
} ExpAlert;
typedef VEC(ExpAlert) Alerts;
typedef struct AlertCase {
    i64 at_ms;
    Str name;
    Alerts want;
} AlertCase;
typedef struct SampleCase {
    Labels labels;
    f64 value;
    Str histogram; /* as histogram_print_test prints; empty = none */
} SampleCase;
typedef VEC(SampleCase) Samples;

/* One test group under way. */
typedef struct TestRun {
    Arena *arena;
    Conf *conf;
    const RulesTestOptions *o;
    Str name;
    bool fuzzy;
    i64 interval_ms, eval_ms, max_ms, start_ms;
    RulesGlobals globals;
    VEC(InputSeries) input;
    VEC(AlertCase) alerts; /* by time */
    u32 next_alert;
    MemSource *mem;
    SampleSink sink; /* what rules give goes to mem */
    PromEngineConfig prom;
    Rules *rules;
    Buf errors;
    u32 failures;
} TestRun;

/* ---- failures ---- */

static void failure(TestRun *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void failure(TestRun *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&t->errors, fmt, ap);
    va_end(ap);
    buf_char(&t->errors, '\n');
    t->failures++;
}

static Str duration(TestRun *t, i64 ms)
{
    Buf b;
    buf_init(&b, 64);
    print_duration_ms(&b, ms);
    Str s = arena_dup(t->arena, buf_view(&b));
    buf_done(&b);
    return s;
}

static void print_labels(Buf *b, Labels l)
{
    buf_char(b, '{');
    for (u32 i = 0; i < l.len; i++) {
        buf_printf(b, "%s%.*s=", i ? ", " : "", STR_FMT(l.at[i].name));
        go_quote(b, l.at[i].value);
    }
    buf_char(b, '}');
}

/* ---- samples in, samples out ---- */

static void take_samples(SampleSink *s, const SampleBatch *batch, u64 *ret_hints, SinkResult *ret)
{
    TestRun *t = (TestRun *)((char *)s - offsetof(TestRun, sink));
    *ret = (SinkResult){0};
    for (u32 i = 0; i < batch->series_len; i++) {
        const SeriesItem *item = &batch->series[i];
        if (ret_hints)
            ret_hints[i] = 0;
        Why why; /* the same series from two rules at once: the first stays, as in a store */
        for (u32 k = 0; k < item->samples_len; k++)
            mem_source_add(t->mem, item->labels, item->samples[k].t, item->samples[k].v, NULL, 0, &why);
        for (u32 k = 0; k < item->hists_len; k++)
            mem_source_add(t->mem, item->labels, item->hist_t[k], 0, item->hists[k], 0, &why);
    }
}

/* Input up to now: rules must not see what comes later. */
static void feed(TestRun *t, i64 now_ms)
{
    for (size_t i = 0; i < t->input.len; i++) {
        InputSeries *s = &t->input.at[i];
        for (; s->next < s->len && t->start_ms + s->next * t->interval_ms <= now_ms; s->next++) {
            const SeriesPoint *p = &s->points[s->next];
            Why why = {0};
            if (!p->is_omitted && mem_source_add(t->mem, s->labels, t->start_ms + s->next * t->interval_ms,
                                                 p->v, p->h, 0, &why) != OK)
                failure(t, "    %s", why.text);
        }
    }
}

/* ---- alerts ---- */

static int by_labels(const void *a, const void *b)
{
    const ExpAlert *x = a, *y = b;
    int c = labels_cmp(x->labels, y->labels);
    return c ? c : labels_cmp(x->annotations, y->annotations);
}

static void print_alerts(Buf *b, const Alerts *a)
{
    static const char pad[] = "            ";
    if (!a->len)
        buf_c(b, "[]");
    for (size_t i = 0; i < a->len; i++) {
        buf_printf(b, i ? ",\n%s%zu:\n%s  Labels:" : "[\n%s%zu:\n%s  Labels:", pad, i, pad);
        print_labels(b, a->at[i].labels);
        buf_printf(b, "\n%s  Annotations:", pad);
        print_labels(b, a->at[i].annotations);
    }
    if (a->len)
        buf_printf(b, "\n%s]", pad);
}

static void firing(TestRun *t, Str name, Alerts *ret)
{
    Rules *r = t->rules;
    for (size_t g = 0; g < r->groups.len; g++)
        for (u32 i = 0; i < r->groups.at[g]->g->rules_len; i++) {
            RuleState *st = &r->groups.at[g]->rules[i];
            if (!st->rule->is_alert || !str_eq(st->rule->name, name))
                continue;
            for (size_t k = 0; k < st->alerts.len; k++)
                if (st->alerts.at[k]->state == ALERT_FIRING)
                    vec_push(ret, ((ExpAlert){st->alerts.at[k]->labels, st->alerts.at[k]->annotations}));
        }
    if (ret->len)
        qsort(ret->at, ret->len, sizeof(ExpAlert), by_labels);
}

static void check_alerts(TestRun *t, AlertCase *c)
{
    Alerts got = {0};
    firing(t, c->name, &got);
    if (c->want.len)
        qsort(c->want.at, c->want.len, sizeof(ExpAlert), by_labels);
    bool same = got.len == c->want.len;
    for (size_t i = 0; same && i < got.len; i++)
        same = !by_labels(&got.at[i], &c->want.at[i]);
    if (!same) {
        Buf b;
        buf_init(&b, ERROR_BYTES_MAX);
        if (t->name.len)
            buf_printf(&b, "    name: %.*s,\n", STR_FMT(t->name));
        buf_printf(&b, "    alertname: %.*s, time: %.*s, \n        exp:", STR_FMT(c->name),
                   STR_FMT(duration(t, c->at_ms)));
        print_alerts(&b, &c->want);
        buf_c(&b, ", \n        got:");
        print_alerts(&b, &got);
        failure(t, "%.*s", STR_FMT(buf_view(&b)));
        buf_done(&b);
    }
    vec_done(&got);
}

/* ---- running ---- */

/* False: a rule failed, and nothing more is looked at. */
static bool eval_groups(TestRun *t, i64 now_ms)
{
    u32 before = t->failures;
    for (size_t g = 0; g < t->rules->groups.len; g++) {
        Group *group = t->rules->groups.at[g];
        group_eval(group, now_ms);
        for (u32 i = 0; i < group->g->rules_len; i++)
            if (group->rules[i].last_error) {
                Buf d;
                buf_init(&d, 64);
                print_go_duration_ns(&d, (now_ms - t->start_ms) * NS_PER_MS);
                failure(t, "    rule: %.*s, time: %s, err: %s", STR_FMT(group->rules[i].rule->name),
                        buf_cstr(&d), group->rules[i].last_error);
                buf_done(&d);
            }
    }
    return t->failures == before;
}

static bool run_rules(TestRun *t)
{
    for (i64 at = 0; at <= t->max_ms; at += t->eval_ms) {
        feed(t, t->start_ms + at);
        if (!eval_groups(t, t->start_ms + at))
            return false;
        for (; t->next_alert < t->alerts.len && t->alerts.at[t->next_alert].at_ms < at + t->eval_ms;
             t->next_alert++)
            check_alerts(t, &t->alerts.at[t->next_alert]);
    }
    feed(t, t->start_ms + t->max_ms);
    return true;
}

/* ---- expressions ---- */

static void print_samples(Buf *b, const Samples *s)
{
    if (!s->len)
        buf_c(b, "nil");
    for (size_t i = 0; i < s->len; i++) {
        if (i)
            buf_c(b, ", ");
        print_labels(b, s->at[i].labels);
        buf_char(b, ' ');
        if (s->at[i].histogram.len) {
            buf_str(b, s->at[i].histogram);
            continue;
        }
        size_t from = b->len;
        print_f64_go(b, s->at[i].value, 'e', -1);
        for (size_t k = from; k < b->len; k++)
            b->at[k] = b->at[k] == 'e' ? 'E' : b->at[k];
    }
}

static int sample_order(const void *a, const void *b)
{
    return labels_cmp(((const SampleCase *)a)->labels, ((const SampleCase *)b)->labels);
}

static bool same_value(f64 a, f64 b, bool fuzzy)
{
    return a == b || (isnan(a) && isnan(b)) ||
           (fuzzy && (nextafter(a, -INFINITY) == b || nextafter(a, INFINITY) == b));
}

static Str histogram_text(TestRun *t, const Histogram *h)
{
    Buf b;
    buf_init(&b, 1 << 20);
    histogram_print_test(&b, h);
    Str s = arena_dup(t->arena, buf_view(&b));
    buf_done(&b);
    return s;
}

static Err ask(TestRun *t, Str expr, i64 at_ms, Samples *ret, Why *why)
{
    PromResult res;
    PromQuery q = {.text = expr, .start_ms = t->start_ms + at_ms, .end_ms = t->start_ms + at_ms};
    TRY(promql_query(&t->prom, mem_source_face(t->mem), &q, t->arena, &res, why));
    if (res.type == PROM_SCALAR) {
        vec_push(ret, ((SampleCase){.value = res.scalar}));
        return OK;
    }
    if (res.type != PROM_VECTOR)
        return why_set(why, E_EXEC, "rule result is not a vector or scalar");
    for (u32 i = 0; i < res.series_len; i++) {
        const PromSeries *s = &res.series[i];
        bool is_hist = s->n && s->h && s->h[0];
        if (s->n)
            vec_push(ret, ((SampleCase){.labels = s->labels,
                                        .value = is_hist ? 0 : s->v[0],
                                        .histogram = is_hist ? histogram_text(t, s->h[0]) : S("")}));
    }
    return OK;
}

static void check_expr(TestRun *t, Str expr, i64 at_ms, Samples *want)
{
    Samples got = {0};
    Why why = {0};
    Buf quoted;
    buf_init(&quoted, 1 << 20);
    go_quote(&quoted, expr);
    Str at = duration(t, at_ms);
    Err e = ask(t, expr, at_ms, &got, &why);
    if (e != OK) {
        failure(t, "    expr: %s, time: %.*s, err: %s", buf_cstr(&quoted), STR_FMT(at), why.text);
    } else {
        if (got.len)
            qsort(got.at, got.len, sizeof(SampleCase), sample_order);
        if (want->len)
            qsort(want->at, want->len, sizeof(SampleCase), sample_order);
        bool same = got.len == want->len;
        for (size_t i = 0; same && i < got.len; i++)
            same = labels_eq(got.at[i].labels, want->at[i].labels) &&
                   str_eq(got.at[i].histogram, want->at[i].histogram) &&
                   same_value(got.at[i].value, want->at[i].value, t->fuzzy);
        if (!same) {
            Buf b;
            buf_init(&b, ERROR_BYTES_MAX);
            buf_printf(&b, "    expr: %s, time: %.*s,\n        exp: ", buf_cstr(&quoted), STR_FMT(at));
            print_samples(&b, want);
            buf_c(&b, "\n        got: ");
            print_samples(&b, &got);
            failure(t, "%.*s", STR_FMT(buf_view(&b)));
            buf_done(&b);
        }
    }
    buf_done(&quoted);
    vec_done(&got);
}

/* ---- reading ---- */

static void read_input(TestRun *t, const ConfNode *items, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        ConfMap m;
        InputSeries s = {0};
        Why why = {0};
        if (!conf_map_begin(t->conf, &items[i], &m))
            continue;
        Str series = conf_need_str(&m, "series"), values = conf_str(&m, "values", S(""));
        conf_map_end(&m);
        Str text = arena_printf(t->arena, "%.*s %.*s", STR_FMT(series), STR_FMT(values));
        if (prom_parse_series(text, t->arena, &s.labels, &s.points, &s.len, &why) != OK)
            conf_error(t->conf, &items[i], "%s", why.text);
        vec_push(&t->input, s);
    }
}

static int case_order(const void *a, const void *b)
{
    const AlertCase *x = a, *y = b;
    return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

static void read_alert_cases(TestRun *t, const ConfNode *items, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        ConfMap m, one;
        AlertCase c = {0};
        const ConfNode *alerts;
        if (!conf_map_begin(t->conf, &items[i], &m))
            continue;
        c.at_ms = conf_duration(&m, "eval_time", 0);
        c.name = conf_str(&m, "alertname", S(""));
        u32 len = conf_list(&m, "exp_alerts", &alerts);
        for (u32 k = 0; k < len; k++) {
            if (!conf_map_begin(t->conf, &alerts[k], &one))
                continue;
            LabelsBuilder b;
            lb_init(&b, t->arena, conf_labels(&one, "exp_labels"));
            lb_set(&b, S("alertname"), c.name);
            ExpAlert e = {lb_build(&b), conf_labels(&one, "exp_annotations")};
            conf_map_end(&one);
            vec_push(&c.want, e);
        }
        conf_map_end(&m);
        if (!c.name.len)
            conf_error(t->conf, &items[i],
                       "an item under alert_rule_test misses required attribute alertname at eval_time %.*s",
                       STR_FMT(duration(t, c.at_ms)));
        t->max_ms = MAX(t->max_ms, c.at_ms);
        vec_push(&t->alerts, c);
    }
    if (t->alerts.len)
        qsort(t->alerts.at, t->alerts.len, sizeof(AlertCase), case_order);
}

static void read_sample(TestRun *t, const ConfNode *n, Samples *to)
{
    ConfMap m;
    SampleCase s = {0};
    SeriesPoint *points;
    u32 len;
    Why why = {0};
    if (!conf_map_begin(t->conf, n, &m))
        return;
    Str labels = str_trim(conf_str(&m, "labels", S(""))), hist = conf_str(&m, "histogram", S(""));
    s.value = conf_f64(&m, "value", 0);
    conf_map_end(&m);
    Err e = labels.len ? prom_parse_series(labels, t->arena, &s.labels, &points, &len, &why) : OK;
    if (e == OK && hist.len) {
        e = prom_parse_points(hist, t->arena, &points, &len, &why);
        if (e == OK && len != 1)
            e = why_set(&why, E_PARSE, "expected 1 value, got %u", len);
        else if (e == OK && !points[0].h)
            e = why_set(&why, E_PARSE, "expected histogram");
        else if (e == OK)
            s.histogram = histogram_text(t, points[0].h);
    }
    if (e != OK)
        conf_error(t->conf, n, "labels \"%.*s\": %s", STR_FMT(labels), why.text);
    vec_push(to, s);
}

/* Reads the expressions, or only (judge NULL) how far they reach. */
static void each_expr(TestRun *t, const ConfNode *items, u32 n, void (*judge)(TestRun *, Str, i64, Samples *))
{
    for (u32 i = 0; i < n; i++) {
        ConfMap m;
        const ConfNode *samples;
        Samples want = {0};
        if (!conf_map_begin(t->conf, &items[i], &m))
            continue;
        Str expr = conf_str(&m, "expr", S(""));
        i64 at = conf_duration(&m, "eval_time", 0);
        u32 len = conf_list(&m, "exp_samples", &samples);
        conf_map_end(&m);
        for (u32 k = 0; k < len; k++)
            read_sample(t, &samples[k], &want);
        t->max_ms = MAX(t->max_ms, at);
        if (judge)
            judge(t, expr, at, &want);
        vec_done(&want);
    }
}

/* ---- one group, one file ---- */

typedef struct TestFile {
    Vfs *vfs;
    const RulesTestOptions *o;
    Conf *conf;
    RuleSet *set;
    i64 eval_ms;
    bool fuzzy;
    const Str *order;
    u32 order_len;
    Buf *junit;
} TestFile;

static u32 place_of(const TestFile *f, Str name)
{
    for (u32 i = 0; i < f->order_len; i++)
        if (str_eq(f->order[i], name))
            return i;
    return f->order_len;
}

/* group_eval_order, else as they are; a stable sort of few. */
static void order_groups(const TestFile *f, Rules *r)
{
    for (size_t i = 1; i < r->groups.len; i++)
        for (size_t k = i;
             k > 0 && place_of(f, r->groups.at[k]->g->name) < place_of(f, r->groups.at[k - 1]->g->name);
             k--) {
            Group *g = r->groups.at[k];
            r->groups.at[k] = r->groups.at[k - 1];
            r->groups.at[k - 1] = g;
        }
}

static void run_loaded(TestFile *f, TestRun *t, const ConfNode *exprs, u32 exprs_len)
{
    VirtualClock clock;
    Why why = {0};
    virtual_clock_init(&clock, t->start_ms * NS_PER_MS);
    Loop *loop = loop_new(&clock.clock);
    t->mem = mem_source_new();
    t->sink.write = take_samples;
    t->prom = (PromEngineConfig){.default_subquery_step_ms = t->eval_ms, .features = f->o->read.features};
    RulesEnv env = {.loop = loop,
                    .clock = &clock.clock,
                    .source = mem_source_face(t->mem),
                    .sink = &t->sink,
                    .vfs = f->vfs,
                    .prom = t->prom};
    if (t->max_ms / t->eval_ms > STEPS_MAX) {
        failure(t, "    more than %d evaluations", STEPS_MAX);
    } else if (rules_open(&t->rules, &env, &why) != OK) {
        failure(t, "    %s", why.text);
    } else {
        rules_apply(t->rules, f->set, &t->globals); /* its timers never run: the loop does not turn */
        order_groups(f, t->rules);
        if (run_rules(t))
            each_expr(t, exprs, exprs_len, check_expr);
        rules_close(t->rules);
    }
    mem_source_free(t->mem);
    loop_free(loop);
}

static void run_group(TestFile *f, const ConfNode *node, TestRun *t)
{
    ConfMap m;
    const ConfNode *input, *alerts, *exprs;
    if (!conf_map_begin(f->conf, node, &m))
        return;
    t->name = conf_str(&m, "name", S(""));
    t->interval_ms = conf_duration(&m, "interval", f->eval_ms);
    t->eval_ms = f->eval_ms;
    t->fuzzy = f->fuzzy;
    t->globals = (RulesGlobals){.interval_ms = t->interval_ms,
                                .external_labels = conf_labels(&m, "external_labels"),
                                .external_url = conf_str(&m, "external_url", S(""))};
    Str start = conf_str(&m, "start_timestamp", S(""));
    if (start.len && parse_api_time_ms(start, &t->start_ms) != OK)
        conf_error(f->conf, conf_get(&m, "start_timestamp"), "must be RFC 3339 or Unix seconds");
    u32 input_len = conf_list(&m, "input_series", &input),
        alerts_len = conf_list(&m, "alert_rule_test", &alerts),
        exprs_len = conf_list(&m, "promql_expr_test", &exprs);
    conf_map_end(&m);
    if (t->interval_ms < 1)
        t->interval_ms = f->eval_ms;
    read_input(t, input, input_len);
    read_alert_cases(t, alerts, alerts_len);
    each_expr(t, exprs, exprs_len, NULL);
    if (!conf_error_count(f->conf) && (!f->o->run || regex_match(f->o->run, t->name)))
        run_loaded(f, t, exprs, exprs_len);
    for (size_t i = 0; i < t->alerts.len; i++)
        vec_done(&t->alerts.at[i].want);
    vec_done(&t->alerts);
    vec_done(&t->input);
}

static void junit_text(Buf *b, Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        static const char from[] = "<>&\"'\n";
        static const char *const to[] = {"&lt;", "&gt;", "&amp;", "&#34;", "&#39;", "&#xA;"};
        const char *hit = s.at[i] ? strchr(from, s.at[i]) : NULL;
        if (hit)
            buf_c(b, to[hit - from]);
        else
            buf_char(b, s.at[i]);
    }
}

/* Rule files beside the test file; patterns as Prometheus takes them. */
static RuleSet *load_rules(TestFile *f, ConfMap *m)
{
    const Str *names;
    u32 n = conf_strs(m, "rule_files", &names);
    Str *paths = arena_array(conf_arena(f->conf), Str, n + 1);
    for (u32 i = 0; paths && i < n; i++)
        paths[i] = conf_file_path(f->conf, names[i]);
    return rule_set_load(f->vfs, paths, paths ? n : 0, &f->o->read);
}

static void run_tests(TestFile *f, const ConfNode *tests, u32 n, Buf *errors, u32 *ret_failures)
{
    for (u32 i = 0; i < n; i++) {
        Arena arena;
        arena_init(&arena, NULL, 0);
        TestRun *t = mem_new(TestRun);
        t->arena = &arena;
        t->conf = f->conf;
        t->o = f->o;
        buf_init(&t->errors, ERROR_BYTES_MAX);
        run_group(f, &tests[i], t);
        buf_str(errors, buf_view(&t->errors));
        *ret_failures += t->failures;
        if (f->junit) {
            buf_c(f->junit, "\t\t<testcase name=\"");
            junit_text(f->junit, t->name);
            buf_c(f->junit, "\">");
            if (t->failures) {
                buf_c(f->junit, "\n\t\t\t<failure>");
                junit_text(f->junit, str_trim(buf_view(&t->errors)));
                buf_c(f->junit, "</failure>\n\t\t");
            }
            buf_c(f->junit, "</testcase>\n");
        }
        buf_done(&t->errors);
        mem_free(t);
        arena_done(&arena);
    }
}

static bool run_file(Vfs *vfs, Str name, const RulesTestOptions *o, Buf *out, Buf *err, Buf *junit)
{
    char path[4096];
    Buf text, errors;
    Why why = {0};
    u32 failures = 0, n = 0;
    snprintf(path, sizeof path, "%.*s", STR_FMT(name));
    buf_init(&text, FILE_BYTES_MAX);
    buf_init(&errors, ERROR_BYTES_MAX);
    TestFile f = {.vfs = vfs, .o = o, .conf = conf_new(path)};
    Buf cases;
    buf_init(&cases, ERROR_BYTES_MAX);
    f.junit = junit ? &cases : NULL;
    conf_set_expand(f.conf, false);
    ConfMap m;
    buf_printf(out, "Unit Testing:  %s\n", path);
    Err e = vfs_read_file(vfs, path, FILE_BYTES_MAX, &text, &why);
    if (e == OK && conf_parse(f.conf, buf_view(&text)) && conf_root(f.conf) &&
        conf_map_begin(f.conf, conf_root(f.conf), &m)) {
        const ConfNode *tests;
        f.eval_ms = conf_duration(&m, "evaluation_interval", 60000);
        f.eval_ms = f.eval_ms > 0 ? f.eval_ms : 60000;
        f.fuzzy = conf_bool(&m, "fuzzy_compare", false);
        f.order_len = conf_strs(&m, "group_eval_order", &f.order);
        f.set = load_rules(&f, &m);
        n = conf_list(&m, "tests", &tests);
        conf_map_end(&m);
        if (rule_set_verdict(f.set, &why) != OK)
            e = E_INVALID;
        else if (!conf_error_count(f.conf))
            run_tests(&f, tests, n, &errors, &failures);
        if (e != OK)
            rule_set_print_issues(f.set, &errors);
        rule_set_unref(f.set);
    } else if (e != OK) {
        buf_printf(&errors, "%s\n", why.text);
    }
    if (conf_error_count(f.conf))
        conf_print_issues(f.conf, &errors);
    bool ok = e == OK && !failures && !conf_error_count(f.conf);
    if (ok)
        buf_c(out, "  SUCCESS\n");
    else
        buf_printf(err, "  FAILED:\n%.*s", STR_FMT(buf_view(&errors)));
    buf_char(out, '\n');
    if (junit) {
        buf_c(junit, "\t<testsuite name=\"");
        junit_text(junit, name);
        buf_printf(junit,
                   "\" tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"0\">\n%.*s\t</testsuite>\n", n,
                   failures, !ok && !failures, STR_FMT(buf_view(&cases)));
    }
    buf_done(&cases);
    buf_done(&text);
    buf_done(&errors);
    conf_free(f.conf);
    return ok;
}

Err rules_test(Vfs *vfs, const Str *files, u32 n, const RulesTestOptions *o, Buf *out, Buf *err, Buf *junit)
{
    bool ok = true;
    if (junit)
        buf_c(junit, "<testsuites>\n");
    for (u32 i = 0; i < n; i++)
        ok &= run_file(vfs, files[i], o, out, err, junit);
    if (junit)
        buf_c(junit, "</testsuites>\n");
    return ok ? OK : E_INVALID;
}
