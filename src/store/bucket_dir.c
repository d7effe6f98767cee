/* The directory bucket: an object is a file, written under .tmp, synced, and moved into place by a rename that never replaces.
 *
 * A directory becomes durable when its parent is synced; that is done once per directory and process, also for those that
 * were there already, because another thread may have made one a moment ago. Files in .tmp are locked while they are
 * written; what is unlocked at open was left by a crash. */
#include "store/store.h"

#include <limits.h>
#include <stdio.h>

enum { KEY_MAX = 512, PARTS_MAX = 16 };

struct Bucket {
    Vfs *vfs;
    char *dir;
    Mutex m;        /* the rest */
    StrMap durable; /* directories whose entries are on disk */
    u64 temps;
};

static Err key_check(Str key, bool is_prefix, Why *why)
{
    if ((key.len == 0 && !is_prefix) || key.len > KEY_MAX)
        return why_set(why, E_INVALID, "an object's key has 1 to %d bytes, this one %zu", KEY_MAX, key.len);
    u32 parts = 1;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.at[i];
        parts += c == '/';
        bool begins = i == 0 || key.at[i - 1] == '/';
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '-' || (c == '.' && !begins) || (c == '/' && !begins);
        if (!ok || parts > PARTS_MAX || (c == '/' && i + 1 == key.len && !is_prefix))
            return why_set(why, E_INVALID,
                           "key «%.*s»: byte %zu: keys are made of [a-zA-Z0-9._-] and single slashes; "
                           "no part begins with a dot, there are at most %d parts",
                           STR_FMT(key), i + 1, PARTS_MAX);
    }
    return OK;
}

static Err path_of(const Bucket *b, Str key, char path[PATH_MAX], Deadline d, Why *why)
{
    TRY(key_check(key, false, why));
    if (deadline_passed(d))
        return why_set(why, E_TIMEOUT, "object %.*s: no time left", STR_FMT(key));
    snprintf(path, PATH_MAX, "%s/%.*s", b->dir, STR_FMT(key));
    return OK;
}

/* ---- directories ---- */

static bool is_durable(Bucket *b, Str dir)
{
    mutex_lock(&b->m);
    bool yes = strmap_has(&b->durable, dir);
    mutex_unlock(&b->m);
    return yes;
}

/* Makes the directories above path, durably; path is cut and restored. */
static Err make_dirs(Bucket *b, char *path, Why *why)
{
    Vfs *v = b->vfs;
    size_t root = strlen(b->dir);
    for (char *slash = strchr(path + root + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        Str dir = str_of(path, (size_t)(slash - path));
        if (is_durable(b, dir))
            continue;
        *slash = 0;
        Err e = v->mkdir(v, path, why);
        *slash = '/';
        if (e != OK)
            return e;
        char parent[PATH_MAX];
        snprintf(parent, sizeof parent, "%.*s", STR_FMT(dir));
        *strrchr(parent, '/') = 0;
        TRY(v->sync_dir(v, parent, why));
        mutex_lock(&b->m);
        strmap_put(&b->durable, dir, b);
        mutex_unlock(&b->m);
    }
    return OK;
}

static bool take_temp(void *arg, const char *name, bool is_dir)
{
    Bucket *b = arg;
    char path[PATH_MAX];
    File *f;
    if (is_dir || snprintf(path, sizeof path, "%s/.tmp/%s", b->dir, name) >= (int)sizeof path ||
        b->vfs->open(b->vfs, path, VFS_WRITE, &f, NULL) != OK)
        return true;
    if (b->vfs->lock(f, NULL) == OK)
        b->vfs->unlink(b->vfs, path, NULL);
    b->vfs->close(f);
    return true;
}

Err bucket_open_dir(Bucket **ret, Vfs *vfs, const char *dir, Why *why)
{
    size_t len = strlen(dir);
    if (!len || len > PATH_MAX - KEY_MAX - 64)
        return why_set(why, E_INVALID, "the bucket's path has %zu bytes: too %s", len,
                       len ? "long" : "short");
    char tmp[PATH_MAX];
    snprintf(tmp, sizeof tmp, "%s/.tmp", dir);
    TRY(vfs_mkdirs(vfs, tmp, why));
    Bucket *b = mem_new(Bucket);
    b->vfs = vfs;
    b->dir = mem_strdup(str_of(dir, len));
    mutex_init(&b->m, RANK_LEAF);
    Err e = vfs->list(vfs, tmp, take_temp, b, why);
    if (e != OK) {
        bucket_close(b);
        return e;
    }
    *ret = b;
    return OK;
}

void bucket_close(Bucket *b)
{
    if (!b)
        return;
    strmap_done(&b->durable);
    mutex_done(&b->m);
    mem_free(b->dir);
    mem_free(b);
}

/* ---- writing ---- */

static Err exists(Bucket *b, const char *path, Str key, Why *why)
{
    VfsStat st;
    Err e = b->vfs->stat(b->vfs, path, &st, why);
    if (e == E_NOT_FOUND)
        return OK;
    return e != OK ? e : why_set(why, E_EXISTS, "object %.*s exists already", STR_FMT(key));
}

static Err write_body(File *f, BodyFn body, void *arg, Deadline d, u64 *ret_bytes, Why *why)
{
    enum { CHUNK = 256 << 10 };
    u8 *buf = mem_alloc(CHUNK);
    u64 off = 0;
    Err e;
    size_t n;
    while ((e = body(arg, buf, CHUNK, &n, why)) == OK && n) {
        check(n <= CHUNK);
        if ((e = f->vfs->pwrite(f, off, buf, n, why)) != OK)
            break;
        off += n;
        if (deadline_passed(d)) {
            e = why_set(why, E_TIMEOUT, "no time left after %llu bytes", (unsigned long long)off);
            break;
        }
    }
    mem_free(buf);
    *ret_bytes = off;
    return e;
}

/* A new file under .tmp, locked. Somebody who opens the bucket just now may take it for a left-over before it is locked:
 * once it is locked and still has its name, it is ours. */
static Err create_temp(Bucket *b, char tmp[PATH_MAX], File **ret, Why *why)
{
    Vfs *v = b->vfs;
    for (u32 tries = 0;; tries++) {
        mutex_lock(&b->m);
        u64 turn = ++b->temps;
        mutex_unlock(&b->m);
        snprintf(tmp, PATH_MAX, "%s/.tmp/%016llx-%llu", b->dir, (unsigned long long)random_u64(),
                 (unsigned long long)turn);
        TRY(v->open(v, tmp, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, ret, why));
        VfsStat st;
        Err e = v->lock(*ret, why);
        if (e == OK && (e = v->stat(v, tmp, &st, why)) == OK)
            return OK;
        v->close(*ret);
        v->unlink(v, tmp, NULL);
        if ((e != E_BUSY && e != E_NOT_FOUND) || tries >= 100)
            return e;
    }
}

/* body, or the bytes when body is NULL. */
static Err put(Bucket *b, Str key, BodyFn body, void *arg, Str bytes, ObjMeta *ret, Deadline d, Why *why)
{
    Vfs *v = b->vfs;
    char path[PATH_MAX], tmp[PATH_MAX];
    TRY(path_of(b, key, path, d, why));
    TRY(exists(b, path, key, why));
    TRY(make_dirs(b, path, why));
    File *f;
    TRY(create_temp(b, tmp, &f, why));
    u64 n = bytes.len;
    Err e = body ? write_body(f, body, arg, d, &n, why) : v->pwrite(f, 0, bytes.at, bytes.len, why);
    if (e == OK)
        e = v->sync(f, why);
    if (e == OK) {
        e = v->rename_new(v, tmp, path, why);
        if (e == E_EXISTS)
            why_set(why, E_EXISTS, "object %.*s exists already", STR_FMT(key));
    }
    v->close(f);
    if (e != OK) {
        v->unlink(v, tmp, NULL);
        return e;
    }
    *strrchr(path, '/') = 0;
    if (v->sync_dir(v, path, why) != OK) /* it is there, and may not be after a power cut */
        return why ? why->err = E_UNKNOWN : E_UNKNOWN;
    if (ret)
        return bucket_head(b, key, ret, deadline_none(), why);
    return OK;
}

Err bucket_put(Bucket *b, Str key, BodyFn body, void *arg, ObjMeta *ret, Deadline d, Why *why)
{
    return put(b, key, body, arg, (Str){0}, ret, d, why);
}

Err bucket_put_bytes(Bucket *b, Str key, Str bytes, Deadline d, Why *why)
{
    return put(b, key, NULL, NULL, bytes, NULL, d, why);
}

Err bucket_create(Bucket *b, Str key, Str bytes, Deadline d, Why *why)
{
    return put(b, key, NULL, NULL, bytes, NULL, d, why);
}

Err bucket_delete(Bucket *b, Str key, Deadline d, Why *why)
{
    char path[PATH_MAX];
    TRY(path_of(b, key, path, d, why));
    Err e = b->vfs->unlink(b->vfs, path, why);
    if (e == E_NOT_FOUND)
        return OK;
    TRY(e);
    *strrchr(path, '/') = 0;
    return b->vfs->sync_dir(b->vfs, path, why);
}

/* ---- reading ---- */

static Err open_object(Bucket *b, Str key, Deadline d, File **ret, u64 *ret_bytes, Why *why)
{
    char path[PATH_MAX];
    TRY(path_of(b, key, path, d, why));
    VfsStat st;
    Err e = b->vfs->stat(b->vfs, path, &st, why);
    if (e == OK && st.is_dir)
        e = E_NOT_FOUND;
    if (e == OK)
        e = b->vfs->open(b->vfs, path, VFS_READ, ret, why);
    if (e == E_NOT_FOUND)
        return why_set(why, E_NOT_FOUND, "no object %.*s", STR_FMT(key));
    TRY(e);
    e = b->vfs->size(*ret, ret_bytes, why);
    if (e != OK)
        b->vfs->close(*ret);
    return e;
}

Err bucket_get(Bucket *b, Str key, u64 off, u64 len, Buf *out, Deadline d, Why *why)
{
    File *f;
    u64 size;
    TRY(open_object(b, key, d, &f, &size, why));
    Err e = OK;
    if (len == UINT64_MAX)
        len = off <= size ? size - off : 1;
    if (off > size || len > size - off)
        e = why_set(why, E_CORRUPT, "object %.*s has %llu bytes; %llu at %llu were asked for", STR_FMT(key),
                    (unsigned long long)size, (unsigned long long)len, (unsigned long long)off);
    else if (len && !buf_reserve(out, len))
        e = why_set(why, E_TOO_LARGE, "object %.*s: %llu bytes do not fit into the buffer given",
                    STR_FMT(key), (unsigned long long)len);
    else if (len && (e = vfs_read_exact(f, off, out->at + out->len, len, why)) == OK)
        out->len += len;
    else if (e != OK)
        why_prefix(why, "object %.*s: ", STR_FMT(key));
    b->vfs->close(f);
    return e;
}

Err bucket_head(Bucket *b, Str key, ObjMeta *ret, Deadline d, Why *why)
{
    char path[PATH_MAX];
    TRY(path_of(b, key, path, d, why));
    VfsStat st;
    Err e = b->vfs->stat(b->vfs, path, &st, why);
    if (e == E_NOT_FOUND || (e == OK && st.is_dir))
        return why_set(why, E_NOT_FOUND, "no object %.*s", STR_FMT(key));
    TRY(e);
    *ret = (ObjMeta){st.bytes, st.mtime_ns};
    return OK;
}

Err bucket_map(Bucket *b, Str key, const u8 **ret, u64 *ret_bytes, File **ret_file, Why *why)
{
    File *f;
    u64 size;
    TRY(open_object(b, key, deadline_none(), &f, &size, why));
    Err e = b->vfs->map(f, size, ret, why);
    if (e != OK) {
        b->vfs->close(f);
        return e;
    }
    *ret_bytes = size;
    *ret_file = f;
    return OK;
}

void bucket_unmap(Bucket *b, File *f, const u8 *at, u64 bytes)
{
    b->vfs->unmap(f, at, bytes);
    b->vfs->close(f);
}

/* ---- listing: depth first; a directory sorts as its name with a slash, so keys come in the order of their bytes ---- */

typedef struct Names {
    VEC(Str) names; /* owned */
    bool is_top;
} Names;

static bool take_name(void *arg, const char *name, bool is_dir)
{
    Names *n = arg;
    if (name[0] == '.')
        return true;
    size_t len = strlen(name);
    char *copy = mem_alloc(len + 2);
    memcpy(copy, name, len);
    if (is_dir)
        copy[len++] = '/';
    copy[len] = 0;
    vec_push(&n->names, str_of(copy, len));
    return true;
}

typedef struct Listing {
    Bucket *b;
    Str prefix, after;
    BucketListFn fn;
    void *arg;
    Deadline d;
    bool stopped;
} Listing;

/* Can a key that begins with dir (which ends with a slash) be in the listing? */
static bool may_hold(const Listing *l, Str dir)
{
    size_t n = MIN(dir.len, l->prefix.len);
    if (memcmp(dir.at, l->prefix.at, n) != 0)
        return false;
    /* All keys below dir are <= after when dir is below after's own prefix of that length. */
    n = MIN(dir.len, l->after.len);
    return memcmp(dir.at, l->after.at, n) >= 0;
}

static Err list_dir(Listing *l, Str key, u32 depth, Why *why)
{
    char path[PATH_MAX];
    Bucket *b = l->b;
    if (snprintf(path, sizeof path, "%s/%.*s", b->dir, STR_FMT(key)) >= (int)sizeof path || depth > PARTS_MAX)
        return why_set(why, E_CORRUPT, "bucket %s: %.*s is nested too deep", b->dir, STR_FMT(key));
    path[strlen(path) - 1] = 0; /* key is empty or ends with a slash */
    Names n = {0};
    Err e = b->vfs->list(b->vfs, path, take_name, &n, why);
    if (e == E_NOT_FOUND && depth)
        e = OK; /* removed meanwhile */
    if (n.names.len)
        qsort(n.names.at, n.names.len, sizeof(Str), str_order);
    for (size_t i = 0; i < n.names.len && e == OK && !l->stopped; i++) {
        Str name = n.names.at[i];
        char full[PATH_MAX];
        size_t len = (size_t)snprintf(full, sizeof full, "%.*s%.*s", STR_FMT(key), STR_FMT(name));
        Str k = str_of(full, MIN(len, sizeof full - 1));
        if (deadline_passed(l->d))
            e = why_set(why, E_TIMEOUT, "listing %.*s: no time left", STR_FMT(l->prefix));
        else if (str_ends(name, S("/"))) {
            if (may_hold(l, k))
                e = list_dir(l, k, depth + 1, why);
        } else if (str_starts(k, l->prefix) && str_cmp(k, l->after) > 0) {
            ObjMeta m;
            if ((e = bucket_head(b, k, &m, deadline_none(), why)) == OK)
                l->stopped = !l->fn(l->arg, k, &m);
            else if (e == E_NOT_FOUND || e == E_INVALID)
                e = OK; /* removed meanwhile, or no object of ours */
        }
    }
    for (size_t i = 0; i < n.names.len; i++)
        mem_free((void *)n.names.at[i].at);
    vec_done(&n.names);
    return e;
}

Err bucket_list(Bucket *b, Str prefix, Str after, BucketListFn fn, void *arg, Deadline d, Why *why)
{
    TRY(key_check(prefix, true, why));
    Listing l = {.b = b, .prefix = prefix, .after = after, .fn = fn, .arg = arg, .d = d};
    return list_dir(&l, S(""), 0, why);
}
