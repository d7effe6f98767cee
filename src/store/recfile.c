#include "store/recfile.h"

#include <stdio.h>

/* File head: 0 magic, 8 kind, 12 crc of [16, 72 + ext), 16 version, 20 ext bytes, 24 epoch, 32 salt, 40 first,
 * 48 prev_bytes, 56 created, 64 prev_first. */
static const char file_magic[8] = {'P', 'H', 'A', 'R', 'O', 'S', 'R', '0'};
#define REC_MAGIC 0x43455250u /* "PREC" */

void recfile_head_encode(Buf *out, const RecFileHead *h, Str ext)
{
    check(ext.len <= RECFILE_EXT_MAX);
    u8 b[RECFILE_HEAD_BYTES] = {0};
    memcpy(b, file_magic, 8);
    put_u32(b + 8, h->kind);
    put_u32(b + 20, (u32)ext.len);
    put_u64(b + 24, h->epoch);
    put_u64(b + 32, h->salt);
    put_u64(b + 40, h->first);
    put_u64(b + 48, h->prev_bytes);
    put_u64(b + 56, (u64)h->created_ns);
    put_u64(b + 64, h->prev_first);
    put_u32(b + 12, crc32c(crc32c(0, b + 16, sizeof b - 16), ext.at, ext.len));
    buf_put(out, b, sizeof b);
    buf_str(out, ext);
    static const u8 zeros[8];
    buf_put(out, zeros, -ext.len & 7);
}

Err recfile_head_load(File *f, const char *path, u32 kind, RecFileHead *ret, Buf *ext, Why *why)
{
    u8 b[RECFILE_HEAD_BYTES];
    u64 size;
    TRY(f->vfs->size(f, &size, why));
    if (size < sizeof b)
        return why_set(why, E_CORRUPT, "%s: %llu bytes are too few for a head of %d", path,
                       (unsigned long long)size, RECFILE_HEAD_BYTES);
    TRY(vfs_read_exact(f, 0, b, sizeof b, why));
    if (memcmp(b, file_magic, 8) != 0)
        return why_set(why, E_CORRUPT, "%s: not a record file: its first 8 bytes are wrong", path);
    u32 ext_len = get_u32(b + 20);
    if (ext_len > RECFILE_EXT_MAX || sizeof b + ext_len > size)
        return why_set(why, E_CORRUPT, "%s: head says %u bytes of extension, the file has %llu in all", path,
                       ext_len, (unsigned long long)size);
    u8 *ext_at = mem_alloc(ext_len + 1);
    Err e = vfs_read_exact(f, sizeof b, ext_at, ext_len, why);
    if (e == OK && crc32c(crc32c(0, b + 16, sizeof b - 16), ext_at, ext_len) != get_u32(b + 12))
        e = why_set(why, E_CORRUPT, "%s: checksum of the head is wrong", path);
    if (e == OK && get_u32(b + 16) != 0)
        e = why_set(why, E_UNSUPPORTED, "%s: format version %u, this program knows version 0", path,
                    get_u32(b + 16));
    if (e == OK && get_u32(b + 8) != kind)
        e = why_set(why, E_CORRUPT, "%s: a file of kind %.4s, expected %.4s", path, (const char *)b + 8,
                    (const char *)(const u32[]){kind});
    if (e == OK && get_u64(b + 40) >= REC_START_MAX)
        e = why_set(why, E_CORRUPT, "%s: its head says that it starts at record %llu", path,
                    (unsigned long long)get_u64(b + 40));
    if (e == OK) {
        *ret = (RecFileHead){.kind = kind,
                             .epoch = get_u64(b + 24),
                             .salt = get_u64(b + 32),
                             .first = get_u64(b + 40),
                             .prev_bytes = get_u64(b + 48),
                             .created_ns = (i64)get_u64(b + 56),
                             .prev_first = get_u64(b + 64),
                             .head_bytes = sizeof b + ((ext_len + 7) & ~7u)};
        if (ext)
            buf_put(ext, ext_at, ext_len);
    }
    mem_free(ext_at);
    return e;
}

/* Record head: 0 magic, 4 crc of [8, 72), 8 len, 12 body crc, 16 salt, 24 number, 32 synced, 40 type, 44 lane, 48 seq,
 * 56 aux, 64 name bytes, 65 flags, 66 reserved. */
void rec_head_encode(u8 at[REC_HEAD_BYTES], const RecHead *h, u64 salt)
{
    put_u32(at, REC_MAGIC);
    put_u32(at + 8, h->len);
    put_u32(at + 12, h->body_crc);
    put_u64(at + 16, salt);
    put_u64(at + 24, h->number);
    put_u64(at + 32, h->synced);
    put_u32(at + 40, h->type);
    put_u32(at + 44, h->lane);
    put_u64(at + 48, h->seq);
    put_u64(at + 56, h->aux);
    at[64] = h->name_len;
    at[65] = h->flags;
    memset(at + 66, 0, 6);
    put_u32(at + 4, crc32c(0, at + 8, REC_HEAD_BYTES - 8));
}

bool rec_head_decode(const u8 at[REC_HEAD_BYTES], u64 salt, RecHead *ret)
{
    if (get_u32(at) != REC_MAGIC || get_u64(at + 16) != salt ||
        crc32c(0, at + 8, REC_HEAD_BYTES - 8) != get_u32(at + 4))
        return false;
    *ret = (RecHead){.len = get_u32(at + 8),
                     .body_crc = get_u32(at + 12),
                     .number = get_u64(at + 24),
                     .synced = get_u64(at + 32),
                     .type = get_u32(at + 40),
                     .lane = get_u32(at + 44),
                     .seq = get_u64(at + 48),
                     .aux = get_u64(at + 56),
                     .name_len = at[64],
                     .flags = at[65]};
    return ret->number < REC_NUMBER_MAX && ret->seq < REC_NUMBER_MAX && ret->len <= REC_BODY_MAX &&
           ret->name_len <= REC_NAME_MAX && ret->name_len <= ret->len;
}

enum { READ_AHEAD = 256 << 10 };

void recreader_init(RecReader *r, File *f, const char *path, u64 salt, u64 at, u64 end, u64 number)
{
    *r = (RecReader){.file = f, .path = path, .salt = salt, .at = at, .end = end, .number = number};
}

void recreader_done(RecReader *r)
{
    mem_free(r->buf);
    r->buf = NULL;
}

/* Makes [off, off + n) available in the buffer, as far as the file goes; *ret_n is what there is of it. */
static Err fill(RecReader *r, u64 off, size_t n, const u8 **ret, size_t *ret_n, Why *why)
{
    if (!r->buf || off < r->buf_off || off + n > r->buf_off + r->buf_len) {
        size_t want = (size_t)MIN((u64)MAX(n, (size_t)READ_AHEAD), r->end - off);
        if (want > r->buf_cap) {
            mem_free(r->buf);
            r->buf_cap = MAX(want, (size_t)MIN((u64)READ_AHEAD, r->end));
            r->buf = mem_alloc(r->buf_cap);
        }
        r->buf_len = 0;
        r->buf_off = off;
        TRY(r->file->vfs->pread(r->file, off, r->buf, want, &r->buf_len, why));
    }
    *ret = r->buf + (off - r->buf_off);
    *ret_n = MIN(n, r->buf_len - (size_t)(off - r->buf_off));
    return OK;
}

static Err damaged(const RecReader *r, const char *what, Why *why)
{
    return why_set(why, E_CORRUPT, "%s: byte %llu: %s (record %llu)", r->path, (unsigned long long)r->at,
                   what, (unsigned long long)r->number);
}

Err recreader_next(RecReader *r, RecHead *ret, Str *ret_body, Why *why)
{
    if (r->at >= r->end)
        return E_NOT_FOUND;
    if (r->end - r->at < REC_HEAD_BYTES)
        return damaged(r, "the file ends inside a record's head", why);
    const u8 *at;
    size_t n;
    RecHead h;
    TRY(fill(r, r->at, REC_HEAD_BYTES, &at, &n, why));
    if (n < REC_HEAD_BYTES)
        return damaged(r, "the file ends inside a record's head", why);
    if (!rec_head_decode(at, r->salt, &h))
        return damaged(r, "not a record: magic, salt or checksum of its head is wrong", why);
    if (h.number != r->number)
        return damaged(
            r, h.number > r->number ? "records are missing before this one" : "a record out of order", why);
    size_t bytes = rec_bytes(h.len);
    if (r->end - r->at < bytes)
        return damaged(r, "the file ends inside a record's body", why);
    TRY(fill(r, r->at, bytes, &at, &n, why));
    if (n < bytes)
        return damaged(r, "the file ends inside a record's body", why);
    if (crc32c(0, at + REC_HEAD_BYTES, h.len) != h.body_crc)
        return damaged(r, "checksum of the record's body is wrong", why);
    r->at += bytes;
    r->number++;
    *ret = h;
    *ret_body = str_of((const char *)at + REC_HEAD_BYTES, h.len);
    return OK;
}

/* Looks for a valid record head from `off` on, at the places where records may start. */
static Err find_head(RecReader *r, u64 off, RecHead *ret, u64 *ret_off, Why *why)
{
    for (; off + REC_HEAD_BYTES <= r->end; off += 8) {
        const u8 *at;
        size_t n;
        TRY(fill(r, off, REC_HEAD_BYTES, &at, &n, why));
        if (n < REC_HEAD_BYTES)
            break;
        if (get_u32(at) == REC_MAGIC && rec_head_decode(at, r->salt, ret))
            return *ret_off = off, OK;
    }
    return E_NOT_FOUND;
}

Err recreader_judge(RecReader *r, Why *why)
{
    RecHead h;
    u64 off = r->at;
    for (;;) {
        Err e = find_head(r, off, &h, &off, why);
        if (e == E_NOT_FOUND)
            return OK;
        TRY(e);
        if (h.number >= r->number && h.synced >= r->number)
            return why_set(
                why, E_CORRUPT,
                "%s: byte %llu: record %llu is damaged, and record %llu at byte %llu proves that it had been "
                "on disk: not a torn tail. Run fsck, restore the file, or move it away to give its records "
                "up",
                r->path, (unsigned long long)r->at, (unsigned long long)r->number,
                (unsigned long long)h.number, (unsigned long long)off);
        off += 8;
    }
}

Err recreader_resync(RecReader *r, Why *why)
{
    RecHead h;
    u64 off = r->at;
    for (;;) {
        TRY(find_head(r, off, &h, &off, why));
        size_t bytes = rec_bytes(h.len);
        const u8 *at;
        size_t n;
        if (h.number >= r->number && h.number < REC_START_MAX && r->end - off >= bytes) {
            TRY(fill(r, off, bytes, &at, &n, why));
            if (n == bytes && crc32c(0, at + REC_HEAD_BYTES, h.len) == h.body_crc) {
                r->at = off;
                r->number = h.number;
                return OK;
            }
        }
        off += 8;
    }
}

Err recfile_recover(File *f, const char *path, const RecFileHead *h, bool repair, RecFn fn, void *arg,
                    RecEnd *ret, Why *why)
{
    Why own;
    why = why ? why : &own;
    u64 size;
    TRY(f->vfs->size(f, &size, why));
    RecReader r;
    recreader_init(&r, f, path, h->salt, h->head_bytes, size, h->first);
    RecHead head;
    Str body;
    Err e;
    RecEnd end = {0};
    while ((e = recreader_next(&r, &head, &body, why)) == OK) {
        bool is_marker = head.flags & REC_MARKER;
        end.marked = is_marker ? head.number : head.synced; /* a marker at the end needs no other */
        if (!is_marker && (e = fn(arg, &head, body, why)) != OK) {
            recreader_done(&r);
            return e;
        }
    }
    if (e == E_NOT_FOUND)
        e = OK;
    else if (e == E_CORRUPT) {
        Why torn = *why;
        e = recreader_judge(&r, why);
        if (e == OK) {
            end.cut_bytes = size - r.at;
            if (repair) {
                LOG_WARN("store", "Torn tail cut: it was never acknowledged", LF_INT("bytes", end.cut_bytes),
                         LF_WHY(&torn));
                e = f->vfs->truncate(f, r.at, why);
            }
        }
    }
    end.bytes = r.at;
    end.next_number = r.number;
    recreader_done(&r);
    *ret = end;
    return e;
}

Err recfile_holds_records(File *f, u64 size, bool *ret, Why *why)
{
    u8 *buf = mem_alloc(256 << 10);
    Err e = OK;
    *ret = false;
    for (u64 off = 0; off < size && e == OK && !*ret; off += (256 << 10) - 80) {
        size_t n;
        e = f->vfs->pread(f, off, buf, 256 << 10, &n, why);
        for (size_t i = 0; e == OK && i + REC_HEAD_BYTES <= n && !*ret; i += 8) {
            RecHead h;
            *ret = rec_head_decode(buf + i, get_u64(buf + i + 16), &h);
        }
    }
    mem_free(buf);
    return e;
}
