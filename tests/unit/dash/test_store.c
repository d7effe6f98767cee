/* Dashboards are kept byte by byte, with their versions; files are read, read again, and forgotten when they are gone. */
#include "test.h"

#include "dash/store.h"

typedef struct Fixture {
    char dir[256], db[300], files[300];
    DashStore *s;
    Arena arena;
} Fixture;

static void open_store(Fixture *f, const char *files)
{
    Why why = {0};
    DashConfig c = {
        .vfs = vfs_os(), .clock = clock_real(), .db_path = str_c(f->db), .provisioning = str_c(files)};
    assert_ok(dash_store_open(&c, &f->s, &why), &why);
}

static int setup(void **state)
{
    Fixture *f = mem_new(Fixture);
    test_dir(f->dir);
    snprintf(f->db, sizeof f->db, "%s/pharos.db", f->dir);
    snprintf(f->files, sizeof f->files, "%s/files", f->dir);
    arena_init(&f->arena, NULL, 64 << 20);
    open_store(f, "");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    dash_store_close(f->s);
    arena_done(&f->arena);
    (void)vfs_remove_tree(vfs_os(), f->dir, NULL);
    mem_free(f);
    return 0;
}

static Err put(Fixture *f, const char *text, bool overwrite, DashRow *ret, Why *why)
{
    return dash_store_put(f->s, &(DashPut){.text = str_c(text), .overwrite = overwrite, .message = S("why")},
                          &f->arena, ret, why);
}

static void the_text_comes_back_as_it_was(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row, got;
    const char *text = " {\"uid\" : \"abc\",\n\t\"title\":\"\\u00e4 \\\"b\\\"\", \"tags\":[\"x\",7,\"y\"], "
                       "\"panels\":[], \"n\":1.10, \"e\":1e2}\r\n";
    assert_ok(put(f, text, false, &row, &why), &why);
    assert_str(row.uid, "abc");
    assert_int_equal(row.version, 1);
    assert_ok(dash_store_get(f->s, S("abc"), &f->arena, &got, &why), &why);
    assert_str(got.text, text);
    assert_str(got.title, "ä \"b\"");
    assert_str(got.tags, "[\"x\",\"y\"]");
    dash_store_close(f->s);
    open_store(f, ""); /* and after a restart */
    assert_ok(dash_store_get(f->s, S("abc"), &f->arena, &got, &why), &why);
    assert_str(got.text, text);
}

static void count_version(void *arg, i64 version, i64 created_ms, Str message)
{
    (void)version, (void)created_ms;
    assert_str(message, "why");
    ++*(int *)arg;
}

static void versions_are_kept_and_nothing_is_replaced_by_chance(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row;
    assert_ok(put(f, "{\"uid\":\"v\",\"title\":\"1\",\"panels\":[]}", false, &row, &why), &why);
    assert_int_equal(put(f, "{\"uid\":\"v\",\"title\":\"2\",\"panels\":[]}", false, &row, &why), E_EXISTS);
    for (int i = 0; i < 60; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"uid\":\"v\",\"title\":\"t%d\",\"panels\":[]}", i);
        assert_ok(put(f, text, true, &row, &why), &why);
        assert_int_equal(row.version, i + 2);
    }
    assert_ok(put(f, "{\"uid\":\"v\",\"title\":\"t59\",\"panels\":[]}", false, &row, &why), &why);
    assert_int_equal(row.version, 61); /* the same again is no new version */
    int n = 0;
    assert_ok(dash_store_versions(f->s, S("v"), count_version, &n, &why), &why);
    assert_int_equal(n, DASHBOARD_VERSIONS_MAX);
    assert_ok(dash_store_delete(f->s, S("v"), &why), &why);
    assert_int_equal(dash_store_get(f->s, S("v"), &f->arena, &row, &why), E_NOT_FOUND);
    assert_int_equal(dash_store_delete(f->s, S("v"), &why), E_NOT_FOUND);
}

static void what_is_no_dashboard_is_refused_with_a_reason(void **state)
{
    Fixture *f = *state;
    static const char *const bad[] = {"",
                                      "x",
                                      "{",
                                      "[]",
                                      "7",
                                      "{}",
                                      "{\"title\":\"x\"}",
                                      "{\"dashboard\":7}",
                                      "[{},{}]",
                                      "{\"panels\":{}}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Why why = {0};
        DashRow row;
        assert_int_equal(put(f, bad[i], true, &row, &why), E_INVALID);
        assert_true(why.text[0]);
    }
    static const char *const good[] = {
        "{\"rows\":[]}", "[{\"panels\":[]}]", "{\"dashboard\":{\"panels\":[],\"uid\":\"in\"}}",
        "{\"apiVersion\":\"x\",\"metadata\":{\"name\":\"k8s\"},\"spec\":{\"elements\":{}}}"};
    static const char *const uids[] = {NULL, NULL, "in", "k8s"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        Why why = {0};
        DashRow row;
        assert_ok(put(f, good[i], true, &row, &why), &why);
        if (uids[i])
            assert_str(row.uid, uids[i]);
        else
            assert_true(row.uid.len > 8);
    }
    Why why = {0};
    DashRow row; /* a uid that no address can carry is not taken */
    assert_ok(put(f, "{\"uid\":\"../x\",\"panels\":[]}", true, &row, &why), &why);
    assert_true(row.uid.at[0] == 'd');
}

static void write_file(Fixture *f, const char *name, const char *text)
{
    Why why = {0};
    char path[700];
    snprintf(path, sizeof path, "%s/%s", f->files, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_ok(vfs_mkdirs(vfs_os(), path, &why), &why);
    *slash = '/';
    assert_ok(vfs_write_file(vfs_os(), path, str_c(text), &why), &why);
}

static void count_files(void *arg, const DashRow *row)
{
    *(int *)arg += str_eq(row->source, S("file"));
}

static void files_are_provisioned(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row;
    int n = 0;
    write_file(f, "a.json", "{\"uid\":\"fa\",\"title\":\"A\",\"panels\":[]}");
    write_file(f, "team/b.json", "{\"title\":\"B\",\"panels\":[]}");
    write_file(f, "team/same.json", "{\"uid\":\"fa\",\"title\":\"C\",\"panels\":[]}");
    write_file(f, "broken.json", "{");
    write_file(f, "note.txt", "no dashboard");
    dash_store_close(f->s);
    open_store(f, f->files);
    assert_ok(dash_store_list(f->s, count_files, &n, &why), &why);
    assert_int_equal(n, 3);
    assert_ok(dash_store_get(f->s, S("fa"), &f->arena, &row, &why), &why);
    assert_str(row.source, "file");
    assert_int_equal(put(f, "{\"uid\":\"fa\",\"panels\":[]}", true, &row, &why), E_FORBIDDEN);
    char path[700];
    snprintf(path, sizeof path, "%s/team/b.json", f->files);
    assert_ok(vfs_os()->unlink(vfs_os(), path, &why), &why);
    write_file(f, "a.json", "{\"uid\":\"fa\",\"title\":\"A2\",\"panels\":[]}");
    assert_ok(dash_reload(f->s, &why), &why);
    n = 0;
    assert_ok(dash_store_list(f->s, count_files, &n, &why), &why);
    assert_int_equal(n, 2);
}

static void built_in_ones_are_there(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row;
    assert_ok(dash_store_get(f->s, S("pharos-host"), &f->arena, &row, &why), &why);
    assert_str(row.source, "builtin");
    assert_true(row.text.len > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_text_comes_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_are_kept_and_nothing_is_replaced_by_chance, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_dashboard_is_refused_with_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_provisioned, setup, teardown),
        cmocka_unit_test_setup_teardown(built_in_ones_are_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
