#include "store/spool_int.h"

/* Lines "<seq> <name>", then "crc <8 hex digits>" over all bytes before that line. */

static bool parse_number(Str s, u32 base, u64 *ret)
{
    u64 v = 0;
    if (!s.len || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        u32 digit = c >= '0' && c <= '9' ? (u32)(c - '0') : c >= 'a' && c <= 'f' ? (u32)(c - 'a') + 10 : 99;
        if (digit >= base || v > (UINT64_MAX - digit) / base)
            return false;
        v = v * base + digit;
    }
    return *ret = v, true;
}

static bool is_name(Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == ':' || c == '-'))
            return false;
    }
    return s.len && s.len <= SPOOL_NAME_MAX;
}

Err spool_cursors_decode(Str text, void (*fn)(void *arg, Str name, u64 seq), void *arg, Why *why)
{
    if (!text.len)
        return OK;
    u64 crc;
    if (text.len < 13 || !parse_number(str_sub(text, text.len - 9, text.len - 1), 16, &crc) ||
        text.at[text.len - 1] != '\n' || !str_eq(str_sub(text, text.len - 13, text.len - 9), S("crc ")) ||
        crc != crc32c(0, text.at, text.len - 13))
        return why_set(why, E_CORRUPT, "cursors: cut or its checksum is wrong");
    Str rest = str_sub(text, 0, text.len - 13), line, seq, name;
    u32 n = 0;
    while (str_cut(rest, '\n', &line, &rest)) {
        u64 at;
        n++;
        if (!str_cut(line, ' ', &seq, &name) || !parse_number(seq, 10, &at) || at >= REC_START_MAX ||
            !is_name(name))
            return why_at(why, E_CORRUPT, n, 1, "cursors: expected «number name»");
        if (fn)
            fn(arg, name, at);
    }
    return OK;
}

Err spool_name_check(Str name, Why *why)
{
    return is_name(name)
               ? OK
               : why_set(why, E_INVALID, "a cursor's name has 1 to %d of [a-zA-Z0-9._:-]", SPOOL_NAME_MAX);
}
