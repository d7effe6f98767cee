/* Alert state on disk: an ingest log of changes, rewritten as a snapshot when it has grown.
 *
 * Record types: 1 changes, 3 heartbeat. A payload is a wall time (u64 ms), then entries: op (1 put, 2 delete), file,
 * group, rule name, rule identity, hash, and for a put the alert. A snapshot is change records that put everything
 * alive; what lies before it is trimmed. Replay is therefore "apply in order", whatever was cut off.
 */
#include "rules/rules_internal.h"

enum { REC_CHANGES = 1, REC_HEARTBEAT = 3, OP_PUT = 1, OP_DEL = 2 };
enum { CHUNK_BYTES = 1 << 20, SNAPSHOT_AFTER = 4 << 20, CHANGES_MAX = 512 << 20 };
#define HEARTBEAT_MS (60 * MS_PER_SEC)

struct SavedAlert {
    u64 rule;
    ActiveAlert *alert;
};

struct StateLog {
    ILog *log;
    StrMap saved; /* key: file \0 group \0 rule \0 identity+hash (raw) -> SavedAlert */
    i64 last_seen_ms, heartbeat_ms;
    _Atomic u64 since_snapshot;
    u64 live_bytes;
};

/* ---- encoding ---- */
static void put_u64(Buf *b, u64 v)
{
    buf_put(b, &v, 8);
}
static void put_str(Buf *b, Str s)
{
    put_u64(b, s.len);
    buf_str(b, s);
}
static void put_labels(Buf *b, Labels l)
{
    put_u64(b, l.len);
    for (u32 i = 0; i < l.len; i++) {
        put_str(b, l.at[i].name);
        put_str(b, l.at[i].value);
    }
}

typedef struct Reader {
    Str rest;
    bool bad;
} Reader;
static u64 get_u64(Reader *r)
{
    u64 v = 0;
    if (r->rest.len < 8) {
        r->bad = true;
        return 0;
    }
    memcpy(&v, r->rest.at, 8);
    r->rest = str_skip(r->rest, 8);
    return v;
}
static Str get_str(Reader *r)
{
    u64 n = get_u64(r);
    if (n > r->rest.len) {
        r->bad = true;
        return S("");
    }
    Str s = str_sub(r->rest, 0, (size_t)n);
    r->rest = str_skip(r->rest, (size_t)n);
    return s;
}
static Labels get_labels(Reader *r, Arena *a)
{
    u64 n = get_u64(r);
    if (n > r->rest.len / 16) {
        r->bad = true;
        return (Labels){0};
    }
    Label *at = arena_array(a, Label, n + 1);
    if (!at) {
        r->bad = true;
        return (Labels){0};
    }
    for (u64 i = 0; i < n; i++) {
        at[i].name = get_str(r);
        at[i].value = get_str(r);
    }
    return (Labels){at, (u32)n};
}

static void put_head(Buf *b, u64 op, Str file, Str group, const Rule *rule, u64 hash)
{
    put_u64(b, op);
    put_str(b, file);
    put_str(b, group);
    put_str(b, rule->name);
    put_u64(b, rule_identity(rule));
    put_u64(b, hash);
}

void state_put(Buf *b, Str file, Str group, const Rule *rule, const ActiveAlert *a)
{
    put_head(b, OP_PUT, file, group, rule, a->hash);
    put_u64(b, a->state);
    put_u64(b, f64_bits(a->value));
    put_u64(b, (u64)a->active_ms);
    put_u64(b, (u64)a->fired_ms);
    put_u64(b, (u64)a->resolved_ms);
    put_u64(b, (u64)a->sent_ms);
    put_u64(b, (u64)a->valid_ms);
    put_u64(b, (u64)a->keep_since_ms);
    put_labels(b, a->labels);
    put_labels(b, a->annotations);
}

void state_del(Buf *b, Str file, Str group, const Rule *rule, const ActiveAlert *a)
{
    put_head(b, OP_DEL, file, group, rule, a->hash);
}

/* ---- reading ---- */
static Str saved_key(Arena *a, Str file, Str group, Str rule, u64 identity, u64 hash)
{
    Buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, file);
    buf_char(&b, 0);
    buf_str(&b, group);
    buf_char(&b, 0);
    buf_str(&b, rule);
    buf_char(&b, 0);
    put_u64(&b, identity);
    put_u64(&b, hash);
    Str key = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return key;
}

static void saved_free(SavedAlert *s)
{
    if (!s)
        return;
    active_alert_free(s->alert);
    mem_free(s);
}

static bool read_entry(StateLog *s, Reader *r, Arena *arena)
{
    u64 op = get_u64(r);
    Str file = get_str(r), group = get_str(r), rule = get_str(r);
    u64 identity = get_u64(r), hash = get_u64(r);
    if (r->bad || (op != OP_PUT && op != OP_DEL))
        return false;
    Str key = saved_key(arena, file, group, rule, identity, hash);
    if (op == OP_DEL) {
        saved_free(strmap_del(&s->saved, key));
        return true;
    }
    ActiveAlert a = {.hash = hash, .state = (AlertState)(get_u64(r) % 3)};
    a.value = f64_from_bits(get_u64(r));
    a.active_ms = (i64)get_u64(r);
    a.fired_ms = (i64)get_u64(r);
    a.resolved_ms = (i64)get_u64(r);
    a.sent_ms = (i64)get_u64(r);
    a.valid_ms = (i64)get_u64(r);
    a.keep_since_ms = (i64)get_u64(r);
    Labels labels = get_labels(r, arena), annotations = get_labels(r, arena);
    if (r->bad)
        return false;
    SavedAlert *saved = mem_new(SavedAlert);
    saved->rule = identity;
    saved->alert = mem_new(ActiveAlert);
    *saved->alert = a;
    saved->alert->labels = labels_own(labels);
    saved->alert->annotations = labels_own(annotations);
    saved_free(strmap_put(&s->saved, key, saved));
    return true;
}

static Err on_record(void *arg, LogPos at, const LogRecord *rec, Why *why)
{
    StateLog *s = arg;
    Reader r = {.rest = rec->bytes};
    i64 when = (i64)get_u64(&r);
    s->last_seen_ms = MAX(s->last_seen_ms, when);
    if (rec->type != REC_CHANGES)
        return OK;
    Arena arena;
    arena_init(&arena, NULL, 256u << 20);
    Err e = OK;
    while (r.rest.len && e == OK)
        if (!read_entry(s, &r, &arena))
            e = why_set(why, E_CORRUPT,
                        "the alert state log has a record that cannot be read (position %llu)",
                        (unsigned long long)at.seq);
    arena_done(&arena);
    return e;
}

Err state_open(StateLog **ret, const RulesEnv *env, Why *why)
{
    TRY(vfs_mkdirs(env->vfs, env->state_dir, why));
    StateLog *s = mem_new(StateLog);
    ILogConfig c = {.vfs = env->vfs, .clock = env->clock, .dir = env->state_dir, .segment_bytes = 4 << 20};
    Err e = ilog_open(&s->log, &c, why);
    if (e == OK)
        e = ilog_read(s->log, 0, (LogPos){0}, on_record, s, why);
    if (e != OK) {
        state_close(s);
        why_prefix(why, "alert state in %s (moved away, the server starts and every `for` begins anew): ",
                   env->state_dir);
        return e;
    }
    *ret = s;
    return OK;
}

void state_close(StateLog *s)
{
    if (!s)
        return;
    if (s->log)
        ilog_close(s->log);
    size_t cursor = 0;
    for (StrMapSlot *slot; (slot = strmap_next(&s->saved, &cursor));)
        saved_free(slot->value);
    strmap_done(&s->saved);
    mem_free(s);
}

i64 state_last_seen_ms(const StateLog *s)
{
    return s->last_seen_ms;
}

void state_take(StateLog *s, Str file, Str group, const Rule *rule, void (*fn)(void *arg, ActiveAlert *a),
                void *arg)
{
    Arena arena;
    arena_init(&arena, NULL, 1 << 20);
    Str prefix = saved_key(&arena, file, group, rule->name, rule_identity(rule), 0);
    prefix.len -= 8; /* without the hash */
    VEC(Str) keys = {0};
    size_t cursor = 0;
    for (StrMapSlot *slot; (slot = strmap_next(&s->saved, &cursor));)
        if (slot->key.len == prefix.len + 8 && str_starts(slot->key, prefix))
            vec_push(&keys, mem_dup(slot->key));
    for (size_t i = 0; i < keys.len; i++) {
        SavedAlert *saved = strmap_del(&s->saved, keys.at[i]);
        fn(arg, saved->alert);
        mem_free(saved);
        mem_free((void *)keys.at[i].at);
    }
    vec_done(&keys);
    arena_done(&arena);
}

/* ---- writing ---- */
static void append(StateLog *s, u32 type, Str bytes, bool wait)
{
    LogRecord rec = {.type = type, .bytes = bytes};
    Why why = {0};
    s->since_snapshot += bytes.len;
    if (wait) {
        LogPos at;
        if (ilog_append_wait(s->log, &rec, &at, &why) != OK)
            LOG_ERROR("rules", "Alert state could not be written; it would be lost at a restart",
                      LF_WHY(&why));
    }
}

static void write_payload(StateLog *s, u32 type, Str entries, i64 now_ms)
{
    Buf b;
    buf_init(&b, entries.len + 64);
    put_u64(&b, (u64)now_ms);
    buf_str(&b, entries);
    append(s, type, buf_view(&b), true);
    buf_done(&b);
}

void state_write(StateLog *s, Str changes, i64 now_ms)
{
    /* Records hold 32 MiB; entries are cut at their bounds by the reader's own decoding. */
    while (changes.len > CHUNK_BYTES * 16) {
        Reader r = {.rest = changes};
        Arena scratch;
        arena_init(&scratch, NULL, 256u << 20);
        size_t used = 0;
        while (used < CHUNK_BYTES * 8 && r.rest.len) {
            u64 op = get_u64(&r);
            for (int i = 0; i < 3; i++)
                get_str(&r);
            get_u64(&r);
            get_u64(&r);
            if (op == OP_PUT) {
                for (int i = 0; i < 8; i++)
                    get_u64(&r);
                get_labels(&r, &scratch);
                get_labels(&r, &scratch);
                arena_reset(&scratch);
            }
            if (r.bad)
                break;
            used = changes.len - r.rest.len;
        }
        arena_done(&scratch);
        if (!used)
            return;
        write_payload(s, REC_CHANGES, str_sub(changes, 0, used), now_ms);
        changes = str_skip(changes, used);
    }
    if (changes.len)
        write_payload(s, REC_CHANGES, changes, now_ms);
    s->heartbeat_ms = now_ms;
}

void state_heartbeat(StateLog *s, i64 now_ms)
{
    if (now_ms - s->heartbeat_ms < HEARTBEAT_MS && now_ms >= s->heartbeat_ms)
        return;
    s->heartbeat_ms = now_ms;
    write_payload(s, REC_HEARTBEAT, S(""), now_ms);
}

bool state_wants_snapshot(StateLog *s)
{
    return s->since_snapshot > SNAPSHOT_AFTER + 4 * s->live_bytes;
}

void state_snapshot(StateLog *s, Rules *r, i64 now_ms)
{
    LogPos before;
    Why why = {0};
    if (ilog_tail(s->log, 0, &before) != OK)
        return;
    Buf b;
    buf_init(&b, CHANGES_MAX);
    for (size_t i = 0; i < r->groups.len; i++) {
        Group *g = r->groups.at[i];
        for (u32 k = 0; k < g->g->rules_len; k++)
            for (size_t n = 0; n < g->rules[k].alerts.len; n++)
                state_put(&b, g->g->file, g->g->name, g->rules[k].rule, g->rules[k].alerts.at[n]);
    }
    s->live_bytes = b.len;
    s->since_snapshot = 0;
    state_write(s, buf_view(&b), now_ms);
    write_payload(s, REC_HEARTBEAT, S(""), now_ms); /* never an empty log: it says when we last lived */
    buf_done(&b);
    if (ilog_health(s->log).err == OK && ilog_trim(s->log, 0, before, &why) != OK)
        LOG_WARN("rules", "Alert state log could not be trimmed", LF_WHY(&why));
}
