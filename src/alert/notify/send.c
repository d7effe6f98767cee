/* One delivery: the HTTP call, and what its answer means. */
#include "alert/notify/notify.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { ANSWER_BYTES_MAX = 1 << 20, URL_BYTES_MAX = 4096 };
#define TIMEOUT_MS   (15 * MS_PER_SEC)
#define RETRY_MAX_MS (3600 * MS_PER_SEC)

/* Replaces every occurrence of needle (8 bytes and longer: a secret) in a NUL-terminated text. */
static void scrub(char *text, Str needle)
{
    if (needle.len < 8)
        return;
    for (size_t at; (at = str_find(str_c(text), needle)) != SIZE_MAX;) {
        size_t len = strlen(text), put = sizeof SECRET_TEXT - 1;
        put = MIN(put, needle.len);
        memmove(text + at + put, text + at + needle.len, len - at - needle.len + 1);
        memcpy(text + at, SECRET_TEXT, put);
        if (put < sizeof SECRET_TEXT - 1) /* the needle was shorter than its replacement: mask it */
            memset(text + at, '*', put);
    }
}

static void scrub_url(char *text, Str url)
{
    Url u;
    scrub(text, url);
    if (url_parse(url, &u, NULL) == OK) {
        scrub(text, u.path);
        scrub(text, u.query);
        scrub(text, u.userinfo);
        /* The token is the last part of a Discord URL's path. */
        size_t slash = u.path.len;
        while (slash > 0 && u.path.at[slash - 1] != '/')
            slash--;
        scrub(text, str_skip(u.path, slash));
    }
}

/* The URL now: from the configuration, or from its file. */
static Err reveal_url(const NotifyTransport *t, const IntegrationConfig *c, Arena *arena, Str *ret, Why *why)
{
    if (secret_is_set(c->url)) {
        *ret = secret_reveal(c->url);
        return OK;
    }
    Buf b;
    buf_init(&b, URL_BYTES_MAX);
    const char *path = mem_strdup(c->url_file);
    Err e = vfs_read_file(t->vfs, path, URL_BYTES_MAX, &b, why);
    mem_free((void *)path);
    *ret = arena_dup(arena, str_trim(buf_view(&b)));
    buf_done(&b);
    return e;
}

/* {url}[/messages/{id}][?query][wait=true] */
static Str discord_url(const Delivery *d, Str url, Arena *arena)
{
    Str base, query;
    str_cut(url, '?', &base, &query);
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    if (d->config->style == DISCORD_ALERTMANAGER)
        return url;
    if (d->kind == 'E')
        return arena_printf(arena, "%.*s/messages/%.*s%s%.*s", STR_FMT(base), STR_FMT(d->message_id),
                            query.len ? "?" : "", STR_FMT(query));
    return arena_printf(arena, "%.*s?%.*s%swait=true", STR_FMT(base), STR_FMT(query), query.len ? "&" : "");
}

static i64 seconds_header(const HttpResult *r, const char *name)
{
    f64 v;
    Str text = http_result_header(r, str_c(name));
    if (!text.len || parse_f64(text, &v) != OK || !(v >= 0))
        return 0;
    return (i64)MIN(ceil(v * 1000), (f64)RETRY_MAX_MS);
}

typedef struct Answer {
    char id[32], message[200];
    i64 code, retry_ms;
    bool is_global;
} Answer;

static void read_answer(Str body, Answer *ret)
{
    json_error_t err;
    json_t *root = json_loadb(body.at, body.len, 0, &err);
    json_t *v;
    if ((v = json_object_get(root, "id")) && json_is_string(v))
        snprintf(ret->id, sizeof ret->id, "%s", json_string_value(v));
    for (const char *p = ret->id; *p; p++)
        if (*p < '0' || *p > '9')
            ret->id[0] = 0; /* a snowflake is digits; anything else never enters a URL */
    if ((v = json_object_get(root, "message")) && json_is_string(v))
        snprintf(ret->message, sizeof ret->message, "%s", json_string_value(v));
    if ((v = json_object_get(root, "code")) && json_is_integer(v))
        ret->code = json_integer_value(v);
    if ((v = json_object_get(root, "retry_after")) && json_is_number(v) && json_number_value(v) >= 0)
        ret->retry_ms = (i64)MIN(ceil(json_number_value(v) * 1000), (f64)RETRY_MAX_MS);
    ret->is_global = json_is_true(json_object_get(root, "global"));
    json_decref(root);
}

static void judge(const Delivery *d, const HttpResult *r, DeliveryResult *ret)
{
    enum { UNKNOWN_MESSAGE = 10008 };
    Answer a = {0};
    bool discord = d->config->kind == INTEGRATION_DISCORD;
    if (discord)
        read_answer(r->body, &a);
    if (str_eq(http_result_header(r, S("X-RateLimit-Remaining")), S("0")))
        ret->pause_ms = seconds_header(r, "X-RateLimit-Reset-After");
    if (r->status >= 200 && r->status < 300) {
        ret->verdict = DELIVERED;
        memcpy(ret->provider_id, a.id, sizeof ret->provider_id);
        return;
    }
    snprintf(ret->reason, sizeof ret->reason, "HTTP %d%s%s", r->status, a.message[0] ? ": " : "", a.message);
    if (r->status == 429) {
        i64 header = seconds_header(r, "Retry-After");
        ret->verdict = DELIVERY_RETRY;
        ret->retry_ms = MAX(MAX(header, a.retry_ms), 1);
        ret->is_global = a.is_global || http_result_header(r, S("X-RateLimit-Global")).len > 0;
    } else if (r->status >= 500 || r->status == 408) {
        ret->verdict = DELIVERY_RETRY;
        ret->retry_ms = seconds_header(r, "Retry-After");
    } else if (discord && r->status == 404 && d->kind == 'E' && (a.code == UNKNOWN_MESSAGE || a.code == 0)) {
        ret->verdict = DELIVERY_GONE;
        snprintf(ret->reason, sizeof ret->reason, "the message to edit was deleted");
    } else if (discord && (r->status == 401 || r->status == 403 || r->status == 404)) {
        ret->verdict = DELIVERY_STOP;
        snprintf(ret->reason, sizeof ret->reason,
                 "HTTP %d%s%s: the webhook was deleted or its URL is wrong; make a new one and reload",
                 r->status, a.message[0] ? ": " : "", a.message);
    } else {
        ret->verdict = DELIVERY_GONE;
    }
}

void notify_deliver(const NotifyTransport *t, const Delivery *d, Arena *arena, DeliveryResult *ret)
{
    *ret = (DeliveryResult){0};
    Str url;
    Why why = {0};
    if (reveal_url(t, d->config, arena, &url, &why) != OK) {
        ret->verdict = DELIVERY_RETRY;
        str_fit(ret->reason, sizeof ret->reason, why.text);
        return;
    }
    bool discord = d->config->kind == INTEGRATION_DISCORD;
    HttpHeader headers[] = {{S("Content-Type"), S("application/json")}};
    HttpCall call = {.config = &d->config->http,
                     .egress = EGRESS_CONFIGURED,
                     .method = d->kind == 'E' ? S("PATCH") : S("POST"),
                     .url = discord ? discord_url(d, url, arena) : url,
                     .headers = headers,
                     .headers_len = COUNT_OF(headers),
                     .body = d->body,
                     .timeout_ms = d->config->timeout_ms ? d->config->timeout_ms : TIMEOUT_MS,
                     .body_max = ANSWER_BYTES_MAX};
    HttpResult r = {0};
    Err e = t->call ? t->call(t->arg, &call, arena, &r) : http_call(t->client, &call, arena, &r);
    if (e != OK || r.err != OK) {
        ret->verdict = DELIVERY_RETRY;
        str_fit(ret->reason, sizeof ret->reason, r.why.text[0] ? r.why.text : err_name(e != OK ? e : r.err));
    } else {
        judge(d, &r, ret);
    }
    scrub_url(ret->reason, url);
}

/* ---- notify test ---- */
static const char *verdict_word(DeliveryVerdict v)
{
    return v == DELIVERED ? "delivered" : v == DELIVERY_RETRY ? "failed, would be tried again" : "failed";
}

Err notify_test(const NotifyTransport *t, const AlertConfig *c, Str receiver, Str external_url, Buf *out,
                Why *why)
{
    TRY(alert_config_verdict(c, why));
    u32 len, tried = 0, failed = 0;
    const Receiver *rs = alert_config_receivers(c, &len);
    Arena arena;
    arena_init(&arena, NULL, 64 << 20);
    Label labels[] = {{S("alertname"), S("PharosTest")}, {S("severity"), S("none")}};
    Label notes[] = {{S("summary"), S("This is a test message. Alerts will look like this one.")}};
    NotifyAlert alert = {.labels = {labels, 2},
                         .annotations = {notes, 1},
                         .starts_ms = clock_wall_ms(t->clock),
                         .generator_url = external_url};
    alert.fingerprint = labels_fingerprint(alert.labels);
    TmplSet *set = notify_templates_new();
    for (u32 i = 0; i < len; i++) {
        if (receiver.len && !str_eq(receiver, rs[i].name))
            continue;
        for (u32 k = 0; k < rs[i].len; k++) {
            const IntegrationConfig *ic = &rs[i].integrations[k];
            NotifyData d = {.receiver = rs[i].name,
                            .external_url = external_url,
                            .group_key = S("{}:{alertname=\"PharosTest\"}"),
                            .reason = S("first notification"),
                            .alerts = &alert,
                            .len = 1,
                            .group_labels = {labels, 1},
                            .now_ms = alert.starts_ms};
            notify_set_common(&d, &arena);
            Buf body;
            Why problem = {0};
            DeliveryResult res = {.verdict = DELIVERY_GONE};
            buf_init(&body, 4 << 20);
            bool discord = ic->kind == INTEGRATION_DISCORD;
            Err e = OK;
            if (discord)
                e = discord_body(ic, set, &d, DISCORD_POST, &arena, &body, &problem);
            else
                webhook_body(ic, &d, &body);
            if (e == OK) {
                Delivery del = {.config = ic, .kind = discord ? 'P' : 'W', .body = buf_view(&body)};
                notify_deliver(t, &del, &arena, &res);
            } else {
                str_fit(res.reason, sizeof res.reason, problem.text);
            }
            buf_printf(out, "%.*s: %s%s%s%s%s\n", STR_FMT(ic->id), verdict_word(res.verdict),
                       res.provider_id[0] ? " as message " : "", res.provider_id, res.reason[0] ? ": " : "",
                       res.reason);
            tried++;
            failed += res.verdict != DELIVERED;
            buf_done(&body);
        }
    }
    tmpl_set_free(set);
    arena_done(&arena);
    if (!tried && receiver.len)
        return why_set(why, E_NOT_FOUND, "no receiver \"%.*s\" that can be sent to", STR_FMT(receiver));
    if (!tried)
        return why_set(why, E_NOT_FOUND, "no receiver to send to: set DISCORD_WEBHOOK_URL or configure one");
    if (failed)
        return why_set(why, E_UNAVAILABLE, "%u of %u integrations failed", failed, tried);
    return OK;
}
