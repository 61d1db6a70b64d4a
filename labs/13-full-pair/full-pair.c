/*
 * 13-full-pair -- what happens when nobody reads?
 *
 * What was sent waits until it is read, and takes memory, which counts against
 * the SO_SNDBUF of its sender. When that is used up, send() waits, or fails
 * with EAGAIN if it may not wait. Nothing is thrown away. A message that is
 * larger than SO_SNDBUF never fits: a stream takes a part of it, the other
 * types refuse it.
 *
 *     sender                                  reader
 *    +-------+   [100] [100] [100] [100] --> +-------+
 *    | sv[0] |                               | sv[1] |
 *    +-------+   <-- [stop]                  +-------+
 *
 * See socketpair(2), unix(7), socket(7), send(2), poll(2).
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    BUFFER = 8192,
    LARGER_BUFFER = 16384,
    MESSAGE = 100,
    LARGE_MESSAGE = 65536
};

static const char message[MESSAGE];    // what is in it does not matter
static const char large_message[LARGE_MESSAGE];

static void set_buffer(int fd, int option, int size)
{
    CHECK(setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)));
}

/* A pair whose four buffers are small, so that it is soon full. One process
 * plays both ends, and its role is the type of the pair. */
static void open_pair(int type, int sv[2])
{
    if (type == SOCK_STREAM)
        role("stream");
    else if (type == SOCK_SEQPACKET)
        role("seqpacket");
    else
        role("dgram");
    CHECK(socketpair(AF_UNIX, type, 0, sv));
    for (int i = 0; i < 2; i++) {
        set_buffer(sv[i], SO_SNDBUF, BUFFER);
        set_buffer(sv[i], SO_RCVBUF, BUFFER);
    }
}

static void close_pair(const int sv[2])
{
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Returns 0, which is no error, if there is no room. */
static ssize_t send_if_room(int fd)
{
    ssize_t n = send(fd, message, MESSAGE, MSG_DONTWAIT);

    if (n == -1 && errno == EAGAIN)
        return 0;
    return n;
}

/* Returns 0, which is no error, if there is nothing to read. */
static ssize_t recv_if_any(int fd)
{
    char buf[MESSAGE];
    ssize_t n = recv(fd, buf, MESSAGE, MSG_DONTWAIT);

    if (n == -1 && errno == EAGAIN)
        return 0;
    return n;
}

/* Sends until there is no room. Returns how many bytes were sent. */
static int fill(int fd)
{
    int bytes = 0;
    int n = CHECK(send_if_room(fd));

    while (n > 0) {
        bytes += n;
        n = CHECK(send_if_room(fd));
    }
    return bytes;
}

/* Reads until nothing is left. Returns how many bytes were read. */
static int drain(int fd)
{
    int bytes = 0;
    int n = CHECK(recv_if_any(fd));

    while (n > 0) {
        bytes += n;
        n = CHECK(recv_if_any(fd));
    }
    return bytes;
}

static void nobody_reads(int type)
{
    int sv[2];

    open_pair(type, sv);
    int sent = fill(sv[0]);
    say_measured("each buffer %d: %d messages of %d bytes were sent", BUFFER,
                 sent / MESSAGE, MESSAGE);
    const char *result =
        RESULT(send(sv[0], message, MESSAGE, MSG_DONTWAIT), EAGAIN);
    say("send(%d bytes) = %s", MESSAGE, result);

    int received = drain(sv[1]);
    say("recv() until EAGAIN: %d bytes are missing", sent - received);

    close_pair(sv);
}

static int how_many_fit(const int sv[2])
{
    int bytes = fill(sv[0]);

    drain(sv[1]);
    return bytes / MESSAGE;
}

/* The same with one buffer made larger, which is then set back. */
static int how_many_fit_with(const int sv[2], int fd, int option)
{
    set_buffer(fd, option, LARGER_BUFFER);
    int count = how_many_fit(sv);
    set_buffer(fd, option, BUFFER);

    return count;
}

/* How many messages fit differs between kernels; how that number changes does
 * not. */
static void whose_buffer(int type)
{
    int sv[2];

    open_pair(type, sv);
    int before = how_many_fit(sv);

    int now = how_many_fit_with(sv, sv[1], SO_RCVBUF);
    say("SO_RCVBUF of sv[1] %d: %d more fit", LARGER_BUFFER, now - before);

    now = how_many_fit_with(sv, sv[1], SO_SNDBUF);
    say("SO_SNDBUF of sv[1] %d: %d more fit", LARGER_BUFFER, now - before);

    now = how_many_fit_with(sv, sv[0], SO_SNDBUF);
    say("SO_SNDBUF of sv[0] %d: %.0f times as many fit, rounded", LARGER_BUFFER,
        (double)now / before);

    close_pair(sv);
}

/* sv[0] can send no more. sv[1] has not sent anything yet. */
static void other_direction(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    fill(sv[0]);
    const char *result = RESULT(send(sv[0], "more", 4, MSG_DONTWAIT), EAGAIN);
    say("send(sv[0], \"more\") = %s", result);
    result = RESULT(send(sv[1], "stop", 4, MSG_DONTWAIT), EAGAIN);
    say("send(sv[1], \"stop\") = %s", result);

    close_pair(sv);
}

static void try_to_send(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    const char *word = "";

    int n = CHECK(poll(&polled, 1, 0));
    if (polled.revents & POLLOUT)
        word = " POLLOUT";
    const char *result =
        RESULT(send(fd, message, MESSAGE, MSG_DONTWAIT), EAGAIN);
    say("poll(sv[0]) = %d%s, send(%d bytes) = %s", n, word, MESSAGE, result);
}

static void receive(int fd, size_t room)
{
    char buf[MESSAGE];
    int n = CHECK(recv(fd, buf, room, MSG_DONTWAIT));

    say("recv(%zu bytes) = %d", room, n);
}

/* Reads message by message until poll() reports POLLOUT for the sender. Returns
 * how many bytes were read. */
static int drain_until_pollout(const int sv[2])
{
    struct pollfd polled = {.fd = sv[0], .events = POLLOUT};
    int bytes = 0;

    while (CHECK(poll(&polled, 1, 0)) == 0)
        bytes += CHECK(recv_if_any(sv[1]));
    return bytes;
}

static double quarters(int part, int whole)
{
    return 4.0 * part / whole;
}

/* Less and less is in the pair. After each piece the program asks poll(), and
 * then tries to send. */
static void read_in_pieces(int type)
{
    int sv[2];

    open_pair(type, sv);
    int sent = fill(sv[0]);
    try_to_send(sv[0]);

    receive(sv[1], 1);
    try_to_send(sv[0]);

    receive(sv[1], MESSAGE - 1);
    try_to_send(sv[0]);    // with this message the pair is full again

    int read = drain_until_pollout(sv);
    say_measured("recv() until POLLOUT: %d of %d bytes", read, sent);
    say("recv() until POLLOUT: %.0f quarters of all bytes, rounded",
        quarters(read, sent));
    try_to_send(sv[0]);

    close_pair(sv);
}

/* Reads so many bytes, message by message, and not one more. */
static void read_bytes(int fd, int wanted, int all)
{
    char buf[MESSAGE];
    int bytes = 0;

    say("recv() %.0f quarters of all bytes, rounded ...",
        quarters(wanted, all));
    while (bytes < wanted)
        bytes += CHECK(recv(fd, buf, MESSAGE, 0));
}

/* First the program finds out how many bytes must be read on this kernel until
 * poll() reports POLLOUT. Then the pair is full again, and a child reads just
 * so many. A byte in the other direction, which has room, tells the child that
 * the sender is about to wait. */
static void wait_for_room(void)
{
    const char *last = "last";
    int sv[2];
    char byte;

    open_pair(SOCK_DGRAM, sv);
    int all = fill(sv[0]);
    int enough = drain_until_pollout(sv);
    fill(sv[0]);

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("reader");
        CHECK(recv(sv[0], &byte, 1, 0));
        read_bytes(sv[1], enough, all);
        _exit(EXIT_SUCCESS);
    }
    role("sender");
    const char *result =
        RESULT(send(sv[0], last, strlen(last), MSG_DONTWAIT), EAGAIN);
    say("send(\"%s\", MSG_DONTWAIT) = %s", last, result);
    say("send(\"%s\", 0) ...", last);
    CHECK(send(sv[1], "x", 1, 0));

    int n = CHECK(send(sv[0], last, strlen(last), 0));
    reap(child);    // sv[1] is still open, because the sender has it, too
    say("send(\"%s\", 0) = %d", last, n);

    int unread = drain(sv[1]);
    say_measured("recv() until EAGAIN: %d bytes were still unread", unread);

    close_pair(sv);
}

/* Without MSG_DONTWAIT, send() would wait for a reader until all is sent. */
static void too_large_for_stream(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, sv);
    int n = CHECK(send(sv[0], large_message, LARGE_MESSAGE, MSG_DONTWAIT));
    say_measured("send(%d bytes, MSG_DONTWAIT) = %d", LARGE_MESSAGE, n);
    size_t rest = (size_t)(LARGE_MESSAGE - n);
    const char *result =
        RESULT(send(sv[0], large_message + n, rest, MSG_DONTWAIT), EAGAIN);
    say("send(the rest, MSG_DONTWAIT) = %s", result);

    close_pair(sv);
}

/* The pair is empty, and send() may wait. */
static void too_large_for_messages(int type)
{
    int sv[2];

    open_pair(type, sv);
    const char *result =
        RESULT(send(sv[0], large_message, LARGE_MESSAGE, 0), EMSGSIZE);
    say("send(%d bytes, 0) = %s", LARGE_MESSAGE, result);
    int n = CHECK(send(sv[0], message, MESSAGE, 0));
    say("send(%d bytes, 0) = %d", MESSAGE, n);

    close_pair(sv);
}

int main(void)
{
    step("Nobody reads: how much can be sent, and what is lost?");
    nobody_reads(SOCK_STREAM);
    nobody_reads(SOCK_SEQPACKET);
    nobody_reads(SOCK_DGRAM);

    step("A larger buffer: whose, if more is to fit?");
    whose_buffer(SOCK_STREAM);
    whose_buffer(SOCK_SEQPACKET);
    whose_buffer(SOCK_DGRAM);
    other_direction();

    step("How much must be read before there is room again?");
    read_in_pieces(SOCK_STREAM);

    step("How much must be read before a send() that waits goes on?");
    wait_for_room();

    step("What if one message is larger than the whole buffer?");
    too_large_for_stream();
    too_large_for_messages(SOCK_SEQPACKET);
    too_large_for_messages(SOCK_DGRAM);
}
