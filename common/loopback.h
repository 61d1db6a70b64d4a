/*
 * loopback.h -- for labs that talk to 127.0.0.1 as well.
 *
 *     need_loopback()
 *         skip the lab if this machine has no loopback interface that works;
 *         a call that fails for another reason ends the lab
 *
 * See netdevice(7).
 */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab.h"

/* The loopback interface is called lo. If lo is down, its addresses may still
 * be there, and then connect() waits for an answer that never comes. */
static inline void need_loopback(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd == -1 && errno == EAFNOSUPPORT)
        skip("this kernel has no AF_INET: try another machine");
    CHECK(fd);
    CHECK(ioctl(fd, SIOCGIFFLAGS, &lo));
    if ((lo.ifr_flags & IFF_UP) == 0)
        skip("the loopback interface is down: ip link set lo up");
    int result = ioctl(fd, SIOCGIFADDR, &lo);
    if (result == -1 && errno == EADDRNOTAVAIL)
        skip("lo has no address: ip addr add 127.0.0.1/8 dev lo");
    CHECK(result);
    CHECK(close(fd));
}

#endif
