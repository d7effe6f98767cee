/* The sink: batches are routed to shards, checked, logged and applied; the caller waits until the log says durable. */
#include "metrics/delta.h"
#include "metrics/values.h"
#include "metrics/write.h"

#define RECORD_SPLIT_BYTES (8u << 20)
#define IN_FLIGHT_MAX      (64u << 20) /* of one shard, when nobody waits */
#define LANE_OF(sh)        ((sh)->index)

/* ---- waiting for the log ---- */

struct WriteWait {
    Mutex lock;
    Cond done;
    u32 refs; /* records not answered, and the writer */
    u32 pending;
    Err err;
};

typedef struct Pending {
    Shard *sh;
    WriteWait *wait; /* NULL: nobody waits */
    u32 gen, defs_len;
    Buf bytes;
    Defined *defs; /* series this record defines */
} Pending;

static void wait_unref(WriteWait *w, Err e, bool is_answer)
{
    mutex_lock(&w->lock);
    if (is_answer) {
        if (e != OK && w->err == OK)
            w->err = e;
        if (--w->pending == 0)
            cond_signal(&w->done);
    }
    bool is_last = --w->refs == 0;
    mutex_unlock(&w->lock);
    if (is_last) {
        mutex_done(&w->lock);
        cond_done(&w->done);
        mem_free(w);
    }
}

/* On the committer's thread, in order of position. A record that failed may have defined series which later records of the
 * shard name: those are not acknowledged either until the definitions went out again. */
static void record_done(void *arg, Err err, LogPos at, bool duplicate)
{
    Pending *p = arg;
    Shard *sh = p->sh;
    mutex_lock(&sh->io_lock);
    if (err == OK) {
        sh->done_pos[p->gen] = at;
        if (sh->redefine.len)
            err = E_UNKNOWN;
    } else {
        sh->last_error = err;
        for (u32 i = 0; i < p->defs_len; i++)
            vec_push(&sh->redefine, p->defs[i]);
    }
    sh->in_flight_bytes -= p->bytes.len;
    sh->in_flight[p->gen]--;
    cond_broadcast(&sh->io_cond);
    mutex_unlock(&sh->io_lock);
    if (p->wait)
        wait_unref(p->wait, err, true);
    buf_done(&p->bytes);
    mem_free(p->defs);
    mem_free(p);
}

/* ---- activity ---- */

static bool bit_set(u64 **bits, u32 *cap, u32 i)
{
    if (i / 64 >= *cap) {
        u32 fresh = MAX(*cap * 2, i / 64 + 16);
        *bits = mem_realloc(*bits, fresh * sizeof(u64));
        memset(*bits + *cap, 0, (fresh - *cap) * sizeof(u64));
        *cap = fresh;
    }
    u64 bit = (u64)1 << (i % 64), was = (*bits)[i / 64] & bit;
    (*bits)[i / 64] |= bit;
    return !was;
}

void shard_touch(TenantShard *ts, u32 local)
{
    if (!bit_set(&ts->active[0], &ts->active_cap[0], local))
        return;
    ts->active_len[0]++;
    if (local / 64 < ts->active_cap[1] && ts->active[1][local / 64] >> (local % 64) & 1)
        ts->active_both++;
}

void shard_rotate(TenantShard *ts)
{
    mem_free(ts->active[1]);
    ts->active[1] = ts->active[0];
    ts->active_cap[1] = ts->active_cap[0];
    ts->active_len[1] = ts->active_len[0];
    ts->active[0] = NULL;
    ts->active_cap[0] = ts->active_len[0] = ts->active_both = 0;
}

u32 shard_active(const TenantShard *ts)
{
    return ts->active_len[0] + ts->active_len[1] - ts->active_both;
}

void tenant_saw(MetricsEngine *e, Tenant *t, i64 mint, i64 maxt)
{
    i64 was = t->maxt;
    while (was < maxt && !atomic_compare_exchange_weak(&t->maxt, &was, maxt))
        ;
    was = e->mint;
    while (was > mint && !atomic_compare_exchange_weak(&e->mint, &was, mint))
        ;
    epochs_touch(&t->epochs, mint);
}

/* ---- one batch, one shard ---- */

typedef struct Route {
    u32 item, next; /* next of the same shard, 0 = end; places count from 1 */
    u32 sid;        /* known through a valid hint, else 0 */
    u16 shard;
    bool is_deferred; /* a new series: made after the known ones, in the batch's order */
    u64 hash;
} Route;

static void reject(Writer *w, u64 *counter, u64 n, Err err, const Why *why)
{
    *counter += n;
    if (w->ret->err == OK) {
        w->ret->err = err;
        w->ret->why = *why;
    }
}

static u64 item_points(const SeriesItem *it)
{
    return (u64)it->samples_len + it->hists_len;
}

static void why_sample(const Writer *w, Why *why, Err e, const SeriesItem *it, i64 t, const char *what)
{
    Buf b;
    Label known[LABELS_MAX];
    Labels l = it->labels;
    const u32 *rec = l.len ? NULL : catalogue_record(&w->t->cat, hint_sid(w->t, it->hint));
    if (rec) {
        catalogue_labels(&w->t->cat, rec, known);
        l = (Labels){known, record_labels(rec)};
    }
    buf_init(&b, 700);
    labels_print(&b, l);
    why_set(why, e, "%s: series %.*s, timestamp %lld", what, (int)b.len, b.at ? b.at : "", (long long)t);
    buf_done(&b);
}

void record_post(Writer *w, u8 type, Buf *bytes, Defined *defined, u32 defined_len)
{
    Shard *sh = w->sh;
    Pending *p = mem_new(Pending);
    *p = (Pending){
        .sh = sh, .gen = sh->gen, .wait = w->wait, .defs = defined, .defs_len = defined_len, .bytes = *bytes};
    if (w->wait) {
        mutex_lock(&w->wait->lock);
        w->wait->refs++;
        w->wait->pending++;
        mutex_unlock(&w->wait->lock);
    }
    mutex_lock(&sh->io_lock);
    sh->in_flight[p->gen]++;
    sh->in_flight_bytes += p->bytes.len;
    mutex_unlock(&sh->io_lock);
    LogRecord r = {.lane = LANE_OF(sh), .type = type, .bytes = buf_view(&p->bytes)};
    ilog_append(w->e->log, &r, w->wait != NULL, record_done, p);
}

/* Hands the record collected so far to the log. */
static void record_send(Writer *w)
{
    if (!w->has_items && !w->defined.len)
        return;
    Buf b;
    buf_init(&b, RECORD_BUF_MAX);
    buf_reserve(&b, w->defs.len + w->items.len + w->t->name.len + 32);
    record_begin(&b, w->t->name);
    wr_varint(&b, w->defined.len);
    buf_put(&b, w->defs.at, w->defs.len);
    wr_zigzag(&b, w->base);
    buf_put(&b, w->items.at, w->items.len);
    buf_clear(&w->defs);
    buf_clear(&w->items);
    w->last_sid = 0;
    w->has_items = false;
    record_post(w, RECORD_WRITE, &b, w->defined.at, (u32)w->defined.len);
    memset(&w->defined, 0, sizeof w->defined);
}

static void define(Writer *w, u32 sid, Labels l)
{
    record_define(&w->defs, sid, l);
    vec_push(&w->defined, (Defined){w->t, sid});
}

/* Definitions that failed records took with them go out again, in records of their own, whoever's they are. */
static void redefine(Writer *w)
{
    Shard *sh = w->sh;
    VEC(Defined) lost = {0};
    mutex_lock(&sh->io_lock);
    for (size_t i = 0; i < sh->redefine.len; i++)
        vec_push(&lost, sh->redefine.at[i]);
    sh->redefine.len = 0;
    mutex_unlock(&sh->io_lock);
    Tenant *own = w->t;
    Label labels[LABELS_MAX];
    for (size_t i = 0; i < lost.len; i++) {
        if (lost.at[i].t != w->t)
            record_send(w);
        w->t = lost.at[i].t;
        const u32 *rec = catalogue_record(&w->t->cat, lost.at[i].sid);
        catalogue_labels(&w->t->cat, rec, labels);
        define(w, lost.at[i].sid, (Labels){labels, record_labels(rec)});
    }
    if (w->t != own)
        record_send(w);
    w->t = own;
    vec_done(&lost);
}

static const u32 *series_get(Writer *w, Route *r, const SeriesItem *it, u32 *ret_sid)
{
    if (r->sid && record_is_forgotten(catalogue_record(&w->t->cat, r->sid))) { /* since it was routed */
        if (!it->labels.len) {
            w->ret->unknown += item_points(it);
            return NULL;
        }
        r->sid = 0;
        r->hash = catalogue_hash(it->labels).labels;
    }
    u32 sid = r->sid ? r->sid : catalogue_find(&w->t->cat, w->sh->index, r->hash, it->labels);
    if (!sid && !w->may_create) {
        r->is_deferred = w->has_deferred = true;
        return NULL;
    }
    if (!sid) {
        Why why = {0};
        if (catalogue_check_labels(it->labels, &why) != OK) {
            reject(w, &w->ret->rejected_invalid, item_points(it), E_INVALID, &why);
            return NULL;
        }
        if (w->e->c.series_max && w->active >= w->e->c.series_max) {
            why_set(&why, E_LIMIT, "the tenant has %llu active series, the limit: new series are refused",
                    (unsigned long long)w->active);
            reject(w, &w->ret->rejected_limit, item_points(it), E_LIMIT, &why);
            return NULL;
        }
        sid = catalogue_add(&w->t->cat, w->sh->index, r->hash, it->labels);
        if (!sid) {
            why_set(&why, E_LIMIT, "the series catalogue is full");
            reject(w, &w->ret->rejected_limit, item_points(it), E_LIMIT, &why);
            return NULL;
        }
        define(w, sid, it->labels);
        w->active++;
        w->ret->series_added++;
    }
    *ret_sid = sid;
    return catalogue_record(&w->t->cat, sid);
}

static bool is_storable(Writer *w, const SeriesItem *it, i64 t, MemResult how)
{
    Why why;
    if (how == MEM_CONFLICT) {
        why_sample(w, &why, E_CONFLICT, it, t, "duplicate sample for timestamp with another value");
        reject(w, &w->ret->rejected_conflict, 1, E_CONFLICT, &why);
        return false;
    }
    w->ret->out_of_order += how == MEM_ADDED_LATE;
    w->mint = MIN(w->mint, t);
    w->maxt = MAX(w->maxt, t);
    return true;
}

static bool is_too_old(Writer *w, const SeriesItem *it, i64 t)
{
    if (t >= w->oldest)
        return false;
    Why why;
    why_sample(w, &why, E_TOO_OLD, it, t, "sample is too old: before the out-of-order window or retention");
    reject(w, &w->ret->rejected_old, 1, E_TOO_OLD, &why);
    return true;
}

/* Returns how many samples went into out. One already there with the same value is logged again: the record that held it may
 * have failed. */
static u32 floats_write(Writer *w, const SeriesItem *it, u32 local, Buf *out, bool *is_new)
{
    u32 n = 0;
    for (u32 i = 0; i < it->samples_len; i++) {
        Sample s = it->samples[i];
        if (is_too_old(w, it, s.t))
            continue;
        MemResult how = mem_check(w->table, local, s.t, s.v);
        if (!is_storable(w, it, s.t, how))
            continue;
        if (how != MEM_SAME) {
            bool first;
            mem_add(w->table, local, s.t, s.v, how == MEM_ADDED_LATE, &first);
            *is_new |= first;
        }
        wr_zigzag(out, (i64)((u64)s.t - (u64)w->base));
        value_write(out, s.v);
        n++;
    }
    w->ret->samples_ok += n;
    return n;
}

static u32 hists_write(Writer *w, const SeriesItem *it, u32 local, Buf *out, bool *is_new)
{
    u32 n = 0;
    Buf blob;
    buf_init(&blob, RECORD_SPLIT_BYTES);
    for (u32 i = 0; i < it->hists_len; i++) {
        Why why = {0};
        if (is_too_old(w, it, it->hist_t[i]))
            continue;
        if (histogram_check(it->hists[i], &why) != OK) {
            reject(w, &w->ret->rejected_invalid, 1, E_INVALID, &why);
            continue;
        }
        buf_clear(&blob);
        hist_encode(&blob, it->hists[i]);
        if (buf_over(&blob)) {
            why_set(&why, E_INVALID, "histogram is larger than %u bytes", RECORD_SPLIT_BYTES);
            reject(w, &w->ret->rejected_invalid, 1, E_INVALID, &why);
            continue;
        }
        MemResult how = mem_check_hist(w->table, local, it->hist_t[i], buf_view(&blob));
        if (!is_storable(w, it, it->hist_t[i], how))
            continue;
        if (how != MEM_SAME) {
            bool first;
            mem_add_hist(w->table, local, it->hist_t[i], buf_view(&blob), &first);
            *is_new |= first;
        }
        wr_zigzag(out, (i64)((u64)it->hist_t[i] - (u64)w->base));
        wr_str(out, buf_view(&blob));
        n++;
    }
    buf_done(&blob);
    w->ret->histograms_ok += n;
    return n;
}

static u32 exemplars_write(Writer *w, const SeriesItem *it, u32 sid, Buf *out)
{
    u32 n = 0;
    i64 fallback = it->samples_len ? it->samples[it->samples_len - 1].t
                   : it->hists_len ? it->hist_t[it->hists_len - 1]
                                   : 0;
    mutex_lock(&w->t->side_lock);
    for (u32 i = 0; i < it->exemplars_len; i++) {
        const Exemplar *x = &it->exemplars[i];
        i64 t = x->t ? x->t : fallback;
        if (!exemplars_add(&w->t->exemplars, w->e->c.exemplars_max, sid, x, t))
            continue;
        record_exemplar(out, x, t);
        n++;
    }
    mutex_unlock(&w->t->side_lock);
    w->ret->exemplars_ok += n;
    return n;
}

static void item_store(Writer *w, const SeriesItem *it, u32 sid, const u32 *rec)
{
    u32 floats, hists = 0, exemplars = 0;
    bool is_new = false;
    Buf *b = &w->scratch;
    buf_clear(b);
    size_t floats_end, hists_end;
    floats = floats_write(w, it, record_local(rec), b, &is_new);
    floats_end = b->len;
    if (it->hists_len)
        hists = hists_write(w, it, record_local(rec), b, &is_new);
    hists_end = b->len;
    if (it->exemplars_len)
        exemplars = exemplars_write(w, it, sid, b);
    if (is_new)
        shard_touch(w->ts, record_local(rec));
    if (!floats && !hists && !exemplars)
        return;
    bool has_extras = hists || exemplars;
    wr_zigzag(&w->items, (i64)sid - w->last_sid);
    wr_varint(&w->items, (u64)floats << 1 | has_extras);
    buf_put(&w->items, b->at, floats_end);
    if (has_extras) {
        wr_varint(&w->items, hists);
        buf_put(&w->items, b->at + floats_end, hists_end - floats_end);
        wr_varint(&w->items, exemplars);
        buf_put(&w->items, b->at + hists_end, b->len - hists_end);
    }
    w->last_sid = sid;
    w->has_items = true;
    if (w->items.len + w->defs.len > RECORD_SPLIT_BYTES)
        record_send(w);
}

static void fresh_store(Writer *w)
{
    record_send(w); /* definitions go first */
    fresh_write(w);
    for (size_t i = 0; i < w->fresh.len; i++) {
        u32 sid = w->fresh.at[i].sid;
        item_store(w, &w->batch->series[w->fresh.at[i].item], sid, catalogue_record(&w->t->cat, sid));
    }
    w->fresh.len = 0;
    u64map_done(&w->fresh_sids);
}

static void item_write(Writer *w, Route *r)
{
    const SeriesItem *it = &w->batch->series[r->item];
    u32 sid;
    const u32 *rec = series_get(w, r, it, &sid);
    if (!rec)
        return;
    if (w->hints)
        w->hints[r->item] = (u64)w->t->hint_salt << 32 | sid;
    if (fresh_fits(w, it)) {
        vec_push(&w->fresh, (Fresh){r->item, sid, record_local(rec), it->samples[0].v});
        u64map_put(&w->fresh_sids, sid, 1);
        return;
    }
    if (w->fresh.len && u64map_find(&w->fresh_sids, sid))
        fresh_store(w); /* its samples come in the batch's order */
    item_store(w, it, sid, rec);
}

/* After a failed append nothing is applied before the log takes a record again. */
static Err probe(Writer *w)
{
    Shard *sh = w->sh;
    mutex_lock(&sh->io_lock);
    sh->is_degraded |= sh->last_error != OK;
    sh->last_error = OK;
    mutex_unlock(&sh->io_lock);
    if (!sh->is_degraded)
        return OK;
    ILogHealth h = ilog_health(w->e->log);
    LogRecord r = {.lane = LANE_OF(sh), .type = RECORD_PROBE, .bytes = S("")};
    Err e = h.err != OK && h.err != E_NOSPACE ? h.err : ilog_append_wait(w->e->log, &r, NULL, &h.why);
    if (e == OK) {
        sh->is_degraded = false;
        sh->log_epoch++;
        return OK;
    }
    w->ret->err = e;
    w->ret->why = h.why;
    return e;
}

bool shard_enter(Writer *w)
{
    mutex_lock(&w->sh->lock);
    if (probe(w) != OK) {
        mutex_unlock(&w->sh->lock);
        return false;
    }
    w->ts = &w->t->shards[w->sh->index];
    if (!w->ts->cur)
        w->ts->cur = mem_new_table(w->e->account);
    w->table = w->ts->cur;
    w->table_bytes = w->table->bytes;
    redefine(w);
    return true;
}

void shard_leave(Writer *w)
{
    Shard *sh = w->sh;
    w->e->mem_bytes += w->table->bytes - w->table_bytes;
    mutex_unlock(&sh->lock);
    if (!w->wait) { /* nobody waits for these, but they must not pile up */
        mutex_lock(&sh->io_lock);
        while (sh->in_flight_bytes > IN_FLIGHT_MAX)
            cond_wait(&sh->io_cond, &sh->io_lock);
        mutex_unlock(&sh->io_lock);
    }
}

static void shard_write(Writer *w, Route *routes, u32 first)
{
    if (!shard_enter(w))
        return;
    for (u32 i = first; i; i = routes[i].next)
        item_write(w, &routes[i]);
    if (w->fresh.len)
        fresh_store(w);
    record_send(w);
    shard_leave(w);
}

/* ---- metadata ---- */

static void metadata_write(Writer *w)
{
    Shard *sh = &w->e->shards[0];
    w->sh = sh;
    Buf b;
    buf_init(&b, RECORD_SPLIT_BYTES);
    record_begin(&b, w->batch->tenant);
    size_t empty = b.len;
    mutex_lock(&sh->lock);
    mutex_lock(&w->t->side_lock);
    for (u32 i = 0; i < w->batch->metadata_len; i++) {
        const MetadataItem *m = &w->batch->metadata[i];
        bool fits = m->family.len && MAX(m->family.len, MAX(m->help.len, m->unit.len)) <= LABEL_BYTES_MAX &&
                    b.len + m->family.len + m->help.len + m->unit.len + 32 < RECORD_SPLIT_BYTES;
        if (fits && metadata_add(&w->t->metadata, m))
            record_meta(&b, m);
    }
    mutex_unlock(&w->t->side_lock);
    if (b.len == empty) {
        mutex_unlock(&sh->lock);
        buf_done(&b);
        return;
    }
    /* Nobody waits for metadata: it comes again with the next scrape or push. */
    WriteWait *wait = w->wait;
    w->wait = NULL;
    record_post(w, RECORD_META, &b, NULL, 0);
    w->wait = wait;
    mutex_unlock(&sh->lock);
}

/* ---- the batch ---- */

u32 hint_sid(const Tenant *t, u64 hint)
{
    const u32 *rec = hint >> 32 == t->hint_salt ? catalogue_record(&t->cat, (u32)hint) : NULL;
    return rec && !record_is_forgotten(rec) ? (u32)hint : 0;
}

/* A hint is an id; that it fits labels which come with it is verified one by one, which needs no hash and no lock. */
static u32 hint_check(const Tenant *t, const SeriesItem *it, u32 *ret_shard)
{
    u32 sid = hint_sid(t, it->hint);
    const u32 *rec = sid ? catalogue_record(&t->cat, sid) : NULL;
    if (!rec || (it->labels.len && !catalogue_is(&t->cat, rec, it->labels)))
        return 0;
    *ret_shard = record_shard(rec);
    return sid;
}

static void route(const Writer *w, Route *routes, u32 *heads)
{
    u32 tails[SHARDS_MAX] = {0};
    const SampleBatch *b = w->batch;
    for (u32 i = 0; i < b->series_len; i++) {
        const SeriesItem *it = &b->series[i];
        u32 shard;
        Route *r = &routes[i + 1];
        *r = (Route){.item = i, .sid = hint_check(w->t, it, &shard)};
        if (!r->sid && it->hint && !it->labels.len) {
            w->ret->unknown += item_points(it);
            continue;
        }
        if (!r->sid) {
            LabelsHash h = catalogue_hash(it->labels);
            r->hash = h.labels;
            shard = h.target % w->e->shards_len;
        }
        r->shard = (u16)shard;
        if (tails[shard])
            routes[tails[shard]].next = i + 1;
        else
            heads[shard] = i + 1;
        tails[shard] = i + 1;
    }
}

/* Series get their ids in the order in which they were first seen, whatever shards they fall into: results that are not ordered
 * otherwise come in that order, as the peer's do. Runs of one shard are written together. */
static void deferred_write(Writer *w, Route *routes)
{
    u32 n = w->batch->series_len;
    w->may_create = true;
    for (u32 i = 1; i <= n;) {
        u32 last = 0, first = i;
        for (; i <= n && (!routes[i].is_deferred || !last || routes[i].shard == routes[last].shard); i++) {
            if (!routes[i].is_deferred)
                continue;
            if (last)
                routes[last].next = i;
            else
                first = i;
            last = i;
        }
        if (!last)
            return;
        routes[last].next = 0;
        w->sh = &w->e->shards[routes[first].shard];
        shard_write(w, routes, first);
    }
}

static Err gate(MetricsEngine *e, const SampleBatch *b, Why *why)
{
    if (e->is_closing)
        return why_set(why, E_UNAVAILABLE, "the metrics store is shutting down");
    if (e->failed != OK)
        return why_set(
            why, E_IO,
            "the metrics store takes no writes since a disk error; restart it to recover from the log");
    if (b->tenant.len > 256)
        return why_set(why, E_INVALID, "tenant name is longer than 256 bytes");
    u64 used = e->mem_bytes + e->frozen_bytes;
    if (used > e->c.memtable_bytes_max) {
        engine_wake(e, true, false);
        return why_set(
            why, E_BUSY,
            "the memtable holds %llu bytes, its limit is %llu: try again when the flush is through",
            (unsigned long long)used, (unsigned long long)e->c.memtable_bytes_max);
    }
    if (e->account) {
        size_t guess = (size_t)b->series_len * 64 + b->row.len * sizeof(u64);
        TRY(account_charge(e->account, guess, why));
        account_uncharge(e->account, guess);
    }
    return OK;
}

static void wait_for_log(Writer *w)
{
    WriteWait *wait = w->wait;
    i64 start = clock_mono_ns(clock_real());
    mutex_lock(&wait->lock);
    while (wait->pending)
        cond_wait(&wait->done, &wait->lock);
    Err e = wait->err;
    mutex_unlock(&wait->lock);
    wait_unref(wait, OK, false);
    metric_observe(w->e->m.fsync, (f64)(clock_mono_ns(clock_real()) - start) / 1e9);
    if (e == OK)
        return;
    ILogHealth h = ilog_health(w->e->log);
    w->ret->err = e;
    if (h.err != OK)
        w->ret->why = h.why;
    else
        why_set(&w->ret->why, e, "the batch may not have reached the log (%s): send it again", err_name(e));
    w->ret->why.err = e;
    if (h.err != OK && h.err != E_NOSPACE)
        engine_fail(w->e, E_IO, &h.why);
}

static void count(Writer *w)
{
    EngineMetrics *m = &w->e->m;
    SinkResult *r = w->ret;
    u64 floats = r->samples_ok;
    w->e->samples_ingested += floats + r->histograms_ok;
    metric_add(m->appended_float, (f64)floats);
    if (r->histograms_ok)
        metric_add(m->appended_hist, (f64)r->histograms_ok);
    if (r->out_of_order)
        metric_add(m->out_of_order, (f64)r->out_of_order);
    if (r->rejected_old) {
        metric_add(m->too_old, (f64)r->rejected_old);
        metric_add(m->out_of_bound, (f64)r->rejected_old);
    }
    if (r->rejected_conflict)
        metric_add(m->conflicts, (f64)r->rejected_conflict);
    if (r->exemplars_ok)
        metric_add(m->exemplars, (f64)r->exemplars_ok);
}

static i64 oldest_accepted(MetricsEngine *e, Tenant *t)
{
    i64 newest = t->maxt, window = e->c.out_of_order_ms >= 0 ? e->c.out_of_order_ms : e->retention_ms, oldest;
    if (newest == INT64_MIN)
        return INT64_MIN;
    newest = MIN(newest, clock_wall_ms(e->c.clock));
    return __builtin_sub_overflow(newest, window, &oldest) ? INT64_MIN : oldest;
}

static u64 tenant_active(const MetricsEngine *e, Tenant *t)
{
    u64 n = 0;
    for (u32 i = 0; i < e->shards_len; i++) {
        mutex_lock(&e->shards[i].lock);
        n += shard_active(&t->shards[i]);
        mutex_unlock(&e->shards[i].lock);
    }
    return n;
}

static void items_write(Writer *w)
{
    MetricsEngine *e = w->e;
    Route *routes = mem_alloc(((size_t)w->batch->series_len + 1) * sizeof(Route));
    u32 heads[SHARDS_MAX] = {0};
    w->may_create = w->has_deferred = false;
    route(w, routes, heads);
    for (u32 i = 0; i < e->shards_len; i++)
        if (heads[i]) {
            w->sh = &e->shards[i];
            shard_write(w, routes, heads[i]);
        }
    if (w->has_deferred)
        deferred_write(w, routes);
    mem_free(routes);
}

/* What of the row found no place in a group, as items. */
static void loose_write(Writer *w)
{
    const SampleBatch *own = w->batch;
    u64 *hints = w->hints;
    for (size_t i = 0; i < w->loose.len; i++)
        w->loose.at[i].samples = &w->loose_samples.at[i];
    SampleBatch b = {.tenant = own->tenant, .series = w->loose.at, .series_len = (u32)w->loose.len};
    w->batch = &b;
    w->hints = NULL;
    items_write(w);
    w->batch = own;
    w->hints = hints;
    vec_done(&w->loose);
    vec_done(&w->loose_samples);
}

static i64 base_time(const MetricsEngine *e, const SampleBatch *b)
{
    if (b->row.len)
        return b->row.t;
    for (u32 i = 0; i < b->series_len; i++)
        if (b->series[i].samples_len)
            return b->series[i].samples[0].t;
    return clock_wall_ms(e->c.clock);
}

void engine_write(SampleSink *s, const SampleBatch *b, u64 *ret_hints, SinkResult *ret)
{
    MetricsEngine *e = (MetricsEngine *)((char *)s - offsetof(MetricsEngine, sink));
    *ret = (SinkResult){0};
    if (ret_hints)
        memset(ret_hints, 0, b->series_len * sizeof(u64));
    if ((ret->err = gate(e, b, &ret->why)) != OK)
        return;
    Writer w = {.e = e, .batch = b, .ret = ret, .hints = ret_hints, .mint = INT64_MAX, .maxt = INT64_MIN};
    w.t = engine_tenant(e, b->tenant, true);
    w.oldest = oldest_accepted(e, w.t);
    w.active = e->c.series_max ? tenant_active(e, w.t) : 0;
    w.base = base_time(e, b);
    buf_init(&w.defs, RECORD_BUF_MAX);
    buf_init(&w.items, RECORD_BUF_MAX);
    buf_init(&w.scratch, RECORD_BUF_MAX);
    if (!b->from_self) {
        w.wait = mem_new(WriteWait);
        w.wait->refs = 1;
        mutex_init(&w.wait->lock, RANK_LEAF);
        cond_init(&w.wait->done);
    }
    if (b->row.len)
        row_write(&w);
    if (w.loose.len)
        loose_write(&w);
    if (b->series_len)
        items_write(&w);
    if (b->metadata_len)
        metadata_write(&w);
    if (w.maxt >= w.mint)
        tenant_saw(e, w.t, w.mint, w.maxt);
    if (w.wait)
        wait_for_log(&w);
    count(&w);
    buf_done(&w.defs);
    buf_done(&w.items);
    buf_done(&w.scratch);
    vec_done(&w.defined);
    vec_done(&w.fresh);
    if (e->mem_bytes > e->c.memtable_bytes_max / 2)
        engine_wake(e, true, false);
}

bool engine_hint_labels(SampleSink *s, Str tenant, u64 hint, Arena *arena, Labels *ret)
{
    MetricsEngine *e = (MetricsEngine *)((char *)s - offsetof(MetricsEngine, sink));
    Tenant *t = engine_tenant(e, tenant, false);
    u32 sid = t ? hint_sid(t, hint) : 0;
    const u32 *rec = sid ? catalogue_record(&t->cat, sid) : NULL;
    if (!rec)
        return false;
    Label own[LABELS_MAX];
    catalogue_labels(&t->cat, rec, own);
    *ret = labels_dup(arena, (Labels){own, record_labels(rec)});
    return !arena_over(arena);
}
