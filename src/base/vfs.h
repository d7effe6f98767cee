/* Files: the only door to the disk, so that tests can fail each call, tear a write, or fill the disk.
 *
 * Production uses vfs_os(). Tests wrap or replace it by filling a Vfs of their own. Paths are NUL-terminated.
 * All calls are blocking; run them on pool threads. A File may be used from several threads for pread; writes to
 * one File come from one thread at a time.
 *
 * Errors: E_NOT_FOUND, E_EXISTS, E_NOSPACE (ENOSPC and EDQUOT), E_IO (with errno's text in why), E_BUSY (locked).
 * Short reads are not errors of pread (it returns what there is); short writes are retried inside, then E_NOSPACE/E_IO.
 */
#pragma once
#include "base/err.h"
#include "base/mem.h"

typedef struct Vfs Vfs;
typedef struct File {
    Vfs *vfs;
} File; /* implementations embed it first */

enum {
    VFS_READ = 1,
    VFS_WRITE = 2,     /* read and write */
    VFS_CREATE = 4,    /* create when missing */
    VFS_EXCLUSIVE = 8, /* with CREATE: E_EXISTS when there */
    VFS_TRUNCATE = 16,
};

typedef struct VfsStat {
    u64 bytes;
    i64 mtime_ns;
    bool is_dir;
} VfsStat;

/* name is valid during the call only; return false to stop. Order unspecified; "." and ".." left out. */
typedef bool (*VfsListFn)(void *arg, const char *name, bool is_dir);

struct Vfs {
    Err (*open)(Vfs *v, const char *path, int flags, File **ret, Why *why);
    void (*close)(File *f); /* releases locks; never fails: sync first if it matters */
    Err (*pread)(File *f, u64 off, void *at, size_t n, size_t *ret_n, Why *why);
    Err (*pwrite)(File *f, u64 off, const void *at, size_t n, Why *why);
    Err (*sync)(File *f,
                Why *why); /* fdatasync. After an error the file's state is unknown: stop, never retry */
    Err (*truncate)(File *f, u64 bytes, Why *why);
    Err (*size)(File *f, u64 *ret, Why *why);
    Err (*lock)(File *f, Why *why); /* exclusive, advisory; E_BUSY when another process holds it */
    Err (*map)(File *f, u64 bytes, const u8 **ret,
               Why *why); /* read-only view of the first bytes of an immutable file */
    void (*unmap)(File *f, const u8 *at, u64 bytes);
    Err (*rename)(Vfs *v, const char *from, const char *to, Why *why); /* replaces `to` */
    Err (*unlink)(Vfs *v, const char *path, Why *why);
    Err (*rmdir)(Vfs *v, const char *path, Why *why);
    Err (*mkdir)(Vfs *v, const char *path, Why *why); /* OK when it is there already */
    Err (*sync_dir)(Vfs *v, const char *path, Why *why);
    Err (*list)(Vfs *v, const char *path, VfsListFn fn, void *arg, Why *why);
    Err (*stat)(Vfs *v, const char *path, VfsStat *ret, Why *why);
    Err (*free_bytes)(Vfs *v, const char *path, u64 *ret_free, u64 *ret_total, Why *why);
    /* E_EXISTS when `to` is there: never replaces. */
    Err (*rename_new)(Vfs *v, const char *from, const char *to, Why *why);
};

Vfs *vfs_os(void);

/* Helpers over any Vfs. */
Err vfs_mkdirs(Vfs *v, const char *path, Why *why); /* durable: each one's parent is synced */
/* appends to out; E_TOO_LARGE past max */
Err vfs_read_file(Vfs *v, const char *path, size_t max, Buf *out, Why *why);
/* Atomic replace: path.tmp, write, sync, rename, sync directory. */
Err vfs_write_file(Vfs *v, const char *path, Str bytes, Why *why);
Err vfs_remove_tree(Vfs *v, const char *path, Why *why);
Err vfs_read_exact(File *f, u64 off, void *at, size_t n, Why *why); /* E_CORRUPT when the file is shorter */
