/* The functions every Go template has. */
#include "text/tmpl_internal.h"

#include <math.h>

Tv tmpl_take(TmplExec *x, Buf *b)
{
    Str s = arena_dup(tmpl_arena(x), buf_view(b));
    buf_done(b);
    return tv_str(s);
}

Err tmpl_args(u32 have, u32 least, u32 most, const char *name, Why *why)
{
    if (have >= least && have <= most)
        return OK;
    if (least == most)
        return why_set(why, E_EXEC, "wrong number of args for %s: want %u got %u", name, least, have);
    return why_set(why, E_EXEC, "wrong number of args for %s: want at least %u got %u", name, least, have);
}

Err tmpl_need_str(Tv v, Str *ret, Why *why)
{
    if (v.kind != TV_STR && v.kind != TV_SAFE_HTML)
        return why_set(why, E_EXEC, "wrong type for value; expected string; got %s", tv_type_name(v));
    *ret = v.u.s;
    return OK;
}

static Err fn_not(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "not", why));
    *ret = tv_bool(!tv_truth(a[0]));
    return OK;
}

/* The evaluator answers and/or itself, to stop at the first argument that decides; these stand for their names. */
static Err fn_and_or(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    return why_set(why, E_INTERNAL, "and/or are evaluated in place");
}

static Err fn_len(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "len", why));
    Tv v = tv_plain(a[0]);
    if (v.kind == TV_STR || v.kind == TV_SAFE_HTML)
        *ret = tv_int((i64)v.u.s.len);
    else if (v.kind == TV_LIST)
        *ret = tv_int(v.u.list.len);
    else if (v.kind == TV_MAP)
        *ret = tv_int(v.u.map.len);
    else if (v.kind == TV_NIL)
        return why_set(why, E_EXEC, "len of nil pointer");
    else
        return why_set(why, E_EXEC, "len of type %s", tv_type_name(a[0]));
    return OK;
}

static Err index_int(Tv at, i64 len, bool inclusive, i64 *ret, Why *why)
{
    if (at.kind == TV_NIL)
        return why_set(why, E_EXEC, "cannot index slice/array with nil");
    if (at.kind != TV_INT)
        return why_set(why, E_EXEC, "cannot index slice/array with type %s", tv_type_name(at));
    if (at.u.i < 0 || at.u.i > len || (at.u.i == len && !inclusive))
        return why_set(why, E_EXEC, "index out of range: %lld", (long long)at.u.i);
    *ret = at.u.i;
    return OK;
}

static Err fn_index(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, UINT32_MAX, "index", why));
    Tv v = tv_plain(a[0]);
    if (v.kind == TV_NIL)
        return why_set(why, E_EXEC, "index of untyped nil");
    for (u32 i = 1; i < n; i++) {
        i64 at;
        v = tv_plain(v);
        if (v.kind == TV_LIST) {
            TRY(index_int(a[i], v.u.list.len, false, &at, why));
            v = v.u.list.at[at];
        } else if (v.kind == TV_STR) {
            TRY(index_int(a[i], (i64)v.u.s.len, false, &at, why));
            v = tv_int((u8)v.u.s.at[at]);
        } else if (v.kind == TV_MAP) {
            if (a[i].kind != TV_STR)
                return why_set(why, E_EXEC, "value has type %s; should be string", tv_type_name(a[i]));
            bool is_any = v.u.map.is_any;
            Tv found;
            if (!tv_map_find(v, a[i].u.s, &found) && !is_any)
                found = tv_str(S("")); /* the element type's zero value */
            v = found;
        } else if (v.kind == TV_NIL) {
            return why_set(why, E_EXEC, "index of nil pointer");
        } else {
            return why_set(why, E_EXEC, "can't index item of type %s", tv_type_name(v));
        }
    }
    *ret = v;
    return OK;
}

static Err fn_slice(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 4, "slice", why));
    Tv v = tv_plain(a[0]);
    if (v.kind != TV_LIST && v.kind != TV_STR)
        return why_set(why, E_EXEC, "can't slice item of type %s", tv_type_name(a[0]));
    if (v.kind == TV_STR && n == 4)
        return why_set(why, E_EXEC, "cannot 3-index slice a string");
    i64 len = v.kind == TV_STR ? (i64)v.u.s.len : (i64)v.u.list.len, at[3] = {0, len, len};
    for (u32 i = 1; i < n; i++)
        TRY(index_int(a[i], len, true, &at[i - 1], why));
    if (at[0] > at[1])
        return why_set(why, E_EXEC, "invalid slice index: %lld > %lld", (long long)at[0], (long long)at[1]);
    if (at[1] > at[2])
        return why_set(why, E_EXEC, "invalid slice index: %lld > %lld", (long long)at[1], (long long)at[2]);
    if (v.kind == TV_STR)
        *ret = tv_str(str_sub(v.u.s, (size_t)at[0], (size_t)at[1]));
    else
        *ret = tv_list(v.u.list.at + at[0], (u32)(at[1] - at[0]));
    return OK;
}

static Err fn_call(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, UINT32_MAX, "call", why));
    return why_set(why, E_EXEC, a[0].kind == TV_NIL ? "call of nil" : "non-function of type %s",
                   tv_type_name(a[0]));
}

/* ---- printing ---- */
static void sprint(Buf *b, const Tv *a, u32 n, bool line)
{
    for (u32 i = 0; i < n; i++) {
        bool text = a[i].kind == TV_STR || (i && a[i - 1].kind == TV_STR);
        if (i && (line || !text)) /* Sprint puts spaces only between operands that are not strings */
            buf_char(b, ' ');
        tv_print(b, a[i]);
    }
    if (line)
        buf_char(b, '\n');
}

enum { TEXT_MAX = 1 << 20 };

static Err fn_print(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    Buf b;
    buf_init(&b, TEXT_MAX);
    sprint(&b, a, n, arg != NULL);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_printf(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, UINT32_MAX, "printf", why));
    if (a[0].kind != TV_STR)
        return why_set(why, E_EXEC, "wrong type for value; expected string; got %s", tv_type_name(a[0]));
    Buf b;
    buf_init(&b, TEXT_MAX);
    tv_printf(&b, a[0].u.s, a + 1, n - 1);
    *ret = tmpl_take(x, &b);
    return OK;
}

/* What html, js and urlquery work on: one string as it is, anything else printed. */
static void escaper_text(Buf *b, const Tv *a, u32 n)
{
    if (n == 1 && a[0].kind == TV_STR)
        buf_str(b, a[0].u.s);
    else
        sprint(b, a, n, false);
}

static void js_escape(Buf *out, Str s)
{
    while (s.len) {
        u32 rune;
        size_t n = str_rune(s, &rune);
        switch (rune) {
        case '\\':
            buf_c(out, "\\\\");
            break;
        case '\'':
            buf_c(out, "\\'");
            break;
        case '"':
            buf_c(out, "\\\"");
            break;
        case '<':
        case '>':
        case '&':
        case '=':
            buf_printf(out, "\\u%04X", rune);
            break;
        default:
            if (rune < 0x20)
                buf_printf(out, "\\u%04X", rune);
            else
                buf_put(out, s.at, n);
        }
        s = str_skip(s, n);
    }
}

static Err fn_escape(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    Buf text, b;
    buf_init(&text, TEXT_MAX);
    buf_init(&b, TEXT_MAX * 6);
    escaper_text(&text, a, n);
    switch (*(const char *)arg) {
    case 'h':
        html_escape(&b, buf_view(&text));
        break;
    case 'j':
        js_escape(&b, buf_view(&text));
        break;
    default:
        url_escape_query(&b, buf_view(&text));
    }
    buf_done(&text);
    *ret = tmpl_take(x, &b);
    return OK;
}

/* ---- comparing ---- */
typedef enum Basic { B_NONE, B_NIL, B_BOOL, B_INT, B_F64, B_STR } Basic;

static Basic basic_kind(Tv v)
{
    switch (v.kind) {
    case TV_NIL:
        return B_NIL;
    case TV_BOOL:
        return B_BOOL;
    case TV_INT:
    case TV_DURATION:
        return B_INT;
    case TV_F64:
        return B_F64;
    case TV_STR:
    case TV_SAFE_HTML:
        return B_STR;
    default:
        return B_NONE;
    }
}

Err tv_equal(Tv a, Tv b, bool *ret, Why *why)
{
    Basic ka = basic_kind(a), kb = basic_kind(b);
    if (a.kind == TV_TIME && b.kind == TV_TIME) {
        *ret = a.u.time.ns == b.u.time.ns;
        return OK;
    }
    if (ka == B_NIL || kb == B_NIL) {
        *ret = ka == kb;
        return OK;
    }
    if (ka == B_NONE || kb == B_NONE)
        return why_set(why, E_EXEC, "non-comparable type %s", tv_type_name(ka == B_NONE ? a : b));
    if (ka != kb)
        return why_set(why, E_EXEC, "incompatible types for comparison: %s and %s", tv_type_name(a),
                       tv_type_name(b));
    *ret = ka == B_BOOL  ? a.u.b == b.u.b
           : ka == B_INT ? a.u.i == b.u.i
           : ka == B_F64 ? a.u.f == b.u.f
                         : str_eq(a.u.s, b.u.s);
    return OK;
}

static Err fn_eq(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, UINT32_MAX, "eq", why));
    if (n == 1)
        return why_set(why, E_EXEC, "missing argument for comparison");
    bool same = false;
    for (u32 i = 1; i < n && !same; i++)
        TRY(tv_equal(a[0], a[i], &same, why));
    *ret = tv_bool(same);
    return OK;
}

static Err fn_ne(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "ne", why));
    bool same;
    TRY(tv_equal(a[0], a[1], &same, why));
    *ret = tv_bool(!same);
    return OK;
}

/* arg: "<", "l" (<=), ">", "g" (>=). Go defines the latter three by < and ==, which shows for NaN. */
static Err fn_order(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    char op = *(const char *)arg;
    TRY(tmpl_args(n, 2, 2, op == '<' ? "lt" : op == 'l' ? "le" : op == '>' ? "gt" : "ge", why));
    Basic ka = basic_kind(a[0]), kb = basic_kind(a[1]);
    if (ka == B_NONE || kb == B_NONE || ka == B_NIL || kb == B_NIL || ka == B_BOOL || kb == B_BOOL)
        return why_set(why, E_EXEC, "invalid type for comparison");
    if (ka != kb)
        return why_set(why, E_EXEC, "incompatible types for comparison: %s and %s", tv_type_name(a[0]),
                       tv_type_name(a[1]));
    int c = ka == B_STR ? str_cmp(a[0].u.s, a[1].u.s) : 0;
    bool lt = ka == B_INT ? a[0].u.i < a[1].u.i : ka == B_F64 ? a[0].u.f < a[1].u.f : c < 0;
    bool eq = ka == B_INT ? a[0].u.i == a[1].u.i : ka == B_F64 ? a[0].u.f == a[1].u.f : c == 0;
    *ret = tv_bool(op == '<' ? lt : op == 'l' ? lt || eq : op == '>' ? !(lt || eq) : !lt);
    return OK;
}

const TmplFunc tmpl_builtins[] = {
    {"and", fn_and_or, NULL},     {"or", fn_and_or, NULL},   {"not", fn_not, NULL},
    {"len", fn_len, NULL},        {"index", fn_index, NULL}, {"slice", fn_slice, NULL},
    {"call", fn_call, NULL},      {"print", fn_print, NULL}, {"println", fn_print, "line"},
    {"printf", fn_printf, NULL},  {"html", fn_escape, "h"},  {"js", fn_escape, "j"},
    {"urlquery", fn_escape, "u"}, {"eq", fn_eq, NULL},       {"ne", fn_ne, NULL},
    {"lt", fn_order, "<"},        {"le", fn_order, "l"},     {"gt", fn_order, ">"},
    {"ge", fn_order, "g"},
};
const u32 tmpl_builtins_len = COUNT_OF(tmpl_builtins);
