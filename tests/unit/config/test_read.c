/* The YAML reader: positions, errors and their sentences, typing, merge keys, aliases, environment, printing back. */
#include "test.h"
#include "config/config.h"

static Str env_of_test(void *arg, Str name, bool *ret_set)
{
    *ret_set = str_eq(name, S("HOST")) || str_eq(name, S("EMPTY")) || str_eq(name, S("N"));
    return str_eq(name, S("HOST")) ? S("db.example") : str_eq(name, S("N")) ? S("7") : S("");
}

static Conf *conf_of(const char *yaml)
{
    Conf *c = conf_new("dir/p.yml");
    conf_set_env(c, env_of_test, NULL);
    conf_parse(c, str_c(yaml));
    return c;
}

static void assert_issues(Conf *c, const char *want)
{
    Buf out;
    buf_init(&out, 1u << 20);
    conf_print_issues(c, &out);
    assert_str(buf_view(&out), want);
    buf_done(&out);
}

static void test_values(void **state)
{
    Conf *c =
        conf_of("name: prometheus\nlabels: {b: '2', a: x}\nevery: 1m30s\nsize: 10MB\nhot: yes\ncount: 0x10\n"
                "ratio: 2.5\nlist: [a, b]\nquoted: '123'\nplain: 123\nmode: slow\nblank:\n");
    ConfMap m;
    assert_true(conf_map_begin(c, conf_root(c), &m));
    assert_str(conf_need_str(&m, "name"), "prometheus");
    Labels l = conf_labels(&m, "labels");
    assert_int_equal(l.len, 2);
    assert_str(l.at[0].name, "a");
    assert_str(l.at[1].value, "2");
    assert_int_equal(conf_duration(&m, "every", 0), 90000);
    assert_int_equal(conf_bytes(&m, "size", 0), 10 << 20);
    assert_true(conf_bool(&m, "hot", false));
    assert_int_equal(conf_i64(&m, "count", 0, 0, 100), 16);
    assert_true(conf_f64(&m, "ratio", 0) == 2.5);
    const Str *list;
    assert_int_equal(conf_strs(&m, "list", &list), 2);
    assert_str(list[1], "b");
    assert_str(conf_str(&m, "quoted", S("")), "123");
    assert_str(conf_str(&m, "plain", S("")), "123");
    static const char *const modes[] = {"fast", "slow"};
    assert_int_equal(conf_enum(&m, "mode", modes, 2, 0), 1);
    assert_str(conf_str(&m, "blank", S("default")), "");
    assert_str(conf_str(&m, "absent", S("default")), "default");
    assert_int_equal(conf_duration(&m, "absent2", 5), 5);
    conf_map_end(&m);
    Why why;
    assert_ok(conf_finish(c, &why), &why);
    conf_free(c);
}

static void test_errors_have_positions(void **state)
{
    Conf *c = conf_of("jobs:\n  - job_nam: x\n    every: 15\n    hot: \"yes\"\n    every: 10s\n    size: "
                      "100\n    count: 900\n"
                      "    mode: fats\n    list: {a: b}\n    zzz: 1\n");
    ConfMap m, j;
    const ConfNode *items;
    conf_map_begin(c, conf_root(c), &m);
    assert_int_equal(conf_list(&m, "jobs", &items), 1);
    conf_map_begin(c, &items[0], &j);
    conf_need_str(&j, "job_name");
    conf_duration(&j, "every", 0);
    conf_bool(&j, "hot", false);
    conf_bytes(&j, "size", 0);
    conf_i64(&j, "count", 0, 0, 100);
    static const char *const modes[] = {"fast", "slow"};
    conf_enum(&j, "mode", modes, 2, 0);
    const Str *list;
    conf_strs(&j, "list", &list);
    conf_map_end(&j);
    conf_map_end(&m);
    assert_issues(
        c,
        "dir/p.yml:5:5: duplicate key \"every\": it is already set in line 3\n"
        "dir/p.yml:2:5: jobs[0]: the field job_name is missing\n"
        "dir/p.yml:3:12: jobs[0].every: \"15\" is not a duration: write whole numbers with units, such as "
        "30s, 5m or 1h30m\n"
        "dir/p.yml:4:10: jobs[0].hot: must be true or false (without quotes), but it is \"yes\"\n"
        "dir/p.yml:6:11: jobs[0].size: \"100\" is not a size: write a number with a unit, such as 512KB, "
        "10MB or 1GB\n"
        "dir/p.yml:7:12: jobs[0].count: must be between 0 and 100, but it is 900\n"
        "dir/p.yml:8:11: jobs[0].mode: \"fats\" is not one of fast, slow; did you mean fast?\n"
        "dir/p.yml:9:11: jobs[0].list: must be a list (lines starting with -, or [a, b]), but it is a map\n"
        "dir/p.yml:2:5: jobs[0].job_nam: unknown field, did you mean job_name?\n"
        "dir/p.yml:10:5: jobs[0].zzz: unknown field; remove it, or look for its right place\n");
    Why why;
    assert_int_equal(conf_finish(c, &why), E_INVALID);
    assert_int_equal(why.line, 5);
    assert_non_null(strstr(why.text, "already set in line 3\ndir/p.yml:2:5: jobs[0]: the field"));
    conf_free(c);
}

static void test_syntax_errors(void **state)
{
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        {"a: b: c\n", "dir/p.yml:1:5: YAML syntax: mapping values are not allowed in this context\n"},
        {"a:\n\t- b\n",
         "dir/p.yml:2:1: YAML syntax: found character that cannot start any token while scanning for the "
         "next token; indent with spaces, not tabs, and quote values that start with @ or `\n"},
        {"a: [1, 2\nb: 3\n", NULL},
        {"a: *nowhere\n",
         "dir/p.yml:1:4: unknown anchor \"nowhere\": define &nowhere above, outside itself\n"},
        {"a: &x [*x]\n", "dir/p.yml:1:8: unknown anchor \"x\": define &x above, outside itself\n"},
        {"[a]: b\n", "dir/p.yml:1:1: a key must be a plain name, not a list or a map\n"},
        {"a: \xff\n", NULL},
        {"a: !!binary '*'\n", "dir/p.yml:1:4: !!binary needs base64 text\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Conf *c = conf_of(cases[i].yaml);
        u32 n;
        conf_issues(c, &n);
        assert_int_equal(n, 1);
        if (cases[i].want)
            assert_issues(c, cases[i].want);
        assert_int_equal(conf_finish(c, NULL), E_INVALID);
        conf_free(c);
    }
}

static void test_depth_and_alias_limits(void **state)
{
    Buf b;
    buf_init(&b, 1u << 20);
    for (int i = 0; i < 5000; i++)
        buf_char(&b, '[');
    Conf *c = conf_new("deep.yml");
    assert_false(conf_parse(c, buf_view(&b)));
    assert_int_equal(conf_error_count(c), 1);
    conf_free(c);
    /* A billion laughs: each level holds the one before nine times. */
    buf_clear(&b);
    buf_c(&b, "a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (char k = 'b'; k <= 'j'; k++)
        buf_printf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", k, k, k - 1, k - 1, k - 1, k - 1,
                   k - 1, k - 1, k - 1, k - 1, k - 1);
    c = conf_new("laughs.yml");
    assert_false(conf_parse(c, buf_view(&b)));
    Why why;
    assert_int_equal(conf_finish(c, &why), E_INVALID);
    assert_non_null(strstr(why.text, "aliases expand"));
    conf_free(c);
    buf_done(&b);
}

static void test_merge_keys(void **state)
{
    Conf *c =
        conf_of("base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nuse:\n  <<: [*base, *more]\n  b: 9\n");
    ConfMap m, u;
    conf_map_begin(c, conf_root(c), &m);
    conf_ignore(&m, "base");
    conf_ignore(&m, "more");
    conf_map_begin(c, conf_get(&m, "use"), &u);
    assert_int_equal(conf_i64(&u, "a", 0, 0, 10), 1);
    assert_int_equal(conf_i64(&u, "b", 0, 0, 10), 9);
    assert_int_equal(conf_i64(&u, "c", 0, 0, 10), 4);
    conf_map_end(&u);
    conf_map_end(&m);
    assert_int_equal(conf_error_count(c), 0);
    /* An alias knows the place it is used at. */
    Buf path;
    buf_init(&path, 100);
    conf_path(&conf_root(c)->items[2].items[1], &path);
    assert_str(buf_view(&path), "use.a");
    buf_done(&path);
    conf_free(c);
}

static void test_environment(void **state)
{
    Conf *c = conf_of(
        "url: http://${HOST}:${PORT:-80}/$${HOST}\nn: ${N}\nqn: \"${N}\"\nnone: a${GONE}b\nempty: ${EMPTY}\n"
        "odd: ${1} ${ $X ${a\nraw: ${HOST}\n");
    ConfMap m;
    conf_map_begin(c, conf_root(c), &m);
    assert_str(conf_str(&m, "url", S("")), "http://db.example:80/${HOST}");
    assert_int_equal(conf_i64(&m, "n", 0, 0, 10), 7);
    assert_int_equal(conf_i64(&m, "qn", 0, 0, 10), 7);
    assert_str(conf_str(&m, "none", S("")), "ab");
    assert_str(conf_str(&m, "empty", S("x")), "");
    assert_str(conf_str(&m, "odd", S("")), "${1} ${ $X ${a");
    m.expand = false;
    assert_str(conf_str(&m, "raw", S("")), "${HOST}");
    conf_map_end(&m);
    assert_issues(
        c,
        "dir/p.yml:4:7: none: the environment variable GONE is not set and expands to nothing (warning)\n");
    assert_int_equal(conf_finish(c, NULL), OK);
    conf_free(c);
}

static void test_documents(void **state)
{
    Conf *c = conf_of("");
    assert_int_equal(conf_root(c)->kind, CONF_NULL);
    ConfMap m;
    assert_true(conf_map_begin(c, conf_root(c), &m));
    conf_map_end(&m);
    assert_int_equal(conf_finish(c, NULL), OK);
    conf_free(c);
    c = conf_of("a: 1\n---\nb: 2\n");
    assert_issues(c, "dir/p.yml: only the first YAML document of the file is read; the rest, after ---, is "
                     "ignored (warning)\n");
    conf_free(c);
    c = conf_new("x.yml");
    assert_int_equal(conf_parse_docs(c, S("a: 1\n---\nb: 2\n---\n- c\n")), 3);
    assert_int_equal(conf_doc(c, 2)->kind, CONF_LIST);
    conf_free(c);
    c = conf_new("x.json");
    assert_true(conf_parse(c, S("[{\"targets\": [\"a:1\"], \"labels\": {\"x\": \"y\\u00e9\"}}]")));
    assert_int_equal(conf_error_count(c), 0);
    conf_free(c);
}

static void test_bytes(void **state)
{
    static const struct {
        const char *s;
        i64 want; /* -1: refused */
    } cases[] = {{"0", 0},          {"1B", 1},          {"1KB", 1024},
                 {"1KiB", 1024},    {"1.5MB", 1572864}, {"1GB512MB", 1610612736},
                 {"100", -1},       {"-1GB", -1},       {"", -1},
                 {"MB", -1},        {"1XB", -1},        {"1.2.3MB", -1},
                 {"9999999EB", -1}, {"1M", -1}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        u64 v = 0;
        bool ok = conf_parse_bytes(str_c(cases[i].s), &v);
        assert_int_equal(ok ? (i64)v : -1, cases[i].want);
    }
}

static void test_numbers(void **state)
{
    static const struct {
        const char *s;
        i64 want; /* -99: refused */
    } cases[] = {{"1_000", 1000}, {"-5", -5},   {"+5", 5},     {"0b101", 5},
                 {"0o17", 15},    {"017", 15},  {"1e3", 1000}, {"10.0", 10},
                 {"0.5", 0},      {"abc", -99}, {"'5'", -99},  {"99999999999999999999", -99},
                 {"0x", -99},     {"--5", -99}, {".5", 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char yaml[64];
        snprintf(yaml, sizeof yaml, "n: %s\n", cases[i].s);
        Conf *c = conf_of(yaml);
        ConfMap m;
        conf_map_begin(c, conf_root(c), &m);
        i64 v = conf_i64(&m, "n", -99, INT64_MIN, INT64_MAX);
        if (v != cases[i].want)
            fail_msg("%s gave %lld", cases[i].s, (long long)v);
        assert_int_equal(conf_error_count(c), cases[i].want == -99);
        conf_free(c);
    }
}

static void test_print_hides_secrets(void **state)
{
    Conf *c = conf_of(
        "# a comment\nremote_write:\n- url: https://me:hunter2@cloud/api   # there\n  basic_auth: {username: "
        "me, "
        "password: hunter2}\n  odd: ['yes', yes, 'a: b', \"l1\\nl2\"]\n  marked: hunter2\nempty: []\nnone:\n"
        "text: \"#x\"\nm:\n  k:\n  - a: 1\n    b: 2\n  - [x, y]\n");
    ConfMap m;
    const ConfNode *rw;
    conf_map_begin(c, conf_root(c), &m);
    conf_list(&m, "remote_write", &rw);
    ConfMap r;
    conf_map_begin(c, &rw[0], &r);
    conf_secret(&r, "marked");
    Buf out;
    buf_init(&out, 1u << 16);
    conf_print_yaml(c, &out);
    assert_str(buf_view(&out), "remote_write:\n- url: https://me:<secret>@cloud/api\n  basic_auth:\n    "
                               "username: me\n    password: <secret>\n"
                               "  odd:\n  - \"yes\"\n  - yes\n  - \"a: b\"\n  - \"l1\\nl2\"\n  marked: "
                               "<secret>\nempty: []\nnone: null\n"
                               "text: \"#x\"\nm:\n  k:\n  - a: 1\n    b: 2\n  - - x\n    - y\n");
    /* What is printed reads back as the same tree. */
    Conf *again = conf_new("again.yml");
    assert_true(conf_parse(again, buf_view(&out)));
    Buf twice;
    buf_init(&twice, 1u << 16);
    conf_print_yaml(again, &twice);
    assert_true(str_eq(buf_view(&out), buf_view(&twice)));
    buf_done(&out);
    buf_done(&twice);
    conf_free(again);
    conf_free(c);
}

static void test_paths(void **state)
{
    Conf *c = conf_new("/etc/pharos/p.yml");
    assert_str(conf_file_path(c, S("rules/*.yml")), "/etc/pharos/rules/*.yml");
    assert_str(conf_file_path(c, S("./a")), "/etc/pharos/a");
    assert_str(conf_file_path(c, S("/abs")), "/abs");
    conf_free(c);
    c = conf_new("p.yml");
    assert_str(conf_file_path(c, S("a")), "a");
    conf_free(c);
    c = conf_new("/p.yml");
    assert_str(conf_file_path(c, S("a")), "/a");
    conf_free(c);
}

static void test_dotenv(void **state)
{
    char dir[256], path[300];
    Why why;
    test_dir(dir);
    snprintf(path, sizeof path, "%s/.env", dir);
    Str text = S("# comment\nexport PH_A=one # tail\nPH_B='sin $gle # kept'\nPH_C=\"d\\n\\\"q\\\"\"  # "
                 "tail\nPH_D=\n PH_E = a#b\n"
                 "PH_A=two\r\nPATH=/nowhere\n");
    assert_ok(vfs_write_file(vfs_os(), path, text, &why), &why);
    assert_ok(dotenv_load(vfs_os(), path, &why), &why);
    assert_str(dotenv_get("PH_A"), "two");
    assert_str(dotenv_get("PH_B"), "sin $gle # kept");
    assert_str(dotenv_get("PH_C"), "d\n\"q\"");
    assert_str(dotenv_get("PH_D"), "");
    assert_str(dotenv_get("PH_E"), "a#b");
    assert_false(str_eq(dotenv_get("PATH"), S("/nowhere")));
    static const char *const bad[] = {"PH_X\n", "1A=b\n", "PH_S=\"hunter2\n", "PH_S='a' b\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_ok(vfs_write_file(vfs_os(), path, str_c(bad[i]), &why), &why);
        assert_int_equal(dotenv_load(vfs_os(), path, &why), E_PARSE);
        assert_int_equal(why.line, 1);
        assert_null(strstr(why.text, "hunter2"));
    }
    vfs_remove_tree(vfs_os(), dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_errors_have_positions),
        cmocka_unit_test(test_syntax_errors), cmocka_unit_test(test_depth_and_alias_limits),
        cmocka_unit_test(test_merge_keys),    cmocka_unit_test(test_environment),
        cmocka_unit_test(test_documents),     cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_print_hides_secrets),
        cmocka_unit_test(test_paths),         cmocka_unit_test(test_dotenv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
