/* Discovery: providers, their refreshes, and the one callback for whoever uses the targets. */
#include "collect/discovery.h"
#include <stdio.h>

#define FIRST_REPORT_MS 5000 /* wait this long for slow providers before the first callback */
#define FILE_POLL_MS    5000 /* files are looked at this often at least */

struct Discovery {
    DiscoveryEnv env;
    VEC(Provider *) providers;
    VEC(TargetGroup *) groups; /* all, as last handed out */
    Timer first;
    bool has_called;
    void (*changed)(void *arg);
    void *arg;
    Metric *discovered, *received;
};

SdItem *sd_item_new(Str key)
{
    SdItem *item = mem_new(SdItem);
    arena_init(&item->arena, NULL, 4 * SD_BYTES_MAX);
    item->key = arena_dup(&item->arena, key);
    return item;
}

void sd_item_free(SdItem *item)
{
    arena_done(&item->arena);
    mem_free(item);
}

SdItem *sd_item_find(const SdItems *items, Str key)
{
    for (size_t i = 0; i < items->len; i++)
        if (str_eq(items->at[i]->key, key))
            return items->at[i];
    return NULL;
}

Loop *provider_loop(Provider *p)
{
    return p->d->env.loop;
}
const DiscoveryEnv *provider_env(Provider *p)
{
    return &p->d->env;
}

static void call_changed(Discovery *d)
{
    u64 targets = 0;
    for (size_t i = 0; i < d->providers.len; i++)
        for (size_t k = 0; k < d->providers.at[i]->items.len; k++)
            for (u32 g = 0; g < d->providers.at[i]->items.at[k]->groups_len; g++)
                targets += d->providers.at[i]->items.at[k]->groups[g].targets_len;
    metric_set(d->discovered, (f64)targets);
    metric_inc(d->received);
    d->has_called = true;
    timer_stop(d->env.loop, &d->first);
    d->changed(d->arg);
}

static void on_first(void *arg)
{
    call_changed(arg);
}

void provider_settled(Provider *p)
{
    Discovery *d = p->d;
    p->has_reported = true;
    if (d->has_called)
        return;
    for (size_t i = 0; i < d->providers.len; i++)
        if (!d->providers.at[i]->has_reported)
            return;
    timer_start(d->env.loop, &d->first, 0);
}

static bool items_have(const SdItems *items, const SdItem *item)
{
    for (size_t i = 0; i < items->len; i++)
        if (items->at[i] == item)
            return true;
    return false;
}

static void job_done(void *arg)
{
    SdJob *job = arg;
    Provider *p = job->provider;
    for (size_t i = 0; i < job->orphans.len; i++)
        if (!items_have(&job->after, job->orphans.at[i]))
            sd_item_free(job->orphans.at[i]);
    vec_done(&job->orphans);
    vec_done(&job->before);
    buf_done(&job->body);
    prom_config_unref(job->env.owner);
    if (!p) {
        for (size_t i = 0; i < job->after.len; i++)
            sd_item_free(job->after.at[i]);
        vec_done(&job->after);
        mem_free(job);
        return;
    }
    p->job = NULL;
    bool changed = p->items.len != job->after.len;
    for (size_t i = 0; i < p->items.len; i++) {
        if (items_have(&job->after, p->items.at[i]))
            continue;
        changed = true;
        sd_item_free(p->items.at[i]);
    }
    vec_done(&p->items);
    p->items.at = job->after.at;
    p->items.len = job->after.len;
    p->items.cap = job->after.cap;
    mem_free(job);
    provider_settled(p);
    if (changed && p->d->has_called)
        call_changed(p->d);
}

static void job_run(void *arg)
{
    SdJob *job = arg;
    job->work(job);
    loop_post(job->env.loop, job_done, job);
}

void provider_run(Provider *p, void (*work)(SdJob *job), Buf *body)
{
    if (p->job)
        return;
    SdJob *job = mem_new(SdJob);
    job->provider = p;
    job->env = p->d->env;
    if (job->env.owner)
        prom_config_ref(job->env.owner);
    job->work = work;
    job->config = p->config;
    for (size_t i = 0; i < p->items.len; i++)
        vec_push(&job->before, p->items.at[i]);
    if (body) {
        job->body = *body;
        *body = (Buf){0};
    }
    p->job = job;
    if (!p->d->env.pool)
        job_run(job);
    else if (pool_submit(p->d->env.pool, job_run, job) != OK) {
        /* The pool is full: the next poll tries again. */
        prom_config_unref(job->env.owner);
        vec_done(&job->before);
        buf_done(&job->body);
        mem_free(job);
        p->job = NULL;
    }
}

static void on_poll(void *arg)
{
    Provider *p = arg;
    timer_start_in_ms(p->d->env.loop, &p->timer, p->poll_ms);
    if (p->work)
        provider_run(p, p->work, NULL);
    else
        http_sd_start(p);
}

static Provider *provider_new(Discovery *d, void (*work)(SdJob *), const void *config, i64 poll_ms)
{
    Provider *p = mem_new(Provider);
    p->d = d;
    p->work = work;
    p->config = config;
    p->poll_ms = MAX(poll_ms, 100);
    timer_init(&p->timer, on_poll, p);
    vec_push(&d->providers, p);
    return p;
}

static void add_statics(Discovery *d, const SdConfigs *c)
{
    Provider *p = provider_new(d, NULL, NULL, 0);
    SdItem *item = sd_item_new(S("static"));
    item->groups = c->statics_len ? arena_array(&item->arena, TargetGroup, c->statics_len) : NULL;
    if (item->groups) {
        memcpy(item->groups, c->statics, c->statics_len * sizeof *item->groups);
        item->groups_len = c->statics_len;
    }
    vec_push(&p->items, item);
    p->has_reported = true;
}

Discovery *discovery_new(const DiscoveryEnv *env, const SdConfigs *c, Str config_name,
                         void (*changed)(void *arg), void *arg)
{
    Discovery *d = mem_new(Discovery);
    Buf labels;
    d->env = *env;
    if (!d->env.dns)
        d->env.dns = dns_lookup;
    if (d->env.owner)
        prom_config_ref(d->env.owner);
    d->changed = changed;
    d->arg = arg;
    buf_init(&labels, 1024);
    buf_c(&labels, "config=");
    go_quote(&labels, config_name);
    buf_printf(&labels, ",name=\"%s\"", env->manager);
    d->discovered = metric_gauge("prometheus_sd_discovered_targets", "Current number of discovered targets.",
                                 buf_cstr(&labels));
    buf_clear(&labels);
    buf_printf(&labels, "name=\"%s\"", env->manager);
    d->received =
        metric_counter("prometheus_sd_received_updates_total",
                       "Total number of update events received from the SD providers.", buf_cstr(&labels));
    buf_done(&labels);
    timer_init(&d->first, on_first, d);
    add_statics(d, c);
    for (u32 i = 0; i < c->files_len; i++)
        provider_new(d, file_sd_work, &c->files[i], MIN(c->files[i].refresh_ms, FILE_POLL_MS));
    for (u32 i = 0; i < c->dns_len; i++)
        provider_new(d, dns_sd_work, &c->dns[i], c->dns[i].refresh_ms);
    for (u32 i = 0; i < c->https_len; i++)
        provider_new(d, NULL, &c->https[i], c->https[i].refresh_ms);
    /* With one provider, the static one, there is nothing to wait for. */
    timer_start_in_ms(env->loop, &d->first, d->providers.len > 1 ? FIRST_REPORT_MS : 0);
    for (size_t i = 1; i < d->providers.len; i++)
        timer_start(env->loop, &d->providers.at[i]->timer, 0);
    return d;
}

void discovery_free(Discovery *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->providers.len; i++) {
        Provider *p = d->providers.at[i];
        timer_stop(d->env.loop, &p->timer);
        http_sd_stop(p);
        if (p->job) {
            /* The worker still reads the items: they go with the job. */
            p->job->provider = NULL;
            for (size_t k = 0; k < p->items.len; k++)
                vec_push(&p->job->orphans, p->items.at[k]);
        } else {
            for (size_t k = 0; k < p->items.len; k++)
                sd_item_free(p->items.at[k]);
        }
    }
    timer_stop(d->env.loop, &d->first);
    for (size_t i = 0; i < d->providers.len; i++) {
        Provider *p = d->providers.at[i];
        vec_done(&p->items);
        mem_free(p);
    }
    vec_done(&d->providers);
    vec_done(&d->groups);
    prom_config_unref(d->env.owner);
    mem_free(d);
}

u32 discovery_groups(Discovery *d, const TargetGroup *const **ret)
{
    d->groups.len = 0;
    for (size_t i = 0; i < d->providers.len; i++)
        for (size_t k = 0; k < d->providers.at[i]->items.len; k++)
            for (u32 g = 0; g < d->providers.at[i]->items.at[k]->groups_len; g++)
                vec_push(&d->groups, &d->providers.at[i]->items.at[k]->groups[g]);
    *ret = (const TargetGroup *const *)d->groups.at;
    return (u32)d->groups.len;
}
