/* Inside the spool: file names and the cursor file, shared with fsck. */
#pragma once
#include "store/recfile.h"
#include "store/store.h"

enum { SPOOL_CURSORS_BYTES_MAX = 1 << 20, SPOOL_NAME_MAX = 128 };

/* fn for each cursor of the file's text; E_CORRUPT when it is not whole. */
Err spool_cursors_decode(Str text, void (*fn)(void *arg, Str name, u64 seq), void *arg, Why *why);
Err spool_name_check(Str name, Why *why);
