/* Where alerts go: the built-in router (alertmanager.yml, or DISCORD_WEBHOOK_URL alone) and the Alertmanagers that
 * prometheus.yml names. */
#include "alert/alert.h"
#include "cmd/app.h"
#include "cmd/version.h"

typedef struct AppAlerts {
    Alerter *alerter;
    Alertmanagers *others;
    AlertSink *both;
    AlertApi *api;
    AlertConfig *next; /* checked, not applied yet */
} AppAlerts;

static void refresh(void *arg)
{
    App *a = arg;
    if (a->alerts && a->ready && !a->stopping)
        alert_api_refresh_metrics(a->alerts->api);
}

static Err reload(void *arg, Why *why)
{
    return app_load(arg, false, why);
}

Err app_alerts_open(App *a, Why *why)
{
    AppAlerts *x = a->alerts = mem_new(AppAlerts);
    Buf dir;
    buf_init(&dir, 4096);
    buf_printf(&dir, "%s/alerts", a->o.storage_path);
    AlerterEnv env = {.loop = a->work,
                      .clock = a->clock,
                      .pool = a->notify_pool,
                      .client = a->client,
                      .chart = app_chart,
                      .chart_arg = a,
                      .vfs = vfs_os(),
                      .dir = buf_cstr(&dir)};
    Err e = alerter_open(&x->alerter, &env, why);
    buf_done(&dir);
    TRY(e);
    x->api = alert_api_new(x->alerter, &(AlertApiEnv){.own_version = PHAROS_VERSION,
                                                      .config_file = a->o.alertmanager_config_file,
                                                      .reload = reload,
                                                      .reload_arg = a});
    metric_on_render(refresh, a);
    x->others = alertmanagers_new(&(AlertmanagersEnv){
        .loop = a->work, .clock = a->clock, .pool = a->notify_pool, .client = a->client, .vfs = vfs_os()});
    AlertSink *sinks[] = {alerter_sink(x->alerter), alertmanagers_sink(x->others)};
    x->both = alert_tee_new(sinks, COUNT_OF(sinks));
    return OK;
}

AlertSink *app_alerts_sink(App *a)
{
    return a->alerts->both;
}

Err app_alerts_check(App *a, Why *why)
{
    AppAlerts *x = a->alerts;
    alert_config_unref(x->next);
    x->next = NULL;
    Str url = dotenv_get("DISCORD_WEBHOOK_URL");
    if (a->o.alertmanager_config_file[0])
        x->next = alert_config_load(vfs_os(), a->o.alertmanager_config_file);
    else if (url.len)
        x->next = alert_config_discord((Secret){url});
    else
        x->next = alert_config_none();
    return alert_config_verdict(x->next, why);
}

/* Where alerts sent by us would come back to us. */
static void own_addresses(App *a, Buf *out)
{
    buf_str(out, a->own_address);
    for (u32 i = 0; i < a->listeners_len; i++) {
        Str address = http_server_address(a->listeners[i].server);
        size_t colon = address.len;
        while (colon && address.at[colon - 1] != ':')
            colon--;
        Str port = str_skip(address, colon);
        buf_printf(out, " %.*s localhost:%.*s 127.0.0.1:%.*s", STR_FMT(address), STR_FMT(port),
                   STR_FMT(port));
    }
}

void app_alerts_apply(App *a, PromConfig *config)
{
    AppAlerts *x = a->alerts;
    Buf own;
    buf_init(&own, 4096);
    own_addresses(a, &own);
    alertmanagers_apply(x->others, config, buf_view(&own));
    buf_done(&own);
    AlertGlobals g = {.external_url = a->external_url,
                      .silence_path = S("/silences?new=1&filter="),
                      .external_labels = config->external_labels,
                      .relabel = config->alert_relabel};
    alerter_apply(x->alerter, x->next, &g);
    alert_config_unref(x->next);
    x->next = NULL;
    bool told = a->o.alertmanager_config_file[0] || dotenv_get("DISCORD_WEBHOOK_URL").len;
    if (!told && !config->alertmanagers_len)
        LOG_INFO("alerts",
                 "Alerts are kept and shown, but nobody is told yet: set DISCORD_WEBHOOK_URL in .env, or "
                 "--alertmanager.config.file");
}

void app_alerts_routes(App *a, HttpServer *s)
{
    alertmanagers_routes(s, a->alerts->others);
    alert_api_routes(a->alerts->api, s);
}

void app_alerts_close(App *a)
{
    AppAlerts *x = a->alerts;
    if (x->alerter)
        alerter_stop(x->alerter);
    if (x->others)
        alertmanagers_free(x->others);
    x->others = NULL;
}

void app_alerts_free(App *a)
{
    AppAlerts *x = a->alerts;
    if (!x)
        return;
    if (x->alerter)
        alerter_close(x->alerter);
    if (x->api)
        alert_api_free(x->api);
    if (x->both)
        alert_tee_free(x->both);
    alert_config_unref(x->next);
    mem_free(x);
    a->alerts = NULL;
}
