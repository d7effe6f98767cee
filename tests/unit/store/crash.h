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

/* What a test of one store brings along. */
typedef struct CrashTest {
    void *(*scenario)(SimFs *fs); /* gives back what it was promised */
    u32 (*violations)(SimFs *after, void *promised, u64 at_op);
    void (*forget)(void *promised);
    bool (*is_whole)(const void *promised); /* without faults: was everything promised? */
    u64 seed;                               /* of the cuts */
} CrashTest;

static inline u32 broken_cuts(const CrashTest *t, SimFs *fs, void *promised, u32 turns)
{
    u32 broken = 0;
    for (u32 turn = 0; turn < turns; turn++) {
        u64 at;
        SimFs *after = cut_number(fs, turn, t->seed, &at);
        broken += t->violations(after, promised, at) != 0;
        simfs_free(after);
    }
    return broken;
}

/* The power fails at 400 places and ways of one run: no promise may break. */
static inline void check_power_cuts(const CrashTest *t)
{
    SimFs *fs = simfs_new();
    void *promised = t->scenario(fs);
    assert_true(t->is_whole(promised));
    assert_int_equal(broken_cuts(t, fs, promised, cuts_wanted(400)), 0);
    t->forget(promised);
    simfs_free(fs);
}

/* The test's own test: on a disk that ignores syncs, promises do break. */
static inline void check_ignored_syncs_are_noticed(const CrashTest *t)
{
    SimFs *fs = simfs_new();
    simfs_ignore_sync(fs, true);
    void *promised = t->scenario(fs);
    assert_true(broken_cuts(t, fs, promised, 50) > 10);
    t->forget(promised);
    simfs_free(fs);
}

/* Runs the scenario with every single call failing in turn, in each way, until no fault fires any more; then looks at what is on
 * disk when the process was killed, and when the power failed. With a stride above 1 every stride-th call, for long scenarios. */

static inline void check_faults(const CrashTest *t, u32 stride)
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
        for (u64 n = 1; fired; n += stride, runs++) {
            SimFs *fs = simfs_new();
            simfs_fail(fs, n, kinds[k].e, kinds[k].flags);
            void *promised = t->scenario(fs);
            fired = simfs_fired(fs);
            simfs_fail(fs, 0, OK, 0);
            u64 ops = simfs_ops(fs);
            for (u32 how = 0; how < 3; how++) {
                SimFs *after = simfs_cut(fs, ops, (SimCut[]){SIM_KEEP, SIM_LOSE, SIM_REORDER}[how], n);
                u32 bad = t->violations(after, promised, ops);
                if (bad)
                    fail_msg("fault %s (flags %d) at call %llu: %u promises broken", err_name(kinds[k].e),
                             kinds[k].flags, (unsigned long long)n, bad);
                simfs_free(after);
            }
            t->forget(promised);
            simfs_free(fs);
        }
    }
    print_message("%u runs with a fault\n", runs);
}
