/* Any bytes as a spool's segment and as its cursors: it always opens (damage is passed over), gives records in order, takes
 * more, and opens again. */
#include "store_fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    size_t cursors = len > 1 ? MIN((size_t)data[1], len - 2) : 0, skip = len > 1 ? 2 + cursors : 0;
    u8 *segment = mem_alloc(len + 1); /* the first byte says how it is mended */
    segment[0] = len ? data[0] : 0;
    if (len > skip)
        memcpy(segment + 1, data + skip, len - skip);
    SimFs *fs = disk_with("/s/00000000000000000007.spl", segment, len ? 1 + len - skip : 0, RECFILE_SPOOL, 7);
    mem_free(segment);
    if (cursors) {
        Buf text; /* half of them with a right checksum */
        buf_init(&text, 1024);
        buf_put(&text, data + 2, cursors);
        if (data[0] & 8)
            buf_printf(&text, "\ncrc %08x\n", crc32c(crc32c(0, data + 2, cursors), "\n", 1));
        simfs_put(fs, "/s/cursors", text.at, text.len);
        buf_done(&text);
    }
    FsckReport r = {.out = &(Buf){0}};
    buf_init(r.out, 1 << 16);
    check(fsck_spool(simfs_vfs(fs), "/s", &r, NULL) == OK);
    SpoolConfig c = {simfs_vfs(fs), "/s", 1 << 20, 0};
    Spool *s;
    if (spool_open(&s, &c, NULL) == OK) {
        Buf out;
        buf_init(&out, 64 << 20);
        u64 seq, last = 0;
        while (spool_read(s, last + 1, &out, &seq, NULL) == OK) {
            check(seq > last && seq < spool_tail(s));
            last = seq;
            buf_clear(&out);
        }
        if (spool_append(s, S("new"), true, &seq, NULL) == OK) {
            check(seq > last && spool_read(s, seq, &out, NULL, NULL) == OK);
            check(str_eq(buf_view(&out), S("new")));
        }
        buf_done(&out);
        spool_close(s);
        check(spool_open(&s, &c, NULL) == OK);
        spool_close(s);
    }
    buf_done(r.out);
    simfs_free(fs);
    return 0;
}
