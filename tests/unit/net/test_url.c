#include "test.h"
#include "net/client.h"
#include "net/head.h"
#include <arpa/inet.h>

static void check_url(const char *text, const char *host, u16 port, const char *path, const char *query)
{
    Url u;
    Why why = {0};
    assert_ok(url_parse(str_c(text), &u, &why), &why);
    assert_str(u.host, host);
    assert_int_equal(u.port, port);
    assert_str(u.path, path);
    if (query)
        assert_str(u.query, query);
    else
        assert_null(u.query.at);
}

static void test_url_parse(void **state)
{
    check_url("http://a", "a", 80, "", NULL);
    check_url("https://a.b:8443/x/y?z=1?2#f?#", "a.b", 8443, "/x/y", "z=1?2");
    check_url("http://[::1]:9090/", "::1", 9090, "/", NULL);
    check_url("HTTPS://u:p@h?q", "h", 443, "", "q");
    check_url("http://u:p@q@h:1/", "h", 1, "/", NULL);
    check_url("http://h:/", "h", 80, "/", NULL);
    check_url("unix:///var/run/x", "", 0, "/var/run/x", NULL);
    static const char *const bad[] = {"",
                                      "a",
                                      "//a",
                                      "http:/a",
                                      "http://",
                                      "1http://a",
                                      "http://[a",
                                      "http://[::1]x",
                                      "http://a:b/",
                                      "http://a:99999",
                                      "http://a b/",
                                      "http://a/\n",
                                      "http://a\x01/",
                                      "http://::1/",
                                      "http://a%41/",
                                      "http://[zz]/",
                                      "http://[33%3]/",
                                      "http://[]/",
                                      "ht~tp://a/"};
    for (u32 i = 0; i < COUNT_OF(bad); i++) {
        Url u;
        if (url_parse(str_c(bad[i]), &u, NULL) == OK)
            fail_msg("«%s» was accepted", bad[i]);
    }
}

static void check_redacted(const char *url, const char *want)
{
    Buf b;
    buf_init(&b, 4096);
    url_print_redacted(&b, str_c(url));
    assert_str(buf_view(&b), want);
    buf_done(&b);
}

static void test_redaction(void **state)
{
    check_redacted("http://a/b?c=d#e", "http://a/b?c=d#e");
    check_redacted("http://user:secret@a:1/b", "http://user:xxxxx@a:1/b");
    check_redacted("http://user@a/", "http://user@a/");
    check_redacted("http://u:p@[::1]:2/", "http://u:xxxxx@[::1]:2/");
    check_redacted("https://discord.com/api/webhooks/12/abcDEF", "https://discord.com/api/webhooks/12/xxxxx");
    check_redacted("https://discord.com/api/webhooks/12/abcDEF/messages/9?wait=true",
                   "https://discord.com/api/webhooks/12/xxxxx/messages/9?wait=true");
    check_redacted("user:secret@host", "<not a URL>");
}

static void check_address(const char *text, bool is_public)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    const void *a = &in;
    if (inet_pton(AF_INET, text, &in.sin_addr) != 1) {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        a = &in6;
    }
    if (egress_is_public(a) != is_public)
        fail_msg("%s", text);
}

static void test_egress(void **state)
{
    static const char *const public[] = {
        "1.1.1.1",         "8.8.8.8",         "9.255.255.255",        "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",     "126.255.255.255",      "128.0.0.0",
        "169.253.255.255", "172.15.255.255",  "172.32.0.0",           "192.167.255.255",
        "192.169.0.0",     "198.17.255.255",  "198.20.0.0",           "223.255.255.255",
        "168.63.129.15",   "2606:4700::1111", "2001:4860:4860::8888", "2a00::1",
        "2003::1"};
    static const char *const not_public[] = {"0.0.0.0",
                                             "0.1.2.3",
                                             "10.0.0.0",
                                             "10.255.255.255",
                                             "100.64.0.0",
                                             "100.127.255.255",
                                             "127.0.0.1",
                                             "127.255.255.255",
                                             "169.254.0.0",
                                             "169.254.169.254",
                                             "172.16.0.0",
                                             "172.31.255.255",
                                             "192.0.0.1",
                                             "192.0.2.1",
                                             "192.88.99.1",
                                             "192.168.0.0",
                                             "198.18.0.0",
                                             "198.19.255.255",
                                             "198.51.100.7",
                                             "203.0.113.9",
                                             "224.0.0.1",
                                             "239.1.1.1",
                                             "240.0.0.1",
                                             "255.255.255.255",
                                             "168.63.129.16",
                                             "::",
                                             "::1",
                                             "::ffff:8.8.8.8",
                                             "::8.8.8.8",
                                             "64:ff9b::808:808",
                                             "100::1",
                                             "2001::1",
                                             "2001:1::1",
                                             "2001:db8::1",
                                             "2002:808:808::1",
                                             "3fff::1",
                                             "fc00::1",
                                             "fd00:ec2::254",
                                             "fe80::1",
                                             "fec0::1",
                                             "ff02::1"};
    for (u32 i = 0; i < COUNT_OF(public); i++)
        check_address(public[i], true);
    for (u32 i = 0; i < COUNT_OF(not_public); i++)
        check_address(not_public[i], false);
}

/* Canonical paths are stable, never leave the root, and never hold what routing could misread. */
static void test_canonical_paths(void **state)
{
    static const char alphabet[] = "/..a%2fe2E/";
    Arena a;
    arena_init(&a, NULL, 0);
    u64 x = 7;
    for (int i = 0; i < 200000; i++) {
        char raw[24];
        u32 n = 1;
        raw[0] = '/';
        x = x * 6364136223846793005u + 1442695040888963407u;
        for (u64 y = x; n < sizeof raw && y; y >>= 5)
            raw[n++] = alphabet[y % (sizeof alphabet - 1)];
        Str once, twice;
        arena_reset(&a);
        if (!path_canonical(str_of(raw, n), &a, &once))
            continue;
        assert_true(once.len > 0 && once.at[0] == '/');
        assert_true(str_find(once, S("//")) == SIZE_MAX && str_find(once, S("/./")) == SIZE_MAX &&
                    str_find(once, S("/../")) == SIZE_MAX && !str_ends(once, S("/..")));
        if (str_find_char(once, '%') == SIZE_MAX) {
            assert_true(path_canonical(once, &a, &twice));
            assert_true(str_eq(once, twice));
        }
    }
    arena_done(&a);
}

static void test_accepts(void **state)
{
    assert_true(accepts_coding(S("gzip"), S("gzip")));
    assert_true(accepts_coding(S("br;q=1.0, GZIP;q=0.001"), S("gzip")));
    assert_false(accepts_coding(S("gzip;q=0"), S("gzip")));
    assert_false(accepts_coding(S("gzip; q=0.000"), S("gzip")));
    assert_false(accepts_coding(S(""), S("gzip")));
    assert_false(accepts_coding(S("xgzip, *"), S("gzip")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_parse), cmocka_unit_test(test_redaction),
        cmocka_unit_test(test_egress),    cmocka_unit_test(test_canonical_paths),
        cmocka_unit_test(test_accepts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
