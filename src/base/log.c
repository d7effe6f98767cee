#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- logs ---- */

static _Atomic int log_min = LOG_LEVEL_INFO;
static _Atomic bool log_json;
static _Atomic int log_fd = 2;
static const char *const level_names[] = {"debug", "info", "warn", "error"};
static _Atomic(Metric *) log_counters[4];

void log_set_level(LogLevel min)
{
    log_min = (int)min;
}

void log_set_json(bool json)
{
    log_json = json;
}

void log_set_fd(int fd)
{
    log_fd = fd;
}

static bool needs_quotes(Str s)
{
    if (!s.len)
        return true;
    for (size_t i = 0; i < s.len; i++) {
        u8 c = (u8)s.at[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return true;
    }
    return false;
}

/* JSON's escapes serve logfmt too: a reader of either understands them. */
static void put_quoted(Buf *out, Str s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.len;) {
        u8 c = (u8)s.at[i];
        u32 rune;
        if (c == '"' || c == '\\') {
            buf_char(out, '\\');
            buf_char(out, (char)c);
            i++;
        } else if (c == '\n' || c == '\t' || c == '\r') {
            buf_c(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
            i++;
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\u%04x", c);
            i++;
        } else {
            size_t n = str_rune(str_skip(s, i), &rune);
            if (c >= 0x80 && n == 1)
                buf_c(out, "\xef\xbf\xbd");
            else
                buf_put(out, s.at + i, n);
            i += n;
        }
    }
    buf_char(out, '"');
}

static void put_field(Buf *out, bool json, const char *key, Str value, bool is_number)
{
    if (json) {
        buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", key);
        if (is_number)
            buf_str(out, value);
        else
            put_quoted(out, value);
        return;
    }
    buf_printf(out, "%s%s=", out->len ? " " : "", key);
    if (needs_quotes(value))
        put_quoted(out, value);
    else
        buf_str(out, value);
}

void log_write(LogLevel level, const char *component, const char *msg, const LogField *fields, size_t n)
{
    if ((int)level < log_min)
        return;
    if (!log_counters[level]) {
        char labels[32];
        snprintf(labels, sizeof labels, "level=\"%s\"", level_names[level]);
        log_counters[level] = metric_counter("pharos_log_messages_total", "Log lines written.", labels);
    }
    metric_inc(log_counters[level]);
    bool json = log_json;
    Buf line;
    buf_init(&line, 16 << 10);
    if (json)
        buf_char(&line, '{');
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    struct tm tm;
    gmtime_r(&ts.tv_sec, &tm);
    char text[64];
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(text + len, sizeof text - len, ".%03ldZ", ts.tv_nsec / 1000000);
    put_field(&line, json, "time", str_of(text, len), false);
    put_field(&line, json, "level", str_c(level_names[level]), false);
    put_field(&line, json, "component", str_c(component), false);
    put_field(&line, json, "msg", str_c(msg), false);
    for (size_t i = 0; i < n; i++) {
        const LogField *f = &fields[i];
        Str value = f->str;
        if (f->kind != LOG_F_STR) {
            int k = f->kind == LOG_F_INT ? snprintf(text, sizeof text, "%lld", (long long)f->num)
                                         : snprintf(text, sizeof text, "%g", f->dbl);
            value = str_of(text, (size_t)k);
        }
        put_field(&line, json, f->key, value, f->kind == LOG_F_INT);
    }
    if (json)
        buf_char(&line, '}');
    buf_char(&line, '\n');
    if (line.len && write(log_fd, line.at, line.len) < 0) {
        /* stderr is gone: nobody to tell */
    }
    buf_done(&line);
}
