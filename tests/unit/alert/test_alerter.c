#include "test.h"
#include "alert/alert.h"
#include "alert/notify/notify.h"
#include "discord_double.h"

#define URL   "https://discord.example/api/webhooks/123/SECRETTOKENabcdef"
#define START 1800000000000LL

typedef struct Bench {
    VirtualClock clock;
    Loop *loop;
    Alerter *alerter;
    DiscordDouble discord;
    VEC(char *) hooks; /* bodies the webhook got; of Slack: method's name, a space, the body */
    bool slack_lost;   /* what was posted to Slack was deleted */
    int hook_status;
    bool draws;      /* there is a chart to be had */
    u32 drawn;       /* how often it was asked for */
    bool no_chart;   /* but not now */
    u64 crash_after; /* calls answered before the transport hangs up for good; 0 = never */
    char dir[256], box[300];
} Bench;

/* The transport: no network, the double answers. */
static Err on_call(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret)
{
    Bench *b = arg;
    Url u;
    *ret = (HttpResult){0};
    assert_int_equal(url_parse(call->url, &u, NULL), OK);
    if (str_eq(u.host, S("hook.example"))) {
        assert_str(call->method, "POST");
        vec_push(&b->hooks, mem_strdup(call->body));
        ret->status = b->hook_status ? b->hook_status : 200;
        return OK;
    }
    if (str_eq(u.host, S("slack.com"))) {
        Buf line;
        buf_init(&line, 1 << 20);
        buf_printf(&line, "%.*s %.*s", STR_FMT(str_skip(u.path, strlen("/api/"))), STR_FMT(call->body));
        vec_push(&b->hooks, mem_strdup(buf_view(&line)));
        buf_done(&line);
        bool lost = b->slack_lost && str_ends(call->url, S("update"));
        ret->status = 200;
        ret->body = lost ? S("{\"ok\":false,\"error\":\"message_not_found\"}")
                         : S("{\"ok\":true,\"ts\":\"15.1\",\"channel\":\"C1\"}");
        b->slack_lost &= !lost;
        return OK;
    }
    assert_true(str_starts(call->url, S("https://discord.example/api/webhooks/123/")));
    size_t from = str_find(call->url, S("/api/"));
    DoubleAnswer a;
    discord_double_request(&b->discord, call->method, str_skip(call->url, from), call->body, &a);
    if (!a.status) {
        ret->err = E_TIMEOUT;
        /* A careless library might say this: it must not get through. */
        why_set(&ret->why, E_TIMEOUT, "timeout talking to %s", URL);
        return E_TIMEOUT;
    }
    ret->status = a.status;
    ret->body = arena_dup(arena, str_c(a.body));
    HttpHeader *h = arena_array(arena, HttpHeader, 4);
    for (u32 i = 0; i < a.headers_len; i++)
        h[i] = (HttpHeader){a.headers[i].name, arena_dup(arena, a.headers[i].value)};
    ret->headers = h;
    ret->headers_len = a.headers_len;
    return OK;
}

static Err on_chart(void *arg, const AlertChart *ask, Arena *arena, Buf *png, Why *why)
{
    Bench *b = arg;
    assert_str(ask->expr, "up{a=\"b c\"} == 0");
    assert_str(labels_get(ask->labels, S("alertname")), "A");
    assert_true(ask->starts_ms >= START);
    b->drawn++;
    if (b->no_chart)
        return why_set(why, E_TIMEOUT, "not drawn");
    buf_c(png, "\x89PNG picture");
    return OK;
}

static void open_alerter(Bench *b)
{
    AlerterEnv env = {.loop = b->loop,
                      .clock = &b->clock.clock,
                      .call = on_call,
                      .call_arg = b,
                      .chart = b->draws ? on_chart : NULL,
                      .chart_arg = b,
                      .vfs = vfs_os(),
                      .dir = b->box};
    Why why = {0};
    assert_ok(alerter_open(&b->alerter, &env, &why), &why);
}

static void apply(Bench *b, const char *yaml)
{
    static const Label external[] = {{STR_INIT("dc"), STR_INIT("eu")}};
    AlertConfig *c = alert_config_parse(vfs_os(), "am.yml", str_c(yaml));
    Why why = {0};
    assert_ok(alert_config_verdict(c, &why), &why);
    AlertGlobals g = {.external_url = S("http://me:9093"), .external_labels = {external, 1}};
    alerter_apply(b->alerter, c, &g);
    alert_config_unref(c);
}

static Bench *bench_new(const char *yaml)
{
    Bench *b = mem_new(Bench);
    virtual_clock_init(&b->clock, START * NS_PER_MS);
    b->loop = loop_new(&b->clock.clock);
    test_dir(b->dir);
    snprintf(b->box, sizeof b->box, "%s/alerts", b->dir);
    open_alerter(b);
    apply(b, yaml);
    return b;
}

static void bench_free(Bench *b)
{
    alerter_close(b->alerter);
    loop_free(b->loop);
    if (b->discord.complaint[0])
        fail_msg("Discord would refuse: %s", b->discord.complaint);
    discord_double_done(&b->discord);
    for (size_t i = 0; i < b->hooks.len; i++)
        mem_free(b->hooks.at[i]);
    vec_done(&b->hooks);
    vfs_remove_tree(vfs_os(), b->dir, NULL);
    mem_free(b);
}

static void run_for(Bench *b, i64 sec)
{
    for (i64 i = 0; i < sec; i++) {
        for (int k = 0; k < 4; k++)
            loop_run_once(b->loop, 0);
        virtual_clock_advance(&b->clock, NS_PER_SEC);
    }
    for (int k = 0; k < 4; k++)
        loop_run_once(b->loop, 0);
}

static i64 now(Bench *b)
{
    return clock_wall_ms(&b->clock.clock);
}

static void send_alert(Bench *b, const char *name, const char *i, i64 starts, bool resolved)
{
    Label labels[] = {{S("alertname"), str_c(name)}, {S("i"), str_c(i)}, {S("sev"), S("page")}};
    Label notes[] = {{S("summary"), S("S <x> @everyone")}};
    AlertNotice n = {.labels = {labels, 3},
                     .annotations = {notes, 1},
                     .starts_ms = starts,
                     .ends_ms = resolved ? now(b) : now(b) + 3600000,
                     .is_resolved = resolved,
                     .generator_url =
                         b->draws ? S("http://g/graph?g0.tab=1&g0.expr=up%7Ba%3D%22b+c%22%7D+%3D%3D+0")
                                  : S("http://g/1")};
    AlertSink *s = alerter_sink(b->alerter);
    s->send(s, &n, 1);
}

static const char *discord_yaml =
    "route: {receiver: d, group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 1h}\n"
    "receivers:\n- name: d\n  discord_configs:\n  - webhook_url: " URL "\n";

/* Posts, repeats as a new message, edits on resolve with a short reply. */
static void test_discord_life(void **state)
{
    Bench *b = bench_new(discord_yaml);
    i64 t = now(b);
    send_alert(b, "A", "1", t, false);
    send_alert(b, "A", "2", t, false);
    run_for(b, 5);
    assert_int_equal(b->discord.posts, 0); /* group_wait */
    run_for(b, 10);
    assert_int_equal(b->discord.posts, 1);
    char *body = b->discord.messages.at[0].body;
    assert_non_null(strstr(body, "\"title\":\"[FIRING:2] A (eu page)\""));
    assert_non_null(strstr(body, "\"color\":10038562"));
    assert_non_null(strstr(body, "\"allowed_mentions\":{\"parse\":[],\"users\":[],\"roles\":[]}"));
    assert_non_null(strstr(body, "\"url\":\"http://g/1\""));
    /* Nothing new: silence. */
    run_for(b, 200);
    assert_int_equal(b->discord.requests, 1);
    /* A new alert in the group: a new message. */
    send_alert(b, "A", "3", now(b), false);
    run_for(b, 70);
    assert_int_equal(b->discord.posts, 2);
    assert_non_null(strstr(b->discord.messages.at[1].body, "FIRING:3"));
    /* One resolves: the newest message is edited, and a short reply posted. */
    send_alert(b, "A", "1", t, true);
    run_for(b, 70);
    assert_int_equal(b->discord.patches, 1);
    assert_int_equal(b->discord.messages.at[1].edits, 1);
    assert_int_equal(b->discord.messages.at[0].edits, 0);
    assert_int_equal(b->discord.posts, 3);
    assert_non_null(strstr(b->discord.messages.at[2].body, "1 resolved"));
    /* The repeat interval passes: a new message again. */
    for (int i = 0; i < 65; i++) {
        send_alert(b, "A", "2", t, false);
        send_alert(b, "A", "3", t, false);
        run_for(b, 60);
    }
    assert_int_equal(b->discord.posts, 4);
    /* All resolve: every open message turns green, one reply. */
    send_alert(b, "A", "2", t, true);
    send_alert(b, "A", "3", t, true);
    run_for(b, 70);
    assert_int_equal(b->discord.posts, 5);
    assert_non_null(strstr(b->discord.messages.at[3].body, "\"title\":\"[RESOLVED] A"));
    assert_non_null(strstr(b->discord.messages.at[0].body, "\"color\":3066993"));
    assert_int_equal(b->discord.messages.at[4].edits, 0);
    assert_non_null(
        strstr(b->discord.messages.at[4].body, "\"content\":\"\xe2\x9c\x85 \\\\[RESOLVED\\\\] A"));
    u32 requests = b->discord.requests;
    run_for(b, 300);
    assert_int_equal(b->discord.requests, requests);
    assert_int_equal(alerter_queued(b->alerter), 0);
    bench_free(b);
}

/* The picture comes with the post and stays in the card when it is edited; a message goes without one rather than not at all. */
static void test_pictures(void **state)
{
    Bench *b = bench_new(discord_yaml);
    alerter_close(b->alerter);
    b->draws = true;
    open_alerter(b);
    apply(b, discord_yaml);
    i64 t = now(b);
    vec_push(&b->discord.script, (DoubleScript){.status = 500});
    send_alert(b, "A", "1", t, false);
    run_for(b, 20);
    assert_int_equal(b->discord.posts, 1);
    assert_int_equal(b->drawn, 2); /* anew for each attempt: what is sent late shows what is now */
    assert_true(b->discord.messages.at[0].has_picture);
    assert_non_null(strstr(b->discord.messages.at[0].body, "\"image\":{\"url\":\"attachment://chart.png\"}"));
    assert_non_null(strstr(b->discord.messages.at[0].body, "\"filename\":\"chart.png\""));
    b->no_chart = true;
    send_alert(b, "A", "2", now(b), false);
    run_for(b, 70);
    assert_int_equal(b->discord.posts, 2);
    assert_false(b->discord.messages.at[1].has_picture);
    assert_null(strstr(b->discord.messages.at[1].body, "attachment"));
    send_alert(b, "A", "1", t, true);
    send_alert(b, "A", "2", t, true);
    run_for(b, 70);
    assert_non_null(strstr(b->discord.messages.at[0].body, "\"color\":3066993"));
    assert_non_null(strstr(b->discord.messages.at[0].body, "attachment://chart.png"));
    assert_null(strstr(b->discord.messages.at[0].body, "attachments"));
    assert_null(strstr(b->discord.messages.at[1].body, "attachment"));
    assert_int_equal(b->drawn, 3);
    bench_free(b);
}

/* Byte for byte what the peer (0.33.1) sent for the same alerts. */
static void test_peer_bodies(void **state)
{
    Bench *b = bench_new("route: {receiver: r, group_by: [alertname, team], group_wait: 1s, group_interval: "
                         "5s, repeat_interval: 1h}\n"
                         "receivers:\n- name: r\n  webhook_configs: [{url: 'http://hook.example/x'}]\n"
                         "  discord_configs: [{webhook_url: '" URL "', style: alertmanager}]\n");
    AlertGlobals g = {.external_url = S("http://vm:39556")};
    AlertConfig *c =
        alert_config_parse(vfs_os(), "am.yml",
                           S("route: {receiver: r, group_by: [alertname, team], group_wait: 1s, "
                             "group_interval: 5s, repeat_interval: 1h}\n"
                             "receivers:\n- name: r\n  webhook_configs: [{url: 'http://hook.example/x'}]\n"
                             "  discord_configs: [{webhook_url: '" URL "', style: alertmanager}]\n"));
    alerter_apply(b->alerter, c, &g);
    alert_config_unref(c);
    Label one[] = {
        {S("alertname"), S("T")}, {S("i"), S("1")}, {S("sev"), S("page")}, {S("team"), S("a \"b\"")}};
    Label two[] = {
        {S("alertname"), S("T")}, {S("i"), S("2")}, {S("sev"), S("page")}, {S("team"), S("a \"b\"")}};
    Label n1[] = {{S("summary"), S("S <x>")}}, n2[] = {{S("d"), S("2")}, {S("summary"), S("S <x>")}};
    i64 t = START;
    AlertNotice as[] = {{.labels = {one, 4},
                         .annotations = {n1, 1},
                         .starts_ms = t,
                         .ends_ms = t + 3600000,
                         .generator_url = S("http://g/1")},
                        {.labels = {two, 4},
                         .annotations = {n2, 2},
                         .starts_ms = t,
                         .ends_ms = t + 3600000,
                         .generator_url = S("http://g/2")}};
    AlertSink *s = alerter_sink(b->alerter);
    s->send(s, as, 2);
    run_for(b, 3);
    assert_int_equal(b->hooks.len, 1);
    assert_string_equal(
        b->hooks.at[0],
        "{\"receiver\":\"r\",\"status\":\"firing\",\"alerts\":[{\"status\":\"firing\",\"labels\":{"
        "\"alertname\":\"T\",\"i\":\"1\",\"sev\":\"page\","
        "\"team\":\"a \\\"b\\\"\"},\"annotations\":{\"summary\":\"S "
        "\\u003cx\\u003e\"},\"startsAt\":\"2027-01-15T08:00:00Z\","
        "\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":\"http://g/"
        "1\",\"fingerprint\":\"32dc6a554117ac91\"},{\"status\":\"firing\","
        "\"labels\":{\"alertname\":\"T\",\"i\":\"2\",\"sev\":\"page\",\"team\":\"a "
        "\\\"b\\\"\"},\"annotations\":{\"d\":\"2\","
        "\"summary\":\"S "
        "\\u003cx\\u003e\"},\"startsAt\":\"2027-01-15T08:00:00Z\",\"endsAt\":\"0001-01-01T00:00:00Z\","
        "\"generatorURL\":\"http://g/"
        "2\",\"fingerprint\":\"d3e5fce1b2014306\"}],\"notification_reason\":\"first notification\","
        "\"groupLabels\":{\"alertname\":\"T\",\"team\":\"a "
        "\\\"b\\\"\"},\"commonLabels\":{\"alertname\":\"T\",\"sev\":\"page\","
        "\"team\":\"a \\\"b\\\"\"},\"commonAnnotations\":{\"summary\":\"S "
        "\\u003cx\\u003e\"},\"externalURL\":\"http://vm:39556\","
        "\"version\":\"4\",\"groupKey\":\"{}:{alertname=\\\"T\\\", team=\\\"a "
        "\\\\\\\"b\\\\\\\"\\\"}\",\"truncatedAlerts\":0}\n");
    assert_string_equal(
        b->discord.messages.at[0].body,
        "{\"content\":\"\",\"embeds\":[{\"title\":\"[FIRING:2] T a \\\"b\\\" "
        "(page)\",\"description\":\"\\n\\nAlerts Firing:\\nLabels:\\n"
        " - alertname = T\\n - i = 1\\n - sev = page\\n - team = a \\\"b\\\"\\nAnnotations:\\n - summary = S "
        "\\u003cx\\u003e\\n"
        "Source: http://g/1\\nLabels:\\n - alertname = T\\n - i = 2\\n - sev = page\\n - team = a "
        "\\\"b\\\"\\nAnnotations:\\n - d = 2\\n"
        " - summary = S \\u003cx\\u003e\\nSource: http://g/2\\n\\n\\n\\n\",\"color\":10038562}]}\n");
    as[1].ends_ms = now(b);
    as[1].is_resolved = true;
    as[1].generator_url = S("");
    s->send(s, as, 2);
    run_for(b, 8);
    assert_int_equal(b->hooks.len, 2);
    assert_non_null(strstr(b->hooks.at[1], "\"notification_reason\":\"some alerts resolved\""));
    assert_int_equal(b->discord.patches, 0); /* no edits in this style */
    assert_non_null(strstr(b->discord.messages.at[1].body,
                           "Alerts Resolved:\\nLabels:\\n - alertname = T\\n - i = 2\\n"));
    bench_free(b);
}

/* Slack: a group has one message, which is updated until all of it is over; the next one begins anew. */
static void test_slack_update(void **state)
{
    Bench *b = bench_new(
        "route: {receiver: s, group_by: [alertname], group_wait: 1s, group_interval: 10s, repeat_interval: "
        "1h}\n"
        "receivers:\n- name: s\n  slack_configs: [{api_url: 'https://slack.com/api/chat.postMessage', "
        "update_message: true, channel: '#c', send_resolved: true, http_config: {authorization: "
        "{credentials: x}}}]\n");
    i64 t = now(b);
    send_alert(b, "A", "1", t, false);
    run_for(b, 3);
    send_alert(b, "A", "2", t, false);
    run_for(b, 12);
    send_alert(b, "A", "1", t, true);
    send_alert(b, "A", "2", t, true);
    run_for(b, 12);
    assert_int_equal(b->hooks.len, 3);
    assert_true(str_starts(str_c(b->hooks.at[0]), S("chat.postMessage {\"channel\":\"#c\"")));
    for (int i = 1; i <= 2; i++) {
        assert_true(str_starts(str_c(b->hooks.at[i]), S("chat.update {\"channel\":\"C1\"")));
        assert_non_null(strstr(b->hooks.at[i], "\"ts\":\"15.1\""));
    }
    assert_non_null(strstr(b->hooks.at[2], "[RESOLVED] A"));
    send_alert(b, "A", "1", now(b), false);
    run_for(b, 12);
    assert_int_equal(b->hooks.len, 4);
    assert_true(str_starts(str_c(b->hooks.at[3]), S("chat.postMessage ")));
    b->slack_lost = true; /* somebody deletes it: what is to be updated is posted */
    send_alert(b, "A", "2", now(b), false);
    run_for(b, 15);
    assert_int_equal(b->hooks.len, 6);
    assert_true(str_starts(str_c(b->hooks.at[4]), S("chat.update ")));
    assert_true(str_starts(str_c(b->hooks.at[5]), S("chat.postMessage ")));
    bench_free(b);
}

static void script(Bench *b, DoubleScript s)
{
    vec_push(&b->discord.script, s);
}

/* 429 waits exactly as told, 5xx and silence back off, and the one message arrives once. */
static void test_rate_limits(void **state)
{
    Bench *b = bench_new(discord_yaml);
    script(b, (DoubleScript){.status = 429, .retry_after = 30.5});
    script(b, (DoubleScript){.status = 503});
    script(b, (DoubleScript){.drop = true});
    script(b, (DoubleScript){.status = 200, .reset_after = 20});
    send_alert(b, "A", "1", now(b) - 60000, false);
    run_for(b, 2);
    assert_int_equal(b->discord.requests, 1);
    run_for(b, 28);
    assert_int_equal(b->discord.requests, 1); /* not before Retry-After */
    run_for(b, 20);
    assert_int_equal(b->discord.requests, 4);
    assert_int_equal(b->discord.posts, 1);
    /* Its bucket is empty: another group waits until it is reset. */
    send_alert(b, "B", "1", now(b) - 60000, false);
    run_for(b, 5);
    assert_int_equal(b->discord.posts, 1);
    run_for(b, 20);
    assert_int_equal(b->discord.posts, 2);
    assert_int_equal(alerter_queued(b->alerter), 0);
    bench_free(b);
}

static void status_text(Bench *b, Buf *out)
{
    Json j;
    js_init(&j, out);
    alerter_status_json(b->alerter, &j);
}

/* A deleted webhook stops its receiver, says so, and does not hammer; a reload gives it another chance. */
static void test_stopped(void **state)
{
    Bench *b = bench_new(discord_yaml);
    Buf out;
    buf_init(&out, 1 << 16);
    script(b, (DoubleScript){.drop = true});
    script(b, (DoubleScript){.status = 404});
    send_alert(b, "A", "1", now(b) - 60000, false);
    run_for(b, 0); /* the next attempt comes after a second */
    status_text(b, &out);
    assert_non_null(strstr(buf_cstr(&out), "\"health\":\"failing\""));
    assert_null(strstr(buf_cstr(&out), "SECRETTOKEN")); /* scrubbed from the library's words */
    assert_non_null(strstr(buf_cstr(&out), "u003csecret\\u003e"));
    run_for(b, 10);
    buf_clear(&out);
    status_text(b, &out);
    assert_non_null(strstr(buf_cstr(&out), "\"health\":\"stopped\""));
    assert_non_null(strstr(buf_cstr(&out), "the webhook was deleted"));
    assert_null(strstr(buf_cstr(&out), "SECRETTOKEN"));
    send_alert(b, "B", "1", now(b) - 60000, false);
    run_for(b, 100);
    assert_int_equal(b->discord.requests, 2);
    apply(b, discord_yaml);
    send_alert(b, "C", "1", now(b) - 60000, false);
    run_for(b, 10);
    assert_int_equal(b->discord.posts, 1);
    buf_done(&out);
    bench_free(b);
}

static void test_deleted_message(void **state)
{
    Bench *b = bench_new(discord_yaml);
    i64 t = now(b) - 60000;
    send_alert(b, "A", "1", t, false);
    run_for(b, 2);
    b->discord.messages.at[0].deleted = true;
    send_alert(b, "A", "1", t, true);
    run_for(b, 70);
    assert_int_equal(b->discord.patches, 1);
    assert_int_equal(b->discord.posts, 2); /* the reply comes all the same */
    assert_int_equal(alerter_queued(b->alerter), 0);
    bench_free(b);
}

/* Abandoned at every step between deciding and recording, nothing is lost and at most one message per crash doubled. */
static void test_crash(void **state)
{
    for (int when = 0; when < 3; when++) {
        Bench *b = bench_new(discord_yaml);
        i64 t = now(b) - 60000;
        if (when == 0) /* stored, not sent: the far end is away */
            for (int i = 0; i < 50; i++)
                script(b, (DoubleScript){.drop = true});
        send_alert(b, "A", "1", t, false);
        run_for(b, when == 1 ? 0 : 2);
        u32 posted = b->discord.posts;
        /* when == 2: sent and recorded. Start again on the same files. */
        alerter_close(b->alerter);
        b->discord.script_at = b->discord.script.len;
        open_alerter(b);
        apply(b, discord_yaml);
        send_alert(b, "A", "1", t, false);
        run_for(b, 30);
        assert_int_equal(b->discord.posts, 1);
        assert_true(when != 2 || posted == 1);
        send_alert(b, "A", "1", t, true);
        run_for(b, 70);
        assert_int_equal(b->discord.messages.at[0].edits, 1); /* the id survived */
        assert_int_equal(b->discord.posts, 2);
        bench_free(b);
    }
}

/* Sent, but the machine dies before the answer is recorded: the message comes twice, no more. */
static void test_crash_unrecorded(void **state)
{
    Bench *b = bench_new(discord_yaml);
    i64 t = now(b) - 60000;
    char copy[400], cmd[1200];
    snprintf(copy, sizeof copy, "%s/before", b->dir);
    script(b, (DoubleScript){.drop = true}); /* stored, not sent */
    send_alert(b, "A", "1", t, false);
    run_for(b, 0);
    snprintf(cmd, sizeof cmd, "cp -r %s %s", b->box, copy);
    assert_int_equal(system(cmd), 0);
    run_for(b, 10);
    assert_int_equal(b->discord.posts, 1);
    alerter_close(b->alerter);
    snprintf(cmd, sizeof cmd, "rm -r %s && mv %s %s", b->box, copy, b->box);
    assert_int_equal(system(cmd), 0);
    open_alerter(b);
    apply(b, discord_yaml);
    send_alert(b, "A", "1", t, false);
    run_for(b, 200);
    assert_int_equal(b->discord.posts, 2);
    bench_free(b);
}

static void test_huge(void **state)
{
    /* Everything too long at once: cut to Discord's limits, and the 6,000 together. */
    Bench *b = bench_new(
        "route: {receiver: d, group_by: ['...'], group_wait: 1s, group_interval: 1m, repeat_interval: 1h}\n"
        "receivers:\n- name: d\n  discord_configs:\n  - webhook_url: " URL "\n"
        "    title: '{{ range .Alerts }}{{ .Labels.big }}{{ end }}'\n"
        "    message: '{{ range .Alerts }}{{ .Labels.big }}{{ .Labels.big }}{{ end }}'\n"
        "    content: '<@&42> {{ range .Alerts }}{{ .Labels.big }}{{ end }}'\n    username: "
        "'{{}}"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'\n");
    static char big[9000];
    for (size_t i = 0; i + 4 < sizeof big; i += 4)
        memcpy(big + i, "\xf0\x9f\x94\xa5", 4);
    Label labels[] = {{S("alertname"), S("A")}, {S("big"), str_c(big)}};
    AlertNotice n = {.labels = {labels, 2}, .starts_ms = now(b) - 60000, .ends_ms = now(b) + 3600000};
    AlertSink *s = alerter_sink(b->alerter);
    s->send(s, &n, 1);
    run_for(b, 2);
    assert_int_equal(b->discord.posts, 1);
    assert_non_null(strstr(b->discord.messages.at[0].body, "\"roles\":[\"42\"]"));
    bench_free(b);
    b = bench_new(discord_yaml);
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        send_alert(b, "A", name, now(b) - 60000, false);
    }
    run_for(b, 2);
    assert_int_equal(b->discord.posts, 5); /* as many messages as a person may want to see, then a count */
    assert_null(strstr(b->discord.messages.at[0].body, " more\""));
    assert_non_null(strstr(b->discord.messages.at[1].body, "(2)\""));
    assert_non_null(strstr(b->discord.messages.at[4].body, "and 200 more"));
    bench_free(b);
}

static void test_webhook_options(void **state)
{
    Bench *b = bench_new("route: {receiver: r, group_wait: 1s, group_interval: 10s, repeat_interval: 1h}\n"
                         "receivers:\n- name: r\n  webhook_configs: [{url: 'http://hook.example/x', "
                         "max_alerts: 1, send_resolved: false}]\n");
    i64 t = now(b) - 60000;
    send_alert(b, "A", "1", t, false);
    send_alert(b, "B", "1", t, false);
    run_for(b, 2);
    assert_int_equal(b->hooks.len, 1);
    assert_non_null(strstr(b->hooks.at[0], "\"truncatedAlerts\":1"));
    assert_non_null(strstr(b->hooks.at[0], "\"groupKey\":\"{}:{}\""));
    send_alert(b, "A", "1", t, true);
    send_alert(b, "B", "1", t, true);
    run_for(b, 30);
    assert_int_equal(b->hooks.len, 1); /* resolves are not told */
    b->hook_status = 500;
    send_alert(b, "A", "1", now(b) - 60000, false);
    run_for(b, 5);
    assert_in_range(b->hooks.len, 2, 5);
    b->hook_status = 0;
    run_for(b, 20);
    assert_int_equal(alerter_queued(b->alerter), 0);
    b->hook_status = 422;
    size_t before = b->hooks.len;
    send_alert(b, "C", "1", now(b) - 60000, false);
    run_for(b, 30);
    assert_int_equal(b->hooks.len, before + 1); /* refused for good: not tried again */
    bench_free(b);
}

static void test_alone(void **state)
{
    Bench *b = bench_new(discord_yaml);
    AlertConfig *c = alert_config_discord((Secret){S(URL)});
    Why why = {0};
    assert_ok(alert_config_verdict(c, &why), &why);
    alerter_apply(b->alerter, c, &(AlertGlobals){.external_url = S("http://me")});
    send_alert(b, "A", "1", now(b) - 60000, false);
    run_for(b, 2);
    assert_int_equal(b->discord.posts, 1);
    /* pharos notify test */
    NotifyTransport t = {.call = on_call, .arg = b, .vfs = vfs_os(), .clock = &b->clock.clock};
    Buf out;
    buf_init(&out, 1 << 16);
    assert_ok(notify_test(&t, c, S(""), S("http://me"), &out, &why), &why);
    assert_string_equal(buf_cstr(&out), "discord/discord/0: delivered as message 9000002\n");
    assert_non_null(strstr(b->discord.messages.at[1].body, "This is a test message"));
    buf_clear(&out);
    script(b, (DoubleScript){.status = 401});
    assert_int_equal(notify_test(&t, c, S(""), S("http://me"), &out, &why), E_UNAVAILABLE);
    assert_non_null(strstr(buf_cstr(&out), "the webhook was deleted or its URL is wrong"));
    assert_int_equal(notify_test(&t, c, S("none"), S("http://me"), &out, &why), E_NOT_FOUND);
    buf_done(&out);
    alert_config_unref(c);
    c = alert_config_discord((Secret){S("ftp://x")});
    assert_int_equal(alert_config_verdict(c, &why), E_INVALID);
    alert_config_unref(c);
    bench_free(b);
}

int main(void)
{
    log_set_level((LogLevel)(LOG_LEVEL_ERROR + 1));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discord_life),     cmocka_unit_test(test_peer_bodies),
        cmocka_unit_test(test_pictures),         cmocka_unit_test(test_slack_update),
        cmocka_unit_test(test_rate_limits),      cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_deleted_message),  cmocka_unit_test(test_crash),
        cmocka_unit_test(test_crash_unrecorded), cmocka_unit_test(test_huge),
        cmocka_unit_test(test_webhook_options),  cmocka_unit_test(test_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
