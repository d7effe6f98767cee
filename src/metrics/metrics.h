/* metrics: the series engine. Write-ahead log -> memtable -> immutable parts -> merges, over store/'s ilog and bucket.
 *
 * Writes come through a SampleSink, reads through a PromSource (both are faces of one engine). Series identity lives in a
 * catalogue per tenant, which forgets series that no sample is kept of; parts carry series ids only. Restart replays at most wal_bytes_max of log,
 * so it is immediate. docs/formats/metrics-*.md specify every byte (v0: no promise yet).
 *
 * Same series, time and value: accepted silently. Another value: rejected (conflict) while in the memtable; across parts the later write
 * wins. Older than retention: rejected (old). Retention counts from the newest stored sample, never past now.
 */
#pragma once
#include "base/base.h"
#include "metrics/promql/promql.h"
#include "model/model.h"
#include "store/store.h"

/* Whose samples those without a tenant are: the peers' name on :9090 and on Mimir's paths. An empty tenant means this one. */
#define DEFAULT_TENANT "anonymous"

typedef struct MetricsEngine MetricsEngine;
typedef struct MetricsConfig {
    Vfs *vfs;
    Clock *clock;
    const char *dir; /* inside the data directory: <data>/metrics */
    Durability durability;
    i64 retention_ms;       /* 0 = 15 d */
    u64 retention_bytes;    /* 0 = none */
    i64 out_of_order_ms;    /* window; < 0 = retention */
    u64 memtable_bytes_max; /* 0 = 256 MiB: flush before */
    u64 wal_bytes_max;      /* 0 = 64 MiB: flush before */
    i64 flush_interval_ms;  /* 0 = 60 s; up to ten times as long while the memtable is small (48 MiB) */
    u32 shards;             /* 0 = cores */
    u64 series_max;    /* per tenant; 0 = none. Over it new series are rejected (limit), old ones go on */
    u32 exemplars_max; /* 0 = 100,000 */
    Account *account;
} MetricsConfig;

Err metrics_open(MetricsEngine **ret, const MetricsConfig *c, Why *why);
SampleSink *metrics_sink(MetricsEngine *e);
PromSource *metrics_source(MetricsEngine *e);
void metrics_set_retention(MetricsEngine *e, i64 ms, u64 bytes);
/* Of the file system the store lies on, in place of bytes; 0 = none. */
void metrics_set_retention_percent(MetricsEngine *e, f64 percent);

/* Deletes samples of matching series in [mint, maxt] (tombstones; space comes back at merges). */
Err metrics_delete(MetricsEngine *e, Str tenant, Matchers m, i64 mint, i64 maxt, Why *why);
Err metrics_flush(MetricsEngine *e, Why *why);     /* memtable to parts now; blocks */
Err metrics_merge_all(MetricsEngine *e, Why *why); /* everything merged and retention applied now; blocks */

typedef struct MetricsStats {
    u64 series_active, series_total, samples_memtable, parts, bytes_on_disk, chunks_like_pages;
    i64 mint, maxt; /* of stored samples; INT64_MAX/MIN when empty */
    /* Since opening: bytes_written of parts, catalogue and the like by flushes and merges, log_written of the log. */
    u64 wal_bytes, bytes_written, log_written, samples_ingested;
    u64 label_pairs; /* of the tenant asked about */
    bool read_only;  /* disk full */
} MetricsStats;
void metrics_stats(MetricsEngine *e, Str tenant, MetricsStats *ret);
/* For caches of answers: the present in the order of writes (0 = no such tenant), and the oldest time of which anything was written or
 * deleted since then (INT64_MAX = nothing, INT64_MIN = nobody knows any more). What was answered about times before it still holds. */
u64 metrics_epoch(MetricsEngine *e, Str tenant);
i64 metrics_touched_since(MetricsEngine *e, Str tenant, u64 epoch);
/* Top n for status/tsdb: fn(kind, name, value); kinds: "seriesCountByMetricName", "labelValueCountByLabelName",
 * "memoryInBytesByLabelName", "seriesCountByLabelValuePair". */
void metrics_top(MetricsEngine *e, Str tenant, u32 n,
                 void (*fn)(void *arg, const char *kind, Str name, u64 value), void *arg);

/* Exemplars of matching series in [mint, maxt], grouped by series. */
typedef void (*ExemplarFn)(void *arg, Labels series, const Exemplar *e, u32 n);
Err metrics_exemplars(MetricsEngine *e, Str tenant, const Matchers *sets, u32 sets_len, i64 mint, i64 maxt,
                      Arena *arena, ExemplarFn fn, void *arg, Why *why);
/* Metadata by family, newest per distinct (type, help, unit). metric empty = all. */
typedef void (*MetadataFn)(void *arg, const MetadataItem *m);
void metrics_metadata(MetricsEngine *e, Str tenant, Str metric, MetadataFn fn, void *arg);

/* offline: the engine must not be open */
Err metrics_fsck(Vfs *vfs, const char *dir, FsckReport *r, Why *why);
/* flushes, then closes; E_IO when the flush failed (the log has it) */
Err metrics_close(MetricsEngine *e, Why *why);
void metrics_abandon(MetricsEngine *e); /* closes without flushing: for tests of recovery */
