/* Functions about labels, order and absence. */
#include "metrics/promql/engine.h"

typedef struct MiscOp {
    Op op;
    Op *child, *list;
    f64 *col;
    bool done;
} MiscOp;

static Err from_list(MiscOp *m, SeriesList *l, Batch *b, Why *why)
{
    m->list = op_from_list(m->op.e, m->op.g, m->op.p, l);
    return m->list->next(m->list, b, why);
}

/* ---- label_replace, label_join ---- */

static Err check_label_name(const Plan *p, Str name, const char *which, Why *why)
{
    if (!str_empty(name) && str_is_utf8(name))
        return OK;
    return why_set(why, E_EXEC, "invalid %s label name in %s(): %.*s", which, p->fn_name, STR_FMT(name));
}

static void set_label(Eval *e, StepSeries *s, Str name, Str value)
{
    LabelsBuilder b;
    lb_init(&b, e->arena, s->labels);
    lb_set(&b, name, value);
    s->labels = lb_build(&b);
    if (str_eq(name, LABEL_NAME))
        s->drop_name = false;
}

static Err replace_all(Eval *e, const Plan *p, SeriesList *l, const Regex *re, Why *why)
{
    Str dst = p->args[1]->string, templ = p->args[2]->string, src = p->args[3]->string;
    u32 groups = regex_groups(re) + 1;
    if (groups > 64)
        return why_set(why, E_EXEC, "too many groups in the regular expression of label_replace(): %u",
                       groups - 1);
    Str found[64];
    for (u32 i = 0; i < l->n; i++) {
        if (!regex_find(re, labels_get(l->at[i].labels, src), 0, found, groups))
            continue;
        Buf b;
        buf_init(&b, 1 << 20);
        regex_expand(re, templ, found, groups, &b);
        set_label(e, &l->at[i], dst, arena_dup(e->arena, buf_view(&b)));
        bool over = buf_over(&b);
        buf_done(&b);
        if (over || arena_over(e->arena))
            return eval_memory(why);
    }
    return OK;
}

static Err label_replace(MiscOp *m, SeriesList *l, Why *why)
{
    const Plan *p = m->op.p;
    Str pattern = p->args[4]->string;
    Regex *re;
    if (regex_new(pattern, REGEX_ANCHORED, &re, NULL) != OK)
        return why_set(why, E_EXEC, "invalid regular expression in label_replace(): %.*s", STR_FMT(pattern));
    Err err = check_label_name(p, p->args[1]->string, "destination", why);
    if (err == OK)
        err = op_drain(m->child, l, why);
    if (err == OK)
        err = replace_all(m->op.e, p, l, re, why);
    regex_free(re);
    return err;
}

static Err label_join(MiscOp *m, SeriesList *l, Why *why)
{
    Eval *e = m->op.e;
    const Plan *p = m->op.p;
    Str dst = p->args[1]->string, separator = p->args[2]->string;
    for (u32 i = 3; i < p->args_len; i++)
        TRY(check_label_name(p, p->args[i]->string, "source", why));
    TRY(check_label_name(p, dst, "destination", why));
    TRY(op_drain(m->child, l, why));
    for (u32 i = 0; i < l->n; i++) {
        Buf b;
        buf_init(&b, 1 << 20);
        for (u32 k = 3; k < p->args_len; k++) {
            if (k > 3)
                buf_str(&b, separator);
            buf_str(&b, labels_get(l->at[i].labels, p->args[k]->string));
        }
        set_label(e, &l->at[i], dst, arena_dup(e->arena, buf_view(&b)));
        bool over = buf_over(&b);
        buf_done(&b);
        if (over || arena_over(e->arena))
            return eval_memory(why);
    }
    return OK;
}

static Err label_next(Op *op, Batch *b, Why *why)
{
    MiscOp *m = (MiscOp *)op;
    if (m->list)
        return m->list->next(m->list, b, why);
    SeriesList l = {0};
    TRY(op->p->fn == FN_label_join ? label_join(m, &l, why) : label_replace(m, &l, why));
    TRY(list_merge(op->e, op->g, &l, why));
    return from_list(m, &l, b, why);
}

/* ---- sorting ---- */

typedef struct SortKey {
    const Plan *p;
    StepSeries s;
    u32 at;
} SortKey;

static u64 digits(Str s, size_t *i)
{
    u64 v = 0;
    for (; *i < s.len && s.at[*i] >= '0' && s.at[*i] <= '9'; (*i)++)
        v = v > UINT64_MAX / 16 ? v : v * 10 + (u64)(s.at[*i] - '0');
    return v;
}

static bool is_digit(Str s, size_t i)
{
    return i < s.len && s.at[i] >= '0' && s.at[i] <= '9';
}

/* Runs of digits compare as numbers, so node2 comes before node10. */
static int compare_natural(Str a, Str b)
{
    size_t i = 0, j = 0;
    while (i < a.len && j < b.len) {
        if (is_digit(a, i) && is_digit(b, j)) {
            u64 x = digits(a, &i), y = digits(b, &j);
            if (x != y)
                return x < y ? -1 : 1;
            continue;
        }
        if (a.at[i] != b.at[j])
            return (u8)a.at[i] < (u8)b.at[j] ? -1 : 1;
        i++;
        j++;
    }
    if (i < a.len || j < b.len)
        return i < a.len ? 1 : -1;
    return str_cmp(a, b);
}

static int by_sort_labels(const void *a, const void *b)
{
    const SortKey *x = a, *y = b;
    bool down = x->p->fn == FN_sort_by_label_desc;
    int c = 0;
    for (u32 i = 1; i < x->p->args_len && c == 0; i++) {
        Str name = x->p->args[i]->string;
        c = compare_natural(labels_get(x->s.labels, name), labels_get(y->s.labels, name));
    }
    if (c == 0)
        c = labels_cmp(x->s.labels, y->s.labels);
    return down ? -c : c;
}

static int by_sort_value(const void *a, const void *b)
{
    const SortKey *x = a, *y = b;
    f64 v = x->s.v[0], w = y->s.v[0];
    bool down = x->p->fn == FN_sort_desc;
    if (isnan(v) || isnan(w)) {
        int c = (isnan(v) != 0) - (isnan(w) != 0);
        return c ? c : (x->at > y->at) - (x->at < y->at);
    }
    if (v != w)
        return (v < w) == !down ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static Err sort_list(MiscOp *m, SeriesList *l, Why *why)
{
    Eval *e = m->op.e;
    bool by_label = m->op.p->fn == FN_sort_by_label || m->op.p->fn == FN_sort_by_label_desc;
    SortKey *keys = arena_array(e->arena, SortKey, MAX(l->n, 1));
    if (!keys)
        return eval_memory(why);
    u32 n = 0;
    for (u32 i = 0; i < l->n; i++) {
        StepSeries *s = &l->at[i];
        if (!by_label) {
            col_put(e, m->op.g, (void *)s->h);
            s->h = NULL;
        }
        if (series_count(m->op.g, s))
            keys[n++] = (SortKey){m->op.p, *s, i};
    }
    if (m->op.g->is_instant && n)
        qsort(keys, n, sizeof *keys, by_label ? by_sort_labels : by_sort_value);
    for (u32 i = 0; i < n; i++)
        l->at[i] = keys[i].s;
    l->n = n;
    return OK;
}

static Err sort_next(Op *op, Batch *b, Why *why)
{
    MiscOp *m = (MiscOp *)op;
    if (m->list)
        return m->list->next(m->list, b, why);
    SeriesList l = {0};
    if (op->g->n > 1)
        note(op->e, NOTE_SORT_IN_RANGE, op->p, (Str){0});
    TRY(op_drain(m->child, &l, why));
    TRY(sort_list(m, &l, why));
    return from_list(m, &l, b, why);
}

/* ---- absent ---- */

/* What the matchers promise: labels that are matched for equality once. */
Labels absent_labels(Eval *e, const Plan *arg)
{
    LabelsBuilder b;
    lb_init(&b, e->arena, (Labels){0});
    if (arg->kind != NODE_SELECTOR && arg->kind != NODE_MATRIX)
        return lb_build(&b);
    Matchers m = arg->sel->matchers;
    for (u32 i = 0; i < m.len; i++) {
        Str name = m.at[i].name;
        if (str_eq(name, LABEL_NAME))
            continue;
        bool before = false;
        for (u32 k = 0; k < i; k++)
            before |= str_eq(m.at[k].name, name) && m.at[k].op == MATCH_EQ;
        if (m.at[i].op == MATCH_EQ && !before)
            lb_set(&b, name, m.at[i].value);
        else
            lb_del(&b, name);
    }
    return lb_build(&b);
}

static Err absent_next(Op *op, Batch *b, Why *why)
{
    MiscOp *m = (MiscOp *)op;
    Eval *e = op->e;
    Grid *g = op->g;
    b->n = 0;
    if (m->done)
        return OK;
    m->done = true;
    f64 *v = col_get(e, g);
    if (!v)
        return eval_memory(why);
    for (u32 k = 0; k < g->n; k++)
        v[k] = 1;
    for (;;) {
        TRY(eval_check(e, why));
        TRY(m->child->next(m->child, b, why));
        if (b->n == 0)
            break;
        for (u32 i = 0; i < b->n; i++)
            for (u32 k = 0; k < g->n; k++)
                if (series_has(&b->at[i], k))
                    v[k] = ABSENT;
        batch_put(e, g, b);
    }
    b->at[b->n++] = (StepSeries){.labels = absent_labels(e, op->p->args[0]), .v = v};
    return OK;
}

/* ---- vector ---- */

static Err vector_next(Op *op, Batch *b, Why *why)
{
    MiscOp *m = (MiscOp *)op;
    b->n = 0;
    if (m->done)
        return OK;
    m->done = true;
    b->at[b->n++] = (StepSeries){.v = m->col};
    return OK;
}

Err op_misc(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    MiscOp *m = arena_new(e->arena, MiscOp);
    *ret = &m->op;
    switch (p->fn) {
    case FN_label_replace:
    case FN_label_join:
        op_init(&m->op, e, p, g, label_next);
        return op_build(e, p->args[0], g, &m->child, why);
    case FN_sort:
    case FN_sort_desc:
    case FN_sort_by_label:
    case FN_sort_by_label_desc:
        op_init(&m->op, e, p, g, sort_next);
        return op_build(e, p->args[0], g, &m->child, why);
    case FN_absent:
        op_init(&m->op, e, p, g, absent_next);
        return op_build(e, p->args[0], g, &m->child, why);
    case FN_absent_over_time:
        op_init(&m->op, e, p, g, absent_next);
        return op_range(e, p, g, &m->child, why);
    case FN_vector:
        op_init(&m->op, e, p, g, vector_next);
        return scalar_eval(e, p->args[0], g, &m->col, why);
    case FN_start_timestamp: /* of anything but a selector: unknown */
        return op_empty(e, p, g, ret);
    case FN_histogram_quantile:
    case FN_histogram_quantiles:
    case FN_histogram_fraction:
        return op_histogram(e, p, g, ret, why);
    case FN_info:
        return op_info(e, p, g, ret, why);
    default:
        return why_set(why, E_UNSUPPORTED, "function %s is not implemented", p->fn_name);
    }
}
