/* Any bytes as a segment: the log opens or says why not; what opened can be read, appended to, trimmed, and opens again. */
#include "store_fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static Err sum(void *arg, LogPos at, const LogRecord *r, Why *why)
{
    (void)at, (void)why;
    *(u64 *)arg += hash_bytes(r->bytes.at, r->bytes.len, 0) + hash_bytes(r->producer.at, r->producer.len, 0);
    return OK;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    static VirtualClock clock;
    SimFs *fs = disk_with("/log/00000000000000000001.seg", data, len, RECFILE_ILOG, 1);
    ILogConfig c = {.vfs = simfs_vfs(fs), .clock = &clock.clock, .dir = "/log"};
    virtual_clock_init(&clock, NS_PER_SEC);
    FsckReport r = {.out = &(Buf){0}};
    buf_init(r.out, 1 << 16);
    check(fsck_ilog(c.vfs, "/log", &r, NULL) == OK);
    ILog *l;
    if (ilog_open(&l, &c, NULL) == OK) {
        u64 all = 0;
        for (u32 lane = 0; lane < 4; lane++)
            ilog_read(l, lane, (LogPos){0}, sum, &all, NULL);
        LogPos at;
        Err e = ilog_append_wait(
            l, &(LogRecord){.producer = S("p"), .producer_seq = 1, .lane = 1, .bytes = S("new")}, &at, NULL);
        check(e == OK || e == E_LIMIT);
        if (e == OK)
            ilog_trim(l, 1, at, NULL);
        ilog_close(l);
        check(ilog_open(&l, &c, NULL) == OK);
        ilog_close(l);
    }
    buf_done(r.out);
    simfs_free(fs);
    return 0;
}
