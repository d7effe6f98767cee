/* collect/remote: the remote_write sender, protocols 1.0 and 2.0.
 *
 *     RemoteWrite *rw = remote_write_new(&options);
 *     remote_write_apply(rw, configs, n, external_labels, &why);     now and at every reload
 *     sink = a tee over the store and remote_write_sink(rw)          (composed in cmd/)
 *     ...
 *     loop_stop, loop thread joined; remote_write_free(rw)
 *
 * Way of a sample. write() applies external labels (to names that are not there yet) and write_relabel_configs, then encodes
 * into one of the destination's lanes, chosen by the hash of the final labels. There are REMOTE_LANES of them, or as many as
 * min_shards and max_shards allow; the number changes only with the configuration, and then everything before the change is
 * answered first. A lane that holds max_samples_per_send samples is compressed and appended to the destination's spool; the rest follows at once and synced for pushes (nothing is
 * acknowledged that could be lost), after at most a second for scrapes and rules. From there on samples are durable.
 * The sender reads ahead from the spool, up to capacity samples per lane, into one queue per lane and has at most one request per lane in flight, so the
 * samples of a series arrive in order while lanes go side by side. Lanes that are idle share a request as long as it
 * stays under max_samples_per_send; a request that is not full waits batch_send_deadline.
 *
 * Promise. What write() reported OK is sent at least once: the cursor (first record not answered) is saved every second and at
 * the end, and a restart goes on from there. A peer that is down costs disk up to disk_bytes_max per destination; past it
 * the oldest records go, and their samples are counted (reason="disk_limit").
 *
 * Answers. 2xx: done. 5xx, network errors, and 429 where retry_on_http_429: the same request again after Retry-After, else after
 * min_backoff doubling up to max_backoff; all lanes wait together. Anything else: dropped, counted as failed, logged with the
 * first line of the answer. Samples older than sample_age_limit are dropped before each attempt.
 *
 * Histograms and exemplars are sent where configured; native histograms with custom buckets by 2.0 only (1.0 does not know
 * them; counted as dropped). By 1.0 metadata is kept in memory and sent every metadata_config.send_interval, without retries; by
 * 2.0 it goes with each series. A receiver that answers 2.0 with 415, or with success but none of the headers that say how much
 * was written (it took the request for an empty one of 1.0), gets 1.0 from then on, until the next reload or start.
 *
 * Identity. A destination is its name, or else its URL. Reloads change everything else in place: what is in flight ends under
 * the old settings, what is spooled goes out under the new ones. A destination that is not configured any more stops; its
 * spool stays on disk and goes on when it comes back.
 *
 * Threads. write() from any thread; it may block on the disk. apply from any thread but the loop's. Everything else that blocks
 * runs on a thread of its own, answers come in on the loop.
 */
#pragma once
#include "base/base.h"
#include "config/config.h"
#include "model/model.h"
#include "net/net.h"

enum { REMOTE_LANES = 4, REMOTE_LANES_MAX = 64, REMOTE_DESTINATIONS_MAX = 64 };

typedef struct RemoteWriteConfig RemoteWriteConfig;
struct RemoteWriteConfig {
    Str name, url;
    HttpClientConfig http;
    const HttpHeader *headers;
    u32 headers_len;
    i64 timeout_ms;
    RelabelRules relabel;
    bool send_exemplars, send_native_histograms, retry_on_http_429;
    u32 samples_per_send_max, capacity, shards_max, shards_min;
    i64 batch_send_deadline_ms, backoff_min_ms, backoff_max_ms, sample_age_limit_ms;
    bool is_v2; /* protobuf_message */
    bool send_metadata;
    i64 metadata_interval_ms;
    u32 metadata_per_send_max;
};

/* The items of prometheus.yml's remote_write list. Mistakes are issues of c; a destination whose URL comes out empty or whose
 * way of signing is not built yet is left out with a warning. The result lives in c's arena; returns how many. */
u32 remote_write_read(Conf *c, const ConfNode *items, u32 n, RemoteWriteConfig **ret);
void remote_write_config_init(RemoteWriteConfig *ret); /* Prometheus's defaults */

typedef struct RemoteWrite RemoteWrite;
typedef struct RemoteWriteOptions {
    Loop *loop;
    Vfs *vfs;
    Account *account;
    const char *dir;    /* one spool per destination below it; made when missing */
    u64 disk_bytes_max; /* per destination; 0 = 1 GiB */
    Str user_agent;     /* "pharos/0.1.0" */
    Str tenant;         /* only batches of this tenant; empty = all */
    i64 flush_ms;       /* how long a scrape's samples may wait for the spool; 0 = 1000 */
} RemoteWriteOptions;

RemoteWrite *remote_write_new(const RemoteWriteOptions *o);
/* Copies what it needs: configs may go away afterwards. On an error (a spool cannot be opened, a destination given twice) what
 * ran before runs on, and destinations that could be started are started. */
Err remote_write_apply(RemoteWrite *rw, const RemoteWriteConfig *configs, u32 n, Labels external, Why *why);
/* Results: OK, or E_NOSPACE / E_IO when a destination's spool could not take the batch. Hints are left alone. */
SampleSink *remote_write_sink(RemoteWrite *rw);
bool remote_write_is_active(RemoteWrite *rw); /* is there a destination at all? */
/* Waits until everything is sent, or timeout_ms passed (false). Not on the loop. */
bool remote_write_drain(RemoteWrite *rw, i64 timeout_ms);
/* Nobody may write any more; the loop must have returned from loop_run and still exist. Unsent samples stay in the spool. */
void remote_write_free(RemoteWrite *rw);

typedef struct RemoteWriteStatus {
    Str name, url; /* url without credentials; valid during the call */
    u64 samples_pending, spool_bytes, samples_sent, samples_failed, samples_dropped, samples_retried;
    i64 last_success_ms;    /* wall; 0 = none yet */
    const char *last_error; /* "" when the last answer was good */
} RemoteWriteStatus;
void remote_write_status(RemoteWrite *rw, void (*fn)(void *arg, const RemoteWriteStatus *s), void *arg);
