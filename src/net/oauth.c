/* OAuth 2 client credentials: one token per (URL, client, scopes ...), fetched once for all who wait, kept until shortly
 * before it ends. */
#include "net/client.h"
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>

enum { TOKEN_BODY_MAX = 1 << 20, TOKEN_EARLY_S = 10, TOKEN_DEFAULT_S = 300, TOKEN_LONGEST_S = 86400 * 365 };

struct Token {
    Token *next;
    HttpClient *client;
    u64 key;
    Str value; /* owned; empty = none yet */
    i64 expires_ns;
    HttpCallHandle *waiters, *fetch;
    HttpClientConfig config; /* of the first waiter, without its credentials */
    bool in_params;          /* this server wants the secret in the form, not in the header */
    Arena arena;             /* of the fetch */
};

static u64 mix(u64 h, Str s)
{
    return hash_bytes(s.at ? s.at : "", s.len, h + s.len);
}

static u64 token_key(const HttpClientConfig *c)
{
    u64 h = mix(mix(1, c->oauth2.token_url), c->oauth2.client_id);
    h = mix(mix(h, secret_reveal(c->oauth2.client_secret)), c->oauth2.client_secret_file);
    for (u32 i = 0; i < c->oauth2.scopes_len; i++)
        h = mix(h, c->oauth2.scopes[i]);
    for (u32 i = 0; i < c->oauth2.endpoint_params_len; i++)
        h = mix(mix(h, c->oauth2.endpoint_params[i].name), c->oauth2.endpoint_params[i].value);
    return h;
}

static void forget_value(Token *t)
{
    if (t->value.at) {
        OPENSSL_cleanse((void *)t->value.at, t->value.len);
        mem_free((void *)t->value.at);
    }
    t->value = (Str){0};
}

static void fail_waiters(Token *t, Err e, const char *why)
{
    char text[512]; /* the callers' ends may end the token too */
    str_fit(text, sizeof text, why);
    for (HttpCallHandle *h; (h = t->waiters);) {
        t->waiters = h->next_waiter;
        h->token = NULL;
        call_fail(h, e, "oauth2: %s", text);
    }
}

static bool take_token(Token *t, Str body)
{
    json_error_t error;
    json_t *doc = json_loadb(body.at, body.len, JSON_REJECT_DUPLICATES, &error);
    const char *value = json_string_value(json_object_get(doc, "access_token"));
    const json_t *expires = json_object_get(doc, "expires_in");
    f64 seconds = json_is_number(expires) ? json_number_value(expires) : TOKEN_DEFAULT_S;
    if (json_is_string(expires)) {
        u64 n = TOKEN_DEFAULT_S;
        parse_u64(str_c(json_string_value(expires)), &n);
        seconds = (f64)n;
    }
    bool ok = value && value[0];
    if (ok) {
        forget_value(t);
        t->value = mem_dup(str_c(value));
        seconds = seconds < 0 ? 0 : MIN(seconds, (f64)TOKEN_LONGEST_S);
        t->expires_ns = clock_mono_ns(loop_clock(t->client->loop)) + (i64)(seconds * 1e9);
    }
    json_decref(doc);
    return ok;
}

static void start_fetch(Token *t, const HttpClientConfig *c);

static void on_token(void *arg, const HttpResult *r)
{
    Token *t = arg;
    t->fetch = NULL;
    if (!t->waiters)
        return;
    if (r->err != OK) {
        fail_waiters(t, r->err, r->why.text);
        return;
    }
    if ((r->status == 400 || r->status == 401) && !t->in_params) {
        t->in_params = true;
        start_fetch(t, t->waiters->config);
        return;
    }
    if (r->status / 100 != 2 || !take_token(t, r->body)) {
        char text[96];
        snprintf(text, sizeof text,
                 r->status / 100 == 2 ? "the token endpoint's answer holds no access_token (status %d)"
                                      : "the token endpoint answered with status %d",
                 r->status);
        fail_waiters(t, E_UNAUTHORIZED, text);
        return;
    }
    for (HttpCallHandle *h; (h = t->waiters);) {
        t->waiters = h->next_waiter;
        h->token = NULL;
        call_transfer(h, arena_dup(&h->arena, t->value));
    }
}

static void put_param(Buf *b, Str name, Str value)
{
    if (b->len)
        buf_char(b, '&');
    url_escape_query(b, name);
    buf_char(b, '=');
    url_escape_query(b, value);
}

static Str escaped(Arena *a, Str s)
{
    Buf b;
    buf_init(&b, 65536);
    url_escape_query(&b, s);
    Str r = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return r;
}

static Str token_form(Token *t, const HttpClientConfig *c, Str secret)
{
    Buf form, scopes;
    buf_init(&form, 65536);
    buf_init(&scopes, 65536);
    put_param(&form, S("grant_type"), S("client_credentials"));
    for (u32 i = 0; i < c->oauth2.scopes_len; i++) {
        if (i)
            buf_char(&scopes, ' ');
        buf_str(&scopes, c->oauth2.scopes[i]);
    }
    if (scopes.len)
        put_param(&form, S("scope"), buf_view(&scopes));
    for (u32 i = 0; i < c->oauth2.endpoint_params_len; i++)
        put_param(&form, c->oauth2.endpoint_params[i].name, c->oauth2.endpoint_params[i].value);
    if (t->in_params) {
        put_param(&form, S("client_id"), c->oauth2.client_id);
        put_param(&form, S("client_secret"), secret);
    }
    Str r = arena_dup(&t->arena, buf_view(&form));
    buf_done(&form);
    buf_done(&scopes);
    return r;
}

static void start_fetch(Token *t, const HttpClientConfig *c)
{
    Why why = {0};
    Str secret = secret_reveal(c->oauth2.client_secret);
    arena_reset(&t->arena);
    if (c->oauth2.client_secret_file.len &&
        client_read_file(&t->arena, c->oauth2.client_secret_file, "client_secret_file", true, &secret,
                         &why) != OK) {
        fail_waiters(t, why.err, why.text);
        return;
    }
    t->config = *c;
    memset(&t->config.oauth2, 0, sizeof t->config.oauth2);
    t->config.headers_len = 0;
    t->config.no_follow_redirects = true;
    HttpHeader headers[] = {
        {S("Content-Type"), S("application/x-www-form-urlencoded")},
        {S("Accept"), S("application/json")},
        {S("Authorization"),
         client_basic(&t->arena, escaped(&t->arena, c->oauth2.client_id), escaped(&t->arena, secret))},
    };
    HttpCall call = {.config = &t->config,
                     .egress = t->waiters->call.egress,
                     .method = S("POST"),
                     .url = c->oauth2.token_url,
                     .headers = headers,
                     .headers_len = t->in_params ? 2 : 3,
                     .body = token_form(t, c, secret),
                     .timeout_ms = t->waiters->call.timeout_ms,
                     .body_max = TOKEN_BODY_MAX};
    t->fetch = http_send(t->client, &call, on_token, t);
}

bool token_get(HttpCallHandle *h, Str *ret_token)
{
    HttpClient *c = h->client;
    u64 key = token_key(h->config);
    Token *t = c->tokens;
    while (t && t->key != key)
        t = t->next;
    if (!t) {
        t = mem_new(Token);
        t->client = c;
        t->key = key;
        arena_init(&t->arena, NULL, 1 << 20);
        t->next = c->tokens;
        c->tokens = t;
    }
    if (t->value.len && clock_mono_ns(loop_clock(c->loop)) < t->expires_ns - TOKEN_EARLY_S * NS_PER_SEC) {
        *ret_token = arena_dup(&h->arena, t->value);
        return true;
    }
    h->token = t;
    h->next_waiter = t->waiters;
    t->waiters = h;
    if (!t->fetch)
        start_fetch(t, h->config);
    return false;
}

/* A fetch borrows the configuration of those who wait: without them it ends. */
void token_forget_waiter(HttpCallHandle *h)
{
    Token *t = h->token;
    h->token = NULL;
    for (HttpCallHandle **at = &t->waiters; *at; at = &(*at)->next_waiter)
        if (*at == h) {
            *at = h->next_waiter;
            break;
        }
    if (!t->waiters && t->fetch)
        call_fail(t->fetch, E_CANCELED, "nobody waits for this token any more");
}

void tokens_free(HttpClient *c)
{
    for (Token *t; (t = c->tokens);) {
        c->tokens = t->next;
        forget_value(t);
        arena_done(&t->arena);
        mem_free(t);
    }
}
