/* file_sd: JSON and YAML target lists, looked at by their times and sizes; a broken file keeps its last good list. */
#include "collect/discovery.h"

typedef VEC(Str) PathVec;

typedef struct Listing {
    Str prefix, suffix, dir;
    PathVec *found;
    Arena *arena;
} Listing;

static bool on_name(void *arg, const char *name, bool is_dir)
{
    Listing *l = arg;
    Str n = str_c(name);
    bool hidden = n.at[0] == '.' && l->prefix.len == 0;
    if (!is_dir && !hidden && n.len >= l->prefix.len + l->suffix.len && str_starts(n, l->prefix) &&
        str_ends(n, l->suffix))
        vec_push(l->found, arena_printf(l->arena, "%.*s%s", STR_FMT(l->dir), name));
    return true;
}

/* One pattern: a path, or a path with one * in its last part. */
static void pattern_expand(Vfs *v, Str pattern, Arena *a, PathVec *found)
{
    size_t star = str_find_char(pattern, '*'), slash = pattern.len;
    if (star == SIZE_MAX) {
        VfsStat st;
        Str path = arena_dup(a, pattern);
        if (v->stat(v, path.at, &st, NULL) == OK && !st.is_dir)
            vec_push(found, path);
        return;
    }
    while (slash > 0 && pattern.at[slash - 1] != '/')
        slash--;
    Listing l = {.prefix = str_sub(pattern, slash, star),
                 .suffix = str_skip(pattern, star + 1),
                 .dir = str_sub(pattern, 0, slash),
                 .found = found,
                 .arena = a};
    size_t before = found->len;
    Str dir = l.dir.len ? arena_dup(a, l.dir) : S(".");
    v->list(v, dir.at, on_name, &l, NULL);
    if (found->len > before)
        qsort(found->at + before, found->len - before, sizeof(Str), str_order);
}

static void add_meta(SdItem *item)
{
    for (u32 i = 0; i < item->groups_len; i++) {
        TargetGroup *g = &item->groups[i];
        LabelsBuilder b;
        lb_init(&b, &item->arena, g->labels);
        lb_set(&b, S("__meta_filepath"), item->key);
        g->labels = lb_build(&b);
        g->source = arena_printf(&item->arena, "%.*s:%u", STR_FMT(item->key), i);
    }
}

static SdItem *file_read(Vfs *v, Str path, Why *why)
{
    Buf text;
    SdItem *item = sd_item_new(path);
    bool is_json = str_ends(path, S(".json")) || str_ends(path, S(".JSON"));
    buf_init(&text, SD_BYTES_MAX);
    Err e = vfs_read_file(v, item->key.at, SD_BYTES_MAX, &text, why);
    if (e == OK)
        e = target_groups_parse(buf_view(&text), is_json, item->key.at, &item->arena, &item->groups,
                                &item->groups_len, why);
    buf_done(&text);
    if (e != OK) {
        sd_item_free(item);
        return NULL;
    }
    add_meta(item);
    return item;
}

static void publish_mtime(Str path, i64 mtime_ns)
{
    Buf labels;
    buf_init(&labels, 8192);
    buf_c(&labels, "filename=");
    go_quote(&labels, path);
    metric_set(metric_gauge("prometheus_sd_file_mtime_seconds",
                            "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.",
                            buf_cstr(&labels)),
               (f64)mtime_ns / 1e9);
    buf_done(&labels);
}

void file_sd_work(SdJob *job)
{
    const FileSd *config = job->config;
    Vfs *v = job->env.vfs;
    PathVec paths = {0};
    Arena a;
    arena_init(&a, NULL, 16u << 20);
    for (u32 i = 0; i < config->patterns_len; i++)
        pattern_expand(v, config->patterns[i], &a, &paths);
    for (size_t i = 0; i < paths.len; i++) {
        Str path = paths.at[i];
        VfsStat st = {0};
        Why why;
        if (sd_item_find(&job->after, path) || v->stat(v, path.at, &st, NULL) != OK)
            continue;
        SdItem *old = sd_item_find(&job->before, path);
        if (old && old->mtime_ns == st.mtime_ns && old->bytes == st.bytes) {
            vec_push(&job->after, old);
            continue;
        }
        SdItem *item = file_read(v, path, &why);
        if (!item) {
            metric_inc(metric_counter("prometheus_sd_file_read_errors_total",
                                      "The number of File-SD read errors.", ""));
            char text[sizeof(Why) + 64];
            LOG_WARN("discovery", "Cannot read a target list, the last good one stays", LF_STR("file", path),
                     LF_C("err", why_print(&why, text, sizeof text)));
            if (!old)
                old =
                    sd_item_new(path); /* remembered, so that it is not read (and logged) until it changes */
            item = old;
        }
        publish_mtime(path, st.mtime_ns);
        item->mtime_ns = st.mtime_ns;
        item->bytes = st.bytes;
        vec_push(&job->after, item);
    }
    vec_done(&paths);
    arena_done(&a);
}
