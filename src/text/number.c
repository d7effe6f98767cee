/* Numbers, durations and sizes: text.h. Exact conversion comes from the C++ shim (cxx.h). */
#include <math.h>
#include <stdio.h>

#include "text/cxx.h"
#include "text/text.h"

void print_u64(Buf *out, u64 v)
{
    char text[20];
    size_t at = sizeof text;
    do
        text[--at] = (char)('0' + v % 10);
    while (v /= 10);
    buf_put(out, text + at, sizeof text - at);
}

void print_i64(Buf *out, i64 v)
{
    if (v < 0)
        buf_char(out, '-');
    print_u64(out, v < 0 ? 0 - (u64)v : (u64)v);
}

static bool print_special(Buf *out, f64 v)
{
    if (isnan(v))
        buf_c(out, "NaN");
    else if (isinf(v))
        buf_c(out, v > 0 ? "+Inf" : "-Inf");
    else
        return false;
    return true;
}

/* The digits of a finite number: v = sign 0.d1d2d3... x 10^point. */
typedef struct Digits {
    char at[800];
    int len, point;
    bool is_negative;
} Digits;

/* text is d[.ddd]e±dd as to_chars writes it in scientific form. */
static void digits_read(Digits *d, const char *text, size_t len)
{
    d->len = 0;
    d->is_negative = len && text[0] == '-';
    size_t i = d->is_negative;
    for (; i < len && text[i] != 'e'; i++)
        if (text[i] != '.' && d->len < (int)sizeof d->at)
            d->at[d->len++] = text[i];
    int exp = 0;
    bool exp_negative = i + 1 < len && text[i + 1] == '-';
    for (i += 2; i < len; i++)
        exp = exp * 10 + (text[i] - '0');
    d->point = (exp_negative ? -exp : exp) + 1;
}

static void digits_shortest(Digits *d, f64 v)
{
    char text[64];
    digits_read(d, text, cxx_to_chars_shortest(v, text, sizeof text));
}

/* %f with as many places as there are digits. */
static void put_fixed(Buf *out, const Digits *d)
{
    char
        text[32 + 310 + 330]; /* sign, digits before and after the point of the largest and smallest values */
    size_t n = 0;
    bool is_zero = d->len == 1 && d->at[0] == '0';
    int whole = MIN(d->point, d->len), places = is_zero ? 0 : d->len - d->point;
    if (d->is_negative)
        text[n++] = '-';
    if (d->point <= 0)
        text[n++] = '0';
    for (int i = 0; i < whole; i++)
        text[n++] = d->at[i];
    for (int i = whole; i < d->point; i++)
        text[n++] = '0';
    if (places > 0) {
        text[n++] = '.';
        for (int i = d->point; i < 0; i++)
            text[n++] = '0';
        for (int i = MAX(d->point, 0); i < d->len; i++)
            text[n++] = d->at[i];
    }
    buf_put(out, text, n);
}

/* %e: d.ddde±dd */
static void put_exponent(Buf *out, const Digits *d, int places)
{
    if (d->is_negative)
        buf_char(out, '-');
    buf_char(out, d->at[0]);
    if (places < 0)
        places = d->len - 1;
    if (places)
        buf_char(out, '.');
    for (int i = 1; i <= places; i++)
        buf_char(out, i < d->len ? d->at[i] : '0');
    int exp = d->len == 1 && d->at[0] == '0' ? 0 : d->point - 1;
    buf_printf(out, "e%c%02d", exp < 0 ? '-' : '+', exp < 0 ? -exp : exp);
}

void print_f64(Buf *out, f64 v)
{
    if (print_special(out, v))
        return;
    if (fabs(v) < 1e15 && v == (f64)(i64)v && !(v == 0 && signbit(v))) { /* most counters */
        print_i64(out, (i64)v);
        return;
    }
    f64 size = fabs(v);
    if (size > 1e-5 && size < 0x1p53) { /* beyond, whole digits are not the shortest ones */
        char text[40];
        buf_put(out, text, cxx_to_chars_fixed(v, text, sizeof text));
        return;
    }
    Digits d;
    digits_shortest(&d, v);
    put_fixed(out, &d);
}

/* Shortest digits; exponent form when the exponent is outside [exp_min, exp_max). */
static void print_shortest_g(Buf *out, f64 v, int exp_min, int exp_max)
{
    Digits d;
    digits_shortest(&d, v);
    int exp = d.len == 1 && d.at[0] == '0' ? 0 : d.point - 1;
    if (exp < exp_min || exp >= exp_max)
        put_exponent(out, &d, -1);
    else
        put_fixed(out, &d);
}

void print_f64_g(Buf *out, f64 v)
{
    if (!print_special(out, v))
        print_shortest_g(out, v, -4, 6);
}

void print_f64_go(Buf *out, f64 v, char fmt, int prec)
{
    if (print_special(out, v))
        return;
    if (prec > 400)
        prec = 400;
    Digits d;
    if (prec < 0) {
        if (fmt == 'g') {
            print_shortest_g(out, v, -4, 6);
            return;
        }
        digits_shortest(&d, v);
        if (fmt == 'f')
            put_fixed(out, &d);
        else
            put_exponent(out, &d, -1);
        return;
    }
    char text[1200];
    if (fmt == 'f') {
        buf_put(out, text, cxx_to_chars_prec(v, 'f', prec, text, sizeof text));
        return;
    }
    if (fmt == 'e') {
        digits_read(&d, text, cxx_to_chars_prec(v, 'e', prec, text, sizeof text));
        put_exponent(out, &d, prec);
        return;
    }
    if (prec == 0)
        prec = 1;
    digits_read(&d, text, cxx_to_chars_prec(v, 'e', prec - 1, text, sizeof text));
    while (d.len > 1 && d.at[d.len - 1] == '0')
        d.len--;
    int exp = d.len == 1 && d.at[0] == '0' ? 0 : d.point - 1;
    int eprec = prec;
    if (eprec > d.len && d.len >= d.point)
        eprec = d.len;
    if (exp < -4 || exp >= eprec)
        put_exponent(out, &d, -1);
    else
        put_fixed(out, &d);
}

void print_f64_json(Buf *out, f64 v)
{
    print_shortest_g(out, v, -6, 21);
}

Err parse_f64(Str s, f64 *ret)
{
    Str t = s;
    bool negative = false;
    if (t.len && (t.at[0] == '+' || t.at[0] == '-'))
        negative = t.at[0] == '-', t = str_skip(t, 1);
    if (!t.len)
        return E_PARSE;
    if (str_eq_nocase(t, S("inf")) || str_eq_nocase(t, S("infinity"))) {
        *ret = negative ? -INFINITY : INFINITY;
        return OK;
    }
    if (str_eq_nocase(t, S("nan"))) {
        u64 nan_bits = 0x7ff8000000000001; /* Go's NaN */
        memcpy(ret, &nan_bits, 8);
        return OK;
    }
    bool hex = t.len > 2 && t.at[0] == '0' && (t.at[1] | 0x20) == 'x';
    if (hex) {
        t = str_skip(t, 2);
        if (str_find_char(t, 'p') == SIZE_MAX && str_find_char(t, 'P') == SIZE_MAX)
            return E_PARSE; /* Go wants an exponent */
    } else if (!((t.at[0] >= '0' && t.at[0] <= '9') || (t.at[0] == '.' && t.len > 1))) {
        return E_PARSE; /* from_chars would take inf(...) and nan(...) */
    }
    f64 v;
    if (cxx_from_chars(t.at, t.len, hex, &v) != t.len)
        return E_PARSE;
    if (isinf(v))
        return E_PARSE; /* out of range, as Go's ErrRange */
    *ret = negative ? -v : v;
    return OK;
}

Err parse_u64(Str s, u64 *ret)
{
    if (!s.len || s.len > 20)
        return E_PARSE;
    u64 v = 0;
    for (size_t i = 0; i < s.len; i++) {
        u8 d = (u8)(s.at[i] - '0');
        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return E_PARSE;
        v = v * 10 + d;
    }
    *ret = v;
    return OK;
}

Err parse_i64(Str s, i64 *ret)
{
    bool negative = s.len && s.at[0] == '-';
    if (s.len && (s.at[0] == '-' || s.at[0] == '+'))
        s = str_skip(s, 1);
    u64 v;
    if (parse_u64(s, &v) != OK || v > (u64)INT64_MAX + negative)
        return E_PARSE;
    *ret = negative ? (i64)(0 - v) : (i64)v;
    return OK;
}

/* ---- durations ---- */

static const struct DurationUnit {
    const char *name;
    i64 ms;
} duration_units[] = {
    {"y", 365LL * 86400000},
    {"w", 7LL * 86400000},
    {"d", 86400000},
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
};

static Err not_a_duration(Str s, Why *why)
{
    return why_set(why, E_PARSE, s.len ? "not a valid duration string: \"%.*s\"" : "empty duration string",
                   STR_FMT(str_sub(s, 0, 64)));
}

Err parse_duration_ms(Str s, i64 *ret_ms, Why *why)
{
    if (str_eq(s, S("0"))) {
        *ret_ms = 0;
        return OK;
    }
    u32 next_unit = 0; /* units only descend */
    u64 total = 0;
    Str t = s;
    if (!t.len)
        return not_a_duration(s, why);
    while (t.len) {
        size_t digits = 0;
        while (digits < t.len && t.at[digits] >= '0' && t.at[digits] <= '9')
            digits++;
        u64 n;
        if (!digits || parse_u64(str_sub(t, 0, digits), &n) != OK)
            return not_a_duration(s, why);
        t = str_skip(t, digits);
        size_t letters = 0;
        while (letters < t.len && (t.at[letters] < '0' || t.at[letters] > '9'))
            letters++;
        u32 unit = 0;
        while (unit < COUNT_OF(duration_units) &&
               !str_eq(str_sub(t, 0, letters), str_c(duration_units[unit].name)))
            unit++;
        if (letters > 0 && unit == COUNT_OF(duration_units))
            return why_set(why, E_PARSE, "unknown unit \"%.*s\" in duration \"%.*s\"",
                           STR_FMT(str_sub(t, 0, MIN(letters, 64))), STR_FMT(str_sub(s, 0, 64)));
        if (letters == 0 || unit < next_unit)
            return not_a_duration(s, why);
        if (n > (u64)(INT64_MAX / NS_PER_MS) / (u64)duration_units[unit].ms)
            return why_set(why, E_PARSE, "duration out of range");
        total += n * (u64)duration_units[unit].ms;
        if (total > (u64)(INT64_MAX / NS_PER_MS))
            return why_set(why, E_PARSE, "duration out of range");
        t = str_skip(t, letters);
        next_unit = unit + 1;
    }
    *ret_ms = (i64)total;
    return OK;
}

void print_duration_ms(Buf *out, i64 ms)
{
    if (ms == 0) {
        buf_c(out, "0s");
        return;
    }
    if (ms < 0) {
        buf_char(out, '-');
        ms = ms == INT64_MIN ? INT64_MAX : -ms;
    }
    for (u32 i = 0; i < COUNT_OF(duration_units); i++) {
        i64 unit = duration_units[i].ms;
        /* Years and weeks only when nothing remains below them, as Prometheus prints: 8d, but 1d12h. */
        if (i < 2 ? ms % unit != 0 || ms < unit : ms < unit)
            continue;
        print_i64(out, ms / unit);
        buf_c(out, duration_units[i].name);
        ms %= unit;
    }
}

/* Digits, a point, digits: into nanoseconds of a unit, exactly; what is below one is cut off. Skips them in *t. */
static bool take_span(Str *t, u64 *ret_whole, u64 *ret_part, u64 *ret_scale)
{
    size_t n = 0, digits = 0;
    *ret_whole = *ret_part = 0;
    *ret_scale = 1;
    for (; n < t->len && t->at[n] >= '0' && t->at[n] <= '9'; n++, digits++)
        if (__builtin_mul_overflow(*ret_whole, (u64)10, ret_whole) ||
            __builtin_add_overflow(*ret_whole, (u64)(t->at[n] - '0'), ret_whole))
            return false;
    if (n < t->len && t->at[n] == '.')
        for (n++; n < t->len && t->at[n] >= '0' && t->at[n] <= '9'; n++, digits++)
            if (*ret_scale < 1000000000000000000u) { /* further digits are below a nanosecond of an hour */
                *ret_part = *ret_part * 10 + (u64)(t->at[n] - '0');
                *ret_scale *= 10;
            }
    *t = str_skip(*t, n);
    return digits > 0;
}

Err parse_go_duration_ns(Str s, i64 *ret_ns, Why *why)
{
    static const struct {
        Str name;
        u64 ns;
    } units[] = {{STR_INIT("ns"), 1},           {STR_INIT("us"), 1000},        {STR_INIT("\xc2\xb5s"), 1000},
                 {STR_INIT("\xce\xbcs"), 1000}, {STR_INIT("ms"), 1000000},     {STR_INIT("s"), 1000000000},
                 {STR_INIT("m"), 60000000000},  {STR_INIT("h"), 3600000000000}};
    Str t = s;
    bool negative = t.len && t.at[0] == '-';
    if (t.len && (t.at[0] == '-' || t.at[0] == '+'))
        t = str_skip(t, 1);
    if (str_eq(t, S("0"))) {
        *ret_ns = 0;
        return OK;
    }
    u64 total = 0;
    bool ok = t.len > 0;
    while (ok && t.len) {
        u64 whole, part, scale;
        ok = take_span(&t, &whole, &part, &scale);
        size_t n = 0, u = 0;
        while (n < t.len && t.at[n] != '.' && !(t.at[n] >= '0' && t.at[n] <= '9'))
            n++;
        while (u < COUNT_OF(units) && !str_eq(units[u].name, str_sub(t, 0, n)))
            u++;
        ok = ok && u < COUNT_OF(units) && !__builtin_mul_overflow(whole, units[u].ns, &whole) &&
             !__builtin_add_overflow(total, whole, &total) &&
             !__builtin_add_overflow(total, (u64)((unsigned __int128)part * units[u].ns / scale), &total) &&
             total <= (u64)INT64_MAX + negative;
        t = str_skip(t, n);
    }
    if (!ok)
        return why_set(why, E_PARSE, "invalid duration \"%.*s\"", STR_FMT(str_sub(s, 0, 64)));
    *ret_ns = negative ? (i64)(0 - total) : (i64)total;
    return OK;
}

void print_go_duration_ns(Buf *out, i64 ns)
{
    if (ns == 0) {
        buf_c(out, "0s");
        return;
    }
    u64 u = ns < 0 ? 0 - (u64)ns : (u64)ns;
    if (ns < 0)
        buf_char(out, '-');
    if (u < 1000000000u) {
        const char *unit = u < 1000 ? "ns" : u < 1000000 ? "\xc2\xb5s" : "ms";
        f64 scale = u < 1000 ? 1 : u < 1000000 ? 1e3 : 1e6;
        print_f64(out, (f64)u / scale);
        buf_c(out, unit);
        return;
    }
    u64 sec = u / 1000000000u, frac = u % 1000000000u;
    if (sec >= 3600)
        buf_printf(out, "%lluh", (unsigned long long)(sec / 3600));
    if (sec >= 60)
        buf_printf(out, "%llum", (unsigned long long)(sec / 60 % 60));
    buf_printf(out, "%llu", (unsigned long long)(sec % 60));
    if (frac) {
        char digits[10];
        snprintf(digits, sizeof digits, "%09llu", (unsigned long long)frac);
        size_t n = 9;
        while (digits[n - 1] == '0')
            n--;
        buf_char(out, '.');
        buf_put(out, digits, n);
    }
    buf_char(out, 's');
}

Err parse_bytes(Str s, u64 *ret, Why *why)
{
    static const struct {
        Str name;
        f64 bytes;
    } units[] = {{STR_INIT(""), 1},
                 {STR_INIT("B"), 1},
                 {STR_INIT("KB"), 1024.0},
                 {STR_INIT("MB"), 1048576.0},
                 {STR_INIT("GB"), 1073741824.0},
                 {STR_INIT("TB"), 1099511627776.0},
                 {STR_INIT("PB"), 1125899906842624.0},
                 {STR_INIT("KiB"), 1024.0},
                 {STR_INIT("MiB"), 1048576.0},
                 {STR_INIT("GiB"), 1073741824.0},
                 {STR_INIT("TiB"), 1099511627776.0},
                 {STR_INIT("PiB"), 1125899906842624.0}};
    Str t = str_trim(s);
    size_t n = 0;
    while (n < t.len && ((t.at[n] >= '0' && t.at[n] <= '9') || t.at[n] == '.' ||
                         ((t.at[n] == 'e' || t.at[n] == 'E') && n + 1 < t.len && t.at[n + 1] >= '0' &&
                          t.at[n + 1] <= '9')))
        n++;
    f64 v;
    Str unit = str_trim(str_skip(t, n));
    size_t u = 0;
    while (u < COUNT_OF(units) && !str_eq_nocase(units[u].name, unit))
        u++;
    if (!n || u == COUNT_OF(units) || parse_f64(str_sub(t, 0, n), &v) != OK || v * units[u].bytes > 1.8e19)
        return why_set(why, E_PARSE, "\"%.*s\" is not a size; write for example 512MB or 10GiB",
                       STR_FMT(str_sub(s, 0, 64)));
    *ret = (u64)(v * units[u].bytes);
    return OK;
}
