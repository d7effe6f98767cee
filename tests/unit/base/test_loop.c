#include "test.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Trace {
    Loop *loop;
    char text[256];
    u32 len;
} Trace;
typedef struct Mark {
    Trace *trace;
    Timer timer;
    char name;
    int repeat;
    i64 repeat_in_ms;
} Mark;

static void mark_fire(void *arg)
{
    Mark *m = arg;
    m->trace->text[m->trace->len++] = m->name;
    if (m->repeat-- > 0)
        timer_start_in_ms(m->trace->loop, &m->timer, m->repeat_in_ms);
}
static void mark_init(Mark *m, Trace *t, char name)
{
    *m = (Mark){.trace = t, .name = name};
    timer_init(&m->timer, mark_fire, m);
}

static void test_virtual_timers_fire_in_order(void **state)
{
    VirtualClock vc;
    virtual_clock_init(&vc, 0);
    Trace t = {.loop = loop_new(&vc.clock)};
    Mark m[6];
    for (int i = 0; i < 6; i++)
        mark_init(&m[i], &t, (char)('a' + i));
    timer_start_in_ms(t.loop, &m[0].timer, 3000);
    timer_start_in_ms(t.loop, &m[1].timer, 1000);
    timer_start_in_ms(t.loop, &m[2].timer, 2000);
    timer_start_in_ms(t.loop, &m[3].timer, 1000); /* same time as b: after it */
    timer_start_in_ms(t.loop, &m[4].timer, 500);
    timer_start_in_ms(t.loop, &m[5].timer, 600);
    timer_stop(t.loop, &m[5].timer);
    timer_stop(t.loop, &m[5].timer);
    assert_false(timer_is_started(&m[5].timer));
    timer_start_in_ms(t.loop, &m[4].timer, 2500); /* moved */
    loop_run_once(t.loop, 0);
    assert_string_equal(t.text, "");
    virtual_clock_advance(&vc, 2000 * NS_PER_MS);
    loop_wake(t.loop);
    loop_run_once(t.loop, 0);
    assert_string_equal(t.text, "bdc");
    virtual_clock_advance(&vc, 40 * 60 * NS_PER_SEC);
    loop_wake(t.loop);
    loop_run_once(t.loop, 0);
    assert_string_equal(t.text, "bdcea");
    assert_false(timer_is_started(&m[0].timer));
    loop_free(t.loop);
}

static void test_timer_restarting_for_now_does_not_starve(void **state)
{
    VirtualClock vc;
    virtual_clock_init(&vc, 0);
    Trace t = {.loop = loop_new(&vc.clock)};
    Mark a, b;
    mark_init(&a, &t, 'a');
    mark_init(&b, &t, 'b');
    a.repeat = 5;
    timer_start_in_ms(t.loop, &a.timer, 0);
    timer_start_in_ms(t.loop, &b.timer, 0);
    loop_run_once(t.loop, 0);
    assert_string_equal(t.text, "ab");
    for (int i = 0; i < 10; i++)
        loop_run_once(t.loop, 0);
    assert_string_equal(t.text, "abaaaaa");
    loop_free(t.loop);
}

static void count_up(void *arg)
{
    ++*(u8 *)arg;
}
/* Random starts, moves and stops against a sorted model. */
static void test_heap_against_model(void **state)
{
    enum { N = 200 };
    VirtualClock vc;
    virtual_clock_init(&vc, 0);
    Loop *l = loop_new(&vc.clock);
    static u8 fired[N];
    Timer timers[N];
    i64 at[N];
    memset(fired, 0, sizeof fired);
    for (int i = 0; i < N; i++)
        at[i] = -1;
    for (int i = 0; i < N; i++)
        timer_init(&timers[i], count_up, &fired[i]);
    u64 x = 12345;
    i64 now = 0;
    for (int round = 0; round < 20000; round++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int i = (int)((x >> 33) % N);
        switch ((x >> 20) & 3) {
        case 0:
        case 1:
            at[i] = now + 1 + (i64)((x >> 40) % 1000);
            timer_start(l, &timers[i], at[i]);
            break;
        case 2:
            at[i] = -1;
            timer_stop(l, &timers[i]);
            break;
        default:
            now += (i64)((x >> 50) % 20);
            virtual_clock_advance(&vc, now - clock_mono_ns(&vc.clock));
            now = clock_mono_ns(&vc.clock);
            loop_run_once(l, 0);
            for (int k = 0; k < N; k++) {
                bool due = at[k] >= 0 && at[k] <= now;
                assert_int_equal(fired[k], due);
                assert_int_equal(timer_is_started(&timers[k]), at[k] > now);
                if (due)
                    at[k] = -1;
                fired[k] = 0;
            }
        }
    }
    loop_free(l);
}
static void test_real_timer_fires_after_its_time(void **state)
{
    Trace t = {.loop = loop_new(clock_real())};
    Mark a;
    mark_init(&a, &t, 'a');
    a.repeat = 3;
    a.repeat_in_ms = 5;
    i64 start = clock_mono_ns(clock_real());
    timer_start_in_ms(t.loop, &a.timer, 5);
    while (t.len < 4)
        loop_run_once(t.loop, 1000);
    assert_true(clock_mono_ns(clock_real()) - start >= 20 * NS_PER_MS);
    loop_free(t.loop);
}

enum { POSTS = 5000 };
typedef struct Poster {
    Loop *loop;
    int count; /* on the loop only */
    int last[4];
    bool in_order;
} Poster;
typedef struct Posted {
    Poster *to;
    int thread, n;
} Posted;
static void on_posted(void *arg)
{
    Posted *p = arg;
    p->to->in_order = p->to->in_order && p->n == p->to->last[p->thread] + 1 && loop_is_here(p->to->loop);
    p->to->last[p->thread] = p->n;
    if (++p->to->count == 4 * POSTS)
        loop_stop(p->to->loop);
    mem_free(p);
}
typedef struct PostThread {
    Poster *to;
    int thread;
} PostThread;
static void *post_all(void *arg)
{
    PostThread *t = arg;
    for (int i = 1; i <= POSTS; i++) {
        Posted *p = mem_new(Posted);
        *p = (Posted){t->to, t->thread, i};
        loop_post(t->to->loop, on_posted, p);
    }
    return NULL;
}
static void test_mail_from_threads(void **state)
{
    Poster to = {.loop = loop_new(clock_real()), .in_order = true};
    PostThread args[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        args[i] = (PostThread){&to, i};
        assert_int_equal(thread_start(&threads[i], "poster", post_all, &args[i]), OK);
    }
    loop_run(to.loop);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(to.count, 4 * POSTS);
    assert_true(to.in_order);
    loop_free(to.loop);
}

static void post_again(void *arg)
{
    Trace *t = arg;
    t->text[t->len++] = 'x';
    if (t->len < 3)
        loop_post(t->loop, post_again, t);
}
static void test_mail_posted_by_mail_and_left_at_free(void **state)
{
    Trace t = {.loop = loop_new(clock_real())};
    loop_post(t.loop, post_again, &t);
    loop_run_once(t.loop, 0);
    assert_string_equal(t.text, "x");
    loop_run_once(t.loop, 100);
    assert_string_equal(t.text, "xx");
    loop_free(t.loop); /* what is posted runs */
    assert_string_equal(t.text, "xxx");
}

typedef struct Pipe {
    Loop *loop;
    LoopFd *fd;
    int fds[2];
    int reads, writes, closed;
} Pipe;
static void on_pipe(void *arg, int events)
{
    Pipe *p = arg;
    if (events & LOOP_WRITE) {
        p->writes++;
        loop_fd_set(p->fd, LOOP_READ);
    }
    if (events & LOOP_READ) {
        char c;
        ssize_t n = read(p->fds[0], &c, 1);
        if (n == 1) {
            p->reads++;
        } else {
            p->closed++;
            loop_fd_del(p->fd); /* inside its own callback */
        }
    }
}
static void test_readiness(void **state)
{
    Pipe p = {.loop = loop_new(clock_real())};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fds), 0);
    p.fd = loop_fd_add(p.loop, p.fds[0], LOOP_READ | LOOP_WRITE, on_pipe, &p);
    loop_run_once(p.loop, 1000);
    assert_int_equal(p.writes, 1);
    assert_int_equal(write(p.fds[1], "ab", 2), 2);
    loop_run_once(p.loop, 1000);
    loop_run_once(p.loop, 1000); /* level-triggered: the second byte */
    assert_int_equal(p.reads, 2);
    loop_fd_set(p.fd, 0);
    assert_int_equal(write(p.fds[1], "c", 1), 1);
    loop_run_once(p.loop, 0);
    loop_run_once(p.loop, 0);
    assert_int_equal(p.reads, 2);
    loop_fd_set(p.fd, LOOP_READ);
    loop_run_once(p.loop, 1000);
    assert_int_equal(p.reads, 3);
    close(p.fds[1]);
    loop_run_once(p.loop, 1000);
    assert_int_equal(p.closed, 1);
    close(p.fds[0]);
    loop_run_once(p.loop, 0);
    loop_free(p.loop);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}
static void test_signal_and_stop(void **state)
{
    Loop *l = loop_new(clock_real());
    loop_on_signal(l, SIGHUP, stop_loop, l);
    raise(SIGHUP);
    loop_run(l);
    loop_stop(l); /* before it runs: returns at once */
    loop_run(l);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virtual_timers_fire_in_order),
        cmocka_unit_test(test_timer_restarting_for_now_does_not_starve),
        cmocka_unit_test(test_heap_against_model),
        cmocka_unit_test(test_real_timer_fires_after_its_time),
        cmocka_unit_test(test_mail_from_threads),
        cmocka_unit_test(test_mail_posted_by_mail_and_left_at_free),
        cmocka_unit_test(test_readiness),
        cmocka_unit_test(test_signal_and_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
