/* A chunk of a block of Prometheus: the first byte chooses the encoding. What decodes is encoded and must decode to the same. */
#include "metrics/blocks/blocks.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    Arena a;
    Buf b;
    ChunkSamples c, again;
    Why why = {0};
    if (!len)
        return 0;
    arena_init(&a, NULL, 64 << 20);
    buf_init(&b, 64 << 20);
    Err e = chunk_decode((ChunkKind)(data[0] % 5), str_of((const char *)data + 1, len - 1), &a, &c, &why);
    check(e == OK || (why.text[0] && (e == E_CORRUPT || e == E_LIMIT)));
    for (u32 at = 0, took; e == OK && at < c.n; at += took) {
        ChunkKind kind;
        buf_clear(&b);
        took = chunk_encode(c.t + at, c.v + at, c.h ? c.h + at : NULL, c.n - at, &b, &kind);
        if (chunk_decode(kind, buf_view(&b), &a, &again, &why) != OK) {
            check(arena_over(&a));
            break;
        }
        check(again.n == took && !memcmp(again.t, c.t + at, took * sizeof(i64)));
        if (!c.h)
            check(!memcmp(again.v, c.v + at, took * sizeof(f64)));
        for (u32 i = 0; c.h && i < took; i++) {
            Histogram x = *c.h[at + i], y = *again.h[i];
            x.hint = y.hint = 0;
            check(histogram_is_stale(&x) ? histogram_is_stale(&y) : histogram_eq(&x, &y));
        }
    }
    arena_done(&a);
    buf_done(&b);
    return 0;
}
