/* Prometheus's web.config.file, with bearer tokens as ours. */
#include "tenant/tenant.h"

enum { TOKEN_FILE_BYTES_MAX = 65536, TOKEN_BYTES_SHORT = 16 };

static const char *const client_auth_types[] = {
    "NoClientCert",      "RequestClientCert",       "RequireAnyClientCert",
    "RequireClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert",
};
static const char *const tls_versions[] = {"TLS10", "TLS11", "TLS12", "TLS13"};
static const char *const roles[] = {"none", "read", "write", "admin"};

static void read_tls(Conf *c, const ConfNode *n, WebConfig *ret)
{
    ConfMap m;
    ret->tls_min_version = "TLS12";
    if (!n || !conf_map_begin(c, n, &m))
        return;
    ret->tls_cert_file = conf_file_path(c, conf_str(&m, "cert_file", S("")));
    ret->tls_key_file = conf_file_path(c, conf_str(&m, "key_file", S("")));
    ret->tls_client_ca_file = conf_file_path(c, conf_str(&m, "client_ca_file", S("")));
    u32 type = conf_enum(&m, "client_auth_type", client_auth_types, COUNT_OF(client_auth_types), 0);
    ret->tls_client_auth_type = str_c(client_auth_types[type]);
    ret->tls_min_version =
        tls_versions[conf_enum(&m, "min_version", tls_versions, COUNT_OF(tls_versions), 2)];
    conf_ignore(&m, "max_version"); /* OpenSSL picks the best of what both sides have */
    conf_ignore(&m, "cipher_suites");
    conf_ignore(&m, "curve_preferences");
    conf_ignore(&m, "prefer_server_cipher_suites");
    if (conf_has(&m, "client_allowed_sans"))
        conf_error(c, conf_get(&m, "client_allowed_sans"),
                   "client_allowed_sans is not supported yet: remove it");
    if (str_empty(ret->tls_cert_file) != str_empty(ret->tls_key_file))
        conf_error(c, n, "TLS needs both cert_file and key_file");
    else if (str_empty(ret->tls_cert_file))
        conf_error(c, n, "missing cert_file and key_file");
    bool verifies = type >= 4;
    if (verifies && str_empty(ret->tls_client_ca_file))
        conf_error(c, n, "client_auth_type %s needs a client_ca_file", client_auth_types[type]);
    if (type == 0 && !str_empty(ret->tls_client_ca_file))
        conf_error(c, n,
                   "client_ca_file is given without a client_auth_type: use RequireAndVerifyClientCert");
    conf_map_end(&m);
}

/* The headers that Prometheus allows here. */
static void read_headers(Conf *c, const ConfNode *n, WebConfig *ret)
{
    static const char *const known[] = {"Strict-Transport-Security", "X-Content-Type-Options",
                                        "X-Frame-Options", "X-XSS-Protection", "Content-Security-Policy"};
    ConfMap m;
    if (!n || !conf_map_begin(c, n, &m))
        return;
    HttpHeader *headers = arena_alloc(conf_arena(c), sizeof(HttpHeader) * COUNT_OF(known));
    for (u32 i = 0; i < COUNT_OF(known); i++) {
        Str value = conf_str(&m, known[i], S(""));
        for (size_t k = 0; k < value.len; k++)
            if ((u8)value.at[k] < 0x20 || value.at[k] == 0x7f) {
                conf_error(c, n, "the value of %s holds a control character", known[i]);
                value = S("");
            }
        if (value.len)
            headers[ret->headers_len++] = (HttpHeader){str_c(known[i]), value};
    }
    ret->headers = headers;
    conf_map_end(&m);
}

static void read_http(Conf *c, const ConfNode *n, WebConfig *ret)
{
    ConfMap m;
    if (!n || !conf_map_begin(c, n, &m))
        return;
    conf_ignore(&m, "http2");
    read_headers(c, conf_get(&m, "headers"), ret);
    conf_map_end(&m);
}

/* "$2y$10$" and 53 characters of salt and hash. */
static bool is_bcrypt(Str h)
{
    if (h.len != 60 || !str_starts(h, S("$2")) || !strchr("abxy", h.at[2]) || h.at[3] != '$' ||
        h.at[6] != '$')
        return false;
    int cost = (h.at[4] - '0') * 10 + h.at[5] - '0';
    if (h.at[4] < '0' || h.at[4] > '3' || h.at[5] < '0' || h.at[5] > '9' || cost < 4 || cost > 31)
        return false;
    for (size_t i = 7; i < h.len; i++) {
        char b = h.at[i];
        if (!((b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || b == '.' ||
              b == '/'))
            return false;
    }
    return true;
}

static void read_users(Conf *c, const ConfNode *n, WebConfig *ret)
{
    if (!n || n->kind == CONF_NULL)
        return;
    if (n->kind != CONF_MAP) {
        conf_error(c, n, "must be a block of `name: bcrypt hash` lines");
        return;
    }
    ret->users = arena_array(conf_arena(c), struct WebUser, n->len + 1);
    for (u32 i = 0; ret->users && i < n->len; i++) {
        Str hash = conf_scalar(c, &n->items[i], false); /* a hash is full of dollar signs */
        conf_mark_secret_output(c, &n->items[i]);
        if (!is_bcrypt(hash))
            conf_error(c, &n->items[i],
                       "must be a bcrypt hash such as $2y$10$...: make one with `htpasswd -nBC 10 \"\"`");
        else if (str_find_char(n->keys[i].text, ':') != SIZE_MAX)
            conf_error(c, &n->keys[i], "a user name cannot hold a colon");
        else
            ret->users[ret->users_len++] = (struct WebUser){n->keys[i].text, {hash}};
    }
}

static Secret read_token_file(Conf *c, const ConfNode *at, Str path)
{
    Buf b;
    Why why = {0};
    Secret token = {S("")};
    buf_init(&b, TOKEN_FILE_BYTES_MAX);
    if (vfs_read_file(vfs_os(), conf_file_path(c, path).at, TOKEN_FILE_BYTES_MAX, &b, &why) != OK)
        conf_error(c, at, "token_file: %s", why.text);
    else
        token.hidden = arena_dup(conf_arena(c), str_trim(buf_view(&b)));
    if (b.at)
        explicit_bzero(b.at, b.len);
    buf_done(&b);
    return token;
}

static void read_token(Conf *c, const ConfNode *n, WebConfig *ret)
{
    ConfMap m;
    if (!conf_map_begin(c, n, &m))
        return;
    struct WebToken t = {.name = conf_str(&m, "name", S("")), .tenant = conf_str(&m, "tenant", S(""))};
    t.token = conf_secret(&m, "token");
    Str file = conf_str(&m, "token_file", S(""));
    t.role = (HttpRole)conf_enum(&m, "role", roles, COUNT_OF(roles), ROLE_WRITE);
    if (secret_is_set(t.token) == (file.len > 0))
        conf_error(c, n, "needs exactly one of token and token_file");
    else if (file.len)
        t.token = read_token_file(c, n, file);
    if (secret_is_set(t.token) && secret_reveal(t.token).len < TOKEN_BYTES_SHORT)
        conf_warn(c, n, "the token is shorter than %d characters and may be guessed", TOKEN_BYTES_SHORT);
    if (secret_is_set(t.token))
        ret->tokens[ret->tokens_len++] = t;
    conf_map_end(&m);
}

void web_config_read(Conf *c, WebConfig *ret)
{
    ConfMap m;
    *ret = (WebConfig){.tls_min_version = "TLS12"};
    if (!conf_map_begin(c, conf_root(c), &m))
        return;
    read_tls(c, conf_get(&m, "tls_server_config"), ret);
    read_http(c, conf_get(&m, "http_server_config"), ret);
    read_users(c, conf_get(&m, "basic_auth_users"), ret);
    conf_ignore(&m, "rate_limit");
    const ConfNode *items;
    u32 n = conf_list(&m, "bearer_tokens", &items);
    ret->tokens = arena_array(conf_arena(c), struct WebToken, n + 1);
    for (u32 i = 0; ret->tokens && i < n; i++)
        read_token(c, &items[i], ret);
    conf_map_end(&m);
}
