#include "test.h"

#include "store/store.h"

static char dir[300];

static int fresh(void **state)
{
    (void)state;
    char tmp[256];
    snprintf(dir, sizeof dir, "%s/spool", test_dir(tmp));
    return 0;
}

static int clean(void **state)
{
    (void)state;
    *strrchr(dir, '/') = 0;
    return vfs_remove_tree(vfs_os(), dir, NULL) != OK;
}

static Spool *open_it(u64 bytes_max, u64 segment_bytes)
{
    Spool *s = NULL;
    Why why = {0};
    assert_ok(spool_open(&s, &(SpoolConfig){vfs_os(), dir, bytes_max, segment_bytes}, &why), &why);
    return s;
}

static u64 put(Spool *s, const char *bytes)
{
    u64 seq = 0;
    Why why = {0};
    assert_ok(spool_append(s, str_c(bytes), false, &seq, &why), &why);
    return seq;
}

/* The body of record `seq` of the tests below. */
static const char *body_of(u64 seq)
{
    static _Thread_local char body[512];
    size_t len = (size_t)(seq * 37 % 400);
    memset(body, 'a' + (char)(seq % 26), len);
    snprintf(body + len, sizeof body - len, "#%llu", (unsigned long long)seq);
    return body;
}

static void assert_record(Spool *s, u64 seq, u64 want_seq)
{
    Buf out;
    buf_init(&out, 1 << 16);
    u64 got = 0;
    Why why = {0};
    assert_ok(spool_read(s, seq, &out, &got, &why), &why);
    assert_int_equal(got, want_seq);
    assert_str(buf_view(&out), body_of(want_seq));
    buf_done(&out);
}

static void assert_tail(Spool *s, u64 seq)
{
    Buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(spool_read(s, seq, &out, NULL, NULL), E_NOT_FOUND);
    assert_int_equal(out.len, 0);
    buf_done(&out);
}

static void test_first_in_first_out(void **state)
{
    (void)state;
    Spool *s = open_it(1 << 20, 4096);
    assert_int_equal(spool_tail(s), 1);
    assert_tail(s, 0);
    for (u64 seq = 1; seq <= 200; seq++)
        assert_int_equal(put(s, body_of(seq)), seq);
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(spool_tail(s), 201);
        assert_int_equal(spool_oldest(s), 1);
        for (u64 seq = 1; seq <= 200; seq++) /* in order */
            assert_record(s, seq, seq);
        for (u64 n = 0; n < 200; n++) /* and across */
            assert_record(s, 1 + n * 71 % 200, 1 + n * 71 % 200);
        assert_record(s, 0, 1);
        assert_tail(s, 201);
        assert_tail(s, 100000);
        spool_close(s);
        s = open_it(1 << 20, 4096);
    }
    Buf small;
    buf_init(&small, 10);
    Why why;
    assert_int_equal(spool_read(s, 30, &small, NULL, &why), E_TOO_LARGE);
    buf_done(&small);
    spool_close(s);
}

static void test_the_oldest_go_at_the_limit(void **state)
{
    (void)state;
    Spool *s = open_it(32 << 10, 4096);
    Why why = {0};
    assert_ok(spool_cursor_save(s, S("cloud"), 21, &why), &why);
    for (u64 seq = 1; seq <= 1000; seq++) {
        put(s, body_of(seq));
        assert_true(spool_bytes(s) <= 32 << 10);
    }
    u64 oldest = spool_oldest(s);
    assert_true(oldest > 800);
    assert_int_equal(spool_dropped(s), oldest - 21); /* the first twenty had been sent */
    assert_record(s, 5, oldest);
    spool_close(s);
    s = open_it(32 << 10, 4096);
    assert_int_equal(spool_oldest(s), oldest);
    for (u64 seq = oldest; seq <= 1000; seq++)
        assert_record(s, seq, seq);
    char *big = mem_zalloc(40 << 10);
    assert_int_equal(spool_append(s, str_of(big, 40 << 10), false, NULL, &why), E_TOO_LARGE);
    mem_free(big);
    spool_close(s);
}

static void test_trim(void **state)
{
    (void)state;
    Spool *s = open_it(1 << 20, 4096);
    Why why = {0};
    for (u64 seq = 1; seq <= 200; seq++)
        put(s, body_of(seq));
    u64 before = spool_bytes(s);
    assert_ok(spool_trim(s, 120, &why), &why);
    assert_true(spool_bytes(s) < before);
    assert_int_equal(spool_oldest(s), 120);
    assert_record(s, 120, 120);
    assert_ok(spool_trim(s, 100000, &why), &why); /* past the tail: no more than all */
    assert_int_equal(spool_tail(s), 201);
    assert_int_equal(spool_dropped(s), 0);
    assert_int_equal(put(s, body_of(201)), 201);
    spool_close(s);
    s = open_it(1 << 20, 4096);
    assert_record(s, 201, 201);
    spool_close(s);
}

static void test_cursors(void **state)
{
    (void)state;
    Spool *s = open_it(1 << 20, 0);
    Why why = {0};
    assert_int_equal(spool_cursor_load(s, S("a")), 0);
    assert_ok(spool_cursor_save(s, S("a"), 7, &why), &why);
    assert_ok(spool_cursor_save(s, S("b:9090-x_y.z"), 1, &why), &why);
    assert_ok(spool_cursor_save(s, S("a"), 1, &why), &why);
    assert_int_equal(spool_cursor_save(s, S("a b"), 7, &why), E_INVALID);
    assert_int_equal(spool_cursor_save(s, S(""), 7, &why), E_INVALID);
    spool_close(s);
    s = open_it(1 << 20, 0);
    assert_int_equal(spool_cursor_load(s, S("a")), 1);
    assert_int_equal(spool_cursor_load(s, S("b:9090-x_y.z")), 1);
    /* A cursor past the tail (a power cut took what it had read): numbers go on above it. */
    assert_ok(spool_cursor_save(s, S("a"), 50, &why), &why);
    spool_close(s);
    s = open_it(1 << 20, 0);
    assert_int_equal(put(s, body_of(50)), 50);
    assert_record(s, 1, 50);
    spool_close(s);
    /* Damaged: said, and begun anew. */
    char path[400];
    snprintf(path, sizeof path, "%s/cursors", dir);
    File *f;
    assert_ok(vfs_os()->open(vfs_os(), path, VFS_WRITE, &f, &why), &why);
    assert_ok(vfs_os()->pwrite(f, 0, "9", 1, &why), &why);
    vfs_os()->close(f);
    s = open_it(1 << 20, 0);
    assert_int_equal(spool_cursor_load(s, S("a")), 0);
    assert_record(s, 1, 50);
    spool_close(s);
}

static void flip(u64 first, u64 off)
{
    char path[400];
    u8 b;
    Why why = {0};
    File *f;
    snprintf(path, sizeof path, "%s/%020llu.spl", dir, (unsigned long long)first);
    assert_ok(vfs_os()->open(vfs_os(), path, VFS_WRITE, &f, &why), &why);
    assert_ok(vfs_read_exact(f, off, &b, 1, &why), &why);
    b ^= 0x40;
    assert_ok(vfs_os()->pwrite(f, off, &b, 1, &why), &why);
    vfs_os()->close(f);
}

static void test_damage_is_passed_over(void **state)
{
    (void)state;
    Spool *s = open_it(1 << 20, 0);
    Why why = {0};
    for (u64 seq = 1; seq <= 50; seq++) {
        put(s, body_of(seq));
        assert_ok(spool_sync(s, &why), &why);
    }
    spool_close(s);
    flip(1, 72 + 72 + 5); /* the body of record 1 */
    s = open_it(1 << 20, 0);
    assert_int_equal(spool_tail(s), 51);
    assert_record(s, 1, 2);
    assert_record(s, 2, 2);
    assert_record(s, 50, 50);
    assert_int_equal(spool_dropped(s), 1);
    assert_int_equal(put(s, body_of(51)), 51);
    assert_record(s, 51, 51);
    spool_close(s);
    flip(1, 20); /* the head of the file: the segment is set aside */
    s = open_it(1 << 20, 0);
    assert_tail(s, 0);
    spool_close(s);
}

typedef struct Reader {
    Spool *s;
    u64 got, wrong;
} Reader;

static void *read_all(void *arg)
{
    Reader *r = arg;
    Buf out;
    buf_init(&out, 1 << 16);
    for (u64 next = 1, seq; next <= 2000; next = seq + 1) {
        buf_clear(&out);
        while (spool_read(r->s, next, &out, &seq, NULL) == E_NOT_FOUND)
            sched_yield();
        r->got++;
        r->wrong += !str_eq(buf_view(&out), str_c(body_of(seq)));
    }
    buf_done(&out);
    return NULL;
}

static void test_readers_beside_a_writer(void **state)
{
    (void)state;
    Spool *s = open_it(64 << 10, 4096);
    Reader r[2] = {{s, 0, 0}, {s, 0, 0}};
    pthread_t t[2];
    for (u32 i = 0; i < 2; i++)
        assert_int_equal(thread_start(&t[i], "reader", read_all, &r[i]), OK);
    for (u64 seq = 1; seq <= 2000; seq++)
        put(s, body_of(seq));
    for (u32 i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(r[i].wrong, 0);
        assert_true(r[i].got > 0 && r[i].got <= 2000);
    }
    spool_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_in_first_out, fresh, clean),
        cmocka_unit_test_setup_teardown(test_the_oldest_go_at_the_limit, fresh, clean),
        cmocka_unit_test_setup_teardown(test_trim, fresh, clean),
        cmocka_unit_test_setup_teardown(test_cursors, fresh, clean),
        cmocka_unit_test_setup_teardown(test_damage_is_passed_over, fresh, clean),
        cmocka_unit_test_setup_teardown(test_readers_beside_a_writer, fresh, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
