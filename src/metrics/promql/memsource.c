#include "metrics/promql/memsource.h"

#include <math.h>

typedef struct MemSeries {
    Labels labels;
    i64 *t, *st;
    f64 *v;
    const Histogram **h;
    u32 n, cap, next; /* next: of the same hash, UINT32_MAX at the end */
    bool any_histogram, any_st;
} MemSeries;
struct MemSource {
    PromSource face; /* first: cast */
    Arena arena;
    VEC(MemSeries) series;
    U64Map index; /* hash of the labels -> the newest series with it */
    bool is_bare;
    u32 page;
};

/* ---- writing ---- */

static MemSeries *find_or_add(MemSource *m, Labels l)
{
    u64 hash = labels_hash(l), *first = u64map_find(&m->index, hash);
    u32 next = first ? (u32)*first : UINT32_MAX;
    for (u32 i = next; i != UINT32_MAX; i = m->series.at[i].next)
        if (labels_eq(m->series.at[i].labels, l))
            return &m->series.at[i];
    u64map_put(&m->index, hash, m->series.len);
    vec_push(&m->series, (MemSeries){.labels = labels_dup(&m->arena, l), .next = next});
    return &m->series.at[m->series.len - 1];
}

static void series_grow(MemSeries *s)
{
    if (s->n < s->cap)
        return;
    s->cap = MAX(s->cap * 2, 16);
    s->t = mem_realloc(s->t, s->cap * sizeof *s->t);
    s->st = mem_realloc(s->st, s->cap * sizeof *s->st);
    s->v = mem_realloc(s->v, s->cap * sizeof *s->v);
    s->h = mem_realloc(s->h, s->cap * sizeof *s->h);
}

static bool same_bounds(const Histogram *a, const Histogram *b)
{
    return a->custom_len == b->custom_len &&
           (a->custom_len == 0 || memcmp(a->custom, b->custom, a->custom_len * sizeof *a->custom) == 0);
}

/* Could a store append h to the run that prev is in? */
static bool continues(MemSource *m, const Histogram *h, const Histogram *prev)
{
    if (histogram_is_stale(h))
        return true;
    if (histogram_is_stale(prev) || h->hint == HIST_RESET ||
        (h->hint == HIST_GAUGE) != (prev->hint == HIST_GAUGE))
        return false;
    if (h->schema != prev->schema || h->zero_threshold != prev->zero_threshold || !same_bounds(h, prev))
        return false;
    Histogram a = *h, b = *prev;
    a.hint = b.hint = HIST_UNKNOWN_RESET;
    return h->hint == HIST_GAUGE || !histogram_is_reset(&m->arena, &a, &b);
}

static const Histogram *stored_histogram(MemSource *m, const MemSeries *s, u32 at, const Histogram *h)
{
    Histogram *copy = histogram_dup(&m->arena, h);
    const Histogram *prev = at > 0 ? s->h[at - 1] : NULL;
    if (h->hint != HIST_GAUGE)
        copy->hint = prev && continues(m, h, prev) ? HIST_NO_RESET : HIST_UNKNOWN_RESET;
    return copy;
}

Err mem_source_add(MemSource *m, Labels l, i64 t, f64 v, const Histogram *h, i64 st, Why *why)
{
    MemSeries *s = find_or_add(m, l);
    u32 at = s->n;
    while (at > 0 && s->t[at - 1] >= t)
        at--;
    if (at < s->n && s->t[at] == t) {
        bool same =
            h ? s->h[at] && histogram_same(s->h[at], h) : !s->h[at] && f64_bits(s->v[at]) == f64_bits(v);
        if (same)
            return OK;
        return why_set(why, E_CONFLICT, "another sample at the same timestamp %lld", (long long)t);
    }
    series_grow(s);
    const Histogram *stored = h ? stored_histogram(m, s, at, h) : NULL;
    memmove(s->t + at + 1, s->t + at, (s->n - at) * sizeof *s->t);
    memmove(s->st + at + 1, s->st + at, (s->n - at) * sizeof *s->st);
    memmove(s->v + at + 1, s->v + at, (s->n - at) * sizeof *s->v);
    memmove(s->h + at + 1, s->h + at, (s->n - at) * sizeof *s->h);
    s->t[at] = t;
    s->st[at] = st;
    s->v[at] = h ? 0 : v;
    s->h[at] = stored;
    s->n++;
    s->any_histogram |= h != NULL;
    s->any_st |= st != 0;
    return arena_over(&m->arena) ? why_set(why, E_LIMIT, "too many samples in memory") : OK;
}

/* ---- reading ---- */

typedef struct MemCursor {
    SeriesCursor face;
    MemSource *m;
    Matchers matchers;
    SelectHints hints;
    Arena *arena;
    size_t at;
} MemCursor;

static u32 first_at(const MemSeries *s, i64 t)
{
    u32 lo = 0, hi = s->n;
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (s->t[mid] >= t)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Does an edge of a window fall between two samples of the page? */
static bool is_divided(const SelectHints *h, i64 first, i64 last)
{
    for (u32 k = 0; k < h->windows; k++) {
        i64 end = h->windows_start + (i64)k * h->step_ms, start = end - h->range_ms;
        if ((end >= first && end < last) || (start >= first && start < last))
            return true;
    }
    return false;
}

static bool page_fits(const SelectHints *h, const MemSeries *s, u32 lo, u32 hi)
{
    f64 sum = 0;
    u32 resets = 0;
    for (u32 i = lo; i < hi; i++) {
        if (!isfinite(s->v[i]))
            return false;
        sum += s->v[i];
        resets += i > lo && s->v[i] < s->v[i - 1];
    }
    /* Rates add up what comes before resets one by one: together it may come to something else. */
    if (resets > 1 && (str_eq(h->func, S("rate")) || str_eq(h->func, S("increase"))))
        return false;
    return isfinite(sum) && !is_divided(h, s->t[lo], s->t[hi - 1]);
}

static PageAggr page_of(const MemSeries *s, u32 lo, u32 hi, u32 at)
{
    PageAggr p = {.at = at,
                  .count = hi - lo,
                  .first_t = s->t[lo],
                  .last_t = s->t[hi - 1],
                  .first = s->v[lo],
                  .last = s->v[hi - 1],
                  .min = s->v[lo],
                  .max = s->v[lo]};
    for (u32 i = lo; i < hi; i++) {
        p.min = s->v[i] < p.min ? s->v[i] : p.min; /* the first of equals, which -0 and 0 are */
        p.max = s->v[i] > p.max ? s->v[i] : p.max;
        kahan_add(s->v[i], &p.sum, &p.sum_c);
        if (i > lo && s->v[i] < s->v[i - 1]) {
            p.resets++;
            p.reset_sum += s->v[i - 1];
        }
    }
    return p;
}

/* Pages of one to `page` samples, by turns, so that windows meet every kind of neighbours. */
static void give_pages(MemCursor *c, const MemSeries *s, u32 lo, u32 hi, SeriesView *ret)
{
    u32 n = hi - lo, len = 0, pages = 0, size = 1;
    i64 *t = arena_array(c->arena, i64, n);
    f64 *v = arena_array(c->arena, f64, n);
    PageAggr *page = arena_array(c->arena, PageAggr, n);
    if (!t || !v || !page)
        return;
    for (u32 i = lo; i < hi; size = size % c->m->page + 1) {
        u32 end = MIN(i + size, hi);
        if (size % 3 && page_fits(&c->hints, s, i, end)) {
            page[pages++] = page_of(s, i, end, len);
            i = end;
            continue;
        }
        for (; i < end; i++) {
            t[len] = s->t[i];
            v[len++] = s->v[i];
        }
    }
    ret->t = t;
    ret->v = v;
    ret->n = len;
    ret->st = NULL;
    ret->pages = page;
    ret->pages_len = pages;
}

static bool is_meta(Str name)
{
    return str_eq(name, S("__type__")) || str_eq(name, S("__unit__"));
}

/* By their meaning bare views are for stores without such labels. */
static bool may_be_bare(const MemSource *m)
{
    for (size_t i = 0; i < m->series.len; i++)
        for (u32 k = 0; k < m->series.at[i].labels.len; k++)
            if (is_meta(m->series.at[i].labels.at[k].name))
                return false;
    return m->is_bare;
}

static Err cursor_labels(SeriesCursor *face, u32 id, Labels *ret, Why *why)
{
    *ret = ((MemCursor *)face)->m->series.at[id].labels;
    return OK;
}

static void strip_labels(const Grouping *g, SeriesView *v)
{
    v->group = g->without ? labels_hash_without(v->labels, g->names, g->len)
                          : labels_hash_for(v->labels, g->names, g->len);
    v->labels = (Labels){0};
    v->is_bare = true;
}

static Err cursor_next(SeriesCursor *face, SeriesView *ret, u32 max, u32 *ret_n, Why *why)
{
    MemCursor *c = (MemCursor *)face;
    const SelectHints *h = &c->hints;
    *ret_n = 0;
    for (; c->at < c->m->series.len && *ret_n < max; c->at++) {
        const MemSeries *s = &c->m->series.at[c->at];
        u32 lo = first_at(s, h->mint), hi = first_at(s, h->maxt + 1);
        if (lo == hi || (h->slices && c->at % h->slices != h->slice) ||
            !matchers_match(c->matchers, s->labels))
            continue;
        SeriesView *v = &ret[(*ret_n)++];
        *v = (SeriesView){
            .labels = s->labels,
            .t = s->t + lo,
            .v = s->v + lo,
            .h = s->any_histogram ? s->h + lo : NULL,
            .st = s->any_st ? s->st + lo : NULL,
            .n = hi - lo,
            .id = (u32)c->at,
        };
        if (h->want_pages && c->m->page && !v->h)
            give_pages(c, s, lo, hi, v);
        if (h->grouping)
            strip_labels(h->grouping, v);
    }
    return OK;
}

static void cursor_close(SeriesCursor *c)
{
    (void)c;
}

static u64 source_estimate(PromSource *face, Str tenant, Matchers m)
{
    return ((MemSource *)face)->series.len;
}

static Err source_select(PromSource *face, Str tenant, Matchers matchers, const SelectHints *h, Arena *arena,
                         Cancel *cancel, SeriesCursor **ret, Why *why)
{
    MemSource *m = (MemSource *)face;
    MemCursor *c = arena_new(arena, MemCursor);
    *c = (MemCursor){{cursor_next, cursor_close, cursor_labels}, m, matchers, *h, arena, 0};
    if (!may_be_bare(m))
        c->hints.grouping = NULL;
    *ret = &c->face;
    return OK;
}

static bool in_any_set(const MemSeries *s, const Matchers *sets, u32 n, i64 mint, i64 maxt)
{
    if (first_at(s, mint) == first_at(s, maxt + 1))
        return false;
    for (u32 i = 0; i < n; i++)
        if (matchers_match(sets[i], s->labels))
            return true;
    return n == 0;
}

/* name empty: names of labels; else values of that label. */
static void list_strings(MemSource *m, Str name, const Matchers *sets, u32 sets_len, i64 mint, i64 maxt,
                         PromStrFn fn, void *arg)
{
    VEC(Str) found = {0};
    for (size_t i = 0; i < m->series.len; i++) {
        const MemSeries *s = &m->series.at[i];
        if (!in_any_set(s, sets, sets_len, mint, maxt))
            continue;
        for (u32 k = 0; k < s->labels.len; k++) {
            if (str_empty(name))
                vec_push(&found, s->labels.at[k].name);
            else if (str_eq(s->labels.at[k].name, name))
                vec_push(&found, s->labels.at[k].value);
        }
    }
    if (found.len)
        qsort(found.at, found.len, sizeof *found.at, str_order);
    for (size_t i = 0; i < found.len; i++)
        if ((i == 0 || !str_eq(found.at[i], found.at[i - 1])) && !fn(arg, found.at[i]))
            break;
    vec_done(&found);
}

static Err source_label_names(PromSource *face, Str tenant, const Matchers *sets, u32 sets_len, i64 mint,
                              i64 maxt, Arena *arena, PromStrFn fn, void *arg, Why *why)
{
    list_strings((MemSource *)face, (Str){0}, sets, sets_len, mint, maxt, fn, arg);
    return OK;
}

static Err source_label_values(PromSource *face, Str tenant, Str name, const Matchers *sets, u32 sets_len,
                               i64 mint, i64 maxt, Arena *arena, PromStrFn fn, void *arg, Why *why)
{
    if (!str_empty(name))
        list_strings((MemSource *)face, name, sets, sets_len, mint, maxt, fn, arg);
    return OK;
}

/* ---- life ---- */

MemSource *mem_source_new(void)
{
    MemSource *m = mem_new(MemSource);
    m->face = (PromSource){source_select, source_label_names, source_label_values, source_estimate};
    arena_init(&m->arena, NULL, 0);
    return m;
}

void mem_source_offer(MemSource *m, bool bare, u32 page)
{
    m->is_bare = bare;
    m->page = page;
}

void mem_source_clear(MemSource *m)
{
    for (size_t i = 0; i < m->series.len; i++) {
        MemSeries *s = &m->series.at[i];
        mem_free(s->t);
        mem_free(s->st);
        mem_free(s->v);
        mem_free(s->h);
    }
    vec_done(&m->series);
    u64map_done(&m->index);
    arena_reset(&m->arena);
}

void mem_source_free(MemSource *m)
{
    if (!m)
        return;
    mem_source_clear(m);
    arena_done(&m->arena);
    mem_free(m);
}

PromSource *mem_source_face(MemSource *m)
{
    return &m->face;
}
