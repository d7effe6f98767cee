/* Timelines in virtual time: what is pushed when, and what a webhook must have got by when. */
#include "test.h"
#include "alert/alerter_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define START_NS (1800000000LL * NS_PER_SEC)
enum { STEP_MS = 100 };

typedef struct Got {
    f64 at;
    char hook[16];
    char *alerts; /* "a=b@1 c=d@1-2", sorted */
} Got;
typedef struct Stage {
    VirtualClock clock;
    Loop *loop;
    Alerter *alerter;
    char dir[256], box[300];
    VEC(Got) got;
    bool fails; /* hook w2 answers 500 */
    char silence_id[40];
} Stage;

static f64 seconds(i64 ns)
{
    return (f64)(ns - START_NS) / (f64)NS_PER_SEC;
}
static i64 moment(f64 s)
{
    return START_NS + (i64)(s * 1000 + (s < 0 ? -0.5 : 0.5)) * NS_PER_MS;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The alerts of a webhook body, one word each. */
static char *words_of(Str body)
{
    json_error_t err;
    json_t *root = json_loadb(body.at, body.len, 0, &err), *alerts = json_object_get(root, "alerts"), *v;
    const char *key;
    VEC(char *) words = {0};
    Buf out;
    for (size_t i = 0; i < json_array_size(alerts); i++) {
        json_t *a = json_array_get(alerts, i);
        i64 starts = 0, ends = 0;
        Buf w;
        buf_init(&w, 4096);
        json_object_foreach(json_object_get(a, "labels"), key, v)
            buf_printf(&w, "%s%s=%s", w.len ? "," : "", key, json_string_value(v));
        parse_rfc3339(str_c(json_string_value(json_object_get(a, "startsAt"))), &starts);
        buf_printf(&w, "@%g", seconds(starts));
        if (!strcmp(json_string_value(json_object_get(a, "status")), "resolved")) {
            parse_rfc3339(str_c(json_string_value(json_object_get(a, "endsAt"))), &ends);
            buf_printf(&w, "-%g", seconds(ends));
        }
        v = json_object_get(json_object_get(a, "annotations"), "ann");
        if (v)
            buf_printf(&w, "!%s", json_string_value(v));
        vec_push(&words, mem_strdup(buf_view(&w)));
        buf_done(&w);
    }
    if (words.len > 1)
        qsort(words.at, words.len, sizeof words.at[0], by_text);
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < words.len; i++) {
        buf_printf(&out, "%s%s", i ? " " : "", words.at[i]);
        mem_free(words.at[i]);
    }
    vec_done(&words);
    char *ret = mem_strdup(buf_view(&out));
    buf_done(&out);
    json_decref(root);
    return ret;
}

static Err on_call(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret)
{
    Stage *s = arg;
    Url u;
    *ret = (HttpResult){.status = 200};
    assert_int_equal(url_parse(call->url, &u, NULL), OK);
    if (s->fails && str_eq(u.path, S("/w2"))) {
        ret->status = 500;
        return OK;
    }
    Got g = {.at = seconds(clock_wall_ns(&s->clock.clock)), .alerts = words_of(call->body)};
    snprintf(g.hook, sizeof g.hook, "%.*s", STR_FMT(str_skip(u.path, 1)));
    vec_push(&s->got, g);
    return OK;
}

static void open_stage(Stage *s, const char *yaml)
{
    Why why = {0};
    AlerterEnv env = {.loop = s->loop,
                      .clock = &s->clock.clock,
                      .call = on_call,
                      .call_arg = s,
                      .vfs = vfs_os(),
                      .dir = s->box};
    assert_ok(alerter_open(&s->alerter, &env, &why), &why);
    AlertConfig *c = alert_config_parse(vfs_os(), "am.yml", str_c(yaml));
    assert_ok(alert_config_verdict(c, &why), &why);
    alerter_apply(s->alerter, c, &(AlertGlobals){.external_url = S("http://am")});
    alert_config_unref(c);
}

/* "a=b,c=d@1-3.5!v1": labels, start, end, an annotation; without @ the times are left out. */
static void push(Stage *s, Str word, Arena *arena)
{
    Str labels, times, from, to, note = S("");
    LabelsBuilder b;
    Why why = {0};
    i64 now = clock_wall_ns(&s->clock.clock);
    NewAlert n = {.updated_ns = now, .starts_ns = now, .is_timeout = true};
    bool has_times = str_cut(word, '@', &labels, &times);
    str_cut(has_times ? times : labels, '!', has_times ? &times : &labels, &note);
    lb_init(&b, arena, (Labels){0});
    for (Str rest = labels, pair; rest.len;) {
        Str name, value;
        str_cut(rest, ',', &pair, &rest);
        str_cut(pair, '=', &name, &value);
        lb_set(&b, name, value);
    }
    n.labels = lb_build(&b);
    n.ends_ns = now + s->alerter->config->resolve_timeout_ms * NS_PER_MS;
    if (has_times) {
        bool ends = str_cut(str_skip(times, 1), '-', &from, &to); /* a start may be negative */
        from = str_sub(times, 0, from.len + 1);
        n.starts_ns = moment(strtod(arena_dup(arena, from).at, NULL));
        if (ends) {
            n.ends_ns = moment(strtod(arena_dup(arena, to).at, NULL));
            n.is_timeout = false;
        }
    }
    Label ann[] = {{S("ann"), note}};
    if (note.len)
        n.annotations = (Labels){ann, 1};
    assert_ok(alerter_post(s->alerter, &n, 1, &why), &why);
}

/* "2.5-4.5 alertname=test1" */
static void silence(Stage *s, Str args, Arena *arena)
{
    Str times, from, to, matcher;
    MatchList l;
    Silence *x;
    Why why = {0};
    str_cut(args, ' ', &times, &matcher);
    str_cut(times, '-', &from, &to);
    assert_ok(match_parse_one(matcher, arena, &l, &why), &why);
    NewSilence n = {.matchers = l.at,
                    .matchers_len = l.len,
                    .created_by = S("me"),
                    .comment = S("c"),
                    .starts_ns = moment(strtod(arena_dup(arena, from).at, NULL)),
                    .ends_ns = moment(strtod(arena_dup(arena, to).at, NULL))};
    mutex_lock(&s->alerter->lock);
    assert_ok(silences_set(&s->alerter->state, &n, clock_wall_ns(&s->clock.clock), &x, &why), &why);
    snprintf(s->silence_id, sizeof s->silence_id, "%s", x->id);
    mutex_unlock(&s->alerter->lock);
    match_list_done(&l);
}

static void act(Stage *s, Str verb, Str args, const char *yaml, Arena *arena)
{
    if (str_eq(verb, S("push"))) {
        for (Str word; args.len;) {
            str_cut(args, ' ', &word, &args);
            push(s, word, arena);
        }
    } else if (str_eq(verb, S("silence"))) {
        silence(s, args, arena);
    } else if (str_eq(verb, S("expire"))) {
        mutex_lock(&s->alerter->lock);
        assert_int_equal(
            silences_expire(&s->alerter->state, str_c(s->silence_id), clock_wall_ns(&s->clock.clock), NULL),
            OK);
        mutex_unlock(&s->alerter->lock);
    } else if (str_eq(verb, S("fail"))) {
        s->fails = str_eq(args, S("on"));
    } else if (str_eq(verb, S("restart"))) {
        alerter_close(s->alerter);
        open_stage(s, yaml);
    } else {
        fail_msg("unknown verb %.*s", STR_FMT(verb));
    }
}

static void play_to(Stage *s, f64 until)
{
    while (seconds(clock_wall_ns(&s->clock.clock)) < until - 0.001) {
        for (int k = 0; k < 6; k++)
            loop_run_once(s->loop, 0);
        virtual_clock_advance(&s->clock, STEP_MS * NS_PER_MS);
    }
    for (int k = 0; k < 6; k++)
        loop_run_once(s->loop, 0);
}

/* "w 2-2.5 a=b@1 c=d@1"; no alerts: nothing may come then. "only" before it: exactly one. */
static void want(const Stage *s, Str line)
{
    Str hook, window, from, to, alerts;
    char buf[64];
    int found = 0, total = 0;
    str_cut(line, ' ', &hook, &window);
    str_cut(window, ' ', &window, &alerts);
    str_cut(window, '-', &from, &to);
    snprintf(buf, sizeof buf, "%.*s", STR_FMT(from));
    f64 a = strtod(buf, NULL);
    snprintf(buf, sizeof buf, "%.*s", STR_FMT(to));
    f64 b = strtod(buf, NULL);
    for (size_t i = 0; i < s->got.len; i++) {
        const Got *g = &s->got.at[i];
        if (!str_eq(str_c(g->hook), hook) || g->at < a - 0.001 || g->at > b + 0.001)
            continue;
        total++;
        found += str_eq(str_c(g->alerts), alerts);
    }
    if (alerts.len ? found == 1 && total == 1 : total == 0)
        return;
    for (size_t i = 0; i < s->got.len; i++)
        print_message("  %s %g %s\n", s->got.at[i].hook, s->got.at[i].at, s->got.at[i].alerts);
    fail_msg("want %.*s: %d of %d", STR_FMT(line), found, total);
}

/* Lines "<time> <verb> <args>" in order, then "want ..." lines. */
static void play(const char *yaml, const char *script, f64 end)
{
    Stage *s = mem_new(Stage);
    Arena arena;
    arena_init(&arena, NULL, 16 << 20);
    virtual_clock_init(&s->clock, START_NS);
    s->loop = loop_new(&s->clock.clock);
    test_dir(s->dir);
    snprintf(s->box, sizeof s->box, "%s/alerts", s->dir);
    open_stage(s, yaml);
    bool played = false;
    for (Str rest = str_c(script), line, head, tail; rest.len;) {
        str_cut(rest, '\n', &line, &rest);
        str_cut(line, ' ', &head, &tail);
        if (str_eq(head, S("want"))) {
            if (!played)
                play_to(s, end);
            played = true;
            want(s, tail);
            continue;
        }
        play_to(s, strtod(arena_dup(&arena, head).at, NULL));
        str_cut(tail, ' ', &head, &tail);
        act(s, head, tail, yaml, &arena);
    }
    alerter_close(s->alerter);
    loop_free(s->loop);
    for (size_t i = 0; i < s->got.len; i++)
        mem_free(s->got.at[i].alerts);
    vec_done(&s->got);
    vfs_remove_tree(vfs_os(), s->dir, NULL);
    arena_done(&arena);
    mem_free(s);
}

#define HOOK(more) "receivers: [{name: d, webhook_configs: [{url: 'http://hook/w'}" more "]}]\n"
static const char every_second[] =
    "route: {receiver: d, group_by: [alertname], group_wait: 1s, group_interval: 1s, "
    "repeat_interval: 1ms}\n" HOOK("");
static const char one_group[] =
    "route: {receiver: d, group_by: [], group_wait: 1s, group_interval: 1s, repeat_interval: 1ms}\n" HOOK("");

static void test_merge(void **state)
{
    for (int ends = 0; ends <= 1; ends++) {
        char script[2000];
        snprintf(script, sizeof script,
                 "1 push alertname=test@1.1%s\n1.2 push alertname=test@1\n"
                 "2.1 push alertname=test@2%s!v1\n3.6 push alertname=test@1.5%s!v2\n"
                 "4.6 push alertname=test@3-4.5!v2\n4.8 push alertname=test@2.9-4.8!v3\n"
                 "4.8 push alertname=test@2.9-4.1!v3\n5.3 push alertname=test@5%s\n"
                 "want w 2-2.5 alertname=test@1\nwant w 3-3.5 alertname=test@1!v1\n"
                 "want w 4-4.5 alertname=test@1!v2\nwant w 5-5.2 alertname=test@1-4.8!v3\n"
                 "want w 6-6.5 alertname=test@5\n",
                 ends ? "-4.1" : "", ends ? "-5" : "", ends ? "-4.5" : "", ends ? "-8" : "");
        play(every_second, script, 6.6);
    }
}

static void test_repeat(void **state)
{
    play(every_second,
         "1 push alertname=test@1\n3.5 push alertname=test@1-3\n"
         "want w 2-2.5 alertname=test@1\nwant w 3-3.5 alertname=test@1\nwant w 4-4.5 alertname=test@1-3\n"
         "want w 4.6-8\n",
         8);
    /* The repeat interval is rounded up to the group's. */
    play("route: {receiver: d, group_wait: 1s, group_interval: 2s, repeat_interval: 5s}\n" HOOK(""),
         "1 push alertname=test@1\nwant w 2-2.5 alertname=test@1\nwant w 2.6-7.9\nwant w 8-8.5 "
         "alertname=test@1\n"
         "want w 8.6-13.9\nwant w 14-14.5 alertname=test@1\n",
         15);
}

/* One webhook fails for a while: the other gets each message once, the failing one the first as soon as it can. */
static void test_retry(void **state)
{
    play("route: {receiver: d, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: "
         "3s}\n" HOOK(", {url: 'http://hook/w2'}"),
         "0 fail on\n1 push alertname=test1@1\n4.5 fail off\n"
         "want w 2-2.5 alertname=test1@1\nwant w 2.6-5.9\nwant w 6-6.5 alertname=test1@1\n"
         "want w2 0-4.4\n",
         9.5);
}

static void test_batching(void **state)
{
    static const char all[] = "alertname=test1@1 alertname=test2@1.5 alertname=test3@1.5 alertname=test4@1.6 "
                              "alertname=test5@1";
    char script[1000];
    snprintf(script, sizeof script,
             "1.1 push alertname=test1@1\n1.7 push alertname=test5@1\n"
             "3.3 push alertname=test2@1.5 alertname=test3@1.5 alertname=test4@1.6\n"
             "want w 2-2.5 alertname=test1@1 alertname=test5@1\nwant w 4-4.5 %s\nwant w 4.6-8.9\nwant w "
             "9-9.5 %s\n",
             all, all);
    play("route: {receiver: d, group_by: [], group_wait: 1s, group_interval: 1s, repeat_interval: "
         "4900ms}\n" HOOK(""),
         script, 10);
}

/* An alert that nobody refreshes resolves by itself. */
static void test_resolved(void **state)
{
    play("global: {resolve_timeout: 10s}\nroute: {receiver: d, group_by: [alertname], group_wait: 1s, "
         "group_interval: 5s}\n" HOOK(""),
         "1 push alertname=test,lbl=v1 alertname=test,lbl=v2\n"
         "want w 2-2.5 alertname=test,lbl=v1@1 alertname=test,lbl=v2@1\n"
         "want w 12-13 alertname=test,lbl=v1@1-11 alertname=test,lbl=v2@1-11\nwant w 13-20\n",
         20);
}

/* What send_resolved keeps from a receiver still counts as told. */
static void test_resolved_filter(void **state)
{
    play("global: {resolve_timeout: 10s}\nroute: {receiver: d, group_by: [alertname], group_wait: 1s, "
         "group_interval: 5s}\n" HOOK(", {url: 'http://hook/w2', send_resolved: false}"),
         "1 push alertname=test,lbl=v1 alertname=test,lbl=v2\n3 push alertname=test,lbl=v1@1-4 "
         "alertname=test,lbl=v3\n8 push alertname=test,lbl=v3@3\n"
         "want w 2-2.5 alertname=test,lbl=v1@1 alertname=test,lbl=v2@1\n"
         "want w 7-7.5 alertname=test,lbl=v1@1-4 alertname=test,lbl=v2@1 alertname=test,lbl=v3@3\n"
         "want w 12-12.5 alertname=test,lbl=v2@1-11 alertname=test,lbl=v3@3\n"
         "want w2 2-2.5 alertname=test,lbl=v1@1 alertname=test,lbl=v2@1\n"
         "want w2 7-7.5 alertname=test,lbl=v2@1 alertname=test,lbl=v3@3\nwant w2 12-12.5\n",
         13);
}

#define JOBS                                                                                                 \
    "inhibit_rules: [{source_match: {alertname: JobDown}, target_match: {alertname: InstanceDown}, equal: "  \
    "[job, "                                                                                                 \
    "zone]}]\n"
static void test_inhibiting(void **state)
{
    char yaml[1000];
    snprintf(yaml, sizeof yaml, "%s%s", one_group, JOBS);
    play(yaml,
         "1 push alertname=test1,job=j,zone=aa alertname=InstanceDown,job=j,zone=aa "
         "alertname=InstanceDown,job=j,zone=ab\n2.2 push alertname=JobDown,job=j,zone=aa\n"
         "3.6 push alertname=JobDown,job=j,zone=aa@2.2-3.6\n"
         "want w 2-2.5 alertname=InstanceDown,job=j,zone=aa@1 alertname=InstanceDown,job=j,zone=ab@1 "
         "alertname=test1,job=j,zone=aa@1\n"
         "want w 3-3.5 alertname=InstanceDown,job=j,zone=ab@1 alertname=JobDown,job=j,zone=aa@2.2 "
         "alertname=test1,job=j,zone=aa@1\n"
         "want w 4-4.5 alertname=InstanceDown,job=j,zone=aa@1 alertname=InstanceDown,job=j,zone=ab@1 "
         "alertname=JobDown,job=j,zone=aa@2.2-3.6 alertname=test1,job=j,zone=aa@1\n",
         4.6);
    play(yaml, /* both end at once: both are told */
         "1 push alertname=InstanceDown,job=j,zone=aa alertname=JobDown,job=j,zone=aa\n"
         "2.6 push alertname=JobDown,job=j,zone=aa@1-2.6 alertname=InstanceDown,job=j,zone=aa@1-2.6\n"
         "want w 2-2.5 alertname=JobDown,job=j,zone=aa@1\n"
         "want w 3-3.5 alertname=InstanceDown,job=j,zone=aa@1-2.6 alertname=JobDown,job=j,zone=aa@1-2.6\n",
         4);
    /* An empty rule matches everything on both sides, and so inhibits nothing. */
    snprintf(yaml, sizeof yaml, "%sinhibit_rules:\n-\n", one_group);
    play(yaml, "1 push a=b@1 c=d@1\nwant w 2-2.5 a=b@1 c=d@1\n", 2.6);
    /* A missing label equals an empty one; an alert that matches both sides is inhibited by one that does not. */
    snprintf(
        yaml, sizeof yaml,
        "%sinhibit_rules: [{source_matchers: ['s=~\"1|2\"'], target_matchers: ['s=~\"2|3\"'], equal: [x]}]\n",
        one_group);
    play(yaml,
         "1 push s=2,i=a@1 s=2,i=b@1 s=3@1\n3.5 push s=1@3\n"
         "want w 2-2.5 i=a,s=2@1 i=b,s=2@1\nwant w 4-4.5 s=1@3\n",
         4.6);
}

static void test_silencing(void **state)
{
    play(one_group,
         "1 push alertname=test1@1 alertname=test2@1\n2.3 silence 2.5-4.5 alertname=test1\n"
         "want w 2-2.5 alertname=test1@1 alertname=test2@1\nwant w 3-3.5 alertname=test2@1\n"
         "want w 4-4.5 alertname=test2@1\nwant w 5-5.5 alertname=test1@1 alertname=test2@1\n",
         5.6);
    play(one_group,
         "1 push alertname=test1@1 alertname=test2@1\n1.3 silence 1.5-100 alertname=~.+\n3.5 expire\n"
         "want w 0-3.5\nwant w 3.6-4.5 alertname=test1@1 alertname=test2@1\n",
         4.6);
}

/* 1800000000 is Friday, 15 January 2027, 08:00 UTC. */
static void test_time_intervals(void **state)
{
    static const char yaml[] =
        "route: {receiver: d, group_by: [alertname], group_wait: 1s, group_interval: 10s, repeat_interval: "
        "1h, routes: "
        "[{matchers: [a=mute], mute_time_intervals: [first]}, {matchers: [a=active], active_time_intervals: "
        "[second]}]}\n" HOOK(
            "") "time_intervals:\n- {name: first, time_intervals: [{times: [{start_time: '08:00', "
                "end_time: '08:01'}]}]}\n"
                "- {name: second, time_intervals: [{times: [{start_time: '08:02', end_time: "
                "'08:03'}], weekdays: [friday]}]}\n";
    play(yaml,
         "0 push a=mute@0 a=active@0 a=free@0\n"
         "want w 1-1.5 a=free@0\nwant w 2-60.9\nwant w 61-61.5 a=mute@0\nwant w 62-120.9\n"
         "want w 121-121.5 a=active@0\nwant w 122-180\n",
         180);
}

/* What is known survives; what was told is not told again; a silence holds. */
static void test_restart(void **state)
{
    play("route: {receiver: d, group_by: [alertname], group_wait: 1s, group_interval: 5s, repeat_interval: "
         "1h}\n" HOOK(""),
         "1 push alertname=A@1-100 alertname=B@1-100\n1.5 silence 1.5-50 alertname=B\n4 restart\n"
         "20 push alertname=A@1-20\n25 restart\n"
         "want w 2-2.5 alertname=A@1\nwant w 2.6-19.9\nwant w 20-26 alertname=A@1-20\nwant w 26.5-40\n"
         "want w 41-60 alertname=B@1\n",
         60);
}

/* 40 minutes of a flapping alert, every 15 s: one message for each change and each repeat. */
static void test_forty_minutes(void **state)
{
    Buf script;
    buf_init(&script, 1 << 20);
    for (int t = 0; t < 2400; t += 15) {
        bool firing = (t / 600) % 2 == 0;
        if (firing)
            buf_printf(&script, "%d push alertname=flap@%d-%d\n", t, t / 600 * 600, t + 60);
    }
    buf_c(&script,
          "want w 0-5\nwant w 30-31 alertname=flap@0\nwant w 32-320\nwant w 630-931 alertname=flap@0-645\n"
          "want w 1230-1231 alertname=flap@1200\n");
    play("route: {receiver: d, group_wait: 30s, group_interval: 5m, repeat_interval: 4h}\n" HOOK(""),
         buf_cstr(&script), 2400);
    buf_done(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),          cmocka_unit_test(test_repeat),
        cmocka_unit_test(test_retry),          cmocka_unit_test(test_batching),
        cmocka_unit_test(test_resolved),       cmocka_unit_test(test_resolved_filter),
        cmocka_unit_test(test_inhibiting),     cmocka_unit_test(test_silencing),
        cmocka_unit_test(test_time_intervals), cmocka_unit_test(test_restart),
        cmocka_unit_test(test_forty_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
