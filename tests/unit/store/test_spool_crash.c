/* The spool under power cuts and failing calls: what was synced and not dropped is there in order, and a number that a saved
 * cursor has passed is never given to another batch. */
#include "crash.h"

enum { BATCHES = 300 };
#define NEVER UINT64_MAX

typedef struct Save {
    u64 tried, saved, seq;
} Save;
typedef struct Gone { /* below seq batches may be gone: trimmed, or dropped at the limit */
    u64 ops, seq;
} Gone;
typedef struct Promised {
    u32 n;
    u64 seq[BATCHES], tried[BATCHES], synced[BATCHES]; /* synced: ops when a covering sync had returned OK */
    VEC(Save) saves;
    VEC(Gone) gone;
} Promised;

static Err open_it(SimFs *fs, Spool **ret, Why *why)
{
    return spool_open(ret, &(SpoolConfig){simfs_vfs(fs), "/data/spool", 24 << 10, 4096}, why);
}

static Str body_of(u32 n, char body[2048])
{
    size_t len = 8 + (n * 97) % 700;
    memset(body, 'a' + (char)(n % 26), len);
    memcpy(body, &n, sizeof n);
    return str_of(body, len);
}

static void all_synced(SimFs *fs, Promised *p)
{
    for (u32 i = 0; i < p->n; i++)
        if (p->seq[i] && p->synced[i] == NEVER)
            p->synced[i] = simfs_ops(fs);
}

static u32 steps;

static void *scenario(SimFs *fs)
{
    Promised *p = mem_new(Promised);
    u64 state = 5;
    for (u32 life = 0; life < 3; life++) {
        Spool *s;
        if (open_it(fs, &s, NULL) != OK)
            continue;
        for (u32 i = 0; i < steps && p->n < BATCHES; i++) {
            char body[2048];
            u32 n = p->n++;
            bool sync = dice(&state, 3) == 0;
            p->tried[n] = simfs_ops(fs);
            p->synced[n] = NEVER;
            Err e = spool_append(s, body_of(n, body), sync, &p->seq[n], NULL);
            if (e == OK && sync)
                all_synced(fs, p);
            vec_push(&p->gone, (Gone){p->tried[n], spool_oldest(s)});
            if (dice(&state, 12) == 0) {
                Save save = {simfs_ops(fs), NEVER, spool_tail(s)};
                if (spool_cursor_save(s, S("cloud"), save.seq, NULL) == OK)
                    save.saved = simfs_ops(fs);
                vec_push(&p->saves, save);
            }
            if (dice(&state, 25) == 0) {
                vec_push(&p->gone, (Gone){simfs_ops(fs), spool_tail(s) - 3});
                spool_trim(s, spool_tail(s) - 3, NULL);
            }
        }
        if (spool_sync(s, NULL) == OK)
            all_synced(fs, p);
        spool_close(s);
    }
    return p;
}

static void forget(void *promised)
{
    Promised *p = promised;
    vec_done(&p->saves);
    vec_done(&p->gone);
    mem_free(p);
}

static u32 violations(SimFs *after, void *promised, u64 at_op)
{
    const Promised *p = promised;
    Spool *s;
    Why why = {0};
    if (open_it(after, &s, &why) != OK) {
        print_message("open: %s\n", why.text);
        return 1;
    }
    u32 bad = 0;
    u64 gone = 0, cursor = 0, maybe = 0;
    for (size_t i = 0; i < p->gone.len; i++)
        if (p->gone.at[i].ops <= at_op)
            gone = MAX(gone, p->gone.at[i].seq);
    for (size_t i = 0; i < p->saves.len; i++) {
        if (p->saves.at[i].saved <= at_op)
            cursor = MAX(cursor, p->saves.at[i].seq);
        if (p->saves.at[i].tried <= at_op)
            maybe = MAX(maybe, p->saves.at[i].seq);
    }
    u64 loaded = spool_cursor_load(s, S("cloud"));
    bad += loaded < cursor || loaded > maybe || spool_tail(s) < loaded;
    bool *seen = mem_zalloc(BATCHES);
    Buf out;
    buf_init(&out, 1 << 16);
    u64 seq, last = 0;
    while (spool_read(s, last + 1, &out, &seq, &why) == OK) {
        char body[2048];
        u32 n = UINT32_MAX;
        memcpy(&n, out.at, MIN(sizeof n, out.len));
        bool is_right = n < p->n && p->tried[n] <= at_op && !seen[n] && seq > last &&
                        str_eq(buf_view(&out), body_of(n, body)) &&
                        (p->synced[n] > at_op || p->seq[n] == seq);
        if (is_right)
            seen[n] = true;
        bad += !is_right;
        last = MAX(seq, last + 1);
        buf_clear(&out);
    }
    for (u32 n = 0; n < p->n; n++)
        bad += p->synced[n] <= at_op && p->seq[n] >= gone && !seen[n];
    bad += spool_append(s, S("life goes on"), true, &seq, &why) != OK || seq < loaded || seq <= last;
    mem_free(seen);
    spool_close(s);
    buf_clear(&out);
    FsckReport report = {.out = &out};
    bad += fsck_spool(simfs_vfs(after), "/data/spool", &report, &why) != OK || report.errors;
    if (report.errors)
        print_message("%.*s", STR_FMT(buf_view(&out)));
    buf_done(&out);
    return bad;
}

static bool is_whole(const void *promised)
{
    const Promised *p = promised;
    return p->n == BATCHES && p->synced[BATCHES - 1] != NEVER;
}

static const CrashTest crash = {scenario, violations, forget, is_whole, 4711};

static void test_power_cuts(void **state)
{
    (void)state;
    steps = 100;
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
    steps = 25;
    check_faults(&crash, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cuts),
        cmocka_unit_test(test_ignored_syncs_are_noticed),
        cmocka_unit_test(test_faults),
    };
    log_set_level(LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
