/* collect: scraping. prometheus.yml is read here, targets are discovered, scraped, relabelled and written into a SampleSink.
 *
 *     PromConfig *cfg = prom_config_read(vfs, "monitoring/prometheus.yml");  always a config; errors are inside
 *     if (prom_config_verdict(cfg, &why) != OK) ... prom_config_print_issues(cfg, out)
 *     Collector *col = collector_new(&env);
 *     collector_apply(col, cfg);             now and at every reload; unchanged targets go on undisturbed
 *     collect_routes(server, col);
 *     collector_free(col); prom_config_unref(cfg);
 *
 * A scrape. One timer per target on the collector's loop, at a place inside the interval given by the target's hash. The page
 * comes through the HttpClient on the loop; a pool thread parses it and writes one batch into the sink; the outcome comes back
 * to the loop. A target has at most one scrape under way; its cache belongs to whoever has the scrape in hand.
 *
 * The cache. For each line of the last stored page, in its order: length and keyed hash of its bytes up to the value, and the
 * sink's hint; 24 bytes, no text and no labels (a sink that gives no hints has them kept). Comments between two series are one
 * such line. Pages keep their order, so the next line is nearly always the expected one: one hash, one number, no parsing of
 * labels; values go to the sink as one row. Where a page differs, lines are looked up by hash from there on.
 *
 * Whole or not at all. A page is parsed to its end before anything is written. A page that breaks a limit or the format leaves
 * nothing behind but up = 0, staleness markers for what was there before, and the reason (with line and column) in the
 * target's lastError.
 *
 * Staleness. A marker is written for a series that is not on the page any more, for all series when a scrape fails, and for all
 * series of a target that is gone for two intervals. A target that comes back meanwhile (also under another URL, with the same
 * labels) takes the cache over, so that no marker is written for what goes on.
 *
 * The pool should be the collector's own (writes into the sink block) with a queue for as many jobs as there may be targets:
 * a scrape that finds it full is not stored, and says so.
 *
 * Threads: collector_new, _apply and _free before the loop runs, on its thread, or from any other thread once it does (they post
 * and wait); not while the loop's thread is just starting. Routes run on pool threads.
 */
#pragma once
#include "base/base.h"
#include "config/config.h"
#include "model/model.h"
#include "net/net.h"
#include "wire/wire.h"

/* ---- service discovery (sd_config.c, discovery.c, sd_*.c) ---- */

/* Targets that share labels; what a discovery mechanism finds. Each target is a label set with __address__. */
typedef struct TargetGroup {
    Str source; /* which file, name or URL it came from */
    Labels labels;
    const Labels *targets;
    u32 targets_len;
} TargetGroup;

typedef struct FileSd {
    const Str
        *patterns; /* absolute, or relative to the process; NUL-terminated; at most one * in the last part */
    u32 patterns_len;
    i64 refresh_ms;
} FileSd;
typedef enum DnsSdType { DNS_SRV, DNS_A, DNS_AAAA, DNS_MX } DnsSdType;
typedef struct DnsSd {
    const Str *names;
    u32 names_len;
    DnsSdType type;
    u32 port;
    i64 refresh_ms;
} DnsSd;
typedef struct HttpSd {
    Str url;
    i64 refresh_ms;
    HttpClientConfig http;
} HttpSd;
typedef struct SdConfigs {
    const TargetGroup *statics;
    u32 statics_len;
    const FileSd *files;
    u32 files_len;
    const DnsSd *dns;
    u32 dns_len;
    const HttpSd *https;
    u32 https_len;
} SdConfigs;
/* All *_sd_configs and static_configs of a map. Kinds that are not built yet are checked a little and warned about. With
 * check_addresses, static targets must be host:port (scrape jobs without relabelling). */
void sd_configs_read(ConfMap *m, bool check_addresses, SdConfigs *ret);

typedef struct Discovery Discovery;
/* Blocking; on a pool thread. Fills addresses (arena) or an error; E_NOT_FOUND: the name has no such records. */
typedef struct DnsAnswer {
    Str host; /* address, SRV or MX target */
    u16 port; /* SRV */
} DnsAnswer;
typedef Err (*DnsLookup)(void *arg, Str name, DnsSdType type, Arena *arena, DnsAnswer **ret, u32 *ret_len,
                         Why *why);
Err dns_lookup(void *arg, Str name, DnsSdType type, Arena *arena, DnsAnswer **ret, u32 *ret_len, Why *why);

/* How pages are fetched: http_send and http_cancel over a client, or a test's double. */
typedef struct Fetcher {
    HttpCallHandle *(*send)(void *arg, const HttpCall *call, void (*done)(void *arg, const HttpResult *r),
                            void *done_arg);
    void (*cancel)(void *arg, HttpCallHandle *h);
    void *arg;
} Fetcher;
Fetcher fetcher_of(HttpClient *client);

typedef struct DiscoveryEnv {
    Loop *loop;
    Pool *pool; /* for files and DNS; NULL = inline (tests) */
    Fetcher fetch;
    struct PromConfig
        *owner; /* referenced: what SdConfigs points into; NULL when it outlives the loop's jobs */
    Vfs *vfs;
    DnsLookup dns; /* NULL = dns_lookup */
    void *dns_arg;
    const char *manager; /* "scrape", "notify": name label of prometheus_sd_* metrics */
} DiscoveryEnv;
/* changed is called on the loop, also once soon after the start. c's strings must live as long as the Discovery. */
Discovery *discovery_new(const DiscoveryEnv *env, const SdConfigs *c, Str config_name,
                         void (*changed)(void *arg), void *arg);
void discovery_free(Discovery *d);
/* On the loop, valid until the next callback. */
u32 discovery_groups(Discovery *d, const TargetGroup *const **ret);
/* JSON or YAML target lists, as file_sd and http_sd read them. Everything lives in arena. */
Err target_groups_parse(Str text, bool is_json, const char *name, Arena *arena, TargetGroup **ret,
                        u32 *ret_len, Why *why);

/* ---- prometheus.yml (prom_config.c, job_config.c) ---- */

typedef enum ScrapeProtocol {
    PROTO_PROTOBUF,
    PROTO_TEXT_0_0_4,
    PROTO_TEXT_1_0_0,
    PROTO_OM_0_0_1,
    PROTO_OM_1_0_0,
    PROTO_NONE
} ScrapeProtocol;
typedef enum EscapingScheme {
    ESCAPE_ALLOW_UTF8,
    ESCAPE_UNDERSCORES,
    ESCAPE_DOTS,
    ESCAPE_VALUES
} EscapingScheme;

typedef struct ScrapeLimits {
    u64 body_bytes_max; /* 0 = none, everywhere here */
    u64 samples, targets, labels, label_name_bytes, label_value_bytes, histogram_buckets,
        keep_dropped_targets;
} ScrapeLimits;

typedef struct ScrapeJob {
    Str name, scheme, metrics_path;
    i64 interval_ms, timeout_ms;
    bool honor_labels, honor_timestamps, track_timestamps_staleness, compression, native_histograms,
        classic_too, convert_nhcb, extra_metrics, legacy_names;
    EscapingScheme escaping;
    ScrapeProtocol protocols[8], fallback;
    u32 protocols_len;
    f64 histogram_min_factor;
    ScrapeLimits limits;
    const struct ScrapeParam {
        Str name;
        const Str *values;
        u32 values_len;
    } *params; /* sorted by name */
    u32 params_len;
    HttpClientConfig http;
    RelabelRules relabel, metric_relabel;
    SdConfigs sd;
    u64 fingerprint;        /* of everything above, as written and expanded */
    u64 series_fingerprint; /* of what shapes series: while it stays, caches stay */
} ScrapeJob;

typedef struct AlertmanagerConfig {
    Str scheme, path_prefix;
    i64 timeout_ms;
    HttpClientConfig http;
    RelabelRules relabel, alert_relabel;
    SdConfigs sd;
} AlertmanagerConfig;

typedef struct PromConfig PromConfig;
struct PromConfig {
    Conf *conf;
    VEC(Conf *) more_confs; /* scrape_config_files */
    _Atomic u32 refs;
    i64 scrape_interval_ms, scrape_timeout_ms, evaluation_interval_ms, rule_query_offset_ms;
    Labels external_labels; /* sorted */
    Str query_log_file, scrape_failure_log_file;
    bool legacy_names;
    const Str *rule_files; /* glob patterns, absolute or relative to the process */
    u32 rule_files_len;
    const ScrapeJob *jobs;
    u32 jobs_len;
    RelabelRules alert_relabel;
    const AlertmanagerConfig *alertmanagers;
    u32 alertmanagers_len;
    const ConfNode *remote_write, *remote_read; /* items, as written */
    u32 remote_write_len, remote_read_len;
    const struct RemoteWriteConfig *destinations; /* remote_write as collect/remote reads it */
    u32 destinations_len;
    i64 retention_ms, out_of_order_ms; /* storage.tsdb; 0 = not set */
    u64 retention_bytes;
    f64 retention_percent;
    i64 max_exemplars; /* -1 = not set */
};
/* Never NULL; one reference. Reads scrape_config_files too. */
PromConfig *prom_config_read(Vfs *v, const char *path);
PromConfig *prom_config_read_text(Vfs *v, const char *path,
                                  Str text);      /* path: for messages and relative files */
Err prom_config_verdict(PromConfig *c, Why *why); /* OK or E_INVALID with all errors */
void prom_config_print_issues(PromConfig *c, Buf *out);
PromConfig *prom_config_ref(PromConfig *c);
void prom_config_unref(PromConfig *c);

/* ---- targets (target.c) ---- */

/* Labels before relabelling, as /api/v1/targets shows them. */
Labels target_discovered_labels(const ScrapeJob *job, Labels target, Labels group, Arena *a);
/* After relabelling: all labels but __meta_*; len 0 when a rule drops the target; E_INVALID when there is no usable target. */
Err target_labels(const ScrapeJob *job, Labels discovered, Arena *a, Labels *ret, Why *why);
Labels target_public_labels(Labels all, Arena *a);          /* without __* */
Str target_url(const ScrapeJob *job, Labels all, Arena *a); /* scheme://address/path?params */
Str scrape_accept_header(const ScrapeJob *job, Arena *a);

/* ---- the collector (collector.c, scrape.c) ---- */

typedef struct CollectorEnv {
    Loop *loop;
    Pool *pool; /* parses pages and writes to the sink; NULL = inline on the loop (tests) */
    Fetcher fetch;
    SampleSink *sink;
    Vfs *vfs;
    Str tenant;
    Str user_agent;    /* "Pharos/0.1.0"; empty = "Pharos" */
    Str external_host; /* replaces localhost in globalUrl: "host:9090" */
    u64 offset_seed;
    bool no_alignment; /* timestamps as they come, not on the interval's grid */
    DnsLookup dns;
    void *dns_arg;
} CollectorEnv;
typedef struct Collector Collector;
Collector *collector_new(const CollectorEnv *env);
void collector_apply(Collector *c, PromConfig *cfg); /* takes a reference */
/* Stops without staleness markers: the process is about to come back. */
void collector_free(Collector *c);

/* /api/v1/targets, /api/v1/scrape_pools, /api/v1/targets/metadata, /api/v1/targets/relabel_steps, /api/v1/metadata is the
 * engine's. */
void collect_routes(HttpServer *s, Collector *c);
/* The bodies, for tests and other doors. */
void collector_targets_json(Collector *c, bool active, bool dropped, Str pool, Buf *out);
void collector_pools_json(Collector *c, Buf *out);
/* One target's state, by job and instance; false when there is none. For tests and the web UI. */
typedef enum TargetHealth { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN } TargetHealth;
typedef struct TargetStatus {
    TargetHealth health;
    char last_error[512];
    i64 last_scrape_ms, last_duration_ns;
    u64 cached_series;
} TargetStatus;
bool collector_target_status(Collector *c, Str job, Str instance, TargetStatus *ret);
u32 collector_target_count(Collector *c);
