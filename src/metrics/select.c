/* Cursors: samples of selected series, merged from parts and memtables, decoded a batch of series at a time. */
#include "metrics/engine.h"
#include "metrics/values.h"

#define BATCH_SERIES  256u
#define BATCH_SAMPLES (1u << 18) /* a batch ends early past this */

typedef struct MemSpan { /* of one series within the batch's memtable samples */
    u32 from, len;
} MemSpan;

typedef struct Source { /* one block that a series has somewhere */
    u32 part;
    bool is_whole; /* `aggr` is given in its place */
    PageAggr aggr;
} Source;

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
    GroupKeys groups;
    u32 *by_maxt;   /* with newest_only: parts, the one with the newest time first */
    i64 parts_maxt; /* newest time in any part of the range */
    /* With want_pages: of one series, blocks and what becomes of them; of the batch, pages. */
    PartBlocks blocks;
    VEC(Source) sources;
    VEC(u32) by_time;
    VEC(PageAggr) pages;
} Cursor;

static void cursor_close(SeriesCursor *sc)
{
    Cursor *c = (Cursor *)sc;
    for (u32 i = 0; i < c->parts_len; i++)
        part_cursor_done(&c->parts[i]);
    mem_free(c->parts);
    mem_free(c->by_maxt);
    vec_done(&c->tombs);
    vec_done(&c->blocks);
    vec_done(&c->sources);
    vec_done(&c->by_time);
    vec_done(&c->pages);
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

static void tombs_cut(Cursor *c, const Part *p, u32 sid, u32 from)
{
    for (size_t k = 0; k < c->tombs.len; k++) {
        const Tomb *t = c->tombs.at[k];
        if (t->id > p->meta.tomb_seen && tomb_has(t, sid))
            samples_cut(&c->samples, from, t->mint, t->maxt);
    }
}

static void take_mem(Cursor *c, MemSpan span)
{
    SampleVec *s = &c->samples;
    if (!span.len || !samples_reserve(s, span.len))
        return;
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
    take_mem(c, span);
    if (s->len > from)
        samples_settle(s, from);
}

/* ---- whole blocks as aggregates ---- */

/* Does w = start + k * step, 0 <= k < windows, lie in [from, to)? */
static bool has_edge(i64 start, i64 step, u32 windows, i64 from, i64 to)
{
    if (!windows)
        return false;
    __int128 k = 0;
    if (start < from) {
        if (step <= 0)
            return false;
        k = ((__int128)from - start + step - 1) / step;
    }
    return k < windows && (__int128)start + k * step < to;
}

/* No window begins or ends inside, and nobody else has a say: tombstones and the memtable here, other blocks by overlaps_out. */
static bool may_be_whole(const Cursor *c, const Part *p, const PartBlock *b, MemSpan span)
{
    const SelectHints *h = &c->hints;
    i64 first = b->times.first, last = b->times.last, begin;
    if (b->is_hist || first < h->mint || last > h->maxt)
        return false;
    if (span.len && c->mem.t[span.from] <= last && c->mem.t[span.from + span.len - 1] >= first)
        return false;
    if (__builtin_sub_overflow(h->windows_start, h->range_ms, &begin) ||
        has_edge(h->windows_start, h->step_ms, h->windows, first, last) ||
        has_edge(begin, h->step_ms, h->windows, first, last))
        return false;
    for (size_t k = 0; k < c->tombs.len; k++) {
        const Tomb *t = c->tombs.at[k];
        if (t->id > p->meta.tomb_seen && t->mint <= last && t->maxt >= first && tomb_has(t, b->sid))
            return false;
    }
    return true;
}

static int by_first(const void *a, const void *b, void *arg)
{
    const PartBlock *blocks = arg;
    i64 x = blocks[*(const u32 *)a].times.first, y = blocks[*(const u32 *)b].times.first;
    return x < y ? -1 : x > y;
}

/* Blocks that share a time with another one are read. Leaves by_time in order of time. */
static void overlaps_out(Cursor *c)
{
    u32 n = (u32)c->blocks.len;
    bool ascends = true;
    c->by_time.len = 0;
    for (u32 i = 0; i < n; i++) {
        vec_push(&c->by_time, i);
        ascends &= i == 0 || c->blocks.at[i].times.first > c->blocks.at[i - 1].times.last;
    }
    if (ascends)
        return;
    qsort_r(c->by_time.at, n, sizeof(u32), by_first, c->blocks.at);
    i64 seen = INT64_MIN;
    for (u32 i = 0; i < n; i++) {
        const PartTimes *t = &c->blocks.at[c->by_time.at[i]].times;
        if ((i && t->first <= seen) ||
            (i + 1 < n && c->blocks.at[c->by_time.at[i + 1]].times.first <= t->last))
            c->sources.at[c->by_time.at[i]].is_whole = false;
        seen = MAX(seen, t->last);
    }
}

/* Rates add up the values before resets one by one: only where adding them together gives the same. */
static bool suits_func(const Cursor *c, const PageAggr *a)
{
    return a->resets <= 1 || !(str_eq(c->hints.func, S("rate")) || str_eq(c->hints.func, S("increase")));
}

/* A view with histograms has no pages. */
static bool has_hists(const Cursor *c, MemSpan span)
{
    for (size_t i = 0; i < c->blocks.len; i++)
        if (c->blocks.at[i].is_hist)
            return true;
    for (u32 i = 0; c->mem.has_hist && i < span.len; i++)
        if (c->mem.h[span.from + i].at)
            return true;
    return false;
}

/* Appends one series to the batch: samples, and pages for blocks that nobody needs to look into. */
static void read_pages(Cursor *c, u32 sid, MemSpan span)
{
    SampleVec *s = &c->samples;
    u32 from = s->len;
    c->blocks.len = c->sources.len = 0;
    for (u32 i = 0; i < c->parts_len; i++) {
        part_cursor_blocks(&c->parts[i], sid, c->hints.mint, c->hints.maxt, &c->blocks);
        while (c->sources.len < c->blocks.len) {
            const PartBlock *b = &c->blocks.at[c->sources.len];
            Source x = {.part = i};
            x.is_whole = may_be_whole(c, c->parts[i].part, b, span) && part_block_aggr(b, &x.aggr) &&
                         suits_func(c, &x.aggr);
            vec_push(&c->sources, x);
        }
    }
    overlaps_out(c);
    if (has_hists(c, span))
        for (size_t i = 0; i < c->sources.len; i++)
            c->sources.at[i].is_whole = false;
    for (size_t i = 0; i < c->blocks.len; i++) {
        const Source *x = &c->sources.at[i];
        u32 had = s->len;
        if (x->is_whole ||
            !part_cursor_decode(&c->parts[x->part], &c->blocks.at[i], c->hints.mint, c->hints.maxt, s))
            continue;
        if (c->tombs.len)
            tombs_cut(c, c->parts[x->part].part, sid, had);
    }
    take_mem(c, span);
    if (s->len > from)
        samples_settle(s, from);
    u32 at = from;
    for (size_t i = 0; i < c->by_time.len; i++) {
        const Source *x = &c->sources.at[c->by_time.at[i]];
        if (!x->is_whole)
            continue;
        while (at < s->len && s->t[at] < x->aggr.first_t)
            at++;
        vec_push(&c->pages, x->aggr);
        c->pages.at[c->pages.len - 1].at = at - from;
    }
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

typedef struct Spans { /* of a view within the batch */
    MemSpan samples, pages;
} Spans;

/* With newest_only: the newest sample of most series is in the memtable and newer than every part. Those are read alone; the rest wait
 * for read_tables over the whole range. True when none are left. */
static bool read_newest(Cursor *c, const u32 *ids, u32 n)
{
    i64 mint = c->hints.mint;
    bool is_complete = true;
    if (mint <= c->parts_maxt)
        c->hints.mint = MIN(c->parts_maxt, INT64_MAX - 1) + 1;
    read_tables(c, ids, n);
    c->hints.mint = mint;
    for (u32 i = 0; i < n && is_complete; i++)
        is_complete = c->spans[i].len > 0;
    return is_complete;
}

/* Of the batch's memtable samples: the frozen table's come first, and of one time the last one written counts. */
static void take_newest(Cursor *c, MemSpan span)
{
    u32 best = span.from;
    for (u32 i = span.from; i < span.from + span.len; i++)
        if (c->mem.t[i] >= c->mem.t[best])
            best = i;
    take_mem(c, (MemSpan){best, 1});
}

static void keep_only(SampleVec *s, u32 from, u32 best)
{
    s->t[from] = s->t[best];
    s->v[from] = s->v[best];
    if (s->has_hist)
        s->h[from] = s->h[best];
    s->len = from + 1;
}

/* The newest sample of a series in parts and memtable: parts are asked in order of their newest times until none left can have a
 * newer one. Of one time the part written last counts. */
static void read_newest_series(Cursor *c, u32 sid, MemSpan span)
{
    SampleVec *s = &c->samples;
    u32 from = s->len, best = UINT32_MAX, best_part = 0;
    for (u32 k = 0; k < c->parts_len; k++) {
        u32 part = c->by_maxt[k], had = s->len;
        if (best != UINT32_MAX && s->t[best] > c->parts[part].part->meta.maxt)
            break;
        part_cursor_read(&c->parts[part], sid, c->hints.mint, c->hints.maxt, s);
        if (c->tombs.len && s->len > had)
            tombs_cut(c, c->parts[part].part, sid, had);
        for (u32 i = had; i < s->len; i++)
            if (best == UINT32_MAX || s->t[i] > s->t[best] || (s->t[i] == s->t[best] && part >= best_part)) {
                best = i;
                best_part = part;
            }
    }
    u32 had = s->len;
    take_mem(c, span);
    for (u32 i = had; i < s->len; i++)
        if (best == UINT32_MAX || s->t[i] >= s->t[best])
            best = i;
    if (best != UINT32_MAX)
        keep_only(s, from, best);
}

static int by_maxt_down(const void *a, const void *b, void *arg)
{
    const PartCursor *parts = arg;
    i64 x = parts[*(const u32 *)a].part->meta.maxt, y = parts[*(const u32 *)b].part->meta.maxt;
    return x > y ? -1 : x < y;
}

static void order_by_maxt(Cursor *c)
{
    c->by_maxt = mem_alloc(MAX(c->parts_len, 1) * sizeof(u32));
    for (u32 i = 0; i < c->parts_len; i++)
        c->by_maxt[i] = i;
    qsort_r(c->by_maxt, c->parts_len, sizeof(u32), by_maxt_down, c->parts);
}

static Err identify(Cursor *c, u32 sid, SeriesView *v, Why *why)
{
    *v = (SeriesView){.id = sid};
    if (!c->groups.is_on)
        return labels_of(c, sid, &v->labels, why);
    v->is_bare = true;
    v->group = group_key(&c->groups, catalogue_record(&c->snap.t->cat, sid));
    return OK;
}

static Err cursor_labels(SeriesCursor *sc, u32 id, Labels *ret, Why *why)
{
    return labels_of((Cursor *)sc, id, ret, why);
}

/* Reads up to max series into the batch's buffers, at least one if any is left. */
static Err batch_read(Cursor *c, SeriesView *ret, Spans *spans, u32 max, u32 *ret_n, Why *why)
{
    u32 tried = MIN(max, c->ids.len - c->at), i = 0, n = 0;
    const u32 *ids = c->ids.at + c->at;
    samples_clear(&c->samples);
    c->pages.len = 0;
    bool newest = c->hints.newest_only && read_newest(c, ids, tried);
    if (!newest)
        read_tables(c, ids, tried);
    for (; i < tried && c->samples.len + c->pages.len < BATCH_SAMPLES &&
           (!c->hints.limit || c->given + n < c->hints.limit);
         i++) {
        u32 from = c->samples.len, pages = (u32)c->pages.len;
        if (newest)
            take_newest(c, c->spans[i]);
        else if (c->hints.newest_only)
            read_newest_series(c, ids[i], c->spans[i]);
        else if (c->hints.want_pages)
            read_pages(c, ids[i], c->spans[i]);
        else
            read_series(c, ids[i], c->spans[i]);
        if (c->samples.len == from && c->pages.len == pages)
            continue;
        spans[n] = (Spans){{from, c->samples.len - from}, {pages, (u32)c->pages.len - pages}};
        TRY(identify(c, ids[i], &ret[n++], why));
    }
    c->at += i;
    if (c->samples.over || c->mem.over)
        return why_set(why, E_LIMIT, "the query's samples need more memory than its limit");
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
    Spans spans[BATCH_SERIES];
    while (n == 0 && c->at < c->ids.len && (!c->hints.limit || c->given < c->hints.limit)) {
        TRY(batch_read(c, ret, spans, max, &n, why));
        if (cancel_is_set(c->cancel))
            return why_set(why, E_CANCELED, "query was canceled");
    }
    for (u32 k = 0; k < n; k++) {
        if ((ret[k].n = spans[k].samples.len)) {
            ret[k].t = c->samples.t + spans[k].samples.from;
            ret[k].v = c->samples.v + spans[k].samples.from;
        }
        ret[k].pages = spans[k].pages.len ? c->pages.at + spans[k].pages.from : NULL;
        ret[k].pages_len = spans[k].pages.len;
        TRY(hists_of(c, spans[k].samples, &ret[k].h, why));
    }
    c->given += n;
    *ret_n = n;
    return OK;
}

/* A slice is every so many runs of ids: series that come or go between the lookups of several slices change no other's place. */
#define SLICE_SHIFT 6

static void slice_keep(const SelectHints *h, SidList *ids)
{
    u32 kept = 0;
    for (u32 i = 0; i < ids->len; i++)
        if ((ids->at[i] >> SLICE_SHIFT) % h->slices == h->slice)
            ids->at[kept++] = ids->at[i];
    ids->len = kept;
}

static Err cursor_init(Cursor *c, Matchers m, Why *why)
{
    Snapshot *s = &c->snap;
    if (!s->t)
        return OK;
    TRY(lookup_series(s->t, m, c->arena, c->cancel, &c->ids, why));
    if (c->hints.slices > 1)
        slice_keep(&c->hints, &c->ids);
    group_keys_init(&c->groups, &s->t->cat, c->hints.grouping, c->arena);
    c->parts_maxt = INT64_MIN;
    if (c->hints.labels_only) {
        snapshot_filter_live(s, c->hints.mint, c->hints.maxt, &c->ids);
        return OK;
    }
    size_t parts = s->tv ? s->tv->parts.len : 0;
    c->parts = mem_alloc(MAX(parts, 1) * sizeof(PartCursor));
    for (size_t i = 0; i < parts; i++) {
        Part *p = s->tv->parts.at[i];
        if (p->meta.mint > c->hints.maxt || p->meta.maxt < c->hints.mint)
            continue;
        part_cursor_init(&c->parts[c->parts_len++], p);
        c->parts_maxt = MAX(c->parts_maxt, p->meta.maxt);
    }
    if (c->hints.newest_only)
        order_by_maxt(c);
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
    c->cursor = (SeriesCursor){cursor_next, cursor_close, cursor_labels};
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
