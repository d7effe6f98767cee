/* web.config.file: what is read and refused; and who gets in through a real server. */
#include "net/fixture.h"
#include "tenant/tenant.h"
#include <crypt.h>

static char dir[256];

static int start(void **state)
{
    test_dir(dir);
    return 0;
}
static int stop(void **state)
{
    vfs_remove_tree(vfs_os(), dir, NULL);
    return 0;
}

static const char *hash_of(const char *password, char ret[CRYPT_OUTPUT_SIZE])
{
    struct crypt_data *data = mem_zalloc(sizeof *data);
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    assert_non_null(crypt_gensalt_rn("$2b$", 4, NULL, 0, salt, sizeof salt));
    snprintf(ret, CRYPT_OUTPUT_SIZE, "%s", crypt_r(password, salt, data));
    mem_free(data);
    return ret;
}

static Conf *read_yaml(const char *yaml, WebConfig *ret)
{
    char file[300];
    snprintf(file, sizeof file, "%s/web.yml", dir);
    Conf *c = conf_new(file);
    assert_true(conf_parse(c, str_c(yaml)));
    web_config_read(c, ret);
    return c;
}

static void test_reading(void **state)
{
    char hash[CRYPT_OUTPUT_SIZE], yaml[2000], path[300];
    snprintf(path, sizeof path, "%s/token", dir);
    assert_int_equal(vfs_write_file(vfs_os(), path, S("a-token-out-of-a-file\n"), NULL), OK);
    snprintf(
        yaml, sizeof yaml,
        "tls_server_config:\n  cert_file: server.crt\n  key_file: /k/server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  min_version: TLS13\n"
        "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n"
        "basic_auth_users:\n  alice: %s\n  bob: %s\n"
        "bearer_tokens:\n- token: 0123456789abcdef\n  tenant: team-a\n  name: pusher\n"
        "- token_file: token\n  role: read\n",
        hash_of("a", hash), hash);
    WebConfig w;
    Conf *c = read_yaml(yaml, &w);
    Why why = {0};
    assert_ok(conf_finish(c, &why), &why);
    assert_true(str_starts(w.tls_cert_file, str_c(dir)) && str_ends(w.tls_cert_file, S("/server.crt")));
    assert_str(w.tls_key_file, "/k/server.key");
    assert_string_equal(w.tls_min_version, "TLS13");
    assert_str(w.tls_client_auth_type, "RequireAndVerifyClientCert");
    assert_int_equal(w.headers_len, 1);
    assert_str(w.headers[0].value, "deny");
    assert_int_equal(w.users_len, 2);
    assert_str(w.users[1].name, "bob");
    assert_int_equal(w.tokens_len, 2);
    assert_str(w.tokens[0].tenant, "team-a");
    assert_int_equal(w.tokens[0].role, ROLE_WRITE);
    assert_int_equal(w.tokens[1].role, ROLE_READ);
    assert_str(secret_reveal(w.tokens[1].token), "a-token-out-of-a-file");
    Buf b;
    buf_init(&b, 65536);
    conf_print_yaml(c, &b); /* no secret comes out */
    assert_true(str_find(buf_view(&b), S("$2b$")) == SIZE_MAX);
    assert_true(str_find(buf_view(&b), S("0123456789abcdef")) == SIZE_MAX);
    buf_done(&b);
    conf_free(c);
    c = read_yaml("", &w);
    assert_ok(conf_finish(c, &why), &why);
    assert_int_equal(w.users_len + w.tokens_len, 0);
    conf_free(c);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *yaml, *says;
    } bad[] = {
        {"tls_server_config:\n  cert_file: a\n", "key_file"},
        {"tls_server_config:\n  cert_file: a\n  key_file: b\n  min_version: SSL3\n", "SSL3"},
        {"tls_server_config:\n  cert_file: a\n  key_file: b\n  client_auth_type: Perhaps\n", "Perhaps"},
        {"tls_server_config:\n  cert_file: a\n  key_file: b\n  client_ca_file: c\n", "client_auth_type"},
        {"tls_server_config:\n  cert_file: a\n  key_file: b\n  client_auth_type: "
         "RequireAndVerifyClientCert\n",
         "client_ca_file"},
        {"basic_auth_users:\n  alice: plain\n", "bcrypt"},
        {"basic_auth_users:\n  alice: $2y$10$short\n", "bcrypt"},
        {"basic_auth_users: [a]\n", "block"},
        {"basic_auth_user:\n  a: b\n", "basic_auth_users"},
        {"http_server_config:\n  headers:\n    X-Mine: a\n", "X-Mine"},
        {"bearer_tokens:\n- tenant: a\n", "exactly one"},
        {"bearer_tokens:\n- token: a\n  token_file: b\n", "exactly one"},
        {"bearer_tokens:\n- token: abcdefghijklmnopq\n  role: king\n", "king"},
        {"bearer_tokens:\n- token_file: none\n", "token_file"},
    };
    for (u32 i = 0; i < COUNT_OF(bad); i++) {
        WebConfig w;
        Why why = {0};
        Conf *c = read_yaml(bad[i].yaml, &w);
        if (conf_finish(c, &why) == OK || !strstr(why.text, bad[i].says))
            fail_msg("%s: %s", bad[i].yaml, why.text);
        conf_free(c);
    }
}

static int status_with(Fixture *f, const char *path, const char *authorization)
{
    char request[600];
    snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: a\r\n%s%s%s\r\n", path,
             authorization[0] ? "Authorization: " : "", authorization, authorization[0] ? "\r\n" : "");
    Answer a = ask(f, str_c(request));
    int status = a.status;
    if (status == 401)
        assert_str(answer_header(&a, "WWW-Authenticate"), "Basic");
    assert_true(str_find(buf_view(&a.body), S("wonder")) == SIZE_MAX);
    answer_free(&a);
    return status;
}

static const char *basic(const char *user, const char *password)
{
    static char text[4][256];
    static int turn;
    char *to = text[turn++ & 3];
    Buf plain, coded;
    buf_init(&plain, 256);
    buf_init(&coded, 256);
    buf_printf(&plain, "%s:%s", user, password);
    base64_encode(&coded, buf_view(&plain));
    snprintf(to, 256, "Basic %s", buf_cstr(&coded));
    buf_done(&plain);
    buf_done(&coded);
    return to;
}

static void test_who_gets_in(void **state)
{
    char alice[CRYPT_OUTPUT_SIZE], bob[CRYPT_OUTPUT_SIZE];
    struct WebUser users[] = {{S("alice"), {str_c(hash_of("wonder:land", alice))}},
                              {S("bob"), {str_c(hash_of("builder", bob))}}};
    struct WebToken tokens[] = {{{S("reader-token-1234")}, S("team-a"), S("reader"), ROLE_READ},
                                {{S("writer-token-1234")}, S("team-b"), S("writer"), ROLE_WRITE}};
    WebConfig w = {.users = users, .users_len = 2, .tokens = tokens, .tokens_len = 2};
    Credentials *c = credentials_new(&w);
    Fixture f = {.auth = credentials_authenticator(c)};
    fixture_start(&f, (HttpServerConfig){0});
    Metric *checks = metric_counter("pharos_password_checks_total", "", "");
    const char *get = "GET /api/v1/query", *put = "POST /echo";
    assert_int_equal(status_with(&f, get, ""), 401);
    /* No role is needed there, but somebody known is. */
    assert_int_equal(status_with(&f, "GET /-/ready", ""), 401);
    assert_int_equal(status_with(&f, "GET /-/ready", "Bearer reader-token-1234"), 200);
    assert_int_equal(status_with(&f, "GET /no/such", ""), 401);
    assert_int_equal(status_with(&f, "GET /no/such", "Bearer reader-token-1234"), 404);
    f64 before = metric_value(checks);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(status_with(&f, get, basic("alice", "wonder:land")), 200);
        assert_int_equal(status_with(&f, get, basic("alice", "wonder")), 401);
        assert_int_equal(status_with(&f, get, basic("bob", "wonder:land")), 401);
        assert_int_equal(status_with(&f, get, basic("nobody", "wonder:land")), 401);
    }
    assert_true(metric_value(checks) - before == 4); /* one bcrypt for each pair, right or wrong or unknown */
    assert_int_equal(status_with(&f, put, basic("bob", "builder")), 200);
    assert_int_equal(status_with(&f, get, "Basic !!!"), 401);
    assert_int_equal(status_with(&f, get, "Basic"), 401);
    assert_int_equal(status_with(&f, get, "Digest abc"), 401);
    assert_int_equal(status_with(&f, get, "Bearer reader-token-1234"), 200);
    assert_int_equal(status_with(&f, get, "bearer reader-token-1234"), 200);
    assert_int_equal(status_with(&f, get, "Bearer reader-token-123"), 401);
    assert_int_equal(status_with(&f, get, "Bearer "), 401);
    assert_int_equal(status_with(&f, put, "Bearer reader-token-1234"), 403);
    assert_int_equal(status_with(&f, put, "Bearer writer-token-1234"), 200);
    /* the credential's tenant wins over the header */
    expect_body(&f,
                "GET /api/v1/query HTTP/1.1\r\nHost: a\r\nX-Scope-OrgID: team-b\r\nAuthorization: Bearer "
                "reader-token-1234\r\n\r\n",
                "GET /api/v1/query\ntenant team-a\nuser reader role 1\nbody 0\n");
    /* a large body is not read from those who may not send it, nor announced bodies asked for */
    int fd = dial(&f);
    say_c(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    Answer a = hear(fd);
    assert_int_equal(a.status, 401);
    answer_free(&a);
    close(fd);
    fd = dial(&f);
    say_c(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\nAuthorization: "
              "Bearer writer-token-1234\r\n\r\n");
    a = hear(fd);
    assert_int_equal(a.status, 100);
    answer_free(&a);
    say_c(fd, "abc");
    a = hear(fd);
    assert_str(buf_view(&a.body), "abc");
    answer_free(&a);
    close(fd);
    /* replaced while running: old passwords end at once, cached or not */
    users[0].bcrypt_hash = (Secret){str_c(hash_of("changed", alice))};
    w.tokens_len = 0;
    credentials_replace(c, &w);
    assert_int_equal(status_with(&f, get, basic("alice", "wonder:land")), 401);
    assert_int_equal(status_with(&f, get, basic("alice", "changed")), 200);
    assert_int_equal(status_with(&f, get, "Bearer reader-token-1234"), 401);
    w.users_len = 0;
    credentials_replace(c, &w);
    assert_int_equal(status_with(&f, put, ""), 200); /* nothing configured: everybody */
    fixture_stop(&f);
    credentials_free(c);
}

typedef struct Guess {
    Fixture *f;
    const char *password;
    int status;
} Guess;
static void *guess(void *arg)
{
    Guess *g = arg;
    g->status = status_with(g->f, "GET /api/v1/query", basic("alice", g->password));
    return NULL;
}

/* Many wrong guesses at once: each is refused, and the right one keeps getting in from the cache. */
static void test_guessing(void **state)
{
    char alice[CRYPT_OUTPUT_SIZE];
    struct WebUser user = {S("alice"), {str_c(hash_of("wonder", alice))}};
    WebConfig w = {.users = &user, .users_len = 1};
    Credentials *c = credentials_new(&w);
    Fixture f = {.auth = credentials_authenticator(c)};
    fixture_start(&f, (HttpServerConfig){0});
    char right[] = "Basic YWxpY2U6d29uZGVy";
    assert_int_equal(status_with(&f, "GET /api/v1/query", right), 200);
    for (int i = 0; i < 300; i++) { /* more than the cache of wrong ones holds */
        char password[32];
        snprintf(password, sizeof password, "guess%d", i);
        Guess g = {&f, password, 0};
        guess(&g);
        assert_int_equal(g.status, 401);
    }
    f64 before = metric_value(metric_counter("pharos_password_checks_total", "", ""));
    assert_int_equal(status_with(&f, "GET /api/v1/query", right), 200);
    assert_true(metric_value(metric_counter("pharos_password_checks_total", "", "")) == before);
    fixture_stop(&f);
    credentials_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_who_gets_in),
        cmocka_unit_test(test_guessing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
