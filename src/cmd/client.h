/* A loop of its own and an HTTP client on it, for commands that ask a server. */
#pragma once
#include "base/base.h"
#include "net/net.h"

typedef struct CmdClient {
    Loop *loop;
    pthread_t thread;
    HttpClient *http;
} CmdClient;
void cmd_client_init(CmdClient *c);
void cmd_client_done(CmdClient *c);
/* GET url; the body stays in arena. E_UNAVAILABLE with the status when it is not 2xx and not an API answer. */
Err cmd_client_get(CmdClient *c, Str url, Str accept, Arena *arena, HttpResult *ret);
