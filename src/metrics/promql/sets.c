/* and, or, unless; and the signatures by which the series of two vectors find each other. */
#include "metrics/promql/binary.h"

/* ---- signatures ---- */

Err signatures_init(Eval *e, Signatures *s, const VectorMatching *m, Why *why)
{
    static const Str name = STR_INIT("__name__");
    *s = (Signatures){.m = m, .index = eval_map(e)};
    s->names = sorted_names(e, m->labels, m->labels_len, m->on ? NULL : &name, &s->names_len);
    return s->names ? OK : eval_memory(why);
}

bool signature_names(const Signatures *s, Str name)
{
    for (u32 i = 0; i < s->names_len; i++)
        if (str_eq(s->names[i], name))
            return true;
    return false;
}

u32 signature_of(Signatures *s, Labels l)
{
    u64 hash = s->m->on ? labels_hash_for(l, s->names, s->names_len)
                        : labels_hash_without(l, s->names, s->names_len);
    u64 *found = u64map_find(s->index, hash);
    if (found)
        return (u32)*found;
    u64map_put(s->index, hash, s->n);
    return s->n++;
}

/* The labels two series match by. */
Labels match_labels(Eval *e, const Signatures *s, Labels l)
{
    Label *at = arena_array(e->arena, Label, MAX(l.len, 1));
    u32 n = 0;
    for (u32 i = 0; at && i < l.len; i++)
        if (signature_names(s, l.at[i].name) == s->m->on)
            at[n++] = l.at[i];
    return (Labels){at, n};
}

/* ---- and, or, unless ---- */

typedef struct SetOp {
    Op op;
    Signatures sigs;
    Op *lhs, *rhs, *list;
    u8 **present; /* by signature: per step, is anything there */
    u32 present_len, present_cap;
    bool ready;
} SetOp;

static Err mark(SetOp *s, u32 sig, const StepSeries *series, Why *why)
{
    Grid *g = s->op.g;
    Eval *e = s->op.e;
    while (s->present_len <= sig) {
        u8 *steps = arena_array(e->arena, u8, g->n);
        u8 **present = arena_grow(e->arena, s->present, &s->present_cap, s->present_len + 1, sizeof *present);
        if (!steps || !present)
            return eval_memory(why);
        memset(steps, 0, g->n);
        s->present = present;
        s->present[s->present_len++] = steps;
    }
    u8 *at = s->present[sig];
    for (u32 k = 0; k < g->n; k++)
        at[k] |= series_has(series, k);
    return OK;
}

static void keep_where(const SetOp *s, u32 sig, StepSeries *series, bool present)
{
    const u8 *at = sig < s->present_len ? s->present[sig] : NULL;
    if (!at && !present)
        return;
    for (u32 k = 0; k < s->op.g->n; k++) {
        if (at && at[k] == present)
            continue;
        series->v[k] = ABSENT;
        if (series->h)
            series->h[k] = NULL;
    }
}

static Err read_rhs(SetOp *s, Why *why)
{
    Batch *b = arena_new(s->op.e->arena, Batch);
    for (;;) {
        TRY(eval_check(s->op.e, why));
        TRY(s->rhs->next(s->rhs, b, why));
        if (b->n == 0)
            return OK;
        for (u32 i = 0; i < b->n; i++)
            TRY(mark(s, signature_of(&s->sigs, b->at[i].labels), &b->at[i], why));
        batch_put(s->op.e, s->op.g, b);
    }
}

static Err and_unless_next(Op *op, Batch *b, Why *why)
{
    SetOp *s = (SetOp *)op;
    if (!s->ready) {
        s->ready = true;
        TRY(read_rhs(s, why));
    }
    TRY(s->lhs->next(s->lhs, b, why));
    for (u32 i = 0; i < b->n; i++)
        keep_where(s, signature_of(&s->sigs, b->at[i].labels), &b->at[i], op->p->node->u.bin.op == OP_AND);
    return OK;
}

static Err or_fill(SetOp *s, SeriesList *l, Why *why)
{
    Eval *e = s->op.e;
    SeriesList right = {0};
    TRY(op_drain(s->lhs, l, why));
    for (u32 i = 0; i < l->n; i++)
        TRY(mark(s, signature_of(&s->sigs, l->at[i].labels), &l->at[i], why));
    TRY(op_drain(s->rhs, &right, why));
    for (u32 i = 0; i < right.n; i++) {
        keep_where(s, signature_of(&s->sigs, right.at[i].labels), &right.at[i], false);
        if (series_count(s->op.g, &right.at[i]))
            TRY(list_push(e, l, right.at[i], why));
    }
    return list_merge(e, s->op.g, l, why);
}

static Err or_next(Op *op, Batch *b, Why *why)
{
    SetOp *s = (SetOp *)op;
    if (!s->list) {
        SeriesList l = {0};
        TRY(or_fill(s, &l, why));
        s->list = op_from_list(op->e, op->g, op->p, &l);
    }
    return s->list->next(s->list, b, why);
}

Err op_set(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    SetOp *s = arena_new(e->arena, SetOp);
    TRY(signatures_init(e, &s->sigs, p->node->u.bin.matching, why));
    TRY(op_build(e, p->args[0], g, &s->lhs, why));
    TRY(op_build(e, p->args[1], g, &s->rhs, why));
    *ret = op_init(&s->op, e, p, g, p->node->u.bin.op == OP_OR ? or_next : and_unless_next);
    return OK;
}
