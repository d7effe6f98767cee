/* One batch of a cursor: samples from parts and memtables, series by series one after another. Series that were scraped together have
 * blocks of the same times and columns of the same groups: their times are put together once. */
#include "metrics/cursor.h"

static void tombs_cut(Cursor *c, const Part *p, u32 sid, u32 from)
{
    for (size_t k = 0; k < c->tombs.len; k++) {
        const Tomb *t = c->tombs.at[k];
        if (t->id > p->meta.tomb_seen && tomb_has(t, sid))
            samples_cut(&c->samples, from, t->mint, t->maxt);
    }
}

static void take_copies(Cursor *c, const HeadBatch *h, MemSpan span)
{
    SampleVec *s = &c->samples;
    if (!span.len || !samples_reserve(s, span.len))
        return;
    memcpy(s->t + s->len, h->mem.t + span.from, span.len * sizeof(i64));
    memcpy(s->v + s->len, h->mem.v + span.from, span.len * sizeof(f64));
    if (h->mem.has_hist) {
        samples_need_hist(s);
        memcpy(s->h + s->len, h->mem.h + span.from, span.len * sizeof(Str));
    } else if (s->has_hist) {
        memset(s->h + s->len, 0, span.len * sizeof(Str));
    }
    s->len += span.len;
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

/* No window begins or ends inside. */
static bool has_no_edge(const Cursor *c, const PartBlock *b)
{
    const SelectHints *h = &c->hints;
    i64 first = b->times.first, last = b->times.last, begin;
    return !b->is_hist && first >= h->mint && last <= h->maxt &&
           !__builtin_sub_overflow(h->windows_start, h->range_ms, &begin) &&
           !has_edge(h->windows_start, h->step_ms, h->windows, first, last) &&
           !has_edge(begin, h->step_ms, h->windows, first, last);
}

/* The times between which the memtable has samples of the series; false: it has none. */
static bool head_span(const Cursor *c, const HeadSeries *x, i64 *ret_first, i64 *ret_last)
{
    if (!x->pieces) {
        *ret_first = x->span.len ? c->head.mem.t[x->span.from] : 0;
        *ret_last = x->span.len ? c->head.mem.t[x->span.from + x->span.len - 1] : 0;
        return x->span.len > 0;
    }
    u32 n;
    *ret_first = *head_times(&c->head, &x->piece[0], &n);
    const i64 *t = head_times(&c->head, &x->piece[x->pieces - 1], &n);
    *ret_last = t[n - 1];
    return true;
}

/* Nobody else has a say: tombstones and the memtable here, other blocks by overlaps_out. */
static bool stands_alone(const Cursor *c, const Part *p, const PartBlock *b, const HeadSeries *x)
{
    i64 first = b->times.first, last = b->times.last, mem_first, mem_last;
    if (head_span(c, x, &mem_first, &mem_last) && mem_first <= last && mem_last >= first)
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
static bool has_hists(const Cursor *c, const HeadSeries *x)
{
    for (size_t i = 0; i < c->blocks.len; i++)
        if (c->blocks.at[i].is_hist)
            return true;
    for (u32 i = 0; c->head.mem.has_hist && i < x->span.len; i++)
        if (c->head.mem.h[x->span.from + i].at)
            return true;
    return false;
}

/* Which blocks are given as pages. True: some might be, looking at times alone. */
static bool choose_pages(Cursor *c, const HeadSeries *x)
{
    bool any = false, may_any = false;
    for (size_t i = 0; i < c->blocks.len; i++) {
        const PartBlock *b = &c->blocks.at[i];
        Source *s = &c->sources.at[i];
        bool may = has_no_edge(c, b);
        may_any |= may;
        s->is_whole = may && stands_alone(c, c->parts[s->part].part, b, x) && part_block_aggr(b, &s->aggr) &&
                      suits_func(c, &s->aggr);
        any |= s->is_whole;
    }
    if (any)
        overlaps_out(c);
    if (any && has_hists(c, x))
        for (size_t i = 0; i < c->sources.len; i++)
            c->sources.at[i].is_whole = false;
    return may_any;
}

static void put_pages(Cursor *c, Placed *p)
{
    for (size_t i = 0; i < c->by_time.len; i++) {
        const Source *x = &c->sources.at[c->by_time.at[i]];
        if (x->is_whole)
            vec_push(&c->pages, x->aggr);
    }
    p->pages_len = (u32)c->pages.len - p->pages;
}

/* Where between the samples the pages lie. */
static void place_pages(Cursor *c, const Placed *p)
{
    const i64 *t = p->n ? c->samples.t + p->t : NULL;
    for (u32 i = 0, at = 0; i < p->pages_len; i++) {
        PageAggr *x = &c->pages.at[p->pages + i];
        while (at < p->n && t[at] < x->first_t)
            at++;
        x->at = at;
    }
}

/* ---- one series ---- */

static void find_blocks(Cursor *c, u32 sid)
{
    c->blocks.len = c->sources.len = c->by_time.len = 0;
    for (u32 i = 0; i < c->parts_len; i++) {
        part_cursor_blocks(&c->parts[i], sid, c->hints.mint, c->hints.maxt, &c->blocks);
        while (c->sources.len < c->blocks.len)
            vec_push(&c->sources, (Source){.part = i});
    }
}

static bool same_times(const PartBlock *a, const PartBlock *b)
{
    const PartTimes *x = &a->times, *y = &b->times;
    return x->n == y->n && x->kind == y->kind && x->first == y->first && x->last == y->last &&
           x->step == y->step && x->at == y->at && !a->is_hist;
}

/* Does the series come together from the same times as the one placed before? */
static bool is_like(const Cursor *c, const Placed *before, const HeadSeries *x)
{
    if (!before || !before->may_be_shared || x->span.len || c->blocks.len != c->blocks_before.len ||
        !head_same_rows(x, &c->head.series[before->in_head]))
        return false;
    for (size_t i = 0; i < c->blocks.len; i++)
        if (c->sources.at[i].part != c->sources_before.at[i].part ||
            !same_times(&c->blocks.at[i], &c->blocks_before.at[i]))
            return false;
    return true;
}

/* Room for what columns will be decoded into. */
static void reserve_columns(Cursor *c, Placed *p, const HeadSeries *x, bool with_times)
{
    SampleVec *s = &c->samples;
    if (!x->pieces || !samples_reserve(s, x->n))
        return;
    i64 *t = s->t + s->len;
    for (u32 i = 0; with_times && i < x->pieces; i++) {
        u32 n;
        const i64 *from = head_times(&c->head, &x->piece[i], &n);
        memcpy(t, from, n * sizeof *t);
        t += n;
    }
    if (s->has_hist)
        memset(s->h + s->len, 0, x->n * sizeof(Str));
    p->columns = x->n;
    s->len += x->n;
}

/* False: some block is damaged. */
static bool read_values(Cursor *c)
{
    for (size_t i = 0; i < c->blocks.len; i++)
        if (!part_cursor_values(&c->parts[c->sources.at[i].part], &c->blocks.at[i],
                                c->sources_before.at[i].range, &c->samples))
            return false;
    return true;
}

/* Samples of the blocks that are read. Nothing of a page counts when some block of it is damaged. */
static bool read_blocks(Cursor *c, u32 sid)
{
    SampleVec *s = &c->samples;
    u32 had = s->len;
    bool is_good = true;
    for (size_t i = 0; i < c->blocks.len; i++) {
        Source *x = &c->sources.at[i];
        const PartBlock *b = &c->blocks.at[i];
        PartCursor *part = &c->parts[x->part];
        if (i == 0 || x->part != x[-1].part || b->page != b[-1].page)
            had = s->len;
        u32 from = s->len;
        if (x->is_whole)
            continue;
        if (!part_cursor_decode(part, b, c->hints.mint, c->hints.maxt, s, x->range)) {
            s->len = had;
            is_good = false;
        } else if (c->tombs.len) {
            tombs_cut(c, part->part, sid, from);
        }
    }
    return is_good;
}

static void own_series(Cursor *c, Placed *p, const HeadSeries *x)
{
    SampleVec *s = &c->samples;
    u32 from = s->len;
    bool may_have_pages = c->hints.want_pages && choose_pages(c, x);
    bool is_good = read_blocks(c, p->sid);
    take_copies(c, &c->head, x->span);
    bool was_settled = samples_settle(s, from);
    i64 mem_first, mem_last;
    p->is_unsorted =
        x->pieces && s->len > from && head_span(c, x, &mem_first, &mem_last) && mem_first <= s->t[s->len - 1];
    p->t = from;
    reserve_columns(c, p, x, true);
    put_pages(c, p);
    p->may_be_shared =
        is_good && was_settled && !may_have_pages && !p->is_unsorted && !x->span.len && !c->tombs.len;
}

static void remember(Cursor *c)
{
    PartBlocks blocks = c->blocks;
    c->blocks = c->blocks_before;
    c->blocks_before = blocks;
    Sources sources = c->sources;
    c->sources = c->sources_before;
    c->sources_before = sources;
}

static void place_series(Cursor *c, u32 sid, u32 in_head)
{
    Placed *p = &c->placed[c->placed_len], *before = c->placed_len ? p - 1 : NULL;
    const HeadSeries *x = &c->head.series[in_head];
    SampleVec *s = &c->samples;
    u32 from = s->len;
    *p = (Placed){.sid = sid, .in_head = in_head, .at = from, .pages = (u32)c->pages.len};
    find_blocks(c, sid);
    if (!c->blocks.len && !x->pieces && !x->span.len)
        return;
    p->shares_times = is_like(c, before, x) && read_values(c);
    if (p->shares_times) {
        p->t = before->t;
        p->may_be_shared = true;
        reserve_columns(c, p, x, false);
    } else {
        s->len = from;
        own_series(c, p, x);
    }
    p->n = s->len - from;
    if (!p->n && !p->pages_len)
        return;
    c->placed_len++;
    if (!p->shares_times)
        remember(c);
}

/* ---- columns ---- */

/* Rows without a sample go: the series gets times of its own. */
static void drop_absent(Cursor *c, Placed *p)
{
    SampleVec *s = &c->samples;
    u32 n = p->n;
    if (!samples_reserve(s, n)) {
        p->n = 0;
        return;
    }
    const i64 *t = s->t + p->t;
    i64 *to = s->t + s->len;
    f64 *v = s->v + p->at;
    u32 kept = 0;
    for (u32 i = 0; i < n; i++) {
        if (i >= n - p->columns && f64_bits(v[i]) == MEM_ABSENT_BITS)
            continue;
        to[kept] = t[i];
        v[kept++] = v[i];
    }
    if (s->has_hist)
        memset(s->h + s->len, 0, n * sizeof(Str));
    p->t = s->len;
    p->n = kept;
    s->len += n;
}

static void sort_placed(Cursor *c, Placed *p)
{
    SampleVec *s = &c->samples;
    SampleVec one = {.t = s->t + p->t,
                     .v = s->v + p->at,
                     .h = s->has_hist ? s->h + p->at : NULL,
                     .len = p->n,
                     .has_hist = s->has_hist};
    samples_settle(&one, 0);
    p->n = one.len;
}

static void decode_columns(Cursor *c)
{
    f64 *out[BATCH_SERIES];
    bool absent[BATCH_SERIES];
    for (u32 i = 0, n; i < c->placed_len; i += n) {
        const Placed *p = &c->placed[i];
        const HeadSeries *x = &c->head.series[p->in_head];
        for (n = 0; i + n < c->placed_len && p[n].columns && p[n].in_head == p->in_head + n &&
                    head_same_rows(x, &x[n]);
             n++)
            out[n] = c->samples.v + p[n].at + p[n].n - p[n].columns;
        if (!n) {
            n = 1;
            continue;
        }
        head_decode(&c->head, p->in_head, n, out, absent);
        for (u32 k = 0; k < n; k++)
            if (absent[k])
                drop_absent(c, &c->placed[i + k]);
    }
}

static void finish_all(Cursor *c)
{
    decode_columns(c);
    u32 kept = 0;
    for (u32 i = 0; i < c->placed_len; i++) {
        Placed *p = &c->placed[i];
        if (p->is_unsorted)
            sort_placed(c, p);
        place_pages(c, p);
        if (p->n || p->pages_len)
            c->placed[kept++] = *p;
    }
    c->placed_len = kept;
}

/* ---- only the newest sample ---- */

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
    take_copies(c, &c->rest, span);
    for (u32 i = had; i < s->len; i++)
        if (best == UINT32_MAX || s->t[i] >= s->t[best])
            best = i;
    if (best != UINT32_MAX)
        keep_only(s, from, best);
}

/* Of copies: the frozen table's come first, and of one time the last one written counts. */
static void take_newest(Cursor *c, MemSpan span)
{
    const SampleVec *mem = &c->head.mem;
    u32 best = span.from;
    for (u32 i = span.from; i < span.from + span.len; i++)
        if (mem->t[i] >= mem->t[best])
            best = i;
    take_copies(c, &c->head, (MemSpan){best, 1});
}

/* The newest row's values of all series that are columns into samples[0..n); what else is known or not is for the caller. */
static bool newest_rows(Cursor *c, u32 n, bool *ret_known)
{
    SampleVec *s = &c->samples;
    if (!samples_reserve(s, n))
        return false;
    f64 *out[BATCH_SERIES];
    bool absent[BATCH_SERIES];
    for (u32 i = 0, run; i < n; i += run) {
        const HeadSeries *x = &c->head.series[i];
        for (run = 0; i + run < n && x->pieces && head_same_rows(x, &x[run]); run++)
            out[run] = s->v + i + run;
        ret_known[i] = false;
        if (!run) {
            run = 1;
            continue;
        }
        u32 rows;
        i64 t = *head_times(&c->head, &x->piece[0], &rows);
        head_decode(&c->head, i, run, out, absent);
        for (u32 k = 0; k < run; k++) {
            s->t[i + k] = t;
            ret_known[i + k] = !absent[k];
        }
    }
    s->len = n;
    return true;
}

/* The newest sample of most series is in the memtable and newer than every part. The rest is read as a whole. */
static void read_newest(Cursor *c, const u32 *ids, u32 n)
{
    i64 mint = c->hints.mint;
    if (mint <= c->parts_maxt)
        mint = MIN(c->parts_maxt, INT64_MAX - 1) + 1;
    head_take(&c->head, &c->snap, ids, n, mint, c->hints.maxt, HEAD_NEWEST);
    bool known[BATCH_SERIES];
    u32 rest[BATCH_SERIES], rest_len = 0, next = 0;
    if (!newest_rows(c, n, known))
        return;
    for (u32 i = 0; i < n; i++)
        if (!known[i] && !c->head.series[i].span.len)
            rest[rest_len++] = ids[i];
    if (rest_len)
        head_take(&c->rest, &c->snap, rest, rest_len, c->hints.mint, c->hints.maxt, HEAD_COPIES);
    for (u32 i = 0; i < n; i++) {
        MemSpan span = c->head.series[i].span;
        u32 from = known[i] ? i : c->samples.len;
        if (!known[i] && span.len)
            take_newest(c, span);
        else if (!known[i])
            read_newest_series(c, ids[i], c->rest.series[next++].span);
        if (known[i] || c->samples.len > from)
            c->placed[c->placed_len++] = (Placed){.sid = ids[i], .t = from, .at = from, .n = 1};
    }
}

/* ---- a batch ---- */

Err batch_read(Cursor *c, u32 max, Why *why)
{
    u32 n = MIN(max, c->ids.len - c->at), i = 0;
    const u32 *ids = c->ids.at + c->at;
    if (c->hints.limit)
        n = MIN(n, c->hints.limit - c->given);
    samples_clear(&c->samples);
    c->pages.len = c->placed_len = 0;
    if (c->hints.newest_only) {
        read_newest(c, ids, n);
        i = n;
    } else {
        head_take(&c->head, &c->snap, ids, n, c->hints.mint, c->hints.maxt, HEAD_COLUMNS);
        for (; i < n && c->samples.len + c->pages.len < BATCH_SAMPLES; i++)
            place_series(c, ids[i], i);
        finish_all(c);
    }
    c->at += i;
    if (c->samples.over || c->head.mem.over || c->rest.mem.over)
        return why_set(why, E_LIMIT, "the query's samples need more memory than its limit");
    return OK;
}

Err batch_hists(Cursor *c, const Placed *p, const Histogram *const **ret, Why *why)
{
    *ret = NULL;
    const Str *h = c->samples.has_hist ? c->samples.h + p->at : NULL;
    u32 first = 0;
    while (h && first < p->n && !h[first].at)
        first++;
    if (!h || first == p->n)
        return OK;
    const Histogram **out = arena_array(&c->batch, const Histogram *, p->n);
    for (u32 i = 0; out && i < p->n; i++) {
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
