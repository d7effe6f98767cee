/* Structured logs (logfmt or JSON lines on stderr) and the registry of our own metrics.
 *
 *     LOG_INFO("web", "Listening on", LF_STR("address", addr), LF_INT("port", port));
 *
 * One line per call, written with one write(2). Values are quoted where needed. Secrets are not logged: the
 * Secret type of config/ has no field constructor here on purpose.
 */
#pragma once
#include "base/err.h"
#include "base/mem.h"

typedef enum LogLevel { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR } LogLevel;
typedef struct LogField {
    const char *key;
    enum { LOG_F_STR, LOG_F_INT, LOG_F_F64 } kind;
    Str str;
    i64 num;
    f64 dbl;
} LogField;

#define LF_STR(k, s) ((LogField){.key = (k), .kind = LOG_F_STR, .str = (s)})
#define LF_C(k, c)   ((LogField){.key = (k), .kind = LOG_F_STR, .str = str_c(c)})
#define LF_INT(k, n) ((LogField){.key = (k), .kind = LOG_F_INT, .num = (i64)(n)})
#define LF_F64(k, d) ((LogField){.key = (k), .kind = LOG_F_F64, .dbl = (d)})
#define LF_WHY(w)    ((LogField){.key = "err", .kind = LOG_F_STR, .str = str_c((w)->text)})

void log_write(LogLevel level, const char *component, const char *msg, const LogField *fields, size_t n);
#define LOG_AT(level, component, msg, ...)                                                                   \
    log_write(level, component, msg, (const LogField[]){{0}, ##__VA_ARGS__} + 1,                             \
              COUNT_OF(((const LogField[]){{0}, ##__VA_ARGS__})) - 1)
#define LOG_DEBUG(component, msg, ...) LOG_AT(LOG_LEVEL_DEBUG, component, msg, ##__VA_ARGS__)
#define LOG_INFO(component, msg, ...)  LOG_AT(LOG_LEVEL_INFO, component, msg, ##__VA_ARGS__)
#define LOG_WARN(component, msg, ...)  LOG_AT(LOG_LEVEL_WARN, component, msg, ##__VA_ARGS__)
#define LOG_ERROR(component, msg, ...) LOG_AT(LOG_LEVEL_ERROR, component, msg, ##__VA_ARGS__)

void log_set_level(LogLevel min);
void log_set_json(bool json);
void log_set_fd(int fd); /* default 2 */

/* Own metrics. A Metric lives for the process; get it once (at start or in a static) and keep the pointer: the
 * same name and labels give the same pointer. Updates are atomic and take no lock. labels is the text between the
 * braces, e.g. `code="200",handler="/api/v1/query"` (already escaped), or "". */
typedef struct Metric Metric;
Metric *metric_counter(const char *name, const char *help, const char *labels);
Metric *metric_gauge(const char *name, const char *help, const char *labels);
/* Upper bounds, ascending, without +Inf; bounds must outlive the process (static). */
Metric *metric_histogram(const char *name, const char *help, const char *labels, const f64 *bounds, u32 n);
Metric *metric_summary(const char *name, const char *help,
                       const char *labels); /* sum and count, no quantiles */
void metric_add(Metric *m, f64 delta);      /* counter or gauge */
void metric_inc(Metric *m);
void metric_set(Metric *m, f64 value);     /* gauge (or a counter copied from elsewhere) */
void metric_observe(Metric *m, f64 value); /* histogram, summary */
f64 metric_value(const Metric *m);
/* A callback that sets gauges just before each rendering (sizes, ages). */
void metric_on_render(void (*fn)(void *arg), void *arg);
/* Everything in text exposition 0.0.4, families sorted by name. Includes process_* of this process. */
void metrics_render(Buf *out);
extern const f64 metric_latency_bounds[11]; /* seconds: .001 … 10 */
