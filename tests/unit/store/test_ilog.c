#include "test.h"

#include <unistd.h>

#include "store_conformance.h"

static char dir[300];
static u64 segment_bytes;

static ILogConfig config(void)
{
    return (ILogConfig){.vfs = vfs_os(), .clock = clock_real(), .dir = dir, .segment_bytes = segment_bytes};
}

static Err open_local(void *arg, ILog **ret, Why *why)
{
    (void)arg;
    ILogConfig c = config();
    return ilog_open(ret, &c, why);
}

static void clear_local(void *arg)
{
    (void)arg;
    vfs_remove_tree(vfs_os(), dir, NULL);
}

static int fresh(void **state)
{
    (void)state;
    char tmp[256];
    snprintf(dir, sizeof dir, "%s/log", test_dir(tmp));
    return 0;
}

static int clean(void **state)
{
    (void)state;
    *strrchr(dir, '/') = 0;
    return vfs_remove_tree(vfs_os(), dir, NULL) != OK;
}

static void test_conformance(void **state)
{
    (void)state;
    static const u64 sizes[] = {64 << 10, 0};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        segment_bytes = sizes[i];
        ilog_conformance(&(ILogSuite){open_local, clear_local, NULL});
    }
}

static Err put(ILog *l, u32 lane, Str bytes)
{
    return ilog_append_wait(l, &(LogRecord){.lane = lane, .bytes = bytes}, NULL, NULL);
}

static void test_segments_come_and_go(void **state)
{
    (void)state;
    segment_bytes = 4096;
    ILog *l;
    Why why = {0};
    char bytes[1000] = {0};
    assert_ok(open_local(NULL, &l, &why), &why);
    for (int i = 0; i < 40; i++)
        assert_int_equal(put(l, (u32)i % 2, str_of(bytes, sizeof bytes)), OK);
    ILogHealth h = ilog_health(l);
    assert_int_equal(h.records, 40);
    assert_true(h.segments > 8);
    assert_ok(ilog_trim(l, 0, (LogPos){0, 21}, &why), &why);
    assert_int_equal(ilog_health(l).segments, h.segments); /* lane 1 needs them */
    assert_ok(ilog_trim(l, 1, (LogPos){0, 11}, &why), &why);
    assert_true(ilog_health(l).segments < h.segments - 2);
    assert_true(ilog_health(l).bytes < h.bytes);
    assert_ok(ilog_trim(l, 1, (LogPos){0, 21}, &why), &why);
    assert_int_equal(ilog_health(l).segments, 1);
    put(l, 1, str_of(bytes, 10)); /* all was passed: the newest goes as well */
    assert_ok(ilog_trim(l, 1, (LogPos){0, 21}, &why), &why);
    assert_int_equal(ilog_health(l).segments, 1);
    assert_true(ilog_health(l).bytes < 1000);
    ilog_close(l);
}

static void test_a_full_log_is_busy(void **state)
{
    (void)state;
    ILogConfig c = config();
    c.total_bytes_max = 64 << 10;
    ILog *l;
    Why why = {0};
    char bytes[1000] = {0};
    assert_ok(ilog_open(&l, &c, &why), &why);
    Err e;
    u64 n = 0;
    while ((e = ilog_append_wait(l, &(LogRecord){.lane = 1, .bytes = str_of(bytes, 1000)}, NULL, &why)) == OK)
        n++;
    assert_int_equal(e, E_BUSY);
    assert_true(n > 50 && n < 64);
    assert_non_null(strstr(why.text, "flush"));
    assert_ok(ilog_trim(l, 1, (LogPos){0, n}, &why), &why);
    assert_int_equal(put(l, 1, str_of(bytes, 1000)), OK);
    ilog_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conformance, fresh, clean),
        cmocka_unit_test_setup_teardown(test_segments_come_and_go, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_full_log_is_busy, fresh, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
