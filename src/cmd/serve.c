/* pharos [prometheus|all]: the server's flags. */
#include <stdio.h>

#include "cmd/app.h"

static const struct {
    const char *name;
    u32 bit;
} feature_bits[] = {
    {"promql-experimental-functions", PROMQL_EXPERIMENTAL_FUNCTIONS},
    {"promql-duration-expr", PROMQL_DURATION_EXPR},
    {"promql-extended-range-selectors", PROMQL_EXTENDED_RANGE_SELECTORS},
    {"promql-binop-fill-modifiers", PROMQL_BINOP_FILL},
    {"promql-delayed-name-removal", PROMQL_DELAYED_NAME_REMOVAL},
    {"use-start-timestamps", PROMQL_USE_START_TIMESTAMPS},
};

static void read_features(App *a)
{
    Str rest = str_c(a->o.features);
    while (rest.len) {
        Str name;
        str_cut(rest, ',', &name, &rest);
        name = str_trim(name);
        bool known = !name.len;
        for (size_t i = 0; i < COUNT_OF(feature_bits); i++)
            if (str_eq(name, str_c(feature_bits[i].name))) {
                a->features |= feature_bits[i].bit;
                known = true;
            }
        if (!known)
            LOG_WARN("main", "This feature flag has no effect here", LF_STR("feature", name));
    }
}

static int wrong(const char *what)
{
    fprintf(stderr, "pharos: %s\n(pharos --help lists the flags)\n", what);
    return 2;
}

static int configure(App *a)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    u32 level = 0;
    while (level < COUNT_OF(levels) && strcmp(levels[level], a->o.log_level))
        level++;
    if (level == COUNT_OF(levels))
        return wrong("--log.level is debug, info, warn or error");
    if (strcmp(a->o.log_format, "logfmt") && strcmp(a->o.log_format, "json"))
        return wrong("--log.format is logfmt or json");
    if (strcmp(a->o.durability, "power") && strcmp(a->o.durability, "process"))
        return wrong("--storage.durability is power or process");
    log_set_level((LogLevel)level);
    log_set_json(!strcmp(a->o.log_format, "json"));
    if (a->o.old_storage_path[0])
        a->o.storage_path = a->o.old_storage_path;
    if (!a->o.retention_ms)
        a->o.retention_ms = a->o.retention_default_ms;
    if (!strcmp(a->o.route_prefix, "/"))
        a->o.route_prefix = "";
    /* Away from loopback, changing things over HTTP is off unless asked for, as with the peers. */
    Str address = str_c(a->o.web_address);
    bool is_loopback = str_starts(address, S("127.")) || str_starts(address, S("localhost:")) ||
                       str_starts(address, S("[::1]:"));
    for (size_t i = 0; i < a->flags_len; i++) {
        Flag *f = &a->flags[i];
        if ((f->value == &a->o.lifecycle || f->value == &a->o.receiver) && !f->was_set)
            *(bool *)f->value = is_loopback;
    }
    read_features(a);
    Why why = {0};
    VfsStat st;
    if (vfs_os()->stat(vfs_os(), a->o.env_file, &st, NULL) == OK &&
        dotenv_load(vfs_os(), a->o.env_file, &why) != OK)
        return complain("all", &why) + 1;
    return 0;
}

static int run(int argc, char **argv)
{
    static App app; /* lives as long as the process */
    App *a = &app;
    AppOptions *o = &a->o;
    o->role = "all";
    if (argc && argv[0][0] != '-') {
        o->role = strcmp(argv[0], "serve") ? argv[0] : "all";
        argv++, argc--;
    }
    static Flag flags[] = {
        {"config.file", FLAG_STR, &app.o.config_file, "",
         "Prometheus configuration; without one: yourself and this host"},
        {"web.listen-address", FLAG_STR, &app.o.web_address, "127.0.0.1:9090",
         "Prometheus's API and pages; port 0 = any free"},
        {"ui.listen-address", FLAG_STR, &app.o.ui_address, "127.0.0.1:3000", "web UI (role all)"},
        {"alertmanager.listen-address", FLAG_STR, &app.o.alertmanager_address, "127.0.0.1:9093",
         "Alertmanager's API (role all)"},
        {"dashboards.path", FLAG_STR, &app.o.dashboards_path, "",
         "folder of dashboards (*.json, folders below it are folders here); read at start and reload"},
        {"web.config.file", FLAG_STR, &app.o.web_config_file, "",
         "users (bcrypt), bearer tokens, TLS, headers"},
        {"web.external-url", FLAG_STR, &app.o.external_url, "",
         "how others reach this server; used in links"},
        {"web.route-prefix", FLAG_STR, &app.o.route_prefix, "/", "serve under this path as well"},
        {"web.enable-lifecycle", FLAG_BOOL, &app.o.lifecycle, NULL,
         "POST /-/reload and /-/quit (on for loopback)"},
        {"web.enable-admin-api", FLAG_BOOL, &app.o.admin_api, "false", "POST /api/v1/admin/tsdb/*"},
        {"web.enable-remote-write-receiver", FLAG_BOOL, &app.o.receiver, NULL,
         "POST /api/v1/write (on for loopback)"},
        {"web.cors.origin", FLAG_STR, &app.o.cors_origin, ".*", "regular expression of allowed origins"},
        {"web.max-connections", FLAG_INT, &app.o.connections_max, "512", "per listener"},
        {"storage.path", FLAG_STR, &app.o.storage_path, "data", "data directory"},
        {"storage.tsdb.path", FLAG_STR, &app.o.old_storage_path, "", "the same, by its old name"},
        {"storage.tsdb.retention.time", FLAG_DURATION, &app.o.retention_ms, "0",
         "how long samples are kept (default 15d)"},
        {"storage.tsdb.retention", FLAG_DURATION, &app.o.retention_default_ms, "15d", NULL},
        {"storage.tsdb.retention.size", FLAG_BYTES, &app.o.retention_bytes, "0",
         "and how many bytes at most; 0 = no limit"},
        {"storage.tsdb.retention.percentage", FLAG_INT, &app.o.retention_percent, "0",
         "or how much of the disk's size at most, in percent; 0 = no limit"},
        {"storage.durability", FLAG_STR, &app.o.durability, "power",
         "what an acknowledgement means: survives power loss, or only a killed process"},
        {"storage.flush-interval", FLAG_DURATION, &app.o.flush_interval_ms, "1m",
         "memory to parts at least this often"},
        {"storage.wal.max-bytes", FLAG_BYTES, &app.o.wal_bytes_max, "64MiB",
         "and before the log is longer than this"},
        {"storage.out-of-order-window", FLAG_DURATION, &app.o.ooo_window_ms, NULL,
         "how late a sample may come (default: retention)"},
        {"storage.shards", FLAG_INT, &app.o.shards, "0", "0 = one per core"},
        {"storage.remote.max-bytes", FLAG_BYTES, &app.o.remote_disk_max, "1GiB",
         "spool per remote_write destination"},
        {"query.timeout", FLAG_DURATION, &app.o.query_timeout_ms, "2m", "longest query"},
        {"query.max-samples", FLAG_INT, &app.o.query_samples_max, "50000000", "samples one query may load"},
        {"query.max-memory", FLAG_BYTES, &app.o.query_memory_max, "1GiB", "memory one query may use"},
        {"query.cache-size", FLAG_BYTES, &app.o.query_cache_bytes, "64MiB",
         "memory for results of range queries; 0 keeps none"},
        {"query.max-concurrency", FLAG_INT, &app.o.query_concurrency, "20", "queries at a time; others wait"},
        {"query.lookback-delta", FLAG_DURATION, &app.o.lookback_ms, "5m",
         "how far back an instant vector looks"},
        {"memory.max", FLAG_BYTES, &app.o.memory_max, "0",
         "budget of the process; 0 = half of the machine's memory"},
        {"alertmanager.config.file", FLAG_STR, &app.o.alertmanager_config_file, "",
         "alertmanager.yml; without one, DISCORD_WEBHOOK_URL is enough"},
        {"enable-feature", FLAG_STR, &app.o.features, "", "comma-separated Prometheus feature flags"},
        {"env-file", FLAG_STR, &app.o.env_file, ".env", "environment for ${NAME} in configurations"},
        {"self-scrape", FLAG_BOOL, &app.o.self_scrape, "true",
         "without a configuration file: scrape yourself and the host"},
        {"ready-file", FLAG_STR, &app.o.ready_file, "",
         "written when ready: one \"name address\" line per listener"},
        {"log.level", FLAG_STR, &app.o.log_level, "info", "debug, info, warn or error"},
        {"log.format", FLAG_STR, &app.o.log_format, "logfmt", "logfmt or json"},
        {"web.read-timeout", FLAG_IGNORED, .takes_value = true},
        {"web.user-assets", FLAG_IGNORED, .takes_value = true},
        {"web.console.templates", FLAG_IGNORED, .takes_value = true},
        {"web.console.libraries", FLAG_IGNORED, .takes_value = true},
        {"web.page-title", FLAG_IGNORED, .takes_value = true},
        {"web.max-notifications-subscribers", FLAG_IGNORED, .takes_value = true},
        {"web.enable-otlp-receiver", FLAG_IGNORED},
        {"web.remote-write-receiver.accepted-protobuf-messages", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.no-lockfile", FLAG_IGNORED},
        {"storage.tsdb.wal-compression", FLAG_IGNORED},
        {"storage.tsdb.wal-compression-type", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.wal-segment-size", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.head-chunks-write-queue-size", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.min-block-duration", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.max-block-duration", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.max-block-chunk-segment-size", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.samples-per-chunk", FLAG_IGNORED, .takes_value = true},
        {"storage.tsdb.allow-overlapping-compaction", FLAG_IGNORED},
        {"storage.tsdb.delayed-compaction.max-percent", FLAG_IGNORED, .takes_value = true},
        {"storage.remote.flush-deadline", FLAG_IGNORED, .takes_value = true},
        {"storage.remote.read-sample-limit", FLAG_IGNORED, .takes_value = true},
        {"storage.remote.read-concurrent-limit", FLAG_IGNORED, .takes_value = true},
        {"storage.remote.read-max-bytes-in-frame", FLAG_IGNORED, .takes_value = true},
        {"rules.alert.for-outage-tolerance", FLAG_IGNORED, .takes_value = true},
        {"rules.alert.for-grace-period", FLAG_IGNORED, .takes_value = true},
        {"rules.alert.resend-delay", FLAG_IGNORED, .takes_value = true},
        {"rules.max-concurrent-evals", FLAG_IGNORED, .takes_value = true},
        {"alertmanager.notification-queue-capacity", FLAG_IGNORED, .takes_value = true},
        {"alertmanager.notification-batch-size", FLAG_IGNORED, .takes_value = true},
        {"alertmanager.drain-notification-queue-on-shutdown", FLAG_IGNORED},
        {"scrape.adjust-timestamps", FLAG_IGNORED},
        {"scrape.timestamp-tolerance", FLAG_IGNORED, .takes_value = true},
        {"auto-gomemlimit", FLAG_IGNORED},
        {"auto-gomemlimit.ratio", FLAG_IGNORED, .takes_value = true},
        {"agent", FLAG_IGNORED},
        {"cluster.listen-address", FLAG_IGNORED, .takes_value = true},
        {"cluster.settle-timeout", FLAG_IGNORED, .takes_value = true},
    };
    o->ooo_window_ms = -1;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_serve, argc, argv, NULL);
    if (stop)
        return stop - 1;
    a->flags = flags;
    a->flags_len = COUNT_OF(flags);
    stop = configure(a);
    if (stop)
        return stop;
    Why why = {0};
    Err e = app_open(a, &why);
    if (e == OK)
        e = app_load(a, true, &why);
    if (e != OK) {
        complain(o->role, &why);
        a->exit_code = 1;
    } else {
        app_run(a);
    }
    app_close(a);
    return a->exit_code;
}

const Command cmd_serve = {
    .name = "all",
    .summary = "start the server",
    .help = "pharos [prometheus|all] [flags]\n\n"
            "Starts the server. \"prometheus\" scrapes, stores, answers PromQL, evaluates rules, sends "
            "remote_write and alerts;\n"
            "\"all\", the default, adds the web UI's own port. Reload: SIGHUP or POST /-/reload.\n\n"
            "  pharos\n"
            "  pharos prometheus --config.file=monitoring/prometheus.yml --storage.tsdb.retention.time=30d\n",
    .run = run,
};
