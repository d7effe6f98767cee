#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

static char root[256], why_text[1200];

static Err try_open(const char *path, DataDir **ret)
{
    Why why = {0};
    Err e = datadir_open(ret, vfs_os(), path, &why);
    snprintf(why_text, sizeof why_text, "%s", why.text);
    return e;
}

static void make(const char *name, const char *content)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (!content) {
        assert_int_equal(mkdir(path, 0700), 0);
        return;
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

static bool is_there(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return access(path, F_OK) == 0;
}

static int fresh(void **state)
{
    (void)state;
    test_dir(root);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    return vfs_remove_tree(vfs_os(), root, NULL) != OK;
}

static void test_creates_and_reopens(void **state)
{
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/a/b/data/", root);
    DataDir *d;
    assert_int_equal(try_open(path, &d), OK);
    path[strlen(path) - 1] = 0;
    assert_string_equal(datadir_path(d), path);
    datadir_close(d);
    assert_true(is_there("a/b/data/PHAROS"));
    make("a/b/data/metrics", NULL); /* what modules put there is ours */
    make("a/b/data/notes.txt", "mine");
    assert_int_equal(try_open(path, &d), OK);
    datadir_close(d);
    make("a/empty", NULL);
    make("a/empty/lost+found", NULL); /* a fresh file system */
    snprintf(path, sizeof path, "%s/a/empty", root);
    assert_int_equal(try_open(path, &d), OK);
    datadir_close(d);
}

static void test_one_process(void **state)
{
    (void)state;
    DataDir *a, *b;
    assert_int_equal(try_open(root, &a), OK);
    assert_int_equal(try_open(root, &b), E_BUSY);
    char pid[32];
    snprintf(pid, sizeof pid, "process %d.", (int)getpid());
    assert_non_null(strstr(why_text, pid));
    datadir_close(a);
    assert_int_equal(try_open(root, &b), OK);
    datadir_close(b);
}

static void test_prometheus_is_refused_untouched(void **state)
{
    (void)state;
    static const char *const files[] = {"wal/", "chunks_head/", "queries.active",
                                        "01BX5ZZKBKACTAV9WEVGEMMVRZ/"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", files[i]);
        bool is_dir = name[strlen(name) - 1] == '/';
        if (is_dir)
            name[strlen(name) - 1] = 0;
        make(name, is_dir ? NULL : "");
        DataDir *d;
        assert_int_equal(try_open(root, &d), E_CONFLICT);
        assert_non_null(strstr(why_text, "Prometheus"));
        assert_non_null(strstr(why_text, "pharos import --from"));
        assert_false(is_there("LOCK"));
        assert_false(is_there("PHAROS"));
        char path[512];
        snprintf(path, sizeof path, "%s/%s", root, name);
        assert_int_equal(is_dir ? rmdir(path) : unlink(path), 0);
    }
}

static void test_unknown_is_refused(void **state)
{
    (void)state;
    make("thesis.tex", "years of work");
    DataDir *d;
    assert_int_equal(try_open(root, &d), E_CONFLICT);
    assert_non_null(strstr(why_text, "thesis.tex"));
    assert_false(is_there("LOCK"));
    char path[300];
    snprintf(path, sizeof path, "%s/thesis.tex", root);
    assert_int_equal(try_open(path, &d), E_CONFLICT);
    assert_non_null(strstr(why_text, "is a file"));
    assert_int_equal(try_open("", &d), E_INVALID);
}

static void test_identity(void **state)
{
    (void)state;
    DataDir *d;
    make("PHAROS", "pharos data directory\nformat 7\nand more\n");
    assert_int_equal(try_open(root, &d), E_UNSUPPORTED);
    assert_non_null(strstr(why_text, "format 7"));
    make("PHAROS", "garbage");
    assert_int_equal(try_open(root, &d), E_CORRUPT);
    make("PHAROS", "");
    assert_int_equal(try_open(root, &d), E_CORRUPT);
    make("PHAROS", "pharos data directory\nformat 0\n");
    assert_int_equal(try_open(root, &d), OK);
    datadir_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_creates_and_reopens, fresh, clean),
        cmocka_unit_test_setup_teardown(test_one_process, fresh, clean),
        cmocka_unit_test_setup_teardown(test_prometheus_is_refused_untouched, fresh, clean),
        cmocka_unit_test_setup_teardown(test_unknown_is_refused, fresh, clean),
        cmocka_unit_test_setup_teardown(test_identity, fresh, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
