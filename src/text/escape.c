/* Escaping and encodings: text.h. */
#include <stdio.h>

#include "text/text.h"

void html_escape(Buf *out, Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.at[i]) {
        case '&':
            buf_c(out, "&amp;");
            break;
        case '<':
            buf_c(out, "&lt;");
            break;
        case '>':
            buf_c(out, "&gt;");
            break;
        case '"':
            buf_c(out, "&#34;");
            break;
        case '\'':
            buf_c(out, "&#39;");
            break;
        case 0:
            buf_c(out, "\xef\xbf\xbd");
            break;
        default:
            buf_char(out, s.at[i]);
        }
    }
}

static void url_escape(Buf *out, Str s, const char *also_plain, bool space_is_plus)
{
    for (size_t i = 0; i < s.len; i++) {
        u8 c = (u8)s.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-_.~", c)) || (c && strchr(also_plain, c));
        if (plain)
            buf_char(out, (char)c);
        else if (c == ' ' && space_is_plus)
            buf_char(out, '+');
        else
            buf_printf(out, "%%%02X", c);
    }
}

void url_escape_query(Buf *out, Str s)
{
    url_escape(out, s, "", true);
}

void url_escape_path(Buf *out, Str s)
{
    url_escape(out, s, "$&+=:@", false);
}

Err url_unescape(Buf *out, Str s, bool plus_is_space)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '%') {
            u32 hi = i + 2 < s.len ? hex_digit(s.at[i + 1]) : 16;
            u32 lo = i + 2 < s.len ? hex_digit(s.at[i + 2]) : 16;
            if (hi > 15 || lo > 15)
                return E_PARSE;
            buf_char(out, (char)(hi << 4 | lo));
            i += 2;
        } else {
            buf_char(out, c == '+' && plus_is_space ? ' ' : c);
        }
    }
    return OK;
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(Buf *out, Str b)
{
    for (size_t i = 0; i < b.len; i += 3) {
        size_t n = MIN(b.len - i, (size_t)3);
        u32 w =
            (u32)(u8)b.at[i] << 16 | (n > 1 ? (u32)(u8)b.at[i + 1] << 8 : 0) | (n > 2 ? (u8)b.at[i + 2] : 0);
        buf_char(out, base64_alphabet[w >> 18]);
        buf_char(out, base64_alphabet[w >> 12 & 63]);
        buf_char(out, n > 1 ? base64_alphabet[w >> 6 & 63] : '=');
        buf_char(out, n > 2 ? base64_alphabet[w & 63] : '=');
    }
}

Err base64_decode(Buf *out, Str s)
{
    if (s.len % 4)
        return E_PARSE;
    for (size_t i = 0; i < s.len; i += 4) {
        u32 w = 0, pad = 0;
        for (size_t k = 0; k < 4; k++) {
            char c = s.at[i + k];
            const char *p = c ? strchr(base64_alphabet, c) : NULL;
            if (c == '=' && i + 4 == s.len && k >= 2)
                pad++, w <<= 6;
            else if (!p || pad)
                return E_PARSE;
            else
                w = w << 6 | (u32)(p - base64_alphabet);
        }
        char bytes[3] = {(char)(w >> 16), (char)(w >> 8), (char)w};
        buf_put(out, bytes, 3 - pad);
    }
    return OK;
}

void hex_encode(Buf *out, Str b)
{
    for (size_t i = 0; i < b.len; i++) {
        buf_char(out, "0123456789abcdef"[(u8)b.at[i] >> 4]);
        buf_char(out, "0123456789abcdef"[(u8)b.at[i] & 15]);
    }
}

/* Go prints what unicode.IsPrint calls printable as it is. Without its tables: controls (C0, C1), separators other than the
 * space, surrogates, private use and non-characters are escaped, everything else is taken as printable. */
static bool is_printable(u32 r)
{
    return !(r < 0x20 || (r >= 0x7f && r <= 0xa0) || r == 0xad || (r >= 0x2000 && r <= 0x200f) ||
             (r >= 0x2028 && r <= 0x202f) || (r >= 0x205f && r <= 0x206f) || r == 0x3000 || r == 0xfeff ||
             (r >= 0xe000 && r <= 0xf8ff) || (r & 0xfffe) == 0xfffe || r >= 0xe0000);
}

void go_quote(Buf *out, Str s)
{
    static const char named[] = {'a', 'b', 't', 'n', 'v', 'f', 'r'};
    buf_char(out, '"');
    for (size_t i = 0; i < s.len;) {
        u32 rune;
        size_t n = str_rune(str_skip(s, i), &rune);
        u8 c = (u8)s.at[i];
        if (c >= 0x80 && n == 1)
            buf_printf(out, "\\x%02x", c);
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c >= 7 && c <= 13)
            buf_printf(out, "\\%c", named[c - 7]);
        else if (is_printable(rune))
            buf_put(out, s.at + i, n);
        else if (rune < 0x80)
            buf_printf(out, "\\x%02x", rune);
        else
            buf_printf(out, rune < 0x10000 ? "\\u%04x" : "\\U%08x", rune);
        i += n;
    }
    buf_char(out, '"');
}

static bool read_hex(Str s, size_t at, u32 n, u32 *ret)
{
    u32 v = 0;
    if (at + n > s.len)
        return false;
    for (u32 i = 0; i < n; i++) {
        u32 d = hex_digit(s.at[at + i]);
        if (d > 15)
            return false;
        v = v << 4 | d;
    }
    *ret = v;
    return true;
}

/* Decodes the escape at s.at[*i] (after the backslash) into out; false when malformed. */
static bool unquote_escape(Str s, size_t *i, char quote, char *out, size_t *len)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    char c = s.at[(*i)++];
    const char *simple = c ? strchr(from, c) : NULL;
    u32 v = 0;
    if (simple) {
        out[(*len)++] = to[simple - from];
    } else if (c == quote) {
        out[(*len)++] = c;
    } else if (c >= '0' && c <= '7') {
        v = (u32)(c - '0');
        for (int k = 0; k < 2; k++, (*i)++) {
            if (*i >= s.len || s.at[*i] < '0' || s.at[*i] > '7')
                return false;
            v = v << 3 | (u32)(s.at[*i] - '0');
        }
        if (v > 255)
            return false;
        out[(*len)++] = (char)v;
    } else if (c == 'x') {
        if (!read_hex(s, *i, 2, &v))
            return false;
        *i += 2;
        out[(*len)++] = (char)v;
    } else if (c == 'u' || c == 'U') {
        u32 n = c == 'u' ? 4 : 8;
        if (!read_hex(s, *i, n, &v) || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return false;
        *i += n;
        *len += rune_encode(v, out + *len);
    } else {
        return false;
    }
    return true;
}

bool go_unquote(Str quoted, Arena *arena, Str *ret)
{
    if (quoted.len < 2 || quoted.at[0] != quoted.at[quoted.len - 1])
        return false;
    char quote = quoted.at[0];
    Str s = str_sub(quoted, 1, quoted.len - 1);
    if (quote == '`' || str_find_char(s, '\\') == SIZE_MAX) {
        *ret = s;
        return str_find_char(s, quote) == SIZE_MAX && (quote == '`' || str_find_char(s, '\n') == SIZE_MAX);
    }
    char *out = arena_array(arena, char, s.len + 1);
    size_t len = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < s.len;) {
        if (s.at[i] == quote || s.at[i] == '\n')
            return false;
        if (s.at[i] != '\\') {
            out[len++] = s.at[i++];
            continue;
        }
        i++;
        if (i >= s.len || !unquote_escape(s, &i, quote, out, &len))
            return false;
    }
    *ret = str_of(out, len);
    return true;
}
