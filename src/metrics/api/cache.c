/* Answers of range queries, kept. One extent per expression, step, phase of the step, lookback and tenant: the values at consecutive
 * steps. A query whose start lies in an extent takes what still holds and evaluates only the steps after it.
 *
 * What holds. A value at a step comes from samples no newer than the step (expressions that look ahead, or at the query's own borders,
 * are not kept at all), so it holds until something older is written or deleted: metrics_touched_since tells. Nothing newer than
 * CACHE_MARGIN_MS is kept, as samples on their way would undo it at once. Results with histograms, warnings or infos are not kept.
 */
#include "metrics/api/impl.h"

#include <math.h>

#include "metrics/promql/func.h"

#define CACHE_MARGIN_MS 120000
#define CACHE_STEPS_MAX 11001u
#define STEADY_RANGE_MS 21600000 /* sums over longer windows may be added up in another order next time */
#define ABSENT_BITS     STALE_NAN_BITS

typedef struct Extent Extent;
struct Extent {
    Extent *newer, *older;
    Str key; /* owned, as a NUL-terminated copy */
    u32 refs;
    i64 from, to, step; /* steps from ... to, both inclusive */
    u64 epoch;
    Labels *labels; /* ascending */
    f64 *values;    /* steps of the first series, of the second, ... */
    u32 series, steps;
    Arena arena;
};
struct ResultCache {
    Account *account;
    u64 bytes_max;
    Mutex lock;
    StrMap by_key;
    Extent *newest, *oldest;
    Metric *hits, *misses, *bytes;
};

/* ---- which expressions ---- */

static bool is_named(const Node *sel)
{
    for (u32 i = 0; i < sel->u.sel.matchers.len; i++) {
        const Matcher *m = &sel->u.sel.matchers.at[i];
        if (m->op == MATCH_EQ && m->value.len > 0 && str_eq(m->name, LABEL_NAME))
            return true;
    }
    return false;
}

static bool is_steady_selector(const Node *n)
{
    return !n->u.sel.offset_expr && n->u.sel.offset_ms >= 0 && n->u.sel.at == AT_NONE && !n->u.sel.anchored &&
           !n->u.sel.smoothed && is_named(n);
}

static bool is_steady_function(const Node *n)
{
    switch (n->u.call.fn->id) {
    case FN_start:
    case FN_end:
    case FN_range:
    case FN_step:
    case FN_info:
    case FN_label_replace:
    case FN_label_join:
        return false;
    case FN_sum_over_time:
    case FN_avg_over_time:
        return n->u.call.args[0]->kind != NODE_MATRIX ||
               n->u.call.args[0]->u.matrix.range_ms < STEADY_RANGE_MS;
    default:
        return true;
    }
}

/* Is the value at a step the same whatever the query's start and end, and does it look at nothing newer than the step? */
static bool is_steady(const Node *n)
{
    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING:
        return true;
    case NODE_SELECTOR:
        return is_steady_selector(n);
    case NODE_MATRIX:
        return !n->u.matrix.range_expr && is_steady_selector(n->u.matrix.sel);
    case NODE_SUBQUERY:
        return !n->u.sub.range_expr && !n->u.sub.step_expr && !n->u.sub.offset_expr &&
               n->u.sub.offset_ms >= 0 && n->u.sub.at == AT_NONE && is_steady(n->u.sub.expr);
    case NODE_CALL:
        for (u32 i = 0; i < n->u.call.args_len; i++)
            if (!is_steady(n->u.call.args[i]))
                return false;
        return is_steady_function(n);
    case NODE_AGGR:
        return is_steady(n->u.aggr.expr) && (!n->u.aggr.param || is_steady(n->u.aggr.param));
    case NODE_BINARY:
        return is_steady(n->u.bin.lhs) && is_steady(n->u.bin.rhs);
    case NODE_UNARY:
        return is_steady(n->u.unary.expr);
    case NODE_PAREN:
        return is_steady(n->u.paren);
    case NODE_STEP_INVARIANT:
        return is_steady(n->u.invariant);
    default:
        return false;
    }
}

static bool make_key(const PromQuery *q, const PromEngineConfig *c, const Node *tree, Buf *out)
{
    i64 phase = q->start_ms % q->step_ms;
    buf_printf(out, "%lld %lld %lld ", (long long)q->step_ms,
               (long long)(phase < 0 ? phase + q->step_ms : phase),
               (long long)(q->lookback_ms > 0 ? q->lookback_ms : c->lookback_ms));
    buf_str(out, q->tenant);
    buf_char(out, 0);
    promql_print(tree, out);
    return !buf_over(out);
}

/* ---- extents ---- */

static void unlink_extent(ResultCache *c, Extent *x)
{
    *(x->newer ? &x->newer->older : &c->newest) = x->older;
    *(x->older ? &x->older->newer : &c->oldest) = x->newer;
    x->newer = x->older = NULL;
}

static void link_newest(ResultCache *c, Extent *x)
{
    x->older = c->newest;
    x->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = x;
    c->newest = x;
}

/* With the lock held. */
static void extent_unref(Extent *x)
{
    if (--x->refs)
        return;
    arena_done(&x->arena);
    mem_free((void *)x->key.at);
    mem_free(x);
}

static void forget(ResultCache *c, Extent *x)
{
    unlink_extent(c, x);
    strmap_del(&c->by_key, x->key);
    extent_unref(x);
}

static Extent *find(ResultCache *c, Str key)
{
    mutex_lock(&c->lock);
    Extent *x = strmap_find(&c->by_key, key);
    if (x) {
        x->refs++;
        unlink_extent(c, x);
        link_newest(c, x);
    }
    mutex_unlock(&c->lock);
    return x;
}

static void release(ResultCache *c, Extent *x)
{
    if (!x)
        return;
    mutex_lock(&c->lock);
    extent_unref(x);
    mutex_unlock(&c->lock);
}

static i64 align_down(i64 t, i64 from, i64 step)
{
    return t < from ? from - step : from + (t - from) / step * step;
}

static void fill_columns(Extent *x, const PromResult *r)
{
    for (u32 i = 0; i < r->series_len; i++) {
        const PromSeries *s = &r->series[i];
        f64 *v = x->values + (size_t)i * x->steps;
        for (u32 k = 0; k < x->steps; k++)
            v[k] = f64_from_bits(ABSENT_BITS);
        for (u32 k = 0; k < s->n && s->t[k] <= x->to; k++)
            v[(s->t[k] - x->from) / x->step] = s->v[k];
        x->labels[i] = labels_dup(&x->arena, s->labels);
    }
    x->series = r->series_len;
}

static u64 size_of(const PromResult *r, u32 steps)
{
    u64 bytes = sizeof(Extent);
    for (u32 i = 0; i < r->series_len; i++) {
        bytes += sizeof(Labels) + steps * sizeof(f64);
        for (u32 k = 0; k < r->series[i].labels.len; k++)
            bytes += sizeof(Label) + r->series[i].labels.at[k].name.len + r->series[i].labels.at[k].value.len;
    }
    return bytes;
}

static bool may_keep(const PromResult *r)
{
    if (r->type != PROM_MATRIX || r->notes_len)
        return false;
    for (u32 i = 0; i < r->series_len; i++)
        if (r->series[i].h)
            return false;
    return true;
}

static void keep(ResultCache *c, Str key, const PromQuery *q, i64 now_ms, u64 epoch, const PromResult *r)
{
    i64 to = align_down(MIN(q->end_ms, now_ms - CACHE_MARGIN_MS), q->start_ms, q->step_ms);
    if (to < q->start_ms || !may_keep(r))
        return;
    u64 steps = (u64)(to - q->start_ms) / (u64)q->step_ms + 1;
    if (steps > CACHE_STEPS_MAX)
        return;
    u64 bytes = size_of(r, (u32)steps);
    if (bytes > c->bytes_max / 4)
        return;
    Extent *x = mem_new(Extent);
    *x = (Extent){
        .refs = 1, .from = q->start_ms, .to = to, .step = q->step_ms, .epoch = epoch, .steps = (u32)steps};
    mutex_lock(&c->lock);
    while (c->oldest && account_used(c->account) + bytes + bytes / 8 > c->bytes_max)
        forget(c, c->oldest);
    mutex_unlock(&c->lock);
    arena_init(&x->arena, c->account, c->bytes_max);
    x->labels = arena_array(&x->arena, Labels, MAX(r->series_len, 1));
    x->values = arena_array(&x->arena, f64, MAX(r->series_len * steps, 1));
    x->key = mem_dup(key);
    if (x->labels && x->values)
        fill_columns(x, r);
    mutex_lock(&c->lock);
    Extent *old = strmap_find(&c->by_key, key);
    if (!x->labels || !x->values || arena_over(&x->arena)) {
        extent_unref(x);
    } else {
        if (old)
            forget(c, old);
        strmap_put(&c->by_key, x->key, x);
        link_newest(c, x);
    }
    metric_set(c->bytes, (f64)account_used(c->account));
    mutex_unlock(&c->lock);
}

/* ---- answers from extents ---- */

static Err too_large(Why *why)
{
    return why_set(why, E_LIMIT, "query processing would use too much memory (query.max-memory)");
}

/* Series i of the extent from `start` to `end`, then what was evaluated (may be NULL). False: no memory. */
static bool join_series(const Extent *x, u32 i, i64 start, i64 end, const PromSeries *tail, Arena *arena,
                        PromSeries *ret)
{
    u32 lo = (u32)((start - x->from) / x->step), hi = (u32)((end - x->from) / x->step) + 1;
    u32 more = tail ? tail->n : 0, n = 0;
    const f64 *v = x->values + (size_t)i * x->steps;
    i64 *t_out = arena_array(arena, i64, hi - lo + more);
    f64 *v_out = arena_array(arena, f64, hi - lo + more);
    const Histogram **h_out = tail && tail->h ? arena_array(arena, const Histogram *, hi - lo + more) : NULL;
    if (!t_out || !v_out || (tail && tail->h && !h_out))
        return false;
    for (u32 k = lo; k < hi; k++) {
        if (f64_bits(v[k]) == ABSENT_BITS)
            continue;
        t_out[n] = x->from + (i64)k * x->step;
        v_out[n++] = v[k];
    }
    for (u32 k = 0; h_out && k < n; k++)
        h_out[k] = NULL;
    for (u32 k = 0; k < more; k++, n++) {
        t_out[n] = tail->t[k];
        v_out[n] = tail->v[k];
        if (h_out)
            h_out[n] = tail->h[k];
    }
    *ret = (PromSeries){.labels = tail ? tail->labels : labels_dup(arena, x->labels[i]),
                        .n = n,
                        .t = t_out,
                        .v = v_out,
                        .h = h_out};
    return true;
}

/* Both are sorted by labels. tail may be empty. */
static Err join_result(const Extent *x, i64 start, i64 end, Arena *arena, PromResult *tail, Why *why)
{
    PromSeries *out = arena_array(arena, PromSeries, (u64)x->series + tail->series_len + 1);
    u32 n = 0, i = 0, k = 0;
    while (out && (i < x->series || k < tail->series_len)) {
        int order = i == x->series          ? 1
                    : k == tail->series_len ? -1
                                            : labels_cmp(x->labels[i], tail->series[k].labels);
        if (order > 0) {
            out[n++] = tail->series[k++];
            continue;
        }
        if (!join_series(x, i++, start, end, order == 0 ? &tail->series[k++] : NULL, arena, &out[n]))
            return too_large(why);
        n += out[n].n > 0;
    }
    if (!out || arena_over(arena))
        return too_large(why);
    tail->type = PROM_MATRIX;
    tail->series = out;
    tail->series_len = n;
    return OK;
}

/* Up to which step the extent serves the query; before the query's start: not at all. */
static i64 holds_until(const Extent *x, MetricsEngine *e, const PromQuery *q)
{
    if (!x || x->from > q->start_ms)
        return q->start_ms - q->step_ms;
    i64 touched = metrics_touched_since(e, q->tenant, x->epoch);
    i64 to = MIN(MIN(x->to, q->end_ms), touched == INT64_MIN ? touched : touched - 1);
    return align_down(to, q->start_ms, q->step_ms);
}

static Err query_steady(ResultCache *c, const PromEngineConfig *config, MetricsEngine *e, PromSource *src,
                        const PromQuery *q, i64 now_ms, Node *tree, Str key, Arena *arena, PromResult *ret,
                        Why *why)
{
    u64 epoch = metrics_epoch(e, q->tenant); /* before anything is read */
    Extent *x = find(c, key);
    i64 until = holds_until(x, e, q);
    PromQuery rest = *q;
    Err err = OK;
    bool hit = until >= q->start_ms;
    metric_inc(hit ? c->hits : c->misses);
    if (hit)
        rest.start_ms = until + q->step_ms;
    *ret = (PromResult){.type = PROM_MATRIX};
    if (rest.start_ms <= q->end_ms)
        err = promql_eval(config, src, &rest, tree, arena, ret, why);
    if (err == OK && hit)
        err = join_result(x, q->start_ms, until, arena, ret, why);
    if (err == OK && epoch && !(hit && until == x->to && x->to >= MIN(q->end_ms, now_ms - CACHE_MARGIN_MS)))
        keep(c, key, q, now_ms, epoch, ret);
    release(c, x);
    return err;
}

Err cached_query(ResultCache *c, const PromEngineConfig *config, MetricsEngine *e, PromSource *src,
                 const PromQuery *q, i64 now_ms, Arena *arena, PromResult *ret, Why *why)
{
    Node *tree;
    Buf key;
    TRY(promql_parse(q->text, config->features, arena, &tree, NULL, why));
    buf_init(&key, 1 << 16);
    Err err;
    if (c && e && q->is_range && q->step_ms > 0 && q->end_ms >= q->start_ms &&
        (tree->type == PROM_VECTOR || tree->type == PROM_SCALAR) && q->start_ms > -(1LL << 53) &&
        q->end_ms < 1LL << 53 && is_steady(tree) && make_key(q, config, tree, &key))
        err = query_steady(c, config, e, src, q, now_ms, tree, buf_view(&key), arena, ret, why);
    else
        err = promql_eval(config, src, q, tree, arena, ret, why);
    buf_done(&key);
    promql_done(tree);
    return err;
}

/* ---- life ---- */

ResultCache *result_cache_new(Account *parent, u64 bytes_max)
{
    ResultCache *c = mem_new(ResultCache);
    c->bytes_max = bytes_max;
    c->account = account_new("query.cache-size", parent, bytes_max);
    mutex_init(&c->lock, RANK_LEAF);
    c->hits = metric_counter("pharos_query_cache_hits_total",
                             "Range queries answered at least in part from kept results.", "");
    c->misses = metric_counter("pharos_query_cache_misses_total",
                               "Range queries that could have been but were not.", "");
    c->bytes = metric_gauge("pharos_query_cache_bytes", "Memory of kept results.", "");
    return c;
}

void result_cache_free(ResultCache *c)
{
    if (!c)
        return;
    while (c->oldest)
        forget(c, c->oldest);
    strmap_done(&c->by_key);
    account_free(c->account);
    mutex_done(&c->lock);
    mem_free(c);
}
