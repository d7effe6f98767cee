#include "collect/remote/remote_internal.h"

void record_head_encode(const RecordHead *h, u8 at[RECORD_HEAD_BYTES])
{
    memset(at, 0, RECORD_HEAD_BYTES);
    at[0] = 1;
    at[1] = h->lane;
    at[2] = h->lanes;
    memcpy(at + 4, &h->samples, 4);
    memcpy(at + 8, &h->histograms, 4);
    memcpy(at + 12, &h->exemplars, 4);
    memcpy(at + 16, &h->min_t, 8);
    memcpy(at + 24, &h->max_t, 8);
    memcpy(at + 32, &h->total, 8);
}

Err record_head_decode(Str record, RecordHead *ret, Str *ret_block, Why *why)
{
    const char *at = record.at;
    u8 lanes = record.len < RECORD_HEAD_BYTES ? 0 : at[2] ? (u8)at[2] : REMOTE_LANES;
    if (!lanes || at[0] != 1 || lanes > REMOTE_LANES_MAX || (u8)at[1] >= lanes)
        return why_set(why, E_CORRUPT, "a record of the remote_write spool has an unknown head (%zu bytes)",
                       record.len);
    *ret = (RecordHead){.lane = (u8)at[1], .lanes = lanes};
    memcpy(&ret->samples, at + 4, 4);
    memcpy(&ret->histograms, at + 8, 4);
    memcpy(&ret->exemplars, at + 12, 4);
    memcpy(&ret->min_t, at + 16, 8);
    memcpy(&ret->max_t, at + 24, 8);
    memcpy(&ret->total, at + 32, 8);
    *ret_block = str_skip(record, RECORD_HEAD_BYTES);
    return OK;
}

void record_head_reset(RecordHead *h)
{
    *h = (RecordHead){.lane = h->lane, .lanes = h->lanes, .min_t = INT64_MAX, .max_t = INT64_MIN};
}

void record_head_add(RecordHead *to, const RecordHead *more)
{
    to->samples += more->samples;
    to->histograms += more->histograms;
    to->exemplars += more->exemplars;
    to->min_t = MIN(to->min_t, more->min_t);
    to->max_t = MAX(to->max_t, more->max_t);
}

Err record_filter(Buf *pb, RecordHead *h, i64 min_t, bool no_custom, Why *why)
{
    Arena a;
    WriteDecoded d;
    arena_init(&a, NULL, 256 << 20);
    Err e = remote_write_decode(buf_view(pb), &a, &d, why);
    if (e == OK) {
        Buf out;
        buf_init(&out, RECORD_DECODED_MAX);
        record_head_reset(h);
        u32 kept = 0;
        for (u32 i = 0; i < d.series_len; i++) {
            SeriesItem *s = &d.series[i];
            Sample *samples = (Sample *)s->samples;
            const Histogram **hists = (const Histogram **)s->hists;
            i64 *hist_t = (i64 *)s->hist_t;
            u32 n = 0, m = 0;
            for (u32 k = 0; k < s->samples_len; k++)
                if (samples[k].t >= min_t) {
                    h->min_t = MIN(h->min_t, samples[k].t), h->max_t = MAX(h->max_t, samples[k].t);
                    samples[n++] = samples[k];
                }
            for (u32 k = 0; k < s->hists_len; k++)
                if (hist_t[k] >= min_t && !(no_custom && hists[k]->schema == HIST_SCHEMA_CUSTOM)) {
                    h->min_t = MIN(h->min_t, hist_t[k]), h->max_t = MAX(h->max_t, hist_t[k]);
                    hist_t[m] = hist_t[k], hists[m++] = hists[k];
                }
            s->samples_len = n, s->hists_len = m;
            if (!n && !m)
                continue;
            h->samples += n, h->histograms += m, h->exemplars += s->exemplars_len;
            d.series[kept++] = *s;
        }
        remote_write_encode(d.series, kept, d.metadata, d.metadata_len, &out);
        buf_done(pb);
        *pb = out;
    }
    arena_done(&a);
    return e;
}
