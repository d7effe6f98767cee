/* Which group of an aggregation a series falls into, by the ids of its pairs: no string is looked at. */
#include "metrics/engine.h"

void group_keys_init(GroupKeys *k, Catalogue *cat, const Grouping *g, Arena *a)
{
    *k = (GroupKeys){0};
    u32 *ids = g ? arena_array(a, u32, (u64)g->len + 1) : NULL;
    if (!ids)
        return;
    rwlock_read(&cat->lock);
    bool has_types =
        catalogue_find_name(cat, S("__type__")) != 0 || catalogue_find_name(cat, S("__unit__")) != 0;
    for (u32 i = 0; i < g->len; i++)
        ids[i] = catalogue_find_name(cat, g->names[i]);
    if (g->without)
        ids[g->len] = catalogue_find_name(cat, LABEL_NAME);
    rwlock_unlock(&cat->lock);
    *k = (GroupKeys){
        .cat = cat, .names = ids, .len = g->len + g->without, .without = g->without, .is_on = !has_types};
}

static bool is_named(const GroupKeys *k, u32 name)
{
    for (u32 i = 0; i < k->len; i++)
        if (k->names[i] == name)
            return true;
    return false;
}

u64 group_key(const GroupKeys *k, const u32 *rec)
{
    if (!k->without && k->len <= 1)
        return k->len && k->names[0] ? catalogue_record_pair(k->cat, rec, k->names[0]) : 0;
    u64 h = 0;
    u32 labels = record_labels(rec);
    for (u32 i = 0; k->without && i < labels; i++)
        if (!is_named(k, catalogue_pair(k->cat, rec[2 + i]).name))
            h = hash_bytes(&rec[2 + i], sizeof *rec, h);
    for (u32 i = 0; !k->without && i < k->len; i++) {
        u32 pair = k->names[i] ? catalogue_record_pair(k->cat, rec, k->names[i]) : 0;
        h = hash_bytes(&pair, sizeof pair, h);
    }
    return h;
}
