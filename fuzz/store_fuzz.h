/* Common to the fuzz targets of the store: a simulated disk, and a way past the checksums. */
#pragma once
#include "../tests/unit/simfs.c"

#include "store/recfile.h"
#include "store/store.h"

/* Makes bytes a record file whose checksums hold, changing as little as possible: otherwise nothing behind them is ever
 * reached. flags: 1 = numbers dense too, 2 = positions (seq) dense too. */
static inline void fix_recfile(u8 *at, size_t len, u32 kind, u64 first, u32 flags)
{
    if (len < RECFILE_HEAD_BYTES)
        return;
    memcpy(at, "PHAROSR0", 8);
    put_u32(at + 8, kind);
    put_u32(at + 16, 0);
    put_u64(at + 40, first);
    u32 ext = get_u32(at + 20);
    if (ext > len - RECFILE_HEAD_BYTES)
        put_u32(at + 20, ext = ext % (u32)(len - RECFILE_HEAD_BYTES + 1));
    put_u32(at + 12, crc32c(0, at + 16, RECFILE_HEAD_BYTES - 16 + ext));
    u64 salt = get_u64(at + 32), number = first;
    size_t off = RECFILE_HEAD_BYTES + ((ext + 7) & ~7u);
    while (off + REC_HEAD_BYTES <= len) {
        u8 *rec = at + off;
        u32 body = get_u32(rec + 8);
        if (body > len - off - REC_HEAD_BYTES)
            body %= (u32)(len - off - REC_HEAD_BYTES + 1);
        put_u32(rec, 0x43455250);
        put_u32(rec + 8, body);
        put_u32(rec + 12, crc32c(0, rec + REC_HEAD_BYTES, body));
        put_u64(rec + 16, salt);
        if (flags & 1)
            put_u64(rec + 24, number);
        if (flags & 2)
            put_u64(rec + 48, number);
        if (rec[64] > REC_NAME_MAX || rec[64] > body)
            rec[64] = (u8)MIN(body, (u32)rec[64] % (REC_NAME_MAX + 1));
        put_u32(rec + 4, crc32c(0, rec + 8, REC_HEAD_BYTES - 8));
        number++;
        off += rec_bytes(body);
    }
}

/* A disk with the input as one file; its first byte says how it is mended. */
static inline SimFs *disk_with(const char *path, const u8 *data, size_t len, u32 kind, u64 first)
{
    log_set_level(LOG_LEVEL_ERROR + 1);
    SimFs *fs = simfs_new();
    u8 *copy = mem_alloc(len + 1);
    u8 how = len ? data[0] : 0;
    if (len)
        memcpy(copy, data + 1, len - 1);
    if (len && how & 4)
        fix_recfile(copy, len - 1, kind, first, how & 3);
    simfs_put(fs, path, copy, len ? len - 1 : 0);
    mem_free(copy);
    return fs;
}
