/* The webhook body, version 4, in Alertmanager's order of fields. */
#include "alert/notify/notify.h"

#include <stdio.h>

static void put_time(Json *j, const char *key, i64 ms)
{
    Buf b;
    buf_init(&b, 64);
    if (ms)
        print_rfc3339_ms(&b, ms);
    else
        buf_c(&b, "0001-01-01T00:00:00Z");
    js_kv(j, key, buf_view(&b));
    buf_done(&b);
}

static void put_labels(Json *j, const char *key, Labels l)
{
    js_key(j, str_c(key));
    js_object(j);
    for (u32 i = 0; i < l.len; i++) {
        js_key(j, l.at[i].name);
        js_str(j, l.at[i].value); /* with <, > and & escaped, as the peer's encoder does here */
    }
    js_object_end(j);
}

void webhook_body(const IntegrationConfig *c, const NotifyData *d, Buf *out)
{
    Json j;
    char fingerprint[24];
    u32 len = c->max_alerts && d->len > c->max_alerts ? (u32)c->max_alerts : d->len;
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "receiver", d->receiver);
    js_kv(&j, "status", notify_is_firing(d) ? S("firing") : S("resolved"));
    js_key(&j, S("alerts"));
    js_array(&j);
    for (u32 i = 0; i < len; i++) {
        const NotifyAlert *a = &d->alerts[i];
        js_object(&j);
        js_kv(&j, "status", a->is_resolved ? S("resolved") : S("firing"));
        put_labels(&j, "labels", a->labels);
        put_labels(&j, "annotations", a->annotations);
        put_time(&j, "startsAt", a->starts_ms);
        put_time(&j, "endsAt", a->is_resolved ? a->ends_ms : 0);
        js_kv(&j, "generatorURL", a->generator_url);
        snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)a->fingerprint);
        js_kv(&j, "fingerprint", str_c(fingerprint));
        js_object_end(&j);
    }
    js_array_end(&j);
    js_kv(&j, "notification_reason", d->reason);
    put_labels(&j, "groupLabels", d->group_labels);
    put_labels(&j, "commonLabels", d->common_labels);
    put_labels(&j, "commonAnnotations", d->common_annotations);
    js_kv(&j, "externalURL", d->external_url);
    js_kv(&j, "version", S("4"));
    js_kv(&j, "groupKey", d->group_key);
    js_key(&j, S("truncatedAlerts"));
    js_u64(&j, d->len - len);
    js_object_end(&j);
    buf_char(out, '\n');
}
