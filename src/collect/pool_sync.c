/* From discovered groups to running targets: build, relabel, drop doubles, keep what stays, hand caches over. */
#include "collect/collector.h"

static void dropped_clear(ScrapePool *p)
{
    for (size_t i = 0; i < p->dropped.len; i++) {
        arena_done(&p->dropped.at[i]->arena);
        mem_free(p->dropped.at[i]);
    }
    p->dropped.len = 0;
    p->dropped_len = 0;
}

static void dropped_add(ScrapePool *p, Labels discovered)
{
    u64 keep = p->job->limits.keep_dropped_targets;
    p->dropped_len++;
    if (keep && p->dropped.len >= keep)
        return;
    DroppedTarget *d = mem_new(DroppedTarget);
    arena_init(&d->arena, NULL, 1u << 20);
    d->discovered = labels_dup(&d->arena, discovered);
    vec_push(&p->dropped, d);
}

static Target *target_find(ScrapePool *p, u64 hash, Labels all)
{
    for (size_t i = 0; i < p->targets.len; i++)
        if (p->targets.at[i]->hash == hash && labels_eq(p->targets.at[i]->all, all))
            return p->targets.at[i];
    return NULL;
}

typedef struct Wanted {
    Arena *arena;
    U64Map seen;    /* hash -> 1 */
    U64Map by_hash; /* of the running targets: hash -> index */
    VEC(Target *) targets;
} Wanted;

static void want(ScrapePool *p, Wanted *w, Labels target, Labels group)
{
    Labels all, discovered = target_discovered_labels(p->job, target, group, w->arena);
    Why why;
    if (target_labels(p->job, discovered, w->arena, &all, &why) != OK) {
        metric_inc(scrape_metrics()->sync_failed);
        LOG_WARN("scrape", "Creating a target failed", LF_C("scrape_pool", p->name),
                 LF_STR("address", labels_get(target, S("__address__"))), LF_WHY(&why));
        return;
    }
    if (all.len == 0) {
        if (discovered.len)
            dropped_add(p, discovered);
        return;
    }
    u64 hash = target_hash(p->job, all, w->arena);
    if (u64map_find(&w->seen, hash))
        return; /* a double */
    u64map_put(&w->seen, hash, 1);
    const u64 *at = u64map_find(&w->by_hash, hash);
    Target *t =
        at && labels_eq(p->targets.at[*at]->all, all) ? p->targets.at[*at] : target_find(p, hash, all);
    if (t) {
        t->is_kept = true;
        if (!labels_eq(t->discovered, discovered))
            t->discovered = labels_dup(&t->arena, discovered);
    } else {
        t = target_new(p, discovered, all, hash);
    }
    vec_push(&w->targets, t);
}

/* A target with the same labels that is on its way out hands its series over: nothing ends. */
static void adopt(Collector *c, Target *t)
{
    for (size_t i = 0; i < c->gone.len; i++) {
        Target *old = c->gone.at[i];
        if (old->heir || !labels_eq(old->labels, t->labels))
            continue;
        if (old->run) {
            old->heir = t;
            t->waits_for_cache = true;
            return;
        }
        t->cache = old->cache;
        old->cache = NULL;
        mutex_lock(&c->lock);
        t->metadata = old->metadata;
        old->metadata = (TargetMeta){0};
        mutex_unlock(&c->lock);
        c->gone.at[i] = c->gone.at[--c->gone.len];
        target_free(old);
        return;
    }
}

static void swap_in(ScrapePool *p, Wanted *w)
{
    VEC(Target *) fresh = {0};
    VEC(Target *) leaving = {0};
    for (size_t i = 0; i < w->targets.len; i++)
        if (!w->targets.at[i]->is_kept)
            vec_push(&fresh, w->targets.at[i]);
    for (size_t i = 0; i < p->targets.len; i++)
        if (!p->targets.at[i]->is_kept)
            vec_push(&leaving, p->targets.at[i]);
    p->targets.len = 0;
    for (size_t i = 0; i < w->targets.len; i++) {
        w->targets.at[i]->is_kept = false;
        vec_push(&p->targets, w->targets.at[i]);
    }
    mutex_unlock(&p->c->lock);
    for (size_t i = 0; i < leaving.len; i++)
        target_retire(leaving.at[i]);
    for (size_t i = 0; i < fresh.len; i++) {
        adopt(p->c, fresh.at[i]);
        target_start(fresh.at[i]);
    }
    mutex_lock(&p->c->lock);
    vec_done(&fresh);
    vec_done(&leaving);
}

void scrape_pool_sync(ScrapePool *p)
{
    const TargetGroup *const *groups;
    u32 n = discovery_groups(p->discovery, &groups);
    Arena a;
    Wanted w = {.arena = &a};
    arena_init(&a, NULL, 0);
    mutex_lock(&p->c->lock);
    dropped_clear(p);
    for (size_t i = 0; i < p->targets.len; i++)
        u64map_put(&w.by_hash, p->targets.at[i]->hash, i);
    for (u32 i = 0; i < n; i++)
        for (u32 k = 0; k < groups[i]->targets_len; k++)
            want(p, &w, groups[i]->targets[k], groups[i]->labels);
    swap_in(p, &w);
    bool over = p->job->limits.targets && p->targets.len > p->job->limits.targets;
    if (over && !p->is_over_limit)
        metric_inc(scrape_metrics()->target_limit);
    p->is_over_limit = over;
    metric_set(p->targets_metric, (f64)p->targets.len);
    metric_set(p->target_limit, (f64)p->job->limits.targets);
    metric_inc(p->syncs);
    metric_inc(scrape_metrics()->sd_updates);
    mutex_unlock(&p->c->lock);
    vec_done(&w.targets);
    u64map_done(&w.seen);
    u64map_done(&w.by_hash);
    arena_done(&a);
}

/* Called without the lock, after the pool left the collector's list. */
void scrape_pool_free(ScrapePool *p)
{
    discovery_free(p->discovery);
    for (size_t i = 0; i < p->targets.len; i++)
        target_retire(p->targets.at[i]);
    vec_done(&p->targets);
    dropped_clear(p);
    vec_done(&p->dropped);
    metric_set(p->targets_metric, 0);
    prom_config_unref(p->cfg);
    mem_free(p->name);
    mem_free(p);
}
