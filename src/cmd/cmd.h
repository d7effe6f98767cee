/* cmd: one file per command; the only floor that knows all others. It wires roles together: composes sinks, mounts routes,
 * starts listeners.
 *
 * A command gets its words (argv without the program and the command's own name) and returns the exit status:
 * 0 fine, 1 it failed or found something wrong, 2 it was called wrongly.
 */
#pragma once
#include "base/base.h"
#include "text/text.h"

typedef struct Command {
    const char *name;    /* "check" */
    const char *summary; /* one line for the list */
    const char *help;    /* the whole page */
    int (*run)(int argc, char **argv);
} Command;

extern const Command cmd_serve, cmd_check, cmd_query, cmd_scrape, cmd_draw, cmd_notify, cmd_fsck, cmd_import,
    cmd_tsdb, cmd_test, cmd_promql, cmd_version, cmd_alertmanager, cmd_amtool;

/* ---- flags (flags.c): --name=value, --name value, --name, --no-name; -h and --help everywhere ---- */
typedef enum FlagKind {
    FLAG_STR,      /* const char * */
    FLAG_BOOL,     /* bool */
    FLAG_DURATION, /* i64, ms; Prometheus's form */
    FLAG_BYTES,    /* u64 */
    FLAG_INT,      /* i64 */
    FLAG_LIST,     /* FlagList: may be given several times */
    FLAG_IGNORED,  /* a peer's flag that is not needed here: accepted with a warning */
} FlagKind;
typedef VEC(const char *) FlagList;
typedef struct Flag {
    const char *name;
    FlagKind kind;
    void *value;      /* NULL for FLAG_IGNORED */
    const char *dflt; /* as text, for --help and /api/v1/status/flags; NULL = empty */
    const char *help; /* NULL = not listed in --help */
    bool was_set;
    const char *given; /* as typed */
    bool takes_value;  /* FLAG_IGNORED: does it take one? */
} Flag;
/* Sets defaults, then what argv says. Words that are no flags are left in argv[0..*ret_words). 0 = go on, else the exit
 * status + 1 (1 = help was printed: exit 0; 3 = wrong use: exit 2), with the reason on stderr. */
int flags_parse(Flag *flags, size_t n, const Command *cmd, int argc, char **argv, int *ret_words);
void flags_help(const Flag *flags, size_t n, const Command *cmd);

bool on_terminal(int fd); /* colour and prompts only there; NO_COLOR respected */
/* Prints the sentence to stderr as "pharos <command>: ..." and returns 1. */
int complain(const char *command, const Why *why);
