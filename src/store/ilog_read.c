#include "store/ilog_int.h"

/* What a reader needs of one segment: copied under m, so that appends and trims go on. */
typedef struct View {
    u64 first, next_number, salt, head_bytes, bytes;
    u64 start; /* of the lane */
} View;

static Err read_segment(ILog *l, const View *v, u32 lane, u64 *next, ILogReadFn fn, void *arg, Why *why)
{
    char path[PATH_MAX];
    ilog_segment_path(l, v->first, path);
    File *f;
    Err e = l->c.vfs->open(l->c.vfs, path, VFS_READ, &f, why);
    if (e == E_NOT_FOUND)
        return why_set(why, E_GAP, "%s is gone: positions from %llu of lane %u were trimmed or removed", path,
                       (unsigned long long)*next, lane);
    TRY(e);
    RecReader r;
    recreader_init(&r, f, path, v->salt, v->head_bytes, v->bytes, v->first);
    RecHead h;
    Str body;
    while ((e = recreader_next(&r, &h, &body, why)) == OK) {
        if (h.lane != lane || h.flags & REC_MARKER || h.seq < *next)
            continue;
        if (h.seq > *next) {
            e = why_set(why, E_GAP, "%s: lane %u goes on at position %llu, expected %llu", path, lane,
                        (unsigned long long)h.seq, (unsigned long long)*next);
            break;
        }
        ++*next;
        LogRecord rec = {.producer = str_sub(body, 0, h.name_len),
                         .producer_seq = h.aux,
                         .lane = lane,
                         .type = h.type,
                         .bytes = str_skip(body, h.name_len)};
        if ((e = fn(arg, (LogPos){l->epoch, h.seq}, &rec, why)) != OK)
            break;
    }
    if (e == E_NOT_FOUND && r.at >= r.end)
        e = r.number == v->next_number
                ? OK
                : why_set(why, E_CORRUPT, "%s: ends at record %llu, %llu expected", path,
                          (unsigned long long)r.number, (unsigned long long)v->next_number);
    recreader_done(&r);
    l->c.vfs->close(f);
    return e;
}

Err ilog_read(ILog *l, u32 lane, LogPos from, ILogReadFn fn, void *arg, Why *why)
{
    if (lane == ILOG_NO_LANE)
        return why_set(why, E_INVALID, "lane %u does not exist", lane);
    mutex_lock(&l->m);
    const Lane *at = ilog_lane(l, lane, false);
    u64 tail = at ? at->next : 1;
    size_t n = l->segments.len;
    View *views = mem_alloc(n * sizeof *views);
    for (size_t i = 0; i < n; i++) {
        const Segment *s = &l->segments.at[i];
        views[i] =
            (View){s->first, s->next_number, s->salt, s->head_bytes, s->bytes, segment_lane_start(s, lane)};
    }
    mutex_unlock(&l->m);

    u64 next = from.seq ? from.seq : views[0].start;
    Err e = OK;
    if (from.seq && from.epoch && from.epoch != l->epoch)
        e = why_set(why, E_GAP, "%s: lane %u has epoch %llu, not %llu: the log was made anew", l->dir, lane,
                    (unsigned long long)l->epoch, (unsigned long long)from.epoch);
    else if (next < views[0].start)
        e = why_set(why, E_GAP, "%s: positions %llu to %llu of lane %u were trimmed", l->dir,
                    (unsigned long long)next, (unsigned long long)views[0].start - 1, lane);
    else if (next > tail)
        e = why_set(why, E_GAP, "%s: positions %llu to %llu of lane %u are not in the log", l->dir,
                    (unsigned long long)tail, (unsigned long long)next - 1, lane);
    for (size_t i = 0; i < n && e == OK && next < tail; i++) {
        if (i + 1 < n && views[i + 1].start <= next)
            continue;
        if (views[i].start > next)
            e = why_set(why, E_GAP, "%s: positions %llu to %llu of lane %u are not in the log", l->dir,
                        (unsigned long long)next, (unsigned long long)views[i].start - 1, lane);
        else
            e = read_segment(l, &views[i], lane, &next, fn, arg, why);
    }
    mem_free(views);
    return e;
}

/* m held: have all lanes passed the segment before `s`? */
static bool all_passed(const ILog *l, const Segment *s)
{
    for (size_t i = 0; i < l->lanes.len; i++)
        if (segment_lane_start(s, l->lanes.at[i].id) > l->lanes.at[i].trimmed)
            return false;
    return true;
}

/* One segment at a time, oldest first, each removal durable before the next: a crash leaves the log contiguous. */
static Err delete_passed(ILog *l, Why *why)
{
    Vfs *v = l->c.vfs;
    for (;;) {
        mutex_lock(&l->m);
        bool passed = l->segments.len > 1 && all_passed(l, &l->segments.at[1]);
        u64 first = l->segments.at[0].first;
        mutex_unlock(&l->m);
        if (!passed)
            return OK;
        char path[PATH_MAX];
        ilog_segment_path(l, first, path);
        Err e = v->unlink(v, path, why);
        if (e != OK && e != E_NOT_FOUND)
            return e;
        TRY(v->sync_dir(v, l->dir, why));
        mutex_lock(&l->m);
        l->sealed_bytes -= l->segments.at[0].bytes;
        segment_done(&l->segments.at[0]);
        memmove(l->segments.at, l->segments.at + 1, --l->segments.len * sizeof(Segment));
        mutex_unlock(&l->m);
    }
}

Err ilog_trim(ILog *l, u32 lane, LogPos before, Why *why)
{
    if (lane == ILOG_NO_LANE || !before.seq)
        return why_set(why, E_INVALID, "%s: no position to trim to", l->dir);
    if (before.epoch && before.epoch != l->epoch)
        return why_set(why, E_INVALID, "%s: a position of epoch %llu cannot trim a log of epoch %llu", l->dir,
                       (unsigned long long)before.epoch, (unsigned long long)l->epoch);
    mutex_lock(&l->trim_m);
    mutex_lock(&l->m);
    Lane *at = ilog_lane(l, lane, before.seq > 1);
    Err e =
        at || before.seq == 1 ? OK : why_set(why, E_LIMIT, "%s: more than %d lanes", l->dir, ILOG_LANES_MAX);
    if (at && before.seq > at->next) {
        if (at->pending == at->next) {
            /* The positions between are in no segment: the next segment's head begins the lane where it goes on. */
            at->next = at->pending = before.seq;
            l->rotate_wanted = true;
        } else {
            e = why_set(why, E_BUSY, "%s: lane %u is being appended to", l->dir, lane);
        }
    }
    if (at && e == OK)
        at->trimmed = MAX(at->trimmed, before.seq);
    /* Nothing in the newest segment is needed either: let the next batch begin a new one, so that its space comes back. */
    const Segment *last = &l->segments.at[l->segments.len - 1];
    bool all = last->bytes - last->head_bytes > l->c.segment_bytes / 4;
    for (size_t i = 0; i < l->lanes.len && all; i++)
        all = l->lanes.at[i].trimmed >= l->lanes.at[i].next;
    l->rotate_wanted |= all;
    mutex_unlock(&l->m);
    if (e == OK)
        e = delete_passed(l, why);
    mutex_unlock(&l->trim_m);
    return e;
}
