/* A block: chunks as the samples come, then index, tombstones and meta.json. */
#include <stdio.h>

#include "metrics/blocks/impl.h"

enum { STRINGS_BYTES_MAX = 1 << 30 };
#define POOL_BYTES_MAX (8ULL << 30)

/* 48 bits of milliseconds, 80 of chance, in Crockford's base 32: sorts by time. */
static void ulid_new(char ret[BLOCK_ULID_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    u64 ms = (u64)clock_wall_ms(clock_real()), chance[2] = {random_u64(), random_u64()};
    for (u32 i = 0; i < 10; i++)
        ret[i] = digits[ms >> (45 - 5 * i) & 31];
    for (u32 i = 0; i < 16; i++)
        ret[10 + i] = digits[chance[i / 8] >> (5 * (i % 8)) & 31];
    ret[BLOCK_ULID_LEN] = 0;
}

Err block_writer_new(BlockWriter **ret, Vfs *vfs, const char *parent, Why *why)
{
    char path[1200];
    BlockWriter *w = mem_new(BlockWriter);
    w->vfs = vfs;
    w->mint = INT64_MAX;
    w->maxt = INT64_MIN;
    ulid_new(w->ulid);
    snprintf(w->parent, sizeof w->parent, "%s", parent);
    snprintf(w->dir, sizeof w->dir, "%s/%s%s", w->parent, w->ulid, BLOCK_TMP_ENDING);
    snprintf(path, sizeof path, "%s/chunks", w->dir);
    arena_init(&w->strings, NULL, STRINGS_BYTES_MAX);
    buf_init(&w->pool, POOL_BYTES_MAX);
    Err e = strlen(parent) + 64 > sizeof w->parent
                ? why_set(why, E_INVALID, "the path %.100s... is too long", parent)
                : vfs_mkdirs(vfs, path, why);
    if (e != OK) {
        block_writer_abandon(w);
        return e;
    }
    *ret = w;
    return OK;
}

static void writer_free(BlockWriter *w)
{
    fw_close(&w->chunks, NULL);
    strmap_done(&w->symbol_ids);
    vec_done(&w->symbols);
    vec_done(&w->series);
    buf_done(&w->pool);
    arena_done(&w->strings);
    mem_free(w);
}

void block_writer_abandon(BlockWriter *w)
{
    if (!w)
        return;
    fw_close(&w->chunks, NULL);
    vfs_remove_tree(w->vfs, w->dir, NULL);
    writer_free(w);
}

/* ---- chunks ---- */

static Err segment_next(BlockWriter *w, Why *why)
{
    char path[1200];
    TRY(fw_close(&w->chunks, why));
    snprintf(path, sizeof path, "%s/chunks/%06u", w->dir, ++w->segment);
    fw_open(&w->chunks, w->vfs, path);
    fw_be32(&w->chunks, CHUNKS_MAGIC);
    fw_put(&w->chunks, "\1\0\0", 4);
    if (w->chunks.err != OK && why)
        *why = w->chunks.why;
    return w->chunks.err;
}

static Err chunk_put(BlockWriter *w, ChunkKind kind, Str payload, u64 *ret_ref, Why *why)
{
    if (!w->segment || w->chunks.at + payload.len + 16 > SEGMENT_BYTES_MAX)
        TRY(segment_next(w, why));
    FileWriter *f = &w->chunks;
    *ret_ref = (u64)(w->segment - 1) << 32 | f->at;
    fw_uvarint(f, payload.len);
    fw_crc_from(f);
    fw_put(f, &(u8){(u8)kind}, 1);
    fw_put(f, payload.at, payload.len);
    fw_crc_put(f);
    if (f->err != OK && why)
        *why = f->why;
    return f->err;
}

/* ---- series ---- */

static u32 symbol_id(BlockWriter *w, Str s)
{
    void *known = strmap_find(&w->symbol_ids, s);
    if (!known) {
        vec_push(&w->symbols, arena_dup(&w->strings, s));
        known = (void *)(uintptr_t)w->symbols.len;
        strmap_put(&w->symbol_ids, s, known);
    }
    return (u32)((uintptr_t)known - 1);
}

static void pool_u32(Buf *b, u32 v)
{
    buf_put(b, &v, 4);
}

static u64 zig(i64 v)
{
    return ((u64)v << 1) ^ (u64)(v >> 63);
}

Err block_writer_add(BlockWriter *w, Labels l, const i64 *t, const f64 *v, const Histogram *const *h, u32 n,
                     Why *why)
{
    if (!n)
        return OK;
    u64 start = w->pool.len;
    pool_u32(&w->pool, l.len);
    for (u32 i = 0; i < l.len; i++) {
        pool_u32(&w->pool, symbol_id(w, l.at[i].name));
        pool_u32(&w->pool, symbol_id(w, l.at[i].value));
    }
    Buf payload;
    buf_init(&payload, 64 << 20);
    u64 counts = w->pool.len;
    u32 chunks = 0;
    pool_u32(&w->pool, 0);
    pool_u32(&w->pool, 0);
    ChunkPlace last = {0};
    Err e = OK;
    for (u32 at = 0; at < n && e == OK; chunks++) {
        ChunkKind kind;
        ChunkPlace p = {.mint = t[at]};
        buf_clear(&payload);
        u32 took = chunk_encode(t + at, v + at, h ? h + at : NULL, n - at, &payload, &kind);
        at += took;
        p.maxt = t[at - 1];
        w->float_samples += kind == CHUNK_XOR ? took : 0;
        e = buf_over(&payload) ? why_set(why, E_TOO_LARGE, "a chunk of histograms is too large")
                               : chunk_put(w, kind, buf_view(&payload), &p.ref, why);
        buf_uvarint(&w->pool, zig((i64)((u64)p.mint - (u64)last.maxt)));
        buf_uvarint(&w->pool, (u64)p.maxt - (u64)p.mint);
        buf_uvarint(&w->pool, zig((i64)(p.ref - last.ref)));
        last = p;
    }
    buf_done(&payload);
    if (e == OK && (buf_over(&w->pool) || arena_over(&w->strings)))
        e = why_set(why, E_LIMIT, "too many series for one block");
    if (e != OK)
        return e;
    u32 bytes = (u32)(w->pool.len - counts - 8);
    memcpy(w->pool.at + counts, &chunks, 4);
    memcpy(w->pool.at + counts + 4, &bytes, 4);
    vec_push(&w->series, start);
    w->samples += n;
    w->chunks_len += chunks;
    w->mint = MIN(w->mint, t[0]);
    w->maxt = MAX(w->maxt, t[n - 1]);
    return OK;
}

/* ---- the end ---- */

static Err small_files(BlockWriter *w, Why *why)
{
    char path[1200], meta[1024];
    u8 stones[9] = {0};
    put_be32(stones, TOMBSTONES_MAGIC);
    stones[4] = TOMBSTONES_VERSION;
    snprintf(path, sizeof path, "%s/tombstones", w->dir);
    TRY(vfs_write_file(w->vfs, path, str_of((char *)stones, sizeof stones), why));
    int n = snprintf(
        meta, sizeof meta,
        "{\n\t\"ulid\": \"%s\",\n\t\"minTime\": %lld,\n\t\"maxTime\": %lld,\n\t\"stats\": {\n"
        "\t\t\"numSamples\": %llu,\n\t\t\"numFloatSamples\": %llu,\n\t\t\"numHistogramSamples\": %llu,\n"
        "\t\t\"numSeries\": %llu,\n\t\t\"numChunks\": %llu\n\t},\n\t\"compaction\": {\n"
        "\t\t\"level\": 1,\n\t\t\"sources\": [\n\t\t\t\"%s\"\n\t\t]\n\t},\n\t\"version\": 1\n}\n",
        w->ulid, (long long)w->mint, (long long)w->maxt + 1, (unsigned long long)w->samples,
        (unsigned long long)w->float_samples, (unsigned long long)(w->samples - w->float_samples),
        (unsigned long long)w->series.len, (unsigned long long)w->chunks_len, w->ulid);
    snprintf(path, sizeof path, "%s/meta.json", w->dir);
    return vfs_write_file(w->vfs, path, str_of(meta, (size_t)n), why);
}

Err block_writer_end(BlockWriter *w, char ret_ulid[BLOCK_ULID_LEN + 1], Why *why)
{
    char path[1200];
    ret_ulid[0] = 0;
    if (!w->series.len) {
        block_writer_abandon(w);
        return OK;
    }
    snprintf(path, sizeof path, "%s/index", w->dir);
    Err e = fw_close(&w->chunks, why);
    if (e == OK)
        e = index_write(w, path, why);
    if (e == OK)
        e = small_files(w, why);
    snprintf(path, sizeof path, "%s/chunks", w->dir);
    if (e == OK)
        e = w->vfs->sync_dir(w->vfs, path, why);
    snprintf(path, sizeof path, "%s/%s", w->parent, w->ulid);
    if (e == OK)
        e = w->vfs->rename_new(w->vfs, w->dir, path, why);
    if (e == OK)
        e = w->vfs->sync_dir(w->vfs, w->parent, why);
    if (e != OK) {
        block_writer_abandon(w);
        return e;
    }
    memcpy(ret_ulid, w->ulid, sizeof w->ulid);
    writer_free(w);
    return OK;
}
