/* Silences: what they match, how they change, and the index that keeps 10,000 of them cheap.
 *
 * A silence is indexed under one of its equality matchers, the rarest so far; an alert looks only at the silences that
 * stand under one of its own labels, and at those without any equality. */
#include "alert/meters.h"
#include "alert/state.h"

#include <stdio.h>

enum { MATCHERS_MAX = 256, TEXT_MAX = 64 << 10, ANNOTATIONS_MAX = 256 };

/* ---- compiled once: ten thousand silences say "page|warn" ---- */
typedef struct SharedRegex {
    Matcher of;
    u32 refs;
} SharedRegex;

static Err share_regex(Silences *s, Matcher *m, Why *why)
{
    SharedRegex *r = strmap_find(&s->regexes, m->value);
    if (!r) {
        Matcher fresh = {0};
        TRY(match_init(&fresh, MATCH_RE, S(""), m->value, why));
        r = mem_new(SharedRegex);
        r->of = (Matcher){.op = MATCH_RE, .re = fresh.re};
        strmap_put(&s->regexes, m->value, r);
    }
    r->refs++;
    m->re = r->of.re;
    return OK;
}

static void unshare_regex(Silences *s, const Matcher *m)
{
    SharedRegex *r = m->re ? strmap_find(&s->regexes, m->value) : NULL;
    if (!r || --r->refs)
        return;
    strmap_del(&s->regexes, m->value);
    matcher_done(&r->of);
    mem_free(r);
}

/* ---- one silence ---- */
static void silence_free(Silences *s, Silence *x)
{
    for (u32 i = 0; i < x->matchers.len; i++)
        unshare_regex(s, &x->matchers.at[i]);
    mem_free(x->matchers.at);
    mem_free((void *)x->created_by.at);
    mem_free((void *)x->comment.at);
    labels_disown(x->annotations);
    mem_free(x);
}

/* Matchers and their strings in one block. */
static Err own_matchers(Silences *s, Silence *x, const Matcher *from, u32 n, Why *why)
{
    size_t bytes = n * sizeof(Matcher);
    for (u32 i = 0; i < n; i++)
        bytes += from[i].name.len + from[i].value.len;
    x->matchers.at = mem_alloc(bytes ? bytes : 1);
    char *text = (char *)(x->matchers.at + n);
    for (u32 i = 0; i < n; i++) {
        Str name = str_of(text, from[i].name.len), value = str_of(text + name.len, from[i].value.len);
        if (name.len)
            memcpy(text, from[i].name.at, name.len);
        if (value.len)
            memcpy(text + name.len, from[i].value.at, value.len);
        text += name.len + value.len;
        Matcher *m = &x->matchers.at[i];
        *m = (Matcher){.name = name, .value = value, .op = from[i].op};
        bool regex = m->op == MATCH_RE || m->op == MATCH_NRE;
        Err e = regex ? share_regex(s, m, why) : OK;
        if (e != OK) {
            why_prefix(why, "invalid regular expression \"%.*s\": ", (int)MIN(value.len, 200), value.at);
            return e;
        }
        x->matchers.len++;
    }
    return OK;
}

static Silence *silence_new(Silences *s, const NewSilence *n, Why *why)
{
    Silence *x = mem_new(Silence);
    if (own_matchers(s, x, n->matchers, n->matchers_len, why) != OK) {
        silence_free(s, x);
        return NULL;
    }
    snprintf(x->id, sizeof x->id, "%.*s", STR_FMT(n->id));
    x->created_by = mem_dup(n->created_by);
    x->comment = mem_dup(n->comment);
    x->annotations = labels_own(n->annotations);
    x->starts_ns = n->starts_ns;
    x->ends_ns = n->ends_ns;
    return x;
}

static void new_id(char *ret)
{
    u8 b[16];
    random_bytes(b, sizeof b);
    b[6] = (u8)((b[6] & 0x0f) | 0x40);
    b[8] = (u8)((b[8] & 0x3f) | 0x80);
    snprintf(ret, SILENCE_ID_LEN + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

bool silence_matches(const Silence *x, Labels alert)
{
    return matchers_match((Matchers){x->matchers.at, x->matchers.len}, alert);
}

static u64 silence_bytes(const Silence *x)
{
    u64 n = 128 + x->created_by.len + x->comment.len;
    for (u32 i = 0; i < x->matchers.len; i++)
        n += x->matchers.at[i].name.len + x->matchers.at[i].value.len + 8;
    for (u32 i = 0; i < x->annotations.len; i++)
        n += x->annotations.at[i].name.len + x->annotations.at[i].value.len;
    return n;
}

/* ---- the index ---- */
static u64 bucket_of(Str name, Str value)
{
    u64 h = hash_bytes(value.at, value.len, hash_str(name));
    return h ? h : 1;
}

static u64 list_of(const Silences *s, u64 bucket)
{
    u64 *at = bucket ? u64map_find(&s->buckets, bucket) : NULL;
    return at ? *at : bucket ? UINT64_MAX : 0;
}

static void index_add(Silences *s, Silence *x)
{
    u64 best = 0;
    size_t best_len = SIZE_MAX;
    for (u32 i = 0; i < x->matchers.len; i++) {
        const Matcher *m = &x->matchers.at[i];
        if (m->op != MATCH_EQ || !m->value.len)
            continue;
        u64 bucket = bucket_of(m->name, m->value), list = list_of(s, bucket);
        size_t len = list == UINT64_MAX ? 0 : s->lists.at[list].of.len;
        if (len < best_len) {
            best = bucket;
            best_len = len;
        }
    }
    u64 list = list_of(s, best);
    if (list == UINT64_MAX) {
        list = s->lists.len;
        vec_push(&s->lists, (__typeof__(s->lists.at[0])){0});
        u64map_put(&s->buckets, best, list);
    }
    vec_push(&s->lists.at[list].of, x);
    x->bucket = best;
    x->is_indexed = true;
}

static void index_del(Silences *s, Silence *x)
{
    u64 list = list_of(s, x->bucket);
    if (!x->is_indexed || list == UINT64_MAX)
        return;
    x->is_indexed = false;
    for (size_t i = 0; i < s->lists.at[list].of.len; i++)
        if (s->lists.at[list].of.at[i] == x) {
            s->lists.at[list].of.at[i] = s->lists.at[list].of.at[--s->lists.at[list].of.len];
            break;
        }
    /* An empty list keeps its place: the next silence on that label takes it. */
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(const Silence *const *)a)->id, (*(const Silence *const *)b)->id);
}

static void look_in(const Silences *s, u64 list, Labels alert, i64 now_ns, const Silence **ret, u32 max,
                    u32 *n)
{
    for (size_t i = 0; i < s->lists.at[list].of.len && *n < max; i++) {
        const Silence *x = s->lists.at[list].of.at[i];
        if (silence_state(x, now_ns) == SILENCE_ACTIVE && silence_matches(x, alert))
            ret[(*n)++] = x;
    }
}

u32 silences_matching(const AlertState *st, Labels alert, i64 now_ns, const Silence **ret, u32 max)
{
    const Silences *s = &st->silences;
    u32 n = 0;
    look_in(s, 0, alert, now_ns, ret, max, &n);
    for (u32 i = 0; s->buckets.len && i < alert.len; i++) {
        u64 *list = u64map_find(&s->buckets, bucket_of(alert.at[i].name, alert.at[i].value));
        if (list)
            look_in(s, *list, alert, now_ns, ret, max, &n);
    }
    metric_inc(alert_meters()->silence_queries);
    if (n > 1)
        qsort(ret, n, sizeof *ret, by_id);
    return n;
}

/* ---- changing ---- */
static bool matches_empty(const Matcher *m)
{
    return m->op == MATCH_EQ ? !m->value.len : m->op == MATCH_RE && regex_match(m->re, S(""));
}

static Err validate(const Silence *x, Why *why)
{
    bool all_empty = true;
    if (!x->matchers.len)
        return why_set(why, E_INVALID, "invalid silence: at least one matcher required");
    if (x->matchers.len > MATCHERS_MAX || x->annotations.len > ANNOTATIONS_MAX || x->comment.len > TEXT_MAX ||
        x->created_by.len > TEXT_MAX)
        return why_set(why, E_INVALID,
                       "invalid silence: at most %d matchers, %d annotations, texts of %d bytes",
                       MATCHERS_MAX, ANNOTATIONS_MAX, TEXT_MAX);
    for (u32 i = 0; i < x->matchers.len; i++) {
        const Matcher *m = &x->matchers.at[i];
        if (!match_label_name_ok(m->name))
            return why_set(why, E_INVALID,
                           "invalid silence: invalid label matcher %u: invalid label name \"%.*s\"", i,
                           (int)MIN(m->name.len, 200), m->name.at);
        if (!str_is_utf8(m->value))
            return why_set(why, E_INVALID, "invalid silence: invalid label matcher %u: invalid label value",
                           i);
        all_empty &= matches_empty(m);
    }
    if (all_empty)
        return why_set(why, E_INVALID,
                       "invalid silence: at least one matcher must not match the empty string");
    if (x->ends_ns < x->starts_ns)
        return why_set(why, E_INVALID, "invalid silence: end time must not be before start time");
    return OK;
}

static bool same_matchers(const Silence *a, const Silence *b)
{
    if (a->matchers.len != b->matchers.len)
        return false;
    for (u32 i = 0; i < a->matchers.len; i++)
        if (match_order(&a->matchers.at[i], &b->matchers.at[i]) != 0)
            return false;
    return true;
}

/* May a become b without changing what was silenced in the past? */
static bool can_update(const Silence *a, const Silence *b, i64 now_ns)
{
    if (!same_matchers(a, b))
        return false;
    switch (silence_state(a, now_ns)) {
    case SILENCE_ACTIVE:
        return a->starts_ns / NS_PER_SEC == b->starts_ns / NS_PER_SEC && b->ends_ns >= now_ns;
    case SILENCE_PENDING:
        return b->starts_ns >= now_ns;
    case SILENCE_EXPIRED:
        break;
    }
    return false;
}

static void log_silence(AlertState *s, const Silence *x)
{
    Buf b;
    buf_init(&b, 4 << 20);
    silence_encode(&b, x);
    alert_state_append(s, STATE_SILENCE, buf_view(&b), true);
    buf_done(&b);
}

static void keep(AlertState *s, Silence *x)
{
    Silence *old = strmap_put(&s->silences.by_id, str_c(x->id), x);
    if (old) {
        index_del(&s->silences, old);
        silence_free(&s->silences, old);
    }
    index_add(&s->silences, x);
}

static void expire(AlertState *s, Silence *x, i64 now_ns)
{
    SilenceState state = silence_state(x, now_ns);
    if (state == SILENCE_EXPIRED)
        return;
    if (state == SILENCE_PENDING)
        x->starts_ns = now_ns;
    x->ends_ns = x->updated_ns = now_ns;
    log_silence(s, x);
}

Err silences_set(AlertState *s, const NewSilence *n, i64 now_ns, Silence **ret, Why *why)
{
    Silences *all = &s->silences;
    Silence *prev = n->id.len ? silences_find(s, n->id) : NULL;
    if (n->id.len && !prev)
        return why_set(why, E_NOT_FOUND, "silence not found");
    Silence *x = silence_new(all, n, why);
    if (!x)
        return why ? why->err : E_INVALID;
    if (!x->starts_ns)
        x->starts_ns = now_ns;
    Err e = validate(x, why);
    if (e == OK && all->bytes_max && silence_bytes(x) > all->bytes_max)
        e = why_set(why, E_LIMIT, "silence exceeded maximum size: %llu bytes (limit: %llu bytes)",
                    (unsigned long long)silence_bytes(x), (unsigned long long)all->bytes_max);
    bool update = e == OK && prev && can_update(prev, x, now_ns);
    if (e == OK && !update && all->silences_max && all->by_id.len + 1 > all->silences_max)
        e = why_set(why, E_LIMIT, "exceeded maximum number of silences: %zu (limit: %u)", all->by_id.len,
                    all->silences_max);
    if (e != OK) {
        silence_free(all, x);
        return e;
    }
    x->updated_ns = now_ns;
    if (!update) {
        new_id(x->id);
        x->starts_ns = MAX(x->starts_ns, now_ns);
        if (prev)
            expire(s, prev, now_ns);
    }
    log_silence(s, x);
    keep(s, x);
    *ret = x;
    return OK;
}

Err silences_expire(AlertState *s, Str id, i64 now_ns, Why *why)
{
    Silence *x = silences_find(s, id);
    if (!x)
        return why_set(why, E_NOT_FOUND, "silence not found");
    expire(s, x, now_ns);
    return OK;
}

Silence *silences_find(const AlertState *s, Str id)
{
    return strmap_find(&s->silences.by_id, id);
}

void silences_collect(AlertState *s, i64 now_ns)
{
    Silences *all = &s->silences;
    VEC(Silence *) gone = {0};
    StrMapSlot *slot;
    for (size_t cursor = 0; (slot = strmap_next(&all->by_id, &cursor));) {
        Silence *x = slot->value;
        if (silence_state(x, now_ns) != SILENCE_EXPIRED)
            continue;
        index_del(all, x);
        if (x->ends_ns + all->retention_ns <= now_ns)
            vec_push(&gone, x);
    }
    for (size_t i = 0; i < gone.len; i++) {
        Silence *x = gone.at[i];
        alert_state_append(s, STATE_SILENCE_GONE, str_of(x->id, SILENCE_ID_LEN), false);
        strmap_del(&all->by_id, str_c(x->id));
        silence_free(all, x);
    }
    vec_done(&gone);
}

_Thread_local i64 silence_order_now;
/* Active ones by end, pending ones by start, expired ones by end, the latest first. */
int silence_order(const void *px, const void *py)
{
    const Silence *a = *(const Silence *const *)px, *b = *(const Silence *const *)py;
    SilenceState sa = silence_state(a, silence_order_now), sb = silence_state(b, silence_order_now);
    if (sa != sb)
        return (int)sa - (int)sb;
    i64 x = sa == SILENCE_PENDING ? a->starts_ns : a->ends_ns,
        y = sa == SILENCE_PENDING ? b->starts_ns : b->ends_ns;
    int c = (x > y) - (x < y);
    return sa == SILENCE_EXPIRED ? -c : c ? c : strcmp(a->id, b->id);
}

/* ---- stored form ---- */
static void put_str(Buf *b, Str s)
{
    u32 n = (u32)s.len;
    buf_put(b, &n, 4);
    buf_str(b, s);
}

void silence_encode(Buf *b, const Silence *x)
{
    u32 n = x->matchers.len;
    buf_put(b, x->id, SILENCE_ID_LEN);
    buf_put(b, &x->starts_ns, 8);
    buf_put(b, &x->ends_ns, 8);
    buf_put(b, &x->updated_ns, 8);
    buf_put(b, &n, 4);
    for (u32 i = 0; i < n; i++) {
        u32 op = x->matchers.at[i].op;
        buf_put(b, &op, 4);
        put_str(b, x->matchers.at[i].name);
        put_str(b, x->matchers.at[i].value);
    }
    put_str(b, x->created_by);
    put_str(b, x->comment);
    n = x->annotations.len;
    buf_put(b, &n, 4);
    for (u32 i = 0; i < n; i++) {
        put_str(b, x->annotations.at[i].name);
        put_str(b, x->annotations.at[i].value);
    }
}

static void forget(AlertState *s, Str id)
{
    Silence *x = strmap_del(&s->silences.by_id, id);
    if (!x)
        return;
    index_del(&s->silences, x);
    silence_free(&s->silences, x);
}

static Str take_id(StateIn *in)
{
    Str id = str_sub(in->rest, 0, SILENCE_ID_LEN);
    in->bad |= id.len != SILENCE_ID_LEN || memchr(id.at, 0, id.len);
    in->rest = str_skip(in->rest, SILENCE_ID_LEN);
    return in->bad ? S("") : id;
}

void silences_load(AlertState *s, u32 type, StateIn *in)
{
    NewSilence n = {.id = take_id(in)};
    if (type == STATE_SILENCE_GONE) {
        if (!in->bad)
            forget(s, n.id);
        return;
    }
    n.starts_ns = alert_state_in_i64(in);
    n.ends_ns = alert_state_in_i64(in);
    i64 updated = alert_state_in_i64(in);
    u32 len = alert_state_in_u32(in);
    Matcher *m = len <= in->rest.len / 12 ? arena_array(in->arena, Matcher, len + 1) : NULL;
    in->bad |= !m;
    for (u32 i = 0; m && i < len; i++) {
        u32 op = alert_state_in_u32(in);
        in->bad |= op > MATCH_NRE;
        m[i] = (Matcher){.op = (MatchOp)MIN(op, (u32)MATCH_NRE)};
        m[i].name = alert_state_in_str(in);
        m[i].value = alert_state_in_str(in);
    }
    n.matchers = m;
    n.matchers_len = len;
    n.created_by = alert_state_in_str(in);
    n.comment = alert_state_in_str(in);
    n.annotations = alert_state_in_labels(in);
    Silence *x = in->bad ? NULL : silence_new(&s->silences, &n, NULL);
    in->bad |= !x;
    if (!x)
        return;
    x->updated_ns = updated;
    keep(s, x);
}

void silences_done(Silences *s)
{
    StrMapSlot *slot;
    for (size_t cursor = 0; (slot = strmap_next(&s->by_id, &cursor));)
        silence_free(s, slot->value);
    strmap_done(&s->by_id);
    strmap_done(&s->regexes);
    for (size_t i = 0; i < s->lists.len; i++)
        vec_done(&s->lists.at[i].of);
    vec_done(&s->lists);
    u64map_done(&s->buckets);
}
