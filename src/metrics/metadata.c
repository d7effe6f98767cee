/* Metadata of metric families: every distinct (type, help, unit) that was seen, a few per family, the newest kept. */
#include "metrics/engine.h"

#define VARIANTS_MAX 8u
#define FAMILIES_MAX 1000000u

typedef VEC(StoredMetadata) Variants;

static void variant_done(StoredMetadata *m)
{
    mem_free((void *)m->help.at);
    mem_free((void *)m->unit.at);
}

bool metadata_add(MetadataStore *s, const MetadataItem *item)
{
    Variants *all = strmap_find(&s->families, item->family);
    if (!all) {
        if (s->families.len >= FAMILIES_MAX)
            return false;
        all = mem_zalloc(sizeof *all);
        strmap_put(&s->families, item->family, all);
    }
    for (size_t i = 0; i < all->len; i++)
        if (all->at[i].type == item->type && str_eq(all->at[i].help, item->help) &&
            str_eq(all->at[i].unit, item->unit))
            return false;
    if (all->len == VARIANTS_MAX) {
        variant_done(&all->at[0]);
        memmove(all->at, all->at + 1, --all->len * sizeof(StoredMetadata));
    }
    vec_push(all, (StoredMetadata){.help = mem_dup(item->help),
                                   .unit = mem_dup(item->unit),
                                   .type = item->type,
                                   .added = ++s->added});
    return true;
}

void metadata_done(MetadataStore *s)
{
    StrMapSlot *slot;
    for (size_t at = 0; (slot = strmap_next(&s->families, &at));) {
        Variants *all = slot->value;
        for (size_t i = 0; i < all->len; i++)
            variant_done(&all->at[i]);
        vec_done(all);
        mem_free(all);
    }
    strmap_done(&s->families);
}

static void give(const StrMapSlot *slot, MetadataFn fn, void *arg)
{
    const Variants *all = slot->value;
    for (size_t i = all->len; i-- > 0;) /* the newest first */
        fn(arg, &(MetadataItem){.family = slot->key,
                                .help = all->at[i].help,
                                .unit = all->at[i].unit,
                                .type = all->at[i].type});
}

void metrics_metadata(MetricsEngine *e, Str tenant, Str metric, MetadataFn fn, void *arg)
{
    Tenant *t = engine_tenant(e, tenant, false);
    if (!t)
        return;
    mutex_lock(&t->side_lock);
    const StrMapSlot *slot;
    if (metric.len) {
        Variants *all = strmap_find(&t->metadata.families, metric);
        if (all)
            give(&(StrMapSlot){.key = metric, .value = all}, fn, arg);
    } else {
        for (size_t at = 0; (slot = strmap_next(&t->metadata.families, &at));)
            give(slot, fn, arg);
    }
    mutex_unlock(&t->side_lock);
}
