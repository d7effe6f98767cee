/* From a head to a handler: limits, routing, who may, the body, and the way to the pool and back. */
#include "net/server.h"
#include <stdio.h>

enum { KEPT_BUF_BYTES = 65536, OUT_BYTES_MAX = 256 << 20, FIRST_BODY_BYTES = 262144 };

/* ---- making and reusing ---- */

static Req *req_get(HttpServer *s, Conn *c)
{
    Req *r = s->free_reqs;
    if (r) {
        s->free_reqs = r->next_free;
        s->free_reqs_len--;
    } else {
        r = mem_new(Req);
        r->server = s;
        arena_init(&r->arena, s->c.account, s->c.request_memory_max);
        buf_init(&r->out, OUT_BYTES_MAX);
        buf_init(&r->added, 65536);
        buf_init(&r->stage, 2 * STAGE_BYTES);
        buf_init(&r->body, 0);
        mutex_init(&r->mutex, RANK_QUEUE);
        cond_init(&r->can_write);
    }
    r->conn = c;
    r->start_ns = clock_mono_ns(s->clock);
    r->pub = (HttpReq){.remote = str_c(c->remote),
                       .remote_is_loopback = c->remote_is_loopback,
                       .arena = &r->arena,
                       .cancel = &r->cancel,
                       .clock = s->clock,
                       .start_ns = r->start_ns,
                       .server_private = r};
    c->req = r;
    return r;
}

static void keep_buf(Buf *b)
{
    if (b->cap > KEPT_BUF_BYTES)
        buf_release(b);
    else
        buf_clear(b);
}

void req_free(Req *r)
{
    arena_done(&r->arena);
    buf_done(&r->out);
    buf_done(&r->added);
    buf_done(&r->stage);
    buf_done(&r->body);
    mutex_done(&r->mutex);
    cond_done(&r->can_write);
    mem_free(r);
}

void req_release(Req *r)
{
    HttpServer *s = r->server;
    buf_done(&r->body);
    if (r->charged)
        account_uncharge(s->c.account, r->charged);
    r->charged = 0;
    if (s->free_reqs_len >= REQS_KEPT) {
        req_free(r);
        return;
    }
    arena_reset(&r->arena);
    keep_buf(&r->out);
    r->out.max = OUT_BYTES_MAX;
    keep_buf(&r->added);
    keep_buf(&r->stage);
    r->head = (Head){0};
    r->route = NULL;
    r->conn = NULL;
    r->cancel.is_set = false;
    r->chunked = (Chunked){0};
    r->params_cap = 0;
    r->is_authed = r->is_finished = r->has_body = false;
    r->auth_status = 0;
    r->body_bytes = 0;
    r->status = 0;
    r->keep_alive = r->is_begun = r->is_ended = r->is_chunked_out = r->is_streaming = false;
    r->no_body = r->has_coding = r->is_on_loop = r->gone = r->kicked = r->is_shared = false;
    r->next_free = s->free_reqs;
    s->free_reqs = r;
    s->free_reqs_len++;
}

/* ---- answers of the server itself ---- */

static void finish_here(Req *r)
{
    r->is_finished = true;
    r->conn->state = CONN_RUN;
    conn_set_deadline(r->conn, 0);
    conn_pump(r->conn);
}

/* An answer without a handler. A body that was not read makes the connection useless. */
static void answer_here(Req *r, int status, const char *why)
{
    r->is_on_loop = true;
    if (r->has_body)
        r->keep_alive = false;
    answer_error(r, status, why);
    answer_finish(r);
    finish_here(r);
}

void req_refuse(Conn *c, int status, const char *why)
{
    Req *r = c->req ? c->req : req_get(c->server, c);
    r->keep_alive = false;
    answer_here(r, status, why);
}

/* ---- who is asking ---- */

static bool is_tenant_char(char b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
           strchr("!-_.*'()", b);
}

/* X-Scope-OrgID counts only from this machine and without credentials. Several tenants, a|b, may be read at once. */
static bool take_tenant_header(Req *r)
{
    Str t = http_header(&r->pub, S("X-Scope-OrgID"));
    if (str_empty(t) || !r->pub.remote_is_loopback || r->pub.principal.is_authenticated)
        return true;
    if (str_eq(t, S(".")) || str_eq(t, S("..")) || t.len > 150 * 16)
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (!t.at[i] ||
            (!is_tenant_char(t.at[i]) && !(t.at[i] == '|' && r->route->pub.tenant == TENANT_READ)))
            return false;
    r->pub.principal.tenant = t;
    return true;
}

static int auth_failed(Req *r, int status, const char *why)
{
    str_fit(r->auth_why, sizeof r->auth_why, why);
    return status;
}

/* 0 = may go on. Runs on a pool thread where there are any. */
static int authenticate(Req *r)
{
    Authenticator *auth = r->server->c.auth;
    HttpRole need = r->route ? r->route->pub.role : ROLE_NONE;
    if (!auth) {
        r->pub.principal.role = ROLE_ADMIN;
    } else { /* also where nothing is found: who has no credentials learns nothing about the paths */
        Why why = {0};
        Principal p = {0};
        Err e = (auth->check)(auth, &r->pub, &p, &why);
        if (e == E_UNAUTHORIZED)
            return auth_failed(r, 401, why.text[0] ? why.text : "credentials are needed");
        if (e != OK)
            return auth_failed(r, err_http_status(e), why.text);
        if (p.role < need)
            return p.is_authenticated ? auth_failed(r, 403, "these credentials may not do that")
                                      : auth_failed(r, 401, "credentials are needed");
        r->pub.principal = p;
    }
    if (r->route && r->route->pub.tenant != TENANT_NONE && !take_tenant_header(r))
        return auth_failed(r, 400, "X-Scope-OrgID is not a valid tenant");
    return 0;
}

static void answer_auth_failure(Req *r, int status)
{
    if (status == 401 && r->server->c.auth && r->server->c.auth->challenge)
        http_add_header(&r->pub, S("WWW-Authenticate"), str_c(r->server->c.auth->challenge));
    answer_error(r, status, r->auth_why);
}

/* ---- the handler ---- */

static bool coding_of(Str name, Coding *ret)
{
    static const struct {
        Str name;
        Coding coding;
    } known[] = {
        {STR_INIT("gzip"), CODING_GZIP},
        {STR_INIT("x-gzip"), CODING_GZIP},
        {STR_INIT("deflate"), CODING_DEFLATE},
        {STR_INIT("zstd"), CODING_ZSTD},
        {STR_INIT("snappy"), CODING_SNAPPY_FRAMED},
        {STR_INIT("x-snappy-framed"), CODING_SNAPPY_FRAMED},
        {STR_INIT("identity"), CODING_IDENTITY},
    };
    *ret = CODING_IDENTITY;
    if (str_empty(name))
        return true;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (str_eq_nocase(name, known[i].name)) {
            *ret = known[i].coding;
            return true;
        }
    return false;
}

static bool charge(Req *r, u64 bytes)
{
    if (!r->server->c.account || bytes <= r->charged)
        return true;
    if (account_charge(r->server->c.account, bytes - r->charged, NULL) != OK)
        return false;
    r->charged = bytes;
    return true;
}

/* Undoes Content-Encoding; 0 or the status to answer with. */
static int decode_body(Req *r, Why *why)
{
    Coding coding = CODING_IDENTITY;
    if (!(r->route->pub.flags & BODY_RAW))
        coding_of(head_find(&r->head, S("Content-Encoding")), &coding);
    if (coding != CODING_IDENTITY && r->body.len) {
        Buf plain;
        buf_init(&plain, r->route->pub.body_max);
        Err e = coding_decode(coding, buf_view(&r->body), &plain, why);
        if (e != OK || !charge(r, r->charged + plain.cap)) {
            buf_done(&plain);
            if (e == OK)
                why_set(why, E_BUSY, "out of memory for request bodies");
            return e == E_TOO_LARGE ? 413 : e == OK ? 503 : 400;
        }
        buf_done(&r->body);
        r->body = plain;
    }
    r->pub.body = buf_view(&r->body);
    return 0;
}

static bool is_form(Req *r)
{
    Str type = head_find(&r->head, S("Content-Type")), name, params;
    if (!type.at || !(r->head.method_bit & (METHOD_POST | METHOD_PUT | METHOD_PATCH)))
        return false;
    str_cut(type, ';', &name, &params);
    return str_eq_nocase(str_trim(name), S("application/x-www-form-urlencoded"));
}

static int prepare(Req *r, Why *why)
{
    int status = decode_body(r, why);
    if (status)
        return status;
    HttpParam *params = NULL;
    u32 len = 0;
    if (r->pub.body.len && is_form(r) &&
        params_parse(r->pub.body, &r->arena, &params, &len, &r->params_cap, why) != OK)
        return err_http_status(why->err) == 429 ? 413 : 400;
    if (params_parse(r->head.query, &r->arena, &params, &len, &r->params_cap, why) != OK)
        return err_http_status(why->err) == 429 ? 413 : 400;
    r->pub.params = params;
    r->pub.params_len = len;
    return 0;
}

static void run(Req *r)
{
    Why why = {0};
    int status = r->is_authed ? 0 : authenticate(r);
    if (status)
        answer_auth_failure(r, status);
    else if ((status = prepare(r, &why)))
        answer_error(r, status, why.text);
    else
        r->route->pub.handler(&r->pub, r->route->pub.arg);
    answer_finish(r);
}

/* ---- to the pool and back ---- */

static void back_from_pool(Req *r, void (*go_on)(Req *r))
{
    Conn *c = r->conn;
    r->server->running--;
    if (c->is_closed) {
        c->req = NULL;
        req_release(r);
    } else {
        go_on(r);
        conn_resume(c);
    }
    conn_settle(c);
}

static void on_finished(void *arg)
{
    back_from_pool(arg, finish_here);
}

static void run_job(void *arg)
{
    Req *r = arg;
    run(r);
    loop_post(r->server->c.loop, on_finished, r);
}

/* False when the pool is full: answered. */
static bool submit(Req *r, HttpRun where, ConnState state, void (*job)(void *arg))
{
    HttpServer *s = r->server;
    r->conn->state = state;
    conn_set_deadline(r->conn, 0);
    s->running++;
    if (pool_submit(s->c.pools[where], job, r) == OK)
        return true;
    s->running--;
    answer_here(r, 503, "too many requests are waiting: try again later");
    return false;
}

static void dispatch(Req *r)
{
    HttpRun where = r->route->pub.run;
    r->has_body = false; /* it is read */
    if (where != RUN_LOOP && r->server->c.pools[where]) {
        submit(r, where, CONN_RUN, run_job);
        return;
    }
    r->is_on_loop = true;
    r->conn->state = CONN_RUN;
    run(r);
    finish_here(r);
}

static void start_body(Req *r)
{
    Conn *c = r->conn;
    if (!r->has_body) {
        dispatch(r);
        return;
    }
    c->state = CONN_BODY;
    c->body_seen = 0;
    c->body_start_ns = clock_mono_ns(r->server->clock);
    conn_set_deadline(c, r->server->c.body_idle_timeout_ms);
    if (r->head.expects_continue)
        conn_send_continue(c);
}

static void answer_no_route(Req *r)
{
    if (r->allow) {
        char text[64];
        route_allow_text(r->allow, text);
        http_add_header(&r->pub, S("Allow"), str_c(text));
        answer_here(r, 405, "this path does not take that method");
    } else {
        answer_here(r, 404, "404 page not found");
    }
}

static void go_on_authed(Req *r)
{
    if (r->auth_status) {
        r->is_on_loop = true;
        if (r->has_body)
            r->keep_alive = false;
        answer_auth_failure(r, r->auth_status);
        answer_finish(r);
        finish_here(r);
        return;
    }
    r->is_authed = true;
    if (r->route)
        start_body(r);
    else
        answer_no_route(r);
}

static void on_authed(void *arg)
{
    back_from_pool(arg, go_on_authed);
}

static void auth_job(void *arg)
{
    Req *r = arg;
    r->auth_status = authenticate(r);
    loop_post(r->server->c.loop, on_authed, r);
}

/* Without a route, before a large body, and for handlers on the loop (a password check takes long), ask first. */
static bool wants_early_auth(const Req *r)
{
    const Head *h = &r->head;
    if (!r->server->c.auth || !r->server->c.pools[RUN_ADMIN])
        return false;
    if (!r->route)
        return true;
    return r->route->pub.run == RUN_LOOP || h->is_chunked || h->expects_continue ||
           h->content_length > EARLY_AUTH_BODY_BYTES;
}

/* ---- the head ---- */

void req_start(Conn *c, Str head, u32 headers)
{
    Req *r = req_get(c->server, c);
    Head *h = &r->head;
    const char *why = NULL;
    char *copy = arena_alloc(&r->arena, head.len);
    memcpy(copy, head.at, head.len);
    int status = head_parse(str_of(copy, head.len), headers, &r->arena, h, &why);
    if (status) {
        req_refuse(c, status, why);
        return;
    }
    r->keep_alive = h->keep_alive;
    r->has_body = h->is_chunked || h->content_length;
    r->pub.method = h->method;
    r->pub.raw_target = h->target;
    r->pub.query = h->query;
    r->pub.headers = h->headers;
    r->pub.headers_len = h->headers_len;
    if (!path_canonical(h->path_raw, &r->arena, &r->pub.path)) {
        answer_here(r, 400,
                    "the path is not valid: it must start with / and hold valid percent-escapes of UTF-8");
        return;
    }
    if (!h->method_bit) {
        answer_here(r, 501, "this method is not known here");
        return;
    }
    r->route = routes_find(&c->server->routes, &r->pub.path, h->method_bit, r->pub.path_args, &r->allow);
    if (!r->route) {
        if (wants_early_auth(r))
            submit(r, RUN_ADMIN, CONN_AUTH, auth_job);
        else
            answer_no_route(r);
        return;
    }
    Coding coding;
    if (r->has_body && !(r->route->pub.flags & BODY_RAW) &&
        !coding_of(head_find(h, S("Content-Encoding")), &coding)) {
        http_add_header(&r->pub, S("Accept-Encoding"), S("gzip, deflate, zstd, snappy"));
        answer_here(r, 415, "this Content-Encoding is not known: use gzip, deflate, zstd or framed snappy");
        return;
    }
    if (h->content_length > r->route->pub.body_max || (h->is_chunked && !r->route->pub.body_max)) {
        char text[96];
        snprintf(text, sizeof text, "the body is larger than the %llu bytes this path takes",
                 (unsigned long long)r->route->pub.body_max);
        answer_here(r, 413, text);
        return;
    }
    r->body.max = r->route->pub.body_max;
    if (wants_early_auth(r))
        submit(r, RUN_ADMIN, CONN_AUTH, auth_job);
    else
        start_body(r);
}

/* ---- the body ---- */

static bool body_grow(Req *r, size_t extra)
{
    if (extra > r->body.max - r->body.len) {
        req_refuse(r->conn, 413, "the body is larger than this path takes");
        return false;
    }
    if (buf_reserve(&r->body, extra) && charge(r, r->body.cap))
        return true;
    req_refuse(r->conn, 503, "out of memory for request bodies: try again later");
    return false;
}

/* False when the body drips: refused. */
static bool body_progress(Req *r, size_t n)
{
    Conn *c = r->conn;
    HttpServer *s = r->server;
    c->body_seen += n;
    i64 taken_ms = (clock_mono_ns(s->clock) - c->body_start_ns) / NS_PER_MS;
    if (taken_ms > s->c.body_idle_timeout_ms &&
        (i64)c->body_seen < taken_ms * BODY_BYTES_PER_S_MIN / MS_PER_SEC) {
        req_refuse(c, 408, "the body of the request comes too slowly");
        return false;
    }
    conn_set_deadline(c, s->c.body_idle_timeout_ms);
    return true;
}

static size_t feed_chunked(Req *r, Str in)
{
    Conn *c = r->conn;
    Str rest = in;
    if (in.len && !body_progress(r, in.len))
        return in.len;
    for (;;) {
        Str data;
        switch (chunked_next(&r->chunked, &rest, &data)) {
        case CHUNKED_MORE:
            return in.len;
        case CHUNKED_DATA:
            if (!body_grow(r, data.len))
                return in.len;
            buf_str(&r->body, data);
            break;
        case CHUNKED_END:
            dispatch(r);
            return in.len - rest.len;
        case CHUNKED_BAD:
            req_refuse(c, 400, "the chunked framing of the body is broken");
            return in.len;
        }
    }
}

size_t req_body_feed(Req *r, Str in)
{
    if (r->head.is_chunked)
        return feed_chunked(r, in);
    size_t n = MIN((u64)in.len, r->head.content_length - r->body.len);
    if (n == 0 || !body_grow(r, n))
        return n;
    memcpy(r->body.at + r->body.len, in.at, n);
    req_body_arrived(r, n);
    return n;
}

char *req_body_room(Req *r, size_t *ret_room)
{
    u64 left = r->head.content_length - r->body.len;
    size_t room = r->body.cap - r->body.len;
    if (room < MIN(left, 16384)) {
        if (!body_grow(r, MIN(left, MAX((u64)FIRST_BODY_BYTES, r->body.cap))))
            return NULL;
        room = r->body.cap - r->body.len;
    }
    *ret_room = MIN(left, room);
    return r->body.at + r->body.len;
}

void req_body_arrived(Req *r, size_t n)
{
    r->body.len += n;
    if (r->body.len == r->head.content_length)
        dispatch(r);
    else
        body_progress(r, n);
}

/* ---- what handlers ask ---- */

Str http_header(const HttpReq *r, Str name)
{
    for (u32 i = 0; i < r->headers_len; i++)
        if (str_eq_nocase(r->headers[i].name, name))
            return r->headers[i].value;
    return S("");
}

Str http_param(const HttpReq *r, Str name)
{
    for (u32 i = 0; i < r->params_len; i++)
        if (str_eq(r->params[i].name, name))
            return r->params[i].value;
    return S("");
}

bool http_has_param(const HttpReq *r, Str name)
{
    return http_params_all(r, name, NULL, 0) > 0;
}

u32 http_params_all(const HttpReq *r, Str name, Str *ret, u32 max)
{
    u32 n = 0;
    for (u32 i = 0; i < r->params_len; i++)
        if (str_eq(r->params[i].name, name)) {
            if (n < max)
                ret[n] = r->params[i].value;
            n++;
        }
    return n;
}
