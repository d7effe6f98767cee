/* The tree printed back as block YAML, secrets hidden: those that conf_secret read, those whose key names a secret, and
 * passwords inside URLs. */
#include "config/conf_internal.h"

bool conf_is_secret_name(Str key)
{
    static const char *const names[] = {
        "password",
        "secret",
        "token",
        "credentials",
        "bearer_token",
        "client_secret",
        "secret_key",
        "auth_token",
        "api_key",
        "apikey",
        "service_key",
        "routing_key",
        "webhook_url",
        "api_url_secret",
        "opsgenie_api_key",
        "victorops_api_key",
        "smtp_auth_password",
        "smtp_auth_secret",
        "slack_api_url",
        "auth_password",
        "auth_secret",
        "bot_token",
        "user_key",
        "application_secret",
        "consumer_key",
        "key_passphrase",
        "service_account_key",
        "private_key",
        "access_token",
        "basic_auth_password",
        "app_secret",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(key, str_c(names[i])))
            return true;
    return false;
}

static bool plain_is_safe(Str s)
{
    if (s.len == 0 || s.len > 1000)
        return false;
    static const char first_bad[] = "-?:,[]{}#&*!|>'\"%@`=~<";
    if (strchr(first_bad, s.at[0]) && !(s.at[0] == '<' && s.len > 1 && s.at[1] != '<'))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.at[i];
        if (ch < 0x20 || ch == 0x7f || (ch == ':' && (i + 1 == s.len || s.at[i + 1] == ' ')) ||
            (ch == '#' && s.at[i - 1] == ' '))
            return false;
    }
    return s.at[s.len - 1] != ' ' && s.at[0] != ' ' && str_is_utf8(s);
}

/* Would a YAML reader take this plain text for something else than a string? */
static bool plain_is_typed(Str s)
{
    static const char *const words[] = {
        "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "no",
        "No",   "NO",   "on",   "On",   "ON",   "off",  "Off",   "OFF",   "y",     "Y",   "n",   "N",   "<<"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_eq(s, str_c(words[i])))
            return true;
    return s.len && ((s.at[0] >= '0' && s.at[0] <= '9') || s.at[0] == '.' || s.at[0] == '+');
}

static void print_quoted(Buf *out, Str s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.len;) {
        u32 rune;
        size_t n = str_rune(str_skip(s, i), &rune);
        unsigned char ch = (unsigned char)s.at[i];
        if (ch == '"' || ch == '\\')
            buf_printf(out, "\\%c", ch);
        else if (ch == '\n')
            buf_c(out, "\\n");
        else if (ch == '\t')
            buf_c(out, "\\t");
        else if (ch < 0x20 || ch == 0x7f || (rune == 0xfffd && n == 1))
            buf_printf(out, "\\x%02x", ch);
        else if (rune == 0x85 || rune == 0xa0 || rune == 0x2028 || rune == 0x2029 || rune == 0xfeff)
            buf_printf(out, "\\u%04x", rune);
        else
            buf_put(out, s.at + i, n);
        i += n;
    }
    buf_char(out, '"');
}

static void print_text(Buf *out, Str s, bool is_quoted)
{
    if (plain_is_safe(s) && !(is_quoted && plain_is_typed(s)))
        buf_str(out, s);
    else
        print_quoted(out, s);
}

/* scheme://user:password@host -> scheme://user:<secret>@host, in any text. */
static void print_scalar(Buf *out, Str s, bool is_quoted)
{
    size_t scheme = str_find(s, S("://"));
    Str rest = scheme == SIZE_MAX ? S("") : str_skip(s, scheme + 3);
    size_t end = 0, at = SIZE_MAX, colon = SIZE_MAX;
    for (; end < rest.len && rest.at[end] != '/' && rest.at[end] != '?' && rest.at[end] != '#'; end++) {
        if (rest.at[end] == '@')
            at = end;
        if (rest.at[end] == ':' && colon == SIZE_MAX)
            colon = end;
    }
    if (at == SIZE_MAX || colon == SIZE_MAX || colon > at) {
        print_text(out, s, is_quoted);
        return;
    }
    Buf hidden;
    buf_init(&hidden, s.len + 32);
    buf_str(&hidden, str_sub(s, 0, scheme + 3 + colon + 1));
    buf_c(&hidden, SECRET_TEXT);
    buf_str(&hidden, str_skip(rest, at));
    print_text(out, buf_view(&hidden), is_quoted);
    buf_done(&hidden);
}

static void print_node(Conf *c, const ConfNode *n, u32 indent, bool at_dash, bool is_secret, Buf *out);

static void put_indent(Buf *out, u32 indent)
{
    for (u32 i = 0; i < indent; i++)
        buf_c(out, "  ");
}

static void print_map(Conf *c, const ConfNode *n, u32 indent, bool at_dash, bool is_secret, Buf *out)
{
    for (u32 i = 0; i < n->len; i++) {
        const ConfNode *v = &n->items[i];
        if (i > 0 || !at_dash)
            put_indent(out, indent);
        print_text(out, n->keys[i].text, true);
        buf_char(out, ':');
        bool hide = is_secret || conf_is_secret_name(n->keys[i].text) ||
                    u64map_find(&c->secrets, (u64)(uintptr_t)v) != NULL;
        if (v->kind == CONF_SCALAR || v->kind == CONF_NULL || v->len == 0) {
            buf_char(out, ' ');
            print_node(c, v, indent, false, hide, out);
        } else {
            buf_char(out, '\n');
            /* Lists stand under their key without further indent, as Go's encoder writes them. */
            print_node(c, v, v->kind == CONF_LIST ? indent : indent + 1, false, hide, out);
        }
    }
}

static void print_list(Conf *c, const ConfNode *n, u32 indent, bool at_dash, bool is_secret, Buf *out)
{
    for (u32 i = 0; i < n->len; i++) {
        const ConfNode *v = &n->items[i];
        bool hide = is_secret || u64map_find(&c->secrets, (u64)(uintptr_t)v) != NULL;
        if (i > 0 || !at_dash)
            put_indent(out, indent);
        buf_c(out, "- ");
        print_node(c, v, indent + 1, true, hide, out);
    }
}

static void print_node(Conf *c, const ConfNode *n, u32 indent, bool at_dash, bool is_secret, Buf *out)
{
    switch (n->kind) {
    case CONF_NULL:
        buf_c(out, "null\n");
        break;
    case CONF_SCALAR:
        if (is_secret && n->text.len)
            buf_c(out, SECRET_TEXT);
        else
            print_scalar(out, n->text, n->is_quoted);
        buf_char(out, '\n');
        break;
    case CONF_LIST:
        if (n->len == 0)
            buf_c(out, "[]\n");
        else
            print_list(c, n, indent, at_dash, is_secret, out);
        break;
    case CONF_MAP:
        if (n->len == 0)
            buf_c(out, "{}\n");
        else
            print_map(c, n, indent, at_dash, is_secret, out);
        break;
    }
}

void conf_print_yaml(Conf *c, Buf *out)
{
    const ConfNode *root = conf_root(c);
    if (!root || root->kind == CONF_NULL)
        buf_c(out, "{}\n");
    else
        print_node(c, root, 0, false, false, out);
}
