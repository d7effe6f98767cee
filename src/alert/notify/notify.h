/* notify: what a notification says and how it is sent: Discord, webhooks, e-mail, Slack, Telegram, PagerDuty, Pushover, ntfy,
 * Opsgenie, VictorOps, incident.io, Webex, Microsoft Teams, Rocket.Chat, Mattermost; templates as Alertmanager has them. A template that fails yields its error and the alerts, never silence.
 *
 * A webhook URL is a secret: it appears in no log, error, page or answer. Texts that come back from a provider or from
 * the network are scrubbed of it before anybody sees them.
 */
#pragma once
#include "alert/alert.h"
#include "text/tmpl.h"

/* ---- data and templates (data.c, data_func.c) ---- */
typedef struct NotifyAlert {
    Labels labels, annotations;
    i64 starts_ns, ends_ns; /* ends 0 = still firing */
    bool is_resolved;
    Str generator_url;
    u64 fingerprint;
    Str fingerprint_text; /* shown instead, when not empty: amtool's examples */
} NotifyAlert;
typedef struct NotifyData {
    Str receiver, external_url, group_key;
    Str silence_path; /* what follows external_url where a silence is made from a filter; empty: there is no such page */
    Str status; /* shown instead of what the alerts say, when not empty */
    Str reason; /* "first notification", "new alerts added", ... */
    const NotifyAlert *alerts;
    u32 len;
    Labels group_labels, common_labels, common_annotations;
    u64 truncated;
    i64 now_ms;
    u32 part; /* of a message that needs several: 0 = the first */
} NotifyData;
bool notify_is_firing(const NotifyData *d); /* any alert is */
u32 notify_count(const NotifyData *d, bool resolved);
void notify_set_common(NotifyData *d, Arena *arena); /* common labels and annotations from the alerts */
/* A set with Alertmanager's functions and default templates. */
TmplSet *notify_templates_new(void);
/* The files a pattern names (* ? [ ] in its last part), in order; none is fine. */
Err notify_templates_add(Vfs *vfs, TmplSet *set, Str pattern, Why *why);
Err notify_run(TmplSet *set, const NotifyData *d, Str text, bool html, Arena *arena, Buf *out, Why *why);
/* The expanded text; a template that fails yields what it can say anyway, with the error in it. html: as Go's
 * html/template escapes. */
Str notify_text(TmplSet *set, const NotifyData *d, Str text, Arena *arena);
Str notify_html(TmplSet *set, const NotifyData *d, Str text, Arena *arena);
/* A tree of YAML as JSON, its texts expanded; a text that comes out as JSON is JSON (payload, details). */
void notify_node(Json *j, TmplSet *set, const NotifyData *d, const ConfNode *n, Arena *arena);
void notify_value(Json *j, Str text);
Err notify_expand(TmplSet *set, const NotifyData *d, Str text, Arena *arena, Buf *out, Why *why);

/* ---- messages ---- */
/* Discord's limits, in UTF-16 units, which is the strictest reading of "characters". */
enum {
    DISCORD_CONTENT_MAX = 2000,
    DISCORD_TITLE_MAX = 256,
    DISCORD_DESCRIPTION_MAX = 4096,
    DISCORD_FIELDS_MAX = 25,
    DISCORD_FIELD_NAME_MAX = 256,
    DISCORD_FIELD_VALUE_MAX = 1024,
    DISCORD_FOOTER_MAX = 2048,
    DISCORD_AUTHOR_MAX = 256,
    DISCORD_EMBEDS_MAX = 10,
    DISCORD_EMBEDS_SUM_MAX = 6000,
    DISCORD_USERNAME_MAX = 80,
};
size_t utf16_len(Str s);
Str utf16_cut(Arena *a, Str s, size_t max); /* cut with an ellipsis when longer; NUL-free valid UTF-8 */
typedef enum DiscordMessage { DISCORD_POST, DISCORD_EDIT, DISCORD_REPLY, DISCORD_MORE } DiscordMessage;
/* How many messages the alerts need: one card, and what does not fit in it. */
u32 discord_parts(const IntegrationConfig *c, const NotifyData *d);
Str notify_cut(Arena *a, Str s, size_t runes); /* the last rune of what fits becomes an ellipsis */
/* What any other integration is sent. */
Err notify_body(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, Arena *arena, Buf *out,
                Why *why);
bool pagerduty_is_v1(const IntegrationConfig *c);
void email_message(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, Arena *arena, Buf *out);
Err discord_body(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, DiscordMessage kind,
                 Arena *arena, Buf *out, Why *why);
/* The message with its (first) card showing "chart.png"; attached: the file comes with it. */
Str discord_with_picture(Str message, bool attached, Arena *arena);
/* Webhook body, version 4; incident.io calls the same 1. */
void webhook_body(const IntegrationConfig *c, const NotifyData *d, const char *version, Buf *out);

/* ---- one delivery (send.c) ---- */
typedef struct Delivery {
    const IntegrationConfig *config;
    char kind; /* 'P' post, 'E' edit, 'R' reply, 'W' webhook */
    Str body;
    Str message_id; /* for 'E'; Slack's: what is to be updated, "ts channel" */
    Str group_key;
    Str url;     /* instead of the configured one, when not empty */
    Str picture; /* a PNG that goes with a Discord message, whose body names it */
} Delivery;
typedef enum DeliveryVerdict {
    DELIVERED,
    DELIVERY_RETRY, /* not before retry_ms from now; 0 = the sender's own back-off */
    DELIVERY_GONE,  /* this message cannot be delivered, ever (400; an edited message is deleted) */
    DELIVERY_STOP,  /* the receiver itself is broken (401, 404: the webhook was deleted) */
} DeliveryVerdict;
typedef struct DeliveryResult {
    DeliveryVerdict verdict;
    i64 retry_ms;
    bool is_global; /* the limit is for all of Discord */
    i64 pause_ms;   /* the bucket is empty: nothing more for so long, though this one went through */
    char provider_id[32], place[32]; /* place: Slack's channel */
    char reason[512];                /* scrubbed */
} DeliveryResult;
typedef struct NotifyTransport {
    HttpClient *client;
    Err (*call)(void *arg, const HttpCall *call, Arena *arena, HttpResult *ret);
    void *arg;
    Vfs *vfs;
    Clock *clock;
} NotifyTransport;
/* A secret of the configuration: given there, or in a file that is read now. */
Err notify_secret(const NotifyTransport *t, const IntegrationConfig *c, const char *name,
                  const char *file_name, Arena *arena, Str *ret, Why *why);
void email_deliver(const NotifyTransport *t, const Delivery *d, Arena *arena, DeliveryResult *ret);
void notify_deliver(const NotifyTransport *t, const Delivery *d, Arena *arena, DeliveryResult *ret);

/* `pharos notify test`: sends one message through every integration of a receiver (empty name = all) now, blocking, and
 * prints a line for each. OK when all went through. */
Err notify_test(const NotifyTransport *t, const AlertConfig *c, Str receiver, Str external_url, Buf *out,
                Why *why);
