/* labels, label/{name}/values, series. */
#include "metrics/api/impl.h"

typedef struct List { /* of strings, written as they come */
    Buf out;
    Json j;
    u64 limit, n;
    bool is_truncated;
} List;

static bool list_add(void *arg, Str s)
{
    List *l = arg;
    if (l->limit > 0 && l->n == l->limit) {
        l->is_truncated = true;
        return false;
    }
    l->n++;
    js_str(&l->j, s);
    return !buf_over(&l->out);
}

static void list_begin(List *l, u64 limit)
{
    *l = (List){.limit = limit};
    api_data(&l->out, &l->j);
    js_array(&l->j);
}

static void list_reply(List *l, HttpReq *r)
{
    js_array_end(&l->j);
    if (l->is_truncated)
        out_notes(&l->out, NULL, 0, "results truncated due to limit");
    api_reply(r, &l->out);
}

static void storage_error(HttpReq *r, Err e, const Why *why)
{
    api_error(r,
              e == E_CANCELED  ? API_CANCELED
              : e == E_TIMEOUT ? API_TIMEOUT
                               : API_EXECUTION,
              "%s", why->text);
}

typedef struct Range {
    i64 start, end;
    u64 limit;
    MatcherSets sets;
} Range;

/* limit, start, end, match[]: the peer's order of complaints. */
static bool take_range(HttpReq *r, Range *ret)
{
    Why why = {0};
    if (!param_limit(r, &ret->limit) || !param_range(r, &ret->start, &ret->end))
        return false;
    if (param_matchers(r, true, &ret->sets, &why) != OK) {
        api_error(r, API_BAD_DATA, "%s", why.text);
        return false;
    }
    return true;
}

void handle_labels(HttpReq *r, void *arg)
{
    Api *a = arg;
    Range q;
    List l;
    Why why = {0};
    Err e = OK;
    if (!api_enter(a, r) || !take_range(r, &q))
        return;
    list_begin(&l, q.limit);
    if (q.start <= q.end)
        e = a->c.source->label_names(a->c.source, api_tenant(a, r), q.sets.at, q.sets.len, q.start, q.end,
                                     r->arena, list_add, &l, &why);
    matcher_sets_done(&q.sets);
    if (e == OK) {
        list_reply(&l, r);
    } else {
        buf_done(&l.out);
        storage_error(r, e, &why);
    }
}

/* ---- U__ names: _2e_ is a code point, __ an underscore. What is malformed stands for itself. ---- */

Str label_unescape(Arena *arena, Str name)
{
    char *out;
    size_t len = 0;
    if (!str_starts(name, S("U__")) || !(out = arena_array(arena, char, name.len + 4)))
        return name;
    Str s = str_skip(name, 3);
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] != '_') {
            out[len++] = s.at[i];
            continue;
        }
        if (++i >= s.len)
            return name;
        if (s.at[i] == '_') {
            out[len++] = '_';
            continue;
        }
        u32 rune = 0, digits = 0;
        for (; i < s.len && s.at[i] != '_'; i++) {
            u32 digit = hex_digit(s.at[i]);
            if (++digits > 6 || digit > 15)
                return name;
            rune = rune * 16 + digit;
        }
        if (i >= s.len || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
            return name;
        len += rune_encode(rune, out + len);
    }
    return str_of(out, len);
}

void handle_label_values(HttpReq *r, void *arg)
{
    Api *a = arg;
    Range q;
    List l;
    Why why = {0};
    Err e = OK;
    Str name = label_unescape(r->arena, r->path_args[0]);
    if (!api_enter(a, r))
        return;
    if (name.len == 0 || !str_is_utf8(name)) {
        Buf b;
        buf_init(&b, 4096);
        go_quote(&b, str_sub(name, 0, 500));
        api_error(r, API_BAD_DATA, "invalid label name: %s", buf_cstr(&b));
        buf_done(&b);
        return;
    }
    if (!take_range(r, &q))
        return;
    list_begin(&l, q.limit);
    if (q.start <= q.end)
        e = a->c.source->label_values(a->c.source, api_tenant(a, r), name, q.sets.at, q.sets.len, q.start,
                                      q.end, r->arena, list_add, &l, &why);
    matcher_sets_done(&q.sets);
    if (e == OK) {
        list_reply(&l, r);
    } else {
        buf_done(&l.out);
        storage_error(r, e, &why);
    }
}

/* ---- series ---- */

typedef VEC(Labels) LabelsVec;
#define VIEWS 64

static Err collect(Api *a, HttpReq *r, Matchers m, const SelectHints *h, LabelsVec *list, Why *why)
{
    SeriesCursor *c;
    SeriesView views[VIEWS];
    u32 n;
    TRY(a->c.source->select(a->c.source, api_tenant(a, r), m, h, r->arena, r->cancel, &c, why));
    Err e;
    while ((e = c->next(c, views, VIEWS, &n, why)) == OK && n > 0) {
        for (u32 i = 0; i < n; i++)
            vec_push(list, labels_dup(r->arena, views[i].labels));
        if (arena_over(r->arena))
            e = why_set(
                why, E_LIMIT,
                "the series do not fit into the memory of a request: ask for less with limit or match[]");
        else if (cancel_is_set(r->cancel))
            e = why_set(why, E_CANCELED, "the client has gone");
        if (e != OK)
            break;
    }
    c->close(c);
    return e;
}

/* Sorted, each once, as many as wanted. */
static void reply_series(HttpReq *r, LabelsVec *list, u64 limit)
{
    Out o;
    u64 written = 0;
    bool truncated = false;
    if (list->len > 0)
        qsort(list->at, list->len, sizeof(Labels), labels_order);
    out_begin(&o, r, 200, API_JSON);
    buf_c(&o.b, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < list->len && !truncated; i++) {
        if (i > 0 && labels_eq(list->at[i], list->at[i - 1]))
            continue;
        truncated = limit > 0 && written == limit;
        if (truncated)
            break;
        if (written++ > 0)
            buf_char(&o.b, ',');
        out_labels(&o.b, list->at[i]);
        out_spill(&o);
    }
    buf_char(&o.b, ']');
    if (truncated)
        out_notes(&o.b, NULL, 0, "results truncated due to limit");
    buf_char(&o.b, '}');
    out_end(&o);
}

void handle_series(HttpReq *r, void *arg)
{
    Api *a = arg;
    Range q = {0};
    LabelsVec list = {0};
    Why why = {0};
    Err e = OK;
    if (!api_enter(a, r))
        return;
    if (!http_has_param(r, S("match[]"))) {
        api_error(r, API_BAD_DATA, "no match[] parameter provided");
        return;
    }
    if (!param_limit(r, &q.limit) || !param_range(r, &q.start, &q.end))
        return;
    if (param_matchers(r, true, &q.sets, &why) != OK) {
        api_bad_param(r, "match[]", "%s", why.text);
        return;
    }
    SelectHints h = {.mint = q.start,
                     .maxt = q.end,
                     .func = S("series"),
                     .labels_only = true,
                     .limit = q.limit > 0 && q.limit < UINT32_MAX ? (u32)q.limit + 1 : 0};
    for (u32 i = 0; e == OK && q.start <= q.end && i < q.sets.len; i++)
        e = collect(a, r, q.sets.at[i], &h, &list, &why);
    matcher_sets_done(&q.sets);
    if (e == OK)
        reply_series(r, &list, q.limit);
    else
        storage_error(r, e, &why);
    vec_done(&list);
}

void handle_drop_series(HttpReq *r, void *arg)
{
    if (api_enter(arg, r))
        api_error(r, API_INTERNAL, "not implemented");
}
