#include "test.h"
#include "text/cxx.h"
#include "text/text.h"

#include <math.h>

static Regex *make(const char *pattern, int flags)
{
    Regex *r = NULL;
    Why why = {0};
    if (regex_new(str_c(pattern), flags, &r, &why) != OK)
        fail_msg("%s: %s", pattern, why.text);
    return r;
}

static void test_anchored(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool want;
    } rows[] = {
        {"abc", "abc", true},
        {"abc", "abcd", false},
        {"", "", true},
        {"", "a", false},
        {"a|b|cd", "cd", true},
        {"a|b|cd", "c", false},
        {"a||b", "", true},
        {"(a|b)(c|d)", "bd", true},
        {"(a|b)(c|d)", "bda", false},
        {"(?:foo|bar)-[ab]", "bar-b", true},
        {"(?:foo|bar)-[ab]", "bar-c", false},
        {"colou?r", "color", true},
        {"colou?r", "colour", true},
        {"x(yz)?", "x", true},
        {"x(yz)?", "xyz", true},
        {"x(yz)?", "xy", false},
        {"node-\\d+", "node-12", true},
        {"a\\.b", "a.b", true},
        {"a\\.b", "axb", false},
        {".*", "", true},
        {".*", "a\nb", true},
        {".+", "", false},
        {".+", "\n", true},
        {"foo.*", "foo", true},
        {"foo.+", "foo", false},
        {".*foo", "xfoo", true},
        {".*foo.*", "afoob", true},
        {".+foo.+", "foo", false},
        {".+foo.+", "afoob", true},
        {"a.*b.*c", "abc", true},
        {"a.*b.*c", "ac", false},
        {"a.*a", "a", false},
        {"(?i)abc", "ABC", true},
        {"(?i:a)b", "Ab", true},
        {"[^a]", "b", true},
        {"[]a]", "]", true},
        {"\\Qa|b\\E", "a|b", true},
        {"a_b", "a_b", true},
        {"a\\_b", "a_b", true},
        {"\\pL+", "äö", true},
        {"é?", "", true},
        {"caf\xc3\xa9?", "caf", true},
        {"^abc$", "abc", true},
        {"[[:alpha:]]+", "ab", true},
        {"\\t", "\t", true},
        {"5..", "503", true},
        {"5..", "5033", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int plain = 0; plain <= REGEX_PLAIN; plain += REGEX_PLAIN) {
            Regex *r = make(rows[i].pattern, REGEX_ANCHORED | plain);
            if (regex_match(r, str_c(rows[i].text)) != rows[i].want)
                fail_msg("/%s/ on '%s' (plain %d)", rows[i].pattern, rows[i].text, plain);
            regex_free(r);
        }
}

static void test_unanchored(void **state)
{
    Regex *r = make("b+", 0);
    Str g[2];
    assert_true(regex_match(r, S("abbc")));
    assert_true(regex_find(r, S("abbcb"), 0, g, 2));
    assert_str(g[0], "bb");
    assert_null(g[1].at);
    assert_true(regex_find(r, S("abbcb"), 3, g, 1));
    assert_int_equal(g[0].len, 1);
    assert_false(regex_find(r, S("abbcb"), 6, g, 1));
    regex_free(r);
    r = make("a.b", 0);
    assert_false(regex_match(r, S("a\nb")));
    regex_free(r);
}

static void test_literals_and_prefix(void **state)
{
    static const struct {
        const char *pattern, *prefix;
        u32 n;
        const char *last;
    } rows[] = {
        {"y[)]z+|", "", 0, ""},   {"y[)][(]x*;|q", "", 0, ""}, /* brackets in classes are no groups */
        {"abc", "abc", 1, "abc"}, {"a|b|c", "", 3, "c"},
        {"(a|b)x", "", 2, "bx"},  {"a|a", "a", 1, "a"},
        {"foo.*", "foo", 0, ""},  {"foo*", "fo", 0, ""},
        {"foo+", "foo", 0, ""},   {"fo\\.o[0-9]", "fo.o", 0, ""},
        {"a.*|b", "", 0, ""},     {"(?i)a", "", 0, ""},
        {"", "", 1, ""},          {"foo{2}", "fo", 0, ""},
        {"up|down|", "", 3, ""},  {"a[xy]z", "", 2, "ayz"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Regex *r = make(rows[i].pattern, REGEX_ANCHORED);
        const Str *lits;
        if (regex_literals(r, &lits) != rows[i].n)
            fail_msg("/%s/ has %u literals", rows[i].pattern, regex_literals(r, &lits));
        if (rows[i].n)
            assert_str(lits[rows[i].n - 1], rows[i].last);
        assert_str(regex_prefix(r), rows[i].prefix);
        regex_free(r);
    }
    /* A Grafana variable with a thousand values: longer than any pattern RE2 gets to see. */
    Buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 9000; i++)
        buf_printf(&b, "%shost-%d\\.example:9100", i ? "|" : "", i);
    Regex *r = make(buf_cstr(&b), REGEX_ANCHORED);
    const Str *lits;
    assert_int_equal(regex_literals(r, &lits), 0);
    assert_true(regex_match(r, S("host-8999.example:9100")));
    assert_false(regex_match(r, S("host-9000.example:9100")));
    assert_false(regex_match(r, S("host-8999xexample:9100")));
    regex_free(r);
    buf_done(&b);
}

static void test_errors(void **state)
{
    static const struct {
        const char *pattern, *want;
    } rows[] = {
        {"(a", "error parsing regexp: missing closing ): `(a`"},
        {"a)(b", "error parsing regexp: unexpected ): `a)(b`"},
        {"[a", "error parsing regexp: missing closing ]: `[a`"},
        {"*a", "error parsing regexp: missing argument to repetition operator: `*`"},
        {"a**", "error parsing regexp: invalid nested repetition operator: `**`"},
        {"a\\C", "error parsing regexp: invalid escape sequence: `\\C`"},
        {"a\\", "error parsing regexp: trailing backslash at end of expression: ``"},
        {"(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
        {"a{1001}", "error parsing regexp: invalid repeat count: `{1001}`"},
        {"[b-a]", "error parsing regexp: invalid character class range: `b-a`"},
        {"\xff", "error parsing regexp: invalid UTF-8"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Regex *r = NULL;
        Why why = {0};
        assert_int_equal(regex_new(str_c(rows[i].pattern), REGEX_ANCHORED, &r, &why), E_INVALID);
        assert_null(r);
        assert_string_equal(why.text, rows[i].want);
    }
    char *big = mem_zalloc(70001);
    memset(big, '.', 70000);
    Regex *r = NULL;
    Why why = {0};
    assert_int_equal(regex_new(str_c(big), REGEX_ANCHORED, &r, &why), E_INVALID);
    assert_non_null(strstr(why.text, "over the limit"));
    mem_free(big);
}

static void test_expand(void **state)
{
    Regex *r = make("(?P<word>[a-z]+)-(\\d+)(x)?", REGEX_ANCHORED);
    assert_int_equal(regex_groups(r), 3);
    assert_int_equal(regex_group_index(r, S("word")), 1);
    assert_int_equal(regex_group_index(r, S("none")), -1);
    Str g[4];
    assert_true(regex_find(r, S("node-17"), 0, g, 4));
    assert_null(g[3].at);
    static const struct {
        const char *templ, *want;
    } rows[] = {
        {"$1", "node"},
        {"${1}x", "nodex"},
        {"$1x", ""},
        {"$word", "node"},
        {"${word}:$2", "node:17"},
        {"$$1", "$1"},
        {"$", "$"},
        {"a$", "a$"},
        {"${1", "${1"},
        {"$0", "node-17"},
        {"$3", ""},
        {"$9", ""},
        {"${01}", ""},
        {"$-", "$-"},
        {"${}", "${}"},
        {"$2$1", "17node"},
        {"${word}_$word", "node_node"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf b;
        buf_init(&b, 1000);
        regex_expand(r, str_c(rows[i].templ), g, 4, &b);
        assert_str(buf_view(&b), rows[i].want);
        buf_done(&b);
    }
    regex_free(r);
    r = make("(?<n>a)b", REGEX_ANCHORED);
    assert_int_equal(regex_group_index(r, S("n")), 1);
    regex_free(r);
}

static void test_replace_all(void **state)
{
    static const struct {
        const char *pattern, *text, *templ, *want;
    } rows[] = {
        {"a", "banana", "o", "bonono"},     {"a*", "baaac", "x", "xbxcx"},      {"", "ab", "-", "-a-b-"},
        {"", "äb", "-", "-ä-b-"},           {"(.)(.)", "abcd", "$2$1", "badc"}, {"z", "abc", "y", "abc"},
        {"^a", "aaa", "b", "baa"},          {"a$", "aaa", "b", "aab"},          {"b*", "abba", "X", "XaXaX"},
        {"\\b", "hi yo", "|", "|hi| |yo|"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Regex *r = make(rows[i].pattern, 0);
        Buf b;
        buf_init(&b, 1000);
        regex_replace_all(r, str_c(rows[i].text), str_c(rows[i].templ), &b);
        if (!str_eq(buf_view(&b), str_c(rows[i].want)))
            fail_msg("/%s/ on %s: got %s, want %s", rows[i].pattern, rows[i].text, buf_cstr(&b),
                     rows[i].want);
        buf_done(&b);
        regex_free(r);
    }
}

/* Random patterns over a small alphabet: shortcuts and RE2 agree on random texts. */
static void test_shortcuts_agree(void **state)
{
    static const char *const atoms[] = {"a", "b", "ab", "|", "(", ")", ".*", ".+", "?", "[ab]", "\\.", "."};
    u64 seed = 7;
    int compared = 0;
    for (int round = 0; round < 4000; round++) {
        char p[64] = "";
        for (int k = (int)(hash_bytes(&seed, 8, 1) % 7); k >= 0; k--, seed++)
            strcat(p, atoms[hash_bytes(&seed, 8, 2) % COUNT_OF(atoms)]);
        Regex *fast = NULL, *slow = NULL;
        Err e = regex_new(str_c(p), REGEX_ANCHORED, &fast, NULL);
        Err f = regex_new(str_c(p), REGEX_ANCHORED | REGEX_PLAIN, &slow, NULL);
        if (e != f)
            fail_msg("/%s/: %s or %s?", p, err_name(e), err_name(f));
        for (int t = 0; e == OK && t < 40; t++, seed++) {
            char text[8] = "";
            for (size_t k = 0, n = hash_bytes(&seed, 8, 3) % 6; k < n; k++)
                text[k] = "ab."[hash_bytes(&seed, 8, 4 + k) % 3];
            if (regex_match(fast, str_c(text)) != regex_match(slow, str_c(text)))
                fail_msg("/%s/ on %s", p, text);
            compared++;
        }
        regex_free(fast);
        regex_free(slow);
    }
    assert_true(compared > 10000);
}

static void test_number_shim(void **state)
{
    char buf[400];
    size_t n = cxx_to_chars_shortest(0.1, buf, sizeof buf);
    assert_str(str_of(buf, n), "1e-01");
    n = cxx_to_chars_shortest(5e-324, buf, sizeof buf);
    assert_str(str_of(buf, n), "5e-324");
    assert_int_equal(cxx_to_chars_shortest(0.1, buf, 2), 0);
    n = cxx_to_chars_prec(2.5, 'f', 0, buf, sizeof buf);
    assert_str(str_of(buf, n), "2");
    n = cxx_to_chars_prec(1234.5678, 'g', 4, buf, sizeof buf);
    assert_str(str_of(buf, n), "1235");
    assert_int_equal(cxx_to_chars_prec(1, 'x', 4, buf, sizeof buf), 0);
    f64 v = 0;
    assert_int_equal(cxx_from_chars("1.5e3x", 6, false, &v), 5);
    assert_true(v == 1500);
    assert_int_equal(cxx_from_chars("1.8p1", 5, true, &v), 5);
    assert_true(v == 3);
    assert_int_equal(cxx_from_chars("inf", 3, false, &v), 0);
    assert_int_equal(cxx_from_chars("-nan", 4, false, &v), 0);
    assert_int_equal(cxx_from_chars("", 0, false, &v), 0);
    assert_int_equal(cxx_from_chars("-1e999", 6, false, &v), 6);
    assert_true(isinf(v) && v < 0);
    assert_int_equal(cxx_from_chars("1e-999", 6, false, &v), 6);
    assert_true(v == 0);
    assert_int_equal(cxx_from_chars("0.0001e400", 10, false, &v), 10);
    assert_true(isinf(v));
    assert_int_equal(cxx_from_chars("1000e-400", 9, false, &v), 9);
    assert_true(v == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anchored),
        cmocka_unit_test(test_unanchored),
        cmocka_unit_test(test_literals_and_prefix),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_replace_all),
        cmocka_unit_test(test_shortcuts_agree),
        cmocka_unit_test(test_number_shim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
