/*
 * 16-share-work -- how do several threads share work from one socket?
 *
 * All of them call recv() at the same end, and each message goes to one of
 * them. What poll() or MSG_PEEK saw may be gone a moment later, because another
 * worker has taken it. A stream has no messages, so there a worker holds a lock
 * until it has all bytes of one message. The end is for all, and comes after
 * the last message.
 *
 *                                                         +-- worker
 *     main --- [ sv[0] ] ===== [fill] [dig] --> [ sv[1] ] +-- worker
 *                                                         +-- worker
 *
 * See recv(2), poll(2), shutdown(2), pthread_mutex_lock(3), unix(7).
 */
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { WORKERS = 3, JOBS = 99 };

enum { ROOM = 64 };    // more than any text that is sent here

static const char ready_text[] = "ready";

/* What a worker of steps 1 and 5 has. A job is a message: one number. */
struct worker {
    pthread_t thread;
    int end;            // the same for all workers
    int taken[JOBS];    // how many times this worker has taken each job
};

/* Returns 0 if the end has come. */
static int take_job(struct worker *self)
{
    int job;
    int n = CHECK(recv(self->end, &job, sizeof(job), 0));

    // The number is from main. A number from a stranger must be checked first.
    if (n > 0)
        self->taken[job]++;
    return n;
}

static pthread_barrier_t barrier;

/* Waits until all workers have called this. In one of them, whichever it is,
 * pthread_barrier_wait() returns PTHREAD_BARRIER_SERIAL_THREAD, and in the
 * others 0. check_pthread() is the function behind CHECK_PTHREAD(). */
static void wait_for_all_workers(void)
{
    int result = pthread_barrier_wait(&barrier);

    if (result != PTHREAD_BARRIER_SERIAL_THREAD)
        check_pthread(result, "pthread_barrier_wait()", __FILE__, __LINE__);
}

/* Says that it is ready, and takes jobs until the end comes. Without the wait
 * after the first job, one worker would often take all jobs, before another one
 * has come to its recv(). */
static void *work(void *arg)
{
    struct worker *self = arg;

    role("worker");
    // In step 5 nobody reads this.
    CHECK(send(self->end, ready_text, strlen(ready_text), 0));
    int n = take_job(self);
    wait_for_all_workers();

    while (n > 0)
        n = take_job(self);
    return NULL;
}

static void start_workers(struct worker workers[WORKERS], int end)
{
    CHECK_PTHREAD(pthread_barrier_init(&barrier, NULL, WORKERS));
    for (int i = 0; i < WORKERS; i++) {
        workers[i].end = end;
        CHECK_PTHREAD(
            pthread_create(&workers[i].thread, NULL, work, &workers[i]));
    }
}

static void send_job(int fd, int job)
{
    CHECK(send(fd, &job, sizeof(job), 0));
}

/* How many times all workers together have taken this job. */
static int times_taken(const struct worker workers[WORKERS], int job)
{
    int times = 0;

    for (int i = 0; i < WORKERS; i++)
        times += workers[i].taken[job];
    return times;
}

static int share_of(const struct worker *worker)
{
    int sum = 0;

    for (int job = 0; job < JOBS; job++)
        sum += worker->taken[job];
    return sum;
}

/* Waits until the workers have ended, and says what they have taken. */
static void join_and_count(const struct worker workers[WORKERS])
{
    int once = 0, more = 0, never = 0;

    for (int i = 0; i < WORKERS; i++)
        CHECK_PTHREAD(pthread_join(workers[i].thread, NULL));
    CHECK_PTHREAD(pthread_barrier_destroy(&barrier));

    for (int job = 0; job < JOBS; job++) {
        int times = times_taken(workers, job);
        if (times == 0)
            never++;
        else if (times == 1)
            once++;
        else
            more++;
    }
    say("jobs taken once: %d, more than once: %d, never: %d", once, more,
        never);
    for (int i = 0; i < WORKERS; i++)
        say_measured("jobs taken by worker %d: %d", i + 1,
                     share_of(&workers[i]));
}

/* All workers are ready when main sends the first job. */
static void share_jobs(void)
{
    struct worker workers[WORKERS] = {0};
    char buf[sizeof(ready_text)];
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    start_workers(workers, sv[1]);
    for (int i = 0; i < WORKERS; i++)
        CHECK(recv(sv[0], buf, sizeof(buf), 0));

    say("send() of %d jobs, then shutdown(sv[0], SHUT_WR) ...", JOBS);
    for (int job = 0; job < JOBS; job++)
        send_job(sv[0], job);
    CHECK(shutdown(sv[0], SHUT_WR));

    join_and_count(workers);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* What worker A and worker B have in steps 2 to 4: the end that they share,
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

static void send_text(int fd, const char *text)
{
    say("send(\"%s\") ...", text);
    CHECK(send(fd, text, strlen(text), 0));
}

static void poll_once(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    int ready = CHECK(poll(&polled, 1, -1));    // -1: as long as it takes
    say("poll(POLLIN) = %d", ready);
}

static void receive_if_there(int fd)
{
    char buf[ROOM];

    const char *result =
        RESULT(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(%zu bytes, MSG_DONTWAIT) = %s", sizeof(buf), result);
}

/* A polls, B polls, A receives, B receives. */
static void *poller_a(void *arg)
{
    const struct ends *ends = arg;

    role("worker A");
    poll_once(ends->work);
    pass_turn(ends->turn);

    wait_for_turn(ends->turn);
    receive_if_there(ends->work);
    pass_turn(ends->turn);
    return NULL;
}

static void *poller_b(void *arg)
{
    const struct ends *ends = arg;

    role("worker B");
    wait_for_turn(ends->turn);
    poll_once(ends->work);
    pass_turn(ends->turn);

    wait_for_turn(ends->turn);
    receive_if_there(ends->work);
    return NULL;
}

/* The form of every function that pthread_create() starts. */
typedef void *thread_function(void *arg);

/* Starts worker A and worker B at the same end, and waits for both. */
static void run_two_workers(int end, thread_function *work_a,
                            thread_function *work_b)
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

static void poll_for_one_message(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    send_text(sv[0], "dig");
    run_two_workers(sv[1], poller_a, poller_b);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void receive_bytes(int fd, size_t wanted)
{
    char buf[ROOM];
    int n = CHECK(recv(fd, buf, wanted, 0));

    say("recv(%zu bytes) = %d \"%.*s\"", wanted, n, n, buf);
}

/* A asks how long the next message is, B receives, A receives. */
static void *asker_a(void *arg)
{
    const struct ends *ends = arg;

    role("worker A");
    int length = CHECK(recv(ends->work, NULL, 0, MSG_PEEK | MSG_TRUNC));
    say("recv(0 bytes, MSG_PEEK | MSG_TRUNC) = %d", length);
    pass_turn(ends->turn);

    wait_for_turn(ends->turn);
    receive_bytes(ends->work, (size_t)length);
    receive_if_there(ends->work);    // is something left?
    return NULL;
}

static void *receiver_b(void *arg)
{
    const struct ends *ends = arg;

    role("worker B");
    wait_for_turn(ends->turn);
    receive_bytes(ends->work, ROOM);
    pass_turn(ends->turn);
    return NULL;
}

static void ask_for_length(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    send_text(sv[0], "dig");
    send_text(sv[0], "fill");
    run_two_workers(sv[1], asker_a, receiver_b);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* Two digits for the length, then the text, and so on. */
static const char stream_of_messages[] = "03dig04fill";

/* These digits are the program's own, and were sent in one piece. Those of
 * somebody else must be checked, and may need more than one recv(): lab 5. */
static size_t receive_length(int fd)
{
    char digits[3];
    int n = CHECK(recv(fd, digits, 2, 0));

    say("recv(2 bytes) = %d \"%.*s\"", n, n, digits);
    digits[n] = '\0';
    return strtoul(digits, NULL, 10);    // 0 if they are no number
}

static void receive_text(int fd, size_t length)
{
    char text[ROOM];
    int n = CHECK(recv(fd, text, length, 0));

    say("recv(length) = %d \"%.*s\"", n, n, text);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Takes the lock if it is free, and never waits. True if this thread has got
 * the lock. */
static bool try_lock(void)
{
    int error = pthread_mutex_trylock(&lock);

    if (error == 0)
        say("pthread_mutex_trylock() = 0");
    else
        say("pthread_mutex_trylock() = %s", error_name(error));
    return error == 0;
}

/* The lock for each recv(). Between the two, it is worker B's turn. */
static void *reader_a(void *arg)
{
    const struct ends *ends = arg;

    role("worker A");
    CHECK_PTHREAD(pthread_mutex_lock(&lock));
    size_t length = receive_length(ends->work);
    CHECK_PTHREAD(pthread_mutex_unlock(&lock));

    pass_turn(ends->turn);
    wait_for_turn(ends->turn);

    CHECK_PTHREAD(pthread_mutex_lock(&lock));
    receive_text(ends->work, length);
    CHECK_PTHREAD(pthread_mutex_unlock(&lock));
    return NULL;
}

/* The lock for the whole message. It is worker B's turn at the same place. */
static void *message_reader_a(void *arg)
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

/* Worker B is the same in both runs. If the lock is free, B receives two bytes
 * and gives the turn back. If not, B must give the turn back before it waits
 * for the lock. Otherwise A would wait for its turn, and B for A's lock. */
static void *reader_b(void *arg)
{
    const struct ends *ends = arg;

    role("worker B");
    wait_for_turn(ends->turn);
    if (try_lock()) {
        // B takes these two bytes for a length. "di" is no number, so the
        // length is 0, and B asks for no text.
        receive_length(ends->work);
        CHECK_PTHREAD(pthread_mutex_unlock(&lock));
        pass_turn(ends->turn);
        return NULL;
    }

    say("pthread_mutex_lock() ...");
    pass_turn(ends->turn);
    CHECK_PTHREAD(pthread_mutex_lock(&lock));
    size_t length = receive_length(ends->work);
    receive_text(ends->work, length);
    CHECK_PTHREAD(pthread_mutex_unlock(&lock));
    return NULL;
}

/* Both messages are in the queue before the workers start. */
static void read_stream(thread_function *work_a)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    send_text(sv[0], stream_of_messages);
    run_two_workers(sv[1], work_a, reader_b);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static void try_to_send(int fd, const char *text)
{
    const char *result = RESULT(send(fd, text, strlen(text), 0), EPIPE);

    say("send(\"%s\") = %s", text, result);
}

/* The workers start when everything has been sent, and their end has been shut
 * down. */
static void stop_with_jobs_in_queue(void)
{
    struct worker workers[WORKERS] = {0};
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    say("send() of %d jobs, then shutdown(sv[1], SHUT_RD) ...", JOBS);
    for (int job = 0; job < JOBS; job++)
        send_job(sv[0], job);
    CHECK(shutdown(sv[1], SHUT_RD));
    try_to_send(sv[0], "more");

    say("%d workers start ...", WORKERS);
    start_workers(workers, sv[1]);
    join_and_count(workers);
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

int main(void)
{
    step("Jobs come, and several workers wait. Who takes how many?");
    share_jobs();

    step("Two workers poll for one message. What do they get?");
    poll_for_one_message();

    step("A asks how long the next message is. What does A receive?");
    ask_for_length();

    step("Two workers read one stream with a lock. Who gets which bytes?");
    read_stream(reader_a);
    read_stream(message_reader_a);

    step("Jobs wait when main says that it is the end. Who takes them?");
    stop_with_jobs_in_queue();
}
