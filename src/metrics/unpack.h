/* The arithmetic of decoding: numbers of `width` bits back to 64, running sums, decimals to doubles.
 *
 * Each function comes in two forms, picked once by what the processor can do; `unpack_scalar` and `unpack_avx2` (NULL on a processor
 * without) are there so that tests hold them against each other. Both give the same bits for any input, hostile ones included:
 * all sums are modulo 2^64.
 */
#pragma once
#include "base/base.h"

#define UNPACK_EXP_BITS 15u /* in place of a power of ten: the numbers are the doubles' own bits */
#define UNPACK_EXP_MAX  14u

typedef struct Unpack {
    /* n numbers of width (0 to 64) bits, least significant bit first, from at; `avail` >= (n * width + 7) / 8 bytes may be read. */
    void (*bits)(const u8 *at, size_t avail, u32 width, u32 n, u64 *out);
    /* x[i] += base + x[i - 1], from x[0] = first + base + x[0] on. */
    void (*sums)(u64 *x, u32 n, u64 first, u64 base);
    /* In place: (f64)(i64)(x + base) / 10^exp, or only x + base under UNPACK_EXP_BITS. */
    void (*doubles)(u64 *x, u32 n, u64 base, u32 exp);
} Unpack;

extern const Unpack unpack_scalar;
const Unpack *unpack_avx2(void); /* NULL: not on this processor */
const Unpack *unpack_best(void);
extern const f64 unpack_pow10[UNPACK_EXP_MAX + 1];
