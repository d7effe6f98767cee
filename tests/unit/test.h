/* The one header of unit tests: cmocka, and where the public test data lies.
 *
 * Data files are read from $PHAROS_SHARED/testdata (the folder beside the checkout). Where it is absent a test says so loudly
 * and is counted as skipped: skip_without_shared().
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

static inline const char *shared_path(const char *name)
{
    static char path[8][1024];
    static int turn;
    const char *root = getenv("PHAROS_SHARED");
    char *p = path[turn++ & 7];
    snprintf(p, sizeof path[0], "%s/testdata/%s", root ? root : "../shared", name);
    return p;
}
#define skip_without_shared(name)                                                                            \
    do {                                                                                                     \
        FILE *probe_ = fopen(shared_path(name), "r");                                                        \
        if (!probe_) {                                                                                       \
            fprintf(stderr, "SKIPPED: no %s\n", shared_path(name));                                          \
            skip();                                                                                          \
        }                                                                                                    \
        fclose(probe_);                                                                                      \
    } while (0)

/* A fresh directory under $TMPDIR; removed by the caller with vfs_remove_tree. */
static inline const char *test_dir(char buf[256])
{
    const char *t = getenv("TMPDIR");
    snprintf(buf, 256, "%s/pharos-test-XXXXXX", t ? t : "/tmp");
    if (!mkdtemp(buf))
        abort();
    return buf;
}
#define assert_str(s, lit)                                                                                   \
    do {                                                                                                     \
        Str s_ = (s);                                                                                        \
        const char *want_ = (lit);                                                                           \
        if (s_.len != strlen(want_) || memcmp(s_.at, want_, s_.len))                                         \
            fail_msg("got «%.*s», want «%s»", STR_FMT(s_), want_);                                           \
    } while (0)
#define assert_ok(call, why)                                                                                 \
    do {                                                                                                     \
        Err e_ = (call);                                                                                     \
        if (e_ != OK)                                                                                        \
            fail_msg("%s: %s: %s", #call, err_name(e_), (why)->text);                                        \
    } while (0)
