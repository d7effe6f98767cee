/* A Discord that lives in the test: it holds every request against Discord's published rules for webhooks and answers
 * as told. Requests come in through discord_double_request, from a fake transport or from a real HTTP server. */
#pragma once
#include "net/net.h"
#include "text/text.h"

#include <jansson.h>

typedef struct DoubleMessage {
    char id[24];
    char *body; /* as last posted or edited */
    u32 edits;
    bool deleted, has_picture;
} DoubleMessage;

typedef struct DoubleScript { /* the next answers, in order; then normal ones */
    int status;
    f64 retry_after; /* 429: in the body and, rounded up, in Retry-After */
    bool global;
    f64 reset_after; /* 200: the bucket is empty, X-RateLimit-Remaining 0 */
    bool drop;       /* no answer at all */
} DoubleScript;

typedef struct DiscordDouble {
    VEC(DoubleMessage) messages;
    VEC(DoubleScript) script;
    size_t script_at;
    u32 requests, posts, patches;
    char complaint[300]; /* what was wrong with the first bad request; empty = nothing */
} DiscordDouble;

typedef struct DoubleAnswer {
    int status; /* 0 = dropped */
    char body[200];
    HttpHeader headers[4];
    char values[4][32];
    u32 headers_len;
} DoubleAnswer;

static inline size_t double_units(const char *s)
{
    size_t n = 0;
    Str rest = str_c(s);
    while (rest.len) {
        u32 rune;
        size_t used = str_rune(rest, &rune);
        n += rune > 0xffff ? 2 : 1;
        rest = str_skip(rest, used);
    }
    return n;
}

static inline bool double_complain(DiscordDouble *d, const char *what, const char *detail)
{
    if (!d->complaint[0])
        snprintf(d->complaint, sizeof d->complaint, "%s: %s", what, detail);
    return false;
}

static inline bool double_text(DiscordDouble *d, json_t *o, const char *key, size_t max, bool must,
                               size_t *sum)
{
    json_t *v = json_object_get(o, key);
    if (!v)
        return !must || double_complain(d, key, "missing");
    if (!json_is_string(v))
        return double_complain(d, key, "not a string");
    size_t n = double_units(json_string_value(v));
    if (n > max || (must && n == 0))
        return double_complain(d, key, n ? "too long" : "empty");
    if (sum)
        *sum += n;
    return true;
}

static inline bool double_known(DiscordDouble *d, json_t *o, const char *const *keys, size_t n)
{
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v)
    {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known |= strcmp(key, keys[i]) == 0;
        if (!known)
            return double_complain(d, key, "unknown field");
    }
    return true;
}

static inline bool double_embed(DiscordDouble *d, json_t *e, size_t *sum)
{
    static const char *const keys[] = {"title",  "description", "url",    "color", "timestamp",
                                       "fields", "footer",      "author", "image"};
    if (!json_is_object(e) || !double_known(d, e, keys, COUNT_OF(keys)) ||
        !double_text(d, e, "title", 256, false, sum) || !double_text(d, e, "description", 4096, false, sum))
        return double_complain(d, "embed", "wrong");
    json_t *color = json_object_get(e, "color"), *fields = json_object_get(e, "fields"), *f, *v;
    if (color &&
        (!json_is_integer(color) || json_integer_value(color) < 0 || json_integer_value(color) > 0xffffff))
        return double_complain(d, "color", "not 0..0xffffff");
    if ((v = json_object_get(e, "timestamp"))) {
        i64 ns;
        if (!json_is_string(v) || parse_rfc3339(str_c(json_string_value(v)), &ns) != OK)
            return double_complain(d, "timestamp", "not ISO 8601");
    }
    if ((v = json_object_get(e, "url")) && strncmp(json_string_value(v), "http", 4) != 0)
        return double_complain(d, "url", "not http");
    if (json_array_size(fields) > 25)
        return double_complain(d, "fields", "more than 25");
    size_t i;
    json_array_foreach(fields, i, f) if (!double_text(d, f, "name", 256, true, sum) ||
                                         !double_text(d, f, "value", 1024, true, sum)) return false;
    if ((v = json_object_get(e, "footer")) && !double_text(d, v, "text", 2048, true, sum))
        return false;
    return true;
}

/* An embed may show a file that comes with the message, or came with the one that is edited. */
static inline bool double_image(DiscordDouble *d, json_t *embed, bool has_picture)
{
    json_t *image = json_object_get(embed, "image");
    const char *url = json_string_value(json_object_get(image, "url"));
    if (!image || (url && !strcmp(url, "attachment://chart.png") && has_picture))
        return true;
    return double_complain(d, "image", url ? url : "no url");
}

/* A form of two parts, the message and a PNG: leaves the message in *body. */
static inline bool double_form(DiscordDouble *d, Str *body)
{
    Str mark, part, rest;
    if (!str_starts(*body, S("--")))
        return false;
    str_cut(*body, '\r', &mark, &rest);
    if (!str_starts(rest, S("\nContent-Disposition: form-data; name=\"payload_json\"\r\n")))
        return double_complain(d, "form", "the first part is not payload_json");
    part = str_skip(rest, str_find(rest, S("\r\n\r\n")) + 4);
    size_t end = str_find(part, mark);
    if (end == SIZE_MAX)
        return double_complain(d, "form", "no second part");
    *body = str_sub(part, 0, end - 2);
    part = str_skip(part, end + mark.len);
    size_t data = str_find(part, S("\r\n\r\n"));
    if (!str_starts(part, S("\r\nContent-Disposition: form-data; name=\"files[0]\"; "
                            "filename=\"chart.png\"\r\nContent-Type: "
                            "image/png\r\n\r\n\x89PNG")) ||
        str_find(str_skip(part, data), mark) == SIZE_MAX || !str_ends(part, S("--\r\n")))
        return double_complain(d, "form", "the second part is no picture");
    return true;
}

static inline bool double_judge(DiscordDouble *d, Str body, bool edit, bool has_picture)
{
    static const char *const keys[] = {"content",          "embeds", "username", "avatar_url",
                                       "allowed_mentions", "tts",    "flags",    "attachments"};
    json_error_t err;
    json_t *root = json_loadb(body.at, body.len, JSON_REJECT_DUPLICATES, &err), *e;
    bool good = json_is_object(root) && double_known(d, root, keys, COUNT_OF(keys)) &&
                double_text(d, root, "content", 2000, false, NULL) &&
                double_text(d, root, "username", 80, false, NULL);
    if (!good)
        double_complain(d, "message", root ? "wrong" : err.text);
    json_t *embeds = json_object_get(root, "embeds"), *content = json_object_get(root, "content");
    if (json_array_size(embeds) > 10)
        good = double_complain(d, "embeds", "more than 10");
    size_t i, sum = 0;
    json_array_foreach(embeds, i, e) good =
        double_embed(d, e, &sum) && double_image(d, e, has_picture) && good;
    if (sum > 6000)
        good = double_complain(d, "embeds", "over 6000 characters together");
    if (!edit && !json_array_size(embeds) && !(content && json_string_length(content)))
        good = double_complain(d, "message", "empty");
    json_decref(root);
    return good;
}

static inline DoubleMessage *double_find(DiscordDouble *d, Str id)
{
    for (size_t i = 0; i < d->messages.len; i++)
        if (str_eq(id, str_c(d->messages.at[i].id)) && !d->messages.at[i].deleted)
            return &d->messages.at[i];
    return NULL;
}

static inline void double_header(DoubleAnswer *a, const char *name, const char *fmt, f64 v)
{
    snprintf(a->values[a->headers_len], 32, fmt, v);
    a->headers[a->headers_len] = (HttpHeader){str_c(name), str_c(a->values[a->headers_len])};
    a->headers_len++;
}

/* target: path and query, "/api/webhooks/1/token?wait=true". */
static inline void discord_double_request(DiscordDouble *d, Str method, Str target, Str body,
                                          DoubleAnswer *ret)
{
    memset(ret, 0, sizeof *ret);
    d->requests++;
    Str path, query;
    str_cut(target, '?', &path, &query);
    DoubleScript s = {0};
    if (d->script_at < d->script.len)
        s = d->script.at[d->script_at++];
    if (s.drop)
        return;
    if (s.status && s.status != 200) {
        ret->status = s.status;
        snprintf(ret->body, sizeof ret->body, "{\"message\": \"status %d\", \"code\": %d}", s.status,
                 s.status == 404 ? 10015 : 0);
        if (s.status == 429) {
            snprintf(ret->body, sizeof ret->body,
                     "{\"message\": \"You are being rate limited.\", \"retry_after\": %.3f, \"global\": %s}",
                     s.retry_after, s.global ? "true" : "false");
            double_header(ret, "Retry-After", "%.0f", s.retry_after + 0.499);
        }
        return;
    }
    bool edit = str_eq(method, S("PATCH"));
    bool has_picture = double_form(d, &body);
    if (edit && str_find(path, S("/messages/")) != SIZE_MAX) {
        DoubleMessage *old = double_find(d, str_skip(path, str_find(path, S("/messages/")) + 10));
        has_picture |= old && old->has_picture;
    }
    if (!double_judge(d, body, edit, has_picture)) {
        ret->status = 400;
        snprintf(ret->body, sizeof ret->body, "{\"message\": \"Invalid Form Body\", \"code\": 50035}");
        return;
    }
    DoubleMessage *m;
    if (edit) {
        d->patches++;
        size_t at = str_find(path, S("/messages/"));
        m = at == SIZE_MAX ? NULL : double_find(d, str_skip(path, at + 10));
        if (!m) {
            ret->status = 404;
            snprintf(ret->body, sizeof ret->body, "{\"message\": \"Unknown Message\", \"code\": 10008}");
            return;
        }
        m->edits++;
        mem_free(m->body);
        m->body = mem_strdup(body);
    } else {
        d->posts++;
        DoubleMessage fresh = {.body = mem_strdup(body), .has_picture = has_picture};
        snprintf(fresh.id, sizeof fresh.id, "9%06zu", d->messages.len + 1);
        vec_push(&d->messages, fresh);
        m = &d->messages.at[d->messages.len - 1];
    }
    bool wait = edit || str_find(query, S("wait=true")) != SIZE_MAX;
    ret->status = wait ? 200 : 204;
    if (wait)
        snprintf(ret->body, sizeof ret->body, "{\"id\": \"%s\", \"channel_id\": \"77\"}", m->id);
    double_header(ret, "X-RateLimit-Limit", "%.0f", 5);
    double_header(ret, "X-RateLimit-Remaining", "%.0f", s.reset_after > 0 ? 0 : 4);
    double_header(ret, "X-RateLimit-Reset-After", "%.3f", s.reset_after > 0 ? s.reset_after : 2);
}

static inline void discord_double_done(DiscordDouble *d)
{
    for (size_t i = 0; i < d->messages.len; i++)
        mem_free(d->messages.at[i].body);
    vec_done(&d->messages);
    vec_done(&d->script);
}
