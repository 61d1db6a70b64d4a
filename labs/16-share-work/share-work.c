/*
 * 16-share-work -- how do several threads share work from one socket?
 *
 * All of them call recv() at the same end. Each message goes to exactly one of
 * them, and which one is chance. End of file is for all. poll() tells several
 * of them of a message that only one can get. A stream has no messages, so
 * there a worker needs a lock while it reads all bytes of one message.
 *
 *                                                     +-- worker
 *     main --- [ sv[0] ]  [dig] [fill] -->  [ sv[1] ] +-- worker
 *                                                     +-- worker
 *
 * See recv(2), poll(2), shutdown(2), pthread_mutex_lock(3), unix(7).
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { WORKERS = 3, MESSAGES = 6 };

/* All workers have the same end. */
static void start_workers(pthread_t threads[WORKERS], void *(*work)(void *),
                          void *arg)
{
    for (int i = 0; i < WORKERS; i++)
        CHECK_PTHREAD(pthread_create(&threads[i], NULL, work, arg));
}

static void join_workers(const pthread_t threads[WORKERS])
{
    for (int i = 0; i < WORKERS; i++)
        CHECK_PTHREAD(pthread_join(threads[i], NULL));
}

static void send_text(int fd, const char *text)
{
    say("send(\"%s\") ...", text);
    CHECK(send(fd, text, strlen(text), 0));
}

static int receive(int fd)
{
    char buf[64];    // longer than anything that is sent here
    int n = CHECK(recv(fd, buf, sizeof(buf), 0));

    say("recv() = %d \"%.*s\"", n, n, buf);
    return n;
}

/* Receives once, and answers if it was a message. */
static void *worker(void *end)
{
    int fd = *(int *)end;

    role("worker");
    int n = receive(fd);
    if (n > 0)
        send_text(fd, "done");
    return NULL;
}

/* When the answer has come, one worker is done. The others have one name, so
 * the order of their lines does not matter. */
static void one_message(void)
{
    int sv[2];
    pthread_t threads[WORKERS];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    start_workers(threads, worker, &sv[1]);

    send_text(sv[0], "dig");
    receive(sv[0]);
    say("shutdown(sv[0], SHUT_WR) ...");
    CHECK(shutdown(sv[0], SHUT_WR));

    join_workers(threads);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

struct counter {
    pthread_t thread;
    int fd;                     // the same end for all
    int taken[MESSAGES + 1];    // how many messages of each length
};

/* Takes what it can get, and keeps silent. */
static void *counting_worker(void *arg)
{
    struct counter *self = arg;
    char buf[MESSAGES];

    role("worker");
    for (;;) {
        int n = CHECK(recv(self->fd, buf, sizeof(buf), 0));
        if (n == 0)
            return NULL;
        self->taken[n]++;
    }
}

static void add_up(const struct counter workers[WORKERS])
{
    int once = 0, more = 0, never = 0;

    for (int length = 1; length <= MESSAGES; length++) {
        int times = 0;
        for (int i = 0; i < WORKERS; i++)
            times += workers[i].taken[length];

        if (times == 0)
            never++;
        else if (times == 1)
            once++;
        else
            more++;
    }
    say("taken once: %d, more than once: %d, never: %d", once, more, never);
}

static void say_shares(const struct counter workers[WORKERS])
{
    for (int i = 0; i < WORKERS; i++) {
        int sum = 0;
        for (int length = 1; length <= MESSAGES; length++)
            sum += workers[i].taken[length];
        say_measured("worker %d took %d messages", i + 1, sum);
    }
}

/* There is one message of each length, so its length says which one it is. */
static void many_messages(void)
{
    static const char bytes[MESSAGES];
    struct counter workers[WORKERS] = {0};
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    for (int i = 0; i < WORKERS; i++) {
        workers[i].fd = sv[1];
        CHECK_PTHREAD(pthread_create(&workers[i].thread, NULL, counting_worker,
                                     &workers[i]));
    }

    say("send() of %d messages, then shutdown(sv[0], SHUT_WR) ...", MESSAGES);
    for (size_t length = 1; length <= MESSAGES; length++)
        CHECK(send(sv[0], bytes, length, 0));
    CHECK(shutdown(sv[0], SHUT_WR));
    for (int i = 0; i < WORKERS; i++)
        CHECK_PTHREAD(pthread_join(workers[i].thread, NULL));

    add_up(workers);
    say_shares(workers);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* What worker A and worker B have in steps 3 and 4: the end that they share,
 * and each an end of a second pair, over which they tell each other whose turn
 * it is. So chance has no part in these steps. */
struct ends {
    int work;
    int turn;
};

static void pass_turn(int turn)
{
    CHECK(send(turn, ".", 1, 0));
}

static void wait_for_turn(int turn)
{
    char dot;

    CHECK(recv(turn, &dot, 1, 0));
}

/* Starts worker A and worker B at the same end, and waits for both. */
static void run_two_workers(int end, void *(*work_a)(void *),
                            void *(*work_b)(void *))
{
    int turn[2];
    pthread_t a, b;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, turn));
    struct ends ends_a = {.work = end, .turn = turn[0]};
    struct ends ends_b = {.work = end, .turn = turn[1]};
    CHECK_PTHREAD(pthread_create(&a, NULL, work_a, &ends_a));
    CHECK_PTHREAD(pthread_create(&b, NULL, work_b, &ends_b));

    CHECK_PTHREAD(pthread_join(a, NULL));
    CHECK_PTHREAD(pthread_join(b, NULL));
    CHECK(close(turn[0]));
    CHECK(close(turn[1]));
}

static void look(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    int ready = CHECK(poll(&polled, 1, -1));
    say("poll(POLLIN) = %d", ready);
}

static void take(int fd)
{
    char buf[64];    // longer than the message

    const char *result =
        RESULT(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(MSG_DONTWAIT) = %s", result);
}

/* A polls, B polls, A receives, B receives. */
static void *poller_a(void *arg)
{
    const struct ends *ends = arg;

    role("worker A");
    look(ends->work);
    pass_turn(ends->turn);
    wait_for_turn(ends->turn);
    take(ends->work);
    pass_turn(ends->turn);
    return NULL;
}

static void *poller_b(void *arg)
{
    const struct ends *ends = arg;

    role("worker B");
    wait_for_turn(ends->turn);
    look(ends->work);
    pass_turn(ends->turn);
    wait_for_turn(ends->turn);
    take(ends->work);
    return NULL;
}

static void poll_for_one_message(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    send_text(sv[0], "dig");
    run_two_workers(sv[1], poller_a, poller_b);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Two digits for the length, then the text, and so on. */
static const char stream_of_messages[] = "03dig04fill";

static int receive_bytes(int fd, char *buf, size_t wanted)
{
    int n = CHECK(recv(fd, buf, wanted, 0));

    say("recv(%zu bytes) = %d \"%.*s\"", wanted, n, n, buf);
    return n;
}

/* These digits are the program's own. A length from somebody else must be
 * checked first: see lab 5. */
static size_t receive_length(int fd)
{
    char digits[3];
    int n = receive_bytes(fd, digits, 2);

    digits[n] = '\0';
    return strtoul(digits, NULL, 10);
}

static void receive_text(int fd, size_t length)
{
    char text[100];

    receive_bytes(fd, text, length);
}

/* Between the length and the text, it is worker B's turn. */
static void *reader_a(void *arg)
{
    const struct ends *ends = arg;

    role("worker A");
    size_t length = receive_length(ends->work);
    pass_turn(ends->turn);
    wait_for_turn(ends->turn);
    receive_text(ends->work, length);
    return NULL;
}

static void *reader_b(void *arg)
{
    const struct ends *ends = arg;

    role("worker B");
    wait_for_turn(ends->turn);
    receive_length(ends->work);
    pass_turn(ends->turn);
    return NULL;
}

/* The lock of whoever reads a message. Only step 4 uses it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* As reader_a(). But it keeps the lock until it has the whole message. */
static void *locking_a(void *arg)
{
    const struct ends *ends = arg;

    role("worker A");
    CHECK_PTHREAD(pthread_mutex_lock(&lock));
    size_t length = receive_length(ends->work);
    pass_turn(ends->turn);
    wait_for_turn(ends->turn);
    receive_text(ends->work, length);
    CHECK_PTHREAD(pthread_mutex_unlock(&lock));
    return NULL;
}

/* It comes between the length and the text, and has to wait for the lock. */
static void *locking_b(void *arg)
{
    const struct ends *ends = arg;

    role("worker B");
    wait_for_turn(ends->turn);
    say("pthread_mutex_lock() ...");
    pass_turn(ends->turn);
    CHECK_PTHREAD(pthread_mutex_lock(&lock));
    size_t length = receive_length(ends->work);
    receive_text(ends->work, length);
    CHECK_PTHREAD(pthread_mutex_unlock(&lock));
    return NULL;
}

/* Both messages are in the queue before the workers start. */
static void read_stream(void *(*work_a)(void *), void *(*work_b)(void *))
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    send_text(sv[0], stream_of_messages);
    run_two_workers(sv[1], work_a, work_b);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* As one_message(), but this type has no end of file. The workers' own end is
 * shut down. */
static void stop_without_end_of_file(void)
{
    int sv[2];
    pthread_t threads[WORKERS];

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    start_workers(threads, worker, &sv[1]);

    send_text(sv[0], "stop");
    receive(sv[0]);
    say("shutdown(sv[1], SHUT_RD) ...");
    CHECK(shutdown(sv[1], SHUT_RD));

    join_workers(threads);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

int main(void)
{
    step("One message comes, then the end. Who receives what?");
    one_message();

    step("More messages come. Who takes how many?");
    many_messages();

    step("Two workers poll for one message. What do they get?");
    poll_for_one_message();

    step("Two workers read one stream. Who gets which bytes?");
    read_stream(reader_a, reader_b);
    read_stream(locking_a, locking_b);

    step("A datagram pair has no end of file. What stops all workers?");
    stop_without_end_of_file();
}
