#include "store/ilog_int.h"

#include <stdio.h>

enum { QUEUE_BYTES = 16 << 20, IDLE_BUF_BYTES = 1 << 20 };

static Metric *m_failed, *m_syncs, *m_cut, *m_sync_seconds, *m_corrupt;
static pthread_once_t metrics_once = PTHREAD_ONCE_INIT; /* several logs may open while others run */

static void register_metrics(void)
{
    m_failed = metric_counter("prometheus_tsdb_wal_writes_failed_total",
                              "Total number of WAL writes that failed.", "");
    m_corrupt =
        metric_counter("prometheus_tsdb_wal_corruptions_total", "Total number of WAL corruptions.", "");
    m_syncs = metric_counter("pharos_log_syncs_total", "Syncs of the ingest log.", "");
    m_cut = metric_counter("pharos_log_cut_bytes_total",
                           "Bytes of torn tails removed when the log was opened.", "");
    m_sync_seconds =
        metric_histogram("pharos_log_sync_duration_seconds", "Time one sync of the ingest log took.", "",
                         metric_latency_bounds, COUNT_OF(metric_latency_bounds));
}

/* ---- appending: any thread ---- */

static Batch *filling(ILog *l)
{
    return &l->batches[l->filling];
}

static u64 total_bytes(const ILog *l)
{
    return l->sealed_bytes + l->segments.at[l->segments.len - 1].bytes;
}

/* m held. OK = there is room for `need` bytes in the filling batch (which may be another one after a wait). */
static Err make_room(ILog *l, size_t need, bool may_wait)
{
    for (;;) {
        if (l->err != OK)
            return l->err;
        Batch *b = filling(l);
        if (total_bytes(l) + b->used + need > l->c.total_bytes_max)
            return E_BUSY;
        if (b->used && b->used + need > l->c.queue_bytes_max) {
            if (!may_wait)
                return E_BUSY;
            cond_wait(&l->room, &l->m);
            continue;
        }
        if (b->used + need <= b->cap)
            return OK;
        if (!b->copying) {
            size_t cap = MAX(b->cap * 2, (size_t)256 << 10);
            while (cap < b->used + need)
                cap *= 2;
            b->buf = mem_realloc(b->buf, cap);
            b->cap = cap;
            return OK;
        }
        cond_wait(&l->copied, &l->m);
    }
}

static void enqueue(ILog *l, Entry entry, const LogRecord *r, bool may_wait)
{
    mutex_lock(&l->m);
    check(!l->closing);
    if (entry.kind == ENTRY_RECORD && (entry.err = make_room(l, rec_bytes(entry.len), may_wait)) != OK)
        entry.kind = ENTRY_REFUSED;
    while (filling(l)->entries.len >= ILOG_ENTRIES_MAX) {
        cond_wait(&l->room, &l->m);
        if (entry.kind == ENTRY_RECORD && (entry.err = make_room(l, rec_bytes(entry.len), may_wait)) != OK)
            entry.kind = ENTRY_REFUSED;
    }
    Batch *b = filling(l);
    entry.off = b->used;
    bool is_first = b->entries.len == 0;
    if (entry.kind != ENTRY_RECORD) {
        vec_push(&b->entries, entry);
    } else {
        b->used += rec_bytes(entry.len);
        vec_push(&b->entries, entry);
        b->copying++;
        u8 *body = b->buf + entry.off + REC_HEAD_BYTES;
        mutex_unlock(&l->m);
        if (r->producer.len)
            memcpy(body, r->producer.at, r->producer.len);
        if (r->bytes.len)
            memcpy(body + r->producer.len, r->bytes.at, r->bytes.len);
        memset(body + entry.len, 0, -entry.len & 7);
        mutex_lock(&l->m);
        if (--b->copying == 0)
            cond_broadcast(&l->copied);
    }
    if (is_first)
        cond_signal(&l->work);
    mutex_unlock(&l->m);
}

static void append(ILog *l, const LogRecord *r, bool want_sync, bool may_wait, ILogDone done, void *arg)
{
    Entry e = {.kind = ENTRY_RECORD, .want_sync = want_sync, .done = done, .arg = arg};
    if (r->producer.len > REC_NAME_MAX || r->lane == ILOG_NO_LANE) {
        e.kind = ENTRY_REFUSED;
        e.err = E_INVALID;
    } else if (r->bytes.len > REC_BODY_MAX - REC_NAME_MAX) {
        e.kind = ENTRY_REFUSED;
        e.err = E_TOO_LARGE;
    } else {
        e.len = (u32)(r->producer.len + r->bytes.len);
        e.name_len = (u8)r->producer.len;
        e.type = r->type;
        e.lane = r->lane;
        e.producer_seq = r->producer_seq;
        e.body_crc = crc32c(crc32c(0, r->producer.at, r->producer.len), r->bytes.at, r->bytes.len);
    }
    enqueue(l, e, r, may_wait);
}

void ilog_append(ILog *l, const LogRecord *r, bool want_sync, ILogDone done, void *arg)
{
    append(l, r, want_sync, false, done, arg);
}

typedef struct Waiter {
    Mutex m;
    Cond c;
    bool is_done;
    Err err;
    LogPos at;
} Waiter;

static void wake(void *arg, Err e, LogPos at, bool duplicate)
{
    (void)duplicate;
    Waiter *w = arg;
    mutex_lock(&w->m);
    w->err = e;
    w->at = at;
    w->is_done = true;
    cond_signal(&w->c);
    mutex_unlock(&w->m);
}

static Err wait_for(ILog *l, Waiter *w, const char *what, Why *why)
{
    mutex_lock(&w->m);
    while (!w->is_done)
        cond_wait(&w->c, &w->m);
    mutex_unlock(&w->m);
    mutex_done(&w->m);
    cond_done(&w->c);
    if (w->err == OK)
        return OK;
    ILogHealth h = ilog_health(l);
    if (h.err != OK)
        return why_set(why, w->err, "%s: %s: %s", l->dir, what, h.why.text);
    if (w->err == E_BUSY)
        return why_set(why, w->err,
                       "%s: %s: the log holds %llu bytes, its limit is %llu: it waits for a flush", l->dir,
                       what, (unsigned long long)h.bytes, (unsigned long long)l->c.total_bytes_max);
    return why_set(why, w->err, "%s: %s: %s", l->dir, what, err_name(w->err));
}

static void waiter_init(Waiter *w)
{
    *w = (Waiter){0};
    mutex_init(&w->m, RANK_LEAF);
    cond_init(&w->c);
}

Err ilog_append_wait(ILog *l, const LogRecord *r, LogPos *ret, Why *why)
{
    Waiter w;
    waiter_init(&w);
    append(l, r, true, true, wake, &w);
    TRY(wait_for(l, &w, "append", why));
    if (ret)
        *ret = w.at;
    return OK;
}

Err ilog_sync(ILog *l, Why *why)
{
    Waiter w;
    waiter_init(&w);
    enqueue(l, (Entry){.kind = ENTRY_BARRIER, .want_sync = true, .done = wake, .arg = &w}, NULL, true);
    return wait_for(l, &w, "sync", why);
}

/* ---- committing: one thread ---- */

static void set_err(ILog *l, Err e, const Why *why)
{
    if (e == E_NOSPACE)
        LOG_WARN("ilog", "The disk is full: writes are refused until there is space", LF_C("dir", l->dir),
                 LF_WHY(why));
    else if (e != OK)
        LOG_ERROR("ilog", "The log has stopped for ever: restart to recover from what is on disk",
                  LF_C("dir", l->dir), LF_WHY(why));
    else
        LOG_INFO("ilog", "There is space again: writes are accepted", LF_C("dir", l->dir));
    if (e != OK)
        metric_inc(m_failed);
    mutex_lock(&l->m);
    l->err = e;
    l->why = e == OK ? (Why){0} : *why;
    cond_broadcast(&l->room);
    mutex_unlock(&l->m);
}

/* A write or sync failed. Returns what the batch's callers get. */
static Err give_up(ILog *l, Err e, bool may_be_stored, Why *why)
{
    if (e == E_NOSPACE) {
        /* Nothing of the batch may come back after a power cut: it is refused, so its bytes go, durably. */
        Why cut;
        Vfs *v = l->c.vfs;
        if (v->truncate(l->file, l->file_bytes, &cut) == OK && v->sync(l->file, &cut) == OK) {
            l->is_unsynced = false;
            l->synced = l->next_number - 1;
            ilog_ballast_free(l);
            l->probed_ns = clock_mono_ns(l->c.clock);
            set_err(l, E_NOSPACE, why);
            return E_NOSPACE;
        }
        *why = cut;
        may_be_stored = true;
    }
    set_err(l, E_IO, why);
    return may_be_stored ? E_UNKNOWN : E_IO;
}

static Err sync_now(ILog *l, Why *why)
{
    if (!l->is_unsynced)
        return OK;
    i64 t = clock_mono_ns(clock_real());
    if (l->c.vfs->sync(l->file, why) != OK)
        return E_IO;
    metric_observe(m_sync_seconds, (f64)(clock_mono_ns(clock_real()) - t) / 1e9);
    metric_inc(m_syncs);
    l->is_unsynced = false;
    l->synced = l->next_number - 1;
    mutex_lock(&l->m);
    l->syncs++;
    mutex_unlock(&l->m);
    return OK;
}

static Err lane_of(ILog *l, Entry *e)
{
    mutex_lock(&l->m);
    Lane *lane = ilog_lane(l, e->lane, true);
    if (lane)
        e->at = (LogPos){l->epoch, lane->pending++};
    mutex_unlock(&l->m);
    return lane ? OK : E_LIMIT;
}

/* Gives each record its place, drops duplicates, and closes the ranks. Returns the records to be written. */
static u32 arrange(ILog *l, Batch *b)
{
    size_t used = 0;
    u32 n = 0;
    for (size_t i = 0; i < b->entries.len; i++) {
        Entry *e = &b->entries.at[i];
        if (e->kind != ENTRY_RECORD)
            continue;
        u8 *at = b->buf + e->off;
        Str name = str_of((const char *)at + REC_HEAD_BYTES, e->name_len);
        u64 seq;
        if (e->name_len && dedup_find(&l->dedup, e->lane, name, e->producer_seq, &seq)) {
            e->at = (LogPos){l->epoch, seq};
            e->duplicate = true;
            continue;
        }
        if ((e->err = lane_of(l, e)) != OK) {
            e->kind = ENTRY_REFUSED;
            continue;
        }
        if (e->name_len)
            dedup_add(&l->dedup, e->lane, name, e->producer_seq, e->at.seq, l->next_number + n);
        size_t bytes = rec_bytes(e->len);
        if (used != e->off)
            memmove(b->buf + used, at, bytes);
        e->off = used;
        used += bytes;
        n++;
    }
    b->used = used;
    return n;
}

/* The batch was not stored: positions and producers as before. */
static void disarrange(ILog *l, Batch *b)
{
    for (size_t i = b->entries.len; i-- > 0;) {
        const Entry *e = &b->entries.at[i];
        if (e->kind == ENTRY_RECORD && !e->duplicate && e->name_len)
            dedup_undo(&l->dedup, e->lane,
                       str_of((const char *)b->buf + e->off + REC_HEAD_BYTES, e->name_len), e->producer_seq);
    }
    mutex_lock(&l->m);
    for (size_t i = 0; i < l->lanes.len; i++)
        l->lanes.at[i].pending = l->lanes.at[i].next;
    mutex_unlock(&l->m);
}

static void encode_heads(ILog *l, Batch *b, u64 salt)
{
    u64 number = l->next_number;
    for (size_t i = 0; i < b->entries.len; i++) {
        const Entry *e = &b->entries.at[i];
        if (e->kind == ENTRY_RECORD && !e->duplicate)
            rec_head_encode(b->buf + e->off,
                            &(RecHead){.len = e->len,
                                       .body_crc = e->body_crc,
                                       .number = number++,
                                       .synced = l->synced,
                                       .type = e->type,
                                       .lane = e->lane,
                                       .seq = e->at.seq,
                                       .aux = e->producer_seq,
                                       .name_len = e->name_len},
                            salt);
    }
}

/* Moves on to a new segment where the batch would make this one too long. Before `arrange`: the head of a segment holds
 * positions and producers of what lies before it, and nothing of a batch that may still fail. */
static Err rotate_for(ILog *l, const Batch *b, Why *why)
{
    mutex_lock(&l->m);
    const Segment *s = &l->segments.at[l->segments.len - 1];
    bool rotate = l->rotate_wanted || (s->bytes > s->head_bytes && s->bytes + b->used > l->c.segment_bytes);
    mutex_unlock(&l->m);
    return b->used && rotate ? ilog_rotate(l, why) : OK;
}

static Err write_batch(ILog *l, Batch *b, u32 n, Why *why)
{
    mutex_lock(&l->m);
    u64 salt = l->segments.at[l->segments.len - 1].salt;
    mutex_unlock(&l->m);
    encode_heads(l, b, salt);
    TRY(l->c.vfs->pwrite(l->file, l->file_bytes, b->buf, b->used, why));
    l->file_bytes += b->used;
    l->written += b->used;
    l->next_number += n;
    l->marked = l->synced;
    if (!l->is_unsynced)
        l->unsynced_since_ns = clock_mono_ns(l->c.clock);
    l->is_unsynced = true;
    return OK;
}

static void publish(ILog *l, u32 n)
{
    mutex_lock(&l->m);
    Segment *s = &l->segments.at[l->segments.len - 1];
    s->bytes = l->file_bytes;
    s->next_number = l->next_number;
    for (size_t i = 0; i < l->lanes.len; i++)
        l->lanes.at[i].next = l->lanes.at[i].pending;
    l->records += n;
    mutex_unlock(&l->m);
}

static bool has_been(ILog *l, i64 since_ns, i64 ms)
{
    return clock_mono_ns(l->c.clock) - since_ns >= ms * NS_PER_MS;
}

static bool wants_sync(const ILog *l, const Batch *b)
{
    for (size_t i = 0; i < b->entries.len; i++) {
        const Entry *e = &b->entries.at[i];
        if (e->kind == ENTRY_BARRIER ||
            (e->kind == ENTRY_RECORD && e->want_sync && l->c.durability == DURABLE_POWER))
            return true;
    }
    return false;
}

static Err store_batch(ILog *l, Batch *b)
{
    Why why = {0};
    Err e = rotate_for(l, b, &why);
    if (e != OK)
        return give_up(l, e, false, &why);
    u32 n = arrange(l, b);
    if (n && (e = write_batch(l, b, n, &why)) != OK)
        e = give_up(l, e, true, &why);
    else if (wants_sync(l, b) || (l->is_unsynced && has_been(l, l->unsynced_since_ns, ILOG_TICK_MS)))
        e = sync_now(l, &why) == OK ? OK : give_up(l, E_IO, true, &why);
    if (e == OK)
        publish(l, n);
    else
        disarrange(l, b);
    return e;
}

static void commit(ILog *l, Batch *b)
{
    mutex_lock(&l->m);
    Err e = l->err;
    mutex_unlock(&l->m);
    if (e == OK)
        e = store_batch(l, b);
    for (size_t i = 0; i < b->entries.len; i++) {
        Entry *entry = &b->entries.at[i];
        Err mine = entry->kind == ENTRY_REFUSED ? entry->err : e;
        entry->done(entry->arg, mine, mine == OK ? entry->at : (LogPos){0}, mine == OK && entry->duplicate);
    }
}

/* Refusing for lack of space: is there some now? Room for the ballast and a little more, and the ballast is really written. */
static void probe_space(ILog *l)
{
    Why why = {0};
    u64 free_bytes = 0, total;
    l->probed_ns = clock_mono_ns(l->c.clock);
    if (l->c.vfs->free_bytes(l->c.vfs, l->dir, &free_bytes, &total, &why) != OK)
        return;
    if (free_bytes < l->c.ballast_bytes + (1 << 20) || ilog_ballast_make(l, &why) != OK)
        return;
    set_err(l, OK, NULL);
}

/* Nothing came for a second: what waits for its sync gets it, and the last batch its mark. */
static void tick(ILog *l)
{
    Why why = {0};
    mutex_lock(&l->m);
    Err err = l->err;
    for (u32 i = 0; i < 2; i++) {
        Batch *b = &l->batches[i];
        if (b->cap > IDLE_BUF_BYTES && !b->copying && !b->entries.len) {
            mem_free(b->buf);
            b->buf = NULL;
            b->cap = 0;
        }
    }
    mutex_unlock(&l->m);
    if (err == E_NOSPACE)
        probe_space(l);
    else if (err != OK)
        return;
    else if (l->is_unsynced && sync_now(l, &why) != OK)
        give_up(l, E_IO, true, &why);
    else if (l->marked < l->synced) {
        Err e = ilog_write_marker(l, &why);
        if (e == E_NOSPACE)
            l->marked = l->synced; /* a courtesy: not worth stopping for */
        else if (e != OK)
            give_up(l, e, true, &why);
    }
}

static bool is_idle(ILog *l)
{
    return l->err == OK && !l->is_unsynced && l->marked >= l->synced;
}

static void *committer(void *arg)
{
    ILog *l = arg;
    mutex_lock(&l->m);
    for (;;) {
        Batch *b = filling(l);
        if (!b->entries.len) {
            if (l->closing)
                break;
            if (is_idle(l) || (l->err != OK && l->err != E_NOSPACE)) {
                cond_wait(&l->work, &l->m);
            } else if (!cond_wait_ms(&l->work, &l->m, ILOG_TICK_MS) && !filling(l)->entries.len) {
                mutex_unlock(&l->m);
                tick(l);
                mutex_lock(&l->m);
            }
            continue;
        }
        l->filling ^= 1;
        while (b->copying)
            cond_wait(&l->copied, &l->m);
        bool probe = l->err == E_NOSPACE && has_been(l, l->probed_ns, ILOG_TICK_MS);
        mutex_unlock(&l->m);
        if (probe)
            probe_space(l);
        commit(l, b);
        mutex_lock(&l->m);
        b->entries.len = 0;
        b->used = 0;
        cond_broadcast(&l->room);
    }
    mutex_unlock(&l->m);
    return NULL;
}

/* ---- life ---- */

static void free_log(ILog *l)
{
    if (l->file)
        l->c.vfs->close(l->file);
    for (u32 i = 0; i < 2; i++) {
        mem_free(l->batches[i].buf);
        vec_done(&l->batches[i].entries);
    }
    for (size_t i = 0; i < l->segments.len; i++)
        segment_done(&l->segments.at[i]);
    vec_done(&l->segments);
    vec_done(&l->lanes);
    u64map_done(&l->lane_index);
    dedup_done(&l->dedup);
    buf_done(&l->head);
    cond_done(&l->work);
    cond_done(&l->room);
    cond_done(&l->copied);
    mutex_done(&l->m);
    mutex_done(&l->trim_m);
    mem_free(l->dir);
    mem_free(l);
}

Err ilog_open(ILog **ret, const ILogConfig *c, Why *why)
{
    pthread_once(&metrics_once, register_metrics);
    Why own;
    why = why ? why : &own;
    if (strlen(c->dir) > PATH_MAX - 64)
        return why_set(why, E_INVALID, "the log's path is too long: %.80s...", c->dir);
    ILog *l = mem_new(ILog);
    l->c = *c;
    l->dir = mem_strdup(str_c(c->dir));
    l->c.dir = l->dir;
    l->c.total_bytes_max = c->total_bytes_max ? c->total_bytes_max : 1ull << 30;
    l->c.segment_bytes =
        MIN(c->segment_bytes ? c->segment_bytes : 16u << 20, MAX(l->c.total_bytes_max / 4, 1u));
    l->c.queue_bytes_max = c->queue_bytes_max ? c->queue_bytes_max : QUEUE_BYTES;
    l->dedup.max = MIN(c->dedup_window ? c->dedup_window : 1024, 4096u);
    buf_init(&l->head, RECFILE_EXT_MAX + 4096);
    mutex_init(&l->m, ILOG_RANK);
    mutex_init(&l->trim_m, ILOG_RANK_TRIM);
    cond_init(&l->work);
    cond_init(&l->room);
    cond_init(&l->copied);

    Err e = vfs_mkdirs(c->vfs, l->dir, why);
    if (e == OK && (e = ilog_segments_load(l, why)) == E_CORRUPT)
        metric_inc(m_corrupt);
    if (e == OK && (e = ilog_ballast_make(l, why)) == E_NOSPACE) {
        set_err(l, E_NOSPACE, why); /* opens, so that what is there can be read and trimmed */
        l->probed_ns = clock_mono_ns(c->clock);
        e = OK;
    }
    if (e == OK)
        e = c->vfs->sync_dir(c->vfs, l->dir, why);
    if (e == OK)
        e = thread_start(&l->committer, "ilog", committer, l);
    if (e != OK) {
        free_log(l);
        return e;
    }
    metric_add(m_cut, (f64)l->cut_bytes);
    *ret = l;
    return OK;
}

void ilog_close(ILog *l)
{
    if (!l)
        return;
    mutex_lock(&l->m);
    l->closing = true;
    cond_signal(&l->work);
    mutex_unlock(&l->m);
    pthread_join(l->committer, NULL);
    if (l->err == OK) {
        tick(l); /* the last sync, */
        tick(l); /* then its mark */
    }
    free_log(l);
}

ILogHealth ilog_health(ILog *l)
{
    mutex_lock(&l->m);
    ILogHealth h = {.err = l->err,
                    .why = l->why,
                    .bytes = total_bytes(l),
                    .segments = l->segments.len,
                    .records = l->records,
                    .syncs = l->syncs,
                    .cut_bytes = l->cut_bytes,
                    .written = l->written};
    mutex_unlock(&l->m);
    return h;
}

Err ilog_tail(ILog *l, u32 lane, LogPos *ret_next)
{
    if (lane == ILOG_NO_LANE)
        return E_INVALID;
    mutex_lock(&l->m);
    const Lane *at = ilog_lane(l, lane, false);
    *ret_next = (LogPos){l->epoch, at ? at->next : 1};
    mutex_unlock(&l->m);
    return OK;
}
