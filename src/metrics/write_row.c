/* The batch's row: many known series at one time. The memtable holds them as a group, the log names the group and what
 * changed. The caller's note finds the group again when it brings the same list of hints; everything unusual about a sample
 * (its series is elsewhere, out of order, twice in the row) sends it the items' way. */
#include "metrics/write.h"

#define NOTE_SHARD_SHIFT 26
/* A group is made anew when this share of a row has no column in it. */
#define LOOSE_SHARE 8
#define LOOSE_FEW   16

static u64 note_of(const MemTable *m, u32 shard, u32 group)
{
    return (u64)m->number << 32 | (u64)shard << NOTE_SHARD_SHIFT | group;
}

static void loose(Writer *w, u32 i)
{
    const SampleRow *r = &w->batch->row;
    vec_push(&w->loose, (SeriesItem){.hint = r->hints[i], .samples_len = 1});
    vec_push(&w->loose_samples, (Sample){r->t, r->values[i]});
}

/* The series of most hints is in one shard, that of their target. */
static bool find_shard(Writer *w)
{
    const SampleRow *r = &w->batch->row;
    for (u32 i = 0; i < r->len; i++) {
        u32 sid = hint_sid(w->t, r->hints[i]);
        if (sid) {
            w->sh = &w->e->shards[record_shard(catalogue_record(&w->t->cat, sid))];
            return true;
        }
    }
    w->ret->unknown += r->len;
    return false;
}

static MemGroup *noted_group(Writer *w, u32 *ret_index)
{
    const SampleRow *r = &w->batch->row;
    u64 note = r->group ? *r->group : 0;
    u32 index = (u32)note & ((1u << NOTE_SHARD_SHIFT) - 1);
    *ret_index = index;
    if (note >> 32 != w->table->number || (u32)note >> NOTE_SHARD_SHIFT != w->sh->index ||
        index >= w->table->groups.len)
        return NULL;
    MemGroup *g = w->table->groups.at[index];
    return r->t > mem_group_last_t(g) ? g : NULL;
}

/* The same series in the same order. */
static bool is_exact(const Writer *w, const MemGroup *g)
{
    const SampleRow *r = &w->batch->row;
    if (g->is_shadowed || g->len != r->len)
        return false;
    u64 salt = (u64)w->t->hint_salt << 32, odd = 0;
    for (u32 i = 0; i < r->len; i++)
        odd |= r->hints[i] ^ (salt | g->sids[i]);
    return !odd;
}

/* A value that a group uses for "none": then the row goes the items' way. */
static bool has_absent_bits(const SampleRow *r)
{
    u32 n = 0;
    for (u32 i = 0; i < r->len; i++)
        n += f64_bits(r->values[i]) == MEM_ABSENT_BITS;
    return n;
}

static void row_add(Writer *w, MemGroup *g, const f64 *values)
{
    const SampleRow *r = &w->batch->row;
    Buf b;
    buf_init(&b, RECORD_BUF_MAX);
    record_begin(&b, w->t->name);
    if (g->log_epoch == w->sh->log_epoch) {
        buf_reserve(&b, w->t->name.len + 64 + g->len);
        record_row(&b, g, r->t);
        w->ret->samples_ok += mem_row_add(w->table, g, r->t, values, &b);
        record_post(w, RECORD_ROW, &b, NULL, 0);
    } else {
        w->ret->samples_ok += mem_row_add(w->table, g, r->t, values, NULL);
        g->log_epoch = w->sh->log_epoch;
        record_group(&b, g);
        record_post(w, RECORD_GROUP, &b, NULL, 0);
    }
    w->mint = MIN(w->mint, r->t);
    w->maxt = MAX(w->maxt, r->t);
}

/* This shard's series of the row and their places; UINT32_MAX in locals: not this shard's, or unknown. */
static void resolve(Writer *w, u32 *locals)
{
    const SampleRow *r = &w->batch->row;
    for (u32 i = 0; i < r->len; i++) {
        u32 sid = hint_sid(w->t, r->hints[i]);
        const u32 *rec = sid ? catalogue_record(&w->t->cat, sid) : NULL;
        locals[i] = rec && record_shard(rec) == w->sh->index ? record_local(rec) : UINT32_MAX;
        w->ret->unknown += !rec;
        if (rec && locals[i] == UINT32_MAX)
            loose(w, i);
    }
}

/* Puts what has a column in group `index` there; false, with nothing done, when too much has none. */
static bool row_fit(Writer *w, MemGroup *g, u32 index, const u32 *locals)
{
    const SampleRow *r = &w->batch->row;
    f64 *values = mem_alloc(g->len * sizeof(f64)), absent = f64_from_bits(MEM_ABSENT_BITS);
    u8 *has_column = mem_zalloc(r->len);
    u32 others = 0, fit = 0;
    for (u32 i = 0; i < g->len; i++)
        values[i] = absent;
    for (u32 i = 0; i < r->len; i++) {
        if (locals[i] == UINT32_MAX)
            continue;
        u32 col = mem_group_column(w->table, index, locals[i]);
        has_column[i] = col != UINT32_MAX && f64_bits(values[col]) == MEM_ABSENT_BITS;
        if (has_column[i])
            values[col] = r->values[i];
        fit += has_column[i];
        others += !has_column[i];
    }
    bool ok = fit && others <= MAX(LOOSE_FEW, r->len / LOOSE_SHARE) && g->len <= 2 * fit + LOOSE_FEW;
    for (u32 i = 0; ok && i < r->len; i++)
        if (locals[i] != UINT32_MAX && !has_column[i])
            loose(w, i);
    if (ok)
        row_add(w, g, values);
    mem_free(values);
    mem_free(has_column);
    return ok;
}

static void group_begin(Writer *w, MemGroup *g)
{
    const SampleRow *r = &w->batch->row;
    g = mem_group_open(w->table, g, r->t);
    if (r->group)
        *r->group = g ? note_of(w->table, w->sh->index, mem_group_index(w->table)) : 0;
    if (!g)
        return;
    Buf b;
    buf_init(&b, RECORD_BUF_MAX);
    record_begin(&b, w->t->name);
    g->log_epoch = w->sh->log_epoch;
    record_group(&b, g);
    record_post(w, RECORD_GROUP, &b, NULL, 0);
    w->ret->samples_ok += g->len;
    w->mint = MIN(w->mint, r->t);
    w->maxt = MAX(w->maxt, r->t);
}

static void group_make(Writer *w, const u32 *locals)
{
    const SampleRow *r = &w->batch->row;
    MemGroup *g = mem_group_new(w->table, w->e->next_group++, MIN(r->len, MEM_COLUMNS_MAX));
    for (u32 i = 0; i < r->len; i++) {
        bool is_new = false;
        if (locals[i] == UINT32_MAX)
            continue;
        if (g->len == MEM_COLUMNS_MAX ||
            !mem_group_join(w->table, g, (u32)r->hints[i], locals[i], r->t, r->values[i], &is_new))
            loose(w, i);
        if (is_new)
            shard_touch(w->ts, locals[i]);
    }
    group_begin(w, g);
}

/* The first page of a target has no row yet, for nobody knows its series: its samples are stored as the next page's will be. */
bool fresh_fits(const Writer *w, const SeriesItem *it)
{
    const SampleRow *r = &w->batch->row;
    return r->group && !r->len && it->samples_len == 1 && !it->hists_len && !it->exemplars_len &&
           it->samples[0].t == r->t && r->t >= w->oldest && f64_bits(it->samples[0].v) != MEM_ABSENT_BITS;
}

void fresh_write(Writer *w)
{
    const SampleRow *r = &w->batch->row;
    MemGroup *g = mem_group_new(w->table, w->e->next_group++, (u32)MIN(w->fresh.len, MEM_COLUMNS_MAX));
    size_t left = 0;
    for (size_t i = 0; i < w->fresh.len; i++) {
        Fresh f = w->fresh.at[i];
        bool is_new = false;
        if (g->len == MEM_COLUMNS_MAX || !mem_group_join(w->table, g, f.sid, f.local, r->t, f.v, &is_new))
            w->fresh.at[left++] = f;
        if (is_new)
            shard_touch(w->ts, f.local);
    }
    w->fresh.len = left;
    group_begin(w, g);
}

void row_write(Writer *w)
{
    const SampleRow *r = &w->batch->row;
    if (!find_shard(w))
        return;
    if (r->t < w->oldest || has_absent_bits(r)) { /* the items' way has the words for it */
        for (u32 i = 0; i < r->len; i++)
            loose(w, i);
        return;
    }
    if (!shard_enter(w))
        return;
    u32 index;
    MemGroup *g = noted_group(w, &index);
    if (g && is_exact(w, g)) {
        row_add(w, g, r->values);
    } else {
        u32 *locals = mem_alloc(r->len * sizeof(u32));
        resolve(w, locals);
        if (!g || !row_fit(w, g, index, locals))
            group_make(w, locals);
        mem_free(locals);
    }
    shard_leave(w);
}
