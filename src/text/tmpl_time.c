/* Methods of time.Time and time.Duration inside templates: {{ .StartsAt.Format "15:04" }}. */
#include "text/tmpl_internal.h"

#include <math.h>

static void civil_of(Tv t, Civil *c)
{
    i64 sec = t.u.time.ns / NS_PER_SEC, ns = t.u.time.ns % NS_PER_SEC;
    if (ns < 0) {
        ns += NS_PER_SEC;
        sec--;
    }
    civil_in_zone(t.u.time.zone, sec, c);
    c->nanos = (i32)ns;
}

static bool need(u32 have, u32 want, Str name, Why *why)
{
    if (have == want)
        return true;
    why_set(why, E_EXEC, "wrong number of args for %.*s: want %u got %u", STR_FMT(name), want, have);
    return false;
}

static Tv printed(TmplExec *x, Buf *b)
{
    Str s = arena_dup(tmpl_arena(x), buf_view(b));
    buf_done(b);
    return tv_str(s);
}

static Tv duration(i64 ns)
{
    return (Tv){.kind = TV_DURATION, .u.i = ns};
}

/* An integer literal is a duration in nanoseconds, as in Go. */
static bool arg_duration(const Tv *args, u32 n, Str name, i64 *ret, Why *why)
{
    if (!need(n, 1, name, why))
        return false;
    if (args[0].kind == TV_INT || args[0].kind == TV_DURATION)
        *ret = args[0].u.i;
    else if (args[0].kind == TV_F64 && fabs(args[0].u.f) < 9e18 && args[0].u.f == trunc(args[0].u.f))
        *ret = (i64)args[0].u.f;
    else
        return why_set(why, E_EXEC, "wrong type for value; expected time.Duration; got %s",
                       tv_type_name(args[0])),
               false;
    return true;
}

static bool arg_time(const Tv *args, u32 n, Str name, i64 *ret, Why *why)
{
    if (!need(n, 1, name, why))
        return false;
    if (args[0].kind != TV_TIME)
        return why_set(why, E_EXEC, "wrong type for value; expected time.Time; got %s",
                       tv_type_name(args[0])),
               false;
    *ret = args[0].u.time.ns;
    return true;
}

typedef struct Method {
    const char *name;
    enum {
        M_FORMAT,
        M_UNIX,
        M_UNIX_MS,
        M_UNIX_NS,
        M_UTC,
        M_LOCAL,
        M_ADD,
        M_SUB,
        M_BEFORE,
        M_AFTER,
        M_EQUAL,
        M_IS_ZERO,
        M_YEAR,
        M_MONTH,
        M_DAY,
        M_HOUR,
        M_MINUTE,
        M_SECOND,
        M_WEEKDAY,
        M_YEARDAY,
        M_STRING,
        M_SECONDS,
        M_MINUTES,
        M_HOURS,
        M_MILLISECONDS,
        M_NANOSECONDS,
        M_ROUND,
        M_TRUNCATE
    } id;
} Method;

static const Method time_methods[] = {
    {"Format", M_FORMAT}, {"Unix", M_UNIX},     {"UnixMilli", M_UNIX_MS}, {"UnixNano", M_UNIX_NS},
    {"UTC", M_UTC},       {"Local", M_LOCAL},   {"Add", M_ADD},           {"Sub", M_SUB},
    {"Before", M_BEFORE}, {"After", M_AFTER},   {"Equal", M_EQUAL},       {"IsZero", M_IS_ZERO},
    {"Year", M_YEAR},     {"Month", M_MONTH},   {"Day", M_DAY},           {"Hour", M_HOUR},
    {"Minute", M_MINUTE}, {"Second", M_SECOND}, {"Weekday", M_WEEKDAY},   {"YearDay", M_YEARDAY},
    {"String", M_STRING},
};
static const Method duration_methods[] = {
    {"Seconds", M_SECONDS},           {"Minutes", M_MINUTES},         {"Hours", M_HOURS},
    {"Milliseconds", M_MILLISECONDS}, {"Nanoseconds", M_NANOSECONDS}, {"Round", M_ROUND},
    {"Truncate", M_TRUNCATE},         {"String", M_STRING},
};

static void call_time(TmplExec *x, int id, Tv on, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    Civil c;
    i64 v;
    Buf b;
    civil_of(on, &c);
    bool plain =
        id != M_FORMAT && id != M_ADD && id != M_SUB && id != M_BEFORE && id != M_AFTER && id != M_EQUAL;
    if (plain && !need(n, 0, name, why))
        return;
    switch (id) {
    case M_FORMAT:
        if (!need(n, 1, name, why))
            return;
        if (args[0].kind != TV_STR) {
            why_set(why, E_EXEC, "wrong type for value; expected string; got %s", tv_type_name(args[0]));
            return;
        }
        buf_init(&b, 1 << 16);
        print_time_go(&b, &c, args[0].u.s);
        *ret = printed(x, &b);
        break;
    case M_STRING:
        buf_init(&b, 256);
        tv_print(&b, on);
        *ret = printed(x, &b);
        break;
    case M_UTC:
        on.u.time.zone = NULL;
        *ret = on;
        break;
    case M_LOCAL:
        if (zone_load(S("Local"), &on.u.time.zone, why) == OK)
            *ret = on;
        break;
    case M_ADD:
        if (arg_duration(args, n, name, &v, why)) {
            on.u.time.ns = (i64)((u64)on.u.time.ns + (u64)v);
            *ret = on;
        }
        break;
    case M_SUB:
        if (arg_time(args, n, name, &v, why))
            *ret = duration((i64)((u64)on.u.time.ns - (u64)v));
        break;
    case M_BEFORE:
    case M_AFTER:
    case M_EQUAL:
        if (arg_time(args, n, name, &v, why))
            *ret = tv_bool(id == M_BEFORE  ? on.u.time.ns < v
                           : id == M_AFTER ? on.u.time.ns > v
                                           : on.u.time.ns == v);
        break;
    case M_IS_ZERO:
        *ret = tv_bool(on.u.time.ns == 0);
        break;
    case M_UNIX:
        *ret = tv_int(on.u.time.ns / NS_PER_SEC);
        break;
    case M_UNIX_MS:
        *ret = tv_int(on.u.time.ns / NS_PER_MS);
        break;
    case M_UNIX_NS:
        *ret = tv_int(on.u.time.ns);
        break;
    case M_MONTH:
    case M_WEEKDAY:
        buf_init(&b, 64);
        print_time_go(&b, &c, id == M_MONTH ? S("January") : S("Monday"));
        *ret = printed(x, &b);
        break;
    default:
        *ret = tv_int(id == M_YEAR     ? c.year
                      : id == M_DAY    ? c.day
                      : id == M_HOUR   ? c.hour
                      : id == M_MINUTE ? c.minute
                      : id == M_SECOND ? c.second
                                       : c.yday + 1);
    }
}

static void call_duration(TmplExec *x, int id, Tv on, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    i64 unit = 0, ns = on.u.i;
    Buf b;
    if (id == M_ROUND || id == M_TRUNCATE) {
        if (!arg_duration(args, n, name, &unit, why))
            return;
        if (unit > 0) {
            i64 rem = ns % unit;
            ns -= rem;
            if (id == M_ROUND && (rem < 0 ? -rem : rem) >= unit - (rem < 0 ? -rem : rem))
                ns += rem < 0 ? -unit : unit;
        }
        *ret = duration(ns);
        return;
    }
    if (!need(n, 0, name, why))
        return;
    switch (id) {
    case M_SECONDS:
        *ret = tv_f64((f64)ns / 1e9);
        break;
    case M_MINUTES:
        *ret = tv_f64((f64)ns / 60e9);
        break;
    case M_HOURS:
        *ret = tv_f64((f64)ns / 3600e9);
        break;
    case M_MILLISECONDS:
        *ret = tv_int(ns / NS_PER_MS);
        break;
    case M_NANOSECONDS:
        *ret = tv_int(ns);
        break;
    default:
        buf_init(&b, 128);
        tv_print(&b, on);
        *ret = printed(x, &b);
    }
}

bool tmpl_time_method(TmplExec *x, Tv on, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    bool time = on.kind == TV_TIME;
    const Method *list = time ? time_methods : duration_methods;
    size_t len = time ? COUNT_OF(time_methods) : COUNT_OF(duration_methods);
    for (size_t i = 0; i < len; i++)
        if (str_eq(name, str_c(list[i].name))) {
            if (time)
                call_time(x, list[i].id, on, name, args, n, ret, why);
            else
                call_duration(x, list[i].id, on, name, args, n, ret, why);
            return true;
        }
    return false;
}
