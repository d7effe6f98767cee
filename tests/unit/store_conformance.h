/* What every engine behind ilog and bucket must do. An engine's test hands in how to open one; each function is a whole test. */
#pragma once
#include "store/store.h"

typedef struct ILogSuite {
    Err (*open)(void *arg, ILog **ret, Why *why); /* opens the same log again and again */
    void (*clear)(void *arg);                     /* forgets everything: the next open finds nothing */
    void *arg;
} ILogSuite;
void ilog_conformance(const ILogSuite *s);

typedef struct BucketSuite {
    Err (*open)(void *arg, Bucket **ret, Why *why);
    void (*clear)(void *arg);
    void *arg;
} BucketSuite;
void bucket_conformance(const BucketSuite *s);
