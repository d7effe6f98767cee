/* Delimited MetricFamily messages: what they come out as, truncation, malformed messages. Messages are written with pb_put_*. */
#include "test.h"
#include "wire/wire.h"

static void put_pair(Buf *b, Str n, Str v)
{
    size_t m = pb_begin(b, 1);
    pb_put_bytes(b, 1, n);
    pb_put_bytes(b, 2, v);
    pb_end(b, m);
}

static void put_time(Buf *b, u32 field, u64 s, u64 ns)
{
    size_t m = pb_begin(b, field);
    pb_put_u64(b, 1, s);
    pb_put_u64(b, 2, ns);
    pb_end(b, m);
}

static void put_exemplar(Buf *b, u32 field, Str trace, f64 v, u64 s)
{
    size_t m = pb_begin(b, field);
    put_pair(b, S("trace"), trace);
    pb_put_f64(b, 2, v);
    if (s)
        put_time(b, 3, s, 5000000);
    pb_end(b, m);
}

static void family_begin(Buf *b, Str name, Str help, u64 type, Str unit)
{
    pb_put_bytes(b, 1, name);
    pb_put_bytes(b, 2, help);
    pb_put_u64(b, 3, type);
    pb_put_bytes(b, 5, unit);
}

static void family_end(Buf *page, Buf *b)
{
    pb_put_varint(page, b->len);
    buf_str(page, buf_view(b));
    buf_clear(b);
}

static void put_spans(Buf *b, u32 field, const HistSpan *s, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        size_t m = pb_begin(b, field);
        pb_put_sint(b, 1, s[i].offset);
        pb_put_u64(b, 2, s[i].length);
        pb_end(b, m);
    }
}

static void simple_families(Buf *page)
{
    Buf b;
    buf_init(&b, 1 << 20);
    family_begin(&b, S("c_seconds_total"), S("a \"counter\""), 0, S("seconds"));
    size_t m = pb_begin(&b, 4), v;
    put_pair(&b, S("z"), S("1"));
    put_pair(&b, S("a"), S("2"));
    v = pb_begin(&b, 3);
    pb_put_f64(&b, 1, 1.5);
    put_exemplar(&b, 2, S("t1"), 7, 0);
    put_time(&b, 3, 1000, 500000000);
    pb_end(&b, v);
    pb_put_u64(&b, 6, 1234);
    pb_end(&b, m);
    family_end(page, &b);

    family_begin(&b, S("empty"), S(""), 1, S("")); /* no metric: not there */
    family_end(page, &b);

    family_begin(&b, S("g.auge"), S(""), 1, S(""));
    for (int i = 0; i < 2; i++) {
        m = pb_begin(&b, 4);
        put_pair(&b, S("i"), i ? S("1") : S("0"));
        v = pb_begin(&b, 2);
        pb_put_f64(&b, 1, i ? __builtin_nan("") : -2);
        pb_end(&b, v);
        pb_end(&b, m);
    }
    family_end(page, &b);

    family_begin(&b, S("s"), S(""), 2, S(""));
    m = pb_begin(&b, 4);
    v = pb_begin(&b, 4);
    pb_put_u64(&b, 1, 10);
    pb_put_f64(&b, 2, 20.5);
    for (int i = 0; i < 2; i++) {
        size_t q = pb_begin(&b, 3);
        pb_put_f64(&b, 1, i ? 1 : 0.5);
        pb_put_f64(&b, 2, 3 + i);
        pb_end(&b, q);
    }
    pb_end(&b, v);
    pb_end(&b, m);
    family_end(page, &b);

    family_begin(&b, S("u"), S(""), 3, S(""));
    m = pb_begin(&b, 4);
    v = pb_begin(&b, 5);
    pb_put_f64(&b, 1, 9);
    pb_end(&b, v);
    pb_end(&b, m);
    family_end(page, &b);
    buf_done(&b);
}

/* kind 0: classic only; 1: native integer with classic buckets; 2: native float gauge histogram */
static void histogram_family(Buf *page, int kind)
{
    Buf b;
    buf_init(&b, 1 << 20);
    family_begin(&b, S("h"), S("hist"), kind == 2 ? 5 : 4, S(""));
    size_t m = pb_begin(&b, 4);
    put_pair(&b, S("x"), S("y"));
    size_t v = pb_begin(&b, 7);
    pb_put_f64(&b, 2, 12.5);
    if (kind == 2) {
        pb_put_f64(&b, 4, 6);
        pb_put_f64(&b, 8, 1.5);
        put_spans(&b, 12, &(HistSpan){1, 2}, 1);
        pb_put_bytes(&b, 14, str_of((const char *)(f64[]){1.5, 3}, 16));
        pb_put_sint(&b, 5, 3);
    } else {
        pb_put_u64(&b, 1, 7);
        for (int i = 0; i < 2; i++) {
            size_t k = pb_begin(&b, 3);
            pb_put_u64(&b, 1, 3 + (u64)i * 4);
            pb_put_f64(&b, 2, i ? 10 : 0.25);
            put_exemplar(&b, 3, i ? S("e1") : S("e0"), 0.1, i ? 50 : 0);
            pb_end(&b, k);
        }
        put_time(&b, 15, 44, 0);
    }
    if (kind == 1) {
        pb_put_sint(&b, 5, -1);
        pb_put_f64(&b, 6, 0.001);
        pb_put_u64(&b, 7, 1);
        put_spans(&b, 9, &(HistSpan){-2, 1}, 1);
        pb_put_u64(&b, 10, zigzag(2)); /* not packed */
        put_spans(&b, 12, (HistSpan[]){{0, 2}, {3, 1}}, 2);
        pb_put_bytes(&b, 13, S("\x02\x02\x01")); /* 1, 2, 1 */
    }
    pb_end(&b, v);
    pb_end(&b, m);
    family_end(page, &b);
    buf_done(&b);
}

static Err dump(Str page, const ExpoOptions *o, Buf *out, Why *why)
{
    Arena a;
    arena_init(&a, NULL, 64 << 20);
    ExpoParser *p = expo_new(page, EXPO_PROTOBUF, o, &a);
    ExpoItem it;
    Err e;
    while ((e = expo_next(p, &it, why)) == OK) {
        switch (it.kind) {
        case EXPO_HELP:
            buf_printf(out, "help %.*s %.*s\n", STR_FMT(it.name), STR_FMT(it.text));
            continue;
        case EXPO_UNIT:
            buf_printf(out, "unit %.*s %.*s\n", STR_FMT(it.name), STR_FMT(it.text));
            continue;
        case EXPO_TYPE:
            buf_printf(out, "type %.*s %s\n", STR_FMT(it.name), metric_type_name(it.type));
            continue;
        default:
            break;
        }
        assert_true(it.series_text.len > 0);
        if ((e = expo_labels(p, &it, why)) != OK)
            break;
        labels_print(out, it.labels);
        if (it.kind == EXPO_SERIES) {
            buf_char(out, ' ');
            print_f64(out, it.value);
        } else {
            const Histogram *h = it.hist;
            buf_printf(out, " {%s%s schema:%d count:%g sum:%g z:%g@%g pos:", h->is_int ? "int" : "float",
                       h->hint == HIST_GAUGE ? " gauge" : "", h->schema, h->count, h->sum, h->zero_count,
                       h->zero_threshold);
            for (u32 i = 0; i < h->pos_len; i++)
                buf_printf(out, " %g", h->pos[i]);
            buf_c(out, " neg:");
            for (u32 i = 0; i < h->neg_len; i++)
                buf_printf(out, " %g", h->neg[i]);
            buf_c(out, "}");
        }
        if (it.t != INT64_MIN)
            buf_printf(out, " %lld", (long long)it.t);
        if (it.start_t)
            buf_printf(out, " st@%lld", (long long)it.start_t);
        for (u32 i = 0; i < it.exemplars_len; i++)
            buf_printf(out, " # %.*s %g@%lld", STR_FMT(labels_get(it.exemplars[i].labels, S("trace"))),
                       it.exemplars[i].v, (long long)it.exemplars[i].t);
        buf_char(out, '\n');
    }
    arena_done(&a);
    return e;
}

static void assert_page(const Buf *page, const ExpoOptions *o, const char *want)
{
    Buf out;
    Why why = {0};
    buf_init(&out, 1 << 20);
    Err e = dump(buf_view(page), o, &out, &why);
    if (e != E_NOT_FOUND || strcmp(buf_cstr(&out), want))
        fail_msg("%s %s\n got «%s»\nwant «%s»", err_name(e), why.text, buf_cstr(&out), want);
    buf_done(&out);
}

static void simple_values(void **state)
{
    Buf page;
    buf_init(&page, 1 << 20);
    simple_families(&page);
    assert_page(
        &page, NULL,
        "help c_seconds_total a \"counter\"\nunit c_seconds_total seconds\ntype c_seconds_total counter\n"
        "c_seconds_total{a=\"2\", z=\"1\"} 1.5 1234 st@1000500 # t1 7@0\n"
        "help g.auge \ntype g.auge gauge\n{\"g.auge\", i=\"0\"} -2\n{\"g.auge\", i=\"1\"} NaN\n"
        "help s \ntype s summary\ns_count 10\ns_sum 20.5\ns{quantile=\"0.5\"} 3\ns{quantile=\"1.0\"} 4\n"
        "help u \ntype u unknown\nu 9\n");
    buf_done(&page);
}

#define CLASSIC                                                                                              \
    "h_count{x=\"y\"} 7 st@44000\nh_sum{x=\"y\"} 12.5 st@44000\nh_bucket{le=\"0.25\", x=\"y\"} 3 st@44000 "  \
    "# e0 0.1@0\n"                                                                                           \
    "h_bucket{le=\"10.0\", x=\"y\"} 7 st@44000 # e1 0.1@50005\nh_bucket{le=\"+Inf\", x=\"y\"} 7 st@44000\n"
#define NATIVE                                                                                               \
    "h{x=\"y\"} {int schema:-1 count:7 sum:12.5 z:1@0.001 pos: 1 2 1 neg: 2} st@44000 # e1 0.1@50005\n"
#define HEAD "help h hist\ntype h histogram\n"

static void histograms(void **state)
{
    Buf page;
    buf_init(&page, 1 << 20);
    ExpoOptions both = {.classic_too = true}, fold = {.convert_nhcb = true};
    histogram_family(&page, 0);
    assert_page(&page, NULL, HEAD CLASSIC);
    assert_page(&page, &fold,
                HEAD "h{x=\"y\"} {int schema:-53 count:7 sum:12.5 z:0@0 pos: 3 4 neg:} st@44000 # e0 0.1@0 # "
                     "e1 0.1@50005\n");
    buf_clear(&page);
    histogram_family(&page, 1);
    assert_page(&page, NULL, HEAD NATIVE);
    assert_page(&page, &both, HEAD NATIVE CLASSIC);
    ExpoOptions all = {.classic_too = true, .convert_nhcb = true};
    assert_page(&page, &all, HEAD NATIVE CLASSIC); /* what is native already is not folded again */
    buf_clear(&page);
    histogram_family(&page, 2);
    assert_page(&page, NULL,
                "help h hist\ntype h gaugehistogram\nh{x=\"y\"} {float gauge schema:3 count:6 sum:12.5 "
                "z:1.5@0 pos: 1.5 3 neg:}\n");
    buf_done(&page);
}

static void keys_differ(void **state)
{
    Buf page;
    Arena a;
    buf_init(&page, 1 << 20);
    arena_init(&a, NULL, 0);
    simple_families(&page);
    histogram_family(&page, 1);
    StrMap seen = {0};
    ExpoParser *p = expo_new(buf_view(&page), EXPO_PROTOBUF, &(ExpoOptions){.classic_too = true}, &a);
    ExpoItem it;
    u32 n = 0;
    while (expo_next(p, &it, NULL) == OK)
        if (it.kind == EXPO_SERIES || it.kind == EXPO_HISTOGRAM) {
            assert_false(strmap_has(&seen, it.series_text));
            strmap_put(&seen, it.series_text, &n);
            n++;
        }
    assert_int_equal(n, 14);
    strmap_done(&seen);
    arena_done(&a);
    buf_done(&page);
}

static void truncation(void **state)
{
    Buf page, out;
    buf_init(&page, 1 << 20), buf_init(&out, 1 << 20);
    simple_families(&page);
    for (int i = 0; i < 3; i++)
        histogram_family(&page, i);
    ExpoOptions o[3] = {{0}, {.classic_too = true}, {.classic_too = true, .convert_nhcb = true}};
    u32 whole = 0;
    for (size_t cut = 0; cut < page.len; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, page.at, cut);
        buf_clear(&out);
        whole += dump(str_of(copy, cut), &o[cut % 3], &out, NULL) == E_NOT_FOUND;
        free(copy);
    }
    assert_int_equal(whole, 8); /* between families */
    buf_done(&page), buf_done(&out);
}

static void refused(void **state)
{
    Buf page, b, out;
    buf_init(&page, 1 << 20), buf_init(&b, 1 << 20), buf_init(&out, 1 << 20);
    static const char *const want[] = {"empty or not UTF-8",
                                       "empty or not UTF-8",
                                       "help text",
                                       "unknown metric type",
                                       "unit",
                                       "label",
                                       "not unique",
                                       "malformed Metric",
                                       "malformed value",
                                       "goes past the end",
                                       "MetricFamily",
                                       "histogram"};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        Why why = {0};
        buf_clear(&page), buf_clear(&b), buf_clear(&out);
        family_begin(&b,
                     i == 0   ? S("")
                     : i == 1 ? S("\xff")
                              : S("m"),
                     i == 2 ? S("\xff") : S(""),
                     i == 3    ? 9
                     : i == 11 ? 4
                               : 1,
                     i == 4 ? S("m") : S(""));
        size_t m = pb_begin(&b, 4);
        put_pair(&b, S("a"), i == 5 ? S("\xff") : S("1"));
        if (i == 6)
            put_pair(&b, S("a"), S("2"));
        if (i == 7)
            pb_put_u64(&b, 2, 5);
        size_t v = pb_begin(&b, i == 11 ? 7 : 2);
        if (i == 8)
            buf_char(&b, 9);
        if (i == 11) { /* spans without buckets */
            pb_put_u64(&b, 1, 5);
            put_spans(&b, 12, &(HistSpan){0, UINT32_MAX}, 1);
        }
        pb_end(&b, v);
        pb_end(&b, m);
        if (i == 10)
            buf_char(&b, 0x0b);
        family_end(&page, &b);
        if (i == 9)
            page.at[0]++;
        Err e = dump(buf_view(&page), NULL, &out, &why);
        if (e != E_PARSE || !strstr(why.text, want[i]))
            fail_msg("case %zu: %s «%s», want «%s»", i, err_name(e), why.text, want[i]);
    }
    buf_done(&page), buf_done(&b), buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_values), cmocka_unit_test(histograms), cmocka_unit_test(keys_differ),
        cmocka_unit_test(truncation),    cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
