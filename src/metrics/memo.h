/* What regular expressions said of the values of labels, kept from query to query. A pair (a name with a value) has an id over those before
 * and says the same for ever, so a later query asks about newer pairs alone; that some were forgotten meanwhile does no harm, they are in
 * no series. Bounded in number and in bytes; the one not used for the longest time goes.
 */
#pragma once
#include "model/model.h"

#define MEMOS           64u
#define MEMO_TEXT_MAX   4096u      /* bytes of an expression */
#define MEMO_BYTES_MAX  (4u << 20) /* of all that passed, per tenant */
#define MEMO_VALUES_MIN 256u       /* of fewer values nothing is kept */

typedef struct PairMemo {
    Str text; /* owned; empty = free */
    MatchOp op;
    u32 name;
    u32 seen;        /* the largest id of the pairs that were asked about */
    u32 *pairs, len; /* those that passed */
    u64 used;
} PairMemo;
typedef struct PairMemos {
    Mutex lock;
    PairMemo at[MEMOS];
    u64 clock;
    size_t bytes;
} PairMemos;

void memos_init(PairMemos *m);
void memos_done(PairMemos *m);
/* Pairs of the name that pass, of those with ids up to *ret_seen (0: nothing is known), with room for `more`; freed by the caller. */
u32 *memo_get(PairMemos *m, u32 name, const Matcher *x, u32 more, u32 *ret_len, u32 *ret_seen);
/* Of so many values. */
void memo_put(PairMemos *m, u32 name, const Matcher *x, const u32 *pairs, u32 len, u32 seen, u32 values);
