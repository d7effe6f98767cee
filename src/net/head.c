#include "net/head.h"

/* ---- the scanner ---- */

enum { AT_START, AT_START_CR, IN_LINE, AT_LINE_CR, AT_NAME, IN_NAME, IN_VALUE, AT_VALUE_CR, AT_END_CR };

/* RFC 9110 token characters. */
static const u8 is_token[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -400;
}

static int scan_name_start(HeadScan *s, u8 b, const char **ret_why)
{
    if (b == '\r') {
        s->state = AT_END_CR;
        return 0;
    }
    if (b == ' ' || b == '\t')
        return refuse(ret_why, "a header may not be continued on the next line");
    if (b == ':')
        return refuse(ret_why, "a header has an empty name");
    if (b == '\n')
        return refuse(ret_why, "lines must end with CR LF");
    if (!is_token[b])
        return refuse(ret_why, "a header name has a character that is not allowed");
    if (++s->headers > HEADERS_MAX) {
        *ret_why = "more than 256 headers";
        return -431;
    }
    s->state = IN_NAME;
    return 0;
}

static int scan_byte(HeadScan *s, u8 b, const char **ret_why)
{
    switch (s->state) {
    case AT_START:
        if (b == '\r') {
            s->state = AT_START_CR;
            return 0;
        }
        s->state = IN_LINE;
        [[fallthrough]];
    case IN_LINE:
        if (b == '\r') {
            if (s->spaces != 2)
                return refuse(ret_why, "the request line must be: method, space, target, space, version");
            s->state = AT_LINE_CR;
        } else if (b == ' ') {
            s->spaces++;
            if (s->spaces > 2)
                return refuse(ret_why, "the request line has more than two spaces");
        } else if (b < 0x21 || b >= 0x7f) {
            return refuse(ret_why, b == '\n' ? "lines must end with CR LF"
                                             : "the request line has a byte that must be percent-escaped");
        }
        return 0;
    case AT_START_CR:
        if (b != '\n')
            return refuse(ret_why, "CR without LF");
        s->state = AT_START;
        return 0;
    case AT_LINE_CR:
    case AT_VALUE_CR:
        if (b != '\n')
            return refuse(ret_why, "CR without LF");
        s->state = AT_NAME;
        return 0;
    case AT_NAME:
        return scan_name_start(s, b, ret_why);
    case IN_NAME:
        if (b == ':')
            s->state = IN_VALUE;
        else if (!is_token[b])
            return refuse(ret_why, "a header name has a character that is not allowed");
        return 0;
    case IN_VALUE:
        if (b == '\r')
            s->state = AT_VALUE_CR;
        else if ((b < 0x20 && b != '\t') || b == 0x7f)
            return refuse(ret_why,
                          b == '\n' ? "lines must end with CR LF" : "a header value has a control byte");
        return 0;
    default: /* AT_END_CR */
        return b == '\n' ? 1 : refuse(ret_why, "CR without LF");
    }
}

int head_scan(HeadScan *s, Str bytes, const char **ret_why)
{
    size_t end = MIN(bytes.len, (size_t)HEAD_BYTES_MAX);
    for (; s->at < end; s->at++) {
        int r = scan_byte(s, (u8)bytes.at[s->at], ret_why);
        if (r < 0)
            return r;
        if (r > 0)
            return (int)++s->at;
    }
    if (s->at < HEAD_BYTES_MAX)
        return 0;
    bool in_line = s->state <= AT_LINE_CR;
    *ret_why = in_line
                   ? "the request target is too long (the head may have 32 KiB): use POST with a form body"
                   : "the head is larger than 32 KiB";
    return in_line ? -414 : -431;
}

/* ---- cutting ---- */

static u32 method_bit(Str m)
{
    static const Str names[] = {STR_INIT("GET"),    STR_INIT("HEAD"),  STR_INIT("POST"),   STR_INIT("PUT"),
                                STR_INIT("DELETE"), STR_INIT("PATCH"), STR_INIT("OPTIONS")};
    for (u32 i = 0; i < COUNT_OF(names); i++)
        if (str_eq(m, names[i]))
            return 1u << i;
    return 0;
}

u32 method_bits(Str list)
{
    u32 bits = 0;
    Str one;
    bool more = true;
    while (more) {
        more = str_cut(list, ',', &one, &list);
        u32 bit = method_bit(str_trim(one));
        if (!bit)
            return 0;
        bits |= bit;
    }
    return bits;
}

static bool is_zero_weight(Str params)
{
    Str one;
    bool more = true;
    while (more) {
        more = str_cut(params, ';', &one, &params);
        one = str_trim(one);
        if (!str_starts(one, S("q=")))
            continue;
        for (size_t i = 2; i < one.len; i++)
            if (one.at[i] != '0' && one.at[i] != '.')
                return false;
        return true;
    }
    return false;
}

bool accepts_coding(Str accept, Str coding)
{
    Str one, name, params;
    bool more = accept.len > 0;
    while (more) {
        more = str_cut(accept, ',', &one, &accept);
        bool has_params = str_cut(one, ';', &name, &params);
        if (str_eq_nocase(str_trim(name), coding))
            return !has_params || !is_zero_weight(params);
    }
    return false;
}

Str head_find(const Head *h, Str name)
{
    for (u32 i = 0; i < h->headers_len; i++)
        if (str_eq_nocase(h->headers[i].name, name))
            return h->headers[i].value;
    return (Str){0};
}

/* Line by line; the scanner has vouched for the shape. */
static void cut_headers(Str rest, Head *h)
{
    while (rest.len > 2) {
        size_t colon = str_find_char(rest, ':');
        size_t end = str_find_char(rest, '\r');
        h->headers[h->headers_len++] =
            (HttpHeader){str_sub(rest, 0, colon), str_trim(str_sub(rest, colon + 1, end))};
        rest = str_skip(rest, end + 2);
    }
}

/* http://host/path is what a proxy would be sent; its path is what counts. */
static Str origin_form(Str target)
{
    Str prefix = str_starts(target, S("http://")) ? S("http://") : S("https://");
    if (!str_starts(target, prefix))
        return target;
    Str rest = str_skip(target, prefix.len);
    size_t slash = str_find_char(rest, '/');
    size_t question = str_find_char(rest, '?');
    if (slash == SIZE_MAX || question < slash)
        return question == SIZE_MAX ? S("/") : str_skip(rest, question);
    return str_skip(rest, slash);
}

static bool is_host(Str v)
{
    for (size_t i = 0; i < v.len; i++) {
        u8 b = (u8)v.at[i];
        if (b <= ' ' || b >= 0x7f || strchr("/\\?#@<>\"", b))
            return false;
    }
    return true;
}

typedef struct Seen {
    u32 hosts, lengths, codings;
    Str coding, length;
} Seen;

static int check_framing(const Head *h, const Seen *seen, const char **ret_why)
{
    if (seen->codings) {
        if (seen->lengths)
            return -refuse(ret_why, "Transfer-Encoding together with Content-Length");
        if (h->is_http10)
            return -refuse(ret_why, "Transfer-Encoding in an HTTP/1.0 request");
        if (seen->codings > 1 || !str_eq_nocase(seen->coding, S("chunked"))) {
            *ret_why = "the only transfer coding is chunked";
            return 501;
        }
    }
    if (seen->lengths > 1)
        return -refuse(ret_why, "more than one Content-Length");
    for (size_t i = 0; i < seen->length.len; i++)
        if (seen->length.at[i] < '0' || seen->length.at[i] > '9')
            return -refuse(ret_why, "Content-Length is not a number");
    if (seen->hosts > 1)
        return -refuse(ret_why, "more than one Host header");
    if (seen->hosts == 0 && !h->is_http10)
        return -refuse(ret_why, "the Host header is missing");
    return 0;
}

/* Headers that decide about framing or the answer. */
static int note_header(Str name, Str value, Head *h, Seen *seen, const char **ret_why)
{
    switch (name.len) {
    case 4:
        if (str_eq_nocase(name, S("host"))) {
            seen->hosts++;
            if (!is_host(value))
                return -refuse(ret_why, "the Host header is not a host");
        }
        break;
    case 6:
        if (str_eq_nocase(name, S("expect"))) {
            if (!str_eq_nocase(value, S("100-continue"))) {
                *ret_why = "the only expectation is 100-continue";
                return 417;
            }
            h->expects_continue = !h->is_http10;
        }
        break;
    case 14:
        if (str_eq_nocase(name, S("content-length"))) {
            seen->lengths++;
            seen->length = value;
        }
        break;
    case 15:
        if (str_eq_nocase(name, S("accept-encoding")))
            h->accepts_gzip = accepts_coding(value, S("gzip"));
        break;
    case 17:
        if (str_eq_nocase(name, S("transfer-encoding"))) {
            seen->codings++;
            seen->coding = value;
        }
        break;
    }
    return 0;
}

int head_parse(Str head, u32 headers, Arena *a, Head *ret, const char **ret_why)
{
    *ret = (Head){0};
    while (str_starts(head, S("\r\n")))
        head = str_skip(head, 2);
    LlhttpVerdict v;
    bool is_fine = llhttp_judge(head, &v);
    size_t line_end = str_find_char(head, '\r');
    Str line = str_sub(head, 0, line_end), rest;
    str_cut(line, ' ', &ret->method, &rest);
    str_cut(rest, ' ', &ret->target, &rest);
    if (str_starts(rest, S("HTTP/")) && !str_eq(rest, S("HTTP/1.1")) && !str_eq(rest, S("HTTP/1.0"))) {
        *ret_why = "only HTTP/1.1 and HTTP/1.0 are spoken here";
        return 505;
    }
    ret->headers = arena_alloc(a, sizeof(HttpHeader) * MAX(headers, 1));
    cut_headers(str_skip(head, line_end + 2), ret);
    ret->is_http10 = str_eq(rest, S("HTTP/1.0"));
    Seen seen = {0};
    for (u32 i = 0; i < ret->headers_len; i++) {
        int status = note_header(ret->headers[i].name, ret->headers[i].value, ret, &seen, ret_why);
        if (status)
            return status;
    }
    int status = check_framing(ret, &seen, ret_why);
    if (status)
        return status;
    if (!is_fine) {
        *ret_why = v.reason && v.reason[0] ? v.reason : "not an HTTP request";
        return 400;
    }
    if (v.is_chunked != (seen.codings == 1) || v.has_length != (seen.lengths == 1))
        return -refuse(ret_why, "the framing of the body is ambiguous");
    ret->content_length = v.has_length ? v.content_length : 0;
    ret->is_chunked = v.is_chunked;
    ret->keep_alive = v.keep_alive;
    ret->method_bit = method_bit(ret->method);
    Str target = origin_form(ret->target);
    size_t fragment = str_find_char(target, '#');
    if (fragment != SIZE_MAX)
        target = str_sub(target, 0, fragment);
    str_cut(target, '?', &ret->path_raw, &ret->query);
    if (str_empty(ret->path_raw))
        ret->path_raw = S("/");
    return 0;
}

/* ---- paths and parameters ---- */

/* Undoes escapes into to (which has room for s.len bytes); SIZE_MAX for a broken one. */
static size_t unescape(Str s, bool plus_is_space, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '%') {
            if (i + 2 >= s.len)
                return SIZE_MAX;
            u32 hi = hex_digit(s.at[i + 1]), lo = hex_digit(s.at[i + 2]);
            if (hi > 15 || lo > 15)
                return SIZE_MAX;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        to[n++] = c;
    }
    return n;
}

bool path_canonical(Str raw, Arena *a, Str *ret)
{
    if (!str_starts(raw, S("/")))
        return false;
    char *p = arena_alloc(a, raw.len + 1);
    size_t n = unescape(raw, false, p);
    if (n == SIZE_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((u8)p[i] < 0x20 || p[i] == 0x7f)
            return false;
    /* In place: the result is never longer. out always ends after a complete segment. */
    size_t out = 0, i = 0;
    while (i < n) {
        while (i < n && p[i] == '/')
            i++;
        size_t from = i;
        while (i < n && p[i] != '/')
            i++;
        size_t len = i - from;
        bool is_last = i == n;
        if (len == 0 || (len == 1 && p[from] == '.')) {
            if (is_last)
                p[out++] = '/';
        } else if (len == 2 && p[from] == '.' && p[from + 1] == '.') {
            while (out > 0 && p[--out] != '/')
                ;
            if (is_last)
                p[out++] = '/';
        } else {
            p[out++] = '/';
            memmove(p + out, p + from, len);
            out += len;
        }
    }
    p[out] = 0;
    *ret = str_of(p, out);
    return str_is_utf8(*ret);
}

Err params_parse(Str text, Arena *a, HttpParam **params, u32 *len, u32 *cap, Why *why)
{
    if (text.len == 0)
        return OK;
    char *to = arena_try(a, text.len);
    if (!to)
        return why_set(why, E_LIMIT, "the parameters need more memory than a request may have");
    Str pair, rest = text;
    bool more = true;
    while (more) {
        more = str_cut(rest, '&', &pair, &rest);
        if (pair.len == 0)
            continue;
        Str name, value = {0};
        str_cut(pair, '=', &name, &value);
        if (*len >= PARAMS_MAX)
            return why_set(why, E_LIMIT, "more than %d parameters", PARAMS_MAX);
        if (*len == *cap) {
            u32 new_cap = MAX(8, *cap * 2);
            HttpParam *grown = arena_array(a, HttpParam, new_cap);
            if (!grown)
                return why_set(why, E_LIMIT, "the parameters need more memory than a request may have");
            if (*len)
                memcpy(grown, *params, *len * sizeof(HttpParam));
            *params = grown;
            *cap = new_cap;
        }
        size_t n = unescape(name, true, to);
        size_t m = n == SIZE_MAX ? SIZE_MAX : unescape(value, true, to + n);
        if (m == SIZE_MAX)
            return why_set(why, E_PARSE,
                           "the parameters hold an invalid escape: %% must be followed by two hex digits");
        (*params)[(*len)++] = (HttpParam){str_of(to, n), str_of(to + n, m)};
        to += n + m;
    }
    return OK;
}

/* ---- chunked ---- */

enum {
    C_SIZE,
    C_EXT,
    C_SIZE_LF,
    C_DATA,
    C_DATA_CR,
    C_DATA_LF,
    C_TRAILER,
    C_TRAILER_LINE,
    C_TRAILER_LF,
    C_LAST_LF
};
enum { CHUNK_LINE_MAX = 256, TRAILERS_MAX = 8192 };

/* One byte of framing; the data itself does not come here. */
static ChunkedResult chunked_byte(Chunked *c, u8 b)
{
    switch (c->state) {
    case C_SIZE: {
        u32 d = hex_digit((char)b);
        if (d < 16) {
            if (++c->digits > 15)
                return CHUNKED_BAD;
            c->left = c->left << 4 | d;
            return CHUNKED_MORE;
        }
        if (c->digits == 0)
            return CHUNKED_BAD;
        if (b != '\r' && b != ';')
            return CHUNKED_BAD;
        c->line = 0;
        c->state = b == '\r' ? C_SIZE_LF : C_EXT;
        return CHUNKED_MORE;
    }
    case C_EXT:
        if (b == '\r')
            c->state = C_SIZE_LF;
        else if ((b < 0x20 && b != '\t') || b == 0x7f || ++c->line > CHUNK_LINE_MAX)
            return CHUNKED_BAD;
        return CHUNKED_MORE;
    case C_SIZE_LF:
        if (b != '\n')
            return CHUNKED_BAD;
        c->state = c->left ? C_DATA : C_TRAILER;
        c->line = 0;
        return CHUNKED_MORE;
    case C_DATA_CR:
        c->state = C_DATA_LF;
        return b == '\r' ? CHUNKED_MORE : CHUNKED_BAD;
    case C_DATA_LF:
        c->state = C_SIZE;
        c->digits = 0;
        return b == '\n' ? CHUNKED_MORE : CHUNKED_BAD;
    case C_TRAILER:
        if (b == '\r') {
            c->state = C_LAST_LF;
            return CHUNKED_MORE;
        }
        if (!is_token[b])
            return CHUNKED_BAD;
        c->state = C_TRAILER_LINE;
        return ++c->line > TRAILERS_MAX ? CHUNKED_BAD : CHUNKED_MORE;
    case C_TRAILER_LINE:
        if (b == '\r')
            c->state = C_TRAILER_LF;
        else if ((b < 0x20 && b != '\t') || b == 0x7f)
            return CHUNKED_BAD;
        return ++c->line > TRAILERS_MAX ? CHUNKED_BAD : CHUNKED_MORE;
    case C_TRAILER_LF:
        c->state = C_TRAILER;
        return b == '\n' ? CHUNKED_MORE : CHUNKED_BAD;
    default: /* C_LAST_LF */
        return b == '\n' ? CHUNKED_END : CHUNKED_BAD;
    }
}

ChunkedResult chunked_next(Chunked *c, Str *in, Str *ret_data)
{
    while (in->len) {
        if (c->state == C_DATA) {
            size_t n = MIN((u64)in->len, c->left);
            *ret_data = str_sub(*in, 0, n);
            *in = str_skip(*in, n);
            c->left -= n;
            if (c->left == 0)
                c->state = C_DATA_CR;
            return CHUNKED_DATA;
        }
        ChunkedResult r = chunked_byte(c, (u8)in->at[0]);
        *in = str_skip(*in, 1);
        if (r != CHUNKED_MORE)
            return r;
    }
    return CHUNKED_MORE;
}
