/* base: what everything stands on. Include this one; the parts are the manual, in reading order. */
#pragma once
#include "base/str.h"    /* slices, hashing, randomness */
#include "base/err.h"    /* Err, Why, check */
#include "base/mem.h"    /* arenas, accounts, bounded buffers */
#include "base/vec.h"    /* arrays and maps */
#include "base/clock.h"  /* real and virtual time */
#include "base/log.h"    /* logs and own metrics */
#include "base/thread.h" /* mutex ranks, pools */
#include "base/vfs.h"    /* files */
#include "base/loop.h"   /* event loop, timers */
