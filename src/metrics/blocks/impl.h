/* What the files of blocks/ share. */
#pragma once
#include "metrics/blocks/blocks.h"

#define BLOCK_TMP_ENDING  ".tmp-for-creation"
#define INDEX_MAGIC       0xbaaad700u
#define CHUNKS_MAGIC      0x85bd40ddu
#define TOMBSTONES_MAGIC  0x0130ba30u
#define SEGMENT_BYTES_MAX (512u << 20)
enum {
    INDEX_VERSION = 2,
    CHUNKS_VERSION = 1,
    TOMBSTONES_VERSION = 1,
    SEGMENT_HEAD_BYTES = 8,
    TOC_BYTES = 52,
    SERIES_ALIGN = 16
};

static inline void put_be32(u8 *at, u32 v)
{
    at[0] = (u8)(v >> 24), at[1] = (u8)(v >> 16), at[2] = (u8)(v >> 8), at[3] = (u8)v;
}
static inline u32 get_be32(const u8 *at)
{
    return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3];
}
static inline u64 get_be64(const u8 *at)
{
    return (u64)get_be32(at) << 32 | get_be32(at + 4);
}

static inline void buf_uvarint(Buf *b, u64 v)
{
    for (; v >= 0x80; v >>= 7)
        buf_char(b, (char)(v | 0x80));
    buf_char(b, (char)v);
}

/* A file written from its start to its end, through a buffer. The first error sticks. */
typedef struct FileWriter {
    File *f;
    u64 at; /* bytes so far */
    Buf b;
    u32 crc; /* Castagnoli, since crc_from() */
    Err err;
    Why why;
} FileWriter;
void fw_open(FileWriter *w, Vfs *v, const char *path);
void fw_put(FileWriter *w, const void *at, size_t n);
void fw_be32(FileWriter *w, u32 v);
void fw_be64(FileWriter *w, u64 v);
void fw_uvarint(FileWriter *w, u64 v);
void fw_str(FileWriter *w, Str s); /* uvarint length, then the bytes */
void fw_align(FileWriter *w, u32 to);
void fw_crc_from(FileWriter *w);
void fw_crc_put(FileWriter *w); /* the checksum since fw_crc_from */
/* Flushed, synced, closed. */
Err fw_close(FileWriter *w, Why *why);

/* ---- a block that is being written ---- */

/* What is kept of a series, one after the other in BlockWriter.pool: u32 labels, as many pairs of u32 symbols, u32 chunks,
 * u32 bytes, and that many bytes of varints: per chunk mint - last maxt (zigzag), maxt - mint, place - last place (zigzag). */
typedef struct ChunkPlace {
    i64 mint, maxt;
    u64 ref; /* segment << 32 | offset */
} ChunkPlace;
struct BlockWriter {
    Vfs *vfs;
    char dir[1100], parent[1000], ulid[BLOCK_ULID_LEN + 1];
    FileWriter chunks;
    u32 segment; /* number of the open one; 0 = none */
    Arena strings;
    StrMap symbol_ids; /* -> id + 1 */
    VEC(Str) symbols;
    Buf pool;
    VEC(u64) series; /* places in pool */
    i64 mint, maxt;
    u64 samples, float_samples, chunks_len;
};
Err index_write(BlockWriter *w, const char *path, Why *why);

typedef VEC(BlockMeta) ParentList; /* only names in it */
/* parents (may be NULL) gets the blocks that this one was made of. */
Err block_meta_load(BlockMeta *ret, ParentList *parents, Vfs *v, const char *dir, Why *why);
