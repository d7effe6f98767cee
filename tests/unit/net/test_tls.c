/* TLS at both ends, with certificates made here. */
#include "fixture.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static Arena arena;
static char dir[256];

typedef struct Identity {
    EVP_PKEY *key;
    X509 *cert;
} Identity;

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* issuer NULL = a CA that signs itself. */
static Identity make(const char *name, const char *san, const Identity *issuer, long serial)
{
    Identity id = {EVP_EC_gen("P-256"), X509_new()};
    X509_set_version(id.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), 86400);
    X509_set_pubkey(id.cert, id.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_ASC, (const u8 *)name, -1, -1,
                               0);
    const Identity *by = issuer ? issuer : &id;
    X509_set_issuer_name(id.cert, X509_get_subject_name(by->cert));
    add_extension(id.cert, by->cert, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    add_extension(id.cert, by->cert, NID_subject_key_identifier, "hash");
    if (issuer)
        add_extension(id.cert, by->cert, NID_subject_alt_name, san);
    else
        add_extension(id.cert, by->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    assert_true(X509_sign(id.cert, by->key, EVP_sha256()) > 0);
    return id;
}
static void identity_free(Identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

static Str pem_of(BIO *b)
{
    char *at;
    long n = BIO_get_mem_data(b, &at);
    Str s = arena_dup(&arena, str_of(at, (size_t)n));
    BIO_free(b);
    return s;
}
static Str cert_pem(const Identity *id)
{
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, id->cert);
    return pem_of(b);
}
static Str key_pem(const Identity *id)
{
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(b, id->key, NULL, NULL, 0, NULL, NULL);
    return pem_of(b);
}
static Str save(const char *name, Str text)
{
    Str path = arena_printf(&arena, "%s/%s", dir, name);
    assert_int_equal(vfs_write_file(vfs_os(), path.at, text, NULL), OK);
    return path;
}

static Identity ca, other_ca, server, named, peer;

static int start(void **state)
{
    test_dir(dir);
    arena_init(&arena, NULL, 64 << 20);
    ca = make("Test CA", NULL, NULL, 1);
    other_ca = make("Other CA", NULL, NULL, 2);
    server = make("server", "IP:127.0.0.1,DNS:localhost", &ca, 3);
    named = make("named", "DNS:metrics.example", &ca, 4);
    peer = make("client", "DNS:client", &ca, 5);
    return 0;
}
static int stop(void **state)
{
    Identity *all[] = {&ca, &other_ca, &server, &named, &peer};
    for (u32 i = 0; i < COUNT_OF(all); i++)
        identity_free(all[i]);
    arena_done(&arena);
    vfs_remove_tree(vfs_os(), dir, NULL);
    return 0;
}

typedef struct Pair {
    Fixture f;
    HttpClient *client;
} Pair;
static void pair_start(Pair *p, const Identity *id, HttpServerConfig c)
{
    *p = (Pair){.f.loop = loop_new(clock_real())};
    p->client = http_client_new(p->f.loop, NULL);
    c.tls_cert_file = save("cert.pem", cert_pem(id));
    c.tls_key_file = save("key.pem", key_pem(id));
    fixture_start(&p->f, c);
}
static void pair_stop(Pair *p)
{
    p->f.let_go = true;
    fixture_halt(&p->f);
    http_client_free(p->client);
    http_server_free(p->f.server);
    for (u32 i = 0; i < 3; i++)
        pool_free(p->f.pools[i]);
    loop_free(p->f.loop);
}
static HttpResult fetch(Pair *p, TlsConfig tls, Str body, const char *path)
{
    HttpClientConfig c = {.tls = tls};
    HttpResult r;
    HttpCall call = {
        .config = &c, .timeout_ms = 20000, .method = body.len ? S("POST") : S("GET"), .body = body};
    call.url = arena_printf(&arena, "https://127.0.0.1:%u%s", p->f.port, path);
    http_call(p->client, &call, &arena, &r);
    return r;
}
static void want_ready(Pair *p, TlsConfig tls)
{
    HttpResult r = fetch(p, tls, (Str){0}, "/-/ready");
    if (r.err != OK)
        fail_msg("%s", r.why.text);
    assert_str(r.body, "ready\n");
}
static void want_refused(Pair *p, TlsConfig tls)
{
    HttpResult r = fetch(p, tls, (Str){0}, "/-/ready");
    if (r.err == OK)
        fail_msg("the connection was made");
    assert_true(r.err == E_UNAVAILABLE || r.err == E_IO || r.err == E_INVALID);
}

static void test_verification(void **state)
{
    Pair p;
    pair_start(&p, &server, (HttpServerConfig){0});
    want_refused(&p, (TlsConfig){0}); /* the system does not know our CA */
    want_ready(&p, (TlsConfig){.ca = cert_pem(&ca)});
    want_ready(&p, (TlsConfig){.ca_file = save("ca.pem", cert_pem(&ca))});
    want_refused(&p, (TlsConfig){.ca = cert_pem(&other_ca)});
    want_ready(&p, (TlsConfig){.insecure_skip_verify = true});
    want_ready(&p, (TlsConfig){.ca = cert_pem(&ca), .server_name = S("localhost")});
    want_refused(&p, (TlsConfig){.ca = cert_pem(&ca), .server_name = S("elsewhere.example")});
    HttpResult r = fetch(&p, (TlsConfig){.ca_file = S("/none/ca.pem")}, (Str){0}, "/-/ready");
    assert_int_equal(r.err, E_NOT_FOUND);
    assert_non_null(strstr(r.why.text, "ca_file"));
    pair_stop(&p);
    pair_start(&p, &named, (HttpServerConfig){0});
    want_refused(&p, (TlsConfig){.ca = cert_pem(&ca)}); /* not its address */
    want_ready(&p, (TlsConfig){.ca = cert_pem(&ca), .server_name = S("metrics.example")});
    pair_stop(&p);
}

static void test_bodies(void **state)
{
    Pair p;
    pair_start(&p, &server, (HttpServerConfig){0});
    TlsConfig tls = {.ca = cert_pem(&ca)};
    enum { N = 3000000 };
    char *body = arena_try(&arena, N);
    random_bytes(body, N);
    for (int i = 0; i < 3; i++) {
        HttpResult r = fetch(&p, tls, str_of(body, N), "/echo");
        if (r.err != OK)
            fail_msg("%s", r.why.text);
        assert_true(str_eq(r.body, str_of(body, N)));
    }
    HttpResult r = fetch(&p, tls, (Str){0}, "/stream?bytes=5000000");
    assert_int_equal(r.body.len, 5000000);
    pair_stop(&p);
}

static void test_versions(void **state)
{
    Pair p;
    pair_start(&p, &server, (HttpServerConfig){.tls_min_version = "TLS13"});
    TlsConfig tls = {.ca = cert_pem(&ca)};
    want_ready(&p, tls);
    tls.max_version = S("TLS12");
    want_refused(&p, tls);
    pair_stop(&p);
    pair_start(&p, &server, (HttpServerConfig){0});
    want_ready(&p, tls);
    tls.min_version = S("TLS13");
    tls.max_version = (Str){0};
    want_ready(&p, tls);
    pair_stop(&p);
}

static void test_client_certificates(void **state)
{
    Pair p;
    pair_start(&p, &server, (HttpServerConfig){.tls_client_ca_file = save("client_ca.pem", cert_pem(&ca))});
    TlsConfig tls = {.ca = cert_pem(&ca)};
    want_refused(&p, tls);
    tls.cert = cert_pem(&peer);
    tls.key = (Secret){key_pem(&peer)};
    want_ready(&p, tls);
    tls = (TlsConfig){.ca = cert_pem(&ca),
                      .cert_file = save("peer.pem", cert_pem(&peer)),
                      .key_file = save("peer.key", key_pem(&peer))};
    want_ready(&p, tls);
    Identity stranger = make("stranger", "DNS:client", &other_ca, 6);
    tls = (TlsConfig){.ca = cert_pem(&ca), .cert = cert_pem(&stranger), .key = {key_pem(&stranger)}};
    want_refused(&p, tls);
    pair_stop(&p);
    pair_start(&p, &server, (HttpServerConfig){.tls_client_auth_type = S("RequireAnyClientCert")});
    want_refused(&p, (TlsConfig){.ca = cert_pem(&ca)});
    want_ready(&p, tls);
    pair_stop(&p);
    pair_start(&p, &server,
               (HttpServerConfig){.tls_client_auth_type = S("VerifyClientCertIfGiven"),
                                  .tls_client_ca_file = save("client_ca.pem", cert_pem(&ca))});
    want_ready(&p, (TlsConfig){.ca = cert_pem(&ca)});
    want_refused(&p, tls);
    pair_stop(&p);
    identity_free(&stranger);
}

/* A new connection after the files changed gets the new certificate; broken files leave the old one in place. */
static void test_reload(void **state)
{
    Pair p;
    pair_start(&p, &server, (HttpServerConfig){0});
    TlsConfig old = {.ca = cert_pem(&ca)}, fresh = {.ca = cert_pem(&other_ca)};
    want_ready(&p, old);
    Identity next = make("next", "IP:127.0.0.1", &other_ca, 7);
    save("key.pem", S("not a key\n"));
    usleep(1100000);                  /* files are looked at once a second, when a connection comes */
    old.server_name = S("localhost"); /* so that one comes */
    want_ready(&p, old);
    save("key.pem", key_pem(&next));
    save("cert.pem", cert_pem(&next));
    bool is_new = false;
    for (int i = 0; i < 100 && !is_new; i++) {
        is_new = fetch(&p, fresh, (Str){0}, "/-/ready").err == OK;
        usleep(50000);
    }
    assert_true(is_new);
    identity_free(&next);
    pair_stop(&p);
}

static void test_plain_and_garbage_on_a_tls_port(void **state)
{
    Pair p;
    pair_start(&p, &server, (HttpServerConfig){.head_timeout_ms = 1000});
    int plain = dial(&p.f), silent = dial(&p.f), half = dial(&p.f);
    say_c(plain, "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    say_c(half, "\x16\x03\x01\x02\x00\x01");
    char c[64];
    ssize_t n;
    while ((n = recv(plain, c, sizeof c, 0)) > 0) /* at most an alert */
        assert_null(memchr(c, 'r', (size_t)n) && strstr(c, "ready") ? c : NULL);
    assert_true(is_over(silent));
    assert_true(is_over(half));
    close(plain);
    close(silent);
    close(half);
    want_ready(&p, (TlsConfig){.ca = cert_pem(&ca)});
    pair_stop(&p);
}

static void test_configuration_errors(void **state)
{
    Loop *l = loop_new(clock_real());
    HttpServer *s;
    Why why = {0};
    HttpServerConfig c = {.loop = l, .address = S("127.0.0.1:0"), .tls_cert_file = S("/none/cert.pem")};
    assert_int_equal(http_server_new(&c, &s, &why), E_INVALID); /* no key */
    c.tls_key_file = S("/none/key.pem");
    assert_int_equal(http_server_new(&c, &s, &why), E_NOT_FOUND);
    assert_non_null(strstr(why.text, "/none/cert.pem"));
    c.tls_cert_file = save("a.pem", cert_pem(&server));
    c.tls_key_file = save("b.pem", key_pem(&named)); /* another's */
    assert_int_equal(http_server_new(&c, &s, &why), E_INVALID);
    c.tls_key_file = save("b.pem", S("rubbish"));
    assert_int_equal(http_server_new(&c, &s, &why), E_INVALID);
    c.tls_key_file = save("b.pem", key_pem(&server));
    c.tls_client_ca_file = save("c.pem", S("rubbish"));
    assert_int_equal(http_server_new(&c, &s, &why), E_INVALID);
    c.tls_client_ca_file = save("c.pem", cert_pem(&ca));
    c.tls_client_auth_type = S("NoClientCert");
    assert_int_equal(http_server_new(&c, &s, &why), E_INVALID);
    c.tls_client_auth_type = S("Perhaps");
    assert_int_equal(http_server_new(&c, &s, &why), E_INVALID);
    c.tls_client_ca_file = (Str){0};
    c.tls_client_auth_type = S("RequireAndVerifyClientCert");
    assert_int_equal(http_server_new(&c, &s, &why), E_INVALID);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verification),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_client_certificates),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_plain_and_garbage_on_a_tls_port),
        cmocka_unit_test(test_configuration_errors),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
