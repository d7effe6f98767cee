/* The series engine's insides, in reading order: engine.c (opening, threads), write.c (the sink), record.c (log records), flush.c,
 * version.c (the manifest's content), merge.c, retention.c, forget.c, lookup.c (matchers to series; memo.c remembers what expressions said), select.c (cursors), batch.c and head.c (their samples), exemplars.c,
 * metadata.c, delete.c, stats.c, fsck.c.
 *
 * Locks, outermost first: flush_lock (one flush or delete at a time), commit_lock (one manifest commit at a time), lock (tenants and
 * the current version), a shard's lock (its memtables, the catalogues' shard tables), then leaves: a catalogue's lock, a
 * tenant's side_lock, a shard's io_lock (records on their way through the log).
 *
 * Consistency. A batch is logged and applied under its shard's lock, so the log's order is the memtable's. A flush freezes all
 * memtables, waits for the frozen generation's records to be answered, writes parts, catalogue segments and side objects, and
 * commits them with the log positions they cover in one manifest; only then is the log trimmed. Readers take version and
 * memtables together under `lock`, so they see each sample once.
 */
#pragma once
#include "base/log.h"
#include "metrics/catalogue.h"
#include "metrics/memo.h"
#include "metrics/memtable.h"
#include "metrics/metrics.h"
#include "metrics/part.h"

#define RANK_FLUSH  ((LockRank)(RANK_ENGINE - 6))
#define RANK_COMMIT ((LockRank)(RANK_ENGINE - 3))
#define SHARDS_MAX  64u
#define DAY_MS      86400000LL

/* ---- what the manifest says (version.c) ---- */

typedef struct Tomb {
    _Atomic u32 refs;
    u64 id; /* applies to parts whose tomb_seen is lower */
    u32 tenant;
    i64 mint, maxt;
    u32 *sids; /* ascending */
    u32 len;
} Tomb;
bool tomb_has(const Tomb *t, u32 sid);
void tomb_unref(Tomb *t);

typedef struct SegmentRef { /* a catalogue segment: ids (from, to] */
    u64 seq, bytes;
    CatPoint from, to;
} SegmentRef;
typedef struct SideRef { /* exemplars and metadata since the one before */
    u64 seq, bytes;
    u32 exemplars;
} SideRef;
typedef struct TenantVersion {
    u32 id;
    Str name;          /* the engine's, for its life */
    VEC(Part *) parts; /* older writes first; each a reference */
    VEC(SegmentRef) segments;
    VEC(SideRef) sides;
} TenantVersion;
typedef struct Version { /* immutable once published, reference-counted */
    _Atomic u32 refs;
    u64 next_seq, next_tomb;
    u32 shards;                 /* of whoever writes to the log since this version */
    VEC(LogPos) lanes;          /* newest position whose effects are in parts; seq 0 = none */
    VEC(TenantVersion) tenants; /* at[id - 1] */
    VEC(Tomb *) tombs;
} Version;

Version *version_new(void);
Version *version_clone(const Version *v);
void version_unref(Version *v);
static inline Version *version_ref(Version *v)
{
    v->refs++;
    return v;
}
/* Drops deletes whose work is done in every part of their tenant. v is not published yet. */
void version_collect_tombs(Version *v);
void version_encode(const Version *v, Buf *out);
/* Part metas, not parts: opening them is the caller's. names are allocated with mem_dup and handed over. */
typedef VEC(PartMeta) PartMetas;
Err version_decode(Str bytes, Version *v, PartMetas *ret_parts, Why *why);
void segment_key(char out[64], u32 tenant, u64 seq);
void side_key(char out[64], u32 tenant, u64 seq);

/* ---- exemplars and metadata of a tenant ---- */

typedef struct StoredExemplar {
    u32 sid;
    i64 t;
    f64 v;
    Str labels; /* encoded; owned */
} StoredExemplar;
typedef struct ExemplarRing {
    StoredExemplar *at; /* ring of cap */
    u32 cap, len, next;
    u64 added; /* ever; what a checkpoint has covered is counted in it */
    u64 saved;
    U64Map newest; /* sid -> place in the ring */
} ExemplarRing;
bool exemplars_add(ExemplarRing *r, u32 cap, u32 sid, const Exemplar *e, i64 t);
void exemplars_done(ExemplarRing *r);

typedef struct StoredMetadata {
    Str help, unit;
    MetricType type;
    u64 added;
} StoredMetadata;
typedef struct MetadataStore {
    StrMap families; /* -> FamilyMetadata */
    u64 added, saved;
} MetadataStore;
/* True when this was not known yet. Copies. */
bool metadata_add(MetadataStore *m, const MetadataItem *item);
void metadata_done(MetadataStore *m);

/* Side objects: what was added since the last checkpoint (or everything). */
typedef struct Tenant Tenant;
void side_encode(Tenant *t, bool everything, Buf *out, u32 *ret_exemplars); /* takes side_lock */
Err side_decode(Tenant *t, u32 cap, Str bytes, Why *why);

/* ---- tenants and shards ---- */

typedef struct TenantShard {
    MemTable *cur, *frozen;                        /* NULL when empty */
    u64 *active[2];                                /* bits per local: had samples in this hour, in the last */
    u32 active_cap[2], active_len[2], active_both; /* bits set; set in both */
} TenantShard;

#define EPOCHS_KEPT 512u
#define EPOCH_MS    5000
typedef struct Epochs {  /* epoch.c */
    _Atomic i64 touched; /* oldest time written or deleted in the epoch at hand; INT64_MAX = none */
    Mutex lock;
    u64 now;
    i64 begun_mono_ms;
    i64 oldest[EPOCHS_KEPT]; /* of epochs that are over */
} Epochs;
void epochs_init(Epochs *x);
void epochs_done(Epochs *x);
void epochs_touch(Epochs *x, i64 t); /* after the change can be read */

struct Tenant {
    u32 id;
    Str name;
    Catalogue cat;
    TenantShard *shards;
    _Atomic i64 maxt; /* newest sample ever stored; INT64_MIN = none */
    Mutex side_lock;
    ExemplarRing exemplars;
    MetadataStore metadata;
    Epochs epochs;
    bool has_forgotten; /* the catalogue's segments hold series that it does not; under flush_lock */
    PairMemos memos;
    u32 hint_salt; /* high half of hints: they are good for this engine's life */
};

typedef struct Defined {
    Tenant *t;
    u32 sid;
} Defined;
typedef struct Shard {
    Mutex lock;
    u32 index;
    u32 gen;          /* of records appended from now on: 0 or 1 */
    bool is_degraded; /* the last append failed: probe the log before applying anything */
    u32 log_epoch;    /* rises when the log may have lost a record: groups are then defined anew */
    Mutex io_lock;
    Cond io_cond;
    u64 in_flight[2], in_flight_bytes;
    LogPos done_pos[2]; /* newest answered record of the generation; seq 0 = none */
    Err last_error;
    VEC(Defined) redefine; /* their definitions may not be in the log */
} Shard;

typedef struct EngineMetrics {
    Metric *head_series, *appended_float, *appended_hist, *out_of_order, *out_of_bound, *too_old, *conflicts,
        *fsync, *compactions, *compactions_failed, *blocks_bytes, *lowest, *parts, *written_bytes,
        *flushed_bytes, *flushes, *flush_failures, *flush_seconds, *memtable_bytes, *retention_paused,
        *log_bytes, *catalogue_bytes, *retention_deletions, *size_retentions, *per_sample, *exemplars,
        *series_forgotten, *replay_seconds, *read_only;
} EngineMetrics;

/* What the log's groups are in the memtables, while it is replayed (record.c). */
typedef struct ReplayGroups ReplayGroups;

struct MetricsEngine {
    SampleSink sink;
    PromSource source;
    MetricsConfig c;
    char *dir;
    Bucket *bucket;
    Manifest *manifest;
    ILog *log;
    Shard *shards;
    u32 shards_len;
    Account *account; /* c.account, may be NULL */

    Mutex flush_lock, commit_lock, lock;
    Version *version;
    VEC(Tenant *) tenants; /* by id - 1 */
    StrMap tenants_by_name;
    bool is_frozen;                 /* a generation waits for its flush to succeed; under flush_lock */
    LogPos frozen_pos[SHARDS_MAX];  /* per lane: what the frozen generation covers */
    LogPos foreign_pos[SHARDS_MAX]; /* replayed from lanes of shards that are no more */
    _Atomic Err failed;             /* E_IO: a sync or commit failed, nothing more is written */
    _Atomic bool is_closing;
    _Atomic u64 mem_bytes, frozen_bytes, next_seq, samples_ingested, bytes_written, charged;
    _Atomic i64 mint;

    Mutex wake_lock;
    Cond wake;
    bool want_flush, want_merge, is_stopping;
    _Atomic bool may_forget; /* samples were removed since series were last forgotten */
    pthread_t flusher, merger;
    bool has_threads;
    ReplayGroups *replaying;
    _Atomic u64 next_group; /* ids of groups in the log: no two alike, also over restarts */
    _Atomic i64 last_flush_mono_ms, last_flush_failure_mono_ms;
    i64 last_rotate_mono_ms; /* the flusher's */

    i64 clock_gap_ms;            /* wall - boot when they last agreed */
    i64 clock_odd_since_mono_ms; /* 0 = they agree */
    i64 clock_odd_gap_ms;
    _Atomic i64 retention_ms;
    _Atomic u64 retention_bytes;
    _Atomic u32 retention_ppm; /* of the file system's size; stands in for retention_bytes; 0 = not set */
    EngineMetrics m;
};

/* engine.c */
void tenant_free(Tenant *t, u32 shards);
Tenant *engine_tenant(MetricsEngine *e, Str name, bool create); /* NULL when absent */
void engine_fail(MetricsEngine *e, Err err, const Why *why);
void engine_wake(MetricsEngine *e, bool flush, bool merge);

/* record.c: the log's records */
enum { RECORD_WRITE = 1, RECORD_META = 2, RECORD_PROBE = 3, RECORD_GROUP = 4, RECORD_ROW = 5 };
void record_begin(Buf *out, Str tenant);
void record_define(Buf *defs, u32 sid, Labels l);
void record_group(Buf *out, const MemGroup *g);      /* as it stands at its newest row */
void record_row(Buf *out, const MemGroup *g, i64 t); /* before the row is added; its changes follow */
void replay_groups_free(ReplayGroups *g);
/* Applies one record to memtables and catalogues while the engine is being opened. */
Err record_replay(MetricsEngine *e, const LogRecord *r, Why *why);
void record_meta(Buf *out, const MetadataItem *m);
void record_exemplar(Buf *out, const Exemplar *x, i64 t);
void labels_encode(Buf *out, Labels l);
/* Labels into out (room for LABELS_MAX); strings borrow the reader's bytes. */
bool labels_decode(Reader *r, Label *out, u32 *ret_n);

/* write.c */
void engine_write(SampleSink *s, const SampleBatch *b, u64 *ret_hints, SinkResult *ret);
bool engine_hint_labels(SampleSink *s, Str tenant, u64 hint, Arena *arena, Labels *ret);
void shard_touch(TenantShard *ts, u32 local); /* the series is active */
void shard_rotate(TenantShard *ts);
u32 shard_active(const TenantShard *ts);
void tenant_saw(MetricsEngine *e, Tenant *t, i64 mint, i64 maxt);

/* flush.c */
Err engine_flush(MetricsEngine *e, Why *why); /* takes flush_lock */
Err engine_flush_locked(MetricsEngine *e, Why *why);
/* Publishes v (made by version_clone under commit_lock) through the manifest; consumes v. */
Err engine_commit(MetricsEngine *e, Version *v, Why *why);

/* merge.c */
Err engine_merge_step(MetricsEngine *e, bool *ret_did, Why *why);
/* retention.c */
Err engine_retain(MetricsEngine *e, Why *why);
/* forget.c: series without samples leave the catalogue, when there are many or always; takes flush_lock, and flushes then */
Err engine_forget(MetricsEngine *e, bool always, Why *why);
i64 engine_cutoff(MetricsEngine *e, Tenant *t); /* oldest time kept; INT64_MIN = everything */
void engine_clock_check(MetricsEngine *e);

/* lookup.c: matchers to series ids, ascending. The ids live in arena. */
typedef struct SidList {
    u32 *at;
    u32 len;
} SidList;
Err lookup_series(Tenant *t, Matchers m, Arena *arena, Cancel *cancel, SidList *ret, Why *why);

/* What a reader holds on to: a version and the memtables that go with it. */
typedef struct Snapshot {
    MetricsEngine *e;
    Tenant *t; /* NULL: no such tenant */
    Version *version;
    TenantVersion *tv;                /* NULL: nothing committed for it yet */
    MemTable *tables[2 * SHARDS_MAX]; /* frozen, current per shard; NULL = empty */
} Snapshot;
void snapshot_take(MetricsEngine *e, Str tenant, Snapshot *ret);
void snapshot_drop(Snapshot *s);
/* Removes ids without samples in parts or memtables that overlap [mint, maxt]. */
void snapshot_filter_live(Snapshot *s, i64 mint, i64 maxt, SidList *ids);

/* group.c: groups of aggregations by ids of pairs */
typedef struct GroupKeys {
    const Catalogue *cat;
    const u32 *names; /* ids; 0 = no series has this label */
    u32 len;
    bool without, is_on; /* off: some series have __type__ or __unit__, labels are needed */
} GroupKeys;
/* After the lookup of the series that will be asked about. g NULL = off. */
void group_keys_init(GroupKeys *k, Catalogue *cat, const Grouping *g, Arena *a);
u64 group_key(const GroupKeys *k, const u32 *rec);

/* select.c */
Err engine_select(PromSource *s, Str tenant, Matchers m, const SelectHints *h, Arena *arena, Cancel *cancel,
                  SeriesCursor **ret, Why *why);
Err engine_label_names(PromSource *s, Str tenant, const Matchers *sets, u32 sets_len, i64 mint, i64 maxt,
                       Arena *arena, PromStrFn fn, void *arg, Why *why);
Err engine_label_values(PromSource *s, Str tenant, Str name, const Matchers *sets, u32 sets_len, i64 mint,
                        i64 maxt, Arena *arena, PromStrFn fn, void *arg, Why *why);
/* Not fewer series than the matchers select, from the lengths of postings alone. */
u64 engine_estimate(PromSource *s, Str tenant, Matchers m);
/* Union of what several matcher sets select; no sets = every series. */
Err lookup_sets(Tenant *t, const Matchers *sets, u32 sets_len, Arena *arena, Cancel *cancel, SidList *ret,
                Why *why);

/* stats.c */
void engine_metrics_init(MetricsEngine *e);
void engine_speak(MetricsEngine *e); /* its figures are the ones rendered from now on */
void engine_hush(MetricsEngine *e);
