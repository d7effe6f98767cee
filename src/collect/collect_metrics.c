/* Own metrics with Prometheus's names. */
#include "collect/scrape.h"

static ScrapeMetrics metrics;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
    ScrapeMetrics *m = &metrics;
    m->sample_limit =
        metric_counter("prometheus_target_scrapes_exceeded_sample_limit_total",
                       "Total number of scrapes that hit the sample limit and were rejected.", "");
    m->body_limit = metric_counter("prometheus_target_scrapes_exceeded_body_size_limit_total",
                                   "Total number of scrapes that hit the body size limit", "");
    m->bucket_limit = metric_counter(
        "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
        "Total number of scrapes that hit the native histogram bucket limit and were rejected.", "");
    m->duplicate = metric_counter(
        "prometheus_target_scrapes_sample_duplicate_timestamp_total",
        "Total number of samples rejected due to duplicate timestamps but different values.", "");
    m->out_of_order =
        metric_counter("prometheus_target_scrapes_sample_out_of_order_total",
                       "Total number of samples rejected due to not being out of the expected order.", "");
    m->out_of_bounds = metric_counter(
        "prometheus_target_scrapes_sample_out_of_bounds_total",
        "Total number of samples rejected due to timestamp falling outside of the time bounds.", "");
    m->exemplar_ooo =
        metric_counter("prometheus_target_scrapes_exemplar_out_of_order_total",
                       "Total number of exemplar rejected due to not being out of the expected order.", "");
    m->flush_forced = metric_counter(
        "prometheus_target_scrapes_cache_flush_forced_total",
        "How many times a scrape cache was flushed due to getting big while scrapes are failing.", "");
    m->label_limits = metric_counter(
        "prometheus_target_scrape_pool_exceeded_label_limits_total",
        "Total number of times scrape pools hit the label limits, during sync or config reload.", "");
    m->target_limit = metric_counter(
        "prometheus_target_scrape_pool_exceeded_target_limit_total",
        "Total number of times scrape pools hit the target limit, during sync or config reload.", "");
    m->pools = metric_counter("prometheus_target_scrape_pools_total",
                              "Total number of scrape pool creation attempts.", "");
    m->pools_failed = metric_counter("prometheus_target_scrape_pools_failed_total",
                                     "Total number of scrape pool creations that failed.", "");
    m->pool_reloads = metric_counter("prometheus_target_scrape_pool_reloads_total",
                                     "Total number of scrape pool reloads.", "");
    m->pool_reloads_failed = metric_counter("prometheus_target_scrape_pool_reloads_failed_total",
                                            "Total number of failed scrape pool reloads.", "");
    m->sync_failed =
        metric_counter("prometheus_target_sync_failed_total", "Total number of target sync failures.", "");
    m->sd_updates =
        metric_counter("prometheus_sd_updates_total",
                       "Total number of update events sent to the SD consumers.", "name=\"scrape\"");
    metric_counter("prometheus_sd_file_read_errors_total", "The number of File-SD read errors.", "");
    metric_counter("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.", "");
    metric_counter("prometheus_sd_dns_lookup_failures_total", "The number of DNS-SD lookup failures.", "");
    metric_counter("prometheus_sd_http_failures_total", "Number of HTTP service discovery refresh failures.",
                   "");
    metric_gauge("prometheus_sd_failed_configs",
                 "Current number of service discovery configurations that failed to load.",
                 "name=\"scrape\"");
}

const ScrapeMetrics *scrape_metrics(void)
{
    pthread_once(&once, make);
    return &metrics;
}
