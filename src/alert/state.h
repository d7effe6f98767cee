/* state: the alerts and silences there are, in memory and in a log of their own (docs/formats/alert-state.md).
 *
 * A change is encoded under the alerter's lock, appended under it too (so that the log has the order of memory), and is
 * durable when alert_state_wait returns. Nothing else is stored: now and then everything that lives is appended once more at
 * the end of the log and what is before that is trimmed, a few hundred entries at a time.
 *
 * Threads: every call but alert_state_wait, alert_state_compact and alert_state_close is made with the alerter's lock held.
 */
#pragma once
#include "alert/alert_internal.h"

typedef struct AlertGroup AlertGroup;
typedef struct StoredAlert {
    Labels labels, annotations; /* heap, by labels_own */
    char *generator_url;        /* heap; NULL = none */
    u64 fingerprint;
    i64 starts_ns, ends_ns, updated_ns;
    AlertGroup **groups;                 /* where it is a member; heap */
    u32 groups_len, routes_len, version; /* routes_len: in how many groups it belongs */
    bool is_timeout;                     /* ends_ns is a guess of ours */
} StoredAlert;
static inline bool alert_is_resolved(const StoredAlert *x, i64 now_ns)
{
    return x->ends_ns <= now_ns;
}

typedef enum SilenceState { SILENCE_ACTIVE, SILENCE_PENDING, SILENCE_EXPIRED } SilenceState;
enum { SILENCE_ID_LEN = 36 };
typedef struct Silence {
    char id[SILENCE_ID_LEN + 1];
    MatchList matchers; /* one heap block with all strings: see silence_new */
    Str created_by, comment;
    Labels annotations;
    i64 starts_ns, ends_ns, updated_ns;
    u64 bucket; /* where the index has it; 0 = among those without an equality */
    bool is_indexed;
} Silence;
static inline SilenceState silence_state(const Silence *s, i64 now_ns)
{
    return now_ns < s->starts_ns ? SILENCE_PENDING : now_ns < s->ends_ns ? SILENCE_ACTIVE : SILENCE_EXPIRED;
}

/* One delivery, as the ledger shows it. */
typedef struct LedgerEntry {
    i64 at_ms;
    char *text; /* heap: integration \n group key \n state \n provider id \n reason */
} LedgerEntry;
enum { LEDGER_MAX = 1000 };

typedef struct Silences {
    StrMap by_id;                             /* Silence * */
    StrMap regexes;                           /* pattern -> what its silences share */
    U64Map buckets;                           /* hash of an equality -> index + 1 in lists */
    VEC(struct { VEC(Silence *) of; }) lists; /* [0] = those without an equality */
    i64 retention_ns;
    u32 silences_max;
    u64 bytes_max;
} Silences;

typedef struct AlertState {
    Vfs *vfs;
    char *dir;      /* of the log */
    u64 unreadable; /* records that were set aside when it was opened */
    Metric *m_unreadable;
    ILog *log;
    U64Map alerts; /* fingerprint -> StoredAlert * */
    Silences silences;
    VEC(LedgerEntry) ledger; /* a ring once full */
    u32 ledger_next;
    Buf record;
    Mutex wait_lock; /* guards what follows */
    Cond waited;
    u64 appended, done, failed; /* tickets: given out, come back, and the last one that came back with err */
    Err err;
    u64 log_bytes, live_bytes; /* since the last compaction; guess of what a compaction writes */
} AlertState;

/* Reads the log. A record that cannot be read is put into a file DIR.unreadable-SEQ, said and counted; the others hold. */
Err alert_state_open(AlertState *s, Vfs *vfs, Clock *clock, const char *dir, Why *why);
void alert_state_close(AlertState *s);

/* A reader over a record. Past the end it yields zeros and sets bad. */
typedef struct StateIn {
    Str rest;
    Arena *arena;
    bool bad;
} StateIn;
void alert_state_in_init(StateIn *in, Str body, Arena *arena);
u32 alert_state_in_u32(StateIn *in);
i64 alert_state_in_i64(StateIn *in);
Str alert_state_in_str(StateIn *in);
Labels alert_state_in_labels(StateIn *in);
void alert_state_init(AlertState *s); /* without a log: what alert_state_open begins with */
Err alert_state_load_record(AlertState *s, u32 type, Str body, Why *why);

/* ---- alerts ---- */
static inline StoredAlert *alert_state_alert(const AlertState *s, u64 fingerprint)
{
    u64 *at = u64map_find(&s->alerts, fingerprint);
    return at ? (StoredAlert *)(uintptr_t)*at : NULL;
}
typedef struct NewAlert {
    Labels labels, annotations; /* borrowed */
    Str generator_url;
    i64 starts_ns, ends_ns, updated_ns;
    bool is_timeout;
} NewAlert;
/* Merged with what is there, as Alertmanager does. ret_is_new may be NULL. */
StoredAlert *alert_state_put(AlertState *s, const NewAlert *n, bool *ret_is_new);
void alert_state_forget(AlertState *s, StoredAlert *x); /* frees it */

/* ---- silences (silences.c) ---- */
typedef struct NewSilence {
    Str id; /* empty = a new one */
    const Matcher *matchers;
    u32 matchers_len;
    Str created_by, comment;
    Labels annotations;
    i64 starts_ns, ends_ns;
} NewSilence;
/* Creates, or updates in place where history allows, else expires the old one and creates. E_NOT_FOUND: no such id. */
Err silences_set(AlertState *s, const NewSilence *n, i64 now_ns, Silence **ret, Why *why);
Err silences_expire(AlertState *s, Str id, i64 now_ns, Why *why);
Silence *silences_find(const AlertState *s, Str id);
/* Active ones that match, in order of id; how many (ret holds at most max). */
u32 silences_matching(const AlertState *s, Labels alert, i64 now_ns, const Silence **ret, u32 max);
void silences_collect(AlertState *s, i64 now_ns); /* forgets those long over */
bool silence_matches(const Silence *x, Labels alert);
int silence_order(const void *a, const void *b); /* Silence *: as the API lists them, at silence_order_now */
extern _Thread_local i64 silence_order_now;
void silences_load(AlertState *s, u32 type, StateIn *in);
void silence_encode(Buf *out, const Silence *x);
void silences_done(Silences *s);

/* ---- ledger ---- */
void ledger_add(AlertState *s, i64 at_ms, Str integration, Str group_key, const char *state,
                const char *provider_id, const char *reason);

/* ---- the log ---- */
enum { STATE_ALERTS = 1, STATE_FORGET = 2, STATE_SILENCE = 3, STATE_SILENCE_GONE = 4, STATE_DELIVERY = 5 };
void alert_state_append(AlertState *s, u32 type, Str body, bool sync);
u64 alert_state_ticket(AlertState *s); /* of the last append */
/* Sends what alert_state_put gathered as one record; returns its ticket. */
u64 alert_state_commit(AlertState *s, bool sync);
/* OK: all appends after ticket `after` up to `ticket` are durable (those with sync) or written. */
Err alert_state_wait(AlertState *s, u64 after, u64 ticket, Why *why);
/* Blocks; call without the lock, from one thread at a time. */
bool alert_state_wants_compaction(AlertState *s);
Err alert_state_compact(AlertState *s, Mutex *lock, Why *why);
