/* The head of an HTTP/1 request: scanned byte by byte as it arrives, then judged by llhttp, then cut into slices.
 * Three readers that must agree leave no room for smuggling: the scanner refuses what llhttp lets pass (folded
 * headers, lone LF, bare CR, control bytes, empty names), llhttp refuses the rest, and the rules about framing
 * (one Host, one Content-Length or exactly `chunked`) are stated here.
 */
#pragma once
#include "net/net.h"

enum {
    HEAD_BYTES_MAX = 32768,
    HEADERS_MAX = 256,
    PARAMS_MAX = 10000,
};

typedef struct HeadScan { /* zero = before the first byte */
    u32 at;
    u16 headers;
    u8 state, spaces;
} HeadScan;
/* bytes is the head so far, from its start. 0 = more is needed; > 0 = length of the head with its blank line;
 * < 0 = minus the status to refuse with, and ret_why says what is wrong. */
int head_scan(HeadScan *s, Str bytes, const char **ret_why);

typedef enum HeadMethod {
    METHOD_GET = 1,
    METHOD_HEAD = 2,
    METHOD_POST = 4,
    METHOD_PUT = 8,
    METHOD_DELETE = 16,
    METHOD_PATCH = 32,
    METHOD_OPTIONS = 64,
} HeadMethod;

typedef struct Head {
    Str method, target, path_raw, query;
    u32 method_bit; /* 0 = one we never route */
    HttpHeader *headers;
    u32 headers_len;
    u64 content_length;
    bool is_chunked, keep_alive, is_http10, expects_continue, accepts_gzip;
} Head;
/* head is what the scanner measured (and headers its count); it must live as long as ret. 0, or the status to refuse
 * with. */
int head_parse(Str head, u32 headers, Arena *a, Head *ret, const char **ret_why);
Str head_find(const Head *h, Str name); /* first; .at == NULL when absent */

/* Unescapes and canonicalises: no "//", "/./", "/../", every escape undone once. False (refuse with 400) for broken
 * escapes, control bytes and what does not start with a slash. */
bool path_canonical(Str raw, Arena *a, Str *ret);
/* Appends the pairs of a query string or form. E_PARSE for a broken escape, E_LIMIT past PARAMS_MAX. */
Err params_parse(Str text, Arena *a, HttpParam **params, u32 *len, u32 *cap, Why *why);
u32 method_bits(Str comma_list);                      /* 0 for unknown names */
bool accepts_coding(Str accept_encoding, Str coding); /* named with q > 0 */

typedef struct LlhttpVerdict {
    u64 content_length;
    bool has_length, is_chunked, keep_alive, is_complete, bad_method, bad_version;
    u8 major, minor;
    const char *reason;
} LlhttpVerdict;
bool llhttp_judge(Str head, LlhttpVerdict *ret);

/* Chunked bodies: exact framing, extensions and trailers read past within bounds. Our own, because llhttp takes a
 * lone LF there, and to copy the data once, straight to where it belongs. */
typedef struct Chunked {
    u64 left; /* data bytes of the current chunk not yet seen */
    u32 line; /* bytes of the current size line, or of all trailers */
    u8 state, digits;
} Chunked;
typedef enum ChunkedResult { CHUNKED_MORE, CHUNKED_DATA, CHUNKED_END, CHUNKED_BAD } ChunkedResult;
/* Consumes from *in. DATA: ret_data is the next piece (call again). MORE: *in is used up. */
ChunkedResult chunked_next(Chunked *c, Str *in, Str *ret_data);

/* ---- answers, as the client reads them (answer_head.c) ---- */

enum { ANSWER_HEAD_BYTES_MAX = 65536 };
typedef enum BodyFrame { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_END } BodyFrame;
typedef struct AnswerHead {
    int status;
    BodyFrame frame;
    u64 length; /* of BODY_LENGTH */
    bool has_length;
    bool keep_alive; /* the connection may carry another answer */
} AnswerHead;
/* bytes is the answer so far, *seen (0 at first) how much of it was looked at before. 0 = more is needed; > 0 = length of the head
 * with its blank line; -1 = this is not HTTP/1, -2 = nobody can tell where the body ends, or the head is too long. */
int answer_head(Str bytes, size_t *seen, AnswerHead *ret, const char **ret_why);
