/* What a rule would have done: the state machine of rule_eval.c over the past, one step per interval, without writing, telling or
 * remembering anything. The expression is evaluated as range queries over pieces of the time, which give at each step what the
 * evaluation then would have given; where that is not so (it asks for the query's own start, end or step, or fails somewhere in the
 * piece) step by step. */
#include "rules/rules_internal.h"
#include "metrics/api/api.h"

#include <math.h>
#include <stdio.h>

enum {
    PIECE_STEPS = 500,
    STEPS_MAX = 250000,
    FIRINGS_MAX = 10000,
    ALERTS_MAX = 100000,
    PIECE_BYTES_MAX = 1 << 30
};

/* An alert from pending to its end. */
typedef struct Open {
    Labels labels; /* heap */
    u64 hash, round;
    i64 active_ms, fired_ms; /* fired 0 = not yet */
    i64 peak_ms;
    f64 first, last, peak;
} Open;

typedef struct Backtest {
    const BacktestAsk *ask;
    Rules rules; /* a husk: no log, no sink, nobody to tell */
    Group group;
    RuleGroup described;
    Rule rule; /* without annotations: nobody reads them */
    RuleState st;
    Eval eval;
    Arena piece;
    Deadline deadline;
    VEC(Open) open;
    U64Map by_hash; /* -> index in open */
    u64 round;
    bool lowest, is_stopped; /* the extreme is the lowest value; the reader is gone */
    BacktestTotals totals;
    Why first_failure;
} Backtest;

/* ---- the expression's threshold ---- */
static const Node *bare(const Node *n)
{
    while (n->kind == NODE_PAREN || n->kind == NODE_STEP_INVARIANT)
        n = n->kind == NODE_PAREN ? n->u.paren : n->u.invariant;
    return n;
}

static bool number_of(const Node *n, f64 *ret)
{
    n = bare(n);
    bool minus = n->kind == NODE_UNARY && n->u.unary.op == OP_SUB;
    if (minus)
        n = bare(n->u.unary.expr);
    if (n->kind != NODE_NUMBER)
        return false;
    *ret = minus ? -n->u.number : n->u.number;
    return true;
}

bool rule_threshold(const Node *n, RuleThreshold *ret)
{
    static const struct {
        TokenOp op, mirrored;
        const char *text;
    } ops[] = {{OP_GTR, OP_LSS, ">"},  {OP_LSS, OP_GTR, "<"},  {OP_GTE, OP_LTE, ">="},
               {OP_LTE, OP_GTE, "<="}, {OP_EQL, OP_EQL, "=="}, {OP_NEQ, OP_NEQ, "!="}};
    n = bare(n);
    while (n->kind == NODE_BINARY &&
           (n->u.bin.op == OP_AND || n->u.bin.op == OP_UNLESS || n->u.bin.op == OP_OR))
        n = bare(n->u.bin.lhs);
    if (n->kind != NODE_BINARY || n->u.bin.return_bool)
        return false;
    bool right = number_of(n->u.bin.rhs, &ret->at);
    if (!right && !number_of(n->u.bin.lhs, &ret->at))
        return false;
    ret->value = right ? n->u.bin.lhs : n->u.bin.rhs;
    if (ret->value->type != PROM_VECTOR)
        return false;
    for (size_t i = 0; i < COUNT_OF(ops); i++)
        if ((right ? ops[i].op : ops[i].mirrored) == n->u.bin.op) {
            ret->op = ops[i].text;
            return true;
        }
    return false;
}

/* ---- following alerts ---- */
static void close_one(Backtest *b, size_t i, i64 end_ms)
{
    Open o = b->open.at[i];
    u64map_del(&b->by_hash, o.hash);
    b->open.at[i] = b->open.at[--b->open.len];
    if (i < b->open.len)
        u64map_put(&b->by_hash, b->open.at[i].hash, i);
    if (!o.fired_ms) {
        b->totals.pending_only++;
        i64 until = end_ms ? end_ms : b->ask->end_ms;
        b->totals.longest_pending_ms = MAX(b->totals.longest_pending_ms, until - o.active_ms);
    } else {
        b->totals.firings++;
        b->totals.firing_ms += (end_ms ? end_ms : b->ask->end_ms) - o.fired_ms;
        BacktestFiring f = {.labels = o.labels,
                            .active_ms = o.active_ms,
                            .starts_ms = o.fired_ms,
                            .ends_ms = end_ms,
                            .first = o.first,
                            .last = o.last,
                            .peak = o.peak,
                            .peak_ms = o.peak_ms};
        if (b->totals.firings <= FIRINGS_MAX && !b->is_stopped)
            b->is_stopped = !b->ask->firing(b->ask->arg, &f);
    }
    labels_disown(o.labels);
}

static void follow(Backtest *b, const ActiveAlert *a, i64 ts_ms)
{
    u64 *at = u64map_find(&b->by_hash, a->hash);
    if (at && b->open.at[*at].active_ms != a->active_ms) { /* it ended and began anew within one step */
        close_one(b, *at, ts_ms);
        at = NULL;
    }
    if (!at) {
        u64map_put(&b->by_hash, a->hash, b->open.len);
        vec_push(&b->open,
                 (Open){.labels = labels_own(a->labels), .hash = a->hash, .active_ms = a->active_ms});
        at = u64map_find(&b->by_hash, a->hash);
    }
    Open *o = &b->open.at[*at];
    o->round = b->round;
    if (a->state != ALERT_FIRING)
        return;
    if (!o->fired_ms) {
        o->fired_ms = a->fired_ms;
        o->first = o->peak = a->value;
        o->peak_ms = ts_ms;
    }
    o->last = a->value;
    if (isnan(o->peak) || (b->lowest ? a->value < o->peak : a->value > o->peak)) {
        o->peak = a->value;
        o->peak_ms = ts_ms;
    }
}

/* ---- steps ---- */
static void failed(Backtest *b, const Why *why)
{
    if (!b->totals.failed++)
        b->first_failure = *why;
}

/* One evaluation with the result that the query had at ts_ms. */
static Err step(Backtest *b, PromResult *res, i64 ts_ms, Why *why)
{
    Eval *e = &b->eval;
    Found *found;
    u32 n;
    Why mine = {0};
    e->ts_ms = ts_ms;
    e->stamp_ms = e->host.now_ms = ts_ms - b->group.offset_ms;
    e->items.len = e->hashes.len = e->notices.len = 0;
    b->totals.evaluations++;
    Err err = eval_found(e, res, &found, &n, &mine);
    if (err == OK)
        err = eval_step_alerts(e, found, n, &mine);
    if (err != OK)
        failed(b,
               &mine); /* as the engine: the tick is lost, what was known stays (or is cleared, by a limit) */
    b->round++;
    for (size_t i = 0; i < b->st.alerts.len; i++)
        if (b->st.alerts.at[i]->state != ALERT_INACTIVE)
            follow(b, b->st.alerts.at[i], ts_ms);
    for (size_t i = 0; i < b->open.len;)
        if (b->open.at[i].round != b->round)
            close_one(b, i, ts_ms);
        else
            i++;
    if (b->st.alerts.len > ALERTS_MAX)
        return why_set(why, E_LIMIT, "more than %d alerts at once", ALERTS_MAX);
    arena_reset(&e->arena);
    return OK;
}

static Err one_by_one(Backtest *b, i64 from_ms, u64 n, Why *why)
{
    for (u64 i = 0; i < n && !b->is_stopped; i++) {
        i64 ts = from_ms + (i64)i * b->ask->interval_ms;
        PromResult res;
        Why mine = {0};
        PromQuery q = {.text = b->rule.expr,
                       .start_ms = ts - b->group.offset_ms,
                       .end_ms = ts - b->group.offset_ms,
                       .cancel = b->ask->cancel,
                       .deadline = b->deadline};
        arena_reset(&b->piece);
        Err e = promql_query(&b->rules.env.prom, b->rules.env.source, &q, &b->piece, &res, &mine);
        if (e == OK)
            e = eval_as_vector(&res, &b->piece, &mine);
        if (e == E_EXEC) {
            failed(b, &mine);
            b->totals.evaluations++;
            continue;
        }
        if (e != OK) {
            *why = mine;
            return e;
        }
        TRY(step(b, &res, ts, why));
    }
    return OK;
}

/* The series of a matrix that have a sample at t, as an instant query would have given them. */
static void cut(const PromResult *m, u32 *cursors, i64 t, PromSeries *at, f64 *values,
                const Histogram **hists, PromResult *ret)
{
    *ret = (PromResult){.type = PROM_VECTOR, .series = at, .t = t};
    for (u32 i = 0; i < m->series_len; i++) {
        const PromSeries *s = &m->series[i];
        while (cursors[i] < s->n && s->t[cursors[i]] < t)
            cursors[i]++;
        u32 k = cursors[i];
        if (k == s->n || s->t[k] != t)
            continue;
        u32 n = ret->series_len++;
        values[n] = s->v ? s->v[k] : 0;
        hists[n] = s->h ? s->h[k] : NULL;
        at[n] = (PromSeries){.labels = s->labels, .n = 1, .v = &values[n], .h = s->h ? &hists[n] : NULL};
    }
}

static Err piece(Backtest *b, i64 from_ms, u64 n, Why *why)
{
    PromResult m, res;
    PromQuery q = {.text = b->rule.expr,
                   .start_ms = from_ms - b->group.offset_ms,
                   .end_ms = from_ms - b->group.offset_ms + (i64)(n - 1) * b->ask->interval_ms,
                   .step_ms = b->ask->interval_ms,
                   .is_range = true,
                   .cancel = b->ask->cancel,
                   .deadline = b->deadline};
    arena_reset(&b->piece);
    TRY(promql_query(&b->rules.env.prom, b->rules.env.source, &q, &b->piece, &m, why));
    if (m.type != PROM_MATRIX)
        return why_set(why, E_EXEC, "rule result is not a vector or scalar");
    u32 *cursors = arena_array(&b->piece, u32, m.series_len + 1);
    PromSeries *at = arena_array(&b->piece, PromSeries, m.series_len + 1);
    f64 *values = arena_array(&b->piece, f64, m.series_len + 1);
    const Histogram **hists = arena_array(&b->piece, const Histogram *, m.series_len + 1);
    if (!cursors || !at || !values || !hists || arena_over(&b->piece))
        return why_set(why, E_LIMIT, "the result takes more than %d MiB", PIECE_BYTES_MAX >> 20);
    memset(cursors, 0, (m.series_len + 1) * sizeof *cursors);
    for (u64 i = 0; i < n && !b->is_stopped; i++) {
        i64 ts = from_ms + (i64)i * b->ask->interval_ms;
        cut(&m, cursors, ts - b->group.offset_ms, at, values, hists, &res);
        TRY(step(b, &res, ts, why));
    }
    return OK;
}

/* Does the expression ask about the query around it? Rather once too often: it is only slower. */
static bool asks_for_query(Str expr)
{
    static const char *const names[] = {"start", "end", "step", "range"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_find(expr, str_c(names[i])) != SIZE_MAX)
            return true;
    return false;
}

static Err run(Backtest *b, Why *why)
{
    const BacktestAsk *ask = b->ask;
    u64 steps = (u64)((ask->end_ms - ask->start_ms) / ask->interval_ms) + 1, piece_steps = PIECE_STEPS;
    bool alone = asks_for_query(b->rule.expr);
    for (u64 done = 0; done < steps && !b->is_stopped;) {
        u64 n = MIN(piece_steps, steps - done), before = b->totals.evaluations;
        i64 from = ask->start_ms + (i64)done * ask->interval_ms;
        Why mine = {0};
        Err e = alone ? one_by_one(b, from, n, &mine) : piece(b, from, n, &mine);
        if (e == E_LIMIT && !alone && n > 1 && b->totals.evaluations == before) {
            piece_steps = n / 2;
            continue;
        }
        if (e == E_EXEC && !alone && b->totals.evaluations == before)
            e = one_by_one(b, from, n, &mine);
        if (e != OK) {
            *why = mine;
            return e;
        }
        done += n;
        if (ask->progress && !b->is_stopped)
            b->is_stopped = !ask->progress(ask->arg, (f64)done / (f64)steps);
    }
    return OK;
}

Err rules_backtest(Rules *r, const BacktestAsk *ask, BacktestTotals *ret, Why *why)
{
    if (!ask->rule->is_alert)
        return why_set(why, E_INVALID, "only alerting rules can be tested: %.*s is a recording rule",
                       (int)MIN(ask->rule->name.len, 200), ask->rule->name.at);
    if (ask->interval_ms <= 0 || ask->end_ms < ask->start_ms)
        return why_set(why, E_INVALID, "want a range that begins before it ends, and an interval above zero");
    if ((ask->end_ms - ask->start_ms) / ask->interval_ms >= STEPS_MAX)
        return why_set(why, E_INVALID, "more than %d evaluations: take a shorter range or a longer interval",
                       STEPS_MAX);
    Backtest *b = mem_new(Backtest);
    RuleThreshold threshold;
    b->ask = ask;
    b->rules = (Rules){.env = {.prom = r->env.prom, .source = r->env.source}, .resend_ms = r->resend_ms};
    b->rule = *ask->rule;
    b->rule.annotations = (Labels){0};
    b->described = ask->group ? *ask->group : (RuleGroup){0};
    b->group =
        (Group){.owner = &b->rules, .g = &b->described, .interval_ms = ask->interval_ms, .rules = &b->st};
    b->st.rule = &b->rule;
    b->lowest = rule_threshold(b->rule.tree, &threshold) && threshold.op[0] == '<';
    b->deadline = deadline_in_ms(r->env.clock, r->env.prom.timeout_ms > 0 ? r->env.prom.timeout_ms : 120000);
    arena_init(&b->piece, r->env.prom.account, PIECE_BYTES_MAX);
    arena_init(&b->eval.arena, r->env.prom.account, PIECE_BYTES_MAX);
    Arena names; /* globals may change at a reload */
    arena_init(&names, NULL, 1 << 20);
    mutex_lock(&r->lock);
    b->group.offset_ms =
        ask->group && ask->group->has_query_offset ? ask->group->query_offset_ms : r->globals.query_offset_ms;
    b->eval.host = (RuleTmplHost){.prom = &b->rules.env.prom,
                                  .source = r->env.source,
                                  .external_url = arena_dup(&names, r->globals.external_url),
                                  .external_labels = labels_dup(&names, r->globals.external_labels)};
    mutex_unlock(&r->lock);
    b->eval.r = &b->rules;
    b->eval.group = &b->group;
    b->eval.st = &b->st;
    Err e = run(b, why);
    for (size_t i = b->open.len; i-- > 0;)
        close_one(b, i, 0);
    b->totals.truncated = b->totals.firings > FIRINGS_MAX;
    *ret = b->totals;
    snprintf(ret->first_failure, sizeof ret->first_failure, "%s",
             b->totals.failed ? b->first_failure.text : "");
    rule_state_done(&b->st);
    vec_done(&b->open);
    u64map_done(&b->by_hash);
    vec_done(&b->eval.items);
    vec_done(&b->eval.hashes);
    vec_done(&b->eval.notices);
    arena_done(&b->eval.arena);
    arena_done(&b->piece);
    arena_done(&names);
    mem_free(b);
    return e;
}
