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
            vec_push(&i->lanes[hash_str(group_key) % i->lanes_len].queue,
                     (QueueItem){.id = item.id,
                                 .group_key = mem_dup(group_key),
                                 .body = mem_dup(item.body),
                                 .created_ms = item.created_ms});
        mutex_unlock(&a->lock);
        if (!i || !item.body.len)
            outbox_dead(a->outbox, item.id, S("the receiver is no longer configured"), NULL);
    }
    arena_done(&arena);
}

/* ---- message ids of a group, newest first, one a line; " picture" after those of cards that have one ---- */
static Str ids_with(Str before, const char *id, bool has_picture, Arena *arena)
{
    Buf b;
    buf_init(&b, 1024);
    buf_printf(&b, "%s%s\n", id, has_picture ? " picture" : "");
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
        Str line;
        str_cut(ids, '\n', &line, &ids);
        if (!line.len)
            continue;
        bool has_picture = str_cut(line, ' ', &id, &line);
        Delivery d = {.config = i->config, .kind = 'E', .body = str_skip(q->body, 1), .message_id = id};
        if (has_picture)
            d.body = discord_with_picture(d.body, false, arena); /* the one that is there stays in the card */
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

/* Slack: what was posted is updated by what follows, until a first notification begins anew. */
static bool is_updating(const Integration *i)
{
    return i->config->kind == INTEGRATION_SLACK && integration_is_on(i->config, "update_message");
}

static void keep_slack_message(Alerter *a, const Integration *i, const QueueItem *q, bool was_update,
                               Arena *arena, DeliveryResult *r)
{
    Str key = alerter_key(arena, "m\n", i->config->id, q->group_key);
    Why why = {0};
    Err e = OK;
    if (r->verdict == DELIVERED && r->provider_id[0] && r->place[0]) {
        e = outbox_fact_set(a->outbox, key, arena_printf(arena, "%s %s", r->provider_id, r->place), &why);
    } else if (r->verdict == DELIVERY_GONE && was_update) { /* somebody deleted it: post anew */
        e = outbox_fact_set(a->outbox, key, S(""), &why);
        r->verdict = DELIVERY_RETRY;
        r->retry_ms = 1;
    }
    if (e != OK)
        LOG_WARN("alert", "Message id could not be recorded; it will not be updated", LF_WHY(&why));
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
                  .kind = kind == ITEM_WEBHOOK || kind == ITEM_URL || kind == ITEM_FIRST ? 'W'
                          : kind == ITEM_REPLY || kind == ITEM_MORE                      ? 'R'
                                                                                         : 'P',
                  .body = str_skip(q->body, 1),
                  .group_key = q->group_key};
    if (kind == ITEM_URL)
        str_cut(d.body, '\n', &d.url, &d.body);
    if (kind == ITEM_CHART) {
        Str ask;
        str_cut(d.body, '\n', &ask, &d.body);
        d.picture = picture_draw(a, ask, arena);
        if (d.picture.len)
            d.body = discord_with_picture(d.body, true, arena);
    }
    if (kind == ITEM_WEBHOOK && is_updating(i))
        d.message_id = outbox_fact(a->outbox, alerter_key(arena, "m\n", i->config->id, q->group_key), arena);
    notify_deliver(&t, &d, arena, ret);
    if (is_updating(i))
        keep_slack_message(a, i, q, d.message_id.len > 0, arena, ret);
    if (ret->verdict == DELIVERED && (kind == ITEM_POST || kind == ITEM_CHART) && ret->provider_id[0]) {
        Str key = alerter_key(arena, "m\n", i->config->id, q->group_key);
        Why why = {0};
        if (outbox_fact_set(
                a->outbox, key,
                ids_with(outbox_fact(a->outbox, key, arena), ret->provider_id, d.picture.len > 0, arena),
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

static void pop(Alerter *a, Lane *l)
{
    mutex_lock(&a->lock);
    queue_item_done(&l->queue.at[0]);
    memmove(l->queue.at, l->queue.at + 1, (l->queue.len - 1) * sizeof l->queue.at[0]);
    l->queue.len--;
    mutex_unlock(&a->lock);
}

void alerter_note(Alerter *a, const Integration *i, Str group_key, const char *state, const char *provider_id,
                  const char *reason)
{
    mutex_lock(&a->lock);
    ledger_add(&a->state, clock_wall_ms(a->env.clock), i->config->id, group_key, state, provider_id, reason);
    mutex_unlock(&a->lock);
}

static void give_up(Alerter *a, Lane *l, const QueueItem *q, const char *reason)
{
    Integration *i = l->of;
    metric_inc(i->m_failed);
    LOG_ERROR("alert", "Notification given up", LF_STR("integration", i->config->id), LF_C("reason", reason));
    alerter_note(a, i, q->group_key, "given up", "", reason);
    outbox_dead(a->outbox, q->id, str_c(reason), NULL);
    pop(a, l);
}

static const char *done_word(const QueueItem *q)
{
    switch (q->body.at[0]) {
    case ITEM_EDIT:
        return "edited";
    case ITEM_FINAL:
        return "resolved";
    default:
        return "accepted";
    }
}

/* What the answer means for the lane and the integration. The lock is held. */
static void take_answer(Alerter *a, Lane *l, const DeliveryResult *r, i64 now, bool too_old)
{
    Integration *i = l->of;
    if (r->pause_ms)
        block(a, i, false, now + r->pause_ms);
    if (r->verdict == DELIVERED) {
        l->fails = 0;
        i->last_ok_ms = now;
    } else {
        str_fit(i->last_error, sizeof i->last_error, r->reason);
        i->last_error_ms = now;
    }
    if (r->verdict == DELIVERY_RETRY && !too_old) {
        /* The provider's own pause is for everything it gets; ours for what failed. */
        if (r->retry_ms)
            block(a, i, r->is_global, now + r->retry_ms + (i64)(random_u64() % 50));
        else
            l->blocked_until_ms = now + backoff_ms(l->fails);
        l->fails++;
    }
    if (r->verdict == DELIVERY_STOP)
        i->is_stopped = true;
}

static void settle(Alerter *a, Lane *l, QueueItem *q, const DeliveryResult *r)
{
    Integration *i = l->of;
    i64 now = clock_wall_ms(a->env.clock);
    bool too_old = now - q->created_ms > DELIVERY_AGE_MAX_MS;
    mutex_lock(&a->lock);
    take_answer(a, l, r, now, too_old);
    mutex_unlock(&a->lock);
    metric_inc(i->m_requests);
    if (r->verdict != DELIVERED)
        metric_inc(i->m_requests_failed);
    switch (r->verdict) {
    case DELIVERED:
        metric_inc(i->m_sent);
        alerter_note(a, i, q->group_key, done_word(q), r->provider_id, "");
        outbox_done(a->outbox, q->id, str_c(r->provider_id), NULL);
        pop(a, l);
        break;
    case DELIVERY_RETRY:
        if (too_old) {
            give_up(a, l, q, "it could not be delivered for a day");
            break;
        }
        LOG_WARN("alert", "Notification will be tried again", LF_STR("integration", i->config->id),
                 LF_C("reason", r->reason));
        if (l->fails == 1)
            alerter_note(a, i, q->group_key, "retrying", "", r->reason);
        break;
    case DELIVERY_GONE:
    case DELIVERY_STOP:
        give_up(a, l, q, r->reason);
        break;
    }
}

u32 lane_deliver(Alerter *a, Lane *l)
{
    for (u32 done = 0;; done++) {
        Arena arena;
        QueueItem q;
        mutex_lock(&a->lock);
        i64 until = MAX(l->blocked_until_ms, l->of->blocked_until_ms);
        bool work = l->queue.len && !a->is_closing && until <= clock_wall_ms(a->env.clock);
        if (work)
            q = l->queue.at[0]; /* only this job removes from the head */
        bool stopped = l->of->is_stopped;
        mutex_unlock(&a->lock);
        if (!work)
            return done;
        if (stopped) {
            give_up(a, l, &q, "the receiver is stopped until the configuration is reloaded");
            continue;
        }
        arena_init(&arena, NULL, 64 << 20);
        DeliveryResult r;
        i64 began = clock_mono_ns(a->env.clock);
        send_item(a, l->of, &q, &arena, &r);
        metric_observe(l->of->m_latency, (f64)(clock_mono_ns(a->env.clock) - began) / 1e9);
        settle(a, l, &q, &r);
        arena_done(&arena);
    }
}
