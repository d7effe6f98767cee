/* Doubles for scraping tests: pages by URL without sockets, a sink that remembers, a virtual clock that drives the loop. */
#pragma once
#include "test.h"
#include "collect/collect.h"

typedef struct FakePage {
    const char *match; /* part of the URL */
    int status;
    const char *type; /* Content-Type; NULL = none */
    const char *body;
    Err err;
    const char *why;
    i64 delay_ms;
} FakePage;

typedef struct FakeCall {
    struct FakeWorld *w;
    void (*done)(void *arg, const HttpResult *r);
    void *arg;
    FakePage page;
    u64 body_max;
    Timer timer;
    bool is_canceled;
} FakeCall;

typedef struct StoredSample {
    Str series; /* printed */
    i64 t;
    f64 v;
    bool is_hist;
    u64 hint_in;
} StoredSample;

typedef struct FakeWorld {
    SampleSink sink; /* first: cast */
    VirtualClock clock;
    Loop *loop;
    FakePage pages[16];
    u32 pages_len, calls;
    char last_url[512], last_headers[2048];
    Arena arena;
    VEC(StoredSample) stored;
    VEC(MetadataItem) metadata;
    u64 batches, hinted, exemplars;
    Err sink_err;
    VEC(Labels) known; /* by hint - 1 */
    u64 forgotten;     /* hints up to here are no longer known */
    bool gives_no_hints;
} FakeWorld;

static bool fake_labels(SampleSink *s, Str tenant, u64 hint, Arena *arena, Labels *ret)
{
    FakeWorld *w = (FakeWorld *)s;
    if (hint <= w->forgotten)
        return false;
    assert_true(hint <= w->known.len);
    *ret = labels_dup(arena, w->known.at[hint - 1]);
    return true;
}

static u64 fake_hint(FakeWorld *w, Labels l)
{
    for (size_t i = w->forgotten; i < w->known.len; i++)
        if (labels_eq(w->known.at[i], l))
            return i + 1;
    vec_push(&w->known, labels_dup(&w->arena, l));
    return w->known.len;
}

/* The row as items, which is what it means. */
static SampleBatch fake_unroll(FakeWorld *w, const SampleBatch *b, Arena *a)
{
    SeriesItem *items = arena_array(a, SeriesItem, b->row.len + b->series_len + 1);
    Sample *samples = arena_array(a, Sample, b->row.len + 1);
    for (u32 i = 0; i < b->row.len; i++) {
        assert_true(b->row.hints[i] != 0);
        samples[i] = (Sample){b->row.t, b->row.values[i]};
        items[i] = (SeriesItem){.hint = b->row.hints[i], .samples = &samples[i], .samples_len = 1};
    }
    if (b->series_len)
        memcpy(items + b->row.len, b->series, b->series_len * sizeof *items);
    SampleBatch all = *b;
    all.series = items;
    all.series_len += b->row.len;
    return all;
}

static void fake_write(SampleSink *s, const SampleBatch *b, u64 *hints, SinkResult *ret)
{
    FakeWorld *w = (FakeWorld *)s;
    *ret = (SinkResult){0};
    w->batches++;
    assert_true(b->from_self);
    if (w->sink_err) {
        ret->err = w->sink_err;
        snprintf(ret->why.text, sizeof ret->why.text, "the disk is full");
        return;
    }
    Arena arena;
    arena_init(&arena, NULL, 0);
    SampleBatch all = fake_unroll(w, b, &arena);
    for (u32 i = 0; i < all.series_len; i++) {
        SeriesItem filled = all.series[i], *item = &filled;
        if (item->hint && !item->labels.len &&
            !fake_labels(s, b->tenant, item->hint, &arena, &item->labels)) {
            ret->unknown += item->samples_len;
            continue;
        }
        Buf text;
        buf_init(&text, 4096);
        labels_print(&text, item->labels);
        for (u32 k = 1; k < item->labels.len; k++)
            assert_true(str_cmp(item->labels.at[k - 1].name, item->labels.at[k].name) < 0);
        Str series = arena_dup(&w->arena, buf_view(&text));
        buf_done(&text);
        u64 own = w->gives_no_hints ? 0 : fake_hint(w, item->labels);
        if (item->hint) {
            assert_true(item->hint == own);
            w->hinted++;
        }
        if (hints && i >= b->row.len)
            hints[i - b->row.len] = own;
        for (u32 k = 0; k < item->samples_len; k++)
            vec_push(&w->stored,
                     (StoredSample){series, item->samples[k].t, item->samples[k].v, false, item->hint});
        for (u32 k = 0; k < item->hists_len; k++)
            vec_push(&w->stored,
                     (StoredSample){series, item->hist_t[k], item->hists[k]->count, true, item->hint});
        w->exemplars += item->exemplars_len;
        ret->samples_ok += item->samples_len;
        ret->histograms_ok += item->hists_len;
    }
    arena_done(&arena);
    for (u32 i = 0; i < b->metadata_len; i++)
        vec_push(&w->metadata,
                 (MetadataItem){arena_dup(&w->arena, b->metadata[i].family),
                                arena_dup(&w->arena, b->metadata[i].help),
                                arena_dup(&w->arena, b->metadata[i].unit), b->metadata[i].type});
}

static void fake_answer(void *arg)
{
    FakeCall *call = arg;
    HttpResult r = {.status = call->page.status};
    HttpHeader h = {S("Content-Type"), str_c(call->page.type)};
    if (call->is_canceled)
        r.err = E_CANCELED;
    else if (call->page.err) {
        r.err = call->page.err;
        snprintf(r.why.text, sizeof r.why.text, "%s", call->page.why);
    } else if (call->page.body && call->body_max && strlen(call->page.body) > call->body_max) {
        r.err = E_TOO_LARGE;
    }
    r.body = str_c(call->page.body);
    r.headers = &h;
    r.headers_len = call->page.type ? 1 : 0;
    call->done(call->arg, &r);
    mem_free(call);
}

static HttpCallHandle *fake_send(void *arg, const HttpCall *c, void (*done)(void *, const HttpResult *),
                                 void *done_arg)
{
    FakeWorld *w = arg;
    FakeCall *call = mem_new(FakeCall);
    call->w = w;
    call->done = done;
    call->arg = done_arg;
    call->body_max = c->body_max;
    call->page = (FakePage){.err = E_UNAVAILABLE, .why = "connection refused"};
    w->calls++;
    snprintf(w->last_url, sizeof w->last_url, "%.*s", STR_FMT(c->url));
    w->last_headers[0] = 0;
    for (u32 i = 0; i < c->headers_len; i++)
        snprintf(w->last_headers + strlen(w->last_headers), sizeof w->last_headers - strlen(w->last_headers),
                 "%.*s: %.*s\n", STR_FMT(c->headers[i].name), STR_FMT(c->headers[i].value));
    for (u32 i = 0; i < w->pages_len; i++)
        if (strstr(w->last_url, w->pages[i].match)) {
            call->page = w->pages[i];
            break;
        }
    timer_init(&call->timer, fake_answer, call);
    timer_start_in_ms(w->loop, &call->timer, call->page.delay_ms);
    return (HttpCallHandle *)call;
}

static void fake_cancel(void *arg, HttpCallHandle *h)
{
    FakeCall *call = (FakeCall *)h;
    call->is_canceled = true;
    timer_start(call->w->loop, &call->timer, 0);
}

static inline void fake_init(FakeWorld *w, i64 wall_ms)
{
    *w = (FakeWorld){0};
    w->sink.write = fake_write;
    w->sink.labels = fake_labels;
    virtual_clock_init(&w->clock, wall_ms * NS_PER_MS);
    w->loop = loop_new(&w->clock.clock);
    arena_init(&w->arena, NULL, 0);
}

static inline Fetcher fake_fetcher(FakeWorld *w)
{
    return (Fetcher){fake_send, fake_cancel, w};
}

static inline Collector *fake_collector(FakeWorld *w)
{
    CollectorEnv env = {.loop = w->loop,
                        .fetch = fake_fetcher(w),
                        .sink = &w->sink,
                        .tenant = S("t"),
                        .external_host = S("me:9090")};
    return collector_new(&env);
}

static inline void fake_page(FakeWorld *w, const char *match, const char *body)
{
    for (u32 i = 0; i < w->pages_len; i++)
        if (strcmp(w->pages[i].match, match) == 0) {
            w->pages[i] =
                (FakePage){.match = match, .status = 200, .type = "text/plain; version=0.0.4", .body = body};
            return;
        }
    w->pages[w->pages_len++] =
        (FakePage){.match = match, .status = 200, .type = "text/plain; version=0.0.4", .body = body};
}

static inline void fake_run(FakeWorld *w, i64 ms, i64 step_ms)
{
    for (i64 done = 0; done <= ms; done += step_ms) {
        for (int i = 0; i < 3; i++)
            loop_run_once(w->loop, 0);
        if (done < ms)
            virtual_clock_advance(&w->clock, step_ms * NS_PER_MS);
    }
    for (int i = 0; i < 3; i++)
        loop_run_once(w->loop, 0);
}

static inline void fake_forget(FakeWorld *w)
{
    w->stored.len = w->metadata.len = 0;
    w->hinted = w->batches = w->exemplars = 0;
}

static inline void fake_done(FakeWorld *w)
{
    for (int i = 0; i < 5; i++)
        loop_run_once(w->loop, 0);
    loop_free(w->loop);
    vec_done(&w->known);
    vec_done(&w->stored);
    vec_done(&w->metadata);
    arena_done(&w->arena);
}

/* Samples of one series; the last one in ret. */
static inline u32 fake_count(FakeWorld *w, const char *series, StoredSample *ret)
{
    u32 n = 0;
    for (size_t i = 0; i < w->stored.len; i++)
        if (str_eq(w->stored.at[i].series, str_c(series))) {
            n++;
            if (ret)
                *ret = w->stored.at[i];
        }
    return n;
}

static inline f64 fake_last(FakeWorld *w, const char *series)
{
    StoredSample s = {.v = -12345};
    if (!fake_count(w, series, &s))
        fail_msg("%s was never stored", series);
    return s.v;
}
