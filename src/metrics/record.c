/* The log's records: docs/formats/metrics-log.md. Written by write.c, replayed here. */
#include "metrics/engine.h"
#include "metrics/values.h"

/* A whole number costs a varint, any other value a byte and its bits. */
void record_value(Buf *out, f64 v)
{
    if (v >= -4503599627370496.0 && v <= 4503599627370496.0 && f64_bits((f64)(i64)v) == f64_bits(v)) {
        wr_varint(out, zigzag((i64)v) << 1);
        return;
    }
    wr_u8(out, 1);
    wr_u64(out, f64_bits(v));
}

static f64 value_read(Reader *r)
{
    u64 u = rd_varint(r);
    if (u == 1)
        return f64_from_bits(rd_u64(r));
    r->bad |= u & 1;
    return (f64)unzigzag(u >> 1);
}

void labels_encode(Buf *out, Labels l)
{
    wr_varint(out, l.len);
    for (u32 i = 0; i < l.len; i++) {
        wr_str(out, l.at[i].name);
        wr_str(out, l.at[i].value);
    }
}

bool labels_decode(Reader *r, Label *out, u32 *ret_n)
{
    u64 n = rd_varint(r);
    if (n > LABELS_MAX)
        r->bad = true;
    for (u64 i = 0; i < n && !r->bad; i++) {
        out[i].name = rd_str(r, LABEL_BYTES_MAX);
        out[i].value = rd_str(r, LABEL_BYTES_MAX);
    }
    *ret_n = (u32)n;
    return !r->bad;
}

void record_begin(Buf *out, Str tenant)
{
    wr_u8(out, 0); /* version */
    wr_str(out, tenant);
}

void record_define(Buf *defs, u32 sid, Labels l)
{
    wr_varint(defs, sid);
    labels_encode(defs, l);
}

void record_meta(Buf *out, const MetadataItem *m)
{
    wr_u8(out, (u8)m->type);
    wr_str(out, m->family);
    wr_str(out, m->help);
    wr_str(out, m->unit);
}

void record_exemplar(Buf *out, const Exemplar *x, i64 t)
{
    wr_zigzag(out, t);
    wr_u64(out, f64_bits(x->v));
    labels_encode(out, x->labels);
}

/* ---- replay: one thread, nobody else uses the engine ---- */

static MemTable *replay_table(MetricsEngine *e, Tenant *t, u32 shard)
{
    TenantShard *ts = &t->shards[shard];
    if (!ts->cur)
        ts->cur = mem_new_table(e->account);
    return ts->cur;
}

typedef struct ReplayItem {
    MetricsEngine *e;
    Tenant *t;
    const u32 *rec; /* NULL: the series is not known, its samples are passed over */
    u32 sid;
    i64 base;
} ReplayItem;

static void replay_seen(ReplayItem *x, MemTable *m, u64 before, bool is_new, i64 t)
{
    x->e->mem_bytes += m->bytes - before;
    if (is_new)
        shard_touch(&x->t->shards[record_shard(x->rec)], record_local(x->rec));
    tenant_saw(x->e, x->t, t, t);
}

static void replay_float(ReplayItem *x, i64 t, f64 v)
{
    if (!x->rec)
        return;
    MemTable *m = replay_table(x->e, x->t, record_shard(x->rec));
    MemResult how = mem_check(m, record_local(x->rec), t, v);
    if (how > MEM_ADDED_LATE)
        return;
    bool is_new;
    u64 before = m->bytes;
    mem_add(m, record_local(x->rec), t, v, how == MEM_ADDED_LATE, &is_new);
    replay_seen(x, m, before, is_new, t);
}

static void replay_hist(ReplayItem *x, i64 t, Str blob)
{
    if (!x->rec)
        return;
    MemTable *m = replay_table(x->e, x->t, record_shard(x->rec));
    if (mem_check_hist(m, record_local(x->rec), t, blob) > MEM_ADDED_LATE)
        return;
    bool is_new;
    u64 before = m->bytes;
    mem_add_hist(m, record_local(x->rec), t, blob, &is_new);
    replay_seen(x, m, before, is_new, t);
}

static void replay_extras(ReplayItem *x, Reader *r)
{
    Label labels[LABELS_MAX];
    u32 n;
    for (u64 k = rd_varint(r); k && !r->bad; k--) {
        i64 t = (i64)((u64)x->base + (u64)rd_zigzag(r));
        Str blob = rd_str(r, SIZE_MAX);
        if (!r->bad && blob.len)
            replay_hist(x, t, blob);
    }
    for (u64 k = rd_varint(r); k && !r->bad; k--) {
        i64 t = rd_zigzag(r);
        Exemplar ex = {.t = t, .v = f64_from_bits(rd_u64(r))};
        if (!labels_decode(r, labels, &n))
            return;
        ex.labels = (Labels){labels, n};
        if (x->rec)
            exemplars_add(&x->t->exemplars, x->e->c.exemplars_max, x->sid, &ex, t);
    }
}

static u64 replay_write(MetricsEngine *e, Tenant *t, Reader *r)
{
    Label labels[LABELS_MAX];
    u32 n;
    u64 unknown = 0;
    for (u64 defs = rd_varint(r); defs && !r->bad; defs--) {
        u64 sid = rd_varint(r);
        if (!labels_decode(r, labels, &n))
            break;
        Labels l = {labels, n};
        if (sid < SEG_MAX && catalogue_check_labels(l, NULL) == OK)
            catalogue_add_at(&t->cat, (u32)sid, l);
    }
    ReplayItem x = {.e = e, .t = t, .base = rd_zigzag(r)};
    u64 sid = 0;
    while (rd_left(r) && !r->bad) {
        sid += (u64)rd_zigzag(r);
        u64 head = rd_varint(r);
        x.sid = (u32)sid;
        x.rec = sid < SEG_MAX ? catalogue_record(&t->cat, (u32)sid) : NULL;
        unknown += !x.rec;
        for (u64 k = head >> 1; k && !r->bad; k--) {
            i64 at = (i64)((u64)x.base + (u64)rd_zigzag(r));
            f64 v = value_read(r);
            if (!r->bad)
                replay_float(&x, at, v);
        }
        if (head & 1)
            replay_extras(&x, r);
    }
    return unknown;
}

static void replay_meta(Tenant *t, Reader *r)
{
    while (rd_left(r) && !r->bad) {
        MetadataItem m = {.type = (MetricType)rd_u8(r)};
        m.family = rd_str(r, LABEL_BYTES_MAX);
        m.help = rd_str(r, LABEL_BYTES_MAX);
        m.unit = rd_str(r, LABEL_BYTES_MAX);
        if (!r->bad && m.type <= TYPE_STATESET)
            metadata_add(&t->metadata, &m);
    }
}

Err record_replay(MetricsEngine *e, const LogRecord *rec, Why *why)
{
    if (rec->type == RECORD_PROBE)
        return OK;
    Reader r = reader_of(rec->bytes.at, rec->bytes.len);
    u8 version = rd_u8(&r);
    Str name = rd_str(&r, 4096);
    if (r.bad || version != 0)
        return why_set(why, E_CORRUPT, "a log record of the metrics engine has version %u", version);
    Tenant *t = engine_tenant(e, name, true);
    u64 unknown = 0;
    if (rec->type == RECORD_WRITE)
        unknown = replay_write(e, t, &r);
    else if (rec->type == RECORD_META)
        replay_meta(t, &r);
    else
        return why_set(why, E_CORRUPT, "a log record of the metrics engine has the unknown type %u",
                       rec->type);
    if (r.bad)
        return why_set(why, E_CORRUPT, "a log record of the metrics engine does not follow its format");
    if (unknown)
        LOG_WARN("metrics",
                 "The log names series that it does not define; their samples were never acknowledged",
                 LF_STR("tenant", name), LF_INT("items", unknown));
    return OK;
}
