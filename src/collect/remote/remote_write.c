/* The list of destinations: the sink over them, reload, timer, life and death. */
#include "collect/remote/remote_internal.h"
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

/* ---- timer ---- */

static u32 list_dests(RemoteWrite *rw, Dest *ret[REMOTE_DESTINATIONS_MAX])
{
    mutex_lock(&rw->mutex);
    u32 n = rw->dests_len;
    for (u32 i = 0; i < n; i++) {
        ret[i] = rw->dests[i];
        ret[i]->refs++;
    }
    mutex_unlock(&rw->mutex);
    return n;
}

static void schedule_all(RemoteWrite *rw)
{
    Dest *at[REMOTE_DESTINATIONS_MAX];
    for (u32 i = 0, n = list_dests(rw, at); i < n; i++) {
        dest_schedule(at[i]);
        dest_unref(at[i]);
    }
}

static void on_timer(void *arg)
{
    RemoteWrite *rw = arg;
    rw->armed_ns = INT64_MAX;
    schedule_all(rw);
}

static void on_arm(void *arg)
{
    RemoteWrite *rw = arg;
    i64 at = rw->armed_ns;
    if (at != INT64_MAX && !rw->is_stopping)
        timer_start(rw->o.loop, &rw->timer, at);
    rw->posted--;
}

void remote_write_arm(RemoteWrite *rw, i64 at_ns)
{
    i64 armed = rw->armed_ns;
    do
        if (armed <= at_ns || rw->is_stopping)
            return;
    while (!atomic_compare_exchange_weak(&rw->armed_ns, &armed, at_ns));
    rw->posted++;
    loop_post(rw->o.loop, on_arm, rw);
}

/* ---- the sink ---- */

static void note_highest(RemoteWrite *rw, const SampleBatch *b)
{
    i64 t = INT64_MIN;
    for (u32 i = 0; i < b->series_len; i++) {
        const SeriesItem *s = &b->series[i];
        if (s->samples_len)
            t = MAX(t, s->samples[s->samples_len - 1].t);
        if (s->hists_len)
            t = MAX(t, s->hist_t[s->hists_len - 1]);
    }
    i64 s = t / 1000, have = rw->highest_s;
    while (t > 0 && s > have)
        if (atomic_compare_exchange_weak(&rw->highest_s, &have, s))
            metric_set(rw->highest, (f64)s);
}

static void sink_write(SampleSink *sink, const SampleBatch *batch, u64 *ret_hints, SinkResult *ret)
{
    RemoteWrite *rw = (RemoteWrite *)sink;
    Dest *at[REMOTE_DESTINATIONS_MAX];
    *ret = (SinkResult){0};
    if (rw->is_stopping || (rw->tenant.len && !str_eq(rw->tenant, batch->tenant)))
        return;
    u32 n = list_dests(rw, at);
    if (n)
        note_highest(rw, batch);
    for (u32 i = 0; i < n; i++) {
        SinkResult one;
        dest_write(at[i], batch, &one);
        ret->samples_ok = MAX(ret->samples_ok, one.samples_ok);
        ret->histograms_ok = MAX(ret->histograms_ok, one.histograms_ok);
        ret->exemplars_ok = MAX(ret->exemplars_ok, one.exemplars_ok);
        if (one.err != OK && ret->err == OK) {
            ret->err = one.err;
            ret->why = one.why;
        }
        dest_unref(at[i]);
    }
}

static bool sink_is_idle(SampleSink *sink)
{
    return !remote_write_is_active((RemoteWrite *)sink);
}

SampleSink *remote_write_sink(RemoteWrite *rw)
{
    return &rw->sink;
}

bool remote_write_is_active(RemoteWrite *rw)
{
    mutex_lock(&rw->mutex);
    bool any = rw->dests_len > 0;
    mutex_unlock(&rw->mutex);
    return any;
}

/* ---- life ---- */

RemoteWrite *remote_write_new(const RemoteWriteOptions *o)
{
    RemoteWrite *rw = mem_new(RemoteWrite);
    rw->sink.write = sink_write;
    rw->sink.is_idle = sink_is_idle;
    rw->o = *o;
    rw->dir = mem_strdup(str_c(o->dir));
    rw->user_agent = mem_strdup(o->user_agent.len ? o->user_agent : S("pharos"));
    rw->tenant = mem_dup(o->tenant.len ? o->tenant : S(""));
    if (!rw->o.disk_bytes_max)
        rw->o.disk_bytes_max = 1ULL << 30;
    if (!rw->o.flush_ms)
        rw->o.flush_ms = 1000;
    rw->clock = loop_clock(o->loop);
    rw->http = http_client_new(o->loop, o->account);
    rw->pool = pool_new("remote_write", 2, 4 * REMOTE_DESTINATIONS_MAX);
    mutex_init(&rw->apply, RANK_ALERT);
    mutex_init(&rw->mutex, RANK_ALERT + 1);
    timer_init(&rw->timer, on_timer, rw);
    rw->armed_ns = INT64_MAX;
    rw->highest = metric_gauge("prometheus_remote_storage_highest_timestamp_in_seconds",
                               "Newest timestamp that came into remote write.", "");
    return rw;
}

static bool is_plain_name(Str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.at[i] >= 'a' && s.at[i] <= 'z') || (s.at[i] >= 'A' && s.at[i] <= 'Z') ||
              (s.at[i] >= '0' && s.at[i] <= '9') || s.at[i] == '_' || s.at[i] == '-'))
            return false;
    return s.len > 0 && s.len <= 64;
}

/* The folder's name: n-<name>, or a hash of what identifies the destination. */
static void identity(const RemoteWriteConfig *c, char ret[96])
{
    if (is_plain_name(c->name))
        snprintf(ret, 96, "n-%.*s", STR_FMT(c->name));
    else if (c->name.len)
        snprintf(ret, 96, "h-%016llx", (unsigned long long)hash_str(c->name));
    else
        snprintf(ret, 96, "u-%016llx", (unsigned long long)hash_str(c->url));
}

/* With apply held, so the list changes nowhere else; the mutex guards it against those who read it. */
static Err apply_one(RemoteWrite *rw, const RemoteWriteConfig *c, Labels external, Dest **ret, Why *why)
{
    char id[96];
    identity(c, id);
    DestConf *conf = dest_conf_new(c, external, str_c(id), why);
    if (!conf)
        return why && why->err ? why->err : E_INVALID;
    for (u32 i = 0; i < rw->dests_len; i++) {
        Dest *d = rw->dests[i];
        if (!str_eq(d->id, str_c(id)))
            continue;
        mutex_lock(&d->mutex);
        DestConf *old = d->conf;
        d->conf = conf;
        d->is_removed = false;
        mutex_unlock(&d->mutex);
        mutex_lock(&d->answers);
        d->speaks_v1 = false; /* the receiver may have learnt it */
        mutex_unlock(&d->answers);
        dest_conf_unref(old);
        *ret = d;
        return OK;
    }
    Err e = rw->dests_len == REMOTE_DESTINATIONS_MAX
                ? why_set(why, E_LIMIT, "at most %d remote_write destinations are possible",
                          REMOTE_DESTINATIONS_MAX)
                : dest_open(rw, conf, str_c(id), ret, why);
    dest_conf_unref(conf);
    if (e != OK)
        return e;
    mutex_lock(&rw->mutex);
    rw->dests[rw->dests_len++] = *ret;
    mutex_unlock(&rw->mutex);
    Buf url;
    buf_init(&url, 1024);
    url_print_redacted(&url, c->url);
    LOG_INFO("remote", "Remote write starts", LF_C("remote_name", id), LF_STR("url", buf_view(&url)));
    buf_done(&url);
    return OK;
}

Err remote_write_apply(RemoteWrite *rw, const RemoteWriteConfig *configs, u32 n, Labels external, Why *why)
{
    Err first = OK;
    bool wanted[REMOTE_DESTINATIONS_MAX] = {0};
    mutex_lock(&rw->apply);
    for (u32 i = 0; i < n; i++) {
        Dest *d = NULL;
        Why one = {0};
        Err e = apply_one(rw, &configs[i], external, &d, &one);
        for (u32 k = 0; e == OK && k < rw->dests_len; k++) {
            if (rw->dests[k] != d)
                continue;
            if (wanted[k])
                e = why_set(&one, E_INVALID, "two remote_write destinations have the same name or URL");
            wanted[k] = true;
        }
        if (e != OK && first == OK) {
            first = e;
            if (why)
                *why = one;
        }
    }
    for (u32 k = 0; k < rw->dests_len && first == OK; k++)
        if (!wanted[k]) {
            mutex_lock(&rw->dests[k]->mutex);
            rw->dests[k]->is_removed = true;
            mutex_unlock(&rw->dests[k]->mutex);
            LOG_INFO("remote", "Remote write stops: not configured any more",
                     LF_STR("remote_name", rw->dests[k]->id));
        }
    mutex_unlock(&rw->apply);
    schedule_all(rw);
    return first;
}

static bool is_removed(Dest *d)
{
    mutex_lock(&d->mutex);
    bool r = d->is_removed;
    mutex_unlock(&d->mutex);
    return r;
}

static bool is_sending(Dest *d)
{
    bool r = false;
    mutex_lock(&d->answers);
    for (u32 i = 0; i < COUNT_OF(d->req); i++)
        r |= d->req[i] && d->req[i]->state == REQ_SENDING;
    d->no_steps = !r;
    mutex_unlock(&d->answers);
    return r;
}

bool dest_close_if_idle(Dest *d)
{
    RemoteWrite *rw = d->rw;
    if (!is_removed(d))
        return false;
    mutex_lock(&rw->apply); /* nobody may bring it back meanwhile */
    mutex_lock(&d->mutex);
    bool close = d->is_removed && !d->is_closed && !d->users && !is_sending(d);
    if (close) {
        Why why;
        d->is_closed = true;
        if (dest_seal_all(d, &why) != OK)
            LOG_ERROR("remote", "The spool does not take samples", LF_STR("remote_name", d->id),
                      LF_WHY(&why));
        dest_shut(d);
    }
    mutex_unlock(&d->mutex);
    if (close) {
        mutex_lock(&rw->mutex);
        for (u32 i = 0; i < rw->dests_len; i++)
            if (rw->dests[i] == d) {
                rw->dests[i] = rw->dests[--rw->dests_len];
                break;
            }
        mutex_unlock(&rw->mutex);
    }
    mutex_unlock(&rw->apply);
    if (close)
        dest_unref(d);
    return close;
}

bool remote_write_drain(RemoteWrite *rw, i64 timeout_ms)
{
    i64 end = clock_mono_ms(clock_real()) + timeout_ms;
    rw->is_draining = true;
    for (;;) {
        Dest *at[REMOTE_DESTINATIONS_MAX];
        bool empty = true;
        schedule_all(rw);
        for (u32 i = 0, n = list_dests(rw, at); i < n; i++) {
            empty &= is_removed(at[i]) || at[i]->taken <= at[i]->done;
            dest_unref(at[i]);
        }
        if (empty || clock_mono_ms(clock_real()) >= end) {
            rw->is_draining = false;
            return empty;
        }
        nanosleep(&(struct timespec){.tv_nsec = 5 * NS_PER_MS}, NULL);
    }
}

void remote_write_free(RemoteWrite *rw)
{
    if (!rw)
        return;
    rw->is_stopping = true; /* from here on nobody asks for a step */
    timer_stop(rw->o.loop, &rw->timer);
    pool_free(rw->pool);
    http_client_free(rw->http);
    while (rw->posted || rw->inflight)
        loop_run_once(rw->o.loop, 1);
    for (u32 i = 0; i < rw->dests_len; i++) {
        Dest *d = rw->dests[i];
        Why why;
        mutex_lock(&d->mutex);
        d->is_closed = true;
        if (dest_seal_all(d, &why) != OK)
            LOG_ERROR("remote", "The spool does not take samples", LF_STR("remote_name", d->id),
                      LF_WHY(&why));
        mutex_unlock(&d->mutex);
        check(d->refs == 1);
        dest_unref(d);
    }
    mutex_done(&rw->mutex);
    mutex_done(&rw->apply);
    mem_free(rw->dir);
    mem_free(rw->user_agent);
    mem_free((void *)rw->tenant.at);
    mem_free(rw);
}

void remote_write_status(RemoteWrite *rw, void (*fn)(void *arg, const RemoteWriteStatus *s), void *arg)
{
    Dest *at[REMOTE_DESTINATIONS_MAX];
    for (u32 i = 0, n = list_dests(rw, at); i < n; i++) {
        Dest *d = at[i];
        Buf url, name;
        char error[256];
        buf_init(&url, 4096), buf_init(&name, 4096);
        mutex_lock(&d->mutex);
        bool gone = d->is_closed;
        u64 done = d->done;
        RemoteWriteStatus s = {.samples_pending = d->taken - done,
                               .spool_bytes = gone ? 0 : spool_bytes(d->spool),
                               .samples_sent = d->n_sent,
                               .samples_failed = d->n_failed,
                               .samples_dropped = d->n_dropped,
                               .samples_retried = d->n_retried};
        if (!gone) {
            url_print_redacted(&url, d->conf->c.url);
            buf_str(&name, d->conf->c.name.len ? d->conf->c.name : d->id);
        }
        mutex_unlock(&d->mutex);
        mutex_lock(&d->answers);
        s.last_success_ms = d->last_success_ms;
        memcpy(error, d->last_error, sizeof error);
        mutex_unlock(&d->answers);
        s.url = buf_view(&url), s.name = buf_view(&name), s.last_error = error;
        if (!gone)
            fn(arg, &s);
        buf_done(&url), buf_done(&name);
        dest_unref(d);
    }
}
