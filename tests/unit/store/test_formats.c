/* Files of each format, written once and kept in tests/golden/formats: what a released version wrote opens for ever. With
 * PHAROS_WRITE_GOLDEN=1 they are written anew (only when a format gets a new version, into a new folder). */
#include "test.h"

#include <sys/stat.h>

#include "simfs.h"
#include "store/store.h"

static VirtualClock clock_;

static const char *golden(const char *name)
{
    static char path[1024];
    const char *root = getenv("PHAROS_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/formats/v0/%s", root ? root : ".", name);
    return path;
}

/* The bytes of record n. */
static Str body_of(u32 n, char body[256])
{
    size_t len = n * 29 % 250;
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(n + i);
    return str_of(body, len);
}

static ILogConfig log_config(Vfs *v)
{
    return (ILogConfig){.vfs = v, .clock = &clock_.clock, .dir = "/d/log", .segment_bytes = 2048};
}

static void write_all(SimFs *fs)
{
    Vfs *v = simfs_vfs(fs);
    Why why = {0};
    char body[256];
    DataDir *d;
    assert_ok(datadir_open(&d, v, "/d/", &why), &why);
    datadir_close(d);
    ILog *l;
    ILogConfig c = log_config(v);
    assert_ok(ilog_open(&l, &c, &why), &why);
    for (u32 n = 0; n < 20; n++)
        assert_ok(ilog_append_wait(l,
                                   &(LogRecord){.producer = n % 3 ? S("") : S("producer"),
                                                .producer_seq = n * 10,
                                                .lane = n % 2,
                                                .type = n,
                                                .bytes = body_of(n, body)},
                                   NULL, &why),
                  &why);
    ilog_close(l);
    Bucket *b;
    Manifest *m;
    assert_ok(bucket_open_dir(&b, v, "/d/bucket", &why), &why);
    assert_ok(manifest_open(&m, b, S("metrics"), &why), &why);
    assert_ok(manifest_commit(m, S("the first"), &why), &why);
    assert_ok(manifest_commit(m, S("the second one"), &why), &why);
    manifest_close(m);
    bucket_close(b);
    Outbox *o;
    assert_ok(outbox_open(&o, v, &clock_.clock, "/d/outbox", &why), &why);
    u64 id;
    for (u32 n = 0; n < 4; n++)
        assert_ok(outbox_add(o, S("discord/ops"), body_of(n + 1, body), &id, &why), &why);
    assert_ok(outbox_retry(o, 2, 5000, S("429"), &why), &why);
    assert_ok(outbox_done(o, 1, S("provider id"), &why), &why);
    assert_ok(outbox_dead(o, 3, S("404"), &why), &why);
    assert_ok(outbox_fact_set(o, S("group/1"), S("message 7"), &why), &why);
    outbox_close(o);
    Spool *s;
    assert_ok(spool_open(&s, &(SpoolConfig){v, "/d/spool", 64 << 10, 1024}, &why), &why);
    for (u32 n = 1; n <= 12; n++)
        assert_ok(spool_append(s, body_of(n, body), true, &id, &why), &why);
    assert_ok(spool_cursor_save(s, S("cloud"), 5, &why), &why);
    spool_close(s);
}

static Err count_record(void *arg, LogPos at, const LogRecord *r, Why *why)
{
    (void)why;
    char body[256];
    assert_int_equal((at.seq - 1) * 2 + r->lane, r->type);
    assert_true(str_eq(r->bytes, body_of(r->type, body)));
    assert_str(r->producer, r->type % 3 ? "" : "producer");
    assert_int_equal(r->producer_seq, r->type * 10);
    ++*(u32 *)arg;
    return OK;
}

static void take_letter(void *arg, const OutboxItem *i, Str reason, i64 at_ms)
{
    assert_int_equal(i->id, 3);
    assert_str(i->key, "discord/ops");
    assert_str(reason, "404");
    assert_int_equal(at_ms, 1700000000000);
    ++*(u32 *)arg;
}

static void read_all(SimFs *fs)
{
    Vfs *v = simfs_vfs(fs);
    Why why = {0};
    char body[256];
    Buf out;
    buf_init(&out, 1 << 16);
    FsckReport report = {.out = &out};
    assert_ok(fsck_ilog(v, "/d/log", &report, &why), &why);
    assert_ok(fsck_bucket_manifest(v, "/d/bucket", S("metrics"), &report, &why), &why);
    assert_ok(fsck_outbox(v, "/d/outbox", &report, &why), &why);
    assert_ok(fsck_spool(v, "/d/spool", &report, &why), &why);
    assert_str(buf_view(&out), "");
    assert_true(report.checked_files >= 9);

    DataDir *d;
    assert_ok(datadir_open(&d, v, "/d", &why), &why);
    datadir_close(d);
    ILog *l;
    ILogConfig c = log_config(v);
    assert_ok(ilog_open(&l, &c, &why), &why);
    u32 n = 0;
    for (u32 lane = 0; lane < 2; lane++)
        assert_ok(ilog_read(l, lane, (LogPos){1700000000000, 1}, count_record, &n, &why), &why);
    assert_int_equal(n, 20);
    ilog_close(l);
    Bucket *b;
    Manifest *m;
    assert_ok(bucket_open_dir(&b, v, "/d/bucket", &why), &why);
    assert_ok(manifest_open(&m, b, S("metrics"), &why), &why);
    assert_int_equal(manifest_number(m), 2);
    assert_str(manifest_bytes(m), "the second one");
    manifest_close(m);
    bucket_close(b);
    Outbox *o;
    Arena arena;
    arena_init(&arena, NULL, 0);
    assert_ok(outbox_open(&o, v, &clock_.clock, "/d/outbox", &why), &why);
    assert_int_equal(outbox_queued(o), 2);
    OutboxItem it;
    assert_int_equal(outbox_take(o, 4999, &arena, &it, NULL), OK);
    assert_int_equal(it.id, 4);
    assert_true(str_eq(it.body, body_of(4, body)));
    assert_int_equal(it.created_ms, 1700000000000);
    assert_int_equal(outbox_take(o, 5000, &arena, &it, NULL), OK);
    assert_int_equal(it.id, 2);
    assert_int_equal(it.attempts, 1);
    n = 0;
    outbox_dead_letters(o, take_letter, &n);
    assert_int_equal(n, 1);
    assert_str(outbox_fact(o, S("group/1"), &arena), "message 7");
    arena_done(&arena);
    outbox_close(o);
    Spool *s;
    assert_ok(spool_open(&s, &(SpoolConfig){v, "/d/spool", 64 << 10, 1024}, &why), &why);
    assert_int_equal(spool_tail(s), 13);
    assert_int_equal(spool_cursor_load(s, S("cloud")), 5);
    for (u32 seq = 1; seq <= 12; seq++) {
        buf_clear(&out);
        assert_ok(spool_read(s, seq, &out, NULL, &why), &why);
        assert_true(str_eq(buf_view(&out), body_of(seq, body)));
    }
    spool_close(s);
    buf_done(&out);
}

static const char *const files[] = {"PHAROS",
                                    "log/00000000000000000001.seg",
                                    "log/00000000000000000012.seg",
                                    "log/00000000000000000020.seg",
                                    "bucket/m/metrics/00000000000000000001",
                                    "bucket/m/metrics/00000000000000000002",
                                    "outbox/00000000000000000001.obx",
                                    "spool/00000000000000000001.spl",
                                    "spool/00000000000000000006.spl",
                                    "spool/00000000000000000010.spl",
                                    "spool/cursors"};

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    SimFs *fs = simfs_new();
    write_all(fs);
    for (size_t i = 0; getenv("PHAROS_WRITE_GOLDEN") && i < COUNT_OF(files); i++) {
        char path[256], dir[1100];
        u64 bytes;
        snprintf(path, sizeof path, "/d/%s", files[i]);
        const u8 *at = simfs_bytes(fs, path, &bytes);
        if (!at)
            fail_msg("%s is not written any more", path);
        snprintf(dir, sizeof dir, "%s", golden(files[i]));
        *strrchr(dir, '/') = 0;
        assert_int_equal(vfs_mkdirs(vfs_os(), dir, NULL), OK);
        FILE *f = fopen(golden(files[i]), "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(at, 1, bytes, f), bytes);
        fclose(f);
    }
    read_all(fs);
    simfs_free(fs);
}

static void test_golden_files_are_read(void **state)
{
    (void)state;
    SimFs *fs = simfs_new();
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        Buf b;
        Why why = {0};
        char path[256];
        buf_init(&b, 1 << 20);
        assert_ok(vfs_read_file(vfs_os(), golden(files[i]), 1 << 20, &b, &why), &why);
        snprintf(path, sizeof path, "/d/%s", files[i]);
        simfs_put(fs, path, b.at, b.len);
        buf_done(&b);
    }
    read_all(fs);
    simfs_free(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_golden_files_are_read),
    };
    virtual_clock_init(&clock_, 1700000000 * NS_PER_SEC);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
