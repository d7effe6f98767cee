/* Looking at a group: has anything changed since its receiver was last told, and what is to be said? */
#include "alert/alerter_internal.h"

#include <stdio.h>
#include <stdlib.h>

Str alerter_key(Arena *arena, const char *prefix, Str integration, Str group_key)
{
    enum { GROUP_KEY_MAX = 300 }; /* facts are many */
    if (group_key.len > GROUP_KEY_MAX)
        return arena_printf(arena, "%s%.*s\n#%016llx%016llx", prefix, STR_FMT(integration),
                            (unsigned long long)hash_str(group_key),
                            (unsigned long long)hash_bytes(group_key.at, group_key.len, 1));
    return arena_printf(arena, "%s%.*s\n%.*s", prefix, STR_FMT(integration), STR_FMT(group_key));
}

Said said_read(const Alerter *a, Str integration, Str group_key, Arena *arena)
{
    Said s = {0};
    i64 began = clock_mono_ns(a->env.clock);
    Str v = outbox_fact(a->outbox, alerter_key(arena, "n\n", integration, group_key), arena);
    metric_inc(alert_meters()->nflog_queries);
    metric_observe(alert_meters()->nflog_query_seconds, (f64)(clock_mono_ns(a->env.clock) - began) / 1e9);
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
    U64Map versions; /* resolved ones as they were seen: fingerprint -> version */
    i64 now, now_ns;
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
    if (e == OK)
        alerter_note(l->a, i, l->key, "queued", "", "");
    return e;
}

static Err add_discord(Look *l, const Integration *i, const NotifyData *d, DiscordMessage kind, char item,
                       Why *why)
{
    Buf body;
    buf_init(&body, 4 << 20);
    if (item == ITEM_CHART && !picture_ask(d, &l->arena, &body))
        item = ITEM_POST;
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
                    .silence_path = l->a->globals.silence_path,
                    .group_key = l->key,
                    .reason = str_c(reasons[reason]),
                    .alerts = at,
                    .len = n,
                    .group_labels = l->labels,
                    .now_ms = l->now};
    notify_set_common(&d, &l->arena);
    return d;
}

/* A message that is no Discord message. */
static Err say_other(Look *l, const Integration *i, const NotifyData *d, Reason reason, Why *why)
{
    Buf body;
    buf_init(&body, 4 << 20);
    bool templated_url = i->config->kind == INTEGRATION_WEBHOOK &&
                         str_find(secret_reveal(i->config->url), S("{{")) != SIZE_MAX;
    Err e = OK;
    if (templated_url) {
        Str url = notify_text(l->a->config->templates, d, secret_reveal(i->config->url), &l->arena);
        buf_printf(&body, "%.*s\n", STR_FMT(url));
    }
    e = notify_body(i->config, l->a->config->templates, d, &l->arena, &body, why);
    if (e == OK)
        e = add_item(l, i,
                     templated_url     ? ITEM_URL
                     : reason == FIRST ? ITEM_FIRST
                                       : ITEM_WEBHOOK,
                     buf_view(&body), why);
    buf_done(&body);
    return e;
}

static Err say(Look *l, const Integration *i, Reason reason, Why *why)
{
    const IntegrationConfig *c = i->config;
    NotifyData d = data_for(l, i, reason, c->send_resolved);
    if (c->kind != INTEGRATION_DISCORD)
        return d.len ? say_other(l, i, &d, reason, why) : OK;
    if (c->style == DISCORD_ALERTMANAGER)
        return d.len ? add_discord(l, i, &d, DISCORD_POST, ITEM_POST, why) : OK;
    if (reason != SOME_RESOLVED && reason != ALL_RESOLVED) {
        TRY(add_discord(l, i, &d, DISCORD_POST, l->a->env.chart ? ITEM_CHART : ITEM_POST, why));
        for (u32 part = 1; part < discord_parts(c, &d); part++) {
            d.part = part;
            TRY(add_discord(l, i, &d, DISCORD_MORE, ITEM_MORE, why));
        }
        return OK;
    }
    /* Resolving edits what was posted; a short reply tells those who look only at what is new. */
    NotifyData all = data_for(l, i, reason, true);
    TRY(add_discord(l, i, &all, DISCORD_EDIT, reason == ALL_RESOLVED ? ITEM_FINAL : ITEM_EDIT, why));
    return c->send_resolved ? add_discord(l, i, &all, DISCORD_REPLY, ITEM_REPLY, why) : OK;
}

static void look_for(Look *l, Integration *i)
{
    Str key = alerter_key(&l->arena, "n\n", i->config->id, l->key);
    Said s = said_read(l->a, i->config->id, l->key, &l->arena);
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
    alerter_note(l->a, i, l->key, "not queued", "", why.text);
    metric_inc(i->m_failed);
    /* A template that fails will fail again; a full disk will not last. */
    l->failed |= e == E_NOSPACE || e == E_BUSY || e == E_UNAVAILABLE || e == E_IO;
}

static int by_labels(const void *x, const void *y)
{
    return alerts_order(((const NotifyAlert *)x)->labels, ((const NotifyAlert *)y)->labels);
}

/* Copies the group; the lock is held. */
static bool look_begin(Look *l, AlertGroup *g)
{
    Buf key;
    buf_init(&key, 1 << 20);
    group_key_print(&key, g->route, g->labels);
    l->group = g;
    l->route = g->route;
    l->now_ns = clock_wall_ns(l->a->env.clock);
    l->now = l->now_ns / NS_PER_MS;
    l->key = arena_dup(&l->arena, buf_view(&key));
    l->labels = labels_dup(&l->arena, g->labels);
    buf_done(&key);
    size_t n = g->alerts.len;
    l->alerts = arena_array(&l->arena, NotifyAlert, n + 1);
    l->firing = arena_array(&l->arena, u64, n + 1);
    l->resolved = arena_array(&l->arena, u64, n + 1);
    if (!l->alerts || !l->firing || !l->resolved)
        return false;
    for (size_t i = 0; i < n; i++) {
        const StoredAlert *x = g->alerts.at[i];
        bool resolved = alert_is_resolved(x, l->now_ns);
        l->alerts[l->len++] = (NotifyAlert){.labels = labels_dup(&l->arena, x->labels),
                                            .annotations = labels_dup(&l->arena, x->annotations),
                                            .starts_ns = x->starts_ns,
                                            .ends_ns = resolved ? x->ends_ns : 0,
                                            .is_resolved = resolved,
                                            .generator_url = arena_dup(&l->arena, str_c(x->generator_url)),
                                            .fingerprint = x->fingerprint};
        if (resolved)
            u64map_put(&l->versions, x->fingerprint, x->version);
    }
    return !arena_over(&l->arena);
}

/* Inhibited and silenced alerts leave; others may have the lock between. */
static void look_mute(Look *l)
{
    enum { AT_ONCE = 64 };
    Alerter *a = l->a;
    const TimeIntervals *by[1];
    u32 kept = 0, inhibited = 0, silenced = 0;
    for (u32 i = 0; i < l->len; i += AT_ONCE) {
        mutex_lock(&a->lock);
        for (u32 k = i; k < l->len && k < i + AT_ONCE; k++) {
            const Silence *s;
            if (inhibitor_find(&a->inhibitor, l->alerts[k].labels, l->now_ns, NULL))
                inhibited++;
            else if (silences_matching(&a->state, l->alerts[k].labels, l->now_ns, &s, 1))
                silenced++;
            else
                l->alerts[kept++] = l->alerts[k];
        }
        mutex_unlock(&a->lock);
    }
    if (inhibited)
        metric_add(a->m_suppressed[SUPPRESSED_INHIBITION], inhibited);
    if (alert_route_muted_by(l->route, l->now / 1000, by, 1)) {
        bool active = l->route->active_len && by[0] == l->route->active[0];
        metric_add(a->m_suppressed[active ? SUPPRESSED_ACTIVE_TIME : SUPPRESSED_MUTE_TIME], kept + silenced);
        kept = silenced = 0;
    }
    if (silenced)
        metric_add(a->m_suppressed[SUPPRESSED_SILENCE], silenced);
    l->len = kept;
}

static void look_sort(Look *l)
{
    for (u32 i = 0; i < l->len; i++) {
        if (l->alerts[i].is_resolved)
            l->resolved[l->resolved_len++] = l->alerts[i].fingerprint;
        else
            l->firing[l->firing_len++] = l->alerts[i].fingerprint;
    }
    if (l->len > 1)
        qsort(l->alerts, l->len, sizeof *l->alerts, by_labels);
    if (l->firing_len > 1)
        qsort(l->firing, l->firing_len, sizeof *l->firing, u64_order);
    if (l->resolved_len > 1)
        qsort(l->resolved, l->resolved_len, sizeof *l->resolved, u64_order);
}

/* Resolved when we looked, and not touched since. */
static bool is_done(void *arg, const StoredAlert *x)
{
    const Look *l = arg;
    u64 *version = u64map_find(&l->versions, x->fingerprint);
    return version && *version == x->version;
}

/* What was resolved and told is forgotten; an empty group goes. The lock is held. */
static void look_end(Look *l)
{
    AlertGroup *g = l->group;
    g->last_ms = l->now;
    g->next_ms += l->route->group_interval_ms;
    if (g->next_ms <= l->now)
        g->next_ms = l->now + l->route->group_interval_ms;
    if (l->failed)
        g->next_ms = MIN(g->next_ms, l->now + 10 * MS_PER_SEC);
    if (l->failed || !l->versions.len || group_remove_alerts(l->a, g, is_done, l, l->now_ns))
        group_heap_put(l->a, g);
}

u32 alerter_flush_due(Alerter *a)
{
    for (u32 done = 0;; done++) {
        Look l = {.a = a};
        arena_init(&l.arena, NULL, 512 << 20);
        mutex_lock(&a->lock);
        AlertGroup *g = a->is_closing ? NULL : group_heap_take_due(a, clock_wall_ms(a->env.clock));
        bool good = g && look_begin(&l, g);
        mutex_unlock(&a->lock);
        if (g && good) {
            look_mute(&l);
            look_sort(&l);
        }
        for (size_t i = 0; good && l.len && i < a->integrations.len; i++)
            if (a->integrations.at[i]->receiver == l.route->receiver)
                look_for(&l, a->integrations.at[i]);
        l.failed |= !good;
        if (g) {
            mutex_lock(&a->lock);
            look_end(&l);
            mutex_unlock(&a->lock);
        }
        u64map_done(&l.versions);
        arena_done(&l.arena);
        if (!g)
            return done;
        alerter_load_outbox(a);
    }
}
