/* The arithmetic of decoding: numbers of `width` bits back to 64, running sums, decimals to doubles.
 *
 * Each function comes in two forms, picked once by what the processor can do; `unpack_scalar` and `unpack_avx2` (NULL on a processor
 * without) are there so that tests hold them against each other. Both give the same bits for any input, hostile ones included:
 * all sums are modulo 2^64.
 */
#pragma once
#include "base/base.h"

/* What a number m stands for. Programs arrive at decimals by more than one way, which round differently. */
enum {
    SCALE_TEN_MAX = 14, /* 0 to 14: m / 10^k */
    SCALE_BITS,         /* m is the double's bits */
    SCALE_MILLI,        /* m * 1e-3 */
    SCALE_MICRO,        /* m * 1e-6 */
    SCALE_NANO,         /* m * 1e-9 */
    SCALE_MILLI_TWICE,  /* m / 1000 / 1000 */
    SCALES,
};

typedef struct Unpack {
    /* n numbers of width (0 to 64) bits, least significant bit first, from at; `avail` >= (n * width + 7) / 8 bytes may be read. */
    void (*bits)(const u8 *at, size_t avail, u32 width, u32 n, u64 *out);
    /* x[i] += base + x[i - 1], from x[0] = first + base + x[0] on. */
    void (*sums)(u64 *x, u32 n, u64 first, u64 base);
    /* In place: what x + base stands for. */
    void (*doubles)(u64 *x, u32 n, u64 base, u32 scale);
} Unpack;

extern const Unpack unpack_scalar;
const Unpack *unpack_avx2(void); /* NULL: not on this processor */
const Unpack *unpack_best(void);
extern const f64 unpack_pow10[SCALE_TEN_MAX + 1];

/* m of a scale that is not SCALE_BITS, as a double. */
static inline f64 unpack_value(i64 m, u32 scale)
{
    f64 v = (f64)m;
    switch (scale) {
    case 0:
        return v;
    case SCALE_MILLI:
        return v * 1e-3;
    case SCALE_MICRO:
        return v * 1e-6;
    case SCALE_NANO:
        return v * 1e-9;
    case SCALE_MILLI_TWICE:
        return v / 1e3 / 1e3;
    default:
        return v / unpack_pow10[scale];
    }
}
/* Digits after the point. */
static inline u32 unpack_digits(u32 scale)
{
    return scale <= SCALE_TEN_MAX ? scale : scale == SCALE_MILLI ? 3 : scale == SCALE_NANO ? 9 : 6;
}
