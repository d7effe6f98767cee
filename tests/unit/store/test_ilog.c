#include "test.h"

#include <unistd.h>

#include "simfs.h"
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

/* ---- on a simulated disk ---- */

static Err open_sim(SimFs *fs, u64 ballast_bytes, ILog **ret, Why *why)
{
    return ilog_open(
        ret,
        &(ILogConfig){
            .vfs = simfs_vfs(fs), .clock = clock_real(), .dir = "/log", .ballast_bytes = ballast_bytes},
        why);
}

static void test_a_full_disk_refuses_and_resumes(void **state)
{
    (void)state;
    SimFs *fs = simfs_new();
    simfs_set_capacity(fs, 4 << 20);
    ILog *l;
    Why why = {0};
    assert_ok(open_sim(fs, 1 << 20, &l, &why), &why);
    char *bytes = mem_zalloc(100000);
    u64 n = 0;
    while (put(l, 1, str_of(bytes, 100000)) == OK)
        n++;
    assert_true(n > 20 && n < 40);
    assert_int_equal(ilog_health(l).err, E_NOSPACE);
    assert_int_equal(put(l, 1, S("refused at once")), E_NOSPACE);
    u64 free_bytes, total;
    simfs_vfs(fs)->free_bytes(simfs_vfs(fs), "/", &free_bytes, &total, NULL);
    assert_true(free_bytes >= 1 << 20); /* the ballast was given back, for a flush */
    simfs_set_capacity(fs, 32 << 20);
    Err e = E_NOSPACE;
    for (u32 tenths = 0; e == E_NOSPACE && tenths < 100; tenths++) {
        usleep(100000);
        e = put(l, 1, S("resumed"));
    }
    assert_int_equal(e, OK);
    assert_int_equal(ilog_health(l).err, OK);
    LogPos tail;
    ilog_tail(l, 1, &tail);
    assert_int_equal(tail.seq, n + 2); /* what was refused left no hole */
    u64 size;
    assert_non_null(simfs_bytes(fs, "/log/ballast", &size));
    assert_int_equal(size, 1 << 20);
    ilog_close(l);
    mem_free(bytes);
    simfs_free(fs);
}

static void test_a_failed_sync_stops_it_for_ever(void **state)
{
    (void)state;
    SimFs *fs = simfs_new();
    ILog *l;
    Why why = {0};
    assert_ok(open_sim(fs, 0, &l, &why), &why);
    assert_int_equal(put(l, 1, S("a")), OK);
    simfs_fail(fs, 2, E_IO, 0); /* the write, then the sync */
    assert_int_equal(put(l, 1, S("b")), E_UNKNOWN);
    assert_int_equal(ilog_health(l).err, E_IO);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(l, 1, S("c")), E_IO);
    assert_int_equal(ilog_sync(l, &why), E_IO);
    assert_non_null(strstr(why.text, "simulated fault"));
    ilog_close(l);
    assert_ok(open_sim(fs, 0, &l, &why), &why); /* a new start looks at what is there */
    assert_int_equal(put(l, 1, S("d")), OK);
    ilog_close(l);
    simfs_free(fs);
}

static Err ignore_record(void *arg, LogPos at, const LogRecord *r, Why *why)
{
    (void)at, (void)r, (void)why;
    ++*(u32 *)arg;
    return OK;
}

/* Each byte of the log flipped in turn: said, or harmless; never a wrong or missing record in silence. */
static void test_rot_is_named(void **state)
{
    (void)state;
    SimFs *fs = simfs_new();
    ILog *l;
    Why why = {0};
    assert_ok(open_sim(fs, 0, &l, &why), &why);
    for (int i = 0; i < 12; i++)
        assert_int_equal(put(l, 1, S("some bytes of a record")), OK);
    ilog_close(l); /* leaves its mark: all of them are vouched for */
    u64 size, named = 0, silent = 0;
    assert_non_null(simfs_bytes(fs, "/log/00000000000000000001.seg", &size));
    for (u64 off = 0; off < size; off++) {
        SimFs *rotten = simfs_cut(fs, simfs_ops(fs), SIM_KEEP, 0);
        simfs_bytes(rotten, "/log/00000000000000000001.seg", &size)[off] ^= 1 << (off % 8);
        u32 n = 0;
        Err e = open_sim(rotten, 0, &l, &why);
        if (e == OK) {
            e = ilog_read(l, 1, (LogPos){0}, ignore_record, &n, &why);
            ilog_close(l);
        }
        if (e == OK) {
            assert_int_equal(n, 12);
            silent++;
        } else {
            assert_int_equal(e, E_CORRUPT);
            assert_non_null(strstr(why.text, "/log/00000000000000000001.seg"));
            named++;
        }
        simfs_free(rotten);
    }
    /* Silent are the zeros behind bodies and, because nothing follows it, the mark. */
    assert_true(named > size * 9 / 10 && silent > 0);
    simfs_free(fs);
}

static void test_missing_segments_are_named(void **state)
{
    (void)state;
    segment_bytes = 4096;
    ILog *l;
    Why why = {0};
    char bytes[1000] = {0}, path[400];
    assert_ok(open_local(NULL, &l, &why), &why);
    for (int i = 0; i < 20; i++)
        assert_int_equal(put(l, 1, str_of(bytes, sizeof bytes)), OK);
    assert_ok(ilog_trim(l, 1, (LogPos){0, 5}, &why), &why);
    ilog_close(l);
    snprintf(path, sizeof path, "%s/%020d.seg", dir, 10);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(open_local(NULL, &l, &why), E_CORRUPT);
    assert_non_null(strstr(why.text, "removed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conformance, fresh, clean),
        cmocka_unit_test_setup_teardown(test_segments_come_and_go, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_full_log_is_busy, fresh, clean),
        cmocka_unit_test_setup_teardown(test_missing_segments_are_named, fresh, clean),
        cmocka_unit_test(test_a_full_disk_refuses_and_resumes),
        cmocka_unit_test(test_a_failed_sync_stops_it_for_ever),
        cmocka_unit_test(test_rot_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
