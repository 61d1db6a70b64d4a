/*
 * descriptors.h -- one descriptor beside the bytes of a message.
 *
 *     send_descriptor(socket, bytes, size, descriptor)
 *         as send(): the bytes, and the descriptor beside them
 *     receive_descriptor(socket, bytes, size, &descriptor)
 *         as recv(): what came beside the bytes is in descriptor, or -1
 *
 * Lab 31 explains how these two functions work, and lab 33 why there is
 * room for one descriptor, and not for two. Both end the lab if the call fails.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include <string.h>
#include <sys/socket.h>

#include "lab.h"

static inline int send_descriptor(int socket, const void *bytes, size_t size,
                                  int descriptor)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(beside), &descriptor, sizeof(int));
    return CHECK(sendmsg(socket, &msg, 0));
}

static inline int receive_descriptor(int socket, void *bytes, size_t size,
                                     int *descriptor)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_LEN(sizeof(int)),
    };

    int n = CHECK(recvmsg(socket, &msg, MSG_CMSG_CLOEXEC));
    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    *descriptor = -1;
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(beside), sizeof(int));
    return n;
}

#endif
