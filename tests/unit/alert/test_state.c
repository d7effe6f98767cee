/* Alerts and silences: merging, indexing, the log and its compaction, what clients post. */
#include "test.h"
#include "alert/post.h"
#include "alert/state.h"

#include <stdio.h>

#define NOW (1800000000LL * NS_PER_SEC)

static Silence *add(AlertState *s, const char *matcher, i64 from, i64 to)
{
    Arena arena;
    MatchList l;
    Silence *x = NULL;
    Why why = {0};
    arena_init(&arena, NULL, 1 << 20);
    assert_ok(match_parse(str_c(matcher), &arena, &l, NULL, &why), &why);
    NewSilence n = {
        .matchers = l.at, .matchers_len = l.len, .created_by = S("me"), .starts_ns = from, .ends_ns = to};
    assert_ok(silences_set(s, &n, NOW, &x, &why), &why);
    match_list_done(&l);
    arena_done(&arena);
    return x;
}

/* The index finds what looking at all of them finds. */
static void test_index(void **state)
{
    AlertState s;
    alert_state_init(&s);
    char text[200];
    u64 seed = 7;
    for (int i = 0; i < 400; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int a = (int)(seed >> 33) % 20, b = (int)(seed >> 43) % 20, kind = (int)(seed >> 53) % 4;
        snprintf(text, sizeof text,
                 kind == 0   ? "{a=\"%d\",b=\"%d\"}"
                 : kind == 1 ? "{a=~\"%d|%d\"}"
                 : kind == 2 ? "{a=\"%d\",b!=\"%d\"}"
                             : "{a!=\"%d\",b=\"%d\",c=\"\"}",
                 a, b);
        add(&s, text, NOW - 5, NOW + (seed & 1 ? 100 : 1000) * NS_PER_SEC);
    }
    for (int t = 0; t <= 500; t += 250)
        for (int a = 0; a < 20; a++)
            for (int b = 0; b < 20; b++) {
                char va[8], vb[8];
                snprintf(va, sizeof va, "%d", a);
                snprintf(vb, sizeof vb, "%d", b);
                Label labels[] = {{S("a"), str_c(va)}, {S("b"), str_c(vb)}};
                Labels l = {labels, 2};
                const Silence *found[400];
                u32 n = silences_matching(&s, l, NOW + t * NS_PER_SEC, found, 400), all = 0;
                StrMapSlot *slot;
                for (size_t cursor = 0; (slot = strmap_next(&s.silences.by_id, &cursor));)
                    all += silence_state(slot->value, NOW + t * NS_PER_SEC) == SILENCE_ACTIVE &&
                           silence_matches(slot->value, l);
                assert_int_equal(n, all);
            }
    assert_int_equal(s.silences.by_id.len, 400);
    silences_collect(&s, NOW + 100000 * NS_PER_SEC);
    assert_int_equal(s.silences.by_id.len, 400); /* over, but shown for a while */
    size_t patterns = s.silences.regexes.len;
    silences_collect(&s, NOW + 432500 * NS_PER_SEC); /* some go; what they share with others stays */
    assert_in_range(s.silences.by_id.len, 1, 399);
    assert_in_range(s.silences.regexes.len, 1, patterns);
    StrMapSlot *left;
    for (size_t cursor = 0; (left = strmap_next(&s.silences.by_id, &cursor));)
        silence_matches(left->value, (Labels){0});
    silences_collect(&s, NOW + 1000000 * NS_PER_SEC);
    assert_int_equal(s.silences.by_id.len, 0);
    assert_int_equal(s.silences.regexes.len, 0);
    alert_state_close(&s);
}

static void test_changes(void **state)
{
    AlertState s;
    Why why = {0};
    alert_state_init(&s);
    Silence *x = add(&s, "a=b", NOW - 1000, NOW + 1000 * NS_PER_SEC), *y;
    char id[40];
    snprintf(id, sizeof id, "%s", x->id);
    assert_int_equal(x->starts_ns, NOW); /* not in the past */
    Matcher m = {.name = S("a"), .value = S("b")}, other = {.name = S("a"), .value = S("c")};
    NewSilence n = {.id = str_c(id),
                    .matchers = &m,
                    .matchers_len = 1,
                    .starts_ns = NOW,
                    .ends_ns = NOW + 5 * NS_PER_SEC};
    assert_ok(silences_set(&s, &n, NOW + 1, &y, &why), &why); /* an end may move */
    assert_string_equal(y->id, id);
    assert_int_equal(s.silences.by_id.len, 1);
    n.matchers = &other; /* another matcher is another silence; the old one ends */
    assert_ok(silences_set(&s, &n, NOW + NS_PER_SEC, &y, &why), &why);
    assert_string_not_equal(y->id, id);
    assert_int_equal(silence_state(silences_find(&s, str_c(id)), NOW + NS_PER_SEC), SILENCE_EXPIRED);
    n.id = S("11111111-1111-1111-1111-111111111111");
    assert_int_equal(silences_set(&s, &n, NOW, &y, &why), E_NOT_FOUND);
    s.silences.silences_max = 2;
    n.id = S("");
    assert_int_equal(silences_set(&s, &n, NOW, &y, &why), E_LIMIT);
    s.silences.silences_max = 0;
    s.silences.bytes_max = 100;
    assert_int_equal(silences_set(&s, &n, NOW, &y, &why), E_LIMIT);
    s.silences.bytes_max = 0;
    Matcher empty = {.name = S("a"), .value = S("")};
    n.matchers = &empty;
    assert_int_equal(silences_set(&s, &n, NOW, &y, &why), E_INVALID);
    Matcher bad = {.name = S("a"), .value = S("["), .op = MATCH_RE};
    n.matchers = &bad;
    assert_int_not_equal(silences_set(&s, &n, NOW, &y, &why), OK);
    alert_state_close(&s);
}

static void put(AlertState *s, int i, i64 ends)
{
    char v[16];
    snprintf(v, sizeof v, "%d", i);
    Label labels[] = {{S("alertname"), S("A")}, {S("i"), str_c(v)}};
    NewAlert n = {
        .labels = {labels, 2}, .starts_ns = NOW, .ends_ns = ends, .updated_ns = NOW, .generator_url = S("u")};
    alert_state_put(s, &n, NULL);
}

/* The log gives back what was put in, before and after it was compacted, and while that was under way. */
static void test_log(void **state)
{
    char dir[256];
    AlertState s;
    Why why = {0};
    Mutex lock;
    test_dir(dir);
    mutex_init(&lock, RANK_ALERT);
    alert_state_init(&s);
    assert_ok(alert_state_open(&s, vfs_os(), clock_real(), dir, &why), &why);
    for (int i = 0; i < 3000; i++)
        put(&s, i, NOW + i);
    Silence *x = add(&s, "a=b", NOW, NOW + 100 * NS_PER_SEC);
    char id[40];
    snprintf(id, sizeof id, "%s", x->id);
    ledger_add(&s, 5, S("r/webhook/0"), S("{}:{}"), "accepted", "7", "");
    u64 ticket = alert_state_commit(&s, true);
    assert_ok(alert_state_wait(&s, 0, ticket, &why), &why);
    assert_ok(alert_state_compact(&s, &lock, &why), &why);
    for (int i = 0; i < 1000; i++) /* changes behind the copy win */
        put(&s, i, NOW + 7777);
    Label gone[] = {{S("alertname"), S("A")}, {S("i"), S("2999")}};
    alert_state_forget(&s, alert_state_alert(&s, labels_fingerprint((Labels){gone, 2})));
    ticket = alert_state_commit(&s, true);
    assert_ok(alert_state_wait(&s, 0, ticket, &why), &why);
    for (int round = 0; round < 3; round++) {
        alert_state_close(&s);
        alert_state_init(&s);
        assert_ok(alert_state_open(&s, vfs_os(), clock_real(), dir, &why), &why);
        assert_int_equal(s.alerts.len, 2999);
        assert_int_equal(s.silences.by_id.len, 1);
        assert_int_equal(s.ledger.len, 1);
        assert_non_null(silences_find(&s, str_c(id)));
        u64 changed = 0;
        size_t cursor = 0;
        u64 key, value;
        while (u64map_next(&s.alerts, &cursor, &key, &value)) {
            const StoredAlert *a = (const StoredAlert *)(uintptr_t)value;
            assert_string_equal(a->generator_url, "u");
            changed += a->ends_ns == NOW + 7777;
        }
        assert_int_equal(changed, 1000);
        assert_ok(alert_state_compact(&s, &lock, &why), &why);
    }
    alert_state_close(&s);
    mutex_done(&lock);
    vfs_remove_tree(vfs_os(), dir, NULL);
}

/* A record that nobody can read is set aside; what stands around it holds. */
static void test_unreadable(void **state)
{
    char dir[256], path[340], log[280];
    AlertState s;
    Buf b;
    Why why = {0};
    test_dir(dir);
    snprintf(log, sizeof log, "%s/log", dir);
    alert_state_init(&s);
    assert_ok(alert_state_open(&s, vfs_os(), clock_real(), log, &why), &why);
    put(&s, 1, NOW + 1000);
    alert_state_commit(&s, true);
    alert_state_append(&s, STATE_SILENCE, S("no silence at all"), true);
    put(&s, 2, NOW + 1000);
    alert_state_wait(&s, 0, alert_state_commit(&s, true), &why);
    alert_state_close(&s);
    for (int round = 0; round < 2; round++) {
        alert_state_init(&s);
        assert_ok(alert_state_open(&s, vfs_os(), clock_real(), log, &why), &why);
        assert_int_equal(s.alerts.len, 2);
        assert_int_equal(s.silences.by_id.len, 0);
        assert_int_equal(s.unreadable, 1);
        alert_state_close(&s);
    }
    snprintf(path, sizeof path, "%s.unreadable-2", log);
    buf_init(&b, 1000);
    assert_ok(vfs_read_file(vfs_os(), path, 1000, &b, &why), &why);
    assert_str(str_skip(buf_view(&b), 4), "no silence at all");
    buf_done(&b);
    vfs_remove_tree(vfs_os(), dir, NULL);
}

static void test_post(void **state)
{
    static const struct {
        const char *body;
        int status, code;
        u32 len, invalid;
    } rows[] = {
        {"[]", 0, 0, 0, 0},
        {" [ {\"labels\":{\"b\":\"\\u00e9\\ud83d\\ude42\",\"a\":\"1\",\"e\":\"\"},\"x\":[1,{\"y\":null}]} ] ",
         0, 0, 1, 0},
        {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"0001-01-01T00:00:00.000Z\",\"endsAt\":\"9999-01-01T00:00:"
         "00Z\"}]",
         0, 0, 1, 0},
        {"[{\"labels\":{}},{\"labels\":{\"a\":\"b\"}}]", 0, 0, 1, 1},
        {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"2026-01-02T00:00:00Z\",\"endsAt\":\"2026-01-01T00:00:"
         "00Z\"}]",
         0, 0, 0, 1},
        {"[{\"labels\":{\"a\":\"\xff\"}}]", 0, 0, 0, 1},
        {"[{\"annotations\":{}}]", 422, 602, 0, 0},
        {"[{\"labels\":null}]", 422, 602, 0, 0},
        {"[{\"labels\":{\"a\":1}}]", 400, 400, 0, 0},
        {"[{\"labels\":{\"a\":\"b\"},\"endsAt\":\"soon\"}]", 400, 400, 0, 0},
        {"[{\"labels\":{\"a\":\"b\"}}", 400, 400, 0, 0},
        {"[{\"labels\":{\"a\":\"b\"}}]x", 400, 400, 0, 0},
        {"{}", 400, 400, 0, 0},
        {"", 400, 400, 0, 0},
        {"[{\"labels\":{\"a\":\"b\\q\"}}]", 400, 400, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Arena arena;
        NewAlert *at = NULL;
        u32 n = 0, invalid = 0;
        char why[300] = "";
        PostError e = {0};
        arena_init(&arena, NULL, 16 << 20);
        Err err = post_read_alerts(str_c(rows[i].body), NOW, 1000, &arena, &at, &n, &invalid, why, &e);
        if ((err == OK) != !rows[i].status || e.status != rows[i].status || e.code != rows[i].code ||
            (err == OK && (n != rows[i].len || invalid != rows[i].invalid)) || (invalid && !why[0]))
            fail_msg("%s: %d %d %s, %u and %u", rows[i].body, e.status, e.code, e.text, n, invalid);
        if (i == 1) {
            assert_int_equal(at[0].labels.len, 2);
            assert_str(at[0].labels.at[0].name, "a");
            assert_str(at[0].labels.at[1].value, "\xc3\xa9\xf0\x9f\x99\x82");
            assert_true(at[0].is_timeout);
            assert_int_equal(at[0].ends_ns, NOW + NS_PER_SEC);
        }
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_index), cmocka_unit_test(test_changes),
                                       cmocka_unit_test(test_log), cmocka_unit_test(test_unreadable),
                                       cmocka_unit_test(test_post)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
