/* A SampleSink over the store and the taps beside it. The store's answer is the answer; a tap that cannot take a batch makes an
 * acknowledged write fail too, because what a client was told is stored must also be on its way. */
#pragma once
#include "base/base.h"
#include "model/model.h"

enum { TEE_TAPS_MAX = 4 };
typedef struct Tee {
    SampleSink sink; /* first: cast */
    SampleSink *store;
    SampleSink *taps[TEE_TAPS_MAX];
    u32 taps_len;
} Tee;
void tee_init(Tee *t, SampleSink *store);
void tee_add(Tee *t, SampleSink *tap);
