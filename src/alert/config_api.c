/* The configuration over HTTP, beside its file: read it with secrets hidden, try a new one (verdict, difference, which alerts
 * would take another way), put it in place. And Mimir's form of the same, /api/v1/alerts of an Alertmanager.
 *
 * What is put in place is written to the file that the process reads at start, atomically, with the one before kept beside
 * it as FILE.bak; then it is loaded as a reload would. A text that holds "<secret>" where a secret belongs is refused: it
 * was read here, and writing it back would lose the secret. */
#include "alert/api.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONFIG_BYTES_MAX = 16 << 20, EXAMPLES_MAX = 50, ROUTES_SEEN_MAX = 64, DIFF_CELLS_MAX = 4 << 20 };

static void reply_status(HttpReq *r, int status, const char *kind, const char *text)
{
    Buf b;
    buf_init(&b, 64 << 10);
    buf_printf(&b, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", kind);
    js_quote(&b, str_c(text));
    buf_c(&b, "}\n");
    http_reply(r, status, "application/json", buf_view(&b));
    buf_done(&b);
}

static AlertConfig *running(Alerter *a)
{
    mutex_lock(&a->lock);
    AlertConfig *c = a->config ? alert_config_ref(a->config) : NULL;
    mutex_unlock(&a->lock);
    return c;
}

/* ---- the difference, line by line, of what is printed with secrets hidden ---- */
typedef VEC(Str) Lines;

static void split(Str text, Lines *ret)
{
    Str line;
    while (text.len) {
        str_cut(text, '\n', &line, &text);
        vec_push(ret, line);
    }
}

static void put_line(Buf *out, char sign, Str line)
{
    buf_char(out, sign);
    buf_str(out, line);
    buf_char(out, '\n');
}

/* The longest common subsequence of what lies between the equal ends; a table too large says it whole. */
static void diff_middle(const Str *a, size_t n, const Str *b, size_t m, Buf *out)
{
    size_t w = m + 1;
    u16 *len = n && m && n * m <= DIFF_CELLS_MAX && MIN(n, m) < UINT16_MAX
                   ? mem_zalloc((n + 1) * w * sizeof *len)
                   : NULL;
    for (size_t i = n; len && i-- > 0;)
        for (size_t k = m; k-- > 0;)
            len[i * w + k] = str_eq(a[i], b[k]) ? (u16)(len[(i + 1) * w + k + 1] + 1)
                                                : MAX(len[(i + 1) * w + k], len[i * w + k + 1]);
    size_t i = 0, k = 0;
    while (i < n || k < m) {
        if (len && i < n && k < m && str_eq(a[i], b[k])) {
            put_line(out, ' ', a[i]);
            i++, k++;
        } else if (i < n && (!len || k >= m || len[(i + 1) * w + k] >= len[i * w + k + 1])) {
            put_line(out, '-', a[i++]);
        } else {
            put_line(out, '+', b[k++]);
        }
    }
    mem_free(len);
}

void config_diff(Str before, Str after, Buf *out)
{
    enum { AROUND = 3 };
    Lines a = {0}, b = {0};
    split(before, &a);
    split(after, &b);
    size_t head = 0, tail = 0;
    while (head < a.len && head < b.len && str_eq(a.at[head], b.at[head]))
        head++;
    while (tail < a.len - head && tail < b.len - head &&
           str_eq(a.at[a.len - 1 - tail], b.at[b.len - 1 - tail]))
        tail++;
    if (head < a.len || head < b.len) {
        for (size_t i = head > AROUND ? head - AROUND : 0; i < head; i++)
            put_line(out, ' ', a.at[i]);
        diff_middle(a.at + head, a.len - head - tail, b.at + head, b.len - head - tail, out);
        for (size_t i = a.len - tail; i < a.len && i < a.len - tail + AROUND; i++)
            put_line(out, ' ', a.at[i]);
    }
    vec_done(&a);
    vec_done(&b);
}

/* ---- the effect on the alerts there are ---- */
typedef struct Way {
    const Receiver *at[ROUTES_SEEN_MAX];
    u32 len;
} Way;

static void on_route(void *arg, const AlertRoute *r)
{
    Way *w = arg;
    if (w->len < COUNT_OF(w->at))
        w->at[w->len++] = r->receiver;
}

static bool same_way(const Way *a, const Way *b)
{
    bool same = a->len == b->len;
    for (u32 i = 0; same && i < a->len; i++)
        same = str_eq(a->at[i]->name, b->at[i]->name);
    return same;
}

static void put_way(Json *j, const char *key, const Way *w)
{
    js_key(j, str_c(key));
    js_array(j);
    for (u32 i = 0; i < w->len; i++)
        js_str(j, w->at[i]->name);
    js_array_end(j);
}

typedef struct Effect {
    u64 alerts, changed;
} Effect;

/* A batch under the lock. */
static void compare_ways(Alerter *a, const AlertRoute *before, const AlertRoute *after, const u64 *fps,
                         size_t n, Effect *e, Json *j)
{
    i64 now_ns = clock_wall_ns(a->env.clock);
    mutex_lock(&a->lock);
    for (size_t i = 0; i < n; i++) {
        const StoredAlert *x = alert_state_alert(&a->state, fps[i]);
        Way was = {.len = 0}, will = {.len = 0};
        if (!x || alert_is_resolved(x, now_ns))
            continue;
        e->alerts++;
        if (before)
            alert_route_match(before, x->labels, on_route, &was);
        alert_route_match(after, x->labels, on_route, &will);
        if (same_way(&was, &will) || e->changed++ >= EXAMPLES_MAX)
            continue;
        char fingerprint[24];
        snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)x->fingerprint);
        js_object(j);
        js_kv(j, "fingerprint", str_c(fingerprint));
        api_put_labels(j, S("labels"), x->labels, true);
        put_way(j, "before", &was);
        put_way(j, "after", &will);
        js_object_end(j);
    }
    mutex_unlock(&a->lock);
}

static void put_effect(Alerter *a, const AlertConfig *old, const AlertConfig *c, Json *j)
{
    Fingerprints fps = {0};
    Effect e = {0};
    js_key(j, S("effect"));
    js_object(j);
    js_key(j, S("examples"));
    js_array(j);
    api_all_fingerprints(a, &fps);
    for (size_t i = 0; i < fps.len; i += API_BATCH)
        compare_ways(a, old ? alert_config_route(old) : NULL, alert_config_route(c), fps.at + i,
                     MIN((size_t)API_BATCH, fps.len - i), &e, j);
    vec_done(&fps);
    js_array_end(j);
    js_key(j, S("alerts"));
    js_u64(j, e.alerts);
    js_key(j, S("changed"));
    js_u64(j, e.changed);
    js_object_end(j);
}

/* {"valid", "issues", "diff", "effect"} */
static void put_judgement(AlertApi *api, const AlertConfig *c, bool valid, Json *j)
{
    Buf issues, before, after, diff;
    AlertConfig *old = running(api->a);
    buf_init(&issues, 1 << 20);
    buf_init(&before, 32 << 20);
    buf_init(&after, 32 << 20);
    buf_init(&diff, 64 << 20);
    js_object(j);
    js_key(j, S("valid"));
    js_bool(j, valid);
    alert_config_print_issues(c, &issues);
    js_kv(j, "issues", buf_view(&issues));
    if (valid) {
        if (old)
            alert_config_print(old, &before);
        alert_config_print(c, &after);
        config_diff(buf_view(&before), buf_view(&after), &diff);
        js_kv(j, "diff", buf_view(&diff));
        put_effect(api->a, old, c, j);
    }
    js_object_end(j);
    buf_done(&issues);
    buf_done(&before);
    buf_done(&after);
    buf_done(&diff);
    alert_config_unref(old);
}

/* ---- read, try, apply ---- */
static void get_config(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    AlertConfig *c = running(api->a);
    Buf b, text;
    Json j;
    buf_init(&b, 64 << 20);
    buf_init(&text, 32 << 20);
    if (c)
        alert_config_print(c, &text);
    buf_c(&b, "{\"status\":\"success\",\"data\":");
    js_init(&j, &b);
    js_object(&j);
    js_kv(&j, "file", str_c(api->env.config_file));
    js_key(&j, S("writable"));
    js_bool(&j, api->env.config_file && *api->env.config_file && api->env.reload);
    js_kv(&j, "config", buf_view(&text));
    js_object_end(&j);
    buf_c(&b, "}\n");
    http_reply(r, 200, "application/json", buf_view(&b));
    buf_done(&text);
    buf_done(&b);
    alert_config_unref(c);
}

static AlertConfig *parse(AlertApi *api, Str yaml, bool *ret_valid)
{
    const char *file = api->env.config_file && *api->env.config_file
                           ? api->env.config_file
                           : "the request"; /* paths in it are relative to the file */
    AlertConfig *c = alert_config_parse(vfs_os(), file, yaml);
    *ret_valid = alert_config_verdict(c, NULL) == OK;
    return c;
}

static void reply_judgement(HttpReq *r, AlertApi *api, const AlertConfig *c, int status, bool valid)
{
    Buf b;
    Json j;
    buf_init(&b, 128 << 20);
    buf_printf(&b, "{\"status\":\"%s\",\"data\":", status == 200 ? "success" : "error");
    js_init(&j, &b);
    put_judgement(api, c, valid, &j);
    buf_c(&b, "}\n");
    http_reply(r, status, "application/json", buf_view(&b));
    buf_done(&b);
}

static void post_check(HttpReq *r, void *arg)
{
    bool valid;
    AlertConfig *c = parse(arg, r->body, &valid);
    reply_judgement(r, arg, c, 200, valid);
    alert_config_unref(c);
}

/* The file before goes to FILE.bak; a failed reload puts it back. */
static Err put_in_place(AlertApi *api, Str yaml, Why *why)
{
    Vfs *vfs = vfs_os();
    const char *file = api->env.config_file;
    char backup[4096];
    Buf old;
    snprintf(backup, sizeof backup, "%s.bak", file);
    if (atomic_exchange(&api->applying, true))
        return why_set(why, E_BUSY, "another configuration is being put in place");
    buf_init(&old, CONFIG_BYTES_MAX);
    Err e = vfs_read_file(vfs, file, CONFIG_BYTES_MAX, &old, why);
    if (e == OK)
        e = vfs_write_file(vfs, backup, buf_view(&old), why);
    if (e == OK)
        e = vfs_write_file(vfs, file, yaml, why);
    if (e == OK && (e = api->env.reload(api->env.reload_arg, why)) != OK)
        vfs_write_file(vfs, file, buf_view(&old), NULL);
    atomic_store(&api->applying, false);
    buf_done(&old);
    return e;
}

/* False: answered. */
static bool may_apply(HttpReq *r, AlertApi *api, Str yaml)
{
    if (!api->env.config_file || !*api->env.config_file || !api->env.reload) {
        reply_status(r, 409, "unavailable", "there is no configuration file to write to: start with one");
        return false;
    }
    if (str_find(yaml, S(SECRET_TEXT)) != SIZE_MAX) {
        reply_status(r, 400, "bad_data",
                     "the text holds " SECRET_TEXT
                     " where a secret belongs: write the secret itself, or name a file that holds it");
        return false;
    }
    return true;
}

static void put_config(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Why why = {0};
    char text[2048];
    bool valid;
    if (!may_apply(r, api, r->body))
        return;
    AlertConfig *c = parse(api, r->body, &valid);
    if (!valid) {
        reply_judgement(r, api, c, 400, false);
    } else {
        Buf b; /* what changes is said of the state before */
        Json j;
        buf_init(&b, 128 << 20);
        buf_c(&b, "{\"status\":\"success\",\"data\":");
        js_init(&j, &b);
        put_judgement(api, c, true, &j);
        buf_c(&b, "}\n");
        if (put_in_place(api, r->body, &why) == OK)
            http_reply(r, 200, "application/json", buf_view(&b));
        else
            reply_status(r, 500, "internal", why_print(&why, text, sizeof text));
        buf_done(&b);
    }
    alert_config_unref(c);
}

/* ---- Mimir's form: template_files, alertmanager_config ---- */
static void mimir_get(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    AlertConfig *c = running(api->a);
    Buf b, text;
    Str line;
    buf_init(&b, 64 << 20);
    buf_init(&text, 32 << 20);
    if (c)
        alert_config_print(c, &text);
    buf_c(&b, "template_files: {}\nalertmanager_config: |\n");
    for (Str rest = buf_view(&text); rest.len;) {
        str_cut(rest, '\n', &line, &rest);
        buf_printf(&b, "    %.*s\n", STR_FMT(line));
    }
    http_reply(r, 200, "application/yaml", buf_view(&b));
    buf_done(&text);
    buf_done(&b);
    alert_config_unref(c);
}

static void mimir_post(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Conf *conf = conf_new("the request");
    ConfMap m;
    Why why = {0};
    char text[2048] = "";
    Str yaml = S("");
    bool valid = false, templates = false;
    if (conf_parse(conf, r->body) && conf_map_begin(conf, conf_root(conf), &m)) {
        m.expand = false; /* the configuration itself is expanded when it is read */
        yaml = conf_str(&m, "alertmanager_config", S(""));
        const ConfNode *files = conf_get(&m, "template_files");
        templates = files && files->kind == CONF_MAP && files->len;
        conf_map_end(&m);
    }
    if (conf_finish(conf, &why) != OK)
        reply_status(r, 400, "bad_data", why_print(&why, text, sizeof text));
    else if (templates)
        reply_status(r, 400, "bad_data",
                     "template_files are not taken: put them beside the file and name them under templates");
    else if (!yaml.len)
        reply_status(r, 400, "bad_data", "no alertmanager_config in the request");
    else if (may_apply(r, api, yaml)) {
        AlertConfig *c = parse(api, yaml, &valid);
        Err e = alert_config_verdict(c, &why);
        if (e != OK)
            reply_status(r, 400, "bad_data", why_print(&why, text, sizeof text));
        else if (put_in_place(api, yaml, &why) != OK)
            reply_status(r, 500, "internal", why_print(&why, text, sizeof text));
        else
            http_reply(r, 201, "text/plain; charset=utf-8", S(""));
        alert_config_unref(c);
    }
    conf_free(conf);
}

/* What Mimir does when a tenant has none: nobody is told. */
static void mimir_delete(HttpReq *r, void *arg)
{
    AlertApi *api = arg;
    Why why = {0};
    char text[2048];
    static const Str none = STR_INIT("route: {receiver: none}\nreceivers: [{name: none}]\n");
    if (!may_apply(r, api, none))
        return;
    if (put_in_place(api, none, &why) == OK)
        http_reply(r, 200, "text/plain; charset=utf-8", S(""));
    else
        reply_status(r, 500, "internal", why_print(&why, text, sizeof text));
}

void api_config_routes(AlertApi *api, HttpServer *s)
{
    const HttpRoute routes[] = {
        {.methods = "GET", .path = "/api/v1/alerting/config", .handler = get_config, .role = ROLE_READ},
        {.methods = "POST",
         .path = "/api/v1/alerting/config/check",
         .handler = post_check,
         .role = ROLE_READ},
        {.methods = "PUT", .path = "/api/v1/alerting/config", .handler = put_config, .role = ROLE_ADMIN},
        {.methods = "GET", .path = "/api/v1/alerts", .handler = mimir_get, .role = ROLE_READ},
        {.methods = "POST", .path = "/api/v1/alerts", .handler = mimir_post, .role = ROLE_ADMIN},
        {.methods = "DELETE", .path = "/api/v1/alerts", .handler = mimir_delete, .role = ROLE_ADMIN},
    };
    /* Where Prometheus's own /api/v1/alerts is served, Mimir's has no place. */
    for (size_t i = 0; i < (api->env.mimir ? COUNT_OF(routes) : 3); i++) {
        HttpRoute r = routes[i];
        r.arg = api;
        r.run = RUN_ADMIN;
        r.body_max = strcmp(r.methods, "GET") ? CONFIG_BYTES_MAX : 0;
        http_server_route(s, &r, 1);
    }
}
