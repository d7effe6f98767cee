/* histogram_quantile, histogram_quantiles, histogram_fraction: over classic buckets (series with `le`) and native histograms. */
#include "metrics/promql/engine.h"

typedef struct Bucket {
    f64 upper, count;
} Bucket;

/* Differences below this are artefacts of arithmetic on very large counts, not decreases. */
#define SMALL_DELTA 1e-12

/* ---- classic buckets at one step, ascending ---- */

static u32 coalesce(Bucket *b, u32 n)
{
    u32 k = 0;
    for (u32 i = 1; i < n; i++) {
        if (b[i].upper == b[k].upper)
            b[k].count += b[i].count;
        else
            b[++k] = b[i];
    }
    return k + 1;
}

static bool nearly_equal(f64 a, f64 b, f64 epsilon)
{
    if (isnan(a) && isnan(b))
        return true;
    if (a == b)
        return true;
    f64 sum = fabs(a) + fabs(b), diff = fabs(a - b), smallest = 0x1p-1022;
    if (a == 0 || b == 0 || sum < smallest)
        return diff < epsilon * smallest;
    return diff / fmin(sum, 0x1.fffffffffffffp1023) < epsilon;
}

typedef struct Forced {
    bool any;
    f64 min_bucket, max_bucket, max_diff;
} Forced;

/* Counts must not fall with rising bounds: where they do (data torn between scrapes), the envelope is used. */
static Forced make_monotonic(Bucket *b, u32 n)
{
    Forced f = {false, INFINITY, -INFINITY, 0};
    f64 prev = b[0].count;
    for (u32 i = 1; i < n; i++) {
        f64 now = b[i].count;
        if (now == prev)
            continue;
        if (nearly_equal(prev, now, SMALL_DELTA)) {
            b[i].count = prev;
        } else if (now < prev) {
            b[i].count = prev;
            f.any = true;
            f.min_bucket = fmin(f.min_bucket, b[i].upper);
            f.max_bucket = fmax(f.max_bucket, b[i].upper);
            f.max_diff = fmax(f.max_diff, prev - now);
        } else {
            prev = now;
        }
    }
    return f;
}

static f64 bucket_quantile(f64 q, Bucket *b, u32 n, Forced *ret_forced)
{
    *ret_forced = (Forced){0};
    if (isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    if (b[n - 1].upper != INFINITY)
        return NAN;
    n = coalesce(b, n);
    *ret_forced = make_monotonic(b, n);
    f64 total = b[n - 1].count;
    if (n < 2 || total == 0)
        return NAN;
    f64 rank = q * total;
    u32 at = 0;
    for (u32 lo = 0, hi = n - 1; lo < hi;) {
        u32 mid = (lo + hi) / 2;
        if (b[mid].count >= rank)
            hi = mid;
        else
            lo = mid + 1;
        at = lo;
    }
    if (at == n - 1)
        return b[n - 2].upper;
    if (at == 0 && b[0].upper <= 0)
        return b[0].upper;
    f64 start = 0, count = b[at].count;
    if (at > 0) {
        start = b[at - 1].upper;
        count -= b[at - 1].count;
        rank -= b[at - 1].count;
    }
    return start + (b[at].upper - start) * (rank / count);
}

static f64 bucket_fraction(f64 lower, f64 upper, Bucket *b, u32 n)
{
    if (b[n - 1].upper != INFINITY)
        return NAN;
    n = coalesce(b, n);
    f64 total = b[n - 1].count;
    if (total == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    f64 bound[2] = {lower, upper}, at[2] = {0, 0}, rank = 0;
    bool is_set[2] = {false, false};
    f64 from = b[0].upper <= 0 ? -INFINITY : 0;
    for (u32 i = 0; i < n; i++) {
        if (i > 0)
            from = b[i - 1].upper;
        for (int side = 0; side < 2; side++) {
            if (is_set[side])
                continue;
            if (from >= bound[side]) {
                at[side] = rank;
                is_set[side] = true;
            } else if (b[i].upper > bound[side]) {
                at[side] = from == -INFINITY
                               ? b[i].count
                               : rank + (b[i].count - rank) * (bound[side] - from) / (b[i].upper - from);
                is_set[side] = true;
            }
        }
        rank = b[i].count;
    }
    for (int side = 0; side < 2; side++)
        if (!is_set[side] || at[side] > total)
            at[side] = total;
    return (at[1] - at[0]) / total;
}

/* ---- the operator ---- */

typedef struct Member {
    f64 upper;
    u32 series, group;
} Member;
typedef struct HistogramOp {
    Op op;
    const Plan *arg; /* the vector */
    Op *child, *list;
    f64 **params; /* quantiles, or lower and upper */
    u32 params_len;
    Str label; /* histogram_quantiles */
    SeriesList in, out;
    Member *members; /* of classic histograms, by group and bound */
    u32 members_len;
    Labels *groups; /* labels without le */
    u32 groups_len, groups_cap;
    Bucket *buckets;
} HistogramOp;

static Labels without_le(Eval *e, Labels l)
{
    Label *at = arena_array(e->arena, Label, MAX(l.len, 1));
    u32 n = 0;
    for (u32 i = 0; at && i < l.len; i++)
        if (!str_eq(l.at[i].name, S("le")))
            at[n++] = l.at[i];
    return (Labels){at, n};
}

static Str note_name(Eval *e, Labels l)
{
    return e->delayed_names ? labels_get(l, LABEL_NAME) : (Str){0};
}

static int by_group_and_bound(const void *a, const void *b)
{
    const Member *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->upper != y->upper)
        return x->upper < y->upper ? -1 : 1;
    return (x->series > y->series) - (x->series < y->series);
}

static bool has_floats(const Grid *g, const StepSeries *s)
{
    for (u32 k = 0; k < g->n; k++)
        if (!is_absent(s->v[k]))
            return true;
    return false;
}

static Err find_groups(HistogramOp *h, U64Map *index, Why *why)
{
    Eval *e = h->op.e;
    h->members = arena_array(e->arena, Member, MAX(h->in.n, 1));
    h->buckets = arena_array(e->arena, Bucket, MAX(h->in.n, 1));
    if (!h->members || !h->buckets)
        return eval_memory(why);
    for (u32 i = 0; i < h->in.n; i++) {
        const StepSeries *s = &h->in.at[i];
        if (!has_floats(h->op.g, s))
            continue;
        f64 upper;
        Str le = labels_get(s->labels, S("le"));
        if (parse_f64(le, &upper) != OK) {
            note_label(e, NOTE_BAD_BUCKET_LABEL, h->arg, note_name(e, s->labels), le);
            continue;
        }
        Labels l = without_le(e, s->labels);
        u64 hash = labels_hash(l), *found = u64map_find(index, hash);
        u32 group = found ? (u32)*found : h->groups_len;
        if (!found) {
            Labels *groups =
                arena_grow(e->arena, h->groups, &h->groups_cap, h->groups_len + 1, sizeof *groups);
            if (!groups)
                return eval_memory(why);
            h->groups = groups;
            h->groups[h->groups_len++] = l;
            u64map_put(index, hash, group);
        }
        h->members[h->members_len++] = (Member){upper, i, group};
    }
    if (h->members_len)
        qsort(h->members, h->members_len, sizeof *h->members, by_group_and_bound);
    return OK;
}

static Err out_series(HistogramOp *h, Labels l, f64 q, StepSeries *ret, Why *why)
{
    Eval *e = h->op.e;
    *ret = (StepSeries){.labels = l, .v = col_get(e, h->op.g)};
    if (!ret->v)
        return eval_memory(why);
    for (u32 k = 0; k < h->op.g->n; k++)
        ret->v[k] = ABSENT;
    name_drop(e, ret);
    if (h->op.p->fn != FN_histogram_quantiles)
        return OK;
    Buf b;
    buf_init(&b, 64);
    print_f64_go(&b, q, 'g', -1);
    Str text = buf_view(&b);
    if (isfinite(q) && str_find_char(text, '.') == SIZE_MAX && str_find_char(text, 'e') == SIZE_MAX)
        buf_c(&b, ".0");
    LabelsBuilder lb;
    lb_init(&lb, e->arena, ret->labels);
    lb_set(&lb, h->label, arena_dup(e->arena, buf_view(&b)));
    ret->labels = lb_build(&lb);
    buf_done(&b);
    return OK;
}

static f64 classic_value(HistogramOp *h, Labels l, u32 param, u32 k, Bucket *b, u32 n)
{
    Eval *e = h->op.e;
    if (h->op.p->fn == FN_histogram_fraction)
        return bucket_fraction(h->params[0][k], h->params[1][k], b, n);
    Forced f;
    f64 v = bucket_quantile(h->params[param][k], b, n, &f);
    if (f.any)
        note_monotonic(e, h->arg, note_name(e, l), grid_at(h->op.g, k), f.min_bucket, f.max_bucket,
                       f.max_diff);
    return v;
}

static f64 native_value(HistogramOp *h, Labels l, u32 param, u32 k, const Histogram *hist)
{
    Eval *e = h->op.e;
    u32 remarks;
    f64 v;
    if (h->op.p->fn == FN_histogram_fraction) {
        v = histogram_fraction(hist, h->params[0][k], h->params[1][k], &remarks);
        if (remarks)
            note(e, NOTE_FRACTION_NAN, h->arg, note_name(e, l));
        return v;
    }
    v = histogram_quantile(hist, h->params[param][k], &remarks);
    if (remarks)
        note(e, remarks & HIST_NAN_RESULT ? NOTE_QUANTILE_NAN_RESULT : NOTE_QUANTILE_NAN_SKEW, h->arg,
             note_name(e, l));
    return v;
}

/* The quantile's own label may change from step to step with its parameter: then another series goes on. */
static Err next_series(HistogramOp *h, Labels l, u32 param, u32 k, StepSeries *out, f64 *q, Why *why)
{
    f64 now = h->params[param][k];
    if (out->v && (h->op.p->fn != FN_histogram_quantiles || f64_bits(now) == f64_bits(*q)))
        return OK;
    if (out->v)
        TRY(list_push(h->op.e, &h->out, *out, why));
    *q = now;
    return out_series(h, l, now, out, why);
}

static Err finish_series(HistogramOp *h, StepSeries *out, Why *why)
{
    if (!out->v)
        return OK;
    if (series_count(h->op.g, out))
        return list_push(h->op.e, &h->out, *out, why);
    series_put(h->op.e, h->op.g, out);
    return OK;
}

/* One group of buckets. skip: steps where a native histogram of the same name and labels is in the way. */
static Err classic_group(HistogramOp *h, const Member *m, u32 n, u32 param, const u8 *skip, Why *why)
{
    Labels l = h->groups[m[0].group];
    StepSeries out = {0};
    f64 q = 0;
    for (u32 k = 0; k < h->op.g->n; k++) {
        u32 len = 0;
        for (u32 i = 0; i < n; i++) {
            f64 v = h->in.at[m[i].series].v[k];
            if (!is_absent(v))
                h->buckets[len++] = (Bucket){m[i].upper, v};
        }
        if (!len || (skip && skip[k]))
            continue;
        TRY(next_series(h, l, param, k, &out, &q, why));
        out.v[k] = classic_value(h, l, param, k, h->buckets, len);
    }
    return finish_series(h, &out, why);
}

static Err native_series(HistogramOp *h, const StepSeries *s, u32 param, const u8 *skip, Why *why)
{
    StepSeries out = {0};
    f64 q = 0;
    for (u32 k = 0; k < h->op.g->n; k++) {
        if (!s->h[k] || (skip && skip[k]))
            continue;
        TRY(next_series(h, s->labels, param, k, &out, &q, why));
        out.v[k] = native_value(h, s->labels, param, k, s->h[k]);
    }
    return finish_series(h, &out, why);
}

static u32 group_end(const HistogramOp *h, u32 from)
{
    u32 to = from;
    while (to < h->members_len && h->members[to].group == h->members[from].group)
        to++;
    return to;
}

/* Steps at which native histograms and classic buckets of the same labels meet: neither counts there. */
static Err find_conflicts(HistogramOp *h, U64Map *index, u8 **of_group, u8 **of_series, Why *why)
{
    Eval *e = h->op.e;
    u32 steps = h->op.g->n;
    for (u32 i = 0; i < h->in.n; i++) {
        const StepSeries *s = &h->in.at[i];
        if (!s->h)
            continue;
        u64 *group = u64map_find(index, labels_hash(s->labels));
        if (!group)
            continue;
        u8 *skip = arena_array(e->arena, u8, steps);
        if (!skip)
            return eval_memory(why);
        memset(skip, 0, steps);
        for (u32 m = 0; m < h->members_len; m++)
            for (u32 k = 0; h->members[m].group == *group && k < steps; k++)
                skip[k] |= s->h[k] && !is_absent(h->in.at[h->members[m].series].v[k]);
        if (memchr(skip, 1, steps))
            note(e, NOTE_MIXED_CLASSIC_NATIVE, h->arg, note_name(e, s->labels));
        of_group[*group] = of_series[i] = skip;
    }
    return OK;
}

static void note_params(HistogramOp *h)
{
    const Plan *p = h->op.p;
    if (p->fn == FN_histogram_fraction)
        return;
    for (u32 i = 0; i < h->params_len; i++) {
        for (u32 k = 0; k < h->op.g->n; k++) {
            f64 q = h->params[i][k];
            if (isnan(q) || q < 0 || q > 1)
                note_f64(h->op.e, NOTE_INVALID_QUANTILE, p->args[p->fn == FN_histogram_quantile ? 0 : i + 2],
                         q, 0);
        }
    }
}

static Err evaluate(HistogramOp *h, U64Map *index, Why *why)
{
    Eval *e = h->op.e;
    note_params(h);
    TRY(op_drain(h->child, &h->in, why));
    TRY(find_groups(h, index, why));
    u8 **skips = arena_array(e->arena, u8 *, h->groups_len + h->in.n + 1);
    if (!skips)
        return eval_memory(why);
    memset(skips, 0, (h->groups_len + h->in.n + 1) * sizeof *skips);
    u8 **of_group = skips, **of_series = skips + h->groups_len;
    TRY(find_conflicts(h, index, of_group, of_series, why));
    u32 rounds = h->op.p->fn == FN_histogram_quantiles ? h->params_len : 1;
    for (u32 param = 0; param < rounds; param++) {
        for (u32 i = 0; i < h->in.n; i++)
            if (h->in.at[i].h)
                TRY(native_series(h, &h->in.at[i], param, of_series[i], why));
        for (u32 from = 0, to; from < h->members_len; from = to) {
            to = group_end(h, from);
            TRY(eval_check(e, why));
            TRY(classic_group(h, h->members + from, to - from, param, of_group[h->members[from].group], why));
        }
    }
    for (u32 i = 0; i < h->in.n; i++)
        series_put(e, h->op.g, &h->in.at[i]);
    return list_merge(e, h->op.g, &h->out, why);
}

static Err histogram_op_next(Op *op, Batch *b, Why *why)
{
    HistogramOp *h = (HistogramOp *)op;
    if (!h->list) {
        U64Map index = {0};
        Err err = evaluate(h, &index, why);
        u64map_done(&index);
        TRY(err);
        h->list = op_from_list(op->e, op->g, op->p, &h->out);
    }
    return h->list->next(h->list, b, why);
}

Err op_histogram(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    HistogramOp *h = arena_new(e->arena, HistogramOp);
    h->params = arena_array(e->arena, f64 *, p->args_len + 1);
    if (!h->params)
        return eval_memory(why);
    for (u32 i = 0; i < p->args_len; i++) {
        if (p->args[i]->type == PROM_VECTOR)
            h->arg = p->args[i];
        else if (p->args[i]->type == PROM_STRING)
            h->label = p->args[i]->string;
        else
            TRY(scalar_eval(e, p->args[i], g, &h->params[h->params_len++], why));
    }
    if (!h->arg || !h->params_len)
        return why_set(why, E_INTERNAL, "%s without its arguments", p->fn_name);
    TRY(op_build(e, h->arg, g, &h->child, why));
    *ret = op_init(&h->op, e, p, g, histogram_op_next);
    return OK;
}
