/* net: URLs, the HTTP server with its route table, the HTTP client. Knows no product: modules register routes.
 *
 * Server. One loop thread owns the connections of a listener (more loops: later, by SO_REUSEPORT). The head
 * (<= 32 KiB) is buffered and scanned once for what llhttp lets pass, then parsed by llhttp in strict mode. A route
 * says who may call it, how large a body may be, and where its handler runs. Handlers run on pool threads and may
 * block; RUN_LOOP handlers must not. A request's arena, headers, parameters and body live until the handler returns;
 * a handler must answer before it returns (none = 500).
 *
 * Over a limit the server answers by itself: 408 slow head or body, 413 body, 414/431 head, 503 + Retry-After when a
 * pool queue or the connection limit is full, 415 for content codings and 501 for transfer codings it does not know.
 */
#pragma once
#include "base/base.h"
#include "text/text.h"

/* ---- URLs (url.c) ---- */
typedef struct Url {
    Str scheme, userinfo, host, path, query, fragment; /* host without brackets; path "" or starting with /;
                                                        * userinfo, query, fragment: at NULL when absent */
    u16 port;                                          /* the scheme's default when absent */
    bool has_port;
} Url;
Err url_parse(Str text, Url *ret, Why *why); /* borrows text; http, https (others accepted, port 0) */
/* user:xxxxx@, as Go prints it; Discord webhook tokens hidden too. */
void url_print_redacted(Buf *out, Str url);

/* ---- requests ---- */
typedef struct HttpServer HttpServer;
typedef struct HttpHeader {
    Str name, value; /* value trimmed */
} HttpHeader;
typedef struct HttpParam {
    Str name, value; /* unescaped */
} HttpParam;

/* Who is asking, as the authenticator found out; and what a route demands at least. Where there is an authenticator, ROLE_NONE
 * means any credentials, and the same goes for paths and methods that are not there (as with Prometheus's web.config.file). */
typedef enum HttpRole { ROLE_NONE, ROLE_READ, ROLE_WRITE, ROLE_ADMIN } HttpRole;
typedef struct Principal {
    Str user;   /* empty = anonymous */
    Str tenant; /* empty = the protocol's default tenant */
    HttpRole role;
    bool is_authenticated;
} Principal;

typedef struct HttpReq {
    Str method, path, query; /* path is canonical and unescaped; raw query */
    Str raw_target;
    Str remote; /* "127.0.0.1:40000" */
    bool remote_is_loopback;
    const HttpHeader *headers;
    u32 headers_len;
    /* Form body (application/x-www-form-urlencoded; POST, PUT, PATCH), then query string, as Go. */
    const HttpParam *params;
    u32 params_len;
    Str path_args[4]; /* what {name} and * parts of the route's path matched, unescaped */
    Str body;         /* decoded (Content-Encoding undone); raw when the route says BODY_RAW */
    Principal principal;
    Arena *arena;
    Cancel *cancel; /* set when the client is gone or the server stops */
    Clock *clock;
    i64 start_ns; /* mono: when it arrived; it may have waited for a pool thread since */
    void *server_private;
} HttpReq;

Str http_header(const HttpReq *r, Str name); /* first, any case; empty when absent */
Str http_param(const HttpReq *r, Str name);  /* first; empty when absent */
bool http_has_param(const HttpReq *r, Str name);
/* E.g. match[]; returns how many there are. */
u32 http_params_all(const HttpReq *r, Str name, Str *ret, u32 max);

/* ---- answers ---- */
/* Whole answer at once. Headers beyond these: http_add_header before. */
void http_reply(HttpReq *r, int status, const char *content_type, Str body);
void http_add_header(HttpReq *r, Str name, Str value);
void http_reply_text(HttpReq *r, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Streaming: chunked (or gzip, when the client takes it). http_write gathers small writes, blocks while the client is
 * slow and returns false once it is gone; http_flush sends what was gathered now. */
void http_begin(HttpReq *r, int status, const char *content_type);
bool http_write(HttpReq *r, Str bytes);
bool http_flush(HttpReq *r);
void http_end(HttpReq *r);

/* ---- routes ---- */
typedef void (*HttpHandler)(HttpReq *r, void *arg);
typedef enum HttpRun { RUN_LOOP, RUN_QUERY, RUN_INGEST, RUN_ADMIN } HttpRun; /* which pool */
typedef enum HttpTenantRule { TENANT_NONE, TENANT_READ, TENANT_WRITE } HttpTenantRule;
enum { BODY_RAW = 1 /* do not undo Content-Encoding */ };
typedef struct HttpRoute {
    const char *methods; /* "GET" (HEAD comes with it), "GET,POST" ... */
    const char *path;    /* "/api/v1/query", "/api/v1/label/{}/values", "/static/" + "*" = the rest */
    HttpHandler handler;
    void *arg;
    HttpRole role;
    HttpTenantRule tenant;
    HttpRun run;
    u32 flags;
    u64 body_max; /* decoded bytes; 0 = no body allowed */
} HttpRoute;

/* ---- server ---- */
typedef struct Authenticator Authenticator;
struct Authenticator {
    /* Called on a pool thread (bcrypt is slow). OK fills ret. E_UNAUTHORIZED -> 401 with `challenge`. */
    Err (*check)(Authenticator *a, const HttpReq *r, Principal *ret, Why *why);
    const char *challenge; /* WWW-Authenticate value */
};

typedef struct HttpServerConfig {
    Loop *loop;
    const char *component;  /* "web": log component and metric label */
    const char *metrics_of; /* what its http metrics begin with; NULL = "prometheus" */
    Str address;            /* "127.0.0.1:9090", "[::1]:0", ":9090" */
    Str route_prefix;       /* "" or "/prometheus": also answers under it */
    Authenticator *auth;    /* NULL = everyone is ROLE_ADMIN */
    Pool *pools[4];      /* by HttpRun; RUN_LOOP unused. NULL = E_BUSY never, run on the loop (tests only) */
    u32 connections_max; /* 0 = 512, as Prometheus */
    u64 request_memory_max; /* per request arena and body; 0 = 64 MiB */
    Account *account;
    /* 0 = 10 s, 30 s, 5 min, 60 s. */
    i64 head_timeout_ms, body_idle_timeout_ms, idle_timeout_ms, write_timeout_ms;
    Str tls_cert_file, tls_key_file, tls_client_ca_file; /* empty = plain; reloaded when files change */
    Str tls_client_auth_type; /* Go's names; empty = RequireAndVerifyClientCert when there is a client CA */
    const char *tls_min_version;     /* "TLS12" (default), "TLS13" */
    const HttpHeader *extra_headers; /* on every answer (web.config.file's http_server_config.headers) */
    u32 extra_headers_len;
} HttpServerConfig;

Err http_server_new(const HttpServerConfig *c, HttpServer **ret, Why *why); /* bound, not accepting yet */
/* Routes are copied. Exact paths win over patterns, patterns over rests. Registering one twice aborts. */
void http_server_route(HttpServer *s, const HttpRoute *routes, u32 n);
/* Answers when no route fits (single-page UI); without it 404. */
void http_server_fallback(HttpServer *s, const HttpRoute *route);
void http_server_start(HttpServer *s);
Str http_server_address(const HttpServer *s); /* as bound: "127.0.0.1:41234" */
/* Both turn the loop themselves until they are done: call them after loop_run has returned, not from a callback. */
void http_server_drain(HttpServer *s, i64 timeout_ms); /* no new connections; waits for requests in flight */
void http_server_free(HttpServer *s); /* cancels what is in flight and waits for its handlers */

/* ---- client (client.c; plain.c: GET over http on kept connections; libcurl on the loop for the rest) ---- */
/* Prometheus's http_config, tls_config and friends. Strings are owned by the configuration they came from. */
typedef struct TlsConfig {
    Str ca, ca_file, cert, cert_file, key_file, server_name, min_version, max_version;
    Secret key;
    bool insecure_skip_verify;
} TlsConfig;
typedef struct HttpClientConfig {
    Str basic_username, basic_username_file, basic_password_file;
    Secret basic_password;
    Str auth_type, auth_credentials_file; /* type default "Bearer" when credentials are given */
    Secret auth_credentials;
    struct {
        Str client_id, client_secret_file, token_url;
        Secret client_secret;
        const Str *scopes;
        u32 scopes_len;
        const HttpHeader *endpoint_params;
        u32 endpoint_params_len;
    } oauth2; /* token_url empty = off */
    TlsConfig tls;
    Str proxy_url, no_proxy;
    bool proxy_from_environment;
    bool no_follow_redirects;  /* follow_redirects: false */
    bool no_http2;             /* enable_http2: false */
    const HttpHeader *headers; /* http_headers values (files and secrets already read) */
    u32 headers_len;
} HttpClientConfig;

typedef enum Egress {
    EGRESS_CONFIGURED, /* the operator wrote the URL: follow http_config */
    /* The URL came through an API: resolve, check, connect to the checked public address, no redirects. */
    EGRESS_STRICT,
} Egress;

typedef struct HttpClient HttpClient; /* all connections of one loop */
HttpClient *http_client_new(Loop *loop, Account *account);
void http_client_free(HttpClient *c); /* cancels what is running: each done is called with E_CANCELED */

typedef struct HttpCall {
    const HttpClientConfig *config; /* NULL = defaults; must live until done */
    Egress egress;
    Str method, url;
    const HttpHeader *headers; /* copied */
    u32 headers_len;
    Str body;                /* must live until done */
    i64 timeout_ms;          /* whole call; 0 = 30 s */
    u64 body_max;            /* of the answer, decoded; 0 = 16 MiB; more is E_TOO_LARGE */
    bool no_accept_encoding; /* default asks for gzip */
    Str unix_socket;         /* connect here instead of the host */
} HttpCall;
typedef struct HttpResult {
    Err err; /* OK = an answer arrived, whatever its status */
    Why why; /* never contains credentials or the URL's userinfo */
    int status;
    Str body;
    const HttpHeader *headers;
    u32 headers_len;
    i64 elapsed_ns;
    u64 body_wire_bytes;
    Buf *body_buf; /* the client's: where the body lies; NULL = nowhere it can be taken from */
} HttpResult;      /* valid during done */
typedef struct HttpCallHandle HttpCallHandle;
/* Asynchronous: done is called on the loop's thread, exactly once, never from inside this call. From any thread. */
HttpCallHandle *http_send(HttpClient *c, const HttpCall *call, void (*done)(void *arg, const HttpResult *r),
                          void *arg);
/* done will be called with E_CANCELED soon. Only on the loop's thread and before done. */
void http_cancel(HttpClient *c, HttpCallHandle *h);
Str http_result_header(const HttpResult *r, Str name);
/* During done, once, as the last use of r: the body becomes the caller's, moved where that is possible. ret_buf is uninitialised
 * and must be given back with buf_done; ret_body lies in it. */
void http_result_take(const HttpResult *r, Buf *ret_buf, Str *ret_body);
/* Blocking, for pool threads (never on the loop, which must be running). ret's body and headers point into arena. */
Err http_call(HttpClient *c, const HttpCall *call, Arena *arena, HttpResult *ret);

/* ---- content codings (coding.c): bounded, for bodies ---- */
typedef enum Coding {
    CODING_IDENTITY,
    CODING_GZIP,
    CODING_DEFLATE,
    CODING_ZSTD,
    CODING_SNAPPY_FRAMED
} Coding;
/* E_TOO_LARGE at out's max, before allocating more. */
Err coding_decode(Coding c, Str in, Buf *out, Why *why);
void coding_gzip(Str in, int level, Buf *out); /* over when it does not fit */
