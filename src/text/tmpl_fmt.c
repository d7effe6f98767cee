/* Go's fmt for template values: %v and Sprintf. */
#include "text/tmpl_internal.h"

#include <math.h>

typedef struct Spec {
    bool minus, plus, sharp, space, zero, has_width, has_prec;
    int width, prec;
} Spec;

enum { WIDTH_MAX = 1 << 16, PRINT_DEPTH_MAX = 32 };

static void print_value(Buf *out, Tv v, int depth)
{
    if (depth > PRINT_DEPTH_MAX) {
        buf_c(out, "...");
        return;
    }
    switch (v.kind) {
    case TV_NIL:
        buf_c(out, "<nil>");
        break;
    case TV_BOOL:
        buf_c(out, v.u.b ? "true" : "false");
        break;
    case TV_INT:
        print_i64(out, v.u.i);
        break;
    case TV_F64:
        print_f64_go(out, v.u.f, 'g', -1);
        break;
    case TV_STR:
    case TV_SAFE_HTML:
        buf_str(out, v.u.s);
        break;
    case TV_LIST:
        buf_char(out, '[');
        for (u32 i = 0; i < v.u.list.len && !buf_over(out); i++) {
            if (i)
                buf_char(out, ' ');
            print_value(out, v.u.list.at[i], depth + 1);
        }
        buf_char(out, ']');
        break;
    case TV_MAP:
        buf_c(out, "map[");
        for (u32 i = 0; i < v.u.map.len && !buf_over(out); i++) {
            if (i)
                buf_char(out, ' ');
            buf_str(out, v.u.map.at[i].key);
            buf_char(out, ':');
            print_value(out, v.u.map.at[i].value, depth + 1);
        }
        buf_char(out, ']');
        break;
    case TV_TIME: {
        Civil c;
        i64 sec = v.u.time.ns / NS_PER_SEC, ns = v.u.time.ns % NS_PER_SEC;
        if (ns < 0) {
            ns += NS_PER_SEC;
            sec--;
        }
        civil_in_zone(v.u.time.zone, sec, &c);
        c.nanos = (i32)ns;
        print_time_go(out, &c, S("2006-01-02 15:04:05.999999999 -0700 MST"));
        break;
    }
    case TV_DURATION:
        print_go_duration_ns(out, v.u.i);
        break;
    case TV_OBJECT:
        if (v.u.obj->print)
            v.u.obj->print(v.u.obj, out);
        else
            print_value(out, tv_plain(v), depth + 1);
        break;
    }
}

void tv_print(Buf *out, Tv v)
{
    print_value(out, v, 0);
}

/* Pads what fn wrote: body goes to width, zeros after the sign when asked for and the value is a number. */
static void pad(Buf *out, Str body, const Spec *s, bool numeric)
{
    size_t have = str_rune_count(body), want = s->has_width ? (size_t)s->width : 0;
    size_t fill = want > have ? want - have : 0;
    if (s->zero && numeric && !s->minus && fill) {
        size_t sign = body.len && (body.at[0] == '-' || body.at[0] == '+' || body.at[0] == ' ') ? 1 : 0;
        buf_str(out, str_sub(body, 0, sign));
        while (fill--)
            buf_char(out, '0');
        buf_str(out, str_skip(body, sign));
        return;
    }
    if (s->minus)
        buf_str(out, body);
    while (fill--)
        buf_char(out, s->zero && !s->minus ? '0' : ' ');
    if (!s->minus)
        buf_str(out, body);
}

static void fmt_int(Buf *out, i64 v, char verb, const Spec *s)
{
    char digits[72];
    size_t n = 0;
    u64 u = v < 0 ? 0 - (u64)v : (u64)v;
    u32 base = verb == 'x' || verb == 'X' ? 16 : verb == 'o' || verb == 'O' ? 8 : verb == 'b' ? 2 : 10;
    const char *alphabet = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    if (!(s->has_prec && s->prec == 0 && u == 0))
        do {
            digits[n++] = alphabet[u % base];
            u /= base;
        } while (u);
    Buf b;
    buf_init(&b, WIDTH_MAX + 128);
    if (v < 0)
        buf_char(&b, '-');
    else if (s->plus)
        buf_char(&b, '+');
    else if (s->space)
        buf_char(&b, ' ');
    if (s->sharp && base == 16)
        buf_c(&b, verb == 'x' ? "0x" : "0X");
    else if (verb == 'O')
        buf_c(&b, "0o");
    else if (s->sharp && base == 8)
        buf_c(&b, "0");
    else if (s->sharp && base == 2)
        buf_c(&b, "0b");
    for (int i = (int)n; s->has_prec && i < s->prec; i++)
        buf_char(&b, '0');
    while (n)
        buf_char(&b, digits[--n]);
    Spec t = *s;
    if (s->has_prec)
        t.zero = false;
    pad(out, buf_view(&b), &t, true);
    buf_done(&b);
}

static void fmt_f64(Buf *out, f64 v, char verb, const Spec *s)
{
    Buf b;
    buf_init(&b, WIDTH_MAX + 512);
    char f = verb == 'F' ? 'f' : verb == 'E' ? 'e' : verb == 'G' ? 'g' : verb == 'v' ? 'g' : verb;
    int prec = s->has_prec ? s->prec : f == 'g' ? -1 : 6;
    if (s->plus && !signbit(v) && !isinf(v))
        buf_char(&b, '+');
    else if (s->space && !signbit(v))
        buf_char(&b, ' ');
    size_t start = b.len;
    print_f64_go(&b, v, f, prec);
    if (isinf(v) && v > 0 && !s->plus && b.len > start && b.at[start] == '+') {
        buf_done(&b);
        buf_init(&b, 16);
        buf_c(&b, "+Inf");
    }
    if (verb == 'E' || verb == 'G')
        for (size_t i = start; i < b.len; i++)
            b.at[i] = b.at[i] == 'e' ? 'E' : b.at[i];
    Spec t = *s;
    if (!isfinite(v))
        t.zero = false;
    pad(out, buf_view(&b), &t, true);
    buf_done(&b);
}

static void fmt_str(Buf *out, Str v, char verb, const Spec *s)
{
    Buf b;
    buf_init(&b, MAX(v.len * 8, (size_t)64) + 64);
    if (s->has_prec && verb != 'x' && verb != 'X')
        v = str_sub(v, 0, str_rune_prefix(v, (size_t)s->prec));
    if (verb == 'q') {
        if (s->sharp && str_find_char(v, '`') == SIZE_MAX && str_find_char(v, '\n') == SIZE_MAX) {
            buf_char(&b, '`');
            buf_str(&b, v);
            buf_char(&b, '`');
        } else {
            go_quote(&b, v);
        }
    } else if (verb == 'x' || verb == 'X') {
        const char *alphabet = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
        if (s->has_prec && (size_t)s->prec < v.len)
            v.len = (size_t)s->prec;
        for (size_t i = 0; i < v.len; i++) {
            if (s->space && i)
                buf_char(&b, ' ');
            if (s->sharp && (i == 0 || s->space))
                buf_c(&b, verb == 'x' ? "0x" : "0X");
            buf_char(&b, alphabet[(u8)v.at[i] >> 4]);
            buf_char(&b, alphabet[(u8)v.at[i] & 15]);
        }
    } else {
        buf_str(&b, v);
    }
    pad(out, buf_view(&b), s, false);
    buf_done(&b);
}

static void fmt_rune(Buf *out, i64 v, char verb, const Spec *s)
{
    char utf8[4];
    bool valid = v >= 0 && v <= 0x10ffff && !(v >= 0xd800 && v < 0xe000);
    size_t n = rune_encode(valid ? (u32)v : 0xfffd, utf8);
    if (verb == 'c') {
        pad(out, str_of(utf8, n), s, false);
        return;
    }
    Buf b;
    buf_init(&b, 64);
    if (verb == 'U') {
        buf_printf(&b, "U+%04llX", (unsigned long long)v);
        if (s->sharp)
            buf_printf(&b, " '%.*s'", (int)n, utf8);
    } else { /* %q */
        buf_char(&b, '\'');
        if (v == '\'' || v == '\\')
            buf_char(&b, '\\');
        buf_put(&b, utf8, n);
        buf_char(&b, '\'');
    }
    pad(out, buf_view(&b), s, false);
    buf_done(&b);
}

static void bad_verb(Buf *out, char verb, Tv v)
{
    buf_printf(out, "%%!%c(", verb);
    if (v.kind == TV_NIL) {
        buf_c(out, "<nil>");
    } else {
        buf_printf(out, "%s=", tv_type_name(v));
        tv_print(out, v);
    }
    buf_char(out, ')');
}

static void fmt_value(Buf *out, Tv v, char verb, const Spec *s, int depth);

/* %#v for what templates hold. */
static void fmt_go_syntax(Buf *out, Tv v, int depth)
{
    Spec plain = {0};
    if (depth > PRINT_DEPTH_MAX) {
        buf_c(out, "...");
        return;
    }
    if (v.kind == TV_STR) {
        go_quote(out, v.u.s);
    } else if (v.kind == TV_LIST || v.kind == TV_MAP) {
        bool list = v.kind == TV_LIST;
        u32 n = list ? v.u.list.len : v.u.map.len;
        buf_printf(out, "%s{", tv_type_name(v));
        for (u32 i = 0; i < n; i++) {
            if (i)
                buf_c(out, ", ");
            if (!list) {
                go_quote(out, v.u.map.at[i].key);
                buf_char(out, ':');
            }
            fmt_go_syntax(out, list ? v.u.list.at[i] : v.u.map.at[i].value, depth + 1);
        }
        buf_char(out, '}');
    } else {
        fmt_value(out, v, 'v', &plain, depth);
    }
}

/* Lists and maps: the verb goes to each element. */
static void fmt_each(Buf *out, Tv v, char verb, const Spec *s, int depth)
{
    bool list = v.kind == TV_LIST;
    u32 n = list ? v.u.list.len : v.u.map.len;
    buf_c(out, list ? "[" : "map[");
    for (u32 i = 0; i < n && !buf_over(out); i++) {
        if (i)
            buf_char(out, ' ');
        if (!list) {
            fmt_value(out, tv_str(v.u.map.at[i].key), verb, s, depth + 1);
            buf_char(out, ':');
        }
        fmt_value(out, list ? v.u.list.at[i] : v.u.map.at[i].value, verb, s, depth + 1);
    }
    buf_char(out, ']');
}

static void fmt_value(Buf *out, Tv v, char verb, const Spec *s, int depth)
{
    if (depth > PRINT_DEPTH_MAX) {
        buf_c(out, "...");
        return;
    }
    if (verb == 'T') {
        fmt_str(out, str_c(tv_type_name(v)), 's', s);
        return;
    }
    Spec plain;
    if (verb == 'v' && s->plus) { /* %+v: only structs have more to say */
        plain = *s;
        plain.plus = false;
        s = &plain;
    }
    if (verb == 'v' && s->sharp) {
        fmt_go_syntax(out, tv_plain(v), depth);
        return;
    }
    Str text = v.kind == TV_SAFE_HTML ? v.u.s : S("");
    if (v.kind == TV_OBJECT && v.u.obj->print && (verb == 'v' || verb == 's')) {
        Buf b;
        buf_init(&b, 1 << 20);
        v.u.obj->print(v.u.obj, &b);
        fmt_str(out, buf_view(&b), 's', s);
        buf_done(&b);
        return;
    }
    v = tv_plain(v);
    switch (v.kind) {
    case TV_BOOL:
        if (verb == 'v' || verb == 't')
            fmt_str(out, v.u.b ? S("true") : S("false"), 's', s);
        else
            bad_verb(out, verb, v);
        break;
    case TV_INT:
        if (strchr("vdxXobO", verb))
            fmt_int(out, v.u.i, verb, s);
        else if (strchr("cqU", verb))
            fmt_rune(out, v.u.i, verb, s);
        else
            bad_verb(out, verb, v);
        break;
    case TV_F64:
        if (strchr("vfFeEgG", verb))
            fmt_f64(out, v.u.f, verb, s);
        else
            bad_verb(out, verb, v);
        break;
    case TV_STR:
    case TV_SAFE_HTML:
        if (strchr("vsqxX", verb))
            fmt_str(out, v.kind == TV_STR ? v.u.s : text, verb, s);
        else
            bad_verb(out, verb, v);
        break;
    case TV_LIST:
    case TV_MAP:
        fmt_each(out, v, verb, s, depth);
        break;
    case TV_DURATION:
        if (verb == 'd') {
            fmt_int(out, v.u.i, 'd', s);
            break;
        }
        [[fallthrough]];
    case TV_TIME: {
        Buf b;
        buf_init(&b, 200);
        tv_print(&b, v);
        if (strchr("vsq", verb))
            fmt_str(out, buf_view(&b), verb == 'v' ? 's' : verb, s);
        else
            bad_verb(out, verb, v);
        buf_done(&b);
        break;
    }
    case TV_NIL:
        if (verb == 'v')
            fmt_str(out, S("<nil>"), 's', s);
        else
            bad_verb(out, verb, v);
        break;
    case TV_OBJECT:
        break;
    }
}

static bool read_number(Str f, size_t *i, int *ret)
{
    size_t start = *i;
    int v = 0;
    while (*i < f.len && f.at[*i] >= '0' && f.at[*i] <= '9') {
        v = MIN(v * 10 + (f.at[*i] - '0'), WIDTH_MAX);
        (*i)++;
    }
    *ret = v;
    return *i > start;
}

typedef struct Args {
    const Tv *at;
    u32 len, next;
    bool reordered;
} Args;

/* "[2]": which argument comes next. False when it is malformed. */
static bool read_index(Str f, size_t *i, Args *a)
{
    if (*i >= f.len || f.at[*i] != '[')
        return true;
    size_t k = *i + 1;
    int n;
    bool good = read_number(f, &k, &n) && k < f.len && f.at[k] == ']' && n >= 1 && (u32)n <= a->len;
    size_t close = str_find_char(str_skip(f, *i), ']');
    *i = close == SIZE_MAX ? *i + 1 : *i + close + 1;
    a->reordered = true;
    if (good)
        a->next = (u32)n - 1;
    return good;
}

static bool read_star(Str f, size_t *i, Args *a, int *ret)
{
    if (*i >= f.len || f.at[*i] != '*')
        return false;
    (*i)++;
    *ret = INT32_MIN;
    if (a->next < a->len) {
        Tv v = a->at[a->next++];
        if (v.kind == TV_INT && v.u.i > -WIDTH_MAX && v.u.i < WIDTH_MAX)
            *ret = (int)v.u.i;
    }
    return true;
}

/* Flags, width and precision of one directive; i stands after the '%'. False on a bad argument index. */
static bool read_spec(Buf *out, Str f, size_t *i, Args *a, Spec *s)
{
    bool good = true;
    for (; *i < f.len; (*i)++) {
        char c = f.at[*i];
        if (c == '-')
            s->minus = true;
        else if (c == '+')
            s->plus = true;
        else if (c == '#')
            s->sharp = true;
        else if (c == ' ')
            s->space = true;
        else if (c == '0')
            s->zero = true;
        else
            break;
    }
    good = read_index(f, i, a);
    if (read_star(f, i, a, &s->width)) {
        s->has_width = s->width != INT32_MIN;
        if (!s->has_width)
            buf_c(out, "%!(BADWIDTH)");
        else if (s->width < 0) {
            s->width = -s->width;
            s->minus = true;
        }
    } else {
        s->has_width = read_number(f, i, &s->width);
    }
    if (*i < f.len && f.at[*i] == '.') {
        (*i)++;
        good = read_index(f, i, a) && good;
        if (read_star(f, i, a, &s->prec)) {
            s->has_prec = s->prec >= 0;
            if (!s->has_prec)
                buf_c(out, "%!(BADPREC)");
        } else {
            read_number(f, i, &s->prec);
            s->has_prec = true;
        }
        /* An exact conversion never has more than 1,100 digits. */
        s->prec = MIN(s->prec, 1200);
    }
    return read_index(f, i, a) && good;
}

void tv_printf(Buf *out, Str f, const Tv *args, u32 n)
{
    Args a = {args, n, 0, false};
    size_t i = 0;
    while (i < f.len && !buf_over(out)) {
        size_t percent = str_find_char(str_skip(f, i), '%');
        if (percent == SIZE_MAX) {
            buf_str(out, str_skip(f, i));
            break;
        }
        buf_str(out, str_sub(f, i, i + percent));
        i += percent + 1;
        Spec s = {0};
        bool good = read_spec(out, f, &i, &a, &s);
        if (i >= f.len) {
            buf_c(out, "%!(NOVERB)");
            break;
        }
        u32 rune;
        Str verb = str_skip(f, i);
        size_t width = str_rune(verb, &rune);
        i += width;
        if (rune == '%') {
            buf_char(out, '%');
        } else if (!good) {
            buf_printf(out, "%%!%.*s(BADINDEX)", (int)width, verb.at);
        } else if (a.next >= a.len) {
            buf_printf(out, "%%!%.*s(MISSING)", (int)width, verb.at);
        } else {
            char c = rune < 0x80 && rune && strchr("vtdsqxXobOcUfFeEgGT", (int)rune) ? (char)rune : '?';
            if (c == '?') {
                Tv v = a.at[a.next];
                buf_printf(out, "%%!%.*s(", (int)width, verb.at);
                if (v.kind != TV_NIL)
                    buf_printf(out, "%s=", tv_type_name(v));
                tv_print(out, v);
                buf_char(out, ')');
            } else {
                fmt_value(out, a.at[a.next], c, &s, 0);
            }
            a.next++;
        }
    }
    if (!a.reordered && a.next < a.len) {
        buf_c(out, "%!(EXTRA ");
        for (u32 k = a.next; k < a.len; k++) {
            if (k > a.next)
                buf_c(out, ", ");
            if (a.at[k].kind == TV_NIL) {
                buf_c(out, "<nil>");
            } else {
                buf_printf(out, "%s=", tv_type_name(a.at[k]));
                tv_print(out, a.at[k]);
            }
        }
        buf_char(out, ')');
    }
}
