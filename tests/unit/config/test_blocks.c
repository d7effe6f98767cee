/* Shared blocks: http client, tls, relabel rules: what is read, and what is refused as Prometheus refuses it. */
#include "test.h"
#include "config/config.h"

static u32 http_errors(const char *yaml, HttpClientConfig *ret, Conf **ret_conf)
{
    Conf *c = conf_new("conf/p.yml");
    ConfMap m;
    conf_parse(c, str_c(yaml));
    *ret = (HttpClientConfig){0};
    conf_map_begin(c, conf_root(c), &m);
    conf_http_client(&m, ret);
    conf_map_end(&m);
    u32 n = conf_error_count(c);
    *ret_conf = c;
    return n;
}

static void test_http_client_reads(void **state)
{
    HttpClientConfig h;
    Conf *c;
    assert_int_equal(
        http_errors("basic_auth: {username: u, password: p}\nfollow_redirects: false\nenable_http2: false\n"
                    "proxy_url: http://proxy:3128\nno_proxy: localhost\n"
                    "tls_config: {ca_file: ca.pem, cert_file: /c.pem, key_file: k.pem, server_name: s, "
                    "min_version: TLS12}\n"
                    "http_headers: {X-A: {values: [v1], secrets: [s1]}}\n",
                    &h, &c),
        0);
    assert_str(h.basic_username, "u");
    assert_str(secret_reveal(h.basic_password), "p");
    assert_true(h.no_follow_redirects && h.no_http2);
    assert_str(h.tls.ca_file, "conf/ca.pem");
    assert_str(h.tls.cert_file, "/c.pem");
    assert_str(h.tls.min_version, "TLS12");
    assert_int_equal(h.headers_len, 2);
    assert_str(h.headers[1].value, "s1");
    conf_free(c);
    assert_int_equal(http_errors("bearer_token: t\n", &h, &c), 0);
    assert_str(h.auth_type, "Bearer");
    assert_str(secret_reveal(h.auth_credentials), "t");
    conf_free(c);
    assert_int_equal(http_errors("authorization: {credentials_file: tok}\n", &h, &c), 0);
    assert_str(h.auth_type, "Bearer");
    assert_str(h.auth_credentials_file, "conf/tok");
    conf_free(c);
    assert_int_equal(http_errors("oauth2: {client_id: a, client_secret: b, token_url: 'http://t', scopes: "
                                 "[x], endpoint_params: {k: v}}\n",
                                 &h, &c),
                     0);
    assert_int_equal(h.oauth2.scopes_len, 1);
    assert_str(h.oauth2.endpoint_params[0].value, "v");
    conf_free(c);
}

static void test_http_client_refuses(void **state)
{
    static const char *const bad[] = {
        "bearer_token: a\nbearer_token_file: b\n",
        "bearer_token: a\nbasic_auth: {username: u}\n",
        "bearer_token: a\nauthorization: {credentials: c}\n",
        "authorization: {credentials: c}\nbasic_auth: {username: u}\n",
        "authorization: {type: ' Basic ', credentials: c}\n",
        "authorization: {credentials: c, credentials_file: f}\n",
        "basic_auth: {username: u, username_file: f}\n",
        "basic_auth: {password: u, password_file: f}\n",
        "oauth2: {client_secret: s, token_url: 'http://t'}\n",
        "oauth2: {client_id: s}\n",
        "oauth2: {client_id: s, token_url: 'http://t', client_secret: a, client_secret_file: b}\n",
        "tls_config: {cert_file: a}\n",
        "tls_config: {key_file: a}\n",
        "tls_config: {ca: a, ca_file: b}\n",
        "tls_config: {min_version: TLS14}\n",
        "no_proxy: x\n",
        "proxy_url: http://p\nproxy_from_environment: true\n",
        "http_headers: {authorization: {values: [x]}}\n",
        "http_headers: {'a b': {values: [x]}}\n",
        "http_headers: {X-A: {values: [\"x\\ny\"]}}\n",
        "basic_auth: {usernam: x}\n",
        "proxy_connect_header: {X: [y]}\n",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        HttpClientConfig h;
        Conf *c;
        if (http_errors(bad[i], &h, &c) == 0)
            fail_msg("accepted: %s", bad[i]);
        conf_free(c);
    }
}

static u32 relabel_errors(const char *rule, bool legacy)
{
    char yaml[512];
    Conf *c = conf_new("p.yml");
    ConfMap m;
    snprintf(yaml, sizeof yaml, "relabel_configs: [%s]\n", rule);
    conf_set_legacy_names(c, legacy);
    conf_parse(c, str_c(yaml));
    conf_map_begin(c, conf_root(c), &m);
    RelabelRules r = conf_relabel(&m, "relabel_configs");
    conf_map_end(&m);
    u32 n = conf_error_count(c);
    assert_int_equal(r.len, n ? 0 : 1);
    conf_free(c);
    return n;
}

static void test_relabel_rules(void **state)
{
    static const char *const good[] = {
        "{target_label: a, replacement: '${1}x'}",
        "{source_labels: [a], target_label: 'x_${1}'}",
        "{action: KEEP, source_labels: [a], regex: x}",
        "{action: labelmap, regex: 'a(.*)'}",
        "{action: labeldrop, regex: x}",
        "{action: hashmod, modulus: 4, source_labels: [a], target_label: __tmp}",
        "{regex: null, target_label: a}",
        "{action: keepequal, source_labels: [a], target_label: b}",
        "{action: uppercase, source_labels: [a], target_label: b}",
        "{target_label: 'my.label'}",
    };
    static const char *const bad[] = {
        "{}",
        "null",
        "{action: nothing}",
        "{action: null}",
        "{action: hashmod, target_label: a}",
        "{action: hashmod, modulus: 3}",
        "{regex: 'a(', target_label: x}",
        "{action: labeldrop, source_labels: [a]}",
        "{action: labelkeep, separator: ','}",
        "{action: keepequal, source_labels: [a], target_label: b, regex: x}",
        "{action: dropequal, source_labels: [a]}",
        "{action: lowercase, source_labels: [a], target_label: b, replacement: c}",
        "{action: labelmap, replacement: ''}",
        "{target_label: a, modulus: -1}",
        "{target_label: a, source_labels: ['']}",
        "{target_label: a, source_label: [b]}",
        "{target_label: a, source_labels: b}",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (relabel_errors(good[i], false))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (!relabel_errors(bad[i], false))
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(relabel_errors("{target_label: 'my.label'}", true), 1);
    assert_int_equal(relabel_errors("{target_label: 'my.${1}'}", true), 1);
    assert_int_equal(relabel_errors("{target_label: 'my_${1}'}", true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_client_reads),
        cmocka_unit_test(test_http_client_refuses),
        cmocka_unit_test(test_relabel_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
