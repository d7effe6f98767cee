/* ilog, inside: the local engine. ilog.c opens, queues and commits; ilog_segment.c makes, recovers and names segment files;
 * ilog_read.c reads and trims; ilog_dedup.c remembers producers.
 *
 * Threads: appenders fill one batch under `m` (the bytes are copied outside it, counted by `copying`); the committer takes the
 * batch and alone touches the file, the dedup window, and the fields marked so; readers take a snapshot of the segments under `m`
 * and read files of their own. trim_m (taken before m) keeps two trims from deleting at once.
 */
#pragma once
#include "store/recfile.h"
#include "store/store.h"
#include <limits.h>

enum {
    ILOG_LANES_MAX = 4096,
    ILOG_ENTRIES_MAX = 16384, /* waiting in one batch, refusals included */
    ILOG_DEDUP_DEPTH = 32,    /* remembered sequence numbers per producer and lane */
    ILOG_TICK_MS = 1000,
};
#define ILOG_NO_LANE UINT32_MAX /* of markers */

typedef struct Lane {
    u32 id;
    u64 next;    /* position the next committed record gets */
    u64 pending; /* committer: the same, counting the batch under way */
    u64 trimmed; /* positions below it are not needed */
} Lane;
typedef struct LaneStart {
    u32 lane;
    u64 next;
} LaneStart;
typedef struct Segment {
    u64 first, next_number; /* numbers [first, next_number) are in it and readable */
    u64 salt, head_bytes;
    u64 bytes;         /* readable size */
    LaneStart *starts; /* sorted by lane: positions at its beginning; a lane that is not there began at 1 */
    u32 n_starts;
} Segment;

/* ---- dedup ---- */
typedef struct Producer {
    u64 used; /* number of its newest record */
    u32 n, at;
    struct {
        u64 producer_seq, seq;
    } recent[ILOG_DEDUP_DEPTH];
} Producer;
typedef struct Dedup {
    StrMap producers; /* 4 bytes lane, then the name -> Producer */
    u32 max;
} Dedup;
bool dedup_find(const Dedup *d, u32 lane, Str name, u64 producer_seq, u64 *ret_seq);
void dedup_add(Dedup *d, u32 lane, Str name, u64 producer_seq, u64 seq, u64 number);
void dedup_undo(Dedup *d, u32 lane, Str name, u64 producer_seq);
void dedup_encode(const Dedup *d, Buf *out);
bool dedup_decode(Dedup *d, Bytes *in);
void dedup_done(Dedup *d);

/* ---- the log ---- */
typedef enum EntryKind { ENTRY_RECORD, ENTRY_BARRIER, ENTRY_REFUSED } EntryKind;
typedef struct Entry {
    EntryKind kind;
    Err err; /* what done gets */
    bool want_sync, duplicate;
    u8 name_len;
    u32 len, body_crc, type, lane;
    size_t off; /* of its head in the batch */
    u64 producer_seq;
    LogPos at;
    ILogDone done;
    void *arg;
} Entry;
typedef struct Batch {
    u8 *buf;
    size_t used, cap;
    VEC(Entry) entries;
    u32 copying; /* appenders that still copy into buf */
} Batch;

struct ILog {
    ILogConfig c;
    char *dir;
    u64 epoch;

    Mutex m; /* everything down to the line */
    Cond work, room, copied;
    Batch batches[2];
    u32 filling; /* which batch appenders fill */
    bool closing, is_draining;
    Err err;
    Why why;
    VEC(Lane) lanes;
    U64Map lane_index;
    VEC(Segment) segments; /* the last one is written */
    u64 sealed_bytes, records, syncs, cut_bytes;
    _Atomic u64 written;
    bool rotate_wanted;

    /* ---- the committer's (and open's and close's) ---- */
    File *file;
    u64 file_bytes, next_number;
    u64 synced; /* highest durable number */
    u64 marked; /* highest `synced` that some record on disk carries */
    bool is_unsynced;
    i64 unsynced_since_ns, probed_ns;
    bool has_ballast;
    Dedup dedup;
    Buf head;

    Mutex trim_m;
    pthread_t committer;
};

#define ILOG_RANK_TRIM RANK_STORE
#define ILOG_RANK      ((LockRank)(RANK_STORE + 1))

void ilog_segment_path(const ILog *l, u64 first, char path[PATH_MAX]);
u64 segment_lane_start(const Segment *s, u32 lane);
/* m held (or before the committer runs). NULL when there are too many lanes. */
Lane *ilog_lane(ILog *l, u32 lane, bool create);
Err ilog_segments_load(ILog *l, Why *why); /* open: everything on disk into l; makes the first segment */
Err ilog_rotate(ILog *l, Why *why); /* committer; E_NOSPACE leaves all as it was; other errors are for ever */
Err ilog_write_marker(ILog *l, Why *why); /* committer; likewise */
void segment_done(Segment *s);
Err ilog_ballast_make(ILog *l, Why *why); /* committer */
void ilog_ballast_free(ILog *l);
