/* alert: from firing rules to people. alertmanager.yml, grouping, deduplication, repeats; the messages themselves are
 * notify/'s.
 *
 *     AlertConfig *cfg = alert_config_load(vfs, "alertmanager.yml");    or alert_config_discord(url)
 *     Alerter *a; alerter_open(&a, &env, &why); alerter_apply(a, cfg);
 *     rules' env.alerts = alerter_sink(a);
 *     alerter_close(a);
 *
 * A notice enters the group its labels choose. A group is looked at after group_wait, then every group_interval. What
 * changed since the last notification (kept as a durable fact) decides whether each integration of the receiver is
 * told. Telling = the finished message goes into the outbox, synced, before anything is sent; deliveries then run per
 * integration in order, one at a time, and record what the provider answered. A crash between sending and recording
 * sends that one message twice; nothing is lost.
 *
 * Routes: the root route is followed; nested routes, inhibition, time intervals and other receivers are read, checked
 * and warned about. Threads: sinks from any thread; apply and close from any thread but the
 * one whose loop carries env.client (they wait for deliveries under way) and those of env.pool.
 */
#pragma once
#include "base/base.h"
#include "collect/collect.h"
#include "config/config.h"
#include "model/model.h"
#include "net/net.h"
#include "rules/rules.h"
#include "store/store.h"

/* ---- alertmanager.yml (alert_config.c) ---- */
typedef enum IntegrationKind { INTEGRATION_DISCORD, INTEGRATION_WEBHOOK } IntegrationKind;
typedef enum DiscordStyle {
    DISCORD_CARD,         /* our card: edited on resolve, short reply */
    DISCORD_ALERTMANAGER, /* byte for byte what Alertmanager sends; no edits */
} DiscordStyle;
typedef struct IntegrationConfig {
    IntegrationKind kind;
    Str id; /* "receiver/discord/0": the name in the outbox and in metrics */
    bool send_resolved;
    Secret url;
    Str url_file;
    HttpClientConfig http;
    /* discord */
    Str title, message, content, username, avatar_url;
    bool has_title, has_message; /* the user's own, not the default */
    DiscordStyle style;
    /* webhook */
    u64 max_alerts;
    i64 timeout_ms;
} IntegrationConfig;
typedef struct Receiver {
    Str name;
    const IntegrationConfig *integrations;
    u32 len;
} Receiver;
typedef struct AlertRoute AlertRoute;
struct AlertRoute {
    const Receiver *receiver;
    const Str *group_by; /* sorted */
    u32 group_by_len;
    bool group_by_all; /* '...' */
    i64 group_wait_ms, group_interval_ms, repeat_interval_ms;
    const AlertRoute *routes; /* read, not followed yet */
    u32 routes_len;
};
typedef struct AlertConfig AlertConfig;                     /* immutable, reference-counted */
AlertConfig *alert_config_load(Vfs *vfs, const char *path); /* never NULL; errors inside */
AlertConfig *alert_config_parse(Vfs *vfs, const char *file, Str yaml);
AlertConfig *alert_config_discord(Secret webhook_url); /* one route, one receiver */
AlertConfig *alert_config_ref(AlertConfig *c);
void alert_config_unref(AlertConfig *c);
Err alert_config_verdict(const AlertConfig *c, Why *why);
void alert_config_print_issues(const AlertConfig *c, Buf *out);
const AlertRoute *alert_config_route(const AlertConfig *c); /* NULL when broken */
const Receiver *alert_config_receivers(const AlertConfig *c, u32 *ret_len);

/* ---- the alerter ---- */
typedef struct AlerterEnv {
    Loop *loop;
    Clock *clock;
    Pool *pool;         /* rendering and delivery; NULL = on the loop (tests) */
    HttpClient *client; /* on a loop that turns while pool threads wait */
    /* Instead of the client, for tests: a blocking call. NULL = http_call(client, …). */
    Err (*call)(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret);
    void *call_arg;
    Vfs *vfs;
    const char *dir; /* <data>/alerts */
} AlerterEnv;
typedef struct AlertGlobals {
    Str external_url;       /* for links and {{ .ExternalURL }} */
    Labels external_labels; /* added where absent */
    RelabelRules relabel;   /* alert_relabel_configs */
} AlertGlobals;
typedef struct Alerter Alerter;
Err alerter_open(Alerter **ret, const AlerterEnv *env, Why *why);
void alerter_apply(Alerter *a, AlertConfig *c,
                   const AlertGlobals *g); /* g is copied, but relabel must live on */
AlertSink *alerter_sink(Alerter *a);
void alerter_close(Alerter *a); /* what is queued stays queued, on disk */
u64 alerter_queued(Alerter *a);
/* JSON for pages: receivers with their health, queue and last error; groups with their alerts. No URL appears. */
void alerter_status_json(Alerter *a, Json *j);

/* ---- Alertmanagers of prometheus.yml (alertmanagers.c) ---- */
typedef struct Alertmanagers Alertmanagers;
typedef struct AlertmanagersEnv {
    Loop *loop;
    Clock *clock;
    Pool *pool; /* NULL = on the caller (tests) */
    HttpClient *client;
    Err (*call)(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret);
    void *call_arg;
    Vfs *vfs;
} AlertmanagersEnv;
Alertmanagers *alertmanagers_new(const AlertmanagersEnv *env);
/* cfg is referenced. own_address: a target that is ourselves is skipped with a warning; may be empty. */
void alertmanagers_apply(Alertmanagers *m, PromConfig *cfg, Str own_address);
AlertSink *alertmanagers_sink(Alertmanagers *m);
void alertmanagers_routes(HttpServer *s, Alertmanagers *m); /* GET /api/v1/alertmanagers */
void alertmanagers_json(Alertmanagers *m, Buf *out);
void alertmanagers_free(Alertmanagers *m);

/* Several sinks as one. The array is copied. */
AlertSink *alert_tee_new(AlertSink *const *sinks, u32 n);
void alert_tee_free(AlertSink *tee);
