#include "wire/wire.h"

size_t uvarint_put(u8 *at, u64 v)
{
    size_t n = 0;
    while (v >= 0x80) {
        at[n++] = (u8)v | 0x80;
        v >>= 7;
    }
    at[n++] = (u8)v;
    return n;
}

size_t uvarint_get(const u8 *at, const u8 *end, u64 *ret)
{
    if (at < end && *at < 0x80) {
        *ret = *at;
        return 1;
    }
    u64 v = 0;
    for (u32 i = 0; i < 10 && at + i < end; i++) {
        u8 c = at[i];
        if (i == 9 && c > 1)
            return 0;
        v |= (u64)(c & 0x7f) << (7 * i);
        if (c < 0x80) {
            *ret = v;
            return i + 1;
        }
    }
    return 0;
}
