/*
 * 15-wake-and-stop -- what wakes a thread that waits at a socket?
 *
 * shutdown() does, and close() does not: a call that has begun keeps what it
 * began with. A message wakes one of many who wait, end of file all of them.
 * So the end of a second pair can tell a thread that polls both to stop.
 *
 *     main  sv[0] <============> sv[1]  reader; or worker, worker, worker
 *     main  work[0] <==========> work[1]  poller
 *     main  stop[0] <==========> stop[1]  the same
 *
 * See shutdown(2), close(2), poll(2), pthread_create(3), unix(7).
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { WORKERS = 3, LONGEST = 20 * WORKERS };    // 20 rounds of messages

/* It asks for one byte more than there is: recv() waits until it comes, or
 * until no more can come. */
static void *reader(void *end)
{
    int fd = *(int *)end;
    char buf[1025];

    role("reader");
    ssize_t n = CHECK(recv(fd, buf, sizeof(buf), MSG_WAITALL));
    say("recv(1025 bytes, MSG_WAITALL) = %zd", n);
    say("recv(MSG_DONTWAIT) = %s",
        RESULT(recv(fd, buf, 1, MSG_DONTWAIT), EBADF));
    return NULL;
}

static void by_shutdown(int end)
{
    say("shutdown(sv[1], SHUT_RDWR), then send(\"!\")");
    CHECK(shutdown(end, SHUT_RDWR));
}

static void by_close(int end)
{
    say("close(sv[1]), then send(\"!\")");
    CHECK(close(end));
}

/* POLLOUT means that three quarters of the send buffer are free. 1024 bytes,
 * with what the kernel adds to them, are more than a quarter of the smallest
 * one there is. So when POLLOUT comes, the reader has taken them: it is inside
 * recv(), and must stay there. */
static void interrupt(void (*act)(int end))
{
    static const char bytes[1024];
    int sv[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)));
    struct pollfd room = {.fd = sv[0], .events = POLLOUT};
    say("send(1024 bytes) = %d", CHECK(send(sv[0], bytes, 1024, 0)));
    say("poll(POLLOUT) = %d, they are queued", CHECK(poll(&room, 1, 0)));
    CHECK_PTHREAD(pthread_create(&thread, NULL, reader, &sv[1]));
    say("poll(POLLOUT) = %d, the reader has them", CHECK(poll(&room, 1, -1)));
    act(sv[1]);    // from here on, the reader may speak
    const char *sent = RESULT(send(sv[0], "!", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_PTHREAD(pthread_join(thread, NULL));
    say("that send() = %s", sent);
    CHECK(close(sv[0]));
    if (act != by_close)
        CHECK(close(sv[1]));
}

/* The length of a message tells which one it is: there is one of each. If one
 * were cut, or joined to another, some length would be there twice. */
struct worker {
    pthread_t thread;
    pthread_barrier_t *round;    // where each waits until all are there
    int end;                     // the same for all
    int taken[LONGEST + 1];      // how many messages of each length
};

/* Round after round, all of them call recv() at the same time. Otherwise one
 * might take all the messages before the next is there. */
static void *worker(void *arg)
{
    struct worker *self = arg;
    char buf[LONGEST];
    ssize_t n;

    role("worker");
    while ((n = CHECK(recv(self->end, buf, sizeof(buf), 0))) > 0) {
        self->taken[n]++;
        pthread_barrier_wait(self->round);
    }
    return NULL;
}

static void add_up(const struct worker workers[WORKERS])
{
    int once = 0, more = 0, bytes = 0;

    for (int n = 1; n <= LONGEST; n++) {
        int times = 0;
        for (int i = 0; i < WORKERS; i++)
            times += workers[i].taken[n];
        once += times == 1;
        more += times > 1;
        bytes += times * n;
    }
    say("taken once: %d, more than once: %d, never: %d", once, more,
        LONGEST - once - more);
    say("bytes sent: %d, taken: %d", LONGEST * (LONGEST + 1) / 2, bytes);
}

static void pool(void)
{
    static const char bytes[LONGEST];
    struct worker workers[WORKERS] = {0};
    pthread_barrier_t round;
    int sv[2];

    CHECK_PTHREAD(pthread_barrier_init(&round, NULL, WORKERS));
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    for (int i = 0; i < WORKERS; i++) {
        workers[i].round = &round;
        workers[i].end = sv[1];
        CHECK_PTHREAD(
            pthread_create(&workers[i].thread, NULL, worker, &workers[i]));
    }
    say("send(): %d messages, of 1 to %d bytes", LONGEST, LONGEST);
    for (size_t n = 1; n <= LONGEST; n++)
        CHECK(send(sv[0], bytes, n, 0));
    say("shutdown(sv[0], SHUT_WR) = %d", CHECK(shutdown(sv[0], SHUT_WR)));
    for (int i = 0; i < WORKERS; i++)
        CHECK_PTHREAD(pthread_join(workers[i].thread, NULL));
    say("pthread_join() = 0, %d times: each read end of file", WORKERS);
    add_up(workers);
    CHECK_PTHREAD(pthread_barrier_destroy(&round));
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void receive(int end)
{
    char buf[64];    // longer than anything that is sent here
    ssize_t n = CHECK(read(end, buf, sizeof(buf)));

    say("read() = %zd \"%.*s\"", n, (int)n, buf);
}

/* It speaks before it writes: the peer's next line can only come after it. */
static void transmit(int end, const char *text)
{
    say("write(\"%s\")", text);
    CHECK(write(end, text, strlen(text)));
}

struct poller {
    int work, stop;    // its ends of the two pairs
};

/* It looks at stop first: there may always be more work. */
static void *poller(void *arg)
{
    const struct poller *self = arg;
    struct pollfd ends[] = {{.fd = self->stop, .events = POLLIN},
                            {.fd = self->work, .events = POLLIN}};
    int n;

    role("poller");
    while ((n = CHECK(poll(ends, 2, -1))) > 0 && ends[0].revents == 0) {
        receive(self->work);
        transmit(self->work, "done");
    }
    say("poll() = %d, stop has POLLHUP: %s", n,
        ends[0].revents & POLLHUP ? "yes" : "no");
    return NULL;
}

/* The first poller waits when it is told to stop. The second one finds work
 * and the order to stop, both at once. */
static void stop_now(void)
{
    int work[2], stop[2];
    pthread_t thread;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, work));
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, stop));
    struct poller ends = {.work = work[1], .stop = stop[1]};
    CHECK_PTHREAD(pthread_create(&thread, NULL, poller, &ends));
    transmit(work[0], "first");
    receive(work[0]);
    say("close(stop[0])");
    CHECK(close(stop[0]));
    CHECK_PTHREAD(pthread_join(thread, NULL));

    transmit(work[0], "second");
    CHECK_PTHREAD(pthread_create(&thread, NULL, poller, &ends));
    CHECK_PTHREAD(pthread_join(thread, NULL));
    CHECK(shutdown(work[0], SHUT_WR));    // if nothing is left, that is the end
    say("left at the poller's end:");
    receive(work[1]);
    CHECK(close(work[0]));
    CHECK(close(work[1]));
    CHECK(close(stop[1]));
}

int main(void)
{
    step("A thread is inside recv(). Does shutdown() wake it?");
    interrupt(by_shutdown);

    step("Does close()?");
    interrupt(by_close);

    step("Three threads wait at one end: who gets what?");
    pool();

    step("A thread polls. How is it told to stop now?");
    stop_now();
}
