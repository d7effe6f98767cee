/* pharos promql: expressions, without a server. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "metrics/promql/promql.h"

static int format(const char *text)
{
    Arena arena;
    Node *tree;
    Buf b;
    Why why = {0};
    arena_init(&arena, NULL, 0);
    buf_init(&b, 16 << 20);
    Err e = promql_parse(str_c(text), 0, &arena, &tree, NULL, &why);
    if (e == OK) {
        promql_pretty(tree, &b);
        printf("%.*s\n", STR_FMT(buf_view(&b)));
    }
    buf_done(&b);
    arena_done(&arena);
    return e == OK ? 0 : complain("promql", &why);
}

static int run(int argc, char **argv)
{
    Flag flags[] = {{"experimental", FLAG_IGNORED}};
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_promql, argc, argv, &words);
    if (stop)
        return stop - 1;
    if (words == 2 && !strcmp(argv[0], "format"))
        return format(argv[1]);
    fprintf(stderr, "pharos promql: want \"format EXPRESSION\"\n");
    return 2;
}

const Command cmd_promql = {
    .name = "promql",
    .summary = "print a PromQL expression well laid out",
    .help = "pharos promql format EXPRESSION\n\n"
            "Prints the expression as Prometheus's pretty printer lays it out, or where it is wrong.\n\n"
            "  pharos promql format 'sum(rate(x[5m]))by(job)/ignoring(a)group_left y'\n",
    .run = run,
};
