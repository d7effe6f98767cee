/* Exemplars: a ring per tenant, newest kept. Durable through the log and the side objects of flushes. */
#include "metrics/engine.h"

#define SIDE_MAGIC "PHSIDE\0\0"

void exemplars_done(ExemplarRing *r)
{
    for (u32 i = 0; i < r->len; i++)
        mem_free((void *)r->at[i].labels.at);
    mem_free(r->at);
    u64map_done(&r->newest);
    *r = (ExemplarRing){0};
}

static void ring_grow(ExemplarRing *r, u32 max)
{
    if (r->len < r->cap || r->cap >= max)
        return;
    r->cap = MIN(MAX(r->cap * 2, 64u), max);
    r->at = mem_realloc(r->at, r->cap * sizeof(StoredExemplar));
}

static void ring_evict(ExemplarRing *r, u32 at)
{
    u64 *newest = u64map_find(&r->newest, r->at[at].sid);
    if (newest && *newest == at)
        u64map_del(&r->newest, r->at[at].sid);
    mem_free((void *)r->at[at].labels.at);
}

/* One that is not newer than the series' last is passed over: that makes replaying it twice harmless. */
bool exemplars_add(ExemplarRing *r, u32 max, u32 sid, const Exemplar *e, i64 t)
{
    u64 *last = u64map_find(&r->newest, sid);
    if (max == 0 || (last && r->at[*last].t >= t))
        return false;
    ring_grow(r, max);
    Buf b;
    buf_init(&b, 1 << 20);
    labels_encode(&b, e->labels);
    if (buf_over(&b)) {
        buf_done(&b);
        return false;
    }
    u32 at;
    if (r->len < r->cap) {
        at = r->len++;
    } else {
        at = r->next;
        r->next = (at + 1) % r->cap;
        ring_evict(r, at);
    }
    r->at[at] = (StoredExemplar){.sid = sid, .t = t, .v = e->v, .labels = mem_dup(buf_view(&b))};
    buf_done(&b);
    u64map_put(&r->newest, sid, at);
    r->added++;
    return true;
}

/* The i-th oldest: next is 0 until the ring is full. */
static const StoredExemplar *ring_at(const ExemplarRing *r, u32 i)
{
    return &r->at[(r->next + i) % r->len];
}

/* ---- side objects ---- */

static void exemplar_encode(Buf *out, const StoredExemplar *x)
{
    wr_varint(out, x->sid);
    wr_zigzag(out, x->t);
    wr_u64(out, f64_bits(x->v));
    buf_str(out, x->labels);
}

void side_encode(Tenant *t, bool everything, Buf *out, u32 *ret_exemplars)
{
    size_t start = out->len;
    mutex_lock(&t->side_lock);
    const ExemplarRing *r = &t->exemplars;
    u64 fresh = r->added - r->saved;
    u32 n = everything || fresh > r->len ? r->len : (u32)fresh;
    buf_put(out, SIDE_MAGIC, 8);
    wr_varint(out, n);
    for (u32 i = r->len - n; i < r->len; i++)
        exemplar_encode(out, ring_at(r, i));
    const StrMapSlot *slot;
    for (size_t at = 0; (slot = strmap_next(&t->metadata.families, &at));) {
        const VEC(StoredMetadata) *all = slot->value;
        for (size_t i = 0; i < all->len; i++) {
            const StoredMetadata *m = &all->at[i];
            if (!everything && m->added <= t->metadata.saved)
                continue;
            record_meta(
                out, &(MetadataItem){.family = slot->key, .help = m->help, .unit = m->unit, .type = m->type});
        }
    }
    mutex_unlock(&t->side_lock);
    if (!buf_over(out))
        wr_u32(out, crc32c(0, out->at + start, out->len - start));
    *ret_exemplars = n;
}

Err side_decode(Tenant *t, u32 cap, Str bytes, Why *why)
{
    if (bytes.len < 13 || memcmp(bytes.at, SIDE_MAGIC, 8) != 0 ||
        crc32c(0, bytes.at, bytes.len - 4) != load_u32((const u8 *)bytes.at + bytes.len - 4))
        return why_set(why, E_CORRUPT, "checksum or first bytes are wrong");
    Reader r = reader_of(bytes.at + 8, bytes.len - 12);
    Label labels[LABELS_MAX];
    for (u64 n = rd_varint(&r); n && !r.bad; n--) {
        u64 sid = rd_varint(&r);
        i64 at = rd_zigzag(&r);
        Exemplar x = {.t = at, .v = f64_from_bits(rd_u64(&r))};
        if (!labels_decode(&r, labels, &x.labels.len))
            break;
        x.labels.at = labels;
        if (sid && sid < SEG_MAX)
            exemplars_add(&t->exemplars, cap, (u32)sid, &x, at);
    }
    while (rd_left(&r) && !r.bad) {
        MetadataItem m = {.type = (MetricType)rd_u8(&r)};
        m.family = rd_str(&r, LABEL_BYTES_MAX);
        m.help = rd_str(&r, LABEL_BYTES_MAX);
        m.unit = rd_str(&r, LABEL_BYTES_MAX);
        if (!r.bad && m.type <= TYPE_STATESET)
            metadata_add(&t->metadata, &m);
    }
    return r.bad ? why_set(why, E_CORRUPT, "ends too early") : OK;
}

/* ---- queries ---- */

typedef struct Found {
    u32 sid;
    Exemplar e;
} Found;

static int found_order(const void *a, const void *b)
{
    const Found *x = a, *y = b;
    if (x->sid != y->sid)
        return x->sid < y->sid ? -1 : 1;
    return x->e.t < y->e.t ? -1 : x->e.t > y->e.t;
}

static bool ids_have(SidList ids, u32 sid)
{
    u32 lo = 0, hi = ids.len;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (ids.at[mid] < sid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < ids.len && ids.at[lo] == sid;
}

static Err found_add(Found *f, const StoredExemplar *x, Arena *arena, Why *why)
{
    Label labels[LABELS_MAX];
    Str copy = arena_dup(arena, x->labels);
    Reader r = reader_of(copy.at, copy.len);
    u32 n = 0;
    labels_decode(&r, labels, &n);
    Label *own = arena_array(arena, Label, MAX(n, 1));
    if (!own || arena_over(arena))
        return why_set(why, E_LIMIT, "the exemplars found need more memory than the query's limit");
    memcpy(own, labels, n * sizeof(Label));
    *f = (Found){x->sid, {.labels = {own, n}, .v = x->v, .t = x->t}};
    return OK;
}

Err metrics_exemplars(MetricsEngine *e, Str tenant, const Matchers *sets, u32 sets_len, i64 mint, i64 maxt,
                      Arena *arena, ExemplarFn fn, void *arg, Why *why)
{
    Tenant *t = engine_tenant(e, tenant, false);
    if (!t)
        return OK;
    SidList ids;
    TRY(lookup_sets(t, sets, sets_len, arena, NULL, &ids, why));
    mutex_lock(&t->side_lock);
    u32 n = 0, len = t->exemplars.len;
    Found *found = arena_array(arena, Found, MAX(len, 1));
    Err err =
        found ? OK : why_set(why, E_LIMIT, "the exemplars found need more memory than the query's limit");
    for (u32 i = 0; i < len && err == OK; i++) {
        const StoredExemplar *x = ring_at(&t->exemplars, i);
        if (x->t >= mint && x->t <= maxt && ids_have(ids, x->sid))
            err = found_add(&found[n++], x, arena, why);
    }
    mutex_unlock(&t->side_lock);
    if (err != OK)
        return err;
    qsort(found, n, sizeof(Found), found_order);
    Exemplar *group = arena_array(arena, Exemplar, MAX(n, 1));
    if (!group)
        return why_set(why, E_LIMIT, "the exemplars found need more memory than the query's limit");
    for (u32 i = 0, k; i < n; i = k) {
        for (k = i; k < n && found[k].sid == found[i].sid; k++)
            group[k - i] = found[k].e;
        const u32 *rec = catalogue_record(&t->cat, found[i].sid);
        Label labels[LABELS_MAX];
        catalogue_labels(&t->cat, rec, labels);
        fn(arg, (Labels){labels, record_labels(rec)}, group, k - i);
    }
    return OK;
}
