/* Times, durations and escaped label names of requests: refused or read, never more. */
#include "metrics/api/impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    Str s = {(const char *)at, len};
    Why why = {0};
    Arena a;
    i64 v;
    if (len > 4096)
        return 0;
    if (parse_api_duration_ns(s, &v, &why) != OK)
        check(why.text[0] != '\0');
    parse_api_time_ms(s, &v);
    arena_init(&a, NULL, 1 << 20);
    Str name = label_unescape(&a, s);
    check(name.len <= s.len);
    arena_done(&a);
    return 0;
}
