/* The collector: pools by job, reload, shutdown. */
#include "collect/collector.h"
#include <stdio.h>

/* Own metrics are rendered for the process; the hook finds the collector that lives. */
static pthread_mutex_t rendered_lock = PTHREAD_MUTEX_INITIALIZER;
static Collector *rendered;
static pthread_once_t render_once = PTHREAD_ONCE_INIT;

static void on_render(void *arg)
{
    pthread_mutex_lock(&rendered_lock);
    if (rendered)
        intervals_render(rendered);
    pthread_mutex_unlock(&rendered_lock);
}
static void hook(void)
{
    metric_on_render(on_render, NULL);
}
static void rendered_set(Collector *c, Collector *unless)
{
    pthread_once(&render_once, hook);
    pthread_mutex_lock(&rendered_lock);
    if (!unless || rendered == unless)
        rendered = c;
    pthread_mutex_unlock(&rendered_lock);
}

Collector *collector_new(const CollectorEnv *env)
{
    Collector *c = mem_new(Collector);
    c->env = *env;
    c->clock = loop_clock(env->loop);
    if (!c->env.vfs)
        c->env.vfs = vfs_os();
    mutex_init(&c->lock, RANK_COLLECT);
    cond_init(&c->changed);
    scrape_metrics();
    rendered_set(c, NULL);
    return c;
}

/* ---- on the loop, and wait ---- */

typedef struct Errand {
    Collector *c;
    void (*fn)(Collector *c, void *arg);
    void *arg;
    bool is_done;
} Errand;

static void errand_run(void *arg)
{
    Errand *e = arg;
    e->fn(e->c, e->arg);
    mutex_lock(&e->c->lock);
    e->is_done = true;
    cond_broadcast(&e->c->changed);
    mutex_unlock(&e->c->lock);
}

static void on_loop(Collector *c, void (*fn)(Collector *c, void *arg), void *arg)
{
    if (loop_is_here(c->env.loop)) {
        fn(c, arg);
        return;
    }
    Errand e = {.c = c, .fn = fn, .arg = arg};
    loop_post(c->env.loop, errand_run, &e);
    mutex_lock(&c->lock);
    while (!e.is_done)
        cond_wait(&c->changed, &c->lock);
    mutex_unlock(&c->lock);
}

/* ---- pools ---- */

static void on_groups(void *arg)
{
    scrape_pool_sync(arg);
}

static void discover(ScrapePool *p)
{
    Collector *c = p->c;
    DiscoveryEnv env = {.loop = c->env.loop,
                        .pool = c->env.pool,
                        .fetch = c->env.fetch,
                        .owner = p->cfg,
                        .vfs = c->env.vfs,
                        .dns = c->env.dns,
                        .dns_arg = c->env.dns_arg,
                        .manager = "scrape"};
    Discovery *old = p->discovery;
    p->discovery = discovery_new(&env, &p->job->sd, p->job->name, on_groups, p);
    discovery_free(old);
}

static ScrapePool *pool_create(Collector *c, PromConfig *cfg, const ScrapeJob *job)
{
    ScrapePool *p = mem_new(ScrapePool);
    Buf labels;
    p->c = c;
    p->cfg = prom_config_ref(cfg);
    p->job = job;
    p->name = mem_strdup(job->name);
    buf_init(&labels, 4096);
    buf_c(&labels, "scrape_job=");
    go_quote(&labels, job->name);
    const char *l = buf_cstr(&labels);
    p->syncs = metric_counter("prometheus_target_scrape_pool_sync_total",
                              "Total number of syncs that were executed on a scrape pool.", l);
    p->targets_metric = metric_gauge("prometheus_target_scrape_pool_targets",
                                     "Current number of targets in this scrape pool.", l);
    p->target_limit = metric_gauge("prometheus_target_scrape_pool_target_limit",
                                   "Maximum number of targets allowed in this scrape pool.", l);
    p->meta_entries = metric_gauge("prometheus_target_metadata_cache_entries",
                                   "Total number of metric metadata entries in the cache", l);
    buf_done(&labels);
    metric_inc(scrape_metrics()->pools);
    return p;
}

static ScrapePool *pool_find(Collector *c, Str name)
{
    for (size_t i = 0; i < c->pools.len; i++)
        if (str_eq(str_c(c->pools.at[i]->name), name))
            return c->pools.at[i];
    return NULL;
}

static int pool_order(const void *a, const void *b)
{
    return strcmp((*(ScrapePool *const *)a)->name, (*(ScrapePool *const *)b)->name);
}

static void apply(Collector *c, void *arg)
{
    PromConfig *cfg = arg;
    VEC(ScrapePool *) changed = {0};
    VEC(ScrapePool *) removed = {0};
    mutex_lock(&c->lock);
    for (u32 i = 0; i < cfg->jobs_len; i++) {
        const ScrapeJob *job = &cfg->jobs[i];
        ScrapePool *p = pool_find(c, job->name);
        if (!p) {
            p = pool_create(c, cfg, job);
            vec_push(&c->pools, p);
            vec_push(&changed, p);
        } else if (p->job->fingerprint != job->fingerprint) {
            PromConfig *old = p->cfg;
            p->cfg = prom_config_ref(cfg);
            p->job = job;
            prom_config_unref(old);
            metric_inc(scrape_metrics()->pool_reloads);
            vec_push(&changed, p);
        }
        p->is_kept = true;
    }
    size_t kept = 0;
    for (size_t i = 0; i < c->pools.len; i++) {
        ScrapePool *p = c->pools.at[i];
        if (p->is_kept)
            c->pools.at[kept++] = p;
        else
            vec_push(&removed, p);
        p->is_kept = false;
    }
    c->pools.len = kept;
    if (kept)
        qsort(c->pools.at, kept, sizeof(ScrapePool *), pool_order);
    mutex_unlock(&c->lock);
    for (size_t i = 0; i < removed.len; i++)
        scrape_pool_free(removed.at[i]);
    for (size_t i = 0; i < changed.len; i++)
        discover(changed.at[i]);
    vec_done(&changed);
    vec_done(&removed);
}

void collector_apply(Collector *c, PromConfig *cfg)
{
    on_loop(c, apply, cfg);
}

/* ---- shutdown ---- */

static void stop(Collector *c, void *arg)
{
    mutex_lock(&c->lock);
    c->is_stopping = true;
    mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->pools.len; i++) {
        ScrapePool *p = c->pools.at[i];
        discovery_free(p->discovery);
        p->discovery = NULL;
        for (size_t k = 0; k < p->targets.len; k++) {
            Target *t = p->targets.at[k];
            timer_stop(c->env.loop, &t->timer);
            if (t->call)
                c->env.fetch.cancel(c->env.fetch.arg, t->call);
        }
    }
    for (size_t i = 0; i < c->gone.len; i++) {
        timer_stop(c->env.loop, &c->gone.at[i]->timer);
        if (c->gone.at[i]->call)
            c->env.fetch.cancel(c->env.fetch.arg, c->gone.at[i]->call);
    }
}

static void free_all(Collector *c, void *arg)
{
    while (c->gone.len)
        target_free(c->gone.at[--c->gone.len]);
    for (size_t i = 0; i < c->pools.len; i++) {
        ScrapePool *p = c->pools.at[i];
        for (size_t k = 0; k < p->targets.len; k++)
            target_free(p->targets.at[k]);
        p->targets.len = 0;
        scrape_pool_free(p);
    }
    c->pools.len = 0;
}

void collector_free(Collector *c)
{
    if (!c)
        return;
    rendered_set(NULL, c);
    on_loop(c, stop, NULL);
    if (loop_is_here(c->env.loop)) {
        while (c->runs)
            loop_run_once(c->env.loop, 20);
    } else {
        mutex_lock(&c->lock);
        while (c->runs)
            cond_wait(&c->changed, &c->lock);
        mutex_unlock(&c->lock);
    }
    on_loop(c, free_all, NULL);
    vec_done(&c->gone);
    vec_done(&c->pools);
    for (size_t i = 0; i < c->intervals.len; i++)
        mem_free(c->intervals.at[i]);
    vec_done(&c->intervals);
    cond_done(&c->changed);
    mutex_done(&c->lock);
    mem_free(c);
}
