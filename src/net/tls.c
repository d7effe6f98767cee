/* TLS for listeners: OpenSSL on the connection's own descriptor. */
#include "net/server.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

enum { PEM_BYTES_MAX = 1 << 20, LOOK_AGAIN_MS = 1000 };

typedef struct Watched {
    char *path; /* NULL = none */
    VfsStat stat;
} Watched;

struct TlsContexts {
    SSL_CTX *ctx;
    Watched cert, key, client_ca;
    int min_version;
    Str client_auth_type; /* owned */
    i64 looked_ms;
};

static Err ssl_why(Why *why, Err e, const char *what, const char *path)
{
    char text[160];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof text);
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return why_set(why, e, "%s %s: %s", what, path, reason ? reason : text);
}

static Err read_pem(const char *path, Buf *b, BIO **ret, Why *why)
{
    buf_init(b, PEM_BYTES_MAX);
    Err e = vfs_read_file(vfs_os(), path, PEM_BYTES_MAX, b, why);
    if (e == OK) {
        *ret = BIO_new_mem_buf(b->at, (int)b->len);
        check(*ret);
        return OK;
    }
    buf_done(b);
    return e;
}

static void wipe_pem(Buf *b, BIO *bio)
{
    BIO_free(bio);
    if (b->at)
        OPENSSL_cleanse(b->at, b->len);
    buf_done(b);
}

static Err use_certificates(SSL_CTX *ctx, const char *path, Why *why)
{
    Buf b;
    BIO *bio;
    TRY(read_pem(path, &b, &bio, why));
    X509 *x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    Err e = OK;
    if (!x || SSL_CTX_use_certificate(ctx, x) != 1)
        e = ssl_why(why, E_INVALID, "certificate", path);
    X509_free(x);
    while (e == OK && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
            X509_free(x);
            e = ssl_why(why, E_INVALID, "certificate chain", path);
        }
    ERR_clear_error(); /* the end of the file is an error to PEM_read */
    wipe_pem(&b, bio);
    return e;
}

static Err use_key(SSL_CTX *ctx, const char *path, Why *why)
{
    Buf b;
    BIO *bio;
    TRY(read_pem(path, &b, &bio, why));
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    Err e = OK;
    if (!key || SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        e = ssl_why(why, E_INVALID, "private key", path);
    EVP_PKEY_free(key);
    wipe_pem(&b, bio);
    return e;
}

static Err use_client_ca(SSL_CTX *ctx, const char *path, Why *why)
{
    Buf b;
    BIO *bio;
    TRY(read_pem(path, &b, &bio, why));
    u32 n = 0;
    for (X509 *x; (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)); n++) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
        SSL_CTX_add_client_CA(ctx, x);
        X509_free(x);
    }
    ERR_clear_error();
    wipe_pem(&b, bio);
    if (n == 0)
        return why_set(why, E_INVALID, "client CA file %s holds no certificate", path);
    return OK;
}

static int take_any_certificate(int ok, X509_STORE_CTX *ctx)
{
    return 1;
}

/* Go's ClientAuthType. */
static Err set_client_auth(SSL_CTX *ctx, Str type, bool has_ca, Why *why)
{
    int require = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    if (str_empty(type))
        type = has_ca ? S("RequireAndVerifyClientCert") : S("NoClientCert");
    if (str_eq(type, S("NoClientCert")))
        return has_ca ? why_set(why, E_INVALID,
                                "a client CA is given, but client_auth_type is NoClientCert: use "
                                "RequireAndVerifyClientCert")
                      : OK;
    if (str_eq(type, S("RequestClientCert")))
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, take_any_certificate);
    else if (str_eq(type, S("RequireAnyClientCert")) || str_eq(type, S("RequireClientCert")))
        SSL_CTX_set_verify(ctx, require, take_any_certificate);
    else if (!has_ca)
        return why_set(why, E_INVALID, "client_auth_type %.*s needs a client_ca_file", STR_FMT(type));
    else if (str_eq(type, S("VerifyClientCertIfGiven")))
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    else if (str_eq(type, S("RequireAndVerifyClientCert")))
        SSL_CTX_set_verify(ctx, require, NULL);
    else
        return why_set(why, E_INVALID, "client_auth_type %.*s is not known", STR_FMT(type));
    return OK;
}

static int only_http11(SSL *ssl, const u8 **out, u8 *out_len, const u8 *in, unsigned in_len, void *arg)
{
    static const u8 http11[] = "\x08http/1.1";
    if (SSL_select_next_proto((u8 **)out, out_len, http11, sizeof http11 - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    return SSL_TLSEXT_ERR_OK;
}

static Err load(TlsContexts *t, SSL_CTX **ret, Why *why)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    check(ctx);
    SSL_CTX_set_min_proto_version(ctx, t->min_version);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(ctx, (const u8 *)"pharos", 6);
    SSL_CTX_set_alpn_select_cb(ctx, only_http11, NULL);
    Err e = use_certificates(ctx, t->cert.path, why);
    if (e == OK)
        e = use_key(ctx, t->key.path, why);
    if (e == OK && t->client_ca.path)
        e = use_client_ca(ctx, t->client_ca.path, why);
    if (e == OK)
        e = set_client_auth(ctx, t->client_auth_type, t->client_ca.path, why);
    if (e == OK)
        *ret = ctx;
    else
        SSL_CTX_free(ctx);
    return e;
}

static void watch(Watched *w, Str path)
{
    if (path.len)
        w->path = mem_strdup(path);
    if (w->path)
        vfs_os()->stat(vfs_os(), w->path, &w->stat, NULL);
}

static bool has_changed(Watched *w)
{
    VfsStat now;
    if (!w->path || vfs_os()->stat(vfs_os(), w->path, &now, NULL) != OK)
        return false;
    bool changed = now.mtime_ns != w->stat.mtime_ns || now.bytes != w->stat.bytes;
    w->stat = now;
    return changed;
}

Err tls_contexts_new(const HttpServerConfig *c, TlsContexts **ret, Why *why)
{
    const char *min = c->tls_min_version ? c->tls_min_version : "TLS12";
    TlsContexts *t = mem_new(TlsContexts);
    t->min_version = strcmp(min, "TLS13") == 0   ? TLS1_3_VERSION
                     : strcmp(min, "TLS11") == 0 ? TLS1_1_VERSION
                     : strcmp(min, "TLS10") == 0 ? TLS1_VERSION
                                                 : TLS1_2_VERSION;
    t->client_auth_type = mem_dup(c->tls_client_auth_type);
    watch(&t->cert, c->tls_cert_file);
    watch(&t->key, c->tls_key_file);
    watch(&t->client_ca, c->tls_client_ca_file);
    Err e = t->key.path ? load(t, &t->ctx, why)
                        : why_set(why, E_INVALID, "a TLS certificate is given without its key file");
    if (e == OK)
        *ret = t;
    else
        tls_contexts_free(t);
    return e;
}

void tls_contexts_free(TlsContexts *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    mem_free(t->cert.path);
    mem_free(t->key.path);
    mem_free(t->client_ca.path);
    mem_free((void *)t->client_auth_type.at);
    mem_free(t);
}

/* New connections get the new certificate; a broken one leaves the old in place. */
static void reload_if_changed(TlsContexts *t, Clock *clock)
{
    i64 now = clock_mono_ms(clock);
    if (now - t->looked_ms < LOOK_AGAIN_MS)
        return;
    t->looked_ms = now;
    bool cert = has_changed(&t->cert), key = has_changed(&t->key), ca = has_changed(&t->client_ca);
    if (!cert && !key && !ca)
        return;
    SSL_CTX *fresh = NULL;
    Why why = {0};
    if (load(t, &fresh, &why) != OK) {
        LOG_WARN("web", "TLS files changed but cannot be used, keeping the old ones", LF_WHY(&why));
        return;
    }
    SSL_CTX_free(t->ctx);
    t->ctx = fresh;
    LOG_INFO("web", "TLS certificate reloaded", LF_C("file", t->cert.path));
}

SSL *tls_accept(TlsContexts *t, int fd, Clock *clock)
{
    reload_if_changed(t, clock);
    SSL *ssl = SSL_new(t->ctx);
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}
