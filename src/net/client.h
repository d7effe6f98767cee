/* Inside of the HTTP client: libcurl's multi interface on our loop. client.c carries bytes and time, client_setup.c turns
 * a configuration into curl options, plain.c does GET over http without curl, oauth.c fetches and keeps tokens, egress.c judges
 * addresses.
 *
 * A call's whole life: http_send copies it and posts a mail; the loop starts it (perhaps after fetching a token); plain.c or curl
 * finishes a transfer; a redirect starts another one; finish_call calls done and frees it.
 */
#pragma once
#include "net/head.h"
#include <curl/curl.h>
#include <sys/socket.h>

enum {
    HEADERS_BYTES_MAX = ANSWER_HEAD_BYTES_MAX,
    REDIRECTS_MAX = 10, /* as Go */
    EASY_KEPT = 8,      /* each keeps its read buffer */
    CLIENT_FILE_BYTES_MAX = 1 << 20,
};

typedef struct Token Token;
typedef struct PlainConn PlainConn;

struct HttpCallHandle {
    HttpClient *client;
    HttpCallHandle *prev, *next; /* all calls of the client */
    HttpCallHandle *next_waiter; /* for the same token */
    void (*done)(void *arg, const HttpResult *r);
    void *arg;

    HttpCall call; /* strings point into arena, body to the caller's */
    const HttpClientConfig *config;
    Arena arena;
    Url origin;  /* of the first URL: credentials go nowhere else */
    Str url_now; /* without userinfo */
    Str method_now;
    Str body_now;
    u32 redirects;
    bool is_started, is_done, is_running, is_canceled, off_origin;

    CURL *easy;
    struct curl_slist *header_list, *connect_to;
    Buf in, head;
    HttpHeader *headers;
    u32 headers_len;
    u64 charged;
    Token *token;   /* being waited for */
    Str token_text; /* of this transfer */
    Timer timer;
    i64 start_ns;
    bool too_large, no_memory, egress_refused;
    char error[CURL_ERROR_SIZE];

    /* plain.c; in holds head and body */
    PlainConn *plain;
    Str plain_request;
    size_t plain_sent, plain_seen, plain_head; /* head: its length, once it is whole */
    AnswerHead answer;
    Chunked chunked;
    bool plain_is_again;
    Buf decoded;
};

struct HttpClient {
    Loop *loop;
    Account *account;
    CURLM *multi;
    int timer_fd; /* curl's own timeouts are real time, whatever clock the loop has */
    LoopFd *timer_watch;
    Mutex mutex;
    HttpCallHandle *calls; /* under mutex */
    Token *tokens;
    CURL *kept[EASY_KEPT];
    u32 kept_len;
    u32 refs; /* under mutex: the owner, and one for each mail on its way */
    bool is_closed;
    StrMap peers; /* plain.c */
    u32 idle_len;
    Timer sweep;
};

/* client.c */
void call_transfer(HttpCallHandle *h, Str token); /* token empty = none is needed */
void call_fail(HttpCallHandle *h, Err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void call_curl(HttpCallHandle *h); /* the transfer through libcurl */
bool call_charge(HttpCallHandle *h, u64 bytes);
void call_spoiled(HttpCallHandle *h); /* ends it: too large, or no memory */
bool call_follows(const HttpCallHandle *h, int status);
/* A whole answer; head and body stay where they are until the call has ended. */
void call_answered(HttpCallHandle *h, int status, Str head, Str body, u64 wire_bytes);

/* plain.c */
void plain_init(HttpClient *c);
void plain_done(HttpClient *c);
bool plain_start(HttpCallHandle *h, Str token); /* false: it is not for us, nothing has happened */
void plain_stop(HttpCallHandle *h);
void plain_learn(HttpCallHandle *h); /* after libcurl's transfer: where the host is */

/* client_setup.c */
Err call_headers(HttpCallHandle *h, Str token, Why *why); /* fills h->header_list */
void call_drop_headers(HttpCallHandle *h);
Err call_prepare(HttpCallHandle *h, Str token, Why *why); /* sets every option of h->easy */

Err client_read_file(Arena *a, Str path, const char *what, bool trim, Str *ret, Why *why);
Str client_basic(Arena *a, Str user, Str password); /* "Basic ..." */

/* oauth.c */
/* True: *ret_token is good now. False: h waits and will be transferred or failed later. */
bool token_get(HttpCallHandle *h, Str *ret_token);
void token_forget_waiter(HttpCallHandle *h);
void tokens_free(HttpClient *c);

/* egress.c */
bool egress_is_public(const struct sockaddr *a);
