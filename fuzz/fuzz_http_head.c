/* Heads in one piece and byte by byte must get the same verdict, and what is accepted must be sound; what follows is
 * read as a chunked body, whole and in pieces, with the same bytes as the result. */
#include "net/head.h"

static int scan_and_parse(Str in, size_t step, Arena *a, Head *ret, int *ret_len)
{
    HeadScan s = {0};
    const char *why = NULL;
    int n = 0;
    for (size_t have = MIN(step, in.len); n == 0; have = MIN(have + step, in.len)) {
        n = head_scan(&s, str_sub(in, 0, have), &why);
        if (have == in.len)
            break;
    }
    *ret_len = n;
    if (n <= 0) {
        check(n == 0 || why);
        return n == 0 ? -1 : -n;
    }
    int status = head_parse(str_sub(in, 0, (size_t)n), s.headers, a, ret, &why);
    check(status == 0 || (status >= 400 && status < 600 && why && why[0]));
    return status;
}

static ChunkedResult read_chunked(Str in, size_t step, u64 *ret_hash, size_t *ret_used)
{
    Chunked c = {0};
    u64 hash = 0, n = 0;
    size_t used = 0;
    while (used < in.len) {
        Str part = str_sub(in, used, used + step), rest = part, data;
        ChunkedResult r;
        while ((r = chunked_next(&c, &rest, &data)) == CHUNKED_DATA)
            for (size_t i = 0; i < data.len; i++, n++)
                hash = hash * 31 + (u8)data.at[i] + n;
        used += part.len - rest.len;
        if (r != CHUNKED_MORE) {
            *ret_hash = hash;
            *ret_used = used;
            return r;
        }
    }
    *ret_hash = hash;
    *ret_used = used;
    return CHUNKED_MORE;
}

int LLVMFuzzerTestOneInput(const u8 *at, size_t len)
{
    Str in = str_of((const char *)at, len);
    Arena a;
    arena_init(&a, NULL, 0);
    Head whole, pieces;
    int n, m;
    int status = scan_and_parse(in, SIZE_MAX / 2, &a, &whole, &n);
    check(status == scan_and_parse(in, 1, &a, &pieces, &m) && n == m);
    if (status == 0) {
        check(whole.method.len && whole.path_raw.len && whole.headers_len == pieces.headers_len);
        u32 hosts = 0;
        for (u32 i = 0; i < whole.headers_len; i++) {
            check(whole.headers[i].name.len > 0);
            hosts += str_eq_nocase(whole.headers[i].name, S("host"));
            for (size_t k = 0; k < whole.headers[i].value.len; k++)
                check(whole.headers[i].value.at[k] != '\r' && whole.headers[i].value.at[k] != '\n' &&
                      whole.headers[i].value.at[k] != 0);
        }
        check(hosts == 1 || (whole.is_http10 && hosts == 0));
        check(!(whole.is_chunked && whole.content_length));
        Str path;
        if (path_canonical(whole.path_raw, &a, &path))
            check(path.len && path.at[0] == '/' && str_find(path, S("/../")) == SIZE_MAX &&
                  str_find(path, S("//")) == SIZE_MAX);
        HttpParam *params = NULL;
        u32 params_len = 0, cap = 0;
        params_parse(whole.query, &a, &params, &params_len, &cap, NULL);
        in = str_skip(in, (size_t)n);
    }
    u64 h1, h2;
    size_t used1, used2;
    ChunkedResult r1 = read_chunked(in, in.len, &h1, &used1), r2 = read_chunked(in, 1, &h2, &used2);
    check(in.len == 0 || (r1 == r2 && (r1 == CHUNKED_BAD || (h1 == h2 && used1 == used2))));
    arena_done(&a);
    return 0;
}
