/* memsource: a PromSource in memory. For scripts and rule tests, where a few series are written down and queried; it keeps
 * everything, sorted by time, and never forgets.
 *
 * Histograms come back with the reset hints a store would give them: the first of a run of comparable histograms says
 * "unknown", those after it "no reset". One thread at a time; readers of a cursor must be done before the next add.
 */
#pragma once
#include "metrics/promql/promql.h"

typedef struct MemSource MemSource;
MemSource *mem_source_new(void);
void mem_source_free(MemSource *m); /* NULL is fine */
PromSource *mem_source_face(MemSource *m);
void mem_source_clear(MemSource *m);
/* Copies everything. h NULL: a float. st 0: start time unknown. In any order of time; E_CONFLICT when there is another sample at
 * the same time already. */
Err mem_source_add(MemSource *m, Labels l, i64 t, f64 v, const Histogram *h, i64 st, Why *why);

/* What readers offer to take, as a store would give it: bare views, slices, and aggregates of up to `page` samples in place of those that
 * no window's edge divides. Off (page 0 and false) everything comes as it was added. */
void mem_source_offer(MemSource *m, bool bare, u32 page);

/* ---- series as tests write them: `up{job="a"} 1 2 _ 3+1x4 stale {{schema:0 count:1 buckets:[1]}}x2` ---- */
typedef struct SeriesPoint {
    f64 v;
    const Histogram *h; /* NULL: float */
    bool is_omitted;
    bool has_hint; /* counter_reset_hint was written */
} SeriesPoint;
/* Everything lives in the arena. E_PARSE with a sentence. At most a million points. */
Err prom_parse_series(Str text, Arena *arena, Labels *ret_labels, SeriesPoint **ret, u32 *ret_len, Why *why);
/* The points alone. */
Err prom_parse_points(Str text, Arena *arena, SeriesPoint **ret, u32 *ret_len, Why *why);
