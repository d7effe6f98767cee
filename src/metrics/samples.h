/* Samples of one series on their way out of memtables and parts: three parallel arrays, reused from series to series.
 *
 * Sources append in order of their age (older parts first, memtable last); samples_settle then sorts by time and lets the
 * later write win, which costs one comparison per sample when nothing overlaps.
 */
#pragma once
#include "model/model.h"

typedef struct SampleVec {
    i64 *t;
    f64 *v; /* meaningless where h[i].at */
    Str *h; /* histogram blobs (borrowed), at NULL = float; allocated only when has_hist */
    u32 len, cap;
    bool has_hist;
    Account *account; /* may be NULL */
    size_t charged;
    bool over; /* the account refused: samples are missing, give up with E_LIMIT */
} SampleVec;

void samples_done(SampleVec *s);
static inline void samples_clear(SampleVec *s)
{
    s->len = 0;
    s->has_hist = false;
}
/* Room for n more in all arrays; false (and over) past the account's limit. */
bool samples_reserve(SampleVec *s, u32 n);
void samples_need_hist(SampleVec *s); /* from here on h is there; earlier ones are floats */
/* From index `from` on: ascending by time, one per time, the last written wins. True: they were like that already. */
bool samples_settle(SampleVec *s, u32 from);
/* Removes samples of [mint, maxt] from index `from` on. */
void samples_cut(SampleVec *s, u32 from, i64 mint, i64 maxt);
