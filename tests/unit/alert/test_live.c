/* The whole way with threads, sockets and a real clock: rules, alerter, HTTP client, and a Discord behind our server. */
#include "test.h"
#include "alert/alert.h"
#include "discord_double.h"

#include <unistd.h>

typedef struct Live {
    Loop *loop;
    pthread_t thread;
    Pool *pool;
    HttpClient *client;
    HttpServer *server;
    pthread_mutex_t lock;
    DiscordDouble discord;
    char dir[256], box[300], state[300];
    Alerter *alerter;
    Rules *rules;
    PromSource source;
} Live;

static void *turn(void *arg)
{
    loop_run(((Live *)arg)->loop);
    return NULL;
}

static void on_webhook(HttpReq *r, void *arg)
{
    Live *l = arg;
    DoubleAnswer a;
    pthread_mutex_lock(&l->lock);
    discord_double_request(&l->discord, r->method, r->raw_target, r->body, &a);
    pthread_mutex_unlock(&l->lock);
    for (u32 i = 0; i < a.headers_len; i++)
        http_add_header(r, a.headers[i].name, a.headers[i].value);
    http_reply(r, a.status ? a.status : 500, "application/json", str_c(a.body));
}

/* Two samples are enough of a database: up is 0 while the test says so. */
static _Atomic bool is_down;
typedef struct OneCursor {
    SeriesCursor c;
    bool done;
    i64 t;
    f64 v;
} OneCursor;
static Label up_labels[] = {{STR_INIT("__name__"), STR_INIT("up")}, {STR_INIT("job"), STR_INIT("j")}};
static Err one_next(SeriesCursor *c, SeriesView *ret, u32 max, u32 *ret_n, Why *why)
{
    OneCursor *o = (OneCursor *)c;
    *ret_n = 0;
    if (!o->done)
        ret[(*ret_n)++] = (SeriesView){.labels = {up_labels, 2}, .t = &o->t, .v = &o->v, .n = 1};
    o->done = true;
    return OK;
}
static void one_close(SeriesCursor *c)
{
    mem_free(c);
}
static Err one_select(PromSource *s, Str tenant, Matchers m, const SelectHints *h, Arena *arena,
                      Cancel *cancel, SeriesCursor **ret, Why *why)
{
    OneCursor *o = mem_new(OneCursor);
    *o = (OneCursor){.c = {one_next, one_close}, .t = h->maxt, .v = is_down ? 0 : 1};
    *ret = &o->c;
    return OK;
}

static bool wait_for(Live *l, u32 posts, u32 patches)
{
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&l->lock);
        bool there = l->discord.posts >= posts && l->discord.patches >= patches;
        pthread_mutex_unlock(&l->lock);
        if (there)
            return true;
        usleep(10000);
    }
    return false;
}

static void test_live(void **state)
{
    Live *l = mem_new(Live);
    Why why = {0};
    Clock *clock = clock_real();
    pthread_mutex_init(&l->lock, NULL);
    test_dir(l->dir);
    snprintf(l->box, sizeof l->box, "%s/alerts", l->dir);
    snprintf(l->state, sizeof l->state, "%s/rules", l->dir);
    l->loop = loop_new(clock);
    l->pool = pool_new("test", 3, 100);
    l->source.select = one_select;
    HttpServerConfig sc = {.loop = l->loop,
                           .component = "discord",
                           .address = S("127.0.0.1:0"),
                           .pools = {NULL, l->pool, l->pool, l->pool}};
    assert_ok(http_server_new(&sc, &l->server, &why), &why);
    HttpRoute routes[] = {{.methods = "POST,PATCH",
                           .path = "/api/webhooks/*",
                           .handler = on_webhook,
                           .arg = l,
                           .run = RUN_ADMIN,
                           .body_max = 1 << 20}};
    http_server_route(l->server, routes, 1);
    http_server_start(l->server);
    l->client = http_client_new(l->loop, NULL);
    assert_int_equal(thread_start(&l->thread, "loop", turn, l), OK);

    AlerterEnv env = {.loop = l->loop,
                      .clock = clock,
                      .pool = l->pool,
                      .client = l->client,
                      .vfs = vfs_os(),
                      .dir = l->box};
    assert_ok(alerter_open(&l->alerter, &env, &why), &why);
    char yaml[600];
    snprintf(
        yaml, sizeof yaml,
        "route: {receiver: d, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: "
        "1h}\n"
        "receivers:\n- name: d\n  discord_configs:\n  - webhook_url: http://%.*s/api/webhooks/1/TOKENTOKEN\n",
        STR_FMT(http_server_address(l->server)));
    AlertConfig *c = alert_config_parse(vfs_os(), "am.yml", str_c(yaml));
    assert_ok(alert_config_verdict(c, &why), &why);
    alerter_apply(l->alerter, c, &(AlertGlobals){.external_url = S("http://me")});

    RulesEnv renv = {.loop = l->loop,
                     .clock = clock,
                     .pool = l->pool,
                     .source = &l->source,
                     .alerts = alerter_sink(l->alerter),
                     .vfs = vfs_os(),
                     .state_dir = l->state,
                     .prom = {.clock = clock},
                     .resend_delay_ms = 1000};
    assert_ok(rules_open(&l->rules, &renv, &why), &why);
    RuleSet *set =
        rule_set_parse("r.yml",
                       S("groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Down\n    expr: up == 0\n"
                         "    annotations: {summary: '{{ $labels.job }} is down'}\n"),
                       NULL);
    assert_ok(rule_set_verdict(set, &why), &why);
    /* The first answer is a 429 with a wait; the message comes all the same, once. */
    vec_push(&l->discord.script, (DoubleScript){.status = 429, .retry_after = 0.3});
    is_down = true;
    rules_apply(l->rules, set, &(RulesGlobals){.external_url = S("http://me")});
    assert_true(wait_for(l, 1, 0));
    is_down = false;
    assert_true(wait_for(l, 2, 1));
    /* Reload while it runs, and again. */
    is_down = true;
    rules_apply(l->rules, set, &(RulesGlobals){.external_url = S("http://me")});
    alerter_apply(l->alerter, c, &(AlertGlobals){.external_url = S("http://me")});
    assert_true(wait_for(l, 3, 1));
    pthread_mutex_lock(&l->lock);
    assert_string_equal(l->discord.complaint, "");
    assert_non_null(strstr(l->discord.messages.at[0].body, "RESOLVED"));
    assert_non_null(strstr(l->discord.messages.at[0].body, "j is down"));
    assert_int_equal(l->discord.messages.at[0].edits, 1);
    pthread_mutex_unlock(&l->lock);
    rules_close(l->rules);
    alerter_close(l->alerter);
    rule_set_unref(set);
    alert_config_unref(c);
    loop_stop(l->loop);
    pthread_join(l->thread, NULL);
    http_client_free(l->client);
    http_server_free(l->server);
    pool_free(l->pool);
    loop_free(l->loop);
    discord_double_done(&l->discord);
    vfs_remove_tree(vfs_os(), l->dir, NULL);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_live)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
