/* The series engine under remote_write-shaped load: CPU per sample, bytes of memory per series, bytes on disk per sample, and how long
 * opening takes after being killed.
 *
 *     bench_ingest [series] [rounds] [hints|plain] [log]
 *
 * Each round is one sample per series, 15 s apart on a virtual clock, in batches of 2,000 samples as a sender cuts them. With
 * "hints" the batches carry the handles a scraper would keep; with "log" only a full log (64 MB) flushes, the worst a kill can leave.
 * The last line is for docs/reach.jsonl.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "metrics/metrics.h"

enum { PER_TARGET = 500, BATCH = 2000, LABELS = 9 };

static u64 rss_anon_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    u64 kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kb = strtoull(line + 8, NULL, 10);
    if (f)
        fclose(f);
    return kb * 1024;
}

static f64 cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (f64)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (f64)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static f64 wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (f64)t.tv_sec + (f64)t.tv_nsec / 1e9;
}

typedef struct Load {
    u32 series;
    Label *labels; /* LABELS per series */
    f64 *values;
    u64 *hints;
    SeriesItem items[BATCH];
    Sample samples[BATCH];
} Load;

static Str text_of(Arena *a, const char *fmt, u32 x)
{
    return arena_printf(a, fmt, x);
}

/* A node_exporter's shape: a few hundred metric names, a handful of label values each, targets by instance. */
static void load_init(Load *l, u32 series, Arena *a)
{
    l->series = series;
    l->labels = mem_alloc((size_t)series * LABELS * sizeof(Label));
    l->values = mem_zalloc(series * sizeof(f64));
    l->hints = mem_zalloc(series * sizeof(u64));
    Str names[PER_TARGET], devices[PER_TARGET];
    for (u32 i = 0; i < PER_TARGET; i++) {
        names[i] = text_of(a, "node_some_longer_metric_%u_total", i / 4);
        devices[i] = text_of(a, "device-%u", i % 4);
    }
    Str instance = {0}, pod = {0};
    for (u32 i = 0; i < series; i++) {
        if (i % PER_TARGET == 0) {
            instance = text_of(a, "10.0.0.%u:9100", i / PER_TARGET);
            pod = text_of(a, "node-exporter-pod-%u-abcdef", i / PER_TARGET);
        }
        u32 k = i % PER_TARGET;
        Label *x = l->labels + (size_t)i * LABELS;
        x[0] = (Label){LABEL_NAME, names[k]};
        x[1] = (Label){S("cluster"), S("prod-eu-west-1")};
        x[2] = (Label){S("device"), devices[k]};
        x[3] = (Label){S("env"), S("production")};
        x[4] = (Label){S("instance"), instance};
        x[5] = (Label){S("job"), S("node-exporter")};
        x[6] = (Label){S("mode"), k % 2 ? S("idle") : S("system")};
        x[7] = (Label){S("namespace"), S("monitoring")};
        x[8] = (Label){S("pod"), pod};
    }
}

static void load_round(Load *l, SampleSink *sink, i64 t, bool use_hints)
{
    for (u32 from = 0; from < l->series; from += BATCH) {
        u32 n = MIN((u32)BATCH, l->series - from);
        for (u32 k = 0; k < n; k++) {
            u32 i = from + k;
            /* More than half of real series stand still; most others are counters. */
            if (i % 5 < 2)
                l->values[i] += (f64)(i % 97);
            else if (i % 50 == 4)
                l->values[i] = (f64)((i * 2654435761u) ^ (u32)t) / 1000.0;
            l->samples[k] = (Sample){t, l->values[i]};
            l->items[k] = (SeriesItem){.labels = {l->labels + (size_t)i * LABELS, LABELS},
                                       .samples = &l->samples[k],
                                       .samples_len = 1,
                                       .hint = use_hints ? l->hints[i] : 0};
        }
        SampleBatch b = {.tenant = S("bench"), .series = l->items, .series_len = n};
        SinkResult r;
        do {
            sink->write(sink, &b, use_hints ? l->hints + from : NULL, &r);
            if (r.err == E_BUSY)
                usleep(20000);
        } while (r.err == E_BUSY);
        if (r.err != OK) {
            fprintf(stderr, "write: %s\n", r.why.text);
            exit(1);
        }
    }
}

/* Reads every sample of the selected series once. */
static void read_back(MetricsEngine *e, const char *what, Str name, Str value, i64 mint)
{
    Arena a;
    arena_init(&a, NULL, (size_t)8 << 30);
    PromSource *src = metrics_source(e);
    Matcher m = {.name = name, .value = value, .op = MATCH_EQ};
    SelectHints h = {.mint = mint, .maxt = INT64_MAX};
    SeriesCursor *c;
    Why why = {0};
    f64 wall = wall_seconds(), cpu = cpu_seconds();
    u64 series = 0, samples = 0;
    static SeriesView v[256];
    u32 n = 0;
    if (src->select(src, S("bench"), (Matchers){&m, 1}, &h, &a, NULL, &c, &why) == OK) {
        while (c->next(c, v, 256, &n, &why) == OK && n)
            for (u32 i = 0; i < n; i++) {
                series++;
                samples += v[i].n;
            }
        c->close(c);
    }
    printf("select %s: %llu series, %llu samples, %.1f ms (%.1f ms of CPU)\n", what,
           (unsigned long long)series, (unsigned long long)samples, (wall_seconds() - wall) * 1e3,
           (cpu_seconds() - cpu) * 1e3);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    u32 series = argc > 1 ? (u32)atoi(argv[1]) : 100000, rounds = argc > 2 ? (u32)atoi(argv[2]) : 60;
    bool use_hints = argc > 3 && strcmp(argv[3], "hints") == 0;
    char dir[64] = "/tmp/pharos-bench-XXXXXX";
    if (!mkdtemp(dir))
        return 1;
    Arena names;
    arena_init(&names, NULL, (size_t)8 << 30);
    static Load load;
    load_init(&load, series, &names);
    VirtualClock clock;
    i64 now = 1700000000000LL;
    virtual_clock_init(&clock, now * 1000000);
    MetricsConfig c = {
        .clock = &clock.clock, .dir = dir, .out_of_order_ms = -1, .memtable_bytes_max = (u64)1 << 30};
    if (argc > 4 && strcmp(argv[4], "log") == 0)
        c.flush_interval_ms = 1000000000;
    MetricsEngine *e;
    Why why = {0};
    u64 rss_before = rss_anon_bytes();
    if (metrics_open(&e, &c, &why) != OK) {
        fprintf(stderr, "open: %s\n", why.text);
        return 1;
    }
    f64 cpu = cpu_seconds(), wall = wall_seconds(), cpu_first = 0;
    u64 rss_peak = 0;
    for (u32 i = 0; i < rounds; i++) {
        load_round(&load, metrics_sink(e), now, use_hints);
        virtual_clock_advance(&clock, 15 * NS_PER_SEC);
        now += 15000;
        if (i == 0)
            cpu_first = cpu_seconds() - cpu;
        rss_peak = MAX(rss_peak, rss_anon_bytes() - rss_before);
    }
    cpu = cpu_seconds() - cpu;
    wall = wall_seconds() - wall;
    MetricsStats s;
    metrics_stats(e, S("bench"), &s);
    f64 samples = (f64)series * rounds;
    printf("series %u, rounds %u, hints %d\n", series, rounds, use_hints);
    printf("cpu per sample %.3f us (first round, creating series: %.3f us), %.2f M samples/s by the wall\n",
           cpu / samples * 1e6, cpu_first / series * 1e6, samples / wall / 1e6);
    printf("memory per series: %.0f B now, %.0f B at the peak\n",
           (f64)(rss_anon_bytes() - rss_before) / series, (f64)rss_peak / series);
    printf("parts %llu, log %.1f MB, memtable samples %llu\n", (unsigned long long)s.parts,
           (f64)s.wal_bytes / 1e6, (unsigned long long)s.samples_memtable);
    metrics_abandon(e); /* what kill -9 leaves: nothing flushed since */
    f64 start = wall_seconds(), start_cpu = cpu_seconds();
    if (metrics_open(&e, &c, &why) != OK) {
        fprintf(stderr, "reopen: %s\n", why.text);
        return 1;
    }
    f64 ready = wall_seconds() - start;
    printf("ready after kill: %.3f s (%.3f s of CPU)\n", ready, cpu_seconds() - start_cpu);
    read_back(e, "all, everything", S("job"), S("node-exporter"), INT64_MIN);
    read_back(e, "all, newest", S("job"), S("node-exporter"), now - 15000);
    read_back(e, "one metric", LABEL_NAME, S("node_some_longer_metric_7_total"), INT64_MIN);
    read_back(e, "one target", S("instance"), S("10.0.0.7:9100"), INT64_MIN);
    metrics_flush(e, &why);
    metrics_merge_all(e, &why);
    read_back(e, "all, merged", S("job"), S("node-exporter"), INT64_MIN);
    metrics_stats(e, S("bench"), &s);
    printf("merged: %.3f B per sample on disk with catalogue\n",
           (f64)s.bytes_on_disk / ((f64)samples - (f64)s.samples_memtable));
    metrics_close(e, &why);
    printf("{\"bench\":\"ingest\",\"series\":%u,\"us_per_sample\":%.3f,\"bytes_per_series\":%.0f,\"ready_s\":"
           "%.3f}\n",
           series, cpu / samples * 1e6, (f64)rss_peak / series, ready);
    vfs_remove_tree(vfs_os(), dir, NULL);
    arena_done(&names);
    return 0;
}
