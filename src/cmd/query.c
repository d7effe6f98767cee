/* pharos query: asks a running server, in promtool's forms. */
#include <jansson.h>
#include <stdio.h>

#include "cmd/client.h"
#include "cmd/cmd.h"

typedef struct QueryFlags {
    const char *time, *start, *end, *step, *format;
    FlagList match;
} QueryFlags;

static void print_metric(json_t *metric)
{
    const char *name = json_string_value(json_object_get(metric, "__name__"));
    printf("%s", name ? name : "");
    bool first = true;
    const char *key;
    json_t *value;
    json_object_foreach(metric, key, value)
    {
        if (!strcmp(key, "__name__"))
            continue;
        printf("%s%s=\"%s\"", first ? "{" : ", ", key,
               json_string_value(value) ? json_string_value(value) : "");
        first = false;
    }
    if (!first)
        printf("}");
    else if (!name)
        printf("{}");
}

static void print_point(json_t *point)
{
    json_t *value = json_array_get(point, 1);
    f64 t = json_number_value(json_array_get(point, 0));
    if (json_is_string(value))
        printf("%s @[%.15g]", json_string_value(value), t);
    else
        printf("histogram(count %s, sum %s) @[%.15g]", json_string_value(json_object_get(value, "count")),
               json_string_value(json_object_get(value, "sum")), t);
}

static void print_data(json_t *data)
{
    const char *type = json_string_value(json_object_get(data, "resultType"));
    json_t *result = json_object_get(data, "result"), *row;
    if (type && (!strcmp(type, "scalar") || !strcmp(type, "string"))) {
        print_point(result);
        printf("\n");
        return;
    }
    size_t i;
    json_array_foreach(result, i, row)
    {
        print_metric(json_object_get(row, "metric"));
        json_t *one = json_object_get(row, "value");
        if (!one)
            one = json_object_get(row, "histogram");
        if (one) {
            printf(" => ");
            print_point(one);
            printf("\n");
            continue;
        }
        printf(" =>\n");
        const char *const keys[] = {"values", "histograms"};
        for (size_t k = 0; k < COUNT_OF(keys); k++) {
            size_t p;
            json_t *point;
            json_array_foreach(json_object_get(row, keys[k]), p, point)
            {
                print_point(point);
                printf("\n");
            }
        }
    }
}

static void print_list(json_t *data);

static int print_answer(const HttpResult *r, bool raw)
{
    if (raw) {
        fwrite(r->body.at, 1, r->body.len, stdout);
        printf("\n");
    }
    json_error_t bad;
    json_t *root = json_loadb(r->body.at, r->body.len, 0, &bad);
    const char *status = json_string_value(json_object_get(root, "status"));
    if (!status) {
        fprintf(stderr, "pharos query: the server answered %d, and not with an API answer\n", r->status);
        json_decref(root);
        return 1;
    }
    int rc = 0;
    if (strcmp(status, "success")) {
        fprintf(stderr, "query error: %s: %s\n", json_string_value(json_object_get(root, "errorType")),
                json_string_value(json_object_get(root, "error")));
        rc = 1;
    } else if (!raw) {
        json_t *data = json_object_get(root, "data");
        if (json_is_array(data))
            print_list(data);
        else
            print_data(data);
    }
    size_t i;
    json_t *w;
    json_array_foreach(json_object_get(root, "warnings"), i, w)
        fprintf(stderr, "warning: %s\n", json_string_value(w));
    json_array_foreach(json_object_get(root, "infos"), i, w)
        fprintf(stderr, "info: %s\n", json_string_value(w));
    json_decref(root);
    return rc;
}

/* A line per series, or per name. */
static void print_list(json_t *data)
{
    size_t i;
    json_t *row;
    json_array_foreach(data, i, row)
    {
        if (json_is_string(row))
            printf("%s\n", json_string_value(row));
        else {
            print_metric(row);
            printf("\n");
        }
    }
}

static void param(Buf *url, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    buf_printf(url, "&%s=", name);
    url_escape_query(url, str_c(value));
}

typedef enum QueryKind { QUERY_INSTANT, QUERY_RANGE, QUERY_SERIES, QUERY_LABELS, QUERY_KINDS } QueryKind;

static Err time_of(const char *text, const char *flag, i64 *ret_ms, Why *why)
{
    if (!text[0] || parse_api_time_ms(str_c(text), ret_ms) == OK)
        return OK;
    return why_set(why, E_INVALID, "--%s is neither RFC 3339 nor a Unix time", flag);
}

/* Start and end as given, or the five minutes up to now (a range), or none. */
static Err set_times(QueryFlags *q, QueryKind kind, Arena *arena, Why *why)
{
    i64 now = clock_wall_ms(clock_real()), from, to = now;
    TRY(time_of(q->end, "end", &to, why));
    from = to - 300000;
    TRY(time_of(q->start, "start", &from, why));
    bool both = kind == QUERY_RANGE;
    q->start = both || q->start[0] ? arena_printf(arena, "%.3f", (f64)from / 1000).at : "";
    q->end = both || q->end[0] ? arena_printf(arena, "%.3f", (f64)to / 1000).at : "";
    if (both && !q->step[0])
        q->step = arena_printf(arena, "%lld", (long long)MAX((to - from) / 250000, 1)).at;
    return OK;
}

static void build_url(const QueryFlags *q, QueryKind kind, const char *server, const char *what, Buf *url)
{
    static const char *const paths[] = {"query?", "query_range?", "series?", NULL};
    size_t trim = strlen(server);
    while (trim && server[trim - 1] == '/')
        trim--;
    buf_put(url, server, trim);
    if (kind == QUERY_LABELS) {
        buf_c(url, "/api/v1/label/");
        url_escape_query(url, str_c(what));
        buf_c(url, "/values?");
    } else {
        buf_printf(url, "/api/v1/%s", paths[kind]);
    }
    if (kind <= QUERY_RANGE)
        param(url, "query", what);
    for (size_t i = 0; kind > QUERY_RANGE && i < q->match.len; i++)
        param(url, "match[]", q->match.at[i]);
    param(url, "time", kind == QUERY_INSTANT ? q->time : NULL);
    param(url, "start", kind != QUERY_INSTANT ? q->start : NULL);
    param(url, "end", kind != QUERY_INSTANT ? q->end : NULL);
    param(url, "step", kind == QUERY_RANGE ? q->step : NULL);
}

static int run(int argc, char **argv)
{
    static const char *const kinds[] = {"instant", "range", "series", "labels"};
    QueryFlags q = {0};
    Flag flags[] = {
        {"time", FLAG_STR, &q.time, "", "instant: evaluation time (RFC 3339 or Unix)"},
        {"start", FLAG_STR, &q.start, "",
         "range, series, labels: start (range: default 5 minutes before the end)"},
        {"end", FLAG_STR, &q.end, "", "range, series, labels: end (range: default now)"},
        {"step", FLAG_STR, &q.step, "", "range: step (default a 250th of the range)"},
        {"match", FLAG_LIST, &q.match, NULL, "series, labels: selector; may be given several times"},
        {"format", FLAG_STR, &q.format, "promql", "promql or json"},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_query, argc, argv, &words);
    if (stop)
        return stop - 1;
    QueryKind kind = QUERY_INSTANT;
    for (u32 i = 0; words && i < QUERY_KINDS; i++)
        if (!strcmp(argv[0], kinds[i])) {
            kind = (QueryKind)i;
            argv++, words--;
            break;
        }
    int what = kind == QUERY_SERIES ? 0 : 1;
    const char *server = words == what + 1 ? argv[0] : "http://127.0.0.1:9090";
    if (words < what || words > what + 1 || (kind == QUERY_SERIES && !q.match.len)) {
        fprintf(stderr, "pharos query: want [instant|range] [SERVER] EXPRESSION, series --match=SELECTOR "
                        "[SERVER], or labels "
                        "[SERVER] NAME\n(pharos query --help shows examples)\n");
        return 2;
    }
    Arena arena;
    Buf url;
    Why why = {0};
    arena_init(&arena, NULL, 0);
    buf_init(&url, 1 << 20);
    int rc = 1;
    if (kind != QUERY_INSTANT && set_times(&q, kind, &arena, &why) != OK) {
        rc = complain("query", &why);
    } else {
        CmdClient client;
        HttpResult result;
        build_url(&q, kind, server, what ? argv[words - 1] : "", &url);
        cmd_client_init(&client);
        Err e = cmd_client_get(&client, buf_view(&url), S("application/json"), &arena, &result);
        rc = e == OK ? print_answer(&result, !strcmp(q.format, "json")) : complain("query", &result.why);
        cmd_client_done(&client);
    }
    arena_done(&arena);
    buf_done(&url);
    return rc;
}

const Command cmd_query = {
    .name = "query",
    .summary = "ask a server a PromQL question",
    .help = "pharos query [instant|range] [SERVER] EXPRESSION\n"
            "pharos query series --match=SELECTOR [SERVER]     the series\n"
            "pharos query labels [SERVER] NAME                 the values of a label\n\n"
            "Asks the Prometheus API of SERVER (default http://127.0.0.1:9090) and prints the answer as "
            "promtool does.\n\n"
            "  pharos query 'sum by (mode) (rate(node_cpu_seconds_total[5m]))'\n"
            "  pharos query range --start=2026-11-24T06:00:00Z --step=1m http://127.0.0.1:9090 up\n",
    .run = run,
};
