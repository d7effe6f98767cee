/* Where alerts go. Routing arrives with the alert floor; until then they are on the Alerts page and in the API, and the log says so. */
#include "cmd/app.h"

static void keep(AlertSink *s, const AlertNotice *alerts, u32 n)
{
    (void)s;
    for (u32 i = 0; i < n; i++)
        LOG_WARN("alerts", "Alert, and nobody to tell: routing is not built in",
                 LF_STR("alertname", labels_get(alerts[i].labels, S("alertname"))));
}

static AlertSink nobody = {keep};

Err app_alerts_open(App *a, Why *why)
{
    (void)a, (void)why;
    return OK;
}

AlertSink *app_alerts_sink(App *a)
{
    (void)a;
    return &nobody;
}

Err app_alerts_check(App *a, Why *why)
{
    return a->o.alertmanager_config_file[0]
               ? why_set(why, E_UNSUPPORTED, "--alertmanager.config.file: routing is not built in")
               : OK;
}

void app_alerts_apply(App *a, PromConfig *config)
{
    (void)a, (void)config;
}

void app_alerts_routes(App *a, HttpServer *s)
{
    (void)a, (void)s;
}

void app_alerts_close(App *a)
{
    (void)a;
}
