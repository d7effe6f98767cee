#include "metrics/part.h"
#include "metrics/values.h"
#include <stdio.h>

#define PAGE_BYTES_YOUNG 16384u /* parts of level 0 and 1: many series, few samples each */
#define PAGE_BYTES       65536u
#define COLUMNS_TRIED    8u
#define PART_BUF_MAX     ((size_t)1 << 40)

typedef struct Column {
    u64 hash;
    u32 n;
    size_t at; /* in times */
} Column;

typedef struct PartWriter {
    PartSource *src;
    PartMeta *meta;
    Buf out; /* finished bytes not yet taken */
    size_t taken;
    u64 offset; /* of the file, at the end of out */
    u32 page_bytes;
    Buf blocks, column_bytes, index;
    VEC(u32) dir;         /* sid, offset within blocks */
    VEC(u32) column_offs; /* within column_bytes */
    VEC(Column) columns;
    VEC(i64) times;
    u32 first_sid, last_sid, pages;
    i64 page_mint, page_maxt;
    SampleVec samples;
    bool is_ended;
} PartWriter;

static void writer_init(PartWriter *w, PartSource *src, PartMeta *meta)
{
    *w =
        (PartWriter){.src = src, .meta = meta, .page_bytes = meta->level < 2 ? PAGE_BYTES_YOUNG : PAGE_BYTES};
    buf_init(&w->out, PART_BUF_MAX);
    buf_init(&w->blocks, PART_BUF_MAX);
    buf_init(&w->column_bytes, PART_BUF_MAX);
    buf_init(&w->index, PART_BUF_MAX);
    meta->mint = INT64_MAX;
    meta->maxt = INT64_MIN;
    meta->samples = meta->series = 0;
    w->page_mint = INT64_MAX;
    w->page_maxt = INT64_MIN;
    buf_put(&w->out, "PHPART\0\0", 8);
    wr_u32(&w->out, 0);
    wr_u32(&w->out, 0);
    w->offset = w->out.len;
}

static void writer_done(PartWriter *w)
{
    buf_done(&w->out);
    buf_done(&w->blocks);
    buf_done(&w->column_bytes);
    buf_done(&w->index);
    vec_done(&w->dir);
    vec_done(&w->column_offs);
    vec_done(&w->columns);
    vec_done(&w->times);
    samples_done(&w->samples);
}

static void page_end(PartWriter *w)
{
    if (!w->dir.len)
        return;
    Buf *o = &w->out;
    size_t start = o->len;
    u32 blocks = (u32)w->dir.len / 2, columns = (u32)w->column_offs.len;
    u32 columns_at = 8 + blocks * 8 + columns * 4, blocks_at = columns_at + (u32)w->column_bytes.len;
    wr_u32(o, blocks);
    wr_u32(o, columns);
    for (size_t i = 0; i < w->dir.len; i += 2) {
        wr_u32(o, w->dir.at[i]);
        wr_u32(o, blocks_at + w->dir.at[i + 1]);
    }
    for (u32 i = 0; i < columns; i++)
        wr_u32(o, columns_at + w->column_offs.at[i]);
    buf_put(o, w->column_bytes.at, w->column_bytes.len);
    buf_put(o, w->blocks.at, w->blocks.len);
    u32 n = (u32)(o->len - start);
    wr_u32(&w->index, w->first_sid);
    wr_u32(&w->index, w->last_sid);
    wr_u64(&w->index, w->offset);
    wr_u32(&w->index, n);
    wr_u32(&w->index, crc32c(0, o->at + start, n));
    wr_u64(&w->index, (u64)w->page_mint);
    wr_u64(&w->index, (u64)w->page_maxt);
    w->offset += n;
    w->pages++;
    w->dir.len = w->column_offs.len = w->columns.len = w->times.len = 0;
    buf_clear(&w->blocks);
    buf_clear(&w->column_bytes);
    w->page_mint = INT64_MAX;
    w->page_maxt = INT64_MIN;
}

/* The page's column with these times; series of one scrape follow one another, so the newest few are enough to try. */
static u32 column_of(PartWriter *w, const i64 *t, u32 n)
{
    u64 hash = hash_bytes(t, n * sizeof(i64), n);
    for (size_t k = 0; k < COLUMNS_TRIED && k < w->columns.len; k++) {
        size_t i = w->columns.len - 1 - k;
        Column c = w->columns.at[i];
        if (c.hash == hash && c.n == n && memcmp(w->times.at + c.at, t, n * sizeof(i64)) == 0)
            return (u32)i;
    }
    vec_push(&w->columns, (Column){hash, n, w->times.len});
    vec_reserve(&w->times, w->times.len + n);
    memcpy(w->times.at + w->times.len, t, n * sizeof(i64));
    w->times.len += n;
    vec_push(&w->column_offs, (u32)w->column_bytes.len);
    times_encode(&w->column_bytes, t, n);
    return (u32)w->columns.len - 1;
}

static void block_add(PartWriter *w, u32 sid, u32 from, u32 n)
{
    const SampleVec *s = &w->samples;
    if (!w->dir.len)
        w->first_sid = sid;
    w->last_sid = sid;
    vec_push(&w->dir, sid);
    vec_push(&w->dir, (u32)w->blocks.len);
    wr_varint(&w->blocks, column_of(w, s->t + from, n));
    bool is_hist = s->has_hist && s->h[from].at;
    wr_u8(&w->blocks, is_hist);
    if (is_hist)
        for (u32 i = from; i < from + n; i++)
            wr_str(&w->blocks, s->h[i]);
    else
        values_encode(&w->blocks, s->v + from, n);
    w->page_mint = MIN(w->page_mint, s->t[from]);
    w->page_maxt = MAX(w->page_maxt, s->t[from + n - 1]);
    if (w->blocks.len + w->column_bytes.len + w->dir.len * 4 >= w->page_bytes)
        page_end(w);
}

/* Floats and histograms of one series go to blocks of their own, in order of time. */
static void series_add(PartWriter *w, u32 sid)
{
    const SampleVec *s = &w->samples;
    for (u32 from = 0; from < s->len;) {
        u32 n = 1;
        bool is_hist = s->has_hist && s->h[from].at;
        while (n < PART_BLOCK_MAX && from + n < s->len && (s->has_hist && s->h[from + n].at) == is_hist)
            n++;
        block_add(w, sid, from, n);
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
