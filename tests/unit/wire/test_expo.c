/* Text 0.0.4 and OpenMetrics 1.0: public test data, a table of verdicts, truncation, caches, start times, folded histograms. */
#include "test.h"
#include "wire/wire.h"
#include <dirent.h>

/* A page as lines of what it parses to; the error's sentence last. */
static void parse_page(Str page, ExpoFormat f, const ExpoOptions *o, Buf *out, Err *ret_err)
{
    static const char *const kinds[] = {"series", "histogram", "type", "help", "unit", "comment"};
    Arena a;
    arena_init(&a, NULL, 64 << 20);
    ExpoParser *p = expo_new(page, f, o, &a);
    ExpoItem it;
    Why why = {0};
    Err e;
    while ((e = expo_next(p, &it, &why)) == OK) {
        if (it.kind == EXPO_SERIES || it.kind == EXPO_HISTOGRAM) {
            if ((e = expo_labels(p, &it, &why)) != OK)
                break;
            if (it.kind == EXPO_SERIES) {
                expo_write_series(out, it.labels, it.value, it.t, it.t != INT64_MIN);
                out->len--;
            } else {
                labels_print(out, it.labels);
                buf_printf(out, " {count:%g sum:%g schema:%d int:%d buckets:", it.hist->count, it.hist->sum,
                           it.hist->schema, it.hist->is_int);
                for (u32 i = 0; i < it.hist->pos_len; i++)
                    buf_printf(out, "%s%g", i ? "," : "", it.hist->pos[i]);
                buf_c(out, " custom:");
                for (u32 i = 0; i < it.hist->custom_len; i++)
                    buf_printf(out, "%s%g", i ? "," : "", it.hist->custom[i]);
                buf_c(out, "}");
            }
            for (u32 i = 0; i < it.exemplars_len; i++) {
                buf_c(out, " # ");
                labels_print(out, it.exemplars[i].labels);
                buf_printf(out, " %g @%lld", it.exemplars[i].v, (long long)it.exemplars[i].t);
            }
            if (it.start_t)
                buf_printf(out, " st@%lld", (long long)it.start_t);
        } else if (it.kind == EXPO_COMMENT) {
            buf_c(out, "comment");
        } else {
            buf_printf(out, "%s %.*s %.*s", kinds[it.kind], STR_FMT(it.name),
                       it.kind == EXPO_TYPE ? (int)strlen(metric_type_name(it.type)) : (int)it.text.len,
                       it.kind == EXPO_TYPE ? metric_type_name(it.type) : it.text.at);
        }
        buf_char(out, '\n');
    }
    if (e != E_NOT_FOUND) {
        assert_true(why.text[0]);
        buf_printf(out, "%u:%u: %s\n", why.line, why.col, why.text);
    }
    *ret_err = e;
    arena_done(&a);
}

typedef struct Case {
    const char *page;
    size_t len;       /* 0: strlen */
    const char *want; /* whole output; starting with '!': it fails, and the rest is in the sentence */
} Case;

static void run_cases(const Case *cases, size_t n, ExpoFormat f, const ExpoOptions *o)
{
    Buf out;
    buf_init(&out, 1 << 24);
    for (size_t i = 0; i < n; i++) {
        const Case *c = &cases[i];
        Err e;
        size_t len = c->len ? c->len : strlen(c->page);
        char *copy = malloc(len + 1);
        memcpy(copy, c->page, len);
        buf_clear(&out);
        parse_page(str_of(copy, len), f, o, &out, &e);
        const char *got = buf_cstr(&out);
        if (c->want[0] == '!' ? e != E_PARSE || !strstr(got, c->want + 1)
                              : e != E_NOT_FOUND || strcmp(got, c->want))
            fail_msg("case %zu «%s»:\n got «%s»\nwant «%s»", i, c->page, got, c->want);
        free(copy);
    }
    buf_done(&out);
}

static const Case text_cases[] = {
    {"a 1\n", 0, "a 1\n"},
    {"a 1", 0, "a 1\n"},
    {"", 0, ""},
    {"\n\n  \n\t\n", 0, ""},
    {"a{} 1\n", 0, "a 1\n"},
    {"a{b=\"c\"} 1 1234\n", 0, "a{b=\"c\"} 1 1234\n"},
    {" \ta { b = \"c\" , d=\"e\", } \t 1   1234 \t\n", 0, "a{b=\"c\", d=\"e\"} 1 1234\n"},
    {"a{b=\"c\"}1\n", 0, "a{b=\"c\"} 1\n"},
    {"a{b=\"c\" d=\"e\"} 1\n", 0, "a{b=\"c\", d=\"e\"} 1\n"}, /* the comma is free, in this format */
    {"a-1\n", 0, "a -1\n"},
    {":a:b 1\n", 0, ":a:b 1\n"},
    {"a{z=\"1\",B=\"2\",b=\"3\"} 1\n", 0, "a{B=\"2\", b=\"3\", z=\"1\"} 1\n"},
    {"a{b=\"\",c=\"1\"} 1\n", 0, "a{c=\"1\"} 1\n"},
    {"a{b=\"x\\\\y\\\"z\\nw\\q\"} 1\n", 0, "a{b=\"x\\\\y\\\"z\\nw\\\\q\"} 1\n"},
    {"a{b=\"two\nlines\"} 1\nc 2\n", 0, "a{b=\"two\\nlines\"} 1\nc 2\n"},
    {"a{b=\"}{#,\"} 1\n", 0, "a{b=\"}{#,\"} 1\n"},
    {"{\"my.metric\",\"a.b\"=\"c\"} 1\n", 0, "{\"my.metric\", \"a.b\"=\"c\"} 1\n"},
    {"{\"up\"} 1\n", 0, "up 1\n"},
    {"{a=\"1\",\"up\",b=\"2\"} 1\n", 0, "up{a=\"1\", b=\"2\"} 1\n"},
    {"a{\"b.c\"=\"d\"} 1\n", 0, "a{\"b.c\"=\"d\"} 1\n"},
    {"{\"q\\\"m\"} 1\n", 0, "{\"q\\\"m\"} 1\n"},
    {"a NaN\na +Inf\na -inf\na infinity\na nan\n", 0, "a NaN\na +Inf\na -Inf\na +Inf\na NaN\n"},
    {"a 0\na -0\na 1.\na .5\na +1e3\na 1.6777216e+07\na 1e-7\n", 0,
     "a 0\na -0\na 1\na 0.5\na 1000\na 16777216\na 0.0000001\n"},
    {"a 9007199254740993\na 0.1\na 123456789.123456789\na 1e22\na 1e23\n", 0,
     "a 9007199254740992\na 0.1\na 123456789.12345679\na 10000000000000000000000\na "
     "100000000000000000000000\n"},
    {"# HELP a one \\\\ two\\nthree \\\" four\na 1\n", 0, "help a one \\ two\nthree \\\" four\na 1\n"},
    {"# HELP a\n# HELP a \n#  \tHELP\t a  b\n", 0, "help a \nhelp a \nhelp a  b\n"},
    {"# TYPE a counter\n# TYPE b untyped\n# TYPE c histogram\n# TYPE d summary\n# TYPE e gauge", 0,
     "type a counter\ntype b unknown\ntype c histogram\ntype d summary\ntype e gauge\n"},
    {"# HELP \"a.b\" hi\n# TYPE \"a.b\" gauge\n", 0, "help a.b hi\ntype a.b gauge\n"},
    {"#comment\n# more\n#\n# HELPFUL a\n# UNIT a b\n# EOF\n#TYPE x y\n", 0,
     "comment\ncomment\ncomment\ncomment\ncomment\ncomment\ncomment\n"},
    {"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"0.50\"} 1\nh_bucket{le=\"1e6\"} "
     "1\nh_bucket{le=\"+inf\"} 1\n"
     "h_bucket{le=\"x\"} 1\nh_bucket{le=\"0.00001\"} 1\nh_bucket{le=\"2.5\"} 1\n",
     0,
     "type h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1e+06\"} "
     "1\nh_bucket{le=\"+Inf\"} 1\n"
     "h_bucket{le=\"x\"} 1\nh_bucket{le=\"1e-05\"} 1\nh_bucket{le=\"2.5\"} 1\n"},
    {"# TYPE s summary\ns{quantile=\"1\"} 1\ns{le=\"1\"} 1\n# TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 1\n",
     0,
     "type s summary\ns{quantile=\"1.0\"} 1\ns{le=\"1\"} 1\ntype g gauge\ng{le=\"1\", quantile=\"1\"} 1\n"},
    /* refused */
    {"a\n", 0, "!1:2: expected a value"},
    {"a 1\nb\n", 0, "!2:2: expected a value"},
    {"a{b=\"c\"}\n", 0, "!expected a value"},
    {"a 1 2 3\n", 0, "!end of the line after the timestamp"},
    {"a 1 -5\n", 0, "!digits only"},
    {"a 1 1.5\n", 0, "!end of the line"},
    {"a 1 9223372036854775808\n", 0, "!out of range"},
    {"a 1\r\n", 0, "!not a number"},
    {"a 0x1p3\n", 0, "!not a number"},
    {"a 1_000\n", 0, "!not a number"},
    {"a 1e999\n", 0, "!not a number"},
    {"a 1{b=\"c\"}\n", 0, "!end of the line"},
    {"a {b=\"c\"} {d=\"e\"} 1\n", 0, "!expected a value"},
    {"a{b=\"c\n", 0, "!1:2: the label set does not end"},
    {"a{b=\"c\"\n} 1\n", 0, "!does not end"},
    {"a{b=\"c\\", 0, "!does not end"},
    {"a{b=\"c\\\n\"} 1\n", 0, "!does not end"},
    {"a{b} 1\n", 0, "!1:4: expected ="},
    {"a{b=c} 1\n", 0, "!expected a quoted label value"},
    {"a{1b=\"c\"} 1\n", 0, "!1:3: expected a label name"},
    {"a{b:c=\"d\"} 1\n", 0, "!expected ="},
    {"a{,} 1\n", 0, "!expected a label name"},
    {"a{b=\"c\",,d=\"e\"} 1\n", 0, "!1:9: expected a label name"},
    {"a{b=\"\xff\"} 1\n", 0, "!not UTF-8"},
    {"a{b=\"1\",b=\"1\"} 1\n", 0, "!\"b\" is not unique"},
    {"a{c=\"1\",a=\"2\",b=\"3\",a=\"4\"} 1\n", 0, "!\"a\" is not unique"},
    {"a{__name__=\"b\"} 1\n", 0, "!\"__name__\" is not unique"},
    {"{a=\"b\"} 1\n", 0, "!no metric name"},
    {"{} 1\n", 0, "!no metric name"},
    {"{\"\"} 1\n", 0, "!empty"},
    {"{\"a\",\"\"=\"b\"} 1\n", 0, "!empty"},
    {"a{\"b\"} 1\n", 0, "!already set"},
    {"{\"a\",\"b\"} 1\n", 0, "!already set"},
    {"{\"\xff\"} 1\n", 0, "!not UTF-8"},
    {"0a 1\n", 0, "!1:1: expected a metric name"},
    {"é 1\n", 0, "!expected a metric name"},
    {"# TYPE a meh\n", 0, "!metric type"},
    {"# TYPE a\n", 0, "!metric type"},
    {"# TYPE a  counter\n", 0, "!metric type"},
    {"# TYPE a counter \n", 0, "!metric type"},
    {"# TYPE a gaugehistogram\n", 0, "!metric type"},
    {"# TYPE a unknown\n", 0, "!metric type"},
    {"# TYPE 1\n", 0, "!1:8: expected a metric name"},
    {"# HELP \n", 0, "!expected a metric name"},
    {"# HELP a \xff\n", 0, "!not UTF-8"},
    {"a\0b 1\n", 6, "!not a number"},
    {"a 1\n\0", 5, "!2:1: expected a metric name"},
};

static void text_verdicts(void **state)
{
    run_cases(text_cases, COUNT_OF(text_cases), EXPO_TEXT, NULL);
    Arena a; /* a zero byte may lie in a value */
    ExpoItem it;
    Why why;
    arena_init(&a, NULL, 0);
    ExpoParser *p = expo_new(S("a{b=\"x\0y\"} 1\n"), EXPO_TEXT, NULL, &a);
    assert_ok(expo_next(p, &it, &why), &why);
    assert_ok(expo_labels(p, &it, &why), &why);
    assert_true(str_eq(labels_get(it.labels, S("b")), S("x\0y")));
    arena_done(&a);
}

static const Case om_cases[] = {
    {"# EOF", 0, ""},
    {"# EOF\n", 0, ""},
    {"a 1\n# EOF\n", 0, "a 1\n"},
    {"a 1 1.5\n# EOF\n", 0, "a 1 1500\n"},
    {"a 1 -1.5\na 1 1e3\n# EOF\n", 0, "a 1 -1500\na 1 1000000\n"},
    {"a{b=\"c\",} 1\n# EOF\n", 0, "a{b=\"c\"} 1\n"},
    {"a_total 1 2 # {x=\"y\"} 0.5 3.25\n# EOF\n", 0, "a_total 1 2000 # {x=\"y\"} 0.5 @3250\n"},
    {"a_total 1 # {} 0.5\n# EOF\n", 0, "a_total 1 # {} 0.5 @0\n"},
    {"a_total 1 # {b=\"1\",a=\"2\",\"c.d\"=\"}\"} 1\n# EOF\n", 0,
     "a_total 1 # {a=\"2\", b=\"1\", \"c.d\"=\"}\"} 1 @0\n"},
    {"a_total 1 # {b=\"1\",b=\"2\"} 1\n# EOF\n", 0, "a_total 1\n"},
    {"# TYPE a counter\n# UNIT a_s s\n# HELP a x \\\"y\\\" \\n\n# EOF\n", 0,
     "type a counter\nunit a_s s\nhelp a x \"y\" \n\n"},
    {"# TYPE a info\n# TYPE b stateset\n# TYPE c gaugehistogram\n# TYPE d unknown\n# EOF\n", 0,
     "type a info\ntype b stateset\ntype c gaugehistogram\ntype d unknown\n"},
    {"# UNIT a \n# EOF\n", 0, "unit a \n"},
    {"{\"a.b\",c=\"d\"} 1 # {\"e\"=\"f\"} 2\n# EOF\n", 0, "{\"a.b\", c=\"d\"} 1 # {e=\"f\"} 2 @0\n"},
    {"# TYPE \"a.b\" counter\n# EOF\n", 0, "type a.b counter\n"},
    {"a NaN\n# EOF\n", 0, "a NaN\n"},
    /* refused */
    {"", 0, "!does not end with # EOF"},
    {"a 1\n", 0, "!2:1: the page does not end with # EOF"},
    {"a 1", 0, "!does not end with # EOF"},
    {"# TYPE a counter", 0, "!does not end with # EOF"},
    {"# EOF\n\n", 0, "!2:1: unexpected data after # EOF"},
    {"# EOFx", 0, "!unexpected data"},
    {"\n# EOF\n", 0, "!1:1: expected a metric name"},
    {"#EOF\n", 0, "!expected # HELP"},
    {"# comment\n# EOF\n", 0, "!expected # HELP"},
    {"#  TYPE a counter\n# EOF\n", 0, "!expected # HELP"},
    {"a  1\n# EOF\n", 0, "!one space"},
    {"a\t1\n# EOF\n", 0, "!one space"},
    {"a 1 \n# EOF\n", 0, "!timestamp"},
    {"a 1  2\n# EOF\n", 0, "!timestamp"},
    {"a 1 2 \n# EOF\n", 0, "!end of the line"},
    {"a {b=\"c\"} 1\n# EOF\n", 0, "!not a number"},
    {"a{ b=\"c\"} 1\n# EOF\n", 0, "!expected a label name"},
    {"a{b=\"c\" } 1\n# EOF\n", 0, "!expected , or }"},
    {"a{b=\"c\"d=\"e\"} 1\n# EOF\n", 0, "!expected , or }"},
    {"a{b=\"c\nd\"} 1\n# EOF\n", 0, "!does not end"},
    {"a 1 NaN\n# EOF\n", 0, "!timestamp"},
    {"a 1 1e300\n# EOF\n", 0, "!timestamp"},
    {"a 1 # {a=\"b\"}1\n# EOF\n", 0, "!exemplar"},
    {"a 1 # {a=\"b\"} \n# EOF\n", 0, "!exemplar"},
    {"a 1 # {a=\"b\"} 1 NaN\n# EOF\n", 0, "!exemplar"},
    {"a 1 # {\"a\"} 1\n# EOF\n", 0, "!expected ="},
    {"a 1 # {a=\"b\" 1\n# EOF\n", 0, "!expected , or }"},
    {"a 1 #{a=\"b\"} 1\n# EOF\n", 0, "!timestamp"},
    {"# UNIT a_s m\n# EOF\n", 0, "!not a suffix"},
    {"# UNIT s s\n# EOF\n", 0, "!not a suffix"},
    {"# TYPE a untyped\n# EOF\n", 0, "!metric type"},
    {"# HELP a\n# EOF\n", 0, "!one space and text"},
};

static void openmetrics_verdicts(void **state)
{
    run_cases(om_cases, COUNT_OF(om_cases), EXPO_OPENMETRICS, NULL);
}

/* ---- public data ---- */

static void read_shared(const char *name, Buf *b)
{
    Why why;
    assert_ok(vfs_read_file(vfs_os(), shared_path(name), 1 << 24, b, &why), &why);
}

/* What the OpenMetrics suite calls bad for reasons of meaning (order of series, values that a type should not have, exemplars
 * in wrong places); the parser of Prometheus takes these pages, so do we. */
static const char *const lenient[] = {
    "bad_clashing_names_",
    "bad_counter_values_",
    "bad_exemplar_complex_chars",
    "bad_exemplars_6",
    "bad_exemplars_on_unallowed_",
    "bad_grouping_or_ordering_",
    "bad_histograms_",
    "bad_info_and_stateset_values_",
    "bad_metadata_in_wrong_place_",
    "bad_missing_or_invalid_labels_for_a_type_",
    "bad_repeated_metadata_1",
    "bad_stateset_info_values_",
    "bad_unit_7",
};
/* ... but these of them are wrong in form as well. */
static const char *const not_lenient[] = {"bad_histograms_4", "bad_grouping_or_ordering_1"};

static void openmetrics_suite(void **state)
{
    skip_without_shared("openmetrics/simple_counter/metrics");
    DIR *d = opendir(shared_path("openmetrics"));
    assert_non_null(d);
    Buf page, json, out;
    buf_init(&page, 1 << 20), buf_init(&json, 1 << 20), buf_init(&out, 1 << 20);
    int seen = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        char name[512];
        buf_clear(&page), buf_clear(&json), buf_clear(&out);
        snprintf(name, sizeof name, "openmetrics/%s/metrics", e->d_name);
        read_shared(name, &page);
        snprintf(name, sizeof name, "openmetrics/%s/test.json", e->d_name);
        read_shared(name, &json);
        bool want = str_find(buf_view(&json), S("\"shouldParse\": true")) != SIZE_MAX;
        assert_true(want || str_find(buf_view(&json), S("\"shouldParse\": false")) != SIZE_MAX);
        for (size_t i = 0; i < COUNT_OF(lenient); i++)
            want |= !strncmp(e->d_name, lenient[i], strlen(lenient[i]));
        for (size_t i = 0; i < COUNT_OF(not_lenient); i++)
            want &= strcmp(e->d_name, not_lenient[i]) != 0;
        Err err;
        parse_page(buf_view(&page), EXPO_OPENMETRICS, NULL, &out, &err);
        if ((err == E_NOT_FOUND) != want)
            fail_msg("%s: %s\n%s", e->d_name, want ? "must parse" : "must be refused", buf_cstr(&out));
        seen++;
    }
    closedir(d);
    assert_true(seen >= 120);
    buf_done(&page), buf_done(&json), buf_done(&out);
}

static u32 count_lines(Str s, bool comments)
{
    u32 n = 0;
    Str line;
    while (s.len) {
        str_cut(s, '\n', &line, &s);
        n += line.len && (line.at[0] == '#') == comments;
    }
    return n;
}

static void large_pages(void **state)
{
    static const char *const names[] = {"exposition/1histogram.om.txt", "exposition/alltypes.5mfs.om.txt",
                                        "exposition/alltypes.237mfs.prom.txt",
                                        "exposition/alltypes.237mfs.nometa.prom.txt"};
    skip_without_shared("exposition/1histogram.om.txt");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        Buf page, out;
        Err e;
        buf_init(&page, 1 << 24), buf_init(&out, 1 << 24);
        read_shared(names[i], &page);
        bool om = strstr(names[i], ".om.");
        if (om && !str_ends(str_trim(buf_view(&page)), S("# EOF")))
            buf_c(&page, "# EOF\n");
        parse_page(buf_view(&page), om ? EXPO_OPENMETRICS : EXPO_TEXT, NULL, &out, &e);
        if (e != E_NOT_FOUND)
            fail_msg("%s: %s", names[i], buf_cstr(&out) + (out.len > 300 ? out.len - 300 : 0));
        assert_int_equal(count_lines(buf_view(&out), false),
                         count_lines(buf_view(&page), false) + count_lines(buf_view(&page), true) - om);
        /* What we print is read back to the same. */
        if (!om) {
            Buf again, series;
            buf_init(&again, 1 << 24), buf_init(&series, 1 << 24);
            Str rest = buf_view(&out), line;
            while (rest.len) {
                str_cut(rest, '\n', &line, &rest);
                if (!str_starts(line, S("help ")) && !str_starts(line, S("type ")) &&
                    !str_eq(line, S("comment"))) {
                    buf_str(&series, line);
                    buf_char(&series, '\n');
                }
            }
            parse_page(buf_view(&series), EXPO_TEXT, NULL, &again, &e);
            assert_int_equal(e, E_NOT_FOUND);
            assert_true(str_eq(buf_view(&again), buf_view(&series)));
            buf_done(&again), buf_done(&series);
        }
        buf_done(&page), buf_done(&out);
    }
}

/* ---- truncation ---- */

static void truncated(const char *page, ExpoFormat f, const ExpoOptions *o)
{
    Buf whole, out;
    Err e;
    buf_init(&whole, 1 << 20), buf_init(&out, 1 << 20);
    parse_page(str_c(page), f, o, &whole, &e);
    if (e != E_NOT_FOUND)
        fail_msg("%s", buf_cstr(&whole));
    for (size_t cut = 0; cut < strlen(page); cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, page, cut);
        buf_clear(&out);
        parse_page(str_of(copy, cut), f, o, &out, &e);
        if (f == EXPO_OPENMETRICS && e != E_PARSE && cut + 1 < strlen(page))
            fail_msg("cut at %zu passes", cut);
        free(copy);
    }
    buf_done(&whole), buf_done(&out);
}

static const char om_page[] = "# HELP a_s x\\ny\n# TYPE a_s histogram\n# UNIT a_s "
                              "s\na_s_bucket{b=\"c\\\"\",le=\"1.0\"} 3 1.5 # {t=\"u\"} 0.5 1.25\n"
                              "a_s_bucket{b=\"c\\\"\",le=\"+Inf\"} 4\na_s_count{b=\"c\\\"\"} "
                              "4\na_s_sum{b=\"c\\\"\"} 2.5\na_s_created{b=\"c\\\"\"} 1.5e9\n"
                              "{\"d.e\",\"f\"=\"g\"} -Inf\n# EOF\n";

static void truncation(void **state)
{
    ExpoOptions fold = {.convert_nhcb = true, .classic_too = true, .no_created_series = true};
    truncated(om_page, EXPO_OPENMETRICS, NULL);
    truncated(om_page, EXPO_OPENMETRICS, &fold);
    truncated("# HELP a x\\ny\n# TYPE a counter\na{b=\"c\\\"\"} 3 15\n\n{\"d.e\",\"f\"=\"g\"} -Inf\n",
              EXPO_TEXT, NULL);
}

/* ---- scrape caches, positions ---- */

static void caches_skip_labels(void **state)
{
    static const char page[] = "# TYPE x gauge\na{b=\"c\"} 1\na{b=\"d\"} 2\nab 3\na 4\na {b=\"e\"} 5\n";
    static const char *const texts[] = {"a{b=\"c\"}", "a{b=\"d\"}", "ab", "a", "a {b=\"e\"}"};
    Arena a;
    arena_init(&a, NULL, 0);
    for (int mode = 0; mode < 3; mode++) {
        ExpoParser *p = expo_new(str_c(page), EXPO_TEXT, NULL, &a);
        ExpoItem it;
        Why why;
        assert_ok(expo_next(p, &it, &why), &why);
        for (int i = 0; i < 5; i++) {
            /* none, the right one, a wrong one that is a prefix */
            Str expected = mode == 1 ? str_c(texts[i]) : S("a");
            if (mode)
                expo_expect(p, (u32)expected.len, expo_hash(expected, 42), 42);
            assert_ok(expo_next(p, &it, &why), &why);
            assert_str(it.series_text, texts[i]);
            assert_true(it.value == i + 1);
            assert_int_equal(it.line, i + 2);
            assert_int_equal(it.is_expected, mode == 1 || (mode == 2 && i == 3));
            if (i % 2)
                continue;
            assert_ok(expo_labels(p, &it, &why), &why);
            assert_int_equal(it.labels.len, i == 2 ? 1 : 2);
            assert_ok(expo_labels(p, &it, &why), &why); /* twice is fine */
        }
        assert_int_equal(expo_next(p, &it, &why), E_NOT_FOUND);
        assert_int_equal(expo_next(p, &it, &why), E_NOT_FOUND);
    }
    arena_done(&a);
}

static void comments_are_passed_over(void **state)
{
    Str comments = S("# HELP h x\n# TYPE h histogram\n");
    Str page = S("# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nbad{ 1\n");
    Arena a;
    arena_init(&a, NULL, 0);
    for (int same = 0; same < 2; same++) {
        ExpoParser *p = expo_new(page, EXPO_TEXT, NULL, &a);
        ExpoItem it;
        Why why;
        MetricType type = TYPE_HISTOGRAM;
        u64 hash = expo_hash(comments, 3);
        assert_false(expo_skip(p, (u32)comments.len, hash + 1, 3, 2, &type));
        assert_false(expo_skip(p, (u32)page.len + 1, hash, 3, 2, &type));
        if (same)
            assert_true(expo_skip(p, (u32)comments.len, hash, 3, 2, &type));
        for (int i = same ? 2 : 0; i < 3; i++)
            assert_ok(expo_next(p, &it, &why), &why);
        assert_int_equal(it.line, 3);
        assert_ok(expo_labels(p, &it, &why), &why);
        assert_str(labels_get(it.labels, S("le")), "1.0"); /* the type is known */
        assert_int_equal(expo_next(p, &it, &why), E_PARSE);
        assert_int_equal(why.line, 4);
        p = expo_new(S("# TYPE h gauge\n# EOF\n"), EXPO_OPENMETRICS, NULL, &a);
        assert_true(str_eq(expo_rest(p), S("# TYPE h gauge\n# EOF\n")));
    }
    arena_done(&a);
}

static void the_arena_limit_ends_a_page(void **state)
{
    Arena a;
    Buf page;
    buf_init(&page, 1 << 24);
    for (int i = 0; i < 100000; i++)
        buf_printf(&page, "a{b=\"\\\\%d\"} 1\n", i);
    arena_init(&a, NULL, 1 << 20);
    ExpoParser *p = expo_new(buf_view(&page), EXPO_TEXT, NULL, &a);
    ExpoItem it;
    Why why;
    Err e;
    while ((e = expo_next(p, &it, &why)) == OK && (e = expo_labels(p, &it, &why)) == OK)
        ;
    assert_int_equal(e, E_LIMIT);
    arena_done(&a);
    buf_done(&page);
}

/* ---- start times ---- */

static void start_times(void **state)
{
    static const char page[] = "# TYPE a counter\na_total{x=\"1\"} 5\na_created{x=\"1\"} "
                               "1520872607.123\na_total{x=\"2\"} 6\na_created{x=\"2\"} 1\n"
                               "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_count "
                               "1\nh_sum 1\nh_created 7\n"
                               "# TYPE g gauge\ng_created 3\ng 1\n"
                               "# TYPE b counter\nb_total 1\n# EOF\n";
    ExpoOptions o = {.no_created_series = true};
    Case with[] = {{page, 0,
                    "type a counter\na_total{x=\"1\"} 5 st@1520872607123\na_total{x=\"2\"} 6 st@1000\n"
                    "type h histogram\nh_bucket{le=\"1.0\"} 1 st@7000\nh_bucket{le=\"+Inf\"} 1 "
                    "st@7000\nh_count 1 st@7000\nh_sum 1 st@7000\n"
                    "type g gauge\ng_created 3\ng 1\ntype b counter\nb_total 1\n"}};
    run_cases(with, 1, EXPO_OPENMETRICS, &o);
    Case quoted[] = {
        {"# TYPE \"a.b\" counter\n{\"a.b_total\",x=\"1\"} 5\n{\"a.b_created\",x=\"1\"} 2\n# EOF\n", 0,
         "type a.b counter\n{\"a.b_total\", x=\"1\"} 5 st@2000\n"}};
    run_cases(quoted, 1, EXPO_OPENMETRICS, &o);
    Case plain[] = {{"# TYPE a counter\na_total 5\na_created 2\n# EOF\n", 0,
                     "type a counter\na_total 5 st@2000\na_created 2 st@2000\n"}};
    run_cases(plain, 1, EXPO_OPENMETRICS, NULL);
}

static void start_times_need_no_labels(void **state)
{
    Arena a;
    ExpoItem it;
    Why why;
    arena_init(&a, NULL, 0);
    ExpoParser *p = expo_new(S("# TYPE a counter\na_total{x=\"1\"} 5\na_created{x=\"1\"} 2\n# EOF\n"),
                             EXPO_OPENMETRICS, NULL, &a);
    assert_ok(expo_next(p, &it, &why), &why);
    Str expected = S("a_total{x=\"1\"}");
    expo_expect(p, (u32)expected.len, expo_hash(expected, 7), 7);
    assert_ok(expo_next(p, &it, &why), &why);
    assert_int_equal(it.start_t, 2000);
    arena_done(&a);
}

/* ---- classic histograms folded ---- */

static void folded_histograms(void **state)
{
    ExpoOptions fold = {.convert_nhcb = true}, both = {.convert_nhcb = true, .classic_too = true};
    static const char page[] = "# HELP h x\n# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} "
                               "1\nh_bucket{a=\"1\",le=\"2\"} 1\nh_bucket{a=\"1\",le=\"4\"} 3\n"
                               "h_bucket{a=\"1\",le=\"+Inf\"} 4\nh_sum{a=\"1\"} 9\nh_count{a=\"1\"} 4\n"
                               "h_bucket{a=\"2\",le=\"1\"} 0.5\nh_count{a=\"2\"} 2\nh_other 5\n# TYPE g "
                               "gauge\ng_bucket{le=\"1\"} 1\n";
    Case cases[] = {
        {page, 0,
         "help h x\ntype h histogram\nh{a=\"1\"} {count:4 sum:9 schema:-53 int:1 buckets:1,0,2,1 "
         "custom:1,2,4}\n"
         "h{a=\"2\"} {count:2 sum:0 schema:-53 int:0 buckets:0.5,1.5 custom:1}\nh_other 5\ntype g "
         "gauge\ng_bucket{le=\"1\"} 1\n"},
        {"# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 4\nh_count 4\nx 1\n", 0,
         "type h histogram\nx 1\n"},
        {"# TYPE h histogram\nh_count 3\nh_sum 2\n", 0,
         "type h histogram\nh {count:3 sum:2 schema:-53 int:1 buckets:3 custom:}\n"},
        {"# TYPE h histogram\nh_sum 2\n", 0, "type h histogram\n"},
        {"# TYPE h histogram\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\n", 0,
         "type h histogram\nh {count:3 sum:0 schema:-53 int:1 buckets:1,2 custom:1,2}\n"},
        {"# TYPE h histogram\nh_bucket{le=\"1\"} 1 5\nh_bucket{le=\"+Inf\"} 1 5\n# TYPE i "
         "histogram\ni_bucket{le=\"+Inf\"} 1\n",
         0,
         "type h histogram\nh {count:1 sum:0 schema:-53 int:1 buckets:1 custom:1}\ntype i histogram\n"
         "i {count:1 sum:0 schema:-53 int:1 buckets:1 custom:}\n"},
    };
    run_cases(cases, COUNT_OF(cases), EXPO_TEXT, &fold);
    Case kept[] = {{"# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n", 0,
                    "type h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n"
                    "h {count:1 sum:0 schema:-53 int:1 buckets:1 custom:1}\n"}};
    run_cases(kept, 1, EXPO_TEXT, &both);
    Case om[] = {{"# TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {a=\"b\"} 0.5 1\nh_bucket{le=\"+Inf\"} "
                  "1\nh_created 4\n# EOF\n",
                  0,
                  "type h histogram\nh {count:1 sum:0 schema:-53 int:1 buckets:1 custom:1} # {a=\"b\"} 0.5 "
                  "@1000 st@4000\n"}};
    ExpoOptions o = {.convert_nhcb = true, .no_created_series = true};
    run_cases(om, 1, EXPO_OPENMETRICS, &o);
}

/* ---- the fast number path agrees with the exact one ---- */

static void numbers_are_exact(void **state)
{
    Arena a;
    Buf line, out;
    arena_init(&a, NULL, 0);
    buf_init(&line, 4096), buf_init(&out, 4096);
    for (int i = 0; i < 20000; i++) {
        f64 v;
        switch (i % 4) {
        case 0:
            v = f64_from_bits(random_u64());
            break;
        case 1:
            v = (f64)(i64)(random_u64() >> (random_u64() % 60));
            break;
        case 2:
            v = (f64)(random_u64() % 1000000000) / 1000;
            break;
        default:
            v = (f64)(i32)random_u64() * 1e-6;
            break;
        }
        if (v != v || v - v != 0)
            continue;
        static const char *const forms[] = {"%.17g", "%.3f", "%.15e", "%.0f", "%g", "%.22g"};
        char text[512];
        snprintf(text, sizeof text, forms[random_u64() % COUNT_OF(forms)], v);
        f64 want = strtod(text, NULL);
        buf_clear(&line);
        buf_printf(&line, "a %s\n", text);
        arena_reset(&a);
        ExpoParser *p = expo_new(buf_view(&line), EXPO_TEXT, NULL, &a);
        ExpoItem it;
        Why why;
        assert_ok(expo_next(p, &it, &why), &why);
        if (f64_bits(it.value) != f64_bits(want))
            fail_msg("%s reads as %a, not %a", text, it.value, want);
    }
    arena_done(&a);
    buf_done(&line), buf_done(&out);
}

static void content_types(void **state)
{
    static const struct {
        const char *type;
        ExpoFormat want;
    } cases[] = {
        {"text/plain", EXPO_TEXT},
        {"text/plain; version=0.0.4; charset=utf-8", EXPO_TEXT},
        {"TEXT/Plain;version=1.0.0;escaping=allow-utf-8", EXPO_TEXT},
        {"application/openmetrics-text; version=1.0.0", EXPO_OPENMETRICS},
        {"application/openmetrics-text", EXPO_OPENMETRICS},
        {"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
         EXPO_PROTOBUF},
        {"application/vnd.google.protobuf;encoding=\"delimited\";proto=\"io.prometheus.client.MetricFamily\"",
         EXPO_PROTOBUF},
        {"application/vnd.google.protobuf; proto=other; encoding=delimited", EXPO_UNKNOWN},
        {"text/html", EXPO_UNKNOWN},
        {"", EXPO_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(expo_format(str_c(cases[i].type), EXPO_UNKNOWN), cases[i].want);
    assert_int_equal(expo_format(S("text/html"), EXPO_TEXT), EXPO_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_verdicts),
        cmocka_unit_test(openmetrics_verdicts),
        cmocka_unit_test(openmetrics_suite),
        cmocka_unit_test(large_pages),
        cmocka_unit_test(truncation),
        cmocka_unit_test(caches_skip_labels),
        cmocka_unit_test(comments_are_passed_over),
        cmocka_unit_test(the_arena_limit_ends_a_page),
        cmocka_unit_test(start_times),
        cmocka_unit_test(start_times_need_no_labels),
        cmocka_unit_test(folded_histograms),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(content_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
