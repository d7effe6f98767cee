/* pharos query: asks a running server, in promtool's forms. */
#include <jansson.h>
#include <stdio.h>

#include "cmd/client.h"
#include "cmd/cmd.h"

typedef struct QueryFlags {
    const char *time, *start, *end, *step, *format;
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
        print_data(json_object_get(root, "data"));
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

static void param(Buf *url, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    buf_printf(url, "&%s=", name);
    url_escape_query(url, str_c(value));
}

static int run(int argc, char **argv)
{
    QueryFlags q = {0};
    Flag flags[] = {
        {"time", FLAG_STR, &q.time, "", "instant: evaluation time (RFC 3339 or Unix)"},
        {"start", FLAG_STR, &q.start, "", "range: start (default 5 minutes before the end)"},
        {"end", FLAG_STR, &q.end, "", "range: end (default now)"},
        {"step", FLAG_STR, &q.step, "", "range: step (default a 250th of the range)"},
        {"format", FLAG_STR, &q.format, "promql", "promql or json"},
    };
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_query, argc, argv, &words);
    if (stop)
        return stop - 1;
    bool instant = words && !strcmp(argv[0], "instant"), range = words && !strcmp(argv[0], "range");
    if (instant || range)
        argv++, words--;
    else
        instant = true;
    const char *server = words == 2 ? argv[0] : "http://127.0.0.1:9090";
    if (words < 1 || words > 2) {
        fprintf(
            stderr,
            "pharos query: want [instant|range] [SERVER] EXPRESSION\n(pharos query --help shows examples)\n");
        return 2;
    }
    char start[32], end[32], step[32];
    if (range) {
        i64 now = clock_wall_ms(clock_real()), from, to = now;
        if (q.end[0] && parse_api_time_ms(str_c(q.end), &to) != OK)
            return complain("query", &(Why){.text = "--end is neither RFC 3339 nor a Unix time"});
        from = to - 300000;
        if (q.start[0] && parse_api_time_ms(str_c(q.start), &from) != OK)
            return complain("query", &(Why){.text = "--start is neither RFC 3339 nor a Unix time"});
        snprintf(start, sizeof start, "%.3f", (f64)from / 1000);
        snprintf(end, sizeof end, "%.3f", (f64)to / 1000);
        snprintf(step, sizeof step, "%lld", (long long)MAX((to - from) / 250000, 1));
        q.start = start;
        q.end = end;
        if (!q.step[0])
            q.step = step;
    }
    Buf url;
    buf_init(&url, 1 << 20);
    size_t trim = strlen(server);
    while (trim && server[trim - 1] == '/')
        trim--;
    buf_put(&url, server, trim);
    buf_printf(&url, "/api/v1/%s?query=", instant ? "query" : "query_range");
    url_escape_query(&url, str_c(argv[words - 1]));
    param(&url, "time", instant ? q.time : NULL);
    param(&url, "start", range ? q.start : NULL);
    param(&url, "end", range ? q.end : NULL);
    param(&url, "step", range ? q.step : NULL);
    CmdClient client;
    cmd_client_init(&client);
    Arena arena;
    arena_init(&arena, NULL, 0);
    HttpResult result;
    Err e = cmd_client_get(&client, buf_view(&url), S("application/json"), &arena, &result);
    int rc = e == OK ? print_answer(&result, !strcmp(q.format, "json")) : complain("query", &result.why);
    arena_done(&arena);
    cmd_client_done(&client);
    buf_done(&url);
    return rc;
}

const Command cmd_query = {
    .name = "query",
    .summary = "ask a server a PromQL question",
    .help = "pharos query [instant|range] [SERVER] EXPRESSION\n\n"
            "Asks the Prometheus API of SERVER (default http://127.0.0.1:9090) and prints the answer as "
            "promtool does.\n\n"
            "  pharos query 'sum by (mode) (rate(node_cpu_seconds_total[5m]))'\n"
            "  pharos query range --start=2026-11-24T06:00:00Z --step=1m http://127.0.0.1:9090 up\n",
    .run = run,
};
