/* Inside scraping: the cache of one target's series and one page's way into the sink. */
#pragma once
#include "collect/collect_internal.h"

/* ---- scrape_cache.c ---- */

/* One line of the page, found by its bytes up to the value. Labels after relabelling; none = dropped. */
typedef struct CacheEntry CacheEntry;
struct CacheEntry {
    CacheEntry *next; /* the line after this one, last time */
    u64 hash, hint;
    u32 seen;    /* the iteration it was last on a page in, also on one that was not stored */
    u32 now;     /* the last iteration its sample carried our time in */
    u32 tracked; /* likewise, and the page was stored: when it is gone, a marker is due */
    u32 text_len;
    u32 labels_len : 31, is_stored : 1;
    Label labels[]; /* then the text, then strings that relabelling made */
};
typedef struct ScrapeCache {
    Arena arena;   /* the target's labels */
    Labels target; /* public labels; entries borrow these strings */
    CacheEntry **slots;
    size_t cap, len;
    CacheEntry *first;
    u32 iter;         /* of the scrape under way; starts at 1 */
    u32 tracked_iter; /* the last iteration that was stored: whose series may need markers; 0 = none */
    u32 tracked_len, continued_len; /* how many that tracked; how many of them this page has */
    u32 seen_len;                   /* distinct entries on this page */
    u32 stored_len;                 /* entries after the last whole page */
    u64 fingerprint;                /* of what shapes series */
    u64 report_hints[9];
    struct ScrapeCache *before; /* made under another configuration: its series may need markers, once */
} ScrapeCache;

ScrapeCache *cache_new(Labels target, u64 fingerprint);
void cache_free(ScrapeCache *c);
static inline Str entry_text(const CacheEntry *e)
{
    return str_of((const char *)&e->labels[e->labels_len], e->text_len);
}
CacheEntry *cache_find(const ScrapeCache *c, Str text, u64 hash);
/* Copies: strings inside page_text are found again in the entry's own text, target labels in the cache's. */
CacheEntry *cache_add(ScrapeCache *c, Str text, u64 hash, Labels labels);
void cache_drop_unseen(ScrapeCache *c); /* entries not seen in this iteration; after a whole page */
void cache_drop_unstored(
    ScrapeCache *c); /* what pages left behind that were never stored; forgets the order */

/* ---- scrape_page.c ---- */

typedef struct MetaEntry {
    MetricType type;
    Str help, unit; /* owned */
    u32 seen;
} MetaEntry;

/* Everything one scrape needs on a pool thread. Filled by the loop, read back by it. */
typedef struct ScrapeRun {
    struct Target *target;
    PromConfig *cfg; /* a reference */
    const ScrapeJob *job;
    SampleSink *sink;
    Clock *clock;
    Str tenant;
    ScrapeCache *cache;
    StrMap *metadata; /* family -> MetaEntry; written under metadata_lock */
    Mutex *metadata_lock;
    Buf body;
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
void metadata_clear(StrMap *m);

/* What scrapes count, for the metrics of everyone's dashboards (collect_metrics.c). */
typedef struct ScrapeMetrics {
    Metric *sample_limit, *body_limit, *label_limits, *bucket_limit, *duplicate, *out_of_order,
        *out_of_bounds, *exemplar_ooo, *flush_forced;
    Metric *pools, *pools_failed, *pool_reloads, *pool_reloads_failed, *target_limit, *sync_failed,
        *sd_updates;
} ScrapeMetrics;
const ScrapeMetrics *scrape_metrics(void);
