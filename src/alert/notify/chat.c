/* Slack, Telegram, PagerDuty and Pushover: the bodies Alertmanager sends them. Keys and tokens are no part of a body: the
 * sender puts them in (send.c), so that they never lie in the outbox. */
#include "alert/notify/render.h"

#include <stdlib.h>

enum {
    SLACK_TITLE_RUNES = 1024,
    TELEGRAM_RUNES = 4096,
    PAGERDUTY_V1_RUNES = 1024,
    PAGERDUTY_V2_RUNES = 1024,
    PAGERDUTY_BYTES_MAX = 512000,
    PUSHOVER_TITLE_RUNES = 250,
    PUSHOVER_MESSAGE_RUNES = 1024,
    PUSHOVER_URL_RUNES = 512,
};

/* ---- Slack ---- */
static void slack_fields(Json *j, const Render *r)
{
    const FieldValue *f = integration_field(r->c, "fields");
    if (!f->len)
        return;
    js_key(j, S("fields"));
    js_array(j);
    for (u32 i = 0; i < f->len; i++) { /* title, value, short */
        const FieldValue *x = &f->sub[i];
        bool is_short = x->sub && x->sub[2].is_set ? x->sub[2].num : integration_is_on(r->c, "short_fields");
        js_object(j);
        kv_some(j, "title", render_sub(r, x, 0));
        kv_some(j, "value", render_sub(r, x, 1));
        kv_bool(j, "short", is_short);
        js_object_end(j);
    }
    js_array_end(j);
}

static void slack_actions(Json *j, const Render *r)
{
    static const char *const names[] = {"type", "text", "url", "style", "name", "value"};
    const FieldValue *f = integration_field(r->c, "actions");
    if (!f->len)
        return;
    js_key(j, S("actions"));
    js_array(j);
    for (u32 i = 0; i < f->len; i++) {
        const FieldValue *x = &f->sub[i];
        bool link = x->sub && x->sub[2].text.len; /* a link has neither name nor value */
        js_object(j);
        for (u32 k = 0; k < COUNT_OF(names); k++)
            if (!link || k < 4)
                kv_some(j, names[k], render_sub(r, x, k));
        const FieldValue *confirm = x->sub && !link ? &x->sub[6] : NULL;
        if (confirm && confirm->sub) { /* text, title, ok_text, dismiss_text */
            js_key(j, S("confirm"));
            js_object(j);
            kv_some(j, "text", render_sub(r, confirm, 0));
            kv_some(j, "title", render_sub(r, confirm, 1));
            kv_some(j, "ok_text", render_sub(r, confirm, 2));
            kv_some(j, "dismiss_text", render_sub(r, confirm, 3));
            js_object_end(j);
        }
        js_object_end(j);
    }
    js_array_end(j);
}

void slack_body(const Render *r, Buf *out)
{
    Json j;
    const FieldValue *mrkdwn = integration_field(r->c, "mrkdwn_in");
    static const Str usual[] = {STR_INIT("fallback"), STR_INIT("pretext"), STR_INIT("text")};
    const Str *in = mrkdwn->len ? mrkdwn->strs : usual;
    u32 in_len = mrkdwn->len ? mrkdwn->len : COUNT_OF(usual);
    js_init(&j, out);
    js_object(&j);
    kv_some(&j, "channel", render_field(r, "channel"));
    kv_some(&j, "username", render_field(r, "username"));
    kv_some(&j, "icon_emoji", render_field(r, "icon_emoji"));
    kv_some(&j, "icon_url", render_field(r, "icon_url"));
    if (integration_is_on(r->c, "link_names"))
        kv_bool(&j, "link_names", true);
    kv_some(&j, "text", render_field(r, "message_text"));
    js_key(&j, S("attachments"));
    js_array(&j);
    js_object(&j);
    kv_some(&j, "title", notify_cut(r->arena, render_field(r, "title"), SLACK_TITLE_RUNES));
    kv_some(&j, "title_link", render_field(r, "title_link"));
    kv_some(&j, "pretext", render_field(r, "pretext"));
    js_kv(&j, "text", render_field(r, "text"));
    js_kv(&j, "fallback", render_field(r, "fallback"));
    js_kv(&j, "callback_id", render_field(r, "callback_id"));
    slack_fields(&j, r);
    slack_actions(&j, r);
    kv_some(&j, "image_url", render_field(r, "image_url"));
    kv_some(&j, "thumb_url", render_field(r, "thumb_url"));
    js_kv(&j, "footer", render_field(r, "footer"));
    kv_some(&j, "color", render_field(r, "color"));
    js_key(&j, S("mrkdwn_in"));
    js_array(&j);
    for (u32 i = 0; i < in_len; i++)
        js_str(&j, in[i]);
    js_array_end(&j);
    js_object_end(&j);
    js_array_end(&j);
    js_object_end(&j);
    buf_char(out, '\n');
}

/* ---- Telegram ---- */
void telegram_body(const Render *r, Buf *out)
{
    Json j;
    Str mode = integration_text(r->c, "parse_mode"), templ = integration_text(r->c, "message");
    bool html = str_eq(mode, S("HTML"));
    Str message = html ? notify_html(r->set, r->d, templ, r->arena) : render_text(r, templ);
    if (html && str_rune_count(message) > TELEGRAM_RUNES) /* a cut could fall inside a tag */
        message = notify_html(
            r->set, r->d, S("{{ template \"__subject\" . }}\n(the message is longer than Telegram takes)"),
            r->arena);
    message = notify_cut(r->arena, message, TELEGRAM_RUNES);
    js_init(&j, out);
    js_object(&j); /* the sender puts chat_id in; all values are texts, as the peer's library has them */
    if (integration_is_on(r->c, "disable_notifications"))
        js_kv(&j, "disable_notification", S("true"));
    js_kv(&j, "disable_web_page_preview", S("true"));
    i64 thread = integration_field(r->c, "message_thread_id")->num;
    if (thread)
        js_kv(&j, "message_thread_id", arena_printf(r->arena, "%lld", (long long)thread));
    kv_some(&j, "parse_mode", mode);
    js_kv(&j, "text", str_trim(message).len ? message : S("(no text)"));
    js_object_end(&j);
    buf_char(out, '\n');
}

/* ---- PagerDuty ---- */
typedef struct Detail {
    Str name;
    const ConfNode *node; /* NULL: templ */
    const char *templ;
} Detail;

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const Detail *)a)->name, ((const Detail *)b)->name);
}

static u32 details_of(const Render *r, Detail *ret, u32 max)
{
    static const char *const usual[][2] = {
        {"firing", "{{ .Alerts.Firing | toJson }}"},
        {"resolved", "{{ .Alerts.Resolved | toJson }}"},
        {"num_firing", "{{ .Alerts.Firing | len }}"},
        {"num_resolved", "{{ .Alerts.Resolved | len }}"},
    };
    const ConfNode *n = integration_field(r->c, "details")->node;
    u32 len = 0;
    for (u32 i = 0; n && n->kind == CONF_MAP && i < n->len && len < max; i++)
        ret[len++] = (Detail){n->keys[i].text, &n->items[i], NULL};
    for (size_t u = 0; u < COUNT_OF(usual); u++) {
        bool has = false;
        for (u32 i = 0; i < len; i++)
            has |= str_eq(ret[i].name, str_c(usual[u][0]));
        if (!has && len < max)
            ret[len++] = (Detail){str_c(usual[u][0]), NULL, usual[u][1]};
    }
    if (len > 1)
        qsort(ret, len, sizeof *ret, by_name);
    return len;
}

static void put_details(Json *j, const Render *r, const char *key, bool too_large)
{
    enum { DETAILS_MAX = 200 };
    Detail *at = arena_array(r->arena, Detail, DETAILS_MAX);
    u32 n = at ? details_of(r, at, DETAILS_MAX) : 0;
    js_key(j, str_c(key));
    js_object(j);
    if (too_large)
        js_kv(j, "error",
              S("Custom details have been removed because the original event exceeds the maximum size of "
                "512KB"));
    for (u32 i = 0; i < n && !too_large; i++) {
        js_key(j, at[i].name);
        if (at[i].node)
            notify_node(j, r->set, r->d, at[i].node, r->arena);
        else
            notify_value(j, render_text(r, str_c(at[i].templ)));
    }
    js_object_end(j);
}

static void put_blocks(Json *j, const Render *r, const char *key, const char *const *names, u32 len, u32 need)
{
    const FieldValue *f = integration_field(r->c, key);
    bool any = false;
    for (u32 i = 0; i < f->len; i++) {
        if (!render_sub(r, &f->sub[i], need).len)
            continue;
        if (!any) {
            js_key(j, str_c(key));
            js_array(j);
        }
        any = true;
        js_object(j);
        for (u32 k = 0; k < len; k++)
            js_kv(j, names[k], render_sub(r, &f->sub[i], k));
        js_object_end(j);
    }
    if (any)
        js_array_end(j);
}

static void pagerduty_v2(const Render *r, bool too_large, Buf *out)
{
    static const char *const image[] = {"src", "alt", "href"}, *const link[] = {"href", "text"};
    Json j;
    Str severity = integration_text(r->c, "severity");
    js_init(&j, out);
    js_object(&j); /* the sender puts routing_key in */
    js_kv(&j, "dedup_key", render_key_hash(r));
    js_kv(&j, "event_action", notify_is_firing(r->d) ? S("trigger") : S("resolve"));
    js_key(&j, S("payload"));
    js_object(&j);
    js_kv(&j, "summary", notify_cut(r->arena, render_field(r, "description"), PAGERDUTY_V2_RUNES));
    js_kv(&j, "source", render_field(r, "source"));
    js_kv(&j, "severity", severity.len ? render_text(r, severity) : S("error"));
    kv_some(&j, "class", render_field(r, "class"));
    kv_some(&j, "component", render_field(r, "component"));
    kv_some(&j, "group", render_field(r, "group"));
    put_details(&j, r, "custom_details", too_large);
    js_object_end(&j);
    kv_some(&j, "client", render_field(r, "client"));
    kv_some(&j, "client_url", render_field(r, "client_url"));
    put_blocks(&j, r, "images", image, 3, 0);
    put_blocks(&j, r, "links", link, 2, 0);
    js_object_end(&j);
    buf_char(out, '\n');
}

static void pagerduty_v1(const Render *r, bool too_large, Buf *out)
{
    Json j;
    bool firing = notify_is_firing(r->d);
    js_init(&j, out);
    js_object(&j); /* the sender puts service_key in */
    js_kv(&j, "incident_key", render_key_hash(r));
    js_kv(&j, "event_type", firing ? S("trigger") : S("resolve"));
    js_kv(&j, "description", notify_cut(r->arena, render_field(r, "description"), PAGERDUTY_V1_RUNES));
    if (firing) {
        kv_some(&j, "client", render_field(r, "client"));
        kv_some(&j, "client_url", render_field(r, "client_url"));
    }
    put_details(&j, r, "details", too_large);
    js_object_end(&j);
}

bool pagerduty_is_v1(const IntegrationConfig *c)
{
    return integration_text(c, "service_key").len || integration_text(c, "service_key_file").len;
}

void pagerduty_body(const Render *r, Buf *out)
{
    size_t before = out->len;
    for (int too_large = 0; too_large <= 1; too_large++) {
        out->len = before;
        if (pagerduty_is_v1(r->c))
            pagerduty_v1(r, too_large, out);
        else
            pagerduty_v2(r, too_large, out);
        if (out->len - before <= PAGERDUTY_BYTES_MAX)
            break;
    }
}

/* ---- Pushover: a form, without token and user ---- */
static void form_field(Buf *out, const char *name, Str value)
{
    buf_printf(out, "&%s=", name);
    url_escape_query(out, value);
}

static void form_seconds(const Render *r, Buf *out, const char *name)
{
    form_field(out, name,
               arena_printf(r->arena, "%lld", (long long)(integration_field(r->c, name)->num / NS_PER_SEC)));
}

void pushover_body(const Render *r, Buf *out)
{
    bool html = integration_is_on(r->c, "html");
    Str templ = integration_text(r->c, "message");
    Str message = html ? notify_html(r->set, r->d, templ, r->arena) : render_text(r, templ);
    message = str_trim(notify_cut(r->arena, message, PUSHOVER_MESSAGE_RUNES));
    form_field(out, "title", notify_cut(r->arena, render_field(r, "title"), PUSHOVER_TITLE_RUNES));
    if (html)
        form_field(out, "html", S("1"));
    if (integration_is_on(r->c, "monospace"))
        form_field(out, "monospace", S("1"));
    form_field(out, "message", message.len ? message : S("(no details)"));
    form_field(out, "url", notify_cut(r->arena, render_field(r, "url"), PUSHOVER_URL_RUNES));
    form_field(out, "url_title", render_field(r, "url_title"));
    form_field(out, "priority", render_field(r, "priority"));
    form_seconds(r, out, "retry");
    form_seconds(r, out, "expire");
    form_field(out, "device", render_field(r, "device"));
    form_field(out, "sound", render_field(r, "sound"));
    if (integration_field(r->c, "ttl")->num >= NS_PER_SEC)
        form_seconds(r, out, "ttl");
}
