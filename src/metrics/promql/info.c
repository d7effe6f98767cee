/* info(v, selector): adds the labels of info series (target_info, by default) that have the same instance and job. */
#include "metrics/promql/engine.h"

static const Str id_labels[] = {STR_INIT("instance"), STR_INIT("job")};

/* Info series of one metric with the same instance and job: the one with the newest sample counts. */
typedef struct InfoGroup {
    Str name;
    u32 *chosen; /* per step: index into infos, UINT32_MAX = none */
} InfoGroup;
typedef struct InfoOp {
    Op op;
    Op *child, *list;
    SeriesList base, infos, out;
    Matcher *names; /* that decide which metrics are info metrics */
    u32 names_len;
    Matchers data; /* matchers of data labels, without those of __name__ */
    U64Map *index; /* (metric, instance, job) -> group */
    InfoGroup *groups;
    u32 groups_len, groups_cap;
    Str *metrics; /* distinct names of info metrics found */
    u32 metrics_len, metrics_cap;
} InfoOp;

/* ---- which series ---- */

static Err own_matcher(Eval *e, Matcher *m, MatchOp op, Str name, Str value, Why *why)
{
    Matcher **list = arena_grow(e->arena, e->matchers, &e->matchers_cap, e->matchers_len + 1, sizeof *list);
    if (!list)
        return eval_memory(why);
    e->matchers = list;
    TRY(matcher_init(m, op, name, value, why));
    e->matchers[e->matchers_len++] = m;
    return OK;
}

/* Positive matchers of the name as they are; only negative ones: among all *_info; none: target_info. */
static Err split_matchers(InfoOp *o, Why *why)
{
    Eval *e = o->op.e;
    const Plan *p = o->op.p;
    Matchers given = p->args_len > 1 ? p->args[1]->sel->matchers : (Matchers){0};
    Matcher *data = arena_array(e->arena, Matcher, given.len + 1);
    o->names = arena_array(e->arena, Matcher, given.len + 1);
    if (!data || !o->names)
        return eval_memory(why);
    bool positive = false;
    for (u32 i = 0; i < given.len; i++) {
        if (!str_eq(given.at[i].name, LABEL_NAME)) {
            data[o->data.len++] = given.at[i];
            continue;
        }
        o->names[o->names_len++] = given.at[i];
        positive |= given.at[i].op == MATCH_EQ || given.at[i].op == MATCH_RE;
    }
    o->data.at = data;
    if (positive)
        return OK;
    bool none = o->names_len == 0;
    return own_matcher(e, &o->names[o->names_len++], none ? MATCH_EQ : MATCH_RE, LABEL_NAME,
                       none ? S("target_info") : S(".+_info"), why);
}

static bool is_info(const InfoOp *o, Labels l)
{
    Str name = labels_get(l, LABEL_NAME);
    for (u32 i = 0; i < o->names_len; i++)
        if (!matcher_matches(&o->names[i], name))
            return false;
    return true;
}

static void quote_meta(Buf *b, Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] && strchr("\\.+*?()|[]{}^$", s.at[i]))
            buf_char(b, '\\');
        buf_char(b, s.at[i]);
    }
}

/* A matcher for the values of one identifying label that occur in the base series; false when there are none. Too many to
 * write down: all are read, the join sorts them out. */
static Err id_matcher(InfoOp *o, Str label, Matcher *at, u32 *n, bool *ret_any, Why *why)
{
    Eval *e = o->op.e;
    StrMap seen = {0};
    Buf b;
    buf_init(&b, 4000);
    for (u32 i = 0; i < o->base.n; i++) {
        Str v = labels_get(o->base.at[i].labels, label);
        if (str_empty(v) || is_info(o, o->base.at[i].labels) || strmap_has(&seen, v))
            continue;
        strmap_put(&seen, v, o);
        if (b.len)
            buf_char(&b, '|');
        quote_meta(&b, v);
        *ret_any = true;
    }
    Err err = OK;
    if (seen.len && !buf_over(&b)) {
        err = own_matcher(e, at, MATCH_RE, label, arena_dup(e->arena, buf_view(&b)), why);
        *n += err == OK;
    }
    strmap_done(&seen);
    buf_done(&b);
    return err;
}

/* The first selector in the argument governs at which time the info series are looked at. */
static bool find_reference(const Plan *p, bool *has_at, i64 *at, i64 *offset)
{
    if (p->kind == NODE_SELECTOR || p->kind == NODE_MATRIX) {
        *has_at = p->sel->has_at;
        *at = p->sel->at;
        *offset = p->sel->offset;
        return true;
    }
    for (u32 i = 0; i < p->args_len; i++) {
        if (!find_reference(p->args[i], has_at, at, offset))
            continue;
        if (p->kind == NODE_SUBQUERY && !*has_at) {
            *offset += p->offset;
            *has_at = p->has_at;
            *at = p->at;
        }
        return true;
    }
    return false;
}

static Err read_infos(InfoOp *o, Why *why)
{
    Eval *e = o->op.e;
    Matcher *at = arena_array(e->arena, Matcher, COUNT_OF(id_labels) + o->data.len + o->names_len);
    if (!at)
        return eval_memory(why);
    u32 n = 0;
    bool any = false;
    for (u32 i = 0; i < COUNT_OF(id_labels); i++)
        TRY(id_matcher(o, id_labels[i], &at[n], &n, &any, why));
    if (!any)
        return OK;
    for (u32 i = 0; i < o->data.len; i++)
        at[n++] = o->data.at[i];
    for (u32 i = 0; i < o->names_len; i++)
        at[n++] = o->names[i];
    Plan *p = arena_new(e->arena, Plan);
    *p = (Plan){.node = o->op.p->node, .kind = NODE_SELECTOR, .type = PROM_VECTOR};
    p->sel = arena_new(e->arena, Selector);
    p->sel->matchers = (Matchers){at, n};
    p->sel->func = S("info");
    find_reference(o->op.p->args[0], &p->sel->has_at, &p->sel->at, &p->sel->offset);
    return op_drain(op_select_times(e, p, o->op.g, SELECT_INFO), &o->infos, why);
}

/* ---- groups ---- */

static u64 group_key(Labels l, Str metric)
{
    u64 key = hash_str(metric);
    for (u32 i = 0; i < COUNT_OF(id_labels); i++) {
        Str v = labels_get(l, id_labels[i]);
        key = hash_bytes(v.at ? v.at : "", v.len, key);
    }
    return key;
}

static Err clash(InfoOp *o, u32 a, u32 b, f64 t, Why *why)
{
    Buf x, y;
    buf_init(&x, 400);
    buf_init(&y, 400);
    print_labels(&x, o->infos.at[a].labels);
    print_labels(&y, o->infos.at[b].labels);
    long long ms = llround(t * 1000);
    Err err =
        why_set(why, E_EXEC, "found duplicate series for info metric: existing %.*s @ %lld, new %.*s @ %lld",
                STR_FMT(buf_view(&x)), ms, STR_FMT(buf_view(&y)), ms);
    buf_done(&x);
    buf_done(&y);
    return err;
}

static Err new_group(InfoOp *o, Str name, InfoGroup **ret, Why *why)
{
    Eval *e = o->op.e;
    InfoGroup *groups = arena_grow(e->arena, o->groups, &o->groups_cap, o->groups_len + 1, sizeof *groups);
    Str *metrics = arena_grow(e->arena, o->metrics, &o->metrics_cap, o->metrics_len + 1, sizeof *metrics);
    u32 *chosen = arena_array(e->arena, u32, o->op.g->n);
    if (!groups || !metrics || !chosen)
        return eval_memory(why);
    o->groups = groups;
    o->metrics = metrics;
    memset(chosen, 0xff, o->op.g->n * sizeof *chosen);
    bool known = false;
    for (u32 i = 0; i < o->metrics_len; i++)
        known |= str_eq(metrics[i], name);
    if (!known)
        metrics[o->metrics_len++] = name;
    *ret = &groups[o->groups_len++];
    **ret = (InfoGroup){name, chosen};
    return OK;
}

static Err group_infos(InfoOp *o, Why *why)
{
    for (u32 i = 0; i < o->infos.n; i++) {
        const StepSeries *s = &o->infos.at[i];
        Str name = labels_get(s->labels, LABEL_NAME);
        u64 key = group_key(s->labels, name), *found = u64map_find(o->index, key);
        InfoGroup *g;
        if (found) {
            g = &o->groups[*found];
        } else {
            u64map_put(o->index, key, o->groups_len);
            TRY(new_group(o, name, &g, why));
        }
        for (u32 k = 0; k < o->op.g->n; k++) {
            if (is_absent(s->v[k]))
                continue;
            u32 other = g->chosen[k];
            if (other != UINT32_MAX && o->infos.at[other].v[k] == s->v[k])
                return clash(o, other, i, s->v[k], why);
            if (other == UINT32_MAX || o->infos.at[other].v[k] < s->v[k])
                g->chosen[k] = i;
        }
    }
    return OK;
}

/* ---- joining ---- */

static bool wanted(const InfoOp *o, Str label)
{
    if (str_eq(label, LABEL_NAME))
        return false;
    for (u32 i = 0; i < o->data.len; i++)
        if (str_eq(o->data.at[i].name, label))
            return true;
    return o->data.len == 0;
}

/* base with the data labels of the chosen infos. */
static Err enrich(InfoOp *o, Labels base, const u32 *infos, Labels *ret, Why *why)
{
    LabelsBuilder extra, all;
    lb_init(&extra, o->op.e->arena, (Labels){0});
    for (u32 m = 0; m < o->metrics_len; m++) {
        if (infos[m] == UINT32_MAX)
            continue;
        Labels l = o->infos.at[infos[m]].labels;
        for (u32 i = 0; i < l.len; i++) {
            if (!wanted(o, l.at[i].name))
                continue;
            Str before = lb_get(&extra, l.at[i].name);
            if (!str_empty(before) && !str_eq(before, l.at[i].value))
                return why_set(why, E_EXEC, "conflicting label: %.*s", STR_FMT(l.at[i].name));
            if (!labels_has(base, l.at[i].name))
                lb_set(&extra, l.at[i].name, l.at[i].value);
        }
    }
    lb_init(&all, o->op.e->arena, base);
    Labels more = lb_build(&extra);
    for (u32 i = 0; i < more.len; i++)
        lb_set(&all, more.at[i].name, more.at[i].value);
    *ret = lb_build(&all);
    return OK;
}

/* Without any info series a base series stays only if the data matchers can do without labels. */
static bool data_may_be_missing(const InfoOp *o)
{
    for (u32 i = 0; i < o->data.len; i++)
        if (!matcher_matches(&o->data.at[i], (Str){0}))
            return false;
    return true;
}

static Err start_output(InfoOp *o, const StepSeries *base, Labels l, StepSeries *out, Why *why)
{
    Eval *e = o->op.e;
    *out = (StepSeries){.labels = l, .v = col_get(e, o->op.g), .drop_name = base->drop_name};
    if (!out->v || (base->h && !(out->h = hist_col_get(e, o->op.g))))
        return eval_memory(why);
    for (u32 k = 0; k < o->op.g->n; k++)
        out->v[k] = ABSENT;
    return OK;
}

static Err join_series(InfoOp *o, const StepSeries *base, Why *why)
{
    Eval *e = o->op.e;
    u32 n = o->metrics_len;
    const InfoGroup **groups = arena_array(e->arena, const InfoGroup *, n + 1);
    u32 *now = arena_array(e->arena, u32, n + 1), *last = arena_array(e->arena, u32, n + 1);
    if (!groups || !now || !last)
        return eval_memory(why);
    for (u32 m = 0; m < n; m++) {
        u64 *found = u64map_find(o->index, group_key(base->labels, o->metrics[m]));
        groups[m] = found ? &o->groups[*found] : NULL;
    }
    StepSeries out = {0};
    bool keeps_bare = data_may_be_missing(o);
    for (u32 k = 0; k < o->op.g->n; k++) {
        if (!series_has(base, k))
            continue;
        bool any = false;
        for (u32 m = 0; m < n; m++) {
            now[m] = groups[m] ? groups[m]->chosen[k] : UINT32_MAX;
            any |= now[m] != UINT32_MAX;
        }
        if (!any && !keeps_bare)
            continue;
        if (!out.v || memcmp(now, last, n * sizeof *now) != 0) {
            Labels l;
            TRY(enrich(o, base->labels, now, &l, why));
            if (out.v)
                TRY(list_push(e, &o->out, out, why));
            TRY(start_output(o, base, l, &out, why));
            memcpy(last, now, n * sizeof *now);
        }
        out.v[k] = base->v[k];
        if (base->h)
            out.h[k] = base->h[k];
    }
    return out.v ? list_push(e, &o->out, out, why) : OK;
}

static Err evaluate(InfoOp *o, Why *why)
{
    TRY(split_matchers(o, why));
    TRY(op_drain(o->child, &o->base, why));
    TRY(read_infos(o, why));
    TRY(group_infos(o, why));
    for (u32 i = 0; i < o->base.n; i++) {
        if (is_info(o, o->base.at[i].labels))
            TRY(list_push(o->op.e, &o->out, o->base.at[i], why));
        else
            TRY(join_series(o, &o->base.at[i], why));
    }
    return list_merge(o->op.e, o->op.g, &o->out, why);
}

static Err info_next(Op *op, Batch *b, Why *why)
{
    InfoOp *o = (InfoOp *)op;
    if (!o->list) {
        TRY(evaluate(o, why));
        o->list = op_from_list(op->e, op->g, op->p, &o->out);
    }
    return o->list->next(o->list, b, why);
}

Err op_info(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    InfoOp *o = arena_new(e->arena, InfoOp);
    o->index = eval_map(e);
    TRY(op_build(e, p->args[0], g, &o->child, why));
    *ret = op_init(&o->op, e, p, g, info_next);
    return OK;
}
