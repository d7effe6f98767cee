#include "metrics/unpack.h"
#include <stdatomic.h>

const f64 unpack_pow10[SCALE_TEN_MAX + 1] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                             1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};

static inline u64 mask_of(u32 width)
{
    return width < 64 ? ((u64)1 << width) - 1 : UINT64_MAX;
}

/* One number at bit `bit`, reading not past `avail`. */
static u64 bits_at(const u8 *at, size_t avail, size_t bit, u32 width)
{
    size_t byte = bit >> 3;
    u32 shift = bit & 7, have = 64 - shift;
    u64 lo = 0, hi = 0;
    size_t left = avail - byte;
    memcpy(&lo, at + byte, MIN(left, (size_t)8));
    lo >>= shift;
    if (have < width) {
        hi = at[byte + 8];
        lo |= hi << have;
    }
    return lo & mask_of(width);
}

static void scalar_bits(const u8 *at, size_t avail, u32 width, u32 n, u64 *out)
{
    if (width == 0) {
        memset(out, 0, n * sizeof(u64));
        return;
    }
    u32 i = 0;
    u64 mask = mask_of(width);
    if (width <= 57)
        for (size_t bit = 0; i < n && (bit >> 3) + 8 <= avail; i++, bit += width) {
            u64 w;
            memcpy(&w, at + (bit >> 3), 8);
            out[i] = w >> (bit & 7) & mask;
        }
    for (; i < n; i++)
        out[i] = bits_at(at, avail, (size_t)i * width, width);
}

static void scalar_sums(u64 *x, u32 n, u64 first, u64 base)
{
    for (u32 i = 0; i < n; i++)
        x[i] = first += base + x[i];
}

static void scalar_doubles(u64 *x, u32 n, u64 base, u32 scale)
{
    if (scale == SCALE_BITS) {
        for (u32 i = 0; i < n; i++)
            x[i] += base;
        return;
    }
    for (u32 i = 0; i < n; i++) {
        f64 v = unpack_value((i64)(x[i] + base), scale);
        memcpy(&x[i], &v, 8);
    }
}

const Unpack unpack_scalar = {scalar_bits, scalar_sums, scalar_doubles};

#ifdef __x86_64__
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))

/* Eight numbers of w bits are exactly w bytes. Up to 25 bits a number lies within four bytes wherever it starts, so a shuffle brings
 * each four to a lane, and a shift and a mask do the rest; up to 57 bits, likewise with eight bytes and 64-bit lanes. */
typedef struct Plan25 {
    u8 shuffle[32];
    u32 shift[8];
    u32 second; /* byte at which the upper half's 16 bytes begin */
} Plan25;
typedef struct Plan57 {
    u8 shuffle[2][32];
    u64 shift[2][4];
    u32 begin[4]; /* of the 16 bytes for numbers 0-1, 2-3, 4-5, 6-7 */
} Plan57;
static Plan25 plans25[26];
static Plan57 plans57[58];

static void plans_make(void)
{
    for (u32 w = 1; w <= 25; w++) {
        Plan25 *p = &plans25[w];
        p->second = 4 * w / 8;
        for (u32 i = 0; i < 8; i++) {
            u32 bit = i * w - (i >= 4 ? p->second * 8 : 0);
            p->shift[i] = bit & 7;
            for (u32 b = 0; b < 4; b++)
                p->shuffle[4 * i + b] = (u8)MIN(bit / 8 + b, 15u);
        }
    }
    for (u32 w = 26; w <= 57; w++) {
        Plan57 *p = &plans57[w];
        for (u32 pair = 0; pair < 4; pair++) {
            p->begin[pair] = 2 * pair * w / 8;
            for (u32 k = 0; k < 2; k++) {
                u32 bit = (2 * pair + k) * w - p->begin[pair] * 8;
                p->shift[pair / 2][pair % 2 * 2 + k] = bit & 7;
                for (u32 b = 0; b < 8; b++)
                    p->shuffle[pair / 2][16 * (pair % 2) + 8 * k + b] = (u8)MIN(bit / 8 + b, 15u);
            }
        }
    }
}

AVX2 static inline __m256i load_halves(const u8 *lo, const u8 *hi)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)lo)),
                                   _mm_loadu_si128((const __m128i *)hi), 1);
}

AVX2 static u32 bits_to_25(const u8 *at, size_t avail, u32 width, u32 n, u64 *out)
{
    const Plan25 *p = &plans25[width];
    __m256i shuffle = _mm256_loadu_si256((const __m256i *)p->shuffle),
            shift = _mm256_loadu_si256((const __m256i *)p->shift),
            mask = _mm256_set1_epi32((int)mask_of(width));
    u32 i = 0;
    for (size_t byte = 0; i + 8 <= n && byte + p->second + 16 <= avail; i += 8, byte += width) {
        __m256i x = load_halves(at + byte, at + byte + p->second);
        x = _mm256_and_si256(_mm256_srlv_epi32(_mm256_shuffle_epi8(x, shuffle), shift), mask);
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_cvtepu32_epi64(_mm256_castsi256_si128(x)));
        _mm256_storeu_si256((__m256i *)(out + i + 4), _mm256_cvtepu32_epi64(_mm256_extracti128_si256(x, 1)));
    }
    return i;
}

AVX2 static u32 bits_to_57(const u8 *at, size_t avail, u32 width, u32 n, u64 *out)
{
    const Plan57 *p = &plans57[width];
    __m256i mask = _mm256_set1_epi64x((long long)mask_of(width));
    u32 i = 0;
    for (size_t byte = 0; i + 8 <= n && byte + p->begin[3] + 16 <= avail; i += 8, byte += width)
        for (u32 h = 0; h < 2; h++) {
            __m256i x = load_halves(at + byte + p->begin[2 * h], at + byte + p->begin[2 * h + 1]);
            x = _mm256_shuffle_epi8(x, _mm256_loadu_si256((const __m256i *)p->shuffle[h]));
            x = _mm256_srlv_epi64(x, _mm256_loadu_si256((const __m256i *)p->shift[h]));
            _mm256_storeu_si256((__m256i *)(out + i + 4 * h), _mm256_and_si256(x, mask));
        }
    return i;
}

static void avx2_bits(const u8 *at, size_t avail, u32 width, u32 n, u64 *out)
{
    u32 done = 0;
    if (width && width <= 25)
        done = bits_to_25(at, avail, width, n, out);
    else if (width && width <= 57)
        done = bits_to_57(at, avail, width, n, out);
    size_t byte = (size_t)done / 8 * width; /* done is a multiple of 8 */
    if (done < n)
        scalar_bits(at + byte, avail - byte, width, n - done, out + done);
}

AVX2 static void avx2_sums(u64 *x, u32 n, u64 first, u64 base)
{
    __m256i carry = _mm256_set1_epi64x((long long)first), add = _mm256_set1_epi64x((long long)base);
    u32 i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256i r = _mm256_add_epi64(_mm256_loadu_si256((const __m256i *)(x + i)), add);
        r = _mm256_add_epi64(r, _mm256_slli_si256(r, 8));
        __m256i low = _mm256_permute4x64_epi64(r, _MM_SHUFFLE(1, 1, 1, 1));
        r = _mm256_add_epi64(r, _mm256_blend_epi32(_mm256_setzero_si256(), low, 0xf0));
        _mm256_storeu_si256((__m256i *)(x + i), _mm256_add_epi64(r, carry));
        carry = _mm256_add_epi64(carry, _mm256_permute4x64_epi64(r, _MM_SHUFFLE(3, 3, 3, 3)));
    }
    scalar_sums(x + i, n - i, (u64)_mm256_extract_epi64(carry, 0), base);
}

/* Any i64 to the nearest double: the halves become 2^84 + 2^63 + high and 2^52 + low, whose difference rounds once. */
AVX2 static inline __m256d to_double(__m256i v)
{
    __m256i lo = _mm256_blend_epi32(_mm256_set1_epi64x(0x4330000000000000), v, 0x55);
    __m256i hi = _mm256_xor_si256(_mm256_srli_epi64(v, 32), _mm256_set1_epi64x(0x4530000080000000));
    __m256d all = _mm256_castsi256_pd(_mm256_set1_epi64x(0x4530000080100000));
    return _mm256_add_pd(_mm256_sub_pd(_mm256_castsi256_pd(hi), all), _mm256_castsi256_pd(lo));
}

#define FOUR(x, i, add) to_double(_mm256_add_epi64(_mm256_loadu_si256((const __m256i *)((x) + (i))), add))

AVX2 static void avx2_doubles(u64 *x, u32 n, u64 base, u32 scale)
{
    __m256i add = _mm256_set1_epi64x((long long)base);
    u32 i = 0;
    if (scale == 0) {
        for (; i + 4 <= n; i += 4)
            _mm256_storeu_pd((f64 *)(x + i), FOUR(x, i, add));
    } else if (scale <= SCALE_TEN_MAX) {
        __m256d by = _mm256_set1_pd(unpack_pow10[scale]);
        for (; i + 4 <= n; i += 4)
            _mm256_storeu_pd((f64 *)(x + i), _mm256_div_pd(FOUR(x, i, add), by));
    } else if (scale == SCALE_MILLI_TWICE) {
        __m256d by = _mm256_set1_pd(1e3);
        for (; i + 4 <= n; i += 4)
            _mm256_storeu_pd((f64 *)(x + i), _mm256_div_pd(_mm256_div_pd(FOUR(x, i, add), by), by));
    } else if (scale != SCALE_BITS) {
        __m256d by = _mm256_set1_pd(scale == SCALE_MILLI ? 1e-3 : scale == SCALE_MICRO ? 1e-6 : 1e-9);
        for (; i + 4 <= n; i += 4)
            _mm256_storeu_pd((f64 *)(x + i), _mm256_mul_pd(FOUR(x, i, add), by));
    }
    scalar_doubles(x + i, n - i, base, scale);
}

const Unpack *unpack_avx2(void)
{
    static const Unpack fast = {avx2_bits, avx2_sums, avx2_doubles};
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!__builtin_cpu_supports("avx2"))
        return NULL;
    pthread_once(&once, plans_make);
    return &fast;
}
#else
const Unpack *unpack_avx2(void)
{
    return NULL;
}
#endif

const Unpack *unpack_best(void)
{
    static _Atomic(const Unpack *) best;
    const Unpack *u = best;
    if (!u) {
        u = unpack_avx2();
        if (!u)
            u = &unpack_scalar;
        best = u;
    }
    return u;
}
