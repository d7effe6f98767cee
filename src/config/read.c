/* Getters: scalars, numbers, durations, sizes, lists, labels. Each reports what was expected and goes on. */
#include "config/conf_internal.h"

bool conf_node_is_null(const ConfNode *n)
{
    return !n || n->kind == CONF_NULL;
}

static const char *kind_name(const ConfNode *n)
{
    switch (n->kind) {
    case CONF_LIST:
        return "a list";
    case CONF_MAP:
        return "a map";
    case CONF_NULL:
        return "nothing";
    case CONF_SCALAR:
        break;
    }
    return "a single value";
}

bool conf_map_begin(Conf *c, const ConfNode *n, ConfMap *ret)
{
    *ret = (ConfMap){.conf = c, .node = n, .expand = c->expand};
    if (conf_node_is_null(n)) {
        ret->node = NULL;
        return true;
    }
    if (n->kind == CONF_MAP)
        return true;
    conf_error(c, n, "must be a block of `name: value` lines, but it is %s", kind_name(n));
    ret->node = NULL;
    return false;
}

static void asked_add(ConfMap *m, const char *key)
{
    Str k = str_c(key);
    for (u32 i = 0; i < m->asked_len; i++)
        if (m->asked[i].at == k.at || str_eq(m->asked[i], k))
            return;
    check(m->asked_len < CONF_ASKED_MAX);
    m->asked[m->asked_len++] = k;
}

static const ConfNode *map_find(const ConfMap *m, const char *key)
{
    if (!m->node)
        return NULL;
    Str k = str_c(key);
    for (u32 i = 0; i < m->node->len; i++)
        if (str_eq(m->node->keys[i].text, k))
            return &m->node->items[i];
    return NULL;
}

const ConfNode *conf_get(ConfMap *m, const char *key)
{
    asked_add(m, key);
    return map_find(m, key);
}

bool conf_has(const ConfMap *m, const char *key)
{
    return !conf_node_is_null(map_find(m, key));
}
void conf_ignore(ConfMap *m, const char *key)
{
    asked_add(m, key);
}

void conf_map_end(ConfMap *m)
{
    if (!m->node)
        return;
    for (u32 i = 0; i < m->node->len; i++) {
        const ConfNode *key = &m->node->keys[i];
        bool known = false;
        for (u32 k = 0; k < m->asked_len && !known; k++)
            known = str_eq(m->asked[k], key->text);
        if (known)
            continue;
        Str near = str_nearest(key->text, m->asked, m->asked_len);
        if (near.len)
            conf_error(m->conf, key, "unknown field, did you mean %.*s?", STR_FMT(near));
        else
            conf_error(m->conf, key, "unknown field; remove it, or look for its right place");
    }
}

/* ---- environment ---- */

static bool env_name_char(char ch, bool first)
{
    return (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '_' ||
           (!first && ch >= '0' && ch <= '9');
}

/* At "${": length of the whole reference, 0 when it is not one of ours. */
static size_t env_ref(Str s, Str *ret_name, Str *ret_dflt, bool *ret_has_dflt)
{
    size_t i = 2;
    while (i < s.len && env_name_char(s.at[i], i == 2))
        i++;
    if (i == 2 || i == s.len)
        return 0;
    *ret_name = str_of(s.at + 2, i - 2);
    *ret_has_dflt = false;
    if (s.at[i] == ':' && i + 1 < s.len && s.at[i + 1] == '-') {
        size_t from = i + 2;
        for (i = from; i < s.len && s.at[i] != '}';)
            i++;
        *ret_dflt = str_of(s.at + from, i - from);
        *ret_has_dflt = true;
    }
    return i < s.len && s.at[i] == '}' ? i + 1 : 0;
}

static Str expand(Conf *c, const ConfNode *at, Str s, bool warn)
{
    if (str_find(s, S("${")) == SIZE_MAX)
        return s;
    Buf out;
    buf_init(&out, 1u << 20);
    for (size_t i = 0; i < s.len;) {
        Str rest = str_skip(s, i), name = {0}, dflt = {0};
        bool has_dflt = false, is_set = false;
        if (str_starts(rest, S("$${"))) {
            buf_c(&out, "${");
            i += 3;
            continue;
        }
        size_t used = str_starts(rest, S("${")) ? env_ref(rest, &name, &dflt, &has_dflt) : 0;
        if (!used) {
            buf_char(&out, s.at[i++]);
            continue;
        }
        Str value = c->env(c->env_arg, name, &is_set);
        if (has_dflt && value.len == 0)
            value = dflt;
        else if (!is_set && warn)
            conf_warn(c, at, "the environment variable %.*s is not set and expands to nothing",
                      STR_FMT(name));
        buf_str(&out, value);
        i += used;
    }
    if (buf_over(&out))
        conf_error(c, at, "longer than 1 MiB after expanding the environment");
    Str kept = arena_dup(&c->arena, buf_view(&out));
    buf_done(&out);
    return kept;
}

Str conf_expand(Conf *c, const ConfNode *at, Str s)
{
    return expand(c, at, s, true);
}
Str conf_expand_quiet(Conf *c, Str s)
{
    return expand(c, NULL, s, false);
}

Str conf_scalar(Conf *c, const ConfNode *n, bool do_expand)
{
    if (conf_node_is_null(n))
        return S("");
    if (n->kind != CONF_SCALAR) {
        conf_error(c, n, "must be a single value, but it is %s", kind_name(n));
        return S("");
    }
    return do_expand ? conf_expand(c, n, n->text) : n->text;
}

/* The scalar of a key; NULL text (at == NULL) when absent, "" when null. */
static bool map_scalar(ConfMap *m, const char *key, const ConfNode **ret_node, Str *ret)
{
    const ConfNode *n = conf_get(m, key);
    *ret_node = n;
    if (!n)
        return false;
    if (n->kind == CONF_NULL) {
        *ret = S("");
        return true;
    }
    if (n->kind != CONF_SCALAR) {
        conf_error(m->conf, n, "must be a single value, but it is %s", kind_name(n));
        return false;
    }
    *ret = m->expand ? conf_expand(m->conf, n, n->text) : n->text;
    return true;
}

Str conf_str(ConfMap *m, const char *key, Str dflt)
{
    const ConfNode *n;
    Str s;
    return map_scalar(m, key, &n, &s) ? s : dflt;
}

Str conf_need_str(ConfMap *m, const char *key)
{
    const ConfNode *n;
    Str s = S("");
    /* What only the environment left empty was warned about where it was not meant so: its reader decides. */
    if (map_scalar(m, key, &n, &s) && n->text.len == 0)
        conf_error(m->conf, n, "must not be empty");
    else if (!n)
        conf_error(m->conf, m->node, "the field %s is missing", key);
    return s;
}

Secret conf_secret(ConfMap *m, const char *key)
{
    const ConfNode *n;
    Str s = S("");
    map_scalar(m, key, &n, &s);
    if (n)
        conf_mark_secret_output(m->conf, n);
    return (Secret){s};
}

void conf_mark_secret_output(Conf *c, const ConfNode *n)
{
    if (n)
        u64map_put(&c->secrets, (u64)(uintptr_t)n, 1);
}

static bool one_of(Str s, const char *words)
{
    for (Str rest = str_c(words), word; rest.len;) {
        str_cut(rest, ' ', &word, &rest);
        if (str_eq(word, s))
            return true;
    }
    return false;
}

/* A quoted scalar is a string, except that quotes around ${NAME} only keep YAML from reading the braces. */
static bool is_typed(const ConfNode *n, Str expanded)
{
    return !n->is_quoted || (n->text.at != expanded.at && str_starts(n->text, S("${")));
}

bool conf_bool(ConfMap *m, const char *key, bool dflt)
{
    const ConfNode *n;
    Str s;
    if (!map_scalar(m, key, &n, &s))
        return dflt;
    if (s.len == 0 && (n->kind == CONF_NULL || is_typed(n, s)))
        return false;
    if (is_typed(n, s) && one_of(s, "true True TRUE yes Yes YES on On ON y Y"))
        return true;
    if (is_typed(n, s) && one_of(s, "false False FALSE no No NO off Off OFF n N"))
        return false;
    conf_error(m->conf, n, "must be true or false%s, but it is \"%.*s\"",
               n->is_quoted ? " (without quotes)" : "", STR_FMT(str_sub(s, 0, 80)));
    return dflt;
}

/* Go's strconv.ParseInt(s, 0, 64) without underscores, plus whole floats, as go-yaml takes them for integers. */
static bool yaml_int(Str s, i64 *ret)
{
    char clean[72];
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '_')
            continue;
        if (len + 1 >= sizeof clean)
            return false;
        clean[len++] = s.at[i];
    }
    clean[len] = 0;
    bool minus = clean[0] == '-';
    const char *digits = clean + (minus || clean[0] == '+');
    u32 base = 10;
    if (digits[0] == '0' && digits[1]) {
        char b = (char)(digits[1] | 0x20);
        base = b == 'x' ? 16 : b == 'b' ? 2 : b == 'o' ? 8 : digits[1] == '.' || b == 'e' ? 10 : 8;
        digits += base == 10 ? 0 : (b == 'x' || b == 'b' || b == 'o') ? 2 : 1;
    }
    u64 v = 0;
    const char *p = digits;
    for (; *p; p++) {
        u32 d = hex_digit(*p);
        if (d >= base || __builtin_mul_overflow(v, (u64)base, &v) || __builtin_add_overflow(v, (u64)d, &v))
            break;
    }
    if (*p == 0 && p != digits && v <= (u64)INT64_MAX) {
        *ret = minus ? -(i64)v : (i64)v;
        return true;
    }
    f64 f;
    if (base != 10 || parse_f64(str_of(clean, len), &f) != OK || !(f >= -9.2e18 && f <= 9.2e18))
        return false;
    *ret = (i64)f;
    return true;
}

i64 conf_i64(ConfMap *m, const char *key, i64 dflt, i64 min, i64 max)
{
    const ConfNode *n;
    Str s;
    i64 v = 0;
    if (!map_scalar(m, key, &n, &s))
        return dflt;
    if (s.len && (!is_typed(n, s) || !yaml_int(s, &v))) {
        conf_error(m->conf, n, "must be a whole number%s, but it is \"%.*s\"",
                   n->is_quoted ? " (without quotes)" : "", STR_FMT(str_sub(s, 0, 80)));
        return dflt;
    }
    if (v < min || v > max) {
        if (max == INT64_MAX)
            conf_error(m->conf, n, "must be at least %lld, but it is %lld", (long long)min, (long long)v);
        else
            conf_error(m->conf, n, "must be between %lld and %lld, but it is %lld", (long long)min,
                       (long long)max, (long long)v);
        return dflt;
    }
    return v;
}

f64 conf_f64(ConfMap *m, const char *key, f64 dflt)
{
    const ConfNode *n;
    Str s;
    f64 v = 0;
    i64 whole;
    if (!map_scalar(m, key, &n, &s))
        return dflt;
    if (s.len == 0)
        return 0;
    if (one_of(s, ".inf .Inf .INF +.inf"))
        return __builtin_inf();
    if (is_typed(n, s) && parse_f64(s, &v) == OK)
        return v;
    if (is_typed(n, s) && yaml_int(s, &whole))
        return (f64)whole;
    conf_error(m->conf, n, "must be a number%s, but it is \"%.*s\"", n->is_quoted ? " (without quotes)" : "",
               STR_FMT(str_sub(s, 0, 80)));
    return dflt;
}

i64 conf_duration(ConfMap *m, const char *key, i64 dflt_ms)
{
    const ConfNode *n;
    Str s;
    i64 ms;
    Why why;
    if (!map_scalar(m, key, &n, &s))
        return dflt_ms;
    if (n->kind == CONF_NULL)
        return 0;
    if (parse_duration_ms(s, &ms, &why) == OK)
        return ms;
    conf_error(m->conf, n,
               "\"%.*s\" is not a duration: write whole numbers with units, such as 30s, 5m or 1h30m",
               STR_FMT(str_sub(s, 0, 80)));
    return dflt_ms;
}

static bool bytes_unit(Str *s, u64 *ret)
{
    static const char letters[] = "KMGTPE";
    u64 unit = 1;
    size_t i = 0;
    const char *at = s->len ? strchr(letters, s->at[0] >= 'a' ? s->at[0] - 32 : s->at[0]) : NULL;
    if (at && *at) {
        unit = 1ULL << (10 * (at - letters + 1));
        i++;
        if (i < s->len && s->at[i] == 'i')
            i++;
    }
    if (i >= s->len || s->at[i] != 'B')
        return false;
    *s = str_skip(*s, i + 1);
    *ret = unit;
    return true;
}

bool conf_parse_bytes(Str s, u64 *ret)
{
    if (str_eq(s, S("0"))) {
        *ret = 0;
        return true;
    }
    f64 total = 0;
    if (s.len && s.at[0] == '+')
        s = str_skip(s, 1);
    if (s.len == 0)
        return false;
    while (s.len) {
        size_t i = 0;
        while (i < s.len && ((s.at[i] >= '0' && s.at[i] <= '9') || s.at[i] == '.'))
            i++;
        f64 v;
        u64 unit;
        if (i == 0 || parse_f64(str_sub(s, 0, i), &v) != OK)
            return false;
        s = str_skip(s, i);
        if (!bytes_unit(&s, &unit))
            return false;
        total += v * (f64)unit;
    }
    if (!(total < 9.2e18))
        return false;
    *ret = (u64)total;
    return true;
}

u64 conf_bytes(ConfMap *m, const char *key, u64 dflt)
{
    const ConfNode *n;
    Str s;
    u64 v;
    if (!map_scalar(m, key, &n, &s))
        return dflt;
    if (n->kind == CONF_NULL)
        return 0;
    if (conf_parse_bytes(s, &v))
        return v;
    conf_error(m->conf, n, "\"%.*s\" is not a size: write a number with a unit, such as 512KB, 10MB or 1GB",
               STR_FMT(str_sub(s, 0, 80)));
    return dflt;
}

u32 conf_enum(ConfMap *m, const char *key, const char *const *names, u32 count, u32 dflt)
{
    const ConfNode *n;
    Str s;
    if (!map_scalar(m, key, &n, &s))
        return dflt;
    Str all[32];
    for (u32 i = 0; i < count; i++) {
        if (str_eq(s, str_c(names[i])))
            return i;
        if (i < COUNT_OF(all))
            all[i] = str_c(names[i]);
    }
    Buf list;
    buf_init(&list, 512);
    for (u32 i = 0; i < count; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    Str near = str_nearest(s, all, MIN(count, COUNT_OF(all)));
    if (near.len)
        conf_error(m->conf, n, "\"%.*s\" is not one of %.*s; did you mean %.*s?", STR_FMT(str_sub(s, 0, 80)),
                   STR_FMT(buf_view(&list)), STR_FMT(near));
    else
        conf_error(m->conf, n, "\"%.*s\" is not one of %.*s", STR_FMT(str_sub(s, 0, 80)),
                   STR_FMT(buf_view(&list)));
    buf_done(&list);
    return dflt;
}

Labels conf_node_labels(Conf *c, const ConfNode *n, bool do_expand)
{
    if (conf_node_is_null(n))
        return (Labels){0};
    if (n->kind != CONF_MAP) {
        conf_error(c, n, "must be a map of label names to values, but it is %s", kind_name(n));
        return (Labels){0};
    }
    Label *at = arena_array(&c->arena, Label, MAX(n->len, 1u));
    if (!at)
        return (Labels){0};
    u32 len = 0;
    for (u32 i = 0; i < n->len; i++) {
        Str name = n->keys[i].text;
        if (name.len == 0 || !str_is_utf8(name) || (c->legacy_names && !label_name_is_classic(name))) {
            conf_error(c, &n->keys[i], "is not a valid label name%s",
                       c->legacy_names ? ": letters, digits and _, not starting with a digit" : "");
            continue;
        }
        Str value = conf_scalar(c, &n->items[i], do_expand);
        if (!str_is_utf8(value)) {
            conf_error(c, &n->items[i], "a label value must be UTF-8");
            continue;
        }
        at[len++] = (Label){name, value};
    }
    qsort(at, len, sizeof *at, label_order);
    return (Labels){at, len};
}

Labels conf_labels(ConfMap *m, const char *key)
{
    return conf_node_labels(m->conf, conf_get(m, key), m->expand);
}

u32 conf_list(ConfMap *m, const char *key, const ConfNode **ret_items)
{
    const ConfNode *n = conf_get(m, key);
    *ret_items = NULL;
    if (conf_node_is_null(n))
        return 0;
    if (n->kind != CONF_LIST) {
        conf_error(m->conf, n, "must be a list (lines starting with -, or [a, b]), but it is %s",
                   kind_name(n));
        return 0;
    }
    *ret_items = n->items;
    return n->len;
}

u32 conf_strs(ConfMap *m, const char *key, const Str **ret)
{
    const ConfNode *items;
    u32 n = conf_list(m, key, &items);
    *ret = NULL;
    if (n == 0)
        return 0;
    Str *at = arena_array(&m->conf->arena, Str, n);
    if (!at)
        return 0;
    for (u32 i = 0; i < n; i++)
        at[i] = conf_scalar(m->conf, &items[i], m->expand);
    *ret = at;
    return n;
}
