/* What memtables hold of a batch of series: looked up under the shards' locks, decoded without them.
 *
 * Most series are columns of groups, and neighbours in a batch are columns of the same ones. Their rows never change once they are
 * written, so under the lock only pointers to them are taken, once per group; then all columns are decoded together, row by row. What
 * else there is (chunks, histograms, more links than PIECES_MAX) is copied under the lock series by series.
 */
#pragma once
#include "metrics/engine.h"
#include "metrics/memgroup.h"

#define BATCH_SERIES 256u
#define PIECES_MAX   4u

typedef struct MemSpan { /* of one series within `mem` of its batch */
    u32 from, len;
} MemSpan;

typedef struct HeadRows { /* of one group, as it was when the lock was held */
    const MemGroup *group;
    u32 from, to; /* rows within the times asked for; from < to */
    u32 at;       /* where rows 0 to `to` begin in HeadBatch.times and .changes */
} HeadRows;
typedef struct HeadPiece {
    u32 rows; /* index in HeadBatch.rows */
    u32 col;
} HeadPiece;
typedef struct HeadSeries {
    HeadPiece piece[PIECES_MAX]; /* oldest first, ascending in time */
    u32 pieces;
    u32 n;        /* rows of all pieces: so many samples, unless some are absent */
    MemSpan span; /* or samples in HeadBatch.mem */
} HeadSeries;
typedef struct HeadBatch {
    SampleVec mem;
    HeadSeries series[BATCH_SERIES];
    VEC(HeadRows) rows;
    VEC(i64) times;
    VEC(const u64 *) changes;
} HeadBatch;

typedef enum HeadWant {
    HEAD_COLUMNS, /* everything in the range */
    HEAD_NEWEST,  /* of columns only the newest row in the range; it may have no sample there */
    HEAD_COPIES,  /* everything, as copies in `mem` */
} HeadWant;

void head_done(HeadBatch *h);
/* What is there of n <= BATCH_SERIES series; replaces what h had. */
void head_take(HeadBatch *h, Snapshot *s, const u32 *ids, u32 n, i64 mint, i64 maxt, HeadWant want);
static inline const i64 *head_times(const HeadBatch *h, const HeadPiece *p, u32 *ret_n)
{
    const HeadRows *r = &h->rows.at[p->rows];
    *ret_n = r->to - r->from;
    return h->times.at + r->at + r->from;
}
bool head_same_rows(const HeadSeries *a, const HeadSeries *b); /* and so the same times */
/* The values of series[first..first + n), all with pieces and head_same_rows: of series first + i to out[i], MEM_ABSENT_BITS where a row
 * has none. ret_absent[i]: there are such. */
void head_decode(const HeadBatch *h, u32 first, u32 n, f64 *const *out, bool *ret_absent);
