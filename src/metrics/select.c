/* Cursors: samples of selected series, merged from parts and memtables, decoded a batch of series at a time. */
#include "metrics/engine.h"
#include "metrics/values.h"

#define BATCH_SERIES  256u
#define BATCH_SAMPLES (1u << 18) /* a batch ends early past this */

typedef struct MemSpan { /* of one series within the batch's memtable samples */
    u32 from, len;
} MemSpan;

typedef struct Cursor {
    SeriesCursor cursor;
    Snapshot snap;
    SelectHints hints;
    Cancel *cancel;
    Arena *arena; /* the query's: labels live there */
    Arena batch;  /* histograms of the batch, pointers */
    SidList ids;
    u32 at, given; /* next id; series given so far */
    PartCursor *parts;
    u32 parts_len;
    VEC(Tomb *) tombs; /* borrowed from the version */
    SampleVec samples, mem;
    MemSpan spans[BATCH_SERIES];
} Cursor;

static void cursor_close(SeriesCursor *sc)
{
    Cursor *c = (Cursor *)sc;
    for (u32 i = 0; i < c->parts_len; i++)
        part_cursor_done(&c->parts[i]);
    mem_free(c->parts);
    vec_done(&c->tombs);
    samples_done(&c->samples);
    samples_done(&c->mem);
    arena_done(&c->batch);
    snapshot_drop(&c->snap);
    mem_free(c);
}

static Err labels_of(Cursor *c, u32 sid, Labels *ret, Why *why)
{
    const u32 *rec = catalogue_record(&c->snap.t->cat, sid);
    u32 n = record_labels(rec);
    Label *l = arena_array(c->arena, Label, n);
    if (!l || arena_over(c->arena))
        return why_set(why, E_LIMIT, "the query selects more series than its memory limit has room for");
    catalogue_labels(&c->snap.t->cat, rec, l);
    *ret = (Labels){l, n};
    return OK;
}

/* Samples of the batch's series that are in memtables, copied under each shard's lock once. */
static void read_tables(Cursor *c, const u32 *ids, u32 n)
{
    samples_clear(&c->mem);
    memset(c->spans, 0, n * sizeof(MemSpan));
    for (u32 shard = 0; shard < c->snap.e->shards_len; shard++) {
        MemTable *frozen = c->snap.tables[2 * shard], *cur = c->snap.tables[2 * shard + 1];
        if (!frozen && !cur)
            continue;
        mutex_lock(&c->snap.e->shards[shard].lock);
        for (u32 i = 0; i < n; i++) {
            const u32 *rec = catalogue_record(&c->snap.t->cat, ids[i]);
            if (!rec || record_shard(rec) != shard)
                continue;
            u32 from = c->mem.len;
            if (frozen)
                mem_read(frozen, record_local(rec), c->hints.mint, c->hints.maxt, &c->mem);
            if (cur)
                mem_read(cur, record_local(rec), c->hints.mint, c->hints.maxt, &c->mem);
            c->spans[i] = (MemSpan){from, c->mem.len - from};
        }
        mutex_unlock(&c->snap.e->shards[shard].lock);
    }
}

static bool tombs_cut(Cursor *c, const Part *p, u32 sid, u32 from)
{
    for (size_t k = 0; k < c->tombs.len; k++) {
        const Tomb *t = c->tombs.at[k];
        if (t->id > p->meta.tomb_seen && tomb_has(t, sid))
            samples_cut(&c->samples, from, t->mint, t->maxt);
    }
    return true;
}

/* Appends one series' samples to the batch, settled. */
static void read_series(Cursor *c, u32 sid, MemSpan span)
{
    SampleVec *s = &c->samples;
    u32 from = s->len;
    for (u32 i = 0; i < c->parts_len; i++) {
        u32 had = s->len;
        part_cursor_read(&c->parts[i], sid, c->hints.mint, c->hints.maxt, s);
        if (c->tombs.len && s->len > had)
            tombs_cut(c, c->parts[i].part, sid, had);
    }
    if (span.len && samples_reserve(s, span.len)) {
        memcpy(s->t + s->len, c->mem.t + span.from, span.len * sizeof(i64));
        memcpy(s->v + s->len, c->mem.v + span.from, span.len * sizeof(f64));
        if (c->mem.has_hist) {
            samples_need_hist(s);
            memcpy(s->h + s->len, c->mem.h + span.from, span.len * sizeof(Str));
        } else if (s->has_hist) {
            memset(s->h + s->len, 0, span.len * sizeof(Str));
        }
        s->len += span.len;
    }
    if (s->len > from)
        samples_settle(s, from);
}

/* Histogram pointers of one view; NULL where the series has none here. */
static Err hists_of(Cursor *c, MemSpan span, const Histogram *const **ret, Why *why)
{
    *ret = NULL;
    const Str *h = c->samples.has_hist ? c->samples.h + span.from : NULL;
    u32 first = 0;
    while (h && first < span.len && !h[first].at)
        first++;
    if (!h || first == span.len)
        return OK;
    const Histogram **out = arena_array(&c->batch, const Histogram *, span.len);
    for (u32 i = 0; out && i < span.len; i++) {
        out[i] = h[i].at ? hist_decode(h[i], &c->batch) : NULL;
        if (h[i].at && !out[i])
            return arena_over(&c->batch)
                       ? why_set(why, E_LIMIT, "the query's histograms need more memory than its limit")
                       : why_set(why, E_CORRUPT, "a stored histogram does not follow its format; run fsck");
    }
    if (!out || arena_over(&c->batch))
        return why_set(why, E_LIMIT, "the query's histograms need more memory than its limit");
    *ret = out;
    return OK;
}

static Err next_labels(Cursor *c, SeriesView *ret, u32 max, u32 *ret_n, Why *why)
{
    u32 n = 0;
    for (; n < max && c->at < c->ids.len && (!c->hints.limit || c->given < c->hints.limit); n++, c->given++) {
        ret[n] = (SeriesView){0};
        TRY(labels_of(c, c->ids.at[c->at++], &ret[n].labels, why));
    }
    *ret_n = n;
    return OK;
}

static Err cursor_next(SeriesCursor *sc, SeriesView *ret, u32 max, u32 *ret_n, Why *why)
{
    Cursor *c = (Cursor *)sc;
    *ret_n = 0;
    if (cancel_is_set(c->cancel))
        return why_set(why, E_CANCELED, "query was canceled");
    if (c->hints.labels_only)
        return next_labels(c, ret, max, ret_n, why);
    arena_reset(&c->batch);
    max = MIN(max, BATCH_SERIES);
    u32 n = 0;
    while (n == 0 && c->at < c->ids.len && (!c->hints.limit || c->given < c->hints.limit)) {
        u32 tried = MIN(max, c->ids.len - c->at);
        const u32 *ids = c->ids.at + c->at;
        MemSpan spans[BATCH_SERIES];
        samples_clear(&c->samples);
        read_tables(c, ids, tried);
        u32 i = 0;
        for (; i < tried && c->samples.len < BATCH_SAMPLES &&
               (!c->hints.limit || c->given + n < c->hints.limit);
             i++) {
            u32 from = c->samples.len;
            read_series(c, ids[i], c->spans[i]);
            if (c->samples.len == from)
                continue;
            spans[n] = (MemSpan){from, c->samples.len - from};
            ret[n] = (SeriesView){0};
            TRY(labels_of(c, ids[i], &ret[n].labels, why));
            n++;
        }
        c->at += i;
        if (c->samples.over || c->mem.over)
            return why_set(why, E_LIMIT, "the query's samples need more memory than its limit");
        if (cancel_is_set(c->cancel))
            return why_set(why, E_CANCELED, "query was canceled");
        for (u32 k = 0; k < n; k++) {
            ret[k].t = c->samples.t + spans[k].from;
            ret[k].v = c->samples.v + spans[k].from;
            ret[k].n = spans[k].len;
            TRY(hists_of(c, spans[k], &ret[k].h, why));
        }
    }
    c->given += n;
    *ret_n = n;
    return OK;
}

static Err cursor_init(Cursor *c, Matchers m, Why *why)
{
    Snapshot *s = &c->snap;
    if (!s->t)
        return OK;
    TRY(lookup_series(s->t, m, c->arena, c->cancel, &c->ids, why));
    if (c->hints.labels_only) {
        snapshot_filter_live(s, c->hints.mint, c->hints.maxt, &c->ids);
        return OK;
    }
    size_t parts = s->tv ? s->tv->parts.len : 0;
    c->parts = mem_alloc(MAX(parts, 1) * sizeof(PartCursor));
    for (size_t i = 0; i < parts; i++) {
        Part *p = s->tv->parts.at[i];
        if (p->meta.mint <= c->hints.maxt && p->meta.maxt >= c->hints.mint)
            part_cursor_init(&c->parts[c->parts_len++], p);
    }
    for (size_t i = 0; i < s->version->tombs.len; i++) {
        Tomb *t = s->version->tombs.at[i];
        if (t->tenant == s->t->id && t->mint <= c->hints.maxt && t->maxt >= c->hints.mint)
            vec_push(&c->tombs, t);
    }
    return OK;
}

Err engine_select(PromSource *ps, Str tenant, Matchers m, const SelectHints *h, Arena *arena, Cancel *cancel,
                  SeriesCursor **ret, Why *why)
{
    MetricsEngine *e = (MetricsEngine *)((char *)ps - offsetof(MetricsEngine, source));
    Cursor *c = mem_new(Cursor);
    c->cursor = (SeriesCursor){cursor_next, cursor_close};
    c->hints = *h;
    c->cancel = cancel;
    c->arena = arena;
    c->samples.account = c->mem.account = arena->account;
    arena_init(&c->batch, arena->account, 0);
    snapshot_take(e, tenant, &c->snap);
    Err err = cursor_init(c, m, why);
    if (err != OK) {
        cursor_close(&c->cursor);
        return err;
    }
    *ret = &c->cursor;
    return OK;
}

/* ---- names and values ---- */

static Err live_series(Snapshot *s, const Matchers *sets, u32 sets_len, i64 mint, i64 maxt, Arena *arena,
                       SidList *ret, Why *why)
{
    *ret = (SidList){0};
    if (!s->t)
        return OK;
    TRY(lookup_sets(s->t, sets, sets_len, arena, NULL, ret, why));
    snapshot_filter_live(s, mint, maxt, ret);
    return OK;
}

/* ids of names or pairs, marked once each, to sorted strings. */
static void report(Str *all, u32 n, PromStrFn fn, void *arg)
{
    if (n > 0)
        qsort(all, n, sizeof(Str), str_order);
    for (u32 i = 0; i < n; i++)
        if (!fn(arg, all[i]))
            return;
}

Err engine_label_names(PromSource *ps, Str tenant, const Matchers *sets, u32 sets_len, i64 mint, i64 maxt,
                       Arena *arena, PromStrFn fn, void *arg, Why *why)
{
    MetricsEngine *e = (MetricsEngine *)((char *)ps - offsetof(MetricsEngine, source));
    Snapshot s;
    snapshot_take(e, tenant, &s);
    SidList ids;
    Err err = live_series(&s, sets, sets_len, mint, maxt, arena, &ids, why);
    if (err == OK && ids.len) {
        Catalogue *cat = &s.t->cat;
        CatPoint point = catalogue_point(cat);
        u8 *seen = mem_zalloc(point.names + 1);
        VEC(Str) all = {0};
        for (u32 i = 0; i < ids.len; i++) {
            const u32 *rec = catalogue_record(cat, ids.at[i]);
            for (u32 k = 0, n = record_labels(rec); k < n; k++) {
                u32 name = catalogue_pair(cat, rec[2 + k]).name;
                if (name > point.names || seen[name])
                    continue;
                seen[name] = 1;
                vec_push(&all, catalogue_name(cat, name));
            }
        }
        report(all.at, (u32)all.len, fn, arg);
        vec_done(&all);
        mem_free(seen);
    }
    snapshot_drop(&s);
    return err;
}

Err engine_label_values(PromSource *ps, Str tenant, Str name, const Matchers *sets, u32 sets_len, i64 mint,
                        i64 maxt, Arena *arena, PromStrFn fn, void *arg, Why *why)
{
    MetricsEngine *e = (MetricsEngine *)((char *)ps - offsetof(MetricsEngine, source));
    Snapshot s;
    snapshot_take(e, tenant, &s);
    SidList ids;
    Err err = live_series(&s, sets, sets_len, mint, maxt, arena, &ids, why);
    if (err == OK && ids.len) {
        Catalogue *cat = &s.t->cat;
        CatPoint point = catalogue_point(cat);
        rwlock_read(&cat->lock);
        u32 id = catalogue_find_name(cat, name);
        rwlock_unlock(&cat->lock);
        u8 *seen = mem_zalloc(point.pairs + 1);
        VEC(Str) all = {0};
        for (u32 i = 0; id && i < ids.len; i++) {
            u32 pair = catalogue_record_pair(cat, catalogue_record(cat, ids.at[i]), id);
            if (!pair || pair > point.pairs || seen[pair])
                continue;
            seen[pair] = 1;
            vec_push(&all, catalogue_pair_value(cat, pair));
        }
        report(all.at, (u32)all.len, fn, arg);
        vec_done(&all);
        mem_free(seen);
    }
    snapshot_drop(&s);
    return err;
}
