#include "test.h"

#include "store_conformance.h"

/* ---- ilog ---- */

typedef struct Seen {
    u64 n, sum, last;
    u64 stop_after; /* 0 = never */
    Str want;       /* bytes every record must have, when set */
} Seen;

static Err see(void *arg, LogPos at, const LogRecord *r, Why *why)
{
    Seen *s = arg;
    assert_true(s->last == 0 || at.seq == s->last + 1);
    s->last = at.seq;
    s->n++;
    s->sum += hash_bytes(r->bytes.at, r->bytes.len, r->type);
    if (s->want.at)
        assert_true(str_eq(r->bytes, s->want));
    return s->stop_after && s->n == s->stop_after ? why_set(why, E_CANCELED, "enough") : OK;
}

static u64 put(ILog *l, u32 lane, u32 type, Str bytes)
{
    Why why = {0};
    LogPos at = {0};
    assert_ok(ilog_append_wait(l, &(LogRecord){.lane = lane, .type = type, .bytes = bytes}, &at, &why), &why);
    assert_true(at.epoch != 0);
    return at.seq;
}

static ILog *open_log(const ILogSuite *s)
{
    ILog *l = NULL;
    Why why = {0};
    assert_ok(s->open(s->arg, &l, &why), &why);
    return l;
}

static Seen read_all(ILog *l, u32 lane, u64 from)
{
    Seen seen = {0};
    Why why = {0};
    assert_ok(ilog_read(l, lane, (LogPos){0, from}, see, &seen, &why), &why);
    return seen;
}

static void positions_are_dense_per_lane(const ILogSuite *s)
{
    ILog *l = open_log(s);
    LogPos tail;
    assert_int_equal(ilog_tail(l, 3, &tail), OK);
    assert_int_equal(tail.seq, 1);
    u64 epoch = tail.epoch;
    for (u64 i = 1; i <= 20; i++) {
        assert_int_equal(put(l, 3, 1, S("three")), i);
        if (i % 2 == 0)
            assert_int_equal(put(l, 70000, 2, S("seventy thousand")), i / 2);
    }
    assert_int_equal(read_all(l, 3, 0).n, 20);
    assert_int_equal(read_all(l, 70000, 0).n, 10);
    assert_int_equal(read_all(l, 3, 15).n, 6);
    assert_int_equal(read_all(l, 3, 21).n, 0);
    assert_int_equal(read_all(l, 99, 0).n, 0);
    ilog_close(l);
    l = open_log(s);
    assert_int_equal(ilog_tail(l, 3, &tail), OK);
    assert_int_equal(tail.seq, 21);
    assert_true(tail.epoch == epoch);
    assert_int_equal(read_all(l, 3, 0).n, 20);
    assert_int_equal(put(l, 3, 1, S("")), 21);
    ilog_close(l);
}

static void bytes_come_back(const ILogSuite *s)
{
    ILog *l = open_log(s);
    enum { N = 60 };
    u64 sum = 0;
    for (u32 i = 0; i < N; i++) {
        size_t len = i < 40 ? i : (size_t)i * 4999;
        char *bytes = mem_alloc(len + 1);
        for (size_t k = 0; k < len; k++)
            bytes[k] = (char)hash_bytes(&k, sizeof k, i);
        sum += hash_bytes(bytes, len, i);
        put(l, 1, i, str_of(bytes, len));
        mem_free(bytes);
    }
    assert_true(read_all(l, 1, 0).sum == sum);
    ilog_close(l);
    l = open_log(s);
    Seen seen = read_all(l, 1, 0);
    assert_int_equal(seen.n, N);
    assert_true(seen.sum == sum);
    Seen few = {.stop_after = 7};
    Why why;
    assert_int_equal(ilog_read(l, 1, (LogPos){0}, see, &few, &why), E_CANCELED);
    assert_string_equal(why.text, "enough");
    assert_int_equal(few.n, 7);
    ilog_close(l);
}

typedef struct Done {
    _Atomic u64 calls, ok, last, out_of_order, duplicates;
} Done;

static void count_done(void *arg, Err e, LogPos at, bool duplicate)
{
    Done *d = arg;
    d->calls++;
    if (e != OK)
        return;
    d->ok++;
    d->duplicates += duplicate;
    if (!duplicate && at.seq <= d->last)
        d->out_of_order++;
    d->last = MAX(d->last, at.seq);
}

static void done_comes_once_and_in_order(const ILogSuite *s)
{
    ILog *l = open_log(s);
    Done d = {0};
    u64 calls = 0;
    for (u32 i = 0; i < 5000; i++, calls++)
        ilog_append(l, &(LogRecord){.lane = 1, .bytes = S("x")}, i % 3 == 0, count_done, &d);
    Why why;
    assert_ok(ilog_sync(l, &why), &why);
    assert_int_equal(d.calls, calls); /* the barrier comes after them */
    assert_int_equal(d.ok, calls);
    assert_int_equal(d.out_of_order, 0);
    assert_int_equal(read_all(l, 1, 0).n, calls);
    ilog_close(l);
}

static void closing_commits_what_is_queued(const ILogSuite *s)
{
    ILog *l = open_log(s);
    Done d = {0};
    for (u32 i = 0; i < 300; i++)
        ilog_append(l, &(LogRecord){.lane = 1, .bytes = S("queued")}, i == 7, count_done, &d);
    ilog_close(l);
    assert_int_equal(d.ok, 300);
    l = open_log(s);
    assert_int_equal(read_all(l, 1, 0).n, 300);
    ilog_close(l);
}

static Err put_from(ILog *l, u32 lane, const char *producer, u64 seq, Done *d)
{
    u64 calls = d->calls;
    ilog_append(
        l, &(LogRecord){.producer = str_c(producer), .producer_seq = seq, .lane = lane, .bytes = S("once")},
        true, count_done, d);
    Why why;
    Err e = ilog_sync(l, &why);
    assert_true(d->calls == calls + 1);
    return e;
}

static void a_producer_is_stored_once(const ILogSuite *s)
{
    ILog *l = open_log(s);
    Done d = {0};
    for (u64 seq = 100; seq < 110; seq++)
        assert_int_equal(put_from(l, 1, "rule-group", seq, &d), OK);
    assert_int_equal(d.duplicates, 0);
    for (u64 seq = 105; seq < 108; seq++)
        put_from(l, 1, "rule-group", seq, &d);
    assert_int_equal(d.duplicates, 3);
    put_from(l, 1, "other-group", 105, &d); /* another producer */
    put_from(l, 2, "rule-group", 105, &d);  /* another lane */
    put_from(l, 1, "rule-group", 7, &d);    /* an older number that never came */
    assert_int_equal(d.duplicates, 3);
    assert_int_equal(read_all(l, 1, 0).n, 12);
    /* Twice in one batch. */
    for (u32 i = 0; i < 100; i++)
        ilog_append(l,
                    &(LogRecord){.producer = S("twice"), .producer_seq = i / 2, .lane = 1, .bytes = S("b")},
                    true, count_done, &d);
    Why why;
    assert_ok(ilog_sync(l, &why), &why);
    assert_int_equal(d.duplicates, 53);
    ilog_close(l);
    l = open_log(s); /* the window is rebuilt */
    put_from(l, 1, "rule-group", 109, &d);
    put_from(l, 1, "twice", 49, &d);
    assert_int_equal(d.duplicates, 55);
    assert_int_equal(read_all(l, 1, 0).n, 62);
    ilog_close(l);
}

static void trimmed_positions_are_gaps(const ILogSuite *s)
{
    ILog *l = open_log(s);
    Why why;
    char big[4096];
    memset(big, 'b', sizeof big);
    for (u32 i = 0; i < 200; i++) {
        put(l, 1, 0, str_of(big, sizeof big));
        put(l, 2, 0, S("small"));
    }
    ILogHealth before = ilog_health(l);
    assert_ok(ilog_trim(l, 1, (LogPos){0, 150}, &why), &why);
    assert_int_equal(read_all(l, 2, 0).n, 200); /* the other lane still needs them */
    assert_ok(ilog_trim(l, 2, (LogPos){0, 201}, &why), &why);
    Seen kept = read_all(l, 1, 150);
    assert_int_equal(kept.n, 51);
    ILogHealth after = ilog_health(l);
    Seen none = {0};
    assert_true(after.bytes <= before.bytes);
    if (after.bytes < before.bytes) { /* an engine may keep them longer */
        assert_int_equal(ilog_read(l, 1, (LogPos){0, 1}, see, &none, &why), E_GAP);
        assert_non_null(strstr(why.text, "lane 1"));
        assert_int_equal(none.n, 0);
    }
    assert_int_equal(ilog_read(l, 1, (LogPos){0, 202}, see, &none, &why), E_GAP); /* past the tail */
    LogPos tail;
    ilog_tail(l, 1, &tail);
    assert_int_equal(ilog_read(l, 1, (LogPos){tail.epoch + 1, 200}, see, &none, &why),
                     E_GAP); /* another epoch */
    ilog_close(l);
    l = open_log(s);
    assert_int_equal(read_all(l, 1, 150).n, 51);
    assert_int_equal(put(l, 2, 0, S("next")), 201); /* positions go on though all were trimmed */
    ilog_close(l);
}

static void a_trim_past_the_tail_moves_it(const ILogSuite *s)
{
    ILog *l = open_log(s);
    Why why;
    put(l, 5, 0, S("a"));
    put(l, 6, 0, S("x"));
    assert_ok(ilog_trim(l, 5, (LogPos){0, 40}, &why), &why);
    LogPos tail;
    ilog_tail(l, 5, &tail);
    assert_int_equal(tail.seq, 40);
    assert_int_equal(read_all(l, 5, 40).n, 0);
    assert_int_equal(put(l, 5, 0, S("b")), 40);
    ilog_close(l);
    l = open_log(s);
    assert_int_equal(put(l, 5, 0, S("c")), 41);
    assert_int_equal(read_all(l, 5, 40).n, 2);
    assert_int_equal(put(l, 6, 0, S("y")), 2);
    assert_int_equal(read_all(l, 6, 0).n, 2);
    ilog_close(l);
}

static void what_cannot_be_stored_is_refused(const ILogSuite *s)
{
    ILog *l = open_log(s);
    Why why;
    char name[65];
    memset(name, 'n', sizeof name);
    assert_int_equal(ilog_append_wait(l, &(LogRecord){.producer = str_of(name, 65), .lane = 1}, NULL, &why),
                     E_INVALID);
    assert_int_equal(ilog_append_wait(l, &(LogRecord){.lane = UINT32_MAX}, NULL, &why), E_INVALID);
    char *huge = mem_zalloc((32 << 20) + 1);
    assert_int_equal(
        ilog_append_wait(l, &(LogRecord){.lane = 1, .bytes = str_of(huge, (32 << 20) + 1)}, NULL, &why),
        E_TOO_LARGE);
    mem_free(huge);
    assert_int_equal(put(l, 1, 0, S("and it still works")), 1);
    ilog_close(l);
}

typedef struct Racer {
    ILog *l;
    u32 lane;
    u64 got;
} Racer;

static void *race(void *arg)
{
    Racer *r = arg;
    Why why;
    for (u32 i = 0; i < 200; i++) {
        LogPos at;
        char bytes[64];
        int n = snprintf(bytes, sizeof bytes, "%u of lane %u", i, r->lane);
        if (ilog_append_wait(r->l, &(LogRecord){.lane = r->lane, .bytes = str_of(bytes, (size_t)n)}, &at,
                             &why) == OK)
            r->got += at.seq == i + 1u;
    }
    return NULL;
}

static void writers_and_readers_run_side_by_side(const ILogSuite *s)
{
    ILog *l = open_log(s);
    Racer racers[4];
    pthread_t threads[4];
    for (u32 i = 0; i < 4; i++) {
        racers[i] = (Racer){l, i, 0};
        assert_int_equal(thread_start(&threads[i], "racer", race, &racers[i]), OK);
    }
    for (u32 i = 0; i < 50; i++) {
        LogPos tail;
        ilog_tail(l, i % 4, &tail);
        assert_true(read_all(l, i % 4, 0).n + 1 >= tail.seq); /* strong: what the tail said is there */
    }
    for (u32 i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].got, 200);
        assert_int_equal(read_all(l, i, 0).n, 200);
    }
    ilog_close(l);
}

void ilog_conformance(const ILogSuite *s)
{
    static void (*const tests[])(const ILogSuite *) = {
        positions_are_dense_per_lane,        bytes_come_back,
        done_comes_once_and_in_order,        closing_commits_what_is_queued,
        a_producer_is_stored_once,           trimmed_positions_are_gaps,
        a_trim_past_the_tail_moves_it,       what_cannot_be_stored_is_refused,
        writers_and_readers_run_side_by_side};
    for (size_t i = 0; i < COUNT_OF(tests); i++) {
        s->clear(s->arg);
        tests[i](s);
    }
}

/* ---- bucket ---- */

static Bucket *open_bucket(const BucketSuite *s)
{
    Bucket *b = NULL;
    Why why = {0};
    assert_ok(s->open(s->arg, &b, &why), &why);
    return b;
}

static void assert_object(Bucket *b, Str key, Str want)
{
    Buf out;
    Why why = {0};
    buf_init(&out, 1 << 24);
    assert_ok(bucket_get(b, key, 0, UINT64_MAX, &out, deadline_none(), &why), &why);
    assert_true(str_eq(buf_view(&out), want));
    buf_done(&out);
}

static void objects_come_back_and_stay(const BucketSuite *s)
{
    Bucket *b = open_bucket(s);
    Why why = {0};
    Buf out;
    buf_init(&out, 1000);
    ObjMeta m;
    assert_int_equal(bucket_head(b, S("a/b"), &m, deadline_none(), &why), E_NOT_FOUND);
    assert_int_equal(bucket_get(b, S("a/b"), 0, 1, &out, deadline_none(), &why), E_NOT_FOUND);
    assert_ok(bucket_put_bytes(b, S("a/b"), S("0123456789"), deadline_none(), &why), &why);
    assert_ok(bucket_put_bytes(b, S("empty"), S(""), deadline_none(), &why), &why);
    assert_object(b, S("a/b"), S("0123456789"));
    assert_object(b, S("empty"), S(""));
    assert_ok(bucket_get(b, S("a/b"), 3, 4, &out, deadline_none(), &why), &why);
    assert_ok(bucket_get(b, S("a/b"), 10, 0, &out, deadline_none(), &why), &why);
    assert_str(buf_view(&out), "3456");
    assert_int_equal(bucket_get(b, S("a/b"), 8, 3, &out, deadline_none(), &why), E_CORRUPT); /* short */
    assert_int_equal(bucket_get(b, S("a/b"), UINT64_MAX, 3, &out, deadline_none(), &why), E_CORRUPT);
    assert_str(buf_view(&out), "3456");
    assert_ok(bucket_head(b, S("a/b"), &m, deadline_none(), &why), &why);
    assert_int_equal(m.bytes, 10);
    assert_int_equal(bucket_head(b, S("a"), &m, deadline_none(), &why),
                     E_NOT_FOUND); /* a directory is no object */
    assert_int_equal(bucket_get(b, S("a"), 0, 0, &out, deadline_none(), &why), E_NOT_FOUND);
    /* Never overwritten. */
    assert_int_equal(bucket_put_bytes(b, S("a/b"), S("other"), deadline_none(), &why), E_EXISTS);
    assert_int_equal(bucket_create(b, S("a/b"), S("other"), deadline_none(), &why), E_EXISTS);
    assert_object(b, S("a/b"), S("0123456789"));
    bucket_close(b);
    b = open_bucket(s);
    assert_object(b, S("a/b"), S("0123456789"));
    assert_ok(bucket_delete(b, S("a/b"), deadline_none(), &why), &why);
    assert_ok(bucket_delete(b, S("a/b"), deadline_none(), &why), &why); /* absent is fine */
    assert_int_equal(bucket_head(b, S("a/b"), &m, deadline_none(), &why), E_NOT_FOUND);
    assert_ok(bucket_create(b, S("a/b"), S("new life"), deadline_none(), &why), &why);
    assert_object(b, S("a/b"), S("new life"));
    buf_clear(&out);
    Buf small;
    buf_init(&small, 3);
    assert_int_equal(bucket_get(b, S("a/b"), 0, UINT64_MAX, &small, deadline_none(), &why), E_TOO_LARGE);
    buf_done(&small);
    buf_done(&out);
    bucket_close(b);
}

typedef struct Stream {
    u64 left, at, fail_at;
} Stream;

static Err stream(void *arg, u8 *at, size_t cap, size_t *ret_n, Why *why)
{
    Stream *s = arg;
    size_t n = MIN(cap, (size_t)s->left);
    if (s->fail_at && s->at + n > s->fail_at)
        return why_set(why, E_CANCELED, "the source broke off");
    for (size_t i = 0; i < n; i++)
        at[i] = (u8)((s->at + i) * 31 >> 3);
    s->left -= n;
    s->at += n;
    *ret_n = n;
    return OK;
}

static void a_put_is_all_or_nothing(const BucketSuite *s)
{
    Bucket *b = open_bucket(s);
    Why why = {0};
    Stream whole = {.left = 3000001};
    ObjMeta m;
    assert_ok(bucket_put(b, S("parts/00/big"), stream, &whole, &m, deadline_none(), &why), &why);
    assert_int_equal(m.bytes, 3000001);
    Buf out;
    buf_init(&out, 4 << 20);
    assert_ok(bucket_get(b, S("parts/00/big"), 1000003, 64, &out, deadline_none(), &why), &why);
    for (u64 i = 0; i < 64; i++)
        assert_int_equal((u8)out.at[i], (u8)((1000003 + i) * 31 >> 3));
    buf_done(&out);
    Stream broken = {.left = 3000001, .fail_at = 2000000};
    assert_int_equal(bucket_put(b, S("parts/00/broken"), stream, &broken, NULL, deadline_none(), &why),
                     E_CANCELED);
    assert_int_equal(bucket_head(b, S("parts/00/broken"), &m, deadline_none(), &why), E_NOT_FOUND);
    VirtualClock clock;
    virtual_clock_init(&clock, NS_PER_SEC);
    Deadline d = deadline_in_ms(&clock.clock, 10);
    virtual_clock_advance(&clock, NS_PER_SEC);
    Stream late = {.left = 10};
    assert_int_equal(bucket_put(b, S("late"), stream, &late, NULL, d, &why), E_TIMEOUT);
    assert_int_equal(bucket_head(b, S("late"), &m, deadline_none(), &why), E_NOT_FOUND);
    assert_ok(bucket_put_bytes(b, S("parts/00/broken"), S("now"), deadline_none(), &why), &why);
    const u8 *at;
    u64 bytes;
    File *f;
    Err e = bucket_map(b, S("parts/00/broken"), &at, &bytes, &f, &why);
    if (e != E_UNSUPPORTED) {
        assert_ok(e, &why);
        assert_true(bytes == 3 && memcmp(at, "now", 3) == 0);
        bucket_unmap(b, f, at, bytes);
        assert_int_equal(bucket_map(b, S("absent"), &at, &bytes, &f, &why), E_NOT_FOUND);
    }
    bucket_close(b);
}

typedef struct Keys {
    char text[4096];
    u32 stop_after, n;
} Keys;

static bool take_key(void *arg, Str key, const ObjMeta *m)
{
    Keys *k = arg;
    assert_true(m->bytes == 1);
    size_t len = strlen(k->text);
    snprintf(k->text + len, sizeof k->text - len, "%.*s ", STR_FMT(key));
    return ++k->n != k->stop_after;
}

static void assert_list(Bucket *b, const char *prefix, const char *after, u32 stop_after, const char *want)
{
    Keys k = {.stop_after = stop_after};
    Why why = {0};
    assert_ok(bucket_list(b, str_c(prefix), str_c(after), take_key, &k, deadline_none(), &why), &why);
    assert_string_equal(k.text, want);
}

static void listings_are_sorted_by_bytes(const BucketSuite *s)
{
    Bucket *b = open_bucket(s);
    Why why = {0};
    assert_list(b, "", "", 0, "");
    static const char *const keys[] = {"a/b/c", "a.b", "a/b.c",     "a-b",       "a/b/a", "ab",
                                       "a0",    "Z",   "m/x/00002", "m/x/00001", "b/c"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_ok(bucket_put_bytes(b, str_c(keys[i]), S("x"), deadline_none(), &why), &why);
    assert_list(b, "", "", 0, "Z a-b a.b a/b.c a/b/a a/b/c a0 ab b/c m/x/00001 m/x/00002 ");
    assert_list(b, "a/", "", 0, "a/b.c a/b/a a/b/c ");
    assert_list(b, "a/b", "a/b/a", 0, "a/b/c ");
    assert_list(b, "", "a/b/", 3, "a/b/a a/b/c a0 ");
    assert_list(b, "m/x/", "m/x/00001", 0, "m/x/00002 ");
    assert_list(b, "m/x/0000", "", 1, "m/x/00001 ");
    assert_list(b, "nothing/", "", 0, "");
    assert_ok(bucket_delete(b, S("a/b/a"), deadline_none(), &why), &why);
    assert_list(b, "a/b", "", 0, "a/b.c a/b/c ");
    bucket_close(b);
}

static void bad_keys_are_refused(const BucketSuite *s)
{
    Bucket *b = open_bucket(s);
    Why why;
    char longest[514];
    memset(longest, 'k', sizeof longest);
    static const char *const keys[] = {"",
                                       "/a",
                                       "a//b",
                                       "a/../b",
                                       "..",
                                       "a/",
                                       "a b",
                                       ".tmp/x",
                                       "a/.hidden",
                                       "a\\b",
                                       "a\tb",
                                       "a%2f",
                                       "ä",
                                       "a\nb",
                                       "a:b",
                                       "a/./b",
                                       "1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/0/1"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        assert_int_equal(bucket_put_bytes(b, str_c(keys[i]), S("x"), deadline_none(), &why), E_INVALID);
        assert_int_equal(bucket_delete(b, str_c(keys[i]), deadline_none(), &why), E_INVALID);
    }
    assert_int_equal(bucket_put_bytes(b, str_of(longest, 513), S("x"), deadline_none(), &why), E_INVALID);
    assert_int_equal(bucket_put_bytes(b, str_of("a\0b", 3), S("x"), deadline_none(), &why), E_INVALID);
    assert_list(b, "", "", 0, "");
    bucket_close(b);
}

typedef struct Creator {
    Bucket *b;
    u32 id, won;
} Creator;

static void *create_all(void *arg)
{
    Creator *c = arg;
    Why why;
    for (u32 i = 0; i < 100; i++) {
        char key[32], body[32];
        snprintf(key, sizeof key, "race/%02u/%03u", i % 7, i);
        snprintf(body, sizeof body, "%u", c->id);
        Err e = bucket_create(c->b, str_c(key), str_c(body), deadline_none(), &why);
        c->won += e == OK;
        if (e != OK && e != E_EXISTS)
            c->won += 1000000;
    }
    return NULL;
}

static void one_creator_wins(const BucketSuite *s)
{
    enum { N = 4 };
    Creator c[N];
    pthread_t t[N];
    for (u32 i = 0; i < N; i++) {
        c[i] = (Creator){open_bucket(s), i, 0};
        assert_int_equal(thread_start(&t[i], "creator", create_all, &c[i]), OK);
    }
    u32 won = 0;
    for (u32 i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
        won += c[i].won;
    }
    assert_int_equal(won, 100);
    u32 owned[N] = {0};
    for (u32 i = 0; i < 100; i++) {
        char key[32];
        snprintf(key, sizeof key, "race/%02u/%03u", i % 7, i);
        Buf out;
        Why why = {0};
        buf_init(&out, 100);
        assert_ok(bucket_get(c[0].b, str_c(key), 0, UINT64_MAX, &out, deadline_none(), &why), &why);
        assert_true(out.len == 1 && out.at[0] >= '0' && out.at[0] < '0' + N);
        owned[out.at[0] - '0']++;
        buf_done(&out);
    }
    for (u32 i = 0; i < N; i++) {
        assert_int_equal(owned[i], c[i].won);
        bucket_close(c[i].b);
    }
}

void bucket_conformance(const BucketSuite *s)
{
    static void (*const tests[])(const BucketSuite *) = {objects_come_back_and_stay, a_put_is_all_or_nothing,
                                                         listings_are_sorted_by_bytes, bad_keys_are_refused,
                                                         one_creator_wins};
    for (size_t i = 0; i < COUNT_OF(tests); i++) {
        s->clear(s->arg);
        tests[i](s);
    }
}
