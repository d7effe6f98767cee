/* The whole with real sockets and threads: an HTTP server, the client, the collector with a pool, reloads while scrapes run. Waits
 * for what must happen, with no opinion on how fast. Meant for the thread sanitizer, too. */
#include "test.h"
#include "collect/collect.h"
#include <unistd.h>

typedef struct CountSink {
    SampleSink sink;
    Mutex lock;
    u64 up, down, samples, stale, big;
} CountSink;

static void count_write(SampleSink *s, const SampleBatch *b, u64 *hints, SinkResult *ret)
{
    CountSink *c = (CountSink *)s;
    *ret = (SinkResult){0};
    assert_int_equal(b->row.len, 0); /* no hints were given: everything comes with its labels */
    mutex_lock(&c->lock);
    for (u32 i = 0; i < b->series_len; i++) {
        const SeriesItem *item = &b->series[i];
        bool is_up = str_eq(labels_get(item->labels, LABEL_NAME), S("up"));
        hints[i] = 0;
        if (item->samples_len && is_stale(item->samples[0].v))
            c->stale++;
        else if (is_up && item->samples[0].v == 1)
            c->up++;
        else if (is_up)
            c->down++;
        c->big += str_starts(labels_get(item->labels, LABEL_NAME), S("big"));
        c->samples += item->samples_len;
        ret->samples_ok += item->samples_len;
    }
    mutex_unlock(&c->lock);
}

static void on_metrics(HttpReq *r, void *arg)
{
    Buf page;
    buf_init(&page, 4u << 20);
    for (int i = 0; i < 2000; i++)
        buf_printf(&page, "big_metric{index=\"%d\",text=\"some longer label value\"} %d\n", i, i);
    http_reply(r, 200, "text/plain; version=0.0.4", buf_view(&page));
    buf_done(&page);
}
static void on_broken(HttpReq *r, void *arg)
{
    http_reply(r, 200, "text/plain", S("a 1\nb{ 2\n"));
}

static void *loop_thread(void *arg)
{
    loop_run(arg);
    return NULL;
}

static PromConfig *config_of(Str address, const char *more)
{
    char text[2048];
    Why why;
    snprintf(text, sizeof text,
             "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\nscrape_configs:\n- {job_name: ok, "
             "static_configs: [{targets: ['%.*s']}]}\n"
             "- {job_name: broken, metrics_path: /broken, static_configs: [{targets: ['%.*s']}]}\n"
             "- {job_name: nobody, static_configs: [{targets: ['127.0.0.1:1']}]}\n%s",
             STR_FMT(address), STR_FMT(address), more);
    PromConfig *p = prom_config_read_text(vfs_os(), "p.yml", str_c(text));
    assert_ok(prom_config_verdict(p, &why), &why);
    return p;
}

static u64 get(CountSink *s, u64 *field)
{
    mutex_lock(&s->lock);
    u64 v = *field;
    mutex_unlock(&s->lock);
    return v;
}

static void wait_more(CountSink *s, u64 *field, u64 more)
{
    u64 want = get(s, field) + more;
    for (int i = 0; i < 60000 && get(s, field) < want; i++)
        usleep(1000);
    assert_true(get(s, field) >= want);
}

static void test_live(void **state)
{
    static const HttpRoute routes[] = {
        {.methods = "GET", .path = "/metrics", .handler = on_metrics, .run = RUN_QUERY},
        {.methods = "GET", .path = "/broken", .handler = on_broken, .run = RUN_QUERY},
    };
    Loop *loop = loop_new(clock_real());
    Pool *pool = pool_new("test", 2, 1000);
    HttpServer *server;
    HttpServerConfig sc = {
        .loop = loop, .component = "test", .address = S("127.0.0.1:0"), .pools = {NULL, pool, pool, pool}};
    CountSink sink = {.sink.write = count_write};
    pthread_t thread;
    Why why;
    mutex_init(&sink.lock, RANK_LEAF);
    assert_ok(http_server_new(&sc, &server, &why), &why);
    http_server_route(server, routes, COUNT_OF(routes));
    http_server_start(server);
    HttpClient *client = http_client_new(loop, NULL);
    CollectorEnv env = {.loop = loop, .pool = pool, .fetch = fetcher_of(client), .sink = &sink.sink};
    Collector *c = collector_new(&env);
    collect_routes(server, c);
    char address[64];
    snprintf(address, sizeof address, "%.*s", STR_FMT(http_server_address(server)));
    PromConfig *cfg = config_of(str_c(address), "");
    collector_apply(c, cfg); /* before the loop runs, or once it does: not while its thread is starting */
    assert_ok(thread_start(&thread, "loop", loop_thread, loop), &why);
    wait_more(&sink, &sink.up, 3);
    wait_more(&sink, &sink.down, 3);
    wait_more(&sink, &sink.big, 4000);
    for (int i = 0; i < 10; i++) {
        PromConfig *next = config_of(
            str_c(address),
            i & 1 ? ""
                  : "- {job_name: more, metric_relabel_configs: [{action: labeldrop, regex: text}], "
                    "static_configs: [{targets: ['localhost:1', '127.0.0.1:1']}]}\n");
        collector_apply(c, next);
        prom_config_unref(cfg);
        cfg = next;
        Buf out;
        buf_init(&out, 1u << 20);
        collector_targets_json(c, true, true, S(""), &out);
        assert_false(buf_over(&out));
        buf_done(&out);
        usleep(30000);
    }
    wait_more(&sink, &sink.up, 3);
    TargetStatus s;
    assert_true(collector_target_status(c, S("broken"), str_c(address), &s));
    assert_int_equal(s.health, HEALTH_DOWN);
    assert_non_null(strstr(s.last_error, "line 2, column"));
    assert_true(collector_target_status(c, S("ok"), str_c(address), &s));
    assert_int_equal(s.cached_series, 2000);
    collector_free(c);
    prom_config_unref(cfg);
    loop_stop(loop);
    pthread_join(thread, NULL);
    http_client_free(client);
    http_server_free(server);
    pool_free(pool);
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 0);
    loop_free(loop);
    mutex_done(&sink.lock);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_live)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
