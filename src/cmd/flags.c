/* Command-line flags: cmd.h. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"

bool on_terminal(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(fd) && !(no_color && no_color[0]);
}

int complain(const char *command, const Why *why)
{
    char text[2048];
    fprintf(stderr, "pharos %s: %s\n", command, why_print(why, text, sizeof text));
    return 1;
}

static bool flag_set(Flag *f, const char *text, bool from_user, const char *command)
{
    Why why = {0};
    Err e = OK;
    switch (f->kind) {
    case FLAG_STR:
        *(const char **)f->value = text;
        break;
    case FLAG_BOOL:
        if (strcmp(text, "true") && strcmp(text, "false"))
            e = why_set(&why, E_PARSE, "\"%s\" is neither true nor false", text);
        *(bool *)f->value = !strcmp(text, "true");
        break;
    case FLAG_DURATION:
        e = parse_duration_ms(str_c(text), f->value, &why);
        break;
    case FLAG_BYTES:
        e = parse_bytes(str_c(text), f->value, &why);
        break;
    case FLAG_INT:
        if (parse_i64(str_c(text), f->value) != OK)
            e = why_set(&why, E_PARSE, "\"%s\" is not a whole number", text);
        break;
    case FLAG_LIST:
        if (from_user) {
            FlagList *list = f->value;
            vec_push(list, text);
        }
        break;
    case FLAG_IGNORED:
        if (from_user)
            fprintf(stderr, "pharos %s: warning: --%s is accepted but has no effect here\n", command,
                    f->name);
        break;
    }
    if (e != OK)
        fprintf(stderr, "pharos %s: --%s: %s\n", command, f->name, why.text);
    if (from_user) {
        f->was_set = true;
        f->given = text;
    }
    return e == OK;
}

static void unknown_flag(const Flag *flags, size_t n, const char *command, Str name)
{
    VEC(Str) names = {0};
    for (size_t i = 0; i < n; i++)
        vec_push(&names, str_c(flags[i].name));
    Str near = str_nearest(name, names.at, names.len);
    fprintf(stderr, "pharos %s: unknown flag --%.*s", command, STR_FMT(name));
    if (near.len)
        fprintf(stderr, "; did you mean --%.*s?", STR_FMT(near));
    fprintf(stderr, "\n(pharos %s --help lists all)\n", command);
    vec_done(&names);
}

static Flag *flag_find(Flag *flags, size_t n, Str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(str_c(flags[i].name), name))
            return &flags[i];
    return NULL;
}

int flags_parse(Flag *flags, size_t n, const Command *cmd, int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < n; i++)
        if (flags[i].kind != FLAG_IGNORED && flags[i].dflt)
            check(flag_set(&flags[i], flags[i].dflt, false, cmd->name));
    int words = 0;
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        char *arg = argv[i];
        if (only_words || arg[0] != '-' || !arg[1]) {
            argv[words++] = arg;
            continue;
        }
        if (!strcmp(arg, "--")) {
            only_words = true;
            continue;
        }
        if (!strcmp(arg, "-h") || !strcmp(arg, "--help")) {
            flags_help(flags, n, cmd);
            return 1;
        }
        Str name, value = {0};
        bool has_value = str_cut(str_c(arg + (arg[1] == '-' ? 2 : 1)), '=', &name, &value);
        Flag *f = flag_find(flags, n, name);
        bool negated = false;
        if (!f && str_starts(name, S("no-"))) {
            f = flag_find(flags, n, str_skip(name, 3));
            negated = f != NULL && f->kind == FLAG_BOOL;
            if (!negated)
                f = NULL;
        }
        if (!f) {
            unknown_flag(flags, n, cmd->name, name);
            return 3;
        }
        const char *text = value.at;
        bool is_switch = f->kind == FLAG_BOOL || (f->kind == FLAG_IGNORED && !f->takes_value);
        if (negated)
            text = "false";
        else if (!has_value && is_switch)
            text = "true";
        else if (!has_value && i + 1 < argc)
            text = argv[++i];
        else if (!has_value) {
            fprintf(stderr, "pharos %s: --%s wants a value\n", cmd->name, f->name);
            return 3;
        }
        if (!flag_set(f, text, true, cmd->name))
            return 3;
    }
    if (ret_words)
        *ret_words = words;
    else if (words) {
        fprintf(stderr, "pharos %s: unexpected word \"%s\"\n(pharos %s --help teaches)\n", cmd->name, argv[0],
                cmd->name);
        return 3;
    }
    return 0;
}

void flags_help(const Flag *flags, size_t n, const Command *cmd)
{
    fputs(cmd->help, stdout);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const Flag *f = &flags[i];
        if (!f->help)
            continue;
        if (!any)
            printf("\nFlags:\n");
        any = true;
        char left[80];
        snprintf(left, sizeof left, "--%s%s", f->name, f->kind == FLAG_BOOL ? "" : "=...");
        printf("  %-42s %s", left, f->help);
        if (f->dflt && f->dflt[0] && f->kind != FLAG_BOOL)
            printf(" (default %s)", f->dflt);
        else if (f->kind == FLAG_BOOL && f->dflt && !strcmp(f->dflt, "true"))
            printf(" (default on; --no-%s)", f->name);
        printf("\n");
    }
}
