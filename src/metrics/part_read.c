#include "metrics/part.h"
#include "base/log.h"

typedef struct PageEntry {
    u32 first_sid, last_sid, body_len, dir_len, dir_crc;
    u64 body_at, dir_at;
    i64 mint, maxt;
} PageEntry;

static PageEntry entry_at(const Part *p, u32 i)
{
    const u8 *at = p->index + (size_t)i * PART_ENTRY_BYTES;
    return (PageEntry){.first_sid = load_u32(at),
                       .last_sid = load_u32(at + 4),
                       .body_at = load_u64(at + 8),
                       .dir_at = load_u64(at + 16),
                       .body_len = load_u32(at + 24),
                       .dir_len = load_u32(at + 28),
                       .dir_crc = load_u32(at + 32),
                       .mint = (i64)load_u64(at + 40),
                       .maxt = (i64)load_u64(at + 48)};
}
static u32 entry_first(const Part *p, u32 i)
{
    return load_u32(p->index + (size_t)i * PART_ENTRY_BYTES);
}
static u32 entry_last(const Part *p, u32 i)
{
    return load_u32(p->index + (size_t)i * PART_ENTRY_BYTES + 4);
}

/* ---- opening ---- */

static bool is_within(const Part *p, u64 at, u64 len)
{
    return at >= PART_HEAD_BYTES && at <= p->index_at && len <= p->index_at - at;
}

static Err index_check(const Part *p, Why *why)
{
    u32 sid = 0;
    for (u32 i = 0; i < p->pages; i++) {
        PageEntry e = entry_at(p, i);
        if (!is_within(p, e.body_at, e.body_len) || !is_within(p, e.dir_at, e.dir_len) ||
            e.dir_len < PART_DIR_BYTES || e.first_sid < sid || e.last_sid < e.first_sid || !e.first_sid)
            return why_set(why, E_CORRUPT, "index entry %u is impossible", i);
        sid = e.last_sid;
    }
    return OK;
}

static Err part_parse(Part *p, u64 n, Why *why)
{
    if (n < PART_HEAD_BYTES + PART_FOOT_BYTES || memcmp(p->data, "PHPART\0\0", 8) != 0)
        return why_set(why, E_CORRUPT, "not a part: its first bytes are wrong or it is cut off");
    u32 format = load_u32(p->data + 8);
    if (format != PART_FORMAT)
        return why_set(why, E_UNSUPPORTED,
                       "it has format %u, this program reads and writes format %u: open the data with the "
                       "program that wrote it",
                       format, PART_FORMAT);
    const u8 *foot = p->data + n - PART_FOOT_BYTES;
    if (load_u32(p->data + 12) || memcmp(foot + 52, "PHPE", 4) != 0 ||
        crc32c(0, foot, 48) != load_u32(foot + 48))
        return why_set(why, E_CORRUPT, "footer is damaged");
    u64 index_at = load_u64(foot), pages = load_u32(foot + 8);
    u64 index_bytes = pages * PART_ENTRY_BYTES;
    if (pages == 0 || index_at < PART_HEAD_BYTES || index_at > n ||
        n - index_at != index_bytes + PART_FOOT_BYTES)
        return why_set(why, E_CORRUPT, "footer does not fit the file's size");
    if (crc32c(0, p->data + index_at, index_bytes) != load_u32(foot + 12))
        return why_set(why, E_CORRUPT, "index is damaged");
    p->index_at = index_at;
    p->index = p->data + index_at;
    p->pages = (u32)pages;
    TRY(index_check(p, why));
    p->state = mem_zalloc(p->pages);
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
    bool is_there = e == OK;
    p->meta.bytes = bytes ? bytes : meta->bytes;
    if (is_there && bytes != meta->bytes)
        e = why_set(&own, E_CORRUPT, "file has %llu bytes, the manifest says %llu", (unsigned long long)bytes,
                    (unsigned long long)meta->bytes);
    if (e == OK)
        e = part_parse(p, bytes, &own);
    if (e != OK && e != E_NOT_FOUND && e != E_CORRUPT) {
        part_unref(p);
        return why_set(why, e, "%s: %s", key, own.text);
    }
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
    mem_free((void *)p->state);
    mem_free(p->presence);
    mem_free(p);
}

/* ---- damage ---- */

enum { PAGE_UNKNOWN, PAGE_GOOD, PAGE_BAD };

static void quarantine(Part *p, u32 page, const char *what)
{
    static _Atomic(Metric *) counter;
    if (atomic_exchange_explicit(&p->state[page], PAGE_BAD, memory_order_relaxed) == PAGE_BAD)
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

static bool is_bad(const Part *p, u32 page)
{
    return atomic_load_explicit(&p->state[page], memory_order_relaxed) == PAGE_BAD;
}

/* ---- directories ---- */

void part_cursor_init(PartCursor *c, Part *p)
{
    *c = (PartCursor){.part = p, .page = UINT32_MAX, .group = UINT32_MAX};
    arena_init(&c->arena, NULL, 0);
}

void part_cursor_done(PartCursor *c)
{
    for (u32 i = 0; i < PART_TIMES_KEPT; i++)
        mem_free(c->kept[i].t);
    vec_done(&c->found);
    arena_done(&c->arena);
}

static bool times_read(Reader *r, const Part *p, const PageEntry *e, PartTimes *t)
{
    u64 head = rd_varint(r), first = (u64)e->mint + rd_varint(r);
    u64 n = head >> 2;
    *t = (PartTimes){.n = (u32)n, .kind = head & 3, .first = (i64)first, .last = (i64)first};
    if (r->bad || n == 0 || n > PART_BLOCK_MAX || (n == 1) != (t->kind == TIMES_ONE))
        return false;
    switch (t->kind) {
    case TIMES_ONE:
        return true;
    case TIMES_REGULAR: {
        u64 span;
        t->step = rd_varint(r);
        if (__builtin_mul_overflow(t->step, n - 1, &span))
            return false;
        t->last = (i64)(first + span);
        return !r->bad && t->step && t->last > t->first;
    }
    case TIMES_CODED: {
        t->last = (i64)(first + rd_varint(r));
        u64 back = rd_varint(r), len = rd_varint(r);
        if (r->bad || t->last <= t->first || back > e->body_at || len < 5 || len > UINT32_MAX ||
            !is_within(p, e->body_at - back, len))
            return false;
        t->at = e->body_at - back;
        t->len = (u32)len;
        return true;
    }
    default:
        return false;
    }
}

static bool dir_parse(PartCursor *c, const PageEntry *e)
{
    Part *p = c->part;
    c->dir = p->data + e->dir_at;
    c->dir_len = e->dir_len;
    c->groups = load_u32(c->dir);
    c->columns = load_u32(c->dir + 4);
    u64 groups_end = PART_DIR_BYTES + (u64)c->groups * PART_GROUP_BYTES;
    if (!c->groups || !c->columns || groups_end > e->dir_len || c->columns > e->dir_len - groups_end)
        return false;
    arena_reset(&c->arena);
    c->times = arena_try(&c->arena, c->columns * sizeof(PartTimes));
    if (!c->times)
        return false;
    Reader r = reader_of(c->dir + groups_end, e->dir_len - groups_end);
    for (u32 i = 0; i < c->columns; i++)
        if (!times_read(&r, p, e, &c->times[i]))
            return false;
    c->entries_at = (u32)(r.at - c->dir);
    c->body_at = e->body_at;
    c->body_len = e->body_len;
    return true;
}

/* Loads and verifies; false = damaged (and now known to be). */
static bool page_load(PartCursor *c, u32 page)
{
    if (c->page == page)
        return true;
    Part *p = c->part;
    if (is_bad(p, page))
        return false;
    c->page = c->group = UINT32_MAX;
    PageEntry e = entry_at(p, page);
    bool is_known = atomic_load_explicit(&p->state[page], memory_order_relaxed) == PAGE_GOOD;
    if (!is_known && crc32c(0, p->data + e.dir_at, e.dir_len) != e.dir_crc) {
        quarantine(p, page, "checksum of the directory");
        return false;
    }
    if (!dir_parse(c, &e)) {
        quarantine(p, page, "directory");
        return false;
    }
    u8 unknown = PAGE_UNKNOWN;
    atomic_compare_exchange_strong(&p->state[page], &unknown, PAGE_GOOD);
    c->page = page;
    return true;
}

static const u8 *group_at(const PartCursor *c, u32 i)
{
    return c->dir + PART_DIR_BYTES + (size_t)i * PART_GROUP_BYTES;
}

enum { ENTRY_AGGR = 32, ENTRY_COLUMN = 64, ENTRY_NEXT = 128 };

static bool block_parse(PartCursor *c, Reader *r, u32 *sid, u64 *column, u64 *body, PartBlock *b)
{
    u8 flags = rd_u8(r);
    u64 ahead = flags & ENTRY_NEXT ? 1 : rd_varint(r);
    if (flags & ENTRY_COLUMN)
        *column = rd_varint(r);
    if (r->bad || *column >= c->columns || ahead > UINT32_MAX - *sid)
        return false;
    *sid += (u32)ahead;
    b->sid = *sid;
    b->times = c->times[*column];
    if (!values_head_decode(r, flags & ~(ENTRY_AGGR | ENTRY_COLUMN | ENTRY_NEXT), b->times.n, &b->head))
        return false;
    b->aggr = (Str){0};
    if (flags & ENTRY_AGGR) {
        u8 len = rd_u8(r);
        const u8 *at = rd_bytes(r, len);
        b->aggr = (Str){(const char *)at, at ? len : 0};
    }
    b->is_hist = b->head.mode == VALUES_OTHER && b->head.other == OTHER_HISTS;
    b->body = *body;
    *body += values_body_len(&b->head);
    return !r->bad && *body <= b->group_at + b->group_len;
}

static bool group_parse(PartCursor *c, u32 group)
{
    const u8 *g = group_at(c, group), *next = group + 1 < c->groups ? g + PART_GROUP_BYTES : NULL;
    u32 entries = c->dir_len - c->entries_at;
    u32 from = load_u32(g + 4), to = next ? load_u32(next + 4) : entries;
    u64 body = load_u32(g + 8), body_end = next ? load_u32(next + 8) : c->body_len;
    if (from >= to || to > entries || body > body_end || body_end > c->body_len)
        return false;
    Reader r = reader_of(c->dir + c->entries_at + from, to - from);
    u32 sid = load_u32(g) - 1, n = 0;
    u64 column = 0, at = c->body_at + body;
    for (; rd_left(&r); n++) {
        if (n == PART_GROUP_BLOCKS)
            return false;
        PartBlock *b = &c->block[n];
        b->page = c->page;
        b->group_at = c->body_at + body;
        b->group_len = (u32)(body_end - body);
        b->group_crc = load_u32(g + 12);
        if (!block_parse(c, &r, &sid, &column, &at, b))
            return false;
    }
    c->blocks = n;
    c->pos = 0;
    return true;
}

static bool group_load(PartCursor *c, u32 group)
{
    if (c->group == group)
        return true;
    c->group = UINT32_MAX;
    if (!group_parse(c, group)) {
        quarantine(c->part, c->page, "directory");
        c->page = UINT32_MAX;
        return false;
    }
    c->group = group;
    return true;
}

/* The first group that may hold sid: the last one that begins before it, or the first of the page. */
static u32 group_find(const PartCursor *c, u32 sid)
{
    u32 lo = 0, hi = c->groups;
    if (c->group < hi && load_u32(group_at(c, c->group)) < sid) {
        lo = c->group + 1;
        if (lo == hi || load_u32(group_at(c, lo)) >= sid)
            return c->group;
    }
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (load_u32(group_at(c, mid)) < sid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? lo - 1 : 0;
}

/* The first page whose last series is sid or later. */
static u32 page_find(const PartCursor *c, u32 sid)
{
    const Part *p = c->part;
    u32 lo = 0, hi = p->pages;
    if (c->page < hi && entry_first(p, c->page) < sid) {
        if (entry_last(p, c->page) >= sid)
            return c->page;
        lo = c->page + 1;
        if (lo < hi && entry_last(p, lo) >= sid)
            return lo;
    }
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (entry_last(p, mid) < sid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* ---- blocks ---- */

/* Blocks of sid in the group that is loaded; false when later groups can have none. */
static bool group_take(PartCursor *c, u32 sid, i64 mint, i64 maxt, PartBlocks *out)
{
    u32 i = c->pos < c->blocks && c->block[c->pos].sid < sid ? c->pos : 0;
    for (; i < c->blocks && c->block[i].sid < sid; i++)
        ;
    for (; i < c->blocks && c->block[i].sid == sid; i++) {
        const PartBlock *b = &c->block[i];
        if (b->times.first <= maxt && b->times.last >= mint)
            vec_push(out, *b);
    }
    c->pos = i ? i - 1 : 0;
    return i == c->blocks;
}

void part_cursor_blocks(PartCursor *c, u32 sid, i64 mint, i64 maxt, PartBlocks *out)
{
    Part *p = c->part;
    if (p->is_broken || sid < p->sid_min || sid > p->sid_max)
        return;
    for (u32 page = page_find(c, sid); page < p->pages && entry_first(p, page) <= sid; page++) {
        const u8 *at = p->index + (size_t)page * PART_ENTRY_BYTES;
        if ((i64)load_u64(at + 48) < mint || (i64)load_u64(at + 40) > maxt || !page_load(c, page))
            continue;
        size_t had = out->len;
        for (u32 g = group_find(c, sid); g < c->groups && load_u32(group_at(c, g)) <= sid; g++) {
            if (!group_load(c, g)) {
                out->len = had;
                break;
            }
            if (!group_take(c, sid, mint, maxt, out))
                break;
        }
    }
}

bool part_block_aggr(const PartBlock *b, PageAggr *ret)
{
    if (b->is_hist || !(b->aggr.len ? aggr_decode(b->aggr, &b->head, b->times.n, ret)
                                    : aggr_of_head(&b->head, b->times.n, ret)))
        return false;
    ret->first_t = b->times.first;
    ret->last_t = b->times.last;
    return true;
}

/* Coded times, decoded and kept for the next block of the same scrapes. */
static const i64 *times_get(PartCursor *c, const PartTimes *t)
{
    for (u32 i = 0; i < PART_TIMES_KEPT; i++)
        if (c->kept[i].of.at == t->at && c->kept[i].of.n == t->n && c->kept[i].of.first == t->first)
            return c->kept[i].t;
    struct PartKept *k = &c->kept[c->kept_next++ % PART_TIMES_KEPT];
    k->of.at = 0;
    if (!k->t)
        k->t = mem_alloc(PART_BLOCK_MAX * sizeof(i64));
    const u8 *at = c->part->data + t->at;
    if (crc32c(0, at + 4, t->len - 4) != load_u32(at) ||
        !times_decode((Str){(const char *)at + 4, t->len - 4}, t->first, t->last, k->t, t->n))
        return NULL;
    k->of = *t;
    return k->t;
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

/* The block's times into out's end, whole; NULL when they make no sense. */
static const i64 *times_put(PartCursor *c, const PartTimes *t, i64 *out)
{
    if (t->kind != TIMES_CODED) {
        for (u64 i = 0; i < t->n; i++)
            out[i] = (i64)((u64)t->first + i * t->step);
        return out;
    }
    const i64 *kept = times_get(c, t);
    if (kept)
        memcpy(out, kept, t->n * sizeof(i64));
    return kept;
}

/* Appends samples lo to hi of a block whose times are in place. */
static bool body_read(PartCursor *c, const PartBlock *b, u32 lo, u32 hi, SampleVec *out)
{
    Part *p = c->part;
    u32 n = b->times.n;
    u64 body_len = values_body_len(&b->head);
    if (body_len && c->verified != b->group_at) {
        if (crc32c(0, p->data + b->group_at, b->group_len) != b->group_crc)
            return false;
        c->verified = b->group_at;
    }
    if (b->is_hist) {
        Reader r = reader_of(p->data + b->body, body_len);
        return hists_read(&r, n, lo, hi, out);
    }
    f64 *v = out->v + out->len;
    if (!values_decode(&b->head, p->data + b->body, p->index_at - b->body, v, n))
        return false;
    if (lo)
        memmove(v, v + lo, (hi - lo) * sizeof(f64));
    if (out->has_hist)
        memset(out->h + out->len, 0, (hi - lo) * sizeof(Str));
    return true;
}

static bool give_up(PartCursor *c, const PartBlock *b)
{
    if (c->page == b->page)
        c->page = UINT32_MAX;
    quarantine(c->part, b->page, "block");
    return false;
}

bool part_cursor_decode(PartCursor *c, const PartBlock *b, i64 mint, i64 maxt, SampleVec *out, u32 *ret_range)
{
    u32 n = b->times.n, lo = 0, hi = 0;
    if (is_bad(c->part, b->page))
        return false;
    if (samples_reserve(out, n)) {
        i64 *t = out->t + out->len;
        if (!times_put(c, &b->times, t))
            return give_up(c, b);
        lo = b->times.first >= mint ? 0 : first_at_least(t, n, mint);
        hi = b->times.last <= maxt ? n : first_at_least(t, n, maxt + 1);
        if (lo < hi && !body_read(c, b, lo, hi, out))
            return give_up(c, b);
        if (lo && lo < hi)
            memmove(t, t + lo, (hi - lo) * sizeof(i64));
        out->len += lo < hi ? hi - lo : 0;
    }
    if (ret_range) {
        ret_range[0] = lo;
        ret_range[1] = MAX(lo, hi);
    }
    return true;
}

bool part_cursor_values(PartCursor *c, const PartBlock *b, const u32 *range, SampleVec *out)
{
    if (is_bad(c->part, b->page))
        return false;
    if (range[0] == range[1] || !samples_reserve(out, b->times.n))
        return true;
    if (!body_read(c, b, range[0], range[1], out))
        return give_up(c, b);
    out->len += range[1] - range[0];
    return true;
}

void part_cursor_read(PartCursor *c, u32 sid, i64 mint, i64 maxt, SampleVec *out)
{
    c->found.len = 0;
    part_cursor_blocks(c, sid, mint, maxt, &c->found);
    u32 had = out->len, page = UINT32_MAX;
    for (size_t i = 0; i < c->found.len; i++) {
        const PartBlock *b = &c->found.at[i];
        if (b->page != page)
            had = out->len;
        page = b->page;
        if (!part_cursor_decode(c, b, mint, maxt, out, NULL)) /* then nothing of the page counts */
            out->len = had;
    }
}

u32 part_cursor_next(PartCursor *c, u32 after)
{
    Part *p = c->part;
    if (p->is_broken || after >= p->sid_max)
        return 0;
    for (u32 page = page_find(c, after + 1); page < p->pages; page++) {
        if (!page_load(c, page))
            continue;
        for (u32 g = group_find(c, after + 1); g < c->groups; g++) {
            if (!group_load(c, g))
                break;
            u32 i = c->pos < c->blocks && c->block[c->pos].sid <= after ? c->pos : 0;
            for (; i < c->blocks; i++)
                if (c->block[i].sid > after)
                    return c->block[i].sid;
        }
    }
    return 0;
}

/* ---- whole-part questions ---- */

static void presence_of_page(PartCursor *c, u64 *bits)
{
    const Part *p = c->part;
    for (u32 g = 0; g < c->groups && group_load(c, g); g++)
        for (u32 i = 0; i < c->blocks; i++) {
            u32 s = c->block[i].sid;
            if (s >= p->sid_min && s <= p->sid_max)
                bits[(s - p->sid_min) / 64] |= (u64)1 << ((s - p->sid_min) % 64);
        }
}

bool part_has(Part *p, u32 sid)
{
    if (p->is_broken || sid < p->sid_min || sid > p->sid_max)
        return false;
    u64 *bits = p->presence;
    if (!bits) {
        u64 *fresh = mem_zalloc(((size_t)(p->sid_max - p->sid_min) / 64 + 1) * sizeof(u64)), *none = NULL;
        PartCursor c;
        part_cursor_init(&c, p);
        for (u32 page = 0; page < p->pages; page++)
            if (page_load(&c, page))
                presence_of_page(&c, fresh);
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

/* ---- verifying ---- */

static bool same(f64 a, f64 b)
{
    return f64_bits(a) == f64_bits(b);
}

static bool aggr_is_true(const PartBlock *b, const SampleVec *s)
{
    PageAggr said, is;
    if (b->is_hist || (!b->aggr.len && !aggr_of_head(&b->head, b->times.n, &said)))
        return true;
    if (!part_block_aggr(b, &said) || !aggr_compute(s->v, s->len, &is))
        return false;
    return said.count == is.count && said.first_t == s->t[0] && said.last_t == s->t[s->len - 1] &&
           same(said.first, is.first) && same(said.last, is.last) && same(said.min, is.min) &&
           same(said.max, is.max) && same(said.sum, is.sum) && same(said.sum_c, is.sum_c) &&
           said.resets == is.resets && same(said.reset_sum, is.reset_sum);
}

static bool block_verify(PartCursor *c, const PageEntry *e, const PartBlock *b, SampleVec *s, Arena *scratch)
{
    samples_clear(s);
    arena_reset(scratch);
    bool is_good = b->sid >= e->first_sid && b->sid <= e->last_sid && b->times.first >= e->mint &&
                   b->times.last <= e->maxt && part_cursor_decode(c, b, INT64_MIN, INT64_MAX, s, NULL) &&
                   s->len && aggr_is_true(b, s);
    for (u32 k = 0; is_good && s->has_hist && k < s->len; k++)
        is_good = hist_decode(s->h[k], scratch) != NULL;
    return is_good;
}

static bool page_verify(PartCursor *c, u32 page, SampleVec *s, Arena *scratch)
{
    PageEntry e = entry_at(c->part, page);
    u32 last = 0;
    if (!page_load(c, page))
        return false;
    for (u32 g = 0; g < c->groups; g++) {
        if (load_u32(group_at(c, g)) < last || !group_load(c, g) || !c->blocks)
            return false;
        const PartBlock *b = c->block;
        if (crc32c(0, c->part->data + b->group_at, b->group_len) != b->group_crc)
            return false;
        for (u32 i = 0; i < c->blocks; i++)
            if (!block_verify(c, &e, &b[i], s, scratch))
                return false;
        last = b[c->blocks - 1].sid;
    }
    return true;
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
        if (page_verify(&c, page, &s, &scratch))
            continue;
        PageEntry e = entry_at(p, page);
        if (!bad++)
            why_set(why, E_CORRUPT, "page %u (series %u to %u, bytes %llu to %llu) is damaged", page,
                    e.first_sid, e.last_sid, (unsigned long long)e.body_at,
                    (unsigned long long)(e.body_at + e.body_len));
    }
    part_cursor_done(&c);
    arena_done(&scratch);
    samples_done(&s);
    *ret_bad_pages = bad;
    return bad ? E_CORRUPT : OK;
}
