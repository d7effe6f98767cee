/* From a source of samples to blocks: one pass over it per day. */
#include "metrics/blocks/impl.h"

#define DAY_MS 86400000LL
enum { VIEWS = 64 };

static Err export_day(Vfs *vfs, PromSource *source, Str tenant, Matchers m, i64 mint, i64 maxt,
                      const char *dir, Cancel *cancel, u32 *ret_blocks, Why *why)
{
    Arena arena;
    BlockWriter *w;
    SeriesCursor *c = NULL;
    char ulid[BLOCK_ULID_LEN + 1];
    SelectHints h = {.mint = mint, .maxt = maxt};
    TRY(block_writer_new(&w, vfs, dir, why));
    arena_init(&arena, NULL, 4ULL << 30);
    Err e = source->select(source, tenant, m, &h, &arena, cancel, &c, why);
    for (u32 n = 1; e == OK && n;) {
        SeriesView views[VIEWS];
        e = c->next(c, views, VIEWS, &n, why);
        for (u32 i = 0; i < n && e == OK; i++)
            e = block_writer_add(w, views[i].labels, views[i].t, views[i].v, views[i].h, views[i].n, why);
        if (e == OK && cancel_is_set(cancel))
            e = why_set(why, E_CANCELED, "the export was given up");
    }
    if (c)
        c->close(c);
    arena_done(&arena);
    if (e != OK) {
        block_writer_abandon(w);
        return e;
    }
    e = block_writer_end(w, ulid, why);
    *ret_blocks += ulid[0] != 0;
    return e;
}

Err blocks_export(Vfs *vfs, PromSource *source, Str tenant, Matchers m, i64 mint, i64 maxt, const char *dir,
                  Cancel *cancel, u32 *ret_blocks, Why *why)
{
    *ret_blocks = 0;
    TRY(vfs_mkdirs(vfs, dir, why));
    for (i64 from = mint; from <= maxt;) {
        i64 day = from - (from % DAY_MS + DAY_MS) % DAY_MS, end = MIN(maxt, day + DAY_MS - 1);
        TRY(export_day(vfs, source, tenant, m, from, end, dir, cancel, ret_blocks, why));
        from = day + DAY_MS;
    }
    return OK;
}
