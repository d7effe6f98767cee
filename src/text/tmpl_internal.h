/* tmpl_internal: the tree that tmpl_parse.c makes and tmpl_exec.c walks. */
#pragma once
#include "text/tmpl.h"

typedef enum TNodeKind {
    TN_LIST,
    TN_TEXT,
    TN_ACTION,
    TN_IF,
    TN_WITH,
    TN_RANGE,
    TN_TEMPLATE,
    TN_BREAK,
    TN_CONTINUE, /* what the text is made of */
    TN_PIPE,
    TN_COMMAND, /* inside {{ }} */
    TN_FIELD,
    TN_VARIABLE,
    TN_IDENT,
    TN_CHAIN,
    TN_DOT,
    TN_NIL,
    TN_CONST,
} TNodeKind;

typedef struct TNode TNode;
struct TNode {
    TNodeKind kind;
    u32 pos;       /* byte offset in the template's text, for messages */
    Str source;    /* the node as written, for messages */
    TNode **items; /* LIST: nodes; PIPE: commands; COMMAND: words; CHAIN: [0] */
    u32 len;
    Str *names; /* PIPE: variables declared or assigned; FIELD, CHAIN: fields; VARIABLE: name, then fields */
    u32 names_len;
    bool is_assign;             /* PIPE: = instead of := */
    Str text;                   /* TEXT; IDENT: function name; TEMPLATE: its name */
    Tv value;                   /* CONST */
    TNode *pipe, *body, *other; /* ACTION, IF, WITH, RANGE, TEMPLATE (pipe may be NULL) */
};

typedef struct Tmpl {
    Str name, text; /* text: for lines in messages */
    TNode *body;
} Tmpl;

struct TmplSet {
    const TmplFunc *funcs;
    u32 funcs_len;
    StrMap templates; /* name -> Tmpl * */
    Arena own;
    Arena *arena;          /* where trees live: own, or an execution's for one-off texts */
    const TmplSet *parent; /* one-off texts see their set's templates and functions */
};

const TmplFunc *tmpl_find_func(const TmplSet *s, Str name); /* the host's, then built-ins */
const Tmpl *tmpl_find(const TmplSet *s, Str name);
extern const TmplFunc tmpl_builtins[];
extern const u32 tmpl_builtins_len;
Err tmpl_parse_into(TmplSet *s, Str name, Str text, Why *why);

bool tmpl_step(TmplExec *x); /* counts; false past the limit */
/* Methods of Go's time.Time and time.Duration that templates call; false when there is none. */
bool tmpl_time_method(TmplExec *x, Tv on, Str name, const Tv *args, u32 n, Tv *ret, Why *why);
Err tv_equal(Tv a, Tv b, bool *ret, Why *why);
