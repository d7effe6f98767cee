/* Messages and fields that several of this floor's protobuf formats have in common. */
#pragma once
#include "wire/wire.h"

#define EXACT_INT_MAX (1ULL << 53)

/* Array of n elements in the arena, not NULL for n = 0; NULL when the request asks for more than it may take. */
void *pb_take(Arena *a, size_t elem_bytes, size_t n);

/* {1 name, 2 value}: prometheus.Label, io.prometheus.client.LabelPair. False: malformed, r->at is where. */
bool pb_label(PbReader *r, Str msg, Label *ret);
/* {1 sint32 offset, 2 uint32 length} */
bool pb_span(PbReader *r, Str msg, HistSpan *ret);

/* A repeated number field, packed, one by one, or both mixed, appended to `at`. */
typedef struct PbNumbers {
    f64 *at;
    u32 len;
    i64 last; /* running sum of deltas */
} PbNumbers;
/* How many numbers of item_type (PB_VARINT, PB_FIXED64) the field holds in msg, at most. */
u32 pb_numbers_len(Str msg, u32 field, u8 item_type);
/* The reader's current field: zigzag deltas, made absolute. False: malformed, or a sum beyond EXACT_INT_MAX. */
bool pb_deltas(const PbReader *r, PbNumbers *to);
bool pb_doubles(const PbReader *r, PbNumbers *to);
/* Messages (or any fields) with this number and type in msg. */
u32 pb_count(Str msg, u32 field, u8 type);
