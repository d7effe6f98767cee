/* Dashboards as they are kept: the text of the file, byte by byte, with what lists need (title, tags, folder) beside it, and every
 * version before. Private to dash/. */
#pragma once
#include "dash/dash.h"
#include "store/store.h"

enum { DASHBOARD_BYTES_MAX = 16 << 20, DASHBOARD_VERSIONS_MAX = 50 };

typedef struct DashRow {
    Str uid, title, folder, tags, source; /* tags: a JSON array; source: "" (people), "file", "builtin" */
    Str text;                             /* only from dash_store_get */
    i64 version, created_ms, updated_ms;
} DashRow;

struct DashStore {
    StateDb *db;
    Mutex lock; /* one writer */
    Clock *clock;
    Vfs *vfs;
    char *path; /* provisioning folder; "" = none */
};

typedef struct DashPut {
    Str text, folder, message, source;
    Str uid; /* what the list calls it; empty = as the text says, or a new one */
    bool overwrite;
} DashPut;

/* Reads title, uid and tags out of a dashboard's text, whatever wraps it. E_INVALID with the reason when it is none. */
Err dash_describe(Str text, Arena *arena, DashRow *ret, Why *why);
/* E_EXISTS when there is one of that uid and overwrite is not set; E_FORBIDDEN when it comes from a file. */
Err dash_store_put(DashStore *s, const DashPut *p, Arena *arena, DashRow *ret, Why *why);
Err dash_store_get(DashStore *s, Str uid, Arena *arena, DashRow *ret, Why *why);
Err dash_store_delete(DashStore *s, Str uid, Why *why);
/* Calls fn for each dashboard, by folder and title; texts are valid during the call. */
Err dash_store_list(DashStore *s, void (*fn)(void *arg, const DashRow *row), void *arg, Why *why);
Err dash_store_versions(DashStore *s, Str uid,
                        void (*fn)(void *arg, i64 version, i64 created_ms, Str message), void *arg, Why *why);
/* Reads the provisioning folder again: what is new or changed is stored, what is gone is removed. */
Err dash_provision(DashStore *s, Why *why);
void dash_api_routes(HttpServer *server, DashStore *s);
