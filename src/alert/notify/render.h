/* render: what the files that write messages share. */
#pragma once
#include "alert/notify/notify.h"

typedef struct Render {
    const IntegrationConfig *c;
    TmplSet *set;
    const NotifyData *d;
    Arena *arena;
} Render;

static inline Str render_text(const Render *r, Str templ)
{
    return notify_text(r->set, r->d, templ, r->arena);
}

static inline Str render_field(const Render *r, const char *name)
{
    return render_text(r, integration_text(r->c, name));
}

/* The i-th field of a block; empty when there is no such block. */
static inline Str render_sub(const Render *r, const FieldValue *block, u32 i)
{
    return block->sub ? render_text(r, block->sub[i].text) : S("");
}

static inline void kv_some(Json *j, const char *key, Str value)
{
    if (value.len)
        js_kv(j, key, value);
}

static inline void kv_bool(Json *j, const char *key, bool value)
{
    js_key(j, str_c(key));
    js_bool(j, value);
}

/* SHA-256 of the group key in hex: by it a provider knows the incident again. */
Str render_key_hash(const Render *r);

/* Bodies by kind: chat.c, rooms.c, pagers.c. */
void slack_body(const Render *r, Buf *out);
void telegram_body(const Render *r, Buf *out);
void pagerduty_body(const Render *r, Buf *out);
void pushover_body(const Render *r, Buf *out);
void webex_body(const Render *r, Buf *out);
void msteams_body(const Render *r, Buf *out);
void msteamsv2_body(const Render *r, Buf *out);
void rocketchat_body(const Render *r, Buf *out);
void mattermost_body(const Render *r, Buf *out);
void ntfy_body(const Render *r, Buf *out);
void opsgenie_body(const Render *r, Buf *out);
void victorops_body(const Render *r, Buf *out);
void incidentio_body(const Render *r, Buf *out);
