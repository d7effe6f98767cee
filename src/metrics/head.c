#include "metrics/head.h"

void head_done(HeadBatch *h)
{
    samples_done(&h->mem);
    vec_done(&h->rows);
    vec_done(&h->times);
    vec_done(&h->changes);
}

/* ---- taking ---- */

typedef struct Range {
    i64 mint, maxt;
    HeadWant want;
} Range;

/* The rows of the group that lie in the range; false when none do. */
static bool rows_in(const MemGroup *g, const Range *x, u32 *ret_from, u32 *ret_to)
{
    u32 from = 0, to = g->rows;
    while (to > 0 && g->times[to - 1] > x->maxt)
        to--;
    if (to > 0 && x->want == HEAD_NEWEST)
        from = to - 1;
    if (x->want == HEAD_NEWEST && to > 0 && g->times[from] < x->mint)
        return false;
    for (u32 hi = to; from < hi;) { /* the first row at or after mint */
        u32 mid = from + (hi - from) / 2;
        if (g->times[mid] < x->mint)
            from = mid + 1;
        else
            hi = mid;
    }
    *ret_from = from;
    *ret_to = to;
    return from < to;
}

/* Neighbours mostly are in the same few groups. */
static bool rows_take(HeadBatch *h, const MemGroup *g, const Range *x, u32 *ret)
{
    for (size_t i = h->rows.len, seen = 0; i-- > 0 && seen < PIECES_MAX; seen++)
        if (h->rows.at[i].group == g) {
            *ret = (u32)i;
            return h->rows.at[i].from < h->rows.at[i].to;
        }
    HeadRows r = {.group = g, .at = (u32)h->times.len};
    bool any = rows_in(g, x, &r.from, &r.to);
    if (!any)
        r.from = r.to = 0;
    for (u32 i = 0; i < r.to; i++) {
        vec_push(&h->times, g->times[i]);
        vec_push(&h->changes, (const u64 *)g->changes[i]);
    }
    *ret = (u32)h->rows.len;
    vec_push(&h->rows, r);
    return any;
}

static i64 piece_first(const HeadBatch *h, const HeadPiece *p)
{
    u32 n;
    return *head_times(h, p, &n);
}

static i64 piece_last(const HeadBatch *h, const HeadPiece *p)
{
    u32 n;
    const i64 *t = head_times(h, p, &n);
    return t[n - 1];
}

/* Adds the chain's columns in the range before those there are; false when there is something else. */
static bool take_columns(HeadBatch *h, const MemTable *m, u32 local, const Range *x, HeadSeries *s)
{
    if (mem_has_hists(m, local))
        return false;
    for (MemLink at = mem_head(m, local); at.at; at = link_before(m, at)) {
        if (!link_is_group(at))
            return false;
        const MemGroup *g = link_group(m, at);
        if (mem_group_last_t(g) < x->mint)
            return true;
        HeadPiece p = {.col = at.col};
        if (!rows_take(h, g, x, &p.rows))
            continue;
        if (s->pieces == PIECES_MAX || (s->pieces && piece_last(h, &p) >= piece_first(h, &s->piece[0])))
            return false;
        memmove(&s->piece[1], &s->piece[0], s->pieces * sizeof p);
        s->piece[0] = p;
        s->pieces++;
        if (x->want == HEAD_NEWEST)
            return true;
    }
    return true;
}

static void take_series(HeadBatch *h, MemTable *frozen, MemTable *cur, u32 local, const Range *x,
                        HeadSeries *s)
{
    bool is_columns =
        x->want != HEAD_COPIES && (!cur || take_columns(h, cur, local, x, s)) &&
        (!frozen || (x->want == HEAD_NEWEST && s->pieces && frozen->maxt < piece_first(h, &s->piece[0])) ||
         take_columns(h, frozen, local, x, s));
    if (is_columns && x->want == HEAD_NEWEST && s->pieces == 2)
        s->piece[0] = s->piece[--s->pieces];
    if (is_columns) {
        for (u32 i = 0; i < s->pieces; i++)
            s->n += h->rows.at[s->piece[i].rows].to - h->rows.at[s->piece[i].rows].from;
        return;
    }
    s->pieces = 0;
    s->span.from = h->mem.len;
    if (frozen)
        mem_read(frozen, local, x->mint, x->maxt, &h->mem);
    if (cur)
        mem_read(cur, local, x->mint, x->maxt, &h->mem);
    s->span.len = h->mem.len - s->span.from;
}

void head_take(HeadBatch *h, Snapshot *s, const u32 *ids, u32 n, i64 mint, i64 maxt, HeadWant want)
{
    Range x = {mint, maxt, want};
    samples_clear(&h->mem);
    h->rows.len = h->times.len = h->changes.len = 0;
    memset(h->series, 0, n * sizeof(HeadSeries));
    for (u32 shard = 0; shard < s->e->shards_len; shard++) {
        MemTable *frozen = s->tables[2 * shard], *cur = s->tables[2 * shard + 1];
        if (!frozen && !cur)
            continue;
        bool is_locked = false;
        for (u32 i = 0; i < n; i++) {
            const u32 *rec = catalogue_record(&s->t->cat, ids[i]);
            if (!rec || record_shard(rec) != shard)
                continue;
            if (!is_locked)
                mutex_lock(&s->e->shards[shard].lock);
            is_locked = true;
            take_series(h, frozen, cur, record_local(rec), &x, &h->series[i]);
        }
        if (is_locked)
            mutex_unlock(&s->e->shards[shard].lock);
    }
}

bool head_same_rows(const HeadSeries *a, const HeadSeries *b)
{
    if (a->pieces != b->pieces)
        return false;
    for (u32 i = 0; i < a->pieces; i++)
        if (a->piece[i].rows != b->piece[i].rows)
            return false;
    return true;
}

/* ---- decoding ---- */

typedef struct Strip { /* neighbouring columns that share a word of bits */
    u32 word, shift, n;
    u32 first; /* of the columns decoded */
} Strip;

static u32 strips_of(const u32 *cols, u32 n, Strip *out)
{
    u32 strips = 0;
    for (u32 i = 0; i < n; i++) {
        Strip *s = strips ? &out[strips - 1] : NULL;
        if (s && cols[i] == cols[i - 1] + 1 && cols[i] / 64 == s->word)
            s->n++;
        else
            out[strips++] = (Strip){cols[i] / 64, cols[i] % 64, 1, i};
    }
    return strips;
}

static inline u64 low_bits(u32 n)
{
    return n == 64 ? ~(u64)0 : ((u64)1 << n) - 1;
}

/* Where in a row the values begin that changed at or after the strip's first column. */
static inline __attribute__((always_inline)) const f64 *values_at(const u64 *row, u32 words, const Strip *s)
{
    const u32 *ranks = (const u32 *)(row + words);
    u32 rank = ranks[s->word] + (u32)__builtin_popcountll(row[s->word] & low_bits(s->shift));
    return (const f64 *)(row + words + (words + 1) / 2) + rank;
}

/* The values as they stand at a row: of each column the newest change at or before it. */
static inline __attribute__((always_inline)) void
strip_at(const MemGroup *g, const u64 *const *changes, u32 row, u32 words, const Strip *s, u32 col, f64 *now)
{
    u64 left = low_bits(s->n);
    for (; row > 0 && left; row--) {
        const u64 *at = changes[row];
        u64 hits = at ? at[s->word] >> s->shift & left : 0;
        if (!hits)
            continue;
        left &= ~hits;
        u64 all = at[s->word] >> s->shift;
        const f64 *v = values_at(at, words, s);
        for (; hits; hits &= hits - 1) {
            u32 i = (u32)__builtin_ctzll(hits);
            now[i] = v[__builtin_popcountll(all & low_bits(i))];
        }
    }
    for (; left; left &= left - 1)
        now[__builtin_ctzll(left)] = g->first[col + (u32)__builtin_ctzll(left)];
}

static inline __attribute__((always_inline)) void strip_step(const u64 *row, u32 words, const Strip *s,
                                                             f64 *now)
{
    u64 all = low_bits(s->n), hits = row[s->word] >> s->shift & all;
    if (!hits)
        return;
    const f64 *v = values_at(row, words, s);
    if (hits == all) {
        for (u32 i = 0; i < s->n; i++)
            now[i] = v[i];
        return;
    }
    for (; hits; hits &= hits - 1)
        now[__builtin_ctzll(hits)] = *v++;
}

/* Rows are spread over memory: those to come are asked for early. */
#define AHEAD 6u

static inline void row_ahead(const u64 *row, u32 words, const Strip *s)
{
    if (!row)
        return;
    __builtin_prefetch(row + s->word);
    __builtin_prefetch((const u32 *)(row + words) + s->word);
}

static inline void values_ahead(const f64 *v, const Strip *s)
{
    __builtin_prefetch(v);
    if (s->n > 8)
        __builtin_prefetch(v + 8);
}

static inline __attribute__((always_inline)) void decode_rows(const HeadRows *r, const u64 *const *changes,
                                                              const u32 *cols, u32 n, f64 *const *out, u32 to,
                                                              bool *absent)
{
    Strip strips[BATCH_SERIES];
    f64 now[BATCH_SERIES];
    u32 words = (r->group->len + 63) / 64, len = strips_of(cols, n, strips);
    for (u32 k = 0; k < len; k++)
        strip_at(r->group, changes, r->from, words, &strips[k], cols[strips[k].first], now + strips[k].first);
    for (u32 row = r->from;; to++) {
        u64 odd = 0;
        for (u32 i = 0; i < n; i++) {
            out[i][to] = now[i];
            odd |= f64_bits(now[i]) == MEM_ABSENT_BITS;
        }
        for (u32 i = 0; odd && i < n; i++)
            absent[i] |= f64_bits(now[i]) == MEM_ABSENT_BITS;
        if (++row == r->to)
            return;
        if (row + AHEAD < r->to)
            row_ahead(changes[row + AHEAD], words, strips);
        if (row + AHEAD / 2 < r->to && changes[row + AHEAD / 2])
            values_ahead(values_at(changes[row + AHEAD / 2], words, strips), strips);
        for (u32 k = 0; changes[row] && k < len; k++)
            strip_step(changes[row], words, &strips[k], now + strips[k].first);
    }
}

static void decode_plain(const HeadRows *r, const u64 *const *changes, const u32 *cols, u32 n,
                         f64 *const *out, u32 to, bool *absent)
{
    decode_rows(r, changes, cols, n, out, to, absent);
}

#ifdef __x86_64__
__attribute__((target("popcnt"))) static void decode_popcnt(const HeadRows *r, const u64 *const *changes,
                                                            const u32 *cols, u32 n, f64 *const *out, u32 to,
                                                            bool *absent)
{
    decode_rows(r, changes, cols, n, out, to, absent);
}
#endif

void head_decode(const HeadBatch *h, u32 first, u32 n, f64 *const *out, bool *ret_absent)
{
    const HeadSeries *s = &h->series[first];
    u32 cols[BATCH_SERIES], to = 0;
    memset(ret_absent, 0, n * sizeof *ret_absent);
    for (u32 p = 0; p < s->pieces; p++) {
        const HeadRows *r = &h->rows.at[s->piece[p].rows];
        for (u32 i = 0; i < n; i++)
            cols[i] = s[i].piece[p].col;
        const u64 *const *changes = h->changes.at + r->at;
#ifdef __x86_64__
        if (__builtin_cpu_supports("popcnt"))
            decode_popcnt(r, changes, cols, n, out, to, ret_absent);
        else
#endif
            decode_plain(r, changes, cols, n, out, to, ret_absent);
        to += r->to - r->from;
    }
}
