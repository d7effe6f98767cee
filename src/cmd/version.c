/* pharos version: what this is and what it is compatible with. */
#include "cmd/version.h"

#include <stdio.h>

#include "cmd/cmd.h"

static int run(int argc, char **argv)
{
    Flag flags[1];
    int stop = flags_parse(flags, 0, &cmd_version, argc, argv, NULL);
    if (stop)
        return stop - 1;
    printf("pharos %s (compatible with prometheus %s)\n  built with %s\n", PHAROS_VERSION,
           PROMETHEUS_COMPATIBLE, __VERSION__);
    return 0;
}

const Command cmd_version = {
    .name = "version",
    .summary = "print the version",
    .help = "pharos version\n\nPrints Pharos's version and the Prometheus version whose language and API it "
            "speaks.\n",
    .run = run,
};
