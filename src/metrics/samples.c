#include "metrics/samples.h"

void samples_done(SampleVec *s)
{
    if (s->charged)
        account_uncharge(s->account, s->charged);
    mem_free(s->t);
    mem_free(s->v);
    mem_free(s->h);
    *s = (SampleVec){.account = s->account};
}

static bool charge(SampleVec *s, size_t bytes)
{
    if (!s->account)
        return true;
    if (account_charge(s->account, bytes, NULL) != OK) {
        s->over = true;
        return false;
    }
    s->charged += bytes;
    return true;
}

bool samples_reserve(SampleVec *s, u32 n)
{
    if (s->cap - s->len >= n)
        return true;
    u64 cap = MAX((u64)s->len + n, (u64)s->cap + s->cap / 2 + 64);
    if (cap > UINT32_MAX) {
        s->over = true;
        return false;
    }
    if (!charge(s, (size_t)(cap - s->cap) * (sizeof(i64) + sizeof(f64) + (s->h ? sizeof(Str) : 0))))
        return false;
    s->t = mem_realloc(s->t, cap * sizeof(i64));
    s->v = mem_realloc(s->v, cap * sizeof(f64));
    if (s->h)
        s->h = mem_realloc(s->h, cap * sizeof(Str));
    s->cap = (u32)cap;
    return true;
}

/* Past the limit the array is made all the same: it is bounded by those that were granted. */
void samples_need_hist(SampleVec *s)
{
    if (s->has_hist)
        return;
    s->has_hist = true;
    if (!s->h) {
        charge(s, s->cap * sizeof(Str));
        s->h = mem_alloc(MAX(s->cap, 1) * sizeof(Str));
    }
    memset(s->h, 0, s->len * sizeof(Str));
}

typedef struct Place {
    i64 t;
    u32 at;
} Place;

/* Stable merge sort of runs that are mostly ascending already: bottom-up over natural halves. */
static void places_sort(Place *p, Place *tmp, u32 n)
{
    for (u32 width = 1; width < n; width *= 2) {
        for (u32 lo = 0; lo + width < n; lo += 2 * width) {
            u32 mid = lo + width, hi = MIN(mid + width, n);
            if (p[mid - 1].t <= p[mid].t)
                continue;
            u32 a = lo, b = mid, k = 0;
            while (a < mid && b < hi)
                tmp[k++] = p[b].t < p[a].t ? p[b++] : p[a++];
            while (a < mid)
                tmp[k++] = p[a++];
            memcpy(p + lo, tmp, k * sizeof(Place));
        }
        if (width > UINT32_MAX / 2)
            break;
    }
}

bool samples_settle(SampleVec *s, u32 from)
{
    u32 n = s->len - from, i = from + 1;
    while (i < s->len && s->t[i] > s->t[i - 1])
        i++;
    if (n < 2 || i >= s->len)
        return true;
    Place *p = mem_alloc((size_t)n * 2 * sizeof(Place));
    for (u32 k = 0; k < n; k++)
        p[k] = (Place){s->t[from + k], from + k};
    places_sort(p, p + n, n);
    u32 kept = 0;
    for (u32 k = 0; k < n; k++)
        if (k + 1 == n || p[k + 1].t != p[k].t)
            p[kept++] = p[k];
    f64 *v = mem_alloc(kept * sizeof(f64));
    for (u32 k = 0; k < kept; k++)
        v[k] = s->v[p[k].at];
    memcpy(s->v + from, v, kept * sizeof(f64));
    mem_free(v);
    if (s->has_hist) {
        Str *h = mem_alloc(kept * sizeof(Str));
        for (u32 k = 0; k < kept; k++)
            h[k] = s->h[p[k].at];
        memcpy(s->h + from, h, kept * sizeof(Str));
        mem_free(h);
    }
    for (u32 k = 0; k < kept; k++)
        s->t[from + k] = p[k].t;
    s->len = from + kept;
    mem_free(p);
    return false;
}

void samples_cut(SampleVec *s, u32 from, i64 mint, i64 maxt)
{
    u32 kept = from;
    for (u32 i = from; i < s->len; i++) {
        if (s->t[i] >= mint && s->t[i] <= maxt)
            continue;
        s->t[kept] = s->t[i];
        s->v[kept] = s->v[i];
        if (s->has_hist)
            s->h[kept] = s->h[i];
        kept++;
    }
    s->len = kept;
}
