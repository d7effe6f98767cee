/* Checks that change nothing. Each looks at every byte of its files; what it finds is a line of the report, and only what keeps it
 * from looking is an error of its own. */
#include "store/manifest_int.h"
#include "store/outbox_int.h"
#include "store/recfile.h"
#include "store/spool_int.h"
#include "store/store.h"

#include <limits.h>
#include <stdio.h>

static void say(FsckReport *r, bool is_error, const char *path, const char *what)
{
    if (is_error)
        r->errors++;
    else
        r->warnings++;
    /* Sentences of the reader begin with the path already. */
    size_t n = strlen(path);
    bool has_path = !strncmp(what, path, n);
    buf_printf(r->out, "%s%s%s%s\n", is_error ? "error: " : "warning: ", has_path ? "" : path,
               has_path ? "" : ": ", what);
}

/* ---- files named by 20 digits and a suffix ---- */

typedef struct Names {
    const char *suffix;
    VEC(u64) numbers;
    VEC(Str) strangers; /* owned */
} Names;

static bool take_name(void *arg, const char *name, bool is_dir)
{
    Names *n = arg;
    if (!is_dir && strspn(name, "0123456789") == 20 && !strcmp(name + 20, n->suffix))
        vec_push(&n->numbers, strtoull(name, NULL, 10));
    else
        vec_push(&n->strangers, mem_dup(str_c(name)));
    return true;
}

static void names_done(Names *n)
{
    for (size_t i = 0; i < n->strangers.len; i++)
        mem_free((void *)n->strangers.at[i].at);
    vec_done(&n->strangers);
    vec_done(&n->numbers);
}

static Err names_load(Vfs *v, const char *dir, const char *suffix, Names *ret, Why *why)
{
    *ret = (Names){.suffix = suffix};
    Err e = v->list(v, dir, take_name, ret, why);
    if (e != OK) {
        names_done(ret);
        return e;
    }
    if (ret->numbers.len)
        qsort(ret->numbers.at, ret->numbers.len, 8, u64_order);
    return OK;
}

static void say_strangers(FsckReport *r, const Names *n, const char *dir, const char *known)
{
    for (size_t i = 0; i < n->strangers.len; i++) {
        Str s = n->strangers.at[i];
        if (strstr(known, s.at))
            continue;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", dir, s.at);
        say(r, false, path,
            str_ends(s, S(".bad"))   ? "set aside earlier because its head was damaged"
            : str_ends(s, S(".tmp")) ? "left by a crash; the next start removes it"
                                     : "not a file of this directory's format");
    }
}

/* ---- record files ---- */

typedef struct RecCheck {
    Vfs *vfs;
    FsckReport *r;
    u32 kind;
    const char *path;
    RecFn check; /* of one record; may say things and must return OK */
    void *arg;
} RecCheck;

/* Checks one file. is_last: a torn tail is only worth a warning. Returns false when its head cannot be used. */
static bool check_recfile(const RecCheck *c, bool is_last, RecFileHead *ret, RecEnd *ret_end, u64 *ret_size)
{
    Why why = {0};
    File *f;
    c->r->checked_files++;
    Err e = c->vfs->open(c->vfs, c->path, VFS_READ, &f, &why);
    if (e != OK) {
        say(c->r, true, c->path, why.text);
        return false;
    }
    e = c->vfs->size(f, ret_size, &why);
    if (e == OK)
        e = recfile_head_load(f, c->path, c->kind, ret, NULL, &why);
    bool has_head = e == OK;
    if (has_head)
        e = recfile_recover(f, c->path, ret, false, c->check, c->arg, ret_end, &why);
    bool holds = true;
    if (e == E_CORRUPT && !has_head && is_last)
        recfile_holds_records(f, *ret_size, &holds,
                              NULL); /* if not, a crash left it and the next start removes it */
    if (e != OK)
        say(c->r, holds, c->path, why.text);
    else if (ret_end->cut_bytes) {
        char text[128];
        snprintf(text, sizeof text, "%s of %llu bytes at %llu", is_last ? "torn tail" : "damage to the end",
                 (unsigned long long)ret_end->cut_bytes, (unsigned long long)ret_end->bytes);
        say(c->r, !is_last, c->path, text);
    }
    c->r->checked_bytes += *ret_size;
    c->vfs->close(f);
    return has_head && e == OK;
}

static Err record_is_fine(void *arg, const RecHead *h, Str body, Why *why)
{
    (void)arg, (void)h, (void)body, (void)why;
    return OK;
}

/* The files of a log in order: chained by numbers, sizes and epoch. */
static Err check_chain(Vfs *v, const char *dir, u32 kind, const char *suffix, const char *known, bool strict,
                       RecFn check, void *arg, FsckReport *r, u64 *ret_next, Why *why)
{
    Names n;
    TRY(names_load(v, dir, suffix, &n, why));
    RecFileHead prev = {0};
    RecEnd prev_end = {0};
    u64 prev_size = 0;
    bool has_prev = false;
    for (size_t i = 0; i < n.numbers.len; i++) {
        char path[PATH_MAX], text[256] = "";
        snprintf(path, sizeof path, "%s/%020llu%s", dir, (unsigned long long)n.numbers.at[i], suffix);
        RecFileHead h = {0};
        RecEnd end = {0};
        u64 size = 0;
        bool ok =
            check_recfile(&(RecCheck){v, r, kind, path, check, arg}, i + 1 == n.numbers.len, &h, &end, &size);
        if (ok && h.first != n.numbers.at[i])
            snprintf(text, sizeof text, "its head says that it starts at %llu", (unsigned long long)h.first);
        else if (ok && has_prev && strict && h.epoch != prev.epoch)
            snprintf(text, sizeof text, "epoch %llu, the file before it has %llu",
                     (unsigned long long)h.epoch, (unsigned long long)prev.epoch);
        else if (ok && has_prev && strict && h.prev_bytes != prev_size)
            snprintf(text, sizeof text, "expects %llu bytes in the file before it, which has %llu",
                     (unsigned long long)h.prev_bytes, (unsigned long long)prev_size);
        else if (ok && has_prev && strict && h.first != prev_end.next_number)
            snprintf(text, sizeof text, "starts at record %llu, the file before it ends at %llu",
                     (unsigned long long)h.first, (unsigned long long)prev_end.next_number);
        if (*text)
            say(r, true, path, text);
        prev = h, prev_end = end, prev_size = size, has_prev = ok;
        if (ok && ret_next)
            *ret_next = MAX(*ret_next, end.next_number);
    }
    say_strangers(r, &n, dir, known);
    names_done(&n);
    return OK;
}

/* ---- ilog ---- */

typedef struct LaneCheck {
    FsckReport *r;
    const char *dir;
    U64Map next; /* lane -> position expected */
} LaneCheck;

static Err check_position(void *arg, const RecHead *h, Str body, Why *why)
{
    (void)body, (void)why;
    LaneCheck *c = arg;
    u64 *next = u64map_find(&c->next, h->lane);
    /* Upwards jumps are legal between segments (positions given up by a trim past the tail). */
    if (next && h->seq < *next) {
        char text[160];
        snprintf(text, sizeof text, "record %llu: lane %u goes back from position %llu to %llu",
                 (unsigned long long)h->number, h->lane, (unsigned long long)*next,
                 (unsigned long long)h->seq);
        say(c->r, true, c->dir, text);
    }
    u64map_put(&c->next, h->lane, h->seq + 1);
    return OK;
}

Err fsck_ilog(Vfs *vfs, const char *dir, FsckReport *r, Why *why)
{
    LaneCheck c = {.r = r, .dir = dir};
    Err e = check_chain(vfs, dir, RECFILE_ILOG, ".seg", "ballast", true, check_position, &c, r, NULL, why);
    u64map_done(&c.next);
    return e;
}

/* ---- outbox ---- */

typedef struct OpCheck {
    FsckReport *r;
    const char *path;
} OpCheck;

static Err check_op(void *arg, const RecHead *h, Str body, Why *why)
{
    (void)why;
    OpCheck *c = arg;
    OutboxChange change;
    if (!outbox_change_decode(h, body, &change)) {
        char text[96];
        snprintf(text, sizeof text, "record %llu (type %u) makes no sense", (unsigned long long)h->number,
                 h->type);
        say(c->r, true, c->path, text);
    }
    return OK;
}

Err fsck_outbox(Vfs *vfs, const char *dir, FsckReport *r, Why *why)
{
    Names n;
    TRY(names_load(vfs, dir, ".obx", &n, why));
    if (!n.numbers.len)
        say(r, false, dir, "no outbox here");
    for (size_t i = 0; i < n.numbers.len; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%020llu.obx", dir, (unsigned long long)n.numbers.at[i]);
        if (i + 1 < n.numbers.len) {
            say(r, false, path, "replaced by a newer one; the next start removes it");
            continue;
        }
        RecFileHead h;
        RecEnd end = {0};
        u64 size = 0;
        OpCheck c = {r, path};
        /* It was whole before it got its name: a damaged head is never the work of a crash. */
        u64 errors = r->errors, warnings = r->warnings;
        if (!check_recfile(&(RecCheck){vfs, r, RECFILE_OUTBOX, path, check_op, &c}, true, &h, &end, &size) &&
            r->errors == errors && r->warnings > warnings)
            r->errors++, r->warnings--;
    }
    say_strangers(r, &n, dir, "log"); /* the alerts' log has its own check */
    names_done(&n);
    return OK;
}

/* ---- spool ---- */

typedef struct CursorCheck {
    FsckReport *r;
    const char *path;
    u64 tail;
} CursorCheck;

static void check_cursor(void *arg, Str name, u64 seq)
{
    CursorCheck *c = arg;
    char text[256];
    if (seq <= c->tail)
        return;
    snprintf(text, sizeof text, "%.*s is at %llu, the spool ends at %llu: the next start goes on above it",
             STR_FMT(name), (unsigned long long)seq, (unsigned long long)c->tail);
    say(c->r, false, c->path, text);
}

Err fsck_spool(Vfs *vfs, const char *dir, FsckReport *r, Why *why)
{
    CursorCheck c = {.r = r, .tail = 1};
    TRY(check_chain(vfs, dir, RECFILE_SPOOL, ".spl", "cursors", false, record_is_fine, NULL, r, &c.tail,
                    why));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/cursors", dir);
    c.path = path;
    Buf text;
    buf_init(&text, SPOOL_CURSORS_BYTES_MAX);
    Why own = {0};
    Err e = vfs_read_file(vfs, path, SPOOL_CURSORS_BYTES_MAX, &text, &own);
    if (e == OK) {
        r->checked_files++;
        r->checked_bytes += text.len;
        e = spool_cursors_decode(buf_view(&text), NULL, NULL, &own);
        if (e == OK)
            spool_cursors_decode(buf_view(&text), check_cursor, &c, NULL);
    }
    if (e != OK && e != E_NOT_FOUND)
        say(r, true, path, own.text);
    buf_done(&text);
    return OK;
}

/* ---- manifests of a directory bucket ---- */

Err fsck_bucket_manifest(Vfs *vfs, const char *dir, Str name, FsckReport *r, Why *why)
{
    char root[PATH_MAX];
    if (snprintf(root, sizeof root, "%s/m/%.*s", dir, STR_FMT(name)) >= PATH_MAX - 32)
        return why_set(why, E_INVALID, "the path is too long");
    Names n;
    Err e = names_load(vfs, root, "", &n, why);
    if (e == E_NOT_FOUND) /* nothing was committed yet */
        return OK;
    TRY(e);
    for (size_t i = 0; i < n.numbers.len; i++) {
        char path[PATH_MAX + 32];
        snprintf(path, sizeof path, "%s/%020llu", root, (unsigned long long)n.numbers.at[i]);
        Buf object;
        buf_init(&object, 2 * ((size_t)MANIFEST_BYTES_MAX + MANIFEST_HEAD_BYTES + 8));
        Why own = {0};
        Str bytes;
        u32 bad = 0;
        e = vfs_read_file(vfs, path, object.max, &object, &own);
        r->checked_files++;
        r->checked_bytes += object.len;
        if (e == OK)
            e = manifest_decode(buf_view(&object), n.numbers.at[i], &bytes, &bad, &own);
        if (e != OK)
            say(r, true, path, own.text);
        else if (bad)
            say(r, true, path, "one of its two copies is damaged; the other one serves");
        buf_done(&object);
    }
    say_strangers(r, &n, root, "");
    names_done(&n);
    return OK;
}
