/* Inhibition: alerts that match a rule's source side keep quiet those that match its target side and share the labels
 * under `equal` (absent and empty are equal). An alert that matches both sides is inhibited only by one that does not. */
#include "alert/inhibit.h"

static u64 equal_hash(const InhibitRule *r, Labels l)
{
    u64 h = 0;
    for (u32 i = 0; i < r->equal_len; i++) {
        Str v = labels_get(l, r->equal[i]);
        h = hash_bytes(v.at, v.len, h + 1);
    }
    return h;
}

static bool equal_labels(const InhibitRule *r, Labels a, Labels b)
{
    for (u32 i = 0; i < r->equal_len; i++)
        if (!str_eq(labels_get(a, r->equal[i]), labels_get(b, r->equal[i])))
            return false;
    return true;
}

void inhibitor_apply(Inhibitor *h, const InhibitRule *rules, u32 n)
{
    inhibitor_done(h);
    h->rules = rules;
    h->len = n;
    h->sources = mem_zalloc((n + 1) * sizeof *h->sources);
}

void inhibitor_done(Inhibitor *h)
{
    for (u32 i = 0; i < h->len; i++) {
        u64map_done(&h->sources[i].first);
        vec_done(&h->sources[i].all);
    }
    mem_free(h->sources);
    *h = (Inhibitor){0};
}

void inhibitor_add(Inhibitor *h, const StoredAlert *x)
{
    for (u32 i = 0; i < h->len; i++) {
        InhibitSources *s = &h->sources[i];
        if (!matchers_match(h->rules[i].source, x->labels))
            continue;
        u64 hash = equal_hash(&h->rules[i], x->labels);
        u64 *first = u64map_find(&s->first, hash);
        u32 at = s->free ? s->free - 1 : (u32)s->all.len;
        InhibitSource source = {x, first ? (u32)*first : 0};
        if (s->free) {
            s->free = s->all.at[at].next;
            s->all.at[at] = source;
        } else {
            vec_push(&s->all, source);
        }
        u64map_put(&s->first, hash, at + 1);
    }
}

void inhibitor_del(Inhibitor *h, const StoredAlert *x)
{
    for (u32 i = 0; i < h->len; i++) {
        InhibitSources *s = &h->sources[i];
        if (!matchers_match(h->rules[i].source, x->labels))
            continue;
        u64 hash = equal_hash(&h->rules[i], x->labels);
        u64 *first = u64map_find(&s->first, hash);
        u32 before = 0;
        for (u32 at = first ? (u32)*first : 0; at; before = at, at = s->all.at[at - 1].next) {
            if (s->all.at[at - 1].alert != x)
                continue;
            u32 next = s->all.at[at - 1].next;
            if (before)
                s->all.at[before - 1].next = next;
            else if (next)
                *first = next;
            else
                u64map_del(&s->first, hash);
            s->all.at[at - 1] = (InhibitSource){NULL, s->free};
            s->free = at;
            break;
        }
    }
}

const StoredAlert *inhibitor_find(const Inhibitor *h, Labels alert, i64 now_ns, const InhibitRule **ret_rule)
{
    for (u32 i = 0; i < h->len; i++) {
        const InhibitRule *r = &h->rules[i];
        const InhibitSources *s = &h->sources[i];
        if (!s->first.len || !matchers_match(r->target, alert))
            continue;
        u64 *first = u64map_find(&s->first, equal_hash(r, alert));
        if (!first)
            continue;
        bool two_sided = matchers_match(r->source, alert);
        for (u32 at = (u32)*first; at; at = s->all.at[at - 1].next) {
            const StoredAlert *x = s->all.at[at - 1].alert;
            if (alert_is_resolved(x, now_ns) || !equal_labels(r, x->labels, alert) ||
                (two_sided && matchers_match(r->target, x->labels)))
                continue;
            if (ret_rule)
                *ret_rule = r;
            return x;
        }
    }
    return NULL;
}
