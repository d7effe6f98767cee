/* The engine's frame: groups, their timers, reload, shutdown. */
#include "rules/rules_internal.h"

#include <stdlib.h>

/* ---- ticks ---- */
static i64 floor_to(i64 t, i64 step)
{
    i64 rem = t % step;
    return t - (rem < 0 ? rem + step : rem);
}

/* The group's tick at or before now: its place inside the interval comes from its hash. */
static i64 group_tick(const Group *g, i64 now_ms)
{
    i64 place = (i64)((u64)g->hash % (u64)g->interval_ms);
    return floor_to(now_ms - place, g->interval_ms) + place;
}

static void group_free(Group *g)
{
    for (u32 i = 0; i < g->g->rules_len; i++)
        rule_state_done(&g->rules[i]);
    mem_free(g->rules);
    rule_set_unref(g->set);
    mem_free(g);
}

static void group_arm(Group *g)
{
    i64 wait = g->next_ms - clock_wall_ms(g->owner->env.clock);
    timer_start_in_ms(g->owner->env.loop, &g->timer, MAX(wait, 0));
}

static void group_run(void *arg)
{
    Group *g = arg;
    Rules *r = g->owner;
    group_eval(g, g->due_ms);
    mutex_lock(&r->lock);
    g->busy = false;
    cond_broadcast(&r->idle);
    mutex_unlock(&r->lock);
}

static void write_orphans(Rules *r, i64 now_ms);

static void on_tick(void *arg)
{
    Group *g = arg;
    Rules *r = g->owner;
    i64 now = clock_wall_ms(r->env.clock);
    if (now < g->next_ms) { /* the wall clock went back, or timers are coarse */
        if (g->next_ms - now > 2 * g->interval_ms)
            g->next_ms = group_tick(g, now) + g->interval_ms;
        group_arm(g);
        return;
    }
    i64 missed = (now - g->next_ms) / g->interval_ms;
    i64 due = g->next_ms + missed * g->interval_ms;
    g->next_ms = due + g->interval_ms;
    mutex_lock(&r->lock);
    bool run = !g->busy && !g->is_stopped;
    if (run) {
        g->busy = true;
        g->due_ms = due;
    }
    mutex_unlock(&r->lock);
    group_arm(g);
    if (run && r->env.pool && pool_submit(r->env.pool, group_run, g) != OK) {
        mutex_lock(&r->lock);
        g->busy = false;
        mutex_unlock(&r->lock);
        run = false;
    }
    metric_add(g->m_iterations, (f64)missed + 1);
    metric_add(g->m_missed, (f64)missed + !run);
    if (run && !r->env.pool)
        group_run(g);
    write_orphans(r, now);
}

/* ---- series of rules that are gone ---- */
static bool is_returned_today(Rules *r, u64 hash)
{
    for (size_t i = 0; i < r->groups.len; i++) {
        Group *g = r->groups.at[i];
        for (u32 k = 0; k < g->g->rules_len; k++)
            if (u64map_find(&g->rules[k].prev_by_hash, hash))
                return true;
    }
    return false;
}

static void write_orphans(Rules *r, i64 now_ms)
{
    VEC(Orphan) due = {0};
    mutex_lock(&r->lock);
    for (size_t i = 0; i < r->orphans.len;) {
        Orphan *o = &r->orphans.at[i];
        if (o->due_ms > now_ms) {
            i++;
            continue;
        }
        vec_push(&due, *o);
        *o = r->orphans.at[--r->orphans.len];
    }
    for (size_t i = 0; i < due.len;) {
        if (!is_returned_today(r, due.at[i].hash)) {
            i++;
            continue;
        }
        labels_disown(due.at[i].labels);
        due.at[i] = due.at[--due.len];
    }
    mutex_unlock(&r->lock);
    if (due.len && r->env.sink) {
        SeriesItem *items = mem_zalloc(due.len * sizeof *items);
        Sample *samples = mem_zalloc(due.len * sizeof *samples);
        for (size_t i = 0; i < due.len; i++) {
            samples[i] = (Sample){due.at[i].stamp_ms, stale_nan()};
            items[i] = (SeriesItem){.labels = due.at[i].labels, .samples = &samples[i], .samples_len = 1};
        }
        SampleBatch batch = {.tenant = S(""), .series = items, .series_len = (u32)due.len, .from_self = true};
        SinkResult res = {0};
        r->env.sink->write(r->env.sink, &batch, NULL, &res);
        mem_free(items);
        mem_free(samples);
    }
    for (size_t i = 0; i < due.len; i++)
        labels_disown(due.at[i].labels);
    vec_done(&due);
}

static void orphan_series(Rules *r, Group *g, RuleState *st, i64 now_ms)
{
    enum { ORPHANS_MAX = 1000000 };
    for (size_t i = 0; i < st->prev.len && r->orphans.len < ORPHANS_MAX; i++)
        vec_push(&r->orphans, (Orphan){.labels = labels_own(st->prev.at[i].labels),
                                       .hash = st->prev.at[i].hash,
                                       .due_ms = now_ms + 2 * g->interval_ms,
                                       .stamp_ms = now_ms - g->offset_ms});
}

/* ---- open, apply, close ---- */
Err rules_open(Rules **ret, const RulesEnv *env, Why *why)
{
    Rules *r = mem_new(Rules);
    r->env = *env;
    r->resend_ms = env->resend_delay_ms ? env->resend_delay_ms : 60 * MS_PER_SEC;
    mutex_init(&r->lock, RANK_RULES);
    cond_init(&r->idle);
    if (env->state_dir) {
        Err e = state_open(&r->log, env, why);
        if (e != OK) {
            rules_close(r);
            return e;
        }
    }
    *ret = r;
    return OK;
}

static Metric *group_metric(Metric *(*make)(const char *, const char *, const char *), const RuleGroup *g,
                            const char *name, const char *help)
{
    Buf labels, text;
    buf_init(&labels, 8192);
    buf_init(&text, 8192);
    buf_printf(&text, "%.*s;%.*s", (int)MIN(g->file.len, 2000), g->file.at, (int)MIN(g->name.len, 1000),
               g->name.at);
    buf_c(&labels, "rule_group=\"");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '"' || c == '\\')
            buf_char(&labels, '\\');
        if (c == '\n')
            buf_c(&labels, "\\n");
        else
            buf_char(&labels, c);
    }
    buf_char(&labels, '"');
    Metric *m = make(name, help, buf_cstr(&labels));
    buf_done(&labels);
    buf_done(&text);
    return m;
}

static void group_metrics(Group *g)
{
    const RuleGroup *k = g->g;
    g->m_evals = group_metric(metric_counter, k, "prometheus_rule_evaluations_total",
                              "The total number of rule evaluations.");
    g->m_fails = group_metric(metric_counter, k, "prometheus_rule_evaluation_failures_total",
                              "The total number of rule evaluation failures.");
    g->m_iterations =
        group_metric(metric_counter, k, "prometheus_rule_group_iterations_total",
                     "The total number of scheduled rule group evaluations, whether executed or missed.");
    g->m_missed =
        group_metric(metric_counter, k, "prometheus_rule_group_iterations_missed_total",
                     "The total number of rule group evaluations missed due to slow rule group evaluation.");
    g->m_interval = group_metric(metric_gauge, k, "prometheus_rule_group_interval_seconds",
                                 "The interval of a rule group.");
    g->m_duration = group_metric(metric_gauge, k, "prometheus_rule_group_last_duration_seconds",
                                 "The duration of the last rule group evaluation.");
    g->m_last_ts = group_metric(metric_gauge, k, "prometheus_rule_group_last_evaluation_timestamp_seconds",
                                "The timestamp of the last rule group evaluation in seconds.");
    g->m_last_samples = group_metric(metric_gauge, k, "prometheus_rule_group_last_evaluation_samples",
                                     "The number of samples returned during the last rule group evaluation.");
    g->m_rules = group_metric(metric_gauge, k, "prometheus_rule_group_rules", "The number of rules.");
    metric_set(g->m_interval, (f64)g->interval_ms / 1000);
    metric_set(g->m_rules, k->rules_len);
}

static Group *group_new(Rules *r, RuleSet *set, const RuleGroup *k, const RulesGlobals *globals)
{
    Group *g = mem_new(Group);
    g->owner = r;
    g->set = rule_set_ref(set);
    g->g = k;
    g->interval_ms = k->interval_ms ? k->interval_ms : globals->interval_ms;
    g->offset_ms = k->has_query_offset ? k->query_offset_ms : globals->query_offset_ms;
    g->hash = (i64)(hash_bytes(k->name.at, k->name.len, hash_str(k->file)) >> 1);
    g->rules = mem_zalloc((k->rules_len + 1) * sizeof *g->rules);
    for (u32 i = 0; i < k->rules_len; i++)
        g->rules[i].rule = &k->rules[i];
    timer_init(&g->timer, on_tick, g);
    group_metrics(g);
    return g;
}

static bool same_rule(const Rule *a, const Rule *b)
{
    return a->is_alert == b->is_alert && str_eq(a->name, b->name) && str_eq(a->expr, b->expr) &&
           a->for_ms == b->for_ms && a->keep_firing_for_ms == b->keep_firing_for_ms &&
           labels_eq(a->labels, b->labels) && labels_eq(a->annotations, b->annotations);
}

/* Does the new description say what the running group already does? */
static bool same_group(const Group *old, const Group *new)
{
    if (old->interval_ms != new->interval_ms || old->offset_ms != new->offset_ms ||
        old->g->limit != new->g->limit || old->g->rules_len != new->g->rules_len)
        return false;
    for (u32 i = 0; i < old->g->rules_len; i++)
        if (!same_rule(&old->g->rules[i], &new->g->rules[i]))
            return false;
    return true;
}

/* A changed group goes on with what its rules knew: same name and labels, in order. */
static void group_inherit(Rules *r, Group *to, Group *from, i64 now_ms)
{
    bool *taken = mem_zalloc(to->g->rules_len + 1);
    for (u32 i = 0; i < from->g->rules_len; i++) {
        RuleState *old = &from->rules[i];
        u32 k = 0;
        while (k < to->g->rules_len && (taken[k] || to->rules[k].rule->is_alert != old->rule->is_alert ||
                                        rule_identity(to->rules[k].rule) != rule_identity(old->rule)))
            k++;
        if (k == to->g->rules_len) {
            orphan_series(r, from, old, now_ms);
            continue;
        }
        const Rule *rule = to->rules[k].rule;
        taken[k] = true;
        rule_state_done(&to->rules[k]);
        to->rules[k] = *old;
        to->rules[k].rule = rule;
        memset(old, 0, sizeof *old);
        old->rule = rule; /* an empty husk */
    }
    mem_free(taken);
}

/* Samples from before a long outage are out of the lookback, new ones take a scrape or two to come. */
#define SETTLE_MS (2 * 60 * MS_PER_SEC)

typedef struct Restore {
    RuleState *st;
    i64 gap_ms, now_ms;
} Restore;

static void on_saved(void *arg, ActiveAlert *a)
{
    Restore *x = arg;
    if (rule_state_find(x->st, a->hash)) {
        active_alert_free(a);
        return;
    }
    /* Nobody saw whether the condition held while we were away: a long absence does not count towards `for`. */
    if (a->state == ALERT_PENDING && x->gap_ms > RULES_GAP_MS)
        a->active_ms += x->gap_ms;
    if (x->gap_ms > RULES_GAP_MS)
        a->settle_ms = x->now_ms + SETTLE_MS;
    rule_state_add(x->st, a);
}

static void group_restore(Rules *r, Group *g, i64 now_ms)
{
    i64 seen = state_last_seen_ms(r->log);
    for (u32 i = 0; i < g->g->rules_len; i++)
        if (g->rules[i].rule->is_alert) {
            Restore x = {&g->rules[i], seen ? MAX(now_ms - seen, 0) : 0, now_ms};
            state_take(r->log, g->g->file, g->g->name, g->rules[i].rule, on_saved, &x);
        }
}

typedef struct Groups {
    VEC(Group *) v;
    Rules *r;
} Groups;

static void stop_timers(void *arg)
{
    Groups *gs = arg;
    for (size_t i = 0; i < gs->v.len; i++)
        timer_stop(gs->r->env.loop, &gs->v.at[i]->timer);
}

static void start_timers(void *arg)
{
    Groups *gs = arg;
    i64 now = clock_wall_ms(gs->r->env.clock);
    for (size_t i = 0; i < gs->v.len; i++) {
        Group *g = gs->v.at[i];
        g->next_ms = group_tick(g, now) + g->interval_ms;
        group_arm(g);
    }
}

/* Timers off, evaluations under way called back and waited for. */
static void halt_groups(Groups *gs)
{
    loop_call(gs->r->env.loop, stop_timers, gs);
    mutex_lock(&gs->r->lock);
    for (size_t i = 0; i < gs->v.len; i++) {
        gs->v.at[i]->is_stopped = true;
        cancel_set(&gs->v.at[i]->cancel);
    }
    for (size_t i = 0; i < gs->v.len; i++)
        while (gs->v.at[i]->busy)
            cond_wait(&gs->r->idle, &gs->r->lock);
    mutex_unlock(&gs->r->lock);
}

static int by_file_and_name(const void *a, const void *b)
{
    const Group *x = *(Group *const *)a, *y = *(Group *const *)b;
    int c = str_cmp(x->g->file, y->g->file);
    return c ? c : str_cmp(x->g->name, y->g->name);
}

static Group *find_group(const Groups *gs, const RuleGroup *k)
{
    for (size_t i = 0; i < gs->v.len; i++)
        if (gs->v.at[i] && str_eq(gs->v.at[i]->g->name, k->name) && str_eq(gs->v.at[i]->g->file, k->file))
            return gs->v.at[i];
    return NULL;
}

static void set_globals(Rules *r, const RulesGlobals *g)
{
    Arena *arena = mem_new(Arena), *old;
    arena_init(arena, NULL, 1 << 20);
    RulesGlobals copy = *g;
    copy.external_url = arena_dup(arena, g->external_url);
    copy.external_labels = labels_dup(arena, g->external_labels);
    if (!copy.interval_ms)
        copy.interval_ms = 60 * MS_PER_SEC;
    mutex_lock(&r->lock);
    old = r->globals_arena;
    r->globals_arena = arena;
    r->globals = copy;
    mutex_unlock(&r->lock);
    if (old) {
        arena_done(old);
        mem_free(old);
    }
}

void rules_apply(Rules *r, RuleSet *set, const RulesGlobals *globals)
{
    rules_apply_all(r, &set, 1, globals);
}

RulesGlobals rules_globals(const Rules *r)
{
    return r->globals;
}

void rules_apply_all(Rules *r, RuleSet *const *sets, u32 n, const RulesGlobals *globals)
{
    i64 now = clock_wall_ms(r->env.clock);
    set_globals(r, globals);
    Groups old = {.r = r}, fresh = {.r = r}, gone = {.r = r}, all = {.r = r};
    for (size_t i = 0; i < r->groups.len; i++)
        vec_push(&old.v, r->groups.at[i]);
    VEC(Group *) heirs = {0}; /* beside fresh: whom it follows, or NULL */
    for (u32 s = 0; s < n; s++) {
        u32 len;
        const RuleGroup *wanted = rule_set_groups(sets[s], &len);
        for (u32 i = 0; i < len; i++) {
            Group *g = group_new(r, sets[s], &wanted[i], &r->globals), *before = find_group(&old, &wanted[i]);
            if (before && same_group(before, g)) {
                group_free(g);
                vec_push(&all.v, before);
            } else {
                vec_push(&fresh.v, g);
                vec_push(&heirs, before);
                vec_push(&all.v, g);
            }
        }
    }
    for (size_t i = 0; i < old.v.len; i++) {
        bool kept = false;
        for (size_t k = 0; k < all.v.len; k++)
            kept |= all.v.at[k] == old.v.at[i];
        if (!kept)
            vec_push(&gone.v, old.v.at[i]);
    }
    halt_groups(&gone);
    mutex_lock(&r->lock);
    for (size_t i = 0; i < fresh.v.len; i++) {
        if (heirs.at[i])
            group_inherit(r, fresh.v.at[i], heirs.at[i], now);
        if (r->log)
            group_restore(r, fresh.v.at[i], now);
    }
    for (size_t i = 0; i < gone.v.len; i++) {
        bool inherited = false;
        for (size_t k = 0; k < heirs.len; k++)
            inherited |= heirs.at[k] == gone.v.at[i];
        for (u32 k = 0; k < gone.v.at[i]->g->rules_len && !inherited; k++)
            orphan_series(r, gone.v.at[i], &gone.v.at[i]->rules[k], now);
    }
    r->groups.len = 0;
    for (size_t i = 0; i < all.v.len; i++)
        vec_push(&r->groups, all.v.at[i]);
    if (r->groups.len)
        qsort(r->groups.at, r->groups.len, sizeof r->groups.at[0], by_file_and_name);
    /* Whatever no rule took back is of rules that are gone: a snapshot leaves it out. */
    if (r->log)
        state_snapshot(r->log, r, now);
    mutex_unlock(&r->lock);
    for (size_t i = 0; i < gone.v.len; i++)
        group_free(gone.v.at[i]);
    loop_call(r->env.loop, start_timers, &fresh);
    vec_done(&old.v);
    vec_done(&fresh.v);
    vec_done(&gone.v);
    vec_done(&all.v);
    vec_done(&heirs);
}

void rules_close(Rules *r)
{
    Groups all = {.r = r};
    for (size_t i = 0; i < r->groups.len; i++)
        vec_push(&all.v, r->groups.at[i]);
    if (all.v.len)
        halt_groups(&all);
    if (r->log && all.v.len) {
        mutex_lock(&r->lock);
        state_snapshot(r->log, r, clock_wall_ms(r->env.clock));
        mutex_unlock(&r->lock);
    }
    for (size_t i = 0; i < all.v.len; i++)
        group_free(all.v.at[i]);
    vec_done(&all.v);
    vec_done(&r->groups);
    for (size_t i = 0; i < r->orphans.len; i++)
        labels_disown(r->orphans.at[i].labels);
    vec_done(&r->orphans);
    state_close(r->log);
    if (r->globals_arena) {
        arena_done(r->globals_arena);
        mem_free(r->globals_arena);
    }
    cond_done(&r->idle);
    mutex_done(&r->lock);
    mem_free(r);
}

u32 rules_count_firing(Rules *r)
{
    u32 n = 0;
    mutex_lock(&r->lock);
    for (size_t i = 0; i < r->groups.len; i++)
        for (u32 k = 0; k < r->groups.at[i]->g->rules_len; k++)
            for (size_t a = 0; a < r->groups.at[i]->rules[k].alerts.len; a++)
                n += r->groups.at[i]->rules[k].alerts.at[a]->state == ALERT_FIRING;
    mutex_unlock(&r->lock);
    return n;
}
