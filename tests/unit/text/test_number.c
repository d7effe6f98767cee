#include "test.h"

#include <math.h>

#include "text/text.h"

static Str printed(void (*fn)(Buf *, f64), f64 v)
{
    static Buf b = {.max = 4096};
    buf_clear(&b);
    fn(&b, v);
    buf_cstr(&b);
    return buf_view(&b);
}

static void test_print(void **state)
{
    static const struct {
        f64 v;
        const char *f, *g;
    } rows[] = {
        {0, "0", "0"},
        {-0.0, "-0", "-0"},
        {1, "1", "1"},
        {-17, "-17", "-17"},
        {0.1, "0.1", "0.1"},
        {1.5e10, "15000000000", "1.5e+10"},
        {123456789.125, "123456789.125", "1.23456789125e+08"},
        {1e-7, "0.0000001", "1e-07"},
        {5e-324, NULL, "5e-324"},
        {1e21, "1000000000000000000000", "1e+21"},
        {1e20, "100000000000000000000", "1e+20"},
        {0.0001, "0.0001", "0.0001"},
        {0.00001, "0.00001", "1e-05"},
        {INFINITY, "+Inf", "+Inf"},
        {-INFINITY, "-Inf", "-Inf"},
        {NAN, "NaN", "NaN"},
        {9007199254740993.0, "9007199254740992", "9.007199254740992e+15"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].f)
            assert_str(printed(print_f64, rows[i].v), rows[i].f);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_str(printed(print_f64_g, rows[i].v), rows[i].g);
    Buf b;
    buf_init(&b, 4096);
    /* 'g' with -1: exponent form from 1e6 on, as Go's strconv. */
    print_f64_go(&b, 1.5e10, 'g', -1);
    buf_char(&b, ' ');
    print_f64_go(&b, 1e21, 'g', -1);
    buf_char(&b, ' ');
    print_f64_go(&b, 1234.5678, 'g', 4);
    buf_char(&b, ' ');
    print_f64_go(&b, 12345678, 'g', 4);
    buf_char(&b, ' ');
    print_f64_go(&b, 0.25, 'f', 1);
    buf_char(&b, ' ');
    print_f64_go(&b, 1234.5, 'e', 2);
    buf_char(&b, ' ');
    print_f64_go(&b, 100, 'g', 6);
    assert_str(buf_view(&b), "1.5e+10 1e+21 1235 1.235e+07 0.2 1.23e+03 100");
    buf_done(&b);
}

static void test_round_trip(void **state)
{
    u64 x = 88172645463325252ull;
    for (int i = 0; i < 200000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        f64 v, back;
        memcpy(&v, &x, 8);
        if (!isfinite(v))
            continue;
        assert_int_equal(parse_f64(printed(print_f64, v), &back), OK);
        assert_memory_equal(&v, &back, 8);
        assert_int_equal(parse_f64(printed(print_f64_g, v), &back), OK);
        assert_memory_equal(&v, &back, 8);
    }
}

static void test_parse(void **state)
{
    f64 v;
    const char *good[] = {"1",   "+1",   "-1.",       ".5",  "1e3",  "0x1p4",
                          "Inf", "-inf", "+Infinity", "nan", "1E-2", "00012"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (parse_f64(str_c(good[i]), &v) != OK)
            fail_msg("refused %s", good[i]);
    const char *bad[] = {"",   "+",  "-",   ".",    "e5",     "1e",  "1_000", " 1",
                         "1 ", "0x", "0x1", "infx", "nan(1)", "--1", "1e999", "1.2.3"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (parse_f64(str_c(bad[i]), &v) == OK)
            fail_msg("took %s", bad[i]);
    assert_int_equal(parse_f64(S("0x1.8p1"), &v), OK);
    assert_true(v == 3);
    i64 n;
    assert_int_equal(parse_i64(S("-9223372036854775808"), &n), OK);
    assert_true(n == INT64_MIN);
    assert_int_equal(parse_i64(S("9223372036854775808"), &n), E_PARSE);
    u64 u;
    assert_int_equal(parse_u64(S("18446744073709551615"), &u), OK);
    assert_int_equal(parse_u64(S("18446744073709551616"), &u), E_PARSE);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        i64 ms;
        const char *printed;
    } rows[] = {{"0", 0, "0s"},
                {"5m", 300000, "5m"},
                {"1h30m", 5400000, "1h30m"},
                {"1d", 86400000, "1d"},
                {"36h", 129600000, "36h"},
                {"1w", 604800000, "1w"},
                {"1y", 31536000000, "1y"},
                {"1s500ms", 1500, "1s500ms"},
                {"90s", 90000, "1m30s"},
                {"1d12h", 129600000, "36h"}};
    Buf b;
    buf_init(&b, 100);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        i64 ms;
        assert_int_equal(parse_duration_ms(str_c(rows[i].text), &ms, NULL), OK);
        assert_true(ms == rows[i].ms);
        buf_clear(&b);
        print_duration_ms(&b, ms);
        if (i != 4 && i != 9)
            assert_str(buf_view(&b), rows[i].printed);
    }
    const char *bad[] = {"", "5", "m5", "5m1h", "-5m", "1.5h", "5 m", "99999999999999999999s", "1000000000y"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        i64 ms;
        if (parse_duration_ms(str_c(bad[i]), &ms, NULL) == OK)
            fail_msg("took %s", bad[i]);
    }
    i64 ns;
    assert_int_equal(parse_go_duration_ns(S("1h30m0.5s"), &ns, NULL), OK);
    assert_true(ns == 5400500000000);
    buf_clear(&b);
    print_go_duration_ns(&b, ns);
    assert_str(buf_view(&b), "1h30m0.5s");
    buf_clear(&b);
    print_go_duration_ns(&b, 1500);
    assert_str(buf_view(&b), "1.5\xc2\xb5s");
    /* Exact to the nanosecond, whatever binary fractions would make of it; what is printed reads as the same. */
    static const struct {
        const char *text;
        i64 ns;
    } exact[] = {{"32.233\xc2\xb5s", 32233},
                 {"2562047h47m16.854775807s", INT64_MAX},
                 {"-2562047h47m16.854775808s", INT64_MIN},
                 {"9007199254740993ns", 9007199254740993},
                 {".5s", 500000000},
                 {"1.s", 1000000000},
                 {"0.0000000019s", 1},
                 {"0.3333333333333333333333h", 1200000000000 - 1}};
    for (size_t i = 0; i < COUNT_OF(exact); i++) {
        i64 again;
        if (parse_go_duration_ns(str_c(exact[i].text), &ns, NULL) != OK || ns != exact[i].ns)
            fail_msg("%s is %lld", exact[i].text, (long long)ns);
        buf_clear(&b);
        print_go_duration_ns(&b, ns);
        assert_int_equal(parse_go_duration_ns(buf_view(&b), &again, NULL), OK);
        assert_true(again == ns);
    }
    const char *bad_go[] = {
        "",     "-",  "1", "s", ".s", "1.2.3s", "1d", "2562047h47m16.854775808s", "99999999999999999999ns",
        "1e3s", " 1s"};
    for (size_t i = 0; i < COUNT_OF(bad_go); i++)
        if (parse_go_duration_ns(str_c(bad_go[i]), &ns, NULL) == OK)
            fail_msg("took %s", bad_go[i]);
    u64 bytes;
    assert_int_equal(parse_bytes(S("512MB"), &bytes, NULL), OK);
    assert_int_equal(bytes, 512u << 20);
    buf_done(&b);
}

static void test_json(void **state)
{
    Buf b;
    buf_init(&b, 4096);
    Json j;
    js_init(&j, &b);
    js_object(&j);
    js_kv(&j, "a\"", S("<x>\n\x01\xff\xc3\xa9"));
    js_key(&j, S("list"));
    js_array(&j);
    js_i64(&j, -5);
    js_f64(&j, 0.5);
    js_null(&j);
    js_bool(&j, true);
    js_object(&j);
    js_object_end(&j);
    js_array_end(&j);
    js_key(&j, S("n"));
    js_u64(&j, 7);
    js_object_end(&j);
    assert_str(
        buf_view(&b),
        "{\"a\\\"\":\"\\u003cx\\u003e\\n\\u0001\\ufffd\xc3\xa9\",\"list\":[-5,0.5,null,true,{}],\"n\":7}");
    buf_done(&b);
}

static void test_escapes(void **state)
{
    Buf b;
    buf_init(&b, 4096);
    url_escape_query(&b, S("a b&c/d"));
    assert_str(buf_view(&b), "a+b%26c%2Fd");
    buf_clear(&b);
    assert_int_equal(url_unescape(&b, S("a+b%26c%2Fd"), true), OK);
    assert_str(buf_view(&b), "a b&c/d");
    assert_int_equal(url_unescape(&b, S("%2"), true), E_PARSE);
    assert_int_equal(url_unescape(&b, S("%zz"), true), E_PARSE);
    for (size_t n = 0; n < 20; n++) {
        char bytes[20];
        random_bytes(bytes, n);
        Buf back;
        buf_init(&back, 100);
        buf_clear(&b);
        base64_encode(&b, str_of(bytes, n));
        assert_int_equal(base64_decode(&back, buf_view(&b)), OK);
        assert_int_equal(back.len, n);
        assert_memory_equal(back.at ? back.at : "", bytes, n);
        buf_done(&back);
    }
    assert_int_equal(base64_decode(&b, S("ab=c")), E_PARSE);
    buf_clear(&b);
    go_quote(&b, S("a\"\n\xff\x01\xc2\xa0\xc3\xa9"));
    assert_str(buf_view(&b), "\"a\\\"\\n\\xff\\x01\\u00a0\xc3\xa9\"");
    buf_clear(&b);
    html_escape(&b, S("<a href='x'>&\""));
    assert_str(buf_view(&b), "&lt;a href=&#39;x&#39;&gt;&amp;&#34;");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),     cmocka_unit_test(test_round_trip), cmocka_unit_test(test_parse),
        cmocka_unit_test(test_durations), cmocka_unit_test(test_json),       cmocka_unit_test(test_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
