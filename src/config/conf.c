/* The Conf object: its life, its issues, field paths. */
#include "config/conf_internal.h"
#include <stdio.h>

static Str env_default(void *arg, Str name, bool *ret_set)
{
    return dotenv_lookup(name, ret_set);
}

Conf *conf_new(const char *file)
{
    Conf *c = mem_new(Conf);
    arena_init(&c->arena, NULL, CONF_ARENA_MAX);
    c->file = mem_strdup(str_c(file));
    c->env = env_default;
    c->expand = true;
    Str f = str_c(c->file);
    size_t slash = f.len;
    while (slash > 0 && f.at[slash - 1] != '/')
        slash--;
    c->dir = slash == 0 ? S(".") : slash == 1 ? S("/") : str_of(f.at, slash - 1);
    return c;
}

void conf_free(Conf *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->regexes.len; i++)
        regex_free(c->regexes.at[i]);
    vec_done(&c->regexes);
    vec_done(&c->docs);
    vec_done(&c->issues);
    strmap_done(&c->anchors);
    u64map_done(&c->secrets);
    arena_done(&c->arena);
    mem_free(c->file);
    mem_free(c);
}

void conf_set_env(Conf *c, ConfEnvFn fn, void *arg)
{
    c->env = fn;
    c->env_arg = arg;
}

void conf_set_expand(Conf *c, bool expand)
{
    c->expand = expand;
}
void conf_set_legacy_names(Conf *c, bool legacy)
{
    c->legacy_names = legacy;
}
bool conf_legacy_names(const Conf *c)
{
    return c->legacy_names;
}
Arena *conf_arena(Conf *c)
{
    return &c->arena;
}
Str conf_dir(Conf *c)
{
    return c->dir;
}
u32 conf_error_count(const Conf *c)
{
    return c->errors;
}

const ConfNode *conf_root(Conf *c)
{
    return conf_doc(c, 0);
}
const ConfNode *conf_doc(Conf *c, u32 i)
{
    return i < c->docs.len ? c->docs.at[i] : NULL;
}

Str conf_file_path(Conf *c, Str path)
{
    if (path.len == 0 || path.at[0] == '/' || str_eq(c->dir, S(".")))
        return arena_dup(&c->arena, path);
    if (str_starts(path, S("./")))
        path = str_skip(path, 2);
    const char *between = str_ends(c->dir, S("/")) ? "" : "/";
    return arena_printf(&c->arena, "%.*s%s%.*s", STR_FMT(c->dir), between, STR_FMT(path));
}

/* ---- paths and issues ---- */

void conf_path(const ConfNode *n, Buf *out)
{
    const ConfNode *chain[CONF_DEPTH_MAX + 2];
    u32 len = 0;
    for (; n && n->parent && len < COUNT_OF(chain); n = n->parent)
        chain[len++] = n;
    while (len--) {
        const ConfNode *parent = chain[len]->parent;
        if (parent->kind == CONF_LIST) {
            buf_printf(out, "[%u]", chain[len]->index);
            continue;
        }
        if (out->len)
            buf_char(out, '.');
        buf_str(out, parent->keys[chain[len]->index].text);
    }
}

static ConfIssue *issue_add(Conf *c, u32 line, u32 col, bool is_warning)
{
    if (!is_warning)
        c->errors++;
    if (c->issues.len >= CONF_ISSUES_MAX)
        return NULL;
    ConfIssue issue = {.is_warning = is_warning};
    issue.why.err = E_INVALID;
    issue.why.line = line;
    issue.why.col = col;
    snprintf(issue.why.file, sizeof issue.why.file, "%s", c->file);
    vec_push(&c->issues, issue);
    return &c->issues.at[c->issues.len - 1];
}

static void issue_at_node(Conf *c, const ConfNode *at, bool is_warning, const char *fmt, va_list ap)
{
    ConfIssue *issue = issue_add(c, at ? at->line : 0, at ? at->col : 0, is_warning);
    if (!issue)
        return;
    Buf text;
    buf_init(&text, sizeof issue->why.text - 1);
    if (at)
        conf_path(at, &text);
    if (text.len)
        buf_c(&text, ": ");
    char sentence[sizeof issue->why.text];
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    Str s = str_c(sentence);
    buf_str(&text, str_sub(s, 0, text.max - text.len));
    snprintf(issue->why.text, sizeof issue->why.text, "%.*s", STR_FMT(buf_view(&text)));
    buf_done(&text);
}

void conf_error(Conf *c, const ConfNode *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    issue_at_node(c, at, false, fmt, ap);
    va_end(ap);
}

void conf_warn(Conf *c, const ConfNode *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    issue_at_node(c, at, true, fmt, ap);
    va_end(ap);
}

void conf_error_at(Conf *c, u32 line, u32 col, const char *fmt, ...)
{
    ConfIssue *issue = issue_add(c, line, col, false);
    if (!issue)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(issue->why.text, sizeof issue->why.text, fmt, ap);
    va_end(ap);
}

const ConfIssue *conf_issues(Conf *c, u32 *ret_len)
{
    *ret_len = (u32)c->issues.len;
    return c->issues.at;
}

void conf_print_issues(Conf *c, Buf *out)
{
    for (size_t i = 0; i < c->issues.len; i++) {
        char line[sizeof(Why) + 64];
        const ConfIssue *issue = &c->issues.at[i];
        buf_printf(out, "%s%s\n", why_print(&issue->why, line, sizeof line),
                   issue->is_warning ? " (warning)" : "");
    }
}

Err conf_finish(Conf *c, Why *why)
{
    if (arena_over(&c->arena))
        return why_set(why, E_TOO_LARGE, "%s: needs more than %u MiB once read", c->file,
                       CONF_ARENA_MAX >> 20);
    if (c->errors == 0)
        return OK;
    if (!why)
        return E_INVALID;
    u32 shown = 0;
    size_t at = 0;
    for (size_t i = 0; i < c->issues.len; i++) {
        const ConfIssue *issue = &c->issues.at[i];
        if (issue->is_warning)
            continue;
        if (shown == 0) {
            *why = issue->why;
            at = strlen(why->text);
            shown++;
            continue;
        }
        char line[sizeof(Why) + 64];
        why_print(&issue->why, line, sizeof line);
        if (shown >= 20 || at + 1 + strlen(line) >= sizeof why->text - 24)
            break;
        at += (size_t)snprintf(why->text + at, sizeof why->text - at, "\n%s", line);
        shown++;
    }
    if (shown < c->errors)
        snprintf(why->text + at, sizeof why->text - at, "\nand %u more", c->errors - shown);
    why->err = E_INVALID;
    return E_INVALID;
}
