/* Memtables to parts. What a flush makes durable, in one commit: parts, catalogue segments, side objects, log positions. */
#include "metrics/engine.h"

#define SIDES_MAX 32u /* then one holds everything again */

typedef struct Place {
    u32 sid, shard, local;
} Place;

/* Series of one tenant's frozen memtables in order of id. */
typedef struct MemSource {
    PartSource src;
    Tenant *t;
    VEC(Place) places;
    size_t next;
} MemSource;

static int place_cmp(const void *a, const void *b)
{
    u32 x = ((const Place *)a)->sid, y = ((const Place *)b)->sid;
    return x < y ? -1 : x > y;
}

static Err mem_source_next(PartSource *s, u32 *ret_sid, SampleVec *out, Why *why)
{
    MemSource *m = (MemSource *)s;
    *ret_sid = 0;
    if (m->next == m->places.len)
        return OK;
    Place p = m->places.at[m->next++];
    mem_read(m->t->shards[p.shard].frozen, p.local, INT64_MIN, INT64_MAX, out);
    *ret_sid = p.sid;
    return OK;
}

static bool is_ascending(const MemSource *m)
{
    for (size_t i = 1; i < m->places.len; i++)
        if (m->places.at[i].sid < m->places.at[i - 1].sid)
            return false;
    return true;
}

static void mem_source_init(MemSource *m, MetricsEngine *e, Tenant *t)
{
    *m = (MemSource){.src = {mem_source_next}, .t = t};
    for (u32 s = 0; s < e->shards_len; s++) {
        const MemTable *table = t->shards[s].frozen;
        if (!table)
            continue;
        /* Others may be adding series: the list of locals is the shard's. Those frozen are all below this length. */
        mutex_lock(&e->shards[s].lock);
        u32 locals = t->cat.shards[s].locals_len;
        mutex_unlock(&e->shards[s].lock);
        for (u32 i = 0; i < locals; i++)
            if (mem_has(table, i))
                vec_push(&m->places, (Place){*(u32 *)seg_at(&t->cat.shards[s].locals, i), s, i});
    }
    if (m->places.len && !is_ascending(m))
        qsort(m->places.at, m->places.len, sizeof(Place), place_cmp);
}

/* ---- freezing ---- */

static void freeze(MetricsEngine *e)
{
    mutex_lock(&e->lock);
    u64 bytes = 0;
    u32 gen[SHARDS_MAX] = {0};
    for (u32 s = 0; s < e->shards_len; s++) {
        Shard *sh = &e->shards[s];
        mutex_lock(&sh->lock);
        for (size_t i = 0; i < e->tenants.len; i++) {
            TenantShard *ts = &e->tenants.at[i]->shards[s];
            if (ts->cur && ts->cur->samples) {
                ts->frozen = ts->cur;
                ts->cur = NULL;
                bytes += ts->frozen->bytes;
            }
        }
        mutex_lock(&sh->io_lock);
        gen[s] = sh->gen;
        sh->gen ^= 1;
        sh->done_pos[sh->gen] = (LogPos){0};
        mutex_unlock(&sh->io_lock);
        mutex_unlock(&sh->lock);
    }
    e->frozen_bytes = bytes;
    e->mem_bytes -= MIN(bytes, e->mem_bytes);
    mutex_unlock(&e->lock);
    e->is_frozen = true;
    for (u32 s = 0; s < e->shards_len; s++) {
        Shard *sh = &e->shards[s];
        mutex_lock(&sh->io_lock);
        while (sh->in_flight[gen[s]])
            cond_wait(&sh->io_cond, &sh->io_lock);
        e->frozen_pos[s] = sh->done_pos[gen[s]];
        mutex_unlock(&sh->io_lock);
    }
    for (u32 lane = e->shards_len; lane < SHARDS_MAX; lane++) {
        e->frozen_pos[lane] = e->foreign_pos[lane];
        e->foreign_pos[lane] = (LogPos){0};
    }
}

/* ---- writing ---- */

typedef struct TenantFlush {
    Tenant *t;
    Part *part; /* NULL: nothing */
    SegmentRef segment;
    u32 segments_replaced; /* newest of the version that the new one covers */
    bool has_segment;
    SideRef side;
    bool has_side, side_is_whole;
    u64 exemplars_saved, metadata_saved;
} TenantFlush;

static u64 seq_next(MetricsEngine *e)
{
    return e->next_seq++;
}

static Err flush_part(MetricsEngine *e, TenantFlush *f, u64 tomb_seen, Why *why)
{
    MemSource src;
    mem_source_init(&src, e, f->t);
    Err err = OK;
    if (src.places.len) {
        PartMeta meta = {.seq = seq_next(e), .tenant = f->t->id, .tomb_seen = tomb_seen};
        err = part_store(e->bucket, &src.src, &meta, why);
        if (err == OK) {
            e->bytes_written += meta.bytes;
            metric_add(e->m.written_bytes, (f64)meta.bytes);
            metric_add(e->m.flushed_bytes, (f64)meta.bytes);
            err = part_open(&f->part, e->bucket, &meta, why);
        }
    }
    vec_done(&src.places);
    return err == E_NOT_FOUND ? OK : err;
}

/* A new segment swallows those before it that are not larger, so that there are about log2(series) of them. */
static Err flush_segment(MetricsEngine *e, TenantFlush *f, const TenantVersion *tv, Why *why)
{
    CatPoint to = catalogue_point(&f->t->cat), from = {0};
    size_t n = tv ? tv->segments.len : 0;
    if (n)
        from = tv->segments.at[n - 1].to;
    if (f->t->has_forgotten) {
        from = (CatPoint){0};
        f->segments_replaced = (u32)n;
        n = 0;
    } else if (to.series == from.series && to.pairs == from.pairs && to.names == from.names) {
        return OK;
    }
    while (n &&
           tv->segments.at[n - 1].to.series - tv->segments.at[n - 1].from.series <= to.series - from.series) {
        from = tv->segments.at[--n].from;
        f->segments_replaced++;
    }
    Buf b;
    buf_init(&b, (size_t)1 << 36);
    catalogue_encode(&f->t->cat, from, to, &b);
    f->segment = (SegmentRef){.seq = seq_next(e), .bytes = b.len, .from = from, .to = to};
    char key[64];
    segment_key(key, f->t->id, f->segment.seq);
    Err err = bucket_put_bytes(e->bucket, str_c(key), buf_view(&b), deadline_none(), why);
    e->bytes_written += b.len;
    f->has_segment = err == OK;
    buf_done(&b);
    return err;
}

static Err flush_side(MetricsEngine *e, TenantFlush *f, const TenantVersion *tv, Why *why)
{
    Tenant *t = f->t;
    mutex_lock(&t->side_lock);
    f->exemplars_saved = t->exemplars.added;
    f->metadata_saved = t->metadata.added;
    bool is_new = f->exemplars_saved != t->exemplars.saved || f->metadata_saved != t->metadata.saved;
    mutex_unlock(&t->side_lock);
    if (!is_new)
        return OK;
    f->side_is_whole = !tv || tv->sides.len >= SIDES_MAX;
    Buf b;
    buf_init(&b, (size_t)1 << 32);
    side_encode(t, f->side_is_whole, &b, &f->side.exemplars);
    f->side.seq = seq_next(e);
    f->side.bytes = b.len;
    char key[64];
    side_key(key, t->id, f->side.seq);
    Err err = bucket_put_bytes(e->bucket, str_c(key), buf_view(&b), deadline_none(), why);
    e->bytes_written += b.len;
    f->has_side = err == OK;
    buf_done(&b);
    return err;
}

/* ---- committing ---- */

Err engine_commit(MetricsEngine *e, Version *v, Why *why)
{
    v->next_seq = e->next_seq;
    Buf b;
    buf_init(&b, (size_t)1 << 28);
    version_encode(v, &b);
    Err err = buf_over(&b) ? why_set(why, E_TOO_LARGE, "the manifest is larger than 256 MiB")
                           : manifest_commit(e->manifest, buf_view(&b), why);
    buf_done(&b);
    if (err != OK) {
        version_unref(v);
        if (err != E_NOSPACE && err != E_TOO_LARGE) {
            Why text = {0};
            why_set(&text, err, "%s", why ? why->text : "manifest commit failed");
            engine_fail(e, err, &text);
        }
        return err;
    }
    manifest_prune(e->manifest, 3, NULL);
    mutex_lock(&e->lock);
    Version *old = e->version;
    e->version = v;
    mutex_unlock(&e->lock);
    version_unref(old);
    return OK;
}

static void version_take(Version *v, const TenantFlush *f)
{
    TenantVersion *tv = &v->tenants.at[f->t->id - 1];
    if (f->part)
        vec_push(&tv->parts, part_ref(f->part));
    if (f->has_segment) {
        tv->segments.len -= f->segments_replaced;
        vec_push(&tv->segments, f->segment);
    }
    if (f->has_side) {
        if (f->side_is_whole)
            tv->sides.len = 0;
        vec_push(&tv->sides, f->side);
    }
}

/* Objects the new version no longer names. Failing to delete one is no harm: the next opening does. */
static void delete_replaced(MetricsEngine *e, const TenantVersion *old, const TenantFlush *f)
{
    char key[64];
    for (u32 i = 0; i < f->segments_replaced; i++) {
        segment_key(key, old->id, old->segments.at[old->segments.len - 1 - i].seq);
        bucket_delete(e->bucket, str_c(key), deadline_none(), NULL);
    }
    for (size_t i = 0; f->side_is_whole && i < old->sides.len; i++) {
        side_key(key, old->id, old->sides.at[i].seq);
        bucket_delete(e->bucket, str_c(key), deadline_none(), NULL);
    }
}

static void delete_written(MetricsEngine *e, const TenantFlush *f)
{
    char key[64];
    if (f->part) {
        part_key(key, f->t->id, f->part->meta.seq);
        bucket_delete(e->bucket, str_c(key), deadline_none(), NULL);
    }
    if (f->has_segment) {
        segment_key(key, f->t->id, f->segment.seq);
        bucket_delete(e->bucket, str_c(key), deadline_none(), NULL);
    }
    if (f->has_side) {
        side_key(key, f->t->id, f->side.seq);
        bucket_delete(e->bucket, str_c(key), deadline_none(), NULL);
    }
}

typedef VEC(TenantFlush) TenantFlushes;

static Err write_all(MetricsEngine *e, const Version *base, TenantFlushes *fs, Why *why)
{
    mutex_lock(&e->lock);
    size_t tenants = e->tenants.len;
    for (size_t i = 0; i < tenants; i++)
        vec_push(fs, (TenantFlush){.t = e->tenants.at[i]});
    mutex_unlock(&e->lock);
    for (size_t i = 0; i < tenants; i++) {
        const TenantVersion *tv = i < base->tenants.len ? &base->tenants.at[i] : NULL;
        TRY(flush_part(e, &fs->at[i], base->next_tomb - 1, why));
        TRY(flush_segment(e, &fs->at[i], tv, why));
        TRY(flush_side(e, &fs->at[i], tv, why));
    }
    return OK;
}

static bool is_anything_new(MetricsEngine *e, const Version *base, const TenantFlushes *fs)
{
    if (base->shards != e->shards_len)
        return true;
    for (u32 lane = 0; lane < SHARDS_MAX; lane++)
        if (e->frozen_pos[lane].seq)
            return true;
    for (size_t i = 0; i < fs->len; i++)
        if (fs->at[i].part || fs->at[i].has_segment || fs->at[i].has_side)
            return true;
    return false;
}

static Err commit_all(MetricsEngine *e, const TenantFlushes *fs, Why *why)
{
    mutex_lock(&e->commit_lock);
    Version *v = version_clone(e->version);
    v->shards = e->shards_len;
    for (size_t i = v->tenants.len; i < fs->len; i++)
        vec_push(&v->tenants, (TenantVersion){.id = (u32)i + 1, .name = fs->at[i].t->name});
    for (size_t i = 0; i < fs->len; i++)
        version_take(v, &fs->at[i]);
    for (u32 lane = 0; lane < SHARDS_MAX; lane++) {
        if (!e->frozen_pos[lane].seq)
            continue;
        while (v->lanes.len <= lane)
            vec_push(&v->lanes, (LogPos){0});
        v->lanes.at[lane] = e->frozen_pos[lane];
    }
    Err err = engine_commit(e, v, why);
    mutex_unlock(&e->commit_lock);
    return err;
}

static void trim(MetricsEngine *e)
{
    for (u32 lane = 0; lane < SHARDS_MAX; lane++) {
        LogPos pos = e->frozen_pos[lane];
        Why why = {0};
        if (pos.seq && ilog_trim(e->log, lane, (LogPos){pos.epoch, pos.seq + 1}, &why) != OK)
            LOG_WARN("metrics", "The log could not be trimmed", LF_WHY(&why));
    }
}

static void thaw(MetricsEngine *e)
{
    VEC(MemTable *) done = {0}; /* freed outside the locks: that takes a while */
    mutex_lock(&e->lock);
    for (u32 s = 0; s < e->shards_len; s++) {
        mutex_lock(&e->shards[s].lock);
        for (size_t i = 0; i < e->tenants.len; i++) {
            TenantShard *ts = &e->tenants.at[i]->shards[s];
            if (ts->frozen)
                vec_push(&done, ts->frozen);
            ts->frozen = NULL;
        }
        mutex_unlock(&e->shards[s].lock);
    }
    e->frozen_bytes = 0;
    mutex_unlock(&e->lock);
    e->is_frozen = false;
    for (size_t i = 0; i < done.len; i++)
        mem_unref(done.at[i]);
    vec_done(&done);
}

/* Nobody but flushes and deletes (flush_lock) and merges touch a tenant's parts; segments and sides are flushes' alone, so the
 * version read here stays right for them until the commit. */
static Err flush_frozen(MetricsEngine *e, Why *why)
{
    mutex_lock(&e->lock);
    Version *base = version_ref(e->version);
    mutex_unlock(&e->lock);
    TenantFlushes fs = {0};
    Err err = write_all(e, base, &fs, why);
    bool is_new = is_anything_new(e, base, &fs);
    if (err == OK && is_new)
        err = commit_all(e, &fs, why);
    for (size_t i = 0; i < fs.len; i++) {
        TenantFlush *f = &fs.at[i];
        if (err != OK) {
            if (e->failed == OK) /* after a failed commit it is not known what the manifest names */
                delete_written(e, f);
        } else {
            if (i < base->tenants.len)
                delete_replaced(e, &base->tenants.at[i], f);
            f->t->has_forgotten = false;
            mutex_lock(&f->t->side_lock);
            f->t->exemplars.saved = f->exemplars_saved;
            f->t->metadata.saved = f->metadata_saved;
            mutex_unlock(&f->t->side_lock);
            catalogue_pack(&f->t->cat, false);
        }
        part_unref(f->part);
    }
    if (err == OK) {
        if (is_new)
            trim(e);
        thaw(e);
    }
    vec_done(&fs);
    version_unref(base);
    return err;
}

Err engine_flush_locked(MetricsEngine *e, Why *why)
{
    if (e->failed != OK)
        return why_set(
            why, E_IO,
            "the metrics store takes no writes since a disk error; restart it to recover from the log");
    i64 start = clock_mono_ns(clock_real());
    Err err = OK;
    if (e->is_frozen) /* of a flush that failed: first that, then what came since */
        err = flush_frozen(e, why);
    if (err == OK) {
        freeze(e);
        err = flush_frozen(e, why);
    }
    i64 now = clock_mono_ms(e->c.clock);
    e->last_flush_failure_mono_ms = err == OK ? 0 : now;
    if (err == OK)
        e->last_flush_mono_ms = now;
    metric_inc(err == OK ? e->m.flushes : e->m.flush_failures);
    metric_observe(e->m.flush_seconds, (f64)(clock_mono_ns(clock_real()) - start) / 1e9);
    engine_wake(e, false, err == OK);
    return err;
}

Err engine_flush(MetricsEngine *e, Why *why)
{
    mutex_lock(&e->flush_lock);
    Err err = engine_flush_locked(e, why);
    mutex_unlock(&e->flush_lock);
    return err;
}
