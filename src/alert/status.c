/* What the alerter is doing, for pages. No URL is in here: they are secrets. */
#include "alert/alerter_internal.h"

#include <stdio.h>

static void put_integration(Json *j, const Integration *i, i64 now)
{
    u64 queued = 0;
    u32 fails = 0;
    i64 blocked = i->blocked_until_ms;
    for (u32 k = 0; k < i->lanes_len; k++) {
        queued += i->lanes[k].queue.len;
        fails = MAX(fails, i->lanes[k].fails);
        if (i->lanes[k].queue.len)
            blocked = MAX(blocked, i->lanes[k].blocked_until_ms);
    }
    const char *health = i->is_stopped ? "stopped" : fails ? "failing" : "ok";
    js_object(j);
    js_kv(j, "name", i->config->id);
    js_kv(j, "receiver", i->receiver->name);
    js_kv(j, "kind", str_c(integration_kind_name(i->config->kind)));
    js_kv(j, "health", str_c(health));
    js_key(j, S("queued"));
    js_u64(j, queued);
    js_kv_time_ms(j, "lastDelivery", i->last_ok_ms);
    if (i->last_error[0]) {
        js_kv(j, "lastError", str_c(i->last_error));
        js_kv_time_ms(j, "lastErrorAt", i->last_error_ms);
    }
    if (blocked > now)
        js_kv_time_ms(j, "blockedUntil", blocked);
    js_object_end(j);
}

static void put_group(Json *j, const AlertGroup *g, i64 now)
{
    enum { ALERTS_SHOWN = 100 };
    Buf key;
    buf_init(&key, 1 << 20);
    group_key_print(&key, g->route, g->labels);
    js_object(j);
    js_kv(j, "key", buf_view(&key));
    buf_done(&key);
    js_key(j, S("labels"));
    labels_json(j, g->labels);
    js_kv(j, "receiver", g->route->receiver->name);
    js_kv_time_ms(j, "lastFlush", g->last_ms);
    js_kv_time_ms(j, "nextFlush", g->next_ms);
    js_key(j, S("alertsTotal"));
    js_u64(j, g->alerts.len);
    js_key(j, S("alerts"));
    js_array(j);
    for (size_t i = 0; i < g->alerts.len && i < ALERTS_SHOWN; i++) {
        const StoredAlert *x = g->alerts.at[i];
        char fingerprint[24];
        snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)x->fingerprint);
        js_object(j);
        js_kv(j, "fingerprint", str_c(fingerprint));
        js_kv(j, "status", alert_is_resolved(x, now * NS_PER_MS) ? S("resolved") : S("firing"));
        js_key(j, S("labels"));
        labels_json(j, x->labels);
        js_kv_time_ms(j, "startsAt", x->starts_ns / NS_PER_MS);
        js_object_end(j);
    }
    js_array_end(j);
    js_object_end(j);
}

void alerter_status_json(Alerter *a, Json *j)
{
    enum { GROUPS_SHOWN = 200 };
    i64 now = clock_wall_ms(a->env.clock);
    u64 queued = outbox_queued(a->outbox);
    js_object(j);
    js_key(j, S("queued"));
    js_u64(j, queued);
    mutex_lock(&a->lock);
    js_key(j, S("alerts"));
    js_u64(j, a->state.alerts.len);
    js_key(j, S("integrations"));
    js_array(j);
    for (size_t i = 0; i < a->integrations.len; i++)
        put_integration(j, a->integrations.at[i], now);
    js_array_end(j);
    js_key(j, S("groupsTotal"));
    js_u64(j, a->groups_len);
    js_key(j, S("groups"));
    js_array(j);
    for (size_t i = 0; i < a->heap.len && i < GROUPS_SHOWN; i++)
        put_group(j, a->heap.at[i], now);
    js_array_end(j);
    mutex_unlock(&a->lock);
    js_object_end(j);
}
