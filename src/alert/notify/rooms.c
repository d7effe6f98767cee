/* Rooms: Webex, both Microsoft Teams, Rocket.Chat, Mattermost and ntfy. One JSON object each, as Alertmanager sends it
 * (ntfy, which it does not know, as its own documentation says). */
#include "alert/notify/render.h"

enum {
    WEBEX_BYTES = 7439,
    ROCKETCHAT_TITLE_RUNES = 1024,
    MATTERMOST_TEXT_RUNES = 16383,
    NTFY_MESSAGE_BYTES = 4096, /* more of it and ntfy makes an attachment of the text */
    NTFY_TITLE_RUNES = 250,
};

static void end(Json *j, Buf *out)
{
    js_object_end(j);
    buf_char(out, '\n'); /* as Go's encoder ends */
}

/* At most so many bytes, whole runes, the last three of them dots when something was cut. */
static Str cut_bytes(Arena *arena, Str s, size_t max)
{
    static const Str dots = STR_INIT("\xe2\x80\xa6");
    if (s.len <= max)
        return s;
    size_t n = max - dots.len;
    while (n && ((u8)s.at[n] & 0xc0) == 0x80)
        n--;
    return arena_printf(arena, "%.*s%.*s", (int)n, s.at, STR_FMT(dots));
}

void webex_body(const Render *r, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "markdown", cut_bytes(r->arena, render_field(r, "message"), WEBEX_BYTES));
    kv_some(&j, "roomId", render_field(r, "room_id"));
    end(&j, out);
}

/* ---- Microsoft Teams ---- */
void msteams_body(const Render *r, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "@context", S("http://schema.org/extensions"));
    js_kv(&j, "type", S("MessageCard"));
    js_kv(&j, "title", render_field(r, "title"));
    js_kv(&j, "summary", render_field(r, "summary"));
    js_kv(&j, "text", render_field(r, "text"));
    js_kv(&j, "themeColor", notify_is_firing(r->d) ? S("8C1A1A") : S("2DC72D"));
    end(&j, out);
}

static void adaptive_block(Json *j, Str text, Str color)
{
    js_object(j);
    js_kv(j, "type", S("TextBlock"));
    js_kv(j, "text", text);
    if (color.len) {
        js_kv(j, "weight", S("Bolder"));
        js_kv(j, "size", S("Medium"));
    }
    kv_bool(j, "wrap", true);
    if (color.len) {
        js_kv(j, "style", S("heading"));
        js_kv(j, "color", color);
    }
    js_object_end(j);
}

void msteamsv2_body(const Render *r, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "type", S("message"));
    js_key(&j, S("attachments"));
    js_array(&j);
    js_object(&j);
    js_kv(&j, "contentType", S("application/vnd.microsoft.card.adaptive"));
    js_key(&j, S("contentUrl"));
    js_null(&j);
    js_key(&j, S("content"));
    js_object(&j);
    js_kv(&j, "$schema", S("http://adaptivecards.io/schemas/adaptive-card.json"));
    js_kv(&j, "type", S("AdaptiveCard"));
    js_kv(&j, "version", S("1.2"));
    js_key(&j, S("body"));
    js_array(&j);
    adaptive_block(&j, render_field(r, "title"), notify_is_firing(r->d) ? S("Attention") : S("Good"));
    adaptive_block(&j, render_field(r, "text"), S(""));
    js_array_end(&j);
    js_key(&j, S("msteams"));
    js_object(&j);
    js_kv(&j, "width", S("full"));
    js_object_end(&j);
    js_object_end(&j);
    js_object_end(&j);
    js_array_end(&j);
    end(&j, out);
}

/* ---- Rocket.Chat ---- */
static void rocketchat_fields(Json *j, const Render *r)
{
    const FieldValue *f = integration_field(r->c, "fields");
    if (!f->len)
        return;
    js_key(j, S("fields"));
    js_array(j);
    for (u32 i = 0; i < f->len; i++) { /* short, title, value */
        const FieldValue *x = &f->sub[i];
        bool own = x->sub && x->sub[0].is_set;
        js_object(j);
        kv_bool(j, "short", own ? x->sub[0].num : integration_is_on(r->c, "short_fields"));
        kv_some(j, "title", render_sub(r, x, 1));
        kv_some(j, "value", render_sub(r, x, 2));
        js_object_end(j);
    }
    js_array_end(j);
}

static void rocketchat_actions(Json *j, const Render *r)
{
    const FieldValue *f = integration_field(r->c, "actions");
    if (!f->len)
        return;
    js_key(j, S("actions"));
    js_array(j);
    for (u32 i = 0; i < f->len; i++) { /* type, text, url, ..., msg at 6 */
        js_object(j);
        js_kv(j, "type", S("button")); /* there is no other */
        kv_some(j, "text", render_sub(r, &f->sub[i], 1));
        kv_some(j, "url", render_sub(r, &f->sub[i], 2));
        kv_bool(j, "is_webview", false);
        kv_some(j, "msg", render_sub(r, &f->sub[i], 6));
        kv_bool(j, "msg_in_chat_window", false);
        js_object_end(j);
    }
    js_array_end(j);
}

void rocketchat_body(const Render *r, Buf *out)
{
    Json j;
    js_init(&j, out);
    js_object(&j);
    kv_some(&j, "channel", render_field(r, "channel"));
    kv_some(&j, "emoji", render_field(r, "emoji"));
    kv_some(&j, "avatar", render_field(r, "icon_url"));
    js_key(&j, S("attachments"));
    js_array(&j);
    js_object(&j);
    kv_some(&j, "title", notify_cut(r->arena, render_field(r, "title"), ROCKETCHAT_TITLE_RUNES));
    kv_some(&j, "title_link", render_field(r, "title_link"));
    kv_some(&j, "text", render_field(r, "text"));
    kv_some(&j, "image_url", render_field(r, "image_url"));
    kv_some(&j, "thumb_url", render_field(r, "thumb_url"));
    kv_some(&j, "color", render_field(r, "color"));
    rocketchat_fields(&j, r);
    rocketchat_actions(&j, r);
    js_object_end(&j);
    js_array_end(&j);
    end(&j, out);
}

/* ---- Mattermost ---- */
static void mattermost_fields(Json *j, const Render *r, const FieldValue *f)
{
    if (!f->len)
        return;
    js_key(j, S("fields"));
    js_array(j);
    for (u32 i = 0; i < f->len; i++) { /* title, value, short */
        js_object(j);
        js_kv(j, "title", render_sub(r, &f->sub[i], 0));
        js_kv(j, "value", render_sub(r, &f->sub[i], 1));
        if (f->sub[i].sub && f->sub[i].sub[2].is_set)
            kv_bool(j, "short", f->sub[i].sub[2].num);
        js_object_end(j);
    }
    js_array_end(j);
}

/* In the order of the table of an attachment's fields; `fields` stands before thumb_url. */
static const char *const attachment_names[] = {
    "fallback", "color",      "pretext", "text",      "author_name", "author_link", "author_icon",
    "title",    "title_link", "fields",  "thumb_url", "footer",      "footer_icon", "image_url"};
enum { ATTACHMENT_FIELDS = 9 };

static void mattermost_attachment(Json *j, const Render *r, const FieldValue *block)
{
    js_object(j);
    for (u32 i = 0; i < COUNT_OF(attachment_names); i++) {
        const char *name = attachment_names[i];
        if (i == ATTACHMENT_FIELDS)
            mattermost_fields(j, r, block ? &block->sub[i] : integration_field(r->c, name));
        else if (block)
            kv_some(j, name, render_sub(r, block, i));
        else
            kv_some(j, name, render_field(r, name));
    }
    js_object_end(j);
}

static void mattermost_priority(Json *j, const Render *r)
{
    const FieldValue *p =
        integration_field(r->c, "priority"); /* priority, requested_ack, persistent_notifications */
    Str given = render_sub(r, p, 0), known = S("standard");
    if (!given.len)
        return;
    if (str_eq_nocase(given, S("urgent")))
        known = S("urgent");
    else if (str_eq_nocase(given, S("important")))
        known = S("important");
    js_key(j, S("priority"));
    js_object(j);
    js_kv(j, "priority", known);
    if (p->sub[1].num && !str_eq(known, S("standard")))
        kv_bool(j, "requested_ack", true);
    if (p->sub[2].num && str_eq(known, S("urgent")))
        kv_bool(j, "persistent_notifications", true);
    js_object_end(j);
}

void mattermost_body(const Render *r, Buf *out)
{
    Json j;
    const FieldValue *own = integration_field(r->c, "attachments"), *props = integration_field(r->c, "props");
    js_init(&j, out);
    js_object(&j);
    if (own->len) /* else the text stands in the attachment */
        kv_some(&j, "text", notify_cut(r->arena, render_field(r, "text"), MATTERMOST_TEXT_RUNES));
    kv_some(&j, "channel", render_field(r, "channel"));
    kv_some(&j, "username", render_field(r, "username"));
    kv_some(&j, "icon_url", render_field(r, "icon_url"));
    kv_some(&j, "icon_emoji", render_field(r, "icon_emoji"));
    js_key(&j, S("attachments"));
    js_array(&j);
    for (u32 i = 0; i < own->len; i++)
        if (own->sub[i].sub)
            mattermost_attachment(&j, r, &own->sub[i]);
    if (!own->len)
        mattermost_attachment(&j, r, NULL);
    js_array_end(&j);
    kv_some(&j, "type", render_field(r, "type"));
    if (render_sub(r, props, 0).len) {
        js_key(&j, S("props"));
        js_object(&j);
        js_kv(&j, "card", render_sub(r, props, 0));
        js_object_end(&j);
    }
    mattermost_priority(&j, r);
    end(&j, out);
}

/* ---- ntfy ---- */
static void ntfy_tags(Json *j, Str tags)
{
    Str one;
    js_key(j, S("tags"));
    js_array(j);
    while (tags.len) {
        str_cut(tags, ',', &one, &tags);
        if (str_trim(one).len)
            js_str(j, str_trim(one));
    }
    js_array_end(j);
}

/* 1 to 5, or its names. */
static i64 ntfy_priority(Str s)
{
    static const char *const names[] = {"min", "low", "default", "high", "max"};
    i64 n = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_nocase(s, str_c(names[i])))
            return (i64)i + 1;
    if (str_eq_nocase(s, S("urgent")))
        return 5;
    return parse_i64(s, &n) == OK && n >= 1 && n <= 5 ? n : 0;
}

void ntfy_body(const Render *r, Buf *out)
{
    Json j;
    i64 priority = ntfy_priority(str_trim(render_field(r, "priority")));
    Str message = str_trim(render_field(r, "message"));
    js_init(&j, out);
    js_object(&j); /* the sender puts topic in */
    js_kv(&j, "message", cut_bytes(r->arena, message.len ? message : S("(no details)"), NTFY_MESSAGE_BYTES));
    kv_some(&j, "title", notify_cut(r->arena, str_trim(render_field(r, "title")), NTFY_TITLE_RUNES));
    ntfy_tags(&j, render_field(r, "tags"));
    if (priority) {
        js_key(&j, S("priority"));
        js_i64(&j, priority);
    }
    kv_some(&j, "click", render_field(r, "click"));
    kv_some(&j, "icon", render_field(r, "icon"));
    kv_some(&j, "email", render_field(r, "email"));
    if (integration_is_on(r->c, "markdown"))
        kv_bool(&j, "markdown", true);
    end(&j, out);
}
