/* Inside scraping: the cache of one target's series and one page's way into the sink. */
#pragma once
#include "collect/collect_internal.h"

/* ---- scrape_cache.c ---- */

/* A line of the page, known by the length and keyed hash of its bytes up to the value; or what lies between two lines with
 * values: comments, known by all of their bytes. */
typedef struct CacheLine {
    u64 hash;
    union {
        u64 hint;       /* the sink's; 0 = none */
        Labels *labels; /* LINE_OWN: after relabelling, one allocation */
        i64 type;       /* LINE_COMMENTS: the last TYPE in it, -1 = none */
    };
    u32 len;
    u32 flags : 8, newlines : 24; /* newlines: of comments */
} CacheLine;
enum {
    LINE_COMMENTS = 1,
    LINE_DROPPED = 2, /* by relabelling */
    LINE_AGAIN = 4,   /* another one before it has the same bytes */
    LINE_OWN = 8,     /* the sink gave no hint: the labels are kept here */
    LINE_STORED = 16,
    LINE_TRACKED =
        32, /* its sample of the last stored page carried our time: when it is gone, a marker is due */
    LINE_SEEN = 64, /* on the page under way */
    LINE_NOW = 128, /* on the page under way, with our time */
};
typedef struct ScrapeCache {
    Arena arena;      /* the target's labels */
    Labels target;    /* public labels */
    CacheLine *lines; /* of the last stored page, in its order */
    u32 len, cap;
    u32 series_len;  /* lines with series, each counted once */
    u32 tracked_len; /* lines that are tracked */
    u32 iter;        /* of the scrape under way; starts at 1 */
    u64 key;         /* of the hashes: random */
    u64 fingerprint; /* of what shapes series */
    u64 report_hints[9];
    u64 group;                  /* the sink's note about rows */
    struct ScrapeCache *before; /* made under another configuration: its series may need markers, once */
} ScrapeCache;

ScrapeCache *cache_new(Labels target, u64 fingerprint);
void cache_free(ScrapeCache *c);
void cache_clear(ScrapeCache *c); /* forgets lines and hints */
static inline bool line_has_series(const CacheLine *l)
{
    return !(l->flags & (LINE_COMMENTS | LINE_DROPPED | LINE_AGAIN));
}
/* What the sink said about the line's sample: its hint, else labels to keep. */
void line_settle(CacheLine *l, u64 hint, Labels labels);
void line_done(CacheLine *l);

/* ---- metadata.c ---- */

typedef struct MetaSaid { /* what a target says about a family */
    Str family, help, unit;
    MetricType type;
} MetaSaid;
typedef struct MetaText MetaText;
typedef struct MetaSlot {
    MetaText *text; /* NULL = free */
    u32 tag, seen;
} MetaSlot;
typedef struct TargetMeta {
    MetaSlot *slots;
    u32 cap, len;
} TargetMeta;
const MetaSaid *metadata_find(const TargetMeta *m, Str family); /* NULL = nothing; valid until the next put */
const MetaSaid *metadata_see(TargetMeta *m, Str family, u32 iter); /* notes that it is still said */
/* Copies. said may point into what it replaces. */
void metadata_put(TargetMeta *m, const MetaSaid *said, u32 iter);
void metadata_expire(TargetMeta *m, u32 iter, u32 age); /* what was not seen for longer */
/* for (u32 i = 0; (said = metadata_next(m, &i));) */
const MetaSaid *metadata_next(const TargetMeta *m, u32 *cursor);
void metadata_clear(TargetMeta *m);

/* ---- scrape_page.c ---- */

/* Everything one scrape needs on a pool thread. Filled by the loop, read back by it. */
typedef struct ScrapeRun {
    struct Target *target;
    PromConfig *cfg; /* a reference */
    const ScrapeJob *job;
    SampleSink *sink;
    Clock *clock;
    Str tenant;
    ScrapeCache *cache;
    TargetMeta *metadata; /* written under metadata_lock, read by others there */
    Mutex *metadata_lock;
    Buf body;
    Str page;         /* inside body */
    Str content_type; /* inside body_type */
    char body_type[256];
    u64 wire_bytes;
    bool only_stale; /* no page: markers for everything, no report (the target is gone) */
    i64 stamp_ms;    /* of samples */
    i64 started_ns;  /* monotonic */
    i64 interval_ms, timeout_ms;
    /* in: why there is no page; out: the outcome */
    Err err;
    char error[512];
    i64 duration_ns;
    u64 scraped, post_relabel, added;
    u64 cached_series, metadata_len;
} ScrapeRun;

void scrape_run(ScrapeRun *r);

/* What scrapes count, for the metrics of everyone's dashboards (collect_metrics.c). */
typedef struct ScrapeMetrics {
    Metric *sample_limit, *body_limit, *label_limits, *bucket_limit, *duplicate, *out_of_order,
        *out_of_bounds, *exemplar_ooo, *flush_forced;
    Metric *pools, *pools_failed, *pool_reloads, *pool_reloads_failed, *target_limit, *sync_failed,
        *sd_updates;
} ScrapeMetrics;
const ScrapeMetrics *scrape_metrics(void);
