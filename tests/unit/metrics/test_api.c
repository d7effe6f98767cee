#include "test.h"
#include "metrics/api/api.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>

/* The last sample of the golden data, in ms: "now" of the server. */
#define DATA_END (1704067200337LL + 120 * 15000)

/* ---- a server of ours over a fresh engine ---- */

typedef struct Server {
    char dir[256];
    VirtualClock now;
    MetricsEngine *engine;
    Api *api;
    Loop *loop;
    HttpServer *http;
    Pool *pool;
    pthread_t thread;
    u16 port;
    _Atomic bool is_ready;
} Server;

static bool hook_ready(void *arg)
{
    return ((Server *)arg)->is_ready;
}

static void hook_config(void *arg, Buf *out)
{
    buf_c(out, "global:\n  scrape_interval: 15s\n");
}

static void hook_runtime(void *arg, Arena *arena, ApiRuntimeInfo *ret)
{
    *ret = (ApiRuntimeInfo){.start_ms = DATA_END,
                            .last_config_ms = DATA_END,
                            .cwd = S("/srv"),
                            .hostname = S("h"),
                            .storage_retention = S("15d"),
                            .reload_ok = true,
                            .threads = 4};
}

static void hook_labels(void *arg, Arena *arena, Labels *ret)
{
    static const Label l[] = {{STR_INIT("region"), STR_INIT("eu")}};
    *ret = (Labels){l, 1};
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static PromEngineConfig limits; /* of the next server's queries */

static void server_start(Server *s, bool admin, bool receiver)
{
    Why why = {0};
    test_dir(s->dir);
    s->is_ready = true;
    virtual_clock_init(&s->now, (DATA_END + 1000) * NS_PER_MS);
    const MetricsConfig mc = {.vfs = vfs_os(),
                              .clock = &s->now.clock,
                              .dir = s->dir,
                              .durability = DURABLE_PROCESS,
                              .retention_ms = 86400000LL * 36500,
                              .out_of_order_ms = 3600000};
    assert_ok(metrics_open(&s->engine, &mc, &why), &why);
    limits.clock = &s->now.clock;
    const ApiConfig ac = {
        .source = metrics_source(s->engine),
        .sink = receiver ? metrics_sink(s->engine) : NULL,
        .engine = s->engine,
        .query = limits,
        .clock = &s->now.clock,
        .enable_admin = admin,
        .build = {.version = S("3.5.3"), .pharos_version = S("0")},
        .hooks = {s, .is_ready = hook_ready, .config_text = hook_config, .runtime_info = hook_runtime,
                  .external_labels = hook_labels},
    };
    assert_ok(api_new(&ac, &s->api, &why), &why);
    s->loop = loop_new(clock_real());
    s->pool = pool_new("api", 2, 64);
    const HttpServerConfig hc = {
        .loop = s->loop,
        .component = "web",
        .address = S("127.0.0.1:0"),
        .pools = {[RUN_QUERY] = s->pool, [RUN_INGEST] = s->pool, [RUN_ADMIN] = s->pool}};
    assert_ok(http_server_new(&hc, &s->http, &why), &why);
    api_register(s->api, s->http);
    http_server_start(s->http);
    Str a = http_server_address(s->http);
    u64 port;
    assert_int_equal(parse_u64(str_skip(a, strlen("127.0.0.1:")), &port), OK);
    s->port = (u16)port;
    assert_int_equal(thread_start(&s->thread, "web", run_loop, s->loop), OK);
}

static void server_stop(Server *s)
{
    Why why = {0};
    loop_stop(s->loop);
    pthread_join(s->thread, NULL);
    pool_free(s->pool);
    http_server_free(s->http);
    loop_free(s->loop);
    api_free(s->api);
    assert_ok(metrics_close(s->engine, &why), &why);
    assert_ok(vfs_remove_tree(vfs_os(), s->dir, &why), &why);
}

/* ---- a client that speaks just enough HTTP ---- */

typedef struct Answer {
    int status;
    Buf raw;
    Str head, body; /* in raw; the body unchunked in place */
} Answer;

static Str unchunk(char *at, size_t len)
{
    size_t from = 0, to = 0;
    for (;;) {
        char *end;
        size_t n = strtoul(at + from, &end, 16);
        from = (size_t)(end - at) + 2;
        if (n == 0 || from + n > len)
            return str_of(at, to);
        memmove(at + to, at + from, n);
        to += n;
        from += n + 2;
    }
}

static Str answer_header(const Answer *a, const char *name)
{
    Str line, rest = a->head, key, value;
    while (rest.len > 0) {
        str_cut(rest, '\n', &line, &rest);
        if (str_cut(line, ':', &key, &value) && str_eq_nocase(key, str_c(name)))
            return str_trim(value);
    }
    return S("");
}

static void ask(Server *s, Str method, Str target, const Buf *headers, Str body, Answer *ret)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    Buf b;
    char piece[65536];
    ssize_t n;
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    buf_init(&b, 1 << 26);
    buf_printf(&b, "%.*s %.*s HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: %zu\r\n",
               STR_FMT(method), STR_FMT(target), body.len);
    if (headers)
        buf_str(&b, buf_view(headers));
    buf_c(&b, "\r\n");
    buf_str(&b, body);
    for (size_t sent = 0; sent < b.len; sent += (size_t)n) {
        n = send(fd, b.at + sent, b.len - sent, MSG_NOSIGNAL);
        assert_true(n > 0);
    }
    buf_done(&b);
    buf_init(&ret->raw, 1 << 27);
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
        buf_put(&ret->raw, piece, (size_t)n);
    close(fd);
    buf_cstr(&ret->raw);
    Str all = buf_view(&ret->raw);
    size_t cut = str_find(all, S("\r\n\r\n"));
    assert_true(cut != SIZE_MAX);
    ret->head = str_sub(all, 0, cut + 2);
    ret->body = str_skip(all, cut + 4);
    ret->status = atoi(all.at + strlen("HTTP/1.1 "));
    if (str_eq(answer_header(ret, "transfer-encoding"), S("chunked")))
        ret->body = unchunk((char *)ret->body.at, ret->body.len);
}

static void get(Server *s, const char *target, Answer *ret)
{
    ask(s, S("GET"), str_c(target), NULL, S(""), ret);
}

/* ---- comparing ---- */

/* The end of the JSON value or list of values that starts at i: at the bracket or comma that is not in it. */
static size_t skip_value(Str s, size_t i)
{
    int depth = 0;
    bool in_str = false;
    for (; i < s.len; i++) {
        char c = s.at[i];
        if (in_str) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_str = false;
        } else if (c == '"') {
            in_str = true;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            if (depth-- == 0)
                return i;
        } else if (c == ',' && depth == 0) {
            return i;
        }
    }
    return i;
}

/* The elements of the array after `key`, sorted: order is no promise there. */
static void sort_array(Buf *b, const char *key)
{
    Str s = buf_view(b);
    size_t at = str_find(s, str_c(key));
    VEC(Str) items = {0};
    Buf out;
    if (at == SIZE_MAX)
        return;
    size_t from = at + strlen(key), i = from;
    while (i < s.len && s.at[i] != ']') {
        size_t end = skip_value(s, i);
        vec_push(&items, str_sub(s, i, end));
        i = end + (end < s.len && s.at[end] == ',');
    }
    buf_init(&out, 1 << 27);
    buf_str(&out, str_sub(s, 0, from));
    if (items.len > 0)
        qsort(items.at, items.len, sizeof(Str), str_order);
    for (size_t k = 0; k < items.len; k++) {
        if (k > 0)
            buf_char(&out, ',');
        buf_str(&out, items.at[k]);
    }
    buf_str(&out, str_skip(s, i));
    vec_done(&items);
    buf_done(b);
    *b = out;
}

static void canon(Buf *b, Str body, Str target)
{
    buf_init(b, 1 << 27);
    buf_str(b, body);
    bool is_ordered = str_find(target, S("sort")) != SIZE_MAX || str_find(target, S("topk")) != SIZE_MAX;
    if (!is_ordered)
        sort_array(b, "\"resultType\":\"vector\",\"result\":[");
    if (str_find(target, S("query=")) != SIZE_MAX)
        sort_array(b, "\"resultType\":\"matrix\",\"result\":[");
    sort_array(b, "\"warnings\":[");
    sort_array(b, "\"infos\":[");
    /* Which of two equal series is named first is chance. */
    size_t dup = str_find(buf_view(b), S("hand-side of the operation: ["));
    if (dup != SIZE_MAX)
        b->len = dup;
}

/* Every member of want is in got, of the same type. */
static bool has_shape(const json_t *want, const json_t *got)
{
    const char *key, *type = json_string_value(want);
    json_t *v;
    if (type)
        return strcmp(type, "string") == 0   ? json_is_string(got)
               : strcmp(type, "number") == 0 ? json_is_number(got)
                                             : json_is_boolean(got);
    if (json_is_array(want))
        return json_is_array(got) && (json_array_size(want) == 0 || json_array_size(got) == 0 ||
                                      has_shape(json_array_get(want, 0), json_array_get(got, 0)));
    if (!json_is_object(want))
        return json_typeof(want) == json_typeof(got);
    json_object_foreach((json_t *)want, key, v)
    {
        json_t *g = json_object_get(got, key);
        if (!g || !has_shape(v, g)) {
            fprintf(stderr, "member %s: ", key);
            return false;
        }
    }
    return true;
}

/* Where we differ from the peer on purpose, with what we answer. */
static const struct {
    const char *method, *target;
    int nth; /* of the rows with that method and target; -1 = all */
    int status;
    const char *why;
} differs[] = {
    {"POST", "/api/v1/write", 16, 400, "a series without a name is refused, not dropped silently"},
    {"POST", "/api/v1/write", 2, 400, "our sentence names the series"},
    {"GET", "/api/v1/label/%ff/values", -1, 400, "the server refuses the path before its route is known"},
    {"GET", "/api/v1/query?query=up%7Binstance%3D%22a%3A80%22%7D&time=NaN", -1, 400, "a time that is none"},
    {"GET", "/api/v1/query?query=up%7Binstance%3D%22a%3A80%22%7D&time=1e300", -1, 400,
     "a time that overflows"},
    {"GET", "/api/v1/query?query=up%7Binstance%3D%22a%3A80%22%7D&time=9223372036854775", -1, 400,
     "a time that overflows"},
    {"GET", "/api/v1/query?query=1&time=-62167219200", -1, 200, "the peer's nanoseconds overflow"},
    {"GET", "/api/v1/query?query=histogram_quantile%280.5%2C+up%29&time=1704069000.337", -1, 200,
     "3.14 leaves the name out of the warning"},
    {"GET",
     "/api/v1/query?query=histogram_quantile%280.9%2C+latency%7Bkind%3D%22int%22%7D%29&time=1704069000.337",
     -1, 200, "the last digit: exp2 of libm and of Go"},
    {"GET",
     "/api/v1/query_range?query=sort_desc%28http_requests_total%29&start=1704067260&end=1704067380&step=30",
     -1, 200, "3.14 warns that sorting has no effect"},
    {"GET", "/api/v1/status/flags", -1, 200, "flags come from the command"},
};

static const char *known_difference(Str method, Str target, int nth, int *ret_status)
{
    for (size_t i = 0; i < COUNT_OF(differs); i++)
        if (str_eq(method, str_c(differs[i].method)) && str_eq(target, str_c(differs[i].target)) &&
            (differs[i].nth < 0 || differs[i].nth == nth)) {
            *ret_status = differs[i].status;
            return differs[i].why;
        }
    return NULL;
}

static Str member(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : S("");
}

static void read_hex(Buf *b, Str hex)
{
    buf_init(b, 1 << 26);
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        char two[3] = {hex.at[i], hex.at[i + 1], 0};
        buf_char(b, (char)strtol(two, NULL, 16));
    }
}

static bool headers_fit(const json_t *row, const Answer *a)
{
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(row, "answer_headers"), key, v)
    {
        Str got = answer_header(a, key);
        if (!str_eq(got, str_c(json_string_value(v)))) {
            fprintf(stderr, "header %s: got «%.*s», want «%s»\n", key, STR_FMT(got), json_string_value(v));
            return false;
        }
    }
    return true;
}

/* The time of samples of now is T in the goldens. */
static void hide_time(Buf *b)
{
    char now[32];
    snprintf(now, sizeof now, " %lld\n", (long long)DATA_END);
    for (size_t at; (at = str_find(buf_view(b), str_c(now))) != SIZE_MAX;) {
        size_t n = strlen(now);
        b->at[at + 1] = 'T';
        b->at[at + 2] = '\n';
        memmove(b->at + at + 3, b->at + at + n, b->len - at - n);
        b->len -= n - 3;
    }
}

static bool body_fits(const json_t *row, const Answer *a, Str target)
{
    Str compare = member(row, "compare"), want = member(row, "answer");
    if (str_eq(compare, S("status")))
        return true;
    if (str_eq(compare, S("shape"))) {
        json_t *w = json_loadb(want.at, want.len, 0, NULL), *g = json_loadb(a->body.at, a->body.len, 0, NULL);
        bool ok = w && g && has_shape(w, g);
        json_decref(w);
        json_decref(g);
        return ok;
    }
    Buf x, y;
    canon(&x, a->body, target);
    canon(&y, want, target);
    hide_time(&x);
    bool ok = str_eq(buf_view(&x), buf_view(&y));
    buf_done(&x);
    buf_done(&y);
    return ok;
}

static bool replay_row(Server *s, const json_t *row, int nth)
{
    Buf headers, body;
    Answer a = {0};
    const char *key;
    json_t *v;
    int want = (int)json_integer_value(json_object_get(row, "status")), other;
    Str method = member(row, "method"), target = member(row, "target");
    buf_init(&headers, 1 << 16);
    json_object_foreach(json_object_get(row, "headers"), key, v)
        buf_printf(&headers, "%s: %s\r\n", key, json_string_value(v));
    read_hex(&body, member(row, "body_hex"));
    ask(s, method, target, &headers, buf_view(&body), &a);
    const char *why = known_difference(method, target, nth, &other);
    size_t shown = getenv("PHAROS_GOLDEN_API") ? 1 << 20 : 1500;
    bool ok = why ? a.status == other : a.status == want;
    bool only_status = why || str_eq(member(row, "compare"), S("status"));
    if (ok && !only_status)
        ok = headers_fit(row, &a) && body_fits(row, &a, target);
    if (!ok)
        fprintf(stderr, "%.*s %.*s (%d)\n got %d %.*s\nwant %d %.*s\n", STR_FMT(method), STR_FMT(target), nth,
                a.status, (int)MIN(a.body.len, shown), a.body.at, want,
                (int)MIN(member(row, "answer").len, shown), member(row, "answer").at);
    buf_done(&a.raw);
    buf_done(&headers);
    buf_done(&body);
    return ok;
}

static const char *golden_path(const char *name)
{
    static char path[1024];
    if (name[0] == '/')
        return name;
    const char *root = getenv("PHAROS_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/api/%s", root ? root : ".", name);
    return path;
}

static int replay(Server *s, const char *name)
{
    json_error_t problem;
    json_t *rows = json_load_file(golden_path(name), JSON_ALLOW_NUL, &problem), *row;
    size_t i;
    int failed = 0, nth = 0;
    Str last = {0};
    if (!rows)
        fail_msg("%s: %s", name, problem.text);
    json_array_foreach(rows, i, row)
    {
        nth = str_eq(last, member(row, "target")) ? nth + 1 : 0;
        last = member(row, "target");
        failed += !replay_row(s, row, nth);
    }
    fprintf(stderr, "%s: %zu requests, %d differ\n", name, json_array_size(rows), failed);
    assert_true(json_array_size(rows) > 3);
    json_decref(rows);
    return failed;
}

static void push_file(Server *s, const char *name)
{
    Buf body, headers;
    Answer a;
    char piece[4096];
    size_t n;
    FILE *f = fopen(golden_path(name), "rb");
    assert_non_null(f);
    buf_init(&body, 1 << 26);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(&body, piece, n);
    fclose(f);
    buf_init(&headers, 1000);
    buf_c(&headers, "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n");
    ask(s, S("POST"), S("/api/v1/write"), &headers, buf_view(&body), &a);
    if (a.status != 204)
        fail_msg("pushing %s: %d %.*s", name, a.status, STR_FMT(a.body));
    buf_done(&a.raw);
    buf_done(&body);
    buf_done(&headers);
}

/* ---- tests ---- */

static void expect(Server *s, const char *target, int status, const char *body)
{
    Answer a;
    get(s, target, &a);
    if (a.status != status || str_find(a.body, str_c(body)) == SIZE_MAX)
        fail_msg("%s: got %d %.*s, want %d with %s", target, a.status, STR_FMT(a.body), status, body);
    buf_done(&a.raw);
}

static void answers_of_the_peer(void **state)
{
    static const char *const files[] = {"instant.json", "ranges.json", "labels.json",    "exemplars.json",
                                        "queries.json", "status.json", "admin_off.json", "writes.json"};
    Server s = {0};
    int failed = 0;
    server_start(&s, false, true);
    push_file(&s, "write.snappy");
    for (size_t i = 0; i < COUNT_OF(files); i++)
        failed += replay(&s, files[i]);
    push_file(&s, "federated.snappy");
    failed += replay(&s, "federate.json");
    server_stop(&s);
    assert_int_equal(failed, 0);
}

/* Rows captured by hand from another corpus, experimental functions on: PHAROS_GOLDEN_API=/path/of/rows.json */
static void answers_of_another_corpus(void **state)
{
    const char *path = getenv("PHAROS_GOLDEN_API");
    Server s = {0};
    if (!path)
        return;
    limits.features = PROMQL_EXPERIMENTAL_FUNCTIONS;
    server_start(&s, false, true);
    limits = (PromEngineConfig){0};
    push_file(&s, "write.snappy");
    int failed = replay(&s, path);
    server_stop(&s);
    assert_int_equal(failed, 0);
}

/* A query over its limit is told so and takes nothing down. */
static void limits_are_422(void **state)
{
    Server s = {0};
    limits.samples_max = 100;
    server_start(&s, false, true);
    limits = (PromEngineConfig){0};
    push_file(&s, "write.snappy");
    expect(&s, "/api/v1/query?query=%7Bjob%3D%22api%22%7D%5B1h%5D&time=1704069000", 422,
           "{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"query processing would load too "
           "many samples into "
           "memory in query execution (query.max-samples is 100)\"}");
    expect(&s, "/api/v1/query?query=1", 200, "\"resultType\":\"scalar\"");
    server_stop(&s);
}

static void admin_answers_of_the_peer(void **state)
{
    Server s = {0};
    server_start(&s, true, true);
    push_file(&s, "write.snappy");
    int failed = replay(&s, "admin_on.json");
    server_stop(&s);
    assert_int_equal(failed, 0);
}

static void tsdb_status_counts(void **state)
{
    Server s = {0};
    server_start(&s, false, true);
    expect(&s, "/api/v1/status/tsdb", 200,
           "\"seriesCountByMetricName\":[],\"labelValueCountByLabelName\":[],");
    push_file(&s, "write.snappy");
    expect(&s, "/api/v1/status/tsdb?limit=1", 200, "\"numSeries\":31,\"numLabelPairs\":38,");
    expect(&s, "/api/v1/status/tsdb?limit=1", 200,
           "\"seriesCountByMetricName\":[{\"name\":\"odd_value\",\"value\":10}],"
           "\"labelValueCountByLabelName\":[{");
    expect(&s, "/api/v1/status/tsdb", 200, "{\"name\":\"job=api\",\"value\":17}");
    server_stop(&s);
}

static void not_ready_is_503(void **state)
{
    Server s = {0};
    Answer a;
    server_start(&s, false, true);
    s.is_ready = false;
    expect(&s, "/-/healthy", 200, "Healthy");
    expect(&s, "/-/ready", 503, "Service Unavailable");
    expect(&s, "/api/v1/query?query=1", 503, "Service Unavailable");
    expect(&s, "/federate", 503, "Service Unavailable");
    get(&s, "/api/v1/labels", &a);
    assert_str(answer_header(&a, "x-prometheus-stopping"), "false");
    buf_done(&a.raw);
    ask(&s, S("POST"), S("/api/v1/write"), NULL, S("x"), &a);
    assert_int_equal(a.status, 503);
    assert_str(answer_header(&a, "retry-after"), "5");
    buf_done(&a.raw);
    server_stop(&s);
}

static const MetadataItem *about_metric(void *arg, Labels l)
{
    return str_ends(labels_get(l, LABEL_NAME), S("_total")) ? arg : NULL;
}

static void push_v2(Server *s, const Buf *body, Answer *ret)
{
    Buf packed, headers;
    buf_init(&packed, 1 << 16);
    buf_init(&headers, 1000);
    buf_c(&headers, "Content-Encoding: snappy\r\nContent-Type: "
                    "application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n");
    snappy_encode(buf_view(body), &packed);
    ask(s, S("POST"), S("/api/v1/write"), &headers, buf_view(&packed), ret);
    buf_done(&packed);
    buf_done(&headers);
}

/* Each answer to 2.0 says what was stored, refusals too; and what is good in a request is stored beside what is not. */
static void version_2_is_received(void **state)
{
    Server s = {0};
    Answer a;
    Arena arena;
    Buf body;
    Why why;
    server_start(&s, false, true);
    arena_init(&arena, NULL, 0);
    buf_init(&body, 1 << 16);
    Label one[] = {{S("__name__"), S("v2_total")}, {S("job"), S("a")}},
          two[] = {{S("__name__"), S("v2_hist")}};
    Sample samples[] = {{1700000000337, 1}, {1700000015337, 2}};
    HistSpan span = {0, 2};
    f64 buckets[] = {1, 2}, bounds[] = {0.5, 1};
    Histogram h = {.schema = HIST_SCHEMA_CUSTOM,
                   .is_int = true,
                   .count = 3,
                   .sum = 2,
                   .pos_spans = &span,
                   .pos_spans_len = 1,
                   .pos = buckets,
                   .pos_len = 2,
                   .custom = bounds,
                   .custom_len = 2};
    const Histogram *hists[] = {&h};
    i64 hist_t[] = {1700000000337};
    Label trace[] = {{S("trace_id"), S("abc")}};
    Exemplar exemplar = {{trace, 1}, 1, 1700000000337};
    SeriesItem series[] = {{.labels = {one, 2},
                            .samples = samples,
                            .samples_len = 2,
                            .exemplars = &exemplar,
                            .exemplars_len = 1,
                            .start_t = 1690000000000},
                           {.labels = {two, 1}, .hists = hists, .hist_t = hist_t, .hists_len = 1}};
    MetadataItem md = {.help = S("Helpful."), .type = TYPE_COUNTER};
    assert_ok(remote_write2_encode(series, 2, about_metric, &md, &arena, &body, &why), &why);
    push_v2(&s, &body, &a);
    assert_int_equal(a.status, 204);
    assert_str(answer_header(&a, "x-prometheus-remote-write-samples-written"), "2");
    assert_str(answer_header(&a, "x-prometheus-remote-write-histograms-written"), "1");
    assert_str(answer_header(&a, "x-prometheus-remote-write-exemplars-written"), "1");
    buf_done(&a.raw);
    expect(&s, "/api/v1/query?query=v2_total&time=1700000020", 200,
           "\"job\":\"a\"},\"value\":[1700000020,\"2\"]");
    expect(&s, "/api/v1/query?query=histogram_count(v2_hist)&time=1700000020", 200, "[1700000020,\"3\"]");
    expect(&s, "/api/v1/metadata?metric=v2_total", 200, "\"help\":\"Helpful.\"");

    /* A second series refers to a symbol that is not there; the first is stored, its old sample refused. */
    Sample later[] = {{1700000030337, 3}, {1700000015337, 99}};
    series[0].samples = later;
    series[0].exemplars_len = 0;
    buf_clear(&body);
    assert_ok(remote_write2_encode(series, 1, NULL, NULL, &arena, &body, &why), &why);
    size_t m = pb_begin(&body, 5);
    pb_put_bytes(&body, 1, S("\x01\x63"));
    pb_end(&body, m);
    push_v2(&s, &body, &a);
    assert_int_equal(a.status, 400);
    if (str_find(a.body, S("refers to symbol 99 of")) == SIZE_MAX)
        fail_msg("%.*s", STR_FMT(a.body));
    assert_str(answer_header(&a, "x-prometheus-remote-write-samples-written"), "1");
    assert_str(answer_header(&a, "x-prometheus-remote-write-histograms-written"), "0");
    buf_done(&a.raw);
    expect(&s, "/api/v1/query?query=v2_total&time=1700000040", 200, "[1700000040,\"3\"]");

    buf_clear(&body);
    buf_c(&body, "\x22\x01x"); /* a table that does not start with the empty string */
    push_v2(&s, &body, &a);
    assert_int_equal(a.status, 400);
    assert_str(answer_header(&a, "x-prometheus-remote-write-samples-written"), "0");
    buf_done(&a.raw);
    buf_done(&body);
    arena_done(&arena);
    server_stop(&s);
}

static void receiver_can_be_off(void **state)
{
    Server s = {0};
    Answer a;
    server_start(&s, false, false);
    ask(&s, S("POST"), S("/api/v1/write"), NULL, S("x"), &a);
    assert_int_equal(a.status, 404);
    assert_str(a.body, "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n");
    buf_done(&a.raw);
    server_stop(&s);
}

/* Two metadata items pushed, one of them in two forms. */
static void metadata_comes_back(void **state)
{
    static const MetadataItem items[] = {
        {STR_INIT("b_total"), STR_INIT("Help <b>."), STR_INIT(""), TYPE_COUNTER},
        {STR_INIT("a_seconds"), STR_INIT("First."), STR_INIT("seconds"), TYPE_GAUGE},
        {STR_INIT("a_seconds"), STR_INIT("Second."), STR_INIT("seconds"), TYPE_GAUGE}};
    Server s = {0};
    Buf body, packed;
    Answer a;
    server_start(&s, false, true);
    buf_init(&body, 1 << 16);
    buf_init(&packed, 1 << 16);
    remote_write_encode(NULL, 0, items, 3, &body);
    snappy_encode(buf_view(&body), &packed);
    ask(&s, S("POST"), S("/api/v1/write"), NULL, buf_view(&packed), &a);
    assert_int_equal(a.status, 204);
    buf_done(&a.raw);
    expect(&s, "/api/v1/metadata?metric=b_total", 200,
           "{\"status\":\"success\",\"data\":{\"b_total\":[{\"type\":\"counter\",\"help\":\"Help "
           "\\u003cb\\u003e.\",\"unit\":\"\"}]}}");
    expect(&s, "/api/v1/metadata", 200,
           "{\"status\":\"success\",\"data\":{\"a_seconds\":[{\"type\":\"gauge\",");
    expect(&s, "/api/v1/metadata?limit_per_metric=1&limit=1", 200, "\"unit\":\"seconds\"}]}}");
    expect(&s, "/api/v1/metadata?limit=0", 200, "{\"status\":\"success\",\"data\":{}}");
    expect(&s, "/api/v1/metadata?limit=x", 400, "limit must be a number");
    expect(&s, "/api/v1/metadata?limit_per_metric=x", 400, "limit_per_metric must be a number");
    buf_done(&body);
    buf_done(&packed);
    server_stop(&s);
}

/* A large result is streamed: chunked, complete, valid JSON. */
static void large_results_stream(void **state)
{
    Server s = {0};
    Answer a;
    json_error_t problem;
    server_start(&s, false, true);
    push_file(&s, "write.snappy");
    get(&s, "/api/v1/query_range?query=%7Bjob%3D%22api%22%7D&start=1704067200&end=1704069000&step=0.5", &a);
    assert_int_equal(a.status, 200);
    assert_str(answer_header(&a, "transfer-encoding"), "chunked");
    assert_true(a.body.len > 1000000);
    json_t *doc = json_loadb(a.body.at, a.body.len, 0, &problem);
    assert_non_null(doc);
    assert_true(json_array_size(json_object_get(json_object_get(doc, "data"), "result")) >= 14);
    json_decref(doc);
    buf_done(&a.raw);
    server_stop(&s);
}

typedef struct Client {
    Server *s;
    int n, wrong;
} Client;

static void *reader(void *arg)
{
    static const char *const targets[] = {
        "/api/v1/query?query=sum(rate(http_requests_total%5B5m%5D))&time=1704068000",
        "/api/v1/query_range?query=latency&start=1704067260&end=1704068380&step=30",
        "/api/v1/labels",
        "/api/v1/series?match%5B%5D=up",
        "/api/v1/status/tsdb",
        "/federate?match%5B%5D=up",
        "/metrics",
    };
    Client *c = arg;
    for (int i = 0; i < 42; i++) {
        Answer a;
        get(c->s, targets[(i + c->n) % COUNT_OF(targets)], &a);
        c->wrong += a.status != 200;
        buf_done(&a.raw);
    }
    return NULL;
}

static void *writer(void *arg)
{
    Client *c = arg;
    for (int i = 0; i < 20; i++) {
        Buf body, packed;
        Answer a;
        const Label labels[] = {{LABEL_NAME, S("beside")}, {S("n"), i % 2 ? S("a") : S("b")}};
        const Sample sample = {DATA_END + i * 1000, i};
        const SeriesItem item = {.labels = {labels, 2}, .samples = &sample, .samples_len = 1};
        buf_init(&body, 1 << 16);
        buf_init(&packed, 1 << 16);
        remote_write_encode(&item, 1, NULL, 0, &body);
        snappy_encode(buf_view(&body), &packed);
        ask(c->s, S("POST"), S("/api/v1/write"), NULL, buf_view(&packed), &a);
        c->wrong += a.status != 204;
        buf_done(&a.raw);
        buf_done(&body);
        buf_done(&packed);
    }
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    Server s = {0};
    pthread_t threads[4];
    Client clients[4];
    server_start(&s, false, true);
    push_file(&s, "write.snappy");
    for (int i = 0; i < 4; i++) {
        clients[i] = (Client){&s, i, 0};
        assert_int_equal(thread_start(&threads[i], "client", i == 0 ? writer : reader, &clients[i]), OK);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(clients[i].wrong, 0);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_the_peer),     cmocka_unit_test(answers_of_another_corpus),
        cmocka_unit_test(limits_are_422),          cmocka_unit_test(admin_answers_of_the_peer),
        cmocka_unit_test(tsdb_status_counts),      cmocka_unit_test(not_ready_is_503),
        cmocka_unit_test(version_2_is_received),   cmocka_unit_test(receiver_can_be_off),
        cmocka_unit_test(metadata_comes_back),     cmocka_unit_test(large_results_stream),
        cmocka_unit_test(readers_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
