/* alert: from firing rules to people. alertmanager.yml, routing, silences, inhibition, deduplication, repeats,
 * Alertmanager's API; the messages themselves are notify/'s.
 *
 *     AlertConfig *cfg = alert_config_load(vfs, "alertmanager.yml");    or alert_config_discord(url)
 *     Alerter *a; alerter_open(&a, &env, &why); alerter_apply(a, cfg);
 *     rules' env.alerts = alerter_sink(a);  AlertApi *api = alert_api_new(a, ...); alert_api_routes(api, server);
 *     alerter_close(a);
 *
 * An alert (state.h) is merged with what is known of it, written to the log, and enters a group for each route it takes.
 * A group is looked at after group_wait, then every group_interval: inhibited alerts leave, then those of a muted route,
 * then silenced ones. What changed since the last notification (kept as a durable fact) decides whether each integration
 * of the receiver is told. Telling = the finished message goes into the outbox, synced, before anything is sent;
 * deliveries then run per lane in order, one at a time, and record what the provider answered. A group keeps to its lane;
 * Discord has one lane per integration, others four. A crash between sending and recording sends that one message twice;
 * nothing is lost.
 *
 * What was posted (alerts, silences) is on disk before the answer; what our own rules say is within a second. After a
 * restart alerts whose end has passed meanwhile get five minutes: whoever sends them could not.
 *
 * Threads: one lock over alerts, silences and groups, held for a few hundred alerts at a time. Sinks and requests from any
 * thread; apply and close from any thread but the one whose loop carries env.client (they wait for deliveries under
 * way) and those of env.pool.
 */
#pragma once
#include "base/base.h"
#include "collect/collect.h"
#include "config/config.h"
#include "model/model.h"
#include "net/net.h"
#include "rules/rules.h"
#include "store/store.h"

/* ---- matchers (match.c) ---- */
typedef enum MatchMode {
    MATCH_FALLBACK, /* both grammars; where they disagree the classic reading holds, with a remark */
    MATCH_CLASSIC,
    MATCH_UTF8,
} MatchMode;
void match_set_mode(MatchMode m); /* for the process; before anything is read */
typedef struct MatchList {        /* owns its expressions; strings live in the arena it was parsed with */
    Matcher *at;
    u32 len;
} MatchList;
/* `{a="b", c=~"d"}`, `a=b,c=d`: none or more. ret_remark (may be NULL) says what to rewrite; empty = nothing. */
Err match_parse(Str in, Arena *arena, MatchList *ret, Str *ret_remark, Why *why);
Err match_parse_one(Str in, Arena *arena, MatchList *ret, Why *why); /* exactly one, no braces */
/* As matcher_init, but a dot matches no line feed: Alertmanager's way. */
Err match_init(Matcher *m, MatchOp op, Str name, Str value, Why *why);
/* Alertmanager's order of label sets: fewer labels first, then by names and values. */
int alert_labels_order(Labels a, Labels b);
/* And of alerts in a notification: by job, by instance, then so. */
int alerts_order(Labels a, Labels b);
void match_list_done(MatchList *l);
void match_print(Buf *out, const Matcher *m);  /* a="b"; "odd name"="b" */
void match_print_all(Buf *out, Matchers m);    /* {a="b",c=~"d"} */
int match_order(const void *a, const void *b); /* by name, value, operator */
bool match_label_name_ok(Str name);

/* ---- alertmanager.yml (alert_config.c, alert_receivers.c, route.c, time_interval.c) ---- */
typedef enum IntegrationKind { /* in the order in which a receiver's integrations are told */
                               INTEGRATION_WEBHOOK,
                               INTEGRATION_EMAIL,
                               INTEGRATION_PAGERDUTY,
                               INTEGRATION_OPSGENIE,
                               INTEGRATION_WECHAT,
                               INTEGRATION_SLACK,
                               INTEGRATION_VICTOROPS,
                               INTEGRATION_PUSHOVER,
                               INTEGRATION_SNS,
                               INTEGRATION_TELEGRAM,
                               INTEGRATION_DISCORD,
                               INTEGRATION_WEBEX,
                               INTEGRATION_MSTEAMS,
                               INTEGRATION_MSTEAMSV2,
                               INTEGRATION_JIRA,
                               INTEGRATION_ROCKETCHAT,
                               INTEGRATION_MATTERMOST,
                               INTEGRATION_INCIDENTIO,
                               INTEGRATION_NTFY, /* ours */
                               INTEGRATION_KINDS
} IntegrationKind;
typedef enum DiscordStyle {
    DISCORD_CARD,         /* our card: edited on resolve, short reply */
    DISCORD_ALERTMANAGER, /* byte for byte what Alertmanager sends; no edits */
} DiscordStyle;
typedef struct FieldValue FieldValue;
struct FieldValue {
    bool is_set; /* written and not null */
    Str text;    /* texts, templates, secrets, URLs, files, host:port; default filled in */
    i64 num;     /* bool, integers, durations in ns */
    Labels map;  /* in file order */
    const Str *strs;
    const FieldValue *sub; /* a block's fields, or a list's blocks (each with .sub) */
    u32 len;               /* of strs, or of a list */
    const TlsConfig *tls;
    const ConfNode *node;
};
typedef struct IntegrationConfig {
    IntegrationKind kind;
    u32 index; /* among its receiver's of the same kind */
    Str id;    /* "receiver/discord/0": the name in the outbox and in metrics */
    bool send_resolved;
    Secret url; /* where it is sent; empty: url_file, or not by HTTP */
    Str url_file;
    HttpClientConfig http;
    i64 timeout_ms; /* 0 = the default */
    u64 max_alerts;
    const FieldValue *fields; /* by integration_field */
    /* discord */
    Str title, message, content, username, avatar_url;
    bool has_title, has_message; /* the user's own, not the default */
    DiscordStyle style;
} IntegrationConfig;
const char *integration_kind_name(IntegrationKind k);                              /* "discord" */
const FieldValue *integration_field(const IntegrationConfig *c, const char *name); /* never NULL */
Str integration_text(const IntegrationConfig *c, const char *name);
bool integration_is_on(const IntegrationConfig *c, const char *name);
typedef struct Receiver {
    Str name;
    Labels labels; /* with name */
    const IntegrationConfig *integrations;
    u32 len;
} Receiver;
typedef struct TimeRange {
    int from, to;
} TimeRange;
typedef struct TimeRanges {
    bool is_set; /* an empty list contains nothing */
    const TimeRange *at;
    u32 len;
} TimeRanges;
typedef struct TimeInterval {
    TimeRanges times /* minutes of the day, end excluded */, weekdays, days, months, years;
    const Zone *zone;
} TimeInterval;
typedef struct TimeIntervals {
    Str name;
    const TimeInterval *at;
    u32 len;
} TimeIntervals;
bool time_interval_contains(const TimeInterval *t, i64 unix_s);
bool time_intervals_contain(const TimeIntervals *set, i64 unix_s);
typedef struct InhibitRule {
    Str name;
    Matchers source, target;
    const Str *equal; /* sorted */
    u32 equal_len;
} InhibitRule;
typedef struct AlertRoute AlertRoute;
struct AlertRoute {
    const AlertRoute *parent; /* NULL: the root */
    const Receiver *receiver;
    Matchers matchers; /* sorted */
    bool continues;
    const Str *group_by; /* sorted */
    u32 group_by_len;
    bool group_by_all; /* '...' */
    i64 group_wait_ms, group_interval_ms, repeat_interval_ms;
    const TimeIntervals *const *mute, *const *active;
    u32 mute_len, active_len;
    const AlertRoute *routes;
    u32 routes_len;
    u32 index; /* dense; children before their parent */
    u32 line;
    Str key, id; /* `{}/{a="b"}`, as group keys begin; id tells siblings with equal matchers apart */
};
typedef struct AlertConfig AlertConfig;                     /* immutable, reference-counted */
AlertConfig *alert_config_load(Vfs *vfs, const char *path); /* never NULL; errors inside */
AlertConfig *alert_config_parse(Vfs *vfs, const char *file, Str yaml);
AlertConfig *alert_config_discord(Secret webhook_url); /* one route, one receiver */
AlertConfig *alert_config_none(void);                  /* alerts are kept and shown, nobody is told */
AlertConfig *alert_config_ref(AlertConfig *c);
void alert_config_unref(AlertConfig *c);
Err alert_config_verdict(const AlertConfig *c, Why *why);
void alert_config_print_issues(const AlertConfig *c, Buf *out);
void alert_config_print(const AlertConfig *c, Buf *out);    /* as YAML, secrets as <secret> */
const AlertRoute *alert_config_route(const AlertConfig *c); /* NULL when broken */
const Receiver *alert_config_receivers(const AlertConfig *c, u32 *ret_len);
typedef struct AlertConfigCounts {
    u32 receivers, inhibit_rules, templates, time_intervals;
} AlertConfigCounts;
void alert_config_counts(const AlertConfig *c, AlertConfigCounts *ret);
/* The routes an alert takes, in the order of the tree. */
typedef void (*RouteFn)(void *arg, const AlertRoute *r);
void alert_route_match(const AlertRoute *root, Labels alert, RouteFn fn, void *arg);
Labels alert_group_labels(const AlertRoute *r, Labels alert, Arena *arena);
void group_key_print(Buf *out, const AlertRoute *r, Labels group); /* {}/{a="b"}:{alertname="X", c="d"} */
/* The time intervals that keep the route quiet now; how many. */
u32 alert_route_muted_by(const AlertRoute *r, i64 now_s, const TimeIntervals **ret, u32 max);

/* ---- the alerter ---- */
/* What a card wants to see: the alert's expression around its labels, from before it began until now. */
typedef struct AlertChart {
    Str expr;
    Labels labels;
    i64 starts_ms;
} AlertChart;
typedef struct AlerterEnv {
    Loop *loop;
    Clock *clock;
    Pool *pool;         /* rendering and delivery; NULL = on the loop (tests) */
    HttpClient *client; /* on a loop that turns while pool threads wait */
    /* Instead of the client, for tests: a blocking call. NULL = http_call(client, …). */
    Err (*call)(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret);
    void *call_arg;
    /* A PNG of the chart; E_NOT_FOUND: there is nothing to show. From delivery threads; blocks. NULL = no pictures. */
    Err (*chart)(void *arg, const AlertChart *ask, Arena *arena, Buf *png, Why *why);
    void *chart_arg;
    Vfs *vfs;
    const char *dir; /* <data>/alerts */
    /* Limits; 0 = 120 h, none, none. */
    i64 retention_ms; /* of silences that are over */
    u32 silences_max;
    u64 silence_bytes_max;
    i64 start_delay_ms; /* nobody is told anything before this has passed since the start */
} AlerterEnv;
typedef struct AlertGlobals {
    Str external_url;       /* for links and {{ .ExternalURL }} */
    Str silence_path;       /* of the page for a new silence, up to its filter; empty: none */
    Labels external_labels; /* added where absent */
    RelabelRules relabel;   /* alert_relabel_configs */
} AlertGlobals;
typedef struct Alerter Alerter;
Err alerter_open(Alerter **ret, const AlerterEnv *env, Why *why);
void alerter_apply(Alerter *a, AlertConfig *c,
                   const AlertGlobals *g); /* g is copied, but relabel must live on */
AlertSink *alerter_sink(Alerter *a);
/* Stops sending and the timer; requests may still read, and are refused what they post. What is queued stays queued, on
 * disk. The loop must turn (or the caller be on it). */
void alerter_stop(Alerter *a);
void alerter_close(Alerter *a); /* stops if need be, and frees; nobody may ask any more */
u64 alerter_queued(Alerter *a);
/* JSON for pages: receivers with their health, queue and last error; groups with their alerts. No URL appears. */
void alerter_status_json(Alerter *a, Json *j);

/* ---- Alertmanager's API (api.c) and our own beside it (why.c) ---- */
#define ALERTMANAGER_VERSION "0.33.1" /* whose behaviour this is */
typedef struct AlertApi AlertApi;
typedef struct AlertApiEnv {
    const char *own_version;
    /* The configuration over HTTP: its file (NULL or empty: it can be read and tried, not put in place), and what loads that
     * file anew. mimir: also Mimir's /api/v1/alerts, where that path is not Prometheus's. */
    const char *config_file;
    Err (*reload)(void *arg, Why *why);
    void *reload_arg;
    bool mimir;
} AlertApiEnv;
AlertApi *alert_api_new(Alerter *a, const AlertApiEnv *env);
void alert_api_free(AlertApi *api);
/* /api/v2/... as Alertmanager's OpenAPI file has it; /api/v1/alerting/... for pages: status, deliveries and trying them again,
 * routes and a test of them, why, the preview of a silence, the configuration (docs/alerting.md). The server must be gone before the api is freed. */
void alert_api_routes(AlertApi *api, HttpServer *s);
void alert_api_refresh_metrics(AlertApi *api); /* before a page of metrics: counts by state */

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
/* cfg is referenced. own_addresses, separated by spaces: a target that is ourselves is skipped with a warning; may be
 * empty. */
void alertmanagers_apply(Alertmanagers *m, PromConfig *cfg, Str own_addresses);
AlertSink *alertmanagers_sink(Alertmanagers *m);
void alertmanagers_routes(HttpServer *s, Alertmanagers *m); /* GET /api/v1/alertmanagers */
void alertmanagers_json(Alertmanagers *m, Buf *out);
void alertmanagers_free(Alertmanagers *m);

/* Several sinks as one. The array is copied. */
AlertSink *alert_tee_new(AlertSink *const *sinks, u32 n);
void alert_tee_free(AlertSink *tee);
