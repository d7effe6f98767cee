/* Alerts and silences out of JSON. Alerts come by the tens of thousands: one pass, no tree. */
#include "alert/post.h"

#include <jansson.h>
#include <stdio.h>

enum { DEPTH_MAX = 32, LABELS_MAX = 1000 };

/* ---- a cursor over JSON ---- */
typedef struct In {
    const char *at, *end;
    Arena *arena;
    PostError *error;
    bool bad;
} In;

static void fail(In *in, int status, int code, const char *text)
{
    if (in->bad)
        return;
    in->bad = true;
    in->error->status = status;
    in->error->code = code;
    snprintf(in->error->text, sizeof in->error->text, "%s", text);
}

static void fail_parse(In *in, const char *what)
{
    char text[300];
    snprintf(text, sizeof text, "parsing alerts body from \"\" failed, because %s",
             in->at >= in->end ? "unexpected EOF" : what);
    fail(in, 400, 400, text);
}

static char peek(In *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r'))
        in->at++;
    return in->at < in->end && !in->bad ? *in->at : 0;
}

static bool take(In *in, char c)
{
    if (peek(in) != c)
        return false;
    in->at++;
    return true;
}

static void need(In *in, char c)
{
    if (!take(in, c))
        fail_parse(in, "invalid character in the JSON text");
}

static bool read_hex4(In *in, u32 *ret)
{
    if (in->end - in->at < 4)
        return false;
    *ret = 0;
    for (int i = 0; i < 4; i++) {
        u32 d = hex_digit(*in->at++);
        if (d > 15)
            return false;
        *ret = *ret << 4 | d;
    }
    return true;
}

static bool read_escape(In *in, char *out, size_t *len)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = in->at < in->end ? *in->at++ : 0;
    const char *simple = c ? strchr(from, c) : NULL;
    u32 high, low;
    if (simple) {
        out[(*len)++] = to[simple - from];
        return true;
    }
    if (c != 'u' || !read_hex4(in, &high))
        return false;
    if (high >= 0xd800 && high < 0xdc00 && in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u') {
        const char *before = in->at;
        in->at += 2;
        if (!read_hex4(in, &low))
            return false;
        if (low >= 0xdc00 && low < 0xe000)
            high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        else
            in->at = before;
    }
    if (high >= 0xd800 && high < 0xe000)
        high = 0xfffd;
    *len += rune_encode(high, out + *len);
    return true;
}

/* Borrowed from the body where nothing is escaped; else no longer than it is there. */
static Str read_string(In *in)
{
    need(in, '"');
    const char *from = in->at, *end = in->at;
    bool escaped = false;
    while (end < in->end && *end != '"' && (u8)*end >= 0x20) {
        escaped |= *end == '\\';
        end += *end == '\\' ? 2 : 1;
    }
    if (in->bad || end >= in->end || *end != '"') {
        in->at = MIN(end, in->end);
        fail_parse(in, "invalid character in a text");
        return S("");
    }
    in->at = end + 1;
    if (!escaped)
        return str_of(from, (size_t)(end - from));
    char *out = arena_try(in->arena, (size_t)(end - from) + 1);
    size_t len = 0;
    In text = {from, end, in->arena, in->error, false};
    while (out && text.at < end) {
        char c = *text.at++;
        if (c != '\\') {
            out[len++] = c;
        } else if (!read_escape(&text, out, &len)) {
            fail_parse(in, "invalid escape in a text");
            return S("");
        }
    }
    if (!out)
        fail_parse(in, "a text is too long");
    return str_of(out, out ? len : 0);
}

static void skip_value(In *in, int depth)
{
    char c = peek(in);
    if (depth > DEPTH_MAX)
        fail_parse(in, "it nests too deep");
    if (c == '"') {
        read_string(in);
    } else if (c == '{' || c == '[') {
        char close = c == '{' ? '}' : ']';
        in->at++;
        if (take(in, close))
            return;
        do {
            if (c == '{') {
                peek(in);
                read_string(in);
                need(in, ':');
            }
            skip_value(in, depth + 1);
        } while (!in->bad && take(in, ','));
        need(in, close);
    } else if (c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) {
        const char *from = in->at;
        while (in->at < in->end && (strchr("+-.eE", *in->at) || (*in->at >= '0' && *in->at <= '9') ||
                                    (*in->at >= 'a' && *in->at <= 'z')))
            in->at++;
        Str word = str_of(from, (size_t)(in->at - from));
        f64 v;
        if (!str_eq(word, S("true")) && !str_eq(word, S("false")) && !str_eq(word, S("null")) &&
            (parse_f64(word, &v) != OK || (c >= 'a' && c <= 'z')))
            fail_parse(in, "invalid character in the JSON text");
    } else {
        fail_parse(in, "invalid character in the JSON text");
    }
}

static bool take_null(In *in)
{
    if (peek(in) != 'n' || in->end - in->at < 4 || memcmp(in->at, "null", 4) != 0)
        return false;
    in->at += 4;
    return true;
}

/* ---- alerts ---- */
static Labels read_labels(In *in, bool keep_empty)
{
    Label at[LABELS_MAX];
    u32 n = 0;
    bool sorted = true;
    need(in, '{');
    if (take(in, '}'))
        return (Labels){0};
    do {
        peek(in);
        Str name = read_string(in), value = S("");
        need(in, ':');
        if (!take_null(in)) {
            if (peek(in) != '"')
                fail_parse(in, "json: cannot unmarshal a value that is no string into a label");
            value = read_string(in);
        }
        if (n == LABELS_MAX)
            fail_parse(in, "an alert has too many labels");
        if (in->bad)
            break;
        u32 same = 0;
        while (same < n && !str_eq(at[same].name, name))
            same++;
        if (same < n) { /* the later one counts, as in Go */
            at[same].value = value;
            continue;
        }
        sorted &= !n || str_cmp(at[n - 1].name, name) < 0;
        at[n++] = (Label){name, value};
    } while (take(in, ','));
    need(in, '}');
    u32 kept = 0;
    for (u32 i = 0; i < n; i++)
        if (keep_empty || at[i].value.len)
            at[kept++] = at[i];
    if (!sorted && kept > 1)
        qsort(at, kept, sizeof *at, label_order);
    Label *ret = arena_array(in->arena, Label, kept + 1);
    if (!ret) {
        fail_parse(in, "it is too large");
        return (Labels){0};
    }
    if (kept)
        memcpy(ret, at, kept * sizeof *at);
    return (Labels){ret, kept};
}

bool post_read_time(Str s, i64 *ret_ns)
{
    *ret_ns = 0;
    if (!s.len)
        return true;
    i64 year = 0;
    if (s.len >= 5 && s.at[4] == '-' && parse_i64(str_sub(s, 0, 4), &year) == OK && year < 1678)
        return true; /* Go's zero time and its kin */
    if (parse_rfc3339(s, ret_ns) == OK)
        return true;
    /* Some say "for ever" by the year 9999: the last year there are nanoseconds for. */
    *ret_ns = 9214646400 * NS_PER_SEC;
    return s.len >= 20 && s.at[4] == '-' && s.at[10] == 'T' && year >= 2262;
}

static i64 read_time(In *in)
{
    i64 ns = 0;
    if (take_null(in))
        return 0;
    Str s = read_string(in);
    if (!in->bad && !post_read_time(s, &ns)) {
        char text[200];
        snprintf(text, sizeof text, "parsing time \"%.*s\": want RFC 3339", (int)MIN(s.len, 60), s.at);
        if (in->at < in->end)
            fail_parse(in, text);
        else
            fail(in, 400, 400, text);
    }
    return ns;
}

static void read_alert(In *in, u32 index, NewAlert *ret)
{
    bool has_labels = false;
    need(in, '{');
    if (!take(in, '}')) {
        do {
            peek(in);
            Str key = read_string(in);
            need(in, ':');
            if (str_eq(key, S("labels"))) {
                has_labels = !take_null(in);
                if (has_labels)
                    ret->labels = read_labels(in, false);
            } else if (str_eq(key, S("annotations"))) {
                if (!take_null(in))
                    ret->annotations = read_labels(in, true);
            } else if (str_eq(key, S("startsAt"))) {
                ret->starts_ns = read_time(in);
            } else if (str_eq(key, S("endsAt"))) {
                ret->ends_ns = read_time(in);
            } else if (str_eq(key, S("generatorURL"))) {
                if (!take_null(in))
                    ret->generator_url = read_string(in);
            } else {
                skip_value(in, 0);
            }
        } while (!in->bad && take(in, ','));
        need(in, '}');
    }
    if (!in->bad && !has_labels) {
        char text[100];
        snprintf(text, sizeof text, "%u.labels in body is required", index);
        fail(in, 422, 602, text);
    }
}

static bool is_valid(const NewAlert *x, char why[300])
{
    if (x->ends_ns < x->starts_ns) {
        snprintf(why, 300, "start time must be before end time");
        return false;
    }
    if (!x->labels.len) {
        snprintf(why, 300, "at least one label pair required");
        return false;
    }
    for (int notes = 0; notes <= 1; notes++) {
        Labels l = notes ? x->annotations : x->labels;
        for (u32 i = 0; i < l.len; i++) {
            if (!match_label_name_ok(l.at[i].name)) {
                snprintf(why, 300, "invalid %s: invalid name \"%.*s\"", notes ? "annotations" : "label set",
                         (int)MIN(l.at[i].name.len, 100), l.at[i].name.at);
                return false;
            }
            if (!str_is_utf8(l.at[i].value)) {
                snprintf(why, 300, "invalid %s: invalid value of \"%.*s\"",
                         notes ? "annotations" : "label set", (int)MIN(l.at[i].name.len, 100),
                         l.at[i].name.at);
                return false;
            }
        }
    }
    return true;
}

static void set_times(NewAlert *x, i64 now_ns, i64 resolve_timeout_ms)
{
    x->updated_ns = now_ns;
    if (!x->starts_ns)
        x->starts_ns = x->ends_ns ? x->ends_ns : now_ns;
    if (!x->ends_ns) {
        x->is_timeout = true;
        x->ends_ns = now_ns + resolve_timeout_ms * NS_PER_MS;
    }
}

Err post_read_alerts(Str body, i64 now_ns, i64 resolve_timeout_ms, Arena *arena, NewAlert **ret, u32 *ret_len,
                     u32 *ret_invalid, char invalid_why[300], PostError *error)
{
    In in = {body.at, body.at + body.len, arena, error, false};
    u32 len = 0, cap = 0, index = 0;
    NewAlert *at = NULL;
    *ret_invalid = 0;
    need(&in, '[');
    bool any = !in.bad && !take(&in, ']');
    if (any) {
        do {
            if (len == cap) {
                cap = cap ? 2 * cap : 64;
                NewAlert *more = arena_array(arena, NewAlert, cap);
                if (!more) {
                    fail(&in, 413, 413, "too many alerts in one request");
                    break;
                }
                if (len)
                    memcpy(more, at, len * sizeof *at);
                at = more;
            }
            at[len] = (NewAlert){0};
            read_alert(&in, index++, &at[len]);
            if (in.bad)
                break;
            set_times(&at[len], now_ns, resolve_timeout_ms);
            if (is_valid(&at[len], *ret_invalid ? (char[300]){0} : invalid_why))
                len++;
            else
                ++*ret_invalid;
        } while (take(&in, ','));
        need(&in, ']');
    }
    if (!in.bad && peek(&in))
        fail_parse(&in, "something follows the list");
    if (in.bad || arena_over(arena))
        return E_PARSE;
    *ret = at;
    *ret_len = len;
    return OK;
}

/* ---- silences: small, so a tree will do ---- */
static Err refuse(PostError *e, int status, int code, const char *text)
{
    e->status = status;
    e->code = code;
    snprintf(e->text, sizeof e->text, "%s", text);
    return E_INVALID;
}

static Err need_text(json_t *root, const char *key, Arena *arena, Str *ret, PostError *e)
{
    char text[200];
    json_t *v = json_object_get(root, key);
    snprintf(text, sizeof text, "%s in body is required", key);
    if (!v || json_is_null(v))
        return refuse(e, 422, 602, text);
    snprintf(text, sizeof text, "parsing silence body from \"\" failed, because %s is no string", key);
    if (!json_is_string(v))
        return refuse(e, 400, 400, text);
    *ret = arena_dup(arena, str_of(json_string_value(v), json_string_length(v)));
    return OK;
}

static Err need_time(json_t *root, const char *key, Arena *arena, i64 *ret, PostError *e)
{
    Str s;
    char text[200];
    TRY(need_text(root, key, arena, &s, e));
    snprintf(text, sizeof text, "parsing silence body from \"\" failed, because %s is no RFC 3339 time", key);
    return post_read_time(s, ret) ? OK : refuse(e, 400, 400, text);
}

static Err read_matcher(json_t *m, u32 index, Arena *arena, Matcher *ret, PostError *e)
{
    char text[100];
    json_t *regex = json_object_get(m, "isRegex"), *equal = json_object_get(m, "isEqual");
    TRY(need_text(m, "name", arena, &ret->name, e));
    TRY(need_text(m, "value", arena, &ret->value, e));
    snprintf(text, sizeof text, "matchers.%u.isRegex in body is required", index);
    if (!json_is_boolean(regex))
        return refuse(e, 422, 602, text);
    bool is_equal = !equal || json_is_null(equal) || json_is_true(equal);
    ret->op = json_is_true(regex) ? (is_equal ? MATCH_RE : MATCH_NRE) : (is_equal ? MATCH_EQ : MATCH_NE);
    return OK;
}

static Err read_matchers(json_t *root, Arena *arena, NewSilence *ret, PostError *e)
{
    json_t *list = json_object_get(root, "matchers");
    if (!list || json_is_null(list))
        return refuse(e, 422, 602, "matchers in body is required");
    if (!json_is_array(list))
        return refuse(e, 400, 400, "parsing silence body from \"\" failed, because matchers is no list");
    size_t n = json_array_size(list);
    if (!n)
        return refuse(e, 422, 612, "matchers in body should have at least 1 items");
    Matcher *at = n <= 10000 ? arena_array(arena, Matcher, n) : NULL;
    if (!at)
        return refuse(e, 400, 400, "too many matchers");
    memset(at, 0, n * sizeof *at);
    for (size_t i = 0; i < n; i++)
        TRY(read_matcher(json_array_get(list, i), (u32)i, arena, &at[i], e));
    ret->matchers = at;
    ret->matchers_len = (u32)n;
    return OK;
}

static Err read_annotations(json_t *root, Arena *arena, Labels *ret, PostError *e)
{
    json_t *map = json_object_get(root, "annotations"), *v;
    const char *key;
    size_t n = json_object_size(map), len = 0;
    if (!map || json_is_null(map) || !n)
        return OK;
    Label *at = n <= 10000 ? arena_array(arena, Label, n) : NULL;
    if (!at)
        return refuse(e, 400, 400, "too many annotations");
    json_object_foreach(map, key, v)
    {
        if (!json_is_string(v))
            return refuse(e, 400, 400,
                          "parsing silence body from \"\" failed, because an annotation is no string");
        at[len++] = (Label){arena_dup(arena, str_c(key)),
                            arena_dup(arena, str_of(json_string_value(v), json_string_length(v)))};
    }
    qsort(at, len, sizeof *at, label_order);
    *ret = (Labels){at, (u32)len};
    return OK;
}

static Err read_silence(json_t *root, Arena *arena, NewSilence *ret, PostError *e)
{
    json_t *id = json_object_get(root, "id");
    if (!json_is_object(root))
        return refuse(e, 400, 400, "parsing silence body from \"\" failed, because it is no JSON object");
    if (json_is_string(id))
        ret->id = arena_dup(arena, str_of(json_string_value(id), json_string_length(id)));
    TRY(need_text(root, "comment", arena, &ret->comment, e));
    TRY(need_text(root, "createdBy", arena, &ret->created_by, e));
    TRY(need_time(root, "endsAt", arena, &ret->ends_ns, e));
    TRY(read_matchers(root, arena, ret, e));
    TRY(need_time(root, "startsAt", arena, &ret->starts_ns, e));
    return read_annotations(root, arena, &ret->annotations, e);
}

Err post_read_silence(Str body, Arena *arena, NewSilence *ret, PostError *error)
{
    json_error_t err;
    *ret = (NewSilence){0};
    json_t *root = json_loadb(body.at, body.len, 0, &err);
    Err e = root ? read_silence(root, arena, ret, error)
                 : refuse(error, 400, 400, "parsing silence body from \"\" failed, because it is no JSON");
    json_decref(root);
    return e;
}
