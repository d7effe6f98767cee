/* The routing tree, its keys, and time intervals. */
#include "test.h"
#include "alert/alert.h"

#include <stdio.h>

static const char tree[] =
    "route:\n"
    "  receiver: notify-def\n"
    "  routes:\n"
    "  - match: {owner: team-A}\n"
    "    receiver: notify-A\n"
    "    routes:\n"
    "    - {match: {env: testing}, receiver: notify-testing, group_by: ['...']}\n"
    "    - {match: {env: production}, receiver: notify-productionA, group_wait: 1m, "
    "continue: true}\n"
    "    - match_re: {env: 'produ.*', job: '.*'}\n"
    "      receiver: notify-productionB\n"
    "      group_wait: 30s\n"
    "      repeat_interval: 1h\n"
    "      group_by: [job]\n"
    "  - {match_re: {owner: 'team-(B|C)'}, group_by: [foo, bar], group_wait: 2m, receiver: "
    "notify-BC}\n"
    "  - match: {group_by: role}\n"
    "    group_by: [role]\n"
    "    routes:\n"
    "    - match: {env: testing}\n"
    "      receiver: notify-testing\n"
    "      routes: [{match: {wait: long}, group_wait: 2m}]\n"
    "receivers: [{name: notify-def}, {name: notify-A}, {name: notify-testing}, {name: "
    "notify-productionA}, {name: notify-productionB}, {name: notify-BC}]\n";

static void on_route(void *arg, const AlertRoute *r)
{
    Buf *out = arg;
    buf_printf(out, "%.*s %.*s wait=%llds by=%s", STR_FMT(r->receiver->name), STR_FMT(r->key),
               (long long)(r->group_wait_ms / 1000), r->group_by_all ? "..." : "");
    for (u32 i = 0; i < r->group_by_len; i++)
        buf_printf(out, "%s%.*s", i ? "," : "", STR_FMT(r->group_by[i]));
    buf_c(out, "\n");
}

static void test_tree(void **state)
{
    static const struct {
        const char *labels; /* sorted pairs */
        const char *want;
    } rows[] = {
        {"owner=team-A", "notify-A {}/{owner=\"team-A\"} wait=30s by=\n"},
        {"env=unset owner=team-A", "notify-A {}/{owner=\"team-A\"} wait=30s by=\n"},
        {"owner=team-C", "notify-BC {}/{owner=~\"^(?:team-(B|C))$\"} wait=120s by=bar,foo\n"},
        {"env=testing owner=team-A",
         "notify-testing {}/{owner=\"team-A\"}/{env=\"testing\"} wait=30s by=...\n"},
        {"env=production owner=team-A",
         "notify-productionA {}/{owner=\"team-A\"}/{env=\"production\"} wait=60s by=\n"
         "notify-productionB {}/{owner=\"team-A\"}/{env=~\"^(?:produ.*)$\",job=~\"^(?:.*)$\"} wait=30s "
         "by=job\n"},
        {"group_by=role", "notify-def {}/{group_by=\"role\"} wait=30s by=role\n"},
        {"env=testing group_by=role",
         "notify-testing {}/{group_by=\"role\"}/{env=\"testing\"} wait=30s by=role\n"},
        {"env=testing group_by=role wait=long",
         "notify-testing {}/{group_by=\"role\"}/{env=\"testing\"}/{wait=\"long\"} wait=120s by=role\n"},
        {"x=y", "notify-def {} wait=30s by=\n"},
    };
    AlertConfig *c = alert_config_parse(vfs_os(), "am.yml", str_c(tree));
    Why why = {0};
    assert_ok(alert_config_verdict(c, &why), &why);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Label at[8];
        Labels l = {at, 0};
        for (Str rest = str_c(rows[i].labels), pair; rest.len; l.len++) {
            str_cut(rest, ' ', &pair, &rest);
            str_cut(pair, '=', &at[l.len].name, &at[l.len].value);
        }
        Buf out;
        buf_init(&out, 1 << 16);
        alert_route_match(alert_config_route(c), l, on_route, &out);
        assert_string_equal(buf_cstr(&out), rows[i].want);
        buf_done(&out);
    }
    alert_config_unref(c);
}

static void test_group_key(void **state)
{
    AlertConfig *c = alert_config_parse(
        vfs_os(), "am.yml",
        S("route: {receiver: a, routes: [{matchers: ['severity=~\"page|crit\"', 'team=\"a b\"'], group_by: "
          "[team, alertname, none]}, {matchers: ['x y=z']}]}\nreceivers: [{name: a}]\n"));
    Why why = {0};
    assert_int_not_equal(alert_config_verdict(c, &why), OK); /* x y=z: neither grammar */
    alert_config_unref(c);
    c = alert_config_parse(
        vfs_os(), "am.yml",
        S("route: {receiver: a, routes: [{matchers: ['severity=~\"page|crit\"', 'team=\"a b\"'], group_by: "
          "[team, alertname, none]}]}\nreceivers: [{name: a}]\n"));
    assert_ok(alert_config_verdict(c, &why), &why);
    Label labels[] = {{S("alertname"), S("T\"\n")}, {S("severity"), S("page")}, {S("team"), S("a b")}};
    const AlertRoute *r = &alert_config_route(c)->routes[0];
    Arena arena;
    Buf out;
    arena_init(&arena, NULL, 1 << 20);
    buf_init(&out, 1 << 16);
    group_key_print(&out, r, alert_group_labels(r, (Labels){labels, 3}, &arena));
    assert_string_equal(buf_cstr(&out),
                        "{}/{severity=~\"page|crit\",team=\"a b\"}:{alertname=\"T\\\"\\n\", team=\"a b\"}");
    buf_done(&out);
    arena_done(&arena);
    alert_config_unref(c);
}

/* ---- time intervals ---- */
static i64 at(const char *rfc3339)
{
    i64 ns;
    assert_int_equal(parse_rfc3339(str_c(rfc3339), &ns), OK);
    return ns / NS_PER_SEC;
}

static AlertConfig *interval(const char *yaml, const TimeIntervals **ret)
{
    char text[2048];
    snprintf(text, sizeof text,
             "route: {receiver: a, routes: [{mute_time_intervals: [t]}]}\nreceivers: [{name: a}]\n"
             "time_intervals: [{name: t, time_intervals: [%s]}]\n",
             yaml);
    AlertConfig *c = alert_config_parse(vfs_os(), "am.yml", str_c(text));
    const AlertRoute *r = alert_config_route(c);
    *ret = r ? r->routes[0].mute[0] : NULL;
    return c;
}

static void test_intervals(void **state)
{
    static const struct {
        const char *yaml;
        const char *in, *out; /* a moment inside, one outside; NULL = none */
    } rows[] = {
        {"{}", "2006-01-02T15:04:00Z", NULL},
        {"{times: [], weekdays: [monday]}", NULL, "2020-05-04T15:04:00Z"},
        {"{times: [{start_time: '09:00', end_time: '17:00'}], weekdays: ['monday:friday']}",
         "2020-05-04T15:04:00Z", "2020-05-03T15:04:00Z"},
        {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2020-05-04T16:59:59Z",
         "2020-05-04T17:00:00Z"},
        {"{times: [{start_time: '00:00', end_time: '24:00'}]}", "2020-05-04T23:59:59Z", NULL},
        {"{days_of_month: ['4:6'], months: [april], years: ['2020']}", "2020-04-06T23:05:00Z",
         "2019-04-06T23:59:00Z"},
        {"{days_of_month: ['-3:-1']}", "2020-02-29T23:05:00Z", "2020-02-26T23:59:59Z"},
        {"{days_of_month: ['-3:-1']}", "2020-06-30T00:00:00Z", "2020-06-27T23:59:59Z"},
        {"{days_of_month: ['1:31'], months: ['6']}", "2020-06-01T00:00:00Z", "2020-07-01T00:00:00Z"},
        {"{days_of_month: ['31']}", "2020-01-31T00:00:00Z", "2020-06-30T00:00:00Z"},
        {"{weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '17:00'}], location: "
         "Australia/Sydney}",
         "2021-04-06T13:00:00+10:00", "2021-04-06T13:00:00Z"},
        {"{months: [11], times: [{start_time: '09:00', end_time: '17:00'}], location: Australia/Sydney}",
         "2021-10-31T22:00:00Z", "2021-10-31T21:00:00Z"},
        /* The hour that does not exist, and the one that is there twice. */
        {"{times: [{start_time: '02:00', end_time: '03:00'}], location: Europe/Berlin}",
         "2026-10-25T00:30:00Z", "2026-03-29T01:00:00Z"},
        {"{times: [{start_time: '02:00', end_time: '03:00'}], location: Europe/Berlin}",
         "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"},
        /* A month with a day of 23 hours still ends on its last day. */
        {"{days_of_month: ['-1'], location: Europe/Berlin}", "2026-03-31T10:00:00Z", "2026-03-30T10:00:00Z"},
        {"{days_of_month: ['-1'], location: Pacific/Auckland}", "2026-09-29T20:00:00Z",
         "2026-09-28T20:00:00Z"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const TimeIntervals *t;
        AlertConfig *c = interval(rows[i].yaml, &t);
        Why why = {0};
        assert_ok(alert_config_verdict(c, &why), &why);
        if (rows[i].in && !time_intervals_contain(t, at(rows[i].in)))
            fail_msg("%s: %s is outside", rows[i].yaml, rows[i].in);
        if (rows[i].out && time_intervals_contain(t, at(rows[i].out)))
            fail_msg("%s: %s is inside", rows[i].yaml, rows[i].out);
        alert_config_unref(c);
    }
}

static void test_bad_intervals(void **state)
{
    static const char *const rows[] = {
        "{times: [{start_time: '17:31', end_time: '17:31'}]}",
        "{times: [{start_time: '12:30', end_time: '24:01'}]}",
        "{times: [{start_time: '9:30', end_time: '10:30'}]}",
        "{times: [{start_time: '01:99', end_time: '23:59'}]}",
        "{times: [{start_time: '14:03'}]}",
        "{weekdays: ['friday:monday']}",
        "{weekdays: ['1:3']}",
        "{weekdays: [blurgsday]}",
        "{weekdays: ['monday:tuesday:friday']}",
        "{days_of_month: ['0']}",
        "{days_of_month: ['32']}",
        "{days_of_month: ['-1:5']}",
        "{days_of_month: ['10:5']}",
        "{days_of_month: ['5:-28']}",
        "{months: ['march:january']}",
        "{months: [martius]}",
        "{years: ['2021:2020']}",
        "{location: Mars/Olympus}",
        "{location: ../../etc/passwd}",
        "{when: never}",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const TimeIntervals *t;
        AlertConfig *c = interval(rows[i], &t);
        if (alert_config_verdict(c, NULL) == OK)
            fail_msg("accepted: %s", rows[i]);
        alert_config_unref(c);
    }
}

/* Ten zones over ten years, every two and a quarter hours: equal to what luxon 3 says (FNV-1a over inside or outside). */
static void test_ten_years(void **state)
{
    static const char *const intervals[] = {
        "times: [{start_time: '02:00', end_time: '03:30'}]",
        "weekdays: ['monday:wednesday', saturday]",
        "days_of_month: ['-3:-1', '1', '29:31']",
        "months: ['march:april', october], times: [{start_time: '00:00', end_time: '01:15'}, {start_time: "
        "'23:30', "
        "end_time: '24:00'}]",
        "years: ['2024:2026', '2031'], days_of_month: ['-31:-20'], weekdays: [sunday]",
    };
    static const struct {
        const char *zone;
        u32 want[5];
    } rows[] = {
        {"Europe/Berlin", {0xd96e9905u, 0xf71309c8u, 0x32cb2284u, 0x0b7bf89cu, 0xc05c6070u}},
        {"America/New_York", {0xf2d6df55u, 0xbd9c6cadu, 0x6ea96828u, 0x89181e7fu, 0x936d3231u}},
        {"Australia/Sydney", {0xc3c0d8b5u, 0x13d0a4d9u, 0xe40ae3f0u, 0xeda9c13bu, 0xe8bf5be8u}},
        {"Pacific/Auckland", {0x9fbdbc85u, 0xe1cbb036u, 0xafcadfd5u, 0x85992227u, 0x540dc5fdu}},
        {"America/Sao_Paulo", {0x9b213e9du, 0xa01068eau, 0x01b2b4a6u, 0x88f08ddfu, 0x9e86bfe5u}},
        {"Asia/Kolkata", {0x88e8a4cdu, 0xf3f3a1d6u, 0xe83bf276u, 0x36475292u, 0x0f5c1b21u}},
        {"Africa/Cairo", {0xb07a5872u, 0xaeccb466u, 0x2f5085bcu, 0x5e563af2u, 0xd3eb15afu}},
        {"America/St_Johns", {0xec7712c1u, 0xc679f06au, 0x3f93753fu, 0x213d1456u, 0x6dbc7d30u}},
        {"Asia/Tehran", {0xe7f7810du, 0x5d7fc979u, 0xfecc7899u, 0xc8faa828u, 0x9af29079u}},
        {"Australia/Lord_Howe", {0x7b3410ecu, 0xa543e494u, 0xd48a7e70u, 0xc816daffu, 0x16307ee5u}},
    };
    for (size_t z = 0; z < COUNT_OF(rows); z++)
        for (size_t i = 0; i < COUNT_OF(intervals); i++) {
            const TimeIntervals *t;
            char yaml[512];
            snprintf(yaml, sizeof yaml, "{%s, location: %s}", intervals[i], rows[z].zone);
            AlertConfig *c = interval(yaml, &t);
            u32 hash = 2166136261u;
            assert_non_null(t);
            for (i64 s = 1704067200; s < 1704067200 + 10 * 366 * 86400LL; s += 8100)
                hash = (hash ^ time_intervals_contain(t, s)) * 16777619u;
            if (hash != rows[z].want[i])
                fail_msg("%s in %s: %08x, want %08x", intervals[i], rows[z].zone, hash, rows[z].want[i]);
            alert_config_unref(c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tree), cmocka_unit_test(test_group_key),
                                       cmocka_unit_test(test_intervals), cmocka_unit_test(test_bad_intervals),
                                       cmocka_unit_test(test_ten_years)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
