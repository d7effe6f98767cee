/* Delimited io.prometheus.client.MetricFamily messages, given out in the shape of a text page: help, unit, type, then
 * series. A native histogram is one EXPO_HISTOGRAM item; classic histograms and summaries become their _count, _sum and
 * _bucket or quantile series. Messages are read in place; nothing is built but label sets that are asked for.
 */
#include "wire/expo.h"
#include "wire/pb_parts.h"

enum { KIND_COUNTER, KIND_GAUGE, KIND_SUMMARY, KIND_UNTYPED, KIND_HISTOGRAM, KIND_GAUGE_HISTOGRAM };
enum { STAGE_FAMILY, STAGE_UNIT, STAGE_TYPE, STAGE_METRIC, STAGE_PARTS };
enum { PART_COUNT, PART_SUM, PART_ITEMS, PART_INF, PART_END };

static Err proto_fail(ExpoParser *p, Why *why, const char *what)
{
    ExpoProto *q = &p->proto;
    Str name = str_is_utf8(q->name) ? q->name : S("");
    return why_set(why, E_PARSE, "%s, in metric family \"%.*s\" which ends at byte %zu", what,
                   (int)MIN(name.len, (size_t)200), name.at ? name.at : "", (size_t)(p->at - p->page));
}

static MetricType proto_type(i32 kind)
{
    switch (kind) {
    case KIND_COUNTER:
        return TYPE_COUNTER;
    case KIND_GAUGE:
        return TYPE_GAUGE;
    case KIND_SUMMARY:
        return TYPE_SUMMARY;
    case KIND_HISTOGRAM:
        return TYPE_HISTOGRAM;
    case KIND_GAUGE_HISTOGRAM:
        return TYPE_GAUGEHISTOGRAM;
    default:
        return TYPE_UNKNOWN;
    }
}

/* A google.protobuf.Timestamp in milliseconds. */
static bool proto_time(Str msg, i64 *ret)
{
    PbReader r;
    i64 s = 0, ns = 0;
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_VARINT))
            s = (i64)r.num;
        else if (r.field == 2 && pb_expect(&r, PB_VARINT))
            ns = (i32)r.num;
    }
    if (r.is_bad || s < -9000000000000000 || s > 9000000000000000)
        return false;
    *ret = s * 1000 + ns / 1000000;
    return true;
}

/* ---- families ---- */

static bool unit_fits(Str name, Str unit, i32 kind)
{
    if (kind == KIND_COUNTER && str_ends(name, S("_total")))
        name.len -= 6;
    return name.len > unit.len && str_ends(name, unit) && name.at[name.len - unit.len - 1] == '_';
}

static Err family_next(ExpoParser *p, Why *why)
{
    ExpoProto *q = &p->proto;
    for (;;) {
        if (p->at >= p->end) {
            p->is_done = true;
            return E_NOT_FOUND;
        }
        u64 len;
        size_t n = uvarint_get((const u8 *)p->at, (const u8 *)p->end, &len);
        if (!n || len > (u64)(p->end - p->at) - n)
            return why_set(why, E_PARSE,
                           "the length of the metric family at byte %zu goes past the end of the page",
                           (size_t)(p->at - p->page));
        Str msg = str_of(p->at + n, len);
        p->at += n + len;
        q->name = q->help = q->unit = S("");
        q->kind = KIND_COUNTER;
        bool has_metric = false;
        PbReader r;
        pb_init(&r, msg);
        while (pb_next(&r)) {
            if (r.field == 1 && pb_expect(&r, PB_BYTES))
                q->name = r.bytes;
            else if (r.field == 2 && pb_expect(&r, PB_BYTES))
                q->help = r.bytes;
            else if (r.field == 3 && pb_expect(&r, PB_VARINT))
                q->kind = r.num > KIND_GAUGE_HISTOGRAM ? -1 : (i32)r.num;
            else if (r.field == 4 && pb_expect(&r, PB_BYTES))
                has_metric = true;
            else if (r.field == 5 && pb_expect(&r, PB_BYTES))
                q->unit = r.bytes;
        }
        if (r.is_bad)
            return proto_fail(p, why, "malformed MetricFamily message");
        if (!has_metric)
            continue;
        if (!q->name.len || !str_is_utf8(q->name))
            return proto_fail(p, why, "the metric name is empty or not UTF-8");
        if (!str_is_utf8(q->help))
            return proto_fail(p, why, "the help text is not UTF-8");
        if (q->kind < 0)
            return proto_fail(p, why, "unknown metric type");
        if (q->unit.len && !unit_fits(q->name, q->unit, q->kind))
            return proto_fail(p, why, "the unit is not a suffix of the metric's name");
        p->type = proto_type(q->kind);
        pb_init(&q->metrics, msg);
        return OK;
    }
}

/* ---- metrics ---- */

/* The kind of message that the family's type calls for: field numbers in Metric. */
static u32 value_field(i32 kind)
{
    static const u8 fields[] = {[KIND_COUNTER] = 3, [KIND_GAUGE] = 2,     [KIND_SUMMARY] = 4,
                                [KIND_UNTYPED] = 5, [KIND_HISTOGRAM] = 7, [KIND_GAUGE_HISTOGRAM] = 7};
    return fields[kind];
}

static bool metric_next(ExpoParser *p)
{
    ExpoProto *q = &p->proto;
    while (pb_next(&q->metrics))
        if (q->metrics.field == 4) {
            q->metric = q->metrics.bytes;
            return true;
        }
    return false;
}

static Err metric_open(ExpoParser *p, Why *why)
{
    ExpoProto *q = &p->proto;
    PbReader r;
    q->value = S("");
    q->t = INT64_MIN;
    q->start_t = 0;
    pb_init(&r, q->metric);
    while (pb_next(&r)) {
        if (r.field == value_field(q->kind) && pb_expect(&r, PB_BYTES))
            q->value = r.bytes;
        else if (r.field == 6 && pb_expect(&r, PB_VARINT))
            q->t = r.num ? (i64)r.num : INT64_MIN;
    }
    return r.is_bad ? proto_fail(p, why, "malformed Metric message") : OK;
}

static f64 either(f64 f, u64 n)
{
    return f != 0 ? f : (f64)n;
}

/* The series' identity for caches: name, suffix, bound and the label messages as they came. */
static Err make_key(ExpoParser *p, ExpoItem *ret, Why *why)
{
    ExpoProto *q = &p->proto;
    size_t suffix = strlen(q->suffix), need = q->name.len + suffix + 1 + 8 + q->metric.len;
    if (p->key_cap < need) {
        p->key_cap = need * 2;
        p->key = arena_try(p->arena, p->key_cap);
        if (!p->key)
            return expo_too_big(why);
    }
    char *at = p->key;
    memcpy(at, q->name.at, q->name.len), at += q->name.len;
    memcpy(at, q->suffix, suffix), at += suffix;
    *at++ = 0;
    if (q->has_bound)
        memcpy(at, &q->bound, 8), at += 8;
    PbReader r;
    pb_init(&r, q->metric);
    for (const u8 *from = r.at; pb_next(&r); from = r.at)
        if (r.field == 1)
            memcpy(at, from, (size_t)(r.at - from)), at += r.at - from;
    ret->series_text = str_of(p->key, (size_t)(at - p->key));
    return OK;
}

static Err read_exemplar(ExpoParser *p, Str msg, bool need_t, ExpoItem *ret, Why *why)
{
    Exemplar e = {0};
    bool has_t = false, usable;
    PbReader r;
    p->scratch_len = 0;
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_BYTES)) {
            Label l;
            PbReader s;
            if (!pb_label(&s, r.bytes, &l))
                return proto_fail(p, why, "malformed exemplar label");
            if (!expo_label_add(p, l.name, l.value))
                return expo_too_big(why);
        } else if (r.field == 2 && pb_expect(&r, PB_FIXED64)) {
            e.v = pb_f64(r.num);
        } else if (r.field == 3 && pb_expect(&r, PB_BYTES)) {
            has_t = proto_time(r.bytes, &e.t);
        }
    }
    if (r.is_bad)
        return proto_fail(p, why, "malformed Exemplar message");
    TRY(expo_exemplar_labels(p, &e, &usable));
    if (usable && (has_t || !need_t) && ret->exemplars_len < COUNT_OF(ret->exemplars))
        ret->exemplars[ret->exemplars_len++] = e;
    return OK;
}

static Err series_item(ExpoParser *p, ExpoItem *ret, const char *suffix, f64 v, Why *why)
{
    ExpoProto *q = &p->proto;
    q->suffix = suffix;
    ret->kind = EXPO_SERIES;
    ret->name = S("");
    ret->value = v;
    ret->t = q->t;
    ret->start_t = q->start_t;
    ret->type = p->type;
    return make_key(p, ret, why);
}

/* ---- native histograms ---- */

static Err native_item(ExpoParser *p, ExpoItem *ret, Why *why)
{
    ExpoProto *q = &p->proto;
    Histogram *h = arena_new(p->arena, Histogram);
    bool has_float = false, has_native_exemplars = false;
    PbReader r, part;
    pb_init(&r, q->value);
    while (pb_next(&r))
        has_float |= (r.field == 4 || r.field == 8) && r.type == PB_FIXED64 && pb_f64(r.num) > 0;
    u8 item = has_float ? PB_FIXED64 : PB_VARINT;
    u32 neg_field = has_float ? 11 : 10, pos_field = has_float ? 14 : 13;
    h->neg_spans = pb_take(p->arena, sizeof(HistSpan), pb_count(q->value, 9, PB_BYTES));
    h->pos_spans = pb_take(p->arena, sizeof(HistSpan), pb_count(q->value, 12, PB_BYTES));
    PbNumbers neg = {.at = pb_take(p->arena, 8, pb_numbers_len(q->value, neg_field, item))},
              pos = {.at = pb_take(p->arena, 8, pb_numbers_len(q->value, pos_field, item))};
    if (!h->pos_spans || !h->neg_spans || !pos.at || !neg.at)
        return expo_too_big(why);
    h->is_int = !has_float;
    h->hint = q->kind == KIND_GAUGE_HISTOGRAM ? HIST_GAUGE : HIST_UNKNOWN_RESET;
    bool ok = true;
    ret->exemplars_len = 0;
    pb_init(&r, q->value);
    while (ok && pb_next(&r)) {
        switch (r.field) {
        case 1:
            if (h->is_int)
                ok = r.type == PB_VARINT && r.num <= 1ULL << 53, h->count = (f64)r.num;
            break;
        case 4:
            if (has_float)
                ok = r.type == PB_FIXED64, h->count = pb_f64(r.num);
            break;
        case 2:
            ok = r.type == PB_FIXED64, h->sum = pb_f64(r.num);
            break;
        case 5:
            ok = r.type == PB_VARINT, h->schema = (i32)pb_sint(r.num);
            break;
        case 6:
            ok = r.type == PB_FIXED64, h->zero_threshold = pb_f64(r.num);
            break;
        case 7:
            if (h->is_int)
                ok = r.type == PB_VARINT && r.num <= 1ULL << 53, h->zero_count = (f64)r.num;
            break;
        case 8:
            if (has_float)
                ok = r.type == PB_FIXED64, h->zero_count = pb_f64(r.num);
            break;
        case 9:
            ok = r.type == PB_BYTES && pb_span(&part, r.bytes, &h->neg_spans[h->neg_spans_len++]);
            break;
        case 12:
            ok = r.type == PB_BYTES && pb_span(&part, r.bytes, &h->pos_spans[h->pos_spans_len++]);
            break;
        case 10:
            if (h->is_int)
                ok = pb_deltas(&r, &neg);
            break;
        case 11:
            if (has_float)
                ok = pb_doubles(&r, &neg);
            break;
        case 13:
            if (h->is_int)
                ok = pb_deltas(&r, &pos);
            break;
        case 14:
            if (has_float)
                ok = pb_doubles(&r, &pos);
            break;
        case 16:
            if (!pb_expect(&r, PB_BYTES))
                break;
            has_native_exemplars = true;
            TRY(read_exemplar(p, r.bytes, true, ret, why));
            break;
        }
    }
    if (r.is_bad || !ok)
        return proto_fail(p, why, "malformed native histogram");
    h->pos = pos.at, h->pos_len = pos.len;
    h->neg = neg.at, h->neg_len = neg.len;
    Why reason;
    if (histogram_check(h, &reason) != OK)
        return proto_fail(p, why, reason.text);
    if (!has_native_exemplars) {
        PbReader b, s;
        pb_init(&b, q->value);
        while (pb_next(&b)) {
            if (b.field != 3 || b.type != PB_BYTES)
                continue;
            pb_init(&s, b.bytes);
            while (pb_next(&s))
                if (s.field == 3 && s.type == PB_BYTES)
                    TRY(read_exemplar(p, s.bytes, true, ret, why));
        }
    }
    u32 exemplars = ret->exemplars_len;
    TRY(series_item(p, ret, "", 0, why));
    ret->exemplars_len = exemplars;
    ret->kind = EXPO_HISTOGRAM;
    ret->hist = h;
    return OK;
}

/* ---- values ---- */

static Err simple_item(ExpoParser *p, ExpoItem *ret, Why *why)
{
    ExpoProto *q = &p->proto;
    f64 v = 0;
    Str exemplar = {0};
    PbReader r;
    pb_init(&r, q->value);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_FIXED64))
            v = pb_f64(r.num);
        else if (q->kind == KIND_COUNTER && r.field == 2 && pb_expect(&r, PB_BYTES))
            exemplar = r.bytes;
        else if (q->kind == KIND_COUNTER && r.field == 3 && pb_expect(&r, PB_BYTES))
            proto_time(r.bytes, &q->start_t);
    }
    if (r.is_bad)
        return proto_fail(p, why, "malformed value message");
    q->has_bound = false;
    TRY(series_item(p, ret, "", v, why));
    return exemplar.at ? read_exemplar(p, exemplar, false, ret, why) : OK;
}

/* Reads what summaries and histograms have besides their parts; tells whether a histogram is (also) native. */
static Err composite_open(ExpoParser *p, bool *ret_native, bool *ret_classic, Why *why)
{
    ExpoProto *q = &p->proto;
    bool summary = q->kind == KIND_SUMMARY, native = false, buckets = false;
    u64 n = 0;
    f64 nf = 0;
    PbReader r;
    q->sum = 0;
    pb_init(&r, q->value);
    while (pb_next(&r)) {
        if (r.field == 1 && pb_expect(&r, PB_VARINT))
            n = r.num;
        else if (r.field == 2 && pb_expect(&r, PB_FIXED64))
            q->sum = pb_f64(r.num);
        else if (r.field == 3 && pb_expect(&r, PB_BYTES))
            buckets = true;
        else if (summary && r.field == 4 && pb_expect(&r, PB_BYTES))
            proto_time(r.bytes, &q->start_t);
        else if (!summary && r.field == 4 && pb_expect(&r, PB_FIXED64))
            nf = pb_f64(r.num);
        else if (!summary && r.field == 15 && pb_expect(&r, PB_BYTES))
            proto_time(r.bytes, &q->start_t);
        else if (!summary && (r.field == 9 || r.field == 12))
            native = true;
        else if (!summary && (r.field == 6 || r.field == 8) && pb_expect(&r, PB_FIXED64))
            native |= pb_f64(r.num) > 0;
        else if (!summary && r.field == 7 && pb_expect(&r, PB_VARINT))
            native |= r.num > 0;
    }
    if (r.is_bad)
        return proto_fail(p, why, "malformed summary or histogram");
    q->count = either(nf, n);
    q->part = PART_COUNT;
    q->has_inf = false;
    q->has_bound = false;
    pb_init(&q->parts, q->value);
    *ret_native = native;
    *ret_classic = buckets;
    return OK;
}

/* A Quantile (1 quantile, 2 value) or Bucket (1 cumulative_count, 2 upper_bound, 3 exemplar, 4 cumulative_count_float). */
static Err part_read(ExpoParser *p, Str msg, f64 *ret_value, Why *why)
{
    ExpoProto *q = &p->proto;
    bool summary = q->kind == KIND_SUMMARY;
    f64 a = 0, b = 0, f = 0;
    u64 n = 0;
    PbReader r;
    q->exemplar = (Str){0};
    pb_init(&r, msg);
    while (pb_next(&r)) {
        if (r.field == 2 && pb_expect(&r, PB_FIXED64))
            b = pb_f64(r.num);
        else if (summary && r.field == 1 && pb_expect(&r, PB_FIXED64))
            a = pb_f64(r.num);
        else if (!summary && r.field == 1 && pb_expect(&r, PB_VARINT))
            n = r.num;
        else if (!summary && r.field == 3 && pb_expect(&r, PB_BYTES))
            q->exemplar = r.bytes;
        else if (!summary && r.field == 4 && pb_expect(&r, PB_FIXED64))
            f = pb_f64(r.num);
    }
    q->bound = summary ? a : b;
    q->has_bound = true;
    *ret_value = summary ? b : either(f, n);
    return r.is_bad ? proto_fail(p, why, "malformed quantile or bucket") : OK;
}

/* The next series of a summary or classic histogram; E_NOT_FOUND after the last. */
static Err part_item(ExpoParser *p, ExpoItem *ret, Why *why)
{
    ExpoProto *q = &p->proto;
    bool summary = q->kind == KIND_SUMMARY;
    f64 v;
    switch (q->part) {
    case PART_COUNT:
        q->part = PART_SUM;
        return series_item(p, ret, "_count", q->count, why);
    case PART_SUM:
        q->part = PART_ITEMS;
        return series_item(p, ret, "_sum", q->sum, why);
    case PART_ITEMS:
        while (pb_next(&q->parts)) {
            if (q->parts.field != 3)
                continue;
            TRY(part_read(p, q->parts.bytes, &v, why));
            q->has_inf |= __builtin_isinf(q->bound) && q->bound > 0;
            TRY(series_item(p, ret, summary ? "" : "_bucket", v, why));
            return q->exemplar.at ? read_exemplar(p, q->exemplar, false, ret, why) : OK;
        }
        q->part = PART_END;
        if (summary || q->has_inf)
            return E_NOT_FOUND;
        q->bound = __builtin_inf();
        q->has_bound = true;
        return series_item(p, ret, "_bucket", q->count, why);
    default:
        return E_NOT_FOUND;
    }
}

/* ---- next, labels ---- */

static void metadata_item(ExpoParser *p, ExpoItem *ret, ExpoKind kind, Str text)
{
    ret->kind = kind;
    ret->name = p->proto.name;
    ret->series_text = S("");
    ret->text = text;
    ret->type = p->type;
}

Err expo_proto_next(ExpoParser *p, ExpoItem *ret, Why *why)
{
    ExpoProto *q = &p->proto;
    ret->line = ret->col = 0;
    for (;;) {
        bool native, classic;
        Err e;
        switch (q->stage) {
        case STAGE_FAMILY:
            TRY(family_next(p, why));
            q->stage = q->unit.len ? STAGE_UNIT : STAGE_TYPE;
            metadata_item(p, ret, EXPO_HELP, q->help);
            return OK;
        case STAGE_UNIT:
            q->stage = STAGE_TYPE;
            metadata_item(p, ret, EXPO_UNIT, q->unit);
            return OK;
        case STAGE_TYPE:
            q->stage = STAGE_METRIC;
            metadata_item(p, ret, EXPO_TYPE, S(""));
            return OK;
        case STAGE_METRIC:
            if (!metric_next(p)) {
                q->stage = STAGE_FAMILY;
                continue;
            }
            TRY(metric_open(p, why));
            if (q->kind == KIND_COUNTER || q->kind == KIND_GAUGE || q->kind == KIND_UNTYPED)
                return simple_item(p, ret, why);
            TRY(composite_open(p, &native, &classic, why));
            if (!native || (classic && p->options.classic_too))
                q->stage = STAGE_PARTS;
            if (native)
                return native_item(p, ret, why);
            continue;
        case STAGE_PARTS:
            e = part_item(p, ret, why);
            if (e != E_NOT_FOUND)
                return e;
            q->stage = STAGE_METRIC;
            continue;
        }
    }
}

Err expo_proto_labels(ExpoParser *p, ExpoItem *item, Why *why)
{
    ExpoProto *q = &p->proto;
    PbReader r;
    Str name = q->name, dup;
    if (q->suffix[0]) {
        name = arena_printf(p->arena, "%.*s%s", STR_FMT(q->name), q->suffix);
        if (!name.len)
            return expo_too_big(why);
    }
    p->scratch_len = 0;
    if (!expo_label_add(p, LABEL_NAME, name))
        return expo_too_big(why);
    pb_init(&r, q->metric);
    while (pb_next(&r)) {
        if (r.field != 1)
            continue;
        Label l;
        PbReader s;
        if (!pb_label(&s, r.bytes, &l))
            return proto_fail(p, why, "malformed LabelPair message");
        if (!l.name.len || !str_is_utf8(l.name) || !str_is_utf8(l.value))
            return proto_fail(p, why, "a label name is empty, or a name or value is not UTF-8");
        if (!expo_label_add(p, l.name, l.value))
            return expo_too_big(why);
    }
    if (q->has_bound && item->kind == EXPO_SERIES &&
        !expo_label_add(p, q->kind == KIND_SUMMARY ? S("quantile") : S("le"), expo_format_bound(p, q->bound)))
        return expo_too_big(why);
    Err e = expo_labels_take(p, &item->labels, &dup);
    if (e == E_CONFLICT)
        return proto_fail(p, why, "a label name is not unique");
    item->name = name;
    return e == OK ? OK : expo_too_big(why);
}
