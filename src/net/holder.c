/* Who listens on a port, for the sentence about a taken one: /proc/net/tcp has the socket's inode, /proc/PID/fd shows
 * who holds it (other users' processes only to root).
 */
#include "net/server.h"
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { PROC_BYTES_MAX = 4 << 20 };

/* "  0: 0100007F:2382 00000000:0000 0A ... inode ...": local address, state 0A = listening, tenth word the inode. */
static u64 inode_in(const char *table, u16 port)
{
    Buf b;
    u64 inode = 0;
    buf_init(&b, PROC_BYTES_MAX + 65536);
    vfs_read_file(vfs_os(), table, PROC_BYTES_MAX, &b, NULL); /* what fits is enough */
    char want[8];
    snprintf(want, sizeof want, ":%04X", port);
    Str rest = buf_view(&b), line;
    while (rest.len && !inode) {
        str_cut(rest, '\n', &line, &rest);
        Str words[10] = {0};
        for (u32 n = 0; n < COUNT_OF(words) && line.len;) {
            line = str_trim(line);
            str_cut(line, ' ', &words[n++], &line);
        }
        if (str_ends(words[1], str_c(want)) && str_eq(words[3], S("0A")))
            parse_u64(words[9], &inode);
    }
    buf_done(&b);
    return inode;
}

typedef struct Search {
    char socket[40]; /* "socket:[12345]" */
    char fd_dir[64];
    bool in_this, found;
    char *ret;
    size_t cap;
} Search;

static bool look_at_fd(void *arg, const char *name, bool is_dir)
{
    Search *s = arg;
    char path[128], to[64];
    snprintf(path, sizeof path, "%s/%.40s", s->fd_dir, name);
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n > 0 && str_eq(str_of(to, (size_t)n), str_c(s->socket)))
        s->in_this = true;
    return !s->in_this;
}

static bool look_at_process(void *arg, const char *name, bool is_dir)
{
    Search *s = arg;
    u64 pid;
    if (parse_u64(str_c(name), &pid) != OK)
        return true;
    snprintf(s->fd_dir, sizeof s->fd_dir, "/proc/%llu/fd", (unsigned long long)pid);
    s->in_this = false;
    vfs_os()->list(vfs_os(), s->fd_dir, look_at_fd, s, NULL);
    if (!s->in_this)
        return true;
    char path[64];
    Buf comm;
    snprintf(path, sizeof path, "/proc/%llu/comm", (unsigned long long)pid);
    buf_init(&comm, 4096);
    vfs_read_file(vfs_os(), path, 1024, &comm, NULL);
    snprintf(s->ret, s->cap, "%.*s (pid %llu)", STR_FMT(str_trim(buf_view(&comm))), (unsigned long long)pid);
    buf_done(&comm);
    s->found = true;
    return false;
}

bool port_holder(u16 port, char *ret, size_t cap)
{
    u64 inode = inode_in("/proc/net/tcp", port);
    if (!inode)
        inode = inode_in("/proc/net/tcp6", port);
    if (!inode)
        return false;
    Search s = {.ret = ret, .cap = cap};
    snprintf(s.socket, sizeof s.socket, "socket:[%llu]", (unsigned long long)inode);
    vfs_os()->list(vfs_os(), "/proc", look_at_process, &s, NULL);
    return s.found;
}
