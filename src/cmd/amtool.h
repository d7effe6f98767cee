/* amtool: what its files share. */
#pragma once
#include "alert/alert.h"
#include "cmd/client.h"
#include "cmd/cmd.h"

#include <jansson.h>

typedef struct Amtool {
    /* flags */
    const char *url, *output, *date_format, *http_config, *features;
    i64 timeout_ms;
    bool verbose, version_check;
    bool inhibited, silenced, active, unprocessed, expired, quiet, force, tree, require_comment;
    const char *receiver, *generator_url, *start, *end, *author, *duration, *comment, *created_by, *id,
        *within, *config_file, *verify, *template_text, *template_type, *template_data;
    i64 workers;
    FlagList annotations, template_globs;
    char **words; /* arguments behind the command */
    int words_len;
    Arena arena;
    CmdClient client;
    bool has_client;
} Amtool;

/* Prints "amtool: error: ..." and returns 1. */
int amtool_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* amtool_print.c: -o simple, extended, json. 0, or 1 with a complaint. */
int amtool_print_alerts(Amtool *t, Str body);
int amtool_print_silences(Amtool *t, json_t *list); /* of silences */
int amtool_print_status(Amtool *t, Str body);
int amtool_print_cluster(Amtool *t, Str body);
void amtool_print_tree(const AlertRoute *root, const Labels *matching); /* NULL: the whole tree */
int amtool_render(Amtool *t);
