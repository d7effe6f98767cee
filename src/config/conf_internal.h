/* What config's own files share. */
#pragma once
#include "config/config.h"

#define CONF_DEPTH_MAX       100
#define CONF_ALIAS_NODES_MAX 100000 /* nodes that aliases may add to a file */
#define CONF_ISSUES_MAX      200    /* more are counted, not kept */
#define CONF_ARENA_MAX       (256u << 20)

struct Conf {
    Arena arena;
    char *file;
    Str dir;
    ConfEnvFn env;
    void *env_arg;
    bool expand, legacy_names;
    VEC(ConfNode *) docs; /* roots */
    VEC(ConfIssue) issues;
    VEC(Regex *) regexes; /* compiled for relabel rules; freed with the Conf */
    u32 alias_nodes, errors;
    StrMap anchors; /* name -> ConfNode *, while parsing */
    U64Map secrets; /* addresses of nodes that must not be printed */
};

void conf_error_at(Conf *c, u32 line, u32 col, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
bool conf_is_secret_name(Str key); /* keys whose values are never printed, whoever read them */
/* Process environment over the .env overlay. */
Str dotenv_lookup(Str name, bool *ret_set);
/* A .env file's text, line by line; name and value are put's for the call. */
typedef void (*DotenvPut)(void *arg, Str name, Str value);
Err dotenv_parse(Str text, DotenvPut put, void *arg, Why *why);
