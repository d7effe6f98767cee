/* Target lists as files and HTTP endpoints serve them: [{"targets": ["host:port"], "labels": {"name": "value"}}].
 *
 * JSON is read by the YAML reader, of whose language it is a part, which gives positions and field paths for free. Two things are
 * done for it: surrogate pairs become one escape, and what JSON wants in quotes is checked to be. */
#include "collect/collect_internal.h"

static Labels address_labels(Arena *a, Str address)
{
    Label *l = arena_new(a, Label);
    *l = (Label){S("__address__"), address};
    return (Labels){l, 1};
}

static void strings_check(Conf *c, const ConfNode *n)
{
    if (n->kind == CONF_SCALAR && !n->is_quoted)
        conf_error(c, n, "must be a string in double quotes");
    for (u32 i = 0; i < n->len; i++)
        strings_check(c, &n->items[i]);
}

static bool hex4(Str s, size_t at, u32 *ret)
{
    *ret = 0;
    for (size_t i = at; i < at + 4; i++) {
        u32 digit = i < s.len ? hex_digit(s.at[i]) : 16;
        if (digit > 15)
            return false;
        *ret = *ret << 4 | digit;
    }
    return true;
}

/* \ud83d\ude00 -> \U0001f600; half a pair becomes U+FFFD, as in Go. Never longer than s. */
static void join_surrogates(Str s, Buf *out)
{
    for (size_t i = 0; i < s.len;) {
        u32 high, low;
        if (s.at[i] != '\\' || i + 1 == s.len) {
            buf_char(out, s.at[i++]);
        } else if (s.at[i + 1] != 'u' || !hex4(s, i + 2, &high) || high < 0xd800 || high > 0xdfff) {
            buf_put(out, s.at + i, 2);
            i += 2;
        } else if (high < 0xdc00 && i + 7 < s.len && s.at[i + 6] == '\\' && s.at[i + 7] == 'u' &&
                   hex4(s, i + 8, &low) && low >= 0xdc00 && low <= 0xdfff) {
            buf_printf(out, "\\U%08x", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            i += 12;
        } else {
            buf_c(out, "\\ufffd");
            i += 6;
        }
    }
}

static void group_read(Conf *c, const ConfNode *n, Arena *a, TargetGroup *g)
{
    ConfMap m;
    const ConfNode *targets;
    *g = (TargetGroup){0};
    if (conf_node_is_null(n)) {
        conf_error(c, n, "an empty target group: give it targets or remove it");
        return;
    }
    if (!conf_map_begin(c, n, &m))
        return;
    u32 len = conf_list(&m, "targets", &targets);
    Labels *at = len ? arena_array(a, Labels, len) : NULL;
    for (u32 i = 0; at && i < len; i++)
        at[i] = address_labels(a, arena_dup(a, conf_scalar(c, &targets[i], false)));
    g->targets = at;
    g->targets_len = at ? len : 0;
    g->labels = labels_dup(a, conf_labels(&m, "labels"));
    conf_map_end(&m);
}

static void list_read(Conf *c, bool is_json, Arena *a, TargetGroup **ret, u32 *ret_len)
{
    const ConfNode *root = conf_root(c);
    if (root->kind != CONF_LIST && root->kind != CONF_NULL)
        conf_error(c, root, "expected a list of target groups (lines starting with - targets:)");
    if (is_json)
        strings_check(c, root);
    u32 len = root->kind == CONF_LIST ? root->len : 0;
    *ret = len ? arena_array(a, TargetGroup, len) : NULL;
    for (u32 i = 0; *ret && i < len; i++)
        group_read(c, &root->items[i], a, &(*ret)[i]);
    *ret_len = *ret ? len : 0;
}

Err target_groups_parse(Str text, bool is_json, const char *name, Arena *arena, TargetGroup **ret,
                        u32 *ret_len, Why *why)
{
    Conf *c = conf_new(name);
    TargetGroup *groups = NULL;
    u32 len = 0;
    Buf joined;
    conf_set_expand(c, false);
    buf_init(&joined, text.len + 1);
    if (is_json) {
        text = str_trim(text);
        if ((text.len == 0 || text.at[0] != '[') && !str_eq(text, S("null")))
            conf_error(c, NULL, "expected a JSON list of target groups");
        if (str_find(text, S("\\u")) != SIZE_MAX) {
            join_surrogates(text, &joined);
            text = buf_view(&joined);
        }
    }
    if (conf_error_count(c) == 0 && conf_parse(c, text))
        list_read(c, is_json, arena, &groups, &len);
    Err e = conf_finish(c, why);
    conf_free(c);
    buf_done(&joined);
    if (e == OK && arena_over(arena))
        return why_set(why, E_TOO_LARGE, "the target list is too large");
    if (e != OK)
        return E_PARSE;
    *ret = groups;
    *ret_len = len;
    return OK;
}
