/* A chart drawn with libcairo, which is opened when the first is asked for. */
#include <cairo.h>
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "chart/chart.h"

#define CAIRO_CALLS(X)                                                                                       \
    X(cairo_image_surface_create)                                                                            \
    X(cairo_surface_destroy)                                                                                 \
    X(cairo_surface_write_to_png_stream)                                                                     \
    X(cairo_create)                                                                                          \
    X(cairo_destroy)                                                                                         \
    X(cairo_status)                                                                                          \
    X(cairo_status_to_string)                                                                                \
    X(cairo_scale)                                                                                           \
    X(cairo_save)                                                                                            \
    X(cairo_restore)                                                                                         \
    X(cairo_set_source)                                                                                      \
    X(cairo_set_source_rgba)                                                                                 \
    X(cairo_pattern_create_linear)                                                                           \
    X(cairo_pattern_add_color_stop_rgba)                                                                     \
    X(cairo_pattern_destroy)                                                                                 \
    X(cairo_set_line_width)                                                                                  \
    X(cairo_set_line_join)                                                                                   \
    X(cairo_set_dash)                                                                                        \
    X(cairo_move_to)                                                                                         \
    X(cairo_line_to)                                                                                         \
    X(cairo_close_path)                                                                                      \
    X(cairo_rectangle)                                                                                       \
    X(cairo_arc)                                                                                             \
    X(cairo_clip)                                                                                            \
    X(cairo_fill)                                                                                            \
    X(cairo_stroke)                                                                                          \
    X(cairo_paint)                                                                                           \
    X(cairo_select_font_face)                                                                                \
    X(cairo_set_font_size)                                                                                   \
    X(cairo_text_extents)                                                                                    \
    X(cairo_show_text)

static struct {
#define X(f) __typeof__(&f) f;
    CAIRO_CALLS(X)
#undef X
    char missing[256];
} lib;

static void open_library(void)
{
    void *h = dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!h) {
        str_fit(lib.missing, sizeof lib.missing, dlerror());
        return;
    }
#define X(f)                                                                                                 \
    *(void **)&lib.f = dlsym(h, #f);                                                                         \
    if (!lib.f)                                                                                              \
        str_fit(lib.missing, sizeof lib.missing, "libcairo.so.2 lacks " #f);
    CAIRO_CALLS(X)
#undef X
}

typedef struct Colour {
    f64 r, g, b;
} Colour;
#define RGB(hex) {((hex) >> 16) / 255.0, ((hex) >> 8 & 255) / 255.0, ((hex) & 255) / 255.0}
static const Colour palette[] = {RGB(0x5794f2), RGB(0xff9830), RGB(0x56a64b), RGB(0xb877d9), RGB(0xe0b400),
                                 RGB(0x37a2a8), RGB(0xff7383), RGB(0x8ab8ff), RGB(0xc4762b), RGB(0x9aa0a6)};
static const Colour red = RGB(0xe0344b);
typedef struct Theme {
    Colour back, text, muted, line;
} Theme;
static const Theme dark = {RGB(0x1e1f24), RGB(0xe3e5e8), RGB(0x9a9da6), RGB(0xffffff)};
static const Theme light = {RGB(0xffffff), RGB(0x1f2328), RGB(0x646b75), RGB(0x000000)};

enum { SCALE = 2, LEGEND_ROWS = 5, ROW_H = 17, TOP = 32, BOTTOM = 22, RIGHT = 16, EDGE = 12, PLOT_H = 150 };

typedef struct Drawing {
    const ChartSpec *spec;
    const Theme *theme;
    cairo_t *c;
    f64 w, h, left, right, top, bottom; /* the picture; the plot's box */
    ChartScale y;
    i64 end_ms;
    u32 rows; /* of the legend */
} Drawing;

static void ink(const Drawing *d, Colour k, f64 alpha)
{
    lib.cairo_set_source_rgba(d->c, k.r, k.g, k.b, alpha);
}

static f64 text_width(const Drawing *d, const char *text)
{
    cairo_text_extents_t e;
    lib.cairo_text_extents(d->c, text, &e);
    return e.x_advance;
}

static void font(const Drawing *d, f64 size, bool bold)
{
    lib.cairo_select_font_face(d->c, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                               bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    lib.cairo_set_font_size(d->c, size);
}

/* align -1: begins at x, 0: centred, 1: ends at x. Cut with an ellipsis to `most` points. */
static void text_at(const Drawing *d, f64 x, f64 y, int align, f64 most, Str text)
{
    char line[CHART_TEXT_MAX + 8];
    size_t n = MIN(text.len, (size_t)CHART_TEXT_MAX);
    while (n && n < text.len && ((u8)text.at[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        line[i] = (u8)text.at[i] < 0x20 || text.at[i] == 0x7f ? ' ' : text.at[i];
    line[n] = 0;
    if (text_width(d, line) > most) {
        size_t fits = 0, over = n; /* bytes that fit with the ellipsis, and that do not */
        while (over - fits > 1) {
            size_t mid = (fits + over) / 2, cut = mid;
            while (cut && ((u8)text.at[cut] & 0xc0) == 0x80)
                cut--;
            char tail[8];
            memcpy(tail, line + cut, 4);
            memcpy(line + cut, "…", 4);
            bool ok = text_width(d, line) <= most;
            memcpy(line + cut, tail, 4);
            if (ok)
                fits = mid;
            else
                over = mid;
        }
        while (fits && ((u8)text.at[fits] & 0xc0) == 0x80)
            fits--;
        memcpy(line + fits, "…", 4);
    }
    f64 width = align < 0 ? 0 : text_width(d, line);
    lib.cairo_move_to(d->c, align < 0 ? x : align ? x - width : x - width / 2, y);
    lib.cairo_show_text(d->c, line);
}

static f64 x_of(const Drawing *d, i64 t)
{
    i64 span = d->end_ms - d->spec->start_ms;
    return d->left + (span > 0 ? (f64)(t - d->spec->start_ms) / (f64)span : 0.5) * (d->right - d->left);
}

static f64 y_of(const Drawing *d, f64 v)
{
    return d->bottom - (v - d->y.min) / (d->y.max - d->y.min) * (d->bottom - d->top);
}

static void find_scale(Drawing *d)
{
    f64 min = INFINITY, max = -INFINITY;
    for (u32 i = 0; i < d->spec->len; i++)
        for (u32 k = 0; k < d->spec->steps; k++) {
            f64 v = d->spec->series[i].values[k];
            if (isfinite(v)) {
                min = fmin(min, v);
                max = fmax(max, v);
            }
        }
    if (d->spec->has_threshold) {
        min = fmin(min, d->spec->threshold);
        max = fmax(max, d->spec->threshold);
    }
    if (min >= 0 && max - min > 0.3 * max)
        min = 0; /* near enough to show where nothing is */
    d->y = chart_scale(min, max, 4, d->spec->unit);
}

static void draw_value_axis(Drawing *d)
{
    font(d, 10.5, false);
    Buf b;
    buf_init(&b, 64);
    f64 widest = 0;
    u32 n = (u32)fmin(20, round((d->y.max - d->y.min) / d->y.step));
    for (u32 i = 0; i <= n; i++) {
        buf_clear(&b);
        chart_value(&b, d->y.min + i * d->y.step, d->y.step, d->spec->unit);
        widest = fmax(widest, text_width(d, buf_cstr(&b)));
    }
    d->left = EDGE + widest + 8;
    for (u32 i = 0; i <= n; i++) {
        f64 v = d->y.min + i * d->y.step, y = y_of(d, v);
        if (fabs(v) < d->y.step * 1e-6)
            v = 0;
        buf_clear(&b);
        chart_value(&b, v, d->y.step, d->spec->unit);
        ink(d, d->theme->muted, 1);
        text_at(d, d->left - 8, y + 3.5, 1, 200, buf_view(&b));
        ink(d, d->theme->line, 0.09);
        lib.cairo_set_line_width(d->c, 1);
        lib.cairo_move_to(d->c, d->left, y);
        lib.cairo_line_to(d->c, d->right, y);
        lib.cairo_stroke(d->c);
    }
    buf_done(&b);
}

static void print_moment(Buf *b, i64 ms, i64 step_ms)
{
    Civil c;
    civil_from_unix(ms / 1000, &c);
    print_time_go(b, &c, step_ms >= 86400000 ? S("Jan 2") : step_ms < 60000 ? S("15:04:05") : S("15:04"));
}

static void draw_time_axis(Drawing *d)
{
    i64 step = chart_time_step(MAX(d->end_ms - d->spec->start_ms, 1000), (u32)((d->right - d->left) / 64));
    Buf b;
    buf_init(&b, 64);
    for (i64 t = (d->spec->start_ms + step - 1) / step * step; t <= d->end_ms; t += step) {
        f64 x = x_of(d, t);
        ink(d, d->theme->line, 0.05);
        lib.cairo_move_to(d->c, x, d->top);
        lib.cairo_line_to(d->c, x, d->bottom);
        lib.cairo_stroke(d->c);
        buf_clear(&b);
        print_moment(&b, t, step);
        ink(d, d->theme->muted, 1);
        f64 half = text_width(d, buf_cstr(&b)) / 2;
        if (x - half >= d->left - 20 && x + half <= d->w - 4)
            text_at(d, x, d->bottom + 15, 0, 100, buf_view(&b));
    }
    buf_done(&b);
}

static void draw_title(Drawing *d)
{
    Civil from, to;
    civil_from_unix(d->spec->start_ms / 1000, &from);
    civil_from_unix(d->end_ms / 1000, &to);
    bool one_day = from.yday == to.yday && from.year == to.year;
    Buf b;
    buf_init(&b, 128);
    print_time_go(&b, &from, S("Jan 2 15:04"));
    buf_c(&b, " – ");
    print_time_go(&b, &to, one_day ? S("15:04") : S("Jan 2 15:04"));
    buf_c(&b, " UTC");
    font(d, 10.5, false);
    ink(d, d->theme->muted, 1);
    f64 taken = text_width(d, buf_cstr(&b));
    text_at(d, d->w - RIGHT, 20, 1, 300, buf_view(&b));
    buf_done(&b);
    font(d, 12, true);
    ink(d, d->theme->text, 1);
    text_at(d, EDGE, 20, -1, d->w - EDGE - RIGHT - taken - 16, d->spec->title);
}

static void draw_shade(Drawing *d)
{
    if (!d->spec->fired_ms || d->spec->fired_ms > d->end_ms)
        return;
    f64 from = fmax(d->left, x_of(d, d->spec->fired_ms)),
        to = d->spec->ended_ms ? fmin(d->right, x_of(d, d->spec->ended_ms)) : d->right;
    if (to <= from)
        return;
    ink(d, red, 0.13);
    lib.cairo_rectangle(d->c, from, d->top, to - from, d->bottom - d->top);
    lib.cairo_fill(d->c);
    ink(d, red, 0.7);
    lib.cairo_set_line_width(d->c, 1);
    lib.cairo_move_to(d->c, from, d->top);
    lib.cairo_line_to(d->c, from, d->bottom);
    lib.cairo_stroke(d->c);
}

static void draw_threshold(Drawing *d)
{
    if (!d->spec->has_threshold)
        return;
    f64 y = y_of(d, d->spec->threshold);
    ink(d, red, 0.9);
    lib.cairo_set_line_width(d->c, 1.2);
    lib.cairo_set_dash(d->c, (double[]){5, 4}, 2, 0);
    lib.cairo_move_to(d->c, d->left, y);
    lib.cairo_line_to(d->c, d->right, y);
    lib.cairo_stroke(d->c);
    lib.cairo_set_dash(d->c, NULL, 0, 0);
    Buf b;
    buf_init(&b, 64);
    chart_value(&b, d->spec->threshold, 0, d->spec->unit);
    font(d, 10.5, true);
    text_at(d, d->left + 4, y < d->top + 16 ? y + 12 : y - 4, -1, 150, buf_view(&b));
    buf_done(&b);
}

/* The line through v[from, to), all finite. */
static void trace(const Drawing *d, const f64 *v, u32 from, u32 to)
{
    for (u32 k = from; k < to; k++) {
        f64 x = x_of(d, d->spec->start_ms + (i64)k * d->spec->step_ms), y = y_of(d, v[k]);
        if (k == from)
            lib.cairo_move_to(d->c, x, y);
        else
            lib.cairo_line_to(d->c, x, y);
    }
}

static void fill_below(const Drawing *d, const f64 *v, u32 from, u32 to, Colour k)
{
    trace(d, v, from, to);
    f64 base = fmin(d->bottom, fmax(d->top, y_of(d, fmax(d->y.min, 0))));
    lib.cairo_line_to(d->c, x_of(d, d->spec->start_ms + (i64)(to - 1) * d->spec->step_ms), base);
    lib.cairo_line_to(d->c, x_of(d, d->spec->start_ms + (i64)from * d->spec->step_ms), base);
    lib.cairo_close_path(d->c);
    cairo_pattern_t *p = lib.cairo_pattern_create_linear(0, d->top, 0, d->bottom);
    lib.cairo_pattern_add_color_stop_rgba(p, 0, k.r, k.g, k.b, 0.28);
    lib.cairo_pattern_add_color_stop_rgba(p, 1, k.r, k.g, k.b, 0.03);
    lib.cairo_set_source(d->c, p);
    lib.cairo_fill(d->c);
    lib.cairo_pattern_destroy(p);
}

static void draw_series(Drawing *d, u32 i)
{
    const f64 *v = d->spec->series[i].values;
    Colour k = palette[i % COUNT_OF(palette)];
    lib.cairo_set_line_width(d->c, 1.7);
    lib.cairo_set_line_join(d->c, CAIRO_LINE_JOIN_ROUND);
    for (u32 from = 0; from < d->spec->steps;) {
        if (!isfinite(v[from])) {
            from++;
            continue;
        }
        u32 to = from + 1;
        while (to < d->spec->steps && isfinite(v[to]))
            to++;
        if (to - from == 1) {
            ink(d, k, 1);
            lib.cairo_arc(d->c, x_of(d, d->spec->start_ms + (i64)from * d->spec->step_ms), y_of(d, v[from]),
                          2.2, 0, 2 * M_PI);
            lib.cairo_fill(d->c);
        } else {
            if (d->spec->len == 1)
                fill_below(d, v, from, to, k);
            ink(d, k, 1);
            trace(d, v, from, to);
            lib.cairo_stroke(d->c);
        }
        from = to;
    }
}

static void draw_legend(Drawing *d)
{
    Buf b;
    buf_init(&b, 128);
    font(d, 11, false);
    u32 shown = MIN(d->spec->len, (u32)LEGEND_ROWS), more = d->spec->len - shown + d->spec->hidden;
    for (u32 i = 0; i < shown; i++) {
        f64 y = d->bottom + BOTTOM + ROW_H * i + 12, last = NAN;
        for (u32 k = d->spec->steps; k-- && !isfinite(last);)
            last = d->spec->series[i].values[k];
        ink(d, palette[i % COUNT_OF(palette)], 1);
        lib.cairo_rectangle(d->c, EDGE, y - 5.5, 12, 3);
        lib.cairo_fill(d->c);
        buf_clear(&b);
        chart_value(&b, last, 0, d->spec->unit);
        f64 width = text_width(d, buf_cstr(&b));
        ink(d, d->theme->text, 1);
        text_at(d, d->w - RIGHT, y, 1, 150, buf_view(&b));
        text_at(d, EDGE + 19, y, -1, d->w - EDGE - RIGHT - 19 - width - 12, d->spec->series[i].name);
    }
    if (more) {
        buf_clear(&b);
        buf_printf(&b, "and %u more", more);
        ink(d, d->theme->muted, 1);
        text_at(d, EDGE + 19, d->bottom + BOTTOM + ROW_H * shown + 12, -1, 200, buf_view(&b));
    }
    buf_done(&b);
}

static void draw_all(Drawing *d)
{
    ink(d, d->theme->back, 1);
    lib.cairo_paint(d->c);
    d->left = EDGE;
    d->right = d->w - RIGHT;
    d->top = TOP;
    d->bottom = d->h - BOTTOM - ROW_H * d->rows - (d->rows ? 8 : 0);
    d->end_ms = d->spec->start_ms + (i64)(d->spec->steps - 1) * d->spec->step_ms;
    find_scale(d);
    draw_title(d);
    if (d->spec->len)
        draw_value_axis(d);
    draw_time_axis(d);
    draw_shade(d);
    lib.cairo_save(d->c);
    lib.cairo_rectangle(d->c, d->left, d->top - 1, d->right - d->left + 2, d->bottom - d->top + 2);
    lib.cairo_clip(d->c);
    for (u32 i = d->spec->len; i--;) /* the first on top */
        draw_series(d, i);
    lib.cairo_restore(d->c);
    draw_threshold(d);
    if (!d->spec->len) {
        font(d, 13, false);
        ink(d, d->theme->muted, 1);
        text_at(d, (d->left + d->right) / 2, (d->top + d->bottom) / 2, 0, 300, S("No data in this time"));
    }
    draw_legend(d);
}

static cairo_status_t png_part(void *to, const unsigned char *at, unsigned n)
{
    buf_put(to, at, n);
    return buf_over(to) ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static Err judge(const ChartSpec *s, Why *why)
{
    if (s->len > CHART_SERIES_MAX || !s->steps || s->steps > CHART_STEPS_MAX || s->step_ms <= 0)
        return why_set(why, E_INVALID, "chart: at most %d series of 1 to %d steps", CHART_SERIES_MAX,
                       CHART_STEPS_MAX);
    if (s->width > 2000 || s->height > 2000 || (s->width && s->width < 160) || (s->height && s->height < 80))
        return why_set(why, E_INVALID, "chart: from 160x80 to 2000x2000 points");
    bool ok = str_is_utf8(s->title) && str_is_utf8(s->unit);
    for (u32 i = 0; i < s->len; i++)
        ok &= str_is_utf8(s->series[i].name);
    return ok ? OK : why_set(why, E_INVALID, "chart: a text is not UTF-8");
}

Err chart_render(const ChartSpec *spec, Buf *png, Why *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    TRY(judge(spec, why));
    pthread_once(&once, open_library);
    if (lib.missing[0])
        return why_set(why, E_UNSUPPORTED, "charts need the package libcairo2 (%s)", lib.missing);
    Drawing d = {.spec = spec, .theme = spec->light ? &light : &dark};
    d.rows = MIN(spec->len, (u32)LEGEND_ROWS) + (spec->len > LEGEND_ROWS || spec->hidden);
    d.w = spec->width ? spec->width : 520;
    d.h = spec->height ? spec->height : TOP + PLOT_H + BOTTOM + ROW_H * d.rows + (d.rows ? 8 : 0);
    if (d.h - TOP - BOTTOM - ROW_H * d.rows < 40)
        d.rows = 0, d.h = fmax(d.h, TOP + BOTTOM + 40);
    cairo_surface_t *surface =
        lib.cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)d.w * SCALE, (int)d.h * SCALE);
    d.c = lib.cairo_create(surface);
    lib.cairo_scale(d.c, SCALE, SCALE);
    draw_all(&d);
    cairo_status_t status = lib.cairo_status(d.c);
    if (status == CAIRO_STATUS_SUCCESS)
        status = lib.cairo_surface_write_to_png_stream(surface, png_part, png);
    Err e = status == CAIRO_STATUS_SUCCESS
                ? OK
                : why_set(why, E_INTERNAL, "chart: %s", lib.cairo_status_to_string(status));
    lib.cairo_destroy(d.c);
    lib.cairo_surface_destroy(surface);
    return e;
}
