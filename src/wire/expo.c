#include "wire/expo.h"
#include <stdio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- negotiation ---- */

static bool is_protobuf(Str params)
{
    Str part;
    bool proto = false, delimited = false;
    do {
        str_cut(params, ';', &part, &params);
        Str k, v;
        if (!str_cut(str_trim(part), '=', &k, &v))
            continue;
        k = str_trim(k), v = str_trim(v);
        if (v.len >= 2 && v.at[0] == '"' && v.at[v.len - 1] == '"')
            v = str_sub(v, 1, v.len - 1);
        proto |= str_eq_nocase(k, S("proto")) && str_eq(v, S("io.prometheus.client.MetricFamily"));
        delimited |= str_eq_nocase(k, S("encoding")) && str_eq_nocase(v, S("delimited"));
    } while (params.len);
    return proto && delimited;
}

ExpoFormat expo_format(Str content_type, ExpoFormat fallback)
{
    Str media, params;
    str_cut(content_type, ';', &media, &params);
    media = str_trim(media);
    if (str_eq_nocase(media, S("text/plain")))
        return EXPO_TEXT;
    if (str_eq_nocase(media, S("application/openmetrics-text")))
        return EXPO_OPENMETRICS;
    if (str_eq_nocase(media, S("application/vnd.google.protobuf")) && is_protobuf(params))
        return EXPO_PROTOBUF;
    return fallback;
}

/* ---- errors ---- */

Err expo_fail(ExpoParser *p, const char *at, Why *why, const char *fmt, ...)
{
    if (!why)
        return E_PARSE;
    u32 line = 1;
    const char *start = p->page;
    for (const char *nl; start < at && (nl = memchr(start, '\n', (size_t)(at - start))); line++)
        start = nl + 1;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t left = (size_t)(p->end - at);
    Str near = str_of(at, MIN(left, (size_t)40));
    size_t nl = str_find_char(near, '\n');
    if (nl != SIZE_MAX)
        near.len = nl;
    Buf quoted;
    buf_init(&quoted, 1024);
    go_quote(&quoted, near);
    why_at(why, E_PARSE, line, (u32)(at - start) + 1, "%s, at %.*s", text, (int)quoted.len,
           quoted.at ? quoted.at : "");
    buf_done(&quoted);
    return E_PARSE;
}

Err expo_too_big(Why *why)
{
    return why_set(why, E_LIMIT, "the exposition needs more memory than one scrape may take");
}

/* ---- labels ---- */

bool expo_label_add(ExpoParser *p, Str name, Str value)
{
    if (p->scratch_len == p->scratch_cap) {
        u32 cap = p->scratch_cap ? p->scratch_cap * 2 : 32;
        Label *more = arena_array(p->arena, Label, cap);
        if (!more)
            return false;
        if (p->scratch_len)
            memcpy(more, p->scratch, p->scratch_len * sizeof *more);
        p->scratch = more;
        p->scratch_cap = cap;
    }
    p->scratch[p->scratch_len++] = (Label){name, value};
    return true;
}

Err expo_labels_take(ExpoParser *p, Labels *ret, Str *ret_dup)
{
    u32 n = p->scratch_len, kept = 0;
    Label *in = p->scratch;
    bool sorted = true;
    for (u32 i = 1; i < n && sorted; i++)
        sorted = str_cmp(in[i - 1].name, in[i].name) < 0;
    if (!sorted && n <= 32) {
        for (u32 i = 1; i < n; i++) {
            Label l = in[i];
            u32 k = i;
            for (; k && str_cmp(in[k - 1].name, l.name) > 0; k--)
                in[k] = in[k - 1];
            in[k] = l;
        }
    } else if (!sorted) {
        qsort(in, n, sizeof *in, label_order);
    }
    Label *out = arena_array(p->arena, Label, n ? n : 1);
    if (!out)
        return E_LIMIT;
    for (u32 i = 0; i < n; i++) {
        if (!sorted && i && str_eq(in[i - 1].name, in[i].name)) {
            *ret_dup = in[i].name;
            return E_CONFLICT;
        }
        if (in[i].value.len)
            out[kept++] = in[i];
    }
    *ret = (Labels){out, kept};
    return OK;
}

Err expo_exemplar_labels(ExpoParser *p, Exemplar *e, bool *ret_usable)
{
    size_t runes = 0;
    Str dup;
    for (u32 i = 0; i < p->scratch_len; i++) {
        Label l = p->scratch[i];
        if (!l.name.len || !str_is_utf8(l.name) || !str_is_utf8(l.value))
            return *ret_usable = false, OK;
        runes += str_rune_count(l.name) + str_rune_count(l.value);
    }
    Err err = expo_labels_take(p, &e->labels, &dup);
    *ret_usable = err == OK && runes <= 128;
    return err == E_LIMIT ? err : OK;
}

Str expo_format_bound(ExpoParser *p, f64 v)
{
    Buf b;
    buf_init(&b, 64);
    print_f64_go(&b, v, 'g', -1);
    Str s = buf_view(&b);
    bool has_mark = str_find_char(s, '.') != SIZE_MAX || str_find_char(s, 'e') != SIZE_MAX ||
                    __builtin_isnan(v) || __builtin_isinf(v);
    Str r = has_mark ? arena_dup(p->arena, s) : arena_printf(p->arena, "%.*s.0", STR_FMT(s));
    buf_done(&b);
    return r;
}

/* ---- the parser ---- */

ExpoParser *expo_new(Str page, ExpoFormat f, const ExpoOptions *o, Arena *arena)
{
    ExpoParser *p = arena_new(arena, ExpoParser);
    p->page = p->at = page.len ? page.at : "";
    p->end = p->at + page.len;
    p->format = f;
    p->arena = arena;
    p->line = 1;
    if (o)
        p->options = *o;
    p->has_created = f == EXPO_OPENMETRICS && str_find(page, S("_created")) != SIZE_MAX;
    p->nhcb.is_on = p->options.convert_nhcb;
    return p;
}

/* Pieces of at most 240 bytes: longer ones make XXH3 derive a secret from the key each time. */
u64 expo_hash(Str text, u64 key)
{
    for (; text.len > 240; text = str_skip(text, 240))
        key = XXH3_64bits_withSeed(text.at, 240, key);
    return XXH3_64bits_withSeed(text.at, text.len, key);
}

void expo_expect(ExpoParser *p, u32 len, u64 hash, u64 key)
{
    p->expected_len = len;
    p->expected_hash = hash;
    p->expected_key = key;
}

bool expo_skip(ExpoParser *p, u32 len, u64 hash, u64 key, u32 lines, const MetricType *type)
{
    if (p->format == EXPO_PROTOBUF || p->has_created || p->nhcb.is_on || (size_t)(p->end - p->at) < len ||
        expo_hash(str_of(p->at, len), key) != hash)
        return false;
    p->at += len;
    p->line += lines;
    if (type)
        p->type = *type;
    return true;
}

Str expo_rest(const ExpoParser *p)
{
    return str_of(p->at, (size_t)(p->end - p->at));
}

Err expo_raw_next(ExpoParser *p, ExpoItem *ret, Why *why)
{
    if (p->is_done)
        return E_NOT_FOUND;
    ret->exemplars_len = 0;
    ret->is_expected = false;
    ret->start_t = 0;
    ret->hist = NULL;
    ret->labels = (Labels){0};
    if (p->format == EXPO_TEXT || p->format == EXPO_OPENMETRICS)
        return expo_text_next(p, ret, why);
    if (p->format == EXPO_PROTOBUF)
        return expo_proto_next(p, ret, why);
    return why_set(why, E_UNSUPPORTED, "the exposition's format is not known: set fallback_scrape_protocol");
}

Err expo_raw_labels(ExpoParser *p, ExpoItem *item, Why *why)
{
    if (item->labels.at)
        return OK;
    return p->format == EXPO_PROTOBUF ? expo_proto_labels(p, item, why) : expo_text_labels(p, item, why);
}

Err expo_next(ExpoParser *p, ExpoItem *ret, Why *why)
{
    Err e = p->nhcb.is_on ? expo_nhcb_next(p, ret, why) : expo_raw_next(p, ret, why);
    if (e == OK && arena_over(p->arena))
        return expo_too_big(why);
    return e;
}

Err expo_labels(ExpoParser *p, ExpoItem *item, Why *why)
{
    TRY(expo_raw_labels(p, item, why));
    return arena_over(p->arena) ? expo_too_big(why) : OK;
}

void expo_write_series(Buf *out, Labels l, f64 v, i64 t_ms, bool with_t)
{
    labels_print(out, l);
    buf_char(out, ' ');
    print_f64(out, v);
    if (with_t) {
        buf_char(out, ' ');
        print_i64(out, t_ms);
    }
    buf_char(out, '\n');
}
