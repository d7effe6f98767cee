/* Bytes as a part: opening, verifying, reading, asking for presence. What checksums and sizes cover is mended first, or nothing beyond
 * them would be reached. */
#include "metrics/bytes.h"
#include "base/log.h"
#include "metrics/part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void crc_mend(u8 *crc, const u8 *at, u64 n)
{
    u32 c = crc32c(0, at, n);
    memcpy(crc, &c, 4);
}

/* A directory's groups and coded times get the checksums that their bytes have. */
static void dir_mend(u8 *at, u64 index, u64 dir, u32 dir_len, u64 body, u32 body_len)
{
    u64 groups = load_u32(at + dir) % 8;
    if (PART_DIR_BYTES + groups * PART_GROUP_BYTES > dir_len)
        return;
    u32 count = (u32)groups;
    memcpy(at + dir, &count, 4);
    for (u64 i = 0; i < groups; i++) {
        u8 *g = at + dir + PART_DIR_BYTES + i * PART_GROUP_BYTES;
        u64 from = load_u32(g + 8), to = i + 1 < groups ? load_u32(g + PART_GROUP_BYTES + 8) : body_len;
        if (from <= to && to <= body_len)
            crc_mend(g + 12, at + body + from, to - from);
    }
    if (body >= PART_HEAD_BYTES + 64 && body < index) /* one place of coded times that a directory may name */
        crc_mend(at + body - 64, at + body - 60, 60);
}

/* Pages share what lies before the index, cut as the bytes there ask for. */
static void mend(u8 *at, size_t n)
{
    if (n < PART_HEAD_BYTES + PART_FOOT_BYTES + PART_ENTRY_BYTES)
        return;
    memcpy(at, "PHPART\0\0\1\0\0\0\0\0\0\0", PART_HEAD_BYTES);
    u8 *foot = at + n - PART_FOOT_BYTES;
    u64 room = n - PART_HEAD_BYTES - PART_FOOT_BYTES;
    u32 pages = 1 + (u32)(foot[8] % MIN(4u, room / PART_ENTRY_BYTES));
    u64 index = n - PART_FOOT_BYTES - pages * PART_ENTRY_BYTES, space = index - PART_HEAD_BYTES;
    for (u32 i = 0; i < pages; i++) {
        u8 *e = at + index + (size_t)i * PART_ENTRY_BYTES;
        u64 body = PART_HEAD_BYTES + load_u64(e + 8) % (space + 1),
            dir = PART_HEAD_BYTES + load_u64(e + 16) % (space + 1);
        u32 body_len = (u32)(load_u32(e + 24) % (index - body + 1)),
            dir_len = (u32)(load_u32(e + 28) % (index - dir + 1));
        memcpy(e + 8, &body, 8);
        memcpy(e + 16, &dir, 8);
        memcpy(e + 24, &body_len, 4);
        memcpy(e + 28, &dir_len, 4);
        if (dir_len >= PART_DIR_BYTES)
            dir_mend(at, index, dir, dir_len, body, body_len);
    }
    for (u32 i = 0; i < pages; i++) {
        u8 *e = at + index + (size_t)i * PART_ENTRY_BYTES;
        crc_mend(e + 32, at + load_u64(e + 16), load_u32(e + 28));
    }
    memcpy(foot, &index, 8);
    memcpy(foot + 8, &pages, 4);
    crc_mend(foot + 12, at + index, pages * PART_ENTRY_BYTES);
    crc_mend(foot + 48, foot, 48);
    memcpy(foot + 52, "PHPE", 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_fd(-1);
    u8 *copy = mem_alloc(size + 1);
    memcpy(copy, data, size);
    mend(copy, size);
    PartMeta meta = {.bytes = size};
    Part *p = part_from_bytes(copy, size, &meta);
    PartCursor c;
    SampleVec s = {0};
    PartBlocks blocks = {0};
    part_cursor_init(&c, p);
    u32 sid = 0;
    for (u32 i = 0; i < 200 && (sid = part_cursor_next(&c, sid)); i++) {
        samples_clear(&s);
        blocks.len = 0;
        part_cursor_blocks(&c, sid, INT64_MIN, INT64_MAX, &blocks);
        for (size_t k = 0; k < blocks.len; k++) {
            PageAggr a;
            part_block_aggr(&blocks.at[k], &a);
        }
        part_cursor_read(&c, sid, i % 3 ? INT64_MIN : 1000, i % 3 ? INT64_MAX : 2000000, &s);
        if (s.len)
            samples_settle(&s, 0);
    }
    part_cursor_done(&c);
    samples_done(&s);
    vec_done(&blocks);
    if (!p->is_broken && p->sid_max - p->sid_min < 1u << 20)
        part_has(p, p->sid_min + 1);
    u32 bad;
    part_verify(p, &bad, NULL);
    part_unref(p);
    mem_free(copy);
    return 0;
}
