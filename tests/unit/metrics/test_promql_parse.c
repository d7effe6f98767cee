#include "test.h"
#include "metrics/promql/func.h"

#include <jansson.h>

#define EVERYTHING                                                                                           \
    (PROMQL_EXPERIMENTAL_FUNCTIONS | PROMQL_DURATION_EXPR | PROMQL_EXTENDED_RANGE_SELECTORS |                \
     PROMQL_BINOP_FILL)

static const char *golden_path(const char *name)
{
    static char path[1024];
    const char *root = getenv("PHAROS_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/promql/%s", root ? root : ".", name);
    return path;
}

/* Where 3.5 and the language of today (3.14) part, ours is today's: the error, or the printed form (the tree is the
 * same). info(foo, {}) is printed so that it parses again, which no version does. */
static const struct {
    const char *query, *error, *print;
} newer[] = {
    {"@", "1:1: parse error: unexpected <op:@>", NULL},
    {"@ 5", "1:1: parse error: unexpected <op:@>", NULL},
    {"foo[5m:x]", "1:8: parse error: unexpected character: 'x', expected ':'", NULL},
    {"foo * on(\"a.b\") bar", NULL, "foo * on (\"a.b\") bar"},
    {"foo * ignoring() group_left() bar", NULL, "foo * ignoring () group_left () bar"},
    {"sum by (a:b) (foo)", NULL, "sum by (\"a:b\") (foo)"},
    {"sum by (\"a:b\") (foo)", NULL, "sum by (\"a:b\") (foo)"},
    {"info(foo, {})", NULL, "info(foo, {})"},
};

static void expectation(const json_t *row, const char **ret_error, const char **ret_print)
{
    const char *query = json_string_value(json_object_get(row, "query"));
    *ret_error = json_string_value(json_object_get(row, "error"));
    *ret_print = json_string_value(json_object_get(row, "format_query"));
    for (size_t i = 0; i < COUNT_OF(newer); i++)
        if (strcmp(query, newer[i].query) == 0) {
            *ret_error = newer[i].error;
            *ret_print = newer[i].print;
        }
}

static void compare_tree(const char *query, const Node *n, const json_t *row, const char *want, int *failed)
{
    Buf text, ast;
    Json j;
    json_error_t problem;
    buf_init(&text, 1 << 20);
    buf_init(&ast, 1 << 20);
    promql_pretty(n, &text);
    if (!want || strcmp(buf_cstr(&text), want) != 0) {
        fprintf(stderr, "format of «%s»\n got «%s»\nwant «%s»\n", query, buf_cstr(&text),
                want ? want : "an error");
        ++*failed;
    }
    js_init(&j, &ast);
    promql_ast_json(n, &j);
    json_t *got = json_loads(buf_cstr(&ast), JSON_ALLOW_NUL, &problem);
    if (!got || !json_equal(got, json_object_get(row, "parse_query"))) {
        char *w =
            json_dumps(json_object_get(row, "parse_query"), JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
        fprintf(stderr, "tree of «%s»\n got %s\nwant %s\n", query, buf_cstr(&ast), w);
        free(w);
        ++*failed;
    }
    json_decref(got);
    buf_done(&text);
    buf_done(&ast);
}

static int compare_golden(const char *path, u32 features)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    int failed = 0, rows = 0;
    if (!f)
        fail_msg("no %s", path);
    while (getline(&line, &cap, f) > 0) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
        json_t *text = json_object_get(row, "query");
        Str query = str_of(json_string_value(text), json_string_length(text));
        const char *want, *print;
        Arena a;
        Why why = {0};
        Node *n = NULL;
        assert_non_null(row);
        arena_init(&a, NULL, 0);
        expectation(row, &want, &print);
        if (promql_parse(query, features, &a, &n, NULL, &why) == OK) {
            if (want) {
                fprintf(stderr, "«%s» parses, want «%s»\n", query.at, want);
                failed++;
            } else {
                compare_tree(query.at, n, row, print, &failed);
            }
            promql_done(n);
        } else if (!want || strcmp(want, why.text) != 0) {
            fprintf(stderr, "«%s»\n got «%s»\nwant «%s»\n", query.at, why.text, want ? want : "no error");
            failed++;
        }
        arena_done(&a);
        json_decref(row);
        rows++;
    }
    free(line);
    fclose(f);
    fprintf(stderr, "%s: %d rows, %d differ\n", path, rows, failed);
    assert_true(rows > 20);
    return failed;
}

static void golden_answers_of_the_peer(void **state)
{
    assert_int_equal(compare_golden(golden_path("plain.jsonl"), 0), 0);
    assert_int_equal(compare_golden(golden_path("experimental.jsonl"), PROMQL_EXPERIMENTAL_FUNCTIONS), 0);
    const char *more = getenv("PHAROS_GOLDEN_PROMQL"); /* captured by hand from another corpus */
    if (more)
        assert_int_equal(compare_golden(more, PROMQL_EXPERIMENTAL_FUNCTIONS), 0);
}

/* ---- print -> parse -> print ---- */

static void print_to(Buf *b, const Node *n)
{
    buf_clear(b);
    promql_print(n, b);
}

/* True when the query parses; then its print must be a fixpoint, and the pretty form mean the same. */
static bool round_trip(Str query)
{
    Arena a;
    Why why = {0};
    Node *n, *again, *pretty;
    Buf one, two, lines;
    arena_init(&a, NULL, 0);
    if (promql_parse(query, EVERYTHING, &a, &n, NULL, &why) != OK) {
        arena_done(&a);
        return false;
    }
    buf_init(&one, 1 << 20);
    buf_init(&two, 1 << 20);
    buf_init(&lines, 1 << 20);
    print_to(&one, n);
    if (promql_parse(buf_view(&one), EVERYTHING, &a, &again, NULL, &why) != OK)
        fail_msg("«%.*s» printed as «%s»: %s", STR_FMT(query), buf_cstr(&one), why.text);
    print_to(&two, again);
    assert_string_equal(buf_cstr(&one), buf_cstr(&two));
    promql_pretty(n, &lines);
    if (promql_parse(buf_view(&lines), EVERYTHING, &a, &pretty, NULL, &why) != OK)
        fail_msg("«%.*s» pretty as «%s»: %s", STR_FMT(query), buf_cstr(&lines), why.text);
    print_to(&two, pretty);
    assert_string_equal(buf_cstr(&one), buf_cstr(&two));
    promql_done(n);
    promql_done(again);
    promql_done(pretty);
    buf_done(&one);
    buf_done(&two);
    buf_done(&lines);
    arena_done(&a);
    return true;
}

/* "eval instant at 5m q", "eval range from 0 to 10m step 1m q", eval_fail, eval_ordered, ... */
static bool query_of_eval(Str line, Str *ret)
{
    Str word, rest = line;
    if (!str_starts(line, S("eval")))
        return false;
    str_cut(rest, ' ', &word, &rest);
    str_cut(str_trim(rest), ' ', &word, &rest);
    int skip = str_eq(word, S("instant")) ? 2 : str_eq(word, S("range")) ? 6 : -1;
    if (skip < 0)
        return false;
    for (int i = 0; i < skip; i++)
        str_cut(str_trim(rest), ' ', &word, &rest);
    *ret = str_trim(rest);
    return true;
}

static void queries_of_promqltest(void **state)
{
    static const char *const files[] = {"aggregators",
                                        "at_modifier",
                                        "collision",
                                        "duration_expression",
                                        "extended_vectors",
                                        "fill-modifier",
                                        "functions",
                                        "histograms",
                                        "info",
                                        "limit",
                                        "literals",
                                        "name_label_dropping",
                                        "native_histograms",
                                        "operators",
                                        "range_queries",
                                        "selectors",
                                        "staleness",
                                        "start_timestamps",
                                        "subquery",
                                        "trig_functions",
                                        "type_and_unit"};
    int parsed = 0, refused = 0;
    skip_without_shared("promqltest/operators.test");
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char name[64], *line = NULL;
        size_t cap = 0;
        ssize_t len;
        Str query;
        snprintf(name, sizeof name, "promqltest/%s.test", files[i]);
        FILE *f = fopen(shared_path(name), "r");
        assert_non_null(f);
        bool have = false;
        char *kept = NULL;
        /* A query may be refused only if the next line expects a failure, or the command is eval_fail. */
        while ((len = getline(&line, &cap, f)) > 0) {
            Str s = str_trim(str_of(line, (size_t)len));
            if (have) {
                if (!str_starts(s, S("expect fail")) && !str_starts(s, S("expected_fail")))
                    fail_msg("%s: «%s» does not parse", name, kept);
                refused++;
                have = false;
                free(kept);
                kept = NULL;
            }
            if (!query_of_eval(s, &query))
                continue;
            if (round_trip(query))
                parsed++;
            else if (str_starts(s, S("eval_fail")))
                refused++;
            else
                have = true, kept = strndup(query.at, query.len);
        }
        free(kept);
        free(line);
        fclose(f);
    }
    fprintf(stderr, "promqltest: %d queries parse, %d are refused as expected\n", parsed, refused);
    assert_true(parsed > 2000);
}

/* "+Inf" as the base of a power would be a sign and a power. */
static void infinite_bases_round_trip(void **state)
{
    assert_true(round_trip(S("h ^ h ^ inf ^ 0")));
    assert_true(round_trip(S("+inf ^ 0")));
    assert_true(round_trip(S("(-inf) ^ inf ^ x")));
    assert_true(round_trip(S("inf ^ sum by (a_rather_long_label_name, another_rather_long_label_name) "
                             "(rate(a_metric_with_a_long_name_total{code=\"200\"}[5m]))")));
}

static void queries_of_the_corpus_round_trip(void **state)
{
    static const char *const files[] = {"queries.txt", "queries_experimental.txt"};
    int parsed = 0;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *line = NULL;
        size_t cap = 0;
        ssize_t len;
        FILE *f = fopen(golden_path(files[i]), "r");
        assert_non_null(f);
        while ((len = getline(&line, &cap, f)) > 0)
            parsed += round_trip(str_trim(str_of(line, (size_t)len)));
        free(line);
        fclose(f);
    }
    assert_true(parsed > 250);
}

/* ---- tables ---- */

static void parses_to(const char *query, const char *print)
{
    Arena a;
    Why why = {0};
    Node *n;
    Buf b;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 16);
    if (promql_parse(str_c(query), EVERYTHING, &a, &n, NULL, &why) != OK)
        fail_msg("«%s»: %s", query, why.text);
    promql_print(n, &b);
    assert_string_equal(buf_cstr(&b), print);
    promql_done(n);
    buf_done(&b);
    arena_done(&a);
}

static void fails_with(const char *query, u32 features, const char *error)
{
    Arena a;
    Why why = {0};
    Node *n;
    u32 pos[2] = {9999, 9999};
    arena_init(&a, NULL, 0);
    assert_int_equal(promql_parse(str_c(query), features, &a, &n, pos, &why), E_PARSE);
    assert_string_equal(why.text, error);
    assert_true(pos[0] <= pos[1]);
    assert_true(pos[0] <= strlen(query));
    arena_done(&a);
}

static void experimental_syntax(void **state)
{
    parses_to("foo + fill(0) bar", "foo + fill (0) bar");
    parses_to("foo + on(a) group_left(b) fill_left(1) fill_right(-2) bar",
              "foo + on (a) group_left (b) fill_left (1) fill_right (-2) bar");
    parses_to("foo + fill_right(2m) fill_left(1) bar", "foo + fill_left (1) fill_right (120) bar");
    parses_to("fill + fill_left", "fill + fill_left");
    parses_to("rate(foo[5m] anchored)", "rate(foo[5m] anchored)");
    parses_to("rate(foo[5m] smoothed @ 5 offset 1m)", "rate(foo[5m] smoothed @ 5.000 offset 1m)");
    parses_to("foo smoothed", "foo smoothed");
    parses_to("anchored + smoothed", "anchored + smoothed");
    parses_to("foo </ 5 >/ 7", "foo </ 5 >/ 7");
    parses_to("foo[step()]", "foo[step()]");
    parses_to("foo[max_of(step(), 5m) * 2:range() / 4] offset -step()",
              "foo[max_of(step(), 5m) * 2:range() / 4] offset -step()");
    parses_to("foo offset min_of(1m, 5) + 3", "foo offset min_of(1m, 5) + 3");
    parses_to("foo[(5m)]", "foo[(5m)]");
    parses_to("foo[+(5m) + -step()]", "foo[(5m) + -step()]");
    parses_to("start() + end() + step() + range() + max_of(1, 2) + min_of(3, 4)",
              "start() + end() + step() + range() + max_of(1, 2) + min_of(3, 4)");
    parses_to("start + end + step + range + max_of + min_of", "start + end + step + range + max_of + min_of");
    fails_with("foo + fill(0) bar", 0,
               "1:1: parse error: binop fill modifiers are experimental and not enabled");
    fails_with("foo and fill(0) bar", EVERYTHING,
               "1:1: parse error: filling in missing series not allowed for set operators");
    fails_with("1 + fill(0) foo", EVERYTHING,
               "1:1: parse error: filling in missing series only allowed between instant vectors");
    fails_with("foo + fill(bar) foo", EVERYTHING, "1:12: parse error: unexpected identifier \"bar\"");
    fails_with("foo anchored", 0, "1:1: parse error: anchored modifier is experimental and not enabled");
    fails_with("foo[5m] anchored smoothed", EVERYTHING,
               "1:1: parse error: anchored and smoothed modifiers cannot be used together");
    fails_with("foo[5m:1m] smoothed", EVERYTHING,
               "1:1: parse error: smoothed modifier is not supported for subqueries");
    fails_with("foo[step()]", 0, "1:5: parse error: experimental duration expression is not enabled");
    fails_with("foo[]", EVERYTHING,
               "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, "
               "step(), or range()");
    fails_with("step()", 0, "1:1: parse error: function \"step\" is not enabled");
    fails_with("histogram_quantiles(foo, \"q\")", EVERYTHING,
               "1:1: parse error: expected at least 3 argument(s) in call to \"histogram_quantiles\", got 2");
}

static Node *parse(Arena *a, const char *query)
{
    Node *n;
    Why why = {0};
    assert_ok(promql_parse(str_c(query), EVERYTHING, a, &n, NULL, &why), &why);
    return n;
}

static void shape_of_trees(void **state)
{
    Arena a;
    arena_init(&a, NULL, 0);
    Node *n = parse(&a, "a + b * c ^ d ^ e");
    assert_int_equal(n->u.bin.op, OP_ADD);
    assert_int_equal(n->u.bin.rhs->u.bin.op, OP_MUL);
    assert_int_equal(n->u.bin.rhs->u.bin.rhs->u.bin.rhs->u.bin.op, OP_POW);
    assert_int_equal(n->depth, 5);
    promql_done(n);
    n = parse(&a, "a - b - c");
    assert_int_equal(n->u.bin.lhs->kind, NODE_BINARY);
    promql_done(n);
    n = parse(&a, "-a ^ 2 * b");
    assert_int_equal(n->u.bin.op, OP_MUL);
    assert_int_equal(n->u.bin.lhs->kind, NODE_UNARY);
    assert_int_equal(n->u.bin.lhs->u.unary.expr->u.bin.op, OP_POW);
    promql_done(n);
    n = parse(&a, "rate(foo{b=~\"x|y\", a!=\"\"}[1h30m] offset -90 @ 1.5)");
    assert_int_equal(n->type, PROM_VECTOR);
    Node *m = n->u.call.args[0];
    assert_int_equal(m->kind, NODE_MATRIX);
    assert_int_equal(m->type, PROM_MATRIX);
    assert_int_equal(m->u.matrix.range_ms, 5400000);
    assert_int_equal(m->u.matrix.sel->u.sel.offset_ms, -90000);
    assert_int_equal(m->u.matrix.sel->u.sel.at, AT_TIME);
    assert_int_equal(m->u.matrix.sel->u.sel.at_ms, 1500);
    Matchers ms = m->u.matrix.sel->u.sel.matchers;
    assert_int_equal(ms.len, 3);
    assert_str(ms.at[2].value, "foo");
    assert_true(matcher_matches(&ms.at[0], S("y")));
    promql_done(n);
    n = parse(&a, "x * on(c, a, \"b.d\") group_right(z) y");
    const VectorMatching *v = n->u.bin.matching;
    assert_int_equal(v->card, CARD_ONE_TO_MANY);
    assert_str(v->labels[0], "a");
    assert_str(v->labels[1], "b.d");
    assert_str(v->labels_written[0], "c");
    assert_str(v->include[0], "z");
    promql_done(n);
    n = parse(&a, "x and y");
    assert_int_equal(n->u.bin.matching->card, CARD_MANY_TO_MANY);
    promql_done(n);
    n = parse(&a, "1 + 2m");
    assert_int_equal(n->type, PROM_SCALAR);
    assert_null(n->u.bin.matching);
    assert_true(n->u.bin.rhs->u.number == 120);
    promql_done(n);
    n = parse(&a, "{\"a.b\", c=\"d\"}");
    assert_true(n->u.sel.name_in_braces);
    assert_int_equal(n->u.sel.name.len, 0);
    promql_done(n);
    arena_done(&a);
}

static void depth_is_bounded(void **state)
{
    static const struct {
        const char *open, *middle, *close;
    } forms[] = {{"(", "a", ")"},     {"-", "a", ""},        {"abs(", "a", ")"},
                 {"sum(", "a", ")"},  {"a + ", "a", ""},     {"a ^ ", "a", ""},
                 {"foo[", "5m", "]"}, {"foo[(", "5m", ")]"}, {"(a)[5m:] + ", "a", ""}};
    for (size_t i = 0; i < COUNT_OF(forms); i++)
        for (int deep = 0; deep < 2; deep++) {
            Arena a;
            Buf b;
            Why why = {0};
            Node *n = NULL;
            bool is_duration = i == 6 || i == 7;
            arena_init(&a, NULL, 0);
            buf_init(&b, 1 << 24);
            int levels = deep ? 100000 : 200;
            if (is_duration)
                buf_c(&b, forms[i].open);
            for (int k = 0; k < levels; k++)
                buf_c(&b, is_duration ? "(" : forms[i].open);
            buf_c(&b, forms[i].middle);
            for (int k = 0; k < levels; k++)
                buf_c(&b, is_duration ? ")" : forms[i].close);
            if (is_duration)
                buf_c(&b, forms[i].close);
            Err e = promql_parse(buf_view(&b), EVERYTHING, &a, &n, NULL, &why);
            if (deep) {
                assert_int_equal(e, E_PARSE);
                assert_non_null(strstr(why.text, "nested deeper than 500"));
            } else if (e == OK) {
                assert_true(n->depth <= PROMQL_DEPTH_MAX);
                promql_done(n);
            } else {
                assert_true(i == 8); /* a range vector is no operand */
            }
            buf_done(&b);
            arena_done(&a);
        }
}

static void a_small_arena_is_an_error(void **state)
{
    Arena a;
    Buf b;
    Why why = {0};
    Node *n;
    buf_init(&b, 1 << 22);
    buf_c(&b, "sum by (");
    for (int i = 0; i < 100000; i++)
        buf_c(&b, "a, ");
    buf_c(&b, "b) (foo)");
    arena_init(&a, NULL, 100000);
    assert_int_equal(promql_parse(buf_view(&b), 0, &a, &n, NULL, &why), E_PARSE);
    assert_non_null(strstr(why.text, "too much memory"));
    buf_done(&b);
    arena_done(&a);
}

static void selectors(void **state)
{
    Arena a;
    Why why = {0};
    Matchers m;
    arena_init(&a, NULL, 0);
    assert_ok(promql_parse_selector(S("up{a=\"b\", \"c.d\"!~\"e.*\"}"), &a, &m, &why), &why);
    assert_int_equal(m.len, 3);
    assert_str(m.at[1].name, "c.d");
    assert_str(m.at[2].value, "up");
    for (u32 i = 0; i < m.len; i++)
        matcher_done((Matcher *)&m.at[i]);
    assert_ok(promql_parse_selector(S("{}"), &a, &m, &why), &why);
    assert_int_equal(m.len, 0);
    static const char *const bad[][2] = {
        {"", "unknown position: parse error: unexpected end of input"},
        {"up[5m]", "1:3: parse error: unexpected \"[\""},
        {"sum(up)", "1:4: parse error: unexpected \"(\""},
        {"up offset 5m", "1:4: parse error: unexpected <offset>"},
        {"5", "1:1: parse error: unexpected number \"5\""},
        {"up{a=~\"(\"}", "1:4: parse error: error parsing regexp: missing closing ): `(`"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(promql_parse_selector(str_c(bad[i][0]), &a, &m, &why), E_PARSE);
        assert_string_equal(why.text, bad[i][1]);
    }
    arena_done(&a);
}

static void metrics_with_labels(void **state)
{
    Arena a;
    Why why = {0};
    Labels l;
    arena_init(&a, NULL, 0);
    assert_ok(promql_parse_metric(S("up{b=\"1\", a='2', \"c.d\"=`3`,}"), &a, &l, &why), &why);
    assert_int_equal(l.len, 4);
    assert_str(labels_get(l, LABEL_NAME), "up");
    assert_str(labels_get(l, S("c.d")), "3");
    assert_ok(promql_parse_metric(S("{\"my.metric\", x=\"\"}"), &a, &l, &why), &why);
    assert_int_equal(l.len, 1);
    assert_ok(promql_parse_metric(S("{}"), &a, &l, &why), &why);
    assert_int_equal(l.len, 0);
    static const char *const bad[][2] = {
        {"up{a=~\"b\"}", "1:5: parse error: unexpected <op:=~> in label set, expected \"=\""},
        {"up{a=b}", "1:6: parse error: unexpected identifier \"b\" in label set, expected string"},
        {"up{a=\"b\" c=\"d\"}",
         "1:10: parse error: unexpected identifier \"c\" in label set, expected \",\" or \"}\""},
        {"up{,}", "1:4: parse error: unexpected \",\" in label set, expected identifier or \"}\""},
        {"up 5", "1:4: parse error: unexpected number \"5\""},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(promql_parse_metric(str_c(bad[i][0]), &a, &l, &why), E_PARSE);
        assert_string_equal(why.text, bad[i][1]);
    }
    arena_done(&a);
}

static void table_of_functions(void **state)
{
    u32 n;
    const FuncDef *f = prom_funcs(&n);
    assert_int_equal(n, FN_COUNT);
    for (u32 i = 0; i < n; i++) {
        assert_int_equal(f[i].id, i);
        assert_ptr_equal(prom_func_find(str_c(f[i].name)), &f[i]);
        if (i > 0)
            assert_true(strcmp(f[i - 1].name, f[i].name) < 0);
    }
    assert_null(prom_func_find(S("")));
    assert_null(prom_func_find(S("rat")));
    assert_null(prom_func_find(S("rates")));
    assert_null(prom_func_find(str_of("abs\0x", 5)));
    f = prom_func_find(S("label_replace"));
    assert_int_equal(f->args_len, 5);
    assert_int_equal(f->args[4], PROM_STRING);
    assert_int_equal(prom_func_find(S("pi"))->args_len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_answers_of_the_peer),
        cmocka_unit_test(queries_of_promqltest),
        cmocka_unit_test(infinite_bases_round_trip),
        cmocka_unit_test(queries_of_the_corpus_round_trip),
        cmocka_unit_test(experimental_syntax),
        cmocka_unit_test(shape_of_trees),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_small_arena_is_an_error),
        cmocka_unit_test(selectors),
        cmocka_unit_test(metrics_with_labels),
        cmocka_unit_test(table_of_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
