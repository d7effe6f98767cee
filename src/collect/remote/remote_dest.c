/* A destination: its metrics, its spool, and the way of samples into it. */
#include "collect/remote/remote_internal.h"
#include <stdio.h>

enum {
    FILL_KEEP_MAX = 4 << 20, /* what a lane may hold while the disk refuses */
    METADATA_MAX = 50000,    /* families remembered */
    RECORD_MAX = 48 << 20,
};

/* ---- metrics ---- */

static void label_value(Buf *b, Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\\' || s.at[i] == '"')
            buf_char(b, '\\');
        if (s.at[i] == '\n')
            buf_c(b, "\\n");
        else
            buf_char(b, s.at[i]);
    }
}

static Metric *dropped(const char *labels, const char *reason)
{
    char text[8400];
    snprintf(text, sizeof text, "%s,reason=\"%s\"", labels, reason);
    return metric_counter("prometheus_remote_storage_samples_dropped_total",
                          "Samples that were left out before sending, by reason.", text);
}

u32 dest_lanes(const RemoteWriteConfig *c)
{
    return MIN(MIN(MAX((u32)REMOTE_LANES, c->shards_min), c->shards_max), (u32)REMOTE_LANES_MAX);
}

void dest_metrics_init(DestMetrics *ret, const RemoteWriteConfig *c, Str id)
{
    static const char p[] = "prometheus_remote_storage_";
    Buf b;
    buf_init(&b, 8192);
    buf_c(&b, "remote_name=\"");
    label_value(&b, c->name.len ? c->name : id);
    buf_c(&b, "\",url=\"");
    Buf url;
    buf_init(&url, 1024);
    url_print_redacted(&url, c->url);
    label_value(&b, buf_view(&url));
    buf_done(&url);
    buf_c(&b, "\"");
    const char *l = buf_cstr(&b);
    char name[128];
#define NAMED(suffix) (snprintf(name, sizeof name, "%s%s", p, suffix), name)
    *ret = (DestMetrics){
        .samples = metric_counter(NAMED("samples_total"), "Samples sent and accepted.", l),
        .histograms = metric_counter(NAMED("histograms_total"), "Native histograms sent and accepted.", l),
        .exemplars = metric_counter(NAMED("exemplars_total"), "Exemplars sent and accepted.", l),
        .metadata = metric_counter(NAMED("metadata_total"), "Metadata entries sent and accepted.", l),
        .failed = metric_counter(NAMED("samples_failed_total"),
                                 "Samples given up after an answer that forbids retries.", l),
        .failed_histograms =
            metric_counter(NAMED("histograms_failed_total"), "Native histograms given up.", l),
        .failed_metadata = metric_counter(NAMED("metadata_failed_total"), "Metadata entries given up.", l),
        .retried = metric_counter(NAMED("samples_retried_total"), "Samples sent again after a failure.", l),
        .retried_histograms =
            metric_counter(NAMED("histograms_retried_total"), "Native histograms sent again.", l),
        .pending = metric_gauge(NAMED("samples_pending"),
                                "Samples and histograms waiting to be sent, on disk included.", l),
        .bytes = metric_counter(NAMED("bytes_total"), "Compressed bytes of accepted requests.", l),
        .shards = metric_gauge(NAMED("shards"), "Lanes that send side by side.", l),
        .highest_sent = metric_gauge(NAMED("queue_highest_sent_timestamp_seconds"),
                                     "Newest timestamp that was accepted.", l),
        .batch_seconds = metric_histogram(NAMED("sent_batch_duration_seconds"), "How long requests took.", l,
                                          metric_latency_bounds, COUNT_OF(metric_latency_bounds)),
        .spool_bytes = metric_gauge("pharos_remote_write_spool_bytes", "Disk space of the spool.", l),
        .dropped_relabel = dropped(l, "dropped_series"),
        .dropped_old = dropped(l, "too_old"),
        .dropped_disk = dropped(l, "disk_limit"),
        .dropped_full = dropped(l, "disk_full"),
        .dropped_nhcb = dropped(l, "nhcb_in_rw1_not_supported"),
        .dropped_native = dropped(l, "native_histograms_not_enabled"),
    };
    u32 lanes = dest_lanes(c);
    metric_set(ret->shards, lanes);
    const struct {
        const char *name, *help;
        u32 n;
    } fixed[] = {{"shards_max", "Lanes there can be.", c->shards_max},
                 {"shards_min", "Lanes there are at least.", c->shards_min},
                 {"shards_desired", "Lanes wanted.", lanes}};
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        metric_set(metric_gauge(NAMED(fixed[i].name), fixed[i].help, l), fixed[i].n);
    metric_set(metric_gauge(NAMED("max_samples_per_send"), "Samples a request holds at most.", l),
               c->samples_per_send_max);
#undef NAMED
    buf_done(&b);
}

void dest_count_pending(Dest *d, const DestConf *c)
{
    u64 done = d->done, taken = d->taken; /* in this order: never negative */
    metric_set(c->m.pending, (f64)(taken - done));
}

void dest_count_dropped(Dest *d, Metric *reason, u64 points)
{
    metric_add(reason, (f64)points);
    d->n_dropped += points;
}

/* ---- life ---- */

/* How many points the spool has ever held, from its last record; and where reading starts. */
static Err find_place(Dest *d, Why *why)
{
    u64 tail = spool_tail(d->spool), cursor = spool_cursor_load(d->spool, CURSOR_NAME), seq;
    Buf rec;
    RecordHead h;
    Str block;
    buf_init(&rec, RECORD_MAX);
    /* A cursor past the tail: records were sent that a power cut took from the spool. */
    d->next_seq = MAX(MIN(cursor, tail), spool_oldest(d->spool));
    Err e = tail > spool_oldest(d->spool) ? spool_read(d->spool, tail - 1, &rec, &seq, why) : E_NOT_FOUND;
    if (e == OK && record_head_decode(buf_view(&rec), &h, &block, why) == OK)
        d->total = h.total + record_points(&h);
    d->read_total = d->total;
    if (e == OK && d->next_seq < tail) {
        buf_clear(&rec);
        if (spool_read(d->spool, d->next_seq, &rec, &seq, why) == OK &&
            record_head_decode(buf_view(&rec), &h, &block, why) == OK)
            d->read_total = h.total;
    }
    buf_done(&rec);
    d->taken = d->total - d->read_total; /* counted from here */
    d->cursor_saved = cursor;
    return e == E_NOT_FOUND ? OK : e;
}

Err dest_open(RemoteWrite *rw, DestConf *conf, Str id, Dest **ret, Why *why)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%.*s", rw->dir, STR_FMT(id));
    TRY(vfs_mkdirs(rw->o.vfs, path, why));
    Dest *d = mem_new(Dest);
    d->rw = rw;
    d->refs = 1;
    d->id = mem_dup(id);
    mutex_init(&d->mutex, RANK_ENGINE);
    mutex_init(&d->answers, RANK_SHARD);
    arena_init(&d->arena, NULL, 64 << 20);
    d->fill_lanes = conf->lanes;
    for (u32 i = 0; i < REMOTE_LANES_MAX; i++) {
        buf_init(&d->fill[i].pb, RECORD_DECODED_MAX);
        d->fill[i].head.lane = (u8)i;
        record_head_reset(&d->fill[i].head);
    }
    /* The oldest goes segment by segment: a small spool needs small ones. */
    SpoolConfig sc = {.vfs = rw->o.vfs,
                      .dir = path,
                      .bytes_max = rw->o.disk_bytes_max,
                      .segment_bytes = MIN(8ULL << 20, rw->o.disk_bytes_max / 8)};
    Err e = spool_open(&d->spool, &sc, why);
    if (e == OK)
        e = find_place(d, why);
    if (e != OK) {
        if (why && why->err != OK)
            why_prefix(why, "opening the remote_write spool %s: ", path);
        d->is_closed = true;
        dest_unref(d);
        return e;
    }
    d->conf = dest_conf_ref(conf);
    d->metadata_due_ns = clock_mono_ns(rw->clock) + conf->c.metadata_interval_ms * NS_PER_MS;
    dest_count_pending(d, conf);
    *ret = d;
    return OK;
}

void dest_shut(Dest *d)
{
    Why why;
    if (!d->spool)
        return;
    if (spool_sync(d->spool, &why) != OK ||
        spool_cursor_save(d->spool, CURSOR_NAME, dest_cursor(d), &why) != OK)
        LOG_ERROR("remote", "Saving where the sender was failed; some samples will be sent again",
                  LF_STR("remote_name", d->id), LF_WHY(&why));
    spool_close(d->spool);
    d->spool = NULL;
}

static void meta_item_free(MetadataItem *m)
{
    mem_free((void *)m->help.at);
    mem_free((void *)m->unit.at);
    mem_free(m);
}

void dest_unref(Dest *d)
{
    if (--d->refs)
        return;
    check(d->is_closed);
    dest_shut(d);
    dest_drop_requests(d);
    for (u32 i = 0; i < REMOTE_LANES_MAX; i++) {
        buf_done(&d->fill[i].pb);
        for (size_t k = d->lanes[i].first; k < d->lanes[i].queue.len; k++)
            mem_free((void *)d->lanes[i].queue.at[k].block.at);
        vec_done(&d->lanes[i].queue);
    }
    for (size_t i = d->meta_first; i < d->meta_chunks.len; i++)
        buf_done(&d->meta_chunks.at[i].body);
    vec_done(&d->meta_chunks);
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(&d->metadata, &i));)
        meta_item_free(slot->value);
    strmap_done(&d->metadata);
    dest_conf_unref(d->conf);
    arena_done(&d->arena);
    mutex_done(&d->mutex);
    mutex_done(&d->answers);
    mem_free((void *)d->id.at);
    mem_free(d);
}

/* ---- into the spool ---- */

static Err seal_lane(Dest *d, Fill *f, Why *why)
{
    Buf rec;
    u64 seq;
    u8 head[RECORD_HEAD_BYTES];
    f->head.total = d->total;
    f->head.lanes = (u8)d->fill_lanes;
    record_head_encode(&f->head, head);
    buf_init(&rec, RECORD_MAX);
    buf_put(&rec, head, sizeof head);
    snappy_encode(buf_view(&f->pb), &rec);
    Err e = buf_over(&rec) ? why_set(why, E_TOO_LARGE, "a batch is too large for the spool")
                           : spool_append(d->spool, buf_view(&rec), false, &seq, why);
    buf_done(&rec);
    if (e == OK) {
        d->total += record_points(&f->head);
        d->needs_sync = true;
    } else if (f->pb.len < FILL_KEEP_MAX) {
        return e; /* tried again with what comes next */
    } else {
        i64 now = clock_mono_ns(d->rw->clock);
        dest_count_dropped(d, d->conf->m.dropped_full, record_points(&f->head));
        d->done += record_points(&f->head);
        if (!d->logged_disk_ns || now - d->logged_disk_ns > 60 * NS_PER_SEC) {
            d->logged_disk_ns = now;
            LOG_ERROR("remote", "Dropping samples: the spool does not take them",
                      LF_STR("remote_name", d->id), LF_WHY(why));
        }
    }
    buf_clear(&f->pb);
    record_head_reset(&f->head);
    return e;
}

Err dest_seal_all(Dest *d, Why *why)
{
    Err first = OK;
    Why one;
    for (u32 i = 0; i < d->fill_lanes; i++) {
        if (!d->fill[i].pb.len)
            continue;
        Err e = seal_lane(d, &d->fill[i], &one);
        if (e != OK && first == OK) {
            first = e;
            if (why)
                *why = one;
        }
    }
    d->fill_since_ns = first == OK ? 0 : clock_mono_ns(d->rw->clock);
    return first;
}

/* Adds a series to its lane, sealing what is full. *sealed: the sender has something to do. */
static Err fill_add(Dest *d, Fill *f, const SeriesItem *s, bool *sealed, Why *why)
{
    u32 max = d->conf->samples_per_send, done = 0, hists_done = 0;
    Err first = OK;
    do {
        u64 have = record_points(&f->head);
        if (have >= max) {
            Err e = seal_lane(d, f, why);
            *sealed |= e == OK;
            first = first == OK ? e : first;
            have = 0; /* refused: the record grows past max rather than being lost */
        }
        u32 room = max - (u32)have;
        SeriesItem part = {.labels = s->labels, .start_t = d->conf->c.is_v2 ? s->start_t : 0};
        if (s->samples_len)
            part.samples = s->samples + done;
        if (s->hists_len)
            part.hists = s->hists + hists_done, part.hist_t = s->hist_t + hists_done;
        part.samples_len = MIN(s->samples_len - done, room);
        part.hists_len = MIN(s->hists_len - hists_done, room - part.samples_len);
        if (done + hists_done == 0)
            part.exemplars = s->exemplars, part.exemplars_len = s->exemplars_len;
        remote_write_encode(&part, 1, NULL, 0, &f->pb);
        RecordHead more = {.samples = part.samples_len,
                           .histograms = part.hists_len,
                           .exemplars = part.exemplars_len,
                           .min_t = INT64_MAX,
                           .max_t = INT64_MIN};
        for (u32 i = 0; i < part.samples_len; i++)
            more.min_t = MIN(more.min_t, part.samples[i].t), more.max_t = MAX(more.max_t, part.samples[i].t);
        for (u32 i = 0; i < part.hists_len; i++)
            more.min_t = MIN(more.min_t, part.hist_t[i]), more.max_t = MAX(more.max_t, part.hist_t[i]);
        record_head_add(&f->head, &more);
        d->taken += record_points(&more);
        done += part.samples_len;
        hists_done += part.hists_len;
    } while (done < s->samples_len || hists_done < s->hists_len);
    return first;
}

/* ---- what is sent of a series ---- */

static void add_external(LabelsBuilder *b, Labels external)
{
    for (u32 i = 0; i < external.len; i++)
        if (!lb_get(b, external.at[i].name).len)
            lb_set(b, external.at[i].name, external.at[i].value);
}

static void choose_histograms(Dest *d, SeriesItem *s)
{
    if (!s->hists_len)
        return;
    if (!d->conf->c.send_native_histograms) {
        dest_count_dropped(d, d->conf->m.dropped_native, s->hists_len);
        s->hists_len = 0;
        return;
    }
    u32 custom = 0;
    for (u32 i = 0; i < s->hists_len; i++)
        custom += s->hists[i]->schema == HIST_SCHEMA_CUSTOM;
    if (!custom || d->conf->c.is_v2)
        return;
    dest_count_dropped(d, d->conf->m.dropped_nhcb, custom);
    const Histogram **hists = arena_array(&d->arena, const Histogram *, s->hists_len);
    i64 *t = arena_array(&d->arena, i64, s->hists_len);
    u32 n = 0;
    for (u32 i = 0; hists && t && i < s->hists_len; i++)
        if (s->hists[i]->schema != HIST_SCHEMA_CUSTOM)
            t[n] = s->hist_t[i], hists[n++] = s->hists[i];
    s->hists = hists, s->hist_t = t, s->hists_len = n;
}

static Err write_series(Dest *d, const SeriesItem *in, bool *sealed, SinkResult *ret)
{
    const DestConf *c = d->conf;
    SeriesItem s = *in;
    choose_histograms(d, &s);
    if (!c->c.send_exemplars)
        s.exemplars_len = 0;
    if (!s.samples_len && !s.hists_len && !s.exemplars_len)
        return OK;
    if (c->external.len || c->c.relabel.len) {
        LabelsBuilder b;
        lb_init(&b, &d->arena, s.labels);
        add_external(&b, c->external);
        if (!relabel_apply(c->c.relabel, &b)) {
            dest_count_dropped(d, d->conf->m.dropped_relabel, (u64)s.samples_len + s.hists_len);
            return OK;
        }
        s.labels = lb_build(&b);
        if (!s.labels.len) {
            dest_count_dropped(d, d->conf->m.dropped_relabel, (u64)s.samples_len + s.hists_len);
            return OK;
        }
    }
    ret->samples_ok += s.samples_len;
    ret->histograms_ok += s.hists_len;
    ret->exemplars_ok += s.exemplars_len;
    return fill_add(d, &d->fill[labels_hash(s.labels) % d->fill_lanes], &s, sealed, &ret->why);
}

static void note_metadata(Dest *d, const MetadataItem *in)
{
    MetadataItem *m = strmap_find(&d->metadata, in->family);
    if (m && m->type == in->type && str_eq(m->help, in->help) && str_eq(m->unit, in->unit))
        return;
    if (!m && d->metadata.len >= METADATA_MAX)
        return;
    if (m)
        meta_item_free(m);
    m = mem_new(MetadataItem);
    *m = (MetadataItem){.help = mem_dup(in->help), .unit = mem_dup(in->unit), .type = in->type};
    strmap_put(&d->metadata, in->family, m);
}

void dest_write(Dest *d, const SampleBatch *batch, SinkResult *ret)
{
    bool sealed = false, arm = false, sync = false;
    Err e = OK;
    i64 now = clock_mono_ns(d->rw->clock);
    *ret = (SinkResult){0};
    mutex_lock(&d->mutex);
    if (d->is_removed || d->is_closed) {
        mutex_unlock(&d->mutex);
        return;
    }
    if (d->fill_lanes != d->conf->lanes && dest_seal_all(d, NULL) == OK)
        d->fill_lanes = d->conf->lanes; /* else what is there must go first, and it does not: as before */
    for (u32 i = 0; i < batch->series_len; i++) {
        Err one = write_series(d, &batch->series[i], &sealed, ret);
        e = e == OK ? one : e;
        if (i % 64 == 63)
            arena_reset(&d->arena);
    }
    arena_reset(&d->arena);
    if (d->conf->c.send_metadata || d->conf->c.is_v2)
        for (u32 i = 0; i < batch->metadata_len; i++)
            note_metadata(d, &batch->metadata[i]);
    if (!batch->from_self) {
        Err one = dest_seal_all(d, e == OK ? &ret->why : NULL);
        e = e == OK ? one : e;
        sync = d->needs_sync;
        d->needs_sync = false;
        sealed = true;
    } else if (!d->fill_since_ns && batch->series_len) {
        d->fill_since_ns = now;
        arm = true;
    }
    dest_count_pending(d, d->conf);
    d->users += sync;
    mutex_unlock(&d->mutex);
    if (sync) {
        Err one = spool_sync(d->spool, e == OK ? &ret->why : NULL);
        e = e == OK ? one : e;
        mutex_lock(&d->mutex);
        d->users--;
        mutex_unlock(&d->mutex);
    }
    ret->err = e;
    if (sealed)
        dest_schedule(d);
    if (arm)
        remote_write_arm(d->rw, now + d->rw->o.flush_ms * NS_PER_MS);
}
