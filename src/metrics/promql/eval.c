/* The entry: budgets, columns, lists of series, and the assembly of a result. */
#include "metrics/promql/engine.h"

/* ---- budgets ---- */

Err eval_check(Eval *e, Why *why)
{
    if (cancel_is_set(e->q->cancel))
        return why_set(why, E_CANCELED, "query was canceled in expression evaluation");
    if (deadline_passed(e->deadline) || deadline_passed(e->q->deadline))
        return why_set(why, E_TIMEOUT, "query timed out in expression evaluation");
    if (arena_over(e->arena) || arena_over(e->hists) || arena_over(e->tmp))
        return eval_memory(why);
    return OK;
}

Err eval_hold(Eval *e, u64 samples, Why *why)
{
    e->samples_now += samples;
    e->samples_peak = MAX(e->samples_peak, e->samples_now);
    if (e->samples_now > e->samples_max)
        return why_set(why, E_LIMIT,
                       "query processing would load too many samples into memory in query execution "
                       "(query.max-samples is %llu)",
                       (unsigned long long)e->samples_max);
    return OK;
}

void eval_release(Eval *e, u64 samples)
{
    e->samples_now -= MIN(samples, e->samples_now);
}

U64Map *eval_map(Eval *e)
{
    U64Map *m = arena_new(e->arena, U64Map);
    U64Map **maps = arena_grow(e->arena, e->maps, &e->maps_cap, e->maps_len + 1, sizeof *maps);
    if (maps) { /* else the arena is over and the query about to end */
        e->maps = maps;
        e->maps[e->maps_len++] = m;
    }
    return m;
}

/* ---- grids and columns ---- */

void *arena_grow(Arena *a, void *at, u32 *cap, u32 need, size_t item_bytes)
{
    if (need <= *cap)
        return at;
    u32 cap_new = MAX(MAX(need, *cap * 2), 8);
    void *grown = arena_try(a, (size_t)cap_new * item_bytes);
    if (!grown)
        return NULL;
    if (*cap)
        memcpy(grown, at, (size_t)*cap * item_bytes);
    *cap = cap_new;
    return grown;
}

Grid *grid_new(Eval *e, i64 start, i64 step, u32 n)
{
    Grid *g = arena_new(e->arena, Grid);
    *g = (Grid){.start = start, .step = MAX(step, 1), .n = n, .is_instant = n == 1};
    return g;
}

Grid *grid_single(Eval *e, Grid *g)
{
    if (g->n == 1)
        return g;
    if (!g->single)
        g->single = grid_new(e, g->start, g->step, 1);
    return g->single;
}

f64 *col_get(Eval *e, Grid *g)
{
    if (g->free_len)
        return g->free_cols[--g->free_len];
    return arena_array(e->arena, f64, g->n);
}

void col_put(Eval *e, Grid *g, f64 *col)
{
    if (!col)
        return;
    f64 **cols = arena_grow(e->arena, g->free_cols, &g->free_cap, g->free_len + 1, sizeof *cols);
    if (!cols)
        return;
    g->free_cols = cols;
    g->free_cols[g->free_len++] = col;
}

/* Columns of pointers have the size of columns of numbers and come from the same list. */
const Histogram **hist_col_get(Eval *e, Grid *g)
{
    _Static_assert(sizeof(f64) == sizeof(void *), "columns are interchangeable");
    const Histogram **h = (void *)col_get(e, g);
    if (h)
        memset(h, 0, g->n * sizeof *h);
    return h;
}

void series_put(Eval *e, Grid *g, StepSeries *s)
{
    col_put(e, g, s->v);
    col_put(e, g, (void *)s->h);
    s->v = NULL;
    s->h = NULL;
}

void batch_put(Eval *e, Grid *g, Batch *b)
{
    for (u32 i = 0; i < b->n; i++)
        series_put(e, g, &b->at[i]);
    b->n = 0;
}

u32 series_count(const Grid *g, const StepSeries *s)
{
    u32 n = 0;
    for (u32 i = 0; i < g->n; i++)
        n += !is_absent(s->v[i]);
    for (u32 i = 0; s->h && i < g->n; i++)
        n += s->h[i] != NULL;
    return n;
}

/* ---- lists ---- */

Err list_push(Eval *e, SeriesList *l, StepSeries s, Why *why)
{
    StepSeries *at = arena_grow(e->arena, l->at, &l->cap, l->n + 1, sizeof *at);
    if (!at)
        return eval_memory(why);
    l->at = at;
    l->at[l->n++] = s;
    return OK;
}

Err op_drain(Op *op, SeriesList *ret, Why *why)
{
    Eval *e = op->e;
    Arena *hists = e->hists;
    e->hists = e->arena;
    Batch *b = arena_new(e->arena, Batch);
    Err err = OK;
    while (err == OK && (err = eval_check(e, why)) == OK && (err = op->next(op, b, why)) == OK && b->n) {
        for (u32 i = 0; i < b->n && err == OK; i++) {
            u32 n = series_count(op->g, &b->at[i]);
            if (!n) {
                series_put(e, op->g, &b->at[i]);
                continue;
            }
            err = eval_hold(e, n, why);
            if (err == OK)
                err = list_push(e, ret, b->at[i], why);
        }
    }
    e->hists = hists;
    return err;
}

typedef struct ListOp {
    Op op;
    SeriesList list;
    u32 at;
} ListOp;

static Err list_next(Op *op, Batch *b, Why *why)
{
    ListOp *l = (ListOp *)op;
    for (b->n = 0; b->n < BATCH_MAX && l->at < l->list.n;) {
        eval_release(op->e, series_count(op->g, &l->list.at[l->at]));
        b->at[b->n++] = l->list.at[l->at++];
    }
    return OK;
}

Op *op_from_list(Eval *e, Grid *g, const Plan *p, SeriesList *list)
{
    ListOp *l = arena_new(e->arena, ListOp);
    l->list = *list;
    return op_init(&l->op, e, p, g, list_next);
}

Err same_labelset(Why *why)
{
    return why_set(why, E_EXEC, "vector cannot contain metrics with the same labelset");
}

static Err series_join(Eval *e, Grid *g, StepSeries *to, StepSeries *from, Why *why)
{
    if (from->h && !to->h && !(to->h = hist_col_get(e, g)))
        return eval_memory(why);
    for (u32 i = 0; i < g->n; i++) {
        if (!series_has(from, i))
            continue;
        if (series_has(to, i))
            return same_labelset(why);
        to->v[i] = from->v[i];
        if (from->h)
            to->h[i] = from->h[i];
    }
    to->drop_name |= from->drop_name;
    series_put(e, g, from);
    return OK;
}

Err list_merge(Eval *e, Grid *g, SeriesList *l, Why *why)
{
    if (l->n < 2)
        return OK;
    U64Map seen = {0};
    u32 *chain = arena_array(e->arena, u32, l->n);
    if (!chain)
        return eval_memory(why);
    u32 n = 0;
    Err err = OK;
    for (u32 i = 0; i < l->n && err == OK; i++) {
        u64 hash = labels_hash(l->at[i].labels);
        u64 *first = u64map_find(&seen, hash);
        u32 k = first ? (u32)*first : UINT32_MAX;
        while (k != UINT32_MAX && !labels_eq(l->at[k].labels, l->at[i].labels))
            k = chain[k];
        if (k != UINT32_MAX) {
            err = series_join(e, g, &l->at[k], &l->at[i], why);
            continue;
        }
        l->at[n] = l->at[i];
        chain[n] = first ? (u32)*first : UINT32_MAX;
        u64map_put(&seen, hash, n++);
    }
    u64map_done(&seen);
    l->n = n;
    return err;
}

/* ---- names ---- */

void print_labels(Buf *out, Labels l)
{
    buf_char(out, '{');
    for (u32 i = 0; i < l.len; i++) {
        if (i)
            buf_c(out, ", ");
        if (label_name_is_classic(l.at[i].name))
            buf_str(out, l.at[i].name);
        else
            go_quote(out, l.at[i].name);
        buf_char(out, '=');
        go_quote(out, l.at[i].value);
    }
    buf_char(out, '}');
}

bool has_metadata_label(Labels l)
{
    for (u32 i = 0; i < l.len; i++) {
        Str name = l.at[i].name;
        if (name.len > 2 && name.at[0] == '_' &&
            (str_eq(name, LABEL_NAME) || str_eq(name, S("__type__")) || str_eq(name, S("__unit__"))))
            return true;
    }
    return false;
}

Labels drop_metadata_labels(Eval *e, Labels l)
{
    if (!has_metadata_label(l))
        return l;
    Label *at = arena_array(e->arena, Label, l.len);
    if (!at)
        return (Labels){0};
    u32 n = 0;
    for (u32 i = 0; i < l.len; i++) {
        Str name = l.at[i].name;
        if (!str_eq(name, LABEL_NAME) && !str_eq(name, S("__type__")) && !str_eq(name, S("__unit__")))
            at[n++] = l.at[i];
    }
    return (Labels){at, n};
}

void name_drop(Eval *e, StepSeries *s)
{
    if (!e->delayed_names)
        s->labels = drop_metadata_labels(e, s->labels);
    s->drop_name = true;
}

Err step_labels(Eval *e, StepSeries *s, Why *why)
{
    if (!s->bare)
        return OK;
    TRY(s->bare->labels(s->bare, s->id, &s->labels, why));
    s->bare = NULL;
    if (s->drop_name && !e->delayed_names)
        s->labels = drop_metadata_labels(e, s->labels);
    return OK;
}

/* ---- results ---- */

static const Histogram *const *export_hists(const Grid *g, const StepSeries *s, u32 n, Arena *arena)
{
    const Histogram **h = arena_array(arena, const Histogram *, n);
    const Histogram *last = NULL, *last_dup = NULL;
    for (u32 i = 0, k = 0; h && i < g->n; i++) {
        if (!series_has(s, i))
            continue;
        if (s->h[i] && s->h[i] != last) {
            last = s->h[i];
            last_dup = histogram_dup(arena, last);
        }
        h[k++] = s->h[i] ? last_dup : NULL;
    }
    return h;
}

static Err export_series(Eval *e, const Grid *g, const StepSeries *s, u32 n, Arena *arena, PromSeries *ret,
                         Why *why)
{
    i64 *t = arena_array(arena, i64, n);
    f64 *v = arena_array(arena, f64, n);
    if (!t || !v)
        return eval_memory(why);
    u32 k = 0;
    bool has_hists = false;
    for (u32 i = 0; i < g->n; i++) {
        if (!series_has(s, i))
            continue;
        t[k] = grid_at(g, i);
        v[k++] = s->h && s->h[i] ? 0 : s->v[i];
        has_hists |= s->h && s->h[i];
    }
    *ret = (PromSeries){.labels = labels_dup(arena, s->labels), .n = n, .t = t, .v = v};
    if (has_hists && !(ret->h = export_hists(g, s, n, arena)))
        return eval_memory(why);
    return arena_over(arena) ? eval_memory(why) : OK;
}

int series_order(const void *a, const void *b)
{
    return labels_cmp(((const PromSeries *)a)->labels, ((const PromSeries *)b)->labels);
}

/* Does the expression itself order its result? */
static bool is_ordering(const Plan *p)
{
    if (p->kind == NODE_AGGR)
        return p->node->u.aggr.op == AGGR_TOPK || p->node->u.aggr.op == AGGR_BOTTOMK;
    if (p->kind != NODE_CALL)
        return false;
    return p->fn == FN_sort || p->fn == FN_sort_desc || p->fn == FN_sort_by_label ||
           p->fn == FN_sort_by_label_desc;
}

static Err export_list(Eval *e, const Plan *p, Grid *g, SeriesList *l, Arena *arena, PromResult *ret,
                       Why *why)
{
    ret->series = arena_array(arena, PromSeries, MAX(l->n, 1));
    if (!ret->series)
        return eval_memory(why);
    for (u32 i = 0; i < l->n; i++) {
        u32 n = series_count(g, &l->at[i]);
        if (n)
            TRY(export_series(e, g, &l->at[i], n, arena, &ret->series[ret->series_len++], why));
    }
    if (e->is_range || !is_ordering(p))
        qsort(ret->series, ret->series_len, sizeof *ret->series, series_order);
    return OK;
}

static Err eval_scalar_result(Eval *e, const Plan *p, Grid *g, Arena *arena, PromResult *ret, Why *why)
{
    f64 *col;
    TRY(scalar_eval(e, p, g, &col, why));
    if (!e->is_range) {
        ret->scalar = col[0];
        return OK;
    }
    StepSeries s = {.v = col};
    SeriesList l = {&s, 1, 1};
    ret->type = PROM_MATRIX;
    return export_list(e, p, g, &l, arena, ret, why);
}

static Err eval_vector_result(Eval *e, const Plan *p, Grid *g, Arena *arena, PromResult *ret, Why *why)
{
    Op *op;
    SeriesList l = {0};
    TRY(op_build(e, p, g, &op, why));
    TRY(op_drain(op, &l, why));
    for (u32 i = 0; i < l.n; i++)
        if (l.at[i].drop_name)
            l.at[i].labels = drop_metadata_labels(e, l.at[i].labels);
    TRY(list_merge(e, g, &l, why));
    if (e->is_range)
        ret->type = PROM_MATRIX;
    return export_list(e, p, g, &l, arena, ret, why);
}

static Err eval_plan(Eval *e, const Plan *p, Arena *arena, PromResult *ret, Why *why)
{
    const PromQuery *q = e->q;
    i64 step = e->is_range ? q->step_ms : 1;
    u64 steps = e->is_range ? (u64)(q->end_ms - q->start_ms) / (u64)step + 1 : 1;
    if (steps > STEPS_MAX)
        return why_set(why, E_LIMIT,
                       "query would have %llu steps, more than the limit of %u: use a larger step",
                       (unsigned long long)steps, STEPS_MAX);
    Grid *g = grid_new(e, q->start_ms, step, (u32)steps);
    ret->type = p->type;
    ret->t = q->start_ms;
    switch (p->type) {
    case PROM_STRING:
        ret->string = arena_dup(arena, p->string);
        return OK;
    case PROM_SCALAR:
        return eval_scalar_result(e, p, g, arena, ret, why);
    case PROM_MATRIX:
        return eval_matrix(e, p, g, arena, ret, why);
    default:
        return eval_vector_result(e, p, g, arena, ret, why);
    }
}

static Err check_query(const PromQuery *q, const Node *tree, bool is_range, Why *why)
{
    /* Times are kept far from the ends of the number line so that offsets and ranges cannot overflow. */
    i64 far = INT64_MAX / 8;
    if (q->start_ms > far || q->start_ms < -far || q->end_ms > far || q->end_ms < -far)
        return why_set(why, E_INVALID, "evaluation time out of range");
    if (!is_range)
        return OK;
    if (q->step_ms <= 0)
        return why_set(
            why, E_INVALID,
            "zero or negative query resolution step widths are not accepted. Try a positive integer");
    if (q->end_ms < q->start_ms)
        return why_set(why, E_INVALID, "end timestamp must not be before start time");
    if (tree->type != PROM_VECTOR && tree->type != PROM_SCALAR)
        return why_set(why, E_INVALID,
                       "invalid expression type \"%s\" for range query, must be Scalar or instant Vector",
                       prom_type_name(tree->type));
    return OK;
}

void eval_child(const Eval *e, Eval *ret, Arena *work, Arena *tmp)
{
    *ret = (Eval){.config = e->config,
                  .src = e->src,
                  .q = e->q,
                  .arena = work,
                  .hists = work,
                  .tmp = tmp,
                  .lookback = e->lookback,
                  .subquery_step = e->subquery_step,
                  .features = e->features,
                  .delayed_names = e->delayed_names,
                  .is_range = e->is_range,
                  .deadline = e->deadline,
                  .samples_max = e->samples_max};
}

void eval_absorb(Eval *e, const Eval *child)
{
    e->samples_read += child->samples_read;
    e->samples_peak = MAX(e->samples_peak, e->samples_now + child->samples_peak);
    notes_absorb(e, child);
}

void eval_done(Eval *e)
{
    for (u32 i = 0; i < e->cursors_len; i++)
        e->cursors[i]->close(e->cursors[i]);
    for (u32 i = 0; i < e->matchers_len; i++)
        matcher_done(e->matchers[i]);
    for (u32 i = 0; i < e->maps_len; i++)
        u64map_done(e->maps[i]);
    u64map_done(&e->note_keys);
}

/* Whatever noticed it: the sentence says which budget, how large, and what was in use. */
static void name_budget(const PromEngineConfig *c, u64 max, u64 used, Why *why)
{
    u64 charged = c->account ? account_used(c->account) : 0;
    why_set(why, E_LIMIT,
            "query processing would use too much memory: %llu of %llu bytes in use "
            "(query.max-memory, or memory.max of the process)",
            (unsigned long long)MAX(used, MIN(charged, max)), (unsigned long long)max);
}

Err promql_eval(const PromEngineConfig *c, PromSource *src, const PromQuery *q, Node *tree, Arena *arena,
                PromResult *ret, Why *why)
{
    bool is_range = q->is_range || q->step_ms != 0;
    TRY(check_query(q, tree, is_range, why));
    Arena work, tmp;
    u64 memory_max = c->memory_max ? c->memory_max : 1ull << 30;
    arena_init(&work, c->account, memory_max);
    arena_init(&tmp, c->account, memory_max / 4);
    Clock *clock = c->clock ? c->clock : clock_real();
    Eval e = {
        .config = c,
        .src = src,
        .q = q,
        .arena = &work,
        .hists = &work,
        .tmp = &tmp,
        .lookback = q->lookback_ms > 0   ? q->lookback_ms
                    : c->lookback_ms > 0 ? c->lookback_ms
                                         : 300000,
        .subquery_step = c->default_subquery_step_ms > 0 ? c->default_subquery_step_ms : 60000,
        .features = c->features,
        .delayed_names = (c->features & PROMQL_DELAYED_NAME_REMOVAL) != 0,
        .is_range = is_range,
        .deadline = deadline_in_ms(clock, c->timeout_ms > 0 ? c->timeout_ms : 120000),
        .samples_max = c->samples_max ? c->samples_max : 50000000,
    };
    PromResult result = {0};
    Plan *plan;
    Err err = plan_make(&e, tree, &plan, why);
    if (err == OK)
        err = eval_plan(&e, plan, arena, &result, why);
    if (err == OK)
        err = eval_check(&e, why);
    if (err == OK) {
        notes_export(&e, arena, &result);
        result.samples_read = e.samples_read;
        result.samples_peak = e.samples_peak;
        *ret = result;
    }
    bool storage_gave_up = err == E_LIMIT && why && str_starts(str_c(why->text), S("the query"));
    if (err == E_LIMIT && (storage_gave_up || arena_over(&work) || arena_over(&tmp) || arena_over(arena)))
        name_budget(c, memory_max, arena_used(&work) + arena_used(&tmp) + arena_used(arena), why);
    eval_done(&e);
    arena_done(&tmp);
    arena_done(&work);
    return err;
}

Err promql_query(const PromEngineConfig *c, PromSource *src, const PromQuery *q, Arena *arena,
                 PromResult *ret, Why *why)
{
    Node *tree;
    TRY(promql_parse(q->text, c->features, arena, &tree, NULL, why));
    Err err = promql_eval(c, src, q, tree, arena, ret, why);
    promql_done(tree);
    return err;
}
