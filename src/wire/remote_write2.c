/* remote_write 2.0: io.prometheus.write.v2.Request. Every string stands once, in `symbols`; all else refers to it by index.
 * Field numbers stand beside the reads and writes that use them. */
#include "wire/remote_write_int.h"

/* ---- decoding ---- */

typedef struct Symbols {
    Str *at;
    u32 len;
    bool *has_metadata; /* of the metric with this name: taken already */
} Symbols;

/* Goes through a repeated uint32 field, packed or not. */
static bool each_ref(const PbReader *r, u64 **at)
{
    if (r->type == PB_VARINT) {
        *(*at)++ = r->num;
        return true;
    }
    if (r->type != PB_BYTES)
        return false;
    const u8 *from = (const u8 *)r->bytes.at, *end = from + r->bytes.len;
    for (size_t used; from < end; from += used)
        if (!(used = uvarint_get(from, end, (*at)++)))
            return false;
    return true;
}

/* Pairs of references (field 1 of msg) to labels. ret_name: the symbol that is the value of __name__. */
static Err take_labels(Str msg, const Symbols *sym, Arena *arena, bool is_series, Labels *ret, u32 *ret_name,
                       Why *why)
{
    u32 n = pb_numbers_len(msg, 1, PB_VARINT), len = n / 2;
    u64 *refs = pb_take(arena, sizeof *refs, n + 1), *end = refs;
    Label *labels = pb_take(arena, sizeof *labels, len);
    PbReader r;
    if (!refs || !labels)
        return write_take_failed(why);
    pb_init(&r, msg);
    while (pb_next(&r))
        if (r.field == 1 && !each_ref(&r, &end))
            return write_malformed(why, "labels_refs", &r, msg);
    *ret = (Labels){0};
    *ret_name = 0;
    if (n % 2)
        return why_set(why, E_INVALID, "labels_refs holds %u references, which is not an even number", n);
    for (u32 i = 0; i < n; i++)
        if (refs[i] >= sym->len)
            return why_set(why, E_INVALID, "labels_refs refers to symbol %llu of %u",
                           (unsigned long long)refs[i], sym->len);
    for (u32 i = 0; i < len; i++) {
        labels[i] = (Label){sym->at[refs[2 * i]], sym->at[refs[2 * i + 1]]};
        if (str_eq(labels[i].name, LABEL_NAME))
            *ret_name = (u32)refs[2 * i + 1];
    }
    Err e = write_labels_tidy(labels, &len, is_series, why);
    *ret = (Labels){labels, len};
    return e;
}

static Err take_sample(Str msg, Sample *ret, i64 *start_t, Why *why)
{
    PbReader r;
    *ret = (Sample){0};
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_FIXED64))
            ret->v = pb_f64(r.num);
        else if (r.field == 2 && pb_expect(&r, PB_VARINT))
            ret->t = (i64)r.num;
        else if (r.field == 3 && pb_expect(&r, PB_VARINT))
            *start_t = (i64)r.num;
    }
    return r.is_bad ? write_malformed(why, "Sample", &r, msg) : OK;
}

static Err take_exemplar(Str msg, const Symbols *sym, Arena *arena, Exemplar *ret, Why *why)
{
    PbReader r;
    u32 name;
    *ret = (Exemplar){0};
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 2 && pb_expect(&r, PB_FIXED64))
            ret->v = pb_f64(r.num);
        else if (r.field == 3 && pb_expect(&r, PB_VARINT))
            ret->t = (i64)r.num;
    }
    if (r.is_bad)
        return write_malformed(why, "Exemplar", &r, msg);
    return take_labels(msg, sym, arena, false, &ret->labels, &name, why);
}

/* A prometheus.Histogram by its first sixteen fields; 17 is the start timestamp. */
static Err take_histogram(Str msg, Arena *arena, const Histogram **ret, i64 *ret_t, i64 *start_t, Why *why)
{
    PbReader r;
    pb_init(&r, msg);
    while (pb_next(&r))
        if (r.field == 17 && r.type == PB_VARINT)
            *start_t = (i64)r.num;
    return remote_write_decode_histogram(msg, arena, ret, ret_t, why);
}

static Str family_of(Str name, MetricType type)
{
    static const Str endings[] = {STR_INIT("_bucket"), STR_INIT("_count"), STR_INIT("_sum")};
    bool has_parts = type == TYPE_HISTOGRAM || type == TYPE_GAUGEHISTOGRAM || type == TYPE_SUMMARY;
    for (size_t i = 0; has_parts && i < COUNT_OF(endings); i++)
        if (str_ends(name, endings[i]) && name.len > endings[i].len)
            return str_sub(name, 0, name.len - endings[i].len);
    return name;
}

/* Every series repeats what is known of its metric: once is enough. */
static Err take_metadata(Str msg, const Symbols *sym, u32 name, WriteDecoded *d, Why *why)
{
    PbReader r;
    u64 help = 0, unit = 0, type = 0;
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_VARINT))
            type = r.num;
        else if (r.field == 3 && pb_expect(&r, PB_VARINT))
            help = r.num;
        else if (r.field == 4 && pb_expect(&r, PB_VARINT))
            unit = r.num;
    }
    if (r.is_bad)
        return write_malformed(why, "Metadata", &r, msg);
    if (help >= sym->len || unit >= sym->len)
        return why_set(why, E_INVALID, "the metadata refers to symbol %llu of %u",
                       (unsigned long long)MAX(help, unit), sym->len);
    MetadataItem m = {.type = type <= TYPE_STATESET ? (MetricType)type : TYPE_UNKNOWN,
                      .help = sym->at[help],
                      .unit = sym->at[unit]};
    if (sym->has_metadata[name] || (m.type == TYPE_UNKNOWN && !m.help.len && !m.unit.len) ||
        !str_is_utf8(m.help) || !str_is_utf8(m.unit))
        return OK;
    sym->has_metadata[name] = true;
    m.family = family_of(sym->at[name], m.type);
    d->metadata[d->metadata_len++] = m;
    return OK;
}

/* E_INVALID: the series is left out; its labels are set when they could be read. */
static Err take_series(Str msg, const Symbols *sym, Arena *arena, SeriesItem *ret, WriteDecoded *d, Why *why)
{
    u32 samples_len = pb_count(msg, 2, PB_BYTES), hists_len = pb_count(msg, 3, PB_BYTES),
        exemplars_len = pb_count(msg, 4, PB_BYTES), name;
    Sample *samples = pb_take(arena, sizeof *samples, samples_len);
    Exemplar *exemplars = pb_take(arena, sizeof *exemplars, exemplars_len);
    const Histogram **hists = pb_take(arena, sizeof *hists, hists_len);
    i64 *hist_t = pb_take(arena, sizeof *hist_t, hists_len);
    if (!samples || !exemplars || !hists || !hist_t)
        return write_take_failed(why);
    *ret = (SeriesItem){.samples = samples, .exemplars = exemplars, .hists = hists, .hist_t = hist_t};
    TRY(take_labels(msg, sym, arena, true, &ret->labels, &name, why));
    Str metadata = {0};
    PbReader r;
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 2 && pb_expect(&r, PB_BYTES))
            TRY(take_sample(r.bytes, &samples[ret->samples_len++], &ret->start_t, why));
        else if (r.field == 3 && pb_expect(&r, PB_BYTES)) {
            TRY(take_histogram(r.bytes, arena, &hists[ret->hists_len], &hist_t[ret->hists_len], &ret->start_t,
                               why));
            ret->hists_len++;
        } else if (r.field == 4 && pb_expect(&r, PB_BYTES))
            TRY(take_exemplar(r.bytes, sym, arena, &exemplars[ret->exemplars_len++], why));
        else if (r.field == 5 && pb_expect(&r, PB_BYTES))
            metadata = r.bytes;
        else if (r.field == 6 && pb_expect(&r, PB_VARINT))
            ret->start_t = (i64)r.num;
    }
    if (r.is_bad)
        return write_malformed(why, "TimeSeries", &r, msg);
    if (!samples_len && !hists_len)
        return why_set(why, E_INVALID, "the series has neither samples nor histograms");
    return metadata.at ? take_metadata(metadata, sym, name, d, why) : OK;
}

static Err take_symbols(Str body, Arena *arena, Symbols *ret, Why *why)
{
    PbReader r;
    u32 n = pb_count(body, 4, PB_BYTES);
    *ret = (Symbols){.at = pb_take(arena, sizeof(Str), n), .has_metadata = pb_take(arena, 1, n)};
    if (!ret->at || !ret->has_metadata)
        return write_take_failed(why);
    pb_init(&r, body);
    while (pb_next(&r))
        if (r.field == 4 && pb_expect(&r, PB_BYTES))
            ret->at[ret->len++] = r.bytes;
    if (r.is_bad)
        return write_malformed(why, "Request", &r, body);
    if (n)
        memset(ret->has_metadata, 0, n);
    if (!n || ret->at[0].len)
        return why_set(why, E_PARSE,
                       "the symbol table of the write request does not start with an empty string");
    return OK;
}

Err remote_write2_decode(Str body, Arena *arena, WriteDecoded *ret, Why *why)
{
    Symbols sym;
    if (!body.len) {
        *ret = (WriteDecoded){0};
        return OK;
    }
    TRY(take_symbols(body, arena, &sym, why));
    u32 n = pb_count(body, 5, PB_BYTES);
    WriteDecoded d = {.series = pb_take(arena, sizeof *d.series, n),
                      .metadata = pb_take(arena, sizeof *d.metadata, n)};
    if (!d.series || !d.metadata)
        return write_take_failed(why);
    Why reason = {0};
    PbReader r;
    pb_init(&r, body);
    while (pb_next(&r)) {
        if (r.field != 5)
            continue;
        if (!pb_expect(&r, PB_BYTES))
            return write_malformed(why, "Request", &r, body);
        SeriesItem *s = &d.series[d.series_len];
        Err e = take_series(r.bytes, &sym, arena, s, &d, &reason);
        TRY(write_take(&d, arena, s, e, &reason, why));
    }
    *ret = d;
    return d.refused ? E_INVALID : OK;
}

/* ---- encoding ---- */

typedef struct SymbolTable {
    Str *at;
    u32 len, mask;
    u32 *slots; /* index + 1; 0 = free */
} SymbolTable;

static u32 symbol(SymbolTable *t, Str s)
{
    if (!s.len)
        return 0;
    u32 i = (u32)hash_bytes(s.at, s.len, 0) & t->mask;
    for (; t->slots[i]; i = (i + 1) & t->mask)
        if (str_eq(t->at[t->slots[i] - 1], s))
            return t->slots[i] - 1;
    t->at[t->len++] = s;
    t->slots[i] = t->len;
    return t->len - 1;
}

static void put_labels(Buf *b, SymbolTable *t, Labels l)
{
    size_t m = pb_begin(b, 1);
    for (u32 i = 0; i < l.len; i++) {
        pb_put_varint(b, symbol(t, l.at[i].name));
        pb_put_varint(b, symbol(t, l.at[i].value));
    }
    pb_end(b, m);
}

static void put_exemplars(Buf *b, SymbolTable *t, const SeriesItem *s)
{
    for (u32 i = 0; i < s->exemplars_len; i++) {
        size_t m = pb_begin(b, 4);
        put_labels(b, t, s->exemplars[i].labels);
        pb_put_f64(b, 2, s->exemplars[i].v);
        pb_put_u64(b, 3, (u64)s->exemplars[i].t);
        pb_end(b, m);
    }
}

/* A message carries samples or histograms, never both. */
static void put_series(Buf *b, SymbolTable *t, const SeriesItem *s, const MetadataItem *about, bool is_hist)
{
    size_t m = pb_begin(b, 5);
    put_labels(b, t, s->labels);
    for (u32 i = 0; !is_hist && i < s->samples_len; i++) {
        size_t p = pb_begin(b, 2);
        pb_put_f64(b, 1, s->samples[i].v);
        pb_put_u64(b, 2, (u64)s->samples[i].t);
        pb_put_u64(b, 3, (u64)s->start_t);
        pb_end(b, p);
    }
    for (u32 i = 0; is_hist && i < s->hists_len; i++)
        remote_write_encode_histogram(b, 3, s->hists[i], s->hist_t[i]);
    if (is_hist || !s->hists_len)
        put_exemplars(b, t, s);
    if (about) {
        size_t p = pb_begin(b, 5);
        pb_put_u64(b, 1, about->type);
        pb_put_u64(b, 3, symbol(t, about->help));
        pb_put_u64(b, 4, symbol(t, about->unit));
        pb_end(b, p);
    }
    pb_put_u64(b, 6, (u64)s->start_t);
    pb_end(b, m);
}

static bool table_init(SymbolTable *t, const SeriesItem *series, u32 n, Arena *scratch)
{
    u64 most = 1, slots = 64;
    for (u32 i = 0; i < n; i++) {
        most += 2ULL * series[i].labels.len + 2;
        for (u32 k = 0; k < series[i].exemplars_len; k++)
            most += 2ULL * series[i].exemplars[k].labels.len;
    }
    while (slots < most * 2)
        slots *= 2;
    *t = (SymbolTable){.at = arena_array(scratch, Str, most),
                       .slots = arena_array(scratch, u32, slots),
                       .mask = (u32)slots - 1};
    if (!t->at || !t->slots)
        return false;
    memset(t->slots, 0, slots * sizeof *t->slots);
    t->at[t->len++] = S("");
    return true;
}

Err remote_write2_encode(const SeriesItem *series, u32 n, SeriesMetadataFn metadata, void *arg,
                         Arena *scratch, Buf *out, Why *why)
{
    SymbolTable t;
    Buf b;
    if (!table_init(&t, series, n, scratch))
        return why_set(why, E_LIMIT, "a request has too many labels");
    buf_init(&b, out->max);
    for (u32 i = 0; i < n; i++) {
        const SeriesItem *s = &series[i];
        const MetadataItem *about = metadata ? metadata(arg, s->labels) : NULL;
        if (s->samples_len)
            put_series(&b, &t, s, about, false);
        if (s->hists_len)
            put_series(&b, &t, s, about, true);
    }
    for (u32 i = 0; i < t.len; i++) { /* the first is empty, and must be there */
        pb_put_varint(out, 4 << 3 | PB_BYTES);
        pb_put_varint(out, t.at[i].len);
        buf_str(out, t.at[i]);
    }
    buf_str(out, buf_view(&b));
    bool over = buf_over(&b) || buf_over(out);
    buf_done(&b);
    return over ? why_set(why, E_TOO_LARGE, "a request is too large") : OK;
}
