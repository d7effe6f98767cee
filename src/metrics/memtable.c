#include "metrics/memgroup.h"

MemTable *mem_new_table(Account *account)
{
    static _Atomic u32 numbers;
    MemTable *m = mem_new(MemTable);
    m->refs = 1;
    m->number = ++numbers;
    m->account = account;
    m->chunks = 1;
    m->mint = INT64_MAX;
    m->maxt = INT64_MIN;
    seg_init(&m->heads, sizeof(MemLink));
    arena_init(&m->blobs, NULL, (size_t)1 << 40);
    return m;
}

void mem_unref(MemTable *m)
{
    if (!m || --m->refs)
        return;
    if (m->account)
        account_uncharge(m->account, m->bytes);
    for (size_t i = 0; i < m->segs.len; i++)
        mem_free(m->segs.at[i]);
    vec_done(&m->segs);
    for (size_t i = 0; i < m->groups.len; i++)
        group_free(m->groups.at[i]);
    vec_done(&m->groups);
    seg_done(&m->heads);
    u64map_done(&m->hists);
    arena_done(&m->blobs);
    mem_free(m);
}

void mem_grew(MemTable *m, size_t bytes)
{
    if (m->account && account_charge(m->account, bytes, NULL) != OK)
        return;
    m->bytes += bytes;
}

static HistNode *hist_head(const MemTable *m, u32 local)
{
    if (!m->hists.len)
        return NULL;
    u64 *p = u64map_find(&m->hists, local);
    return p ? (HistNode *)(uintptr_t)*p : NULL;
}

bool mem_has(const MemTable *m, u32 local)
{
    return mem_head(m, local).at || hist_head(m, local);
}

bool mem_has_hists(const MemTable *m, u32 local)
{
    return hist_head(m, local) != NULL;
}

static bool hist_at(const HistNode *h, i64 t, const HistNode **ret)
{
    for (u32 i = 0; h && i < MEM_LOOK_BACK; h = h->prev, i++)
        if (h->t == t) {
            *ret = h;
            return true;
        }
    return false;
}

/* Is there a sample at t in this link? *is_late: one of it is newer. *budget counts the samples looked at. */
static bool link_find(const MemTable *m, MemLink at, i64 t, f64 *ret, bool *is_late, u32 *budget)
{
    if (!link_is_group(at)) {
        const MemChunk *c = mem_chunk(m, at.at);
        *budget -= MIN(*budget, c->n);
        for (u32 k = c->n; k-- > 0;) {
            i64 x = c->base + c->dt[k];
            *ret = c->v[k];
            if (x == t)
                return true;
            *is_late |= x > t;
        }
        return false;
    }
    const MemGroup *g = link_group(m, at);
    for (u32 row = g->rows; row-- > 0 && g->times[row] >= t && *budget; --*budget)
        if (column_at(g, at.col, row, ret)) {
            if (g->times[row] == t)
                return true;
            *is_late = true;
        }
    return false;
}

/* The newest time in the link or a little more; the link is sorted. */
static i64 link_newest(const MemTable *m, MemLink at)
{
    if (link_is_group(at))
        return mem_group_last_t(link_group(m, at));
    const MemChunk *c = mem_chunk(m, at.at);
    return c->base + c->dt[c->n - 1];
}

static bool chain_find(const MemTable *m, MemLink at, i64 t, f64 *ret, bool *is_late)
{
    for (u32 budget = MEM_LOOK_BACK; at.at && budget; at = link_before(m, at)) {
        if (!link_is_unsorted(m, at) && link_newest(m, at) < t)
            return false;
        if (link_find(m, at, t, ret, is_late, &budget))
            return true;
    }
    return false;
}

MemResult mem_check(const MemTable *m, u32 local, i64 t, f64 v)
{
    const HistNode *h = hist_head(m, local), *ignored;
    bool is_late = false;
    f64 there;
    if (h) {
        if (hist_at(h, t, &ignored))
            return MEM_CONFLICT;
        is_late = h->t > t;
    }
    if (chain_find(m, mem_head(m, local), t, &there, &is_late))
        return f64_bits(there) == f64_bits(v) ? MEM_SAME : MEM_CONFLICT;
    return is_late ? MEM_ADDED_LATE : MEM_ADDED;
}

MemResult mem_check_hist(const MemTable *m, u32 local, i64 t, Str blob)
{
    const HistNode *h = hist_head(m, local), *same;
    bool is_late = false;
    f64 there; /* a float at the same time is another value */
    if (chain_find(m, mem_head(m, local), t, &there, &is_late))
        return MEM_CONFLICT;
    if (h && (h->t >= t || h->is_unsorted)) {
        is_late |= h->t >= t;
        if (hist_at(h, t, &same))
            return str_eq((Str){same->bytes, same->len}, blob) ? MEM_SAME : MEM_CONFLICT;
    }
    return is_late ? MEM_ADDED_LATE : MEM_ADDED;
}

void mem_span(MemTable *m, i64 t, u32 samples)
{
    m->samples += samples;
    m->mint = MIN(m->mint, t);
    m->maxt = MAX(m->maxt, t);
}

MemLink *mem_head_at(MemTable *m, u32 local)
{
    if (!seg_has(&m->heads, local)) {
        u32 segs = m->heads.dir.len;
        seg_grow(&m->heads, local + 1);
        mem_grew(m, (size_t)(m->heads.dir.len - segs) * SEG_SIZE * sizeof(MemLink));
    }
    return seg_at(&m->heads, local);
}

static u32 chunk_new(MemTable *m)
{
    u32 i = m->chunks++;
    if (i >> MEM_CHUNK_SEG_SHIFT == m->segs.len) {
        vec_push(&m->segs, (MemChunk *)mem_alloc(MEM_CHUNK_SEG * sizeof(MemChunk)));
        mem_grew(m, MEM_CHUNK_SEG * sizeof(MemChunk));
    }
    return i;
}

void mem_add(MemTable *m, u32 local, i64 t, f64 v, bool is_late, bool *ret_new)
{
    MemLink *head = mem_head_at(m, local);
    *ret_new = !head->at && !hist_head(m, local);
    m->series += *ret_new;
    if (link_is_group(*head))
        link_group(m, *head)->is_shadowed = true;
    MemChunk *c = head->at && !link_is_group(*head) ? mem_chunk(m, head->at) : NULL;
    i64 dt;
    if (!c || c->n == 4 || __builtin_sub_overflow(t, c->base, &dt) || dt < INT32_MIN || dt > INT32_MAX) {
        u32 i = chunk_new(m);
        MemChunk *fresh = mem_chunk(m, i);
        *fresh = (MemChunk){
            .base = t, .prev = head->at, .prev_col = head->col, .is_unsorted = c && c->is_unsorted};
        *head = (MemLink){i, 0};
        c = fresh;
        dt = 0;
    }
    c->dt[c->n] = (i32)dt;
    c->v[c->n] = v;
    c->n++;
    c->is_unsorted |= is_late;
    mem_span(m, t, 1);
}

void mem_add_hist(MemTable *m, u32 local, i64 t, Str blob, bool *ret_new)
{
    HistNode *prev = hist_head(m, local);
    MemLink head = mem_head(m, local);
    *ret_new = !prev && !head.at;
    if (link_is_group(head))
        link_group(m, head)->is_shadowed = true;
    m->series += *ret_new;
    size_t bytes = sizeof(HistNode) + blob.len;
    HistNode *h = bytes <= 65536 ? arena_alloc(&m->blobs, bytes) : arena_try(&m->blobs, bytes);
    check(h);
    *h = (HistNode){.t = t,
                    .prev = prev,
                    .len = (u32)blob.len,
                    .is_unsorted = prev && (prev->is_unsorted || prev->t >= t)};
    memcpy(h->bytes, blob.at, blob.len);
    u64map_put(&m->hists, local, (u64)(uintptr_t)h);
    mem_grew(m, bytes + 16);
    mem_span(m, t, 1);
}

static void chunk_read(const MemChunk *c, i64 mint, i64 maxt, SampleVec *out)
{
    if (!samples_reserve(out, c->n))
        return;
    for (u32 k = 0; k < c->n; k++) {
        i64 t = c->base + c->dt[k];
        if (t < mint || t > maxt)
            continue;
        out->t[out->len] = t;
        out->v[out->len] = c->v[k];
        if (out->has_hist)
            out->h[out->len] = (Str){0};
        out->len++;
    }
}

/* Chains run backwards: their links are noted, then read from the oldest that matters. */
static void read_floats(const MemTable *m, MemLink head, i64 mint, i64 maxt, SampleVec *out)
{
    MemLink few[64], *links = few;
    u32 n = 0, cap = COUNT_OF(few);
    for (MemLink at = head; at.at; at = link_before(m, at)) {
        if (n == cap) {
            MemLink *more = mem_alloc(cap * 2 * sizeof *more);
            memcpy(more, links, n * sizeof *more);
            if (links != few)
                mem_free(links);
            links = more;
            cap *= 2;
        }
        if (!link_is_unsorted(m, at) && link_newest(m, at) < mint)
            break;
        links[n++] = at;
    }
    while (n-- > 0)
        if (link_is_group(links[n]))
            column_read(link_group(m, links[n]), links[n].col, mint, maxt, out);
        else
            chunk_read(mem_chunk(m, links[n].at), mint, maxt, out);
    if (links != few)
        mem_free(links);
}

static void read_hists(const HistNode *head, i64 mint, i64 maxt, SampleVec *out)
{
    u32 n = 0;
    for (const HistNode *h = head; h; h = h->prev)
        n += h->t >= mint && h->t <= maxt;
    if (!n || !samples_reserve(out, n))
        return;
    samples_need_hist(out);
    out->len += n;
    u32 to = out->len;
    for (const HistNode *h = head; h; h = h->prev) {
        if (h->t < mint || h->t > maxt)
            continue;
        to--;
        out->t[to] = h->t;
        out->v[to] = 0;
        out->h[to] = (Str){h->bytes, h->len};
    }
}

void mem_read(const MemTable *m, u32 local, i64 mint, i64 maxt, SampleVec *out)
{
    u32 from = out->len;
    MemLink head = mem_head(m, local);
    if (head.at)
        read_floats(m, head, mint, maxt, out);
    const HistNode *h = hist_head(m, local);
    if (h)
        read_hists(h, mint, maxt, out);
    if (out->len - from > 1)
        samples_settle(out, from);
}
