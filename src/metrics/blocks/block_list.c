/* Which blocks a directory holds, by their meta.json. */
#include <jansson.h>
#include <stdio.h>

#include "metrics/blocks/impl.h"

enum { META_BYTES_MAX = 16 << 20, BLOCKS_MAX = 100000 };

static bool is_ulid(const char *s)
{
    size_t n = strspn(s, "0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    return n == BLOCK_ULID_LEN && !s[n];
}

static void add_parents(const json_t *root, ParentList *parents)
{
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(json_object_get(root, "compaction"), "parents"), i, p)
    {
        const char *ulid = json_string_value(json_object_get(p, "ulid"));
        BlockMeta m = {0};
        if (ulid && is_ulid(ulid) && parents->len < BLOCKS_MAX) {
            memcpy(m.ulid, ulid, BLOCK_ULID_LEN);
            vec_push(parents, m);
        }
    }
}

Err block_meta_load(BlockMeta *ret, ParentList *parents, Vfs *v, const char *dir, Why *why)
{
    char path[1200];
    Buf text;
    *ret = (BlockMeta){0};
    snprintf(path, sizeof path, "%s/meta.json", dir);
    buf_init(&text, META_BYTES_MAX);
    Err e = vfs_read_file(v, path, META_BYTES_MAX, &text, why);
    if (e != OK) {
        buf_done(&text);
        return e;
    }
    json_error_t bad;
    json_t *root = json_loadb(text.at ? text.at : "", text.len, 0, &bad),
           *stats = json_object_get(root, "stats");
    const char *ulid = json_string_value(json_object_get(root, "ulid"));
    json_t *mint = json_object_get(root, "minTime"), *maxt = json_object_get(root, "maxTime");
    if (!ulid || !is_ulid(ulid) || !json_is_integer(mint) || !json_is_integer(maxt)) {
        e = why_set(why, E_CORRUPT, "%s is not the meta.json of a block", path);
    } else if (json_integer_value(json_object_get(root, "version")) != 1) {
        e = why_set(why, E_CORRUPT, "%s: only version 1 is known here", path);
    } else {
        memcpy(ret->ulid, ulid, BLOCK_ULID_LEN);
        ret->mint = json_integer_value(mint);
        ret->maxt = json_integer_value(maxt);
        ret->samples = (u64)json_integer_value(json_object_get(stats, "numSamples"));
        ret->series = (u64)json_integer_value(json_object_get(stats, "numSeries"));
        ret->chunks = (u64)json_integer_value(json_object_get(stats, "numChunks"));
        if (parents)
            add_parents(root, parents);
    }
    json_decref(root);
    buf_done(&text);
    return e;
}

typedef struct Listing {
    BlockList *list;
    ParentList parents;
    Vfs *vfs;
    const char *dir;
    Err err;
    Why *why;
} Listing;

static bool take_name(void *arg, const char *name, bool is_dir)
{
    Listing *l = arg;
    char path[1200];
    BlockMeta m;
    snprintf(path, sizeof path, "%s/%s", l->dir, name);
    if (!is_dir)
        return true;
    if (!strcmp(name, "wal"))
        l->list->has_wal = true;
    if (!is_ulid(name))
        return true;
    if (l->list->at.len == BLOCKS_MAX)
        l->err = why_set(l->why, E_LIMIT, "%s holds more than %d blocks", l->dir, BLOCKS_MAX);
    else if ((l->err = block_meta_load(&m, &l->parents, l->vfs, path, l->why)) == OK) {
        snprintf(m.ulid, sizeof m.ulid, "%s", name); /* the folder is what is opened */
        vec_push(&l->list->at, m);
    }
    return l->err == OK;
}

static int by_time(const void *a, const void *b)
{
    const BlockMeta *x = a, *y = b;
    return x->mint != y->mint ? (x->mint < y->mint ? -1 : 1) : strcmp(x->ulid, y->ulid);
}

static bool is_parent(const ParentList *parents, const char *ulid)
{
    for (size_t i = 0; i < parents->len; i++)
        if (!strcmp(parents->at[i].ulid, ulid))
            return true;
    return false;
}

Err blocks_list(BlockList *ret, Vfs *vfs, const char *dir, Why *why)
{
    BlockMeta one;
    Listing l = {.list = ret, .vfs = vfs, .dir = dir, .why = why};
    *ret = (BlockList){0};
    Err e = strlen(dir) > 1000 ? why_set(why, E_INVALID, "the path %.100s... is too long", dir)
                               : block_meta_load(&one, NULL, vfs, dir, why);
    if (e == OK) {
        ret->is_single = true;
        vec_push(&ret->at, one);
        return OK;
    }
    if (e != E_NOT_FOUND)
        return e;
    e = vfs->list(vfs, dir, take_name, &l, why);
    if (e == OK)
        e = l.err;
    size_t kept = 0;
    for (size_t i = 0; i < ret->at.len; i++)
        if (!is_parent(&l.parents, ret->at.at[i].ulid))
            ret->at.at[kept++] = ret->at.at[i];
    ret->at.len = kept;
    vec_done(&l.parents);
    if (e != OK)
        blocks_list_done(ret);
    else if (kept)
        qsort(ret->at.at, kept, sizeof(BlockMeta), by_time);
    return e;
}

void blocks_list_done(BlockList *l)
{
    vec_done(&l->at);
}
