/* config: reading YAML that people wrote. Every error carries file, line, column, field path, what was expected and, for a
 * misspelt name, the nearest valid one; several errors are reported at once.
 *
 * libyaml's events become a tree of nodes with positions (depth <= 100, aliases expanded within a size limit). A module reads its own block by
 * asking for fields; what it did not ask for is, at conf_map_end, an unknown field. So the code that reads is the
 * schema.
 *
 *     ConfMap m;
 *     if (conf_map_begin(c, node, &m)) {
 *         job->name = conf_need_str(&m, "job_name");
 *         job->interval_ms = conf_duration(&m, "scrape_interval", global->interval_ms);
 *         conf_map_end(&m);
 *     }
 *
 * A reader never stops at the first error: getters report it to the Conf and return the default. conf_finish tells.
 * Strings and structs live in the Conf's arena: keep the Conf as long as what was read from it.
 *
 * Environment: ${NAME} and ${NAME:-default} are expanded in scalars of blocks read with expansion on (off inside relabel
 * rules, rule files, templates); $${ is literal; an unset name is a warning and expands to nothing.
 */
#pragma once
#include "base/base.h"
#include "model/model.h"
#include "net/net.h"

typedef struct Conf Conf;
typedef enum ConfKind { CONF_NULL, CONF_SCALAR, CONF_LIST, CONF_MAP } ConfKind;
typedef struct ConfNode ConfNode;
struct ConfNode {
    ConfKind kind;
    bool is_quoted; /* a scalar in quotes is a string, whatever it looks like */
    u32 line, col;
    Str text;        /* CONF_SCALAR, as written */
    ConfNode *items; /* CONF_LIST: items; CONF_MAP: values */
    ConfNode *keys;  /* CONF_MAP */
    u32 len;
    const ConfNode *parent; /* for field paths */
    u32 index;
};

typedef struct ConfIssue {
    Why why; /* file, line, col, text (with the field path in it) */
    bool is_warning;
} ConfIssue;

/* Environment lookup; the default reads the process environment, overlaid on .env when loaded. */
typedef Str (*ConfEnvFn)(void *arg, Str name, bool *ret_set);

Conf *conf_new(const char *file); /* file: for messages */
void conf_free(Conf *c);
void conf_set_env(Conf *c, ConfEnvFn fn, void *arg);
void conf_set_expand(Conf *c, bool expand); /* what maps begin with: off for rule files and templates */
void conf_set_legacy_names(Conf *c,
                           bool legacy); /* label names must be [a-zA-Z_][a-zA-Z0-9_]* (default: any UTF-8) */
bool conf_legacy_names(const Conf *c);
/* One document (several: conf_parse_docs). Syntax errors are issues too; false when there is no usable tree. */
bool conf_parse(Conf *c, Str yaml);     /* further documents are left unread, with a warning */
u32 conf_parse_docs(Conf *c, Str yaml); /* number of documents; then conf_doc(c, i) */
const ConfNode *conf_root(Conf *c);
const ConfNode *conf_doc(Conf *c, u32 i);
Arena *conf_arena(Conf *c);
Str conf_dir(Conf *c); /* directory of the file: relative paths start here */
void conf_error(Conf *c, const ConfNode *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void conf_warn(Conf *c, const ConfNode *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const ConfIssue *conf_issues(Conf *c, u32 *ret_len);
/* OK when there is no error; else E_INVALID, why = the first, and the rest joined below it (up to 20 lines). */
Err conf_finish(Conf *c, Why *why);
void conf_print_issues(
    Conf *c, Buf *out); /* "file:12:3: scrape_configs[0].job_nam: unknown field, did you mean job_name?" */
/* Field path of a node: "scrape_configs[2].static_configs[0].targets". */
void conf_path(const ConfNode *n, Buf *out);

/* ---- reading maps ----
 * As Go's decoder does, an explicit null is the zero value: "" for a string, 0 for a number, false for a bool, and for a
 * block the same as leaving it out. A scalar in quotes is a string, never a number or a bool. */
#define CONF_ASKED_MAX 128
typedef struct ConfMap {
    Conf *conf;
    const ConfNode *node;      /* NULL: an absent block; every getter gives its default */
    Str asked[CONF_ASKED_MAX]; /* names asked for: what is not among them is unknown */
    u32 asked_len;
    bool expand; /* environment expansion; starts as conf_set_expand says (on) */
} ConfMap;
bool conf_map_begin(Conf *c, const ConfNode *n,
                    ConfMap *ret); /* false (and an error) when it is not a map; null = empty map */
void conf_map_end(ConfMap *m);     /* reports unknown and duplicate fields */
const ConfNode *conf_get(ConfMap *m, const char *key); /* NULL when absent; marks as asked */
bool conf_has(const ConfMap *m, const char *key);      /* present and not null; does not mark */
Str conf_str(ConfMap *m, const char *key, Str dflt);
Str conf_need_str(ConfMap *m,
                  const char *key); /* an error when absent or empty as written; ${NAME} may still give "" */
Secret conf_secret(ConfMap *m, const char *key);
bool conf_bool(ConfMap *m, const char *key, bool dflt);
i64 conf_i64(ConfMap *m, const char *key, i64 dflt, i64 min, i64 max);
f64 conf_f64(ConfMap *m, const char *key, f64 dflt);
i64 conf_duration(ConfMap *m, const char *key, i64 dflt_ms); /* Prometheus duration */
u64 conf_bytes(ConfMap *m, const char *key, u64 dflt);
u32 conf_enum(ConfMap *m, const char *key, const char *const *names, u32 n, u32 dflt); /* index into names */
Labels conf_labels(ConfMap *m, const char *key); /* map of label names to values; sorted; names checked */
u32 conf_strs(ConfMap *m, const char *key, const Str **ret);            /* list of scalars */
u32 conf_list(ConfMap *m, const char *key, const ConfNode **ret_items); /* items of a list; 0 when absent */
void conf_ignore(ConfMap *m, const char *key);                          /* known, not used */
Str conf_scalar(Conf *c, const ConfNode *n, bool expand);               /* text of a scalar node, expanded */
Str conf_file_path(Conf *c, Str path); /* relative to the file's directory, NUL-terminated */
void conf_mark_secret_output(Conf *c,
                             const ConfNode *n); /* conf_print_yaml hides it; conf_secret does this itself */
u32 conf_error_count(const Conf *c);
/* Scalars of items, for lists a module walks itself. Each reports at the node. */
bool conf_node_is_null(const ConfNode *n); /* NULL, an empty value, ~ or null */
Labels conf_node_labels(Conf *c, const ConfNode *n, bool expand);
bool conf_parse_bytes(
    Str s, u64 *ret); /* "512MB" (1 MB = 1024 * 1024 as in Prometheus), "1.5GiB", "0"; no bare numbers */
/* ${NAME}, ${NAME:-default} and $${ in s; an unset name is a warning at the node. */
Str conf_expand(Conf *c, const ConfNode *at, Str s);
Str conf_expand_quiet(Conf *c, Str s); /* without the warning */

/* ---- shared blocks (blocks.c) ---- */
void conf_tls(ConfMap *m, const char *key, TlsConfig *ret);
/* The inline http_config fields (basic_auth, authorization, bearer_token*, oauth2, tls_config, proxy_*, ...). The
 * rules of Prometheus apply: at most one of the kinds of authentication, no Authorization in http_headers. */
void conf_http_client(ConfMap *m, HttpClientConfig *ret);
RelabelRules conf_relabel(ConfMap *m, const char *key); /* *_relabel_configs; no expansion inside */
/* True for a header name the client sets by itself (Authorization, Host, Content-*, ...): not allowed in `headers`. */
bool conf_header_is_reserved(Str name);

/* ---- .env (dotenv.c): KEY=value, export, quotes, comments; later lines win; the process environment wins over it ---- */
Err dotenv_load(Vfs *v, const char *path, Why *why); /* into an overlay that conf and dotenv_get read */
Str dotenv_get(const char *name);                    /* process environment, then overlay; empty when unset */

/* The parsed file printed back as /api/v1/status/config shows it: comments gone, defaults not added, secrets as <secret>. */
void conf_print_yaml(Conf *c, Buf *out);
