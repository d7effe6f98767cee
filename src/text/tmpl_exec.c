/* Walking a template: values, variables, fields, calls. Steps, depth and output are bounded. */
#include "text/tmpl_internal.h"

#include <stdio.h>

enum { CALLS_DEPTH_MAX = 64, VARS_MAX = 1024, ARGS_MAX = 64 };

typedef struct Var {
    Str name;
    Tv value;
} Var;

struct TmplExec {
    const TmplSet *set;
    const TmplRun *run;
    Arena *arena;
    Buf *out;
    u64 steps, steps_max;
    VEC(Var) vars;
    size_t scope;     /* vars of the running template start here */
    const Tmpl *tmpl; /* running template, for messages */
    int depth;
    Err err;
    Why *why;
};

typedef enum Flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_STOP } Flow;

Arena *tmpl_arena(TmplExec *x)
{
    return x->arena;
}
void *tmpl_host(TmplExec *x)
{
    return x->run->host;
}

/* ---- sets ---- */
TmplSet *tmpl_set_new(const TmplFunc *funcs, u32 n)
{
    TmplSet *s = mem_new(TmplSet);
    arena_init(&s->own, NULL, 256u << 20);
    s->arena = &s->own;
    TmplFunc *copy = mem_zalloc((n + 1) * sizeof *copy);
    if (n)
        memcpy(copy, funcs, n * sizeof *copy);
    s->funcs = copy;
    s->funcs_len = n;
    return s;
}

void tmpl_set_free(TmplSet *s)
{
    if (!s)
        return;
    strmap_done(&s->templates);
    arena_done(&s->own);
    mem_free((void *)s->funcs);
    mem_free(s);
}

Err tmpl_parse(TmplSet *s, Str name, Str text, Why *why)
{
    return tmpl_parse_into(s, name, text, why);
}

const TmplFunc *tmpl_find_func(const TmplSet *s, Str name)
{
    for (; s; s = s->parent)
        for (u32 i = 0; i < s->funcs_len; i++)
            if (str_eq(name, str_c(s->funcs[i].name)))
                return &s->funcs[i];
    for (u32 i = 0; i < tmpl_builtins_len; i++)
        if (str_eq(name, str_c(tmpl_builtins[i].name)))
            return &tmpl_builtins[i];
    return NULL;
}

const Tmpl *tmpl_find(const TmplSet *s, Str name)
{
    for (; s; s = s->parent) {
        const Tmpl *t = strmap_find(&s->templates, name);
        if (t)
            return t;
    }
    return NULL;
}

bool tmpl_has(const TmplSet *s, Str name)
{
    return tmpl_find(s, name) != NULL;
}

/* ---- messages ---- */
static void exec_fail(TmplExec *x, const TNode *n, Err e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void exec_fail(TmplExec *x, const TNode *n, Err e, const char *fmt, ...)
{
    if (x->err != OK)
        return;
    char sentence[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    u32 line = 1, col = 0;
    for (u32 i = 0; n && i < n->pos && i < x->tmpl->text.len; i++) {
        bool newline = x->tmpl->text.at[i] == '\n';
        line += newline;
        col = newline ? 0 : col + 1;
    }
    Str at = n ? n->source : S("");
    bool cut = at.len > 200;
    x->err =
        why_at(x->why, e == E_PARSE ? E_EXEC : e, line, col + 1,
               "template: %.*s:%u:%u: executing \"%.*s\" at <%.*s%s>: %s", (int)MIN(x->tmpl->name.len, 100),
               x->tmpl->name.at, line, col, (int)MIN(x->tmpl->name.len, 100), x->tmpl->name.at,
               cut ? (int)str_rune_prefix(at, 200) : (int)at.len, at.at, cut ? "..." : "", sentence);
}

static void exec_fail_value(TmplExec *x, const TNode *n, const char *what, Tv v)
{
    Buf b;
    buf_init(&b, 1 << 16);
    tv_print(&b, v);
    exec_fail(x, n, E_EXEC, "%s%.*s", what, (int)str_rune_prefix(buf_view(&b), 100), b.at ? b.at : "");
    buf_done(&b);
}

bool tmpl_step(TmplExec *x)
{
    return ++x->steps <= x->steps_max && !arena_over(x->arena) && !buf_over(x->out);
}

static bool step(TmplExec *x, const TNode *n)
{
    if (x->err != OK)
        return false;
    if (tmpl_step(x))
        return true;
    if (buf_over(x->out))
        exec_fail(x, n, E_TOO_LARGE, "output is over its limit");
    else
        exec_fail(x, n, E_LIMIT, "template takes too many steps or too much memory");
    return false;
}

/* ---- values ---- */
Tv tv_plain(Tv v)
{
    while (v.kind == TV_OBJECT)
        v = v.u.obj->as_value;
    return v;
}

bool tv_truth(Tv v)
{
    switch (v.kind) {
    case TV_NIL:
        return false;
    case TV_BOOL:
        return v.u.b;
    case TV_INT:
    case TV_DURATION:
        return v.u.i != 0;
    case TV_F64:
        return v.u.f != 0;
    case TV_STR:
    case TV_SAFE_HTML:
        return v.u.s.len != 0;
    case TV_LIST:
        return v.u.list.len != 0;
    case TV_MAP:
        return v.u.map.len != 0;
    case TV_TIME:
        return true;
    case TV_OBJECT: {
        Tv plain = tv_plain(v);
        return plain.kind == TV_NIL || tv_truth(plain); /* a struct is true */
    }
    }
    return false;
}

bool tv_map_find(Tv map, Str key, Tv *ret)
{
    map = tv_plain(map);
    *ret = tv_nil();
    if (map.kind != TV_MAP)
        return false;
    for (u32 i = 0; i < map.u.map.len; i++)
        if (str_eq(map.u.map.at[i].key, key)) {
            *ret = map.u.map.at[i].value;
            return true;
        }
    return false;
}

const char *tv_type_name(Tv v)
{
    switch (v.kind) {
    case TV_NIL:
        return "<nil>";
    case TV_BOOL:
        return "bool";
    case TV_INT:
        return "int";
    case TV_F64:
        return "float64";
    case TV_STR:
        return "string";
    case TV_LIST:
        return "[]interface {}";
    case TV_MAP:
        return v.u.map.is_any ? "map[string]interface {}" : "map[string]string";
    case TV_TIME:
        return "time.Time";
    case TV_DURATION:
        return "time.Duration";
    case TV_OBJECT:
        return v.u.obj->type_name;
    case TV_SAFE_HTML:
        return "template.HTML";
    }
    return "?";
}

/* ---- expressions ---- */
static Tv eval_pipe(TmplExec *x, const TNode *pipe, Tv dot);

/* A wrong number of arguments is the template's fault, not the function's. */
static void call_failed(TmplExec *x, const TNode *n, Str name, const Why *why)
{
    if (why->err == OK)
        return;
    bool count = str_starts(str_c(why->text), S("wrong number of args"));
    if (count)
        exec_fail(x, n, why->err, "%s", why->text);
    else
        exec_fail(x, n, why->err, "error calling %.*s: %s", STR_FMT(name), why->text);
}

static Tv eval_field(TmplExec *x, const TNode *n, Tv on, Str name, const Tv *args, u32 args_len)
{
    Why why = {0};
    Tv ret = tv_nil();
    switch (on.kind) {
    case TV_OBJECT:
        if (on.u.obj->get && on.u.obj->get(on.u.obj, x, name, args, args_len, &ret, &why)) {
            call_failed(x, n, name, &why);
            return ret;
        }
        break;
    case TV_MAP:
        if (args_len) {
            exec_fail(x, n, E_EXEC, "%.*s is not a method but has arguments", STR_FMT(name));
            return ret;
        }
        if (!tv_map_find(on, name, &ret) && x->run->missing_key_zero && !on.u.map.is_any)
            ret = tv_str(S(""));
        return ret;
    case TV_NIL:
        exec_fail(x, n, E_EXEC, "nil pointer evaluating interface {}.%.*s", STR_FMT(name));
        return ret;
    case TV_TIME:
    case TV_DURATION:
        if (tmpl_time_method(x, on, name, args, args_len, &ret, &why)) {
            call_failed(x, n, name, &why);
            return ret;
        }
        break;
    default:
        break;
    }
    exec_fail(x, n, E_EXEC, "can't evaluate field %.*s in type %s", STR_FMT(name), tv_type_name(on));
    return ret;
}

/* A chain of fields; arguments go to the last. */
static Tv eval_fields(TmplExec *x, const TNode *n, Tv on, const Str *names, u32 len, const Tv *args,
                      u32 args_len)
{
    for (u32 i = 0; i < len && x->err == OK; i++)
        on = eval_field(x, n, on, names[i], i + 1 == len ? args : NULL, i + 1 == len ? args_len : 0);
    return on;
}

static Tv eval_var(TmplExec *x, const TNode *n, Str name)
{
    for (size_t i = x->vars.len; i > x->scope; i--)
        if (str_eq(x->vars.at[i - 1].name, name))
            return x->vars.at[i - 1].value;
    exec_fail(x, n, E_EXEC, "undefined variable: %.*s", STR_FMT(name));
    return tv_nil();
}

static Tv eval_operand(TmplExec *x, const TNode *n, Tv dot, const Tv *args, u32 args_len);

static Tv eval_arg(TmplExec *x, const TNode *n, Tv dot)
{
    return n->kind == TN_NIL ? tv_nil() : eval_operand(x, n, dot, NULL, 0);
}

/* and, or: stop at the first argument that decides. */
static Tv eval_short(TmplExec *x, const TNode *cmd, bool is_or, Tv dot, const Tv *final)
{
    Tv v = tv_nil();
    if (cmd->len < 2 && !final) {
        exec_fail(x, cmd, E_EXEC, "wrong number of args for %s: want at least 1 got 0", is_or ? "or" : "and");
        return v;
    }
    for (u32 i = 1; i < cmd->len && x->err == OK; i++) {
        v = eval_arg(x, cmd->items[i], dot);
        if (tv_truth(v) == is_or)
            return v;
    }
    return final ? *final : v;
}

static Tv eval_call(TmplExec *x, const TNode *cmd, Tv dot, const Tv *final)
{
    const TNode *word = cmd->items[0];
    Tv args[ARGS_MAX], ret = tv_nil();
    u32 n = 0;
    if (str_eq(word->text, S("and")) || str_eq(word->text, S("or")))
        return eval_short(x, cmd, word->text.at[0] == 'o', dot, final);
    for (u32 i = 1; i < cmd->len && x->err == OK; i++) {
        if (n == ARGS_MAX - 1) {
            exec_fail(x, cmd, E_EXEC, "more than %d arguments", ARGS_MAX - 1);
            return ret;
        }
        args[n++] = eval_arg(x, cmd->items[i], dot);
    }
    if (final)
        args[n++] = *final;
    if (!step(x, cmd))
        return ret;
    const TmplFunc *f = tmpl_find_func(x->set, word->text);
    Why why = {0};
    Err e = f->fn(x, f->arg, args, n, &ret, &why);
    if (e == OK)
        return ret;
    if (str_starts(str_c(why.text), S("wrong number of args")))
        exec_fail(x, word, e, "%s", why.text);
    else
        exec_fail(x, cmd, e, "error calling %.*s: %s", STR_FMT(word->text), why.text);
    return tv_nil();
}

/* The first word of a command, or an argument (then args_len is 0). */
static Tv eval_operand(TmplExec *x, const TNode *n, Tv dot, const Tv *args, u32 args_len)
{
    if (!step(x, n))
        return tv_nil();
    switch (n->kind) {
    case TN_FIELD:
        return eval_fields(x, n, dot, n->names, n->names_len, args, args_len);
    case TN_VARIABLE: {
        Tv v = eval_var(x, n, n->names[0]);
        if (n->names_len == 1 && args_len)
            exec_fail(x, n, E_EXEC, "can't give argument to non-function %.*s", STR_FMT(n->source));
        return eval_fields(x, n, v, n->names + 1, n->names_len - 1, args, args_len);
    }
    case TN_CHAIN: {
        Tv v = eval_operand(x, n->items[0], dot, NULL, 0);
        return eval_fields(x, n, v, n->names, n->names_len, args, args_len);
    }
    case TN_IDENT: { /* a function as an argument: called without arguments */
        TNode cmd = {.kind = TN_COMMAND, .pos = n->pos, .source = n->source, .len = 1};
        TNode *items[1] = {(TNode *)n};
        cmd.items = items;
        return eval_call(x, &cmd, dot, NULL);
    }
    default:
        break;
    }
    if (args_len) {
        exec_fail(x, n, E_EXEC, "can't give argument to non-function %.*s", (int)MIN(n->source.len, 100),
                  n->source.at);
        return tv_nil();
    }
    switch (n->kind) {
    case TN_PIPE: {
        size_t vars = x->vars.len;
        Tv v = eval_pipe(x, n, dot);
        x->vars.len = MIN(vars, x->vars.len);
        return v;
    }
    case TN_DOT:
        return dot;
    case TN_CONST:
        return n->value;
    case TN_NIL:
        exec_fail(x, n, E_EXEC, "nil is not a command");
        return tv_nil();
    default:
        exec_fail(x, n, E_EXEC, "can't evaluate command");
        return tv_nil();
    }
}

static Tv eval_command(TmplExec *x, const TNode *cmd, Tv dot, const Tv *final)
{
    const TNode *first = cmd->items[0];
    if (!step(x, cmd))
        return tv_nil();
    if (first->kind == TN_IDENT)
        return eval_call(x, cmd, dot, final);
    Tv args[ARGS_MAX];
    u32 n = 0;
    for (u32 i = 1; i < cmd->len && x->err == OK; i++) {
        if (n == ARGS_MAX - 1) {
            exec_fail(x, cmd, E_EXEC, "more than %d arguments", ARGS_MAX - 1);
            return tv_nil();
        }
        args[n++] = eval_arg(x, cmd->items[i], dot);
    }
    if (final)
        args[n++] = *final;
    return eval_operand(x, first, dot, args, n);
}

static Tv eval_pipe(TmplExec *x, const TNode *pipe, Tv dot)
{
    Tv v = tv_nil();
    for (u32 i = 0; i < pipe->len && x->err == OK; i++)
        v = eval_command(x, pipe->items[i], dot, i ? &v : NULL);
    if (x->err != OK)
        return tv_nil();
    for (u32 i = 0; i < pipe->names_len; i++) {
        if (pipe->is_assign) {
            size_t k = x->vars.len;
            while (k > x->scope && !str_eq(x->vars.at[k - 1].name, pipe->names[i]))
                k--;
            if (k == x->scope)
                exec_fail(x, pipe, E_EXEC, "undefined variable: %.*s", STR_FMT(pipe->names[i]));
            else
                x->vars.at[k - 1].value = v;
        } else if (x->vars.len - x->scope >= VARS_MAX) {
            exec_fail(x, pipe, E_LIMIT, "more than %d variables", VARS_MAX);
        } else {
            vec_push(&x->vars, (Var){pipe->names[i], v});
        }
    }
    return v;
}

/* ---- statements ---- */
static Flow walk(TmplExec *x, const TNode *n, Tv dot);

static Flow walk_list(TmplExec *x, const TNode *list, Tv dot)
{
    for (u32 i = 0; list && i < list->len; i++) {
        Flow f = walk(x, list->items[i], dot);
        if (f != FLOW_ON)
            return f;
    }
    return x->err == OK ? FLOW_ON : FLOW_STOP;
}

/* html/template's escaping of text between tags; + too, because it may end up in UTF-7. */
static void put_html(Buf *out, Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.at[i]) {
        case '<':
            buf_c(out, "&lt;");
            break;
        case '>':
            buf_c(out, "&gt;");
            break;
        case '&':
            buf_c(out, "&amp;");
            break;
        case '"':
            buf_c(out, "&#34;");
            break;
        case '\'':
            buf_c(out, "&#39;");
            break;
        case '+':
            buf_c(out, "&#43;");
            break;
        case 0:
            buf_c(out, "\xef\xbf\xbd");
            break;
        default:
            buf_char(out, s.at[i]);
        }
    }
}

static void put_value(TmplExec *x, Tv v)
{
    if (v.kind == TV_NIL) {
        if (!x->run->html)
            buf_c(x->out, "<no value>");
    } else if (v.kind == TV_STR && !x->run->html) {
        buf_str(x->out, v.u.s);
    } else if (v.kind == TV_SAFE_HTML || !x->run->html) {
        tv_print(x->out, v);
    } else {
        Buf plain;
        buf_init(&plain, x->out->max);
        tv_print(&plain, v);
        put_html(x->out, buf_view(&plain));
        buf_done(&plain);
    }
}

static Flow walk_template(TmplExec *x, const TNode *n, Tv dot)
{
    const Tmpl *t = tmpl_find(x->set, n->text);
    if (!t) {
        exec_fail(x, n, E_EXEC, "template \"%.*s\" not defined", (int)MIN(n->text.len, 100), n->text.at);
        return FLOW_STOP;
    }
    if (x->depth >= CALLS_DEPTH_MAX) {
        exec_fail(x, n, E_LIMIT, "exceeded maximum template depth (%d)", CALLS_DEPTH_MAX);
        return FLOW_STOP;
    }
    Tv data = n->pipe ? eval_pipe(x, n->pipe, dot) : tv_nil();
    if (x->err != OK)
        return FLOW_STOP;
    const Tmpl *caller = x->tmpl;
    size_t scope = x->scope, vars = x->vars.len;
    x->tmpl = t;
    x->scope = vars;
    x->depth++;
    vec_push(&x->vars, (Var){S("$"), data});
    walk_list(x, t->body, data);
    x->depth--;
    x->vars.len = vars;
    x->scope = scope;
    x->tmpl = caller;
    return x->err == OK ? FLOW_ON : FLOW_STOP;
}

/* One round of a range. False ends it. */
static bool range_round(TmplExec *x, const TNode *n, Tv key, Tv elem, Flow *ret)
{
    const TNode *pipe = n->pipe;
    size_t vars = x->vars.len;
    if (!step(x, n))
        return false;
    for (u32 i = 0; i < pipe->names_len; i++) {
        Tv v = pipe->names_len == 2 && i == 0 ? key : elem;
        if (!pipe->is_assign) {
            vec_push(&x->vars, (Var){pipe->names[i], v});
            continue;
        }
        for (size_t k = x->vars.len; k > x->scope; k--)
            if (str_eq(x->vars.at[k - 1].name, pipe->names[i])) {
                x->vars.at[k - 1].value = v;
                break;
            }
    }
    *ret = walk_list(x, n->body, elem);
    x->vars.len = vars;
    return *ret == FLOW_ON || *ret == FLOW_CONTINUE;
}

static Flow walk_range(TmplExec *x, const TNode *n, Tv dot)
{
    /* The declared variables are set per round, not from the whole. */
    TNode pipe = *n->pipe;
    pipe.names_len = 0;
    Tv v = tv_plain(eval_pipe(x, &pipe, dot));
    if (x->err != OK)
        return FLOW_STOP;
    Flow f = FLOW_ON;
    bool any = false;
    switch (v.kind) {
    case TV_LIST:
        for (u32 i = 0; i < v.u.list.len; i++) {
            any = true;
            if (!range_round(x, n, tv_int(i), v.u.list.at[i], &f))
                break;
        }
        break;
    case TV_MAP:
        for (u32 i = 0; i < v.u.map.len; i++) {
            any = true;
            if (!range_round(x, n, tv_str(v.u.map.at[i].key), v.u.map.at[i].value, &f))
                break;
        }
        break;
    case TV_INT:
        for (i64 i = 0; i < v.u.i; i++) {
            any = true;
            if (!range_round(x, n, tv_int(i), tv_int(i), &f))
                break;
        }
        break;
    case TV_NIL:
        break;
    default:
        exec_fail_value(x, n->pipe, "range can't iterate over ", v);
    }
    if (x->err != OK)
        return FLOW_STOP;
    return any ? FLOW_ON : walk_list(x, n->other, dot);
}

static Flow walk(TmplExec *x, const TNode *n, Tv dot)
{
    size_t vars = x->vars.len;
    Flow f = FLOW_ON;
    if (!step(x, n))
        return FLOW_STOP;
    switch (n->kind) {
    case TN_TEXT:
        buf_str(x->out, n->text);
        break;
    case TN_ACTION: {
        Tv v = eval_pipe(x, n->pipe, dot);
        if (x->err == OK && n->pipe->names_len == 0)
            put_value(x, v);
        break; /* a declaration lives on after its action */
    }
    case TN_IF:
    case TN_WITH: {
        Tv v = eval_pipe(x, n->pipe, dot);
        if (x->err != OK)
            break;
        if (tv_truth(v))
            f = walk_list(x, n->body, n->kind == TN_WITH ? v : dot);
        else
            f = walk_list(x, n->other, dot);
        x->vars.len = vars;
        break;
    }
    case TN_RANGE:
        f = walk_range(x, n, dot);
        x->vars.len = vars;
        break;
    case TN_TEMPLATE:
        f = walk_template(x, n, dot);
        break;
    case TN_LIST:
        f = walk_list(x, n, dot);
        break;
    case TN_BREAK:
        return FLOW_BREAK;
    case TN_CONTINUE:
        return FLOW_CONTINUE;
    default:
        break;
    }
    return x->err == OK ? f : FLOW_STOP;
}

static void run_template(TmplExec *x, const Tmpl *t, Tv data)
{
    x->tmpl = t;
    vec_push(&x->vars, (Var){S("$"), data});
    walk_list(x, t->body, data);
    if (x->err == OK && buf_over(x->out))
        exec_fail(x, NULL, E_TOO_LARGE, "output is over its limit");
}

Err tmpl_call(TmplExec *x, Str name, Tv data, Buf *out, Why *why)
{
    TNode n = {.kind = TN_TEMPLATE, .text = name, .source = name};
    Buf *before = x->out;
    Why *outer = x->why;
    x->out = out;
    x->why = why;
    const Tmpl *t = tmpl_find(x->set, name);
    Err e = OK;
    if (!t) {
        e = why_set(why, E_EXEC, "template \"%.*s\" not defined", (int)MIN(name.len, 100), name.at);
    } else {
        size_t scope = x->scope, vars = x->vars.len;
        const Tmpl *caller = x->tmpl;
        if (x->depth >= CALLS_DEPTH_MAX) {
            exec_fail(x, &n, E_LIMIT, "exceeded maximum template depth (%d)", CALLS_DEPTH_MAX);
        } else {
            x->depth++;
            x->scope = vars;
            run_template(x, t, data);
            x->depth--;
        }
        x->vars.len = vars;
        x->scope = scope;
        x->tmpl = caller;
        e = x->err;
        x->err = OK; /* the caller reports it as the function's error */
    }
    x->out = before;
    x->why = outer;
    return e;
}

static Err exec(const TmplSet *s, const Tmpl *t, Tv data, const TmplRun *run, Arena *arena, Buf *out,
                Why *why)
{
    static const TmplRun defaults;
    Why local;
    TmplExec x = {.set = s, .run = run ? run : &defaults, .arena = arena, .why = why ? why : &local};
    x.steps_max = x.run->steps_max ? x.run->steps_max : 1000000;
    Buf mine;
    buf_init(&mine, x.run->out_max ? x.run->out_max : 1 << 20);
    x.out = &mine;
    run_template(&x, t, data);
    if (x.err == OK)
        buf_str(out, buf_view(&mine)); /* all or nothing */
    buf_done(&mine);
    vec_done(&x.vars);
    return x.err;
}

Err tmpl_exec(TmplSet *s, Str name, Tv data, const TmplRun *run, Arena *arena, Buf *out, Why *why)
{
    const Tmpl *t = tmpl_find(s, name);
    if (!t)
        return why_set(why, E_NOT_FOUND, "template: no template \"%.*s\"", (int)MIN(name.len, 100), name.at);
    return exec(s, t, data, run, arena, out, why);
}

Err tmpl_exec_named(TmplSet *s, Str name, Str text, Tv data, const TmplRun *run, Arena *arena, Buf *out,
                    Why *why)
{
    if (str_find(text, S("{{")) == SIZE_MAX) { /* most fields of most rules */
        buf_str(out, text);
        return OK;
    }
    TmplSet once = {.arena = arena, .parent = s};
    Err e = tmpl_parse_into(&once, name, text, why);
    const Tmpl *t = e == OK ? strmap_find(&once.templates, name) : NULL;
    if (e == OK)
        e = exec(&once, t, data, run, arena, out, why);
    strmap_done(&once.templates);
    return e;
}

Err tmpl_exec_text(TmplSet *s, Str text, Tv data, const TmplRun *run, Arena *arena, Buf *out, Why *why)
{
    return tmpl_exec_named(s, S(""), text, data, run, arena, out, why);
}

Err tmpl_check(TmplSet *s, Str name, Str text, Arena *arena, Why *why)
{
    TmplSet once = {.arena = arena, .parent = s};
    Err e = tmpl_parse_into(&once, name, text, why);
    strmap_done(&once.templates);
    return e;
}
