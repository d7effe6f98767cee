#include "base/vfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

typedef struct OsFile {
    File file;
    int fd;
    char path[];
} OsFile;

static Err fail(Why *why, const char *what, const char *path)
{
    int no = errno;
    Err e = no == ENOENT                                 ? E_NOT_FOUND
            : no == EEXIST                               ? E_EXISTS
            : no == ENOSPC || no == EDQUOT               ? E_NOSPACE
            : no == EACCES || no == EPERM || no == EROFS ? E_FORBIDDEN
            : no == EWOULDBLOCK                          ? E_BUSY
                                                         : E_IO;
    return why_set(why, e, "%s %s: %s", what, path, strerrordesc_np(no));
}

static OsFile *os_file(File *f)
{
    return (OsFile *)f;
}

static Err os_open(Vfs *v, const char *path, int flags, File **ret, Why *why)
{
    int oflags = O_CLOEXEC | (flags & VFS_WRITE ? O_RDWR : O_RDONLY) | (flags & VFS_CREATE ? O_CREAT : 0) |
                 (flags & VFS_EXCLUSIVE ? O_EXCL : 0) | (flags & VFS_TRUNCATE ? O_TRUNC : 0);
    int fd;
    do
        fd = open(path, oflags, 0640);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail(why, "open", path);
    OsFile *f = mem_alloc(sizeof *f + strlen(path) + 1);
    f->file.vfs = v;
    f->fd = fd;
    memcpy(f->path, path, strlen(path) + 1);
    *ret = &f->file;
    return OK;
}

static void os_close(File *f)
{
    close(os_file(f)->fd);
    mem_free(f);
}

static Err os_pread(File *f, u64 off, void *at, size_t n, size_t *ret_n, Why *why)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = pread(os_file(f)->fd, (char *)at + got, n - got, (off_t)(off + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fail(why, "read", os_file(f)->path);
        if (r == 0)
            break;
        got += (size_t)r;
    }
    *ret_n = got;
    return OK;
}

static Err os_pwrite(File *f, u64 off, const void *at, size_t n, Why *why)
{
    while (n) {
        ssize_t r = pwrite(os_file(f)->fd, at, n, (off_t)off);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fail(why, "write", os_file(f)->path);
        at = (const char *)at + r;
        off += (u64)r;
        n -= (size_t)r;
    }
    return OK;
}

static Err os_sync(File *f, Why *why)
{
    return fdatasync(os_file(f)->fd) ? fail(why, "fdatasync", os_file(f)->path) : OK;
}

static Err os_truncate(File *f, u64 bytes, Why *why)
{
    return ftruncate(os_file(f)->fd, (off_t)bytes) ? fail(why, "truncate", os_file(f)->path) : OK;
}

static Err os_size(File *f, u64 *ret, Why *why)
{
    struct stat st;
    if (fstat(os_file(f)->fd, &st))
        return fail(why, "stat", os_file(f)->path);
    *ret = (u64)st.st_size;
    return OK;
}

static Err os_lock(File *f, Why *why)
{
    return flock(os_file(f)->fd, LOCK_EX | LOCK_NB) ? fail(why, "lock", os_file(f)->path) : OK;
}

static Err os_map(File *f, u64 bytes, const u8 **ret, Why *why)
{
    if (!bytes)
        return *ret = (const u8 *)"", OK;
    void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, os_file(f)->fd, 0);
    if (p == MAP_FAILED)
        return fail(why, "map", os_file(f)->path);
    *ret = p;
    return OK;
}

static void os_unmap(File *f, const u8 *at, u64 bytes)
{
    (void)f;
    if (bytes)
        munmap((void *)at, bytes);
}

static Err os_rename(Vfs *v, const char *from, const char *to, Why *why)
{
    (void)v;
    return rename(from, to) ? fail(why, "rename to", to) : OK;
}

static Err os_rename_new(Vfs *v, const char *from, const char *to, Why *why)
{
    (void)v;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return OK;
    if (errno != EINVAL && errno != ENOSYS)
        return fail(why, "rename to", to);
    /* A file system without it (NFS): a second name, then the first one goes. */
    if (link(from, to))
        return fail(why, "link to", to);
    return unlink(from) ? fail(why, "remove", from) : OK;
}

static Err os_unlink(Vfs *v, const char *path, Why *why)
{
    (void)v;
    return unlink(path) ? fail(why, "remove", path) : OK;
}

static Err os_rmdir(Vfs *v, const char *path, Why *why)
{
    (void)v;
    return rmdir(path) ? fail(why, "remove directory", path) : OK;
}

static Err os_mkdir(Vfs *v, const char *path, Why *why)
{
    (void)v;
    return mkdir(path, 0750) && errno != EEXIST ? fail(why, "create directory", path) : OK;
}

static Err os_sync_dir(Vfs *v, const char *path, Why *why)
{
    (void)v;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(why, "open directory", path);
    Err e = fsync(fd) ? fail(why, "sync directory", path) : OK;
    close(fd);
    return e;
}

static Err os_list(Vfs *v, const char *path, VfsListFn fn, void *arg, Why *why)
{
    (void)v;
    DIR *d = opendir(path);
    if (!d)
        return fail(why, "list", path);
    Err e = OK;
    int dir_fd = dirfd(d);
    for (;;) {
        errno = 0;
        struct dirent *ent = readdir(d);
        if (!ent) {
            if (errno)
                e = fail(why, "list", path);
            break;
        }
        if (!strcmp(ent->d_name, ".") || !strcmp(ent->d_name, ".."))
            continue;
        bool is_dir = ent->d_type == DT_DIR;
        if (ent->d_type == DT_UNKNOWN || ent->d_type == DT_LNK) {
            struct stat st;
            is_dir = dir_fd >= 0 && fstatat(dir_fd, ent->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
        }
        if (!fn(arg, ent->d_name, is_dir))
            break;
    }
    closedir(d);
    return e;
}

static Err os_stat(Vfs *v, const char *path, VfsStat *ret, Why *why)
{
    (void)v;
    struct stat st;
    if (stat(path, &st))
        return fail(why, "stat", path);
    *ret = (VfsStat){.bytes = (u64)st.st_size,
                     .mtime_ns = (i64)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                     .is_dir = S_ISDIR(st.st_mode)};
    return OK;
}

static Err os_free_bytes(Vfs *v, const char *path, u64 *ret_free, u64 *ret_total, Why *why)
{
    (void)v;
    struct statvfs s;
    if (statvfs(path, &s))
        return fail(why, "statvfs", path);
    *ret_free = (u64)s.f_bavail * s.f_frsize;
    *ret_total = (u64)s.f_blocks * s.f_frsize;
    return OK;
}

Vfs *vfs_os(void)
{
    static Vfs os = {os_open,     os_close, os_pread, os_pwrite,     os_sync,      os_truncate, os_size,
                     os_lock,     os_map,   os_unmap, os_rename,     os_unlink,    os_rmdir,    os_mkdir,
                     os_sync_dir, os_list,  os_stat,  os_free_bytes, os_rename_new};
    return &os;
}

/* ---- helpers over any Vfs ---- */

static void dir_of(const char *path, char dir[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? MIN((size_t)(slash - path), (size_t)PATH_MAX - 1) : 1;
    memcpy(dir, slash ? path : ".", n);
    dir[n] = 0;
    if (slash == path)
        memcpy(dir, "/", 2);
}

/* Directories of the real file system that this process has synced: what was in them then is durable, and every store asks for the same
 * ones again while the server starts. */
enum { SYNCED_MAX = 64 };
static pthread_mutex_t synced_lock = PTHREAD_MUTEX_INITIALIZER;
static u64 synced[SYNCED_MAX];
static u32 synced_len;

static bool was_synced(const char *dir)
{
    u64 hash = hash_bytes(dir, strlen(dir), 0);
    bool yes = false;
    pthread_mutex_lock(&synced_lock);
    for (u32 i = 0; i < synced_len; i++)
        yes |= synced[i] == hash;
    pthread_mutex_unlock(&synced_lock);
    return yes;
}

static void note_synced(const char *dir, bool ok)
{
    pthread_mutex_lock(&synced_lock);
    if (!ok)
        synced_len = 0;
    else if (synced_len < SYNCED_MAX)
        synced[synced_len++] = hash_bytes(dir, strlen(dir), 0);
    pthread_mutex_unlock(&synced_lock);
}

Err vfs_mkdirs(Vfs *v, const char *path, Why *why)
{
    char part[PATH_MAX], parent[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part)
        return why_set(why, E_INVALID, "path too long: %.100s...", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (i < n && part[i] != '/')
            continue;
        part[i] = 0;
        VfsStat st;
        bool is_new = v->stat(v, part, &st, NULL) != OK;
        if (is_new)
            TRY(v->mkdir(v, part, why));
        /* One that was there may come from a process that died before this: but it may also be none of our business. */
        dir_of(part, parent);
        part[i] = path[i];
        if (!is_new && v == vfs_os() && was_synced(parent))
            continue;
        Err e = v->sync_dir(v, parent, why);
        if (v == vfs_os() && e != E_FORBIDDEN)
            note_synced(parent, e == OK);
        if (e != OK && (is_new || e != E_FORBIDDEN))
            return e;
    }
    return OK;
}

Err vfs_read_file(Vfs *v, const char *path, size_t max, Buf *out, Why *why)
{
    File *f;
    TRY(v->open(v, path, VFS_READ, &f, why));
    char chunk[16 << 10];
    size_t n, total = 0;
    Err e;
    while ((e = v->pread(f, total, chunk, sizeof chunk, &n, why)) == OK && n) {
        buf_put(out, chunk, n);
        total += n;
        if (total > max || buf_over(out)) {
            e = why_set(why, E_TOO_LARGE, "%s is larger than the limit of %zu bytes", path, max);
            break;
        }
    }
    v->close(f);
    return e;
}

Err vfs_write_file(Vfs *v, const char *path, Str bytes, Why *why)
{
    char tmp[PATH_MAX], dir[PATH_MAX];
    if (snprintf(tmp, sizeof tmp, "%s.tmp", path) >= (int)sizeof tmp)
        return why_set(why, E_INVALID, "path too long: %.100s...", path);
    dir_of(path, dir);
    File *f;
    TRY(v->open(v, tmp, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, why));
    Err e = v->pwrite(f, 0, bytes.at, bytes.len, why);
    if (e == OK)
        e = v->sync(f, why);
    v->close(f);
    if (e == OK)
        e = v->rename(v, tmp, path, why);
    if (e != OK) {
        v->unlink(v, tmp, NULL);
        return e;
    }
    return v->sync_dir(v, dir, why);
}

typedef struct RemoveTree {
    Vfs *v;
    const char *path;
    Err e;
    Why *why;
    u32 depth;
} RemoveTree;

static Err remove_tree(Vfs *v, const char *path, u32 depth, Why *why);

static bool remove_entry(void *arg, const char *name, bool is_dir)
{
    RemoveTree *r = arg;
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", r->path, name) >= (int)sizeof path)
        return r->e = why_set(r->why, E_INVALID, "path too long: %.100s...", path), false;
    r->e = is_dir ? remove_tree(r->v, path, r->depth + 1, r->why) : r->v->unlink(r->v, path, r->why);
    return r->e == OK;
}

static Err remove_tree(Vfs *v, const char *path, u32 depth, Why *why)
{
    if (depth > 32)
        return why_set(why, E_INVALID, "%s: directories nested deeper than 32", path);
    RemoveTree r = {v, path, OK, why, depth};
    TRY(v->list(v, path, remove_entry, &r, why));
    return r.e != OK ? r.e : v->rmdir(v, path, why);
}

Err vfs_remove_tree(Vfs *v, const char *path, Why *why)
{
    return remove_tree(v, path, 0, why);
}

Err vfs_read_exact(File *f, u64 off, void *at, size_t n, Why *why)
{
    size_t got;
    TRY(f->vfs->pread(f, off, at, n, &got, why));
    return got == n ? OK
                    : why_set(why, E_CORRUPT, "file ends at byte %llu, %zu bytes short",
                              (unsigned long long)(off + got), n - got);
}
