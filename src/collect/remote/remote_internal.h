/* Private to collect/remote. */
#pragma once
#include "collect/remote/remote.h"
#include "store/store.h"
#include "wire/wire.h"

/* ---- records of the spool (remote_record.c) ----
 * A spool record is this head, little-endian, then a snappy block of a prometheus.WriteRequest:
 *   0 u8 version (1)   1 u8 lane   2 u8 lanes (0 = 4)   3 u8 zero   4 u32 samples   8 u32 histograms   12 u32 exemplars
 *  16 i64 min_t, 24 i64 max_t (ms)   32 u64 total: samples and histograms in all records before this one
 * From `total` of two records follows how many samples lay between them, also when those are gone. */
#define CURSOR_NAME    S("sender")
#define REMOTE_TYPE_V2 "application/x-protobuf;proto=io.prometheus.write.v2.Request"
enum { RECORD_HEAD_BYTES = 40, RECORD_DECODED_MAX = 32 << 20 };
typedef struct RecordHead {
    u8 lane, lanes; /* which, of how many */
    u32 samples, histograms, exemplars;
    i64 min_t, max_t;
    u64 total;
} RecordHead;
void record_head_encode(const RecordHead *h, u8 at[RECORD_HEAD_BYTES]);
Err record_head_decode(Str record, RecordHead *ret, Str *ret_block, Why *why);
void record_head_reset(RecordHead *h);
void record_head_add(RecordHead *to, const RecordHead *more);
static inline u64 record_points(const RecordHead *h)
{
    return (u64)h->samples + h->histograms;
}
/* Takes samples and histograms older than min_t, and with no_custom histograms with custom buckets, out of an encoded request;
 * counts are brought up to date. */
Err record_filter(Buf *pb, RecordHead *h, i64 min_t, bool no_custom, Why *why);

/* ---- settings of one destination, kept by whoever needs them (remote_config.c); nothing in it changes ---- */
typedef struct DestMetrics {
    Metric *samples, *histograms, *exemplars, *metadata, *failed, *failed_histograms, *failed_metadata,
        *retried, *retried_histograms, *pending, *bytes, *shards, *highest_sent, *batch_seconds, *spool_bytes;
    Metric *dropped_relabel, *dropped_old, *dropped_disk, *dropped_full, *dropped_nhcb, *dropped_native;
} DestMetrics;
typedef struct DestConf {
    _Atomic u32 refs;
    Arena arena;
    RemoteWriteConfig c;
    Labels external;
    u32 lanes;            /* from min_shards and max_shards */
    u32 samples_per_send; /* max_samples_per_send, or capacity when that is less */
    DestMetrics m;
    VEC(Regex *) regexes;
} DestConf;
DestConf *dest_conf_new(const RemoteWriteConfig *c, Labels external, Str id, Why *why);
DestConf *dest_conf_ref(DestConf *c);
void dest_conf_unref(DestConf *c);          /* NULL is fine */
u32 dest_lanes(const RemoteWriteConfig *c); /* how many these settings mean */
void dest_metrics_init(DestMetrics *ret, const RemoteWriteConfig *c, Str id);

/* ---- a destination ---- */
typedef struct Fill { /* what is not in the spool yet */
    Buf pb;
    RecordHead head;
} Fill;

typedef struct Queued { /* read from the spool, not sent yet */
    u64 seq;
    RecordHead head;
    Str block; /* heap */
    i64 since_ns;
} Queued;

typedef struct Lane {
    VEC(Queued) queue;
    size_t first;     /* of queue */
    u64 points;       /* in queue */
    u64 inflight_seq; /* first record of the request under way; 0 = idle */
} Lane;

typedef struct Dest Dest;
typedef enum ReqState { REQ_READY, REQ_SENDING, REQ_DONE, REQ_RETRY, REQ_CANCELED } ReqState;
typedef struct Req {
    Dest *dest;
    DestConf *conf; /* in use by the call under way */
    u64 lanes;      /* bits; 0 = metadata */
    RecordHead head;
    u32 metadata;
    Buf body;      /* snappy, as it lies in the spool */
    Buf body_v2;   /* the same as 2.0, while it is under way */
    bool is_v2;    /* how it was sent last */
    bool is_plain; /* nothing in it that 1.0 does not know */
    ReqState state;
    u32 attempts;
    i64 sent_ns;
    HttpCallHandle *handle;
} Req;

typedef struct MetaChunk {
    Buf body;
    u32 len;
} MetaChunk;

struct Dest {
    RemoteWrite *rw;
    _Atomic u32 refs;
    Str id;                  /* heap, also NUL-terminated */
    _Atomic u64 taken, done; /* points that came in; points answered, failed or dropped afterwards */
    _Atomic u64 n_sent, n_failed, n_dropped, n_retried;

    Mutex mutex; /* the way in; may be held while the disk writes, so never taken on the loop */
    DestConf *conf;
    Spool *spool;
    Arena arena; /* label sets while writing */
    Fill fill[REMOTE_LANES_MAX];
    u32 fill_lanes;    /* in use */
    i64 fill_since_ns; /* 0 = empty */
    u64 total;         /* points ever put into the spool */
    bool needs_sync;   /* records were appended and not synced */
    bool is_removed, is_closed;
    u32 users;       /* writers that hold the spool without the mutex */
    StrMap metadata; /* family -> MetadataItem * */
    i64 logged_disk_ns;

    Mutex answers; /* what answers change; taken after mutex, never held while something waits */
    bool step_wanted, step_queued, no_steps;
    i64 paused_until_ns, backoff_ms;
    i64 last_success_ms, logged_retry_ns, logged_drop_ns;
    char last_error[256];
    bool speaks_v1; /* the receiver does not know 2.0 */

    /* Touched by the step alone, which is one at a time; inflight_seq and a request's state also by answers. */
    u64 next_seq, read_total;
    Lane lanes[REMOTE_LANES_MAX];
    u32 lanes_len; /* that records in the queues belong to; 0 = none yet */
    size_t queued_bytes;
    u64 queued_points;
    Req *req[REMOTE_LANES_MAX + 1]; /* by lowest lane; the last is metadata's */
    u64 cursor_saved;
    i64 cursor_ns, metadata_due_ns, logged_step_ns;
    VEC(MetaChunk) meta_chunks; /* requests of this round, from meta_first on */
    size_t meta_first;
};

struct RemoteWrite {
    SampleSink sink; /* first: cast */
    RemoteWriteOptions o;
    char *dir, *user_agent;
    Str tenant;
    HttpClient *http;
    Pool *pool;
    Clock *clock;
    Mutex apply; /* one reload or closing at a time; may be held while the disk works */
    Mutex mutex; /* the list; taken after apply, before a destination's */
    Dest *dests[REMOTE_DESTINATIONS_MAX];
    u32 dests_len;
    Timer timer;
    _Atomic i64 armed_ns; /* INT64_MAX = not */
    _Atomic u32 posted, inflight;
    _Atomic bool is_stopping, is_draining;
    Metric *highest;
    _Atomic i64 highest_s;
};

Err dest_open(RemoteWrite *rw, DestConf *conf, Str id, Dest **ret, Why *why);
void dest_unref(Dest *d);
void dest_write(Dest *d, const SampleBatch *batch, SinkResult *ret);
/* With the mutex held: what is in the lanes goes to the spool. */
Err dest_seal_all(Dest *d, Why *why);
void dest_schedule(Dest *d);      /* a step soon, on the pool; not with the mutex held */
bool dest_close_if_idle(Dest *d); /* a removed destination leaves the list */
void dest_drop_requests(Dest *d); /* what waits for a retry; nothing may be in flight */
void dest_count_pending(Dest *d, const DestConf *c);
void dest_count_dropped(Dest *d, Metric *reason, u64 points);
void dest_shut(Dest *d);  /* cursor saved, spool closed */
u64 dest_cursor(Dest *d); /* first record not answered */
/* r's body as 2.0 into body_v2; false: it cannot be read. */
bool dest_encode_v2(Dest *d, Req *r, Why *why);
/* Of an answer to 2.0: how much was written; false: it says nothing, its sender knows 1.0 only. */
bool written_by_v2(const HttpResult *res, u64 *ret_points, u64 *ret_exemplars);
void remote_write_arm(RemoteWrite *rw, i64 at_ns);
i64 retry_after_ms(Str header, i64 now_s); /* 0 = none or not understood */
