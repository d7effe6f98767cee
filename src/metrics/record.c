/* The log's records: docs/formats/metrics-log.md. Written by write.c, replayed here. */
#include "metrics/delta.h"
#include "metrics/engine.h"

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

void record_group(Buf *out, const MemGroup *g)
{
    wr_varint(out, g->id);
    wr_varint(out, g->rows - 1);
    wr_zigzag(out, mem_group_last_t(g));
    wr_varint(out, g->len);
    for (u32 i = 0, was = 0; i < g->len; was = g->sids[i++])
        wr_zigzag(out, (i64)g->sids[i] - was);
    for (u32 i = 0; i < g->len; i++)
        value_write(out, g->last[i]);
}

void record_row(Buf *out, const MemGroup *g, i64 t)
{
    wr_varint(out, g->id);
    wr_varint(out, g->rows);
    wr_varint(out, (u64)t - (u64)mem_group_last_t(g));
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

/* A group as the log tells it. Its rows go to a group of the memtable when that has the same columns, else sample by sample. */
typedef struct ReplayGroup {
    Tenant *t;
    u32 len, rows; /* rows: the next one's number */
    i64 last_t;
    u32 *sids;
    f64 *last;
    MemTable *table;
    MemGroup *group; /* NULL: sample by sample */
} ReplayGroup;
struct ReplayGroups {
    U64Map by_id; /* -> index */
    VEC(ReplayGroup) groups;
};

void replay_groups_free(ReplayGroups *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->groups.len; i++) {
        mem_free(g->groups.at[i].sids);
        mem_free(g->groups.at[i].last);
    }
    vec_done(&g->groups);
    u64map_done(&g->by_id);
    mem_free(g);
}

static u64 replay_values(MetricsEngine *e, ReplayGroup *g, const f64 *values, i64 t)
{
    u64 unknown = 0;
    for (u32 i = 0; i < g->len; i++) {
        ReplayItem x = {
            .e = e, .t = g->t, .sid = g->sids[i], .rec = catalogue_record(&g->t->cat, g->sids[i])};
        unknown += !x.rec;
        if (f64_bits(values[i]) != MEM_ABSENT_BITS)
            replay_float(&x, t, values[i]);
    }
    return unknown;
}

/* A group of the memtable with these very columns, or NULL: then nothing is in the memtable that was not before but what joined. */
static void replay_join(MetricsEngine *e, ReplayGroup *g)
{
    const u32 *rec = g->len ? catalogue_record(&g->t->cat, g->sids[0]) : NULL;
    if (!rec)
        return;
    u32 shard = record_shard(rec), joined = 0;
    g->table = replay_table(e, g->t, shard);
    u64 before = g->table->bytes;
    MemGroup *m = mem_group_new(g->table, 0, g->len);
    for (u32 i = 0; i < g->len; i++) {
        bool is_new = false;
        rec = catalogue_record(&g->t->cat, g->sids[i]);
        if (!rec || record_shard(rec) != shard)
            continue;
        joined += mem_group_join(g->table, m, g->sids[i], record_local(rec), g->last_t, g->last[i], &is_new);
        if (is_new)
            shard_touch(&g->t->shards[shard], record_local(rec));
    }
    m = mem_group_open(g->table, m, g->last_t);
    g->group = m && joined == g->len ? m : NULL;
    e->mem_bytes += g->table->bytes - before;
}

static ReplayGroup *replay_group_at(MetricsEngine *e, u64 id)
{
    if (!e->replaying)
        e->replaying = mem_new(ReplayGroups);
    ReplayGroups *all = e->replaying;
    const u64 *at = u64map_find(&all->by_id, id);
    if (at)
        return &all->groups.at[*at];
    u64map_put(&all->by_id, id, all->groups.len);
    vec_push(&all->groups, (ReplayGroup){0});
    return &all->groups.at[all->groups.len - 1];
}

static u64 replay_group(MetricsEngine *e, Tenant *t, Reader *r)
{
    u64 id = rd_varint(r), row = rd_varint(r), sid = 0;
    i64 at = rd_zigzag(r);
    u64 n = rd_varint(r);
    r->bad |= !n || n > MEM_COLUMNS_MAX || n > rd_left(r) / 2 || row >= UINT32_MAX;
    if (r->bad)
        return 0;
    ReplayGroup fresh = {.t = t, .len = (u32)n, .rows = (u32)row + 1, .last_t = at};
    fresh.sids = mem_alloc(n * sizeof(u32));
    fresh.last = mem_alloc(n * sizeof(f64));
    for (u64 i = 0; i < n; i++) {
        sid += (u64)rd_zigzag(r);
        fresh.sids[i] = sid < SEG_MAX ? (u32)sid : 0;
    }
    for (u64 i = 0; i < n; i++)
        fresh.last[i] = value_read(r);
    if (r->bad) {
        mem_free(fresh.sids);
        mem_free(fresh.last);
        return 0;
    }
    ReplayGroup *g = replay_group_at(e, id);
    mem_free(g->sids);
    mem_free(g->last);
    *g = fresh;
    replay_join(e, g);
    tenant_saw(e, t, at, at);
    /* Those that joined are there already and passed over. */
    return g->group ? 0 : replay_values(e, g, g->last, at);
}

/* A row whose group, or the row before it, did not reach the log cannot be read: it was never acknowledged. */
static u64 replay_row(MetricsEngine *e, Tenant *t, Reader *r)
{
    u64 id = rd_varint(r), row = rd_varint(r), step = rd_varint(r);
    const u64 *at = e->replaying ? u64map_find(&e->replaying->by_id, id) : NULL;
    ReplayGroup *g = at ? &e->replaying->groups.at[*at] : NULL;
    if (r->bad || !g || g->t != t || g->rows != row) {
        r->at = r->end;
        return !r->bad;
    }
    u64 unknown = 0;
    const u8 *bits = rd_bytes(r, (g->len + 7) / 8);
    f64 *values = mem_alloc(g->len * sizeof(f64));
    memcpy(values, g->last, g->len * sizeof(f64));
    for (u32 i = 0; bits && i < g->len && !r->bad; i++)
        if (bits[i / 8] >> (i % 8) & 1)
            values[i] = value_delta_read(r, values[i]);
    i64 time = (i64)((u64)g->last_t + step);
    r->bad |= time <= g->last_t;
    if (!r->bad) {
        if (g->group && !g->group->is_shadowed && mem_group_last_t(g->group) < time) {
            u64 before = g->table->bytes;
            mem_row_add(g->table, g->group, time, values, NULL);
            e->mem_bytes += g->table->bytes - before;
        } else {
            unknown = replay_values(e, g, values, time);
        }
        tenant_saw(e, t, time, time);
        memcpy(g->last, values, g->len * sizeof(f64));
        g->last_t = time;
        g->rows++;
    }
    mem_free(values);
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
    else if (rec->type == RECORD_GROUP)
        unknown = replay_group(e, t, &r);
    else if (rec->type == RECORD_ROW)
        unknown = replay_row(e, t, &r);
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
