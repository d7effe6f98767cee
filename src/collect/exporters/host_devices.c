/* Host exporter: block devices, file systems, network devices. */
#include <stdio.h>
#include <sys/statvfs.h>

#include "collect/exporters/host.h"

/* ---- diskstats: "major minor name" and up to 17 numbers (kernel Documentation/admin-guide/iostats.rst) ---- */

/* Partitions and RAM or loop devices: ^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$ */
static bool disk_is_excluded(Str name)
{
    size_t digits = 0;
    while (digits < name.len && name.at[name.len - 1 - digits] >= '0' &&
           name.at[name.len - 1 - digits] <= '9')
        digits++;
    if (!digits)
        return false;
    Str stem = str_sub(name, 0, name.len - digits);
    static const Str whole[] = {STR_INIT("ram"), STR_INIT("zram"), STR_INIT("loop"), STR_INIT("fd")};
    for (size_t i = 0; i < COUNT_OF(whole); i++)
        if (str_eq(stem, whole[i]))
            return true;
    static const Str disks[] = {STR_INIT("hd"), STR_INIT("sd"), STR_INIT("vd"), STR_INIT("xvd")};
    for (size_t i = 0; i < COUNT_OF(disks); i++)
        if (stem.len == disks[i].len + 1 && str_starts(stem, disks[i]))
            return true;
    return str_starts(stem, S("nvme")) && str_ends(stem, S("p"));
}

typedef struct Disk {
    Str major, minor, name;
    f64 at[17];
    u32 len;
} Disk;

static const struct DiskRow {
    const char *name, *type, *help;
    u32 index;
    f64 factor, divisor;
} disk_rows[] = {
    {"node_disk_reads_completed_total", "counter", "The total number of reads completed successfully.", 0, 1,
     1},
    {"node_disk_reads_merged_total", "counter", "The total number of reads merged.", 1, 1, 1},
    {"node_disk_read_bytes_total", "counter", "The total number of bytes read successfully.", 2, 512, 1},
    {"node_disk_read_time_seconds_total", "counter", "The total number of seconds spent by all reads.", 3, 1,
     1000},
    {"node_disk_writes_completed_total", "counter", "The total number of writes completed successfully.", 4,
     1, 1},
    {"node_disk_writes_merged_total", "counter", "The number of writes merged.", 5, 1, 1},
    {"node_disk_written_bytes_total", "counter", "The total number of bytes written successfully.", 6, 512,
     1},
    {"node_disk_write_time_seconds_total", "counter",
     "This is the total number of seconds spent by all writes.", 7, 1, 1000},
    {"node_disk_io_now", "gauge", "The number of I/Os currently in progress.", 8, 1, 1},
    {"node_disk_io_time_seconds_total", "counter", "Total seconds spent doing I/Os.", 9, 1, 1000},
    {"node_disk_io_time_weighted_seconds_total", "counter", "The weighted # of seconds spent doing I/Os.", 10,
     1, 1000},
    {"node_disk_discards_completed_total", "counter", "The total number of discards completed successfully.",
     11, 1, 1},
    {"node_disk_discards_merged_total", "counter", "The total number of discards merged.", 12, 1, 1},
    {"node_disk_discarded_sectors_total", "counter", "The total number of sectors discarded successfully.",
     13, 1, 1},
    {"node_disk_discard_time_seconds_total", "counter",
     "This is the total number of seconds spent by all discards.", 14, 1, 1000},
    {"node_disk_flush_requests_total", "counter", "The total number of flush requests completed successfully",
     15, 1, 1},
    {"node_disk_flush_requests_time_seconds_total", "counter",
     "This is the total number of seconds spent by all flush requests.", 16, 1, 1000},
};

/* udev's facts about a device: lines "E:ID_MODEL=...". Absent where udev is. */
static Str udev_fact(Str text, Str key)
{
    Str line;
    while (host_line(&text, &line)) {
        Str name, value;
        if (str_starts(line, S("E:")) && str_cut(str_skip(line, 2), '=', &name, &value) && str_eq(name, key))
            return value;
    }
    return S("");
}

static void disk_info(const HostExporter *h, const Disk *d, Buf *out)
{
    char name[300];
    Buf udev, rotational;
    snprintf(name, sizeof name, "b%.*s:%.*s", STR_FMT(d->major), STR_FMT(d->minor));
    bool has_udev = host_read(h, h->udev, name, &udev) == OK;
    Str facts = has_udev ? buf_view(&udev) : S("");
    snprintf(name, sizeof name, "block/%.*s/queue/rotational", STR_FMT(str_sub(d->name, 0, 128)));
    bool has_rotational = host_read(h, h->sys, name, &rotational) == OK;
    Str serial = udev_fact(facts, S("SCSI_IDENT_SERIAL"));
    if (!serial.len)
        serial = udev_fact(facts, S("ID_SERIAL_SHORT"));
    host_sample(out, "node_disk_info",
                (HostLabel[]){{"device", d->name},
                              {"major", d->major},
                              {"minor", d->minor},
                              {"model", udev_fact(facts, S("ID_MODEL"))},
                              {"path", udev_fact(facts, S("ID_PATH"))},
                              {"revision", udev_fact(facts, S("ID_REVISION"))},
                              {"rotational", has_rotational ? str_trim(buf_view(&rotational)) : S("0")},
                              {"serial", serial},
                              {"wwn", udev_fact(facts, S("ID_WWN"))}},
                9, 1);
    if (has_udev)
        buf_done(&udev);
    if (has_rotational)
        buf_done(&rotational);
}

Err host_diskstats(const HostExporter *h, Buf *out)
{
    Buf text;
    TRY(host_read(h, h->proc, "diskstats", &text));
    VEC(Disk) disks = {0};
    Str rest = buf_view(&text), line;
    while (host_line(&rest, &line)) {
        Disk d = {.major = host_word(&line), .minor = host_word(&line), .name = host_word(&line)};
        if (!d.name.len || disk_is_excluded(d.name))
            continue;
        Str word;
        while (d.len < COUNT_OF(d.at) && (word = host_word(&line)).len)
            d.at[d.len++] = host_number(word);
        vec_push(&disks, d);
    }
    host_family(out, "node_disk_info", "gauge", "Info of /sys/block/<block_device>.");
    for (size_t i = 0; i < disks.len; i++)
        disk_info(h, &disks.at[i], out);
    for (size_t r = 0; r < COUNT_OF(disk_rows); r++) {
        const struct DiskRow *row = &disk_rows[r];
        bool any = false;
        for (size_t i = 0; i < disks.len; i++)
            any |= row->index < disks.at[i].len; /* discards and flushes came with newer kernels */
        if (!any)
            continue;
        host_family(out, row->name, row->type, row->help);
        for (size_t i = 0; i < disks.len; i++)
            if (row->index < disks.at[i].len)
                host_sample(out, row->name, (HostLabel[]){{"device", disks.at[i].name}}, 1,
                            disks.at[i].at[row->index] * row->factor / row->divisor);
    }
    vec_done(&disks);
    buf_done(&text);
    return OK;
}

/* ---- filesystem: /proc/1/mountinfo where readable, else our own ---- */

typedef struct Mount {
    char device[256], point[256], type[64], major[16], minor[16];
    bool options_ro, failed;
    struct statvfs st;
} Mount;

static bool under(Str path, Str dir)
{
    return str_starts(path, dir) && (path.len == dir.len || path.at[dir.len] == '/');
}

static bool mount_is_excluded(Str point, Str type)
{
    static const Str dirs[] = {STR_INIT("/dev"), STR_INIT("/proc"), STR_INIT("/run"),
                               STR_INIT("/sys"), STR_INIT("/mnt"),  STR_INIT("/media")};
    static const Str types[] = {
        STR_INIT("autofs"),    STR_INIT("binfmt_misc"), STR_INIT("bpf"),        STR_INIT("cgroup"),
        STR_INIT("cgroup2"),   STR_INIT("configfs"),    STR_INIT("debugfs"),    STR_INIT("devpts"),
        STR_INIT("devtmpfs"),  STR_INIT("fusectl"),     STR_INIT("hugetlbfs"),  STR_INIT("iso9660"),
        STR_INIT("mqueue"),    STR_INIT("nsfs"),        STR_INIT("overlay"),    STR_INIT("proc"),
        STR_INIT("procfs"),    STR_INIT("pstore"),      STR_INIT("rpc_pipefs"), STR_INIT("securityfs"),
        STR_INIT("selinuxfs"), STR_INIT("squashfs"),    STR_INIT("erofs"),      STR_INIT("sysfs"),
        STR_INIT("tracefs"),
    };
    for (size_t i = 0; i < COUNT_OF(dirs); i++)
        if (under(point, dirs[i]))
            return true;
    if (str_starts(point, S("/var/lib/docker/")) || str_starts(point, S("/var/lib/containers/storage/")))
        return true;
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_eq(type, types[i]))
            return true;
    return false;
}

/* mountinfo escapes space, tab, newline and backslash as \ooo. */
static void unescape(Str s, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len && n + 1 < cap; i++) {
        if (s.at[i] == '\\' && i + 3 < s.len) {
            out[n++] = (char)((s.at[i + 1] - '0') << 6 | (s.at[i + 2] - '0') << 3 | (s.at[i + 3] - '0'));
            i += 3;
        } else {
            out[n++] = s.at[i];
        }
    }
    out[n] = 0;
}

/* "36 35 98:0 /root /mount rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5)) */
static bool mount_read(Str line, Mount *m)
{
    host_word(&line);
    host_word(&line);
    Str major, minor;
    str_cut(host_word(&line), ':', &major, &minor);
    host_word(&line);
    Str point = host_word(&line), options = host_word(&line), word;
    while ((word = host_word(&line)).len && !str_eq(word, S("-")))
        ;
    Str type = host_word(&line), device = host_word(&line), super_options = host_word(&line);
    if (!device.len || mount_is_excluded(point, type))
        return false;
    unescape(device, m->device, sizeof m->device);
    unescape(point, m->point, sizeof m->point);
    unescape(type, m->type, sizeof m->type);
    unescape(major, m->major, sizeof m->major);
    unescape(minor, m->minor, sizeof m->minor);
    m->options_ro = str_starts(options, S("ro")) || str_starts(super_options, S("ro"));
    return true;
}

static f64 fs_value(const Mount *m, int what)
{
    f64 unit = (f64)m->st.f_frsize;
    switch (what) {
    case 0:
        return (f64)m->st.f_bavail * unit;
    case 1:
        return m->failed;
    case 2:
        return (f64)m->st.f_files;
    case 3:
        return (f64)m->st.f_ffree;
    case 4:
        return (f64)m->st.f_bfree * unit;
    case 5:
        return 0;
    case 6:
        return m->options_ro;
    default:
        return (f64)m->st.f_blocks * unit;
    }
}

Err host_filesystem(const HostExporter *h, Buf *out)
{
    static const struct {
        const char *name, *help;
    } rows[] = {
        {"node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes."},
        {"node_filesystem_device_error",
         "Whether an error occurred while getting statistics for the given device."},
        {"node_filesystem_files", "Filesystem total file nodes."},
        {"node_filesystem_files_free", "Filesystem total free file nodes."},
        {"node_filesystem_free_bytes", "Filesystem free space in bytes."},
        {"node_filesystem_purgeable_bytes",
         "Filesystem space available including purgeable space (MacOS specific)."},
        {"node_filesystem_readonly", "Filesystem read-only status."},
        {"node_filesystem_size_bytes", "Filesystem size in bytes."},
    };
    Buf text;
    if (host_read(h, h->proc, "1/mountinfo", &text) != OK)
        TRY(host_read(h, h->proc, "self/mountinfo", &text));
    VEC(Mount) mounts = {0};
    Str rest = buf_view(&text), line;
    while (host_line(&rest, &line)) {
        Mount m = {0};
        if (!mount_read(line, &m))
            continue;
        bool seen = false; /* the same device over the same point: the first counts */
        for (size_t i = 0; i < mounts.len; i++)
            seen |= !strcmp(mounts.at[i].device, m.device) && !strcmp(mounts.at[i].point, m.point);
        if (seen)
            continue;
        m.failed = statvfs(m.point, &m.st) != 0;
        if (m.failed)
            memset(&m.st, 0, sizeof m.st);
        vec_push(&mounts, m);
    }
    host_family(out, "node_filesystem_mount_info", "gauge", "Filesystem mount information.");
    for (size_t i = 0; i < mounts.len; i++) {
        const Mount *m = &mounts.at[i];
        host_sample(out, "node_filesystem_mount_info",
                    (HostLabel[]){{"device", str_c(m->device)},
                                  {"major", str_c(m->major)},
                                  {"minor", str_c(m->minor)},
                                  {"mountpoint", str_c(m->point)}},
                    4, 1);
    }
    for (int r = 0; r < (int)COUNT_OF(rows); r++) {
        host_family(out, rows[r].name, "gauge", rows[r].help);
        for (size_t i = 0; i < mounts.len; i++) {
            const Mount *m = &mounts.at[i];
            if (m->failed && r != 1)
                continue;
            host_sample(out, rows[r].name,
                        (HostLabel[]){{"device", str_c(m->device)},
                                      {"device_error", m->failed ? S("statfs failed") : S("")},
                                      {"fstype", str_c(m->type)},
                                      {"mountpoint", str_c(m->point)}},
                        4, fs_value(m, r));
        }
    }
    vec_done(&mounts);
    buf_done(&text);
    return OK;
}

/* ---- netdev: /proc/net/dev, and rx_nohandler which only sysfs has ---- */

static const char *const net_columns[] = {
    "receive_bytes",       "receive_packets",    "receive_errs",      "receive_drop",   "receive_fifo",
    "receive_frame",       "receive_compressed", "receive_multicast", "transmit_bytes", "transmit_packets",
    "transmit_errs",       "transmit_drop",      "transmit_fifo",     "transmit_colls", "transmit_carrier",
    "transmit_compressed", "receive_nohandler",
};

Err host_netdev(const HostExporter *h, Buf *out)
{
    Buf text;
    TRY(host_read(h, h->proc, "net/dev", &text));
    typedef struct NetDev {
        Str name;
        f64 at[COUNT_OF(net_columns)];
    } NetDev;
    VEC(NetDev) devs = {0};
    Str rest = buf_view(&text), line;
    while (host_line(&rest, &line)) {
        Str name, numbers;
        if (!str_cut(line, ':', &name, &numbers))
            continue; /* the two lines of heading */
        NetDev d = {.name = str_trim(name)};
        for (size_t i = 0; i < COUNT_OF(net_columns) - 1; i++)
            d.at[i] = host_number(host_word(&numbers));
        char file[200];
        Buf nohandler;
        snprintf(file, sizeof file, "class/net/%.*s/statistics/rx_nohandler",
                 STR_FMT(str_sub(d.name, 0, 64)));
        if (host_read(h, h->sys, file, &nohandler) == OK) {
            d.at[COUNT_OF(net_columns) - 1] = host_number(str_trim(buf_view(&nohandler)));
            buf_done(&nohandler);
        }
        vec_push(&devs, d);
    }
    for (size_t c = 0; c < COUNT_OF(net_columns) && devs.len; c++) {
        char name[96], help[128];
        snprintf(name, sizeof name, "node_network_%s_total", net_columns[c]);
        snprintf(help, sizeof help, "Network device statistic %s.", net_columns[c]);
        host_family(out, name, "counter", help);
        for (size_t i = 0; i < devs.len; i++)
            host_sample(out, name, (HostLabel[]){{"device", devs.at[i].name}}, 1, devs.at[i].at[c]);
    }
    vec_done(&devs);
    buf_done(&text);
    return OK;
}
