/* Timestamps of a column that is not regular: whichever is shorter of tokens (scrapes that were late or missing now and then) and the
 * distances from a straight line, packed (jitter). */
#include "metrics/values.h"

#define TIMES_TOKENS 255u /* in place of a width */

bool times_are_regular(const i64 *t, u32 n, u64 *ret_step)
{
    u64 step = (u64)t[1] - (u64)t[0];
    for (u32 i = 2; i < n; i++)
        if ((u64)t[i] - (u64)t[i - 1] != step)
            return false;
    *ret_step = step;
    return true;
}

/* After the first difference, each token is varint(zigzag(dod) << 1 | has_run) and, with has_run, a varint of further
 * repetitions. Differences are taken modulo 2^64, so every i64 survives. */
static void tokens_encode(Buf *out, const i64 *t, u32 n)
{
    u64 delta = (u64)t[1] - (u64)t[0];
    wr_u8(out, TIMES_TOKENS);
    wr_varint(out, delta);
    for (u32 i = 2; i < n;) {
        u64 next = (u64)t[i] - (u64)t[i - 1];
        u64 zz = zigzag((i64)(next - delta));
        u32 run = 1;
        u64 d = next, dod = next - delta;
        while (i + run < n && (u64)t[i + run] - (u64)t[i + run - 1] - d == dod) {
            d += dod;
            run++;
        }
        if (zz >= (u64)INT64_MAX) { /* does not fit beside the flag: all ones mark a raw delta */
            wr_varint(out, UINT64_MAX);
            wr_u64(out, next);
            run = 1;
            d = next;
        } else {
            wr_varint(out, zz << 1 | (run > 1));
            if (run > 1)
                wr_varint(out, run - 1);
        }
        delta = d;
        i += run;
    }
}

static bool tokens_decode(Reader *r, i64 *t, u32 n)
{
    u64 delta = rd_varint(r);
    t[1] = (i64)((u64)t[0] + delta);
    for (u32 i = 2; i < n;) {
        u64 token = rd_varint(r);
        if (r->bad)
            return false;
        if (token == UINT64_MAX) {
            delta = rd_u64(r);
            t[i] = (i64)((u64)t[i - 1] + delta);
            i++;
            continue;
        }
        u64 run = 1 + (token & 1 ? rd_varint(r) : 0);
        u64 dod = (u64)unzigzag(token >> 1);
        if (r->bad || run > n - i)
            return false;
        for (; run; run--, i++) {
            delta += dod;
            t[i] = (i64)((u64)t[i - 1] + delta);
        }
    }
    return !r->bad;
}

static u64 line_step(i64 first, i64 last, u32 n)
{
    u64 span = (u64)last - (u64)first, step = span / (n - 1);
    return step + (span % (n - 1) > (n - 1) / 2);
}

/* u8 width, zigzag smallest distance, n packed distances minus it. */
static void line_encode(Buf *out, const i64 *t, u32 n)
{
    u64 step = line_step(t[0], t[n - 1], n), at = (u64)t[0];
    i64 lo = 0, hi = 0;
    for (u32 i = 0; i < n; i++, at += step) {
        i64 d = (i64)((u64)t[i] - at);
        lo = MIN(lo, d);
        hi = MAX(hi, d);
    }
    u32 width = bits_width((u64)hi - (u64)lo);
    wr_u8(out, (u8)width);
    wr_zigzag(out, lo);
    BitWriter w = {.out = out};
    at = (u64)t[0];
    for (u32 i = 0; i < n; i++, at += step)
        bits_put(&w, (u64)t[i] - at - (u64)lo, width);
    bits_end(&w);
}

static bool line_decode(Reader *r, u32 width, i64 first, i64 last, i64 *t, u32 n)
{
    u64 lo = (u64)rd_zigzag(r), step = line_step(first, last, n);
    if (r->bad || width > 64 || rd_left(r) < ((size_t)n * width + 7) / 8)
        return false;
    unpack_best()->bits(r->at, rd_left(r), width, n, (u64 *)t);
    for (u64 i = 0, at = (u64)first + lo; i < n; i++, at += step)
        t[i] = (i64)((u64)t[i] + at);
    return true;
}

void times_encode(Buf *out, const i64 *t, u32 n)
{
    size_t start = out->len;
    tokens_encode(out, t, n);
    size_t tokens = out->len - start;
    if (tokens <= 2 + n / 2)
        return;
    line_encode(out, t, n);
    size_t line = out->len - start - tokens;
    if (buf_over(out))
        return;
    if (line < tokens)
        memmove(out->at + start, out->at + start + tokens, line);
    out->len = start + MIN(line, tokens);
}

bool times_decode(Str body, i64 first, i64 last, i64 *t, u32 n)
{
    Reader r = reader_of(body.at, body.len);
    u8 width = rd_u8(&r);
    t[0] = first;
    if (n < 2 ||
        !(width == TIMES_TOKENS ? tokens_decode(&r, t, n) : line_decode(&r, width, first, last, t, n)))
        return false;
    bool ascends = true;
    for (u32 i = 1; i < n; i++)
        ascends &= t[i] > t[i - 1];
    return ascends && t[0] == first && t[n - 1] == last;
}
