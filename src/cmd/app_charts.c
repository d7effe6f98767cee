/* What a card shows of its alert: the expression behind the rule over the last while, as a picture. */
#include <math.h>

#include "alert/alert.h"
#include "chart/chart.h"
#include "cmd/app.h"

enum { SERIES_SHOWN = 8, STEPS = 240 };
#define SPAN_MIN_MS (30 * 60 * MS_PER_SEC)
#define SPAN_MAX_MS (24 * 3600 * MS_PER_SEC)

typedef struct Plot {
    const Node *what; /* the side of a comparison that varies */
    bool has_threshold;
    f64 threshold;
} Plot;

static const Node *bare(const Node *n)
{
    while (n->kind == NODE_PAREN || n->kind == NODE_STEP_INVARIANT)
        n = n->kind == NODE_PAREN ? n->u.paren : n->u.invariant;
    return n;
}

static bool as_number(const Node *n, f64 *ret)
{
    n = bare(n);
    bool minus = n->kind == NODE_UNARY && n->u.unary.op == OP_SUB;
    if (minus)
        n = bare(n->u.unary.expr);
    *ret = n->kind == NODE_NUMBER ? (minus ? -n->u.number : n->u.number) : 0;
    return n->kind == NODE_NUMBER;
}

/* `x > 5` shows x with a line at 5; of `a and b`, `a unless b` and `a or b` the first. */
static Plot plot_of(const Node *n)
{
    for (;;) {
        n = bare(n);
        Plot p = {.what = n};
        if (n->kind != NODE_BINARY)
            return p;
        TokenOp op = n->u.bin.op;
        if (op == OP_AND || op == OP_UNLESS || op == OP_OR) {
            n = n->u.bin.lhs;
            continue;
        }
        if (op < OP_EQL || op > OP_GTE || n->u.bin.return_bool)
            return p;
        bool right = as_number(n->u.bin.rhs, &p.threshold),
             left = !right && as_number(n->u.bin.lhs, &p.threshold);
        p.has_threshold = right || left;
        if (left || right)
            p.what = bare(right ? n->u.bin.lhs : n->u.bin.rhs);
        else
            p.what = n->u.bin.lhs;
        return p;
    }
}

/* By the name of what is plotted, where nothing is done to it that changes its unit. */
static Str unit_of(const Node *n)
{
    for (;;) {
        n = bare(n);
        if (n->kind == NODE_AGGR && (n->u.aggr.op == AGGR_SUM || n->u.aggr.op == AGGR_AVG ||
                                     n->u.aggr.op == AGGR_MIN || n->u.aggr.op == AGGR_MAX))
            n = n->u.aggr.expr;
        else if (n->kind == NODE_CALL && n->u.call.args_len &&
                 str_ends(str_c(n->u.call.fn->name), S("_over_time")))
            n = n->u.call.args[n->u.call.args_len - 1];
        else if (n->kind == NODE_MATRIX)
            n = n->u.matrix.sel;
        else
            break;
    }
    if (n->kind != NODE_SELECTOR)
        return S("short");
    Str name = n->u.sel.name;
    return str_ends(name, S("_bytes"))     ? S("bytes")
           : str_ends(name, S("_seconds")) ? S("s")
           : str_ends(name, S("_ratio"))   ? S("percentunit")
           : str_ends(name, S("_percent")) ? S("percent")
                                           : S("short");
}

/* Nothing the alert says contradicts the series. */
static bool belongs(Labels series, Labels alert)
{
    for (u32 i = 0; i < series.len; i++) {
        Str said = labels_get(alert, series.at[i].name);
        if (!str_eq(series.at[i].name, LABEL_NAME) && said.len && !str_eq(said, series.at[i].value))
            return false;
    }
    return true;
}

static Str series_name(const PromSeries *s, Arena *arena)
{
    Buf b;
    buf_init(&b, CHART_TEXT_MAX);
    labels_print(&b, s->labels);
    Str ret = arena_dup(arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

static Err fill(const PromResult *r, Labels alert, Arena *arena, ChartSpec *spec, Why *why)
{
    ChartSeries *list = arena_array(arena, ChartSeries, SERIES_SHOWN);
    bool some = false;
    for (u32 i = 0; i < r->series_len; i++)
        some |= belongs(r->series[i].labels, alert);
    for (u32 i = 0; i < r->series_len; i++) {
        const PromSeries *s = &r->series[i];
        if (some && !belongs(s->labels, alert))
            continue;
        if (spec->len == SERIES_SHOWN) {
            spec->hidden++;
            continue;
        }
        f64 *v = arena_array(arena, f64, spec->steps);
        if (!v || !list)
            return why_set(why, E_LIMIT, "the answer is too large");
        for (u32 k = 0; k < spec->steps; k++)
            v[k] = NAN;
        for (u32 k = 0; k < s->n; k++) {
            i64 at = (s->t[k] - spec->start_ms) / spec->step_ms;
            if (at >= 0 && at < spec->steps && !(s->h && s->h[k]))
                v[at] = s->v[k];
        }
        list[spec->len++] = (ChartSeries){series_name(s, arena), v};
    }
    spec->series = list;
    return spec->len ? OK : why_set(why, E_NOT_FOUND, "no series");
}

static Err ask(App *a, const AlertChart *c, const Node *tree, Arena *arena, ChartSpec *spec, Why *why)
{
    i64 now = clock_wall_ms(a->clock), span = MIN(MAX(3 * (now - c->starts_ms), SPAN_MIN_MS), SPAN_MAX_MS);
    Plot p = plot_of(tree);
    Buf text;
    buf_init(&text, 64 << 10);
    promql_print(p.what, &text);
    Str expr = arena_dup(arena, buf_view(&text));
    buf_done(&text);
    i64 step = MAX(span / STEPS, 1000);
    *spec = (ChartSpec){.title = str_sub(expr, 0, str_rune_prefix(expr, CHART_TEXT_MAX / 4)),
                        .unit = unit_of(p.what),
                        .start_ms = now - step * STEPS,
                        .step_ms = step,
                        .steps = STEPS + 1,
                        .has_threshold = p.has_threshold && isfinite(p.threshold),
                        .threshold = p.threshold,
                        .fired_ms = c->starts_ms};
    PromEngineConfig limits = {.lookback_ms = a->o.lookback_ms,
                               .samples_max = 5000000,
                               .memory_max = 64 << 20,
                               .timeout_ms = 5000,
                               .features = a->features,
                               .account = a->account,
                               .clock = a->clock};
    PromQuery q = {
        .text = expr, .start_ms = spec->start_ms, .end_ms = now, .step_ms = step, .is_range = true};
    PromResult r;
    TRY(promql_query(&limits, metrics_source(a->engine), &q, arena, &r, why));
    if (r.type != PROM_MATRIX)
        return why_set(why, E_NOT_FOUND, "no series");
    return fill(&r, c->labels, arena, spec, why);
}

Err app_chart(void *arg, const AlertChart *c, Arena *arena, Buf *png, Why *why)
{
    App *a = arg;
    Node *tree;
    ChartSpec spec;
    TRY(promql_parse(c->expr, a->features, arena, &tree, NULL, why));
    Err e = ask(a, c, tree, arena, &spec, why);
    promql_done(tree);
    return e == OK ? chart_draw(NULL, &spec, png, why) : e;
}
