/* pharos amtool: Alertmanager's command line, with its flags and its output. */
#include "cmd/amtool.h"
#include "cmd/version.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 512 << 20, FILE_BYTES_MAX = 64 << 20 };

int amtool_fail(const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fputs("amtool: error: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

/* ---- asking the server ---- */
static Str api_url(Amtool *t, const char *path)
{
    Str base = str_c(t->url);
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    return arena_printf(&t->arena, "%.*s/api/v2%s", STR_FMT(base), path);
}

/* 0 with the body, or 1 with a complaint. user:password@ in the URL is basic authentication. */
static int ask(Amtool *t, const char *method, Str url, Str body, HttpResult *ret)
{
    *ret = (HttpResult){0};
    HttpHeader headers[] = {{S("Content-Type"), S("application/json")}, {S("Accept"), S("application/json")}};
    HttpClientConfig config = {0};
    Url u;
    Why why = {0};
    if (!t->has_client)
        cmd_client_init(&t->client);
    t->has_client = true;
    if (url_parse(url, &u, &why) != OK)
        return amtool_fail("--alertmanager.url: %s", why.text);
    if (u.userinfo.len) {
        Str password;
        size_t at = (size_t)(u.userinfo.at - url.at);
        str_cut(u.userinfo, ':', &config.basic_username, &password);
        config.basic_password = (Secret){password};
        url = arena_printf(&t->arena, "%.*s%.*s", (int)at, url.at,
                           STR_FMT(str_skip(url, at + u.userinfo.len + 1)));
    }
    HttpCall call = {.config = &config,
                     .egress = EGRESS_CONFIGURED,
                     .method = str_c(method),
                     .url = url,
                     .headers = headers,
                     .headers_len = COUNT_OF(headers),
                     .body = body,
                     .timeout_ms = t->timeout_ms,
                     .body_max = ANSWER_BYTES_MAX};
    *ret = (HttpResult){0};
    Err e = http_call(t->client.http, &call, &t->arena, ret);
    if (e != OK || ret->err != OK)
        return amtool_fail("%s", ret->why.text[0] ? ret->why.text : err_name(e != OK ? e : ret->err));
    if (ret->status >= 200 && ret->status < 300)
        return 0;
    Str said = str_trim(ret->body);
    return amtool_fail("[%s] status %d%s%.*s", method, ret->status, said.len ? ": " : "",
                       (int)MIN(said.len, 500), said.at);
}

/* ---- matchers and pairs of the command line ---- */

/* What is no matcher is the alert's name. */
static void name_first(Amtool *t)
{
    MatchList l;
    if (!t->words_len || match_parse_one(str_c(t->words[0]), &t->arena, &l, NULL) == OK) {
        if (t->words_len)
            match_list_done(&l);
        return;
    }
    Buf b;
    buf_init(&b, 1 << 16);
    buf_c(&b, "alertname=");
    go_quote(&b, str_c(t->words[0]));
    t->words[0] = (char *)arena_dup(&t->arena, buf_view(&b)).at;
    buf_done(&b);
}

static int read_pairs(Amtool *t, char **at, size_t n, const char *what, Labels *ret)
{
    LabelsBuilder b;
    lb_init(&b, &t->arena, (Labels){0});
    for (size_t i = 0; i < n; i++) {
        MatchList l;
        Why why = {0};
        if (match_parse_one(str_c(at[i]), &t->arena, &l, &why) != OK)
            return str_eq(str_c(what), S("Labels")) ? amtool_fail("Failed to parse labels: %s\n", why.text)
                                                    : amtool_fail("%s", why.text);
        bool equal = l.at->op == MATCH_EQ;
        if (equal)
            lb_set(&b, l.at->name, l.at->value);
        match_list_done(&l);
        if (!equal)
            return amtool_fail("%s must be specified as key=value pairs", what);
    }
    *ret = lb_build(&b);
    return 0;
}

static void put_labels(Json *j, const char *key, Labels l)
{
    js_key(j, str_c(key));
    js_object(j);
    for (u32 i = 0; i < l.len; i++) {
        js_key(j, l.at[i].name);
        js_str(j, l.at[i].value);
    }
    js_object_end(j);
}

static void put_time(Json *j, const char *key, i64 ns)
{
    Buf b;
    Civil c;
    buf_init(&b, 64);
    i64 sec = ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
    civil_from_unix(sec, &c);
    c.nanos = (i32)(ns - sec * NS_PER_SEC);
    print_time_go(&b, &c, S("2006-01-02T15:04:05.000Z"));
    js_kv(j, key, buf_view(&b));
    buf_done(&b);
}

static int read_time(const char *text, i64 *ret_ns)
{
    *ret_ns = 0;
    if (str_starts(str_c(text), S("0001-"))) /* Go's zero time: none */
        return 0;
    return parse_rfc3339(str_c(text), ret_ns) == OK
               ? 0
               : amtool_fail("parsing time \"%s\": want RFC 3339, as 2006-01-02T15:04:05-07:00", text);
}

/* ---- alert ---- */
static int alert_add(Amtool *t)
{
    Labels labels, notes;
    i64 starts = 0, ends = 0;
    Buf b;
    Json j;
    HttpResult r;
    name_first(t);
    if (read_pairs(t, t->words, (size_t)t->words_len, "labels", &labels) ||
        read_pairs(t, (char **)t->annotations.at, t->annotations.len, "annotations", &notes) ||
        (t->start[0] && read_time(t->start, &starts)) || (t->end[0] && read_time(t->end, &ends)))
        return 1;
    buf_init(&b, 16 << 20);
    js_init(&j, &b);
    js_array(&j);
    js_object(&j);
    put_labels(&j, "labels", labels);
    put_labels(&j, "annotations", notes);
    js_kv(&j, "generatorURL", str_c(t->generator_url));
    if (starts)
        put_time(&j, "startsAt", starts);
    if (ends)
        put_time(&j, "endsAt", ends);
    js_object_end(&j);
    js_array_end(&j);
    int rc = ask(t, "POST", api_url(t, "/alerts"), buf_view(&b), &r);
    buf_done(&b);
    return rc;
}

static void put_param(Buf *b, const char *name, Str value)
{
    buf_printf(b, "&%s=", name);
    url_escape_query(b, value);
}

static int alert_query(Amtool *t)
{
    Buf b;
    HttpResult r;
    name_first(t);
    if (!t->silenced && !t->inhibited && !t->active && !t->unprocessed)
        t->active = true;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "/alerts?active=%s&inhibited=%s&silenced=%s&unprocessed=%s", t->active ? "true" : "false",
               t->inhibited ? "true" : "false", t->silenced ? "true" : "false",
               t->unprocessed ? "true" : "false");
    if (t->receiver[0])
        put_param(&b, "receiver", str_c(t->receiver));
    for (int i = 0; i < t->words_len; i++)
        put_param(&b, "filter", str_c(t->words[i]));
    int rc = ask(t, "GET", api_url(t, buf_cstr(&b)), S(""), &r);
    buf_done(&b);
    return rc ? rc : amtool_print_alerts(t, r.body);
}

/* ---- silence ---- */
static int put_matchers(Amtool *t, Json *j)
{
    js_key(j, S("matchers"));
    js_array(j);
    for (int i = 0; i < t->words_len; i++) {
        MatchList l;
        Why why = {0};
        if (match_parse_one(str_c(t->words[i]), &t->arena, &l, &why) != OK)
            return amtool_fail("%s", why.text);
        js_object(j);
        js_key(j, S("isEqual"));
        js_bool(j, l.at->op == MATCH_EQ || l.at->op == MATCH_RE);
        js_key(j, S("isRegex"));
        js_bool(j, l.at->op == MATCH_RE || l.at->op == MATCH_NRE);
        js_kv(j, "name", l.at->name);
        js_kv(j, "value", l.at->value);
        js_object_end(j);
        match_list_done(&l);
    }
    js_array_end(j);
    return 0;
}

static int post_silence(Amtool *t, Str body, Str *ret_id)
{
    HttpResult r;
    json_error_t err;
    int rc = ask(t, "POST", api_url(t, "/silences"), body, &r);
    if (rc)
        return rc;
    json_t *root = json_loadb(r.body.at, r.body.len, 0, &err);
    const char *id = json_string_value(json_object_get(root, "silenceID"));
    *ret_id = arena_dup(&t->arena, str_c(id));
    json_decref(root);
    return id ? 0 : amtool_fail("the answer has no silenceID");
}

/* --duration from `starts` on; 0, or amtool_fail's answer. */
static int end_after(const Amtool *t, i64 starts, i64 *ret_ends)
{
    i64 ms = 0;
    Why why = {0};
    if (parse_duration_ms(str_c(t->duration), &ms, &why) != OK)
        return amtool_fail("%s", why.text);
    if (!ms)
        return amtool_fail("silence duration must be greater than 0");
    *ret_ends = starts + ms * NS_PER_MS;
    return 0;
}

static int silence_add(Amtool *t)
{
    i64 starts = clock_wall_ns(clock_real()), ends = 0;
    Labels notes;
    Buf b;
    Json j;
    Str id;
    name_first(t);
    if (!t->words_len)
        return amtool_fail("no matchers specified");
    if (t->start[0] && read_time(t->start, &starts))
        return 1;
    if (t->end[0] ? read_time(t->end, &ends) : end_after(t, starts, &ends))
        return 1;
    if (starts > ends)
        return amtool_fail("silence cannot start after it ends");
    if (t->require_comment && !t->comment[0])
        return amtool_fail("comment required by config");
    if (read_pairs(t, (char **)t->annotations.at, t->annotations.len, "annotations", &notes))
        return 1;
    buf_init(&b, 16 << 20);
    js_init(&j, &b);
    js_object(&j);
    int rc = put_matchers(t, &j);
    put_time(&j, "startsAt", starts);
    put_time(&j, "endsAt", ends);
    js_kv(&j, "createdBy", str_c(t->author));
    js_kv(&j, "comment", str_c(t->comment));
    if (notes.len)
        put_labels(&j, "annotations", notes);
    js_object_end(&j);
    if (!rc)
        rc = post_silence(t, buf_view(&b), &id);
    if (!rc)
        printf("%.*s\n", STR_FMT(id));
    buf_done(&b);
    return rc;
}

static i64 time_of(json_t *silence, const char *key)
{
    i64 ns = 0;
    parse_rfc3339(str_c(json_string_value(json_object_get(silence, key))), &ns);
    return ns;
}

static bool silence_wanted(const Amtool *t, json_t *s, i64 now, i64 within)
{
    i64 ends = time_of(s, "endsAt");
    const char *by = json_string_value(json_object_get(s, "createdBy")),
               *id = json_string_value(json_object_get(s, "id"));
    if (t->expired ? ends > now : ends < now)
        return false;
    if (within && (t->expired ? ends < now - within : ends > now + within))
        return false;
    return (!t->created_by[0] || (by && !strcmp(by, t->created_by))) &&
           (!t->id[0] || (id && !strcmp(id, t->id)));
}

static int print_silences(Amtool *t, json_t *list)
{
    if (!t->quiet)
        return amtool_print_silences(t, list);
    for (size_t i = 0; i < json_array_size(list); i++)
        printf("%s\n", json_string_value(json_object_get(json_array_get(list, i), "id")));
    return 0;
}

static int silence_query(Amtool *t)
{
    Buf b;
    HttpResult r;
    json_error_t err;
    i64 within = 0;
    Why why = {0};
    if (t->within[0] && parse_go_duration_ns(str_c(t->within), &within, &why) != OK)
        return amtool_fail("%s", why.text);
    name_first(t);
    buf_init(&b, 1 << 20);
    buf_c(&b, "/silences?");
    for (int i = 0; i < t->words_len; i++)
        put_param(&b, "filter", str_c(t->words[i]));
    int rc = ask(t, "GET", api_url(t, buf_cstr(&b)), S(""), &r);
    buf_done(&b);
    if (rc)
        return rc;
    json_t *all = json_loadb(r.body.at, r.body.len, 0, &err), *shown = json_array();
    i64 now = clock_wall_ns(clock_real());
    for (size_t i = 0; i < json_array_size(all); i++)
        if (silence_wanted(t, json_array_get(all, i), now, within))
            json_array_append(shown, json_array_get(all, i));
    rc = print_silences(t, shown);
    json_decref(shown);
    json_decref(all);
    return rc;
}

static Str silence_url(Amtool *t, const char *id)
{
    Buf b;
    buf_init(&b, 4096);
    buf_c(&b, "/silence/");
    url_escape_path(&b, str_c(id));
    Str url = api_url(t, buf_cstr(&b));
    buf_done(&b);
    return url;
}

static int silence_expire(Amtool *t)
{
    HttpResult r;
    if (!t->words_len)
        return amtool_fail("no silence IDs specified");
    for (int i = 0; i < t->words_len; i++)
        if (ask(t, "DELETE", silence_url(t, t->words[i]), S(""), &r))
            return 1;
    return 0;
}

static void set_time(json_t *s, const char *key, i64 ns)
{
    Buf b;
    Json j;
    json_error_t err;
    buf_init(&b, 256);
    js_init(&j, &b);
    js_object(&j);
    put_time(&j, key, ns);
    js_object_end(&j);
    json_t *o = json_loadb(b.at, b.len, 0, &err);
    json_object_set(s, key, json_object_get(o, key));
    json_decref(o);
    buf_done(&b);
}

static int update_one(Amtool *t, json_t *s)
{
    i64 starts = time_of(s, "startsAt"), ends = time_of(s, "endsAt");
    if ((t->start[0] && read_time(t->start, &starts)) || (t->end[0] && read_time(t->end, &ends)))
        return 1;
    if (!t->end[0] && t->duration[0] && end_after(t, starts, &ends))
        return 1;
    if (starts > ends)
        return amtool_fail("silence cannot start after it ends");
    set_time(s, "startsAt", starts);
    set_time(s, "endsAt", ends);
    if (t->comment[0])
        json_object_set_new(s, "comment", json_string(t->comment));
    char *text = json_dumps(s, JSON_COMPACT);
    Str id;
    int rc = post_silence(t, str_c(text), &id);
    if (!rc)
        json_object_set_new(s, "id", json_string(id.at));
    free(text);
    return rc;
}

static int silence_update(Amtool *t)
{
    int rc = 0;
    json_t *updated = json_array();
    if (!t->words_len)
        rc = amtool_fail("no silence IDs specified");
    for (int i = 0; i < t->words_len && !rc; i++) {
        HttpResult r;
        json_error_t err;
        rc = ask(t, "GET", silence_url(t, t->words[i]), S(""), &r);
        if (rc)
            break;
        json_t *s = json_loadb(r.body.at, r.body.len, 0, &err);
        rc = s ? update_one(t, s) : amtool_fail("the answer is no JSON");
        json_array_append(updated, s);
        json_decref(s);
    }
    if (!rc)
        rc = print_silences(t, updated);
    json_decref(updated);
    return rc;
}

static int read_input(const char *path, Buf *ret)
{
    Why why = {0};
    char chunk[65536];
    if (path)
        return vfs_read_file(vfs_os(), path, FILE_BYTES_MAX, ret, &why) == OK ? 0
                                                                              : amtool_fail("%s", why.text);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, stdin)) > 0;)
        buf_put(ret, chunk, n);
    return buf_over(ret) ? amtool_fail("the input is over %d MiB", FILE_BYTES_MAX >> 20) : 0;
}

static int silence_import(Amtool *t)
{
    Buf b;
    json_error_t err;
    size_t failed = 0;
    buf_init(&b, FILE_BYTES_MAX);
    int rc = read_input(t->words_len ? t->words[0] : NULL, &b);
    json_t *list = rc ? NULL : json_loadb(b.len ? b.at : "", b.len, 0, &err);
    if (!rc && !json_is_array(list))
        rc = amtool_fail("couldn't unmarshal input data, is it JSON?: %s", list ? "it is no list" : err.text);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *s = json_array_get(list, i);
        Str id;
        if (t->force)
            json_object_del(s, "id");
        char *text = json_dumps(s, JSON_COMPACT);
        if (post_silence(t, str_c(text), &id))
            failed++;
        else
            printf("%.*s\n", STR_FMT(id));
        free(text);
    }
    if (failed)
        rc = amtool_fail("couldn't import %zu out of %zu silences", failed, json_array_size(list));
    json_decref(list);
    buf_done(&b);
    return rc;
}

/* ---- check-config ---- */
static int check_config(Amtool *t)
{
    int failed = 0;
    if (!t->words_len)
        return amtool_fail("want the files to check");
    for (int i = 0; i < t->words_len; i++) {
        AlertConfig *c = alert_config_load(vfs_os(), t->words[i]);
        Why why = {0};
        Buf issues;
        AlertConfigCounts n;
        char text[2048];
        Err e = alert_config_verdict(c, &why);
        printf("Checking '%s'", t->words[i]);
        if (e != OK) {
            printf("  FAILED: %s\n", why_print(&why, text, sizeof text));
            failed++;
        } else {
            alert_config_counts(c, &n);
            printf(
                "  SUCCESS\nFound:\n - global config\n - route\n - %u inhibit rules\n - %u receivers\n - %u "
                "templates\n",
                n.inhibit_rules, n.receivers, n.templates);
            if (n.templates)
                printf("  SUCCESS\n");
        }
        printf("\n");
        buf_init(&issues, 1 << 20);
        alert_config_print_issues(c, &issues);
        fflush(stdout);
        if (e == OK && issues.len) /* remarks; errors have been said */
            fwrite(issues.at, 1, issues.len, stderr);
        buf_done(&issues);
        alert_config_unref(c);
    }
    return failed ? amtool_fail("failed to validate %d file(s)", failed) : 0;
}

/* ---- config, cluster ---- */
static AlertConfig *load_config(Amtool *t)
{
    AlertConfig *c = NULL;
    HttpResult r;
    json_error_t err;
    Why why = {0};
    if (t->config_file[0]) {
        c = alert_config_load(vfs_os(), t->config_file);
    } else if (!ask(t, "GET", api_url(t, "/status"), S(""), &r)) {
        json_t *root = json_loadb(r.body.at, r.body.len, 0, &err);
        const char *text = json_string_value(json_object_get(json_object_get(root, "config"), "original"));
        c = alert_config_parse(vfs_os(), "the server's configuration", str_c(text));
        json_decref(root);
    }
    if (c && alert_config_verdict(c, &why) != OK) {
        amtool_fail("%s", why.text);
        alert_config_unref(c);
        c = NULL;
    }
    return c;
}

static void on_route(void *arg, const AlertRoute *r)
{
    Buf *b = arg;
    buf_printf(b, "%s%.*s", b->len ? "," : "", STR_FMT(r->receiver->name));
}

static int routes(Amtool *t, bool test)
{
    Labels labels = {0};
    Buf b;
    AlertConfig *c = load_config(t);
    if (!c)
        return 1;
    const AlertRoute *root = alert_config_route(c);
    int rc = test ? read_pairs(t, t->words, (size_t)t->words_len, "Labels", &labels) : 0;
    if (!rc && !test) {
        printf("Routing tree:\n");
        amtool_print_tree(root, NULL);
        printf("\n");
    } else if (!rc) {
        if (t->tree) {
            printf("Matching routes:\n");
            amtool_print_tree(root, &labels);
            printf("\n\n");
        }
        buf_init(&b, 1 << 20);
        alert_route_match(root, labels, on_route, &b);
        printf("%s\n", buf_cstr(&b));
        if (t->verify[0] && strcmp(t->verify, buf_cstr(&b)) != 0) {
            printf("WARNING: Expected receivers did not match resolved receivers.\n");
            rc = 1;
        }
        buf_done(&b);
    }
    alert_config_unref(c);
    return rc;
}

static int status(Amtool *t, int (*print)(Amtool *t, Str body))
{
    HttpResult r;
    int rc = ask(t, "GET", api_url(t, "/status"), S(""), &r);
    return rc ? rc : print(t, r.body);
}

/* ---- the command line ---- */
static bool next_word(Amtool *t, const char *word)
{
    if (!t->words || !t->words_len || strcmp(t->words[0], word) != 0)
        return false;
    t->words++;
    t->words_len--;
    return true;
}

static int dispatch(Amtool *t)
{
    if (next_word(t, "alert")) {
        if (next_word(t, "add"))
            return alert_add(t);
        next_word(t, "query");
        return alert_query(t);
    }
    if (next_word(t, "silence")) {
        bool is_default_duration = !t->duration[0];
        if (next_word(t, "add")) {
            if (is_default_duration)
                t->duration = "1h";
            return silence_add(t);
        }
        if (next_word(t, "expire"))
            return silence_expire(t);
        if (next_word(t, "import"))
            return silence_import(t);
        if (next_word(t, "update"))
            return silence_update(t);
        next_word(t, "query");
        return silence_query(t);
    }
    if (next_word(t, "check-config"))
        return check_config(t);
    if (next_word(t, "config")) {
        if (next_word(t, "routes")) {
            if (next_word(t, "test"))
                return routes(t, true);
            next_word(t, "show");
            return routes(t, false);
        }
        next_word(t, "show");
        return status(t, amtool_print_status);
    }
    if (next_word(t, "cluster")) {
        next_word(t, "show");
        return status(t, amtool_print_cluster);
    }
    if (next_word(t, "template") && next_word(t, "render"))
        return amtool_render(t);
    fputs(cmd_amtool.help, t->words_len ? stderr : stdout);
    return t->words_len ? amtool_fail("expected command but got \"%s\"", t->words[0]) : 0;
}

/* Defaults from amtool's own file: names of flags to values. */
static void read_defaults(Flag *flags, size_t n, Arena *arena, Conf **ret)
{
    const char *home = getenv("HOME");
    const Str paths[] = {
        arena_printf(arena, "%s/.config/amtool/config.yml", home ? home : "/nonexistent"),
        arena_printf(arena, "%s/.config/prometheus/amtool.yml", home ? home : "/nonexistent"),
        S("/etc/amtool/config.yml"),
        S("/etc/prometheus/amtool.yml"),
    };
    Buf text;
    buf_init(&text, 1 << 20);
    for (size_t p = 0; p < COUNT_OF(paths) && !*ret; p++) {
        buf_clear(&text);
        if (vfs_read_file(vfs_os(), paths[p].at, 1 << 20, &text, NULL) != OK)
            continue;
        *ret = conf_new(paths[p].at);
        const ConfNode *root = conf_parse(*ret, buf_view(&text)) ? conf_root(*ret) : NULL;
        for (u32 i = 0; root && root->kind == CONF_MAP && i < root->len; i++) {
            Str key =
                str_eq(root->keys[i].text, S("comment_required")) ? S("require-comment") : root->keys[i].text;
            for (size_t f = 0; f < n; f++)
                if (str_eq(key, str_c(flags[f].name)) && root->items[i].kind == CONF_SCALAR)
                    flags[f].dflt = arena_dup(arena, root->items[i].text).at; /* NUL-terminated */
        }
    }
    buf_done(&text);
}

static int run(int argc, char **argv)
{
    Amtool t = {0};
    const char *dflt_url = "http://localhost:9093/";
    struct passwd *user = getpwuid(getuid());
    Flag flags[] = {
        {"alertmanager.url", FLAG_STR, &t.url, dflt_url, "Alertmanager to talk to"},
        {"output", FLAG_STR, &t.output, "simple", "simple, extended or json (-o)"},
        {"o", FLAG_STR, &t.output, NULL, NULL},
        {"date.format", FLAG_STR, &t.date_format, "2006-01-02 15:04:05 MST", "format of dates"},
        {"timeout", FLAG_DURATION, &t.timeout_ms, "30s", "for the whole command"},
        {"verbose", FLAG_BOOL, &t.verbose, "false", NULL},
        {"v", FLAG_BOOL, &t.verbose, NULL, NULL},
        {"http.config.file", FLAG_STR, &t.http_config, "", NULL},
        {"version-check", FLAG_BOOL, &t.version_check, "true", NULL},
        {"enable-feature", FLAG_STR, &t.features, "", "classic-mode, utf8-strict-mode"},
        {"inhibited", FLAG_BOOL, &t.inhibited, "false", "alert query: inhibited alerts (-i)"},
        {"i", FLAG_BOOL, &t.inhibited, NULL, NULL},
        {"silenced", FLAG_BOOL, &t.silenced, "false", "alert query: silenced alerts (-s)"},
        {"s", FLAG_BOOL, &t.silenced, NULL, NULL},
        {"active", FLAG_BOOL, &t.active, "false", "alert query: active alerts (-a)"},
        {"unprocessed", FLAG_BOOL, &t.unprocessed, "false", "alert query: unprocessed alerts (-u)"},
        {"u", FLAG_BOOL, &t.unprocessed, NULL, NULL},
        {"receiver", FLAG_STR, &t.receiver, "", "alert query: receivers, an expression (-r)"},
        {"r", FLAG_STR, &t.receiver, NULL, NULL},
        {"generator-url", FLAG_STR, &t.generator_url, "", "alert add: where it comes from"},
        {"start", FLAG_STR, &t.start, "", "alert add, silence add and update: RFC 3339"},
        {"end", FLAG_STR, &t.end, "", "alert add, silence add and update: RFC 3339"},
        {"annotation", FLAG_LIST, &t.annotations, NULL, "alert add, silence add: name=value, repeatable"},
        {"author", FLAG_STR, &t.author, user ? user->pw_name : "", "silence add: who"},
        {"require-comment", FLAG_BOOL, &t.require_comment, "true", NULL},
        {"duration", FLAG_STR, &t.duration, "", "silence add (default 1h) and update (-d)"},
        {"d", FLAG_STR, &t.duration, NULL, NULL},
        {"comment", FLAG_STR, &t.comment, "", "silence add and update (-c)"},
        {"c", FLAG_STR, &t.comment, NULL, NULL},
        {"expired", FLAG_BOOL, &t.expired, "false", "silence query: expired ones"},
        {"quiet", FLAG_BOOL, &t.quiet, "false", "silence query and update: only ids (-q)"},
        {"q", FLAG_BOOL, &t.quiet, NULL, NULL},
        {"created-by", FLAG_STR, &t.created_by, "", "silence query: who made it"},
        {"id", FLAG_STR, &t.id, "", "silence query: this one"},
        {"within", FLAG_STR, &t.within, "", "silence query: that end within"},
        {"force", FLAG_BOOL, &t.force, "false", "silence import: always new ones (-f)"},
        {"f", FLAG_BOOL, &t.force, NULL, NULL},
        {"worker", FLAG_INT, &t.workers, "8", NULL},
        {"w", FLAG_INT, &t.workers, NULL, NULL},
        {"config.file", FLAG_STR, &t.config_file, "", "config routes: instead of the server's"},
        {"verify.receivers", FLAG_STR, &t.verify, "", "config routes test: fail unless these"},
        {"tree", FLAG_BOOL, &t.tree, "false", "config routes test: show the way"},
        {"template.glob", FLAG_LIST, &t.template_globs, NULL, "template render: files"},
        {"template.text", FLAG_STR, &t.template_text, "", "template render: what"},
        {"template.type", FLAG_STR, &t.template_type, "text", "template render: text or html"},
        {"template.data", FLAG_STR, &t.template_data, "", "template render: a JSON file of the alerts"},
    };
    Conf *file = NULL;
    bool version = false;
    VEC(char *) args = {0};
    arena_init(&t.arena, NULL, 1 << 30);
    read_defaults(flags, COUNT_OF(flags), &t.arena, &file);
    bool silence = false;
    for (int i = 0; i < argc; i++) { /* -a is two flags, by command */
        silence |= !strcmp(argv[i], "silence");
        version |= !strcmp(argv[i], "--version");
        vec_push(&args, strcmp(argv[i], "-a") ? argv[i] : silence ? "--author" : "--active");
    }
    int words = 0, rc;
    int stop = version ? 0 : flags_parse(flags, COUNT_OF(flags), &cmd_amtool, (int)args.len, args.at, &words);
    t.words = args.at;
    t.words_len = words;
    if (str_eq(str_c(t.features), S("classic-mode")))
        match_set_mode(MATCH_CLASSIC);
    else if (str_eq(str_c(t.features), S("utf8-strict-mode")))
        match_set_mode(MATCH_UTF8);
    if (version) /* scripts look for these words */
        rc = printf("amtool, version %s (of pharos %s)\n", ALERTMANAGER_VERSION, PHAROS_VERSION) < 0;
    else if (stop)
        rc = stop == 1 ? 0 : 1;
    else if (strcmp(t.output, "simple") && strcmp(t.output, "extended") && strcmp(t.output, "json"))
        rc = amtool_fail("enum value must be one of simple,extended,json, got '%s'", t.output);
    else
        rc = dispatch(&t);
    if (t.has_client)
        cmd_client_done(&t.client);
    conf_free(file);
    vec_done(&args);
    vec_done(&t.annotations);
    vec_done(&t.template_globs);
    arena_done(&t.arena);
    return rc;
}

const Command cmd_amtool = {
    .name = "amtool",
    .summary = "Alertmanager's command line",
    .help = "pharos amtool [flags] COMMAND\n\n"
            "  alert [query] [MATCHER...]          alerts that match\n"
            "  alert add LABEL=VALUE...            sends an alert\n"
            "  silence [query] [MATCHER...]        silences\n"
            "  silence add MATCHER...              makes one, prints its id\n"
            "  silence expire|update ID...         ends, changes\n"
            "  silence import [FILE]               from JSON as \"silence query -o json\" prints it\n"
            "  check-config FILE...                judges configuration files\n"
            "  config [show]                       the running configuration\n"
            "  config routes [show]                the routing tree\n"
            "  config routes test LABEL=VALUE...   which receivers an alert reaches\n"
            "  cluster [show]                      status of the cluster (there is none: \"disabled\")\n"
            "  template render                     a template with example data\n\n"
            "Flags, output and exit status are Alertmanager's amtool's; defaults come from "
            "~/.config/amtool/config.yml.\n",
    .run = run,
};
