/* Runs scripts in the language of promqltest (load, clear, eval with expectations) against the engine over a MemSource.
 *
 * Every instant query is also run with @ at its time put on all selectors, evaluated at other times, and as the middle step of
 * a range query, as the reference runner does. Set PROMQLTEST_VERBOSE to see each failure.
 */
#pragma once
#include <ctype.h>
#include <math.h>

#include "metrics/promql/func.h"
#include "metrics/promql/memsource.h"
#include "test.h"

#define SCRIPT_FEATURES                                                                                      \
    (PROMQL_EXPERIMENTAL_FUNCTIONS | PROMQL_DURATION_EXPR | PROMQL_EXTENDED_RANGE_SELECTORS |                \
     PROMQL_BINOP_FILL | PROMQL_DELAYED_NAME_REMOVAL | PROMQL_USE_START_TIMESTAMPS)

typedef struct Expect {
    enum { EXPECT_FAIL, EXPECT_WARN, EXPECT_NO_WARN, EXPECT_INFO, EXPECT_NO_INFO, EXPECT_ORDERED } kind;
    Str msg;
    Regex *re; /* NULL with an empty msg: anything */
    bool has_msg;
} Expect;
typedef struct Wanted {
    Labels labels;
    SeriesPoint *points;
    u32 n;
    bool is_seen;
} Wanted;
typedef struct ScriptEval {
    Str expr;
    u32 line;
    bool is_range, no_range_check, is_scalar, has_string;
    i64 start, end, step;
    f64 scalar;
    Str string;
    Expect expects[32];
    u32 expects_len;
    Wanted *wanted;
    u32 wanted_len, wanted_cap;
} ScriptEval;

typedef struct Script {
    const char *file;
    Str *lines;
    u32 lines_len, at;
    Arena arena;
    MemSource *source;
    PromEngineConfig config;
    u32 passed, total;
    char reason[4096];
    bool broken; /* the script itself could not be read */
} Script;

static bool script_fail(Script *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool script_fail(Script *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->reason, sizeof s->reason, fmt, ap);
    va_end(ap);
    return false;
}

static Str word(Str *rest)
{
    if (!rest->at)
        return (Str){0};
    *rest = str_trim(*rest);
    size_t n = 0;
    while (n < rest->len && !isspace((unsigned char)rest->at[n]))
        n++;
    Str w = str_sub(*rest, 0, n);
    *rest = str_trim(str_skip(*rest, n));
    return w;
}

static bool duration(Str s, i64 *ret)
{
    return parse_duration_ms(s, ret, NULL) == OK;
}

/* ---- load ---- */

typedef struct Loaded {
    Labels labels;
    SeriesPoint *points;
    i64 *st;
    u32 n, st_n, line;
} Loaded;

static bool st_offset(Str *s, i64 *ret)
{
    bool negative = s->len && s->at[0] == '-';
    if (s->len && (s->at[0] == '-' || s->at[0] == '+'))
        *s = str_skip(*s, 1);
    size_t n = 0;
    while (n < s->len && isdigit((unsigned char)s->at[n]))
        n++;
    while (n < s->len && isalpha((unsigned char)s->at[n]) && s->at[n] != 'x')
        n++;
    Str d = str_sub(*s, 0, n);
    *s = str_skip(*s, n);
    if (!duration(d, ret))
        return false;
    if (negative)
        *ret = -*ret;
    return true;
}

/* Start timestamps: offsets from the sample's time, INT64_MAX where there is none. */
static bool parse_st(Script *s, Str text, i64 **ret, u32 *ret_n)
{
    VEC(i64) v = {0};
    while (!str_empty(text)) {
        Str w = word(&text);
        u64 times = 0;
        if (str_starts(w, S("_"))) {
            times = 1;
            if (w.len > 1 && parse_u64(str_skip(w, 2), &times) != OK)
                return false;
            for (u64 i = 0; i < times; i++)
                vec_push(&v, INT64_MAX);
            continue;
        }
        i64 at, step = 0;
        if (!st_offset(&w, &at))
            return false;
        if (w.len && w.at[0] != 'x' && !st_offset(&w, &step))
            return false;
        if (w.len && (w.at[0] != 'x' || parse_u64(str_skip(w, 1), &times) != OK))
            return false;
        for (u64 i = 0; i <= times; i++, at += step)
            vec_push(&v, at);
    }
    *ret = arena_array(&s->arena, i64, v.len + 1);
    memcpy(*ret, v.at, v.len * sizeof(i64));
    *ret_n = (u32)v.len;
    vec_done(&v);
    return true;
}

static Labels relabelled(Script *s, Labels l, Str name)
{
    LabelsBuilder b;
    lb_init(&b, &s->arena, l);
    lb_set(&b, LABEL_NAME, name);
    lb_del(&b, S("le"));
    return lb_build(&b);
}

typedef struct Classic {
    Labels labels;
    u32 points;
    struct ClassicAt {
        f64 le[64], count_at[64], count, sum;
        u32 n;
        bool has_count, any;
    } *at;
} Classic;

static void classic_bucket(struct ClassicAt *c, f64 le, f64 count)
{
    u32 i = c->n;
    for (u32 k = 0; k < c->n; k++)
        if (c->le[k] == le)
            return;
    while (i > 0 && c->le[i - 1] > le) {
        c->le[i] = c->le[i - 1];
        c->count_at[i] = c->count_at[i - 1];
        i--;
    }
    c->le[i] = le;
    c->count_at[i] = count;
    c->n++;
}

static void add_custom_histogram(Script *s, Labels l, i64 t, struct ClassicAt *c)
{
    if (!c->has_count && c->n)
        c->count = c->count_at[c->n - 1];
    if (c->n == 0 || c->le[c->n - 1] != INFINITY)
        classic_bucket(c, INFINITY, c->count);
    Histogram *h = arena_new(&s->arena, Histogram);
    h->schema = HIST_SCHEMA_CUSTOM;
    h->count = c->count;
    h->sum = c->sum;
    h->custom_len = c->n - 1;
    h->custom = arena_array(&s->arena, f64, c->n);
    h->pos = arena_array(&s->arena, f64, c->n);
    h->pos_len = c->n;
    h->pos_spans = arena_new(&s->arena, HistSpan);
    *h->pos_spans = (HistSpan){0, c->n};
    h->pos_spans_len = 1;
    for (u32 i = 0; i < c->n; i++) {
        h->pos[i] = c->count_at[i] - (i ? c->count_at[i - 1] : 0);
        if (i < h->custom_len)
            h->custom[i] = c->le[i];
    }
    histogram_compact(&s->arena, h);
    Why why;
    assert_ok(mem_source_add(s->source, l, t, 0, h, 0, &why), &why);
}

/* load_with_nhcb: classic histograms are stored as native ones with custom buckets too. */
static void load_custom_histograms(Script *s, i64 step, const Loaded *loaded, size_t n)
{
    VEC(Classic) all = {0};
    for (size_t i = 0; i < n; i++) {
        Str name = labels_get(loaded[i].labels, LABEL_NAME);
        const char *suffixes[] = {"_bucket", "_count", "_sum"};
        int kind = -1;
        for (int k = 0; k < 3; k++)
            if (str_ends(name, str_c(suffixes[k])))
                kind = k;
        f64 le = 0;
        if (kind < 0 ||
            (kind == 0 && (parse_f64(labels_get(loaded[i].labels, S("le")), &le) != OK || isnan(le))))
            continue;
        Labels l = relabelled(s, loaded[i].labels, str_sub(name, 0, name.len - strlen(suffixes[kind])));
        Classic *c = NULL;
        for (size_t k = 0; k < all.len; k++)
            if (labels_eq(all.at[k].labels, l))
                c = &all.at[k];
        if (!c) {
            vec_push(&all, (Classic){.labels = l});
            c = &all.at[all.len - 1];
        }
        if (c->points < loaded[i].n) {
            c->at = mem_realloc(c->at, loaded[i].n * sizeof *c->at);
            memset(c->at + c->points, 0, (loaded[i].n - c->points) * sizeof *c->at);
            c->points = loaded[i].n;
        }
        for (u32 k = 0; k < loaded[i].n; k++) {
            const SeriesPoint *p = &loaded[i].points[k];
            if (p->is_omitted || p->h)
                continue;
            c->at[k].any = true;
            if (kind == 0)
                classic_bucket(&c->at[k], le, p->v);
            else if (kind == 1)
                c->at[k].count = p->v, c->at[k].has_count = true;
            else
                c->at[k].sum = p->v;
        }
    }
    for (size_t i = 0; i < all.len; i++) {
        for (u32 k = 0; k < all.at[i].points; k++)
            if (all.at[i].at[k].any)
                add_custom_histogram(s, all.at[i].labels, (i64)k * step, &all.at[i].at[k]);
        mem_free(all.at[i].at);
    }
    vec_done(&all);
}

static bool run_load(Script *s, Str line)
{
    Str rest = line;
    bool with_nhcb = str_eq_nocase(word(&rest), S("load_with_nhcb"));
    i64 step;
    if (!duration(rest, &step))
        return script_fail(s, "line %u: bad step", s->at);
    VEC(Loaded) loaded = {0};
    i64 *st = NULL;
    u32 st_n = 0;
    bool ok = true;
    Why why;
    while (ok && s->at < s->lines_len && !str_empty(s->lines[s->at])) {
        Str def = s->lines[s->at++];
        Str first = def;
        if (str_ends(word(&first), S("@st"))) {
            ok = parse_st(s, first, &st, &st_n);
            continue;
        }
        Loaded l = {.st = st, .st_n = st_n, .line = s->at};
        if (prom_parse_series(def, &s->arena, &l.labels, &l.points, &l.n, &why) != OK) {
            ok = script_fail(s, "line %u: %s", s->at, why.text);
            break;
        }
        /* Written twice, the second definition counts. */
        size_t at = 0;
        while (at < loaded.len && !labels_eq(loaded.at[at].labels, l.labels))
            at++;
        if (at < loaded.len)
            loaded.at[at] = l;
        else
            vec_push(&loaded, l);
        st = NULL;
    }
    for (size_t k = 0; k < loaded.len && ok; k++) {
        const Loaded *l = &loaded.at[k];
        for (u32 i = 0; i < l->n && ok; i++) {
            const SeriesPoint *p = &l->points[i];
            i64 t = (i64)i * step, start = l->st && i < l->st_n && l->st[i] != INT64_MAX ? t + l->st[i] : 0;
            if (!p->is_omitted && mem_source_add(s->source, l->labels, t, p->v, p->h, start, &why) != OK)
                ok = script_fail(s, "line %u: %s", l->line, why.text);
        }
    }
    if (ok && with_nhcb)
        load_custom_histograms(s, step, loaded.at, loaded.len);
    vec_done(&loaded);
    return ok;
}

/* ---- reading an eval ---- */

static bool parse_expect(Script *s, ScriptEval *ev, Str rest)
{
    static const char *const kinds[] = {"fail", "warn", "no_warn", "info", "no_info", "ordered"};
    Str kind = word(&rest);
    Expect e = {0};
    u32 k = 0;
    while (k < COUNT_OF(kinds) && !str_eq(kind, str_c(kinds[k])))
        k++;
    if (k == COUNT_OF(kinds) || ev->expects_len == COUNT_OF(ev->expects))
        return script_fail(s, "line %u: bad expect", s->at);
    e.kind = k;
    if (str_starts(rest, S("msg:"))) {
        e.msg = str_trim(str_skip(rest, 4));
        e.has_msg = true;
    } else if (str_starts(rest, S("regex:"))) {
        Why why;
        if (regex_new(str_trim(str_skip(rest, 6)), 0, &e.re, &why) != OK)
            return script_fail(s, "line %u: %s", s->at, why.text);
    }
    ev->expects[ev->expects_len++] = e;
    return true;
}

static Node *parse_expr(Script *s, Str expr, Why *why)
{
    Node *n;
    return promql_parse(expr, s->config.features, &s->arena, &n, NULL, why) == OK ? n : NULL;
}

static bool parse_expect_line(Script *s, ScriptEval *ev, Str def, bool *ret_handled)
{
    *ret_handled = true;
    Str rest = def;
    if (str_starts(def, S("expected_fail_message")) || str_starts(def, S("expected_fail_regexp"))) {
        bool is_msg = str_starts(def, S("expected_fail_message"));
        word(&rest);
        Str text = arena_printf(&s->arena, "fail %s:%.*s", is_msg ? "msg" : "regex", STR_FMT(rest));
        return parse_expect(s, ev, text);
    }
    if (str_starts(def, S("expect range vector"))) {
        rest = str_skip(def, strlen("expect range vector"));
        word(&rest);
        bool ok = duration(word(&rest), &ev->start);
        word(&rest);
        ok &= duration(word(&rest), &ev->end);
        word(&rest);
        ev->no_range_check = true;
        return (ok && duration(word(&rest), &ev->step)) || script_fail(s, "line %u: bad range vector", s->at);
    }
    if (str_starts(def, S("expect string"))) {
        Node *n = parse_expr(s, str_trim(str_skip(def, 13)), NULL);
        if (!n || n->kind != NODE_STRING)
            return script_fail(s, "line %u: bad string", s->at);
        ev->has_string = ev->no_range_check = true;
        ev->string = n->u.string;
        return true;
    }
    if (str_eq(word(&rest), S("expect")))
        return parse_expect(s, ev, rest);
    *ret_handled = false;
    return true;
}

static bool parse_wanted(Script *s, ScriptEval *ev, Str def)
{
    f64 number;
    i64 whole;
    if (parse_f64(def, &number) == OK || (parse_i64(def, &whole) == OK && (number = whole, true)) ||
        (str_starts(def, S("0x")) && (number = (f64)strtoll(def.at, NULL, 16), true))) {
        ev->is_scalar = true;
        ev->scalar = number;
        return true;
    }
    Wanted w = {0};
    Why why;
    if (prom_parse_series(def, &s->arena, &w.labels, &w.points, &w.n, &why) != OK)
        return script_fail(s, "line %u: %s", s->at, why.text);
    if (ev->wanted_len == ev->wanted_cap) {
        ev->wanted_cap = MAX(ev->wanted_cap * 2, 16);
        ev->wanted = mem_realloc(ev->wanted, ev->wanted_cap * sizeof *ev->wanted);
    }
    ev->wanted[ev->wanted_len++] = w;
    return true;
}

static bool parse_eval(Script *s, Str line, ScriptEval *ev)
{
    Str rest = line, cmd = word(&rest), kind = word(&rest);
    ev->line = s->at;
    if (cmd.len > 5)
        parse_expect(s, ev, str_skip(cmd, 5));
    bool ok;
    if (str_eq(kind, S("instant"))) {
        Str peek = rest;
        ok = str_eq(word(&peek), S("at"));
        if (ok) {
            rest = peek;
            ok = duration(word(&rest), &ev->start);
        }
        ev->end = ev->start;
    } else {
        ev->is_range = true;
        word(&rest);
        ok = duration(word(&rest), &ev->start);
        word(&rest);
        ok &= duration(word(&rest), &ev->end);
        word(&rest);
        ok &= duration(word(&rest), &ev->step);
    }
    if (!ok)
        return script_fail(s, "line %u: bad eval", s->at);
    ev->expr = rest;
    while (s->at < s->lines_len && !str_empty(s->lines[s->at])) {
        Str def = s->lines[s->at++];
        bool handled;
        if (!parse_expect_line(s, ev, def, &handled))
            return false;
        if (!handled && !parse_wanted(s, ev, def))
            return false;
    }
    return true;
}

/* ---- comparing ---- */

static bool almost(f64 a, f64 b)
{
    if (is_stale(a) || is_stale(b))
        return is_stale(a) && is_stale(b);
    if ((isnan(a) && isnan(b)) || a == b)
        return true;
    f64 sum = fabs(a) + fabs(b), diff = fabs(a - b);
    if (a == 0 || b == 0 || sum < 0x1p-1022)
        return diff < 1e-6 * 0x1p-1022;
    return diff / fmin(sum, 0x1.fffffffffffffp1023) < 1e-6;
}

static bool almost_side(const Histogram *a, const Histogram *b, bool positive)
{
    HistCursor ca = histogram_side(a, positive, false), cb = histogram_side(b, positive, false);
    for (;;) {
        i32 ia, ib;
        f64 va = 0, vb = 0;
        bool ma, mb;
        while ((ma = histogram_side_next(&ca, &ia, &va)) && va == 0) {
        }
        while ((mb = histogram_side_next(&cb, &ib, &vb)) && vb == 0) {
        }
        if (!ma || !mb)
            return ma == mb;
        if (ia != ib || !almost(va, vb))
            return false;
    }
}

static bool almost_histogram(const Histogram *want, const Histogram *got, bool with_hint)
{
    if (want->schema != got->schema || !almost(want->count, got->count) || !almost(want->sum, got->sum) ||
        want->zero_threshold != got->zero_threshold || !almost(want->zero_count, got->zero_count) ||
        want->custom_len != got->custom_len || (with_hint && want->hint != got->hint))
        return false;
    for (u32 i = 0; i < want->custom_len; i++)
        if (want->custom[i] != got->custom[i])
            return false;
    return almost_side(want, got, true) && almost_side(want, got, false);
}

static const char *show(Script *s, f64 v, const Histogram *h)
{
    Buf b;
    buf_init(&b, 100000);
    if (h)
        histogram_print_test(&b, h);
    else
        print_f64_go(&b, v, 'g', -1);
    Str r = arena_dup(&s->arena, buf_view(&b));
    buf_done(&b);
    return r.at;
}

static const char *show_labels(Script *s, Labels l)
{
    Buf b;
    buf_init(&b, 100000);
    labels_print(&b, l);
    Str r = arena_dup(&s->arena, buf_view(&b));
    buf_done(&b);
    return r.at;
}

static bool same_point(Script *s, const SeriesPoint *want, f64 v, const Histogram *h, Labels l)
{
    bool same = (want->h != NULL) == (h != NULL) &&
                (h ? almost_histogram(want->h, h, want->has_hint) : almost(want->v, v));
    return same ||
           script_fail(s, "%s: want %s, got %s", show_labels(s, l), show(s, want->v, want->h), show(s, v, h));
}

static Wanted *find_wanted(ScriptEval *ev, Labels l, u32 *ret_pos)
{
    for (u32 i = ev->wanted_len; i-- > 0;) {
        if (labels_eq(ev->wanted[i].labels, l)) {
            *ret_pos = i;
            return &ev->wanted[i];
        }
    }
    return NULL;
}

static bool has_expect(const ScriptEval *ev, int kind)
{
    for (u32 i = 0; i < ev->expects_len; i++)
        if ((int)ev->expects[i].kind == kind)
            return true;
    return false;
}

static bool all_seen(Script *s, ScriptEval *ev)
{
    for (u32 i = 0; i < ev->wanted_len; i++)
        if (!ev->wanted[i].is_seen)
            return script_fail(s, "expected %s not found", show_labels(s, ev->wanted[i].labels));
    return true;
}

static bool compare_vector(Script *s, ScriptEval *ev, const PromSeries *series, u32 n, i64 t)
{
    u32 pos = 0, seen = 0;
    for (u32 i = 0; i < ev->wanted_len; i++)
        ev->wanted[i].is_seen = false;
    if (ev->is_scalar)
        return script_fail(s, "expected a scalar, got a vector");
    for (u32 i = 0; i < n; i++) {
        for (u32 k = 0; k < series[i].n; k++) {
            if (series[i].t[k] != t)
                continue;
            const Histogram *h = series[i].h ? series[i].h[k] : NULL;
            Wanted *w = find_wanted(ev, series[i].labels, &pos);
            if (!w)
                return script_fail(s, "unexpected %s = %s", show_labels(s, series[i].labels),
                                   show(s, series[i].v[k], h));
            if (has_expect(ev, EXPECT_ORDERED) && pos != seen)
                return script_fail(s, "expected %s at place %u, was at %u", show_labels(s, w->labels),
                                   pos + 1, seen + 1);
            seen++;
            w->is_seen = true;
            if (!same_point(s, &w->points[0], series[i].v[k], h, w->labels))
                return false;
        }
    }
    return all_seen(s, ev);
}

static bool compare_matrix(Script *s, ScriptEval *ev, const PromResult *r)
{
    u32 pos;
    for (u32 i = 0; i < ev->wanted_len; i++)
        ev->wanted[i].is_seen = false;
    if (ev->is_scalar)
        return script_fail(s, "expected a scalar, got a matrix");
    for (u32 i = 0; i < r->series_len; i++) {
        const PromSeries *got = &r->series[i];
        if (i && labels_cmp(r->series[i - 1].labels, got->labels) > 0)
            return script_fail(s, "the matrix is not sorted");
        Wanted *w = find_wanted(ev, got->labels, &pos);
        if (!w)
            return script_fail(s, "unexpected %s with %u points, first %s", show_labels(s, got->labels),
                               got->n, show(s, got->v[0], got->h ? got->h[0] : NULL));
        w->is_seen = true;
        u32 k = 0;
        for (u32 p = 0; p < w->n; p++) {
            if (w->points[p].is_omitted)
                continue;
            i64 t = ev->start + (i64)p * ev->step;
            if (t > ev->end)
                return script_fail(s, "%s: more points expected than there are steps",
                                   show_labels(s, got->labels));
            if (k >= got->n || got->t[k] != t)
                return script_fail(s, "%s: no point at %lld, %u points in all, next at %lld",
                                   show_labels(s, got->labels), (long long)t, got->n,
                                   k < got->n ? (long long)got->t[k] : -1);
            if (!same_point(s, &w->points[p], got->v[k], got->h ? got->h[k] : NULL, got->labels)) {
                size_t len = strlen(s->reason);
                snprintf(s->reason + len, sizeof s->reason - len, " at %lld", (long long)t);
                return false;
            }
            k++;
        }
        if (k < got->n)
            return script_fail(s, "%s: unexpected point at %lld: %s", show_labels(s, got->labels),
                               (long long)got->t[k], show(s, got->v[k], got->h ? got->h[k] : NULL));
    }
    return all_seen(s, ev);
}

static bool compare(Script *s, ScriptEval *ev, const PromResult *r)
{
    switch (r->type) {
    case PROM_SCALAR:
        if (!ev->is_scalar)
            return script_fail(s, "got a scalar");
        return almost(ev->scalar, r->scalar) || script_fail(s, "want %g, got %g", ev->scalar, r->scalar);
    case PROM_STRING:
        return str_eq(ev->string, r->string) || script_fail(s, "got the string %.*s", STR_FMT(r->string));
    case PROM_MATRIX:
        return compare_matrix(s, ev, r);
    default:
        return compare_vector(s, ev, r->series, r->series_len, r->t);
    }
}

static bool matches(const Expect *e, Str text)
{
    return e->re ? regex_find(e->re, text, 0, (Str[1]){{0}}, 1) : !e->has_msg || str_eq(e->msg, text);
}

static bool check_notes_of(Script *s, const ScriptEval *ev, const PromResult *r, bool is_info)
{
    int want = is_info ? EXPECT_INFO : EXPECT_WARN;
    u32 wanted = 0;
    for (u32 i = 0; i < r->notes_len; i++)
        if (r->notes[i].is_info == is_info && has_expect(ev, is_info ? EXPECT_NO_INFO : EXPECT_NO_WARN))
            return script_fail(s, "unexpected note: %.*s", STR_FMT(r->notes[i].text));
    for (u32 i = 0; i < ev->expects_len; i++) {
        if ((int)ev->expects[i].kind != want)
            continue;
        wanted++;
        bool found = false;
        for (u32 k = 0; k < r->notes_len; k++)
            found |= r->notes[k].is_info == is_info && matches(&ev->expects[i], r->notes[k].text);
        if (!found)
            return script_fail(s, "no note like «%.*s», %u notes, first: %.*s", STR_FMT(ev->expects[i].msg),
                               r->notes_len, STR_FMT(r->notes_len ? r->notes[0].text : (Str){0}));
    }
    for (u32 k = 0; wanted && k < r->notes_len; k++) {
        bool found = r->notes[k].is_info != is_info;
        for (u32 i = 0; i < ev->expects_len; i++)
            found |= (int)ev->expects[i].kind == want && matches(&ev->expects[i], r->notes[k].text);
        if (!found)
            return script_fail(s, "unexpected note beside those expected: %.*s", STR_FMT(r->notes[k].text));
    }
    return true;
}

static bool check_failure(Script *s, const ScriptEval *ev, Str text)
{
    for (u32 i = 0; i < ev->expects_len; i++)
        if (ev->expects[i].kind == EXPECT_FAIL)
            return matches(&ev->expects[i], text) || script_fail(s, "failed with «%.*s», want «%.*s»",
                                                                 STR_FMT(text), STR_FMT(ev->expects[i].msg));
    return script_fail(s, "failed: %.*s", STR_FMT(text));
}

/* ---- running ---- */

/* False with reason set: the run contradicts the expectations. *ret_done: it failed as it should. */
static bool run_once(Script *s, ScriptEval *ev, Node *tree, i64 start, i64 end, i64 step, bool is_range,
                     PromResult *r, bool *ret_done)
{
    PromQuery q = {.text = ev->expr, .start_ms = start, .end_ms = end, .step_ms = step, .is_range = is_range};
    Why why;
    *ret_done = false;
    if (promql_eval(&s->config, mem_source_face(s->source), &q, tree, &s->arena, r, &why) != OK) {
        *ret_done = true;
        return check_failure(s, ev, str_c(why.text));
    }
    if (has_expect(ev, EXPECT_FAIL))
        return script_fail(s, "should have failed");
    return true;
}

static bool run_instant(Script *s, ScriptEval *ev, Node *tree, i64 t, bool context_functions)
{
    PromResult r;
    bool done;
    if (!run_once(s, ev, tree, t, t, 0, false, &r, &done))
        return false;
    if (done)
        return true;
    if (!check_notes_of(s, ev, &r, false) || !check_notes_of(s, ev, &r, true) || !compare(s, ev, &r))
        return false;
    if (ev->no_range_check || context_functions)
        return true;
    PromType type = r.type;
    if (!run_once(s, ev, tree, t - 60000, t + 60000, 60000, true, &r, &done))
        return false;
    if (has_expect(ev, EXPECT_ORDERED))
        return true;
    bool ok;
    if (type == PROM_SCALAR)
        ok = r.series_len == 1 && r.series[0].n == 3 && almost(ev->scalar, r.series[0].v[1]);
    else
        ok = compare_vector(s, ev, r.series, r.series_len, t);
    if (!ok) {
        char was[2048];
        snprintf(was, sizeof was, "%.2000s", s->reason);
        return script_fail(s, "as a range query: %s", was);
    }
    return true;
}

/* Puts @ t on everything that has none yet; *unsafe: a function's result depends on the time all the same. */
static void pin(Node *n, i64 t, bool *unsafe)
{
    if (!n)
        return;
    switch (n->kind) {
    case NODE_SELECTOR:
        if (n->u.sel.at != AT_TIME) {
            n->u.sel.at = AT_TIME;
            n->u.sel.at_ms = t;
        }
        return;
    case NODE_MATRIX:
        pin(n->u.matrix.sel, t, unsafe);
        return;
    case NODE_SUBQUERY:
        if (n->u.sub.at != AT_TIME) {
            n->u.sub.at = AT_TIME;
            n->u.sub.at_ms = t;
        }
        return;
    case NODE_CALL:
        switch (n->u.call.fn->id) {
        case FN_days_in_month:
        case FN_day_of_month:
        case FN_day_of_week:
        case FN_day_of_year:
        case FN_end:
        case FN_hour:
        case FN_minute:
        case FN_month:
        case FN_year:
        case FN_predict_linear:
        case FN_range:
        case FN_start:
        case FN_step:
        case FN_time:
        case FN_timestamp:
            *unsafe = true;
        }
        for (u32 i = 0; i < n->u.call.args_len; i++)
            pin(n->u.call.args[i], t, unsafe);
        return;
    case NODE_AGGR:
        pin(n->u.aggr.expr, t, unsafe);
        pin(n->u.aggr.param, t, unsafe);
        return;
    case NODE_BINARY:
        pin(n->u.bin.lhs, t, unsafe);
        pin(n->u.bin.rhs, t, unsafe);
        return;
    case NODE_UNARY:
        pin(n->u.unary.expr, t, unsafe);
        return;
    case NODE_PAREN:
        pin(n->u.paren, t, unsafe);
        return;
    default:
        return;
    }
}

static bool mentions_context(Str expr)
{
    static const char *const calls[] = {"start()", "end()", "range()", "step()"};
    for (u32 i = 0; i < COUNT_OF(calls); i++)
        if (str_find(expr, str_c(calls[i])) != SIZE_MAX)
            return true;
    return false;
}

static bool run_eval_tree(Script *s, ScriptEval *ev, Node *tree)
{
    PromResult r;
    bool done;
    if (ev->is_range) {
        if (!run_once(s, ev, tree, ev->start, ev->end, ev->step, true, &r, &done))
            return false;
        return done ||
               (check_notes_of(s, ev, &r, false) && check_notes_of(s, ev, &r, true) && compare(s, ev, &r));
    }
    i64 t = ev->no_range_check && ev->end != ev->start ? ev->end : ev->start;
    bool context = mentions_context(ev->expr), unsafe = false;
    if (!run_instant(s, ev, tree, t, context))
        return false;
    pin(tree, t, &unsafe);
    if (unsafe)
        return true;
    i64 times[5] = {-10 * t, 0, t / 5, t, 10 * t};
    if (t == 0)
        times[0] = -1000, times[1] = 0, times[2] = 1000, times[3] = 1000, times[4] = 0;
    for (u32 i = 0; i < 5; i++) {
        if (run_instant(s, ev, tree, times[i], context))
            continue;
        char was[2048];
        snprintf(was, sizeof was, "%.2000s", s->reason);
        return script_fail(s, "with @ %lld, evaluated at %lld: %s", (long long)t, (long long)times[i], was);
    }
    return true;
}

static void run_eval(Script *s, ScriptEval *ev)
{
    Why why;
    bool ok;
    Node *tree = parse_expr(s, ev->expr, &why);
    if (tree) {
        ok = run_eval_tree(s, ev, tree);
        promql_done(tree);
    } else {
        ok = check_failure(s, ev, str_c(why.text));
    }
    s->total++;
    s->passed += ok;
    if (!ok && getenv("PROMQLTEST_VERBOSE"))
        fprintf(stderr, "%s:%u: %.*s\n    %s\n", s->file, ev->line, STR_FMT(ev->expr), s->reason);
    for (u32 i = 0; i < ev->expects_len; i++)
        regex_free(ev->expects[i].re);
    mem_free(ev->wanted);
}

static void split_lines(Script *s, Str text)
{
    VEC(Str) lines = {0};
    while (text.len) {
        Str line, rest;
        bool more = str_cut(text, '\n', &line, &rest);
        line = str_trim(line);
        if (str_starts(line, S("#")))
            line = (Str){0};
        vec_push(&lines, line);
        text = more ? rest : (Str){0};
    }
    s->lines = lines.at;
    s->lines_len = (u32)lines.len;
}

/* How the source serves and the engine works, beyond the plainest way: bare views, pages of up to so many samples, slices. */
static struct {
    bool bare;
    u32 page, slices;
} script_way;

/* Runs one file; returns false when it cannot be read as a script. */
static bool run_script(const char *path, u32 features, u32 *ret_passed, u32 *ret_total)
{
    Buf text;
    Why why;
    buf_init(&text, 4 << 20);
    assert_ok(vfs_read_file(vfs_os(), path, 4 << 20, &text, &why), &why);
    const char *base = strrchr(path, '/');
    Script s = {.file = base ? base + 1 : path, .source = mem_source_new()};
    s.config = (PromEngineConfig){.features = features,
                                  .timeout_ms = 100000,
                                  .samples_max = 1000000,
                                  .slices = script_way.slices,
                                  .slice_series_min = 1};
    mem_source_offer(s.source, script_way.bare, script_way.page);
    arena_init(&s.arena, NULL, 0);
    split_lines(&s, buf_view(&text));
    while (s.at < s.lines_len && !s.broken) {
        Str line = s.lines[s.at++], rest = line, cmd;
        if (str_empty(line))
            continue;
        cmd = word(&rest);
        if (str_eq_nocase(cmd, S("clear"))) {
            mem_source_clear(s.source);
            arena_reset(&s.arena);
        } else if (str_starts(cmd, S("load"))) {
            s.broken = !run_load(&s, line);
        } else if (str_starts(cmd, S("eval"))) {
            ScriptEval ev = {0};
            s.broken = !parse_eval(&s, line, &ev);
            if (!s.broken)
                run_eval(&s, &ev);
        } else {
            s.broken = !script_fail(&s, "line %u: unknown command", s.at);
        }
    }
    if (s.broken)
        fprintf(stderr, "%s: %s\n", s.file, s.reason);
    printf("%-32s %4u / %4u%s\n", s.file, s.passed, s.total, s.broken ? "  BROKEN" : "");
    *ret_passed += s.passed;
    *ret_total += s.total;
    mem_free(s.lines);
    mem_source_free(s.source);
    arena_done(&s.arena);
    buf_done(&text);
    return !s.broken;
}
