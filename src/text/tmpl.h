/* tmpl: Go's text/template, as Prometheus rules and Alertmanager messages use it.
 *
 * Actions: pipelines with last-argument passing, range/else, with/else, if/else if/else, define, template, block, break,
 * continue, variables with scopes, trimming ({{- -}}), comments, parentheses, field chains, method-like fields, literals
 * (strings, raw strings, chars, numbers, true, false, nil). Built-ins: and or not eq ne lt le gt ge len index slice
 * print printf println html js urlquery call. Steps and output are bounded.
 *
 * A Value is a small tagged union; maps and lists live in the execution's arena; hosts add functions.
 */
#pragma once
#include "base/base.h"
#include "text/text.h"

typedef enum TvKind {
    TV_NIL,
    TV_BOOL,
    TV_INT,
    TV_F64,
    TV_STR,
    TV_LIST,
    TV_MAP,
    TV_TIME,
    TV_DURATION,
    TV_OBJECT,
    TV_SAFE_HTML
} TvKind;
typedef struct Tv Tv;
typedef struct TvPair TvPair;
typedef struct TvObject TvObject; /* host type with fields and methods */
struct Tv {
    TvKind kind;
    union {
        bool b;
        i64 i; /* TV_INT; TV_DURATION: ns */
        struct {
            i64 ns;           /* unix */
            const Zone *zone; /* NULL = UTC */
        } time;
        f64 f;
        Str s;
        struct {
            Tv *at;
            u32 len;
        } list;
        struct {
            TvPair *at; /* sorted by key */
            u32 len;
            bool is_any; /* Go's map[string]any: a missing key is <no value>, not "" */
        } map;
        const TvObject *obj;
    } u;
};
struct TvPair {
    Str key;
    Tv value;
};
typedef struct TmplExec TmplExec; /* one execution */
struct TvObject {
    const char *type_name; /* for messages: "KV" */
    void *data;
    /* Field or method by name with already evaluated arguments; false when there is none. A method that fails returns
     * true with why->err set. */
    bool (*get)(const TvObject *o, TmplExec *x, Str name, const Tv *args, u32 n, Tv *ret, Why *why);
    Tv as_value;                                /* what range, len, index, printing see (map or list) */
    void (*print)(const TvObject *o, Buf *out); /* NULL = as as_value prints */
};
typedef Err (*TmplFn)(TmplExec *x, void *arg, const Tv *args, u32 n, Tv *ret, Why *why);
typedef struct TmplFunc {
    const char *name;
    TmplFn fn;
    void *arg;
} TmplFunc;

typedef struct TmplSet TmplSet;                      /* named templates and functions */
TmplSet *tmpl_set_new(const TmplFunc *funcs, u32 n); /* copied; earlier entries win over built-ins */
void tmpl_set_free(TmplSet *s);
/* Parses text as template `name`, with its defines. Unknown functions are errors, as in Go. */
Err tmpl_parse(TmplSet *s, Str name, Str text, Why *why);
typedef struct TmplRun {
    u64 steps_max;         /* 0 = 1,000,000 */
    size_t out_max;        /* 0 = 1 MiB */
    bool missing_key_zero; /* missingkey=zero: Prometheus; else <no value> */
    bool html;             /* html/template-style escaping of pipelines (console templates, html receivers) */
    void *host;            /* for functions */
} TmplRun;
Err tmpl_exec(TmplSet *s, Str name, Tv data, const TmplRun *run, Arena *arena, Buf *out, Why *why);
/* Parses and runs a one-off text with the set's defines (receiver fields, rule annotations). */
Err tmpl_exec_text(TmplSet *s, Str text, Tv data, const TmplRun *run, Arena *arena, Buf *out, Why *why);
/* The same under a name that messages show. */
Err tmpl_exec_named(TmplSet *s, Str name, Str text, Tv data, const TmplRun *run, Arena *arena, Buf *out,
                    Why *why);
/* Only whether it parses; arena is for its tree. */
Err tmpl_check(TmplSet *s, Str name, Str text, Arena *arena, Why *why);
Arena *tmpl_arena(TmplExec *x);
void *tmpl_host(TmplExec *x);
/* For those who write functions: the number of arguments, a string argument, and a text as result (bounded by the arena it
 * lands in; b is done). */
Err tmpl_args(u32 have, u32 least, u32 most, const char *name, Why *why);
Err tmpl_need_str(Tv v, Str *ret, Why *why);
Tv tmpl_take(TmplExec *x, Buf *b);
void tv_print(Buf *out, Tv v);                               /* as Go's fmt %v */
void tv_printf(Buf *out, Str format, const Tv *args, u32 n); /* Go's fmt.Sprintf */
const char *tv_type_name(Tv v);                              /* "string", "float64", "map[string]string" */
bool tv_truth(Tv v);
Tv tv_plain(Tv v); /* an object as the map or list it stands for */
/* Key of a map or of an object that stands for one; TV_NIL and false when absent. */
bool tv_map_find(Tv map, Str key, Tv *ret);
/* Functions that call templates themselves (Prometheus's tmpl). */
Err tmpl_call(TmplExec *x, Str name, Tv data, Buf *out, Why *why);
bool tmpl_has(const TmplSet *s, Str name);
static inline Tv tv_nil(void)
{
    return (Tv){.kind = TV_NIL};
}
static inline Tv tv_list(Tv *at, u32 len)
{
    return (Tv){.kind = TV_LIST, .u.list = {at, len}};
}
static inline Tv tv_map(TvPair *at, u32 len)
{
    return (Tv){.kind = TV_MAP, .u.map = {at, len, false}};
}
static inline Tv tv_object(const TvObject *o)
{
    return (Tv){.kind = TV_OBJECT, .u.obj = o};
}
static inline Tv tv_str(Str s)
{
    return (Tv){.kind = TV_STR, .u.s = s};
}
static inline Tv tv_int(i64 i)
{
    return (Tv){.kind = TV_INT, .u.i = i};
}
static inline Tv tv_f64(f64 f)
{
    return (Tv){.kind = TV_F64, .u.f = f};
}
static inline Tv tv_bool(bool b)
{
    return (Tv){.kind = TV_BOOL, .u.b = b};
}
