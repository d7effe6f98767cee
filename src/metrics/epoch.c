/* When something was last written or deleted, and how old it was: what caches of answers need to know. An epoch lasts five
 * seconds at least; each remembers the oldest time touched in it. */
#include "metrics/engine.h"

void epochs_init(Epochs *x)
{
    mutex_init(&x->lock, RANK_LEAF);
    x->touched = INT64_MAX;
    for (u32 i = 0; i < EPOCHS_KEPT; i++)
        x->oldest[i] = INT64_MAX;
}

void epochs_done(Epochs *x)
{
    mutex_done(&x->lock);
}

void epochs_touch(Epochs *x, i64 t)
{
    i64 was = atomic_load_explicit(&x->touched, memory_order_relaxed);
    while (was > t && !atomic_compare_exchange_weak(&x->touched, &was, t))
        ;
}

u64 metrics_epoch(MetricsEngine *e, Str tenant)
{
    Tenant *t = engine_tenant(e, tenant, false);
    if (!t)
        return 0;
    Epochs *x = &t->epochs;
    i64 now = clock_mono_ms(e->c.clock);
    mutex_lock(&x->lock);
    if (!x->now || now - x->begun_mono_ms >= EPOCH_MS) {
        x->oldest[x->now % EPOCHS_KEPT] = atomic_exchange(&x->touched, INT64_MAX);
        x->now++;
        x->begun_mono_ms = now;
    }
    u64 ret = x->now;
    mutex_unlock(&x->lock);
    return ret;
}

i64 metrics_touched_since(MetricsEngine *e, Str tenant, u64 epoch)
{
    Tenant *t = engine_tenant(e, tenant, false);
    if (!t || !epoch)
        return INT64_MIN;
    Epochs *x = &t->epochs;
    mutex_lock(&x->lock);
    i64 oldest = x->now - epoch >= EPOCHS_KEPT ? INT64_MIN : atomic_load(&x->touched);
    for (u64 k = epoch; k < x->now && oldest != INT64_MIN; k++)
        oldest = MIN(oldest, x->oldest[k % EPOCHS_KEPT]);
    mutex_unlock(&x->lock);
    return oldest;
}
