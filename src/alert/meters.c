#include "alert/meters.h"

#include "alert/alert.h"

#include <pthread.h>
#include <stdio.h>

#define COUNTERS_THAT_STAY_ZERO                                                                              \
    X("dispatcher_aggregation_group_creation_given_up_total",                                                \
      "Number of alerts dropped because a group could not be made.", "")                                     \
    X("dispatcher_aggregation_group_creation_retries_total", "Retries while groups were made.", "")          \
    X("dispatcher_aggregation_group_limit_reached_total", "Groups not made because of a limit.", "")         \
    X("nflog_gossip_messages_propagated_total", "Gossip messages passed on: there is no gossip.", "")        \
    X("nflog_maintenance_total", "Maintenances of the notification log: it needs none.", "")                 \
    X("nflog_maintenance_errors_total", "Maintenances of the notification log that failed.", "")             \
    X("nflog_query_errors_total", "Queries of the notification log that failed.", "")                        \
    X("silences_gossip_messages_propagated_total", "Gossip messages passed on: there is no gossip.", "")     \
    X("silences_gc_errors_total", "Silences that could not be forgotten.", "")                               \
    X("silences_query_errors_total", "Queries of silences that failed.", "")                                 \
    X("silences_query_silences_skipped_total", "Silences skipped by their version.", "")                     \
    X("silences_matcher_compile_errors_total", "Matchers of silences that did not compile.",                 \
      "stage=\"index\"")                                                                                     \
    X("silences_matcher_compile_errors_total", "Matchers of silences that did not compile.",                 \
      "stage=\"load_snapshot\"")

static AlertMeters meters;

static Metric *counter(const char *name, const char *help)
{
    return metric_counter(name, help, "");
}

static Metric *gauge(const char *name, const char *help)
{
    return metric_gauge(name, help, "");
}

static Metric *latency(const char *name, const char *help)
{
    return metric_histogram(name, help, "", metric_latency_bounds, COUNT_OF(metric_latency_bounds));
}

static void make(void)
{
#define X(name, help, labels) metric_counter("alertmanager_" name, help, labels);
    COUNTERS_THAT_STAY_ZERO
#undef X
    gauge("alertmanager_alerts_per_alert_limit", "Limit of alerts per name: there is none.");
    gauge("alertmanager_nflog_snapshot_size_bytes", "Bytes of the notification log's snapshot: it has none.");
    metric_summary("alertmanager_nflog_gc_duration_seconds", "Garbage collections of the notification log.",
                   "");
    metric_summary("alertmanager_nflog_snapshot_duration_seconds", "Snapshots of the notification log.", "");
    metric_set(metric_gauge("alertmanager_build_info",
                            "A metric with a constant '1' value labeled by what this was built from.",
                            "branch=\"pharos\",goarch=\"\",goos=\"linux\",goversion=\"\",revision=\"\",tags="
                            "\"\",version=\"" ALERTMANAGER_VERSION "\""),
               1);
    meters = (AlertMeters){
        .processing = metric_summary("alertmanager_dispatcher_alert_processing_duration_seconds",
                                     "Seconds of dispatching the alerts of a request.", ""),
        .subscriber_writes =
            metric_counter("alertmanager_alerts_subscriber_channel_writes_total",
                           "Alerts handed on to the dispatcher.", "subscriber=\"dispatcher\""),
        .config_hash = gauge("alertmanager_config_hash",
                             "Hash of the configuration in use. Not cryptographically strong."),
        .integrations = gauge("alertmanager_integrations", "Number of configured integrations."),
        .nflog_queries = counter("alertmanager_nflog_queries_total", "Queries of the notification log."),
        .nflog_query_seconds = latency("alertmanager_nflog_query_duration_seconds",
                                       "Seconds of a query of the notification log."),
        .silence_queries = counter("alertmanager_silences_queries_total", "Queries of silences."),
        .silence_scanned =
            counter("alertmanager_silences_query_silences_scanned_total", "Silences looked at by queries."),
        .silence_gc_seconds = metric_summary("alertmanager_silences_gc_duration_seconds",
                                             "Seconds of forgetting silences that are long over.", ""),
        .maintenance = counter("alertmanager_silences_maintenance_total", "Compactions of the alert log."),
        .maintenance_errors = counter("alertmanager_silences_maintenance_errors_total",
                                      "Compactions of the alert log that failed."),
        .snapshot_seconds = metric_summary("alertmanager_silences_snapshot_duration_seconds",
                                           "Seconds of a compaction of the alert log.", ""),
        .snapshot_bytes = gauge("alertmanager_silences_snapshot_size_bytes", "Bytes of the last compaction."),
        .silence_patterns =
            gauge("alertmanager_silences_matcher_index_size", "Patterns compiled for silences."),
        .silences = gauge("alertmanager_silences_state_size", "Silences held."),
        .silence_seconds =
            latency("alertmanager_silences_query_duration_seconds", "Seconds of a query of silences."),
        .silence_versions = gauge("alertmanager_silences_version_index_size", "Silences held, by version."),
    };
}

const AlertMeters *alert_meters(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make);
    return &meters;
}

Metric *alert_latency_meter(const char *integration)
{
    char labels[100];
    snprintf(labels, sizeof labels, "integration=\"%s\"", integration);
    return metric_histogram("alertmanager_notification_latency_seconds",
                            "The latency of notifications in seconds.", labels, metric_latency_bounds,
                            COUNT_OF(metric_latency_bounds));
}
