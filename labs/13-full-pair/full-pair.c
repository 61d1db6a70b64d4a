/*
 * 13-full-pair -- what happens when nobody reads?
 *
 * What was sent waits until it is read, and takes memory, which counts against
 * the SO_SNDBUF of its sender. When that is used up, send() waits, or fails
 * with EAGAIN if it may not wait. Nothing that was sent is thrown away. A
 * message that is larger than SO_SNDBUF never fits: a stream takes a part of
 * it, the other types refuse it.
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
    LARGE_MESSAGE = 65536,
    READ_ROOM = 1000
};

static const char message[MESSAGE];    // what is in it does not matter
static const char large_message[LARGE_MESSAGE];

static void set_buffer(int fd, int option, int size)
{
    CHECK(setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)));
}

/* A pair whose four limits are small, so that each direction is soon full. In
 * steps 1 to 4 one process plays both ends, and its role is the type of the
 * pair. */
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

/* Returns how many bytes were sent, or 0 if there is no room. EAGAIN is an
 * answer here, so this call is not inside CHECK(). check() is the function
 * behind CHECK(), as in lab 3. */
static int send_if_room(int fd, size_t size)
{
    ssize_t result = send(fd, message, size, MSG_DONTWAIT);

    if (result == -1 && errno == EAGAIN)
        return 0;
    return check(result, "send()", __FILE__, __LINE__);
}

/* Returns how many bytes were read, or 0 if there is nothing to read. */
static int recv_if_any(int fd)
{
    char buf[MESSAGE];
    ssize_t result = recv(fd, buf, MESSAGE, MSG_DONTWAIT);

    if (result == -1 && errno == EAGAIN)
        return 0;
    return check(result, "recv()", __FILE__, __LINE__);
}

/* Sends messages of that size until there is no room. Returns how many bytes
 * were sent. */
static int fill(int fd, size_t size)
{
    int bytes = 0;
    int n = send_if_room(fd, size);

    while (n > 0) {
        bytes += n;
        n = send_if_room(fd, size);
    }
    return bytes;
}

/* Reads until nothing is left. Returns how many bytes were read. */
static int drain(int fd)
{
    int bytes = 0;
    int n = recv_if_any(fd);

    while (n > 0) {
        bytes += n;
        n = recv_if_any(fd);
    }
    return bytes;
}

static const char *bytes_or_byte(size_t count)
{
    if (count == 1)
        return "byte";
    return "bytes";
}

/* First sv[0] sends until there is no room, and once more: this send() fails.
 * Only then sv[1] reads everything. Returns how many messages found room. */
static int nobody_reads(int type, size_t size)
{
    const char *unit = bytes_or_byte(size);
    int sv[2];

    open_pair(type, sv);
    int sent = fill(sv[0], size);
    say_measured("send(%zu %s), %d times: %d bytes were sent", size, unit,
                 sent / (int)size, sent);
    const char *result =
        RESULT(send(sv[0], message, size, MSG_DONTWAIT), EAGAIN);

    int received = drain(sv[1]);
    say("send(%zu %s) = %s, recv() until EAGAIN: %d bytes are missing", size,
        unit, result, sent - received);

    close_pair(sv);
    return sent / (int)size;
}

/* Returns how many messages of sv[0] find room, and leaves the pair empty. */
static int how_many_fit(const int sv[2])
{
    int bytes = fill(sv[0], MESSAGE);

    drain(sv[1]);
    return bytes / MESSAGE;
}

/* The same with one limit made larger, which is then set back. */
static int how_many_fit_with(const int sv[2], int fd, int option)
{
    set_buffer(fd, option, LARGER_BUFFER);
    int count = how_many_fit(sv);
    set_buffer(fd, option, BUFFER);

    return count;
}

/* How many messages fit differs between kernels; how that number changes does
 * not. "About 1 times" is: as many as before. */
static void say_how_many(const char *what, int before, int now)
{
    say("setsockopt(%s, %d): about %.0f times as many messages", what,
        LARGER_BUFFER, (double)now / before);
}

/* One limit after the other is made larger, and set back. With which of them
 * can sv[0] send more? */
static void whose_buffer(int type)
{
    int sv[2];

    open_pair(type, sv);
    int before = how_many_fit(sv);

    int now = how_many_fit_with(sv, sv[1], SO_RCVBUF);
    say_how_many("sv[1], SO_RCVBUF", before, now);

    now = how_many_fit_with(sv, sv[1], SO_SNDBUF);
    say_how_many("sv[1], SO_SNDBUF", before, now);

    now = how_many_fit_with(sv, sv[0], SO_SNDBUF);
    say_how_many("sv[0], SO_SNDBUF", before, now);

    close_pair(sv);
}

/* sv[0] can send no more. sv[1] has not sent anything yet. */
static void other_direction(int type)
{
    const char *text = "stop";
    int sv[2];

    open_pair(type, sv);
    fill(sv[0], MESSAGE);
    const char *result =
        RESULT(send(sv[0], message, MESSAGE, MSG_DONTWAIT), EAGAIN);
    say("send(sv[0], %d bytes) = %s", MESSAGE, result);
    result = RESULT(send(sv[1], text, strlen(text), MSG_DONTWAIT), EAGAIN);
    say("send(sv[1], \"%s\") = %s", text, result);

    close_pair(sv);
}

/* What does poll() promise, and what is possible? */
static void try_to_send(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    const char *word = "";

    int n = CHECK(poll(&polled, 1, 0));
    if (polled.revents & POLLOUT)
        word = " POLLOUT";
    const char *result =
        RESULT(send(fd, message, MESSAGE, MSG_DONTWAIT), EAGAIN);
    say("poll() = %d%s, send(%d bytes) = %s", n, word, MESSAGE, result);
}

/* Reads message by message until poll() reports POLLOUT for the sender. Returns
 * how many bytes were read. */
static int drain_until_pollout(const int sv[2])
{
    struct pollfd polled = {.fd = sv[0], .events = POLLOUT};
    int bytes = 0;
    int ready = CHECK(poll(&polled, 1, 0));

    while (ready == 0) {
        bytes += recv_if_any(sv[1]);
        ready = CHECK(poll(&polled, 1, 0));
    }
    return bytes;
}

/* Less and less is in the pair. Each time the program asks poll(), and then
 * tries to send. */
static void read_a_little(void)
{
    char buf[MESSAGE];
    int sv[2];

    open_pair(SOCK_STREAM, sv);
    int all = fill(sv[0], MESSAGE);
    try_to_send(sv[0]);

    say("recv(%d bytes) ...", MESSAGE);
    CHECK(recv(sv[1], buf, MESSAGE, MSG_DONTWAIT));
    try_to_send(sv[0]);    // this message fills the pair again

    int read = drain_until_pollout(sv);
    say_measured("recv() until POLLOUT: %d of %d bytes", read, all);
    say("recv() until POLLOUT: %.0f quarters of all bytes, rounded",
        4.0 * read / all);
    try_to_send(sv[0]);

    close_pair(sv);
}

/* The program plays the reader as well. Without MSG_DONTWAIT, send() would wait
 * for a reader that never comes. */
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

/* The pair is empty. With the flags 0, send() could wait for room; does it? The
 * small message shows that there is room, but not for the large one. */
static void too_large_for_messages(int type)
{
    int sv[2];

    open_pair(type, sv);
    const char *result =
        RESULT(send(sv[0], large_message, LARGE_MESSAGE, 0), EMSGSIZE);
    say("send(%d bytes, 0) = %s", LARGE_MESSAGE, result);
    int n = CHECK(send(sv[0], message, MESSAGE, 0));
    say("send(%d bytes, 0) = %d", MESSAGE, n);
    result = RESULT(send(sv[0], large_message, LARGE_MESSAGE, MSG_DONTWAIT),
                    EMSGSIZE);
    say("send(%d bytes, MSG_DONTWAIT) = %s", LARGE_MESSAGE, result);

    close_pair(sv);
}

static void read_until_end_of_file(int fd)
{
    char buf[READ_ROOM];
    int bytes = 0;
    int n = CHECK(recv(fd, buf, READ_ROOM, 0));

    while (n > 0) {
        bytes += n;
        n = CHECK(recv(fd, buf, READ_ROOM, 0));
    }
    say("recv(%d bytes) until end of file: %d bytes", READ_ROOM, bytes);
}

/* Step 4 has shown that only a part of the bytes fits. Now somebody reads, and
 * send() has no flag, so it can wait for this reader. */
static void reader_comes(void)
{
    int sv[2];

    open_pair(SOCK_STREAM, sv);
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("reader");
        CHECK(close(sv[0]));
        read_until_end_of_file(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    role("sender");
    CHECK(close(sv[1]));
    say("send(%d bytes, 0) ...", LARGE_MESSAGE);
    int n = CHECK(send(sv[0], large_message, LARGE_MESSAGE, 0));
    say("send(%d bytes, 0) = %d", LARGE_MESSAGE, n);

    CHECK(close(sv[0]));
    reap(child);
}

int main(void)
{
    step("Nobody reads: how much can be sent, and what is lost?");
    int large_ones = nobody_reads(SOCK_STREAM, MESSAGE);
    nobody_reads(SOCK_SEQPACKET, MESSAGE);
    nobody_reads(SOCK_DGRAM, MESSAGE);
    int small_ones = nobody_reads(SOCK_STREAM, 1);
    say("messages of 1 byte, compared with %d bytes: about %.0f times as many",
        MESSAGE, (double)small_ones / large_ones);

    step("Whose buffer is full, and who can still send?");
    whose_buffer(SOCK_STREAM);
    whose_buffer(SOCK_DGRAM);
    other_direction(SOCK_STREAM);
    other_direction(SOCK_DGRAM);

    step("How much must be read before there is room again?");
    read_a_little();

    step("What if one message is larger than the whole buffer?");
    too_large_for_stream();
    too_large_for_messages(SOCK_SEQPACKET);
    too_large_for_messages(SOCK_DGRAM);

    step("A send() that waits, and a reader: how much does it send?");
    reader_comes();
}
