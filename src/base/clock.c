#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static i64 read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (i64)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static i64 real_wall(Clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static i64 real_mono(Clock *c)
{
    (void)c;
    return read_clock(CLOCK_BOOTTIME);
}

Clock *clock_real(void)
{
    static Clock real = {real_wall, real_mono};
    return &real;
}

static i64 virtual_wall(Clock *c)
{
    return ((VirtualClock *)c)->wall;
}

static i64 virtual_mono(Clock *c)
{
    return ((VirtualClock *)c)->mono;
}

void virtual_clock_init(VirtualClock *c, i64 wall_ns)
{
    c->clock = (Clock){virtual_wall, virtual_mono};
    c->wall = wall_ns;
    c->mono = NS_PER_SEC; /* not 0: deadlines of 0 mean never */
}

void virtual_clock_advance(VirtualClock *c, i64 ns)
{
    atomic_fetch_add(&c->wall, ns);
    atomic_fetch_add(&c->mono, ns);
}

void virtual_clock_jump(VirtualClock *c, i64 ns)
{
    atomic_fetch_add(&c->wall, ns);
}
