/* exporters: metrics of things that have no /metrics of their own, under the names their usual exporters gave them.
 *
 * host: node_exporter's names and labels for cpu, meminfo, diskstats, filesystem, netdev, loadavg, pressure, uname, time,
 * vmstat and stat. It reads procfs and sysfs at the paths given, keeps no state between scrapes and needs no privilege.
 */
#pragma once
#include "base/base.h"

typedef struct HostExporter {
    Vfs *vfs;
    Clock *clock;
    const char *proc; /* "/proc" */
    const char *sys;  /* "/sys" */
    const char *udev; /* "/run/udev/data" */
} HostExporter;

/* Appends one text exposition (0.0.4). A collector that fails says so in node_scrape_collector_success and the rest goes on;
 * a source this kernel does not have (pressure) is no failure. Blocking (statvfs of a dead network mount is refused by type). */
void host_exporter_render(const HostExporter *h, Buf *out);
