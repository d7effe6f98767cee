/* Drawing in a process of its own: the spec goes in, a picture comes out, and whatever goes wrong there stays there. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chart/chart.h"

enum { CHILD_MS_MAX = 10000, CHILD_CPU_S = 8, SENTENCE_MAX = 512 };

/* ---- the child ---- */
static Str read_all(int fd, Buf *b)
{
    for (;;) {
        char piece[16384];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return buf_view(b);
        buf_put(b, piece, (size_t)n);
        if (buf_over(b))
            return buf_view(b);
    }
}

static void write_all(int fd, Str s)
{
    while (s.len) {
        ssize_t n = write(fd, s.at, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        s = str_skip(s, (size_t)n);
    }
}

int chart_child(int in, int out)
{
    signal(SIGXFSZ, SIG_IGN); /* the font library may want to write a cache */
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_CPU, &(struct rlimit){CHILD_CPU_S, CHILD_CPU_S});
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    Buf text, png;
    Arena arena;
    Why why = {0};
    ChartSpec spec;
    buf_init(&text, CHART_SPEC_MAX + 1);
    buf_init(&png, CHART_PNG_MAX);
    arena_init(&arena, NULL, 256 << 20);
    Err e = chart_spec_parse(read_all(in, &text), &arena, &spec, &why);
    if (e == OK)
        e = chart_render(&spec, &png, &why);
    write_all(out, e == OK ? buf_view(&png) : str_c(why.text));
    arena_done(&arena);
    buf_done(&png);
    buf_done(&text);
    return e != OK;
}

/* ---- the parent ---- */
static Err start(const char *program, int socket, pid_t *ret, Why *why)
{
    /* The font library reads its own configuration and nothing of ours. */
    char *argv[] = {"pharos", "draw", "--child", NULL};
    char *env[] = {"PATH=/usr/bin:/bin", "HOME=/nonexistent", "XDG_CACHE_HOME=/nonexistent", "LC_ALL=C.UTF-8",
                   NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_adddup2(&files, socket, 0);
    posix_spawn_file_actions_adddup2(&files, socket, 1);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    int rc = posix_spawn(ret, program ? program : "/proc/self/exe", &files, &attr, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return rc ? why_set(why, E_UNAVAILABLE, "chart: the process that draws does not start: %s", strerror(rc))
              : OK;
}

/* Sends the spec and takes the answer, both at once, until the child closes. False: it took too long or said too much. */
static bool converse(int fd, Str spec, Buf *answer)
{
    i64 end = clock_mono_ms(clock_real()) + CHILD_MS_MAX;
    for (;;) {
        i64 left = end - clock_mono_ms(clock_real());
        struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (spec.len ? POLLOUT : 0))};
        if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
            return false;
        if (p.revents & POLLOUT && spec.len) {
            ssize_t n = send(fd, spec.at, spec.len, MSG_NOSIGNAL | MSG_DONTWAIT);
            spec = n > 0                                        ? str_skip(spec, (size_t)n)
                   : n < 0 && errno != EAGAIN && errno != EINTR ? (Str){0}
                                                                : spec;
            if (!spec.len)
                shutdown(fd, SHUT_WR);
        }
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            char piece[16384];
            ssize_t n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
            if (n == 0)
                return true;
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return errno == ECONNRESET;
            if (n > 0)
                buf_put(answer, piece, (size_t)n);
            if (buf_over(answer))
                return false;
        }
    }
}

Err chart_draw(const char *program, const ChartSpec *spec, Buf *png, Why *why)
{
    int pair[2];
    pid_t child;
    Buf text;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return why_set(why, E_UNAVAILABLE, "chart: %s", strerror(errno));
    buf_init(&text, CHART_SPEC_MAX);
    chart_spec_print(spec, &text);
    Err e = buf_over(&text) ? why_set(why, E_TOO_LARGE, "chart: the description is over 8 MiB")
                            : start(program, pair[1], &child, why);
    close(pair[1]);
    if (e == OK) {
        bool all = converse(pair[0], buf_view(&text), png);
        int status = 0;
        if (!all)
            kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (!all)
            e = why_set(why, E_TIMEOUT, "chart: not drawn within %d s or over %d MiB", CHILD_MS_MAX / 1000,
                        CHART_PNG_MAX >> 20);
        else if (WIFSIGNALED(status))
            e = why_set(why, E_INTERNAL, "chart: the process that draws died of signal %d", WTERMSIG(status));
        else if (WEXITSTATUS(status))
            e = why_set(why, E_EXEC, "%.*s", png->len ? (int)MIN(png->len, (size_t)SENTENCE_MAX) : 16,
                        png->len ? png->at : "chart: not drawn");
    }
    close(pair[0]);
    buf_done(&text);
    return e;
}
