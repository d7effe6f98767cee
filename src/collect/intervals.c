/* prometheus_target_interval_length_seconds: the distance of scrapes, as quantiles over the last 256 of each interval. */
#include "collect/collector.h"
#include <stdio.h>

static const char *const quantile_names[5] = {"0.01", "0.05", "0.5", "0.9", "0.99"};
static const f64 quantile_values[5] = {0.01, 0.05, 0.5, 0.9, 0.99};

static IntervalStats *stats_new(Collector *c, i64 interval_ms)
{
    static const char help[] = "Actual intervals between scrapes.";
    IntervalStats *s = mem_new(IntervalStats);
    char labels[128];
    Buf text;
    buf_init(&text, 64);
    print_duration_ms(&text, interval_ms);
    s->interval_ms = interval_ms;
    for (int i = 0; i < 5; i++) {
        snprintf(labels, sizeof labels, "interval=\"%s\",quantile=\"%s\"", buf_cstr(&text),
                 quantile_names[i]);
        s->quantiles[i] = metric_gauge("prometheus_target_interval_length_seconds", help, labels);
    }
    snprintf(labels, sizeof labels, "interval=\"%s\"", buf_cstr(&text));
    s->sum_metric = metric_counter("prometheus_target_interval_length_seconds_sum", help, labels);
    s->count_metric = metric_counter("prometheus_target_interval_length_seconds_count", help, labels);
    buf_done(&text);
    vec_push(&c->intervals, s);
    return s;
}

void interval_observe(Collector *c, i64 interval_ms, f64 seconds)
{
    IntervalStats *s = NULL;
    for (size_t i = 0; i < c->intervals.len; i++)
        if (c->intervals.at[i]->interval_ms == interval_ms)
            s = c->intervals.at[i];
    if (!s)
        s = stats_new(c, interval_ms);
    s->ring[s->ring_at] = seconds;
    s->ring_at = (s->ring_at + 1) % COUNT_OF(s->ring);
    s->ring_len = MIN(s->ring_len + 1, (u32)COUNT_OF(s->ring));
    s->count++;
    s->sum += seconds;
}

static int f64_order(const void *a, const void *b)
{
    f64 x = *(const f64 *)a, y = *(const f64 *)b;
    return x < y ? -1 : x > y;
}

void intervals_render(void *arg)
{
    Collector *c = arg;
    mutex_lock(&c->lock);
    for (size_t i = 0; i < c->intervals.len; i++) {
        IntervalStats *s = c->intervals.at[i];
        f64 sorted[COUNT_OF(s->ring)];
        memcpy(sorted, s->ring, s->ring_len * sizeof *sorted);
        qsort(sorted, s->ring_len, sizeof *sorted, f64_order);
        for (int q = 0; q < 5; q++)
            metric_set(s->quantiles[q], sorted[(u32)(quantile_values[q] * (s->ring_len - 1) + 0.5)]);
        metric_set(s->sum_metric, s->sum);
        metric_set(s->count_metric, (f64)s->count);
    }
    mutex_unlock(&c->lock);
}
