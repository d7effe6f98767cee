/* Inside the outbox: its records, shared with fsck. */
#pragma once
#include "store/recfile.h"
#include "store/store.h"

/* `seq` of the record is the item's id, `aux` a wall time in ms. */
typedef enum OutboxOp {
    OUTBOX_ADD = 1,   /* aux = created; name key, name body */
    OUTBOX_RETRY = 2, /* aux = not before; body = reason */
    OUTBOX_DONE = 3,  /* aux = when; body = provider's id */
    OUTBOX_DEAD = 4,  /* aux = when; body = reason */
    OUTBOX_FACT = 5,  /* name key, name value; an empty value deletes */
    /* only at the head of a file, written by a checkpoint */
    OUTBOX_META = 6,   /* seq = next id */
    OUTBOX_ITEM = 7,   /* aux = created; u32 attempts, u64 not before, name key, name body */
    OUTBOX_LETTER = 8, /* aux = when; u32 attempts, u64 created, name key, name reason */
} OutboxOp;

#define OUTBOX_ID_MAX REC_START_MAX
enum {
    OUTBOX_KEY_MAX = 4096,
    OUTBOX_BODY_MAX = 4 << 20,
    OUTBOX_QUEUE_BYTES_MAX = 64 << 20,
    OUTBOX_FACT_BYTES_MAX = 16 << 20,
    OUTBOX_LETTERS_MAX = 1000,
    OUTBOX_NOTE_MAX = 1024,         /* reasons and provider ids are cut to it */
    OUTBOX_GARBAGE_MIN = 256 << 10, /* smaller files are not worth a checkpoint */
};

/* What a record's body says; slices of it. */
typedef struct OutboxChange {
    u32 attempts;
    i64 time_ms;   /* not before, or created */
    Str key, text; /* text: body, value, reason or provider's id */
} OutboxChange;
bool outbox_change_decode(const RecHead *h, Str body, OutboxChange *ret);
