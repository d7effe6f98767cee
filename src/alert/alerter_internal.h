/* alerter_internal: groups, integrations and their queues; shared by alerter.c, dispatch.c, flush.c, deliver.c, why.c, tree.c
 * and the API. */
#pragma once
#include "alert/inhibit.h"
#include "alert/meters.h"
#include "alert/notify/notify.h"
#include "alert/state.h"

struct AlertGroup {
    const AlertRoute *route;
    Labels labels; /* heap */
    u64 hash;      /* of the route and the labels */
    AlertGroup *same_hash;
    VEC(StoredAlert *) alerts;
    i64 next_ms, last_ms; /* when it is looked at, and was (0 = never) */
    u32 heap_index;       /* + 1; 0 = being looked at */
};

typedef struct QueueItem {
    u64 id;
    Str group_key, body; /* heap; body[0] is the kind */
    i64 created_ms;
    u32 attempts;
} QueueItem;

enum { LANES_MAX = 4 };
typedef struct Integration Integration;
/* What is in order: one delivery at a time. A group always takes the same lane. */
typedef struct Lane {
    Integration *of;
    VEC(QueueItem) queue;
    bool busy;
    u32 fails;
    i64 blocked_until_ms;
} Lane;
struct Integration {
    const IntegrationConfig *config;
    const Receiver *receiver;
    Lane lanes[LANES_MAX];
    u32 lanes_len;
    bool is_stopped;
    i64 blocked_until_ms; /* the provider said so: all lanes */
    i64 last_ok_ms, last_error_ms;
    char last_error[512];
    Metric *m_sent, *m_failed, *m_requests, *m_requests_failed, *m_latency;
};

struct Alerter {
    AlerterEnv env;
    AlertSink sink;
    Mutex lock;
    Cond idle;
    Timer timer;
    AlertConfig *config;
    AlertGlobals globals;
    Arena *globals_arena;
    AlertState state;
    Inhibitor inhibitor;
    VEC(AlertGroup *) heap; /* by next_ms */
    U64Map groups;          /* hash -> AlertGroup * */
    u64 groups_len;
    VEC(Integration *) integrations;
    Pool *deliver_pool; /* a thread for every lane, up to DELIVER_THREADS_MAX */
    u32 deliver_threads;
    Outbox *outbox;
    u32 flushing; /* jobs */
    u32 untidy;   /* groups and messages since the heap was given back */
    i64 untidy_ms;
    bool compacting, is_closing, is_stopped, tick_posted;
    i64 started_ms, collected_ms;
    Metric *m_firing, *m_resolved, *m_invalid, *m_dropped, *m_groups, *m_suppressed[4];
};
enum { SUPPRESSED_SILENCE, SUPPRESSED_INHIBITION, SUPPRESSED_MUTE_TIME, SUPPRESSED_ACTIVE_TIME };

enum { ALERTS_MAX = 1000000, MESSAGE_IDS_MAX = 5, FLUSH_JOBS_MAX = 2, DELIVER_THREADS_MAX = 64 };
#define DELIVERY_AGE_MAX_MS (24 * 3600 * MS_PER_SEC)

/* Kinds of outbox items, the first byte of the body. */
enum {
    ITEM_POST = 'P',
    ITEM_EDIT = 'E',
    ITEM_FINAL = 'F',
    ITEM_REPLY = 'R',
    ITEM_CHART = 'C',   /* a post behind a line that says what to draw beside it */
    ITEM_MORE = 'M',    /* the rest of a message that was too long for one */
    ITEM_WEBHOOK = 'W', /* a body for any other integration */
    ITEM_FIRST = 'N',   /* a body that begins a new message, where others update it: Slack */
    ITEM_URL = 'U',     /* the same behind a line that says where to: a webhook whose URL is a template */
};

void alerter_tick_soon(Alerter *a); /* from any thread */
/* Something was done that leaves holes in the heap, in groups rendered: it is given back when all is quiet. */
void alerter_untidy(Alerter *a, u32 done);
/* Durable when it returns OK. Blocks; from pool threads. */
Err alerter_post(Alerter *a, const NewAlert *alerts, u32 n, Why *why);

/* dispatch.c; the lock is held */
void alerter_put(Alerter *a, const NewAlert *n, i64 now_ms, Arena *arena);
void alerter_regroup(Alerter *a, i64 now_ms); /* a new routing tree: all groups anew */
void alerter_free_groups(Alerter *a);
AlertGroup *alerter_find_group(const Alerter *a, const AlertRoute *r, Labels group);
void group_heap_put(Alerter *a, AlertGroup *g); /* inserts, or moves after next_ms has changed */
AlertGroup *group_heap_take_due(Alerter *a, i64 now_ms);
/* False: the group became empty and is freed (it must not be in the heap). */
bool group_remove_alerts(Alerter *a, AlertGroup *g, bool (*gone)(void *arg, const StoredAlert *x), void *arg,
                         i64 now_ns);

/* flush.c */
/* pool: looks at the groups whose time has come and takes the new outbox items in; how many groups */
u32 alerter_flush_due(Alerter *a);
/* Outbox and fact keys are bounded: a long group key is stood for by its hash. */
Str alerter_key(Arena *arena, const char *prefix, Str integration, Str group_key);
typedef struct Said { /* what was last said about a group to an integration */
    bool exists;
    i64 at_ms;
    const u64 *firing, *resolved; /* fingerprints, sorted */
    u32 firing_len, resolved_len;
} Said;
Said said_read(const Alerter *a, Str integration, Str group_key, Arena *arena);

/* deliver.c */
void alerter_load_outbox(Alerter *a);
u32 lane_deliver(Alerter *a, Lane *l); /* pool: until the queue is empty or blocked; how many messages */
void queue_item_done(QueueItem *q);
void alerter_note(Alerter *a, const Integration *i, Str group_key, const char *state, const char *provider_id,
                  const char *reason); /* into the ledger; takes the lock */

/* picture.c */
enum { PICTURE_BYTES_MAX = 4 << 20 };
/* The line that says what to draw for the first firing alert whose link has an expression; false: none has. */
bool picture_ask(const NotifyData *d, Arena *arena, Buf *out);
Str picture_draw(Alerter *a, Str ask, Arena *arena); /* a PNG, or empty: the message goes without */

/* tree.c */
void route_head_json(Json *j, const AlertRoute *r); /* members of an open object */
void route_muted_json(Json *j, const AlertRoute *r, i64 now_s);
void route_tree_json(Json *j, const AlertRoute *r, i64 now_s);
/* Every route that was asked, those below before those above: taken (an alert goes there), passed (it matched, and one below took
 * the alert) or refused (by which matcher). Those that are missing were not asked. */
void route_walk_json(Json *j, const AlertRoute *root, Labels alert);

/* why.c */
void alerter_routes(Alerter *a, HttpServer *s); /* /api/v1/alerting/... */
void alerter_deliveries_json(Alerter *a, Str integration, Json *j);
