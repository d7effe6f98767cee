/* See tee.h. */
#include "cmd/tee.h"

/* Taps know no hints: what came without labels gets those that the store knows. Series that it has lost are left out; they
 * come again. */
static bool item_fill(Tee *t, Str tenant, Arena *a, SeriesItem *it)
{
    return it->labels.len ||
           (t->store->labels && t->store->labels(t->store, tenant, it->hint, a, &it->labels));
}

static void batch_fill(Tee *t, SampleBatch *b, Arena *a)
{
    const SampleRow row = b->row;
    u32 n = 0;
    SeriesItem *items = arena_array(a, SeriesItem, row.len + b->series_len + 1);
    Sample *samples = arena_array(a, Sample, row.len + 1);
    for (u32 i = 0; items && samples && i < row.len; i++) {
        samples[i] = (Sample){row.t, row.values[i]};
        items[n] = (SeriesItem){.hint = row.hints[i], .samples = &samples[i], .samples_len = 1};
        n += item_fill(t, b->tenant, a, &items[n]);
    }
    for (u32 i = 0; items && samples && i < b->series_len; i++) {
        items[n] = b->series[i];
        n += item_fill(t, b->tenant, a, &items[n]);
    }
    b->row = (SampleRow){0};
    b->series = items;
    b->series_len = n;
}

static void tee_write(SampleSink *s, const SampleBatch *batch, u64 *ret_hints, SinkResult *ret)
{
    Tee *t = (Tee *)s;
    t->store->write(t->store, batch, ret_hints, ret);
    bool nothing_stored =
        ret->err == E_BUSY || ret->err == E_NOSPACE || ret->err == E_UNAVAILABLE || ret->err == E_IO;
    if (nothing_stored)
        return; /* the client sends it again, to all */
    Arena a;
    arena_init(&a, NULL, 0);
    SampleBatch full = *batch;
    bool wants = false;
    for (u32 i = 0; i < t->taps_len; i++)
        wants |= !t->taps[i]->is_idle || !t->taps[i]->is_idle(t->taps[i]);
    if (wants)
        batch_fill(t, &full, &a);
    if (arena_over(&a)) {
        ret->err = why_set(&ret->why, E_LIMIT, "the batch is too large to be handed on");
        wants = false;
    }
    for (u32 i = 0; wants && i < t->taps_len; i++) {
        SinkResult tap = {0};
        t->taps[i]->write(t->taps[i], &full, NULL, &tap);
        if (tap.err != OK && ret->err == OK) {
            ret->err = tap.err;
            ret->why = tap.why;
        }
    }
    arena_done(&a);
}

static bool tee_labels(SampleSink *s, Str tenant, u64 hint, Arena *arena, Labels *ret)
{
    Tee *t = (Tee *)s;
    return t->store->labels && t->store->labels(t->store, tenant, hint, arena, ret);
}

void tee_init(Tee *t, SampleSink *store)
{
    *t = (Tee){.sink = {tee_write, tee_labels}, .store = store};
}

void tee_add(Tee *t, SampleSink *tap)
{
    check(t->taps_len < TEE_TAPS_MAX);
    t->taps[t->taps_len++] = tap;
}
