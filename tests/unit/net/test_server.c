#include "fixture.h"
#include <malloc.h>

static Fixture f;

static int start(void **state)
{
    memset(&f, 0, sizeof f);
    fixture_start(&f, (HttpServerConfig){.head_timeout_ms = 60000});
    return 0;
}
static int stop(void **state)
{
    fixture_stop(&f);
    return 0;
}

static void test_keep_alive_and_pipelining(void **state)
{
    int fd = dial(&f);
    for (int i = 0; i < 3; i++) {
        say_c(fd, "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
        Answer a = hear(fd);
        assert_int_equal(a.status, 200);
        assert_str(buf_view(&a.body), "ready\n");
        assert_true(answer_header(&a, "Date").len == 29);
        assert_false(a.close);
        answer_free(&a);
    }
    /* 200 at once, alternating between the loop and a pool: answers come in order. */
    Buf all;
    buf_init(&all, 1 << 20);
    for (int i = 0; i < 200; i++)
        buf_printf(&all, "GET %s?n=%d HTTP/1.1\r\nHost: a\r\n\r\n", i % 2 ? "/show" : "/api/v1/query", i);
    say(fd, buf_view(&all));
    buf_done(&all);
    for (int i = 0; i < 200; i++) {
        char want[64];
        snprintf(want, sizeof want, "GET %s\nn=%d\nbody 0\n", i % 2 ? "/show" : "/api/v1/query", i);
        Answer a = hear(fd);
        assert_str(buf_view(&a.body), want);
        answer_free(&a);
    }
    say_c(fd, "GET /-/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    Answer a = hear(fd);
    assert_true(a.close);
    answer_free(&a);
    assert_true(is_over(fd));
    close(fd);
}

/* What waits in a connection's buffer is kept each time, not only the first. */
static void test_heads_in_pieces(void **state)
{
    int fd = dial(&f);
    for (int i = 0; i < 4; i++) {
        say_c(fd, "GET /show?piece");
        assert_false(is_readable(fd, 20));
        say_c(fd, "=yes HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(is_readable(fd, 5000));
        Answer a = hear(fd);
        assert_int_equal(a.status, 200);
        assert_true(str_find(buf_view(&a.body), S("piece=yes")) != SIZE_MAX);
        answer_free(&a);
    }
    close(fd);
}

/* Offers to speak something else are declined by answering in HTTP/1.1. */
static void test_upgrade_is_declined(void **state)
{
    int fd = dial(&f);
    say_c(fd, "GET /-/ready HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
              "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
              "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
              "websocket\r\nContent-Length: 5\r\n\r\nhello"
              "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    Answer a = hear(fd);
    assert_str(buf_view(&a.body), "ready\n");
    answer_free(&a);
    a = hear(fd);
    assert_str(buf_view(&a.body), "hello");
    answer_free(&a);
    a = hear(fd);
    assert_true(a.status == 400 || a.status == 501);
    answer_free(&a);
    close(fd);
}

static void test_http10(void **state)
{
    int fd = dial(&f);
    say_c(fd, "GET /-/ready HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    Answer a = hear(fd);
    assert_int_equal(a.status, 200);
    assert_str(answer_header(&a, "Connection"), "keep-alive");
    answer_free(&a);
    say_c(fd, "GET /stream?bytes=100000 HTTP/1.0\r\n\r\n");
    a = hear(fd);
    assert_true(a.close);
    assert_null(answer_header(&a, "Transfer-Encoding").at);
    assert_int_equal(a.body.len, 100000);
    answer_free(&a);
    close(fd);
}

static void test_routes(void **state)
{
    expect_status(&f, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404);
    expect_status(&f, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 500);
    expect_status(&f, "PROPFIND /show HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    Answer a = ask(&f, S("DELETE /show HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(a.status, 405);
    assert_str(answer_header(&a, "Allow"), "GET, HEAD, POST");
    answer_free(&a);
    expect_body(&f, "GET /api/v1/label/job/values HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /api/v1/label/job/values\narg job\nbody 0\n");
    expect_status(&f, "GET /api/v1/label//values HTTP/1.1\r\nHost: a\r\n\r\n", 404);
    expect_body(&f, "GET /static/a/b.js HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /static/a/b.js\narg a/b.js\nbody 0\n");
    expect_body(&f, "GET http://other/show?a=1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /show\na=1\nbody 0\n");
}

/* Whatever the spelling, the decision is that of the canonical path. */
static void test_path_spellings(void **state)
{
    expect_body(&f, "GET //show HTTP/1.1\r\nHost: a\r\n\r\n", "GET /show\nbody 0\n");
    expect_body(&f, "GET /./show HTTP/1.1\r\nHost: a\r\n\r\n", "GET /show\nbody 0\n");
    expect_body(&f, "GET /static/../show HTTP/1.1\r\nHost: a\r\n\r\n", "GET /show\nbody 0\n");
    expect_body(&f, "GET /%2e%2e/static/%2E%2e/show HTTP/1.1\r\nHost: a\r\n\r\n", "GET /show\nbody 0\n");
    expect_body(&f, "GET /../../%73how HTTP/1.1\r\nHost: a\r\n\r\n", "GET /show\nbody 0\n");
    expect_status(&f, "GET %2fshow HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_status(&f, "GET show HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_body(&f, "GET /static%2fa%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n", "GET /static/b\narg b\nbody 0\n");
    expect_status(&f, "GET /show%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_status(&f, "GET /show%0a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_status(&f, "GET /show%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_status(&f, "GET /show%2 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_status(&f, "GET /%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_status(&f, "GET /show/ HTTP/1.1\r\nHost: a\r\n\r\n", 404);
}

static void test_params(void **state)
{
    expect_body(&f, "GET /show?a=1&b=x%20y+z&a=2&&c&=e HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /show\na=1\nb=x y z\na=2\nc=\n=e\nbody 0\n");
    expect_status(&f, "GET /show?a=%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    expect_body(&f,
                "POST /show?a=query HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded; "
                "charset=utf-8\r\n"
                "Content-Length: 12\r\n\r\na=form&b=%41",
                "POST /show\na=form\nb=A\na=query\nbody 12\n");
    expect_body(
        &f, "POST /show?a=1 HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nb=2",
        "POST /show\na=1\nbody 3\n");
    expect_body(&f, "GET /api/v1/query HTTP/1.1\r\nHost: a\r\nX-Scope-OrgID: a|b\r\n\r\n",
                "GET /api/v1/query\ntenant a|b\nbody 0\n");
    expect_status(&f, "GET /api/v1/query HTTP/1.1\r\nHost: a\r\nX-Scope-OrgID: a/b\r\n\r\n", 400);
    /* 10,001 pairs */
    Buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b,
               "POST /show HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
               "Content-Length: %d\r\n\r\n",
               3 * 10001);
    for (int i = 0; i < 10001; i++)
        buf_str(&b, S("a=&"));
    Answer a = ask(&f, buf_view(&b));
    assert_int_equal(a.status, 413);
    answer_free(&a);
    buf_done(&b);
}

static void test_head(void **state)
{
    int fd = dial(&f);
    say_c(fd,
          "HEAD /-/ready HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream?bytes=5000000 HTTP/1.1\r\nHost: a\r\n\r\n"
          "HEAD /none HTTP/1.1\r\nHost: a\r\n\r\nGET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        Answer a = hear_to(fd, i < 3);
        assert_int_equal(a.status, i == 2 ? 404 : 200);
        if (i == 0)
            assert_str(answer_header(&a, "Content-Length"), "6");
        if (i == 3)
            assert_str(buf_view(&a.body), "ready\n");
        answer_free(&a);
    }
    close(fd);
}

static void check_echo(const char *path, u64 n, bool chunked, u64 piece)
{
    Buf body, request;
    buf_init(&body, 8 << 20);
    buf_init(&request, 16 << 20);
    for (u64 i = 0; i < n; i++)
        buf_char(&body, (char)(random_u64() & 0xff));
    buf_printf(&request, "POST %s HTTP/1.1\r\nHost: a\r\n", path);
    if (chunked) {
        buf_str(&request, S("Transfer-Encoding: chunked\r\n\r\n"));
        for (u64 at = 0; at < n; at += piece) {
            u64 len = MIN(piece, n - at);
            buf_printf(&request, at % 2 ? "%llx\r\n" : "%llX;name=\"value\"\r\n", (unsigned long long)len);
            buf_put(&request, body.at + at, len);
            buf_str(&request, S("\r\n"));
        }
        buf_str(&request, S("0\r\nTrailer: x\r\n\r\n"));
    } else {
        buf_printf(&request, "Content-Length: %llu\r\n\r\n", (unsigned long long)n);
        buf_str(&request, buf_view(&body));
    }
    buf_str(&request, S("GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n"));
    int fd = dial(&f);
    say(fd, buf_view(&request));
    Answer a = hear(fd), b = hear(fd);
    assert_int_equal(a.status, 200);
    assert_true(str_eq(buf_view(&a.body), buf_view(&body)));
    assert_int_equal(b.status, 200);
    answer_free(&a);
    answer_free(&b);
    close(fd);
    buf_done(&body);
    buf_done(&request);
}

static void test_bodies(void **state)
{
    static const char *const paths[] = {"/echo", "/loop_echo", "/raw"};
    for (u32 p = 0; p < COUNT_OF(paths); p++) {
        check_echo(paths[p], 0, false, 0);
        check_echo(paths[p], 1, false, 0);
        check_echo(paths[p], 40000, false, 0);
        check_echo(paths[p], 900000, false, 0);
        check_echo(paths[p], 0, true, 1);
        check_echo(paths[p], 300, true, 1);
        check_echo(paths[p], 40000, true, 999);
        check_echo(paths[p], 700000, true, 100000);
    }
    check_echo("/echo", 4 << 20, false, 0);
    check_echo("/echo", 4 << 20, true, 1 << 19);
    expect_status(&f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4194305\r\n\r\n", 413);
    expect_status(&f, "GET /show HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 413);
    expect_status(&f, "GET /show HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413);
    /* An endless chunked body is cut at the limit. */
    int fd = dial(&f);
    say_c(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    Buf chunk;
    buf_init(&chunk, 1 << 20);
    buf_str(&chunk, S("8000\r\n"));
    for (int i = 0; i < 0x8000; i++)
        buf_char(&chunk, 'x');
    buf_str(&chunk, S("\r\n"));
    for (int i = 0; i < 1000 && !is_readable(fd, 0); i++)
        say(fd, buf_view(&chunk));
    buf_done(&chunk);
    Answer a = hear(fd);
    assert_int_equal(a.status, 413);
    assert_true(a.close);
    answer_free(&a);
    close(fd);
}

static void test_request_codings(void **state)
{
    Buf plain, packed, request;
    buf_init(&plain, 64 << 20);
    buf_init(&packed, 64 << 20);
    buf_init(&request, 64 << 20);
    for (int i = 0; i < 100000; i++)
        buf_printf(&plain, "line %d\n", i);
    coding_gzip(buf_view(&plain), 6, &packed);
    buf_printf(&request,
               "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
               packed.len);
    buf_str(&request, buf_view(&packed));
    Answer a = ask(&f, buf_view(&request));
    assert_int_equal(a.status, 200);
    assert_true(str_eq(buf_view(&a.body), buf_view(&plain)));
    answer_free(&a);
    /* BODY_RAW: as it came */
    buf_clear(&request);
    buf_printf(&request,
               "POST /raw HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
               packed.len);
    buf_str(&request, buf_view(&packed));
    a = ask(&f, buf_view(&request));
    assert_true(str_eq(buf_view(&a.body), buf_view(&packed)));
    answer_free(&a);
    /* a bomb: 32 MiB of zeros */
    buf_clear(&plain);
    buf_clear(&packed);
    buf_reserve(&plain, 32 << 20);
    memset(plain.at, 0, 32 << 20);
    plain.len = 32 << 20;
    coding_gzip(buf_view(&plain), 6, &packed);
    buf_clear(&request);
    buf_printf(&request,
               "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
               packed.len);
    buf_str(&request, buf_view(&packed));
    a = ask(&f, buf_view(&request));
    assert_int_equal(a.status, 413);
    answer_free(&a);
    expect_status(
        &f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", 400);
    expect_status(
        &f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nabcd", 415);
    expect_status(
        &f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 4\r\n\r\nabcd",
        415);
    buf_done(&plain);
    buf_done(&packed);
    buf_done(&request);
}

static void check_gzip_answer(const char *target, u64 n)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n",
             target);
    Answer a = ask(&f, str_c(request));
    assert_int_equal(a.status, 200);
    assert_str(answer_header(&a, "Content-Encoding"), "gzip");
    assert_str(answer_header(&a, "Vary"), "Accept-Encoding");
    assert_null(answer_header(&a, "Injected").at);
    assert_true(a.body.len < n / 2);
    Buf plain;
    Why why = {0};
    buf_init(&plain, n + 1);
    assert_ok(coding_decode(CODING_GZIP, buf_view(&a.body), &plain, &why), &why);
    assert_int_equal(plain.len, n);
    buf_done(&plain);
    answer_free(&a);
}

static void test_answer_codings(void **state)
{
    check_gzip_answer("/big?bytes=100000", 100000);
    check_gzip_answer("/big?bytes=9000000", 9000000);
    check_gzip_answer("/stream?bytes=3000000", 3000000);
    check_gzip_answer("/stream?bytes=3000000&piece=200000", 3000000);
    Answer a = ask(&f, S("GET /big?bytes=100 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"));
    assert_null(answer_header(&a, "Content-Encoding").at);
    answer_free(&a);
    a = ask(&f, S("GET /big?bytes=10000 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0, identity\r\n\r\n"));
    assert_null(answer_header(&a, "Content-Encoding").at);
    assert_int_equal(a.body.len, 10000);
    answer_free(&a);
    a = ask(&f, S("GET /big?bytes=5000000 HTTP/1.1\r\nHost: a\r\n\r\n")); /* larger than what is copied */
    assert_int_equal(a.body.len, 5000000);
    answer_free(&a);
    a = ask(&f, S("GET /stream?bytes=5000000&piece=7 HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(a.body.len, 5000000);
    answer_free(&a);
}

static void test_expect_continue(void **state)
{
    int fd = dial(&f);
    say_c(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    Answer a = hear(fd);
    assert_int_equal(a.status, 100);
    answer_free(&a);
    say_c(fd, "hello");
    a = hear(fd);
    assert_str(buf_view(&a.body), "hello");
    answer_free(&a);
    say_c(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50000000\r\n\r\n");
    a = hear(fd);
    assert_int_equal(a.status, 413);
    answer_free(&a);
    assert_true(is_over(fd));
    close(fd);
    expect_status(&f, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 5\r\n\r\n", 417);
}

static void wait_until(_Atomic int *counter, int want)
{
    for (int i = 0; *counter < want; i++) {
        if (i > 30000)
            fail_msg("waited too long");
        usleep(1000);
    }
}

static void test_disconnect_cancels(void **state)
{
    f.started = f.canceled = f.finished = 0;
    int fd = dial(&f);
    say_c(fd, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until(&f.started, 1);
    close(fd);
    wait_until(&f.canceled, 1);
    wait_until(&f.finished, 1);
}

/* A client that does not read stops the handler after a bounded number of bytes; leaving frees it. */
static void test_back_pressure(void **state)
{
    f.started = f.canceled = f.finished = 0;
    int fd = dial(&f);
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    say_c(fd, "GET /stream?bytes=1000000000&piece=10000 HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until(&f.started, 1);
    usleep(100000);
    assert_int_equal(f.finished, 0);
    close(fd);
    wait_until(&f.finished, 1);
    assert_int_equal(f.canceled, 1);
}

static void test_busy_pool(void **state)
{
    f.started = f.finished = 0;
    f.let_go = false;
    int fds[10];
    for (int i = 0; i < 10; i++) { /* two threads, eight in the queue */
        fds[i] = dial(&f);
        say_c(fds[i], "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        if (i == 1)
            wait_until(&f.started, 2);
    }
    Answer a = {0};
    for (int i = 0; i < 1000 && a.status != 503; i++) { /* until all ten have arrived */
        answer_free(&a);
        a = ask(&f, S("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    }
    assert_int_equal(a.status, 503);
    assert_str(answer_header(&a, "Retry-After"), "1");
    answer_free(&a);
    f.let_go = true;
    for (int i = 0; i < 10; i++) {
        a = hear(fds[i]);
        assert_int_equal(a.status, 200);
        answer_free(&a);
        close(fds[i]);
    }
}

static void test_metrics(void **state)
{
    expect_status(&f, "GET /api/v1/label/secretpath/values HTTP/1.1\r\nHost: a\r\n\r\n", 200);
    Buf b;
    buf_init(&b, 4 << 20);
    metrics_render(&b);
    assert_true(
        str_find(buf_view(&b),
                 S("prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/label/{name}/values\"}")) !=
        SIZE_MAX);
    assert_true(
        str_find(buf_view(&b),
                 S("prometheus_http_request_duration_seconds_bucket{handler=\"/-/ready\",le=\"0.1\"}")) !=
        SIZE_MAX);
    assert_true(str_find(buf_view(&b), S("prometheus_http_response_size_bytes_sum{handler=\"/-/ready\"}")) !=
                SIZE_MAX);
    assert_true(str_find(buf_view(&b), S("secretpath")) == SIZE_MAX);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive_and_pipelining),
        cmocka_unit_test(test_heads_in_pieces),
        cmocka_unit_test(test_upgrade_is_declined),
        cmocka_unit_test(test_http10),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_path_spellings),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_request_codings),
        cmocka_unit_test(test_answer_codings),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_disconnect_cancels),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_busy_pool),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
