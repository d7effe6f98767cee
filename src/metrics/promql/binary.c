/* Binary operators: vector with scalar streams; vector with vector joins by signature. */
#include "metrics/promql/engine.h"

const char *op_word(TokenOp op)
{
    static const char *const words[] = {"",  "+", "-",  "*",  "/",   "%",  "^",      "atan2", "==", "!=",
                                        "<", ">", "<=", ">=", "and", "or", "unless", "</",    ">/"};
    return words[op];
}

bool op_compares(TokenOp op)
{
    return op >= OP_EQL && op <= OP_GTE;
}
static bool changes_meaning(TokenOp op)
{
    return op >= OP_ADD && op <= OP_ATAN2;
}

/* ---- elements ---- */

static f64 arithmetic(TokenOp op, f64 a, f64 b)
{
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUB:
        return a - b;
    case OP_MUL:
        return a * b;
    case OP_DIV:
        return a / b;
    case OP_MOD:
        return fmod(a, b);
    case OP_POW:
        return pow(a, b);
    case OP_ATAN2:
        return atan2(a, b);
    default:
        return NAN;
    }
}

static bool compare(TokenOp op, f64 a, f64 b)
{
    switch (op) {
    case OP_EQL:
        return a == b;
    case OP_NEQ:
        return a != b;
    case OP_LSS:
        return a < b;
    case OP_GTR:
        return a > b;
    case OP_LTE:
        return a <= b;
    case OP_GTE:
        return a >= b;
    default:
        return false;
    }
}

f64 scalar_binop(TokenOp op, f64 a, f64 b)
{
    return op_compares(op) ? compare(op, a, b) : arithmetic(op, a, b);
}

typedef struct Value {
    f64 v;
    const Histogram *h;
} Value;

static bool note_wrong(Eval *e, const Plan *p, Value a, Value b)
{
    note_types(e, p, a.h ? "histogram" : "float", op_word(p->node->u.bin.op), b.h ? "histogram" : "float");
    return false;
}

static bool add_histograms(Eval *e, const Plan *p, const Histogram *a, const Histogram *b, bool is_add,
                           Value *ret)
{
    Histogram *h = histogram_dup(e->hists, a);
    u32 flags = is_add ? histogram_add(e->hists, h, b) : histogram_sub(e->hists, h, b);
    const char *word = is_add ? "addition" : "subtraction";
    if (flags & HIST_INCOMPATIBLE) {
        note_words(e, NOTE_INCOMPATIBLE_LAYOUT, p, op_word(p->node->u.bin.op));
        return false;
    }
    if (flags & HIST_RESET_COLLISION) {
        note_words(e, NOTE_RESET_COLLISION, p, word);
        return false;
    }
    if (flags & HIST_BOUNDS_RECONCILED)
        note_words(e, NOTE_BOUNDS_RECONCILED, p, word);
    if (!is_add)
        h->hint = HIST_GAUGE;
    histogram_compact(e->hists, h);
    ret->h = h;
    return true;
}

/* False: no result, remarked on. ret_keep: whether a comparison holds. */
static bool with_histograms(Eval *e, const Plan *p, Value a, Value b, Value *ret, bool *ret_keep)
{
    TokenOp op = p->node->u.bin.op;
    *ret_keep = true;
    if (a.h && b.h) {
        if (op == OP_ADD || op == OP_SUB)
            return add_histograms(e, p, a.h, b.h, op == OP_ADD, ret);
        if (op != OP_EQL && op != OP_NEQ)
            return note_wrong(e, p, a, b);
        *ret = a;
        *ret_keep = histogram_same(a.h, b.h) == (op == OP_EQL);
        return true;
    }
    bool scales = op == OP_MUL || (a.h && op == OP_DIV),
         trims = a.h && (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER);
    if (!scales && !trims)
        return note_wrong(e, p, a, b);
    Histogram *h = histogram_dup(e->hists, a.h ? a.h : b.h);
    f64 by = a.h ? b.v : a.v;
    if (trims)
        histogram_trim(e->hists, h, by, op == OP_TRIM_UPPER);
    else if (op == OP_MUL)
        histogram_mul(e->hists, h, by);
    else
        histogram_div(e->hists, h, by);
    if (scales)
        histogram_compact(e->hists, h);
    *ret = (Value){0, h};
    return true;
}

static bool element(Eval *e, const Plan *p, Value a, Value b, Value *ret, bool *ret_keep)
{
    TokenOp op = p->node->u.bin.op;
    if (a.h || b.h)
        return with_histograms(e, p, a, b, ret, ret_keep);
    ret->h = NULL;
    if (op_compares(op)) {
        *ret_keep = compare(op, a.v, b.v);
        ret->v = a.v;
        return true;
    }
    if (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER)
        return note_wrong(e, p, a, b);
    *ret_keep = true;
    ret->v = arithmetic(op, a.v, b.v);
    return true;
}

/* ---- vector and scalar ---- */

typedef struct ScalarOp {
    Op op;
    Op *child;
    f64 *scalar;
    bool swapped; /* the scalar is on the left */
} ScalarOp;

/* The four that matter most, without a branch per operator in the loop. */
#define EACH(expr)                                                                                           \
    for (u32 k = 0; k < n; k++) {                                                                            \
        f64 x = v[k], y = c[k];                                                                              \
        v[k] = is_absent(x) ? x : (expr);                                                                    \
    }

static void scalar_floats(const ScalarOp *s, f64 *v)
{
    u32 n = s->op.g->n;
    const f64 *c = s->scalar;
    const Plan *p = s->op.p;
    TokenOp op = p->node->u.bin.op;
    bool swapped = s->swapped;
    if (op_compares(op)) {
        for (u32 k = 0; k < n; k++) {
            if (is_absent(v[k]))
                continue;
            bool holds = swapped ? compare(op, c[k], v[k]) : compare(op, v[k], c[k]);
            if (p->node->u.bin.return_bool)
                v[k] = holds;
            else if (!holds)
                v[k] = ABSENT;
        }
        return;
    }
    switch (op) {
    case OP_ADD:
        EACH(x + y) return;
    case OP_MUL:
        EACH(x * y) return;
    case OP_SUB:
        if (swapped)
            EACH(y - x)
        else
            EACH(x - y)
        return;
    case OP_DIV:
        if (swapped)
            EACH(y / x)
        else
            EACH(x / y)
        return;
    default:
        if (swapped)
            EACH(arithmetic(op, y, x))
        else
            EACH(arithmetic(op, x, y))
    }
}

static void scalar_mixed(const ScalarOp *s, StepSeries *series)
{
    Eval *e = s->op.e;
    const Plan *p = s->op.p;
    bool is_comparison = op_compares(p->node->u.bin.op), wants_bool = p->node->u.bin.return_bool;
    for (u32 k = 0; k < s->op.g->n; k++) {
        Value x = {series->v[k], series->h ? series->h[k] : NULL}, c = {s->scalar[k], NULL}, r = {0};
        bool keep = false;
        if (!x.h && is_absent(x.v))
            continue;
        bool ok = s->swapped ? element(e, p, c, x, &r, &keep) : element(e, p, x, c, &r, &keep);
        if (is_comparison && s->swapped)
            r = x;
        if (ok && wants_bool)
            r = (Value){keep, NULL};
        bool has = ok && (keep || wants_bool);
        series->v[k] = has && !r.h ? r.v : ABSENT;
        if (series->h)
            series->h[k] = has ? r.h : NULL;
    }
}

static Err scalar_next(Op *op, Batch *b, Why *why)
{
    ScalarOp *s = (ScalarOp *)op;
    TokenOp token = op->p->node->u.bin.op;
    bool trims = token == OP_TRIM_UPPER || token == OP_TRIM_LOWER;
    TRY(s->child->next(s->child, b, why));
    for (u32 i = 0; i < b->n; i++) {
        if (b->at[i].h || trims)
            scalar_mixed(s, &b->at[i]);
        else
            scalar_floats(s, b->at[i].v);
        if (changes_meaning(token) || op->p->node->u.bin.return_bool)
            name_drop(op->e, &b->at[i]);
    }
    return OK;
}

static Err build_scalar(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    ScalarOp *s = arena_new(e->arena, ScalarOp);
    s->swapped = p->args[0]->type == PROM_SCALAR;
    const Plan *vector = p->args[s->swapped ? 1 : 0];
    TRY(scalar_eval(e, p->args[s->swapped ? 0 : 1], g, &s->scalar, why));
    TRY(op_build(e, vector, g, &s->child, why));
    *ret = op_init(&s->op, e, p, g, scalar_next);
    if (changes_meaning(p->node->u.bin.op) || p->node->u.bin.return_bool)
        return op_merge_names(e, vector, ret, why);
    return OK;
}

/* ---- signatures ---- */

typedef struct Signatures {
    const VectorMatching *m;
    Str *names; /* sorted; with __name__ for ignoring */
    u32 names_len;
    U64Map index; /* hash -> ordinal */
    u32 n;
} Signatures;

static Err signatures_init(Eval *e, Signatures *s, const VectorMatching *m, Why *why)
{
    static const Str name = STR_INIT("__name__");
    *s = (Signatures){.m = m};
    s->names = sorted_names(e, m->labels, m->labels_len, m->on ? NULL : &name, &s->names_len);
    return s->names ? OK : eval_memory(why);
}

static bool named(const Signatures *s, Str name)
{
    for (u32 i = 0; i < s->names_len; i++)
        if (str_eq(s->names[i], name))
            return true;
    return false;
}

static u32 signature(Signatures *s, Labels l)
{
    u64 hash = s->m->on ? labels_hash_for(l, s->names, s->names_len)
                        : labels_hash_without(l, s->names, s->names_len);
    u64 *found = u64map_find(&s->index, hash);
    if (found)
        return (u32)*found;
    u64map_put(&s->index, hash, s->n);
    return s->n++;
}

/* The labels two series match by. */
static Labels match_labels(Eval *e, const Signatures *s, Labels l)
{
    Label *at = arena_array(e->arena, Label, MAX(l.len, 1));
    u32 n = 0;
    for (u32 i = 0; at && i < l.len; i++)
        if (named(s, l.at[i].name) == s->m->on)
            at[n++] = l.at[i];
    return (Labels){at, n};
}

/* ---- and, or, unless ---- */

typedef struct SetOp {
    Op op;
    Signatures sigs;
    Op *lhs, *rhs, *list;
    VEC(u8 *) present; /* by signature: per step, is anything there */
    bool ready;
} SetOp;

static Err mark(SetOp *s, u32 sig, const StepSeries *series, Why *why)
{
    Grid *g = s->op.g;
    while (s->present.len <= sig) {
        u8 *steps = arena_array(s->op.e->arena, u8, g->n);
        if (!steps)
            return eval_memory(why);
        memset(steps, 0, g->n);
        vec_push(&s->present, steps);
    }
    u8 *at = s->present.at[sig];
    for (u32 k = 0; k < g->n; k++)
        at[k] |= series_has(series, k);
    return OK;
}

static void keep_where(const SetOp *s, u32 sig, StepSeries *series, bool present)
{
    const u8 *at = sig < s->present.len ? s->present.at[sig] : NULL;
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

static void set_done(SetOp *s)
{
    vec_done(&s->present);
    u64map_done(&s->sigs.index);
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
            TRY(mark(s, signature(&s->sigs, b->at[i].labels), &b->at[i], why));
        batch_put(s->op.e, s->op.g, b);
    }
}

static Err and_unless_next(Op *op, Batch *b, Why *why)
{
    SetOp *s = (SetOp *)op;
    Err err = OK;
    if (!s->ready) {
        s->ready = true;
        err = read_rhs(s, why);
    }
    if (err == OK)
        err = s->lhs->next(s->lhs, b, why);
    for (u32 i = 0; err == OK && i < b->n; i++)
        keep_where(s, signature(&s->sigs, b->at[i].labels), &b->at[i], op->p->node->u.bin.op == OP_AND);
    if (err != OK || b->n == 0)
        set_done(s);
    return err;
}

static Err or_fill(SetOp *s, SeriesList *l, Why *why)
{
    Eval *e = s->op.e;
    SeriesList right = {0};
    TRY(op_drain(s->lhs, l, why));
    for (u32 i = 0; i < l->n; i++)
        TRY(mark(s, signature(&s->sigs, l->at[i].labels), &l->at[i], why));
    TRY(op_drain(s->rhs, &right, why));
    for (u32 i = 0; i < right.n; i++) {
        keep_where(s, signature(&s->sigs, right.at[i].labels), &right.at[i], false);
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
        Err err = or_fill(s, &l, why);
        set_done(s);
        TRY(err);
        s->list = op_from_list(op->e, op->g, op->p, &l);
    }
    return s->list->next(s->list, b, why);
}

static Err build_set(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    SetOp *s = arena_new(e->arena, SetOp);
    TRY(signatures_init(e, &s->sigs, p->node->u.bin.matching, why));
    TRY(op_build(e, p->args[0], g, &s->lhs, why));
    TRY(op_build(e, p->args[1], g, &s->rhs, why));
    *ret = op_init(&s->op, e, p, g, p->node->u.bin.op == OP_OR ? or_next : and_unless_next);
    return OK;
}

/* ---- vector and vector ---- */

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
    U64Map
        met; /* (partner, labels of the result) -> series of the many side, for group_left and group_right */
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
        s->sig[i] = signature(&j->sigs, s->list.at[i].labels);
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
    bool drops = changes_meaning(p->node->u.bin.op) || (p->node->u.bin.return_bool && !e->delayed_names);
    lb_init(&b, e->arena, drops ? drop_metadata_labels(e, many) : many);
    if (j->m->card == CARD_ONE_TO_ONE) {
        for (u32 i = 0; i < many.len; i++)
            if (named(&j->sigs, many.at[i].name) != j->m->on &&
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
            bool holds = compare(op, a[k], b[k]);
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
        BOTH(arithmetic(op, x, y))
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
        if (!(j->swapped ? element(e, p, o, m, &r, &keep) : element(e, p, m, o, &r, &keep)))
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

static bool overlap(const JoinOp *j, const StepSeries *a, const StepSeries *b, const StepSeries *one)
{
    for (u32 k = 0; k < j->op.g->n; k++)
        if (series_has(a, k) && series_has(b, k) && (!one || series_has(one, k)))
            return true;
    return false;
}

/* Two of the many side that meet the same partner at the same step must not end up as the same series. */
static Err check_grouped(JoinOp *j, Labels result, const StepSeries *many, const StepSeries *one, u32 partner,
                         Why *why)
{
    u64 key = labels_hash(result) * 0x9e3779b97f4a7c15ull + partner;
    u64 *before = u64map_find(&j->met, key);
    if (before && overlap(j, (const StepSeries *)(uintptr_t)*before, many, one))
        return why_set(why, E_EXEC,
                       "multiple matches for labels: grouping labels must ensure unique matches");
    if (!before)
        u64map_put(&j->met, key, (u64)(uintptr_t)many);
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
        u64map_done(&j->sigs.index);
        u64map_done(&j->met);
        TRY(err);
        j->list = op_from_list(op->e, op->g, op->p, &j->out);
    }
    return j->list->next(j->list, b, why);
}

Err op_binary(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    if (p->args[0]->type == PROM_SCALAR || p->args[1]->type == PROM_SCALAR)
        return build_scalar(e, p, g, ret, why);
    TokenOp op = p->node->u.bin.op;
    if (op == OP_AND || op == OP_OR || op == OP_UNLESS)
        return build_set(e, p, g, ret, why);
    JoinOp *j = arena_new(e->arena, JoinOp);
    const VectorMatching *m = j->m = p->node->u.bin.matching;
    TRY(signatures_init(e, &j->sigs, m, why));
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
