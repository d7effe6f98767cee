/* The spool: record files named by their first sequence number; a record's number is its sequence number.
 *
 * Locks: w for whoever changes files (append, sync, trim), taken before m; m for the list of segments and what readers need.
 * A reader copies what it needs of a segment under m and opens the file itself; a segment that is dropped meanwhile makes it
 * look again. cursors_m guards the cursor file. */
#include "store/spool_int.h"

#include <limits.h>
#include <stdio.h>

enum { SEGMENT_BYTES = 8 << 20, HINTS = 8 };

typedef struct Segment {
    u64 first, next; /* sequence numbers [first, next) */
    u64 salt, head_bytes, bytes;
} Segment;
typedef struct Hint {
    u64 seq, off; /* where record seq begins */
    u64 first;    /* in the segment with this first record */
} Hint;

struct Spool {
    SpoolConfig c;
    char *dir;
    Mutex w;
    File *file;
    u64 synced;
    bool is_unsynced;
    Err err;
    Mutex m;
    VEC(Segment) segments; /* never empty; the last one is written */
    u64 bytes, dropped, trimmed;
    Hint hints[HINTS];
    u32 next_hint;
    StrMap cursors; /* name -> seq */
    Mutex cursors_m;
};

static Metric *m_dropped;
static pthread_once_t metrics_once = PTHREAD_ONCE_INIT; /* several spools may open while others run */

static void register_metrics(void)
{
    m_dropped = metric_counter(
        "pharos_spool_dropped_batches_total",
        "Batches that no destination had taken yet, dropped at the spool's limit or damaged.", "");
}

static void path_of(const Spool *s, u64 first, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%020llu.spl", s->dir, (unsigned long long)first);
}

static Segment *last(Spool *s)
{
    return &s->segments.at[s->segments.len - 1];
}

/* m held: records [from, to) are gone. Lost are those that a cursor had not passed. */
static u64 count_lost(const Spool *s, u64 from, u64 to)
{
    u64 least = UINT64_MAX;
    size_t cursor = 0;
    StrMapSlot *slot;
    while ((slot = strmap_next(&s->cursors, &cursor)))
        least = MIN(least, (u64)(uintptr_t)slot->value);
    if (least == UINT64_MAX)
        least = s->trimmed;
    from = MAX(from, least);
    return to > from ? to - from : 0;
}

static void lose(Spool *s, u64 n)
{
    s->dropped += n;
    metric_add(m_dropped, (f64)n);
}

/* ---- writing; w held ---- */

static Err stopped(const Spool *s, Why *why)
{
    return why_set(why, s->err,
                   "%s: the spool has stopped after a failed write: restart to recover what is on disk",
                   s->dir);
}

static Err sync_file(Spool *s, Why *why)
{
    if (s->err != OK)
        return stopped(s, why);
    if (!s->is_unsynced)
        return OK;
    if (s->c.vfs->sync(s->file, why) != OK)
        return s->err = E_IO;
    s->is_unsynced = false;
    mutex_lock(&s->m);
    s->synced = last(s)->next - 1;
    mutex_unlock(&s->m);
    return OK;
}

static Err create_segment(Spool *s, u64 first, Why *why)
{
    Vfs *v = s->c.vfs;
    Segment seg = {.first = first, .next = first, .salt = random_u64() | 1}, prev = {0};
    mutex_lock(&s->m);
    if (s->segments.len)
        prev = *last(s);
    mutex_unlock(&s->m);
    Buf head;
    buf_init(&head, 4096);
    recfile_head_encode(&head,
                        &(RecFileHead){.kind = RECFILE_SPOOL,
                                       .epoch = 1,
                                       .salt = seg.salt,
                                       .first = first,
                                       .prev_first = prev.first,
                                       .prev_bytes = prev.bytes},
                        S(""));
    seg.head_bytes = seg.bytes = head.len;
    char path[PATH_MAX];
    path_of(s, first, path);
    File *f;
    Err e = v->open(v, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &f, why);
    if (e == OK) {
        e = v->pwrite(f, 0, head.at, head.len, why);
        bool was_written = e == OK;
        if (e == OK)
            e = v->sync(f, why);
        if (e == OK)
            e = v->sync_dir(v, s->dir, why);
        if (e != OK) {
            v->close(f);
            if (was_written || v->unlink(v, path, NULL) != OK)
                e = s->err = E_IO;
        }
    }
    buf_done(&head);
    TRY(e);
    if (s->file)
        v->close(s->file);
    s->file = f;
    mutex_lock(&s->m);
    vec_push(&s->segments, seg);
    s->bytes += seg.bytes;
    mutex_unlock(&s->m);
    return OK;
}

/* Removes the oldest segment, which is not the one written. */
static Err drop_oldest(Spool *s, bool is_loss, Why *why)
{
    char path[PATH_MAX];
    Vfs *v = s->c.vfs;
    mutex_lock(&s->m);
    u64 first = s->segments.at[0].first;
    mutex_unlock(&s->m);
    path_of(s, first, path);
    Err e = v->unlink(v, path, why);
    if (e != OK && e != E_NOT_FOUND)
        return e;
    TRY(v->sync_dir(v, s->dir, why)); /* in order: what is left is without holes */
    mutex_lock(&s->m);
    const Segment *g = &s->segments.at[0];
    u64 lost = is_loss ? count_lost(s, g->first, g->next) : 0;
    lose(s, lost);
    s->bytes -= g->bytes;
    memmove(s->segments.at, s->segments.at + 1, --s->segments.len * sizeof(Segment));
    mutex_unlock(&s->m);
    if (lost)
        LOG_WARN("spool", "Oldest batches dropped: the spool is at its limit", LF_C("dir", s->dir),
                 LF_INT("batches", lost), LF_INT("bytes_max", s->c.bytes_max));
    return OK;
}

static Err make_room(Spool *s, size_t need, Why *why)
{
    mutex_lock(&s->m);
    Segment g = *last(s);
    u64 bytes = s->bytes;
    mutex_unlock(&s->m);
    if (g.next > g.first && g.bytes + need > s->c.segment_bytes) {
        TRY(sync_file(s, why)); /* only the newest segment can have a torn tail */
        TRY(create_segment(s, g.next, why));
        bytes += RECFILE_HEAD_BYTES;
    }
    while (bytes + need > s->c.bytes_max) {
        mutex_lock(&s->m);
        bool can = s->segments.len > 1;
        mutex_unlock(&s->m);
        if (!can)
            break;
        TRY(drop_oldest(s, true, why));
        mutex_lock(&s->m);
        bytes = s->bytes;
        mutex_unlock(&s->m);
    }
    return OK;
}

static Err write_record(Spool *s, Str bytes, u64 *ret_seq, Why *why)
{
    static const u8 zeros[8];
    mutex_lock(&s->m);
    Segment g = *last(s);
    u64 synced = s->synced;
    mutex_unlock(&s->m);
    Buf rec; /* one write: a record is never seen without its head */
    size_t need = rec_bytes(bytes.len);
    buf_init(&rec, need);
    buf_reserve(&rec, need);
    u8 head[REC_HEAD_BYTES];
    rec_head_encode(head,
                    &(RecHead){.len = (u32)bytes.len,
                               .body_crc = crc32c(0, bytes.at, bytes.len),
                               .number = g.next,
                               .synced = synced,
                               .seq = g.next},
                    g.salt);
    buf_put(&rec, head, sizeof head);
    buf_str(&rec, bytes);
    buf_put(&rec, zeros, -bytes.len & 7);
    Err e = s->c.vfs->pwrite(s->file, g.bytes, rec.at, need, why);
    buf_done(&rec);
    if (e != OK) {
        Why cut;
        bool is_cut = s->c.vfs->truncate(s->file, g.bytes, &cut) == OK && s->c.vfs->sync(s->file, &cut) == OK;
        if (e == E_NOSPACE && is_cut) {
            s->is_unsynced = false;
            mutex_lock(&s->m);
            s->synced = g.next - 1;
            mutex_unlock(&s->m);
            return e;
        }
        return s->err = E_IO;
    }
    s->is_unsynced = true;
    mutex_lock(&s->m);
    last(s)->bytes += need;
    last(s)->next++;
    s->bytes += need;
    mutex_unlock(&s->m);
    *ret_seq = g.next;
    return OK;
}

Err spool_append(Spool *s, Str bytes, bool sync, u64 *ret_seq, Why *why)
{
    size_t need = rec_bytes(bytes.len);
    if (bytes.len > REC_BODY_MAX || need + 2 * RECFILE_HEAD_BYTES > s->c.bytes_max)
        return why_set(why, E_TOO_LARGE, "%s: a batch of %zu bytes does not fit into a spool of %llu", s->dir,
                       bytes.len, (unsigned long long)s->c.bytes_max);
    mutex_lock(&s->w);
    u64 seq = 0;
    Err e = s->err != OK ? stopped(s, why) : make_room(s, need, why);
    if (e == OK)
        e = write_record(s, bytes, &seq, why);
    if (e == OK && sync)
        e = sync_file(s, why);
    mutex_unlock(&s->w);
    if (e == OK && ret_seq)
        *ret_seq = seq;
    return e;
}

Err spool_sync(Spool *s, Why *why)
{
    mutex_lock(&s->w);
    Err e = sync_file(s, why);
    mutex_unlock(&s->w);
    return e;
}

Err spool_trim(Spool *s, u64 before, Why *why)
{
    mutex_lock(&s->w);
    Err e = OK;
    for (;;) {
        mutex_lock(&s->m);
        s->trimmed = MAX(s->trimmed, MIN(before, last(s)->next));
        bool passed = s->segments.len > 1 && s->segments.at[0].next <= before;
        mutex_unlock(&s->m);
        if (!passed || (e = drop_oldest(s, false, why)) != OK)
            break;
    }
    mutex_unlock(&s->w);
    return e;
}

/* ---- reading ---- */

/* m held. The segment that holds seq or the next one kept after it; false at the tail. */
static bool find_segment(const Spool *s, u64 *seq, Segment *ret)
{
    size_t lo = 0, hi = s->segments.len; /* the first segment with next > seq */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->segments.at[mid].next <= *seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == s->segments.len)
        return false;
    *ret = s->segments.at[lo];
    *seq = MAX(*seq, ret->first);
    return true;
}

/* m held. Where to begin looking for seq in g. */
static Hint start_of(const Spool *s, const Segment *g, u64 seq)
{
    Hint best = {g->first, g->head_bytes, g->first};
    for (u32 i = 0; i < HINTS; i++)
        if (s->hints[i].first == g->first && s->hints[i].seq > best.seq && s->hints[i].seq <= seq)
            best = s->hints[i];
    return best;
}

/* The record at seq by its head's chain from `at`; E_CORRUPT at damage. */
static Err read_at(File *f, const Segment *g, Hint *at, u64 seq, Buf *out, Why *why)
{
    for (;;) {
        u8 raw[REC_HEAD_BYTES];
        RecHead h;
        if (at->off >= g->bytes) { /* numbers may go on higher in the next segment */
            at->seq = g->next;
            return E_NOT_FOUND;
        }
        if (g->bytes - at->off < REC_HEAD_BYTES)
            return why_set(why, E_CORRUPT, "the segment ends before record %llu", (unsigned long long)seq);
        TRY(vfs_read_exact(f, at->off, raw, sizeof raw, why));
        if (!rec_head_decode(raw, g->salt, &h) || h.number != at->seq ||
            g->bytes - at->off < rec_bytes(h.len))
            return why_set(why, E_CORRUPT, "byte %llu: no valid head of record %llu",
                           (unsigned long long)at->off, (unsigned long long)at->seq);
        u64 body = at->off + REC_HEAD_BYTES;
        if (h.number < seq) {
            at->off += rec_bytes(h.len);
            at->seq++;
            continue;
        }
        size_t len = out->len;
        if (h.len && !buf_reserve(out, h.len))
            return why_set(why, E_TOO_LARGE, "a batch of %u bytes does not fit into the buffer given", h.len);
        if (h.len)
            TRY(vfs_read_exact(f, body, out->at + len, h.len, why));
        if (h.len && crc32c(0, out->at + len, h.len) != h.body_crc)
            return why_set(why, E_CORRUPT, "byte %llu: checksum of record %llu is wrong",
                           (unsigned long long)at->off, (unsigned long long)seq);
        out->len = len + h.len;
        at->off += rec_bytes(h.len);
        at->seq++;
        return OK;
    }
}

/* Past damage in g: the next whole record's place, or the end of the segment. */
static Err skip_damage(Spool *s, File *f, const char *path, const Segment *g, Hint *at, Why *why)
{
    RecReader r;
    recreader_init(&r, f, path, g->salt, at->off + 8, g->bytes, at->seq);
    Err e = recreader_resync(&r, why);
    u64 from = at->seq;
    *at = e == OK ? (Hint){r.number, r.at, g->first} : (Hint){g->next, g->bytes, g->first};
    recreader_done(&r);
    if (e != OK && e != E_NOT_FOUND)
        return e;
    mutex_lock(&s->m);
    u64 lost = count_lost(s, from, at->seq);
    lose(s, lost);
    mutex_unlock(&s->m);
    LOG_ERROR("spool", "Damaged records passed over", LF_C("file", path), LF_INT("from", from),
              LF_INT("to", at->seq - 1));
    return OK;
}

static Err read_in(Spool *s, const Segment *g, Hint at, u64 *seq, Buf *out, Why *why)
{
    char path[PATH_MAX];
    path_of(s, g->first, path);
    File *f;
    TRY(s->c.vfs->open(s->c.vfs, path, VFS_READ, &f, why));
    Err e = OK;
    for (;;) {
        e = at.seq >= g->next ? E_NOT_FOUND : read_at(f, g, &at, *seq, out, why);
        if (e != E_CORRUPT)
            break;
        if ((e = skip_damage(s, f, path, g, &at, why)) != OK)
            break;
        *seq = MAX(*seq, at.seq);
    }
    s->c.vfs->close(f);
    mutex_lock(&s->m);
    s->hints[s->next_hint++ % HINTS] = at;
    mutex_unlock(&s->m);
    return e;
}

Err spool_read(Spool *s, u64 seq, Buf *out, u64 *ret_seq, Why *why)
{
    seq = MAX(seq, 1u);
    for (u32 lost_races = 0; lost_races < 100;) {
        Segment g;
        mutex_lock(&s->m);
        bool found = find_segment(s, &seq, &g);
        Hint at = found ? start_of(s, &g, seq) : (Hint){0};
        mutex_unlock(&s->m);
        if (!found)
            return why_set(why, E_NOT_FOUND, "%s: nothing at %llu yet", s->dir, (unsigned long long)seq);
        Why own;
        Err e = read_in(s, &g, at, &seq, out, &own);
        if (e == OK) {
            if (ret_seq)
                *ret_seq = seq;
            return OK;
        }
        if (e == E_NOT_FOUND) { /* the rest of it was damaged, or it was dropped a moment ago */
            mutex_lock(&s->m);
            bool is_there =
                find_segment(s, &(u64){g.first}, &(Segment){0}) && s->segments.at[0].first <= g.first;
            mutex_unlock(&s->m);
            if (is_there)
                seq = MAX(seq, g.next);
            lost_races += !is_there;
            continue;
        }
        if (why)
            *why = own;
        return e;
    }
    return why_set(why, E_BUSY, "%s: segments are dropped faster than they are read", s->dir);
}

#define UNDER_M(s, expr)                                                                                     \
    ({                                                                                                       \
        mutex_lock(&(s)->m);                                                                                 \
        u64 r_ = (expr);                                                                                     \
        mutex_unlock(&(s)->m);                                                                               \
        r_;                                                                                                  \
    })

u64 spool_tail(Spool *s)
{
    return UNDER_M(s, last(s)->next);
}

u64 spool_oldest(Spool *s)
{
    return UNDER_M(s, MAX(s->segments.at[0].first, s->trimmed));
}

u64 spool_bytes(Spool *s)
{
    return UNDER_M(s, s->bytes);
}

u64 spool_dropped(Spool *s)
{
    return UNDER_M(s, s->dropped);
}

/* ---- cursors ---- */

Err spool_cursor_save(Spool *s, Str name, u64 seq, Why *why)
{
    TRY(spool_name_check(name, why));
    mutex_lock(&s->cursors_m);
    Buf text;
    buf_init(&text, SPOOL_CURSORS_BYTES_MAX);
    mutex_lock(&s->m);
    size_t cursor = 0;
    StrMapSlot *slot;
    while ((slot = strmap_next(&s->cursors, &cursor)))
        if (!str_eq(slot->key, name))
            buf_printf(&text, "%llu %.*s\n", (unsigned long long)(uintptr_t)slot->value, STR_FMT(slot->key));
    mutex_unlock(&s->m);
    buf_printf(&text, "%llu %.*s\n", (unsigned long long)seq, STR_FMT(name));
    buf_printf(&text, "crc %08x\n", crc32c(0, text.at, text.len));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/cursors", s->dir);
    Err e = buf_over(&text) ? why_set(why, E_LIMIT, "%s: too many cursors", s->dir)
                            : vfs_write_file(s->c.vfs, path, buf_view(&text), why);
    buf_done(&text);
    if (e == OK) {
        mutex_lock(&s->m);
        strmap_put(&s->cursors, name, (void *)(uintptr_t)seq);
        mutex_unlock(&s->m);
    }
    mutex_unlock(&s->cursors_m);
    return e;
}

u64 spool_cursor_load(Spool *s, Str name)
{
    return UNDER_M(s, (u64)(uintptr_t)strmap_find(&s->cursors, name));
}

static void take_cursor(void *arg, Str name, u64 seq)
{
    strmap_put(&((Spool *)arg)->cursors, name, (void *)(uintptr_t)seq);
}

/* A lost cursor means that its reader begins at the oldest record again: said, but no reason not to start. */
static Err load_cursors(Spool *s, Why *why)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/cursors", s->dir);
    Buf text;
    buf_init(&text, SPOOL_CURSORS_BYTES_MAX);
    Err e = vfs_read_file(s->c.vfs, path, SPOOL_CURSORS_BYTES_MAX, &text, why);
    if (e == OK && (e = spool_cursors_decode(buf_view(&text), NULL, NULL, why)) == OK)
        e = spool_cursors_decode(buf_view(&text), take_cursor, s, why);
    buf_done(&text);
    if (e == E_CORRUPT || e == E_TOO_LARGE)
        LOG_ERROR("spool", "The cursors are lost: readers begin at the oldest batch", LF_C("file", path),
                  LF_WHY(why));
    return e == E_NOT_FOUND || e == E_CORRUPT || e == E_TOO_LARGE ? OK : e;
}

/* ---- life ---- */

typedef struct Names {
    VEC(u64) firsts;
} Names;

static bool take_name(void *arg, const char *name, bool is_dir)
{
    Names *n = arg;
    if (!is_dir && strlen(name) == 24 && strspn(name, "0123456789") == 20 && !strcmp(name + 20, ".spl"))
        vec_push(&n->firsts, strtoull(name, NULL, 10));
    return true;
}

static Err ignore_record(void *arg, const RecHead *h, Str body, Why *why)
{
    (void)arg, (void)h, (void)body, (void)why;
    return OK;
}

/* The newest segment: a torn tail is cut; damage before its end stays (readers pass over it), and appending goes on behind
 * the last whole record. */
static Err recover_last(File *f, const char *path, const RecFileHead *h, Segment *g, Why *why)
{
    RecEnd end;
    Err e = recfile_recover(f, path, h, true, ignore_record, NULL, &end, why);
    if (e == E_CORRUPT) {
        LOG_ERROR("spool", "Damaged records: readers will pass over them", LF_C("file", path), LF_WHY(why));
        u64 size;
        TRY(f->vfs->size(f, &size, why));
        RecReader r;
        RecHead rec;
        Str body;
        recreader_init(&r, f, path, h->salt, h->head_bytes, size, h->first);
        do {
            while ((e = recreader_next(&r, &rec, &body, why)) == OK)
                end = (RecEnd){.bytes = r.at, .next_number = r.number};
        } while (e == E_CORRUPT && (r.at += 8, e = recreader_resync(&r, why)) == OK);
        recreader_done(&r);
        if (e == E_NOT_FOUND)
            e = f->vfs->truncate(f, end.bytes, why);
    }
    TRY(e);
    g->bytes = end.bytes;
    g->next = end.next_number;
    return f->vfs->sync(f, why);
}

static Err load_segment(Spool *s, u64 first, u64 next, bool is_last, Why *why)
{
    Vfs *v = s->c.vfs;
    char path[PATH_MAX], bad[PATH_MAX + 8];
    path_of(s, first, path);
    File *f;
    TRY(v->open(v, path, is_last ? VFS_READ | VFS_WRITE : VFS_READ, &f, why));
    RecFileHead h;
    Segment g = {.first = first, .next = next};
    Err e = recfile_head_load(f, path, RECFILE_SPOOL, &h, NULL, why);
    if (e == OK && h.first != first)
        e = why_set(why, E_CORRUPT, "%s: its head says that it starts at %llu", path,
                    (unsigned long long)h.first);
    if (e == OK) {
        g.salt = h.salt;
        g.head_bytes = h.head_bytes;
        e = is_last ? recover_last(f, path, &h, &g, why) : v->size(f, &g.bytes, why);
    }
    if (e == OK && is_last)
        s->file = f;
    else
        v->close(f);
    if (e ==
        E_CORRUPT) { /* born at the moment of a crash, or rot: out of the way, kept for whoever wants to look */
        u64 lost = is_last ? 0 : count_lost(s, first, next);
        lose(s, lost);
        LOG_ERROR("spool", "A segment without a valid head is set aside", LF_WHY(why));
        snprintf(bad, sizeof bad, "%s.bad", path);
        return v->rename(v, path, bad, why);
    }
    TRY(e);
    vec_push(&s->segments, g);
    s->bytes += g.bytes;
    return OK;
}

static Err start(Spool *s, Why *why)
{
    Vfs *v = s->c.vfs;
    TRY(vfs_mkdirs(v, s->dir, why));
    TRY(load_cursors(s, why));
    Names n = {0};
    Err e = v->list(v, s->dir, take_name, &n, why);
    if (n.firsts.len)
        qsort(n.firsts.at, n.firsts.len, 8, u64_order);
    for (size_t i = 0; e == OK && i < n.firsts.len; i++) {
        bool is_last = i + 1 == n.firsts.len;
        e = load_segment(s, n.firsts.at[i], is_last ? 0 : n.firsts.at[i + 1], is_last, why);
    }
    /* Numbers go on above everything that was ever read: a cursor may be past what a power cut left, and what is appended
     * next is not what that reader has had. */
    u64 next = s->file ? last(s)->next : n.firsts.len ? n.firsts.at[n.firsts.len - 1] : 1;
    bool is_behind = false;
    size_t cursor = 0;
    StrMapSlot *slot;
    while ((slot = strmap_next(&s->cursors, &cursor)))
        if ((u64)(uintptr_t)slot->value > next)
            next = (u64)(uintptr_t)slot->value, is_behind = true;
    vec_done(&n.firsts);
    TRY(e);
    if (!s->file || is_behind)
        TRY(create_segment(s, next, why));
    s->synced = last(s)->next - 1;
    return v->sync_dir(v, s->dir, why);
}

static void free_spool(Spool *s)
{
    if (s->file)
        s->c.vfs->close(s->file);
    vec_done(&s->segments);
    strmap_done(&s->cursors);
    mutex_done(&s->w);
    mutex_done(&s->m);
    mutex_done(&s->cursors_m);
    mem_free(s->dir);
    mem_free(s);
}

Err spool_open(Spool **ret, const SpoolConfig *c, Why *why)
{
    Why own;
    why = why ? why : &own;
    if (!*c->dir || strlen(c->dir) > PATH_MAX - 64)
        return why_set(why, E_INVALID, "the spool's path has %zu bytes: too %s", strlen(c->dir),
                       *c->dir ? "long" : "short");
    if (c->bytes_max < 4096)
        return why_set(why, E_INVALID, "a spool of %llu bytes: at least 4096",
                       (unsigned long long)c->bytes_max);
    pthread_once(&metrics_once, register_metrics);
    Spool *s = mem_new(Spool);
    s->c = *c;
    s->dir = mem_strdup(str_c(c->dir));
    s->c.dir = s->dir;
    s->c.segment_bytes = MIN(c->segment_bytes ? c->segment_bytes : (u64)SEGMENT_BYTES, c->bytes_max / 4);
    mutex_init(&s->cursors_m, RANK_STORE);
    mutex_init(&s->w, RANK_STORE);
    mutex_init(&s->m, (LockRank)(RANK_STORE + 1));
    Err e = start(s, why);
    if (e != OK) {
        free_spool(s);
        return e;
    }
    *ret = s;
    return OK;
}

void spool_close(Spool *s)
{
    if (!s)
        return;
    Why why;
    if (s->err == OK && sync_file(s, &why) != OK)
        LOG_ERROR("spool", "The last batches could not be synced", LF_C("dir", s->dir), LF_WHY(&why));
    free_spool(s);
}
