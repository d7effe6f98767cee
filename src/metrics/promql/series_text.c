/* Series as scripts and rule tests write them. */
#include <math.h>

#include "metrics/promql/memsource.h"

#define POINTS_MAX 1000000u

typedef struct Reader {
    Str rest;
    Arena *arena;
    SeriesPoint *at;
    u32 n, cap;
    Why *why;
} Reader;

static Err fail(Reader *r, const char *what)
{
    Str near = str_sub(r->rest, 0, 20);
    return why_set(r->why, E_PARSE, "%s in the points of a series, at \"%.*s\"", what, STR_FMT(near));
}

static char peek(const Reader *r)
{
    return r->rest.len ? r->rest.at[0] : 0;
}
static void skip(Reader *r, size_t n)
{
    r->rest = str_skip(r->rest, n);
}
static void skip_spaces(Reader *r)
{
    while (r->rest.len && strchr(" \t\r\n", r->rest.at[0]))
        skip(r, 1);
}
static bool accept(Reader *r, const char *word)
{
    if (!str_starts(r->rest, str_c(word)))
        return false;
    skip(r, strlen(word));
    return true;
}

static Err push(Reader *r, SeriesPoint p)
{
    if (r->n == POINTS_MAX)
        return fail(r, "more than a million points");
    if (r->n == r->cap) {
        u32 cap = MAX(r->cap * 2, 64);
        SeriesPoint *at = arena_array(r->arena, SeriesPoint, cap);
        if (!at)
            return fail(r, "too many points for memory");
        if (r->n)
            memcpy(at, r->at, r->n * sizeof *at);
        r->at = at;
        r->cap = cap;
    }
    r->at[r->n++] = p;
    return OK;
}

/* ---- numbers ---- */

static size_t number_len(Str s)
{
    size_t i = s.len && (s.at[0] == '-' || s.at[0] == '+');
    Str word = str_skip(s, i);
    if (word.len >= 3 &&
        (str_eq_nocase(str_sub(word, 0, 3), S("inf")) || str_eq_nocase(str_sub(word, 0, 3), S("nan"))))
        return i + 3;
    size_t start = i;
    while (i < s.len && ((s.at[i] >= '0' && s.at[i] <= '9') || s.at[i] == '.'))
        i++;
    if (i == start)
        return 0;
    if (i < s.len && (s.at[i] == 'e' || s.at[i] == 'E')) {
        size_t k = i + 1 + (i + 1 < s.len && (s.at[i + 1] == '-' || s.at[i + 1] == '+'));
        size_t digits = k;
        while (k < s.len && s.at[k] >= '0' && s.at[k] <= '9')
            k++;
        if (k > digits)
            i = k;
    }
    return i;
}

static Err read_number(Reader *r, f64 *ret)
{
    size_t n = number_len(r->rest);
    if (n == 0 || parse_f64(str_sub(r->rest, 0, n), ret) != OK)
        return fail(r, "a number expected");
    skip(r, n);
    return OK;
}

static Err read_times(Reader *r, u32 *ret)
{
    u64 n = 0;
    size_t digits = 0;
    for (; digits < r->rest.len && r->rest.at[digits] >= '0' && r->rest.at[digits] <= '9'; digits++)
        n = MIN(n * 10 + (u64)(r->rest.at[digits] - '0'), POINTS_MAX + 1);
    if (digits == 0 || n > POINTS_MAX)
        return fail(r, digits ? "too many repetitions" : "a number of repetitions expected");
    skip(r, digits);
    *ret = (u32)n;
    return OK;
}

/* ---- histograms: {{key:value ...}} ---- */

static Err read_list(Reader *r, f64 **ret, u32 *ret_n)
{
    u32 cap = 0, n = 0;
    f64 *at = NULL;
    if (!accept(r, "["))
        return fail(r, "a list in [] expected");
    for (;;) {
        skip_spaces(r);
        if (accept(r, "]"))
            break;
        if (n == cap) {
            cap = MAX(cap * 2, 16);
            f64 *grown = arena_array(r->arena, f64, cap);
            if (!grown || n > 100000)
                return fail(r, "too many buckets");
            if (n)
                memcpy(grown, at, n * sizeof *at);
            at = grown;
        }
        TRY(read_number(r, &at[n++]));
    }
    *ret = at;
    *ret_n = n;
    return OK;
}

static void set_span(Reader *r, i32 offset, u32 n, HistSpan **ret, u32 *ret_len)
{
    if (!n)
        return;
    *ret = arena_new(r->arena, HistSpan);
    **ret = (HistSpan){offset, n};
    *ret_len = 1;
}

static Err read_hint(Reader *r, Histogram *h)
{
    static const char *const names[] = {"unknown", "reset", "not_reset", "gauge"};
    for (u32 i = 0; i < COUNT_OF(names); i++) {
        if (accept(r, names[i])) {
            h->hint = (u8)i;
            return OK;
        }
    }
    return fail(r, "counter_reset_hint must be unknown, reset, not_reset or gauge");
}

static Err read_field(Reader *r, Str key, Histogram *h, i32 offset[2], bool *has_hint)
{
    f64 v = 0;
    if (str_eq(key, S("buckets")))
        return read_list(r, &h->pos, &h->pos_len);
    if (str_eq(key, S("n_buckets")))
        return read_list(r, &h->neg, &h->neg_len);
    if (str_eq(key, S("custom_values")))
        return read_list(r, &h->custom, &h->custom_len);
    if (str_eq(key, S("counter_reset_hint"))) {
        *has_hint = true;
        return read_hint(r, h);
    }
    TRY(read_number(r, &v));
    if (str_eq(key, S("schema"))) {
        h->schema = fabs(v) < 1000 ? (i32)v : 1000;
    } else if (str_eq(key, S("sum"))) {
        h->sum = v;
    } else if (str_eq(key, S("count"))) {
        h->count = v;
    } else if (str_eq(key, S("z_bucket"))) {
        h->zero_count = v;
    } else if (str_eq(key, S("z_bucket_w"))) {
        h->zero_threshold = v;
    } else if (str_eq(key, S("offset")) || str_eq(key, S("n_offset"))) {
        offset[key.at[0] == 'n'] = fabs(v) < 1e6 ? (i32)v : 0;
    } else {
        return why_set(r->why, E_PARSE, "bad histogram descriptor found: \"%.*s\"", STR_FMT(key));
    }
    return OK;
}

static Err read_histogram(Reader *r, Histogram **ret, bool *has_hint)
{
    Histogram *h = arena_new(r->arena, Histogram);
    i32 offset[2] = {0, 0};
    *has_hint = false;
    if (!accept(r, "{{"))
        return fail(r, "{{ expected");
    for (;;) {
        skip_spaces(r);
        if (accept(r, "}}"))
            break;
        size_t n = str_find_char(r->rest, ':');
        if (n == SIZE_MAX || n > 30)
            return fail(r, "a histogram field expected");
        Str key = str_sub(r->rest, 0, n);
        skip(r, n + 1);
        TRY(read_field(r, key, h, offset, has_hint));
    }
    set_span(r, offset[0], h->pos_len, &h->pos_spans, &h->pos_spans_len);
    set_span(r, offset[1], h->neg_len, &h->neg_spans, &h->neg_spans_len);
    bool is_custom = h->schema == HIST_SCHEMA_CUSTOM;
    if (!is_custom && (h->schema < -4 || h->schema > 8))
        return fail(r, "a histogram schema between -4 and 8, or -53, expected");
    if (is_custom && (offset[0] < 0 || (u64)offset[0] + h->pos_len > (u64)h->custom_len + 1))
        return fail(r, "more buckets than custom_values");
    *ret = h;
    return OK;
}

/* ---- points ---- */

static Err repeat(Reader *r, SeriesPoint p, u32 times)
{
    for (u32 i = 0; i < times; i++)
        TRY(push(r, p));
    return OK;
}

static Err end_of_point(Reader *r)
{
    return r->rest.len == 0 || strchr(" \t\r\n", r->rest.at[0]) ? OK : fail(r, "a space expected");
}

static Err float_points(Reader *r)
{
    f64 v, step;
    u32 times;
    TRY(read_number(r, &v));
    if (accept(r, "x")) {
        TRY(read_times(r, &times));
        return repeat(r, (SeriesPoint){.v = v}, times + 1);
    }
    if (peek(r) != '+' && peek(r) != '-')
        return push(r, (SeriesPoint){.v = v});
    TRY(read_number(r, &step));
    if (!accept(r, "x"))
        return fail(r, "x expected");
    TRY(read_times(r, &times));
    for (u32 i = 0; i <= times; i++) {
        TRY(push(r, (SeriesPoint){.v = v}));
        v += step;
    }
    return OK;
}

static Err histogram_points(Reader *r)
{
    Histogram *h, *step;
    bool has_hint, step_has_hint;
    u32 times;
    TRY(read_histogram(r, &h, &has_hint));
    SeriesPoint p = {.h = h, .has_hint = has_hint};
    if (accept(r, "x")) {
        TRY(read_times(r, &times));
        return repeat(r, p, times + 1);
    }
    bool adds = peek(r) == '+';
    if (!adds && peek(r) != '-')
        return push(r, p);
    skip(r, 1);
    TRY(read_histogram(r, &step, &step_has_hint));
    if (!accept(r, "x"))
        return fail(r, "x expected");
    TRY(read_times(r, &times));
    TRY(push(r, p));
    for (u32 i = 0; i < times; i++) {
        Histogram *next = histogram_dup(r->arena, p.h);
        if (next->schema > step->schema)
            return why_set(r->why, E_PARSE, "error combining histograms: cannot merge from schema %d to %d",
                           step->schema, next->schema);
        u32 flags = adds ? histogram_add(r->arena, next, step) : histogram_sub(r->arena, next, step);
        if ((flags & HIST_INCOMPATIBLE) || arena_over(r->arena))
            return fail(r, "histograms that do not fit together");
        p.h = next;
        TRY(push(r, p));
    }
    return OK;
}

static Err read_point(Reader *r)
{
    if (str_starts(r->rest, S("{{")))
        return histogram_points(r);
    if (accept(r, "stale"))
        return push(r, (SeriesPoint){.v = stale_nan()});
    if (accept(r, "_")) {
        u32 times = 1;
        if (accept(r, "x"))
            TRY(read_times(r, &times));
        return repeat(r, (SeriesPoint){.is_omitted = true}, times);
    }
    return float_points(r);
}

Err prom_parse_points(Str text, Arena *arena, SeriesPoint **ret, u32 *ret_len, Why *why)
{
    Reader r = {.rest = text, .arena = arena, .why = why};
    for (skip_spaces(&r); r.rest.len; skip_spaces(&r)) {
        TRY(read_point(&r));
        TRY(end_of_point(&r));
    }
    *ret = r.at;
    *ret_len = r.n;
    return OK;
}

/* Where the metric ends: after its braces, or before the first space. */
static size_t metric_len(Str s)
{
    size_t i = 0;
    while (i < s.len && s.at[i] != '{' && s.at[i] != ' ' && s.at[i] != '\t')
        i++;
    size_t brace = i;
    while (brace < s.len && (s.at[brace] == ' ' || s.at[brace] == '\t'))
        brace++;
    if (brace >= s.len || s.at[brace] != '{' || (brace + 1 < s.len && s.at[brace + 1] == '{'))
        return i;
    char quote = 0;
    for (i = brace + 1; i < s.len; i++) {
        char c = s.at[i];
        if (quote && c == '\\' && quote != '`')
            i++;
        else if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'' || c == '`')
            quote = c;
        else if (c == '}')
            return i + 1;
    }
    return s.len;
}

Err prom_parse_series(Str text, Arena *arena, Labels *ret_labels, SeriesPoint **ret, u32 *ret_len, Why *why)
{
    size_t n = metric_len(text);
    TRY(promql_parse_metric(str_sub(text, 0, n), arena, ret_labels, why));
    return prom_parse_points(str_skip(text, n), arena, ret, ret_len, why);
}
