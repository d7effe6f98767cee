/* cxx: what only C++ libraries do well, behind plain C: exact number conversion (std::to_chars, std::from_chars) and
 * RE2. Private to text/; everyone else uses text.h. regex.cc is the only C++ file of the house, so this header
 * includes nothing of ours.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Shortest digits that round-trip, in scientific form ("1.5e+00", "5e-324"). Finite v only. Returns the number of
 * bytes written (no NUL), 0 when cap is too small; 32 always suffices. */
size_t cxx_to_chars_shortest(double v, char *buf, size_t cap);
/* The same digits without an exponent ("1.5", "0.001"), for 1e-5 < |v| < 2^53; then 32 suffice too. */
size_t cxx_to_chars_fixed(double v, char *buf, size_t cap);
/* Exactly prec digits after the point (fmt 'e', 'f') or prec significant digits ('g', C's rules). Correctly rounded.
 * Finite v only. 'f' of the largest double needs 310 bytes plus prec. 0 when cap is too small or fmt is unknown. */
size_t cxx_to_chars_prec(double v, char fmt, int prec, char *buf, size_t cap);
/* Reads the longest number at `at`: optional '-', digits, point, exponent; hex without its 0x prefix. No leading '+'
 * or space. Returns the bytes consumed, 0 when there is no number. Out of range gives +-HUGE_VAL or +-0 and still
 * counts as consumed. */
size_t cxx_from_chars(const char *at, size_t len, bool hex, double *ret);

typedef struct CxxRe2 CxxRe2;
typedef struct CxxSpan {
    const char *at; /* NULL: the group did not take part */
    size_t len;
} CxxSpan;
/* NULL on failure; err then holds the sentence, worded as Go words it. */
CxxRe2 *cxx_re2_new(const char *pattern, size_t len, size_t memory_max, char *err, size_t err_cap);
void cxx_re2_free(CxxRe2 *r);
int cxx_re2_groups(const CxxRe2 *r);
int cxx_re2_group_index(const CxxRe2 *r, const char *name, size_t len);
/* n spans, 0 = only whether it matches. both_ends: the match must be all of [from, len). */
bool cxx_re2_match(const CxxRe2 *r, const char *at, size_t len, size_t from, bool both_ends, CxxSpan *ret,
                   int n);

#ifdef __cplusplus
}
#endif
