/* A configuration as curl options. Files named in it are read for each request, so that rotated secrets are taken up. */
#include "net/client.h"
#include <openssl/crypto.h>

Err client_read_file(Arena *a, Str path, const char *what, bool trim, Str *ret, Why *why)
{
    Buf b;
    buf_init(&b, CLIENT_FILE_BYTES_MAX);
    Str name = arena_dup(a, path);
    Err e = vfs_read_file(vfs_os(), name.at, CLIENT_FILE_BYTES_MAX, &b, why);
    if (e == OK) {
        Str s = buf_view(&b);
        *ret = arena_dup(a, trim ? str_trim(s) : s);
        OPENSSL_cleanse(b.at ? b.at : "", b.at ? b.len : 0);
    } else {
        why_prefix(why, "%s: ", what);
    }
    buf_done(&b);
    return e;
}

/* ---- headers ---- */

static Err add_header(HttpCallHandle *h, Str name, Str value, Why *why)
{
    for (size_t i = 0; i < value.len; i++)
        if (((u8)value.at[i] < 0x20 && value.at[i] != '\t') || value.at[i] == 0x7f)
            return why_set(why, E_INVALID, "the value of header %.*s holds a control character",
                           STR_FMT(name));
    for (size_t i = 0; i < name.len; i++)
        if ((u8)name.at[i] <= ' ' || name.at[i] == ':' || (u8)name.at[i] >= 0x7f)
            return why_set(why, E_INVALID, "a header name holds a character that is not allowed");
    /* "Name;" is curl's way to send a header without a value. */
    Str line = str_empty(value) ? arena_printf(&h->arena, "%.*s;", STR_FMT(name))
                                : arena_printf(&h->arena, "%.*s: %.*s", STR_FMT(name), STR_FMT(value));
    struct curl_slist *more = curl_slist_append(h->header_list, line.at);
    check(more);
    h->header_list = more;
    return OK;
}

static bool has_header(const HttpHeader *at, u32 n, const char *name)
{
    for (u32 i = 0; i < n; i++)
        if (str_eq_nocase(at[i].name, str_c(name)))
            return true;
    return false;
}

Str client_basic(Arena *a, Str user, Str password)
{
    Buf plain, coded;
    buf_init(&plain, 65536);
    buf_init(&coded, 131072);
    buf_str(&plain, user);
    buf_char(&plain, ':');
    buf_str(&plain, password);
    buf_str(&coded, S("Basic "));
    base64_encode(&coded, buf_view(&plain));
    Str value = arena_dup(a, buf_view(&coded));
    OPENSSL_cleanse(plain.at, plain.len);
    OPENSSL_cleanse(coded.at, coded.len);
    buf_done(&plain);
    buf_done(&coded);
    return value;
}

static Str unescaped(HttpCallHandle *h, Str s)
{
    Buf b;
    buf_init(&b, 65536);
    Str r = url_unescape(&b, s, false) == OK ? arena_dup(&h->arena, buf_view(&b)) : s;
    buf_done(&b);
    return r;
}

/* The Authorization header that the configuration asks for; empty when none. */
static Err authorization(HttpCallHandle *h, Str token, Str *ret, Why *why)
{
    const HttpClientConfig *c = h->config;
    Str user = c->basic_username, password = secret_reveal(c->basic_password);
    if (token.len) {
        *ret = arena_printf(&h->arena, "Bearer %.*s", STR_FMT(token));
        return OK;
    }
    if (c->basic_username_file.len)
        TRY(client_read_file(&h->arena, c->basic_username_file, "username_file", true, &user, why));
    if (c->basic_password_file.len)
        TRY(client_read_file(&h->arena, c->basic_password_file, "password_file", true, &password, why));
    if (user.len || password.len) {
        *ret = client_basic(&h->arena, user, password);
        return OK;
    }
    Str credentials = secret_reveal(c->auth_credentials);
    if (c->auth_credentials_file.len)
        TRY(client_read_file(&h->arena, c->auth_credentials_file, "credentials_file", true, &credentials,
                             why));
    if (credentials.len) {
        Str type = c->auth_type.len ? c->auth_type : S("Bearer");
        *ret = arena_printf(&h->arena, "%.*s %.*s", STR_FMT(type), STR_FMT(credentials));
        return OK;
    }
    if (h->origin.userinfo.len) {
        Str name, rest = {0};
        str_cut(h->origin.userinfo, ':', &name, &rest);
        *ret = client_basic(&h->arena, unescaped(h, name), unescaped(h, rest));
    }
    return OK;
}

Err call_headers(HttpCallHandle *h, Str token, Why *why)
{
    const HttpCall *call = &h->call;
    const HttpClientConfig *c = h->config;
    bool has_agent = has_header(call->headers, call->headers_len, "User-Agent");
    bool has_type = has_header(call->headers, call->headers_len, "Content-Type");
    bool has_coding = has_header(call->headers, call->headers_len, "Accept-Encoding");
    bool has_auth = has_header(call->headers, call->headers_len, "Authorization");
    if (h->off_origin) {
        TRY(add_header(h, S("User-Agent"), S("Pharos"), why));
        if (!call->no_accept_encoding)
            TRY(add_header(h, S("Accept-Encoding"), S("gzip"), why));
        for (u32 i = 0; i < call->headers_len; i++) /* the harmless ones may go along */
            if (str_eq_nocase(call->headers[i].name, S("Accept")))
                TRY(add_header(h, call->headers[i].name, call->headers[i].value, why));
        return OK;
    }
    for (u32 i = 0; i < call->headers_len; i++)
        TRY(add_header(h, call->headers[i].name, call->headers[i].value, why));
    for (u32 i = 0; i < c->headers_len; i++) {
        has_agent |= str_eq_nocase(c->headers[i].name, S("User-Agent"));
        TRY(add_header(h, c->headers[i].name, c->headers[i].value, why));
    }
    if (!has_agent)
        TRY(add_header(h, S("User-Agent"), S("Pharos"), why));
    if (!has_coding && !call->no_accept_encoding)
        TRY(add_header(h, S("Accept-Encoding"), S("gzip"), why));
    if (!has_auth) {
        Str value = {0};
        TRY(authorization(h, token, &value, why));
        if (value.len)
            TRY(add_header(h, S("Authorization"), value, why));
    }
    if (!has_type && h->body_now.len)
        h->header_list = curl_slist_append(h->header_list, "Content-Type:"); /* curl would say it is a form */
    return OK;
}

void call_drop_headers(HttpCallHandle *h)
{
    curl_slist_free_all(h->header_list);
    h->header_list = NULL;
}

/* ---- TLS ---- */

static Err set_blob(HttpCallHandle *h, CURLoption option, Str inline_text, Str file, const char *what,
                    Why *why)
{
    Str text = inline_text;
    if (file.len)
        TRY(client_read_file(&h->arena, file, what, false, &text, why));
    if (text.len == 0)
        return OK;
    struct curl_blob blob = {(void *)text.at, text.len, CURL_BLOB_COPY};
    curl_easy_setopt(h->easy, option, &blob);
    return OK;
}

static long tls_version(Str name, bool is_max, long dflt)
{
    static const struct {
        const char *name;
        long min, max;
    } known[] = {
        {"TLS10", CURL_SSLVERSION_TLSv1_0, CURL_SSLVERSION_MAX_TLSv1_0},
        {"TLS11", CURL_SSLVERSION_TLSv1_1, CURL_SSLVERSION_MAX_TLSv1_1},
        {"TLS12", CURL_SSLVERSION_TLSv1_2, CURL_SSLVERSION_MAX_TLSv1_2},
        {"TLS13", CURL_SSLVERSION_TLSv1_3, CURL_SSLVERSION_MAX_TLSv1_3},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (str_eq(name, str_c(known[i].name)))
            return is_max ? known[i].max : known[i].min;
    return dflt;
}

static Err set_tls(HttpCallHandle *h, Why *why)
{
    const TlsConfig *t = &h->config->tls;
    long min = tls_version(t->min_version, false, CURL_SSLVERSION_TLSv1_2);
    long max = tls_version(t->max_version, true, CURL_SSLVERSION_MAX_DEFAULT);
    curl_easy_setopt(h->easy, CURLOPT_SSLVERSION, min | max);
    if (t->insecure_skip_verify) {
        curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    TRY(set_blob(h, CURLOPT_CAINFO_BLOB, t->ca, t->ca_file, "ca_file", why));
    if (h->off_origin)
        return OK;
    TRY(set_blob(h, CURLOPT_SSLCERT_BLOB, t->cert, t->cert_file, "cert_file", why));
    TRY(set_blob(h, CURLOPT_SSLKEY_BLOB, secret_reveal(t->key), t->key_file, "key_file", why));
    return OK;
}

/* ---- where to ---- */

static Err set_url(HttpCallHandle *h, Why *why)
{
    Url u;
    TRY(url_parse(h->url_now, &u, why));
    if (!str_eq_nocase(u.scheme, S("http")) && !str_eq_nocase(u.scheme, S("https")))
        return why_set(why, E_INVALID, "only http and https URLs can be fetched, not %.*s",
                       STR_FMT(u.scheme));
    bool is_v6 = str_find_char(u.host, ':') != SIZE_MAX;
    const char *open = is_v6 ? "[" : "", *close = is_v6 ? "]" : "";
    Str host = arena_printf(&h->arena, "%s%.*s%s", open, STR_FMT(u.host), close);
    Str name = h->off_origin ? (Str){0} : h->config->tls.server_name;
    if (name.len && str_eq_nocase(u.scheme, S("https"))) {
        /* curl takes the name to verify from the URL: put it there, and say where it really is. */
        Str to = arena_printf(&h->arena, "::%.*s:%u", STR_FMT(host), u.port);
        h->connect_to = curl_slist_append(NULL, to.at);
        curl_easy_setopt(h->easy, CURLOPT_CONNECT_TO, h->connect_to);
        Str value = u.has_port ? arena_printf(&h->arena, "%.*s:%u", STR_FMT(host), u.port) : host;
        if (!has_header(h->call.headers, h->call.headers_len, "Host"))
            TRY(add_header(h, S("Host"), value, why));
        host = name;
    }
    Str path = u.path.len ? u.path : S("/");
    Str url = arena_printf(&h->arena, "%.*s://%.*s:%u%.*s%s%.*s", STR_FMT(u.scheme), STR_FMT(host), u.port,
                           STR_FMT(path), u.query.at ? "?" : "", STR_FMT(u.query));
    if (!u.has_port) /* so that the Host header has none either */
        url = arena_printf(&h->arena, "%.*s://%.*s%.*s%s%.*s", STR_FMT(u.scheme), STR_FMT(host),
                           STR_FMT(path), u.query.at ? "?" : "", STR_FMT(u.query));
    if (!url.at || arena_over(&h->arena))
        return why_set(why, E_LIMIT, "the URL is too long");
    curl_easy_setopt(h->easy, CURLOPT_URL, url.at);
    return OK;
}

static void set_proxy(HttpCallHandle *h)
{
    const HttpClientConfig *c = h->config;
    if (h->call.egress == EGRESS_STRICT || (!c->proxy_url.len && !c->proxy_from_environment)) {
        curl_easy_setopt(h->easy, CURLOPT_PROXY, "");
        return;
    }
    if (c->proxy_url.len) {
        curl_easy_setopt(h->easy, CURLOPT_PROXY, arena_dup(&h->arena, c->proxy_url).at);
        curl_easy_setopt(h->easy, CURLOPT_NOPROXY, arena_dup(&h->arena, c->no_proxy).at);
    }
    curl_easy_setopt(h->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static curl_socket_t open_public_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    HttpCallHandle *h = arg;
    if (!egress_is_public(&a->addr)) {
        h->egress_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void set_method(HttpCallHandle *h)
{
    bool is_head = str_eq(h->method_now, S("HEAD")), is_get = str_eq(h->method_now, S("GET"));
    if (is_head) {
        curl_easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (!is_get || h->body_now.len) {
        curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)h->body_now.len);
        curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, h->body_now.len ? h->body_now.at : "");
        h->header_list = curl_slist_append(h->header_list, "Expect:"); /* never wait for 100 Continue */
    }
    curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, arena_dup(&h->arena, h->method_now).at);
}

Err call_prepare(HttpCallHandle *h, Str token, Why *why)
{
    CURL *e = h->easy;
    bool is_strict = h->call.egress == EGRESS_STRICT;
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 32768L);
    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, 300L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, 600000L); /* the call's own timer ends it */
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                     (long)(h->config->no_http2 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
    if (is_strict) {
        if (h->call.unix_socket.len)
            return why_set(why, E_FORBIDDEN, "a unix socket cannot be reached from an API");
        /* A connection kept from elsewhere was not checked. */
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_public_socket);
        curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, h);
    }
    if (h->call.unix_socket.len)
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, arena_dup(&h->arena, h->call.unix_socket).at);
    set_proxy(h);
    set_method(h);
    TRY(set_url(h, why));
    TRY(call_headers(h, token, why));
    TRY(set_tls(h, why));
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->header_list);
    return OK;
}
