/* alert_internal: what the files of alert/ share. */
#pragma once
#include "alert/alert.h"
#include "text/tmpl.h"

/* Route and receivers, plus what rendering needs. */
struct AlertConfig {
    _Atomic u32 refs;
    Conf *conf; /* NULL for a configuration made of DISCORD_WEBHOOK_URL alone */
    Arena arena;
    const AlertRoute *route;
    const Receiver *receivers;
    u32 receivers_len;
    i64 resolve_timeout_ms;
    TmplSet *templates;
    Why broken; /* a template file that cannot be read or parsed */
};

/* label set as group keys print it: {a="b", c="d"} with a space after the comma */
void group_labels_print(Buf *out, Labels l);
