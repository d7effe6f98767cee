/* /federate: the newest sample of each series asked for, as text exposition 0.0.4. */
#include "metrics/api/impl.h"

#include <math.h>

typedef struct Row {
    Labels labels;
    i64 t;
    f64 v;
} Row;
typedef VEC(Row) Rows;
#define VIEWS 64

static Err collect(Api *a, HttpReq *r, Matchers m, const SelectHints *h, Rows *rows, Why *why)
{
    SeriesCursor *c;
    SeriesView views[VIEWS];
    u32 n;
    Err e;
    TRY(a->c.source->select(a->c.source, api_tenant(a, r), m, h, r->arena, r->cancel, &c, why));
    while ((e = c->next(c, views, VIEWS, &n, why)) == OK && n > 0) {
        for (u32 i = 0; i < n; i++) {
            const SeriesView *s = &views[i];
            u32 last = s->n - 1;
            /* Native histograms have no text form, stale markers no value. */
            if (s->n == 0 || (s->h && s->h[last]) || is_stale(s->v[last]))
                continue;
            vec_push(rows, (Row){labels_dup(r->arena, s->labels), s->t[last], s->v[last]});
        }
        if (arena_over(r->arena)) {
            e = why_set(why, E_LIMIT, "the series do not fit into the memory of a request: ask for fewer");
            break;
        }
    }
    c->close(c);
    return e;
}

static int cmp_rows(const void *x, const void *y)
{
    const Row *a = x, *b = y;
    int c = str_cmp(labels_get(a->labels, LABEL_NAME), labels_get(b->labels, LABEL_NAME));
    return c ? c : labels_cmp(a->labels, b->labels);
}

/* Names in classic characters, others as underscores (escaping=underscores), unless the client takes UTF-8. */
static void put_name(Buf *b, Str name, bool is_metric)
{
    for (size_t i = 0; i < name.len;) {
        u32 rune;
        size_t n = str_rune(str_skip(name, i), &rune);
        char c = name.at[i];
        bool ok = n == 1 && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                             (is_metric && c == ':') || (i > 0 && c >= '0' && c <= '9'));
        buf_char(b, ok ? c : '_');
        i += n;
    }
}

static void put_escaped(Buf *b, Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '\\' || c == '"')
            buf_char(b, '\\');
        if (c == '\n')
            buf_c(b, "\\n");
        else
            buf_char(b, c);
    }
}

static void put_quoted(Buf *b, Str s)
{
    buf_char(b, '"');
    put_escaped(b, s);
    buf_char(b, '"');
}

static void put_label(Buf *b, Str name, Str value, bool utf8, bool *has_item)
{
    buf_char(b, *has_item ? ',' : '{');
    *has_item = true;
    if (utf8 && !label_name_is_classic(name))
        put_quoted(b, name);
    else
        put_name(b, name, false);
    buf_char(b, '=');
    put_quoted(b, value);
}

static void put_row(Buf *b, const Row *row, Labels external, bool utf8)
{
    Str name = labels_get(row->labels, LABEL_NAME);
    bool has_item = false, in_braces = utf8 && !metric_name_is_classic(name);
    if (in_braces) {
        buf_char(b, '{');
        put_quoted(b, name);
        has_item = true;
    } else {
        put_name(b, name, true);
    }
    for (u32 i = 0; i < row->labels.len; i++)
        if (!str_eq(row->labels.at[i].name, LABEL_NAME))
            put_label(b, row->labels.at[i].name, row->labels.at[i].value, utf8, &has_item);
    for (u32 i = 0; i < external.len; i++)
        if (!labels_has(row->labels, external.at[i].name))
            put_label(b, external.at[i].name, external.at[i].value, utf8, &has_item);
    buf_c(b, has_item ? "} " : " ");
    if (row->v == 0)
        buf_char(b, '0');
    else
        print_f64_go(b, row->v, 'g', -1);
    buf_char(b, ' ');
    print_i64(b, row->t);
    buf_char(b, '\n');
}

/* External labels, and an empty instance so that the federating server does not put its own. */
static Labels external_labels(Api *a, HttpReq *r)
{
    Labels l = {0};
    if (a->c.hooks.external_labels)
        a->c.hooks.external_labels(a->c.hooks.arg, r->arena, &l);
    if (labels_has(l, S("instance")))
        return l;
    Label *at = arena_array(r->arena, Label, l.len + 1);
    u32 n = 0;
    if (!at)
        return l;
    for (u32 i = 0; i <= l.len; i++) {
        bool here = n == i && (i == l.len || str_cmp(S("instance"), l.at[i].name) < 0);
        if (here)
            at[n++] = (Label){S("instance"), S("")};
        if (i < l.len)
            at[n++] = l.at[i];
    }
    return (Labels){at, n};
}

static void reply(Api *a, HttpReq *r, Rows *rows)
{
    Out o;
    bool utf8 = str_find(http_header(r, S("Accept")), S("escaping=allow-utf-8")) != SIZE_MAX;
    Labels external = external_labels(a, r);
    Str last = {0};
    if (rows->len > 0)
        qsort(rows->at, rows->len, sizeof(Row), cmp_rows);
    out_begin(&o, r, 200,
              utf8 ? "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"
                   : "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    for (size_t i = 0; i < rows->len; i++) {
        Str name = labels_get(rows->at[i].labels, LABEL_NAME);
        if (name.len == 0 || (i > 0 && labels_eq(rows->at[i].labels, rows->at[i - 1].labels)))
            continue;
        if (!str_eq(name, last)) {
            buf_c(&o.b, "# TYPE ");
            if (utf8 && !metric_name_is_classic(name))
                put_quoted(&o.b, name);
            else
                put_name(&o.b, name, true);
            buf_c(&o.b, " untyped\n");
            last = name;
        }
        put_row(&o.b, &rows->at[i], external, utf8);
        out_spill(&o);
    }
    out_end(&o);
}

static void plain_error(HttpReq *r, int status, const char *text)
{
    http_add_header(r, S("X-Content-Type-Options"), S("nosniff"));
    http_reply_text(r, status, "%s\n", text);
}

void handle_federate(HttpReq *r, void *arg)
{
    Api *a = arg;
    MatcherSets sets;
    Rows rows = {0};
    Why why = {0};
    Err e = OK;
    const ApiHooks *h = &a->c.hooks;
    if (h->is_ready && !h->is_ready(h->arg)) {
        http_reply_text(r, 503, "Service Unavailable");
        return;
    }
    if (param_matchers(r, false, &sets, &why) != OK) {
        plain_error(r, 400, why.text);
        return;
    }
    i64 now = clock_wall_ms(a->c.clock),
        lookback = a->c.query.lookback_ms > 0 ? a->c.query.lookback_ms : 300000;
    SelectHints hints = {.mint = now - lookback, .maxt = now};
    for (u32 i = 0; e == OK && i < sets.len; i++)
        e = collect(a, r, sets.at[i], &hints, &rows, &why);
    matcher_sets_done(&sets);
    if (e == OK) {
        reply(a, r, &rows);
    } else {
        metric_inc(a->federation_errors);
        plain_error(r, 500, why.text);
    }
    vec_done(&rows);
}
