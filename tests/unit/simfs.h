/* A simulated disk for tests: a Vfs in memory that records every change, so that a test can ask what a power cut at any moment
 * would have left, make the n-th call fail, fill the disk, or ignore syncs.
 *
 *     SimFs *fs = simfs_new();
 *     ... run a scenario on simfs_vfs(fs); at each acknowledgement note simfs_ops(fs) ...
 *     for many (op, how, seed):
 *         SimFs *after = simfs_cut(fs, op, how, seed);
 *         ... open on simfs_vfs(after): everything acknowledged at or before `op` must be there ...
 *         simfs_free(after);
 *
 * The disk it simulates is as bad as one may be: file data is durable only after sync of that file, names only after sync_dir
 * of their directory (a rename is atomic and belongs to the directory of its new name); what is not durable may survive or
 * not, in any order, in pieces. A canary belongs beside each such test: with simfs_ignore_sync the same test must fail.
 *
 * Thread-safe. Paths are absolute; directories must be made before files in them ("/" is there). No renaming of directories.
 */
#pragma once
#include "base/base.h"

typedef struct SimFs SimFs;
SimFs *simfs_new(void);
void simfs_free(SimFs *fs); /* all files closed */
Vfs *simfs_vfs(SimFs *fs);

/* ---- power cuts ---- */
typedef enum SimCut {
    SIM_LOSE,     /* nothing unsynced survives */
    SIM_KEEP,     /* everything does: the process was killed, not the machine */
    SIM_TEAR_512, /* of each file and directory the first changes, the last of them torn at 512 bytes */
    SIM_TEAR_4K,
    SIM_REORDER, /* any of the changes, page by page; lost pages inside a file are zeros or junk */
    SIM_CUTS
} SimCut;
u64 simfs_ops(SimFs *fs); /* changes so far; a cut at this number has them all */
SimFs *simfs_cut(SimFs *fs, u64 at_op, SimCut how, u64 seed);

/* ---- faults ---- */
enum {
    SIM_FOR_EVER = 1, /* this call and all later ones; otherwise once */
    SIM_SHORT = 2,    /* a failing write leaves its first half */
};
/* The n-th call from now on (1 = the next) fails with e. E_NOSPACE counts only calls that need space, others all but close,
 * unmap and free_bytes. n = 0 ends it. */
void simfs_fail(SimFs *fs, u64 n, Err e, int flags);
bool simfs_fired(SimFs *fs);                   /* did it fail a call? */
void simfs_set_capacity(SimFs *fs, u64 bytes); /* 0 = no end; file contents count */
void simfs_ignore_sync(SimFs *fs, bool yes);   /* sync and sync_dir say OK and do nothing: for canaries */

/* Reads or changes a file's bytes behind its users' back (rot); no change is recorded. */
u8 *simfs_bytes(SimFs *fs, const char *path, u64 *ret_bytes); /* NULL when absent */
void simfs_put(SimFs *fs, const char *path, const void *at,
               u64 bytes); /* a durable file (its directory is made) */
