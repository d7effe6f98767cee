/* E-mail: the message (from, to and a blank line before it), and SMTP by libcurl. */
#include "alert/notify/notify.h"

#include <curl/curl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 76, RECIPIENTS_MAX = 100 };
#define EMAIL_TIMEOUT_S 30L

/* ---- the message ---- */
static void quoted_printable(Buf *out, Str s)
{
    size_t col = 0;
    for (size_t i = 0; i < s.len; i++) {
        u8 c = (u8)s.at[i];
        bool end_of_line = i + 1 == s.len || s.at[i + 1] == '\n';
        if (c == '\n') {
            buf_c(out, "\r\n");
            col = 0;
            continue;
        }
        if (c == '\r' && !end_of_line)
            continue;
        bool plain = (c >= 33 && c <= 126 && c != '=') || ((c == ' ' || c == '\t') && !end_of_line);
        if (col + (plain ? 1 : 3) >= LINE_MAX_BYTES) {
            buf_c(out, "=\r\n");
            col = 0;
        }
        if (plain)
            buf_char(out, (char)c);
        else
            buf_printf(out, "=%02X", c);
        col += plain ? 1 : 3;
    }
    buf_c(out, "\r\n");
}

/* RFC 2047 where it is not plain ASCII. No line break survives: nobody adds a header by a label. */
static void header(Buf *out, Str name, Str value)
{
    bool plain = true;
    for (size_t i = 0; i < value.len; i++)
        plain &= value.at[i] >= 32 && value.at[i] < 127;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] > 32 && name.at[i] < 127 && name.at[i] != ':')
            buf_char(out, name.at[i]);
    buf_c(out, ": ");
    if (plain) {
        buf_str(out, value);
    } else {
        enum { WORD_BYTES = 40 };
        for (size_t at = 0; at < value.len;) {
            size_t n = MIN((size_t)WORD_BYTES, value.len - at);
            while (n > 1 && at + n < value.len && ((u8)value.at[at + n] & 0xc0) == 0x80)
                n--;
            buf_c(out, at ? "\r\n =?utf-8?q?" : "=?utf-8?q?");
            for (size_t i = at; i < at + n; i++) {
                u8 c = (u8)value.at[i];
                if (c == ' ')
                    buf_char(out, '_');
                else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
                    buf_char(out, (char)c);
                else
                    buf_printf(out, "=%02X", c);
            }
            buf_c(out, "?=");
            at += n;
        }
    }
    buf_c(out, "\r\n");
}

static bool has_header(const Labels *own, const char *name)
{
    for (u32 i = 0; i < own->len; i++)
        if (str_eq_nocase(own->at[i].name, str_c(name)))
            return true;
    return false;
}

static void threading(Buf *out, const IntegrationConfig *c, const NotifyData *d)
{
    const FieldValue *t = integration_field(c, "threading");
    if (!t->sub || !t->sub[0].num)
        return;
    u8 hash[SHA256_DIGEST_LENGTH];
    char root[120], day[16] = "";
    Civil now;
    SHA256((const u8 *)d->group_key.at, d->group_key.len, hash);
    civil_from_unix(d->now_ms / 1000, &now);
    if (!str_eq(t->sub[1].text, S("none")))
        snprintf(day, sizeof day, "%04d-%02d-%02d", now.year, now.month, now.day);
    snprintf(root, sizeof root, "<alert-%02x%02x%02x%02x%02x%02x%02x%02x-%s@alertmanager>", hash[0], hash[1],
             hash[2], hash[3], hash[4], hash[5], hash[6], hash[7], day);
    header(out, S("References"), str_c(root));
    header(out, S("In-Reply-To"), str_c(root));
}

static void part(Buf *out, const char *boundary, const char *type, Str body)
{
    buf_printf(
        out, "--%s\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: %s; charset=UTF-8\r\n\r\n",
        boundary, type);
    quoted_printable(out, body);
}

void email_message(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, Arena *arena, Buf *out)
{
    static const Str subject = STR_INIT("{{ template \"email.default.subject\" . }}");
    Labels own = integration_field(c, "headers")->map;
    Str from = notify_text(set, d, integration_text(c, "from"), arena);
    Str to = notify_text(set, d, integration_text(c, "to"), arena);
    char boundary[48], host[256], date[64];
    Civil now;
    Buf b;
    civil_from_unix(d->now_ms / 1000, &now);
    snprintf(boundary, sizeof boundary, "%016llx%016llx", (unsigned long long)random_u64(),
             (unsigned long long)random_u64());
    if (gethostname(host, sizeof host))
        snprintf(host, sizeof host, "localhost");
    host[sizeof host - 1] = 0;
    for (Str *s = (Str[]){from, to}, *end = s + 2; s < end; s++) { /* the envelope */
        for (size_t i = 0; i < s->len; i++)
            buf_char(out, s->at[i] == '\n' || s->at[i] == '\r' ? ' ' : s->at[i]);
        buf_char(out, '\n');
    }
    for (u32 i = 0; i < own.len; i++)
        header(out, own.at[i].name, notify_text(set, d, own.at[i].value, arena));
    if (!has_header(&own, "Subject"))
        header(out, S("Subject"), notify_text(set, d, subject, arena));
    if (!has_header(&own, "To"))
        header(out, S("To"), to);
    if (!has_header(&own, "From"))
        header(out, S("From"), from);
    if (!has_header(&own, "Message-Id"))
        buf_printf(out, "Message-Id: <%lld.%llu@%s>\r\n", (long long)d->now_ms,
                   (unsigned long long)random_u64(), host);
    threading(out, c, d);
    buf_init(&b, sizeof date);
    print_time_go(&b, &now, S("Mon, 02 Jan 2006 15:04:05 +0000"));
    buf_printf(out,
               "Date: %.*s\r\nContent-Type: multipart/alternative; boundary=%s\r\nMIME-Version: 1.0\r\n\r\n",
               STR_FMT(buf_view(&b)), boundary);
    buf_done(&b);
    Str text = integration_text(c, "text"), html = integration_text(c, "html");
    if (text.len)
        part(out, boundary, "text/plain", notify_text(set, d, text, arena));
    if (html.len)
        part(out, boundary, "text/html", notify_html(set, d, html, arena));
    buf_printf(out, "--%s--\r\n", boundary);
}

/* ---- SMTP ---- */
typedef struct Upload {
    Str rest;
} Upload;

static size_t on_read(char *at, size_t size, size_t n, void *arg)
{
    Upload *u = arg;
    size_t take = MIN(size * n, u->rest.len);
    if (take)
        memcpy(at, u->rest.at, take);
    u->rest = str_skip(u->rest, take);
    return take;
}

/* "Name <a@b>" and "a@b", separated by commas: the addresses alone. */
static struct curl_slist *addresses(Str list, Arena *arena)
{
    struct curl_slist *ret = NULL;
    Str one;
    for (u32 n = 0; list.len && n < RECIPIENTS_MAX; n++) {
        str_cut(list, ',', &one, &list);
        size_t open = str_find_char(one, '<'), close = str_find_char(one, '>');
        if (open != SIZE_MAX && close != SIZE_MAX && close > open)
            one = str_sub(one, open + 1, close);
        one = str_trim(one);
        if (one.len)
            ret = curl_slist_append(ret, arena_printf(arena, "<%.*s>", STR_FMT(one)).at);
    }
    return ret;
}

static const char *cstr(Arena *arena, Str s)
{
    return arena_printf(arena, "%.*s", STR_FMT(s)).at;
}

static Err set_up(CURL *curl, const IntegrationConfig *c, const NotifyTransport *t, Arena *arena, Why *why)
{
    Str host = integration_text(c, "smarthost"), user = integration_text(c, "auth_username"), password;
    bool implicit = integration_is_on(c, "force_implicit_tls") ||
                    (!integration_field(c, "force_implicit_tls")->is_set && str_ends(host, S(":465")));
    const TlsConfig *tls = integration_field(c, "tls_config")->tls;
    curl_easy_setopt(curl, CURLOPT_URL,
                     arena_printf(arena, "%s://%.*s/%.*s", implicit ? "smtps" : "smtp", STR_FMT(host),
                                  STR_FMT(integration_text(c, "hello")))
                         .at);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL,
                     (long)(integration_is_on(c, "require_tls") ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (tls && tls->insecure_skip_verify) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (tls && tls->ca_file.len)
        curl_easy_setopt(curl, CURLOPT_CAINFO, cstr(arena, tls->ca_file));
    if (tls && tls->cert_file.len)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, cstr(arena, tls->cert_file));
    if (tls && tls->key_file.len)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, cstr(arena, tls->key_file));
    if (!user.len)
        return OK;
    TRY(notify_secret(t, c, "auth_password", "auth_password_file", arena, &password, why));
    curl_easy_setopt(curl, CURLOPT_USERNAME, cstr(arena, user));
    curl_easy_setopt(curl, CURLOPT_PASSWORD, cstr(arena, password));
    if (integration_text(c, "auth_identity").len)
        curl_easy_setopt(curl, CURLOPT_SASL_AUTHZID, cstr(arena, integration_text(c, "auth_identity")));
    return OK;
}

void email_deliver(const NotifyTransport *t, const Delivery *d, Arena *arena, DeliveryResult *ret)
{
    Str from, to, rest = d->body;
    Why why = {0};
    char error[CURL_ERROR_SIZE] = "";
    str_cut(rest, '\n', &from, &rest);
    str_cut(rest, '\n', &to, &rest);
    Upload upload = {rest};
    CURL *curl = curl_easy_init();
    struct curl_slist *rcpt = addresses(to, arena), *sender = addresses(from, arena);
    long code = 0;
    ret->verdict = DELIVERY_RETRY;
    if (!curl || !rcpt || !sender || set_up(curl, d->config, t, arena, &why) != OK) {
        ret->verdict = rcpt && sender ? DELIVERY_RETRY : DELIVERY_GONE;
        str_fit(ret->reason, sizeof ret->reason,
                why.text[0] ? why.text : "there is no valid address to send from or to");
    } else {
        curl_easy_setopt(curl, CURLOPT_MAIL_FROM, sender->data);
        curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, rcpt);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, &upload);
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, EMAIL_TIMEOUT_S);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
        CURLcode e = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
        if (e == CURLE_OK) {
            ret->verdict = DELIVERED;
        } else {
            /* 5xx: said so for good, but for logins, which somebody may be about to repair. */
            ret->verdict = code >= 500 && e != CURLE_LOGIN_DENIED ? DELIVERY_GONE : DELIVERY_RETRY;
            snprintf(ret->reason, sizeof ret->reason, "%s", error[0] ? error : curl_easy_strerror(e));
        }
    }
    curl_slist_free_all(rcpt);
    curl_slist_free_all(sender);
    if (curl)
        curl_easy_cleanup(curl);
}
