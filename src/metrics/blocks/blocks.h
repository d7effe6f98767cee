/* blocks: Prometheus's TSDB blocks (index format 2, chunk format 1), written for it and read from it.
 *
 * A block is a folder: meta.json, index, chunks/000001 ..., tombstones. docs/formats/prometheus-blocks.md says what of the format
 * is used here. Everything is read through a map of the file, every offset and length is checked, checksums are verified.
 *
 * Writing keeps labels and places of chunks in memory (about 200 bytes per series), samples go to disk as they come. The
 * folder carries the suffix .tmp-for-creation until it is whole, as Prometheus's own, which that removes at its start.
 *
 * One thread at a time per writer or block.
 */
#pragma once
#include "base/base.h"
#include "metrics/promql/promql.h"
#include "model/model.h"

enum { BLOCK_ULID_LEN = 26, BLOCK_CHUNK_SAMPLES = 120 };

/* ---- chunks (chunk.c): the payload between a chunk's length and its checksum ---- */
typedef enum ChunkKind { CHUNK_XOR = 1, CHUNK_HISTOGRAM = 2, CHUNK_FLOAT_HISTOGRAM = 3 } ChunkKind;
/* Encodes a run of samples of one kind that fit into one chunk, at most BLOCK_CHUNK_SAMPLES: floats (h NULL), or histograms of one
 * layout without a reset inside. Returns how many of the n were taken (n > 0: at least one); appends to out. */
u32 chunk_encode(const i64 *t, const f64 *v, const Histogram *const *h, u32 n, Buf *out, ChunkKind *ret_kind);
/* Samples of a chunk, in arena. h is NULL for floats. Hints are what Prometheus gives: the first of a chunk may say reset, later
 * ones say that there was none. E_CORRUPT, E_LIMIT (the arena's). */
typedef struct ChunkSamples {
    i64 *t;
    f64 *v;
    const Histogram **h;
    u32 n;
} ChunkSamples;
Err chunk_decode(ChunkKind kind, Str payload, Arena *arena, ChunkSamples *ret, Why *why);

/* ---- writing (block_write.c, index_write.c) ---- */
typedef struct BlockWriter BlockWriter;
/* Makes <parent>/<new ULID>.tmp-for-creation. */
Err block_writer_new(BlockWriter **ret, Vfs *vfs, const char *parent, Why *why);
/* A series, once; samples ascend. v[i] counts where h is NULL or h[i] is. Nothing happens for n = 0. */
Err block_writer_add(BlockWriter *w, Labels l, const i64 *t, const f64 *v, const Histogram *const *h, u32 n,
                     Why *why);
/* Index and meta.json, synced and renamed; frees w whatever comes. Without any series nothing is left, *ret_ulid is empty. */
Err block_writer_end(BlockWriter *w, char ret_ulid[BLOCK_ULID_LEN + 1], Why *why);
void block_writer_abandon(BlockWriter *w); /* NULL is fine */

/* What a source holds of a tenant in [mint, maxt] as one block per day_ms in dir (made when missing); fn (may be NULL) hears
 * of each. */
Err blocks_export(Vfs *vfs, PromSource *source, Str tenant, Matchers m, i64 mint, i64 maxt, const char *dir,
                  Cancel *cancel, u32 *ret_blocks, Why *why);

/* ---- reading (block_read.c) ---- */
typedef struct BlockMeta {
    char ulid[BLOCK_ULID_LEN + 1];
    i64 mint, maxt; /* ms; maxt is past the last sample */
    u64 samples, series, chunks;
} BlockMeta;
typedef struct Block Block;
/* E_CORRUPT with what is wrong; E_NOT_FOUND: no block there. */
Err block_open(Block **ret, Vfs *vfs, const char *dir, Why *why);
void block_close(Block *b); /* NULL is fine */
const BlockMeta *block_meta(const Block *b);
u64 block_bytes(const Block *b);    /* of index and chunks */
u64 block_progress(const Block *b); /* of the index's series section: bytes read so far ... */
u64 block_progress_end(const Block *b);
typedef struct BlockPiece {
    Labels labels;
    const i64 *t; /* ascending, over all pieces of a series */
    const f64 *v;
    const Histogram *const *h; /* NULL: floats only; else NULL = float */
    u32 n;                     /* 0: a series whose samples are all deleted */
    bool is_first;             /* of its series */
} BlockPiece;
/* Series in the order of their labels, a long one in pieces, samples under tombstones left out. E_NOT_FOUND at the end.
 * What *ret points to lives until the next call. E_CORRUPT names the place; going on is possible only with another block. */
Err block_next(Block *b, BlockPiece *ret, Why *why);

/* The blocks below a data directory (or the one that dir is), by time; folders that are no blocks are passed over. A block that
 * another names as its parent is left out: Prometheus would delete it. */
typedef struct BlockList {
    VEC(BlockMeta) at;
    bool is_single; /* dir itself is a block */
    bool has_wal;   /* a write-ahead log beside them, with samples that may be in no block yet */
} BlockList;
Err blocks_list(BlockList *ret, Vfs *vfs, const char *dir, Why *why);
void blocks_list_done(BlockList *l);
