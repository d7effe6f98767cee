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
    char *path;    /* provisioning folder; "" = none */
    char *sources; /* data sources that provisioning files name: a JSON array; under the lock */
};

/* Grafana's provisioning files under a folder (provisioning/dashboards/, dashboards/; *.yml), as people have them beside their dashboards.
 * What cannot be read is logged with file, line and field, and passed over. */
typedef struct DashProvider {
    Str name, folder, folder_uid, path;
    bool from_structure; /* folders are named as directories are */
} DashProvider;
typedef struct DashProviders {
    DashProvider at[64];
    u32 len;
} DashProviders;
void dash_read_provisioning(Vfs *vfs, const char *root, Arena *arena, DashProviders *ret, Buf *ret_sources);

typedef struct DashPut {
    Str text, folder, message, source;
    Str uid; /* what the list calls it; empty = as the text says, or a new one */
    bool overwrite;
    i64 version; /* the one that was edited: E_CONFLICT when the newest is another; 0 = whichever there is */
} DashPut;

enum { FOLDERS_MAX = 2000 };
typedef struct DashFolder {
    Str uid, title, source; /* source: "" (people) or "file" */
} DashFolder;

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
/* One of the versions kept: its text, and ret->updated_ms is when it was stored. */
Err dash_store_version(DashStore *s, Str uid, i64 version, Arena *arena, DashRow *ret, Str *ret_message,
                       Why *why);
/* Stores an old version's text as the newest, in the folder where the dashboard is. */
Err dash_store_restore(DashStore *s, Str uid, i64 version, Str message, Arena *arena, DashRow *ret, Why *why);

/* Folders (folders.c). A dashboard names its folder by the title; "" is the general one, which is not listed. A folder is there from
 * when somebody makes it, or a dashboard is put into it. Its uid is the one given, or made of the title. */
Err dash_folder_put(DashStore *s, Str uid, Str title, Str source, Arena *arena, DashFolder *ret, Why *why);
Err dash_folder_find(DashStore *s, Str uid, Arena *arena, DashFolder *ret,
                     Why *why);                             /* by uid; E_NOT_FOUND */
Str dash_folder_uid(DashStore *s, Str title, Arena *arena); /* "" when there is none */
Err dash_folder_list(DashStore *s, void (*fn)(void *arg, const DashFolder *f), void *arg, Why *why);
/* E_CONFLICT while dashboards are in it, unless with_dashboards; E_FORBIDDEN when any of them comes from a file. */
Err dash_folder_delete(DashStore *s, Str uid, bool with_dashboards, Arena *arena, Why *why);
/* Inside a transaction, under the lock: the folder is there afterwards. */
Err dash_folder_ensure(DashStore *s, Str uid, Str title, Str source, Arena *arena, Why *why);

/* Statements, under the lock. dash_run steps one that gives no rows, and ends it. */
struct sqlite3_stmt *dash_prepare(DashStore *s, const char *sql); /* NULL: statedb_failed says why */
void dash_bind(struct sqlite3_stmt *st, int at, Str v);
Str dash_column(struct sqlite3_stmt *st, int at);
Err dash_run(DashStore *s, struct sqlite3_stmt *st, Why *why, const char *what);

/* Reads the provisioning folder again: what is new or changed is stored, what is gone is removed. */
Err dash_provision(DashStore *s, Why *why);
void dash_api_routes(HttpServer *server, DashStore *s);
