/* Discord messages: our card, and byte for byte Alertmanager's. Every length is kept before anything is sent, because
 * Discord refuses a whole message for one character too many. */
#include <jansson.h>

#include "alert/notify/notify.h"

enum {
    COLOR_FIRING = 0x992d22,
    COLOR_RESOLVED = 0x2ecc71,
    COLOR_WARNING = 0xe67e22,
    COLOR_INFO = 0x3498db,
    ALERT_LINES_MAX = 20,
    CARD_FIELDS_MAX = 8,
    CARD_PARTS_MAX = 5
};

size_t utf16_len(Str s)
{
    size_t n = 0;
    while (s.len) {
        u32 rune;
        size_t used = str_rune(s, &rune);
        n += rune > 0xffff ? 2 : 1;
        s = str_skip(s, used);
    }
    return n;
}

/* Bytes of the longest prefix of at most max UTF-16 units. */
static size_t utf16_prefix(Str s, size_t max)
{
    size_t bytes = 0, n = 0;
    while (bytes < s.len) {
        u32 rune;
        size_t used = str_rune(str_skip(s, bytes), &rune);
        n += rune > 0xffff ? 2 : 1;
        if (n > max)
            break;
        bytes += used;
    }
    return bytes;
}

Str utf16_cut(Arena *a, Str s, size_t max)
{
    if (s.len <= max || utf16_len(s) <= max)
        return s;
    if (max == 0)
        return S("");
    Str head = str_sub(s, 0, utf16_prefix(s, max - 1));
    return arena_printf(a, "%.*s\xe2\x80\xa6", STR_FMT(head));
}

/* ---- Alertmanager's form ---- */

static Err alertmanager_body(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, Arena *arena,
                             Buf *out, Why *why)
{
    Str title, message, content;
    title = notify_text(set, d, c->title, arena);
    message = notify_text(set, d, c->message, arena);
    content = notify_text(set, d, c->content, arena);
    Json j;
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "content", notify_cut(arena, content, DISCORD_CONTENT_MAX));
    js_key(&j, S("embeds"));
    js_array(&j);
    js_object(&j);
    js_kv(&j, "title", notify_cut(arena, title, DISCORD_TITLE_MAX));
    js_kv(&j, "description", notify_cut(arena, message, DISCORD_DESCRIPTION_MAX));
    js_key(&j, S("color"));
    js_i64(&j, notify_is_firing(d) ? COLOR_FIRING : COLOR_RESOLVED);
    js_object_end(&j);
    js_array_end(&j);
    if (c->username.len)
        js_kv(&j, "username", c->username);
    if (c->avatar_url.len)
        js_kv(&j, "avatar_url", c->avatar_url);
    js_object_end(&j);
    buf_char(out, '\n'); /* as Go's encoder ends */
    return OK;
}

/* ---- our card ---- */

/* Text from labels and annotations is shown as it is: no bold, no links, no mentions by accident. */
static void put_plain(Buf *out, Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (strchr("\\*_~`|>[]()#", s.at[i]) && s.at[i])
            buf_char(out, '\\');
        buf_char(out, s.at[i] == '\n' || s.at[i] == '\r' ? ' ' : s.at[i]);
    }
}

static Str alert_sentence(const NotifyAlert *a)
{
    static const char *const names[] = {"summary", "description", "message", "title"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        Str s = labels_get(a->annotations, str_c(names[i]));
        if (s.len)
            return s;
    }
    return labels_get(a->labels, S("alertname"));
}

static void put_alert_line(Buf *out, const NotifyData *d, const NotifyAlert *a)
{
    buf_c(out, a->is_resolved ? "\xe2\x9c\x85 " : "\xf0\x9f\x94\xb4 ");
    put_plain(out, str_sub(alert_sentence(a), 0, str_rune_prefix(alert_sentence(a), 300)));
    /* What tells this alert from the others of its group. */
    u32 told = 0;
    for (u32 i = 0; i < a->labels.len && told < 6; i++) {
        Label l = a->labels.at[i];
        if (labels_has(d->common_labels, l.name))
            continue;
        buf_printf(out, "%s`%.*s=", told++ ? " " : " \xc2\xb7 ", (int)MIN(l.name.len, 80), l.name.at);
        Str value = str_sub(l.value, 0, str_rune_prefix(l.value, 80));
        for (size_t k = 0; k < value.len; k++)
            buf_char(out, value.at[k] == '`' ? '\'' : value.at[k]);
        buf_char(out, '`');
    }
    i64 when = a->is_resolved ? a->ends_ns : a->starts_ns;
    if (when > 0)
        buf_printf(out, " \xc2\xb7 %s <t:%lld:R>", a->is_resolved ? "resolved" : "since",
                   (long long)(when / NS_PER_SEC));
    buf_char(out, '\n');
}

/* Firing first, then resolved. */
static const NotifyAlert *alert_at(const NotifyData *d, u32 i)
{
    u32 firing = notify_count(d, false);
    bool resolved = i >= firing;
    u32 nth = resolved ? i - firing : i;
    for (u32 k = 0; k < d->len; k++)
        if (d->alerts[k].is_resolved == resolved && nth-- == 0)
            return &d->alerts[k];
    return NULL;
}

/* The lines of alerts from `from` on that fit one card; returns the first that does not. */
static u32 card_lines(const NotifyData *d, u32 from, Buf *out)
{
    u32 i = from;
    for (; i < d->len && i - from < ALERT_LINES_MAX; i++) {
        size_t before = out->len;
        put_alert_line(out, d, alert_at(d, i));
        /* A whole line or none: leave room for the count. */
        if (i > from && utf16_len(buf_view(out)) > DISCORD_DESCRIPTION_MAX - 60) {
            out->len = before;
            break;
        }
    }
    return i;
}

u32 discord_parts(const IntegrationConfig *c, const NotifyData *d)
{
    Buf b;
    u32 parts = 0, from = 0;
    if (c->style != DISCORD_CARD || c->has_message)
        return 1;
    buf_init(&b, 1 << 20);
    do {
        buf_clear(&b);
        from = card_lines(d, from, &b);
        parts++;
    } while (from < d->len && parts < CARD_PARTS_MAX);
    buf_done(&b);
    return parts;
}

static Str card_description(const NotifyData *d, bool whole, Arena *arena)
{
    Buf b;
    u32 next = 0;
    buf_init(&b, 1 << 20);
    for (u32 part = 0; part <= d->part; part++) {
        buf_clear(&b);
        next = card_lines(d, next, &b);
    }
    /* A card that is edited stands for all its parts; so does the last part. */
    if (next < d->len && (whole || d->part + 1 == CARD_PARTS_MAX))
        buf_printf(&b, "\xe2\x80\xa6 and %u more", d->len - next);
    Str ret = arena_dup(arena, str_trim(buf_view(&b)));
    buf_done(&b);
    return ret;
}

static bool is_link(Str url)
{
    return str_starts(url, S("http://")) || str_starts(url, S("https://"));
}

/* Only mentions that the operator wrote into the template ring; what labels bring does not. */
static void put_allowed_mentions(Json *j, Str templ)
{
    bool everyone = str_find(templ, S("@everyone")) != SIZE_MAX || str_find(templ, S("@here")) != SIZE_MAX;
    js_key(j, S("allowed_mentions"));
    js_object(j);
    js_key(j, S("parse"));
    js_array(j);
    if (everyone)
        js_c(j, "everyone");
    js_array_end(j);
    for (int roles = 0; roles <= 1; roles++) {
        js_key(j, roles ? S("roles") : S("users"));
        js_array(j);
        Str rest = templ;
        int listed = 0;
        for (size_t at; (at = str_find(rest, roles ? S("<@&") : S("<@"))) != SIZE_MAX && listed < 100;) {
            rest = str_skip(rest, at + (roles ? 3 : 2));
            if (!roles && rest.len && rest.at[0] == '!')
                rest = str_skip(rest, 1);
            size_t n = 0;
            while (n < rest.len && n < 20 && rest.at[n] >= '0' && rest.at[n] <= '9')
                n++;
            if (n && n < rest.len && rest.at[n] == '>') {
                js_str(j, str_sub(rest, 0, n));
                listed++;
            }
        }
        js_array_end(j);
    }
    js_object_end(j);
}

typedef struct Embed {
    Str title, description, url, footer, links;
    Label fields[CARD_FIELDS_MAX];
    u32 fields_len;
    u32 color;
    i64 timestamp_ms;
} Embed;

#define LINKS "Links"

/* Cuts every part to its limit, then the description (at last the fields) until all together fit. */
static void embed_fit(Embed *e, Arena *arena)
{
    e->title = utf16_cut(arena, e->title, DISCORD_TITLE_MAX);
    e->description = utf16_cut(arena, e->description, DISCORD_DESCRIPTION_MAX);
    e->footer = utf16_cut(arena, e->footer, DISCORD_FOOTER_MAX);
    size_t sum =
        utf16_len(e->title) + utf16_len(e->footer) + (e->links.len ? utf16_len(e->links) + strlen(LINKS) : 0);
    for (u32 i = 0; i < e->fields_len; i++) {
        Label *f = &e->fields[i];
        f->name = utf16_cut(arena, f->name, DISCORD_FIELD_NAME_MAX);
        f->value = utf16_cut(arena, f->value, DISCORD_FIELD_VALUE_MAX);
        size_t more = utf16_len(f->name) + utf16_len(f->value);
        if (sum + more > DISCORD_EMBEDS_SUM_MAX - 1000) { /* the description keeps some room */
            e->fields_len = i;
            break;
        }
        sum += more;
    }
    e->description = utf16_cut(arena, e->description, DISCORD_EMBEDS_SUM_MAX - sum);
}

static void put_field(Json *j, Str name, Str value, bool is_inline)
{
    js_object(j);
    js_kv(j, "name", name);
    js_kv(j, "value", value);
    js_key(j, S("inline"));
    js_bool(j, is_inline);
    js_object_end(j);
}

static void put_embed(Json *j, const Embed *e)
{
    Buf b;
    js_object(j);
    js_kv(j, "title", e->title);
    if (e->description.len)
        js_kv(j, "description", e->description);
    if (e->url.len)
        js_kv(j, "url", e->url);
    js_key(j, S("color"));
    js_u64(j, e->color);
    if (e->timestamp_ms > 0) {
        buf_init(&b, 64);
        print_rfc3339_ms(&b, e->timestamp_ms);
        js_kv(j, "timestamp", buf_view(&b));
        buf_done(&b);
    }
    if (e->fields_len || e->links.len) {
        js_key(j, S("fields"));
        js_array(j);
        for (u32 i = 0; i < e->fields_len; i++)
            put_field(j, e->fields[i].name, e->fields[i].value, true);
        if (e->links.len)
            put_field(j, S(LINKS), e->links, false);
        js_array_end(j);
    }
    if (e->footer.len) {
        js_key(j, S("footer"));
        js_object(j);
        js_kv(j, "text", e->footer);
        js_object_end(j);
    }
    js_object_end(j);
}

static void card_fields(Embed *e, const NotifyData *d)
{
    for (u32 i = 0; i < d->common_labels.len && e->fields_len < CARD_FIELDS_MAX; i++) {
        Label l = d->common_labels.at[i];
        if (!str_eq(l.name, S("alertname")) && str_trim(l.name).len && str_trim(l.value).len)
            e->fields[e->fields_len++] = l;
    }
}

/* The worst that fires decides. */
static u32 card_color(const NotifyData *d)
{
    static const char *const names[] = {"severity", "priority", "level"};
    static const struct {
        const char *word;
        int rank;
    } words[] = {{"info", 1},    {"notice", 1}, {"low", 1},    {"none", 1},  {"p4", 1}, {"p5", 1},
                 {"warning", 2}, {"warn", 2},   {"medium", 2}, {"minor", 2}, {"p3", 2}};
    static const u32 colors[] = {COLOR_RESOLVED, COLOR_INFO, COLOR_WARNING, COLOR_FIRING};
    int worst = 0;
    for (u32 i = 0; i < d->len; i++) {
        if (d->alerts[i].is_resolved)
            continue;
        Str value = S("");
        for (size_t k = 0; k < COUNT_OF(names) && !value.len; k++)
            value = labels_get(d->alerts[i].labels, str_c(names[k]));
        int rank = 3; /* critical, page, error, nothing said */
        for (size_t k = 0; k < COUNT_OF(words); k++)
            if (str_eq_nocase(value, str_c(words[k].word)))
                rank = words[k].rank;
        worst = MAX(worst, rank);
    }
    return colors[worst];
}

/* [name](url), where the whole of it fits a field. */
static void put_link(Buf *out, const char *name, Str url)
{
    size_t before = out->len;
    if (!is_link(url))
        return;
    buf_printf(out, "%s[%s](", before ? " \xc2\xb7 " : "", name);
    for (size_t i = 0; i < url.len; i++) {
        if ((u8)url.at[i] <= ' ' || url.at[i] == '(' || url.at[i] == ')' || url.at[i] == '<' ||
            url.at[i] == '>')
            buf_printf(out, "%%%02X", (u8)url.at[i]);
        else
            buf_char(out, url.at[i]);
    }
    buf_char(out, ')');
    if (utf16_len(buf_view(out)) > DISCORD_FIELD_VALUE_MAX)
        out->len = before;
}

static Str silence_url(const NotifyData *d, Arena *arena)
{
    Buf matchers, url;
    if (!d->silence_path.len || !is_link(d->external_url))
        return S("");
    buf_init(&matchers, 1 << 16);
    buf_init(&url, 1 << 18);
    buf_char(&matchers, '{');
    for (u32 i = 0; i < d->common_labels.len; i++) {
        Matcher m = {
            .op = MATCH_EQ, .name = d->common_labels.at[i].name, .value = d->common_labels.at[i].value};
        buf_c(&matchers, i ? "," : "");
        match_print(&matchers, &m);
    }
    buf_char(&matchers, '}');
    buf_str(&url, d->external_url);
    buf_str(&url, d->silence_path);
    url_escape_query(&url, buf_view(&matchers));
    Str ret = d->common_labels.len ? arena_dup(arena, buf_view(&url)) : S("");
    buf_done(&matchers);
    buf_done(&url);
    return ret;
}

static Str card_links(const NotifyData *d, Arena *arena)
{
    Buf b;
    if (!d->len)
        return S("");
    buf_init(&b, 1 << 18);
    put_link(&b, "Graph", d->alerts[0].generator_url);
    if (notify_is_firing(d))
        put_link(&b, "Silence", silence_url(d, arena));
    put_link(&b, "Dashboard", labels_get(d->alerts[0].annotations, S("dashboard_url")));
    put_link(&b, "Runbook", labels_get(d->alerts[0].annotations, S("runbook_url")));
    Str ret = arena_dup(arena, buf_view(&b));
    buf_done(&b);
    return ret;
}

static i64 card_time(const NotifyData *d)
{
    i64 first = 0, last = 0;
    for (u32 i = 0; i < d->len; i++) {
        const NotifyAlert *a = &d->alerts[i];
        if (!a->is_resolved && (!first || a->starts_ns < first))
            first = a->starts_ns;
        last = MAX(last, a->ends_ns);
    }
    return first ? first : last;
}

static void put_head(Json *j, const IntegrationConfig *c, Arena *arena, bool identity)
{
    if (identity && c->username.len)
        js_kv(j, "username", utf16_cut(arena, c->username, DISCORD_USERNAME_MAX));
    if (identity && is_link(c->avatar_url))
        js_kv(j, "avatar_url", c->avatar_url);
}

static Err card_body(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, bool edit, Arena *arena,
                     Buf *out, Why *why)
{
    Str content;
    Embed e = {.color = card_color(d), .timestamp_ms = card_time(d) / NS_PER_MS};
    content = notify_text(set, d, c->content, arena);
    e.title = notify_text(set, d, c->title, arena);
    e.title = str_trim(e.title);
    if (d->part)
        e.title = arena_printf(arena, "%.*s (%u)", STR_FMT(utf16_cut(arena, e.title, DISCORD_TITLE_MAX - 6)),
                               d->part + 1);
    if (!e.title.len)
        e.title = notify_is_firing(d) ? S("[FIRING]") : S("[RESOLVED]");
    if (c->has_message)
        e.description = notify_text(set, d, c->message, arena);
    else
        e.description = card_description(d, edit, arena);
    e.description = str_trim(e.description);
    if (!c->has_message && !d->part)
        card_fields(&e, d);
    if (!d->part)
        e.links = card_links(d, arena);
    if (d->len && is_link(d->alerts[0].generator_url) && d->alerts[0].generator_url.len <= 2048)
        e.url = d->alerts[0].generator_url;
    else if (is_link(d->external_url))
        e.url = d->external_url;
    e.footer = arena_printf(arena, "%.*s", (int)str_rune_prefix(d->group_key, 200), d->group_key.at);
    embed_fit(&e, arena);
    Json j;
    js_init(&j, out);
    js_object(&j);
    if (!d->part && (content.len || edit))
        js_kv(&j, "content", utf16_cut(arena, content, DISCORD_CONTENT_MAX));
    put_head(&j, c, arena, !edit);
    js_key(&j, S("embeds"));
    js_array(&j);
    put_embed(&j, &e);
    js_array_end(&j);
    put_allowed_mentions(&j, edit || d->part ? S("") : c->content);
    js_object_end(&j);
    return OK;
}

/* The short message after a resolve: edits ring nowhere. */
static Err reply_body(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, Arena *arena, Buf *out,
                      Why *why)
{
    Str title;
    title = notify_text(set, d, c->title, arena);
    i64 start = 0, end = 0;
    for (u32 i = 0; i < d->len; i++)
        if (d->alerts[i].is_resolved) {
            start = start && start < d->alerts[i].starts_ns ? start : d->alerts[i].starts_ns;
            end = MAX(end, d->alerts[i].ends_ns);
        }
    Buf b;
    buf_init(&b, 1 << 16);
    buf_printf(&b, "\xe2\x9c\x85 ");
    put_plain(&b, utf16_cut(arena, str_trim(title), DISCORD_TITLE_MAX));
    if (notify_is_firing(d))
        buf_printf(&b, " \xc2\xb7 %u resolved", notify_count(d, true));
    if (end > start && start > 0) {
        buf_c(&b, " \xc2\xb7 after ");
        print_duration_ms(&b, (end - start) / NS_PER_SEC * 1000);
    }
    Json j;
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "content", utf16_cut(arena, buf_view(&b), DISCORD_CONTENT_MAX));
    put_head(&j, c, arena, true);
    put_allowed_mentions(&j, S(""));
    js_object_end(&j);
    buf_done(&b);
    return OK;
}

Err discord_body(const IntegrationConfig *c, TmplSet *set, const NotifyData *d, DiscordMessage kind,
                 Arena *arena, Buf *out, Why *why)
{
    if (c->style == DISCORD_ALERTMANAGER)
        return alertmanager_body(c, set, d, arena, out, why);
    if (kind == DISCORD_REPLY)
        return reply_body(c, set, d, arena, out, why);
    return card_body(c, set, d, kind == DISCORD_EDIT, arena, out, why);
}

Str discord_with_picture(Str message, bool attached, Arena *arena)
{
    json_t *root = json_loadb(message.at, message.len, 0, NULL);
    json_t *card = json_array_get(json_object_get(root, "embeds"), 0);
    if (card)
        json_object_set_new(card, "image", json_pack("{s:s}", "url", "attachment://chart.png"));
    if (card && attached)
        json_object_set_new(root, "attachments", json_pack("[{s:i,s:s}]", "id", 0, "filename", "chart.png"));
    char *text = card ? json_dumps(root, JSON_COMPACT) : NULL;
    Str ret = text ? arena_dup(arena, str_c(text)) : message;
    free(text);
    json_decref(root);
    return ret.len ? ret : message;
}
