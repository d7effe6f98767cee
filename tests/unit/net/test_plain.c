/* The client's own HTTP/1.1: a server that plays a script tells how many connections and requests it saw. */
#include "fixture.h"

enum { CONNS_MAX = 16 };
typedef struct Script {
    const char *answers
        [8]; /* to the connection's requests, in order; NULL: it is closed instead. "|" in one: sent in pieces */
    bool hang_up; /* after the last one, without being asked */
} Script;
typedef struct Stage {
    Script scripts[CONNS_MAX];
    int listen_fd;
    u16 port;
    pthread_t thread;
    _Atomic u32 conns, requests;
    pthread_mutex_t lock;
    char request[4096]; /* the last one; under lock */
} Stage;

static HttpClient *client;
static Loop *loop;
static pthread_t loop_thread;
static Arena arena;

static void play(Stage *s, int fd, const Script *script)
{
    char request[sizeof s->request];
    for (u32 i = 0; i < COUNT_OF(script->answers); i++) {
        size_t n = 0;
        while (n < 4 || memcmp(request + n - 4, "\r\n\r\n", 4) != 0) {
            ssize_t k = recv(fd, request + n, sizeof request - 1 - n, 0);
            if (k <= 0)
                return;
            n += (size_t)k;
        }
        request[n] = 0;
        pthread_mutex_lock(&s->lock);
        memcpy(s->request, request, n + 1);
        pthread_mutex_unlock(&s->lock);
        s->requests++;
        if (!script->answers[i])
            return;
        Str rest = str_c(script->answers[i]), piece;
        while (rest.len) {
            str_cut(rest, '|', &piece, &rest);
            say(fd, piece);
            if (rest.len)
                usleep(2000);
        }
        if (script->hang_up && !script->answers[i + 1])
            return;
    }
}
static void *stage_main(void *arg)
{
    Stage *s = arg;
    for (int fd; (fd = accept(s->listen_fd, NULL, NULL)) >= 0;) {
        play(s, fd, &s->scripts[s->conns++]);
        close(fd);
    }
    return NULL;
}
static void stage_open(Stage *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    pthread_mutex_init(&s->lock, NULL);
    s->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listen_fd, (void *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listen_fd, 8), 0);
    getsockname(s->listen_fd, (void *)&a, &len);
    s->port = ntohs(a.sin_port);
    assert_int_equal(thread_start(&s->thread, "stage", stage_main, s), OK);
}
/* The client is made anew, so that no connection is left. */
static void stage_close(Stage *s)
{
    http_client_free(client);
    client = http_client_new(loop, NULL);
    shutdown(s->listen_fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listen_fd);
}

static void *loop_main(void *arg)
{
    loop_run(loop);
    return NULL;
}
static void nothing(void *arg) {}
static void client_make(void *arg)
{
    client = http_client_new(loop, NULL);
}
static void client_end(void *arg)
{
    http_client_free(client);
}
static int start(void **state)
{
    arena_init(&arena, NULL, 64 << 20);
    loop = loop_new(clock_real());
    client_make(NULL);
    assert_int_equal(thread_start(&loop_thread, "loop", loop_main, loop), OK);
    loop_post(loop, nothing, NULL);
    return 0;
}
static int stop(void **state)
{
    loop_call(loop, client_end, NULL);
    loop_stop(loop);
    pthread_join(loop_thread, NULL);
    loop_free(loop);
    arena_done(&arena);
    return 0;
}
static void stage_end(void *arg)
{
    stage_close(arg);
}

static HttpResult get(Stage *s, const char *host)
{
    HttpResult r = {0};
    HttpHeader h = {S("X-Test"), S("1")};
    HttpCall call = {.url = arena_printf(&arena, "http://%s:%u/a?b=c", host, s->port),
                     .timeout_ms = 20000,
                     .body_max = 1000,
                     .headers = &h,
                     .headers_len = 1};
    http_call(client, &call, &arena, &r);
    return r;
}
static bool was_asked(Stage *s, const char *text, bool whole)
{
    pthread_mutex_lock(&s->lock);
    bool yes = whole ? strcmp(s->request, text) == 0 : strstr(s->request, text) != NULL;
    pthread_mutex_unlock(&s->lock);
    return yes;
}
static void want(Stage *s, const char *body)
{
    HttpResult r = get(s, "127.0.0.1");
    if (r.err != OK)
        fail_msg("%s", r.why.text);
    assert_str(r.body, body);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

static void test_one_connection(void **state)
{
    Stage s = {.scripts = {{{
                   OK_HEAD "Content-Length: 3\r\n\r\none",
                   "HTT|P/1.1 2|00 OK\r|\nContent-Le|ngth: 3\r\n\r|\nt|w|o",
                   OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2|\r\nth\r\n3\r|\nree\r\n0\r\n\r|\n",
                   "HTTP/1.1 204 No Content\r\n\r\n",
                   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\nContent-Length: 4\n\nbusy",
                   OK_HEAD "Content-Length: 0\r\n\r\n",
                   OK_HEAD "Content-Length: 4\r\n\r\nlast",
               }}}};
    stage_open(&s);
    want(&s, "one");
    char expected[256];
    snprintf(expected, sizeof expected,
             "GET /a?b=c HTTP/1.1\r\nX-Test: 1\r\nUser-Agent: Pharos\r\nAccept-Encoding: gzip\r\n"
             "Host: 127.0.0.1:%u\r\nAccept: */*\r\n\r\n",
             s.port);
    assert_true(was_asked(&s, expected, true));
    want(&s, "two");
    want(&s, "three");
    want(&s, "");
    HttpResult r = get(&s, "127.0.0.1");
    assert_int_equal(r.status, 503);
    assert_str(r.body, "busy");
    want(&s, "");
    want(&s, "last");
    assert_int_equal(s.conns, 1);
    loop_call(loop, stage_end, &s);
}

/* What must not carry another answer does not. */
static void test_not_kept(void **state)
{
    Stage s = {
        .scripts = {{{OK_HEAD "Connection: Keep-Alive, close\r\nContent-Length: 1\r\n\r\na"}},
                    {{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nb"}},
                    {{OK_HEAD "Content-Length: 1\r\n\r\nc and more"}},
                    {{OK_HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n0\r\n\r\n"}},
                    {{OK_HEAD "\r\nto the end"}, true},
                    {{OK_HEAD "Content-Length: 1\r\n folded: x\r\n\r\nf"}},
                    {{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast"}}}};
    stage_open(&s);
    const char *bodies[] = {"a", "b", "c", "d", "to the end", "f", "last"};
    for (u32 i = 0; i < COUNT_OF(bodies); i++)
        want(&s, bodies[i]);
    assert_int_equal(s.conns, COUNT_OF(bodies));
    loop_call(loop, stage_end, &s);
}

static void test_kept_one_ends(void **state)
{
    Stage s = {
        .scripts = {{{OK_HEAD "Content-Length: 1\r\n\r\na", NULL}}, /* hears the second request, and goes */
                    {{OK_HEAD "Content-Length: 1\r\n\r\nb"}, true},
                    {{OK_HEAD "Content-Length: 1\r\n\r\nc", OK_HEAD "Content-Length: 9\r\n\r\nhal"}, true},
                    {{NULL}}}};
    stage_open(&s);
    want(&s, "a");
    want(&s, "b");
    assert_int_equal(s.requests, 3);
    want(&s, "c");
    HttpResult r = get(&s, "127.0.0.1"); /* an answer had begun: not asked again */
    assert_int_equal(r.err, E_IO);
    assert_non_null(strstr(r.why.text, "6 bytes remaining"));
    r = get(&s, "127.0.0.1"); /* a fresh connection that ends is an answer too */
    assert_int_equal(r.err, E_IO);
    assert_non_null(strstr(r.why.text, "Empty reply"));
    loop_call(loop, stage_end, &s);
}

static void test_refused(void **state)
{
    static const struct {
        const char *answer;
        Err err;
    } bad[] = {
        {"SSH-2.0-OpenSSH\r\n", E_INVALID},
        {"HTTP/2 200\r\n\r\n", E_INVALID},
        {OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", E_IO},
        {OK_HEAD "Content-Length: -1\r\n\r\nab", E_IO},
        {OK_HEAD "Transfer-Encoding: gzip\r\n\r\nab", E_IO},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", E_IO},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab", E_IO},
        {OK_HEAD "Content-Length: 1001\r\n\r\n", E_TOO_LARGE},
        {OK_HEAD "Content-Length: 18446744073709551615\r\n\r\n", E_TOO_LARGE},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nab", E_IO},
    };
    Stage s = {0};
    for (u32 i = 0; i < COUNT_OF(bad); i++)
        s.scripts[i] = (Script){{bad[i].answer}, true};
    stage_open(&s);
    for (u32 i = 0; i < COUNT_OF(bad); i++) {
        HttpResult r = get(&s, "127.0.0.1");
        if (r.err != bad[i].err)
            fail_msg("%s: %s, %s", bad[i].answer, err_name(r.err), r.why.text);
    }
    loop_call(loop, stage_end, &s);
}

/* A name is looked up by libcurl; then its address is known. Each has a connection of its own. */
static void test_names(void **state)
{
    Stage s = {.scripts = {{{OK_HEAD "Connection: close\r\nContent-Length: 1\r\n\r\na"}},
                           {{OK_HEAD "Content-Length: 1\r\n\r\nb", OK_HEAD "Content-Length: 1\r\n\r\nc"}}}};
    stage_open(&s);
    static const char *const bodies[] = {"a", "b", "c"};
    for (u32 i = 0; i < COUNT_OF(bodies); i++) {
        HttpResult r = get(&s, "localhost");
        if (r.err != OK)
            fail_msg("%s", r.why.text);
        assert_str(r.body, bodies[i]);
        char host[64];
        snprintf(host, sizeof host, "Host: localhost:%u\r\n", s.port);
        assert_true(was_asked(&s, host, false));
    }
    assert_int_equal(s.conns, 2);
    loop_call(loop, stage_end, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_connection), cmocka_unit_test(test_not_kept),
        cmocka_unit_test(test_kept_one_ends),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
