/* alerter_internal: groups, integrations and their queues; shared by alerter.c, flush.c, deliver.c and status.c. */
#pragma once
#include "alert/alert_internal.h"
#include "alert/notify/notify.h"

typedef struct GroupAlert {
    Labels labels, annotations; /* heap */
    u64 fingerprint;
    i64 starts_ms, ends_ms; /* ends <= now: resolved */
    char *generator_url;
} GroupAlert;

typedef struct AlertGroup {
    Str key; /* heap */
    Labels labels;
    const AlertRoute *route;
    VEC(GroupAlert) alerts;
    U64Map by_fingerprint;
    i64 next_ms;
    bool was_flushed, is_flushing;
} AlertGroup;

typedef struct QueueItem {
    u64 id;
    Str group_key, body; /* heap; body[0] is the kind */
    i64 created_ms;
} QueueItem;

typedef struct Integration {
    const IntegrationConfig *config;
    const Receiver *receiver;
    VEC(QueueItem) queue;
    bool busy, is_stopped;
    u32 fails;
    i64 blocked_until_ms, last_ok_ms, last_error_ms;
    char last_error[512];
    Metric *m_sent, *m_failed;
} Integration;

struct Alerter {
    AlerterEnv env;
    AlertSink sink;
    Mutex lock;
    Cond idle;
    Timer timer;
    AlertConfig *config;
    AlertGlobals globals;
    Arena *globals_arena;
    VEC(AlertGroup *) groups;
    StrMap by_key;
    u64 alerts_count;
    VEC(Integration *) integrations;
    Outbox *outbox;
    bool flushing, is_closing, tick_posted;
    Metric *m_received, *m_dropped, *m_groups;
};

enum { ALERTS_MAX = 500000, MESSAGE_IDS_MAX = 5 };
#define DELIVERY_AGE_MAX_MS (24 * 3600 * MS_PER_SEC)

/* Kinds of outbox items, the first byte of the body. */
enum { ITEM_POST = 'P', ITEM_EDIT = 'E', ITEM_FINAL = 'F', ITEM_REPLY = 'R', ITEM_WEBHOOK = 'W' };

void alerter_tick_soon(Alerter *a); /* from any thread */
void alerter_flush_due(
    Alerter *a); /* pool: looks at the groups whose time has come, then takes new outbox items in */
void alerter_load_outbox(Alerter *a);
void integration_deliver(Alerter *a, Integration *i); /* pool: until the queue is empty or blocked */
/* Outbox and fact keys are bounded: a long group key is stood for by its hash. */
Str alerter_key(Arena *arena, const char *prefix, Str integration, Str group_key);
void group_remove_alert(AlertGroup *g, size_t i);
void alert_group_free(AlertGroup *g);
void queue_item_done(QueueItem *q);
