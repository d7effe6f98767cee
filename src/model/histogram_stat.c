#include "model/model.h"

#include <math.h>

/* ---- quantiles and fractions ---- */

/* The share of a bucket's width at or below v, v strictly inside finite bounds. Exponential buckets are divided on a
 * logarithmic scale: as if a histogram of higher resolution were populated evenly. */
static f64 share_below(const HistBucket *b, f64 v, bool linear)
{
    if (linear)
        return (v - b->lower) / (b->upper - b->lower);
    f64 lower = log2(fabs(b->lower)), upper = log2(fabs(b->upper)), at = log2(fabs(v));
    return v > 0 ? (at - lower) / (upper - lower) : 1 - (at - upper) / (lower - upper);
}

/* Where only one side has buckets the zero bucket ends at zero. */
static void clip_zero_bucket(const Histogram *h, HistBucket *b)
{
    if (h->neg_len == 0 && h->pos_len > 0)
        b->lower = 0;
    else if (h->pos_len == 0 && h->neg_len > 0)
        b->upper = 0;
}

static f64 interpolate(const HistBucket *b, f64 fraction, bool linear)
{
    if (linear)
        return b->lower + (b->upper - b->lower) * fraction;
    f64 lower = log2(fabs(b->lower)), upper = log2(fabs(b->upper));
    return b->lower > 0 ? exp2(lower + (upper - lower) * fraction)
                        : -exp2(upper + (lower - upper) * (1 - fraction));
}

f64 histogram_quantile(const Histogram *h, f64 q, u32 *ret_remarks)
{
    *ret_remarks = 0;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    if (h->count == 0 || isnan(q))
        return NAN;
    /* Observations of NaN are in no bucket but counted; they are taken for the largest, so counting starts from below. */
    bool has_nan = isnan(h->sum), is_custom = h->schema == HIST_SCHEMA_CUSTOM;
    bool from_below = has_nan || q < 0.5;
    f64 rank = (from_below ? q : 1 - q) * h->count, count = 0;
    HistIter it;
    HistBucket b = {0}, next;
    histogram_iter(&it, h, !from_below);
    while (histogram_next(&it, &next)) {
        b = next;
        if (b.count == 0)
            continue;
        count += b.count;
        if (count >= rank)
            break;
    }
    if (!is_custom && b.lower < 0 && b.upper > 0) {
        clip_zero_bucket(h, &b);
    } else if (is_custom) {
        if (b.lower == -INFINITY) {
            if (b.upper <= 0)
                return b.upper;
            b.lower = 0;
        } else if (b.upper == INFINITY) {
            return b.lower;
        }
    }
    count = MIN(count, h->count);
    if (count < rank) {
        if (!has_nan)
            return b.upper;
        *ret_remarks = HIST_NAN_RESULT;
        return NAN;
    }
    rank = from_below ? rank - (count - b.count) : count - rank;
    if (has_nan) {
        while (histogram_next(&it, &next))
            count += next.count;
        if (count < h->count)
            *ret_remarks = HIST_NAN_SKEW;
    }
    return interpolate(&b, rank / b.count, is_custom || (b.lower <= 0 && b.upper >= 0));
}

/* Observations at or below v, v inside bucket b that starts at `rank`. */
static f64 rank_inside(const HistBucket *b, f64 rank, f64 v, bool linear)
{
    if (linear && b->lower == -INFINITY)
        return b->count;
    return rank + b->count * share_below(b, v, linear);
}

f64 histogram_fraction(const Histogram *h, f64 lower, f64 upper, u32 *ret_remarks)
{
    *ret_remarks = 0;
    if (h->count == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    f64 bound[2] = {lower, upper}, at[2] = {0, 0}, rank = 0, count = 0;
    bool is_set[2] = {false, false};
    HistIter it;
    HistBucket b;
    histogram_iter(&it, h, false);
    while (!(is_set[0] && is_set[1]) && histogram_next(&it, &b)) {
        count += b.count;
        bool linear = h->schema == HIST_SCHEMA_CUSTOM;
        if (b.lower <= 0 && b.upper >= 0) {
            linear = true;
            clip_zero_bucket(h, &b);
        }
        for (int i = 0; i < 2; i++) {
            if (!is_set[i] && b.lower >= bound[i]) {
                at[i] = rank;
                is_set[i] = true;
            } else if (!is_set[i] && b.lower < bound[i] && b.upper > bound[i]) {
                at[i] = rank_inside(&b, rank, bound[i], linear);
                is_set[i] = true;
            }
        }
        rank += b.count;
    }
    if (isnan(h->sum)) {
        while (histogram_next(&it, &b))
            count += b.count;
        if (count < h->count)
            *ret_remarks = HIST_NAN_RESULT;
    } else {
        count = h->count;
    }
    for (int i = 0; i < 2; i++)
        if (!is_set[i] || at[i] > count)
            at[i] = count;
    return (at[1] - at[0]) / h->count;
}

f64 histogram_variance(const Histogram *h)
{
    f64 mean = h->sum / h->count, sum = 0, c = 0;
    HistIter it;
    HistBucket b;
    histogram_iter(&it, h, false);
    while (histogram_next(&it, &b)) {
        if (b.count == 0)
            continue;
        f64 v;
        if (h->schema == HIST_SCHEMA_CUSTOM)
            v = (b.upper + b.lower) / 2.0;
        else if (b.lower <= 0 && b.upper >= 0)
            v = 0;
        else
            v = b.upper < 0 ? -sqrt(b.upper * b.lower) : sqrt(b.upper * b.lower);
        f64 delta = v - mean;
        kahan_add(b.count * delta * delta, &sum, &c);
    }
    return (sum + c) / h->count;
}

/* ---- trimming ---- */

/* The value that stands for all observations between two bounds of one bucket. */
static f64 middle(f64 lower, f64 upper, bool positive, bool linear)
{
    if (isinf(lower)) {
        if (isinf(upper))
            return 0;
        return upper > 0 ? upper / 2 : upper;
    }
    if (isinf(upper))
        return lower;
    if (linear)
        return (lower + upper) / 2;
    f64 mean = sqrt(fabs(lower * upper));
    return positive ? mean : -mean;
}

/* Only custom buckets are unbounded (and the overflow buckets of exponential ones). Nothing is known of how observations
 * lie in them, so a cut drops the whole bucket; but (-Inf, upper] with positive upper is taken to start at zero. */
static f64 keep_of_unbounded(const HistBucket *b, f64 cut, bool upper, f64 *ret_middle)
{
    if (b->lower == -INFINITY) {
        bool from_zero = b->upper > 0 && b->upper != INFINITY;
        if (upper) {
            if (cut >= b->upper) {
                *ret_middle = 0;
                return b->count;
            }
            if (cut > 0 && from_zero) {
                *ret_middle = cut / 2;
                return b->count * cut / b->upper;
            }
            if (b->upper <= 0) {
                *ret_middle = cut;
                return b->count;
            }
        } else {
            if (cut <= b->lower) {
                *ret_middle = 0;
                return b->count;
            }
            if (cut >= 0 && b->upper > cut && from_zero) {
                *ret_middle = (cut + b->upper) / 2;
                return b->count * (1 - cut / b->upper);
            }
        }
        *ret_middle = isinf(b->upper) ? 0 : b->upper;
        return 0;
    }
    if (!upper && cut >= b->lower) {
        *ret_middle = cut;
        return b->count;
    }
    *ret_middle = isinf(b->lower) ? 0 : b->lower;
    return 0;
}

/* How much of a bucket stays, and the value standing for that. */
static f64 keep_of(const HistBucket *b, f64 cut, bool upper, bool positive, bool linear, f64 *ret_middle)
{
    bool is_kept = upper ? b->upper <= cut : b->lower >= cut;
    if (is_kept) {
        *ret_middle = middle(b->lower, b->upper, positive, linear);
        return b->count;
    }
    bool is_cut = upper ? b->lower < cut : b->upper > cut;
    if (!is_cut) {
        *ret_middle = 0;
        return 0;
    }
    if (b->lower == -INFINITY || b->upper == INFINITY)
        return keep_of_unbounded(b, cut, upper, ret_middle);
    f64 below = b->count * share_below(b, cut, linear);
    *ret_middle = upper ? middle(b->lower, cut, positive, linear) : middle(cut, b->upper, positive, linear);
    return upper ? below : b->count - below;
}

static f64 keep_of_zero(const Histogram *h, f64 cut, bool upper, bool has_neg, bool has_pos, f64 *ret_middle)
{
    f64 lo = has_pos && !has_neg ? 0 : -h->zero_threshold;
    f64 hi = has_neg && !has_pos ? 0 : h->zero_threshold;
    *ret_middle = 0;
    if (upper && cut <= lo)
        return 0;
    if (upper ? cut >= hi : cut <= lo) {
        *ret_middle = (lo + hi) / 2;
        return h->zero_count;
    }
    if (!upper && cut >= hi)
        return 0;
    *ret_middle = upper ? (lo + cut) / 2 : (cut + hi) / 2;
    return h->zero_count * (upper ? (cut - lo) / (hi - lo) : (hi - cut) / (hi - lo));
}

void histogram_trim(Arena *a, Histogram *h, f64 cut, bool upper)
{
    f64 count = 0, sum = 0, mid;
    bool is_trimmed = false, has[2] = {false, false};
    bool linear = h->schema == HIST_SCHEMA_CUSTOM;
    for (int side = 1; side >= 0; side--) {
        bool positive = side == 1;
        f64 *v = positive ? h->pos : h->neg;
        HistCursor c = histogram_side(h, positive, false);
        HistBucket b;
        i32 index;
        f64 n;
        for (u32 i = 0; histogram_side_next(&c, &index, &n); i++) {
            if (n == 0)
                continue;
            has[side] = true;
            histogram_bucket(h, positive, index, n, &b);
            f64 kept = keep_of(&b, cut, upper, positive, linear, &mid);
            count += kept;
            sum += mid * kept;
            if (kept != n) {
                v[i] = kept;
                is_trimmed = true;
            }
        }
    }
    if (h->zero_count > 0) {
        f64 kept = keep_of_zero(h, cut, upper, has[0], has[1], &mid);
        if (kept != h->zero_count) {
            h->zero_count = kept;
            is_trimmed = true;
        }
        sum += mid * kept;
        count += kept;
    }
    if (!is_trimmed)
        return;
    h->is_int = false;
    h->count = count;
    h->sum = sum;
    histogram_compact(a, h);
}

/* ---- printing ---- */

static void print_num(Buf *out, f64 v)
{
    print_f64_go(out, v, 'g', -1);
}

static void print_bucket(Buf *out, const HistBucket *b)
{
    if (b->count == 0)
        return;
    buf_c(out, b->lower_incl ? ", [" : ", (");
    print_num(out, b->lower);
    buf_char(out, ',');
    print_num(out, b->upper);
    buf_char(out, b->upper_incl ? ']' : ')');
    buf_char(out, ':');
    print_num(out, b->count);
}

static void print_side(Buf *out, const Histogram *h, bool positive)
{
    HistCursor c = histogram_side(h, positive, !positive);
    HistBucket b;
    i32 index;
    f64 n;
    while (histogram_side_next(&c, &index, &n)) {
        histogram_bucket(h, positive, index, n, &b);
        print_bucket(out, &b);
    }
}

void histogram_print(Buf *out, const Histogram *h)
{
    buf_c(out, "{count:");
    print_num(out, h->count);
    buf_c(out, ", sum:");
    print_num(out, h->sum);
    print_side(out, h, false);
    f64 width = h->zero_threshold;
    print_bucket(out, &(HistBucket){-width, width, h->zero_count, true, true, 0});
    print_side(out, h, true);
    buf_char(out, '}');
}

static void print_field(Buf *out, const char *name, f64 v)
{
    if (v == 0)
        return;
    buf_c(out, name);
    print_num(out, v);
}

static void print_test_side(Buf *out, const Histogram *h, bool positive)
{
    HistCursor c = histogram_side(h, positive, false);
    i32 index, first = 0, next = 0, last = 0;
    f64 n;
    bool any = false;
    while (histogram_side_next(&c, &index, &n)) {
        if (n == 0)
            continue;
        if (!any)
            first = index;
        any = true;
        last = index;
    }
    if (!any)
        return;
    if (first != 0)
        buf_printf(out, positive ? " offset:%d" : " n_offset:%d", first);
    buf_c(out, positive ? " buckets:[" : " n_buckets:[");
    next = first;
    c = histogram_side(h, positive, false);
    while (histogram_side_next(&c, &index, &n)) {
        if (index < first || index > last)
            continue;
        /* Gaps are written out: the form has one span only. A hostile gap is cut short. */
        for (u32 gap = 0; next < index && gap < 10000; next++, gap++)
            buf_c(out, "0 ");
        next = index + 1;
        print_num(out, n);
        if (index < last)
            buf_char(out, ' ');
    }
    buf_char(out, ']');
}

void histogram_print_test(Buf *out, const Histogram *h)
{
    static const char *const hints[] = {"", " counter_reset_hint:reset", " counter_reset_hint:not_reset",
                                        " counter_reset_hint:gauge"};
    buf_c(out, "{{");
    buf_printf(out, "schema:%d", h->schema);
    print_field(out, " count:", h->count);
    print_field(out, " sum:", h->sum);
    print_field(out, " z_bucket:", h->zero_count);
    print_field(out, " z_bucket_w:", h->zero_threshold);
    if (h->schema == HIST_SCHEMA_CUSTOM) {
        buf_c(out, " custom_values:[");
        for (u32 i = 0; i < h->custom_len; i++) {
            if (i)
                buf_char(out, ' ');
            print_num(out, h->custom[i]);
        }
        buf_char(out, ']');
    }
    buf_c(out, hints[h->hint & 3]);
    print_test_side(out, h, true);
    print_test_side(out, h, false);
    buf_c(out, "}}");
}

/* Numbers in the API are strings, in exponent form outside [1e-6, 1e21). */
static void json_num(Json *j, f64 v)
{
    Buf b;
    buf_init(&b, 400);
    f64 size = fabs(v);
    if (size != 0 && isfinite(v) && (size < 1e-6 || size >= 1e21))
        print_f64_go(&b, v, 'e', -1);
    else
        print_f64(&b, v);
    js_str(j, buf_view(&b));
    buf_done(&b);
}

void histogram_json(Json *j, const Histogram *h)
{
    js_object(j);
    js_key(j, S("count"));
    json_num(j, h->count);
    js_key(j, S("sum"));
    json_num(j, h->sum);
    HistIter it;
    HistBucket b;
    bool any = false;
    histogram_iter(&it, h, false);
    while (histogram_next(&it, &b)) {
        if (b.count == 0)
            continue;
        if (!any) {
            js_key(j, S("buckets"));
            js_array(j);
        }
        any = true;
        js_array(j);
        /* 0: open left, 1: open right, 2: open both, 3: closed both */
        js_i64(j, b.lower_incl ? (b.upper_incl ? 3 : 1) : (b.upper_incl ? 0 : 2));
        json_num(j, b.lower);
        json_num(j, b.upper);
        json_num(j, b.count);
        js_array_end(j);
    }
    if (any)
        js_array_end(j);
    js_object_end(j);
}
