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
    const char *text = " {\"uid\" : \"abc\",\"big\":12345678901234567890,\n\t\"title\":\"\\u00e4 "
                       "\\\"b\\\"\", \"tags\":[\"x\",7,\"y\"], "
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

static void an_old_version_comes_back_as_the_newest(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row, got;
    Str message;
    const char *first = "{\"uid\":\"r\",\"title\":\"1\", \"panels\":[ ]}",
               *second = "{\"uid\":\"r\",\"title\":\"2\",\"panels\":[]}";
    assert_ok(put(f, first, false, &row, &why), &why);
    assert_ok(put(f, second, true, &row, &why), &why);
    assert_ok(dash_store_version(f->s, S("r"), 1, &f->arena, &got, &message, &why), &why);
    assert_str(got.text, first);
    assert_str(message, "why");
    assert_ok(dash_store_restore(f->s, S("r"), 1, S("back"), &f->arena, &row, &why), &why);
    assert_int_equal(row.version, 3);
    assert_ok(dash_store_get(f->s, S("r"), &f->arena, &got, &why), &why);
    assert_str(got.text, first);
    assert_ok(dash_store_version(f->s, S("r"), 3, &f->arena, &got, &message, &why), &why);
    assert_str(message, "back");
    assert_int_equal(dash_store_restore(f->s, S("r"), 9, S(""), &f->arena, &row, &why), E_NOT_FOUND);
    assert_int_equal(dash_store_version(f->s, S("nobody"), 1, &f->arena, &got, &message, &why), E_NOT_FOUND);
    assert_int_equal(dash_store_restore(f->s, S("pharos-host"), 1, S(""), &f->arena, &row, &why),
                     E_NOT_FOUND);
}

static void who_edited_an_older_version_is_told(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row;
    assert_ok(put(f, "{\"uid\":\"c\",\"title\":\"1\",\"panels\":[]}", false, &row, &why), &why);
    DashPut p = {.text = S("{\"uid\":\"c\",\"title\":\"2\",\"panels\":[]}"), .version = 1};
    assert_ok(dash_store_put(f->s, &p, &f->arena, &row, &why), &why);
    assert_int_equal(row.version, 2);
    p.text = S("{\"uid\":\"c\",\"title\":\"3\",\"panels\":[]}");
    assert_int_equal(dash_store_put(f->s, &p, &f->arena, &row, &why), E_CONFLICT);
    p.overwrite = true; /* the version is looked at all the same */
    assert_int_equal(dash_store_put(f->s, &p, &f->arena, &row, &why), E_CONFLICT);
    p.version = 2;
    p.uid = S("../c");
    assert_int_equal(dash_store_put(f->s, &p, &f->arena, &row, &why), E_INVALID);
}

static void count_folders(void *arg, const DashFolder *folder)
{
    *(int *)arg += folder->uid.len > 0;
}

static void folders_are_made_named_and_removed(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row;
    DashFolder d;
    int n = 0, before = 0;
    assert_ok(dash_folder_list(f->s, count_folders, &before, &why), &why);
    assert_ok(dash_folder_put(f->s, S("team-a"), S("Team A"), S(""), &f->arena, &d, &why), &why);
    assert_ok(dash_folder_put(f->s, S(""), S("Team A"), S(""), &f->arena, &d, &why), &why); /* the same */
    assert_str(d.uid, "team-a");
    assert_int_equal(dash_folder_put(f->s, S("team-a"), S("Other"), S(""), &f->arena, &d, &why), E_EXISTS);
    assert_int_equal(dash_folder_put(f->s, S("other"), S("Team A"), S(""), &f->arena, &d, &why), E_EXISTS);
    assert_int_equal(dash_folder_put(f->s, S("a/b"), S("C"), S(""), &f->arena, &d, &why), E_INVALID);
    assert_int_equal(dash_folder_put(f->s, S(""), S("  "), S(""), &f->arena, &d, &why), E_INVALID);
    DashPut p = {.text = S("{\"uid\":\"in\",\"panels\":[]}"), .folder = S("Team A")};
    assert_ok(dash_store_put(f->s, &p, &f->arena, &row, &why), &why);
    p = (DashPut){.text = S("{\"uid\":\"ä\",\"panels\":[]}"), .folder = S("Ü b")};
    assert_ok(dash_store_put(f->s, &p, &f->arena, &row, &why), &why);
    assert_ok(dash_folder_list(f->s, count_folders, &n, &why), &why);
    assert_int_equal(n, before + 2);
    assert_true(dash_folder_uid(f->s, S("Ü b"), &f->arena).len > 8);
    assert_int_equal(dash_folder_uid(f->s, S(""), &f->arena).len, 0);
    assert_int_equal(dash_folder_delete(f->s, S("team-a"), false, &f->arena, &why), E_CONFLICT);
    assert_ok(dash_folder_delete(f->s, S("team-a"), true, &f->arena, &why), &why);
    assert_int_equal(dash_store_get(f->s, S("in"), &f->arena, &row, &why), E_NOT_FOUND);
    assert_int_equal(dash_folder_delete(f->s, S("team-a"), true, &f->arena, &why), E_NOT_FOUND);
    Str built_in = dash_folder_uid(f->s, S("Built in"), &f->arena);
    assert_int_equal(dash_folder_delete(f->s, built_in, true, &f->arena, &why), E_FORBIDDEN);
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

static void provisioning_files_say_where_dashboards_lie(void **state)
{
    Fixture *f = *state;
    Why why = {0};
    DashRow row;
    DashFolder folder;
    write_file(f, "provisioning/dashboards/all.yml",
               "apiVersion: 1\nproviders:\n  - name: team\n    orgId: 1\n    folder: Team\n    folderUid: "
               "team-1\n    type: file\n"
               "    disableDeletion: true\n    updateIntervalSeconds: 10\n    allowUiUpdates: true\n"
               "    options: {path: /var/lib/grafana/dashboards}\n"
               "  - name: tree\n    options: {path: tree, foldersFromFilesStructure: true}\n"
               "  - name: gone\n    options: {path: /no/such/folder}\n  - name: wrong\n    typ: file\n    "
               "options: {path: tree}\n");
    write_file(f, "provisioning/dashboards/broken.yml", "providers: [");
    write_file(f, "provisioning/datasources/ds.yml",
               "apiVersion: 1\ndatasources:\n  - name: Mimir\n    type: prometheus\n    uid: mimir-uid\n    "
               "access: proxy\n"
               "    url: http://mimir:9009/prometheus\n    isDefault: true\n    jsonData: {timeInterval: "
               "15s}\n  - {name: Logs, type: loki}\n");
    write_file(f, "dashboards/deep/a.json", "{\"uid\":\"pa\",\"title\":\"A\",\"panels\":[]}");
    write_file(f, "tree/x/y/b.json", "{\"uid\":\"pb\",\"title\":\"B\",\"panels\":[]}");
    write_file(f, "elsewhere.json", "{\"uid\":\"pc\",\"title\":\"C\",\"panels\":[]}");
    dash_store_close(f->s);
    open_store(f, f->files);
    assert_ok(dash_store_get(f->s, S("pa"), &f->arena, &row, &why), &why);
    assert_str(row.folder, "Team");
    assert_ok(dash_folder_find(f->s, S("team-1"), &f->arena, &folder, &why), &why);
    assert_str(folder.title, "Team");
    assert_ok(dash_store_get(f->s, S("pb"), &f->arena, &row, &why), &why);
    assert_str(row.folder, "x/y");
    assert_int_equal(dash_store_get(f->s, S("pc"), &f->arena, &row, &why), E_NOT_FOUND);
    assert_non_null(strstr(f->s->sources, "\"uid\":\"mimir-uid\""));
    assert_non_null(strstr(f->s->sources, "\"uid\":\"Logs\""));
    assert_ok(dash_reload(f->s, &why), &why);
    assert_ok(dash_store_get(f->s, S("pa"), &f->arena, &row, &why), &why);
    assert_int_equal(row.version, 1);
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
        cmocka_unit_test_setup_teardown(an_old_version_comes_back_as_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(who_edited_an_older_version_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_are_made_named_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_dashboard_is_refused_with_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_provisioned, setup, teardown),
        cmocka_unit_test_setup_teardown(provisioning_files_say_where_dashboards_lie, setup, teardown),
        cmocka_unit_test_setup_teardown(built_in_ones_are_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
