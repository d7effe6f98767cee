/* Cursors: what a query selects, opened and handed out. Their samples are read by batch.c. */
#include "metrics/cursor.h"

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
    vec_done(&c->blocks_before);
    vec_done(&c->sources_before);
    vec_done(&c->by_time);
    vec_done(&c->pages);
    samples_done(&c->samples);
    head_done(&c->head);
    head_done(&c->rest);
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

/* Reads some series and tells who they are. */
static Err views_read(Cursor *c, SeriesView *ret, u32 max, u32 *ret_n, Why *why)
{
    TRY(batch_read(c, max, why));
    for (u32 i = 0; i < c->placed_len; i++) {
        const Placed *p = &c->placed[i];
        SeriesView *v = &ret[i];
        TRY(identify(c, p->sid, v, why));
        v->n = p->n;
        v->t = p->n ? c->samples.t + p->t : NULL;
        v->v = p->n ? c->samples.v + p->at : NULL;
        v->same_times = i > 0 && p->t == p[-1].t && p->n == p[-1].n;
        v->pages = p->pages_len ? c->pages.at + p->pages : NULL;
        v->pages_len = p->pages_len;
        TRY(batch_hists(c, p, &v->h, why));
    }
    *ret_n = c->placed_len;
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
    while (*ret_n == 0 && c->at < c->ids.len && (!c->hints.limit || c->given < c->hints.limit)) {
        TRY(views_read(c, ret, MIN(max, BATCH_SERIES), ret_n, why));
        if (cancel_is_set(c->cancel))
            return why_set(why, E_CANCELED, "query was canceled");
    }
    c->given += *ret_n;
    return OK;
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
    c->samples.account = c->head.mem.account = c->rest.mem.account = arena->account;
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
