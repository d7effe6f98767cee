/* Warnings and infos. A sentence appears once; of several places the last one in the query is named. */
#include "metrics/promql/engine.h"

struct Note {
    NoteKind kind;
    const Plan *at;
    Str text; /* without position */
    /* forced monotonicity: the extremes over all occurrences */
    i64 t_min, t_max;
    f64 min_bucket, max_bucket, max_diff;
    u32 count;
};

#define NOTES_MAX 1000

static const char *const sentences[] = {
    [NOTE_INVALID_RATIO] = "ratio value should be between -1 and 1",
    [NOTE_INVALID_QUANTILE] = "quantile value should be between 0 and 1",
    [NOTE_BAD_BUCKET_LABEL] = "bucket label \"le\" is missing or has a malformed value",
    [NOTE_MIXED_FLOATS_HISTOGRAMS] = "encountered a mix of histograms and floats for metric name",
    [NOTE_MIXED_AGGREGATION] = "encountered a mix of histograms and floats for aggregation",
    [NOTE_MIXED_CLASSIC_NATIVE] = "vector contains a mix of classic and native histograms",
    [NOTE_NOT_COUNTER] = "this native histogram metric is not a counter:",
    [NOTE_NOT_GAUGE] = "this native histogram metric is not a gauge:",
    [NOTE_MIXED_EXPONENTIAL_CUSTOM] =
        "vector contains a mix of histograms with exponential and custom buckets schemas for metric name",
    [NOTE_INCOMPATIBLE_LAYOUT] = "incompatible bucket layout encountered for binary operator",
    [NOTE_SORT_IN_RANGE] = "sort is ineffective for range queries since results are always ordered by labels",
    [NOTE_RESET_COLLISION] = "conflicting counter resets during histogram",
    [NOTE_START_OVERLAP] = "sample has start time that overlaps with previous sample timestamp for metric",
    [NOTE_POSSIBLE_NON_COUNTER] =
        "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:",
    [NOTE_FORCED_MONOTONIC] =
        ("input to histogram_quantile needed to be fixed for monotonicity (see "
         "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"),
    [NOTE_INCOMPATIBLE_TYPES] = "incompatible sample types encountered for binary operator",
    [NOTE_IGNORED_IN_AGGREGATION] = "ignored histogram in",
    [NOTE_IGNORED_IN_RANGE] =
        "ignored histograms in a range containing both floats and histograms for metric name",
    [NOTE_QUANTILE_NAN_RESULT] = "input to histogram_quantile has NaN observations, result is NaN",
    [NOTE_QUANTILE_NAN_SKEW] = "input to histogram_quantile has NaN observations, result is skewed higher",
    [NOTE_FRACTION_NAN] =
        "input to histogram_fraction has NaN observations, which are excluded from all fractions",
    [NOTE_BOUNDS_RECONCILED] = "mismatched custom buckets were reconciled during",
};

static void start(Buf *b, NoteKind kind)
{
    buf_init(b, 4096);
    buf_c(b, kind >= NOTE_FIRST_INFO ? "PromQL info: " : "PromQL warning: ");
    buf_c(b, sentences[kind]);
}

static Note *add(Eval *e, NoteKind kind, const Plan *at, Buf *b)
{
    Str text = buf_view(b);
    u64 hash = hash_str(text);
    u64 *index = u64map_find(&e->note_keys, hash);
    if (index) {
        Note *n = &e->notes[*index];
        if (at->node->from > n->at->node->from)
            n->at = at;
        n->count++;
        buf_done(b);
        return n;
    }
    Note *n = NULL;
    Note *notes = e->notes_len < NOTES_MAX
                      ? arena_grow(e->arena, e->notes, &e->notes_cap, e->notes_len + 1, sizeof *notes)
                      : NULL;
    if (notes) {
        e->notes = notes;
        n = &notes[e->notes_len];
        *n = (Note){.kind = kind, .at = at, .text = arena_dup(e->arena, text), .count = 1};
        u64map_put(&e->note_keys, hash, e->notes_len++);
    }
    buf_done(b);
    return n;
}

/* The same remark about the same metric at the same place comes once per sample: answer without building the sentence. */
static bool is_known(Eval *e, NoteKind kind, const Plan *at, u64 what)
{
    struct {
        u64 kind, what;
        const void *at;
    } key = {kind, what, at};
    u64 hash = hash_bytes(&key, sizeof key, 7);
    if (u64map_find(&e->note_keys, hash))
        return true;
    if (e->note_keys.len < 100000)
        u64map_put(&e->note_keys, hash, UINT64_MAX);
    return false;
}

void note(Eval *e, NoteKind kind, const Plan *at, Str name)
{
    if (kind != NOTE_START_OVERLAP && is_known(e, kind, at, hash_str(name)))
        return;
    Buf b;
    start(&b, kind);
    switch (kind) {
    case NOTE_MIXED_AGGREGATION:
    case NOTE_SORT_IN_RANGE:
        break;
    case NOTE_MIXED_CLASSIC_NATIVE:
    case NOTE_QUANTILE_NAN_RESULT:
    case NOTE_QUANTILE_NAN_SKEW:
    case NOTE_FRACTION_NAN:
        if (str_empty(name))
            break;
        buf_c(&b, " for metric name");
        /* fall through */
    default:
        buf_char(&b, ' ');
        go_quote(&b, name);
    }
    add(e, kind, at, &b);
}

void note_words(Eval *e, NoteKind kind, const Plan *at, const char *word)
{
    if (is_known(e, kind, at, hash_str(str_c(word))))
        return;
    Buf b;
    start(&b, kind);
    buf_char(&b, ' ');
    buf_c(&b, word);
    if (kind == NOTE_IGNORED_IN_AGGREGATION)
        buf_c(&b, " aggregation");
    add(e, kind, at, &b);
}

void note_f64(Eval *e, NoteKind kind, const Plan *at, f64 v, f64 to)
{
    if (is_known(e, kind, at, f64_bits(v)))
        return;
    Buf b;
    start(&b, kind);
    buf_c(&b, ", got ");
    print_f64_go(&b, v, 'g', -1);
    if (kind == NOTE_INVALID_RATIO) {
        buf_c(&b, ", capping to ");
        print_f64_go(&b, to, 'g', -1);
    }
    add(e, kind, at, &b);
}

void note_label(Eval *e, NoteKind kind, const Plan *at, Str name, Str label)
{
    if (is_known(e, kind, at, hash_str(name) * 31 + hash_str(label)))
        return;
    Buf b;
    start(&b, kind);
    buf_c(&b, " of ");
    go_quote(&b, label);
    if (!str_empty(name)) {
        buf_c(&b, " for metric name ");
        go_quote(&b, name);
    }
    add(e, kind, at, &b);
}

void note_types(Eval *e, const Plan *at, const char *lhs, const char *op, const char *rhs)
{
    if (is_known(e, NOTE_INCOMPATIBLE_TYPES, at, hash_str(str_c(lhs)) * 31 + hash_str(str_c(rhs))))
        return;
    Buf b;
    start(&b, NOTE_INCOMPATIBLE_TYPES);
    buf_printf(&b, " \"%s\": %s %s %s", op, lhs, op, rhs);
    add(e, NOTE_INCOMPATIBLE_TYPES, at, &b);
}

void note_monotonic(Eval *e, const Plan *at, Str name, i64 t, f64 min_bucket, f64 max_bucket, f64 max_diff)
{
    Buf b;
    start(&b, NOTE_FORCED_MONOTONIC);
    if (!str_empty(name)) {
        buf_c(&b, " for metric name ");
        go_quote(&b, name);
    }
    Note *n = add(e, NOTE_FORCED_MONOTONIC, at, &b);
    if (!n)
        return;
    if (n->count == 1) {
        n->t_min = n->t_max = t;
        n->min_bucket = min_bucket;
        n->max_bucket = max_bucket;
        n->max_diff = max_diff;
        return;
    }
    n->t_min = MIN(n->t_min, t);
    n->t_max = MAX(n->t_max, t);
    n->min_bucket = MIN(n->min_bucket, min_bucket);
    n->max_bucket = MAX(n->max_bucket, max_bucket);
    n->max_diff = MAX(n->max_diff, max_diff);
}

void notes_absorb(Eval *e, const Eval *child)
{
    for (u32 i = 0; i < child->notes_len; i++) {
        const Note *from = &child->notes[i];
        Buf b;
        buf_init(&b, 8192);
        buf_str(&b, from->text);
        u32 before = e->notes_len;
        Note *to = add(e, from->kind, from->at, &b);
        if (!to)
            continue;
        if (e->notes_len > before) {
            Str text = to->text;
            *to = *from;
            to->text = text;
            continue;
        }
        to->count += from->count - 1; /* add has counted one */
        to->t_min = MIN(to->t_min, from->t_min);
        to->t_max = MAX(to->t_max, from->t_max);
        to->min_bucket = MIN(to->min_bucket, from->min_bucket);
        to->max_bucket = MAX(to->max_bucket, from->max_bucket);
        to->max_diff = MAX(to->max_diff, from->max_diff);
    }
}

static void print_time(Buf *b, i64 ms)
{
    Civil c;
    civil_from_unix(ms / 1000, &c);
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day, c.hour, c.minute, c.second);
}

static void print_position(Buf *b, Str query, u32 pos)
{
    if (str_empty(query) || pos > query.len) {
        buf_c(b, str_empty(query) ? " (unknown position)" : " (invalid position)");
        return;
    }
    u32 line = 1, line_start = 0;
    for (u32 i = 0; i < pos; i++) {
        if (query.at[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    buf_printf(b, " (%u:%u)", line, pos - line_start + 1);
}

void notes_export(Eval *e, Arena *arena, PromResult *ret)
{
    ret->notes = arena_array(arena, PromNote, MAX(e->notes_len, 1));
    if (!ret->notes)
        return;
    for (u32 i = 0; i < e->notes_len; i++) {
        const Note *n = &e->notes[i];
        Buf b;
        buf_init(&b, 8192);
        buf_str(&b, n->text);
        if (n->kind == NOTE_FORCED_MONOTONIC) {
            buf_c(&b, ", from buckets ");
            print_f64_go(&b, n->min_bucket, 'g', -1);
            buf_c(&b, " to ");
            print_f64_go(&b, n->max_bucket, 'g', -1);
            buf_c(&b, ", with a max diff of ");
            print_f64_go(&b, n->max_diff, 'g', 2);
            buf_printf(&b, ", over %u samples from ", n->count);
            print_time(&b, n->t_min);
            buf_c(&b, " to ");
            print_time(&b, n->t_max);
        }
        if (n->kind == NOTE_START_OVERLAP && n->count > 1)
            buf_printf(&b, " (%u occurrences)", n->count);
        print_position(&b, e->q->text, n->at->node->from);
        ret->notes[ret->notes_len++] = (PromNote){n->kind >= NOTE_FIRST_INFO, arena_dup(arena, buf_view(&b))};
        buf_done(&b);
    }
}
