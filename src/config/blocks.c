/* The blocks every module shares: tls_config, the inline http_config fields, headers. Prometheus's rules apply. */
#include "config/conf_internal.h"

static const char *const tls_versions[] = {"", "TLS10", "TLS11", "TLS12", "TLS13"};

static Str file_field(ConfMap *m, const char *key)
{
    Str s = conf_str(m, key, S(""));
    return s.len ? conf_file_path(m->conf, s) : s;
}

/* A *_ref field names a secret of a secret manager, which there is none of yet. */
static bool ref_field(ConfMap *m, const char *key)
{
    const ConfNode *n = conf_get(m, key);
    Str s = conf_scalar(m->conf, n, m->expand);
    if (s.len)
        conf_error(m->conf, n,
                   "secret managers are not supported yet: use the field ending in _file, or the value");
    return s.len != 0;
}

void conf_tls(ConfMap *outer, const char *key, TlsConfig *ret)
{
    ConfMap m;
    const ConfNode *n = conf_get(outer, key);
    if (!n || !conf_map_begin(outer->conf, n, &m))
        return;
    m.expand = outer->expand;
    ret->ca = conf_str(&m, "ca", S(""));
    ret->cert = conf_str(&m, "cert", S(""));
    ret->key = conf_secret(&m, "key");
    ret->ca_file = file_field(&m, "ca_file");
    ret->cert_file = file_field(&m, "cert_file");
    ret->key_file = file_field(&m, "key_file");
    ret->server_name = conf_str(&m, "server_name", S(""));
    ret->insecure_skip_verify = conf_bool(&m, "insecure_skip_verify", false);
    ret->min_version =
        str_c(tls_versions[conf_enum(&m, "min_version", tls_versions, COUNT_OF(tls_versions), 0)]);
    ret->max_version =
        str_c(tls_versions[conf_enum(&m, "max_version", tls_versions, COUNT_OF(tls_versions), 0)]);
    bool ca_ref = ref_field(&m, "ca_ref"), cert_ref = ref_field(&m, "cert_ref"),
         key_ref = ref_field(&m, "key_ref");
    int ca = (ret->ca.len != 0) + (ret->ca_file.len != 0) + ca_ref;
    int cert = (ret->cert.len != 0) + (ret->cert_file.len != 0) + cert_ref;
    int pkey = secret_is_set(ret->key) + (ret->key_file.len != 0) + key_ref;
    if (ca > 1)
        conf_error(m.conf, n, "at most one of ca and ca_file may be set");
    if (cert > 1)
        conf_error(m.conf, n, "at most one of cert and cert_file may be set");
    if (pkey > 1)
        conf_error(m.conf, n, "at most one of key and key_file may be set");
    if (cert && !pkey)
        conf_error(m.conf, n, "a client certificate needs its key: set key or key_file");
    if (pkey && !cert)
        conf_error(m.conf, n, "a client key needs its certificate: set cert or cert_file");
    conf_map_end(&m);
}

/* ---- headers ---- */

bool conf_header_is_reserved(Str name)
{
    static const char *const names[] = {
        "Authorization",
        "Host",
        "Content-Encoding",
        "Content-Length",
        "Content-Type",
        "User-Agent",
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Www-Authenticate",
        "Accept-Encoding",
        "X-Prometheus-Remote-Write-Version",
        "X-Prometheus-Remote-Read-Version",
        "X-Prometheus-Scrape-Timeout-Seconds",
        "X-Amz-Date",
        "X-Amz-Security-Token",
        "X-Amz-Content-Sha256",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_nocase(name, str_c(names[i])))
            return true;
    return false;
}

static bool header_name_is_valid(Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.at[i];
        if (ch <= ' ' || ch >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", ch))
            return false;
    }
    return s.len != 0;
}

static bool header_value_is_valid(Str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '\r' || s.at[i] == '\n' || s.at[i] == 0)
            return false;
    return true;
}

typedef VEC(HttpHeader) HeaderVec;

static void header_add(Conf *c, const ConfNode *at, HeaderVec *v, Str name, Str value)
{
    if (!header_value_is_valid(value))
        conf_error(c, at, "a header value must be a single line");
    else
        vec_push(v, (HttpHeader){name, value});
}

static void header_from_file(Conf *c, const ConfNode *at, HeaderVec *v, Str name, Str file)
{
    Buf bytes;
    Why why;
    Str path = conf_file_path(c, file);
    buf_init(&bytes, 64u << 10);
    if (vfs_read_file(vfs_os(), path.at, 64u << 10, &bytes, &why) != OK)
        conf_warn(c, at, "cannot read %.*s: the header is not sent", STR_FMT(path));
    else
        header_add(c, at, v, name, arena_dup(&c->arena, str_trim(buf_view(&bytes))));
    buf_done(&bytes);
}

static void http_headers(ConfMap *outer, HttpClientConfig *ret)
{
    Conf *c = outer->conf;
    const ConfNode *n = conf_get(outer, "http_headers");
    if (conf_node_is_null(n))
        return;
    if (n->kind != CONF_MAP) {
        conf_error(c, n, "must be a map of header names to values, secrets or files");
        return;
    }
    HeaderVec v = {0};
    for (u32 i = 0; i < n->len; i++) {
        Str name = n->keys[i].text;
        ConfMap m;
        if (conf_header_is_reserved(name))
            conf_error(
                c, &n->keys[i],
                "this header is set by Pharos itself; for credentials use authorization or basic_auth");
        else if (!header_name_is_valid(name))
            conf_error(c, &n->keys[i], "is not a valid header name");
        if (!conf_map_begin(c, &n->items[i], &m))
            continue;
        m.expand = outer->expand;
        const Str *values;
        const ConfNode *secrets;
        u32 values_len = conf_strs(&m, "values", &values);
        for (u32 k = 0; k < values_len; k++)
            header_add(c, &n->items[i], &v, name, values[k]);
        u32 secrets_len = conf_list(&m, "secrets", &secrets);
        for (u32 k = 0; k < secrets_len; k++) {
            conf_mark_secret_output(c, &secrets[k]);
            header_add(c, &secrets[k], &v, name, conf_scalar(c, &secrets[k], m.expand));
        }
        values_len = conf_strs(&m, "files", &values);
        for (u32 k = 0; k < values_len; k++)
            header_from_file(c, &n->items[i], &v, name, values[k]);
        conf_map_end(&m);
    }
    HttpHeader *at = v.len ? arena_array(&c->arena, HttpHeader, v.len) : NULL;
    if (at) {
        memcpy(at, v.at, v.len * sizeof *at);
        ret->headers = at;
        ret->headers_len = (u32)v.len;
    }
    vec_done(&v);
}

/* ---- authentication ---- */

static bool basic_auth(ConfMap *outer, HttpClientConfig *ret)
{
    const ConfNode *n = conf_get(outer, "basic_auth");
    ConfMap m;
    if (conf_node_is_null(n) || !conf_map_begin(outer->conf, n, &m))
        return false;
    m.expand = outer->expand;
    ret->basic_username = conf_str(&m, "username", S(""));
    ret->basic_username_file = file_field(&m, "username_file");
    ret->basic_password = conf_secret(&m, "password");
    ret->basic_password_file = file_field(&m, "password_file");
    bool user_ref = ref_field(&m, "username_ref"), password_ref = ref_field(&m, "password_ref");
    if ((ret->basic_username.len != 0) + (ret->basic_username_file.len != 0) + user_ref > 1)
        conf_error(m.conf, n, "at most one of username and username_file may be set");
    if (secret_is_set(ret->basic_password) + (ret->basic_password_file.len != 0) + password_ref > 1)
        conf_error(m.conf, n, "at most one of password and password_file may be set");
    conf_map_end(&m);
    return true;
}

static bool authorization(ConfMap *outer, HttpClientConfig *ret)
{
    const ConfNode *n = conf_get(outer, "authorization");
    ConfMap m;
    if (conf_node_is_null(n) || !conf_map_begin(outer->conf, n, &m))
        return false;
    m.expand = outer->expand;
    ret->auth_type = str_trim(conf_str(&m, "type", S("")));
    ret->auth_credentials = conf_secret(&m, "credentials");
    ret->auth_credentials_file = file_field(&m, "credentials_file");
    bool ref = ref_field(&m, "credentials_ref");
    if (secret_is_set(ret->auth_credentials) + (ret->auth_credentials_file.len != 0) + ref > 1)
        conf_error(m.conf, n, "at most one of credentials and credentials_file may be set");
    if (str_eq_nocase(ret->auth_type, S("basic")))
        conf_error(m.conf, n, "type cannot be \"basic\": use the basic_auth block instead");
    if (ret->auth_type.len == 0)
        ret->auth_type = S("Bearer");
    conf_map_end(&m);
    return true;
}

static void proxy_fields(ConfMap *m, HttpClientConfig *ret)
{
    const ConfNode *url = conf_get(m, "proxy_url");
    ret->proxy_url = conf_scalar(m->conf, url, m->expand);
    ret->no_proxy = conf_str(m, "no_proxy", S(""));
    ret->proxy_from_environment = conf_bool(m, "proxy_from_environment", false);
    const ConfNode *connect = conf_get(m, "proxy_connect_header");
    size_t host = str_find(ret->proxy_url, S("://"));
    if (ret->proxy_url.len && (host == SIZE_MAX || host + 3 >= ret->proxy_url.len))
        conf_warn(m->conf, url, "is not a URL such as http://proxy:3128: no request will get through");
    if (connect && connect->kind == CONF_MAP && connect->len) {
        for (u32 i = 0; i < connect->len; i++)
            for (u32 k = 0; k < connect->items[i].len; k++)
                conf_mark_secret_output(m->conf, &connect->items[i].items[k]);
        if (!ret->proxy_url.len && !ret->proxy_from_environment)
            conf_error(m->conf, connect, "needs proxy_url or proxy_from_environment");
        else
            conf_warn(m->conf, connect, "is not sent yet");
    }
    if (ret->proxy_from_environment && ret->proxy_url.len)
        conf_error(m->conf, url, "cannot be used together with proxy_from_environment");
    if (ret->no_proxy.len && ret->proxy_from_environment)
        conf_error(m->conf, conf_get(m, "no_proxy"),
                   "cannot be used together with proxy_from_environment: set NO_PROXY");
    else if (ret->no_proxy.len && !ret->proxy_url.len)
        conf_error(m->conf, conf_get(m, "no_proxy"), "needs proxy_url");
}

static bool oauth2(ConfMap *outer, HttpClientConfig *ret)
{
    const ConfNode *n = conf_get(outer, "oauth2");
    ConfMap m;
    if (conf_node_is_null(n) || !conf_map_begin(outer->conf, n, &m))
        return false;
    m.expand = outer->expand;
    ret->oauth2.client_id = conf_str(&m, "client_id", S(""));
    ret->oauth2.client_secret = conf_secret(&m, "client_secret");
    ret->oauth2.client_secret_file = file_field(&m, "client_secret_file");
    bool ref = ref_field(&m, "client_secret_ref");
    ret->oauth2.token_url = conf_str(&m, "token_url", S(""));
    ret->oauth2.scopes_len = conf_strs(&m, "scopes", &ret->oauth2.scopes);
    const ConfNode *params = conf_get(&m, "endpoint_params");
    if (params && params->kind == CONF_MAP && params->len) {
        HttpHeader *at = arena_array(&m.conf->arena, HttpHeader, params->len);
        for (u32 i = 0; at && i < params->len; i++)
            at[i] = (HttpHeader){params->keys[i].text, conf_scalar(m.conf, &params->items[i], m.expand)};
        ret->oauth2.endpoint_params = at;
        ret->oauth2.endpoint_params_len = at ? params->len : 0;
    } else if (params && !conf_node_is_null(params) && params->kind != CONF_MAP) {
        conf_error(m.conf, params, "must be a map of parameter names to values");
    }
    TlsConfig tls = {0};
    conf_tls(&m, "tls_config", &tls);
    HttpClientConfig proxy = {0};
    proxy_fields(&m, &proxy);
    static const char *const certificate_grant[] = {"client_certificate_key_id",
                                                    "client_certificate_key",
                                                    "client_certificate_key_file",
                                                    "client_certificate_key_ref",
                                                    "signature_algorithm",
                                                    "iss",
                                                    "aud",
                                                    "claims",
                                                    "grant_type"};
    for (size_t i = 0; i < COUNT_OF(certificate_grant); i++)
        if (!conf_node_is_null(conf_get(&m, certificate_grant[i])))
            conf_warn(m.conf, conf_get(&m, certificate_grant[i]),
                      "is not used yet: only client_secret signs in");
    if (ret->oauth2.client_id.len == 0)
        conf_error(m.conf, n, "oauth2 needs client_id");
    if (ret->oauth2.token_url.len == 0)
        conf_error(m.conf, n, "oauth2 needs token_url");
    if (secret_is_set(ret->oauth2.client_secret) + (ret->oauth2.client_secret_file.len != 0) + ref > 1)
        conf_error(m.conf, n, "at most one of client_secret and client_secret_file may be set");
    conf_map_end(&m);
    return true;
}

void conf_http_client(ConfMap *m, HttpClientConfig *ret)
{
    Conf *c = m->conf;
    bool has_basic = basic_auth(m, ret), has_auth = authorization(m, ret), has_oauth2 = oauth2(m, ret);
    Secret bearer = conf_secret(m, "bearer_token");
    Str bearer_file = file_field(m, "bearer_token_file");
    bool has_bearer = secret_is_set(bearer) || bearer_file.len;
    if (secret_is_set(bearer) && bearer_file.len)
        conf_error(c, m->node, "at most one of bearer_token and bearer_token_file may be set");
    if (has_bearer && (has_basic || has_oauth2))
        conf_error(c, m->node,
                   "at most one of basic_auth, oauth2, bearer_token and bearer_token_file may be set");
    if (has_bearer && has_auth)
        conf_error(c, m->node, "authorization replaces bearer_token and bearer_token_file: remove those");
    if (has_auth + has_basic + has_oauth2 > 1)
        conf_error(c, m->node, "at most one of basic_auth, oauth2 and authorization may be set");
    if (has_bearer && !has_auth) {
        ret->auth_type = S("Bearer");
        ret->auth_credentials = bearer;
        ret->auth_credentials_file = bearer_file;
    }
    conf_tls(m, "tls_config", &ret->tls);
    proxy_fields(m, ret);
    ret->no_follow_redirects = !conf_bool(m, "follow_redirects", true);
    ret->no_http2 = !conf_bool(m, "enable_http2", true);
    http_headers(m, ret);
}
