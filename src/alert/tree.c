/* The routing tree as JSON, and what each of its routes says to an alert. */
#include "alert/alerter_internal.h"

enum { TREE_DEPTH_MAX = 60 };

static void put_u64(Json *j, const char *key, u64 v)
{
    js_key(j, str_c(key));
    js_u64(j, v);
}

void route_head_json(Json *j, const AlertRoute *r)
{
    Buf b;
    buf_init(&b, 1 << 20);
    match_print_all(&b, r->matchers);
    js_kv(j, "matchers", buf_view(&b));
    buf_done(&b);
    js_kv(j, "id", r->id);
    put_u64(j, "line", r->line);
    js_kv(j, "receiver", r->receiver->name);
    js_key(j, S("continue"));
    js_bool(j, r->continues);
    js_key(j, S("groupBy"));
    js_array(j);
    if (r->group_by_all)
        js_c(j, "...");
    for (u32 i = 0; i < r->group_by_len; i++)
        js_str(j, r->group_by[i]);
    js_array_end(j);
    put_u64(j, "groupWaitMs", (u64)r->group_wait_ms);
    put_u64(j, "groupIntervalMs", (u64)r->group_interval_ms);
    put_u64(j, "repeatIntervalMs", (u64)r->repeat_interval_ms);
}

void route_muted_json(Json *j, const AlertRoute *r, i64 now_s)
{
    const TimeIntervals *by[16];
    u32 n = alert_route_muted_by(r, now_s, by, COUNT_OF(by));
    js_key(j, S("mutedBy"));
    js_array(j);
    for (u32 i = 0; i < n; i++)
        js_str(j, by[i]->name);
    js_array_end(j);
}

void route_tree_json(Json *j, const AlertRoute *r, i64 now_s)
{
    js_object(j);
    route_head_json(j, r);
    route_muted_json(j, r, now_s);
    js_key(j, S("routes"));
    js_array(j);
    for (u32 i = 0; i < r->routes_len && j->depth < TREE_DEPTH_MAX; i++)
        route_tree_json(j, &r->routes[i], now_s);
    js_array_end(j);
    js_object_end(j);
}

static const Matcher *refusing(Matchers m, Labels alert)
{
    for (u32 i = 0; i < m.len; i++)
        if (!matcher_matches(&m.at[i], labels_get(alert, m.at[i].name)))
            return &m.at[i];
    return NULL;
}

/* As alert_route_match goes. */
static bool walk(Json *j, const AlertRoute *r, Labels alert)
{
    const Matcher *no = refusing(r->matchers, alert);
    bool child = false;
    for (u32 i = 0; !no && i < r->routes_len; i++) {
        bool matched = walk(j, &r->routes[i], alert);
        child |= matched;
        if (matched && !r->routes[i].continues)
            break;
    }
    js_object(j);
    js_kv(j, "id", r->id);
    js_kv(j, "verdict", no ? S("refused") : child ? S("passed") : S("taken"));
    if (no) {
        Buf b;
        buf_init(&b, 1 << 20);
        match_print(&b, no);
        js_kv(j, "matcher", buf_view(&b));
        js_kv(j, "value", labels_get(alert, no->name));
        buf_done(&b);
    }
    js_object_end(j);
    return !no;
}

void route_walk_json(Json *j, const AlertRoute *root, Labels alert)
{
    js_array(j);
    walk(j, root, alert);
    js_array_end(j);
}
