/* From matchers to series. The smallest set that one matcher gives is taken from the postings: an equality, or an alternation of
 * literals, whose pairs are found by name; only where there is neither does a regular expression run over all values of its label. The
 * other matchers test each candidate's record by ids of pairs; what an expression says of a pair is remembered where candidates are
 * many. */
#include "metrics/engine.h"

enum { VERDICT_NONE, VERDICT_NO, VERDICT_YES };

typedef struct Test {
    const Matcher *m;
    u32 name;          /* id; 0 = no series has this label */
    bool takes_absent; /* the matcher accepts an empty value */
    u32 pair;          /* of an equality or an inequality; 0 = nothing has it */
    u32 *literals;     /* pairs of an expression that is nothing but literals; NULL = another */
    u32 literals_len;
    u64 literals_series; /* that have one of them */
    u8 *verdicts;        /* per pair, for the others */
    u32 verdicts_len;
    bool is_done; /* answered by the candidates themselves */
} Test;

typedef struct Lookup {
    Tenant *t;
    Catalogue *cat;
    Test *tests;
    u32 len, pairs; /* tests; pairs known when the lookup began */
    bool is_small;  /* few candidates: verdicts are not worth a table */
    Cancel *cancel;
} Lookup;

static bool is_plain_eq(const Test *x)
{
    return x->m->op == MATCH_EQ && !x->takes_absent;
}

static bool is_plain_ne(const Test *x)
{
    return x->m->op == MATCH_NE && x->m->value.len > 0;
}

/* With the catalogue's lock held. */
static Err find_literals(Lookup *l, Test *x, Arena *a, Why *why)
{
    const Str *text;
    u32 n = x->m->op == MATCH_RE && !x->takes_absent && x->name ? regex_literals(x->m->re, &text) : 0;
    if (!n)
        return OK;
    x->literals = arena_array(a, u32, n);
    if (!x->literals)
        return why_set(why, E_LIMIT, "too many alternatives for the query's memory limit");
    for (u32 i = 0; i < n; i++) {
        u32 pair = catalogue_find_pair(l->cat, x->name, text[i]);
        if (!pair)
            continue;
        x->literals[x->literals_len++] = pair;
        x->literals_series += catalogue_postings_len(l->cat, pair);
    }
    return OK;
}

static Err tests_init(Lookup *l, Matchers m, Arena *a, Why *why)
{
    l->len = m.len;
    l->tests = arena_array(a, Test, MAX(m.len, 1));
    if (!l->tests)
        return why_set(why, E_LIMIT, "too many matchers for the query's memory limit");
    rwlock_read(&l->cat->lock);
    l->pairs = l->cat->pairs_len;
    Err err = OK;
    for (u32 i = 0; i < m.len && err == OK; i++) {
        Test *x = &l->tests[i];
        *x = (Test){.m = &m.at[i], .takes_absent = matcher_matches(&m.at[i], S(""))};
        x->name = catalogue_find_name(l->cat, m.at[i].name);
        if ((is_plain_eq(x) || is_plain_ne(x)) && x->name)
            x->pair = catalogue_find_pair(l->cat, x->name, m.at[i].value);
        err = find_literals(l, x, a, why);
    }
    rwlock_unlock(&l->cat->lock);
    return err;
}

static bool pair_passes(Lookup *l, Test *x, u32 pair)
{
    if (pair < x->verdicts_len && x->verdicts[pair])
        return x->verdicts[pair] == VERDICT_YES;
    if (is_plain_ne(x) && pair <= l->pairs)
        return pair != x->pair;
    bool yes = matcher_matches(x->m, catalogue_pair_value(l->cat, pair));
    if (l->is_small)
        return yes;
    if (pair >= x->verdicts_len) {
        u32 len = MAX(pair + 1, l->pairs + 1);
        x->verdicts = mem_realloc(x->verdicts, len);
        memset(x->verdicts + x->verdicts_len, VERDICT_NONE, len - x->verdicts_len);
        x->verdicts_len = len;
    }
    x->verdicts[pair] = yes ? VERDICT_YES : VERDICT_NO;
    return yes;
}

static bool record_passes(Lookup *l, const u32 *rec)
{
    u32 n = record_labels(rec);
    for (u32 i = 0; i < l->len; i++) {
        Test *x = &l->tests[i];
        if (x->is_done)
            continue;
        if (is_plain_eq(x)) {
            u32 k = 0;
            while (k < n && rec[2 + k] != x->pair)
                k++;
            if (k == n)
                return false;
            continue;
        }
        u32 pair = x->name ? catalogue_record_pair(l->cat, rec, x->name) : 0;
        if (pair ? !pair_passes(l, x, pair) : !x->takes_absent)
            return false;
    }
    return true;
}

/* ---- candidates ---- */

static Err ids_alloc(Arena *a, u32 n, SidList *ret, Why *why)
{
    ret->len = 0;
    ret->at = arena_array(a, u32, MAX(n, 1));
    return ret->at ? OK
                   : why_set(why, E_LIMIT,
                             "the query's memory limit is too small for the %u series it selects", n);
}

static Err from_pair(Lookup *l, u32 pair, Arena *a, SidList *ret, Why *why)
{
    rwlock_read(&l->cat->lock);
    u32 n = catalogue_postings_len(l->cat, pair);
    Err e = ids_alloc(a, n, ret, why);
    if (e == OK) {
        catalogue_postings(l->cat, pair, ret->at);
        ret->len = n;
    }
    rwlock_unlock(&l->cat->lock);
    return e;
}

static Err from_all(Lookup *l, Arena *a, SidList *ret, Why *why)
{
    u32 n = catalogue_series_len(l->cat);
    TRY(ids_alloc(a, n, ret, why));
    for (u32 sid = 1; sid <= n; sid++) {
        const u32 *rec = catalogue_record(l->cat, sid);
        if (rec && !record_is_forgotten(rec))
            ret->at[ret->len++] = sid;
    }
    return OK;
}

static u32 *copy_pairs(Lookup *l, const Test *x, u32 *ret_n)
{
    rwlock_read(&l->cat->lock);
    const CatName *name = seg_at(&l->cat->names, x->name);
    u32 n = x->literals ? x->literals_len : (u32)name->pairs.len;
    u32 *pairs = mem_alloc(MAX(n, 1) * sizeof(u32));
    if (n)
        memcpy(pairs, x->literals ? x->literals : name->pairs.at, n * sizeof(u32));
    rwlock_unlock(&l->cat->lock);
    *ret_n = n;
    return pairs;
}

/* Those of the name's pairs that pass: freed by the caller. What an expression said before is not asked again. */
static u32 *passing_pairs(Lookup *l, Test *x, u32 *ret_n)
{
    u32 *pairs = copy_pairs(l, x, ret_n), n = *ret_n;
    if (x->literals)
        return pairs;
    bool is_regex = x->m->op == MATCH_RE || x->m->op == MATCH_NRE, is_whole = true;
    u32 passed = 0, known = 0, seen = 0;
    u32 *out = is_regex ? memo_get(&l->t->memos, x->name, x->m, n, &passed, &known)
                        : mem_alloc(MAX(n, 1) * sizeof(u32));
    l->is_small = true; /* each pair is asked about once */
    for (u32 i = 0; i < n && is_whole; i++) {
        if ((i & 1023) == 0 && cancel_is_set(l->cancel))
            is_whole = false;
        else if (pairs[i] > known && pair_passes(l, x, pairs[i]))
            out[passed++] = pairs[i];
        seen = MAX(seen, pairs[i]);
    }
    l->is_small = false;
    if (is_regex && is_whole && seen > known)
        memo_put(&l->t->memos, x->name, x->m, out, passed, seen, n);
    mem_free(pairs);
    *ret_n = passed;
    return out;
}

/* The union of their postings, through a bitmap. */
static Err from_name(Lookup *l, Test *x, Arena *a, SidList *ret, Why *why)
{
    u32 passed, *pairs = passing_pairs(l, x, &passed), series = catalogue_series_len(l->cat);
    u64 *bits = mem_zalloc(((size_t)series / 64 + 1) * sizeof(u64));
    u32 total = 0;
    rwlock_read(&l->cat->lock);
    for (u32 i = 0; i < passed; i++) {
        const u32 *at[2];
        u32 len[2] = {catalogue_postings_base(l->cat, pairs[i], &at[0]),
                      catalogue_postings_tail(l->cat, pairs[i], &at[1])};
        for (u32 part = 0; part < 2; part++)
            for (u32 k = 0; k < len[part]; k++) {
                u32 sid = at[part][k];
                if (sid > series)
                    continue;
                u64 bit = (u64)1 << (sid % 64);
                total += !(bits[sid / 64] & bit);
                bits[sid / 64] |= bit;
            }
    }
    rwlock_unlock(&l->cat->lock);
    mem_free(pairs);
    Err e = ids_alloc(a, total, ret, why);
    for (u32 w = 0; e == OK && w <= series / 64; w++)
        for (u64 b = bits[w]; b; b &= b - 1)
            ret->at[ret->len++] = w * 64 + (u32)__builtin_ctzll(b);
    mem_free(bits);
    return e;
}

/* The equality or alternation of literals with the fewest series; else a matcher that demands the label; else everything. */
static Test *best_test(Lookup *l, bool *ret_empty)
{
    Test *best = NULL;
    u64 best_len = UINT64_MAX;
    rwlock_read(&l->cat->lock);
    for (u32 i = 0; i < l->len; i++) {
        Test *x = &l->tests[i];
        if (x->takes_absent)
            continue;
        if (!x->name || (is_plain_eq(x) && !x->pair)) {
            *ret_empty = true;
            break;
        }
        if (!is_plain_eq(x) && !x->literals)
            continue;
        u64 n = x->literals ? x->literals_series : catalogue_postings_len(l->cat, x->pair);
        if (n < best_len) {
            best = x;
            best_len = n;
        }
    }
    for (u32 i = 0; i < l->len && !best && !*ret_empty; i++)
        if (!l->tests[i].takes_absent && (l->tests[i].m->op == MATCH_RE || l->tests[i].m->op == MATCH_NE ||
                                          l->tests[i].m->op == MATCH_NRE))
            best = &l->tests[i];
    rwlock_unlock(&l->cat->lock);
    return best;
}

#define SMALL_SERIES 1024u

static Err filter(Lookup *l, SidList *ids, Why *why)
{
    l->is_small = ids->len <= SMALL_SERIES;
    bool has_work = false;
    for (u32 i = 0; i < l->len; i++)
        has_work |= !l->tests[i].is_done;
    u32 kept = 0;
    for (u32 i = 0; has_work && i < ids->len; i++) {
        if ((i & 4095) == 0 && cancel_is_set(l->cancel))
            return why_set(why, E_CANCELED, "query was canceled");
        const u32 *rec = catalogue_record(l->cat, ids->at[i]);
        if (rec && record_passes(l, rec))
            ids->at[kept++] = ids->at[i];
    }
    if (has_work)
        ids->len = kept;
    return OK;
}

Err lookup_series(Tenant *t, Matchers m, Arena *arena, Cancel *cancel, SidList *ret, Why *why)
{
    Lookup l = {.t = t, .cat = &t->cat, .cancel = cancel};
    TRY(tests_init(&l, m, arena, why));
    bool is_empty = false;
    Test *best = best_test(&l, &is_empty);
    *ret = (SidList){0};
    Err e = OK;
    if (is_empty)
        return OK;
    if (!best)
        e = from_all(&l, arena, ret, why);
    else if (is_plain_eq(best))
        e = from_pair(&l, best->pair, arena, ret, why);
    else
        e = from_name(&l, best, arena, ret, why);
    if (best)
        best->is_done = true;
    if (e == OK && cancel_is_set(cancel))
        e = why_set(why, E_CANCELED, "query was canceled");
    if (e == OK)
        e = filter(&l, ret, why);
    for (u32 i = 0; i < l.len; i++)
        mem_free(l.tests[i].verdicts);
    return e;
}

u64 engine_estimate(PromSource *ps, Str tenant, Matchers m)
{
    MetricsEngine *e = (MetricsEngine *)((char *)ps - offsetof(MetricsEngine, source));
    Tenant *t = engine_tenant(e, tenant.len ? tenant : S(DEFAULT_TENANT), false);
    if (!t)
        return 0;
    Catalogue *cat = &t->cat;
    u64 least = catalogue_series_len(cat);
    rwlock_read(&cat->lock);
    for (u32 i = 0; i < m.len; i++) {
        if (m.at[i].op != MATCH_EQ || m.at[i].value.len == 0)
            continue;
        u32 name = catalogue_find_name(cat, m.at[i].name);
        u32 pair = name ? catalogue_find_pair(cat, name, m.at[i].value) : 0;
        least = MIN(least, pair ? catalogue_postings_len(cat, pair) : 0);
    }
    rwlock_unlock(&cat->lock);
    return least;
}

/* Two ascending lists into one. */
static Err ids_union(Arena *a, SidList x, SidList y, SidList *ret, Why *why)
{
    SidList out;
    TRY(ids_alloc(a, x.len + y.len, &out, why));
    for (u32 i = 0, k = 0; i < x.len || k < y.len;) {
        u32 sid;
        if (k == y.len || (i < x.len && x.at[i] < y.at[k]))
            sid = x.at[i++];
        else if (i == x.len || y.at[k] < x.at[i])
            sid = y.at[k++];
        else {
            sid = x.at[i++];
            k++;
        }
        out.at[out.len++] = sid;
    }
    *ret = out;
    return OK;
}

Err lookup_sets(Tenant *t, const Matchers *sets, u32 sets_len, Arena *arena, Cancel *cancel, SidList *ret,
                Why *why)
{
    if (sets_len == 0)
        return lookup_series(t, (Matchers){0}, arena, cancel, ret, why);
    *ret = (SidList){0};
    for (u32 i = 0; i < sets_len; i++) {
        SidList one;
        TRY(lookup_series(t, sets[i], arena, cancel, &one, why));
        if (i == 0)
            *ret = one;
        else
            TRY(ids_union(arena, *ret, one, ret, why));
    }
    return OK;
}

/* ---- snapshots ---- */

void snapshot_take(MetricsEngine *e, Str tenant, Snapshot *ret)
{
    *ret = (Snapshot){.e = e};
    mutex_lock(&e->lock);
    Tenant *t = strmap_find(&e->tenants_by_name, tenant.len ? tenant : S(DEFAULT_TENANT));
    if (t) {
        ret->t = t;
        ret->version = version_ref(e->version);
        if (t->id <= e->version->tenants.len)
            ret->tv = &e->version->tenants.at[t->id - 1];
        for (u32 i = 0; i < e->shards_len; i++) {
            mutex_lock(&e->shards[i].lock);
            TenantShard *ts = &t->shards[i];
            ret->tables[2 * i] = ts->frozen ? mem_ref(ts->frozen) : NULL;
            ret->tables[2 * i + 1] = ts->cur ? mem_ref(ts->cur) : NULL;
            mutex_unlock(&e->shards[i].lock);
        }
    }
    mutex_unlock(&e->lock);
}

void snapshot_drop(Snapshot *s)
{
    for (u32 i = 0; i < 2 * SHARDS_MAX; i++)
        mem_unref(s->tables[i]);
    version_unref(s->version);
}

static bool overlaps(i64 a0, i64 a1, i64 b0, i64 b1)
{
    return a0 <= b1 && b0 <= a1;
}

/* Memtables are asked under their shards' locks, shard by shard, for at most this many series at a time. */
#define LIVE_BATCH 1024u

static void live_in_tables(Snapshot *s, i64 mint, i64 maxt, const u32 *ids, u32 n, u8 *alive)
{
    for (u32 shard = 0; shard < s->e->shards_len; shard++) {
        MemTable *frozen = s->tables[2 * shard], *cur = s->tables[2 * shard + 1];
        if (!frozen && !cur)
            continue;
        mutex_lock(&s->e->shards[shard].lock);
        if (frozen && !overlaps(frozen->mint, frozen->maxt, mint, maxt))
            frozen = NULL;
        if (cur && !overlaps(cur->mint, cur->maxt, mint, maxt))
            cur = NULL;
        for (u32 i = 0; i < n && (frozen || cur); i++) {
            const u32 *rec = alive[i] ? NULL : catalogue_record(&s->t->cat, ids[i]);
            if (rec && record_shard(rec) == shard)
                alive[i] = (frozen && mem_has(frozen, record_local(rec))) ||
                           (cur && mem_has(cur, record_local(rec)));
        }
        mutex_unlock(&s->e->shards[shard].lock);
    }
}

void snapshot_filter_live(Snapshot *s, i64 mint, i64 maxt, SidList *ids)
{
    u32 kept = 0;
    u8 alive[LIVE_BATCH];
    for (u32 from = 0; from < ids->len; from += LIVE_BATCH) {
        u32 n = MIN(LIVE_BATCH, ids->len - from);
        const u32 *at = ids->at + from;
        memset(alive, 0, n);
        for (size_t k = s->tv ? s->tv->parts.len : 0; k-- > 0;) { /* the newest first: it answers for most */
            Part *p = s->tv->parts.at[k];
            if (!overlaps(p->meta.mint, p->meta.maxt, mint, maxt))
                continue;
            for (u32 i = 0; i < n; i++)
                if (!alive[i])
                    alive[i] = part_has(p, at[i]);
        }
        live_in_tables(s, mint, maxt, at, n, alive);
        for (u32 i = 0; i < n; i++)
            if (alive[i])
                ids->at[kept++] = at[i];
    }
    ids->len = kept;
}
