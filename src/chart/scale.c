/* Axes: round steps, and values printed so that neighbours differ. */
#include <math.h>
#include <stdio.h>

#include "chart/chart.h"

static bool is_bytes(Str unit)
{
    return str_eq(unit, S("bytes"));
}

/* The smallest of the allowed steps that is not under raw. */
static f64 round_step(f64 raw, Str unit)
{
    static const f64 tens[] = {1, 2, 2.5, 5, 10};
    static const f64 clock[] = {60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
    if (is_bytes(unit) && raw >= 1)
        return exp2(ceil(log2(raw)));
    if (str_eq(unit, S("s")) && raw > 30 && raw <= 86400)
        for (size_t i = 0; i < COUNT_OF(clock); i++)
            if (clock[i] >= raw)
                return clock[i];
    f64 power = pow(10, floor(log10(raw)));
    for (size_t i = 0; i < COUNT_OF(tens); i++)
        if (tens[i] * power >= raw * (1 - 1e-9))
            return tens[i] * power;
    return 10 * power;
}

ChartScale chart_scale(f64 min, f64 max, u32 ticks, Str unit)
{
    if (!isfinite(min) || !isfinite(max) || min > max)
        min = 0, max = 1;
    min = fmax(min, -1e300),
    max = fmin(max, 1e300); /* beyond it sums overflow; what is there is drawn at the edge */
    if (max - min < fabs(max) * 1e-9 || max == min) { /* a flat line in the middle */
        f64 room = max == 0 ? 1 : fabs(max) * 0.1;
        min = max > 0 ? fmax(0, min - room) : min - room;
        max += room;
    }
    f64 span = max - min;
    if (span < 1e-300) /* denormals */
        return (ChartScale){0, 1, 0.5};
    f64 step = round_step(span / (f64)MAX(ticks, 1u), unit);
    return (ChartScale){floor(min / step + 1e-9) * step, ceil(max / step - 1e-9) * step, step};
}

static bool is_whole(f64 v)
{
    return fabs(v - round(v)) <= 1e-9 * fmax(1, fabs(v));
}

/* With a step: as many as tell neighbours apart. Without: three digits in all, and none that says nothing. */
static int decimals(f64 v, f64 step, f64 divisor)
{
    int d = 0;
    if (step > 0) {
        while (d < 6 && !is_whole(step / divisor * pow(10, d)))
            d++;
        return d;
    }
    f64 x = fabs(v) / divisor;
    while (d < 6 && x > 0 && x * pow(10, d) < 100)
        d++;
    while (d && is_whole(x * pow(10, d - 1)))
        d--;
    return d;
}

static void print_scaled(Buf *out, f64 v, f64 step, f64 base, const char *const *names, u32 n)
{
    f64 divisor = 1;
    u32 k = 0;
    while (k + 1 < n && fabs(v) >= base * divisor * 0.99999) {
        divisor *= base;
        k++;
    }
    buf_printf(out, "%.*f%s", decimals(v, step, divisor), v / divisor, names[k]);
}

static void print_seconds(Buf *out, f64 v, f64 step)
{
    static const struct {
        f64 of;
        const char *name;
    } units[] = {{86400, " d"}, {3600, " h"},  {60, " min"}, {1, " s"},
                 {1e-3, " ms"}, {1e-6, " µs"}, {1e-9, " ns"}};
    size_t k = 0;
    while (k + 1 < COUNT_OF(units) && fabs(v) < units[k].of * 0.99999)
        k++;
    if (v == 0)
        k = 3;
    buf_printf(out, "%.*f%s", decimals(v, step, units[k].of), v / units[k].of, units[k].name);
}

void chart_value(Buf *out, f64 v, f64 step, Str unit)
{
    static const char *const si[] = {"", " K", " Mil", " Bil", " Tri"};
    static const char *const iec[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    if (!isfinite(v))
        buf_c(out, isnan(v) ? "-" : v > 0 ? "+Inf" : "-Inf");
    else if (is_bytes(unit))
        print_scaled(out, v, step, 1024, iec, COUNT_OF(iec));
    else if (str_eq(unit, S("percent")))
        buf_printf(out, "%.*f%%", decimals(v, step, 1), v);
    else if (str_eq(unit, S("percentunit")))
        buf_printf(out, "%.*f%%", decimals(v * 100, step * 100, 1), v * 100);
    else if (str_eq(unit, S("s")))
        print_seconds(out, v, step);
    else if (fabs(v) >= 1e15)
        buf_printf(out, "%.2e", v);
    else if (v != 0 && fabs(v) < 1e-5)
        buf_printf(out, "%.2e", v);
    else
        print_scaled(out, v, step, 1000, si, COUNT_OF(si));
}

i64 chart_time_step(i64 span_ms, u32 ticks)
{
    static const i64 steps[] = {1,     2,     5,      10,     15,     30,      60,     120,
                                300,   600,   900,    1800,   3600,   7200,    10800,  21600,
                                43200, 86400, 172800, 345600, 604800, 1209600, 2592000};
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (span_ms / (steps[i] * 1000) < (i64)MAX(ticks, 1u))
            return steps[i] * 1000;
    i64 days = 86400000LL;
    return (span_ms / (i64)MAX(ticks, 1u) / days + 1) * days;
}
