/* The routing tree: reading it, which routes an alert takes, and the names of routes that group keys are made of. */
#include "alert/alert_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUTES_DEPTH_MAX = 50, ROUTES_MAX = 100000 };
#define GROUP_WAIT_MS      (30 * MS_PER_SEC)
#define GROUP_INTERVAL_MS  (5 * 60 * MS_PER_SEC)
#define REPEAT_INTERVAL_MS (4 * 3600 * MS_PER_SEC)

/* ---- matchers of routes and inhibition rules ---- */
static void read_classic_map(ConfigReader *r, ConfMap *m, const char *key, bool regex, MatchList *l, u32 cap)
{
    const ConfNode *n = conf_get(m, key);
    if (!n || conf_node_is_null(n))
        return;
    if (n->kind != CONF_MAP) {
        conf_error(r->conf, n, "%s is a map of label names to %s", key, regex ? "expressions" : "values");
        return;
    }
    for (u32 i = 0; i < n->len && l->len < cap; i++) {
        Str name = n->keys[i].text, value = conf_scalar(r->conf, &n->items[i], false);
        Why why = {0};
        if (!label_name_is_classic(name))
            conf_error(r->conf, &n->items[i], "invalid label name \"%.*s\"", STR_FMT(name));
        else if (regex && conf_node_is_null(&n->items[i]))
            conf_error(r->conf, &n->items[i], "invalid regexp value for \"%.*s\"", STR_FMT(name));
        else if (match_init(&l->at[l->len], regex ? MATCH_RE : MATCH_EQ, name,
                            regex ? arena_printf(&r->c->arena, "^(?:%.*s)$", STR_FMT(value)) : value,
                            &why) != OK)
            conf_error(r->conf, &n->items[i], "%s", why.text);
        else
            l->len++;
    }
}

static u32 map_len(ConfMap *m, const char *key)
{
    const ConfNode *n = conf_get(m, key);
    return n && n->kind == CONF_MAP ? n->len : 0;
}

Matchers config_read_matchers(ConfigReader *r, ConfMap *m, const char *match, const char *match_re,
                              const char *matchers)
{
    const ConfNode *lines;
    u32 n = conf_list(m, matchers, &lines), cap = map_len(m, match) + map_len(m, match_re), used = 0;
    MatchList *lists = arena_array(&r->c->arena, MatchList, n + 1), all = {0};
    for (u32 i = 0; lists && i < n; i++) {
        Str remark = S(""), text = conf_scalar(r->conf, &lines[i], false);
        Why why = {0};
        if (match_parse(text, &r->c->arena, &lists[i], &remark, &why) != OK)
            conf_error(r->conf, &lines[i], "%s", why.text);
        else if (remark.len)
            conf_warn(r->conf, &lines[i], "%.*s: %.*s", STR_FMT(text), STR_FMT(remark));
        cap += lists[i].len;
    }
    all.at = arena_array(&r->c->arena, Matcher, cap + 1);
    if (!all.at || !lists) {
        conf_error(r->conf, m->node, "too many matchers");
        return (Matchers){0};
    }
    read_classic_map(r, m, match, false, &all, cap);
    read_classic_map(r, m, match_re, true, &all, cap);
    used = all.len;
    for (u32 i = 0; i < n; i++) /* they move into one list, which owns them */
        for (u32 k = 0; k < lists[i].len && used < cap; k++)
            all.at[used++] = lists[i].at[k];
    all.len = used;
    if (all.len > 1)
        qsort(all.at, all.len, sizeof *all.at, match_order);
    vec_push(&r->c->matchers, all);
    return (Matchers){all.at, all.len};
}

/* ---- reading ---- */
static void read_group_by(ConfigReader *r, ConfMap *m, const AlertRoute *parent, AlertRoute *ret)
{
    const Str *names;
    if (parent) {
        ret->group_by = parent->group_by;
        ret->group_by_len = parent->group_by_len;
        ret->group_by_all = parent->group_by_all;
    }
    u32 n = conf_strs(m, "group_by", &names);
    if (!conf_has(m, "group_by"))
        return;
    Str *at = arena_array(&r->c->arena, Str, n + 1);
    if (!at)
        return;
    const ConfNode *node = conf_get(m, "group_by");
    bool all = false;
    u32 len = 0;
    for (u32 i = 0; i < n; i++) {
        if (str_eq(names[i], S("..."))) {
            all = true;
            continue;
        }
        if (!match_label_name_ok(names[i]))
            conf_error(r->conf, node, "invalid label name \"%.*s\" in group_by list", STR_FMT(names[i]));
        for (u32 k = 0; k < len; k++)
            if (str_eq(at[k], names[i]))
                conf_error(r->conf, node, "duplicated label \"%.*s\" in group_by", STR_FMT(names[i]));
        at[len++] = names[i];
    }
    if (all && len)
        conf_error(r->conf, node, "cannot have wildcard group_by (`...`) and other labels at the same time");
    if (len > 1)
        qsort(at, len, sizeof *at, str_order);
    ret->group_by_all = all;
    if (!all) {
        ret->group_by = at;
        ret->group_by_len = len;
    }
}

static const Receiver *find_receiver(const AlertConfig *c, Str name)
{
    for (u32 i = 0; i < c->receivers_len; i++)
        if (str_eq(c->receivers[i].name, name))
            return &c->receivers[i];
    return NULL;
}

static u32 read_intervals(ConfigReader *r, ConfMap *m, const char *key, const TimeIntervals *const **ret)
{
    const Str *names;
    u32 n = conf_strs(m, key, &names), len = 0;
    const TimeIntervals **at = arena_array(&r->c->arena, const TimeIntervals *, n + 1);
    for (u32 i = 0; at && i < n; i++) {
        const TimeIntervals *found = NULL;
        for (u32 k = 0; k < r->c->intervals_len; k++)
            if (str_eq(r->c->intervals[k].name, names[i]))
                found = &r->c->intervals[k];
        if (found)
            at[len++] = found;
        else
            conf_error(r->conf, conf_get(m, key), "undefined time interval \"%.*s\" used in route",
                       STR_FMT(names[i]));
    }
    *ret = at;
    return len;
}

static void read_route_labels(ConfigReader *r, ConfMap *m)
{
    if (!conf_has(m, "labels")) {
        conf_ignore(m, "labels");
        return;
    }
    conf_error(r->conf, conf_get(m, "labels"),
               "labels on a route came with Alertmanager 0.34; put them on the rules or into the templates");
}

static void check_root(ConfigReader *r, ConfMap *m, const AlertRoute *ret)
{
    if (ret->matchers.len)
        conf_error(r->conf, m->node, "root route must not have any matchers");
    if (ret->mute_len)
        conf_error(r->conf, conf_get(m, "mute_time_intervals"),
                   "root route must not have any mute time intervals");
    if (ret->active_len)
        conf_error(r->conf, conf_get(m, "active_time_intervals"),
                   "root route must not have any active time intervals");
    if (ret->continues)
        conf_error(r->conf, conf_get(m, "continue"), "cannot have continue in root route");
}

static void set_names(ConfigReader *r, AlertRoute *ret, u32 place)
{
    Buf own;
    buf_init(&own, 1 << 20);
    match_print_all(&own, ret->matchers);
    const AlertRoute *p = ret->parent;
    Arena *a = &r->c->arena;
    Str key = buf_view(&own);
    ret->key = p ? arena_printf(a, "%.*s/%.*s", STR_FMT(p->key), STR_FMT(key)) : arena_dup(a, key);
    ret->id = p ? arena_printf(a, "%.*s/%.*s/%u", STR_FMT(p->id), STR_FMT(key), place) : ret->key;
    buf_done(&own);
}

static void read_route(ConfigReader *r, const ConfNode *n, const AlertRoute *parent, u32 place, int depth,
                       AlertRoute *ret)
{
    ConfMap m;
    const ConfNode *routes;
    if (depth > ROUTES_DEPTH_MAX || r->c->routes_len >= ROUTES_MAX) {
        conf_error(r->conf, n, "routes nest deeper than %d, or are more than %d", ROUTES_DEPTH_MAX,
                   ROUTES_MAX);
        return;
    }
    if (!conf_map_begin(r->conf, n, &m))
        return;
    ret->parent = parent;
    ret->line = n->line;
    const ConfNode *at = conf_get(&m, "receiver");
    Str receiver = conf_str(&m, "receiver", S(""));
    ret->receiver = receiver.len ? find_receiver(r->c, receiver) : parent ? parent->receiver : NULL;
    if (!receiver.len && !parent)
        conf_error(r->conf, n, "root route must specify a default receiver");
    else if (receiver.len && !ret->receiver)
        conf_error(r->conf, at, "undefined receiver \"%.*s\" used in route", STR_FMT(receiver));
    read_group_by(r, &m, parent, ret);
    ret->group_wait_ms = conf_duration(&m, "group_wait", parent ? parent->group_wait_ms : GROUP_WAIT_MS);
    ret->group_interval_ms =
        conf_duration(&m, "group_interval", parent ? parent->group_interval_ms : GROUP_INTERVAL_MS);
    ret->repeat_interval_ms =
        conf_duration(&m, "repeat_interval", parent ? parent->repeat_interval_ms : REPEAT_INTERVAL_MS);
    if (!ret->group_interval_ms)
        conf_error(r->conf, conf_get(&m, "group_interval"), "group_interval cannot be zero");
    if (!ret->repeat_interval_ms)
        conf_error(r->conf, conf_get(&m, "repeat_interval"), "repeat_interval cannot be zero");
    ret->continues = conf_bool(&m, "continue", false);
    ret->matchers = config_read_matchers(r, &m, "match", "match_re", "matchers");
    ret->mute_len = read_intervals(r, &m, "mute_time_intervals", &ret->mute);
    ret->active_len = read_intervals(r, &m, "active_time_intervals", &ret->active);
    read_route_labels(r, &m);
    if (!parent)
        check_root(r, &m, ret);
    set_names(r, ret, place);
    u32 len = conf_list(&m, "routes", &routes);
    conf_map_end(&m);
    AlertRoute *sub = arena_array(&r->c->arena, AlertRoute, len + 1);
    if (!sub)
        return;
    memset(sub, 0, (len + 1) * sizeof *sub);
    ret->routes = sub;
    ret->routes_len = len;
    for (u32 i = 0; i < len; i++)
        read_route(r, &routes[i], ret, i, depth + 1, &sub[i]);
    ret->index = r->c->routes_len++;
}

AlertRoute *route_read(ConfigReader *r, const ConfNode *n)
{
    AlertRoute *root = arena_new(&r->c->arena, AlertRoute);
    read_route(r, n, NULL, 0, 0, root);
    return root;
}

/* ---- following ---- */
static bool follow(const AlertRoute *r, Labels alert, RouteFn fn, void *arg)
{
    if (!matchers_match(r->matchers, alert))
        return false;
    bool child = false;
    for (u32 i = 0; i < r->routes_len; i++) {
        bool matched = follow(&r->routes[i], alert, fn, arg);
        child |= matched;
        if (matched && !r->routes[i].continues)
            break;
    }
    if (!child)
        fn(arg, r);
    return true;
}

void alert_route_match(const AlertRoute *root, Labels alert, RouteFn fn, void *arg)
{
    follow(root, alert, fn, arg);
}

void group_key_print(Buf *out, const AlertRoute *r, Labels group)
{
    buf_printf(out, "%.*s:{", STR_FMT(r->key));
    for (u32 i = 0; i < group.len; i++) {
        buf_printf(out, "%s%.*s=", i ? ", " : "", STR_FMT(group.at[i].name));
        go_quote(out, group.at[i].value);
    }
    buf_char(out, '}');
}

Labels alert_group_labels(const AlertRoute *r, Labels alert, Arena *arena)
{
    if (r->group_by_all)
        return alert;
    Label *at = arena_array(arena, Label, r->group_by_len + 1);
    u32 n = 0;
    for (u32 i = 0; at && i < r->group_by_len; i++) {
        Str v = labels_get(alert, r->group_by[i]);
        if (v.len)
            at[n++] = (Label){r->group_by[i], v};
    }
    return (Labels){at, n};
}

/* Which time intervals silence the route now: 0 = none; their names by ret (borrowed from the configuration). */
u32 alert_route_muted_by(const AlertRoute *r, i64 now_s, const TimeIntervals **ret, u32 max)
{
    u32 n = 0;
    bool active = r->active_len == 0;
    for (u32 i = 0; i < r->active_len; i++)
        active |= time_intervals_contain(r->active[i], now_s);
    for (u32 i = 0; !active && i < r->active_len && n < max; i++)
        ret[n++] = r->active[i];
    for (u32 i = 0; active && i < r->mute_len && n < max; i++)
        if (time_intervals_contain(r->mute[i], now_s))
            ret[n++] = r->mute[i];
    return n;
}
