/* Text format 0.0.4 and OpenMetrics 1.0.
 *
 * expo_text_next finds the end of a series' name and labels without looking into them (quotes are honoured), reads the
 * value, timestamp and exemplar; expo_text_labels parses and judges the label set. So a scrape cache that has seen
 * exactly these bytes before pays for neither. The two formats differ in blanks (free in text, one space in
 * OpenMetrics), in what ends a page, and in the metadata they know.
 */
#include "wire/expo.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { C_NAME = 1, C_DIGIT = 2, C_COLON = 4, C_BLANK = 8 };
static const u8 classes[256] = {
    ['a' ... 'z'] = C_NAME, ['A' ... 'Z'] = C_NAME, ['_'] = C_NAME,   ['0' ... '9'] = C_DIGIT,
    [':'] = C_COLON,        [' '] = C_BLANK,        ['\t'] = C_BLANK,
};
static inline bool is_class(char c, u8 set)
{
    return classes[(u8)c] & set;
}

static inline bool is_om(const ExpoParser *p)
{
    return p->format == EXPO_OPENMETRICS;
}

static inline const char *skip_blanks(const ExpoParser *p, const char *at)
{
    if (!is_om(p))
        while (at < p->end && is_class(*at, C_BLANK))
            at++;
    return at;
}

static inline const char *skip_class(const char *at, const char *end, u8 set)
{
    while (at < end && is_class(*at, set))
        at++;
    return at;
}

/* From inside a quoted string: the closing quote, or NULL when there is none. Newlines may lie in a text page's strings. */
static const char *string_end(ExpoParser *p, const char *at, u32 *lines)
{
    const char *end = p->end;
    for (;;) {
#ifdef __SSE2__
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), nl = _mm_set1_epi8('\n');
        while (end - at >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
            __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                       _mm_cmpeq_epi8(v, nl));
            int mask = _mm_movemask_epi8(hit);
            if (mask) {
                at += __builtin_ctz((unsigned)mask);
                break;
            }
            at += 16;
        }
#endif
        while (at < end && *at != '"' && *at != '\\' && *at != '\n')
            at++;
        if (at >= end)
            return NULL;
        if (*at == '"')
            return at;
        if (*at == '\n') {
            if (is_om(p))
                return NULL;
            ++*lines;
            at++;
            continue;
        }
        if (end - at < 2 || at[1] == '\n')
            return NULL;
        at += 2;
    }
}

/* ---- numbers ---- */

static const f64 pow10_exact[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Decimals whose digits fit 2^53 and whose power of ten is exact: one rounding, so the result is the nearest double. Returns
 * where the number ends; NULL: this is another kind of number, or none. */
static const char *scan_decimal(const char *at, const char *end, f64 *ret)
{
    bool neg = false;
    if (at < end && (*at == '-' || *at == '+'))
        neg = *at++ == '-';
    u64 m = 0;
    i32 exp = 0;
    const char *digits = at;
    for (u32 d; at < end && (d = (u32)(u8)*at - '0') < 10; at++)
        m = m * 10 + d;
    size_t n = (size_t)(at - digits);
    if (at < end && *at == '.') {
        const char *frac = ++at;
        for (u32 d; at < end && (d = (u32)(u8)*at - '0') < 10; at++)
            m = m * 10 + d;
        n += (size_t)(at - frac);
        exp = -(i32)MIN(at - frac, 100);
    }
    if (n == 0 || n > 18 || m > 1ULL << 53)
        return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool eneg = false;
        if (at < end && (*at == '-' || *at == '+'))
            eneg = *at++ == '-';
        const char *from = at;
        i32 e = 0;
        for (; at < end && at - from < 4 && is_class(*at, C_DIGIT); at++)
            e = e * 10 + (*at - '0');
        if (at == from || at - from > 3)
            return NULL;
        exp += eneg ? -e : e;
    }
    if (exp < -22 || exp > 22)
        return NULL;
    f64 v = exp < 0 ? (f64)m / pow10_exact[-exp] : (f64)m * pow10_exact[exp];
    *ret = neg ? -v : v;
    return at;
}

/* Go's ParseFloat without hexadecimal forms and underscores, as Prometheus reads expositions. */
static bool read_f64(const char *at, const char *end, f64 *ret)
{
    if (scan_decimal(at, end, ret) == end)
        return true;
    for (const char *c = at; c < end; c++)
        if (*c == 'x' || *c == 'X' || *c == 'p' || *c == 'P' || *c == '_')
            return false;
    if (parse_f64(str_of(at, (size_t)(end - at)), ret) != OK)
        return false;
    if (__builtin_isnan(*ret))
        *ret = f64_from_bits(NORMAL_NAN_BITS);
    return true;
}

static bool seconds_to_ms(f64 s, i64 *ret)
{
    f64 ms = s * 1000;
    if (!(ms > -9.2e18 && ms < 9.2e18))
        return false;
    *ret = (i64)ms;
    return true;
}

/* ---- names and label sets ---- */

/* Resolves \\, \", \n; other escapes stay as they are. */
static Str unescape(ExpoParser *p, Str s, bool quotes)
{
    const char *slash = memchr(s.at, '\\', s.len);
    if (!slash)
        return s;
    char *out = arena_try(p->arena, s.len);
    if (!out)
        return S("");
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '\\' && i + 1 < s.len) {
            char d = s.at[i + 1];
            if (d == '\\' || d == 'n' || (quotes && d == '"')) {
                c = d == 'n' ? '\n' : d;
                i++;
            }
        }
        out[n++] = c;
    }
    return str_of(out, n);
}

/* A label name, classic or quoted, or a quoted metric name. */
static Err read_name(ExpoParser *p, const char **at, Str *ret, bool *ret_quoted, Why *why)
{
    const char *start = *at;
    *ret_quoted = start < p->end && *start == '"';
    if (!*ret_quoted) {
        if (start >= p->end || !is_class(*start, C_NAME))
            return expo_fail(p, start, why, "expected a label name or }");
        *at = skip_class(start, p->end, C_NAME | C_DIGIT);
        *ret = str_of(start, (size_t)(*at - start));
        return OK;
    }
    u32 lines = 0;
    const char *close = string_end(p, start + 1, &lines);
    if (!close)
        return expo_fail(p, start, why, "the quoted name does not end");
    Str raw = str_of(start + 1, (size_t)(close - start - 1));
    if (memchr(raw.at, 0, raw.len))
        return expo_fail(p, start, why, "a name contains a zero byte");
    if (!str_is_utf8(raw))
        return expo_fail(p, start, why, "the quoted name is not UTF-8");
    if (!raw.len)
        return expo_fail(p, start, why, "the quoted name is empty");
    *ret = unescape(p, raw, true);
    *at = close + 1;
    return OK;
}

static Str normal_bound(ExpoParser *p, Str name, Str value)
{
    f64 v;
    if (((p->type == TYPE_HISTOGRAM && str_eq(name, S("le"))) ||
         (p->type == TYPE_SUMMARY && str_eq(name, S("quantile")))) &&
        value.len) {
        /* Already as we would write it: digits, a dot, digits. */
        size_t dot = str_find_char(value, '.');
        bool plain = dot != SIZE_MAX && dot > 0 && dot + 1 < value.len && value.len <= 8 &&
                     (dot == 1 || value.at[0] != '0') &&
                     (dot + 2 == value.len || value.at[value.len - 1] != '0');
        for (size_t i = 0; plain && i < value.len; i++)
            plain = i == dot || is_class(value.at[i], C_DIGIT);
        if (plain && dot <= 6 && !(value.at[0] == '0' && str_starts(value, S("0.0000"))))
            return value;
        if (str_eq(value, S("+Inf")))
            return value;
        if (parse_f64(value, &v) == OK)
            return expo_format_bound(p, v);
    }
    return value;
}

/* The inside of braces, from after { to after }, into scratch. metric_name NULL: an exemplar, where none may stand. */
static Err read_labels(ExpoParser *p, const char **ret_at, Str *metric_name, Why *why)
{
    const char *at = *ret_at;
    for (;;) {
        at = skip_blanks(p, at);
        if (at < p->end && *at == '}') {
            *ret_at = at + 1;
            return OK;
        }
        Str name = S("");
        bool quoted;
        const char *name_at = at;
        TRY(read_name(p, &at, &name, &quoted, why));
        at = skip_blanks(p, at);
        if (quoted && at < p->end && (*at == ',' || *at == '}')) {
            if (!metric_name)
                return expo_fail(p, at, why, "expected = after the label name");
            if (metric_name->at)
                return expo_fail(p, name_at, why, "the metric name is already set");
            *metric_name = name;
            at += *at == ',';
            continue;
        }
        if (at >= p->end || *at != '=')
            return expo_fail(p, at, why, "expected = after the label name");
        at = skip_blanks(p, at + 1);
        if (at >= p->end || *at != '"')
            return expo_fail(p, at, why, "expected a quoted label value");
        u32 lines = 0;
        const char *close = string_end(p, at + 1, &lines);
        if (!close)
            return expo_fail(p, at, why, "the label value does not end");
        Str value = str_of(at + 1, (size_t)(close - at - 1));
        if (!str_is_utf8(value))
            return expo_fail(p, at, why, "the label value is not UTF-8");
        value = unescape(p, value, true);
        if (metric_name && (name.len == 2 || name.len == 8))
            value = normal_bound(p, name, value);
        if (!expo_label_add(p, name, value))
            return expo_too_big(why);
        at = skip_blanks(p, close + 1);
        if (at < p->end && *at == ',')
            at++;
        else if (is_om(p) && !(at < p->end && *at == '}'))
            return expo_fail(p, at, why, "expected , or } after the label value");
    }
}

static bool has_start_t(MetricType t)
{
    return t == TYPE_COUNTER || t == TYPE_HISTOGRAM || t == TYPE_SUMMARY;
}

static u64 hash_without_bounds(Labels l)
{
    static const Str bounds[] = {STR_INIT("le"), STR_INIT("quantile")};
    return labels_hash_without(l, bounds, 2);
}

static int by_hash(const void *a, const void *b)
{
    u64 x = ((const ExpoCreated *)a)->hash, y = ((const ExpoCreated *)b)->hash;
    return (x > y) - (x < y);
}

Err expo_text_labels(ExpoParser *p, ExpoItem *item, Why *why)
{
    const char *at = item->series_text.at, *end = at + item->series_text.len;
    Str name = {0}, dup;
    p->scratch_len = 0;
    /* The place of __name__: filled when the name is known. */
    if (!expo_label_add(p, LABEL_NAME, S("")))
        return expo_too_big(why);
    if (*at != '{') {
        const char *stop = skip_class(at, end, C_NAME | C_DIGIT | C_COLON);
        name = str_of(at, (size_t)(stop - at));
        at = skip_blanks(p, stop);
    }
    if (at < end) {
        at++;
        TRY(read_labels(p, &at, &name, why));
        if (at != end)
            return expo_fail(p, at, why, "expected a value after the label set");
    }
    if (!name.at)
        return expo_fail(p, item->series_text.at, why, "the series has no metric name");
    p->scratch[0].value = name;
    Err e = expo_labels_take(p, &item->labels, &dup);
    if (e == E_LIMIT)
        return expo_too_big(why);
    if (e == E_CONFLICT)
        return expo_fail(p, item->series_text.at, why, "label name \"%.*s\" is not unique",
                         (int)MIN(dup.len, (size_t)100), dup.at);
    item->name = name;
    if (p->created_len && has_start_t(p->type)) {
        ExpoCreated key = {hash_without_bounds(item->labels), 0};
        const ExpoCreated *c = bsearch(&key, p->created, p->created_len, sizeof key, by_hash);
        if (c)
            item->start_t = c->t;
    }
    return OK;
}

/* From after {, the place after the matching }. Only quotes are honoured; read_labels judges the rest. */
static const char *label_set_end(ExpoParser *p, const char *at, u32 *lines)
{
    while (at < p->end) {
        if (*at == '"') {
            at = string_end(p, at + 1, lines);
            if (!at)
                return NULL;
        } else if (*at == '}') {
            return at + 1;
        } else if (*at == '\n') {
            return NULL;
        }
        at++;
    }
    return NULL;
}

/* ---- a line with a series ---- */

static Err end_of_line(ExpoParser *p, const char *at, const char *what, Why *why)
{
    at = skip_blanks(p, at);
    if (at < p->end && *at == '\n') {
        p->at = at + 1;
        p->line++;
        return OK;
    }
    if (at < p->end)
        return expo_fail(p, at, why, "expected the end of the line after %s", what);
    if (is_om(p))
        return expo_fail(p, at, why, "the page does not end with # EOF");
    p->at = at;
    return OK;
}

/* One space and a word that ends at a space or the line's end. */
static bool om_word(ExpoParser *p, const char **at, const char **ret_start)
{
    const char *c = *at;
    if (c >= p->end || *c != ' ')
        return false;
    *ret_start = ++c;
    while (c < p->end && *c != ' ' && *c != '\n')
        c++;
    *at = c;
    return c > *ret_start;
}

static Err om_exemplar(ExpoParser *p, const char *at, ExpoItem *ret, Why *why)
{
    Exemplar e = {0};
    const char *word;
    f64 ts;
    bool usable;
    at += 4; /* " # {" */
    p->scratch_len = 0;
    TRY(read_labels(p, &at, NULL, why));
    TRY(expo_exemplar_labels(p, &e, &usable));
    if (!om_word(p, &at, &word) || !read_f64(word, at, &e.v))
        return expo_fail(p, at, why, "expected a value after the exemplar's labels");
    if (at < p->end && *at == ' ') {
        if (!om_word(p, &at, &word) || !read_f64(word, at, &ts) || !seconds_to_ms(ts, &e.t))
            return expo_fail(p, at, why, "expected a timestamp in seconds after the exemplar's value");
    }
    if (usable) {
        ret->exemplars[0] = e;
        ret->exemplars_len = 1;
    }
    return end_of_line(p, at, "the exemplar", why);
}

static bool at_exemplar(const ExpoParser *p, const char *at)
{
    return p->end - at >= 4 && !memcmp(at, " # {", 4);
}

static Err om_after_series(ExpoParser *p, const char *at, ExpoItem *ret, Why *why)
{
    const char *word = at;
    f64 ts;
    if (!om_word(p, &at, &word))
        return expo_fail(p, at, why, "expected one space and a value after the series");
    if (!read_f64(word, at, &ret->value))
        return expo_fail(p, word, why, "the value is not a number");
    ret->t = INT64_MIN;
    if (at_exemplar(p, at))
        return om_exemplar(p, at, ret, why);
    if (at < p->end && *at == ' ') {
        if (!om_word(p, &at, &word) || !read_f64(word, at, &ts) || !seconds_to_ms(ts, &ret->t))
            return expo_fail(p, word, why, "the timestamp is not a number of seconds");
        if (at_exemplar(p, at))
            return om_exemplar(p, at, ret, why);
    }
    return end_of_line(p, at, "the sample", why);
}

static Err text_after_series(ExpoParser *p, const char *at, ExpoItem *ret, Why *why)
{
    const char *word = at = skip_blanks(p, at);
    ret->t = INT64_MIN;
    const char *stop = scan_decimal(at, p->end, &ret->value);
    if (stop && stop < p->end && *stop == '\n') { /* nearly every line: a plain number and nothing after it */
        p->at = stop + 1;
        p->line++;
        return OK;
    }
    while (at < p->end && *at != ' ' && *at != '\n' && *at != '\t' && *at != '{')
        at++;
    if (at == word)
        return expo_fail(p, at, why, "expected a value after the series");
    if (!read_f64(word, at, &ret->value))
        return expo_fail(p, word, why, "the value is not a number");
    word = at = skip_blanks(p, at);
    if (at < p->end && is_class(*at, C_DIGIT)) {
        u64 t = 0;
        for (; at < p->end && is_class(*at, C_DIGIT); at++)
            if (__builtin_mul_overflow(t, 10, &t) || __builtin_add_overflow(t, (u64)(*at - '0'), &t) ||
                t > INT64_MAX)
                return expo_fail(p, word, why, "the timestamp is out of range");
        ret->t = (i64)t;
        return end_of_line(p, at, "the timestamp", why);
    }
    return end_of_line(p, at, "the value (a timestamp is digits only)", why);
}

static Err read_series(ExpoParser *p, const char *at, ExpoItem *ret, Why *why)
{
    const char *start = at;
    u32 lines = 0;
    ret->line = p->line;
    ret->col = (u32)(start - p->at) + 1;
    size_t len = p->expected_len;
    ret->is_expected = false;
    if (len && (size_t)(p->end - at) > len + 1 && at[len] == ' ' && !is_class(at[len + 1], C_BLANK) &&
        at[len + 1] != '{' && expo_hash(str_of(at, len), p->expected_key) == p->expected_hash) {
        at += len;
        ret->is_expected = true;
    } else {
        at = skip_class(at, p->end, C_NAME | C_DIGIT | C_COLON);
        const char *brace = skip_blanks(p, at);
        if (brace < p->end && *brace == '{') {
            at = label_set_end(p, brace + 1, &lines);
            if (!at)
                return expo_fail(p, brace, why, "the label set does not end");
        }
    }
    p->expected_len = 0;
    ret->kind = EXPO_SERIES;
    ret->series_text = str_of(start, (size_t)(at - start));
    ret->name = S("");
    ret->type = p->type;
    p->line += lines;
    return is_om(p) ? om_after_series(p, at, ret, why) : text_after_series(p, at, ret, why);
}

/* ---- metadata ---- */

static Err metadata_name(ExpoParser *p, const char **at, Str *ret, Why *why)
{
    const char *start = *at;
    bool quoted;
    if (start < p->end && *start == '"')
        return read_name(p, at, ret, &quoted, why);
    if (start >= p->end || !is_class(*start, C_NAME | C_COLON))
        return expo_fail(p, start, why, "expected a metric name");
    *at = skip_class(start, p->end, C_NAME | C_DIGIT | C_COLON);
    *ret = str_of(start, (size_t)(*at - start));
    return OK;
}

static Err read_type(ExpoParser *p, const char *at, Str text, Why *why)
{
    static const struct {
        Str name;
        MetricType type;
        u8 formats; /* 1 text, 2 OpenMetrics */
    } types[] = {
        {STR_INIT("counter"), TYPE_COUNTER, 3},
        {STR_INIT("gauge"), TYPE_GAUGE, 3},
        {STR_INIT("histogram"), TYPE_HISTOGRAM, 3},
        {STR_INIT("summary"), TYPE_SUMMARY, 3},
        {STR_INIT("untyped"), TYPE_UNKNOWN, 1},
        {STR_INIT("unknown"), TYPE_UNKNOWN, 2},
        {STR_INIT("info"), TYPE_INFO, 2},
        {STR_INIT("stateset"), TYPE_STATESET, 2},
        {STR_INIT("gaugehistogram"), TYPE_GAUGEHISTOGRAM, 2},
    };
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_eq(types[i].name, text) && types[i].formats & (is_om(p) ? 2 : 1)) {
            p->type = types[i].type;
            return OK;
        }
    return expo_fail(p, at, why, "the metric type is not one of this format");
}

static Err check_unit(ExpoParser *p, const char *at, Str name, Str unit, Why *why)
{
    if (unit.len && !(name.len > unit.len && str_ends(name, unit) && name.at[name.len - unit.len - 1] == '_'))
        return expo_fail(p, at, why, "the unit is not a suffix of the metric's name");
    return OK;
}

static void note_created(ExpoParser *p, Str family);

/* at is after the keyword and its blank. */
static Err read_metadata(ExpoParser *p, const char *at, ExpoKind kind, ExpoItem *ret, Why *why)
{
    TRY(metadata_name(p, &at, &ret->name, why));
    const char *nl = at < p->end ? memchr(at, '\n', (size_t)(p->end - at)) : NULL;
    if (is_om(p)) {
        if (!nl)
            return expo_fail(p, at, why, "the page does not end with # EOF");
        if (at >= p->end || *at != ' ')
            return expo_fail(p, at, why, "expected one space and text after the metric name");
    }
    const char *stop = nl ? nl : p->end;
    const char *from = MIN(at + 1, stop);
    if (skip_blanks(p, at) == stop)
        from = stop;
    Str text = str_of(from, (size_t)(stop - from));
    ret->kind = kind;
    ret->series_text = S("");
    if (kind == EXPO_TYPE) {
        TRY(read_type(p, text.at, text, why));
        ret->type = p->type;
    } else {
        if (!str_is_utf8(text))
            return expo_fail(p, text.at, why, "the text is not UTF-8");
        if (kind == EXPO_UNIT)
            TRY(check_unit(p, text.at, ret->name, text, why));
        ret->text = kind == EXPO_HELP ? unescape(p, text, is_om(p)) : text;
    }
    p->at = nl ? nl + 1 : p->end;
    p->line++;
    if (kind == EXPO_TYPE && p->has_created)
        note_created(p, ret->name);
    return OK;
}

static bool keyword(const ExpoParser *p, const char **at, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(p->end - *at) <= n || memcmp(*at, word, n))
        return false;
    if (is_om(p) ? (*at)[n] != ' ' : !is_class((*at)[n], C_BLANK))
        return false;
    *at = skip_blanks(p, *at + n + 1);
    return true;
}

static Err text_hash_line(ExpoParser *p, const char *at, ExpoItem *ret, Why *why)
{
    const char *c = at + 1;
    if (c < p->end && is_class(*c, C_BLANK)) {
        c = skip_blanks(p, c);
        if (keyword(p, &c, "HELP"))
            return read_metadata(p, c, EXPO_HELP, ret, why);
        if (keyword(p, &c, "TYPE"))
            return read_metadata(p, c, EXPO_TYPE, ret, why);
    }
    const char *nl = memchr(at, '\n', (size_t)(p->end - at));
    ret->kind = EXPO_COMMENT;
    ret->text = str_of(at, (size_t)((nl ? nl : p->end) - at));
    ret->series_text = ret->name = S("");
    p->at = nl ? nl + 1 : p->end;
    p->line++;
    return OK;
}

static Err om_hash_line(ExpoParser *p, const char *at, ExpoItem *ret, Why *why)
{
    const char *c = at + 2;
    if (p->end - at >= 2 && at[1] == ' ') {
        if (keyword(p, &c, "HELP"))
            return read_metadata(p, c, EXPO_HELP, ret, why);
        if (keyword(p, &c, "TYPE"))
            return read_metadata(p, c, EXPO_TYPE, ret, why);
        if (keyword(p, &c, "UNIT"))
            return read_metadata(p, c, EXPO_UNIT, ret, why);
        if (p->end - c >= 3 && !memcmp(c, "EOF", 3)) {
            c += 3;
            c += c < p->end && *c == '\n';
            if (c < p->end)
                return expo_fail(p, c, why, "unexpected data after # EOF");
            p->at = c;
            p->is_done = true;
            return E_NOT_FOUND;
        }
    }
    return expo_fail(p, at, why, "expected # HELP, # TYPE, # UNIT or # EOF");
}

/* ---- start times ---- */

static void created_add(ExpoParser *p, ExpoCreated c)
{
    if (p->created_len == p->created_cap) {
        u32 cap = p->created_cap ? p->created_cap * 2 : 16;
        ExpoCreated *more = arena_array(p->arena, ExpoCreated, cap);
        if (!more)
            return;
        if (p->created_len)
            memcpy(more, p->created, p->created_len * sizeof *more);
        p->created = more;
        p->created_cap = cap;
    }
    p->created[p->created_len++] = c;
}

/* Looks ahead through the family's lines for its _created series. Families follow each other, so each line is passed once. */
static void note_created(ExpoParser *p, Str family)
{
    p->created_len = 0;
    if (!has_start_t(p->type))
        return;
    ExpoParser ahead = *p;
    ahead.expected_len = ahead.scratch_cap = 0;
    ahead.options.no_created_series = false;
    while (ahead.at < p->end) {
        const char *at = ahead.at, *nl = memchr(at, '\n', (size_t)(p->end - at));
        if (!nl || str_starts(str_of(at, (size_t)(nl - at)), S("# TYPE")))
            break;
        Str line = str_of(at, (size_t)(nl - at));
        Str name = str_skip(line, *at == '{' ? 2 : 0);
        if (str_starts(name, family) && str_starts(str_skip(name, family.len), S("_created"))) {
            ExpoItem *item = &ahead.nhcb.out;
            item->labels = (Labels){0};
            i64 t;
            if (expo_text_next(&ahead, item, NULL) != OK || expo_text_labels(&ahead, item, NULL) != OK)
                break; /* the reader proper will say what is wrong */
            if (item->name.len == family.len + 8 && seconds_to_ms(item->value, &t))
                created_add(p, (ExpoCreated){hash_without_bounds(item->labels), t});
        }
        ahead.at = nl + 1;
    }
    if (p->created_len)
        qsort(p->created, p->created_len, sizeof *p->created, by_hash);
}

static bool is_created_line(ExpoParser *p, const ExpoItem *item)
{
    if (!p->has_created || !has_start_t(p->type))
        return false;
    Str t = item->series_text;
    if (t.at[0] == '{') {
        size_t q = str_find_char(str_skip(t, 2), '"');
        return q != SIZE_MAX && str_ends(str_sub(t, 2, 2 + q), S("_created"));
    }
    size_t brace = str_find_char(t, '{');
    return str_ends(brace == SIZE_MAX ? t : str_sub(t, 0, brace), S("_created"));
}

/* ---- next ---- */

Err expo_text_next(ExpoParser *p, ExpoItem *ret, Why *why)
{
    for (;;) {
        const char *at = skip_blanks(p, p->at);
        if (at >= p->end) {
            if (is_om(p))
                return expo_fail(p, at, why, "the page does not end with # EOF");
            p->is_done = true;
            return E_NOT_FOUND;
        }
        ret->line = p->line;
        ret->col = 1;
        char c = *at;
        if (is_class(c, C_NAME | C_COLON) || c == '{') {
            TRY(read_series(p, at, ret, why));
            if (p->options.no_created_series && is_om(p) && is_created_line(p, ret))
                continue;
            /* The start time hangs on the labels: a cache that skips them must see it too. */
            return p->created_len && has_start_t(p->type) ? expo_text_labels(p, ret, why) : OK;
        }
        if (c == '#')
            return is_om(p) ? om_hash_line(p, at, ret, why) : text_hash_line(p, at, ret, why);
        if (c != '\n' || is_om(p))
            return expo_fail(p, at, why, "expected a metric name, # or the end of the page");
        p->at = at + 1;
        p->line++;
    }
}
