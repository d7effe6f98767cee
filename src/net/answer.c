/* What handlers call: whole answers, streamed answers, compression on the way. */
#include "net/server.h"
#include <stdio.h>
#include <time.h>
#include <zlib.h>

const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Entity";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 499:
        return "Client Closed Request";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    case 507:
        return "Insufficient Storage";
    default:
        return "Status";
    }
}

/* ---- compression of streamed answers ---- */

struct GzipStream {
    z_stream z;
};

static GzipStream *gzip_start(void)
{
    GzipStream *g = mem_new(GzipStream);
    check(deflateInit2(&g->z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    return g;
}

static void gzip_stop(Req *r)
{
    if (!r->gzip)
        return;
    deflateEnd(&r->gzip->z);
    mem_free(r->gzip);
    r->gzip = NULL;
}

/* ---- the queue to the loop ---- */

static void on_kick(void *arg)
{
    Req *r = arg;
    mutex_lock(&r->mutex);
    r->kicked = false;
    mutex_unlock(&r->mutex);
    Conn *c = r->conn;
    if (!c->is_closed)
        conn_pump(c);
    conn_settle(c);
}

/* Frames bytes as one chunk where the answer is chunked. Waits while the queue is full (never on the loop). */
static bool out_put(Req *r, Str bytes, bool is_last)
{
    bool kick = false, ok;
    mutex_lock(&r->mutex);
    while (!r->gone && !r->is_on_loop && r->out.len >= OUT_QUEUE_BYTES)
        cond_wait(&r->can_write, &r->mutex);
    ok = !r->gone;
    if (ok && !r->no_body) {
        if (r->is_chunked_out && bytes.len)
            buf_printf(&r->out, "%zx\r\n", bytes.len);
        buf_str(&r->out, bytes);
        if (r->is_chunked_out && bytes.len)
            buf_str(&r->out, S("\r\n"));
        if (r->is_chunked_out && is_last)
            buf_str(&r->out, S("0\r\n\r\n"));
        kick = !r->is_on_loop && !r->kicked && !is_last;
        r->kicked |= kick;
        r->is_shared |= !r->is_on_loop;
    }
    mutex_unlock(&r->mutex);
    if (kick)
        loop_post(r->server->c.loop, on_kick, r);
    return ok;
}

static bool put_compressed(Req *r, Str bytes, int flush)
{
    z_stream *z = &r->gzip->z;
    u8 piece[STAGE_BYTES];
    z->next_in = (Bytef *)bytes.at;
    z->avail_in = (uInt)bytes.len;
    bool ok = true;
    int e;
    do {
        z->next_out = piece;
        z->avail_out = sizeof piece;
        e = deflate(z, flush);
        size_t n = sizeof piece - z->avail_out;
        if (n || flush == Z_FINISH)
            ok = out_put(r, str_of((char *)piece, n), flush == Z_FINISH && e == Z_STREAM_END);
    } while (ok && (flush == Z_FINISH ? e != Z_STREAM_END : z->avail_out == 0));
    return ok;
}

static bool put_pieces(Req *r, Str bytes, int flush)
{
    bool ok = true;
    do {
        Str piece = str_sub(bytes, 0, 65536);
        bytes = str_skip(bytes, piece.len);
        bool is_last = flush == Z_FINISH && bytes.len == 0;
        if (r->gzip)
            ok = put_compressed(r, piece, bytes.len ? Z_NO_FLUSH : flush);
        else if (piece.len || flush != Z_NO_FLUSH)
            ok = out_put(r, piece, is_last);
    } while (ok && bytes.len);
    return ok;
}

/* ---- heads ---- */

static Str http_date(Clock *clock)
{
    static _Thread_local i64 of_second = -1;
    static _Thread_local char text[40];
    i64 now = clock_wall_ns(clock) / NS_PER_SEC;
    if (now != of_second) {
        time_t t = (time_t)now;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        of_second = now;
    }
    return str_of(text, strlen(text));
}

enum { LENGTH_NONE = -1 };

static void put_u64(Buf *b, u64 v)
{
    char digits[20];
    u32 n = sizeof digits;
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_put(b, digits + n, sizeof digits - n);
}

static void put_head(Req *r, const char *content_type, i64 length)
{
    Buf *b = &r->out;
    if (r->server->is_draining)
        r->keep_alive = false;
    buf_str(b, S("HTTP/1.1 "));
    put_u64(b, (u64)r->status);
    buf_char(b, ' ');
    buf_c(b, status_text(r->status));
    if (content_type && content_type[0]) {
        buf_str(b, S("\r\nContent-Type: "));
        buf_c(b, content_type);
    }
    buf_str(b, S("\r\nDate: "));
    buf_str(b, http_date(r->server->clock));
    if (length >= 0) {
        buf_str(b, S("\r\nContent-Length: "));
        put_u64(b, (u64)length);
    } else if (r->is_chunked_out) {
        buf_str(b, S("\r\nTransfer-Encoding: chunked"));
    }
    if (!r->keep_alive)
        buf_str(b, S("\r\nConnection: close"));
    else if (r->head.is_http10)
        buf_str(b, S("\r\nConnection: keep-alive"));
    buf_str(b, S("\r\n"));
    buf_str(b, buf_view(&r->server->extra));
    buf_str(b, buf_view(&r->added));
    buf_str(b, S("\r\n"));
}

static bool is_compressible(const char *type)
{
    Str t = str_c(type);
    return str_starts(t, S("text/")) || str_starts(t, S("application/json")) ||
           str_starts(t, S("application/javascript")) || str_starts(t, S("application/openmetrics")) ||
           str_starts(t, S("application/x-yaml")) || str_starts(t, S("application/yaml")) ||
           str_starts(t, S("image/svg")) || str_starts(t, S("application/vnd.google.protobuf"));
}

static void begin(Req *r, int status)
{
    check(!r->is_begun); /* a handler answers once */
    r->is_begun = true;
    r->status = status;
    r->no_body = r->head.method_bit == METHOD_HEAD || status == 204 || status == 304 || status < 200;
}

void http_add_header(HttpReq *p, Str name, Str value)
{
    Req *r = p->server_private;
    check(!r->is_begun);
    if (str_eq_nocase(name, S("content-encoding")))
        r->has_coding = true;
    buf_str(&r->added, name);
    buf_str(&r->added, S(": "));
    size_t from = r->added.len;
    buf_str(&r->added, value);
    for (size_t i = from; i < r->added.len; i++)
        if ((u8)r->added.at[i] < 0x20 || r->added.at[i] == 0x7f)
            r->added.at[i] = ' '; /* a value that came from outside cannot start another header */
    buf_str(&r->added, S("\r\n"));
}

static void note_gzip(Req *r)
{
    http_add_header(&r->pub, S("Content-Encoding"), S("gzip"));
    http_add_header(&r->pub, S("Vary"), S("Accept-Encoding"));
}

void http_reply(HttpReq *p, int status, const char *content_type, Str body)
{
    Req *r = p->server_private;
    bool compress = r->head.accepts_gzip && !r->has_coding && body.len >= GZIP_MIN_BYTES && content_type &&
                    is_compressible(content_type) && status != 206;
    Buf packed = {0};
    if (compress) {
        buf_init(&packed, body.len); /* what grows is sent as it is */
        coding_gzip(body, 1, &packed);
        compress = !buf_over(&packed);
        if (compress)
            note_gzip(r);
    }
    begin(r, status);
    Str send = compress ? buf_view(&packed) : body;
    bool has_length = status != 204 && status != 304 && status >= 200;
    put_head(r, content_type, has_length ? (i64)send.len : LENGTH_NONE);
    r->body_bytes = send.len;
    if (!r->no_body) {
        if (send.len <= REPLY_COPY_MAX || r->is_on_loop) {
            buf_str(&r->out, send);
        } else {
            r->is_streaming = true;
            put_pieces(r, send, Z_FINISH);
        }
    }
    r->is_ended = true;
    buf_done(&packed);
}

void http_reply_text(HttpReq *p, int status, const char *fmt, ...)
{
    Buf b;
    buf_init(&b, 65536);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    http_reply(p, status, "text/plain; charset=utf-8", buf_view(&b));
    buf_done(&b);
}

void http_begin(HttpReq *p, int status, const char *content_type)
{
    Req *r = p->server_private;
    bool compress = r->head.accepts_gzip && !r->has_coding && content_type && is_compressible(content_type) &&
                    r->head.method_bit != METHOD_HEAD && status != 204 && status != 304 && status != 206;
    if (compress) {
        note_gzip(r);
        r->gzip = gzip_start();
    }
    begin(r, status);
    r->is_streaming = true;
    r->is_chunked_out = !r->head.is_http10 && !r->no_body;
    if (r->head.is_http10 && !r->no_body)
        r->keep_alive = false; /* the end of the connection is the end of the body */
    put_head(r, content_type, LENGTH_NONE);
}

bool http_write(HttpReq *p, Str bytes)
{
    Req *r = p->server_private;
    check(r->is_begun && !r->is_ended);
    r->body_bytes += bytes.len;
    if (r->no_body)
        return true;
    if (r->stage.len + bytes.len < STAGE_BYTES) {
        buf_str(&r->stage, bytes);
        return true;
    }
    bool ok = r->stage.len == 0 || put_pieces(r, buf_view(&r->stage), Z_NO_FLUSH);
    buf_clear(&r->stage);
    if (ok && bytes.len >= STAGE_BYTES)
        ok = put_pieces(r, bytes, Z_NO_FLUSH);
    else
        buf_str(&r->stage, bytes);
    return ok;
}

bool http_flush(HttpReq *p)
{
    Req *r = p->server_private;
    check(r->is_begun && !r->is_ended);
    if (r->no_body)
        return true;
    bool ok = put_pieces(r, buf_view(&r->stage), Z_SYNC_FLUSH);
    buf_clear(&r->stage);
    return ok;
}

void http_end(HttpReq *p)
{
    Req *r = p->server_private;
    check(r->is_begun && !r->is_ended);
    r->is_ended = true;
    if (!r->no_body)
        put_pieces(r, buf_view(&r->stage), Z_FINISH);
    buf_clear(&r->stage);
    gzip_stop(r);
}

void answer_error(Req *r, int status, const char *why)
{
    if (status == 503 || status == 429)
        http_add_header(&r->pub, S("Retry-After"), S("1"));
    http_reply_text(&r->pub, status, "%s\n", why);
}

void answer_finish(Req *r)
{
    if (!r->is_begun)
        answer_error(r, 500, "the handler gave no answer");
    else if (!r->is_ended)
        http_end(&r->pub);
    gzip_stop(r);
    mutex_lock(&r->mutex);
    if (buf_over(&r->out)) {
        r->keep_alive = false; /* cut off rather than framed wrongly */
        r->gone = true;
    }
    mutex_unlock(&r->mutex);
    f64 seconds = (f64)(clock_mono_ns(r->server->clock) - r->start_ns) / 1e9;
    route_count(&r->server->routes, r->route ? r->route : &r->server->routes.unmatched, r->status, seconds,
                r->body_bytes);
}
