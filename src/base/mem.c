#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>

static void out_of_memory(size_t n)
{
    check_failed(__FILE__, __LINE__, "memory", "the system has no %zu bytes left for us\n", n);
}

void *mem_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

void *mem_realloc(void *at, size_t n)
{
    void *p = realloc(at, n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strdup(Str s)
{
    char *p = mem_alloc(s.len + 1);
    if (s.len)
        memcpy(p, s.at, s.len);
    p[s.len] = 0;
    return p;
}

Str mem_dup(Str s)
{
    return (Str){mem_strdup(s), s.len};
}

bool secret_eq(Secret a, Str guess)
{
    if (a.hidden.len != guess.len)
        return false;
    u8 differ = 0;
    for (size_t i = 0; i < guess.len; i++)
        differ |= (u8)(a.hidden.at[i] ^ guess.at[i]);
    return differ == 0;
}

/* ---- accounts ---- */

struct Account {
    const char *name;
    Account *parent;
    _Atomic size_t used, peak, limit;
};

Account *account_new(const char *name, Account *parent, size_t limit)
{
    Account *a = mem_new(Account);
    a->name = name;
    a->parent = parent;
    a->limit = limit;
    return a;
}

void account_free(Account *a)
{
    if (!a)
        return;
    check(a->used == 0);
    mem_free(a);
}

Err account_charge(Account *a, size_t bytes, Why *why)
{
    for (Account *at = a; at; at = at->parent) {
        size_t used = atomic_fetch_add(&at->used, bytes) + bytes;
        size_t limit = at->limit;
        if (limit && used > limit) {
            for (Account *undo = a;; undo = undo->parent) {
                atomic_fetch_sub(&undo->used, bytes);
                if (undo == at)
                    break;
            }
            return why_set(why, at == a ? E_LIMIT : E_BUSY,
                           "memory limit of %s reached: %zu of %zu bytes in use, %zu more wanted", at->name,
                           used - bytes, limit, bytes);
        }
        size_t peak = at->peak;
        while (used > peak && !atomic_compare_exchange_weak(&at->peak, &peak, used))
            ;
    }
    return OK;
}

void account_uncharge(Account *a, size_t bytes)
{
    for (; a; a = a->parent) {
        size_t before = atomic_fetch_sub(&a->used, bytes);
        check(before >= bytes);
    }
}

size_t account_used(const Account *a)
{
    return a->used;
}

size_t account_peak(const Account *a)
{
    return a->peak;
}

void account_set_limit(Account *a, size_t limit)
{
    a->limit = limit;
}

/* ---- arenas ---- */

enum { ARENA_FIRST_BYTES = 4096, ARENA_BLOCK_BYTES_MAX = 1 << 20, ARENA_SMALL = 64 << 10 };

struct ArenaBlock {
    ArenaBlock *next; /* older */
    size_t bytes;     /* with this header */
    size_t charged;
    _Alignas(16) char data[];
};

void arena_init(Arena *a, Account *account, size_t limit)
{
    *a = (Arena){
        .account = account, .limit = limit ? limit : (size_t)1 << 30, .next_block_bytes = ARENA_FIRST_BYTES};
}

static void block_free(Arena *a, ArenaBlock *b)
{
    if (a->account && b->charged)
        account_uncharge(a->account, b->charged);
    a->used -= b->bytes;
    free(b);
}

void arena_done(Arena *a)
{
    while (a->blocks) {
        ArenaBlock *older = a->blocks->next;
        block_free(a, a->blocks);
        a->blocks = older;
    }
    *a = (Arena){0};
}

void arena_reset(Arena *a)
{
    if (!a->blocks) {
        a->is_over = false;
        return;
    }
    while (a->blocks->next) {
        ArenaBlock *older = a->blocks->next;
        block_free(a, a->blocks);
        a->blocks = older;
    }
    a->at = a->blocks->data;
    a->end = (char *)a->blocks + a->blocks->bytes;
    a->is_over = false;
    a->next_block_bytes = ARENA_FIRST_BYTES * 2;
}

/* A block with room for n bytes. must: the caller takes no NULL, so the arena goes over its limit instead. */
static bool arena_grow(Arena *a, size_t n, bool must)
{
    if (!a->next_block_bytes) /* zero-initialised */
        a->next_block_bytes = ARENA_FIRST_BYTES, a->limit = a->limit ? a->limit : (size_t)1 << 30;
    size_t bytes = MAX((size_t)a->next_block_bytes, n + sizeof(ArenaBlock));
    size_t charged = 0;
    if (a->used + bytes > a->limit)
        a->is_over = true;
    else if (a->account) {
        if (account_charge(a->account, bytes, NULL) == OK)
            charged = bytes;
        else
            a->is_over = true;
    }
    if (a->is_over) {
        if (!must)
            return false;
        bytes = n + sizeof(ArenaBlock) + 4096;
    }
    ArenaBlock *b = mem_alloc(bytes);
    *b = (ArenaBlock){.next = a->blocks, .bytes = bytes, .charged = charged};
    a->blocks = b;
    a->used += bytes;
    a->at = b->data;
    a->end = (char *)b + bytes;
    if (a->next_block_bytes < ARENA_BLOCK_BYTES_MAX)
        a->next_block_bytes *= 2;
    return true;
}

static inline void *arena_take(Arena *a, size_t n)
{
    void *p = a->at;
    a->at += n;
    return p;
}

void *arena_alloc(Arena *a, size_t n)
{
    check(n <= ARENA_SMALL);
    n = (n + 15) & ~(size_t)15;
    if ((size_t)(a->end - a->at) < n)
        arena_grow(a, n, true);
    return arena_take(a, n);
}

void *arena_zalloc(Arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    memset(p, 0, n);
    return p;
}

void *arena_try(Arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) {
        a->is_over = true;
        return NULL;
    }
    n = (n + 15) & ~(size_t)15;
    if ((size_t)(a->end - a->at) < n && !arena_grow(a, n, false))
        return NULL;
    return arena_take(a, n);
}

size_t arena_used(const Arena *a)
{
    return a->used;
}

Str arena_dup(Arena *a, Str s)
{
    char *p = arena_try(a, s.len + 1);
    if (!p)
        return S("");
    if (s.len)
        memcpy(p, s.at, s.len);
    p[s.len] = 0;
    return (Str){p, s.len};
}

Str arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_try(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p ? (Str){p, (size_t)n} : S("");
}

/* ---- buffers ---- */

void buf_init(Buf *b, size_t max)
{
    *b = (Buf){.max = max};
}

void buf_done(Buf *b)
{
    free(b->at);
    *b = (Buf){0};
}

void buf_release(Buf *b)
{
    free(b->at);
    *b = (Buf){.max = b->max};
}

void buf_clear(Buf *b)
{
    b->len = 0;
    b->over = false;
}

bool buf_reserve(Buf *b, size_t extra)
{
    if (b->cap - b->len >= extra)
        return true;
    if (b->over || extra > b->max || b->len > b->max - extra) {
        b->over = true;
        return false;
    }
    size_t cap = MAX(b->cap * 2, b->len + extra);
    cap = MIN(MAX(cap, (size_t)64), b->max);
    b->at = mem_realloc(b->at, cap + 1); /* room for buf_cstr's NUL */
    b->cap = cap;
    return true;
}

void buf_put(Buf *b, const void *at, size_t n)
{
    if (n && buf_reserve(b, n)) {
        memcpy(b->at + b->len, at, n);
        b->len += n;
    }
}

void buf_str(Buf *b, Str s)
{
    buf_put(b, s.at, s.len);
}

void buf_c(Buf *b, const char *c)
{
    buf_put(b, c, strlen(c));
}

void buf_char(Buf *b, char c)
{
    if (buf_reserve(b, 1))
        b->at[b->len++] = c;
}

void buf_vprintf(Buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    char small[256];
    int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n >= 0 && (size_t)n < sizeof small)
        buf_put(b, small, (size_t)n);
    else if (n >= 0 && buf_reserve(b, (size_t)n)) {
        vsnprintf(b->at + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_printf(Buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_drop(Buf *b, size_t n)
{
    check(n <= b->len);
    memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

const char *buf_cstr(Buf *b)
{
    if (!b->at)
        return "";
    b->at[b->len] = 0;
    return b->at;
}
