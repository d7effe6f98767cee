#include <stdio.h>
#include <unistd.h>

#include "metrics/engine.h"

#define FLUSH_RETRY_MS 2000
/* Each flush costs every series a block, each merge rewrites them: little is held for up to that many intervals; the log has it. */
#define FLUSH_HOLD      10
#define FLUSH_BYTES_MIN (48u << 20)
#define ROTATE_MS       3600000
#define IDLE_WAIT_MS    500

/* ---- tenants ---- */

static Tenant *tenant_new(MetricsEngine *e, Str name)
{
    Tenant *t = mem_new(Tenant);
    t->id = (u32)e->tenants.len + 1;
    t->name = mem_dup(name);
    t->maxt = INT64_MIN;
    t->hint_salt = (u32)random_u64() | 1;
    catalogue_init(&t->cat, e->shards_len);
    t->shards = mem_zalloc(e->shards_len * sizeof(TenantShard));
    mutex_init(&t->side_lock, RANK_CATALOGUE);
    memos_init(&t->memos);
    epochs_init(&t->epochs);
    vec_push(&e->tenants, t);
    strmap_put(&e->tenants_by_name, name, t);
    return t;
}

void tenant_free(Tenant *t, u32 shards)
{
    for (u32 i = 0; i < shards; i++) {
        TenantShard *ts = &t->shards[i];
        mem_unref(ts->cur);
        mem_unref(ts->frozen);
        mem_free(ts->active[0]);
        mem_free(ts->active[1]);
    }
    mem_free(t->shards);
    catalogue_done(&t->cat);
    exemplars_done(&t->exemplars);
    metadata_done(&t->metadata);
    mutex_done(&t->side_lock);
    memos_done(&t->memos);
    epochs_done(&t->epochs);
    mem_free((void *)t->name.at);
    mem_free(t);
}

Tenant *engine_tenant(MetricsEngine *e, Str name, bool create)
{
    if (!name.len)
        name = S(DEFAULT_TENANT);
    mutex_lock(&e->lock);
    Tenant *t = strmap_find(&e->tenants_by_name, name);
    if (!t && create)
        t = tenant_new(e, name);
    mutex_unlock(&e->lock);
    return t;
}

void engine_fail(MetricsEngine *e, Err err, const Why *why)
{
    Err none = OK;
    if (atomic_compare_exchange_strong(&e->failed, &none, err))
        LOG_ERROR("metrics", "The metrics store takes no more writes; restart it to recover from the log",
                  LF_WHY(why));
}

/* ---- loading ---- */

static Err load_segments(MetricsEngine *e, TenantVersion *tv, Tenant *t, Why *why)
{
    for (size_t i = 0; i < tv->segments.len; i++) {
        SegmentRef *s = &tv->segments.at[i];
        char key[64];
        segment_key(key, tv->id, s->seq);
        const u8 *at;
        u64 n;
        File *f;
        u32 bad = 0;
        Why own = {0};
        Err err = bucket_map(e->bucket, str_c(key), &at, &n, &f, &own);
        if (err == OK) {
            catalogue_reserve_tables(&t->cat, s->to);
            err = catalogue_decode(&t->cat, (Str){(const char *)at, n}, s->to, &bad, &own);
            bucket_unmap(e->bucket, f, at, n);
        }
        if (err != OK && err != E_NOT_FOUND && err != E_CORRUPT)
            return why_set(why, err, "%s: %s", key, own.text);
        if (err != OK || bad)
            LOG_ERROR("metrics",
                      "A segment of the series catalogue is damaged: its series have no names and are left "
                      "out of queries",
                      LF_C("segment", key), LF_INT("sections", bad), LF_WHY(&own));
        catalogue_reserve(&t->cat, s->to);
    }
    catalogue_pack(&t->cat, true);
    return OK;
}

static Err load_sides(MetricsEngine *e, TenantVersion *tv, Tenant *t, Why *why)
{
    for (size_t i = 0; i < tv->sides.len; i++) {
        char key[64];
        side_key(key, tv->id, tv->sides.at[i].seq);
        Buf b;
        Why own = {0};
        buf_init(&b, (size_t)1 << 32);
        Err err = bucket_get(e->bucket, str_c(key), 0, UINT64_MAX, &b, deadline_none(), &own);
        if (err == OK)
            err = side_decode(t, e->c.exemplars_max, buf_view(&b), &own);
        buf_done(&b);
        if (err != OK && err != E_NOT_FOUND && err != E_CORRUPT)
            return why_set(why, err, "%s: %s", key, own.text);
        if (err != OK)
            LOG_ERROR("metrics", "A file of exemplars and metadata is damaged and left out",
                      LF_C("object", key), LF_WHY(&own));
    }
    t->exemplars.saved = t->exemplars.added;
    t->metadata.saved = t->metadata.added;
    return OK;
}

static Err load_version(MetricsEngine *e, Why *why)
{
    e->version = version_new();
    if (manifest_number(e->manifest) == 0)
        return OK;
    PartMetas metas = {0};
    Err err = version_decode(manifest_bytes(e->manifest), e->version, &metas, why);
    /* Tenants own their names; the version borrows them. */
    for (size_t i = 0; i < e->version->tenants.len; i++) {
        TenantVersion *tv = &e->version->tenants.at[i];
        Str name = tv->name;
        Tenant *t = tenant_new(e, name);
        tv->name = t->name;
        mem_free((void *)name.at);
        if (err == OK)
            err = load_segments(e, tv, t, why);
        if (err == OK)
            err = load_sides(e, tv, t, why);
    }
    for (size_t i = 0; i < metas.len && err == OK; i++) {
        Part *p;
        err = part_open(&p, e->bucket, &metas.at[i], why);
        if (err != OK)
            break;
        vec_push(&e->version->tenants.at[metas.at[i].tenant - 1].parts, p);
        tenant_saw(e, e->tenants.at[metas.at[i].tenant - 1], metas.at[i].mint, metas.at[i].maxt);
    }
    vec_done(&metas);
    e->next_seq = e->version->next_seq;
    return err;
}

/* Objects that no manifest names were left by a crash between writing and committing. */
typedef struct Orphans {
    StrMap known;
    VEC(Str) keys;
} Orphans;

static bool orphan_see(void *arg, Str key, const ObjMeta *m)
{
    Orphans *o = arg;
    if (!strmap_has(&o->known, key))
        vec_push(&o->keys, mem_dup(key));
    return true;
}

static Err orphans_delete(MetricsEngine *e, Why *why)
{
    Orphans o = {0};
    char key[64];
    for (size_t i = 0; i < e->version->tenants.len; i++) {
        TenantVersion *tv = &e->version->tenants.at[i];
        for (size_t k = 0; k < tv->parts.len; k++) {
            part_key(key, tv->id, tv->parts.at[k]->meta.seq);
            strmap_put(&o.known, str_c(key), e);
        }
        for (size_t k = 0; k < tv->segments.len; k++) {
            segment_key(key, tv->id, tv->segments.at[k].seq);
            strmap_put(&o.known, str_c(key), e);
        }
        for (size_t k = 0; k < tv->sides.len; k++) {
            side_key(key, tv->id, tv->sides.at[k].seq);
            strmap_put(&o.known, str_c(key), e);
        }
    }
    Err err = bucket_list(e->bucket, S("t"), S(""), orphan_see, &o, deadline_none(), why);
    for (size_t i = 0; i < o.keys.len; i++) {
        if (err == OK)
            err = bucket_delete(e->bucket, o.keys.at[i], deadline_none(), why);
        mem_free((void *)o.keys.at[i].at);
    }
    vec_done(&o.keys);
    strmap_done(&o.known);
    return err;
}

/* ---- replay ---- */

typedef struct Replay {
    MetricsEngine *e;
    u64 records;
    LogPos last;
} Replay;

static Err replay_one(void *arg, LogPos at, const LogRecord *r, Why *why)
{
    Replay *x = arg;
    x->records++;
    x->last = at;
    return record_replay(x->e, r, why);
}

/* Lanes are shards of whoever wrote the log. */
static Err replay_lane(Replay *x, u32 lane, Why *why)
{
    MetricsEngine *e = x->e;
    LogPos covered = lane < e->version->lanes.len ? e->version->lanes.at[lane] : (LogPos){0}, next;
    TRY(ilog_tail(e->log, lane, &next));
    if (next.epoch != covered.epoch)
        covered = (LogPos){next.epoch, 0};
    LogPos from = {0};
    if (covered.seq) {
        from = (LogPos){covered.epoch, covered.seq + 1};
        TRY(ilog_trim(e->log, lane, from, why));
    }
    x->last = (LogPos){0};
    TRY(ilog_read(e->log, lane, from, replay_one, x, why));
    if (lane < e->shards_len)
        e->shards[lane].done_pos[0] = x->last;
    else
        e->foreign_pos[lane] = x->last;
    return OK;
}

static Err replay(MetricsEngine *e, Why *why)
{
    i64 start = clock_mono_ns(clock_real());
    Replay x = {.e = e};
    Err err = OK;
    for (u32 lane = 0; lane < SHARDS_MAX && err == OK; lane++)
        err = replay_lane(&x, lane, why);
    replay_groups_free(e->replaying);
    e->replaying = NULL;
    if (err != OK)
        return err;
    for (size_t i = 0; i < e->tenants.len; i++)
        catalogue_pack(&e->tenants.at[i]->cat, false);
    f64 seconds = (f64)(clock_mono_ns(clock_real()) - start) / 1e9;
    metric_set(e->m.replay_seconds, seconds);
    if (x.records)
        LOG_INFO("metrics", "Log replayed", LF_INT("records", x.records), LF_F64("seconds", seconds));
    return OK;
}

/* ---- background ---- */

void engine_wake(MetricsEngine *e, bool flush, bool merge)
{
    mutex_lock(&e->wake_lock);
    e->want_flush |= flush;
    e->want_merge |= merge;
    cond_broadcast(&e->wake);
    mutex_unlock(&e->wake_lock);
}

static bool flush_is_due(MetricsEngine *e, i64 now, bool is_asked)
{
    bool retry_later = e->last_flush_failure_mono_ms && now - e->last_flush_failure_mono_ms < FLUSH_RETRY_MS;
    if (retry_later || e->failed != OK)
        return false;
    i64 age = now - e->last_flush_mono_ms, interval = e->c.flush_interval_ms;
    bool is_time = age >= interval && (e->mem_bytes >= FLUSH_BYTES_MIN || age / FLUSH_HOLD >= interval);
    return is_asked || is_time || e->mem_bytes > e->c.memtable_bytes_max / 2 ||
           ilog_health(e->log).bytes > e->c.wal_bytes_max;
}

static void rotate_activity(MetricsEngine *e, i64 now)
{
    if (now - e->last_rotate_mono_ms < ROTATE_MS)
        return;
    e->last_rotate_mono_ms = now;
    mutex_lock(&e->lock);
    for (u32 s = 0; s < e->shards_len; s++) {
        mutex_lock(&e->shards[s].lock);
        for (size_t i = 0; i < e->tenants.len; i++)
            shard_rotate(&e->tenants.at[i]->shards[s]);
        mutex_unlock(&e->shards[s].lock);
    }
    mutex_unlock(&e->lock);
}

static void *flusher_run(void *arg)
{
    MetricsEngine *e = arg;
    mutex_lock(&e->wake_lock);
    while (!e->is_stopping) {
        bool is_asked = e->want_flush;
        e->want_flush = false;
        mutex_unlock(&e->wake_lock);
        i64 now = clock_mono_ms(e->c.clock);
        engine_clock_check(e);
        rotate_activity(e, now);
        Why why = {0};
        if (flush_is_due(e, now, is_asked) && engine_flush(e, &why) != OK)
            LOG_WARN("metrics", "Flush failed; the log keeps the data and it is tried again", LF_WHY(&why));
        mutex_lock(&e->wake_lock);
        if (!e->is_stopping && !e->want_flush)
            cond_wait_ms(&e->wake, &e->wake_lock, IDLE_WAIT_MS);
    }
    mutex_unlock(&e->wake_lock);
    return NULL;
}

static void *merger_run(void *arg)
{
    MetricsEngine *e = arg;
    mutex_lock(&e->wake_lock);
    while (!e->is_stopping) {
        while (!e->want_merge && !e->is_stopping)
            cond_wait(&e->wake, &e->wake_lock);
        e->want_merge = false;
        mutex_unlock(&e->wake_lock);
        Why why = {0};
        if (engine_retain(e, &why) != OK)
            LOG_WARN("metrics", "Retention could not be applied", LF_WHY(&why));
        bool did = true;
        while (did && !e->is_closing && e->failed == OK) {
            did = false;
            if (engine_merge_step(e, &did, &why) != OK) {
                metric_inc(e->m.compactions_failed);
                LOG_WARN("metrics", "Merging parts failed", LF_WHY(&why));
                break;
            }
        }
        if (e->may_forget && !e->is_closing && e->failed == OK) {
            e->may_forget = false;
            if (engine_forget(e, false, &why) != OK)
                LOG_WARN("metrics", "The catalogue could not be written anew", LF_WHY(&why));
        }
        mutex_lock(&e->wake_lock);
    }
    mutex_unlock(&e->wake_lock);
    return NULL;
}

static void threads_stop(MetricsEngine *e)
{
    e->is_closing = true;
    if (!e->has_threads)
        return;
    mutex_lock(&e->wake_lock);
    e->is_stopping = true;
    cond_broadcast(&e->wake);
    mutex_unlock(&e->wake_lock);
    pthread_join(e->flusher, NULL);
    pthread_join(e->merger, NULL);
    e->has_threads = false;
}

/* ---- life ---- */

static void config_default(MetricsConfig *c)
{
    if (!c->vfs)
        c->vfs = vfs_os();
    if (!c->clock)
        c->clock = clock_real();
    if (!c->retention_ms)
        c->retention_ms = 15 * DAY_MS;
    if (!c->memtable_bytes_max)
        c->memtable_bytes_max = 256u << 20;
    if (!c->wal_bytes_max)
        c->wal_bytes_max = 64u << 20;
    if (!c->flush_interval_ms)
        c->flush_interval_ms = 60000;
    if (!c->exemplars_max)
        c->exemplars_max = 100000;
    if (!c->shards) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        c->shards = n < 1 ? 1 : (u32)MIN(n, SHARDS_MAX);
    }
    c->shards = MIN(c->shards, SHARDS_MAX);
}

static void engine_init(MetricsEngine *e, const MetricsConfig *c)
{
    *e = (MetricsEngine){.sink = {engine_write, engine_hint_labels},
                         .source = {engine_select, engine_label_names, engine_label_values, engine_estimate},
                         .c = *c};
    config_default(&e->c);
    e->dir = mem_strdup(str_c(c->dir));
    e->account = c->account;
    e->retention_ms = e->c.retention_ms;
    e->retention_bytes = e->c.retention_bytes;
    e->mint = INT64_MAX;
    e->next_seq = 1;
    e->next_group = random_u64() >> 16;
    mutex_init(&e->flush_lock, RANK_FLUSH);
    mutex_init(&e->commit_lock, RANK_COMMIT);
    mutex_init(&e->lock, RANK_ENGINE);
    mutex_init(&e->wake_lock, RANK_QUEUE);
    cond_init(&e->wake);
    e->shards_len = e->c.shards;
    e->shards = mem_zalloc(e->shards_len * sizeof(Shard));
    for (u32 i = 0; i < e->shards_len; i++) {
        Shard *s = &e->shards[i];
        s->index = i;
        mutex_init(&s->lock, RANK_SHARD);
        mutex_init(&s->io_lock, RANK_QUEUE);
        cond_init(&s->io_cond);
    }
    i64 now = clock_mono_ms(e->c.clock);
    e->last_flush_mono_ms = e->last_rotate_mono_ms = now;
    e->clock_gap_ms = clock_wall_ms(e->c.clock) - now;
    engine_metrics_init(e);
}

static void engine_free(MetricsEngine *e)
{
    engine_hush(e);
    if (e->log)
        ilog_close(e->log);
    version_unref(e->version);
    for (size_t i = 0; i < e->tenants.len; i++)
        tenant_free(e->tenants.at[i], e->shards_len);
    vec_done(&e->tenants);
    strmap_done(&e->tenants_by_name);
    if (e->manifest)
        manifest_close(e->manifest);
    if (e->bucket)
        bucket_close(e->bucket);
    for (u32 i = 0; i < e->shards_len; i++) {
        mutex_done(&e->shards[i].lock);
        mutex_done(&e->shards[i].io_lock);
        cond_done(&e->shards[i].io_cond);
        vec_done(&e->shards[i].redefine);
    }
    mem_free(e->shards);
    mutex_done(&e->flush_lock);
    mutex_done(&e->commit_lock);
    mutex_done(&e->lock);
    mutex_done(&e->wake_lock);
    cond_done(&e->wake);
    mem_free(e->dir);
    mem_free(e);
}

static Err engine_load(MetricsEngine *e, Why *why)
{
    char path[4096];
    Vfs *v = e->c.vfs;
    TRY(vfs_mkdirs(v, e->dir, why));
    snprintf(path, sizeof path, "%s/bucket", e->dir);
    TRY(bucket_open_dir(&e->bucket, v, path, why));
    TRY(manifest_open(&e->manifest, e->bucket, S("metrics"), why));
    TRY(load_version(e, why));
    TRY(orphans_delete(e, why));
    snprintf(path, sizeof path, "%s/wal", e->dir);
    ILogConfig lc = {.vfs = v,
                     .clock = e->c.clock,
                     .dir = path,
                     .durability = e->c.durability,
                     .segment_bytes = MAX(e->c.wal_bytes_max / 8, 1u << 20),
                     .total_bytes_max = MAX(e->c.wal_bytes_max * 8, 256u << 20)};
    TRY(ilog_open(&e->log, &lc, why));
    TRY(replay(e, why));
    /* Another number of shards: what the old lanes hold is flushed before the first write, so that no lane ever names a series
     * that another one defines, and none is read again. A new directory gets its first manifest here. */
    return e->version->shards != e->shards_len ? engine_flush(e, why) : OK;
}

Err metrics_open(MetricsEngine **ret, const MetricsConfig *c, Why *why)
{
    MetricsEngine *e = mem_new(MetricsEngine);
    engine_init(e, c);
    Err err = engine_load(e, why);
    if (err == OK)
        err = thread_start(&e->flusher, "metrics-flush", flusher_run, e);
    if (err == OK) {
        err = thread_start(&e->merger, "metrics-merge", merger_run, e);
        e->has_threads = err == OK;
        if (err != OK) {
            mutex_lock(&e->wake_lock);
            e->is_stopping = true;
            mutex_unlock(&e->wake_lock);
            pthread_join(e->flusher, NULL);
        }
    }
    if (err != OK) {
        engine_free(e);
        return err;
    }
    engine_speak(e);
    *ret = e;
    return OK;
}

SampleSink *metrics_sink(MetricsEngine *e)
{
    return &e->sink;
}
PromSource *metrics_source(MetricsEngine *e)
{
    return &e->source;
}

void metrics_set_retention(MetricsEngine *e, i64 ms, u64 bytes)
{
    e->retention_ms = ms ? ms : 15 * DAY_MS;
    e->retention_bytes = bytes;
    engine_wake(e, false, true);
}

void metrics_set_retention_percent(MetricsEngine *e, f64 percent)
{
    e->retention_ppm = percent > 0 ? (u32)(MIN(percent, 100.0) * 1e4) : 0;
    engine_wake(e, false, true);
}

Err metrics_flush(MetricsEngine *e, Why *why)
{
    return engine_flush(e, why);
}

Err metrics_close(MetricsEngine *e, Why *why)
{
    threads_stop(e);
    Err err = engine_flush(e, why);
    engine_free(e);
    return err;
}

void metrics_abandon(MetricsEngine *e)
{
    threads_stop(e);
    engine_free(e);
}
