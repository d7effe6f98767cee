/* One target's life: ticks on the interval's grid, fetch on the loop, page on a pool thread, outcome on the loop; and at the end
 * its markers, unless someone with the same labels goes on. */
#include "collect/collector.h"
#include <stdio.h>

#define BODY_MAX_DEFAULT (1ULL << 30)

u64 target_hash(const ScrapeJob *job, Labels all, Arena *a)
{
    Str url = target_url(job, all, a);
    return hash_bytes(url.at, url.len, labels_hash(all));
}

static i64 label_ms(Labels all, Str name)
{
    i64 ms = 0;
    parse_duration_ms(labels_get(all, name), &ms, NULL);
    return MAX(ms, 1);
}

Target *target_new(ScrapePool *pool, Labels discovered, Labels all, u64 hash)
{
    Target *t = mem_new(Target);
    Buf text;
    arena_init(&t->arena, NULL, 16u << 20);
    t->c = pool->c;
    t->pool = pool;
    t->hash = hash;
    t->discovered = labels_dup(&t->arena, discovered);
    t->all = labels_dup(&t->arena, all);
    t->labels = target_public_labels(t->all, &t->arena);
    t->url = target_url(pool->job, t->all, &t->arena);
    t->interval_ms = label_ms(all, S("__scrape_interval__"));
    t->timeout_ms = label_ms(all, S("__scrape_timeout__"));
    buf_init(&text, 400);
    print_f64(&text, (f64)t->timeout_ms / 1000);
    t->timeout_text = arena_dup(&t->arena, buf_view(&text));
    buf_done(&text);
    return t;
}

void target_free(Target *t)
{
    check(!t->run);
    timer_stop(t->c->env.loop, &t->timer);
    cache_free(t->cache);
    metadata_clear(&t->metadata);
    arena_done(&t->arena);
    mem_free(t);
}

/* ---- outcome ---- */

static void run_free(ScrapeRun *r)
{
    Collector *c = r->target->c;
    r->target->run = NULL;
    buf_done(&r->body);
    prom_config_unref(r->cfg);
    mem_free(r);
    mutex_lock(&c->lock);
    c->runs--;
    cond_broadcast(&c->changed);
    mutex_unlock(&c->lock);
}

static void gone_remove(Target *t)
{
    Collector *c = t->c;
    for (size_t i = 0; i < c->gone.len; i++)
        if (c->gone.at[i] == t) {
            c->gone.at[i] = c->gone.at[--c->gone.len];
            break;
        }
    target_free(t);
}

static void give_cache(Target *from, Target *to)
{
    check(!from->run && !to->run);
    cache_free(to->cache);
    to->cache = from->cache;
    from->cache = NULL;
    to->waits_for_cache = false;
    mutex_lock(&to->c->lock);
    metadata_clear(&to->metadata);
    to->metadata = from->metadata;
    from->metadata = (TargetMeta){0};
    mutex_unlock(&to->c->lock);
}

static void run_settle(Target *t, ScrapeRun *r)
{
    Collector *c = t->c;
    mutex_lock(&c->lock);
    t->health = r->err == OK ? HEALTH_UP : HEALTH_DOWN;
    str_fit(t->last_error, sizeof t->last_error, r->error);
    t->last_duration_ns = r->duration_ns;
    t->cached_series = r->cached_series;
    mutex_unlock(&c->lock);
    if (t->pool)
        metric_set(t->pool->meta_entries, (f64)r->metadata_len);
}

static void on_run_done(void *arg)
{
    ScrapeRun *r = arg;
    Target *t = r->target;
    bool only_stale = r->only_stale;
    if (!only_stale)
        run_settle(t, r);
    run_free(r);
    if (t->heir) {
        give_cache(t, t->heir);
        gone_remove(t);
    } else if (!t->pool && only_stale) {
        gone_remove(t);
    }
}

static void run_on_pool(void *arg)
{
    ScrapeRun *r = arg;
    scrape_run(r);
    loop_post(r->target->c->env.loop, on_run_done, r);
}

static void run_submit(ScrapeRun *r)
{
    Collector *c = r->target->c;
    if (!c->env.pool) {
        scrape_run(r);
        on_run_done(r);
        return;
    }
    if (pool_submit(c->env.pool, run_on_pool, r) == OK)
        return;
    r->err = E_BUSY;
    snprintf(r->error, sizeof r->error, "not stored: all scrape workers are busy and their queue is full");
    r->duration_ns = clock_mono_ns(c->clock) - r->started_ns;
    on_run_done(r);
}

/* ---- fetch ---- */

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *text;
    } phrases[] = {{400, "Bad Request"},         {401, "Unauthorized"},
                   {403, "Forbidden"},           {404, "Not Found"},
                   {405, "Method Not Allowed"},  {406, "Not Acceptable"},
                   {408, "Request Timeout"},     {410, "Gone"},
                   {429, "Too Many Requests"},   {500, "Internal Server Error"},
                   {501, "Not Implemented"},     {502, "Bad Gateway"},
                   {503, "Service Unavailable"}, {504, "Gateway Timeout"},
                   {301, "Moved Permanently"},   {302, "Found"},
                   {307, "Temporary Redirect"},  {308, "Permanent Redirect"},
                   {204, "No Content"}};
    for (size_t i = 0; i < COUNT_OF(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].text;
    return "";
}

static void on_answer(void *arg, const HttpResult *a)
{
    ScrapeRun *r = arg;
    Target *t = r->target;
    t->call = NULL;
    r->wire_bytes = a->body_wire_bytes;
    if (a->err == E_TOO_LARGE) {
        r->err = E_TOO_LARGE;
        snprintf(r->error, sizeof r->error, "body size limit exceeded");
        metric_inc(scrape_metrics()->body_limit);
    } else if (a->err != OK) {
        r->err = a->err;
        str_fit(r->error, sizeof r->error, a->why.text);
    } else if (a->status != 200) {
        r->err = E_UNAVAILABLE;
        snprintf(r->error, sizeof r->error, "server returned HTTP status %d %s", a->status,
                 reason_phrase(a->status));
    } else {
        Str type = str_sub(http_result_header(a, S("Content-Type")), 0, sizeof r->body_type);
        memcpy(r->body_type, type.at, type.len);
        r->content_type = str_of(r->body_type, type.len);
        http_result_take(a, &r->body, &r->page);
    }
    if (t->c->is_stopping || (!t->pool && a->err == E_CANCELED)) {
        r->only_stale = false;
        /* Cancelled, not failed: no markers now. */
        Target *heir = t->heir;
        run_free(r);
        if (heir) {
            give_cache(t, heir);
            gone_remove(t);
        }
        return;
    }
    run_submit(r);
}

static ScrapeRun *run_new(Target *t)
{
    Collector *c = t->c;
    ScrapeRun *r = mem_new(ScrapeRun);
    if (!t->cache)
        t->cache = cache_new(t->labels, t->pool ? t->pool->job->series_fingerprint : 0);
    if (t->pool && t->cache->fingerprint != t->pool->job->series_fingerprint) {
        ScrapeCache *old = t->cache;
        t->cache = cache_new(t->labels, t->pool->job->series_fingerprint);
        cache_free(old->before);
        old->before = NULL;
        t->cache->before = old;
    }
    r->target = t;
    r->sink = c->env.sink;
    r->clock = c->clock;
    r->tenant = c->env.tenant;
    r->cache = t->cache;
    r->metadata = &t->metadata;
    r->metadata_lock = &c->lock;
    r->started_ns = clock_mono_ns(c->clock);
    r->interval_ms = t->interval_ms;
    r->timeout_ms = t->timeout_ms;
    t->run = r;
    mutex_lock(&c->lock);
    c->runs++;
    mutex_unlock(&c->lock);
    return r;
}

static void fetch(Target *t, ScrapeRun *r)
{
    Collector *c = t->c;
    const ScrapeJob *job = r->job;
    HttpHeader headers[4];
    u32 n = 0;
    Arena a;
    arena_init(&a, NULL, 1u << 20);
    headers[n++] = (HttpHeader){S("Accept"), scrape_accept_header(job, &a)};
    headers[n++] = (HttpHeader){S("User-Agent"), c->env.user_agent.len ? c->env.user_agent : S("Pharos")};
    headers[n++] = (HttpHeader){S("X-Prometheus-Scrape-Timeout-Seconds"), t->timeout_text};
    if (!job->compression)
        headers[n++] = (HttpHeader){S("Accept-Encoding"), S("identity")};
    HttpCall call = {.config = &job->http,
                     .egress = EGRESS_CONFIGURED,
                     .method = S("GET"),
                     .url = t->url,
                     .headers = headers,
                     .headers_len = n,
                     .timeout_ms = t->timeout_ms,
                     .no_accept_encoding = !job->compression,
                     .body_max = job->limits.body_bytes_max ? job->limits.body_bytes_max : BODY_MAX_DEFAULT,
                     .unix_socket = labels_get(t->all, S("__unix_socket__"))};
    t->call = c->env.fetch.send(c->env.fetch.arg, &call, on_answer, r);
    arena_done(&a);
}

static void scrape_start(Target *t, i64 stamp_ms)
{
    Collector *c = t->c;
    ScrapePool *p = t->pool;
    i64 now = clock_mono_ns(c->clock);
    ScrapeRun *r = run_new(t);
    r->cfg = prom_config_ref(p->cfg);
    r->job = p->job;
    r->stamp_ms = stamp_ms;
    mutex_lock(&c->lock);
    t->last_scrape_wall_ns = clock_wall_ns(c->clock);
    if (t->last_start_mono_ns)
        interval_observe(c, t->interval_ms, (f64)(now - t->last_start_mono_ns) / 1e9);
    mutex_unlock(&c->lock);
    t->last_start_mono_ns = now;
    if (p->is_over_limit) {
        r->err = E_LIMIT;
        snprintf(r->error, sizeof r->error, "target_limit exceeded (number of targets: %zu, limit: %llu)",
                 p->targets.len, (unsigned long long)p->job->limits.targets);
        run_submit(r);
        return;
    }
    fetch(t, r);
}

/* ---- ticks ---- */

/* Samples of one target lie exactly one interval apart, although timers fire a little late: within two milliseconds (at most 1 %
 * of the interval) the time is taken from the grid. */
static i64 stamp_of_tick(Target *t)
{
    Clock *clock = t->c->clock;
    i64 now = clock_wall_ns(clock), interval = t->interval_ms * NS_PER_MS,
        tolerance = MIN(interval / 100, 2 * NS_PER_MS);
    if (t->c->env.no_alignment)
        return now / NS_PER_MS;
    if (!t->aligned_wall_ns || now < t->aligned_wall_ns - interval)
        t->aligned_wall_ns = now; /* the first, or the wall clock was set back */
    if (now - t->aligned_wall_ns >= interval)
        t->aligned_wall_ns += (now - t->aligned_wall_ns) / interval * interval;
    if (now - t->aligned_wall_ns <= tolerance)
        now = t->aligned_wall_ns;
    return now / NS_PER_MS;
}

static void on_tick(void *arg)
{
    Target *t = arg;
    Collector *c = t->c;
    i64 now = clock_mono_ns(c->clock), interval = t->interval_ms * NS_PER_MS;
    do
        t->due_mono_ns += interval;
    while (t->due_mono_ns <= now);
    timer_start(c->env.loop, &t->timer, t->due_mono_ns);
    if (t->run || t->waits_for_cache || c->is_stopping)
        return; /* the last scrape is not back yet: this one is left out */
    scrape_start(t, stamp_of_tick(t));
}

void target_start(Target *t)
{
    Collector *c = t->c;
    i64 interval = t->interval_ms * NS_PER_MS, wall = clock_wall_ns(c->clock);
    /* The place inside the interval is pinned to absolute time: a restart changes nothing. */
    i64 offset = (i64)((t->hash ^ c->env.offset_seed) % (u64)interval);
    i64 wait = interval - (wall % interval + interval) % interval + offset;
    if (wait > interval)
        wait -= interval;
    t->due_mono_ns = clock_mono_ns(c->clock) + wait;
    timer_init(&t->timer, on_tick, t);
    timer_start(c->env.loop, &t->timer, t->due_mono_ns);
}

/* ---- the end ---- */

static void on_gone_long(void *arg)
{
    Target *t = arg;
    if (t->run) { /* still waiting for an answer: look again */
        timer_start_in_ms(t->c->env.loop, &t->timer, t->interval_ms);
        return;
    }
    if (!t->cache || t->c->is_stopping) {
        gone_remove(t);
        return;
    }
    ScrapeRun *r = run_new(t);
    r->only_stale = true;
    r->stamp_ms = t->stale_wall_ms;
    /* A job without rules and limits: markers need neither. */
    static const ScrapeJob plain;
    r->job = &plain;
    run_submit(r);
}

void target_retire(Target *t)
{
    Collector *c = t->c;
    i64 wait_ns = t->due_mono_ns - clock_mono_ns(c->clock);
    t->pool = NULL;
    vec_push(&c->gone, t);
    /* Markers carry the time of the scrape that will not be, and are written once it is clear that nobody goes on. */
    t->stale_wall_ms = (clock_wall_ns(c->clock) + wait_ns) / NS_PER_MS;
    timer_stop(c->env.loop, &t->timer);
    timer_init(&t->timer, on_gone_long, t);
    timer_start(c->env.loop, &t->timer,
                t->due_mono_ns + t->interval_ms * NS_PER_MS + t->interval_ms * NS_PER_MS / 10);
    if (t->call)
        c->env.fetch.cancel(c->env.fetch.arg, t->call);
}
