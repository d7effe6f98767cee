/* Inside discovery: providers and the items they hold.
 *
 * A provider is one *_sd_configs entry. What it knows is a list of items, one per file, DNS name or URL; an item and its groups
 * never change once made. A refresh works on a pool thread with a copy of the list and returns a new one, in which items that
 * did not change (or could not be read: the last good list stays) are the same pointers. */
#pragma once
#include "collect/collect_internal.h"

#define SD_BYTES_MAX (64u << 20)

typedef struct SdItem {
    Arena arena;
    Str key;
    TargetGroup *groups;
    u32 groups_len;
    i64 mtime_ns;
    u64 bytes;
} SdItem;
typedef VEC(SdItem *) SdItems;

typedef struct Provider Provider;
typedef struct SdJob {
    Provider *provider; /* NULL: the provider is gone */
    DiscoveryEnv env;   /* a copy, with a reference to its owner */
    void (*work)(struct SdJob *job);
    const void *config;
    SdItems before; /* a copy of the list; the items stay while the job runs */
    SdItems after;
    SdItems orphans; /* items to free when the provider is gone */
    Buf body;        /* HTTP */
} SdJob;

struct Provider {
    Discovery *d;
    SdItems items;
    SdJob *job;
    Timer timer;
    i64 poll_ms;
    bool has_reported;
    void (*work)(SdJob *job); /* file and DNS */
    const void *config;
    struct SdCall *call; /* HTTP */
};

SdItem *sd_item_new(Str key);
void sd_item_free(SdItem *item);
SdItem *sd_item_find(const SdItems *items, Str key);
void provider_run(Provider *p, void (*work)(SdJob *job), Buf *body); /* takes body's bytes; NULL = none */
void provider_settled(Provider *p); /* a refresh ended, even without a result */
Loop *provider_loop(Provider *p);
const DiscoveryEnv *provider_env(Provider *p);

void file_sd_work(SdJob *job);
void dns_sd_work(SdJob *job);
void http_sd_start(Provider *p); /* one request; the next by timer */
void http_sd_stop(Provider *p);
