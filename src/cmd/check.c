/* pharos check: configuration and rule files, in promtool's words. */
#include <stdio.h>

#include "alert/alert.h"
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "collect/collect.h"
#include "rules/rules.h"

enum { OUT_BYTES_MAX = 16 << 20, FILE_BYTES_MAX = 16 << 20 };

/* By what is in it: a route or receivers at the top make it Alertmanager's. */
static bool is_alertmanager_file(const char *path)
{
    Buf text;
    buf_init(&text, FILE_BYTES_MAX);
    Conf *c = conf_new(path);
    bool is = false;
    if (vfs_read_file(vfs_os(), path, FILE_BYTES_MAX, &text, NULL) == OK && conf_parse(c, buf_view(&text))) {
        const ConfNode *root = conf_root(c);
        for (u32 i = 0; root && root->kind == CONF_MAP && i < root->len; i++)
            is |= str_eq(root->keys[i].text, S("route")) || str_eq(root->keys[i].text, S("receivers"));
    }
    conf_free(c);
    buf_done(&text);
    return is;
}

static Err check_rules(const Str *files, u32 n, bool lint, Buf *out)
{
    return rules_check(vfs_os(), files, n, &(RulesCheckOptions){.lint_none = !lint}, out);
}

static bool check_prometheus(const char *path, Buf *out)
{
    PromConfig *c = prom_config_read(vfs_os(), path);
    Why why = {0};
    bool ok = prom_config_verdict(c, &why) == OK;
    prom_config_print_issues(c, out);
    if (ok)
        buf_printf(out, " SUCCESS: %s is valid prometheus config file syntax\n\n", path);
    else
        buf_printf(out, "  FAILED: %s\n\n", path);
    if (ok) {
        RuleSet *rules = rule_set_load(vfs_os(), c->rule_files, c->rule_files_len, &(RuleReadOptions){0});
        rule_set_print_issues(rules, out);
        ok = rule_set_verdict(rules, &why) == OK;
        u32 groups, total = 0;
        const RuleGroup *g = rule_set_groups(rules, &groups);
        for (u32 i = 0; i < groups; i++)
            total += g[i].rules_len;
        if (rule_set_files(rules))
            buf_printf(out, " %s: %u rules in %u groups of %u files\n", ok ? "SUCCESS" : "FAILED", total,
                       groups, rule_set_files(rules));
        rule_set_unref(rules);
    }
    prom_config_unref(c);
    return ok;
}

static bool check_alertmanager(const char *path, Buf *out)
{
    AlertConfig *c = alert_config_load(vfs_os(), path);
    Why why = {0};
    bool ok = alert_config_verdict(c, &why) == OK;
    alert_config_print_issues(c, out);
    u32 receivers;
    alert_config_receivers(c, &receivers);
    if (ok)
        buf_printf(out, " SUCCESS: %s: %u receivers\n\n", path, receivers);
    else
        buf_printf(out, "  FAILED: %s\n\n", path);
    alert_config_unref(c);
    return ok;
}

/* Is a server healthy, or ready? promtool's words and exit status. */
static int check_server(const char *url, const char *what)
{
    CmdClient client;
    HttpResult r;
    Arena arena;
    Buf path;
    arena_init(&arena, NULL, 0);
    buf_init(&path, 4096);
    size_t trim = strlen(url);
    while (trim && url[trim - 1] == '/')
        trim--;
    buf_put(&path, url, trim);
    buf_printf(&path, "/-/%s", what);
    cmd_client_init(&client);
    Err e = cmd_client_get(&client, buf_view(&path), S(""), &arena, &r);
    bool ok = e == OK && r.status == 200;
    if (e != OK)
        fprintf(stderr, "  FAILED: %s\n", r.why.text);
    else if (!ok)
        fprintf(stderr, "check failed: URL=%s, status=%d\n", buf_cstr(&path), r.status);
    else
        printf("  SUCCESS: %.*s\n", STR_FMT(r.body));
    cmd_client_done(&client);
    buf_done(&path);
    arena_done(&arena);
    return ok ? 0 : 1;
}

static int run(int argc, char **argv)
{
    const char *lint = "", *env_file = "", *url = "";
    Flag flags[] = {
        {"lint", FLAG_STR, &lint, "all", "rules: all or none"},
        {"env-file", FLAG_STR, &env_file, ".env", "environment for ${NAME} in configurations"},
        {"url", FLAG_STR, &url, "http://localhost:9090", "healthy, ready: the server"},
        {"syntax-only", FLAG_IGNORED},
        {"agent", FLAG_IGNORED},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_check, argc, argv, &words);
    if (stop)
        return stop - 1;
    bool config = words && !strcmp(argv[0], "config"), rules = words && !strcmp(argv[0], "rules");
    if (words == 1 && (!strcmp(argv[0], "healthy") || !strcmp(argv[0], "ready")))
        return check_server(url, argv[0]);
    if (words < 2 || (!config && !rules)) {
        fprintf(stderr, "pharos check: want \"config FILE...\" or \"rules FILE...\"\n(pharos check --help "
                        "shows examples)\n");
        return 2;
    }
    Why why = {0};
    VfsStat st;
    if (vfs_os()->stat(vfs_os(), env_file, &st, NULL) == OK && dotenv_load(vfs_os(), env_file, &why) != OK)
        return complain("check", &why);
    Buf out;
    buf_init(&out, OUT_BYTES_MAX);
    bool ok = true;
    if (rules) {
        VEC(Str) files = {0};
        for (int i = 1; i < words; i++)
            vec_push(&files, str_c(argv[i]));
        ok = check_rules(files.at, (u32)files.len, strcmp(lint, "none") != 0, &out) == OK;
        vec_done(&files);
    }
    for (int i = 1; config && i < words; i++) {
        buf_printf(&out, "Checking %s\n", argv[i]);
        ok &= is_alertmanager_file(argv[i]) ? check_alertmanager(argv[i], &out)
                                            : check_prometheus(argv[i], &out);
    }
    fwrite(out.at ? out.at : "", 1, out.len, ok ? stdout : stderr);
    buf_done(&out);
    return ok ? 0 : 1;
}

const Command cmd_check = {
    .name = "check",
    .summary = "check configuration and rule files",
    .help = "pharos check config FILE...     prometheus.yml or alertmanager.yml (told apart by content)\n"
            "pharos check rules FILE...      rule files, as promtool does, with its lint\n"
            "pharos check healthy|ready      a running server (--url)\n\n"
            "Every error comes with file, line, column, field, what was expected and the nearest valid name; "
            "several at once.\n\n"
            "  pharos check config monitoring/prometheus.yml\n"
            "  pharos check rules monitoring/rules/*.yml\n",
    .run = run,
};
