/* text: numbers, durations, JSON, escaping, regular expressions, Go-style templates, calendars.
 *
 * Printing functions append to a Buf and cannot fail but by its maximum; parsing functions take a whole Str (no
 * trailing garbage) and return E_PARSE with a sentence.
 */
#pragma once
#include "base/base.h"

/* ---- numbers (number.c, over the C++ shim for exact conversion) ---- */

/* As Go's strconv.FormatFloat(v, 'f', -1, 64): shortest digits that round-trip, never an exponent; NaN, +Inf, -Inf.
 * This is how sample values appear in the Prometheus API. Needs up to 330 bytes. */
void print_f64(Buf *out, f64 v);
/* 'g' with shortest digits, as Go's %v and %g: exponent form below 1e-4 and from 1e6 on, so 1000000 is 1e+06. */
void print_f64_g(Buf *out, f64 v);
/* A finite number as JSON writers print it: exponent form below 1e-6 and from 1e21 on. */
void print_f64_json(Buf *out, f64 v);
/* Go's FormatFloat(v, fmt, prec): fmt in 'e','f','g'; prec -1 = shortest. */
void print_f64_go(Buf *out, f64 v, char fmt, int prec);
void print_u64(Buf *out, u64 v);
void print_i64(Buf *out, i64 v);
/* Go's strconv.ParseFloat: decimal, hex float, underscores refused, Inf/Infinity/NaN any case, sign. */
Err parse_f64(Str s, f64 *ret);
Err parse_u64(Str s, u64 *ret); /* decimal digits only */
Err parse_i64(Str s, i64 *ret);
/* Prometheus durations "1d2h3m4s5ms" (also y, w); "0" is allowed. */
Err parse_duration_ms(Str s, i64 *ret_ms, Why *why);
void print_duration_ms(Buf *out, i64 ms); /* as model.Duration.String(): "1h30m", "0s" */
/* "1.5s", "300ms", Go's time.ParseDuration; and "512MB", "10GiB", "1e6" for sizes. */
Err parse_go_duration_ns(Str s, i64 *ret_ns, Why *why);
void print_go_duration_ns(Buf *out, i64 ns); /* Go's Duration.String(): "1h30m0s" */
Err parse_bytes(Str s, u64 *ret, Why *why);

/* ---- JSON (json.c); js_*, because json_* belongs to jansson ---- */

/* Streaming writer: appends to a Buf, places commas itself. Depth <= 64 (checked). */
typedef struct Json {
    Buf *out;
    u64 has_item; /* bit per depth */
    u8 depth;
    bool after_key;
} Json;
void js_init(Json *j, Buf *out);
void js_object(Json *j);
void js_object_end(Json *j);
void js_array(Json *j);
void js_array_end(Json *j);
void js_key(Json *j, Str key);
void js_str(Json *j, Str value); /* escapes; invalid UTF-8 becomes U+FFFD; <, >, & as Go's encoder (\u003c) */
void js_str_plain(Json *j, Str value); /* the same with <, >, & as they are: label values in the peer's API */
void js_c(Json *j, const char *value);
void js_i64(Json *j, i64 v);
void js_u64(Json *j, u64 v);
void js_f64(Json *j, f64 v); /* a JSON number; NaN/Inf become null */
void js_bool(Json *j, bool v);
void js_null(Json *j);
void js_raw(Json *j, Str already_json);
void js_kv(Json *j, const char *key, Str value); /* key and string */
void js_kv_time_ms(Json *j, const char *key,
                   i64 unix_ms); /* key and RFC 3339; nothing at all for 0, no time */
void js_quote(Buf *out, Str s);  /* one quoted, escaped string */

/* ---- escaping and encodings (escape.c) ---- */
void html_escape(Buf *out, Str s);
void url_escape_query(Buf *out, Str s); /* Go's url.QueryEscape (space is +) */
void url_escape_path(Buf *out, Str s);  /* Go's url.PathEscape */
Err url_unescape(Buf *out, Str s, bool plus_is_space);
void base64_encode(Buf *out, Str bytes);
Err base64_decode(Buf *out, Str s);   /* standard alphabet, padding required */
void hex_encode(Buf *out, Str bytes); /* lower case */
void go_quote(Buf *out, Str s);       /* strconv.Quote */
/* strconv.Unquote of a text with its quotes (" ' or `); false when malformed. Borrows where it can, else arena. */
bool go_unquote(Str quoted, Arena *arena, Str *ret);

/* ---- letters (case.c): ASCII, Latin, Greek, Cyrillic; other scripts as they are ---- */
u32 rune_upper(u32 rune);
u32 rune_lower(u32 rune);
bool rune_is_letter(u32 rune); /* of a word: letters, digits, marks over ASCII */
void text_upper(Buf *out, Str s);
void text_lower(Buf *out, Str s);
void text_title(Buf *out, Str s, bool lower_rest); /* first letter of each word */

/* ---- regular expressions (regex.cc is the only C++ file; RE2, linear time) ---- */
typedef struct Regex Regex;
enum {
    REGEX_ANCHORED = 1, /* ^(?s:...)$ as Prometheus matchers and relabelling do */
    REGEX_PLAIN = 2,    /* always by RE2, no shortcuts: to test the shortcuts against */
};
/* Pattern <= 64 KiB unless anchored alternation of literals; program memory bounded. E_INVALID with RE2's sentence.
 * (?<name> is accepted, \C refused. Immutable and thread-safe once made. */
Err regex_new(Str pattern, int flags, Regex **ret, Why *why);
void regex_free(Regex *r); /* NULL is fine */
bool regex_match(const Regex *r, Str s);
/* ret_groups[0] is the whole match. Groups that did not take part have at == NULL. n <= 64. */
bool regex_find(const Regex *r, Str s, size_t from, Str *ret_groups, u32 n);
u32 regex_groups(const Regex *r);                /* capture groups, without the whole */
int regex_group_index(const Regex *r, Str name); /* -1 when absent */
/* Go's Regexp.Expand: $1, ${1}, ${name}, $$. */
void regex_expand(const Regex *r, Str templ, const Str *groups, u32 n, Buf *out);
void regex_replace_all(const Regex *r, Str s, Str templ, Buf *out);
/* When the whole pattern (anchored) is a literal or an alternation of at most 256 literals: how many, and which (borrowed).
 * 0 = needs matching. */
u32 regex_literals(const Regex *r, const Str **ret);
/* A literal every match must start with (may be empty). */
Str regex_prefix(const Regex *r);

/* ---- calendar (time.c): UTC only needs no tables; zones come from the system's tzdata ---- */
typedef struct Civil {
    int year, month, day, hour, minute, second, weekday /* 0 = Sunday */, yday /* 0-based */;
    i32 nanos, utc_offset_s;
    char zone[8];
} Civil;
void civil_from_unix(i64 sec, Civil *ret); /* UTC, proleptic Gregorian */
i64 civil_to_unix(const Civil *c);         /* UTC */
typedef struct Zone Zone;
Err zone_load(Str name, const Zone **ret, Why *why); /* "UTC", "Local", IANA name; cached for the process */
void civil_in_zone(const Zone *z, i64 sec, Civil *ret);
/* Go layout formatting ("2006-01-02T15:04:05.999Z07:00"). */
void print_time_go(Buf *out, const Civil *c, Str layout);
void print_rfc3339_milli(Buf *out,
                         i64 unix_ms); /* always three digits: 2026-01-02T03:04:05.000Z; years 0..9999 */
void print_rfc3339_ms(
    Buf *out, i64 unix_ms); /* "2026-11-24T06:35:08.123Z", no trailing zero fraction (as Go's RFC3339Nano) */
Err parse_rfc3339(Str s, i64 *ret_unix_ns);
/* What the Prometheus API accepts: unix seconds with fraction, or RFC 3339. */
Err parse_api_time_ms(Str s, i64 *ret_ms);

/* ---- Go text/template (tmpl.c) lives in text/tmpl.h, included by those who need it ---- */
