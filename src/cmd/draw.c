/* pharos draw: a chart as a PNG, from a server's answer, from a description, or for the server that asks its child. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "chart/chart.h"
#include "cmd/client.h"
#include "cmd/cmd.h"

typedef struct DrawFlags {
    const char *server, *output, *unit, *title, *threshold;
    i64 range_ms, width, height;
    bool light, child;
} DrawFlags;

static Err build_url(const DrawFlags *f, const char *expr, i64 now, i64 step, Buf *url, Why *why)
{
    size_t n = strlen(f->server);
    while (n && f->server[n - 1] == '/')
        n--;
    buf_put(url, f->server, n);
    buf_printf(url,
               "/api/v1/query_range?start=%.3f&end=%.3f&step=%.3f&query=", (f64)(now - f->range_ms) / 1e3,
               (f64)now / 1e3, (f64)step / 1e3);
    url_escape_query(url, str_c(expr));
    return buf_over(url) ? why_set(why, E_TOO_LARGE, "the expression is over 1 MiB") : OK;
}

static Str name_of(const json_t *metric, Arena *arena)
{
    Buf b;
    buf_init(&b, CHART_TEXT_MAX);
    const char *name = json_string_value(json_object_get(metric, "__name__")), *key;
    json_t *value;
    buf_c(&b, name ? name : "");
    const char *sep = "{";
    json_object_foreach((json_t *)metric, key, value)
    {
        if (!strcmp(key, "__name__"))
            continue;
        buf_printf(&b, "%s%s=\"%s\"", sep, key, json_string_value(value) ? json_string_value(value) : "");
        sep = ", ";
    }
    buf_c(&b, *sep == ',' ? "}" : name ? "" : "{}");
    Str s = arena_dup(arena, buf_view(&b));
    buf_done(&b);
    return str_sub(s, 0, str_rune_prefix(s, CHART_TEXT_MAX / 4));
}

/* A matrix answer as the chart's series, on its steps. */
static Err take_matrix(const json_t *result, Arena *arena, ChartSpec *spec, Why *why)
{
    u32 all = (u32)json_array_size(result);
    spec->len = MIN(all, (u32)CHART_SERIES_MAX);
    spec->hidden = all - spec->len;
    ChartSeries *series = arena_array(arena, ChartSeries, spec->len + 1);
    if (!series)
        return why_set(why, E_LIMIT, "the answer is too large");
    spec->series = series;
    for (u32 i = 0; i < spec->len; i++) {
        f64 *v = arena_array(arena, f64, spec->steps);
        if (!v)
            return why_set(why, E_LIMIT, "the answer is too large");
        for (u32 k = 0; k < spec->steps; k++)
            v[k] = NAN;
        const json_t *row = json_array_get(result, i), *point;
        size_t p;
        json_array_foreach(json_object_get(row, "values"), p, point)
        {
            f64 k = round((json_number_value(json_array_get(point, 0)) * 1e3 - (f64)spec->start_ms) /
                          (f64)spec->step_ms),
                x;
            if (k >= 0 && k < spec->steps &&
                parse_f64(str_c(json_string_value(json_array_get(point, 1))), &x) == OK)
                v[(u32)k] = x;
        }
        series[i] = (ChartSeries){name_of(json_object_get(row, "metric"), arena), v};
    }
    return OK;
}

static Err ask(const DrawFlags *f, const char *expr, Arena *arena, ChartSpec *spec, Why *why)
{
    i64 now = clock_wall_ms(clock_real()), step = MAX(f->range_ms / 400, 1000);
    *spec = (ChartSpec){.title = str_c(f->title[0] ? f->title : expr),
                        .unit = str_c(f->unit),
                        .width = (u32)f->width,
                        .height = (u32)f->height,
                        .light = f->light,
                        .start_ms = now - f->range_ms,
                        .step_ms = step,
                        .steps = (u32)(f->range_ms / step + 1),
                        .has_threshold = f->threshold[0]};
    if (spec->has_threshold && parse_f64(str_c(f->threshold), &spec->threshold) != OK)
        return why_set(why, E_INVALID, "--threshold is not a number");
    Buf url;
    buf_init(&url, 1 << 20);
    Err e = build_url(f, expr, now, step, &url, why);
    if (e == OK) {
        CmdClient client;
        HttpResult answer;
        cmd_client_init(&client);
        e = cmd_client_get(&client, buf_view(&url), S("application/json"), arena, &answer);
        cmd_client_done(&client);
        json_t *root = e == OK ? json_loadb(answer.body.at, answer.body.len, 0, NULL) : NULL;
        const char *error = json_string_value(json_object_get(root, "error"));
        if (e != OK)
            *why = answer.why;
        else if (error)
            e = why_set(why, E_EXEC, "%s", error);
        else
            e = take_matrix(json_object_get(json_object_get(root, "data"), "result"), arena, spec, why);
        json_decref(root);
    }
    buf_done(&url);
    return e;
}

static Err read_spec(Arena *arena, ChartSpec *spec, Why *why)
{
    Buf text;
    char piece[4096];
    size_t n;
    buf_init(&text, CHART_SPEC_MAX + 1);
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        buf_put(&text, piece, n);
    Err e = chart_spec_parse(buf_view(&text), arena, spec, why);
    buf_done(&text);
    return e;
}

static Err write_picture(const char *path, Str png, Why *why)
{
    FILE *f = strcmp(path, "-") ? fopen(path, "wb") : stdout;
    if (!f)
        return why_set(why, E_IO, "%s: %s", path, strerror(errno));
    bool ok = fwrite(png.at, 1, png.len, f) == png.len;
    ok &= f == stdout ? !fflush(f) : !fclose(f);
    return ok ? OK : why_set(why, E_IO, "%s: %s", path, strerror(errno));
}

static int run(int argc, char **argv)
{
    DrawFlags f = {0};
    Flag flags[] = {
        {"server", FLAG_STR, &f.server, "http://127.0.0.1:9090", "whom to ask"},
        {"output", FLAG_STR, &f.output, "-", "file to write; - is the standard output"},
        {"range", FLAG_DURATION, &f.range_ms, "1h", "how far back"},
        {"unit", FLAG_STR, &f.unit, "short", "short, bytes, percent, percentunit or s"},
        {"title", FLAG_STR, &f.title, "", "the line above; the expression by default"},
        {"threshold", FLAG_STR, &f.threshold, "", "a value to mark"},
        {"width", FLAG_INT, &f.width, "0", "points, two pixels each; 0 = 520"},
        {"height", FLAG_INT, &f.height, "0", "points; 0 = as the legend needs"},
        {"light", FLAG_BOOL, &f.light, "false", "on white instead of dark"},
        {"child", FLAG_BOOL, &f.child, "false", NULL},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_draw, argc, argv, &words);
    if (stop)
        return stop - 1;
    if (f.child)
        _exit(chart_child(0, 1)); /* nothing is left to tidy up */
    if (words > 1 || f.range_ms < 1000 || f.width < 0 || f.height < 0 || f.width > 2000 || f.height > 2000 ||
        (!words && on_terminal(0)) || (!strcmp(f.output, "-") && on_terminal(1))) {
        fprintf(stderr, "pharos draw: want an expression, or a description on the standard input; and "
                        "--output=FILE, or a pipe\n"
                        "(pharos draw --help shows examples)\n");
        return 2;
    }
    Arena arena;
    Buf png;
    ChartSpec spec;
    Why why = {0};
    arena_init(&arena, NULL, 0);
    buf_init(&png, CHART_PNG_MAX);
    Err e = words ? ask(&f, argv[0], &arena, &spec, &why) : read_spec(&arena, &spec, &why);
    if (e == OK)
        e = chart_render(&spec, &png, &why);
    if (e == OK)
        e = write_picture(f.output, buf_view(&png), &why);
    int rc = e == OK ? 0 : complain("draw", &why);
    arena_done(&arena);
    buf_done(&png);
    return rc;
}

const Command cmd_draw = {
    .name = "draw",
    .summary = "draw an expression as a picture (PNG)",
    .help =
        "pharos draw [flags] EXPRESSION\n"
        "pharos draw [flags] < chart.json\n\n"
        "Asks a server for the expression over the last hour and draws the answer; or draws what a "
        "description says:\n"
        "{\"title\",\"unit\",\"width\",\"height\",\"light\",\"start\",\"step\" "
        "(ms),\"steps\",\"threshold\",\"fired\",\"ended\",\n"
        " \"series\":[{\"name\",\"values\":[number or null, one per step]}]}. Needs the package libcairo2 at "
        "run time.\n\n"
        "  pharos draw --output=load.png node_load1\n"
        "  pharos draw --range=1d --unit=bytes --light --output=memory.png node_memory_MemAvailable_bytes\n",
    .run = run,
};
