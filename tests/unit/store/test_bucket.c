#include "test.h"

#include "store_conformance.h"

static Err open_dir(void *arg, Bucket **ret, Why *why)
{
    return bucket_open_dir(ret, vfs_os(), arg, why);
}

static void clear_dir(void *arg)
{
    vfs_remove_tree(vfs_os(), arg, NULL);
}

static void test_conformance(void **state)
{
    (void)state;
    char tmp[256], dir[300];
    snprintf(dir, sizeof dir, "%s/bucket", test_dir(tmp));
    bucket_conformance(&(BucketSuite){open_dir, clear_dir, dir});
    vfs_remove_tree(vfs_os(), tmp, NULL);
}

static void test_leftovers_are_removed(void **state)
{
    (void)state;
    char dir[256], path[300];
    Why why = {0};
    Bucket *b;
    test_dir(dir);
    assert_ok(bucket_open_dir(&b, vfs_os(), dir, &why), &why);
    bucket_close(b);
    snprintf(path, sizeof path, "%s/.tmp/crashed", dir);
    File *f;
    assert_ok(vfs_os()->open(vfs_os(), path, VFS_WRITE | VFS_CREATE, &f, &why), &why);
    assert_ok(vfs_os()->lock(f, &why), &why);
    VfsStat st;
    assert_ok(bucket_open_dir(&b, vfs_os(), dir, &why), &why);
    bucket_close(b);
    assert_int_equal(vfs_os()->stat(vfs_os(), path, &st, NULL), OK); /* somebody still writes it */
    vfs_os()->close(f);
    assert_ok(bucket_open_dir(&b, vfs_os(), dir, &why), &why);
    assert_int_equal(vfs_os()->stat(vfs_os(), path, &st, NULL), E_NOT_FOUND);
    bucket_close(b);
    vfs_remove_tree(vfs_os(), dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conformance),
        cmocka_unit_test(test_leftovers_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
