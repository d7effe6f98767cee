#include "metrics/memtable.h"

#define MEM_SEG_SHIFT 10
#define MEM_SEG       (1u << MEM_SEG_SHIFT)

MemTable *mem_new_table(Account *account)
{
    MemTable *m = mem_new(MemTable);
    m->refs = 1;
    m->account = account;
    m->chunks = 1;
    m->mint = INT64_MAX;
    m->maxt = INT64_MIN;
    seg_init(&m->heads, sizeof(u32));
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
    seg_done(&m->heads);
    u64map_done(&m->hists);
    arena_done(&m->blobs);
    mem_free(m);
}

/* The budget is enforced at the door, before a batch is applied; what a batch adds past it goes uncharged. */
static void mem_grew(MemTable *m, size_t bytes)
{
    if (m->account && account_charge(m->account, bytes, NULL) != OK)
        return;
    m->bytes += bytes;
}

static MemChunk *chunk_at(const MemTable *m, u32 i)
{
    return &m->segs.at[i >> MEM_SEG_SHIFT][i & (MEM_SEG - 1)];
}

static u32 head_of(const MemTable *m, u32 local)
{
    return seg_has(&m->heads, local) ? *(u32 *)seg_at(&m->heads, local) : 0;
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
    return head_of(m, local) || hist_head(m, local);
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

MemResult mem_check(const MemTable *m, u32 local, i64 t, f64 v)
{
    const HistNode *h = hist_head(m, local), *ignored;
    u32 at = head_of(m, local);
    bool is_late = false;
    if (h) {
        if (hist_at(h, t, &ignored))
            return MEM_CONFLICT;
        is_late = h->t > t;
    }
    if (!at)
        return is_late ? MEM_ADDED_LATE : MEM_ADDED;
    const MemChunk *c = chunk_at(m, at);
    if (!c->is_unsorted) {
        i64 last = c->base + c->dt[c->n - 1];
        if (t > last)
            return is_late ? MEM_ADDED_LATE : MEM_ADDED;
    }
    for (u32 i = 0; at && i < MEM_LOOK_BACK / 4; at = c->prev, i++) {
        c = chunk_at(m, at);
        for (u32 k = c->n; k-- > 0;) {
            if (c->base + c->dt[k] == t)
                return f64_bits(c->v[k]) == f64_bits(v) ? MEM_SAME : MEM_CONFLICT;
            is_late |= c->base + c->dt[k] > t;
        }
    }
    return is_late ? MEM_ADDED_LATE : MEM_ADDED;
}

MemResult mem_check_hist(const MemTable *m, u32 local, i64 t, Str blob)
{
    const HistNode *h = hist_head(m, local), *same;
    u32 at = head_of(m, local);
    bool is_late = false;
    if (at) {
        const MemChunk *c; /* a float at the same time is another value */
        for (u32 i = 0; at && i < MEM_LOOK_BACK / 4; at = c->prev, i++) {
            c = chunk_at(m, at);
            for (u32 k = c->n; k-- > 0;) {
                if (c->base + c->dt[k] == t)
                    return MEM_CONFLICT;
                is_late |= c->base + c->dt[k] > t;
            }
            if (!is_late && !c->is_unsorted)
                break;
        }
    }
    if (h && (h->t >= t || h->is_unsorted)) {
        is_late |= h->t >= t;
        if (hist_at(h, t, &same))
            return str_eq((Str){same->bytes, same->len}, blob) ? MEM_SAME : MEM_CONFLICT;
    }
    return is_late ? MEM_ADDED_LATE : MEM_ADDED;
}

static void mem_span(MemTable *m, i64 t)
{
    m->samples++;
    m->mint = MIN(m->mint, t);
    m->maxt = MAX(m->maxt, t);
}

static u32 chunk_new(MemTable *m)
{
    u32 i = m->chunks++;
    if (i >> MEM_SEG_SHIFT == m->segs.len) {
        vec_push(&m->segs, (MemChunk *)mem_alloc(MEM_SEG * sizeof(MemChunk)));
        mem_grew(m, MEM_SEG * sizeof(MemChunk));
    }
    return i;
}

void mem_add(MemTable *m, u32 local, i64 t, f64 v, bool is_late, bool *ret_new)
{
    if (!seg_has(&m->heads, local)) {
        u32 segs = m->heads.dir.len;
        seg_grow(&m->heads, local + 1);
        mem_grew(m, (size_t)(m->heads.dir.len - segs) * SEG_SIZE * sizeof(u32));
    }
    u32 *head = seg_at(&m->heads, local);
    *ret_new = !*head && !hist_head(m, local);
    m->series += *ret_new;
    MemChunk *c = *head ? chunk_at(m, *head) : NULL;
    i64 dt;
    if (!c || c->n == 4 || __builtin_sub_overflow(t, c->base, &dt) || dt < INT32_MIN || dt > INT32_MAX) {
        u32 i = chunk_new(m);
        MemChunk *fresh = chunk_at(m, i);
        *fresh = (MemChunk){.base = t, .prev = *head, .is_unsorted = c && c->is_unsorted};
        *head = i;
        c = fresh;
        dt = 0;
    }
    c->dt[c->n] = (i32)dt;
    c->v[c->n] = v;
    c->n++;
    c->is_unsorted |= is_late;
    mem_span(m, t);
}

void mem_add_hist(MemTable *m, u32 local, i64 t, Str blob, bool *ret_new)
{
    HistNode *prev = hist_head(m, local);
    *ret_new = !prev && !head_of(m, local);
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
    mem_span(m, t);
}

/* Chains run backwards: they are counted, then filled in from the end. */
static void read_floats(const MemTable *m, u32 head, i64 mint, i64 maxt, SampleVec *out)
{
    u32 n = 0;
    for (u32 at = head; at; at = chunk_at(m, at)->prev) {
        const MemChunk *c = chunk_at(m, at);
        for (u32 k = 0; k < c->n; k++)
            n += c->base + c->dt[k] >= mint && c->base + c->dt[k] <= maxt;
        if (!c->is_unsorted && c->n && c->base + c->dt[0] < mint)
            break;
    }
    if (!n || !samples_reserve(out, n))
        return;
    u32 to = out->len + n;
    out->len = to;
    for (u32 at = head; n; at = chunk_at(m, at)->prev) {
        const MemChunk *c = chunk_at(m, at);
        for (u32 k = c->n; k-- > 0;) {
            i64 t = c->base + c->dt[k];
            if (t < mint || t > maxt)
                continue;
            to--;
            out->t[to] = t;
            out->v[to] = c->v[k];
            if (out->has_hist)
                out->h[to] = (Str){0};
            n--;
        }
    }
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
    u32 from = out->len, head = head_of(m, local);
    if (head)
        read_floats(m, head, mint, maxt, out);
    const HistNode *h = hist_head(m, local);
    if (h)
        read_hists(h, mint, maxt, out);
    if (out->len - from > 1)
        samples_settle(out, from);
}
