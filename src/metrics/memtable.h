/* The memtable of one tenant and shard: samples since the last flush.
 *
 * A series is a chain of chunks, newest first; a chunk is one cache line with four samples, times as 32-bit offsets. Histograms
 * are blobs in a chain of their own. Samples arrive mostly in order; one that does not marks its chain, and reading sorts it.
 * The owner is whoever holds the shard's lock; once frozen (swapped out by a flush) it only is read, by anyone holding a
 * reference. Index 0 of chunks means none; `local` is the series' index within its shard.
 */
#pragma once
#include "metrics/samples.h"
#include "metrics/slab.h"

typedef struct MemChunk {
    i64 base;
    u32 prev;
    u8 n;
    u8 is_unsorted; /* in this chunk or an older one of the chain */
    u16 pad;
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

typedef struct MemTable {
    _Atomic u32 refs;
    Account *account;
    VEC(MemChunk *) segs; /* of MEM_SEG chunks */
    u32 chunks;
    SegArray heads; /* local -> newest chunk */
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
/* Appends the series' samples of [mint, maxt] to out, ascending. Blobs live as long as the table. */
void mem_read(const MemTable *m, u32 local, i64 mint, i64 maxt, SampleVec *out);
