/* Every row of http/hostile.tsv over a socket, followed by a second request: in one piece and byte by byte. */
#include "fixture.h"

static void expand(Str s, Buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '{') {
            size_t close = i;
            while (s.at[close] != '}')
                close++;
            Str inside = str_sub(s, i + 1, close), text, times;
            assert_true(str_cut(inside, '*', &text, &times));
            u64 n = 0;
            assert_int_equal(parse_u64(times, &n), OK);
            Buf one;
            buf_init(&one, 4096);
            expand(text, &one);
            for (u64 k = 0; k < n; k++)
                buf_str(out, buf_view(&one));
            buf_done(&one);
            i = close;
        } else if (s.at[i] == '\\') {
            switch (s.at[++i]) {
            case 'r':
                buf_char(out, '\r');
                break;
            case 'n':
                buf_char(out, '\n');
                break;
            case 't':
                buf_char(out, '\t');
                break;
            case 'x': {
                char hex[3] = {s.at[i + 1], s.at[i + 2], 0};
                buf_char(out, (char)strtoul(hex, NULL, 16));
                i += 2;
                break;
            }
            default:
                buf_char(out, s.at[i]);
            }
        } else {
            buf_char(out, s.at[i]);
        }
    }
}

static bool is_allowed(Str list, int status)
{
    Str one;
    bool more = true;
    while (more) {
        more = str_cut(list, ',', &one, &list);
        u64 n = 0;
        if (parse_u64(str_trim(one), &n) == OK && (int)n == status)
            return true;
    }
    return false;
}

static void try_row(const Fixture *f, Str name, Str request, Str allowed, Str must_close, bool bytewise)
{
    int fd = dial(f);
    (bytewise ? say_bytewise : say)(fd, request);
    say_c(fd, "GET /show?second=yes HTTP/1.1\r\nHost: a\r\n\r\n");
    Answer a = hear(fd);
    bool closes = str_eq(must_close, S("yes"));
    if (!is_allowed(allowed, a.status) && !(a.status == 0 && closes))
        fail_msg("%.*s (%s): status %d, allowed %.*s", STR_FMT(name), bytewise ? "byte by byte" : "whole",
                 a.status, STR_FMT(allowed));
    if (closes && a.status && !is_over(fd))
        fail_msg("%.*s (%s): the connection goes on", STR_FMT(name), bytewise ? "byte by byte" : "whole");
    if (str_eq(must_close, S("no"))) {
        Answer second = hear(fd);
        if (second.status != 200 || str_find(buf_view(&second.body), S("second=yes")) == SIZE_MAX)
            fail_msg("%.*s: the second request got %d", STR_FMT(name), second.status);
        answer_free(&second);
    }
    answer_free(&a);
    close(fd);
}

static void test_hostile_table(void **state)
{
    skip_without_shared("http/hostile.tsv");
    Fixture f = {0};
    fixture_start(&f, (HttpServerConfig){0});
    Buf table;
    buf_init(&table, 1 << 20);
    Why why = {0};
    assert_ok(vfs_read_file(vfs_os(), shared_path("http/hostile.tsv"), 1 << 20, &table, &why), &why);
    Str rest = buf_view(&table), line;
    str_cut(rest, '\n', &line, &rest); /* titles */
    u32 rows = 0;
    while (rest.len) {
        str_cut(rest, '\n', &line, &rest);
        Str name = {0}, raw = {0}, allowed = {0}, must_close = {0};
        assert_true(str_cut(line, '\t', &name, &raw) && str_cut(raw, '\t', &raw, &allowed) &&
                    str_cut(allowed, '\t', &allowed, &must_close));
        Buf request;
        buf_init(&request, 4 << 20);
        expand(raw, &request);
        try_row(&f, name, buf_view(&request), allowed, str_trim(must_close), false);
        try_row(&f, name, buf_view(&request), allowed, str_trim(must_close), true);
        buf_done(&request);
        rows++;
    }
    assert_true(rows >= 35);
    buf_done(&table);
    fixture_stop(&f);
}

/* Ours: what the table has no row for. Each must be refused and end the connection. */
static void test_more_smuggling(void **state)
{
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n"),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nabcde\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\nb\r\nabcde\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nabcde\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nabcde\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabcde\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabcde\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\nb\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n folded\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde",
        "POST /echo HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /-/ready HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET /-/ready\r\nHost: a\r\n\r\n",
        "GET /-/ready HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /-/ready http/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET\t/-/ready HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /-/ready HTTP/1.1 \r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "\nGET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    Fixture f = {0};
    fixture_start(&f, (HttpServerConfig){0});
    for (u32 i = 0; i < COUNT_OF(requests); i++)
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            int fd = dial(&f);
            (bytewise ? say_bytewise : say)(fd, str_c(requests[i]));
            say_c(fd, "GET /show?second=yes HTTP/1.1\r\nHost: a\r\n\r\n");
            Answer a = hear(fd);
            if (a.status < 400 || !a.close || !is_over(fd))
                fail_msg("%s: %d", requests[i], a.status);
            answer_free(&a);
            close(fd);
        }
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_table),
        cmocka_unit_test(test_more_smuggling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
