#include "metrics/memo.h"

void memos_init(PairMemos *m)
{
    *m = (PairMemos){0};
    mutex_init(&m->lock, RANK_LEAF);
}

static void forget(PairMemos *m, PairMemo *x)
{
    m->bytes -= x->len * sizeof(u32);
    mem_free((void *)x->text.at);
    mem_free(x->pairs);
    *x = (PairMemo){0};
}

void memos_done(PairMemos *m)
{
    for (u32 i = 0; i < MEMOS; i++)
        forget(m, &m->at[i]);
    mutex_done(&m->lock);
}

static PairMemo *find(PairMemos *m, u32 name, const Matcher *x)
{
    for (u32 i = 0; i < MEMOS; i++) {
        PairMemo *p = &m->at[i];
        if (p->text.len && p->name == name && p->op == x->op && str_eq(p->text, x->value))
            return p;
    }
    return NULL;
}

static PairMemo *oldest(PairMemos *m, const PairMemo *but)
{
    PairMemo *best = NULL;
    for (u32 i = 0; i < MEMOS; i++)
        if (&m->at[i] != but && m->at[i].text.len && (!best || m->at[i].used < best->used))
            best = &m->at[i];
    return best;
}

static PairMemo *room(PairMemos *m)
{
    for (u32 i = 0; i < MEMOS; i++)
        if (!m->at[i].text.len)
            return &m->at[i];
    PairMemo *p = oldest(m, NULL);
    forget(m, p);
    return p;
}

u32 *memo_get(PairMemos *m, u32 name, const Matcher *x, u32 more, u32 *ret_len, u32 *ret_seen)
{
    mutex_lock(&m->lock);
    PairMemo *p = find(m, name, x);
    u32 len = *ret_len = p ? p->len : 0;
    *ret_seen = p ? p->seen : 0;
    u32 *out = mem_alloc(MAX((size_t)len + more, 1) * sizeof(u32));
    if (len)
        memcpy(out, p->pairs, len * sizeof(u32));
    if (p)
        p->used = ++m->clock;
    mutex_unlock(&m->lock);
    return out;
}

void memo_put(PairMemos *m, u32 name, const Matcher *x, const u32 *pairs, u32 len, u32 seen, u32 values)
{
    size_t bytes = len * sizeof(u32);
    if (values < MEMO_VALUES_MIN || !x->value.len || x->value.len > MEMO_TEXT_MAX ||
        bytes > MEMO_BYTES_MAX / 4)
        return;
    mutex_lock(&m->lock);
    PairMemo *p = find(m, name, x);
    if (!p || p->seen < seen) {
        if (p)
            forget(m, p);
        p = room(m);
        while (m->bytes + bytes > MEMO_BYTES_MAX)
            forget(m, oldest(m, p));
        char *text = mem_alloc(x->value.len);
        memcpy(text, x->value.at, x->value.len);
        *p = (PairMemo){.text = {text, x->value.len},
                        .op = x->op,
                        .name = name,
                        .seen = seen,
                        .len = len,
                        .used = ++m->clock};
        p->pairs = mem_alloc(MAX(bytes, 1));
        if (len)
            memcpy(p->pairs, pairs, bytes);
        m->bytes += bytes;
    }
    mutex_unlock(&m->lock);
}
