#include "store/store.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* The identity file, exactly: two lines. docs/formats/datadir.md. */
#define IDENTITY "pharos data directory\nformat 0\n"

struct DataDir {
    Vfs *vfs;
    char *path;
    File *lock;
};

typedef struct Inventory {
    u32 strangers;
    bool is_ours, is_prometheus, is_victoria;
    char example[256];
} Inventory;

static bool is_ulid(const char *name)
{
    return strlen(name) == 26 && strspn(name, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == 26;
}

static bool take_entry(void *arg, const char *name, bool is_dir)
{
    Inventory *n = arg;
    if (!strcmp(name, "PHAROS"))
        n->is_ours = true;
    /* lost+found makes no directory foreign; the other two are what a crash in the middle of creating leaves. */
    if (!strcmp(name, "PHAROS") || !strcmp(name, "PHAROS.tmp") || !strcmp(name, "LOCK") ||
        !strcmp(name, "lost+found"))
        return true;
    n->is_prometheus |= (is_dir && (!strcmp(name, "wal") || !strcmp(name, "chunks_head") || is_ulid(name))) ||
                        !strcmp(name, "queries.active");
    n->is_victoria |= is_dir && !strcmp(name, "indexdb");
    if (!n->strangers++)
        snprintf(n->example, sizeof n->example, "%s", name);
    return true;
}

static Err refuse(const char *path, const Inventory *n, Why *why)
{
    if (n->is_prometheus)
        return why_set(
            why, E_CONFLICT,
            "%s holds Prometheus's data (%s); it was left untouched. Choose another directory with "
            "--storage.path, and bring the old data in with: pharos import --from %s",
            path, n->example, path);
    if (n->is_victoria)
        return why_set(
            why, E_CONFLICT,
            "%s holds VictoriaMetrics's data (%s); it was left untouched. Choose another directory with "
            "--storage.path",
            path, n->example);
    return why_set(
        why, E_CONFLICT,
        "%s is not empty (%s and %u more) and not a Pharos data directory; it was left untouched. Choose an "
        "empty or new directory with --storage.path",
        path, n->example, n->strangers - 1);
}

static Err take_lock(DataDir *d, Why *why)
{
    Vfs *v = d->vfs;
    char path[PATH_MAX], pid[32] = "";
    snprintf(path, sizeof path, "%s/LOCK", d->path);
    TRY(v->open(v, path, VFS_WRITE | VFS_CREATE, &d->lock, why));
    Err e = v->lock(d->lock, why);
    if (e == E_BUSY) {
        size_t n = 0;
        v->pread(d->lock, 0, pid, sizeof pid - 1, &n, NULL);
        pid[n] = 0;
        pid[strspn(pid, "0123456789")] = 0;
        return why_set(
            why, E_BUSY,
            "%s is in use by process %s. Stop that process, or choose another directory with --storage.path",
            d->path, *pid ? pid : "(unknown)");
    }
    TRY(e);
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    TRY(v->truncate(d->lock, 0, why));
    return v->pwrite(d->lock, 0, pid, (size_t)n, why);
}

static Err check_identity(DataDir *d, Why *why)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/PHAROS", d->path);
    Buf b;
    buf_init(&b, 4096);
    Err e = vfs_read_file(d->vfs, path, 2048, &b, why);
    if (e == E_NOT_FOUND) {
        buf_done(&b);
        return vfs_write_file(d->vfs, path, S(IDENTITY), why);
    }
    Str text = buf_view(&b), first, second, number;
    if (e == OK && str_eq(text, S(IDENTITY))) {
        buf_done(&b);
        return OK;
    }
    if (e == OK && str_cut(text, '\n', &first, &text) && str_eq(first, S("pharos data directory")) &&
        str_cut(text, '\n', &second, &text) && str_starts(second, S("format "))) {
        number = str_skip(second, 7);
        e = why_set(why, E_UNSUPPORTED,
                    "%s has data format %.*s; this program knows format 0. Use the program that wrote it, or "
                    "a newer one",
                    d->path, (int)MIN(number.len, (size_t)40), number.at);
    } else if (e == OK) {
        e = why_set(why, E_CORRUPT,
                    "%s: not the identity of a Pharos data directory. Its content should be: %s", path,
                    "«pharos data directory», new line, «format 0», new line");
    }
    buf_done(&b);
    return e;
}

Err datadir_open(DataDir **ret, Vfs *vfs, const char *path, Why *why)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (!len || len > PATH_MAX - 256)
        return why_set(why, E_INVALID, "the data directory's path has %zu bytes: too %s", len,
                       len ? "long" : "short");
    DataDir *d = mem_new(DataDir);
    d->vfs = vfs;
    d->path = mem_strdup(str_of(path, len));
    VfsStat st;
    Inventory n = {0};
    Err e = vfs->stat(vfs, d->path, &st, why);
    if (e == OK && !st.is_dir)
        e = why_set(why, E_CONFLICT, "%s is a file, not a directory", d->path);
    else if (e == OK)
        e = vfs->list(vfs, d->path, take_entry, &n, why);
    if (e == OK && n.strangers && !n.is_ours)
        e = refuse(d->path, &n, why);
    if (e == OK || e == E_NOT_FOUND)
        e = vfs_mkdirs(vfs, d->path, why);
    if (e == OK)
        e = take_lock(d, why);
    if (e == OK)
        e = check_identity(d, why);
    if (e == OK)
        e = vfs->sync_dir(vfs, d->path, why);
    if (e != OK) {
        datadir_close(d);
        return e;
    }
    *ret = d;
    return OK;
}

const char *datadir_path(const DataDir *d)
{
    return d->path;
}

void datadir_close(DataDir *d)
{
    if (!d)
        return;
    if (d->lock)
        d->vfs->close(d->lock);
    mem_free(d->path);
    mem_free(d);
}
