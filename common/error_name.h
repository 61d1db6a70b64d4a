/*
 * error_name.h -- the name of an error: "EAGAIN" for the number EAGAIN
 */
#ifndef ERROR_NAME_H
#define ERROR_NAME_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* The name of an error as errno(3) has it: the C library of a lab may have no
 * function for this. Of an error that no lab meets, the number. */
static inline const char *error_name(int error)
{
    static const struct {
        int number;
        const char *name;
    } errors[] = {
        {EACCES, "EACCES"},
        {EADDRINUSE, "EADDRINUSE"},
        {EADDRNOTAVAIL, "EADDRNOTAVAIL"},
        {EAFNOSUPPORT, "EAFNOSUPPORT"},
        {EAGAIN, "EAGAIN"},
        {EBADF, "EBADF"},
        {EBADMSG, "EBADMSG"},
        {EBUSY, "EBUSY"},
        {ECHILD, "ECHILD"},
        {ECONNREFUSED, "ECONNREFUSED"},
        {ECONNRESET, "ECONNRESET"},
        {EDESTADDRREQ, "EDESTADDRREQ"},
        {EEXIST, "EEXIST"},
        {EFAULT, "EFAULT"},
        {EINPROGRESS, "EINPROGRESS"},
        {EINTR, "EINTR"},
        {EINVAL, "EINVAL"},
        {EIO, "EIO"},
        {EISCONN, "EISCONN"},
        {EISDIR, "EISDIR"},
        {ELOOP, "ELOOP"},
        {EMFILE, "EMFILE"},
        {EMSGSIZE, "EMSGSIZE"},
        {ENAMETOOLONG, "ENAMETOOLONG"},
        {ENETUNREACH, "ENETUNREACH"},
        {ENFILE, "ENFILE"},
        {ENOBUFS, "ENOBUFS"},
        {ENOENT, "ENOENT"},
        {ENOLCK, "ENOLCK"},
        {ENOMEM, "ENOMEM"},
        {ENOPROTOOPT, "ENOPROTOOPT"},
        {ENOSPC, "ENOSPC"},
        {ENOSYS, "ENOSYS"},
        {ENOTCONN, "ENOTCONN"},
        {ENOTDIR, "ENOTDIR"},
        {ENXIO, "ENXIO"},
        {EOPNOTSUPP, "EOPNOTSUPP"},
        {EPERM, "EPERM"},
        {EPIPE, "EPIPE"},
        {EPROTONOSUPPORT, "EPROTONOSUPPORT"},
        {EPROTOTYPE, "EPROTOTYPE"},
        {EROFS, "EROFS"},
        {ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"},
        {ESRCH, "ESRCH"},
        {ETIMEDOUT, "ETIMEDOUT"},
        {ETOOMANYREFS, "ETOOMANYREFS"},
        {EXDEV, "EXDEV"},
    };
    static _Thread_local char number[24];    // good until the next call

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].number == error)
            return errors[i].name;
    snprintf(number, sizeof(number), "error %d", error);
    return number;
}

#endif
