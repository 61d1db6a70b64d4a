/*
 * 14-socketpair-threads -- how do two threads talk over one pair?
 *
 * As two processes do. But fork() copies the table of descriptors and the
 * memory, and pthread_create() copies nothing. So a thread that returns closes
 * nothing, what one thread closes is closed for all, and a pointer that is sent
 * leads to the same place for both. What fork() does not copy is the other
 * threads.
 *
 *      main                 thread
 *        |                     |
 *      sv[0] <=============> sv[1]
 *     `---------------------------'
 *      one table of descriptors, one memory
 *
 * See socketpair(2), pthread_create(3), close(2), fork(2), unix(7).
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/lab.h"

/* Print first, then write. The other way round, the reader could print its line
 * before the writer prints this one. */
static void write_text(int fd, const char *text)
{
    say("write(\"%s\") ...", text);
    CHECK(write(fd, text, strlen(text)));
}

static void read_text(int fd)
{
    char buf[64];    // longer than anything that is sent here
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read() = %d \"%.*s\"", n, n, buf);
}

/* A thread begins in a function like this one. Its argument is a pointer to
 * what main has: here, to main's sv[1]. */
static void *answer(void *arg)
{
    const int *end = arg;

    role("thread");
    read_text(*end);
    write_text(*end, "fine, thanks");
    return NULL;
}

/* How many threads this process has. /proc/self/task has a directory for each
 * of them (see proc(5)). st_nlink counts these directories, and 2 more that
 * each directory has: "." and "..". */
static int count_threads(void)
{
    struct stat task;

    CHECK(stat("/proc/self/task", &task));
    return (int)task.st_nlink - 2;
}

/* How many of the two numbers lead to a socket in this process. fcntl(F_GETFD)
 * fails with EBADF if a number leads nowhere. */
static int count_open(const int sv[2])
{
    int count = 0;

    for (int i = 0; i < 2; i++) {
        if (fcntl(sv[i], F_GETFD) != -1)
            count++;
        else if (errno != EBADF)
            fail("fcntl(F_GETFD)", __FILE__, __LINE__);
    }
    return count;
}

/* Neither of the two closes anything as long as the other one runs. */
static void question_and_answer(void)
{
    int sv[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_PTHREAD(pthread_create(&thread, NULL, answer, &sv[1]));
    int threads = count_threads();
    say("threads in /proc/self/task: %d", threads);

    write_text(sv[0], "how are you?");
    read_text(sv[0]);

    int ends = count_open(sv);
    say("before pthread_join(): number of open ends: %d", ends);
    CHECK_PTHREAD(pthread_join(thread, NULL));

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void *read_and_return(void *arg)
{
    const int *end = arg;

    role("thread");
    read_text(*end);
    say("return ...");
    return NULL;
}

/* Step 3 of lab 1, with a thread in the place of the child. */
static void thread_returns(void)
{
    int sv[2];
    char byte;
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_PTHREAD(pthread_create(&thread, NULL, read_and_return, &sv[1]));
    write_text(sv[0], "you may go");
    CHECK_PTHREAD(pthread_join(thread, NULL));

    const char *result = RESULT(recv(sv[0], &byte, 1, MSG_DONTWAIT), EAGAIN);
    say("after pthread_join(): recv(sv[0], MSG_DONTWAIT) = %s", result);
    CHECK(close(sv[1]));
    result = RESULT(recv(sv[0], &byte, 1, MSG_DONTWAIT), EAGAIN);
    say("after close(sv[1]): recv(sv[0], MSG_DONTWAIT) = %s", result);

    CHECK(close(sv[0]));
}

/* Closes the number that main has in sv[0]. */
static void *close_main_end(void *arg)
{
    const int *end = arg;

    role("thread");
    int closed = CHECK(close(*end));
    say("close(sv[0]) = %d", closed);
    return NULL;
}

static void try_to_write(int fd)
{
    const char *text = "hello?";

    const char *result = RESULT(write(fd, text, strlen(text)), EBADF);
    say("write(sv[0], \"%s\") = %s", text, result);
}

static void *read_as_stranger(void *arg)
{
    const int *end = arg;

    role("stranger");
    read_text(*end);
    return NULL;
}

/* Main writes the same text twice. Between the two calls main makes another
 * pair, for a second thread, the stranger. The stranger starts last. Otherwise
 * it could print its line before main prints the result. */
static void thread_closes(void)
{
    int sv[2];
    int other[2];
    pthread_t thread;
    pthread_t stranger;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_PTHREAD(pthread_create(&thread, NULL, close_main_end, &sv[0]));
    CHECK_PTHREAD(pthread_join(thread, NULL));

    try_to_write(sv[0]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other));
    say("socketpair(other): other[0] - sv[0] = %d", other[0] - sv[0]);
    try_to_write(sv[0]);

    CHECK_PTHREAD(pthread_create(&stranger, NULL, read_as_stranger, &other[1]));
    CHECK_PTHREAD(pthread_join(stranger, NULL));

    CHECK(close(sv[1]));
    CHECK(close(other[0]));    // and not sv[0], which is the same number
    CHECK(close(other[1]));
}

static int number;    // a pointer to this variable is sent

/* The thread and the child do the same with the pointer that they receive. n is
 * 0 if main has failed: then main's end is closed. Only a child can see that:
 * when main fails, the whole process ends, and the thread with it. */
static void follow_pointer(int fd)
{
    int *pointer;
    int n = CHECK(recv(fd, &pointer, sizeof(pointer), 0));

    if (n == 0)
        return;
    int found = *pointer;
    *pointer = 3;
    say("recv(pointer): *pointer was %d, is now %d", found, *pointer);
}

static void *follow_in_thread(void *arg)
{
    const int *end = arg;

    role("thread");
    follow_pointer(*end);
    return NULL;
}

/* The number changes when the thread, or the child, is already there. */
static void change_and_send(int fd)
{
    int *pointer = &number;

    number = 2;
    say("number = %d, then send(&number) ...", number);
    CHECK(send(fd, &pointer, sizeof(pointer), 0));
}

/* SOCK_SEQPACKET: the pointer is one message. */
static void pointer_to_thread(void)
{
    int sv[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    number = 1;
    CHECK_PTHREAD(pthread_create(&thread, NULL, follow_in_thread, &sv[1]));
    change_and_send(sv[0]);
    CHECK_PTHREAD(pthread_join(thread, NULL));
    say("after pthread_join(): number = %d", number);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void pointer_to_child(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    number = 1;
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        CHECK(close(sv[0]));
        follow_pointer(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    change_and_send(sv[0]);
    reap(child);
    say("after waitpid(): number = %d", number);

    CHECK(close(sv[0]));
}

static void *answer_with_number(void *arg)
{
    const int *end = arg;
    char text[32];

    role("thread");
    read_text(*end);
    snprintf(text, sizeof(text), "number is %d", number);
    say("write(the answer) ...");
    CHECK(write(*end, text, strlen(text)));
    return NULL;
}

/* The child does what main does in step 1: it writes to sv[0], and reads the
 * answer there. Main only waits for the child and for the thread. The child may
 * call printf() although its parent has two threads: the other one holds no
 * lock of the C library, because it prints nothing before the child asks. */
static void child_asks(void)
{
    const char *question = "which number?";
    int sv[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    number = 1;
    CHECK_PTHREAD(pthread_create(&thread, NULL, answer_with_number, &sv[1]));
    int threads = count_threads();
    say("threads in /proc/self/task: %d", threads);

    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        threads = count_threads();
        say("threads in /proc/self/task: %d", threads);

        // The child keeps its sv[1] as well, but none of its threads reads
        // there.
        number = 2;
        say("number = %d, then write(\"%s\") ...", number, question);
        CHECK(write(sv[0], question, strlen(question)));
        read_text(sv[0]);
        _exit(EXIT_SUCCESS);
    }
    reap(child);
    CHECK_PTHREAD(pthread_join(thread, NULL));

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

int main(void)
{
    need_proc();

    step("Two threads talk. Who closes which end, and when?");
    question_and_answer();

    step("The thread has returned. Is its end closed?");
    thread_returns();

    step("A thread has closed sv[0]. What does main's write() do?");
    thread_closes();

    step("A pointer is sent. What does its receiver find there?");
    pointer_to_thread();
    pointer_to_child();

    step("The process has two threads and forks. Who answers the child?");
    child_asks();
}
