/* The memtable of one tenant and shard: samples since the last flush.
 *
 * A series is a chain, newest first, of two kinds of links. A chunk is one cache line with four samples of one series, times as
 * 32-bit offsets. A column is the series' place in a group: series that come together, scrape after scrape, share their times, and
 * a row holds only the values that differ from the row before (a bit per column says which). Histograms are blobs in a chain
 * of their own. Samples arrive mostly in order; one that does not marks its chain, and reading sorts it. A column takes samples
 * only while it is the newest link of its series and they are in order, so columns are never unsorted and lie on nothing unsorted.
 * The owner is whoever holds the shard's lock; once frozen (swapped out by a flush) it only is read, by anyone holding a
 * reference. `local` is the series' index within its shard.
 */
#pragma once
#include "metrics/samples.h"
#include "metrics/slab.h"

/* at: 0 = none, the index of a chunk, or MEM_GROUP | the index of a group, col being the column in it. */
typedef struct MemLink {
    u32 at, col;
} MemLink;
#define MEM_GROUP       0x80000000u
#define MEM_COLUMNS_MAX (1u << 20) /* of a group */

typedef struct MemChunk {
    i64 base;
    u32 prev;
    u32 prev_col : 24, n : 7;
    u32 is_unsorted : 1; /* in this chunk or an older one of the chain */
    i32 dt[4];
    f64 v[4];
} MemChunk;

typedef struct HistNode HistNode;
struct HistNode {
    i64 t;
    HistNode *prev;
    u32 len;
    bool is_unsorted; /* it or an older one is not newer than its elders */
    char bytes[];
};

/* "No sample in this row": the bits of a value that nothing but a group may hold. */
#define MEM_ABSENT_BITS 0x7ff4dead0ab5e47dULL

typedef struct MemGroup {
    u64 id; /* names it in the log */
    u32 len, rows, rows_cap;
    u32 log_epoch;     /* of the shard when its definition was logged */
    u32 absent;        /* columns without a sample in the newest row */
    bool is_shadowed;  /* some series of it has a newer link */
    u32 *sids;         /* by column */
    f64 *first, *last; /* of the first and the newest row */
    MemLink *before;   /* the next link of each column; NULL: none has one */
    i64 *times;
    u64 **
        changes; /* by row: bits, then ranks (u32 per word of bits), then the changed values; NULL: nothing changed */
} MemGroup;

typedef struct MemTable {
    _Atomic u32 refs;
    u32 number; /* of this process's life: no other table has it */
    Account *account;
    VEC(MemChunk *) segs; /* of MEM_SEG chunks */
    u32 chunks;
    VEC(MemGroup *) groups;
    SegArray heads; /* local -> MemLink */
    u32 heads_len;
    U64Map hists; /* local -> HistNode * */
    Arena blobs;
    u64 samples, bytes;
    u32 series;
    i64 mint, maxt;
} MemTable;

typedef enum MemResult { MEM_ADDED, MEM_ADDED_LATE, MEM_SAME, MEM_CONFLICT } MemResult;

MemTable *mem_new_table(Account *account);
static inline MemTable *mem_ref(MemTable *m)
{
    m->refs++;
    return m;
}
void mem_unref(MemTable *m); /* NULL is fine */

/* What adding would come to, without adding. A conflict is seen within the newest MEM_LOOK_BACK samples of the series. */
#define MEM_LOOK_BACK 256
MemResult mem_check(const MemTable *m, u32 local, i64 t, f64 v);
MemResult mem_check_hist(const MemTable *m, u32 local, i64 t, Str blob);
/* Adds after mem_check said so. *ret_new: the series had nothing in this table. */
void mem_add(MemTable *m, u32 local, i64 t, f64 v, bool is_late, bool *ret_new);
void mem_add_hist(MemTable *m, u32 local, i64 t, Str blob, bool *ret_new);
bool mem_has(const MemTable *m, u32 local);
bool mem_has_hists(const MemTable *m, u32 local);
/* Appends the series' samples of [mint, maxt] to out, ascending. Blobs live as long as the table. */
void mem_read(const MemTable *m, u32 local, i64 mint, i64 maxt, SampleVec *out);

/* ---- groups (memgroup.c) ---- */

/* A new group for up to n series. mem_group_join adds the series with its first sample, unless that is out of order, or the
 * series has histograms here or is in the group already: then false, and nothing happened. mem_group_open ends the joining
 * and tells how many joined for the first time; a group nobody joined is gone then, and the answer NULL. */
MemGroup *mem_group_new(MemTable *m, u64 id, u32 n);
bool mem_group_join(MemTable *m, MemGroup *g, u32 sid, u32 local, i64 t, f64 v, bool *ret_new);
MemGroup *mem_group_open(MemTable *m, MemGroup *g, i64 t);
static inline u32 mem_group_index(const MemTable *m)
{
    return (u32)m->groups.len - 1;
}
/* The column of the series that may take a sample newer than the group's last; UINT32_MAX = none. */
u32 mem_group_column(const MemTable *m, u32 group, u32 local);
static inline i64 mem_group_last_t(const MemGroup *g)
{
    return g->times[g->rows - 1];
}
/* One value per column, MEM_ABSENT_BITS where there is none; t is over the last. `changed` (may be NULL) learns what differs, as the
 * log records it: the bits, then each changed value. Returns how many samples there are. */
u32 mem_row_add(MemTable *m, MemGroup *g, i64 t, const f64 *values, Buf *changed);
