/* The alerter's frame: notices in, the timer, reload, shutdown. */
#include "alert/alerter_internal.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- notices of our own rules ---- */
static void on_notices(AlertSink *s, const AlertNotice *alerts, u32 n)
{
    Alerter *a = (Alerter *)((char *)s - offsetof(Alerter, sink));
    Arena arena;
    arena_init(&arena, NULL, 256 << 20);
    i64 now_ns = clock_wall_ns(a->env.clock), now = now_ns / NS_PER_MS;
    mutex_lock(&a->lock);
    for (u32 i = 0; i < n && !a->is_closing && a->config; i++) {
        LabelsBuilder b;
        lb_init(&b, &arena, alerts[i].labels);
        for (u32 k = 0; k < a->globals.external_labels.len; k++) {
            Label l = a->globals.external_labels.at[k];
            if (!lb_get(&b, l.name).len)
                lb_set(&b, l.name, l.value);
        }
        if (!relabel_apply(a->globals.relabel, &b))
            continue;
        NewAlert x = {.labels = lb_build(&b),
                      .annotations = alerts[i].annotations,
                      .generator_url = alerts[i].generator_url,
                      .starts_ns = alerts[i].starts_ms * NS_PER_MS,
                      .ends_ns = alerts[i].ends_ms * NS_PER_MS,
                      .updated_ns = now_ns,
                      .is_timeout = !alerts[i].ends_ms};
        if (x.is_timeout)
            x.ends_ns = now_ns + a->config->resolve_timeout_ms * NS_PER_MS;
        if (x.labels.len)
            alerter_put(a, &x, now, &arena);
    }
    alert_state_commit(&a->state, false); /* the rules remember too and say it again: nobody waits */
    mutex_unlock(&a->lock);
    arena_done(&arena);
    alerter_tick_soon(a);
}

AlertSink *alerter_sink(Alerter *a)
{
    return &a->sink;
}

Err alerter_post(Alerter *a, const NewAlert *alerts, u32 n, Why *why)
{
    enum { AT_ONCE = 256 };
    Arena arena;
    i64 began = clock_mono_ns(a->env.clock);
    arena_init(&arena, NULL, 256 << 20);
    mutex_lock(&a->lock);
    u64 after = alert_state_ticket(&a->state);
    Err e = a->is_closing || !a->config ? why_set(why, E_UNAVAILABLE, "shutting down") : OK;
    for (u32 i = 0; i < n && e == OK; i++) {
        alerter_put(a, &alerts[i], clock_wall_ms(a->env.clock), &arena);
        if (i % AT_ONCE == AT_ONCE - 1 && i + 1 < n) { /* others want the lock too */
            alert_state_commit(&a->state, false);
            mutex_unlock(&a->lock);
            arena_reset(&arena);
            mutex_lock(&a->lock);
            e = a->is_closing ? why_set(why, E_UNAVAILABLE, "shutting down") : OK;
        }
    }
    u64 ticket = alert_state_commit(&a->state, true);
    mutex_unlock(&a->lock);
    arena_done(&arena);
    metric_observe(alert_meters()->processing, (f64)(clock_mono_ns(a->env.clock) - began) / 1e9);
    metric_add(alert_meters()->subscriber_writes, n);
    Err waited = alert_state_wait(&a->state, after, ticket, why);
    alerter_tick_soon(a);
    return e != OK ? e : waited;
}

/* ---- the timer ---- */
typedef struct Job {
    Alerter *a;
    Lane *l;
} Job;

static void on_tick(void *arg);
/* The lock is held. */
static void post_tick(Alerter *a)
{
    if (a->tick_posted || a->is_closing)
        return;
    a->tick_posted = true;
    loop_post(a->env.loop, on_tick, a);
}

/* Rendering for many groups, and large answers, leave holes in the heap as large as what is kept: given back once it has
 * been quiet for a second. The lock is held. */
static bool is_busy(const Alerter *a)
{
    bool busy = a->flushing;
    for (size_t i = 0; i < a->integrations.len; i++)
        for (u32 k = 0; k < a->integrations.at[i]->lanes_len; k++)
            busy |= a->integrations.at[i]->lanes[k].busy;
    return busy;
}

static void add_untidy(Alerter *a, u32 done)
{
    a->untidy += done;
    a->untidy_ms = clock_wall_ms(a->env.clock);
}

void alerter_untidy(Alerter *a, u32 done)
{
    mutex_lock(&a->lock);
    add_untidy(a, done);
    post_tick(a);
    mutex_unlock(&a->lock);
}

static void run_tidy(void *arg)
{
    malloc_trim(0);
}

/* True: now. Else *next is when to ask again. */
static bool is_to_tidy(Alerter *a, i64 now, i64 *next)
{
    enum { MANY = 32 };
    if (a->untidy < MANY || is_busy(a))
        return false;
    if (now >= a->untidy_ms && now - a->untidy_ms < MS_PER_SEC) {
        *next = MIN(*next, a->untidy_ms + MS_PER_SEC);
        return false;
    }
    a->untidy = 0;
    return true;
}

/* All under the lock: whoever closes the alerter waits for it, and then nothing here looks at it any more. */
static void job_ends(Alerter *a, u32 done)
{
    add_untidy(a, done);
    post_tick(a);
    cond_broadcast(&a->idle);
    mutex_unlock(&a->lock);
}

static void run_flush(void *arg)
{
    Alerter *a = arg;
    u32 done = alerter_flush_due(a);
    mutex_lock(&a->lock);
    a->flushing--;
    job_ends(a, done);
}

static void run_deliver(void *arg)
{
    Job *j = arg;
    Alerter *a = j->a;
    u32 done = lane_deliver(a, j->l);
    mutex_lock(&a->lock);
    j->l->busy = false;
    mem_free(j);
    job_ends(a, done);
}

static void run_compact(void *arg)
{
    Alerter *a = arg;
    Why why = {0};
    const AlertMeters *m = alert_meters();
    i64 began = clock_mono_ns(a->env.clock);
    Err e = alert_state_compact(&a->state, &a->lock, &why);
    metric_inc(m->maintenance);
    metric_observe(m->snapshot_seconds, (f64)(clock_mono_ns(a->env.clock) - began) / 1e9);
    if (e != OK)
        metric_inc(m->maintenance_errors);
    if (e != OK)
        LOG_WARN("alert", "The alert log could not be compacted; it grows on", LF_WHY(&why));
    mutex_lock(&a->lock);
    a->compacting = false;
    cond_broadcast(&a->idle);
    mutex_unlock(&a->lock);
}

static void start(Alerter *a, Pool *pool, void (*fn)(void *arg), void *arg,
                  void (*undo)(Alerter *a, void *arg))
{
    if (!a->env.pool) {
        fn(arg);
    } else if (pool_submit(pool, fn, arg) != OK) {
        mutex_lock(&a->lock);
        undo(a, arg);
        cond_broadcast(&a->idle);
        mutex_unlock(&a->lock);
    }
}

static void undo_flush(Alerter *a, void *arg)
{
    a->flushing--;
}
static void undo_compact(Alerter *a, void *arg)
{
    a->compacting = false;
}
static void undo_deliver(Alerter *a, void *arg)
{
    Job *j = arg;
    j->l->busy = false;
    mem_free(j);
}

/* Lanes with something to send, into ready; when the next one may be. The lock is held. */
typedef VEC(Lane *) Lanes;
static i64 collect_lanes(Alerter *a, i64 now, Lanes *ready)
{
    i64 next = INT64_MAX;
    for (size_t i = 0; i < a->integrations.len; i++) {
        Integration *x = a->integrations.at[i];
        for (u32 k = 0; k < x->lanes_len; k++) {
            Lane *l = &x->lanes[k];
            i64 until = MAX(l->blocked_until_ms, x->blocked_until_ms);
            if (!l->queue.len || l->busy)
                continue;
            if (until > now) {
                next = MIN(next, until);
                continue;
            }
            l->busy = true;
            vec_push(ready, l);
        }
    }
    return next;
}

static void on_tick(void *arg)
{
    enum { COLLECT_MS = 60 * 1000 };
    Alerter *a = arg;
    i64 now = clock_wall_ms(a->env.clock), next = now + 60 * MS_PER_SEC;
    u32 flush = 0;
    bool compact = false, tidy = false;
    Lanes ready = {0};
    mutex_lock(&a->lock);
    a->tick_posted = false;
    bool closing = a->is_closing;
    if (!closing) {
        i64 due = a->heap.len ? a->heap.at[0]->next_ms : INT64_MAX;
        if (due <= now) {
            u32 most = a->env.pool && a->heap.len > 16 ? FLUSH_JOBS_MAX : 1;
            while (a->flushing < most)
                a->flushing++, flush++;
        } else {
            next = MIN(next, due);
        }
        next = MIN(next, collect_lanes(a, now, &ready));
        if (now - a->collected_ms >= COLLECT_MS || now < a->collected_ms) {
            i64 began = clock_mono_ns(a->env.clock);
            silences_collect(&a->state, now * NS_PER_MS);
            metric_observe(alert_meters()->silence_gc_seconds,
                           (f64)(clock_mono_ns(a->env.clock) - began) / 1e9);
            a->collected_ms = now;
        }
        tidy = is_to_tidy(a, now, &next);
        compact = !a->compacting && alert_state_wants_compaction(&a->state);
        a->compacting |= compact;
    }
    mutex_unlock(&a->lock);
    if (!closing)
        timer_start_in_ms(a->env.loop, &a->timer, MAX(next - now, 1));
    while (flush--)
        start(a, a->env.pool, run_flush, a, undo_flush);
    if (tidy && a->env.pool && pool_submit(a->env.pool, run_tidy, NULL) != OK)
        LOG_DEBUG("alert", "No thread was free to give memory back");
    if (compact)
        start(a, a->env.pool, run_compact, a, undo_compact);
    for (size_t i = 0; i < ready.len; i++) {
        Job *j = mem_new(Job);
        *j = (Job){a, ready.at[i]};
        start(a, a->deliver_pool ? a->deliver_pool : a->env.pool, run_deliver, j, undo_deliver);
    }
    vec_done(&ready);
}

void alerter_tick_soon(Alerter *a)
{
    mutex_lock(&a->lock);
    post_tick(a);
    mutex_unlock(&a->lock);
}

/* ---- open ---- */
typedef struct OldFacts {
    VEC(Str) keys;
    i64 before_ms;
} OldFacts;

static void on_fact(void *arg, Str key, Str value)
{
    OldFacts *o = arg;
    i64 ts = 0;
    if (value.len >= 8)
        memcpy(&ts, value.at, 8);
    if (ts < o->before_ms)
        vec_push(&o->keys, mem_dup(key));
}

/* What was last said about groups that nobody mentioned for days. */
static void forget_old_facts(Alerter *a)
{
    OldFacts o = {.before_ms = clock_wall_ms(a->env.clock) - 5 * 24 * 3600 * MS_PER_SEC};
    outbox_facts(a->outbox, S("n\n"), on_fact, &o);
    for (size_t i = 0; i < o.keys.len; i++) {
        outbox_fact_set(a->outbox, o.keys.at[i], S(""), NULL);
        mem_free((void *)o.keys.at[i].at);
    }
    vec_done(&o.keys);
}

/* Whoever sends alerts could not say for a while that they still fire: they get as long as one that is sent without an end. */
static void hold_alerts(Alerter *a)
{
    i64 now = clock_wall_ns(a->env.clock), until = now + 5 * 60 * NS_PER_SEC;
    size_t cursor = 0;
    u64 key, value;
    while (u64map_next(&a->state.alerts, &cursor, &key, &value)) {
        StoredAlert *x = (StoredAlert *)(uintptr_t)value;
        if (x->ends_ns > x->updated_ns && x->ends_ns < until) {
            x->ends_ns = until;
            x->is_timeout = true;
        }
    }
}

static void make_metrics(Alerter *a)
{
    static const char *const reasons[] = {"reason=\"silence\"", "reason=\"inhibition\"",
                                          "reason=\"mute_time_interval\"", "reason=\"active_time_interval\""};
    a->m_firing = metric_counter("alertmanager_alerts_received_total", "The total number of received alerts.",
                                 "status=\"firing\",version=\"v2\"");
    a->m_resolved =
        metric_counter("alertmanager_alerts_received_total", "The total number of received alerts.",
                       "status=\"resolved\",version=\"v2\"");
    a->m_invalid = metric_counter("alertmanager_alerts_invalid_total",
                                  "The total number of received alerts that were invalid.", "version=\"v2\"");
    a->m_dropped = metric_counter("pharos_alerts_dropped_total",
                                  "Alerts that were over the limit of alerts held at once.", "");
    alert_meters();
    a->m_groups =
        metric_gauge("alertmanager_dispatcher_aggregation_groups", "Number of active aggregation groups", "");
    for (size_t i = 0; i < COUNT_OF(reasons); i++)
        a->m_suppressed[i] =
            metric_counter("alertmanager_notifications_suppressed_total",
                           "The total number of notifications suppressed for being silenced, "
                           "inhibited, outside of active time intervals or within muted time "
                           "intervals.",
                           reasons[i]);
}

Err alerter_open(Alerter **ret, const AlerterEnv *env, Why *why)
{
    Alerter *a = mem_new(Alerter);
    char log[4096];
    a->env = *env;
    a->sink.send = on_notices;
    a->started_ms = clock_wall_ms(env->clock);
    mutex_init(&a->lock, RANK_ALERT);
    cond_init(&a->idle);
    timer_init(&a->timer, on_tick, a);
    make_metrics(a);
    alert_state_init(&a->state);
    snprintf(log, sizeof log, "%s/log", env->dir);
    Err e = vfs_mkdirs(env->vfs, env->dir, why);
    if (e == OK)
        e = outbox_open(&a->outbox, env->vfs, env->clock, env->dir, why);
    if (e == OK)
        e = alert_state_open(&a->state, env->vfs, env->clock, log, why);
    if (e != OK) {
        alerter_close(a);
        return e;
    }
    if (env->retention_ms)
        a->state.silences.retention_ns = env->retention_ms * NS_PER_MS;
    a->state.silences.silences_max = env->silences_max;
    a->state.silences.bytes_max = env->silence_bytes_max;
    hold_alerts(a);
    forget_old_facts(a);
    *ret = a;
    return OK;
}

/* ---- apply, close ---- */
void queue_item_done(QueueItem *q)
{
    mem_free((void *)q->group_key.at);
    mem_free((void *)q->body.at);
}

static void integration_free(Integration *i)
{
    for (u32 l = 0; l < LANES_MAX; l++) {
        for (size_t k = 0; k < i->lanes[l].queue.len; k++)
            queue_item_done(&i->lanes[l].queue.at[k]);
        vec_done(&i->lanes[l].queue);
    }
    mem_free(i);
}

static Integration *integration_new(const Receiver *r, const IntegrationConfig *c)
{
    char labels[512];
    Integration *i = mem_new(Integration);
    i->config = c;
    i->receiver = r;
    i->lanes_len = c->kind == INTEGRATION_DISCORD ? 1 : LANES_MAX; /* one bucket, and edits need the order */
    for (u32 k = 0; k < LANES_MAX; k++)
        i->lanes[k].of = i;
    Buf name;
    buf_init(&name, 300);
    go_quote(&name, str_sub(r->name, 0, str_rune_prefix(r->name, 60)));
    snprintf(labels, sizeof labels, "integration=\"%s\",receiver_name=%.*s", integration_kind_name(c->kind),
             STR_FMT(buf_view(&name)));
    buf_done(&name);
    i->m_sent = metric_counter("alertmanager_notifications_total",
                               "The total number of attempted notifications.", labels);
    i->m_failed = metric_counter("alertmanager_notifications_failed_total",
                                 "The total number of failed notifications.", labels);
    i->m_requests = metric_counter("alertmanager_notification_requests_total",
                                   "The total number of attempted notification requests.", labels);
    i->m_requests_failed = metric_counter("alertmanager_notification_requests_failed_total",
                                          "The total number of failed notification requests.", labels);
    i->m_latency = alert_latency_meter(integration_kind_name(c->kind));
    return i;
}

static bool same_address(const IntegrationConfig *x, const IntegrationConfig *y)
{
    return x->kind == y->kind && str_eq(secret_reveal(x->url), secret_reveal(y->url)) &&
           str_eq(x->url_file, y->url_file);
}

static void wait_idle(Alerter *a)
{
    for (bool busy = true; busy;) {
        busy = a->flushing || a->compacting;
        for (size_t i = 0; i < a->integrations.len; i++)
            for (u32 k = 0; k < LANES_MAX; k++)
                busy |= a->integrations.at[i]->lanes[k].busy;
        if (busy)
            cond_wait(&a->idle, &a->lock);
    }
}

static void hand_over(Alerter *a, Integration *old, Integration *heir)
{
    for (u32 l = 0; l < LANES_MAX; l++) {
        Lane *from = &old->lanes[l];
        for (size_t k = 0; k < from->queue.len; k++) {
            if (heir) {
                vec_push(&heir->lanes[l].queue, from->queue.at[k]);
                continue;
            }
            outbox_dead(a->outbox, from->queue.at[k].id, S("the receiver is no longer configured"), NULL);
            queue_item_done(&from->queue.at[k]);
        }
        from->queue.len = 0;
    }
    if (heir && same_address(heir->config, old->config)) {
        heir->blocked_until_ms = old->blocked_until_ms;
        heir->last_ok_ms = old->last_ok_ms;
    }
    integration_free(old);
}

/* New integrations take over queues and blocks of those of the same id; a stopped one gets another chance. */
static void replace_integrations(Alerter *a, const AlertConfig *c)
{
    VEC(Integration *) fresh = {0};
    u32 len;
    const Receiver *rs = alert_config_receivers(c, &len);
    for (u32 i = 0; i < len; i++)
        for (u32 k = 0; k < rs[i].len; k++)
            if (integration_specs[rs[i].integrations[k].kind].is_sent)
                vec_push(&fresh, integration_new(&rs[i], &rs[i].integrations[k]));
    for (size_t i = 0; i < a->integrations.len; i++) {
        Integration *heir = NULL;
        for (size_t k = 0; k < fresh.len; k++)
            if (str_eq(fresh.at[k]->config->id, a->integrations.at[i]->config->id))
                heir = fresh.at[k];
        hand_over(a, a->integrations.at[i], heir);
    }
    a->integrations.len = 0;
    for (size_t i = 0; i < fresh.len; i++)
        vec_push(&a->integrations, fresh.at[i]);
    vec_done(&fresh);
}

/* As many threads as can be at it, so that one that waits for its provider holds up nobody. Returns the old pool. */
static Pool *resize_pool(Alerter *a)
{
    u32 threads = 0;
    for (size_t i = 0; i < a->integrations.len; i++)
        threads += a->integrations.at[i]->lanes_len;
    threads = MIN(threads, (u32)DELIVER_THREADS_MAX);
    if (!a->env.pool || threads == a->deliver_threads)
        return NULL;
    Pool *old = a->deliver_pool;
    a->deliver_pool = threads ? pool_new("deliver", threads, 4096) : NULL;
    a->deliver_threads = threads;
    return old;
}

void alerter_apply(Alerter *a, AlertConfig *c, const AlertGlobals *g)
{
    Arena *arena = mem_new(Arena), *old_arena;
    arena_init(arena, NULL, 1 << 20);
    AlertGlobals globals = {arena_dup(arena, g->external_url), arena_dup(arena, g->silence_path),
                            labels_dup(arena, g->external_labels), g->relabel};
    mutex_lock(&a->lock);
    wait_idle(a);
    AlertConfig *old = a->config;
    old_arena = a->globals_arena;
    a->config = alert_config_ref(c);
    a->globals = globals;
    a->globals_arena = arena;
    replace_integrations(a, c);
    Pool *old_pool = resize_pool(a);
    alerter_regroup(a, clock_wall_ms(a->env.clock));
    mutex_unlock(&a->lock);
    pool_free(old_pool);
    alert_config_unref(old);
    if (old_arena) {
        arena_done(old_arena);
        mem_free(old_arena);
    }
    alerter_load_outbox(a);
    alerter_tick_soon(a);
}

/* Posts run in order: a tick posted before has run when this one has. */
static void stop_timer(void *arg)
{
    Alerter *a = arg;
    timer_stop(a->env.loop, &a->timer);
}

void alerter_stop(Alerter *a)
{
    if (a->is_stopped)
        return;
    mutex_lock(&a->lock);
    a->is_closing = true;
    wait_idle(a);
    bool posted = a->tick_posted;
    mutex_unlock(&a->lock);
    if (loop_is_here(a->env.loop)) {
        timer_stop(a->env.loop, &a->timer);
        if (posted) /* the mailbox still names us */
            loop_run_once(a->env.loop, 0);
    } else {
        loop_call(a->env.loop, stop_timer, a);
    }
    a->is_stopped = true;
}

void alerter_close(Alerter *a)
{
    alerter_stop(a);
    pool_free(a->deliver_pool);
    for (size_t i = 0; i < a->integrations.len; i++)
        integration_free(a->integrations.at[i]);
    vec_done(&a->integrations);
    alerter_free_groups(a);
    inhibitor_done(&a->inhibitor);
    alert_state_close(&a->state);
    if (a->outbox)
        outbox_close(a->outbox);
    alert_config_unref(a->config);
    if (a->globals_arena) {
        arena_done(a->globals_arena);
        mem_free(a->globals_arena);
    }
    cond_done(&a->idle);
    mutex_done(&a->lock);
    mem_free(a);
}

u64 alerter_queued(Alerter *a)
{
    return outbox_queued(a->outbox);
}
