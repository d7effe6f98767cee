/* Rule groups as YAML, as people would write them: what the ruler's API answers and keeps. */
#include "rules/rules_internal.h"

/* ---- scalars ---- */
static bool is_word_of_yaml(Str s)
{
    static const char *const words[] = {"true", "false", "yes", "no",  "on", "off",
                                        "null", "y",     "n",   "nan", "inf"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_eq_nocase(s, str_c(words[i])))
            return true;
    return false;
}

static bool is_plain_char(char c)
{
    return ((unsigned char)c >= 0x20 && (unsigned char)c < 0x7f);
}

/* May it stand without quotes? Rather too seldom than once too often. */
static bool is_plain(Str s)
{
    if (!s.len || is_word_of_yaml(s) || s.at[s.len - 1] == ' ' || s.at[s.len - 1] == ':')
        return false;
    char c = s.at[0];
    if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '_' && c != '(' && c != '/')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char next = i + 1 < s.len ? s.at[i + 1] : 0;
        if (!is_plain_char(s.at[i]) || (s.at[i] == ':' && next == ' ') || (s.at[i] == ' ' && next == '#'))
            return false;
    }
    return true;
}

/* Several lines of plain text stay several lines. */
static bool is_block(Str s)
{
    if (str_find_char(s, '\n') == SIZE_MAX || s.at[0] == ' ' || s.at[0] == '\n' || s.at[s.len - 1] == '\n')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != '\n' && !is_plain_char(s.at[i]))
            return false;
    return true;
}

/* Columns of what is inside something at `indent`: the next multiple of four, as Go's YAML writes it. */
static int inside(int indent)
{
    return 4 * ((indent + 4) / 4);
}

static void pad(Buf *out, int n)
{
    for (int i = 0; i < n; i++)
        buf_char(out, ' ');
}

static void put_block(Buf *out, Str s, int indent)
{
    Str line, rest = s;
    bool more = true;
    buf_c(out, "|-\n");
    while (more) {
        more = str_cut(rest, '\n', &line, &rest);
        if (line.len)
            pad(out, indent);
        buf_str(out, line);
        buf_char(out, '\n');
    }
}

static void put_scalar(Buf *out, Str s, int indent)
{
    if (is_block(s)) {
        put_block(out, s, inside(indent));
        return;
    }
    if (is_plain(s))
        buf_str(out, s);
    else
        js_quote(out, s); /* JSON's strings are YAML's */
    buf_char(out, '\n');
}

static void put_key(Buf *out, Str key, int indent)
{
    pad(out, indent);
    if (is_plain(key))
        buf_str(out, key);
    else
        js_quote(out, key);
    buf_c(out, ": ");
}

static void put_field(Buf *out, const char *key, Str value, int indent)
{
    put_key(out, str_c(key), indent);
    put_scalar(out, value, indent);
}

static void put_duration(Buf *out, const char *key, i64 ms, int indent)
{
    put_key(out, str_c(key), indent);
    print_duration_ms(out, ms);
    buf_char(out, '\n');
}

/* Those that differ from what the group gives to all. */
static void put_labels(Buf *out, const char *key, Labels l, Labels group, int indent)
{
    bool any = false;
    for (u32 i = 0; i < l.len; i++) {
        if (labels_has(group, l.at[i].name) && str_eq(labels_get(group, l.at[i].name), l.at[i].value))
            continue;
        if (!any) {
            pad(out, indent);
            buf_printf(out, "%s:\n", key);
        }
        any = true;
        put_key(out, l.at[i].name, inside(indent));
        put_scalar(out, l.at[i].value, inside(indent));
    }
}

static void put_rule(Buf *out, const Rule *r, Labels group, int indent)
{
    pad(out, indent);
    buf_c(out, "- ");
    put_key(out, r->is_alert ? S("alert") : S("record"), 0);
    put_scalar(out, r->name, indent + 2);
    indent += 2;
    put_field(out, "expr", r->expr, indent);
    if (r->for_ms)
        put_duration(out, "for", r->for_ms, indent);
    if (r->keep_firing_for_ms)
        put_duration(out, "keep_firing_for", r->keep_firing_for_ms, indent);
    put_labels(out, "labels", r->labels, group, indent);
    put_labels(out, "annotations", r->annotations, (Labels){0}, indent);
}

void rule_yaml_key(Buf *out, Str key)
{
    put_key(out, key, 0);
    out->len--; /* nothing follows on the line */
    buf_char(out, '\n');
}

void rule_group_yaml(Buf *out, const RuleGroup *g, bool as_item, int indent)
{
    if (as_item) {
        pad(out, indent);
        buf_c(out, "- ");
        indent += 2;
    }
    put_key(out, S("name"), as_item ? 0 : indent);
    put_scalar(out, g->name, indent);
    if (g->interval_ms)
        put_duration(out, "interval", g->interval_ms, indent);
    if (g->has_query_offset)
        put_duration(out, "query_offset", g->query_offset_ms, indent);
    if (g->limit) {
        pad(out, indent);
        buf_printf(out, "limit: %llu\n", (unsigned long long)g->limit);
    }
    put_labels(out, "labels", g->labels, (Labels){0}, indent);
    pad(out, indent);
    buf_c(out, g->rules_len ? "rules:\n" : "rules: []\n");
    for (u32 i = 0; i < g->rules_len; i++)
        put_rule(out, &g->rules[i], g->labels, inside(indent));
}
