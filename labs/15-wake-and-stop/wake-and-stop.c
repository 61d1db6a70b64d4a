/*
 * 15-wake-and-stop -- what wakes a thread that waits at a socket?
 *
 * To close the thread's own end wakes nobody. To close the other end is end of
 * file, but only if no copy of that end is left. On a pair of SOCK_STREAM or
 * SOCK_SEQPACKET, shutdown(..., SHUT_RDWR) ends the connection itself: it wakes
 * whoever waits at either end, in recv(), send() or poll(), and copies do not
 * matter.
 *
 *          the other end                  the thread's own end
 *     main --- [ sv[0] ]================[ sv[1] ] --- reader, inside recv()
 *
 * See shutdown(2), close(2), recv(2), send(2), poll(2), unix(7).
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { SMALL_BUFFER = 8192, SENT = 50000 };

static const char message[SENT];    // what is in it does not matter
static const char last_byte[] = "!";

/* A pair that has no room for the whole message, in either direction. */
static void open_small_pair(int sv[2])
{
    const int size = SMALL_BUFFER;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    for (int i = 0; i < 2; i++)
        CHECK(setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
}

/* The reader wants one byte more than main sends at first. So its recv() waits
 * for that byte, or until no more can come. fd is the number that sv[1] holds.
 * When main closes this number, the first recv() has begun already, but the
 * second one must look the number up again. */
static void *reader(void *arg)
{
    int fd = *(const int *)arg;
    char buf[SENT + 1];
    char next[1];

    role("reader");
    say("recv(%zu bytes, MSG_WAITALL) ...", sizeof(buf));
    int n = CHECK(recv(fd, buf, sizeof(buf), MSG_WAITALL));
    say("recv(%zu bytes, MSG_WAITALL) = %d", sizeof(buf), n);

    const char *result = RESULT(recv(fd, next, sizeof(next), 0), EBADF);
    say("recv(%zu byte) = %s", sizeof(next), result);
    return NULL;
}

/* Starts a reader at sv[1]. There is no room for the whole message, so send()
 * returns only when the reader has taken a part of it. Then the reader is
 * inside recv(), and must stay there for one more byte. */
static pthread_t start_reader(int sv[2])
{
    pthread_t thread;

    open_small_pair(sv);
    CHECK_PTHREAD(pthread_create(&thread, NULL, reader, &sv[1]));

    int n = CHECK(send(sv[0], message, sizeof(message), 0));
    say("send(sv[0], %zu bytes) = %d", sizeof(message), n);
    return thread;
}

/* A second descriptor of the same end. A child has one after fork(). */
static int copy_end(int sv[2])
{
    say("dup(sv[0]) ...");
    int copy = CHECK(dup(sv[0]));

    return copy;
}

/* MSG_NOSIGNAL: send() returns an error, and SIGPIPE does not come. */
static const char *send_to_nobody(int fd)
{
    return RESULT(send(fd, last_byte, strlen(last_byte), MSG_NOSIGNAL), EPIPE);
}

/* The last byte is sent after close(). The reader's first recv() gets this byte
 * only if close() has not woken the reader. When the reader has ended, main
 * sends once more: is the socket closed now? */
static void close_own_end(void)
{
    int sv[2];
    pthread_t thread = start_reader(sv);

    int closed = CHECK(close(sv[1]));
    say("close(sv[1]) = %d", closed);
    say("send(sv[0], \"%s\") ...", last_byte);
    CHECK(send(sv[0], last_byte, strlen(last_byte), 0));

    CHECK_PTHREAD(pthread_join(thread, NULL));
    const char *result = send_to_nobody(sv[0]);
    say("after pthread_join(): send(sv[0], \"%s\") = %s", last_byte, result);

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
    say("send(copy, \"%s\"), close(copy) ...", last_byte);
    CHECK(send(copy, last_byte, strlen(last_byte), 0));
    CHECK(close(copy));

    CHECK_PTHREAD(pthread_join(thread, NULL));
    CHECK(close(sv[1]));
}

/* As close_own_end(), with another call. */
static void shut_down_own_end(void)
{
    int sv[2];
    pthread_t thread = start_reader(sv);

    say("shutdown(sv[1], SHUT_RD) ...");
    CHECK(shutdown(sv[1], SHUT_RD));
    CHECK_PTHREAD(pthread_join(thread, NULL));
    const char *result = send_to_nobody(sv[0]);
    say("send(sv[0], \"%s\") = %s", last_byte, result);

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
    const char *result = send_to_nobody(copy);
    say("send(copy, \"%s\") = %s", last_byte, result);

    CHECK(close(copy));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Sends the message, and then what send() has not taken of it. */
static void *writer(void *arg)
{
    int fd = *(const int *)arg;

    role("writer");
    say("send(%zu bytes) ...", sizeof(message));
    int n = CHECK(send(fd, message, sizeof(message), MSG_NOSIGNAL));
    if (n == SENT)
        say("send(%zu bytes) = %d", sizeof(message), n);
    else
        say("send(%zu bytes) = another number", sizeof(message));
    say_measured("bytes sent: %d", n);

    size_t rest = sizeof(message) - (size_t)n;
    const char *result =
        RESULT(send(fd, message + n, rest, MSG_NOSIGNAL), EPIPE);
    say("send(the rest) = %s", result);
    return NULL;
}

/* When main has received the first byte, the writer is inside send(), and must
 * stay there: there is no room for the whole message. */
static void shut_down_under_writer(void)
{
    int sv[2];
    char byte[1];
    pthread_t thread;

    open_small_pair(sv);
    CHECK_PTHREAD(pthread_create(&thread, NULL, writer, &sv[1]));

    int n = CHECK(recv(sv[0], byte, sizeof(byte), 0));
    say("recv(sv[0], %zu byte) = %d", sizeof(byte), n);
    say("shutdown(sv[0], SHUT_RD) ...");
    CHECK(shutdown(sv[0], SHUT_RD));

    CHECK_PTHREAD(pthread_join(thread, NULL));
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

enum { WORK = 0, STOP = 1 };    // what the worker waits for

/* The worker looks at stop first. If it looked at work first, it would not stop
 * as long as there is more work. Nobody has shut down the work pair, so the
 * worker can still send "bye" when it stops. */
static void *worker(void *arg)
{
    struct pollfd *ends = arg;

    role("worker");
    for (;;) {
        int n = CHECK(poll(ends, 2, -1));    // -1: as long as it takes
        say("poll() = %d, work[1]: %s, stop[1]: %s", n,
            event_names(ends[WORK].revents), event_names(ends[STOP].revents));

        if (ends[STOP].revents != 0)
            break;
        receive(ends[WORK].fd);
        send_text(ends[WORK].fd, "done");
    }
    send_text(ends[WORK].fd, "bye");
    return NULL;
}

/* No message is sent by the second pair. It makes no difference whether the
 * worker is already inside its second poll() when main calls shutdown(). */
static void stop_polling(void)
{
    int work[2], stop[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, work));
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, stop));
    say("dup(stop[0]) ...");
    int copy = CHECK(dup(stop[0]));
    struct pollfd ends[2] = {
        {.fd = work[1], .events = POLLIN},    // WORK
        {.fd = stop[1], .events = POLLIN}     // STOP
    };
    CHECK_PTHREAD(pthread_create(&thread, NULL, worker, ends));

    send_text(work[0], "dig");
    receive(work[0]);
    say("shutdown(stop[0], SHUT_RDWR) ...");
    CHECK(shutdown(stop[0], SHUT_RDWR));
    receive(work[0]);
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

    step("A thread waits in send(). What does shutdown() do to it?");
    shut_down_under_writer();

    step("A worker waits for two sockets in poll(). How is it told to stop?");
    stop_polling();
}
