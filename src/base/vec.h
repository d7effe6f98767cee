/* Typed growable arrays and hash maps.
 *
 * VEC(T) declares a struct {T *at; size_t len, cap;}. Zero-initialised is empty. vec_done frees.
 *     VEC(Str) names = {0};  vec_push(&names, s);  for (size_t i = 0; i < names.len; i++) names.at[i] ...
 *
 * StrMap maps byte strings to void*; keys are copied in. U64Map maps u64 to u64. Both are open-addressing tables;
 * not thread-safe; iteration order is unspecified; removing while iterating is not allowed.
 */
#pragma once
#include "base/mem.h"

#define VEC(T)                                                                                               \
    struct {                                                                                                 \
        T *at;                                                                                               \
        size_t len, cap;                                                                                     \
    }
void *vec_grow_(void *at, size_t *cap, size_t need, size_t elem_bytes);
#define vec_reserve(v, n)                                                                                    \
    do {                                                                                                     \
        if ((v)->cap < (size_t)(n))                                                                          \
            (v)->at = vec_grow_((v)->at, &(v)->cap, (size_t)(n), sizeof((v)->at[0]));                        \
    } while (0)
#define vec_push(v, ...)                                                                                     \
    do {                                                                                                     \
        if ((v)->len == (v)->cap)                                                                            \
            (v)->at = vec_grow_((v)->at, &(v)->cap, (v)->len + 1, sizeof((v)->at[0]));                       \
        (v)->at[(v)->len++] = (__VA_ARGS__);                                                                 \
    } while (0)
#define vec_done(v)                                                                                          \
    do {                                                                                                     \
        mem_free((v)->at);                                                                                   \
        (v)->at = NULL;                                                                                      \
        (v)->len = (v)->cap = 0;                                                                             \
    } while (0)

typedef struct StrMapSlot {
    Str key; /* owned by the map; NULL at = free */
    u64 hash;
    void *value;
} StrMapSlot;
typedef struct StrMap {
    StrMapSlot *slots;
    size_t cap, len, used;
} StrMap;

void strmap_init(StrMap *m);                 /* zero-initialising is the same */
void strmap_done(StrMap *m);                 /* frees keys, not values */
void *strmap_find(const StrMap *m, Str key); /* NULL when absent */
bool strmap_has(const StrMap *m, Str key);
void *strmap_put(StrMap *m, Str key, void *value); /* returns the value replaced, or NULL */
void *strmap_del(StrMap *m, Str key);              /* returns the value removed, or NULL */
/* for (size_t i = 0; (slot = strmap_next(&m, &i));) */
StrMapSlot *strmap_next(const StrMap *m, size_t *cursor);

typedef struct U64Map {
    struct U64MapSlot {
        u64 key, value;
    } *slots;
    u8 *state;
    size_t cap, len, used;
} U64Map;
void u64map_done(U64Map *m);
u64 *u64map_find(const U64Map *m, u64 key);     /* NULL when absent; valid until the next put */
u64 *u64map_put(U64Map *m, u64 key, u64 value); /* inserts or replaces */
bool u64map_del(U64Map *m, u64 key);
bool u64map_next(const U64Map *m, size_t *cursor, u64 *ret_key, u64 *ret_value);
