/* One connection: bytes in, bytes out, and how long each may take. */
#include "net/server.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IO_AGAIN = -1, IO_ERROR = -2, READS_PER_TURN = 8 };

/* ---- the socket, plain or TLS ---- */

/* The error queue is the thread's, and libcurl uses it too: it must be empty before each call for SSL_get_error to tell
 * the truth. */
static ssize_t ssl_result(Conn *c, int n)
{
    int e = SSL_get_error(c->ssl, n);
    if (e == SSL_ERROR_WANT_READ)
        return IO_AGAIN;
    if (e == SSL_ERROR_WANT_WRITE) {
        c->want_write_to_read = true;
        return IO_AGAIN;
    }
    return e == SSL_ERROR_ZERO_RETURN ? 0 : IO_ERROR;
}

static ssize_t conn_recv(Conn *c, char *at, size_t n)
{
    if (c->ssl && c->state != CONN_LINGER) {
        c->want_write_to_read = false;
        ERR_clear_error();
        int r = SSL_read(c->ssl, at, (int)n);
        return r > 0 ? r : ssl_result(c, r);
    }
    ssize_t r;
    do
        r = recv(c->fd, at, n, 0);
    while (r < 0 && errno == EINTR);
    return r >= 0 ? r : errno == EAGAIN ? IO_AGAIN : IO_ERROR;
}

static ssize_t conn_send(Conn *c, const char *at, size_t n)
{
    if (c->ssl) {
        ERR_clear_error();
        int r = SSL_write(c->ssl, at, (int)MIN(n, (size_t)1 << 20));
        if (r > 0)
            return r;
        ssize_t e = ssl_result(c, r);
        return e == 0 ? IO_ERROR : e;
    }
    ssize_t r;
    do
        r = send(c->fd, at, n, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r >= 0 ? r : errno == EAGAIN ? IO_AGAIN : IO_ERROR;
}

/* ---- time ---- */

void conn_set_deadline(Conn *c, i64 ms)
{
    if (ms == 0) {
        c->deadline_ns = 0;
        return;
    }
    c->deadline_ns = clock_mono_ns(c->server->clock) + ms * NS_PER_MS;
    if (!timer_is_started(&c->timer) || c->timer.at_mono_ns > c->deadline_ns)
        timer_start(c->server->c.loop, &c->timer, c->deadline_ns);
}

/* The timer is left where it is when the deadline moves on; it looks again when it fires. */
static void on_timer(void *arg)
{
    Conn *c = arg;
    HttpServer *s = c->server;
    if (c->deadline_ns == 0)
        return;
    if (clock_mono_ns(s->clock) < c->deadline_ns) {
        timer_start(s->c.loop, &c->timer, c->deadline_ns);
        return;
    }
    c->deadline_ns = 0;
    if (c->wrote < c->writing.len)
        conn_close(c);
    else if (c->state == CONN_HEAD && c->scan.at > 0)
        req_refuse(c, 408, "the head of the request took too long");
    else if (c->state == CONN_BODY)
        req_refuse(c, 408, "the body of the request took too long");
    else if (c->state != CONN_RUN && c->state != CONN_AUTH)
        conn_close(c);
    conn_settle(c);
}

/* ---- closing ---- */

void conn_close(Conn *c)
{
    if (c->is_closed)
        return;
    c->is_closed = true;
    loop_fd_del(c->watch);
    timer_stop(c->server->c.loop, &c->timer);
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    Req *r = c->req;
    if (!r)
        return;
    bool is_away = (c->state == CONN_RUN || c->state == CONN_AUTH) && !r->is_finished && !r->is_on_loop;
    if (!is_away) {
        c->req = NULL;
        req_release(r);
        return;
    }
    cancel_set(&r->cancel);
    mutex_lock(&r->mutex);
    r->gone = true;
    cond_broadcast(&r->can_write);
    mutex_unlock(&r->mutex);
}

/* Closing with unread bytes in the kernel would reset the connection and could take the answer with it: say that we
 * are done, and read on for a moment. */
static void start_lingering(Conn *c)
{
    if (c->eof) {
        conn_close(c);
        return;
    }
    if (c->ssl) {
        ERR_clear_error();
        SSL_shutdown(c->ssl);
    }
    shutdown(c->fd, SHUT_WR);
    c->state = CONN_LINGER;
    buf_clear(&c->in);
    conn_set_deadline(c, LINGER_MS);
}

static void conn_free(Conn *c)
{
    HttpServer *s = c->server;
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->conns_len--;
    if (s->connections)
        metric_add(s->connections, -1);
    buf_done(&c->in);
    buf_done(&c->writing);
    mem_free(c);
}

void conn_settle(Conn *c)
{
    bool is_out = c->wrote < c->writing.len;
    if (!c->is_closed && c->eof && c->state == CONN_HEAD && !is_out)
        conn_close(c);
    if (c->is_closed) {
        if (!c->req)
            conn_free(c);
        return;
    }
    if (c->in.len == 0 && c->in.at)
        buf_release(&c->in);
    bool is_ahead = c->state == CONN_RUN || c->state == CONN_AUTH;
    bool want_read = !c->eof && !(is_ahead && c->in.len >= PENDING_IN_MAX);
    loop_fd_set(c->watch, (want_read ? LOOP_READ : 0) | (is_out || c->want_write_to_read ? LOOP_WRITE : 0));
}

/* ---- out ---- */

static void request_done(Conn *c)
{
    Req *r = c->req;
    bool keep = r->keep_alive && !r->gone;
    c->req = NULL;
    Buf empty = c->writing; /* idle connections keep no memory */
    c->writing = (Buf){.max = SIZE_MAX};
    buf_done(&r->out);
    r->out = empty;
    c->wrote = 0;
    req_release(r);
    if (!keep) {
        start_lingering(c);
        return;
    }
    c->state = CONN_HEAD;
    conn_set_deadline(c, c->server->c.idle_timeout_ms);
}

/* Takes what the handler has queued so far; false when there is nothing. */
static bool take_queued(Conn *c)
{
    Req *r = c->req;
    buf_clear(&c->writing);
    c->wrote = 0;
    if (!r || (c->state != CONN_RUN && !r->is_finished))
        return false;
    mutex_lock(&r->mutex);
    if (r->is_shared || r->is_finished) {
        Buf t = r->out;
        r->out = c->writing;
        c->writing = t;
        r->out.max = t.max;
        cond_signal(&r->can_write);
    }
    mutex_unlock(&r->mutex);
    return c->writing.len > 0;
}

/* False when the client reads too slowly to be waited for: a handler's thread may hang on it. */
static bool note_blocked(Conn *c, size_t sent)
{
    i64 now = clock_mono_ns(c->server->clock), timeout_ms = c->server->c.write_timeout_ms;
    if (!c->blocked_since_ns) {
        c->blocked_since_ns = now;
        c->sent_since = 0;
    }
    c->sent_since += sent;
    if (sent || c->deadline_ns == 0)
        conn_set_deadline(c, timeout_ms);
    i64 blocked_ms = (now - c->blocked_since_ns) / NS_PER_MS;
    return blocked_ms <= timeout_ms || (i64)c->sent_since >= blocked_ms * OUT_BYTES_PER_S_MIN / MS_PER_SEC;
}

void conn_pump(Conn *c)
{
    while (!c->is_closed) {
        if (c->wrote == c->writing.len && !take_queued(c))
            break;
        size_t left = c->writing.len - c->wrote;
        ssize_t n = conn_send(c, c->writing.at + c->wrote, left);
        size_t sent = n > 0 ? (size_t)n : 0;
        c->wrote += sent;
        if (n == IO_ERROR || (sent < left && !note_blocked(c, sent))) {
            conn_close(c);
            return;
        }
        if (n == IO_AGAIN)
            return;
    }
    c->blocked_since_ns = 0;
    if (!c->is_closed && c->req && c->req->is_finished)
        request_done(c);
}

void conn_send_continue(Conn *c)
{
    buf_str(&c->writing, S("HTTP/1.1 100 Continue\r\n\r\n"));
    conn_pump(c);
}

/* ---- in ---- */

static size_t conn_consume(Conn *c, Str in)
{
    size_t used = 0;
    while (!c->is_closed) {
        Str rest = str_skip(in, used);
        if (c->state == CONN_BODY) {
            used += req_body_feed(c->req, rest);
            if (c->state == CONN_BODY)
                break;
            continue;
        }
        if (c->state != CONN_HEAD || rest.len == 0)
            break;
        bool is_first = c->scan.at == 0;
        const char *why = NULL;
        int n = head_scan(&c->scan, rest, &why);
        if (n == 0) {
            if (is_first)
                conn_set_deadline(c, c->server->c.head_timeout_ms);
            break;
        }
        u32 headers = c->scan.headers;
        c->scan = (HeadScan){0};
        if (n < 0) {
            req_refuse(c, -n, why);
            break;
        }
        used += (size_t)n;
        req_start(c, str_sub(rest, 0, (size_t)n), headers);
    }
    return c->is_closed || c->state == CONN_LINGER ? in.len : used;
}

static void conn_input(Conn *c, Str fresh)
{
    if (c->in.len == 0) {
        size_t used = conn_consume(c, fresh);
        buf_str(&c->in, str_skip(fresh, used));
        return;
    }
    buf_str(&c->in, fresh);
    /* consume may clear c->in when it starts to linger: what it used is measured against what is left. */
    size_t used = conn_consume(c, buf_view(&c->in));
    buf_drop(&c->in, MIN(used, c->in.len));
}

static void on_eof(Conn *c, bool is_error)
{
    if (is_error || c->state == CONN_TLS || c->state == CONN_BODY || c->state == CONN_LINGER) {
        conn_close(c);
        return;
    }
    c->eof = true;
    if (c->req)
        cancel_set(&c->req->cancel);
}

/* One read into where the state wants it; false when there is nothing more now. */
static bool read_once(Conn *c)
{
    HttpServer *s = c->server;
    char *to = s->scratch;
    size_t room = SCRATCH_BYTES;
    bool is_direct = false;
    check(c->state != CONN_BODY || c->req);
    if (c->state == CONN_BODY && !c->req->head.is_chunked && c->in.len == 0) {
        to = req_body_room(c->req, &room);
        if (!to)
            return false;
        is_direct = true;
    } else if (c->state == CONN_RUN || c->state == CONN_AUTH) {
        room = MIN(room, PENDING_IN_MAX - MIN(c->in.len, (size_t)PENDING_IN_MAX));
        if (room == 0)
            return false;
    }
    ssize_t n = conn_recv(c, to, room);
    if (n == IO_AGAIN)
        return false;
    if (n <= 0) {
        on_eof(c, n == IO_ERROR);
        return false;
    }
    if (is_direct) {
        req_body_arrived(c->req, (size_t)n);
    } else if (c->state == CONN_LINGER) {
        c->lingered += (u64)n;
        if (c->lingered > LINGER_BYTES_MAX)
            conn_close(c);
    } else if (c->state == CONN_RUN || c->state == CONN_AUTH) {
        buf_put(&c->in, to, (size_t)n);
    } else {
        conn_input(c, str_of(to, (size_t)n));
    }
    return !c->is_closed && ((size_t)n == room || c->ssl);
}

static void conn_read(Conn *c)
{
    for (u32 turn = 0; !c->is_closed && !c->eof; turn++) {
        if (!read_once(c))
            return;
        /* Bytes inside the TLS layer raise no event: read on. */
        if (turn >= READS_PER_TURN && (!c->ssl || !SSL_has_pending(c->ssl)))
            return;
    }
}

void conn_resume(Conn *c)
{
    if (!c->is_closed && c->in.len)
        conn_input(c, (Str){0});
    if (!c->is_closed && c->ssl && c->state != CONN_LINGER && SSL_has_pending(c->ssl))
        conn_read(c);
}

static void do_handshake(Conn *c)
{
    c->want_write_to_read = false;
    ERR_clear_error();
    int r = SSL_accept(c->ssl);
    if (r == 1) {
        c->state = CONN_HEAD;
        conn_read(c);
        return;
    }
    if (ssl_result(c, r) != IO_AGAIN)
        conn_close(c);
}

static void on_event(void *arg, int events)
{
    Conn *c = arg;
    if (c->state == CONN_TLS) {
        do_handshake(c);
    } else {
        if (events & LOOP_WRITE)
            conn_pump(c);
        if (!c->is_closed && (events & LOOP_READ || c->want_write_to_read))
            conn_read(c);
        if (events & LOOP_WRITE)
            conn_resume(c);
    }
    conn_settle(c);
}

void conn_new(HttpServer *s, int fd, const char *remote, bool is_loopback)
{
    Conn *c = mem_new(Conn);
    c->server = s;
    c->fd = fd;
    c->remote_is_loopback = is_loopback;
    snprintf(c->remote, sizeof c->remote, "%s", remote);
    buf_init(&c->in, PENDING_IN_MAX + SCRATCH_BYTES);
    c->writing = (Buf){.max = SIZE_MAX};
    timer_init(&c->timer, on_timer, c);
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    s->conns_len++;
    if (s->connections)
        metric_add(s->connections, 1);
    c->state = CONN_HEAD;
    if (s->tls) {
        c->state = CONN_TLS;
        c->ssl = tls_accept(s->tls, fd, s->clock);
    }
    c->watch = loop_fd_add(s->c.loop, fd, LOOP_READ, on_event, c);
    conn_set_deadline(c, s->c.head_timeout_ms);
    if (s->tls && !c->ssl) {
        conn_close(c);
        conn_settle(c);
    }
}
