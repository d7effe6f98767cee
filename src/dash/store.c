/* See store.h. */
#include "dash/store.h"

#include <jansson.h>
#include <sqlite3.h>

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS dashboards (uid TEXT PRIMARY KEY, title TEXT NOT NULL, folder TEXT NOT NULL,"
    " tags TEXT NOT NULL, source TEXT NOT NULL, text BLOB NOT NULL, version INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS dashboard_versions (uid TEXT NOT NULL, version INTEGER NOT NULL, text BLOB "
    "NOT "
    "NULL,"
    " created_ms INTEGER NOT NULL, message TEXT NOT NULL, PRIMARY KEY (uid, version)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS dashboard_folders (title TEXT PRIMARY KEY, uid TEXT NOT NULL UNIQUE,"
    " source TEXT NOT NULL) WITHOUT ROWID;";

Err dash_store_open(const DashConfig *c, DashStore **ret, Why *why)
{
    DashStore *s = mem_new(DashStore);
    s->clock = c->clock;
    s->vfs = c->vfs;
    s->path = mem_strdup(c->provisioning);
    mutex_init(&s->lock, RANK_STORE);
    char *path = mem_strdup(c->db_path);
    Err e = statedb_open(c->vfs, path, &s->db, why);
    mem_free(path);
    if (e == OK)
        e = statedb_exec(s->db, schema, why);
    if (e == OK)
        e = dash_provision(s, why);
    if (e != OK) {
        dash_store_close(s);
        return e;
    }
    *ret = s;
    return OK;
}

void dash_store_close(DashStore *s)
{
    if (!s)
        return;
    statedb_close(s->db);
    mutex_done(&s->lock);
    mem_free(s->path);
    mem_free(s->sources);
    mem_free(s);
}

/* ---- what a text says about itself ---- */

static const char *string_at(json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    return json_is_string(v) ? json_string_value(v) : "";
}

static bool is_uid(Str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.at[i] | 0x20) >= 'a' && (s.at[i] | 0x20) <= 'z') && !(s.at[i] >= '0' && s.at[i] <= '9') &&
            s.at[i] != '-' && s.at[i] != '_')
            return false;
    return s.len > 0 && s.len <= 64;
}

static void put_tags(json_t *tags, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_array(&j);
    size_t i;
    json_t *tag;
    json_array_foreach(tags, i, tag) if (json_is_string(tag) && i < 50)
        js_str(&j, str_of(json_string_value(tag), json_string_length(tag)));
    js_array_end(&j);
}

Err dash_describe(Str text, Arena *arena, DashRow *ret, Why *why)
{
    json_error_t error;
    json_t *root = json_loadb(text.at, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!root)
        return why_at(why, E_INVALID, (u32)MAX(error.line, 0), (u32)MAX(error.column, 0),
                      "this is not JSON: %s (line %d)", error.text, error.line);
    json_t *d = json_is_array(root) && json_array_size(root) == 1 ? json_array_get(root, 0) : root;
    const char *name = "";
    if (json_is_object(json_object_get(d, "dashboard")) && !json_object_get(d, "panels"))
        d = json_object_get(d, "dashboard");
    else if (json_is_object(json_object_get(d, "spec"))) {
        name = string_at(json_object_get(d, "metadata"), "name");
        d = json_object_get(d, "spec");
    }
    if (!json_is_object(d) ||
        (!json_is_array(json_object_get(d, "panels")) && !json_is_array(json_object_get(d, "rows")) &&
         !json_is_object(json_object_get(d, "elements")) && !json_object_get(d, "schemaVersion"))) {
        json_decref(root);
        return why_set(why, E_INVALID, "this is JSON, but no dashboard: it has neither panels nor rows");
    }
    const char *uid = string_at(d, "uid"), *title = string_at(d, "title");
    Buf tags;
    buf_init(&tags, 16384);
    put_tags(json_object_get(d, "tags"), &tags);
    Str own = str_c(uid[0] ? uid : name);
    *ret = (DashRow){.uid = is_uid(own) ? arena_dup(arena, own) : S(""),
                     .title = arena_dup(arena, str_c(title[0] ? title : "Untitled")),
                     .tags = buf_over(&tags) ? S("[]") : arena_dup(arena, buf_view(&tags))};
    buf_done(&tags);
    json_decref(root);
    return arena_over(arena) ? why_set(why, E_TOO_LARGE, "the dashboard's title is too long") : OK;
}

/* ---- statements ---- */

sqlite3_stmt *dash_prepare(DashStore *s, const char *sql)
{
    sqlite3_stmt *st = NULL;
    return sqlite3_prepare_v2(statedb_sqlite(s->db), sql, -1, &st, NULL) == SQLITE_OK ? st : NULL;
}

void dash_bind(sqlite3_stmt *st, int at, Str v)
{
    sqlite3_bind_text64(st, at, v.at ? v.at : "", v.len, SQLITE_STATIC, SQLITE_UTF8);
}

Str dash_column(sqlite3_stmt *st, int at)
{
    const char *text = (const char *)sqlite3_column_text(st, at);
    return str_of(text ? text : "", (size_t)sqlite3_column_bytes(st, at));
}

Err dash_run(DashStore *s, sqlite3_stmt *st, Why *why, const char *what)
{
    int rc = st ? sqlite3_step(st) : SQLITE_ERROR;
    Err e = rc == SQLITE_DONE || rc == SQLITE_ROW ? OK : statedb_failed(s->db, why, what);
    sqlite3_finalize(st);
    return e;
}

static const char columns[] = "uid, title, folder, tags, source, version, created_ms, updated_ms";

static void row_of(sqlite3_stmt *st, DashRow *ret)
{
    *ret = (DashRow){.uid = dash_column(st, 0),
                     .title = dash_column(st, 1),
                     .folder = dash_column(st, 2),
                     .tags = dash_column(st, 3),
                     .source = dash_column(st, 4),
                     .version = sqlite3_column_int64(st, 5),
                     .created_ms = sqlite3_column_int64(st, 6),
                     .updated_ms = sqlite3_column_int64(st, 7)};
}

static void keep(Arena *arena, DashRow *r)
{
    Str *all[] = {&r->uid, &r->title, &r->folder, &r->tags, &r->source};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        *all[i] = arena_dup(arena, *all[i]);
}

static Err get(DashStore *s, Str uid, bool with_text, Arena *arena, DashRow *ret, Why *why)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT %s, text FROM dashboards WHERE uid = ?", columns);
    sqlite3_stmt *st = dash_prepare(s, sql);
    if (!st)
        return statedb_failed(s->db, why, "reading a dashboard");
    dash_bind(st, 1, uid);
    int rc = sqlite3_step(st);
    Err e = rc == SQLITE_ROW    ? OK
            : rc == SQLITE_DONE ? why_set(why, E_NOT_FOUND, "there is no dashboard \"%.*s\"", STR_FMT(uid))
                                : statedb_failed(s->db, why, "reading a dashboard");
    if (e == OK) {
        row_of(st, ret);
        keep(arena, ret);
        if (with_text) {
            size_t n = (size_t)sqlite3_column_bytes(st, 8);
            char *at = arena_try(arena, n + 1);
            if (!at)
                e = why_set(why, E_LIMIT, "the dashboard is larger than a request may be");
            else {
                memcpy(at, n ? sqlite3_column_blob(st, 8) : "", n);
                ret->text = str_of(at, n);
            }
        }
    }
    sqlite3_finalize(st);
    return e;
}

Err dash_store_get(DashStore *s, Str uid, Arena *arena, DashRow *ret, Why *why)
{
    mutex_lock(&s->lock);
    Err e = get(s, uid, true, arena, ret, why);
    mutex_unlock(&s->lock);
    return e;
}

static Err insert(DashStore *s, const DashRow *r, Str text, Str message, Why *why)
{
    sqlite3_stmt *st =
        dash_prepare(s, "INSERT OR REPLACE INTO dashboards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    if (!st)
        return statedb_failed(s->db, why, "storing a dashboard");
    const Str texts[] = {r->uid, r->title, r->folder, r->tags, r->source};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        dash_bind(st, (int)i + 1, texts[i]);
    sqlite3_bind_blob64(st, 6, text.at, text.len, SQLITE_STATIC);
    sqlite3_bind_int64(st, 7, r->version);
    sqlite3_bind_int64(st, 8, r->created_ms);
    sqlite3_bind_int64(st, 9, r->updated_ms);
    TRY(dash_run(s, st, why, "storing a dashboard"));
    if (r->source.len) /* files keep their own history */
        return OK;
    st = dash_prepare(s, "INSERT OR REPLACE INTO dashboard_versions VALUES (?, ?, ?, ?, ?)");
    if (!st)
        return statedb_failed(s->db, why, "storing a version");
    dash_bind(st, 1, r->uid);
    sqlite3_bind_int64(st, 2, r->version);
    sqlite3_bind_blob64(st, 3, text.at, text.len, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, r->updated_ms);
    dash_bind(st, 5, message);
    TRY(dash_run(s, st, why, "storing a version"));
    st = dash_prepare(s, "DELETE FROM dashboard_versions WHERE uid = ? AND version <= ?");
    if (!st)
        return statedb_failed(s->db, why, "trimming versions");
    dash_bind(st, 1, r->uid);
    sqlite3_bind_int64(st, 2, r->version - DASHBOARD_VERSIONS_MAX);
    return dash_run(s, st, why, "trimming versions");
}

static Str new_uid(Arena *arena)
{
    return arena_printf(arena, "d%013llx", (unsigned long long)(random_u64() >> 12));
}

static Err put(DashStore *s, const DashPut *p, Arena *arena, DashRow *ret, Why *why)
{
    DashRow row, before;
    TRY(dash_describe(p->text, arena, &row, why));
    if (p->uid.len && !is_uid(p->uid))
        return why_set(why, E_INVALID, "a uid has letters, figures, - and _, 64 at most");
    if (p->uid.len)
        row.uid = p->uid;
    if (!row.uid.len)
        row.uid = new_uid(arena);
    Err e = get(s, row.uid, true, arena, &before, why);
    if (e != OK && e != E_NOT_FOUND)
        return e;
    bool is_new = e == E_NOT_FOUND;
    if (!is_new && before.source.len && !str_eq(before.source, p->source))
        return why_set(why, E_FORBIDDEN, "the dashboard \"%.*s\" comes from a file: change it there",
                       STR_FMT(before.title));
    if (!is_new && p->version && before.version != p->version)
        return why_set(
            why, E_CONFLICT,
            "the dashboard \"%.*s\" was changed meanwhile: version %lld was edited, the newest is %lld",
            STR_FMT(before.title), (long long)p->version, (long long)before.version);
    if (!is_new && !p->overwrite && !p->version && !str_eq(before.text, p->text))
        return why_set(why, E_EXISTS, "there is a dashboard of that uid: \"%.*s\"", STR_FMT(before.title));
    i64 now = clock_wall_ms(s->clock);
    row.folder = p->folder;
    row.source = p->source;
    row.version = is_new ? 1 : before.version + (str_eq(before.text, p->text) ? 0 : 1);
    row.created_ms = is_new ? now : before.created_ms;
    row.updated_ms = is_new || row.version != before.version ? now : before.updated_ms;
    *ret = row;
    if (!is_new && row.version == before.version && str_eq(before.folder, row.folder))
        return OK;
    TRY(statedb_exec(s->db, "BEGIN IMMEDIATE", why));
    e = insert(s, &row, p->text, p->message, why);
    if (e == OK && row.folder.len)
        e = dash_folder_ensure(s, S(""), row.folder, row.source, arena, why);
    if (e == OK)
        e = statedb_exec(s->db, "COMMIT", why);
    if (e != OK)
        (void)statedb_exec(s->db, "ROLLBACK", NULL);
    return e;
}

Err dash_store_put(DashStore *s, const DashPut *p, Arena *arena, DashRow *ret, Why *why)
{
    if (p->text.len > DASHBOARD_BYTES_MAX)
        return why_set(why, E_TOO_LARGE, "a dashboard may have %d MiB", DASHBOARD_BYTES_MAX >> 20);
    mutex_lock(&s->lock);
    Err e = put(s, p, arena, ret, why);
    mutex_unlock(&s->lock);
    return e;
}

Err dash_store_version(DashStore *s, Str uid, i64 version, Arena *arena, DashRow *ret, Str *ret_message,
                       Why *why)
{
    mutex_lock(&s->lock);
    Err e = get(s, uid, false, arena, ret, why);
    sqlite3_stmt *st =
        e == OK
            ? dash_prepare(
                  s, "SELECT text, created_ms, message FROM dashboard_versions WHERE uid = ? AND version = ?")
            : NULL;
    if (st) {
        dash_bind(st, 1, uid);
        sqlite3_bind_int64(st, 2, version);
    }
    int rc = st ? sqlite3_step(st) : SQLITE_ERROR;
    if (e == OK && rc == SQLITE_DONE)
        e = why_set(why, E_NOT_FOUND, "version %lld of the dashboard is not kept", (long long)version);
    else if (e == OK && rc != SQLITE_ROW)
        e = statedb_failed(s->db, why, "reading a version");
    if (e == OK) {
        const void *blob = sqlite3_column_blob(st, 0);
        ret->text = arena_dup(arena, str_of(blob ? blob : "", (size_t)sqlite3_column_bytes(st, 0)));
        ret->version = version;
        ret->updated_ms = sqlite3_column_int64(st, 1);
        *ret_message = arena_dup(arena, dash_column(st, 2));
        if (arena_over(arena))
            e = why_set(why, E_LIMIT, "the dashboard is larger than a request may be");
    }
    sqlite3_finalize(st);
    mutex_unlock(&s->lock);
    return e;
}

Err dash_store_restore(DashStore *s, Str uid, i64 version, Str message, Arena *arena, DashRow *ret, Why *why)
{
    DashRow old;
    Str was;
    TRY(dash_store_version(s, uid, version, arena, &old, &was, why));
    /* The list's uid, as the text may name another by now. */
    return dash_store_put(
        s,
        &(DashPut){.text = old.text, .folder = old.folder, .message = message, .uid = uid, .overwrite = true},
        arena, ret, why);
}

Err dash_store_delete(DashStore *s, Str uid, Why *why)
{
    static const char *const statements[] = {"DELETE FROM dashboards WHERE uid = ?",
                                             "DELETE FROM dashboard_versions WHERE uid = ?"};
    mutex_lock(&s->lock);
    Err e = statedb_exec(s->db, "BEGIN IMMEDIATE", why);
    for (size_t i = 0; i < COUNT_OF(statements) && e == OK; i++) {
        sqlite3_stmt *st = dash_prepare(s, statements[i]);
        if (st)
            dash_bind(st, 1, uid);
        e = dash_run(s, st, why, "removing a dashboard");
        if (i == 0 && e == OK && !sqlite3_changes(statedb_sqlite(s->db)))
            e = why_set(why, E_NOT_FOUND, "there is no dashboard \"%.*s\"", STR_FMT(uid));
    }
    if (e == OK)
        e = statedb_exec(s->db, "COMMIT", why);
    if (e != OK)
        (void)statedb_exec(s->db, "ROLLBACK", NULL);
    mutex_unlock(&s->lock);
    return e;
}

Err dash_store_list(DashStore *s, void (*fn)(void *arg, const DashRow *row), void *arg, Why *why)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT %s FROM dashboards ORDER BY folder, title COLLATE NOCASE, uid",
             columns);
    mutex_lock(&s->lock);
    sqlite3_stmt *st = dash_prepare(s, sql);
    int rc = SQLITE_ERROR;
    while (st && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        DashRow row;
        row_of(st, &row);
        fn(arg, &row);
    }
    Err e = rc == SQLITE_DONE ? OK : statedb_failed(s->db, why, "listing dashboards");
    sqlite3_finalize(st);
    mutex_unlock(&s->lock);
    return e;
}

Err dash_store_versions(DashStore *s, Str uid,
                        void (*fn)(void *arg, i64 version, i64 created_ms, Str message), void *arg, Why *why)
{
    mutex_lock(&s->lock);
    sqlite3_stmt *st = dash_prepare(
        s, "SELECT version, created_ms, message FROM dashboard_versions WHERE uid = ? ORDER BY version DESC");
    if (st)
        dash_bind(st, 1, uid);
    int rc = SQLITE_ERROR;
    while (st && (rc = sqlite3_step(st)) == SQLITE_ROW)
        fn(arg, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), dash_column(st, 2));
    Err e = rc == SQLITE_DONE ? OK : statedb_failed(s->db, why, "listing versions");
    sqlite3_finalize(st);
    mutex_unlock(&s->lock);
    return e;
}
