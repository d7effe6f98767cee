/* The outbox: an in-memory queue and a map of facts, and a log from which both are rebuilt.
 *
 * Each change is a record; a caller returns when a sync has covered its record (callers that come together share one), and
 * only then changes the memory. When more than half of the file is garbage the live state is written into a new file, which
 * takes the place of the old one by a rename: file names carry a generation, the highest one counts. */
#include "store/outbox_int.h"

#include <limits.h>
#include <stdio.h>

typedef struct Item {
    OutboxItem i; /* key and body follow in the same block */
    bool is_taken;
} Item;
typedef struct Letter {
    OutboxItem i;
    Str reason;
    i64 at_ms;
} Letter;
typedef struct Fact {
    size_t len;
    char at[];
} Fact;
typedef struct Due {
    i64 at; /* time, or id in the heap of ready ones */
    u64 id;
} Due;
typedef VEC(Due) Heap;

/* Records that are written and synced together. */
typedef struct Group {
    Buf buf;
    VEC(RecHead) heads;
    u32 callers;
    bool is_done;
    Err err;
    Why why;
} Group;

struct Outbox {
    Vfs *vfs;
    Clock *clock;
    char *dir;
    Mutex m;
    Cond changed;
    /* the file; during a write the leader's, otherwise under m */
    File *file;
    u64 generation, salt, bytes, next_number, synced;
    Group groups[2];
    u32 filling;
    bool is_writing, is_checkpoint_due;
    u64 checkpoint_bytes; /* not before the file has this size */
    Err err;
    Why why;
    /* the state */
    U64Map items; /* id -> Item * */
    StrMap keys;  /* key -> number of its queued items */
    Heap waiting, ready;
    StrMap facts; /* -> Fact */
    VEC(Letter) letters;
    u64 next_id, queue_bytes, fact_bytes, letter_bytes; /* as they would be in a checkpoint */
};

/* ---- a heap of what is due: smallest `at` first, then id ---- */

static bool due_less(Due a, Due b)
{
    return a.at != b.at ? a.at < b.at : a.id < b.id;
}

static void heap_push(Heap *h, Due d)
{
    vec_push(h, d);
    for (size_t i = h->len - 1; i && due_less(h->at[i], h->at[(i - 1) / 2]); i = (i - 1) / 2) {
        Due t = h->at[i];
        h->at[i] = h->at[(i - 1) / 2];
        h->at[(i - 1) / 2] = t;
    }
}

static void heap_pop(Heap *h)
{
    h->at[0] = h->at[--h->len];
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1;
        if (left < h->len && due_less(h->at[left], h->at[least]))
            least = left;
        if (left + 1 < h->len && due_less(h->at[left + 1], h->at[least]))
            least = left + 1;
        if (least == i)
            return;
        Due t = h->at[i];
        h->at[i] = h->at[least];
        h->at[least] = t;
        i = least;
    }
}

/* ---- the state in memory ---- */

static u64 item_bytes(const OutboxItem *i)
{
    return rec_bytes(20 + i->key.len + i->body.len);
}

static u64 fact_bytes(Str key, size_t value_len)
{
    return rec_bytes(8 + key.len + value_len);
}

static Item *find(const Outbox *o, u64 id)
{
    u64 *at = u64map_find(&o->items, id);
    return at ? (Item *)(uintptr_t)*at : NULL;
}

static void count_key(Outbox *o, Str key, intptr_t by)
{
    intptr_t n = (intptr_t)strmap_find(&o->keys, key) + by;
    if (n)
        strmap_put(&o->keys, key, (void *)n);
    else
        strmap_del(&o->keys, key);
}

static void insert(Outbox *o, const OutboxItem *src)
{
    Item *it = mem_alloc(sizeof *it + src->key.len + src->body.len);
    *it = (Item){.i = *src};
    char *at = (char *)(it + 1);
    if (src->key.len)
        memcpy(at, src->key.at, src->key.len);
    if (src->body.len)
        memcpy(at + src->key.len, src->body.at, src->body.len);
    it->i.key.at = at;
    it->i.body.at = at + src->key.len;
    u64map_put(&o->items, src->id, (u64)(uintptr_t)it);
    heap_push(&o->waiting, (Due){src->not_before_ms, src->id});
    count_key(o, it->i.key, 1);
    o->queue_bytes += item_bytes(src);
    o->next_id = MAX(o->next_id, src->id + 1);
}

static void remove_item(Outbox *o, Item *it)
{
    u64map_del(&o->items, it->i.id);
    count_key(o, it->i.key, -1);
    o->queue_bytes -= item_bytes(&it->i);
    mem_free(it);
}

static void free_letter(Outbox *o, size_t n)
{
    Letter *l = &o->letters.at[n];
    o->letter_bytes -= rec_bytes(20 + l->i.key.len + l->reason.len);
    mem_free((void *)l->i.key.at);
    mem_free((void *)l->reason.at);
}

static void insert_letter(Outbox *o, const OutboxItem *i, Str reason, i64 at_ms)
{
    if (o->letters.len >= OUTBOX_LETTERS_MAX) {
        free_letter(o, 0);
        memmove(o->letters.at, o->letters.at + 1, --o->letters.len * sizeof(Letter));
    }
    Letter l = {.i = *i, .reason = mem_dup(reason), .at_ms = at_ms};
    l.i.key = mem_dup(i->key);
    l.i.body = S("");
    vec_push(&o->letters, l);
    o->letter_bytes += rec_bytes(20 + l.i.key.len + l.reason.len);
}

static void set_fact(Outbox *o, Str key, Str value)
{
    Fact *old;
    if (value.len) {
        Fact *f = mem_alloc(sizeof *f + value.len);
        f->len = value.len;
        memcpy(f->at, value.at, value.len);
        old = strmap_put(&o->facts, key, f);
        o->fact_bytes += fact_bytes(key, value.len);
    } else {
        old = strmap_del(&o->facts, key);
    }
    if (old)
        o->fact_bytes -= fact_bytes(key, old->len);
    mem_free(old);
}

bool outbox_change_decode(const RecHead *h, Str body, OutboxChange *ret)
{
    Bytes in = bytes_of(body);
    *ret = (OutboxChange){.key = S(""), .text = S("")};
    switch (h->type) {
    case OUTBOX_META:
        return h->seq < OUTBOX_ID_MAX;
    case OUTBOX_ITEM:
    case OUTBOX_LETTER:
        ret->attempts = bytes_u32(&in);
        ret->time_ms = (i64)bytes_u64(&in);
        __attribute__((fallthrough));
    case OUTBOX_ADD:
    case OUTBOX_FACT:
        ret->key = bytes_name(&in);
        ret->text = bytes_name(&in);
        return !in.bad && in.at == in.end && (h->type == OUTBOX_FACT || (h->seq && h->seq < OUTBOX_ID_MAX));
    case OUTBOX_RETRY:
    case OUTBOX_DONE:
    case OUTBOX_DEAD:
        ret->text = body;
        return true;
    default:
        return false;
    }
}

/* One record's change. E_CORRUPT when a record does not fit its format: its checksum was right, so that is no rot. */
static Err apply(void *arg, const RecHead *h, Str body, Why *why)
{
    Outbox *o = arg;
    OutboxChange c;
    Item *it = find(o, h->seq);
    i64 aux = (i64)h->aux;
    if (!outbox_change_decode(h, body, &c) || (it && (h->type == OUTBOX_ADD || h->type == OUTBOX_ITEM)))
        return why_set(why, E_CORRUPT, "%s: record %llu (type %u) makes no sense", o->dir,
                       (unsigned long long)h->number, h->type);
    switch (h->type) {
    case OUTBOX_META:
        o->next_id = MAX(o->next_id, h->seq);
        break;
    case OUTBOX_ADD:
        insert(o, &(OutboxItem){.id = h->seq, .key = c.key, .body = c.text, .created_ms = aux});
        break;
    case OUTBOX_ITEM:
        insert(o, &(OutboxItem){.id = h->seq,
                                .key = c.key,
                                .body = c.text,
                                .attempts = c.attempts,
                                .not_before_ms = c.time_ms,
                                .created_ms = aux});
        break;
    case OUTBOX_RETRY:
        if (it) {
            it->i.attempts++;
            it->i.not_before_ms = aux;
            it->is_taken = false;
            heap_push(&o->waiting, (Due){aux, it->i.id});
        }
        break;
    case OUTBOX_DEAD:
        if (it)
            insert_letter(o, &it->i, c.text, aux);
        __attribute__((fallthrough));
    case OUTBOX_DONE:
        if (it)
            remove_item(o, it);
        break;
    case OUTBOX_LETTER:
        insert_letter(
            o, &(OutboxItem){.id = h->seq, .key = c.key, .attempts = c.attempts, .created_ms = c.time_ms},
            c.text, aux);
        break;
    case OUTBOX_FACT:
        set_fact(o, c.key, c.text);
        break;
    }
    return OK;
}

/* ---- writing: callers gather in a group, one of them writes it ---- */

static void path_of(const Outbox *o, u64 generation, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%020llu.obx", o->dir, (unsigned long long)generation);
}

static void encode_op(Buf *buf, u32 type, u64 id, u64 aux, Str body, RecHead *ret)
{
    static const u8 zeros[REC_HEAD_BYTES];
    *ret = (RecHead){
        .len = (u32)body.len, .body_crc = crc32c(0, body.at, body.len), .type = type, .seq = id, .aux = aux};
    buf_put(buf, zeros, REC_HEAD_BYTES);
    buf_str(buf, body);
    buf_put(buf, zeros, -body.len & 7);
}

static Err stop(Outbox *o, Why *why)
{
    LOG_ERROR("outbox", "Stopped for ever: restart to recover from what is on disk", LF_C("dir", o->dir),
              LF_WHY(why));
    o->err = E_IO;
    o->why = *why;
    return E_IO;
}

/* Numbers from `number` on are given to the heads in buf. */
static void encode_heads(Group *g, u64 number, u64 synced, u64 salt)
{
    size_t off = 0;
    for (size_t i = 0; i < g->heads.len; i++) {
        RecHead *h = &g->heads.at[i];
        h->number = number + i;
        h->synced = synced;
        rec_head_encode((u8 *)g->buf.at + off, h, salt);
        off += rec_bytes(h->len);
    }
}

/* m held; released while the disk works. */
static void lead(Outbox *o, Group *g)
{
    o->is_writing = true;
    o->filling ^= 1;
    encode_heads(g, o->next_number, o->synced, o->salt);
    mutex_unlock(&o->m);
    Vfs *v = o->vfs;
    Why why = {0};
    Err e = v->pwrite(o->file, o->bytes, g->buf.at, g->buf.len, &why);
    bool is_cut = false;
    if (e == E_NOSPACE) {
        Why cut;
        is_cut = v->truncate(o->file, o->bytes, &cut) == OK && v->sync(o->file, &cut) == OK;
    } else if (e == OK) {
        e = v->sync(o->file, &why) == OK ? OK : E_IO;
    }
    mutex_lock(&o->m);
    if (e == OK) {
        o->bytes += g->buf.len;
        o->next_number += g->heads.len;
        o->synced = o->next_number - 1;
    } else if (!is_cut) {
        e = stop(o, &why);
    }
    g->err = e;
    g->why = why;
    g->is_done = true;
    o->is_writing = false;
    cond_broadcast(&o->changed);
}

/* m held throughout, but for the wait. OK = the record is on disk. */
static Err commit(Outbox *o, u32 type, u64 id, u64 aux, Str body, Why *why)
{
    while (o->is_checkpoint_due && o->err == OK)
        cond_wait(&o->changed, &o->m);
    Group *g;
    while ((g = &o->groups[o->filling])->is_done || g->buf.len > OUTBOX_BODY_MAX)
        cond_wait(&o->changed, &o->m);
    if (o->err != OK)
        return why_set(why, o->err, "%s: the outbox has stopped: %s", o->dir, o->why.text);
    RecHead h;
    encode_op(&g->buf, type, id, aux, body, &h);
    check(!buf_over(&g->buf));
    vec_push(&g->heads, h);
    g->callers++;
    while (!g->is_done) {
        if (!o->is_writing && g == &o->groups[o->filling] && !o->groups[o->filling ^ 1].is_done)
            lead(o, g);
        else
            cond_wait(&o->changed, &o->m);
    }
    Err e = g->err;
    if (e != OK && why)
        *why = g->why, why->err = e;
    if (--g->callers == 0) {
        buf_clear(&g->buf);
        if (g->buf.cap > OUTBOX_BODY_MAX / 4)
            buf_release(&g->buf);
        g->heads.len = 0;
        g->is_done = false;
        cond_broadcast(&o->changed);
    }
    return e;
}

/* ---- checkpoints ---- */

/* A file under way: records gather in buf and are written in pieces. */
typedef struct Checkpoint {
    Outbox *o;
    File *file;
    Buf buf, body;
    u64 bytes, number, salt;
    Err err;
    Why *why;
} Checkpoint;

static void flush(Checkpoint *c)
{
    if (c->err == OK && c->buf.len)
        c->err = c->o->vfs->pwrite(c->file, c->bytes, c->buf.at, c->buf.len, c->why);
    c->bytes += c->buf.len;
    buf_clear(&c->buf);
}

static void emit(Checkpoint *c, u32 type, u64 id, u64 aux)
{
    if (c->buf.len > 1 << 20)
        flush(c);
    RecHead h;
    size_t off = c->buf.len;
    encode_op(&c->buf, type, id, aux, buf_view(&c->body), &h);
    h.number = c->number++;
    rec_head_encode((u8 *)c->buf.at + off, &h, c->salt);
    buf_clear(&c->body);
}

static int by_id(const void *a, const void *b)
{
    u64 x = (*(Item *const *)a)->i.id, y = (*(Item *const *)b)->i.id;
    return x < y ? -1 : x > y;
}

static void emit_state(Checkpoint *c)
{
    Outbox *o = c->o;
    emit(c, OUTBOX_META, o->next_id, 0);
    VEC(Item *) sorted = {0};
    size_t cursor = 0;
    u64 key, value;
    while (u64map_next(&o->items, &cursor, &key, &value))
        vec_push(&sorted, (Item *)(uintptr_t)value);
    if (sorted.len)
        qsort(sorted.at, sorted.len, sizeof(Item *), by_id);
    for (size_t i = 0; i < sorted.len; i++) {
        const OutboxItem *it = &sorted.at[i]->i;
        buf_u32(&c->body, it->attempts);
        buf_u64(&c->body, (u64)it->not_before_ms);
        buf_name(&c->body, it->key);
        buf_name(&c->body, it->body);
        emit(c, OUTBOX_ITEM, it->id, (u64)it->created_ms);
    }
    vec_done(&sorted);
    for (size_t i = 0; i < o->letters.len; i++) {
        const Letter *l = &o->letters.at[i];
        buf_u32(&c->body, l->i.attempts);
        buf_u64(&c->body, (u64)l->i.created_ms);
        buf_name(&c->body, l->i.key);
        buf_name(&c->body, l->reason);
        emit(c, OUTBOX_LETTER, l->i.id, (u64)l->at_ms);
    }
    StrMapSlot *s;
    for (cursor = 0; (s = strmap_next(&o->facts, &cursor));) {
        const Fact *f = s->value;
        buf_name(&c->body, s->key);
        buf_name(&c->body, str_of(f->at, f->len));
        emit(c, OUTBOX_FACT, 0, 0);
    }
    flush(c);
}

/* m held. Writes generation + 1 and makes it the file. After an error before the rename all is as it was (the caller may go
 * on); after the rename a failure stops the outbox, because nobody knows which file a power cut would leave. */
static Err write_checkpoint(Outbox *o, Why *why)
{
    Vfs *v = o->vfs;
    char path[PATH_MAX], tmp[PATH_MAX + 8], old[PATH_MAX];
    path_of(o, o->generation + 1, path);
    path_of(o, o->generation, old);
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    Checkpoint c = {.o = o, .number = 1, .salt = random_u64() | 1, .why = why};
    TRY(v->open(v, tmp, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &c.file, why));
    buf_init(&c.buf, 2 * OUTBOX_BODY_MAX + (4 << 20));
    buf_init(&c.body, OUTBOX_BODY_MAX + OUTBOX_KEY_MAX + 4096);
    recfile_head_encode(&c.buf,
                        &(RecFileHead){.kind = RECFILE_OUTBOX,
                                       .epoch = o->generation + 1,
                                       .salt = c.salt,
                                       .first = 1,
                                       .created_ns = clock_wall_ns(o->clock)},
                        S(""));
    emit_state(&c);
    Err e = c.err;
    buf_done(&c.buf);
    buf_done(&c.body);
    if (e == OK)
        e = v->sync(c.file, why);
    if (e == OK)
        e = v->rename(v, tmp, path, why);
    if (e != OK) {
        v->close(c.file);
        v->unlink(v, tmp, NULL);
        return e;
    }
    if (v->sync_dir(v, o->dir, why) != OK) {
        v->close(c.file);
        return stop(o, why);
    }
    if (o->file) {
        v->close(o->file);
        v->unlink(v, old, NULL); /* when it stays, the next open removes it */
    }
    o->file = c.file;
    o->generation++;
    o->salt = c.salt;
    o->bytes = c.bytes;
    o->next_number = c.number;
    o->synced = c.number - 1;
    o->checkpoint_bytes = MAX((u64)OUTBOX_GARBAGE_MIN, 2 * c.bytes);
    return OK;
}

/* m held, after each change: when half of the file is garbage, new callers wait, and the last one that is under way writes
 * the checkpoint. */
static void maybe_checkpoint(Outbox *o)
{
    u64 live = RECFILE_HEAD_BYTES + o->queue_bytes + o->fact_bytes + o->letter_bytes;
    if (o->err != OK || (!o->is_checkpoint_due && (o->bytes < o->checkpoint_bytes || o->bytes < 2 * live)))
        return;
    o->is_checkpoint_due = true;
    if (o->is_writing || o->groups[0].callers || o->groups[1].callers)
        return;
    Why why;
    if (write_checkpoint(o, &why) != OK && o->err == OK) {
        LOG_WARN("outbox", "No checkpoint could be written; the log grows on", LF_C("dir", o->dir),
                 LF_WHY(&why));
        o->checkpoint_bytes = o->bytes + o->bytes / 2;
    }
    o->is_checkpoint_due = false;
    cond_broadcast(&o->changed);
}

/* ---- what callers do ---- */

/* Commits the record and applies it. */
static Err change(Outbox *o, u32 type, u64 id, u64 aux, Str body, Why *why)
{
    Err e = commit(o, type, id, aux, body, why);
    if (e == OK) {
        RecHead h = {.type = type, .seq = id, .aux = aux};
        check(apply(o, &h, body, NULL) == OK);
    }
    maybe_checkpoint(o);
    return e;
}

Err outbox_add(Outbox *o, Str key, Str body, u64 *ret_id, Why *why)
{
    if (key.len > OUTBOX_KEY_MAX || body.len > OUTBOX_BODY_MAX)
        return why_set(why, E_TOO_LARGE, "a message of %zu bytes with a key of %zu: at most %d and %d",
                       body.len, key.len, OUTBOX_BODY_MAX, OUTBOX_KEY_MAX);
    Buf rec;
    buf_init(&rec, 8 + key.len + body.len);
    buf_name(&rec, key);
    buf_name(&rec, body);
    mutex_lock(&o->m);
    Err e;
    if (o->queue_bytes + rec.len > OUTBOX_QUEUE_BYTES_MAX) {
        e = why_set(why, E_BUSY, "%s: %zu messages wait already, %d MiB", o->dir, o->items.len,
                    OUTBOX_QUEUE_BYTES_MAX >> 20);
    } else {
        u64 id = o->next_id++;
        e = change(o, OUTBOX_ADD, id, (u64)clock_wall_ms(o->clock), buf_view(&rec), why);
        if (e == OK && ret_id)
            *ret_id = id;
    }
    mutex_unlock(&o->m);
    buf_done(&rec);
    return e;
}

Err outbox_take(Outbox *o, i64 now_ms, Arena *arena, OutboxItem *ret, i64 *ret_next_ms)
{
    mutex_lock(&o->m);
    Item *it = NULL;
    Err e = E_NOT_FOUND;
    i64 next = 0;
    while (o->waiting
               .len) { /* what became due joins the ready ones; entries whose item changed since are stale */
        Due d = o->waiting.at[0];
        it = find(o, d.id);
        bool is_stale = !it || it->is_taken || it->i.not_before_ms != d.at;
        if (!is_stale && d.at > now_ms) {
            next = d.at;
            break;
        }
        heap_pop(&o->waiting);
        if (!is_stale)
            heap_push(&o->ready, (Due){(i64)d.id, d.id});
    }
    while (o->ready.len) {
        Due d = o->ready.at[0];
        it = find(o, d.id);
        if (it && !it->is_taken && it->i.not_before_ms <= now_ms) {
            e = OK;
            break;
        }
        heap_pop(&o->ready);
        if (it && !it->is_taken) { /* the wall clock went back */
            heap_push(&o->waiting, (Due){it->i.not_before_ms, d.id});
            next = o->waiting.at[0].at;
        }
    }
    if (e == OK) {
        char *at = arena_array(arena, char, it->i.key.len + it->i.body.len + 1);
        if (at) {
            memcpy(at, it + 1, it->i.key.len + it->i.body.len);
            *ret = it->i;
            ret->key.at = at;
            ret->body.at = at + it->i.key.len;
            it->is_taken = true;
            heap_pop(&o->ready);
        } else {
            e = E_LIMIT;
        }
    }
    mutex_unlock(&o->m);
    if (ret_next_ms)
        *ret_next_ms = e == E_NOT_FOUND ? next : 0;
    return e;
}

static Err finish(Outbox *o, u32 type, u64 id, u64 aux, Str note, Why *why)
{
    mutex_lock(&o->m);
    Err e = find(o, id)
                ? change(o, type, id, aux, str_sub(note, 0, OUTBOX_NOTE_MAX), why)
                : why_set(why, E_NOT_FOUND, "%s: no message %llu is queued", o->dir, (unsigned long long)id);
    mutex_unlock(&o->m);
    return e;
}

Err outbox_retry(Outbox *o, u64 id, i64 not_before_ms, Str reason, Why *why)
{
    return finish(o, OUTBOX_RETRY, id, (u64)not_before_ms, reason, why);
}

Err outbox_done(Outbox *o, u64 id, Str provider_id, Why *why)
{
    return finish(o, OUTBOX_DONE, id, (u64)clock_wall_ms(o->clock), provider_id, why);
}

Err outbox_dead(Outbox *o, u64 id, Str reason, Why *why)
{
    return finish(o, OUTBOX_DEAD, id, (u64)clock_wall_ms(o->clock), reason, why);
}

bool outbox_has(Outbox *o, Str key)
{
    mutex_lock(&o->m);
    bool yes = strmap_has(&o->keys, key);
    mutex_unlock(&o->m);
    return yes;
}

void outbox_dead_letters(Outbox *o, void (*fn)(void *arg, const OutboxItem *i, Str reason, i64 at_ms),
                         void *arg)
{
    mutex_lock(&o->m);
    for (size_t i = 0; i < o->letters.len; i++)
        fn(arg, &o->letters.at[i].i, o->letters.at[i].reason, o->letters.at[i].at_ms);
    mutex_unlock(&o->m);
}

Err outbox_fact_set(Outbox *o, Str key, Str value, Why *why)
{
    if (key.len > OUTBOX_KEY_MAX || value.len > OUTBOX_BODY_MAX)
        return why_set(why, E_TOO_LARGE, "a fact of %zu bytes with a key of %zu: at most %d and %d",
                       value.len, key.len, OUTBOX_BODY_MAX, OUTBOX_KEY_MAX);
    Buf rec;
    buf_init(&rec, 8 + key.len + value.len);
    buf_name(&rec, key);
    buf_name(&rec, value);
    mutex_lock(&o->m);
    const Fact *old = strmap_find(&o->facts, key);
    Err e = OK;
    bool is_same = old ? str_eq(str_of(old->at, old->len), value) : value.len == 0;
    if (!is_same && value.len && o->fact_bytes + fact_bytes(key, value.len) > OUTBOX_FACT_BYTES_MAX)
        e = why_set(why, E_BUSY, "%s: facts fill their %d MiB", o->dir, OUTBOX_FACT_BYTES_MAX >> 20);
    else if (!is_same)
        e = change(o, OUTBOX_FACT, 0, 0, buf_view(&rec), why);
    mutex_unlock(&o->m);
    buf_done(&rec);
    return e;
}

Str outbox_fact(Outbox *o, Str key, Arena *arena)
{
    mutex_lock(&o->m);
    const Fact *f = strmap_find(&o->facts, key);
    Str r = f ? arena_dup(arena, str_of(f->at, f->len)) : S("");
    mutex_unlock(&o->m);
    return r;
}

void outbox_facts(Outbox *o, Str prefix, void (*fn)(void *arg, Str key, Str value), void *arg)
{
    mutex_lock(&o->m);
    size_t cursor = 0;
    StrMapSlot *s;
    while ((s = strmap_next(&o->facts, &cursor))) {
        const Fact *f = s->value;
        if (str_starts(s->key, prefix))
            fn(arg, s->key, str_of(f->at, f->len));
    }
    mutex_unlock(&o->m);
}

u64 outbox_queued(Outbox *o)
{
    mutex_lock(&o->m);
    u64 n = o->items.len;
    mutex_unlock(&o->m);
    return n;
}

/* ---- life ---- */

typedef struct Generations {
    VEC(u64) all;
    VEC(u64) temps;
} Generations;

static bool take_name(void *arg, const char *name, bool is_dir)
{
    Generations *g = arg;
    if (is_dir || strspn(name, "0123456789") != 20)
        return true;
    if (!strcmp(name + 20, ".obx"))
        vec_push(&g->all, strtoull(name, NULL, 10));
    else if (!strcmp(name + 20, ".obx.tmp"))
        vec_push(&g->temps, strtoull(name, NULL, 10));
    return true;
}

static Err load(Outbox *o, Why *why)
{
    Vfs *v = o->vfs;
    char path[PATH_MAX];
    path_of(o, o->generation, path);
    TRY(v->open(v, path, VFS_READ | VFS_WRITE, &o->file, why));
    RecFileHead h;
    TRY(recfile_head_load(o->file, path, RECFILE_OUTBOX, &h, NULL, why));
    RecEnd end;
    TRY(recfile_recover(o->file, path, &h, true, apply, o, &end, why));
    TRY(v->sync(o->file, why)); /* what a killed process had written counts from now on */
    o->salt = h.salt;
    o->bytes = end.bytes;
    o->next_number = end.next_number;
    o->synced = end.next_number - 1;
    o->checkpoint_bytes = OUTBOX_GARBAGE_MIN;
    return OK;
}

static Err start(Outbox *o, Why *why)
{
    Vfs *v = o->vfs;
    char path[PATH_MAX];
    TRY(vfs_mkdirs(v, o->dir, why));
    Generations g = {0};
    Err e = v->list(v, o->dir, take_name, &g, why);
    for (size_t i = 0; i < g.all.len; i++)
        o->generation = MAX(o->generation, g.all.at[i]);
    if (e == OK)
        e = g.all.len ? load(o, why) : write_checkpoint(o, why);
    for (size_t i = 0; e == OK && i < g.all.len; i++) {
        path_of(o, g.all.at[i], path);
        if (g.all.at[i] != o->generation)
            v->unlink(v, path, NULL);
    }
    for (size_t i = 0; e == OK && i < g.temps.len; i++) {
        char tmp[PATH_MAX + 8];
        path_of(o, g.temps.at[i], path);
        snprintf(tmp, sizeof tmp, "%s.tmp", path);
        v->unlink(v, tmp, NULL);
    }
    vec_done(&g.all);
    vec_done(&g.temps);
    return e == OK ? v->sync_dir(v, o->dir, why) : e;
}

static void free_outbox(Outbox *o)
{
    if (o->file)
        o->vfs->close(o->file);
    size_t cursor = 0;
    u64 key, value;
    while (u64map_next(&o->items, &cursor, &key, &value))
        mem_free((void *)(uintptr_t)value);
    u64map_done(&o->items);
    StrMapSlot *s;
    for (cursor = 0; (s = strmap_next(&o->facts, &cursor));)
        mem_free(s->value);
    strmap_done(&o->facts);
    strmap_done(&o->keys);
    for (size_t i = 0; i < o->letters.len; i++)
        free_letter(o, i);
    vec_done(&o->letters);
    vec_done(&o->waiting);
    vec_done(&o->ready);
    for (u32 i = 0; i < 2; i++) {
        buf_done(&o->groups[i].buf);
        vec_done(&o->groups[i].heads);
    }
    cond_done(&o->changed);
    mutex_done(&o->m);
    mem_free(o->dir);
    mem_free(o);
}

Err outbox_open(Outbox **ret, Vfs *vfs, Clock *clock, const char *dir, Why *why)
{
    Why own;
    why = why ? why : &own;
    if (!*dir || strlen(dir) > PATH_MAX - 64)
        return why_set(why, E_INVALID, "the outbox's path has %zu bytes: too %s", strlen(dir),
                       *dir ? "long" : "short");
    Outbox *o = mem_new(Outbox);
    o->vfs = vfs;
    o->clock = clock;
    o->dir = mem_strdup(str_c(dir));
    o->next_id = 1;
    mutex_init(&o->m, RANK_STORE);
    cond_init(&o->changed);
    for (u32 i = 0; i < 2; i++)
        buf_init(&o->groups[i].buf, 2 * OUTBOX_BODY_MAX + (64 << 10));
    Err e = start(o, why);
    if (e != OK) {
        free_outbox(o);
        return e;
    }
    *ret = o;
    return OK;
}

void outbox_close(Outbox *o)
{
    if (!o)
        return;
    if (o->err == OK) { /* vouches for the last record: damage to it is then known from a torn tail */
        u8 head[REC_HEAD_BYTES];
        rec_head_encode(head, &(RecHead){.number = o->next_number, .synced = o->synced, .flags = REC_MARKER},
                        o->salt);
        if (o->vfs->pwrite(o->file, o->bytes, head, sizeof head, NULL) != OK)
            o->vfs->truncate(o->file, o->bytes, NULL);
    }
    free_outbox(o);
}
