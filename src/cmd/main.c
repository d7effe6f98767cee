/* pharos: one binary, many commands. Also answers to the names promtool and amtool (argv[0] or first word). */
#include <locale.h>
#include <stdio.h>

#include "cmd/cmd.h"

static const Command *const commands[] = {
    &cmd_serve,  &cmd_alertmanager, &cmd_amtool, &cmd_check, &cmd_query, &cmd_scrape, &cmd_draw,
    &cmd_notify, &cmd_fsck,         &cmd_import, &cmd_tsdb,  &cmd_test,  &cmd_promql, &cmd_version,
};

/* Roles and tools of the design that are not built yet say so plainly. */
static const struct {
    const char *name, *what;
} not_yet[] = {
    {"alloy", "the collector that runs Grafana Alloy configurations"},
    {"cloud", "the receiving side alone: Mimir, Loki and Tempo"},
    {"bot", "the Discord bot"},
    {"gateway", "the event gateway"},
    {"refinory", "AI orchestration"},
};

static void usage(FILE *to)
{
    fprintf(to,
            "Pharos: metrics, rules, alerts and their pages in one binary.\n\n"
            "  pharos [prometheus|all] [flags]                start the server; \"all\" is the default\n");
    for (size_t i = 1; i < COUNT_OF(commands); i++)
        fprintf(to, "  pharos %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to,
            "  pharos COMMAND --help                          what it does, its flags, examples\n\n"
            "First steps: \"pharos\" alone scrapes itself and this host, and serves http://127.0.0.1:9090.\n"
            "Exit status: 0 fine, 1 something failed or was found wrong, 2 called wrongly.\n");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "C");
    const char *self = base_name(argv[0]);
    if (!strcmp(self, "promtool") || (argc > 1 && !strcmp(argv[1], "promtool"))) {
        if (strcmp(self, "promtool"))
            argv++, argc--;
        self = "promtool"; /* check and query have promtool's forms */
    } else if (!strcmp(self, "amtool")) {
        return cmd_amtool.run(argc - 1, argv + 1);
    }
    const char *word = argc > 1 ? argv[1] : "";
    if (!strcmp(word, "help") || ((!strcmp(word, "--help") || !strcmp(word, "-h")) && argc == 2)) {
        usage(stdout);
        return 0;
    }
    if (!strcmp(word, "--version"))
        return cmd_version.run(0, NULL);
    for (size_t i = 1; i < COUNT_OF(commands); i++)
        if (!strcmp(word, commands[i]->name))
            return commands[i]->run(argc - 2, argv + 2);
    for (size_t i = 0; i < COUNT_OF(not_yet); i++)
        if (!strcmp(word, not_yet[i].name)) {
            fprintf(stderr, "pharos %s: %s: not built yet\n", word, not_yet[i].what);
            return 2;
        }
    static const char *const roles[] = {"prometheus", "all", "serve"};
    bool is_role = false;
    for (size_t i = 0; i < COUNT_OF(roles); i++)
        is_role |= !strcmp(word, roles[i]);
    if (!strcmp(self, "promtool") || (word[0] && word[0] != '-' && !is_role)) {
        Str names[COUNT_OF(commands) + COUNT_OF(roles)];
        size_t n = 0;
        for (size_t i = 0; i < COUNT_OF(commands); i++)
            names[n++] = str_c(commands[i]->name);
        for (size_t i = 0; i < COUNT_OF(roles); i++)
            names[n++] = str_c(roles[i]);
        Str near = str_nearest(str_c(word), names, n);
        fprintf(stderr, "pharos: unknown command \"%s\"", word);
        if (near.len)
            fprintf(stderr, "; did you mean %.*s?", STR_FMT(near));
        fprintf(stderr, "\n\n");
        usage(stderr);
        return 2;
    }
    return cmd_serve.run(argc - 1, argv + 1);
}
