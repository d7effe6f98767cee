/* Matchers: both grammars, and which reading holds. */
#include "test.h"
#include "alert/alert.h"

typedef struct Row {
    const char *in, *want; /* printed back; NULL: refused */
} Row;

static void run(MatchMode mode, bool single, const Row *rows, size_t n)
{
    match_set_mode(mode);
    for (size_t i = 0; i < n; i++) {
        Arena arena;
        MatchList l;
        Why why = {0};
        Buf out;
        arena_init(&arena, NULL, 1 << 20);
        buf_init(&out, 1 << 16);
        Err e = single ? match_parse_one(str_c(rows[i].in), &arena, &l, &why)
                       : match_parse(str_c(rows[i].in), &arena, &l, NULL, &why);
        if (e == OK)
            match_print_all(&out, (Matchers){l.at, l.len});
        if ((e == OK) != (rows[i].want != NULL) || (e == OK && strcmp(buf_cstr(&out), rows[i].want) != 0))
            fail_msg("mode %d: %s\n got %s (%s)\nwant %s", mode, rows[i].in, buf_cstr(&out), why.text,
                     rows[i].want ? rows[i].want : "an error");
        match_list_done(&l);
        buf_done(&out);
        arena_done(&arena);
    }
    match_set_mode(MATCH_FALLBACK);
}

static void test_utf8(void **state)
{
    static const Row rows[] = {
        {"", "{}"},
        {"{}", "{}"},
        {"{foo=bar}", "{foo=\"bar\"}"},
        {"{foo=bar,}", "{foo=\"bar\"}"},
        {"foo=bar,", "{foo=\"bar\"}"},
        {" foo != bar ", "{foo!=\"bar\"}"},
        {"{foo=~[a-z]+}", "{foo=~\"[a-z]+\"}"},
        {"foo!~[a-z]+", "{foo!~\"[a-z]+\"}"},
        {"{foo=\xf0\x9f\x99\x82"
         "bar}",
         "{foo=\"\xf0\x9f\x99\x82"
         "bar\"}"},
        {"{\"foo\"=~\"\\\\d+\"}", "{foo=~\"\\\\d+\"}"},
        {"{\"foo\"=\"\\xf0\\x9f\\x99\\x82\"}", "{foo=\"\xf0\x9f\x99\x82\"}"},
        {"{\"foo\"=\"\\U0001f642\"}", "{foo=\"\xf0\x9f\x99\x82\"}"},
        {"{\"foo\"=\"bar\\n\"}", "{foo=\"bar\\n\"}"},
        {"{\"foo\"=\"\\\"bar\\\"\"}", "{foo=\"\\\"bar\\\"\"}"},
        {"\"a b\"=c", "{\"a b\"=\"c\"}"},
        {"{foo=bar,bar!=baz}", "{foo=\"bar\",bar!=\"baz\"}"},
        {",", NULL},
        {"{,}", NULL},
        {"{", NULL},
        {"}", NULL},
        {"foo=bar}", NULL},
        {"{foo=bar", NULL},
        {"{foo=bar}}", NULL},
        {"{foo=:\"bar\"}", NULL},
        {"{foo=\"bar\\w\"}", NULL},
        {"{\"foo\"=~\"\\d+\"}", NULL},
        {"{foo=bar\\n}", NULL},
        {"{\"foo\"=\"\\xf0\\x9f\"}", NULL},
        {"foo=\"bar", NULL},
        {"foo", NULL},
        {"foo!bar", NULL},
        {"foo==bar", NULL},
        {"foo=~[", NULL},
    };
    run(MATCH_UTF8, false, rows, COUNT_OF(rows));
}

static void test_classic(void **state)
{
    static const Row rows[] = {
        {"{foo=\"bar\", dings != \"bums\", }", "{foo=\"bar\",dings!=\"bums\"}"},
        {"foo=bar,dings!=bums", "{foo=\"bar\",dings!=\"bums\"}"},
        {"{quote=\"She said: \\\"Hi, ladies!\\\"\"}", "{quote=\"She said: \\\"Hi, ladies!\\\"\"}"},
        {"statuscode=~\"5..\"", "{statuscode=~\"5..\"}"},
        {"a=\\d", "{a=\"\\\\d\"}"},
        {"a=b\\", "{a=\"b\\\\\"}"},
        {"a==b", "{a=\"=b\"}"},
        {"a=", "{a=\"\"}"},
        {"foo=bar}", "{foo=\"bar\"}"},
        {"a=\"b\"c", NULL},
        {"a=b\"", NULL},
        {"a=\"b", NULL},
        {"a.b=c", NULL},
        {"a=b,,c=d", NULL},
        {"a", NULL},
    };
    run(MATCH_CLASSIC, false, rows, COUNT_OF(rows));
}

/* Fallback: what only one grammar reads is read; where both do and differ, the classic reading holds. */
static void test_fallback(void **state)
{
    static const Row rows[] = {
        {"a=\\d", "{a=\"\\\\d\"}"},    {"a.b=c", "{a.b=\"c\"}"},
        {"foo=bar}", "{foo=\"bar\"}"}, {"a=\"\\u0041\"", "{a=\"\\\\u0041\"}"},
        {"a=b", "{a=\"b\"}"},          {"=", NULL},
    };
    run(MATCH_FALLBACK, false, rows, COUNT_OF(rows));
    static const Row single[] = {
        {"a=b", "{a=\"b\"}"}, {"{a=b}", NULL}, {"a=b,c=d", "{a=\"b,c=d\"}"}, {"", NULL}, {"foo", NULL},
    };
    run(MATCH_FALLBACK, true, single, COUNT_OF(single));
    Arena arena;
    MatchList l;
    Str remark;
    arena_init(&arena, NULL, 1 << 20);
    assert_int_equal(match_parse(S("a=\\d"), &arena, &l, &remark, NULL), OK);
    assert_str(remark, "only the classic matcher syntax can read it; write a=\"\\\\d\"");
    match_list_done(&l);
    assert_int_equal(match_parse(S("a=\"\\u0041\""), &arena, &l, &remark, NULL), OK);
    assert_true(remark.len > 0);
    match_list_done(&l);
    assert_int_equal(match_parse(S("a=b"), &arena, &l, &remark, NULL), OK);
    assert_int_equal(remark.len, 0);
    match_list_done(&l);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_utf8), cmocka_unit_test(test_classic),
                                       cmocka_unit_test(test_fallback)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
