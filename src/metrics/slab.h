/* Memory with addresses that never move: what one thread published, others read without a lock.
 *
 * SegArray is an array of fixed-size elements in segments of 64 Ki; Slab hands out runs of 4-byte units, addressed by a u32 that
 * counts units (at most 4 GiB of them). Both only grow. Growing is serialised by the owner; an index may be read by another thread once the
 * owner's lock or an acquire/release pair has made it known there.
 */
#pragma once
#include "base/base.h"
#include <stdatomic.h>

#define SEG_SHIFT 16
#define SEG_SIZE  (1u << SEG_SHIFT)
#define SEG_MAX   (1u << 28) /* elements */

/* The directory grows by leaving the old one in place for those who still look through it. */
#define DIR_GENERATIONS 5 /* 1, 8, 64, 512, 4096 entries */
typedef struct Directory {
    _Atomic(void **) at;
    void **old[DIR_GENERATIONS];
    u32 len, cap, generation;
} Directory;
static inline void *dir_get(const Directory *d, u32 i)
{
    return atomic_load_explicit(&d->at, memory_order_acquire)[i];
}

typedef struct SegArray {
    Directory dir;
    u32 elem_bytes;
} SegArray;

void seg_init(SegArray *s, u32 elem_bytes);
void seg_done(SegArray *s);
void seg_grow(SegArray *s, u32 len); /* makes 0..len-1 addressable; new elements are zero */
static inline void *seg_at(const SegArray *s, u32 i)
{
    return (u8 *)dir_get(&s->dir, i >> SEG_SHIFT) + (size_t)(i & (SEG_SIZE - 1)) * s->elem_bytes;
}
static inline bool seg_has(const SegArray *s, u32 i)
{
    return (i >> SEG_SHIFT) < s->dir.len;
}

#define SLAB_SHIFT       18
#define SLAB_CHUNK_UNITS (1u << SLAB_SHIFT) /* 1 MiB */
#define SLAB_CHUNKS_MAX  4096u

typedef struct Slab {
    Directory dir;
    u32 used; /* units of the last chunk */
} Slab;

void slab_init(Slab *s);
void slab_done(Slab *s);
/* units <= SLAB_CHUNK_UNITS. Returns the reference, or 0 when 4 GiB are used up. */
u32 slab_alloc(Slab *s, u32 units, u32 **ret);
static inline const u32 *slab_at(const Slab *s, u32 ref)
{
    return (const u32 *)dir_get(&s->dir, ref >> SLAB_SHIFT) + (ref & (SLAB_CHUNK_UNITS - 1));
}
size_t slab_bytes(const Slab *s);
