/* Inside the collector: pools, targets and their timers. Everything here belongs to the loop; what routes read is under `lock`. */
#pragma once
#include "collect/scrape.h"

typedef struct Target Target;
typedef struct ScrapePool ScrapePool;

struct Target {
    Collector *c;
    ScrapePool *pool;               /* NULL: gone from discovery, waiting to write its markers */
    Arena arena;                    /* labels and URL */
    Labels discovered, all, labels; /* before relabelling; after; public */
    Str url, accept, timeout_text;
    u64 hash;
    i64 interval_ms, timeout_ms;
    Timer timer;
    i64 due_mono_ns, aligned_wall_ns; /* next tick; the grid of timestamps */
    i64 last_start_mono_ns;
    ScrapeRun *run; /* under way */
    HttpCallHandle *call;
    ScrapeCache *cache;
    TargetMeta metadata;
    Target *heir; /* takes the cache when the run ends */
    bool waits_for_cache, is_kept;
    i64 stale_wall_ms; /* of the markers to write when pool == NULL */
    /* under lock */
    TargetHealth health;
    char last_error[512];
    i64 last_scrape_wall_ns, last_duration_ns;
    u64 cached_series;
};

typedef struct DroppedTarget {
    Arena arena;
    Labels discovered;
} DroppedTarget;

struct ScrapePool {
    Collector *c;
    PromConfig *cfg; /* a reference: job points into it */
    const ScrapeJob *job;
    char *name;
    Discovery *discovery;
    VEC(Target *) targets;        /* under lock */
    VEC(DroppedTarget *) dropped; /* under lock */
    u64 dropped_len;
    bool is_kept, is_over_limit;
    Metric *syncs, *targets_metric, *target_limit, *meta_entries;
};

typedef struct IntervalStats {
    i64 interval_ms;
    f64 ring[256]; /* seconds */
    u32 ring_len, ring_at;
    u64 count;
    f64 sum;
    Metric *quantiles[5], *sum_metric, *count_metric;
} IntervalStats;

struct Collector {
    CollectorEnv env;
    Clock *clock;
    Mutex lock;
    Cond changed;                   /* with lock: runs, has_stopped, applies */
    VEC(ScrapePool *) pools;        /* under lock; sorted by name */
    VEC(Target *) gone;             /* waiting to write their markers */
    VEC(IntervalStats *) intervals; /* under lock */
    u32 runs;                       /* under way, under lock */
    bool is_stopping;
};

/* target_loop.c */
Target *target_new(ScrapePool *pool, Labels discovered, Labels all, u64 hash);
void target_start(Target *t);
void target_retire(Target *t); /* out of discovery: markers after two intervals */
void target_free(Target *t);
u64 target_hash(const ScrapeJob *job, Labels all, Arena *a);

/* intervals.c */
void interval_observe(Collector *c, i64 interval_ms, f64 seconds); /* under lock */
void intervals_render(void *arg);

/* pool_sync.c */
void scrape_pool_sync(ScrapePool *p);
void scrape_pool_free(ScrapePool *p);
