/* The admin routes: behind --web.enable-admin-api. */
#include <time.h>

#include "metrics/api/impl.h"
#include "metrics/blocks/blocks.h"

static bool enter(Api *a, HttpReq *r)
{
    if (!api_enter(a, r))
        return false;
    if (!a->c.enable_admin) {
        api_error(r, API_UNAVAILABLE, "admin APIs disabled");
        return false;
    }
    if (!a->c.engine) {
        api_error(r, API_UNAVAILABLE, "this server has no storage of its own");
        return false;
    }
    return true;
}

void handle_delete_series(HttpReq *r, void *arg)
{
    Api *a = arg;
    MatcherSets sets;
    i64 start, end;
    Why why = {0};
    Err e = OK;
    if (!enter(a, r))
        return;
    if (!http_has_param(r, S("match[]"))) {
        api_error(r, API_BAD_DATA, "no match[] parameter provided");
        return;
    }
    if (!param_range(r, &start, &end))
        return;
    if (param_matchers(r, false, &sets, &why) != OK) {
        api_bad_param(r, "match[]", "%s", why.text);
        return;
    }
    for (u32 i = 0; e == OK && i < sets.len; i++)
        e = metrics_delete(a->c.engine, api_tenant(a, r), sets.at[i], start, end, &why);
    matcher_sets_done(&sets);
    if (e == OK)
        http_reply(r, 204, NULL, S(""));
    else
        api_error(r, API_INTERNAL, "%s", why.text);
}

void handle_clean_tombstones(HttpReq *r, void *arg)
{
    Api *a = arg;
    Why why = {0};
    if (!enter(a, r))
        return;
    if (metrics_merge_all(a->c.engine, &why) == OK)
        http_reply(r, 204, NULL, S(""));
    else
        api_error(r, API_INTERNAL, "%s", why.text);
}

/* 20261128T113220Z-56ff6641ae301555, as Prometheus names them. */
static Str snapshot_name(Api *a, Arena *arena)
{
    time_t now = clock_wall_ms(a->c.clock) / 1000;
    struct tm t;
    char text[32];
    gmtime_r(&now, &t);
    strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &t);
    return arena_printf(arena, "%s-%016llx", text, (unsigned long long)(random_u64() >> 1));
}

static bool is_go_bool(Str s)
{
    static const char *const words[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                        "0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_eq(s, str_c(words[i])))
            return true;
    return false;
}

void handle_snapshot(HttpReq *r, void *arg)
{
    Api *a = arg;
    MetricsStats stats;
    Why why = {0};
    u32 blocks;
    if (!enter(a, r))
        return;
    Str skip = http_param(r, S("skip_head")); /* there is no head here: everything is taken */
    if (skip.len && !is_go_bool(skip)) {
        api_bad_param(r, "skip_head", "unable to parse boolean \"%.*s\"", (int)MIN(skip.len, 100), skip.at);
        return;
    }
    if (!a->c.snapshot_dir.len) {
        api_error(r, API_UNAVAILABLE, "this server has no place for snapshots");
        return;
    }
    Str tenant = api_tenant(a, r), name = snapshot_name(a, r->arena),
        dir = arena_printf(r->arena, "%.*s/%.*s", STR_FMT(a->c.snapshot_dir), STR_FMT(name));
    metrics_stats(a->c.engine, tenant, &stats);
    Err e = blocks_export(vfs_os(), a->c.source, tenant, (Matchers){0}, stats.mint, stats.maxt, dir.at,
                          r->cancel, &blocks, &why);
    if (e != OK) {
        vfs_remove_tree(vfs_os(), dir.at, NULL);
        api_error(r, API_INTERNAL, "create snapshot: %s", why.text);
        return;
    }
    Buf out;
    Json j;
    buf_init(&out, 4096);
    api_data(&out, &j);
    js_object(&j);
    js_kv(&j, "name", name);
    js_object_end(&j);
    api_reply(r, &out);
}
