/* Dashboards from files: every *.json under the folder of --dashboards.path, in folders named as the directories are, and the ones
 * built in. A file is stored under the uid it names, or one made of its path. */
#include "dash/assets.h"
#include "dash/store.h"

enum { FILES_MAX = 5000, DEPTH_MAX = 8 };

typedef struct Walk {
    DashStore *s;
    Arena arena;
    VEC(char *) files;
    VEC(char *) dirs;
    Str dir;
    Str root;                     /* what files' folders are counted from */
    const DashProvider *provider; /* NULL: every file of the folder, by its directories */
} Walk;

static bool found(void *arg, const char *name, bool is_dir)
{
    Walk *w = arg;
    if (name[0] == '.' || (!is_dir && !str_ends(str_c(name), S(".json"))))
        return true;
    if (w->files.len + w->dirs.len >= FILES_MAX)
        return false;
    char *path = mem_strdup(arena_printf(&w->arena, "%.*s/%s", STR_FMT(w->dir), name));
    if (is_dir)
        vec_push(&w->dirs, path);
    else
        vec_push(&w->files, path);
    return true;
}

static void store_file(Walk *w, const char *path, Buf *text, StrMap *seen)
{
    Why why = {0};
    DashRow row, out;
    Str rel = str_skip(str_c(path), w->root.len + 1),
        folder = w->provider && !w->provider->from_structure ? w->provider->folder : S("");
    for (size_t i = rel.len; i-- > 0 && !folder.len && (!w->provider || w->provider->from_structure);)
        if (rel.at[i] == '/')
            folder = str_sub(rel, 0, i);
    buf_clear(text);
    Err e = vfs_read_file(w->s->vfs, path, DASHBOARD_BYTES_MAX, text, &why);
    if (e == OK)
        e = dash_describe(buf_view(text), &w->arena, &row, &why);
    if (e == OK) {
        Str uid = row.uid.len && !strmap_find(seen, row.uid)
                      ? row.uid
                      : arena_printf(&w->arena, "f%016llx", (unsigned long long)hash_str(rel));
        e = dash_store_put(
            w->s,
            &(DashPut){
                .text = buf_view(text), .folder = folder, .source = S("file"), .uid = uid, .overwrite = true},
            &w->arena, &out, &why);
        if (e == OK)
            strmap_put(seen, uid, w);
    }
    if (e != OK)
        LOG_WARN("dash", "A dashboard file was passed over", LF_C("file", path), LF_WHY(&why));
}

typedef struct Gone {
    Arena *arena;
    StrMap *seen;
    VEC(Str) uids;
} Gone;

static void note_gone(void *arg, const DashRow *row)
{
    Gone *g = arg;
    if (row->source.len && !strmap_find(g->seen, row->uid))
        vec_push(&g->uids, arena_dup(g->arena, row->uid));
}

static void store_built_in(Walk *w, StrMap *seen)
{
    for (unsigned i = 0; i < ui_dashboards_len; i++) {
        Why why = {0};
        DashRow out;
        Str uid = str_c(ui_dashboards[i].uid);
        Err e = dash_store_put(
            w->s,
            &(DashPut){.text = str_of((const char *)ui_dashboards[i].text, ui_dashboards[i].bytes),
                       .folder = S("Built in"),
                       .source = S("builtin"),
                       .uid = uid,
                       .overwrite = true},
            &w->arena, &out, &why);
        if (e == OK)
            strmap_put(seen, uid, w);
        else /* somebody's own dashboard has the name */
            LOG_WARN("dash", "A built-in dashboard was passed over", LF_STR("uid", uid), LF_WHY(&why));
    }
}

/* Stores every file under a folder. */
static Err store_tree(Walk *w, Str root, const DashProvider *provider, Buf *text, StrMap *seen, Why *why)
{
    Err e = OK;
    w->root = root;
    w->provider = provider;
    vec_push(&w->dirs, mem_strdup(root));
    for (size_t i = 0; i < w->dirs.len && e == OK; i++) {
        w->dir = str_c(w->dirs.at[i]);
        Err listed = w->s->vfs->list(w->s->vfs, w->dirs.at[i], found, w, why);
        if (listed != OK && i == 0)
            e = listed;
    }
    for (size_t i = 0; i < w->files.len && e == OK; i++)
        store_file(w, w->files.at[i], text, seen);
    for (size_t i = 0; i < w->files.len; i++)
        mem_free(w->files.at[i]);
    for (size_t i = 0; i < w->dirs.len; i++)
        mem_free(w->dirs.at[i]);
    w->files.len = w->dirs.len = 0;
    return e;
}

/* By the providers that the folder's provisioning files name; where there are none, the folder itself. */
static Err store_files(Walk *w, Buf *text, StrMap *seen, Why *why)
{
    DashProviders providers;
    DashStore *s = w->s;
    Buf sources;
    buf_init(&sources, 256 << 10);
    dash_read_provisioning(s->vfs, s->path, &w->arena, &providers, &sources);
    char *made = mem_strdup(buf_over(&sources) ? S("[]") : buf_view(&sources)), *old;
    mutex_lock(&s->lock);
    old = s->sources;
    s->sources = made;
    mutex_unlock(&s->lock);
    mem_free(old);
    buf_done(&sources);
    Err e = OK;
    for (u32 i = 0; i < providers.len && e == OK; i++) {
        const DashProvider *p = &providers.at[i];
        DashFolder f;
        Why told = {0};
        if (p->folder.len && p->folder_uid.len && !p->from_structure &&
            dash_folder_put(s, p->folder_uid, p->folder, S("file"), &w->arena, &f, &told) != OK)
            LOG_WARN("dash", "A folder's uid is taken", LF_STR("folder", p->folder), LF_WHY(&told));
        e = store_tree(w, p->path, p, text, seen, why);
    }
    return providers.len ? e : store_tree(w, str_c(s->path), NULL, text, seen, why);
}

Err dash_provision(DashStore *s, Why *why)
{
    Walk w = {.s = s};
    StrMap seen = {0};
    Buf text;
    arena_init(&w.arena, NULL, 256 << 20);
    buf_init(&text, DASHBOARD_BYTES_MAX);
    store_built_in(&w, &seen);
    Err e = s->path[0] ? store_files(&w, &text, &seen, why) : OK;
    Gone gone = {&w.arena, &seen, {0}};
    if (e == OK)
        e = dash_store_list(s, note_gone, &gone, why);
    for (size_t i = 0; i < gone.uids.len && e == OK; i++)
        e = dash_store_delete(s, gone.uids.at[i], why);
    vec_done(&gone.uids);
    vec_done(&w.files);
    vec_done(&w.dirs);
    strmap_done(&seen);
    buf_done(&text);
    arena_done(&w.arena);
    return e;
}

Err dash_reload(DashStore *s, Why *why)
{
    return dash_provision(s, why);
}
