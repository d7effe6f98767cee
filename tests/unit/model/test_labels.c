#include "test.h"

#include "model/model.h"

static void test_builder(void **state)
{
    Arena a;
    arena_init(&a, NULL, 0);
    LabelsBuilder b;
    lb_init(&b, &a, (Labels){0});
    char names[40][8];
    for (int i = 39; i >= 0; i--) {
        int n = snprintf(names[i], sizeof names[i], "l%02d", i);
        lb_set(&b, str_of(names[i], (size_t)n), S("v"));
    }
    lb_set(&b, S("l05"), S(""));
    lb_set(&b, S("l06"), S("w"));
    Labels l = lb_build(&b);
    assert_int_equal(l.len, 39);
    for (u32 i = 1; i < l.len; i++)
        assert_true(str_cmp(l.at[i - 1].name, l.at[i].name) < 0);
    assert_str(labels_get(l, S("l06")), "w");
    assert_false(labels_has(l, S("l05")));
    Labels copy = labels_dup(&a, l);
    assert_true(labels_eq(l, copy));
    assert_true(labels_hash(l) == labels_hash(copy));
    arena_done(&a);
}

static void test_hashes(void **state)
{
    const Label at[] = {{LABEL_NAME, S("up")}, {S("a"), S("1")}, {S("b"), S("2")}};
    const Label other[] = {{LABEL_NAME, S("down")}, {S("a"), S("1")}, {S("c"), S("3")}};
    Labels x = {at, 3}, y = {other, 3};
    const Str on[] = {STR_INIT("a")};
    assert_true(labels_hash_for(x, on, 1) == labels_hash_for(y, on, 1));
    const Str ignoring[] = {STR_INIT("b"), STR_INIT("c")};
    assert_true(labels_hash_without(x, ignoring, 2) == labels_hash_without(y, ignoring, 2));
    assert_true(labels_hash(x) != labels_hash(y));
    assert_true(labels_cmp(y, x) < 0);
    /* The name and the value do not run into each other. */
    const Label p[] = {{S("ab"), S("c")}}, q[] = {{S("a"), S("bc")}};
    assert_true(labels_hash((Labels){p, 1}) != labels_hash((Labels){q, 1}));
    /* FNV-1a of nothing is its offset basis. */
    assert_true(labels_fingerprint((Labels){0}) == 14695981039346656037ull);
}

static void test_print(void **state)
{
    Buf b;
    buf_init(&b, 1000);
    const Label at[] = {{LABEL_NAME, S("up")}, {S("a"), S("x\"y")}, {S("b.c"), S("2")}};
    labels_print(&b, (Labels){at, 3});
    assert_str(buf_view(&b), "up{a=\"x\\\"y\", \"b.c\"=\"2\"}");
    buf_clear(&b);
    labels_print(&b, (Labels){at, 1});
    assert_str(buf_view(&b), "up");
    buf_clear(&b);
    labels_print(&b, (Labels){0});
    assert_str(buf_view(&b), "{}");
    buf_clear(&b);
    const Label dotted[] = {{LABEL_NAME, S("my.metric")}, {S("a"), S("1")}};
    labels_print(&b, (Labels){dotted, 2});
    assert_str(buf_view(&b), "{\"my.metric\", a=\"1\"}");
    buf_done(&b);
}

static void test_matchers(void **state)
{
    const Label at[] = {{LABEL_NAME, S("up")}, {S("job"), S("node")}};
    Labels l = {at, 2};
    static const struct {
        MatchOp op;
        const char *name, *value;
        bool want;
    } rows[] = {
        {MATCH_EQ, "job", "node", true},   {MATCH_EQ, "job", "nod", false},
        {MATCH_NE, "job", "x", true},      {MATCH_RE, "job", "no.*", true},
        {MATCH_RE, "job", "od", false},    {MATCH_NRE, "job", "a|b", true},
        {MATCH_EQ, "absent", "", true},    {MATCH_RE, "absent", ".*", true},
        {MATCH_RE, "absent", ".+", false}, {MATCH_NRE, "job", "node|x", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Matcher m;
        Why why;
        assert_ok(matcher_init(&m, rows[i].op, str_c(rows[i].name), str_c(rows[i].value), &why), &why);
        assert_int_equal(matchers_match((Matchers){&m, 1}, l), rows[i].want);
        matcher_done(&m);
    }
    Matcher bad;
    Why why;
    assert_int_equal(matcher_init(&bad, MATCH_RE, S("a"), S("("), &why), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_builder), cmocka_unit_test(test_hashes),
                                       cmocka_unit_test(test_print), cmocka_unit_test(test_matchers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
