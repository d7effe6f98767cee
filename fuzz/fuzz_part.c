/* Bytes as a part: opening, verifying, reading, asking for presence. What checksums and sizes cover is mended first, or nothing beyond
 * them would be reached. */
#include "metrics/bytes.h"
#include "base/log.h"
#include "metrics/part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pages follow one another up to the index, as many and as long as the bytes there ask for. */
static void mend(u8 *at, size_t n)
{
    if (n < PART_HEAD_BYTES + PART_FOOT_BYTES + PART_ENTRY_BYTES)
        return;
    memcpy(at, "PHPART\0\0\0\0\0\0", 12);
    u8 *foot = at + n - PART_FOOT_BYTES;
    u64 room = n - PART_HEAD_BYTES - PART_FOOT_BYTES;
    u32 pages = 1 + (u32)(foot[8] % MIN(4u, room / PART_ENTRY_BYTES)), crc;
    u64 index = n - PART_FOOT_BYTES - pages * PART_ENTRY_BYTES, off = PART_HEAD_BYTES;
    for (u32 i = 0; i < pages; i++) {
        u8 *e = at + index + (size_t)i * PART_ENTRY_BYTES;
        u32 len = i + 1 < pages ? (u32)(load_u32(e + 16) % (index - off + 1)) : (u32)(index - off);
        crc = crc32c(0, at + off, len);
        memcpy(e + 8, &off, 8);
        memcpy(e + 16, &len, 4);
        memcpy(e + 20, &crc, 4);
        off += len;
    }
    memcpy(foot, &index, 8);
    memcpy(foot + 8, &pages, 4);
    crc = crc32c(0, at + index, pages * PART_ENTRY_BYTES);
    memcpy(foot + 12, &crc, 4);
    crc = crc32c(0, foot, 48);
    memcpy(foot + 48, &crc, 4);
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
    part_cursor_init(&c, p);
    u32 sid = 0;
    for (u32 i = 0; i < 200 && (sid = part_cursor_next(&c, sid)); i++) {
        samples_clear(&s);
        part_cursor_read(&c, sid, i % 3 ? INT64_MIN : 1000, i % 3 ? INT64_MAX : 2000000, &s);
        if (s.len)
            samples_settle(&s, 0);
    }
    part_cursor_done(&c);
    samples_done(&s);
    if (!p->is_broken && p->sid_max - p->sid_min < 1u << 20)
        part_has(p, p->sid_min + 1);
    u32 bad;
    part_verify(p, &bad, NULL);
    part_unref(p);
    mem_free(copy);
    return 0;
}
