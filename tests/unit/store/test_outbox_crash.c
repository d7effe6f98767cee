/* The outbox under power cuts and failing calls: a message that was accepted is there until it was reported done, with its
 * retries; facts are as last set; ids are never given twice. */
#include "crash.h"

enum { MESSAGES = 260, FACTS = 5 };
#define NEVER UINT64_MAX

typedef struct Message {
    u64 id;
    u64 tried, added;       /* ops when the call began and when it had returned OK */
    u64 done_tried, done;   /* likewise */
    u64 retry_tried, retry; /* likewise; to not_before = 1000 + n */
} Message;
typedef struct FactSet {
    u64 tried, set;
    u32 fact, value;
} FactSet;
typedef struct Promised {
    u32 n;
    Message m[MESSAGES];
    VEC(FactSet) facts;
} Promised;

static VirtualClock clock_;

static Err open_it(SimFs *fs, Outbox **ret, Why *why)
{
    return outbox_open(ret, simfs_vfs(fs), &clock_.clock, "/data/outbox", why);
}

static Str body_of(u32 n, char body[8192])
{
    size_t len = n % 5 == 0 ? 6000 : 40 + n;
    memset(body, 'a' + (char)(n % 26), len);
    memcpy(body, &n, sizeof n);
    return str_of(body, len);
}

static u64 when(SimFs *fs, Err e)
{
    return e == OK ? simfs_ops(fs) : NEVER;
}

static void one_step(SimFs *fs, Outbox *o, Promised *p, u64 *state)
{
    char body[8192];
    if (p->n == MESSAGES)
        return;
    Message *m = &p->m[p->n];
    *m = (Message){
        .tried = simfs_ops(fs), .done_tried = NEVER, .done = NEVER, .retry_tried = NEVER, .retry = NEVER};
    m->added = when(fs, outbox_add(o, S("key"), body_of(p->n, body), &m->id, NULL));
    p->n++;
    Message *other = &p->m[dice(state, p->n)];
    if (dice(state, 3) == 0 && other->added != NEVER && other->done_tried == NEVER &&
        other->retry_tried == NEVER) {
        other->retry_tried = simfs_ops(fs);
        other->retry = when(fs, outbox_retry(o, other->id, 1000 + (i64)(other - p->m), S("later"), NULL));
    }
    other = &p->m[dice(state, p->n)];
    if (other->added != NEVER && other->done_tried == NEVER) {
        other->done_tried = simfs_ops(fs);
        other->done = when(fs, dice(state, 2) ? outbox_done(o, other->id, S("x"), NULL)
                                              : outbox_dead(o, other->id, S("no"), NULL));
    }
    if (dice(state, 2)) {
        FactSet f = {.tried = simfs_ops(fs), .fact = (u32)dice(state, FACTS), .value = (u32)p->facts.len + 1};
        char key[16], value[16];
        snprintf(key, sizeof key, "fact%u", f.fact);
        snprintf(value, sizeof value, "%u", f.value);
        f.set = when(fs, outbox_fact_set(o, str_c(key), str_c(value), NULL));
        vec_push(&p->facts, f);
    }
}

static u32 steps = 30;

static void *scenario(SimFs *fs)
{
    Promised *p = mem_new(Promised);
    u64 state = 11;
    for (u32 life = 0; life < 3; life++) {
        Outbox *o;
        if (open_it(fs, &o, NULL) != OK)
            continue;
        for (u32 i = 0; i < steps; i++)
            one_step(fs, o, p, &state);
        outbox_close(o);
    }
    return p;
}

static void forget(void *promised)
{
    Promised *p = promised;
    vec_done(&p->facts);
    mem_free(p);
}

/* Is the fact what some set that may have come last says? */
static bool fact_is_right(const Promised *p, u32 fact, Str value, u64 at_op)
{
    u32 got = value.len ? (u32)strtoul(value.at, NULL, 10) : 0;
    u32 floor = 0; /* the newest that was promised: nothing older may be seen */
    for (size_t i = 0; i < p->facts.len; i++)
        if (p->facts.at[i].fact == fact && p->facts.at[i].set <= at_op)
            floor = p->facts.at[i].value;
    if (got == 0)
        return floor == 0;
    return got >= floor && got <= p->facts.len && p->facts.at[got - 1].fact == fact &&
           p->facts.at[got - 1].tried <= at_op;
}

static u32 violations(SimFs *after, void *promised, u64 at_op)
{
    const Promised *p = promised;
    Outbox *o;
    Why why = {0};
    if (open_it(after, &o, &why) != OK) {
        print_message("open: %s\n", why.text);
        return 1;
    }
    Arena arena;
    arena_init(&arena, NULL, 0);
    u32 bad = 0;
    bool *seen = mem_zalloc(MESSAGES);
    OutboxItem it;
    u64 max_id = 0;
    while (outbox_take(o, 1 << 20, &arena, &it, NULL) == OK) {
        char body[8192];
        u32 n = UINT32_MAX;
        memcpy(&n, it.body.at, MIN(sizeof n, it.body.len));
        bool is_right = n < p->n && p->m[n].tried <= at_op && !seen[n] && str_eq(it.body, body_of(n, body)) &&
                        p->m[n].done > at_op && (p->m[n].added > at_op || p->m[n].id == it.id);
        if (is_right && p->m[n].retry <= at_op)
            is_right = it.attempts == 1 && it.not_before_ms == 1000 + (i64)n;
        if (is_right)
            seen[n] = true;
        max_id = MAX(max_id, it.id);
        bad += !is_right;
    }
    for (u32 n = 0; n < p->n; n++) {
        if (p->m[n].added <= at_op && p->m[n].done_tried > at_op && !seen[n])
            bad++;
        if (p->m[n].added <= at_op)
            max_id = MAX(max_id, p->m[n].id);
    }
    for (u32 fact = 0; fact < FACTS; fact++) {
        char key[16];
        snprintf(key, sizeof key, "fact%u", fact);
        bad += !fact_is_right(p, fact, outbox_fact(o, str_c(key), &arena), at_op);
    }
    u64 id = 0;
    bad += outbox_add(o, S("next"), S("life goes on"), &id, &why) != OK || id <= max_id;
    mem_free(seen);
    arena_done(&arena);
    outbox_close(o);
    Buf out;
    buf_init(&out, 1 << 16);
    FsckReport report = {.out = &out};
    bad += fsck_outbox(simfs_vfs(after), "/data/outbox", &report, &why) != OK || report.errors ||
           report.warnings;
    if (out.len)
        print_message("%.*s", STR_FMT(buf_view(&out)));
    buf_done(&out);
    return bad;
}

static bool is_whole(const void *promised)
{
    const Promised *p = promised;
    return p->n > 250 && p->m[p->n - 1].added != NEVER;
}

static const CrashTest crash = {scenario, violations, forget, is_whole, 42};

static void test_power_cuts(void **state)
{
    (void)state;
    steps = 85; /* enough for checkpoints */
    check_power_cuts(&crash);
}

static void test_ignored_syncs_are_noticed(void **state)
{
    (void)state;
    steps = 30;
    check_ignored_syncs_are_noticed(&crash);
}

static void test_faults(void **state)
{
    (void)state;
    steps = 10;
    check_faults(&crash, 1);
}

static void test_faults_at_checkpoints(void **state)
{
    (void)state;
    steps = 85;
    check_faults(&crash, 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cuts),
        cmocka_unit_test(test_ignored_syncs_are_noticed),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faults_at_checkpoints),
    };
    virtual_clock_init(&clock_, 1700000000 * NS_PER_SEC);
    log_set_level(LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
