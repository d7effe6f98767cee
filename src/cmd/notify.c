/* pharos notify test: one message through every integration, now. */
#include <stdio.h>

#include "alert/alert.h"
#include "alert/notify/notify.h"
#include "cmd/client.h"
#include "cmd/cmd.h"

static int run(int argc, char **argv)
{
    const char *config_file = "", *env_file = "", *receiver = "", *external_url = "";
    Flag flags[] = {
        {"alertmanager.config.file", FLAG_STR, &config_file, "",
         "alertmanager.yml; without one, DISCORD_WEBHOOK_URL"},
        {"env-file", FLAG_STR, &env_file, ".env", "where DISCORD_WEBHOOK_URL may stand"},
        {"receiver", FLAG_STR, &receiver, "", "only this receiver"},
        {"web.external-url", FLAG_STR, &external_url, "http://localhost:9090",
         "what links in the message start with"},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_notify, argc, argv, &words);
    if (stop)
        return stop - 1;
    if (words != 1 || strcmp(argv[0], "test")) {
        fprintf(stderr, "pharos notify: want \"notify test\"\n(pharos notify --help shows examples)\n");
        return 2;
    }
    Why why = {0};
    VfsStat st;
    if (vfs_os()->stat(vfs_os(), env_file, &st, NULL) == OK && dotenv_load(vfs_os(), env_file, &why) != OK)
        return complain("notify", &why);
    Str url = dotenv_get("DISCORD_WEBHOOK_URL");
    if (!config_file[0] && !url.len) {
        fprintf(stderr,
                "pharos notify: nobody to notify: put DISCORD_WEBHOOK_URL into %s, or give "
                "--alertmanager.config.file\n",
                env_file);
        return 2;
    }
    AlertConfig *c =
        config_file[0] ? alert_config_load(vfs_os(), config_file) : alert_config_discord((Secret){url});
    if (alert_config_verdict(c, &why) != OK) {
        alert_config_unref(c);
        return complain("notify", &why);
    }
    CmdClient client;
    cmd_client_init(&client);
    Buf out;
    buf_init(&out, 1 << 20);
    NotifyTransport transport = {.client = client.http, .vfs = vfs_os(), .clock = clock_real()};
    Err e = notify_test(&transport, c, str_c(receiver), str_c(external_url), &out, &why);
    fwrite(out.at ? out.at : "", 1, out.len, stdout);
    buf_done(&out);
    cmd_client_done(&client);
    alert_config_unref(c);
    return e == OK ? 0 : complain("notify", &why);
}

const Command cmd_notify = {
    .name = "notify",
    .summary = "send a test message now",
    .help = "pharos notify test [flags]\n\n"
            "Sends one message through every integration of the alert configuration and says what each "
            "answered. With\n"
            "DISCORD_WEBHOOK_URL in the environment or in .env nothing else is needed. The URL is a secret "
            "and is never printed.\n",
    .run = run,
};
