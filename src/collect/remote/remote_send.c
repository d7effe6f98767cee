/* The sender of one destination: from the spool into requests, and what becomes of the answers.
 *
 * dest_schedule asks for a step; steps of one destination never overlap, so what only they touch needs no lock. A step does
 * what is due and says when it wants to be called again. Answers arrive on the loop: they settle their request under the
 * mutex and ask for a step.
 */
#include "collect/remote/remote_internal.h"
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>

enum {
    READ_AHEAD_BYTES = 4 << 20,
    RECORD_READ_MAX = 48 << 20,
    ANSWER_MAX = 1 << 20,
    RETRY_AFTER_MAX_MS = 10 * 60 * 1000,
};
#define CURSOR_SAVE_NS NS_PER_SEC

/* ---- Retry-After ---- */

/* Unix seconds of any of the three forms of RFC 9110, section 5.6.7; -1 for anything else. */
static i64 http_date(Str s)
{
    char text[64];
    if (s.len >= sizeof text)
        return -1;
    memcpy(text, s.at, s.len);
    text[s.len] = 0;
    return (i64)curl_getdate(text, NULL);
}

i64 retry_after_ms(Str header, i64 now_s)
{
    u64 n;
    header = str_trim(header);
    if (!header.len)
        return 0;
    if (parse_u64(header, &n) == OK)
        return (i64)MIN(n, (u64)RETRY_AFTER_MAX_MS / 1000) * 1000;
    i64 at = http_date(header);
    if (at <= now_s)
        return 0;
    return MIN(at - now_s, (i64)RETRY_AFTER_MAX_MS / 1000) * 1000;
}

/* ---- answers ---- */

static void first_line(Str body, char out[256])
{
    size_t n = 0;
    for (size_t i = 0; i < body.len && n < 255 && body.at[i] != '\n' && body.at[i] != '\r'; i++)
        out[n++] = (char)((u8)body.at[i] < 0x20 || body.at[i] == 0x7f ? ' ' : body.at[i]);
    out[n] = 0;
}

/* lost: of the points, those that the receiver says it did not take; all of them when the request failed. */
static void settle(Req *r, bool ok, u64 lost, i64 now)
{
    Dest *d = r->dest;
    const DestMetrics *m = &r->conf->m;
    r->state = REQ_DONE;
    if (!r->lanes) {
        metric_add(ok ? m->metadata : m->failed_metadata, r->metadata);
        return;
    }
    for (u32 i = 0; i < REMOTE_LANES_MAX; i++)
        if (r->lanes >> i & 1)
            d->lanes[i].inflight_seq = 0;
    u64 points = record_points(&r->head);
    d->done += points;
    lost = MIN(lost, points);
    u64 lost_samples = MIN(lost, (u64)r->head.samples), lost_hists = lost - lost_samples;
    metric_add(m->failed, (f64)lost_samples);
    metric_add(m->failed_histograms, (f64)lost_hists);
    metric_add(m->samples, (f64)(r->head.samples - lost_samples));
    metric_add(m->histograms, (f64)(r->head.histograms - lost_hists));
    d->n_failed += lost;
    d->n_sent += points - lost;
    if (!ok)
        return;
    d->backoff_ms = 0;
    d->last_success_ms = clock_wall_ms(d->rw->clock);
    d->last_error[0] = 0;
    metric_add(m->exemplars, r->head.exemplars);
    metric_add(m->bytes, (f64)(r->is_v2 ? r->body_v2 : r->body).len);
    metric_observe(m->batch_seconds, (f64)(now - r->sent_ns) / 1e9);
    if (r->head.max_t > 0 && (f64)(r->head.max_t / 1000) > metric_value(m->highest_sent))
        metric_set(m->highest_sent, (f64)(r->head.max_t / 1000));
}

/* All lanes wait together: the first failure of a round sets the time, later ones can only move it out. */
static void back_off(Dest *d, const DestConf *conf, i64 retry_after, i64 now)
{
    i64 wait = retry_after;
    if (now >= d->paused_until_ns) {
        d->backoff_ms =
            d->backoff_ms ? MIN(d->backoff_ms * 2, conf->c.backoff_max_ms) : conf->c.backoff_min_ms;
        if (!wait)
            wait = d->backoff_ms;
    }
    if (wait)
        d->paused_until_ns = MAX(d->paused_until_ns, now + wait * NS_PER_MS);
}

static bool log_again(i64 *last, i64 now, i64 every_s)
{
    if (*last && now - *last < every_s * NS_PER_SEC)
        return false;
    *last = now;
    return true;
}

static void retry(Req *r, const HttpResult *res, i64 now)
{
    Dest *d = r->dest;
    i64 after = res->err == OK ? retry_after_ms(http_result_header(res, S("Retry-After")),
                                                clock_wall_ms(d->rw->clock) / 1000)
                               : 0;
    if (res->err == OK)
        snprintf(d->last_error, sizeof d->last_error, "the server answers %d", res->status);
    else
        str_fit(d->last_error, sizeof d->last_error, res->why.text);
    back_off(d, r->conf, after, now);
    if (log_again(&d->logged_retry_ns, now, 60))
        LOG_WARN("remote", "Sending failed, trying again", LF_STR("remote_name", d->id),
                 LF_C("err", d->last_error), LF_INT("attempts", r->attempts),
                 LF_INT("samples", record_points(&r->head)));
    r->state = REQ_RETRY;
}

static void give_up(Req *r, const HttpResult *res, i64 now)
{
    Dest *d = r->dest;
    char line[256];
    first_line(res->body, line);
    snprintf(d->last_error, sizeof d->last_error, "the server answers %d: %.200s", res->status, line);
    if (log_again(&d->logged_drop_ns, now, 10))
        LOG_ERROR("remote", "The server refused a batch; it is dropped", LF_STR("remote_name", d->id),
                  LF_INT("status", res->status), LF_C("answer", line),
                  LF_INT("samples", record_points(&r->head)));
    u64 written = 0, exemplars;
    if (r->is_v2 && res->status / 100 == 4)
        written_by_v2(res, &written, &exemplars);
    u64 points = record_points(&r->head);
    settle(r, false, points - MIN(points, written), now);
}

/* The receiver knows 1.0 only: the request goes again, and all later ones, in that form. */
static void fall_back(Req *r, int status)
{
    Dest *d = r->dest;
    if (!d->speaks_v1)
        LOG_WARN("remote", "The server does not know remote write 2.0; sending 1.0",
                 LF_STR("remote_name", d->id), LF_INT("status", status));
    d->speaks_v1 = true;
    r->state = REQ_RETRY;
}

static void accepted(Req *r, const HttpResult *res, i64 now)
{
    u64 written = 0, exemplars = 0, points = record_points(&r->head);
    if (!r->is_v2)
        settle(r, true, 0, now);
    else if (!written_by_v2(res, &written, &exemplars))
        fall_back(r, res->status);
    else
        settle(r, true, points - MIN(points, written), now);
}

static void answered(void *arg, const HttpResult *res)
{
    Req *r = arg;
    Dest *d = r->dest;
    i64 now = clock_mono_ns(d->rw->clock);
    mutex_lock(&d->answers);
    DestConf *conf = r->conf;
    r->handle = NULL;
    bool has_status = res->err == OK || (res->err == E_TOO_LARGE && res->status);
    if (res->err == E_CANCELED || d->rw->is_stopping)
        r->state = REQ_CANCELED;
    else if (has_status && res->status / 100 == 2)
        accepted(r, res, now);
    else if (!r->lanes)
        settle(r, false, 0, now);
    else if (has_status && r->is_v2 && res->status == 415)
        fall_back(r, res->status);
    else if (!has_status || res->status / 100 == 5 || (res->status == 429 && conf->c.retry_on_http_429))
        retry(r, res, now);
    else
        give_up(r, res, now);
    r->conf = NULL;
    mutex_unlock(&d->answers);
    dest_count_pending(d, conf);
    dest_conf_unref(conf);
    d->rw->inflight--;
    dest_schedule(d);
    dest_unref(d);
}

/* ---- requests ---- */

static void req_free(Req *r)
{
    buf_done(&r->body);
    buf_done(&r->body_v2);
    mem_free(r);
}

void dest_drop_requests(Dest *d)
{
    for (u32 i = 0; i < COUNT_OF(d->req); i++)
        if (d->req[i]) {
            check(d->req[i]->state != REQ_SENDING);
            req_free(d->req[i]);
            d->req[i] = NULL;
        }
}

static i64 oldest_allowed(const Dest *d, const DestConf *c)
{
    return c->c.sample_age_limit_ms ? clock_wall_ms(d->rw->clock) - c->c.sample_age_limit_ms : INT64_MIN;
}

static bool uses_v2(Dest *d, const DestConf *c)
{
    mutex_lock(&d->answers);
    bool ret = c->c.is_v2 && !d->speaks_v1;
    mutex_unlock(&d->answers);
    return ret;
}

/* What has become too old leaves the body, and for 1.0 what that does not know. false: nothing is left, or it cannot be read. */
static bool req_fit(Req *r, const DestConf *c)
{
    i64 min_t = oldest_allowed(r->dest, c);
    bool no_custom = r->head.histograms && !r->is_plain && !uses_v2(r->dest, c);
    if (!r->lanes || (r->head.min_t >= min_t && !no_custom))
        return true;
    Dest *d = r->dest;
    Buf pb;
    Why why;
    u64 before = record_points(&r->head);
    buf_init(&pb, RECORD_DECODED_MAX);
    bool ok = snappy_decode(buf_view(&r->body), RECORD_DECODED_MAX, &pb, &why) == OK &&
              record_filter(&pb, &r->head, min_t, no_custom, &why) == OK;
    if (!ok) {
        LOG_ERROR("remote", "A spooled batch cannot be read; it is dropped", LF_STR("remote_name", d->id),
                  LF_WHY(&why));
        r->head.samples = r->head.histograms = 0;
    }
    buf_clear(&r->body);
    if (ok)
        snappy_encode(buf_view(&pb), &r->body);
    buf_done(&pb);
    u64 gone = before - record_points(&r->head);
    dest_count_dropped(d, !ok ? c->m.dropped_disk : no_custom ? c->m.dropped_nhcb : c->m.dropped_old, gone);
    r->is_plain = no_custom;
    d->done += gone;
    return record_points(&r->head) > 0;
}

static void req_send(Req *r, DestConf *conf)
{
    Dest *d = r->dest;
    const RemoteWriteConfig *c = &conf->c;
    HttpHeader headers[64];
    u32 n = 0;
    headers[n++] = (HttpHeader){S("Content-Encoding"), S("snappy")};
    Why why;
    r->is_v2 = r->lanes && uses_v2(d, conf) && dest_encode_v2(d, r, &why);
    headers[n++] =
        (HttpHeader){S("Content-Type"), r->is_v2 ? S(REMOTE_TYPE_V2) : S("application/x-protobuf")};
    headers[n++] = (HttpHeader){S("X-Prometheus-Remote-Write-Version"), r->is_v2 ? S("2.0.0") : S("0.1.0")};
    headers[n++] = (HttpHeader){S("User-Agent"), str_c(d->rw->user_agent)};
    for (u32 i = 0; i < c->headers_len && n < COUNT_OF(headers); i++)
        headers[n++] = c->headers[i];
    if (r->attempts++) {
        metric_add(conf->m.retried, r->head.samples);
        metric_add(conf->m.retried_histograms, r->head.histograms);
        d->n_retried += record_points(&r->head);
    }
    HttpCall call = {.config = &c->http,
                     .egress = EGRESS_CONFIGURED,
                     .method = S("POST"),
                     .url = c->url,
                     .headers = headers,
                     .headers_len = n,
                     .body = buf_view(r->is_v2 ? &r->body_v2 : &r->body),
                     .timeout_ms = c->timeout_ms,
                     .body_max = ANSWER_MAX};
    d->refs++;
    d->rw->inflight++;
    mutex_lock(&d->answers); /* the answer may come before http_send returns */
    r->conf = dest_conf_ref(conf);
    r->state = REQ_SENDING;
    r->sent_ns = clock_mono_ns(d->rw->clock);
    r->handle = http_send(d->rw->http, &call, answered, r);
    mutex_unlock(&d->answers);
}

/* ---- read-ahead ---- */

static void lane_push(Lane *l, Queued q)
{
    if (l->first > 64 && l->first * 2 > l->queue.len) {
        memmove(l->queue.at, l->queue.at + l->first, (l->queue.len - l->first) * sizeof q);
        l->queue.len -= l->first;
        l->first = 0;
    }
    vec_push(&l->queue, q);
    l->points += record_points(&q.head);
}

static inline Queued *lane_head(Lane *l)
{
    return l->first < l->queue.len ? &l->queue.at[l->first] : NULL;
}

static void note_gap(Dest *d, const DestConf *c, u64 points)
{
    if (!points)
        return;
    dest_count_dropped(d, c->m.dropped_disk, points);
    d->done += points;
    if (log_again(&d->logged_step_ns, clock_mono_ns(d->rw->clock), 60))
        LOG_ERROR("remote", "Unsent samples were lost to the disk limit of the spool",
                  LF_STR("remote_name", d->id), LF_INT("samples", points));
}

static u64 dest_cursor_locked(Dest *d)
{
    mutex_lock(&d->answers);
    u64 cursor = dest_cursor(d);
    mutex_unlock(&d->answers);
    return cursor;
}

/* false: there is nothing to read. */
static bool read_ahead(Dest *d, const DestConf *c)
{
    Buf rec;
    Why why;
    u64 from = d->next_seq;
    buf_init(&rec, RECORD_READ_MAX);
    u64 points_max = (u64)c->c.capacity * c->lanes;
    while (d->queued_bytes < READ_AHEAD_BYTES && d->queued_points < points_max) {
        u64 seq;
        RecordHead h;
        Str block;
        buf_clear(&rec);
        Err e = spool_read(d->spool, d->next_seq, &rec, &seq, &why);
        if (e == E_NOT_FOUND)
            break;
        if (e != OK) {
            if (log_again(&d->logged_step_ns, clock_mono_ns(d->rw->clock), 60))
                LOG_ERROR("remote", "Reading the spool failed", LF_STR("remote_name", d->id), LF_WHY(&why));
            break;
        }
        if (record_head_decode(buf_view(&rec), &h, &block, &why) != OK) {
            LOG_ERROR("remote", "A spool record is passed over", LF_STR("remote_name", d->id), LF_WHY(&why));
            d->next_seq = seq + 1;
            continue;
        }
        if (h.lanes != d->lanes_len) {
            if (d->lanes_len && dest_cursor_locked(d) != d->next_seq)
                break; /* of another number of lanes: first everything before it is answered */
            d->lanes_len = h.lanes;
        }
        note_gap(d, c, h.total > d->read_total ? h.total - d->read_total : 0);
        d->read_total = h.total + record_points(&h);
        Queued q = {.seq = seq, .head = h, .block = mem_dup(block), .since_ns = clock_mono_ns(d->rw->clock)};
        lane_push(&d->lanes[h.lane], q);
        d->queued_bytes += block.len;
        d->queued_points += record_points(&h);
        d->next_seq = seq + 1;
    }
    buf_done(&rec);
    return d->next_seq > from;
}

/* ---- building ---- */

static u64 idle_lanes(Dest *d, u64 *ret_points, i64 *ret_since)
{
    u64 mask = 0;
    *ret_points = 0;
    *ret_since = INT64_MAX;
    mutex_lock(&d->answers);
    for (u32 i = 0; i < REMOTE_LANES_MAX; i++) {
        Lane *l = &d->lanes[i];
        Queued *q = lane_head(l);
        if (l->inflight_seq || !q)
            continue;
        mask |= 1ULL << i;
        *ret_points += l->points;
        *ret_since = MIN(*ret_since, q->since_ns);
    }
    mutex_unlock(&d->answers);
    return mask;
}

/* Puts a record's request behind what is in pb. E_TOO_LARGE: it belongs into the next request. */
static Err unpack(Dest *d, const DestConf *c, RecordHead *head, const RecordHead *h, Str block, Buf *pb)
{
    Why why;
    Err e = snappy_decode(block, RECORD_DECODED_MAX, pb, &why);
    if (e == OK) {
        record_head_add(head, h);
    } else if (e != E_TOO_LARGE || !pb->len) {
        LOG_ERROR("remote", "A spool record is passed over", LF_STR("remote_name", d->id), LF_WHY(&why));
        note_gap(d, c, record_points(h));
        e = E_CORRUPT;
    }
    return e;
}

static void lane_pop(Dest *d, Req *r, u32 lane)
{
    Lane *l = &d->lanes[lane];
    Queued *q = &l->queue.at[l->first++];
    if (!(r->lanes >> lane & 1)) {
        mutex_lock(&d->answers);
        l->inflight_seq = q->seq;
        mutex_unlock(&d->answers);
        r->lanes |= 1ULL << lane;
    }
    l->points -= record_points(&q->head);
    d->queued_bytes -= q->block.len;
    d->queued_points -= record_points(&q->head);
    mem_free((void *)q->block.at);
}

/* Moves records of the idle lanes into one request, up to max points (one record at least). */
static Req *req_build(Dest *d, const DestConf *c, u64 mask)
{
    Req *r = mem_new(Req);
    Buf pb;
    u32 max = c->samples_per_send;
    r->dest = d;
    record_head_reset(&r->head);
    buf_init(&r->body, RECORD_READ_MAX);
    buf_init(&pb, RECORD_DECODED_MAX);
    bool full = false;
    for (u32 i = 0; i < REMOTE_LANES_MAX && !full; i++)
        for (Queued *q; mask >> i & 1 && (q = lane_head(&d->lanes[i]));) {
            full = r->lanes && record_points(&r->head) + record_points(&q->head) > max;
            if (full)
                break;
            /* What fills a request by itself goes out as it lies there. */
            if (!r->lanes && record_points(&q->head) >= max) {
                buf_str(&r->body, q->block);
                record_head_add(&r->head, &q->head);
                lane_pop(d, r, i);
                full = true;
                break;
            }
            full = unpack(d, c, &r->head, &q->head, q->block, &pb) == E_TOO_LARGE;
            if (full)
                break;
            lane_pop(d, r, i);
        }
    if (!r->body.len)
        snappy_encode(buf_view(&pb), &r->body);
    buf_done(&pb);
    return r;
}

static void lanes_release(Dest *d, Req *r)
{
    mutex_lock(&d->answers);
    for (u32 i = 0; i < REMOTE_LANES_MAX; i++)
        if (r->lanes >> i & 1)
            d->lanes[i].inflight_seq = 0;
    mutex_unlock(&d->answers);
    req_free(r);
}

/* Sends what is full or has waited long enough; returns when to look again. */
static i64 send_ready(Dest *d, DestConf *c, i64 now)
{
    for (;;) {
        u64 points;
        i64 since;
        u64 mask = idle_lanes(d, &points, &since);
        if (!mask)
            return INT64_MAX;
        i64 due = since + c->c.batch_send_deadline_ms * NS_PER_MS;
        if (points < c->samples_per_send && now < due && !d->rw->is_draining &&
            d->queued_bytes < READ_AHEAD_BYTES)
            return due;
        Req *r = req_build(d, c, mask);
        if (!req_fit(r, c) || !(record_points(&r->head) + r->head.exemplars)) {
            lanes_release(d, r);
            continue;
        }
        Req **slot = &d->req[__builtin_ctzll(r->lanes)];
        if (*slot) /* settled since we looked: its lanes are idle */
            req_free(*slot);
        *slot = r;
        req_send(r, c);
    }
}

/* ---- metadata ---- */

static void meta_round(Dest *d, const DestConf *c)
{
    d->meta_chunks.len = d->meta_first = 0;
    MetadataItem batch[256];
    Buf pb;
    buf_init(&pb, RECORD_DECODED_MAX);
    u32 n = 0, in_pb = 0, max = c->c.metadata_per_send_max;
    StrMapSlot *slot;
    mutex_lock(&d->mutex);
    for (size_t i = 0;;) {
        slot = strmap_next(&d->metadata, &i);
        if (slot) {
            const MetadataItem *m = slot->value;
            batch[n++] = (MetadataItem){slot->key, m->help, m->unit, m->type};
        }
        if (n == COUNT_OF(batch) || !slot || in_pb + n >= max) {
            remote_write_encode(NULL, 0, batch, n, &pb);
            in_pb += n;
            n = 0;
        }
        if (in_pb && (!slot || in_pb >= max || pb.len > 4 << 20)) {
            MetaChunk chunk = {.len = in_pb};
            buf_init(&chunk.body, RECORD_READ_MAX);
            snappy_encode(buf_view(&pb), &chunk.body);
            vec_push(&d->meta_chunks, chunk);
            buf_clear(&pb);
            in_pb = 0;
        }
        if (!slot)
            break;
    }
    mutex_unlock(&d->mutex);
    buf_done(&pb);
}

static i64 send_metadata(Dest *d, DestConf *c, i64 now)
{
    if (!c->c.send_metadata || uses_v2(d, c))
        return INT64_MAX; /* 2.0 sends it with each series */
    if (d->req[REMOTE_LANES_MAX])
        return INT64_MAX;
    if (d->meta_first == d->meta_chunks.len) {
        if (now < d->metadata_due_ns)
            return d->metadata_due_ns;
        d->metadata_due_ns = now + c->c.metadata_interval_ms * NS_PER_MS;
        meta_round(d, c);
        if (!d->meta_chunks.len)
            return INT64_MAX;
    }
    MetaChunk chunk = d->meta_chunks.at[d->meta_first++];
    Req *r = mem_new(Req);
    r->dest = d;
    r->metadata = chunk.len;
    r->body = chunk.body;
    d->req[REMOTE_LANES_MAX] = r;
    req_send(r, c);
    return INT64_MAX;
}

/* ---- the step ---- */

u64 dest_cursor(Dest *d)
{
    u64 cursor = d->next_seq;
    for (u32 i = 0; i < REMOTE_LANES_MAX; i++) {
        Queued *q = lane_head(&d->lanes[i]);
        if (d->lanes[i].inflight_seq)
            cursor = MIN(cursor, d->lanes[i].inflight_seq);
        else if (q)
            cursor = MIN(cursor, q->seq);
    }
    return cursor;
}

static i64 save_cursor(Dest *d, i64 now)
{
    u64 cursor = dest_cursor_locked(d);
    if (cursor == d->cursor_saved)
        return INT64_MAX;
    if (now - d->cursor_ns < CURSOR_SAVE_NS)
        return d->cursor_ns + CURSOR_SAVE_NS;
    Why why;
    d->cursor_ns = now;
    if (spool_cursor_save(d->spool, CURSOR_NAME, cursor, &why) != OK ||
        spool_trim(d->spool, cursor, &why) != OK) {
        if (log_again(&d->logged_step_ns, now, 60))
            LOG_ERROR("remote", "Saving where the sender is failed", LF_STR("remote_name", d->id),
                      LF_WHY(&why));
        return now + CURSOR_SAVE_NS;
    }
    d->cursor_saved = cursor;
    return INT64_MAX;
}

/* Seals what has waited long enough and makes it durable. */
static i64 flush_fill(Dest *d, i64 now)
{
    Why why;
    i64 flush_ns = d->rw->o.flush_ms * NS_PER_MS, due = INT64_MAX;
    bool sync = false;
    mutex_lock(&d->mutex);
    if (d->fill_since_ns && (now - d->fill_since_ns >= flush_ns || d->is_removed || d->rw->is_draining)) {
        if (dest_seal_all(d, &why) != OK && log_again(&d->logged_step_ns, now, 60))
            LOG_ERROR("remote", "The spool does not take samples", LF_STR("remote_name", d->id),
                      LF_WHY(&why));
        sync = d->needs_sync;
        d->needs_sync = false;
    }
    if (d->fill_since_ns)
        due = d->fill_since_ns + flush_ns;
    mutex_unlock(&d->mutex);
    if (sync && spool_sync(d->spool, &why) != OK && log_again(&d->logged_step_ns, now, 60))
        LOG_ERROR("remote", "Syncing the spool failed", LF_STR("remote_name", d->id), LF_WHY(&why));
    return due;
}

/* Frees what is settled, sends again what may be; true while a request waits for its time. */
static bool tend_requests(Dest *d, DestConf *c, bool may_send)
{
    bool waiting = false;
    for (u32 i = 0; i < COUNT_OF(d->req); i++) {
        Req *r = d->req[i];
        if (!r)
            continue;
        mutex_lock(&d->answers);
        ReqState s = r->state;
        mutex_unlock(&d->answers);
        if (s == REQ_DONE) {
            d->req[i] = NULL;
            req_free(r);
        } else if (s == REQ_RETRY && may_send) {
            if (req_fit(r, c)) {
                req_send(r, c);
            } else {
                d->req[i] = NULL;
                lanes_release(d, r);
            }
        } else if (s == REQ_RETRY) {
            waiting = true;
        }
    }
    return waiting;
}

static void step_once(Dest *d)
{
    i64 now = clock_mono_ns(d->rw->clock), due = flush_fill(d, now), at;
    mutex_lock(&d->mutex);
    DestConf *c = dest_conf_ref(d->conf);
    bool active = !d->is_removed && !d->rw->is_stopping;
    mutex_unlock(&d->mutex);
    mutex_lock(&d->answers);
    i64 paused_until = d->paused_until_ns;
    mutex_unlock(&d->answers);
    bool may_send = active && now >= paused_until;
    bool waiting = tend_requests(d, c, may_send);
    if (active)
        read_ahead(d, c);
    if (may_send) {
        do
            at = send_ready(d, c, now);
        while (d->queued_bytes < READ_AHEAD_BYTES / 2 && read_ahead(d, c));
        due = MIN(due, at);
        at = send_metadata(d, c, now);
        due = MIN(due, at);
    } else if (active && (waiting || d->queued_bytes)) {
        due = MIN(due, paused_until);
    }
    at = save_cursor(d, now);
    due = MIN(due, at);
    metric_set(c->m.spool_bytes, (f64)spool_bytes(d->spool));
    dest_count_pending(d, c);
    dest_conf_unref(c);
    if (due != INT64_MAX)
        remote_write_arm(d->rw, due);
}

static void step_job(void *arg)
{
    Dest *d = arg;
    for (;;) {
        mutex_lock(&d->answers);
        bool go = d->step_wanted && !d->no_steps;
        d->step_wanted = false;
        if (!go)
            d->step_queued = false;
        mutex_unlock(&d->answers);
        if (!go)
            break;
        step_once(d);
        dest_close_if_idle(d);
    }
    dest_unref(d);
}

void dest_schedule(Dest *d)
{
    bool submit = false;
    if (d->rw->is_stopping)
        return;
    mutex_lock(&d->answers);
    d->step_wanted = true;
    if (!d->step_queued && !d->no_steps) {
        d->step_queued = submit = true;
        d->refs++;
    }
    mutex_unlock(&d->answers);
    if (submit && pool_submit(d->rw->pool, step_job, d) != OK) {
        mutex_lock(&d->answers);
        d->step_queued = false;
        mutex_unlock(&d->answers);
        dest_unref(d);
    }
}
