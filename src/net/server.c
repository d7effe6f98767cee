/* Listening, limits, drain. */
#include "net/server.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, ACCEPTS_PER_TURN = 64, ACCEPT_PAUSE_MS = 100 };

/* ---- addresses ---- */

static void print_address(const struct sockaddr_storage *a, socklen_t len, char *ret, size_t cap,
                          bool *ret_loopback)
{
    char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
    getnameinfo((const struct sockaddr *)a, len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    Str h = str_c(host);
    if (str_starts(h, S("::ffff:")) && str_find_char(h, '.') != SIZE_MAX)
        h = str_skip(h, 7); /* IPv4 on a socket for both */
    bool is_v6 = str_find_char(h, ':') != SIZE_MAX;
    *ret_loopback = is_v6 ? str_eq(h, S("::1")) : str_starts(h, S("127."));
    snprintf(ret, cap, is_v6 ? "[%.*s]:%s" : "%.*s:%s", STR_FMT(h), port);
}

/* "host:port", "[v6]:port", ":port". */
static Err split_address(Str address, char host[256], char port[8], Why *why)
{
    size_t colon = SIZE_MAX;
    for (size_t i = address.len; i-- > 0;)
        if (address.at[i] == ':') {
            colon = i;
            break;
        }
    Str h = str_sub(address, 0, colon), p = colon == SIZE_MAX ? S("") : str_skip(address, colon + 1);
    bool in_brackets = str_starts(h, S("[")) && str_ends(h, S("]"));
    if (in_brackets)
        h = str_sub(h, 1, h.len - 1);
    u64 number;
    if (colon == SIZE_MAX || parse_u64(p, &number) != OK || number > 65535 || h.len >= 256 ||
        (!in_brackets && str_find_char(h, ':') != SIZE_MAX))
        return why_set(why, E_INVALID, "listen address \"%.*s\" must be host:port, [ipv6]:port or :port",
                       STR_FMT(address));
    snprintf(host, 256, "%.*s", STR_FMT(h));
    snprintf(port, 8, "%u", (unsigned)number);
    return OK;
}

static int bind_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

static Err cannot_listen(HttpServer *s, Str address, const char *port, int e, Why *why)
{
    char holder[128];
    u64 number = 0;
    parse_u64(str_c(port), &number);
    if (e != EADDRINUSE)
        return why_set(why, E_IO, "cannot listen on %.*s: %s", STR_FMT(address), strerror(e));
    if (!port_holder((u16)number, holder, sizeof holder))
        snprintf(holder, sizeof holder, "another process");
    return why_set(why, E_EXISTS,
                   "cannot listen on %.*s: %s already does; stop it, or choose another address with "
                   "--%s.listen-address",
                   STR_FMT(address), holder, s->c.component);
}

static Err bind_address(HttpServer *s, Str address, Why *why)
{
    char host[256] = "", port[8] = "";
    TRY(split_address(address, host, port, why));
    struct addrinfo hints = {.ai_family = host[0] ? AF_UNSPEC : AF_INET6,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int e = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    s->fd = -1;
    errno = EADDRNOTAVAIL;
    for (struct addrinfo *a = found; e == 0 && a && s->fd < 0; a = a->ai_next)
        s->fd = bind_one(a);
    if (s->fd < 0 && !host[0]) { /* no IPv6 on this machine */
        if (found)
            freeaddrinfo(found);
        found = NULL;
        hints.ai_family = AF_INET;
        e = getaddrinfo(NULL, port, &hints, &found);
        if (e == 0)
            s->fd = bind_one(found);
    }
    int bind_errno = errno;
    if (found)
        freeaddrinfo(found);
    if (e)
        return why_set(why, E_INVALID, "listen address \"%.*s\": %s", STR_FMT(address), gai_strerror(e));
    if (s->fd < 0)
        return cannot_listen(s, address, port, bind_errno, why);
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof bound;
    bool is_loopback;
    getsockname(s->fd, (struct sockaddr *)&bound, &len);
    print_address(&bound, len, s->address, sizeof s->address, &is_loopback);
    return OK;
}

/* ---- accepting ---- */

static void refuse_connection(HttpServer *s, int fd)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 26\r\n\r\n"
                               "too many open connections\n";
    if (!s->tls)
        (void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void resume_accepting(void *arg)
{
    HttpServer *s = arg;
    if (s->watch)
        loop_fd_set(s->watch, LOOP_READ);
}

static void on_acceptable(void *arg, int events)
{
    HttpServer *s = arg;
    for (u32 i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(s->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                loop_fd_set(s->watch, 0); /* the backlog would wake us without end */
                timer_start_in_ms(s->c.loop, &s->accept_pause, ACCEPT_PAUSE_MS);
            }
            return;
        }
        if (s->conns_len >= s->c.connections_max) {
            refuse_connection(s, fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        char remote[64];
        bool is_loopback;
        print_address(&peer, len, remote, sizeof remote, &is_loopback);
        conn_new(s, fd, remote, is_loopback);
    }
}

/* ---- the server ---- */

static void set_defaults(HttpServerConfig *c)
{
    if (!c->connections_max)
        c->connections_max = 512;
    if (!c->request_memory_max)
        c->request_memory_max = 64 << 20;
    if (!c->head_timeout_ms)
        c->head_timeout_ms = 10000;
    if (!c->body_idle_timeout_ms)
        c->body_idle_timeout_ms = 30000;
    if (!c->idle_timeout_ms)
        c->idle_timeout_ms = 300000;
    if (!c->write_timeout_ms)
        c->write_timeout_ms = 60000;
    if (!c->component)
        c->component = "web";
}

static Str clean_prefix(Str p)
{
    while (str_ends(p, S("/")))
        p = str_sub(p, 0, p.len - 1);
    return p;
}

Err http_server_new(const HttpServerConfig *config, HttpServer **ret, Why *why)
{
    HttpServer *s = mem_new(HttpServer);
    s->c = *config;
    set_defaults(&s->c);
    s->clock = loop_clock(s->c.loop);
    s->fd = -1;
    Err e = bind_address(s, s->c.address, why);
    if (e == OK && s->c.tls_cert_file.len)
        e = tls_contexts_new(&s->c, &s->tls, why);
    if (e != OK) {
        if (s->fd >= 0)
            close(s->fd);
        mem_free(s);
        return e;
    }
    routes_init(&s->routes, clean_prefix(s->c.route_prefix));
    s->routes.metrics_of = s->c.metrics_of;
    timer_init(&s->accept_pause, resume_accepting, s);
    s->scratch = mem_alloc(SCRATCH_BYTES);
    buf_init(&s->extra, 65536);
    for (u32 i = 0; i < s->c.extra_headers_len; i++) {
        const HttpHeader *h = &s->c.extra_headers[i];
        buf_printf(&s->extra, "%.*s: %.*s\r\n", STR_FMT(h->name), STR_FMT(h->value));
    }
    char labels[96];
    snprintf(labels, sizeof labels, "component=\"%s\"", s->c.component);
    s->connections = metric_gauge("pharos_http_connections", "Open connections of a listener.", labels);
    *ret = s;
    return OK;
}

void http_server_route(HttpServer *s, const HttpRoute *routes, u32 n)
{
    for (u32 i = 0; i < n; i++)
        routes_add(&s->routes, &routes[i]);
}

void http_server_fallback(HttpServer *s, const HttpRoute *route)
{
    routes_set_fallback(&s->routes, route);
}

void http_server_start(HttpServer *s)
{
    check(!s->watch);
    s->watch = loop_fd_add(s->c.loop, s->fd, LOOP_READ, on_acceptable, s);
}

Str http_server_address(const HttpServer *s)
{
    return str_c(s->address);
}

static void stop_listening(HttpServer *s)
{
    timer_stop(s->c.loop, &s->accept_pause);
    loop_fd_del(s->watch);
    s->watch = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void close_conns(HttpServer *s, bool only_idle)
{
    for (Conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (only_idle && (c->req || c->state != CONN_HEAD || c->scan.at > 0))
            continue;
        conn_close(c);
        conn_settle(c);
    }
}

void http_server_drain(HttpServer *s, i64 timeout_ms)
{
    s->is_draining = true;
    stop_listening(s);
    close_conns(s, true);
    /* Real time: whoever waits here is a person or a supervisor. */
    i64 until = clock_mono_ms(clock_real()) + timeout_ms;
    while (s->conns) {
        i64 left = until - clock_mono_ms(clock_real());
        if (left <= 0)
            break;
        loop_run_once(s->c.loop, MIN(left, 50));
    }
}

void http_server_free(HttpServer *s)
{
    if (!s)
        return;
    s->is_draining = true;
    stop_listening(s);
    close_conns(s, false);
    while (s->conns) /* those with a handler at work go when it comes back */
        loop_run_once(s->c.loop, 50);
    while (s->free_reqs) {
        Req *r = s->free_reqs;
        s->free_reqs = r->next_free;
        req_free(r);
    }
    routes_done(&s->routes);
    tls_contexts_free(s->tls);
    buf_done(&s->extra);
    mem_free(s->scratch);
    mem_free(s);
}
