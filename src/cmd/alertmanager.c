/* pharos alertmanager: the router alone, with Alertmanager's flags. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "alert/alert.h"
#include "cmd/cmd.h"
#include "cmd/version.h"
#include "store/store.h"
#include "tenant/tenant.h"

enum { DRAIN_MS = 10000 };

typedef struct Am {
    const char *config_file, *storage_path, *address, *external_url, *route_prefix, *web_config_file,
        *ready_file, *features, *log_level, *log_format, *env_file;
    i64 start_delay_ms, retention_ms, silences_max, silence_bytes_max, get_concurrency;
    Clock *clock;
    Loop *web, *work;
    pthread_t work_thread;
    bool has_thread;
    Pool *query_pool, *ingest_pool, *admin_pool, *notify_pool;
    Account *account;
    DataDir *data;
    HttpClient *client;
    Alerter *alerter;
    AlertApi *api;
    HttpServer *server;
    Conf *web_conf;
    WebConfig web_config;
    Credentials *credentials;
    char *own_url;
    char *external_path;
    Mutex reload_lock;
    _Atomic bool ready, stopping;
} Am;

static void *work_main(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* ---- configuration ---- */
static Err load(Am *a, Why *why)
{
    mutex_lock(&a->reload_lock);
    AlertConfig *c = alert_config_load(vfs_os(), a->config_file);
    Err e = alert_config_verdict(c, why);
    Metric *ok = metric_gauge("alertmanager_config_last_reload_successful",
                              "Whether the last configuration reload attempt was successful.", "");
    if (e == OK) {
        Buf issues;
        buf_init(&issues, 1 << 20);
        alert_config_print_issues(c, &issues);
        for (Str rest = buf_view(&issues), line; rest.len;) {
            str_cut(rest, '\n', &line, &rest);
            LOG_WARN("config", "Configuration", LF_STR("what", line));
        }
        buf_done(&issues);
        AlertGlobals g = {.external_url = str_c(a->own_url)};
        alerter_apply(a->alerter, c, &g);
        metric_set(metric_gauge("alertmanager_config_last_reload_success_timestamp_seconds",
                                "Timestamp of the last successful configuration reload.", ""),
                   (f64)clock_wall_ms(a->clock) / 1000);
    }
    metric_set(ok, e == OK);
    alert_config_unref(c);
    mutex_unlock(&a->reload_lock);
    return e;
}

static Err load_anew(void *arg, Why *why)
{
    return load(arg, why);
}

static void reload_job(void *arg)
{
    char text[2048];
    Why why = {0};
    if (load(arg, &why) != OK)
        LOG_ERROR("main", "Reloading the configuration failed; the one before goes on",
                  LF_C("err", why_print(&why, text, sizeof text)));
    else
        LOG_INFO("main", "Configuration reloaded");
}

static void on_hangup(void *arg)
{
    Am *a = arg;
    if (pool_submit(a->admin_pool, reload_job, a) != OK)
        LOG_WARN("main", "SIGHUP ignored: a reload is waiting already");
}

/* ---- routes of the process ---- */
static void get_ok(HttpReq *r, void *arg)
{
    http_reply(r, 200, "text/plain; charset=utf-8", S("OK"));
}

static void post_reload(HttpReq *r, void *arg)
{
    Why why = {0};
    char text[2048];
    if (load(arg, &why) != OK)
        http_reply_text(r, 500, "failed to reload config: %s\n", why_print(&why, text, sizeof text));
    else
        http_reply(r, 200, "text/plain; charset=utf-8", S(""));
}

static void get_metrics(HttpReq *r, void *arg)
{
    Am *a = arg;
    Buf b;
    buf_init(&b, 32 << 20);
    alert_api_refresh_metrics(a->api);
    metrics_render(&b);
    http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_view(&b));
    buf_done(&b);
}

static void mount(Am *a)
{
    const HttpRoute routes[] = {
        {.methods = "GET", .path = "/-/healthy", .handler = get_ok, .run = RUN_LOOP},
        {.methods = "GET", .path = "/-/ready", .handler = get_ok, .run = RUN_LOOP},
        {.methods = "POST",
         .path = "/-/reload",
         .handler = post_reload,
         .arg = a,
         .role = ROLE_ADMIN,
         .run = RUN_ADMIN,
         .body_max = 1024},
        {.methods = "GET",
         .path = "/metrics",
         .handler = get_metrics,
         .arg = a,
         .role = ROLE_READ,
         .run = RUN_ADMIN},
    };
    http_server_route(a->server, routes, COUNT_OF(routes));
    alert_api_routes(a->api, a->server);
}

/* ---- life ---- */
static Err open_web_config(Am *a, Why *why)
{
    if (!a->web_config_file[0])
        return OK;
    Buf text;
    buf_init(&text, 1 << 20);
    Err e = vfs_read_file(vfs_os(), a->web_config_file, 1 << 20, &text, why);
    a->web_conf = conf_new(a->web_config_file);
    if (e == OK && conf_parse(a->web_conf, buf_view(&text)))
        web_config_read(a->web_conf, &a->web_config);
    buf_done(&text);
    if (e == OK)
        e = conf_finish(a->web_conf, why);
    if (e == OK)
        a->credentials = credentials_new(&a->web_config);
    return e;
}

static Err listen_on(Am *a, Why *why)
{
    HttpServerConfig c = {
        .loop = a->web,
        .component = "alertmanager",
        .metrics_of = "alertmanager",
        .address = str_c(a->address),
        .route_prefix = str_c(a->route_prefix),
        .auth = a->credentials ? credentials_authenticator(a->credentials) : NULL,
        .pools = {[RUN_QUERY] = a->query_pool, [RUN_INGEST] = a->ingest_pool, [RUN_ADMIN] = a->admin_pool},
        .account = a->account,
        .request_memory_max = 512 << 20,
        .tls_cert_file = a->web_config.tls_cert_file,
        .tls_key_file = a->web_config.tls_key_file,
        .tls_client_ca_file = a->web_config.tls_client_ca_file,
        .tls_client_auth_type = a->web_config.tls_client_auth_type,
        .tls_min_version = a->web_config.tls_min_version,
        .extra_headers = a->web_config.headers,
        .extra_headers_len = a->web_config.headers_len,
    };
    if (http_server_new(&c, &a->server, why) != OK) {
        why_prefix(why, "--web.listen-address: ");
        return why->err;
    }
    Buf url;
    buf_init(&url, 1024);
    Str own = str_c(a->external_url);
    while (own.len && own.at[own.len - 1] == '/')
        own.len--;
    if (own.len) {
        buf_str(&url, own);
    } else {
        char host[256] = "localhost";
        Str address = http_server_address(a->server);
        size_t colon = address.len;
        while (colon && address.at[colon - 1] != ':')
            colon--;
        gethostname(host, sizeof host - 1);
        buf_printf(&url, "%s://%s:%.*s%s", a->web_config.tls_cert_file.len ? "https" : "http", host,
                   STR_FMT(str_skip(address, colon)), a->route_prefix);
    }
    a->own_url = mem_strdup(buf_view(&url));
    buf_done(&url);
    return OK;
}

static Err open_all(Am *a, Why *why)
{
    a->clock = clock_real();
    mutex_init(&a->reload_lock, RANK_OUTER);
    mallopt(M_ARENA_MAX, 2);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    TRY(datadir_open(&a->data, vfs_os(), a->storage_path, why));
    TRY(open_web_config(a, why));
    u32 cores = (u32)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    a->account =
        account_new("the process", NULL, (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 2);
    a->web = loop_new(a->clock);
    a->work = loop_new(a->clock);
    a->query_pool = pool_new("query", (u32)MAX(a->get_concurrency, 8), 1024);
    a->ingest_pool = pool_new("ingest", MAX(cores, 2u), 1024);
    a->admin_pool = pool_new("admin", 4, 256);
    a->notify_pool = pool_new("notify", 2, 4096);
    TRY(listen_on(a, why));
    a->client = http_client_new(a->work, a->account);
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/alerts", a->storage_path);
    AlerterEnv env = {.loop = a->work,
                      .clock = a->clock,
                      .pool = a->notify_pool,
                      .client = a->client,
                      .vfs = vfs_os(),
                      .dir = dir,
                      .retention_ms = a->retention_ms,
                      .start_delay_ms = a->start_delay_ms,
                      .silences_max = (u32)MAX(a->silences_max, 0),
                      .silence_bytes_max = (u64)MAX(a->silence_bytes_max, 0)};
    TRY(alerter_open(&a->alerter, &env, why));
    a->api = alert_api_new(a->alerter, &(AlertApiEnv){.own_version = PHAROS_VERSION,
                                                      .config_file = a->config_file,
                                                      .reload = load_anew,
                                                      .reload_arg = a,
                                                      .mimir = true});
    check(thread_start(&a->work_thread, "work", work_main, a->work) == OK);
    a->has_thread = true;
    mount(a);
    return load(a, why);
}

static void on_stop(void *arg)
{
    Am *a = arg;
    if (a->stopping)
        _exit(130);
    a->stopping = true;
    LOG_INFO("main", "Stopping");
    loop_stop(a->web);
}

static void close_all(Am *a)
{
    if (a->work && !a->has_thread)
        a->has_thread = thread_start(&a->work_thread, "work", work_main, a->work) == OK;
    if (a->server)
        http_server_drain(a->server, DRAIN_MS);
    if (a->alerter)
        alerter_stop(a->alerter);
    if (a->work) {
        loop_stop(a->work);
        pthread_join(a->work_thread, NULL);
    }
    if (a->client)
        http_client_free(a->client);
    if (a->server)
        http_server_free(a->server);
    pool_free(a->query_pool);
    pool_free(a->ingest_pool);
    pool_free(a->admin_pool);
    pool_free(a->notify_pool);
    if (a->alerter)
        alerter_close(a->alerter);
    if (a->api)
        alert_api_free(a->api);
    if (a->credentials)
        credentials_free(a->credentials);
    if (a->web_conf)
        conf_free(a->web_conf);
    if (a->web)
        loop_free(a->web);
    if (a->work)
        loop_free(a->work);
    if (a->data)
        datadir_close(a->data);
    mem_free(a->own_url);
    mem_free(a->external_path);
    mutex_done(&a->reload_lock);
}

static void announce(Am *a)
{
    Str address = http_server_address(a->server);
    LOG_INFO("alertmanager", "Listening on", LF_STR("address", address));
    Buf line;
    Why why = {0};
    buf_init(&line, 512);
    buf_printf(&line, "alertmanager %.*s\n", STR_FMT(address));
    if (a->ready_file[0] && vfs_write_file(vfs_os(), a->ready_file, buf_view(&line), &why) != OK)
        LOG_ERROR("main", "The ready file cannot be written", LF_WHY(&why));
    buf_done(&line);
}

static bool read_options(Am *a)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    u32 level = 0;
    while (level < COUNT_OF(levels) && strcmp(levels[level], a->log_level))
        level++;
    if (level == COUNT_OF(levels)) {
        fprintf(stderr, "pharos alertmanager: --log.level is debug, info, warn or error\n");
        return false;
    }
    log_set_level((LogLevel)level);
    log_set_json(!strcmp(a->log_format, "json"));
    for (Str rest = str_c(a->features), f; rest.len;) {
        str_cut(rest, ',', &f, &rest);
        if (str_eq(f, S("classic-mode")))
            match_set_mode(MATCH_CLASSIC);
        else if (str_eq(f, S("utf8-strict-mode")))
            match_set_mode(MATCH_UTF8);
    }
    Url external;
    if (!a->route_prefix[0] && a->external_url[0] && url_parse(str_c(a->external_url), &external, NULL) == OK)
        a->route_prefix = a->external_path =
            mem_strdup(external.path); /* as the peer: the path by which others come */
    if (!strcmp(a->route_prefix, "/"))
        a->route_prefix = "";
    return true;
}

static int run(int argc, char **argv)
{
    static Am am;
    Am *a = &am;
    Flag flags[] = {
        {"config.file", FLAG_STR, &am.config_file, "alertmanager.yml", "the configuration"},
        {"storage.path", FLAG_STR, &am.storage_path, "data/", "alerts, silences, notifications"},
        {"data.retention", FLAG_DURATION, &am.retention_ms, "120h",
         "how long silences that are over are kept"},
        {"silences.max-silences", FLAG_INT, &am.silences_max, "0", "expired ones included; 0 = no limit"},
        {"silences.max-silence-size-bytes", FLAG_INT, &am.silence_bytes_max, "0", "0 = no limit"},
        {"web.listen-address", FLAG_STR, &am.address, ":9093", "port 0 = any free"},
        {"web.external-url", FLAG_STR, &am.external_url, "", "how others reach this server; used in links"},
        {"web.route-prefix", FLAG_STR, &am.route_prefix, "",
         "also answers under this path (default: that of the external URL)"},
        {"web.config.file", FLAG_STR, &am.web_config_file, "", "users (bcrypt), bearer tokens, TLS, headers"},
        {"web.get-concurrency", FLAG_INT, &am.get_concurrency, "0", "requests that read, at a time; 0 = 8"},
        {"enable-feature", FLAG_STR, &am.features, "", "classic-mode, utf8-strict-mode"},
        {"env-file", FLAG_STR, &am.env_file, ".env", "environment for ${NAME} in the configuration"},
        {"ready-file", FLAG_STR, &am.ready_file, "", "written when ready: \"alertmanager address\""},
        {"log.level", FLAG_STR, &am.log_level, "info", "debug, info, warn or error"},
        {"log.format", FLAG_STR, &am.log_format, "logfmt", "logfmt or json"},
        {"data.maintenance-interval", FLAG_IGNORED, .takes_value = true},
        {"log.silences", FLAG_IGNORED},
        {"alerts.gc-interval", FLAG_IGNORED, .takes_value = true},
        {"alerts.per-alertname-limit", FLAG_IGNORED, .takes_value = true},
        {"dispatch.maintenance-interval", FLAG_IGNORED, .takes_value = true},
        {"dispatch.start-delay", FLAG_DURATION, &am.start_delay_ms, "0s",
         "nobody is told before this has passed"},
        {"web.timeout", FLAG_IGNORED, .takes_value = true},
        {"web.systemd-socket", FLAG_IGNORED},
        {"auto-gomemlimit.ratio", FLAG_IGNORED, .takes_value = true},
        {"cluster.listen-address", FLAG_IGNORED, .takes_value = true},
        {"cluster.advertise-address", FLAG_IGNORED, .takes_value = true},
        {"cluster.peer-name", FLAG_IGNORED, .takes_value = true},
        {"cluster.peer", FLAG_IGNORED, .takes_value = true},
        {"cluster.peer-timeout", FLAG_IGNORED, .takes_value = true},
        {"cluster.peers-resolve-timeout", FLAG_IGNORED, .takes_value = true},
        {"cluster.gossip-interval", FLAG_IGNORED, .takes_value = true},
        {"cluster.pushpull-interval", FLAG_IGNORED, .takes_value = true},
        {"cluster.tcp-timeout", FLAG_IGNORED, .takes_value = true},
        {"cluster.probe-timeout", FLAG_IGNORED, .takes_value = true},
        {"cluster.probe-interval", FLAG_IGNORED, .takes_value = true},
        {"cluster.settle-timeout", FLAG_IGNORED, .takes_value = true},
        {"cluster.reconnect-interval", FLAG_IGNORED, .takes_value = true},
        {"cluster.reconnect-timeout", FLAG_IGNORED, .takes_value = true},
        {"cluster.tls-config", FLAG_IGNORED, .takes_value = true},
        {"cluster.label", FLAG_IGNORED, .takes_value = true},
        {"cluster.allow-insecure-public-advertise-address-discovery", FLAG_IGNORED},
    };
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_alertmanager, argc, argv, NULL);
    if (stop)
        return stop - 1;
    if (!read_options(a))
        return 2;
    Why why = {0};
    VfsStat st;
    if (vfs_os()->stat(vfs_os(), a->env_file, &st, NULL) == OK &&
        dotenv_load(vfs_os(), a->env_file, &why) != OK)
        return complain("alertmanager", &why) + 1;
    Err e = open_all(a, &why);
    if (e == OK) {
        loop_on_signal(a->web, SIGTERM, on_stop, a);
        loop_on_signal(a->web, SIGINT, on_stop, a);
        loop_on_signal(a->web, SIGHUP, on_hangup, a);
        http_server_start(a->server);
        announce(a);
        loop_run(a->web);
    } else {
        complain("alertmanager", &why);
    }
    close_all(a);
    return e == OK ? 0 : 1;
}

const Command cmd_alertmanager = {
    .name = "alertmanager",
    .summary = "start the alert router alone",
    .help =
        "pharos alertmanager [flags]\n\n"
        "Alertmanager's part by itself: its configuration file, API and flags. Alerts, silences and what was "
        "said to whom\n"
        "are on disk before they are acknowledged. Flags of clustering are accepted and have no effect.\n\n"
        "  pharos alertmanager --config.file=alertmanager.yml --storage.path=data\n",
    .run = run,
};
