/*
 * 63-benchmark-lies -- how does a benchmark lie?
 *
 * Each time is right, and the figure is wrong all the same. The clock stops too
 * early, or it runs while nothing is done, or the two sides do not do the same,
 * or one sample decides, or the figures are rounded on the way. A count beside
 * the time shows it.
 *
 *     time     of which work?
 *     ------                     =  a figure that looks good
 *     number   of what?
 *
 * A line that begins with ~ is measured. Its figures are different on each run,
 * and only its words are compared.
 *
 * See unix(7), recv(2), ioctl_tty(2) for FIONREAD, clock_gettime(2).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    MESSAGES = 20,
    SIZE = 64,                // of each message, in bytes
    ALL = MESSAGES * SIZE,    // bytes of all messages
    LOOPS = 100,              // of the client in step 2
    ANSWERS = 3,              // after so many, the server of step 2 ends
    ROUNDS = 5,               // of each reader in step 3
};

static long long nanoseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long since(long long start)
{
    return nanoseconds() - start;
}

/* Not left - right: qsort() wants an int, and the difference of two times need
 * not fit in one. */
static int by_size(const void *a, const void *b)
{
    long long left = *(const long long *)a;
    long long right = *(const long long *)b;

    if (left < right)
        return -1;
    if (left > right)
        return 1;
    return 0;
}

/* Puts the times in order. Then the median is in the middle. */
static long long median(long long *times, size_t count)
{
    qsort(times, count, sizeof(times[0]), by_size);
    return times[count / 2];
}

/* Nobody reads meanwhile, so all messages must find room in the queue. */
static int send_all(int fd)
{
    char message[SIZE] = "";
    int sent = 0;

    for (int i = 0; i < MESSAGES; i++)
        sent += CHECK(send(fd, message, SIZE, 0));
    return sent;
}

struct reading {
    int calls;    // of recv()
    int bytes;
    long long time;
};

/* Receives all messages. Each recv() can take this many bytes. */
static struct reading receive_all(int fd, size_t room)
{
    struct reading reading = {0};
    char buf[ALL];
    long long start = nanoseconds();

    while (reading.bytes < ALL) {
        int n = CHECK(recv(fd, buf, room, 0));
        reading.calls++;
        if (n == 0)
            break;    // end of file: the count shows what is missing
        reading.bytes += n;
    }
    reading.time = since(start);
    return reading;
}

/* How many bytes are in the queue of this stream and can be received. */
static int bytes_in_queue(int fd)
{
    int bytes;

    CHECK(ioctl(fd, FIONREAD, &bytes));
    return bytes;
}

static void say_moment(const char *name, int sent, int waiting, int received)
{
    role(name);
    say("sent: %d B, in the queue: %d B, received: %d B", sent, waiting,
        received);
}

/* One process plays both ends. It looks at the clock when the last send() has
 * returned, and again when the last byte has been received. */
static void stop_too_early(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));

    long long start = nanoseconds();
    int sent = send_all(sv[0]);
    long long early = since(start);
    int waiting = bytes_in_queue(sv[1]);
    say_moment("early", sent, waiting, 0);    // no recv() has been called
    say_measured("time until now: %.1f us", (double)early / 1e3);

    struct reading reading = receive_all(sv[1], ALL);
    long long late = early + reading.time;    // without the lines in between
    waiting = bytes_in_queue(sv[1]);
    say_moment("late", sent, waiting, reading.bytes);
    say_measured("time until now: %.1f us", (double)late / 1e3);
    say_measured("ratio: %.1f times the time of early",
                 (double)late / (double)early);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

/* The server says by a dot that it has started. It takes one message more than
 * it answers, and ends. So there is no message in its queue when it closes the
 * socket. */
static _Noreturn void run_server(int to_client)
{
    char message[SIZE];
    int answers = 0;

    role("server");
    CHECK(send(to_client, ".", 1, 0));
    int n = CHECK(recv(to_client, message, SIZE, 0));
    while (n > 0 && answers < ANSWERS) {
        CHECK(send(to_client, message, (size_t)n, 0));
        answers++;
        n = CHECK(recv(to_client, message, SIZE, 0));
    }
    CHECK(close(to_client));
    say("answers: %d", answers);
    _exit(EXIT_SUCCESS);
}

struct trip {
    int sent;    // what send() returned
    int came;    // what recv() returned
    long long time;
};

/* MSG_NOSIGNAL: if the server is gone, there is only an error. The client of
 * this step does not look at the results. They are kept for say_trips(). */
static struct trip ask(int to_server)
{
    struct trip trip;
    char message[SIZE] = "";
    long long start = nanoseconds();

    trip.sent = (int)send(to_server, message, SIZE, MSG_NOSIGNAL);
    if (trip.sent == -1 && errno != EPIPE)    // nothing else may happen here
        check(trip.sent, "send(to_server)", __FILE__, __LINE__);
    trip.came = CHECK(recv(to_server, message, SIZE, 0));

    trip.time = since(start);
    return trip;
}

static int is_answered(const struct trip *trip)
{
    return trip->came == SIZE;
}

/* The same trips, counted in two ways: how many times the loop went round, and
 * how many answers came. */
static void say_trips(const struct trip *trips)
{
    int sent = 0;
    int answers = 0;
    double of_answers = 0;
    double of_loops = 0;

    for (int i = 0; i < LOOPS; i++) {
        if (trips[i].sent == SIZE)
            sent++;
        if (is_answered(&trips[i])) {
            answers++;
            of_answers += (double)trips[i].time;
        }
        of_loops += (double)trips[i].time;
    }
    double by_loops = of_loops / (double)LOOPS;
    double by_answers = of_answers / answers;

    say("loops: %d, sent: %d messages, -1 EPIPE: %d times", LOOPS, sent,
        LOOPS - sent);
    say("loops: %d, answers of %d B: %d", LOOPS, SIZE, answers);
    say("recv(to_server) = %d, the last time", trips[LOOPS - 1].came);
    say_measured("by loops: %.1f us for a round trip", by_loops / 1e3);
    say_measured("by answers: %.1f us for a round trip", by_answers / 1e3);
    say_measured("ratio: %.2f times the time by answers",
                 by_loops / by_answers);
}

/* The client's loop goes on whatever the results are. It begins when the server
 * has started: otherwise the first trip would take the time of the start,
 * too. */
static void ask_a_dead_server(void)
{
    int sv[2];
    char dot;
    struct trip trips[LOOPS];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t server = CHECK(fork());
    if (server == 0) {
        CHECK(close(sv[0]));
        run_server(sv[1]);
    }
    role("client");
    CHECK(close(sv[1]));
    CHECK(recv(sv[0], &dot, 1, 0));    // the server is there

    for (int i = 0; i < LOOPS; i++)
        trips[i] = ask(sv[0]);
    reap(server);
    say_trips(trips);

    CHECK(close(sv[0]));
}

/* All messages are in the queue before the first recv(). */
static struct reading read_queue(int type, size_t room)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    send_all(sv[0]);
    struct reading reading = receive_all(sv[1], room);

    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
    return reading;
}

static void say_reading(const char *name, size_t room, struct reading reading)
{
    role(name);
    say("calls of recv(%zu bytes): %d, received: %d B", room, reading.calls,
        reading.bytes);
}

/* The two take turns. The counts are those of the last round. */
static void compare_readers(size_t room)
{
    struct reading stream = {0};
    struct reading packets = {0};
    long long stream_times[ROUNDS];
    long long packet_times[ROUNDS];

    for (int round = 0; round < ROUNDS; round++) {
        stream = read_queue(SOCK_STREAM, room);
        stream_times[round] = stream.time;
        packets = read_queue(SOCK_SEQPACKET, room);
        packet_times[round] = packets.time;
    }
    say_reading("stream", room, stream);
    say_reading("packets", room, packets);
    say_measured("ratio: %.1f times the time of stream",
                 (double)median(packet_times, ROUNDS) /
                     (double)median(stream_times, ROUNDS));
}

/* First both readers have room for everything, and do not do the same. Then
 * both do the same: they receive one message after the other. */
static void compare_unequals(void)
{
    compare_readers(ALL);
    compare_readers(SIZE);
}

/* Round trips of 64 bytes in nanoseconds, as step 3 of lab 62 once measured
 * them in one run on a busy machine. Nothing is left out. */
static const long long unix_samples[MESSAGES] = {
    52428, 10005, 9654, 9664, 9685, 12118, 11657, 11427, 2576054, 11286,
    10936, 9625,  9614, 9584, 9604, 11136, 9635,  9554,  9584,    9564,
};
static const long long tcp_samples[MESSAGES] = {
    27140, 16334, 15333, 15153, 14130, 19419, 15233, 16504, 15173, 15142,
    16765, 15223, 15102, 15844, 15062, 16645, 15162, 15233, 15092, 15072,
};

static void say_samples(const char *name, const long long *samples, int count)
{
    long long sorted[MESSAGES];
    int slower = 0;
    long long sum = 0;

    for (int i = 0; i < count; i++) {
        sorted[i] = samples[i];
        sum += samples[i];
    }
    long long mean = sum / count;
    for (int i = 0; i < count; i++) {
        if (samples[i] > mean)
            slower++;
    }
    long long middle = median(sorted, (size_t)count);

    role(name);
    say("trips: %d, mean: %lld ns, median: %lld ns", count, mean, middle);
    say("slowest: %lld ns, trips slower than the mean: %d", sorted[count - 1],
        slower);
}

static void take_the_mean(void)
{
    say_samples("AF_UNIX", unix_samples, MESSAGES);
    say_samples("TCP", tcp_samples, MESSAGES);
}

/* The seconds of a clock at the first call, and how long each call takes. */
enum { SINCE_1970 = 1767225600, SINCE_START = 86400, TOOK = 300 };

/* Call number i begins some milliseconds after the second has begun. */
static struct timespec begin_of(int i, int second)
{
    return (struct timespec){.tv_sec = second, .tv_nsec = i * 1234567L};
}

/* A time of the clock as one number, as many languages have it. */
static double in_seconds(struct timespec time)
{
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The clock itself is right: the end of each call is 300 ns after its begin.
 * The seconds and the nanoseconds are subtracted apart, as whole numbers. The
 * difference is small, so it loses nothing when it becomes a double. */
static void subtract_integers(int second, double *took)
{
    for (int i = 0; i < MESSAGES; i++) {
        struct timespec begin = begin_of(i, second);
        struct timespec end = begin;

        end.tv_nsec += TOOK;
        long long seconds = end.tv_sec - begin.tv_sec;
        long long rest = end.tv_nsec - begin.tv_nsec;
        took[i] = (double)(seconds * 1000000000LL + rest);
    }
}

/* The same calls, but first each time becomes one number. */
static void subtract_doubles(int second, double *took)
{
    for (int i = 0; i < MESSAGES; i++) {
        struct timespec begin = begin_of(i, second);
        struct timespec end = begin;

        end.tv_nsec += TOOK;
        double first = in_seconds(begin);
        double last = in_seconds(end);
        took[i] = (last - first) * 1e9;
    }
}

static void say_took(const char *name, int second, const double *took)
{
    double fastest = took[0];
    double slowest = took[0];

    for (int i = 1; i < MESSAGES; i++) {
        if (took[i] < fastest)
            fastest = took[i];
        if (took[i] > slowest)
            slowest = took[i];
    }
    role(name);
    say("clock at %d s: fastest %.0f ns, slowest %.0f ns", second, fastest,
        slowest);
}

static void subtract_times(void)
{
    double took[MESSAGES];

    subtract_integers(SINCE_1970, took);
    say_took("integers", SINCE_1970, took);
    subtract_doubles(SINCE_1970, took);
    say_took("double", SINCE_1970, took);
    subtract_doubles(SINCE_START, took);
    say_took("double", SINCE_START, took);
}

int main(void)
{
    step("The clock stops after the last send(). What has it measured?");
    stop_too_early();

    step("The server dies after three answers. How fast is it?");
    ask_a_dead_server();

    step("Is SEQPACKET slower than a stream?");
    compare_unequals();

    step("One trip of twenty was disturbed. Which side is faster?");
    take_the_mean();

    step("Each call takes 300 ns. How long does it take as a double?");
    subtract_times();
}
