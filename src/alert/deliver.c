/* Out of the outbox, one integration at a time, in order: send, understand the answer, record it. */
#include "alert/alerter_internal.h"

#include <stdio.h>

static Integration *find_integration(Alerter *a, Str id)
{
    for (size_t i = 0; i < a->integrations.len; i++)
        if (str_eq(a->integrations.at[i]->config->id, id))
            return a->integrations.at[i];
    return NULL;
}

/* Items that wait on disk come into the queues in memory; they stay on disk until they are done. */
void alerter_load_outbox(Alerter *a)
{
    Arena arena;
    arena_init(&arena, NULL, 64 << 20);
    for (;;) {
        OutboxItem item;
        i64 next;
        arena_reset(&arena);
        if (outbox_take(a->outbox, INT64_MAX / 2, &arena, &item, &next) != OK)
            break;
        Str id, group_key;
        str_cut(item.key, '\n', &id, &group_key);
        mutex_lock(&a->lock);
        Integration *i = find_integration(a, id);
        if (i && item.body.len)
            vec_push(&i->queue, (QueueItem){.id = item.id,
                                            .group_key = mem_dup(group_key),
                                            .body = mem_dup(item.body),
                                            .created_ms = item.created_ms});
        mutex_unlock(&a->lock);
        if (!i || !item.body.len)
            outbox_dead(a->outbox, item.id, S("the receiver is no longer configured"), NULL);
    }
    arena_done(&arena);
}

/* ---- message ids of a group, newest first, one a line ---- */
static Str ids_with(Str before, const char *id, Arena *arena)
{
    Buf b;
    buf_init(&b, 1024);
    buf_printf(&b, "%s\n", id);
    Str line, rest = before;
    for (int n = 1; n < MESSAGE_IDS_MAX && rest.len; n++) {
        str_cut(rest, '\n', &line, &rest);
        buf_printf(&b, "%.*s\n", STR_FMT(line));
    }
    Str ret = arena_dup(arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

static void send_edits(Alerter *a, const NotifyTransport *t, const Integration *i, const QueueItem *q,
                       Arena *arena, DeliveryResult *ret)
{
    Str key = alerter_key(arena, "m\n", i->config->id, q->group_key);
    Str ids = outbox_fact(a->outbox, key, arena), id;
    bool final = q->body.at[0] == ITEM_FINAL;
    *ret = (DeliveryResult){.verdict = DELIVERED};
    while (ids.len) {
        str_cut(ids, '\n', &id, &ids);
        if (!id.len)
            continue;
        Delivery d = {.config = i->config, .kind = 'E', .body = str_skip(q->body, 1), .message_id = id};
        notify_deliver(t, &d, arena, ret);
        if (ret->verdict == DELIVERY_GONE) { /* somebody deleted it: nothing to correct */
            ret->verdict = DELIVERED;
            ret->reason[0] = 0;
        }
        if (ret->verdict != DELIVERED)
            return;
        snprintf(ret->provider_id, sizeof ret->provider_id, "%.*s", (int)MIN(id.len, 31), id.at);
        if (!final)
            break; /* older posts of a group that still fires keep what they said */
    }
    if (final)
        outbox_fact_set(a->outbox, key, S(""), NULL);
}

static void send_item(Alerter *a, const Integration *i, const QueueItem *q, Arena *arena, DeliveryResult *ret)
{
    NotifyTransport t = {a->env.client, a->env.call, a->env.call_arg, a->env.vfs, a->env.clock};
    char kind = q->body.at[0];
    if (kind == ITEM_EDIT || kind == ITEM_FINAL) {
        send_edits(a, &t, i, q, arena, ret);
        return;
    }
    Delivery d = {.config = i->config,
                  .kind = kind == ITEM_WEBHOOK ? 'W'
                          : kind == ITEM_REPLY ? 'R'
                                               : 'P',
                  .body = str_skip(q->body, 1)};
    notify_deliver(&t, &d, arena, ret);
    if (ret->verdict == DELIVERED && kind == ITEM_POST && ret->provider_id[0]) {
        Str key = alerter_key(arena, "m\n", i->config->id, q->group_key);
        Why why = {0};
        if (outbox_fact_set(a->outbox, key,
                            ids_with(outbox_fact(a->outbox, key, arena), ret->provider_id, arena),
                            &why) != OK)
            LOG_WARN("alert", "Message id could not be recorded; it will not be edited", LF_WHY(&why));
    }
}

/* Doubles from 1 s to 5 min, with a little chance so that many do not come back at once. */
static i64 backoff_ms(u32 fails)
{
    i64 ms = 1000LL << MIN(fails, 9u);
    ms = MIN(ms, 300 * MS_PER_SEC);
    return ms + (i64)(random_u64() % (u64)(ms / 5 + 1));
}

static bool same_bucket(const Integration *x, const Integration *y, bool global)
{
    if (x->config->kind != INTEGRATION_DISCORD || y->config->kind != INTEGRATION_DISCORD)
        return x == y;
    return global ||
           (secret_is_set(x->config->url) &&
            str_eq(secret_reveal(x->config->url), secret_reveal(y->config->url))) ||
           x == y;
}

static void block(Alerter *a, const Integration *i, bool global, i64 until)
{
    for (size_t k = 0; k < a->integrations.len; k++)
        if (same_bucket(i, a->integrations.at[k], global))
            a->integrations.at[k]->blocked_until_ms = MAX(a->integrations.at[k]->blocked_until_ms, until);
}

static void pop(Alerter *a, Integration *i)
{
    mutex_lock(&a->lock);
    queue_item_done(&i->queue.at[0]);
    memmove(i->queue.at, i->queue.at + 1, (i->queue.len - 1) * sizeof i->queue.at[0]);
    i->queue.len--;
    mutex_unlock(&a->lock);
}

static void give_up(Alerter *a, Integration *i, u64 id, const char *reason)
{
    metric_inc(i->m_failed);
    LOG_ERROR("alert", "Notification given up", LF_STR("integration", i->config->id), LF_C("reason", reason));
    outbox_dead(a->outbox, id, str_c(reason), NULL);
    pop(a, i);
}

/* What the answer means for the item and the integration. */
static void settle(Alerter *a, Integration *i, const QueueItem *q, const DeliveryResult *r)
{
    i64 now = clock_wall_ms(a->env.clock);
    bool too_old = now - q->created_ms > DELIVERY_AGE_MAX_MS;
    mutex_lock(&a->lock);
    if (r->pause_ms)
        block(a, i, false, now + r->pause_ms);
    if (r->verdict == DELIVERED) {
        i->fails = 0;
        i->last_ok_ms = now;
    } else {
        str_fit(i->last_error, sizeof i->last_error, r->reason);
        i->last_error_ms = now;
    }
    if (r->verdict == DELIVERY_RETRY && !too_old) {
        i64 wait = r->retry_ms ? r->retry_ms + (i64)(random_u64() % 50) : backoff_ms(i->fails);
        i->fails++;
        block(a, i, r->is_global, now + wait);
    }
    if (r->verdict == DELIVERY_STOP)
        i->is_stopped = true;
    mutex_unlock(&a->lock);
    switch (r->verdict) {
    case DELIVERED:
        metric_inc(i->m_sent);
        outbox_done(a->outbox, q->id, str_c(r->provider_id), NULL);
        pop(a, i);
        break;
    case DELIVERY_RETRY:
        if (too_old)
            give_up(a, i, q->id, "it could not be delivered for a day");
        else
            LOG_WARN("alert", "Notification will be tried again", LF_STR("integration", i->config->id),
                     LF_C("reason", r->reason));
        break;
    case DELIVERY_GONE:
    case DELIVERY_STOP:
        give_up(a, i, q->id, r->reason);
        break;
    }
}

void integration_deliver(Alerter *a, Integration *i)
{
    for (;;) {
        Arena arena;
        QueueItem q;
        mutex_lock(&a->lock);
        bool work = i->queue.len && !a->is_closing && i->blocked_until_ms <= clock_wall_ms(a->env.clock);
        if (work)
            q = i->queue.at[0]; /* only this job removes from the head */
        bool stopped = i->is_stopped;
        mutex_unlock(&a->lock);
        if (!work)
            return;
        if (stopped) {
            give_up(a, i, q.id, "the receiver is stopped until the configuration is reloaded");
            continue;
        }
        arena_init(&arena, NULL, 64 << 20);
        DeliveryResult r;
        send_item(a, i, &q, &arena, &r);
        settle(a, i, &q, &r);
        arena_done(&arena);
    }
}
