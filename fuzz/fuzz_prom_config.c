/* prometheus.yml and target lists of any content: verdicts without a crash; what is accepted builds targets. */
#include "collect/collect.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void build_targets(PromConfig *p)
{
    Arena a;
    arena_init(&a, NULL, 64u << 20);
    for (u32 i = 0; i < p->jobs_len; i++) {
        const ScrapeJob *job = &p->jobs[i];
        for (u32 g = 0; g < job->sd.statics_len; g++)
            for (u32 t = 0; t < job->sd.statics[g].targets_len; t++) {
                Labels all, in = target_discovered_labels(job, job->sd.statics[g].targets[t],
                                                          job->sd.statics[g].labels, &a);
                if (target_labels(job, in, &a, &all, NULL) == OK && all.len) {
                    check(target_url(job, all, &a).len);
                    check(labels_get(all, S("instance")).len);
                }
            }
        check(scrape_accept_header(job, &a).len);
    }
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    Str text = str_of((const char *)data, len);
    /* Globs would read this machine's files. */
    if (str_find(text, S("scrape_config_files")) == SIZE_MAX && str_find(text, S("\\")) == SIZE_MAX) {
        PromConfig *p = prom_config_read_text(vfs_os(), "fuzz/p.yml", text);
        Why why;
        Buf out;
        buf_init(&out, 8u << 20);
        if (prom_config_verdict(p, &why) == OK)
            build_targets(p);
        prom_config_print_issues(p, &out);
        buf_clear(&out);
        conf_print_yaml(p->conf, &out);
        buf_done(&out);
        prom_config_unref(p);
    }
    for (int json = 0; json < 2; json++) {
        Arena a;
        TargetGroup *groups;
        u32 n;
        arena_init(&a, NULL, 64u << 20);
        target_groups_parse(text, json, "list", &a, &groups, &n, NULL);
        arena_done(&a);
    }
    return 0;
}
