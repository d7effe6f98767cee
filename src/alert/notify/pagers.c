/* Pagers: Opsgenie, VictorOps and incident.io. Where a message needs more than one request, or a path that depends on the
 * alerts, its body is a list of requests: a line "METHOD path", then a line with the JSON (send.c). */
#include "alert/notify/render.h"

#include <stdlib.h>

enum { OPSGENIE_MESSAGE_RUNES = 130, VICTOROPS_STATE_RUNES = 20480, INCIDENTIO_BYTES = 512 << 10 };

/* ---- Opsgenie ---- */
static void split(Json *j, const char *key, Str list)
{
    Str one;
    bool any = false;
    for (list = str_trim(list); list.len;) {
        str_cut(list, ',', &one, &list);
        if (!one.len)
            continue;
        if (!any) {
            js_key(j, str_c(key));
            js_array(j);
        }
        any = true;
        js_str(j, one);
    }
    if (any)
        js_array_end(j);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const Label *)a)->name, ((const Label *)b)->name);
}

/* Texts of one's own over the common labels. */
static Labels merged(const Render *r, Labels under, Labels over)
{
    Label *at = arena_array(r->arena, Label, under.len + over.len + 1);
    u32 n = 0;
    for (u32 i = 0; at && i < over.len; i++)
        at[n++] = (Label){over.at[i].name, render_text(r, over.at[i].value)};
    for (u32 i = 0; at && i < under.len; i++) {
        bool has = false;
        for (u32 k = 0; k < over.len; k++)
            has |= str_eq(over.at[k].name, under.at[i].name);
        if (!has)
            at[n++] = under.at[i];
    }
    if (n > 1)
        qsort(at, n, sizeof *at, by_name);
    return (Labels){at, n};
}

static void responder(Json *j, Str id, Str name, Str username, Str type)
{
    js_object(j);
    kv_some(j, "id", id);
    kv_some(j, "name", name);
    kv_some(j, "username", username);
    js_kv(j, "type", type);
    js_object_end(j);
}

static void responders(Json *j, const Render *r)
{
    const FieldValue *f = integration_field(r->c, "responders"); /* id, name, username, type */
    bool any = false;
    for (u32 i = 0; i < f->len; i++) {
        const FieldValue *x = &f->sub[i];
        Str id = render_sub(r, x, 0), name = render_sub(r, x, 1), user = render_sub(r, x, 2),
            type = render_sub(r, x, 3);
        if (!id.len && !name.len && !user.len && !type.len)
            continue; /* filled from labels that are not there */
        if (!any) {
            js_key(j, S("responders"));
            js_array(j);
        }
        any = true;
        if (!str_eq(type, S("teams"))) {
            responder(j, id, name, user, type);
            continue;
        }
        for (Str one, rest = str_trim(name); rest.len;) {
            str_cut(rest, ',', &one, &rest);
            if (one.len)
                responder(j, S(""), one, S(""), S("team"));
        }
    }
    if (any)
        js_array_end(j);
}

static void opsgenie_create(const Render *r, Str hash, Str message, Str description, Buf *out)
{
    Json j;
    Labels details = merged(r, r->d->common_labels, integration_field(r->c, "details")->map);
    buf_c(out, "POST v2/alerts\n");
    js_init(&j, out);
    js_object(&j);
    js_kv(&j, "alias", hash);
    js_kv(&j, "message", message);
    kv_some(&j, "description", description);
    js_key(&j, S("details"));
    js_object(&j);
    for (u32 i = 0; i < details.len; i++) {
        js_key(&j, details.at[i].name);
        js_str(&j, details.at[i].value);
    }
    js_object_end(&j);
    js_kv(&j, "source", render_field(r, "source"));
    responders(&j, r);
    split(&j, "tags", render_field(r, "tags"));
    kv_some(&j, "note", render_field(r, "note"));
    kv_some(&j, "priority", render_field(r, "priority"));
    kv_some(&j, "entity", render_field(r, "entity"));
    split(&j, "actions", render_field(r, "actions"));
    js_object_end(&j);
    buf_char(out, '\n');
}

static void opsgenie_member(Buf *out, const char *method, Str hash, const char *what, const char *key,
                            Str value)
{
    Json j;
    buf_printf(out, "%s v2/alerts/%.*s/%s?identifierType=alias\n", method, STR_FMT(hash), what);
    js_init(&j, out);
    js_object(&j);
    if (value.len || !strcmp(key, "source"))
        js_kv(&j, key, value);
    js_object_end(&j);
    buf_char(out, '\n');
}

void opsgenie_body(const Render *r, Buf *out)
{
    Str hash = render_key_hash(r);
    if (!notify_is_firing(r->d)) {
        opsgenie_member(out, "POST", hash, "close", "source", render_field(r, "source"));
        return;
    }
    Str message = notify_cut(r->arena, render_field(r, "message"), OPSGENIE_MESSAGE_RUNES);
    Str description = render_field(r, "description");
    opsgenie_create(r, hash, message, description, out);
    if (!integration_is_on(r->c, "update_alerts"))
        return;
    opsgenie_member(out, "PUT", hash, "message", "message", message);
    opsgenie_member(out, "PUT", hash, "description", "description", description);
}

/* ---- VictorOps ---- */
static Str victorops_type(const Render *r)
{
    static const char *const allowed[] = {"INFO", "WARNING", "CRITICAL"};
    Str type = render_field(r, "message_type");
    if (!notify_is_firing(r->d))
        return S("RECOVERY");
    for (size_t i = 0; i < COUNT_OF(allowed); i++)
        if (str_eq(type, str_c(allowed[i])))
            return type;
    return S("CRITICAL");
}

void victorops_body(const Render *r, Buf *out)
{
    Json j;
    const Label fixed[] = {
        {S("entity_display_name"), render_field(r, "entity_display_name")},
        {S("entity_id"), render_key_hash(r)},
        {S("message_type"), victorops_type(r)},
        {S("monitoring_tool"), render_field(r, "monitoring_tool")},
        {S("state_message"), notify_cut(r->arena, render_field(r, "state_message"), VICTOROPS_STATE_RUNES)},
    };
    Labels all = merged(r, (Labels){fixed, COUNT_OF(fixed)}, integration_field(r->c, "custom_fields")->map);
    buf_c(out, "POST ");
    url_escape_path(out, render_field(r, "routing_key"));
    buf_char(out, '\n');
    js_init(&j, out);
    js_object(&j);
    for (u32 i = 0; i < all.len; i++) {
        js_key(&j, all.at[i].name);
        js_str(&j, all.at[i].value);
    }
    js_object_end(&j);
    buf_char(out, '\n');
}

/* ---- incident.io: a webhook's body of version 1 ---- */
void incidentio_body(const Render *r, Buf *out)
{
    IntegrationConfig fewer = *r->c;
    size_t before = out->len;
    webhook_body(r->c, r->d, "1", out);
    if (out->len - before <= INCIDENTIO_BYTES)
        return;
    out->len = before; /* one alert is enough to make the incident */
    fewer.max_alerts = 1;
    webhook_body(&fewer, r->d, "1", out);
}
