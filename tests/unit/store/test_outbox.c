#include "test.h"

#include "store/store.h"

static char dir[300];
static VirtualClock clock_;
static Arena arena;

static int fresh(void **state)
{
    (void)state;
    char tmp[256];
    snprintf(dir, sizeof dir, "%s/outbox", test_dir(tmp));
    virtual_clock_init(&clock_, 1000 * NS_PER_SEC);
    arena_init(&arena, NULL, 0);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    arena_done(&arena);
    *strrchr(dir, '/') = 0;
    return vfs_remove_tree(vfs_os(), dir, NULL) != OK;
}

static Outbox *open_it(void)
{
    Outbox *o = NULL;
    Why why = {0};
    assert_ok(outbox_open(&o, vfs_os(), &clock_.clock, dir, &why), &why);
    return o;
}

static u64 add(Outbox *o, const char *key, const char *body)
{
    u64 id = 0;
    Why why = {0};
    assert_ok(outbox_add(o, str_c(key), str_c(body), &id, &why), &why);
    return id;
}

static OutboxItem take(Outbox *o, i64 now_ms, u64 want_id)
{
    OutboxItem i = {0};
    i64 next = -1;
    assert_int_equal(outbox_take(o, now_ms, &arena, &i, &next), OK);
    assert_int_equal(i.id, want_id);
    return i;
}

static i64 assert_nothing(Outbox *o, i64 now_ms)
{
    OutboxItem i;
    i64 next = -1;
    assert_int_equal(outbox_take(o, now_ms, &arena, &i, &next), E_NOT_FOUND);
    return next;
}

static void test_a_message_lives_until_it_is_done(void **state)
{
    (void)state;
    Outbox *o = open_it();
    Why why = {0};
    assert_int_equal(assert_nothing(o, 0), 0);
    assert_int_equal(add(o, "discord/a", "hello"), 1);
    assert_int_equal(add(o, "discord/b", ""), 2);
    OutboxItem i = take(o, 5000, 1);
    assert_str(i.key, "discord/a");
    assert_str(i.body, "hello");
    assert_int_equal(i.created_ms, 1000000);
    assert_int_equal(i.attempts, 0);
    take(o, 5000, 2);
    assert_int_equal(assert_nothing(o, 5000), 0); /* both are taken */
    assert_int_equal(outbox_queued(o), 2);
    assert_true(outbox_has(o, S("discord/a")));
    assert_ok(outbox_done(o, 1, S("provider 17"), &why), &why);
    assert_int_equal(outbox_done(o, 1, S(""), &why), E_NOT_FOUND);
    assert_false(outbox_has(o, S("discord/a")));
    outbox_close(o);
    o = open_it(); /* what was taken and not done comes again */
    assert_int_equal(outbox_queued(o), 1);
    take(o, 0, 2);
    assert_int_equal(add(o, "k", "b"), 3);
    outbox_close(o);
}

static void test_retries_wait(void **state)
{
    (void)state;
    Outbox *o = open_it();
    Why why = {0};
    for (int n = 0; n < 3; n++)
        add(o, "k", "b");
    take(o, 0, 1);
    assert_ok(outbox_retry(o, 1, 9000, S("429"), &why), &why);
    take(o, 100, 2);
    assert_ok(outbox_retry(o, 2, 7000, S("503"), &why), &why);
    take(o, 200, 3);
    assert_int_equal(assert_nothing(o, 300), 7000);
    outbox_close(o);
    o = open_it();
    take(o, 300, 3);
    assert_int_equal(assert_nothing(o, 6999), 7000);
    OutboxItem i = take(o, 20000, 1); /* both are due: the older first */
    assert_int_equal(i.attempts, 1);
    assert_int_equal(i.not_before_ms, 9000);
    assert_int_equal(assert_nothing(o, 0), 7000); /* the clock went back */
    take(o, 20000, 2);
    outbox_close(o);
}

typedef struct Letters {
    u32 n;
    char text[256];
} Letters;

static void take_letter(void *arg, const OutboxItem *i, Str reason, i64 at_ms)
{
    Letters *l = arg;
    l->n++;
    snprintf(l->text, sizeof l->text, "%llu %.*s: %.*s at %lld after %u", (unsigned long long)i->id,
             STR_FMT(i->key), STR_FMT(reason), (long long)at_ms, i->attempts);
}

static void test_dead_letters_are_kept(void **state)
{
    (void)state;
    Outbox *o = open_it();
    Why why = {0};
    add(o, "mail/x", "body");
    take(o, 0, 1);
    assert_ok(outbox_retry(o, 1, 0, S("refused"), &why), &why);
    assert_ok(outbox_dead(o, 1, S("410 Gone"), &why), &why);
    for (int turn = 0; turn < 2; turn++) {
        Letters l = {0};
        outbox_dead_letters(o, take_letter, &l);
        assert_int_equal(l.n, 1);
        assert_string_equal(l.text, "1 mail/x: 410 Gone at 1000000 after 1");
        assert_int_equal(outbox_queued(o), 0);
        outbox_close(o);
        o = open_it();
    }
    for (u64 n = 2; n < 1102; n++) {
        add(o, "many", "");
        assert_ok(outbox_dead(o, n, S("no"), &why), &why);
    }
    Letters l = {0};
    outbox_dead_letters(o, take_letter, &l);
    assert_int_equal(l.n, 1000);
    outbox_close(o);
}

static void count_fact(void *arg, Str key, Str value)
{
    (void)key;
    *(u64 *)arg += value.len;
}

static void test_facts(void **state)
{
    (void)state;
    Outbox *o = open_it();
    Why why = {0};
    assert_ok(outbox_fact_set(o, S("msg/1"), S("abc"), &why), &why);
    assert_ok(outbox_fact_set(o, S("msg/2"), S("de"), &why), &why);
    assert_ok(outbox_fact_set(o, S("other"), S("x"), &why), &why);
    assert_ok(outbox_fact_set(o, S("msg/1"), S("abcd"), &why), &why);
    assert_ok(outbox_fact_set(o, S("other"), S(""), &why), &why);
    assert_ok(outbox_fact_set(o, S("never"), S(""), &why), &why);
    for (int turn = 0; turn < 2; turn++) {
        assert_str(outbox_fact(o, S("msg/1"), &arena), "abcd");
        assert_str(outbox_fact(o, S("other"), &arena), "");
        u64 n = 0;
        outbox_facts(o, S("msg/"), count_fact, &n);
        assert_int_equal(n, 6);
        outbox_close(o);
        o = open_it();
    }
    outbox_close(o);
}

static u64 dir_bytes(u32 *ret_files);
static bool add_size(void *arg, const char *name, bool is_dir)
{
    (void)is_dir;
    char path[600];
    VfsStat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(vfs_os()->stat(vfs_os(), path, &st, NULL), OK);
    ((u64 *)arg)[0] += st.bytes;
    ((u64 *)arg)[1]++;
    return true;
}
static u64 dir_bytes(u32 *ret_files)
{
    u64 sum[2] = {0};
    vfs_os()->list(vfs_os(), dir, add_size, sum, NULL);
    *ret_files = (u32)sum[1];
    return sum[0];
}

static void test_garbage_is_written_off(void **state)
{
    (void)state;
    Outbox *o = open_it();
    Why why = {0};
    char body[4096];
    memset(body, 'b', sizeof body - 1);
    body[sizeof body - 1] = 0;
    u64 keep = add(o, "keep", "me");
    add(o, "retry", "me");
    assert_ok(outbox_retry(o, 2, 777, S("later"), &why), &why);
    assert_ok(outbox_fact_set(o, S("fact"), S("stays"), &why), &why);
    add(o, "dead", "x");
    assert_ok(outbox_dead(o, 3, S("because"), &why), &why);
    for (int n = 0; n < 300; n++)
        assert_ok(outbox_done(o, add(o, "gone", body), S("ok"), &why), &why);
    u32 files;
    assert_true(dir_bytes(&files) < 600 << 10); /* of 1.2 MB written */
    assert_int_equal(files, 1);
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(outbox_queued(o), 2);
        assert_str(outbox_fact(o, S("fact"), &arena), "stays");
        OutboxItem i = take(o, 100, keep);
        assert_str(i.body, "me");
        assert_int_equal(assert_nothing(o, 100), 777);
        i = take(o, 777, 2);
        assert_int_equal(i.attempts, 1);
        Letters l = {0};
        outbox_dead_letters(o, take_letter, &l);
        assert_int_equal(l.n, 1);
        outbox_close(o);
        o = open_it();
    }
    assert_int_equal(add(o, "next", ""), 304); /* ids are never given twice */
    outbox_close(o);
}

static void test_limits(void **state)
{
    (void)state;
    Outbox *o = open_it();
    Why why;
    u64 id;
    char *big = mem_zalloc((4 << 20) + 1);
    assert_int_equal(outbox_add(o, S("k"), str_of(big, (4 << 20) + 1), &id, &why), E_TOO_LARGE);
    assert_int_equal(outbox_add(o, str_of(big, 5000), S(""), &id, &why), E_TOO_LARGE);
    Err e;
    u32 n = 0;
    while ((e = outbox_add(o, S("k"), str_of(big, 4 << 20), &id, &why)) == OK)
        n++;
    assert_int_equal(e, E_BUSY);
    assert_int_equal(n, 15);
    assert_ok(outbox_done(o, 1, S(""), &why), &why);
    assert_ok(outbox_add(o, S("k"), str_of(big, 4 << 20), &id, &why), &why);
    mem_free(big);
    outbox_close(o);
}

typedef struct Worker {
    Outbox *o;
    u32 id;
    u64 done;
} Worker;

static void *produce_and_send(void *arg)
{
    Worker *w = arg;
    Arena a;
    arena_init(&a, NULL, 0);
    char key[32];
    snprintf(key, sizeof key, "worker/%u", w->id);
    for (u32 n = 0; n < 50; n++) {
        u64 id;
        OutboxItem i;
        if (outbox_add(w->o, str_c(key), S("some text that fills the log"), &id, NULL) != OK)
            break;
        outbox_fact_set(w->o, str_c(key), str_of("0123456789", 1 + n % 10), NULL);
        if (outbox_take(w->o, 0, &a, &i, NULL) == OK)
            w->done += outbox_done(w->o, i.id, S("x"), NULL) == OK;
        arena_reset(&a);
    }
    arena_done(&a);
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    enum { N = 4 };
    Outbox *o = open_it();
    Worker w[N];
    pthread_t t[N];
    for (u32 i = 0; i < N; i++) {
        w[i] = (Worker){o, i, 0};
        assert_int_equal(thread_start(&t[i], "worker", produce_and_send, &w[i]), OK);
    }
    u64 done = 0;
    for (u32 i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
        done += w[i].done;
    }
    assert_int_equal(done + outbox_queued(o), N * 50);
    outbox_close(o);
    o = open_it();
    assert_int_equal(done + outbox_queued(o), N * 50);
    assert_str(outbox_fact(o, S("worker/3"), &arena), "0123456789");
    outbox_close(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_message_lives_until_it_is_done, fresh, clean),
        cmocka_unit_test_setup_teardown(test_retries_wait, fresh, clean),
        cmocka_unit_test_setup_teardown(test_dead_letters_are_kept, fresh, clean),
        cmocka_unit_test_setup_teardown(test_facts, fresh, clean),
        cmocka_unit_test_setup_teardown(test_garbage_is_written_off, fresh, clean),
        cmocka_unit_test_setup_teardown(test_limits, fresh, clean),
        cmocka_unit_test_setup_teardown(test_many_threads, fresh, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
