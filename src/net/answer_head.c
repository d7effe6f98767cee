/* The head of an answer, as the client reads it. What does not matter is taken as it comes (lone LF, odd lines); where the body
 * ends is decided strictly, and after anything odd the connection is not used again. */
#include "net/head.h"

enum { NOT_HTTP = -1, BAD_HEAD = -2 };

static int refuse(int verdict, const char **ret_why, const char *why)
{
    *ret_why = why;
    return verdict;
}

/* "HTTP/1.1 200 OK" */
static bool read_status(Str line, AnswerHead *ret)
{
    u64 status;
    if (line.len < 12 || !str_starts(line, S("HTTP/1.")) || line.at[8] != ' ' ||
        (line.at[7] != '0' && line.at[7] != '1') || (line.len > 12 && line.at[12] != ' '))
        return false;
    if (parse_u64(str_sub(line, 9, 12), &status) != OK || status < 100)
        return false;
    ret->status = (int)status;
    ret->keep_alive = line.at[7] == '1';
    return true;
}

static bool says_close(Str value)
{
    for (Str one; value.len;) {
        str_cut(value, ',', &one, &value);
        if (str_eq_nocase(str_trim(one), S("close")))
            return true;
    }
    return false;
}

static bool read_header(Str line, AnswerHead *ret, const char **ret_why)
{
    Str name, value;
    if (line.at[0] == ' ' || line.at[0] == '\t' || !str_cut(line, ':', &name, &value)) {
        ret->keep_alive = false;
        return true;
    }
    name = str_trim(name);
    value = str_trim(value);
    if (str_eq_nocase(name, S("Content-Length"))) {
        u64 n;
        if (parse_u64(value, &n) != OK || (ret->has_length && n != ret->length)) {
            *ret_why = "the answer's Content-Length is not one number";
            return false;
        }
        ret->has_length = true;
        ret->length = n;
    } else if (str_eq_nocase(name, S("Transfer-Encoding"))) {
        if (!str_eq_nocase(value, S("chunked")) || ret->frame == BODY_CHUNKED) {
            *ret_why = "the answer has a Transfer-Encoding that is not chunked";
            return false;
        }
        ret->frame = BODY_CHUNKED;
    } else if (str_eq_nocase(name, S("Connection"))) {
        ret->keep_alive &= !says_close(value);
    }
    return true;
}

static void decide_frame(AnswerHead *h)
{
    if (h->status < 200 || h->status == 204 || h->status == 304) {
        h->frame = BODY_NONE;
    } else if (h->frame == BODY_CHUNKED) {
        h->keep_alive &= !h->has_length; /* two opinions */
    } else {
        h->frame = h->has_length ? BODY_LENGTH : BODY_TO_END;
        h->keep_alive &= h->has_length;
    }
}

static int read_head(Str head, AnswerHead *ret, const char **ret_why)
{
    Str line, rest = head;
    *ret = (AnswerHead){0};
    str_cut(rest, '\n', &line, &rest);
    if (!read_status(str_trim(line), ret))
        return refuse(NOT_HTTP, ret_why, "the answer is not HTTP/1");
    while (rest.len) {
        str_cut(rest, '\n', &line, &rest);
        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        if (line.len && !read_header(line, ret, ret_why))
            return BAD_HEAD;
    }
    decide_frame(ret);
    return (int)head.len;
}

int answer_head(Str bytes, size_t *seen, AnswerHead *ret, const char **ret_why)
{
    Str http = S("HTTP/");
    if (!str_starts(bytes, str_sub(http, 0, MIN(bytes.len, http.len))))
        return refuse(NOT_HTTP, ret_why, "the answer is not HTTP/1");
    for (;;) { /* *seen is where a line begins */
        Str rest = str_skip(bytes, *seen);
        size_t n = str_find_char(rest, '\n');
        if (n == SIZE_MAX)
            return bytes.len > ANSWER_HEAD_BYTES_MAX
                       ? refuse(BAD_HEAD, ret_why, "the answer's head is too long")
                       : 0;
        bool is_blank = *seen && (n == 0 || (n == 1 && rest.at[0] == '\r'));
        *seen += n + 1;
        if (*seen > ANSWER_HEAD_BYTES_MAX)
            return refuse(BAD_HEAD, ret_why, "the answer's head is too long");
        if (is_blank)
            return read_head(str_sub(bytes, 0, *seen), ret, ret_why);
    }
}
