/*
 * 12-dgram-peer-gone -- who learns that the other end is gone?
 *
 * On a pair of SOCK_STREAM or SOCK_SEQPACKET, both a reader and a writer do. On
 * a pair of SOCK_DGRAM only a writer does, by an error; a reader waits for
 * ever. And the send() that finds out throws away every message that had come
 * and was not read yet. So a datagram peer says goodbye with a message, and who
 * stays reads before it sends.
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

enum { ROOM = 64 };    // more than any message that is sent here

/* From here on, the end that stays speaks. Its role is the type of the pair. */
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

static const char *word_if(int is_set, const char *word)
{
    if (is_set)
        return word;
    return "";
}

/* Says what poll() returned, and the words that it left in revents. It may
 * answer POLLHUP although nobody asks for that. */
static void say_poll(const char *when, int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN | POLLOUT};

    int n = CHECK(poll(&polled, 1, 0));    // one descriptor, and do not wait
    say("%spoll(sv[0]) = %d%s%s%s", when, n,
        word_if(polled.revents & POLLIN, " POLLIN"),
        word_if(polled.revents & POLLOUT, " POLLOUT"),
        word_if(polled.revents & POLLHUP, " POLLHUP"));
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

/* How many SIGPIPE came in the last send(). Of this type is what a signal
 * handler may change while the program does something else. */
static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
    if (sig == SIGPIPE)
        signals++;
}

/* SIGPIPE would end the process. In this step it is caught and counted. The
 * next step() makes it deadly again. */
static void count_sigpipe(void)
{
    struct sigaction action = {.sa_handler = count_signal};

    CHECK(sigaction(SIGPIPE, &action, NULL));
}

/* The control: somebody is there. The byte is also read, because a stream that
 * is closed with unread data gives another error (lab 1). */
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
    signals = 0;
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
    signals = 0;
    const char *result = RESULT(send(sv[0], "x", 1, 0), ECONNREFUSED);
    say("after close(sv[1]): send(sv[0]) = %s, SIGPIPE: %d", result,
        (int)signals);

    signals = 0;
    result = RESULT(send(sv[0], "x", 1, 0), ENOTCONN);
    say("and again: send(sv[0]) = %s, SIGPIPE: %d", result, (int)signals);

    CHECK(close(sv[0]));
}

/* sv[1] stays open, but it neither sends nor receives any more. The flag
 * MSG_NOSIGNAL means: an error, but no SIGPIPE, which would end the lab here.
 */
static void other_end_is_shut_down(int type)
{
    int sv[2];
    char byte;

    open_pair(type, sv);
    int done = CHECK(shutdown(sv[1], SHUT_RDWR));
    say("shutdown(sv[1]) = %d", done);

    const char *result = RESULT(recv(sv[0], &byte, 1, MSG_DONTWAIT), EAGAIN);
    say("recv(sv[0]) = %s", result);
    say_poll("", sv[0]);
    result = RESULT(send(sv[0], "x", 1, MSG_NOSIGNAL), EPIPE);
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

/* When this function returns, the child has exited. Its two messages wait in
 * the queue of sv[0], and sv[1] is closed. */
static void child_says_goodbye(const int sv[2])
{
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        CHECK(close(sv[0]));
        say_goodbye(sv[1]);
    }
    CHECK(close(sv[1]));    // or the parent itself would keep sv[1] open
    reap(child);
}

static void receive(int fd)
{
    char buf[ROOM];
    int n = CHECK(recv(fd, buf, ROOM, MSG_DONTWAIT));

    say("recv() = %d \"%.*s\"", n, n, buf);
}

/* The control: the parent reads, and sends nothing. */
static void read_on_dgram(void)
{
    int sv[2];
    char buf[ROOM];

    open_pair(SOCK_DGRAM, sv);
    child_says_goodbye(sv);

    receive(sv[0]);
    receive(sv[0]);
    const char *result = RESULT(recv(sv[0], buf, ROOM, MSG_DONTWAIT), EAGAIN);
    say("recv() = %s", result);

    CHECK(close(sv[0]));
}

/* The parent sends something before it reads. */
static void send_first_on_dgram(void)
{
    const char *question = "still there?";
    int sv[2];
    char buf[ROOM];

    open_pair(SOCK_DGRAM, sv);
    child_says_goodbye(sv);

    const char *result =
        RESULT(send(sv[0], question, strlen(question), 0), ECONNREFUSED);
    say("send(\"%s\") = %s", question, result);
    result = RESULT(recv(sv[0], buf, ROOM, MSG_DONTWAIT), EAGAIN);
    say("recv() = %s", result);

    CHECK(close(sv[0]));
}

static void send_first_on_seqpacket(void)
{
    const char *question = "still there?";
    int sv[2];
    char buf[ROOM];

    open_pair(SOCK_SEQPACKET, sv);
    child_says_goodbye(sv);

    const char *result =
        RESULT(send(sv[0], question, strlen(question), 0), EPIPE);
    say("send(\"%s\") = %s", question, result);
    receive(sv[0]);
    receive(sv[0]);
    result = RESULT(recv(sv[0], buf, ROOM, MSG_DONTWAIT), EAGAIN);
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
    other_end_is_shut_down(SOCK_STREAM);
    other_end_is_shut_down(SOCK_DGRAM);

    step("A child says \"bye\" and exits: does its parent hear that?");
    read_on_dgram();
    send_first_on_dgram();
    send_first_on_seqpacket();
}
