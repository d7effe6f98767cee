/* How fast blocks of a part are encoded and decoded, by what their values are like: M values/s of CPU time, one thread, and bytes per
 * value. The first lines are the arithmetic alone, 128 packed differences to doubles, by the scalar form and by the one used here.
 *
 *     bench_values [milliseconds per line]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "metrics/values.h"

enum { N = 1024 };
static f64 budget = 0.2; /* seconds */
static u64 rnd_state = 42;
static u64 rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state;
}

static f64 cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (f64)t.tv_sec + (f64)t.tv_nsec / 1e9;
}

static void bench_unpack(const char *what, const Unpack *u, u32 width)
{
    enum { LEN = 128 };
    u8 bytes[LEN * 8 + 64];
    u64 out[LEN];
    for (u32 i = 0; i < sizeof bytes; i++)
        bytes[i] = (u8)rnd();
    u64 rounds = 0;
    f64 start = cpu_seconds(), took;
    do {
        for (u32 i = 0; i < 1000; i++) {
            u->bits(bytes, sizeof bytes, width, LEN, out);
            u->sums(out, LEN, i, 3);
            u->doubles(out, LEN, 0, 0);
        }
        rounds += 1000;
        took = cpu_seconds() - start;
    } while (took < budget);
    printf("128 differences of %2u bits, %-7s %8.0f M/s\n", width, what, (f64)rounds * LEN / took / 1e6);
}

static void bench_values(const char *what, const f64 *v)
{
    static f64 out[N];
    Buf body;
    ValueHead h;
    buf_init(&body, 1 << 20);
    f64 encode[2], start;
    for (u32 thorough = 0; thorough < 2; thorough++) {
        u64 rounds = 0;
        start = cpu_seconds();
        do {
            for (u32 i = 0; i < 10; i++) {
                buf_clear(&body);
                values_encode(&body, v, N, thorough, &h);
            }
            rounds += 10;
            encode[thorough] = (f64)rounds * N / (cpu_seconds() - start) / 1e6;
        } while (cpu_seconds() - start < budget / 2);
    }
    size_t bytes = body.len;
    buf_reserve(&body, 64); /* as in a part, other bytes follow */
    u64 rounds = 0;
    start = cpu_seconds();
    f64 took;
    do {
        for (u32 i = 0; i < 100; i++)
            check(values_decode(&h, (const u8 *)body.at, body.cap, out, N));
        rounds += 100;
        took = cpu_seconds() - start;
    } while (took < budget);
    check(memcmp(out, v, sizeof out) == 0);
    printf("%-34s decode %6.0f M/s, encode %5.0f M/s (thoroughly %3.0f), %.3f B, mode %u scale %u width %u\n",
           what, (f64)rounds * N / took / 1e6, encode[0], encode[1], (f64)bytes / N, h.mode, h.scale,
           h.width);
    buf_done(&body);
}

int main(int argc, char **argv)
{
    static f64 v[N];
    if (argc > 1)
        budget = atof(argv[1]) / 1e3;
    for (u32 width = 3; width <= 40; width += width < 12 ? 3 : 14) {
        bench_unpack("scalar", &unpack_scalar, width);
        bench_unpack(unpack_best() == &unpack_scalar ? "scalar" : "avx2", unpack_best(), width);
    }
    for (u32 i = 0; i < N; i++)
        v[i] = 42;
    bench_values("the same integer", v);
    for (u32 i = 0; i < N; i++)
        v[i] = 1e6 + 15 * i;
    bench_values("a steady counter", v);
    for (u32 i = 0; i < N; i++)
        v[i] = (i ? v[i - 1] : 1e9) + (f64)(rnd() % 3000);
    bench_values("a counter", v);
    for (u32 i = 0; i < N; i++)
        v[i] = (i ? v[i - 1] : 1e9) + (i % 100 == 50 ? 1e7 : (f64)(rnd() % 30));
    bench_values("a counter that leaps", v);
    for (u32 i = 0; i < N; i++)
        v[i] = 4e9 + (f64)(rnd() % 5000) * 4096;
    bench_values("a gauge of pages", v);
    for (u32 i = 0; i < N; i++)
        v[i] = (f64)(rnd() % 1000) / 100;
    bench_values("a gauge of two decimals", v);
    f64 ticks = 123456;
    for (u32 i = 0; i < N; i++)
        v[i] = (ticks += (f64)(rnd() % 2000)) * 1e-3;
    bench_values("milliseconds as seconds", v);
    for (u32 i = 0; i < N; i++)
        v[i] = i % 100 == 99 ? NAN : 1000 + (f64)(rnd() % 50);
    bench_values("a gauge with NaN now and then", v);
    for (u32 i = 0; i < N; i++)
        v[i] = (f64)rnd() / 18446744073709551616.0;
    bench_values("random doubles", v);
    for (u32 i = 0; i < N; i++)
        v[i] = 0.7 + sin(i * 0.01) / 7;
    bench_values("a smooth double", v);
    for (u32 i = 0; i < N; i++)
        v[i] = i % 16 && i ? v[i - 1] : (f64)rnd() / 1.7e18;
    bench_values("a double that changes rarely", v);
    return 0;
}
