/* Any bytes as an outbox: it opens or says why not; what opened gives its messages, takes a new one, and opens again. */
#include "store_fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    static VirtualClock clock;
    SimFs *fs = disk_with("/o/00000000000000000001.obx", data, len, RECFILE_OUTBOX, 1);
    virtual_clock_init(&clock, NS_PER_SEC);
    FsckReport r = {.out = &(Buf){0}};
    buf_init(r.out, 1 << 16);
    check(fsck_outbox(simfs_vfs(fs), "/o", &r, NULL) == OK);
    Outbox *o;
    if (outbox_open(&o, simfs_vfs(fs), &clock.clock, "/o", NULL) == OK) {
        Arena a;
        arena_init(&a, NULL, 0);
        OutboxItem it;
        for (u32 n = 0; outbox_take(o, INT64_MAX, &a, &it, NULL) == OK; n++)
            check((n % 2 ? outbox_done(o, it.id, it.key, NULL) : outbox_dead(o, it.id, it.key, NULL)) == OK);
        u64 id, queued;
        check(outbox_add(o, S("k"), S("b"), &id, NULL) == OK);
        check(outbox_retry(o, id, 5, S("why"), NULL) == OK);
        check(outbox_fact_set(o, S("fact"), S("value"), NULL) == OK);
        queued = outbox_queued(o);
        outbox_close(o);
        check(outbox_open(&o, simfs_vfs(fs), &clock.clock, "/o", NULL) == OK);
        check(outbox_queued(o) == queued);
        check(str_eq(outbox_fact(o, S("fact"), &a), S("value")));
        arena_done(&a);
        outbox_close(o);
    }
    buf_done(r.out);
    simfs_free(fs);
    return 0;
}
