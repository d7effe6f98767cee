/* Many targets in one cheap process: each replays a node_exporter page whose values move (page.h).
 *
 *     fleet --page TAPE [--targets 1000] [--port 0] [--seed 1]
 *
 * Target i is 127.1.(i / 256).(i % 256):PORT, so that a scraper keeps one connection per target as it would in a real fleet. The
 * k-th scrape of a target by one scraper (told apart by User-Agent) has the same page whoever scrapes and whenever it comes.
 *
 *     GET  /metrics   the page of the address it was asked at; never compressed
 *     GET  /sd        the targets for http_sd_configs, instance label host-GENERATION-NUMBER:9100
 *     POST /rename    the next generation: every instance has another name from now on
 *     GET  /stats     pages and bytes served per scraper, as JSON
 *
 * When it listens it prints "127.0.0.1:PORT series=N moving=N". Connections to anything but 127/8 are closed.
 */
#include "page.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRAPERS_MAX = 8, HEAD_MAX = 8192 };

typedef struct Scraper {
    char name[48];
    u64 pages, bytes;
    PageState **states; /* by target; made at its first scrape */
} Scraper;

typedef struct Conn {
    int fd;
    u32 target; /* UINT32_MAX: asked at an address that is none */
    Buf in, out;
    bool wants_out;
} Conn;

typedef struct Fleet {
    PageModel *model;
    u32 targets, generation;
    u64 seed;
    u16 port;
    int epoll;
    Scraper scrapers[SCRAPERS_MAX];
    u32 scrapers_len;
    Buf body;
} Fleet;

static void die(const char *what)
{
    fprintf(stderr, "fleet: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- what is served ---- */

static Str header_of(Str head, Str name)
{
    Str line;
    while (str_cut(head, '\n', &line, &head)) {
        Str key, value;
        if (str_cut(line, ':', &key, &value) && str_eq_nocase(key, name))
            return str_trim(value);
    }
    return S("");
}

/* By the User-Agent up to its version; the last slot takes whoever comes too late. */
static Scraper *scraper_of(Fleet *f, Str head)
{
    Str agent = header_of(head, S("User-Agent"));
    agent = str_sub(agent, 0, MIN(str_find_char(agent, '/'), sizeof f->scrapers[0].name - 1));
    for (u32 i = 0; i < f->scrapers_len; i++)
        if (str_eq(agent, str_c(f->scrapers[i].name)) || i == SCRAPERS_MAX - 1)
            return &f->scrapers[i];
    Scraper *s = &f->scrapers[f->scrapers_len++];
    memcpy(s->name, agent.at, agent.len);
    s->states = mem_zalloc(f->targets * sizeof s->states[0]);
    return s;
}

static void put_page(Fleet *f, Str head, u32 target)
{
    Scraper *s = scraper_of(f, head);
    if (!s->states[target])
        s->states[target] = page_state_new(f->model, f->seed, target);
    page_step(f->model, s->states[target]);
    page_render(f->model, s->states[target], &f->body);
    s->pages++;
    s->bytes += f->body.len;
}

static void put_targets(Fleet *f)
{
    buf_char(&f->body, '[');
    for (u32 i = 0; i < f->targets; i++)
        buf_printf(&f->body,
                   "%s{\"targets\":[\"127.1.%u.%u:%u\"],\"labels\":{\"instance\":\"host-%u-%05u:9100\"}}",
                   i ? "," : "", i / 256, i % 256, f->port, f->generation, i);
    buf_char(&f->body, ']');
}

static void put_stats(Fleet *f)
{
    buf_printf(&f->body, "{\"series\":%u,\"moving\":%u,\"targets\":%u,\"generation\":%u,\"scrapers\":{",
               page_model_series(f->model), page_model_moving(f->model), f->targets, f->generation);
    for (u32 i = 0; i < f->scrapers_len; i++)
        buf_printf(&f->body, "%s\"%s\":{\"pages\":%llu,\"bytes\":%llu}", i ? "," : "", f->scrapers[i].name,
                   (unsigned long long)f->scrapers[i].pages, (unsigned long long)f->scrapers[i].bytes);
    buf_c(&f->body, "}}");
}

static void answer(Fleet *f, Conn *c, Str head)
{
    Str method, path, rest;
    int status = 200;
    str_cut(head, ' ', &method, &rest);
    str_cut(rest, ' ', &path, &rest);
    str_cut(path, '?', &path, &rest);
    buf_clear(&f->body);
    const char *type = "application/json";
    if (str_eq(path, S("/metrics")) && c->target < f->targets) {
        type = "text/plain; version=0.0.4; charset=utf-8";
        put_page(f, head, c->target);
    } else if (str_eq(path, S("/sd"))) {
        put_targets(f);
    } else if (str_eq(path, S("/stats"))) {
        put_stats(f);
    } else if (str_eq(path, S("/rename")) && str_eq(method, S("POST"))) {
        f->generation++;
        put_stats(f);
    } else {
        status = 404;
    }
    buf_printf(&c->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status,
               status == 200 ? "OK" : "Not Found", type, f->body.len);
    buf_str(&c->out, buf_view(&f->body));
}

/* ---- connections ---- */

static void conn_close(Conn *c)
{
    close(c->fd);
    buf_done(&c->in);
    buf_done(&c->out);
    mem_free(c);
}

static void conn_watch(Fleet *f, Conn *c, bool wants_out)
{
    if (c->wants_out == wants_out)
        return;
    c->wants_out = wants_out;
    struct epoll_event ev = {.events = wants_out ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(f->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

/* false: the connection is gone */
static bool conn_send(Fleet *f, Conn *c)
{
    while (c->out.len) {
        ssize_t n = send(c->fd, c->out.at, c->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            conn_watch(f, c, true);
            return true;
        }
        if (n <= 0) {
            conn_close(c);
            return false;
        }
        buf_drop(&c->out, (size_t)n);
    }
    buf_release(&c->out);
    conn_watch(f, c, false);
    return true;
}

static void conn_read(Fleet *f, Conn *c)
{
    char chunk[HEAD_MAX];
    ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    buf_put(&c->in, chunk, n > 0 ? (size_t)n : 0);
    if (n <= 0 || buf_over(&c->in)) {
        conn_close(c);
        return;
    }
    for (size_t end; (end = str_find(buf_view(&c->in), S("\r\n\r\n"))) != SIZE_MAX;) {
        answer(f, c, str_sub(buf_view(&c->in), 0, end + 2));
        buf_drop(&c->in, end + 4);
    }
    if (c->in.len == 0)
        buf_release(&c->in);
    conn_send(f, c);
}

static void accept_all(Fleet *f, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct sockaddr_in at;
        socklen_t len = sizeof at;
        u32 address = getsockname(fd, (struct sockaddr *)&at, &len) == 0 ? ntohl(at.sin_addr.s_addr) : 0;
        if (address >> 24 != 127) {
            close(fd);
            continue;
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Conn *c = mem_new(Conn);
        c->fd = fd;
        c->target = (address >> 16 & 255) == 1 ? address & 0xffff : UINT32_MAX;
        buf_init(&c->in, HEAD_MAX);
        buf_init(&c->out, 64u << 20);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
            conn_close(c);
    }
}

static int listen_all(Fleet *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    socklen_t len = sizeof at;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0)
        die("cannot listen");
    getsockname(fd, (struct sockaddr *)&at, &len);
    f->port = ntohs(at.sin_port);
    struct epoll_event ev = {.events = EPOLLIN};
    epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &ev);
    return fd;
}

static void serve(Fleet *f)
{
    int listener = listen_all(f);
    printf("127.0.0.1:%u series=%u moving=%u\n", f->port, page_model_series(f->model),
           page_model_moving(f->model));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(f->epoll, events, COUNT_OF(events), -1);
        for (int i = 0; i < n; i++) {
            Conn *c = events[i].data.ptr;
            if (!c)
                accept_all(f, listener);
            else if (c->wants_out)
                conn_send(f, c);
            else
                conn_read(f, c);
        }
    }
}

int main(int argc, char **argv)
{
    Fleet f = {.targets = 1000, .seed = 1};
    const char *page = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        Str flag = str_c(argv[i]);
        if (str_eq(flag, S("--page")))
            page = argv[i + 1];
        else if (str_eq(flag, S("--targets")))
            f.targets = (u32)strtoul(argv[i + 1], NULL, 10);
        else if (str_eq(flag, S("--port")))
            f.port = (u16)strtoul(argv[i + 1], NULL, 10);
        else if (str_eq(flag, S("--seed")))
            f.seed = strtoull(argv[i + 1], NULL, 10);
        else
            page = NULL, i = argc;
    }
    if (!page || f.targets == 0 || f.targets > 65536) {
        fprintf(stderr, "usage: fleet --page TAPE [--targets 1..65536] [--port P] [--seed S]\n");
        return 2;
    }
    struct rlimit files = {.rlim_cur = 0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    Why why = {0};
    f.model = page_model_read(page, &why);
    if (!f.model) {
        fprintf(stderr, "fleet: %s\n", why.text);
        return 1;
    }
    f.epoll = epoll_create1(EPOLL_CLOEXEC);
    buf_init(&f.body, 64u << 20);
    serve(&f);
}
