#include "store/ilog_int.h"

typedef struct Key {
    char at[4 + REC_NAME_MAX];
    size_t len;
} Key;

static Str key_of(Key *k, u32 lane, Str name)
{
    put_u32(k->at, lane);
    memcpy(k->at + 4, name.at, name.len);
    return str_of(k->at, 4 + name.len);
}

bool dedup_find(const Dedup *d, u32 lane, Str name, u64 producer_seq, u64 *ret_seq)
{
    Key k;
    const Producer *p = strmap_find(&d->producers, key_of(&k, lane, name));
    for (u32 i = 0; p && i < p->n; i++)
        if (p->recent[i].producer_seq == producer_seq)
            return *ret_seq = p->recent[i].seq, true;
    return false;
}

static void forget_oldest(Dedup *d)
{
    size_t cursor = 0;
    StrMapSlot *s, *oldest = NULL;
    while ((s = strmap_next(&d->producers, &cursor)))
        if (!oldest || ((Producer *)s->value)->used < ((Producer *)oldest->value)->used)
            oldest = s;
    if (oldest) {
        Producer *p = oldest->value;
        Key k;
        k.len = oldest->key.len;
        memcpy(k.at, oldest->key.at, k.len); /* the map frees its key while it looks it up */
        strmap_del(&d->producers, str_of(k.at, k.len));
        mem_free(p);
    }
}

void dedup_add(Dedup *d, u32 lane, Str name, u64 producer_seq, u64 seq, u64 number)
{
    Key k;
    Str key = key_of(&k, lane, name);
    Producer *p = strmap_find(&d->producers, key);
    if (!p) {
        if (d->producers.len >= d->max)
            forget_oldest(d);
        p = mem_new(Producer);
        strmap_put(&d->producers, key, p);
    }
    p->used = number;
    p->recent[p->at].producer_seq = producer_seq;
    p->recent[p->at].seq = seq;
    p->at = (p->at + 1) % ILOG_DEDUP_DEPTH;
    p->n = MIN(p->n + 1, (u32)ILOG_DEDUP_DEPTH);
}

void dedup_undo(Dedup *d, u32 lane, Str name, u64 producer_seq)
{
    Key k;
    Producer *p = strmap_find(&d->producers, key_of(&k, lane, name));
    if (!p || !p->n)
        return;
    u32 last = (p->at + ILOG_DEDUP_DEPTH - 1) % ILOG_DEDUP_DEPTH; /* undone in reverse order of adding */
    if (p->recent[last].producer_seq == producer_seq)
        p->at = last, p->n--;
}

/* u32 producers, then each: u32 lane, u64 used, u32 name length, name, u32 n, n x (u64 producer_seq, u64 seq), oldest first. */
void dedup_encode(const Dedup *d, Buf *out)
{
    buf_u32(out, (u32)d->producers.len);
    size_t cursor = 0;
    StrMapSlot *s;
    while ((s = strmap_next(&d->producers, &cursor))) {
        const Producer *p = s->value;
        buf_put(out, s->key.at, 4);
        buf_u64(out, p->used);
        buf_name(out, str_skip(s->key, 4));
        buf_u32(out, p->n);
        for (u32 i = 0; i < p->n; i++) {
            u32 at = (p->at + ILOG_DEDUP_DEPTH - p->n + i) % ILOG_DEDUP_DEPTH;
            buf_u64(out, p->recent[at].producer_seq);
            buf_u64(out, p->recent[at].seq);
        }
    }
}

bool dedup_decode(Dedup *d, Bytes *in)
{
    u32 n = bytes_u32(in);
    while (n-- && !in->bad) {
        u32 lane = bytes_u32(in);
        u64 used = bytes_u64(in);
        Str name = bytes_name(in);
        u32 recent = bytes_u32(in);
        if (in->bad || name.len > REC_NAME_MAX || recent > ILOG_DEDUP_DEPTH)
            return false;
        for (u32 i = 0; i < recent; i++) {
            u64 producer_seq = bytes_u64(in), seq = bytes_u64(in);
            if (!in->bad)
                dedup_add(d, lane, name, producer_seq, seq, used);
        }
    }
    return !in->bad;
}

void dedup_done(Dedup *d)
{
    size_t cursor = 0;
    StrMapSlot *s;
    while ((s = strmap_next(&d->producers, &cursor)))
        mem_free(s->value);
    strmap_done(&d->producers);
}
