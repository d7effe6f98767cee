/* metadata and query_exemplars. */
#include "metrics/api/impl.h"

/* ---- metadata ---- */

typedef struct Meta {
    HttpReq *r;
    VEC(MetadataItem) items;
} Meta;

static void add_meta(void *arg, const MetadataItem *m)
{
    Meta *t = arg;
    Arena *a = t->r->arena;
    vec_push(&t->items,
             (MetadataItem){arena_dup(a, m->family), arena_dup(a, m->help), arena_dup(a, m->unit), m->type});
}

static int cmp_meta(const void *x, const void *y)
{
    const MetadataItem *a = x, *b = y;
    int c = str_cmp(a->family, b->family);
    if (c == 0)
        c = str_cmp(a->help, b->help);
    return c ? c : (int)a->type - (int)b->type;
}

static bool take_number(HttpReq *r, const char *name, i64 *ret)
{
    Str s = http_param(r, str_c(name));
    *ret = -1;
    if (s.len == 0 || parse_i64(s, ret) == OK)
        return true;
    api_error(r, API_BAD_DATA, "%s must be a number", name);
    return false;
}

static void write_meta(Json *j, const MetadataItem *m)
{
    js_object(j);
    js_kv(j, "type", str_c(metric_type_name(m->type)));
    js_kv(j, "help", m->help);
    js_kv(j, "unit", m->unit);
    js_object_end(j);
}

void handle_metadata(HttpReq *r, void *arg)
{
    Api *a = arg;
    Meta t = {.r = r};
    i64 limit, per_metric, families = 0, of_family = 0;
    Buf out;
    Json j;
    if (!api_enter(a, r) || !take_number(r, "limit", &limit) ||
        !take_number(r, "limit_per_metric", &per_metric))
        return;
    if (a->c.engine)
        metrics_metadata(a->c.engine, api_tenant(a, r), http_param(r, S("metric")), add_meta, &t);
    if (t.items.len > 0)
        qsort(t.items.at, t.items.len, sizeof t.items.at[0], cmp_meta);
    api_data(&out, &j);
    js_object(&j);
    for (size_t i = 0; i < t.items.len; i++) {
        bool is_new = i == 0 || !str_eq(t.items.at[i].family, t.items.at[i - 1].family);
        if (is_new) {
            if (families > 0)
                js_array_end(&j);
            if (limit >= 0 && families >= limit) {
                families = -1;
                break;
            }
            families++;
            of_family = 0;
            js_key(&j, t.items.at[i].family);
            js_array(&j);
        }
        if (per_metric <= 0 || of_family++ < per_metric)
            write_meta(&j, &t.items.at[i]);
    }
    if (families > 0)
        js_array_end(&j);
    js_object_end(&j);
    api_reply(r, &out);
    vec_done(&t.items);
}

/* ---- exemplars ---- */

typedef VEC(Matchers) MatchersVec;

static void selectors_of(const Node *n, MatchersVec *list)
{
    switch (n->kind) {
    case NODE_SELECTOR:
        vec_push(list, n->u.sel.matchers);
        break;
    case NODE_MATRIX:
        selectors_of(n->u.matrix.sel, list);
        break;
    case NODE_SUBQUERY:
        selectors_of(n->u.sub.expr, list);
        break;
    case NODE_CALL:
        for (u32 i = 0; i < n->u.call.args_len; i++)
            selectors_of(n->u.call.args[i], list);
        break;
    case NODE_AGGR:
        selectors_of(n->u.aggr.expr, list);
        if (n->u.aggr.param)
            selectors_of(n->u.aggr.param, list);
        break;
    case NODE_BINARY:
        selectors_of(n->u.bin.lhs, list);
        selectors_of(n->u.bin.rhs, list);
        break;
    case NODE_UNARY:
        selectors_of(n->u.unary.expr, list);
        break;
    case NODE_PAREN:
        selectors_of(n->u.paren, list);
        break;
    case NODE_STEP_INVARIANT:
        selectors_of(n->u.invariant, list);
        break;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DURATION:
        break;
    }
}

typedef struct Exemplars {
    Buf *out;
    bool has_item;
} Exemplars;

static void write_exemplars(void *arg, Labels series, const Exemplar *e, u32 n)
{
    Exemplars *x = arg;
    buf_c(x->out, x->has_item ? ",{\"seriesLabels\":" : "{\"seriesLabels\":");
    x->has_item = true;
    out_labels(x->out, series);
    buf_c(x->out, ",\"exemplars\":[");
    for (u32 i = 0; i < n; i++) {
        buf_c(x->out, i > 0 ? ",{\"labels\":" : "{\"labels\":");
        out_labels(x->out, e[i].labels);
        buf_c(x->out, ",\"value\":");
        out_value(x->out, e[i].v);
        buf_c(x->out, ",\"timestamp\":");
        out_time(x->out, e[i].t);
        buf_char(x->out, '}');
    }
    buf_c(x->out, "]}");
}

static void reply_exemplars(Api *a, HttpReq *r, const MatchersVec *sets, i64 start, i64 end)
{
    Buf out;
    Json j;
    Why why = {0};
    Err e = OK;
    api_data(&out, &j);
    Exemplars x = {.out = &out};
    buf_char(&out, '[');
    if (a->c.engine)
        e = metrics_exemplars(a->c.engine, api_tenant(a, r), sets->at, (u32)sets->len, start, end, r->arena,
                              write_exemplars, &x, &why);
    if (e != OK) {
        buf_done(&out);
        api_error(r, API_EXECUTION, "%s", why.text);
        return;
    }
    buf_char(&out, ']');
    api_reply(r, &out);
}

void handle_query_exemplars(HttpReq *r, void *arg)
{
    Api *a = arg;
    MatchersVec sets = {0};
    i64 start, end;
    Node *n;
    Why why = {0};
    if (!api_enter(a, r) || !param_range(r, &start, &end))
        return;
    if (end < start) {
        api_error(r, API_BAD_DATA, "end timestamp must not be before start timestamp");
        return;
    }
    if (promql_parse(http_param(r, S("query")), a->c.query.features, r->arena, &n, NULL, &why) != OK) {
        api_error(r, API_BAD_DATA, "%s", why.text);
        return;
    }
    selectors_of(n, &sets);
    if (sets.len == 0)
        http_reply(r, 204, NULL, S(""));
    else
        reply_exemplars(a, r, &sets, start, end);
    promql_done(n);
    vec_done(&sets);
}
