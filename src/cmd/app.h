/* The server process: every part, wired. serve.c reads the flags and calls these; nothing else knows all parts.
 *
 * Order of life: app_open (data directory, engine, listeners bound) -> app_load (configuration) -> app_run (until told to stop) ->
 * app_close (drain, stop producers, then queues, then the store). Two loops: `web` owns the listeners' connections and runs on the main
 * thread; `work` owns scrapes, senders and timers and runs on a thread of its own.
 */
#pragma once
#include "alert/alert.h"
#include "cmd/cmd.h"
#include "cmd/tee.h"
#include "collect/collect.h"
#include "collect/exporters/exporters.h"
#include "collect/remote/remote.h"
#include "dash/dash.h"
#include "metrics/api/api.h"
#include "metrics/metrics.h"
#include "net/net.h"
#include "rules/rules.h"
#include "store/store.h"
#include "tenant/tenant.h"

typedef struct AppOptions {
    const char *role; /* "prometheus", "alertmanager", "all" */
    const char *config_file, *web_config_file, *alertmanager_config_file, *storage_path, *old_storage_path;
    const char *web_address, *ui_address, *alertmanager_address;
    const char *external_url, *route_prefix, *cors_origin, *ready_file, *durability, *env_file,
        *dashboards_path;
    const char *log_level, *log_format, *features;
    i64 retention_ms, retention_default_ms, query_timeout_ms, lookback_ms, flush_interval_ms, ooo_window_ms;
    i64 retention_percent; /* 0 to 100 */
    u64 retention_bytes, query_cache_bytes, query_memory_max, wal_bytes_max, remote_disk_max, memory_max;
    i64 query_samples_max, query_concurrency, connections_max, shards;
    bool lifecycle, admin_api, receiver, self_scrape;
} AppOptions;

enum { APP_LISTENERS_MAX = 4 };
typedef struct AppListener {
    const char *name; /* "web", "ui" */
    HttpServer *server;
} AppListener;

typedef struct App {
    AppOptions o;
    Flag *flags; /* as parsed, for /api/v1/status/flags */
    size_t flags_len;
    Clock *clock;
    Loop *web, *work;
    pthread_t work_thread;
    u32 slices; /* a large query is cut into */
    Pool *query_pool, *slice_pool, *ingest_pool, *admin_pool, *scrape_pool, *rule_pool, *notify_pool;
    Account *account;
    DataDir *data;
    MetricsEngine *engine;
    Tee tee;
    HttpClient *client;
    RemoteWrite *remote;
    Collector *collector;
    Rules *rules;
    Ruler *ruler;
    struct AppAlerts *alerts; /* app_alerts.c */
    DashStore *dashboards;
    Api *api;
    HostExporter host;
    Conf *web_conf;
    WebConfig web_config;
    Credentials *credentials;
    char *snapshot_dir;
    char own_token[49]; /* what the built-in scrapes of ourselves show where credentials are needed */
    AppListener listeners[APP_LISTENERS_MAX];
    u32 listeners_len;
    Str external_url, own_address; /* "http://host:9090", "localhost:9090" */
    u32 features;

    Mutex reload_lock;  /* one reload at a time */
    RwLock config_lock; /* guards the pointers below */
    PromConfig *config;
    i64 start_ms, config_loaded_ms;
    bool config_ok;
    _Atomic bool ready, stopping;
    int exit_code;
} App;

Err app_open(App *a, Why *why);
/* Reads the configuration, and on success makes it the running one everywhere; otherwise what ran goes on. first: at start. */
Err app_load(App *a, bool first, Why *why);
int app_run(App *a);
void app_close(App *a);
void app_stop(App *a); /* from any thread */

/* app_charts.c: the picture of an alert, for AlerterEnv.chart; arg is the App. */
Err app_chart(void *arg, const AlertChart *c, Arena *arena, Buf *png, Why *why);

/* app_alerts.c: where alerts go. */
Err app_alerts_open(App *a, Why *why);
AlertSink *app_alerts_sink(App *a);
/* Reads alertmanager.yml (or takes DISCORD_WEBHOOK_URL) without applying; then applies. */
Err app_alerts_check(App *a, Why *why);
void app_alerts_apply(App *a, PromConfig *config);
void app_alerts_routes(App *a, HttpServer *s);
void app_alerts_close(App *a); /* stops; requests may still ask */
void app_alerts_free(App *a);
