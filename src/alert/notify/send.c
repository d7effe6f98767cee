/* One delivery: the HTTP call, and what its answer means. */
#include "alert/notify/notify.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

static Err read_secret_file(const NotifyTransport *t, Str file, Arena *arena, Str *ret, Why *why)
{
    Buf b;
    buf_init(&b, URL_BYTES_MAX);
    char *path = mem_strdup(file);
    Err e = vfs_read_file(t->vfs, path, URL_BYTES_MAX, &b, why);
    mem_free(path);
    *ret = arena_dup(arena, str_trim(buf_view(&b)));
    buf_done(&b);
    return e;
}

Err notify_secret(const NotifyTransport *t, const IntegrationConfig *c, const char *name,
                  const char *file_name, Arena *arena, Str *ret, Why *why)
{
    *ret = integration_text(c, name);
    return ret->len ? OK : read_secret_file(t, integration_text(c, file_name), arena, ret, why);
}

/* The URL now: from the configuration, or from its file. */
static Err reveal_url(const NotifyTransport *t, const Delivery *d, Arena *arena, Str *ret, Why *why)
{
    const IntegrationConfig *c = d->config;
    if (d->url.len)
        *ret = d->url;
    else if (secret_is_set(c->url))
        *ret = secret_reveal(c->url);
    else
        return read_secret_file(t, c->url_file, arena, ret, why);
    return OK;
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
    char id[32], place[32], message[200];
    i64 code, retry_ms;
    bool is_global, is_refused; /* refused with status 200: Slack's way */
} Answer;

static void take_number(json_t *v, Answer *ret)
{
    if (json_is_number(v) && json_number_value(v) >= 0)
        ret->retry_ms = (i64)MIN(ceil(json_number_value(v) * 1000), (f64)RETRY_MAX_MS);
}

static void take_text(json_t *v, char *ret, size_t cap)
{
    if (json_is_string(v))
        snprintf(ret, cap, "%s", json_string_value(v));
}

/* The provider's name for the message, and its complaint, where each of them puts it. */
static void read_answer(IntegrationKind kind, Str body, Answer *ret)
{
    json_error_t err;
    json_t *root = json_loadb(body.at, body.len, 0, &err), *v;
    if (kind == INTEGRATION_DISCORD) {
        take_text(json_object_get(root, "id"), ret->id, sizeof ret->id);
        take_text(json_object_get(root, "message"), ret->message, sizeof ret->message);
        if ((v = json_object_get(root, "code")) && json_is_integer(v))
            ret->code = json_integer_value(v);
        take_number(json_object_get(root, "retry_after"), ret);
        ret->is_global = json_is_true(json_object_get(root, "global"));
    } else if (kind == INTEGRATION_SLACK) {
        take_text(json_object_get(root, "ts"), ret->id, sizeof ret->id);
        take_text(json_object_get(root, "channel"), ret->place, sizeof ret->place);
        take_text(json_object_get(root, "error"), ret->message, sizeof ret->message);
        ret->is_refused = root ? json_is_false(json_object_get(root, "ok")) : !str_eq(body, S("ok"));
        if (!root && ret->is_refused)
            snprintf(ret->message, sizeof ret->message, "%.*s", (int)MIN(body.len, 150), body.at);
    } else if (kind == INTEGRATION_TELEGRAM) {
        v = json_object_get(json_object_get(root, "result"), "message_id");
        if (json_is_integer(v))
            snprintf(ret->id, sizeof ret->id, "%lld", (long long)json_integer_value(v));
        take_text(json_object_get(root, "description"), ret->message, sizeof ret->message);
        take_number(json_object_get(json_object_get(root, "parameters"), "retry_after"), ret);
    } else if (kind == INTEGRATION_PAGERDUTY) {
        take_text(json_object_get(root, "dedup_key"), ret->id, sizeof ret->id);
        take_text(json_object_get(root, "message"), ret->message, sizeof ret->message);
    } else if (kind == INTEGRATION_ROCKETCHAT) {
        take_text(json_object_get(json_object_get(root, "message"), "_id"), ret->id, sizeof ret->id);
        take_text(json_object_get(root, "error"), ret->message, sizeof ret->message);
        ret->is_refused = !json_is_true(json_object_get(root, "success"));
    } else if (kind == INTEGRATION_OPSGENIE) {
        take_text(json_object_get(root, "requestId"), ret->id, sizeof ret->id);
        take_text(json_object_get(root, "message"), ret->message, sizeof ret->message);
    } else if (kind == INTEGRATION_WEBEX || kind == INTEGRATION_MATTERMOST ||
               kind == INTEGRATION_INCIDENTIO) {
        take_text(json_object_get(root, "id"), ret->id, sizeof ret->id);
        take_text(json_object_get(root, "message"), ret->message, sizeof ret->message);
    } else if (kind == INTEGRATION_NTFY) {
        take_text(json_object_get(root, "id"), ret->id, sizeof ret->id);
        take_text(json_object_get(root, "error"), ret->message, sizeof ret->message);
    } else if (kind == INTEGRATION_PUSHOVER) {
        take_text(json_object_get(root, "request"), ret->id, sizeof ret->id);
        take_text(json_array_get(json_object_get(root, "errors"), 0), ret->message, sizeof ret->message);
    }
    json_decref(root);
    for (char *p = ret->place; *p; p++)
        if (*p <= ' ' || *p > '~')
            ret->place[0] = 0;
    for (char *p = ret->id; *p; p++) /* a snowflake is digits; anything else never enters a URL or a line */
        if (kind == INTEGRATION_DISCORD ? *p < '0' || *p > '9' : *p <= ' ' || *p > '~')
            ret->id[0] = 0;
}

static void judge(const Delivery *d, const HttpResult *r, DeliveryResult *ret)
{
    enum { UNKNOWN_MESSAGE = 10008 };
    Answer a = {0};
    bool discord = d->config->kind == INTEGRATION_DISCORD;
    read_answer(d->config->kind, r->body, &a);
    if (str_eq(http_result_header(r, S("X-RateLimit-Remaining")), S("0")))
        ret->pause_ms = seconds_header(r, "X-RateLimit-Reset-After");
    if (r->status >= 200 && r->status < 300 && a.is_refused) {
        ret->verdict = DELIVERY_GONE;
        snprintf(ret->reason, sizeof ret->reason, "refused: %s", a.message);
        return;
    }
    if (r->status >= 200 && r->status < 300) {
        ret->verdict = DELIVERED;
        memcpy(ret->provider_id, a.id, sizeof ret->provider_id);
        memcpy(ret->place, a.place, sizeof ret->place);
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

/* ---- what is put into a request at the last moment ---- */
typedef struct Request {
    Str url, body, secrets[2]; /* secrets: never to be seen in a reason */
    const char *type;
    HttpClientConfig http;
    HttpHeader more[2]; /* headers beside the type */
    u32 more_len;
} Request;

/* {"key":"value", + the rest of an object */
static Str with_member(Arena *arena, const char *key, Str value, Str object)
{
    Buf b;
    buf_init(&b, object.len + 16 * value.len + 128);
    buf_printf(&b, "{\"%s\":", key);
    js_quote(&b, value);
    buf_char(&b, ',');
    buf_str(&b, str_skip(object, 1));
    Str ret = arena_dup(arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

static Err prepare_pagerduty(const NotifyTransport *t, const Delivery *d, Arena *arena, Request *q, Why *why)
{
    bool v1 = pagerduty_is_v1(d->config);
    TRY(notify_secret(t, d->config, v1 ? "service_key" : "routing_key",
                      v1 ? "service_key_file" : "routing_key_file", arena, &q->secrets[0], why));
    q->body = with_member(arena, v1 ? "service_key" : "routing_key", q->secrets[0], d->body);
    if (v1)
        q->url = S("https://events.pagerduty.com/generic/2010-04-15/create_event.json");
    return OK;
}

static Err prepare_pushover(const NotifyTransport *t, const Delivery *d, Arena *arena, Request *q, Why *why)
{
    TRY(notify_secret(t, d->config, "token", "token_file", arena, &q->secrets[0], why));
    TRY(notify_secret(t, d->config, "user_key", "user_key_file", arena, &q->secrets[1], why));
    Buf b;
    buf_init(&b, d->body.len + 8192);
    buf_c(&b, "token=");
    url_escape_query(&b, q->secrets[0]);
    buf_c(&b, "&user=");
    url_escape_query(&b, q->secrets[1]);
    buf_str(&b, d->body);
    q->body = arena_dup(arena, buf_view(&b));
    q->type = "application/x-www-form-urlencoded";
    buf_done(&b);
    return OK;
}

static Err prepare_telegram(const NotifyTransport *t, const Delivery *d, Arena *arena, Request *q, Why *why)
{
    Str chat = S("");
    i64 id = integration_field(d->config, "chat_id")->num;
    TRY(notify_secret(t, d->config, "bot_token", "bot_token_file", arena, &q->secrets[0], why));
    if (id)
        chat = arena_printf(arena, "%lld", (long long)id);
    else
        TRY(read_secret_file(t, integration_text(d->config, "chat_id_file"), arena, &chat, why));
    if (!id && parse_i64(chat, &id) != OK)
        return why_set(why, E_INVALID, "chat_id_file holds no number");
    Str base = q->url;
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    q->url = arena_printf(arena, "%.*s/bot%.*s/sendMessage", STR_FMT(base), STR_FMT(q->secrets[0]));
    q->body = with_member(arena, "chat_id", chat, d->body);
    return OK;
}

static Err bearer(const NotifyTransport *t, const Delivery *d, const char *scheme, const char *name,
                  const char *file, Arena *arena, Request *q, Why *why)
{
    if (!integration_text(d->config, name).len && !integration_text(d->config, file).len)
        return OK; /* http_config may say */
    TRY(notify_secret(t, d->config, name, file, arena, &q->secrets[0], why));
    q->http.auth_type = str_c(scheme);
    q->http.auth_credentials = (Secret){q->secrets[0]};
    return OK;
}

/* The message as an update of one that is there. */
static Str slack_update(Str body, Str ts, Str channel, Arena *arena)
{
    json_error_t err;
    json_t *root = json_loadb(body.at, body.len, 0, &err);
    json_object_set_new(root, "channel", json_stringn(channel.at, channel.len));
    json_object_set_new(root, "ts", json_stringn(ts.at, ts.len));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    Str ret = text ? arena_dup(arena, str_c(text)) : body;
    free(text);
    json_decref(root);
    return ret;
}

static Err prepare_slack(const NotifyTransport *t, const Delivery *d, Arena *arena, Request *q, Why *why)
{
    static const Str post = STR_INIT("chat.postMessage");
    if (d->message_id.len && str_ends(q->url, post)) {
        Str ts, channel;
        str_cut(d->message_id, ' ', &ts, &channel);
        q->url = arena_printf(arena, "%.*schat.update", (int)(q->url.len - post.len), q->url.at);
        q->body = slack_update(d->body, ts, channel, arena);
    }
    return bearer(t, d, "Bearer", "app_token", "app_token_file", arena, q, why);
}

static Str joined(Arena *arena, Str base, Str path)
{
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    return arena_printf(arena, "%.*s/%.*s", STR_FMT(base), STR_FMT(path));
}

static Err prepare_victorops(const NotifyTransport *t, const Delivery *d, Str path, Arena *arena, Request *q,
                             Why *why)
{
    TRY(notify_secret(t, d->config, "api_key", "api_key_file", arena, &q->secrets[0], why));
    q->url = joined(arena, joined(arena, q->url, q->secrets[0]), path);
    return OK;
}

static Err prepare_rocketchat(const NotifyTransport *t, const Delivery *d, Arena *arena, Request *q, Why *why)
{
    TRY(notify_secret(t, d->config, "token", "token_file", arena, &q->secrets[0], why));
    TRY(notify_secret(t, d->config, "token_id", "token_id_file", arena, &q->secrets[1], why));
    q->url = joined(arena, q->url, S("api/v1/chat.postMessage"));
    q->more[q->more_len++] = (HttpHeader){S("X-Auth-Token"), q->secrets[0]};
    q->more[q->more_len++] = (HttpHeader){S("X-User-Id"), q->secrets[1]};
    return OK;
}

static Err prepare_ntfy(const NotifyTransport *t, const Delivery *d, Arena *arena, Request *q, Why *why)
{
    TRY(bearer(t, d, "Bearer", "token", "token_file", arena, q, why));
    TRY(notify_secret(t, d->config, "topic", "topic_file", arena, &q->secrets[1], why));
    q->body = with_member(arena, "topic", q->secrets[1], d->body);
    return OK;
}

/* multipart/form-data (RFC 7578): the message as payload_json, the picture as files[0]. */
static void attach_picture(const Delivery *d, Arena *arena, Request *q)
{
    Buf b;
    buf_init(&b, d->body.len + d->picture.len + 1024);
    Str mark = arena_printf(arena, "pharos-%016llx%016llx", (unsigned long long)random_u64(),
                            (unsigned long long)random_u64());
    buf_printf(&b,
               "--%.*s\r\nContent-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: "
               "application/json\r\n\r\n",
               STR_FMT(mark));
    buf_str(&b, d->body);
    buf_printf(&b,
               "\r\n--%.*s\r\nContent-Disposition: form-data; name=\"files[0]\"; "
               "filename=\"chart.png\"\r\nContent-Type: image/png\r\n\r\n",
               STR_FMT(mark));
    buf_str(&b, d->picture);
    buf_printf(&b, "\r\n--%.*s--\r\n", STR_FMT(mark));
    Str whole = arena_dup(arena, buf_view(&b));
    if (whole.len) {
        q->body = whole;
        q->type = arena_printf(arena, "multipart/form-data; boundary=%.*s", STR_FMT(mark)).at;
    }
    buf_done(&b);
}

/* path: of a body that is a list of requests. */
static Err prepare(const NotifyTransport *t, const Delivery *d, Str path, Arena *arena, Request *q, Why *why)
{
    *q = (Request){.body = d->body, .type = "application/json", .http = d->config->http};
    TRY(reveal_url(t, d, arena, &q->url, why));
    switch (d->config->kind) {
    case INTEGRATION_DISCORD:
        q->url = discord_url(d, q->url, arena);
        if (d->picture.len)
            attach_picture(d, arena, q);
        return OK;
    case INTEGRATION_PAGERDUTY:
        return prepare_pagerduty(t, d, arena, q, why);
    case INTEGRATION_PUSHOVER:
        return prepare_pushover(t, d, arena, q, why);
    case INTEGRATION_TELEGRAM:
        return prepare_telegram(t, d, arena, q, why);
    case INTEGRATION_SLACK:
        return prepare_slack(t, d, arena, q, why);
    case INTEGRATION_OPSGENIE:
        q->url = joined(arena, q->url, path);
        return bearer(t, d, "GenieKey", "api_key", "api_key_file", arena, q, why);
    case INTEGRATION_VICTOROPS:
        return prepare_victorops(t, d, path, arena, q, why);
    case INTEGRATION_INCIDENTIO:
        return bearer(t, d, "Bearer", "alert_source_token", "alert_source_token_file", arena, q, why);
    case INTEGRATION_ROCKETCHAT:
        return prepare_rocketchat(t, d, arena, q, why);
    case INTEGRATION_NTFY:
        return prepare_ntfy(t, d, arena, q, why);
    default:
        return OK;
    }
}

static void send_one(const NotifyTransport *t, const Delivery *d, Str method, Str path, Arena *arena,
                     DeliveryResult *ret)
{
    *ret = (DeliveryResult){0};
    Request q;
    Why why = {0};
    Err e = prepare(t, d, path, arena, &q, &why);
    if (e != OK) {
        ret->verdict = DELIVERY_RETRY;
        str_fit(ret->reason, sizeof ret->reason, why.text);
        return;
    }
    HttpHeader headers[1 + COUNT_OF(q.more)] = {{S("Content-Type"), str_c(q.type)}};
    for (u32 i = 0; i < q.more_len; i++)
        headers[1 + i] = q.more[i];
    HttpCall call = {.config = &q.http,
                     .egress = EGRESS_CONFIGURED,
                     .method = method,
                     .url = q.url,
                     .headers = headers,
                     .headers_len = 1 + q.more_len,
                     .body = q.body,
                     .timeout_ms = d->config->timeout_ms ? d->config->timeout_ms : TIMEOUT_MS,
                     .body_max = ANSWER_BYTES_MAX};
    HttpResult r = {0};
    e = t->call ? t->call(t->arg, &call, arena, &r) : http_call(t->client, &call, arena, &r);
    if (e != OK || r.err != OK) {
        ret->verdict = DELIVERY_RETRY;
        str_fit(ret->reason, sizeof ret->reason, r.why.text[0] ? r.why.text : err_name(e != OK ? e : r.err));
    } else {
        judge(d, &r, ret);
    }
    scrub_url(ret->reason, q.url);
    for (size_t i = 0; i < COUNT_OF(q.secrets); i++)
        scrub(ret->reason, q.secrets[i]);
}

/* "METHOD path" and a body, line by line, until one fails. All are such that sending them again does no harm. */
static void send_list(const NotifyTransport *t, const Delivery *d, Arena *arena, DeliveryResult *ret)
{
    *ret = (DeliveryResult){.verdict = DELIVERED};
    Str line, method, path, rest = d->body;
    Delivery one = *d;
    while (rest.len && ret->verdict == DELIVERED) {
        str_cut(rest, '\n', &line, &rest);
        str_cut(rest, '\n', &one.body, &rest);
        one.body.len++; /* with its end of line, as Go's encoder ends */
        str_cut(line, ' ', &method, &path);
        send_one(t, &one, method, path, arena, ret);
    }
}

void notify_deliver(const NotifyTransport *t, const Delivery *d, Arena *arena, DeliveryResult *ret)
{
    *ret = (DeliveryResult){0};
    if (d->config->kind == INTEGRATION_EMAIL)
        email_deliver(t, d, arena, ret);
    else if (d->config->kind == INTEGRATION_OPSGENIE || d->config->kind == INTEGRATION_VICTOROPS)
        send_list(t, d, arena, ret);
    else
        send_one(t, d, d->kind == 'E' ? S("PATCH") : S("POST"), S(""), arena, ret);
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
                         .starts_ns = clock_wall_ns(t->clock),
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
                            .now_ms = alert.starts_ns / NS_PER_MS};
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
                e = notify_body(ic, set, &d, &arena, &body, &problem);
            if (e == OK) {
                Delivery del = {.config = ic, .kind = discord ? 'P' : 'W', .body = buf_view(&body)};
                if (ic->kind == INTEGRATION_WEBHOOK && str_find(secret_reveal(ic->url), S("{{")) != SIZE_MAX)
                    del.url = notify_text(set, &d, secret_reveal(ic->url), &arena);
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
