/* The client against our server, against servers that misbehave, and against its own rules. */
#include "fixture.h"
#include <sys/un.h>

static Fixture f, other;
static HttpClient *client;
static Arena arena;
static char dir[256];
static _Atomic int tokens_given, token_wants_params;

static void h_auth(HttpReq *r, void *arg)
{
    Buf b;
    buf_init(&b, 65536);
    buf_printf(&b, "%.*s|%.*s|%.*s|%.*s", STR_FMT(r->method), STR_FMT(http_header(r, S("Authorization"))),
               STR_FMT(http_header(r, S("X-Key"))), STR_FMT(r->body));
    http_reply(r, 200, "text/plain", buf_view(&b));
    buf_done(&b);
}
static void h_headers(HttpReq *r, void *arg)
{
    Buf b;
    buf_init(&b, 65536);
    for (u32 i = 0; i < r->headers_len; i++)
        buf_printf(&b, "%.*s: %.*s\n", STR_FMT(r->headers[i].name), STR_FMT(r->headers[i].value));
    http_reply(r, 200, "application/octet-stream", buf_view(&b));
    buf_done(&b);
}
static void h_redirect(HttpReq *r, void *arg)
{
    u64 status = 302;
    parse_u64(http_param(r, S("status")), &status);
    http_add_header(r, S("Location"), http_param(r, S("to")));
    http_reply_text(r, (int)status, "over there\n");
}
static void h_forever(HttpReq *r, void *arg)
{
    http_add_header(r, S("Location"), S("/forever"));
    http_reply_text(r, 301, "");
}
static void h_token(HttpReq *r, void *arg)
{
    /* client "id:/" with secret "s&t", as RFC 6749 wants them escaped */
    bool in_header = str_eq(http_header(r, S("Authorization")), S("Basic aWQlM0ElMkY6cyUyNnQ="));
    bool in_params = str_eq(http_param(r, S("client_id")), S("id:/")) &&
                     str_eq(http_param(r, S("client_secret")), S("s&t"));
    bool ok = token_wants_params ? in_params : in_header;
    if (!ok || !str_eq(http_param(r, S("grant_type")), S("client_credentials")) ||
        !str_eq(http_param(r, S("scope")), S("a b")) || !str_eq(http_param(r, S("audience")), S("me"))) {
        http_reply_text(r, 401, "{}");
        return;
    }
    char body[128];
    snprintf(body, sizeof body, "{\"access_token\":\"tok%d\",\"token_type\":\"bearer\",\"expires_in\":3600}",
             ++tokens_given);
    http_reply(r, 200, "application/json", str_c(body));
}

static const HttpRoute more[] = {
    {.methods = "GET,POST,PUT,DELETE",
     .path = "/auth",
     .handler = h_auth,
     .run = RUN_QUERY,
     .body_max = 1 << 20},
    {.methods = "GET,POST", .path = "/headers", .handler = h_headers, .run = RUN_QUERY, .body_max = 1 << 20},
    {.methods = "GET,POST", .path = "/redirect", .handler = h_redirect, .run = RUN_LOOP, .body_max = 1 << 20},
    {.methods = "GET", .path = "/forever", .handler = h_forever, .run = RUN_LOOP},
    {.methods = "POST", .path = "/token", .handler = h_token, .run = RUN_QUERY, .body_max = 1 << 16},
};

static int start(void **state)
{
    test_dir(dir);
    f = other = (Fixture){.more = more, .more_len = COUNT_OF(more)};
    arena_init(&arena, NULL, 256 << 20);
    f.loop = loop_new(clock_real());
    client = http_client_new(f.loop, NULL);
    fixture_start(&f, (HttpServerConfig){0});
    fixture_start(&other, (HttpServerConfig){0});
    return 0;
}
static int stop(void **state)
{
    f.let_go = true;
    fixture_halt(&f);
    http_client_free(client);
    http_server_free(f.server);
    for (u32 i = 0; i < 3; i++)
        pool_free(f.pools[i]);
    loop_free(f.loop);
    fixture_stop(&other);
    arena_done(&arena);
    vfs_remove_tree(vfs_os(), dir, NULL);
    return 0;
}

static HttpResult fetch(HttpCall call, const char *path)
{
    HttpResult r = {0};
    if (path)
        call.url = path[0] == '/' ? arena_printf(&arena, "http://127.0.0.1:%u%s", f.port, path) : str_c(path);
    if (!call.timeout_ms)
        call.timeout_ms = 20000;
    Err e = http_call(client, &call, &arena, &r);
    assert_int_equal(e, r.err);
    return r;
}
static void want(HttpCall call, const char *path, int status, const char *body)
{
    HttpResult r = fetch(call, path);
    if (r.err != OK)
        fail_msg("%s: %s", path, r.why.text);
    assert_int_equal(r.status, status);
    if (body)
        assert_str(r.body, body);
}

static void test_methods_and_bodies(void **state)
{
    want((HttpCall){0}, "/-/ready", 200, "ready\n");
    want((HttpCall){0}, "/none", 404, NULL);
    want((HttpCall){.method = S("POST"), .body = S("hello")}, "/auth", 200, "POST|||hello");
    want((HttpCall){.method = S("POST")}, "/auth", 200, "POST|||");
    want((HttpCall){.method = S("PUT"), .body = S("x")}, "/auth", 200, "PUT|||x");
    want((HttpCall){.method = S("DELETE")}, "/auth", 200, "DELETE|||");
    HttpResult r = fetch((HttpCall){.method = S("HEAD")}, "/-/ready");
    assert_int_equal(r.err, OK);
    assert_str(http_result_header(&r, S("content-length")), "6");
    assert_int_equal(r.body.len, 0);
    r = fetch((HttpCall){0}, "/big?bytes=1000000");
    assert_int_equal(r.body.len, 1000000);
    assert_true(r.body_wire_bytes < 100000); /* gzip was asked for */
    assert_true(r.elapsed_ns > 0);
    r = fetch((HttpCall){.no_accept_encoding = true}, "/big?bytes=1000000");
    assert_int_equal(r.body_wire_bytes, 1000000);
    r = fetch((HttpCall){0}, "/stream?bytes=3000000");
    assert_int_equal(r.body.len, 3000000);
    want((HttpCall){0}, "/show?a=1&b=%20", 200, "GET /show\na=1\nb= \nbody 0\n");
}

static void test_headers(void **state)
{
    HttpHeader h[] = {{S("Accept"), S("application/openmetrics-text")},
                      {S("X-Empty"), S("")},
                      {S("User-Agent"), S("Test/1")}};
    HttpResult r =
        fetch((HttpCall){.method = S("POST"), .body = S("x"), .headers = h, .headers_len = 3}, "/headers");
    assert_true(str_find(r.body, S("Accept: application/openmetrics-text\n")) != SIZE_MAX);
    assert_true(str_find(r.body, S("X-Empty: \n")) != SIZE_MAX);
    assert_true(str_find(r.body, S("User-Agent: Test/1\n")) != SIZE_MAX);
    assert_true(str_find(r.body, S("Accept-Encoding: gzip\n")) != SIZE_MAX);
    assert_true(str_find(r.body, S("Content-Type")) == SIZE_MAX); /* not that of a form */
    assert_true(str_find(r.body, S("Expect")) == SIZE_MAX);
    HttpHeader bad = {S("X"), S("a\r\nInjected: 1")};
    assert_int_equal(fetch((HttpCall){.headers = &bad, .headers_len = 1}, "/headers").err, E_INVALID);
    bad = (HttpHeader){S("X: a\r\nY"), S("b")};
    assert_int_equal(fetch((HttpCall){.headers = &bad, .headers_len = 1}, "/headers").err, E_INVALID);
}

static void test_credentials(void **state)
{
    HttpClientConfig c = {.basic_username = S("me"), .basic_password = {S("p:w")}};
    want((HttpCall){.config = &c}, "/auth", 200, "GET|Basic bWU6cDp3||");
    char path[300];
    snprintf(path, sizeof path, "%s/password", dir);
    c = (HttpClientConfig){.basic_username = S("me"), .basic_password_file = str_c(path)};
    HttpResult r = fetch((HttpCall){.config = &c}, "/auth");
    assert_int_equal(r.err, E_NOT_FOUND);
    assert_non_null(strstr(r.why.text, "password_file"));
    assert_int_equal(vfs_write_file(vfs_os(), path, S("one\n"), NULL), OK);
    want((HttpCall){.config = &c}, "/auth", 200, "GET|Basic bWU6b25l||");
    assert_int_equal(vfs_write_file(vfs_os(), path, S("two"), NULL), OK); /* read anew for each request */
    want((HttpCall){.config = &c}, "/auth", 200, "GET|Basic bWU6dHdv||");
    c = (HttpClientConfig){.auth_credentials_file = str_c(path)};
    want((HttpCall){.config = &c}, "/auth", 200, "GET|Bearer two||");
    c = (HttpClientConfig){.auth_type = S("Token"), .auth_credentials = {S("abc")}};
    want((HttpCall){.config = &c}, "/auth", 200, "GET|Token abc||");
    char url[200];
    snprintf(url, sizeof url, "http://me:p%%40w@127.0.0.1:%u/auth", f.port);
    want((HttpCall){0}, url, 200, "GET|Basic bWU6cEB3||");
    HttpHeader key = {S("X-Key"), S("k")};
    c = (HttpClientConfig){.headers = &key, .headers_len = 1};
    want((HttpCall){.config = &c}, "/auth", 200, "GET||k|");
}

static void test_oauth2(void **state)
{
    const Str scopes[] = {STR_INIT("a"), STR_INIT("b")};
    const HttpHeader param = {S("audience"), S("me")};
    HttpClientConfig c = {.oauth2 = {.client_id = S("id:/"),
                                     .client_secret = {S("s&t")},
                                     .scopes = scopes,
                                     .scopes_len = 2,
                                     .endpoint_params = &param,
                                     .endpoint_params_len = 1}};
    c.oauth2.token_url = arena_printf(&arena, "http://127.0.0.1:%u/token", f.port);
    tokens_given = 0;
    for (int i = 0; i < 3; i++)
        want((HttpCall){.config = &c}, "/auth", 200, "GET|Bearer tok1||");
    assert_int_equal(tokens_given, 1);
    token_wants_params = 1; /* another endpoint, which does not like the header */
    c.oauth2.token_url = arena_printf(&arena, "http://127.0.0.1:%u/token?second", f.port);
    want((HttpCall){.config = &c}, "/auth", 200, "GET|Bearer tok2||");
    token_wants_params = 0;
    c.oauth2.client_secret = (Secret){S("wrong-secret")};
    HttpResult r = fetch((HttpCall){.config = &c}, "/auth");
    assert_int_equal(r.err, E_UNAUTHORIZED);
    assert_null(strstr(r.why.text, "wrong-secret"));
    c.oauth2.token_url = arena_printf(&arena, "http://127.0.0.1:%u/-/ready", f.port);
    assert_int_equal(fetch((HttpCall){.config = &c}, "/auth").err, E_UNAUTHORIZED);
    c.oauth2.token_url = S("http://127.0.0.1:1/");
    assert_int_equal(fetch((HttpCall){.config = &c}, "/auth").err, E_UNAVAILABLE);
}

static const char *redirect(u64 status, u16 port, const char *path)
{
    return arena_printf(&arena, "/redirect?status=%llu&to=http://127.0.0.1:%u%s", (unsigned long long)status,
                        port, path)
        .at;
}

static void test_redirects(void **state)
{
    HttpHeader key = {S("X-Key"), S("k")};
    HttpClientConfig c = {
        .basic_username = S("me"), .basic_password = {S("pw")}, .headers = &key, .headers_len = 1};
    HttpCall get = {.config = &c}, post = {.config = &c, .method = S("POST"), .body = S("data")};
    want(get, redirect(302, f.port, "/auth"), 200, "GET|Basic bWU6cHc=|k|");
    want(get, redirect(308, f.port, "/auth"), 200, "GET|Basic bWU6cHc=|k|");
    want(get, "/redirect?to=/auth", 200, "GET|Basic bWU6cHc=|k|");
    want(post, redirect(307, f.port, "/auth"), 200, "POST|Basic bWU6cHc=|k|data");
    want(post, redirect(303, f.port, "/auth"), 200, "GET|Basic bWU6cHc=|k|");
    /* another origin gets neither credentials nor configured headers; nor does the way back */
    want(get, redirect(302, other.port, "/auth"), 200, "GET|||");
    Str back = arena_printf(&arena, "/redirect%%3fto=http:%%252f%%252f127.0.0.1:%u%%252fauth", f.port);
    want(get, redirect(302, other.port, back.at), 200, "GET|||");
    c.no_follow_redirects = true;
    want(get, redirect(302, f.port, "/auth"), 302, "over there\n");
    c.no_follow_redirects = false;
    HttpResult r = fetch(get, "/redirect?to=/redirect");
    assert_int_equal(r.err, OK); /* the second has no Location: it is the answer */
    assert_int_equal(r.status, 302);
    r = fetch(get, "/forever");
    assert_int_equal(r.err, E_UNAVAILABLE);
    assert_non_null(strstr(r.why.text, "10 redirects"));
    r = fetch(get, "/redirect?to=ftp://127.0.0.1/x");
    assert_int_equal(r.err, E_INVALID);
}

static void test_limits(void **state)
{
    HttpResult r = fetch((HttpCall){.body_max = 1000, .no_accept_encoding = true}, "/big?bytes=100000");
    assert_int_equal(r.err, E_TOO_LARGE);
    r = fetch((HttpCall){.body_max = 1000000}, "/big?bytes=9000000"); /* small on the wire */
    assert_int_equal(r.err, E_TOO_LARGE);
    r = fetch((HttpCall){.body_max = 100000, .no_accept_encoding = true}, "/stream?bytes=1000000000");
    assert_int_equal(r.err, E_TOO_LARGE);
    f.let_go = false;
    r = fetch((HttpCall){.timeout_ms = 50}, "/wait");
    assert_int_equal(r.err, E_TIMEOUT);
    f.let_go = true;
}

/* ---- servers that misbehave: one connection, whatever bytes ---- */

typedef struct Rogue {
    int listen_fd;
    u16 port;
    pthread_t thread;
    Str say, again;
    u32 times;
    bool hold;
    char path[108];
} Rogue;
static void *rogue_main(void *arg)
{
    Rogue *g = arg;
    int fd = accept(g->listen_fd, NULL, NULL);
    char buf[4096];
    if (recv(fd, buf, sizeof buf, 0) <= 0)
        goto out;
    say(fd, g->say);
    for (u32 i = 0; i < g->times; i++)
        if (send(fd, g->again.at, g->again.len, MSG_NOSIGNAL) <= 0)
            break;
    if (g->hold)
        while (recv(fd, buf, sizeof buf, 0) > 0)
            ;
out:
    close(fd);
    return NULL;
}
static void rogue_start(Rogue *g)
{
    g->listen_fd = socket(g->path[0] ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    strcpy(u.sun_path, g->path);
    socklen_t len = g->path[0] ? sizeof u : sizeof a;
    assert_int_equal(bind(g->listen_fd, g->path[0] ? (void *)&u : (void *)&a, len), 0);
    assert_int_equal(listen(g->listen_fd, 1), 0);
    len = sizeof a;
    getsockname(g->listen_fd, (void *)&a, &len);
    g->port = ntohs(a.sin_port);
    assert_int_equal(thread_start(&g->thread, "rogue", rogue_main, g), OK);
}
static HttpResult ask_rogue(Rogue g, HttpCall call)
{
    rogue_start(&g);
    call.url = g.path[0] ? S("http://localhost/x") : arena_printf(&arena, "http://127.0.0.1:%u/", g.port);
    HttpResult r = fetch(call, NULL);
    pthread_join(g.thread, NULL);
    close(g.listen_fd);
    return r;
}

static void test_rogue_servers(void **state)
{
    HttpCall small = {.body_max = 100000};
    static char kilo[1024];
    memset(kilo, 'x', sizeof kilo);
    Str chunk = arena_printf(&arena, "400\r\n%.*s\r\n", 1024, kilo);
    assert_int_equal(ask_rogue((Rogue){.say = S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                                       .again = chunk,
                                       .times = 1000000},
                               small)
                         .err,
                     E_TOO_LARGE);
    assert_int_equal(
        ask_rogue((Rogue){.say = S("HTTP/1.1 200 OK\r\n\r\n"), .again = str_of(kilo, 1024), .times = 1000000},
                  small)
            .err,
        E_TOO_LARGE);
    assert_int_equal(
        ask_rogue((Rogue){.say = S("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")}, small).err, E_IO);
    assert_int_equal(
        ask_rogue((Rogue){.say = S("HTTP/1.1 200 OK\r\n"),
                          .again = S("X-Header: a long value that fills memory, line after line\r\n"),
                          .times = 1000000},
                  small)
            .err,
        E_IO);
    assert_int_equal(ask_rogue((Rogue){.say = S("SSH-2.0-OpenSSH_9.2\r\n")}, small).err, E_INVALID);
    assert_int_equal(ask_rogue((Rogue){.say = S("")}, small).err, E_IO);
    assert_int_equal(
        ask_rogue(
            (Rogue){.say = S("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")},
            small)
            .err,
        E_PARSE);
    HttpCall quick = {.timeout_ms = 1000};
    assert_int_equal(
        ask_rogue((Rogue){.say = S("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), .hold = true}, quick)
            .err,
        E_TIMEOUT);
    HttpResult r = ask_rogue((Rogue){.say = S("HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\nX: "
                                              "2\r\nContent-Length: 2\r\n\r\nok")},
                             small);
    assert_str(http_result_header(&r, S("x")), "2");
    assert_str(r.body, "ok");
}

static void test_unix_socket(void **state)
{
    Rogue g = {.say = S("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")};
    snprintf(g.path, sizeof g.path, "%s/s", dir);
    HttpResult r = ask_rogue(g, (HttpCall){.unix_socket = str_c(g.path)});
    if (r.err != OK)
        fail_msg("%s", r.why.text);
    assert_str(r.body, "ok");
}

static void test_strict_egress(void **state)
{
    static const char *const hosts[] = {"127.0.0.1",       "localhost",          "[::1]",
                                        "0.0.0.0",         "2130706433",         "0x7f.1",
                                        "127.1",           "[::ffff:127.0.0.1]", "[::127.0.0.1]",
                                        "10.0.0.1",        "192.168.1.1",        "172.31.0.1",
                                        "169.254.169.254", "[fd00:ec2::254]",    "[fe80::1]",
                                        "100.100.100.200", "[64:ff9b::7f00:1]"};
    for (u32 i = 0; i < COUNT_OF(hosts); i++) {
        Str url = arena_printf(&arena, "http://%s:%u/-/ready", hosts[i], f.port);
        HttpResult r = fetch((HttpCall){.egress = EGRESS_STRICT}, url.at);
        if (r.err == OK || (r.err != E_FORBIDDEN && r.err != E_UNAVAILABLE))
            fail_msg("%s: %s %s", hosts[i], err_name(r.err), r.why.text);
        if (i < 2)
            assert_int_equal(r.err, E_FORBIDDEN);
    }
    /* A kept connection must not be a way around. */
    want((HttpCall){0}, "/-/ready", 200, "ready\n");
    assert_int_equal(fetch((HttpCall){.egress = EGRESS_STRICT}, "/-/ready").err, E_FORBIDDEN);
    HttpClientConfig c = {.proxy_url = arena_printf(&arena, "http://127.0.0.1:%u", f.port)};
    assert_int_equal(fetch((HttpCall){.egress = EGRESS_STRICT, .config = &c}, "/-/ready").err, E_FORBIDDEN);
    assert_int_equal(fetch((HttpCall){.egress = EGRESS_STRICT, .unix_socket = S("/x")}, "/-/ready").err,
                     E_FORBIDDEN);
}

static void test_proxy(void **state)
{
    HttpClientConfig c = {.proxy_url = arena_printf(&arena, "http://127.0.0.1:%u", f.port)};
    HttpCall call = {.config = &c};
    want(call, "http://far.example/show?a=1", 200,
         "GET /show\na=1\nbody 0\n"); /* our server takes the absolute form */
    c.no_proxy = S("127.0.0.1");
    want(call, "/-/ready", 200, "ready\n");
}

static void test_errors_keep_secrets(void **state)
{
    HttpClientConfig c = {.basic_username = S("me"), .basic_password = {S("sekret1")}};
    HttpResult r = fetch((HttpCall){.config = &c}, "http://u:sekret2@127.0.0.1:1/x?token=sekret3");
    assert_int_equal(r.err, E_UNAVAILABLE);
    assert_null(strstr(r.why.text, "sekret"));
    if (!strstr(r.why.text, "GET \"http://u:xxxxx@127.0.0.1:1/x\": ") ||
        !strstr(r.why.text, "Connection refused"))
        fail_msg("%s", r.why.text);
    r = fetch((HttpCall){0}, "http://u:sekret@host:99999999/");
    assert_int_equal(r.err, E_INVALID);
    assert_null(strstr(r.why.text, "sekret"));
    r = fetch((HttpCall){0}, "https://discord.invalid/api/webhooks/123/sekret");
    assert_null(strstr(r.why.text, "sekret"));
    static const char *const bad[] = {"",        "x",           "ftp://127.0.0.1/", "file:///etc/passwd",
                                      "http://", "gopher://a/", "http://a b/"};
    for (u32 i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(fetch((HttpCall){0}, bad[i]).err, E_INVALID);
}

typedef struct Sent {
    _Atomic int done;
    Err err;
    HttpCallHandle *handle;
} Sent;
static void on_sent(void *arg, const HttpResult *r)
{
    Sent *s = arg;
    s->err = r->err;
    s->done++;
}
static void cancel_on_loop(void *arg)
{
    Sent *s = arg;
    http_cancel(client, s->handle);
}
static void test_cancel(void **state)
{
    f.let_go = false;
    f.started = 0;
    Sent s = {0};
    HttpCall call = {.url = arena_printf(&arena, "http://127.0.0.1:%u/wait", f.port)};
    s.handle = http_send(client, &call, on_sent, &s);
    while (!f.started)
        usleep(1000);
    loop_post(f.loop, cancel_on_loop, &s);
    while (!s.done)
        usleep(1000);
    assert_int_equal(s.err, E_CANCELED);
    f.let_go = true;
}

static void test_free_cancels(void **state)
{
    Loop *l = loop_new(clock_real());
    HttpClient *c = http_client_new(l, NULL);
    Sent s[4] = {0};
    f.let_go = false;
    HttpCall call = {.url = arena_printf(&arena, "http://127.0.0.1:%u/wait", f.port)};
    for (int i = 0; i < 2; i++)
        http_send(c, &call, on_sent, &s[i]);
    for (int i = 0; i < 20; i++)
        loop_run_once(l, 5);
    for (int i = 2; i < 4; i++) /* these are still in the mail */
        http_send(c, &call, on_sent, &s[i]);
    http_client_free(c);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s[i].done, 1);
        assert_int_equal(s[i].err, E_CANCELED);
    }
    loop_free(l);
    f.let_go = true;
}

enum { MANY = 200 };
static void test_many_at_once(void **state)
{
    static Sent s[MANY];
    HttpCall call = {.url = arena_printf(&arena, "http://127.0.0.1:%u/-/ready", f.port)};
    for (int i = 0; i < MANY; i++) {
        s[i] = (Sent){0};
        http_send(client, &call, on_sent, &s[i]);
    }
    for (int i = 0; i < MANY; i++) {
        while (!s[i].done)
            usleep(1000);
        assert_int_equal(s[i].err, OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_and_bodies),  cmocka_unit_test(test_headers),
        cmocka_unit_test(test_credentials),         cmocka_unit_test(test_oauth2),
        cmocka_unit_test(test_redirects),           cmocka_unit_test(test_limits),
        cmocka_unit_test(test_rogue_servers),       cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_strict_egress),       cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_errors_keep_secrets), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_free_cancels),        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
