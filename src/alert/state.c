/* The state's alerts and its log: state.h. */
#include "alert/state.h"

#include <stdio.h>

enum { RECORD_BYTES = 1 << 20, COMPACT_BATCH = 256, LOG_BYTES_MIN = 16 << 20, LANE = 0 };

/* ---- bytes ---- */
static void put(Buf *b, const void *at, size_t n)
{
    buf_put(b, at, n);
}
static void put_i64(Buf *b, i64 v)
{
    put(b, &v, 8); /* little-endian machines only, as the outbox's facts */
}
static void put_str(Buf *b, Str s)
{
    u32 n = (u32)s.len;
    put(b, &n, 4);
    buf_str(b, s);
}
static void put_labels(Buf *b, Labels l)
{
    u32 n = l.len;
    put(b, &n, 4);
    for (u32 i = 0; i < l.len; i++) {
        put_str(b, l.at[i].name);
        put_str(b, l.at[i].value);
    }
}

void alert_state_in_init(StateIn *in, Str body, Arena *arena)
{
    *in = (StateIn){body, arena, false};
}

static const void *take(StateIn *in, size_t n)
{
    static const u8 zeros[16];
    if (in->rest.len < n) {
        in->bad = true;
        in->rest.len = 0;
        return n <= sizeof zeros ? zeros : NULL;
    }
    const void *at = in->rest.at;
    in->rest = str_skip(in->rest, n);
    return at;
}
u32 alert_state_in_u32(StateIn *in)
{
    u32 v;
    memcpy(&v, take(in, 4), 4);
    return v;
}
i64 alert_state_in_i64(StateIn *in)
{
    i64 v;
    memcpy(&v, take(in, 8), 8);
    return v;
}
Str alert_state_in_str(StateIn *in)
{
    u32 n = alert_state_in_u32(in);
    const char *at = n <= in->rest.len ? take(in, n) : NULL;
    if (!at)
        in->bad = true;
    return at ? str_of(at, n) : S("");
}
Labels alert_state_in_labels(StateIn *in)
{
    u32 n = alert_state_in_u32(in);
    if (n > in->rest.len / 8) {
        in->bad = true;
        return (Labels){0};
    }
    Label *at = arena_array(in->arena, Label, n + 1);
    for (u32 i = 0; at && i < n; i++) {
        at[i].name = alert_state_in_str(in);
        at[i].value = alert_state_in_str(in);
        if (i && str_cmp(at[i - 1].name, at[i].name) >= 0)
            in->bad = true; /* sorted, no name twice */
    }
    return (Labels){at, at ? n : 0};
}

static void encode_alert(Buf *b, const StoredAlert *x)
{
    put_i64(b, x->starts_ns);
    put_i64(b, x->ends_ns);
    put_i64(b, x->updated_ns);
    buf_char(b, (char)x->is_timeout);
    put_labels(b, x->labels);
    put_labels(b, x->annotations);
    put_str(b, str_c(x->generator_url));
}

/* ---- alerts ---- */
static void alert_free(StoredAlert *x)
{
    labels_disown(x->labels);
    labels_disown(x->annotations);
    mem_free(x->generator_url);
    mem_free(x->groups);
    mem_free(x);
}

static void set_alert(StoredAlert *x, const NewAlert *n)
{
    if (!labels_eq(x->annotations, n->annotations)) {
        labels_disown(x->annotations);
        x->annotations = labels_own(n->annotations);
    }
    if (!x->generator_url || !str_eq(str_c(x->generator_url), n->generator_url)) {
        mem_free(x->generator_url);
        x->generator_url = n->generator_url.len ? mem_strdup(n->generator_url) : NULL;
    }
    x->starts_ns = n->starts_ns;
    x->ends_ns = n->ends_ns;
    x->updated_ns = n->updated_ns;
    x->is_timeout = n->is_timeout;
    x->version++;
}

/* The younger one's annotations, the earlier start; an end that somebody named outlives a guess. Only where the two
 * overlap in time: otherwise it is another episode. */
static NewAlert merge(const StoredAlert *old, const NewAlert *n)
{
    NewAlert m = *n;
    bool overlaps = (n->ends_ns > old->starts_ns && n->ends_ns < old->ends_ns) ||
                    (n->starts_ns > old->starts_ns && n->starts_ns < old->ends_ns);
    if (!overlaps)
        return m;
    m.starts_ns = MIN(n->starts_ns, old->starts_ns);
    bool old_over = alert_is_resolved(old, n->updated_ns), new_over = n->ends_ns <= n->updated_ns;
    if (new_over ? old_over && old->ends_ns > n->ends_ns : old->ends_ns > n->ends_ns && !old->is_timeout)
        m.ends_ns = old->ends_ns;
    return m;
}

static StoredAlert *store(AlertState *s, const NewAlert *n, bool merged, bool *ret_is_new)
{
    u64 fp = labels_fingerprint(n->labels);
    StoredAlert *x = alert_state_alert(s, fp);
    if (ret_is_new)
        *ret_is_new = !x;
    if (!x) {
        x = mem_new(StoredAlert);
        x->fingerprint = fp;
        x->labels = labels_own(n->labels);
        u64map_put(&s->alerts, fp, (u64)(uintptr_t)x);
        set_alert(x, n);
        return x;
    }
    NewAlert m = merged ? *n : merge(x, n);
    set_alert(x, &m);
    return x;
}

StoredAlert *alert_state_put(AlertState *s, const NewAlert *n, bool *ret_is_new)
{
    StoredAlert *x = store(s, n, false, ret_is_new);
    if (s->record.len > RECORD_BYTES)
        alert_state_commit(s, false); /* its sync comes with the last one */
    encode_alert(&s->record, x);
    return x;
}

void alert_state_forget(AlertState *s, StoredAlert *x)
{
    u64 fp = x->fingerprint;
    alert_state_append(s, STATE_FORGET, str_of((const char *)&fp, 8), false);
    u64map_del(&s->alerts, fp);
    alert_free(x);
}

/* ---- ledger ---- */
static void ledger_put(AlertState *s, i64 at_ms, Str text)
{
    if (s->ledger.len < LEDGER_MAX) {
        vec_push(&s->ledger, (LedgerEntry){at_ms, mem_strdup(text)});
        return;
    }
    LedgerEntry *e = &s->ledger.at[s->ledger_next];
    s->ledger_next = (s->ledger_next + 1) % LEDGER_MAX;
    mem_free(e->text);
    *e = (LedgerEntry){at_ms, mem_strdup(text)};
}

static bool ledger_has(const AlertState *s, i64 at_ms, Str text)
{
    for (size_t i = s->ledger.len; i-- > 0;)
        if (s->ledger.at[i].at_ms == at_ms && str_eq(str_c(s->ledger.at[i].text), text))
            return true;
    return false;
}

static void encode_delivery(Buf *b, i64 at_ms, Str text)
{
    put_i64(b, at_ms);
    put_str(b, text);
}

void ledger_add(AlertState *s, i64 at_ms, Str integration, Str group_key, const char *state,
                const char *provider_id, const char *reason)
{
    Buf text, rec;
    buf_init(&text, 8192);
    buf_init(&rec, 9000);
    buf_printf(&text, "%.*s\n%.*s\n%s\n%s\n%s", STR_FMT(integration), (int)MIN(group_key.len, 4000),
               group_key.at, state, provider_id, reason);
    ledger_put(s, at_ms, buf_view(&text));
    encode_delivery(&rec, at_ms, buf_view(&text));
    alert_state_append(s, STATE_DELIVERY, buf_view(&rec), false);
    buf_done(&text);
    buf_done(&rec);
}

/* ---- the log ---- */
typedef struct Append {
    AlertState *s;
    u64 ticket;
} Append;

static void on_done(void *arg, Err e, LogPos at, bool duplicate)
{
    Append *a = arg;
    AlertState *s = a->s;
    mutex_lock(&s->wait_lock);
    s->done++;
    if (e != OK && a->ticket > s->failed) {
        s->failed = a->ticket;
        s->err = e;
    }
    cond_broadcast(&s->waited);
    mutex_unlock(&s->wait_lock);
    mem_free(a);
}

void alert_state_append(AlertState *s, u32 type, Str body, bool sync)
{
    if (!s->log)
        return;
    Append *a = mem_new(Append);
    mutex_lock(&s->wait_lock);
    *a = (Append){s, ++s->appended};
    s->log_bytes += body.len + 128;
    mutex_unlock(&s->wait_lock);
    ilog_append(s->log, &(LogRecord){.lane = LANE, .type = type, .bytes = body}, sync, on_done, a);
}

u64 alert_state_ticket(AlertState *s)
{
    mutex_lock(&s->wait_lock);
    u64 ticket = s->appended;
    mutex_unlock(&s->wait_lock);
    return ticket;
}

u64 alert_state_commit(AlertState *s, bool sync)
{
    if (s->record.len) {
        alert_state_append(s, STATE_ALERTS, buf_view(&s->record), sync);
        buf_clear(&s->record);
        if (s->record.cap > (256 << 10))
            buf_release(&s->record);
    }
    return alert_state_ticket(s);
}

Err alert_state_wait(AlertState *s, u64 after, u64 ticket, Why *why)
{
    mutex_lock(&s->wait_lock);
    while (s->done < ticket)
        cond_wait(&s->waited, &s->wait_lock);
    Err e = s->failed > after ? s->err : OK; /* a later failure counts too: the caller tries again */
    mutex_unlock(&s->wait_lock);
    if (e == OK)
        return OK;
    Why log_why = ilog_health(s->log).why;
    return why_set(why, e, "the alert log: %s", log_why.text[0] ? log_why.text : err_name(e));
}

/* ---- reading it at start ---- */
static void load_alerts(AlertState *s, StateIn *in)
{
    while (in->rest.len && !in->bad) {
        NewAlert n = {.starts_ns = alert_state_in_i64(in),
                      .ends_ns = alert_state_in_i64(in),
                      .updated_ns = alert_state_in_i64(in)};
        n.is_timeout = *(const char *)take(in, 1) == 1;
        n.labels = alert_state_in_labels(in);
        n.annotations = alert_state_in_labels(in);
        n.generator_url = alert_state_in_str(in);
        if (!in->bad && n.labels.len)
            store(s, &n, true, NULL);
    }
}

Err alert_state_load_record(AlertState *s, u32 type, Str body, Why *why)
{
    Arena arena;
    StateIn in;
    arena_init(&arena, NULL, 64 << 20);
    alert_state_in_init(&in, body, &arena);
    switch (type) {
    case STATE_ALERTS:
        load_alerts(s, &in);
        break;
    case STATE_FORGET:
        while (in.rest.len && !in.bad) {
            u64 fp = (u64)alert_state_in_i64(&in);
            StoredAlert *x = alert_state_alert(s, fp);
            if (x) {
                u64map_del(&s->alerts, fp);
                alert_free(x);
            }
        }
        break;
    case STATE_SILENCE:
    case STATE_SILENCE_GONE:
        silences_load(s, type, &in);
        break;
    case STATE_DELIVERY: {
        i64 at = alert_state_in_i64(&in);
        Str text = alert_state_in_str(&in);
        if (!in.bad && !ledger_has(s, at, text)) /* a compaction's copy, and what it was copied from */
            ledger_put(s, at, text);
        break;
    }
    default: /* of a later version */
        break;
    }
    arena_done(&arena);
    return in.bad ? why_set(why, E_CORRUPT, "a record of type %u cannot be read", type) : OK;
}

/* Put beside the log for whoever wants to know what it was; what it said is lost, what follows is not. */
static Err set_aside(AlertState *s, LogPos at, const LogRecord *r, const Why *reason, Why *why)
{
    char path[4096];
    Buf b;
    snprintf(path, sizeof path, "%s.unreadable-%llu", s->dir, (unsigned long long)at.seq);
    buf_init(&b, r->bytes.len + 4);
    buf_put(&b, &r->type, 4);
    buf_str(&b, r->bytes);
    Err e = vfs_write_file(s->vfs, path, buf_view(&b), why);
    buf_done(&b);
    if (e != OK)
        return e;
    s->unreadable++;
    metric_inc(s->m_unreadable);
    LOG_ERROR("alert", "A record of the alert log cannot be read and was set aside", LF_C("file", path),
              LF_WHY(reason));
    return OK;
}

static Err on_record(void *arg, LogPos at, const LogRecord *r, Why *why)
{
    AlertState *s = arg;
    Why reason = {0};
    s->log_bytes += r->bytes.len + 128;
    Err e = alert_state_load_record(s, r->type, r->bytes, &reason);
    if (e == E_CORRUPT)
        return set_aside(s, at, r, &reason, why);
    if (e != OK && why)
        *why = reason;
    return e;
}

void alert_state_init(AlertState *s)
{
    *s = (AlertState){0};
    mutex_init(&s->wait_lock, RANK_QUEUE);
    cond_init(&s->waited);
    buf_init(&s->record, 64 << 20);
    vec_push(&s->silences.lists, (__typeof__(s->silences.lists.at[0])){0});
    s->silences.retention_ns = 120 * 3600 * NS_PER_SEC;
}

Err alert_state_open(AlertState *s, Vfs *vfs, Clock *clock, const char *dir, Why *why)
{
    s->vfs = vfs;
    s->dir = mem_strdup(str_c(dir));
    s->m_unreadable =
        metric_counter("pharos_alert_log_unreadable_records_total",
                       "Records of the alert log that could not be read and were set aside.", "");
    TRY(ilog_open(&s->log, &(ILogConfig){.vfs = vfs, .clock = clock, .dir = dir, .segment_bytes = 8 << 20},
                  why));
    return ilog_read(s->log, LANE, (LogPos){0}, on_record, s, why);
}

void alert_state_close(AlertState *s)
{
    if (s->log)
        ilog_close(s->log);
    size_t cursor = 0;
    u64 key, value;
    while (u64map_next(&s->alerts, &cursor, &key, &value))
        alert_free((StoredAlert *)(uintptr_t)value);
    u64map_done(&s->alerts);
    silences_done(&s->silences);
    for (size_t i = 0; i < s->ledger.len; i++)
        mem_free(s->ledger.at[i].text);
    vec_done(&s->ledger);
    buf_done(&s->record);
    mem_free(s->dir);
    cond_done(&s->waited);
    mutex_done(&s->wait_lock);
}

/* ---- compaction ---- */
bool alert_state_wants_compaction(AlertState *s)
{
    mutex_lock(&s->wait_lock);
    bool yes = s->log && s->log_bytes > LOG_BYTES_MIN && s->log_bytes > 3 * s->live_bytes;
    mutex_unlock(&s->wait_lock);
    return yes;
}

static void append_and_clear(AlertState *s, u32 type, Buf *b, u64 *live)
{
    if (b->len)
        alert_state_append(s, type, buf_view(b), false);
    *live += b->len + 128;
    buf_clear(b);
}

/* One batch under the lock; what changes meanwhile is in the log by itself, behind. */
static Err compact_alerts(AlertState *s, Mutex *lock, const u64 *fps, size_t n, Buf *b, u64 *live, Why *why)
{
    for (size_t i = 0; i < n; i += COMPACT_BATCH) {
        mutex_lock(lock);
        u64 after = alert_state_commit(s, false);
        for (size_t k = i; k < n && k < i + COMPACT_BATCH; k++) {
            const StoredAlert *x = alert_state_alert(s, fps[k]);
            if (x)
                encode_alert(b, x);
        }
        append_and_clear(s, STATE_ALERTS, b, live);
        u64 ticket = alert_state_commit(s, false);
        mutex_unlock(lock);
        if (alert_state_wait(s, after, ticket, why) != OK) /* the log's queue is bounded */
            return why->err;
    }
    return OK;
}

static void compact_rest(AlertState *s, Mutex *lock, Buf *b, u64 *live)
{
    mutex_lock(lock);
    StrMapSlot *slot;
    for (size_t cursor = 0; (slot = strmap_next(&s->silences.by_id, &cursor));) {
        silence_encode(b, slot->value);
        append_and_clear(s, STATE_SILENCE, b, live);
    }
    for (size_t i = 0; i < s->ledger.len; i++) {
        const LedgerEntry *e = &s->ledger.at[(s->ledger_next + i) % s->ledger.len];
        encode_delivery(b, e->at_ms, str_c(e->text));
        append_and_clear(s, STATE_DELIVERY, b, live);
    }
    mutex_unlock(lock);
}

Err alert_state_compact(AlertState *s, Mutex *lock, Why *why)
{
    VEC(u64) fps = {0};
    LogPos from;
    u64 live = 0, before, after;
    Buf b;
    Why own = {0};
    why = why ? why : &own;
    /* First where the copy begins, then what is copied: what changes between the two is behind that place. */
    Err e = ilog_tail(s->log, LANE, &from);
    mutex_lock(lock);
    size_t cursor = 0;
    u64 key, value;
    while (u64map_next(&s->alerts, &cursor, &key, &value))
        vec_push(&fps, key);
    mutex_lock(&s->wait_lock);
    before = s->log_bytes;
    after = s->appended;
    mutex_unlock(&s->wait_lock);
    mutex_unlock(lock);
    buf_init(&b, 64 << 20);
    if (e == OK)
        e = compact_alerts(s, lock, fps.at, fps.len, &b, &live, why);
    if (e == OK) {
        compact_rest(s, lock, &b, &live);
        e = alert_state_wait(s, after, alert_state_ticket(s), why);
    }
    if (e == OK)
        e = ilog_sync(s->log, why);
    buf_done(&b);
    vec_done(&fps);
    mutex_lock(&s->wait_lock);
    if (e == OK)
        s->log_bytes -= MIN(before, s->log_bytes);
    s->live_bytes = e == OK ? live : s->log_bytes; /* after a failure: not again at once */
    mutex_unlock(&s->wait_lock);
    return e == OK ? ilog_trim(s->log, LANE, from, why) : e;
}
