/* Private to the sink: one batch under way. write.c does items, write_row.c does rows. */
#pragma once
#include "metrics/engine.h"

#define RECORD_BUF_MAX (64u << 20)

typedef struct WriteWait WriteWait;
typedef struct Fresh { /* an item that is one plain sample of the row to come */
    u32 item, sid, local;
    f64 v;
} Fresh;
typedef struct Writer {
    MetricsEngine *e;
    const SampleBatch *batch;
    Tenant *t;
    SinkResult *ret;
    u64 *hints;
    WriteWait *wait;
    i64 oldest; /* samples before are too old */
    Shard *sh;
    TenantShard *ts;
    MemTable *table;
    u64 table_bytes; /* when the shard was entered */
    Buf defs, items, scratch;
    VEC(Defined) defined;
    u32 last_sid;
    u64 active;
    bool has_items, may_create, has_deferred;
    i64 base, mint, maxt;
    VEC(SeriesItem) loose; /* of the row: samples that go the items' way; each with one sample */
    VEC(Sample) loose_samples;
    VEC(Fresh) fresh; /* of the shard under way */
    U64Map fresh_sids;
} Writer;

/* Takes the shard's lock and readies w for its table; false, without the lock, when the log takes nothing. */
bool shard_enter(Writer *w);
void shard_leave(Writer *w);
/* Hands bytes (consumed) over to the log, in the shard's lane. */
void record_post(Writer *w, u8 type, Buf *bytes, Defined *defined, u32 defined_len);
/* 0 when the hint is not of this engine's life or its series is gone. */
u32 hint_sid(const Tenant *t, u64 hint);

/* The batch's row. What cannot go in a group is left in w->loose. */
void row_write(Writer *w);
/* Puts w->fresh in a group, which the caller's first row will find. What finds no place there stays in w->fresh. */
void fresh_write(Writer *w);
bool fresh_fits(const Writer *w, const SeriesItem *it);
