/* libuv gives readiness, wake-ups and one alarm; timers and mail are ours.
 *
 * Before each poll the alarm is set to the first timer of the heap (prepare), after it the due ones fire (check), so
 * starting and moving timers costs no call into libuv. A virtual clock moves only when someone says so, hence the
 * alarm is not set for it: loop_wake makes the poll return and the check sees the new time.
 */
#include "base/loop.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/vec.h"
#include <uv.h>

enum {
    /* The alarm counts CLOCK_MONOTONIC, our clock counts suspend too: look again at least this often. */
    ALARM_MAX_MS = 10000,
    SIGNALS_MAX = 8,
};

typedef struct Mail {
    void (*fn)(void *arg);
    void *arg;
} Mail;

typedef VEC(Mail) MailVec;

typedef struct LoopSignal {
    uv_signal_t uv;
    void (*fn)(void *arg);
    void *arg;
} LoopSignal;

struct Loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t alarm, once;
    uv_prepare_t prepare;
    uv_check_t check;
    Clock *clock;
    VEC(Timer *) heap; /* [0] unused: heap_index 0 means not started */
    u64 timer_seq;
    i64 armed_at; /* what the alarm is set for; INT64_MAX = off */

    Mutex mutex;
    MailVec mail;    /* under mutex */
    MailVec reading; /* being run */
    bool is_roused;  /* under mutex: the async was sent for what is in mail */

    LoopSignal signals[SIGNALS_MAX];
    u32 signals_len;
    pthread_t thread;
    _Atomic bool has_thread;
    _Atomic bool stop;
};

struct LoopFd {
    uv_poll_t uv;
    void (*fn)(void *arg, int events);
    void *arg;
    int events;
};

/* ---- timers ---- */

static bool timer_before(const Timer *a, const Timer *b)
{
    return a->at_mono_ns != b->at_mono_ns ? a->at_mono_ns < b->at_mono_ns : a->seq < b->seq;
}

static void heap_place(Loop *l, Timer *t, u32 i)
{
    l->heap.at[i] = t;
    t->heap_index = i;
}

static void heap_up(Loop *l, Timer *t, u32 i)
{
    while (i > 1 && timer_before(t, l->heap.at[i / 2])) {
        heap_place(l, l->heap.at[i / 2], i);
        i /= 2;
    }
    heap_place(l, t, i);
}

static void heap_down(Loop *l, Timer *t, u32 i)
{
    u32 n = (u32)l->heap.len;
    for (;;) {
        u32 child = 2 * i;
        if (child >= n)
            break;
        if (child + 1 < n && timer_before(l->heap.at[child + 1], l->heap.at[child]))
            child++;
        if (!timer_before(l->heap.at[child], t))
            break;
        heap_place(l, l->heap.at[child], i);
        i = child;
    }
    heap_place(l, t, i);
}

void timer_init(Timer *t, void (*fn)(void *arg), void *arg)
{
    *t = (Timer){.fn = fn, .arg = arg};
}

void timer_stop(Loop *l, Timer *t)
{
    u32 i = t->heap_index;
    if (i == 0)
        return;
    debug_check(l->heap.at[i] == t);
    Timer *last = l->heap.at[--l->heap.len];
    t->heap_index = 0;
    if (last == t)
        return;
    if (i > 1 && timer_before(last, l->heap.at[i / 2]))
        heap_up(l, last, i);
    else
        heap_down(l, last, i);
}

void timer_start(Loop *l, Timer *t, i64 at_mono_ns)
{
    debug_check(loop_is_here(l));
    timer_stop(l, t);
    t->at_mono_ns = at_mono_ns;
    t->seq = l->timer_seq++;
    vec_push(&l->heap, t);
    heap_up(l, t, (u32)l->heap.len - 1);
}

void timer_start_in_ms(Loop *l, Timer *t, i64 ms)
{
    timer_start(l, t, clock_mono_ns(l->clock) + ms * NS_PER_MS);
}

/* At most one round of the timers that were there, so that one restarting itself for now cannot starve the rest. */
static void run_due_timers(Loop *l)
{
    if (l->heap.len <= 1)
        return;
    i64 now = clock_mono_ns(l->clock);
    for (size_t left = l->heap.len - 1; left && l->heap.len > 1; left--) {
        Timer *t = l->heap.at[1];
        if (t->at_mono_ns > now)
            return;
        timer_stop(l, t);
        t->fn(t->arg);
    }
}

/* ---- libuv callbacks ---- */

static void on_alarm(uv_timer_t *h)
{
    Loop *l = h->data;
    l->armed_at = INT64_MAX;
}

static void run_mail(Loop *l)
{
    mutex_lock(&l->mutex);
    MailVec full = l->mail;
    l->mail = l->reading;
    l->reading = (MailVec){0};
    l->is_roused = false;
    mutex_unlock(&l->mutex);
    for (size_t i = 0; i < full.len; i++)
        full.at[i].fn(full.at[i].arg);
    full.len = 0;
    if (full.cap > 4096)
        vec_done(&full);
    l->reading = full;
}

/* What the loop's own thread posted: nobody had to wake it for that. True: it posted more meanwhile, which comes after a poll. */
static bool run_own_mail(Loop *l)
{
    mutex_lock(&l->mutex);
    bool has_mail = l->mail.len && !l->is_roused;
    mutex_unlock(&l->mutex);
    if (!has_mail)
        return false;
    run_mail(l);
    mutex_lock(&l->mutex);
    bool has_more = l->mail.len && !l->is_roused;
    mutex_unlock(&l->mutex);
    return has_more;
}

static void arm(Loop *l, u64 wait_ms, i64 at)
{
    uv_update_time(&l->uv);
    uv_timer_start(&l->alarm, on_alarm, wait_ms, 0);
    l->armed_at = at;
}

static void on_prepare(uv_prepare_t *h)
{
    Loop *l = h->data;
    if (run_own_mail(l)) {
        arm(l, 0, 0);
        return;
    }
    i64 first = l->heap.len > 1 ? l->heap.at[1]->at_mono_ns : INT64_MAX;
    if (first == l->armed_at && first == INT64_MAX)
        return;
    if (first == INT64_MAX) {
        uv_timer_stop(&l->alarm);
        l->armed_at = INT64_MAX;
        return;
    }
    i64 now = clock_mono_ns(l->clock);
    if (first > now && l->clock != clock_real()) {
        uv_timer_stop(&l->alarm);
        l->armed_at = INT64_MAX;
        return;
    }
    if (first == l->armed_at && first > now)
        return;
    i64 wait_ms = first <= now ? 0 : (first - now + NS_PER_MS - 1) / NS_PER_MS;
    if (wait_ms > ALARM_MAX_MS) {
        wait_ms = ALARM_MAX_MS;
        first = now + wait_ms * NS_PER_MS;
    }
    arm(l, (u64)wait_ms, first);
}

static void on_check(uv_check_t *h)
{
    run_due_timers(h->data);
}

static void on_async(uv_async_t *h)
{
    Loop *l = h->data;
    run_mail(l);
    if (l->stop)
        uv_stop(&l->uv);
}

static void on_once(uv_timer_t *h) {}

/* ---- the loop ---- */

Loop *loop_new(Clock *clock)
{
    Loop *l = mem_new(Loop);
    l->clock = clock;
    l->armed_at = INT64_MAX;
    vec_push(&l->heap, NULL);
    mutex_init(&l->mutex, RANK_QUEUE);
    check(uv_loop_init(&l->uv) == 0);
    check(uv_async_init(&l->uv, &l->async, on_async) == 0);
    uv_timer_init(&l->uv, &l->alarm);
    uv_timer_init(&l->uv, &l->once);
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    l->async.data = l->alarm.data = l->once.data = l->prepare.data = l->check.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    return l;
}

void loop_free(Loop *l)
{
    if (!l)
        return;
    while (l->mail.len)
        run_mail(l);
    for (size_t i = 1; i < l->heap.len; i++)
        l->heap.at[i]->heap_index = 0;
    l->heap.len = 1;
    for (u32 i = 0; i < l->signals_len; i++)
        uv_close((uv_handle_t *)&l->signals[i].uv, NULL);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_close((uv_handle_t *)&l->alarm, NULL);
    uv_close((uv_handle_t *)&l->once, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    check(uv_loop_close(&l->uv) == 0); /* a LoopFd was left behind */
    vec_done(&l->heap);
    vec_done(&l->mail);
    vec_done(&l->reading);
    mutex_done(&l->mutex);
    mem_free(l);
}

static void own_thread(Loop *l)
{
    l->thread = pthread_self();
    l->has_thread = true;
}

void loop_run(Loop *l)
{
    own_thread(l);
    while (!l->stop)
        uv_run(&l->uv, UV_RUN_DEFAULT);
    l->stop = false;
}

void loop_run_once(Loop *l, i64 max_wait_ms)
{
    own_thread(l);
    if (max_wait_ms <= 0) {
        uv_run(&l->uv, UV_RUN_NOWAIT);
        return;
    }
    uv_update_time(&l->uv);
    uv_timer_start(&l->once, on_once, (u64)max_wait_ms, 0);
    uv_run(&l->uv, UV_RUN_ONCE);
    uv_timer_stop(&l->once);
}

void loop_stop(Loop *l)
{
    l->stop = true;
    uv_async_send(&l->async);
}

void loop_post(Loop *l, void (*fn)(void *arg), void *arg)
{
    mutex_lock(&l->mutex);
    vec_push(&l->mail, (Mail){fn, arg});
    bool is_own = l->has_thread && pthread_equal(l->thread, pthread_self());
    bool is_first = !is_own && !l->is_roused;
    l->is_roused |= is_first;
    mutex_unlock(&l->mutex);
    if (is_first)
        uv_async_send(&l->async);
}

void loop_wake(Loop *l)
{
    uv_async_send(&l->async);
}

Clock *loop_clock(Loop *l)
{
    return l->clock;
}

bool loop_is_here(Loop *l)
{
    return !l->has_thread || pthread_equal(l->thread, pthread_self());
}

/* ---- calls from other threads ---- */
typedef struct LoopCall {
    void (*fn)(void *arg);
    void *arg;
    Mutex lock;
    Cond cond;
    bool done;
} LoopCall;

static void loop_call_run(void *arg)
{
    LoopCall *c = arg;
    c->fn(c->arg);
    mutex_lock(&c->lock);
    c->done = true;
    cond_signal(&c->cond);
    mutex_unlock(&c->lock);
}

void loop_call(Loop *l, void (*fn)(void *arg), void *arg)
{
    if (loop_is_here(l)) {
        fn(arg);
        return;
    }
    LoopCall c = {.fn = fn, .arg = arg};
    mutex_init(&c.lock, RANK_LEAF);
    cond_init(&c.cond);
    loop_post(l, loop_call_run, &c);
    mutex_lock(&c.lock);
    while (!c.done)
        cond_wait(&c.cond, &c.lock);
    mutex_unlock(&c.lock);
    cond_done(&c.cond);
    mutex_done(&c.lock);
}

/* ---- readiness ---- */

static int to_uv_events(int events)
{
    return (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0);
}

/* An error makes whatever was asked for ready: the owner's read or write then tells what happened. libuv has stopped
 * the watcher by then, so the next loop_fd_set must start it anew. */
static void on_ready(uv_poll_t *h, int status, int uv_events)
{
    LoopFd *f = h->data;
    int events = (uv_events & UV_READABLE ? LOOP_READ : 0) | (uv_events & UV_WRITABLE ? LOOP_WRITE : 0);
    if (status < 0) {
        events = f->events;
        f->events = 0;
    }
    f->fn(f->arg, events);
}

LoopFd *loop_fd_add(Loop *l, int fd, int events, void (*fn)(void *arg, int events), void *arg)
{
    debug_check(loop_is_here(l));
    LoopFd *f = mem_new(LoopFd);
    f->fn = fn;
    f->arg = arg;
    check(uv_poll_init(&l->uv, &f->uv, fd) == 0);
    f->uv.data = f;
    loop_fd_set(f, events);
    return f;
}

void loop_fd_set(LoopFd *f, int events)
{
    if (f->events == events)
        return;
    f->events = events;
    if (events)
        check(uv_poll_start(&f->uv, to_uv_events(events), on_ready) == 0);
    else
        uv_poll_stop(&f->uv);
}

static void on_fd_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

void loop_fd_del(LoopFd *f)
{
    if (!f)
        return;
    uv_poll_stop(&f->uv);
    uv_close((uv_handle_t *)&f->uv, on_fd_closed);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *h, int signo)
{
    LoopSignal *s = h->data;
    s->fn(s->arg);
}

void loop_on_signal(Loop *l, int signo, void (*fn)(void *arg), void *arg)
{
    check(l->signals_len < SIGNALS_MAX);
    LoopSignal *s = &l->signals[l->signals_len++];
    s->fn = fn;
    s->arg = arg;
    check(uv_signal_init(&l->uv, &s->uv) == 0);
    s->uv.data = s;
    check(uv_signal_start(&s->uv, on_signal, signo) == 0);
}
