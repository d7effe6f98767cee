/* What the alerter is doing, for pages. No URL is in here: they are secrets. */
#include "alert/alerter_internal.h"

#include <stdio.h>

static void put_time(Json *j, const char *key, i64 ms)
{
    if (!ms)
        return;
    Buf b;
    buf_init(&b, 64);
    print_rfc3339_ms(&b, ms);
    js_kv(j, key, buf_view(&b));
    buf_done(&b);
}

static void put_integration(Json *j, const Integration *i, i64 now)
{
    const char *health = i->is_stopped ? "stopped" : i->fails ? "failing" : "ok";
    js_object(j);
    js_kv(j, "name", i->config->id);
    js_kv(j, "receiver", i->receiver->name);
    js_kv(j, "kind", str_c(integration_kind_name(i->config->kind)));
    js_kv(j, "health", str_c(health));
    js_key(j, S("queued"));
    js_u64(j, i->queue.len);
    put_time(j, "lastDelivery", i->last_ok_ms);
    if (i->last_error[0]) {
        js_kv(j, "lastError", str_c(i->last_error));
        put_time(j, "lastErrorAt", i->last_error_ms);
    }
    if (i->blocked_until_ms > now)
        put_time(j, "blockedUntil", i->blocked_until_ms);
    js_object_end(j);
}

static void put_group(Json *j, const AlertGroup *g, i64 now)
{
    js_object(j);
    js_kv(j, "key", g->key);
    js_key(j, S("labels"));
    labels_json(j, g->labels);
    js_kv(j, "receiver", g->route->receiver->name);
    js_key(j, S("alerts"));
    js_array(j);
    for (size_t i = 0; i < g->alerts.len; i++) {
        const GroupAlert *x = &g->alerts.at[i];
        char fingerprint[24];
        snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)x->fingerprint);
        js_object(j);
        js_kv(j, "fingerprint", str_c(fingerprint));
        js_kv(j, "status", x->ends_ms && x->ends_ms <= now ? S("resolved") : S("firing"));
        js_key(j, S("labels"));
        labels_json(j, x->labels);
        put_time(j, "startsAt", x->starts_ms);
        js_object_end(j);
    }
    js_array_end(j);
    js_object_end(j);
}

void alerter_status_json(Alerter *a, Json *j)
{
    i64 now = clock_wall_ms(a->env.clock);
    u64 queued = outbox_queued(a->outbox);
    js_object(j);
    js_key(j, S("queued"));
    js_u64(j, queued);
    mutex_lock(&a->lock);
    js_key(j, S("integrations"));
    js_array(j);
    for (size_t i = 0; i < a->integrations.len; i++)
        put_integration(j, a->integrations.at[i], now);
    js_array_end(j);
    js_key(j, S("groups"));
    js_array(j);
    for (size_t i = 0; i < a->groups.len; i++)
        put_group(j, a->groups.at[i], now);
    js_array_end(j);
    mutex_unlock(&a->lock);
    js_object_end(j);
}
