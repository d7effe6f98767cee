/* Results as JSON, streamed: a result is written in pieces of some ten kilobytes, never as a whole. */
#include "metrics/api/impl.h"

#include <math.h>

#define SPILL_BYTES 32768
#define NOTES_MAX   10

void out_begin(Out *o, HttpReq *r, int status, const char *content_type)
{
    *o = (Out){.r = r};
    buf_init(&o->b, (size_t)256 << 20); /* one series is written between spills */
    http_begin(r, status, content_type);
}

void out_spill(Out *o)
{
    if (o->b.len < SPILL_BYTES)
        return;
    if (!o->is_gone)
        o->is_gone = !http_write(o->r, buf_view(&o->b));
    buf_clear(&o->b);
}

void out_end(Out *o)
{
    if (!o->is_gone)
        http_write(o->r, buf_view(&o->b));
    http_end(o->r);
    buf_done(&o->b);
    mem_free(o->times);
}

/* ---- values ---- */

void out_json_str(Buf *b, Str s)
{
    size_t plain = 0;
    buf_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        u8 c = (u8)s.at[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(b, s.at + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            buf_c(b, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else
            buf_printf(b, "\\u%04x", c);
    }
    if (plain < s.len)
        buf_put(b, s.at + plain, s.len - plain);
    buf_char(b, '"');
}

void out_labels(Buf *b, Labels l)
{
    buf_char(b, '{');
    for (u32 i = 0; i < l.len; i++) {
        if (i > 0)
            buf_char(b, ',');
        out_json_str(b, l.at[i].name);
        buf_char(b, ':');
        out_json_str(b, l.at[i].value);
    }
    buf_char(b, '}');
}

void out_time(Buf *b, i64 ms)
{
    u64 v = ms < 0 ? 0 - (u64)ms : (u64)ms;
    if (ms < 0)
        buf_char(b, '-');
    print_u64(b, v / 1000);
    u32 rest = (u32)(v % 1000);
    if (rest > 0) {
        char text[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10)};
        buf_put(b, text, 4);
    }
}

/* The time of a scalar or string: a plain number, 5.5 where a sample says 5.500. */
static void out_plain_time(Buf *b, i64 ms)
{
    print_f64(b, (f64)ms / 1000);
}

void out_value(Buf *b, f64 v)
{
    f64 size = fabs(v);
    buf_char(b, '"');
    if (size != 0 && (size < 1e-6 || size >= 1e21) && isfinite(v))
        print_f64_go(b, v, 'e', -1);
    else
        print_f64(b, v);
    buf_char(b, '"');
}

static void out_point(Buf *b, Str begin, f64 v, const Histogram *h)
{
    buf_str(b, begin);
    if (h) {
        Json j;
        js_init(&j, b);
        histogram_json(&j, h);
    } else {
        out_value(b, v);
    }
    buf_char(b, ']');
}

/* The series of a range query have the same times: the i-th point begins as that of the last series. */
static Str point_begin(Out *o, u32 i, i64 t)
{
    if (!o->times)
        o->times = mem_zalloc(OUT_TIMES * sizeof *o->times);
    OutTime *x = &o->times[i % OUT_TIMES];
    if (!x->len || x->t != t) {
        Buf b;
        buf_init(&b, sizeof x->text);
        buf_char(&b, '[');
        out_time(&b, t);
        buf_char(&b, ',');
        x->t = t;
        x->len = (u32)b.len;
        memcpy(x->text, b.at, b.len);
        buf_done(&b);
    }
    return (Str){x->text, x->len};
}

static const Histogram *hist_at(const PromSeries *s, u32 i)
{
    return s->h ? s->h[i] : NULL;
}

/* "values":[...] or "histograms":[...]: floats and histograms of a series stand apart. */
static void out_points(Out *o, const PromSeries *s, bool histograms)
{
    bool is_first = true;
    for (u32 i = 0; i < s->n; i++) {
        const Histogram *h = hist_at(s, i);
        if ((h != NULL) != histograms)
            continue;
        if (is_first)
            buf_c(&o->b, histograms ? ",\"histograms\":[" : ",\"values\":[");
        else
            buf_char(&o->b, ',');
        is_first = false;
        out_point(&o->b, point_begin(o, i, s->t[i]), s->v ? s->v[i] : 0, h);
        out_spill(o);
    }
    if (!is_first)
        buf_char(&o->b, ']');
}

static void out_series(Out *o, const PromSeries *s, bool is_vector)
{
    buf_c(&o->b, "{\"metric\":");
    out_labels(&o->b, s->labels);
    if (is_vector) {
        const Histogram *h = hist_at(s, 0);
        buf_c(&o->b, h ? ",\"histogram\":" : ",\"value\":");
        out_point(&o->b, point_begin(o, 0, s->t[0]), h ? 0 : s->v[0], h);
    } else {
        out_points(o, s, false);
        if (s->h)
            out_points(o, s, true);
    }
    buf_char(&o->b, '}');
    out_spill(o);
}

void out_result(Out *o, const PromResult *res, u64 limit, bool *ret_truncated)
{
    static const char *const names[] = {"none", "scalar", "vector", "matrix", "string"};
    u64 n = res->series_len;
    buf_printf(&o->b, "\"resultType\":\"%s\",\"result\":", names[res->type]);
    if (res->type == PROM_SCALAR) { /* never with an exponent, other than samples */
        buf_char(&o->b, '[');
        out_plain_time(&o->b, res->t);
        buf_c(&o->b, ",\"");
        print_f64(&o->b, res->scalar);
        buf_c(&o->b, "\"]");
        return;
    }
    if (res->type == PROM_STRING) {
        buf_char(&o->b, '[');
        out_plain_time(&o->b, res->t);
        buf_char(&o->b, ',');
        js_quote(&o->b, res->string);
        buf_char(&o->b, ']');
        return;
    }
    if (limit > 0 && n > limit) {
        n = limit;
        *ret_truncated = true;
    }
    buf_char(&o->b, '[');
    for (u64 i = 0; i < n && !o->is_gone; i++) {
        if (i > 0)
            buf_char(&o->b, ',');
        out_series(o, &res->series[i], res->type == PROM_VECTOR);
    }
    buf_char(&o->b, ']');
}

/* ---- warnings and infos ---- */

static void out_kind(Buf *b, const PromNote *notes, u32 n, bool infos, const char *extra)
{
    u32 written = 0, skipped = 0;
    const char *key = infos ? "infos" : "warnings";
    for (u32 i = 0; i < n; i++) {
        if (notes[i].is_info != infos)
            continue;
        if (written == NOTES_MAX) {
            skipped++;
            continue;
        }
        if (written++ == 0)
            buf_printf(b, ",\"%s\":[", key);
        else
            buf_char(b, ',');
        js_quote(b, notes[i].text);
    }
    if (extra) {
        if (written++ == 0)
            buf_printf(b, ",\"%s\":[", key);
        else
            buf_char(b, ',');
        js_quote(b, str_c(extra));
    }
    if (skipped > 0)
        buf_printf(b, ",\"%u more %s annotations omitted\"", skipped, infos ? "info" : "warning");
    if (written > 0)
        buf_char(b, ']');
}

void out_notes(Buf *b, const PromNote *notes, u32 n, const char *extra_warning)
{
    out_kind(b, notes, n, false, extra_warning);
    out_kind(b, notes, n, true, NULL);
}
