/* Upper and lower case as Go's strings package has them, for the alphabets with simple rules. */
#include "text/text.h"

typedef struct CaseRange {
    u32 from, to; /* of the upper-case letters */
    i32 delta;    /* added to get lower case; 1 = upper and lower case alternate, starting with upper case */
} CaseRange;
static const CaseRange case_ranges[] = {
    {0x00c0, 0x00d6, 32}, {0x00d8, 0x00de, 32}, {0x0100, 0x012e, 1},    {0x0132, 0x0136, 1},
    {0x0139, 0x0147, 1},  {0x014a, 0x0176, 1},  {0x0178, 0x0178, -121}, {0x0179, 0x017d, 1},
    {0x0386, 0x0386, 38}, {0x0388, 0x038a, 37}, {0x038c, 0x038c, 64},   {0x038e, 0x038f, 63},
    {0x0391, 0x03a1, 32}, {0x03a3, 0x03ab, 32}, {0x0400, 0x040f, 80},   {0x0410, 0x042f, 32},
    {0x0460, 0x0480, 1},  {0x048a, 0x04be, 1},  {0x04d0, 0x052e, 1},    {0x0531, 0x0556, 48},
    {0x1e00, 0x1e94, 1},  {0x1ea0, 0x1efe, 1},  {0xff21, 0xff3a, 32},
};

u32 rune_lower(u32 r)
{
    if (r < 0x80)
        return r >= 'A' && r <= 'Z' ? r + 32 : r;
    for (size_t i = 0; i < COUNT_OF(case_ranges); i++) {
        const CaseRange *c = &case_ranges[i];
        if (r < c->from || r > c->to)
            continue;
        if (c->delta == 1)
            return (r - c->from) % 2 == 0 ? r + 1 : r;
        return (u32)((i32)r + c->delta);
    }
    return r;
}

u32 rune_upper(u32 r)
{
    if (r < 0x80)
        return r >= 'a' && r <= 'z' ? r - 32 : r;
    if (r == 0x3c2)
        return 0x3a3; /* final sigma */
    if (r == 0xb5)
        return 0x39c; /* micro sign */
    for (size_t i = 0; i < COUNT_OF(case_ranges); i++) {
        const CaseRange *c = &case_ranges[i];
        if (c->delta == 1) {
            if (r > c->from && r <= c->to + 1 && (r - c->from) % 2 == 1)
                return r - 1;
        } else if (r >= (u32)((i32)c->from + c->delta) && r <= (u32)((i32)c->to + c->delta)) {
            return (u32)((i32)r - c->delta);
        }
    }
    return r;
}

bool rune_is_letter(u32 r)
{
    return (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || r == '_' ||
           r == '\'' ||
           (r >= 0xc0 && r != 0xd7 && r != 0xf7 && !(r >= 0x2000 && r < 0x2070) && r != 0x3000 &&
            r != 0xfffd);
}

typedef enum Mode { UPPER, LOWER, TITLE, TITLE_LOWER } Mode;

static void convert(Buf *out, Str s, Mode mode)
{
    bool inside = false;
    while (s.len) {
        u32 rune;
        char utf8[4];
        size_t used = str_rune(s, &rune);
        bool valid = used > 1 || (u8)s.at[0] < 0x80;
        bool up = mode == UPPER || (mode >= TITLE && !inside),
             down = mode == LOWER || (mode == TITLE_LOWER && inside);
        u32 to = up ? rune_upper(rune) : down ? rune_lower(rune) : rune;
        inside = rune_is_letter(rune);
        if (!valid || to == rune)
            buf_put(out, s.at, used);
        else
            buf_put(out, utf8, rune_encode(to, utf8));
        s = str_skip(s, used);
    }
}

void text_upper(Buf *out, Str s)
{
    convert(out, s, UPPER);
}
void text_lower(Buf *out, Str s)
{
    convert(out, s, LOWER);
}
void text_title(Buf *out, Str s, bool lower_rest)
{
    convert(out, s, lower_rest ? TITLE_LOWER : TITLE);
}
