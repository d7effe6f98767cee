/* Parts and the manifest under power cuts and failing calls: a committed number is there with its content, and every object
 * that it names. */
#include "crash.h"

enum { COMMITS = 120 };
#define NEVER UINT64_MAX

/* Content of commit n: "n", and it names the objects "parts/<n>/a" to "parts/<n>/c". */
typedef struct Promised {
    u32 n;
    u64 tried[COMMITS], committed[COMMITS];
} Promised;

static Err open_it(SimFs *fs, Bucket **ret_bucket, Manifest **ret, Why *why)
{
    TRY(bucket_open_dir(ret_bucket, simfs_vfs(fs), "/data/bucket", why));
    Err e = manifest_open(ret, *ret_bucket, S("metrics"), why);
    if (e != OK)
        bucket_close(*ret_bucket);
    return e;
}

static u32 steps;

static bool put_parts(Bucket *b, u32 n)
{
    for (char part = 'a'; part <= 'c'; part++) {
        char key[32], body[6000];
        snprintf(key, sizeof key, "parts/%u/%c", n, part);
        memset(body, part, sizeof body);
        if (bucket_put_bytes(b, str_c(key), str_of(body, part == 'a' ? sizeof body : 100), deadline_none(),
                             NULL) != OK)
            return false;
    }
    return true;
}

static void *scenario(SimFs *fs)
{
    Promised *p = mem_new(Promised);
    for (u32 life = 0; life < 3; life++) {
        Bucket *b;
        Manifest *m;
        if (open_it(fs, &b, &m, NULL) != OK)
            continue;
        for (u32 i = 0; i < steps && p->n < COMMITS; i++) {
            u32 n = p->n++;
            char bytes[16];
            snprintf(bytes, sizeof bytes, "%u", n);
            p->tried[n] = simfs_ops(fs);
            p->committed[n] = NEVER;
            if (put_parts(b, n) && manifest_commit(m, str_c(bytes), NULL) == OK)
                p->committed[n] = simfs_ops(fs);
            if (n % 7 == 3)
                manifest_prune(m, 3, NULL);
        }
        manifest_close(m);
        bucket_close(b);
    }
    return p;
}

static void forget(void *promised)
{
    mem_free(promised);
}

static u32 violations(SimFs *after, void *promised, u64 at_op)
{
    const Promised *p = promised;
    Bucket *b;
    Manifest *m;
    Why why = {0};
    if (open_it(after, &b, &m, &why) != OK) {
        print_message("open: %s\n", why.text);
        return 1;
    }
    u32 bad = 0, floor = 0, newest = 0; /* as n + 1; 0 = none */
    for (u32 n = 0; n < p->n; n++)
        if (p->committed[n] <= at_op)
            floor = n + 1;
    Str bytes = manifest_bytes(m);
    if (manifest_number(m))
        newest = (u32)strtoul(bytes.at, NULL, 10) + 1;
    bad += newest < floor || newest > p->n || (newest && p->tried[newest - 1] > at_op);
    for (char part = 'a'; newest && part <= 'c'; part++) {
        char key[32];
        snprintf(key, sizeof key, "parts/%u/%c", newest - 1, part);
        Buf out;
        buf_init(&out, 1 << 16);
        bool ok = bucket_get(b, str_c(key), 0, UINT64_MAX, &out, deadline_none(), &why) == OK &&
                  out.len == (part == 'a' ? 6000 : 100);
        for (size_t i = 0; ok && i < out.len; i++)
            ok = out.at[i] == part;
        bad += !ok;
        buf_done(&out);
    }
    bad += !put_parts(b, 100000) || manifest_commit(m, S("100000"), &why) != OK;
    manifest_close(m);
    bucket_close(b);
    Buf out;
    buf_init(&out, 1 << 16);
    FsckReport report = {.out = &out};
    bad += fsck_bucket_manifest(simfs_vfs(after), "/data/bucket", S("metrics"), &report, &why) != OK ||
           report.errors || report.warnings || !report.checked_files;
    if (out.len)
        print_message("%.*s", STR_FMT(buf_view(&out)));
    buf_done(&out);
    return bad;
}

static bool is_whole(const void *promised)
{
    const Promised *p = promised;
    return p->n == 36 && p->committed[35] != NEVER;
}

static const CrashTest crash = {scenario, violations, forget, is_whole, 23};

static void test_power_cuts(void **state)
{
    (void)state;
    steps = 12;
    check_power_cuts(&crash);
}

static void test_ignored_syncs_are_noticed(void **state)
{
    (void)state;
    steps = 12;
    check_ignored_syncs_are_noticed(&crash);
}

static void test_faults(void **state)
{
    (void)state;
    steps = 3;
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
