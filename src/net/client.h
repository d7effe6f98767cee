/* Inside of the HTTP client: libcurl's multi interface on our loop. client.c carries bytes and time, client_setup.c turns
 * a configuration into curl options, oauth.c fetches and keeps tokens, egress.c judges addresses.
 *
 * A call's whole life: http_send copies it and posts a mail; the loop starts it (perhaps after fetching a token); curl
 * finishes a transfer; a redirect starts another one; finish_call calls done and frees it.
 */
#pragma once
#include "net/net.h"
#include <curl/curl.h>
#include <sys/socket.h>

enum {
    HEADERS_BYTES_MAX = 65536,
    REDIRECTS_MAX = 10, /* as Go */
    EASY_KEPT = 8,      /* each keeps its read buffer */
    CLIENT_FILE_BYTES_MAX = 1 << 20,
};

typedef struct Token Token;

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
    Token *token; /* being waited for */
    Timer timer;
    i64 start_ns;
    bool too_large, no_memory, egress_refused;
    char error[CURL_ERROR_SIZE];
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
};

/* client.c */
void call_transfer(HttpCallHandle *h, Str token); /* token empty = none is needed */
void call_fail(HttpCallHandle *h, Err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* client_setup.c */
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
