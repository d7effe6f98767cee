/* rules_internal: what the files of the engine share: rules.c, rule_eval.c, rule_state.c, rule_api.c, rule_try.c,
 * rule_backtest.c, rule_yaml.c, ruler.c. */
#pragma once
#include "rules/rules.h"
#include "store/store.h"

typedef enum AlertState { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING } AlertState;
const char *alert_state_name(AlertState s);

/* One element of an alerting rule's result. Owned by its rule; label sets are one heap block each. */
typedef struct ActiveAlert {
    Labels labels, annotations;
    u64 hash;
    AlertState state;
    f64 value;
    i64 active_ms, fired_ms, resolved_ms, sent_ms, valid_ms, keep_since_ms; /* 0 = not */
    bool seen;                                                              /* in the evaluation under way */
    i64 settle_ms; /* restored after a long outage: absence means nothing before this time; 0 = not */
} ActiveAlert;

typedef struct PrevSeries {
    Labels labels; /* heap */
    u64 hash, hint;
    u64 round; /* evaluation that last returned it */
} PrevSeries;

typedef enum RuleHealth { HEALTH_UNKNOWN, HEALTH_OK, HEALTH_ERR } RuleHealth;
typedef struct RuleState {
    const Rule *rule;
    /* Under Rules.lock: */
    VEC(ActiveAlert *) alerts; /* sorted by nothing; found through by_hash */
    U64Map by_hash;            /* -> index in alerts */
    RuleHealth health;
    char *last_error;
    i64 took_ns, evaluated_ns; /* wall */
    /* The evaluating thread's own: */
    VEC(PrevSeries) prev;
    U64Map prev_by_hash;
    u64 round;
} RuleState;

typedef struct Group Group;
struct Group {
    Rules *owner;
    RuleSet *set; /* keeps g and its rules alive */
    const RuleGroup *g;
    i64 interval_ms, offset_ms, hash;
    RuleState *rules;
    Timer timer;
    i64 next_ms;           /* the tick to come; loop's */
    i64 due_ms;            /* the tick being evaluated */
    bool busy, is_stopped; /* under lock */
    Cancel cancel;
    i64 took_ns, evaluated_ns;
    Metric *m_interval, *m_iterations, *m_missed, *m_duration, *m_last_ts, *m_last_samples, *m_rules,
        *m_evals, *m_fails;
};

/* Series of rules that are gone, marked stale after two intervals unless some rule of today returns them. */
typedef struct Orphan {
    Labels labels;
    u64 hash;
    i64 due_ms, stamp_ms;
} Orphan;

typedef struct SavedAlert SavedAlert;
typedef struct StateLog StateLog;

struct Rules {
    RulesEnv env;
    Mutex lock;
    Cond idle;
    VEC(Group *) groups; /* sorted by file, then name */
    VEC(Orphan) orphans;
    RulesGlobals globals; /* strings in globals_arena */
    Arena *globals_arena;
    StateLog *log; /* NULL = no state_dir */
    i64 resend_ms;
    bool is_closing;
};

/* rule_state.c */
Err state_open(StateLog **ret, const RulesEnv *env, Why *why);
void state_close(StateLog *s);
i64 state_last_seen_ms(const StateLog *s); /* newest time in the log as it was found; 0 = empty */
/* Hands the saved alerts of a rule to fn and forgets them. */
void state_take(StateLog *s, Str file, Str group, const Rule *rule, void (*fn)(void *arg, ActiveAlert *a),
                void *arg);
/* Changes of one evaluation: put them into b under the lock, then write. */
void state_put(Buf *b, Str file, Str group, const Rule *rule, const ActiveAlert *a);
void state_del(Buf *b, Str file, Str group, const Rule *rule, const ActiveAlert *a);
void state_write(StateLog *s, Str changes, i64 now_ms);
/* True when it is time for state_snapshot (the caller holds the lock and passes everything that lives). */
bool state_wants_snapshot(StateLog *s);
void state_snapshot(StateLog *s, Rules *r, i64 now_ms);
void state_heartbeat(StateLog *s, i64 now_ms);

/* rule_eval.c */
/* One evaluation of a rule. */
typedef struct Eval {
    Rules *r;
    Group *group;
    RuleState *st;
    i64 ts_ms, stamp_ms; /* the tick, and what samples are stamped with */
    Arena arena;
    VEC(SeriesItem) items;
    VEC(u64) hashes; /* of items' labels */
    VEC(AlertNotice) notices;
    Buf changes;
    RuleTmplHost host;
} Eval;
/* What an alerting rule's query gave, with labels and annotations expanded. */
typedef struct Found {
    Labels labels, annotations;
    u64 hash;
    f64 value;
} Found;
Err eval_as_vector(PromResult *r, Arena *arena, Why *why); /* a scalar becomes one; E_EXEC for other types */
Err eval_found(Eval *e, const PromResult *res, Found **ret, u32 *ret_len, Why *why);
Err eval_step_alerts(Eval *e, const Found *found, u32 n, Why *why); /* the state machine; the lock is held */
void group_eval(Group *g, i64 ts_ms);                               /* whole group, on a pool thread */
void rule_state_done(RuleState *s);
void rule_state_forget_alert(RuleState *s, size_t i); /* frees and removes */
ActiveAlert *rule_state_find(RuleState *s, u64 hash);
void rule_state_add(RuleState *s, ActiveAlert *a);
void active_alert_free(ActiveAlert *a);
u64 rule_identity(const Rule *r); /* name and labels: which rule of a reload is the same */

/* rule_yaml.c: as Go's YAML writes a group, at `indent`; as an item of a list or by itself. */
void rule_group_yaml(Buf *out, const RuleGroup *g, bool as_item, int indent);
void rule_yaml_key(Buf *out, Str key); /* "key:" and the end of the line */

/* rule_file.c */
RuleSet *rule_set_parse_group(const char *file, Str yaml,
                              const RuleReadOptions *o); /* the text is one group */

/* rule_try.c */
void rules_try_routes(HttpServer *s, Rules *r);

/* rule_backtest.c */
typedef struct RuleThreshold {
    const Node *value; /* what is compared */
    const char *op;    /* as if the number stood on the right */
    f64 at;
} RuleThreshold;
/* The first comparison with a number, through brackets and the left sides of and, or and unless; false: there is none. */
bool rule_threshold(const Node *n, RuleThreshold *ret);
typedef struct BacktestFiring {
    Labels labels;                     /* valid during the call */
    i64 active_ms, starts_ms, ends_ms; /* ends 0 = it fires when the range ends */
    f64 first, last, peak;             /* peak: the lowest value where the rule is one with < or <= */
    i64 peak_ms;
} BacktestFiring;
typedef struct BacktestAsk {
    const RuleGroup *group; /* its limit and query_offset hold; NULL = none */
    const Rule *rule;
    i64 start_ms, end_ms, interval_ms; /* evaluated at start, start + interval, ... while not after end */
    Cancel *cancel;
    /* Both return false to stop. A firing is told when it has ended; at the end those that go on. */
    bool (*firing)(void *arg, const BacktestFiring *f);
    bool (*progress)(void *arg, f64 part);
    void *arg;
} BacktestAsk;
typedef struct BacktestTotals {
    u64 firings, pending_only, evaluations, failed; /* pending_only: became pending and never fired */
    i64 firing_ms, longest_pending_ms;
    bool truncated;
    char first_failure[sizeof((Why){0}.text)];
} BacktestTotals;
/* Errors: E_INVALID, E_PARSE, E_EXEC, E_LIMIT, E_TIMEOUT, E_CANCELED. An evaluation that fails is counted and the rest goes on. */
Err rules_backtest(Rules *r, const BacktestAsk *ask, BacktestTotals *ret, Why *why);
