#include "simfs.h"

#include <limits.h>
#include <stdio.h>

typedef struct SimNode {
    u32 id;
    bool is_dir, is_locked;
    u8 *data;
    u64 len, cap;
    u32 names, handles;
} SimNode;
typedef enum OpKind { OP_CREATE, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_RENAME, OP_UNLINK, OP_SYNC_DIR } OpKind;
typedef struct Op {
    OpKind kind;
    u32 node;
    u64 off, len; /* of a write; len of a truncate */
    u8 *bytes;
    char *path, *to;
} Op;
struct SimFs {
    Vfs vfs; /* first: cast */
    Mutex m;
    VEC(SimNode *) nodes;
    StrMap names; /* path -> SimNode */
    VEC(Op) ops;
    u64 base; /* the first ops build what a cut left: no power cut goes before them */
    u64 capacity, used;
    u64 fail_in; /* calls until the fault; 0 = none */
    Err fail_err;
    int fail_flags;
    bool fired, ignores_sync;
};
typedef struct SimFile {
    File file;
    SimNode *node;
    char *path;
    bool has_lock, is_writable;
} SimFile;

static SimFs *sim(Vfs *v)
{
    return (SimFs *)v;
}

static void dir_of(const char *path, char dir[PATH_MAX])
{
    size_t n = (size_t)(strrchr(path, '/') - path);
    snprintf(dir, PATH_MAX, "%.*s", n ? (int)n : 1, path);
}

/* ---- the disk; m held ---- */

static SimNode *add_node(SimFs *fs, bool is_dir)
{
    SimNode *n = mem_new(SimNode);
    n->id = (u32)fs->nodes.len;
    n->is_dir = is_dir;
    vec_push(&fs->nodes, n);
    return n;
}

static SimNode *node_at(SimFs *fs, const char *path)
{
    return strmap_find(&fs->names, str_c(path));
}

static void drop_content(SimFs *fs, SimNode *n)
{
    if (n->names || n->handles)
        return;
    fs->used -= n->len;
    mem_free(n->data);
    n->data = NULL;
    n->len = n->cap = 0;
}

static void resize(SimFs *fs, SimNode *n, u64 len)
{
    if (len > n->cap) {
        n->cap = MAX(len, n->cap * 2);
        n->data = mem_realloc(n->data, n->cap);
    }
    if (len > n->len)
        memset(n->data + n->len, 0, len - n->len);
    fs->used += len - n->len;
    n->len = len;
}

static void bind_name(SimFs *fs, const char *path, SimNode *n)
{
    n->names++;
    SimNode *old = strmap_put(&fs->names, str_c(path), n);
    if (old) {
        old->names--;
        drop_content(fs, old);
    }
}

static void unbind_name(SimFs *fs, const char *path)
{
    SimNode *old = strmap_del(&fs->names, str_c(path));
    if (old) {
        old->names--;
        drop_content(fs, old);
    }
}

static void record(SimFs *fs, Op op, const char *path, const char *to)
{
    op.path = path ? mem_strdup(str_c(path)) : NULL;
    op.to = to ? mem_strdup(str_c(to)) : NULL;
    vec_push(&fs->ops, op);
}

/* Counts a call; E_... when it is the one to fail. */
static Err call(SimFs *fs, bool needs_space, const char *what, const char *path, Why *why)
{
    if (!fs->fail_in || (fs->fail_err == E_NOSPACE && !needs_space))
        return OK;
    if (fs->fail_in > 1) {
        fs->fail_in--;
        return OK;
    }
    if (!(fs->fail_flags & SIM_FOR_EVER))
        fs->fail_in = 0;
    fs->fired = true;
    return why_set(why, fs->fail_err, "%s %s: simulated fault", what, path);
}

#define LOCKED(fs, body)                                                                                     \
    do {                                                                                                     \
        mutex_lock(&(fs)->m);                                                                                \
        body;                                                                                                \
        mutex_unlock(&(fs)->m);                                                                              \
    } while (0)

static Err missing(const char *what, const char *path, Why *why)
{
    return why_set(why, E_NOT_FOUND, "%s %s: no such file", what, path);
}

static bool has_parent(SimFs *fs, const char *path)
{
    char dir[PATH_MAX];
    dir_of(path, dir);
    SimNode *n = node_at(fs, dir);
    return n && n->is_dir;
}

/* ---- the calls ---- */

static Err open_locked(SimFs *fs, const char *path, int flags, File **ret, Why *why)
{
    SimNode *n = node_at(fs, path);
    bool creates = !n && flags & VFS_CREATE;
    TRY(call(fs, creates, "open", path, why));
    if (n && flags & VFS_CREATE && flags & VFS_EXCLUSIVE)
        return why_set(why, E_EXISTS, "open %s: exists", path);
    if ((!n && !creates) || (creates && !has_parent(fs, path)))
        return missing("open", path, why);
    if (n && n->is_dir)
        return why_set(why, E_IO, "open %s: is a directory", path);
    if (creates) {
        n = add_node(fs, false);
        bind_name(fs, path, n);
        record(fs, (Op){.kind = OP_CREATE, .node = n->id}, path, NULL);
    } else if (flags & VFS_TRUNCATE && n->len) {
        resize(fs, n, 0);
        record(fs, (Op){.kind = OP_TRUNCATE, .node = n->id}, NULL, NULL);
    }
    SimFile *f = mem_new(SimFile);
    *f = (SimFile){
        .file = {&fs->vfs}, .node = n, .path = mem_strdup(str_c(path)), .is_writable = flags & VFS_WRITE};
    n->handles++;
    *ret = &f->file;
    return OK;
}

static Err sim_open(Vfs *v, const char *path, int flags, File **ret, Why *why)
{
    Err e;
    LOCKED(sim(v), e = open_locked(sim(v), path, flags, ret, why));
    return e;
}

static void sim_close(File *file)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    mutex_lock(&fs->m);
    if (f->has_lock)
        f->node->is_locked = false;
    f->node->handles--;
    drop_content(fs, f->node);
    mutex_unlock(&fs->m);
    mem_free(f->path);
    mem_free(f);
}

static Err sim_pread(File *file, u64 off, void *at, size_t n, size_t *ret_n, Why *why)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "read", f->path, why);
    if (e == OK) {
        *ret_n = off < f->node->len ? (size_t)MIN((u64)n, f->node->len - off) : 0;
        if (*ret_n)
            memcpy(at, f->node->data + off, *ret_n);
    }
    mutex_unlock(&fs->m);
    return e;
}

static void write_locked(SimFs *fs, SimNode *n, u64 off, const void *at, size_t len)
{
    if (!len)
        return;
    if (off + len > n->len)
        resize(fs, n, off + len);
    memcpy(n->data + off, at, len);
    u8 *copy = mem_alloc(len);
    memcpy(copy, at, len);
    record(fs, (Op){.kind = OP_WRITE, .node = n->id, .off = off, .len = len, .bytes = copy}, NULL, NULL);
}

static Err sim_pwrite(File *file, u64 off, const void *at, size_t n, Why *why)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    check(f->is_writable);
    mutex_lock(&fs->m);
    int flags = fs->fail_flags;
    Err e = call(fs, true, "write", f->path, why);
    if (e != OK) {
        write_locked(fs, f->node, off, at, flags & SIM_SHORT ? n / 2 : 0);
    } else {
        u64 grows = off + n > f->node->len ? off + n - f->node->len : 0, fits = n;
        if (fs->capacity && fs->used + grows > fs->capacity) {
            u64 lack = fs->used + grows - fs->capacity;
            fits = lack < n ? n - lack : 0;
            e = why_set(why, E_NOSPACE, "write %s: the simulated disk is full", f->path);
        }
        write_locked(fs, f->node, off, at, (size_t)fits);
    }
    mutex_unlock(&fs->m);
    return e;
}

static Err sim_sync(File *file, Why *why)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "sync", f->path, why);
    if (e == OK && !fs->ignores_sync)
        record(fs, (Op){.kind = OP_SYNC, .node = f->node->id}, NULL, NULL);
    mutex_unlock(&fs->m);
    return e;
}

static Err sim_truncate(File *file, u64 bytes, Why *why)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "truncate", f->path, why);
    if (e == OK) {
        resize(fs, f->node, bytes);
        record(fs, (Op){.kind = OP_TRUNCATE, .node = f->node->id, .len = bytes}, NULL, NULL);
    }
    mutex_unlock(&fs->m);
    return e;
}

static Err sim_size(File *file, u64 *ret, Why *why)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "size", f->path, why);
    if (e == OK)
        *ret = f->node->len;
    mutex_unlock(&fs->m);
    return e;
}

static Err sim_lock(File *file, Why *why)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "lock", f->path, why);
    if (e == OK && f->node->is_locked && !f->has_lock)
        e = why_set(why, E_BUSY, "lock %s: held", f->path);
    else if (e == OK)
        f->node->is_locked = f->has_lock = true;
    mutex_unlock(&fs->m);
    return e;
}

static Err sim_map(File *file, u64 bytes, const u8 **ret, Why *why)
{
    SimFile *f = (SimFile *)file;
    SimFs *fs = sim(file->vfs);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "map", f->path, why);
    if (e == OK) {
        check(bytes <= f->node->len);
        u8 *copy = mem_alloc(bytes + 1);
        if (bytes)
            memcpy(copy, f->node->data, bytes);
        *ret = copy;
    }
    mutex_unlock(&fs->m);
    return e;
}

static void sim_unmap(File *file, const u8 *at, u64 bytes)
{
    (void)file, (void)bytes;
    mem_free((void *)at);
}

static Err rename_locked(SimFs *fs, const char *from, const char *to, bool replaces, Why *why)
{
    TRY(call(fs, true, "rename", from, why));
    SimNode *n = node_at(fs, from);
    if (!n || !has_parent(fs, to))
        return missing("rename", from, why);
    check(!n->is_dir);
    if (!replaces && node_at(fs, to))
        return why_set(why, E_EXISTS, "rename to %s: exists", to);
    bind_name(fs, to, n);
    unbind_name(fs, from);
    record(fs, (Op){.kind = OP_RENAME, .node = n->id}, from, to);
    return OK;
}

static Err sim_rename(Vfs *v, const char *from, const char *to, Why *why)
{
    Err e;
    LOCKED(sim(v), e = rename_locked(sim(v), from, to, true, why));
    return e;
}

static Err sim_rename_new(Vfs *v, const char *from, const char *to, Why *why)
{
    Err e;
    LOCKED(sim(v), e = rename_locked(sim(v), from, to, false, why));
    return e;
}

static bool has_children(SimFs *fs, const char *path)
{
    size_t cursor = 0, len = strlen(path);
    StrMapSlot *s;
    while ((s = strmap_next(&fs->names, &cursor)))
        if (s->key.len > len && !memcmp(s->key.at, path, len) && s->key.at[len] == '/')
            return true;
    return false;
}

static Err remove_locked(SimFs *fs, const char *path, bool is_dir, Why *why)
{
    TRY(call(fs, false, "remove", path, why));
    SimNode *n = node_at(fs, path);
    if (!n)
        return missing("remove", path, why);
    if (n->is_dir != is_dir || (is_dir && has_children(fs, path)))
        return why_set(why, E_IO, "remove %s: not empty or of another kind", path);
    record(fs, (Op){.kind = OP_UNLINK, .node = n->id}, path, NULL);
    unbind_name(fs, path);
    return OK;
}

static Err sim_unlink(Vfs *v, const char *path, Why *why)
{
    Err e;
    LOCKED(sim(v), e = remove_locked(sim(v), path, false, why));
    return e;
}

static Err sim_rmdir(Vfs *v, const char *path, Why *why)
{
    Err e;
    LOCKED(sim(v), e = remove_locked(sim(v), path, true, why));
    return e;
}

static Err mkdir_locked(SimFs *fs, const char *path, Why *why)
{
    SimNode *n = node_at(fs, path);
    TRY(call(fs, !n, "mkdir", path, why));
    if (n)
        return OK;
    if (!has_parent(fs, path))
        return missing("mkdir", path, why);
    n = add_node(fs, true);
    bind_name(fs, path, n);
    record(fs, (Op){.kind = OP_CREATE, .node = n->id}, path, NULL);
    return OK;
}

static Err sim_mkdir(Vfs *v, const char *path, Why *why)
{
    Err e;
    LOCKED(sim(v), e = mkdir_locked(sim(v), path, why));
    return e;
}

static Err sim_sync_dir(Vfs *v, const char *path, Why *why)
{
    SimFs *fs = sim(v);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "sync directory", path, why);
    SimNode *n = node_at(fs, path);
    if (e == OK && (!n || !n->is_dir))
        e = missing("sync directory", path, why);
    else if (e == OK && !fs->ignores_sync)
        record(fs, (Op){.kind = OP_SYNC_DIR, .node = n->id}, path, NULL);
    mutex_unlock(&fs->m);
    return e;
}

static Err sim_list(Vfs *v, const char *path, VfsListFn fn, void *arg, Why *why)
{
    SimFs *fs = sim(v);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "list", path, why);
    SimNode *n = node_at(fs, path);
    if (e == OK && (!n || !n->is_dir))
        e = missing("list", path, why);
    VEC(Str) found = {0}; /* copied: fn may call us */
    VEC(bool) kinds = {0};
    size_t cursor = 0;
    StrMapSlot *s;
    while (e == OK && (s = strmap_next(&fs->names, &cursor))) {
        char dir[PATH_MAX];
        if (s->key.len == 1)
            continue;
        dir_of(s->key.at, dir);
        if (strcmp(dir, path) == 0) {
            vec_push(&found, mem_dup(str_c(strrchr(s->key.at, '/') + 1)));
            vec_push(&kinds, ((SimNode *)s->value)->is_dir);
        }
    }
    mutex_unlock(&fs->m);
    bool goes_on = true;
    for (size_t i = 0; i < found.len; i++) {
        goes_on = goes_on && fn(arg, found.at[i].at, kinds.at[i]);
        mem_free((void *)found.at[i].at);
    }
    vec_done(&found);
    vec_done(&kinds);
    return e;
}

static Err sim_stat(Vfs *v, const char *path, VfsStat *ret, Why *why)
{
    SimFs *fs = sim(v);
    mutex_lock(&fs->m);
    Err e = call(fs, false, "stat", path, why);
    SimNode *n = node_at(fs, path);
    if (e == OK && !n)
        e = missing("stat", path, why);
    else if (e == OK)
        *ret = (VfsStat){.bytes = n->len, .mtime_ns = 1, .is_dir = n->is_dir};
    mutex_unlock(&fs->m);
    return e;
}

static Err sim_free_bytes(Vfs *v, const char *path, u64 *ret_free, u64 *ret_total, Why *why)
{
    (void)path, (void)why;
    SimFs *fs = sim(v);
    mutex_lock(&fs->m);
    bool is_failing = fs->fail_in == 1 && fs->fail_err == E_NOSPACE;
    *ret_total = fs->capacity ? fs->capacity : 1ull << 40;
    *ret_free = is_failing || fs->used > *ret_total ? 0 : *ret_total - fs->used;
    mutex_unlock(&fs->m);
    return OK;
}

/* ---- life ---- */

SimFs *simfs_new(void)
{
    SimFs *fs = mem_new(SimFs);
    fs->vfs = (Vfs){.open = sim_open,
                    .close = sim_close,
                    .pread = sim_pread,
                    .pwrite = sim_pwrite,
                    .sync = sim_sync,
                    .truncate = sim_truncate,
                    .size = sim_size,
                    .lock = sim_lock,
                    .map = sim_map,
                    .unmap = sim_unmap,
                    .rename = sim_rename,
                    .unlink = sim_unlink,
                    .rmdir = sim_rmdir,
                    .mkdir = sim_mkdir,
                    .sync_dir = sim_sync_dir,
                    .list = sim_list,
                    .stat = sim_stat,
                    .free_bytes = sim_free_bytes,
                    .rename_new = sim_rename_new};
    mutex_init(&fs->m, RANK_LEAF);
    bind_name(fs, "/", add_node(fs, true));
    return fs;
}

void simfs_free(SimFs *fs)
{
    for (size_t i = 0; i < fs->nodes.len; i++) {
        check(fs->nodes.at[i]->handles == 0);
        mem_free(fs->nodes.at[i]->data);
        mem_free(fs->nodes.at[i]);
    }
    for (size_t i = 0; i < fs->ops.len; i++) {
        mem_free(fs->ops.at[i].bytes);
        mem_free(fs->ops.at[i].path);
        mem_free(fs->ops.at[i].to);
    }
    vec_done(&fs->nodes);
    vec_done(&fs->ops);
    strmap_done(&fs->names);
    mutex_done(&fs->m);
    mem_free(fs);
}

Vfs *simfs_vfs(SimFs *fs)
{
    return &fs->vfs;
}

u64 simfs_ops(SimFs *fs)
{
    u64 n;
    LOCKED(fs, n = fs->ops.len);
    return n;
}

void simfs_fail(SimFs *fs, u64 n, Err e, int flags)
{
    LOCKED(fs, (fs->fail_in = n, fs->fail_err = e, fs->fail_flags = flags, fs->fired = false));
}

bool simfs_fired(SimFs *fs)
{
    bool yes;
    LOCKED(fs, yes = fs->fired);
    return yes;
}

void simfs_set_capacity(SimFs *fs, u64 bytes)
{
    LOCKED(fs, fs->capacity = bytes);
}

void simfs_ignore_sync(SimFs *fs, bool yes)
{
    LOCKED(fs, fs->ignores_sync = yes);
}

u8 *simfs_bytes(SimFs *fs, const char *path, u64 *ret_bytes)
{
    SimNode *n;
    LOCKED(fs, n = node_at(fs, path));
    if (!n || n->is_dir)
        return NULL;
    *ret_bytes = n->len;
    return n->data;
}

void simfs_put(SimFs *fs, const char *path, const void *at, u64 bytes)
{
    char dir[PATH_MAX];
    dir_of(path, dir);
    Why why = {0};
    File *f;
    Vfs *v = &fs->vfs;
    check(vfs_mkdirs(v, dir, &why) == OK);
    check(v->open(v, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, &why) == OK);
    check(v->pwrite(f, 0, at, bytes, &why) == OK && v->sync(f, &why) == OK &&
          v->sync_dir(v, dir, &why) == OK);
    v->close(f);
}

/* ---- what a power cut leaves ---- */

typedef struct Cut {
    SimFs *from, *to;
    u64 at;
    SimCut how;
    u64 dice;
    u64 *synced;     /* per node (directories too): number of ops before its last sync */
    i64 *left;       /* per node, tearing: unsynced changes that survive whole; -1 = not drawn yet */
    SimNode **nodes; /* from's id -> to's node */
} Cut;

static u64 roll(Cut *c, u64 n)
{
    c->dice = hash_bytes(&c->dice, sizeof c->dice, 7);
    return c->dice % n;
}

typedef enum Fate { LOST, WHOLE, TORN } Fate;

/* What becomes of change i, which belongs to node (the directory, for a name). */
static Fate fate(Cut *c, u64 i, u32 node)
{
    if (i < c->synced[node] || c->how == SIM_KEEP)
        return WHOLE;
    if (c->how == SIM_LOSE)
        return LOST;
    if (c->how == SIM_REORDER)
        return roll(c, 2) ? TORN : roll(c, 2) ? WHOLE : LOST;
    if (c->left[node] < 0)
        c->left[node] = (i64)roll(c, 8);
    if (c->left[node] == 0)
        return LOST;
    return --c->left[node] ? WHOLE : TORN;
}

static SimNode *node_of(Cut *c, u32 id)
{
    if (!c->nodes[id])
        c->nodes[id] = add_node(c->to, c->from->nodes.at[id]->is_dir);
    return c->nodes[id];
}

static void replay_name(Cut *c, const Op *op, u64 i)
{
    char dir[PATH_MAX];
    dir_of(op->kind == OP_RENAME ? op->to : op->path, dir);
    SimNode *parent = node_at(c->from, dir); /* directories keep their names here */
    Fate f = fate(c, i, parent ? parent->id : 0);
    if (f == TORN) /* a name is there or not */
        f = roll(c, 2) ? WHOLE : LOST;
    if (f == LOST)
        return;
    SimNode *n = node_of(c, op->node);
    if (op->kind == OP_CREATE) {
        bind_name(c->to, op->path, n);
    } else if (op->kind == OP_RENAME) {
        bind_name(c->to, op->to, n);
        if (node_at(c->to, op->path) == n)
            unbind_name(c->to, op->path);
    } else if (node_at(c->to, op->path) == n) {
        unbind_name(c->to, op->path);
    }
}

static void replay_data(Cut *c, const Op *op, u64 i)
{
    Fate f = fate(c, i, op->node);
    SimNode *n = node_of(c, op->node);
    if (op->kind == OP_TRUNCATE) {
        if (f == WHOLE || (f == TORN && roll(c, 2)))
            resize(c->to, n, op->len);
        return;
    }
    if (f == LOST)
        return;
    u64 page = f == WHOLE ? UINT64_MAX : c->how == SIM_TEAR_512 ? 512 : 4096;
    for (u64 at = op->off, end = op->off + op->len; at < end;) {
        u64 to = page == UINT64_MAX ? end : MIN(end, (at / page + 1) * page);
        if (f == WHOLE || roll(c, 2)) {
            if (to > n->len)
                resize(c->to, n, to);
            memcpy(n->data + at, op->bytes + (at - op->off), to - at);
        } else if (roll(c, 3) == 0) { /* the size was written, the page was not */
            if (to > n->len)
                resize(c->to, n, to);
            if (roll(c, 2))
                for (u64 k = at; k < to; k++)
                    n->data[k] = (u8)roll(c, 256);
        }
        at = to;
    }
}

/* Names below a directory that did not survive are out of reach. */
static void drop_orphans(SimFs *fs)
{
    for (bool again = true; again;) {
        again = false;
        size_t cursor = 0;
        StrMapSlot *s;
        while ((s = strmap_next(&fs->names, &cursor)))
            if (s->key.len > 1 && !has_parent(fs, s->key.at)) {
                char path[PATH_MAX];
                snprintf(path, sizeof path, "%s", s->key.at);
                unbind_name(fs, path);
                again = true;
                break;
            }
    }
}

static int by_length(const void *a, const void *b)
{
    size_t x = ((const Str *)a)->len, y = ((const Str *)b)->len;
    return x < y ? -1 : x > y;
}

/* Records the state as durable changes, so that the power can fail again. */
static void record_base(SimFs *fs)
{
    VEC(Str) paths = {0};
    size_t cursor = 0;
    StrMapSlot *s;
    while ((s = strmap_next(&fs->names, &cursor)))
        vec_push(&paths, s->key);
    qsort(paths.at, paths.len, sizeof(Str), by_length); /* a directory before what is in it */
    for (size_t i = 0; i < paths.len; i++) {
        const SimNode *n = strmap_find(&fs->names, paths.at[i]);
        if (paths.at[i].len > 1)
            record(fs, (Op){.kind = OP_CREATE, .node = n->id}, paths.at[i].at, NULL);
        if (n->len) {
            u8 *copy = mem_alloc(n->len);
            memcpy(copy, n->data, n->len);
            record(fs, (Op){.kind = OP_WRITE, .node = n->id, .len = n->len, .bytes = copy}, NULL, NULL);
        }
    }
    for (size_t i = 0; i < paths.len; i++) {
        const SimNode *n = strmap_find(&fs->names, paths.at[i]);
        record(fs, (Op){.kind = n->is_dir ? OP_SYNC_DIR : OP_SYNC, .node = n->id}, NULL, NULL);
    }
    vec_done(&paths);
    fs->base = fs->ops.len;
}

SimFs *simfs_cut(SimFs *from, u64 at_op, SimCut how, u64 seed)
{
    mutex_lock(&from->m);
    SimFs *to = simfs_new();
    size_t n = from->nodes.len;
    Cut c = {.from = from,
             .to = to,
             .at = MAX(from->base, MIN(at_op, (u64)from->ops.len)),
             .how = how,
             .dice = seed ^ at_op << 8};
    c.synced = mem_zalloc(n * sizeof *c.synced);
    c.left = mem_alloc(n * sizeof *c.left);
    c.nodes = mem_zalloc(n * sizeof *c.nodes);
    memset(c.left, 0xff, n * sizeof *c.left);
    c.nodes[0] = to->nodes.at[0];
    for (u64 i = 0; i < c.at; i++) {
        const Op *op = &from->ops.at[i];
        if (op->kind == OP_SYNC || op->kind == OP_SYNC_DIR)
            c.synced[op->node] = i;
    }
    for (u64 i = 0; i < c.at; i++) {
        const Op *op = &from->ops.at[i];
        if (op->kind == OP_WRITE || op->kind == OP_TRUNCATE)
            replay_data(&c, op, i);
        else if (op->kind != OP_SYNC && op->kind != OP_SYNC_DIR)
            replay_name(&c, op, i);
    }
    drop_orphans(to);
    record_base(to);
    mem_free(c.synced);
    mem_free(c.left);
    mem_free(c.nodes);
    mutex_unlock(&from->m);
    return to;
}
