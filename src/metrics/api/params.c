/* Parameters as the peer reads them, with its sentences. */
#include "metrics/api/impl.h"

#include <math.h>

static void quote(HttpReq *r, Str s, Str *ret)
{
    Buf b;
    buf_init(&b, 8192);
    go_quote(&b, str_sub(s, 0, str_rune_prefix(s, 500)));
    *ret = arena_dup(r->arena, buf_view(&b));
    buf_done(&b);
}

/* Go's Atoi: NULL, or what is wrong. */
static const char *parse_int(Str s, i64 *ret)
{
    Str digits = s.len > 0 && (s.at[0] == '+' || s.at[0] == '-') ? str_skip(s, 1) : s;
    u64 v;
    if (digits.len == 0)
        return "invalid syntax";
    for (size_t i = 0; i < digits.len; i++)
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return "invalid syntax";
    if (parse_u64(digits, &v) != OK || v > INT64_MAX)
        return "value out of range";
    *ret = s.at[0] == '-' ? -(i64)v : (i64)v;
    return NULL;
}

bool param_limit(HttpReq *r, u64 *ret)
{
    Str s = http_param(r, S("limit")), q;
    i64 v;
    *ret = 0;
    if (s.len == 0)
        return true;
    const char *wrong = parse_int(s, &v);
    if (wrong) {
        quote(r, s, &q);
        api_bad_param(r, "limit", "strconv.Atoi: parsing %.*s: %s", STR_FMT(q), wrong);
        return false;
    }
    if (v < 0) {
        api_bad_param(r, "limit", "limit must be non-negative");
        return false;
    }
    *ret = (u64)v;
    return true;
}

bool param_time(HttpReq *r, const char *name, i64 fallback, i64 *ret_ms)
{
    Str s = http_param(r, str_c(name)), q;
    *ret_ms = fallback;
    if (s.len == 0 || parse_api_time_ms(s, ret_ms) == OK)
        return true;
    quote(r, s, &q);
    api_bad_param(r, name, "invalid time value for '%s': cannot parse %.*s to a valid timestamp", name,
                  STR_FMT(q));
    return false;
}

bool param_range(HttpReq *r, i64 *ret_start, i64 *ret_end)
{
    return param_time(r, "start", API_TIME_MIN, ret_start) && param_time(r, "end", API_TIME_MAX, ret_end);
}

Err parse_api_duration_ns(Str s, i64 *ret_ns, Why *why)
{
    f64 v;
    i64 ms;
    Buf b;
    if (parse_f64(s, &v) == OK && !isnan(v)) {
        f64 ns = v * 1e9;
        if (ns < 9223372036854775808.0 && ns > -9223372036854775808.0) {
            *ret_ns = (i64)ns;
            return OK;
        }
        v = INFINITY;
    } else if (parse_duration_ms(s, &ms, NULL) == OK) {
        *ret_ns = ms * NS_PER_MS;
        return OK;
    } else {
        v = 0;
    }
    buf_init(&b, 900);
    go_quote(&b, str_sub(s, 0, str_rune_prefix(s, 100)));
    why_set(why, E_INVALID, "cannot parse %s to a valid duration%s", buf_cstr(&b),
            isinf(v) ? ". It overflows int64" : "");
    buf_done(&b);
    return E_INVALID;
}

/* ---- match[] ---- */

static void matchers_done(Matchers m)
{
    for (u32 i = 0; i < m.len; i++)
        matcher_done((Matcher *)&m.at[i]); /* ours: made by the parser, in a mutable array */
}

void matcher_sets_done(MatcherSets *s)
{
    for (u32 i = 0; i < s->len; i++)
        matchers_done(s->at[i]);
    s->len = 0;
}

static bool matches_everything(Matchers m)
{
    for (u32 i = 0; i < m.len; i++)
        if (!matcher_matches(&m.at[i], S("")))
            return false;
    return true;
}

Err param_matchers(HttpReq *r, bool need_non_empty, MatcherSets *ret, Why *why)
{
    u32 n = http_params_all(r, S("match[]"), NULL, 0);
    Str *texts = arena_array(r->arena, Str, n + 1);
    *ret = (MatcherSets){arena_array(r->arena, Matchers, n + 1), 0};
    if (!texts || !ret->at)
        return why_set(why, E_LIMIT, "too many match[] parameters");
    http_params_all(r, S("match[]"), texts, n);
    for (u32 i = 0; i < n; i++) {
        Err e = promql_parse_selector(texts[i], r->arena, &ret->at[i], why);
        if (e != OK) {
            matcher_sets_done(ret);
            return e;
        }
        ret->len++;
    }
    for (u32 i = 0; need_non_empty && i < n; i++)
        if (matches_everything(ret->at[i])) {
            matcher_sets_done(ret);
            return why_set(why, E_INVALID, "match[] must contain at least one non-empty matcher");
        }
    return OK;
}
