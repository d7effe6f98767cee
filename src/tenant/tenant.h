/* tenant: who may do what. Today credentials only: basic auth users with bcrypt hashes (Prometheus's web.config.file)
 * and bearer tokens. Password checks run off the loop and are cached under a keyed hash: one bcrypt costs 50 ms.
 */
#pragma once
#include "base/base.h"
#include "config/config.h"
#include "net/net.h"

typedef struct WebConfig { /* --web.config.file */
    Str tls_cert_file, tls_key_file, tls_client_ca_file;
    Str tls_client_auth_type; /* "NoClientCert" ... */
    const char *tls_min_version;
    const HttpHeader *headers; /* http_server_config.headers */
    u32 headers_len;
    struct WebUser {
        Str name;
        Secret bcrypt_hash;
    } *users;
    u32 users_len;
    struct WebToken { /* ours: bearer_tokens: [{token | token_file, role, tenant}] */
        Secret token;
        Str tenant, name;
        HttpRole role;
    } *tokens;
    u32 tokens_len;
} WebConfig;
/* Reads a web.config.file; everything lives in c's arena. */
void web_config_read(Conf *c, WebConfig *ret);

typedef struct Credentials Credentials;
Credentials *credentials_new(const WebConfig *w);             /* copies */
void credentials_replace(Credentials *c, const WebConfig *w); /* reload; empties the cache */
/* With no users and tokens everyone is anonymous admin. */
Authenticator *credentials_authenticator(Credentials *c);
void credentials_free(Credentials *c);
