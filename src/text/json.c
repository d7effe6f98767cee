/* The streaming JSON writer: text.h. */
#include <math.h>

#include "text/text.h"

void js_init(Json *j, Buf *out)
{
    *j = (Json){.out = out};
}

static void json_item(Json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    u64 bit = 1ull << j->depth;
    if (j->has_item & bit)
        buf_char(j->out, ',');
    j->has_item |= bit;
}

static void json_down(Json *j, char c)
{
    json_item(j);
    buf_char(j->out, c);
    check(j->depth < 63);
    j->depth++;
    j->has_item &= ~(1ull << j->depth);
}

static void json_up(Json *j, char c)
{
    check(j->depth > 0 && !j->after_key);
    j->depth--;
    buf_char(j->out, c);
}

void js_object(Json *j)
{
    json_down(j, '{');
}

void js_object_end(Json *j)
{
    json_up(j, '}');
}

void js_array(Json *j)
{
    json_down(j, '[');
}

void js_array_end(Json *j)
{
    json_up(j, ']');
}

void js_key(Json *j, Str key)
{
    json_item(j);
    js_quote(j->out, key);
    buf_char(j->out, ':');
    j->after_key = true;
}

void js_str(Json *j, Str value)
{
    json_item(j);
    js_quote(j->out, value);
}

void js_c(Json *j, const char *value)
{
    js_str(j, str_c(value));
}

void js_i64(Json *j, i64 v)
{
    json_item(j);
    print_i64(j->out, v);
}

void js_u64(Json *j, u64 v)
{
    json_item(j);
    print_u64(j->out, v);
}

void js_f64(Json *j, f64 v)
{
    json_item(j);
    if (!isfinite(v))
        buf_c(j->out, "null");
    else
        print_f64_json(j->out, v);
}

void js_bool(Json *j, bool v)
{
    json_item(j);
    buf_c(j->out, v ? "true" : "false");
}

void js_null(Json *j)
{
    json_item(j);
    buf_c(j->out, "null");
}

void js_raw(Json *j, Str already_json)
{
    json_item(j);
    buf_str(j->out, already_json);
}

void js_kv(Json *j, const char *key, Str value)
{
    js_key(j, str_c(key));
    js_str(j, value);
}

void js_kv_time_ms(Json *j, const char *key, i64 unix_ms)
{
    if (!unix_ms)
        return;
    Buf b;
    buf_init(&b, 64);
    print_rfc3339_ms(&b, unix_ms);
    js_kv(j, key, buf_view(&b));
    buf_done(&b);
}

/* 0 = plain; else what follows the backslash, 'u' for \u00xx. Bytes over 0x7f are looked at as runes. */
static const char escapes[128] = {
    ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['\b'] = 'b', ['\f'] = 'f',
    ['<'] = 'u', ['>'] = 'u',   ['&'] = 'u',  [0] = 'u',    [1] = 'u',    [2] = 'u',    [3] = 'u',
    [4] = 'u',   [5] = 'u',     [6] = 'u',    [7] = 'u',    [11] = 'u',   [14] = 'u',   [15] = 'u',
    [16] = 'u',  [17] = 'u',    [18] = 'u',   [19] = 'u',   [20] = 'u',   [21] = 'u',   [22] = 'u',
    [23] = 'u',  [24] = 'u',    [25] = 'u',   [26] = 'u',   [27] = 'u',   [28] = 'u',   [29] = 'u',
    [30] = 'u',  [31] = 'u',
};

/* How many bytes from `from` on, in eights, are plain ASCII that nothing escapes: most texts are wholly so. A byte that
 * only html escapes ends it too. */
static size_t plain_run(Str s, size_t from)
{
    const u64 ones = 0x0101010101010101u, high = 0x8080808080808080u;
    size_t i = from;
    for (u64 x; i + 8 <= s.len; i += 8) {
        memcpy(&x, s.at + i, 8);
        u64 quotes = (x & ~(4 * ones)) ^ ('"' * ones),
            angles = (x & ~(2 * ones)) ^ ('<' * ones), /* also & and > */
            slashes = x ^ ('\\' * ones);
        u64 zeros = ((quotes - ones) & ~quotes) | ((angles - ones) & ~angles) | ((slashes - ones) & ~slashes);
        if ((x | zeros | ((x - 0x20 * ones) & ~x)) & high)
            break;
    }
    return i - from;
}

static void quote(Buf *out, Str s, bool html)
{
    buf_char(out, '"');
    size_t plain = 0, i = plain_run(s, 0);
    while (i < s.len) {
        u8 c = (u8)s.at[i];
        if (c < 0x80 && (!escapes[c] || (!html && (c == '<' || c == '>' || c == '&')))) {
            i++;
            continue;
        }
        u32 rune = c;
        size_t n = c < 0x80 ? 1 : str_rune(str_skip(s, i), &rune);
        bool is_bad = c >= 0x80 && n == 1;
        if (c >= 0x80 && !is_bad && rune != 0x2028 && rune != 0x2029) {
            i += n;
            continue;
        }
        buf_put(out, s.at + plain, i - plain);
        if (is_bad)
            buf_c(out, "\\ufffd");
        else if (c >= 0x80)
            buf_printf(out, "\\u%04x", rune);
        else if (escapes[c] == 'u')
            buf_printf(out, "\\u%04x", c);
        else {
            buf_char(out, '\\');
            buf_char(out, escapes[c]);
        }
        i += n;
        plain = i;
    }
    if (plain < s.len)
        buf_put(out, s.at + plain, s.len - plain);
    buf_char(out, '"');
}

void js_quote(Buf *out, Str s)
{
    quote(out, s, true);
}

void js_str_plain(Json *j, Str value)
{
    json_item(j);
    quote(j->out, value, false);
}
