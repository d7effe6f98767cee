/* Alertmanager's API: silences. */
#include "alert/api.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- silences ---- */
static void put_silence(Json *j, const Silence *x, i64 now_ns)
{
    static const char *const states[] = {"active", "pending", "expired"};
    js_object(j);
    js_kv(j, "id", str_c(x->id));
    js_key(j, S("status"));
    js_object(j);
    js_kv(j, "state", str_c(states[silence_state(x, now_ns)]));
    js_object_end(j);
    api_put_time(j, "updatedAt", x->updated_ns);
    if (x->annotations.len)
        api_put_labels(j, S("annotations"), x->annotations, false);
    js_kv(j, "comment", x->comment);
    js_kv(j, "createdBy", x->created_by);
    api_put_time(j, "endsAt", x->ends_ns);
    js_key(j, S("matchers"));
    js_array(j);
    for (u32 i = 0; i < x->matchers.len; i++) {
        const Matcher *m = &x->matchers.at[i];
        js_object(j);
        js_key(j, S("isEqual"));
        js_bool(j, m->op == MATCH_EQ || m->op == MATCH_RE);
        js_key(j, S("isRegex"));
        js_bool(j, m->op == MATCH_RE || m->op == MATCH_NRE);
        js_kv(j, "name", m->name);
        js_kv(j, "value", m->value);
        js_object_end(j);
    }
    js_array_end(j);
    api_put_time(j, "startsAt", x->starts_ns);
    js_object_end(j);
}

/* For each matcher asked for the silence has the same one. */
static bool silence_wanted(const ApiFilter *f, const Silence *x)
{
    for (u32 i = 0; i < f->len; i++) {
        bool found = false;
        for (u32 k = 0; k < x->matchers.len && !found; k++)
            found = match_order(&x->matchers.at[k], f->lists[i].at) == 0;
        if (!found)
            return false;
    }
    return true;
}

void api_get_silences(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    ApiFilter f;
    Buf b;
    Json j;
    VEC(const Silence *) all = {0};
    StrMapSlot *slot;
    if (!api_filter_read(r, "filter", "", &f))
        return;
    i64 now_ns = clock_wall_ns(a->env.clock);
    buf_init(&b, 512 << 20);
    js_init(&j, &b);
    js_array(&j);
    mutex_lock(&a->lock);
    for (size_t cursor = 0; (slot = strmap_next(&a->state.silences.by_id, &cursor));)
        if (silence_wanted(&f, slot->value))
            vec_push(&all, slot->value);
    silence_order_now = now_ns;
    if (all.len > 1)
        qsort(all.at, all.len, sizeof all.at[0], silence_order);
    for (size_t i = 0; i < all.len; i++)
        put_silence(&j, all.at[i], now_ns);
    mutex_unlock(&a->lock);
    js_array_end(&j);
    buf_char(&b, '\n');
    http_reply(r, 200, "application/json", buf_view(&b));
    buf_done(&b);
    vec_done(&all);
    api_filter_done(&f);
}

void api_post_silences(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    NewSilence n;
    PostError error = {0};
    Why why = {0};
    if (!api_is_json(r))
        return;
    if (post_read_silence(r->body, r->arena, &n, &error) != OK) {
        api_reply_error(r, &error);
        return;
    }
    i64 now_ns = clock_wall_ns(a->env.clock);
    if (n.starts_ns >= n.ends_ns) {
        api_reply_string(r, 400, S("Failed to create silence: start time must be before end time"));
        return;
    }
    if (n.ends_ns < now_ns) {
        api_reply_string(r, 400, S("Failed to create silence: end time can't be in the past"));
        return;
    }
    Silence *x = NULL;
    mutex_lock(&a->lock);
    u64 after = alert_state_ticket(&a->state);
    Err e = silences_set(&a->state, &n, now_ns, &x, &why);
    Str id = e == OK ? arena_dup(r->arena, str_c(x->id)) : S("");
    u64 ticket = alert_state_ticket(&a->state);
    mutex_unlock(&a->lock);
    if (e != OK) {
        api_reply_string(r, e == E_NOT_FOUND ? 404 : 400, str_c(why.text));
        return;
    }
    if (alert_state_wait(&a->state, after, ticket, &why) != OK)
        api_reply_string(r, 500, str_c(why.text));
    else
        http_reply(r, 200, "application/json",
                   arena_printf(r->arena, "{\"silenceID\":\"%.*s\"}\n", STR_FMT(id)));
}

static bool is_uuid(Str s)
{
    bool ok = s.len == SILENCE_ID_LEN;
    for (size_t i = 0; ok && i < s.len; i++)
        ok = i == 8 || i == 13 || i == 18 || i == 23 ? s.at[i] == '-' : hex_digit(s.at[i]) < 16;
    return ok;
}

static bool check_uuid(HttpReq *r, Str id)
{
    PostError e = {.status = 422, .code = 601};
    if (is_uuid(id))
        return true;
    snprintf(e.text, sizeof e.text, "silenceID in path must be of type uuid: \"%.*s\"", (int)MIN(id.len, 100),
             id.at);
    api_reply_error(r, &e);
    return false;
}

void api_get_silence(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Str id = r->path_args[0];
    Buf b;
    Json j;
    if (!check_uuid(r, id))
        return;
    buf_init(&b, 4 << 20);
    js_init(&j, &b);
    mutex_lock(&a->lock);
    const Silence *x = silences_find(&a->state, id);
    if (x)
        put_silence(&j, x, clock_wall_ns(a->env.clock));
    mutex_unlock(&a->lock);
    buf_char(&b, '\n');
    http_reply(r, x ? 200 : 404, "application/json", x ? buf_view(&b) : S(""));
    buf_done(&b);
}

void api_delete_silence(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Alerter *a = api->a;
    Str id = r->path_args[0];
    Why why = {0};
    if (!check_uuid(r, id))
        return;
    mutex_lock(&a->lock);
    u64 after = alert_state_ticket(&a->state);
    Err e = silences_expire(&a->state, id, clock_wall_ns(a->env.clock), &why);
    u64 ticket = alert_state_ticket(&a->state);
    mutex_unlock(&a->lock);
    if (e == OK)
        e = alert_state_wait(&a->state, after, ticket, &why);
    if (e == E_NOT_FOUND)
        http_reply(r, 404, "application/json", S(""));
    else if (e != OK)
        api_reply_string(r, 500, str_c(why.text));
    else
        http_reply(r, 200, "application/json", S(""));
}
