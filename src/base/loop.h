/* The event loop: readiness (libuv underneath), timers from our own heap over the clock seam, and a mailbox.
 *
 * One loop, one thread. Everything but loop_post, loop_stop and loop_wake must be called on the loop's thread (or before it
 * runs). Callbacks must not block: disk, DNS, bcrypt and queries go to pools, which come back through loop_post.
 */
#pragma once
#include "base/clock.h"
#include "base/err.h"

typedef struct Loop Loop;
Loop *loop_new(Clock *clock);
void loop_free(Loop *l);
void loop_run(Loop *l);                       /* until loop_stop */
void loop_run_once(Loop *l, i64 max_wait_ms); /* for tests and drains */
void loop_stop(Loop *l);                      /* from any thread, also from a signal handler */
/* Runs fn(arg) on the loop's thread soon. From any thread. Never fails (the mailbox is bounded by its senders). */
void loop_post(Loop *l, void (*fn)(void *arg), void *arg);
/* The same, and waits until it has run; called directly when the caller is on the loop's thread (or it does not run yet). */
void loop_call(Loop *l, void (*fn)(void *arg), void *arg);
void loop_wake(Loop *l); /* from any thread: look at the clock again (a virtual clock was moved) */
Clock *loop_clock(Loop *l);
bool loop_is_here(Loop *l); /* is the caller on this loop's thread? */

/* Timers: one-shot, embedded in their owner. Fire at or after the mono time, in order of time, then of start. */
typedef struct Timer {
    void (*fn)(void *arg);
    void *arg;
    i64 at_mono_ns;
    u64 seq;
    u32 heap_index; /* 0 = not started */
} Timer;
void timer_init(Timer *t, void (*fn)(void *arg), void *arg);
void timer_start(Loop *l, Timer *t, i64 at_mono_ns); /* moves it when already started */
void timer_start_in_ms(Loop *l, Timer *t, i64 ms);
void timer_stop(Loop *l, Timer *t); /* fine when not started */
static inline bool timer_is_started(const Timer *t)
{
    return t->heap_index != 0;
}

/* Readiness of a file descriptor (level-triggered). The owner closes the fd after loop_fd_del. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef struct LoopFd LoopFd;
LoopFd *loop_fd_add(Loop *l, int fd, int events, void (*fn)(void *arg, int events), void *arg);
void loop_fd_set(LoopFd *f, int events);
void loop_fd_del(LoopFd *f); /* no callback after this; safe inside its own callback */

/* SIGHUP and friends, delivered on the loop. */
void loop_on_signal(Loop *l, int signo, void (*fn)(void *arg), void *arg);
