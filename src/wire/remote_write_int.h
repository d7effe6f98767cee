/* What the decoders of remote_write 1.0 and 2.0 share. */
#pragma once
#include "wire/pb_parts.h"

/* 1.0 has no start timestamps. Ours travel under the number that 2.0 gave them first; others skip the field. */
enum { WRITE_START_FIELD = 6 };

Err write_take_failed(Why *why); /* E_LIMIT: the request wants more memory than it may have */
Err write_malformed(Why *why, const char *what, const PbReader *r, Str msg);
/* Drops empty values, sorts when needed, refuses repeated and unusable names (E_INVALID). A series needs a metric name, an
 * exemplar's labels do not. */
Err write_labels_tidy(Label *at, u32 *len, bool is_series, Why *why);
/* Puts the series' name before the reason it was refused, where it can be printed. */
void write_name_series(Why *why, Labels l);
/* s, at d->series[d->series_len], was decoded with e: counted, or refused (the first with its reason in why), or the end of the
 * request's decoding. */
Err write_take(WriteDecoded *d, const Arena *arena, const SeriesItem *s, Err e, Why *reason, Why *why);
