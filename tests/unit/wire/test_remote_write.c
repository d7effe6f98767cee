/* prometheus.WriteRequest and io.prometheus.write.v2.Request: round trips of random requests, every truncation, refused series. */
#include "test.h"
#include "wire/wire.h"

static u32 rnd(u32 n)
{
    return (u32)(random_u64() % n);
}
static Str rnd_str(Arena *a)
{
    return arena_printf(a, "v%u", rnd(1000000));
}

static Labels rnd_labels(Arena *a, bool named)
{
    LabelsBuilder b;
    lb_init(&b, a, (Labels){0});
    if (named)
        lb_set(&b, LABEL_NAME, arena_printf(a, "metric_%u", rnd(100)));
    for (u32 i = rnd(12); i > 0; i--)
        lb_set(&b, arena_printf(a, "%c%u", "aZ_lä"[rnd(4)], i), rnd_str(a));
    return lb_build(&b);
}

static f64 rnd_value(void)
{
    switch (rnd(6)) {
    case 0:
        return 0;
    case 1:
        return -0.0;
    case 2:
        return stale_nan();
    case 3:
        return __builtin_inf();
    default:
        return f64_from_bits(random_u64() & ~(0x7ffULL << 52)) + rnd(1000);
    }
}

static Histogram *rnd_hist(Arena *a)
{
    Histogram *h = arena_new(a, Histogram);
    bool custom = rnd(4) == 0;
    h->is_int = rnd(2);
    h->hint = (u8)rnd(4);
    h->schema = custom ? HIST_SCHEMA_CUSTOM : (i32)rnd(13) - 4;
    h->sum = rnd(100);
    if (!custom)
        h->zero_threshold = 0.001, h->zero_count = rnd(100);
    h->count = h->zero_count;
    for (int side = 0; side < (custom ? 1 : 2); side++) {
        u32 spans = rnd(4), n = 0;
        HistSpan *s = arena_array(a, HistSpan, spans + 1);
        f64 *v = arena_array(a, f64, 40);
        for (u32 i = 0; i < spans; i++) {
            s[i] = (HistSpan){(i32)rnd(5) + (i > 0 || custom ? 0 : -2), 1 + rnd(5)};
            for (u32 k = 0; k < s[i].length; k++)
                h->count += v[n++] = h->is_int ? rnd(1000000) : rnd(1000) / 8.0;
        }
        if (side == 0)
            h->pos_spans = s, h->pos_spans_len = spans, h->pos = v, h->pos_len = n;
        else
            h->neg_spans = s, h->neg_spans_len = spans, h->neg = v, h->neg_len = n;
    }
    if (custom) {
        h->custom = arena_array(a, f64, 64);
        for (h->custom_len = 0; h->custom_len < 60; h->custom_len++)
            h->custom[h->custom_len] = h->custom_len * 1.5;
    }
    return h;
}

static SeriesItem rnd_series(Arena *a)
{
    SeriesItem s = {.labels = rnd_labels(a, true)};
    Sample *samples = arena_array(a, Sample, 8);
    for (u32 n = rnd(5); s.samples_len < n; s.samples_len++)
        samples[s.samples_len] = (Sample){(i64)random_u64() >> rnd(60), rnd_value()};
    s.samples = samples;
    const Histogram **h = arena_array(a, const Histogram *, 4);
    i64 *ht = arena_array(a, i64, 4);
    for (u32 n = rnd(3); s.hists_len < n; s.hists_len++)
        h[s.hists_len] = rnd_hist(a), ht[s.hists_len] = (i64)rnd(1000000);
    s.hists = h, s.hist_t = ht;
    Exemplar *e = arena_array(a, Exemplar, 4);
    for (u32 n = rnd(3); s.exemplars_len < n; s.exemplars_len++)
        e[s.exemplars_len] = (Exemplar){rnd_labels(a, false), rnd_value(), rnd(5)};
    s.exemplars = e;
    return s;
}

static void assert_same(const SeriesItem *a, const SeriesItem *b)
{
    assert_true(labels_eq(a->labels, b->labels));
    assert_int_equal(a->samples_len, b->samples_len);
    for (u32 i = 0; i < a->samples_len; i++) {
        assert_true(a->samples[i].t == b->samples[i].t);
        assert_true(f64_bits(a->samples[i].v) == f64_bits(b->samples[i].v));
    }
    assert_int_equal(a->hists_len, b->hists_len);
    for (u32 i = 0; i < a->hists_len; i++) {
        assert_true(a->hist_t[i] == b->hist_t[i]);
        assert_true(histogram_eq(a->hists[i], b->hists[i]));
    }
    assert_int_equal(a->exemplars_len, b->exemplars_len);
    for (u32 i = 0; i < a->exemplars_len; i++) {
        assert_true(labels_eq(a->exemplars[i].labels, b->exemplars[i].labels));
        assert_true(f64_bits(a->exemplars[i].v) == f64_bits(b->exemplars[i].v));
        assert_true(a->exemplars[i].t == b->exemplars[i].t);
    }
}

static void random_round_trips(void **state)
{
    Arena a;
    Buf b;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 24);
    for (int round = 0; round < 300; round++) {
        arena_reset(&a);
        buf_clear(&b);
        u32 n = rnd(20);
        SeriesItem *in = arena_array(&a, SeriesItem, n + 1);
        for (u32 i = 0; i < n; i++)
            in[i] = rnd_series(&a);
        MetadataItem md[3];
        u32 md_len = rnd(4);
        for (u32 i = 0; i < md_len; i++)
            md[i] =
                (MetadataItem){rnd_str(&a), rnd_str(&a), rnd(2) ? S("") : rnd_str(&a), (MetricType)rnd(8)};
        remote_write_encode(in, n, md, md_len, &b);
        WriteDecoded d;
        Why why = {0};
        assert_ok(remote_write_decode(buf_view(&b), &a, &d, &why), &why);
        assert_int_equal(d.series_len, n);
        assert_int_equal(d.metadata_len, md_len);
        u64 samples = 0;
        for (u32 i = 0; i < n; i++) {
            assert_same(&in[i], &d.series[i]);
            samples += in[i].samples_len;
        }
        assert_int_equal(d.samples, samples);
        for (u32 i = 0; i < md_len; i++) {
            assert_true(str_eq(md[i].family, d.metadata[i].family) && str_eq(md[i].help, d.metadata[i].help));
            assert_true(str_eq(md[i].unit, d.metadata[i].unit) && md[i].type == d.metadata[i].type);
        }
    }
    arena_done(&a);
    buf_done(&b);
}

static void truncations_are_errors_or_whole(void **state)
{
    Arena a;
    Buf b;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 20);
    SeriesItem s[3];
    for (int i = 0; i < 3; i++)
        s[i] = rnd_series(&a);
    remote_write_encode(s, 3, &(MetadataItem){S("f"), S("h"), S("u"), TYPE_GAUGE}, 1, &b);
    u32 whole = 0;
    for (size_t cut = 0; cut < b.len; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, b.at, cut);
        WriteDecoded d = {0};
        Err e = remote_write_decode(str_of(copy, cut), &a, &d, NULL);
        if (e == OK) {
            whole++;
            for (u32 i = 0; i < d.series_len; i++)
                assert_same(&s[i], &d.series[i]);
        } else {
            assert_int_equal(e, E_PARSE);
            assert_int_equal(d.series_len, 0);
        }
        free(copy);
    }
    assert_int_equal(whole, 4); /* between the four messages */
    arena_done(&a);
    buf_done(&b);
}

static void put_label(Buf *b, Str n, Str v)
{
    size_t m = pb_begin(b, 1);
    pb_put_bytes(b, 1, n);
    pb_put_bytes(b, 2, v);
    pb_end(b, m);
}

static void put_series(Buf *b, const Label *l, u32 n, f64 v)
{
    size_t m = pb_begin(b, 1);
    for (u32 i = 0; i < n; i++)
        put_label(b, l[i].name, l[i].value);
    size_t s = pb_begin(b, 2);
    pb_put_f64(b, 1, v);
    pb_put_u64(b, 2, 1000);
    pb_end(b, s);
    pb_end(b, m);
}

static void unsorted_labels_are_sorted(void **state)
{
    Arena a;
    Buf b;
    WriteDecoded d;
    Why why;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 20);
    put_series(&b, (Label[]){{S("z"), S("1")}, {S("__name__"), S("up")}, {S("a"), S("")}, {S("B"), S("2")}},
               4, 1);
    assert_ok(remote_write_decode(buf_view(&b), &a, &d, &why), &why);
    assert_int_equal(d.series[0].labels.len, 3);
    assert_str(d.series[0].labels.at[0].name, "B");
    assert_str(d.series[0].labels.at[1].name, "__name__");
    assert_str(d.series[0].labels.at[2].name, "z");
    arena_done(&a);
    buf_done(&b);
}

static void bad_series_are_named_and_left_out(void **state)
{
    static const struct {
        Label l[3];
        u32 n;
        const char *want;
    } cases[] = {
        {{{STR_INIT("a"), STR_INIT("1")}}, 1, "no metric name"},
        {{{STR_INIT("__name__"), STR_INIT("x")},
          {STR_INIT("a"), STR_INIT("1")},
          {STR_INIT("a"), STR_INIT("2")}},
         3,
         "\"a\" is not unique"},
        {{{STR_INIT("__name__"), STR_INIT("x")},
          {STR_INIT("a"), STR_INIT("1")},
          {STR_INIT("a"), STR_INIT("1")}},
         3,
         "\"a\" is not unique"},
        {{{STR_INIT("__name__"), STR_INIT("x")}, {STR_INIT("a"), STR_INIT("\xff")}}, 2, "not UTF-8"},
        {{{STR_INIT("__name__"), STR_INIT("x")}, {STR_INIT(""), STR_INIT("1")}}, 2, "empty name"},
        {{{STR_INIT("__name__"), STR_INIT("")}}, 1, "no metric name"},
    };
    Arena a;
    Buf b;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        WriteDecoded d;
        Why why = {0};
        buf_clear(&b);
        put_series(&b, (Label[]){{S("__name__"), S("first")}}, 1, 1);
        put_series(&b, cases[i].l, cases[i].n, 2);
        put_series(&b, (Label[]){{S("__name__"), S("last")}}, 1, 3);
        assert_int_equal(remote_write_decode(buf_view(&b), &a, &d, &why), E_INVALID);
        if (!strstr(why.text, cases[i].want))
            fail_msg("case %zu: «%s»", i, why.text);
        assert_int_equal(d.series_len, 2);
        assert_int_equal(d.refused, 1);
        assert_true(d.series[1].samples[0].v == 3);
    }
    arena_done(&a);
    buf_done(&b);
}

static void impossible_histograms(void **state)
{
    Arena a;
    Buf b;
    WriteDecoded d;
    Why why;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 4; i++) {
        buf_clear(&b);
        size_t m = pb_begin(&b, 1);
        put_label(&b, S("__name__"), S("h"));
        size_t h = pb_begin(&b, 4);
        if (i == 0) { /* a span of four billion buckets, of which none came */
            pb_put_u64(&b, 1, 3);
            size_t s = pb_begin(&b, 11);
            pb_put_u64(&b, 2, UINT32_MAX);
            pb_end(&b, s);
        } else if (i == 1) { /* more than 2^53 */
            pb_put_u64(&b, 1, (1ULL << 53) + 1);
        } else if (i == 2) { /* deltas that run out of range */
            size_t s = pb_begin(&b, 12);
            pb_put_varint(&b, zigzag(INT64_MAX));
            pb_put_varint(&b, zigzag(INT64_MAX));
            pb_end(&b, s);
        } else { /* a span length that is no u32 */
            size_t s = pb_begin(&b, 11);
            pb_put_u64(&b, 2, 1ULL << 40);
            pb_end(&b, s);
        }
        pb_end(&b, h);
        pb_end(&b, m);
        if (remote_write_decode(buf_view(&b), &a, &d, &why) != E_INVALID)
            fail_msg("case %d passes", i);
        assert_int_equal(d.series_len, 0);
    }
    arena_done(&a);
    buf_done(&b);
}

static void a_request_has_a_memory_limit(void **state)
{
    Arena a;
    Buf b;
    WriteDecoded d;
    Why why;
    arena_init(&a, NULL, 1 << 20);
    buf_init(&b, 1 << 24);
    for (int i = 0; i < 300000; i++)
        pb_put_bytes(&b, 1, S("\x12\x00"));
    assert_int_equal(remote_write_decode(buf_view(&b), &a, &d, &why), E_LIMIT);
    arena_done(&a);
    buf_done(&b);
}

static void known_bytes(void **state)
{
    /* up{job="a"} 1 @ 5000, as every client encodes it */
    static const char want[] = "\x0a\x28\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x08\x0a\x03job\x12\x01"
                               "a"
                               "\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x88\x27";
    Label l[] = {{S("__name__"), S("up")}, {S("job"), S("a")}};
    Sample s = {5000, 1};
    Buf b;
    buf_init(&b, 1000);
    remote_write_encode(&(SeriesItem){.labels = {l, 2}, .samples = &s, .samples_len = 1}, 1, NULL, 0, &b);
    assert_int_equal(b.len, sizeof want - 1);
    assert_memory_equal(b.at, want, b.len);
    buf_done(&b);
}

/* ---- 2.0 ---- */

static const MetadataItem *about_metric(void *arg, Labels l)
{
    (void)l;
    return arg;
}

/* Samples and histograms of one series travel in two messages; exemplars go with the histograms then. */
static void random_round_trips_v2(void **state)
{
    Arena a;
    Buf b;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 24);
    for (int round = 0; round < 300; round++) {
        arena_reset(&a);
        buf_clear(&b);
        u32 n = rnd(20), at = 0;
        MetadataItem md = {S(""), rnd_str(&a), rnd(2) ? S("") : rnd_str(&a), (MetricType)rnd(8)};
        SeriesItem *in = arena_array(&a, SeriesItem, n + 1);
        for (u32 i = 0; i < n; i++) {
            in[i] = rnd_series(&a);
            in[i].start_t = rnd(2) ? 0 : (i64)rnd(100000);
        }
        Why why = {0};
        WriteDecoded d;
        assert_ok(remote_write2_encode(in, n, about_metric, &md, &a, &b, &why), &why);
        assert_ok(remote_write2_decode(buf_view(&b), &a, &d, &why), &why);
        for (u32 i = 0; i < n; i++) {
            SeriesItem floats = in[i], hists = in[i];
            floats.hists_len = hists.samples_len = 0;
            if (hists.hists_len)
                floats.exemplars_len = 0;
            for (int part = 0; part < 2; part++) {
                const SeriesItem *want = part ? &hists : &floats;
                if (!(part ? want->hists_len : want->samples_len))
                    continue;
                assert_true(at < d.series_len);
                assert_same(want, &d.series[at]);
                assert_int_equal(d.series[at++].start_t, want->start_t);
            }
        }
        assert_int_equal(at, d.series_len);
        for (u32 i = 0; i < d.metadata_len; i++) {
            assert_true(str_eq(md.help, d.metadata[i].help) && str_eq(md.unit, d.metadata[i].unit));
            for (u32 k = 0; k < i; k++)
                assert_false(str_eq(d.metadata[i].family, d.metadata[k].family) && md.type < TYPE_HISTOGRAM);
        }
        assert_true(d.metadata_len > 0 || !at);
    }
    arena_done(&a);
    buf_done(&b);
}

/* The empty request, and one series of references given as they stand. */
static void put_refs(Buf *b, const char *const *symbols, u32 symbols_len, const u32 *refs, u32 n, bool packed)
{
    for (u32 i = 0; i < symbols_len; i++) {
        pb_put_varint(b, 4 << 3 | PB_BYTES);
        pb_put_varint(b, strlen(symbols[i]));
        buf_c(b, symbols[i]);
    }
    size_t m = pb_begin(b, 5), p = packed ? pb_begin(b, 1) : 0;
    for (u32 i = 0; i < n; i++) {
        if (!packed)
            pb_put_varint(b, 1 << 3 | PB_VARINT);
        pb_put_varint(b, refs[i]);
    }
    if (packed)
        pb_end(b, p);
    size_t s = pb_begin(b, 2);
    pb_put_f64(b, 1, 7);
    pb_put_u64(b, 2, 1000);
    pb_put_u64(b, 3, 500);
    pb_end(b, s);
    pb_end(b, m);
}

static void references_of_v2(void **state)
{
    static const char *const symbols[] = {"", "__name__", "up", "job", "a"}, *const headless[] = {"__name__",
                                                                                                  "up"};
    static const struct {
        u32 refs[6], n;
        const char *want; /* NULL = fine */
    } cases[] = {
        {{1, 2, 3, 4}, 4, NULL},
        {{3, 4, 1, 2, 3, 0}, 4, NULL},
        {{1, 2, 3, 5}, 4, "refers to symbol 5 of 5"},
        {{1, 2, 3, UINT32_MAX}, 4, "refers to symbol 4294967295 of 5"},
        {{1, 2, 3}, 3, "holds 3 references"},
        {{3, 4}, 2, "no metric name"},
        {{1, 2, 3, 4, 3, 2}, 6, "\"job\" is not unique"},
        {{1, 2, 0, 4}, 4, "empty name"},
        {{0}, 0, "no metric name"},
    };
    Arena a;
    Buf b;
    WriteDecoded d;
    Why why;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
        const char *want = cases[i / 2].want;
        buf_clear(&b);
        put_refs(&b, symbols, 5, cases[i / 2].refs, cases[i / 2].n, i % 2);
        why = (Why){0};
        Err e = remote_write2_decode(buf_view(&b), &a, &d, &why);
        if (e != (want ? E_INVALID : OK) || (want && !strstr(why.text, want)))
            fail_msg("case %zu: %s «%s»", i / 2, err_name(e), why.text);
        assert_int_equal(d.series_len, want ? 0 : 1);
        assert_int_equal(d.refused, want ? 1 : 0);
        if (!want) {
            assert_str(labels_get(d.series[0].labels, S("job")), "a");
            assert_true(d.series[0].samples[0].v == 7 && d.series[0].start_t == 500);
        }
    }
    buf_clear(&b);
    put_refs(&b, headless, 2, (u32[]){0, 1}, 2, true);
    assert_int_equal(remote_write2_decode(buf_view(&b), &a, &d, &why), E_PARSE);
    assert_non_null(strstr(why.text, "does not start with an empty string"));
    assert_ok(remote_write2_decode(S(""), &a, &d, &why), &why);
    assert_int_equal(d.series_len, 0);
    arena_done(&a);
    buf_done(&b);
}

static void truncations_of_v2(void **state)
{
    Arena a;
    Buf b;
    Why why;
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 20);
    SeriesItem s[3];
    for (int i = 0; i < 3; i++)
        s[i] = rnd_series(&a);
    assert_ok(remote_write2_encode(s, 3, NULL, NULL, &a, &b, &why), &why);
    for (size_t cut = 0; cut < b.len; cut++) {
        char *copy = malloc(cut + 1); /* so that a read past the end is seen */
        memcpy(copy, b.at, cut);
        WriteDecoded d = {0};
        Err e = remote_write2_decode(str_of(copy, cut), &a, &d, NULL);
        assert_true(e == OK || e == E_PARSE);
        free(copy);
    }
    arena_done(&a);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_round_trips),
        cmocka_unit_test(truncations_are_errors_or_whole),
        cmocka_unit_test(unsorted_labels_are_sorted),
        cmocka_unit_test(bad_series_are_named_and_left_out),
        cmocka_unit_test(impossible_histograms),
        cmocka_unit_test(a_request_has_a_memory_limit),
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(random_round_trips_v2),
        cmocka_unit_test(references_of_v2),
        cmocka_unit_test(truncations_of_v2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
