/* alertmanager.yml from strangers; a configuration that is accepted also renders a message within Discord's limits. */
#include "alert/alert.h"
#include "alert/notify/notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AlertConfig *c = alert_config_parse(vfs_os(), "fuzz.yml", str_of((const char *)data, MIN(size, 8192)));
    Buf out;
    Why why;
    buf_init(&out, 1 << 20);
    alert_config_print_issues(c, &out);
    if (alert_config_verdict(c, &why) == OK) {
        Label labels[] = {{S("alertname"), S("A")}};
        NotifyAlert alert = {.labels = {labels, 1}, .starts_ns = 1};
        NotifyData d = {.receiver = S("r"), .alerts = &alert, .len = 1, .group_labels = {labels, 1}};
        TmplSet *set = notify_templates_new();
        Arena arena;
        u32 n;
        const Receiver *rs = alert_config_receivers(c, &n);
        arena_init(&arena, NULL, 64 << 20);
        notify_set_common(&d, &arena);
        for (u32 i = 0; i < n; i++)
            for (u32 k = 0; k < rs[i].len; k++)
                if (rs[i].integrations[k].kind == INTEGRATION_DISCORD)
                    discord_body(&rs[i].integrations[k], set, &d, DISCORD_POST, &arena, &out, &why);
        arena_done(&arena);
        tmpl_set_free(set);
    }
    alert_config_unref(c);
    buf_done(&out);
    return 0;
}
