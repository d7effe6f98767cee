#include "wire/wire.h"

void pb_init(PbReader *r, Str bytes)
{
    *r = (PbReader){.at = (const u8 *)bytes.at, .end = (const u8 *)bytes.at + bytes.len};
}

static bool pb_bad(PbReader *r)
{
    r->is_bad = true;
    r->at = r->end;
    return false;
}

bool pb_next(PbReader *r)
{
    if (r->at >= r->end)
        return false;
    u64 key;
    size_t n = uvarint_get(r->at, r->end, &key);
    if (!n || key > UINT32_MAX || key >> 3 == 0)
        return pb_bad(r);
    r->at += n;
    r->field = (u32)(key >> 3);
    r->type = key & 7;
    switch (r->type) {
    case PB_VARINT:
        n = uvarint_get(r->at, r->end, &r->num);
        if (!n)
            return pb_bad(r);
        break;
    case PB_FIXED64:
        n = 8;
        if (r->end - r->at < 8)
            return pb_bad(r);
        memcpy(&r->num, r->at, 8);
        break;
    case PB_FIXED32: {
        u32 v;
        n = 4;
        if (r->end - r->at < 4)
            return pb_bad(r);
        memcpy(&v, r->at, 4);
        r->num = v;
        break;
    }
    case PB_BYTES: {
        u64 len;
        n = uvarint_get(r->at, r->end, &len);
        if (!n || len > (u64)(r->end - r->at) - n)
            return pb_bad(r);
        r->bytes = str_of((const char *)r->at + n, len);
        n += len;
        break;
    }
    default: /* groups are not used by any message we read */
        return pb_bad(r);
    }
    r->at += n;
    return true;
}

bool pb_expect(PbReader *r, u8 type)
{
    if (r->type == type)
        return true;
    return pb_bad(r);
}

void pb_put_varint(Buf *b, u64 v)
{
    if (!buf_reserve(b, 10))
        return;
    b->len += uvarint_put((u8 *)b->at + b->len, v);
}

static void pb_put_key(Buf *b, u32 field, u8 type)
{
    pb_put_varint(b, (u64)field << 3 | type);
}

void pb_put_u64(Buf *b, u32 field, u64 v)
{
    if (v) {
        pb_put_key(b, field, PB_VARINT);
        pb_put_varint(b, v);
    }
}

void pb_put_sint(Buf *b, u32 field, i64 v)
{
    pb_put_u64(b, field, zigzag(v));
}

void pb_put_f64_always(Buf *b, u32 field, f64 v)
{
    pb_put_key(b, field, PB_FIXED64);
    buf_put(b, &v, 8);
}

void pb_put_f64(Buf *b, u32 field, f64 v)
{
    if (f64_bits(v))
        pb_put_f64_always(b, field, v);
}

void pb_put_bytes(Buf *b, u32 field, Str v)
{
    if (v.len) {
        pb_put_key(b, field, PB_BYTES);
        pb_put_varint(b, v.len);
        buf_str(b, v);
    }
}

size_t pb_begin(Buf *b, u32 field)
{
    pb_put_key(b, field, PB_BYTES);
    buf_char(b, 0); /* room for the usual one-byte length */
    return b->len;
}

void pb_end(Buf *b, size_t mark)
{
    if (b->over)
        return;
    size_t len = b->len - mark;
    if (len < 0x80) {
        b->at[mark - 1] = (char)len;
        return;
    }
    u8 head[10];
    size_t n = uvarint_put(head, len);
    if (!buf_reserve(b, n - 1))
        return;
    memmove(b->at + mark + n - 1, b->at + mark, len);
    memcpy(b->at + mark - 1, head, n);
    b->len += n - 1;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "fixed-width fields are copied as they lie in memory");
