/* Groups: the series of one scrape, a row per scrape. */
#include "metrics/memgroup.h"
#include "metrics/delta.h"

static u32 words_of(const MemGroup *g)
{
    return (g->len + 63) / 64;
}
static const u32 *ranks_of(const u64 *row, u32 words)
{
    return (const u32 *)(row + words);
}
static u32 rank_words(u32 words)
{
    return (words + 1) / 2; /* of u32 in u64 */
}
static const f64 *changed_of(const u64 *row, u32 words)
{
    return (const f64 *)(row + words + rank_words(words));
}

/* ---- reading ---- */

static bool change_at(const u64 *row, u32 words, u32 col, f64 *ret)
{
    u64 bits = row[col / 64], bit = (u64)1 << (col % 64);
    if (!(bits & bit))
        return false;
    u32 rank = ranks_of(row, words)[col / 64] + (u32)__builtin_popcountll(bits & (bit - 1));
    *ret = changed_of(row, words)[rank];
    return true;
}

bool column_at(const MemGroup *g, u32 col, u32 row, f64 *ret)
{
    u32 words = words_of(g);
    *ret = g->first[col];
    for (; row > 0; row--)
        if (g->changes[row] && change_at(g->changes[row], words, col, ret))
            break;
    return f64_bits(*ret) != MEM_ABSENT_BITS;
}

void column_read(const MemGroup *g, u32 col, i64 mint, i64 maxt, SampleVec *out)
{
    if (g->times[0] > maxt || mem_group_last_t(g) < mint || !samples_reserve(out, g->rows))
        return;
    u32 words = words_of(g), n = out->len;
    f64 v = g->first[col];
    for (u32 row = 0; row < g->rows && g->times[row] <= maxt; row++) {
        if (row && g->changes[row])
            change_at(g->changes[row], words, col, &v);
        if (g->times[row] < mint || f64_bits(v) == MEM_ABSENT_BITS)
            continue;
        out->t[n] = g->times[row];
        out->v[n] = v;
        if (out->has_hist)
            out->h[n] = (Str){0};
        n++;
    }
    out->len = n;
}

/* ---- making ---- */

static void *take(MemTable *m, size_t bytes)
{
    void *p = bytes <= 65536 ? arena_alloc(&m->blobs, bytes) : arena_try(&m->blobs, bytes);
    check(p);
    mem_grew(m, bytes);
    return p;
}

MemGroup *mem_group_new(MemTable *m, u64 id, u32 n)
{
    check(n && n <= MEM_COLUMNS_MAX);
    MemGroup *g = mem_new(MemGroup);
    g->id = id;
    g->rows_cap = n; /* while series join, of columns */
    g->sids = take(m, n * sizeof(u32));
    g->first = take(m, n * sizeof(f64));
    vec_push(&m->groups, g);
    return g;
}

bool mem_group_join(MemTable *m, MemGroup *g, u32 sid, u32 local, i64 t, f64 v, bool *ret_new)
{
    *ret_new = false;
    u32 index = mem_group_index(m);
    MemLink *head = mem_head_at(m, local);
    if (head->at == (MEM_GROUP | index) || f64_bits(v) == MEM_ABSENT_BITS)
        return false;
    if (head->at) {
        if (link_is_unsorted(m, *head) || mem_check(m, local, t, v) != MEM_ADDED)
            return false;
        if (!g->before)
            g->before = mem_zalloc(g->rows_cap * sizeof(MemLink));
        g->before[g->len] = *head;
        if (link_is_group(*head))
            link_group(m, *head)->is_shadowed = true;
    } else {
        if (mem_has(m, local))
            return false; /* histograms */
        *ret_new = true;
        m->series++;
    }
    g->sids[g->len] = sid;
    g->first[g->len] = v;
    *head = (MemLink){MEM_GROUP | index, g->len++};
    return true;
}

MemGroup *mem_group_open(MemTable *m, MemGroup *g, i64 t)
{
    if (!g->len) {
        m->groups.len--;
        group_free(g);
        return NULL;
    }
    g->last = take(m, g->len * sizeof(f64));
    memcpy(g->last, g->first, g->len * sizeof(f64));
    if (g->before) {
        g->before = mem_realloc(g->before, g->len * sizeof(MemLink));
        mem_grew(m, g->len * sizeof(MemLink));
    }
    g->rows_cap = 4;
    g->times = mem_alloc(g->rows_cap * sizeof(i64));
    g->changes = mem_alloc(g->rows_cap * sizeof(u64 *));
    g->times[0] = t;
    g->changes[0] = NULL;
    g->rows = 1;
    mem_grew(m, sizeof *g + g->rows_cap * 16);
    mem_span(m, t, g->len);
    return g;
}

void group_free(MemGroup *g)
{
    mem_free(g->before);
    mem_free(g->times);
    mem_free(g->changes);
    mem_free(g);
}

u32 mem_group_column(const MemTable *m, u32 group, u32 local)
{
    MemLink head = mem_head(m, local);
    return head.at == (MEM_GROUP | group) ? head.col : UINT32_MAX;
}

/* ---- rows ---- */

static u32 find_changes(const MemGroup *g, const f64 *values, u64 *bits)
{
    u32 n = 0;
    for (u32 w = 0, i = 0; i < g->len; w++) {
        u64 mask = 0;
        for (u32 k = 0, end = MIN(64u, g->len - i); k < end; k++, i++)
            mask |= (u64)(f64_bits(g->last[i]) != f64_bits(values[i])) << k;
        bits[w] = mask;
        n += (u32)__builtin_popcountll(mask);
    }
    return n;
}

static const u64 *row_keep(MemTable *m, MemGroup *g, const f64 *values, const u64 *bits, u32 changed)
{
    u32 words = words_of(g);
    u64 *row = take(m, (words + rank_words(words) + changed) * sizeof(u64));
    memcpy(row, bits, words * sizeof(u64));
    u32 *ranks = (u32 *)(row + words);
    f64 *to = (f64 *)(row + words + rank_words(words));
    u32 n = 0;
    for (u32 w = 0; w < words; w++) {
        ranks[w] = n;
        for (u64 left = bits[w]; left; left &= left - 1)
            to[n++] = values[w * 64 + (u32)__builtin_ctzll(left)];
    }
    return row;
}

static void row_log(const MemGroup *g, const f64 *values, const u64 *bits, Buf *out)
{
    buf_put(out, bits, (g->len + 7) / 8);
    for (u32 w = 0; w < words_of(g); w++)
        for (u64 left = bits[w]; left; left &= left - 1) {
            u32 i = w * 64 + (u32)__builtin_ctzll(left);
            value_delta_write(out, g->last[i], values[i]);
        }
}

static void rows_reserve(MemTable *m, MemGroup *g)
{
    if (g->rows < g->rows_cap)
        return;
    u32 cap = g->rows_cap * 2;
    g->times = mem_realloc(g->times, cap * sizeof(i64));
    g->changes = mem_realloc(g->changes, cap * sizeof(u64 *));
    mem_grew(m, (cap - g->rows_cap) * 16);
    g->rows_cap = cap;
}

u32 mem_row_add(MemTable *m, MemGroup *g, i64 t, const f64 *values, Buf *changed)
{
    u64 few[256], *bits = g->len <= COUNT_OF(few) * 64 ? few : mem_alloc(words_of(g) * sizeof(u64));
    u32 n = find_changes(g, values, bits);
    if (changed)
        row_log(g, values, bits, changed);
    rows_reserve(m, g);
    g->times[g->rows] = t;
    g->changes[g->rows] = n ? (u64 *)row_keep(m, g, values, bits, n) : NULL;
    for (u32 w = 0; n && w < words_of(g); w++)
        for (u64 left = bits[w]; left; left &= left - 1) {
            u32 i = w * 64 + (u32)__builtin_ctzll(left);
            g->absent += (f64_bits(values[i]) == MEM_ABSENT_BITS) - (f64_bits(g->last[i]) == MEM_ABSENT_BITS);
            g->last[i] = values[i];
        }
    if (bits != few)
        mem_free(bits);
    g->rows++;
    u32 samples = g->len - g->absent;
    mem_span(m, t, samples);
    return samples;
}
