/* wire: pure codecs, no I/O and no clocks. Bytes in, borrowed batches out; no allocation per item.
 *
 * Decoders check every length, bound depth and decoded size, and give E_PARSE with a byte offset or line and column.
 */
#pragma once
#include "base/base.h"
#include "model/model.h"

/* ---- protobuf reader and writer (pb.c) ----
 *
 *     PbReader r;
 *     pb_init(&r, bytes);
 *     while (pb_next(&r))
 *         switch (r.field) {
 *         case 1: if (pb_expect(&r, PB_BYTES)) name = r.bytes; break;
 *         ...
 *     if (r.is_bad) ...
 */
enum { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };
typedef struct PbReader {
    const u8 *at, *end;
    u32 field; /* of the current field */
    u8 type;   /* PB_VARINT ... */
    u64 num;   /* varint, fixed64, fixed32 */
    Str bytes; /* type 2 */
    bool is_bad;
} PbReader;
void pb_init(PbReader *r, Str bytes);
bool pb_next(PbReader *r); /* false at the end or when malformed (is_bad) */
/* false (and is_bad, ends the loop) when the current field has another type */
bool pb_expect(PbReader *r, u8 type);
static inline i64 pb_sint(u64 n)
{
    return (i64)(n >> 1) ^ -(i64)(n & 1);
}
static inline f64 pb_f64(u64 n)
{
    return f64_from_bits(n);
}
void pb_put_varint(Buf *b, u64 v);
void pb_put_u64(Buf *b, u32 field, u64 v); /* omitted when 0 */
void pb_put_sint(Buf *b, u32 field, i64 v);
void pb_put_f64(Buf *b, u32 field, f64 v); /* fixed64; omitted when +0.0 */
void pb_put_f64_always(Buf *b, u32 field, f64 v);
void pb_put_bytes(Buf *b, u32 field, Str v); /* omitted when empty */
size_t pb_begin(Buf *b, u32 field);          /* nested message of unknown length ... */
void pb_end(Buf *b, size_t mark);            /* ... closed here (length moved into place) */

/* ---- snappy block (snappy.c, libsnappy) ---- */
Err snappy_decode(Str in, size_t max, Buf *out, Why *why); /* declared length checked against max first */
void snappy_encode(Str in, Buf *out);

/* ---- varints for our own formats (varint.c) ---- */
size_t uvarint_put(u8 *at, u64 v);                         /* <= 10 bytes */
size_t uvarint_get(const u8 *at, const u8 *end, u64 *ret); /* 0 = malformed */
static inline u64 zigzag(i64 v)
{
    return ((u64)v << 1) ^ (u64)(v >> 63);
}
static inline i64 unzigzag(u64 v)
{
    return (i64)(v >> 1) ^ -(i64)(v & 1);
}

/* ---- exposition formats (expo*.c): text 0.0.4, OpenMetrics 1.0, delimited protobuf ----
 * Verdicts are Prometheus 3's, but for two: a zero byte where a line begins is an error (there it silently ends the page), and
 * timestamps that leave 64-bit milliseconds are errors. le of histograms and quantile of summaries are normalised ("1" becomes
 * "1.0"). Exemplars whose labels are unusable (a name twice, over 128 code points) are left out, the sample stays.
 */
typedef enum ExpoFormat { EXPO_UNKNOWN, EXPO_TEXT, EXPO_OPENMETRICS, EXPO_PROTOBUF } ExpoFormat;
/* From a Content-Type; fallback when it is missing or not understood. */
ExpoFormat expo_format(Str content_type, ExpoFormat fallback);
typedef enum ExpoKind { EXPO_SERIES, EXPO_HISTOGRAM, EXPO_TYPE, EXPO_HELP, EXPO_UNIT, EXPO_COMMENT } ExpoKind;
typedef struct ExpoItem {
    ExpoKind kind;
    Str series_text; /* text formats: the bytes before the value ("name{...}"), a key for scrape caches */
    Str name;        /* metric or family name */
    Labels labels;   /* sorted, with __name__; empty values dropped; only after expo_labels() */
    f64 value;
    i64 t;                 /* ms; INT64_MIN = none */
    const Histogram *hist; /* EXPO_HISTOGRAM */
    Exemplar exemplars[10];
    u32 exemplars_len;
    i64 start_t;     /* from _created or protobuf; 0 = none */
    MetricType type; /* EXPO_TYPE; current family's for series */
    Str text;        /* help, unit (unescaped) */
    u32 line, col;
    bool is_expected; /* series_text is what expo_expect announced */
} ExpoItem;
typedef struct ExpoParser ExpoParser;
typedef struct ExpoOptions {
    bool classic_too;       /* protobuf: emit classic buckets beside native histograms */
    bool convert_nhcb;      /* classic histograms -> custom-bucket histograms (text too) */
    bool no_created_series; /* OpenMetrics: _created lines feed start_t only */
} ExpoOptions;
ExpoParser *expo_new(Str page, ExpoFormat f, const ExpoOptions *o, Arena *arena);
/* For scrape caches, which know lines by length and hash alone. The key is the cache's own and secret, so that no page can be made
 * whose lines are taken for others. */
u64 expo_hash(Str text, u64 key);
/* The next line is expected to be this series. When the bytes agree the label set is not even scanned; when not, nothing is
 * lost. Text formats only; the bytes must have passed expo_labels once. */
void expo_expect(ExpoParser *p, u32 len, u64 hash, u64 key);
/* Passes over the next len bytes when they are what lay between two series before: comments, `lines` of them, the last TYPE
 * among them being `type` (NULL: there was none). False: they are not, or may not be skipped here. */
bool expo_skip(ExpoParser *p, u32 len, u64 hash, u64 key, u32 lines, const MetricType *type);
Str expo_rest(const ExpoParser *p); /* what of the page is still to be read */
/* OK and an item; E_NOT_FOUND at the end; E_PARSE with line and column. Items are valid until the next call. */
Err expo_next(ExpoParser *p, ExpoItem *ret, Why *why);
/* Fills item->labels and name for the current series item. Parsed and judged here, on demand: a cache that has seen
 * exactly this series_text skips it; everybody else must call it, as a label set that is wrong is told here (E_PARSE with its
 * place: the page is bad, as with expo_next). Strings live in the page or arena; the array in the arena. */
Err expo_labels(ExpoParser *p, ExpoItem *item, Why *why);

/* ---- remote_write 1.0 (remote_write.c) ---- */
typedef struct WriteDecoded {
    SeriesItem *series; /* arena */
    u32 series_len;
    MetadataItem *metadata;
    u32 metadata_len;
    u64 samples, histograms, exemplars;
    u64 refused; /* series left out */
} WriteDecoded;
/* body = decompressed prometheus.WriteRequest; strings are borrowed from it. Labels that come unsorted are sorted, empty
 * values dropped. A series with duplicate, empty or non-UTF-8 names, without a metric name or with an impossible
 * histogram is left out: then the answer is E_INVALID, why names the first such series, and ret holds the others, which
 * the caller may store before it answers 400. E_PARSE and E_LIMIT leave ret untouched. start_t, which 1.0 does not know,
 * is kept in a field that others skip. */
Err remote_write_decode(Str body, Arena *arena, WriteDecoded *ret, Why *why);
void remote_write_encode(const SeriesItem *series, u32 n, const MetadataItem *metadata, u32 metadata_len,
                         Buf *out);
/* One prometheus.Histogram; hints, kinds and custom bounds are kept. */
void remote_write_encode_histogram(Buf *b, u32 field, const Histogram *h, i64 t);
Err remote_write_decode_histogram(Str msg, Arena *arena, const Histogram **ret, i64 *ret_t, Why *why);

/* ---- remote_write 2.0 (remote_write2.c): io.prometheus.write.v2.Request ---- */
/* As remote_write_decode; metadata is given once per metric name. A series with a reference outside the symbol table, an odd
 * number of them, or neither samples nor histograms is left out too. E_PARSE also for a table without the empty string at its
 * head. Start timestamps of samples, histograms and (their first place) of series end up in start_t. */
Err remote_write2_decode(Str body, Arena *arena, WriteDecoded *ret, Why *why);
/* What is known of the metric of these labels; NULL = nothing. */
typedef const MetadataItem *(*SeriesMetadataFn)(void *arg, Labels l);
/* metadata may be NULL. Strings are borrowed until it returns. E_LIMIT, E_TOO_LARGE: out holds nothing usable. */
Err remote_write2_encode(const SeriesItem *series, u32 n, SeriesMetadataFn metadata, void *arg,
                         Arena *scratch, Buf *out, Why *why);

/* ---- pushed text for tests and federation ---- */
void expo_write_series(Buf *out, Labels l, f64 v, i64 t_ms, bool with_t);
