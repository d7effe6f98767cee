/* Shared by the engine's tests: opening on a directory, writing single samples, reading a selector back as text. */
#pragma once
#include "test.h"
#include "metrics/metrics.h"

typedef struct Bench {
    char dir[256];
    VirtualClock clock;
    MetricsConfig c;
    MetricsEngine *e;
} Bench;

#define BENCH_NOW_MS 1700000000000LL

static inline void bench_open(Bench *b)
{
    Why why = {0};
    assert_ok(metrics_open(&b->e, &b->c, &why), &why);
}

static inline void bench_init(Bench *b)
{
    *b = (Bench){0};
    test_dir(b->dir);
    virtual_clock_init(&b->clock, BENCH_NOW_MS * 1000000);
    b->c = (MetricsConfig){.vfs = vfs_os(),
                           .clock = &b->clock.clock,
                           .dir = b->dir,
                           .out_of_order_ms = -1,
                           .shards = 2,
                           .durability = DURABLE_PROCESS};
}

static inline void bench_reopen(Bench *b)
{
    metrics_abandon(b->e);
    bench_open(b);
}

static inline void bench_done(Bench *b)
{
    if (b->e)
        metrics_abandon(b->e);
    vfs_remove_tree(vfs_os(), b->dir, NULL);
}

/* "name{a=b,c=d}" without quotes, names sorted by the caller; __name__ first. Borrowed from text, which must live on. */
static inline Labels bench_labels(const char *text, Label *out)
{
    u32 n = 0;
    Str s = str_c(text), name, rest;
    str_cut(s, '{', &name, &rest);
    if (name.len)
        out[n++] = (Label){LABEL_NAME, name};
    if (rest.len)
        rest.len--;
    while (rest.len) {
        Str pair, key, value;
        str_cut(rest, ',', &pair, &rest);
        str_cut(pair, '=', &key, &value);
        out[n++] = (Label){key, value};
    }
    return (Labels){out, n};
}

static inline SinkResult bench_put_as(Bench *b, Str tenant, const char *series, i64 t, f64 v)
{
    Label l[16];
    Sample s = {t, v};
    SeriesItem item = {.labels = bench_labels(series, l), .samples = &s, .samples_len = 1};
    SampleBatch batch = {.tenant = tenant, .series = &item, .series_len = 1};
    SinkResult r;
    SampleSink *sink = metrics_sink(b->e);
    sink->write(sink, &batch, NULL, &r);
    return r;
}
static inline SinkResult bench_put(Bench *b, const char *series, i64 t, f64 v)
{
    return bench_put_as(b, S("x"), series, t, v);
}

static int bench_line_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every selected series as "labels t:v t:v\n", lines sorted. matchers: triples name, op, value ended by NULL. */
static inline const char *bench_get_as(Bench *b, Str tenant, i64 mint, i64 maxt, const char *const *triples)
{
    static char text[1 << 20];
    Why why = {0};
    Matcher m[8];
    u32 n = 0;
    for (; triples && triples[3 * n]; n++) {
        const char *op = triples[3 * n + 1];
        MatchOp o = strcmp(op, "=") == 0    ? MATCH_EQ
                    : strcmp(op, "!=") == 0 ? MATCH_NE
                    : strcmp(op, "=~") == 0 ? MATCH_RE
                                            : MATCH_NRE;
        assert_ok(matcher_init(&m[n], o, str_c(triples[3 * n]), str_c(triples[3 * n + 2]), &why), &why);
    }
    Arena arena;
    arena_init(&arena, NULL, 0);
    PromSource *src = metrics_source(b->e);
    SelectHints h = {.mint = mint, .maxt = maxt};
    SeriesCursor *cur;
    assert_ok(src->select(src, tenant, (Matchers){m, n}, &h, &arena, NULL, &cur, &why), &why);
    char *lines[1000];
    u32 lines_len = 0;
    SeriesView views[7];
    u32 got;
    for (;;) {
        assert_ok(cur->next(cur, views, 7, &got, &why), &why);
        if (!got)
            break;
        for (u32 i = 0; i < got; i++) {
            Buf line;
            buf_init(&line, 1 << 18);
            labels_print(&line, views[i].labels);
            for (u32 k = 0; k < views[i].n; k++)
                if (views[i].h && views[i].h[k])
                    buf_printf(&line, " %lld:h%g", (long long)views[i].t[k], views[i].h[k]->count);
                else
                    buf_printf(&line, " %lld:%g", (long long)views[i].t[k], views[i].v[k]);
            assert_true(lines_len < 1000);
            lines[lines_len++] = mem_strdup(buf_view(&line));
            buf_done(&line);
        }
    }
    cur->close(cur);
    qsort(lines, lines_len, sizeof(char *), bench_line_order);
    size_t at = 0;
    text[0] = 0;
    for (u32 i = 0; i < lines_len; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s\n", lines[i]);
        mem_free(lines[i]);
    }
    for (u32 i = 0; i < n; i++)
        matcher_done(&m[i]);
    arena_done(&arena);
    return text;
}
static inline const char *bench_get(Bench *b, i64 mint, i64 maxt, const char *const *triples)
{
    return bench_get_as(b, S("x"), mint, maxt, triples);
}
#define GET(b, mint, maxt, ...)                                                                              \
    bench_get(b, mint, maxt, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define GET_ALL(b, ...) GET(b, INT64_MIN, INT64_MAX __VA_OPT__(, ) __VA_ARGS__)
