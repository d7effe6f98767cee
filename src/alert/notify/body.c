/* Which body an integration is sent; its pieces are in chat.c, rooms.c, pagers.c, email.c, webhook.c and discord.c. */
#include "alert/notify/render.h"

#include <openssl/sha.h>

/* The last rune of what fits becomes an ellipsis. */
Str notify_cut(Arena *a, Str s, size_t max)
{
    if (str_rune_count(s) <= max)
        return s;
    Str head = str_sub(s, 0, str_rune_prefix(s, max - 1));
    return arena_printf(a, "%.*s\xe2\x80\xa6", STR_FMT(head));
}

Str render_key_hash(const Render *r)
{
    u8 hash[SHA256_DIGEST_LENGTH];
    Buf b;
    SHA256((const u8 *)r->d->group_key.at, r->d->group_key.len, hash);
    buf_init(&b, 128);
    hex_encode(&b, str_of((const char *)hash, sizeof hash));
    Str ret = arena_dup(r->arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

static void put_webhook(const Render *r, Buf *out)
{
    const FieldValue *payload = integration_field(r->c, "payload");
    Json j;
    if (!payload->is_set) {
        webhook_body(r->c, r->d, "4", out);
        return;
    }
    js_init(&j, out);
    notify_node(&j, r->set, r->d, payload->node, r->arena);
    buf_char(out, '\n');
}

static void put_email(const Render *r, Buf *out)
{
    email_message(r->c, r->set, r->d, r->arena, out);
}

Err notify_body(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, Arena *arena, Buf *out,
                Why *why)
{
    static void (*const bodies[INTEGRATION_KINDS])(const Render *r, Buf *out) = {
        [INTEGRATION_WEBHOOK] = put_webhook,
        [INTEGRATION_EMAIL] = put_email,
        [INTEGRATION_PAGERDUTY] = pagerduty_body,
        [INTEGRATION_OPSGENIE] = opsgenie_body,
        [INTEGRATION_SLACK] = slack_body,
        [INTEGRATION_VICTOROPS] = victorops_body,
        [INTEGRATION_PUSHOVER] = pushover_body,
        [INTEGRATION_TELEGRAM] = telegram_body,
        [INTEGRATION_WEBEX] = webex_body,
        [INTEGRATION_MSTEAMS] = msteams_body,
        [INTEGRATION_MSTEAMSV2] = msteamsv2_body,
        [INTEGRATION_ROCKETCHAT] = rocketchat_body,
        [INTEGRATION_MATTERMOST] = mattermost_body,
        [INTEGRATION_INCIDENTIO] = incidentio_body,
        [INTEGRATION_NTFY] = ntfy_body,
    };
    Render r = {c, set, d, arena};
    if (!bodies[c->kind])
        return why_set(why, E_UNSUPPORTED, "nothing is sent to %s yet", integration_kind_name(c->kind));
    bodies[c->kind](&r, out);
    return OK;
}
