/*
 * 12-dgram-peer-gone -- who learns that the other end is gone?
 *
 * On a pair of SOCK_STREAM or SOCK_SEQPACKET, both a reader and a writer do. On
 * a pair of SOCK_DGRAM only a writer does, by an error. A reader would wait for
 * ever. And the send() that fails with this error throws away every message
 * that had come and was not read yet. So on a pair of SOCK_DGRAM, the program
 * that goes says goodbye with a message, and the program that stays reads
 * before it sends.
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

static const char *const question = "still there?";

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

/* The word if the flag is set, and no text if it is not. */
static const char *word_if(int is_set, const char *word)
{
    if (is_set)
        return word;
    return "";
}

/* What recv() and poll() say. The answer of poll() is the words in revents.
 * POLLHUP may be among them, although it is not in events. */
static void try_to_read(const char *when, int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN | POLLOUT};
    char byte;

    const char *result = RESULT(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    int n = CHECK(poll(&polled, 1, 0));    // one socket, and do not wait
    say("%srecv() = %s, poll() = %d%s%s%s", when, result, n,
        word_if(polled.revents & POLLIN, " POLLIN"),
        word_if(polled.revents & POLLOUT, " POLLOUT"),
        word_if(polled.revents & POLLHUP, " POLLHUP"));
}

/* Nothing is sent here, so there is never anything to read. */
static void read_before_and_after(int type)
{
    int sv[2];

    open_pair(type, sv);
    try_to_read("", sv[0]);

    CHECK(close(sv[1]));
    try_to_read("after close(sv[1]): ", sv[0]);

    CHECK(close(sv[0]));
}

/* How many SIGPIPE came in the last send(). A variable that a signal handler
 * changes and the program reads must have this type. */
static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
    (void)sig;    // it is SIGPIPE: no other signal has this handler
    signals++;
}

/* SIGPIPE would end the process. In this step it is caught and counted. */
static void count_sigpipe(void)
{
    struct sigaction action = {.sa_handler = count_signal};

    CHECK(sigaction(SIGPIPE, &action, NULL));
}

/* The control: somebody is there. The byte is read, too, because unread bytes
 * at an end that is closed would be another experiment (step 5). */
static void send_to_open_end(const int sv[2])
{
    char byte;

    signals = 0;
    int n = CHECK(send(sv[0], "x", 1, 0));
    say("send() = %d, number of SIGPIPE: %d", n, (int)signals);
    CHECK(recv(sv[1], &byte, 1, 0));
}

static void send_on_stream_or_seqpacket(int type)
{
    int sv[2];

    open_pair(type, sv);
    send_to_open_end(sv);

    CHECK(close(sv[1]));
    signals = 0;
    const char *result = RESULT(send(sv[0], "x", 1, 0), EPIPE);
    say("after close(sv[1]): send() = %s, number of SIGPIPE: %d", result,
        (int)signals);

    CHECK(close(sv[0]));
}

/* The first send() to a closed end fails with ECONNREFUSED, where the other
 * types have EPIPE. The second one fails with ENOTCONN. */
static void send_on_dgram(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    send_to_open_end(sv);

    CHECK(close(sv[1]));
    signals = 0;
    const char *result = RESULT(send(sv[0], "x", 1, 0), ECONNREFUSED);
    say("after close(sv[1]): send() = %s, number of SIGPIPE: %d", result,
        (int)signals);

    signals = 0;
    result = RESULT(send(sv[0], "x", 1, 0), ENOTCONN);
    say("and again: send() = %s, number of SIGPIPE: %d", result, (int)signals);

    CHECK(close(sv[0]));
}

/* sv[1] stays open, but it neither sends nor receives any more. The flag
 * MSG_NOSIGNAL means: an error, but no SIGPIPE. SIGPIPE would end the lab here:
 * step() has replaced the handler of step 2 by one that ends the lab. */
static void other_end_is_shut_down(int type)
{
    int sv[2];

    open_pair(type, sv);
    CHECK(shutdown(sv[1], SHUT_RDWR));
    try_to_read("after shutdown(sv[1]): ", sv[0]);
    const char *result = RESULT(send(sv[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    say("after shutdown(sv[1]): send() = %s", result);

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

/* Two errors are answers here, so this call is not inside CHECK(). check() is
 * the function behind CHECK(), as in lab 3. Returns the result of recv(). */
static int receive(int fd)
{
    char buf[ROOM];

    ssize_t result = recv(fd, buf, ROOM, MSG_DONTWAIT);
    if (result == -1 && (errno == EAGAIN || errno == ECONNRESET)) {
        say("recv() = -1 %s", error_name(errno));
        return -1;
    }
    int n = check(result, "recv()", __FILE__, __LINE__);
    say("recv() = %d \"%.*s\"", n, n, buf);
    return n;
}

static void receive_all(int fd)
{
    int n = 1;

    while (n > 0)
        n = receive(fd);
}

/* The control: the parent reads, and sends nothing. */
static void only_read_on_dgram(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    child_says_goodbye(sv);

    receive_all(sv[0]);

    CHECK(close(sv[0]));
}

/* The child has exited, and the parent asks before it reads. */
static void ask_too_late_on_dgram(void)
{
    int sv[2];

    open_pair(SOCK_DGRAM, sv);
    child_says_goodbye(sv);

    const char *result =
        RESULT(send(sv[0], question, strlen(question), 0), ECONNREFUSED);
    say("send(\"%s\") = %s", question, result);
    receive_all(sv[0]);

    CHECK(close(sv[0]));
}

static void ask_too_late_on_seqpacket(void)
{
    int sv[2];

    open_pair(SOCK_SEQPACKET, sv);
    child_says_goodbye(sv);

    const char *result =
        RESULT(send(sv[0], question, strlen(question), 0), EPIPE);
    say("send(\"%s\") = %s", question, result);
    receive_all(sv[0]);

    CHECK(close(sv[0]));
}

/* The parent asks before it makes the child, so the child could read the
 * question. But the child does not read it. */
static void ask_in_time(int type)
{
    int sv[2];

    open_pair(type, sv);
    say("send(\"%s\") ...", question);
    CHECK(send(sv[0], question, strlen(question), 0));
    child_says_goodbye(sv);

    receive(sv[0]);
    receive(sv[0]);
    receive(sv[0]);
    receive(sv[0]);

    CHECK(close(sv[0]));
}

int main(void)
{
    step("The other end is closed: what do recv() and poll() say?");
    read_before_and_after(SOCK_STREAM);
    read_before_and_after(SOCK_SEQPACKET);
    read_before_and_after(SOCK_DGRAM);

    step("The other end is closed: what does send() return?");
    count_sigpipe();
    send_on_stream_or_seqpacket(SOCK_STREAM);
    send_on_stream_or_seqpacket(SOCK_SEQPACKET);
    send_on_dgram();

    step("The other end is shut down: does this end learn that?");
    other_end_is_shut_down(SOCK_STREAM);
    other_end_is_shut_down(SOCK_SEQPACKET);
    other_end_is_shut_down(SOCK_DGRAM);

    step("The child is gone, and the parent asks. What does it read then?");
    only_read_on_dgram();
    ask_too_late_on_dgram();
    ask_too_late_on_seqpacket();

    step("The parent asks. What if the child exits and has not read that?");
    ask_in_time(SOCK_DGRAM);
    ask_in_time(SOCK_SEQPACKET);
}
