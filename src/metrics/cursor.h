/* A cursor's insides: select.c opens it and hands out views, batch.c reads the samples. */
#pragma once
#include "metrics/head.h"
#include "metrics/values.h"

#define BATCH_SAMPLES (1u << 18) /* a batch ends early past this */

typedef struct Source { /* one block that a series has somewhere */
    u32 part;
    u32 range[2];  /* of its samples, those within the hints' times */
    bool is_whole; /* `aggr` is given in its place */
    PageAggr aggr;
} Source;

typedef struct Placed { /* one series of the batch */
    u32 sid, in_head;   /* its place in the head's batch */
    u32 t, at, n;       /* samples.t[t..t + n) with samples.v[at..at + n) */
    u32 columns;        /* of the n the last so many are decoded from columns, after all parts */
    u32 pages, pages_len;
    bool shares_times; /* t is the series' before */
    bool
        may_be_shared; /* sources and times are as they stand in *_before; the next series may have the same */
    bool is_unsorted;  /* the columns are not newer than all of the parts */
} Placed;

typedef VEC(Source) Sources;
typedef struct Cursor {
    SeriesCursor cursor;
    Snapshot snap;
    SelectHints hints;
    Cancel *cancel;
    Arena *arena; /* the query's: labels live there */
    Arena batch;  /* histograms of the batch, pointers */
    SidList ids;
    u32 at, given; /* next id; series given so far */
    PartCursor *parts;
    u32 parts_len;
    VEC(Tomb *) tombs; /* borrowed from the version */
    GroupKeys groups;
    u32 *by_maxt;   /* with newest_only: parts, the one with the newest time first */
    i64 parts_maxt; /* newest time in any part of the range */
    /* the batch */
    HeadBatch head, rest; /* rest: with newest_only, series that need more than their newest row */
    SampleVec samples;
    Placed placed[BATCH_SERIES];
    u32 placed_len;
    VEC(PageAggr) pages; /* with want_pages */
    /* of one series, and of the one before: its blocks and what becomes of them */
    PartBlocks blocks, blocks_before;
    Sources sources, sources_before;
    VEC(u32) by_time;
} Cursor;

/* The next up to max <= BATCH_SERIES series into the batch, those that have something. */
Err batch_read(Cursor *c, u32 max, Why *why);
/* Histogram pointers of one of them; NULL where it has none. They live until the batch's arena is reset. */
Err batch_hists(Cursor *c, const Placed *p, const Histogram *const **ret, Why *why);
