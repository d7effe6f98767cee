#include "test.h"

#include "store/store.h"

static char root[256];
static Bucket *bucket;

static int fresh(void **state)
{
    (void)state;
    return bucket_open_dir(&bucket, vfs_os(), test_dir(root), NULL) != OK;
}

static int clean(void **state)
{
    (void)state;
    bucket_close(bucket);
    return vfs_remove_tree(vfs_os(), root, NULL) != OK;
}

static Manifest *open_it(void)
{
    Manifest *m = NULL;
    Why why = {0};
    assert_ok(manifest_open(&m, bucket, S("metrics/0"), &why), &why);
    return m;
}

static void commit(Manifest *m, const char *bytes)
{
    Why why = {0};
    assert_ok(manifest_commit(m, str_c(bytes), &why), &why);
    assert_str(manifest_bytes(m), bytes);
}

static void damage(u64 number, u64 off, const char *bytes)
{
    char path[512];
    Why why = {0};
    File *f;
    snprintf(path, sizeof path, "%s/m/metrics/0/%020llu", root, (unsigned long long)number);
    assert_ok(vfs_os()->open(vfs_os(), path, VFS_WRITE, &f, &why), &why);
    assert_ok(vfs_os()->pwrite(f, off, bytes, strlen(bytes), &why), &why);
    vfs_os()->close(f);
}

static void test_numbers_go_up(void **state)
{
    (void)state;
    Manifest *m = open_it();
    assert_int_equal(manifest_number(m), 0);
    assert_str(manifest_bytes(m), "");
    commit(m, "one");
    commit(m, "");
    commit(m, "three");
    assert_int_equal(manifest_number(m), 3);
    manifest_close(m);
    m = open_it();
    assert_int_equal(manifest_number(m), 3);
    assert_str(manifest_bytes(m), "three");
    manifest_close(m);
    Why why;
    assert_int_equal(manifest_open(&m, bucket, S(""), &why), E_INVALID);
    assert_int_equal(manifest_open(&m, bucket, S("../x"), &why), E_INVALID);
}

static void test_the_slower_of_two_is_fenced(void **state)
{
    (void)state;
    Manifest *a = open_it(), *b = open_it();
    Why why;
    commit(a, "a");
    assert_int_equal(manifest_commit(b, S("b"), &why), E_EXISTS);
    assert_int_equal(manifest_commit(b, S("b again"), &why), E_EXISTS); /* until it looks at what is there */
    manifest_close(b);
    b = open_it();
    assert_str(manifest_bytes(b), "a");
    commit(b, "b after a");
    assert_int_equal(manifest_number(b), 2);
    manifest_close(a);
    manifest_close(b);
}

static void test_damage(void **state)
{
    (void)state;
    Manifest *m = open_it();
    commit(m, "the first");
    commit(m, "the second");
    manifest_close(m);
    damage(2, 44, "!"); /* one copy: the other one serves */
    m = open_it();
    assert_int_equal(manifest_number(m), 2);
    assert_str(manifest_bytes(m), "the second");
    manifest_close(m);
    damage(2, 56 + 44, "!"); /* both: the older one, and the next number is still free */
    m = open_it();
    assert_int_equal(manifest_number(m), 1);
    assert_str(manifest_bytes(m), "the first");
    commit(m, "the third");
    assert_int_equal(manifest_number(m), 3);
    manifest_close(m);
    m = open_it();
    assert_str(manifest_bytes(m), "the third");
    manifest_close(m);
    damage(3, 0, "!");
    damage(3, 56, "!");
    damage(1, 16, "!");
    damage(1, 56 + 16, "!");
    Why why;
    assert_int_equal(manifest_open(&m, bucket, S("metrics/0"), &why), E_CORRUPT);
    assert_non_null(strstr(why.text, "m/metrics/0/"));
}

static void test_prune(void **state)
{
    (void)state;
    Manifest *m = open_it();
    Why why = {0};
    for (int i = 0; i < 10; i++)
        commit(m, "x");
    assert_ok(manifest_prune(m, 3, &why), &why);
    ObjMeta meta;
    assert_int_equal(bucket_head(bucket, S("m/metrics/0/00000000000000000007"), &meta, deadline_none(), NULL),
                     E_NOT_FOUND);
    assert_int_equal(bucket_head(bucket, S("m/metrics/0/00000000000000000008"), &meta, deadline_none(), NULL),
                     OK);
    assert_ok(manifest_prune(m, 0, &why), &why); /* never the newest */
    manifest_close(m);
    m = open_it();
    assert_int_equal(manifest_number(m), 10);
    manifest_close(m);
}

typedef struct Writer {
    Bucket *b;
    u32 id, commits;
} Writer;

static void *write_many(void *arg)
{
    Writer *w = arg;
    while (w->commits < 40) {
        Manifest *m;
        char bytes[64];
        if (manifest_open(&m, w->b, S("race"), NULL) != OK)
            return NULL;
        snprintf(bytes, sizeof bytes, "%.*s%c", (int)MIN(manifest_bytes(m).len, (size_t)60),
                 manifest_bytes(m).at, 'a' + (int)w->id);
        w->commits += manifest_commit(m, str_c(bytes), NULL) == OK;
        manifest_close(m);
    }
    return NULL;
}

static void test_racing_writers_lose_nothing(void **state)
{
    (void)state;
    enum { N = 4 };
    Writer w[N];
    pthread_t t[N];
    for (u32 i = 0; i < N; i++) {
        w[i] = (Writer){bucket, i, 0};
        assert_int_equal(thread_start(&t[i], "writer", write_many, &w[i]), OK);
    }
    for (u32 i = 0; i < N; i++)
        pthread_join(t[i], NULL);
    Manifest *m;
    Why why = {0};
    assert_ok(manifest_open(&m, bucket, S("race"), &why), &why);
    assert_int_equal(manifest_number(m), N * 40); /* dense: one number per success */
    manifest_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers_go_up, fresh, clean),
        cmocka_unit_test_setup_teardown(test_the_slower_of_two_is_fenced, fresh, clean),
        cmocka_unit_test_setup_teardown(test_damage, fresh, clean),
        cmocka_unit_test_setup_teardown(test_prune, fresh, clean),
        cmocka_unit_test_setup_teardown(test_racing_writers_lose_nothing, fresh, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
