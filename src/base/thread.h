/* Threads: ranked mutexes, pools, bounded queues.
 *
 * A thread may take a mutex only if its rank is higher than that of every mutex it holds; debug builds check this.
 * Ranks are listed here so that the order can be read in one place.
 */
#pragma once
#include "base/err.h"
#include <pthread.h>

typedef enum LockRank {
    RANK_OUTER = 10,   /* configuration, roles */
    RANK_COLLECT = 20, /* targets, scrape pools */
    RANK_RULES = 30,
    RANK_ALERT = 40,
    RANK_ENGINE = 50, /* metrics engine */
    RANK_SHARD = 60,  /* one shard of an engine */
    RANK_CATALOGUE = 70,
    RANK_STORE = 80, /* wal, bucket, manifest */
    RANK_QUEUE = 90, /* bounded queues, pools, loop mailboxes */
    RANK_LEAF = 100, /* own metrics, log */
} LockRank;

typedef struct Mutex {
    pthread_mutex_t m;
    LockRank rank;
} Mutex;
typedef struct Cond {
    pthread_cond_t c;
} Cond;
void mutex_init(Mutex *m, LockRank rank);
void mutex_done(Mutex *m);
void mutex_lock(Mutex *m);
void mutex_unlock(Mutex *m);
void cond_init(Cond *c);
void cond_done(Cond *c);
void cond_wait(Cond *c, Mutex *m);
bool cond_wait_ms(Cond *c, Mutex *m, i64 ms); /* false on timeout; real (monotonic) time */
void cond_signal(Cond *c);
void cond_broadcast(Cond *c);

typedef struct RwLock {
    pthread_rwlock_t l;
} RwLock; /* leaf use only: take no other lock inside */
void rwlock_init(RwLock *l);
void rwlock_done(RwLock *l);
void rwlock_read(RwLock *l);
void rwlock_write(RwLock *l);
void rwlock_unlock(RwLock *l);

Err thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg);

/* A pool of threads over one bounded queue. */
typedef struct Pool Pool;
Pool *pool_new(const char *name, u32 threads, u32 queue_max);
/* E_BUSY when the queue is full, E_CLOSED after pool_free began. */
Err pool_submit(Pool *p, void (*fn)(void *arg), void *arg);
void pool_free(Pool *p); /* runs what is queued, then joins; NULL is fine */
u32 pool_queued(Pool *p);

/* Cooperative cancellation: set from any thread, tested between batches. */
typedef struct Cancel {
    _Atomic bool is_set;
} Cancel;
static inline void cancel_set(Cancel *c)
{
    c->is_set = true;
}
static inline bool cancel_is_set(Cancel *c)
{
    return c && c->is_set;
}
