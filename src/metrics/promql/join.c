/* Vector with vector: one to one, or many to one. */
#include "metrics/promql/binary.h"

typedef struct Side {
    SeriesList list;
    u32 *sig;   /* per series */
    u32 *next;  /* the next series of the same signature, UINT32_MAX at the end */
    u32 *first; /* per signature */
    u8 *steps;  /* per step: is anything there */
} Side;
typedef struct JoinOp {
    Op op;
    Signatures sigs;
    const VectorMatching *m;
    Op *lhs, *rhs, *list;
    Side many, one; /* one: the side whose series are unique per signature */
    bool swapped;   /* one is the left side */
    bool fills_one, fills_many;
    f64 fill_one, fill_many;
    U64Map *met; /* (partner, labels of the result) -> series of the many side: for group_left */
    SeriesList out;
} JoinOp;

static Err side_read(JoinOp *j, Side *s, Op *op, Why *why)
{
    Eval *e = j->op.e;
    Grid *g = j->op.g;
    TRY(op_drain(op, &s->list, why));
    s->sig = arena_array(e->arena, u32, MAX(s->list.n, 1));
    s->next = arena_array(e->arena, u32, MAX(s->list.n, 1));
    s->steps = arena_array(e->arena, u8, g->n);
    if (!s->sig || !s->next || !s->steps)
        return eval_memory(why);
    memset(s->steps, 0, g->n);
    for (u32 i = 0; i < s->list.n; i++) {
        s->sig[i] = signature_of(&j->sigs, s->list.at[i].labels);
        for (u32 k = 0; k < g->n; k++)
            s->steps[k] |= series_has(&s->list.at[i], k);
    }
    return OK;
}

static Err side_index(JoinOp *j, Side *s, Why *why)
{
    s->first = arena_array(j->op.e->arena, u32, MAX(j->sigs.n, 1));
    if (!s->first)
        return eval_memory(why);
    memset(s->first, 0xff, MAX(j->sigs.n, 1) * sizeof *s->first);
    for (u32 i = s->list.n; i-- > 0;) {
        s->next[i] = s->first[s->sig[i]];
        s->first[s->sig[i]] = i;
    }
    return OK;
}

/* At steps where one side is altogether empty nothing is matched, and nothing is complained about. */
static bool step_counts(const JoinOp *j, u32 k)
{
    bool many = j->many.steps[k], one = j->one.steps[k];
    return many && one ? true : (many || one) && (j->fills_one || j->fills_many);
}

static Err duplicate_on_one_side(JoinOp *j, const StepSeries *a, const StepSeries *b, Why *why)
{
    Buf group, la, lb;
    buf_init(&group, 400);
    buf_init(&la, 400);
    buf_init(&lb, 400);
    print_labels(&group, match_labels(j->op.e, &j->sigs, a->labels));
    print_labels(&la, a->labels);
    print_labels(&lb, b->labels);
    Str x = buf_view(&la), y = buf_view(&lb);
    if (str_cmp(x, y) > 0) {
        Str swap = x;
        x = y;
        y = swap;
    }
    Err err = why_set(
        why, E_EXEC,
        "found duplicate series for the match group %.*s on the %s hand-side of the operation: [%.*s, "
        "%.*s];many-to-many matching not allowed: matching labels must be unique on one side",
        STR_FMT(buf_view(&group)), j->swapped ? "left" : "right", STR_FMT(x), STR_FMT(y));
    buf_done(&group);
    buf_done(&la);
    buf_done(&lb);
    return err;
}

static Err check_one_side(JoinOp *j, Why *why)
{
    Side *one = &j->one;
    for (u32 s = 0; s < j->sigs.n; s++) {
        for (u32 a = one->first[s]; a != UINT32_MAX; a = one->next[a]) {
            for (u32 b = one->next[a]; b != UINT32_MAX; b = one->next[b]) {
                for (u32 k = 0; k < j->op.g->n; k++)
                    if (series_has(&one->list.at[a], k) && series_has(&one->list.at[b], k) &&
                        step_counts(j, k))
                        return duplicate_on_one_side(j, &one->list.at[b], &one->list.at[a], why);
            }
        }
    }
    return OK;
}

static Labels result_labels(JoinOp *j, Labels many, Labels one)
{
    Eval *e = j->op.e;
    const Plan *p = j->op.p;
    LabelsBuilder b;
    bool drops = op_changes_meaning(p->node->u.bin.op) || (p->node->u.bin.return_bool && !e->delayed_names);
    lb_init(&b, e->arena, drops ? drop_metadata_labels(e, many) : many);
    if (j->m->card == CARD_ONE_TO_ONE) {
        for (u32 i = 0; i < many.len; i++)
            if (signature_names(&j->sigs, many.at[i].name) != j->m->on &&
                !(!j->m->on && str_eq(many.at[i].name, LABEL_NAME)))
                lb_del(&b, many.at[i].name);
    }
    for (u32 i = 0; i < j->m->include_len; i++) {
        Str v = labels_get(one, j->m->include[i]);
        if (str_empty(v))
            lb_del(&b, j->m->include[i]);
        else
            lb_set(&b, j->m->include[i], v);
    }
    return lb_build(&b);
}

static void floats_together(const JoinOp *j, const StepSeries *many, const StepSeries *one, StepSeries *out)
{
    const Plan *p = j->op.p;
    TokenOp op = p->node->u.bin.op;
    const f64 *a = j->swapped ? one->v : many->v, *b = j->swapped ? many->v : one->v;
    f64 *v = out->v;
    u32 n = j->op.g->n;
#define BOTH(expr)                                                                                           \
    for (u32 k = 0; k < n; k++) {                                                                            \
        f64 x = a[k], y = b[k];                                                                              \
        v[k] = is_absent(x) || is_absent(y) ? ABSENT : (expr);                                               \
    }
    if (op_compares(op)) {
        bool wants_bool = p->node->u.bin.return_bool;
        for (u32 k = 0; k < n; k++) {
            v[k] = ABSENT;
            if (is_absent(a[k]) || is_absent(b[k]))
                continue;
            bool holds = binop_compare(op, a[k], b[k]);
            if (wants_bool)
                v[k] = holds;
            else if (holds)
                v[k] = a[k];
        }
        return;
    }
    switch (op) {
    case OP_ADD:
        BOTH(x + y) return;
    case OP_SUB:
        BOTH(x - y) return;
    case OP_MUL:
        BOTH(x * y) return;
    case OP_DIV:
        BOTH(x / y) return;
    default:
        BOTH(binop_arithmetic(op, x, y))
    }
#undef BOTH
}

static Err pair_mixed(JoinOp *j, const StepSeries *many, const StepSeries *one, StepSeries *out, Why *why)
{
    Eval *e = j->op.e;
    const Plan *p = j->op.p;
    for (u32 k = 0; k < j->op.g->n; k++) {
        out->v[k] = ABSENT;
        if (!series_has(many, k) || !series_has(one, k))
            continue;
        Value m = {many->v[k], many->h ? many->h[k] : NULL}, o = {one->v[k], one->h ? one->h[k] : NULL},
              r = {0};
        bool keep = false;
        if (!(j->swapped ? binop_element(e, p, o, m, &r, &keep) : binop_element(e, p, m, o, &r, &keep)))
            continue;
        if (p->node->u.bin.return_bool)
            r = (Value){keep, NULL};
        else if (!keep)
            continue;
        if (!r.h) {
            out->v[k] = r.v;
            continue;
        }
        if (!out->h && !(out->h = hist_col_get(e, j->op.g)))
            return eval_memory(why);
        out->h[k] = r.h;
    }
    return OK;
}

/* Values the operator has no answer for do not meet, so they are in nobody's way. */
static bool meets(const JoinOp *j, const StepSeries *many, const StepSeries *one, u32 k)
{
    const Plan *p = j->op.p;
    TokenOp op = p->node->u.bin.op;
    if (!series_has(many, k) || !series_has(one, k))
        return false;
    Value m = {many->v[k], many->h ? many->h[k] : NULL}, o = {one->v[k], one->h ? one->h[k] : NULL}, r = {0};
    if (!m.h && !o.h && op != OP_TRIM_LOWER && op != OP_TRIM_UPPER)
        return true;
    bool keep;
    return j->swapped ? binop_element(j->op.e, p, o, m, &r, &keep)
                      : binop_element(j->op.e, p, m, o, &r, &keep);
}

/* Do both of the many side meet this one at some step? one NULL: a fill value meets everything. */
static bool overlap(const JoinOp *j, const StepSeries *a, const StepSeries *b, const StepSeries *one)
{
    for (u32 k = 0; k < j->op.g->n; k++)
        if (series_has(a, k) && series_has(b, k) && (!one || (meets(j, a, one, k) && meets(j, b, one, k))))
            return true;
    return false;
}

/* Two of the many side that meet the same partner at the same step must not end up as the same series. */
static Err check_grouped(JoinOp *j, Labels result, const StepSeries *many, const StepSeries *one, u32 partner,
                         Why *why)
{
    u64 key = labels_hash(result) * 0x9e3779b97f4a7c15ull + partner;
    u64 *before = u64map_find(j->met, key);
    if (before && overlap(j, (const StepSeries *)(uintptr_t)*before, many, one))
        return why_set(why, E_EXEC,
                       "multiple matches for labels: grouping labels must ensure unique matches");
    if (!before)
        u64map_put(j->met, key, (u64)(uintptr_t)many);
    return OK;
}

static Err pair(JoinOp *j, const StepSeries *many, const StepSeries *one, u32 partner, Why *why)
{
    Eval *e = j->op.e;
    StepSeries out = {.labels = result_labels(j, many->labels, one->labels), .v = col_get(e, j->op.g)};
    if (!out.v)
        return eval_memory(why);
    if (j->m->card != CARD_ONE_TO_ONE)
        TRY(check_grouped(j, out.labels, many, one, partner, why));
    TokenOp op = j->op.p->node->u.bin.op;
    if (many->h || one->h || op == OP_TRIM_LOWER || op == OP_TRIM_UPPER)
        TRY(pair_mixed(j, many, one, &out, why));
    else
        floats_together(j, many, one, &out);
    out.drop_name = j->op.p->node->u.bin.return_bool;
    u32 n = series_count(j->op.g, &out);
    if (!n) {
        series_put(e, j->op.g, &out);
        return OK;
    }
    TRY(eval_hold(e, n, why));
    return list_push(e, &j->out, out, why);
}

/* One to one: at each step one series per signature, on this side too. one NULL: a fill value is always there. */
static Err check_many_side(JoinOp *j, u32 sig, const StepSeries *one, Why *why)
{
    Side *many = &j->many;
    for (u32 a = many->first[sig]; a != UINT32_MAX; a = many->next[a])
        for (u32 b = many->next[a]; b != UINT32_MAX; b = many->next[b])
            if (overlap(j, &many->list.at[a], &many->list.at[b], one))
                return why_set(why, E_EXEC,
                               "multiple matches for labels: many-to-one matching must be explicit "
                               "(group_left/group_right)");
    return OK;
}

/* ---- fill: a value where the partner is missing ---- */

static Err filled(JoinOp *j, const StepSeries *have, const u8 *taken, f64 fill, bool have_is_many, Why *why)
{
    Eval *e = j->op.e;
    Grid *g = j->op.g;
    StepSeries partner = {.labels = match_labels(e, &j->sigs, have->labels), .v = col_get(e, g)};
    if (!partner.v)
        return eval_memory(why);
    for (u32 k = 0; k < g->n; k++)
        partner.v[k] = taken[k] ? ABSENT : fill;
    if (have_is_many)
        return pair(j, have, &partner, UINT32_MAX, why);
    /* Every stand-in is a series of its own: it meets its one partner only. */
    StepSeries *kept = arena_new(e->arena, StepSeries);
    *kept = partner;
    return pair(j, kept, have, UINT32_MAX - 1, why);
}

static void mark_present(const Grid *g, const Side *s, u32 sig, u8 *steps)
{
    memset(steps, 0, g->n);
    for (u32 i = s->first[sig]; i != UINT32_MAX; i = s->next[i])
        for (u32 k = 0; k < g->n; k++)
            steps[k] |= series_has(&s->list.at[i], k);
}

static Err fill_signature(JoinOp *j, u32 sig, u8 *steps, Why *why)
{
    if (j->fills_one) {
        mark_present(j->op.g, &j->one, sig, steps);
        for (u32 i = j->many.first[sig]; i != UINT32_MAX; i = j->many.next[i])
            TRY(filled(j, &j->many.list.at[i], steps, j->fill_one, true, why));
    }
    if (j->fills_many) {
        mark_present(j->op.g, &j->many, sig, steps);
        for (u32 i = j->one.first[sig]; i != UINT32_MAX; i = j->one.next[i])
            TRY(filled(j, &j->one.list.at[i], steps, j->fill_many, false, why));
    }
    return OK;
}

static Err join(JoinOp *j, Why *why)
{
    u8 *steps = arena_array(j->op.e->arena, u8, j->op.g->n);
    bool is_one_to_one = j->m->card == CARD_ONE_TO_ONE;
    if (!steps)
        return eval_memory(why);
    TRY(side_read(j, &j->many, j->swapped ? j->rhs : j->lhs, why));
    TRY(side_read(j, &j->one, j->swapped ? j->lhs : j->rhs, why));
    TRY(side_index(j, &j->many, why));
    TRY(side_index(j, &j->one, why));
    TRY(check_one_side(j, why));
    /* In the order of the many side, as its series came. */
    for (u32 i = 0; i < j->many.list.n; i++) {
        u32 sig = j->many.sig[i];
        bool is_first = j->many.first[sig] == i;
        if ((i & 1023) == 0)
            TRY(eval_check(j->op.e, why));
        if (is_first && is_one_to_one && j->fills_one)
            TRY(check_many_side(j, sig, NULL, why));
        for (u32 o = j->one.first[sig]; o != UINT32_MAX; o = j->one.next[o]) {
            if (is_first && is_one_to_one && !j->fills_one)
                TRY(check_many_side(j, sig, &j->one.list.at[o], why));
            TRY(pair(j, &j->many.list.at[i], &j->one.list.at[o], o, why));
        }
    }
    for (u32 sig = 0; (j->fills_one || j->fills_many) && sig < j->sigs.n; sig++)
        TRY(fill_signature(j, sig, steps, why));
    for (u32 i = 0; i < j->many.list.n; i++)
        series_put(j->op.e, j->op.g, &j->many.list.at[i]);
    for (u32 i = 0; i < j->one.list.n; i++)
        series_put(j->op.e, j->op.g, &j->one.list.at[i]);
    return list_merge(j->op.e, j->op.g, &j->out, why);
}

static Err join_next(Op *op, Batch *b, Why *why)
{
    JoinOp *j = (JoinOp *)op;
    if (!j->list) {
        /* Results outlive this call, so their histograms must too. */
        Arena *hists = op->e->hists;
        op->e->hists = op->e->arena;
        Err err = join(j, why);
        op->e->hists = hists;
        TRY(err);
        j->list = op_from_list(op->e, op->g, op->p, &j->out);
    }
    return j->list->next(j->list, b, why);
}

Err op_join(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    JoinOp *j = arena_new(e->arena, JoinOp);
    const VectorMatching *m = j->m = p->node->u.bin.matching;
    TRY(signatures_init(e, &j->sigs, m, why));
    j->met = eval_map(e);
    j->swapped = m->card == CARD_ONE_TO_MANY;
    /* fill_right stands in for the one side, fill_left for the many, also after the sides changed places. */
    j->fills_one = m->has_fill_right;
    j->fill_one = m->fill_right;
    j->fills_many = m->has_fill_left;
    j->fill_many = m->fill_left;
    TRY(op_build(e, p->args[0], g, &j->lhs, why));
    TRY(op_build(e, p->args[1], g, &j->rhs, why));
    *ret = op_init(&j->op, e, p, g, join_next);
    return OK;
}
