/* Parts: immutable files of samples, series by series in order of id. docs/formats/metrics-part.md has every byte.
 *
 *     header | bodies and directories of pages | index (one entry per page) | footer
 *
 * A block is at most 1,024 samples of one series; a page is a directory of blocks and their bodies. The directory says everything about
 * a block but its samples: the series, the times it shares with others of the same scrape, how its values are packed, and what
 * they come to (count, first, last, min, max, sums, resets). Directories lie together, so that questions answered by them touch no body.
 * A directory has one checksum, the bodies of about 4 KB of blocks another, verified whenever a cursor decodes from them: what is damaged
 * is skipped by page, counted, logged once and remembered; everything else of the part stays readable.
 *
 * A Part is reference-counted and read by any number of threads, each with its own cursor.
 */
#pragma once
#include "metrics/samples.h"
#include "metrics/slab.h"
#include "metrics/values.h"
#include "store/store.h"

#define PART_FORMAT       1u
#define PART_BLOCK_MAX    VALUES_N_MAX
#define PART_HEAD_BYTES   16u
#define PART_FOOT_BYTES   56u
#define PART_ENTRY_BYTES  56u
#define PART_DIR_BYTES    8u    /* of a directory's head */
#define PART_GROUP_BYTES  16u   /* of one group in it */
#define PART_GROUP_BLOCKS 32u   /* a group of blocks ends here, */
#define PART_GROUP_BODY   4096u /* or here */
#define PART_AGGR_MIN     64u   /* shorter blocks carry no aggregates but those that their head implies */
#define PART_LEVELS       5u

typedef struct PartMeta { /* what the manifest knows */
    u64 seq;              /* names the object */
    u32 tenant, level;
    i64 mint, maxt;
    u64 bytes, samples;
    u32 series;
    u64 tomb_seen; /* deletes up to this one are applied in it or older than it */
} PartMeta;

typedef struct Part {
    _Atomic u32 refs;
    PartMeta meta;
    Bucket *bucket;
    File *file; /* of the mapping; NULL = data is our own copy */
    const u8 *data;
    u8 *copy;
    const u8 *index; /* entries, not aligned */
    u32 pages;
    u32 sid_min, sid_max;
    bool is_broken; /* cannot be read at all; kept so that fsck and the operator find it */
    u64 index_at;
    _Atomic u32 bad_pages;
    _Atomic u8 *state; /* of each page: its directory not looked at yet, good, or damaged */
    _Atomic(u64 *) presence;
} Part;

/* Where sample series come from while a part is written: series in ascending order, *ret_sid 0 = end. The vector is the writer's. */
typedef struct PartSource {
    Err (*next)(struct PartSource *s, u32 *ret_sid, SampleVec *out, Why *why);
} PartSource;

void part_key(char out[64], u32 tenant, u64 seq);
/* Writes the part and fills in meta's times, bytes, samples and series. E_NOT_FOUND: the source had nothing, no part was made. */
Err part_store(Bucket *b, PartSource *src, PartMeta *meta, Why *why);
/* For tests and tools: the bytes of a part. */
Err part_encode(PartSource *src, PartMeta *meta, Buf *out, Why *why);

/* Never fails for damage: the part is then is_broken. E_IO and the like are failures. */
Err part_open(Part **ret, Bucket *b, const PartMeta *meta, Why *why);
Part *part_from_bytes(const u8 *at, u64 n, const PartMeta *meta); /* borrows; for tests and fuzzing */
static inline Part *part_ref(Part *p)
{
    p->refs++;
    return p;
}
void part_unref(Part *p);

enum { TIMES_ONE, TIMES_REGULAR, TIMES_CODED };
typedef struct PartTimes { /* of a block */
    u32 n;
    u8 kind;
    i64 first, last;
    u64 step; /* TIMES_REGULAR */
    u64 at;   /* TIMES_CODED: where in the file */
    u32 len;
} PartTimes;

typedef struct PartBlock {
    u32 sid, page;
    bool is_hist;
    PartTimes times;
    ValueHead head;
    Str aggr; /* empty: none */
    u64 body; /* where in the file */
    /* What its checksum covers. */
    u64 group_at;
    u32 group_len, group_crc;
} PartBlock;
typedef VEC(PartBlock) PartBlocks;

#define PART_TIMES_KEPT 12u
typedef struct PartCursor {
    Part *part; /* borrowed */
    u32 page;   /* its directory is loaded; UINT32_MAX = none */
    const u8 *dir;
    u32 dir_len, groups, columns, entries_at;
    PartTimes *times; /* of the page */
    u64 body_at, body_len;
    u32 group; /* its blocks are in `block`; UINT32_MAX = none */
    u32 blocks, pos;
    PartBlock block[PART_GROUP_BLOCKS];
    u64 verified; /* group_at of the bodies verified last; 0 = none */
    struct PartKept {
        PartTimes of; /* `at` 0 = free */
        i64 *t;
    } kept[PART_TIMES_KEPT]; /* decoded */
    u32 kept_next;
    PartBlocks found; /* part_cursor_read's */
    Arena arena;
} PartCursor;
void part_cursor_init(PartCursor *c, Part *p);
void part_cursor_done(PartCursor *c);
/* Appends the series' samples of [mint, maxt]. Fast when sids ascend from call to call. */
void part_cursor_read(PartCursor *c, u32 sid, i64 mint, i64 maxt, SampleVec *out);
/* The same in two steps. Appends the series' blocks that overlap [mint, maxt], in the part's order; they are good for the part's life. */
void part_cursor_blocks(PartCursor *c, u32 sid, i64 mint, i64 maxt, PartBlocks *out);
/* Appends the block's samples of [mint, maxt], which are ret_range[0] to [1] of it (NULL: not asked). False: damaged, nothing was
 * appended; the page is out from now on. */
bool part_cursor_decode(PartCursor *c, const PartBlock *b, i64 mint, i64 maxt, SampleVec *out,
                        u32 *ret_range);
/* The same for a block whose times are known already: `range` of its values, leaving out->t as it is. */
bool part_cursor_values(PartCursor *c, const PartBlock *b, const u32 *range, SampleVec *out);
/* What the whole block comes to, but for `at`. False: not known. */
bool part_block_aggr(const PartBlock *b, PageAggr *ret);
/* The smallest series id over `after`; 0 = none. */
u32 part_cursor_next(PartCursor *c, u32 after);

/* Does the part hold samples of this series? Built at the first question (a bit per series id). */
bool part_has(Part *p, u32 sid);
/* Reads everything; counts damaged pages and says what is wrong with the first. */
Err part_verify(Part *p, u32 *ret_bad_pages, Why *why);
