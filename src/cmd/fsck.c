/* pharos fsck: verifies a data directory offline. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "metrics/metrics.h"
#include "store/store.h"

enum { REPORT_BYTES_MAX = 4 << 20 };

static bool exists(const char *path)
{
    VfsStat st;
    return vfs_os()->stat(vfs_os(), path, &st, NULL) == OK;
}

static bool spool_one(void *arg, const char *name, bool is_dir)
{
    struct {
        FsckReport *r;
        const char *dir;
        Err e;
        Why *why;
    } *x = arg;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", x->dir, name);
    if (is_dir && x->e == OK)
        x->e = fsck_spool(vfs_os(), path, x->r, x->why);
    return x->e == OK;
}

static int run(int argc, char **argv)
{
    Flag flags[1];
    int words;
    int stop = flags_parse(flags, 0, &cmd_fsck, argc, argv, &words);
    if (stop)
        return stop - 1;
    if (words > 1) {
        fprintf(stderr, "pharos fsck: one directory at a time\n");
        return 2;
    }
    const char *dir = words ? argv[0] : "data";
    Why why = {0};
    if (!exists(dir)) {
        fprintf(stderr, "pharos fsck: %s: no such directory\n", dir);
        return 2;
    }
    DataDir *lock;
    if (datadir_open(&lock, vfs_os(), dir, &why) != OK)
        return complain("fsck", &why);
    Buf findings;
    buf_init(&findings, REPORT_BYTES_MAX);
    FsckReport report = {.out = &findings};
    char path[1024];
    Err e = OK;
    snprintf(path, sizeof path, "%s/metrics", dir);
    if (exists(path))
        e = metrics_fsck(vfs_os(), path, &report, &why);
    snprintf(path, sizeof path, "%s/rules", dir);
    if (e == OK && exists(path))
        e = fsck_ilog(vfs_os(), path, &report, &why);
    snprintf(path, sizeof path, "%s/alerts", dir);
    if (e == OK && exists(path))
        e = fsck_outbox(vfs_os(), path, &report, &why);
    snprintf(path, sizeof path, "%s/alerts/log", dir);
    if (e == OK && exists(path))
        e = fsck_ilog(vfs_os(), path, &report, &why);
    snprintf(path, sizeof path, "%s/pharos.db", dir);
    if (e == OK && exists(path))
        e = fsck_statedb(vfs_os(), path, &report, &why);
    snprintf(path, sizeof path, "%s/remote_write", dir);
    if (e == OK && exists(path)) {
        struct {
            FsckReport *r;
            const char *dir;
            Err e;
            Why *why;
        } x = {&report, path, OK, &why};
        e = vfs_os()->list(vfs_os(), path, spool_one, &x, &why);
        if (e == OK)
            e = x.e;
    }
    datadir_close(lock);
    fwrite(findings.at ? findings.at : "", 1, findings.len, stdout);
    if (e != OK) {
        buf_done(&findings);
        return complain("fsck", &why);
    }
    printf("%s: %llu files, %.1f MB checked: %llu errors, %llu warnings\n", dir,
           (unsigned long long)report.checked_files, (f64)report.checked_bytes / 1e6,
           (unsigned long long)report.errors, (unsigned long long)report.warnings);
    buf_done(&findings);
    return report.errors ? 1 : 0;
}

const Command cmd_fsck = {
    .name = "fsck",
    .summary = "verify a data directory",
    .help = "pharos fsck [DIRECTORY]\n\n"
            "Reads every byte of a data directory (default ./data) and checks lengths, sums and order: log, "
            "catalogue,\n"
            "parts, manifests, outbox, spools, state database. Changes nothing. The server must not be "
            "running on it.\n"
            "Exit status 1 when something is wrong; each finding is one line \"file: what\".\n",
    .run = run,
};
