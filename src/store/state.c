/* The state database: SQLite over a Vfs. See store.h.
 *
 * SQLite gets a VFS of its own that forwards to ours, so that tests can fail each call. It runs in write-ahead mode with exclusive
 * locking: the data directory is locked already, so file locks are no-ops and the index of the log lives on the heap.
 */
#include "store/store.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct StateFile {
    sqlite3_file base;
    File *file;
    char *unlink_path; /* of a file that goes when it is closed */
    Vfs *vfs;
} StateFile;

struct StateDb {
    sqlite3 *db;
    sqlite3_vfs vfs;
    char vfs_name[40];
};

static int rc_of(Err e, int otherwise)
{
    return e == OK ? SQLITE_OK : e == E_NOSPACE ? SQLITE_FULL : otherwise;
}

static int f_close(sqlite3_file *f)
{
    StateFile *s = (StateFile *)f;
    if (s->file)
        s->vfs->close(s->file);
    if (s->unlink_path)
        (void)s->vfs->unlink(s->vfs, s->unlink_path, NULL);
    mem_free(s->unlink_path);
    return SQLITE_OK;
}

static int f_read(sqlite3_file *f, void *at, int n, sqlite3_int64 off)
{
    StateFile *s = (StateFile *)f;
    size_t got = 0;
    Err e = s->vfs->pread(s->file, (u64)off, at, (size_t)n, &got, NULL);
    if (e != OK)
        return SQLITE_IOERR_READ;
    if (got == (size_t)n)
        return SQLITE_OK;
    memset((char *)at + got, 0, (size_t)n - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int f_write(sqlite3_file *f, const void *at, int n, sqlite3_int64 off)
{
    StateFile *s = (StateFile *)f;
    return rc_of(s->vfs->pwrite(s->file, (u64)off, at, (size_t)n, NULL), SQLITE_IOERR_WRITE);
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 bytes)
{
    StateFile *s = (StateFile *)f;
    return rc_of(s->vfs->truncate(s->file, (u64)bytes, NULL), SQLITE_IOERR_TRUNCATE);
}

static int f_sync(sqlite3_file *f, int flags)
{
    StateFile *s = (StateFile *)f;
    (void)flags;
    return rc_of(s->vfs->sync(s->file, NULL), SQLITE_IOERR_FSYNC);
}

static int f_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    StateFile *s = (StateFile *)f;
    u64 bytes = 0;
    Err e = s->vfs->size(s->file, &bytes, NULL);
    *ret = (sqlite3_int64)bytes;
    return rc_of(e, SQLITE_IOERR_FSTAT);
}

static int f_lock(sqlite3_file *f, int level)
{
    (void)f, (void)level; /* the data directory's lock stands for it */
    return SQLITE_OK;
}

static int f_is_reserved(sqlite3_file *f, int *ret)
{
    (void)f;
    *ret = 0;
    return SQLITE_OK;
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
    (void)f, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int f_sector(sqlite3_file *f)
{
    (void)f;
    return 4096;
}

static int f_device(sqlite3_file *f)
{
    (void)f;
    return 0;
}

static const sqlite3_io_methods io_methods = {
    .iVersion = 1,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_lock,
    .xCheckReservedLock = f_is_reserved,
    .xFileControl = f_control,
    .xSectorSize = f_sector,
    .xDeviceCharacteristics = f_device,
};

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    StateFile *s = (StateFile *)f;
    *s = (StateFile){.vfs = v->pAppData};
    if (!name)
        return SQLITE_CANTOPEN; /* temporary files: temp_store is memory */
    int mode = (flags & SQLITE_OPEN_READWRITE ? VFS_READ | VFS_WRITE : VFS_READ) |
               (flags & SQLITE_OPEN_CREATE ? VFS_CREATE : 0);
    if (s->vfs->open(s->vfs, name, mode, &s->file, NULL) != OK)
        return SQLITE_CANTOPEN;
    if (flags & SQLITE_OPEN_DELETEONCLOSE)
        s->unlink_path = mem_strdup(str_c(name));
    if (ret_flags)
        *ret_flags = flags;
    s->base.pMethods = &io_methods;
    return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
    Vfs *vfs = v->pAppData;
    Err e = vfs->unlink(vfs, name, NULL);
    const char *slash = strrchr(name, '/');
    if (e == OK && sync_dir && slash) {
        char *dir = mem_strdup(str_of(name, (size_t)(slash - name)));
        e = vfs->sync_dir(vfs, dir, NULL);
        mem_free(dir);
    }
    return e == OK || e == E_NOT_FOUND ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int v_access(sqlite3_vfs *v, const char *name, int flags, int *ret)
{
    Vfs *vfs = v->pAppData;
    VfsStat st;
    (void)flags;
    *ret = vfs->stat(vfs, name, &st, NULL) == OK && (st.bytes > 0 || flags != SQLITE_ACCESS_EXISTS);
    return SQLITE_OK;
}

static int v_full(sqlite3_vfs *v, const char *name, int n, char *ret)
{
    (void)v;
    return snprintf(ret, (size_t)n, "%s", name) < n ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int v_random(sqlite3_vfs *v, int n, char *ret)
{
    (void)v;
    random_bytes(ret, (size_t)n);
    return n;
}

static int v_sleep(sqlite3_vfs *v, int us)
{
    (void)v;
    usleep((useconds_t)us);
    return us;
}

static int v_time(sqlite3_vfs *v, double *ret)
{
    (void)v;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = 2440587.5 + (double)now.tv_sec / 86400.0;
    return SQLITE_OK;
}

Err statedb_failed(StateDb *s, Why *why, const char *what)
{
    int rc = sqlite3_errcode(s->db) & 0xff;
    Err e = rc == SQLITE_FULL ? E_NOSPACE : rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? E_CORRUPT : E_IO;
    return why_set(why, e, "the state database: %s: %s", what, sqlite3_errmsg(s->db));
}

Err statedb_exec(StateDb *s, const char *sql, Why *why)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : statedb_failed(s, why, "statement");
}

Err statedb_open(Vfs *vfs, const char *path, StateDb **ret, Why *why)
{
    static _Atomic u32 opened;
    StateDb *s = mem_new(StateDb);
    snprintf(s->vfs_name, sizeof s->vfs_name, "pharos-state-%u", ++opened);
    s->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = sizeof(StateFile),
        .mxPathname = 4096,
        .zName = s->vfs_name,
        .pAppData = vfs,
        .xOpen = v_open,
        .xDelete = v_delete,
        .xAccess = v_access,
        .xFullPathname = v_full,
        .xRandomness = v_random,
        .xSleep = v_sleep,
        .xCurrentTime = v_time,
    };
    check(sqlite3_vfs_register(&s->vfs, 0) == SQLITE_OK);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE;
    Err e = OK;
    if (sqlite3_open_v2(path, &s->db, flags, s->vfs_name) != SQLITE_OK)
        e = statedb_failed(s, why, path);
    if (e == OK)
        e = statedb_exec(
            s,
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-512; PRAGMA journal_size_limit=1048576",
            why);
    if (e != OK) {
        statedb_close(s);
        return e;
    }
    *ret = s;
    return OK;
}

void statedb_close(StateDb *s)
{
    if (!s)
        return;
    sqlite3_close_v2(s->db);
    sqlite3_vfs_unregister(&s->vfs);
    mem_free(s);
}

struct sqlite3 *statedb_sqlite(StateDb *s)
{
    return s->db;
}

/* ---- fsck ---- */

static bool has_beside(Vfs *vfs, const char *path, const char *suffix, bool remove)
{
    char beside[PATH_MAX];
    VfsStat st;
    snprintf(beside, sizeof beside, "%s%s", path, suffix);
    if (vfs->stat(vfs, beside, &st, NULL) != OK)
        return false;
    if (remove)
        vfs->unlink(vfs, beside, NULL);
    return true;
}

/* The caller holds the directory's lock: what SQLite puts beside the file while it reads is nobody else's. */
Err fsck_statedb(Vfs *vfs, const char *path, FsckReport *r, Why *why)
{
    VfsStat st;
    TRY(vfs->stat(vfs, path, &st, why));
    r->checked_files++;
    r->checked_bytes += st.bytes;
    bool had_log = has_beside(vfs, path, "-wal", false), had_index = has_beside(vfs, path, "-shm", false);
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(10)", -1, &q, NULL);
    bool has_answer = false;
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(q);
        if (rc != SQLITE_ROW)
            break;
        const char *says = (const char *)sqlite3_column_text(q, 0);
        has_answer = true;
        if (!says || strcmp(says, "ok") != 0) {
            r->errors++;
            buf_printf(r->out, "error: %s: %s\n", path, says ? says : "damaged");
        }
    }
    if (!has_answer || rc != SQLITE_DONE) {
        r->errors++;
        buf_printf(r->out, "error: %s: %s\n", path, db ? sqlite3_errmsg(db) : "out of memory");
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    has_beside(vfs, path, "-wal", !had_log);
    has_beside(vfs, path, "-shm", !had_index);
    return OK;
}
