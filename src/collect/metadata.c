/* Metadata of targets. A thousand targets say the same: each text is kept once for the process, and a target keeps 16 bytes per
 * family. */
#include "collect/scrape.h"

struct MetaText {
    u32 refs; /* under texts_lock, like next */
    u64 hash;
    MetaText *next;
    MetaSaid said; /* its strings lie behind */
};

static pthread_mutex_t texts_lock = PTHREAD_MUTEX_INITIALIZER;
static MetaText **texts; /* chains by hash */
static u32 texts_cap, texts_len;

static u64 said_hash(const MetaSaid *s)
{
    u64 h = hash_bytes(s->family.at, s->family.len, s->type);
    h = hash_bytes(s->help.at, s->help.len, h);
    return hash_bytes(s->unit.at, s->unit.len, h);
}

static bool said_eq(const MetaSaid *a, const MetaSaid *b)
{
    return a->type == b->type && str_eq(a->family, b->family) && str_eq(a->help, b->help) &&
           str_eq(a->unit, b->unit);
}

static void texts_grow(void)
{
    u32 cap = texts_cap ? texts_cap * 2 : 64;
    MetaText **more = mem_zalloc(cap * sizeof *more), *next;
    for (u32 i = 0; i < texts_cap; i++)
        for (MetaText *t = texts[i]; t; t = next) {
            next = t->next;
            t->next = more[t->hash & (cap - 1)];
            more[t->hash & (cap - 1)] = t;
        }
    mem_free(texts);
    texts = more;
    texts_cap = cap;
}

static Str put(char **to, Str s)
{
    char *at = *to;
    if (s.len)
        memcpy(at, s.at, s.len);
    *to += s.len;
    return str_of(at, s.len);
}

static MetaText *text_get(const MetaSaid *said)
{
    u64 hash = said_hash(said);
    pthread_mutex_lock(&texts_lock);
    MetaText *t = texts_cap ? texts[hash & (texts_cap - 1)] : NULL;
    while (t && !(t->hash == hash && said_eq(&t->said, said)))
        t = t->next;
    if (!t) {
        if (texts_len >= texts_cap)
            texts_grow();
        t = mem_alloc(sizeof *t + said->family.len + said->help.len + said->unit.len);
        char *to = (char *)(t + 1);
        *t = (MetaText){.hash = hash, .next = texts[hash & (texts_cap - 1)]};
        t->said.type = said->type;
        t->said.family = put(&to, said->family);
        t->said.help = put(&to, said->help);
        t->said.unit = put(&to, said->unit);
        texts[hash & (texts_cap - 1)] = t;
        texts_len++;
    }
    t->refs++;
    pthread_mutex_unlock(&texts_lock);
    return t;
}

static void text_drop(MetaText *t)
{
    pthread_mutex_lock(&texts_lock);
    if (--t->refs == 0) {
        MetaText **at = &texts[t->hash & (texts_cap - 1)];
        while (*at != t)
            at = &(*at)->next;
        *at = t->next;
        mem_free(t);
        if (--texts_len == 0) {
            mem_free(texts);
            texts = NULL;
            texts_cap = 0;
        }
    }
    pthread_mutex_unlock(&texts_lock);
}

/* ---- a target's ---- */

static u32 family_tag(Str family)
{
    return (u32)hash_str(family);
}

static MetaSlot *slot_of(const TargetMeta *m, u32 tag, Str family)
{
    for (u32 i = tag & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        MetaSlot *s = &m->slots[i];
        if (!s->text || (s->tag == tag && str_eq(s->text->said.family, family)))
            return s;
    }
}

static void slots_resize(TargetMeta *m, u32 cap)
{
    TargetMeta old = *m;
    m->slots = mem_zalloc(cap * sizeof(MetaSlot));
    m->cap = cap;
    for (u32 i = 0; i < old.cap; i++) {
        u32 at = old.slots[i].tag & (cap - 1);
        if (!old.slots[i].text)
            continue;
        while (m->slots[at].text)
            at = (at + 1) & (cap - 1);
        m->slots[at] = old.slots[i];
    }
    mem_free(old.slots);
}

const MetaSaid *metadata_find(const TargetMeta *m, Str family)
{
    MetaSlot *s = m->cap ? slot_of(m, family_tag(family), family) : NULL;
    return s && s->text ? &s->text->said : NULL;
}

const MetaSaid *metadata_see(TargetMeta *m, Str family, u32 iter)
{
    MetaSlot *s = m->cap ? slot_of(m, family_tag(family), family) : NULL;
    if (!s || !s->text)
        return NULL;
    s->seen = iter;
    return &s->text->said;
}

void metadata_put(TargetMeta *m, const MetaSaid *said, u32 iter)
{
    if (m->len * 4 >= m->cap * 3)
        slots_resize(m, m->cap ? m->cap * 2 : 16);
    u32 tag = family_tag(said->family);
    MetaSlot *s = slot_of(m, tag, said->family);
    MetaText *old = s->text;
    m->len += !old;
    *s = (MetaSlot){text_get(said), tag, iter};
    if (old)
        text_drop(old);
}

void metadata_expire(TargetMeta *m, u32 iter, u32 age)
{
    u32 gone = 0;
    for (u32 i = 0; i < m->cap; i++)
        if (m->slots[i].text && iter - m->slots[i].seen > age) {
            text_drop(m->slots[i].text);
            m->slots[i].text = NULL;
            gone++;
        }
    if (!gone)
        return;
    m->len -= gone;
    slots_resize(m, m->cap); /* holes end searches: everything finds its place again */
}

const MetaSaid *metadata_next(const TargetMeta *m, u32 *cursor)
{
    while (*cursor < m->cap) {
        MetaText *t = m->slots[(*cursor)++].text;
        if (t)
            return &t->said;
    }
    return NULL;
}

void metadata_clear(TargetMeta *m)
{
    for (u32 i = 0; i < m->cap; i++)
        if (m->slots[i].text)
            text_drop(m->slots[i].text);
    mem_free(m->slots);
    *m = (TargetMeta){0};
}
