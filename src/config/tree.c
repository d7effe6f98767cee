/* libyaml's events -> nodes with positions. Depth, alias expansion and memory are bounded here, duplicate keys are found,
 * merge keys (<<) are carried out, !!binary and !!str are honoured. */
#include "config/conf_internal.h"
#include <yaml.h>

typedef struct Tree {
    Conf *c;
    yaml_parser_t parser;
    bool failed;
} Tree;

typedef VEC(ConfNode) NodeVec;

static bool tree_next(Tree *t, yaml_event_t *ret)
{
    if (yaml_parser_parse(&t->parser, ret))
        return true;
    const yaml_parser_t *p = &t->parser;
    const char *problem = p->problem ? p->problem : "not valid YAML";
    u32 line = (u32)p->problem_mark.line + 1, col = (u32)p->problem_mark.column + 1;
    if (p->error == YAML_READER_ERROR) {
        conf_error_at(t->c, 0, 0, "not valid UTF-8 text at byte %zu: %s", p->problem_offset, problem);
    } else {
        bool tab = strstr(problem, "cannot start any token") != NULL;
        conf_error_at(t->c, line, col, "YAML syntax: %s%s%s%s", problem, p->context ? " " : "",
                      p->context ? p->context : "",
                      tab ? "; indent with spaces, not tabs, and quote values that start with @ or `" : "");
    }
    t->failed = true;
    return false;
}

static ConfNode *tree_keep(Tree *t, const NodeVec *v)
{
    if (v->len == 0)
        return NULL;
    ConfNode *at = arena_array(&t->c->arena, ConfNode, v->len);
    if (!at) {
        conf_error_at(t->c, v->at[0].line, v->at[0].col, "the file is too large to be a configuration");
        t->failed = true;
        return NULL;
    }
    memcpy(at, v->at, v->len * sizeof *at);
    return at;
}

static Str tree_dup(Tree *t, const ConfNode *at, Str s)
{
    Str copy = arena_dup(&t->c->arena, s);
    if (copy.len != s.len && !t->failed) {
        conf_error_at(t->c, at->line, at->col, "the file is too large to be a configuration");
        t->failed = true;
    }
    return copy;
}

/* A copy for one alias: nodes know their parents, so they cannot be shared. */
static void tree_copy(Tree *t, const ConfNode *from, ConfNode *to, u32 depth)
{
    *to = *from;
    if (t->failed)
        return;
    if (++t->c->alias_nodes > CONF_ALIAS_NODES_MAX || depth > CONF_DEPTH_MAX) {
        conf_error_at(t->c, from->line, from->col, "aliases expand this file beyond %u values",
                      CONF_ALIAS_NODES_MAX);
        t->failed = true;
        return;
    }
    if (from->len == 0)
        return;
    ConfNode *items = arena_array(&t->c->arena, ConfNode, from->len);
    ConfNode *keys = from->keys ? arena_array(&t->c->arena, ConfNode, from->len) : NULL;
    if (!items || (from->keys && !keys)) {
        to->len = 0;
        t->failed = true;
        return;
    }
    for (u32 i = 0; i < from->len; i++) {
        tree_copy(t, &from->items[i], &items[i], depth + 1);
        if (keys)
            keys[i] = from->keys[i];
    }
    to->items = items;
    to->keys = keys;
}

static void anchor_put(Tree *t, const yaml_char_t *anchor, const ConfNode *n)
{
    if (!anchor || t->failed)
        return;
    ConfNode *copy = arena_new(&t->c->arena, ConfNode);
    *copy = *n;
    strmap_put(&t->c->anchors, str_c((const char *)anchor), copy);
}

static void scalar_init(Tree *t, const yaml_event_t *e, ConfNode *n)
{
    n->kind = CONF_SCALAR;
    n->is_quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    Str text = str_of((const char *)e->data.scalar.value, e->data.scalar.length);
    const char *tag = (const char *)e->data.scalar.tag;
    if (tag && strcmp(tag, YAML_STR_TAG) == 0)
        n->is_quoted = true;
    if (tag && strcmp(tag, "tag:yaml.org,2002:binary") == 0) {
        Buf bytes;
        buf_init(&bytes, text.len + 4);
        if (base64_decode(&bytes, text) != OK)
            conf_error_at(t->c, n->line, n->col, "!!binary needs base64 text");
        n->text = tree_dup(t, n, buf_view(&bytes));
        n->is_quoted = true;
        buf_done(&bytes);
        return;
    }
    if (!n->is_quoted && (text.len == 0 || str_eq(text, S("~")) || str_eq(text, S("null")) ||
                          str_eq(text, S("Null")) || str_eq(text, S("NULL")))) {
        n->kind = CONF_NULL;
        n->text = tree_dup(t, n, text);
        return;
    }
    n->text = tree_dup(t, n, text);
}

static void report_duplicates(Tree *t, const NodeVec *keys)
{
    StrMap seen = {0};
    for (size_t i = 0; i < keys->len; i++) {
        ConfNode *k = &keys->at[i];
        if (!k->is_quoted && str_eq(k->text, S("<<")))
            continue;
        const ConfNode *first = strmap_put(&seen, k->text, k);
        if (first)
            conf_error_at(t->c, k->line, k->col, "duplicate key \"%.*s\": it is already set in line %u",
                          STR_FMT(k->text), first->line);
    }
    strmap_done(&seen);
}

static bool keys_have(const NodeVec *keys, Str name)
{
    for (size_t i = 0; i < keys->len; i++)
        if (str_eq(keys->at[i].text, name))
            return true;
    return false;
}

static void merge_map(Tree *t, const ConfNode *from, NodeVec *keys, NodeVec *items)
{
    if (from->kind != CONF_MAP) {
        conf_error_at(t->c, from->line, from->col,
                      "<< merges maps: give it an alias of a map, or a list of those");
        return;
    }
    for (u32 i = 0; i < from->len; i++) {
        if (keys_have(keys, from->keys[i].text))
            continue;
        vec_push(keys, from->keys[i]);
        vec_push(items, from->items[i]);
    }
}

/* Explicit keys win over merged ones, earlier maps of a list over later ones. */
static void carry_out_merges(Tree *t, NodeVec *keys, NodeVec *items)
{
    size_t n = 0, merges = 0;
    NodeVec from = {0};
    for (size_t i = 0; i < keys->len; i++) {
        if (!keys->at[i].is_quoted && str_eq(keys->at[i].text, S("<<"))) {
            vec_push(&from, items->at[i]);
            merges++;
            continue;
        }
        keys->at[n] = keys->at[i];
        items->at[n++] = items->at[i];
    }
    keys->len = items->len = n;
    for (size_t m = 0; m < merges; m++) {
        const ConfNode *v = &from.at[m];
        if (v->kind != CONF_LIST) {
            merge_map(t, v, keys, items);
            continue;
        }
        for (u32 i = 0; i < v->len; i++)
            merge_map(t, &v->items[i], keys, items);
    }
    vec_done(&from);
}

static void node_build(Tree *t, yaml_event_t *e, ConfNode *ret, u32 depth);

static void list_build(Tree *t, ConfNode *ret, u32 depth)
{
    NodeVec items = {0};
    ret->kind = CONF_LIST;
    while (!t->failed) {
        yaml_event_t e;
        if (!tree_next(t, &e))
            break;
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            ret->items = tree_keep(t, &items);
            ret->len = ret->items ? (u32)items.len : 0;
            break;
        }
        ConfNode item = {0};
        node_build(t, &e, &item, depth + 1);
        vec_push(&items, item);
    }
    vec_done(&items);
}

static void map_build(Tree *t, ConfNode *ret, u32 depth)
{
    NodeVec keys = {0}, items = {0};
    ret->kind = CONF_MAP;
    while (!t->failed) {
        yaml_event_t e;
        if (!tree_next(t, &e))
            break;
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            report_duplicates(t, &keys);
            carry_out_merges(t, &keys, &items);
            ret->keys = tree_keep(t, &keys);
            ret->items = tree_keep(t, &items);
            ret->len = ret->keys && ret->items ? (u32)keys.len : 0;
            break;
        }
        ConfNode key = {0}, item = {0};
        node_build(t, &e, &key, depth + 1);
        if (t->failed)
            break;
        if (key.kind == CONF_LIST || key.kind == CONF_MAP) {
            conf_error_at(t->c, key.line, key.col, "a key must be a plain name, not a list or a map");
            t->failed = true;
            break;
        }
        if (!tree_next(t, &e))
            break;
        node_build(t, &e, &item, depth + 1);
        vec_push(&keys, key);
        vec_push(&items, item);
    }
    vec_done(&keys);
    vec_done(&items);
}

/* Consumes the event. */
static void node_build(Tree *t, yaml_event_t *e, ConfNode *ret, u32 depth)
{
    ret->line = (u32)e->start_mark.line + 1;
    ret->col = (u32)e->start_mark.column + 1;
    if (depth > CONF_DEPTH_MAX) {
        conf_error_at(t->c, ret->line, ret->col, "nested deeper than %d levels", CONF_DEPTH_MAX);
        t->failed = true;
        yaml_event_delete(e);
        return;
    }
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        scalar_init(t, e, ret);
        anchor_put(t, e->data.scalar.anchor, ret);
        break;
    case YAML_SEQUENCE_START_EVENT:
        list_build(t, ret, depth);
        anchor_put(t, e->data.sequence_start.anchor, ret);
        break;
    case YAML_MAPPING_START_EVENT:
        map_build(t, ret, depth);
        anchor_put(t, e->data.mapping_start.anchor, ret);
        break;
    case YAML_ALIAS_EVENT: {
        Str name = str_c((const char *)e->data.alias.anchor);
        const ConfNode *from = strmap_find(&t->c->anchors, name);
        if (from) {
            tree_copy(t, from, ret, depth);
        } else {
            conf_error_at(t->c, ret->line, ret->col,
                          "unknown anchor \"%.*s\": define &%.*s above, outside itself", STR_FMT(name),
                          STR_FMT(name));
            ret->kind = CONF_NULL;
        }
        break;
    }
    default:
        conf_error_at(t->c, ret->line, ret->col, "unexpected end of the document");
        t->failed = true;
        break;
    }
    yaml_event_delete(e);
}

static void set_parents(ConfNode *n)
{
    for (u32 i = 0; i < n->len; i++) {
        n->items[i].parent = n;
        n->items[i].index = i;
        if (n->kind == CONF_MAP) {
            n->keys[i].parent = n;
            n->keys[i].index = i;
        }
        set_parents(&n->items[i]);
    }
}

static void doc_add(Tree *t, ConfNode root)
{
    ConfNode *kept = arena_new(&t->c->arena, ConfNode);
    *kept = root;
    set_parents(kept);
    vec_push(&t->c->docs, kept);
}

/* Reads documents up to `max`; tells whether more follow. */
static bool docs_read(Conf *c, Str yaml, u32 max)
{
    Tree t = {.c = c};
    bool more = false;
    if (!yaml_parser_initialize(&t.parser))
        return false;
    yaml_parser_set_input_string(&t.parser, (const unsigned char *)yaml.at, yaml.len);
    for (bool done = false; !done && !t.failed;) {
        yaml_event_t e;
        if (!tree_next(&t, &e))
            break;
        if (e.type == YAML_DOCUMENT_START_EVENT) {
            more = c->docs.len >= max;
            done = more;
        } else if (e.type == YAML_STREAM_END_EVENT) {
            done = true;
        } else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_END_EVENT) {
            ConfNode root = {0};
            node_build(&t, &e, &root, 0);
            if (!t.failed)
                doc_add(&t, root);
            /* Anchors do not reach over documents. */
            strmap_done(&c->anchors);
            c->anchors = (StrMap){0};
            /* What follows the last document wanted may be anything, as for Go's decoder: it is not read. */
            continue;
        }
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&t.parser);
    return more;
}

bool conf_parse(Conf *c, Str yaml)
{
    u32 before = c->errors;
    bool more = docs_read(c, yaml, 1);
    if (more)
        conf_warn(c, NULL,
                  "only the first YAML document of the file is read; the rest, after ---, is ignored");
    if (c->docs.len == 0 && c->errors == before) {
        ConfNode *empty = arena_new(&c->arena, ConfNode);
        empty->line = empty->col = 1;
        vec_push(&c->docs, empty);
    }
    return c->docs.len > 0;
}

u32 conf_parse_docs(Conf *c, Str yaml)
{
    docs_read(c, yaml, 100000);
    return (u32)c->docs.len;
}
