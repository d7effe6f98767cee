/* Who is asking. One bcrypt costs tens of milliseconds on purpose: verdicts are kept under a keyed hash of user and
 * password, right ones and wrong ones apart, so that a flood of wrong guesses evicts nobody.
 */
#include "tenant/tenant.h"
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
    VERDICTS_KEPT = 256,
    CHECKS_WAITING_MAX = 4, /* more bcrypts than this at once and the rest is told to come back */
    HASH_BYTES_MAX = 128,
    PASSWORD_BYTES_MAX = 4096,
    DIGEST_BYTES = 32,
};

typedef struct Verdicts {
    u8 digests[VERDICTS_KEPT][DIGEST_BYTES];
    u32 len, next; /* a ring: the oldest goes */
} Verdicts;

struct Credentials {
    Authenticator authenticator; /* first: cast */
    RwLock lock;                 /* users, tokens, arena */
    Arena arena;
    struct WebUser *users;
    u32 users_len;
    struct WebToken *tokens;
    u32 tokens_len;
    Mutex cache_mutex; /* key, right, wrong */
    u8 key[DIGEST_BYTES];
    Verdicts right, wrong;
    Mutex bcrypt_mutex; /* one at a time: a guesser gets one core at most */
    _Atomic int bcrypts_waiting;
    Metric *bcrypts;
};

/* ---- the cache ---- */

static void digest_of(Credentials *c, Str user, Str password, u8 ret[DIGEST_BYTES])
{
    u8 text[PASSWORD_BYTES_MAX + 512];
    size_t n = 0;
    check(user.len + password.len + 1 <= sizeof text);
    memcpy(text, user.at, user.len);
    n += user.len;
    text[n++] = 0; /* neither holds a NUL: no two pairs are alike */
    memcpy(text + n, password.at, password.len);
    n += password.len;
    mutex_lock(&c->cache_mutex);
    u8 key[DIGEST_BYTES];
    memcpy(key, c->key, sizeof key);
    mutex_unlock(&c->cache_mutex);
    unsigned len = DIGEST_BYTES;
    check(HMAC(EVP_sha256(), key, sizeof key, text, n, ret, &len));
    OPENSSL_cleanse(text, n);
    OPENSSL_cleanse(key, sizeof key);
}

static bool verdicts_have(const Verdicts *v, const u8 digest[DIGEST_BYTES])
{
    for (u32 i = 0; i < v->len; i++)
        if (CRYPTO_memcmp(v->digests[i], digest, DIGEST_BYTES) == 0)
            return true;
    return false;
}

static void verdicts_put(Verdicts *v, const u8 digest[DIGEST_BYTES])
{
    memcpy(v->digests[v->next], digest, DIGEST_BYTES);
    v->next = (v->next + 1) % VERDICTS_KEPT;
    v->len = MAX(v->len, v->next ? v->next : VERDICTS_KEPT);
}

/* -1 = not known. */
static int cached(Credentials *c, const u8 digest[DIGEST_BYTES])
{
    mutex_lock(&c->cache_mutex);
    int verdict = verdicts_have(&c->right, digest) ? 1 : verdicts_have(&c->wrong, digest) ? 0 : -1;
    mutex_unlock(&c->cache_mutex);
    return verdict;
}

/* ---- passwords ---- */

static bool bcrypt_fits(const char *password, const char *hash)
{
    struct crypt_data *data = mem_zalloc(sizeof *data);
    const char *made = crypt_r(password, hash, data);
    bool ok = made && strlen(made) == strlen(hash) && CRYPTO_memcmp(made, hash, strlen(hash)) == 0;
    OPENSSL_cleanse(data, sizeof *data);
    mem_free(data);
    return ok;
}

/* Copies the user's hash; somebody else's for a name that is not there, so that both take equally long. */
static bool find_hash(Credentials *c, Str user, char ret_hash[HASH_BYTES_MAX])
{
    bool found = false;
    ret_hash[0] = 0;
    rwlock_read(&c->lock);
    for (u32 i = 0; i < c->users_len && !found; i++) {
        found = str_eq(c->users[i].name, user);
        if (found || i == 0) {
            Str h = secret_reveal(c->users[i].bcrypt_hash);
            size_t n = MIN(h.len, (size_t)HASH_BYTES_MAX - 1);
            memcpy(ret_hash, h.at, n);
            ret_hash[n] = 0;
        }
    }
    rwlock_unlock(&c->lock);
    return found;
}

static Err check_password(Credentials *c, Str user, Str password, bool *ret_ok, Why *why)
{
    u8 digest[DIGEST_BYTES];
    char hash[HASH_BYTES_MAX], plain[PASSWORD_BYTES_MAX + 1];
    *ret_ok = false;
    if (password.len > PASSWORD_BYTES_MAX || user.len > 256 || memchr(password.at, 0, password.len) ||
        memchr(user.at, 0, user.len))
        return OK;
    digest_of(c, user, password, digest);
    int verdict = cached(c, digest);
    bool is_user = find_hash(c, user, hash);
    if (verdict >= 0) {
        *ret_ok = verdict && is_user;
        return OK;
    }
    if (!hash[0])
        return OK; /* no users at all */
    if (++c->bcrypts_waiting > CHECKS_WAITING_MAX) {
        c->bcrypts_waiting--;
        return why_set(why, E_BUSY, "too many passwords are being checked: try again later");
    }
    memcpy(plain, password.at, password.len);
    plain[password.len] = 0;
    mutex_lock(&c->bcrypt_mutex);
    verdict = cached(c, digest); /* whoever was before us may have asked the same */
    if (verdict < 0) {
        verdict = bcrypt_fits(plain, hash) && is_user;
        metric_inc(c->bcrypts);
        mutex_lock(&c->cache_mutex);
        verdicts_put(verdict ? &c->right : &c->wrong, digest);
        mutex_unlock(&c->cache_mutex);
    }
    mutex_unlock(&c->bcrypt_mutex);
    c->bcrypts_waiting--;
    OPENSSL_cleanse(plain, sizeof plain);
    *ret_ok = verdict;
    return OK;
}

static Err check_basic(Credentials *c, const HttpReq *r, Str coded, Principal *ret, Why *why)
{
    Buf b;
    buf_init(&b, PASSWORD_BYTES_MAX + 512);
    Str user, password;
    bool ok = false;
    Err e = OK;
    if (base64_decode(&b, coded) == OK && !buf_over(&b) && str_cut(buf_view(&b), ':', &user, &password))
        e = check_password(c, user, password, &ok, why);
    if (ok)
        *ret = (Principal){.user = arena_dup(r->arena, user), .role = ROLE_ADMIN, .is_authenticated = true};
    if (b.at)
        OPENSSL_cleanse(b.at, b.len);
    buf_done(&b);
    if (e != OK || ok)
        return e;
    return why_set(why, E_UNAUTHORIZED, "the user name or password is wrong");
}

/* ---- tokens ---- */

static Err check_bearer(Credentials *c, const HttpReq *r, Str token, Principal *ret, Why *why)
{
    bool ok = false;
    rwlock_read(&c->lock);
    for (u32 i = 0; i < c->tokens_len; i++) { /* all of them: how long it takes tells nothing */
        const struct WebToken *t = &c->tokens[i];
        if (secret_eq(t->token, token) && !ok) {
            ok = true;
            *ret = (Principal){.user = arena_dup(r->arena, t->name),
                               .tenant = arena_dup(r->arena, t->tenant),
                               .role = t->role,
                               .is_authenticated = true};
        }
    }
    rwlock_unlock(&c->lock);
    return ok ? OK : why_set(why, E_UNAUTHORIZED, "the bearer token is not known");
}

static Err credentials_check(Authenticator *a, const HttpReq *r, Principal *ret, Why *why)
{
    Credentials *c = (Credentials *)a;
    rwlock_read(&c->lock);
    bool is_open = c->users_len + c->tokens_len == 0;
    rwlock_unlock(&c->lock);
    if (is_open) {
        *ret = (Principal){.role = ROLE_ADMIN};
        return OK;
    }
    Str scheme, value;
    if (!str_cut(str_trim(http_header(r, S("Authorization"))), ' ', &scheme, &value))
        return why_set(why, E_UNAUTHORIZED, "credentials are needed");
    if (str_eq_nocase(scheme, S("Basic")))
        return check_basic(c, r, str_trim(value), ret, why);
    if (str_eq_nocase(scheme, S("Bearer")))
        return check_bearer(c, r, str_trim(value), ret, why);
    return why_set(why, E_UNAUTHORIZED, "only Basic and Bearer credentials are understood");
}

/* ---- making ---- */

static void copy_config(Credentials *c, const WebConfig *w)
{
    c->users = arena_try(&c->arena, sizeof(struct WebUser) * (w->users_len + 1));
    c->tokens = arena_try(&c->arena, sizeof(struct WebToken) * (w->tokens_len + 1));
    check(c->users && c->tokens);
    c->users_len = w->users_len;
    c->tokens_len = w->tokens_len;
    for (u32 i = 0; i < w->users_len; i++)
        c->users[i] = (struct WebUser){arena_dup(&c->arena, w->users[i].name),
                                       {arena_dup(&c->arena, secret_reveal(w->users[i].bcrypt_hash))}};
    for (u32 i = 0; i < w->tokens_len; i++) {
        const struct WebToken *t = &w->tokens[i];
        c->tokens[i] = (struct WebToken){{arena_dup(&c->arena, secret_reveal(t->token))},
                                         arena_dup(&c->arena, t->tenant),
                                         arena_dup(&c->arena, t->name),
                                         t->role};
    }
}

Credentials *credentials_new(const WebConfig *w)
{
    Credentials *c = mem_new(Credentials);
    c->authenticator = (Authenticator){credentials_check, "Basic"};
    rwlock_init(&c->lock);
    mutex_init(&c->bcrypt_mutex, RANK_OUTER);
    mutex_init(&c->cache_mutex, RANK_QUEUE);
    arena_init(&c->arena, NULL, 0);
    c->bcrypts = metric_counter("pharos_password_checks_total",
                                "Passwords checked with bcrypt; the rest came from the cache.", "");
    random_bytes(c->key, sizeof c->key);
    copy_config(c, w);
    return c;
}

void credentials_replace(Credentials *c, const WebConfig *w)
{
    rwlock_write(&c->lock);
    arena_reset(&c->arena);
    copy_config(c, w);
    rwlock_unlock(&c->lock);
    /* A new key makes every verdict of the old users meaningless, those on their way included. */
    mutex_lock(&c->cache_mutex);
    random_bytes(c->key, sizeof c->key);
    c->right.len = c->right.next = c->wrong.len = c->wrong.next = 0;
    mutex_unlock(&c->cache_mutex);
}

Authenticator *credentials_authenticator(Credentials *c)
{
    return &c->authenticator;
}

void credentials_free(Credentials *c)
{
    if (!c)
        return;
    arena_done(&c->arena);
    rwlock_done(&c->lock);
    mutex_done(&c->bcrypt_mutex);
    mutex_done(&c->cache_mutex);
    mem_free(c);
}
