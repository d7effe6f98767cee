/* *_relabel_configs -> RelabelRules, with Prometheus's validation. ${1} is a capture here, so nothing is expanded. */
#include "config/conf_internal.h"

static const char *const action_names[] = {"replace",   "keep",      "drop",     "keepequal",
                                           "dropequal", "hashmod",   "labelmap", "labeldrop",
                                           "labelkeep", "lowercase", "uppercase"};

static RelabelAction action_read(ConfMap *m)
{
    const ConfNode *n = conf_get(m, "action");
    Str names[COUNT_OF(action_names)];
    if (!n)
        return RELABEL_REPLACE;
    Str text = conf_scalar(m->conf, n, false);
    if (text.len == 0) {
        conf_error(m->conf, n, "must not be empty; leave it out for replace");
        return RELABEL_REPLACE;
    }
    for (u32 i = 0; i < COUNT_OF(action_names); i++) {
        if (str_eq_nocase(text, str_c(action_names[i])))
            return (RelabelAction)i;
        names[i] = str_c(action_names[i]);
    }
    Str near = str_nearest(text, names, COUNT_OF(names));
    conf_error(m->conf, n, "unknown action \"%.*s\"%s%.*s", STR_FMT(str_sub(text, 0, 40)),
               near.len ? ", did you mean "
                        : "; one of replace, keep, drop, keepequal, dropequal, hashmod, labelmap, "
                          "labeldrop, labelkeep, lowercase, uppercase",
               STR_FMT(near));
    return RELABEL_REPLACE;
}

static bool name_is_valid(Conf *c, Str s)
{
    return s.len && str_is_utf8(s) && (!c->legacy_names || label_name_is_classic(s));
}

/* A label name that may hold $1 and ${name}. Under UTF-8 names every text is one; the classic rule names what remains. */
static bool template_is_valid(Conf *c, Str s)
{
    if (!c->legacy_names)
        return s.len && str_is_utf8(s);
    bool any = false;
    for (size_t i = 0; i < s.len;) {
        char ch = s.at[i];
        if (ch == '$') {
            bool brace = i + 1 < s.len && s.at[i + 1] == '{';
            size_t from = i + 1 + brace, to = from;
            while (to < s.len &&
                   (label_name_is_classic(str_sub(s, to, to + 1)) || (s.at[to] >= '0' && s.at[to] <= '9')))
                to++;
            if (to == from || (brace && (to == s.len || s.at[to] != '}')))
                return false;
            i = to + brace;
        } else if (label_name_is_classic(str_of(&ch, 1)) || (any && ch >= '0' && ch <= '9')) {
            i++;
        } else {
            return false;
        }
        any = true;
    }
    return any;
}

static void rule_check(Conf *c, const ConfNode *n, const RelabelRule *r, bool has_regex)
{
    RelabelAction a = r->action;
    const char *name = action_names[a];
    bool has_var = str_find_char(r->target_label, '$') != SIZE_MAX;
    bool needs_target = a == RELABEL_REPLACE || a == RELABEL_KEEPEQUAL || a == RELABEL_DROPEQUAL ||
                        a == RELABEL_HASHMOD || a == RELABEL_LOWERCASE || a == RELABEL_UPPERCASE;
    bool other_replacement = !str_eq(r->replacement, S("$1")),
         other_separator = !str_eq(r->separator, S(";"));
    if (a == RELABEL_HASHMOD && r->modulus == 0)
        conf_error(c, n, "hashmod needs a modulus greater than 0");
    if (needs_target && r->target_label.len == 0)
        conf_error(c, n, "the action %s needs target_label", name);
    else if (a == RELABEL_REPLACE && has_var && !template_is_valid(c, r->target_label))
        conf_error(c, n, "\"%.*s\" cannot become a label name", STR_FMT(str_sub(r->target_label, 0, 80)));
    else if (needs_target && !(a == RELABEL_REPLACE && has_var) && !name_is_valid(c, r->target_label))
        conf_error(c, n, "\"%.*s\" is not a valid target_label", STR_FMT(str_sub(r->target_label, 0, 80)));
    if ((a == RELABEL_LOWERCASE || a == RELABEL_UPPERCASE) && other_replacement)
        conf_error(c, n, "the action %s takes no replacement", name);
    if (a == RELABEL_LABELMAP && !template_is_valid(c, r->replacement))
        conf_error(c, n, "\"%.*s\" is not a valid replacement for labelmap: it names the new label",
                   STR_FMT(str_sub(r->replacement, 0, 80)));
    if ((a == RELABEL_KEEPEQUAL || a == RELABEL_DROPEQUAL) &&
        (has_regex || r->modulus || other_replacement || other_separator))
        conf_error(c, n, "the action %s takes only source_labels and target_label", name);
    if ((a == RELABEL_LABELDROP || a == RELABEL_LABELKEEP) &&
        (r->source_labels_len || r->target_label.len || r->modulus || other_replacement || other_separator))
        conf_error(c, n, "the action %s takes only regex", name);
}

static void rule_read(Conf *c, const ConfNode *n, RelabelRule *r)
{
    ConfMap m;
    if (conf_node_is_null(n)) {
        conf_error(c, n, "an empty relabelling rule: fill it in or remove the dash");
        return;
    }
    if (!conf_map_begin(c, n, &m))
        return;
    m.expand = false;
    const Str *sources;
    r->source_labels_len = conf_strs(&m, "source_labels", &sources);
    r->source_labels = (Str *)sources;
    for (u32 i = 0; i < r->source_labels_len; i++)
        if (!name_is_valid(c, sources[i]))
            conf_error(c, conf_get(&m, "source_labels"), "\"%.*s\" is not a valid label name",
                       STR_FMT(str_sub(sources[i], 0, 80)));
    const ConfNode *regex = conf_get(&m, "regex");
    r->separator = conf_str(&m, "separator", S(";"));
    r->regex_text = conf_str(&m, "regex", S("(.*)"));
    r->modulus = (u64)conf_i64(&m, "modulus", 0, 0, INT64_MAX);
    r->target_label = conf_str(&m, "target_label", S(""));
    r->replacement = conf_str(&m, "replacement", S("$1"));
    r->action = action_read(&m);
    conf_map_end(&m);
    Why why;
    if (regex_new(r->regex_text, REGEX_ANCHORED, &r->regex, &why) == OK)
        vec_push(&c->regexes, r->regex);
    else
        conf_error(c, regex ? regex : n, "is not a valid regular expression: %s", why.text);
    rule_check(c, n, r, regex != NULL);
}

RelabelRules conf_relabel(ConfMap *m, const char *key)
{
    const ConfNode *items;
    u32 n = conf_list(m, key, &items);
    if (n == 0)
        return (RelabelRules){0};
    RelabelRule *at = arena_array(&m->conf->arena, RelabelRule, n);
    if (!at)
        return (RelabelRules){0};
    memset(at, 0, n * sizeof *at);
    u32 before = m->conf->errors;
    for (u32 i = 0; i < n; i++)
        rule_read(m->conf, &items[i], &at[i]);
    /* Rules with errors may lack their regex: nobody may run them. */
    if (m->conf->errors != before)
        return (RelabelRules){0};
    return (RelabelRules){at, n};
}
