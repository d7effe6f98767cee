#include "base/err.h"

#include <stdio.h>
#include <unistd.h>

static const struct {
    const char *name;
    short http, grpc;
} err_table[ERR_COUNT] = {
    [OK] = {"ok", 200, 0},
    [E_INVALID] = {"invalid", 400, 3},
    [E_PARSE] = {"parse", 400, 3},
    [E_NOT_FOUND] = {"not_found", 404, 5},
    [E_EXISTS] = {"exists", 409, 6},
    [E_CONFLICT] = {"conflict", 409, 10},
    [E_TOO_OLD] = {"too_old", 400, 11},
    [E_UNAUTHORIZED] = {"unauthorized", 401, 16},
    [E_FORBIDDEN] = {"forbidden", 403, 7},
    [E_UNSUPPORTED] = {"unsupported", 501, 12},
    [E_TOO_LARGE] = {"too_large", 413, 8},
    [E_LIMIT] = {"limit", 429, 8},
    [E_BUSY] = {"busy", 503, 14},
    [E_TIMEOUT] = {"timeout", 503, 4},
    [E_CANCELED] = {"canceled", 499, 1},
    [E_UNAVAILABLE] = {"unavailable", 503, 14},
    [E_NOSPACE] = {"no_space", 507, 8},
    [E_IO] = {"io", 500, 13},
    [E_CORRUPT] = {"corrupt", 500, 15},
    [E_GAP] = {"gap", 500, 15},
    [E_UNKNOWN] = {"unknown", 500, 2},
    [E_CLOSED] = {"closed", 503, 14},
    [E_EXEC] = {"execution", 422, 9},
    [E_INTERNAL] = {"internal", 500, 13},
};
_Static_assert(COUNT_OF(err_table) == ERR_COUNT, "every error has a row");

const char *err_name(Err e)
{
    check((unsigned)e < ERR_COUNT);
    return err_table[e].name;
}

int err_http_status(Err e)
{
    check((unsigned)e < ERR_COUNT);
    return err_table[e].http;
}

int err_grpc_status(Err e)
{
    check((unsigned)e < ERR_COUNT);
    return err_table[e].grpc;
}

static Err why_vset(Why *why, Err e, u32 line, u32 col, const char *fmt, va_list ap)
{
    if (!why)
        return e;
    why->err = e;
    why->line = line;
    why->col = col;
    why->file[0] = 0;
    vsnprintf(why->text, sizeof why->text, fmt, ap);
    return e;
}

/* The functions behind the macros. */
#undef why_set
#undef why_at
Err why_set(Why *why, Err e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    why_vset(why, e, 0, 0, fmt, ap);
    va_end(ap);
    return e;
}

Err why_at(Why *why, Err e, u32 line, u32 col, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    why_vset(why, e, line, col, fmt, ap);
    va_end(ap);
    return e;
}

Err why_prefix(Why *why, const char *fmt, ...)
{
    if (!why)
        return E_INTERNAL;
    char head[sizeof why->text], tail[sizeof why->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    memcpy(tail, why->text, sizeof tail);
    size_t n = strnlen(head, sizeof head);
    memcpy(why->text, head, n);
    snprintf(why->text + n, sizeof why->text - n, "%s", tail);
    return why->err;
}

char *why_print(const Why *why, char *buf, size_t cap)
{
    size_t n = 0;
    if (why->file[0])
        n += (size_t)snprintf(buf, cap, "%s:", why->file);
    if (why->line && n < cap)
        n += (size_t)snprintf(buf + n, cap - n, why->col ? "%u:%u:" : "%u:", why->line, why->col);
    if (n < cap)
        snprintf(buf + n, cap - n, "%s%s", n ? " " : "", why->text);
    return buf;
}

static void (*reporter)(void *arg);
static void *reporter_arg;

void check_set_reporter(void (*fn)(void *arg), void *arg)
{
    reporter = fn;
    reporter_arg = arg;
}

void check_failed(const char *file, int line, const char *expr, const char *fmt, ...)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "pharos: broken invariant at %s:%d: %s\n", file, line, expr);
    if (fmt && n > 0 && (size_t)n < sizeof text) {
        va_list ap;
        va_start(ap, fmt);
        n += vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
        va_end(ap);
    }
    size_t len = MIN((size_t)MAX(n, 0), sizeof text - 1);
    if (write(2, text, len) < 0) {
        /* nothing left to tell */
    }
    if (reporter)
        reporter(reporter_arg);
    abort();
}
