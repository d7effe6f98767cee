/* pharos test: unit tests of rule files, as promtool runs them. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "rules/rules.h"

enum { OUT_BYTES_MAX = 64 << 20 };

static int run_rules(char **files, int n, const char *pattern, bool ignore_unknown, const char *junit_file)
{
    Why why = {0};
    Regex *re = NULL;
    if (pattern[0] && regex_new(str_c(pattern), 0, &re, &why) != OK)
        return complain("test", &why) + 1;
    RulesTestOptions o = {.read.ignore_unknown_fields = ignore_unknown, .run = re};
    VEC(Str) names = {0};
    for (int i = 0; i < n; i++)
        vec_push(&names, str_c(files[i]));
    Buf out, err, junit;
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&err, OUT_BYTES_MAX);
    buf_init(&junit, OUT_BYTES_MAX);
    log_set_level(LOG_LEVEL_ERROR + 1); /* what a rule does wrong is told as the test's failure */
    Err e = rules_test(vfs_os(), names.at, (u32)names.len, &o, &out, &err, junit_file[0] ? &junit : NULL);
    fwrite(out.at ? out.at : "", 1, out.len, stdout);
    fflush(stdout);
    fwrite(err.at ? err.at : "", 1, err.len, stderr);
    int rc = e == OK ? 0 : 1;
    if (junit_file[0] && vfs_write_file(vfs_os(), junit_file, buf_view(&junit), &why) != OK)
        rc = complain("test", &why);
    buf_done(&out);
    buf_done(&err);
    buf_done(&junit);
    vec_done(&names);
    regex_free(re);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *pattern = "", *junit = "";
    bool ignore_unknown = false;
    Flag flags[] = {
        {"run", FLAG_STR, &pattern, "", "only test groups whose name matches this regular expression"},
        {"junit", FLAG_STR, &junit, "", "write a JUnit report to this file"},
        {"ignore-unknown-fields", FLAG_BOOL, &ignore_unknown, "false", "of rule files"},
        {"diff", FLAG_IGNORED},
        {"debug", FLAG_IGNORED},
        {"enable-feature", FLAG_IGNORED, .takes_value = true},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_test, argc, argv, &words);
    if (stop)
        return stop - 1;
    if (words < 2 || strcmp(argv[0], "rules")) {
        fprintf(stderr, "pharos test: want \"rules FILE...\"\n(pharos test --help shows an example)\n");
        return 2;
    }
    return run_rules(argv + 1, words - 1, pattern, ignore_unknown, junit);
}

const Command cmd_test = {
    .name = "test",
    .summary = "run unit tests of rule files",
    .help = "pharos test rules FILE...\n\n"
            "Runs promtool's unit tests: series written down, rules evaluated over them, alerts and "
            "expressions compared. "
            "Exit status 1\nwhen a test fails.\n\n"
            "  pharos test rules monitoring/rules/tests.yml\n"
            "  pharos test rules --junit=report.xml tests/*.yml\n",
    .run = run,
};
