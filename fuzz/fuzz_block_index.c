/* The index of a block of Prometheus, beside a file with one good chunk. Checksums are mended first, or nothing behind them would
 * be reached. */
#include "../tests/unit/simfs.c"

#include "base/log.h"
#include "metrics/blocks/blocks.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void be32(u8 *at, u32 v)
{
    at[0] = (u8)(v >> 24), at[1] = (u8)(v >> 16), at[2] = (u8)(v >> 8), at[3] = (u8)v;
}

/* Symbols at 5, series behind them at a multiple of 16, as many as there are. */
static void mend(u8 *at, size_t n)
{
    u8 *toc = at + n - 52;
    u32 room = (u32)(n - 52 - 5), symbols = room > 16 ? 4 + (u32)(at[5] << 8 | at[6]) % (room - 12) : 4;
    memcpy(at, "\xba\xaa\xd7\x00\x02", 5);
    be32(at + 5, symbols);
    be32(at + 9 + symbols, crc32c(0, at + 9, symbols));
    u32 series = (9 + symbols + 4 + 15) & ~15u;
    for (size_t s = series; s + 8 < n - 52; s = (s + 15) & ~(size_t)15) {
        u32 body = at[s] % 100;
        if (s + 1 + body + 4 > n - 52)
            break;
        at[s] = (u8)body;
        be32(at + s + 1 + body, crc32c(0, at + s + 1, body));
        s += 1 + body + 4;
    }
    memset(toc, 0, 52);
    be32(toc + 4, 5);
    be32(toc + 12, series);
    be32(toc + 48, crc32c(0, toc, 48));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    static const char meta[] =
        "{\"ulid\":\"01M8GYVBJCMMYP715AH00YJHKN\",\"minTime\":0,\"maxTime\":10,\"version\":1}";
    if (len < 100 || len > 1 << 16)
        return 0;
    log_set_level(LOG_LEVEL_ERROR + 1);
    u8 *copy = mem_alloc(len);
    memcpy(copy, data, len);
    if (data[0] % 8)
        mend(copy, len);
    Buf chunk, segment;
    ChunkKind kind;
    u8 sum[4];
    buf_init(&chunk, 1 << 16);
    buf_init(&segment, 1 << 16);
    chunk_encode((i64[]){1, 2, 3}, (f64[]){1, 2, 3}, NULL, 3, &chunk, &kind);
    buf_put(&segment, "\x85\xbd\x40\xdd\x01\0\0\0", 8);
    buf_char(&segment, (char)chunk.len);
    buf_char(&segment, (char)kind);
    buf_str(&segment, buf_view(&chunk));
    be32(sum, crc32c(0, segment.at + 9, segment.len - 9));
    buf_put(&segment, sum, 4);
    SimFs *fs = simfs_new();
    simfs_put(fs, "/b/meta.json", meta, sizeof meta - 1);
    simfs_put(fs, "/b/index", copy, len);
    simfs_put(fs, "/b/chunks/000001", segment.at, segment.len);
    simfs_put(fs, "/b/tombstones", data, MIN(len, (size_t)40));
    for (int with_stones = 0; with_stones < 2; with_stones++) {
        Block *b;
        BlockPiece p;
        Why why = {0};
        Err e = block_open(&b, simfs_vfs(fs), "/b", &why);
        for (u32 i = 0; e == OK && i < 10000; i++)
            if (block_next(b, &p, &why) != OK)
                break;
        if (e == OK)
            block_close(b);
        if (!with_stones)
            simfs_vfs(fs)->unlink(simfs_vfs(fs), "/b/tombstones", NULL);
    }
    simfs_free(fs);
    mem_free(copy);
    buf_done(&chunk);
    buf_done(&segment);
    return 0;
}
