/* Private to the memtable: the links of a series' chain, for memtable.c and memgroup.c. */
#pragma once
#include "metrics/memtable.h"

#define MEM_CHUNK_SEG_SHIFT 10
#define MEM_CHUNK_SEG       (1u << MEM_CHUNK_SEG_SHIFT)

static inline MemChunk *mem_chunk(const MemTable *m, u32 i)
{
    return &m->segs.at[i >> MEM_CHUNK_SEG_SHIFT][i & (MEM_CHUNK_SEG - 1)];
}
static inline MemLink mem_head(const MemTable *m, u32 local)
{
    return seg_has(&m->heads, local) ? *(MemLink *)seg_at(&m->heads, local) : (MemLink){0};
}
MemLink *mem_head_at(MemTable *m, u32 local); /* makes room */
static inline bool link_is_group(MemLink l)
{
    return l.at & MEM_GROUP;
}
static inline MemGroup *link_group(const MemTable *m, MemLink l)
{
    return m->groups.at[l.at & ~MEM_GROUP];
}
static inline MemLink link_before(const MemTable *m, MemLink l)
{
    if (!link_is_group(l)) {
        const MemChunk *c = mem_chunk(m, l.at);
        return (MemLink){c->prev, c->prev_col};
    }
    const MemGroup *g = link_group(m, l);
    return g->before ? g->before[l.col] : (MemLink){0};
}
static inline bool link_is_unsorted(const MemTable *m, MemLink l)
{
    return l.at && !link_is_group(l) && mem_chunk(m, l.at)->is_unsorted;
}
/* The budget is enforced at the door, before a batch is applied; what a batch adds past it goes uncharged. */
void mem_grew(MemTable *m, size_t bytes);
void mem_span(MemTable *m, i64 t, u32 samples);

/* The value of a column in a row; false when it has none there. */
bool column_at(const MemGroup *g, u32 col, u32 row, f64 *ret);
/* Appends the column's samples of [mint, maxt]. */
void column_read(const MemGroup *g, u32 col, i64 mint, i64 maxt, SampleVec *out);
void group_free(MemGroup *g);
