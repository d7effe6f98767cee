/* Well-typed queries made from the bytes, over a fixed set of awkward series. They end in a result or in a sentence; and a step of
 * a range query is what an instant query at that time says. */
#include <math.h>

#include "metrics/promql/func.h"
#include "metrics/promql/memsource.h"

int LLVMFuzzerTestOneInput(const u8 *at, size_t len);

static MemSource *source;

static const char *const series[] = {
    "c_total{i=\"1\",j=\"a\"} 0+7x10 0+3x10 _x3 5 stale 6 7",
    "c_total{i=\"2\",j=\"a\"} 10+1x5 3 NaN 4 1 2 0+1x10",
    "f{i=\"1\",j=\"a\"} 0.1+0.3x12 -5 1e17 2 -1e17 _ 3 NaN NaN Inf -Inf",
    "f{i=\"2\",j=\"b\"} _x6 1+0.7x4 _x6 9.3-0.1x7",
    "f{i=\"3\",j=\"b\"} 1e308x20",
    "m{i=\"1\"} 1 2 {{schema:0 count:3 sum:2 buckets:[3]}} {{schema:1 count:4 sum:2 buckets:[1 3]}} 5 stale "
    "3",
    "h{i=\"1\",j=\"a\"} {{schema:1 count:12 sum:30 z_bucket:2 z_bucket_w:0.01 buckets:[2 4 4] n_buckets:[1 "
    "1] n_offset:3}}+{{schema:1 count:6 "
    "sum:15 z_bucket:1 z_bucket_w:0.01 buckets:[1 2 2]}}x12",
    "h{i=\"2\",j=\"a\"} {{schema:-2 count:9 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[4 4]}}x8 {{schema:3 "
    "count:2 sum:1 buckets:[1 1]}}x4",
    "h{i=\"3\",j=\"b\"} {{schema:0 count:4 sum:NaN buckets:[1 2] counter_reset_hint:gauge}}x6 {{schema:0 "
    "count:1 sum:1 buckets:[1]}}x9",
    "n{i=\"1\"} {{schema:-53 count:6 sum:9 custom_values:[1 2] buckets:[1 2 3]}}x5 {{schema:-53 count:9 "
    "sum:9 custom_values:[1 3] "
    "buckets:[2 3 4]}}x5",
    "n{i=\"2\"} {{schema:-53 count:6 sum:9 custom_values:[-1 0 2] buckets:[1 2 3] offset:1}}x12",
    "b_bucket{i=\"1\",le=\"0.1\"} 1+1x12",
    "b_bucket{i=\"1\",le=\"1\"} 5+2x12",
    "b_bucket{i=\"1\",le=\"+Inf\"} 4+3x12",
    "b_bucket{i=\"2\",le=\"what\"} 1x12",
    "target_info{i=\"1\",instance=\"x\",job=\"y\",v=\"1\"} 1x5 _x3 1x3",
    "target_info{i=\"1\",instance=\"x\",job=\"y\",v=\"2\"} _x7 1x9",
    "up{instance=\"x\",job=\"y\"} 1x12",
};

static void load(void)
{
    Arena a;
    arena_init(&a, NULL, 0);
    source = mem_source_new();
    for (u32 i = 0; i < COUNT_OF(series); i++) {
        Labels l;
        SeriesPoint *p;
        u32 n;
        Why why;
        check(prom_parse_series(str_c(series[i]), &a, &l, &p, &n, &why) == OK);
        for (u32 k = 0; k < n; k++)
            if (!p[k].is_omitted)
                check(mem_source_add(source, l, (i64)k * 60000, p[k].v, p[k].h,
                                     k % 3 ? (i64)k * 60000 - 59000 : 0, &why) == OK);
    }
    arena_done(&a);
}

/* ---- queries ---- */

typedef struct Gen {
    const u8 *at, *end;
    Buf out;
    u32 budget; /* nodes left */
    bool depends_on_range;
    /* An order of series that one step has and a range has not (sort, topk), or that is nobody's promise (count_values): an aggregation
     * above sums in it, and may differ in the last place, as the peer's answers do. */
    bool order_varies;
    bool
        has_or; /* whose sides may differ in nothing but a name to be removed later: which one a range starts with decides */
} Gen;

static u32 pick(Gen *g, u32 n)
{
    return g->at < g->end ? *g->at++ % n : 0;
}
static void put(Gen *g, const char *text)
{
    buf_c(&g->out, text);
}
static const char *one_of(Gen *g, const char *const *words, u32 n)
{
    return words[pick(g, n)];
}
#define ONE_OF(g, ...)                                                                                       \
    one_of(g, (const char *const[]){__VA_ARGS__}, COUNT_OF(((const char *const[]){__VA_ARGS__})))

static void vector(Gen *g, u32 depth);

static void number(Gen *g)
{
    put(g, ONE_OF(g, "1", "0", "-1", "0.5", "2", "NaN", "Inf", "-Inf", "1e300", "0.9", "3", "60", "1e-9"));
}

static void scalar(Gen *g, u32 depth)
{
    if (depth == 0 || g->budget == 0) {
        number(g);
        return;
    }
    g->budget--;
    switch (pick(g, 6)) {
    case 0:
        put(g, "scalar(");
        vector(g, depth - 1);
        put(g, ")");
        return;
    case 1:
        put(g, "time()");
        return;
    case 2:
        put(g, "(");
        scalar(g, depth - 1);
        put(g, ONE_OF(g, "+", "-", "*", "/", "%", "^", "> bool ", "== bool "));
        scalar(g, depth - 1);
        put(g, ")");
        return;
    case 3:
        put(g, ONE_OF(g, "max_of(", "min_of("));
        scalar(g, depth - 1);
        put(g, ",");
        scalar(g, depth - 1);
        put(g, ")");
        return;
    default:
        number(g);
    }
}

static void modifiers(Gen *g)
{
    switch (pick(g, 8)) {
    case 0:
        put(g, ONE_OF(g, " offset 1m", " offset -90s", " offset 7m"));
        return;
    case 1:
        put(g, ONE_OF(g, " @ 300", " @ 0", " @ -60", " @ 1200"));
        return;
    case 2:
        put(g, " @ 420 offset 2m");
    }
}

static void selector(Gen *g)
{
    put(g, ONE_OF(g, "c_total", "f", "m", "h", "n", "b_bucket", "up", "{i=\"1\"}", "f{i=\"1\"}",
                  "{__name__=~\"f|c_total\"}", "h{j=\"a\"}", "{i!=\"\"}", "nothing"));
}

static const char *const lengths[] = {"1m", "5m", "90s", "3m30s", "20m", "61s"};

static void matrix(Gen *g, u32 depth)
{
    if (depth > 0 && g->budget > 0 && pick(g, 3) == 0) {
        g->budget--;
        put(g, "(");
        vector(g, depth - 1);
        put(g, ")[");
        put(g, one_of(g, lengths, COUNT_OF(lengths)));
        put(g, ONE_OF(g, ":", ":1m", ":30s", ":7m"));
        put(g, "]");
        modifiers(g);
        return;
    }
    selector(g);
    put(g, "[");
    put(g, one_of(g, lengths, COUNT_OF(lengths)));
    put(g, "]");
    if (pick(g, 8) == 0)
        put(g, ONE_OF(g, " anchored", " smoothed"));
    modifiers(g);
}

static void string_arg(Gen *g)
{
    put(g, ONE_OF(g, "\"i\"", "\"j\"", "\"$1\"", "\"(.*)\"", "\"\"", "\"__name__\"", "\"le\"", "\"new\""));
}

static void call(Gen *g, u32 depth)
{
    u32 n;
    const FuncDef *all = prom_funcs(&n), *f = &all[pick(g, n)];
    g->depends_on_range |= f->id == FN_start || f->id == FN_end || f->id == FN_step || f->id == FN_range;
    g->order_varies |= str_starts(str_c(f->name), S("sort"));
    if (f->returns == PROM_SCALAR) {
        put(g, "vector(");
        scalar(g, depth);
        put(g, ")");
        return;
    }
    put(g, f->name);
    put(g, "(");
    u32 args = f->args_len;
    if (f->variadic > 0 && pick(g, 2))
        args--;
    for (u32 i = 0; i < args; i++) {
        if (i)
            put(g, ",");
        if (f->id == FN_info && i == 1)
            put(g, ONE_OF(g, "{v=~\".+\"}", "{v=\"1\"}", "{__name__=~\".+_info\"}"));
        else if (f->args[i] == PROM_VECTOR)
            vector(g, depth - 1);
        else if (f->args[i] == PROM_MATRIX)
            matrix(g, depth - 1);
        else if (f->args[i] == PROM_STRING)
            string_arg(g);
        else
            scalar(g, depth - 1);
    }
    put(g, ")");
}

static void aggregation(Gen *g, u32 depth)
{
    const char *op = ONE_OF(g, "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk",
                            "bottomk", "limitk", "quantile", "limit_ratio", "count_values");
    put(g, op);
    put(g, ONE_OF(g, "", " by (i)", " without (i)", " by (j, le)", " by (__name__)", " without ()"));
    put(g, "(");
    g->order_varies |= !strcmp(op, "count_values") || !strcmp(op, "topk") || !strcmp(op, "bottomk");
    if (strchr("tblq", op[0]) || !strcmp(op, "count_values")) {
        if (op[0] == 'c')
            string_arg(g);
        else
            scalar(g, 1);
        put(g, ",");
    }
    vector(g, depth - 1);
    put(g, ")");
}

static void binary(Gen *g, u32 depth)
{
    const char *op = ONE_OF(g, "+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or",
                            "unless", "atan2", "</", ">/");
    bool is_set = !strcmp(op, "and") || !strcmp(op, "or") || !strcmp(op, "unless");
    g->has_or |= !strcmp(op, "or");
    u32 kind = is_set ? 0 : pick(g, 4);
    put(g, "(");
    if (kind == 1)
        scalar(g, depth - 1);
    else
        vector(g, depth - 1);
    put(g, " ");
    put(g, op);
    put(g, " ");
    if (strchr("=!<>", op[0]) && strcmp(op, "</") && strcmp(op, ">/") && pick(g, 3) == 0)
        put(g, "bool ");
    if (kind != 1 && kind != 2)
        put(g, is_set ? ONE_OF(g, "", "on(i) ", "ignoring(j) ", "on() ")
                      : ONE_OF(g, "", "on(i) ", "ignoring(j) ", "on() ", "on(i) group_left() ",
                               "on(i) group_right(j) ", "ignoring(j,le) group_left(j) ", "on(i) fill(0) ",
                               "on(i) group_left() fill_right(1) "));
    if (kind == 2)
        scalar(g, depth - 1);
    else
        vector(g, depth - 1);
    put(g, ")");
}

static void vector(Gen *g, u32 depth)
{
    if (depth == 0 || g->budget == 0) {
        selector(g);
        return;
    }
    g->budget--;
    switch (pick(g, 9)) {
    case 0:
    case 1:
    case 2:
        call(g, depth);
        return;
    case 3:
    case 4:
        aggregation(g, depth);
        return;
    case 5:
    case 6:
        binary(g, depth);
        return;
    case 7:
        put(g, "-");
        vector(g, depth - 1);
        return;
    default:
        selector(g);
        if (pick(g, 12) == 0)
            put(g, " smoothed");
        modifiers(g);
    }
}

/* ---- checks ---- */

static const PromSeries *find(const PromResult *r, Labels l)
{
    for (u32 i = 0; i < r->series_len; i++)
        if (labels_eq(r->series[i].labels, l))
            return &r->series[i];
    return NULL;
}

static bool same_value(f64 a, f64 b)
{
    return f64_bits(a) == f64_bits(b) || (isnan(a) && isnan(b));
}

/* Every value of the instant result is in the range result at that step. */
static void check_step(const PromResult *all, const PromResult *one, i64 t)
{
    for (u32 i = 0; i < one->series_len; i++) {
        const PromSeries *s = find(all, one->series[i].labels);
        check(s);
        bool found = false;
        for (u32 k = 0; k < s->n; k++) {
            const Histogram *h = one->series[i].h ? one->series[i].h[0] : NULL, *g = s->h ? s->h[k] : NULL;
            found |= s->t[k] == t && (h != NULL) == (g != NULL) &&
                     (h ? h->schema == g->schema : same_value(s->v[k], one->series[i].v[0]));
        }
        check(found);
    }
}

int LLVMFuzzerTestOneInput(const u8 *at, size_t len)
{
    if (!source)
        load();
    if (len < 4 || len > 4096)
        return 0;
    Gen g = {.at = at + 2, .end = at + len, .budget = 24};
    buf_init(&g.out, 1 << 16);
    vector(&g, 4);
    u32 features = PROMQL_EXPERIMENTAL_FUNCTIONS | PROMQL_EXTENDED_RANGE_SELECTORS | PROMQL_BINOP_FILL |
                   (at[0] & 1 ? PROMQL_DELAYED_NAME_REMOVAL : 0) |
                   (at[0] & 2 ? PROMQL_USE_START_TIMESTAMPS : 0);
    PromEngineConfig config = {.features = features, .samples_max = 2000000, .memory_max = 256 << 20};
    Arena a;
    PromResult all, one;
    Why why = {0};
    arena_init(&a, NULL, 256 << 20);
    i64 t = (i64)(at[1] % 20) * 60000;
    PromQuery q = {.text = buf_view(&g.out),
                   .start_ms = t - 120000,
                   .end_ms = t + 300000,
                   .step_ms = 60000,
                   .is_range = true};
    if (buf_over(&g.out))
        goto out;
    Err err = promql_query(&config, mem_source_face(source), &q, &a, &all, &why);
    check(err == OK || why.text[0]);
    check(err != E_INTERNAL && err != E_UNSUPPORTED);
    q.start_ms = q.end_ms = t;
    q.step_ms = 0;
    q.is_range = false;
    Err single = promql_query(&config, mem_source_face(source), &q, &a, &one, &why);
    check(single == OK || why.text[0]);
    bool may_rename = g.has_or && (features & PROMQL_DELAYED_NAME_REMOVAL);
    if (err == OK && single == OK && !g.depends_on_range && !g.order_varies && !may_rename)
        check_step(&all, &one, t);
out:
    buf_done(&g.out);
    arena_done(&a);
    return 0;
}
