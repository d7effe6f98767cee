#include "base/vec.h"

void *vec_grow_(void *at, size_t *cap, size_t need, size_t elem_bytes)
{
    size_t n = MAX(*cap * 2, MAX(need, (size_t)8));
    check(n <= SIZE_MAX / elem_bytes / 2);
    at = mem_realloc(at, n * elem_bytes);
    *cap = n;
    return at;
}

/* ---- StrMap: linear probing; a removed slot keeps key.at = TOMB so that probes go on ---- */

static const char tomb[1];

void strmap_init(StrMap *m)
{
    *m = (StrMap){0};
}

void strmap_done(StrMap *m)
{
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key.at && m->slots[i].key.at != tomb)
            mem_free((void *)m->slots[i].key.at);
    mem_free(m->slots);
    *m = (StrMap){0};
}

static StrMapSlot *strmap_probe(const StrMap *m, Str key, u64 hash)
{
    if (!m->cap)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        StrMapSlot *s = &m->slots[i];
        if (!s->key.at)
            return NULL;
        if (s->key.at != tomb && s->hash == hash && str_eq(s->key, key))
            return s;
    }
}

void *strmap_find(const StrMap *m, Str key)
{
    StrMapSlot *s = strmap_probe(m, key, hash_str(key));
    return s ? s->value : NULL;
}

bool strmap_has(const StrMap *m, Str key)
{
    return strmap_probe(m, key, hash_str(key)) != NULL;
}

static void strmap_grow(StrMap *m)
{
    StrMap old = *m;
    m->cap = !old.cap || old.len * 4 > old.cap ? MAX(old.cap * 2, (size_t)16)
                                               : old.cap; /* or only sweep the tombs */
    m->slots = mem_zalloc(m->cap * sizeof(StrMapSlot));
    m->used = m->len;
    for (size_t i = 0; i < old.cap; i++) {
        StrMapSlot *s = &old.slots[i];
        if (!s->key.at || s->key.at == tomb)
            continue;
        size_t j = s->hash & (m->cap - 1);
        while (m->slots[j].key.at)
            j = (j + 1) & (m->cap - 1);
        m->slots[j] = *s;
    }
    mem_free(old.slots);
}

void *strmap_put(StrMap *m, Str key, void *value)
{
    u64 hash = hash_str(key);
    StrMapSlot *s = strmap_probe(m, key, hash);
    if (s) {
        void *before = s->value;
        s->value = value;
        return before;
    }
    if ((m->used + 1) * 4 > m->cap * 3)
        strmap_grow(m);
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].key.at && m->slots[i].key.at != tomb)
        i = (i + 1) & (m->cap - 1);
    if (!m->slots[i].key.at)
        m->used++;
    m->slots[i] = (StrMapSlot){.key = mem_dup(key), .hash = hash, .value = value};
    m->len++;
    return NULL;
}

void *strmap_del(StrMap *m, Str key)
{
    StrMapSlot *s = strmap_probe(m, key, hash_str(key));
    if (!s)
        return NULL;
    void *value = s->value;
    mem_free((void *)s->key.at);
    *s = (StrMapSlot){.key = {tomb, 0}};
    m->len--;
    return value;
}

StrMapSlot *strmap_next(const StrMap *m, size_t *cursor)
{
    while (*cursor < m->cap) {
        StrMapSlot *s = &m->slots[(*cursor)++];
        if (s->key.at && s->key.at != tomb)
            return s;
    }
    return NULL;
}

/* ---- U64Map ---- */

enum { SLOT_FREE, SLOT_LIVE, SLOT_DEAD };

static inline u64 mix64(u64 x) /* finaliser of SplitMix64 */
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

void u64map_done(U64Map *m)
{
    mem_free(m->slots);
    mem_free(m->state);
    *m = (U64Map){0};
}

static bool u64map_probe(const U64Map *m, u64 key, size_t *ret)
{
    if (!m->cap)
        return false;
    for (size_t i = mix64(key) & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        if (m->state[i] == SLOT_FREE)
            return false;
        if (m->state[i] == SLOT_LIVE && m->slots[i].key == key)
            return *ret = i, true;
    }
}

u64 *u64map_find(const U64Map *m, u64 key)
{
    size_t i;
    return u64map_probe(m, key, &i) ? &m->slots[i].value : NULL;
}

static void u64map_grow(U64Map *m)
{
    U64Map old = *m;
    m->cap = !old.cap || old.len * 4 > old.cap ? MAX(old.cap * 2, (size_t)16) : old.cap;
    m->slots = mem_alloc(m->cap * sizeof m->slots[0]);
    m->state = mem_zalloc(m->cap);
    m->used = m->len;
    for (size_t i = 0; i < old.cap; i++) {
        if (old.state[i] != SLOT_LIVE)
            continue;
        size_t j = mix64(old.slots[i].key) & (m->cap - 1);
        while (m->state[j] != SLOT_FREE)
            j = (j + 1) & (m->cap - 1);
        m->slots[j] = old.slots[i];
        m->state[j] = SLOT_LIVE;
    }
    mem_free(old.slots);
    mem_free(old.state);
}

u64 *u64map_put(U64Map *m, u64 key, u64 value)
{
    size_t i;
    if (u64map_probe(m, key, &i)) {
        m->slots[i].value = value;
        return &m->slots[i].value;
    }
    if ((m->used + 1) * 4 > m->cap * 3)
        u64map_grow(m);
    i = mix64(key) & (m->cap - 1);
    while (m->state[i] == SLOT_LIVE)
        i = (i + 1) & (m->cap - 1);
    if (m->state[i] == SLOT_FREE)
        m->used++;
    m->state[i] = SLOT_LIVE;
    m->slots[i].key = key;
    m->slots[i].value = value;
    m->len++;
    return &m->slots[i].value;
}

bool u64map_del(U64Map *m, u64 key)
{
    size_t i;
    if (!u64map_probe(m, key, &i))
        return false;
    m->state[i] = SLOT_DEAD;
    m->len--;
    return true;
}

bool u64map_next(const U64Map *m, size_t *cursor, u64 *ret_key, u64 *ret_value)
{
    while (*cursor < m->cap) {
        size_t i = (*cursor)++;
        if (m->state[i] == SLOT_LIVE) {
            *ret_key = m->slots[i].key;
            *ret_value = m->slots[i].value;
            return true;
        }
    }
    return false;
}
