#include "net/net.h"

static bool is_scheme_char(char c, bool is_first)
{
    bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    return is_letter || (!is_first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'));
}

static u16 default_port(Str scheme)
{
    return str_eq_nocase(scheme, S("http")) ? 80 : str_eq_nocase(scheme, S("https")) ? 443 : 0;
}

static Err parse_host(Str authority, Url *u, Why *why)
{
    Str port = {0};
    bool has_colon;
    if (str_starts(authority, S("["))) {
        size_t close = str_find_char(authority, ']');
        if (close == SIZE_MAX)
            return why_set(why, E_PARSE, "URL: the [ of an IPv6 address is not closed");
        u->host = str_sub(authority, 1, close);
        Str rest = str_skip(authority, close + 1);
        has_colon = str_starts(rest, S(":"));
        if (rest.len && !has_colon)
            return why_set(why, E_PARSE, "URL: after the ] only :port may follow");
        port = str_skip(rest, 1);
        if (str_find_char(u->host, ':') == SIZE_MAX)
            return why_set(why, E_PARSE, "URL: only an IPv6 address may stand in [ ]");
        for (size_t i = 0; i < u->host.len; i++)
            if (!strchr("0123456789abcdefABCDEF:.%", u->host.at[i]) || !u->host.at[i])
                return why_set(why, E_PARSE, "URL: the IPv6 address has a character that is not allowed");
    } else {
        has_colon = str_cut(authority, ':', &u->host, &port);
        if (str_find_char(port, ':') != SIZE_MAX)
            return why_set(why, E_PARSE, "URL: the host holds several colons: put an IPv6 address in [ ]");
        for (size_t i = 0; i < u->host.len; i++) {
            u8 c = (u8)u->host.at[i];
            if (c <= ' ' || c == 0x7f || strchr("<>\"\\^`{|}[]%", c))
                return why_set(why, E_PARSE, "URL: the host has a character that is not allowed");
        }
    }
    u->port = default_port(u->scheme);
    if (has_colon && port.len) {
        u64 n;
        if (parse_u64(port, &n) != OK || n > 65535)
            return why_set(why, E_PARSE, "URL: the port must be a number up to 65535");
        u->port = (u16)n;
        u->has_port = true;
    }
    return OK;
}

Err url_parse(Str text, Url *ret, Why *why)
{
    Url u = {0};
    size_t colon = str_find_char(text, ':');
    if (colon == SIZE_MAX || colon == 0 || !str_starts(str_skip(text, colon), S("://")))
        return why_set(why, E_PARSE, "URL: it must start with a scheme such as http:// or https://");
    for (size_t i = 0; i < text.len; i++)
        if ((u8)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return why_set(why, E_PARSE, "URL: it holds a control character");
    for (size_t i = 0; i < colon; i++)
        if (!is_scheme_char(text.at[i], i == 0))
            return why_set(why, E_PARSE, "URL: the scheme has a character that is not allowed");
    u.scheme = str_sub(text, 0, colon);
    Str rest = str_skip(text, colon + 3);
    size_t end = 0;
    while (end < rest.len && !strchr("/?#", rest.at[end]))
        end++;
    Str authority = str_sub(rest, 0, end);
    rest = str_skip(rest, end);
    for (size_t i = authority.len; i-- > 0;)
        if (authority.at[i] == '@') { /* the last one: a password may hold others */
            u.userinfo = str_sub(authority, 0, i);
            authority = str_skip(authority, i + 1);
            break;
        }
    TRY(parse_host(authority, &u, why));
    if (str_empty(u.host) && u.port)
        return why_set(why, E_PARSE, "URL: the host is missing");
    if (!str_cut(rest, '#', &rest, &u.fragment))
        u.fragment = (Str){0};
    if (!str_cut(rest, '?', &u.path, &u.query))
        u.query = (Str){0};
    if (!str_is_utf8(u.path) || str_find_char(u.path, ' ') != SIZE_MAX)
        return why_set(why, E_PARSE, "URL: the path must be UTF-8 without spaces (write %%20)");
    *ret = u;
    return OK;
}

static const Str webhook_path = STR_INIT("/api/webhooks/");

/* https://discord.com/api/webhooks/ID/TOKEN: whoever knows the token may post. */
static void print_path(Buf *out, Str path)
{
    size_t at = str_find(path, webhook_path);
    Str id = {0}, token = {0};
    if (at == SIZE_MAX || !str_cut(str_skip(path, at + webhook_path.len), '/', &id, &token) ||
        str_empty(token)) {
        buf_str(out, path);
        return;
    }
    buf_str(out, str_sub(path, 0, at + webhook_path.len));
    buf_str(out, id);
    buf_str(out, S("/xxxxx"));
    size_t more = str_find_char(token, '/');
    if (more != SIZE_MAX)
        buf_str(out, str_skip(token, more));
}

void url_print_redacted(Buf *out, Str url)
{
    Url u = {0};
    if (url_parse(url, &u, NULL) != OK) {
        buf_str(out, S("<not a URL>")); /* it may hold a password all the same */
        return;
    }
    buf_str(out, u.scheme);
    buf_str(out, S("://"));
    if (u.userinfo.at) {
        Str user = {0}, password = {0};
        bool has_password = str_cut(u.userinfo, ':', &user, &password);
        buf_str(out, user);
        buf_str(out, has_password ? S(":xxxxx@") : S("@"));
    }
    bool is_v6 = str_find_char(u.host, ':') != SIZE_MAX;
    buf_str(out, is_v6 ? S("[") : S(""));
    buf_str(out, u.host);
    buf_str(out, is_v6 ? S("]") : S(""));
    if (u.has_port)
        buf_printf(out, ":%u", u.port);
    print_path(out, u.path);
    if (u.query.at)
        buf_printf(out, "?%.*s", STR_FMT(u.query));
    if (u.fragment.at)
        buf_printf(out, "#%.*s", STR_FMT(u.fragment));
}
