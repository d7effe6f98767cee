/* What amtool prints: tables as Go's tabwriter lays them out, the routing tree, a rendered template. */
#include "cmd/amtool.h"

#include <stdio.h>
#include <stdlib.h>

#include "alert/notify/notify.h"

/* ---- tables: cells padded to their column, two spaces between ---- */
typedef struct Table {
    u32 cols;
    VEC(Str) cells; /* heap */
} Table;

static void cell(Table *t, Str s)
{
    vec_push(&t->cells, mem_dup(s));
}

static void cell_c(Table *t, const char *s)
{
    cell(t, str_c(s));
}

static void table_print(Table *t)
{
    for (size_t i = 0; i < t->cells.len; i++) {
        size_t width = 0;
        for (size_t k = i % t->cols; k < t->cells.len; k += t->cols)
            width = MAX(width, str_rune_count(t->cells.at[k]));
        Str s = t->cells.at[i];
        printf("%.*s%*s%s", STR_FMT(s), (int)(width + 2 - str_rune_count(s)), "",
               (i + 1) % t->cols ? "" : "\n");
    }
    for (size_t i = 0; i < t->cells.len; i++)
        mem_free((void *)t->cells.at[i].at);
    vec_done(&t->cells);
}

static const char *text_of(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void cell_date(const Amtool *t, Table *table, json_t *o, const char *key)
{
    i64 ns = 0;
    Civil c;
    Buf b;
    parse_rfc3339(str_c(text_of(o, key)), &ns);
    i64 sec = ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
    civil_from_unix(sec, &c);
    c.nanos = (i32)(ns - sec * NS_PER_SEC);
    snprintf(c.zone, sizeof c.zone, "UTC");
    buf_init(&b, 4096);
    print_time_go(&b, &c, str_c(t->date_format));
    cell(table, buf_view(&b));
    buf_done(&b);
}

static void cell_pairs(Table *table, json_t *map)
{
    VEC(const char *) keys = {0};
    const char *key;
    json_t *v;
    Buf b;
    json_object_foreach(map, key, v) vec_push(&keys, key);
    for (size_t i = 1; i < keys.len; i++)
        for (size_t k = i; k > 0 && strcmp(keys.at[k - 1], keys.at[k]) > 0; k--) {
            const char *swap = keys.at[k];
            keys.at[k] = keys.at[k - 1];
            keys.at[k - 1] = swap;
        }
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < keys.len; i++)
        buf_printf(&b, "%s%s=\"%s\"", i ? " " : "", keys.at[i], text_of(map, keys.at[i]));
    cell(table, buf_view(&b));
    buf_done(&b);
    vec_done(&keys);
}

static void cell_matchers(Table *table, json_t *list, bool extended)
{
    Buf b;
    buf_init(&b, 1 << 20);
    if (extended)
        buf_char(&b, '{');
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *m = json_array_get(list, i), *equal = json_object_get(m, "isEqual");
        bool is_equal = !equal || json_is_true(equal), is_regex = json_is_true(json_object_get(m, "isRegex"));
        Matcher x = {.name = str_c(text_of(m, "name")),
                     .value = str_c(text_of(m, "value")),
                     .op = is_regex ? (is_equal ? MATCH_RE : MATCH_NRE) : (is_equal ? MATCH_EQ : MATCH_NE)};
        if (i)
            buf_char(&b, extended ? ',' : ' ');
        match_print(&b, &x);
    }
    if (extended)
        buf_char(&b, '}');
    cell(table, buf_view(&b));
    buf_done(&b);
}

/* Stable, by a time. */
typedef struct Row {
    json_t *o;
    size_t place;
    i64 ns;
} Row;
static int by_time(const void *pa, const void *pb)
{
    const Row *a = pa, *b = pb;
    return a->ns != b->ns ? (a->ns > b->ns) - (a->ns < b->ns) : (a->place > b->place) - (a->place < b->place);
}

static Row *sorted(Amtool *t, json_t *list, const char *key)
{
    size_t n = json_array_size(list);
    Row *at = arena_array(&t->arena, Row, n + 1);
    for (size_t i = 0; at && i < n; i++) {
        at[i] = (Row){json_array_get(list, i), i, 0};
        parse_rfc3339(str_c(text_of(at[i].o, key)), &at[i].ns);
    }
    if (at && n > 1)
        qsort(at, n, sizeof *at, by_time);
    return at;
}

int amtool_print_alerts(Amtool *t, Str body)
{
    static const char *const simple[] = {"Alertname", "Starts At", "Summary", "State"};
    static const char *const all[] = {"Labels",  "Annotations",   "Starts At",
                                      "Ends At", "Generator URL", "State"};
    json_error_t err;
    bool extended = !strcmp(t->output, "extended");
    if (!strcmp(t->output, "json")) {
        printf("%.*s\n", STR_FMT(str_trim(body)));
        return 0;
    }
    json_t *list = json_loadb(body.at, body.len, 0, &err);
    Row *rows = sorted(t, list, "startsAt");
    Table table = {.cols = extended ? COUNT_OF(all) : COUNT_OF(simple)};
    for (u32 i = 0; i < table.cols; i++)
        cell_c(&table, extended ? all[i] : simple[i]);
    for (size_t i = 0; rows && i < json_array_size(list); i++) {
        json_t *a = rows[i].o, *labels = json_object_get(a, "labels"),
               *notes = json_object_get(a, "annotations");
        if (extended) {
            cell_pairs(&table, labels);
            cell_pairs(&table, notes);
        } else {
            cell_c(&table, text_of(labels, "alertname"));
        }
        cell_date(t, &table, a, "startsAt");
        if (extended) {
            cell_date(t, &table, a, "endsAt");
            cell_c(&table, text_of(a, "generatorURL"));
        } else {
            cell_c(&table, text_of(notes, "summary"));
        }
        cell_c(&table, text_of(json_object_get(a, "status"), "state"));
    }
    table_print(&table);
    json_decref(list);
    return 0;
}

int amtool_print_silences(Amtool *t, json_t *list)
{
    static const char *const simple[] = {"ID", "Matchers", "Ends At", "Created By", "Comment"};
    static const char *const all[] = {"ID",         "Matchers",   "Starts At", "Ends At",
                                      "Updated At", "Created By", "Comment"};
    bool extended = !strcmp(t->output, "extended");
    if (!strcmp(t->output, "json")) {
        char *text = json_dumps(list, JSON_COMPACT);
        printf("%s\n", text);
        free(text);
        return 0;
    }
    Row *rows = sorted(t, list, "endsAt");
    Table table = {.cols = extended ? COUNT_OF(all) : COUNT_OF(simple)};
    for (u32 i = 0; i < table.cols; i++)
        cell_c(&table, extended ? all[i] : simple[i]);
    for (size_t i = 0; rows && i < json_array_size(list); i++) {
        json_t *s = rows[i].o;
        cell_c(&table, text_of(s, "id"));
        cell_matchers(&table, json_object_get(s, "matchers"), extended);
        if (extended)
            cell_date(t, &table, s, "startsAt");
        cell_date(t, &table, s, "endsAt");
        if (extended)
            cell_date(t, &table, s, "updatedAt");
        cell_c(&table, text_of(s, "createdBy"));
        cell_c(&table, text_of(s, "comment"));
    }
    table_print(&table);
    return 0;
}

int amtool_print_status(Amtool *t, Str body)
{
    static const char *const fields[] = {"buildUser", "goVersion", "revision",
                                         "version",   "branch",    "buildDate"};
    json_error_t err;
    if (!strcmp(t->output, "json")) {
        printf("%.*s\n", STR_FMT(str_trim(body)));
        return 0;
    }
    json_t *root = json_loadb(body.at, body.len, 0, &err);
    printf("%s\n", text_of(json_object_get(root, "config"), "original"));
    for (size_t i = 0; i < COUNT_OF(fields) && !strcmp(t->output, "extended"); i++)
        printf("%s %s\n", fields[i], text_of(json_object_get(root, "versionInfo"), fields[i]));
    if (!strcmp(t->output, "extended"))
        printf("uptime %s\n", text_of(root, "uptime"));
    json_decref(root);
    return 0;
}

int amtool_print_cluster(Amtool *t, Str body)
{
    json_error_t err;
    json_t *root = json_loadb(body.at, body.len, 0, &err), *cluster = json_object_get(root, "cluster");
    if (!strcmp(t->output, "json")) {
        char *text = json_dumps(cluster, JSON_COMPACT);
        printf("%s\n", text ? text : "{}");
        free(text);
    } else {
        printf("Cluster Status:  %s\nNode Name:       %s\n", text_of(cluster, "status"),
               text_of(cluster, "name"));
        if (!strcmp(t->output, "extended"))
            printf("\nAddress  Name\n");
    }
    json_decref(root);
    return 0;
}

/* ---- the routing tree ---- */
static void print_slug(const AlertRoute *r, bool show_continue, bool show_receiver)
{
    Buf b;
    buf_init(&b, 1 << 20);
    if (r->matchers.len)
        match_print_all(&b, r->matchers);
    else
        buf_c(&b, "default-route");
    if (r->continues && show_continue)
        buf_c(&b, "  continue: true");
    if (show_receiver)
        buf_printf(&b, "  receiver: %.*s", STR_FMT(r->receiver->name));
    printf("%s\n", buf_cstr(&b));
    buf_done(&b);
}

typedef VEC(const AlertRoute *) RouteList;
/* The children that are shown: all, or those an alert goes through. */
static void children(const AlertRoute *r, const Labels *matching, RouteList *ret)
{
    for (u32 i = 0; i < r->routes_len; i++) {
        const AlertRoute *c = &r->routes[i];
        if (matching && !matchers_match(c->matchers, *matching))
            continue;
        vec_push(ret, c);
        if (matching && !c->continues)
            break;
    }
}

static void print_branch(const AlertRoute *r, const Labels *matching, Buf *indent, bool last)
{
    RouteList sub = {0};
    size_t before = indent->len;
    children(r, matching, &sub);
    printf("%s%s ", buf_cstr(indent),
           last ? "\xe2\x94\x94\xe2\x94\x80\xe2\x94\x80" : "\xe2\x94\x9c\xe2\x94\x80\xe2\x94\x80");
    print_slug(r, !matching, !matching || !sub.len);
    buf_c(indent, last ? "    " : "\xe2\x94\x82   ");
    for (size_t i = 0; i < sub.len; i++)
        print_branch(sub.at[i], matching, indent, i + 1 == sub.len);
    indent->len = before;
    vec_done(&sub);
}

void amtool_print_tree(const AlertRoute *root, const Labels *matching)
{
    Buf indent;
    buf_init(&indent, 4096);
    printf(".\n");
    print_branch(root, matching, &indent, true);
    buf_done(&indent);
}

/* ---- template render ---- */
static Labels labels_from(Amtool *t, json_t *map)
{
    LabelsBuilder b;
    const char *key;
    json_t *v;
    lb_init(&b, &t->arena, (Labels){0});
    json_object_foreach(map, key, v)
        lb_set(&b, arena_dup(&t->arena, str_c(key)), arena_dup(&t->arena, str_c(json_string_value(v))));
    return lb_build(&b);
}

static const char example[] =
    "{\"receiver\":\"receiver\",\"status\":\"alertstatus\",\"alerts\":[{\"status\":\"firing\",\"labels\":{"
    "\"label1\":\"value1\",\"label2\":\"value2\",\"instance\":\"foo.bar:1234\",\"commonlabelkey1\":"
    "\"commonlabelvalue1\",\"commonlabelkey2\":\"commonlabelvalue2\"},\"annotations\":{\"annotation1\":"
    "\"value1\","
    "\"annotation2\":\"value2\",\"commonannotationkey1\":\"commonannotationvalue1\",\"commonannotationkey2\":"
    "\"commonannotationvalue2\"},\"generatorURL\":\"https://"
    "generatorurl.com\",\"fingerprint\":\"fingerprint1\"},{"
    "\"status\":\"resolved\",\"labels\":{\"foo\":\"bar\",\"baz\":\"qux\",\"commonlabelkey1\":"
    "\"commonlabelvalue1\","
    "\"commonlabelkey2\":\"commonlabelvalue2\"},\"annotations\":{\"aaa\":\"bbb\",\"ccc\":\"ddd\","
    "\"commonannotationkey1\":\"commonannotationvalue1\",\"commonannotationkey2\":\"commonannotationvalue2\"}"
    ","
    "\"generatorURL\":\"https://generatorurl.com\",\"fingerprint\":\"fingerprint2\"}],\"groupLabels\":{"
    "\"grouplabelkey1\":\"grouplabelvalue1\",\"grouplabelkey2\":\"grouplabelvalue2\"},\"commonLabels\":{"
    "\"commonlabelkey1\":\"commonlabelvalue1\",\"commonlabelkey2\":\"commonlabelvalue2\"},"
    "\"commonAnnotations\":{"
    "\"commonannotationkey1\":\"commonannotationvalue1\",\"commonannotationkey2\":\"commonannotationvalue2\"}"
    ","
    "\"externalURL\":\"https://example.com\"}";

static i64 time_or(json_t *o, const char *key, i64 dflt)
{
    i64 ns = dflt;
    parse_rfc3339(str_c(text_of(o, key)), &ns);
    return ns;
}

static void data_from(Amtool *t, json_t *root, NotifyData *d)
{
    json_t *alerts = json_object_get(root, "alerts");
    size_t n = json_array_size(alerts);
    NotifyAlert *at = arena_array(&t->arena, NotifyAlert, n + 1);
    i64 now = clock_wall_ns(clock_real());
    *d = (NotifyData){.receiver = str_c(text_of(root, "receiver")),
                      .status = str_c(text_of(root, "status")),
                      .external_url = str_c(text_of(root, "externalURL")),
                      .reason = str_c(text_of(root, "notification_reason")),
                      .group_labels = labels_from(t, json_object_get(root, "groupLabels")),
                      .common_labels = labels_from(t, json_object_get(root, "commonLabels")),
                      .common_annotations = labels_from(t, json_object_get(root, "commonAnnotations")),
                      .alerts = at,
                      .len = at ? (u32)n : 0,
                      .now_ms = now / NS_PER_MS};
    for (size_t i = 0; at && i < n; i++) {
        json_t *a = json_array_get(alerts, i);
        bool resolved = !strcmp(text_of(a, "status"), "resolved");
        at[i] =
            (NotifyAlert){.labels = labels_from(t, json_object_get(a, "labels")),
                          .annotations = labels_from(t, json_object_get(a, "annotations")),
                          .starts_ns = time_or(a, "startsAt", now - (resolved ? 10 : 5) * 60 * NS_PER_SEC),
                          .ends_ns = time_or(a, "endsAt", now),
                          .is_resolved = resolved,
                          .generator_url = str_c(text_of(a, "generatorURL")),
                          .fingerprint_text = str_c(text_of(a, "fingerprint"))};
    }
}

int amtool_render(Amtool *t)
{
    Buf file, out;
    Why why = {0};
    json_error_t err;
    NotifyData d;
    if (!t->template_globs.len || !t->template_text[0])
        return amtool_fail("required flag(s) --template.glob, --template.text not provided");
    TmplSet *set = notify_templates_new();
    buf_init(&file, 64 << 20);
    buf_init(&out, 1 << 20);
    Err e = OK;
    for (size_t i = 0; i < t->template_globs.len && e == OK; i++)
        e = notify_templates_add(vfs_os(), set, str_c(t->template_globs.at[i]), &why);
    if (e == OK && t->template_data[0])
        e = vfs_read_file(vfs_os(), t->template_data, 64 << 20, &file, &why);
    else
        buf_c(&file, example);
    json_t *root = e == OK ? json_loadb(file.at, file.len, 0, &err) : NULL;
    if (e == OK && !root)
        e = why_set(&why, E_PARSE, "%s: %s", t->template_data, err.text);
    if (e == OK) {
        data_from(t, root, &d);
        e = notify_run(set, &d, str_c(t->template_text), !strcmp(t->template_type, "html"), &t->arena, &out,
                       &why);
    }
    if (e == OK)
        fwrite(out.at ? out.at : "", 1, out.len, stdout);
    json_decref(root);
    tmpl_set_free(set);
    buf_done(&file);
    buf_done(&out);
    return e == OK ? 0 : amtool_fail("%s", why.text);
}
