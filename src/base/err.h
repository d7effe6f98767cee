/* Errors: one enum, one table to HTTP and gRPC statuses, and a sentence for the person.
 *
 * Functions that can fail return Err; outputs come through ret_ parameters, untouched on failure.
 * An optional `Why *` (last parameter, may be NULL) receives the sentence and, for text that a person wrote,
 * its position. Broken invariants are not errors: check() aborts with a report, in release builds too.
 */
#pragma once
#include "base/str.h"
#include <stdarg.h>
#include <stdlib.h>

typedef enum Err {
    OK = 0,
    E_INVALID, /* the caller's input is wrong */
    E_PARSE,   /* text or bytes do not follow their format */
    E_NOT_FOUND,
    E_EXISTS,       /* lost the race to create */
    E_CONFLICT,     /* duplicate sample with another value, stale revision */
    E_TOO_OLD,      /* outside retention or the out-of-order window */
    E_UNAUTHORIZED, /* no or wrong credentials */
    E_FORBIDDEN,    /* known, but not allowed */
    E_UNSUPPORTED,  /* valid, but not built yet or not the right media type */
    E_TOO_LARGE,    /* body, message or decoded size over its limit */
    E_LIMIT,        /* tenant's or request's limit: slow down or ask for less */
    E_BUSY,         /* queue full, server over budget: try again later */
    E_TIMEOUT,
    E_CANCELED,
    E_UNAVAILABLE, /* not ready, peer down, shutting down */
    E_NOSPACE,     /* the disk is full */
    E_IO,
    E_CORRUPT,
    E_GAP,     /* positions missing in a log */
    E_UNKNOWN, /* may or may not have happened */
    E_CLOSED,
    E_EXEC, /* a query failed while executing */
    E_INTERNAL,
    ERR_COUNT
} Err;

const char *err_name(Err e); /* "too_large": metric label, log field */
int err_http_status(Err e);
int err_grpc_status(Err e);

typedef struct Why {
    Err err;
    u32 line, col;   /* 1-based; 0 = no position */
    char file[256];  /* empty = none */
    char text[1024]; /* whole sentence, without position; always NUL-terminated */
} Why;

/* Records the sentence (when why is not NULL) and returns e: `return why_set(why, E_PARSE, "...", ...)`.
 * A second call replaces the first. */
Err why_set(Why *why, Err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
Err why_at(Why *why, Err e, u32 line, u32 col, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The call and then e itself, so that compilers and analyzers see that a function which ends so does not return OK. */
#define why_set(why, e, ...)                                                                                 \
    ({                                                                                                       \
        Err why_e_ = (e);                                                                                    \
        err_after((why_set)((why), why_e_, __VA_ARGS__), why_e_);                                            \
    })
#define why_at(why, e, line, col, ...)                                                                       \
    ({                                                                                                       \
        Err why_e_ = (e);                                                                                    \
        err_after((why_at)((why), why_e_, (line), (col), __VA_ARGS__), why_e_);                              \
    })
static inline Err err_after(Err said, Err e)
{
    (void)said;
    return e;
}
/* Puts a prefix ("reading wal/00001: ") before the sentence already there. Returns why->err. */
Err why_prefix(Why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "file:line:col: text" (parts that are known). Returns buf. */
char *why_print(const Why *why, char *buf, size_t cap);

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        Err try_err_ = (call);                                                                               \
        if (try_err_ != OK)                                                                                  \
            return try_err_;                                                                                 \
    } while (0)

/* Invariants. check stays on in release; debug_check only in debug and sanitizer builds. */
void check_failed(const char *file, int line, const char *expr, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 4, 5)));
#define check(expr)                                                                                          \
    do {                                                                                                     \
        if (__builtin_expect(!(expr), 0))                                                                    \
            check_failed(__FILE__, __LINE__, #expr, NULL);                                                   \
    } while (0)
#ifdef NDEBUG
#define debug_check(expr) ((void)0)
#else
#define debug_check(expr) check(expr)
#endif
/* Called by check_failed before abort, e.g. to print the last WAL sequence. */
void check_set_reporter(void (*fn)(void *arg), void *arg);
