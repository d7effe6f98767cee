/* The admin routes: behind --web.enable-admin-api. */
#include "metrics/api/impl.h"

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

void handle_snapshot(HttpReq *r, void *arg)
{
    if (enter(arg, r))
        api_error(r, API_INTERNAL,
                  "snapshots are not built yet: stop the server and copy its data directory, or write "
                  "remotely to a second "
                  "server");
}
