/* What people write as one word: numbers, durations, sizes, times, names of zones and layouts. What is read is printed, and
 * reads as the same again. */
#include "text/text.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void numbers(Str s, Buf *out)
{
    f64 f, f2;
    u64 u, u2;
    i64 i, i2;
    buf_clear(out);
    if (parse_f64(s, &f) == OK) {
        print_f64(out, f);
        check(parse_f64(buf_view(out), &f2) == OK && (f == f2 || (f != f && f2 != f2)));
    }
    buf_clear(out);
    if (parse_u64(s, &u) == OK) {
        print_u64(out, u);
        check(parse_u64(buf_view(out), &u2) == OK && u == u2);
    }
    buf_clear(out);
    if (parse_i64(s, &i) == OK) {
        print_i64(out, i);
        check(parse_i64(buf_view(out), &i2) == OK && i == i2);
    }
}

static void spans(Str s, Buf *out)
{
    i64 v, v2;
    u64 bytes;
    Why why = {0};
    buf_clear(out);
    if (parse_duration_ms(s, &v, &why) == OK) {
        print_duration_ms(out, v);
        check(parse_duration_ms(buf_view(out), &v2, NULL) == OK && v == v2);
    } else {
        check(why.text[0]);
    }
    buf_clear(out);
    if (parse_go_duration_ns(s, &v, NULL) == OK) {
        print_go_duration_ns(out, v);
        check(parse_go_duration_ns(buf_view(out), &v2, NULL) == OK && v == v2);
    }
    parse_bytes(s, &bytes, NULL);
}

static void times(Str s, Buf *out)
{
    i64 v;
    Civil c;
    if (parse_rfc3339(s, &v) == OK) {
        civil_from_unix(v / NS_PER_SEC, &c);
        buf_clear(out);
        print_time_go(out, &c, s);
        print_rfc3339_ms(out, v / 1000000);
    }
    parse_api_time_ms(s, &v);
    civil_from_unix((i64)hash_str(s) >> 20, &c);
    buf_clear(out);
    print_time_go(out, &c, s); /* any text is a layout */
    i64 back = civil_to_unix(&c);
    check(back == (i64)hash_str(s) >> 20);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    static const Str hostile[] = {S("../"), S("/"), S("."), S("")};
    Str s = str_of((const char *)data, MIN(len, 512));
    Buf out;
    buf_init(&out, 1 << 20);
    numbers(s, &out);
    spans(s, &out);
    times(s, &out);
    for (u32 i = 0; i < COUNT_OF(hostile);
         i++) { /* a zone is a name below the tables, never a path out of them */
        const Zone *z;
        buf_clear(&out);
        buf_str(&out, hostile[i]);
        buf_str(&out, s);
        if (i < 2)
            check(zone_load(buf_view(&out), &z, NULL) != OK);
    }
    buf_done(&out);
    return 0;
}
