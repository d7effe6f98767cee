/* A metrics page that lives: learnt from pages of a real exporter, rendered again with values that move as theirs did.
 *
 * A tape is a file of pages captured at a fixed interval, each ended by a line "# page". A series whose text never changed on the
 * tape is constant. Of the others every step is drawn from the steps seen: nothing as often as there was nothing, otherwise a
 * point between two random steps, in units of the greatest common divisor of all of them (bytes move in pages, seconds in
 * hundredths). Counters only grow; gauges turn around where the tape's range ends. What is no decimal of 18 digits or less
 * alternates between the texts seen. Rendering copies text and prints decimals: some microseconds per page.
 */
#pragma once
#include "base/base.h"

typedef struct PageModel PageModel;
typedef struct PageState PageState; /* one target's values as one scraper sees them */

PageModel *page_model_read(const char *path, Why *why); /* NULL: why */
u32 page_model_series(const PageModel *m);
u32 page_model_moving(const PageModel *m);
/* States of the same seed and target go through the same values. */
PageState *page_state_new(const PageModel *m, u64 seed, u32 target);
void page_step(const PageModel *m, PageState *s);
/* Appends the page. */
void page_render(const PageModel *m, const PageState *s, Buf *out);

/* xorshift64*: small, fast, the same everywhere. */
static inline u64 page_random(u64 *x)
{
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return *x * 0x2545F4914F6CDD1Dull;
}
