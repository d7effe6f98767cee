/* A server on its own loop thread, with handlers that show what they got, and a blocking client that reads answers. */
#pragma once
#include "test.h"
#include "net/net.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Fixture {
    Loop *loop;
    HttpServer *server;
    Pool *pools[3];
    pthread_t thread;
    u16 port;
    Authenticator *auth;
    const HttpRoute *more; /* routes besides the usual ones */
    u32 more_len;
    _Atomic int started, finished, canceled;
    _Atomic bool let_go;
} Fixture;

static inline void h_ready(HttpReq *r, void *arg)
{
    http_reply_text(r, 200, "ready\n");
}
static inline void h_echo(HttpReq *r, void *arg)
{
    http_reply(r, 200, "application/octet-stream", r->body);
}
/* Everything the request says, a line each. */
static inline void h_show(HttpReq *r, void *arg)
{
    Buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "%.*s %.*s\n", STR_FMT(r->method), STR_FMT(r->path));
    for (u32 i = 0; i < r->params_len; i++)
        buf_printf(&b, "%.*s=%.*s\n", STR_FMT(r->params[i].name), STR_FMT(r->params[i].value));
    for (u32 i = 0; i < 4; i++)
        if (r->path_args[i].at)
            buf_printf(&b, "arg %.*s\n", STR_FMT(r->path_args[i]));
    if (r->principal.tenant.len)
        buf_printf(&b, "tenant %.*s\n", STR_FMT(r->principal.tenant));
    if (r->principal.user.len)
        buf_printf(&b, "user %.*s role %d\n", STR_FMT(r->principal.user), r->principal.role);
    buf_printf(&b, "body %zu\n", r->body.len);
    http_reply(r, 200, "text/plain", buf_view(&b));
    buf_done(&b);
}
/* ?bytes=N streamed in pieces of ?piece=M. */
static inline void h_stream(HttpReq *r, void *arg)
{
    Fixture *f = arg;
    u64 left = 0, piece = 1000;
    parse_u64(http_param(r, S("bytes")), &left);
    parse_u64(http_param(r, S("piece")), &piece);
    char *at = mem_alloc(piece);
    for (u64 i = 0; i < piece; i++)
        at[i] = (char)('a' + i % 26);
    http_begin(r, 200, "text/plain");
    f->started++;
    while (left) {
        u64 n = MIN(left, piece);
        if (!http_write(r, str_of(at, n))) {
            f->canceled++;
            break;
        }
        left -= n;
    }
    mem_free(at);
    f->finished++;
}
/* Answers when let go or when the client leaves. */
static inline void h_wait(HttpReq *r, void *arg)
{
    Fixture *f = arg;
    f->started++;
    while (!f->let_go && !cancel_is_set(r->cancel))
        usleep(1000);
    if (cancel_is_set(r->cancel))
        f->canceled++;
    http_reply_text(r, 200, "waited\n");
    f->finished++;
}
static inline void h_nothing(HttpReq *r, void *arg) {}
static inline void h_big(HttpReq *r, void *arg)
{
    u64 n = 0;
    parse_u64(http_param(r, S("bytes")), &n);
    char *at = mem_alloc(n + 1);
    for (u64 i = 0; i < n; i++)
        at[i] = (char)('a' + i % 26);
    http_add_header(r, S("X-Test"), S("a\r\nInjected: yes"));
    http_reply(r, 200, "text/plain; charset=utf-8", str_of(at, n));
    mem_free(at);
}

static inline void *fixture_thread(void *arg)
{
    loop_run(((Fixture *)arg)->loop);
    return NULL;
}

static inline void fixture_start(Fixture *f, HttpServerConfig c)
{
    Why why = {0};
    if (!f->loop)
        f->loop = loop_new(clock_real());
    for (u32 i = 0; i < 3; i++)
        f->pools[i] = pool_new("test", 2, 8);
    c.loop = f->loop;
    if (!c.address.len)
        c.address = S("127.0.0.1:0");
    c.auth = f->auth;
    c.pools[RUN_QUERY] = f->pools[0];
    c.pools[RUN_INGEST] = f->pools[1];
    c.pools[RUN_ADMIN] = f->pools[2];
    assert_ok(http_server_new(&c, &f->server, &why), &why);
    const HttpRoute routes[] = {
        {.methods = "GET", .path = "/-/ready", .handler = h_ready, .run = RUN_LOOP},
        {.methods = "GET,POST",
         .path = "/api/v1/query",
         .handler = h_show,
         .arg = f,
         .run = RUN_QUERY,
         .body_max = 1 << 20,
         .role = ROLE_READ,
         .tenant = TENANT_READ},
        {.methods = "POST,PUT",
         .path = "/echo",
         .handler = h_echo,
         .run = RUN_INGEST,
         .body_max = 4 << 20,
         .role = ROLE_WRITE},
        {.methods = "POST",
         .path = "/raw",
         .handler = h_echo,
         .run = RUN_INGEST,
         .body_max = 4 << 20,
         .flags = BODY_RAW},
        {.methods = "POST", .path = "/loop_echo", .handler = h_echo, .run = RUN_LOOP, .body_max = 4 << 20},
        {.methods = "GET", .path = "/show", .handler = h_show, .run = RUN_LOOP},
        {.methods = "POST", .path = "/show", .handler = h_show, .run = RUN_ADMIN, .body_max = 65536},
        {.methods = "GET", .path = "/api/v1/label/{name}/values", .handler = h_show, .run = RUN_LOOP},
        {.methods = "GET", .path = "/static/*", .handler = h_show, .run = RUN_LOOP},
        {.methods = "GET", .path = "/stream", .handler = h_stream, .arg = f, .run = RUN_QUERY},
        {.methods = "GET", .path = "/wait", .handler = h_wait, .arg = f, .run = RUN_QUERY},
        {.methods = "GET", .path = "/nothing", .handler = h_nothing, .run = RUN_QUERY},
        {.methods = "GET", .path = "/big", .handler = h_big, .run = RUN_QUERY},
    };
    http_server_route(f->server, routes, COUNT_OF(routes));
    http_server_route(f->server, f->more, f->more_len);
    http_server_start(f->server);
    Str address = http_server_address(f->server);
    u64 port = 0;
    size_t colon = str_find_char(address, ':');
    assert_int_equal(parse_u64(str_skip(address, colon + 1), &port), OK);
    f->port = (u16)port;
    assert_int_equal(thread_start(&f->thread, "test-loop", fixture_thread, f), OK);
}

/* The loop's thread has ended: the caller is now the one who may touch its things. */
static inline void fixture_halt(Fixture *f)
{
    loop_stop(f->loop);
    pthread_join(f->thread, NULL);
    loop_run_once(f->loop, 0);
}

static inline void fixture_stop(Fixture *f)
{
    f->let_go = true;
    fixture_halt(f);
    http_server_free(f->server);
    for (u32 i = 0; i < 3; i++)
        pool_free(f->pools[i]);
    loop_free(f->loop);
}

/* ---- client ---- */

static inline int dial(const Fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    struct timeval t = {.tv_sec = 30};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static inline bool is_readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

/* Stops early when the server has answered: whoever refuses need not read on. */
static inline void say(int fd, Str bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes = str_skip(bytes, (size_t)n);
    }
}
static inline void say_bytewise(int fd, Str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (send(fd, bytes.at + i, 1, MSG_NOSIGNAL) != 1)
            return;
        if (i % 64 == 0 && is_readable(fd, 0))
            return;
    }
}
#define say_c(fd, lit) say(fd, S(lit))

typedef struct Answer {
    int status; /* 0 = the connection was closed without one */
    Buf head, body;
    bool close;
} Answer;

static inline int read_byte(int fd)
{
    u8 b;
    ssize_t n;
    do
        n = recv(fd, &b, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1 ? b : -1;
}
static inline Str answer_header(const Answer *a, const char *name)
{
    Str rest = buf_view(&a->head), line;
    bool more = true;
    while (more) {
        more = str_cut(rest, '\n', &line, &rest);
        Str key, value;
        if (str_cut(str_trim(line), ':', &key, &value) && str_eq_nocase(key, str_c(name)))
            return str_trim(value);
    }
    return (Str){0};
}
static inline void read_n(int fd, Buf *b, u64 n)
{
    char piece[65536];
    while (n) {
        ssize_t got = recv(fd, piece, MIN(n, sizeof piece), 0);
        if (got <= 0)
            fail_msg("the body ends too early: %llu bytes missing", (unsigned long long)n);
        buf_put(b, piece, (size_t)got);
        n -= (u64)got;
    }
}
static inline void answer_free(Answer *a)
{
    buf_done(&a->head);
    buf_done(&a->body);
}
static inline Answer hear_to(int fd, bool is_head)
{
    Answer a = {0};
    buf_init(&a.head, 1 << 20);
    buf_init(&a.body, 256 << 20);
    int b;
    while ((b = read_byte(fd)) >= 0) {
        buf_char(&a.head, (char)b);
        if (str_ends(buf_view(&a.head), S("\r\n\r\n")))
            break;
    }
    if (b < 0) {
        if (a.head.len)
            fail_msg("half a head: %s", buf_cstr(&a.head));
        return a;
    }
    a.status = atoi(buf_cstr(&a.head) + 9);
    a.close = str_eq(answer_header(&a, "Connection"), S("close"));
    Str length = answer_header(&a, "Content-Length");
    u64 n = 0;
    if (is_head || a.status == 204 || a.status == 304 || a.status < 200)
        return a;
    if (length.at) {
        assert_int_equal(parse_u64(length, &n), OK);
        read_n(fd, &a.body, n);
    } else if (answer_header(&a, "Transfer-Encoding").at) {
        for (;;) {
            char line[32];
            size_t len = 0;
            while ((b = read_byte(fd)) >= 0 && b != '\n' && len < sizeof line - 1)
                line[len++] = (char)b;
            line[len] = 0;
            n = strtoull(line, NULL, 16);
            if (b < 0)
                fail_msg("chunks end too early");
            read_n(fd, &a.body, n);
            assert_int_equal(read_byte(fd), '\r');
            assert_int_equal(read_byte(fd), '\n');
            if (n == 0)
                break;
        }
    } else {
        while ((b = read_byte(fd)) >= 0)
            buf_char(&a.body, (char)b);
    }
    return a;
}
static inline Answer hear(int fd)
{
    return hear_to(fd, false);
}
/* No answer more, and the end. */
static inline bool is_over(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}
/* One request on a connection of its own. */
static inline Answer ask(const Fixture *f, Str request)
{
    int fd = dial(f);
    say(fd, request);
    Answer a = hear(fd);
    close(fd);
    return a;
}
#define expect_status(f, lit, want)                                                                          \
    do {                                                                                                     \
        Answer a_ = ask(f, S(lit));                                                                          \
        if (a_.status != (want))                                                                             \
            fail_msg("%s: status %d, want %d: %s", lit, a_.status, want, buf_cstr(&a_.body));                \
        answer_free(&a_);                                                                                    \
    } while (0)
#define expect_body(f, lit, want)                                                                            \
    do {                                                                                                     \
        Answer a_ = ask(f, S(lit));                                                                          \
        assert_int_equal(a_.status, 200);                                                                    \
        assert_str(buf_view(&a_.body), want);                                                                \
        answer_free(&a_);                                                                                    \
    } while (0)
