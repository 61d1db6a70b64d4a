/*
 * 13-full-pair -- what happens when nobody reads?
 *
 * What was sent waits until it is read, and counts against the SO_SNDBUF of its
 * sender. When that is used up, send() waits, or fails with EAGAIN if it may
 * not wait. Nothing is thrown away. A message that is larger than SO_SNDBUF
 * never fits: a stream takes a part of it, the other types refuse it.
 *
 *     sender                                      reader
 *    +-------+   [1000] [1000] [1000] [1000] --> +-------+
 *    | sv[0] |                                   | sv[1] |
 *    +-------+   <-- [stop]                      +-------+
 *
 * See socketpair(2), unix(7), socket(7), send(2), poll(2).
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { SMALL_BUFFER = 8192, MESSAGE = 1000, LARGE_MESSAGE = 65536 };

static const char message[MESSAGE];    // what is in it does not matter

static void set_buffer(int fd, int option, int size)
{
    CHECK(setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)));
}

/* A pair with room for a few messages only, so that it is soon full. One
 * process plays both ends, and speaks as their type. */
static void open_pair(int type, int sv[2])
{
    if (type == SOCK_STREAM)
        role("stream");
    else if (type == SOCK_SEQPACKET)
        role("seqpacket");
    else
        role("dgram");
    CHECK(socketpair(AF_UNIX, type, 0, sv));
    set_buffer(sv[0], SO_SNDBUF, SMALL_BUFFER);
}

/* Sends messages until there is no room. Returns how many were sent. */
static int fill(int fd)
{
    int count = 0;

    for (;;) {
        ssize_t n = send(fd, message, sizeof(message), MSG_DONTWAIT);
        if (n == -1 && errno == EAGAIN)
            return count;
        check(n, "send()", __FILE__, __LINE__);
        count++;
    }
}

/* Reads messages until none is left. Returns how many were read. */
static int drain(int fd)
{
    char buf[MESSAGE];
    int count = 0;

    for (;;) {
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n == -1 && errno == EAGAIN)
            return count;
        check(n, "recv()", __FILE__, __LINE__);
        count++;
    }
}

static void nobody_reads(int type)
{
    int sv[2];

    open_pair(type, sv);
    int sent = fill(sv[0]);
    say_measured("send(%d bytes): %d messages fit", MESSAGE, sent);
    const char *result =
        RESULT(send(sv[0], message, sizeof(message), MSG_DONTWAIT), EAGAIN);
    say("send(%d bytes) = %s", MESSAGE, result);

    int received = drain(sv[1]);
    say("recv() until EAGAIN: %d messages are missing", sent - received);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* One buffer after the other is made twice as large. How many messages fit
 * differs between kernels; how that number changes does not. */
static void whose_buffer(void)
{
    const int twice = 2 * SMALL_BUFFER;
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    set_buffer(sv[1], SO_SNDBUF, SMALL_BUFFER);
    set_buffer(sv[1], SO_RCVBUF, SMALL_BUFFER);
    int before = fill(sv[0]);
    drain(sv[1]);
    say_measured("all buffers %d: %d messages fit", SMALL_BUFFER, before);

    set_buffer(sv[1], SO_RCVBUF, twice);
    int now = fill(sv[0]);
    drain(sv[1]);
    say("SO_RCVBUF of sv[1] %d: %d more fit", twice, now - before);

    set_buffer(sv[1], SO_SNDBUF, twice);
    now = fill(sv[0]);
    drain(sv[1]);
    say("SO_SNDBUF of sv[1] %d: %d more fit", twice, now - before);

    set_buffer(sv[0], SO_SNDBUF, twice);
    now = fill(sv[0]);
    say_measured("SO_SNDBUF of sv[0] %d: %d more fit", twice, now - before);
    say("SO_SNDBUF of sv[0] %d: %.0f times as many fit, rounded", twice,
        (double)now / before);

    /* sv[0] can send no more. sv[1] has not sent anything yet. */
    const char *result = RESULT(send(sv[0], "more", 4, MSG_DONTWAIT), EAGAIN);
    say("send(sv[0], \"more\") = %s", result);
    result = RESULT(send(sv[1], "stop", 4, MSG_DONTWAIT), EAGAIN);
    say("send(sv[1], \"stop\") = %s", result);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void try_to_send(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    int writable = CHECK(poll(&room, 1, 0));
    const char *result =
        RESULT(send(fd, message, sizeof(message), MSG_DONTWAIT), EAGAIN);
    say("poll(POLLOUT) = %d, send(%d bytes) = %s", writable, MESSAGE, result);
}

static void receive_bytes(int fd, size_t room)
{
    char buf[MESSAGE];
    int n = CHECK(recv(fd, buf, room, MSG_DONTWAIT));

    say("recv(%zu bytes) = %d", room, n);
}

static void read_in_pieces(int type)
{
    int sv[2];

    open_pair(type, sv);
    fill(sv[0]);
    try_to_send(sv[0]);

    receive_bytes(sv[1], 1);
    try_to_send(sv[0]);

    receive_bytes(sv[1], MESSAGE - 1);
    try_to_send(sv[0]);

    say("recv() until EAGAIN ...");
    drain(sv[1]);
    try_to_send(sv[0]);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Reads the messages that fill the pair, and then the one that waited for room.
 * The empty message after that says that the parent has spoken. */
static _Noreturn void read_everything(int fd, int waiting)
{
    char buf[MESSAGE];
    char empty;

    say("recv() all messages of %d bytes ...", MESSAGE);
    for (int i = 0; i < waiting; i++)
        CHECK(recv(fd, buf, sizeof(buf), 0));

    int n = CHECK(recv(fd, buf, sizeof(buf), 0));
    CHECK(recv(fd, &empty, 1, 0));
    say("recv() = %d \"%.*s\"", n, n, buf);
    _exit(EXIT_SUCCESS);
}

/* The parent says what it is about to do before there is a child. So no line of
 * the child can come first. */
static void wait_for_room(void)
{
    const char *last = "last";
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    int sent = fill(sv[0]);
    role("parent");
    const char *result =
        RESULT(send(sv[0], last, strlen(last), MSG_DONTWAIT), EAGAIN);
    say("send(\"%s\", MSG_DONTWAIT) = %s", last, result);
    say("send(\"%s\", 0) ...", last);

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        CHECK(close(sv[0]));
        read_everything(sv[1], sent);
    }
    CHECK(close(sv[1]));
    int n = CHECK(send(sv[0], last, strlen(last), 0));
    say("send(\"%s\", 0) = %d", last, n);
    CHECK(send(sv[0], "", 0, 0));

    reap(child);
    CHECK(close(sv[0]));
}

static const char large_message[LARGE_MESSAGE];

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

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* The pair is empty, and send() may wait. */
static void too_large_for_messages(int type)
{
    int sv[2];

    open_pair(type, sv);
    const char *result =
        RESULT(send(sv[0], large_message, LARGE_MESSAGE, 0), EMSGSIZE);
    say("send(%d bytes, 0) = %s", LARGE_MESSAGE, result);
    int n = CHECK(send(sv[0], message, sizeof(message), 0));
    say("send(%d bytes, 0) = %d", MESSAGE, n);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

int main(void)
{
    step("Nobody reads: what does send() return, and what is lost?");
    nobody_reads(SOCK_STREAM);
    nobody_reads(SOCK_SEQPACKET);
    nobody_reads(SOCK_DGRAM);

    step("A larger buffer: whose, if more is to fit?");
    whose_buffer();

    step("How much must be read before one more message fits?");
    read_in_pieces(SOCK_STREAM);

    step("When does a send() that waits go on?");
    wait_for_room();

    step("What if one message is larger than the whole buffer?");
    too_large_for_stream();
    too_large_for_messages(SOCK_SEQPACKET);
    too_large_for_messages(SOCK_DGRAM);
}
