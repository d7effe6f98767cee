/* The index of a block: symbols, series in the order of their labels, postings, and the tables that lead to them. */
#include "metrics/blocks/impl.h"

typedef struct Posting {
    u32 name, value; /* ranks */
    u64 at;          /* in the file */
} Posting;
typedef struct IndexWriter {
    BlockWriter *w;
    FileWriter f;
    u32 *rank;  /* by symbol id: its place among the sorted */
    u32 *order; /* the other way */
    u32 *refs;  /* of the series, in order */
    u64 *pairs; /* grouped by label name: value's rank << 32 | ref of a series */
    VEC(Posting) postings;
} IndexWriter;

static int symbol_order(const void *a, const void *b, void *arg)
{
    const Str *at = arg;
    return str_cmp(at[*(const u32 *)a], at[*(const u32 *)b]);
}

static u32 pool_u32(const IndexWriter *x, u64 at)
{
    u32 v;
    memcpy(&v, x->w->pool.at + at, 4);
    return v;
}

static int series_order(const void *a, const void *b, void *arg)
{
    const IndexWriter *x = arg;
    u64 p = *(const u64 *)a, q = *(const u64 *)b;
    u32 n = pool_u32(x, p), m = pool_u32(x, q);
    for (u64 i = 4; i <= 8ULL * MIN(n, m); i += 4) {
        u32 s = pool_u32(x, p + i), r = pool_u32(x, q + i);
        if (s != r)
            return x->rank[s] < x->rank[r] ? -1 : 1;
    }
    return n < m ? -1 : n > m;
}

static void sort_all(IndexWriter *x)
{
    BlockWriter *w = x->w;
    size_t n = w->symbols.len;
    x->rank = mem_alloc(n * sizeof(u32) + 1);
    x->order = mem_alloc(n * sizeof(u32) + 1);
    for (u32 i = 0; i < n; i++)
        x->order[i] = i;
    qsort_r(x->order, n, sizeof(u32), symbol_order, w->symbols.at);
    for (u32 i = 0; i < n; i++)
        x->rank[x->order[i]] = i;
    qsort_r(w->series.at, w->series.len, sizeof(u64), series_order, x);
}

static void put_symbols(IndexWriter *x)
{
    FileWriter *f = &x->f;
    const BlockWriter *w = x->w;
    u64 bytes = 4;
    for (size_t i = 0; i < w->symbols.len; i++) {
        u64 n = w->symbols.at[i].len;
        bytes += n + 1;
        for (; n >= 0x80; n >>= 7)
            bytes++;
    }
    fw_be32(f, (u32)bytes);
    fw_crc_from(f);
    fw_be32(f, (u32)w->symbols.len);
    for (size_t i = 0; i < w->symbols.len; i++)
        fw_str(f, w->symbols.at[x->order[i]]);
    fw_crc_put(f);
}

/* The places of a series' chunks lie in the pool as they will stand in the index, but for the first sign. */
static void put_places(Buf *body, const u8 *at, const u8 *end, u32 n)
{
    for (u32 i = 0; i < n; i++)
        for (u32 k = 0; k < 3; k++) {
            u64 v = 0;
            u32 shift = 0;
            for (; at < end && *at & 0x80; shift += 7)
                v |= (u64)(*at++ & 0x7f) << shift;
            v |= (u64)*at++ << shift;
            i64 plain = (i64)(v >> 1) ^ -(i64)(v & 1);
            bool is_signed = i ? k == 2 : k == 0; /* mint - last maxt is unsigned; the first place too */
            buf_uvarint(body, k == 1 || is_signed ? v : (u64)plain);
        }
}

static void put_series(IndexWriter *x)
{
    FileWriter *f = &x->f;
    BlockWriter *w = x->w;
    Buf body;
    buf_init(&body, 1 << 30);
    x->refs = mem_alloc(w->series.len * sizeof(u32) + 1);
    for (size_t i = 0; i < w->series.len; i++) {
        u64 at = w->series.at[i];
        u32 labels = pool_u32(x, at);
        buf_clear(&body);
        buf_uvarint(&body, labels);
        for (u32 k = 1; k <= 2 * labels; k++)
            buf_uvarint(&body, x->rank[pool_u32(x, at + 4ULL * k)]);
        at += 4 + 8ULL * labels;
        u32 chunks = pool_u32(x, at), bytes = pool_u32(x, at + 4);
        buf_uvarint(&body, chunks);
        const u8 *places = (const u8 *)w->pool.at + at + 8;
        put_places(&body, places, places + bytes, chunks);
        fw_align(f, SERIES_ALIGN);
        if (f->at / SERIES_ALIGN > UINT32_MAX || buf_over(&body)) {
            f->err = f->err == OK ? why_set(&f->why, E_TOO_LARGE, "the index of a block would be too large")
                                  : f->err;
            break;
        }
        x->refs[i] = (u32)(f->at / SERIES_ALIGN);
        fw_uvarint(f, body.len);
        fw_crc_from(f);
        fw_put(f, body.at, body.len);
        fw_crc_put(f);
    }
    buf_done(&body);
}

static void put_list(IndexWriter *x, u32 name, u32 value, const u64 *pairs, const u32 *refs, u64 n)
{
    FileWriter *f = &x->f;
    fw_align(f, 4);
    vec_push(&x->postings, ((Posting){name, value, f->at}));
    fw_be32(f, (u32)(4 + 4 * n));
    fw_crc_from(f);
    fw_be32(f, (u32)n);
    for (u64 i = 0; i < n; i++)
        fw_be32(f, refs ? refs[i] : (u32)pairs[i]);
    fw_crc_put(f);
}

/* The first list holds all series; then one for each pair of name and value, in order. */
static void put_postings(IndexWriter *x)
{
    BlockWriter *w = x->w;
    size_t names = w->symbols.len;
    u64 *first = mem_zalloc((names + 2) * sizeof(u64));
    for (size_t i = 0; i < w->series.len; i++)
        for (u32 k = 0, n = pool_u32(x, w->series.at[i]); k < n; k++)
            first[x->rank[pool_u32(x, w->series.at[i] + 4 + 8ULL * k)] + 2]++;
    for (size_t i = 2; i < names + 2; i++)
        first[i] += first[i - 1];
    x->pairs = mem_alloc(first[names + 1] * sizeof(u64) + 1);
    for (size_t i = 0; i < w->series.len; i++)
        for (u32 k = 0, n = pool_u32(x, w->series.at[i]); k < n; k++) {
            u64 at = w->series.at[i] + 4 + 8ULL * k;
            u64 *to = &first[x->rank[pool_u32(x, at)] + 1];
            x->pairs[(*to)++] = (u64)x->rank[pool_u32(x, at + 4)] << 32 | x->refs[i];
        }
    put_list(x, 0, 0, NULL, x->refs, w->series.len);
    for (u32 name = 0; name < names && x->f.err == OK; name++) {
        u64 from = first[name], end = first[name + 1];
        qsort(x->pairs + from, end - from, sizeof(u64), u64_order);
        for (u64 at = from, next; at < end; at = next) {
            u32 value = (u32)(x->pairs[at] >> 32);
            for (next = at; next < end && x->pairs[next] >> 32 == value;)
                next++;
            put_list(x, name, value, x->pairs + at, NULL, next - at);
        }
    }
    mem_free(first);
}

static void put_postings_table(IndexWriter *x)
{
    FileWriter *f = &x->f;
    Buf b;
    buf_init(&b, UINT32_MAX);
    for (size_t i = 0; i < x->postings.len; i++) {
        const Posting *p = &x->postings.at[i];
        Str name = i ? x->w->symbols.at[x->order[p->name]] : S(""),
            value = i ? x->w->symbols.at[x->order[p->value]] : S("");
        buf_uvarint(&b, 2);
        buf_uvarint(&b, name.len);
        buf_str(&b, name);
        buf_uvarint(&b, value.len);
        buf_str(&b, value);
        buf_uvarint(&b, p->at);
    }
    if (buf_over(&b) && f->err == OK)
        f->err = why_set(&f->why, E_TOO_LARGE, "the postings table of a block would be too large");
    fw_be32(f, (u32)(b.len + 4));
    fw_crc_from(f);
    fw_be32(f, (u32)x->postings.len);
    fw_put(f, b.at, b.len);
    fw_crc_put(f);
    buf_done(&b);
}

Err index_write(BlockWriter *w, const char *path, Why *why)
{
    IndexWriter x = {.w = w};
    u64 series, postings, table;
    sort_all(&x);
    FileWriter *f = &x.f;
    fw_open(f, w->vfs, path);
    fw_be32(f, INDEX_MAGIC);
    fw_put(f, &(u8){INDEX_VERSION}, 1);
    put_symbols(&x);
    fw_align(f, SERIES_ALIGN);
    series = f->at;
    put_series(&x);
    fw_align(f, 4);
    postings = f->at;
    put_postings(&x);
    table = f->at;
    put_postings_table(&x);
    fw_crc_from(f);
    const u64 toc[] = {5, series, 0, 0, postings, table}; /* label indices are not used any more */
    for (size_t i = 0; i < COUNT_OF(toc); i++)
        fw_be64(f, toc[i]);
    fw_crc_put(f);
    mem_free(x.rank);
    mem_free(x.order);
    mem_free(x.refs);
    mem_free(x.pairs);
    vec_done(&x.postings);
    return fw_close(f, why);
}
