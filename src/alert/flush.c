/* Looking at a group: has anything changed since its receiver was last told, and what is to be said? */
#include "alert/alerter_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* What was last said about a group to an integration: time, firing, resolved (hashes, sorted). */
typedef struct Said {
    bool exists;
    i64 at_ms;
    const u64 *firing, *resolved;
    u32 firing_len, resolved_len;
} Said;

Str alerter_key(Arena *arena, const char *prefix, Str integration, Str group_key)
{
    enum { GROUP_KEY_MAX = 2000 };
    if (group_key.len > GROUP_KEY_MAX)
        return arena_printf(arena, "%s%.*s\n#%016llx%016llx", prefix, STR_FMT(integration),
                            (unsigned long long)hash_str(group_key),
                            (unsigned long long)hash_bytes(group_key.at, group_key.len, 1));
    return arena_printf(arena, "%s%.*s\n%.*s", prefix, STR_FMT(integration), STR_FMT(group_key));
}

static Said said_read(Alerter *a, Str key, Arena *arena)
{
    Said s = {0};
    Str v = outbox_fact(a->outbox, key, arena);
    u64 counts[2];
    if (v.len < 24)
        return s;
    memcpy(&s.at_ms, v.at, 8);
    memcpy(counts, v.at + 8, 16);
    if (counts[0] > v.len / 8 || counts[1] > v.len / 8 || v.len != 24 + 8 * (counts[0] + counts[1]))
        return (Said){0};
    u64 *hashes = arena_try(arena, v.len);
    if (!hashes)
        return (Said){0};
    memcpy(hashes, v.at + 24, v.len - 24);
    s.exists = true;
    s.firing = hashes;
    s.firing_len = (u32)counts[0];
    s.resolved = hashes + counts[0];
    s.resolved_len = (u32)counts[1];
    return s;
}

static Err said_write(Alerter *a, Str key, i64 now, const u64 *firing, u32 firing_len, const u64 *resolved,
                      u32 resolved_len, Why *why)
{
    if (!firing_len) /* nothing left to remember: the next alert is a first one */
        return outbox_fact_set(a->outbox, key, S(""), why);
    Buf b;
    u64 counts[2] = {firing_len, resolved_len};
    buf_init(&b, 16 << 20);
    buf_put(&b, &now, 8);
    buf_put(&b, counts, 16);
    buf_put(&b, firing, firing_len * sizeof *firing);
    if (resolved_len)
        buf_put(&b, resolved, resolved_len * sizeof *resolved);
    Err e = outbox_fact_set(a->outbox, key, buf_view(&b), why);
    buf_done(&b);
    return e;
}

static bool is_subset(const u64 *small, u32 n, const u64 *big, u32 m)
{
    u32 k = 0;
    for (u32 i = 0; i < n; i++) {
        while (k < m && big[k] < small[i])
            k++;
        if (k == m || big[k] != small[i])
            return false;
    }
    return true;
}

typedef enum Reason { NOTHING, FIRST, ADDED, SOME_RESOLVED, ALL_RESOLVED, REPEAT } Reason;
static const char *const reasons[] = {
    "",
    "first notification",
    "new alerts added",
    "some alerts resolved",
    "all alerts resolved",
    "repeat interval elapsed",
};

typedef struct Look {
    Alerter *a;
    AlertGroup *group;
    const AlertRoute *route;
    Arena arena;
    Str key;
    Labels labels;
    NotifyAlert *alerts;
    u32 len;
    u64 *firing, *resolved; /* fingerprints, sorted */
    u32 firing_len, resolved_len;
    i64 now;
    bool failed; /* something could not be stored: look again */
} Look;

static Reason reason_for(const Look *l, const Said *s, const Integration *i)
{
    bool shows_resolved = i->config->send_resolved ||
                          (i->config->kind == INTEGRATION_DISCORD && i->config->style == DISCORD_CARD);
    if (!s->exists)
        return l->firing_len ? FIRST : NOTHING;
    if (!is_subset(l->firing, l->firing_len, s->firing, s->firing_len))
        return ADDED;
    if (!l->firing_len)
        return s->firing_len ? ALL_RESOLVED : NOTHING;
    if (shows_resolved && !is_subset(l->resolved, l->resolved_len, s->resolved, s->resolved_len))
        return SOME_RESOLVED;
    return s->at_ms + l->route->repeat_interval_ms <= l->now ? REPEAT : NOTHING;
}

static Err add_item(Look *l, const Integration *i, char kind, Str body, Why *why)
{
    Buf b;
    u64 id;
    buf_init(&b, 4 << 20);
    buf_char(&b, kind);
    buf_str(&b, body);
    Err e = buf_over(&b) ? why_set(why, E_TOO_LARGE, "the message is over 4 MiB")
                         : outbox_add(l->a->outbox, alerter_key(&l->arena, "", i->config->id, l->key),
                                      buf_view(&b), &id, why);
    buf_done(&b);
    return e;
}

static Err add_discord(Look *l, const Integration *i, const NotifyData *d, DiscordMessage kind, char item,
                       Why *why)
{
    Buf body;
    buf_init(&body, 4 << 20);
    Err e = discord_body(i->config, l->a->config->templates, d, kind, &l->arena, &body, why);
    if (e == OK)
        e = add_item(l, i, item, buf_view(&body), why);
    buf_done(&body);
    return e;
}

/* The alerts this integration is to see. */
static NotifyData data_for(Look *l, const Integration *i, Reason reason, bool with_resolved)
{
    NotifyAlert *at = arena_array(&l->arena, NotifyAlert, l->len + 1);
    u32 n = 0;
    for (u32 k = 0; at && k < l->len; k++)
        if (with_resolved || !l->alerts[k].is_resolved)
            at[n++] = l->alerts[k];
    NotifyData d = {.receiver = i->receiver->name,
                    .external_url = l->a->globals.external_url,
                    .group_key = l->key,
                    .reason = str_c(reasons[reason]),
                    .alerts = at,
                    .len = n,
                    .group_labels = l->labels,
                    .now_ms = l->now};
    notify_set_common(&d, &l->arena);
    return d;
}

static Err say(Look *l, const Integration *i, Reason reason, Why *why)
{
    const IntegrationConfig *c = i->config;
    NotifyData d = data_for(l, i, reason, c->send_resolved);
    if (c->kind == INTEGRATION_WEBHOOK) {
        if (!d.len)
            return OK;
        Buf body;
        buf_init(&body, 4 << 20);
        webhook_body(c, &d, &body);
        Err e = add_item(l, i, ITEM_WEBHOOK, buf_view(&body), why);
        buf_done(&body);
        return e;
    }
    if (c->style == DISCORD_ALERTMANAGER)
        return d.len ? add_discord(l, i, &d, DISCORD_POST, ITEM_POST, why) : OK;
    if (reason != SOME_RESOLVED && reason != ALL_RESOLVED)
        return add_discord(l, i, &d, DISCORD_POST, ITEM_POST, why);
    /* Resolving edits what was posted; a short reply tells those who look only at what is new. */
    NotifyData all = data_for(l, i, reason, true);
    TRY(add_discord(l, i, &all, DISCORD_EDIT, reason == ALL_RESOLVED ? ITEM_FINAL : ITEM_EDIT, why));
    return c->send_resolved ? add_discord(l, i, &all, DISCORD_REPLY, ITEM_REPLY, why) : OK;
}

static void look_for(Look *l, Integration *i)
{
    Str key = alerter_key(&l->arena, "n\n", i->config->id, l->key);
    Said s = said_read(l->a, key, &l->arena);
    Reason reason = reason_for(l, &s, i);
    Why why = {0};
    if (reason == NOTHING)
        return;
    /* First the message, then the note that it was said: a crash between says it twice, never not at all. */
    Err e = say(l, i, reason, &why);
    if (e == OK)
        e = said_write(l->a, key, l->now, l->firing, l->firing_len, l->resolved, l->resolved_len, &why);
    if (e == OK)
        return;
    LOG_ERROR("alert", "Notification could not be queued", LF_STR("integration", i->config->id),
              LF_STR("group", l->key), LF_WHY(&why));
    mutex_lock(&l->a->lock);
    str_fit(i->last_error, sizeof i->last_error, why.text);
    i->last_error_ms = l->now;
    mutex_unlock(&l->a->lock);
    metric_inc(i->m_failed);
    /* A template that fails will fail again; a full disk will not last. */
    l->failed |= e == E_NOSPACE || e == E_BUSY || e == E_UNAVAILABLE || e == E_IO;
}

static int by_job_instance(const void *x, const void *y)
{
    const NotifyAlert *a = x, *b = y;
    int c = str_cmp(labels_get(a->labels, S("job")), labels_get(b->labels, S("job")));
    if (!c)
        c = str_cmp(labels_get(a->labels, S("instance")), labels_get(b->labels, S("instance")));
    return c ? c : labels_cmp(a->labels, b->labels);
}

/* Copies the group; the lock is held. */
static bool look_begin(Look *l, Alerter *a, AlertGroup *g, i64 now)
{
    l->a = a;
    l->group = g;
    l->route = g->route;
    l->now = now;
    l->key = arena_dup(&l->arena, g->key);
    l->labels = labels_dup(&l->arena, g->labels);
    size_t n = g->alerts.len;
    l->alerts = arena_array(&l->arena, NotifyAlert, n + 1);
    l->firing = arena_array(&l->arena, u64, n + 1);
    l->resolved = arena_array(&l->arena, u64, n + 1);
    if (!l->alerts || !l->firing || !l->resolved)
        return false;
    for (size_t i = 0; i < n; i++) {
        const GroupAlert *x = &g->alerts.at[i];
        bool resolved = x->ends_ms && x->ends_ms <= now;
        l->alerts[l->len++] = (NotifyAlert){.labels = labels_dup(&l->arena, x->labels),
                                            .annotations = labels_dup(&l->arena, x->annotations),
                                            .starts_ms = x->starts_ms,
                                            .ends_ms = resolved ? x->ends_ms : 0,
                                            .is_resolved = resolved,
                                            .generator_url = arena_dup(&l->arena, str_c(x->generator_url)),
                                            .fingerprint = x->fingerprint};
        if (resolved)
            l->resolved[l->resolved_len++] = x->fingerprint;
        else
            l->firing[l->firing_len++] = x->fingerprint;
    }
    if (l->len > 1)
        qsort(l->alerts, l->len, sizeof *l->alerts, by_job_instance);
    if (l->firing_len > 1)
        qsort(l->firing, l->firing_len, sizeof *l->firing, u64_order);
    if (l->resolved_len > 1)
        qsort(l->resolved, l->resolved_len, sizeof *l->resolved, u64_order);
    return !arena_over(&l->arena);
}

/* What was resolved and told is forgotten; an empty group goes. The lock is held. */
static void look_end(Look *l)
{
    AlertGroup *g = l->group;
    Alerter *a = l->a;
    g->is_flushing = false;
    g->was_flushed = true;
    g->next_ms += l->route->group_interval_ms;
    if (g->next_ms <= l->now)
        g->next_ms = l->now + l->route->group_interval_ms;
    if (l->failed) {
        g->next_ms = MIN(g->next_ms, l->now + 10 * MS_PER_SEC);
        return;
    }
    for (size_t i = 0; i < g->alerts.len;) {
        GroupAlert *x = &g->alerts.at[i];
        bool told = x->ends_ms && x->ends_ms <= l->now &&
                    bsearch(&x->fingerprint, l->resolved, l->resolved_len, sizeof(u64), u64_order);
        if (!told) {
            i++;
            continue;
        }
        group_remove_alert(g, i);
        a->alerts_count--;
    }
    if (g->alerts.len)
        return;
    strmap_del(&a->by_key, g->key);
    for (size_t i = 0; i < a->groups.len; i++)
        if (a->groups.at[i] == g) {
            a->groups.at[i] = a->groups.at[--a->groups.len];
            break;
        }
    metric_set(a->m_groups, (f64)a->groups.len);
    alert_group_free(g);
}

static AlertGroup *next_due(Alerter *a, i64 now)
{
    for (size_t i = 0; i < a->groups.len; i++)
        if (a->groups.at[i]->next_ms <= now && !a->groups.at[i]->is_flushing)
            return a->groups.at[i];
    return NULL;
}

void alerter_flush_due(Alerter *a)
{
    for (;;) {
        Look l = {0};
        arena_init(&l.arena, NULL, 512 << 20);
        mutex_lock(&a->lock);
        AlertGroup *g = a->is_closing ? NULL : next_due(a, clock_wall_ms(a->env.clock));
        bool good = g && look_begin(&l, a, g, clock_wall_ms(a->env.clock));
        if (g)
            g->is_flushing = true;
        mutex_unlock(&a->lock);
        if (!g) {
            arena_done(&l.arena);
            break;
        }
        for (size_t i = 0; good && i < a->integrations.len; i++)
            if (a->integrations.at[i]->receiver == l.route->receiver)
                look_for(&l, a->integrations.at[i]);
        l.failed |= !good;
        mutex_lock(&a->lock);
        look_end(&l);
        mutex_unlock(&a->lock);
        arena_done(&l.arena);
    }
    alerter_load_outbox(a);
}
