/* What collect's own files share: reading jobs, the scrape cache, one scrape. */
#pragma once
#include "collect/collect.h"

/* ---- job_config.c ---- */
typedef struct JobDefaults {
    i64 interval_ms, timeout_ms;
    bool native_histograms, classic_too, convert_nhcb, extra_metrics, legacy_names, has_escaping;
    EscapingScheme escaping;
    ScrapeProtocol protocols[8];
    u32 protocols_len;
    ScrapeLimits limits;
    u64 fingerprint;
} JobDefaults;
void limits_read(ConfMap *m, ScrapeLimits *l); /* over what l holds; 0 keeps it */
/* False (and errors) when the list is not usable. Absent: *ret_len stays. */
void protocols_read(ConfMap *m, const char *key, ScrapeProtocol ret[8], u32 *ret_len);
bool name_scheme_read(ConfMap *m, bool *ret_legacy); /* true when set */
bool escaping_read(ConfMap *m, bool legacy, EscapingScheme *ret);
void job_read(Conf *c, const ConfNode *n, const JobDefaults *d, ScrapeJob *ret);
u64 node_fingerprint(Conf *c, const ConfNode *n, u64 seed);
bool path_pattern_is_valid(Str pattern); /* at most one *, in the last part of the path */
