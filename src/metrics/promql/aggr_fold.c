/* Floats into groups. A series that has a float at every step of a group that knows only floats takes the loops without branches;
 * they start from values that make the first sample nothing special: -0 is what x + -0 = x holds for, also for x = -0, and NaN is
 * what min and max replace by anything. */
#include "metrics/promql/aggr.h"

void fold_start(AggrOp kind, Group *g, u32 n)
{
    f64 first = kind == AGGR_MIN || kind == AGGR_MAX ? NAN : -0.0;
    g->is_plain = true;
    memset(g->flags, 0, n);
    for (u32 k = 0; k < n; k++)
        g->v[k] = first;
    for (u32 k = 0; g->c && k < n; k++)
        g->c[k] = 0;
    for (u32 k = 0; g->count && k < n; k++)
        g->count[k] = 0;
}

/* ---- one sample ---- */

static void add_float(Group *g, u32 k, f64 v)
{
    if (!(g->flags[k] & SEEN)) {
        g->v[k] = v;
        g->c[k] = 0;
        g->flags[k] = SEEN | HAS_FLOAT;
        return;
    }
    if (g->flags[k] & INCOMPATIBLE)
        return;
    if (!(g->flags[k] & HAS_FLOAT)) {
        /* A histogram came first: the group is spoiled here, whatever the sum. */
        g->flags[k] |= HAS_FLOAT;
        return;
    }
    kahan_add(v, &g->v[k], &g->c[k]);
}

static void average_float(Group *g, u32 k, f64 v)
{
    if (!(g->flags[k] & SEEN)) {
        g->v[k] = v;
        g->c[k] = 0;
        g->count[k] = 1;
        g->flags[k] = SEEN | HAS_FLOAT;
        return;
    }
    if (g->flags[k] & INCOMPATIBLE)
        return;
    f64 n = ++g->count[k];
    g->flags[k] |= HAS_FLOAT;
    if (g->flags[k] & HAS_HISTOGRAM)
        return;
    if (!(g->flags[k] & RUNNING_MEAN)) {
        f64 sum = g->v[k], c = g->c[k];
        kahan_add(v, &sum, &c);
        if (!isinf(sum)) {
            g->v[k] = sum;
            g->c[k] = c;
            return;
        }
        g->flags[k] |= RUNNING_MEAN;
        g->is_plain = false;
        g->v[k] /= n - 1;
        g->c[k] /= n - 1;
    }
    f64 q = (n - 1) / n;
    g->v[k] *= q;
    g->c[k] *= q;
    kahan_add(v / n, &g->v[k], &g->c[k]);
}

static void spread_float(Group *g, u32 k, f64 v)
{
    if (!(g->flags[k] & SEEN)) {
        g->flags[k] = SEEN;
        g->count[k] = 1;
        g->mean[k] = v;
        g->v[k] = isnan(v) || isinf(v) ? NAN : 0;
        return;
    }
    f64 delta = v - g->mean[k];
    g->count[k]++;
    g->mean[k] += delta / g->count[k];
    g->v[k] += delta * (v - g->mean[k]);
}

static void extreme_float(Group *g, u32 k, f64 v, bool is_max)
{
    if ((is_max ? g->v[k] < v : g->v[k] > v) || isnan(g->v[k]))
        g->v[k] = v;
    g->flags[k] |= SEEN;
}

void fold_float(AggrOp kind, Group *g, u32 k, f64 v)
{
    switch (kind) {
    case AGGR_SUM:
        add_float(g, k, v);
        return;
    case AGGR_AVG:
        average_float(g, k, v);
        return;
    case AGGR_STDDEV:
    case AGGR_STDVAR:
        spread_float(g, k, v);
        return;
    case AGGR_MIN:
    case AGGR_MAX:
        extreme_float(g, k, v, kind == AGGR_MAX);
        return;
    case AGGR_COUNT:
        g->count[k]++;
        g->flags[k] |= SEEN;
        return;
    default: /* group */
        g->flags[k] |= SEEN;
        return;
    }
}

/* ---- a whole column ---- */

static void mark_all(u8 *restrict flags, u32 n, u8 what)
{
    for (u32 k = 0; k < n; k++)
        flags[k] |= what;
}

/* kahan_add for every step, without its branch: the rounding error of a sum is one number, however it is found (Knuth's way needs
 * no comparison). */
static inline __attribute__((always_inline)) void sum_steps(f64 *restrict sum, f64 *restrict c,
                                                            const f64 *restrict v, u32 n)
{
    for (u32 k = 0; k < n; k++) {
        f64 s = sum[k], x = v[k], t = s + x, gone = t - s;
        f64 with = c[k] + ((s - (t - gone)) + (x - gone));
        c[k] = fabs(t) == INFINITY ? 0 : with;
        sum[k] = t;
    }
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void sum_wide(f64 *restrict sum, f64 *restrict c,
                                                     const f64 *restrict v, u32 n)
{
    sum_steps(sum, c, v, n);
}
#endif

static void sum_column(f64 *restrict sum, f64 *restrict c, const f64 *restrict v, u32 n)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        sum_wide(sum, c, v, n);
        return;
    }
#endif
    sum_steps(sum, c, v, n);
}

static bool would_overflow(const f64 *restrict sum, const f64 *restrict v, u32 n)
{
    u64 found = 0;
    for (u32 k = 0; k < n; k++)
        found |= fabs(sum[k] + v[k]) == INFINITY;
    return found != 0;
}

static void max_column(f64 *restrict best, const f64 *restrict v, u32 n)
{
    for (u32 k = 0; k < n; k++)
        best[k] = best[k] < v[k] || best[k] != best[k] ? v[k] : best[k];
}

static void min_column(f64 *restrict best, const f64 *restrict v, u32 n)
{
    for (u32 k = 0; k < n; k++)
        best[k] = best[k] > v[k] || best[k] != best[k] ? v[k] : best[k];
}

static void count_column(f64 *restrict count, u32 n)
{
    for (u32 k = 0; k < n; k++)
        count[k]++;
}

static bool has_absent(const f64 *v, u32 n)
{
    u64 found = 0;
    for (u32 k = 0; k < n; k++)
        found |= f64_bits(v[k]) == STALE_NAN_BITS;
    return found != 0;
}

/* False: this column has to be folded sample by sample. */
static bool fold_dense(AggrOp kind, Group *g, const f64 *v, u32 n)
{
    if (!g->is_plain || has_absent(v, n))
        return false;
    switch (kind) {
    case AGGR_SUM:
        sum_column(g->v, g->c, v, n);
        break;
    case AGGR_AVG:
        if (would_overflow(g->v, v, n))
            return false;
        sum_column(g->v, g->c, v, n);
        count_column(g->count, n);
        break;
    case AGGR_MIN:
        min_column(g->v, v, n);
        break;
    case AGGR_MAX:
        max_column(g->v, v, n);
        break;
    case AGGR_COUNT:
        count_column(g->count, n);
        break;
    case AGGR_GROUP:
        break;
    default:
        return false;
    }
    mark_all(g->flags, n, SEEN | HAS_FLOAT);
    return true;
}

void fold_floats(AggrOp kind, Group *g, const f64 *v, u32 n)
{
    if (n > 1 && fold_dense(kind, g, v, n))
        return;
    for (u32 k = 0; k < n; k++)
        if (!is_absent(v[k]))
            fold_float(kind, g, k, v[k]);
}
