/* The engine on the simulated disk: power cuts at any moment, one failing call at a time, a full disk. */
#include "engine_help.h"
#include "simfs.h"

enum { ACKS_MAX = 4000, SERIES = 30 };

typedef struct Ack {
    u32 series;
    i64 t;
    f64 v;
    u64 op;                       /* of the disk when the sink had said OK; UINT64_MAX = it said no */
    u64 deleted_from, deleted_by; /* disk ops around a delete that covers it; UINT64_MAX = none */
} Ack;
static Ack acks[ACKS_MAX];
static u32 acks_len;

static u64 rnd_state;
static u64 rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state;
}

typedef struct Crash {
    VirtualClock clock;
    MetricsConfig c;
    MetricsEngine *e;
    i64 next_t;
    u64 hints[SERIES]; /* of this opening of the engine */
    u64 note;
} Crash;

static void crash_init(Crash *x, SimFs *fs)
{
    *x = (Crash){.next_t = BENCH_NOW_MS};
    virtual_clock_init(&x->clock, BENCH_NOW_MS * 1000000);
    x->c = (MetricsConfig){.vfs = simfs_vfs(fs),
                           .clock = &x->clock.clock,
                           .dir = "/data/metrics",
                           .out_of_order_ms = -1,
                           .shards = 2,
                           .wal_bytes_max = 64 << 10};
}

/* A batch of new samples, some of new series; each is noted with what was promised about it. */
static Err crash_write(Crash *x, SimFs *fs, bool from_self)
{
    enum { BATCH = 5 };
    char names[BATCH][32];
    Label labels[BATCH][4];
    Sample samples[BATCH];
    SeriesItem items[BATCH] = {0};
    u32 first = acks_len;
    for (u32 i = 0; i < BATCH && acks_len < ACKS_MAX; i++) {
        u32 series = (u32)(rnd() % SERIES);
        snprintf(names[i], 32, "m{job=%u}", series);
        samples[i] = (Sample){x->next_t++, (f64)(rnd() % 1000)};
        items[i] = (SeriesItem){
            .labels = bench_labels(names[i], labels[i]), .samples = &samples[i], .samples_len = 1};
        acks[acks_len++] = (Ack){series, samples[i].t, samples[i].v, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    }
    SampleBatch b = {
        .tenant = S("x"), .series = items, .series_len = acks_len - first, .from_self = from_self};
    if (rnd() % 2) /* as a target's first page, whose next one is a row */
        b.row = (SampleRow){.t = acks[first].t, .group = &x->note};
    SinkResult r;
    u64 hints[BATCH];
    metrics_sink(x->e)->write(metrics_sink(x->e), &b, hints, &r);
    for (u32 i = first; i < acks_len; i++) {
        if (hints[i - first])
            x->hints[acks[i].series] = hints[i - first];
        if (r.err == OK && !from_self)
            acks[i].op = simfs_ops(fs);
    }
    return r.err;
}

/* The known series of one job at a new time, as a scrape brings them; now and then one is missing. */
static void crash_row(Crash *x, SimFs *fs, bool from_self)
{
    u64 hints[SERIES];
    f64 values[SERIES];
    u32 n = 0, first = acks_len;
    i64 t = x->next_t++;
    for (u32 i = 0; i < SERIES && acks_len < ACKS_MAX; i++) {
        if (!x->hints[i] || rnd() % 30 == 0)
            continue;
        hints[n] = x->hints[i];
        values[n++] = rnd() % 2 ? (f64)(rnd() % 3) : (f64)(rnd() % 1000) / 100;
        acks[acks_len++] = (Ack){i, t, values[n - 1], UINT64_MAX, UINT64_MAX, UINT64_MAX};
    }
    SampleBatch b = {.tenant = S("x"), .row = {hints, values, n, t, &x->note}, .from_self = from_self};
    SinkResult r;
    metrics_sink(x->e)->write(metrics_sink(x->e), &b, NULL, &r);
    assert_int_equal(r.unknown, 0);
    for (u32 i = first; i < acks_len && r.err == OK && !from_self; i++)
        acks[i].op = simfs_ops(fs);
}

static Err crash_delete(Crash *x, SimFs *fs)
{
    char job[16];
    u32 series = (u32)(rnd() % SERIES);
    snprintf(job, sizeof job, "%u", series);
    Why why = {0};
    Matcher m;
    assert_ok(matcher_init(&m, MATCH_EQ, S("job"), str_c(job), &why), &why);
    i64 mint = BENCH_NOW_MS + (i64)(rnd() % 1000), maxt = mint + (i64)(rnd() % 500);
    u64 before = simfs_ops(fs);
    Err e = metrics_delete(x->e, S("x"), (Matchers){&m, 1}, mint, maxt, &why);
    for (u32 i = 0; i < acks_len; i++)
        if (acks[i].series == series && acks[i].t >= mint && acks[i].t <= maxt &&
            acks[i].deleted_by == UINT64_MAX) {
            acks[i].deleted_from = MIN(acks[i].deleted_from, before);
            acks[i].deleted_by = e == OK ? simfs_ops(fs) : UINT64_MAX;
        }
    matcher_done(&m);
    return e;
}

static void crash_scenario(Crash *x, SimFs *fs, u32 steps)
{
    Why why = {0};
    for (u32 i = 0; i < steps && x->e; i++) {
        u64 what = rnd() % 40;
        if (what < 25)
            crash_write(x, fs, what % 8 == 0);
        else if (what < 33)
            crash_row(x, fs, what % 3 == 0);
        else if (what < 36)
            metrics_flush(x->e, &why);
        else if (what < 37)
            metrics_merge_all(x->e, &why);
        else if (what < 38)
            crash_delete(x, fs);
        else {
            if (what == 38)
                metrics_close(x->e, &why);
            else
                metrics_abandon(x->e);
            x->e = NULL;
            memset(x->hints, 0, sizeof x->hints);
            if (metrics_open(&x->e, &x->c, &why) != OK)
                x->e = NULL;
        }
    }
}

/* ---- what must hold on a disk ---- */

typedef struct Seen {
    i64 t;
    u32 series;
    f64 v;
} Seen;
static Seen seen[ACKS_MAX];
static u32 seen_len;

static Err read_all(MetricsEngine *e, Why *why)
{
    seen_len = 0;
    Arena a;
    arena_init(&a, NULL, 0);
    PromSource *src = metrics_source(e);
    SelectHints h = {.mint = INT64_MIN, .maxt = INT64_MAX};
    SeriesCursor *c;
    Err err = src->select(src, S("x"), (Matchers){0}, &h, &a, NULL, &c, why);
    SeriesView v[32];
    u32 n = 1;
    while (err == OK && n) {
        err = c->next(c, v, 32, &n, why);
        for (u32 i = 0; err == OK && i < n; i++) {
            u64 series = 999;
            parse_u64(labels_get(v[i].labels, S("job")), &series);
            for (u32 k = 0; k < v[i].n && seen_len < ACKS_MAX; k++)
                seen[seen_len++] = (Seen){v[i].t[k], (u32)series, v[i].v[k]};
        }
    }
    if (err == OK)
        c->close(c);
    arena_done(&a);
    return err;
}

static int seen_order(const void *a, const void *b)
{
    const Seen *x = a, *y = b;
    return x->t != y->t ? (x->t < y->t ? -1 : 1) : x->series < y->series ? -1 : x->series > y->series;
}

static int seen_against(const Seen *s, const Ack *a)
{
    Seen sent = {a->t, a->series, a->v};
    return seen_order(s, &sent);
}

/* Everything acknowledged by `op` is there, nothing else than what was sent, nothing twice, nothing deleted. NULL = holds. */
static const char *what_is_wrong(u64 op)
{
    static char text[200];
    qsort(seen, seen_len, sizeof(Seen), seen_order);
    for (u32 i = 1; i < seen_len; i++)
        if (seen_order(&seen[i], &seen[i - 1]) == 0)
            return "a sample is there twice";
    u32 at = 0;
    for (u32 i = 0; i < acks_len; i++) { /* both in order of time, and of series in a row */
        const Ack *a = &acks[i];
        while (at < seen_len && seen_against(&seen[at], a) < 0)
            return "a sample was invented";
        bool is_there = at < seen_len && seen_against(&seen[at], a) == 0;
        if (is_there && seen[at].v != a->v)
            return "a sample is not what was sent";
        at += is_there;
        if (!is_there && a->op <= op && a->deleted_from > op) {
            snprintf(text, sizeof text, "sample %u, acknowledged at op %llu, is lost at %llu", i,
                     (unsigned long long)a->op, (unsigned long long)op);
            return text;
        }
        if (is_there && a->deleted_by <= op)
            return "a deleted sample came back";
    }
    return at < seen_len ? "a sample was invented at the end" : NULL;
}

/* Opens what a cut left, checks it, writes on, checks again after another opening. */
static const char *survives(SimFs *after, u64 op)
{
    static char text[1400];
    Crash x;
    crash_init(&x, after);
    Why why = {0};
    if (metrics_open(&x.e, &x.c, &why) != OK) {
        snprintf(text, sizeof text, "does not open: %s", why.text);
        return text;
    }
    const char *wrong = read_all(x.e, &why) == OK ? what_is_wrong(op) : why.text;
    if (!wrong) {
        Label l[2];
        Sample s = {BENCH_NOW_MS + 900000, 5};
        SeriesItem item = {.labels = bench_labels("after{a=1}", l), .samples = &s, .samples_len = 1};
        SampleBatch b = {.tenant = S("x"), .series = &item, .series_len = 1};
        SinkResult r;
        metrics_sink(x.e)->write(metrics_sink(x.e), &b, NULL, &r);
        if (r.err != OK) {
            snprintf(text, sizeof text, "takes no writes: %s", r.why.text);
            wrong = text;
        }
    }
    if (wrong || op % 2)
        metrics_abandon(x.e);
    else if (metrics_close(x.e, &why) != OK)
        wrong = "does not close";
    if (!wrong && op % 8 == 0) {
        u32 before = seen_len;
        if (metrics_open(&x.e, &x.c, &why) != OK)
            return "does not open twice";
        if (read_all(x.e, &why) != OK || seen_len != before + 1)
            wrong = "a second opening shows something else";
        metrics_abandon(x.e);
    }
    return wrong;
}

/* ---- power cuts ---- */

static u32 cuts_failed(u64 seed, u32 cuts, bool ignore_sync, u32 failures_wanted)
{
    rnd_state = seed * 0x9e3779b97f4a7c15ULL + 1;
    acks_len = 0;
    SimFs *fs = simfs_new();
    simfs_ignore_sync(fs, ignore_sync);
    Crash x;
    crash_init(&x, fs);
    Why why = {0};
    assert_ok(metrics_open(&x.e, &x.c, &why), &why);
    crash_scenario(&x, fs, 140);
    u64 ops = simfs_ops(fs);
    u32 failed = 0;
    for (u32 i = 0; i < cuts && failed < failures_wanted; i++) {
        u64 op = rnd() % (ops + 1);
        SimCut how = (SimCut)(rnd() % SIM_CUTS);
        u64 cut_seed = rnd();
        SimFs *after = simfs_cut(fs, op, how, cut_seed);
        const char *wrong = survives(after, op);
        if (wrong) {
            failed++;
            if (!ignore_sync)
                printf("seed %llu, op %llu of %llu, how %d, cut seed %llu: %s\n", (unsigned long long)seed,
                       (unsigned long long)op, (unsigned long long)ops, how, (unsigned long long)cut_seed,
                       wrong);
        }
        simfs_free(after);
    }
    metrics_abandon(x.e);
    simfs_free(fs);
    return failed;
}

static void test_power_cuts(void **state)
{
    const char *env = getenv("PHAROS_CUTS");
    u32 cuts = env ? (u32)atoi(env) : 500;
    for (u64 seed = 1; cuts; seed++) {
        u32 n = MIN(cuts, 50u);
        assert_int_equal(cuts_failed(seed, n, false, 3), 0);
        cuts -= n;
    }
}

/* The test can fail: on a disk that ignores syncs it must. */
static void test_canary(void **state)
{
    log_set_fd(-1);
    assert_true(cuts_failed(1, 100, true, 1) > 0);
    log_set_fd(2);
}

/* ---- one failing call at a time ---- */

static void faults(Err err, int flags)
{
    bool fired = true;
    u32 stride = 1;
    for (u64 n = 1; fired; n += stride) {
        stride = n < 60 ? 1 : 1 + (u32)(n / 20);
        rnd_state = 77;
        acks_len = 0;
        SimFs *fs = simfs_new();
        Crash x;
        crash_init(&x, fs);
        Why why = {0};
        simfs_fail(fs, n, err, flags);
        if (metrics_open(&x.e, &x.c, &why) != OK)
            x.e = NULL;
        crash_scenario(&x, fs, 40);
        fired = simfs_fired(fs);
        simfs_fail(fs, 0, OK, 0);
        if (x.e)
            metrics_abandon(x.e);
        SimFs *after = simfs_cut(fs, simfs_ops(fs), SIM_LOSE, n);
        const char *wrong = survives(after, simfs_ops(fs));
        if (wrong)
            fail_msg("call %llu fails with %s (flags %d): %s", (unsigned long long)n, err_name(err), flags,
                     wrong);
        simfs_free(after);
        simfs_free(fs);
    }
}

static void test_faults(void **state)
{
    log_set_fd(-1);
    faults(E_IO, 0);
    faults(E_IO, SIM_FOR_EVER);
    faults(E_NOSPACE, SIM_SHORT);
    faults(E_NOSPACE, SIM_FOR_EVER);
    log_set_fd(2);
}

/* ---- a full disk ---- */

static void test_disk_full(void **state)
{
    log_set_fd(-1);
    rnd_state = 5;
    acks_len = 0;
    SimFs *fs = simfs_new();
    Crash x;
    crash_init(&x, fs);
    Why why = {0};
    assert_ok(metrics_open(&x.e, &x.c, &why), &why);
    for (u32 i = 0; i < 50; i++)
        assert_int_equal(crash_write(&x, fs, false), OK);
    assert_ok(metrics_flush(x.e, &why), &why);
    simfs_set_capacity(fs, 1);
    Err e = OK;
    for (u32 i = 0; i < 50 && e == OK; i++)
        e = crash_write(&x, fs, false);
    assert_int_equal(e, E_NOSPACE);
    for (u32 i = 0; i < 20; i++)
        assert_int_equal(crash_write(&x, fs, false), E_NOSPACE);
    MetricsStats s;
    metrics_stats(x.e, S("x"), &s);
    assert_true(s.read_only);
    assert_int_equal(metrics_flush(x.e, &why) == OK, 0);
    assert_ok(read_all(x.e, &why), &why); /* reading works */
    assert_true(seen_len >= 250);
    simfs_set_capacity(fs, 0);
    e = E_NOSPACE;
    for (u32 i = 0; i < 200 && e != OK;
         i++) { /* resumes by itself: the log probes again every so often of its own clock */
        virtual_clock_advance(&x.clock, 100 * NS_PER_MS);
        e = crash_write(&x, fs, false);
    }
    assert_int_equal(e, OK);
    assert_ok(metrics_flush(x.e, &why), &why);
    metrics_stats(x.e, S("x"), &s);
    assert_false(s.read_only);
    assert_ok(metrics_close(x.e, &why), &why);
    SimFs *after = simfs_cut(fs, simfs_ops(fs), SIM_LOSE, 1);
    const char *wrong = survives(after, simfs_ops(fs));
    if (wrong)
        fail_msg("%s", wrong);
    simfs_free(after);
    simfs_free(fs);
    log_set_fd(2);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest all[] = {cmocka_unit_test(test_power_cuts), cmocka_unit_test(test_canary),
                                     cmocka_unit_test(test_faults), cmocka_unit_test(test_disk_full)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
