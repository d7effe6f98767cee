/* Memory: three lifetimes.
 *
 * process   mem_alloc & co: never return NULL (out of memory aborts with a report), freed with mem_free.
 * arena     per request, query, compaction, scrape. A hard byte limit with a soft landing:
 *           arena_alloc never returns NULL. Past the limit it still serves small pieces (<= 64 KiB) but the arena
 *           becomes `over`, and loops must test arena_over() between batches and give up with E_LIMIT.
 *           Large pieces come from arena_try, which returns NULL past the limit: test it.
 *           Reset keeps the first block. Not thread-safe: one arena, one thread at a time.
 * account   a counted budget shared by arenas and buffers (a process has a root; queries, requests, caches are
 *           children). account_charge fails with E_LIMIT (own limit) or E_BUSY (an ancestor's limit).
 */
#pragma once
#include "base/err.h"

void *mem_alloc(size_t n); /* uninitialised */
void *mem_zalloc(size_t n);
void *mem_realloc(void *p, size_t n);
void mem_free(void *p);  /* NULL is fine */
char *mem_strdup(Str s); /* NUL-terminated copy */
Str mem_dup(Str s);      /* free with mem_free((void *)r.at); also NUL-terminated */
#define mem_new(T) ((T *)mem_zalloc(sizeof(T)))

typedef struct Account Account;
/* limit 0 = unlimited. parent may be NULL. name is kept (static string) and used in error sentences. */
Account *account_new(const char *name, Account *parent, size_t limit);
void account_free(Account *a); /* must be at zero use */
Err account_charge(Account *a, size_t bytes, Why *why);
void account_uncharge(Account *a, size_t bytes);
size_t account_used(const Account *a);
size_t account_peak(const Account *a);
void account_set_limit(Account *a, size_t limit);

typedef struct ArenaBlock ArenaBlock;
typedef struct Arena {
    ArenaBlock *blocks;
    char *at, *end; /* free part of the current block */
    size_t used, limit;
    Account *account;
    bool is_over;
    u32 next_block_bytes;
} Arena;

/* limit 0 = 1 GiB. account may be NULL. */
void arena_init(Arena *a, Account *account, size_t limit);
void arena_reset(Arena *a);
void arena_done(Arena *a);
void *arena_alloc(Arena *a, size_t n);             /* 16-aligned, uninitialised; n <= 64 KiB; never NULL */
void *arena_zalloc(Arena *a, size_t n);            /* likewise, zeroed */
[[nodiscard]] void *arena_try(Arena *a, size_t n); /* any size; NULL past the limit */
static inline bool arena_over(const Arena *a)
{
    return a->is_over;
}
size_t arena_used(const Arena *a);
Str arena_dup(Arena *a, Str s); /* copy, also NUL-terminated; empty Str past the limit */
Str arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define arena_new(a, T)      ((T *)arena_zalloc((a), sizeof(T)))
#define arena_array(a, T, n) ((T *)arena_try((a), sizeof(T) * (size_t)(n)))

/* A growable byte buffer whose maximum is fixed at birth. Writing past it sets `over` and drops the bytes, so a
 * writer may run to its end and test buf_over() once. Owned; buf_done frees. len bytes are valid; at may be NULL. */
typedef struct Buf {
    char *at;
    size_t len, cap, max;
    bool over;
} Buf;

void buf_init(Buf *b, size_t max);
void buf_done(Buf *b);
void buf_clear(Buf *b);                 /* keeps memory */
void buf_release(Buf *b);               /* gives the memory back, keeps the limit: for what idles */
bool buf_reserve(Buf *b, size_t extra); /* room for extra bytes; false (and over) past max */
void buf_put(Buf *b, const void *at, size_t n);
void buf_str(Buf *b, Str s);
void buf_c(Buf *b, const char *c);
void buf_char(Buf *b, char c);
void buf_printf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(Buf *b, const char *fmt, va_list ap);
void buf_drop(Buf *b, size_t n); /* removes the first n bytes */
static inline bool buf_over(const Buf *b)
{
    return b->over;
}
static inline Str buf_view(const Buf *b)
{
    return (Str){b->at ? b->at : "", b->len};
}
const char *buf_cstr(Buf *b); /* NUL-terminates in place (not counted) */

/* A secret: no printer, no log field and no JSON writer takes it, so it cannot leak by accident. Only the code that
 * must send or compare it calls secret_reveal. A status page prints SECRET_TEXT. */
typedef struct Secret {
    Str hidden;
} Secret;
#define SECRET_TEXT "<secret>"
static inline Str secret_reveal(Secret s)
{
    return s.hidden;
}
static inline bool secret_is_set(Secret s)
{
    return s.hidden.len != 0;
}
bool secret_eq(Secret a, Str guess); /* constant time for equal lengths */
