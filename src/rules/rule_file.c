/* Rule files: YAML to groups, with Prometheus's verdicts and positions of our own. */
#include "rules/rules_internal.h"

#include <fnmatch.h>
#include <stdio.h>

enum { FILE_BYTES_MAX = 64 << 20, FILES_MAX = 10000, RULES_PER_GROUP_MAX = 100000 };

struct RuleSet {
    _Atomic u32 refs;
    Arena arena;
    VEC(Conf *) confs;
    VEC(RuleGroup) groups;
    VEC(Why) errors; /* files that could not be read */
    RuleReadOptions opts;
};

/* ---- one rule ---- */
static void check_texts(Conf *c, const ConfNode *map, Labels texts, Str alert, const char *what,
                        bool label_names)
{
    for (u32 i = 0; i < texts.len; i++) {
        const ConfNode *at = map;
        for (u32 k = 0; map && map->kind == CONF_MAP && k < map->len; k++)
            if (str_eq(map->keys[k].text, texts.at[i].name))
                at = &map->items[k];
        if (label_names && str_eq(texts.at[i].name, LABEL_NAME))
            conf_error(c, at, "invalid label name: __name__");
        Why why = {0};
        if (alert.len && rule_tmpl_check(alert, texts.at[i].value, &why) != OK)
            conf_error(c, at, "%s \"%.*s\": %s", what, STR_FMT(texts.at[i].name), why.text);
    }
}

static void parse_expr(RuleSet *s, Conf *c, const ConfNode *at, Rule *r)
{
    Why why = {0};
    Arena *arena = &s->arena;
    if (promql_parse(r->expr, s->opts.features, arena, &r->tree, NULL, &why) != OK) {
        r->tree = NULL;
        conf_error(c, at, "could not parse expression: %s", why.text);
        return;
    }
    if (r->tree->type != PROM_VECTOR && r->tree->type != PROM_SCALAR)
        conf_warn(c, at, "the expression is a %s; a rule's result must be a vector or a scalar",
                  prom_type_name(r->tree->type));
    Buf b;
    buf_init(&b, 1 << 20);
    promql_print(r->tree, &b);
    r->query = arena_dup(arena, buf_view(&b));
    buf_done(&b);
}

/* The group's labels, overridden by the rule's. */
static Labels merge_labels(Arena *a, Labels group, Labels own)
{
    LabelsBuilder b;
    lb_init(&b, a, group);
    for (u32 i = 0; i < own.len; i++)
        lb_set(&b, own.at[i].name, own.at[i].value);
    return lb_build(&b);
}

static void check_record(Conf *c, const ConfNode *n, const Rule *r)
{
    if (r->annotations.len)
        conf_error(c, n, "invalid field 'annotations' in recording rule");
    if (r->for_ms)
        conf_error(c, n, "invalid field 'for' in recording rule");
    if (r->keep_firing_for_ms)
        conf_error(c, n, "invalid field 'keep_firing_for' in recording rule");
    if (!str_is_utf8(r->name))
        conf_error(c, n, "invalid recording rule name: %.*s", (int)MIN(r->name.len, 200), r->name.at);
    if (str_find_char(r->name, '{') != SIZE_MAX || str_find_char(r->name, '}') != SIZE_MAX)
        conf_error(c, n, "braces present in the recording rule name; should it be in expr?: %.*s",
                   (int)MIN(r->name.len, 200), r->name.at);
}

static void read_rule(RuleSet *s, Conf *c, const ConfNode *n, const RuleGroup *g, Rule *r)
{
    ConfMap m;
    if (!conf_map_begin(c, n, &m))
        return;
    Str record = conf_str(&m, "record", S("")), alert = conf_str(&m, "alert", S(""));
    r->expr = conf_str(&m, "expr", S(""));
    r->for_ms = conf_duration(&m, "for", 0);
    r->keep_firing_for_ms = conf_duration(&m, "keep_firing_for", 0);
    const ConfNode *labels = conf_get(&m, "labels"), *annotations = conf_get(&m, "annotations"),
                   *expr = conf_get(&m, "expr");
    Labels own = conf_labels(&m, "labels");
    r->annotations = conf_labels(&m, "annotations");
    if (!s->opts.ignore_unknown_fields)
        conf_map_end(&m);
    r->is_alert = alert.len != 0;
    r->name = r->is_alert ? alert : record;
    r->file = g->file;
    r->line = n->line;
    if (record.len && alert.len)
        conf_error(c, n, "only one of 'record' and 'alert' must be set");
    else if (!record.len && !alert.len)
        conf_error(c, n, "one of 'record' or 'alert' must be set");
    if (!str_trim(r->expr).len)
        conf_error(c, n, "field 'expr' must be set in rule");
    else
        parse_expr(s, c, expr, r);
    if (record.len && !alert.len)
        check_record(c, n, r);
    check_texts(c, labels, own, r->is_alert ? r->name : S(""), "label", true);
    check_texts(c, annotations, r->annotations, r->is_alert ? r->name : S(""), "annotation", false);
    r->labels = merge_labels(&s->arena, g->labels, own);
}

static void read_group(RuleSet *s, Conf *c, const ConfNode *n, Str file, StrMap *names)
{
    ConfMap m;
    RuleGroup g = {.file = file};
    const ConfNode *items;
    if (!conf_map_begin(c, n, &m))
        return;
    const ConfNode *name = conf_get(&m, "name");
    g.name = conf_str(&m, "name", S(""));
    g.interval_ms = conf_duration(&m, "interval", 0);
    g.limit = (u64)conf_i64(&m, "limit", 0, 0, INT64_MAX);
    g.has_query_offset = conf_has(&m, "query_offset");
    g.query_offset_ms = conf_duration(&m, "query_offset", 0);
    g.labels = conf_labels(&m, "labels");
    u32 len = conf_list(&m, "rules", &items);
    if (!s->opts.ignore_unknown_fields)
        conf_map_end(&m);
    if (!g.name.len)
        conf_error(c, n, "Groupname must not be empty");
    else if (strmap_has(names, g.name))
        conf_error(c, name, "groupname: \"%.*s\" is repeated in the same file", (int)MIN(g.name.len, 200),
                   g.name.at);
    else
        strmap_put(names, g.name, c);
    if (len > RULES_PER_GROUP_MAX) {
        conf_error(c, n, "more than %d rules in one group", RULES_PER_GROUP_MAX);
        return;
    }
    Rule *rules = len ? arena_array(&s->arena, Rule, len) : NULL;
    if (len && !rules) {
        conf_error(c, n, "the rule files are too large");
        return;
    }
    if (len)
        memset(rules, 0, len * sizeof *rules);
    for (u32 i = 0; i < len; i++)
        read_rule(s, c, &items[i], &g, &rules[i]);
    g.rules = rules;
    g.rules_len = len;
    vec_push(&s->groups, g);
}

static void read_file(RuleSet *s, const char *file, Str yaml)
{
    Conf *c = conf_new(file);
    vec_push(&s->confs, c);
    conf_set_expand(c, false);
    if (!conf_parse(c, yaml))
        return;
    ConfMap m;
    const ConfNode *items;
    if (!conf_map_begin(c, conf_root(c), &m))
        return;
    u32 len = conf_list(&m, "groups", &items);
    if (!s->opts.ignore_unknown_fields)
        conf_map_end(&m);
    StrMap names = {0};
    Str name = arena_dup(&s->arena, str_c(file));
    for (u32 i = 0; i < len; i++)
        read_group(s, c, &items[i], name, &names);
    strmap_done(&names);
}

static RuleSet *set_new(const RuleReadOptions *o)
{
    RuleSet *s = mem_new(RuleSet);
    s->refs = 1;
    arena_init(&s->arena, NULL, 1u << 30);
    if (o)
        s->opts = *o;
    return s;
}

RuleSet *rule_set_parse(const char *file, Str yaml, const RuleReadOptions *o)
{
    RuleSet *s = set_new(o);
    read_file(s, file, yaml);
    return s;
}

RuleSet *rule_set_parse_group(const char *file, Str yaml, const RuleReadOptions *o)
{
    RuleSet *s = set_new(o);
    Conf *c = conf_new(file);
    StrMap names = {0};
    vec_push(&s->confs, c);
    conf_set_expand(c, false);
    if (conf_parse(c, yaml))
        read_group(s, c, conf_root(c), arena_dup(&s->arena, str_c(file)), &names);
    strmap_done(&names);
    return s;
}

/* ---- finding files ---- */
typedef VEC(char *) Paths;
typedef struct Listing {
    const char *pattern;
    Paths *names;
} Listing;

static bool on_name(void *arg, const char *name, bool is_dir)
{
    Listing *l = arg;
    if (fnmatch(l->pattern, name, FNM_PERIOD) == 0 && l->names->len < FILES_MAX)
        vec_push(l->names, mem_strdup(str_c(name)));
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Expands the pattern part by part; `done` is what has been matched so far. */
static void glob_into(Vfs *v, const char *done, Str rest, Paths *out, int depth)
{
    char path[2048];
    Str part, tail;
    if (depth > 64 || out->len >= FILES_MAX)
        return;
    bool more = str_cut(rest, '/', &part, &tail);
    bool wild = false;
    for (size_t i = 0; i < part.len; i++)
        wild |= strchr("*?[\\", part.at[i]) != NULL;
    if (!wild) {
        int n = snprintf(path, sizeof path, "%s%.*s%s", done, STR_FMT(part), more ? "/" : "");
        if (n < 0 || (size_t)n >= sizeof path)
            return;
        VfsStat st;
        if (more)
            glob_into(v, path, tail, out, depth + 1);
        else if (v->stat(v, path, &st, NULL) == OK && !st.is_dir)
            vec_push(out, mem_strdup(str_c(path)));
        return;
    }
    char pattern[512];
    if (part.len >= sizeof pattern)
        return;
    memcpy(pattern, part.at, part.len);
    pattern[part.len] = 0;
    Paths names = {0};
    Listing l = {pattern, &names};
    v->list(v, *done ? done : ".", on_name, &l, NULL);
    if (names.len)
        qsort(names.at, names.len, sizeof names.at[0], by_text);
    for (size_t i = 0; i < names.len; i++) {
        VfsStat st;
        int n = snprintf(path, sizeof path, "%s%s%s", done, names.at[i], more ? "/" : "");
        if (n > 0 && (size_t)n < sizeof path && v->stat(v, path, &st, NULL) == OK) {
            if (more && st.is_dir)
                glob_into(v, path, tail, out, depth + 1);
            else if (!more && !st.is_dir)
                vec_push(out, mem_strdup(str_c(path)));
        }
        mem_free(names.at[i]);
    }
    vec_done(&names);
}

RuleSet *rule_set_load(Vfs *vfs, const Str *patterns, u32 n, const RuleReadOptions *o)
{
    RuleSet *s = set_new(o);
    Paths paths = {0};
    for (u32 i = 0; i < n; i++)
        glob_into(vfs, "", patterns[i], &paths, 0);
    StrMap seen = {0};
    for (size_t i = 0; i < paths.len; i++) {
        Str path = str_c(paths.at[i]);
        Buf text;
        Why why = {0};
        buf_init(&text, FILE_BYTES_MAX);
        if (strmap_has(&seen, path)) {
            /* two patterns, one file */
        } else if (vfs_read_file(vfs, paths.at[i], FILE_BYTES_MAX, &text, &why) == OK) {
            read_file(s, paths.at[i], buf_view(&text));
        } else {
            snprintf(why.file, sizeof why.file, "%s", paths.at[i]);
            vec_push(&s->errors, why);
        }
        strmap_put(&seen, path, s);
        buf_done(&text);
        mem_free(paths.at[i]);
    }
    strmap_done(&seen);
    vec_done(&paths);
    return s;
}

RuleSet *rule_set_ref(RuleSet *s)
{
    s->refs++;
    return s;
}

void rule_set_unref(RuleSet *s)
{
    if (!s || --s->refs)
        return;
    for (size_t i = 0; i < s->groups.len; i++)
        for (u32 k = 0; k < s->groups.at[i].rules_len; k++)
            if (s->groups.at[i].rules[k].tree)
                promql_done(s->groups.at[i].rules[k].tree);
    for (size_t i = 0; i < s->confs.len; i++)
        conf_free(s->confs.at[i]);
    vec_done(&s->confs);
    vec_done(&s->groups);
    vec_done(&s->errors);
    arena_done(&s->arena);
    mem_free(s);
}

Err rule_set_verdict(const RuleSet *s, Why *why)
{
    for (size_t i = 0; i < s->errors.len; i++) {
        if (why)
            *why = s->errors.at[i];
        return s->errors.at[i].err;
    }
    for (size_t i = 0; i < s->confs.len; i++)
        TRY(conf_finish(s->confs.at[i], why));
    return OK;
}

void rule_set_print_issues(const RuleSet *s, Buf *out)
{
    char line[2048];
    for (size_t i = 0; i < s->errors.len; i++)
        buf_printf(out, "%s\n", why_print(&s->errors.at[i], line, sizeof line));
    for (size_t i = 0; i < s->confs.len; i++)
        conf_print_issues(s->confs.at[i], out);
}

u32 rule_set_files(const RuleSet *s)
{
    return (u32)(s->confs.len + s->errors.len);
}

const RuleGroup *rule_set_groups(const RuleSet *s, u32 *ret_len)
{
    *ret_len = (u32)s->groups.len;
    return s->groups.at;
}
