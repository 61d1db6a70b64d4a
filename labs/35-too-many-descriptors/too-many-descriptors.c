/*
 * 35-too-many-descriptors -- how many descriptors are too many?
 *
 * One message takes 253. If one of them cannot be sent, nothing is. If the
 * receiver's table is full, the rest is lost, and recvmsg() does not fail. And
 * a user may have only so many on their way, which nobody has received yet.
 *
 *     sender                     on their way               receiver's table
 *                  +-----+     +-------------+  recvmsg()    +---+
 *     sendmsg() -> | 253 | --> | limit of    | ------------> |   |  limit of
 *                  +-----+     | each user   |               |   |  the process
 *                              +-------------+               +---+
 *
 * See unix(7), sendmsg(2), recvmsg(2), getrlimit(2).
 */
#define _GNU_SOURCE    // for syscall()
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    MOST = 254,          // that anybody tries to send in one message
    NEEDED = 512,        // that this process may have open, for step 1
    SMALL_LIMIT = 16,    // of open files, in step 4
    FEW = 2,             // descriptors in one message, in step 4
    MANY = 100,          // the same, in the second run
    MESSAGES = 32        // that the sender sends at most, in step 4
};

/* A pair, as in lab 33. The sender sends one end of it and keeps the other.
 * Whoever has the end that is sent can read the name of the colour there. */
struct colour {
    const char *name;
    int kept;
    int sent;
};

static struct colour make_colour(const char *name)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour colour = {.name = name, .kept = sv[0], .sent = sv[1]};
    CHECK(write(colour.kept, name, strlen(name)));
    return colour;
}

static void close_colour(const struct colour *colour)
{
    CHECK(close(colour->kept));
    CHECK(close(colour->sent));
}

/* Is the end that was sent still open? If so, send() is 1. */
static void ask_for(const struct colour *colour)
{
    role("sender");
    const char *result =
        RESULT(send(colour->kept, "?", 1, MSG_NOSIGNAL), EPIPE);
    say("send(%s) = %s", colour->name, result);
}

/* One message: the byte x, and n descriptors beside it. This is the system call
 * itself, because some versions of the C library musl refuse a long control
 * buffer before the kernel can. */
static long try_sendmsg(int to_receiver, const int *descriptors, size_t n)
{
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST * sizeof(int))] = {0};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int)),
    };

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(beside), descriptors, n * sizeof(int));
    return syscall(SYS_sendmsg, to_receiver, &msg, 0);
}

/* The lab never meets more than one flag at a time. */
static const char *flags_text(int flags)
{
    static char number[16];    // good until the next call

    if (flags & MSG_CTRUNC)
        return "MSG_CTRUNC";
    snprintf(number, sizeof(number), "%d", flags);
    return number;
}

/* With room for as many as anybody tries to send. Returns how many have come.
 */
static size_t receive(int to_sender, int descriptors[MOST])
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST * sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_LEN(MOST * sizeof(int)),
    };
    size_t count = 0;

    role("receiver");
    ssize_t result = recvmsg(to_sender, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (result == -1 && errno == EAGAIN) {
        say("recvmsg(MSG_DONTWAIT) = -1 EAGAIN");
        return 0;
    }
    int n = check(result, "recvmsg()", __FILE__, __LINE__);

    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    if (beside && beside->cmsg_level == SOL_SOCKET &&
        beside->cmsg_type == SCM_RIGHTS) {
        count = (beside->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(beside), count * sizeof(int));
    }
    say("recvmsg(MSG_DONTWAIT) = %d \"%.*s\", descriptors: %zu, msg_flags: %s",
        n, n, &byte, count, flags_text(msg.msg_flags & ~MSG_CMSG_CLOEXEC));
    return count;
}

static void read_name(int descriptor)
{
    char name[16];
    int n = CHECK(read(descriptor, name, sizeof(name)));

    say("read(a descriptor) = %d \"%.*s\"", n, n, name);
}

static void close_all(const int *descriptors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(close(descriptors[i]));
}

static void send_copies(int to_receiver, const struct colour *colour, size_t n)
{
    int descriptors[MOST];

    for (size_t i = 0; i < n; i++)
        descriptors[i] = colour->sent;

    role("sender");
    const char *result =
        RESULT(try_sendmsg(to_receiver, descriptors, n), EINVAL);
    say("sendmsg(\"x\", %zu times %s) = %s", n, colour->name, result);
}

/* The same descriptor may go along more than once, and arrives as often. */
static void one_message(void)
{
    int sv[2];
    int received[MOST];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");

    send_copies(sv[0], &red, MOST - 1);
    size_t came = receive(sv[1], received);
    close_all(received, came);

    send_copies(sv[0], &red, MOST);
    came = receive(sv[1], received);
    close_all(received, came);

    close_colour(&red);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* As somebody does who fills an array of three, and has nothing for one
 * element.
 */
static void one_is_bad(void)
{
    int sv[2];
    int received[MOST];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");
    const struct colour blue = make_colour("blue");

    role("sender");
    const int descriptors[] = {red.sent, -1, blue.sent};
    size_t n = ARRAY_LEN(descriptors);
    const char *result = RESULT(try_sendmsg(sv[0], descriptors, n), EBADF);
    say("sendmsg(\"x\", [red, %d, blue]) = %s", descriptors[1], result);
    size_t came = receive(sv[1], received);
    for (size_t i = 0; i < came; i++)
        read_name(received[i]);

    close_all(received, came);
    close_colour(&blue);
    close_colour(&red);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* dup() takes the lowest number that is free. So this finds the two lowest
 * numbers that are free, and forbids all that come after them. Which descriptor
 * is copied does not matter. */
static void allow_two_more(int descriptor)
{
    struct rlimit limit;
    int first = CHECK(dup(descriptor));
    int second = CHECK(dup(descriptor));

    CHECK(close(first));
    CHECK(close(second));
    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = (rlim_t)second + 1;
    int set = CHECK(setrlimit(RLIMIT_NOFILE, &limit));
    say("setrlimit(RLIMIT_NOFILE, two more than now) = %d", set);
}

/* The sender closes its own before the receiver's limit is set. */
static void full_table(void)
{
    int sv[2];
    int received[MOST];
    struct rlimit before;

    CHECK(getrlimit(RLIMIT_NOFILE, &before));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");
    const struct colour green = make_colour("green");
    const struct colour blue = make_colour("blue");

    role("sender");
    const int descriptors[] = {red.sent, green.sent, blue.sent};
    size_t n = ARRAY_LEN(descriptors);
    int sent = CHECK(try_sendmsg(sv[0], descriptors, n));
    say("sendmsg(\"x\", [red, green, blue]) = %d", sent);
    close_all(descriptors, n);

    role("receiver");
    allow_two_more(sv[1]);
    size_t came = receive(sv[1], received);
    for (size_t i = 0; i < came; i++)
        read_name(received[i]);
    const char *result = RESULT(dup(sv[1]), EMFILE);
    say("dup(sv[1]) = %s", result);
    ask_for(&blue);

    CHECK(setrlimit(RLIMIT_NOFILE, &before));
    close_all(received, came);
    CHECK(close(blue.kept));
    CHECK(close(green.kept));
    CHECK(close(red.kept));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Sends n times red in each message, until this is an error. What is on its way
 * counts for all processes of a user together. So how often it works differs,
 * and is only measured. */
static void send_until_error(const int sv[2], const struct colour *red,
                             size_t n)
{
    int descriptors[MOST];
    size_t messages = 0;
    int error = 0;

    for (size_t i = 0; i < n; i++)
        descriptors[i] = red->sent;

    role("sender");
    while (error == 0 && messages < MESSAGES) {
        long result = try_sendmsg(sv[0], descriptors, n);
        if (result == -1 && errno == ETOOMANYREFS) {
            error = errno;
        } else {
            check(result, "sendmsg()", __FILE__, __LINE__);
            messages++;
        }
    }
    say_measured("messages sent: %zu, descriptors sent: %zu", messages,
                 messages * n);
    if (error != 0)
        say("the last sendmsg(\"x\", %zu times %s) = -1 %s", n, red->name,
            error_name(error));
    else
        say("the last sendmsg(\"x\", %zu times %s) = 1", n, red->name);
}

/* Root may do more, so root gives up its rights. When the pair is closed,
 * nothing is on its way any more. */
static void nobody_receives(size_t n)
{
    int sv[2];
    struct rlimit limit;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    const struct colour red = make_colour("red");
    as_ordinary_user();

    role("sender");
    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = SMALL_LIMIT;
    int set = CHECK(setrlimit(RLIMIT_NOFILE, &limit));
    say("setrlimit(RLIMIT_NOFILE, %d) = %d", SMALL_LIMIT, set);

    send_until_error(sv, &red, n);
    int sent = CHECK(send(sv[0], "x", 1, 0));
    say("send(\"x\") = %d", sent);

    close_colour(&red);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Step 1 has 253 open, and those that the lab was started with. */
static void need_descriptors(void)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur < NEEDED)
        skip("this lab needs some hundred descriptors: ulimit -n 1024");
}

int main(void)
{
    need_descriptors();

    step("How many descriptors does one message take?");
    one_message();

    step("One of three cannot be sent. What becomes of the others?");
    one_is_bad();

    step("The receiver can have two more. What if three come?");
    full_table();

    step("Nobody receives. How long can the sender go on?");
    nobody_receives(FEW);
    nobody_receives(MANY);
}
