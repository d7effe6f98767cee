/* Merging: a level's number of neighbouring parts become one of the next. Neighbours only, so that the order in which samples
 * were written, which decides between two values for one time, stays the order of the list. Deleted and expired samples go here.
 */
#include "metrics/engine.h"

#define MERGE_BYTES_MAX (8ull << 30)

/* Wide steps, since each rewrites every sample: a flush a minute makes parts of 10 minutes, 2 hours and a day. */
static const u8 merge_width[PART_LEVELS - 1] = {10, 12, 12, 6};
#define SPAN_LEVEL  2  /* from here on a part spans no more than */
#define SPAN_SHARE  10 /* this part of the retention, which can only drop whole parts */
#define SPAN_MIN_MS DAY_MS

typedef struct MergeInput {
    Part *part;
    PartCursor cursor;
    u32 sid; /* the next it has; 0 = none left */
} MergeInput;

typedef struct MergeSource {
    PartSource src;
    MetricsEngine *e;
    MergeInput *in;
    u32 in_len;
    Tomb **tombs;
    u32 tombs_len;
    i64 cutoff;
} MergeSource;

static Err merge_next(PartSource *s, u32 *ret_sid, SampleVec *out, Why *why)
{
    MergeSource *m = (MergeSource *)s;
    if (m->e->is_closing)
        return why_set(why, E_CLOSED, "the metrics store is shutting down");
    u32 sid = 0;
    for (u32 i = 0; i < m->in_len; i++)
        if (m->in[i].sid && (!sid || m->in[i].sid < sid))
            sid = m->in[i].sid;
    *ret_sid = sid;
    for (u32 i = 0; sid && i < m->in_len; i++) {
        MergeInput *in = &m->in[i];
        if (in->sid != sid)
            continue;
        u32 from = out->len;
        part_cursor_read(&in->cursor, sid, m->cutoff, INT64_MAX, out);
        for (u32 k = 0; k < m->tombs_len; k++)
            if (m->tombs[k]->id > in->part->meta.tomb_seen && tomb_has(m->tombs[k], sid))
                samples_cut(out, from, m->tombs[k]->mint, m->tombs[k]->maxt);
        in->sid = part_cursor_next(&in->cursor, sid);
    }
    if (out->len)
        samples_settle(out, 0);
    for (u32 i = 0; i < m->in_len; i++)
        if (m->in[i].part->bad_pages)
            return why_set(why, E_CORRUPT, "a part has damaged pages: it is not merged");
    return OK;
}

/* ---- choosing ---- */

typedef struct MergeJob {
    Tenant *t;
    VEC(Part *) parts; /* neighbours, each a reference */
    VEC(Tomb *) tombs; /* the tenant's, each a reference */
    u32 level;
    u64 tomb_seen;
} MergeJob;

static bool is_mergeable(const Part *p)
{
    return !p->is_broken && !p->bad_pages;
}

/* Neighbours from i on that one merge may take. */
static size_t job_run(const MetricsEngine *e, const TenantVersion *tv, bool everything, size_t i)
{
    u32 level = tv->parts.at[i]->meta.level;
    size_t k = i, width = everything ? tv->parts.len : level + 1 < PART_LEVELS ? merge_width[level] : 0;
    u64 bytes = 0, span = (u64)MAX(SPAN_MIN_MS, e->retention_ms / SPAN_SHARE);
    i64 mint = INT64_MAX, maxt = INT64_MIN;
    for (; k < tv->parts.len && k - i < width && is_mergeable(tv->parts.at[k]); k++) {
        const PartMeta *m = &tv->parts.at[k]->meta;
        mint = MIN(mint, m->mint);
        maxt = MAX(maxt, m->maxt);
        bytes += m->bytes;
        if (bytes > MERGE_BYTES_MAX ||
            (!everything && (m->level != level || (level >= SPAN_LEVEL && (u64)maxt - (u64)mint > span))))
            break;
    }
    return k - i;
}

static bool job_pick_tenant(const MetricsEngine *e, const TenantVersion *tv, bool everything,
                            size_t *ret_first, size_t *ret_n)
{
    size_t n = tv->parts.len;
    for (size_t i = 0; i < n;) {
        u32 level = tv->parts.at[i]->meta.level;
        size_t k = i + job_run(e, tv, everything, i);
        if (everything ? k - i > 1 : (level + 1 < PART_LEVELS && k - i == merge_width[level])) {
            *ret_first = i;
            *ret_n = k - i;
            return true;
        }
        i = everything ? MAX(k, i + 1) : i + 1;
    }
    return false;
}

/* A lone part with something to remove: for merge_all. */
static bool job_pick_lone(MetricsEngine *e, const Version *v, const TenantVersion *tv, size_t *ret_first)
{
    i64 cutoff = engine_cutoff(e, e->tenants.at[tv->id - 1]);
    for (size_t i = 0; i < tv->parts.len; i++) {
        const Part *p = tv->parts.at[i];
        bool has_work = p->meta.mint < cutoff;
        for (size_t k = 0; k < v->tombs.len; k++)
            has_work |= v->tombs.at[k]->tenant == tv->id && v->tombs.at[k]->id > p->meta.tomb_seen;
        if (has_work && is_mergeable(p)) {
            *ret_first = i;
            return true;
        }
    }
    return false;
}

static bool job_pick(MetricsEngine *e, bool everything, MergeJob *j)
{
    bool found = false;
    mutex_lock(&e->lock);
    const Version *v = e->version;
    for (size_t i = 0; i < v->tenants.len && !found; i++) {
        const TenantVersion *tv = &v->tenants.at[i];
        size_t first, n = 1;
        found = job_pick_tenant(e, tv, everything, &first, &n) ||
                (everything && (n = 1, job_pick_lone(e, v, tv, &first)));
        if (!found)
            continue;
        j->t = e->tenants.at[i];
        for (size_t k = first; k < first + n; k++) {
            vec_push(&j->parts, part_ref(tv->parts.at[k]));
            j->level = MAX(j->level, tv->parts.at[k]->meta.level);
        }
        if (n > 1 && j->level + 1 < PART_LEVELS)
            j->level++;
        j->tomb_seen = v->next_tomb - 1;
        for (size_t k = 0; k < v->tombs.len; k++)
            if (v->tombs.at[k]->tenant == tv->id) {
                v->tombs.at[k]->refs++;
                vec_push(&j->tombs, v->tombs.at[k]);
            }
    }
    mutex_unlock(&e->lock);
    return found;
}

static void job_done(MergeJob *j)
{
    for (size_t i = 0; i < j->parts.len; i++)
        part_unref(j->parts.at[i]);
    for (size_t i = 0; i < j->tombs.len; i++)
        tomb_unref(j->tombs.at[i]);
    vec_done(&j->parts);
    vec_done(&j->tombs);
}

/* ---- doing ---- */

static Err job_write(MetricsEngine *e, MergeJob *j, Part **ret, Why *why)
{
    MergeSource m = {.src = {merge_next},
                     .e = e,
                     .tombs = j->tombs.at,
                     .tombs_len = (u32)j->tombs.len,
                     .cutoff = engine_cutoff(e, j->t)};
    m.in = mem_zalloc(j->parts.len * sizeof(MergeInput));
    m.in_len = (u32)j->parts.len;
    for (u32 i = 0; i < m.in_len; i++) {
        m.in[i].part = j->parts.at[i];
        part_cursor_init(&m.in[i].cursor, j->parts.at[i]);
        m.in[i].sid = part_cursor_next(&m.in[i].cursor, 0);
    }
    PartMeta meta = {.seq = e->next_seq++, .tenant = j->t->id, .level = j->level, .tomb_seen = j->tomb_seen};
    Err err = part_store(e->bucket, &m.src, &meta, why);
    if (err == OK) {
        e->bytes_written += meta.bytes;
        metric_add(e->m.written_bytes, (f64)meta.bytes);
        err = part_open(ret, e->bucket, &meta, why);
    }
    for (u32 i = 0; i < m.in_len; i++)
        part_cursor_done(&m.in[i].cursor);
    mem_free(m.in);
    return err == E_NOT_FOUND ? OK : err;
}

/* False when the inputs are no longer there (retention took one): the result is thrown away. */
static bool version_replace(Version *v, const MergeJob *j, Part *merged)
{
    TenantVersion *tv = &v->tenants.at[j->t->id - 1];
    size_t n = j->parts.len, first = 0;
    check(n);
    while (first < tv->parts.len && tv->parts.at[first] != j->parts.at[0])
        first++;
    if (tv->parts.len - first < n || memcmp(tv->parts.at + first, j->parts.at, n * sizeof(Part *)) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        part_unref(tv->parts.at[first + i]);
    size_t put = 0;
    if (merged)
        tv->parts.at[first + put++] = part_ref(merged);
    memmove(tv->parts.at + first + put, tv->parts.at + first + n,
            (tv->parts.len - first - n) * sizeof(Part *));
    tv->parts.len -= n - put;
    version_collect_tombs(v);
    return true;
}

static void delete_part(MetricsEngine *e, const Part *p)
{
    char key[64];
    part_key(key, p->meta.tenant, p->meta.seq);
    bucket_delete(e->bucket, str_c(key), deadline_none(), NULL);
}

static Err job_commit(MetricsEngine *e, MergeJob *j, Part *merged, bool *ret_done, Why *why)
{
    mutex_lock(&e->commit_lock);
    Version *v = version_clone(e->version);
    Err err = OK;
    if (!(*ret_done = version_replace(v, j, merged)))
        version_unref(v);
    else
        err = engine_commit(e, v, why);
    mutex_unlock(&e->commit_lock);
    return err;
}

static bool removes_samples(MetricsEngine *e, const MergeJob *j)
{
    i64 cutoff = engine_cutoff(e, j->t);
    bool yes = j->tombs.len > 0;
    for (size_t i = 0; i < j->parts.len; i++)
        yes |= j->parts.at[i]->meta.mint < cutoff;
    return yes;
}

static Err merge_once(MetricsEngine *e, bool everything, bool *ret_did, Why *why)
{
    *ret_did = false;
    if (e->failed != OK)
        return why_set(why, E_IO, "the metrics store takes no writes since a disk error");
    MergeJob j = {0};
    if (!job_pick(e, everything, &j))
        return OK;
    Part *merged = NULL;
    bool is_done = false;
    Err err = job_write(e, &j, &merged, why);
    if (err == OK)
        err = job_commit(e, &j, merged, &is_done, why);
    if (err == OK && is_done) {
        metric_inc(e->m.compactions);
        if (removes_samples(e, &j))
            e->may_forget = true;
        for (size_t i = 0; i < j.parts.len; i++)
            delete_part(e, j.parts.at[i]);
    } else if (merged && e->failed == OK) {
        delete_part(e, merged);
    }
    *ret_did = err == OK;
    if (err == E_CLOSED ||
        err == E_CORRUPT) { /* closing; or damage just found, which the next choice leaves out */
        *ret_did = err == E_CORRUPT;
        err = OK;
    }
    part_unref(merged);
    job_done(&j);
    return err;
}

Err engine_merge_step(MetricsEngine *e, bool *ret_did, Why *why)
{
    return merge_once(e, false, ret_did, why);
}

Err metrics_merge_all(MetricsEngine *e, Why *why)
{
    TRY(engine_retain(e, why));
    bool did = true;
    while (did)
        TRY(merge_once(e, true, &did, why));
    return engine_forget(e, true, why);
}
