/* One page: parsed to its end, relabelled through the cache, checked against the limits, and written as one batch together
 * with staleness markers and the report series. */
#include "collect/scrape.h"
#include <math.h>
#include <stdio.h>

#define ARENA_MAX (1ULL << 30)
/* Comments are read again every so often although they are the same, so that metadata is known to be in use. */
#define COMMENTS_READ_EVERY 8
#define NO_LINE             UINT32_MAX

/* A page's lines follow the cache's for as long as they are the same: then nothing is looked up and nothing is moved. From
 * the first that differs on, they gather in `fresh`, which becomes the cache's if the page is stored. */
typedef struct Page {
    ScrapeRun *r;
    Arena arena;
    u32 at; /* of the cache's lines: the one that is expected */
    bool is_forked;
    VEC(CacheLine) fresh;
    U64Map old_by_hash, fresh_by_hash; /* -> index; made when first needed */
    bool has_index;
    VEC(u64) hints; /* the row: series with hints, our time, and nothing but a value */
    VEC(f64) values;
    VEC(SeriesItem) items; /* the others */
    VEC(u32) item_lines;   /* their lines, NO_LINE where there is none (markers, reports) */
    VEC(MetadataItem) metadata;
    u64 duplicates;
    u32 continued_len; /* tracked lines whose series is on this page with our time */
    u32 comments_from; /* offset where the comments under way begin; NO_LINE = none */
    i64 comments_type;
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

static CacheLine *line_at(Page *p, u32 i)
{
    return p->is_forked ? &p->fresh.at[i] : &p->r->cache->lines[i];
}

static void row_push(Page *p, u64 hint, f64 value)
{
    vec_push(&p->hints, hint);
    vec_push(&p->values, value);
}

static void item_push(Page *p, SeriesItem *s, i64 t, f64 v, u32 line)
{
    Sample *sample = arena_alloc(&p->arena, sizeof *sample);
    *sample = (Sample){t, v};
    s->samples = sample;
    s->samples_len = 1;
    vec_push(&p->items, *s);
    vec_push(&p->item_lines, line);
}

/* labels: of a line whose labels were read just now. */
static void item_add(Page *p, u32 line, Labels labels, const ExpoItem *item, const Histogram *fitted, i64 t)
{
    const CacheLine *l = line_at(p, line);
    SeriesItem s = {.labels = l->flags & LINE_OWN ? *l->labels : labels,
                    .hint = l->flags & LINE_OWN ? 0 : l->hint,
                    .start_t = item->start_t};
    bool is_plain = item->kind != EXPO_HISTOGRAM && !item->exemplars_len && !item->start_t;
    if (is_plain && s.hint && t == p->r->stamp_ms) {
        row_push(p, s.hint, item->value);
        return;
    }
    if (item->exemplars_len) {
        s.exemplars = copy_exemplars(p, item);
        s.exemplars_len = s.exemplars ? item->exemplars_len : 0;
    }
    if (item->kind != EXPO_HISTOGRAM) {
        item_push(p, &s, t, item->value, line);
        return;
    }
    i64 *at = arena_alloc(&p->arena, sizeof *at);
    const Histogram **h = arena_alloc(&p->arena, sizeof *h);
    *at = t;
    *h = fitted;
    s.hist_t = at;
    s.hists = h;
    s.hists_len = 1;
    vec_push(&p->items, s);
    vec_push(&p->item_lines, line);
}

/* After the page's samples: one that came under other bytes wins over the marker. Without a page the markers are the row. */
static void marker_add(Page *p, const CacheLine *l, bool whole)
{
    if (l->flags & LINE_OWN)
        item_push(p, &(SeriesItem){.labels = *l->labels}, p->r->stamp_ms, stale_nan(), NO_LINE);
    else if (l->hint && whole)
        item_push(p, &(SeriesItem){.hint = l->hint}, p->r->stamp_ms, stale_nan(), NO_LINE);
    else if (l->hint)
        row_push(p, l->hint, stale_nan());
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

/* ---- lines ---- */

static void fork_lines(Page *p)
{
    ScrapeCache *c = p->r->cache;
    if (p->is_forked)
        return;
    p->is_forked = true;
    vec_reserve(&p->fresh, c->len + 64);
    for (u32 i = 0; i < p->at; i++)
        vec_push(&p->fresh, c->lines[i]);
}

static void index_lines(Page *p)
{
    ScrapeCache *c = p->r->cache;
    if (p->has_index)
        return;
    p->has_index = true;
    for (u32 i = c->len; i-- > 0;) /* the first of equal ones stays */
        if (!(c->lines[i].flags & (LINE_COMMENTS | LINE_AGAIN)))
            u64map_put(&p->old_by_hash, c->lines[i].hash, i);
}

/* The cache's line under way, which no other takes. */
static CacheLine *expected_line(Page *p)
{
    ScrapeCache *c = p->r->cache;
    if (p->is_forked)
        while (p->at < c->len && c->lines[p->at].flags & (LINE_SEEN | LINE_AGAIN))
            p->at++;
    return p->at < c->len ? &c->lines[p->at] : NULL;
}

static u32 fresh_push(Page *p, CacheLine l)
{
    vec_push(&p->fresh, l);
    return (u32)p->fresh.len - 1;
}

/* Line `at` of the cache is the page's next. */
static u32 line_take(Page *p, u32 at)
{
    CacheLine *l = &p->r->cache->lines[at];
    p->at = at + 1;
    if (!p->is_forked) {
        l->flags |= LINE_SEEN;
        return at;
    }
    u32 i = fresh_push(p, *l);
    l->flags |= LINE_SEEN;
    p->fresh.at[i].flags |= LINE_SEEN;
    return i;
}

static u32 line_add(Page *p, CacheLine l)
{
    u32 i = fresh_push(p, l);
    if (!(l.flags & (LINE_COMMENTS | LINE_AGAIN)))
        u64map_put(&p->fresh_by_hash, l.hash, i);
    return i;
}

static u32 line_again(Page *p, const CacheLine *first)
{
    CacheLine l = {.hash = first->hash, .len = first->len, .flags = LINE_AGAIN | LINE_SEEN};
    l.flags |= first->flags & LINE_DROPPED;
    l.hint = first->flags & LINE_OWN ? 0 : first->hint;
    return fresh_push(p, l);
}

/* The page's next line, with the series of item: the expected one, a known one, the second of its kind, or a new one, whose labels
 * are read. A line that is known but has neither hint nor labels has them read again. NO_LINE: the page is bad (told in r). */
static u32 line_of(Page *p, ExpoParser *parser, ExpoItem *item, Labels *ret_labels)
{
    ScrapeRun *r = p->r;
    ScrapeCache *c = r->cache;
    CacheLine *e = expected_line(p);
    u32 len = (u32)item->series_text.len, i;
    u64 hash = item->is_expected ? e->hash : expo_hash(item->series_text, c->key);
    bool is_new = false;
    if (e && !(e->flags & LINE_COMMENTS) && e->hash == hash && e->len == len) {
        i = line_take(p, p->at);
    } else {
        fork_lines(p);
        index_lines(p);
        const u64 *fresh = u64map_find(&p->fresh_by_hash, hash), *old = u64map_find(&p->old_by_hash, hash);
        if (fresh && p->fresh.at[*fresh].len == len)
            i = line_again(p, &p->fresh.at[*fresh]);
        else if (old && c->lines[*old].len == len)
            i = c->lines[*old].flags & LINE_SEEN ? line_again(p, &c->lines[*old]) : line_take(p, (u32)*old);
        else
            i = line_add(p, (CacheLine){.hash = hash, .len = len, .flags = LINE_SEEN}), is_new = true;
    }
    CacheLine *l = line_at(p, i);
    if (!is_new && (l->flags & (LINE_DROPPED | LINE_OWN) || l->hint))
        return i;
    Why why;
    if (expo_labels(parser, item, &why) != OK) {
        fail(r, E_PARSE, "line %u, column %u: %s", why.line, why.col, why.text);
        return NO_LINE;
    }
    *ret_labels = with_target_labels(p, item->labels, item->series_text);
    if (ret_labels->len && !labels_are_usable(r, *ret_labels))
        return NO_LINE;
    if (!ret_labels->len)
        l->flags |= LINE_DROPPED;
    return i;
}

static bool series_item(Page *p, ExpoParser *parser, ExpoItem *item)
{
    ScrapeRun *r = p->r;
    Labels labels = {0};
    r->scraped++;
    u32 i = line_of(p, parser, item, &labels);
    if (i == NO_LINE)
        return false;
    CacheLine *l = line_at(p, i);
    if (l->flags & LINE_DROPPED)
        return true;
    bool has_time = r->job->honor_timestamps && item->t != INT64_MIN;
    r->post_relabel++;
    const Histogram *fitted = item->kind == EXPO_HISTOGRAM ? histogram_fit(p, item->hist) : NULL;
    if (p->over_buckets)
        return true;
    if (l->flags & LINE_AGAIN && !has_time) {
        p->duplicates++;
        return true;
    }
    if (r->job->limits.samples && r->post_relabel > r->job->limits.samples) {
        p->over_samples = true; /* goes on counting: the report tells how many there were */
        return true;
    }
    if (!has_time || r->job->track_timestamps_staleness) {
        p->continued_len += l->flags & LINE_TRACKED && !(l->flags & LINE_NOW);
        l->flags |= LINE_NOW;
    }
    item_add(p, i, labels, item, fitted, has_time ? item->t : r->stamp_ms);
    return true;
}

/* ---- comments ---- */

static void comments_see(Page *p, Str before, const ExpoItem *item)
{
    if (p->comments_from == NO_LINE) {
        p->comments_from = (u32)(before.at - p->r->page.at);
        p->comments_type = -1;
    }
    if (item->kind == EXPO_TYPE)
        p->comments_type = item->type;
}

/* Comments end where `end` begins: they are a line of the page like others. */
static void comments_close(Page *p, const char *end)
{
    ScrapeCache *c = p->r->cache;
    if (p->comments_from == NO_LINE)
        return;
    Str text = str_of(p->r->page.at + p->comments_from, (size_t)(end - p->r->page.at) - p->comments_from);
    u64 newlines = 0;
    for (Str rest = text, line; rest.len;)
        newlines += str_cut(rest, '\n', &line, &rest);
    p->comments_from = NO_LINE;
    CacheLine l = {.hash = expo_hash(text, c->key), .type = p->comments_type, .len = (u32)text.len};
    l.flags = LINE_COMMENTS;
    l.newlines = (u32)newlines;
    const CacheLine *e = expected_line(p);
    if (newlines != l.newlines)
        return; /* more than sixteen million lines: not worth a note */
    if (e && e->flags & LINE_COMMENTS && e->hash == l.hash && e->len == l.len && e->type == l.type) {
        line_take(p, p->at);
        return;
    }
    fork_lines(p);
    /* What was expected there has changed or is gone. */
    if (e && e->flags & LINE_COMMENTS)
        p->at++;
    line_add(p, l);
}

/* The expected comments, unread: they say what they said before. */
static bool comments_skip(Page *p, ExpoParser *parser)
{
    ScrapeCache *c = p->r->cache;
    const CacheLine *e = expected_line(p);
    if (!e || !(e->flags & LINE_COMMENTS) || p->comments_from != NO_LINE ||
        c->iter % COMMENTS_READ_EVERY == 0)
        return false;
    MetricType type = (MetricType)e->type;
    if (!expo_skip(parser, e->len, e->hash, c->key, e->newlines, e->type < 0 ? NULL : &type))
        return false;
    line_take(p, p->at);
    return true;
}

/* ---- metadata ---- */

static bool says_same(const MetaSaid *said, const ExpoItem *item)
{
    return item->kind == EXPO_TYPE ? said->type == item->type
                                   : str_eq(item->kind == EXPO_HELP ? said->help : said->unit, item->text);
}

static void meta_item(Page *p, const ExpoItem *item)
{
    ScrapeRun *r = p->r;
    if (!r->metadata || item->kind == EXPO_COMMENT)
        return;
    const MetaSaid *known = metadata_see(r->metadata, item->name, r->cache->iter);
    if ((known && says_same(known, item)) || (!known && r->metadata->len >= 100000))
        return;
    MetaSaid said = known ? *known : (MetaSaid){.family = item->name};
    if (item->kind == EXPO_TYPE)
        said.type = item->type;
    else
        *(item->kind == EXPO_HELP ? &said.help : &said.unit) = item->text;
    mutex_lock(r->metadata_lock);
    metadata_put(r->metadata, &said, r->cache->iter);
    mutex_unlock(r->metadata_lock);
    /* The lines of a family stand together, mostly; told twice does no harm. */
    size_t n = p->metadata.len;
    if (n && str_eq(p->metadata.at[n - 1].family, item->name))
        return;
    vec_push(&p->metadata, (MetadataItem){.family = arena_dup(&p->arena, item->name)});
}

/* What is new goes to the sink with all its fields, as they stand at the end of the page. */
static void meta_finish(Page *p)
{
    for (size_t i = 0; i < p->metadata.len; i++) {
        MetadataItem *item = &p->metadata.at[i];
        const MetaSaid *m = metadata_find(p->r->metadata, item->family);
        if (m)
            *item = (MetadataItem){item->family, m->help, m->unit, m->type};
    }
}

/* Metadata outlives its family by ten scrapes and a few. */
static void meta_expire(ScrapeRun *r)
{
    if (!r->metadata || r->cache->iter % 10)
        return;
    mutex_lock(r->metadata_lock);
    metadata_expire(r->metadata, r->cache->iter, 10 + COMMENTS_READ_EVERY);
    mutex_unlock(r->metadata_lock);
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
    ExpoParser *parser = expo_new(r->page, format, &options, &p->arena);
    /* Histograms that are put together from lines come later than those: then nothing is expected of the place. */
    bool in_place = format != EXPO_PROTOBUF && !options.convert_nhcb && r->page.len < UINT32_MAX;
    p->comments_from = NO_LINE;
    for (;;) {
        ExpoItem item;
        Why why;
        if (in_place && comments_skip(p, parser))
            continue;
        const CacheLine *e = expected_line(p);
        if (in_place && e && !(e->flags & LINE_COMMENTS))
            expo_expect(parser, e->len, e->hash, r->cache->key);
        Str before = expo_rest(parser);
        Err err = expo_next(parser, &item, &why);
        if (err == E_NOT_FOUND)
            break;
        if (err != OK) {
            fail(r, err, "line %u, column %u: %s", why.line, why.col, why.text);
            return;
        }
        if (item.kind != EXPO_SERIES && item.kind != EXPO_HISTOGRAM) {
            meta_item(p, &item);
            if (in_place)
                comments_see(p, before, &item);
        } else {
            if (in_place)
                comments_close(p, before.at);
            if (!series_item(p, parser, &item))
                return;
        }
        if (arena_over(&p->arena)) {
            fail(r, E_LIMIT, "the page needs more than %llu MiB while it is read",
                 (unsigned long long)(ARENA_MAX >> 20));
            return;
        }
    }
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
    if (!c->tracked_len || (whole && p->continued_len == c->tracked_len))
        return;
    for (u32 i = 0; i < c->len; i++) {
        const CacheLine *l = &c->lines[i];
        bool goes_on = whole && l->flags & LINE_NOW;
        if (l->flags & LINE_TRACKED && !goes_on && !(whole && p->is_forked && l->flags & LINE_SEEN))
            marker_add(p, l, whole);
    }
    for (size_t i = 0; whole && p->is_forked && i < p->fresh.len; i++)
        if ((p->fresh.at[i].flags & (LINE_TRACKED | LINE_NOW)) == LINE_TRACKED)
            marker_add(p, &p->fresh.at[i], true);
}

/* Series of a cache made under another configuration that the new one does not bring. Nothing was ever stored through the new
 * one, so all of its items have labels. */
static void markers_for_before(Page *p)
{
    ScrapeRun *r = p->r;
    ScrapeCache *old = r->cache->before;
    U64Map now = {0};
    if (!old)
        return;
    for (size_t i = 0; i < p->items.len; i++)
        u64map_put(&now, labels_hash(p->items.at[i].labels), 1);
    for (u32 i = 0; i < old->len; i++) {
        const CacheLine *l = &old->lines[i];
        Labels labels = {0};
        if (!(l->flags & LINE_TRACKED))
            continue;
        if (l->flags & LINE_OWN)
            labels = *l->labels;
        else if (!r->sink->labels || !r->sink->labels(r->sink, r->tenant, l->hint, &p->arena, &labels))
            continue;
        if (!u64map_find(&now, labels_hash(labels)))
            marker_add(p, l, true);
    }
    u64map_done(&now);
}

/* ---- the report ---- */

static void report_add(Page *p, u32 index, const char *name, f64 value)
{
    ScrapeCache *c = p->r->cache;
    if (c->report_hints[index]) {
        row_push(p, c->report_hints[index], value);
        return;
    }
    LabelsBuilder b;
    lb_init(&b, &p->arena, c->target);
    lb_set(&b, LABEL_NAME, str_c(name));
    item_push(p, &(SeriesItem){.labels = lb_build(&b)}, p->r->stamp_ms, value, NO_LINE - 1 - index);
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

static void report(Page *p)
{
    ScrapeRun *r = p->r;
    f64 body = r->err == E_TOO_LARGE ? -1 : (f64)r->page.len;
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
}

/* ---- the write ---- */

static void count_new(Page *p)
{
    for (size_t i = 0; i < p->items.len; i++) {
        const CacheLine *l = line_at(p, p->item_lines.at[i]);
        p->r->added += line_has_series(l) && !(l->flags & LINE_STORED);
    }
}

static void hints_take(Page *p, const u64 *hints)
{
    ScrapeCache *c = p->r->cache;
    for (size_t i = 0; i < p->items.len; i++) {
        u32 line = p->item_lines.at[i];
        if (line == NO_LINE)
            continue;
        if (line >= NO_LINE - COUNT_OF(c->report_hints))
            c->report_hints[NO_LINE - 1 - line] = hints[i];
        else
            line_settle(line_at(p, line), hints[i], p->items.at[i].labels);
    }
}

static bool write_batch(Page *p, SinkResult *res)
{
    ScrapeRun *r = p->r;
    const ScrapeMetrics *m = scrape_metrics();
    u64 *hints = p->items.len ? mem_zalloc(p->items.len * sizeof *hints) : NULL;
    SampleBatch batch = {.tenant = r->tenant,
                         .series = p->items.at,
                         .series_len = (u32)p->items.len,
                         .row = {p->hints.at, p->values.at, (u32)p->hints.len, r->stamp_ms, &r->cache->group},
                         .metadata = p->metadata.at,
                         .metadata_len = (u32)p->metadata.len,
                         .from_self = true};
    r->sink->write(r->sink, &batch, hints, res);
    bool ok = res->err == OK || res->samples_ok || res->histograms_ok;
    if (ok)
        hints_take(p, hints);
    mem_free(hints);
    metric_add(m->duplicate, (f64)(res->rejected_conflict + p->duplicates));
    metric_add(m->out_of_bounds, (f64)res->rejected_old);
    metric_add(m->out_of_order, (f64)res->out_of_order);
    if (!ok)
        fail(r, res->err, "nothing was stored: %.400s", res->why.text);
    return ok;
}

/* The page's lines become the cache's. */
static void lines_adopt(Page *p)
{
    ScrapeCache *c = p->r->cache;
    if (p->is_forked) {
        for (u32 i = 0; i < c->len; i++)
            if (!(c->lines[i].flags & LINE_SEEN))
                line_done(&c->lines[i]);
        mem_free(c->lines);
        c->len = (u32)p->fresh.len;
        c->lines = mem_realloc(p->fresh.at, MAX(c->len, 1) * sizeof(CacheLine));
        memset(&p->fresh, 0, sizeof p->fresh);
    } else {
        for (u32 i = p->at; i < c->len; i++)
            line_done(&c->lines[i]);
        c->len = p->at;
    }
    c->series_len = c->tracked_len = 0;
    for (u32 i = 0; i < c->len; i++) {
        CacheLine *l = &c->lines[i];
        bool now = l->flags & LINE_NOW && !(l->flags & LINE_AGAIN);
        l->flags &= ~(u32)(LINE_TRACKED | LINE_SEEN | LINE_NOW);
        l->flags |= now ? LINE_TRACKED : 0;
        l->flags |= line_has_series(l) ? LINE_STORED : 0;
        c->tracked_len += now;
        c->series_len += !(l->flags & (LINE_COMMENTS | LINE_AGAIN));
    }
}

/* The page leaves no trace but that markers were written for what was there. */
static void lines_abandon(Page *p, bool ok)
{
    ScrapeCache *c = p->r->cache;
    for (u32 i = 0; i < c->len; i++)
        c->lines[i].flags &= ~(u32)(LINE_SEEN | LINE_NOW | (ok ? LINE_TRACKED : 0));
    if (ok)
        c->tracked_len = 0;
}

static void page_done(Page *p)
{
    u64map_done(&p->old_by_hash);
    u64map_done(&p->fresh_by_hash);
    vec_done(&p->fresh);
    vec_done(&p->hints);
    vec_done(&p->values);
    vec_done(&p->items);
    vec_done(&p->item_lines);
    vec_done(&p->metadata);
    arena_done(&p->arena);
}

/* True: done. False: the sink does not know the series any more that the cache names; everything has to be said again. */
static bool page_run(ScrapeRun *r, bool is_last)
{
    Page p = {.r = r};
    ScrapeCache *c = r->cache;
    SinkResult res = {0};
    arena_init(&p.arena, NULL, ARENA_MAX);
    vec_reserve(&p.hints, c->series_len + 16);
    vec_reserve(&p.values, c->series_len + 16);
    r->scraped = r->post_relabel = r->added = 0;
    if (r->err == OK && !r->only_stale)
        page_parse(&p);
    bool whole = r->err == OK && !r->only_stale;
    if (!whole)
        p.items.len = p.item_lines.len = p.hints.len = p.values.len = 0; /* nothing half-stored */
    count_new(&p);
    markers_for_gone(&p, whole);
    markers_for_before(&p);
    meta_finish(&p);
    r->duration_ns = clock_mono_ns(r->clock) - r->started_ns;
    report(&p);
    bool ok = write_batch(&p, &res);
    if (ok && whole)
        lines_adopt(&p);
    else
        lines_abandon(&p, ok);
    if (ok) {
        cache_free(c->before);
        c->before = NULL;
    }
    page_done(&p);
    if (res.unknown && !is_last) {
        cache_clear(c);
        return false;
    }
    return true;
}

void scrape_run(ScrapeRun *r)
{
    r->cache->iter++;
    if (!page_run(r, false))
        page_run(r, true);
    meta_expire(r);
    r->cached_series = r->cache->series_len;
    r->metadata_len = r->metadata ? r->metadata->len : 0;
}
