/* Grafana's provisioning files: where dashboards lie, and what data sources are called. See store.h. */
#include "config/config.h"
#include "dash/store.h"

enum { CONF_FILE_MAX = 1 << 20, CONF_FILES_MAX = 100, SOURCES_TEXT_MAX = 256 << 10 };

typedef struct Names {
    Arena *arena;
    Str dir;
    VEC(char *) files;
} Names;

static bool found(void *arg, const char *name, bool is_dir)
{
    Names *n = arg;
    Str s = str_c(name);
    if (!is_dir && name[0] != '.' && (str_ends(s, S(".yml")) || str_ends(s, S(".yaml"))) &&
        n->files.len < CONF_FILES_MAX)
        vec_push(&n->files, mem_strdup(arena_printf(n->arena, "%.*s/%s", STR_FMT(n->dir), name)));
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_dir(Vfs *vfs, Str path, Arena *arena)
{
    Names none = {.arena = arena};
    none.files.len = CONF_FILES_MAX; /* takes none */
    return vfs->list(vfs, arena_printf(arena, "%.*s", STR_FMT(path)).at, found, &none, NULL) == OK;
}

/* A provider's path. One of a container ("/var/lib/grafana/dashboards") stands for the folder beside the files that is mounted there. */
static Str path_here(Vfs *vfs, const char *root, Str path, Arena *arena)
{
    static const char *const mounts[] = {"/etc/grafana/", "/var/lib/grafana/"};
    if (path.len && path.at[0] != '/')
        return arena_printf(arena, "%s/%.*s", root, STR_FMT(path));
    if (is_dir(vfs, path, arena))
        return path;
    for (size_t i = 0; i < COUNT_OF(mounts); i++)
        if (str_starts(path, str_c(mounts[i]))) {
            Str here = arena_printf(arena, "%s/%.*s", root, STR_FMT(str_skip(path, strlen(mounts[i]))));
            if (is_dir(vfs, here, arena))
                return here;
        }
    return path;
}

static void read_provider(Conf *c, const ConfNode *n, Vfs *vfs, const char *root, Arena *arena,
                          DashProviders *out)
{
    static const char *const ignored[] = {
        "orgId", "org_id", "type", "editable", "disableDeletion", "updateIntervalSeconds", "allowUiUpdates"};
    ConfMap m, o;
    DashProvider p = {0};
    if (!conf_map_begin(c, n, &m))
        return;
    Str type = conf_str(&m, "type", S("file"));
    p.name = arena_dup(arena, conf_str(&m, "name", S("default")));
    p.folder = arena_dup(arena, conf_str(&m, "folder", S("")));
    p.folder_uid = arena_dup(arena, conf_str(&m, "folderUid", S("")));
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        conf_ignore(&m, ignored[i]);
    const ConfNode *options = conf_get(&m, "options");
    if (!str_eq(type, S("file")))
        conf_error(c, n, "type \"%.*s\" is not known: providers read files (type: file)", STR_FMT(type));
    if (!options)
        conf_error(c, n, "options.path is missing: the folder of the *.json files");
    else if (conf_map_begin(c, options, &o)) {
        Str path = conf_need_str(&o, "path");
        p.from_structure = conf_bool(&o, "foldersFromFilesStructure", false);
        conf_map_end(&o);
        if (path.len) {
            p.path = arena_dup(arena, path_here(vfs, root, path, arena));
            if (!is_dir(vfs, p.path, arena))
                conf_error(c, options, "path: there is no folder \"%.*s\"", STR_FMT(path));
            else if (out->len < COUNT_OF(out->at))
                out->at[out->len++] = p;
        }
    }
    if (p.from_structure && p.folder.len)
        conf_warn(c, n, "folder is not used where foldersFromFilesStructure is set");
    conf_map_end(&m);
}

static void put_source(Conf *c, const ConfNode *n, Json *j, u32 id)
{
    static const char *const ignored[] = {"orgId",           "org_id",     "access",   "user",
                                          "database",        "basicAuth",  "password", "basicAuthUser",
                                          "withCredentials", "isDefault",  "jsonData", "secureJsonData",
                                          "editable",        "version",    "readOnly", "correlations",
                                          "typeLogoUrl",     "apiVersion", "url",      "basicAuthPassword"};
    ConfMap m;
    if (!conf_map_begin(c, n, &m))
        return;
    Str name = conf_need_str(&m, "name"), type = conf_need_str(&m, "type"), uid = conf_str(&m, "uid", S(""));
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        conf_ignore(&m, ignored[i]);
    conf_map_end(&m);
    if (!name.len || !type.len)
        return;
    js_object(j);
    js_key(j, S("id")), js_i64(j, id);
    js_kv(j, "uid", uid.len ? uid : name);
    js_key(j, S("orgId")), js_i64(j, 1);
    js_kv(j, "name", name);
    js_kv(j, "type", type);
    js_kv(j, "access", S("proxy"));
    js_kv(j, "url", S("/"));
    js_key(j, S("isDefault")), js_bool(j, false);
    js_key(j, S("readOnly")), js_bool(j, true);
    js_object_end(j);
}

/* Calls fn with each file's parsed map of "apiVersion: 1". Errors are logged with file, line and field. */
static void each_file(Vfs *vfs, Str dir, Arena *arena, const char *list_key,
                      void (*fn)(void *arg, Conf *c, const ConfNode *items, u32 len), void *arg)
{
    Names names = {.arena = arena, .dir = dir};
    Buf text, issues;
    buf_init(&text, CONF_FILE_MAX);
    buf_init(&issues, 64 << 10);
    (void)vfs->list(vfs, arena_printf(arena, "%.*s", STR_FMT(dir)).at, found, &names, NULL);
    if (names.files.len)
        qsort(names.files.at, names.files.len, sizeof *names.files.at, by_name);
    for (size_t i = 0; i < names.files.len; i++) {
        Why why = {0};
        ConfMap m;
        buf_clear(&text);
        buf_clear(&issues);
        Conf *c = conf_new(names.files.at[i]);
        if (vfs_read_file(vfs, names.files.at[i], CONF_FILE_MAX, &text, &why) != OK)
            buf_c(&issues, why.text);
        else if (conf_parse(c, buf_view(&text)) && conf_map_begin(c, conf_root(c), &m)) {
            const ConfNode *items = NULL;
            (void)conf_i64(&m, "apiVersion", 1, 0, 1);
            conf_ignore(&m, "deleteDatasources");
            conf_ignore(&m, "prune");
            u32 n = conf_list(&m, list_key, &items);
            fn(arg, c, items, n);
            conf_map_end(&m);
        }
        conf_print_issues(c, &issues);
        if (buf_view(&issues).len)
            LOG_WARN("dash", "A provisioning file is not all understood", LF_C("file", names.files.at[i]),
                     LF_STR("err", str_trim(buf_view(&issues))));
        conf_free(c);
        mem_free(names.files.at[i]);
    }
    vec_done(&names.files);
    buf_done(&text);
    buf_done(&issues);
}

typedef struct Reading {
    Vfs *vfs;
    const char *root;
    Arena *arena;
    DashProviders *out;
    Json *j;
    u32 id;
} Reading;

static void providers(void *arg, Conf *c, const ConfNode *items, u32 len)
{
    Reading *r = arg;
    for (u32 i = 0; i < len; i++)
        read_provider(c, &items[i], r->vfs, r->root, r->arena, r->out);
}

static void sources(void *arg, Conf *c, const ConfNode *items, u32 len)
{
    Reading *r = arg;
    for (u32 i = 0; i < len; i++)
        put_source(c, &items[i], r->j, ++r->id);
}

void dash_read_provisioning(Vfs *vfs, const char *root, Arena *arena, DashProviders *ret, Buf *ret_sources)
{
    Json j;
    Reading r = {vfs, root, arena, ret, &j, 1};
    *ret = (DashProviders){0};
    js_init(&j, ret_sources);
    js_array(&j);
    static const char *const places[] = {"provisioning/", ""};
    for (size_t i = 0; i < COUNT_OF(places) && root[0]; i++) {
        each_file(vfs, arena_printf(arena, "%s/%sdashboards", root, places[i]), arena, "providers", providers,
                  &r);
        each_file(vfs, arena_printf(arena, "%s/%sdatasources", root, places[i]), arena, "datasources",
                  sources, &r);
    }
    js_array_end(&j);
}
