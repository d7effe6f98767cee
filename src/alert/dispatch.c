/* Alerts into groups: one group for each route an alert takes and each set of values its group_by finds. */
#include "alert/alerter_internal.h"

/* ---- the heap of groups, by next_ms ---- */
static void heap_set(Alerter *a, u32 at, AlertGroup *g)
{
    a->heap.at[at] = g;
    g->heap_index = at + 1;
}

static void heap_up(Alerter *a, u32 at)
{
    AlertGroup *g = a->heap.at[at];
    while (at && a->heap.at[(at - 1) / 2]->next_ms > g->next_ms) {
        heap_set(a, at, a->heap.at[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(a, at, g);
}

static void heap_down(Alerter *a, u32 at)
{
    AlertGroup *g = a->heap.at[at];
    for (;;) {
        size_t child = 2 * (size_t)at + 1;
        if (child + 1 < a->heap.len && a->heap.at[child + 1]->next_ms < a->heap.at[child]->next_ms)
            child++;
        if (child >= a->heap.len || a->heap.at[child]->next_ms >= g->next_ms)
            break;
        heap_set(a, at, a->heap.at[child]);
        at = (u32)child;
    }
    heap_set(a, at, g);
}

void group_heap_put(Alerter *a, AlertGroup *g)
{
    if (!g->heap_index) {
        vec_push(&a->heap, g);
        g->heap_index = (u32)a->heap.len;
    }
    heap_up(a, g->heap_index - 1);
    heap_down(a, g->heap_index - 1);
}

AlertGroup *group_heap_take_due(Alerter *a, i64 now_ms)
{
    if (!a->heap.len || a->heap.at[0]->next_ms > now_ms)
        return NULL;
    AlertGroup *g = a->heap.at[0], *last = a->heap.at[--a->heap.len];
    g->heap_index = 0;
    if (a->heap.len) {
        heap_set(a, 0, last);
        heap_down(a, 0);
    }
    return g;
}

/* ---- groups ---- */
static u64 group_hash(const AlertRoute *r, Labels group)
{
    u64 h = r->index + 1;
    for (u32 i = 0; i < group.len; i++) {
        h = hash_bytes(group.at[i].name.at, group.at[i].name.len, h);
        h = hash_bytes(group.at[i].value.at, group.at[i].value.len, h);
    }
    return h;
}

static AlertGroup *first_with(const Alerter *a, u64 hash)
{
    u64 *at = u64map_find(&a->groups, hash);
    return at ? (AlertGroup *)(uintptr_t)*at : NULL;
}

AlertGroup *alerter_find_group(const Alerter *a, const AlertRoute *r, Labels group)
{
    AlertGroup *g = first_with(a, group_hash(r, group));
    while (g && (g->route != r || !labels_eq(g->labels, group)))
        g = g->same_hash;
    return g;
}

static AlertGroup *group_new(Alerter *a, const AlertRoute *r, Labels group, i64 next_ms)
{
    AlertGroup *g = mem_new(AlertGroup);
    *g = (AlertGroup){.route = r,
                      .labels = labels_own(group),
                      .hash = group_hash(r, group),
                      .next_ms = MAX(next_ms, a->started_ms + a->env.start_delay_ms)};
    g->same_hash = first_with(a, g->hash);
    u64map_put(&a->groups, g->hash, (u64)(uintptr_t)g);
    group_heap_put(a, g);
    metric_set(a->m_groups, (f64)++a->groups_len);
    return g;
}

static void group_free(AlertGroup *g)
{
    vec_done(&g->alerts);
    labels_disown(g->labels);
    mem_free(g);
}

static void group_unlink(Alerter *a, AlertGroup *g)
{
    AlertGroup *first = first_with(a, g->hash);
    if (first == g && g->same_hash)
        u64map_put(&a->groups, g->hash, (u64)(uintptr_t)g->same_hash);
    else if (first == g)
        u64map_del(&a->groups, g->hash);
    else
        for (; first; first = first->same_hash)
            if (first->same_hash == g)
                first->same_hash = g->same_hash;
    metric_set(a->m_groups, (f64)--a->groups_len);
}

static bool is_member(const StoredAlert *x, const AlertGroup *g)
{
    for (u32 i = 0; i < x->groups_len; i++)
        if (x->groups[i] == g)
            return true;
    return false;
}

static void leave(StoredAlert *x, const AlertGroup *g)
{
    for (u32 i = 0; i < x->groups_len; i++)
        if (x->groups[i] == g) {
            x->groups[i] = x->groups[--x->groups_len];
            return;
        }
}

bool group_remove_alerts(Alerter *a, AlertGroup *g, bool (*gone)(void *arg, const StoredAlert *x), void *arg,
                         i64 now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->alerts.len; i++) {
        StoredAlert *x = g->alerts.at[i];
        if (!gone(arg, x)) {
            g->alerts.at[kept++] = x;
            continue;
        }
        leave(x, g);
        if (!x->groups_len && alert_is_resolved(x, now_ns)) {
            inhibitor_del(&a->inhibitor, x);
            alert_state_forget(&a->state, x);
        }
    }
    g->alerts.len = kept;
    if (kept)
        return true;
    group_unlink(a, g);
    group_free(g);
    return false;
}

/* ---- alerts ---- */
typedef struct Dispatch {
    Alerter *a;
    StoredAlert *alert;
    i64 now_ms;
    Arena *arena;
    u32 routes;
} Dispatch;

static void on_route(void *arg, const AlertRoute *r)
{
    Dispatch *d = arg;
    StoredAlert *x = d->alert;
    Labels group = alert_group_labels(r, x->labels, d->arena);
    AlertGroup *g = alerter_find_group(d->a, r, group);
    d->routes++;
    if (g && is_member(x, g))
        return;
    if (!g) { /* a condition older than group_wait need not wait again */
        bool old = x->starts_ns / NS_PER_MS + r->group_wait_ms < d->now_ms;
        g = group_new(d->a, r, group, old ? d->now_ms : d->now_ms + r->group_wait_ms);
    }
    vec_push(&g->alerts, x);
    x->groups = mem_realloc(x->groups, (x->groups_len + 1) * sizeof(AlertGroup *));
    x->groups[x->groups_len++] = g;
}

static void dispatch(Alerter *a, StoredAlert *x, i64 now_ms, Arena *arena)
{
    const AlertRoute *root = a->config ? alert_config_route(a->config) : NULL;
    if (!root || (x->routes_len && x->groups_len == x->routes_len))
        return;
    Dispatch d = {a, x, now_ms, arena, 0};
    alert_route_match(root, x->labels, on_route, &d);
    x->routes_len = d.routes;
}

void alerter_put(Alerter *a, const NewAlert *n, i64 now_ms, Arena *arena)
{
    bool is_new;
    metric_inc(n->ends_ns > now_ms * NS_PER_MS ? a->m_firing : a->m_resolved);
    if (a->state.alerts.len >= ALERTS_MAX && !alert_state_alert(&a->state, labels_fingerprint(n->labels))) {
        metric_inc(a->m_dropped);
        return;
    }
    StoredAlert *x = alert_state_put(&a->state, n, &is_new);
    if (is_new)
        inhibitor_add(&a->inhibitor, x);
    dispatch(a, x, now_ms, arena);
}

void alerter_free_groups(Alerter *a)
{
    size_t cursor = 0;
    u64 key, value;
    while (u64map_next(&a->groups, &cursor, &key, &value))
        for (AlertGroup *g = (AlertGroup *)(uintptr_t)value, *next; g; g = next) {
            next = g->same_hash;
            group_free(g);
        }
    u64map_done(&a->groups);
    vec_done(&a->heap);
    a->groups_len = 0;
    metric_set(a->m_groups, 0);
}

void alerter_regroup(Alerter *a, i64 now_ms)
{
    Arena arena;
    size_t cursor = 0;
    u64 key, value;
    u32 n = 0;
    alerter_free_groups(a);
    inhibitor_apply(&a->inhibitor, a->config->inhibit_rules, a->config->inhibit_rules_len);
    arena_init(&arena, NULL, 64 << 20);
    while (u64map_next(&a->state.alerts, &cursor, &key, &value)) {
        StoredAlert *x = (StoredAlert *)(uintptr_t)value;
        x->groups_len = x->routes_len = 0;
        inhibitor_add(&a->inhibitor, x);
        dispatch(a, x, now_ms, &arena);
        if (++n % 1000 == 0)
            arena_reset(&arena);
    }
    arena_done(&arena);
}
