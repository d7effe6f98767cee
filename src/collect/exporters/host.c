/* The host exporter: see exporters.h. Each collector reads its files whole and writes its families in one pass. */
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "collect/exporters/host.h"

enum { FILE_BYTES_MAX = 1 << 20 };

Err host_read(const HostExporter *h, const char *root, const char *name, Buf *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    buf_init(text, FILE_BYTES_MAX);
    Err e = vfs_read_file(h->vfs, path, FILE_BYTES_MAX, text, NULL);
    if (e != OK)
        buf_done(text);
    return e;
}

bool host_line(Str *text, Str *ret)
{
    if (!text->len)
        return false;
    str_cut(*text, '\n', ret, text);
    return true;
}

Str host_word(Str *line)
{
    while (line->len && (line->at[0] == ' ' || line->at[0] == '\t'))
        *line = str_skip(*line, 1);
    size_t n = 0;
    while (n < line->len && line->at[n] != ' ' && line->at[n] != '\t')
        n++;
    Str word = str_sub(*line, 0, n);
    *line = str_skip(*line, n);
    return word;
}

f64 host_number(Str word)
{
    f64 v;
    return parse_f64(word, &v) == OK ? v : 0;
}

void host_family(Buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void host_sample(Buf *out, const char *name, const HostLabel *labels, size_t n, f64 v)
{
    buf_c(out, name);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s%s=\"", i ? "," : "{", labels[i].name);
        for (size_t k = 0; k < labels[i].value.len; k++) {
            char c = labels[i].value.at[k];
            if (c == '\\' || c == '"')
                buf_char(out, '\\');
            if (c == '\n')
                buf_c(out, "\\n");
            else
                buf_char(out, c);
        }
        buf_char(out, '"');
    }
    buf_c(out, n ? "} " : " ");
    print_f64_g(out, v);
    buf_char(out, '\n');
}

static void gauge(Buf *out, const char *name, const char *help, f64 v)
{
    host_family(out, name, "gauge", help);
    host_sample(out, name, NULL, 0, v);
}

static void counter(Buf *out, const char *name, const char *help, f64 v)
{
    host_family(out, name, "counter", help);
    host_sample(out, name, NULL, 0, v);
}

/* ---- cpu: "cpuN user nice system idle iowait irq softirq steal guest guest_nice", in ticks ---- */

static Err cpu(const HostExporter *h, Buf *out)
{
    static const char *const modes[] = {"user",   "nice", "system",  "idle",
                                        "iowait", "irq",  "softirq", "steal"};
    static const char *const guest_modes[] = {"user", "nice"};
    Buf text;
    TRY(host_read(h, h->proc, "stat", &text));
    f64 tick = 1.0 / (f64)sysconf(_SC_CLK_TCK);
    for (int guest = 1; guest >= 0; guest--) {
        const char *name = guest ? "node_cpu_guest_seconds_total" : "node_cpu_seconds_total";
        host_family(out, name, "counter",
                    guest ? "Seconds the CPUs spent in guests (VMs) for each mode."
                          : "Seconds the CPUs spent in each mode.");
        Str rest = buf_view(&text), line;
        while (host_line(&rest, &line)) {
            Str word = host_word(&line);
            if (!str_starts(word, S("cpu")) || word.len == 3)
                continue;
            Str id = str_skip(word, 3);
            for (size_t i = 0; i < COUNT_OF(modes) + COUNT_OF(guest_modes); i++) {
                f64 v = host_number(host_word(&line)) * tick;
                bool is_guest = i >= COUNT_OF(modes);
                if (is_guest != (guest == 1))
                    continue;
                const char *mode = is_guest ? guest_modes[i - COUNT_OF(modes)] : modes[i];
                host_sample(out, name, (HostLabel[]){{"cpu", id}, {"mode", str_c(mode)}}, 2, v);
            }
        }
    }
    buf_done(&text);
    return OK;
}

/* ---- stat: the other lines of /proc/stat ---- */

static Err stat_(const HostExporter *h, Buf *out)
{
    static const struct {
        Str key;
        const char *name, *type, *help;
    } rows[] = {
        {STR_INIT("btime"), "node_boot_time_seconds", "gauge", "Node boot time, in unixtime."},
        {STR_INIT("ctxt"), "node_context_switches_total", "counter", "Total number of context switches."},
        {STR_INIT("processes"), "node_forks_total", "counter", "Total number of forks."},
        {STR_INIT("intr"), "node_intr_total", "counter", "Total number of interrupts serviced."},
        {STR_INIT("procs_blocked"), "node_procs_blocked", "gauge",
         "Number of processes blocked waiting for I/O to complete."},
        {STR_INIT("procs_running"), "node_procs_running", "gauge", "Number of processes in runnable state."},
    };
    Buf text;
    TRY(host_read(h, h->proc, "stat", &text));
    Str rest = buf_view(&text), line;
    while (host_line(&rest, &line)) {
        Str key = host_word(&line);
        for (size_t i = 0; i < COUNT_OF(rows); i++)
            if (str_eq(key, rows[i].key)) {
                host_family(out, rows[i].name, rows[i].type, rows[i].help);
                host_sample(out, rows[i].name, NULL, 0, host_number(host_word(&line)));
            }
    }
    buf_done(&text);
    return OK;
}

static Err loadavg(const HostExporter *h, Buf *out)
{
    Buf text;
    TRY(host_read(h, h->proc, "loadavg", &text));
    Str line = buf_view(&text);
    gauge(out, "node_load1", "1m load average.", host_number(host_word(&line)));
    gauge(out, "node_load5", "5m load average.", host_number(host_word(&line)));
    gauge(out, "node_load15", "15m load average.", host_number(host_word(&line)));
    buf_done(&text);
    return OK;
}

/* ---- meminfo: "Active(anon):  1576 kB" -> node_memory_Active_anon_bytes ---- */

static Err meminfo(const HostExporter *h, Buf *out)
{
    Buf text;
    TRY(host_read(h, h->proc, "meminfo", &text));
    Str rest = buf_view(&text), line;
    while (host_line(&rest, &line)) {
        Str key, value;
        if (!str_cut(line, ':', &key, &value))
            continue;
        char name[128], help[192];
        size_t n = (size_t)snprintf(name, sizeof name, "node_memory_");
        for (size_t i = 0; i < key.len && n < sizeof name - 8; i++)
            if (key.at[i] != ')')
                name[n++] = key.at[i] == '(' ? '_' : key.at[i];
        f64 v = host_number(host_word(&value));
        Str unit = str_trim(value);
        if (str_eq(unit, S("kB"))) {
            v *= 1024;
            memcpy(name + n, "_bytes", 6);
            n += 6;
        }
        name[n] = 0;
        snprintf(help, sizeof help, "Memory information field %s.", name + strlen("node_memory_"));
        gauge(out, name, help, v);
    }
    buf_done(&text);
    return OK;
}

/* ---- vmstat: oom_kill, pgpg*, pswp*, pg*fault* ---- */

static bool vmstat_wanted(Str key)
{
    return str_starts(key, S("oom_kill")) || str_starts(key, S("pgpg")) || str_starts(key, S("pswp")) ||
           (str_starts(key, S("pg")) && str_find(key, S("fault")) != SIZE_MAX);
}

static Err vmstat(const HostExporter *h, Buf *out)
{
    Buf text;
    TRY(host_read(h, h->proc, "vmstat", &text));
    Str rest = buf_view(&text), line;
    while (host_line(&rest, &line)) {
        Str key = host_word(&line);
        if (!vmstat_wanted(key) || key.len > 64)
            continue;
        char name[96], help[128];
        snprintf(name, sizeof name, "node_vmstat_%.*s", STR_FMT(key));
        snprintf(help, sizeof help, "/proc/vmstat information field %.*s.", STR_FMT(key));
        host_family(out, name, "untyped", help);
        host_sample(out, name, NULL, 0, host_number(host_word(&line)));
    }
    buf_done(&text);
    return OK;
}

/* ---- pressure: "some avg10=.. avg60=.. avg300=.. total=<microseconds>" ---- */

static Err pressure(const HostExporter *h, Buf *out)
{
    static const struct {
        const char *file, *some, *some_help, *full, *full_help;
    } rows[] = {
        {"pressure/cpu", "node_pressure_cpu_waiting_seconds_total",
         "Total time in seconds that processes have waited for CPU time", NULL, NULL},
        {"pressure/io", "node_pressure_io_waiting_seconds_total",
         "Total time in seconds that processes have waited due to IO congestion",
         "node_pressure_io_stalled_seconds_total",
         "Total time in seconds no process could make progress due to IO congestion"},
        {"pressure/irq", NULL, NULL, "node_pressure_irq_stalled_seconds_total",
         "Total time in seconds no process could make progress due to IRQ congestion"},
        {"pressure/memory", "node_pressure_memory_waiting_seconds_total",
         "Total time in seconds that processes have waited for memory",
         "node_pressure_memory_stalled_seconds_total",
         "Total time in seconds no process could make progress due to memory congestion"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf text;
        if (host_read(h, h->proc, rows[i].file, &text) != OK)
            continue;
        Str rest = buf_view(&text), line;
        while (host_line(&rest, &line)) {
            bool some = str_starts(line, S("some "));
            size_t at = str_find(line, S("total="));
            const char *name = some ? rows[i].some : rows[i].full;
            if (at == SIZE_MAX || !name)
                continue;
            /* Whole microseconds become seconds in one correctly rounded division. */
            counter(out, name, some ? rows[i].some_help : rows[i].full_help,
                    host_number(str_skip(line, at + 6)) / 1e6);
        }
        buf_done(&text);
    }
    return OK;
}

static Err uname_(const HostExporter *h, Buf *out)
{
    (void)h;
    struct utsname u;
    if (uname(&u))
        return E_IO;
    host_family(out, "node_uname_info", "gauge",
                "Labeled system information as provided by the uname system call.");
    host_sample(out, "node_uname_info",
                (HostLabel[]){{"domainname", str_c(u.domainname)},
                              {"machine", str_c(u.machine)},
                              {"nodename", str_c(u.nodename)},
                              {"release", str_c(u.release)},
                              {"sysname", str_c(u.sysname)},
                              {"version", str_c(u.version)}},
                6, 1);
    return OK;
}

/* ---- time ---- */

typedef struct ClockSource {
    const HostExporter *h;
    Buf *out;
    bool current;
} ClockSource;

static bool clock_source(void *arg, const char *name, bool is_dir)
{
    ClockSource *c = arg;
    if (!str_starts(str_c(name), S("clocksource")))
        return true;
    char file[256];
    snprintf(file, sizeof file, "devices/system/clocksource/%.64s/%s_clocksource", name,
             c->current ? "current" : "available");
    Buf text;
    if (host_read(c->h, c->h->sys, file, &text) != OK)
        return true;
    Str line = str_trim(buf_view(&text)), word;
    while ((word = host_word(&line)).len)
        host_sample(
            c->out,
            c->current ? "node_time_clocksource_current_info" : "node_time_clocksource_available_info",
            (HostLabel[]){{"clocksource", word}, {"device", str_c(name + strlen("clocksource"))}}, 2, 1);
    buf_done(&text);
    return true;
}

static Err time_(const HostExporter *h, Buf *out)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s/devices/system/clocksource", h->sys);
    for (int current = 0; current < 2; current++) {
        host_family(out,
                    current ? "node_time_clocksource_current_info" : "node_time_clocksource_available_info",
                    "gauge",
                    current ? "Current clocksource read from '/sys/devices/system/clocksource'."
                            : "Available clocksources read from '/sys/devices/system/clocksource'.");
        ClockSource c = {h, out, current};
        h->vfs->list(h->vfs, dir, clock_source, &c, NULL);
    }
    i64 now = clock_wall_ns(h->clock);
    gauge(out, "node_time_seconds", "System time in seconds since epoch (1970).", (f64)now / 1e9);
    time_t sec = now / NS_PER_SEC;
    struct tm tm;
    localtime_r(&sec, &tm);
    host_family(out, "node_time_zone_offset_seconds", "gauge", "System time zone offset in seconds.");
    host_sample(out, "node_time_zone_offset_seconds", (HostLabel[]){{"time_zone", str_c(tm.tm_zone)}}, 1,
                (f64)tm.tm_gmtoff);
    return OK;
}

/* ---- all of them ---- */

void host_exporter_render(const HostExporter *h, Buf *out)
{
    static const struct {
        const char *name;
        Err (*collect)(const HostExporter *h, Buf *out);
    } collectors[] = {
        {"cpu", cpu},
        {"diskstats", host_diskstats},
        {"filesystem", host_filesystem},
        {"loadavg", loadavg},
        {"meminfo", meminfo},
        {"netdev", host_netdev},
        {"pressure", pressure},
        {"stat", stat_},
        {"time", time_},
        {"uname", uname_},
        {"vmstat", vmstat},
    };
    f64 seconds[COUNT_OF(collectors)];
    bool success[COUNT_OF(collectors)];
    for (size_t i = 0; i < COUNT_OF(collectors); i++) {
        i64 start = clock_mono_ns(h->clock);
        success[i] = collectors[i].collect(h, out) == OK;
        seconds[i] = (f64)(clock_mono_ns(h->clock) - start) / 1e9;
    }
    host_family(out, "node_scrape_collector_duration_seconds", "gauge",
                "node_exporter: Duration of a collector scrape.");
    for (size_t i = 0; i < COUNT_OF(collectors); i++)
        host_sample(out, "node_scrape_collector_duration_seconds",
                    (HostLabel[]){{"collector", str_c(collectors[i].name)}}, 1, seconds[i]);
    host_family(out, "node_scrape_collector_success", "gauge",
                "node_exporter: Whether a collector succeeded.");
    for (size_t i = 0; i < COUNT_OF(collectors); i++)
        host_sample(out, "node_scrape_collector_success",
                    (HostLabel[]){{"collector", str_c(collectors[i].name)}}, 1, success[i]);
}
