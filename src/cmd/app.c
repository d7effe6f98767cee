/* The life of the server process: app.h. */
#include "cmd/app.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd/version.h"
#include "dash/dash.h"

enum { DRAIN_MS = 10000 };

static void *work_main(void *arg)
{
    loop_run(arg);
    return NULL;
}

typedef struct Started {
    Mutex lock;
    Cond cond;
    bool yes;
} Started;

static void started(void *arg)
{
    Started *s = arg;
    mutex_lock(&s->lock);
    s->yes = true;
    cond_signal(&s->cond);
    mutex_unlock(&s->lock);
}

/* The work loop turns when this returns: what posts to it and waits can be called. */
static void start_work(App *a)
{
    Started s = {0};
    mutex_init(&s.lock, RANK_QUEUE);
    cond_init(&s.cond);
    loop_post(a->work, started, &s);
    check(thread_start(&a->work_thread, "work", work_main, a->work) == OK);
    mutex_lock(&s.lock);
    while (!s.yes)
        cond_wait(&s.cond, &s.lock);
    mutex_unlock(&s.lock);
    cond_done(&s.cond);
    mutex_done(&s.lock);
}

/* ---- what the API asks about the process ---- */

static bool hook_is_ready(void *arg)
{
    App *a = arg;
    return a->ready && !a->stopping;
}

static bool hook_is_stopping(void *arg)
{
    return ((App *)arg)->stopping;
}

static void hook_config_text(void *arg, Buf *out)
{
    App *a = arg;
    rwlock_read(&a->config_lock);
    PromConfig *c = prom_config_ref(a->config);
    rwlock_unlock(&a->config_lock);
    conf_print_yaml(c->conf, out);
    prom_config_unref(c);
}

static void hook_runtime_info(void *arg, Arena *arena, ApiRuntimeInfo *ret)
{
    App *a = arg;
    char cwd[4096], host[256];
    Buf retention;
    buf_init(&retention, 128);
    print_duration_ms(&retention, a->o.retention_ms);
    if (a->o.retention_bytes)
        buf_printf(&retention, " or %.4gGiB", (f64)a->o.retention_bytes / (f64)(1 << 30));
    if (gethostname(host, sizeof host))
        host[0] = 0;
    host[sizeof host - 1] = 0;
    rwlock_read(&a->config_lock);
    *ret = (ApiRuntimeInfo){
        .start_ms = a->start_ms,
        .last_config_ms = a->config_loaded_ms,
        .reload_ok = a->config_ok,
        .cwd = arena_dup(arena, str_c(getcwd(cwd, sizeof cwd) ? cwd : "")),
        .hostname = arena_dup(arena, str_c(host)),
        .storage_retention = arena_dup(arena, buf_view(&retention)),
    };
    rwlock_unlock(&a->config_lock);
    buf_done(&retention);
}

static int flag_order(const void *a, const void *b)
{
    return str_cmp(((const ApiFlag *)a)->name, ((const ApiFlag *)b)->name);
}

static void hook_flags(void *arg, Arena *arena, const ApiFlag **ret, u32 *ret_len)
{
    App *a = arg;
    ApiFlag *rows = arena_array(arena, ApiFlag, a->flags_len);
    u32 n = 0;
    for (size_t i = 0; rows && i < a->flags_len; i++) {
        const Flag *f = &a->flags[i];
        if (f->kind != FLAG_IGNORED)
            rows[n++] = (ApiFlag){str_c(f->name), str_c(f->was_set ? f->given : f->dflt ? f->dflt : "")};
    }
    if (n)
        qsort(rows, n, sizeof *rows, flag_order);
    *ret = rows;
    *ret_len = n;
}

static void hook_external_labels(void *arg, Arena *arena, Labels *ret)
{
    App *a = arg;
    rwlock_read(&a->config_lock);
    *ret = labels_dup(arena, a->config->external_labels);
    rwlock_unlock(&a->config_lock);
}

/* ---- routes of our own ---- */

static void reload_job(void *arg)
{
    App *a = arg;
    Why why = {0};
    if (app_load(a, false, &why) != OK) {
        char text[2048];
        LOG_ERROR("main", "Reloading the configuration failed; the one before goes on",
                  LF_C("err", why_print(&why, text, sizeof text)));
    }
}

static void on_hangup(void *arg)
{
    App *a = arg;
    if (pool_submit(a->admin_pool, reload_job, a) != OK)
        LOG_WARN("main", "SIGHUP ignored: a reload is waiting already");
}

static void route_reload(HttpReq *r, void *arg)
{
    App *a = arg;
    Why why = {0};
    char text[2048];
    if (!a->o.lifecycle)
        http_reply_text(r, 403, "Lifecycle API is not enabled.");
    else if (app_load(a, false, &why) != OK)
        http_reply_text(r, 500, "failed to reload config: %s", why_print(&why, text, sizeof text));
    else
        http_reply(r, 200, "text/plain; charset=utf-8", S(""));
}

static void route_quit(HttpReq *r, void *arg)
{
    App *a = arg;
    if (!a->o.lifecycle) {
        http_reply_text(r, 403, "Lifecycle API is not enabled.");
        return;
    }
    http_reply_text(r, 200, "Requesting termination... Goodbye!");
    app_stop(a);
}

static void route_host(HttpReq *r, void *arg)
{
    App *a = arg;
    Buf page;
    buf_init(&page, 8 << 20);
    host_exporter_render(&a->host, &page);
    http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_view(&page));
    buf_done(&page);
}

static void mount(App *a, HttpServer *s)
{
    const HttpRoute own[] = {
        {.methods = "POST,PUT",
         .path = "/-/reload",
         .handler = route_reload,
         .arg = a,
         .role = ROLE_ADMIN,
         .run = RUN_ADMIN,
         .body_max = 1024},
        {.methods = "POST,PUT",
         .path = "/-/quit",
         .handler = route_quit,
         .arg = a,
         .role = ROLE_ADMIN,
         .run = RUN_ADMIN,
         .body_max = 1024},
        {.methods = "GET",
         .path = "/metrics/host",
         .handler = route_host,
         .arg = a,
         .role = ROLE_READ,
         .run = RUN_ADMIN},
    };
    http_server_route(s, own, COUNT_OF(own));
    api_register(a->api, s);
    collect_routes(s, a->collector);
    rules_routes(s, a->rules);
    ruler_routes(s, a->ruler);
    app_alerts_routes(a, s);
    dash_routes(s, a->dashboards);
}

/* ---- opening ---- */

static Err listen_on(App *a, const char *name, const char *address, Why *why)
{
    Pool *query = a->query_pool, *ingest = a->ingest_pool, *admin = a->admin_pool;
    HttpServerConfig c = {
        .loop = a->web,
        .component = name,
        .address = str_c(address),
        .route_prefix = str_c(a->o.route_prefix),
        .auth = a->credentials ? credentials_authenticator(a->credentials) : NULL,
        .pools = {[RUN_QUERY] = query, [RUN_INGEST] = ingest, [RUN_ADMIN] = admin},
        .connections_max = (u32)a->o.connections_max,
        .account = a->account,
        .tls_cert_file = a->web_config.tls_cert_file,
        .tls_key_file = a->web_config.tls_key_file,
        .tls_client_ca_file = a->web_config.tls_client_ca_file,
        .tls_client_auth_type = a->web_config.tls_client_auth_type,
        .tls_min_version = a->web_config.tls_min_version,
        .extra_headers = a->web_config.headers,
        .extra_headers_len = a->web_config.headers_len,
    };
    check(a->listeners_len < APP_LISTENERS_MAX);
    HttpServer *s;
    if (http_server_new(&c, &s, why) != OK) {
        why_prefix(why, "--%s.listen-address: ", name);
        return why->err;
    }
    a->listeners[a->listeners_len++] = (AppListener){name, s};
    return OK;
}

/* Reads --web.config.file; the result lives in *ret_conf. The server's own scrapes, configured by nobody, get a token
 * of their own where credentials are needed. */
static Err read_web_config(App *a, Conf **ret_conf, WebConfig *ret, Why *why)
{
    Buf text;
    buf_init(&text, 1 << 20);
    Err e = vfs_read_file(vfs_os(), a->o.web_config_file, 1 << 20, &text, why);
    *ret_conf = conf_new(a->o.web_config_file);
    if (e == OK) {
        if (conf_parse(*ret_conf, buf_view(&text)))
            web_config_read(*ret_conf, ret);
        e = conf_finish(*ret_conf, why);
    }
    buf_done(&text);
    if (e == OK && ret->users_len + ret->tokens_len) {
        struct WebToken *tokens = arena_array(conf_arena(*ret_conf), struct WebToken, ret->tokens_len + 1);
        for (u32 i = 0; i < ret->tokens_len; i++)
            tokens[i] = ret->tokens[i];
        tokens[ret->tokens_len++] =
            (struct WebToken){.token = {str_c(a->own_token)}, .name = S("self"), .role = ROLE_READ};
        ret->tokens = tokens;
    }
    return e;
}

static Err open_web_config(App *a, Why *why)
{
    u8 random[24];
    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(a->own_token + 2 * i, 3, "%02x", random[i]);
    if (!a->o.web_config_file[0])
        return OK;
    TRY(read_web_config(a, &a->web_conf, &a->web_config, why));
    a->credentials = credentials_new(&a->web_config);
    return OK;
}

/* Users and tokens follow the file; TLS files are watched by the listener; what else is in it needs a restart. */
static Err reload_users(App *a, Conf **ret_conf, WebConfig *ret, Why *why)
{
    *ret_conf = NULL;
    return a->credentials ? read_web_config(a, ret_conf, ret, why) : OK;
}

/* What others call us: the web listener's address, with localhost for the wildcard. */
static void name_ourselves(App *a)
{
    Str bound = http_server_address(a->listeners[0].server), host = bound, port = S("");
    for (size_t i = bound.len; i-- > 0;)
        if (bound.at[i] == ':') {
            host = str_sub(bound, 0, i);
            port = str_skip(bound, i + 1);
            break;
        }
    if (str_eq(host, S("0.0.0.0")) || str_eq(host, S("[::]")) || str_eq(host, S("")) ||
        str_eq(host, S("127.0.0.1")))
        host = S("localhost");
    Buf text;
    buf_init(&text, 512);
    buf_printf(&text, "%.*s:%.*s", STR_FMT(host), STR_FMT(port));
    a->own_address = mem_dup(buf_view(&text));
    if (a->o.external_url[0]) {
        Str url = str_c(a->o.external_url);
        while (str_ends(url, S("/")))
            url.len--;
        a->external_url = mem_dup(url);
    } else {
        char name[256];
        buf_clear(&text);
        bool has_name = gethostname(name, sizeof name) == 0;
        name[sizeof name - 1] = 0;
        buf_printf(&text, "%s://%s:%.*s%s", a->web_config.tls_cert_file.len ? "https" : "http",
                   has_name ? name : "localhost", STR_FMT(port), a->o.route_prefix);
        a->external_url = mem_dup(buf_view(&text));
    }
    buf_done(&text);
}

static char *path_in(App *a, const char *name)
{
    Buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "%s/%s", a->o.storage_path, name);
    char *path = mem_strdup(buf_view(&b));
    buf_done(&b);
    return path;
}

static u64 memory_of_machine(void)
{
    return (u64)sysconf(_SC_PHYS_PAGES) * (u64)sysconf(_SC_PAGESIZE);
}

static void start_threads(App *a)
{
    u32 cores = (u32)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    a->web = loop_new(a->clock);
    a->work = loop_new(a->clock);
    a->query_pool = pool_new("query", (u32)MAX(a->o.query_concurrency, 1), 1024);
    if (cores > 1) /* beside the queries' own threads: parts of large ones */
        a->slice_pool = pool_new("slice", MIN(cores, 16u) - 1, 64);
    a->slices = MIN(cores, 16u);
    a->ingest_pool = pool_new("ingest", MAX(cores, 2u) * 2, 1024);
    a->admin_pool = pool_new("admin", 2, 256);
    a->scrape_pool = pool_new("scrape", cores, 65536);
    a->rule_pool = pool_new("rules", 2, 4096);
    a->notify_pool = pool_new("notify", 2, 4096); /* its own: a provider that hangs must not hold up rules */
}

static PromEngineConfig query_limits(const App *a)
{
    return (PromEngineConfig){
        .lookback_ms = a->o.lookback_ms,
        .samples_max = (u64)a->o.query_samples_max,
        .memory_max = a->o.query_memory_max,
        .timeout_ms = a->o.query_timeout_ms,
        .features = a->features,
        .account = a->account,
        .clock = a->clock,
        .helpers = a->slice_pool,
        .slices = a->slices,
    };
}

static Err open_engine(App *a, Why *why)
{
    char *dir = path_in(a, "metrics");
    MetricsConfig c = {
        .vfs = vfs_os(),
        .clock = a->clock,
        .dir = dir,
        .durability = !strcmp(a->o.durability, "process") ? DURABLE_PROCESS : DURABLE_POWER,
        .retention_ms = a->o.retention_ms,
        .retention_bytes = a->o.retention_bytes,
        .out_of_order_ms = a->o.ooo_window_ms,
        .flush_interval_ms = a->o.flush_interval_ms,
        .wal_bytes_max = a->o.wal_bytes_max,
        .shards = (u32)a->o.shards,
        .account = a->account,
    };
    Err e = metrics_open(&a->engine, &c, why);
    mem_free(dir);
    return e;
}

static Err open_dashboards(App *a, Why *why)
{
    char *path = path_in(a, "pharos.db");
    DashConfig c = {.vfs = vfs_os(),
                    .clock = a->clock,
                    .db_path = str_c(path),
                    .provisioning = str_c(a->o.dashboards_path)};
    Err e = dash_store_open(&c, &a->dashboards, why);
    mem_free(path);
    return e;
}

static Err open_parts(App *a, Why *why)
{
    TRY(open_engine(a, why));
    TRY(open_dashboards(a, why));
    tee_init(&a->tee, metrics_sink(a->engine));
    a->client = http_client_new(a->work, a->account);
    char *dir = path_in(a, "remote_write");
    a->remote = remote_write_new(&(RemoteWriteOptions){.loop = a->work,
                                                       .vfs = vfs_os(),
                                                       .account = a->account,
                                                       .dir = dir,
                                                       .disk_bytes_max = a->o.remote_disk_max,
                                                       .user_agent = S("pharos/" PHAROS_VERSION)});
    mem_free(dir);
    tee_add(&a->tee, remote_write_sink(a->remote));
    a->host = (HostExporter){vfs_os(), a->clock, "/proc", "/sys", "/run/udev/data"};
    TRY(app_alerts_open(a, why));
    dir = path_in(a, "rules");
    RulesEnv rules = {.loop = a->work,
                      .clock = a->clock,
                      .pool = a->rule_pool,
                      .source = metrics_source(a->engine),
                      .sink = &a->tee.sink,
                      .alerts = app_alerts_sink(a),
                      .vfs = vfs_os(),
                      .state_dir = dir,
                      .prom = query_limits(a)};
    Err e = rules_open(&a->rules, &rules, why);
    mem_free(dir);
    TRY(e);
    dir = path_in(a, "ruler");
    e = ruler_open(
        &a->ruler,
        &(RulerEnv){.rules = a->rules, .vfs = vfs_os(), .dir = dir, .read = {.features = a->features}}, why);
    mem_free(dir);
    TRY(e);
    a->collector = collector_new(&(CollectorEnv){.loop = a->work,
                                                 .pool = a->scrape_pool,
                                                 .fetch = fetcher_of(a->client),
                                                 .sink = &a->tee.sink,
                                                 .vfs = vfs_os(),
                                                 .external_host = a->own_address,
                                                 .offset_seed = hash_str(a->external_url)});
    a->snapshot_dir = path_in(a, "snapshots");
    ApiConfig api = {
        .source = metrics_source(a->engine),
        .sink = a->o.receiver ? &a->tee.sink : NULL,
        .engine = a->engine,
        .query = query_limits(a),
        .query_concurrency = (u32)MAX(a->o.query_concurrency, 1),
        .cache_bytes = a->o.query_cache_bytes,
        .clock = a->clock,
        .cors_origin = str_c(a->o.cors_origin),
        .enable_admin = a->o.admin_api,
        .snapshot_dir = str_c(a->snapshot_dir),
        .build = {.version = S(PROMETHEUS_COMPATIBLE),
                  .pharos_version = S(PHAROS_VERSION),
                  .revision = S(""),
                  .branch = S("")},
        .hooks = {a, hook_is_ready, hook_is_stopping, hook_config_text, hook_runtime_info, hook_flags,
                  hook_external_labels},
    };
    return api_new(&api, &a->api, why);
}

Err app_open(App *a, Why *why)
{
    a->clock = clock_real();
    a->start_ms = clock_wall_ms(a->clock);
    mutex_init(&a->reload_lock, RANK_OUTER);
    rwlock_init(&a->config_lock);
    mallopt(M_ARENA_MAX, 2); /* threads share two heaps: small when idle, and our hot paths use arenas */
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    TRY(datadir_open(&a->data, vfs_os(), a->o.storage_path, why));
    TRY(open_web_config(a, why));
    a->account = account_new("the process (--memory.max)", NULL,
                             a->o.memory_max ? a->o.memory_max : memory_of_machine() / 2);
    start_threads(a);
    TRY(listen_on(a, "web", a->o.web_address, why));
    if (!strcmp(a->o.role, "all"))
        TRY(listen_on(a, "ui", a->o.ui_address, why));
    if (!strcmp(a->o.role, "all") || a->o.alertmanager_config_file[0])
        TRY(listen_on(a, "alertmanager", a->o.alertmanager_address, why));
    name_ourselves(a);
    TRY(open_parts(a, why));
    start_work(a);
    for (u32 i = 0; i < a->listeners_len; i++)
        mount(a, a->listeners[i].server);
    return OK;
}

/* ---- configuration ---- */

/* Without a file: ourselves and this host, so that there is something to see at once. */
static PromConfig *built_in_config(App *a)
{
    Buf yaml;
    buf_init(&yaml, 4096);
    buf_c(&yaml, "global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\n");
    static const char *const jobs[][2] = {{"prometheus", "/metrics"}, {"node", "/metrics/host"}};
    if (a->o.self_scrape)
        buf_c(&yaml, "scrape_configs:\n");
    for (size_t i = 0; a->o.self_scrape && i < COUNT_OF(jobs); i++) {
        buf_printf(&yaml,
                   "  - job_name: %s\n    metrics_path: %s%s\n    static_configs: [{targets: ['%.*s']}]\n",
                   jobs[i][0], a->o.route_prefix, jobs[i][1], STR_FMT(a->own_address));
        if (a->web_config.tls_cert_file.len) /* the certificate names the host that others use */
            buf_c(&yaml, "    scheme: https\n    tls_config: {insecure_skip_verify: true}\n");
        if (a->credentials)
            buf_printf(&yaml, "    authorization: {credentials: '%s'}\n", a->own_token);
    }
    PromConfig *c = prom_config_read_text(vfs_os(), "(built in)", buf_view(&yaml));
    buf_done(&yaml);
    return c;
}

static Metric *reload_ok(void)
{
    return metric_gauge("prometheus_config_last_reload_successful",
                        "Whether the last configuration reload attempt was successful.", "");
}

static Metric *reload_time(void)
{
    return metric_gauge("prometheus_config_last_reload_success_timestamp_seconds",
                        "Timestamp of the last successful configuration reload.", "");
}

static void log_warnings(PromConfig *c)
{
    u32 n;
    const ConfIssue *issues = conf_issues(c->conf, &n);
    for (u32 i = 0; i < n; i++)
        if (issues[i].is_warning) {
            char text[2048];
            LOG_WARN("config", "Configuration", LF_C("what", why_print(&issues[i].why, text, sizeof text)));
        }
}

static Err load(App *a, bool first, Why *why)
{
    PromConfig *c = a->o.config_file[0] ? prom_config_read(vfs_os(), a->o.config_file) : built_in_config(a);
    RuleSet *rules = NULL;
    Conf *users_conf = NULL;
    WebConfig users = {0};
    Err e = prom_config_verdict(c, why);
    if (e == OK) {
        rules = rule_set_load(vfs_os(), c->rule_files, c->rule_files_len,
                              &(RuleReadOptions){.features = a->features});
        e = rule_set_verdict(rules, why);
    }
    if (e == OK)
        e = app_alerts_check(a, why);
    if (e == OK && !first)
        e = reload_users(a, &users_conf, &users, why);
    if (e == OK)
        e = remote_write_apply(a->remote, c->destinations, c->destinations_len, c->external_labels, why);
    if (e == OK && users_conf)
        credentials_replace(a->credentials, &users);
    if (users_conf)
        conf_free(users_conf);
    if (e != OK) {
        rule_set_unref(rules);
        prom_config_unref(c);
        return e;
    }
    log_warnings(c);
    metrics_set_retention_percent(a->engine, c->retention_percent > 0 ? c->retention_percent
                                                                      : (f64)a->o.retention_percent);
    metrics_set_retention(a->engine, c->retention_ms ? c->retention_ms : a->o.retention_ms,
                          c->retention_bytes ? c->retention_bytes : a->o.retention_bytes);
    ruler_apply(a->ruler, rules,
                &(RulesGlobals){.interval_ms = c->evaluation_interval_ms,
                                .query_offset_ms = c->rule_query_offset_ms,
                                .external_url = a->external_url,
                                .external_labels = c->external_labels});
    app_alerts_apply(a, c);
    collector_apply(a->collector, c);
    rule_set_unref(rules);
    rwlock_write(&a->config_lock);
    PromConfig *before = a->config;
    a->config = c;
    a->config_loaded_ms = clock_wall_ms(a->clock);
    rwlock_unlock(&a->config_lock);
    if (before)
        prom_config_unref(before);
    return OK;
}

Err app_load(App *a, bool first, Why *why)
{
    mutex_lock(&a->reload_lock);
    Err e = load(a, first, why);
    a->config_ok = e == OK;
    metric_set(reload_ok(), e == OK);
    if (e == OK) {
        metric_set(reload_time(), (f64)a->config_loaded_ms / 1000);
        Why files = {0};
        if (!first && dash_reload(a->dashboards, &files) != OK)
            LOG_WARN("dash", "The dashboards' folder could not be read again", LF_WHY(&files));
        if (!first)
            LOG_INFO("main", "Configuration reloaded");
    }
    mutex_unlock(&a->reload_lock);
    return e;
}

/* ---- running ---- */

void app_stop(App *a)
{
    a->stopping = true;
    loop_stop(a->web);
}

static void on_stop_signal(void *arg)
{
    App *a = arg;
    if (a->stopping)
        _exit(130); /* the second time means now */
    LOG_INFO("main", "Stopping: requests in flight end, what was received is written out");
    app_stop(a);
}

static void announce(App *a)
{
    Buf lines;
    buf_init(&lines, 4096);
    for (u32 i = 0; i < a->listeners_len; i++) {
        Str address = http_server_address(a->listeners[i].server);
        LOG_INFO(a->listeners[i].name, "Listening on", LF_STR("address", address));
        buf_printf(&lines, "%s %.*s\n", a->listeners[i].name, STR_FMT(address));
    }
    Why why = {0};
    if (a->o.ready_file[0] && vfs_write_file(vfs_os(), a->o.ready_file, buf_view(&lines), &why) != OK)
        LOG_ERROR("main", "The ready file cannot be written", LF_WHY(&why));
    if (isatty(1)) {
        Str address = http_server_address(a->listeners[0].server);
        printf("\n  Pharos is ready: http://%.*s\n", STR_FMT(address));
        const char *ssh = getenv("SSH_CONNECTION");
        char host[256] = "this-host";
        gethostname(host, sizeof host - 1);
        if (ssh && ssh[0])
            printf("  From your own machine: ssh -L 9090:%.*s %s, then http://127.0.0.1:9090\n",
                   STR_FMT(address), host);
        printf("  To listen wider: --web.listen-address=0.0.0.0:9090 (set --web.config.file first: users and "
               "TLS)\n\n");
        fflush(stdout);
    }
    buf_done(&lines);
}

int app_run(App *a)
{
    loop_on_signal(a->web, SIGTERM, on_stop_signal, a);
    loop_on_signal(a->web, SIGINT, on_stop_signal, a);
    loop_on_signal(a->web, SIGHUP, on_hangup, a);
    for (u32 i = 0; i < a->listeners_len; i++)
        http_server_start(a->listeners[i].server);
    a->ready = true;
    metric_set(metric_gauge("prometheus_build_info",
                            "A metric with a constant '1' value labeled by version: the Prometheus whose API "
                            "this is, and ours.",
                            "version=\"" PROMETHEUS_COMPATIBLE "\",pharos_version=\"" PHAROS_VERSION "\""),
               1);
    metric_set(
        metric_gauge(
            "prometheus_ready",
            "Whether Prometheus startup was fully completed and the server is ready for normal operation.",
            ""),
        1);
    announce(a);
    loop_run(a->web);
    return a->exit_code;
}

void app_close(App *a)
{
    a->stopping = true;
    if (a->work && !a->work_thread) /* opening failed half-way; closing talks to its loop */
        check(thread_start(&a->work_thread, "work", work_main, a->work) == OK);
    for (u32 i = 0; i < a->listeners_len; i++)
        http_server_drain(a->listeners[i].server, DRAIN_MS);
    if (a->collector)
        collector_free(a->collector);
    ruler_close(a->ruler);
    if (a->rules)
        rules_close(a->rules);
    if (a->alerts)
        app_alerts_close(a);
    if (a->work) {
        loop_stop(a->work);
        if (a->work_thread)
            pthread_join(a->work_thread, NULL);
    }
    if (a->remote)
        remote_write_free(a->remote);
    if (a->client)
        http_client_free(a->client);
    for (u32 i = 0; i < a->listeners_len; i++)
        http_server_free(a->listeners[i].server);
    pool_free(a->query_pool);
    pool_free(a->slice_pool);
    pool_free(a->ingest_pool);
    pool_free(a->admin_pool);
    pool_free(a->scrape_pool);
    pool_free(a->rule_pool);
    pool_free(a->notify_pool);
    app_alerts_free(a);
    if (a->api)
        api_free(a->api);
    mem_free(a->snapshot_dir);
    dash_store_close(a->dashboards);
    if (a->engine) {
        Why why = {0};
        if (metrics_close(a->engine, &why) != OK) {
            LOG_ERROR("main", "The last flush failed; the log has the samples and the next start reads them",
                      LF_WHY(&why));
            a->exit_code = 1;
        }
    }
    if (a->credentials)
        credentials_free(a->credentials);
    if (a->web_conf)
        conf_free(a->web_conf);
    if (a->config)
        prom_config_unref(a->config);
    if (a->web)
        loop_free(a->web);
    if (a->work)
        loop_free(a->work);
    if (a->data)
        datadir_close(a->data);
    mem_free((void *)a->own_address.at);
    mem_free((void *)a->external_url.at);
    rwlock_done(&a->config_lock);
    mutex_done(&a->reload_lock);
}
