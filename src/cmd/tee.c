/* See tee.h. */
#include "cmd/tee.h"

static void tee_write(SampleSink *s, const SampleBatch *batch, u64 *ret_hints, SinkResult *ret)
{
    Tee *t = (Tee *)s;
    t->store->write(t->store, batch, ret_hints, ret);
    bool nothing_stored =
        ret->err == E_BUSY || ret->err == E_NOSPACE || ret->err == E_UNAVAILABLE || ret->err == E_IO;
    if (nothing_stored)
        return; /* the client sends it again, to all */
    for (u32 i = 0; i < t->taps_len; i++) {
        SinkResult tap = {0};
        t->taps[i]->write(t->taps[i], batch, NULL, &tap);
        if (tap.err != OK && ret->err == OK) {
            ret->err = tap.err;
            ret->why = tap.why;
        }
    }
}

void tee_init(Tee *t, SampleSink *store)
{
    *t = (Tee){.sink = {tee_write}, .store = store};
}

void tee_add(Tee *t, SampleSink *tap)
{
    check(t->taps_len < TEE_TAPS_MAX);
    t->taps[t->taps_len++] = tap;
}
