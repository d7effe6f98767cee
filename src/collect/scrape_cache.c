/* The cache: the last page's lines in their order, 24 bytes each. */
#include "collect/scrape.h"

ScrapeCache *cache_new(Labels target, u64 fingerprint)
{
    ScrapeCache *c = mem_new(ScrapeCache);
    arena_init(&c->arena, NULL, 4u << 20);
    c->target = labels_dup(&c->arena, target);
    c->fingerprint = fingerprint;
    c->key = random_u64();
    return c;
}

void line_done(CacheLine *l)
{
    if (l->flags & LINE_OWN)
        mem_free(l->labels);
    l->flags &= ~(u32)LINE_OWN;
    l->hint = 0;
}

void cache_clear(ScrapeCache *c)
{
    for (u32 i = 0; i < c->len; i++)
        line_done(&c->lines[i]);
    mem_free(c->lines);
    c->lines = NULL;
    c->len = c->cap = c->series_len = c->tracked_len = 0;
    c->group = 0;
    memset(c->report_hints, 0, sizeof c->report_hints);
}

void cache_free(ScrapeCache *c)
{
    if (!c)
        return;
    cache_clear(c);
    cache_free(c->before);
    arena_done(&c->arena);
    mem_free(c);
}

static Labels *labels_pack(Labels from)
{
    size_t bytes = sizeof(Labels) + from.len * sizeof(Label);
    for (u32 i = 0; i < from.len; i++)
        bytes += from.at[i].name.len + from.at[i].value.len;
    Labels *own = mem_alloc(bytes);
    Label *to = (Label *)(own + 1);
    char *text = (char *)(to + from.len);
    for (u32 i = 0; i < from.len; i++) {
        Str *parts[] = {&to[i].name, &to[i].value};
        to[i] = from.at[i];
        for (u32 k = 0; k < 2; k++) {
            memcpy(text, parts[k]->at, parts[k]->len);
            parts[k]->at = text;
            text += parts[k]->len;
        }
    }
    *own = (Labels){to, from.len};
    return own;
}

void line_settle(CacheLine *l, u64 hint, Labels labels)
{
    if (!hint && l->flags & LINE_OWN)
        return;
    if (hint) {
        line_done(l);
        l->hint = hint;
    } else if (labels.len) {
        l->labels = labels_pack(labels);
        l->flags |= LINE_OWN;
    } else {
        l->hint = 0;
    }
}
