#include "net/client.h"
#include <signal.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { CALL_TIMEOUT_MS = 30000, CALL_BODY_MAX = 16 << 20, CALL_ARENA_BYTES = 8 << 20 };

static const HttpClientConfig no_config;

/* ---- results ---- */

static void unlink_call(HttpCallHandle *h)
{
    HttpClient *c = h->client;
    mutex_lock(&c->mutex);
    if (h->prev)
        h->prev->next = h->next;
    else
        c->calls = h->next;
    if (h->next)
        h->next->prev = h->prev;
    mutex_unlock(&c->mutex);
}

static void stop_transfer(HttpCallHandle *h)
{
    HttpClient *c = h->client;
    plain_stop(h);
    if (h->easy) {
        if (h->is_running)
            curl_multi_remove_handle(c->multi, h->easy);
        if (c->kept_len < EASY_KEPT && !c->is_closed) {
            curl_easy_reset(h->easy);
            c->kept[c->kept_len++] = h->easy;
        } else {
            curl_easy_cleanup(h->easy);
        }
    }
    h->easy = NULL;
    h->is_running = false;
    call_drop_headers(h);
    curl_slist_free_all(h->connect_to);
    h->connect_to = NULL;
}

static void client_unref(HttpClient *c)
{
    mutex_lock(&c->mutex);
    bool is_last = --c->refs == 0;
    mutex_unlock(&c->mutex);
    if (is_last) {
        mutex_done(&c->mutex);
        mem_free(c);
    }
}

static void free_call(HttpCallHandle *h)
{
    arena_done(&h->arena);
    mem_free(h);
}

/* Tells the caller; a call whose start is still in the mail is freed by it. */
static void finish_call(HttpCallHandle *h, HttpResult *r)
{
    HttpClient *c = h->client;
    timer_stop(c->loop, &h->timer);
    if (h->token)
        token_forget_waiter(h);
    r->elapsed_ns = clock_mono_ns(loop_clock(c->loop)) - h->start_ns;
    h->is_done = true;
    unlink_call(h);
    stop_transfer(h);
    if (h->charged)
        account_uncharge(c->account, h->charged);
    h->done(h->arg, r); /* may free the client */
    buf_done(&h->in);
    buf_done(&h->head);
    buf_done(&h->decoded);
    if (h->is_started)
        free_call(h);
}

static Str error_url(HttpCallHandle *h, char *buf, size_t cap)
{
    Buf b;
    buf_init(&b, cap);
    Str url = h->call.url, rest;
    str_cut(url, '?', &url, &rest); /* parameters may be secret */
    url_print_redacted(&b, url);
    size_t n = MIN(b.len, cap - 1);
    memcpy(buf, b.at, n);
    buf[n] = 0;
    buf_done(&b);
    return str_of(buf, n);
}

void call_fail(HttpCallHandle *h, Err e, const char *fmt, ...)
{
    HttpResult r = {.err = e};
    char text[700], url[280];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_url(h, url, sizeof url);
    why_set(&r.why, e, "%.*s \"%s\": %s", STR_FMT(h->call.method), url, text);
    finish_call(h, &r);
}

static Err err_of_curl(CURLcode code)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CERTPROBLEM:
        return E_INVALID;
    case CURLE_OPERATION_TIMEDOUT:
        return E_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return E_BUSY;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return E_UNAVAILABLE;
    default:
        return E_IO;
    }
}

/* curl says "Couldn't connect to server" whatever the reason; the kernel knew it. */
static void name_connect_error(HttpCallHandle *h)
{
    static const char vague[] = "Couldn't connect to server";
    long number = 0;
    char *at = strstr(h->error, vague), text[128];
    if (!at || curl_easy_getinfo(h->easy, CURLINFO_OS_ERRNO, &number) != CURLE_OK || !number)
        return;
    snprintf(at, sizeof h->error - (size_t)(at - h->error), "%s", strerror_r((int)number, text, sizeof text));
}

void call_spoiled(HttpCallHandle *h)
{
    if (h->too_large)
        call_fail(h, E_TOO_LARGE, "the answer is larger than %llu bytes",
                  (unsigned long long)h->call.body_max);
    else
        call_fail(h, E_BUSY, "out of memory for the answer");
}

static void fail_transfer(HttpCallHandle *h, CURLcode code)
{
    if (code == CURLE_COULDNT_CONNECT)
        name_connect_error(h);
    if (h->egress_refused)
        call_fail(h, E_FORBIDDEN,
                  "this address is not public: URLs that come through an API may only reach public "
                  "addresses");
    else if (h->too_large || h->no_memory)
        call_spoiled(h);
    else
        call_fail(h, err_of_curl(code), "%s", h->error[0] ? h->error : curl_easy_strerror(code));
}

/* ---- what curl calls ---- */

bool call_charge(HttpCallHandle *h, u64 bytes)
{
    if (!h->client->account || bytes <= h->charged)
        return true;
    if (account_charge(h->client->account, bytes - h->charged, NULL) != OK)
        return false;
    h->charged = bytes;
    return true;
}

static size_t on_body(char *at, size_t one, size_t n, void *arg)
{
    HttpCallHandle *h = arg;
    n *= one;
    if (n > h->in.max - h->in.len || !buf_reserve(&h->in, n)) {
        h->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (!call_charge(h, h->in.cap)) {
        h->no_memory = true;
        return CURL_WRITEFUNC_ERROR;
    }
    buf_put(&h->in, at, n);
    return n;
}

static size_t on_header(char *at, size_t one, size_t n, void *arg)
{
    HttpCallHandle *h = arg;
    n *= one;
    Str line = str_of(at, n);
    if (str_starts(line, S("HTTP/"))) /* a new head: of 100 Continue, or the answer's */
        buf_clear(&h->head);
    buf_str(&h->head, line);
    return buf_over(&h->head) ? CURL_WRITEFUNC_ERROR : n;
}

static void on_call_timeout(void *arg)
{
    HttpCallHandle *h = arg;
    call_fail(h, E_TIMEOUT, "no whole answer within %lld ms", (long long)h->call.timeout_ms);
}

/* ---- the transfer ---- */

static void cut_result_headers(HttpCallHandle *h, Str head)
{
    Str rest = head, line;
    u32 n = 0;
    for (size_t i = 0; i < rest.len; i++)
        n += rest.at[i] == '\n';
    h->headers = arena_array(&h->arena, HttpHeader, n + 1);
    h->headers_len = 0;
    str_cut(rest, '\n', &line, &rest);
    while (h->headers && rest.len) {
        str_cut(rest, '\n', &line, &rest);
        Str name, value;
        if (str_cut(line, ':', &name, &value))
            h->headers[h->headers_len++] = (HttpHeader){str_trim(name), str_trim(value)};
    }
}

static Str find_header(const HttpHeader *at, u32 n, Str name)
{
    for (u32 i = 0; i < n; i++)
        if (str_eq_nocase(at[i].name, name))
            return at[i].value;
    return S("");
}

Str http_result_header(const HttpResult *r, Str name)
{
    return find_header(r->headers, r->headers_len, name);
}

static bool is_same_origin(const Url *a, const Url *b)
{
    return str_eq_nocase(a->scheme, b->scheme) && str_eq_nocase(a->host, b->host) && a->port == b->port;
}

static void call_begin(HttpCallHandle *h);

bool call_follows(const HttpCallHandle *h, int status)
{
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        return false;
    return !h->config->no_follow_redirects && h->call.egress != EGRESS_STRICT;
}

/* True when another transfer has been started. */
static bool follow_redirect(HttpCallHandle *h, long status)
{
    char *to = NULL;
    if (!call_follows(h, (int)status))
        return false;
    curl_easy_getinfo(h->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        return false;
    if (++h->redirects > REDIRECTS_MAX) {
        call_fail(h, E_UNAVAILABLE, "stopped after %d redirects", REDIRECTS_MAX);
        return true;
    }
    Url u;
    Why why = {0};
    Str url = arena_dup(&h->arena, str_c(to));
    if (url_parse(url, &u, &why) != OK) {
        call_fail(h, E_PARSE, "the redirect leads to something that is not a URL");
        return true;
    }
    h->off_origin |= !is_same_origin(&u, &h->origin); /* never trusted again, wherever it leads */
    bool keeps_method = status == 307 || status == 308 || str_eq(h->method_now, S("HEAD"));
    if (!keeps_method) {
        h->method_now = S("GET");
        h->body_now = (Str){0};
    }
    h->url_now = url;
    stop_transfer(h);
    call_begin(h);
    return true;
}

void call_answered(HttpCallHandle *h, int status, Str head, Str body, u64 wire_bytes)
{
    HttpResult r = {.status = status, .body = body, .body_buf = &h->in, .body_wire_bytes = wire_bytes};
    cut_result_headers(h, head);
    Str coding = find_header(h->headers, h->headers_len, S("Content-Encoding"));
    bool is_gzip = str_eq_nocase(coding, S("gzip")) || str_eq_nocase(coding, S("x-gzip"));
    if (body.len && (is_gzip || str_eq_nocase(coding, S("deflate")))) {
        Why why = {0};
        buf_init(&h->decoded, h->call.body_max);
        Err e = coding_decode(is_gzip ? CODING_GZIP : CODING_DEFLATE, body, &h->decoded, &why);
        if (e != OK || !call_charge(h, h->charged + h->decoded.cap)) {
            call_fail(h, e == OK ? E_BUSY : e, "%s", e == OK ? "out of memory for the answer" : why.text);
            return;
        }
        r.body = buf_view(&h->decoded);
        r.body_buf = &h->decoded;
    }
    r.headers = h->headers;
    r.headers_len = h->headers_len;
    finish_call(h, &r);
}

void http_result_take(const HttpResult *r, Buf *ret_buf, Str *ret_body)
{
    if (r->body_buf) {
        *ret_buf = *r->body_buf;
        *r->body_buf = (Buf){0};
        *ret_body = r->body;
    } else {
        buf_init(ret_buf, r->body.len + 1);
        buf_str(ret_buf, r->body);
        *ret_body = buf_view(ret_buf);
    }
}

static void finish_answer(HttpCallHandle *h)
{
    long status = 0;
    curl_off_t wire = 0;
    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(h->easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
    plain_learn(h);
    if (!follow_redirect(h, status))
        call_answered(h, (int)status, buf_view(&h->head), buf_view(&h->in), (u64)wire);
}

void call_transfer(HttpCallHandle *h, Str token)
{
    h->token_text = arena_dup(&h->arena, token);
    if (!plain_start(h, h->token_text))
        call_curl(h);
}

void call_curl(HttpCallHandle *h)
{
    HttpClient *c = h->client;
    h->easy = c->kept_len ? c->kept[--c->kept_len] : curl_easy_init();
    check(h->easy);
    buf_clear(&h->in);
    buf_clear(&h->head);
    h->error[0] = 0;
    Why why = {0};
    Err e = call_prepare(h, h->token_text, &why);
    if (e != OK) {
        call_fail(h, e, "%s", why.text);
        return;
    }
    curl_easy_setopt(h->easy, CURLOPT_PRIVATE, h);
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->error);
    curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
    h->is_running = true;
    check(curl_multi_add_handle(c->multi, h->easy) == CURLM_OK);
}

static void call_begin(HttpCallHandle *h)
{
    Str token = {0};
    if (!h->config->oauth2.token_url.len || h->off_origin || token_get(h, &token))
        call_transfer(h, token);
}

static void start_call(void *arg)
{
    HttpCallHandle *h = arg;
    HttpClient *c = h->client;
    h->is_started = true;
    if (h->is_done) {
        free_call(h);
    } else {
        Why why = {0};
        Err e = url_parse(h->call.url, &h->origin, &why);
        if (h->is_canceled) {
            client_unref(c); /* its timer is on the way */
            return;
        }
        timer_start(c->loop, &h->timer, h->start_ns + h->call.timeout_ms * NS_PER_MS);
        if (e != OK)
            call_fail(h, E_INVALID, "%s", why.text);
        else
            call_begin(h);
    }
    client_unref(c);
}

/* ---- curl and the loop ---- */

static void take_finished(HttpClient *c)
{
    int left;
    for (CURLMsg *m; !c->is_closed && (m = curl_multi_info_read(c->multi, &left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        HttpCallHandle *h;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &h);
        if (code == CURLE_OK)
            finish_answer(h);
        else
            fail_transfer(h, code);
    }
}

typedef struct Watch {
    HttpClient *client;
    int fd;
    LoopFd *watch;
} Watch;

/* done callbacks may free the client: hold it. */
static void act(HttpClient *c, int fd, int what)
{
    int running;
    mutex_lock(&c->mutex);
    c->refs++;
    mutex_unlock(&c->mutex);
    curl_multi_socket_action(c->multi, fd, what, &running);
    take_finished(c);
    client_unref(c);
}

static void on_socket_ready(void *arg, int events)
{
    Watch *w = arg;
    act(w->client, w->fd,
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    HttpClient *c = arg;
    Watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            loop_fd_del(w->watch);
            mem_free(w);
        }
        return 0;
    }
    int events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);
    if (!w) {
        w = mem_new(Watch);
        w->client = c;
        w->fd = fd;
        w->watch = loop_fd_add(c->loop, fd, events, on_socket_ready, w);
        curl_multi_assign(c->multi, fd, w);
    } else {
        loop_fd_set(w->watch, events);
    }
    return 0;
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
    HttpClient *c = arg;
    struct itimerspec t = {0};
    if (ms >= 0)
        t.it_value = (struct timespec){ms / 1000, ms % 1000 * 1000000 + (ms == 0)};
    timerfd_settime(c->timer_fd, 0, &t, NULL);
    return 0;
}

static void on_timer_fd(void *arg, int events)
{
    HttpClient *c = arg;
    u64 times;
    if (read(c->timer_fd, &times, sizeof times) == sizeof times)
        act(c, CURL_SOCKET_TIMEOUT, 0);
}

static void curl_start_once(void)
{
    check(curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK);
    /* A peer that closes while we write is an error to handle, not a signal to die of. */
    signal(SIGPIPE, SIG_IGN);
}

HttpClient *http_client_new(Loop *loop, Account *account)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, curl_start_once);
    HttpClient *c = mem_new(HttpClient);
    c->loop = loop;
    c->account = account;
    c->refs = 1;
    mutex_init(&c->mutex, RANK_QUEUE);
    c->multi = curl_multi_init();
    check(c->multi);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, 1024L);
    c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    check(c->timer_fd >= 0);
    plain_init(c);
    c->timer_watch = loop_fd_add(loop, c->timer_fd, LOOP_READ, on_timer_fd, c);
    return c;
}

void http_client_free(HttpClient *c)
{
    if (!c)
        return;
    for (;;) {
        mutex_lock(&c->mutex);
        HttpCallHandle *h = c->calls;
        mutex_unlock(&c->mutex);
        if (!h)
            break;
        call_fail(h, E_CANCELED, "canceled");
    }
    c->is_closed = true;
    for (u32 i = 0; i < c->kept_len; i++)
        curl_easy_cleanup(c->kept[i]);
    curl_multi_cleanup(c->multi);
    loop_fd_del(c->timer_watch);
    close(c->timer_fd);
    plain_done(c);
    tokens_free(c);
    client_unref(c);
}

/* ---- sending ---- */

static void copy_call(HttpCallHandle *h, const HttpCall *call)
{
    h->call = *call;
    h->call.method = arena_dup(&h->arena, call->method.len ? call->method : S("GET"));
    h->call.url = arena_dup(&h->arena, str_trim(call->url));
    h->call.unix_socket = arena_dup(&h->arena, call->unix_socket);
    if (!h->call.timeout_ms)
        h->call.timeout_ms = CALL_TIMEOUT_MS;
    if (!h->call.body_max)
        h->call.body_max = CALL_BODY_MAX;
    HttpHeader *headers = arena_array(&h->arena, HttpHeader, call->headers_len + 1);
    for (u32 i = 0; headers && i < call->headers_len; i++)
        headers[i] = (HttpHeader){arena_dup(&h->arena, call->headers[i].name),
                                  arena_dup(&h->arena, call->headers[i].value)};
    h->call.headers = headers;
}

HttpCallHandle *http_send(HttpClient *c, const HttpCall *call, void (*done)(void *arg, const HttpResult *r),
                          void *arg)
{
    HttpCallHandle *h = mem_new(HttpCallHandle);
    h->client = c;
    h->done = done;
    h->arg = arg;
    h->config = call->config ? call->config : &no_config;
    arena_init(&h->arena, NULL, CALL_ARENA_BYTES);
    copy_call(h, call);
    h->url_now = h->call.url;
    h->method_now = h->call.method;
    h->body_now = h->call.body;
    buf_init(&h->in, h->call.body_max);
    buf_init(&h->head, HEADERS_BYTES_MAX);
    timer_init(&h->timer, on_call_timeout, h);
    h->start_ns = clock_mono_ns(loop_clock(c->loop));
    mutex_lock(&c->mutex);
    h->next = c->calls;
    if (h->next)
        h->next->prev = h;
    c->calls = h;
    c->refs++;
    mutex_unlock(&c->mutex);
    loop_post(c->loop, start_call, h);
    return h;
}

static void on_cancel(void *arg)
{
    call_fail(arg, E_CANCELED, "canceled");
}

void http_cancel(HttpClient *c, HttpCallHandle *h)
{
    check(!h->is_done);
    /* Soon, not now: the caller may be in the middle of something. The timer is stopped by whatever ends the call. */
    timer_stop(c->loop, &h->timer);
    timer_init(&h->timer, on_cancel, h);
    timer_start(c->loop, &h->timer, 0);
    h->is_canceled = true;
}

/* ---- blocking ---- */

typedef struct Waiting {
    Mutex mutex;
    Cond cond;
    bool is_done;
    Arena *arena;
    HttpResult *ret;
} Waiting;

static void on_call_done(void *arg, const HttpResult *r)
{
    Waiting *w = arg;
    *w->ret = *r;
    w->ret->body_buf = NULL;
    char *body = r->body.len ? arena_try(w->arena, r->body.len + 1) : NULL;
    HttpHeader *headers = arena_array(w->arena, HttpHeader, r->headers_len + 1);
    if ((r->body.len && !body) || !headers) {
        *w->ret = (HttpResult){.err = E_LIMIT};
        why_set(&w->ret->why, E_LIMIT, "the answer does not fit the memory of the request");
    } else {
        if (body) {
            memcpy(body, r->body.at, r->body.len);
            body[r->body.len] = 0;
        }
        w->ret->body = str_of(body ? body : "", r->body.len);
        for (u32 i = 0; i < r->headers_len; i++)
            headers[i] = (HttpHeader){arena_dup(w->arena, r->headers[i].name),
                                      arena_dup(w->arena, r->headers[i].value)};
        w->ret->headers = headers;
    }
    mutex_lock(&w->mutex);
    w->is_done = true;
    cond_signal(&w->cond);
    mutex_unlock(&w->mutex);
}

Err http_call(HttpClient *c, const HttpCall *call, Arena *arena, HttpResult *ret)
{
    Waiting w = {.arena = arena, .ret = ret};
    mutex_init(&w.mutex, RANK_QUEUE);
    cond_init(&w.cond);
    http_send(c, call, on_call_done, &w);
    mutex_lock(&w.mutex);
    while (!w.is_done)
        cond_wait(&w.cond, &w.mutex);
    mutex_unlock(&w.mutex);
    cond_done(&w.cond);
    mutex_done(&w.mutex);
    return ret->err;
}
