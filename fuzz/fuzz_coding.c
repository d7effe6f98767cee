/* First byte: which coding and how small the maximum; the rest is the body. Never more than the maximum, and gzip reads
 * back what it wrote. */
#include "net/net.h"

int LLVMFuzzerTestOneInput(const u8 *at, size_t len)
{
    if (len == 0)
        return 0;
    Coding c = at[0] % 5;
    size_t max = at[0] & 0x80 ? 100 : 1 << 20;
    Str in = str_of((const char *)at + 1, len - 1);
    Buf out, packed;
    Why why = {0};
    buf_init(&out, max);
    Err e = coding_decode(c, in, &out, &why);
    check(out.len <= max && out.cap <= max);
    check(e == OK || why.text[0]);
    buf_done(&out);
    buf_init(&packed, in.len + 1000);
    coding_gzip(in, 1, &packed);
    check(!buf_over(&packed));
    buf_init(&out, in.len);
    check(coding_decode(CODING_GZIP, buf_view(&packed), &out, &why) == OK && str_eq(buf_view(&out), in));
    buf_done(&out);
    buf_done(&packed);
    return 0;
}
