/*
 * 12-dgram-peer-gone -- who learns that the other end is gone?
 *
 * On a pair of SOCK_STREAM or SOCK_SEQPACKET, both a reader and a writer do. On
 * a pair of SOCK_DGRAM only a writer does, by an error; a reader waits for
 * ever. So a datagram peer says goodbye with a message. And whoever finds out
 * by sending loses what had come and was not read yet.
 *
 *     stays                               goes
 *    +-------+   recv()? poll()? send()? +-------+
 *    | sv[0] |                           | sv[1] |  close(sv[1])
 *    +-------+   <-- [one] [bye]         +-------+
 *
 * See socketpair(2), unix(7), poll(2), send(2), shutdown(2).
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

/* One process plays both ends in steps 1 to 4, and speaks as their type. */
static void open_pair(int type, int sv[2])
{
    if (type == SOCK_STREAM)
        role("stream");
    else if (type == SOCK_SEQPACKET)
        role("seqpacket");
    else
        role("dgram");
    CHECK(socketpair(AF_UNIX, type, 0, sv));
}

/* A reader that does not wait, before and after. -1 EAGAIN means that a reader
 * that waits would wait now. */
static void recv_before_and_after(int type)
{
    int sv[2];
    char byte;

    open_pair(type, sv);
    const char *result = RESULT(recv(sv[0], &byte, 1, MSG_DONTWAIT), EAGAIN);
    say("recv(sv[0]) = %s", result);

    CHECK(close(sv[1]));
    result = RESULT(recv(sv[0], &byte, 1, MSG_DONTWAIT), EAGAIN);
    say("after close(sv[1]): recv(sv[0]) = %s", result);

    CHECK(close(sv[0]));
}

/* POLLERR and POLLHUP need not be asked for. */
static void say_poll(const char *when, int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN | POLLOUT};

    CHECK(poll(&polled, 1, 0));
    say("%spoll(sv[0]) =%s%s%s%s", when,
        polled.revents & POLLIN ? " POLLIN" : "",
        polled.revents & POLLOUT ? " POLLOUT" : "",
        polled.revents & POLLERR ? " POLLERR" : "",
        polled.revents & POLLHUP ? " POLLHUP" : "");
}

static void poll_before_and_after(int type)
{
    int sv[2];

    open_pair(type, sv);
    say_poll("", sv[0]);

    CHECK(close(sv[1]));
    say_poll("after close(sv[1]): ", sv[0]);

    CHECK(close(sv[0]));
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
    (void)sig;    // it is installed for SIGPIPE only
    signals++;
}

/* SIGPIPE would end the process. In this step it is caught and counted. The
 * next step() makes it deadly again. */
static void count_sigpipe(void)
{
    struct sigaction action = {.sa_handler = count_signal};

    CHECK(sigaction(SIGPIPE, &action, NULL));
}

/* The control: somebody is there. What is sent is read, because unread data at
 * the end that is closed would be another experiment. */
static void send_to_open_end(const int sv[2])
{
    char byte;

    signals = 0;
    int n = CHECK(send(sv[0], "x", 1, 0));
    say("send(sv[0]) = %d, SIGPIPE: %d", n, (int)signals);
    CHECK(recv(sv[1], &byte, 1, 0));
}

static void send_on_connection(int type)
{
    int sv[2];

    open_pair(type, sv);
    send_to_open_end(sv);

    CHECK(close(sv[1]));
    const char *result = RESULT(send(sv[0], "x", 1, 0), EPIPE);
    say("after close(sv[1]): send(sv[0]) = %s, SIGPIPE: %d", result,
        (int)signals);

    CHECK(close(sv[0]));
}

static void send_on_dgram(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    send_to_open_end(sv);

    CHECK(close(sv[1]));
    const char *result = RESULT(send(sv[0], "x", 1, 0), ECONNREFUSED);
    say("after close(sv[1]): send(sv[0]) = %s, SIGPIPE: %d", result,
        (int)signals);
    result = RESULT(send(sv[0], "x", 1, 0), ENOTCONN);
    say("and again: send(sv[0]) = %s, SIGPIPE: %d", result, (int)signals);

    CHECK(close(sv[0]));
}

/* sv[1] stays open, but it neither sends nor receives any more. */
static void shut_down(int type)
{
    int sv[2];

    open_pair(type, sv);
    int shut = CHECK(shutdown(sv[1], SHUT_RDWR));
    say("shutdown(sv[1]) = %d", shut);

    say_poll("", sv[0]);
    const char *result = RESULT(send(sv[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    say("send(sv[0]) = %s", result);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static _Noreturn void say_goodbye(int fd)
{
    const char *word = "one";
    const char *goodbye = "bye";

    say("send(\"%s\"), send(\"%s\"), exit ...", word, goodbye);
    CHECK(send(fd, word, strlen(word), 0));
    CHECK(send(fd, goodbye, strlen(goodbye), 0));
    _exit(EXIT_SUCCESS);    // and the kernel closes the child's end
}

static void receive(int fd)
{
    char buf[64];    // longer than any message that is sent here
    int n = CHECK(recv(fd, buf, sizeof(buf), 0));

    say("recv() = %d \"%.*s\"", n, n, buf);
}

/* The child has exited before the parent does anything. Its two messages wait
 * in the parent's queue. */
static void read_first(void)
{
    int sv[2];
    char buf[64];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        CHECK(close(sv[0]));
        say_goodbye(sv[1]);
    }
    role("parent");
    CHECK(close(sv[1]));
    reap(child);

    receive(sv[0]);
    receive(sv[0]);
    const char *result =
        RESULT(recv(sv[0], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv() = %s", result);
    CHECK(close(sv[0]));
}

/* The same child. But the parent sends something before it reads. */
static void send_first(void)
{
    int sv[2];
    char buf[64];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        CHECK(close(sv[0]));
        say_goodbye(sv[1]);
    }
    role("parent");
    CHECK(close(sv[1]));    // or the parent itself would be the peer
    reap(child);

    const char *question = "still there?";
    const char *result =
        RESULT(send(sv[0], question, strlen(question), 0), ECONNREFUSED);
    say("send(\"%s\") = %s", question, result);
    result = RESULT(recv(sv[0], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv() = %s", result);
    CHECK(close(sv[0]));
}

int main(void)
{
    step("The other end is closed: what does recv() return?");
    recv_before_and_after(SOCK_STREAM);
    recv_before_and_after(SOCK_SEQPACKET);
    recv_before_and_after(SOCK_DGRAM);

    step("The other end is closed: what does poll() report?");
    poll_before_and_after(SOCK_STREAM);
    poll_before_and_after(SOCK_SEQPACKET);
    poll_before_and_after(SOCK_DGRAM);

    step("The other end is closed: what does send() return?");
    count_sigpipe();
    send_on_connection(SOCK_STREAM);
    send_on_connection(SOCK_SEQPACKET);
    send_on_dgram();

    step("The other end is shut down: does this end learn that?");
    shut_down(SOCK_STREAM);
    shut_down(SOCK_DGRAM);

    step("A child says \"bye\" and exits: does its parent hear that?");
    read_first();
    send_first();
}
