/* store: what must survive. The ingest log (ilog), the bucket of immutable objects, the manifest, the durable outbox, and
 * checks of all of them. Signals (metrics, logs, traces) put their engines on top; this floor knows only bytes.
 *
 * Rules (docs/formats/ has every byte): a record carries length, type, number, salt, CRC32C, and what was known durable when it
 * was written; a torn tail is cut only if no later record proves that it had been on disk, otherwise it is corruption and said
 * so. Parts are immutable; publishing is write, sync,
 * rename, sync the directory; the manifest is the single commit point. A failed sync stops the writer for ever: what the
 * kernel did with the pages is unknown. After E_NOSPACE the log refuses (E_NOSPACE) until space is back, and resumes by itself.
 */
#pragma once
#include "base/base.h"

/* ---- ilog: ordered, durable, replayable. A lane is a unit of order with one consumer; positions are dense or gaps are
 * errors. Engines: local (here); bucket, Kafka, NATS come with scale-out. ---- */
typedef struct LogPos {
    u64 epoch; /* grows when a lane is re-created */
    u64 seq;   /* dense from 1 */
} LogPos;
typedef struct LogRecord {
    Str producer; /* <= 64 bytes; empty = no deduplication */
    u64 producer_seq;
    u32 lane;
    u32 type;  /* the consumer's */
    Str bytes; /* <= 32 MiB; borrowed until done */
} LogRecord;
typedef enum Durability { DURABLE_POWER, DURABLE_PROCESS } Durability;
typedef struct ILog ILog;
typedef struct ILogConfig {
    Vfs *vfs;
    Clock *clock;
    const char *dir;
    Durability durability;
    u64 segment_bytes;   /* 0 = 16 MiB */
    u64 total_bytes_max; /* 0 = 1 GiB; more is E_BUSY until trimmed */
    u64 ballast_bytes;   /* 0 = none; reserve given back when the disk fills so that flushes can finish */
    u32 dedup_window; /* producers remembered (each lane's counts as one), 32 sequence numbers of each; 0 = 1024; <= 4096 */
    u64 queue_bytes_max; /* waiting for the committer; more is E_BUSY; 0 = 16 MiB */
} ILogConfig;
typedef struct ILogHealth {
    Err err; /* OK; E_NOSPACE (resumes); E_IO (stopped for ever) */
    Why why;
    u64 bytes, segments, records, syncs;
    u64 cut_bytes; /* torn tail removed at open */
    u64 written;   /* bytes of records and their heads since opening */
} ILogHealth;
typedef void (*ILogDone)(void *arg, Err e, LogPos at, bool duplicate);

Err ilog_open(ILog **ret, const ILogConfig *c, Why *why);
/* Asynchronous group commit: done runs on the committer's thread, exactly once, in order of position; it must not block or
 * call the log. OK only when durable as configured. E_NOSPACE, E_BUSY, E_LIMIT (lanes), E_IO: not stored. E_UNKNOWN: may be
 * stored, resend with the same producer_seq.
 * want_sync false: the record is written with the batch but nobody waits for its sync (done after the write); it is synced
 * with the next batch that is, within a second at the latest. Same (producer, producer_seq) in one lane: stored once, done
 * tells where (duplicate). */
void ilog_append(ILog *l, const LogRecord *r, bool want_sync, ILogDone done, void *arg);
/* Blocking, synced; waits while the queue is full. */
Err ilog_append_wait(ILog *l, const LogRecord *r, LogPos *ret, Why *why);
/* Waits until all that was appended before is on disk, also with DURABLE_PROCESS. */
Err ilog_sync(ILog *l, Why *why);
Err ilog_tail(ILog *l, u32 lane, LogPos *ret_next);
/* Calls fn for each record of the lane from `from` (seq 0: the oldest) to the tail as it is now. fn returning an error stops.
 * E_GAP names missing positions (trimmed, past the tail, of another epoch), E_CORRUPT the place. Bytes are valid during fn. */
typedef Err (*ILogReadFn)(void *arg, LogPos at, const LogRecord *r, Why *why);
Err ilog_read(ILog *l, u32 lane, LogPos from, ILogReadFn fn, void *arg, Why *why);
/* Records before `before` are no longer needed by this lane; segments all lanes have passed are deleted. Positions survive a
 * restart where segments were deleted or rotated; otherwise records come again, and the consumer knows its own position.
 * `before` past the tail moves the tail there: a consumer that published more than a crashed log had kept (records without
 * sync) calls this with its own position before it reads, so that no position is given twice. To avoid it: ilog_sync first. */
Err ilog_trim(ILog *l, u32 lane, LogPos before, Why *why);
ILogHealth ilog_health(ILog *l);
void ilog_close(ILog *l); /* commits what is queued */

/* ---- bucket: immutable objects and one conditional create. Thread-safe. Keys: [a-zA-Z0-9._/-], <= 512 bytes, at most 16
 * parts between slashes, none of which is empty or begins with a dot.
 * Strong read-after-write and list; no rename, no append, no overwrite of an existing key, ever. ---- */
typedef struct Bucket Bucket;
typedef struct ObjMeta {
    u64 bytes;
    i64 mtime_ns;
} ObjMeta;
typedef bool (*BucketListFn)(void *arg, Str key, const ObjMeta *m); /* in key order; false stops */
/* A source for bucket_put: fills at with up to cap bytes; 0 = end. */
typedef Err (*BodyFn)(void *arg, u8 *at, size_t cap, size_t *ret_n, Why *why);
Err bucket_open_dir(Bucket **ret, Vfs *vfs, const char *dir, Why *why);
/* All or nothing. */
Err bucket_put(Bucket *b, Str key, BodyFn body, void *arg, ObjMeta *ret, Deadline d, Why *why);
Err bucket_put_bytes(Bucket *b, Str key, Str bytes, Deadline d, Why *why);
/* E_EXISTS = lost the race; E_UNKNOWN: it may be there. */
Err bucket_create(Bucket *b, Str key, Str bytes, Deadline d, Why *why);
/* Ranged read, appended to out; short = E_CORRUPT; len UINT64_MAX = to the end. */
Err bucket_get(Bucket *b, Str key, u64 off, u64 len, Buf *out, Deadline d, Why *why);
Err bucket_head(Bucket *b, Str key, ObjMeta *ret, Deadline d, Why *why);
Err bucket_list(Bucket *b, Str prefix, Str after, BucketListFn fn, void *arg, Deadline d, Why *why);
Err bucket_delete(Bucket *b, Str key, Deadline d, Why *why); /* OK when absent */
/* A read-only mapping of a whole local object; E_UNSUPPORTED where objects are remote. */
Err bucket_map(Bucket *b, Str key, const u8 **ret, u64 *ret_bytes, File **ret_file, Why *why);
void bucket_unmap(Bucket *b, File *f, const u8 *at, u64 bytes);
void bucket_close(Bucket *b);

/* ---- manifest: numbered, committed by bucket_create(n+1); content is the engine's bytes. "m/<name>/<20-digit n>". ---- */
typedef struct Manifest Manifest;
/* Finds and verifies the newest valid one. Content is kept twice in its object; a number whose both copies are damaged is
 * passed over, said loudly in the log and by fsck. */
Err manifest_open(Manifest **ret, Bucket *b, Str name, Why *why);
u64 manifest_number(const Manifest *m); /* 0 = none yet */
Str manifest_bytes(const Manifest *m);  /* of the newest; borrowed until the next commit */
/* E_EXISTS = somebody else did: fenced. E_NOSPACE: nothing happened, try again. After any other error it takes no more
 * commits: open it again to see what is there. <= 256 MiB. */
Err manifest_commit(Manifest *m, Str bytes, Why *why);
Err manifest_prune(Manifest *m, u32 keep, Why *why); /* deletes old numbers */
void manifest_close(Manifest *m);

/* ---- data directory: identity, lock, foreign data ---- */
typedef struct DataDir DataDir;
/* Creates or opens; takes the lock (E_BUSY names the holder's pid); a directory with other people's files (Prometheus's
 * chunks_head, wal of another kind, anything unknown) is refused untouched, naming the import command. */
Err datadir_open(DataDir **ret, Vfs *vfs, const char *path, Why *why);
const char *datadir_path(const DataDir *d);
void datadir_close(DataDir *d);

/* ---- outbox: messages that must reach somebody, in a log of their own. append -> sync -> send -> done(id). ---- */
typedef struct Outbox Outbox;
typedef struct OutboxItem {
    u64 id;   /* grows from 1 */
    Str key;  /* what it is about: receiver and group, for looking up; <= 4 KiB */
    Str body; /* <= 4 MiB */
    u32 attempts;
    i64 not_before_ms; /* wall */
    i64 created_ms;
} OutboxItem;
Err outbox_open(Outbox **ret, Vfs *vfs, Clock *clock, const char *dir, Why *why);
/* Durable when it returns OK (so do retry, done, dead and fact_set; calls from several threads share syncs). E_BUSY: 64 MiB
 * wait already. E_NOSPACE: nothing was stored, try again. E_IO: stopped for ever; what was under way may be found at the next
 * open. */
Err outbox_add(Outbox *o, Str key, Str body, u64 *ret_id, Why *why);
/* The oldest item due at now_ms and not taken; copied into arena. E_NOT_FOUND when none; ret_next_ms = when to look again (0 = no item). */
Err outbox_take(Outbox *o, i64 now_ms, Arena *arena, OutboxItem *ret, i64 *ret_next_ms);
Err outbox_retry(Outbox *o, u64 id, i64 not_before_ms, Str reason, Why *why);
Err outbox_done(Outbox *o, u64 id, Str provider_id, Why *why);
Err outbox_dead(Outbox *o, u64 id, Str reason, Why *why);
bool outbox_has(Outbox *o, Str key); /* is an item about key queued (taken or not)? */
/* What was given up: the newest 1,000, oldest first; body is not kept. */
void outbox_dead_letters(Outbox *o, void (*fn)(void *arg, const OutboxItem *i, Str reason, i64 at_ms),
                         void *arg);
/* Key-value facts beside the queue (e.g. group -> provider's message id), same log, same durability. Empty value deletes.
 * All of them at most 16 MiB (E_BUSY). */
Err outbox_fact_set(Outbox *o, Str key, Str value, Why *why);
Str outbox_fact(Outbox *o, Str key, Arena *arena);
void outbox_facts(Outbox *o, Str prefix, void (*fn)(void *arg, Str key, Str value), void *arg);
u64 outbox_queued(Outbox *o);
void outbox_close(Outbox *o);

/* ---- spool: a durable FIFO of batches with a cursor per reader (remote_write). ---- */
typedef struct Spool Spool;
typedef struct SpoolConfig {
    Vfs *vfs;
    const char *dir;
    u64 bytes_max;     /* oldest segments are dropped past it (counted): the stated disk limit */
    u64 segment_bytes; /* 0 = 8 MiB */
} SpoolConfig;
Err spool_open(Spool **ret, const SpoolConfig *c, Why *why);
/* Dense from 1. Not synced: on disk with the next synced one or spool_sync. E_NOSPACE: nothing was stored, try again. */
Err spool_append(Spool *s, Str bytes, bool sync, u64 *ret_seq, Why *why);
Err spool_sync(Spool *s, Why *why);
/* Record at seq (or the oldest kept after it: what was dropped or damaged is passed over), appended to out. E_NOT_FOUND at
 * the tail. */
Err spool_read(Spool *s, u64 seq, Buf *out, u64 *ret_seq, Why *why);
u64 spool_tail(Spool *s); /* the next append's seq */
u64 spool_oldest(Spool *s);
u64 spool_bytes(Spool *s);
u64 spool_dropped(
    Spool *s); /* records that some cursor had not passed, lost to bytes_max or damage since open */
/* The next to send. Atomic and synced. Names: 1 to 128 of [a-zA-Z0-9._:-]. */
Err spool_cursor_save(Spool *s, Str name, u64 seq, Why *why);
u64 spool_cursor_load(Spool *s, Str name); /* 0 = none */
Err spool_trim(Spool *s, u64 before, Why *why);
void spool_close(Spool *s);

/* ---- fsck ---- */
typedef struct FsckReport {
    Buf *out; /* findings, one line each: path: what */
    u64 checked_files, checked_bytes, errors, warnings;
} FsckReport;
Err fsck_ilog(Vfs *vfs, const char *dir, FsckReport *r, Why *why);
Err fsck_bucket_manifest(Vfs *vfs, const char *dir, Str name, FsckReport *r, Why *why);
Err fsck_outbox(Vfs *vfs, const char *dir, FsckReport *r, Why *why);
Err fsck_spool(Vfs *vfs, const char *dir, FsckReport *r, Why *why);
Err fsck_statedb(Vfs *vfs, const char *path, FsckReport *r, Why *why); /* SQLite's own check; state.c */

/* ---- the state database (state.c): configuration-like state in SQLite, in write-ahead mode, synced at each commit ----
 * One per data directory, owned by whoever opened it; calls may come from several threads, transactions from one at a time. */
typedef struct StateDb StateDb;
Err statedb_open(Vfs *vfs, const char *path, StateDb **ret,
                 Why *why);      /* creates the file; E_CORRUPT when it is none */
void statedb_close(StateDb *db); /* NULL is fine */
struct sqlite3 *statedb_sqlite(StateDb *db);
Err statedb_exec(StateDb *db, const char *sql, Why *why); /* statements without results */
/* What SQLite's last call said, as a sentence: E_NOSPACE, E_CORRUPT or E_IO. */
Err statedb_failed(StateDb *db, Why *why, const char *what);
