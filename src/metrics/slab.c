#include "metrics/slab.h"

static void dir_push(Directory *d, void *p)
{
    if (d->len == d->cap) {
        check(d->generation < DIR_GENERATIONS);
        u32 cap = d->cap ? d->cap * 8 : 1;
        void **at = mem_zalloc(cap * sizeof(void *));
        if (d->len)
            memcpy(at, d->old[d->generation - 1], d->len * sizeof(void *));
        d->old[d->generation++] = at;
        d->cap = cap;
        atomic_store_explicit(&d->at, at, memory_order_release);
    }
    d->old[d->generation - 1][d->len++] = p;
}

static void dir_done(Directory *d)
{
    for (u32 i = 0; i < d->len; i++)
        mem_free(d->old[d->generation - 1][i]);
    for (u32 i = 0; i < d->generation; i++)
        mem_free(d->old[i]);
    *d = (Directory){0};
}

void seg_init(SegArray *s, u32 elem_bytes)
{
    *s = (SegArray){.elem_bytes = elem_bytes};
}

void seg_done(SegArray *s)
{
    dir_done(&s->dir);
}

void seg_grow(SegArray *s, u32 len)
{
    check(len <= SEG_MAX);
    while (((u64)s->dir.len << SEG_SHIFT) < len)
        dir_push(&s->dir, mem_zalloc((size_t)SEG_SIZE * s->elem_bytes));
}

void slab_init(Slab *s)
{
    *s = (Slab){.used = SLAB_CHUNK_UNITS};
}

void slab_done(Slab *s)
{
    dir_done(&s->dir);
}

/* Unit 0 of chunk 0 is never handed out, so that a reference is never 0. */
u32 slab_alloc(Slab *s, u32 units, u32 **ret)
{
    check(units && units < SLAB_CHUNK_UNITS);
    if (SLAB_CHUNK_UNITS - s->used < units) {
        if (s->dir.len == SLAB_CHUNKS_MAX)
            return 0;
        dir_push(&s->dir, mem_zalloc(SLAB_CHUNK_UNITS * sizeof(u32)));
        s->used = s->dir.len == 1 ? 1 : 0;
    }
    u32 ref = (s->dir.len - 1) << SLAB_SHIFT | s->used;
    *ret = (u32 *)dir_get(&s->dir, s->dir.len - 1) + s->used;
    s->used += units;
    return ref;
}

size_t slab_bytes(const Slab *s)
{
    return s->dir.len ? ((size_t)(s->dir.len - 1) * SLAB_CHUNK_UNITS + s->used) * sizeof(u32) : 0;
}
