/* Rules that came by the API: Mimir's /prometheus/config/v1/rules. A namespace is a rule file that nobody wrote by hand,
 * <dir>/<namespace>.yml (the name escaped as in an address), replaced as a whole and synced before the answer. */
#include "rules/rules_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_BYTES_MAX = 4 << 20, FILE_BYTES_MAX = 64 << 20, NAMESPACES_MAX = 10000, NAME_BYTES_MAX = 240 };

typedef struct Namespace {
    char *name;
    RuleSet *set;
} Namespace;

struct Ruler {
    RulerEnv env;
    char *dir;
    Mutex lock;         /* one change at a time, reloads too */
    VEC(Namespace) all; /* by name */
    RuleSet *files;     /* what the rule files say */
};

/* ---- names and files ---- */
static int by_name(const void *a, const void *b)
{
    return strcmp(((const Namespace *)a)->name, ((const Namespace *)b)->name);
}

static Namespace *find(Ruler *r, Str name)
{
    for (size_t i = 0; i < r->all.len; i++)
        if (str_eq(str_c(r->all.at[i].name), name))
            return &r->all.at[i];
    return NULL;
}

static Err path_of(const Ruler *r, Str name, Buf *out, Why *why)
{
    Buf escaped;
    buf_init(&escaped, 4096);
    url_escape_path(&escaped, name);
    bool ok = name.len && !buf_over(&escaped) && escaped.len <= NAME_BYTES_MAX;
    buf_printf(out, "%s/%.*s.yml", r->dir, STR_FMT(buf_view(&escaped)));
    buf_done(&escaped);
    return ok ? OK : why_set(why, E_INVALID, "a namespace's name is 1 to %d bytes, escaped", NAME_BYTES_MAX);
}

static bool is_a_file(const Ruler *r, Str name)
{
    u32 n = 0;
    const RuleGroup *g = r->files ? rule_set_groups(r->files, &n) : NULL;
    for (u32 i = 0; i < n; i++)
        if (str_eq(g[i].file, name))
            return true;
    return false;
}

static void print_namespace(Buf *out, const RuleSet *set)
{
    u32 n;
    const RuleGroup *g = rule_set_groups(set, &n);
    buf_c(out, "groups:\n");
    for (u32 i = 0; i < n; i++)
        rule_group_yaml(out, &g[i], true, 4);
}

/* ---- what is in force ---- */
/* The lock is held. A rule file of the same name goes before a namespace: groups are told apart by both names. */
static void apply(Ruler *r, const RulesGlobals *globals)
{
    RuleSet **sets = mem_zalloc((r->all.len + 1) * sizeof *sets);
    u32 n = 0;
    if (r->files)
        sets[n++] = r->files;
    for (size_t i = 0; i < r->all.len; i++)
        if (is_a_file(r, str_c(r->all.at[i].name)))
            LOG_WARN("rules", "A rule file has the name of a namespace; the file's rules are used",
                     LF_C("namespace", r->all.at[i].name));
        else
            sets[n++] = r->all.at[i].set;
    rules_apply_all(r->env.rules, sets, n, globals);
    mem_free(sets);
}

void ruler_apply(Ruler *r, RuleSet *files, const RulesGlobals *globals)
{
    mutex_lock(&r->lock);
    RuleSet *before = r->files;
    r->files = rule_set_ref(files);
    apply(r, globals);
    mutex_unlock(&r->lock);
    rule_set_unref(before);
}

static void drop(Ruler *r, Namespace *x)
{
    mem_free(x->name);
    rule_set_unref(x->set);
    memmove(x, x + 1, (size_t)(r->all.at + r->all.len - (x + 1)) * sizeof *x);
    r->all.len--;
}

/* Takes set; NULL or an empty one removes the namespace. Durable first, then in force. The lock is held. */
static Err put(Ruler *r, Str name, RuleSet *set, Why *why)
{
    Buf path, text;
    u32 n = 0;
    Namespace *x = find(r, name);
    if (set)
        rule_set_groups(set, &n);
    buf_init(&path, 8192);
    buf_init(&text, FILE_BYTES_MAX);
    Err e = path_of(r, name, &path, why);
    if (e == OK && n) {
        print_namespace(&text, set);
        e = buf_over(&text) ? why_set(why, E_TOO_LARGE, "the namespace is over %d MiB", FILE_BYTES_MAX >> 20)
                            : vfs_write_file(r->env.vfs, buf_cstr(&path), buf_view(&text), why);
    } else if (e == OK && x) {
        e = r->env.vfs->unlink(r->env.vfs, buf_cstr(&path), why);
        if (e == OK)
            e = r->env.vfs->sync_dir(r->env.vfs, r->dir, why);
    }
    buf_done(&path);
    buf_done(&text);
    if (e != OK) {
        rule_set_unref(set);
        return e;
    }
    if (!n) {
        rule_set_unref(set);
        if (x)
            drop(r, x);
    } else if (x) {
        rule_set_unref(x->set);
        x->set = set;
    } else {
        vec_push(&r->all, (Namespace){mem_strdup(name), set});
        qsort(r->all.at, r->all.len, sizeof r->all.at[0], by_name);
    }
    RulesGlobals globals = rules_globals(r->env.rules);
    apply(r, &globals);
    return OK;
}

/* ---- opening ---- */
typedef struct Listing {
    VEC(char *) names;
} Listing;

static bool on_file(void *arg, const char *name, bool is_dir)
{
    Listing *l = arg;
    size_t n = strlen(name);
    if (!is_dir && n > 4 && !strcmp(name + n - 4, ".yml") && l->names.len < NAMESPACES_MAX)
        vec_push(&l->names, mem_strdup(str_c(name)));
    return true;
}

static Err load_file(Ruler *r, const char *file, Why *why)
{
    Buf path, text, name;
    buf_init(&path, 8192);
    buf_init(&text, FILE_BYTES_MAX);
    buf_init(&name, 4096);
    buf_printf(&path, "%s/%s", r->dir, file);
    Err e = url_unescape(&name, str_of(file, strlen(file) - 4), false);
    if (e == OK)
        e = vfs_read_file(r->env.vfs, buf_cstr(&path), FILE_BYTES_MAX, &text, why);
    if (e == OK) {
        RuleSet *set = rule_set_parse(buf_cstr(&name), buf_view(&text), &r->env.read);
        e = rule_set_verdict(set, why);
        if (e == OK)
            vec_push(&r->all, (Namespace){mem_strdup(buf_view(&name)), set});
        else
            rule_set_unref(set);
    }
    if (e != OK)
        why_prefix(why, "%s: ", buf_cstr(&path));
    buf_done(&path);
    buf_done(&text);
    buf_done(&name);
    return e;
}

Err ruler_open(Ruler **ret, const RulerEnv *env, Why *why)
{
    Ruler *r = mem_new(Ruler);
    Listing l = {0};
    r->env = *env;
    r->dir = mem_strdup(str_c(env->dir));
    mutex_init(&r->lock, RANK_COLLECT);
    Err e = vfs_mkdirs(env->vfs, r->dir, why);
    if (e == OK)
        e = env->vfs->list(env->vfs, r->dir, on_file, &l, why);
    for (size_t i = 0; i < l.names.len; i++) {
        if (e == OK)
            e = load_file(r, l.names.at[i], why);
        mem_free(l.names.at[i]);
    }
    vec_done(&l.names);
    if (r->all.len > 1)
        qsort(r->all.at, r->all.len, sizeof r->all.at[0], by_name);
    if (e != OK) {
        ruler_close(r);
        return e;
    }
    *ret = r;
    return OK;
}

void ruler_close(Ruler *r)
{
    if (!r)
        return;
    while (r->all.len)
        drop(r, &r->all.at[r->all.len - 1]);
    vec_done(&r->all);
    rule_set_unref(r->files);
    mutex_done(&r->lock);
    mem_free(r->dir);
    mem_free(r);
}

/* ---- changes ---- */
static const RuleGroup *group_of(const RuleSet *set, Str name)
{
    u32 n;
    const RuleGroup *g = rule_set_groups(set, &n);
    for (u32 i = 0; i < n; i++)
        if (str_eq(g[i].name, name))
            return &g[i];
    return NULL;
}

/* The namespace with one group replaced, added at its end, or (group NULL) left out. */
static RuleSet *changed(Ruler *r, Str space, const RuleSet *before, Str name, const RuleGroup *group)
{
    Buf text;
    u32 n = 0;
    bool there = false;
    const RuleGroup *g = before ? rule_set_groups(before, &n) : NULL;
    buf_init(&text, FILE_BYTES_MAX);
    buf_c(&text, "groups:\n");
    for (u32 i = 0; i < n; i++) {
        bool same = str_eq(g[i].name, name);
        there |= same;
        if (!same || group)
            rule_group_yaml(&text, same ? group : &g[i], true, 4);
    }
    if (!there && group)
        rule_group_yaml(&text, group, true, 4);
    char *file = mem_strdup(space);
    RuleSet *set = rule_set_parse(file, buf_view(&text), &r->env.read);
    mem_free(file);
    buf_done(&text);
    return set;
}

static Err check_group(const RuleSet *posted, const RuleGroup **ret, Why *why)
{
    u32 n;
    const RuleGroup *g = rule_set_groups(posted, &n);
    if (n && !g->name.len)
        return why_set(why, E_INVALID, "invalid rules config: rule group name must not be empty");
    TRY(rule_set_verdict(posted, why));
    if (!n)
        return why_set(why, E_INVALID, "unable to decode rule group");
    if (!g->rules_len)
        return why_set(why, E_INVALID, "invalid rules config: rule group '%.*s' has no rules",
                       (int)MIN(g->name.len, 200), g->name.at);
    *ret = g;
    return OK;
}

Err ruler_set_group(Ruler *r, Str space, Str yaml, Why *why)
{
    char *file = mem_strdup(space);
    RuleSet *posted = rule_set_parse_group(file, yaml, &r->env.read);
    const RuleGroup *group;
    mem_free(file);
    Err e = check_group(posted, &group, why);
    mutex_lock(&r->lock);
    Namespace *x = find(r, space);
    if (e == OK && is_a_file(r, space))
        e = why_set(why, E_INVALID, "a rule file has this name: its rules are changed in the file");
    if (e == OK && !x && r->all.len >= NAMESPACES_MAX)
        e = why_set(why, E_LIMIT, "more than %d namespaces", NAMESPACES_MAX);
    if (e == OK) {
        RuleSet *set = changed(r, space, x ? x->set : NULL, group->name, group);
        e = rule_set_verdict(set, why);
        if (e == OK)
            e = put(r, space, set, why);
        else
            rule_set_unref(set);
    }
    mutex_unlock(&r->lock);
    rule_set_unref(posted);
    return e;
}

Err ruler_delete(Ruler *r, Str space, Str group, Why *why)
{
    mutex_lock(&r->lock);
    Namespace *x = find(r, space);
    Err e = OK;
    if (!x)
        e = why_set(why, E_NOT_FOUND, group.len ? "group does not exist" : "group namespace does not exist");
    else if (!group.len)
        e = put(r, space, NULL, why);
    else if (!group_of(x->set, group))
        e = why_set(why, E_NOT_FOUND, "group does not exist");
    else
        e = put(r, space, changed(r, space, x->set, group, NULL), why);
    mutex_unlock(&r->lock);
    return e;
}

Err ruler_yaml(Ruler *r, Str space, Str group, Buf *out, Why *why)
{
    Err e = OK;
    mutex_lock(&r->lock);
    const Namespace *x = space.len ? find(r, space) : NULL;
    if (group.len) {
        const RuleGroup *g = x ? group_of(x->set, group) : NULL;
        if (g)
            rule_group_yaml(out, g, false, 0);
        else
            e = why_set(why, E_NOT_FOUND, "group does not exist");
    } else {
        for (size_t i = 0; i < r->all.len; i++) {
            const Namespace *y = &r->all.at[i];
            if (space.len && y != x)
                continue;
            u32 n;
            const RuleGroup *g = rule_set_groups(y->set, &n);
            rule_yaml_key(out, str_c(y->name));
            for (u32 k = 0; k < n; k++)
                rule_group_yaml(out, &g[k], true, 4);
        }
        if (!out->len)
            e = why_set(why, E_NOT_FOUND, "no rule groups found");
    }
    mutex_unlock(&r->lock);
    return e;
}

/* ---- routes ---- */
#define RULER_PATH "/prometheus/config/v1/rules"

/* The namespace and the group of an address, each unescaped by itself: either may hold a slash. */
static bool read_names(HttpReq *req, Str *space, Str *group)
{
    Str path, query, parts[2] = {{0}};
    str_cut(req->raw_target, '?', &path, &query);
    size_t at = str_find(path, S(RULER_PATH));
    if (at == SIZE_MAX)
        return false;
    path = str_skip(path, at + sizeof RULER_PATH - 1);
    for (int i = 0; path.len; i++) {
        Str part;
        path = str_skip(path, 1);
        size_t end = str_find_char(path, '/');
        part = end == SIZE_MAX ? path : str_sub(path, 0, end);
        path = end == SIZE_MAX ? S("") : str_skip(path, end);
        if (!part.len && !path.len)
            break;
        Buf b;
        buf_init(&b, 64 << 10);
        bool ok = i < 2 && part.len && url_unescape(&b, part, false) == OK && !buf_over(&b) &&
                  str_find_char(buf_view(&b), 0) == SIZE_MAX;
        if (ok)
            parts[i] = arena_dup(req->arena, buf_view(&b));
        buf_done(&b);
        if (!ok)
            return false;
    }
    *space = parts[0];
    *group = parts[1];
    return true;
}

static void reply_error(HttpReq *req, Err e, const Why *why)
{
    char text[2048];
    int status = e == E_NOT_FOUND                                                     ? 404
                 : e == E_INVALID || e == E_PARSE || e == E_LIMIT || e == E_TOO_LARGE ? 400
                 : e == E_NOSPACE                                                     ? 507
                                                                                      : 500;
    http_reply_text(req, status, "%s\n", why->file[0] ? why_print(why, text, sizeof text) : why->text);
}

static void reply_accepted(HttpReq *req)
{
    http_reply(req, 202, "application/json",
               S("{\"status\":\"success\",\"data\":null,\"errorType\":\"\",\"error\":\"\"}"));
}

static void on_request(HttpReq *req, void *arg)
{
    Ruler *r = arg;
    Str space, group;
    Why why = {0};
    Err e;
    if (!read_names(req, &space, &group)) {
        http_reply_text(req, 404, "404 page not found\n");
        return;
    }
    if (str_eq(req->method, S("POST"))) {
        if (!space.len || group.len) {
            http_reply_text(req, 405, "a rule group is posted to its namespace\n");
            return;
        }
        e = ruler_set_group(r, space, req->body, &why);
    } else if (str_eq(req->method, S("DELETE"))) {
        if (!space.len) {
            http_reply_text(req, 405, "a namespace must be provided in the request\n");
            return;
        }
        e = ruler_delete(r, space, group, &why);
    } else {
        Buf b;
        buf_init(&b, 256 << 20);
        e = ruler_yaml(r, space, group, &b, &why);
        if (e == OK)
            http_reply(req, 200, "application/yaml", buf_view(&b));
        buf_done(&b);
        if (e == OK)
            return;
    }
    if (e == OK)
        reply_accepted(req);
    else
        reply_error(req, e, &why);
}

void ruler_routes(HttpServer *s, Ruler *r)
{
    static const struct {
        const char *methods;
        HttpRole role;
        const char *path;
    } routes[] = {
        {"GET", ROLE_READ, RULER_PATH},
        {"GET", ROLE_READ, RULER_PATH "/*"},
        {"POST,DELETE", ROLE_WRITE, RULER_PATH "/*"},
    };
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        http_server_route(s,
                          &(HttpRoute){.methods = routes[i].methods,
                                       .path = routes[i].path,
                                       .handler = on_request,
                                       .arg = r,
                                       .role = routes[i].role,
                                       .run = RUN_ADMIN,
                                       .body_max = BODY_BYTES_MAX},
                          1);
}
