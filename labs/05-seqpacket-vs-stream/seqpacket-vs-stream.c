/*
 * 05-seqpacket-vs-stream -- where does a message end?
 *
 * A stream carries bytes: where one send() ended is forgotten at once, and a
 * program that must know puts a length in front. SOCK_SEQPACKET carries
 * messages: one recv() takes one of them, and what does not fit is lost.
 *
 *     client  server ---- server.sock ----> listener  server
 *             server <====================> peer
 *
 * See unix(7), socket(2), send(2), recv(2), poll(2).
 */
#define _GNU_SOURCE    // for POLLRDHUP
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = "server.sock"};

/* The one client and the one server of the lab: only the type differs. */
static void client(int type, void (*sender)(int fd))
{
    role("client");
    int server = CHECK(socket(AF_UNIX, type, 0));
    CHECK(connect(server, (const struct sockaddr *)&address, sizeof(address)));
    sender(server);
    CHECK(shutdown(server, SHUT_WR));
    /* It stays until the server has closed: its exit is a signal (SIGCHLD),
     * and in a server under strace that would cut MSG_WAITALL short. */
    CHECK(poll(&(struct pollfd){.fd = server}, 1, -1));
    _exit(EXIT_SUCCESS);
}

static void server(int type, void (*sender)(int fd), void (*receiver)(int fd))
{
    role("server");
    int listener = CHECK(socket(AF_UNIX, type, 0));
    CHECK(bind(listener, (const struct sockaddr *)&address, sizeof(address)));
    CHECK(listen(listener, 1));    // before the fork, or connect() might fail
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(listener));
        client(type, sender);
    }
    int peer = CHECK(accept(listener, NULL, NULL));
    CHECK(close(listener));
    CHECK(unlink(address.sun_path));
    receiver(peer);
    CHECK(close(peer));
    reap(child);
}

/* All is said before anything is sent: from then on the peer may speak. */
static void three_sends(int fd)
{
    say("send(\"one\"), send(\"two\"), send(\"three\")");
    CHECK(send(fd, "one", 3, 0));
    CHECK(send(fd, "two", 3, 0));
    CHECK(send(fd, "three", 5, 0));
}

/* The flags are printed as they are written. */
#define RECEIVE(fd, room, flags) receive(fd, room, flags, #flags)
static ssize_t receive(int fd, size_t room, int flags, const char *names)
{
    char buf[64];    // none of the rooms is larger
    ssize_t n = CHECK(recv(fd, buf, room, flags));
    /* With MSG_TRUNC, n can be more than what has been put into buf. */
    size_t shown = (size_t)n < room ? (size_t)n : room;
    say("recv(%zu, %s) = %zd \"%.*s\"", room, names, n, (int)shown, buf);
    return n;
}

/* It looks when the client has finished, without reading to find that out. So
 * all messages are there to stick together, every time and not just often. */
static void look_late(int peer)
{
    struct pollfd finished = {.fd = peer, .events = POLLRDHUP};

    CHECK(poll(&finished, 1, -1));
    while (RECEIVE(peer, 64, 0) > 0)
        continue;
}

static void fill_buffer(int peer)
{
    while (RECEIVE(peer, 8, MSG_WAITALL) > 0)
        continue;
}

/* One process holds both ends and speaks as their type: sv[0] sends. */
static void open_pair(int type, int sv[2])
{
    role(type == SOCK_STREAM ? "stream" : "seqpacket");
    CHECK(socketpair(AF_UNIX, type, 0, sv));
}

static void short_buffer(int type)
{
    int sv[2];

    open_pair(type, sv);
    say("send(\"three\"), then close()");
    CHECK(send(sv[0], "three", 5, 0));
    CHECK(close(sv[0]));
    RECEIVE(sv[1], 2, MSG_PEEK | MSG_TRUNC);
    while (RECEIVE(sv[1], 2, 0) > 0)
        continue;
    CHECK(close(sv[1]));
}

static void oversize(int type)
{
    static const char big[65536];
    int sv[2];

    open_pair(type, sv);
    CHECK(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)));
    if (type == SOCK_STREAM) {
        /* Without MSG_DONTWAIT, it would wait for a reader to make room. */
        ssize_t n = CHECK(send(sv[0], big, sizeof(big), MSG_DONTWAIT));
        say("send(65536 bytes): part of it: %s",
            n > 0 && (size_t)n < sizeof(big) ? "yes" : "no");
    } else {
        say("send(65536 bytes) = %s",
            RESULT(send(sv[0], big, sizeof(big), MSG_DONTWAIT), EMSGSIZE));
    }
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static int ask_poll(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};
    int n = CHECK(poll(&p, 1, 0));

    say("poll() = %d%s%s%s", n, p.revents & POLLIN ? " POLLIN" : "",
        p.revents & POLLRDHUP ? "|POLLRDHUP" : "",
        p.revents & POLLHUP ? "|POLLHUP" : "");
    return n;
}

static void empty_message(int type)
{
    int sv[2];

    open_pair(type, sv);
    say("send(\"\") = %d", CHECK(send(sv[0], "", 0, 0)));
    if (ask_poll(sv[1]) > 0)
        RECEIVE(sv[1], 64, 0);
    say("close(sv[0]) = %d", CHECK(close(sv[0])));
    ask_poll(sv[1]);
    RECEIVE(sv[1], 64, 0);
    CHECK(close(sv[1]));
}

#define DRIBBLE(fd, bytes) dribble(fd, bytes, sizeof(bytes) - 1, #bytes)
/* Unkind, but legal: on a stream the pieces mean nothing. */
static void dribble(int fd, const char *bytes, size_t n, const char *written)
{
    say("send() byte by byte: %s", written);
    for (size_t i = 0; i < n; i++)
        CHECK(send(fd, &bytes[i], 1, 0));
}

static void nasty(int fd)
{
    DRIBBLE(fd, "\0\3one\0\0\0\5three");
}

static void dying(int fd)
{
    DRIBBLE(fd, "\0\5th");
}

static void lying(int fd)
{
    DRIBBLE(fd, "\377\377");
}

/* Less than n only at the end of file. */
static size_t recv_all(int fd, void *buf, size_t n)
{
    size_t got = 0, more = 1;

    while (got < n && more > 0) {
        more = (size_t)CHECK(recv(fd, (char *)buf + got, n - got, 0));
        got += more;
    }
    return got;
}

/* A message: its length in two bytes, high byte first, then the text. */
static void read_messages(int peer)
{
    unsigned char prefix[2];
    char text[64];
    size_t got;

    while ((got = recv_all(peer, prefix, sizeof(prefix))) == sizeof(prefix)) {
        size_t length = (size_t)prefix[0] << 8 | prefix[1];
        if (length > sizeof(text)) {    // never trust a length
            say("length %zu, room for %zu: refused", length, sizeof(text));
            return;
        }
        if (recv_all(peer, text, length) < length) {
            say("end of file inside a message");
            return;
        }
        say("message of %zu \"%.*s\"", length, (int)length, text);
    }
    say("end of file %s", got == 0 ? "between messages" : "inside a length");
}

int main(void)
{
    step("SOCK_STREAM: three sends; what does one recv() return?");
    server(SOCK_STREAM, three_sends, look_late);

    step("SOCK_SEQPACKET: and the same client and server now?");
    server(SOCK_SEQPACKET, three_sends, look_late);

    step("The buffer is too short: is there more, and where is it?");
    short_buffer(SOCK_STREAM);
    short_buffer(SOCK_SEQPACKET);

    step("MSG_WAITALL, on a stream and on SEQPACKET: is the buffer filled?");
    server(SOCK_STREAM, three_sends, fill_buffer);
    server(SOCK_SEQPACKET, three_sends, fill_buffer);

    step("What if a message is larger than the socket's buffer?");
    oversize(SOCK_STREAM);
    oversize(SOCK_SEQPACKET);

    step("recv() returned 0: is that the end?");
    empty_message(SOCK_STREAM);
    empty_message(SOCK_SEQPACKET);

    step("How can a stream carry messages?");
    server(SOCK_STREAM, nasty, read_messages);

    step("What if the message does not fit its length?");
    server(SOCK_STREAM, dying, read_messages);
    server(SOCK_STREAM, lying, read_messages);
}
