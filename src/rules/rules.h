/* rules: recording and alerting rules, as Prometheus reads and evaluates them.
 *
 *     RuleSet *set = rule_set_load(vfs, patterns, n, &opts);   always a set; errors are inside: rule_set_verdict
 *     Rules *r; rules_open(&r, &env, &why);
 *     rules_apply(r, set, &globals);                           now and at every reload; unchanged groups go on
 *     rules_routes(server, r);
 *     rules_close(r);
 *
 * Evaluation. A group's rules run in file order at one timestamp, at a place inside the interval given by the hash of
 * file and name. A group that overruns skips ticks and counts them. Results are stamped with that time minus
 * query_offset and go to a SampleSink in one batch per rule; series that a rule stops returning get a staleness
 * marker. The clock is env.clock: tests move it and turn the loop.
 *
 * Alert state (active since when, firing, kept, resolved) is written to our own log at every change, before the
 * change is sent on, and read back at start: `for` survives a restart whatever its length. After an outage longer than
 * RULES_GAP_MS the clock of pending alerts is held back by the outage, since nobody saw the condition hold.
 *
 * Threads: rules_apply and rules_close from any thread but a pool's of ours; routes on pool threads.
 */
#pragma once
#include "base/base.h"
#include "config/config.h"
#include "metrics/promql/promql.h"
#include "model/model.h"
#include "net/net.h"
#include "text/tmpl.h"

/* ---- rule files (rule_file.c) ---- */
typedef struct Rule {
    bool is_alert;
    Str name;  /* record or alert */
    Str expr;  /* as written */
    Str query; /* as printed back: what the API shows */
    Node *tree;
    i64 for_ms, keep_firing_for_ms;
    Labels labels;      /* the group's and its own; for alerts, templates */
    Labels annotations; /* templates */
    Str file;
    u32 line;
} Rule;
typedef struct RuleGroup {
    Str name, file;
    i64 interval_ms; /* 0 = the global one */
    u64 limit;       /* 0 = none */
    i64 query_offset_ms;
    bool has_query_offset;
    Labels labels;
    const Rule *rules;
    u32 rules_len;
} RuleGroup;

typedef struct RuleReadOptions {
    u32 features;               /* PROMQL_... */
    bool ignore_unknown_fields; /* promtool's --ignore-unknown-fields */
} RuleReadOptions;
typedef struct RuleSet RuleSet; /* what the rule files say; immutable, reference-counted */
/* Patterns with * ? [ ] in any part; a pattern that matches nothing is fine, a plain name that is missing too (as in
 * Prometheus). Relative names start at the process's directory. Errors and warnings are kept in the set. */
RuleSet *rule_set_load(Vfs *vfs, const Str *patterns, u32 n, const RuleReadOptions *o);
RuleSet *rule_set_parse(const char *file, Str yaml, const RuleReadOptions *o); /* one file's text */
RuleSet *rule_set_ref(RuleSet *s);
void rule_set_unref(RuleSet *s);
Err rule_set_verdict(const RuleSet *s, Why *why);       /* OK, or E_INVALID with the first error */
void rule_set_print_issues(const RuleSet *s, Buf *out); /* one line each: file:line:col: what */
u32 rule_set_files(const RuleSet *s);
const RuleGroup *rule_set_groups(const RuleSet *s, u32 *ret_len); /* files in order, groups in file order */

/* ---- `pharos check rules`: prints what promtool prints (Checking FILE, SUCCESS, duplicates, lint). OK, E_INVALID for
 * errors, E_EXISTS for lint findings with lint_fatal. ---- */
typedef struct RulesCheckOptions {
    RuleReadOptions read;
    bool lint_none, lint_fatal;
} RulesCheckOptions;
Err rules_check(Vfs *vfs, const Str *files, u32 n, const RulesCheckOptions *o, Buf *out);

/* ---- `pharos test rules` (rule_test.c): promtool's unit tests of rule files. What goes to standard output and standard error there
 * is appended to out and err, a JUnit report to junit unless NULL. OK or E_INVALID. ---- */
typedef struct RulesTestOptions {
    RuleReadOptions read;
    const Regex *run; /* only groups of tests with such a name; NULL = all */
} RulesTestOptions;
Err rules_test(Vfs *vfs, const Str *files, u32 n, const RulesTestOptions *o, Buf *out, Buf *err, Buf *junit);

/* ---- where alerts go ---- */
typedef struct AlertNotice {
    Labels labels, annotations; /* labels without external labels: the sink adds its own */
    i64 starts_ms;              /* when it began to fire */
    i64 ends_ms;                /* resolved: when; firing: until when it is valid unless sent again */
    bool is_resolved;
    f64 value;
    Str generator_url;
} AlertNotice;
typedef struct AlertSink AlertSink;
struct AlertSink {
    /* On a pool thread; everything is borrowed. Must not block for long: queue it. */
    void (*send)(AlertSink *s, const AlertNotice *alerts, u32 n);
};

/* ---- the engine (rules.c and friends) ---- */
typedef struct RulesEnv {
    Loop *loop;
    Clock *clock;
    Pool *pool; /* evaluations; NULL = on the loop (tests) */
    PromSource *source;
    SampleSink *sink;
    AlertSink *alerts; /* NULL = nobody */
    Vfs *vfs;
    const char *state_dir; /* <data>/rules; NULL = no memory across restarts (tests) */
    PromEngineConfig prom;
    i64 resend_delay_ms; /* 0 = 1 min */
} RulesEnv;
/* What prometheus.yml's global block and flags say; borrowed by rules_apply, copied. */
typedef struct RulesGlobals {
    i64 interval_ms;     /* 0 = 1 min */
    i64 query_offset_ms; /* rule_query_offset */
    Str external_url;    /* "http://host:9090" without a slash at its end */
    Labels external_labels;
} RulesGlobals;

#define RULES_GAP_MS       (5 * 60 * MS_PER_SEC)
#define RULES_RETENTION_MS (15 * 60 * MS_PER_SEC) /* resolved alerts are kept and sent again so long */

typedef struct Rules Rules;
Err rules_open(Rules **ret, const RulesEnv *env, Why *why);
void rules_apply(Rules *r, RuleSet *set, const RulesGlobals *g); /* takes a reference of its own */
/* Several sets as one; no two groups may have both the file and the name in common. One call at a time. */
void rules_apply_all(Rules *r, RuleSet *const *sets, u32 n, const RulesGlobals *g);
RulesGlobals
rules_globals(const Rules *r); /* those in force; valid until the next apply, and may be given to it */
void rules_close(Rules *r);    /* waits for evaluations under way; nothing is resolved or marked stale */
/* GET /api/v1/rules, /api/v1/alerts; and for trying a rule out before it is one: POST /api/v1/rules/preview and
 * /api/v1/rules/backtest (docs/alerting.md). */
void rules_routes(HttpServer *s, Rules *r);

/* ---- rules that come by the API, Mimir's way (ruler.c): namespaces of groups, kept as files of a folder of ours and evaluated like
 * rule files. A change is on disk before it is in force, and in force before it is answered. Threads: any, one change at a time. ---- */
typedef struct Ruler Ruler;
typedef struct RulerEnv {
    Rules *rules; /* must outlive it */
    Vfs *vfs;
    const char *dir; /* made when missing */
    RuleReadOptions read;
} RulerEnv;
/* Reads what is there; a file that is broken stops it with its name. Nothing is in force before the first ruler_apply. */
Err ruler_open(Ruler **ret, const RulerEnv *env, Why *why);
void ruler_apply(Ruler *r, RuleSet *files,
                 const RulesGlobals *g); /* in place of rules_apply; references files */
/* The text of one group replaces the group of its name, or is added. E_INVALID: it is no group, or a rule file has the
 * namespace's name. */
Err ruler_set_group(Ruler *r, Str space, Str yaml, Why *why);
Err ruler_delete(Ruler *r, Str space, Str group, Why *why); /* group empty = the namespace. E_NOT_FOUND */
/* A group; or, with empty names, a map of namespaces to groups. E_NOT_FOUND with Mimir's words. */
Err ruler_yaml(Ruler *r, Str space, Str group, Buf *out, Why *why);
void ruler_routes(HttpServer *s, Ruler *r); /* /prometheus/config/v1/rules... */
void ruler_close(Ruler *r);                 /* NULL is fine; before rules_close */

/* The same answers without HTTP, for pages and tests: parameters as in the request. */
typedef struct RulesQuery {
    Str type;
    const Str *rule_names, *rule_groups, *files, *matches;
    u32 rule_names_len, rule_groups_len, files_len, matches_len;
    Str exclude_alerts, group_limit, group_next_token;
} RulesQuery;
Err rules_json(Rules *r, const RulesQuery *q, Buf *out, Why *why); /* the "data" object */
void rules_alerts_json(Rules *r, Buf *out);
u32 rules_count_firing(Rules *r);

/* Prometheus's template functions over a source of queries (rule_tmpl.c); alerting rules and tests use them. */
typedef struct RuleTmplHost {
    const PromEngineConfig *prom;
    PromSource *source;
    i64 now_ms; /* what queries and now see */
    Str external_url;
    Labels external_labels;
} RuleTmplHost;
/* Expands text with $labels, $value, $externalLabels, $externalURL set. A failure yields the text Prometheus puts there:
 * <error expanding template: ...>. */
Str rule_tmpl_expand(const RuleTmplHost *h, Str rule_name, Str text, Labels labels, f64 value, Arena *arena);
/* One of the functions that need no queries (title, toUpper, match, humanizeDuration, ...), for other templates. */
const TmplFunc *rule_tmpl_func(const char *name);
/* Only whether it parses. */
Err rule_tmpl_check(Str rule_name, Str text, Why *why);
