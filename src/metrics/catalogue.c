#include "metrics/catalogue.h"

/* ---- id tables ---- */

static void table_put_raw(IdTable *t, u32 tag, u32 id)
{
    u32 i = tag & (t->cap - 1);
    while (t->slots[i].id)
        i = (i + 1) & (t->cap - 1);
    t->slots[i] = (IdSlot){tag, id};
}

static void table_reserve(IdTable *t, u64 len)
{
    u64 cap = t->cap ? t->cap : 16;
    while (len * 4 > cap * 3)
        cap *= 2;
    if (cap == t->cap)
        return;
    IdTable old = *t;
    *t = (IdTable){mem_zalloc(cap * sizeof(IdSlot)), (u32)cap, old.len};
    for (u32 i = 0; i < old.cap; i++)
        if (old.slots[i].id)
            table_put_raw(t, old.slots[i].tag, old.slots[i].id);
    mem_free(old.slots);
}

static void table_put(IdTable *t, u32 tag, u32 id)
{
    table_reserve(t, (u64)t->len + 1);
    table_put_raw(t, tag, id);
    t->len++;
}

/* Many at once: where they go is fetched ahead of time, for each is a cache miss of its own. */
static void table_put_many(IdTable *t, const IdSlot *at, u32 n)
{
    enum { AHEAD = 16 };
    table_reserve(t, (u64)t->len + n);
    for (u32 i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(&t->slots[at[i + AHEAD].tag & (t->cap - 1)], 1);
        table_put_raw(t, at[i].tag, at[i].id);
    }
    t->len += n;
}

/* Without what is in bits. */
static void table_filter(IdTable *t, const u64 *bits, u32 words)
{
    IdTable old = *t;
    if (!old.cap)
        return;
    *t = (IdTable){mem_zalloc(old.cap * sizeof(IdSlot)), old.cap, 0};
    for (u32 i = 0; i < old.cap; i++) {
        u32 id = old.slots[i].id;
        if (!id || (id / 64 < words && bits[id / 64] >> (id % 64) & 1))
            continue;
        table_put_raw(t, old.slots[i].tag, id);
        t->len++;
    }
    mem_free(old.slots);
}

/* Closes the gap: what lies behind moves up unless it is already where its search begins. */
static void table_del(IdTable *t, u32 tag, u32 id)
{
    u32 mask = t->cap - 1, at = tag & mask;
    while (t->slots[at].id != id) {
        if (!t->slots[at].id)
            return;
        at = (at + 1) & mask;
    }
    for (u32 next = (at + 1) & mask; t->slots[next].id; next = (next + 1) & mask) {
        u32 home = t->slots[next].tag & mask;
        if (((next - home) & mask) < ((next - at) & mask))
            continue;
        t->slots[at] = t->slots[next];
        at = next;
    }
    t->slots[at] = (IdSlot){0};
    t->len--;
}

/* Walks the slots whose tag fits; `found` is the candidate. */
#define TABLE_EACH(t, want, found)                                                                           \
    if ((t)->cap)                                                                                            \
        for (u32 at_ = (want) & ((t)->cap - 1), found; (found = (t)->slots[at_].id);                         \
             at_ = (at_ + 1) & ((t)->cap - 1))                                                               \
            if ((t)->slots[at_].tag == (want))

/* ---- life ---- */

void catalogue_init(Catalogue *c, u32 shards)
{
    *c = (Catalogue){.shards = mem_zalloc(shards * sizeof(CatShard)), .shards_len = shards};
    rwlock_init(&c->lock);
    slab_init(&c->strings);
    slab_init(&c->records);
    seg_init(&c->names, sizeof(CatName));
    seg_init(&c->pairs, sizeof(CatPair));
    seg_init(&c->tails, sizeof(PostingTail));
    seg_init(&c->series, sizeof(u32));
    for (u32 i = 0; i < shards; i++)
        seg_init(&c->shards[i].locals, sizeof(u32));
}

void catalogue_done(Catalogue *c)
{
    for (u32 i = 1; i <= c->names_len; i++)
        vec_done(&((CatName *)seg_at(&c->names, i))->pairs);
    for (u32 i = 1; i <= c->pairs_len; i++) {
        PostingTail *t = seg_at(&c->tails, i);
        if (t->cap)
            mem_free(t->at);
    }
    for (u32 i = 0; i < c->shards_len; i++) {
        mem_free(c->shards[i].table.slots);
        seg_done(&c->shards[i].locals);
    }
    mem_free(c->shards);
    mem_free(c->name_table.slots);
    mem_free(c->pair_table.slots);
    mem_free(c->base);
    mem_free(c->base_off);
    mem_free(c->dead_pairs);
    seg_done(&c->series);
    seg_done(&c->tails);
    seg_done(&c->pairs);
    seg_done(&c->names);
    slab_done(&c->records);
    slab_done(&c->strings);
    rwlock_done(&c->lock);
}

/* ---- hashing and checking ---- */

/* Stored in segments: part of the format. Strings are separated by 0xff, which UTF-8 does not contain; a chain of hashes serves sets
 * longer than the buffer. */
static u64 labels_hash_all(Labels l)
{
    char flat[1024];
    size_t n = 0;
    u64 h = 0;
    for (u32 i = 0; i < l.len; i++) {
        size_t need = l.at[i].name.len + l.at[i].value.len + 2;
        if (n + need > sizeof flat) {
            h = hash_bytes(flat, n, h);
            n = 0;
        }
        if (need > sizeof flat) {
            h = hash_bytes(l.at[i].name.at, l.at[i].name.len, h);
            h = hash_bytes(l.at[i].value.at, l.at[i].value.len, h);
            continue;
        }
        memcpy(flat + n, l.at[i].name.at, l.at[i].name.len);
        n += l.at[i].name.len;
        flat[n++] = '\xff';
        memcpy(flat + n, l.at[i].value.at, l.at[i].value.len);
        n += l.at[i].value.len;
        flat[n++] = '\xff';
    }
    return hash_bytes(flat, n, h);
}

LabelsHash catalogue_hash(Labels l)
{
    LabelsHash h = {.labels = labels_hash_all(l)};
    const Label *job = NULL, *instance = NULL;
    for (u32 i = 0; i < l.len; i++) {
        const Label *x = &l.at[i];
        if (x->name.len == 3 && memcmp(x->name.at, "job", 3) == 0)
            job = x;
        else if (x->name.len == 8 && memcmp(x->name.at, "instance", 8) == 0)
            instance = x;
    }
    if (!job && !instance) {
        h.target = (u32)h.labels;
        return h;
    }
    if (job)
        h.target = (u32)hash_bytes(job->value.at, job->value.len, 1);
    if (instance)
        h.target = (u32)hash_bytes(instance->value.at, instance->value.len, h.target);
    return h;
}

Err catalogue_check_labels(Labels l, Why *why)
{
    if (l.len == 0)
        return why_set(why, E_INVALID, "empty label set");
    if (l.len > LABELS_MAX)
        return why_set(why, E_INVALID, "series has %u labels, at most %u are stored", l.len, LABELS_MAX);
    for (u32 i = 0; i < l.len; i++) {
        Str name = l.at[i].name, value = l.at[i].value;
        if (name.len == 0)
            return why_set(why, E_INVALID, "empty label name");
        if (value.len == 0)
            return why_set(why, E_INVALID, "label \"%.*s\" has no value", (int)MIN(name.len, 100), name.at);
        if (name.len > LABEL_BYTES_MAX || value.len > LABEL_BYTES_MAX)
            return why_set(why, E_INVALID, "label \"%.*s\" is longer than %u bytes", (int)MIN(name.len, 100),
                           name.at, LABEL_BYTES_MAX);
        if (!str_is_utf8(name) || !str_is_utf8(value))
            return why_set(why, E_INVALID, "label \"%.*s\" is not valid UTF-8", (int)MIN(name.len, 100),
                           name.at);
        int order = i ? str_cmp(l.at[i - 1].name, name) : -1;
        if (order == 0)
            return why_set(why, E_INVALID, "label name \"%.*s\" is not unique", (int)MIN(name.len, 100),
                           name.at);
        if (order > 0)
            return why_set(why, E_INVALID, "labels are not sorted: \"%.*s\" comes after \"%.*s\"",
                           (int)MIN(name.len, 100), name.at, (int)MIN(l.at[i - 1].name.len, 100),
                           l.at[i - 1].name.at);
    }
    return OK;
}

/* ---- reading ---- */

bool catalogue_is(const Catalogue *c, const u32 *rec, Labels l)
{
    if (record_labels(rec) != l.len)
        return false;
    for (u32 i = 0; i < l.len; i++) {
        CatPair p = catalogue_pair(c, rec[2 + i]);
        if (!str_eq(catalogue_str(c, p.value), l.at[i].value) ||
            !str_eq(catalogue_name(c, p.name), l.at[i].name))
            return false;
    }
    return true;
}

void catalogue_labels(const Catalogue *c, const u32 *rec, Label *out)
{
    for (u32 i = 0, n = record_labels(rec); i < n; i++) {
        CatPair p = catalogue_pair(c, rec[2 + i]);
        out[i] = (Label){catalogue_name(c, p.name), catalogue_str(c, p.value)};
    }
}

u32 catalogue_record_pair(const Catalogue *c, const u32 *rec, u32 name)
{
    for (u32 i = 0, n = record_labels(rec); i < n; i++)
        if (catalogue_pair(c, rec[2 + i]).name == name)
            return rec[2 + i];
    return 0;
}

u32 catalogue_find(const Catalogue *c, u32 shard, u64 hash, Labels l)
{
    const IdTable *t = &c->shards[shard].table;
    u32 tag = (u32)hash;
    TABLE_EACH(t, tag, sid)
    {
        if (catalogue_is(c, catalogue_record(c, sid), l))
            return sid;
    }
    return 0;
}

u32 catalogue_find_name(const Catalogue *c, Str name)
{
    u32 tag = (u32)hash_str(name);
    TABLE_EACH(&c->name_table, tag, id)
    {
        if (str_eq(catalogue_name(c, id), name))
            return id;
    }
    return 0;
}

static u32 pair_tag(u32 name, Str value)
{
    return (u32)hash_bytes(value.at, value.len, name);
}

u32 catalogue_find_pair(const Catalogue *c, u32 name, Str value)
{
    u32 tag = pair_tag(name, value);
    TABLE_EACH(&c->pair_table, tag, id)
    {
        CatPair p = catalogue_pair(c, id);
        if (p.name == name && str_eq(catalogue_str(c, p.value), value))
            return id;
    }
    return 0;
}

u32 catalogue_postings_base(const Catalogue *c, u32 pair, const u32 **ret)
{
    if (pair >= c->base_pairs)
        return 0;
    *ret = c->base + c->base_off[pair];
    return c->base_off[pair + 1] - c->base_off[pair];
}

u32 catalogue_postings_tail(const Catalogue *c, u32 pair, const u32 **ret)
{
    const PostingTail *t = seg_at(&c->tails, pair);
    *ret = t->cap ? t->at : t->in;
    return t->len;
}

u32 catalogue_postings_len(const Catalogue *c, u32 pair)
{
    const u32 *ignored;
    return catalogue_postings_base(c, pair, &ignored) + catalogue_postings_tail(c, pair, &ignored);
}

void catalogue_postings(const Catalogue *c, u32 pair, u32 *out)
{
    const u32 *at = NULL;
    u32 n = catalogue_postings_base(c, pair, &at);
    if (n)
        memcpy(out, at, n * sizeof(u32));
    u32 m = catalogue_postings_tail(c, pair, &at);
    memcpy(out + n, at, m * sizeof(u32));
}

CatPoint catalogue_point(Catalogue *c)
{
    rwlock_read(&c->lock);
    CatPoint p = {c->names_len, c->pairs_len, c->series_len};
    rwlock_unlock(&c->lock);
    return p;
}

/* ---- growing ---- */

static u32 string_add(Catalogue *c, Str s)
{
    u32 *at, ref = slab_alloc(&c->strings, (u32)(s.len + 2 + 3) / 4, &at);
    if (ref) {
        u16 n = (u16)s.len;
        memcpy(at, &n, 2);
        memcpy((char *)at + 2, s.at, s.len);
    }
    return ref;
}

/* The functions below run with `lock` held for writing, or on a catalogue nobody else knows. They return 0 when it is full. */
u32 catalogue_name_add(Catalogue *c, Str name)
{
    u32 ref = string_add(c, name);
    if (!ref || c->names_len + 2 >= SEG_MAX)
        return 0;
    u32 id = c->names_len + 1;
    seg_grow(&c->names, id + 1);
    ((CatName *)seg_at(&c->names, id))->text = ref;
    c->names_len = id;
    table_put(&c->name_table, (u32)hash_str(name), id);
    return id;
}

u32 catalogue_pair_add(Catalogue *c, u32 name, Str value)
{
    u32 ref = string_add(c, value);
    if (!ref || c->pairs_len + 2 >= SEG_MAX)
        return 0;
    u32 id = c->pairs_len + 1;
    seg_grow(&c->pairs, id + 1);
    seg_grow(&c->tails, id + 1);
    *(CatPair *)seg_at(&c->pairs, id) = (CatPair){name, ref};
    CatName *n = seg_at(&c->names, name);
    vec_push(&n->pairs, id);
    c->pairs_len = id;
    table_put(&c->pair_table, pair_tag(name, value), id);
    return id;
}

static void tail_push(Catalogue *c, u32 pair, u32 sid)
{
    PostingTail *t = seg_at(&c->tails, pair);
    if (t->cap == 0 && t->len == 2) {
        u32 *at = mem_alloc(6 * sizeof(u32));
        memcpy(at, t->in, sizeof t->in);
        t->at = at;
        t->cap = 6;
    } else if (t->cap && t->len == t->cap) {
        t->cap += t->cap / 2 + 1;
        t->at = mem_realloc(t->at, t->cap * sizeof(u32));
    }
    (t->cap ? t->at : t->in)[t->len++] = sid;
    c->tails_total++;
}

void catalogue_tag(Catalogue *c, u32 shard, const IdSlot *at, u32 n)
{
    table_put_many(&c->shards[shard].table, at, n);
}

/* A record for sid, known to its shard but neither to its table nor to the postings. */
u32 *catalogue_record_add(Catalogue *c, u32 sid, u32 shard, u32 labels)
{
    if (sid + 1 >= SEG_MAX)
        return NULL;
    u32 *rec, ref = slab_alloc(&c->records, 2 + labels, &rec);
    if (!ref)
        return NULL;
    CatShard *s = &c->shards[shard];
    seg_grow(&c->series, sid + 1);
    seg_grow(&s->locals, s->locals_len + 1);
    rec[0] = labels | shard << 16;
    rec[1] = s->locals_len;
    *(u32 *)seg_at(&s->locals, s->locals_len++) = sid;
    *(u32 *)seg_at(&c->series, sid) = ref;
    c->series_known++;
    return rec;
}

static bool pairs_of(Catalogue *c, Labels l, u32 *pairs)
{
    for (u32 i = 0; i < l.len; i++) {
        u32 name = catalogue_find_name(c, l.at[i].name);
        if (!name && !(name = catalogue_name_add(c, l.at[i].name)))
            return false;
        u32 pair = catalogue_find_pair(c, name, l.at[i].value);
        if (!pair && !(pair = catalogue_pair_add(c, name, l.at[i].value)))
            return false;
        pairs[i] = pair;
    }
    return true;
}

static bool series_put(Catalogue *c, u32 sid, u32 shard, u64 hash, Labels l)
{
    u32 pairs[LABELS_MAX], *rec;
    if (!pairs_of(c, l, pairs) || !(rec = catalogue_record_add(c, sid, shard, l.len)))
        return false;
    table_put(&c->shards[shard].table, (u32)hash, sid);
    memcpy(rec + 2, pairs, l.len * sizeof(u32));
    for (u32 i = 0; i < l.len; i++)
        tail_push(c, pairs[i], sid);
    atomic_store_explicit(&c->series_len, sid, memory_order_release);
    return true;
}

u32 catalogue_add(Catalogue *c, u32 shard, u64 hash, Labels l)
{
    rwlock_write(&c->lock);
    u32 sid = c->series_len + 1;
    bool added = series_put(c, sid, shard, hash, l);
    rwlock_unlock(&c->lock);
    return added ? sid : 0;
}

static void forget(Catalogue *c, u32 *rec)
{
    __atomic_store_n(&rec[0], rec[0] | RECORD_FORGOTTEN, __ATOMIC_RELAXED);
    c->series_known--;
    c->is_unordered = true;
}

/* Of two series with the same labels the one with the higher id is in use: the other was forgotten before it came, which a crash kept from
 * the disk. True: that is sid itself. */
static bool is_outlived(Catalogue *c, u32 sid, LabelsHash h, Labels l)
{
    u32 shard = h.target % c->shards_len, other = catalogue_find(c, shard, h.labels, l);
    if (!other || other == sid)
        return false;
    if (other > sid)
        return true;
    forget(c, (u32 *)catalogue_record(c, other));
    table_del(&c->shards[shard].table, (u32)h.labels, other);
    return false;
}

bool catalogue_add_at(Catalogue *c, u32 sid, Labels l)
{
    rwlock_write(&c->lock);
    bool added = false;
    /* Lanes are replayed one after another, so an id below the newest may still be a hole that this record fills. Postings of
     * such a series are out of order until they are packed. */
    if (sid && sid + 1 < SEG_MAX) {
        u32 newest = c->series_len;
        seg_grow(&c->series, sid + 1);
        if (*(u32 *)seg_at(&c->series, sid) == 0) {
            LabelsHash h = catalogue_hash(l);
            if (is_outlived(c, sid, h, l)) {
                rwlock_unlock(&c->lock);
                return false;
            }
            added = series_put(c, sid, h.target % c->shards_len, h.labels, l);
            if (newest > sid) {
                c->series_len = newest;
                c->is_unordered = true;
            }
        }
    }
    rwlock_unlock(&c->lock);
    return added;
}

void catalogue_reserve(Catalogue *c, CatPoint to)
{
    if (c->names_len < to.names) {
        seg_grow(&c->names, to.names + 1);
        c->names_len = to.names;
    }
    if (c->pairs_len < to.pairs) {
        seg_grow(&c->pairs, to.pairs + 1);
        seg_grow(&c->tails, to.pairs + 1);
        c->pairs_len = to.pairs;
    }
    if (c->series_len < to.series) {
        seg_grow(&c->series, to.series + 1);
        c->series_len = to.series;
    }
}

void catalogue_reserve_tables(Catalogue *c, CatPoint to)
{
    table_reserve(&c->name_table, to.names);
    table_reserve(&c->pair_table, to.pairs);
    u64 known = c->series_known, more = to.series > known ? to.series - known : 0;
    for (u32 i = 0; i < c->shards_len; i++)
        table_reserve(&c->shards[i].table, c->shards[i].table.len + more / c->shards_len);
}

/* ---- packing postings: a counting sort over all records, in order of id ---- */

static const u32 *known_record(const Catalogue *c, u32 sid)
{
    const u32 *rec = catalogue_record(c, sid);
    return rec && !record_is_forgotten(rec) ? rec : NULL;
}

void catalogue_pack(Catalogue *c, bool always)
{
    rwlock_write(&c->lock);
    u32 base_len = c->base_pairs ? c->base_off[c->base_pairs] : 0;
    if (!always && !c->is_unordered && c->tails_total < 262144 + base_len / 2) {
        rwlock_unlock(&c->lock);
        return;
    }
    u32 pairs = c->pairs_len + 1, series = c->series_len;
    u32 *off = mem_zalloc(((size_t)pairs + 1) * sizeof(u32));
    for (u32 sid = 1; sid <= series; sid++) {
        const u32 *rec = known_record(c, sid);
        for (u32 i = 0, n = rec ? record_labels(rec) : 0; i < n; i++)
            off[rec[2 + i] + 1]++;
    }
    for (u32 p = 1; p <= pairs; p++)
        off[p] += off[p - 1];
    /* Filling moves each start to its end, which is the next one's start: shifted back below. */
    u32 *base = mem_alloc(((size_t)off[pairs] + 1) * sizeof(u32));
    for (u32 sid = 1; sid <= series; sid++) {
        const u32 *rec = known_record(c, sid);
        for (u32 i = 0, n = rec ? record_labels(rec) : 0; i < n; i++)
            base[off[rec[2 + i]]++] = sid;
    }
    memmove(off + 1, off, (size_t)pairs * sizeof(u32));
    off[0] = 0;
    for (u32 p = 1; p < pairs; p++) {
        PostingTail *t = seg_at(&c->tails, p);
        if (t->cap)
            mem_free(t->at);
        *t = (PostingTail){0};
    }
    mem_free(c->base);
    mem_free(c->base_off);
    c->base = base;
    c->base_off = off;
    c->base_pairs = pairs;
    c->tails_total = 0;
    c->is_unordered = false;
    rwlock_unlock(&c->lock);
}

/* ---- forgetting ---- */

u32 catalogue_forget(Catalogue *c, u32 shard, const u64 *bits, u32 words)
{
    u32 n = 0;
    CatShard *s = &c->shards[shard];
    rwlock_write(&c->lock);
    for (u32 i = 0; i < s->locals_len; i++) {
        u32 sid = *(u32 *)seg_at(&s->locals, i);
        if (sid / 64 >= words || !(bits[sid / 64] >> (sid % 64) & 1))
            continue;
        forget(c, (u32 *)catalogue_record(c, sid));
        n++;
    }
    if (n)
        table_filter(&s->table, bits, words);
    rwlock_unlock(&c->lock);
    return n;
}

static bool pair_is_dead(const Catalogue *c, u32 pair)
{
    return pair / 64 < c->dead_words && c->dead_pairs[pair / 64] >> (pair % 64) & 1;
}

void catalogue_forget_pairs(Catalogue *c)
{
    catalogue_pack(c, true);
    rwlock_write(&c->lock);
    u32 words = c->pairs_len / 64 + 1;
    c->dead_pairs = mem_realloc(c->dead_pairs, words * sizeof(u64));
    memset(c->dead_pairs + c->dead_words, 0, (words - c->dead_words) * sizeof(u64));
    c->dead_words = words;
    for (u32 pair = 1; pair <= c->pairs_len; pair++)
        if (catalogue_postings_len(c, pair) == 0)
            c->dead_pairs[pair / 64] |= (u64)1 << (pair % 64);
    table_filter(&c->pair_table, c->dead_pairs, words);
    for (u32 i = 1; i <= c->names_len; i++) {
        CatName *n = seg_at(&c->names, i);
        size_t kept = 0;
        for (size_t k = 0; k < n->pairs.len; k++)
            if (!pair_is_dead(c, n->pairs.at[k]))
                n->pairs.at[kept++] = n->pairs.at[k];
        n->pairs.len = kept;
    }
    rwlock_unlock(&c->lock);
}

size_t catalogue_bytes(Catalogue *c)
{
    rwlock_read(&c->lock);
    size_t n = slab_bytes(&c->strings) + slab_bytes(&c->records) + (size_t)c->names_len * sizeof(CatName) +
               (size_t)c->pairs_len * (sizeof(CatPair) + sizeof(PostingTail) + sizeof(u32) * 2) +
               (size_t)c->series_len * 2 * sizeof(u32) +
               ((size_t)c->name_table.cap + c->pair_table.cap) * sizeof(IdSlot) +
               (c->base_pairs ? c->base_off[c->base_pairs] : 0) * sizeof(u32) + c->tails_total * sizeof(u32);
    n += (size_t)c->series_len * sizeof(IdSlot) * 2;
    rwlock_unlock(&c->lock);
    return n;
}
