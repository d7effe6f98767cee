#include "test.h"
#include "text/text.h"

#include <unistd.h>

static void test_civil_round_trip(void **state)
{
    u64 seed = 1;
    for (int i = 0; i < 20000; i++, seed++) {
        i64 sec = (i64)(hash_bytes(&seed, 8, 0) % 600000000000ULL) - 300000000000LL;
        Civil c;
        civil_from_unix(sec, &c);
        assert_true(civil_to_unix(&c) == sec);
        assert_in_range(c.month, 1, 12);
        assert_in_range(c.day, 1, 31);
        assert_in_range(c.yday, 0, 365);
    }
    Civil c;
    civil_from_unix(951782400, &c); /* 2000-02-29 */
    assert_int_equal(c.year, 2000);
    assert_int_equal(c.month, 2);
    assert_int_equal(c.day, 29);
    assert_int_equal(c.weekday, 2);
    assert_int_equal(c.yday, 59);
    civil_from_unix(INT64_MIN, &c);
    civil_from_unix(INT64_MAX, &c);
}

static void test_zones(void **state)
{
    static const struct {
        const char *zone;
        i64 sec;
        const char *want;
    } rows[] = {
        {"UTC", 0, "1970-01-01 00:00:00 UTC +0000"},
        {"Europe/Berlin", 1711846799, "2024-03-31 01:59:59 CET +0100"},
        {"Europe/Berlin", 1711846800, "2024-03-31 03:00:00 CEST +0200"},
        {"Europe/Berlin", 1729990799, "2024-10-27 02:59:59 CEST +0200"},
        {"Europe/Berlin", 1729990800, "2024-10-27 02:00:00 CET +0100"},
        {"Europe/Berlin", 4090000000, "2099-08-10 01:06:40 CEST +0200"},
        {"America/New_York", 1700000000, "2023-11-14 17:13:20 EST -0500"},
        {"Australia/Lord_Howe", 4087000000, "2099-07-06 16:16:40 +1030 +1030"},
        {"Australia/Sydney", 4073000000, "2099-01-25 15:53:20 AEDT +1100"},
        {"Asia/Kolkata", 1700000000, "2023-11-15 03:43:20 IST +0530"},
        {"Europe/Dublin", 1720000000, "2024-07-03 10:46:40 IST +0100"},
    };
    const Zone *z;
    Why why = {0};
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
        fprintf(stderr, "SKIPPED: no tzdata\n");
        skip();
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_ok(zone_load(str_c(rows[i].zone), &z, &why), &why);
        Civil c;
        civil_in_zone(z, rows[i].sec, &c);
        Buf b;
        buf_init(&b, 100);
        print_time_go(&b, &c, S("2006-01-02 15:04:05 MST -0700"));
        assert_str(buf_view(&b), rows[i].want);
        buf_done(&b);
    }
    assert_int_equal(zone_load(S("../../etc/passwd"), &z, &why), E_INVALID);
    assert_int_equal(zone_load(S("Mars/Olympus"), &z, &why), E_NOT_FOUND);
    assert_int_equal(zone_load(S("/etc/localtime"), &z, &why), E_INVALID);
    assert_ok(zone_load(S("Local"), &z, &why), &why);
}

static void test_layouts(void **state)
{
    static const struct {
        const char *layout, *want;
    } rows[] = {
        {"Mon Jan _2 15:04:05 MST 2006", "Fri Mar  5 16:07:08 UTC 2021"},
        {"Monday, 02-Jan-06 15:04:05 MST", "Friday, 05-Mar-21 16:07:08 UTC"},
        {"January 2, 2006 3:4:5 PM", "March 5, 2021 4:7:8 PM"},
        {"03:04pm", "04:07pm"},
        {"2006-01-02T15:04:05Z07:00", "2021-03-05T16:07:08Z"},
        {"2006-01-02T15:04:05.999999999Z07:00", "2021-03-05T16:07:08.1203Z"},
        {"15:04:05.000", "16:07:08.120"},
        {"15:04:05,000000", "16:07:08,120300"},
        {"05.9", "08.1"},
        {"002 __2 -07 -0700 -07:00 -07:00:00", "064  64 +00 +0000 +00:00 +00:00:00"},
        {"Month", "Month"},
        {"_2006", "_2021"},
        {"1/2/06", "3/5/21"},
        {"", ""},
        {"plain", "plain"},
    };
    Civil c;
    civil_from_unix(1614960428, &c);
    c.nanos = 120300000;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf b;
        buf_init(&b, 200);
        print_time_go(&b, &c, str_c(rows[i].layout));
        assert_str(buf_view(&b), rows[i].want);
        buf_done(&b);
    }
}

static void test_rfc3339(void **state)
{
    static const struct {
        const char *text;
        Err err;
        i64 ns;
    } rows[] = {
        {"1970-01-01T00:00:00Z", OK, 0},
        {"1970-01-01T01:00:00+01:00", OK, 0},
        {"1969-12-31T23:59:59.5Z", OK, -500000000},
        {"2021-03-05T16:07:08.1203Z", OK, 1614960428120300000},
        {"2021-02-29T00:00:00Z", E_PARSE, 0},
        {"2020-02-29T00:00:00Z", OK, 1582934400000000000},
        {"2021-03-05 16:07:08Z", E_PARSE, 0},
        {"2021-03-05T24:00:00Z", E_PARSE, 0},
        {"2021-03-05T16:07:08", E_PARSE, 0},
        {"2021-03-05T16:07:08Zx", E_PARSE, 0},
        {"2021-03-05T16:07:08.Z", E_PARSE, 0},
        {"9999-01-01T00:00:00Z", E_PARSE, 0},
        {"", E_PARSE, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        i64 ns = 0;
        assert_int_equal(parse_rfc3339(str_c(rows[i].text), &ns), rows[i].err);
        assert_true(ns == rows[i].ns);
    }
    Buf b;
    buf_init(&b, 100);
    print_rfc3339_ms(&b, 1763966108123);
    buf_char(&b, ' ');
    print_rfc3339_ms(&b, 1763966108000);
    buf_char(&b, ' ');
    print_rfc3339_ms(&b, -1);
    assert_str(buf_view(&b), "2025-11-24T06:35:08.123Z 2025-11-24T06:35:08Z 1969-12-31T23:59:59.999Z");
    buf_clear(&b);
    print_rfc3339_milli(&b, 1763966108120);
    print_rfc3339_milli(&b, 1763966108000);
    print_rfc3339_milli(&b, -1);
    print_rfc3339_milli(&b, -62135596800000);
    assert_str(buf_view(&b), "2025-11-24T06:35:08.120Z2025-11-24T06:35:08.000Z1969-12-31T23:59:59.999Z"
                             "0001-01-01T00:00:00.000Z");
    buf_done(&b);
}

static void test_api_time(void **state)
{
    static const struct {
        const char *text;
        Err err;
        i64 ms;
    } rows[] = {
        {"0", OK, 0},
        {"1700000000", OK, 1700000000000},
        {"1700000000.123", OK, 1700000000123},
        {"1.001", OK, 1001},
        {"-1.5", OK, -1500},
        {"1e3", OK, 1000000},
        {"2021-03-05T16:07:08.120Z", OK, 1614960428120},
        {"9999-12-31T23:59:59Z", OK, 253402300799000},
        {"0001-01-01T00:00:00Z", OK, -62135596800000},
        {"-292273086-05-16T16:47:06Z", OK, -9223309901257974000},
        {"292277025-08-18T07:12:54.999999999Z", OK, 9223309901257974999},
        {"NaN", E_PARSE, 0},
        {"Inf", E_PARSE, 0},
        {"yesterday", E_PARSE, 0},
        {"", E_PARSE, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        i64 ms = 0;
        if (parse_api_time_ms(str_c(rows[i].text), &ms) != rows[i].err || ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_civil_round_trip), cmocka_unit_test(test_zones),
        cmocka_unit_test(test_layouts),          cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_api_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
