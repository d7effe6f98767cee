/* The webhook body, version 4, in Alertmanager's order of fields. */
#include "alert/notify/notify.h"

#include <stdio.h>

/* RFC 3339 with as many digits as it takes, up to nanoseconds. */
static void put_time(Json *j, const char *key, i64 ns)
{
    Buf b;
    Civil c;
    buf_init(&b, 64);
    i64 sec = ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
    civil_from_unix(sec, &c);
    c.nanos = (i32)(ns - sec * NS_PER_SEC);
    if (ns)
        print_time_go(&b, &c, S("2006-01-02T15:04:05.999999999Z07:00"));
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

void webhook_body(const IntegrationConfig *c, const NotifyData *d, const char *version, Buf *out)
{
    Json j;
    char fingerprint[24];
    NotifyData cut = *d;
    Arena arena;
    arena_init(&arena, NULL, 64 << 20);
    u32 len = c->max_alerts && d->len > c->max_alerts ? (u32)c->max_alerts : d->len, left = d->len - len;
    if (left) { /* what is common is common to those that are shown */
        cut.len = len;
        notify_set_common(&cut, &arena);
        d = &cut;
    }
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
        put_time(&j, "startsAt", a->starts_ns);
        put_time(&j, "endsAt", a->is_resolved ? a->ends_ns : 0);
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
    js_kv(&j, "version", str_c(version));
    js_kv(&j, "groupKey", d->group_key);
    js_key(&j, S("truncatedAlerts"));
    js_u64(&j, left);
    js_object_end(&j);
    buf_char(out, '\n');
    arena_done(&arena);
}
