/* Scraping, page to sink: CPU per sample once the cache is warm, and the cache's memory per series.
 * usage: bench_scrape [series] [rounds] */
#include "collect/collect.h"
#include <malloc.h>
#include <stdio.h>
#include <time.h>

typedef struct World {
    SampleSink sink;
    u64 samples;
    Buf page;
    Loop *loop;
} World;

static void sink_write(SampleSink *s, const SampleBatch *b, u64 *hints, SinkResult *ret)
{
    World *w = (World *)s;
    *ret = (SinkResult){.samples_ok = b->series_len + b->row.len};
    w->samples += b->series_len + b->row.len;
    for (u32 i = 0; i < b->series_len; i++)
        hints[i] = i + 1;
}

typedef struct Call {
    World *w;
    void (*done)(void *, const HttpResult *);
    void *arg;
} Call;

static void answer(void *arg)
{
    Call *c = arg;
    HttpHeader h = {S("Content-Type"), S("text/plain; version=0.0.4")};
    HttpResult r = {.status = 200, .body = buf_view(&c->w->page), .headers = &h, .headers_len = 1};
    c->done(c->arg, &r);
    mem_free(c);
}

static HttpCallHandle *send_call(void *arg, const HttpCall *call, void (*done)(void *, const HttpResult *),
                                 void *done_arg)
{
    Call *c = mem_new(Call);
    *c = (Call){arg, done, done_arg};
    loop_post(c->w->loop, answer, c);
    return (HttpCallHandle *)c;
}
static void cancel_call(void *arg, HttpCallHandle *h) {}

static f64 cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (f64)t.tv_sec + (f64)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    u32 series = argc > 1 ? (u32)atoi(argv[1]) : 100000, rounds = argc > 2 ? (u32)atoi(argv[2]) : 20;
    World w = {.sink.write = sink_write};
    VirtualClock clock;
    virtual_clock_init(&clock, 1700000000LL * NS_PER_SEC);
    w.loop = loop_new(&clock.clock);
    buf_init(&w.page, 1u << 30);
    for (u32 i = 0; i < series; i++)
        buf_printf(
            &w.page,
            "http_requests_total{method=\"GET\",handler=\"/api/v1/query\",code=\"200\",shard=\"%u\"} %u\n", i,
            i * 7);
    PromConfig *cfg = prom_config_read_text(
        vfs_os(), "p.yml",
        S("scrape_configs: [{job_name: j, scrape_interval: 10s, static_configs: [{targets: ['h:1']}]}]"));
    CollectorEnv env = {.loop = w.loop, .fetch = {send_call, cancel_call, &w}, .sink = &w.sink};
    Collector *c = collector_new(&env);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    collector_apply(c, cfg);
    f64 cold = 0, start = 0;
    for (u32 i = 0; i <= rounds; i++) {
        f64 from = cpu_seconds();
        u64 had = w.samples;
        while (w.samples == had) {
            virtual_clock_advance(&clock, 10 * NS_PER_SEC);
            for (int k = 0; k < 4; k++)
                loop_run_once(w.loop, 0);
        }
        if (i == 0) {
            cold = cpu_seconds() - from;
            start = cpu_seconds();
        }
    }
    f64 warm = (cpu_seconds() - start) / rounds;
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    printf("series %u: cold %.0f ns, warm %.1f ns per sample, cache %.0f bytes per series\n", series,
           cold / series * 1e9, warm / series * 1e9, (f64)(after - before) / series);
    collector_free(c);
    prom_config_unref(cfg);
    loop_free(w.loop);
    buf_done(&w.page);
    return 0;
}
