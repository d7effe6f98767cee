#include "metrics/blocks/impl.h"

enum { BUFFER_BYTES = 1 << 20 };

void fw_open(FileWriter *w, Vfs *v, const char *path)
{
    *w = (FileWriter){0};
    buf_init(&w->b, 2 * BUFFER_BYTES);
    w->err = v->open(v, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &w->f, &w->why);
}

static void flush(FileWriter *w)
{
    if (w->err == OK && w->b.len)
        w->err = w->f->vfs->pwrite(w->f, w->at - w->b.len, w->b.at, w->b.len, &w->why);
    buf_clear(&w->b);
}

void fw_put(FileWriter *w, const void *at, size_t n)
{
    w->crc = crc32c(w->crc, at, n);
    for (const char *from = at; n;) {
        size_t part = MIN(n, (size_t)BUFFER_BYTES);
        buf_put(&w->b, from, part);
        w->at += part;
        from += part;
        n -= part;
        if (w->b.len >= BUFFER_BYTES)
            flush(w);
    }
}

void fw_be32(FileWriter *w, u32 v)
{
    u8 at[4];
    put_be32(at, v);
    fw_put(w, at, 4);
}

void fw_be64(FileWriter *w, u64 v)
{
    fw_be32(w, (u32)(v >> 32));
    fw_be32(w, (u32)v);
}

void fw_uvarint(FileWriter *w, u64 v)
{
    u8 at[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        at[n++] = (u8)(v | 0x80);
    at[n++] = (u8)v;
    fw_put(w, at, n);
}

void fw_str(FileWriter *w, Str s)
{
    fw_uvarint(w, s.len);
    fw_put(w, s.at, s.len);
}

void fw_align(FileWriter *w, u32 to)
{
    static const u8 zeros[64];
    fw_put(w, zeros, (to - w->at % to) % to);
}

void fw_crc_from(FileWriter *w)
{
    w->crc = 0;
}

void fw_crc_put(FileWriter *w)
{
    fw_be32(w, w->crc);
}

Err fw_close(FileWriter *w, Why *why)
{
    if (!w->f && w->err == OK)
        return OK; /* never opened */
    flush(w);
    if (w->err == OK)
        w->err = w->f->vfs->sync(w->f, &w->why);
    if (w->f)
        w->f->vfs->close(w->f);
    w->f = NULL;
    buf_done(&w->b);
    if (w->err != OK && why)
        *why = w->why;
    return w->err;
}
