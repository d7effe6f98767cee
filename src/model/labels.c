/* Label sets: model.h. */
#include "model/model.h"

Str labels_get(Labels l, Str name)
{
    for (u32 i = 0; i < l.len; i++)
        if (str_eq(l.at[i].name, name))
            return l.at[i].value;
    return S("");
}

bool labels_has(Labels l, Str name)
{
    for (u32 i = 0; i < l.len; i++)
        if (str_eq(l.at[i].name, name))
            return true;
    return false;
}

bool labels_eq(Labels a, Labels b)
{
    if (a.len != b.len)
        return false;
    for (u32 i = 0; i < a.len; i++)
        if (!str_eq(a.at[i].name, b.at[i].name) || !str_eq(a.at[i].value, b.at[i].value))
            return false;
    return true;
}

int labels_cmp(Labels a, Labels b)
{
    u32 n = MIN(a.len, b.len);
    for (u32 i = 0; i < n; i++) {
        int c = str_cmp(a.at[i].name, b.at[i].name);
        if (!c)
            c = str_cmp(a.at[i].value, b.at[i].value);
        if (c)
            return c;
    }
    return (a.len > b.len) - (a.len < b.len);
}

static inline u64 hash_label(const Label *l, u64 h)
{
    h = hash_bytes(l->name.at, l->name.len, h);
    return hash_bytes(l->value.at, l->value.len, h + 0x9e3779b97f4a7c15ull);
}

u64 labels_hash(Labels l)
{
    u64 h = 0;
    for (u32 i = 0; i < l.len; i++)
        h = hash_label(&l.at[i], h);
    return h;
}

/* Both lists are sorted: one walk. `keep` says whether the names listed are hashed or skipped. */
static u64 hash_some(Labels l, const Str *names, u32 n, bool keep)
{
    u64 h = 0;
    u32 k = 0;
    for (u32 i = 0; i < l.len; i++) {
        while (k < n && str_cmp(names[k], l.at[i].name) < 0)
            k++;
        bool listed = k < n && str_eq(names[k], l.at[i].name);
        if (keep ? listed : !listed && !str_eq(l.at[i].name, LABEL_NAME))
            h = hash_label(&l.at[i], h);
    }
    return h;
}

u64 labels_hash_for(Labels l, const Str *names, u32 n)
{
    return hash_some(l, names, n, true);
}

u64 labels_hash_without(Labels l, const Str *names, u32 n)
{
    return hash_some(l, names, n, false);
}

static u64 fnv1a(u64 h, Str s)
{
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (u8)s.at[i]) * 1099511628211ull;
    return (h ^ 0xff) * 1099511628211ull;
}

u64 labels_fingerprint(Labels l)
{
    u64 h = 14695981039346656037ull;
    for (u32 i = 0; i < l.len; i++)
        h = fnv1a(fnv1a(h, l.at[i].name), l.at[i].value);
    return h;
}

Labels labels_dup(Arena *a, Labels l)
{
    size_t bytes = 0;
    for (u32 i = 0; i < l.len; i++)
        bytes += l.at[i].name.len + l.at[i].value.len;
    Label *at = arena_array(a, Label, l.len);
    char *text = arena_try(a, bytes);
    if (!at || !text)
        return (Labels){0};
    for (u32 i = 0; i < l.len; i++) {
        const Str from[2] = {l.at[i].name, l.at[i].value};
        Str to[2];
        for (int k = 0; k < 2; k++) {
            if (from[k].len)
                memcpy(text, from[k].at, from[k].len);
            to[k] = (Str){text, from[k].len};
            text += from[k].len;
        }
        at[i] = (Label){to[0], to[1]};
    }
    return (Labels){at, l.len};
}

bool label_name_is_classic(Str s)
{
    return metric_name_is_classic(s) && str_find_char(s, ':') == SIZE_MAX;
}

bool metric_name_is_classic(Str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
              (i && c >= '0' && c <= '9')))
            return false;
    }
    return s.len > 0;
}

void labels_print(Buf *out, Labels l)
{
    Str name = labels_get(l, LABEL_NAME);
    bool outside = name.len && metric_name_is_classic(name);
    if (outside)
        buf_str(out, name);
    u32 rest = l.len - (name.len ? 1 : 0);
    if (outside && !rest)
        return;
    buf_char(out, '{');
    bool first = true;
    if (name.len && !outside) {
        go_quote(out, name);
        first = false;
    }
    for (u32 i = 0; i < l.len; i++) {
        if (str_eq(l.at[i].name, LABEL_NAME))
            continue;
        if (!first)
            buf_c(out, ", ");
        first = false;
        if (label_name_is_classic(l.at[i].name))
            buf_str(out, l.at[i].name);
        else
            go_quote(out, l.at[i].name);
        buf_char(out, '=');
        go_quote(out, l.at[i].value);
    }
    buf_char(out, '}');
}

void labels_json(Json *j, Labels l)
{
    js_object(j);
    for (u32 i = 0; i < l.len; i++) {
        js_key(j, l.at[i].name);
        js_str_plain(j, l.at[i].value);
    }
    js_object_end(j);
}

/* ---- builder: an unsorted array, small enough that scanning beats anything cleverer ---- */

void lb_init(LabelsBuilder *b, Arena *arena, Labels from)
{
    *b = (LabelsBuilder){.arena = arena, .cap = from.len + 8};
    b->at = arena_array(arena, Label, b->cap);
    if (!b->at) {
        b->cap = 0;
        return;
    }
    if (from.len)
        memcpy(b->at, from.at, from.len * sizeof(Label));
    b->len = from.len;
}

Str lb_get(const LabelsBuilder *b, Str name)
{
    return labels_get((Labels){b->at, b->len}, name);
}

void lb_del(LabelsBuilder *b, Str name)
{
    for (u32 i = 0; i < b->len; i++)
        if (str_eq(b->at[i].name, name)) {
            memmove(b->at + i, b->at + i + 1, (b->len - i - 1) * sizeof(Label));
            b->len--;
            return;
        }
}

void lb_set(LabelsBuilder *b, Str name, Str value)
{
    if (!value.len) {
        lb_del(b, name);
        return;
    }
    for (u32 i = 0; i < b->len; i++)
        if (str_eq(b->at[i].name, name)) {
            b->at[i].value = value;
            return;
        }
    if (b->len == b->cap) {
        u32 cap = b->cap ? b->cap * 2 : 8;
        Label *grown = arena_array(b->arena, Label, cap);
        if (!grown)
            return; /* the arena is over: its owner gives up at the next test */
        if (b->len)
            memcpy(grown, b->at, b->len * sizeof(Label));
        b->at = grown;
        b->cap = cap;
    }
    b->at[b->len++] = (Label){name, value};
}

int label_order(const void *a, const void *b)
{
    return str_cmp(((const Label *)a)->name, ((const Label *)b)->name);
}

int labels_order(const void *a, const void *b)
{
    return labels_cmp(*(const Labels *)a, *(const Labels *)b);
}

Labels lb_build(LabelsBuilder *b)
{
    bool sorted = true;
    for (u32 i = 1; i < b->len && sorted; i++)
        sorted = str_cmp(b->at[i - 1].name, b->at[i].name) < 0;
    if (!sorted)
        qsort(b->at, b->len, sizeof(Label), label_order);
    return (Labels){b->at, b->len};
}

/* ---- owned label sets ---- */
Labels labels_own(Labels l)
{
    size_t bytes = l.len * sizeof(Label) + 1;
    for (u32 i = 0; i < l.len; i++)
        bytes += l.at[i].name.len + l.at[i].value.len;
    Label *at = mem_alloc(bytes);
    char *text = (char *)(at + l.len);
    for (u32 i = 0; i < l.len; i++) {
        Str from[2] = {l.at[i].name, l.at[i].value}, to[2];
        for (int k = 0; k < 2; k++) {
            if (from[k].len)
                memcpy(text, from[k].at, from[k].len);
            to[k] = str_of(text, from[k].len);
            text += from[k].len;
        }
        at[i] = (Label){to[0], to[1]};
    }
    return (Labels){at, l.len};
}

void labels_disown(Labels l)
{
    mem_free((void *)l.at);
}
