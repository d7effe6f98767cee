/* Borrowed byte slices, hashing, and the small integer helpers everything uses.
 *
 * A Str never owns its bytes and promises no NUL. Whoever hands one out says how long it lives.
 * Compare by content with str_eq/str_cmp (unsigned bytes, as memcmp: the order label sets sort in).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef double f64;

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)   ((a) < (b) ? (a) : (b))
#define MAX(a, b)   ((a) > (b) ? (a) : (b))

typedef struct Str {
    const char *at;
    size_t len;
} Str;

#define S(lit)        ((Str){"" lit, sizeof(lit) - 1})
#define STR_INIT(lit) {"" lit, sizeof(lit) - 1} /* for static initialisers */
#define STR_FMT(s)    (int)(s).len, (s).at      /* for "%.*s" */

static inline Str str_of(const char *at, size_t len)
{
    return (Str){at, len};
}
static inline Str str_c(const char *c)
{
    return (Str){c ? c : "", c ? strlen(c) : 0};
}
static inline bool str_eq(Str a, Str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}
static inline bool str_empty(Str a)
{
    return a.len == 0;
}

int str_cmp(Str a, Str b);
bool str_eq_nocase(Str a, Str b); /* ASCII only */
bool str_starts(Str s, Str prefix);
bool str_ends(Str s, Str suffix);
Str str_trim(Str s);                        /* spaces, tabs, CR, LF at both ends */
Str str_skip(Str s, size_t n);              /* without the first n bytes (n may exceed) */
Str str_sub(Str s, size_t from, size_t to); /* clamped to s */
size_t str_find_char(Str s, char c);        /* SIZE_MAX when absent */
size_t str_find(Str s, Str needle);         /* SIZE_MAX when absent */
/* Splits at the first sep: head gets what is before it (or all), tail the rest. True when sep was there. */
bool str_cut(Str s, char sep, Str *ret_head, Str *ret_tail);
/* Value of a digit to the base 16 (and so to any smaller one); 16 when it is none. */
static inline u32 hex_digit(char c)
{
    char low = (char)(c | 0x20);
    return c >= '0' && c <= '9' ? (u32)(c - '0') : low >= 'a' && low <= 'f' ? (u32)(low - 'a' + 10) : 16;
}
bool str_is_utf8(Str s);
/* Bytes of the longest prefix of s that holds at most `runes` code points. */
size_t str_rune_prefix(Str s, size_t runes);
size_t str_rune_count(Str s);
/* Decodes one code point at s; returns bytes used (1 and U+FFFD for an invalid byte, 0 for empty). */
size_t str_rune(Str s, u32 *ret_rune);
size_t rune_encode(u32 rune, char ret_utf8[4]);
/* As much of text as fits into an array of cap bytes, NUL-terminated; a code point that does not fit whole is left out. */
void str_fit(char *ret, size_t cap, const char *text);

/* XXH3, 64 bits. Stable across runs and machines: hashes may be stored. */
u64 hash_bytes(const void *at, size_t len, u64 seed);
static inline u64 hash_str(Str s)
{
    return hash_bytes(s.at, s.len, 0);
}
u32 crc32c(u32 crc, const void *at, size_t len); /* Castagnoli; start with 0 */
u64 random_u64(void);                            /* from the kernel; fast, per thread */
void random_bytes(void *at, size_t len);

/* For qsort and bsearch over arrays of these. */
int str_order(const void *a, const void *b);
int u64_order(const void *a, const void *b);

/* Levenshtein-nearest of n candidates within distance 3, for "did you mean"; empty when none is near. */
Str str_nearest(Str word, const Str *candidates, size_t n);
