/* The alerter's frame: notices into groups, the timer, reload, shutdown. */
#include "alert/alerter_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- groups ---- */
static void alert_done(GroupAlert *x)
{
    labels_disown(x->labels);
    labels_disown(x->annotations);
    mem_free(x->generator_url);
}

void group_remove_alert(AlertGroup *g, size_t i)
{
    u64map_del(&g->by_fingerprint, g->alerts.at[i].fingerprint);
    alert_done(&g->alerts.at[i]);
    g->alerts.at[i] = g->alerts.at[--g->alerts.len];
    if (i < g->alerts.len)
        u64map_put(&g->by_fingerprint, g->alerts.at[i].fingerprint, i);
}

void alert_group_free(AlertGroup *g)
{
    for (size_t i = 0; i < g->alerts.len; i++)
        alert_done(&g->alerts.at[i]);
    vec_done(&g->alerts);
    u64map_done(&g->by_fingerprint);
    labels_disown(g->labels);
    mem_free((void *)g->key.at);
    mem_free(g);
}

static AlertGroup *group_for(Alerter *a, const AlertRoute *route, Labels alert, i64 now, Arena *arena)
{
    Buf key;
    buf_init(&key, 1 << 20);
    Labels labels = alert_group_labels(route, alert, arena);
    group_key_print(&key, route, labels);
    AlertGroup *g = strmap_find(&a->by_key, buf_view(&key));
    if (!g) {
        g = mem_new(AlertGroup);
        g->key = mem_dup(buf_view(&key));
        g->labels = labels_own(labels);
        g->route = route;
        g->next_ms = now + route->group_wait_ms;
        vec_push(&a->groups, g);
        strmap_put(&a->by_key, g->key, g);
        metric_set(a->m_groups, (f64)a->groups.len);
    }
    buf_done(&key);
    return g;
}

/* One notice; the lock is held. */
static void take_notice(Alerter *a, Labels labels, Labels annotations, i64 starts, i64 ends,
                        Str generator_url, i64 now, Arena *arena)
{
    const AlertRoute *route = a->config ? alert_config_route(a->config) : NULL;
    if (!route)
        return;
    u64 fp = labels_fingerprint(labels);
    AlertGroup *g = group_for(a, route, labels, now, arena);
    u64 *at = u64map_find(&g->by_fingerprint, fp);
    bool resolved = ends && ends <= now;
    if (!at) {
        if (a->alerts_count >= ALERTS_MAX) {
            metric_inc(a->m_dropped);
            return;
        }
        a->alerts_count++;
        u64map_put(&g->by_fingerprint, fp, g->alerts.len);
        vec_push(&g->alerts, (GroupAlert){.fingerprint = fp, .labels = labels_own(labels)});
        at = u64map_find(&g->by_fingerprint, fp);
    }
    GroupAlert *x = &g->alerts.at[*at];
    labels_disown(x->annotations);
    x->annotations = labels_own(annotations);
    x->starts_ms = starts;
    x->ends_ms = ends;
    if (generator_url.len || !x->generator_url) {
        mem_free(x->generator_url);
        x->generator_url = mem_strdup(generator_url);
    }
    /* A condition older than group_wait need not wait again. */
    if (!g->was_flushed && !resolved && starts + route->group_wait_ms < now)
        g->next_ms = MIN(g->next_ms, now);
}

static void on_notices(AlertSink *s, const AlertNotice *alerts, u32 n)
{
    Alerter *a = (Alerter *)((char *)s - offsetof(Alerter, sink));
    Arena arena;
    arena_init(&arena, NULL, 256 << 20);
    i64 now = clock_wall_ms(a->env.clock);
    mutex_lock(&a->lock);
    for (u32 i = 0; i < n && !a->is_closing; i++) {
        LabelsBuilder b;
        lb_init(&b, &arena, alerts[i].labels);
        for (u32 k = 0; k < a->globals.external_labels.len; k++) {
            Label l = a->globals.external_labels.at[k];
            if (!lb_get(&b, l.name).len)
                lb_set(&b, l.name, l.value);
        }
        metric_inc(a->m_received);
        if (!relabel_apply(a->globals.relabel, &b))
            continue;
        take_notice(a, lb_build(&b), alerts[i].annotations, alerts[i].starts_ms, alerts[i].ends_ms,
                    alerts[i].generator_url, now, &arena);
    }
    mutex_unlock(&a->lock);
    arena_done(&arena);
    alerter_tick_soon(a);
}

AlertSink *alerter_sink(Alerter *a)
{
    return &a->sink;
}

/* ---- the timer ---- */
typedef struct Job {
    Alerter *a;
    Integration *i;
} Job;

static void run_flush(void *arg)
{
    Alerter *a = arg;
    alerter_flush_due(a);
    mutex_lock(&a->lock);
    a->flushing = false;
    cond_broadcast(&a->idle);
    mutex_unlock(&a->lock);
    alerter_tick_soon(a);
}

static void run_deliver(void *arg)
{
    Job *j = arg;
    Alerter *a = j->a;
    integration_deliver(a, j->i);
    mutex_lock(&a->lock);
    j->i->busy = false;
    cond_broadcast(&a->idle);
    mutex_unlock(&a->lock);
    mem_free(j);
    alerter_tick_soon(a);
}

static void start_flush(Alerter *a)
{
    if (!a->env.pool) {
        run_flush(a);
    } else if (pool_submit(a->env.pool, run_flush, a) != OK) {
        mutex_lock(&a->lock);
        a->flushing = false;
        mutex_unlock(&a->lock);
    }
}

static void start_deliver(Alerter *a, Integration *i)
{
    Job *j = mem_new(Job);
    *j = (Job){a, i};
    if (!a->env.pool) {
        run_deliver(j);
    } else if (pool_submit(a->env.pool, run_deliver, j) != OK) {
        mem_free(j);
        mutex_lock(&a->lock);
        i->busy = false;
        mutex_unlock(&a->lock);
    }
}

static bool has_work(const Integration *i, i64 now)
{
    return i->queue.len && !i->busy && i->blocked_until_ms <= now;
}

static void on_tick(void *arg)
{
    Alerter *a = arg;
    i64 now = clock_wall_ms(a->env.clock), next = now + 60 * MS_PER_SEC;
    bool flush = false;
    VEC(Integration *) ready = {0};
    mutex_lock(&a->lock);
    a->tick_posted = false;
    if (!a->is_closing) {
        for (size_t i = 0; i < a->groups.len; i++) {
            flush |= a->groups.at[i]->next_ms <= now;
            next = MIN(next, MAX(a->groups.at[i]->next_ms, now + 1));
        }
        flush = flush && !a->flushing;
        a->flushing |= flush;
        for (size_t i = 0; i < a->integrations.len; i++) {
            Integration *x = a->integrations.at[i];
            if (has_work(x, now)) {
                x->busy = true;
                vec_push(&ready, x);
            } else if (x->queue.len && !x->busy) {
                next = MIN(next, x->blocked_until_ms);
            }
        }
    }
    bool closing = a->is_closing;
    mutex_unlock(&a->lock);
    if (!closing)
        timer_start_in_ms(a->env.loop, &a->timer, MAX(next - now, 1));
    if (flush)
        start_flush(a);
    for (size_t i = 0; i < ready.len; i++)
        start_deliver(a, ready.at[i]);
    vec_done(&ready);
}

void alerter_tick_soon(Alerter *a)
{
    mutex_lock(&a->lock);
    bool post = !a->tick_posted && !a->is_closing;
    if (post)
        a->tick_posted = true;
    mutex_unlock(&a->lock);
    if (post)
        loop_post(a->env.loop, on_tick, a);
}

/* ---- open, apply, close ---- */
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

Err alerter_open(Alerter **ret, const AlerterEnv *env, Why *why)
{
    Alerter *a = mem_new(Alerter);
    a->env = *env;
    a->sink.send = on_notices;
    mutex_init(&a->lock, RANK_ALERT);
    cond_init(&a->idle);
    timer_init(&a->timer, on_tick, a);
    a->m_received =
        metric_counter("alertmanager_alerts_received_total", "The total number of received alerts.",
                       "status=\"firing\",version=\"internal\"");
    a->m_dropped = metric_counter("pharos_alerts_dropped_total",
                                  "Alerts that were over the limit of alerts held at once.", "");
    a->m_groups =
        metric_gauge("alertmanager_dispatcher_aggregation_groups", "Number of active aggregation groups", "");
    Err e = vfs_mkdirs(env->vfs, env->dir, why);
    if (e == OK)
        e = outbox_open(&a->outbox, env->vfs, env->clock, env->dir, why);
    if (e != OK) {
        alerter_close(a);
        return e;
    }
    forget_old_facts(a);
    *ret = a;
    return OK;
}

void queue_item_done(QueueItem *q)
{
    mem_free((void *)q->group_key.at);
    mem_free((void *)q->body.at);
}

static void integration_free(Integration *i)
{
    for (size_t k = 0; k < i->queue.len; k++)
        queue_item_done(&i->queue.at[k]);
    vec_done(&i->queue);
    mem_free(i);
}

static Integration *integration_new(const Receiver *r, const IntegrationConfig *c)
{
    char labels[512];
    Integration *i = mem_new(Integration);
    i->config = c;
    i->receiver = r;
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
        busy = a->flushing;
        for (size_t i = 0; i < a->integrations.len; i++)
            busy |= a->integrations.at[i]->busy;
        if (busy)
            cond_wait(&a->idle, &a->lock);
    }
}

/* New integrations take over queues and blocks of those of the same id; a stopped one gets another chance. */
static void replace_integrations(Alerter *a, const AlertConfig *c)
{
    VEC(Integration *) fresh = {0};
    u32 len;
    const Receiver *rs = alert_config_receivers(c, &len);
    for (u32 i = 0; i < len; i++)
        for (u32 k = 0; k < rs[i].len; k++)
            vec_push(&fresh, integration_new(&rs[i], &rs[i].integrations[k]));
    for (size_t i = 0; i < a->integrations.len; i++) {
        Integration *old = a->integrations.at[i];
        Integration *heir = NULL;
        for (size_t k = 0; k < fresh.len; k++)
            if (str_eq(fresh.at[k]->config->id, old->config->id))
                heir = fresh.at[k];
        for (size_t k = 0; k < old->queue.len; k++) {
            if (heir) {
                vec_push(&heir->queue, old->queue.at[k]);
            } else {
                outbox_dead(a->outbox, old->queue.at[k].id, S("the receiver is no longer configured"), NULL);
                queue_item_done(&old->queue.at[k]);
            }
        }
        old->queue.len = 0;
        if (heir && same_address(heir->config, old->config)) {
            heir->blocked_until_ms = old->blocked_until_ms;
            heir->last_ok_ms = old->last_ok_ms;
        }
        integration_free(old);
    }
    a->integrations.len = 0;
    for (size_t i = 0; i < fresh.len; i++)
        vec_push(&a->integrations, fresh.at[i]);
    vec_done(&fresh);
}

static void regroup(Alerter *a, i64 now)
{
    VEC(AlertGroup *) old = {0};
    for (size_t i = 0; i < a->groups.len; i++)
        vec_push(&old, a->groups.at[i]);
    a->groups.len = 0;
    a->alerts_count = 0;
    strmap_done(&a->by_key);
    a->by_key = (StrMap){0};
    Arena arena;
    arena_init(&arena, NULL, 256 << 20);
    for (size_t i = 0; i < old.len; i++) {
        for (size_t k = 0; k < old.at[i]->alerts.len; k++) {
            GroupAlert *x = &old.at[i]->alerts.at[k];
            take_notice(a, x->labels, x->annotations, x->starts_ms, x->ends_ms, str_c(x->generator_url), now,
                        &arena);
        }
        alert_group_free(old.at[i]);
    }
    arena_done(&arena);
    vec_done(&old);
}

void alerter_apply(Alerter *a, AlertConfig *c, const AlertGlobals *g)
{
    Arena *arena = mem_new(Arena), *old_arena;
    arena_init(arena, NULL, 1 << 20);
    AlertGlobals globals = {arena_dup(arena, g->external_url), labels_dup(arena, g->external_labels),
                            g->relabel};
    mutex_lock(&a->lock);
    wait_idle(a);
    AlertConfig *old = a->config;
    old_arena = a->globals_arena;
    a->config = alert_config_ref(c);
    a->globals = globals;
    a->globals_arena = arena;
    replace_integrations(a, c);
    regroup(a, clock_wall_ms(a->env.clock));
    mutex_unlock(&a->lock);
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

void alerter_close(Alerter *a)
{
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
    for (size_t i = 0; i < a->integrations.len; i++)
        integration_free(a->integrations.at[i]);
    vec_done(&a->integrations);
    for (size_t i = 0; i < a->groups.len; i++)
        alert_group_free(a->groups.at[i]);
    vec_done(&a->groups);
    strmap_done(&a->by_key);
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
