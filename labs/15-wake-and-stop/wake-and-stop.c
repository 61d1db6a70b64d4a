/*
 * 15-wake-and-stop -- what wakes a thread that waits at a socket?
 *
 * To close the thread's own end wakes nobody. To close the other end is end of
 * file, but only if no copy of that end is left. shutdown() ends the connection
 * itself: it wakes whoever waits at either end, and copies do not matter. It
 * also ends accept(), and poll() reports it.
 *
 *          the other end                  the thread's own end
 *     main --- [ sv[0] ]================[ sv[1] ] --- reader, inside recv()
 *
 * See shutdown(2), close(2), recv(2), accept(2), poll(2), unix(7).
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { SMALL_BUFFER = 8192, SENT = 50000 };

static const char message[SENT];    // what is in it does not matter

/* The reader wants one byte more than main sends at first. So its recv() waits
 * for that byte, or until no more can come. */
static void *reader(void *end)
{
    int fd = *(int *)end;
    char buf[SENT + 1];

    role("reader");
    say("recv(%zu bytes, MSG_WAITALL) ...", sizeof(buf));
    int n = CHECK(recv(fd, buf, sizeof(buf), MSG_WAITALL));
    say("recv(%zu bytes, MSG_WAITALL) = %d", sizeof(buf), n);

    const char *result = RESULT(recv(fd, buf, 1, 0), EBADF);
    say("recv(1 byte) = %s", result);
    return NULL;
}

/* Makes the pair and starts a reader at sv[1]. The pair has no room for the
 * whole message, so send() returns only when the reader has taken a part of it.
 * Then the reader is inside recv(), and must stay there for one more byte. */
static pthread_t start_reader(int sv[2])
{
    const int size = SMALL_BUFFER;
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    CHECK_PTHREAD(pthread_create(&thread, NULL, reader, &sv[1]));

    int n = CHECK(send(sv[0], message, sizeof(message), 0));
    say("send(sv[0], %zu bytes) = %d", sizeof(message), n);
    return thread;
}

/* A second descriptor of the same end. A child has one after fork(). */
static int copy_end(int sv[2])
{
    int copy = CHECK(dup(sv[0]));

    say("dup(sv[0]) -> copy");
    return copy;
}

/* If close() woke the reader, the last byte would come too late for its first
 * recv(). */
static void close_own_end(void)
{
    int sv[2];
    pthread_t thread = start_reader(sv);

    int closed = CHECK(close(sv[1]));
    say("close(sv[1]) = %d", closed);
    say("send(sv[0], \"!\") ...");
    CHECK(send(sv[0], "!", 1, 0));

    CHECK_PTHREAD(pthread_join(thread, NULL));
    CHECK(close(sv[0]));
}

/* Nobody can send the last byte any more. */
static void close_other_end(void)
{
    int sv[2];
    pthread_t thread = start_reader(sv);

    say("close(sv[0]) ...");
    CHECK(close(sv[0]));

    CHECK_PTHREAD(pthread_join(thread, NULL));
    CHECK(close(sv[1]));
}

/* The same close(). But the last byte can still come, by the copy. */
static void close_other_end_with_copy(void)
{
    int sv[2];
    pthread_t thread = start_reader(sv);

    int copy = copy_end(sv);
    int closed = CHECK(close(sv[0]));
    say("close(sv[0]) = %d", closed);
    say("send(copy, \"!\"), close(copy) ...");
    CHECK(send(copy, "!", 1, 0));
    CHECK(close(copy));

    CHECK_PTHREAD(pthread_join(thread, NULL));
    CHECK(close(sv[1]));
}

/* As close_own_end(), with another call. MSG_NOSIGNAL: an error, and not the
 * signal SIGPIPE. */
static void shut_down_own_end(void)
{
    int sv[2];
    pthread_t thread = start_reader(sv);

    say("shutdown(sv[1], SHUT_RDWR) ...");
    CHECK(shutdown(sv[1], SHUT_RDWR));
    CHECK_PTHREAD(pthread_join(thread, NULL));
    const char *result = RESULT(send(sv[0], "!", 1, MSG_NOSIGNAL), EPIPE);
    say("send(sv[0], \"!\") = %s", result);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* As close_other_end_with_copy(), with another call. */
static void shut_down_other_end_with_copy(void)
{
    int sv[2];
    pthread_t thread = start_reader(sv);

    int copy = copy_end(sv);
    say("shutdown(sv[0], SHUT_RDWR) ...");
    CHECK(shutdown(sv[0], SHUT_RDWR));
    CHECK_PTHREAD(pthread_join(thread, NULL));
    const char *result = RESULT(send(copy, "!", 1, MSG_NOSIGNAL), EPIPE);
    say("send(copy, \"!\") = %s", result);

    CHECK(close(copy));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void send_text(int fd, const char *text)
{
    say("send(\"%s\") ...", text);
    CHECK(send(fd, text, strlen(text), 0));
}

static void receive(int fd)
{
    char buf[64];    // longer than any text that is sent here
    int n = CHECK(recv(fd, buf, sizeof(buf), 0));

    say("recv() = %d \"%.*s\"", n, n, buf);
}

/* One client comes. Then the server waits for another one. */
static void *server(void *arg)
{
    int listener = *(int *)arg;

    role("server");
    int peer = CHECK(accept(listener, NULL, NULL));
    say("accept() -> peer");
    send_text(peer, "hello");
    CHECK(close(peer));

    const char *result = RESULT(accept(listener, NULL, NULL), EINVAL);
    say("accept() = %s", result);
    return NULL;
}

/* It makes no difference whether the server is already inside its second
 * accept() when main calls shutdown(), or comes to it later. */
static void stop_accepting(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                        .sun_path = "server.sock"};
    const struct sockaddr *name = (const struct sockaddr *)&address;
    pthread_t thread;

    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(bind(listener, name, sizeof(address)));
    CHECK(listen(listener, 1));
    CHECK_PTHREAD(pthread_create(&thread, NULL, server, &listener));

    int first = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    say("connect(\"%s\") ...", address.sun_path);
    CHECK(connect(first, name, sizeof(address)));
    receive(first);

    say("shutdown(listener, SHUT_RDWR) ...");
    CHECK(shutdown(listener, SHUT_RDWR));
    CHECK_PTHREAD(pthread_join(thread, NULL));

    int second = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    const char *result =
        RESULT(connect(second, name, sizeof(address)), ECONNREFUSED);
    say("connect(\"%s\") = %s", address.sun_path, result);

    CHECK(close(first));
    CHECK(close(second));
    CHECK(close(listener));
    CHECK(unlink(address.sun_path));
}

static const char *event_names(short events)
{
    if (events == 0)
        return "nothing";
    if (events == POLLIN)
        return "POLLIN";
    if (events == (POLLIN | POLLHUP))
        return "POLLIN POLLHUP";
    return "other events";
}

enum { WORK, STOP };    // what the worker waits for

/* The worker looks at stop first. If it looked at work first, it would not stop
 * as long as there is more work. */
static void *worker(void *arg)
{
    struct pollfd *ends = arg;

    role("worker");
    for (;;) {
        int n = CHECK(poll(ends, 2, -1));
        say("poll() = %d, work[1]: %s, stop[1]: %s", n,
            event_names(ends[WORK].revents), event_names(ends[STOP].revents));

        if (ends[STOP].revents != 0)
            return NULL;
        receive(ends[WORK].fd);
        send_text(ends[WORK].fd, "done");
    }
}

/* No message is sent by the second pair. It makes no difference whether the
 * worker is already inside its second poll() when main calls shutdown(). */
static void stop_polling(void)
{
    int work[2], stop[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, work));
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, stop));
    int copy = CHECK(dup(stop[0]));
    say("dup(stop[0]) -> copy");
    struct pollfd ends[] = {[WORK] = {.fd = work[1], .events = POLLIN},
                            [STOP] = {.fd = stop[1], .events = POLLIN}};
    CHECK_PTHREAD(pthread_create(&thread, NULL, worker, ends));

    send_text(work[0], "dig");
    receive(work[0]);
    say("shutdown(stop[0], SHUT_RDWR) ...");
    CHECK(shutdown(stop[0], SHUT_RDWR));
    CHECK_PTHREAD(pthread_join(thread, NULL));

    CHECK(close(copy));
    CHECK(close(stop[0]));
    CHECK(close(stop[1]));
    CHECK(close(work[0]));
    CHECK(close(work[1]));
}

int main(void)
{
    step("The reader's own end is closed. What does its recv() return?");
    close_own_end();

    step("The other end is closed. What does recv() return now?");
    close_other_end();
    close_other_end_with_copy();

    step("shutdown() instead of close(): what does recv() return?");
    shut_down_own_end();
    shut_down_other_end_with_copy();

    step("A thread waits in accept(). What ends it?");
    stop_accepting();

    step("A thread waits in poll() for work. How is it told to stop?");
    stop_polling();
}
