/* Prometheus's template functions. Texts, rounding and error sentences are the peer's: people's annotations rely on
 * them. */
#include "rules/rules.h"
#include "text/tmpl.h"

#include <arpa/inet.h>
#include <math.h>

#define DATA_TYPE                                                                                            \
    "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value "        \
    "interface {} }"

static Err to_f64(Tv v, f64 *ret, Why *why)
{
    switch (v.kind) {
    case TV_F64:
        *ret = v.u.f;
        return OK;
    case TV_INT:
        *ret = (f64)v.u.i;
        return OK;
    case TV_DURATION:
        *ret = (f64)v.u.i / 1e9;
        return OK;
    case TV_STR:
        if (parse_f64(v.u.s, ret) == OK)
            return OK;
        return why_set(why, E_EXEC, "strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
                       (int)MIN(v.u.s.len, 100), v.u.s.at);
    default:
        return why_set(why, E_EXEC, "can't convert %s to float", tv_type_name(v));
    }
}

/* ---- numbers for people ---- */
static void put_4g(Buf *b, f64 v)
{
    print_f64_go(b, v, 'g', 4);
}

static const char *scale(f64 *v, const char *const *up, f64 by)
{
    const char *prefix = "";
    for (int i = 0; i < 8 && fabs(*v) >= by; i++) {
        prefix = up[i];
        *v /= by;
    }
    return prefix;
}
static const char *scale_down(f64 *v)
{
    static const char *const down[] = {"m", "u", "n", "p", "f", "a", "z", "y"};
    const char *prefix = "";
    for (int i = 0; i < 8 && fabs(*v) < 1; i++) {
        prefix = down[i];
        *v *= 1000;
    }
    return prefix;
}

static Err fn_humanize(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    static const char *const si[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
    static const char *const iec[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
    bool binary = arg != NULL;
    TRY(tmpl_args(n, 1, 1, binary ? "humanize1024" : "humanize", why));
    f64 v;
    TRY(to_f64(a[0], &v, why));
    Buf b;
    buf_init(&b, 64);
    const char *prefix = "";
    if (isfinite(v) && v != 0) {
        if (binary)
            prefix = fabs(v) > 1 ? scale(&v, iec, 1024) : "";
        else
            prefix = fabs(v) >= 1 ? scale(&v, si, 1000) : scale_down(&v);
    }
    put_4g(&b, v);
    buf_c(&b, prefix);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_humanize_duration(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "humanizeDuration", why));
    f64 v;
    TRY(to_f64(a[0], &v, why));
    Buf b;
    buf_init(&b, 128);
    if (!isfinite(v)) {
        put_4g(&b, v);
    } else if (v == 0) {
        put_4g(&b, v);
        buf_char(&b, 's');
    } else if (fabs(v) < 1) {
        const char *prefix = scale_down(&v);
        put_4g(&b, v);
        buf_printf(&b, "%ss", prefix);
    } else {
        if (v < 0) {
            buf_char(&b, '-');
            v = -v;
        }
        long long d = v < 9.2e18 ? (long long)v : INT64_MAX, sec = d % 60, min = d / 60 % 60,
                  hours = d / 3600 % 24, days = d / 86400;
        if (days)
            buf_printf(&b, "%lldd %lldh %lldm %llds", days, hours, min, sec);
        else if (hours)
            buf_printf(&b, "%lldh %lldm %llds", hours, min, sec);
        else if (min)
            buf_printf(&b, "%lldm %llds", min, sec);
        else {
            put_4g(&b, v);
            buf_char(&b, 's');
        }
    }
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_humanize_percentage(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "humanizePercentage", why));
    f64 v;
    TRY(to_f64(a[0], &v, why));
    Buf b;
    buf_init(&b, 64);
    put_4g(&b, v * 100);
    buf_char(&b, '%');
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err to_time(f64 v, Tv *ret, Why *why)
{
    f64 ns = v * 1e9;
    if (ns > 9.223372036854775e18 || ns < -9.223372036854775e18) {
        Buf b;
        buf_init(&b, 64);
        print_f64_go(&b, v, 'g', -1);
        Err e = why_set(why, E_EXEC,
                        "%s cannot be represented as a nanoseconds timestamp since it overflows int64",
                        buf_cstr(&b));
        buf_done(&b);
        return e;
    }
    *ret = (Tv){.kind = TV_TIME,
                .u.time = {(i64)ns / NS_PER_MS * NS_PER_MS, NULL}}; /* Prometheus's times have milliseconds */
    return OK;
}

static Err fn_to_time(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, arg ? "humanizeTimestamp" : "toTime", why));
    f64 v;
    TRY(to_f64(a[0], &v, why));
    if (!isfinite(v)) {
        if (!arg)
            return why_set(why, E_EXEC, "value is NaN or Inf");
        Buf b;
        buf_init(&b, 64);
        put_4g(&b, v);
        *ret = tmpl_take(x, &b);
        return OK;
    }
    Tv t;
    TRY(to_time(v, &t, why));
    *ret = t;
    if (arg) {
        Buf b;
        buf_init(&b, 128);
        tv_print(&b, t);
        *ret = tmpl_take(x, &b);
    }
    return OK;
}

static Err fn_to_duration(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "toDuration", why));
    f64 v;
    TRY(to_f64(a[0], &v, why));
    if (!isfinite(v))
        return why_set(why, E_EXEC, "value is NaN or Inf");
    if (fabs(v * 1e9) > 9.223372036854775e18)
        return why_set(why, E_EXEC, "value overflows a duration");
    *ret = (Tv){.kind = TV_DURATION, .u.i = (i64)(v * 1e9)};
    return OK;
}

static Err fn_now(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 0, 0, "now", why));
    *ret = tv_f64((f64)((RuleTmplHost *)tmpl_host(x))->now_ms / 1000.0);
    return OK;
}

static Err fn_parse_duration(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "parseDuration", why));
    Str s;
    i64 ms;
    TRY(tmpl_need_str(a[0], &s, why));
    TRY(parse_duration_ms(s, &ms, why));
    *ret = tv_f64((f64)ms / 1000.0);
    return OK;
}

/* ---- text ---- */
static Err fn_case(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    char how = *(const char *)arg;
    TRY(tmpl_args(n, 1, 1, how == 't' ? "title" : how == 'u' ? "toUpper" : "toLower", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    Buf b;
    buf_init(&b, 2 * s.len + 16);
    if (how == 'u')
        text_upper(&b, s);
    else if (how == 'l')
        text_lower(&b, s);
    else
        text_title(&b, s, false);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_match(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "match", why));
    Str pattern, text;
    Regex *r;
    TRY(tmpl_need_str(a[0], &pattern, why));
    TRY(tmpl_need_str(a[1], &text, why));
    TRY(regex_new(pattern, 0, &r, why));
    *ret = tv_bool(regex_match(r, text));
    regex_free(r);
    return OK;
}

static Err fn_replace(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 3, 3, "reReplaceAll", why));
    Str pattern, by, text;
    Regex *r;
    TRY(tmpl_need_str(a[0], &pattern, why));
    TRY(tmpl_need_str(a[1], &by, why));
    TRY(tmpl_need_str(a[2], &text, why));
    TRY(regex_new(pattern, 0, &r, why));
    Buf b;
    buf_init(&b, 1 << 20);
    regex_replace_all(r, text, by, &b);
    regex_free(r);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_safe_html(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "safeHtml", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    *ret = (Tv){.kind = TV_SAFE_HTML, .u.s = s};
    return OK;
}

static Err fn_link(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    const char *tab = arg;
    TRY(tmpl_args(n, 1, 1, *tab == '0' ? "graphLink" : "tableLink", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    Buf b;
    buf_init(&b, 1 << 20);
    buf_c(&b, "/graph?g0.expr=");
    url_escape_query(&b, s);
    buf_printf(&b, "&g0.tab=%s", tab);
    *ret = tmpl_take(x, &b);
    return OK;
}

static Err fn_url_escape(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "urlQueryEscape", why));
    Str s;
    TRY(tmpl_need_str(a[0], &s, why));
    Buf b;
    buf_init(&b, 1 << 20);
    url_escape_query(&b, s);
    *ret = tmpl_take(x, &b);
    return OK;
}

/* Go's net.SplitHostPort; false where it fails. */
static bool split_host_port(Str s, Str *host, Str *port)
{
    size_t colon = SIZE_MAX;
    for (size_t i = s.len; i-- > 0;)
        if (s.at[i] == ':') {
            colon = i;
            break;
        }
    if (colon == SIZE_MAX)
        return false;
    *port = str_skip(s, colon + 1);
    if (s.at[0] == '[') {
        size_t end = str_find_char(s, ']');
        if (end == SIZE_MAX || end + 1 != colon)
            return false;
        *host = str_sub(s, 1, end);
    } else {
        *host = str_sub(s, 0, colon);
        if (str_find_char(*host, ':') != SIZE_MAX)
            return false;
    }
    return str_find_char(*host, '[') == SIZE_MAX && str_find_char(*host, ']') == SIZE_MAX;
}

static Err fn_strip(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    bool domain = arg != NULL;
    TRY(tmpl_args(n, 1, 1, domain ? "stripDomain" : "stripPort", why));
    Str s, host, port = S("");
    TRY(tmpl_need_str(a[0], &s, why));
    bool split = split_host_port(s, &host, &port);
    if (!split)
        host = s;
    *ret = tv_str(host);
    if (!domain)
        return OK;
    char text[64];
    unsigned char raw[16];
    if (host.len < sizeof text) {
        memcpy(text, host.at, host.len);
        text[host.len] = 0;
        if (inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1) {
            *ret = a[0];
            return OK;
        }
    }
    Str first, rest;
    str_cut(host, '.', &first, &rest);
    *ret = tv_str(port.len ? arena_printf(tmpl_arena(x), "%.*s:%.*s", STR_FMT(first), STR_FMT(port)) : first);
    return OK;
}

/* ---- queries ---- */
typedef struct SampleObject {
    TvObject obj;
    Tv labels;
    f64 value;
} SampleObject;

static bool sample_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const SampleObject *s = o->data;
    if (n)
        return false;
    if (str_eq(name, S("Labels")))
        *ret = s->labels;
    else if (str_eq(name, S("Value")))
        *ret = tv_f64(s->value);
    else
        return false;
    return true;
}

static Tv labels_value(Arena *a, Labels l)
{
    TvPair *at = arena_array(a, TvPair, l.len + 1);
    if (!at)
        return tv_map(NULL, 0);
    for (u32 i = 0; i < l.len; i++)
        at[i] = (TvPair){arena_dup(a, l.at[i].name), tv_str(arena_dup(a, l.at[i].value))};
    return tv_map(at, l.len);
}

static Err fn_query(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "query", why));
    RuleTmplHost *h = tmpl_host(x);
    Str text;
    TRY(tmpl_need_str(a[0], &text, why));
    if (!h->source)
        return why_set(why, E_EXEC, "there is nothing to query here");
    PromQuery q = {.text = text, .start_ms = h->now_ms, .end_ms = h->now_ms};
    PromResult r;
    Arena *arena = tmpl_arena(x);
    TRY(promql_query(h->prom, h->source, &q, arena, &r, why));
    if (r.type != PROM_VECTOR && r.type != PROM_SCALAR)
        return why_set(why, E_EXEC, "query result is not a vector or scalar");
    u32 len = r.type == PROM_SCALAR ? 1 : r.series_len;
    Tv *at = arena_array(arena, Tv, len + 1);
    SampleObject *samples = arena_array(arena, SampleObject, len + 1);
    if (!at || !samples)
        return why_set(why, E_LIMIT, "the result is too large for a template");
    for (u32 i = 0; i < len; i++) {
        SampleObject *s = &samples[i];
        bool scalar = r.type == PROM_SCALAR;
        *s = (SampleObject){.labels = scalar ? tv_map(NULL, 0) : labels_value(arena, r.series[i].labels),
                            .value = scalar ? r.scalar : r.series[i].v[0]};
        s->obj = (TvObject){.type_name = "*template.sample", .data = s, .get = sample_get};
        at[i] = tv_object(&s->obj);
    }
    *ret = tv_list(at, len);
    return OK;
}

static Err fn_first(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, "first", why));
    Tv v = tv_plain(a[0]);
    if (v.kind != TV_LIST)
        return why_set(why, E_EXEC, "wrong type for value; expected template.queryResult; got %s",
                       tv_type_name(a[0]));
    if (!v.u.list.len)
        return why_set(why, E_EXEC, "first() called on vector with no elements");
    *ret = v.u.list.at[0];
    return OK;
}

static Err need_sample(Tv v, const SampleObject **ret, Why *why)
{
    if (v.kind != TV_OBJECT || v.u.obj->get != sample_get)
        return why_set(why, E_EXEC, "wrong type for value; expected *template.sample; got %s",
                       tv_type_name(v));
    *ret = v.u.obj->data;
    return OK;
}

static Err fn_label(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "label", why));
    const SampleObject *s;
    Str name;
    TRY(tmpl_need_str(a[0], &name, why));
    TRY(need_sample(a[1], &s, why));
    if (!tv_map_find(s->labels, name, ret))
        *ret = tv_str(S(""));
    return OK;
}

static Err fn_value(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 1, 1, arg ? "strvalue" : "value", why));
    const SampleObject *s;
    TRY(need_sample(a[0], &s, why));
    if (!arg)
        *ret = tv_f64(s->value);
    else if (!tv_map_find(s->labels, S("__value__"), ret))
        *ret = tv_str(S(""));
    return OK;
}

static Err fn_sort_by_label(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "sortByLabel", why));
    Str name;
    TRY(tmpl_need_str(a[0], &name, why));
    Tv v = tv_plain(a[1]);
    if (v.kind != TV_LIST)
        return why_set(why, E_EXEC, "wrong type for value; expected template.queryResult; got %s",
                       tv_type_name(a[1]));
    u32 len = v.u.list.len;
    Tv *at = arena_array(tmpl_arena(x), Tv, len + 1);
    if (!at)
        return why_set(why, E_LIMIT, "the result is too large for a template");
    for (u32 i = 0; i < len; i++) { /* insertion sort: stable, and lists in messages are short */
        const SampleObject *s, *before;
        Tv key, other;
        TRY(need_sample(v.u.list.at[i], &s, why));
        tv_map_find(s->labels, name, &key);
        u32 k = i;
        for (; k > 0; k--) {
            before = at[k - 1].u.obj->data;
            tv_map_find(before->labels, name, &other);
            Str kt = key.kind == TV_STR ? key.u.s : S(""), ot = other.kind == TV_STR ? other.u.s : S("");
            if (str_cmp(ot, kt) <= 0)
                break;
            at[k] = at[k - 1];
        }
        at[k] = v.u.list.at[i];
    }
    *ret = tv_list(at, len);
    return OK;
}

/* ---- the rest ---- */
static Err fn_args(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    Arena *arena = tmpl_arena(x);
    TvPair *at = arena_array(arena, TvPair, n + 1);
    if (!at)
        return why_set(why, E_LIMIT, "too many arguments");
    for (u32 i = 0; i < n; i++)
        at[i] = (TvPair){arena_printf(arena, "arg%u", i), a[i]};
    *ret = tv_map(at, n);
    ret->u.map.is_any = true;
    return OK;
}

static Err fn_tmpl(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 2, 2, "tmpl", why));
    Str name;
    TRY(tmpl_need_str(a[0], &name, why));
    Buf b;
    buf_init(&b, 1 << 20);
    Err e = tmpl_call(x, name, a[1], &b, why);
    if (e == OK)
        *ret = (Tv){.kind = TV_SAFE_HTML, .u.s = arena_dup(tmpl_arena(x), buf_view(&b))};
    buf_done(&b);
    return e;
}

static Err fn_external_url(TmplExec *x, void *arg, const Tv *a, u32 n, Tv *ret, Why *why)
{
    TRY(tmpl_args(n, 0, 0, arg ? "pathPrefix" : "externalURL", why));
    RuleTmplHost *h = tmpl_host(x);
    *ret = tv_str(h->external_url);
    Url u;
    if (arg)
        *ret = tv_str(url_parse(h->external_url, &u, NULL) == OK ? u.path : S(""));
    return OK;
}

static const TmplFunc funcs[] = {
    {"query", fn_query, NULL},
    {"first", fn_first, NULL},
    {"label", fn_label, NULL},
    {"value", fn_value, NULL},
    {"strvalue", fn_value, "s"},
    {"sortByLabel", fn_sort_by_label, NULL},
    {"args", fn_args, NULL},
    {"tmpl", fn_tmpl, NULL},
    {"safeHtml", fn_safe_html, NULL},
    {"humanize", fn_humanize, NULL},
    {"humanize1024", fn_humanize, "2"},
    {"humanizeDuration", fn_humanize_duration, NULL},
    {"humanizePercentage", fn_humanize_percentage, NULL},
    {"humanizeTimestamp", fn_to_time, "h"},
    {"toTime", fn_to_time, NULL},
    {"toDuration", fn_to_duration, NULL},
    {"now", fn_now, NULL},
    {"parseDuration", fn_parse_duration, NULL},
    {"title", fn_case, "t"},
    {"toUpper", fn_case, "u"},
    {"toLower", fn_case, "l"},
    {"match", fn_match, NULL},
    {"reReplaceAll", fn_replace, NULL},
    {"graphLink", fn_link, "0"},
    {"tableLink", fn_link, "1"},
    {"urlQueryEscape", fn_url_escape, NULL},
    {"stripPort", fn_strip, NULL},
    {"stripDomain", fn_strip, "d"},
    {"externalURL", fn_external_url, NULL},
    {"pathPrefix", fn_external_url, "p"},
};

const TmplFunc *rule_tmpl_func(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(funcs); i++)
        if (strcmp(funcs[i].name, name) == 0)
            return &funcs[i];
    return NULL;
}

/* One set for the process: it holds functions only, every text is parsed by itself. */
static TmplSet *function_set(void)
{
    static TmplSet *set;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!set)
        set = tmpl_set_new(funcs, COUNT_OF(funcs));
    pthread_mutex_unlock(&lock);
    return set;
}

#define DEFS                                                                                                 \
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value "  \
    ":= .Value}}"

static Str with_defs(Arena *arena, Str text)
{
    Str defs = S(DEFS);
    char *at = arena_try(arena, defs.len + text.len + 1);
    if (!at)
        return S("");
    memcpy(at, defs.at, defs.len);
    if (text.len)
        memcpy(at + defs.len, text.at, text.len);
    at[defs.len + text.len] = 0;
    return str_of(at, defs.len + text.len);
}

static bool data_get(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why)
{
    const Tv *fields = o->data;
    static const char *const names[] = {"Labels", "ExternalLabels", "ExternalURL", "Value"};
    for (u32 i = 0; i < 4 && !n; i++)
        if (str_eq(name, str_c(names[i]))) {
            *ret = fields[i];
            return true;
        }
    return false;
}

Str rule_tmpl_expand(const RuleTmplHost *h, Str rule_name, Str text, Labels labels, f64 value, Arena *arena)
{
    if (str_find(text, S("{{")) == SIZE_MAX)
        return arena_dup(arena, text);
    Tv fields[4] = {labels_value(arena, labels), labels_value(arena, h->external_labels),
                    tv_str(h->external_url), tv_f64(value)};
    TvObject data = {.type_name = DATA_TYPE, .data = fields, .get = data_get};
    TmplRun run = {.missing_key_zero = true, .host = (void *)h};
    Str name = arena_printf(arena, "__alert_%.*s", (int)MIN(rule_name.len, 200), rule_name.at);
    Buf out;
    Why why = {0};
    buf_init(&out, 1 << 20);
    Err e = tmpl_exec_named(function_set(), name, with_defs(arena, text), tv_object(&data), &run, arena, &out,
                            &why);
    Str ret;
    if (e == OK)
        ret = arena_dup(arena, buf_view(&out));
    else
        ret = arena_printf(arena, "<error expanding template: error %s template %.*s: %s>",
                           e == E_PARSE ? "parsing" : "executing", STR_FMT(name), why.text);
    buf_done(&out);
    return ret;
}

Err rule_tmpl_check(Str rule_name, Str text, Why *why)
{
    if (str_find(text, S("{{")) == SIZE_MAX)
        return OK;
    Arena arena;
    arena_init(&arena, NULL, 64u << 20);
    Str name = arena_printf(&arena, "__alert_%.*s", (int)MIN(rule_name.len, 200), rule_name.at);
    Err e = tmpl_check(function_set(), name, with_defs(&arena, text), &arena, why);
    arena_done(&arena);
    return e;
}
