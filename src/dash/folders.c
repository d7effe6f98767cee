/* Folders of dashboards. See store.h. */
#include "dash/store.h"

#include <sqlite3.h>

static bool is_folder_uid(Str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.at[i] | 0x20) >= 'a' && (s.at[i] | 0x20) <= 'z') && !(s.at[i] >= '0' && s.at[i] <= '9') &&
            s.at[i] != '-' && s.at[i] != '_')
            return false;
    return s.len > 0 && s.len <= 40;
}

static Str made_uid(Str title, Arena *arena)
{
    return is_folder_uid(title) ? title
                                : arena_printf(arena, "f%016llx", (unsigned long long)hash_str(title));
}

/* The first folder a statement gives; false when there is none. */
static bool first(sqlite3_stmt *st, Arena *arena, DashFolder *ret)
{
    if (sqlite3_step(st) != SQLITE_ROW)
        return false;
    *ret = (DashFolder){.uid = arena_dup(arena, dash_column(st, 0)),
                        .title = arena_dup(arena, dash_column(st, 1)),
                        .source = arena_dup(arena, dash_column(st, 2))};
    return true;
}

static Err find(DashStore *s, bool by_title, Str key, Arena *arena, DashFolder *ret, Why *why)
{
    sqlite3_stmt *st =
        dash_prepare(s, by_title ? "SELECT uid, title, source FROM dashboard_folders WHERE title = ?"
                                 : "SELECT uid, title, source FROM dashboard_folders WHERE uid = ?");
    if (!st)
        return statedb_failed(s->db, why, "reading a folder");
    dash_bind(st, 1, key);
    bool there = first(st, arena, ret);
    sqlite3_finalize(st);
    return there ? OK : why_set(why, E_NOT_FOUND, "there is no folder \"%.*s\"", STR_FMT(key));
}

Err dash_folder_ensure(DashStore *s, Str uid, Str title, Str source, Arena *arena, Why *why)
{
    sqlite3_stmt *st = dash_prepare(s, "INSERT OR IGNORE INTO dashboard_folders VALUES (?, ?, ?)");
    if (!st)
        return statedb_failed(s->db, why, "storing a folder");
    dash_bind(st, 1, title);
    dash_bind(st, 2, uid.len ? uid : made_uid(title, arena));
    dash_bind(st, 3, source);
    return dash_run(s, st, why, "storing a folder");
}

Err dash_folder_put(DashStore *s, Str uid, Str title, Str source, Arena *arena, DashFolder *ret, Why *why)
{
    title = str_trim(title);
    if (!title.len || title.len > 255)
        return why_set(why, E_INVALID, "a folder's title has 1 to 255 bytes");
    if (uid.len && !is_folder_uid(uid))
        return why_set(why, E_INVALID, "a folder's uid has letters, figures, - and _, 40 at most");
    mutex_lock(&s->lock);
    Err e = find(s, true, title, arena, ret, NULL);
    if (e == OK && uid.len && !str_eq(ret->uid, uid) && !source.len)
        e = why_set(why, E_EXISTS, "there is a folder of that title");
    else if (e == E_NOT_FOUND && uid.len && find(s, false, uid, arena, ret, NULL) == OK)
        e = why_set(why, E_EXISTS, "there is a folder of that uid: \"%.*s\"", STR_FMT(ret->title));
    else if (e == E_NOT_FOUND) {
        e = dash_folder_ensure(s, uid, title, source, arena, why);
        if (e == OK)
            e = find(s, true, title, arena, ret, why);
    }
    mutex_unlock(&s->lock);
    return e;
}

Err dash_folder_find(DashStore *s, Str uid, Arena *arena, DashFolder *ret, Why *why)
{
    mutex_lock(&s->lock);
    Err e = find(s, false, uid, arena, ret, why);
    mutex_unlock(&s->lock);
    return e;
}

Str dash_folder_uid(DashStore *s, Str title, Arena *arena)
{
    DashFolder f;
    mutex_lock(&s->lock);
    Err e = title.len ? find(s, true, title, arena, &f, NULL) : E_NOT_FOUND;
    mutex_unlock(&s->lock);
    return e == OK ? f.uid : S("");
}

Err dash_folder_list(DashStore *s, void (*fn)(void *arg, const DashFolder *f), void *arg, Why *why)
{
    mutex_lock(&s->lock);
    sqlite3_stmt *st = dash_prepare(
        s, "SELECT uid, title, source FROM dashboard_folders ORDER BY title COLLATE NOCASE LIMIT 2000");
    int rc = SQLITE_ERROR;
    while (st && (rc = sqlite3_step(st)) == SQLITE_ROW)
        fn(arg, &(DashFolder){dash_column(st, 0), dash_column(st, 1), dash_column(st, 2)});
    Err e = rc == SQLITE_DONE ? OK : statedb_failed(s->db, why, "listing folders");
    sqlite3_finalize(st);
    mutex_unlock(&s->lock);
    return e;
}

/* How many dashboards a folder has, all of them or those of files. */
static i64 count_in(DashStore *s, Str title, bool provisioned)
{
    sqlite3_stmt *st =
        dash_prepare(s, provisioned ? "SELECT count(*) FROM dashboards WHERE folder = ? AND source <> ''"
                                    : "SELECT count(*) FROM dashboards WHERE folder = ?");
    if (!st)
        return 1;
    dash_bind(st, 1, title);
    i64 n = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 1;
    sqlite3_finalize(st);
    return n;
}

static Err delete_all(DashStore *s, Str title, Why *why)
{
    static const char *const statements[] = {
        "DELETE FROM dashboard_versions WHERE uid IN (SELECT uid FROM dashboards WHERE folder = ?)",
        "DELETE FROM dashboards WHERE folder = ?", "DELETE FROM dashboard_folders WHERE title = ?"};
    Err e = statedb_exec(s->db, "BEGIN IMMEDIATE", why);
    for (size_t i = 0; i < COUNT_OF(statements) && e == OK; i++) {
        sqlite3_stmt *st = dash_prepare(s, statements[i]);
        if (st)
            dash_bind(st, 1, title);
        e = dash_run(s, st, why, "removing a folder");
    }
    if (e == OK)
        e = statedb_exec(s->db, "COMMIT", why);
    if (e != OK)
        (void)statedb_exec(s->db, "ROLLBACK", NULL);
    return e;
}

Err dash_folder_delete(DashStore *s, Str uid, bool with_dashboards, Arena *arena, Why *why)
{
    DashFolder f;
    mutex_lock(&s->lock);
    Err e = find(s, false, uid, arena, &f, why);
    if (e == OK && count_in(s, f.title, true))
        e = why_set(why, E_FORBIDDEN,
                    "the folder \"%.*s\" has dashboards that come from files: remove them there",
                    STR_FMT(f.title));
    else if (e == OK && !with_dashboards && count_in(s, f.title, false))
        e = why_set(why, E_CONFLICT, "the folder \"%.*s\" is not empty", STR_FMT(f.title));
    if (e == OK)
        e = delete_all(s, f.title, why);
    mutex_unlock(&s->lock);
    return e;
}
