/* Retention by time and by size. It counts from the newest stored sample, never past now, and pauses while the wall clock and
 * the boot clock disagree by more than a minute: a wrong date must not delete anything. */
#include "metrics/engine.h"

#define CLOCK_GAP_MAX_MS 60000
#define CLOCK_ACCEPT_MS  DAY_MS /* a gap that stayed the same this long is the new truth */

void engine_clock_check(MetricsEngine *e)
{
    i64 now = clock_mono_ms(e->c.clock), gap = clock_wall_ms(e->c.clock) - now;
    mutex_lock(&e->wake_lock);
    i64 off = gap - e->clock_gap_ms;
    if (off >= -CLOCK_GAP_MAX_MS && off <= CLOCK_GAP_MAX_MS) {
        if (e->clock_odd_since_mono_ms)
            LOG_INFO("metrics", "The clocks agree again: retention goes on", LF_INT("gap_ms", off));
        e->clock_odd_since_mono_ms = 0;
        e->clock_gap_ms = gap; /* slow drift is normal */
    } else if (!e->clock_odd_since_mono_ms || gap - e->clock_odd_gap_ms > CLOCK_GAP_MAX_MS ||
               gap - e->clock_odd_gap_ms < -CLOCK_GAP_MAX_MS) {
        e->clock_odd_since_mono_ms = MAX(now, 1);
        e->clock_odd_gap_ms = gap;
        LOG_ERROR("metrics",
                  "The wall clock jumped: retention is paused until it agrees with the boot clock again, or "
                  "for a day",
                  LF_INT("jump_ms", off));
    } else if (now - e->clock_odd_since_mono_ms >= CLOCK_ACCEPT_MS) {
        LOG_WARN("metrics", "The wall clock's jump a day ago is taken for true: retention goes on",
                 LF_INT("jump_ms", off));
        e->clock_odd_since_mono_ms = 0;
        e->clock_gap_ms = gap;
    }
    metric_set(e->m.retention_paused, e->clock_odd_since_mono_ms ? 1 : 0);
    mutex_unlock(&e->wake_lock);
}

static bool is_paused(MetricsEngine *e)
{
    engine_clock_check(e);
    mutex_lock(&e->wake_lock);
    bool paused = e->clock_odd_since_mono_ms != 0;
    mutex_unlock(&e->wake_lock);
    return paused;
}

i64 engine_cutoff(MetricsEngine *e, Tenant *t)
{
    i64 newest = t->maxt, cutoff;
    if (newest == INT64_MIN || is_paused(e))
        return INT64_MIN;
    newest = MIN(newest, clock_wall_ms(e->c.clock));
    return __builtin_sub_overflow(newest, (i64)e->retention_ms, &cutoff) ? INT64_MIN : cutoff;
}

static u64 version_bytes(const Version *v)
{
    u64 n = 0;
    for (size_t i = 0; i < v->tenants.len; i++)
        for (size_t k = 0; k < v->tenants.at[i].parts.len; k++)
            n += v->tenants.at[i].parts.at[k]->meta.bytes;
    return n;
}

typedef VEC(Part *) Parts;

/* Moves the part out of v; dead keeps the reference. */
static void drop(TenantVersion *tv, size_t at, Parts *dead)
{
    vec_push(dead, tv->parts.at[at]);
    memmove(tv->parts.at + at, tv->parts.at + at + 1, (tv->parts.len - at - 1) * sizeof(Part *));
    tv->parts.len--;
}

static void drop_expired(MetricsEngine *e, Version *v, const i64 *cutoffs, Parts *dead)
{
    for (size_t i = 0; i < v->tenants.len; i++) {
        TenantVersion *tv = &v->tenants.at[i];
        for (size_t k = 0; k < tv->parts.len;)
            if (tv->parts.at[k]->meta.maxt < cutoffs[i])
                drop(tv, k, dead);
            else
                k++;
    }
}

/* A percentage stands in for a number of bytes, as the peer has it. A file system that does not say its size deletes nothing. */
static u64 size_limit(MetricsEngine *e)
{
    u64 ppm = e->retention_ppm, free, total;
    if (!ppm)
        return e->retention_bytes;
    Why why = {0};
    if (e->c.vfs->free_bytes(e->c.vfs, e->dir, &free, &total, &why) == OK)
        return MAX((u64)((f64)total / 1e6 * (f64)ppm), 1);
    LOG_WARN("metrics", "The size of the file system is not known: retention by percentage waits",
             LF_WHY(&why));
    return 0;
}

/* The part that ends earliest goes first, whoever's it is. The log counts, as it does at the peer. */
static void drop_oversize(MetricsEngine *e, Version *v, Parts *dead)
{
    u64 limit = size_limit(e), bytes = limit ? version_bytes(v) + ilog_health(e->log).bytes : 0;
    while (limit && bytes > limit) {
        TenantVersion *tv = NULL;
        size_t at = 0;
        for (size_t i = 0; i < v->tenants.len; i++)
            for (size_t k = 0; k < v->tenants.at[i].parts.len; k++)
                if (!tv || v->tenants.at[i].parts.at[k]->meta.maxt < tv->parts.at[at]->meta.maxt) {
                    tv = &v->tenants.at[i];
                    at = k;
                }
        if (!tv)
            return;
        bytes -= tv->parts.at[at]->meta.bytes;
        drop(tv, at, dead);
    }
}

Err engine_retain(MetricsEngine *e, Why *why)
{
    if (e->failed != OK || is_paused(e))
        return OK;
    mutex_lock(&e->commit_lock);
    Version *v = version_clone(e->version);
    i64 *cutoffs = mem_alloc(MAX(v->tenants.len, 1) * sizeof(i64));
    for (size_t i = 0; i < v->tenants.len; i++)
        cutoffs[i] = engine_cutoff(e, engine_tenant(e, v->tenants.at[i].name, false));
    Parts dead = {0};
    drop_expired(e, v, cutoffs, &dead);
    size_t expired = dead.len;
    drop_oversize(e, v, &dead);
    Err err = OK;
    version_collect_tombs(v);
    if (dead.len)
        err = engine_commit(e, v, why);
    else
        version_unref(v);
    mutex_unlock(&e->commit_lock);
    if (dead.len)
        e->may_forget = true;
    for (size_t i = 0; i < dead.len; i++) {
        char key[64];
        part_key(key, dead.at[i]->meta.tenant, dead.at[i]->meta.seq);
        mutex_lock(&e->lock);
        epochs_touch(&e->tenants.at[dead.at[i]->meta.tenant - 1]->epochs, dead.at[i]->meta.mint);
        mutex_unlock(&e->lock);
        if (err == OK) {
            metric_inc(i < expired ? e->m.retention_deletions : e->m.size_retentions);
            bucket_delete(e->bucket, str_c(key), deadline_none(), NULL);
        }
        part_unref(dead.at[i]);
    }
    vec_done(&dead);
    mem_free(cutoffs);
    return err;
}
