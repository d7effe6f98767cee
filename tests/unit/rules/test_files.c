#include "test.h"
#include "rules/rules.h"

static Err load(const char *yaml, Buf *out)
{
    RuleSet *set = rule_set_parse("r.yml", str_c(yaml), NULL);
    Err e = rule_set_verdict(set, NULL);
    rule_set_print_issues(set, out);
    rule_set_unref(set);
    return e;
}

static const struct {
    const char *yaml, *want; /* want NULL: accepted */
} rows[] = {
    {"", NULL},
    {"groups: []", NULL},
    {"groups:\n- name: a\n", NULL},
    {"groups:\n- name: a\n  rules:\n  - record: x\n    expr: up\n", NULL},
    {"groups:\n- name: a\n  interval: 30s\n  query_offset: 1m\n  limit: 3\n  labels: {a: b}\n  rules:\n"
     "  - alert: X\n    expr: up\n    for: 1m\n    keep_firing_for: 2m\n    labels: {c: '{{ $value }}'}\n    "
     "annotations: {d: '{{ $labels.x }}'}\n",
     NULL},
    {"groups:\n- name: ''\n", "Groupname must not be empty"},
    {"groups:\n- name: a\n- name: a\n", "groupname: \"a\" is repeated in the same file"},
    {"groups:\n- name: a\n  rules:\n  - expr: up\n", "one of 'record' or 'alert' must be set"},
    {"groups:\n- name: a\n  rules:\n  - {record: x, alert: y, expr: up}\n",
     "only one of 'record' and 'alert' must be set"},
    {"groups:\n- name: a\n  rules:\n  - {record: x}\n", "field 'expr' must be set in rule"},
    {"groups:\n- name: a\n  rules:\n  - {record: x, expr: 'up +'}\n",
     "could not parse expression: 1:5: parse error"},
    {"groups:\n- name: a\n  rules:\n  - {record: x, expr: up, for: 1m}\n",
     "invalid field 'for' in recording rule"},
    {"groups:\n- name: a\n  rules:\n  - {record: x, expr: up, keep_firing_for: 1m}\n",
     "invalid field 'keep_firing_for' in recording rule"},
    {"groups:\n- name: a\n  rules:\n  - {record: x, expr: up, annotations: {a: b}}\n",
     "invalid field 'annotations' in recording rule"},
    {"groups:\n- name: a\n  rules:\n  - {record: 'x{a=\"b\"}', expr: up}\n",
     "braces present in the recording rule name"},
    {"groups:\n- name: a\n  rules:\n  - {alert: X, expr: up, labels: {__name__: b}}\n",
     "invalid label name: __name__"},
    {"groups:\n- name: a\n  rules:\n  - {alert: X, expr: up, annotations: {s: '{{ $label.x }}'}}\n",
     "annotation \"s\": template: __alert_X:1: undefined variable \"$label\""},
    {"groups:\n- name: a\n  rules:\n  - {alert: X, expr: up, labels: {s: '{{ nope }}'}}\n",
     "function \"nope\" not defined"},
    {"groups:\n- name: a\n  nam: b\n", "r.yml:3:3: "},
    {"groups:\n- name: a\n  rules:\n  - {record: x, expr: up, unexpected_field: 1}\n", "unexpected_field"},
    {"groups:\n- name: a\n  limit: -1\n", "limit"},
    {"groups:\n- name: a\n  interval: soon\n", "interval"},
    {"groups:\n- name: a\n  rules: 3\n", "rules"},
    {"group: []", "group"},
    {"- a", ""},
    {"groups:\n- name: [", ""},
};

static void test_verdicts(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf out;
        buf_init(&out, 1 << 16);
        Err e = load(rows[i].yaml, &out);
        if (!rows[i].want && e != OK)
            fail_msg("%s\nrefused: %s", rows[i].yaml, buf_cstr(&out));
        if (rows[i].want && (e == OK || !strstr(buf_cstr(&out), rows[i].want)))
            fail_msg("%s\n%s: %s\nwant %s", rows[i].yaml, err_name(e), buf_cstr(&out), rows[i].want);
        buf_done(&out);
    }
}

/* The peer's own files: the same are accepted and refused. */
static void test_public_files(void **state)
{
    skip_without_shared("rules/rules.yaml");
    static const struct {
        const char *file;
        bool good;
        u32 rules;
    } files[] = {
        {"rules/alert_rule.yaml", true, 1},
        {"rules/alert_rule1.yaml", true, 1},
        {"rules/rules.yaml", true, 1},
        {"rules/rules_multiple.yaml", true, 0},
        {"rules/rules_chain.yaml", true, 0},
        {"rules/rules_multi_doc.yaml", true, 1},
        {"rules/invalid_rules.yaml", false, 0},
        {"promtool/rules.yml", true, 0},
        {"promtool/rules-bad.yml", false, 0},
        {"promtool/bad-rules-syntax.yml", false, 0},
        {"promtool/bad-rules-error.yml", true, 1},
        {"promtool/rules_extrafields.yml", false, 0},
        {"promtool/rules_large.yml", true, 0},
        {"promtool/rules_duplicates.yml", true, 5},
        {"promtool/long-period.yml", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        Str path = str_c(shared_path(files[i].file));
        RuleSet *set = rule_set_load(vfs_os(), &path, 1, NULL);
        Why why = {0};
        Err e = rule_set_verdict(set, &why);
        if (rule_set_files(set) != 1 || (e == OK) != files[i].good)
            fail_msg("%s: %s %s", files[i].file, err_name(e), why.text);
        u32 groups, n = 0;
        const RuleGroup *g = rule_set_groups(set, &groups);
        for (u32 k = 0; k < groups; k++)
            n += g[k].rules_len;
        if (files[i].rules)
            assert_int_equal(n, files[i].rules);
        rule_set_unref(set);
    }
    RuleReadOptions lax = {.ignore_unknown_fields = true};
    Str path = str_c(shared_path("promtool/rules_extrafields.yml"));
    RuleSet *set = rule_set_load(vfs_os(), &path, 1, &lax);
    assert_int_equal(rule_set_verdict(set, NULL), OK);
    rule_set_unref(set);
    path = str_c(shared_path("rules/rules_*.yaml"));
    set = rule_set_load(vfs_os(), &path, 1, NULL);
    assert_in_range(rule_set_files(set), 8, 12);
    rule_set_unref(set);
    Buf out;
    buf_init(&out, 1 << 20);
    Str two[2] = {str_c(shared_path("promtool/rules_duplicates.yml")),
                  str_c(shared_path("promtool/rules-bad.yml"))};
    RulesCheckOptions o = {0};
    assert_int_equal(rules_check(vfs_os(), two, 2, &o, &out), E_INVALID);
    assert_non_null(
        strstr(buf_cstr(&out),
               "  SUCCESS: 5 rules found\n2 duplicate rule(s) found.\nMetric: job:test:count_over_time1m\n"));
    assert_non_null(strstr(buf_cstr(&out), "  FAILED:\n"));
    o.lint_fatal = true;
    assert_int_equal(rules_check(vfs_os(), two, 1, &o, &out), E_EXISTS);
    buf_done(&out);
}

static void test_templates(void **state)
{
    static const Label at[] = {{STR_INIT("__name__"), STR_INIT("up")},
                               {STR_INIT("instance"), STR_INIT("web.example.com:9100")}};
    static const struct {
        const char *text, *want;
    } texts[] = {
        {"plain", "plain"},
        {"{{ $value }} {{ .Value }} {{ $labels.instance }} {{ .Labels.none }}|",
         "1.234567891e+06 1.234567891e+06 web.example.com:9100 |"},
        {"{{ humanize 1234567.0 }} {{ humanize 0.0 }} {{ humanize 0.00123 }} {{ humanize -1500.0 }} {{ "
         "humanize 1e30 }}",
         "1.235M 0 1.23m -1.5k 1e+06Y"},
        {"{{ humanize1024 1048576.0 }} {{ humanize1024 100.0 }} {{ humanize1024 0.5 }}", "1Mi 100 0.5"},
        {"{{ humanizeDuration 0.0 }} {{ humanizeDuration 1.5 }} {{ humanizeDuration 65.0 }} {{ "
         "humanizeDuration 3725.0 }} "
         "{{ humanizeDuration 90061.0 }} {{ humanizeDuration 0.0015 }} {{ humanizeDuration -61.0 }}",
         "0s 1.5s 1m 5s 1h 2m 5s 1d 1h 1m 1s 1.5ms -1m 1s"},
        {"{{ humanizePercentage 0.1234567 }} {{ humanizeTimestamp 1435065584.128 }}",
         "12.35% 2015-06-23 13:19:44.128 +0000 UTC"},
        {"{{ 1435065584.128 | toTime }} {{ (toTime 0.0).Year }} {{ toDuration 90.0 }}",
         "2015-06-23 13:19:44.128 +0000 UTC 1970 1m30s"},
        {"{{ title \"hello world\" }} {{ toUpper \"aé\" }} {{ toLower \"AB\" }}", "Hello World AÉ ab"},
        {"{{ match \"a.c\" \"xabcx\" }} {{ reReplaceAll \"(a)b\" \"$1-\" \"abab\" }}", "true a-a-"},
        {"{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }} {{ stripDomain \"10.1.2.3:80\" "
         "}} {{ stripPort \"[::1]:80\" }}",
         "web.example.com web:9100 10.1.2.3:80 ::1"},
        {"{{ graphLink \"up{a=\\\"b\\\"}\" }} {{ tableLink \"up\" }}",
         "/graph?g0.expr=up%7Ba%3D%22b%22%7D&g0.tab=0 /graph?g0.expr=up&g0.tab=1"},
        {"{{ externalURL }} {{ pathPrefix }} {{ $externalURL }} {{ $externalLabels.dc }}",
         "http://h:9090/prom /prom http://h:9090/prom eu"},
        {"{{ parseDuration \"1h30m\" }} {{ now }} {{ urlQueryEscape \"a b\" }} {{ safeHtml \"<x>\" }}",
         "5400 1.8e+09 a+b <x>"},
        {"{{ with args 1 \"b\" }}{{ .arg0 }}{{ .arg1 }}{{ end }}", "1b"},
        {"{{ define \"t\" }}[{{ .arg0 }}]{{ end }}{{ tmpl \"t\" (args 7) }}", "[7]"},
        {"{{ range $i, $x := query \"vector(3)\" }}{{ $i }}{{ $x.Value }}{{ value $x }}{{ label \"a\" $x "
         "}}{{ end }}",
         "<error"},
        {"{{ nope }}", "<error expanding template: error parsing template __alert_R: template: __alert_R:1: "
                       "function \"nope\" not defined>"},
        {"{{ humanize \"x\" }}", "<error expanding template: error executing template __alert_R: template: "
                                 "__alert_R:1:115: executing "
                                 "\"__alert_R\" at <humanize \"x\">: error calling humanize: "
                                 "strconv.ParseFloat: parsing \"x\": invalid syntax>"},
        {"{{ first (query \"x\") }}", "<error"},
    };
    Arena arena;
    arena_init(&arena, NULL, 0);
    Label dc[] = {{S("dc"), S("eu")}};
    RuleTmplHost host = {
        .now_ms = 1800000000000, .external_url = S("http://h:9090/prom"), .external_labels = {dc, 1}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        Str got = rule_tmpl_expand(&host, S("R"), str_c(texts[i].text), (Labels){at, 2}, 1234567.891, &arena);
        Str want = str_c(texts[i].want);
        bool same = str_eq(want, S("<error")) ? str_starts(got, want) : str_eq(got, want);
        if (!same)
            fail_msg("%s\n got  %.*s\n want %s", texts[i].text, STR_FMT(got), texts[i].want);
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_public_files),
        cmocka_unit_test(test_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
