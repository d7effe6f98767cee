#include "base/str.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"

int str_cmp(Str a, Str b)
{
    size_t n = MIN(a.len, b.len);
    int c = n ? memcmp(a.at, b.at, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_eq_nocase(Str a, Str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool str_starts(Str s, Str prefix)
{
    return s.len >= prefix.len && (!prefix.len || memcmp(s.at, prefix.at, prefix.len) == 0);
}

bool str_ends(Str s, Str suffix)
{
    return s.len >= suffix.len &&
           (!suffix.len || memcmp(s.at + s.len - suffix.len, suffix.at, suffix.len) == 0);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

Str str_trim(Str s)
{
    while (s.len && is_blank(s.at[0]))
        s.at++, s.len--;
    while (s.len && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

Str str_skip(Str s, size_t n)
{
    n = MIN(n, s.len);
    return (Str){n ? s.at + n : s.at, s.len - n}; /* nothing is ever added to a NULL */
}

Str str_sub(Str s, size_t from, size_t to)
{
    to = MIN(to, s.len);
    from = MIN(from, to);
    return (Str){from ? s.at + from : s.at, to - from};
}

size_t str_find_char(Str s, char c)
{
    const char *p = s.len ? memchr(s.at, c, s.len) : NULL;
    return p ? (size_t)(p - s.at) : SIZE_MAX;
}

size_t str_find(Str s, Str needle)
{
    if (!needle.len)
        return 0;
    const char *p = s.len ? memmem(s.at, s.len, needle.at, needle.len) : NULL;
    return p ? (size_t)(p - s.at) : SIZE_MAX;
}

bool str_cut(Str s, char sep, Str *ret_head, Str *ret_tail)
{
    size_t at = str_find_char(s, sep);
    if (at == SIZE_MAX) {
        *ret_head = s;
        *ret_tail = (Str){s.at + s.len, 0};
        return false;
    }
    *ret_head = (Str){s.at, at};
    *ret_tail = (Str){s.at + at + 1, s.len - at - 1};
    return true;
}

size_t str_rune(Str s, u32 *ret)
{
    if (!s.len)
        return 0;
    const u8 *p = (const u8 *)s.at;
    u32 c = p[0];
    if (c < 0x80)
        return *ret = c, 1;
    u32 n = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
    if (!n || s.len < n)
        return *ret = 0xfffd, 1;
    u32 r = c & (0xffu >> (n + 1));
    for (u32 i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return *ret = 0xfffd, 1;
        r = r << 6 | (p[i] & 0x3f);
    }
    bool bad =
        (n == 3 && r < 0x800) || (n == 4 && (r < 0x10000 || r > 0x10ffff)) || (r >= 0xd800 && r < 0xe000);
    if (bad)
        return *ret = 0xfffd, 1;
    return *ret = r, n;
}

size_t rune_encode(u32 r, char out[4])
{
    if (r > 0x10ffff || (r >= 0xd800 && r < 0xe000))
        r = 0xfffd;
    if (r < 0x80)
        return out[0] = (char)r, 1;
    if (r < 0x800) {
        out[0] = (char)(0xc0 | r >> 6), out[1] = (char)(0x80 | (r & 0x3f));
        return 2;
    }
    if (r < 0x10000) {
        out[0] = (char)(0xe0 | r >> 12), out[1] = (char)(0x80 | (r >> 6 & 0x3f)),
        out[2] = (char)(0x80 | (r & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | r >> 18), out[1] = (char)(0x80 | (r >> 12 & 0x3f));
    out[2] = (char)(0x80 | (r >> 6 & 0x3f)), out[3] = (char)(0x80 | (r & 0x3f));
    return 4;
}

int str_order(const void *a, const void *b)
{
    return str_cmp(*(const Str *)a, *(const Str *)b);
}

int u64_order(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;
    return (x > y) - (x < y);
}

void str_fit(char *ret, size_t cap, const char *text)
{
    size_t n = strnlen(text, cap);
    if (n == cap)
        for (n = cap - 1; n && ((u8)text[n] & 0xc0) == 0x80;)
            n--;
    memcpy(ret, text, n);
    ret[n] = 0;
}

bool str_is_utf8(Str s)
{
    while (s.len) {
        if ((u8)s.at[0] < 0x80) {
            s.at++, s.len--;
            continue;
        }
        u32 r;
        size_t n = str_rune(s, &r);
        if (n == 1) /* only invalid bytes above 0x7f take one */
            return false;
        s = str_skip(s, n);
    }
    return true;
}

size_t str_rune_prefix(Str s, size_t runes)
{
    size_t at = 0;
    u32 r;
    while (runes-- && at < s.len)
        at += str_rune(str_skip(s, at), &r);
    return at;
}

size_t str_rune_count(Str s)
{
    size_t n = 0;
    u32 r;
    for (size_t at = 0; at < s.len; n++)
        at += str_rune(str_skip(s, at), &r);
    return n;
}

u64 hash_bytes(const void *at, size_t len, u64 seed)
{
    return XXH3_64bits_withSeed(at, len, seed);
}

/* CRC-32C (polynomial 0x1EDC6F41, reflected 0x82F63B78): the processor's instruction where it has one, else by tables of eight. */
static u32 crc_table[8][256];

__attribute__((constructor)) static void crc_fill(void)
{
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
        crc_table[0][i] = c;
    }
    for (u32 i = 0; i < 256; i++)
        for (u32 t = 1; t < 8; t++)
            crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 0xff];
}

static u32 crc32c_soft(u32 crc, const u8 *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8) {
        u32 lo, hi;
        memcpy(&lo, p, 4);
        memcpy(&hi, p + 4, 4);
        lo ^= crc;
        crc = crc_table[7][lo & 0xff] ^ crc_table[6][lo >> 8 & 0xff] ^ crc_table[5][lo >> 16 & 0xff] ^
              crc_table[4][lo >> 24] ^ crc_table[3][hi & 0xff] ^ crc_table[2][hi >> 8 & 0xff] ^
              crc_table[1][hi >> 16 & 0xff] ^ crc_table[0][hi >> 24];
    }
    while (n--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 0xff];
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static u32 crc32c_sse42(u32 crc, const u8 *p, size_t n)
{
    u64 c = crc;
    for (; n >= 8; n -= 8, p += 8) {
        u64 w;
        memcpy(&w, p, 8);
        c = __builtin_ia32_crc32di(c, w);
    }
    while (n--)
        c = __builtin_ia32_crc32qi((u32)c, *p++);
    return (u32)c;
}
#endif

u32 crc32c(u32 crc, const void *at, size_t len)
{
    crc = ~crc;
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_sse42(crc, at, len);
#endif
    return ~crc32c_soft(crc, at, len);
}

void random_bytes(void *at, size_t len)
{
    u8 *p = at;
    while (len) {
        ssize_t n = getrandom(p, MIN(len, (size_t)256), 0);
        if (n < 0)
            continue; /* EINTR */
        p += n, len -= (size_t)n;
    }
}

u64 random_u64(void)
{
    static _Thread_local u64 state[2]; /* xorshift128+, seeded by the kernel */
    if (!state[0] && !state[1])
        random_bytes(state, sizeof state);
    u64 a = state[0], b = state[1];
    state[0] = b;
    a ^= a << 23;
    state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return state[1] + b;
}

static size_t edit_distance(Str a, Str b, size_t max)
{
    if (a.len > 63 || b.len > 63 || (a.len > b.len ? a.len - b.len : b.len - a.len) > max)
        return max + 1;
    size_t row[64];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t substitute = diagonal + (lower(a.at[i - 1]) != lower(b.at[j - 1]));
            diagonal = row[j];
            row[j] = MIN(substitute, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

Str str_nearest(Str word, const Str *candidates, size_t n)
{
    Str best = {0};
    size_t best_distance = MIN((size_t)4, word.len / 2 + 1);
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(word, candidates[i], 3);
        if (d < best_distance)
            best_distance = d, best = candidates[i];
    }
    return best;
}
