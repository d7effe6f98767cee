/* Heavy queries over a filled engine: 1,000 targets of node_exporter's shape, 523 series each, a sample every 10 s for 20 minutes.
 *
 *     bench_query DIR [targets] [query]...
 *
 * DIR is filled when it holds nothing and kept, so that two builds can be measured over the same bytes. Per query: the best of
 * five, wall and CPU milliseconds, and how much JSON would go out. With queries given, those run (a range over the last 15 minutes every
 * 15 s; a leading @ makes it instant) instead of the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "metrics/metrics.h"

enum { PER_TARGET = 523, CPU_SERIES = 16, SECONDS = 10, ROUNDS = 120, LABELS = 5 };
#define FIRST_MS 1700000000337LL

static f64 cpu_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (f64)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (f64)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static f64 wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (f64)t.tv_sec * 1e3 + (f64)t.tv_nsec / 1e6;
}

static void target_labels(Arena *a, u32 target, Label *out)
{
    static const char *const modes[] = {"idle",    "iowait", "irq",    "nice",
                                        "softirq", "steal",  "system", "user"};
    Str instance = arena_printf(a, "host-%04u:9100", target);
    for (u32 k = 0; k < PER_TARGET; k++) {
        Label *x = out + (size_t)k * LABELS;
        bool is_cpu = k < CPU_SERIES;
        x[0] = (Label){LABEL_NAME, is_cpu ? S("node_cpu_seconds_total")
                                          : arena_printf(a, "node_longer_metric_name_%u_total", k / 3)};
        x[1] = (Label){S("cpu"), arena_printf(a, "%u", is_cpu ? k / 8 : k % 3)};
        x[2] = (Label){S("instance"), instance};
        x[3] = (Label){S("job"), S("node_exporter")};
        x[4] = (Label){S("mode"), is_cpu ? str_c(modes[k % 8]) : S("none")};
    }
}

static void fill(MetricsEngine *e, VirtualClock *clock, u32 targets)
{
    Arena a;
    arena_init(&a, NULL, (size_t)4 << 30);
    Label *labels = mem_alloc((size_t)targets * PER_TARGET * LABELS * sizeof(Label));
    f64 *values = mem_zalloc((size_t)targets * PER_TARGET * sizeof(f64));
    u64 *hints = mem_zalloc((size_t)targets * PER_TARGET * sizeof(u64));
    for (u32 i = 0; i < targets; i++)
        target_labels(&a, i, labels + (size_t)i * PER_TARGET * LABELS);
    static SeriesItem items[PER_TARGET];
    static Sample samples[PER_TARGET];
    SampleSink *sink = metrics_sink(e);
    u32 seed = 1;
    for (u32 round = 0; round < ROUNDS; round++) {
        for (u32 i = 0; i < targets; i++) {
            i64 t = FIRST_MS + (i64)round * SECONDS * 1000 + i * 10 % 10000;
            for (u32 k = 0; k < PER_TARGET; k++) {
                size_t at = (size_t)i * PER_TARGET + k;
                seed = seed * 1664525 + 1013904223;
                if (k < CPU_SERIES)
                    values[at] += (f64)(seed >> 16 & 1023) / 100;
                else if (k % 5 < 2)
                    values[at] += seed >> 20 & 255;
                samples[k] = (Sample){t, values[at]};
                items[k] = (SeriesItem){.labels = {labels + at * LABELS, LABELS},
                                        .samples = &samples[k],
                                        .samples_len = 1,
                                        .hint = hints[at]};
            }
            SampleBatch b = {.series = items, .series_len = PER_TARGET, .from_self = true};
            SinkResult r;
            do {
                sink->write(sink, &b, hints + (size_t)i * PER_TARGET, &r);
                if (r.err == E_BUSY)
                    usleep(20000);
            } while (r.err == E_BUSY);
            if (r.err != OK) {
                fprintf(stderr, "write: %s\n", r.why.text);
                exit(1);
            }
        }
        virtual_clock_advance(clock, SECONDS * NS_PER_SEC);
    }
    mem_free(labels);
    mem_free(values);
    mem_free(hints);
    arena_done(&a);
}

static void run(MetricsEngine *e, const char *text)
{
    f64 best_wall = 1e18, best_cpu = 1e18;
    bool is_range = text[0] != '@';
    u32 rows = 0;
    size_t peak = 0;
    i64 end = FIRST_MS + (ROUNDS - 1) * SECONDS * 1000 + 9000;
    end -= end % 15000;
    for (u32 round = 0; round < 5; round++) {
        Account *account = account_new("query", NULL, 0);
        PromEngineConfig config = {.memory_max = (u64)4 << 30, .samples_max = 500000000, .account = account};
        PromQuery q = {.text = str_c(text + !is_range),
                       .start_ms = is_range ? end - 900000 : end,
                       .end_ms = end,
                       .step_ms = is_range ? 15000 : 0,
                       .is_range = is_range};
        Arena out;
        PromResult r;
        Why why = {0};
        arena_init(&out, account, (size_t)4 << 30);
        f64 wall = wall_ms(), cpu = cpu_ms();
        Err err = promql_query(&config, metrics_source(e), &q, &out, &r, &why);
        wall = wall_ms() - wall;
        cpu = cpu_ms() - cpu;
        if (err != OK) {
            printf("%s: %s\n", text, why.text);
            arena_done(&out);
            account_free(account);
            return;
        }
        best_wall = wall < best_wall ? wall : best_wall;
        best_cpu = cpu < best_cpu ? cpu : best_cpu;
        rows = r.series_len;
        arena_done(&out);
        peak = account_peak(account);
        account_free(account);
    }
    printf("%8.2f ms wall %8.2f ms CPU %7.1f MB peak %7u out  %s\n", best_wall, best_cpu, (f64)peak / 1e6,
           rows, text);
}

int main(int argc, char **argv)
{
    static const char *const table[] = {
        "sum by(mode)(rate(node_cpu_seconds_total[5m]))",
        "sum by(instance)(rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))",
        "@count({job=\"node_exporter\"})",
        "@count({__name__=~\".+\"})",
        "@{instance=\"host-0007:9100\"}",
        "@count by(instance)({job=\"node_exporter\"})",
        "avg by(mode)(node_cpu_seconds_total)",
        "sum by(mode)(irate(node_cpu_seconds_total[5m]))",
        "max by(mode)(max_over_time(node_cpu_seconds_total[5m]))",
        "topk(5, rate(node_cpu_seconds_total[5m]))",
        "node_cpu_seconds_total",
        "@{instance=~\"host-00.*\",mode=~\"i.*\"}",
    };
    if (argc < 2) {
        fprintf(stderr, "bench_query DIR [targets] [query]...\n");
        return 2;
    }
    u32 targets = argc > 2 ? (u32)atoi(argv[2]) : 1000;
    mkdir(argv[1], 0755);
    VirtualClock clock;
    virtual_clock_init(&clock, (FIRST_MS + (i64)ROUNDS * SECONDS * 1000) * NS_PER_MS);
    MetricsConfig c = {.clock = &clock.clock,
                       .dir = argv[1],
                       .out_of_order_ms = -1,
                       .memtable_bytes_max = (u64)1 << 30,
                       .wal_bytes_max = (u64)1 << 30};
    MetricsEngine *e;
    Why why = {0};
    if (metrics_open(&e, &c, &why) != OK) {
        fprintf(stderr, "open: %s\n", why.text);
        return 1;
    }
    MetricsStats s;
    metrics_stats(e, S(DEFAULT_TENANT), &s);
    if (s.series_total == 0) {
        clock.wall = FIRST_MS * NS_PER_MS;
        fill(e, &clock, targets);
    }
    metrics_stats(e, S(DEFAULT_TENANT), &s);
    printf("%llu series, %llu parts, %llu samples in the memtable\n", (unsigned long long)s.series_total,
           (unsigned long long)s.parts, (unsigned long long)s.samples_memtable);
    if (argc > 3)
        for (int i = 3; i < argc; i++)
            run(e, argv[i]);
    else
        for (u32 i = 0; i < COUNT_OF(table); i++)
            run(e, table[i]);
    metrics_abandon(e);
    return 0;
}
