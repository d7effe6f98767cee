/* The input as a block, and as what is to be packed. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    Buf out, packed;
    Str in = str_of((const char *)data, len);
    buf_init(&out, 1 << 20);
    buf_init(&packed, 2 << 20);
    if (snappy_decode(in, 1 << 20, &out, NULL) == OK)
        check(out.len <= 1 << 20 && out.len / 64 <= len);
    else
        check(out.len == 0);
    buf_clear(&out);
    snappy_encode(in, &packed);
    check(snappy_decode(buf_view(&packed), 1 << 20, &out, NULL) == OK && str_eq(buf_view(&out), in));
    buf_done(&out);
    buf_done(&packed);
    return 0;
}
