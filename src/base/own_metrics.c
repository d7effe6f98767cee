/* The registry of our own metrics: see log.h. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/vec.h"

typedef enum MetricKind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM, KIND_SUMMARY } MetricKind;

typedef struct Family Family;
struct Metric {
    Family *family;
    Metric *next; /* in the family, in order of creation */
    char *labels;
    _Atomic u64 bits;     /* the value's bits; a histogram's sum */
    _Atomic u64 *buckets; /* histogram: n + 1, not cumulative */
};
struct Family {
    char *name, *help;
    MetricKind kind;
    const f64 *bounds;
    u32 bounds_len;
    Metric *first, *last;
};

typedef struct Hook {
    void (*fn)(void *arg);
    void *arg;
} Hook;

static struct {
    pthread_mutex_t lock;
    VEC(Family *) families; /* sorted by name */
    StrMap by_key;          /* name{labels} -> Metric */
    VEC(Hook) hooks;
} reg = {.lock = PTHREAD_MUTEX_INITIALIZER};

const f64 metric_latency_bounds[11] = {.001, .0025, .005, .01, .025, .05, .1, .5, 1, 2.5, 10};

static Family *family_get(const char *name, const char *help, MetricKind kind, const f64 *bounds, u32 n)
{
    size_t at = 0;
    while (at < reg.families.len && strcmp(reg.families.at[at]->name, name) < 0)
        at++;
    if (at < reg.families.len && !strcmp(reg.families.at[at]->name, name)) {
        check(reg.families.at[at]->kind == kind);
        return reg.families.at[at];
    }
    Family *f = mem_new(Family);
    *f = (Family){.name = mem_strdup(str_c(name)),
                  .help = mem_strdup(str_c(help)),
                  .kind = kind,
                  .bounds = bounds,
                  .bounds_len = n};
    vec_push(&reg.families, f);
    memmove(reg.families.at + at + 1, reg.families.at + at, (reg.families.len - 1 - at) * sizeof(Family *));
    reg.families.at[at] = f;
    return f;
}

static Metric *metric_get(const char *name, const char *help, const char *labels, MetricKind kind,
                          const f64 *bounds, u32 n)
{
    Buf key;
    buf_init(&key, 64 << 10);
    buf_printf(&key, "%s{%s}", name, labels);
    pthread_mutex_lock(&reg.lock);
    Metric *m = strmap_find(&reg.by_key, buf_view(&key));
    if (!m) {
        m = mem_new(Metric);
        m->family = family_get(name, help, kind, bounds, n);
        m->labels = mem_strdup(str_c(labels));
        if (kind == KIND_HISTOGRAM || kind == KIND_SUMMARY)
            m->buckets = mem_zalloc(sizeof(u64) * (n + 1));
        if (m->family->last)
            m->family->last->next = m;
        else
            m->family->first = m;
        m->family->last = m;
        strmap_put(&reg.by_key, buf_view(&key), m);
    }
    pthread_mutex_unlock(&reg.lock);
    buf_done(&key);
    return m;
}

Metric *metric_counter(const char *name, const char *help, const char *labels)
{
    return metric_get(name, help, labels, KIND_COUNTER, NULL, 0);
}

Metric *metric_gauge(const char *name, const char *help, const char *labels)
{
    return metric_get(name, help, labels, KIND_GAUGE, NULL, 0);
}

Metric *metric_histogram(const char *name, const char *help, const char *labels, const f64 *bounds, u32 n)
{
    return metric_get(name, help, labels, KIND_HISTOGRAM, bounds, n);
}

Metric *metric_summary(const char *name, const char *help, const char *labels)
{
    return metric_get(name, help, labels, KIND_SUMMARY, NULL, 0);
}

static inline f64 bits_f64(u64 b)
{
    f64 v;
    memcpy(&v, &b, 8);
    return v;
}

static inline u64 f64_as_bits(f64 v)
{
    u64 b;
    memcpy(&b, &v, 8);
    return b;
}

void metric_add(Metric *m, f64 delta)
{
    u64 before = atomic_load_explicit(&m->bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->bits, &before, f64_as_bits(bits_f64(before) + delta),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void metric_inc(Metric *m)
{
    metric_add(m, 1);
}

void metric_set(Metric *m, f64 value)
{
    atomic_store_explicit(&m->bits, f64_as_bits(value), memory_order_relaxed);
}

f64 metric_value(const Metric *m)
{
    return bits_f64(atomic_load_explicit(&m->bits, memory_order_relaxed));
}

void metric_observe(Metric *m, f64 value)
{
    u32 i = 0;
    while (i < m->family->bounds_len && value > m->family->bounds[i])
        i++;
    atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
    metric_add(m, value);
}

void metric_on_render(void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&reg.lock);
    vec_push(&reg.hooks, (Hook){fn, arg});
    pthread_mutex_unlock(&reg.lock);
}

static void put_value(Buf *out, f64 v)
{
    if (v != v)
        buf_c(out, "NaN");
    else if (v - v != 0)
        buf_c(out, v > 0 ? "+Inf" : "-Inf");
    else if (v == (f64)(i64)v && v < 1e15 && v > -1e15)
        buf_printf(out, "%lld", (long long)v);
    else
        buf_printf(out, "%.17g", v);
}

static void put_series(Buf *out, const char *name, const char *suffix, const char *labels, const char *le,
                       f64 v)
{
    bool braces = labels[0] || le;
    buf_printf(out, "%s%s%s%s", name, suffix, braces ? "{" : "", labels);
    if (le)
        buf_printf(out, "%sle=\"%s\"", labels[0] ? "," : "", le);
    buf_c(out, braces ? "} " : " ");
    put_value(out, v);
    buf_char(out, '\n');
}

static void put_histogram(Buf *out, const Metric *m)
{
    const Family *f = m->family;
    u64 total = 0;
    for (u32 i = 0; i <= f->bounds_len; i++) {
        total += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        char le[32] = "+Inf";
        if (i < f->bounds_len)
            snprintf(le, sizeof le, "%g", f->bounds[i]);
        if (f->kind == KIND_HISTOGRAM)
            put_series(out, f->name, "_bucket", m->labels, le, (f64)total);
    }
    put_series(out, f->name, "_sum", m->labels, NULL, metric_value(m));
    put_series(out, f->name, "_count", m->labels, NULL, (f64)total);
}

static u64 count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    u64 n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static f64 start_time_seconds(void)
{
    /* Field 22 of /proc/self/stat is the start in ticks since boot; btime of /proc/stat is the boot in Unix seconds. */
    unsigned long long ticks = 0, btime = 0;
    char line[1024];
    FILE *f = fopen("/proc/self/stat", "r");
    if (f && fgets(line, sizeof line, f)) {
        char *p = strrchr(line, ')');
        for (int field = 2; p && field < 22; field++)
            p = strchr(p + 1, ' ');
        if (p)
            ticks = strtoull(p, NULL, 10);
    }
    if (f)
        fclose(f);
    f = fopen("/proc/stat", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "btime ", 6))
            btime = strtoull(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return (f64)btime + (f64)ticks / (f64)sysconf(_SC_CLK_TCK);
}

static void put_process(Buf *out)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    f64 cpu = (f64)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
              (f64)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
    u64 vsize = 0, rss = 0;
    char line[128], *rest;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fgets(line, sizeof line, f)) {
        vsize = strtoull(line, &rest, 10);
        rss = strtoull(rest, NULL, 10);
    }
    if (f)
        fclose(f);
    struct rlimit fds = {0};
    getrlimit(RLIMIT_NOFILE, &fds);
    f64 page = (f64)sysconf(_SC_PAGESIZE);
    const struct {
        const char *name, *type, *help;
        f64 v;
    } rows[] = {
        {"process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu},
        {"process_max_fds", "gauge", "Maximum number of open file descriptors.", (f64)fds.rlim_cur},
        {"process_open_fds", "gauge", "Number of open file descriptors.", (f64)count_fds()},
        {"process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", (f64)rss * page},
        {"process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
         start_time_seconds()},
        {"process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", (f64)vsize * page},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
                   rows[i].type);
        put_series(out, rows[i].name, "", "", NULL, rows[i].v);
    }
}

void metrics_render(Buf *out)
{
    for (size_t i = 0;; i++) {
        pthread_mutex_lock(&reg.lock);
        Hook hook = i < reg.hooks.len ? reg.hooks.at[i] : (Hook){0};
        pthread_mutex_unlock(&reg.lock);
        if (!hook.fn)
            break;
        hook.fn(hook.arg);
    }
    static const char *const kinds[] = {"counter", "gauge", "histogram", "summary"};
    pthread_mutex_lock(&reg.lock);
    for (size_t i = 0; i < reg.families.len; i++) {
        Family *f = reg.families.at[i];
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, kinds[f->kind]);
        for (Metric *m = f->first; m; m = m->next) {
            if (f->kind == KIND_HISTOGRAM || f->kind == KIND_SUMMARY)
                put_histogram(out, m);
            else
                put_series(out, f->name, "", m->labels, NULL, metric_value(m));
        }
    }
    pthread_mutex_unlock(&reg.lock);
    put_process(out);
}
