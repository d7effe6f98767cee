/* An answer's head in one piece and byte by byte must get the same verdict, and what is accepted must be sound; the body is then read
 * as the client reads it. */
#include "net/head.h"

static int read_in_steps(Str in, size_t step, AnswerHead *ret)
{
    size_t seen = 0;
    const char *why = NULL;
    int n = 0;
    for (size_t have = MIN(step, in.len);; have = MIN(have + step, in.len)) {
        n = answer_head(str_sub(in, 0, have), &seen, ret, &why);
        check(seen <= have);
        if (n || have == in.len)
            break;
    }
    check(n >= 0 || (why && why[0]));
    return n;
}

int LLVMFuzzerTestOneInput(const u8 *at, size_t len)
{
    Str in = str_of((const char *)at, len);
    AnswerHead whole = {0}, pieces = {0};
    int n = read_in_steps(in, MAX(len, 1), &whole), m = read_in_steps(in, 1, &pieces);
    check(n == m);
    if (n <= 0)
        return 0;
    check((size_t)n <= in.len && in.at[n - 1] == '\n');
    check(whole.status == pieces.status && whole.frame == pieces.frame && whole.length == pieces.length &&
          whole.keep_alive == pieces.keep_alive);
    check(whole.status >= 100 && whole.status <= 999);
    check(whole.frame != BODY_TO_END || !whole.keep_alive);
    check(whole.frame != BODY_LENGTH || whole.has_length);
    check(!(whole.frame == BODY_CHUNKED && whole.has_length && whole.keep_alive));
    if (whole.frame == BODY_CHUNKED) {
        Chunked c = {0};
        Str rest = str_skip(in, (size_t)n), data;
        while (chunked_next(&c, &rest, &data) == CHUNKED_DATA)
            check(data.len && data.at >= in.at && data.at + data.len <= in.at + in.len);
    }
    return 0;
}
