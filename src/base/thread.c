#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/vec.h"

/* ---- ranked mutexes ---- */

#ifndef NDEBUG
enum { HELD_MAX = 16 };
static _Thread_local LockRank held[HELD_MAX];
static _Thread_local int held_len;

static void rank_take(LockRank rank)
{
    check(held_len < HELD_MAX);
    check(held_len == 0 || held[held_len - 1] < rank);
    held[held_len++] = rank;
}

static void rank_drop(LockRank rank)
{
    for (int i = held_len - 1; i >= 0; i--)
        if (held[i] == rank) {
            memmove(held + i, held + i + 1, sizeof(LockRank) * (size_t)(held_len - 1 - i));
            held_len--;
            return;
        }
    check(!"unlock of a mutex this thread does not hold");
}
#else
static inline void rank_take(LockRank rank)
{
    (void)rank;
}
static inline void rank_drop(LockRank rank)
{
    (void)rank;
}
#endif

void mutex_init(Mutex *m, LockRank rank)
{
    check(pthread_mutex_init(&m->m, NULL) == 0);
    m->rank = rank;
}

void mutex_done(Mutex *m)
{
    pthread_mutex_destroy(&m->m);
}

void mutex_lock(Mutex *m)
{
    rank_take(m->rank);
    check(pthread_mutex_lock(&m->m) == 0);
}

void mutex_unlock(Mutex *m)
{
    LockRank rank = m->rank; /* once it is unlocked, its owner may end its life */
    check(pthread_mutex_unlock(&m->m) == 0);
    rank_drop(rank);
}

void cond_init(Cond *c)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    check(pthread_cond_init(&c->c, &a) == 0);
    pthread_condattr_destroy(&a);
}

void cond_done(Cond *c)
{
    pthread_cond_destroy(&c->c);
}

void cond_wait(Cond *c, Mutex *m)
{
    pthread_cond_wait(&c->c, &m->m);
}

bool cond_wait_ms(Cond *c, Mutex *m, i64 ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    i64 ns = ts.tv_nsec + (ms % 1000) * 1000000;
    ts.tv_sec += ms / 1000 + ns / 1000000000;
    ts.tv_nsec = ns % 1000000000;
    return pthread_cond_timedwait(&c->c, &m->m, &ts) != ETIMEDOUT;
}

void cond_signal(Cond *c)
{
    pthread_cond_signal(&c->c);
}

void cond_broadcast(Cond *c)
{
    pthread_cond_broadcast(&c->c);
}

void rwlock_init(RwLock *l)
{
    check(pthread_rwlock_init(&l->l, NULL) == 0);
}

void rwlock_done(RwLock *l)
{
    pthread_rwlock_destroy(&l->l);
}

void rwlock_read(RwLock *l)
{
    check(pthread_rwlock_rdlock(&l->l) == 0);
}

void rwlock_write(RwLock *l)
{
    check(pthread_rwlock_wrlock(&l->l) == 0);
}

void rwlock_unlock(RwLock *l)
{
    pthread_rwlock_unlock(&l->l);
}

/* ---- threads and pools ---- */

Err thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg)
{
    /* Signals are the main loop's business; workers start with all of them blocked. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1 << 20);
    int rc = pthread_create(ret, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return E_BUSY;
    char name16[16];
    snprintf(name16, sizeof name16, "%s", name);
    pthread_setname_np(*ret, name16);
    return OK;
}

typedef struct Job {
    void (*fn)(void *arg);
    void *arg;
} Job;

struct Pool {
    Mutex lock;
    Cond wake;
    Job *ring;
    u32 cap, head, len;
    bool closing;
    pthread_t *threads;
    u32 threads_len;
};

static void *pool_main(void *arg)
{
    Pool *p = arg;
    mutex_lock(&p->lock);
    for (;;) {
        while (!p->len && !p->closing)
            cond_wait(&p->wake, &p->lock);
        if (!p->len)
            break;
        Job job = p->ring[p->head];
        p->head = (p->head + 1) % p->cap;
        p->len--;
        mutex_unlock(&p->lock);
        job.fn(job.arg);
        mutex_lock(&p->lock);
    }
    mutex_unlock(&p->lock);
    return NULL;
}

Pool *pool_new(const char *name, u32 threads, u32 queue_max)
{
    check(threads > 0 && queue_max > 0);
    Pool *p = mem_new(Pool);
    mutex_init(&p->lock, RANK_QUEUE);
    cond_init(&p->wake);
    p->ring = mem_alloc(sizeof(Job) * queue_max);
    p->cap = queue_max;
    p->threads = mem_alloc(sizeof(pthread_t) * threads);
    for (u32 i = 0; i < threads; i++) {
        check(thread_start(&p->threads[i], name, pool_main, p) == OK);
        p->threads_len++;
    }
    return p;
}

Err pool_submit(Pool *p, void (*fn)(void *arg), void *arg)
{
    mutex_lock(&p->lock);
    Err e = p->closing ? E_CLOSED : p->len == p->cap ? E_BUSY : OK;
    if (e == OK) {
        p->ring[(p->head + p->len++) % p->cap] = (Job){fn, arg};
        cond_signal(&p->wake);
    }
    mutex_unlock(&p->lock);
    return e;
}

u32 pool_queued(Pool *p)
{
    mutex_lock(&p->lock);
    u32 n = p->len;
    mutex_unlock(&p->lock);
    return n;
}

void pool_free(Pool *p)
{
    if (!p)
        return;
    mutex_lock(&p->lock);
    p->closing = true;
    cond_broadcast(&p->wake);
    mutex_unlock(&p->lock);
    for (u32 i = 0; i < p->threads_len; i++)
        pthread_join(p->threads[i], NULL);
    mutex_done(&p->lock);
    cond_done(&p->wake);
    mem_free(p->ring);
    mem_free(p->threads);
    mem_free(p);
}
