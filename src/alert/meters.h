/* meters: Alertmanager's metrics by its names, so that its dashboards and alerts work. Made once for the process; what
 * this design does not have (gossip, limits nobody set) is there and stays zero. */
#pragma once
#include "base/base.h"

typedef struct AlertMeters {
    Metric *processing; /* seconds per request of alerts */
    Metric *subscriber_writes, *config_hash, *integrations;
    Metric *nflog_queries, *nflog_query_seconds;
    Metric *silence_queries, *silence_scanned, *silence_seconds, *silence_gc_seconds;
    Metric *maintenance, *maintenance_errors, *snapshot_seconds,
        *snapshot_bytes; /* of silences: compactions of the log */
    Metric *silence_patterns, *silences, *silence_versions;
} AlertMeters;
const AlertMeters *alert_meters(void);
Metric *alert_latency_meter(const char *integration); /* seconds a delivery took */
