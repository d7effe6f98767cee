#include "metrics/engine.h"

static void render(void *arg);

/* Own metrics are the process's: the engine opened last speaks through them. */
static MetricsEngine *speaking;
static Mutex speaking_lock = {PTHREAD_MUTEX_INITIALIZER, (LockRank)(RANK_ENGINE - 8)};

void engine_metrics_init(MetricsEngine *e)
{
    EngineMetrics *m = &e->m;
    m->head_series =
        metric_gauge("prometheus_tsdb_head_series", "Series with samples in the last one to two hours.", "");
    m->appended_float =
        metric_counter("prometheus_tsdb_head_samples_appended_total", "Samples stored.", "type=\"float\"");
    m->appended_hist = metric_counter("prometheus_tsdb_head_samples_appended_total", "Samples stored.",
                                      "type=\"histogram\"");
    m->out_of_order =
        metric_counter("prometheus_tsdb_out_of_order_samples_total",
                       "Samples accepted although a newer one of their series was there.", "type=\"float\"");
    m->out_of_bound = metric_counter("prometheus_tsdb_out_of_bound_samples_total",
                                     "Samples refused because they were too old.", "type=\"float\"");
    m->too_old = metric_counter("prometheus_tsdb_too_old_samples_total",
                                "Samples refused because they were too old.", "type=\"float\"");
    m->conflicts = metric_counter("pharos_metrics_conflicting_samples_total",
                                  "Samples refused because another value was stored for their time.", "");
    m->fsync = metric_histogram("prometheus_tsdb_wal_fsync_duration_seconds",
                                "Time from handing a batch to the log to its answer.", "",
                                metric_latency_bounds, COUNT_OF(metric_latency_bounds));
    m->compactions = metric_counter("prometheus_tsdb_compactions_total", "Merges of parts done.", "");
    m->compactions_failed =
        metric_counter("prometheus_tsdb_compactions_failed_total", "Merges of parts that failed.", "");
    m->blocks_bytes = metric_gauge("prometheus_tsdb_storage_blocks_bytes", "Bytes of all parts.", "");
    m->lowest = metric_gauge("prometheus_tsdb_lowest_timestamp",
                             "Oldest stored sample, in milliseconds; 0 when there is none.", "");
    m->parts = metric_gauge("prometheus_tsdb_blocks_loaded", "Parts in use.", "");
    m->written_bytes =
        metric_counter("pharos_metrics_part_bytes_written_total",
                       "Bytes of parts written by flushes and merges: write amplification's numerator.", "");
    m->flushed_bytes =
        metric_counter("pharos_metrics_flushed_bytes_total",
                       "Bytes of parts written by flushes alone: write amplification's denominator.", "");
    m->flushes = metric_counter("pharos_metrics_flushes_total", "Flushes of the memtable done.", "");
    m->flush_failures =
        metric_counter("pharos_metrics_flush_failures_total", "Flushes of the memtable that failed.", "");
    m->flush_seconds =
        metric_histogram("pharos_metrics_flush_duration_seconds", "Time a flush of the memtable took.", "",
                         metric_latency_bounds, COUNT_OF(metric_latency_bounds));
    m->memtable_bytes =
        metric_gauge("pharos_metrics_memtable_bytes", "Memory of samples not yet in parts.", "");
    m->retention_paused = metric_gauge("pharos_metrics_retention_paused",
                                       "1 while retention is paused because the wall clock jumped.", "");
    m->log_bytes =
        metric_gauge("prometheus_tsdb_wal_storage_size_bytes", "Bytes of the write-ahead log.", "");
    m->catalogue_bytes =
        metric_gauge("pharos_metrics_catalogue_bytes", "Memory of the series catalogue.", "");
    m->series_forgotten =
        metric_counter("pharos_metrics_series_forgotten_total",
                       "Series that left the catalogue because no samples of theirs are kept.", "");
    m->retention_deletions =
        metric_counter("prometheus_tsdb_time_retentions_total", "Parts deleted by retention.", "");
    m->size_retentions = metric_counter("prometheus_tsdb_size_retentions_total",
                                        "Parts deleted because the store took more bytes than it may.", "");
    m->per_sample =
        metric_gauge("pharos_metrics_written_bytes_per_sample",
                     "Bytes written to disk per sample stored since the start: log, flushes and merges.", "");
    m->exemplars =
        metric_counter("prometheus_tsdb_exemplar_exemplars_appended_total", "Exemplars stored.", "");
    m->replay_seconds = metric_gauge("prometheus_tsdb_data_replay_duration_seconds",
                                     "Time the last replay of the log took.", "");
    m->read_only = metric_gauge("pharos_metrics_read_only",
                                "1 while nothing can be written: the disk is full or has failed.", "");
    static _Atomic bool is_registered;
    if (!atomic_exchange(&is_registered, true))
        metric_on_render(render, NULL);
}

static void sum_version(const Version *v, MetricsStats *s, u32 tenant)
{
    for (size_t i = 0; i < v->tenants.len; i++) {
        if (tenant && v->tenants.at[i].id != tenant)
            continue;
        for (size_t k = 0; k < v->tenants.at[i].parts.len; k++) {
            const PartMeta *m = &v->tenants.at[i].parts.at[k]->meta;
            s->parts++;
            s->bytes_on_disk += m->bytes;
            s->chunks_like_pages += v->tenants.at[i].parts.at[k]->pages;
            s->mint = MIN(s->mint, m->mint);
            s->maxt = MAX(s->maxt, m->maxt);
        }
        for (size_t k = 0; k < v->tenants.at[i].segments.len; k++)
            s->bytes_on_disk += v->tenants.at[i].segments.at[k].bytes;
    }
}

static void sum_table(const MemTable *m, MetricsStats *s)
{
    if (!m)
        return;
    s->samples_memtable += m->samples;
    s->mint = MIN(s->mint, m->mint);
    s->maxt = MAX(s->maxt, m->maxt);
}

/* tenant NULL = all. */
static void stats_of(MetricsEngine *e, Tenant *only, MetricsStats *s)
{
    *s = (MetricsStats){.mint = INT64_MAX, .maxt = INT64_MIN};
    mutex_lock(&e->lock);
    sum_version(e->version, s, only ? only->id : 0);
    for (size_t i = 0; i < e->tenants.len; i++) {
        Tenant *t = e->tenants.at[i];
        if (only && t != only)
            continue;
        s->series_total += catalogue_series_len(&t->cat);
        for (u32 k = 0; k < e->shards_len; k++) {
            mutex_lock(&e->shards[k].lock);
            sum_table(t->shards[k].frozen, s);
            sum_table(t->shards[k].cur, s);
            s->series_active += shard_active(&t->shards[k]);
            mutex_unlock(&e->shards[k].lock);
        }
    }
    mutex_unlock(&e->lock);
    ILogHealth h = ilog_health(e->log);
    s->wal_bytes = h.bytes;
    s->bytes_written = e->bytes_written;
    s->log_written = h.written;
    s->samples_ingested = e->samples_ingested;
    s->read_only = h.err != OK || e->failed != OK;
}

void metrics_stats(MetricsEngine *e, Str tenant, MetricsStats *ret)
{
    Tenant *t = tenant.len ? engine_tenant(e, tenant, false) : NULL;
    if (tenant.len && !t) {
        *ret = (MetricsStats){.mint = INT64_MAX, .maxt = INT64_MIN};
        return;
    }
    stats_of(e, t, ret);
    if (!t)
        return;
    Catalogue *c = &t->cat;
    rwlock_read(&c->lock);
    for (u32 i = 1; i <= c->names_len; i++) {
        const CatName *name = seg_at(&c->names, i);
        ret->label_pairs += name->text ? name->pairs.len : 0;
    }
    rwlock_unlock(&c->lock);
}

void engine_speak(MetricsEngine *e)
{
    mutex_lock(&speaking_lock);
    speaking = e;
    mutex_unlock(&speaking_lock);
}

void engine_hush(MetricsEngine *e)
{
    mutex_lock(&speaking_lock);
    if (speaking == e)
        speaking = NULL;
    mutex_unlock(&speaking_lock);
}

static void speak(MetricsEngine *e)
{
    MetricsStats s;
    stats_of(e, NULL, &s);
    metric_set(e->m.head_series, (f64)s.series_active);
    metric_set(e->m.blocks_bytes, (f64)s.bytes_on_disk);
    metric_set(e->m.lowest, s.mint == INT64_MAX ? 0 : (f64)s.mint);
    metric_set(e->m.parts, (f64)s.parts);
    metric_set(e->m.memtable_bytes, (f64)(e->mem_bytes + e->frozen_bytes));
    metric_set(e->m.log_bytes, (f64)s.wal_bytes);
    metric_set(e->m.read_only, s.read_only);
    metric_set(e->m.per_sample,
               s.samples_ingested ? (f64)(s.bytes_written + s.log_written) / (f64)s.samples_ingested : 0);
    u64 bytes = 0;
    mutex_lock(&e->lock);
    for (size_t i = 0; i < e->tenants.len; i++)
        bytes += catalogue_bytes(&e->tenants.at[i]->cat);
    mutex_unlock(&e->lock);
    metric_set(e->m.catalogue_bytes, (f64)bytes);
}

static void render(void *arg)
{
    mutex_lock(&speaking_lock);
    if (speaking)
        speak(speaking);
    mutex_unlock(&speaking_lock);
}

/* ---- top lists ---- */

typedef struct Top {
    Str name;
    u64 value;
} Top;
typedef VEC(Top) Tops;

/* Keeps the n largest, sorted. */
static void top_add(Tops *t, u32 n, Str name, u64 value)
{
    if (!value || (t->len == n && t->at[n - 1].value >= value))
        return;
    if (t->len < n)
        vec_push(t, (Top){0});
    size_t i = t->len - 1;
    for (; i > 0 && t->at[i - 1].value < value; i--)
        t->at[i] = t->at[i - 1];
    t->at[i] = (Top){name, value};
}

typedef void (*TopFn)(void *arg, const char *kind, Str name, u64 value);

static void top_give(Tops *t, const char *kind, TopFn fn, void *arg)
{
    for (size_t i = 0; i < t->len; i++)
        fn(arg, kind, t->at[i].name, t->at[i].value);
    vec_done(t);
}

static void top_pairs(Catalogue *c, u32 n, TopFn fn, void *arg)
{
    Tops top = {0};
    Arena a;
    arena_init(&a, NULL, 0);
    VEC(struct {
        u64 value;
        u32 pair;
    })
    best = {0};
    for (u32 p = 1; p <= c->pairs_len; p++) {
        u64 v = catalogue_postings_len(c, p);
        if (best.len == n && best.at[n - 1].value >= v)
            continue;
        if (best.len < n) {
            vec_reserve(&best, best.len + 1);
            best.len++;
        }
        size_t i = best.len - 1;
        for (; i > 0 && best.at[i - 1].value < v; i--)
            best.at[i] = best.at[i - 1];
        best.at[i].value = v;
        best.at[i].pair = p;
    }
    for (size_t i = 0; i < best.len; i++) {
        CatPair p = catalogue_pair(c, best.at[i].pair);
        if (!p.name)
            continue;
        Str name = catalogue_name(c, p.name), value = catalogue_str(c, p.value);
        top_add(&top, n, arena_printf(&a, "%.*s=%.*s", STR_FMT(name), STR_FMT(value)), best.at[i].value);
    }
    top_give(&top, "seriesCountByLabelValuePair", fn, arg);
    vec_done(&best);
    arena_done(&a);
}

void metrics_top(MetricsEngine *e, Str tenant, u32 n, TopFn fn, void *arg)
{
    Tenant *t = engine_tenant(e, tenant, false);
    if (!t || !n)
        return;
    Catalogue *c = &t->cat;
    Tops by_metric = {0}, by_label = {0}, by_memory = {0};
    rwlock_read(&c->lock);
    u32 metric = catalogue_find_name(c, LABEL_NAME);
    for (u32 i = 1; i <= c->names_len; i++) {
        const CatName *name = seg_at(&c->names, i);
        if (!name->text)
            continue;
        u64 bytes = 0;
        for (size_t k = 0; k < name->pairs.len; k++) {
            Str value = catalogue_pair_value(c, name->pairs.at[k]);
            u64 series = catalogue_postings_len(c, name->pairs.at[k]);
            bytes += value.len * series;
            if (i == metric)
                top_add(&by_metric, n, value, series);
        }
        top_add(&by_label, n, catalogue_str(c, name->text), name->pairs.len);
        top_add(&by_memory, n, catalogue_str(c, name->text), bytes);
    }
    top_give(&by_metric, "seriesCountByMetricName", fn, arg);
    top_give(&by_label, "labelValueCountByLabelName", fn, arg);
    top_give(&by_memory, "memoryInBytesByLabelName", fn, arg);
    top_pairs(c, n, fn, arg);
    rwlock_unlock(&c->lock);
}
