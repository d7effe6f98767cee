/* Record files: the one format under the ingest log, the outbox and the spool (docs/formats/recfile.md has every byte).
 *
 * A file is a head (what it is, its salt, the number of its first record, an extension that belongs to its user), then records. A
 * record is a head of REC_HEAD_BYTES and a body, padded with zeros to 8. Both parts have a CRC32C of their own, so the body's
 * can be made by the thread that brings it, and the head's by the one that writes it.
 *
 * The salt is random per file: bytes of another file, or a record quoted inside a body, are never taken for a record here.
 * Numbers are dense over the files of one log. `synced` is the highest number that was known durable when the record was
 * written; it decides what damage means:
 *
 *     a bad record k, and no later record with synced >= k:  k was never promised: a torn tail, cut
 *     a bad record k, and a later record with synced >= k:   k was durable and is gone: corruption, said so
 *
 * A power cut may keep any part of the unsynced end, in any order, so "no valid record follows" alone would call an honest
 * tear corruption. A marker (an empty record that only carries `synced`) covers the last batch when a writer falls idle.
 */
#pragma once
#include "base/base.h"
#include "store/bytes.h"

enum {
    RECFILE_HEAD_BYTES = 72, /* without the extension */
    REC_HEAD_BYTES = 72,
    REC_NAME_MAX = 64,
    REC_BODY_MAX = (32 << 20) + REC_NAME_MAX,
    RECFILE_EXT_MAX = 4 << 20,
};
#define RECFILE_KIND(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)
#define RECFILE_ILOG             RECFILE_KIND('I', 'L', 'O', 'G')
#define RECFILE_OUTBOX           RECFILE_KIND('O', 'B', 'O', 'X')
#define RECFILE_SPOOL            RECFILE_KIND('S', 'P', 'O', 'L')
#define REC_MARKER               1 /* flag */
/* Numbers and positions are below REC_NUMBER_MAX, and begin below half of it: arithmetic on them never wraps. */
#define REC_NUMBER_MAX (1ull << 62)
#define REC_START_MAX  (1ull << 61)

typedef struct RecFileHead {
    u32 kind;
    u64 epoch;
    u64 salt;
    u64 first;      /* number of the first record */
    u64 prev_bytes; /* size of the file before this one; 0 = there was none */
    u64 prev_first; /* and its first number */
    i64 created_ns;
    u64 head_bytes; /* offset of the first record; set by decode */
} RecFileHead;

typedef struct RecHead {
    u32 len; /* of the body */
    u32 body_crc;
    u64 number, synced;
    u32 type, lane;
    u64 seq, aux;
    u8 name_len, flags;
} RecHead;

static inline size_t rec_bytes(size_t body_len) /* on disk */
{
    return REC_HEAD_BYTES + ((body_len + 7) & ~(size_t)7);
}
void recfile_head_encode(Buf *out, const RecFileHead *h, Str ext);
/* Reads and checks the head of an open file; the extension is appended to ext (may be NULL). E_CORRUPT says what is wrong
 * with it; E_UNSUPPORTED a newer version. */
Err recfile_head_load(File *f, const char *path, u32 kind, RecFileHead *ret, Buf *ext, Why *why);

void rec_head_encode(u8 at[REC_HEAD_BYTES], const RecHead *h, u64 salt);
bool rec_head_decode(const u8 at[REC_HEAD_BYTES], u64 salt, RecHead *ret);

/* Sequential reading with one buffer. */
typedef struct RecReader {
    File *file;
    const char *path;
    u64 salt;
    u64 at, end; /* offset of the next record, end of what may be read */
    u64 number;  /* the next record must have it */
    u8 *buf;
    u64 buf_off; /* file offset of buf[0] */
    size_t buf_len, buf_cap;
} RecReader;
void recreader_init(RecReader *r, File *f, const char *path, u64 salt, u64 at, u64 end, u64 number);
void recreader_done(RecReader *r);
/* OK with the head and the body (valid until the next call); E_NOT_FOUND exactly at the end; E_CORRUPT for a record that is
 * cut or damaged (why names path and offset; r->at stays at it). E_IO and others from the file. */
Err recreader_next(RecReader *r, RecHead *ret, Str *ret_body, Why *why);

/* After E_CORRUPT at r->at: is it a torn tail? OK = yes, everything from r->at on may be cut. E_CORRUPT = a later record
 * proves that this one was durable; why names both places. */
Err recreader_judge(RecReader *r, Why *why);
/* After E_CORRUPT at r->at: moves to the next valid record with a number above the damaged one; E_NOT_FOUND when none. */
Err recreader_resync(RecReader *r, Why *why);

/* Reads an open file from its first record to its end, fn for each record but markers; what fn returns stops it. A torn tail
 * is no error: cut_bytes says how much of the file it is, and `repair` cuts it off. */
typedef Err (*RecFn)(void *arg, const RecHead *h, Str body, Why *why);
typedef struct RecEnd {
    u64 bytes, next_number; /* where the next record goes */
    u64 cut_bytes;
    u64 marked; /* highest number that a record vouches for */
} RecEnd;
Err recfile_recover(File *f, const char *path, const RecFileHead *h, bool repair, RecFn fn, void *arg,
                    RecEnd *ret, Why *why);

/* Does a file whose head is broken hold anything that looks like a record? If not, it was born at the moment of a crash. */
Err recfile_holds_records(File *f, u64 size, bool *ret, Why *why);
