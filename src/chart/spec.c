/* A chart as JSON, for the child that draws it. */
#include <jansson.h>
#include <math.h>

#include "chart/chart.h"

/* Always with an exponent: the reader takes long integers for what they are and finds them too large. */
static void put_number(Json *j, f64 v)
{
    char text[32];
    Buf b = {.at = text, .cap = sizeof text, .max = sizeof text};
    if (isfinite(v))
        print_f64_go(&b, v, 'e', -1);
    else
        buf_c(&b, "null"); /* nothing can be drawn there */
    js_raw(j, buf_view(&b));
}

void chart_spec_print(const ChartSpec *c, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "title", c->title);
    js_kv(&j, "unit", c->unit);
    js_key(&j, S("width")), js_u64(&j, c->width);
    js_key(&j, S("height")), js_u64(&j, c->height);
    js_key(&j, S("light")), js_bool(&j, c->light);
    js_key(&j, S("start")), js_i64(&j, c->start_ms);
    js_key(&j, S("step")), js_i64(&j, c->step_ms);
    js_key(&j, S("steps")), js_u64(&j, c->steps);
    js_key(&j, S("hidden")), js_u64(&j, c->hidden);
    if (c->has_threshold && isfinite(c->threshold))
        js_key(&j, S("threshold")), put_number(&j, c->threshold);
    js_key(&j, S("fired")), js_i64(&j, c->fired_ms);
    js_key(&j, S("ended")), js_i64(&j, c->ended_ms);
    js_key(&j, S("series"));
    js_array(&j);
    for (u32 i = 0; i < c->len; i++) {
        js_object(&j);
        js_kv(&j, "name", c->series[i].name);
        js_key(&j, S("values"));
        js_array(&j);
        for (u32 k = 0; k < c->steps; k++)
            put_number(&j, c->series[i].values[k]);
        js_array_end(&j);
        js_object_end(&j);
    }
    js_array_end(&j);
    js_object_end(&j);
}

static Err wrong(Why *why, const char *field, const char *expected)
{
    return why_set(why, E_INVALID, "chart: %s: expected %s", field, expected);
}

static Err get_int(const json_t *o, const char *field, i64 least, i64 most, i64 *ret, Why *why)
{
    const json_t *v = json_object_get(o, field);
    if (!v)
        return OK;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return why_set(why, E_INVALID, "chart: %s: expected an integer from %lld to %lld", field,
                       (long long)least, (long long)most);
    *ret = json_integer_value(v);
    return OK;
}

static Err get_text(const json_t *o, const char *field, Arena *arena, Str *ret, Why *why)
{
    const json_t *v = json_object_get(o, field);
    if (!v)
        return OK;
    if (!json_is_string(v) || json_string_length(v) > CHART_TEXT_MAX)
        return wrong(why, field, "a text of at most 1024 bytes");
    *ret = arena_dup(arena, str_of(json_string_value(v), json_string_length(v)));
    return OK;
}

static Err get_series(const json_t *list, Arena *arena, ChartSpec *ret, Why *why)
{
    if (!json_is_array(list) || json_array_size(list) > CHART_SERIES_MAX)
        return wrong(why, "series", "a list of at most 50");
    ret->len = (u32)json_array_size(list);
    ChartSeries *all = arena_array(arena, ChartSeries, ret->len + 1);
    for (u32 i = 0; i < ret->len; i++) {
        const json_t *one = json_array_get(list, i), *values = json_object_get(one, "values");
        if (!json_is_array(values) || json_array_size(values) != ret->steps)
            return wrong(why, "series.values", "as many numbers as steps");
        f64 *v = all ? arena_array(arena, f64, ret->steps + 1) : NULL;
        if (!v)
            return why_set(why, E_LIMIT, "chart: too large");
        all[i] = (ChartSeries){.values = v};
        TRY(get_text(one, "name", arena, &all[i].name, why));
        for (u32 k = 0; k < ret->steps; k++) {
            const json_t *n = json_array_get(values, k);
            if (!json_is_number(n) && !json_is_null(n))
                return wrong(why, "series.values", "numbers and nulls");
            v[k] = json_is_null(n) ? NAN : json_number_value(n) + 0.0; /* no -0 */
        }
    }
    ret->series = all;
    return OK;
}

static Err from_tree(const json_t *root, Arena *arena, ChartSpec *ret, Why *why)
{
    if (!json_is_object(root))
        return wrong(why, "the document", "an object");
    i64 width = 0, height = 0, steps = 0, hidden = 0;
    TRY(get_text(root, "title", arena, &ret->title, why));
    TRY(get_text(root, "unit", arena, &ret->unit, why));
    TRY(get_int(root, "width", 0, 2000, &width, why));
    TRY(get_int(root, "height", 0, 2000, &height, why));
    TRY(get_int(root, "steps", 1, CHART_STEPS_MAX, &steps, why));
    TRY(get_int(root, "hidden", 0, UINT32_MAX, &hidden, why));
    TRY(get_int(root, "start", 0, INT64_MAX / 4, &ret->start_ms, why));
    TRY(get_int(root, "step", 1, 1LL << 40, &ret->step_ms, why));
    TRY(get_int(root, "fired", 0, INT64_MAX / 4, &ret->fired_ms, why));
    TRY(get_int(root, "ended", 0, INT64_MAX / 4, &ret->ended_ms, why));
    ret->width = (u32)width, ret->height = (u32)height, ret->steps = (u32)steps, ret->hidden = (u32)hidden;
    ret->light = json_is_true(json_object_get(root, "light"));
    const json_t *threshold = json_object_get(root, "threshold");
    if (threshold && !json_is_number(threshold))
        return wrong(why, "threshold", "a number");
    ret->has_threshold = threshold;
    ret->threshold = json_number_value(threshold) + 0.0;
    return get_series(json_object_get(root, "series"), arena, ret, why);
}

Err chart_spec_parse(Str json, Arena *arena, ChartSpec *ret, Why *why)
{
    json_error_t bad;
    json_t *root = json.len > CHART_SPEC_MAX ? NULL : json_loadb(json.at, json.len, 0, &bad);
    if (!root)
        return json.len > CHART_SPEC_MAX
                   ? why_set(why, E_TOO_LARGE, "chart: the description is over 8 MiB")
                   : why_at(why, E_PARSE, (u32)bad.line, (u32)bad.column, "chart: %s", bad.text);
    ChartSpec spec = {0};
    Err e = from_tree(root, arena, &spec, why);
    json_decref(root);
    if (e == OK)
        *ret = spec;
    return e;
}
