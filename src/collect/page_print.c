/* pharos scrape URL: what a page parses to, line by line, or where it breaks. */
#include "collect/collect_internal.h"

static void print_exemplar(Buf *out, const Exemplar *e)
{
    buf_c(out, "  # ");
    labels_print(out, e->labels);
    buf_char(out, ' ');
    print_f64_g(out, e->v);
    if (e->t)
        buf_printf(out, " @%lld", (long long)e->t);
}

static void print_histogram(Buf *out, const Histogram *h)
{
    buf_printf(out, "{schema:%d count:", h->schema);
    print_f64_g(out, h->count);
    buf_c(out, " sum:");
    print_f64_g(out, h->sum);
    buf_printf(out, " buckets:%u}", h->pos_len + h->neg_len);
}

static void print_item(Buf *out, const ExpoItem *item)
{
    static const char *const words[] = {[EXPO_TYPE] = "TYPE", [EXPO_HELP] = "HELP", [EXPO_UNIT] = "UNIT"};
    buf_printf(out, "%u:%u\t", item->line, item->col);
    if (item->kind == EXPO_COMMENT) {
        buf_c(out, "comment\n");
        return;
    }
    if (item->kind != EXPO_SERIES && item->kind != EXPO_HISTOGRAM) {
        buf_printf(out, "%s\t%.*s\t%.*s\n", words[item->kind], STR_FMT(item->name),
                   STR_FMT(item->kind == EXPO_TYPE ? str_c(metric_type_name(item->type)) : item->text));
        return;
    }
    buf_c(out, item->kind == EXPO_SERIES ? "sample\t" : "histogram\t");
    labels_print(out, item->labels);
    buf_char(out, ' ');
    if (item->kind == EXPO_SERIES)
        print_f64_g(out, item->value);
    else
        print_histogram(out, item->hist);
    if (item->t != INT64_MIN)
        buf_printf(out, " @%lld", (long long)item->t);
    for (u32 i = 0; i < item->exemplars_len; i++)
        print_exemplar(out, &item->exemplars[i]);
    buf_char(out, '\n');
}

/* The line of the error with a mark below its place. */
static void print_place(Buf *out, Str page, const Why *why)
{
    Str line = S("");
    for (u32 i = 0; i < why->line && page.len; i++)
        str_cut(page, '\n', &line, &page);
    u32 from = why->col > 60 ? why->col - 60 : 0;
    buf_printf(out, "error at line %u, column %u: %s\n", why->line, why->col, why->text);
    if (!str_is_utf8(line) || !why->line)
        return;
    buf_printf(out, "  %.*s\n  ", STR_FMT(str_sub(line, from, from + 120)));
    for (u32 i = from + 1; i < why->col; i++)
        buf_char(out, ' ');
    buf_c(out, "^\n");
}

Err scrape_print(Str page, Str content_type, Buf *out, Why *why)
{
    Arena a;
    Why own;
    u64 samples = 0, histograms = 0, families = 0;
    ExpoFormat format = expo_format(content_type, EXPO_UNKNOWN);
    static const char *const names[] = {"unknown", "text", "OpenMetrics", "protobuf"};
    if (format == EXPO_UNKNOWN)
        return why_set(
            why, E_UNSUPPORTED,
            "\"%.*s\" is not a Content-Type of metrics: text/plain, application/openmetrics-text or "
            "application/vnd.google.protobuf",
            STR_FMT(str_sub(content_type, 0, 100)));
    arena_init(&a, NULL, 0);
    ExpoParser *p = expo_new(page, format, &(ExpoOptions){0}, &a);
    Err e;
    for (;;) {
        ExpoItem item;
        e = expo_next(p, &item, &own);
        if (e == OK && (item.kind == EXPO_SERIES || item.kind == EXPO_HISTOGRAM))
            e = expo_labels(p, &item, &own);
        if (e != OK)
            break;
        samples += item.kind == EXPO_SERIES;
        histograms += item.kind == EXPO_HISTOGRAM;
        families += item.kind == EXPO_TYPE;
        print_item(out, &item);
    }
    if (e == E_NOT_FOUND) {
        buf_printf(out, "%s: %llu samples, %llu histograms, %llu families with a type\n", names[format],
                   (unsigned long long)samples, (unsigned long long)histograms, (unsigned long long)families);
        e = OK;
    } else {
        print_place(out, page, &own);
        if (why)
            *why = own;
    }
    arena_done(&a);
    return e;
}
