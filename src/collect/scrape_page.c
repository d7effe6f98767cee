/* One page: parsed to its end, relabelled through the cache, checked against the limits, and written as one batch together
 * with staleness markers and the report series. */
#include "collect/scrape.h"
#include <math.h>
#include <stdio.h>

#define ARENA_MAX    (1ULL << 30)
#define UNSTORED_MAX 1000 /* entries that failed pages may leave in the cache */

typedef struct Page {
    ScrapeRun *r;
    Arena arena;
    VEC(SeriesItem) items;
    VEC(CacheEntry *) entries; /* of items, NULL where there is none (markers of old caches, reports) */
    VEC(MetadataItem) metadata;
    VEC(CacheEntry *) fresh; /* stored for the first time, if the write succeeds */
    u64 duplicates;
    bool over_samples, over_buckets;
} Page;

static void fail(ScrapeRun *r, Err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fail(ScrapeRun *r, Err e, const char *fmt, ...)
{
    va_list ap;
    r->err = e;
    va_start(ap, fmt);
    vsnprintf(r->error, sizeof r->error, fmt, ap);
    va_end(ap);
}

/* ---- labels ---- */

/* Labels with an empty value are not in l, but with honor_labels they still keep the target's label away. */
static bool names_empty_label(Str series_text, Str name)
{
    char pattern[128];
    if (name.len > 100)
        return false;
    Str p = str_of(pattern, (size_t)snprintf(pattern, sizeof pattern, "%.*s=\"\"", STR_FMT(name)));
    for (Str rest = series_text; rest.len;) {
        size_t at = str_find(rest, p);
        if (at == SIZE_MAX)
            return false;
        if (at > 0 && strchr("{, \"", rest.at[at - 1]))
            return true;
        rest = str_skip(rest, at + 1);
    }
    return false;
}

static int by_name_length(const void *a, const void *b)
{
    size_t x = ((const Label *)a)->name.len, y = ((const Label *)b)->name.len;
    return x < y ? -1 : x > y;
}

/* What the page says gives way to the target's labels and lives on as exported_<name>. */
static void resolve_conflicts(LabelsBuilder *b, Label *conflicts, u32 n)
{
    qsort(conflicts, n, sizeof *conflicts, by_name_length);
    for (u32 i = 0; i < n; i++) {
        Str name = conflicts[i].name;
        do
            name = arena_printf(b->arena, "exported_%.*s", STR_FMT(name));
        while (name.len && lb_get(b, name).len);
        lb_set(b, name, conflicts[i].value);
    }
}

static Labels with_target_labels(Page *p, Labels exposed, Str series_text)
{
    Labels target = p->r->cache->target;
    LabelsBuilder b;
    Label *conflicts = target.len ? arena_array(&p->arena, Label, target.len) : NULL;
    u32 n = 0;
    lb_init(&b, &p->arena, exposed);
    for (u32 i = 0; i < target.len; i++) {
        Label l = target.at[i];
        Str has = labels_get(exposed, l.name);
        if (p->r->job->honor_labels) {
            if (has.len == 0 && !names_empty_label(series_text, l.name))
                lb_set(&b, l.name, l.value);
            continue;
        }
        if (has.len && conflicts)
            conflicts[n++] = (Label){l.name, has};
        lb_set(&b, l.name, l.value);
    }
    if (n)
        resolve_conflicts(&b, conflicts, n);
    if (p->r->job->metric_relabel.len && !relabel_apply(p->r->job->metric_relabel, &b))
        return (Labels){0};
    return lb_build(&b);
}

static bool labels_are_usable(ScrapeRun *r, Labels l)
{
    const ScrapeLimits *lim = &r->job->limits;
    Str name = str_sub(labels_get(l, LABEL_NAME), 0, 50);
    if (name.len == 0) {
        fail(r, E_INVALID, "missing metric name (__name__ label)");
        return false;
    }
    if (lim->labels && l.len > lim->labels) {
        fail(r, E_LIMIT, "label_limit exceeded (metric: %.*s, number of labels: %u, limit: %llu)",
             STR_FMT(name), l.len, (unsigned long long)lim->labels);
        goto limit;
    }
    for (u32 i = 0; i < l.len; i++) {
        Label a = l.at[i];
        bool is_name = str_eq(a.name, LABEL_NAME);
        if (!str_is_utf8(a.name) || (r->job->legacy_names && !(is_name ? metric_name_is_classic(a.value)
                                                                       : label_name_is_classic(a.name)))) {
            fail(r, E_INVALID, "invalid metric name or label names: %.*s (label %.*s)", STR_FMT(name),
                 STR_FMT(str_sub(a.name, 0, 50)));
            return false;
        }
        if (lim->label_name_bytes && a.name.len > lim->label_name_bytes) {
            fail(
                r, E_LIMIT,
                "label_name_length_limit exceeded (metric: %.*s, label name: %.*s, length: %zu, limit: %llu)",
                STR_FMT(name), STR_FMT(str_sub(a.name, 0, 50)), a.name.len,
                (unsigned long long)lim->label_name_bytes);
            goto limit;
        }
        if (lim->label_value_bytes && a.value.len > lim->label_value_bytes) {
            fail(r, E_LIMIT,
                 "label_value_length_limit exceeded (metric: %.*s, label name: %.*s, value: \"%.*s\", "
                 "length: %zu, limit: %llu)",
                 STR_FMT(name), STR_FMT(str_sub(a.name, 0, 50)), STR_FMT(str_sub(a.value, 0, 50)),
                 a.value.len, (unsigned long long)lim->label_value_bytes);
            goto limit;
        }
    }
    return true;
limit:
    metric_inc(scrape_metrics()->label_limits);
    return false;
}

/* ---- items ---- */

static Exemplar *copy_exemplars(Page *p, const ExpoItem *item)
{
    Exemplar *at = item->exemplars_len ? arena_array(&p->arena, Exemplar, item->exemplars_len) : NULL;
    if (!at)
        return NULL;
    memcpy(at, item->exemplars, item->exemplars_len * sizeof *at);
    for (u32 i = 0; i < item->exemplars_len; i++)
        at[i].labels = labels_dup(&p->arena, at[i].labels);
    return at;
}

static void item_add(Page *p, CacheEntry *e, const ExpoItem *item, const Histogram *fitted, i64 t)
{
    SeriesItem s = {.labels = {e->labels, e->labels_len}, .hint = e->hint, .start_t = item->start_t};
    if (item->kind == EXPO_HISTOGRAM) {
        i64 *at = arena_alloc(&p->arena, sizeof *at);
        const Histogram **h = arena_alloc(&p->arena, sizeof *h);
        *at = t;
        *h = fitted;
        s.hist_t = at;
        s.hists = h;
        s.hists_len = 1;
    } else {
        Sample *sample = arena_alloc(&p->arena, sizeof *sample);
        *sample = (Sample){t, item->value};
        s.samples = sample;
        s.samples_len = 1;
    }
    if (item->exemplars_len) {
        s.exemplars = copy_exemplars(p, item);
        s.exemplars_len = s.exemplars ? item->exemplars_len : 0;
    }
    vec_push(&p->items, s);
    vec_push(&p->entries, e);
}

static void marker_add(Page *p, Labels labels, u64 hint, CacheEntry *e)
{
    Sample *sample = arena_alloc(&p->arena, sizeof *sample);
    *sample = (Sample){p->r->stamp_ms, stale_nan()};
    vec_push(&p->items, (SeriesItem){.labels = labels, .hint = hint, .samples = sample, .samples_len = 1});
    vec_push(&p->entries, e);
}

/* The finest schema whose buckets grow by at least this factor. */
static i32 schema_of_factor(f64 factor)
{
    f64 floor_of = floor(-log2(log2(factor <= 1 ? 1.00271 : factor)));
    return floor_of >= 8 ? 8 : floor_of <= -4 ? -4 : (i32)floor_of;
}

/* The histogram as it may be stored: no finer than allowed, and reduced until it fits the bucket limit. NULL: it does not. */
static const Histogram *histogram_fit(Page *p, const Histogram *from)
{
    const ScrapeJob *job = p->r->job;
    u64 max = job->limits.histogram_buckets;
    Histogram *h = histogram_dup(&p->arena, from);
    bool exponential = h->schema != HIST_SCHEMA_CUSTOM;
    if (exponential && job->histogram_min_factor > 0)
        histogram_reduce(&p->arena, h, schema_of_factor(job->histogram_min_factor));
    while (max && (u64)h->pos_len + h->neg_len > max) {
        if (!exponential || h->schema <= -4) {
            if (!p->over_buckets)
                metric_inc(scrape_metrics()->bucket_limit);
            p->over_buckets = true;
            return NULL;
        }
        histogram_reduce(&p->arena, h, h->schema - 1);
    }
    return h;
}

/* The line's entry: the expected one, a known one, or a new one. NULL: the page is bad (told in r). */
static CacheEntry *entry_of(Page *p, ExpoParser *parser, ExpoItem *item, CacheEntry *expected)
{
    ScrapeRun *r = p->r;
    Why why;
    if (expected && str_eq(entry_text(expected), item->series_text))
        return expected;
    u64 hash = hash_str(item->series_text);
    CacheEntry *e = cache_find(r->cache, item->series_text, hash);
    if (e)
        return e;
    if (expo_labels(parser, item, &why) != OK) {
        fail(r, E_PARSE, "line %u, column %u: %s", why.line, why.col, why.text);
        return NULL;
    }
    Labels l = with_target_labels(p, item->labels, item->series_text);
    if (l.len && !labels_are_usable(r, l))
        return NULL;
    return cache_add(r->cache, item->series_text, hash, l);
}

static bool series_item(Page *p, ExpoParser *parser, ExpoItem *item, CacheEntry **last)
{
    ScrapeRun *r = p->r;
    ScrapeCache *c = r->cache;
    CacheEntry *expected = *last ? (*last)->next : c->first;
    r->scraped++;
    CacheEntry *e = entry_of(p, parser, item, expected);
    if (!e)
        return false;
    if (e != expected) {
        if (*last)
            (*last)->next = e;
        else
            c->first = e;
    }
    *last = e;
    bool has_time = r->job->honor_timestamps && item->t != INT64_MIN;
    bool again = e->seen == c->iter;
    c->seen_len += !again;
    e->seen = c->iter;
    if (e->labels_len == 0)
        return true;
    r->post_relabel++;
    const Histogram *fitted = item->kind == EXPO_HISTOGRAM ? histogram_fit(p, item->hist) : NULL;
    if (p->over_buckets)
        return true;
    if (again && !has_time) {
        p->duplicates++;
        return true;
    }
    if (r->job->limits.samples && r->post_relabel > r->job->limits.samples) {
        p->over_samples = true; /* goes on counting: the report tells how many there were */
        return true;
    }
    if ((!has_time || r->job->track_timestamps_staleness) && e->now != c->iter) {
        e->now = c->iter;
        c->continued_len += c->tracked_iter && e->tracked == c->tracked_iter;
    }
    item_add(p, e, item, fitted, has_time ? item->t : r->stamp_ms);
    return true;
}

/* ---- metadata ---- */

static void meta_set(ScrapeRun *r, MetaEntry *m, const ExpoItem *item)
{
    Str *field = item->kind == EXPO_HELP ? &m->help : &m->unit;
    mutex_lock(r->metadata_lock);
    if (item->kind == EXPO_TYPE) {
        m->type = item->type;
    } else {
        mem_free((void *)field->at);
        *field = mem_dup(item->text);
    }
    mutex_unlock(r->metadata_lock);
}

static void meta_item(Page *p, const ExpoItem *item)
{
    ScrapeRun *r = p->r;
    if (!r->metadata || item->kind == EXPO_COMMENT)
        return;
    MetaEntry *m = strmap_find(r->metadata, item->name);
    bool is_new = !m;
    if (is_new) {
        if (r->metadata->len >= 100000)
            return;
        m = mem_new(MetaEntry);
        mutex_lock(r->metadata_lock);
        strmap_put(r->metadata, item->name, m);
        mutex_unlock(r->metadata_lock);
    }
    m->seen = r->cache->iter;
    bool changed = item->kind == EXPO_TYPE ? m->type != item->type
                                           : !str_eq(item->kind == EXPO_HELP ? m->help : m->unit, item->text);
    if (changed)
        meta_set(r, m, item);
    if (!changed && !is_new)
        return;
    for (size_t i = 0; i < p->metadata.len; i++)
        if (str_eq(p->metadata.at[i].family, item->name))
            return;
    vec_push(&p->metadata, (MetadataItem){.family = arena_dup(&p->arena, item->name)});
}

/* What is new goes to the sink with all its fields, as they stand at the end of the page. */
static void meta_finish(Page *p)
{
    for (size_t i = 0; i < p->metadata.len; i++) {
        MetadataItem *item = &p->metadata.at[i];
        const MetaEntry *m = strmap_find(p->r->metadata, item->family);
        if (m)
            *item = (MetadataItem){item->family, m->help, m->unit, m->type};
    }
}

/* Metadata outlives its family by ten scrapes. */
static void meta_expire(ScrapeRun *r)
{
    StrMap *m = r->metadata;
    VEC(Str) gone = {0};
    if (!m || r->cache->iter % 10)
        return;
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(m, &i));)
        if (r->cache->iter - ((MetaEntry *)slot->value)->seen > 10)
            vec_push(&gone, mem_dup(slot->key));
    mutex_lock(r->metadata_lock);
    for (size_t i = 0; i < gone.len; i++) {
        MetaEntry *e = strmap_del(m, gone.at[i]);
        mem_free((void *)e->help.at);
        mem_free((void *)e->unit.at);
        mem_free(e);
        mem_free((void *)gone.at[i].at);
    }
    mutex_unlock(r->metadata_lock);
    vec_done(&gone);
}

void metadata_clear(StrMap *m)
{
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(m, &i));) {
        MetaEntry *e = slot->value;
        mem_free((void *)e->help.at);
        mem_free((void *)e->unit.at);
        mem_free(e);
    }
    strmap_done(m);
}

/* ---- the page ---- */

static ExpoFormat format_of(ScrapeRun *r)
{
    static const ExpoFormat formats[] = {EXPO_PROTOBUF,    EXPO_TEXT,        EXPO_TEXT,
                                         EXPO_OPENMETRICS, EXPO_OPENMETRICS, EXPO_UNKNOWN};
    static const char *const none = "and no fallback_scrape_protocol specified for target";
    ExpoFormat f = expo_format(r->content_type, formats[r->job->fallback]);
    if (f == EXPO_UNKNOWN && r->content_type.len == 0)
        fail(r, E_UNSUPPORTED, "non-compliant scrape target sending blank Content-Type %s", none);
    else if (f == EXPO_UNKNOWN)
        fail(r, E_UNSUPPORTED, "received unsupported Content-Type \"%.*s\" %s", STR_FMT(r->content_type),
             none);
    return f;
}

static void page_parse(Page *p)
{
    ScrapeRun *r = p->r;
    ExpoOptions options = {.classic_too = r->job->classic_too, .convert_nhcb = r->job->convert_nhcb};
    ExpoFormat format = format_of(r);
    if (format == EXPO_UNKNOWN)
        return;
    ExpoParser *parser = expo_new(buf_view(&r->body), format, &options, &p->arena);
    CacheEntry *last = NULL;
    for (;;) {
        ExpoItem item;
        Why why;
        const CacheEntry *expected = last ? last->next : r->cache->first;
        if (expected)
            expo_expect(parser, entry_text(expected));
        Err e = expo_next(parser, &item, &why);
        if (e == E_NOT_FOUND)
            break;
        if (e != OK) {
            fail(r, e, "line %u, column %u: %s", why.line, why.col, why.text);
            return;
        }
        if (item.kind != EXPO_SERIES && item.kind != EXPO_HISTOGRAM)
            meta_item(p, &item);
        else if (!series_item(p, parser, &item, &last))
            return;
        if (arena_over(&p->arena)) {
            fail(r, E_LIMIT, "the page needs more than %llu MiB while it is read",
                 (unsigned long long)(ARENA_MAX >> 20));
            return;
        }
    }
    if (last)
        last->next = NULL;
    else
        r->cache->first = NULL;
    if (p->over_buckets)
        fail(r, E_LIMIT, "histogram bucket limit exceeded");
    if (p->over_samples) {
        fail(r, E_LIMIT, "sample limit exceeded");
        metric_inc(scrape_metrics()->sample_limit);
    }
}

/* ---- markers ---- */

/* Series of the last stored page that this one lacks; all of them when there is no page. */
static void markers_for_gone(Page *p, bool whole)
{
    ScrapeCache *c = p->r->cache;
    if (!c->tracked_iter || (whole && c->continued_len == c->tracked_len))
        return;
    for (size_t i = 0; i < c->cap; i++) {
        CacheEntry *e = c->slots[i];
        if (e && e->labels_len && e->tracked == c->tracked_iter && !(whole && e->now == c->iter))
            marker_add(p, (Labels){e->labels, e->labels_len}, e->hint, e);
    }
}

/* Series of a cache made under another configuration that the new one does not bring. */
static void markers_for_before(Page *p)
{
    ScrapeCache *old = p->r->cache->before;
    U64Map now = {0};
    if (!old)
        return;
    for (size_t i = 0; i < p->items.len; i++)
        u64map_put(&now, labels_hash(p->items.at[i].labels), 1);
    for (size_t i = 0; i < old->cap; i++) {
        CacheEntry *e = old->slots[i];
        if (!e || !e->labels_len || !old->tracked_iter || e->tracked != old->tracked_iter)
            continue;
        Labels l = {e->labels, e->labels_len};
        if (!u64map_find(&now, labels_hash(l)))
            marker_add(p, l, e->hint, NULL);
    }
    u64map_done(&now);
}

/* ---- the report ---- */

static void report_add(Page *p, u32 index, const char *name, f64 value)
{
    Labels target = p->r->cache->target;
    LabelsBuilder b;
    lb_init(&b, &p->arena, target);
    lb_set(&b, LABEL_NAME, str_c(name));
    Sample *sample = arena_alloc(&p->arena, sizeof *sample);
    *sample = (Sample){p->r->stamp_ms, value};
    vec_push(&p->items, (SeriesItem){.labels = lb_build(&b),
                                     .hint = p->r->cache->report_hints[index],
                                     .samples = sample,
                                     .samples_len = 1});
    vec_push(&p->entries, NULL);
}

static const char *const report_names[9] = {"up",
                                            "scrape_duration_seconds",
                                            "scrape_samples_scraped",
                                            "scrape_samples_post_metric_relabeling",
                                            "scrape_series_added",
                                            "scrape_timeout_seconds",
                                            "scrape_sample_limit",
                                            "scrape_body_size_bytes",
                                            NULL};

static u32 report(Page *p)
{
    ScrapeRun *r = p->r;
    f64 body = r->err == E_TOO_LARGE ? -1 : (f64)r->body.len;
    f64 values[] = {r->err == OK,
                    (f64)r->duration_ns / 1e9,
                    (f64)r->scraped,
                    (f64)r->post_relabel,
                    (f64)r->added,
                    (f64)r->timeout_ms / 1000,
                    (f64)r->job->limits.samples,
                    body};
    u32 n = r->job->extra_metrics ? 8 : 5;
    for (u32 i = 0; i < n; i++)
        report_add(p, i, report_names[i], r->only_stale ? stale_nan() : values[i]);
    return n;
}

/* ---- the write ---- */

static void count_new(Page *p)
{
    for (size_t i = 0; i < p->entries.len; i++) {
        CacheEntry *e = p->entries.at[i];
        if (e && !e->is_stored) {
            e->is_stored = 1;
            vec_push(&p->fresh, e);
        }
    }
    p->r->added = p->fresh.len;
}

static bool write_batch(Page *p, u32 reports)
{
    ScrapeRun *r = p->r;
    SinkResult res = {0};
    const ScrapeMetrics *m = scrape_metrics();
    u64 *hints = p->items.len ? mem_zalloc(p->items.len * sizeof *hints) : NULL;
    SampleBatch batch = {.tenant = r->tenant,
                         .series = p->items.at,
                         .series_len = (u32)p->items.len,
                         .metadata = p->metadata.at,
                         .metadata_len = (u32)p->metadata.len,
                         .from_self = true};
    r->sink->write(r->sink, &batch, hints, &res);
    bool ok = res.err == OK || res.samples_ok || res.histograms_ok;
    for (size_t i = 0; ok && i < p->items.len; i++) {
        if (p->entries.at[i])
            p->entries.at[i]->hint = hints[i];
        else if (i + reports >= p->items.len)
            r->cache->report_hints[i + reports - p->items.len] = hints[i];
    }
    mem_free(hints);
    metric_add(m->duplicate, (f64)(res.rejected_conflict + p->duplicates));
    metric_add(m->out_of_bounds, (f64)res.rejected_old);
    metric_add(m->out_of_order, (f64)res.out_of_order);
    if (!ok)
        fail(r, res.err, "nothing was stored: %.400s", res.why.text);
    return ok;
}

/* What the write made true: who is stored, and who is tracked. */
static void settle(Page *p, bool ok, bool whole)
{
    ScrapeCache *c = p->r->cache;
    for (size_t i = 0; !ok && i < p->fresh.len; i++)
        p->fresh.at[i]->is_stored = 0;
    /* Failing pages may bring new series each time. */
    if ((!ok || !whole) && c->len > c->stored_len + UNSTORED_MAX) {
        cache_drop_unstored(c);
        metric_inc(scrape_metrics()->flush_forced);
    }
    if (!ok)
        return;
    c->tracked_len = 0;
    c->tracked_iter = whole ? c->iter : 0;
    for (size_t i = 0; whole && i < p->entries.len; i++) {
        CacheEntry *e = p->entries.at[i];
        if (e && e->now == c->iter && e->tracked != c->iter) {
            e->tracked = c->iter;
            c->tracked_len++;
        }
    }
    cache_free(c->before);
    c->before = NULL;
    if (whole && c->seen_len != c->len)
        cache_drop_unseen(c);
    if (whole)
        c->stored_len = (u32)c->len;
}

void scrape_run(ScrapeRun *r)
{
    Page p = {.r = r};
    ScrapeCache *c = r->cache;
    arena_init(&p.arena, NULL, ARENA_MAX);
    c->iter++;
    c->seen_len = c->continued_len = 0;
    vec_reserve(&p.items, c->tracked_len + 16);
    vec_reserve(&p.entries, c->tracked_len + 16);
    if (r->err == OK && !r->only_stale)
        page_parse(&p);
    bool whole = r->err == OK && !r->only_stale;
    if (!whole)
        p.items.len = p.entries.len = 0; /* nothing half-stored */
    count_new(&p);
    markers_for_gone(&p, whole);
    markers_for_before(&p);
    meta_finish(&p);
    r->duration_ns = clock_mono_ns(r->clock) - r->started_ns;
    u32 reports = report(&p);
    settle(&p, write_batch(&p, reports), whole);
    meta_expire(r);
    r->cached_series = c->len;
    r->metadata_len = r->metadata ? r->metadata->len : 0;
    vec_done(&p.items);
    vec_done(&p.entries);
    vec_done(&p.metadata);
    vec_done(&p.fresh);
    arena_done(&p.arena);
}
