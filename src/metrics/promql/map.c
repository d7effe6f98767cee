/* Functions of one sample: each series in, the same series out. */
#include "metrics/promql/engine.h"

typedef struct MapOp {
    Op op;
    Op *child;
    f64 *params[2]; /* scalar arguments, or NULL */
} MapOp;

/* ---- numbers ---- */

static f64 to_rad(f64 v)
{
    return v * M_PI / 180;
}
static f64 to_deg(f64 v)
{
    return v * 180 / M_PI;
}
static f64 sign(f64 v)
{
    return v < 0 ? -1 : v > 0 ? 1 : v;
}

static f64 (*float_fn(FuncId fn))(f64)
{
    switch (fn) {
    case FN_abs:
        return fabs;
    case FN_ceil:
        return ceil;
    case FN_floor:
        return floor;
    case FN_exp:
        return exp;
    case FN_sqrt:
        return sqrt;
    case FN_ln:
        return log;
    case FN_log2:
        return log2;
    case FN_log10:
        return log10;
    case FN_sin:
        return sin;
    case FN_cos:
        return cos;
    case FN_tan:
        return tan;
    case FN_asin:
        return asin;
    case FN_acos:
        return acos;
    case FN_atan:
        return atan;
    case FN_sinh:
        return sinh;
    case FN_cosh:
        return cosh;
    case FN_tanh:
        return tanh;
    case FN_asinh:
        return asinh;
    case FN_acosh:
        return acosh;
    case FN_atanh:
        return atanh;
    case FN_rad:
        return to_rad;
    case FN_deg:
        return to_deg;
    case FN_sgn:
        return sign;
    default:
        return NULL;
    }
}

static void clamp_all(u32 n, f64 *v, const f64 *lo, const f64 *hi)
{
    for (u32 i = 0; i < n; i++) {
        f64 low = lo ? lo[i] : -INFINITY, high = hi ? hi[i] : INFINITY;
        if (high < low)
            v[i] = ABSENT;
        else if (!is_absent(v[i]))
            v[i] = larger_of(low, smaller_of(high, v[i]));
    }
}

static void round_all(u32 n, f64 *v, const f64 *to)
{
    for (u32 i = 0; i < n; i++) {
        f64 inverse = 1.0 / (to ? to[i] : 1);
        if (!is_absent(v[i]))
            v[i] = floor(v[i] * inverse + 0.5) / inverse;
    }
}

/* ---- dates ---- */

static bool is_date(FuncId fn)
{
    switch (fn) {
    case FN_day_of_month:
    case FN_day_of_week:
    case FN_day_of_year:
    case FN_days_in_month:
    case FN_hour:
    case FN_minute:
    case FN_month:
    case FN_year:
        return true;
    default:
        return false;
    }
}

static int days_in_month(int year, int month)
{
    static const u8 days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[(month - 1) % 12];
}

static f64 date_part(FuncId fn, f64 seconds)
{
    /* Beyond this the calendar has no meaning and integers overflow. */
    if (!(fabs(seconds) < 1e14))
        return NAN;
    Civil c;
    civil_from_unix((i64)seconds, &c);
    switch (fn) {
    case FN_day_of_month:
        return c.day;
    case FN_day_of_week:
        return c.weekday;
    case FN_day_of_year:
        return c.yday + 1;
    case FN_days_in_month:
        return days_in_month(c.year, c.month);
    case FN_hour:
        return c.hour;
    case FN_minute:
        return c.minute;
    case FN_month:
        return c.month;
    default:
        return c.year;
    }
}

/* ---- histograms ---- */

static bool is_histogram_fn(FuncId fn)
{
    return fn == FN_histogram_count || fn == FN_histogram_sum || fn == FN_histogram_avg ||
           fn == FN_histogram_stddev || fn == FN_histogram_stdvar;
}

static f64 histogram_value(FuncId fn, const Histogram *h)
{
    switch (fn) {
    case FN_histogram_count:
        return h->count;
    case FN_histogram_sum:
        return h->sum;
    case FN_histogram_avg:
        return h->sum / h->count;
    case FN_histogram_stdvar:
        return histogram_variance(h);
    default:
        return sqrt(histogram_variance(h));
    }
}

/* ---- the operator ---- */

static void map_series(MapOp *m, StepSeries *s)
{
    Grid *g = m->op.g;
    FuncId fn = m->op.p->fn;
    if (is_histogram_fn(fn) || fn == FN_timestamp) {
        for (u32 i = 0; i < g->n; i++) {
            const Histogram *h = s->h ? s->h[i] : NULL;
            if (fn == FN_timestamp)
                s->v[i] = h || !is_absent(s->v[i]) ? (f64)grid_at(g, i) / 1000 : ABSENT;
            else
                s->v[i] = h ? histogram_value(fn, h) : ABSENT;
        }
    } else if (is_date(fn)) {
        for (u32 i = 0; i < g->n; i++)
            if (!is_absent(s->v[i]))
                s->v[i] = date_part(fn, s->v[i]);
    } else if (fn == FN_round) {
        round_all(g->n, s->v, m->params[0]);
    } else if (fn == FN_clamp) {
        clamp_all(g->n, s->v, m->params[0], m->params[1]);
    } else if (fn == FN_clamp_min || fn == FN_clamp_max) {
        clamp_all(g->n, s->v, fn == FN_clamp_min ? m->params[0] : NULL,
                  fn == FN_clamp_max ? m->params[0] : NULL);
    } else {
        f64 (*f)(f64) = float_fn(fn);
        for (u32 i = 0; i < g->n; i++)
            if (!is_absent(s->v[i]))
                s->v[i] = f(s->v[i]);
    }
    col_put(m->op.e, g, (void *)s->h);
    s->h = NULL;
}

static Err map_next(Op *op, Batch *b, Why *why)
{
    MapOp *m = (MapOp *)op;
    TRY(m->child->next(m->child, b, why));
    for (u32 i = 0; i < b->n; i++) {
        map_series(m, &b->at[i]);
        name_drop(op->e, &b->at[i]);
    }
    return OK;
}

/* day_of_week() and its sisters without argument ask about the step itself. */
static Err now_next(Op *op, Batch *b, Why *why)
{
    MapOp *m = (MapOp *)op;
    b->n = 0;
    if (m->params[0])
        return OK;
    f64 *v = m->params[0] = col_get(op->e, op->g);
    if (!v)
        return eval_memory(why);
    for (u32 i = 0; i < op->g->n; i++) {
        i64 t = grid_at(op->g, i);
        v[i] = date_part(op->p->fn, (f64)(t / 1000));
    }
    b->at[b->n++] = (StepSeries){.v = v};
    return OK;
}

bool map_knows(FuncId fn)
{
    return float_fn(fn) || is_date(fn) || is_histogram_fn(fn) || fn == FN_timestamp || fn == FN_round ||
           fn == FN_clamp || fn == FN_clamp_min || fn == FN_clamp_max;
}

Err op_map(Eval *e, const Plan *p, Grid *g, Op **ret, Why *why)
{
    MapOp *m = arena_new(e->arena, MapOp);
    *ret = &m->op;
    if (p->args_len == 0) {
        op_init(&m->op, e, p, g, now_next);
        return OK;
    }
    op_init(&m->op, e, p, g, map_next);
    for (u32 i = 1; i < p->args_len && i < 3; i++)
        TRY(scalar_eval(e, p->args[i], g, &m->params[i - 1], why));
    TRY(op_build(e, p->args[0], g, &m->child, why));
    return op_merge_names(e, p->args[0], ret, why);
}
