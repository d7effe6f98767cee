/* Which addresses may be reached by URLs that came through an API: public unicast, and nothing that translates to
 * something else. */
#include "net/client.h"
#include <netinet/in.h>

typedef struct Net4 {
    u32 address;
    u8 bits;
} Net4;

#define IP4(a, b, c, d) ((u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))
static const Net4 not_public4[] = {
    {IP4(0, 0, 0, 0), 8},        {IP4(10, 0, 0, 0), 8},     {IP4(100, 64, 0, 0), 10},
    {IP4(127, 0, 0, 0), 8},      {IP4(169, 254, 0, 0), 16}, {IP4(172, 16, 0, 0), 12},
    {IP4(192, 0, 0, 0), 24},     {IP4(192, 0, 2, 0), 24},   {IP4(192, 88, 99, 0), 24},
    {IP4(192, 168, 0, 0), 16},   {IP4(198, 18, 0, 0), 15},  {IP4(198, 51, 100, 0), 24},
    {IP4(203, 0, 113, 0), 24},   {IP4(224, 0, 0, 0), 4},    {IP4(240, 0, 0, 0), 4},
    {IP4(168, 63, 129, 16), 32}, /* Azure's host agent: public by number only */
};

static bool is_public4(u32 a)
{
    for (size_t i = 0; i < COUNT_OF(not_public4); i++)
        if ((a ^ not_public4[i].address) >> (32 - not_public4[i].bits) == 0)
            return false;
    return true;
}

/* Only 2000::/3 is handed out; inside it, what is special or wraps IPv4 (Teredo, 6to4, documentation) is not taken. */
static bool is_public6(const u8 a[16])
{
    if ((a[0] & 0xe0) != 0x20)
        return false;
    u32 first = (u32)a[0] << 24 | (u32)a[1] << 16 | (u32)a[2] << 8 | a[3];
    if ((first & 0xfffffe00) == 0x20010000 || first == 0x20010db8 || first >> 16 == 0x2002 ||
        first >> 12 == 0x3fff0)
        return false;
    return true;
}

bool egress_is_public(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return is_public4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family == AF_INET6)
        return is_public6(((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr);
    return false;
}
