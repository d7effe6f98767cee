/* Protobuf messages of any kind, nested ones tried as messages too. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void walk(Str bytes, u32 depth, u64 *seen)
{
    PbReader r;
    pb_init(&r, bytes);
    while (pb_next(&r)) {
        check(r.at <= r.end && r.field > 0);
        ++*seen;
        if (r.type == PB_BYTES) {
            check(r.bytes.at >= bytes.at && r.bytes.at + r.bytes.len <= bytes.at + bytes.len);
            if (depth < 8)
                walk(r.bytes, depth + 1, seen);
        }
    }
    check(r.at == r.end);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    u64 seen = 0, v;
    walk(str_of((const char *)data, len), 0, &seen);
    size_t n = uvarint_get(data, data + len, &v);
    if (n) {
        u8 again[10];
        u64 w;
        size_t m = uvarint_put(again, v);
        check(m <= n && uvarint_get(again, again + m, &w) == m && v == w);
    }
    return 0;
}
