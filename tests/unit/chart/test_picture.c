/* Charts: axes, values, descriptions, and the pixels of what comes out. The picture is decoded here, by the PNG specification. */
#include "test.h"

#include <math.h>
#include <zlib.h>

#include "chart/chart.h"

static void test_scales(void **state)
{
    static const struct {
        f64 min, max;
        const char *unit;
        f64 low, high, step;
    } rows[] = {
        {0, 100, "", 0, 100, 25},
        {3, 97, "", 0, 100, 25},
        {0.1, 0.9, "", 0, 1, 0.2},
        {-5, 5, "", -5, 5, 2.5},
        {5, 5, "", 4.5, 5.5, 0.25},
        {0, 0, "", -1, 1, 0.5},
        {0, 3e9, "bytes", 0, 3221225472, 1073741824},
        {0, 500, "s", 0, 600, 300},
        {1, 0, "", 0, 1, 0.25},
        {NAN, 1, "", 0, 1, 0.25},
        {1e-9, 9e-9, "", 0, 1e-8, 2e-9},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ChartScale s = chart_scale(rows[i].min, rows[i].max, 4, str_c(rows[i].unit));
        if (fabs(s.min - rows[i].low) > 1e-6 * s.step || fabs(s.max - rows[i].high) > 1e-6 * s.step ||
            fabs(s.step - rows[i].step) > 1e-6 * s.step)
            fail_msg("row %zu: %g to %g by %g", i, s.min, s.max, s.step);
    }
    u64 seed = 7;
    for (int i = 0; i < 100000; i++) { /* whatever it is given, it holds it, in a bounded number of steps */
        u64 r[2] = {hash_bytes(&seed, 8, 1), hash_bytes(&seed, 8, 2)};
        f64 a, b;
        memcpy(&a, &r[0], 8);
        memcpy(&b, &r[1], 8);
        seed++;
        if (!isfinite(a) || !isfinite(b))
            continue;
        ChartScale s = chart_scale(fmin(a, b), fmax(a, b), 4, i & 1 ? S("bytes") : S(""));
        assert_true(isfinite(s.step) && s.step > 0 && s.max > s.min && (s.max - s.min) / s.step < 12);
    }
}

static void test_values(void **state)
{
    static const struct {
        f64 v, step;
        const char *unit, *want;
    } rows[] = {
        {0, 0, "", "0"},
        {1, 0, "", "1"},
        {0.25, 0.25, "", "0.25"},
        {12345, 0, "", "12.3 K"},
        {1e6, 5e5, "", "1.0 Mil"},
        {2.5e9, 0, "", "2.5 Bil"},
        {80, 0, "percent", "80%"},
        {93.44, 0, "percent", "93.4%"},
        {0.5, 0, "percentunit", "50%"},
        {1073741824, 0, "bytes", "1 GiB"},
        {1000, 0, "bytes", "1000 B"},
        {0.0035, 0, "s", "3.5 ms"},
        {90, 0, "s", "1.5 min"},
        {7200, 3600, "s", "2 h"},
        {NAN, 0, "", "-"},
        {INFINITY, 0, "", "+Inf"},
        {-3, 0, "", "-3"},
        {1e-7, 0, "", "1.00e-07"},
    };
    Buf b;
    buf_init(&b, 256);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_clear(&b);
        chart_value(&b, rows[i].v, rows[i].step, str_c(rows[i].unit));
        assert_str(buf_view(&b), rows[i].want);
    }
    buf_done(&b);
    assert_int_equal(chart_time_step(3600000, 8), 600000);
    assert_int_equal(chart_time_step(60000, 8), 10000);
    assert_int_equal(chart_time_step(86400000LL * 30, 8), 345600000);
}

/* ---- pixels ---- */
typedef struct Picture {
    u32 w, h;
    u8 *rgb;
} Picture;

static u32 be32(const u8 *p)
{
    return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static u8 paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return (u8)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

static void unfilter(u8 *row, const u8 *above, size_t n, u8 filter)
{
    for (size_t i = 0; i < n; i++) {
        int a = i >= 3 ? row[i - 3] : 0, b = above ? above[i] : 0, c = i >= 3 && above ? above[i - 3] : 0;
        int add[] = {0, a, b, (a + b) / 2, paeth(a, b, c)};
        assert_in_range(filter, 0, 4);
        row[i] = (u8)(row[i] + add[filter]);
    }
}

static Picture decode(Str png)
{
    Picture p = {0};
    assert_true(png.len > 33 && !memcmp(png.at, "\x89PNG\r\n\x1a\n", 8));
    const u8 *at = (const u8 *)png.at + 8, *end = (const u8 *)png.at + png.len;
    u8 *packed = mem_alloc(png.len);
    size_t packed_len = 0;
    bool ended = false;
    while (at + 12 <= end) {
        u32 n = be32(at);
        assert_true(n <= (size_t)(end - at) - 12);
        assert_int_equal(be32(at + 8 + n), crc32(crc32(0, at + 4, 4), at + 8, n));
        if (!memcmp(at + 4, "IHDR", 4)) {
            p.w = be32(at + 8), p.h = be32(at + 12);
            assert_int_equal(at[16], 8); /* bits */
            assert_int_equal(at[17], 2); /* RGB */
        } else if (!memcmp(at + 4, "IDAT", 4)) {
            memcpy(packed + packed_len, at + 8, n);
            packed_len += n;
        }
        ended |= !memcmp(at + 4, "IEND", 4);
        at += 12 + n;
    }
    assert_true(ended && p.w && p.h);
    size_t row = (size_t)p.w * 3;
    uLongf raw_len = (row + 1) * p.h;
    u8 *raw = mem_alloc(raw_len);
    assert_int_equal(uncompress(raw, &raw_len, packed, packed_len), Z_OK);
    p.rgb = mem_alloc(row * p.h);
    for (u32 y = 0; y < p.h; y++) {
        memcpy(p.rgb + row * y, raw + (row + 1) * y + 1, row);
        unfilter(p.rgb + row * y, y ? p.rgb + row * (y - 1) : NULL, row, raw[(row + 1) * y]);
    }
    mem_free(raw);
    mem_free(packed);
    return p;
}

static bool near_colour(const u8 *px, u32 rgb)
{
    return abs(px[0] - (int)(rgb >> 16)) < 24 && abs(px[1] - (int)(rgb >> 8 & 255)) < 24 &&
           abs(px[2] - (int)(rgb & 255)) < 24;
}

/* Pixels of the colour in the box, and the middle of their rows. */
static u32 count_colour(const Picture *p, u32 rgb, u32 x0, u32 x1, u32 y0, u32 y1, f64 *ret_y)
{
    u32 n = 0;
    f64 sum = 0;
    for (u32 y = y0; y < MIN(y1, p->h); y++)
        for (u32 x = x0; x < MIN(x1, p->w); x++)
            if (near_colour(p->rgb + ((size_t)y * p->w + x) * 3, rgb)) {
                n++;
                sum += y;
            }
    if (ret_y)
        *ret_y = n ? sum / n : NAN;
    return n;
}

static Picture draw(const ChartSpec *spec)
{
    Buf png;
    Why why = {0};
    buf_init(&png, CHART_PNG_MAX);
    assert_ok(chart_render(spec, &png, &why), &why);
    Picture p = decode(buf_view(&png));
    buf_done(&png);
    return p;
}

enum { STEPS = 101 };
/* Two series: a ramp from 0 to 100, which sets the scale, and a line at `value`. */
static ChartSpec spec_at(f64 value, f64 ramp[STEPS], f64 line[STEPS], ChartSeries series[2])
{
    for (int i = 0; i < STEPS; i++) {
        ramp[i] = i;
        line[i] = value;
    }
    series[0] = (ChartSeries){S("ramp"), ramp};
    series[1] = (ChartSeries){S("line"), line};
    return (ChartSpec){.title = S("where lines are"),
                       .start_ms = 1795788000000,
                       .step_ms = 15000,
                       .steps = STEPS,
                       .series = series,
                       .len = 2};
}

enum {
    ORANGE = 0xff9830,
    BLUE = 0x5794f2,
    RED = 0xe0344b,
    PLOT_TOP = 64,
    PLOT_H = 300,
    PLOT_X0 = 120,
    PLOT_X1 = 1000
};

static void test_lines_are_where_values_are(void **state)
{
    static const f64 values[] = {10, 50, 90};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        f64 ramp[STEPS], line[STEPS], y;
        ChartSeries series[2];
        ChartSpec spec = spec_at(values[i], ramp, line, series);
        Picture p = draw(&spec);
        assert_int_equal(p.w, 1040);
        assert_true(count_colour(&p, ORANGE, PLOT_X0, PLOT_X1, PLOT_TOP, PLOT_TOP + PLOT_H, &y) > 1000);
        f64 want = PLOT_TOP + PLOT_H * (1 - values[i] / 100);
        if (fabs(y - want) > 4)
            fail_msg("the line at %g is at row %g, not %g", values[i], y, want);
        /* the ramp is low on the left and high on the right */
        f64 left, right;
        assert_true(count_colour(&p, BLUE, PLOT_X0, PLOT_X0 + 100, PLOT_TOP, PLOT_TOP + PLOT_H, &left) > 20);
        assert_true(count_colour(&p, BLUE, PLOT_X1 - 100, PLOT_X1, PLOT_TOP, PLOT_TOP + PLOT_H, &right) > 20);
        assert_true(left > right + 200);
        mem_free(p.rgb);
    }
}

static void test_gaps_threshold_and_shade(void **state)
{
    f64 ramp[STEPS], line[STEPS], y;
    ChartSeries series[2];
    ChartSpec spec = spec_at(50, ramp, line, series);
    for (int i = 40; i < 60; i++)
        line[i] = i == 50 ? INFINITY : NAN;
    spec.has_threshold = true;
    spec.threshold = 75;
    Picture p = draw(&spec);
    u32 mid = (PLOT_X0 + PLOT_X1) / 2;
    assert_int_equal(count_colour(&p, ORANGE, mid - 50, mid + 50, PLOT_TOP, PLOT_TOP + PLOT_H, NULL), 0);
    assert_true(count_colour(&p, RED, PLOT_X0 + 100, PLOT_X1, PLOT_TOP, PLOT_TOP + PLOT_H, &y) > 300);
    assert_true(fabs(y - (PLOT_TOP + PLOT_H * 0.25)) < 4);
    u8 before[3];
    memcpy(before, p.rgb + ((size_t)(PLOT_TOP + PLOT_H - 14) * p.w + PLOT_X1 - 20) * 3, 3);
    mem_free(p.rgb);
    spec.fired_ms = spec.start_ms + 80 * spec.step_ms;
    p = draw(&spec);
    const u8 *after = p.rgb + ((size_t)(PLOT_TOP + PLOT_H - 14) * p.w + PLOT_X1 - 20) * 3;
    assert_true(after[0] > before[0] + 10); /* redder where it fires */
    const u8 *early = p.rgb + ((size_t)(PLOT_TOP + PLOT_H - 14) * p.w + PLOT_X0 + 20) * 3;
    assert_true(memcmp(early, before, 3) == 0 || near_colour(early, 0x1e1f24));
    mem_free(p.rgb);
    spec.light = true;
    p = draw(&spec);
    assert_true(near_colour(p.rgb, 0xffffff));
    mem_free(p.rgb);
}

static void test_odd_charts(void **state)
{
    f64 nothing[] = {NAN, NAN, NAN}, huge[] = {-1.7e308, 0, 1.7e308}, one[] = {5};
    ChartSeries s = {S("\xf0\x9f\x94\xa5 \n\t fire"), nothing};
    char long_text[CHART_TEXT_MAX];
    memset(long_text, 'w', sizeof long_text);
    ChartSpec spec = {.title = str_of(long_text, sizeof long_text),
                      .start_ms = 0,
                      .step_ms = 1,
                      .steps = 3,
                      .series = &s,
                      .len = 1,
                      .hidden = 9};
    mem_free(draw(&spec).rgb);
    s.values = huge;
    mem_free(draw(&spec).rgb);
    spec.width = 160, spec.height = 80;
    mem_free(draw(&spec).rgb);
    s.values = one, spec.steps = 1;
    mem_free(draw(&spec).rgb);
    spec.len = 0;
    mem_free(draw(&spec).rgb);
    Buf png;
    Why why;
    buf_init(&png, CHART_PNG_MAX);
    spec.title = S("\xff");
    assert_int_equal(chart_render(&spec, &png, &why), E_INVALID);
    spec.title = S("");
    spec.steps = 0;
    assert_int_equal(chart_render(&spec, &png, &why), E_INVALID);
    spec.steps = 1, spec.width = 100000;
    assert_int_equal(chart_render(&spec, &png, &why), E_INVALID);
    buf_done(&png);
}

static void test_descriptions(void **state)
{
    f64 ramp[STEPS], line[STEPS];
    ChartSeries series[2];
    ChartSpec spec = spec_at(0.1, ramp, line, series), got;
    line[3] = NAN;
    spec.has_threshold = true, spec.threshold = -0.5, spec.hidden = 7, spec.light = true, spec.fired_ms = 12,
    spec.ended_ms = 13;
    Buf a, b;
    Arena arena;
    Why why = {0};
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    arena_init(&arena, NULL, 0);
    chart_spec_print(&spec, &a);
    assert_ok(chart_spec_parse(buf_view(&a), &arena, &got, &why), &why);
    assert_true(isnan(got.series[1].values[3]) && got.series[1].values[4] == 0.1 && got.threshold == -0.5);
    chart_spec_print(&got, &b);
    assert_true(str_eq(buf_view(&a), buf_view(&b)));
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"", "chart:"},
        {"[]", "the document"},
        {"{\"steps\":2,\"series\":[{\"values\":[1]}]}", "series.values"},
        {"{\"steps\":1,\"series\":[{\"values\":[\"1\"]}]}", "series.values"},
        {"{\"steps\":1e9,\"series\":[]}", "steps"},
        {"{\"steps\":99999,\"series\":[]}", "steps"},
        {"{\"step\":0,\"series\":[]}", "step"},
        {"{\"series\":[],\"title\":5}", "title"},
        {"{\"series\":[],\"threshold\":\"x\"}", "threshold"},
        {"{\"series\":{}}", "series"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_not_equal(chart_spec_parse(str_c(bad[i].json), &arena, &got, &why), OK);
        if (!strstr(why.text, bad[i].says))
            fail_msg("%s: %s", bad[i].json, why.text);
    }
    arena_done(&arena);
    buf_done(&a);
    buf_done(&b);
}

static void test_child(void **state)
{
    f64 ramp[STEPS], line[STEPS];
    ChartSeries series[2];
    ChartSpec spec = spec_at(50, ramp, line, series);
    Buf here, there;
    Why why = {0};
    buf_init(&here, CHART_PNG_MAX);
    buf_init(&there, CHART_PNG_MAX);
    assert_ok(chart_render(&spec, &here, &why), &why);
    assert_ok(chart_draw(NULL, &spec, &there, &why), &why);
    Picture a = decode(buf_view(&here)), b = decode(buf_view(&there));
    assert_int_equal(a.w, b.w);
    assert_int_equal(a.h, b.h);
    mem_free(a.rgb);
    mem_free(b.rgb);
    buf_clear(&there);
    spec.step_ms = -1; /* what the child refuses, it says */
    assert_int_equal(chart_draw(NULL, &spec, &there, &why), E_EXEC);
    assert_non_null(strstr(why.text, "step"));
    spec.step_ms = 1000;
    buf_clear(&there);
    assert_int_equal(chart_draw("/nonexistent/program", &spec, &there, &why), E_UNAVAILABLE);
    buf_clear(&there);
    assert_int_equal(chart_draw("/bin/false", &spec, &there, &why), E_EXEC);
    buf_done(&here);
    buf_done(&there);
}

/* fontconfig keeps what it read. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "draw"))
        _exit(chart_child(0, 1));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_lines_are_where_values_are),
        cmocka_unit_test(test_gaps_threshold_and_shade),
        cmocka_unit_test(test_odd_charts),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
