/* The series catalogue of one tenant: which label sets exist, under which ids, and which series have a given label.
 *
 * Names, pairs (a name with one value) and series have dense ids from 1, none of which is ever given out again; a series record is
 * its pair ids, so that 10 labels cost 48 bytes. Postings are ascending series ids per pair: a packed base, rebuilt by counting sort,
 * and small tails for what came since. Series without samples can be forgotten: they leave postings, tables and the next segment, and
 * their labels coming again make a new series; their records stay readable for whoever still has the id, until the catalogue is
 * loaded anew.
 *
 * Locks. `lock` guards the tables of names and pairs, postings and all growth. Records, strings and pairs never move: whoever
 * learned an id through a lock or through catalogue_series_len may read them without one. The table of a shard (label hash ->
 * series) and its list of locals belong to whoever holds that shard's lock; `lock` may be taken inside it.
 *
 * On disk (docs/formats/metrics-catalogue.md) it is a row of immutable segments, each holding a range of ids.
 */
#pragma once
#include "metrics/bytes.h"
#include "metrics/slab.h"
#include "model/model.h"
#include <stdatomic.h>

#define LABEL_BYTES_MAX 65535u /* of one name or value */
#define LABELS_MAX      1024u  /* per series */

typedef struct IdSlot {
    u32 tag, id; /* id 0 = free */
} IdSlot;
typedef struct IdTable {
    IdSlot *slots;
    u32 cap, len; /* cap is a power of two or 0 */
} IdTable;

typedef struct CatName {
    u32 text; /* slab reference */
    VEC(u32) pairs;
} CatName;
typedef struct CatPair {
    u32 name, value; /* name id, slab reference; 0, 0 = lost with a damaged segment */
} CatPair;
typedef struct PostingTail {
    u32 len, cap; /* cap 0: at most two ids, inside */
    union {
        u32 in[2];
        u32 *at;
    };
} PostingTail;

typedef struct CatPoint {
    u32 names, pairs, series; /* how many of each */
} CatPoint;

typedef struct CatShard {
    IdTable table;
    SegArray locals; /* local index -> series id; ascending */
    u32 locals_len;
} CatShard;

typedef struct Catalogue {
    RwLock lock;
    Slab strings, records;
    SegArray names, pairs, tails, series; /* CatName, CatPair, PostingTail, record reference (0 = hole) */
    u32 names_len, pairs_len;
    _Atomic u32 series_len; /* ids in use: 1..series_len */
    u32 series_known;       /* without holes */
    IdTable name_table, pair_table;
    u32 *base, *base_off; /* postings of pair p: base[base_off[p] .. base_off[p + 1]) for p < base_pairs */
    u32 base_pairs;
    u64 tails_total;
    bool is_unordered; /* some tail is not ascending, or has forgotten series; pack mends it */
    u64 *dead_pairs;   /* bits: forgotten; touched and read by flushes alone (and what excludes them) */
    u32 dead_words;
    CatShard *shards;
    u32 shards_len;
} Catalogue;

typedef struct LabelsHash {
    u64 labels; /* of the whole set; segments keep the low half */
    u32 target; /* of job and instance, or of the whole set where both are absent: decides the shard */
} LabelsHash;

void catalogue_init(Catalogue *c, u32 shards);
void catalogue_done(Catalogue *c);

LabelsHash catalogue_hash(Labels l);
/* Sorted, unique, no empty name or value, valid UTF-8, within the maxima. */
Err catalogue_check_labels(Labels l, Why *why);

/* With the shard's lock held. 0 = not there. */
u32 catalogue_find(const Catalogue *c, u32 shard, u64 hash, Labels l);
/* The new series' id; 0 = the catalogue is full. With the shard's lock held. */
u32 catalogue_add(Catalogue *c, u32 shard, u64 hash, Labels l);
/* From the log: makes l known as sid; ids skipped over become holes. True when it was added. */
bool catalogue_add_at(Catalogue *c, u32 sid, Labels l);

static inline u32 catalogue_series_len(const Catalogue *c)
{
    return atomic_load_explicit(&c->series_len, memory_order_acquire);
}
#define RECORD_FORGOTTEN 0x80000000u
/* NULL for a hole or an id that is not in use. [0] = labels | shard << 16 | RECORD_FORGOTTEN, [1] = local index, then pair ids. */
static inline const u32 *catalogue_record(const Catalogue *c, u32 sid)
{
    if (sid == 0 || sid > catalogue_series_len(c))
        return NULL;
    u32 ref = *(const u32 *)seg_at(&c->series, sid);
    return ref ? slab_at(&c->records, ref) : NULL;
}
static inline u32 record_head(const u32 *rec) /* the one word of a record that changes, once */
{
    return __atomic_load_n(&rec[0], __ATOMIC_RELAXED);
}
static inline u32 record_labels(const u32 *rec)
{
    return record_head(rec) & 0xffff;
}
static inline u32 record_shard(const u32 *rec)
{
    return record_head(rec) >> 16 & 0x7fff;
}
static inline bool record_is_forgotten(const u32 *rec)
{
    return record_head(rec) & RECORD_FORGOTTEN;
}
static inline u32 record_local(const u32 *rec)
{
    return rec[1];
}
static inline Str catalogue_str(const Catalogue *c, u32 ref)
{
    const char *p = (const char *)slab_at(&c->strings, ref);
    u16 n;
    memcpy(&n, p, 2);
    return (Str){p + 2, n};
}
static inline CatPair catalogue_pair(const Catalogue *c, u32 pair)
{
    return *(const CatPair *)seg_at(&c->pairs, pair);
}
static inline Str catalogue_pair_value(const Catalogue *c, u32 pair)
{
    return catalogue_str(c, catalogue_pair(c, pair).value);
}
static inline Str catalogue_name(const Catalogue *c, u32 name)
{
    return catalogue_str(c, ((const CatName *)seg_at(&c->names, name))->text);
}
bool catalogue_is(const Catalogue *c, const u32 *rec, Labels l);
/* The labels of a record into out[record_labels]; strings live as long as the catalogue. */
void catalogue_labels(const Catalogue *c, const u32 *rec, Label *out);
/* The pair of this name in a record; 0 = the series has no such label. */
u32 catalogue_record_pair(const Catalogue *c, const u32 *rec, u32 name);

/* With `lock` held. */
u32 catalogue_find_name(const Catalogue *c, Str name);
u32 catalogue_find_pair(const Catalogue *c, u32 name, Str value);
u32 catalogue_postings_len(const Catalogue *c, u32 pair);
void catalogue_postings(const Catalogue *c, u32 pair, u32 *out); /* ascending */
u32 catalogue_postings_base(const Catalogue *c, u32 pair, const u32 **ret);
u32 catalogue_postings_tail(const Catalogue *c, u32 pair, const u32 **ret);

/* With the shard's lock held; takes `lock`. Forgets those of the shard's series whose bit is set; afterwards, when all shards are done and
 * no flush runs, what only they had of pairs. */
u32 catalogue_forget(Catalogue *c, u32 shard, const u64 *bits, u32 words);
void catalogue_forget_pairs(Catalogue *c);

CatPoint catalogue_point(Catalogue *c); /* takes `lock` */
/* Packs the tails into the base when they have grown; takes `lock`. */
void catalogue_pack(Catalogue *c, bool always);
size_t catalogue_bytes(Catalogue *c);

/* Segments (catalogue_io.c). Encoding reads what [from, to) covers, without the lock but for growth. */
void catalogue_encode(Catalogue *c, CatPoint from, CatPoint to, Buf *out);
/* Adds what a segment holds, ids up to `to` as the manifest says; to be called in order on a catalogue nobody else uses, then
 * catalogue_pack. Damaged sections are skipped (their ids become holes), counted in ret_bad and named in why; E_CORRUPT only when
 * nothing can be used. */
Err catalogue_decode(Catalogue *c, Str bytes, CatPoint to, u32 *ret_bad, Why *why);
/* For catalogue_io.c: grow one table, with `lock` held for writing or on a catalogue nobody else knows; 0 or NULL = full. */
u32 catalogue_name_add(Catalogue *c, Str name);
u32 catalogue_pair_add(Catalogue *c, u32 name, Str value);
/* The caller fills in pairs, and makes it findable by catalogue_tag: tags are low halves of hashes. */
u32 *catalogue_record_add(Catalogue *c, u32 sid, u32 shard, u32 labels);
void catalogue_tag(Catalogue *c, u32 shard, const IdSlot *at, u32 n);
void catalogue_reserve_tables(Catalogue *c, CatPoint to);
/* Ids up to `to` count as used even if damage lost them. */
void catalogue_reserve(Catalogue *c, CatPoint to);
