#include "metrics/part.h"
#include "metrics/bytes.h"
#include "metrics/values.h"
#include "base/log.h"

typedef struct PageEntry {
    u32 first_sid, last_sid, len, crc;
    u64 offset;
    i64 mint, maxt;
} PageEntry;

static PageEntry entry_at(const Part *p, u32 i)
{
    const u8 *at = p->index + (size_t)i * PART_ENTRY_BYTES;
    return (PageEntry){.first_sid = load_u32(at),
                       .last_sid = load_u32(at + 4),
                       .offset = load_u64(at + 8),
                       .len = load_u32(at + 16),
                       .crc = load_u32(at + 20),
                       .mint = (i64)load_u64(at + 24),
                       .maxt = (i64)load_u64(at + 32)};
}

/* ---- opening ---- */

static Err index_check(const Part *p, u64 index_at, Why *why)
{
    u64 at = PART_HEAD_BYTES;
    u32 sid = 0;
    for (u32 i = 0; i < p->pages; i++) {
        PageEntry e = entry_at(p, i);
        if (e.offset != at || e.len < 8 || e.len > index_at - at || e.first_sid < sid ||
            e.last_sid < e.first_sid || !e.first_sid)
            return why_set(why, E_CORRUPT, "index entry %u is impossible", i);
        at += e.len;
        sid = e.last_sid;
    }
    return at == index_at ? OK
                          : why_set(why, E_CORRUPT, "pages end at byte %llu, the index begins at %llu",
                                    (unsigned long long)at, (unsigned long long)index_at);
}

static Err part_parse(Part *p, u64 n, Why *why)
{
    if (n < PART_HEAD_BYTES + PART_FOOT_BYTES || memcmp(p->data, "PHPART\0\0", 8) != 0)
        return why_set(why, E_CORRUPT, "not a part: its first bytes are wrong or it is cut off");
    if (load_u32(p->data + 8) != 0)
        return why_set(why, E_UNSUPPORTED, "part format %u is newer than this program",
                       load_u32(p->data + 8));
    const u8 *foot = p->data + n - PART_FOOT_BYTES;
    if (memcmp(foot + 52, "PHPE", 4) != 0 || crc32c(0, foot, 48) != load_u32(foot + 48))
        return why_set(why, E_CORRUPT, "footer is damaged");
    u64 index_at = load_u64(foot), pages = load_u32(foot + 8);
    u64 index_bytes = pages * PART_ENTRY_BYTES;
    if (pages == 0 || index_at < PART_HEAD_BYTES || index_at > n ||
        n - index_at != index_bytes + PART_FOOT_BYTES)
        return why_set(why, E_CORRUPT, "footer does not fit the file's size");
    if (crc32c(0, p->data + index_at, index_bytes) != load_u32(foot + 12))
        return why_set(why, E_CORRUPT, "index is damaged");
    p->index = p->data + index_at;
    p->pages = (u32)pages;
    TRY(index_check(p, index_at, why));
    p->sid_min = entry_at(p, 0).first_sid;
    p->sid_max = entry_at(p, p->pages - 1).last_sid;
    return OK;
}

static Part *part_new(const PartMeta *meta)
{
    Part *p = mem_new(Part);
    p->refs = 1;
    p->meta = *meta;
    return p;
}

Part *part_from_bytes(const u8 *at, u64 n, const PartMeta *meta)
{
    Part *p = part_new(meta);
    p->data = at;
    p->is_broken = part_parse(p, n, NULL) != OK;
    return p;
}

static Err part_load(Part *p, Str key, u64 *ret_bytes, Why *why)
{
    Err e = bucket_map(p->bucket, key, &p->data, ret_bytes, &p->file, why);
    if (e != E_UNSUPPORTED)
        return e;
    Buf b;
    buf_init(&b, (size_t)1 << 40);
    e = bucket_get(p->bucket, key, 0, UINT64_MAX, &b, deadline_none(), why);
    if (e != OK) {
        buf_done(&b);
        return e;
    }
    p->data = p->copy = (u8 *)b.at;
    *ret_bytes = b.len;
    return OK;
}

Err part_open(Part **ret, Bucket *b, const PartMeta *meta, Why *why)
{
    char key[64];
    part_key(key, meta->tenant, meta->seq);
    Part *p = part_new(meta);
    p->bucket = b;
    u64 bytes = 0;
    Why own = {0};
    Err e = part_load(p, str_c(key), &bytes, &own);
    bool is_gone = e == E_NOT_FOUND || e == E_CORRUPT;
    if (e != OK && !is_gone) {
        part_unref(p);
        return why_set(why, e, "%s: %s", key, own.text);
    }
    if (e == OK && bytes != meta->bytes)
        e = why_set(&own, E_CORRUPT, "file has %llu bytes, the manifest says %llu", (unsigned long long)bytes,
                    (unsigned long long)meta->bytes);
    if (e == OK)
        e = part_parse(p, bytes, &own);
    p->meta.bytes = bytes ? bytes : meta->bytes;
    if (e != OK) {
        p->is_broken = true;
        LOG_ERROR("metrics", "Part is damaged and left out of queries; run fsck", LF_C("part", key),
                  LF_WHY(&own));
    }
    *ret = p;
    return OK;
}

void part_unref(Part *p)
{
    if (!p || --p->refs)
        return;
    if (p->file)
        bucket_unmap(p->bucket, p->file, p->data, p->meta.bytes);
    mem_free(p->copy);
    mem_free(p->bad);
    mem_free(p->presence);
    mem_free(p);
}

/* ---- damage ---- */

static void quarantine(Part *p, u32 page, const char *what)
{
    static _Atomic(Metric *) counter;
    u8 *bad = p->bad;
    if (!bad) {
        u8 *fresh = mem_zalloc(p->pages), *none = NULL;
        if (atomic_compare_exchange_strong(&p->bad, &none, fresh)) {
            bad = fresh;
        } else {
            mem_free(fresh);
            bad = none;
        }
    }
    if (__atomic_exchange_n(&bad[page], 1, __ATOMIC_RELAXED))
        return;
    p->bad_pages++;
    Metric *m = counter;
    if (!m)
        counter = m = metric_counter("pharos_metrics_damaged_pages_total",
                                     "Pages of parts found damaged and left out of queries.", "");
    metric_inc(m);
    char key[64];
    part_key(key, p->meta.tenant, p->meta.seq);
    LOG_ERROR("metrics", "Page of a part is damaged and left out of queries; run fsck", LF_C("part", key),
              LF_INT("page", page), LF_C("what", what));
}

/* ---- cursors ---- */

void part_cursor_init(PartCursor *c, Part *p)
{
    *c = (PartCursor){.part = p, .page = UINT32_MAX};
    arena_init(&c->arena, NULL, 0);
}

void part_cursor_done(PartCursor *c)
{
    arena_done(&c->arena);
}

/* Loads and verifies; false = damaged (and now known to be). */
static bool page_load(PartCursor *c, u32 page, const PageEntry *e)
{
    if (c->page == page)
        return true;
    Part *p = c->part;
    u8 *bad = p->bad;
    if (bad && __atomic_load_n(&bad[page], __ATOMIC_RELAXED))
        return false;
    c->page = UINT32_MAX;
    const u8 *at = p->data + e->offset;
    if (crc32c(0, at, e->len) != e->crc) {
        quarantine(p, page, "checksum");
        return false;
    }
    u32 blocks = load_u32(at), columns = load_u32(at + 4);
    if ((u64)blocks * 8 + (u64)columns * 4 + 8 > e->len || !blocks || !columns) {
        quarantine(p, page, "directory does not fit");
        return false;
    }
    arena_reset(&c->arena);
    c->times = arena_try(&c->arena, columns * sizeof(i64 *));
    c->times_len = arena_try(&c->arena, columns * sizeof(u32));
    if (!c->times || !c->times_len)
        return false;
    memset(c->times, 0, columns * sizeof(i64 *));
    c->page = page;
    c->at = at;
    c->len = e->len;
    c->blocks = blocks;
    c->columns = columns;
    c->pos = 0;
    return true;
}

static u32 block_sid(const PartCursor *c, u32 i)
{
    return load_u32(c->at + 8 + (size_t)i * 8);
}
static u32 block_offset(const PartCursor *c, u32 i)
{
    return load_u32(c->at + 12 + (size_t)i * 8);
}

static const i64 *column_get(PartCursor *c, u64 i, u32 *ret_n)
{
    if (i >= c->columns)
        return NULL;
    if (!c->times[i]) {
        u32 off = load_u32(c->at + 8 + (size_t)c->blocks * 8 + i * 4), n;
        if (off > c->len)
            return NULL;
        Reader r = reader_of(c->at + off, c->len - off);
        if (!times_count(&r, PART_BLOCK_MAX, &n))
            return NULL;
        i64 *t = arena_alloc(&c->arena, n * sizeof(i64));
        if (!times_decode(&r, t, n))
            return NULL;
        c->times[i] = t;
        c->times_len[i] = n;
    }
    *ret_n = c->times_len[i];
    return c->times[i];
}

static u32 first_at_least(const i64 *t, u32 n, i64 x)
{
    u32 lo = 0, hi = n;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (t[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool hists_read(Reader *r, u32 n, u32 lo, u32 hi, SampleVec *out)
{
    samples_need_hist(out);
    u32 to = out->len;
    for (u32 i = 0; i < n; i++) {
        Str blob = rd_str(r, SIZE_MAX);
        if (r->bad || !blob.len)
            return false;
        if (i < lo || i >= hi)
            continue;
        out->v[to] = 0;
        out->h[to++] = blob;
    }
    return true;
}

/* False when the block makes no sense. */
static bool block_read(PartCursor *c, u32 i, i64 mint, i64 maxt, SampleVec *out)
{
    u32 off = block_offset(c, i), end = i + 1 < c->blocks ? block_offset(c, i + 1) : c->len, n;
    if (off > end || end > c->len)
        return false;
    Reader r = reader_of(c->at + off, end - off);
    u64 column = rd_varint(&r);
    u8 kind = rd_u8(&r);
    const i64 *t = r.bad || kind > 1 ? NULL : column_get(c, column, &n);
    if (!t)
        return false;
    u32 lo = first_at_least(t, n, mint), hi = maxt == INT64_MAX ? n : first_at_least(t, n, maxt + 1);
    if (lo >= hi)
        return true;
    if (!samples_reserve(out, n))
        return true;
    if (kind) {
        if (!hists_read(&r, n, lo, hi, out))
            return false;
    } else {
        f64 *v = out->v + out->len;
        if (!values_decode(&r, v, n))
            return false;
        if (lo)
            memmove(v, v + lo, (hi - lo) * sizeof(f64));
        if (out->has_hist)
            memset(out->h + out->len, 0, (hi - lo) * sizeof(Str));
    }
    memcpy(out->t + out->len, t + lo, (hi - lo) * sizeof(i64));
    out->len += hi - lo;
    return true;
}

/* The first block of sid or of what comes after it. */
static u32 block_find(const PartCursor *c, u32 sid)
{
    u32 lo = c->pos < c->blocks && block_sid(c, c->pos) < sid ? c->pos : 0, hi = c->blocks;
    if (lo + 1 < hi && block_sid(c, lo + 1) >= sid)
        return block_sid(c, lo) >= sid ? lo : lo + 1;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (block_sid(c, mid) < sid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The first page whose last series is sid or later. */
static u32 page_find(const PartCursor *c, u32 sid)
{
    const Part *p = c->part;
    u32 lo = 0, hi = p->pages;
    if (c->page < hi) {
        PageEntry e = entry_at(p, c->page);
        if (e.first_sid < sid) {
            if (e.last_sid >= sid)
                return c->page;
            lo = c->page + 1;
            if (lo < hi && entry_at(p, lo).last_sid >= sid)
                return lo;
        }
    }
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (entry_at(p, mid).last_sid < sid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

void part_cursor_read(PartCursor *c, u32 sid, i64 mint, i64 maxt, SampleVec *out)
{
    Part *p = c->part;
    if (p->is_broken || sid < p->sid_min || sid > p->sid_max)
        return;
    for (u32 page = page_find(c, sid); page < p->pages; page++) {
        PageEntry e = entry_at(p, page);
        if (e.first_sid > sid)
            return;
        if (e.maxt < mint || e.mint > maxt || !page_load(c, page, &e))
            continue;
        u32 i = block_find(c, sid);
        u32 had = out->len;
        for (; i < c->blocks && block_sid(c, i) == sid; i++)
            if (!block_read(c, i, mint, maxt, out)) {
                out->len = had;
                c->page = UINT32_MAX;
                quarantine(p, page, "block");
                break;
            }
        if (c->page == page)
            c->pos = i < c->blocks ? i : c->blocks - 1;
    }
}

u32 part_cursor_next(PartCursor *c, u32 after)
{
    Part *p = c->part;
    if (p->is_broken || after >= p->sid_max)
        return 0;
    for (u32 page = page_find(c, after + 1); page < p->pages; page++) {
        PageEntry e = entry_at(p, page);
        if (!page_load(c, page, &e))
            continue;
        u32 i = block_find(c, after + 1);
        if (i < c->blocks && block_sid(c, i) > after)
            return block_sid(c, i);
    }
    return 0;
}

/* ---- whole-part questions ---- */

bool part_has(Part *p, u32 sid)
{
    if (p->is_broken || sid < p->sid_min || sid > p->sid_max)
        return false;
    u64 *bits = p->presence;
    if (!bits) {
        u64 *fresh = mem_zalloc(((size_t)(p->sid_max - p->sid_min) / 64 + 1) * sizeof(u64)), *none = NULL;
        PartCursor c;
        part_cursor_init(&c, p);
        for (u32 page = 0; page < p->pages; page++) {
            PageEntry e = entry_at(p, page);
            if (!page_load(&c, page, &e))
                continue;
            for (u32 i = 0; i < c.blocks; i++) {
                u32 s = block_sid(&c, i);
                if (s >= p->sid_min && s <= p->sid_max)
                    fresh[(s - p->sid_min) / 64] |= (u64)1 << ((s - p->sid_min) % 64);
            }
        }
        part_cursor_done(&c);
        if (atomic_compare_exchange_strong(&p->presence, &none, fresh)) {
            bits = fresh;
        } else {
            mem_free(fresh);
            bits = none;
        }
    }
    return bits[(sid - p->sid_min) / 64] >> ((sid - p->sid_min) % 64) & 1;
}

Err part_verify(Part *p, u32 *ret_bad_pages, Why *why)
{
    if (p->is_broken)
        return why_set(why, E_CORRUPT, "cannot be read");
    PartCursor c;
    SampleVec s = {0};
    Arena scratch;
    arena_init(&scratch, NULL, 0);
    part_cursor_init(&c, p);
    u32 bad = 0;
    for (u32 page = 0; page < p->pages; page++) {
        PageEntry e = entry_at(p, page);
        bool is_good = page_load(&c, page, &e);
        u32 last = 0;
        for (u32 i = 0; is_good && i < c.blocks; i++) {
            samples_clear(&s);
            arena_reset(&scratch);
            u32 sid = block_sid(&c, i);
            is_good = sid >= e.first_sid && sid <= e.last_sid && sid >= last &&
                      block_read(&c, i, INT64_MIN, INT64_MAX, &s) && s.len && s.t[0] >= e.mint &&
                      s.t[s.len - 1] <= e.maxt;
            for (u32 k = 0; is_good && s.has_hist && k < s.len; k++)
                is_good = hist_decode(s.h[k], &scratch) != NULL;
            last = sid;
        }
        if (!is_good && !bad++)
            why_set(why, E_CORRUPT, "page %u (series %u to %u, bytes %llu to %llu) is damaged", page,
                    e.first_sid, e.last_sid, (unsigned long long)e.offset,
                    (unsigned long long)(e.offset + e.len));
    }
    part_cursor_done(&c);
    arena_done(&scratch);
    samples_done(&s);
    *ret_bad_pages = bad;
    return bad ? E_CORRUPT : OK;
}
