/* Aggregations side by side. A large selection is cut into slices by the source; each is evaluated and folded by itself, in an Eval of
 * its own, on whichever thread comes first: the query's, or a helper's. Groups are then merged in order of the slices, so the
 * result does not depend on who did what. The query's thread takes what no helper has begun, so it never waits for a busy pool.
 */
#include "metrics/promql/aggr.h"

#include <stdatomic.h>

#define SLICE_SERIES_MIN 4096u /* of the whole selection */
#define SLICES_MAX       64u

typedef struct Slice {
    Eval eval;
    Arena work, tmp;
    FoldOp fold;
    Err err;
    Why why;
} Slice;
typedef struct SliceJob {
    _Atomic u32 refs, next;
    u32 n;
    Slice *slices;
    Mutex lock;
    Cond done;
    u32 finished;
} SliceJob;

/* ---- running ---- */

static void job_unref(SliceJob *j)
{
    if (atomic_fetch_sub(&j->refs, 1) != 1)
        return;
    mutex_done(&j->lock);
    cond_done(&j->done);
    mem_free(j);
}

static void take_slices(SliceJob *j)
{
    for (;;) {
        u32 i = atomic_fetch_add(&j->next, 1);
        if (i >= j->n)
            return;
        Slice *s = &j->slices[i];
        s->err = fold_all(&s->fold, &s->why);
        mutex_lock(&j->lock);
        j->finished++;
        cond_signal(&j->done);
        mutex_unlock(&j->lock);
    }
}

static void help(void *arg)
{
    take_slices(arg);
    job_unref(arg);
}

static void slice_init(Slice *s, const FoldOp *f, u32 i, u32 n)
{
    Eval *e = f->op.e;
    arena_init(&s->work, e->arena->account, e->arena->limit);
    arena_init(&s->tmp, e->arena->account, e->tmp->limit);
    eval_child(e, &s->eval, &s->work, &s->tmp);
    s->eval.slice = i;
    s->eval.slices = n;
    Grid *g = grid_new(&s->eval, f->op.g->start, f->op.g->step, f->op.g->n);
    g->is_instant = f->op.g->is_instant;
    s->fold = *f;
    s->fold.op.e = &s->eval;
    s->fold.op.g = g;
    s->fold.index = eval_map(&s->eval);
}

static void run_all(Slice *slices, u32 n, Pool *helpers)
{
    SliceJob *j = mem_new(SliceJob);
    j->refs = 1;
    j->n = n;
    j->slices = slices;
    mutex_init(&j->lock, RANK_QUEUE);
    cond_init(&j->done);
    for (u32 i = 1; i < n && helpers; i++) {
        j->refs++;
        if (pool_submit(helpers, help, j) != OK) {
            j->refs--;
            break;
        }
    }
    take_slices(j);
    mutex_lock(&j->lock);
    while (j->finished < n)
        cond_wait(&j->done, &j->lock);
    mutex_unlock(&j->lock);
    job_unref(j);
}

/* ---- merging ---- */

static Err merge_histograms(FoldOp *f, Group *to, const Group *from, u32 k, Why *why)
{
    Eval *e = f->op.e;
    const HistSum *s = from->sums[k];
    Str name = from->hist_name;
    TRY(fold_histogram(f, to, k, &s->h, name, why));
    if (s->has_c && to->sums && to->sums[k])
        histogram_sum_add(e->arena, to->sums[k], &s->c);
    return OK;
}

/* Two running variances into one (Chan, Golub, LeVeque). */
static void merge_spread(Group *to, const Group *from, u32 k)
{
    if (!(to->flags[k] & SEEN)) {
        to->v[k] = from->v[k];
        to->mean[k] = from->mean[k];
        to->count[k] = from->count[k];
        return;
    }
    f64 a = to->count[k], b = from->count[k], delta = from->mean[k] - to->mean[k];
    to->count[k] = a + b;
    to->mean[k] += delta * (b / (a + b));
    to->v[k] += from->v[k] + delta * delta * (a * b / (a + b));
}

static void merge_float(AggrOp kind, Group *to, const Group *from, u32 k)
{
    bool is_first = !(to->flags[k] & HAS_FLOAT);
    switch (kind) {
    case AGGR_AVG:
    case AGGR_SUM:
        if (!(from->flags[k] & HAS_FLOAT) || (to->flags[k] & INCOMPATIBLE))
            return;
        if (is_first && !(to->flags[k] & SEEN)) {
            to->v[k] = from->v[k];
            to->c[k] = from->c[k];
        } else if (!is_first) {
            kahan_add(from->v[k], &to->v[k], &to->c[k]);
            if (!isinf(to->v[k]))
                to->c[k] += from->c[k];
        }
        if (kind == AGGR_AVG)
            to->count[k] += from->count[k];
        break;
    case AGGR_STDDEV:
    case AGGR_STDVAR:
        merge_spread(to, from, k);
        break;
    case AGGR_MIN:
    case AGGR_MAX:
        fold_float(kind, to, k, from->v[k]);
        break;
    case AGGR_COUNT:
        to->count[k] += from->count[k];
        break;
    default:
        break;
    }
    to->flags[k] |= from->flags[k] & (SEEN | HAS_FLOAT);
}

static Err merge_group(FoldOp *f, Group *to, const Group *from, Why *why)
{
    to->drop_name |= from->drop_name;
    for (u32 k = 0; k < f->op.g->n; k++) {
        if (!(from->flags[k] & SEEN))
            continue;
        if (from->sums && from->sums[k])
            TRY(merge_histograms(f, to, from, k, why));
        merge_float(f->kind, to, from, k);
        to->flags[k] |= from->flags[k] & (HAS_HISTOGRAM | INCOMPATIBLE | SAW_RESET | SAW_NO_RESET);
    }
    return OK;
}

static Err merge_slice(FoldOp *f, const FoldOp *from, Why *why)
{
    Eval *e = f->op.e;
    for (u32 i = 0; i < from->groups_len; i++) {
        const Group *g = &from->groups[i];
        u64 key = labels_hash(g->labels);
        u64 *found = u64map_find(f->index, key);
        Group *to = found ? &f->groups[*found] : NULL;
        if (!to) {
            u64map_put(f->index, key, f->groups_len);
            TRY(fold_group_new(f, labels_dup(e->arena, g->labels), &to, why));
        }
        TRY(merge_group(f, to, g, why));
    }
    return OK;
}

/* What cannot be put together from parts as it would be computed in one go: means that left the plain sum behind, means of histograms. */
static bool must_start_over(const FoldOp *f)
{
    for (u32 i = 0; f->kind == AGGR_AVG && i < f->groups_len; i++)
        if (!f->groups[i].is_plain)
            return true;
    return false;
}

/* ---- the whole ---- */

static u32 slices_wanted(const FoldOp *f)
{
    const Eval *e = f->op.e;
    const PromEngineConfig *c = e->config;
    const Plan *chain = f->op.p->chain;
    if (c->slices < 2 || e->slices || !chain || chain->sel->shared || !e->src->estimate)
        return 1;
    u32 min = c->slice_series_min ? c->slice_series_min : SLICE_SERIES_MIN;
    u64 series = e->src->estimate(e->src, e->q->tenant, chain->sel->matchers);
    return series < min ? 1 : MIN(c->slices, SLICES_MAX);
}

static Err merge_all(FoldOp *f, Slice *slices, u32 n, bool *ret_done, Why *why)
{
    Eval *e = f->op.e;
    for (u32 i = 0; i < n; i++) {
        if (slices[i].err != OK) {
            *why = slices[i].why;
            return slices[i].err;
        }
        if (must_start_over(&slices[i].fold))
            return OK;
    }
    for (u32 i = 0; i < n; i++) {
        TRY(eval_check(e, why));
        eval_absorb(e, &slices[i].eval);
        TRY(merge_slice(f, &slices[i].fold, why));
    }
    *ret_done = true;
    return OK;
}

Err fold_slices(FoldOp *f, bool *ret_done, Why *why)
{
    u32 n = slices_wanted(f);
    *ret_done = false;
    if (n < 2)
        return OK;
    Slice *slices = arena_array(f->op.e->arena, Slice, n);
    if (!slices)
        return eval_memory(why);
    memset(slices, 0, n * sizeof *slices);
    for (u32 i = 0; i < n; i++)
        slice_init(&slices[i], f, i, n);
    run_all(slices, n, f->op.e->config->helpers);
    Err err = merge_all(f, slices, n, ret_done, why);
    for (u32 i = 0; i < n; i++) {
        eval_done(&slices[i].eval);
        arena_done(&slices[i].tmp);
        arena_done(&slices[i].work);
    }
    return err;
}
