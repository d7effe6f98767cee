/* Time. Everything that waits or compares times takes a Clock, so tests run 40-minute scenarios in milliseconds.
 *
 * wall is nanoseconds since the Unix epoch (may jump); mono is nanoseconds of a clock that never goes back and,
 * on Linux, counts suspend (CLOCK_BOOTTIME). Units are in names: _ns, _ms. Sample timestamps are i64 milliseconds.
 */
#pragma once
#include "base/str.h"

typedef struct Clock Clock;
struct Clock {
    i64 (*wall_ns)(Clock *c);
    i64 (*mono_ns)(Clock *c);
};

Clock *clock_real(void);
static inline i64 clock_wall_ns(Clock *c)
{
    return c->wall_ns(c);
}
static inline i64 clock_wall_ms(Clock *c)
{
    return c->wall_ns(c) / 1000000;
}
static inline i64 clock_mono_ns(Clock *c)
{
    return c->mono_ns(c);
}
static inline i64 clock_mono_ms(Clock *c)
{
    return c->mono_ns(c) / 1000000;
}

/* A clock that stands still until moved. Thread-safe. */
typedef struct VirtualClock {
    Clock clock; /* first: cast */
    _Atomic i64 wall, mono;
} VirtualClock;
void virtual_clock_init(VirtualClock *c, i64 wall_ns);
void virtual_clock_advance(VirtualClock *c, i64 ns); /* both clocks */
void virtual_clock_jump(VirtualClock *c, i64 ns);    /* wall only: someone set the date */

/* When a request must be done; mono time. 0 = never. */
typedef struct Deadline {
    Clock *clock;
    i64 mono_ns;
} Deadline;
static inline Deadline deadline_none(void)
{
    return (Deadline){0};
}
static inline Deadline deadline_in_ms(Clock *c, i64 ms)
{
    return (Deadline){c, clock_mono_ns(c) + ms * 1000000};
}
static inline bool deadline_passed(Deadline d)
{
    return d.mono_ns && clock_mono_ns(d.clock) >= d.mono_ns;
}

#define MS_PER_SEC 1000LL
#define NS_PER_MS  1000000LL
#define NS_PER_SEC 1000000000LL
