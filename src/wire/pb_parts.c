#include "wire/pb_parts.h"

void *pb_take(Arena *a, size_t elem_bytes, size_t n)
{
    static char none[16];
    return n ? arena_try(a, elem_bytes * n) : none;
}

bool pb_label(PbReader *r, Str msg, Label *ret)
{
    *ret = (Label){S(""), S("")};
    pb_init(r, msg);
    while (pb_next(r)) {
        if (r->field == 1 && pb_expect(r, PB_BYTES))
            ret->name = r->bytes;
        else if (r->field == 2 && pb_expect(r, PB_BYTES))
            ret->value = r->bytes;
    }
    return !r->is_bad;
}

bool pb_span(PbReader *r, Str msg, HistSpan *ret)
{
    *ret = (HistSpan){0};
    pb_init(r, msg);
    while (pb_next(r)) {
        if (r->field == 1 && pb_expect(r, PB_VARINT))
            ret->offset = (i32)pb_sint(r->num);
        else if (r->field == 2 && pb_expect(r, PB_VARINT))
            ret->length = (u32)MIN(r->num, (u64)UINT32_MAX);
    }
    return !r->is_bad;
}

u32 pb_count(Str msg, u32 field, u8 type)
{
    PbReader r;
    u32 n = 0;
    pb_init(&r, msg);
    while (pb_next(&r))
        n += r.field == field && r.type == type;
    return n;
}

static u32 count_varints(Str s)
{
    u32 n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += (u8)s.at[i] < 0x80;
    return n;
}

u32 pb_numbers_len(Str msg, u32 field, u8 item_type)
{
    PbReader r;
    u32 n = 0;
    pb_init(&r, msg);
    while (pb_next(&r))
        if (r.field == field)
            n += r.type != PB_BYTES        ? 1
                 : item_type == PB_FIXED64 ? (u32)(r.bytes.len / 8)
                                           : count_varints(r.bytes);
    return n;
}

static bool delta_add(PbNumbers *to, u64 zz)
{
    if (__builtin_add_overflow(to->last, pb_sint(zz), &to->last) || to->last > (i64)EXACT_INT_MAX ||
        to->last < -(i64)EXACT_INT_MAX)
        return false;
    to->at[to->len++] = (f64)to->last;
    return true;
}

bool pb_deltas(const PbReader *r, PbNumbers *to)
{
    if (r->type == PB_VARINT)
        return delta_add(to, r->num);
    if (r->type != PB_BYTES)
        return false;
    u64 v;
    const u8 *at = (const u8 *)r->bytes.at, *end = at + r->bytes.len;
    for (size_t used; at < end; at += used)
        if (!(used = uvarint_get(at, end, &v)) || !delta_add(to, v))
            return false;
    return true;
}

bool pb_doubles(const PbReader *r, PbNumbers *to)
{
    if (r->type == PB_FIXED64) {
        to->at[to->len++] = pb_f64(r->num);
        return true;
    }
    if (r->type != PB_BYTES || r->bytes.len % 8)
        return false;
    memcpy(to->at + to->len, r->bytes.at, r->bytes.len);
    to->len += (u32)(r->bytes.len / 8);
    return true;
}
