/* Deleting: everything written so far goes to parts, then one commit adds a tombstone that all of them are subject to. */
#include "metrics/engine.h"

static Err tomb_commit(MetricsEngine *e, Tenant *t, SidList ids, i64 mint, i64 maxt, Why *why)
{
    Tomb *tomb = mem_new(Tomb);
    *tomb = (Tomb){.refs = 1,
                   .tenant = t->id,
                   .mint = mint,
                   .maxt = maxt,
                   .sids = mem_alloc(ids.len * sizeof(u32)),
                   .len = ids.len};
    memcpy(tomb->sids, ids.at, ids.len * sizeof(u32));
    mutex_lock(&e->commit_lock);
    Version *v = version_clone(e->version);
    tomb->id = v->next_tomb++;
    vec_push(&v->tombs, tomb);
    version_collect_tombs(v);
    Err err = engine_commit(e, v, why);
    mutex_unlock(&e->commit_lock);
    return err;
}

Err metrics_delete(MetricsEngine *e, Str tenant, Matchers m, i64 mint, i64 maxt, Why *why)
{
    if (maxt < mint)
        return why_set(why, E_INVALID, "the end of the range to delete lies before its start");
    Tenant *t = engine_tenant(e, tenant, false);
    if (!t)
        return OK;
    Arena arena;
    arena_init(&arena, e->account, (size_t)1 << 32);
    SidList ids;
    mutex_lock(&e->flush_lock);
    Err err = engine_flush_locked(e, why);
    if (err == OK)
        err = lookup_series(t, m, &arena, NULL, &ids, why);
    if (err == OK && ids.len)
        err = tomb_commit(e, t, ids, mint, maxt, why);
    epochs_touch(&t->epochs, mint);
    mutex_unlock(&e->flush_lock);
    arena_done(&arena);
    return err;
}
