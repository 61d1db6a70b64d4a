/*
 * 14-socketpair-threads -- how do two threads talk over one pair?
 *
 * As two processes do. But threads share one table of descriptors and one
 * memory: there are no copies. A thread's exit closes nothing, what one thread
 * closes is closed for all, and a pointer leads to the same at both ends.
 *
 *     main  sv[0] <================> sv[1]  thread
 *     `-------------- one process --------------'
 *
 * See socketpair(2), pthread_create(3), close(2), fork(2), unix(7).
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

static void receive(int end)
{
    char buf[64];    // longer than anything that is sent here
    ssize_t n = CHECK(read(end, buf, sizeof(buf)));

    if (n > 0)
        say("read() = %zd \"%.*s\"", n, (int)n, buf);
    else
        say("read() = 0, end of file");
}

/* It speaks before it writes: the peer's next line can only come after it. */
static void transmit(int end, const char *text)
{
    say("write(\"%s\")", text);
    CHECK(write(end, text, strlen(text)));
}

static void *answerer(void *end)
{
    role("thread");
    receive(*(int *)end);
    transmit(*(int *)end, "fine, thanks");
    return NULL;
}

/* fork() would copy both descriptors, and each process would close one. Here
 * nobody closes anything before the end. */
static void both_directions(void)
{
    int sv[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_PTHREAD(pthread_create(&thread, NULL, answerer, &sv[1]));
    transmit(sv[0], "how are you?");
    receive(sv[0]);
    CHECK_PTHREAD(pthread_join(thread, NULL));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void *leaver(void *end)
{
    role("thread");
    receive(*(int *)end);
    return NULL;
}

static void thread_ends(void)
{
    int sv[2];
    char byte;
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_PTHREAD(pthread_create(&thread, NULL, leaver, &sv[1]));
    transmit(sv[0], "you may go");
    CHECK_PTHREAD(pthread_join(thread, NULL));
    say("pthread_join() = 0: the thread has ended");
    say("recv(MSG_DONTWAIT) = %s",
        RESULT(recv(sv[0], &byte, 1, MSG_DONTWAIT), EAGAIN));
    say("close(sv[1]) = %d", CHECK(close(sv[1])));
    receive(sv[0]);
    CHECK(close(sv[0]));
}

/* A habit from lab 1: to close the end that is not one's own. */
static void *closer(void *pair)
{
    const int *sv = pair;

    role("thread");
    say("close(sv[0]) = %d", CHECK(close(sv[0])));
    receive(sv[1]);
    return NULL;
}

/* The kernel gives a new descriptor the lowest number that is free. */
static void closed_for_all(void)
{
    int sv[2], other[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_PTHREAD(pthread_create(&thread, NULL, closer, sv));
    CHECK_PTHREAD(pthread_join(thread, NULL));
    say("write(sv[0], \"hello?\") = %s",
        RESULT(write(sv[0], "hello?", 6), EBADF));

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other));
    say("socketpair(other): other[0] == sv[0]: %s",
        other[0] == sv[0] ? "yes" : "no");
    say("write(sv[0], \"dear thread\") = %d",
        CHECK(write(sv[0], "dear thread", 11)));
    role("stranger");
    receive(other[1]);
    role("main");
    CHECK(close(other[0]));
    CHECK(close(other[1]));
    CHECK(close(sv[1]));
}

/* What thread and child do with the pointer is the same. */
static void follow(int end)
{
    volatile int *pointer = NULL;

    CHECK(recv(end, &pointer, sizeof(pointer), 0));
    if (!pointer)
        return;    // and its line is missing
    say("recv(&pointer): *pointer is %d, now *pointer = 3", *pointer);
    *pointer = 3;
}

static void *follower(void *end)
{
    role("thread");
    follow(*(int *)end);
    return NULL;
}

/* The number changes once the thread, or the child, is there. */
static void change_and_send(int end, volatile int *pointer)
{
    *pointer = 2;
    say("number = 2, send(&number)");
    CHECK(send(end, &pointer, sizeof(pointer), 0));
}

static void to_thread(void)
{
    int sv[2];
    volatile int number = 1;
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    CHECK_PTHREAD(pthread_create(&thread, NULL, follower, &sv[1]));
    change_and_send(sv[0], &number);
    CHECK_PTHREAD(pthread_join(thread, NULL));
    say("number is %d", number);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* fork() copies the memory, too: what is at the address there is not this. A
 * compiler that saw no reader of the 1 would leave it out: hence volatile. */
static void to_child(void)
{
    int sv[2];
    volatile int number = 1;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        role("child");
        follow(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    change_and_send(sv[0], &number);
    reap(child);
    say("number is %d", number);
    CHECK(close(sv[0]));
}

int main(void)
{
    step("Can two threads talk over a pair as two processes do?");
    both_directions();

    step("The thread has ended. Is its end closed?");
    thread_ends();

    step("The thread closes the end that is not its own. Who notices?");
    closed_for_all();

    step("A pointer is sent. What is there for a thread, and for a child?");
    to_thread();
    to_child();
}
