/* Columns of a part: timestamps, values, histograms. Lossless bit for bit, NaN payloads, -0 and infinities included.
 *
 * docs/formats/metrics-part.md specifies the bytes. Decoders take hostile input: they return false, never read past the end,
 * and write exactly n values on success.
 */
#pragma once
#include "metrics/bytes.h"
#include "model/model.h"

enum { VALUES_CONST, VALUES_DECIMAL, VALUES_XOR, VALUES_RAW };

/* Ascending timestamps: first, first delta, then runs of equal second differences. n >= 1 and n is written. */
void times_encode(Buf *out, const i64 *t, u32 n);
/* Reads the count. False when it is 0 or over n_max or bytes are wrong. */
bool times_count(Reader *r, u32 n_max, u32 *ret_n);
bool times_decode(Reader *r, i64 *t, u32 n); /* after times_count */

void values_encode(Buf *out, const f64 *v, u32 n);
bool values_decode(Reader *r, f64 *v, u32 n);

/* One histogram as a blob without its time. Used in the log, the memtable and parts alike. */
void hist_encode(Buf *out, const Histogram *h);
/* Decoded into arena, NULL when the bytes are wrong (or the arena is over its limit). */
Histogram *hist_decode(Str blob, Arena *arena);
