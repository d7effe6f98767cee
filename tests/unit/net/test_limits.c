/* Slow, silent and too many clients; drain; memory of idle connections. Timeouts are short so that the test is; what
 * is asserted is what happens, not when. */
#include "fixture.h"
#include <malloc.h>

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));
static size_t allocated_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
                                                   : mallinfo2().uordblks;
}

static HttpServerConfig quick(void)
{
    return (HttpServerConfig){
        .head_timeout_ms = 400, .body_idle_timeout_ms = 400, .idle_timeout_ms = 600, .write_timeout_ms = 400};
}

static void test_slow_heads_and_bodies(void **state)
{
    Fixture f = {0};
    fixture_start(&f, quick());
    int idle = dial(&f);
    say_c(idle, "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    int silent = dial(&f), half = dial(&f), body = dial(&f), chunked = dial(&f);
    say_c(half, "GET /-/ready HTTP/1.1\r\nHost:");
    say_c(body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    say_c(chunked, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    Answer a = hear(idle);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_true(is_over(silent));
    int slow[] = {half, body, chunked};
    for (u32 i = 0; i < COUNT_OF(slow); i++) {
        a = hear(slow[i]);
        assert_int_equal(a.status, 408);
        assert_true(a.close);
        answer_free(&a);
        assert_true(is_over(slow[i]));
        close(slow[i]);
    }
    assert_true(is_over(idle)); /* nothing more was asked: closed without a word */
    close(silent);
    close(idle);
    fixture_stop(&f);
}

/* One byte now and then keeps no connection: a head has a fixed time, a body a lowest speed. */
static void test_slowloris(void **state)
{
    Fixture f = {0};
    fixture_start(&f, quick());
    int head = dial(&f), body = dial(&f);
    say_c(head, "GET /-/ready HTTP/1.1\r\nHost: a\r\n");
    say_c(body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    bool head_done = false, body_done = false;
    for (int i = 0; i < 3000 && !(head_done && body_done); i++) {
        if (!head_done)
            say_c(head, "X");
        if (!body_done)
            say_c(body, "X");
        usleep(10000);
        head_done = is_readable(head, 0);
        body_done = is_readable(body, 0);
    }
    Answer a = hear(head);
    assert_int_equal(a.status, 408);
    answer_free(&a);
    a = hear(body);
    assert_int_equal(a.status, 408);
    answer_free(&a);
    close(head);
    close(body);
    fixture_stop(&f);
}

/* A client that asks for much and reads nothing is left, and the handler is let go. */
static void test_reader_that_does_not_read(void **state)
{
    Fixture f = {0};
    fixture_start(&f, quick());
    int fd = dial(&f);
    say_c(fd, "GET /stream?bytes=1000000000&piece=10000 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 30000 && !f.finished; i++)
        usleep(1000);
    assert_int_equal(f.finished, 1);
    assert_int_equal(f.canceled, 1);
    close(fd);
    fixture_stop(&f);
}

/* Nor is one that takes a little now and then. */
static void test_reader_that_drips(void **state)
{
    Fixture f = {0};
    fixture_start(&f, quick());
    int fd = dial(&f), small = 2048;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    say_c(fd, "GET /stream?bytes=1000000000&piece=10000 HTTP/1.1\r\nHost: a\r\n\r\n");
    char c;
    for (int i = 0; i < 6000 && !f.finished; i++) {
        recv(fd, &c, 1, MSG_DONTWAIT);
        usleep(5000);
    }
    assert_int_equal(f.finished, 1);
    assert_int_equal(f.canceled, 1);
    close(fd);
    fixture_stop(&f);
}

static void test_virtual_clock_times_out(void **state)
{
    VirtualClock vc;
    virtual_clock_init(&vc, 1700000000 * NS_PER_SEC);
    Fixture f = {.loop = loop_new(&vc.clock)};
    fixture_start(&f, (HttpServerConfig){0});
    int fd = dial(&f);
    say_c(fd, "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    Answer a = hear(fd);
    assert_str(answer_header(&a, "Date"), "Tue, 14 Nov 2023 22:13:20 GMT");
    answer_free(&a);
    virtual_clock_advance(&vc, 4 * 60 * NS_PER_SEC); /* idle may last five minutes */
    loop_wake(f.loop);
    say_c(fd, "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    a = hear(fd);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    for (int i = 0; i < 1000 && !is_readable(fd, 10);
         i++) { /* idle begins when the server has looked at the clock */
        virtual_clock_advance(&vc, 301 * NS_PER_SEC);
        loop_wake(f.loop);
    }
    assert_true(is_over(fd));
    close(fd);
    fixture_stop(&f);
}

static void test_connection_limit(void **state)
{
    Fixture f = {0};
    HttpServerConfig c = {.connections_max = 3};
    fixture_start(&f, c);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(&f);
        say_c(fds[i], "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
        Answer a = hear(fds[i]);
        assert_int_equal(a.status, 200);
        answer_free(&a);
    }
    int fourth = dial(&f);
    Answer a = hear(fourth);
    assert_int_equal(a.status, 503);
    assert_str(answer_header(&a, "Retry-After"), "1");
    assert_str(buf_view(&a.body), "too many open connections\n");
    answer_free(&a);
    close(fourth);
    close(fds[0]);
    for (int i = 0; i < 1000; i++) { /* until the server has noticed */
        fourth = dial(&f);
        say_c(fourth, "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
        char first[16] = {0};
        ssize_t n = recv(fourth, first, 12, MSG_WAITALL);
        close(fourth);
        if (n == 12 && strcmp(first, "HTTP/1.1 200") == 0)
            break;
        assert_int_not_equal(i, 999);
        usleep(1000);
    }
    close(fds[1]);
    close(fds[2]);
    fixture_stop(&f);
}

static void test_drain(void **state)
{
    Fixture f = {0};
    fixture_start(&f, (HttpServerConfig){0});
    int idle = dial(&f), busy = dial(&f);
    say_c(idle, "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    Answer a = hear(idle);
    answer_free(&a);
    say_c(busy, "GET /stream?bytes=30000000&piece=100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!f.started)
        usleep(1000);
    fixture_halt(&f);
    http_server_drain(f.server, 1); /* too short: the request goes on */
    assert_true(is_over(idle));
    assert_int_equal(f.finished, 0);
    assert_int_equal(thread_start(&f.thread, "test-loop", fixture_thread, &f), OK);
    a = hear(busy);
    assert_int_equal(a.body.len, 30000000);
    answer_free(&a);
    assert_int_not_equal(f.finished, 0);
    int late = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(f.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(late, (struct sockaddr *)&to, sizeof to), -1);
    close(late);
    close(idle);
    close(busy);
    fixture_stop(&f);
}

static void test_free_with_requests_in_flight(void **state)
{
    Fixture f = {0};
    fixture_start(&f, (HttpServerConfig){0});
    int fds[6];
    for (int i = 0; i < 6; i++) {
        fds[i] = dial(&f);
        if (i % 3 == 0)
            say_c(fds[i], "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        else if (i % 3 == 1)
            say_c(fds[i], "GET /stream?bytes=1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
        else
            say_c(fds[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    }
    while (f.started < 2)
        usleep(1000);
    fixture_halt(&f);
    http_server_free(f.server); /* tells them, and waits for the handlers */
    for (u32 i = 0; i < 3; i++)
        pool_free(f.pools[i]);
    loop_free(f.loop);
    assert_int_equal(f.started, f.finished);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

static void test_account_limit(void **state)
{
    Account *account = account_new("requests", NULL, 1 << 20);
    Fixture f = {0};
    fixture_start(&f, (HttpServerConfig){.account = account});
    int fd = dial(&f);
    say_c(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    Buf b;
    buf_init(&b, 3000000);
    buf_reserve(&b, 3000000);
    memset(b.at, 'x', 3000000);
    b.len = 3000000;
    say(fd, buf_view(&b));
    buf_done(&b);
    Answer a = hear(fd);
    assert_int_equal(a.status, 503);
    answer_free(&a);
    close(fd);
    expect_status(&f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 200);
    fixture_stop(&f);
    assert_int_equal(account_used(account), 0);
    account_free(account);
}

static void test_idle_connections_are_small(void **state)
{
    enum { N = 1000 };
    Fixture f = {0};
    fixture_start(&f, (HttpServerConfig){.connections_max = 2 * N});
    static int fds[N];
    size_t before = 0;
    for (int i = 0; i < N; i++) {
        fds[i] = dial(&f);
        say_c(fds[i], "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
        Answer a = hear(fds[i]);
        assert_int_equal(a.status, 200);
        answer_free(&a);
        if (i == 9)
            before = allocated_bytes();
    }
    size_t each = (allocated_bytes() - before) / (N - 10);
    print_message("an idle connection takes %zu bytes\n", each);
    assert_true(each <= 16384);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    fixture_stop(&f);
}

static void test_addresses(void **state)
{
    Loop *l = loop_new(clock_real());
    HttpServer *s, *taken;
    Why why = {0};
    HttpServerConfig c = {.loop = l, .address = S("127.0.0.1:0")};
    assert_ok(http_server_new(&c, &s, &why), &why);
    c.address = http_server_address(s);
    assert_int_equal(http_server_new(&c, &taken, &why), E_EXISTS);
    assert_non_null(strstr(why.text, "cannot listen on 127.0.0.1:"));
    char self[32];
    snprintf(self, sizeof self, "(pid %d) already does", getpid());
    if (!strstr(why.text, self) || !strstr(why.text, "--web.listen-address"))
        fail_msg("%s", why.text);
    http_server_free(s);
    static const char *const bad[] = {"",           "9090",     "::1:9090", "host:port", "127.0.0.1:65536",
                                      "127.0.0.1:", "[::1]9090"};
    for (u32 i = 0; i < COUNT_OF(bad); i++) {
        c.address = str_c(bad[i]);
        assert_int_equal(http_server_new(&c, &s, &why), E_INVALID);
    }
    c.address = S(":0");
    assert_ok(http_server_new(&c, &s, &why), &why);
    http_server_free(s);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_heads_and_bodies),
        cmocka_unit_test(test_slowloris),
        cmocka_unit_test(test_reader_that_does_not_read),
        cmocka_unit_test(test_reader_that_drips),
        cmocka_unit_test(test_virtual_clock_times_out),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_free_with_requests_in_flight),
        cmocka_unit_test(test_account_limit),
        cmocka_unit_test(test_idle_connections_are_small),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
