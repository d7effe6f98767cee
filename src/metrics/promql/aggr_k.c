/* Aggregations that need all series of a group at a step: topk, bottomk, limitk, limit_ratio, quantile, count_values. */
#include "metrics/promql/engine.h"

#include <xxhash.h>

typedef struct PickOp {
    Op op;
    AggrOp kind;
    Op *child, *list;
    f64 *param;
    Str label; /* count_values */
    Str *grouping;
    u32 grouping_len;
    bool without;
    SeriesList in, out;
    u32 *group; /* per series */
    u32 groups;
    u32 *order, *start; /* series by group: order[start[g] .. start[g+1]) */
} PickOp;

/* ---- groups ---- */

static Err group_series(PickOp *a, Why *why)
{
    Eval *e = a->op.e;
    u32 n = a->in.n;
    a->group = arena_array(e->arena, u32, MAX(n, 1));
    a->order = arena_array(e->arena, u32, MAX(n, 1));
    a->start = arena_array(e->arena, u32, n + 2);
    if (!a->group || !a->order || !a->start)
        return eval_memory(why);
    U64Map index = {0};
    for (u32 i = 0; i < n; i++) {
        u64 hash = group_hash(a->in.at[i].labels, a->grouping, a->grouping_len, a->without);
        u64 *found = u64map_find(&index, hash);
        a->group[i] = found ? (u32)*found : a->groups;
        if (!found)
            u64map_put(&index, hash, a->groups++);
    }
    u64map_done(&index);
    memset(a->start, 0, (n + 2) * sizeof *a->start);
    for (u32 i = 0; i < n; i++)
        a->start[a->group[i] + 2]++;
    for (u32 g = 2; g < a->groups + 2; g++)
        a->start[g] += a->start[g - 1];
    for (u32 i = 0; i < n; i++)
        a->order[a->start[a->group[i] + 1]++] = i;
    return OK;
}

/* ---- quantile ---- */

static int by_value(const void *a, const void *b)
{
    f64 x = *(const f64 *)a, y = *(const f64 *)b;
    if (isnan(x) || isnan(y))
        return (isnan(y) != 0) - (isnan(x) != 0); /* NaN is the smallest */
    return (x > y) - (x < y);
}

f64 quantile_of(f64 q, f64 *v, u32 n)
{
    if (n == 0 || isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    qsort(v, n, sizeof *v, by_value);
    f64 rank = q * (n - 1), lower = fmax(0, floor(rank)), upper = fmin(n - 1, lower + 1);
    f64 weight = rank - floor(rank);
    return v[(u32)lower] * (1 - weight) + v[(u32)upper] * weight;
}

static Err quantiles(PickOp *a, Why *why)
{
    Eval *e = a->op.e;
    Grid *g = a->op.g;
    f64 *values = arena_array(e->arena, f64, MAX(a->in.n, 1));
    if (!values)
        return eval_memory(why);
    for (u32 group = 0; group < a->groups; group++) {
        const StepSeries *first = &a->in.at[a->order[a->start[group]]];
        StepSeries out = {.labels = group_labels(e, first->labels, a->grouping, a->grouping_len, a->without),
                          .v = col_get(e, g)};
        if (!out.v)
            return eval_memory(why);
        for (u32 k = 0; k < g->n; k++) {
            u32 n = 0;
            for (u32 i = a->start[group]; i < a->start[group + 1]; i++) {
                const StepSeries *s = &a->in.at[a->order[i]];
                out.drop_name |= s->drop_name;
                if (!is_absent(s->v[k]))
                    values[n++] = s->v[k];
                else if (s->h && s->h[k])
                    note_words(e, NOTE_IGNORED_IN_AGGREGATION, a->op.p->args[0], "quantile");
            }
            out.v[k] = n ? quantile_of(a->param[k], values, n) : ABSENT;
        }
        TRY(list_push(e, &a->out, out, why));
    }
    return OK;
}

/* As the peer sees them: next to NaN only an infinity is out of range. */
static void note_quantile_params(PickOp *a)
{
    f64 min = INFINITY, max = -INFINITY;
    bool any_nan = false;
    for (u32 k = 0; k < a->op.g->n; k++) {
        any_nan |= isnan(a->param[k]) != 0;
        min = smaller_of(min, a->param[k]);
        max = larger_of(max, a->param[k]);
    }
    const Plan *at = a->op.p->args[1];
    if (any_nan)
        note_f64(a->op.e, NOTE_INVALID_QUANTILE, at, NAN, 0);
    if (max > 1)
        note_f64(a->op.e, NOTE_INVALID_QUANTILE, at, max, 0);
    if (min < 0)
        note_f64(a->op.e, NOTE_INVALID_QUANTILE, at, min, 0);
}

/* ---- topk, bottomk, limitk, limit_ratio ---- */

typedef struct Pick {
    f64 v;
    u32 series;
} Pick;

static const char *kind_word(AggrOp kind)
{
    return kind == AGGR_TOPK      ? "topk"
           : kind == AGGR_BOTTOMK ? "bottomk"
           : kind == AGGR_LIMITK  ? "limitk"
                                  : "limit_ratio";
}

/* Is a better placed than b? NaN comes last, equals in the order of their series. */
static bool is_before(Pick a, Pick b, bool is_top)
{
    if (isnan(a.v) || isnan(b.v))
        return isnan(a.v) ? isnan(b.v) && a.series < b.series : true;
    if (a.v != b.v)
        return is_top ? a.v > b.v : a.v < b.v;
    return a.series < b.series;
}

static void sift_down(Pick *heap, u32 n, u32 i, bool is_top)
{
    for (;;) {
        u32 worst = i, l = 2 * i + 1, r = l + 1;
        if (l < n && is_before(heap[worst], heap[l], is_top))
            worst = l;
        if (r < n && is_before(heap[worst], heap[r], is_top))
            worst = r;
        if (worst == i)
            return;
        Pick swap = heap[i];
        heap[i] = heap[worst];
        heap[worst] = swap;
        i = worst;
    }
}

/* Keeps the k best, the worst of them at the root; leaves them best first. */
static u32 best_k(Pick *picks, u32 n, u32 k, bool is_top)
{
    u32 kept = MIN(n, k);
    for (u32 i = kept / 2; i-- > 0;)
        sift_down(picks, kept, i, is_top);
    for (u32 i = kept; i < n; i++) {
        if (!is_before(picks[i], picks[0], is_top))
            continue;
        picks[0] = picks[i];
        sift_down(picks, kept, 0, is_top);
    }
    for (u32 end = kept; end > 1; end--) {
        Pick swap = picks[0];
        picks[0] = picks[end - 1];
        picks[end - 1] = swap;
        sift_down(picks, end - 1, 0, is_top);
    }
    return kept;
}

static void put_sized(Buf *b, Str s)
{
    buf_char(b, (char)MIN(s.len, 255));
    if (s.len >= 255)
        for (int shift = 0; shift < 24; shift += 8)
            buf_char(b, (char)(s.len >> shift));
    buf_str(b, s);
}

/* A place in [0, 1) that depends on the labels alone, so that r and r-1 complement each other. The hash is the peer's, so that
 * both choose the same series. */
static bool in_ratio(f64 r, Labels l)
{
    Buf b;
    buf_init(&b, 1 << 20);
    for (u32 i = 0; i < l.len; i++) {
        put_sized(&b, l.at[i].name);
        put_sized(&b, l.at[i].value);
    }
    f64 place = (f64)XXH64(buf_view(&b).at, b.len, 0) / 0x1p64;
    buf_done(&b);
    return r >= 0 ? place < r : place >= 1 + r;
}

static Err check_picks(PickOp *a, bool *ret_nothing, Why *why)
{
    f64 min = INFINITY, max = -INFINITY;
    bool any_nan = false, is_ratio = a->kind == AGGR_LIMIT_RATIO;
    for (u32 k = 0; k < a->op.g->n; k++) {
        any_nan |= isnan(a->param[k]) != 0;
        min = smaller_of(min, a->param[k]);
        max = larger_of(max, a->param[k]);
    }
    *ret_nothing = !any_nan && (is_ratio ? max == 0 && min == 0 : max < 1);
    if (*ret_nothing)
        return OK;
    if (any_nan)
        return why_set(why, E_EXEC, is_ratio ? "Ratio value is NaN" : "Parameter value is NaN");
    if (is_ratio) {
        if (max > 1)
            note_f64(a->op.e, NOTE_INVALID_RATIO, a->op.p->args[1], max, 1);
        if (min < -1)
            note_f64(a->op.e, NOTE_INVALID_RATIO, a->op.p->args[1], min, -1);
        return OK;
    }
    if (min <= -0x1p63 || max >= 0x1p63) {
        Buf b;
        buf_init(&b, 64);
        print_f64_go(&b, max >= 0x1p63 ? max : min, 'g', -1);
        Err err = why_set(why, E_EXEC, "Scalar value %.*s %s int64", STR_FMT(buf_view(&b)),
                          min <= -0x1p63 ? "underflows" : "overflows");
        buf_done(&b);
        return err;
    }
    return OK;
}

/* Which series of a group stay at a step; their places in `kept`. */
static u32 pick(PickOp *a, u32 group, u32 k, Pick *picks)
{
    f64 param = a->param[k];
    u32 n = 0, limit = a->kind == AGGR_LIMIT_RATIO ? UINT32_MAX : param < 1 ? 0 : (u32)fmin(param, a->in.n);
    bool ranks = a->kind == AGGR_TOPK || a->kind == AGGR_BOTTOMK;
    if (limit == 0 || (a->kind == AGGR_LIMIT_RATIO && param == 0))
        return 0;
    for (u32 i = a->start[group]; i < a->start[group + 1]; i++) {
        u32 at = a->order[i];
        const StepSeries *s = &a->in.at[at];
        if (!series_has(s, k))
            continue;
        if (ranks && is_absent(s->v[k])) {
            note_words(a->op.e, NOTE_IGNORED_IN_AGGREGATION, a->op.p, kind_word(a->kind));
            continue;
        }
        if (a->kind == AGGR_LIMIT_RATIO && !in_ratio(fmax(-1, fmin(1, param)), s->labels))
            continue;
        if (a->kind == AGGR_LIMITK && n == limit)
            break;
        picks[n++] = (Pick){s->v[k], at};
    }
    return ranks ? best_k(picks, n, limit, a->kind == AGGR_TOPK) : n;
}

static Err pick_all(PickOp *a, Why *why)
{
    Eval *e = a->op.e;
    Grid *g = a->op.g;
    u32 n = a->in.n, words = (n + 63) / 64;
    Pick *picks = arena_array(e->arena, Pick, MAX(n, 1));
    u64 *kept = arena_array(e->arena, u64, MAX(words, 1));
    if (!picks || !kept)
        return eval_memory(why);
    for (u32 k = 0; k < g->n; k++) {
        memset(kept, 0, words * sizeof *kept);
        TRY(eval_check(e, why));
        for (u32 group = 0; group < a->groups; group++) {
            u32 m = pick(a, group, k, picks);
            for (u32 i = 0; i < m; i++) {
                kept[picks[i].series / 64] |= 1ull << picks[i].series % 64;
                if (g->is_instant)
                    TRY(list_push(e, &a->out, a->in.at[picks[i].series], why));
            }
        }
        for (u32 i = 0; i < n && !g->is_instant; i++) {
            if (kept[i / 64] >> i % 64 & 1)
                continue;
            a->in.at[i].v[k] = ABSENT;
            if (a->in.at[i].h)
                a->in.at[i].h[k] = NULL;
        }
    }
    if (!g->is_instant)
        a->out = a->in;
    return OK;
}

/* ---- count_values ---- */

static Str value_text(Eval *e, f64 v, const Histogram *h)
{
    Buf b;
    buf_init(&b, 1 << 20);
    if (h)
        histogram_print(&b, h);
    else
        print_f64(&b, v);
    Str s = arena_dup(e->arena, buf_view(&b));
    buf_done(&b);
    return s;
}

static Labels with_label(Eval *e, Labels l, Str name, Str value)
{
    LabelsBuilder b;
    lb_init(&b, e->arena, l);
    lb_set(&b, name, value);
    return lb_build(&b);
}

/* The output of a series' value; the last one is remembered because values tend to stay. */
static Err value_group(PickOp *a, const StepSeries *s, f64 v, const Histogram *h, U64Map *index, u32 *ret,
                       Why *why)
{
    Eval *e = a->op.e;
    Labels l = with_label(e, s->labels, a->label, value_text(e, v, h));
    u64 hash = group_hash(l, a->grouping, a->grouping_len, a->without);
    u64 *found = u64map_find(index, hash);
    if (found) {
        *ret = (u32)*found;
        return OK;
    }
    StepSeries out = {.labels = group_labels(e, l, a->grouping, a->grouping_len, a->without),
                      .v = col_get(e, a->op.g)};
    if (!out.v)
        return eval_memory(why);
    for (u32 k = 0; k < a->op.g->n; k++)
        out.v[k] = ABSENT;
    TRY(eval_hold(e, 1, why));
    *ret = a->out.n;
    u64map_put(index, hash, a->out.n);
    return list_push(e, &a->out, out, why);
}

static Err count_values(PickOp *a, U64Map *index, Why *why)
{
    for (u32 i = 0; i < a->in.n; i++) {
        const StepSeries *s = &a->in.at[i];
        f64 last = ABSENT;
        const Histogram *last_h = NULL;
        u32 at = UINT32_MAX;
        TRY(eval_check(a->op.e, why));
        for (u32 k = 0; k < a->op.g->n; k++) {
            if (!series_has(s, k))
                continue;
            const Histogram *h = s->h ? s->h[k] : NULL;
            if (at == UINT32_MAX || h != last_h || f64_bits(last) != f64_bits(s->v[k]))
                TRY(value_group(a, s, s->v[k], h, index, &at, why));
            last = s->v[k];
            last_h = h;
            f64 *count = &a->out.at[at].v[k];
            *count = is_absent(*count) ? 1 : *count + 1;
        }
    }
    return OK;
}

/* ---- the operator ---- */

static Err evaluate(PickOp *a, Why *why)
{
    Eval *e = a->op.e;
    bool nothing = false;
    if (a->kind == AGGR_QUANTILE)
        note_quantile_params(a);
    else if (a->kind != AGGR_COUNT_VALUES)
        TRY(check_picks(a, &nothing, why));
    TRY(op_drain(a->child, &a->in, why));
    if (nothing)
        return OK;
    if (a->kind == AGGR_COUNT_VALUES) {
        U64Map index = {0};
        Err err = count_values(a, &index, why);
        u64map_done(&index);
        TRY(err);
        return list_merge(e, a->op.g, &a->out, why);
    }
    TRY(group_series(a, why));
    return a->kind == AGGR_QUANTILE ? quantiles(a, why) : pick_all(a, why);
}

static Err pick_next(Op *op, Batch *b, Why *why)
{
    PickOp *a = (PickOp *)op;
    if (!a->list) {
        TRY(evaluate(a, why));
        a->list = op_from_list(op->e, op->g, op->p, &a->out);
    }
    return a->list->next(a->list, b, why);
}

static Err check_label(Str label, Why *why)
{
    if (!str_empty(label) && str_is_utf8(label))
        return OK;
    Buf b;
    buf_init(&b, 512);
    go_quote(&b, label);
    Err err = why_set(why, E_EXEC, "invalid label name %.*s", STR_FMT(buf_view(&b)));
    buf_done(&b);
    return err;
}

Err op_aggr_k(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    PickOp *a = arena_new(e->arena, PickOp);
    a->kind = p->node->u.aggr.op;
    a->without = p->node->u.aggr.without;
    const Str *extra = NULL;
    if (a->kind == AGGR_COUNT_VALUES) {
        a->label = p->args[1]->string;
        TRY(check_label(a->label, why));
        if (!a->without)
            extra = &a->label;
    } else {
        TRY(scalar_eval(e, p->args[1], g, &a->param, why));
    }
    a->grouping =
        sorted_names(e, p->node->u.aggr.grouping, p->node->u.aggr.grouping_len, extra, &a->grouping_len);
    if (!a->grouping)
        return eval_memory(why);
    TRY(op_build(e, p->args[0], g, &a->child, why));
    *ret = op_init(&a->op, e, p, g, pick_next);
    return OK;
}
