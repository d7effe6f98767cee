/* Inside of the HTTP server: connections live on the loop's thread, requests travel to a pool thread and back.
 *
 * Reading order: head.h, route.h, this, conn.c (bytes in, bytes out), request.c (from head to handler), answer.c
 * (what handlers call), server.c (listening, limits, drain), tls.c.
 *
 * Who owns a Req: the loop until it is submitted, the pool thread until it posts req_finished (or req_authed), then the
 * loop again. Only `out`, `gone` and `kicked` are shared while a handler streams; they are under `mutex`.
 */
#pragma once
#include "net/route.h"
#include <openssl/types.h>
#include <stdatomic.h>

enum {
    SCRATCH_BYTES = 32768,
    PENDING_IN_MAX = HEAD_BYTES_MAX, /* read ahead while a handler runs */
    OUT_QUEUE_BYTES = 262144,        /* a streaming handler waits above this */
    REPLY_COPY_MAX = 1048576,        /* larger whole answers are streamed with back-pressure */
    STAGE_BYTES = 16384,
    GZIP_MIN_BYTES = 1400,
    LINGER_MS = 1000,
    LINGER_BYTES_MAX = 4 << 20,
    EARLY_AUTH_BODY_BYTES = 65536, /* larger bodies are read only from those who may send them */
    REQS_KEPT = 32,
    OUT_BYTES_PER_S_MIN = 1024, /* so is a client that reads an answer more slowly */
    BODY_BYTES_PER_S_MIN = 128, /* a body that comes slower than this on average is cut off */
};

typedef struct Conn Conn;
typedef struct Req Req;
typedef struct GzipStream GzipStream;
typedef struct TlsContexts TlsContexts;

struct Req {
    HttpReq pub; /* first: handlers get this */
    HttpServer *server;
    Conn *conn;
    Req *next_free;
    Arena arena;
    Head head;
    Route *route;
    Cancel cancel;
    Buf body;
    u64 charged;
    Chunked chunked;
    i64 start_ns;
    u32 params_cap;
    bool is_authed, is_finished, has_body;
    u32 allow;       /* without a route: methods that the path takes; 0 = no such path */
    int auth_status; /* of authentication before the body; 0 = may go on */
    char auth_why[256];

    /* the answer */
    Buf added; /* header lines */
    Buf stage; /* gathers small writes */
    GzipStream *gzip;
    u64 body_bytes;
    int status;
    bool keep_alive, is_begun, is_ended, is_chunked_out, is_streaming, no_body, has_coding, is_on_loop;

    Mutex mutex;
    Cond can_write;
    Buf out;
    bool gone, kicked, is_shared; /* shared: the handler has begun to stream, the loop may take from out */
};

typedef enum ConnState { CONN_TLS, CONN_HEAD, CONN_AUTH, CONN_BODY, CONN_RUN, CONN_LINGER } ConnState;
struct Conn {
    HttpServer *server;
    Conn *prev, *next;
    int fd;
    LoopFd *watch;
    SSL *ssl;
    ConnState state;
    bool is_closed, eof, want_write_to_read, remote_is_loopback;
    HeadScan scan;
    Buf in;      /* read, not yet understood */
    Buf writing; /* from wrote on, still to be sent */
    size_t wrote;
    Req *req; /* the request being read, run or answered */
    Timer timer;
    i64 deadline_ns;
    i64 body_start_ns;
    i64 blocked_since_ns; /* 0 = the client keeps up */
    u64 sent_since;
    u64 body_seen, lingered;
    char remote[56];
};

struct HttpServer {
    HttpServerConfig c;
    Clock *clock;
    Routes routes;
    int fd;
    LoopFd *watch;
    Timer accept_pause;
    char address[64];
    Conn *conns; /* list */
    u32 conns_len;
    u32 running; /* requests at pool threads */
    _Atomic bool is_draining;
    Req *free_reqs;
    u32 free_reqs_len;
    char *scratch;
    TlsContexts *tls;
    Buf extra; /* header lines on every answer */
    Metric *connections;
};

/* conn.c */
void conn_new(HttpServer *s, int fd, const char *remote, bool is_loopback);
void conn_close(Conn *c);                /* now; a running request is told */
void conn_settle(Conn *c);               /* last call of every entry from the loop; may free c */
void conn_pump(Conn *c);                 /* writes what there is */
void conn_set_deadline(Conn *c, i64 ms); /* 0 = none */
void conn_resume(Conn *c);               /* the state changed: go on with what was read ahead */
void conn_send_continue(Conn *c);

/* request.c */
void req_free(Req *r);
void req_release(Req *r);
void req_start(Conn *c, Str head, u32 headers);        /* a whole head arrived */
void req_refuse(Conn *c, int status, const char *why); /* answers and closes; c->req may be NULL */
size_t req_body_feed(Req *r, Str in);                  /* bytes used of in; may dispatch or refuse */
/* Where body bytes may be read straight into (Content-Length, no chunks): NULL when refused. */
char *req_body_room(Req *r, size_t *ret_room);
void req_body_arrived(Req *r, size_t n);

/* answer.c */
void answer_finish(Req *r); /* whatever the handler left undone; counts */
void answer_error(Req *r, int status, const char *why);
const char *status_text(int status);

/* holder.c */
bool port_holder(u16 port, char *ret, size_t cap); /* "prometheus (pid 123)" */

/* tls.c */
Err tls_contexts_new(const HttpServerConfig *c, TlsContexts **ret, Why *why);
void tls_contexts_free(TlsContexts *t);
SSL *tls_accept(TlsContexts *t, int fd, Clock *clock); /* reloads changed files first */
