#include "test.h"

static void test_str(void **state)
{
    Str head, tail;
    assert_true(str_cut(S("a=b=c"), '=', &head, &tail));
    assert_str(head, "a");
    assert_str(tail, "b=c");
    assert_false(str_cut(S("abc"), '=', &head, &tail));
    assert_str(head, "abc");
    assert_int_equal(tail.len, 0);
    assert_true(str_cmp(S("a"), S("ab")) < 0);
    assert_true(str_cmp(S("\xff"), S("a")) > 0);
    assert_true(str_eq_nocase(S("Content-Type"), S("content-type")));
    assert_str(str_trim(S(" \t x y\r\n")), "x y");
    assert_int_equal(str_find(S("hello"), S("llo")), 2);
    assert_true(str_find(S("hello"), S("xx")) == SIZE_MAX);
    const Str words[] = {STR_INIT("job_name"), STR_INIT("scrape_interval")};
    assert_str(str_nearest(S("job_nam"), words, 2), "job_name");
    assert_int_equal(str_nearest(S("zzzz"), words, 2).len, 0);
}

static void test_utf8(void **state)
{
    assert_true(str_is_utf8(S("grüße \xf0\x9f\x98\x80")));
    const char *bad[] = {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe2\x82", "\xff"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(str_is_utf8(str_c(bad[i])));
    assert_int_equal(str_rune_count(S("aß€")), 3);
    assert_int_equal(str_rune_prefix(S("aß€"), 2), 3);
    for (u32 r = 1; r < 0x110000; r += 7) {
        char b[4];
        u32 back;
        size_t n = rune_encode(r, b);
        assert_int_equal(str_rune(str_of(b, n), &back), n);
        assert_int_equal(back, r >= 0xd800 && r < 0xe000 ? 0xfffd : r);
    }
}

static void test_fit(void **state)
{
    char b[8];
    str_fit(b, sizeof b, "");
    assert_string_equal(b, "");
    str_fit(b, sizeof b, "1234567");
    assert_string_equal(b, "1234567");
    str_fit(b, sizeof b, "12345678");
    assert_string_equal(b, "1234567");
    str_fit(b, sizeof b, "12345€");
    assert_string_equal(b, "12345");
    str_fit(b, sizeof b, "1234€5");
    assert_string_equal(b, "1234€");
    str_fit(b, sizeof b, "123456é");
    assert_string_equal(b, "123456");
    str_fit(b, sizeof b, "\xbf\xbf\xbf\xbf\xbf\xbf\xbf\xbf\xbf"); /* never whole */
    assert_string_equal(b, "");
    str_fit(b, 1, "x");
    assert_string_equal(b, "");
}

static void test_crc(void **state)
{
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283); /* RFC 3720's check value */
    char data[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31);
    u32 whole = crc32c(0, data, sizeof data);
    for (size_t cut = 0; cut < sizeof data; cut += 37)
        assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, sizeof data - cut), whole);
}

static void test_arena(void **state)
{
    Account *acc = account_new("test", NULL, 1 << 20);
    Arena a;
    arena_init(&a, acc, 256 << 10);
    for (int i = 0; i < 1000; i++) {
        u8 *p = arena_zalloc(&a, 100);
        assert_int_equal((uintptr_t)p & 15, 0);
        memset(p, i, 100);
    }
    assert_false(arena_over(&a));
    assert_true(account_used(acc) > 0);
    assert_null(arena_try(&a, 1 << 20));
    assert_true(arena_over(&a));
    assert_non_null(arena_alloc(&a, 1000)); /* a soft landing */
    arena_reset(&a);
    assert_false(arena_over(&a));
    assert_str(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    arena_done(&a);
    assert_int_equal(account_used(acc), 0);
    account_free(acc);
}

static void test_account_tree(void **state)
{
    Account *root = account_new("root", NULL, 100), *leaf = account_new("leaf", root, 80);
    Why why;
    assert_int_equal(account_charge(leaf, 81, &why), E_LIMIT);
    assert_int_equal(account_used(root), 0);
    assert_int_equal(account_charge(root, 50, &why), OK);
    assert_int_equal(account_charge(leaf, 60, &why), E_BUSY);
    assert_non_null(strstr(why.text, "root"));
    assert_int_equal(account_used(leaf), 0);
    account_uncharge(root, 50);
    account_free(leaf);
    account_free(root);
}

static void test_buf(void **state)
{
    Buf b;
    buf_init(&b, 10);
    buf_c(&b, "12345");
    buf_printf(&b, "%d", 678);
    assert_str(buf_view(&b), "12345678");
    buf_c(&b, "abc");
    assert_true(buf_over(&b));
    assert_str(buf_view(&b), "12345678");
    buf_clear(&b);
    buf_c(&b, "xyz");
    buf_drop(&b, 1);
    assert_string_equal(buf_cstr(&b), "yz");
    buf_done(&b);
}

static void test_maps(void **state)
{
    StrMap m = {0};
    U64Map u = {0};
    char key[32];
    static int values[5000];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5000; i++) {
            Str k = str_of(key, (size_t)snprintf(key, sizeof key, "key-%d", i));
            assert_null(strmap_put(&m, k, &values[i]));
            u64map_put(&u, (u64)i * 977, (u64)i);
        }
        for (int i = 0; i < 5000; i++) {
            Str k = str_of(key, (size_t)snprintf(key, sizeof key, "key-%d", i));
            assert_ptr_equal(strmap_find(&m, k), &values[i]);
            assert_int_equal(*u64map_find(&u, (u64)i * 977), i);
        }
        size_t n = 0, cursor = 0;
        while (strmap_next(&m, &cursor))
            n++;
        assert_int_equal(n, 5000);
        for (int i = 0; i < 5000; i++) {
            Str k = str_of(key, (size_t)snprintf(key, sizeof key, "key-%d", i));
            assert_ptr_equal(strmap_del(&m, k), &values[i]);
            assert_true(u64map_del(&u, (u64)i * 977));
            assert_false(strmap_has(&m, k));
        }
        assert_int_equal(m.len + u.len, 0);
    }
    strmap_done(&m);
    u64map_done(&u);
}

static void test_files(void **state)
{
    char dir[256], path[300];
    Why why;
    Vfs *v = vfs_os();
    test_dir(dir);
    snprintf(path, sizeof path, "%s/a/b/c", dir);
    assert_ok(vfs_mkdirs(v, path, &why), &why);
    snprintf(path, sizeof path, "%s/a/b/c/file", dir);
    assert_ok(vfs_write_file(v, path, S("first"), &why), &why);
    assert_ok(vfs_write_file(v, path, S("second"), &why), &why);
    Buf b;
    buf_init(&b, 100);
    assert_ok(vfs_read_file(v, path, 100, &b, &why), &why);
    assert_str(buf_view(&b), "second");
    buf_clear(&b);
    assert_int_equal(vfs_read_file(v, path, 3, &b, &why), E_TOO_LARGE);
    buf_done(&b);
    File *f, *g;
    assert_ok(v->open(v, path, VFS_WRITE, &f, &why), &why);
    assert_ok(v->lock(f, &why), &why);
    assert_ok(v->open(v, path, VFS_WRITE, &g, &why), &why);
    assert_int_equal(v->lock(g, &why), E_BUSY);
    char bytes[10];
    assert_int_equal(vfs_read_exact(f, 0, bytes, 10, &why), E_CORRUPT);
    v->close(g);
    v->close(f);
    assert_int_equal(v->open(v, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &f, &why), E_EXISTS);
    assert_ok(vfs_remove_tree(v, dir, &why), &why);
    VfsStat st;
    assert_int_equal(v->stat(v, dir, &st, &why), E_NOT_FOUND);
}

static void count_job(void *arg)
{
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void test_pool(void **state)
{
    int n = 0;
    Pool *p = pool_new("test", 3, 64);
    int sent = 0;
    while (sent < 1000)
        if (pool_submit(p, count_job, &n) == OK)
            sent++;
    pool_free(p);
    assert_int_equal(n, 1000);
}

static void test_metrics(void **state)
{
    Metric *c = metric_counter("test_total", "Things.", "kind=\"a\"");
    assert_ptr_equal(c, metric_counter("test_total", "Things.", "kind=\"a\""));
    metric_add(c, 2);
    metric_inc(c);
    static const f64 bounds[] = {1, 2};
    Metric *h = metric_histogram("test_seconds", "Times.", "", bounds, 2);
    metric_observe(h, 0.5);
    metric_observe(h, 1);
    metric_observe(h, 9);
    Buf b;
    buf_init(&b, 1 << 20);
    metrics_render(&b);
    const char *text = buf_cstr(&b);
    assert_non_null(strstr(text, "# TYPE test_total counter\ntest_total{kind=\"a\"} 3\n"));
    assert_non_null(
        strstr(text, "test_seconds_bucket{le=\"1\"} 2\ntest_seconds_bucket{le=\"2\"} 2\n"
                     "test_seconds_bucket{le=\"+Inf\"} 3\ntest_seconds_sum 10.5\ntest_seconds_count 3\n"));
    assert_non_null(strstr(text, "process_resident_memory_bytes "));
    buf_done(&b);
}

static void test_why(void **state)
{
    Why why;
    char text[512];
    assert_int_equal(why_at(&why, E_PARSE, 3, 7, "unexpected %s", "thing"), E_PARSE);
    why_prefix(&why, "reading %s: ", "x");
    snprintf(why.file, sizeof why.file, "a.yml");
    assert_string_equal(why_print(&why, text, sizeof text), "a.yml:3:7: reading x: unexpected thing");
    for (int e = 0; e < ERR_COUNT; e++) {
        assert_non_null(err_name((Err)e));
        assert_true(err_http_status((Err)e) >= 200);
    }
}

static void test_log(void **state)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    log_set_fd(pipe_fds[1]);
    LOG_INFO("web", "Listening on", LF_C("address", "127.0.0.1:1"), LF_STR("odd", S("a \"b\"\n\x01\xff")),
             LF_INT("n", -3));
    log_set_json(true);
    LOG_WARN("x", "y");
    log_set_json(false);
    log_set_fd(2);
    char text[1024];
    ssize_t n = read(pipe_fds[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    assert_non_null(strstr(text, "level=info component=web msg=\"Listening on\" address=127.0.0.1:1 "
                                 "odd=\"a \\\"b\\\"\\n\\u0001\xef\xbf\xbd\" n=-3\n"));
    assert_non_null(strstr(text, "\"level\":\"warn\",\"component\":\"x\",\"msg\":\"y\"}\n"));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str),  cmocka_unit_test(test_utf8),    cmocka_unit_test(test_fit),
        cmocka_unit_test(test_crc),  cmocka_unit_test(test_arena),   cmocka_unit_test(test_account_tree),
        cmocka_unit_test(test_buf),  cmocka_unit_test(test_maps),    cmocka_unit_test(test_files),
        cmocka_unit_test(test_pool), cmocka_unit_test(test_metrics), cmocka_unit_test(test_why),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
