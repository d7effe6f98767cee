/* The manifest's content: docs/formats/metrics-manifest.md. */
#include <stdio.h>
#include "metrics/engine.h"

#define VERSION_MAGIC "PHMET\0\0\0"

void segment_key(char out[64], u32 tenant, u64 seq)
{
    snprintf(out, 64, "t%u/c%020llu", tenant, (unsigned long long)seq);
}
void side_key(char out[64], u32 tenant, u64 seq)
{
    snprintf(out, 64, "t%u/s%020llu", tenant, (unsigned long long)seq);
}

bool tomb_has(const Tomb *t, u32 sid)
{
    u32 lo = 0, hi = t->len;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (t->sids[mid] < sid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->len && t->sids[lo] == sid;
}

void tomb_unref(Tomb *t)
{
    if (!t || --t->refs)
        return;
    mem_free(t->sids);
    mem_free(t);
}

Version *version_new(void)
{
    Version *v = mem_new(Version);
    v->refs = 1;
    v->next_seq = v->next_tomb = 1;
    return v;
}

Version *version_clone(const Version *from)
{
    Version *v = version_new();
    v->next_seq = from->next_seq;
    v->next_tomb = from->next_tomb;
    v->shards = from->shards;
    for (size_t i = 0; i < from->lanes.len; i++)
        vec_push(&v->lanes, from->lanes.at[i]);
    for (size_t i = 0; i < from->tenants.len; i++) {
        const TenantVersion *f = &from->tenants.at[i];
        TenantVersion t = {.id = f->id, .name = f->name};
        for (size_t k = 0; k < f->parts.len; k++)
            vec_push(&t.parts, part_ref(f->parts.at[k]));
        for (size_t k = 0; k < f->segments.len; k++)
            vec_push(&t.segments, f->segments.at[k]);
        for (size_t k = 0; k < f->sides.len; k++)
            vec_push(&t.sides, f->sides.at[k]);
        vec_push(&v->tenants, t);
    }
    for (size_t i = 0; i < from->tombs.len; i++) {
        from->tombs.at[i]->refs++;
        vec_push(&v->tombs, from->tombs.at[i]);
    }
    return v;
}

void version_unref(Version *v)
{
    if (!v || --v->refs)
        return;
    for (size_t i = 0; i < v->tenants.len; i++) {
        TenantVersion *t = &v->tenants.at[i];
        for (size_t k = 0; k < t->parts.len; k++)
            part_unref(t->parts.at[k]);
        vec_done(&t->parts);
        vec_done(&t->segments);
        vec_done(&t->sides);
    }
    for (size_t i = 0; i < v->tombs.len; i++)
        tomb_unref(v->tombs.at[i]);
    vec_done(&v->tenants);
    vec_done(&v->tombs);
    vec_done(&v->lanes);
    mem_free(v);
}

void version_collect_tombs(Version *v)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->tombs.len; i++) {
        Tomb *t = v->tombs.at[i];
        bool is_needed = false;
        const TenantVersion *tv =
            t->tenant && t->tenant <= v->tenants.len ? &v->tenants.at[t->tenant - 1] : NULL;
        for (size_t k = 0; tv && k < tv->parts.len; k++)
            is_needed |= tv->parts.at[k]->meta.tomb_seen < t->id;
        if (is_needed)
            v->tombs.at[kept++] = t;
        else
            tomb_unref(t);
    }
    v->tombs.len = kept;
}

static void point_encode(Buf *out, CatPoint p)
{
    wr_varint(out, p.names);
    wr_varint(out, p.pairs);
    wr_varint(out, p.series);
}

static CatPoint point_decode(Reader *r)
{
    u64 n = rd_varint(r), p = rd_varint(r), s = rd_varint(r);
    r->bad |= n >= SEG_MAX || p >= SEG_MAX || s >= SEG_MAX;
    return r->bad ? (CatPoint){0} : (CatPoint){(u32)n, (u32)p, (u32)s};
}

static void part_encode_meta(Buf *out, const PartMeta *m)
{
    wr_varint(out, m->seq);
    wr_varint(out, m->level);
    wr_zigzag(out, m->mint);
    wr_zigzag(out, m->maxt);
    wr_varint(out, m->bytes);
    wr_varint(out, m->samples);
    wr_varint(out, m->series);
    wr_varint(out, m->tomb_seen);
}

void version_encode(const Version *v, Buf *out)
{
    size_t start = out->len;
    buf_put(out, VERSION_MAGIC, 8);
    wr_varint(out, v->next_seq);
    wr_varint(out, v->next_tomb);
    wr_varint(out, v->shards);
    wr_varint(out, v->lanes.len);
    for (size_t i = 0; i < v->lanes.len; i++) {
        wr_varint(out, v->lanes.at[i].epoch);
        wr_varint(out, v->lanes.at[i].seq);
    }
    wr_varint(out, v->tenants.len);
    for (size_t i = 0; i < v->tenants.len; i++) {
        const TenantVersion *t = &v->tenants.at[i];
        wr_str(out, t->name);
        wr_varint(out, t->parts.len);
        for (size_t k = 0; k < t->parts.len; k++)
            part_encode_meta(out, &t->parts.at[k]->meta);
        wr_varint(out, t->segments.len);
        for (size_t k = 0; k < t->segments.len; k++) {
            wr_varint(out, t->segments.at[k].seq);
            wr_varint(out, t->segments.at[k].bytes);
            point_encode(out, t->segments.at[k].from);
            point_encode(out, t->segments.at[k].to);
        }
        wr_varint(out, t->sides.len);
        for (size_t k = 0; k < t->sides.len; k++) {
            wr_varint(out, t->sides.at[k].seq);
            wr_varint(out, t->sides.at[k].bytes);
            wr_varint(out, t->sides.at[k].exemplars);
        }
    }
    wr_varint(out, v->tombs.len);
    for (size_t i = 0; i < v->tombs.len; i++) {
        const Tomb *t = v->tombs.at[i];
        wr_varint(out, t->id);
        wr_varint(out, t->tenant);
        wr_zigzag(out, t->mint);
        wr_zigzag(out, t->maxt);
        wr_varint(out, t->len);
        for (u32 k = 0, last = 0; k < t->len; last = t->sids[k++])
            wr_varint(out, t->sids[k] - last);
    }
    if (!buf_over(out))
        wr_u32(out, crc32c(0, out->at + start, out->len - start));
}

static void tenant_decode(Reader *r, Version *v, PartMetas *parts)
{
    TenantVersion t = {.id = (u32)v->tenants.len + 1};
    Str name = rd_str(r, 4096);
    for (u64 n = rd_varint(r); n && !r->bad; n--) {
        PartMeta m = {.tenant = t.id,
                      .seq = rd_varint(r),
                      .level = (u32)rd_varint(r),
                      .mint = rd_zigzag(r),
                      .maxt = rd_zigzag(r),
                      .bytes = rd_varint(r),
                      .samples = rd_varint(r),
                      .series = (u32)rd_varint(r),
                      .tomb_seen = rd_varint(r)};
        if (!r->bad)
            vec_push(parts, m);
    }
    for (u64 n = rd_varint(r); n && !r->bad; n--) {
        SegmentRef s = {.seq = rd_varint(r), .bytes = rd_varint(r)};
        s.from = point_decode(r);
        s.to = point_decode(r);
        vec_push(&t.segments, s);
    }
    for (u64 n = rd_varint(r); n && !r->bad; n--) {
        SideRef s = {.seq = rd_varint(r), .bytes = rd_varint(r), .exemplars = (u32)rd_varint(r)};
        vec_push(&t.sides, s);
    }
    t.name = r->bad ? (Str){0} : mem_dup(name);
    vec_push(&v->tenants, t);
}

static void tomb_decode(Reader *r, Version *v)
{
    Tomb *t = mem_new(Tomb);
    t->refs = 1;
    t->id = rd_varint(r);
    t->tenant = (u32)rd_varint(r);
    t->mint = rd_zigzag(r);
    t->maxt = rd_zigzag(r);
    u64 n = rd_varint(r), last = 0;
    if (r->bad || n > rd_left(r)) {
        r->bad = true;
        mem_free(t);
        return;
    }
    t->sids = mem_alloc(MAX(n, 1) * sizeof(u32));
    for (; t->len < n; t->len++)
        t->sids[t->len] = (u32)(last += rd_varint(r));
    vec_push(&v->tombs, t);
}

Err version_decode(Str bytes, Version *v, PartMetas *parts, Why *why)
{
    if (bytes.len < 12 || memcmp(bytes.at, VERSION_MAGIC, 8) != 0)
        return why_set(why, E_CORRUPT, "the metrics manifest begins with wrong bytes");
    if (crc32c(0, bytes.at, bytes.len - 4) != load_u32((const u8 *)bytes.at + bytes.len - 4))
        return why_set(why, E_CORRUPT, "the metrics manifest is damaged");
    Reader r = reader_of(bytes.at + 8, bytes.len - 12);
    v->next_seq = rd_varint(&r);
    v->next_tomb = rd_varint(&r);
    v->shards = (u32)rd_varint(&r);
    for (u64 n = rd_varint(&r); n && !r.bad; n--) {
        LogPos p = {.epoch = rd_varint(&r), .seq = rd_varint(&r)};
        vec_push(&v->lanes, p);
    }
    for (u64 n = rd_varint(&r); n && !r.bad; n--)
        tenant_decode(&r, v, parts);
    for (u64 n = rd_varint(&r); n && !r.bad; n--)
        tomb_decode(&r, v);
    if (r.bad || rd_left(&r) || v->lanes.len > 4096)
        return why_set(why, E_CORRUPT, "the metrics manifest ends too early or too late");
    return OK;
}
