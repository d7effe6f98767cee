/* Pictures for Discord cards: what is to be drawn travels with the message in the outbox, and is drawn when it is sent. */
#include <jansson.h>

#include "alert/alerter_internal.h"

/* The expression in the link of an alert: ".../graph?g0.expr=...". Empty when there is none. */
static Str expr_of(Str link, Arena *arena)
{
    Url u;
    Str name, value, rest, part;
    if (url_parse(link, &u, NULL) != OK)
        return S("");
    for (rest = u.query; rest.len;) {
        str_cut(rest, '&', &part, &rest);
        str_cut(part, '=', &name, &value);
        if (!str_eq(name, S("g0.expr")))
            continue;
        Buf b;
        buf_init(&b, 64 << 10);
        Str ret =
            url_unescape(&b, value, true) == OK && !buf_over(&b) ? arena_dup(arena, buf_view(&b)) : S("");
        buf_done(&b);
        return ret;
    }
    return S("");
}

bool picture_ask(const NotifyData *d, Arena *arena, Buf *out)
{
    for (u32 i = 0; i < d->len; i++) {
        const NotifyAlert *a = &d->alerts[i];
        Str expr = a->is_resolved ? S("") : expr_of(a->generator_url, arena);
        if (!expr.len)
            continue;
        Json j;
        js_init(&j, out);
        js_object(&j);
        js_kv(&j, "expr", expr);
        js_key(&j, S("starts"));
        js_i64(&j, a->starts_ns / NS_PER_MS);
        js_key(&j, S("labels"));
        labels_json(&j, a->labels);
        js_object_end(&j);
        buf_char(out, '\n');
        return true;
    }
    return false;
}

static Labels read_labels(const json_t *o, Arena *arena)
{
    const char *key;
    json_t *value;
    LabelsBuilder b;
    lb_init(&b, arena, (Labels){0});
    json_object_foreach((json_t *)o, key, value)
    {
        if (json_is_string(value))
            lb_set(&b, arena_dup(arena, str_c(key)),
                   arena_dup(arena, str_of(json_string_value(value), json_string_length(value))));
    }
    return lb_build(&b);
}

Str picture_draw(Alerter *a, Str ask, Arena *arena)
{
    if (!a->env.chart)
        return S("");
    json_t *root = json_loadb(ask.at, ask.len, 0, NULL);
    AlertChart chart = {
        .expr = arena_dup(arena, str_c(json_string_value(json_object_get(root, "expr")))),
        .labels = read_labels(json_object_get(root, "labels"), arena),
        .starts_ms = json_integer_value(json_object_get(root, "starts")),
    };
    json_decref(root);
    Buf png;
    Why why = {0};
    buf_init(&png, PICTURE_BYTES_MAX);
    Err e = chart.expr.len ? a->env.chart(a->env.chart_arg, &chart, arena, &png, &why) : E_NOT_FOUND;
    Str ret = e == OK && !buf_over(&png) ? arena_dup(arena, buf_view(&png)) : S("");
    buf_done(&png);
    if (e != OK && e != E_NOT_FOUND) /* the message goes all the same */
        LOG_WARN("alert", "No picture for this message", LF_STR("expr", chart.expr), LF_WHY(&why));
    return ret;
}
