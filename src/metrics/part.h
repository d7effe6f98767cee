/* Parts: immutable files of samples, series by series in order of id. docs/formats/metrics-part.md has every byte.
 *
 *     header | page ... page | index (one entry per page) | footer
 *
 * A page holds a directory (series id -> block), the distinct timestamp columns of its blocks, and blocks of at most 1,024 samples;
 * series scraped together share a column. The index carries each page's checksum, verified whenever a cursor loads the page: a
 * damaged page is skipped, counted, logged once and remembered; everything else of the part stays readable.
 *
 * A Part is reference-counted and read by any number of threads, each with its own cursor.
 */
#pragma once
#include "metrics/samples.h"
#include "metrics/slab.h"
#include "store/store.h"

#define PART_BLOCK_MAX   1024u
#define PART_HEAD_BYTES  16u
#define PART_FOOT_BYTES  56u
#define PART_ENTRY_BYTES 40u
#define PART_LEVELS      5u

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
    _Atomic u32 bad_pages;
    _Atomic(u8 *) bad; /* per page, once one was found */
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

typedef struct PartCursor {
    Part *part; /* borrowed */
    u32 page;   /* loaded; UINT32_MAX = none */
    const u8 *at;
    u32 len, blocks, columns, pos;
    i64 **times; /* decoded columns of the page, or NULL */
    u32 *times_len;
    Arena arena;
} PartCursor;
void part_cursor_init(PartCursor *c, Part *p);
void part_cursor_done(PartCursor *c);
/* Appends the series' samples of [mint, maxt]. Fast when sids ascend from call to call. */
void part_cursor_read(PartCursor *c, u32 sid, i64 mint, i64 maxt, SampleVec *out);
/* The smallest series id over `after`; 0 = none. */
u32 part_cursor_next(PartCursor *c, u32 after);

/* Does the part hold samples of this series? Built at the first question (a bit per series id). */
bool part_has(Part *p, u32 sid);
/* Reads everything; counts damaged pages and says what is wrong with the first. */
Err part_verify(Part *p, u32 *ret_bad_pages, Why *why);
