/* What the query engine itself costs: heavy queries over samples that lie decoded in memory, so that storage does not count.
 * Prints CPU milliseconds per query, the best of five. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "metrics/promql/promql.h"

#define INSTANCES 1000
#define MODES     16
#define SAMPLES   120 /* 15 s apart: half an hour */

typedef struct Synthetic {
    PromSource face;
    Labels labels[INSTANCES * MODES];
    i64 t[SAMPLES];
    f64 v[8][SAMPLES]; /* shared by the series, so that the cache is not flattered much nor punished */
} Synthetic;
typedef struct Cursor {
    SeriesCursor face;
    Synthetic *s;
    Matchers m;
    i64 mint, maxt;
    u32 at;
} Cursor;

static Err next(SeriesCursor *face, SeriesView *ret, u32 max, u32 *ret_n, Why *why)
{
    Cursor *c = (Cursor *)face;
    u32 lo = 0, hi = SAMPLES;
    while (lo < hi && c->s->t[lo] < c->mint)
        lo++;
    while (hi > lo && c->s->t[hi - 1] > c->maxt)
        hi--;
    for (*ret_n = 0; *ret_n < max && c->at < INSTANCES * MODES; c->at++)
        ret[(*ret_n)++] = (SeriesView){
            .labels = c->s->labels[c->at], .t = c->s->t + lo, .v = c->s->v[c->at % 8] + lo, .n = hi - lo};
    return OK;
}

static void close_cursor(SeriesCursor *c) {}

static Err select_all(PromSource *face, Str tenant, Matchers m, const SelectHints *h, Arena *arena,
                      Cancel *cancel, SeriesCursor **ret, Why *why)
{
    Cursor *c = arena_new(arena, Cursor);
    *c = (Cursor){{next, close_cursor}, (Synthetic *)face, m, h->mint, h->maxt, 0};
    *ret = &c->face;
    return OK;
}

static void fill(Synthetic *s, Arena *a)
{
    for (u32 i = 0; i < INSTANCES * MODES; i++) {
        Label *l = arena_array(a, Label, 5);
        l[0] = (Label){LABEL_NAME, S("node_cpu_seconds_total")};
        l[1] = (Label){S("cpu"), S("3")};
        l[2] = (Label){S("instance"), arena_printf(a, "host-%04u:9100", i / MODES)};
        l[3] = (Label){S("job"), S("node_exporter")};
        l[4] = (Label){S("mode"), arena_printf(a, "mode%u", i % MODES)};
        s->labels[i] = (Labels){l, 5};
    }
    for (u32 k = 0; k < SAMPLES; k++) {
        s->t[k] = 1000000000000 + k * 15000;
        for (u32 i = 0; i < 8; i++)
            s->v[i][k] = (i + 1) * 1000 + k * (i + 1) * 0.37 - (i == 7 && k > 60 ? 5000 : 0);
    }
    s->face.select = select_all;
}

static f64 cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(void)
{
    static const struct {
        const char *text;
        i64 step;
    } queries[] = {
        {"sum by(mode)(rate(node_cpu_seconds_total[5m]))", 15000},
        {"sum by(instance)(rate(node_cpu_seconds_total[5m]))", 15000},
        {"node_cpu_seconds_total", 15000},
        {"sum(node_cpu_seconds_total)", 15000},
        {"topk(5, rate(node_cpu_seconds_total[5m]))", 15000},
        {"max by(mode)(max_over_time(node_cpu_seconds_total[5m]))", 15000},
        {"avg by(mode)(avg_over_time(node_cpu_seconds_total[5m]))", 15000},
        {"node_cpu_seconds_total / on(instance, mode) node_cpu_seconds_total", 15000},
        {"count(node_cpu_seconds_total > 3000)", 15000},
        {"count(node_cpu_seconds_total)", 0},
        {"sum by(mode)(rate(node_cpu_seconds_total[5m]))", 0},
    };
    Arena a;
    arena_init(&a, NULL, 0);
    Synthetic *s = mem_new(Synthetic);
    fill(s, &a);
    i64 end = s->t[SAMPLES - 1];
    for (u32 i = 0; i < COUNT_OF(queries); i++) {
        f64 best = INFINITY;
        u32 rows = 0;
        for (u32 round = 0; round < 5; round++) {
            Arena out;
            PromResult r;
            Why why;
            PromEngineConfig config = {0};
            bool is_range = queries[i].step != 0;
            PromQuery q = {.text = str_c(queries[i].text),
                           .start_ms = is_range ? end - 900000 : end,
                           .end_ms = end,
                           .step_ms = queries[i].step,
                           .is_range = is_range};
            arena_init(&out, NULL, 0);
            f64 from = cpu_ms();
            if (promql_query(&config, &s->face, &q, &out, &r, &why) != OK) {
                fprintf(stderr, "%s: %s\n", queries[i].text, why.text);
                return 1;
            }
            best = fmin(best, cpu_ms() - from);
            rows = r.series_len;
            arena_done(&out);
        }
        printf("%8.2f ms  %6u series out  %s  %s\n", best, rows, queries[i].step ? "15m/15s" : "instant",
               queries[i].text);
    }
    mem_free(s);
    arena_done(&a);
    return 0;
}
