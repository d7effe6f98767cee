/* Relabelling: each action, with the results Prometheus gives. */
#include "test.h"
#include "model/model.h"

typedef struct Case {
    const char *in; /* "a=foo,b=bar" */
    RelabelRule rules[3];
    const char *out; /* NULL: dropped */
} Case;

#define SOURCES(...)                                                                                         \
    .source_labels = (Str[]){__VA_ARGS__}, .source_labels_len = COUNT_OF(((Str[]){__VA_ARGS__}))

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

static const Case cases[] = {
    {"a=foo,b=bar,c=baz",
     {{SOURCES(S("a")), .target_label = S("d"), .regex_text = S("f(.*)"), .replacement = S("ch${1}-ch${1}")}},
     "a=foo,b=bar,c=baz,d=choo-choo"},
    {"a=foo,b=bar,c=baz",
     {{SOURCES(S("a"), S("b")), .target_label = S("a"), .regex_text = S("f(.*);(.*)r"),
       .replacement = S("b${1}${2}m")},
      {SOURCES(S("c"), S("a")), .target_label = S("d"), .regex_text = S("(b).*b(.*)ba(.*)"),
       .replacement = S("$1$2$2$3")}},
     "a=boobam,b=bar,c=baz,d=boooom"},
    {"a=foo", {{SOURCES(S("a")), .action = RELABEL_DROP, .regex_text = S(".*o.*")}}, NULL},
    {"a=foo", {{SOURCES(S("a")), .action = RELABEL_DROP, .regex_text = S("no-match")}}, "a=foo"},
    {"a=foo", {{SOURCES(S("a")), .action = RELABEL_DROP, .regex_text = S("f|o")}}, "a=foo"},
    {"a=foo", {{SOURCES(S("a")), .action = RELABEL_KEEP, .regex_text = S("no-match")}}, NULL},
    {"a=foo", {{SOURCES(S("a")), .action = RELABEL_KEEP, .regex_text = S("f.*")}}, "a=foo"},
    {"a=foo", {{SOURCES(S("a")), .target_label = S("b"), .regex_text = S("bar")}}, "a=foo"},
    {"a=foo", {{SOURCES(S("nope")), .target_label = S("b"), .regex_text = S("f")}}, "a=foo"},
    {"a=foo,b=bar", {{SOURCES(S("nope")), .target_label = S("a")}}, "b=bar"},
    {"a=foo,b=bar", {{.target_label = S("a"), .replacement = S("static")}}, "a=static,b=bar"},
    {"a=foo,b=bar",
     {{.target_label = S("a"), .regex_text = S(""), .replacement = S("static")}},
     "a=static,b=bar"},
    {"a=foo,b=bar", {{SOURCES(S("a")), .target_label = S("a"), .replacement = S("")}}, "b=bar"},
    {"a=foo,b=bar,c=baz",
     {{SOURCES(S("c")), .target_label = S("d"), .action = RELABEL_HASHMOD, .modulus = 1000}},
     "a=foo,b=bar,c=baz,d=976"},
    {"a=foo\nbar",
     {{SOURCES(S("a")), .target_label = S("b"), .action = RELABEL_HASHMOD, .modulus = 1000}},
     "a=foo\nbar,b=734"},
    {"a=foo\nbar", {{SOURCES(S("a")), .target_label = S("b")}}, "a=foo\nbar,b=foo\nbar"},
    {"a=foo,b1=bar,b2=baz",
     {{.action = RELABEL_LABELMAP, .regex_text = S("(b.*)"), .replacement = S("bar_${1}")}},
     "a=foo,b1=bar,b2=baz,bar_b1=bar,bar_b2=baz"},
    {"a=foo,__meta_my_bar=aaa,__meta_my_baz=bbb,__meta_other=ccc",
     {{.action = RELABEL_LABELMAP, .regex_text = S("__meta_(my.*)")}},
     "__meta_my_bar=aaa,__meta_my_baz=bbb,__meta_other=ccc,a=foo,my_bar=aaa,my_baz=bbb"},
    {"a=some-name-value",
     {{SOURCES(S("a")), .target_label = S("${1}"), .regex_text = S("some-([^-]+)-([^,]+)"),
       .replacement = S("${2}")}},
     "a=some-name-value,name=value"},
    {"a=some-name-0",
     {{SOURCES(S("a")), .target_label = S("${3}"), .regex_text = S("some-([^-]+)-([^,]+)"),
       .replacement = S("${1}")}},
     "a=some-name-0"},
    {"a=some-name-value",
     {{SOURCES(S("a")), .target_label = S("${name}"), .regex_text = S("some-(?P<name>[^-]+)-([^,]+)"),
       .replacement = S("${2}")}},
     "a=some-name-value,name=value"},
    {"a=foo,b1=bar,b2=baz", {{.action = RELABEL_LABELDROP, .regex_text = S("(b.*)")}}, "a=foo"},
    {"a=foo,b1=bar,b2=baz", {{.action = RELABEL_LABELKEEP, .regex_text = S("(b.*)")}}, "b1=bar,b2=baz"},
    {"foo=bAr123Foo",
     {{SOURCES(S("foo")), .action = RELABEL_UPPERCASE, .target_label = S("u")},
      {SOURCES(S("foo")), .action = RELABEL_LOWERCASE, .target_label = S("l")}},
     "foo=bAr123Foo,l=bar123foo,u=BAR123FOO"},
    {"foo=Straße ÄÖ Ωмир ÿĀ",
     {{SOURCES(S("foo")), .action = RELABEL_LOWERCASE, .target_label = S("l")},
      {SOURCES(S("l")), .action = RELABEL_UPPERCASE, .target_label = S("foo")}},
     "foo=STRAßE ÄÖ ΩМИР ŸĀ,l=straße äö ωмир ÿā"},
    {"a=x,b=x", {{SOURCES(S("a")), .action = RELABEL_KEEPEQUAL, .target_label = S("b")}}, "a=x,b=x"},
    {"a=x,b=y", {{SOURCES(S("a")), .action = RELABEL_KEEPEQUAL, .target_label = S("b")}}, NULL},
    {"a=x,b=x", {{SOURCES(S("a")), .action = RELABEL_DROPEQUAL, .target_label = S("b")}}, NULL},
    {"a=x,b=y", {{SOURCES(S("a")), .action = RELABEL_DROPEQUAL, .target_label = S("b")}}, "a=x,b=y"},
    {"a=x", {{SOURCES(S("a"), S("b"), S("c")), .separator = S("--"), .target_label = S("j")}}, "a=x,j=x----"},
    {"a=line\nx", {{SOURCES(S("a")), .action = RELABEL_KEEP, .regex_text = S("line.x")}}, "a=line\nx"},
};

static void test_cases(void **state)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena a;
        Why why;
        RelabelRule rules[3];
        u32 n = 0;
        arena_init(&a, NULL, 0);
        memcpy(rules, cases[i].rules, sizeof rules);
        for (; n < 3 && (rules[n].source_labels_len || rules[n].target_label.len || rules[n].regex_text.len);
             n++) {
            if (!rules[n].regex_text.at)
                rules[n].regex_text = S("(.*)");
            if (!rules[n].replacement.at)
                rules[n].replacement = S("$1");
            if (!rules[n].separator.at)
                rules[n].separator = S(";");
            assert_ok(regex_new(rules[n].regex_text, REGEX_ANCHORED, &rules[n].regex, &why), &why);
        }
        LabelsBuilder b;
        lb_init(&b, &a, labels_of(&a, cases[i].in));
        bool keep = relabel_apply((RelabelRules){rules, n}, &b);
        if (keep != (cases[i].out != NULL))
            fail_msg("case %zu: %s", i, keep ? "kept" : "dropped");
        if (keep) {
            Buf got, want;
            buf_init(&got, 4096);
            buf_init(&want, 4096);
            labels_print(&got, lb_build(&b));
            labels_print(&want, labels_of(&a, cases[i].out));
            if (!str_eq(buf_view(&got), buf_view(&want)))
                fail_msg("case %zu: got %.*s, want %.*s", i, STR_FMT(buf_view(&got)),
                         STR_FMT(buf_view(&want)));
            buf_done(&got);
            buf_done(&want);
        }
        for (u32 k = 0; k < n; k++)
            regex_free(rules[k].regex);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
