/*
 * 11-socketpair-dgram -- does a pair keep messages apart?
 *
 * A pair of SOCK_DGRAM does: one send is one receive, in order, none is lost,
 * and a sender waits for room. But there is no end of file: a reader whose
 * peer has closed waits for ever. Only a send tells that nobody is there.
 *
 *     left  sv[0] <===[one][][three]===> sv[1]  right
 *             '------[hello]------> third.sock  third
 *
 * See socketpair(2), unix(7), socket(7), poll(2).
 */
#define _GNU_SOURCE    // for POLLRDHUP
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { DATAGRAMS = 10000 };

/* One process plays both ends: the kernel looks at sockets, not at processes.
 * What would wait for another, here for ever, fails with EAGAIN. */
static void on_pair(const char *question, void (*show)(int left, int right))
{
    int sv[2];

    step(question);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sv));
    show(sv[0], sv[1]);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void tell(const char *who, int end, const char *text)
{
    role(who);
    say("send(\"%s\") = %d", text, CHECK(send(end, text, strlen(text), 0)));
}

static void receive(const char *who, int end)
{
    char buf[64];    // longer than any text that is sent here

    role(who);
    ssize_t n = CHECK(read(end, buf, sizeof(buf)));
    say("read() = %zd \"%.*s\"", n, (int)n, buf);
}

/* Nothing is queued: EAGAIN. SOCK_SEQPACKET has an end, and returns 0 there. */
static void try_read(const char *who, int end)
{
    role(who);
    say("read() = %s", RESULT(read(end, &(char){0}, 1), EAGAIN));
}

static void messages(int left, int right)
{
    tell("left", left, "one");
    tell("left", left, "");
    tell("left", left, "three");
    receive("right", right);
    receive("right", right);
    receive("right", right);
    try_read("right", right);
}

static void no_bytes(int left, int right)
{
    tell("left", left, "one");
    tell("left", left, "two");
    role("right");
    say("read(0 bytes) = %d", CHECK(read(right, NULL, 0)));
    receive("right", right);
    say("recv(0 bytes) = %d", CHECK(recv(right, NULL, 0, 0)));
    try_read("right", right);
}

static void too_short(int left, int right)
{
    char buf[3];

    tell("left", left, "red wine");
    tell("left", left, "tea");
    role("right");
    say("read(3 bytes) = %d \"%.3s\"", CHECK(read(right, buf, 3)), buf);
    receive("right", right);
}

/* Sends 0, 1, 2 and so on until the pair is full. Returns the next to send. */
static int fill(int end)
{
    int next = -1;
    const char *result;

    role("left");
    do {
        next++;
        result = RESULT(send(end, &next, sizeof(next), MSG_DONTWAIT), EAGAIN);
    } while (*result != '-');    // it says "-1 EAGAIN", or how much was sent
    say("send(MSG_DONTWAIT), again and again: %s", result);
    return next;
}

static void set_buffer(int end, int option, int size)
{
    CHECK(setsockopt(end, SOL_SOCKET, option, &size, sizeof(size)));
}

static void full(int left, int right)
{
    set_buffer(left, SO_SNDBUF, 4096);
    set_buffer(right, SO_RCVBUF, 4096);    // both far below the default
    fill(left);
    tell("right", right, "wait");
    receive("left", left);
    set_buffer(right, SO_RCVBUF, 65536);
    say("right has a larger SO_RCVBUF: send(\"x\") = %s",
        RESULT(send(left, "x", 1, 0), EAGAIN));
    set_buffer(left, SO_SNDBUF, 65536);
    say("left has a larger SO_SNDBUF: send(\"x\") = %d",
        CHECK(send(left, "x", 1, 0)));
}

static _Noreturn void count(int end)
{
    int number, next = 0, received = 0, disordered = 0;

    role("right");
    while (CHECK(recv(end, &number, sizeof(number), 0)) > 0) {
        disordered += number < next;
        next = number + 1;
        received++;
    }
    say("received %d, lost %d, doubled or out of order %d", received,
        DATAGRAMS - received, disordered);
    _exit(EXIT_SUCCESS);
}

/* Nobody reads until the pair is full: there is no child yet. */
static void ten_thousand(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));    // its send() waits
    set_buffer(sv[0], SO_SNDBUF, 4096);
    int next = fill(sv[0]);
    say("fewer than 100 are in the pair: %s", next < 100 ? "yes" : "no");
    say("send() that one again, then all the others");
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        count(sv[1]);
    }
    CHECK(close(sv[1]));    // or send() would wait for a receiver that died
    for (; next < DATAGRAMS; next++)
        CHECK(send(sv[0], &next, sizeof(next), 0));
    CHECK(send(sv[0], NULL, 0, 0));    // that was all; close() would not say it
    reap(child);
    CHECK(close(sv[0]));
}

/* Another type shows what an end would look like. */
static void reader_left(int type)
{
    const char *who = type == SOCK_DGRAM ? "dgram" : "seqpacket";
    int sv[2];

    CHECK(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, sv));
    tell(who, sv[0], "bye");
    say("close(sv[0]) = %d", CHECK(close(sv[0])));
    receive(who, sv[1]);
    try_read(who, sv[1]);
    struct pollfd p = {.fd = sv[1], .events = POLLIN | POLLOUT | POLLRDHUP};
    int n = CHECK(poll(&p, 1, 0));
    say("poll() = %d %s%s%s%s", n, p.revents & POLLIN ? "POLLIN|" : "",
        p.revents & POLLOUT ? "POLLOUT" : "",
        p.revents & POLLRDHUP ? "|POLLRDHUP" : "",
        p.revents & POLLHUP ? "|POLLHUP" : "");
    CHECK(close(sv[1]));
}

/* SIGPIPE would end the lab, even if it was ignored by who started it. */
static void writer_left(void)
{
    int sv[2];

    CHECK(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL));
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    role("right");
    say("close() = %d", CHECK(close(sv[1])));
    role("left");
    say("write(\"x\") = %s", RESULT(write(sv[0], "x", 1), ECONNREFUSED));
    say("write(\"x\") = %s", RESULT(write(sv[0], "x", 1), ENOTCONN));
    CHECK(close(sv[0]));
}

static void shut_down(int left, int right)
{
    role("right");
    say("shutdown(SHUT_RDWR) = %d", CHECK(shutdown(right, SHUT_RDWR)));
    try_read("left", left);    // even at an end it would be EAGAIN
    struct pollfd p = {.fd = left, .events = POLLIN | POLLRDHUP};
    say("poll(POLLIN|POLLRDHUP) = %d", CHECK(poll(&p, 1, 0)));
    say("write(\"x\") = %s", RESULT(write(left, "x", 1), EPIPE));
}

static void third_socket(int left, int right)
{
    const struct sockaddr_un addr = {.sun_family = AF_UNIX,
                                     .sun_path = "third.sock"};
    int third = CHECK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));

    CHECK(bind(third, (const struct sockaddr *)&addr, sizeof(addr)));
    role("left");
    say("sendto(third.sock, \"hello\") = %d",
        CHECK(sendto(left, "hello", 5, 0, (const struct sockaddr *)&addr,
                     sizeof(addr))));
    try_read("right", right);
    receive("third", third);
    tell("left", left, "and you");
    receive("right", right);
    CHECK(close(third));
    CHECK(unlink(addr.sun_path));
}

int main(void)
{
    on_pair("Three messages, one empty: what do four reads return?", messages);
    on_pair("Does a read of no bytes take a message?", no_bytes);
    on_pair("The buffer is too short: where is the rest?", too_short);
    on_pair("One direction is full: is the other? Who makes room?", full);

    step("10 000 datagrams, and room for fewer than 100: how many are lost?");
    ten_thousand();

    step("The peer has closed: what does a reader see?");
    reader_left(SOCK_DGRAM);
    reader_left(SOCK_SEQPACKET);

    step("The peer has closed: what does a writer see?");
    writer_left();

    on_pair("Does shutdown() tell the peer?", shut_down);
    on_pair("Can one end write to a third socket?", third_socket);
}
