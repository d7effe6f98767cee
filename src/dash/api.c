/* The routes of dashboards, in Grafana's shapes. See dash.h. */
#include "dash/store.h"

#include <jansson.h>

enum { ANSWER_BYTES_MAX = 64 << 20 };

static void reply_json(HttpReq *r, int status, Buf *body)
{
    http_reply(r, buf_over(body) ? 500 : status, "application/json",
               buf_over(body) ? S("{\"message\":\"the answer is too large\"}") : buf_view(body));
    buf_done(body);
}

static void reply_error(HttpReq *r, const Why *why)
{
    Buf b;
    Json j;
    buf_init(&b, 8192);
    js_init(&j, &b);
    js_object(&j);
    js_kv(&j, "message", str_c(why->text));
    /* Grafana says 412 where there is a dashboard already, or another version of it. */
    bool is_race = why->err == E_EXISTS || why->err == E_CONFLICT;
    if (is_race)
        js_kv(&j, "status", why->err == E_EXISTS ? S("name-exists") : S("version-mismatch"));
    js_object_end(&j);
    reply_json(r, is_race ? 412 : err_http_status(why->err), &b);
}

static void put_time(Json *j, i64 ms)
{
    Civil c;
    Buf b;
    buf_init(&b, 64);
    civil_from_unix(ms / 1000, &c);
    print_time_go(&b, &c, S("2006-01-02T15:04:05Z07:00"));
    js_str(j, buf_view(&b));
    buf_done(&b);
}

static Str url_of(HttpReq *r, Str uid)
{
    return arena_printf(r->arena, "/d/%.*s", STR_FMT(uid));
}

/* ---- lists ---- */

typedef struct Search {
    HttpReq *r;
    Json j;
    Str query, tag;
    Str folders[64]; /* folderUIDs; none = all */
    u32 folders_len;
    i64 limit;
    StrMap uids; /* title of a folder -> its uid */
} Search;

static bool contains_nocase(Str s, Str word)
{
    for (size_t i = 0; i + word.len <= s.len; i++)
        if (str_eq_nocase(str_sub(s, i, i + word.len), word))
            return true;
    return word.len == 0;
}

/* A folder's uid, asked of the store once for each: the list holds the store's lock, so this is filled before. */
static void note_folder(void *arg, const DashFolder *f)
{
    Search *s = arg;
    Str *uid = arena_try(s->r->arena, sizeof *uid);
    if (uid) {
        *uid = arena_dup(s->r->arena, f->uid);
        strmap_put(&s->uids, arena_dup(s->r->arena, f->title), uid);
    }
}

static Str folder_uid(const Search *s, Str title)
{
    const Str *uid = strmap_find(&s->uids, title);
    return uid ? *uid : S("");
}

static bool in_folders(const Search *s, Str uid)
{
    for (u32 i = 0; i < s->folders_len; i++)
        if (str_eq(s->folders[i], uid) || (!uid.len && str_eq(s->folders[i], S("general"))))
            return true;
    return s->folders_len == 0;
}

/* What a found folder and a found dashboard have in common; the object stays open. */
static void put_hit(Search *s, const char *type, Str uid, Str title, Str url, Str tags)
{
    Json *j = &s->j;
    s->limit--;
    js_object(j);
    js_key(j, S("id")), js_i64(j, (i64)(hash_str(uid) >> 12));
    js_kv(j, "uid", uid);
    js_kv(j, "title", title);
    js_kv(j, "uri", arena_printf(s->r->arena, "db/%.*s", STR_FMT(uid)));
    js_kv(j, "url", url);
    js_kv(j, "slug", S(""));
    js_kv(j, "type", str_c(type));
    js_key(j, S("tags")), js_raw(j, tags);
    js_key(j, S("isStarred")), js_bool(j, false);
}

static void put_folder_found(void *arg, const DashFolder *f)
{
    Search *s = arg;
    if (s->limit <= 0 || !contains_nocase(f->title, s->query) || s->tag.len || s->folders_len)
        return;
    put_hit(s, "dash-folder", f->uid, f->title,
            arena_printf(s->r->arena, "/dashboards/f/%.*s", STR_FMT(f->uid)), S("[]"));
    js_kv(&s->j, "source", f->source);
    js_object_end(&s->j);
}

static void put_found(void *arg, const DashRow *row)
{
    Search *s = arg;
    if (s->limit <= 0 || !contains_nocase(row->title, s->query) || !in_folders(s, folder_uid(s, row->folder)))
        return;
    if (s->tag.len && str_find(row->tags, arena_printf(s->r->arena, "\"%.*s\"", STR_FMT(s->tag))) == SIZE_MAX)
        return;
    Json *j = &s->j;
    put_hit(s, "dash-db", row->uid, row->title, url_of(s->r, row->uid), row->tags);
    js_kv(j, "folderUid", folder_uid(s, row->folder));
    js_kv(j, "folderTitle", row->folder);
    js_key(j, S("version")), js_i64(j, row->version);
    js_key(j, S("updated")), put_time(j, row->updated_ms);
    js_kv(j, "source", row->source);
    js_object_end(j);
}

static void search(HttpReq *r, void *arg)
{
    Why why = {0};
    Buf b;
    Search s = {.r = r, .query = http_param(r, S("query")), .tag = http_param(r, S("tag")), .limit = 1000};
    Str limit = http_param(r, S("limit"));
    if (limit.len && (parse_i64(limit, &s.limit) != OK || s.limit < 1 || s.limit > 5000))
        s.limit = 1000;
    buf_init(&b, ANSWER_BYTES_MAX);
    js_init(&s.j, &b);
    js_array(&s.j);
    Str type = http_param(r, S("type"));
    s.folders_len =
        MIN(http_params_all(r, S("folderUIDs"), s.folders, COUNT_OF(s.folders)), COUNT_OF(s.folders));
    Err e = dash_folder_list(arg, note_folder, &s, &why);
    if (e == OK && !str_eq(type, S("dash-db")))
        e = dash_folder_list(arg, put_folder_found, &s, &why);
    if (e == OK && !str_eq(type, S("dash-folder")))
        e = dash_store_list(arg, put_found, &s, &why);
    js_array_end(&s.j);
    strmap_done(&s.uids);
    if (e == OK) {
        reply_json(r, 200, &b);
        return;
    }
    buf_done(&b);
    reply_error(r, &why);
}

static void put_version(void *arg, i64 version, i64 created_ms, Str message)
{
    Json *j = arg;
    js_object(j);
    js_key(j, S("version")), js_i64(j, version);
    js_key(j, S("created")), put_time(j, created_ms);
    js_kv(j, "message", message);
    js_object_end(j);
}

static void versions(HttpReq *r, void *arg)
{
    Why why = {0};
    Buf b;
    Json j;
    buf_init(&b, 1 << 20);
    js_init(&j, &b);
    js_array(&j);
    Err e = dash_store_versions(arg, r->path_args[0], put_version, &j, &why);
    js_array_end(&j);
    if (e == OK) {
        reply_json(r, 200, &b);
        return;
    }
    buf_done(&b);
    reply_error(r, &why);
}

/* One version, whole. */
static void version(HttpReq *r, void *arg)
{
    Why why = {0};
    DashRow row;
    Str message;
    i64 n = 0;
    if (parse_i64(r->path_args[1], &n) != OK)
        why_set(&why, E_INVALID, "a version is a whole number");
    if (why.err || dash_store_version(arg, r->path_args[0], n, r->arena, &row, &message, &why) != OK) {
        reply_error(r, &why);
        return;
    }
    Buf b;
    Json j;
    buf_init(&b, ANSWER_BYTES_MAX);
    js_init(&j, &b);
    js_object(&j);
    js_kv(&j, "uid", row.uid);
    js_key(&j, S("version")), js_i64(&j, row.version);
    js_key(&j, S("created")), put_time(&j, row.updated_ms);
    js_kv(&j, "message", message);
    js_key(&j, S("data")), js_raw(&j, row.text);
    js_object_end(&j);
    reply_json(r, 200, &b);
}

/* ---- one dashboard ---- */

static void read_one(HttpReq *r, void *arg)
{
    Why why = {0};
    DashRow row;
    if (dash_store_get(arg, r->path_args[0], r->arena, &row, &why) != OK) {
        reply_error(r, &why);
        return;
    }
    Buf b;
    Json j;
    buf_init(&b, ANSWER_BYTES_MAX);
    js_init(&j, &b);
    js_object(&j);
    js_key(&j, S("meta"));
    js_object(&j);
    js_kv(&j, "type", S("db"));
    js_key(&j, S("canSave")), js_bool(&j, row.source.len == 0);
    js_key(&j, S("provisioned")), js_bool(&j, row.source.len != 0);
    js_kv(&j, "slug", S(""));
    js_kv(&j, "url", url_of(r, row.uid));
    js_key(&j, S("version")), js_i64(&j, row.version);
    js_key(&j, S("created")), put_time(&j, row.created_ms);
    js_key(&j, S("updated")), put_time(&j, row.updated_ms);
    js_kv(&j, "folderUid", dash_folder_uid(arg, row.folder, r->arena));
    js_kv(&j, "folderTitle", row.folder.len ? row.folder : S("General"));
    js_object_end(&j);
    js_key(&j, S("dashboard"));
    js_raw(&j, row.text);
    js_object_end(&j);
    reply_json(r, 200, &b);
}

static void read_text(HttpReq *r, void *arg)
{
    Why why = {0};
    DashRow row;
    if (dash_store_get(arg, r->path_args[0], r->arena, &row, &why) != OK) {
        reply_error(r, &why);
        return;
    }
    http_add_header(r, S("X-Pharos-Version"), arena_printf(r->arena, "%lld", (long long)row.version));
    http_add_header(r, S("X-Pharos-Source"), row.source);
    Buf folder;
    buf_init(&folder, 8192);
    url_escape_path(&folder, row.folder);
    http_add_header(r, S("X-Pharos-Folder"), arena_dup(r->arena, buf_view(&folder)));
    buf_done(&folder);
    http_add_header(r, S("Cache-Control"), S("no-cache"));
    http_reply(r, 200, "application/json", row.text);
}

/* Only a page of ours, or a program, may change things: a form of another site cannot send this type. */
static bool is_json(HttpReq *r)
{
    if (str_starts(http_header(r, S("Content-Type")), S("application/json")))
        return true;
    Why why = {0};
    why_set(&why, E_UNSUPPORTED, "send it with Content-Type: application/json");
    reply_error(r, &why);
    return false;
}

static void reply_stored(HttpReq *r, const DashRow *row)
{
    Buf b;
    Json j;
    buf_init(&b, 8192);
    js_init(&j, &b);
    js_object(&j);
    js_key(&j, S("id")), js_i64(&j, (i64)(hash_str(row->uid) >> 12));
    js_kv(&j, "uid", row->uid);
    js_kv(&j, "url", url_of(r, row->uid));
    js_kv(&j, "status", S("success"));
    js_kv(&j, "slug", S(""));
    js_key(&j, S("version")), js_i64(&j, row->version);
    js_object_end(&j);
    reply_json(r, 200, &b);
}

static void store_text(HttpReq *r, DashStore *s, const DashPut *p)
{
    Why why = {0};
    DashRow row;
    if (dash_store_put(s, p, r->arena, &row, &why) == OK)
        reply_stored(r, &row);
    else
        reply_error(r, &why);
}

static void import(HttpReq *r, void *arg)
{
    i64 version = 0;
    Str text = http_param(r, S("version"));
    if (!is_json(r))
        return;
    if (text.len && (parse_i64(text, &version) != OK || version < 1)) {
        Why why = {0};
        why_set(&why, E_INVALID, "version is a whole number from 1 on");
        reply_error(r, &why);
        return;
    }
    store_text(r, arg,
               &(DashPut){.text = r->body,
                          .folder = http_param(r, S("folder")),
                          .message = http_param(r, S("message")),
                          .uid = http_param(r, S("uid")),
                          .version = version,
                          .overwrite = str_eq(http_param(r, S("overwrite")), S("true"))});
}

/* The bytes of one member's value of a JSON object, as they are; empty when it is not there. The text is valid JSON. */
static Str member(Str text, Str name)
{
    size_t depth = 0, from = SIZE_MAX;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '"') {
            size_t start = i + 1;
            for (i++; i < text.len && text.at[i] != '"'; i++)
                i += text.at[i] == '\\';
            size_t end = i, k = i + 1;
            while (k < text.len && strchr(" \t\r\n", text.at[k]))
                k++;
            if (depth == 1 && from == SIZE_MAX && k < text.len && text.at[k] == ':' &&
                str_eq(str_sub(text, start, end), name)) {
                from = k + 1;
                i = k;
            }
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if (from != SIZE_MAX && depth == 0)
                return str_trim(str_sub(text, from, i));
        } else if (c == ',' && depth == 1 && from != SIZE_MAX) {
            return str_trim(str_sub(text, from, i));
        }
    }
    return S("");
}

/* A JSON string's text; empty for anything else. */
static Str unquoted(Str json, Arena *arena)
{
    json_t *v = json.len && json.at[0] == '"' ? json_loadb(json.at, json.len, JSON_DECODE_ANY, NULL) : NULL;
    Str out = v ? arena_dup(arena, str_of(json_string_value(v), json_string_length(v))) : S("");
    json_decref(v);
    return out;
}

static void save(HttpReq *r, void *arg)
{
    Why why = {0};
    DashRow row;
    if (!is_json(r))
        return;
    /* The whole is read first: member() needs valid JSON. */
    if (dash_describe(r->body, r->arena, &row, &why) != OK) {
        reply_error(r, &why);
        return;
    }
    Str folder_of = unquoted(member(r->body, S("folderUid")), r->arena);
    DashFolder folder = {0};
    if (folder_of.len && !str_eq(folder_of, S("general")) &&
        dash_folder_find(arg, folder_of, r->arena, &folder, &why) != OK) {
        reply_error(r, &why);
        return;
    }
    store_text(r, arg,
               &(DashPut){.text = member(r->body, S("dashboard")),
                          .folder = folder.title,
                          .message = unquoted(member(r->body, S("message")), r->arena),
                          .overwrite = str_eq(member(r->body, S("overwrite")), S("true"))});
}

/* {"version": N}: that one's text becomes the newest version. */
static void restore(HttpReq *r, void *arg)
{
    Why why = {0};
    DashRow row;
    if (!is_json(r))
        return;
    json_t *body = json_loadb(r->body.at, r->body.len, 0, NULL), *n = json_object_get(body, "version");
    i64 wanted = json_is_integer(n) ? json_integer_value(n) : 0;
    json_decref(body);
    Err e = wanted > 0 ? OK : why_set(&why, E_INVALID, "the body is {\"version\": N}");
    if (e == OK)
        e = dash_store_restore(arg, r->path_args[0], wanted,
                               arena_printf(r->arena, "Restored from version %lld", (long long)wanted),
                               r->arena, &row, &why);
    if (e == OK)
        reply_stored(r, &row);
    else
        reply_error(r, &why);
}

static void remove_one(HttpReq *r, void *arg)
{
    Why why = {0};
    DashRow row;
    Err e = dash_store_get(arg, r->path_args[0], r->arena, &row, &why);
    if (e == OK && row.source.len)
        e = why_set(&why, E_FORBIDDEN, "the dashboard \"%.*s\" comes from a file: remove it there",
                    STR_FMT(row.title));
    if (e == OK)
        e = dash_store_delete(arg, r->path_args[0], &why);
    if (e != OK) {
        reply_error(r, &why);
        return;
    }
    Buf b;
    Json j;
    buf_init(&b, 8192);
    js_init(&j, &b);
    js_object(&j);
    js_kv(&j, "title", row.title);
    js_kv(&j, "message", S("Dashboard deleted"));
    js_object_end(&j);
    reply_json(r, 200, &b);
}

/* ---- folders ---- */

static void put_folder(Json *j, const DashFolder *f, Arena *arena)
{
    js_object(j);
    js_key(j, S("id")), js_i64(j, (i64)(hash_str(f->uid) >> 12));
    js_kv(j, "uid", f->uid);
    js_kv(j, "title", f->title);
    js_kv(j, "url", arena_printf(arena, "/dashboards/f/%.*s", STR_FMT(f->uid)));
    js_kv(j, "source", f->source);
    js_object_end(j);
}

typedef struct Folders {
    Json j;
    Arena *arena;
} Folders;

static void put_listed(void *arg, const DashFolder *f)
{
    Folders *l = arg;
    put_folder(&l->j, f, l->arena);
}

static void folders(HttpReq *r, void *arg)
{
    Why why = {0};
    Buf b;
    Folders l = {.arena = r->arena};
    buf_init(&b, ANSWER_BYTES_MAX);
    js_init(&l.j, &b);
    js_array(&l.j);
    Err e = dash_folder_list(arg, put_listed, &l, &why);
    js_array_end(&l.j);
    if (e == OK) {
        reply_json(r, 200, &b);
        return;
    }
    buf_done(&b);
    reply_error(r, &why);
}

static void reply_folder(HttpReq *r, Err e, const DashFolder *f, const Why *why)
{
    Buf b;
    Json j;
    if (e != OK) {
        reply_error(r, why);
        return;
    }
    buf_init(&b, 8192);
    js_init(&j, &b);
    put_folder(&j, f, r->arena);
    reply_json(r, 200, &b);
}

static void folder(HttpReq *r, void *arg)
{
    Why why = {0};
    DashFolder f;
    reply_folder(r, dash_folder_find(arg, r->path_args[0], r->arena, &f, &why), &f, &why);
}

static void make_folder(HttpReq *r, void *arg)
{
    Why why = {0};
    DashFolder f = {0};
    if (!is_json(r))
        return;
    json_t *body = json_loadb(r->body.at, r->body.len, 0, NULL);
    const char *uid = json_string_value(json_object_get(body, "uid")),
               *title = json_string_value(json_object_get(body, "title"));
    Err e = dash_folder_put(arg, str_c(uid ? uid : ""), str_c(title ? title : ""), S(""), r->arena, &f, &why);
    json_decref(body);
    reply_folder(r, e, &f, &why);
}

static void remove_folder(HttpReq *r, void *arg)
{
    Why why = {0};
    DashFolder f;
    Err e = dash_folder_find(arg, r->path_args[0], r->arena, &f, &why);
    if (e == OK) /* Grafana removes what is in it, unless the client says it counts on none */
        e = dash_folder_delete(arg, f.uid, !str_eq(http_param(r, S("empty")), S("true")), r->arena, &why);
    reply_folder(r, e, &f, &why);
}

/* ---- what clients ask first ---- */

/* Ours, then those that provisioning files name, so that dashboards find theirs. */
static void datasources(HttpReq *r, void *arg)
{
    static const char ours[] =
        "{\"id\":1,\"uid\":\"prometheus\",\"orgId\":1,\"name\":\"Prometheus\",\"type\":\"prometheus\","
        "\"typeName\":\"Prometheus\",\"access\":\"proxy\",\"url\":\"/\",\"isDefault\":true,"
        "\"readOnly\":true,\"jsonData\":{\"httpMethod\":\"POST\"}}";
    DashStore *s = arg;
    mutex_lock(&s->lock);
    Str named = s->sources ? arena_dup(r->arena, str_c(s->sources)) : S("[]"); /* "[...]" */
    mutex_unlock(&s->lock);
    if (named.len < 3)
        named = S("[]");
    http_reply(
        r, 200, "application/json",
        arena_printf(r->arena, "[%s%s%.*s", ours, named.len > 2 ? "," : "", STR_FMT(str_skip(named, 1))));
}

static void health(HttpReq *r, void *arg)
{
    (void)arg;
    http_reply(r, 200, "application/json", S("{\"database\":\"ok\",\"product\":\"pharos\"}"));
}

void dash_api_routes(HttpServer *server, DashStore *s)
{
    const HttpRoute routes[] = {
        {.methods = "GET", .path = "/api/search", .handler = search, .role = ROLE_READ},
        {.methods = "GET", .path = "/api/datasources", .handler = datasources, .role = ROLE_READ},
        {.methods = "GET", .path = "/api/health", .handler = health, .role = ROLE_NONE},
        {.methods = "GET", .path = "/api/dashboards/uid/{}", .handler = read_one, .role = ROLE_READ},
        {.methods = "DELETE", .path = "/api/dashboards/uid/{}", .handler = remove_one, .role = ROLE_ADMIN},
        {.methods = "GET", .path = "/api/dashboards/uid/{}/json", .handler = read_text, .role = ROLE_READ},
        {.methods = "GET", .path = "/api/dashboards/uid/{}/versions", .handler = versions, .role = ROLE_READ},
        {.methods = "GET",
         .path = "/api/dashboards/uid/{}/versions/{}",
         .handler = version,
         .role = ROLE_READ},
        {.methods = "POST",
         .path = "/api/dashboards/uid/{}/restore",
         .handler = restore,
         .role = ROLE_ADMIN,
         .body_max = 4096},
        {.methods = "GET", .path = "/api/folders", .handler = folders, .role = ROLE_READ},
        {.methods = "POST",
         .path = "/api/folders",
         .handler = make_folder,
         .role = ROLE_ADMIN,
         .body_max = 4096},
        {.methods = "GET", .path = "/api/folders/{}", .handler = folder, .role = ROLE_READ},
        {.methods = "DELETE", .path = "/api/folders/{}", .handler = remove_folder, .role = ROLE_ADMIN},
        {.methods = "POST",
         .path = "/api/dashboards/db",
         .handler = save,
         .role = ROLE_ADMIN,
         .body_max = DASHBOARD_BYTES_MAX + 4096},
        {.methods = "POST",
         .path = "/api/dashboards/import",
         .handler = import,
         .role = ROLE_ADMIN,
         .body_max = DASHBOARD_BYTES_MAX + 4096},
    };
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        HttpRoute one = routes[i];
        one.arg = s;
        one.run = RUN_ADMIN;
        http_server_route(server, &one, 1);
    }
}
