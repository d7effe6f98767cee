/* Blocks that Prometheus (or we) wrote, read in the order of the index. Nothing in them is trusted. */
#include <stdio.h>

#include "metrics/blocks/impl.h"

enum {
    LABELS_MAX = 4096,
    SEGMENTS_MAX = 1 << 16,
    PIECE_SAMPLES = 8192,        /* a piece ends with the chunk that reaches this many */
    PIECE_BYTES_MAX = 512 << 20, /* memory of a piece: one hostile chunk may be large */
};

typedef struct Mapped {
    File *f;
    const u8 *at;
    u64 bytes;
} Mapped;
typedef struct Stone {
    u64 ref;
    i64 mint, maxt;
} Stone;
typedef struct Bytes { /* a bounded reader, big-endian as the format is */
    const u8 *at, *end;
    bool bad;
} Bytes;

struct Block {
    Vfs *vfs;
    char dir[1024];
    BlockMeta meta;
    Mapped index;
    VEC(Mapped) segments;
    VEC(Str) symbols;
    VEC(Stone) stones; /* by series */
    u64 at, series_at, series_end;
    u64 bytes;

    /* The series under way. */
    Label labels[LABELS_MAX];
    u32 labels_len;
    u64 ref;
    Bytes places; /* chunks not read yet */
    u64 chunks_left;
    ChunkPlace last;
    bool is_first_chunk, is_first_piece;
    i64 last_t;

    Arena arena; /* of a piece */
    VEC(i64) t;
    VEC(f64) v;
    VEC(const Histogram *) h;
    bool has_h;
};

/* ---- bytes ---- */

static Bytes bytes_of(const u8 *at, u64 n)
{
    return (Bytes){at, at + n, false};
}

static const u8 *take(Bytes *b, u64 n)
{
    if (b->bad || (u64)(b->end - b->at) < n) {
        b->bad = true;
        return NULL;
    }
    b->at += n;
    return b->at - n;
}

static u32 take_be32(Bytes *b)
{
    const u8 *p = take(b, 4);
    return p ? get_be32(p) : 0;
}

static u64 take_uvarint(Bytes *b)
{
    u64 v = 0;
    for (u32 shift = 0; shift < 70 && b->at < b->end; shift += 7) {
        u8 c = *b->at++;
        if (shift == 63 && c > 1)
            break;
        v |= (u64)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return v;
    }
    b->bad = true;
    b->at = b->end;
    return 0;
}

static i64 take_varint(Bytes *b)
{
    u64 v = take_uvarint(b);
    return (i64)(v >> 1) ^ -(i64)(v & 1);
}

static Str take_str(Bytes *b)
{
    u64 n = take_uvarint(b);
    const u8 *p = take(b, n);
    return p ? str_of((const char *)p, n) : S("");
}

/* The n bytes at `at` of a map and the checksum behind them. */
static bool checked(const Mapped *m, u64 at, u64 n, Bytes *ret)
{
    if (at > m->bytes || n > m->bytes - at || m->bytes - at - n < 4)
        return false;
    *ret = bytes_of(m->at + at, n);
    return crc32c(0, m->at + at, n) == get_be32(m->at + at + n);
}

/* ---- opening ---- */

static Err map_file(Vfs *v, const char *path, Mapped *ret, Why *why)
{
    *ret = (Mapped){0};
    TRY(v->open(v, path, VFS_READ, &ret->f, why));
    Err e = v->size(ret->f, &ret->bytes, why);
    if (e == OK && ret->bytes)
        e = v->map(ret->f, ret->bytes, &ret->at, why);
    if (e != OK) {
        v->close(ret->f);
        *ret = (Mapped){0};
    }
    return e;
}

static void unmap(Mapped *m)
{
    if (!m->f)
        return;
    if (m->at)
        m->f->vfs->unmap(m->f, m->at, m->bytes);
    m->f->vfs->close(m->f);
}

static Err corrupt(const Block *b, Why *why, const char *what)
{
    return why_set(why, E_CORRUPT, "block %s: %s", b->dir, what);
}

static Err read_symbols(Block *b, u64 at, Why *why)
{
    const Mapped *m = &b->index;
    Bytes r;
    if (at > m->bytes - 4 || !checked(m, at + 4, get_be32(m->at + at), &r))
        return corrupt(b, why, "the symbol table of the index is broken");
    u32 n = take_be32(&r);
    if (n > (u64)(r.end - r.at))
        return corrupt(b, why, "the symbol table of the index is too short");
    vec_reserve(&b->symbols, n);
    for (u32 i = 0; i < n && !r.bad; i++)
        vec_push(&b->symbols, take_str(&r));
    return r.bad ? corrupt(b, why, "the symbol table of the index is too short") : OK;
}

static Err read_index_head(Block *b, Why *why)
{
    const Mapped *m = &b->index;
    Bytes toc;
    if (m->bytes < 5 + TOC_BYTES || get_be32(m->at) != INDEX_MAGIC)
        return corrupt(b, why, "index is not the index of a block");
    if (m->at[4] != INDEX_VERSION)
        return why_set(why, E_CORRUPT,
                       "block %s: its index has format %u; only 2 is read (Prometheus 2.3 and later)", b->dir,
                       m->at[4]);
    if (!checked(m, m->bytes - TOC_BYTES, TOC_BYTES - 4, &toc))
        return corrupt(b, why, "the table of contents of the index is broken");
    u64 refs[6], end = m->bytes - TOC_BYTES;
    for (u32 i = 0; i < 6; i++) {
        refs[i] = get_be64(toc.at + 8ULL * i);
        if (refs[i] > m->bytes - TOC_BYTES)
            return corrupt(b, why, "the table of contents of the index points past its end");
    }
    for (u32 i = 2; i < 6; i++) /* whatever stands behind the series */
        if (refs[i] > refs[1])
            end = MIN(end, refs[i]);
    b->at = b->series_at = refs[1];
    b->series_end = refs[1] ? end : 0;
    return refs[0] ? read_symbols(b, refs[0], why) : OK;
}

static int stone_order(const void *a, const void *b)
{
    const Stone *x = a, *y = b;
    return x->ref < y->ref ? -1 : x->ref > y->ref;
}

static Err read_tombstones(Block *b, Why *why)
{
    char path[1200];
    Mapped m;
    snprintf(path, sizeof path, "%s/tombstones", b->dir);
    Err e = map_file(b->vfs, path, &m, why);
    if (e == E_NOT_FOUND)
        return OK;
    if (e != OK)
        return e;
    Bytes r;
    if (m.bytes < 9 || get_be32(m.at) != TOMBSTONES_MAGIC || m.at[4] != TOMBSTONES_VERSION ||
        !checked(&m, 5, m.bytes - 9, &r)) {
        unmap(&m);
        return corrupt(b, why, "tombstones is broken");
    }
    while (r.at < r.end && !r.bad) {
        Stone s = {.ref = take_uvarint(&r)};
        s.mint = take_varint(&r);
        s.maxt = take_varint(&r);
        if (!r.bad)
            vec_push(&b->stones, s);
    }
    unmap(&m);
    if (r.bad)
        return corrupt(b, why, "tombstones is broken");
    if (b->stones.len)
        qsort(b->stones.at, b->stones.len, sizeof(Stone), stone_order);
    return OK;
}

static Err read_segments(Block *b, Why *why)
{
    for (u32 i = 1; i <= SEGMENTS_MAX; i++) {
        char path[1200];
        Mapped m;
        snprintf(path, sizeof path, "%s/chunks/%06u", b->dir, i);
        Err e = map_file(b->vfs, path, &m, why);
        if (e == E_NOT_FOUND)
            break;
        if (e != OK)
            return e;
        vec_push(&b->segments, m);
        b->bytes += m.bytes;
        if (m.bytes < SEGMENT_HEAD_BYTES || get_be32(m.at) != CHUNKS_MAGIC || m.at[4] != CHUNKS_VERSION)
            return why_set(why, E_CORRUPT, "block %s: chunks/%06u is not a file of chunks", b->dir, i);
    }
    return OK;
}

Err block_open(Block **ret, Vfs *vfs, const char *dir, Why *why)
{
    char path[1200];
    Block *b = mem_new(Block);
    b->vfs = vfs;
    arena_init(&b->arena, NULL, PIECE_BYTES_MAX);
    Err e = strlen(dir) >= sizeof b->dir - 64 ? why_set(why, E_INVALID, "the path %.100s... is too long", dir)
                                              : OK;
    snprintf(b->dir, sizeof b->dir, "%s", dir);
    if (e == OK)
        e = block_meta_load(&b->meta, NULL, vfs, dir, why);
    snprintf(path, sizeof path, "%s/index", b->dir);
    if (e == OK)
        e = map_file(vfs, path, &b->index, why);
    if (e == OK)
        e = read_index_head(b, why);
    if (e == OK)
        e = read_tombstones(b, why);
    if (e == OK)
        e = read_segments(b, why);
    if (e != OK) {
        block_close(b);
        return e;
    }
    b->bytes += b->index.bytes;
    *ret = b;
    return OK;
}

void block_close(Block *b)
{
    if (!b)
        return;
    unmap(&b->index);
    for (size_t i = 0; i < b->segments.len; i++)
        unmap(&b->segments.at[i]);
    vec_done(&b->segments);
    vec_done(&b->symbols);
    vec_done(&b->stones);
    vec_done(&b->t);
    vec_done(&b->v);
    vec_done(&b->h);
    arena_done(&b->arena);
    mem_free(b);
}

const BlockMeta *block_meta(const Block *b)
{
    return &b->meta;
}

u64 block_bytes(const Block *b)
{
    return b->bytes;
}

u64 block_progress(const Block *b)
{
    return MIN(b->at - b->series_at, block_progress_end(b));
}

u64 block_progress_end(const Block *b)
{
    return b->series_end > b->series_at ? b->series_end - b->series_at : 0;
}

/* ---- series ---- */

/* The next entry of the series section: aligned, with zeros before it. E_NOT_FOUND at the end. */
static Err series_open(Block *b, Why *why)
{
    const u8 *base = b->index.at;
    for (;;) {
        b->at += (SERIES_ALIGN - b->at % SERIES_ALIGN) % SERIES_ALIGN;
        if (b->at >= b->series_end)
            return E_NOT_FOUND;
        if (base[b->at])
            break;
        b->at += SERIES_ALIGN;
    }
    Bytes r = bytes_of(base + b->at, b->series_end - b->at), body;
    b->ref = b->at / SERIES_ALIGN;
    u64 len = take_uvarint(&r), at = (u64)(r.at - base);
    if (r.bad || !checked(&b->index, at, len, &body) || at + len + 4 > b->series_end)
        return corrupt(b, why, "a series of the index is broken");
    b->at = at + len + 4;
    u64 n = take_uvarint(&body);
    if (n > LABELS_MAX)
        return corrupt(b, why, "a series has too many labels");
    for (u64 i = 0; i < n && !body.bad; i++) {
        u64 name = take_uvarint(&body), value = take_uvarint(&body);
        if (name >= b->symbols.len || value >= b->symbols.len)
            return corrupt(b, why, "a series refers to a symbol that is not there");
        b->labels[i] = (Label){b->symbols.at[name], b->symbols.at[value]};
        if (!str_is_utf8(b->labels[i].name) || !str_is_utf8(b->labels[i].value) || !b->labels[i].name.len ||
            (i && str_cmp(b->labels[i - 1].name, b->labels[i].name) >= 0))
            return corrupt(b, why, "the labels of a series are not sorted, not unique or not UTF-8");
    }
    b->labels_len = (u32)n;
    b->chunks_left = take_uvarint(&body);
    b->places = body;
    if (body.bad || b->chunks_left > (u64)(body.end - body.at) / 3)
        return corrupt(b, why, "a series of the index is too short");
    b->last = (ChunkPlace){0};
    b->is_first_chunk = b->is_first_piece = true;
    b->last_t = INT64_MIN;
    return OK;
}

static Err chunk_find(Block *b, Str *ret_payload, ChunkKind *ret_kind, Why *why)
{
    Bytes *p = &b->places;
    ChunkPlace now;
    if (b->is_first_chunk) {
        now.mint = take_varint(p);
        now.maxt = (i64)((u64)now.mint + take_uvarint(p));
        now.ref = take_uvarint(p);
    } else {
        now.mint = (i64)((u64)b->last.maxt + take_uvarint(p));
        now.maxt = (i64)((u64)now.mint + take_uvarint(p));
        now.ref = b->last.ref + (u64)take_varint(p);
    }
    b->is_first_chunk = false;
    b->last = now;
    b->chunks_left--;
    u64 segment = now.ref >> 32, at = now.ref & UINT32_MAX;
    if (p->bad || segment >= b->segments.len || at < SEGMENT_HEAD_BYTES ||
        at >= b->segments.at[segment].bytes)
        return corrupt(b, why, "a series refers to a chunk that is not there");
    const Mapped *m = &b->segments.at[segment];
    Bytes r = bytes_of(m->at + at, m->bytes - at), data;
    u64 len = take_uvarint(&r);
    if (r.bad || len >= m->bytes || !checked(m, (u64)(r.at - m->at), len + 1, &data))
        return corrupt(b, why, "a chunk is cut off, or its checksum is wrong");
    *ret_kind = (ChunkKind)data.at[0];
    *ret_payload = str_of((const char *)data.at + 1, len);
    return OK;
}

static bool is_deleted(const Block *b, i64 t)
{
    size_t low = 0, high = b->stones.len;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (b->stones.at[mid].ref < b->ref)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < b->stones.len && b->stones.at[low].ref == b->ref; low++)
        if (t >= b->stones.at[low].mint && t <= b->stones.at[low].maxt)
            return true;
    return false;
}

static Err chunk_append(Block *b, Why *why)
{
    Str payload;
    ChunkKind kind;
    ChunkSamples c;
    Why reason;
    TRY(chunk_find(b, &payload, &kind, why));
    Err e = chunk_decode(kind, payload, &b->arena, &c, &reason);
    if (e != OK)
        return why_set(why, e, "block %s: %s", b->dir, reason.text);
    if (c.t[0] <= b->last_t && b->last_t != INT64_MIN)
        return corrupt(b, why, "the chunks of a series overlap");
    b->last_t = c.t[c.n - 1];
    for (u32 i = 0; i < c.n; i++) {
        if (b->stones.len && is_deleted(b, c.t[i]))
            continue;
        vec_push(&b->t, c.t[i]);
        vec_push(&b->v, c.v[i]);
        vec_push(&b->h, c.h ? c.h[i] : NULL);
        b->has_h |= c.h != NULL;
    }
    return OK;
}

Err block_next(Block *b, BlockPiece *ret, Why *why)
{
    if (!b->chunks_left)
        TRY(series_open(b, why));
    arena_reset(&b->arena);
    b->t.len = b->v.len = b->h.len = 0;
    b->has_h = false;
    while (b->chunks_left && b->t.len < PIECE_SAMPLES && arena_used(&b->arena) < PIECE_BYTES_MAX / 8)
        TRY(chunk_append(b, why));
    *ret = (BlockPiece){.labels = {b->labels, b->labels_len},
                        .t = b->t.at,
                        .v = b->v.at,
                        .h = b->has_h ? b->h.at : NULL,
                        .n = (u32)b->t.len,
                        .is_first = b->is_first_piece};
    b->is_first_piece = false;
    return OK;
}
