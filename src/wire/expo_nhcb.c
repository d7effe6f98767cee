/* Classic histograms folded into native ones with custom buckets, over any of the formats.
 *
 * The series of one histogram follow each other (all but le and the suffix equal). They are collected; what comes after
 * them is held back while the histogram is given out. A set that is not a histogram (counts that fall, no bucket and no
 * count) is dropped with its classic series, as Prometheus does. With classic_too the classic series are given out as well.
 */
#include "wire/expo.h"

static Str base_name(Str name)
{
    static const Str suffixes[] = {STR_INIT("_bucket"), STR_INIT("_sum"), STR_INIT("_count")};
    for (size_t i = 0; i < COUNT_OF(suffixes); i++)
        if (str_ends(name, suffixes[i]))
            return str_sub(name, 0, name.len - suffixes[i].len);
    return name;
}

static u64 base_hash(Labels l)
{
    static const Str le[] = {STR_INIT("le")};
    return labels_hash_without(l, le, 1);
}

static Err set_bucket(ExpoParser *p, f64 le, f64 count, Why *why)
{
    ExpoNhcb *n = &p->nhcb;
    if (n->len == n->cap) {
        u32 cap = n->cap ? n->cap * 2 : 32;
        f64 *les = arena_array(p->arena, f64, cap), *counts = arena_array(p->arena, f64, cap);
        if (!les || !counts)
            return expo_too_big(why);
        if (n->len) {
            memcpy(les, n->le, n->len * sizeof *les);
            memcpy(counts, n->counts, n->len * sizeof *counts);
        }
        n->le = les, n->counts = counts, n->cap = cap;
    }
    u32 lo = n->len;
    while (lo && n->le[lo - 1] >= le)
        lo--;
    if (lo < n->len && n->le[lo] == le)
        return OK; /* the same bucket again: the first one counts */
    if (!(count >= 0) || (lo && count < n->counts[lo - 1]) || (lo < n->len && count > n->counts[lo]))
        n->is_wrong = true;
    memmove(n->le + lo + 1, n->le + lo, (n->len - lo) * sizeof *n->le);
    memmove(n->counts + lo + 1, n->counts + lo, (n->len - lo) * sizeof *n->counts);
    n->le[lo] = le;
    n->counts[lo] = count;
    n->len++;
    return OK;
}

/* Takes the series into the histogram being collected. *ret_taken false: it is none of ours. */
static Err collect(ExpoParser *p, const ExpoItem *item, bool *ret_taken, Why *why)
{
    ExpoNhcb *n = &p->nhcb;
    *ret_taken = false;
    if (n->type != TYPE_HISTOGRAM || !str_eq(base_name(item->name), n->base))
        return OK;
    Str le_text = labels_get(item->labels, S("le"));
    f64 le = 0;
    bool bucket = str_ends(item->name, S("_bucket")) && le_text.len && parse_f64(le_text, &le) == OK &&
                  !__builtin_isnan(le);
    bool count = str_ends(item->name, S("_count")), sum = str_ends(item->name, S("_sum"));
    if (!bucket && !count && !sum)
        return OK;
    u64 hash = base_hash(item->labels);
    if (!n->is_collecting) {
        if (n->after_native && n->hash == hash && str_eq(n->series_name, n->base))
            return OK; /* the classic form of a native histogram just given out */
        n->is_collecting = true;
        n->after_native = false;
        n->series_name = n->base;
        n->hash = hash;
        LabelsBuilder b;
        lb_init(&b, p->arena, item->labels);
        lb_del(&b, S("le"));
        lb_set(&b, LABEL_NAME, n->base);
        n->labels = lb_build(&b);
        n->t = item->t;
        n->start_t = item->start_t;
        n->len = n->exemplars_len = 0;
        n->has_count = n->is_wrong = false;
        n->sum = n->count = 0;
    }
    *ret_taken = true;
    for (u32 i = 0; i < item->exemplars_len && n->exemplars_len < COUNT_OF(n->exemplars); i++)
        n->exemplars[n->exemplars_len++] = item->exemplars[i];
    if (bucket)
        return set_bucket(p, le, item->value, why);
    if (sum) {
        n->sum = item->value;
    } else {
        n->count = item->value;
        n->has_count = true;
        n->is_wrong |= !(item->value >= 0);
    }
    return OK;
}

static bool is_whole(f64 v)
{
    return v >= 0 && v <= 9007199254740992.0 && v == (f64)(u64)v;
}

/* Spans over the filled buckets; gaps of at most two empty ones are kept as buckets. */
static void fill_buckets(Histogram *h, const f64 *counts, u32 n)
{
    u32 end = 0; /* behind the last bucket written */
    for (u32 i = 0; i < n; i++) {
        f64 v = counts[i] - (i ? counts[i - 1] : 0);
        if (v == 0)
            continue;
        if (h->pos_spans_len && i - end <= 2) {
            for (; end < i; end++) {
                h->pos[h->pos_len++] = 0;
                h->pos_spans[h->pos_spans_len - 1].length++;
            }
        } else {
            h->pos_spans[h->pos_spans_len++] = (HistSpan){(i32)(i - end), 0};
        }
        h->pos[h->pos_len++] = v;
        h->pos_spans[h->pos_spans_len - 1].length++;
        end = i + 1;
    }
}

/* Builds what was collected into n->out. *ret_made false: nothing that makes a histogram. */
static Err convert(ExpoParser *p, bool *ret_made, Why *why)
{
    ExpoNhcb *n = &p->nhcb;
    *ret_made = false;
    n->is_collecting = false;
    if (n->is_wrong || (!n->len && !n->has_count))
        return OK;
    if (!n->len || !(__builtin_isinf(n->le[n->len - 1]) && n->le[n->len - 1] > 0)) {
        if (!n->has_count)
            n->count = n->counts[n->len - 1];
        TRY(set_bucket(p, __builtin_inf(), n->count, why));
    } else if (!n->has_count) {
        n->count = n->counts[n->len - 1];
    }
    if (n->is_wrong || n->count != n->counts[n->len - 1])
        return OK;
    Histogram *h = arena_new(p->arena, Histogram);
    *h = (Histogram){.schema = HIST_SCHEMA_CUSTOM, .is_int = true, .count = n->count, .sum = n->sum};
    for (u32 i = 0; i < n->len; i++)
        h->is_int &= is_whole(n->counts[i]);
    h->custom_len = n->len - 1;
    h->custom = arena_array(p->arena, f64, n->len);
    h->pos = arena_array(p->arena, f64, n->len);
    h->pos_spans = arena_array(p->arena, HistSpan, n->len);
    if (!h->custom || !h->pos || !h->pos_spans)
        return expo_too_big(why);
    memcpy(h->custom, n->le, h->custom_len * sizeof *h->custom);
    fill_buckets(h, n->counts, n->len);
    if (histogram_check(h, NULL) != OK)
        return OK;
    Buf key;
    buf_init(&key, 1 << 20);
    labels_print(&key, n->labels);
    n->out = (ExpoItem){.kind = EXPO_HISTOGRAM,
                        .series_text = arena_dup(p->arena, buf_view(&key)),
                        .name = n->base,
                        .labels = n->labels,
                        .t = n->t,
                        .hist = h,
                        .start_t = n->start_t,
                        .type = TYPE_HISTOGRAM,
                        .exemplars_len = n->exemplars_len};
    buf_done(&key);
    memcpy(n->out.exemplars, n->exemplars, n->exemplars_len * sizeof *n->exemplars);
    *ret_made = true;
    return OK;
}

/* What to do with the item just read (or held): true when it is to be given out. */
static Err take_item(ExpoParser *p, ExpoItem *item, bool *ret_give, Why *why)
{
    ExpoNhcb *n = &p->nhcb;
    *ret_give = true;
    if (item->kind == EXPO_TYPE) {
        n->base = item->name;
        n->type = item->type;
    } else if (item->kind == EXPO_HISTOGRAM) {
        TRY(expo_raw_labels(p, item, why));
        n->after_native = true;
        n->series_name = item->name;
        n->hash = base_hash(item->labels);
    } else if (item->kind == EXPO_SERIES && n->type == TYPE_HISTOGRAM) {
        bool taken;
        TRY(collect(p, item, &taken, why));
        *ret_give = !taken || p->options.classic_too;
    }
    return OK;
}

/* Does the item belong to what is being collected? */
static bool continues(const ExpoNhcb *n, const ExpoItem *item)
{
    return item->kind == EXPO_SERIES && n->type == TYPE_HISTOGRAM &&
           str_eq(base_name(item->name), n->series_name) && base_hash(item->labels) == n->hash;
}

Err expo_nhcb_next(ExpoParser *p, ExpoItem *ret, Why *why)
{
    ExpoNhcb *n = &p->nhcb;
    for (;;) {
        bool give, made;
        if (n->has_held) {
            n->has_held = false;
            if (n->held_err != OK)
                return n->held_err;
            *ret = n->held;
        } else {
            Err e = expo_raw_next(p, ret, why);
            if (e != OK && e != E_NOT_FOUND)
                return e;
            if (e == OK && ret->kind == EXPO_SERIES && n->type == TYPE_HISTOGRAM)
                TRY(expo_raw_labels(p, ret, why));
            if (n->is_collecting && (e != OK || !continues(n, ret))) {
                TRY(convert(p, &made, why));
                if (made) {
                    n->has_held = true;
                    n->held_err = e;
                    n->held = *ret;
                    *ret = n->out;
                    return OK;
                }
            }
            if (e != OK)
                return e;
        }
        TRY(take_item(p, ret, &give, why));
        if (give)
            return OK;
    }
}
