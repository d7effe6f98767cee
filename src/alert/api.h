/* api: what the files of Alertmanager's API share: api.c (answers, filters, receivers, status, metrics, the routes),
 * api_alerts.c, api_silences.c and config_api.c. */
#pragma once
#include "alert/alerter_internal.h"
#include "alert/post.h"

enum { API_POST_BYTES_MAX = 64 << 20, API_BATCH = 128, API_FILTERS_MAX = 64 };

struct AlertApi {
    Alerter *a;
    AlertApiEnv env;
    _Atomic bool applying; /* a configuration */
};

void api_reply_string(HttpReq *r, int status, Str text); /* a JSON string: how the peer says most errors */
void api_reply_error(HttpReq *r, const PostError *e);    /* {"code", "message"} */
bool api_is_json(HttpReq *r);                            /* false: answered with 415 */
void api_put_time(Json *j, const char *key, i64 ns);     /* RFC 3339 with three digits */
void api_put_labels(Json *j, Str key, Labels l, bool plain);

/* The matchers of a parameter that may be given several times. */
typedef struct ApiFilter {
    MatchList lists[API_FILTERS_MAX];
    u32 len;
} ApiFilter;
void api_filter_done(ApiFilter *f);
bool api_filter_read(HttpReq *r, const char *param, const char *prefix, ApiFilter *f); /* false: answered */
bool api_filter_matches(const ApiFilter *f, Labels l);

typedef VEC(u64) Fingerprints;
void api_all_fingerprints(Alerter *a, Fingerprints *ret); /* sorted; takes the lock */

/* Handlers; arg is the AlertApi. */
void api_get_alerts(HttpReq *r, void *arg);
void api_post_alerts(HttpReq *r, void *arg);
void api_get_groups(HttpReq *r, void *arg);
void api_get_silences(HttpReq *r, void *arg);
void api_post_silences(HttpReq *r, void *arg);
void api_get_silence(HttpReq *r, void *arg);
void api_delete_silence(HttpReq *r, void *arg);

/* config_api.c */
void api_config_routes(AlertApi *api, HttpServer *s);
/* Lines with ' ', '-', '+' before them: what changed and a little around it; nothing when nothing did. */
void config_diff(Str before, Str after, Buf *out);
