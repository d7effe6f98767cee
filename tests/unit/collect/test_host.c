#include "test.h"

#include <arpa/inet.h>
#include <math.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "collect/exporters/exporters.h"
#include "wire/wire.h"

typedef struct Page {
    Buf text;
    Arena arena;
    VEC(struct PageSample {
        Str key; /* series as labels_print writes it */
        f64 v;
        MetricType type;
    })
    samples;
} Page;

static void page_parse(Page *p)
{
    arena_init(&p->arena, NULL, 0);
    ExpoOptions o = {0};
    ExpoParser *parser = expo_new(buf_view(&p->text), EXPO_TEXT, &o, &p->arena);
    ExpoItem item;
    Why why;
    MetricType type = TYPE_UNKNOWN;
    for (;;) {
        Err e = expo_next(parser, &item, &why);
        if (e == E_NOT_FOUND)
            break;
        if (e != OK)
            fail_msg("line %u: %s", why.line, why.text);
        if (item.kind == EXPO_TYPE)
            type = item.type;
        if (item.kind != EXPO_SERIES)
            continue;
        assert_ok(expo_labels(parser, &item, &why), &why);
        Buf key;
        buf_init(&key, 4096);
        labels_print(&key, item.labels);
        vec_push(&p->samples, (struct PageSample){arena_dup(&p->arena, buf_view(&key)), item.value, type});
        buf_done(&key);
    }
}

static void page_done(Page *p)
{
    vec_done(&p->samples);
    arena_done(&p->arena);
    buf_done(&p->text);
}

static const struct PageSample *page_find(const Page *p, Str key)
{
    for (size_t i = 0; i < p->samples.len; i++)
        if (str_eq(p->samples.at[i].key, key))
            return &p->samples.at[i];
    return NULL;
}

static void page_own(Page *p, const char *proc, const char *sys)
{
    memset(p, 0, sizeof *p);
    buf_init(&p->text, 4 << 20);
    HostExporter h = {vfs_os(), clock_real(), proc, sys, "/run/udev/data"};
    host_exporter_render(&h, &p->text);
    page_parse(p);
}

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    Why why;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_ok(vfs_mkdirs(vfs_os(), path, &why), &why);
    *slash = '/';
    assert_ok(vfs_write_file(vfs_os(), path, str_c(text), &why), &why);
}

static void expect(const Page *p, const char *key, f64 v)
{
    const struct PageSample *s = page_find(p, str_c(key));
    if (!s)
        fail_msg("no series %s", key);
    if (fabs(s->v - v) > 1e-9 * fabs(v))
        fail_msg("%s is %g, want %g", key, s->v, v);
}

/* A procfs of our own: every number has one right place. */
static void test_fixture(void **state)
{
    char dir[256];
    Why why;
    test_dir(dir);
    put_file(
        dir, "stat",
        "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 100 200 300 400 500 600 700 800 900 1000\nintr 77 1 2\nctxt 88\n"
        "btime 1700000000\nprocesses 99\nprocs_running 3\nprocs_blocked 1\n");
    put_file(dir, "loadavg", "0.25 1.5 2.75 1/100 12345\n");
    put_file(dir, "meminfo", "MemTotal:       16384 kB\nActive(anon):     4 kB\nHugePages_Total:     7\n");
    put_file(dir, "vmstat", "nr_free_pages 1\npgpgin 10\npgmajfault 11\noom_kill 12\npgscan_direct 13\n");
    put_file(dir, "diskstats",
             " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n 8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n"
             " 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n 259 0 nvme0n1 1 0 8 0 0 0 0 0 0 0 0\n 259 1 nvme0n1p1 1 0 8 "
             "0 0 0 0 0 0 0 0\n");
    put_file(
        dir, "net/dev",
        "Inter-|   Receive  |  Transmit\n face |bytes ...\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    put_file(dir, "self/mountinfo",
             "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n2 1 0:5 / /proc rw - proc proc rw\n"
             "3 1 8:2 / /tmp ro - ext4 /dev/with\\040space ro\n");
    put_file(dir, "pressure/cpu",
             "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 "
             "total=5\n");
    put_file(dir, "pressure/irq", "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    Page p;
    page_own(&p, dir, dir);
    f64 tick = 1.0 / (f64)sysconf(_SC_CLK_TCK);
    expect(&p, "node_cpu_seconds_total{cpu=\"0\", mode=\"user\"}", 100 * tick);
    expect(&p, "node_cpu_seconds_total{cpu=\"0\", mode=\"steal\"}", 800 * tick);
    expect(&p, "node_cpu_guest_seconds_total{cpu=\"0\", mode=\"nice\"}", 1000 * tick);
    expect(&p, "node_intr_total", 77);
    expect(&p, "node_context_switches_total", 88);
    expect(&p, "node_forks_total", 99);
    expect(&p, "node_boot_time_seconds", 1700000000);
    expect(&p, "node_load15", 2.75);
    expect(&p, "node_memory_MemTotal_bytes", 16384 * 1024.0);
    expect(&p, "node_memory_Active_anon_bytes", 4096);
    expect(&p, "node_memory_HugePages_Total", 7);
    expect(&p, "node_vmstat_pgmajfault", 11);
    assert_null(page_find(&p, S("node_vmstat_pgscan_direct")));
    expect(&p, "node_disk_read_bytes_total{device=\"sda\"}", 3 * 512);
    expect(&p, "node_disk_flush_requests_time_seconds_total{device=\"sda\"}", 0.017);
    expect(&p, "node_disk_reads_completed_total{device=\"nvme0n1\"}", 1);
    assert_null(page_find(&p, S("node_disk_reads_completed_total{device=\"sda1\"}")));
    assert_null(page_find(&p, S("node_disk_reads_completed_total{device=\"nvme0n1p1\"}")));
    assert_null(page_find(&p, S("node_disk_discards_completed_total{device=\"nvme0n1\"}")));
    expect(&p, "node_network_receive_multicast_total{device=\"eth0\"}", 8);
    expect(&p, "node_network_transmit_carrier_total{device=\"eth0\"}", 15);
    expect(&p, "node_pressure_cpu_waiting_seconds_total", 2.5);
    expect(&p, "node_pressure_irq_stalled_seconds_total", 1e-6);
    expect(&p,
           "node_filesystem_mount_info{device=\"/dev/with space\", major=\"8\", minor=\"2\", "
           "mountpoint=\"/tmp\"}",
           1);
    expect(&p, "node_filesystem_readonly{device=\"/dev/with space\", fstype=\"ext4\", mountpoint=\"/tmp\"}",
           1);
    expect(&p, "node_scrape_collector_success{collector=\"cpu\"}", 1);
    page_done(&p);
    /* Without its files a collector fails by name and the page is still a page. */
    assert_ok(vfs_remove_tree(vfs_os(), dir, &why), &why);
    page_own(&p, dir, dir);
    expect(&p, "node_scrape_collector_success{collector=\"meminfo\"}", 0);
    expect(&p, "node_scrape_collector_success{collector=\"uname\"}", 1);
    page_done(&p);
}

/* ---- beside the peer ---- */

static u16 free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    getsockname(fd, (struct sockaddr *)&a, &n);
    close(fd);
    return ntohs(a.sin_port);
}

static bool fetch(u16 port, Buf *out)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    static const char request[] = "GET /metrics HTTP/1.0\r\nHost: a\r\n\r\n";
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, request, sizeof request - 1) > 0;
    char chunk[4096];
    ssize_t n;
    while (ok && (n = read(fd, chunk, sizeof chunk)) > 0)
        buf_put(out, chunk, (size_t)n);
    close(fd);
    size_t head = str_find(buf_view(out), S("\r\n\r\n"));
    if (!ok || head == SIZE_MAX)
        return false;
    buf_drop(out, head + 4);
    return true;
}

/* node_disk_info: the peer gives rotational="0" where this kernel lacks any other file of the queue. */
static bool compared(Str key)
{
    static const Str others[] = {STR_INIT("go_"),
                                 STR_INIT("process_"),
                                 STR_INIT("promhttp_"),
                                 STR_INIT("node_exporter_build_info"),
                                 STR_INIT("node_scrape_collector_duration"),
                                 STR_INIT("node_disk_info")};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (str_starts(key, others[i]))
            return false;
    return true;
}

/* Same names and labels; each value lies between our reading just before the peer's and the one just after. */
static void test_peer(void **state)
{
    char exe[512];
    const char *root = getenv("PHAROS_PEERS");
    snprintf(exe, sizeof exe, "%s/prometheus-node-exporter/usr/bin/prometheus-node-exporter",
             root ? root : ".cache/peers");
    if (access(exe, X_OK)) {
        fprintf(stderr, "SKIPPED: no peer node-exporter (scripts/peers.sh unpacks it)\n");
        skip();
    }
    u16 port = free_port();
    char listen[64];
    snprintf(listen, sizeof listen, "--web.listen-address=127.0.0.1:%u", port);
    pid_t pid = fork();
    if (pid == 0) {
        freopen("/dev/null", "w", stderr);
        execl(exe, exe, listen, "--collector.disable-defaults", "--collector.cpu", "--collector.meminfo",
              "--collector.diskstats", "--collector.filesystem", "--collector.netdev", "--collector.loadavg",
              "--collector.pressure", "--collector.uname", "--collector.time", "--collector.vmstat",
              "--collector.stat", NULL);
        _exit(127);
    }
    Page before, peer = {0}, after;
    buf_init(&peer.text, 4 << 20);
    bool up = false;
    for (int i = 0; i < 200 && !up; i++) {
        usleep(50000);
        buf_clear(&peer.text);
        up = fetch(port, &peer.text);
    }
    page_own(&before, "/proc", "/sys");
    buf_clear(&peer.text);
    up = up && fetch(port, &peer.text);
    page_own(&after, "/proc", "/sys");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_true(up);
    page_parse(&peer);
    u32 matched = 0, outside = 0;
    for (size_t i = 0; i < peer.samples.len; i++) {
        const struct PageSample *s = &peer.samples.at[i];
        if (!compared(s->key))
            continue;
        const struct PageSample *b = page_find(&before, s->key), *a = page_find(&after, s->key);
        if (!b || !a)
            fail_msg("the peer has %.*s, we have not", STR_FMT(s->key));
        if (b->type != s->type)
            fail_msg("%.*s: other type", STR_FMT(s->key));
        matched++;
        f64 slack = 1e-9 * fabs(s->v) + 0.02; /* a tick of 10 ms, and the peer's own rounding */
        bool between = s->v >= MIN(b->v, a->v) - slack && s->v <= MAX(b->v, a->v) + slack;
        if (!between && s->type == TYPE_COUNTER)
            fail_msg("%.*s: %g is not between %g and %g", STR_FMT(s->key), s->v, b->v, a->v);
        outside += !between; /* gauges may swing between two readings */
    }
    /* The peer knows a fixed list of meminfo's fields; we print every field this kernel has. */
    for (size_t i = 0; i < before.samples.len; i++)
        if (!str_starts(before.samples.at[i].key, S("node_memory_")) && compared(before.samples.at[i].key) &&
            !page_find(&peer, before.samples.at[i].key))
            fail_msg("we have %.*s, the peer has not", STR_FMT(before.samples.at[i].key));
    assert_true(matched > 100);
    assert_true(outside < matched / 5);
    page_done(&before);
    page_done(&peer);
    page_done(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixture), cmocka_unit_test(test_peer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
