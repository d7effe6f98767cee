#include "metrics/part.h"
#include <stdio.h>

#define PAGE_BYTES     65536u
#define PAGE_BLOCKS    2048u
#define DIRS_BYTES     262144u /* directories are written together when they are that many */
#define COLUMNS_KEPT   64u     /* coded ones of earlier pages that later ones may share */
#define THOROUGH_LEVEL 1u      /* parts of level 0 live for minutes */
#define PART_BUF_MAX   ((size_t)1 << 40)

typedef struct Column { /* of the page */
    size_t at;          /* in times */
    PartTimes times;    /* coded: `at` counts from the page's start when is_new */
    bool is_new;
} Column;

typedef struct KeptColumn {
    u64 hash;
    u64 at; /* in the file */
    u32 n, len;
    i64 *t; /* of PART_BLOCK_MAX */
} KeptColumn;

typedef struct Group {
    u32 sid, entries_at, body_at, crc;
} Group;

typedef struct PartWriter {
    PartSource *src;
    PartMeta *meta;
    Buf out; /* finished bytes not yet taken */
    size_t taken;
    u64 offset; /* of the file, at the end of out */
    Buf dirs, index;
    u32 index_placed; /* entries whose directories have been written */
    /* the page */
    Buf coded, body, entries;
    VEC(Group) groups;
    VEC(Column) columns;
    VEC(i64) times;
    U64Map columns_by_hash; /* -> index */
    u32 blocks, group_blocks, last_column, first_sid, last_sid, pages;
    i64 page_mint, page_maxt;
    KeptColumn kept[COLUMNS_KEPT];
    u32 kept_next;
    SampleVec samples;
    bool is_ended;
} PartWriter;

static void writer_init(PartWriter *w, PartSource *src, PartMeta *meta)
{
    *w = (PartWriter){.src = src, .meta = meta};
    Buf *all[] = {&w->out, &w->dirs, &w->index, &w->coded, &w->body, &w->entries};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_init(all[i], PART_BUF_MAX);
    meta->mint = INT64_MAX;
    meta->maxt = INT64_MIN;
    meta->samples = meta->series = 0;
    buf_put(&w->out, "PHPART\0\0", 8);
    wr_u32(&w->out, PART_FORMAT);
    wr_u32(&w->out, 0);
    w->offset = w->out.len;
}

static void writer_done(PartWriter *w)
{
    Buf *all[] = {&w->out, &w->dirs, &w->index, &w->coded, &w->body, &w->entries};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_done(all[i]);
    for (u32 i = 0; i < COLUMNS_KEPT; i++)
        mem_free(w->kept[i].t);
    vec_done(&w->groups);
    vec_done(&w->columns);
    vec_done(&w->times);
    u64map_done(&w->columns_by_hash);
    samples_done(&w->samples);
}

/* ---- times ---- */

/* Coded times of an earlier page, or of this one from now on. */
static void column_code(PartWriter *w, Column *c, const i64 *t, u64 hash)
{
    u32 n = c->times.n;
    for (u32 i = 0; i < COLUMNS_KEPT; i++) {
        const KeptColumn *k = &w->kept[i];
        if (k->hash == hash && k->n == n && memcmp(k->t, t, n * sizeof(i64)) == 0) {
            c->times.at = k->at;
            c->times.len = k->len;
            return;
        }
    }
    size_t start = w->coded.len;
    wr_u32(&w->coded, 0);
    times_encode(&w->coded, t, n);
    c->times.len = (u32)(w->coded.len - start);
    c->times.at = start;
    c->is_new = true;
    u32 crc = crc32c(0, w->coded.at + start + 4, c->times.len - 4);
    memcpy(w->coded.at + start, &crc, 4);
    KeptColumn *k = &w->kept[w->kept_next++ % COLUMNS_KEPT];
    if (!k->t)
        k->t = mem_alloc(PART_BLOCK_MAX * sizeof(i64));
    memcpy(k->t, t, n * sizeof(i64));
    /* Bodies of the page are written from here on, coded times first. */
    *k = (KeptColumn){.hash = hash, .at = w->offset + start, .n = n, .len = c->times.len, .t = k->t};
}

/* The page's column with these times: series of one scrape share them. */
static u32 column_of(PartWriter *w, const i64 *t, u32 n)
{
    u64 hash = hash_bytes(t, n * sizeof(i64), n);
    const u64 *known = u64map_find(&w->columns_by_hash, hash);
    if (known) {
        const Column *c = &w->columns.at[*known];
        if (c->times.n == n && memcmp(w->times.at + c->at, t, n * sizeof(i64)) == 0)
            return (u32)*known;
    }
    Column c = {.at = w->times.len, .times = {.n = n, .kind = TIMES_ONE, .first = t[0], .last = t[n - 1]}};
    if (n > 1) {
        c.times.kind = times_are_regular(t, n, &c.times.step) ? TIMES_REGULAR : TIMES_CODED;
        if (c.times.kind == TIMES_CODED)
            column_code(w, &c, t, hash);
    }
    vec_reserve(&w->times, w->times.len + n);
    memcpy(w->times.at + w->times.len, t, n * sizeof(i64));
    w->times.len += n;
    u64map_put(&w->columns_by_hash, hash, w->columns.len);
    vec_push(&w->columns, c);
    return (u32)w->columns.len - 1;
}

static void column_put(const PartWriter *w, Buf *o, const Column *c)
{
    const PartTimes *t = &c->times;
    wr_varint(o, (u64)t->n << 2 | t->kind);
    wr_varint(o, (u64)t->first - (u64)w->page_mint);
    if (t->kind == TIMES_REGULAR)
        wr_varint(o, t->step);
    if (t->kind != TIMES_CODED)
        return;
    u64 at = c->is_new ? w->offset + t->at : t->at;
    wr_varint(o, (u64)t->last - (u64)t->first);
    wr_varint(o, w->offset + w->coded.len - at); /* back from where the bodies begin */
    wr_varint(o, t->len);
}

/* ---- pages ---- */

static void group_end(PartWriter *w)
{
    if (!w->group_blocks)
        return;
    Group *g = &w->groups.at[w->groups.len - 1];
    g->crc = crc32c(0, w->body.at ? w->body.at + g->body_at : "", w->body.len - g->body_at);
    w->group_blocks = 0;
}

static void group_begin(PartWriter *w, u32 sid)
{
    vec_push(&w->groups, (Group){sid, (u32)w->entries.len, (u32)w->body.len, 0});
    w->last_sid = sid - 1;
    w->last_column = 0;
}

/* The directories collected go to the file; their index entries learn where. */
static void dirs_put(PartWriter *w)
{
    for (; w->index_placed < w->pages; w->index_placed++) {
        u8 *at = (u8 *)w->index.at + (size_t)w->index_placed * PART_ENTRY_BYTES + 16;
        u64 dir = load_u64(at) + w->offset;
        memcpy(at, &dir, 8);
    }
    buf_put(&w->out, w->dirs.at, w->dirs.len);
    w->offset += w->dirs.len;
    buf_clear(&w->dirs);
}

static void page_clear(PartWriter *w)
{
    w->groups.len = w->columns.len = w->times.len = 0;
    u64map_done(&w->columns_by_hash);
    buf_clear(&w->coded);
    buf_clear(&w->body);
    buf_clear(&w->entries);
    w->blocks = 0;
}

static void page_end(PartWriter *w)
{
    if (!w->blocks)
        return;
    group_end(w);
    Buf *d = &w->dirs;
    size_t start = d->len;
    wr_u32(d, (u32)w->groups.len);
    wr_u32(d, (u32)w->columns.len);
    for (size_t i = 0; i < w->groups.len; i++) {
        const Group *g = &w->groups.at[i];
        wr_u32(d, g->sid);
        wr_u32(d, g->entries_at);
        wr_u32(d, g->body_at);
        wr_u32(d, g->crc);
    }
    for (size_t i = 0; i < w->columns.len; i++)
        column_put(w, d, &w->columns.at[i]);
    buf_put(d, w->entries.at, w->entries.len);
    u32 dir_len = (u32)(d->len - start);
    wr_u32(&w->index, w->first_sid);
    wr_u32(&w->index, w->last_sid);
    wr_u64(&w->index, w->offset + w->coded.len);
    wr_u64(&w->index, start); /* from where the directories will begin */
    wr_u32(&w->index, (u32)w->body.len);
    wr_u32(&w->index, dir_len);
    wr_u32(&w->index, crc32c(0, d->at + start, dir_len));
    wr_u32(&w->index, 0);
    wr_u64(&w->index, (u64)w->page_mint);
    wr_u64(&w->index, (u64)w->page_maxt);
    buf_put(&w->out, w->coded.at, w->coded.len);
    buf_put(&w->out, w->body.at, w->body.len);
    w->offset += w->coded.len + w->body.len;
    w->pages++;
    page_clear(w);
    if (d->len >= DIRS_BYTES)
        dirs_put(w);
}

/* ---- blocks ---- */

/* The byte that begins an entry: flags of the values' head, and: */
enum { ENTRY_AGGR = 32, ENTRY_COLUMN = 64, ENTRY_NEXT = 128 };

static void aggr_put(PartWriter *w, const ValueHead *h, const PageAggr *a)
{
    size_t at = w->entries.len;
    wr_u8(&w->entries, 0);
    aggr_encode(&w->entries, h, a);
    if (!buf_over(&w->entries))
        w->entries.at[at] = (char)(w->entries.len - at - 1);
}

static void hists_put(PartWriter *w, u32 from, u32 n, ValueHead *h)
{
    size_t start = w->body.len;
    for (u32 i = from; i < from + n; i++)
        wr_str(&w->body, w->samples.h[i]);
    *h = (ValueHead){.mode = VALUES_OTHER, .other = OTHER_HISTS, .packed = (u32)(w->body.len - start)};
}

static void block_add(PartWriter *w, u32 sid, u32 from, u32 n)
{
    const SampleVec *s = &w->samples;
    ValueHead h;
    PageAggr a;
    if (!w->blocks) {
        w->first_sid = sid;
        w->page_mint = INT64_MAX;
        w->page_maxt = INT64_MIN;
    }
    if (!w->group_blocks)
        group_begin(w, sid);
    u32 column = column_of(w, s->t + from, n);
    bool is_hist = s->has_hist && s->h[from].at, has_aggr = false;
    if (is_hist) {
        hists_put(w, from, n, &h);
    } else {
        values_encode(&w->body, s->v + from, n, w->meta->level >= THOROUGH_LEVEL, &h);
        has_aggr = n >= PART_AGGR_MIN && !aggr_of_head(&h, n, &a) && aggr_compute(s->v + from, n, &a);
    }
    bool is_next = sid == w->last_sid + 1, has_column = column != w->last_column;
    wr_u8(&w->entries, (u8)(values_head_flags(&h) | (has_aggr ? ENTRY_AGGR : 0) |
                            (has_column ? ENTRY_COLUMN : 0) | (is_next ? ENTRY_NEXT : 0)));
    if (!is_next)
        wr_varint(&w->entries, sid - w->last_sid);
    if (has_column)
        wr_varint(&w->entries, column);
    values_head_encode(&w->entries, &h);
    if (has_aggr)
        aggr_put(w, &h, &a);
    w->last_sid = sid;
    w->last_column = column;
    w->page_mint = MIN(w->page_mint, s->t[from]);
    w->page_maxt = MAX(w->page_maxt, s->t[from + n - 1]);
    w->blocks++;
    if (++w->group_blocks == PART_GROUP_BLOCKS ||
        w->body.len - w->groups.at[w->groups.len - 1].body_at >= PART_GROUP_BODY)
        group_end(w);
    if (w->body.len + w->entries.len + w->coded.len >= PAGE_BYTES || w->blocks == PAGE_BLOCKS)
        page_end(w);
}

/* Floats and histograms of one series go to blocks of their own, in order of time, as even in size as can be. */
static void series_add(PartWriter *w, u32 sid)
{
    const SampleVec *s = &w->samples;
    for (u32 from = 0; from < s->len;) {
        u32 n = 1;
        bool is_hist = s->has_hist && s->h[from].at;
        while (from + n < s->len && (s->has_hist && s->h[from + n].at) == is_hist)
            n++;
        u32 blocks = (n + PART_BLOCK_MAX - 1) / PART_BLOCK_MAX;
        for (u32 i = 0; i < blocks; i++) {
            u32 lo = (u32)((u64)n * i / blocks), hi = (u32)((u64)n * (i + 1) / blocks);
            block_add(w, sid, from + lo, hi - lo);
        }
        from += n;
    }
    PartMeta *m = w->meta;
    m->mint = MIN(m->mint, s->t[0]);
    m->maxt = MAX(m->maxt, s->t[s->len - 1]);
    m->samples += s->len;
    m->series++;
}

static void writer_finish(PartWriter *w)
{
    page_end(w);
    dirs_put(w);
    Buf *o = &w->out;
    u64 index_at = w->offset;
    buf_put(o, w->index.at, w->index.len);
    size_t foot = o->len;
    wr_u64(o, index_at);
    wr_u32(o, w->pages);
    wr_u32(o, crc32c(0, w->index.at, w->index.len));
    wr_u64(o, (u64)w->meta->mint);
    wr_u64(o, (u64)w->meta->maxt);
    wr_u64(o, w->meta->samples);
    wr_u32(o, w->meta->series);
    wr_u32(o, w->meta->level);
    wr_u32(o, crc32c(0, o->at + foot, o->len - foot));
    buf_put(o, "PHPE", 4);
    w->meta->bytes = index_at + w->index.len + PART_FOOT_BYTES;
    w->is_ended = true;
}

static Err writer_step(PartWriter *w, Why *why)
{
    u32 sid;
    samples_clear(&w->samples);
    TRY(w->src->next(w->src, &sid, &w->samples, why));
    if (!sid) {
        if (!w->meta->series)
            return why_set(why, E_NOT_FOUND, "nothing to write");
        writer_finish(w);
    } else if (w->samples.len) {
        series_add(w, sid);
    }
    return OK;
}

static Err writer_body(void *arg, u8 *at, size_t cap, size_t *ret_n, Why *why)
{
    PartWriter *w = arg;
    while (w->out.len - w->taken < cap && !w->is_ended) {
        if (w->taken == w->out.len) {
            buf_clear(&w->out);
            w->taken = 0;
        }
        TRY(writer_step(w, why));
    }
    size_t n = MIN(cap, w->out.len - w->taken);
    memcpy(at, w->out.at + w->taken, n);
    w->taken += n;
    *ret_n = n;
    return OK;
}

void part_key(char out[64], u32 tenant, u64 seq)
{
    snprintf(out, 64, "t%u/p%020llu", tenant, (unsigned long long)seq);
}

Err part_store(Bucket *b, PartSource *src, PartMeta *meta, Why *why)
{
    char key[64];
    part_key(key, meta->tenant, meta->seq);
    PartWriter w;
    writer_init(&w, src, meta);
    Err e = bucket_put(b, str_c(key), writer_body, &w, NULL, deadline_none(), why);
    writer_done(&w);
    return e;
}

Err part_encode(PartSource *src, PartMeta *meta, Buf *out, Why *why)
{
    PartWriter w;
    writer_init(&w, src, meta);
    Err e = OK;
    while (!w.is_ended && e == OK)
        e = writer_step(&w, why);
    if (e == OK)
        buf_put(out, w.out.at, w.out.len);
    writer_done(&w);
    return e;
}
