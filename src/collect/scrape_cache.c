/* The cache: a hash table of lines and the chain of their order. */
#include "collect/scrape.h"

ScrapeCache *cache_new(Labels target, u64 fingerprint)
{
    ScrapeCache *c = mem_new(ScrapeCache);
    arena_init(&c->arena, NULL, 4u << 20);
    c->target = labels_dup(&c->arena, target);
    c->fingerprint = fingerprint;
    return c;
}

void cache_free(ScrapeCache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->cap; i++)
        mem_free(c->slots[i]);
    mem_free(c->slots);
    cache_free(c->before);
    arena_done(&c->arena);
    mem_free(c);
}

CacheEntry *cache_find(const ScrapeCache *c, Str text, u64 hash)
{
    if (c->cap == 0)
        return NULL;
    for (size_t i = hash & (c->cap - 1); c->slots[i]; i = (i + 1) & (c->cap - 1))
        if (c->slots[i]->hash == hash && str_eq(entry_text(c->slots[i]), text))
            return c->slots[i];
    return NULL;
}

static void slot_put(CacheEntry **slots, size_t cap, CacheEntry *e)
{
    size_t i = e->hash & (cap - 1);
    while (slots[i])
        i = (i + 1) & (cap - 1);
    slots[i] = e;
}

static void resize(ScrapeCache *c, size_t cap)
{
    CacheEntry **slots = mem_zalloc(cap * sizeof *slots);
    for (size_t i = 0; i < c->cap; i++)
        if (c->slots[i])
            slot_put(slots, cap, c->slots[i]);
    mem_free(c->slots);
    c->slots = slots;
    c->cap = cap;
}

static bool inside(Str s, Str of)
{
    return s.at >= of.at && s.at + s.len <= of.at + of.len;
}

/* The same string in the cache's copy of the target's labels, or at == NULL. */
static Str in_target(const ScrapeCache *c, Str s)
{
    for (u32 i = 0; i < c->target.len; i++) {
        if (str_eq(c->target.at[i].name, s))
            return c->target.at[i].name;
        if (str_eq(c->target.at[i].value, s))
            return c->target.at[i].value;
    }
    return (Str){0};
}

static bool needs_copy(const ScrapeCache *c, Str text, Str s)
{
    return s.len && !inside(s, text) && !str_eq(s, LABEL_NAME) && !in_target(c, s).at;
}

static Str keep(const ScrapeCache *c, Str text, Str s, char *own_text, char **extra)
{
    if (s.len == 0)
        return S("");
    if (inside(s, text))
        return str_of(own_text + (s.at - text.at), s.len);
    if (str_eq(s, LABEL_NAME))
        return LABEL_NAME;
    Str shared = in_target(c, s);
    if (shared.at)
        return shared;
    memcpy(*extra, s.at, s.len);
    Str kept = str_of(*extra, s.len);
    *extra += s.len;
    return kept;
}

CacheEntry *cache_add(ScrapeCache *c, Str text, u64 hash, Labels labels)
{
    size_t extra_len = 0;
    for (u32 i = 0; i < labels.len; i++) {
        extra_len += needs_copy(c, text, labels.at[i].name) ? labels.at[i].name.len : 0;
        extra_len += needs_copy(c, text, labels.at[i].value) ? labels.at[i].value.len : 0;
    }
    CacheEntry *e = mem_alloc(sizeof *e + labels.len * sizeof(Label) + text.len + extra_len);
    *e = (CacheEntry){.hash = hash, .text_len = (u32)text.len, .labels_len = labels.len};
    char *own_text = (char *)&e->labels[labels.len], *extra = own_text + text.len;
    memcpy(own_text, text.at, text.len);
    for (u32 i = 0; i < labels.len; i++) {
        e->labels[i].name = keep(c, text, labels.at[i].name, own_text, &extra);
        e->labels[i].value = keep(c, text, labels.at[i].value, own_text, &extra);
    }
    if ((c->len + 1) * 4 > c->cap * 3)
        resize(c, c->cap ? c->cap * 2 : 64);
    slot_put(c->slots, c->cap, e);
    c->len++;
    return e;
}

static void drop_where(ScrapeCache *c, bool (*is_gone)(const ScrapeCache *c, const CacheEntry *e))
{
    size_t kept = 0;
    for (size_t i = 0; i < c->cap; i++) {
        CacheEntry *e = c->slots[i];
        if (e && is_gone(c, e)) {
            mem_free(e);
            c->slots[i] = NULL;
        } else if (e) {
            kept++;
        }
    }
    c->len = kept;
    size_t cap = c->cap;
    while (cap > 64 && kept * 4 < cap)
        cap /= 2;
    /* Rehashed even at the same size: holes would cut probe chains. */
    if (cap)
        resize(c, cap);
}

static bool is_unseen(const ScrapeCache *c, const CacheEntry *e)
{
    return e->seen != c->iter;
}
static bool is_unstored(const ScrapeCache *c, const CacheEntry *e)
{
    return !e->is_stored;
}

void cache_drop_unseen(ScrapeCache *c)
{
    drop_where(c, is_unseen);
}

void cache_drop_unstored(ScrapeCache *c)
{
    drop_where(c, is_unstored);
    c->first = NULL;
    for (size_t i = 0; i < c->cap; i++)
        if (c->slots[i])
            c->slots[i]->next = NULL;
}
