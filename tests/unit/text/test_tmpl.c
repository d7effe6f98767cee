#include "test.h"
#include "text/tmpl.h"

typedef struct Fix {
    Arena arena;
    TmplSet *set;
    Tv data;
} Fix;

static TvPair label_pairs[] = {
    {STR_INIT("alertname"), {.kind = TV_STR, .u.s = STR_INIT("Down")}},
    {STR_INIT("instance"), {.kind = TV_STR, .u.s = STR_INIT("a:9100")}},
    {STR_INIT("x<y"), {.kind = TV_STR, .u.s = STR_INIT("<&>")}},
};
static Tv numbers[] = {{.kind = TV_INT, .u.i = 3}, {.kind = TV_INT, .u.i = 1}, {.kind = TV_INT, .u.i = 2}};

static Err fn_up(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    if (n != 1 || a[0].kind != TV_STR)
        return why_set(why, E_EXEC, "up wants one string");
    Str s = arena_dup(tmpl_arena(x), a[0].u.s);
    for (size_t i = 0; i < s.len; i++)
        ((char *)s.at)[i] = (char)(s.at[i] >= 'a' && s.at[i] <= 'z' ? s.at[i] - 32 : s.at[i]);
    *ret = tv_str(s);
    return OK;
}

static Err fn_args(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    Tv *at = arena_array(tmpl_arena(x), Tv, n + 1);
    memcpy(at, a, n * sizeof *at);
    *ret = tv_list(at, n);
    return OK;
}

/* A host object: fields by name, one method with an argument. */
static bool kv_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    if (str_eq(name, S("Greet"))) {
        if (n != 1)
            why_set(why, E_EXEC, "wrong number of args for Greet");
        else
            *ret = tv_str(arena_printf(tmpl_arena(x), "hi %.*s", STR_FMT(args[0].u.s)));
        return true;
    }
    if (!tv_map_find(o->as_value, name, ret))
        *ret = tv_str(S(""));
    return true;
}
static TvObject kv = {.type_name = "KV", .get = kv_get};

static int setup(void **state)
{
    static TvPair root[12];
    u32 n = 0;
    kv.as_value = tv_map(label_pairs, 3);
    root[n++] = (TvPair){S("Dur"), {.kind = TV_DURATION, .u.i = 90 * NS_PER_SEC + 1}};
    root[n++] = (TvPair){S("Empty"), tv_list(NULL, 0)};
    root[n++] = (TvPair){S("KV"), tv_object(&kv)};
    root[n++] = (TvPair){S("Labels"), tv_map(label_pairs, 3)};
    root[n++] = (TvPair){S("List"), tv_list(numbers, 3)};
    root[n++] = (TvPair){S("Name"), tv_str(S("bob"))};
    root[n++] = (TvPair){S("Nil"), tv_nil()};
    root[n++] = (TvPair){S("Time"), {.kind = TV_TIME, .u.time = {1614960428120300000, NULL}}};
    root[n++] = (TvPair){S("True"), tv_bool(true)};
    root[n++] = (TvPair){S("Value"), tv_f64(1.5)};
    Fix *f = mem_new(Fix);
    arena_init(&f->arena, NULL, 16 << 20);
    static const TmplFunc funcs[] = {{"up", fn_up, NULL}, {"args", fn_args, NULL}};
    f->set = tmpl_set_new(funcs, 2);
    f->data = tv_map(root, n);
    f->data.u.map.is_any = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fix *f = *state;
    tmpl_set_free(f->set);
    arena_done(&f->arena);
    mem_free(f);
    return 0;
}

static Err run(Fix *f, const char *text, Buf *out, Why *why)
{
    TmplRun r = {.missing_key_zero = true};
    return tmpl_exec_text(f->set, str_c(text), f->data, &r, &f->arena, out, why);
}

static const struct {
    const char *text, *want;
} good[] = {
    {"plain", "plain"},
    {"", ""},
    {"{{.Name}}", "bob"},
    {"a {{- .Name -}} b", "abobb"},
    {"a {{/* nothing */}} b", "a  b"},
    {"a {{- /* nothing */ -}} b", "ab"},
    {"{{ .Labels.instance }}|{{ .Labels.none }}|", "a:9100||"},
    {"{{ .None }}", "<no value>"},
    {"{{ .KV.alertname }} {{ .KV.none }}{{ .KV.Greet \"joe\" }}", "Down hi joe"},
    {"{{ (.KV).Greet .Name }}", "hi bob"},
    {"{{ .Name | .KV.Greet }}", "hi bob"},
    {"{{ .Name | up | printf \"%s-%s\" \"x\" }}", "x-BOB"},
    {"{{ up .Name }}{{ up \"x\" }}", "BOBX"},
    {"{{ range .List }}{{ . }},{{ end }}", "3,1,2,"},
    {"{{ range $i, $e := .List }}{{ $i }}={{ $e }} {{ end }}", "0=3 1=1 2=2 "},
    {"{{ range $e := .List }}{{ $e }}{{ end }}", "312"},
    {"{{ range $k, $v := .Labels }}{{ $k }}={{ $v }};{{ end }}", "alertname=Down;instance=a:9100;x<y=<&>;"},
    {"{{ range .KV }}{{ . }};{{ end }}", "Down;a:9100;<&>;"},
    {"{{ range .Empty }}x{{ else }}none{{ end }}", "none"},
    {"{{ range .Nil }}x{{ else }}none{{ end }}", "none"},
    {"{{ range 3 }}{{ . }}{{ end }}", "012"},
    {"{{ range .List }}{{ if eq . 1 }}{{ break }}{{ end }}{{ . }}{{ end }}", "3"},
    {"{{ range .List }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "32"},
    {"{{ if .True }}y{{ else }}n{{ end }}", "y"},
    {"{{ if .Nil }}y{{ else }}n{{ end }}", "n"},
    {"{{ if .Empty }}a{{ else if .Name }}b{{ else }}c{{ end }}", "b"},
    {"{{ if 0 }}a{{ else if 0.0 }}b{{ else if \"\" }}c{{ else }}d{{ end }}", "d"},
    {"{{ with .Name }}{{ . }}{{ end }}{{ with .Nil }}x{{ else }}y{{ end }}", "boby"},
    {"{{ with $x := .Name }}{{ $x }}{{ end }}", "bob"},
    {"{{ with .Nil }}x{{ else with .Name }}{{ . }}{{ end }}", "bob"},
    {"{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"},
    {"{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"},
    {"{{ range .List }}{{ $.Name }}{{ end }}", "bobbobbob"},
    {"{{ $m := .Labels }}{{ $m.instance }}", "a:9100"},
    {"{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" .Name }}{{ template \"t\" 3 }}", "[bob][3]"},
    {"{{ block \"b\" .Name }}<{{ . }}>{{ end }}", "<bob>"},
    {"{{ define \"t\" }}{{ $ }}{{ end }}{{ template \"t\" .Name }}", "bob"},
    {"{{ true }} {{ 1 }} {{ 1.5 }} {{ 0x10 }} {{ 'a' }} {{ 1e3 }} {{ 1_000 }} {{ \"s\" }} {{ `r\\n` }}",
     "true 1 1.5 16 97 1000 1000 s r\\n"},
    {"{{ \"\\x41\\u00e9\\101\\n\" }}", "A\xc3\xa9"
                                       "A\n"},
    {"{{ 1000000.0 }} {{ 123456789.0 }} {{ 0.00001 }} {{ .Value }}", "1e+06 1.23456789e+08 1e-05 1.5"},
    {"{{ and 1 0 2 }} {{ and 1 2 }} {{ or 0 \"\" 5 }} {{ or 0 \"\" }}| {{ not 1 }}", "0 2 5 | false"},
    {"{{ and false (index .List 99) }}", "false"},
    {"{{ or true (index .List 99) }}", "true"},
    {"{{ eq 1 1 }} {{ eq 1 2 3 1 }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt 1 2 }} {{ ge 2 2 }}",
     "true true true true true false true"},
    {"{{ eq \"a\" \"a\" }} {{ lt \"a\" \"b\" }} {{ eq 1.5 .Value }} {{ gt .Value 1.0 }}",
     "true true true true"},
    {"{{ eq .Nil nil }} {{ eq .Name nil }}", "true false"},
    {"{{ len .List }} {{ len .Name }} {{ len .Labels }} {{ len .KV }}", "3 3 3 3"},
    {"{{ index .List 1 }} {{ index .Labels \"instance\" }} {{ index .Labels \"no\" }}| {{ index .Name 0 }}",
     "1 a:9100 | 98"},
    {"{{ slice .Name 1 }} {{ slice .Name 1 2 }} {{ slice .List 1 }}", "ob o [1 2]"},
    {"{{ print 1 2 \"a\" 3 4 }} {{ print \"a\" \"b\" }} {{ println 1 \"a\" }}", "1 2a3 4 ab 1 a\n"},
    {"{{ html \"<a b='c'>\" }} {{ js \"it's <x>\" }} {{ urlquery \"a b&c\" }}",
     "&lt;a b=&#39;c&#39;&gt; it\\'s \\u003Cx\\u003E a+b%26c"},
    {"{{ .List }} {{ .Labels }} {{ .KV }} {{ args }} {{ args nil }}",
     "[3 1 2] map[alertname:Down instance:a:9100 x<y:<&>] map[alertname:Down instance:a:9100 x<y:<&>] [] "
     "[<nil>]"},
    {"{{ (index .List 0) }} {{ (args 1 2) | len }}", "3 2"},
    {"{{ printf \"%d %5d|%-5d|%05d %x %X %#x %o %b %c %q %U\" 1 2 3 4 255 255 255 8 5 65 65 65 }}",
     "1     2|3    |00004 ff FF 0xff 10 101 A 'A' U+0041"},
    {"{{ printf \"%f %.2f %8.3f|%-8.1f|%e %g %G %6.1f%%\" 1.5 1.255 3.14159 2.5 12345.678 1e21 1e-7 99.95 }}",
     "1.500000 1.25    3.142|2.5     |1.234568e+04 1e+21 1E-07  100.0%"},
    {"{{ printf \"%s|%10s|%-10s|%.2s|%q|%x|%v|%t\" \"ab\" \"ab\" \"ab\" \"abc\" \"a\\\"b\" \"ab\" \"v\" true "
     "}}",
     "ab|        ab|ab        |ab|\"a\\\"b\"|6162|v|true"},
    {"{{ printf \"%d\" \"x\" }} {{ printf \"%d\" }} {{ printf \"x\" 1 }} {{ printf \"%z\" 1 }} {{ printf "
     "\"%\" }}",
     "%!d(string=x) %!d(MISSING) x%!(EXTRA int=1) %!z(int=1) %!(NOVERB)"},
    {"{{ printf \"%[2]d %[1]d\" 1 2 }} {{ printf \"%*d\" 4 7 }} {{ printf \"%+d % d %+.1f\" 3 3 2.0 }}",
     "2 1    7 +3  3 +2.0"},
    {"{{ printf \"%T %T %T %T\" 1 \"a\" 1.5 nil }}", "int string float64 <nil>"},
    {"{{ printf \"%s\" .List }} {{ printf \"%d\" .List }} {{ printf \"%v\" nil }}",
     "[%!s(int=3) %!s(int=1) %!s(int=2)] [3 1 2] <nil>"},
    {"{{- \"a\" -}}\n  b", "ab"},
    {"x{{\n  .Name\n}}y", "xboby"},
    {"{{ .Name }}}", "bob}"},
    {"{ {", "{ {"},
    {"{{ -1 }} {{ +1 }} {{ -1.5 }} {{ .5 }}", "-1 1 -1.5 0.5"},
    {"{{ if and .Name (not .Nil) }}ok{{ end }}", "ok"},
    {"{{ with .KV }}{{ .alertname }}{{ end }}", "Down"},
    {"{{ .Time }} {{ .Time.Format \"15:04\" }} {{ .Time.Unix }} {{ (.Time.Add 3600000000000).Hour }} {{ "
     ".Time.Year }}",
     "2021-03-05 16:07:08.1203 +0000 UTC 16:07 1614960428 17 2021"},
    {"{{ .Time.Sub .Time }} {{ .Dur }} {{ .Dur.Seconds }} {{ .Dur.Round 1000000000 }} {{ .Time.Month }} {{ "
     ".Time.Before .Time }}",
     "0s 1m30.000000001s 90.000000001 1m30s March false"},
};

static void test_good(void **state)
{
    Fix *f = *state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        Buf out;
        Why why = {0};
        buf_init(&out, 10000);
        Err e = run(f, good[i].text, &out, &why);
        if (e != OK)
            fail_msg("%s: %s", good[i].text, why.text);
        if (!str_eq(buf_view(&out), str_c(good[i].want)))
            fail_msg("%s:\n got  %s\n want %s", good[i].text, buf_cstr(&out), good[i].want);
        buf_done(&out);
    }
}

static const struct {
    const char *text, *want;
} bad[] = {
    {"{{", "template: :1: unclosed action"},
    {"{{ .Name", "template: :1: unclosed action"},
    {"{{ if .Name }}", "template: :1: unexpected EOF"},
    {"{{ end }}", "template: :1: unexpected {{end}}"},
    {"{{ else }}", "template: :1: unexpected {{else}}"},
    {"\n{{ nope }}", "template: :2: function \"nope\" not defined"},
    {"{{ $x }}", "template: :1: undefined variable \"$x\""},
    {"{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable"},
    {"{{ \"a }}", "template: :1: unterminated quoted string"},
    {"{{ `a }}", "template: :1: unterminated raw quoted string"},
    {"{{ (1 }}", "template: :1: unclosed left paren"},
    {"{{ 1) }}", "template: :1: unexpected right paren"},
    {"{{ }}", "template: :1: missing value for command"},
    {"{{ if }}x{{ end }}", "template: :1: missing value for if"},
    {"{{ 1 | 2 }}", "non executable command in pipeline stage 2"},
    {"{{/* x }}", "unclosed comment"},
    {"{{/* x */ y}}", "comment ends before closing delimiter"},
    {"{{ break }}", "{{break}} outside {{range}}"},
    {"{{ 1x }}", "bad number syntax"},
    {"{{ 'ab' }}", "malformed character constant"},
    {"{{ \"\\q\" }}", "invalid syntax"},
    {"{{ nil }}", "nil is not a command"},
    {"{{ .Name.x }}", "can't evaluate field x in type string"},
    {"{{ .Nil.x }}", "nil pointer evaluating interface {}.x"},
    {"{{ .Value.x }}", "can't evaluate field x in type float64"},
    {"{{ template \"none\" }}", "template \"none\" not defined"},
    {"{{ index .List 9 }}", "error calling index: index out of range: 9"},
    {"{{ eq 1 1.0 }}", "error calling eq: incompatible types for comparison"},
    {"{{ gt .Value 1 }}", "error calling gt: incompatible types for comparison"},
    {"{{ lt true false }}", "invalid type for comparison"},
    {"{{ not }}", "wrong number of args for not: want 1 got 0"},
    {"{{ up 1 }}", "error calling up: up wants one string"},
    {"{{ .Name 1 }}", "Name is not a method but has arguments"},
    {"{{ range 1.5 }}{{ end }}", "range can't iterate over 1.5"},
    {"{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}",
     "exceeded maximum template depth"},
    {"{{ range 100000000 }}{{ end }}", "too many steps"},
    {"{{ range 1000000 }}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{ end }}", "over its limit"},
    {"{{ .KV.Greet }}", "wrong number of args for Greet"},
    {"{{ define \"x\" }}", "unexpected EOF"},
    {"{{ if 1 }}{{ define \"x\" }}{{ end }}{{ end }}", "unexpected {{define}}"},
    {"{{ call nil }}", "call of nil"},
    {"{{ slice .Name 2 1 }}", "invalid slice index: 2 > 1"},
    {"{{ $x = 1 }}", "undefined variable"},
    {"{{ 9223372036854775808 }}", "bad number syntax"},
};

static void test_bad(void **state)
{
    Fix *f = *state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Buf out;
        Why why = {0};
        buf_init(&out, 1 << 20);
        Err e = run(f, bad[i].text, &out, &why);
        if (e == OK)
            fail_msg("%s gave %s", bad[i].text, buf_cstr(&out));
        if (!strstr(why.text, bad[i].want))
            fail_msg("%s:\n got  %s\n want %s", bad[i].text, why.text, bad[i].want);
        assert_int_equal(out.len, 0);
        buf_done(&out);
        arena_reset(&f->arena);
    }
}

static void test_sets(void **state)
{
    Fix *f = *state;
    Why why = {0};
    Buf out;
    buf_init(&out, 10000);
    assert_ok(tmpl_parse(f->set, S("file"),
                         S("{{ define \"a\" }}A{{ . }}{{ end }}{{ define \"b\" }}B{{ end }}"), &why),
              &why);
    assert_true(tmpl_has(f->set, S("a")));
    /* A later definition wins, a blank one does not. */
    assert_ok(
        tmpl_parse(f->set, S("file2"), S("{{ define \"b\" }}C{{ end }}{{ define \"a\" }} {{ end }}"), &why),
        &why);
    assert_ok(run(f, "{{ template \"a\" 1 }}{{ template \"b\" }}", &out, &why), &why);
    assert_str(buf_view(&out), "A1C");
    /* A one-off text's define is its own. */
    buf_clear(&out);
    assert_ok(run(f, "{{ define \"b\" }}D{{ end }}{{ template \"b\" }}", &out, &why), &why);
    assert_str(buf_view(&out), "D");
    buf_clear(&out);
    assert_ok(tmpl_exec(f->set, S("b"), tv_nil(), NULL, &f->arena, &out, &why), &why);
    assert_str(buf_view(&out), "C");
    assert_int_equal(tmpl_exec(f->set, S("zz"), tv_nil(), NULL, &f->arena, &out, &why), E_NOT_FOUND);
    buf_done(&out);
}

static void test_html_and_messages(void **state)
{
    Fix *f = *state;
    Why why = {0};
    Buf out;
    buf_init(&out, 10000);
    TmplRun r = {.html = true, .missing_key_zero = true};
    assert_ok(tmpl_exec_text(f->set, S("<b>{{ index .Labels \"x<y\" }}</b>{{ .Nil }}"), f->data, &r,
                             &f->arena, &out, &why),
              &why);
    assert_str(buf_view(&out), "<b>&lt;&amp;&gt;</b>");
    buf_clear(&out);
    assert_int_equal(tmpl_exec_named(f->set, S("__alert_X"), S("a\nb {{ .Name.Foo }}"), f->data, NULL,
                                     &f->arena, &out, &why),
                     E_EXEC);
    assert_string_equal(
        why.text,
        "template: __alert_X:2:10: executing \"__alert_X\" at <.Name.Foo>: can't evaluate field Foo in "
        "type string");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_html_and_messages, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
