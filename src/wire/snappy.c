#include "wire/wire.h"
#include <snappy-c.h>

Err snappy_decode(Str in, size_t max, Buf *out, Why *why)
{
    u64 want;
    size_t n = uvarint_get((const u8 *)in.at, (const u8 *)in.at + in.len, &want);
    if (!n || want > UINT32_MAX)
        return why_set(why, E_PARSE, "not a snappy block: its length cannot be read");
    if (want > max || want > out->max - MIN(out->max, out->len))
        return why_set(why, E_TOO_LARGE, "the snappy block decodes to %llu bytes, over the limit of %zu",
                       (unsigned long long)want, max);
    /* The densest coding is a 3-byte copy of 64 bytes: a length that cannot be real is refused before memory is taken. */
    if (want / 64 > in.len)
        return why_set(why, E_PARSE, "the snappy block of %zu bytes cannot decode to %llu bytes", in.len,
                       (unsigned long long)want);
    if (!buf_reserve(out, want ? want : 1))
        return why_set(why, E_TOO_LARGE, "no room for %llu decoded bytes", (unsigned long long)want);
    size_t got = want;
    if (snappy_uncompress(in.at, in.len, out->at + out->len, &got) != SNAPPY_OK || got != want)
        return why_set(why, E_PARSE, "the snappy block is damaged (%zu bytes, %llu decoded)", in.len,
                       (unsigned long long)want);
    out->len += want;
    return OK;
}

void snappy_encode(Str in, Buf *out)
{
    size_t n = snappy_max_compressed_length(in.len);
    if (!buf_reserve(out, n))
        return;
    /* Cannot fail with room for the longest result. */
    snappy_compress(in.at, in.len, out->at + out->len, &n);
    out->len += n;
}
