/* Columns of a part: timestamps (times.c), floats (values.c), what a run of floats comes to (aggr.c), histograms (hists.c).
 * Lossless bit for bit, NaN payloads, -0 and infinities included.
 *
 * docs/formats/metrics-part.md specifies the bytes. Decoders take hostile input: they return false, never read past the end,
 * and write exactly n values on success.
 */
#pragma once
#include "metrics/bytes.h"
#include "metrics/promql/promql.h"
#include "metrics/unpack.h"
#include "model/model.h"

/* ---- bits, least significant first ---- */
typedef struct BitWriter {
    Buf *out;
    u64 acc;
    u32 used;
} BitWriter;
void bits_put(BitWriter *w, u64 v, u32 n); /* the low n <= 64 bits of v */
void bits_end(BitWriter *w);               /* pads to a byte */
static inline u32 bits_width(u64 v)
{
    return v ? 64 - (u32)__builtin_clzll(v) : 0;
}

/* ---- timestamps: ascending, n >= 2, t[0] and t[n - 1] known from elsewhere ---- */
/* True when all steps are equal: then there is nothing to encode. */
bool times_are_regular(const i64 *t, u32 n, u64 *ret_step);
void times_encode(Buf *out, const i64 *t, u32 n);
bool times_decode(Str body, i64 first, i64 last, i64 *t, u32 n);

/* ---- floats ---- */
enum { VALUES_DIRECT, VALUES_DELTA, VALUES_DELTA2, VALUES_OTHER };
enum { OTHER_XOR, OTHER_RAW, OTHER_HISTS, OTHER_KINDS };
#define VALUES_N_MAX 1024u

/* A run of values but for its body. Flag bits of the byte that begins it, the rest of which belong to the directory: */
enum { HEAD_MODE = 3, HEAD_PATCHES = 4, HEAD_WIDTH = 8, HEAD_SCALE = 16 };
typedef struct ValueHead {
    u8 mode, scale, shift, width, other; /* shift: zero bits that all packed numbers end with, left out */
    u32 packed;     /* bytes of the packed numbers; of the whole body under VALUES_OTHER */
    u32 high_bytes; /* of what numbers have over `width` bits; follows them */
    u32 patches;    /* values that are none of the numbers: patch_bytes at the body's end */
    u32 patch_bytes;
    u64 first, delta, base; /* i64, two's complement */
} ValueHead;
static inline u64 values_body_len(const ValueHead *h)
{
    return (u64)h->packed + h->high_bytes + h->patch_bytes;
}
/* Appends the body to `body` and says the rest. thorough: look longer for the shortest form. 1 <= n <= VALUES_N_MAX. */
void values_encode(Buf *body, const f64 *v, u32 n, bool thorough, ValueHead *ret);
/* The head's flags of the byte that begins it, and what follows it. */
u8 values_head_flags(const ValueHead *h);
void values_head_encode(Buf *out, const ValueHead *h);
bool values_head_decode(Reader *r, u8 flags, u32 n, ValueHead *ret);
/* body has values_body_len bytes; `avail` >= that many may be read. Not for histograms. */
bool values_decode(const ValueHead *h, const u8 *body, size_t avail, f64 *v, u32 n);

/* ---- what a run of floats comes to ---- */
/* Fills everything but `at` and the times. False when a value is a NaN or infinite, or the sum is. n >= 1. */
bool aggr_compute(const f64 *v, u32 n, PageAggr *ret);
/* The head says it all: integers that are all the same. */
bool aggr_of_head(const ValueHead *h, u32 n, PageAggr *ret);
void aggr_encode(Buf *out, const ValueHead *h, const PageAggr *a);
bool aggr_decode(Str bytes, const ValueHead *h, u32 n, PageAggr *ret);

/* ---- histograms ---- */
/* One histogram as a blob without its time. Used in the log, the memtable and parts alike. */
void hist_encode(Buf *out, const Histogram *h);
/* Decoded into arena, NULL when the bytes are wrong (or the arena is over its limit). */
Histogram *hist_decode(Str blob, Arena *arena);
