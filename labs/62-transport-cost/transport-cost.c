/*
 * 62-transport-cost -- what does it cost to send a message?
 *
 * Two system calls and two copies of the bytes, and on TCP a packet besides.
 * Most of this is paid for each message, and little for each byte. If another
 * process has to wake up for the message, this may cost more than all the rest.
 *
 *     sender   send() --> [ memory of the kernel ] --> recv()   receiver
 *              1st copy     until it is read           2nd copy
 *                 |                                       ^
 *                 +---- wake-up, if the receiver sleeps --+
 *
 * A line that begins with ~ is measured. Its figures are different on each run,
 * and only its words are compared.
 *
 * See unix(7), tcp(7), getrusage(2), sched_setaffinity(2), clock_gettime(2).
 */
#define _GNU_SOURCE    // for sched_setaffinity()
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"
#include "../../common/loopback.h"

enum {
    TURNS = 4,                 // how many turns each side has
    SINGLE = 5,                // so many round trips a turn
    TRIPS = TURNS * SINGLE,    // the most that one side makes
    SMALL = 64,                // sizes of messages, in bytes
    JOINED = 320,              // SINGLE small messages in one
    MEDIUM = 4096,
    LARGE = 65536,
    ROOM = 65536,    // what one recv() can take
};

/* One of the things that a step compares. */
struct side {
    const char *name;
    int family;
    int size;        // of each message
    int per_turn;    // how many round trips it makes in a turn
    int sv[2];
    pid_t child;
    int trips;       // how many round trips were made
    int calls;       // how many times this process called send() or recv()
    int came;        // how many bytes this process received
    int switched;    // in how many trips it left the processor
    double times[TRIPS];    // how long each round trip took
};

static char bytes[LARGE];    // what is sent and received: nobody looks at it

/* socketpair() makes no TCP sockets, so one socket connects to the other. With
 * TCP_NODELAY each send() makes a packet at once. */
static void open_tcp_pair(int sv[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *name = (struct sockaddr *)&address;
    socklen_t length = sizeof(address);
    int on = 1;

    int listener = CHECK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(bind(listener, name, length));    // to a port that the kernel chooses
    CHECK(getsockname(listener, name, &length));
    CHECK(listen(listener, 1));

    sv[0] = CHECK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(connect(sv[0], name, length));
    sv[1] = CHECK(accept(listener, NULL, NULL));
    CHECK(close(listener));

    for (int i = 0; i < 2; i++)
        CHECK(setsockopt(sv[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
}

static void open_pair(struct side *side)
{
    if (side->family == AF_UNIX)
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, side->sv));
    else
        open_tcp_pair(side->sv);
}

static void send_message(struct side *side, int fd)
{
    CHECK(send(fd, bytes, (size_t)side->size, 0));
    side->calls++;
}

/* A stream may bring a message in pieces. */
static void receive_message(struct side *side, int fd)
{
    int left = side->size;

    while (left > 0) {
        int room = left < ROOM ? left : ROOM;
        int n = CHECK(recv(fd, bytes, (size_t)room, 0));

        side->calls++;
        if (n == 0)
            break;    // end of file: the count shows what is missing
        side->came += n;
        left -= n;
    }
}

static double microseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

/* One process plays both ends, so nobody ever waits: this is the cost of the
 * calls alone. */
static void trip_alone(struct side *side)
{
    double start = microseconds();

    send_message(side, side->sv[0]);
    receive_message(side, side->sv[1]);
    send_message(side, side->sv[1]);
    receive_message(side, side->sv[0]);

    side->times[side->trips] = microseconds() - start;
    side->trips++;
}

/* A machine is faster now, and slower a moment later. So the sides take turns:
 * what disturbs one of them disturbs the others, too. */
static void play_alone(struct side *sides, int count)
{
    for (int i = 0; i < count; i++)
        open_pair(&sides[i]);

    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < count; i++) {
            for (int trip = 0; trip < sides[i].per_turn; trip++)
                trip_alone(&sides[i]);
        }
    }

    for (int i = 0; i < count; i++) {
        CHECK(close(sides[i].sv[0]));
        CHECK(close(sides[i].sv[1]));
    }
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    if (left < right)
        return -1;
    if (left > right)
        return 1;
    return 0;
}

/* In order of size, the median is in the middle: half of the trips took longer.
 * Beside the times stands how much was done for them: this is the same on each
 * run. */
static void say_side(struct side *side)
{
    double *times = side->times;
    int trips = side->trips;

    qsort(times, (size_t)trips, sizeof(times[0]), by_size);
    role(side->name);
    say("%d round trips of %d B: %d system calls, %d B came", trips, side->size,
        side->calls, side->came);
    say_measured("one trip: median %.1f us, fastest %.1f us, slowest %.1f us",
                 times[trips / 2], times[0], times[trips - 1]);
}

/* say_side() has sorted the times. */
static double median(const struct side *side)
{
    return side->times[side->trips / 2];
}

static void say_ratio(const struct side *side, const struct side *to)
{
    say_measured("ratio: %.1f times the median of %s, %d B",
                 median(side) / median(to), to->name, to->size);
}

static void compare_transports(void)
{
    struct side sides[] = {
        {.name = "AF_UNIX",
         .family = AF_UNIX,
         .size = SMALL,
         .per_turn = SINGLE},
        {.name = "TCP", .family = AF_INET, .size = SMALL, .per_turn = SINGLE},
    };

    play_alone(sides, 2);
    say_side(&sides[0]);
    say_side(&sides[1]);
    say_ratio(&sides[1], &sides[0]);
}

static void compare_sizes(void)
{
    const int sizes[] = {1, MEDIUM, LARGE};
    struct side sides[3] = {{0}};

    for (int i = 0; i < 3; i++) {
        sides[i].name = "AF_UNIX";
        sides[i].family = AF_UNIX;
        sides[i].size = sizes[i];
        sides[i].per_turn = SINGLE;
    }
    play_alone(sides, 3);
    say_side(&sides[0]);
    for (int i = 1; i < 3; i++) {
        say_side(&sides[i]);
        say_ratio(&sides[i], &sides[i - 1]);
    }
}

/* From here on, this process and its children run on one processor. If there
 * were several, the answer might be there before the parent has fallen asleep,
 * and then nobody has to wake up. See sched_setaffinity(2). */
static void stay_on_one_processor(void)
{
    int processor = CHECK(sched_getcpu());
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    CHECK(sched_setaffinity(0, sizeof(one), &one));
}

/* How often the processor went from this process to another one: because this
 * process fell asleep (ru_nvcsw), or because another process was to run at once
 * (ru_nivcsw). */
static long context_switches(void)
{
    struct rusage usage;

    CHECK(getrusage(RUSAGE_SELF, &usage));
    return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* The child sends back what it receives, until the parent says that this was
 * all. `name` is that of the side to which the child belongs. */
static _Noreturn void answer(int fd, const char *name)
{
    const size_t room = ROOM;
    int calls = 0;
    int n;

    role("child");
    do {
        n = CHECK(recv(fd, bytes, room, 0));
        calls++;
        if (n > 0) {
            CHECK(send(fd, bytes, (size_t)n, 0));
            calls++;
        }
    } while (n > 0);
    say("%s: %d system calls", name, calls);
    _exit(EXIT_SUCCESS);
}

static void open_pair_with_child(struct side *side)
{
    open_pair(side);
    side->child = CHECK(fork());
    if (side->child == 0) {
        CHECK(close(side->sv[0]));
        answer(side->sv[1], side->name);
    }
    CHECK(close(side->sv[1]));
}

/* There is one processor, so the child can answer only while the parent is off
 * the processor. The context switches are counted outside of the time. */
static void trip_with_child(struct side *side)
{
    long before = context_switches();
    double start = microseconds();

    send_message(side, side->sv[0]);
    receive_message(side, side->sv[0]);

    side->times[side->trips] = microseconds() - start;
    side->trips++;
    if (context_switches() > before)
        side->switched++;
}

static void play_with_child(struct side *sides, int count)
{
    for (int i = 0; i < count; i++)
        open_pair_with_child(&sides[i]);

    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < count; i++) {
            for (int trip = 0; trip < sides[i].per_turn; trip++)
                trip_with_child(&sides[i]);
        }
    }
}

/* The second child has a copy of the first one's socket. So close() would be no
 * end of file for the first child, but shutdown() is. */
static void end_child(struct side *side)
{
    CHECK(shutdown(side->sv[0], SHUT_WR));
    reap(side->child);
    CHECK(close(side->sv[0]));

    say_side(side);
    say("round trips with a context switch: %d of %d", side->switched,
        side->trips);
}

static void wake_another_process(void)
{
    struct side sides[] = {
        {.name = "AF_UNIX",
         .family = AF_UNIX,
         .size = SMALL,
         .per_turn = SINGLE},
        {.name = "TCP", .family = AF_INET, .size = SMALL, .per_turn = SINGLE},
    };

    play_with_child(sides, 2);
    end_child(&sides[0]);
    end_child(&sides[1]);
    say_ratio(&sides[1], &sides[0]);
}

/* Both sides carry the same bytes. In a turn, the first side sends five small
 * messages and waits for the answer to each. The second side sends the five
 * joined, as one message. */
static void join_messages(void)
{
    struct side sides[] = {
        {.name = "apart", .family = AF_UNIX, .size = SMALL, .per_turn = SINGLE},
        {.name = "joined", .family = AF_UNIX, .size = JOINED, .per_turn = 1},
    };

    play_with_child(sides, 2);
    end_child(&sides[0]);
    end_child(&sides[1]);
    double apart = median(&sides[0]) * (double)SINGLE;
    say_measured("ratio: one trip joined is %.2f times %d trips apart",
                 median(&sides[1]) / apart, SINGLE);
}

int main(void)
{
    need_loopback();

    step("How long do 64 bytes take, there and back?");
    compare_transports();

    step("How much longer do more bytes take?");
    compare_sizes();

    step("What if another process has to wake up and answer?");
    stay_on_one_processor();
    wake_another_process();

    step("What if five messages are joined into one?");
    join_messages();
}
