/* The log under power cuts and failing calls: nothing acknowledged is lost, nothing comes twice or from nowhere. */
#include "crash.h"

enum { LANES = 3, RECORDS_MAX = 400 };

/* Record n of the scenario carries n, then a run of bytes that follows from n. Its producer_seq is n. */
typedef struct Promised {
    u32 n;                          /* records handed in */
    _Atomic u64 acked[RECORDS_MAX]; /* ops at the acknowledgement; UINT64_MAX = none */
    _Atomic u64 seq[RECORDS_MAX];
    u32 lane[RECORDS_MAX];
    u64 handed_in[RECORDS_MAX]; /* ops at that moment */
    VEC(struct TrimNote {
        u64 ops;
        u32 lane;
        u64 before;
    })
    trims; /* begun at ops */
    SimFs *fs;
} Promised;
typedef struct Call {
    Promised *p;
    u32 n;
} Call;

static VirtualClock clock_;
static u64 queue_seed = 1;

static void acked(void *arg, Err e, LogPos at, bool duplicate)
{
    Call *c = arg;
    (void)duplicate;
    if (e == OK) {
        c->p->seq[c->n] = at.seq;
        c->p->acked[c->n] = simfs_ops(c->p->fs);
    }
    mem_free(c);
}

static size_t body_of(u32 n, char body[4096])
{
    u64 state = n;
    size_t len = 8 + (n % 7 == 0 ? dice(&state, 3500) : dice(&state, 300));
    memcpy(body, &(u64){n}, 8);
    for (size_t i = 8; i < len; i++)
        body[i] = (char)(n * 31 + i * 7);
    return len;
}

static void append(ILog *l, Promised *p, bool want_sync)
{
    char body[4096];
    u32 n = p->n++;
    p->lane[n] = n % LANES;
    p->handed_in[n] = simfs_ops(p->fs);
    p->acked[n] = UINT64_MAX;
    Call *c = mem_new(Call);
    *c = (Call){p, n};
    ilog_append(l,
                &(LogRecord){.producer = S("p"),
                             .producer_seq = n,
                             .lane = p->lane[n],
                             .type = n,
                             .bytes = str_of(body, body_of(n, body))},
                want_sync, acked, c);
    if (want_sync && n % 4)
        ilog_sync(l, NULL); /* otherwise the next ones share its batch */
}

/* An acknowledgement without sync is no promise over a power cut. */
static bool is_promised(const Promised *p, u32 n, u64 at_op)
{
    return n % 3 != 1 && p->acked[n] <= at_op;
}

static Err open_log(SimFs *fs, ILog **ret, Why *why)
{
    return ilog_open(ret,
                     &(ILogConfig){.vfs = simfs_vfs(fs),
                                   .clock = &clock_.clock,
                                   .dir = "/data/log",
                                   .segment_bytes = 6000,
                                   .ballast_bytes = 10000},
                     why);
}

static void trim(ILog *l, Promised *p, u32 lane)
{
    LogPos tail;
    ilog_tail(l, lane, &tail);
    if (tail.seq < 10)
        return;
    LogPos before = {tail.epoch, tail.seq - 5};
    vec_push(&p->trims, (struct TrimNote){simfs_ops(p->fs), lane, before.seq});
    ilog_trim(l, lane, before, NULL);
}

static void *scenario(SimFs *fs)
{
    Promised *p = mem_new(Promised);
    p->fs = fs;
    u64 state = queue_seed;
    for (u32 life = 0; life < 3; life++) {
        ILog *l;
        if (open_log(fs, &l, NULL) != OK)
            continue;
        for (u32 i = 0; i < 30; i++) {
            /* n % 3 == 1 is appended without sync; some go in bursts that share a batch. */
            append(l, p, p->n % 3 != 1);
            if (dice(&state, 9) == 0)
                trim(l, p, (u32)dice(&state, LANES));
        }
        for (u32 lane = 0; lane < LANES && life == 1; lane++)
            trim(l, p, lane);
        ilog_close(l);
    }
    return p;
}

static void forget(void *promised)
{
    Promised *p = promised;
    vec_done(&p->trims);
    mem_free(p);
}

typedef struct Check {
    const Promised *p;
    u64 at_op;
    u32 lane;
    u32 bad;
    bool seen[RECORDS_MAX];
} Check;

static Err check_record(void *arg, LogPos at, const LogRecord *r, Why *why)
{
    Check *c = arg;
    (void)why;
    char body[4096];
    u64 n = UINT64_MAX;
    if (r->bytes.len >= 8)
        memcpy(&n, r->bytes.at, 8);
    bool is_right = n < c->p->n && n == r->type && n == r->producer_seq && c->p->lane[n] == c->lane &&
                    c->p->handed_in[n] <= c->at_op && !c->seen[n] &&
                    str_eq(r->bytes, str_of(body, body_of((u32)n, body)));
    if (is_right && c->p->acked[n] <= c->at_op)
        is_right = c->p->seq[n] == at.seq;
    if (is_right)
        c->seen[n] = true;
    c->bad += !is_right;
    return OK;
}

static void count_duplicate(void *arg, Err e, LogPos at, bool duplicate)
{
    (void)at;
    *(u32 *)arg += e == OK && duplicate;
}

static u32 violations(SimFs *after, void *promised, u64 at_op)
{
    const Promised *p = promised;
    ILog *l;
    Why why = {0};
    if (open_log(after, &l, &why) != OK) {
        print_message("open: %s\n", why.text);
        return 1;
    }
    Check c = {.p = p, .at_op = at_op};
    for (c.lane = 0; c.lane < LANES; c.lane++)
        if (ilog_read(l, c.lane, (LogPos){0}, check_record, &c, &why) != OK) {
            print_message("read: %s\n", why.text);
            c.bad++;
        }
    u32 newest = UINT32_MAX;
    for (u32 n = 0; n < p->n; n++) {
        if (!is_promised(p, n, at_op))
            continue;
        u64 trimmed = 0;
        for (size_t i = 0; i < p->trims.len; i++)
            if (p->trims.at[i].lane == p->lane[n] && p->trims.at[i].ops <= at_op)
                trimmed = MAX(trimmed, p->trims.at[i].before);
        if (p->seq[n] >= trimmed && !c.seen[n])
            c.bad++;
        newest = n;
    }
    if (newest != UINT32_MAX) { /* the window of producers came back with the records */
        char body[4096];
        u32 duplicates = 0;
        ilog_append(l,
                    &(LogRecord){.producer = S("p"),
                                 .producer_seq = newest,
                                 .lane = p->lane[newest],
                                 .bytes = str_of(body, body_of(newest, body))},
                    true, count_duplicate, &duplicates);
        c.bad += ilog_sync(l, &why) != OK || duplicates != 1;
    }
    c.bad += ilog_append_wait(l, &(LogRecord){.lane = 0, .bytes = S("life goes on")}, NULL, &why) != OK;
    ilog_close(l);
    Buf out;
    buf_init(&out, 1 << 16);
    FsckReport report = {.out = &out};
    c.bad +=
        fsck_ilog(simfs_vfs(after), "/data/log", &report, &why) != OK || report.errors || report.warnings;
    if (out.len)
        print_message("%.*s", STR_FMT(buf_view(&out)));
    buf_done(&out);
    return c.bad;
}

static u32 cuts(SimFs *fs, Promised *p, u32 turns, u64 seed, u32 *ret_first_bad)
{
    u32 broken = 0;
    for (u32 turn = 0; turn < turns; turn++) {
        u64 at;
        SimFs *after = cut_number(fs, turn, seed, &at);
        if (violations(after, p, at) && !broken++)
            *ret_first_bad = turn;
        simfs_free(after);
    }
    return broken;
}

static void test_power_cuts(void **state)
{
    (void)state;
    u32 done = 0;
    for (u64 seed = 1; seed <= 4; seed++) {
        queue_seed = seed;
        SimFs *fs = simfs_new();
        Promised *p = scenario(fs);
        assert_int_equal(p->n, 90);
        for (u32 n = 0; n < p->n; n++)
            assert_true(p->acked[n] != UINT64_MAX);
        u32 first = 0, turns = cuts_wanted(100);
        u32 bad = cuts(fs, p, turns, seed * 1000, &first);
        if (bad)
            fail_msg("seed %llu: %u of %u cuts broke a promise, first at turn %u", (unsigned long long)seed,
                     bad, turns, first);
        done += turns;
        forget(p);
        simfs_free(fs);
    }
    print_message("%u power cuts\n", done);
}

/* The power fails again while what the first failure left is repaired. */
static void test_power_cuts_during_recovery(void **state)
{
    (void)state;
    SimFs *fs = simfs_new();
    Promised *p = scenario(fs);
    for (u32 turn = 0; turn < cuts_wanted(40); turn++) {
        u64 at, ignored;
        SimFs *first = cut_number(fs, turn, 77, &at);
        ILog *l;
        Why why = {0};
        assert_ok(open_log(first, &l, &why), &why);
        ilog_close(l);
        for (u32 again = 0; again < 5; again++) {
            SimFs *second = cut_number(first, turn + again * 13, 99, &ignored);
            u32 bad = violations(second, p, at);
            if (bad)
                fail_msg("turn %u, again %u: %u promises broken", turn, again, bad);
            simfs_free(second);
        }
        simfs_free(first);
    }
    forget(p);
    simfs_free(fs);
}

/* The canary: on a disk that ignores syncs the same test must find losses. */
static void test_ignored_syncs_are_noticed(void **state)
{
    (void)state;
    SimFs *fs = simfs_new();
    simfs_ignore_sync(fs, true);
    Promised *p = scenario(fs);
    u32 first = 0, turns = 60, bad = cuts(fs, p, turns, 5, &first);
    assert_true(bad > turns / 4);
    forget(p);
    simfs_free(fs);
}

static void test_faults(void **state)
{
    (void)state;
    check_faults(&(CrashTest){scenario, violations, forget}, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cuts),
        cmocka_unit_test(test_power_cuts_during_recovery),
        cmocka_unit_test(test_ignored_syncs_are_noticed),
        cmocka_unit_test(test_faults),
    };
    virtual_clock_init(&clock_, 1700000000 * NS_PER_SEC);
    log_set_level(LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
