/* One evaluation of a group: query, alert state machine, samples, staleness, notices. */
#include "rules/rules_internal.h"

#include <math.h>

enum { ARENA_BYTES_MAX = 1 << 30, CHANGES_MAX = 512 << 20 };

const char *alert_state_name(AlertState s)
{
    static const char *const names[] = {"inactive", "pending", "firing"};
    return names[s];
}

void active_alert_free(ActiveAlert *a)
{
    if (!a)
        return;
    labels_disown(a->labels);
    labels_disown(a->annotations);
    mem_free(a);
}

ActiveAlert *rule_state_find(RuleState *s, u64 hash)
{
    u64 *at = u64map_find(&s->by_hash, hash);
    return at ? s->alerts.at[*at] : NULL;
}

void rule_state_add(RuleState *s, ActiveAlert *a)
{
    u64map_put(&s->by_hash, a->hash, s->alerts.len);
    vec_push(&s->alerts, a);
}

void rule_state_forget_alert(RuleState *s, size_t i)
{
    u64map_del(&s->by_hash, s->alerts.at[i]->hash);
    active_alert_free(s->alerts.at[i]);
    s->alerts.at[i] = s->alerts.at[--s->alerts.len];
    if (i < s->alerts.len)
        u64map_put(&s->by_hash, s->alerts.at[i]->hash, i);
}

void rule_state_done(RuleState *s)
{
    for (size_t i = 0; i < s->alerts.len; i++)
        active_alert_free(s->alerts.at[i]);
    for (size_t i = 0; i < s->prev.len; i++)
        labels_disown(s->prev.at[i].labels);
    vec_done(&s->alerts);
    vec_done(&s->prev);
    u64map_done(&s->by_hash);
    u64map_done(&s->prev_by_hash);
    mem_free(s->last_error);
}

u64 rule_identity(const Rule *r)
{
    return hash_bytes(r->name.at, r->name.len, labels_hash(r->labels) + (r->is_alert ? 1 : 0));
}

/* ---- an evaluation ---- */
static void add_sample(Eval *e, Labels labels, f64 v, const Histogram *h)
{
    Sample *s = arena_new(&e->arena, Sample);
    *s = (Sample){e->stamp_ms, v};
    SeriesItem item = {.labels = labels};
    if (h) {
        const Histogram **hp = (const Histogram **)arena_zalloc(&e->arena, sizeof *hp);
        *hp = h;
        item.hist_t = &s->t;
        item.hists = hp;
        item.hists_len = 1;
    } else {
        item.samples = s;
        item.samples_len = 1;
    }
    vec_push(&e->items, item);
    vec_push(&e->hashes, labels_hash(labels));
}

static Err query(Eval *e, PromResult *ret, Why *why)
{
    PromQuery q = {.text = e->st->rule->expr,
                   .start_ms = e->stamp_ms,
                   .end_ms = e->stamp_ms,
                   .cancel = &e->group->cancel};
    TRY(promql_eval(&e->r->env.prom, e->r->env.source, &q, e->st->rule->tree, &e->arena, ret, why));
    if (arena_over(&e->arena))
        return why_set(why, E_LIMIT, "the rule's result takes more than %d MiB", ARENA_BYTES_MAX >> 20);
    return eval_as_vector(ret, &e->arena, why);
}

Err eval_as_vector(PromResult *ret, Arena *arena, Why *why)
{
    if (ret->type == PROM_SCALAR) { /* a scalar is a vector of one without labels */
        PromSeries *s = arena_new(arena, PromSeries);
        f64 *v = arena_alloc(arena, sizeof *v);
        *v = ret->scalar;
        *s = (PromSeries){.n = 1, .v = v};
        ret->series = s;
        ret->series_len = 1;
    } else if (ret->type != PROM_VECTOR) {
        return why_set(why, E_EXEC, "rule result is not a vector or scalar");
    }
    return OK;
}

static Err eval_record(Eval *e, Why *why)
{
    const Rule *rule = e->st->rule;
    PromResult res;
    TRY(query(e, &res, why));
    U64Map seen = {0};
    Err err = OK;
    for (u32 i = 0; i < res.series_len && err == OK; i++) {
        const PromSeries *s = &res.series[i];
        if (!s->n)
            continue;
        LabelsBuilder b;
        lb_init(&b, &e->arena, s->labels);
        lb_set(&b, LABEL_NAME, rule->name);
        for (u32 k = 0; k < rule->labels.len; k++)
            lb_set(&b, rule->labels.at[k].name, rule->labels.at[k].value);
        Labels l = lb_build(&b);
        u64 hash = labels_hash(l);
        if (u64map_find(&seen, hash))
            err = why_set(why, E_EXEC,
                          "vector contains metrics with the same labelset after applying rule labels");
        u64map_put(&seen, hash, 1);
        add_sample(e, l, s->v[0], s->h ? s->h[0] : NULL);
    }
    u64map_done(&seen);
    u64 limit = e->group->g->limit;
    if (err == OK && limit && e->items.len > limit)
        err = why_set(why, E_LIMIT, "exceeded limit of %llu with %zu series", (unsigned long long)limit,
                      e->items.len);
    return err;
}

/* ---- alerts ---- */
Err eval_found(Eval *e, const PromResult *res, Found **ret, u32 *ret_len, Why *why)
{
    const Rule *rule = e->st->rule;
    Found *found = arena_array(&e->arena, Found, res->series_len + 1);
    if (!found)
        return why_set(why, E_LIMIT, "the rule's result is too large");
    U64Map seen = {0};
    Err err = OK;
    u32 n = 0;
    for (u32 i = 0; i < res->series_len && err == OK; i++) {
        const PromSeries *s = &res->series[i];
        if (!s->n)
            continue;
        f64 value = s->h && s->h[0] ? 0 : s->v[0];
        LabelsBuilder b, notes;
        lb_init(&b, &e->arena, s->labels);
        lb_del(&b, LABEL_NAME);
        for (u32 k = 0; k < rule->labels.len; k++)
            lb_set(&b, rule->labels.at[k].name,
                   rule_tmpl_expand(&e->host, rule->name, rule->labels.at[k].value, s->labels, value,
                                    &e->arena));
        lb_set(&b, S("alertname"), rule->name);
        lb_init(&notes, &e->arena, (Labels){0});
        for (u32 k = 0; k < rule->annotations.len; k++)
            lb_set(&notes, rule->annotations.at[k].name,
                   rule_tmpl_expand(&e->host, rule->name, rule->annotations.at[k].value, s->labels, value,
                                    &e->arena));
        Labels l = lb_build(&b);
        found[n] = (Found){l, lb_build(&notes), labels_hash(l), value};
        if (u64map_find(&seen, found[n].hash))
            err = why_set(why, E_EXEC,
                          "vector contains metrics with the same labelset after applying alert labels");
        u64map_put(&seen, found[n].hash, 1);
        n++;
    }
    u64map_done(&seen);
    if (err == OK && arena_over(&e->arena))
        err = why_set(why, E_LIMIT, "the rule's labels and annotations take more than %d MiB",
                      ARENA_BYTES_MAX >> 20);
    *ret = found;
    *ret_len = n;
    return err;
}

static void note_change(Eval *e, const ActiveAlert *a)
{
    if (e->r->log)
        state_put(&e->changes, e->group->g->file, e->group->g->name, e->st->rule, a);
}

static void merge_found(Eval *e, const Found *found, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        ActiveAlert *a = rule_state_find(e->st, found[i].hash);
        if (a && a->state != ALERT_INACTIVE) {
            a->value = found[i].value;
            if (!labels_eq(a->annotations, found[i].annotations)) {
                labels_disown(a->annotations);
                a->annotations = labels_own(found[i].annotations);
            }
        } else {
            if (a) { /* a resolved one fires anew */
                labels_disown(a->labels);
                labels_disown(a->annotations);
            } else {
                a = mem_new(ActiveAlert);
                a->hash = found[i].hash;
                rule_state_add(e->st, a);
            }
            *a = (ActiveAlert){.hash = found[i].hash,
                               .state = ALERT_PENDING,
                               .value = found[i].value,
                               .active_ms = e->ts_ms,
                               .labels = labels_own(found[i].labels),
                               .annotations = labels_own(found[i].annotations)};
            if (e->st->rule->for_ms > 0) /* without a `for` it becomes firing below, and that is written */
                note_change(e, a);
        }
        a->seen = true;
    }
}

static Labels alert_series(Eval *e, const ActiveAlert *a, Str name, Str state)
{
    LabelsBuilder b;
    lb_init(&b, &e->arena, a->labels);
    lb_set(&b, LABEL_NAME, name);
    lb_set(&b, S("alertname"), e->st->rule->name);
    if (state.len)
        lb_set(&b, S("alertstate"), state);
    return labels_dup(&e->arena, lb_build(&b));
}

/* Not in the result: resolve, keep on firing, or forget. True when it stays active. */
static bool step_absent(Eval *e, ActiveAlert *a, bool *ret_forget)
{
    const Rule *rule = e->st->rule;
    bool keep = false;
    if (a->settle_ms > e->ts_ms && a->state != ALERT_INACTIVE) {
        *ret_forget = false;
        return true;
    }
    a->settle_ms = 0;
    if (a->state == ALERT_FIRING && rule->keep_firing_for_ms > 0) {
        if (!a->keep_since_ms) {
            a->keep_since_ms = e->ts_ms;
            note_change(e, a);
        }
        keep = e->ts_ms - a->keep_since_ms < rule->keep_firing_for_ms;
    }
    *ret_forget =
        a->state == ALERT_PENDING || (a->resolved_ms && e->ts_ms - a->resolved_ms > RULES_RETENTION_MS);
    if (a->state != ALERT_INACTIVE && !keep) {
        a->state = ALERT_INACTIVE;
        a->resolved_ms = e->ts_ms;
        if (!*ret_forget)
            note_change(e, a);
    }
    return keep;
}

static void step_present(Eval *e, ActiveAlert *a)
{
    const Rule *rule = e->st->rule;
    a->settle_ms = 0;
    if (a->keep_since_ms) {
        a->keep_since_ms = 0;
        note_change(e, a);
    }
    /* A reload may have raised `for`. */
    if (a->state == ALERT_FIRING && e->ts_ms - a->active_ms < rule->for_ms) {
        a->state = ALERT_PENDING;
        a->fired_ms = 0;
        note_change(e, a);
    }
}

static void add_notice(Eval *e, ActiveAlert *a)
{
    bool resolved = a->state == ALERT_INACTIVE;
    if (a->state == ALERT_PENDING || (resolved && !a->fired_ms))
        return;
    bool due = a->resolved_ms > a->sent_ms || a->sent_ms + e->r->resend_ms < e->ts_ms;
    if (!due)
        return;
    a->sent_ms = e->ts_ms;
    a->valid_ms = e->ts_ms + 4 * MAX(e->group->interval_ms, e->r->resend_ms);
    vec_push(&e->notices, (AlertNotice){.labels = labels_dup(&e->arena, a->labels),
                                        .annotations = labels_dup(&e->arena, a->annotations),
                                        .starts_ms = a->fired_ms,
                                        .ends_ms = resolved ? a->resolved_ms : a->valid_ms,
                                        .is_resolved = resolved,
                                        .value = a->value});
}

Err eval_step_alerts(Eval *e, const Found *found, u32 found_len, Why *why)
{
    RuleState *st = e->st;
    u64 active = 0;
    merge_found(e, found, found_len);
    for (size_t i = 0; i < st->alerts.len;) {
        ActiveAlert *a = st->alerts.at[i];
        bool forget = false, on = true;
        if (a->seen)
            step_present(e, a);
        else
            on = step_absent(e, a, &forget);
        a->seen = false;
        if (on) {
            active++;
            if (a->state == ALERT_PENDING && !a->settle_ms && e->ts_ms - a->active_ms >= st->rule->for_ms) {
                a->state = ALERT_FIRING;
                a->fired_ms = e->ts_ms;
                note_change(e, a);
            }
            add_sample(e, alert_series(e, a, S("ALERTS"), str_c(alert_state_name(a->state))), 1, NULL);
            add_sample(e, alert_series(e, a, S("ALERTS_FOR_STATE"), S("")), floor((f64)a->active_ms / 1000),
                       NULL);
        }
        if (forget) {
            if (e->r->log)
                state_del(&e->changes, e->group->g->file, e->group->g->name, st->rule, a);
            rule_state_forget_alert(st, i);
            continue;
        }
        i++;
    }
    u64 limit = e->group->g->limit;
    if (limit && active > limit) {
        while (st->alerts.len) {
            if (e->r->log)
                state_del(&e->changes, e->group->g->file, e->group->g->name, st->rule, st->alerts.at[0]);
            rule_state_forget_alert(st, 0);
        }
        e->items.len = e->hashes.len = 0;
        return why_set(why, E_LIMIT, "exceeded limit of %llu with %llu alerts", (unsigned long long)limit,
                       (unsigned long long)active);
    }
    for (size_t i = 0; i < st->alerts.len; i++)
        add_notice(e, st->alerts.at[i]);
    return OK;
}

static Err eval_alert(Eval *e, Why *why)
{
    Found *found;
    u32 n;
    PromResult res;
    TRY(query(e, &res, why));
    TRY(eval_found(e, &res, &found, &n, why));
    mutex_lock(&e->r->lock);
    Err err = eval_step_alerts(e, found, n, why);
    mutex_unlock(&e->r->lock);
    /* What changed is on disk before anybody is told. */
    if (e->changes.len)
        state_write(e->r->log, buf_view(&e->changes), e->ts_ms);
    return err;
}

/* ---- samples out ---- */
static void add_stale(Eval *e, Labels labels)
{
    Sample *s = arena_new(&e->arena, Sample);
    *s = (Sample){e->stamp_ms, stale_nan()};
    vec_push(&e->items, (SeriesItem){.labels = labels, .samples = s, .samples_len = 1});
}

/* Remembers what was returned, adds markers for what is not returned any more, writes it all. */
static Err write_samples(Eval *e, Why *why)
{
    RuleState *st = e->st;
    size_t returned = e->items.len;
    mutex_lock(&e->r->lock); /* reloads of other groups look at prev */
    st->round++;
    for (size_t i = 0; i < returned; i++) {
        u64 *at = u64map_find(&st->prev_by_hash, e->hashes.at[i]);
        if (!at) {
            u64map_put(&st->prev_by_hash, e->hashes.at[i], st->prev.len);
            vec_push(&st->prev,
                     (PrevSeries){.labels = labels_own(e->items.at[i].labels), .hash = e->hashes.at[i]});
            at = u64map_find(&st->prev_by_hash, e->hashes.at[i]);
        }
        st->prev.at[*at].round = st->round;
        e->items.at[i].hint = st->prev.at[*at].hint;
    }
    for (size_t i = 0; i < st->prev.len;) {
        PrevSeries *p = &st->prev.at[i];
        if (p->round == st->round) {
            i++;
            continue;
        }
        add_stale(e, labels_dup(&e->arena, p->labels));
        u64map_del(&st->prev_by_hash, p->hash);
        labels_disown(p->labels);
        *p = st->prev.at[--st->prev.len];
        if (i < st->prev.len)
            u64map_put(&st->prev_by_hash, p->hash, i);
    }
    mutex_unlock(&e->r->lock);
    if (!e->items.len || !e->r->env.sink)
        return OK;
    u64 *hints = mem_zalloc(e->items.len * sizeof *hints);
    SampleBatch batch = {
        .tenant = S(""), .series = e->items.at, .series_len = (u32)e->items.len, .from_self = true};
    SinkResult res = {0};
    e->r->env.sink->write(e->r->env.sink, &batch, hints, &res);
    for (size_t i = 0; i < returned; i++) {
        u64 *at = u64map_find(&st->prev_by_hash, e->hashes.at[i]);
        if (at)
            st->prev.at[*at].hint = hints[i];
    }
    mem_free(hints);
    if (res.err != OK)
        return why_set(why, res.err, "%s", res.why.text);
    return OK;
}

static void set_generator_urls(Eval *e)
{
    Buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, e->host.external_url);
    buf_c(&b, "/graph?g0.expr=");
    url_escape_query(&b, e->st->rule->query);
    buf_c(&b, "&g0.tab=1");
    Str url = arena_dup(&e->arena, buf_view(&b));
    buf_done(&b);
    for (size_t i = 0; i < e->notices.len; i++)
        e->notices.at[i].generator_url = url;
}

static void set_outcome(Rules *r, RuleState *st, Err err, const Why *why, i64 began_ns, i64 took_ns)
{
    char *text = err == OK ? NULL : mem_strdup(str_c(why->text));
    mutex_lock(&r->lock);
    char *old = st->last_error;
    st->last_error = text;
    st->health = err == OK ? HEALTH_OK : HEALTH_ERR;
    st->took_ns = took_ns;
    st->evaluated_ns = began_ns;
    mutex_unlock(&r->lock);
    mem_free(old);
}

/* Returns the number of samples it gave. */
static size_t eval_rule(Group *g, RuleState *st, i64 ts_ms)
{
    Rules *r = g->owner;
    Clock *clock = r->env.clock;
    i64 began_ns = clock_wall_ns(clock), mono = clock_mono_ns(clock);
    Eval e = {.r = r, .group = g, .st = st, .ts_ms = ts_ms, .stamp_ms = ts_ms - g->offset_ms};
    Why why = {0};
    arena_init(&e.arena, r->env.prom.account, ARENA_BYTES_MAX);
    buf_init(&e.changes, CHANGES_MAX);
    mutex_lock(&r->lock);
    e.host = (RuleTmplHost){.prom = &r->env.prom,
                            .source = r->env.source,
                            .now_ms = e.stamp_ms,
                            .external_url = arena_dup(&e.arena, r->globals.external_url),
                            .external_labels = labels_dup(&e.arena, r->globals.external_labels)};
    mutex_unlock(&r->lock);
    Err err = st->rule->is_alert ? eval_alert(&e, &why) : eval_record(&e, &why);
    size_t given = 0;
    if (err == OK) {
        given = e.items.len;
        err = write_samples(&e, &why);
    }
    if (e.notices.len && r->env.alerts) {
        set_generator_urls(&e);
        r->env.alerts->send(r->env.alerts, e.notices.at, (u32)e.notices.len);
    }
    metric_inc(g->m_evals);
    if (err != OK) {
        metric_inc(g->m_fails);
        LOG_WARN("rules", "Evaluating rule failed", LF_STR("group", g->g->name),
                 LF_STR("rule", st->rule->name), LF_STR("file", g->g->file), LF_INT("line", st->rule->line),
                 LF_WHY(&why));
    }
    set_outcome(r, st, err, &why, began_ns, clock_mono_ns(clock) - mono);
    vec_done(&e.items);
    vec_done(&e.hashes);
    vec_done(&e.notices);
    buf_done(&e.changes);
    arena_done(&e.arena);
    return given;
}

void group_eval(Group *g, i64 ts_ms)
{
    Rules *r = g->owner;
    Clock *clock = r->env.clock;
    i64 began_ns = clock_wall_ns(clock), mono = clock_mono_ns(clock);
    size_t samples = 0;
    for (u32 i = 0; i < g->g->rules_len && !cancel_is_set(&g->cancel); i++)
        samples += eval_rule(g, &g->rules[i], ts_ms);
    i64 took = clock_mono_ns(clock) - mono;
    mutex_lock(&r->lock);
    g->took_ns = took;
    g->evaluated_ns = began_ns;
    if (r->log) {
        if (state_wants_snapshot(r->log))
            state_snapshot(r->log, r, ts_ms);
        state_heartbeat(r->log, ts_ms);
    }
    mutex_unlock(&r->lock);
    metric_set(g->m_duration, (f64)took / 1e9);
    metric_set(g->m_last_ts, (f64)began_ns / 1e9);
    metric_set(g->m_last_samples, (f64)samples);
}
