/* Series nobody can see any more: no part has samples of them, no memtable, nobody writes them. They are taken out of the catalogue, and a
 * flush writes it anew without them. Until that is committed a crash brings them back, empty; a series with the same labels that came
 * meanwhile has a higher id and outlives them (catalogue_add_at).
 *
 * Runs with flush_lock, so that samples do not move from memtables to parts meanwhile. Merges may replace parts, which never makes
 * a series appear. */
#include "metrics/engine.h"

#define WORTH_IT 16u /* unless asked for: at least one of so many series */

/* Bits of the series that parts have. False: a part cannot say. */
static bool parts_have(TenantVersion *tv, u64 *bits, u32 series)
{
    for (size_t i = 0; i < tv->parts.len; i++) {
        Part *p = tv->parts.at[i];
        if (p->is_broken)
            return false;
        for (u32 sid = MAX(p->sid_min, 1u); sid <= MIN(p->sid_max, series); sid++)
            if (part_has(p, sid))
                bits[sid / 64] |= (u64)1 << (sid % 64);
        if (p->bad_pages)
            return false;
    }
    return true;
}

/* Turns bits of what parts have into those of what nobody has; with the shard's lock held. */
static u32 shard_unseen(Tenant *t, u32 shard, const u64 *has, u64 *dead, u32 series)
{
    const TenantShard *ts = &t->shards[shard];
    const CatShard *cs = &t->cat.shards[shard];
    u32 n = 0;
    for (u32 local = 0; local < cs->locals_len; local++) {
        u32 sid = *(u32 *)seg_at(&cs->locals, local);
        if (sid > series || has[sid / 64] >> (sid % 64) & 1 ||
            record_is_forgotten(catalogue_record(&t->cat, sid)) || (ts->cur && mem_has(ts->cur, local)) ||
            (ts->frozen && mem_has(ts->frozen, local)))
            continue;
        dead[sid / 64] |= (u64)1 << (sid % 64);
        n++;
    }
    return n;
}

static u32 tenant_unseen(MetricsEngine *e, Tenant *t, const u64 *has, u64 *dead, u32 series, bool does_it)
{
    u32 n = 0;
    for (u32 s = 0; s < e->shards_len; s++) {
        mutex_lock(&e->shards[s].lock);
        u32 found = shard_unseen(t, s, has, dead, series);
        if (found && does_it)
            catalogue_forget(&t->cat, s, dead, series / 64 + 1);
        n += found;
        mutex_unlock(&e->shards[s].lock);
    }
    return n;
}

static void tenant_forget(MetricsEngine *e, Tenant *t, TenantVersion *tv, bool always)
{
    u32 series = catalogue_series_len(&t->cat), words = series / 64 + 1;
    u64 *has = mem_zalloc(words * sizeof(u64)), *dead = mem_zalloc(words * sizeof(u64));
    u32 n = parts_have(tv, has, series) ? tenant_unseen(e, t, has, dead, series, false) : 0;
    if (n && (always || n >= t->cat.series_known / WORTH_IT)) {
        memset(dead, 0, words * sizeof(u64)); /* some may be written to by now: they are looked for again */
        n = tenant_unseen(e, t, has, dead, series, true);
        catalogue_forget_pairs(&t->cat);
        t->has_forgotten = true;
        metric_add(e->m.series_forgotten, n);
        LOG_INFO("metrics", "Series without samples were forgotten", LF_INT("series", n),
                 LF_INT("left", t->cat.series_known));
    }
    mem_free(has);
    mem_free(dead);
}

Err engine_forget(MetricsEngine *e, bool always, Why *why)
{
    Err err = OK;
    bool has_forgotten = false;
    mutex_lock(&e->flush_lock);
    if (e->failed == OK && !e->is_frozen) {
        mutex_lock(&e->lock);
        Version *v = version_ref(e->version);
        mutex_unlock(&e->lock);
        for (size_t i = 0; i < v->tenants.len; i++) {
            Tenant *t = engine_tenant(e, v->tenants.at[i].name, false);
            tenant_forget(e, t, &v->tenants.at[i], always);
            has_forgotten |= t->has_forgotten;
        }
        version_unref(v);
        if (has_forgotten)
            err = engine_flush_locked(e, why);
    }
    mutex_unlock(&e->flush_lock);
    return err;
}
