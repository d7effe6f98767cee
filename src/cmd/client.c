/* See client.h. */
#include "cmd/client.h"

static void *loop_main(void *arg)
{
    loop_run(arg);
    return NULL;
}

void cmd_client_init(CmdClient *c)
{
    c->loop = loop_new(clock_real());
    c->http = http_client_new(c->loop, NULL);
    check(thread_start(&c->thread, "client", loop_main, c->loop) == OK);
}

void cmd_client_done(CmdClient *c)
{
    loop_stop(c->loop);
    pthread_join(c->thread, NULL);
    http_client_free(c->http);
    loop_free(c->loop);
}

Err cmd_client_get(CmdClient *c, Str url, Str accept, Arena *arena, HttpResult *ret)
{
    HttpHeader headers[] = {{S("Accept"), accept}};
    HttpCall call = {.method = S("GET"),
                     .url = url,
                     .headers = headers,
                     .headers_len = accept.len ? 1 : 0,
                     .body_max = 256 << 20};
    return http_call(c->http, &call, arena, ret);
}
