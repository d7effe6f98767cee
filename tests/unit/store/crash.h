/* Common to the store's crash tests: a disk, what was acknowledged at which moment, and dice. */
#pragma once
#include "test.h"

#include "simfs.h"
#include "store/store.h"

/* A promise: `what` was acknowledged when the disk had seen `ops` changes. */
typedef struct Ack {
    u64 ops;
    u64 what;
} Ack;

static inline u64 dice(u64 *state, u64 n)
{
    *state = hash_bytes(state, sizeof *state, 3);
    return *state % n;
}

/* For turn 0, 1, 2 ... a place and a way to cut, spread over all ops and ways; the very end is among them. */
static inline SimFs *cut_number(SimFs *fs, u32 turn, u64 seed, u64 *ret_at)
{
    u64 state = seed + turn, ops = simfs_ops(fs);
    *ret_at = turn < SIM_CUTS ? ops : dice(&state, ops + 1);
    return simfs_cut(fs, *ret_at, (SimCut)(turn % SIM_CUTS), state);
}
/* PHAROS_CUTS=n asks for n cuts instead: the same test, for a night. */
static inline u32 cuts_wanted(u32 normally)
{
    const char *s = getenv("PHAROS_CUTS");
    return s && atoi(s) > 0 ? (u32)atoi(s) : normally;
}

/* Runs `scenario` with every single call failing in turn, in each way, until no fault fires any more; then looks at what is on
 * disk when the process was killed, and when the power failed. Returns the number of runs. */
typedef struct FaultLoop {
    void *(*scenario)(SimFs *fs); /* gives back what it was promised */
    u32 (*violations)(SimFs *after, void *promised, u64 at_op);
    void (*forget)(void *promised);
    u32 stride; /* 0 = every call; otherwise every stride-th, for long scenarios */
} FaultLoop;

static inline u32 fault_loop(const FaultLoop *l)
{
    static const struct {
        Err e;
        int flags;
    } kinds[] = {{E_IO, 0},
                 {E_IO, SIM_FOR_EVER},
                 {E_IO, SIM_SHORT},
                 {E_NOSPACE, 0},
                 {E_NOSPACE, SIM_FOR_EVER},
                 {E_NOSPACE, SIM_SHORT},
                 {E_NOSPACE, SIM_SHORT | SIM_FOR_EVER}};
    u32 runs = 0;
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        bool fired = true;
        for (u64 n = 1; fired; n += MAX(l->stride, 1u), runs++) {
            SimFs *fs = simfs_new();
            simfs_fail(fs, n, kinds[k].e, kinds[k].flags);
            void *promised = l->scenario(fs);
            fired = simfs_fired(fs);
            simfs_fail(fs, 0, OK, 0);
            u64 ops = simfs_ops(fs);
            for (u32 how = 0; how < 3; how++) {
                SimFs *after = simfs_cut(fs, ops, (SimCut[]){SIM_KEEP, SIM_LOSE, SIM_REORDER}[how], n);
                u32 bad = l->violations(after, promised, ops);
                if (bad)
                    fail_msg("fault %s (flags %d) at call %llu: %u promises broken", err_name(kinds[k].e),
                             kinds[k].flags, (unsigned long long)n, bad);
                simfs_free(after);
            }
            l->forget(promised);
            simfs_free(fs);
        }
    }
    return runs;
}
