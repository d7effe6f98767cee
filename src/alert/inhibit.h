/* inhibit: which alert keeps which quiet. All calls under the alerter's lock. */
#pragma once
#include "alert/state.h"

typedef struct InhibitSource {
    const StoredAlert *alert; /* NULL: free */
    u32 next;                 /* index + 1: the next with the same hash, or the next free one */
} InhibitSource;
typedef struct InhibitSources { /* of one rule */
    U64Map first;               /* hash of the equal labels -> index + 1 */
    VEC(InhibitSource) all;
    u32 free;
} InhibitSources;
typedef struct Inhibitor {
    const InhibitRule *rules;
    u32 len;
    InhibitSources *sources;
} Inhibitor;
void inhibitor_apply(Inhibitor *h, const InhibitRule *rules, u32 n); /* then add every alert again */
void inhibitor_done(Inhibitor *h);
void inhibitor_add(Inhibitor *h, const StoredAlert *x); /* a new alert */
void inhibitor_del(Inhibitor *h, const StoredAlert *x); /* before it is freed */
/* A firing alert that inhibits, by the first rule that applies; NULL = none. */
const StoredAlert *inhibitor_find(const Inhibitor *h, Labels alert, i64 now_ns, const InhibitRule **ret_rule);
