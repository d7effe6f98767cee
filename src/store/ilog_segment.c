#include "store/ilog_int.h"

#include <stdio.h>

void ilog_segment_path(const ILog *l, u64 first, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%020llu.seg", l->dir, (unsigned long long)first);
}

void segment_done(Segment *s)
{
    mem_free(s->starts);
}

u64 segment_lane_start(const Segment *s, u32 lane)
{
    size_t lo = 0, hi = s->n_starts;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->starts[mid].lane < lane)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n_starts && s->starts[lo].lane == lane ? s->starts[lo].next : 1;
}

Lane *ilog_lane(ILog *l, u32 lane, bool create)
{
    u64 *at = u64map_find(&l->lane_index, lane);
    if (at)
        return &l->lanes.at[*at];
    if (!create || l->lanes.len >= ILOG_LANES_MAX || lane == ILOG_NO_LANE)
        return NULL;
    u64map_put(&l->lane_index, lane, l->lanes.len);
    vec_push(&l->lanes, (Lane){.id = lane, .next = 1, .pending = 1, .trimmed = 1});
    return &l->lanes.at[l->lanes.len - 1];
}

/* ---- the extension of a segment's head: u32 lanes, each u32 lane, u64 next, u64 trimmed; then the dedup window ---- */

static int by_lane(const void *a, const void *b)
{
    u32 x = ((const LaneStart *)a)->lane, y = ((const LaneStart *)b)->lane;
    return x < y ? -1 : x > y;
}

/* Also fills s->starts. Takes m for the lanes. */
static void encode_ext(ILog *l, Segment *s, Buf *ext)
{
    mutex_lock(&l->m);
    s->n_starts = (u32)l->lanes.len;
    s->starts = mem_alloc(sizeof(LaneStart) * l->lanes.len + 1);
    buf_u32(ext, s->n_starts);
    for (u32 i = 0; i < s->n_starts; i++) {
        const Lane *lane = &l->lanes.at[i];
        s->starts[i] = (LaneStart){lane->id, lane->next};
        buf_u32(ext, lane->id);
        buf_u64(ext, lane->next);
        buf_u64(ext, lane->trimmed);
    }
    mutex_unlock(&l->m);
    qsort(s->starts, s->n_starts, sizeof *s->starts, by_lane);
    dedup_encode(&l->dedup, ext);
}

/* is_last: the lanes and the dedup window become the log's. */
static Err decode_ext(ILog *l, const char *path, Segment *s, Str ext, bool is_last, Why *why)
{
    Bytes in = bytes_of(ext);
    u32 n = bytes_u32(&in);
    if (in.bad || n > ILOG_LANES_MAX)
        return why_set(why, E_CORRUPT, "%s: the lane table of its head is wrong", path);
    s->starts = mem_alloc(sizeof(LaneStart) * n + 1);
    for (u32 i = 0; i < n; i++) {
        u32 id = bytes_u32(&in);
        u64 next = bytes_u64(&in), trimmed = bytes_u64(&in);
        if (in.bad || !next || !trimmed || trimmed > next || next >= REC_START_MAX)
            return why_set(why, E_CORRUPT, "%s: the lane table of its head is wrong", path);
        s->starts[s->n_starts++] = (LaneStart){id, next};
        if (is_last) {
            Lane *lane = ilog_lane(l, id, true);
            if (!lane)
                return why_set(why, E_CORRUPT, "%s: the lane table of its head is wrong", path);
            lane->next = lane->pending = next;
            lane->trimmed = trimmed;
        }
    }
    qsort(s->starts, s->n_starts, sizeof *s->starts, by_lane);
    for (u32 i = 1; i < s->n_starts; i++)
        if (s->starts[i].lane == s->starts[i - 1].lane)
            return why_set(why, E_CORRUPT, "%s: its lane table names lane %u twice", path, s->starts[i].lane);
    if (is_last && !dedup_decode(&l->dedup, &in))
        return why_set(why, E_CORRUPT, "%s: the table of producers in its head is wrong", path);
    return OK;
}

/* ---- making ---- */

/* Creates the file of the segment that starts at l->next_number and makes it the one written. */
static Err create_segment(ILog *l, u64 prev_first, u64 prev_bytes, Why *why)
{
    Vfs *v = l->c.vfs;
    Segment s = {.first = l->next_number, .next_number = l->next_number, .salt = random_u64() | 1};
    Buf ext;
    buf_init(&ext, RECFILE_EXT_MAX);
    encode_ext(l, &s, &ext);
    buf_clear(&l->head);
    recfile_head_encode(&l->head,
                        &(RecFileHead){.kind = RECFILE_ILOG,
                                       .epoch = l->epoch,
                                       .salt = s.salt,
                                       .first = s.first,
                                       .prev_first = prev_first,
                                       .prev_bytes = prev_bytes,
                                       .created_ns = clock_wall_ns(l->c.clock)},
                        buf_view(&ext));
    buf_done(&ext);
    s.head_bytes = s.bytes = l->head.len;

    char path[PATH_MAX];
    ilog_segment_path(l, s.first, path);
    File *f;
    Err e = v->open(v, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &f, why);
    if (e == OK) {
        /* The head is durable before a record is written: a broken head then proves that no record was promised. */
        e = v->pwrite(f, 0, l->head.at, l->head.len, why);
        bool no_space = e == E_NOSPACE;
        if (e == OK && (e = v->sync(f, why)) == E_NOSPACE)
            e = E_IO; /* after a failed sync nothing is known: never a reason to go on */
        if (e == OK && (e = v->sync_dir(v, l->dir, why)) == E_NOSPACE)
            e = E_IO;
        if (e != OK) {
            v->close(f);
            if (no_space && v->unlink(v, path, NULL) != OK)
                e = E_IO;
        }
    }
    if (e != OK) {
        segment_done(&s);
        return e;
    }
    mutex_lock(&l->m);
    if (l->file)
        l->sealed_bytes += l->segments.at[l->segments.len - 1].bytes;
    vec_push(&l->segments, s);
    l->rotate_wanted = false;
    mutex_unlock(&l->m);
    if (l->file)
        v->close(l->file);
    l->file = f;
    l->file_bytes = s.bytes;
    return OK;
}

static Err sync_file(ILog *l, Why *why)
{
    if (!l->is_unsynced)
        return OK;
    Err e = l->c.vfs->sync(l->file, why);
    if (e != OK)
        return e == E_NOSPACE ? E_IO : e;
    l->is_unsynced = false;
    l->synced = l->next_number - 1;
    return OK;
}

Err ilog_write_marker(ILog *l, Why *why)
{
    mutex_lock(&l->m);
    u64 salt = l->segments.at[l->segments.len - 1].salt;
    mutex_unlock(&l->m);
    u8 head[REC_HEAD_BYTES];
    rec_head_encode(
        head,
        &(RecHead){.number = l->next_number, .synced = l->synced, .lane = ILOG_NO_LANE, .flags = REC_MARKER},
        salt);
    Vfs *v = l->c.vfs;
    Err e = v->pwrite(l->file, l->file_bytes, head, sizeof head, why);
    if (e != OK)
        return v->truncate(l->file, l->file_bytes, NULL) == OK && e == E_NOSPACE ? E_NOSPACE : E_IO;
    l->file_bytes += sizeof head;
    l->next_number++;
    l->marked = l->synced;
    mutex_lock(&l->m);
    Segment *s = &l->segments.at[l->segments.len - 1];
    s->bytes = l->file_bytes;
    s->next_number = l->next_number;
    mutex_unlock(&l->m);
    return OK;
}

Err ilog_rotate(ILog *l, Why *why)
{
    mutex_lock(&l->m);
    u64 first = l->segments.at[l->segments.len - 1].first;
    mutex_unlock(&l->m);
    if (first == l->next_number) /* a segment is named by its first number: move on by one */
        TRY(ilog_write_marker(l, why));
    /* A sealed segment is durable as a whole: only the last one can have a torn tail. */
    l->is_unsynced |= l->synced + 1 < l->next_number; /* a marker */
    TRY(sync_file(l, why));
    return create_segment(l, first, l->file_bytes, why);
}

/* ---- the ballast: a file of noise, so that no compression makes it worthless ---- */

Err ilog_ballast_make(ILog *l, Why *why)
{
    if (!l->c.ballast_bytes || l->has_ballast)
        return OK;
    Vfs *v = l->c.vfs;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/ballast", l->dir);
    VfsStat st;
    if (v->stat(v, path, &st, NULL) == OK && st.bytes == l->c.ballast_bytes) {
        l->has_ballast = true;
        return OK;
    }
    File *f;
    TRY(v->open(v, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, why));
    enum { CHUNK = 256 << 10 };
    u64 *noise = mem_alloc(CHUNK), x = random_u64();
    Err e = OK;
    for (u64 off = 0; off < l->c.ballast_bytes && e == OK; off += CHUNK) {
        for (size_t i = 0; i < CHUNK / 8; i++)
            noise[i] = x = x * 6364136223846793005u + 1442695040888963407u;
        e = v->pwrite(f, off, noise, (size_t)MIN((u64)CHUNK, l->c.ballast_bytes - off), why);
    }
    mem_free(noise);
    if (e == OK)
        e = v->sync(f, why);
    v->close(f);
    if (e != OK)
        v->unlink(v, path, NULL);
    l->has_ballast = e == OK;
    return e;
}

void ilog_ballast_free(ILog *l)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/ballast", l->dir);
    if (l->c.ballast_bytes)
        l->c.vfs->unlink(l->c.vfs, path, NULL);
    l->has_ballast = false;
}

/* ---- finding what is there ---- */

typedef struct Names {
    VEC(u64) firsts;
} Names;

static bool take_name(void *arg, const char *name, bool is_dir)
{
    Names *n = arg;
    size_t len = strlen(name);
    if (is_dir || len != 24 || strcmp(name + 20, ".seg") != 0 || strspn(name, "0123456789") != 20)
        return true;
    vec_push(&n->firsts, strtoull(name, NULL, 10));
    return true;
}

static Err replay(void *arg, const RecHead *h, Str body, Why *why)
{
    ILog *l = arg;
    Lane *lane = ilog_lane(l, h->lane, true);
    if (!lane || h->seq != lane->next)
        return why_set(why, E_CORRUPT, "%s: record %llu has position %llu of lane %u, expected %llu", l->dir,
                       (unsigned long long)h->number, (unsigned long long)h->seq, h->lane,
                       (unsigned long long)(lane ? lane->next : 0));
    lane->next = lane->pending = h->seq + 1;
    if (h->name_len)
        dedup_add(&l->dedup, h->lane, str_sub(body, 0, h->name_len), h->aux, h->seq, h->number);
    l->records++;
    return OK;
}

/* Replays the records of the last segment into lanes and dedup; cuts a torn tail. */
static Err recover_tail(ILog *l, const char *path, File *f, const RecFileHead *h, Segment *s, Why *why)
{
    RecEnd end;
    TRY(recfile_recover(f, path, h, true, replay, l, &end, why));
    s->bytes = end.bytes;
    s->next_number = end.next_number;
    l->marked = end.marked;
    l->cut_bytes += end.cut_bytes;
    return OK;
}

/* may_remove: it is the newest file; without a whole head and without records it was born at the moment of the crash, and
 * is removed (*ret_removed). */
static Err load_segment(ILog *l, u64 first, bool is_last, bool may_remove, bool *ret_removed, Why *why)
{
    Vfs *v = l->c.vfs;
    char path[PATH_MAX];
    ilog_segment_path(l, first, path);
    File *f;
    TRY(v->open(v, path, is_last ? VFS_READ | VFS_WRITE : VFS_READ, &f, why));
    Segment s = {.first = first};
    RecFileHead h = {0};
    Buf ext;
    buf_init(&ext, RECFILE_EXT_MAX);
    u64 size;
    *ret_removed = false;
    Err e = v->size(f, &size, why);
    if (e == OK)
        e = recfile_head_load(f, path, RECFILE_ILOG, &h, &ext, why);
    if (e == E_CORRUPT && may_remove) {
        bool holds;
        Why other;
        if (recfile_holds_records(f, size, &holds, &other) == OK && !holds &&
            v->unlink(v, path, &other) == OK && v->sync_dir(v, l->dir, &other) == OK) {
            LOG_WARN("ilog", "Unfinished segment removed", LF_C("segment", path), LF_WHY(why));
            l->cut_bytes += size;
            *ret_removed = true;
            e = OK;
        }
    }
    if (e == OK && !*ret_removed) {
        s.salt = h.salt;
        s.head_bytes = h.head_bytes;
        s.bytes = size;
        Segment *prev = l->segments.len ? &l->segments.at[l->segments.len - 1] : NULL;
        if (h.first != first)
            e = why_set(why, E_CORRUPT, "%s: its head says that it starts at record %llu", path,
                        (unsigned long long)h.first);
        else if (prev && (h.epoch != l->epoch || h.prev_first != prev->first || h.prev_bytes != prev->bytes))
            e = why_set(why, E_CORRUPT,
                        "%s: expects %020llu.seg with %llu bytes and epoch %llu before it, there is "
                        "%020llu.seg with %llu "
                        "and %llu: a segment was cut, replaced or removed",
                        path, (unsigned long long)h.prev_first, (unsigned long long)h.prev_bytes,
                        (unsigned long long)h.epoch, (unsigned long long)prev->first,
                        (unsigned long long)prev->bytes, (unsigned long long)l->epoch);
        if (prev)
            prev->next_number = first;
        l->epoch = h.epoch;
        if (e == OK)
            e = decode_ext(l, path, &s, buf_view(&ext), is_last, why);
        if (e == OK && is_last)
            e = recover_tail(l, path, f, &h, &s, why);
        if (e == OK && is_last)
            e = v->sync(
                f, why); /* what a killed process had written is read from now on: make it durable first */
    }
    buf_done(&ext);
    if (e != OK || *ret_removed) {
        v->close(f);
        segment_done(&s);
        return e;
    }
    vec_push(&l->segments, s);
    if (is_last) {
        l->file = f;
        l->file_bytes = s.bytes;
        l->next_number = s.next_number;
        l->synced = s.next_number - 1;
    } else {
        l->sealed_bytes += s.bytes;
        v->close(f);
    }
    return OK;
}

Err ilog_segments_load(ILog *l, Why *why)
{
    Vfs *v = l->c.vfs;
    Names names = {0};
    Err e = v->list(v, l->dir, take_name, &names, why);
    if (names.firsts.len)
        qsort(names.firsts.at, names.firsts.len, 8, u64_order);
    bool removed = false;
    size_t n = names.firsts.len;
    for (size_t i = 0; i < n && e == OK; i++)
        e = load_segment(l, names.firsts.at[i], i + 1 == n, i + 1 == n, &removed, why);
    if (e == OK && removed && n > 1) { /* the one before it is the last now */
        Segment *s = &l->segments.at[--l->segments.len];
        l->sealed_bytes -= s->bytes;
        segment_done(s);
        e = load_segment(l, names.firsts.at[n - 2], true, false, &removed, why);
    }
    vec_done(&names.firsts);
    if (e != OK || l->segments.len)
        return e;
    l->epoch = (u64)MAX((i64)1, clock_wall_ms(l->c.clock));
    l->next_number = 1;
    return create_segment(l, 0, 0, why);
}
