/* The ingest log's throughput beside the disk's own: usage bench_store [directory]. Prints one line per measurement. */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[4096];

typedef struct Flight {
    Mutex m;
    Cond c;
    u64 under_way, done, failed;
} Flight;

static void landed(void *arg, Err e, LogPos at, bool duplicate)
{
    (void)at, (void)duplicate;
    Flight *f = arg;
    mutex_lock(&f->m);
    f->under_way--;
    f->done++;
    f->failed += e != OK;
    cond_signal(&f->c);
    mutex_unlock(&f->m);
}

static void bench_log(const char *what, Durability durability, size_t record_bytes, u64 total_bytes,
                      u32 in_flight)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/log", dir);
    vfs_remove_tree(vfs_os(), path, NULL);
    Why why;
    ILog *l;
    ILogConfig c = {.vfs = vfs_os(),
                    .clock = clock_real(),
                    .dir = path,
                    .durability = durability,
                    .total_bytes_max = 8ull << 30,
                    .segment_bytes = 64 << 20};
    if (ilog_open(&l, &c, &why) != OK) {
        fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    char *bytes = mem_alloc(record_bytes);
    memset(bytes, 'x', record_bytes);
    Flight f = {0};
    mutex_init(&f.m, RANK_LEAF);
    cond_init(&f.c);
    i64 start = clock_mono_ns(clock_real());
    u64 n = total_bytes / record_bytes;
    for (u64 i = 0; i < n; i++) {
        mutex_lock(&f.m);
        while (f.under_way >= in_flight)
            cond_wait(&f.c, &f.m);
        f.under_way++;
        mutex_unlock(&f.m);
        ilog_append(l, &(LogRecord){.lane = (u32)i % 4, .bytes = str_of(bytes, record_bytes)}, true, landed,
                    &f);
    }
    ilog_sync(l, NULL);
    f64 seconds = (f64)(clock_mono_ns(clock_real()) - start) / 1e9;
    ILogHealth h = ilog_health(l);
    printf("%-28s %8.1f MB/s  %10.0f records/s  %llu syncs  %llu failed\n", what,
           (f64)(n * record_bytes) / 1e6 / seconds, (f64)n / seconds, (unsigned long long)h.syncs,
           (unsigned long long)f.failed);
    ilog_close(l);
    mem_free(bytes);
    vfs_remove_tree(vfs_os(), path, NULL);
}

static int by_time(const void *a, const void *b)
{
    i64 x = *(const i64 *)a, y = *(const i64 *)b;
    return x < y ? -1 : x > y;
}

/* What the disk does without us: 1 MiB written and synced, again and again. */
static void bench_disk(void)
{
    enum { N = 200, BYTES = 1 << 20 };
    char path[4200];
    snprintf(path, sizeof path, "%s/raw", dir);
    Vfs *v = vfs_os();
    File *f;
    Why why;
    char *bytes = mem_zalloc(BYTES);
    static i64 took[N];
    i64 start = clock_mono_ns(clock_real());
    if (v->open(v, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, &why) != OK)
        exit(1);
    for (u64 i = 0; i < N; i++) {
        v->pwrite(f, i * BYTES, bytes, BYTES, &why);
        i64 t = clock_mono_ns(clock_real());
        v->sync(f, &why);
        took[i] = clock_mono_ns(clock_real()) - t;
    }
    f64 seconds = (f64)(clock_mono_ns(clock_real()) - start) / 1e9;
    qsort(took, N, sizeof *took, by_time);
    printf("%-28s %8.1f MB/s  fdatasync p50 %.2f ms, p99 %.2f ms\n", "disk, 1 MiB and sync",
           N * BYTES / 1e6 / seconds, (f64)took[N / 2] / 1e6, (f64)took[N * 99 / 100] / 1e6);
    v->close(f);
    v->unlink(v, path, NULL);
    mem_free(bytes);
}

int main(int argc, char **argv)
{
    snprintf(dir, sizeof dir, "%s/pharos-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(dir))
        return 1;
    log_set_level(LOG_LEVEL_ERROR);
    bench_disk();
    bench_log("log, 1 MiB records, power", DURABLE_POWER, 1 << 20, 1 << 30, 12);
    bench_log("log, 1 MiB records, process", DURABLE_PROCESS, 1 << 20, 1 << 30, 12);
    bench_log("log, 200 B records, power", DURABLE_POWER, 200, 40 << 20, 8000);
    bench_log("log, 4 KiB records, power", DURABLE_POWER, 4096, 256 << 20, 2000);
    rmdir(dir);
    return 0;
}
