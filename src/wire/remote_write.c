/* remote_write 1.0: prometheus.WriteRequest. Field numbers stand beside the reads and writes that use them. */
#include "wire/remote_write_int.h"

/* ---- decoding ---- */

Err write_take_failed(Why *why)
{
    return why_set(why, E_LIMIT, "the write request needs more memory than one request may take");
}
Err write_malformed(Why *why, const char *what, const PbReader *r, Str msg)
{
    return why_set(why, E_PARSE,
                   "malformed %s in the write request (field %u, about byte %zu of its message)", what,
                   r->field, (size_t)(r->at - (const u8 *)msg.at));
}

static Err decode_label(Str msg, Label *ret, Why *why)
{
    PbReader r;
    return pb_label(&r, msg, ret) ? OK : write_malformed(why, "Label", &r, msg);
}

static int name_value_order(const void *a, const void *b)
{
    const Label *x = a, *y = b;
    int c = str_cmp(x->name, y->name);
    return c ? c : str_cmp(x->value, y->value);
}

Err write_labels_tidy(Label *at, u32 *len, bool is_series, Why *why)
{
    u32 n = 0;
    bool sorted = true, named = false;
    for (u32 i = 0; i < *len; i++) {
        if (str_empty(at[i].name))
            return why_set(why, E_INVALID, "a label of the series has an empty name");
        if (str_empty(at[i].value))
            continue;
        if (!str_is_utf8(at[i].name) || !str_is_utf8(at[i].value))
            return why_set(why, E_INVALID, "a label name or value is not UTF-8");
        if (n && str_cmp(at[n - 1].name, at[i].name) >= 0)
            sorted = false;
        named |= str_eq(at[i].name, LABEL_NAME);
        at[n++] = at[i];
    }
    *len = n;
    if (!sorted) {
        qsort(at, n, sizeof *at, name_value_order);
        for (u32 i = 1; i < n; i++)
            if (str_eq(at[i - 1].name, at[i].name))
                return why_set(why, E_INVALID, "label name \"%.*s\" is not unique", STR_FMT(at[i].name));
    }
    return named || !is_series ? OK
                               : why_set(why, E_INVALID, "the series has no metric name (label __name__)");
}

static Err decode_sample(Str msg, Sample *ret, Why *why)
{
    PbReader r;
    *ret = (Sample){0};
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_FIXED64))
            ret->v = pb_f64(r.num);
        else if (r.field == 2 && pb_expect(&r, PB_VARINT))
            ret->t = (i64)r.num;
    }
    return r.is_bad ? write_malformed(why, "Sample", &r, msg) : OK;
}

static Err decode_exemplar(Str msg, Arena *arena, Exemplar *ret, Why *why)
{
    PbReader r;
    *ret = (Exemplar){0};
    u32 n = 0;
    Label *labels = pb_take(arena, sizeof *labels, pb_count(msg, 1, PB_BYTES));
    if (!labels)
        return write_take_failed(why);
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_BYTES))
            TRY(decode_label(r.bytes, &labels[n++], why));
        else if (r.field == 2 && pb_expect(&r, PB_FIXED64))
            ret->v = pb_f64(r.num);
        else if (r.field == 3 && pb_expect(&r, PB_VARINT))
            ret->t = (i64)r.num;
    }
    if (r.is_bad)
        return write_malformed(why, "Exemplar", &r, msg);
    TRY(write_labels_tidy(labels, &n, false, why));
    ret->labels = (Labels){labels, n};
    return OK;
}

static Err decode_span(Str msg, HistSpan *ret, Why *why)
{
    PbReader r;
    return pb_span(&r, msg, ret) ? OK : write_malformed(why, "BucketSpan", &r, msg);
}

static bool exact_count(u64 n, f64 *ret)
{
    *ret = (f64)n;
    return n <= EXACT_INT_MAX;
}

Err remote_write_decode_histogram(Str msg, Arena *arena, const Histogram **ret, i64 *ret_t, Why *why)
{
    Histogram *h = arena_new(arena, Histogram);
    PbReader r;
    i64 t = 0;
    PbNumbers neg_d = {0}, neg_c = {0}, pos_d = {0}, pos_c = {0}, custom = {0};
    bool int_count = false, float_count = false, exact = true;
    h->neg_spans = pb_take(arena, sizeof(HistSpan), pb_count(msg, 8, PB_BYTES));
    h->pos_spans = pb_take(arena, sizeof(HistSpan), pb_count(msg, 11, PB_BYTES));
    neg_d.at = pb_take(arena, 8, pb_numbers_len(msg, 9, PB_VARINT));
    neg_c.at = pb_take(arena, 8, pb_numbers_len(msg, 10, PB_FIXED64));
    pos_d.at = pb_take(arena, 8, pb_numbers_len(msg, 12, PB_VARINT));
    pos_c.at = pb_take(arena, 8, pb_numbers_len(msg, 13, PB_FIXED64));
    custom.at = pb_take(arena, 8, pb_numbers_len(msg, 16, PB_FIXED64));
    if (!h->neg_spans || !h->pos_spans || !neg_d.at || !neg_c.at || !pos_d.at || !pos_c.at || !custom.at)
        return write_take_failed(why);
    pb_init(&r, msg);
    while (exact && pb_next(&r)) {
        switch (r.field) {
        case 1:
            if (pb_expect(&r, PB_VARINT))
                exact = exact_count(r.num, &h->count), int_count = true, float_count = false;
            break;
        case 2:
            if (pb_expect(&r, PB_FIXED64))
                h->count = pb_f64(r.num), float_count = true, int_count = false;
            break;
        case 3:
            if (pb_expect(&r, PB_FIXED64))
                h->sum = pb_f64(r.num);
            break;
        case 4:
            if (pb_expect(&r, PB_VARINT))
                h->schema = (i32)pb_sint(r.num);
            break;
        case 5:
            if (pb_expect(&r, PB_FIXED64))
                h->zero_threshold = pb_f64(r.num);
            break;
        case 6:
            if (pb_expect(&r, PB_VARINT))
                exact = exact_count(r.num, &h->zero_count);
            break;
        case 7:
            if (pb_expect(&r, PB_FIXED64))
                h->zero_count = pb_f64(r.num);
            break;
        case 8:
            if (pb_expect(&r, PB_BYTES))
                TRY(decode_span(r.bytes, &h->neg_spans[h->neg_spans_len++], why));
            break;
        case 9:
            exact = pb_deltas(&r, &neg_d);
            break;
        case 10:
            exact = pb_doubles(&r, &neg_c);
            break;
        case 11:
            if (pb_expect(&r, PB_BYTES))
                TRY(decode_span(r.bytes, &h->pos_spans[h->pos_spans_len++], why));
            break;
        case 12:
            exact = pb_deltas(&r, &pos_d);
            break;
        case 13:
            exact = pb_doubles(&r, &pos_c);
            break;
        case 14:
            if (pb_expect(&r, PB_VARINT))
                h->hint = r.num <= HIST_GAUGE ? (u8)r.num : HIST_UNKNOWN_RESET;
            break;
        case 15:
            if (pb_expect(&r, PB_VARINT))
                t = (i64)r.num;
            break;
        case 16:
            exact = pb_doubles(&r, &custom);
            break;
        }
    }
    if (r.is_bad)
        return write_malformed(why, "Histogram", &r, msg);
    if (!exact)
        return why_set(why, E_INVALID, "a histogram count is malformed or over 2^53");
    h->is_int = !float_count;
    (void)int_count;
    const PbNumbers *pos = h->is_int ? &pos_d : &pos_c, *neg = h->is_int ? &neg_d : &neg_c;
    h->pos = pos->at, h->pos_len = pos->len;
    h->neg = neg->at, h->neg_len = neg->len;
    h->custom = custom.at, h->custom_len = custom.len;
    TRY(histogram_check(h, why));
    *ret = h;
    *ret_t = t;
    return OK;
}

static Err decode_series(Str msg, Arena *arena, SeriesItem *ret, Why *why)
{
    PbReader r;
    u32 labels_len = 0, samples_len = 0, exemplars_len = 0, hists_len = 0;
    pb_init(&r, msg);
    while (pb_next(&r)) {
        labels_len += r.field == 1;
        samples_len += r.field == 2;
        exemplars_len += r.field == 3;
        hists_len += r.field == 4;
    }
    if (r.is_bad)
        return write_malformed(why, "TimeSeries", &r, msg);
    Label *labels = pb_take(arena, sizeof *labels, labels_len);
    Sample *samples = pb_take(arena, sizeof *samples, samples_len);
    Exemplar *exemplars = pb_take(arena, sizeof *exemplars, exemplars_len);
    const Histogram **hists = pb_take(arena, sizeof *hists, hists_len);
    i64 *hist_t = pb_take(arena, sizeof *hist_t, hists_len);
    if (!labels || !samples || !exemplars || !hists || !hist_t)
        return write_take_failed(why);
    *ret = (SeriesItem){.samples = samples, .exemplars = exemplars, .hists = hists, .hist_t = hist_t};
    labels_len = 0;
    Err refused = OK;
    Why first;
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == WRITE_START_FIELD && r.type == PB_VARINT)
            ret->start_t = (i64)r.num;
        if (r.field < 1 || r.field > 4)
            continue;
        if (!pb_expect(&r, PB_BYTES))
            return write_malformed(why, "TimeSeries", &r, msg);
        Err e = r.field == 1   ? decode_label(r.bytes, &labels[labels_len++], why)
                : r.field == 2 ? decode_sample(r.bytes, &samples[ret->samples_len++], why)
                : r.field == 3 ? decode_exemplar(r.bytes, arena, &exemplars[ret->exemplars_len++], why)
                               : remote_write_decode_histogram(r.bytes, arena, &hists[ret->hists_len],
                                                               &hist_t[ret->hists_len], why);
        if (e == OK)
            ret->hists_len += r.field == 4;
        else if (e != E_INVALID)
            return e;
        else if (refused == OK)
            refused = e, first = why ? *why : (Why){0};
    }
    if (refused == OK)
        refused = write_labels_tidy(labels, &labels_len, true, why);
    else if (why)
        *why = first;
    ret->labels = (Labels){labels, labels_len};
    return refused;
}

static Err decode_metadata(Str msg, MetadataItem *ret, Why *why)
{
    PbReader r;
    *ret = (MetadataItem){.family = S(""), .help = S(""), .unit = S("")};
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_VARINT))
            ret->type = r.num <= TYPE_STATESET ? (MetricType)r.num : TYPE_UNKNOWN;
        else if (r.field == 2 && pb_expect(&r, PB_BYTES))
            ret->family = r.bytes;
        else if (r.field == 4 && pb_expect(&r, PB_BYTES))
            ret->help = r.bytes;
        else if (r.field == 5 && pb_expect(&r, PB_BYTES))
            ret->unit = r.bytes;
    }
    return r.is_bad ? write_malformed(why, "MetricMetadata", &r, msg) : OK;
}

void write_name_series(Why *why, Labels l)
{
    if (!why)
        return;
    Buf b;
    buf_init(&b, 4096);
    for (u32 i = 0; i < l.len; i++)
        if (!str_is_utf8(l.at[i].name) || !str_is_utf8(l.at[i].value))
            goto done; /* what is printed must be text */
    labels_print(&b, l);
    why_prefix(why, "series %.*s: ", (int)MIN(b.len, 300), b.at ? b.at : "");
done:
    buf_done(&b);
}

Err write_take(WriteDecoded *d, const Arena *arena, const SeriesItem *s, Err e, Why *reason, Why *why)
{
    if (arena_over(arena))
        return write_take_failed(why);
    if (e == OK) {
        d->series_len++;
        d->samples += s->samples_len;
        d->histograms += s->hists_len;
        d->exemplars += s->exemplars_len;
        return OK;
    }
    if (e == E_INVALID) {
        if (d->refused++ || !why)
            return OK;
        write_name_series(reason, s->labels);
    }
    if (why)
        *why = *reason;
    return e == E_INVALID ? OK : e;
}

Err remote_write_decode(Str body, Arena *arena, WriteDecoded *ret, Why *why)
{
    PbReader r;
    u32 series_len = 0, metadata_len = 0;
    pb_init(&r, body);
    while (pb_next(&r)) {
        series_len += r.field == 1;
        metadata_len += r.field == 3;
    }
    if (r.is_bad)
        return write_malformed(why, "WriteRequest", &r, body);
    WriteDecoded d = {.series = pb_take(arena, sizeof *d.series, series_len),
                      .metadata = pb_take(arena, sizeof *d.metadata, metadata_len)};
    if (!d.series || !d.metadata)
        return write_take_failed(why);
    Why reason;
    pb_init(&r, body);
    while (pb_next(&r)) {
        if (r.field != 1 && r.field != 3)
            continue;
        if (!pb_expect(&r, PB_BYTES))
            return write_malformed(why, "WriteRequest", &r, body);
        if (r.field == 3) {
            MetadataItem *m = &d.metadata[d.metadata_len];
            TRY(decode_metadata(r.bytes, m, why));
            if (str_is_utf8(m->family) && str_is_utf8(m->help) && str_is_utf8(m->unit) && m->family.len)
                d.metadata_len++;
            continue;
        }
        SeriesItem *s = &d.series[d.series_len];
        Err e = decode_series(r.bytes, arena, s, &reason);
        TRY(write_take(&d, arena, s, e, &reason, why));
    }
    *ret = d;
    return d.refused ? E_INVALID : OK;
}

/* ---- encoding ---- */

static size_t varint_len(u64 v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

static void encode_labels(Buf *b, Labels l)
{
    for (u32 i = 0; i < l.len; i++) {
        Str n = l.at[i].name, v = l.at[i].value;
        size_t len = 2 + varint_len(n.len) + n.len + varint_len(v.len) + v.len;
        if (!buf_reserve(b, len + 16))
            return;
        u8 *at = (u8 *)b->at + b->len;
        *at++ = 1 << 3 | PB_BYTES;
        at += uvarint_put(at, len);
        *at++ = 1 << 3 | PB_BYTES;
        at += uvarint_put(at, n.len);
        memcpy(at, n.at, n.len), at += n.len;
        *at++ = 2 << 3 | PB_BYTES;
        at += uvarint_put(at, v.len);
        memcpy(at, v.at, v.len), at += v.len;
        b->len = (size_t)(at - (u8 *)b->at);
    }
}

static void encode_sample(Buf *b, Sample s)
{
    size_t len = (f64_bits(s.v) ? 9 : 0) + (s.t ? 1 + varint_len((u64)s.t) : 0);
    if (!buf_reserve(b, len + 2))
        return;
    u8 *at = (u8 *)b->at + b->len;
    *at++ = 2 << 3 | PB_BYTES;
    *at++ = (u8)len;
    if (f64_bits(s.v)) {
        *at++ = 1 << 3 | PB_FIXED64;
        memcpy(at, &s.v, 8), at += 8;
    }
    if (s.t) {
        *at++ = 2 << 3 | PB_VARINT;
        at += uvarint_put(at, (u64)s.t);
    }
    b->len = (size_t)(at - (u8 *)b->at);
}

static void encode_spans(Buf *b, u32 field, const HistSpan *at, u32 len)
{
    for (u32 i = 0; i < len; i++) {
        size_t m = pb_begin(b, field);
        pb_put_sint(b, 1, at[i].offset);
        pb_put_u64(b, 2, at[i].length);
        pb_end(b, m);
    }
}

static void encode_deltas(Buf *b, u32 field, const f64 *at, u32 len)
{
    if (!len)
        return;
    i64 last = 0;
    size_t m = pb_begin(b, field);
    for (u32 i = 0; i < len; i++) {
        i64 v = (i64)at[i];
        pb_put_varint(b, zigzag(v - last));
        last = v;
    }
    pb_end(b, m);
}

static void encode_doubles(Buf *b, u32 field, const f64 *at, u32 len)
{
    if (len)
        pb_put_bytes(b, field, str_of((const char *)at, (size_t)len * 8));
}

void remote_write_encode_histogram(Buf *b, u32 field, const Histogram *h, i64 t)
{
    size_t m = pb_begin(b, field);
    /* The counts are in a oneof: written also when zero, so that the kind of the histogram is kept. */
    if (h->is_int) {
        pb_put_varint(b, 1 << 3 | PB_VARINT);
        pb_put_varint(b, (u64)h->count);
    } else {
        pb_put_f64_always(b, 2, h->count);
    }
    pb_put_f64(b, 3, h->sum);
    pb_put_sint(b, 4, h->schema);
    pb_put_f64(b, 5, h->zero_threshold);
    if (h->is_int) {
        pb_put_varint(b, 6 << 3 | PB_VARINT);
        pb_put_varint(b, (u64)h->zero_count);
    } else {
        pb_put_f64_always(b, 7, h->zero_count);
    }
    encode_spans(b, 8, h->neg_spans, h->neg_spans_len);
    if (h->is_int)
        encode_deltas(b, 9, h->neg, h->neg_len);
    else
        encode_doubles(b, 10, h->neg, h->neg_len);
    encode_spans(b, 11, h->pos_spans, h->pos_spans_len);
    if (h->is_int)
        encode_deltas(b, 12, h->pos, h->pos_len);
    else
        encode_doubles(b, 13, h->pos, h->pos_len);
    pb_put_u64(b, 14, h->hint);
    pb_put_u64(b, 15, (u64)t);
    encode_doubles(b, 16, h->custom, h->custom_len);
    pb_end(b, m);
}

static void encode_exemplar(Buf *b, const Exemplar *e)
{
    size_t m = pb_begin(b, 3);
    encode_labels(b, e->labels);
    pb_put_f64(b, 2, e->v);
    pb_put_u64(b, 3, (u64)e->t);
    pb_end(b, m);
}

void remote_write_encode(const SeriesItem *series, u32 n, const MetadataItem *metadata, u32 metadata_len,
                         Buf *out)
{
    for (u32 i = 0; i < n; i++) {
        const SeriesItem *s = &series[i];
        size_t m = pb_begin(out, 1);
        encode_labels(out, s->labels);
        for (u32 k = 0; k < s->samples_len; k++)
            encode_sample(out, s->samples[k]);
        for (u32 k = 0; k < s->exemplars_len; k++)
            encode_exemplar(out, &s->exemplars[k]);
        for (u32 k = 0; k < s->hists_len; k++)
            remote_write_encode_histogram(out, 4, s->hists[k], s->hist_t[k]);
        pb_put_u64(out, WRITE_START_FIELD, (u64)s->start_t);
        pb_end(out, m);
    }
    for (u32 i = 0; i < metadata_len; i++) {
        size_t m = pb_begin(out, 3);
        pb_put_u64(out, 1, metadata[i].type);
        pb_put_bytes(out, 2, metadata[i].family);
        pb_put_bytes(out, 4, metadata[i].help);
        pb_put_bytes(out, 5, metadata[i].unit);
        pb_end(out, m);
    }
}
