/* GET over http without libcurl: connections to a peer are kept, watched by the loop for their whole life, and read straight into the
 * answer's buffer. What makes a call unusual (TLS, proxy, unix socket, strict egress, a body, another method, a name whose
 * address is not known yet, a redirect to follow, a peer that cannot be reached) goes through libcurl, which also says in
 * its own words what went wrong with connecting. Addresses of names are those libcurl has connected to, for a minute.
 *
 * A kept connection may end while a request is on its way: then the request goes out once more, on a fresh one. */
#include "net/client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
    IDLE_MAX = 4096, /* of a client */
    PEERS_MAX = 65536,
    READ_MIN = 16384,
    USUAL_MAX = 16 << 20, /* made room for at once */
};
#define NAME_KNOWN_NS (60 * NS_PER_SEC)
#define ODD_NS        (60 * NS_PER_SEC) /* a peer that redirects is libcurl's for that long */
#define IDLE_NS       (300 * NS_PER_SEC)
#define SWEEP_MS      60000

typedef struct PlainPeer {
    struct sockaddr_storage at;
    socklen_t at_len;
    i64 known_until_ns; /* INT64_MAX: the host is an address */
    i64 odd_until_ns, used_ns;
    PlainConn *idle; /* the newest first */
    u32 conns;
    size_t usual; /* bytes of its last answer */
} PlainPeer;

struct PlainConn {
    HttpClient *client;
    PlainPeer *peer;
    PlainConn *next; /* idle */
    HttpCallHandle *call;
    LoopFd *watch;
    int fd, low_water;
    i64 idle_since_ns;
    bool is_connecting, is_reused;
};

static i64 now_of(const HttpClient *c)
{
    return clock_mono_ns(loop_clock(c->loop));
}

/* ---- peers ---- */

static bool host_is_address(const Url *u, struct sockaddr_storage *at, socklen_t *len)
{
    char text[64];
    if (u->host.len >= sizeof text)
        return false;
    memcpy(text, u->host.at, u->host.len);
    text[u->host.len] = 0;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(u->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(u->port)};
    bool is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        return false;
    *len = is_v4 ? sizeof v4 : sizeof v6;
    memcpy(at, is_v4 ? (void *)&v4 : (void *)&v6, *len);
    return true;
}

static Str peer_key(const Url *u, Buf *b)
{
    buf_init(b, 512);
    buf_str(b, u->host);
    buf_printf(b, " %u", u->port);
    return buf_over(b) ? S("") : buf_view(b);
}

static PlainPeer *peer_new(HttpClient *c, Str key)
{
    if (c->peers.len >= PEERS_MAX || !key.len)
        return NULL;
    PlainPeer *p = mem_new(PlainPeer);
    strmap_put(&c->peers, key, p);
    if (!timer_is_started(&c->sweep))
        timer_start_in_ms(c->loop, &c->sweep, SWEEP_MS);
    return p;
}

/* NULL: libcurl has to find it. */
static PlainPeer *peer_get(HttpClient *c, const Url *u)
{
    Buf b;
    Str key = peer_key(u, &b);
    PlainPeer *p = strmap_find(&c->peers, key);
    struct sockaddr_storage at = {0};
    socklen_t len;
    if (!p && host_is_address(u, &at, &len) && (p = peer_new(c, key))) {
        p->at = at;
        p->at_len = len;
        p->known_until_ns = INT64_MAX;
    }
    buf_done(&b);
    i64 now = now_of(c);
    if (!p || now < p->odd_until_ns || (!p->idle && now >= p->known_until_ns))
        return NULL;
    p->used_ns = now;
    return p;
}

static bool is_plain(const HttpCallHandle *h, const Url *u)
{
    const HttpClientConfig *c = h->config;
    if (!str_eq_nocase(u->scheme, S("http")) || !str_eq(h->method_now, S("GET")) || h->body_now.len ||
        h->off_origin || h->call.egress == EGRESS_STRICT || h->call.unix_socket.len || c->proxy_url.len ||
        c->proxy_from_environment || u->port == 0)
        return false;
    for (size_t i = 0; i < u->path.len; i++)
        if ((u8)u->path.at[i] <= ' ' || (u8)u->path.at[i] >= 0x7f)
            return false;
    for (size_t i = 0; i < u->query.len; i++)
        if ((u8)u->query.at[i] <= ' ' || (u8)u->query.at[i] >= 0x7f)
            return false;
    return true;
}

void plain_learn(HttpCallHandle *h)
{
    HttpClient *c = h->client;
    Url u;
    struct sockaddr_storage at = {0};
    socklen_t len;
    char *ip = NULL;
    if (url_parse(h->url_now, &u, NULL) != OK || !is_plain(h, &u) || host_is_address(&u, &at, &len) ||
        curl_easy_getinfo(h->easy, CURLINFO_PRIMARY_IP, &ip) != CURLE_OK || !ip)
        return;
    Url found = {.host = str_c(ip), .port = u.port};
    if (!host_is_address(&found, &at, &len))
        return;
    Buf b;
    Str key = peer_key(&u, &b);
    PlainPeer *p = strmap_find(&c->peers, key);
    if (!p)
        p = peer_new(c, key);
    buf_done(&b);
    if (!p)
        return;
    p->at = at;
    p->at_len = len;
    p->used_ns = now_of(c);
    p->known_until_ns = p->used_ns + NAME_KNOWN_NS;
}

/* ---- connections ---- */

static void conn_close(PlainConn *n)
{
    for (PlainConn **at = &n->peer->idle; *at; at = &(*at)->next)
        if (*at == n) {
            *at = n->next;
            n->client->idle_len--;
            break;
        }
    n->peer->conns--;
    loop_fd_del(n->watch);
    close(n->fd);
    mem_free(n);
}

static void conn_keep(PlainConn *n)
{
    int one = 1;
    if (n->low_water > 1)
        setsockopt(n->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    n->low_water = 1;
    n->idle_since_ns = now_of(n->client);
    n->next = n->peer->idle;
    n->peer->idle = n;
    n->client->idle_len++;
}

static void on_ready(void *arg, int events);

static PlainConn *conn_open(HttpClient *c, PlainPeer *p)
{
    int fd = socket(p->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int err = connect(fd, (struct sockaddr *)&p->at, p->at_len);
    if (err < 0 && errno != EINPROGRESS) {
        close(fd);
        return NULL;
    }
    PlainConn *n = mem_new(PlainConn);
    *n = (PlainConn){.client = c, .peer = p, .fd = fd, .low_water = 1, .is_connecting = err < 0};
    n->watch = loop_fd_add(c->loop, fd, n->is_connecting ? LOOP_WRITE : LOOP_READ, on_ready, n);
    p->conns++;
    return n;
}

static PlainConn *conn_reuse(PlainPeer *p)
{
    PlainConn *n = p->idle;
    if (!n)
        return NULL;
    p->idle = n->next;
    n->next = NULL;
    n->client->idle_len--;
    n->is_reused = true;
    return n;
}

/* ---- the request ---- */

static bool write_request(HttpCallHandle *h, const Url *u, Str token)
{
    Buf b;
    Str host = u->host;
    bool is_v6 = str_find_char(host, ':') != SIZE_MAX, has_host = false, has_accept = false;
    if (call_headers(h, token, NULL) != OK) {
        call_drop_headers(h);
        return false; /* libcurl's way says so too, aloud */
    }
    buf_init(&b, 1u << 20);
    buf_printf(&b, "GET %.*s%s%.*s HTTP/1.1\r\n", STR_FMT(u->path.len ? u->path : S("/")),
               u->query.at ? "?" : "", STR_FMT(u->query));
    for (struct curl_slist *s = h->header_list; s; s = s->next) {
        Str line = str_c(s->data), name, value;
        bool is_empty = !str_cut(line, ':', &name, &value); /* curl's "Name;" */
        if (is_empty)
            name = str_sub(line, 0, line.len - 1);
        has_host |= str_eq_nocase(name, S("Host"));
        has_accept |= str_eq_nocase(name, S("Accept"));
        buf_str(&b, name);
        buf_char(&b, ':');
        buf_str(&b, is_empty ? S("") : value);
        buf_c(&b, "\r\n");
    }
    call_drop_headers(h);
    if (!has_host) {
        buf_printf(&b, "Host: %s%.*s%s", is_v6 ? "[" : "", STR_FMT(host), is_v6 ? "]" : "");
        if (u->has_port && u->port != 80)
            buf_printf(&b, ":%u", u->port);
        buf_c(&b, "\r\n");
    }
    buf_c(&b, has_accept ? "\r\n" : "Accept: */*\r\n\r\n");
    h->plain_request = buf_over(&b) ? (Str){0} : arena_dup(&h->arena, buf_view(&b));
    buf_done(&b);
    return h->plain_request.len;
}

static void answer_reset(HttpCallHandle *h)
{
    buf_clear(&h->in);
    h->in.max = MIN(h->call.body_max, (u64)SIZE_MAX / 4) + ANSWER_HEAD_BYTES_MAX;
    h->plain_sent = h->plain_seen = h->plain_head = 0;
    h->chunked = (Chunked){0};
}

static void send_more(PlainConn *n);

static bool transfer_on(HttpCallHandle *h, PlainConn *n)
{
    if (!n)
        return false;
    answer_reset(h);
    n->call = h;
    h->plain = n;
    if (!n->is_connecting)
        send_more(n);
    return true;
}

bool plain_start(HttpCallHandle *h, Str token)
{
    Url u;
    if (url_parse(h->url_now, &u, NULL) != OK || !is_plain(h, &u))
        return false;
    PlainPeer *p = peer_get(h->client, &u);
    if (!p || !write_request(h, &u, token))
        return false;
    h->plain_is_again = false;
    PlainConn *n = conn_reuse(p);
    return transfer_on(h, n ? n : conn_open(h->client, p));
}

void plain_stop(HttpCallHandle *h)
{
    if (h->plain)
        conn_close(h->plain);
    h->plain = NULL;
}

/* libcurl does it all over: nothing has happened yet, or it is a GET. */
static void give_up(HttpCallHandle *h)
{
    plain_stop(h);
    buf_clear(&h->in);
    h->in.max = h->call.body_max;
    call_curl(h);
}

/* ---- the answer ---- */

static void finish(HttpCallHandle *h, bool keep_alive)
{
    PlainConn *n = h->plain;
    Str all = buf_view(&h->in);
    n->peer->usual = MIN(h->in.len, USUAL_MAX);
    if (call_follows(h, h->answer.status)) {
        n->peer->odd_until_ns = now_of(h->client) + ODD_NS;
        give_up(h);
        return;
    }
    h->plain = NULL;
    n->call = NULL;
    if (keep_alive && h->client->idle_len < IDLE_MAX)
        conn_keep(n);
    else
        conn_close(n);
    Str body = str_skip(all, h->plain_head);
    call_answered(h, h->answer.status, str_sub(all, 0, h->plain_head), body, body.len);
}

/* The connection ended, or broke with number. */
static void lost(PlainConn *n, int number)
{
    HttpCallHandle *h = n->call;
    PlainPeer *p = n->peer;
    char text[128];
    size_t have = h->in.len - h->plain_head;
    if (n->is_reused && !h->in.len && !h->plain_is_again) {
        plain_stop(h);
        h->plain_is_again = true;
        if (!transfer_on(h, conn_open(h->client, p)))
            give_up(h);
    } else if (number) {
        call_fail(h, E_IO, "%s", strerror_r(number, text, sizeof text));
    } else if (!h->plain_head) {
        call_fail(h, E_IO, h->in.len ? "the answer ends within its head" : "Empty reply from server");
    } else if (h->answer.frame == BODY_TO_END) {
        finish(h, false);
    } else if (h->answer.frame == BODY_LENGTH) {
        call_fail(h, E_IO, "transfer closed with %llu bytes remaining to read",
                  (unsigned long long)(h->answer.length - have));
    } else {
        call_fail(h, E_IO, "transfer closed with outstanding read data remaining");
    }
}

/* What came of the body lies behind `len` bytes of h->in. True: the call has ended. */
static bool take_body(HttpCallHandle *h, Str piece)
{
    bool keep_alive = h->answer.keep_alive, is_whole = h->answer.frame == BODY_NONE;
    if (h->answer.frame == BODY_CHUNKED) {
        Str data;
        ChunkedResult r;
        while ((r = chunked_next(&h->chunked, &piece, &data)) == CHUNKED_DATA) {
            memmove(h->in.at + h->in.len, data.at, data.len);
            h->in.len += data.len;
        }
        if (r == CHUNKED_BAD) {
            call_fail(h, E_IO, "the answer's chunks are malformed");
            return true;
        }
        is_whole = r == CHUNKED_END;
        keep_alive &= !piece.len;
    } else if (!is_whole) {
        size_t n = piece.len;
        if (h->answer.frame == BODY_LENGTH) {
            u64 left = h->answer.length - (h->in.len - h->plain_head);
            keep_alive &= n <= left;
            n = (size_t)MIN((u64)n, left);
            is_whole = n == left;
        }
        h->in.len += n;
    } else {
        keep_alive &= !piece.len;
    }
    h->too_large = h->in.len - h->plain_head > h->call.body_max ||
                   (h->answer.frame == BODY_LENGTH && h->answer.length > h->call.body_max);
    h->no_memory = !call_charge(h, h->in.cap);
    if (h->too_large || h->no_memory) {
        call_spoiled(h);
        return true;
    }
    if (is_whole)
        finish(h, keep_alive);
    return is_whole;
}

/* n more bytes lie behind h->in. True: the call has ended. */
static bool take(HttpCallHandle *h, size_t n)
{
    if (h->plain_head)
        return take_body(h, str_of(h->in.at + h->in.len, n));
    h->in.len += n;
    for (;;) {
        const char *why = NULL;
        int head = answer_head(buf_view(&h->in), &h->plain_seen, &h->answer, &why);
        if (head < 0) {
            call_fail(h, head == -1 ? E_INVALID : E_IO, "%s", why);
            return true;
        }
        if (head == 0)
            return false;
        if (h->answer.status >= 200) {
            Str piece = str_skip(buf_view(&h->in), (size_t)head);
            h->plain_head = h->in.len = (size_t)head;
            return take_body(h, piece);
        }
        buf_drop(&h->in, (size_t)head); /* 100 Continue and the like */
        h->plain_seen = 0;
    }
}

/* Room for the next piece; what is said to come is believed only as far as it is affordable. */
static bool make_room(HttpCallHandle *h)
{
    size_t want = READ_MIN;
    if (!h->in.len)
        want = MAX(want, h->plain->peer->usual + 512);
    else if (h->plain_head && h->answer.frame == BODY_LENGTH)
        want = (size_t)MIN(h->answer.length - (h->in.len - h->plain_head), (u64)MAX(h->in.len, USUAL_MAX));
    else if (h->in.cap > h->in.len)
        want = 1;
    return buf_reserve(&h->in, MIN(want, h->in.max - h->in.len));
}

/* Wakes us when all of it is there, not with each piece. */
static void wait_for_all(PlainConn *n)
{
    HttpCallHandle *h = n->call;
    if (!h->plain_head || h->answer.frame != BODY_LENGTH)
        return;
    int want = (int)MIN(h->answer.length - (h->in.len - h->plain_head), 65536u);
    if (want != n->low_water)
        setsockopt(n->fd, SOL_SOCKET, SO_RCVLOWAT, &want, sizeof want);
    n->low_water = want;
}

static void receive(PlainConn *n)
{
    HttpCallHandle *h = n->call;
    for (;;) {
        if (h->in.len == h->in.max || !make_room(h)) {
            h->too_large = true;
            call_spoiled(h);
            return;
        }
        size_t room = h->in.cap - h->in.len;
        ssize_t k = recv(n->fd, h->in.at + h->in.len, room, 0);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (k <= 0) {
            lost(n, k < 0 ? errno : 0);
            return;
        }
        if (take(h, (size_t)k))
            return;
        if ((size_t)k < room)
            break;
    }
    wait_for_all(n);
}

static void send_more(PlainConn *n)
{
    HttpCallHandle *h = n->call;
    Str rest = str_skip(h->plain_request, h->plain_sent);
    ssize_t k = send(n->fd, rest.at, rest.len, MSG_NOSIGNAL);
    if (k < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        lost(n, errno);
        return;
    }
    h->plain_sent += k > 0 ? (size_t)k : 0;
    loop_fd_set(n->watch, h->plain_sent < h->plain_request.len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static bool connected(PlainConn *n)
{
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(n->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err)
        return false;
    n->is_connecting = false;
    return true;
}

static void on_ready(void *arg, int events)
{
    PlainConn *n = arg;
    HttpCallHandle *h = n->call;
    if (!h) { /* idle: it ends, or the server talks out of turn */
        conn_close(n);
        return;
    }
    if (n->is_connecting) {
        if (!connected(n)) {
            n->peer->known_until_ns = n->peer->known_until_ns == INT64_MAX ? INT64_MAX : 0;
            give_up(h);
            return;
        }
        send_more(n);
        return;
    }
    if (events & LOOP_WRITE) {
        send_more(n);
        return; /* what can be read will be told again */
    }
    receive(n);
}

/* ---- the end ---- */

/* Old connections end, peers nobody asks any more are forgotten. */
static void on_sweep(void *arg)
{
    HttpClient *c = arg;
    StrMapSlot *slot;
    VEC(Str) gone = {0};
    i64 now = now_of(c);
    for (size_t i = 0; (slot = strmap_next(&c->peers, &i));) {
        PlainPeer *p = slot->value;
        for (PlainConn *n = p->idle, *next; n; n = next) {
            next = n->next;
            if (now - n->idle_since_ns > IDLE_NS)
                conn_close(n);
        }
        if (!p->conns && now - p->used_ns > IDLE_NS)
            vec_push(&gone, mem_dup(slot->key));
    }
    for (size_t i = 0; i < gone.len; i++) {
        mem_free(strmap_del(&c->peers, gone.at[i]));
        mem_free((void *)gone.at[i].at);
    }
    vec_done(&gone);
    if (c->peers.len)
        timer_start_in_ms(c->loop, &c->sweep, SWEEP_MS);
}

void plain_init(HttpClient *c)
{
    timer_init(&c->sweep, on_sweep, c);
}

void plain_done(HttpClient *c)
{
    StrMapSlot *slot;
    timer_stop(c->loop, &c->sweep);
    for (size_t i = 0; (slot = strmap_next(&c->peers, &i));) {
        PlainPeer *p = slot->value;
        while (p->idle)
            conn_close(p->idle);
        check(!p->conns);
        mem_free(p);
    }
    strmap_done(&c->peers);
}
