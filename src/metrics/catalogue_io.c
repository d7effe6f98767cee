/* Segments of the catalogue: sections of names, pairs and series, each with its own checksum, so that damage costs one section. */
#include "metrics/catalogue.h"

#define SEGMENT_MAGIC   "PHCAT\0\0\0"
#define SECTION_HEAD    13u /* kind u8, bytes u32, count u32, crc u32 */
#define SECTION_BYTES   (1u << 20)
#define SECTION_SERIES  16384u
#define SECTION_LEN_MAX (64u << 20)
enum { SECTION_NAMES = 1, SECTION_PAIRS = 2, SECTION_SERIES_KIND = 3 };

/* ---- writing ---- */

typedef struct Section {
    Buf *out;
    size_t head;
    u32 count;
} Section;

static void section_begin(Section *s, Buf *out, u8 kind, u32 first)
{
    *s = (Section){.out = out, .head = out->len};
    wr_u8(out, kind);
    wr_u32(out, 0);
    wr_u32(out, 0);
    wr_u32(out, 0);
    wr_varint(out, first);
}

static u32 section_crc(const u8 *head, const u8 *body, size_t n)
{
    return crc32c(crc32c(0, head, 9), body, n);
}

static void section_end(Section *s)
{
    if (buf_over(s->out))
        return;
    u8 *head = (u8 *)s->out->at + s->head;
    u32 n = (u32)(s->out->len - s->head - SECTION_HEAD);
    memcpy(head + 1, &n, 4);
    memcpy(head + 5, &s->count, 4);
    u32 crc = section_crc(head, head + SECTION_HEAD, n);
    memcpy(head + 9, &crc, 4);
}

static bool section_is_full(const Section *s)
{
    return s->out->len - s->head > SECTION_BYTES;
}

static void names_encode(Catalogue *c, u32 from, u32 to, Buf *out)
{
    for (u32 id = from + 1; id <= to;) {
        Section s;
        section_begin(&s, out, SECTION_NAMES, id);
        for (; id <= to && !section_is_full(&s); id++, s.count++) {
            u32 text = ((CatName *)seg_at(&c->names, id))->text;
            wr_str(out, text ? catalogue_str(c, text) : S(""));
        }
        section_end(&s);
    }
}

/* What is not there any more costs a byte each, or nothing where there is much of it: a section begins where things go on. */
#define HOLES_WORTH_A_SECTION 64u

static bool pair_is_gone(const Catalogue *c, u32 id)
{
    bool is_dead = id / 64 < c->dead_words && c->dead_pairs[id / 64] >> (id % 64) & 1;
    return is_dead || !catalogue_pair(c, id).name;
}

static bool series_is_gone(const Catalogue *c, u32 id)
{
    const u32 *rec = catalogue_record(c, id);
    return !rec || record_is_forgotten(rec);
}

/* How many ids from id on are gone, as far as it matters. */
static u32 gone_from(const Catalogue *c, bool (*is_gone)(const Catalogue *c, u32 id), u32 id, u32 to, u32 max)
{
    u32 n = 0;
    while (n < max && n <= to - id && is_gone(c, id + n))
        n++;
    return n;
}

static void pairs_encode(Catalogue *c, u32 from, u32 to, Buf *out)
{
    for (u32 id = from + 1; id <= to;) {
        Section s;
        id += gone_from(c, pair_is_gone, id, to, UINT32_MAX);
        if (id > to)
            return;
        section_begin(&s, out, SECTION_PAIRS, id);
        for (; id <= to && !section_is_full(&s); id++, s.count++) {
            if (gone_from(c, pair_is_gone, id, to, HOLES_WORTH_A_SECTION) == HOLES_WORTH_A_SECTION)
                break;
            CatPair p = pair_is_gone(c, id) ? (CatPair){0} : catalogue_pair(c, id);
            wr_varint(out, p.name);
            wr_str(out, p.name ? catalogue_str(c, p.value) : S(""));
        }
        section_end(&s);
    }
}

/* Pair ids are differences to the previous series's at the same place: neighbours share most labels. */
static void series_encode(Catalogue *c, u32 from, u32 to, Buf *out)
{
    Label labels[LABELS_MAX];
    for (u32 sid = from + 1; sid <= to;) {
        Section s;
        u32 last[LABELS_MAX] = {0};
        sid += gone_from(c, series_is_gone, sid, to, UINT32_MAX);
        if (sid > to)
            return;
        section_begin(&s, out, SECTION_SERIES_KIND, sid);
        for (; sid <= to && s.count < SECTION_SERIES; sid++, s.count++) {
            if (gone_from(c, series_is_gone, sid, to, HOLES_WORTH_A_SECTION) == HOLES_WORTH_A_SECTION)
                break;
            const u32 *rec = series_is_gone(c, sid) ? NULL : catalogue_record(c, sid);
            u32 n = rec ? record_labels(rec) : 0;
            wr_varint(out, n);
            if (!n)
                continue;
            catalogue_labels(c, rec, labels);
            LabelsHash h = catalogue_hash((Labels){labels, n});
            wr_u32(out, (u32)h.labels);
            wr_u32(out, h.target);
            for (u32 i = 0; i < n; i++) {
                wr_zigzag(out, (i64)rec[2 + i] - last[i]);
                last[i] = rec[2 + i];
            }
        }
        section_end(&s);
    }
}

void catalogue_encode(Catalogue *c, CatPoint from, CatPoint to, Buf *out)
{
    buf_put(out, SEGMENT_MAGIC, 8);
    names_encode(c, from.names, to.names, out);
    pairs_encode(c, from.pairs, to.pairs, out);
    series_encode(c, from.series, to.series, out);
}

/* ---- reading ---- */

/* Ids between what is known and `first` were lost with a damaged section. */
static bool names_decode(Catalogue *c, Reader *r, u32 first, u32 count)
{
    if (first <= c->names_len)
        return false;
    catalogue_reserve(c, (CatPoint){first - 1, 0, 0});
    for (u32 i = 0; i < count; i++) {
        Str s = rd_str(r, LABEL_BYTES_MAX);
        if (r->bad)
            return false;
        if (!s.len)
            catalogue_reserve(c, (CatPoint){first + i, 0, 0});
        else if (!catalogue_name_add(c, s))
            return false;
    }
    return true;
}

static bool pairs_decode(Catalogue *c, Reader *r, u32 first, u32 count)
{
    if (first <= c->pairs_len)
        return false;
    catalogue_reserve(c, (CatPoint){0, first - 1, 0});
    for (u32 i = 0; i < count; i++) {
        u64 name = rd_varint(r);
        Str s = rd_str(r, LABEL_BYTES_MAX);
        if (r->bad || name > UINT32_MAX)
            return false;
        bool is_known = name && name <= c->names_len && ((CatName *)seg_at(&c->names, (u32)name))->text;
        if (!is_known || !s.len)
            catalogue_reserve(c, (CatPoint){0, first + i, 0});
        else if (!catalogue_pair_add(c, (u32)name, s))
            return false;
    }
    return true;
}

typedef VEC(IdSlot) Tags;

static bool series_read(Catalogue *c, Reader *r, u32 first, u32 count, Tags *tags)
{
    u32 last[LABELS_MAX] = {0};
    for (u32 i = 0; i < count; i++) {
        u64 n = rd_varint(r);
        if (r->bad || n > LABELS_MAX)
            return false;
        if (!n)
            continue;
        u32 hash = rd_u32(r), target = rd_u32(r);
        bool is_whole = true;
        for (u64 k = 0; k < n; k++) {
            last[k] = (u32)(last[k] + (u64)rd_zigzag(r));
            is_whole &= last[k] && last[k] <= c->pairs_len;
        }
        if (r->bad)
            return false;
        for (u64 k = 0; is_whole && k < n; k++)
            is_whole = catalogue_pair(c, last[k]).name != 0;
        if (!is_whole)
            continue; /* a pair was lost: so is the series */
        u32 shard = target % c->shards_len, *rec = catalogue_record_add(c, first + i, shard, (u32)n);
        if (!rec)
            return false;
        memcpy(rec + 2, last, n * sizeof(u32));
        vec_push(&tags[shard], (IdSlot){hash, first + i});
    }
    return true;
}

static bool series_decode(Catalogue *c, Reader *r, u32 first, u32 count)
{
    if (first <= c->series_len)
        return false;
    catalogue_reserve(c, (CatPoint){0, 0, first - 1 + count});
    Tags *tags = mem_zalloc(c->shards_len * sizeof *tags);
    bool ok = series_read(c, r, first, count, tags);
    for (u32 i = 0; i < c->shards_len; i++) {
        catalogue_tag(c, i, tags[i].at, (u32)tags[i].len);
        vec_done(&tags[i]);
    }
    mem_free(tags);
    return ok;
}

static bool section_decode(Catalogue *c, u8 kind, u32 count, CatPoint to, Reader *r)
{
    u64 first = rd_varint(r);
    if (r->bad || first == 0 || count > rd_left(r))
        return false;
    u32 last = kind == SECTION_NAMES ? to.names : kind == SECTION_PAIRS ? to.pairs : to.series;
    if (first > last || count > last - first + 1)
        return false;
    switch (kind) {
    case SECTION_NAMES:
        return names_decode(c, r, (u32)first, count);
    case SECTION_PAIRS:
        return pairs_decode(c, r, (u32)first, count);
    case SECTION_SERIES_KIND:
        return series_decode(c, r, (u32)first, count);
    default:
        return false;
    }
}

Err catalogue_decode(Catalogue *c, Str bytes, CatPoint to, u32 *ret_bad, Why *why)
{
    Reader r = reader_of(bytes.at, bytes.len);
    const u8 *magic = rd_bytes(&r, 8);
    if (!magic || memcmp(magic, SEGMENT_MAGIC, 8) != 0)
        return why_set(why, E_CORRUPT, "not a catalogue segment: its first bytes are wrong");
    while (rd_left(&r)) {
        size_t offset = bytes.len - rd_left(&r);
        const u8 *head = rd_bytes(&r, SECTION_HEAD);
        u32 n = head ? load_u32(head + 1) : 0;
        const u8 *body = head && n <= SECTION_LEN_MAX ? rd_bytes(&r, n) : NULL;
        if (!body) {
            (*ret_bad)++;
            why_set(why, E_CORRUPT, "catalogue section at byte %zu is cut off", offset);
            return OK;
        }
        Reader section = reader_of(body, n);
        if (section_crc(head, body, n) != load_u32(head + 9) ||
            !section_decode(c, head[0], load_u32(head + 5), to, &section)) {
            (*ret_bad)++;
            why_set(why, E_CORRUPT, "catalogue section at byte %zu is damaged", offset);
        }
    }
    return OK;
}
