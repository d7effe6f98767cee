/* Writers, readers, flushes, merges, deletes and figures at once; meant for ThreadSanitizer, true without it too: what was
 * acknowledged is there, and a reader sees each series ascending and complete up to what was acknowledged before it asked. */
#include "engine_help.h"
#include <pthread.h>
#include <unistd.h>

enum { WRITERS = 3, READERS = 2, SERIES = 40, ROUNDS = 120 };

typedef struct Shared {
    Bench b;
    _Atomic u32 acked[WRITERS]; /* rounds */
    _Atomic bool is_over;
    _Atomic u32 reads;
} Shared;

static void *write_some(void *arg)
{
    Shared *s = *(Shared **)arg;
    u32 me = (u32)(uintptr_t)((void **)arg)[1];
    static char names[WRITERS][SERIES][48];
    Label labels[SERIES][8];
    u64 hints[SERIES] = {0};
    SampleSink *sink = metrics_sink(s->b.e);
    for (u32 i = 0; i < SERIES; i++)
        snprintf(names[me][i], 48, "m{i=%u,instance=%u,w=%u}", i, i / 8, me);
    for (u32 round = 0; round < ROUNDS; round++) {
        SeriesItem items[SERIES] = {0};
        Sample samples[SERIES];
        for (u32 i = 0; i < SERIES; i++) {
            samples[i] = (Sample){BENCH_NOW_MS + round * 1000, round};
            items[i] = (SeriesItem){.labels = bench_labels(names[me][i], labels[i]),
                                    .hint = hints[i],
                                    .samples = &samples[i],
                                    .samples_len = 1};
        }
        SampleBatch batch = {.tenant = S("x"), .series = items, .series_len = SERIES, .from_self = me == 0};
        SinkResult r;
        sink->write(sink, &batch, hints, &r);
        if (r.err != OK)
            fail_msg("%s", r.why.text);
        s->acked[me] = round + 1;
    }
    return NULL;
}

static void *read_some(void *arg)
{
    Shared *s = arg;
    while (!s->is_over) {
        u32 before[WRITERS];
        for (u32 i = 0; i < WRITERS; i++)
            before[i] = s->acked[i];
        Arena a;
        arena_init(&a, NULL, 0);
        Why why = {0};
        PromSource *src = metrics_source(s->b.e);
        SelectHints h = {.mint = INT64_MIN, .maxt = INT64_MAX};
        SeriesCursor *c;
        Matcher m = {.name = S("__name__"), .value = S("m"), .op = MATCH_EQ};
        assert_ok(src->select(src, S("x"), (Matchers){&m, 1}, &h, &a, NULL, &c, &why), &why);
        SeriesView v[16];
        u32 n;
        do {
            assert_ok(c->next(c, v, 16, &n, &why), &why);
            for (u32 i = 0; i < n; i++) {
                u64 w = 99;
                parse_u64(labels_get(v[i].labels, S("w")), &w);
                assert_true(w < WRITERS && v[i].n >= before[w]);
                for (u32 k = 0; k < v[i].n; k++)
                    assert_true(v[i].t[k] == BENCH_NOW_MS + (i64)k * 1000 && v[i].v[k] == k);
            }
        } while (n);
        c->close(c);
        Buf out;
        buf_init(&out, 1 << 20);
        metrics_render(&out);
        buf_done(&out);
        arena_done(&a);
        s->reads++;
    }
    return NULL;
}

static void *disturb(void *arg)
{
    Shared *s = arg;
    Why why = {0};
    for (u32 i = 0; !s->is_over; i++) {
        assert_ok(metrics_flush(s->b.e, &why), &why);
        if (i % 4 == 0)
            assert_ok(metrics_merge_all(s->b.e, &why), &why);
        Matcher m = {.name = S("w"), .value = S("none"), .op = MATCH_EQ};
        assert_ok(metrics_delete(s->b.e, S("x"), (Matchers){&m, 1}, 0, INT64_MAX, &why), &why);
        bench_put_as(&s->b, S("y"), "other", BENCH_NOW_MS + i, i);
        char gone[48]; /* is deleted above, forgotten by merges, and comes again */
        snprintf(gone, sizeof gone, "gone{i=%u,w=none}", i % 7);
        bench_put_as(&s->b, S("x"), gone, BENCH_NOW_MS + i, i);
        usleep(2000);
    }
    return NULL;
}

static void test_all_at_once(void **state)
{
    static Shared s;
    bench_init(&s.b);
    bench_open(&s.b);
    pthread_t w[WRITERS], r[READERS], d;
    void *args[WRITERS][2];
    for (u32 i = 0; i < WRITERS; i++) {
        args[i][0] = &s;
        args[i][1] = (void *)(uintptr_t)i;
        assert_int_equal(thread_start(&w[i], "writer", write_some, args[i]), OK);
    }
    for (u32 i = 0; i < READERS; i++)
        assert_int_equal(thread_start(&r[i], "reader", read_some, &s), OK);
    assert_int_equal(thread_start(&d, "disturb", disturb, &s), OK);
    for (u32 i = 0; i < WRITERS; i++)
        pthread_join(w[i], NULL);
    while (s.reads < 3)
        usleep(1000);
    s.is_over = true;
    for (u32 i = 0; i < READERS; i++)
        pthread_join(r[i], NULL);
    pthread_join(d, NULL);
    for (u32 round = 0; round < 2; round++) {
        const char *got = GET_ALL(&s.b, "i", "=", "7");
        u32 lines = 0;
        for (const char *p = got; (p = strchr(p, '\n')); p++)
            lines++;
        assert_int_equal(lines, WRITERS);
        assert_non_null(strstr(got, ":119\n"));
        bench_reopen(&s.b);
    }
    bench_done(&s.b);
}

int main(void)
{
    log_set_level(LOG_LEVEL_WARN);
    const struct CMUnitTest all[] = {cmocka_unit_test(test_all_at_once)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
