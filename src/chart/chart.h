/* chart: a query's answer as a picture for a message.
 *
 *     ChartSpec spec = {.title = S("up"), .start_ms = …, .step_ms = …, .steps = …, .series = …, .len = …};
 *     Buf png; buf_init(&png, CHART_PNG_MAX);
 *     Err e = chart_draw(NULL, &spec, &png, &why);
 *
 * The server neither links nor maps a drawing library: chart_draw starts `pharos draw --child`, which opens libcairo at run time,
 * gets the spec as JSON on its standard input and answers with a PNG. Where the library is missing the answer names the
 * package, and the message goes without a picture.
 */
#pragma once
#include "base/base.h"
#include "text/text.h"

enum {
    CHART_SERIES_MAX = 50,
    CHART_STEPS_MAX = 4096,
    CHART_TEXT_MAX = 1024, /* bytes of any text */
    CHART_SPEC_MAX = 8 << 20,
    CHART_PNG_MAX = 2 << 20,
};
typedef struct ChartSeries {
    Str name;
    const f64 *values; /* one per step; NaN = nothing there */
} ChartSeries;
typedef struct ChartSpec {
    Str title;         /* one line above; cut where it does not fit */
    Str unit;          /* short (or empty), bytes, percent, percentunit, s */
    u32 width, height; /* of the picture in points, 0 = 520 x 220; it has two pixels a point */
    bool light;
    i64 start_ms, step_ms; /* step > 0 */
    u32 steps;
    const ChartSeries *series;
    u32 len;
    u32 hidden; /* series that were left out, for the legend */
    bool has_threshold;
    f64 threshold;
    i64 fired_ms, ended_ms; /* shaded from here to there (0: to the edge); fired 0 = no shade */
} ChartSpec;

/* The picture in this process. E_INVALID: a limit above, or a text that is not UTF-8; E_UNSUPPORTED: no library. */
Err chart_render(const ChartSpec *spec, Buf *png, Why *why);
/* The same in a child of at most ten seconds. program NULL: ourselves. Any thread; blocks. What the child says when it fails comes
 * as E_EXEC. */
Err chart_draw(const char *program, const ChartSpec *spec, Buf *png, Why *why);
/* What the child does: spec on descriptor in, picture on out, a sentence and exit status 1 when it fails. */
int chart_child(int in, int out);

void chart_spec_print(const ChartSpec *spec, Buf *out); /* JSON */
/* Borrows nothing from json: all in arena. Errors name the field. */
Err chart_spec_parse(Str json, Arena *arena, ChartSpec *ret, Why *why);

/* ---- axes (scale.c) ---- */
typedef struct ChartScale {
    f64 min, max, step; /* min and max are multiples of step */
} ChartScale;
/* A scale that holds [min, max] with about `ticks` steps of 1, 2, 2.5 or 5 times a power of ten (two, for bytes; 60 for seconds). */
ChartScale chart_scale(f64 min, f64 max, u32 ticks, Str unit);
/* A value in its unit; step (0 = none) says how many decimals tell neighbours apart. */
void chart_value(Buf *out, f64 v, f64 step, Str unit);
/* The distance of time marks, ms: a round number of seconds, minutes, hours or days giving at most `ticks` of them. */
i64 chart_time_step(i64 span_ms, u32 ticks);
