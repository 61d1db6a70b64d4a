/*
 * 62-transport-cost -- what does it cost to send a message?
 *
 * Two system calls, two copies of the bytes, and memory while the message
 * waits. TCP makes a packet of it besides. If another process has to wake up
 * for the message, this may cost more than all the rest.
 *
 *     sender   send() --> [ memory of the kernel ] --> recv()   receiver
 *              1st copy     until it is read           2nd copy
 *
 * A line that begins with ~ is measured. Its figures are different on each run,
 * and only its words are compared.
 *
 * See unix(7), tcp(7), socket(7), getrusage(2), clock_gettime(2).
 */
#define _GNU_SOURCE    // for struct tcp_info and sched_setaffinity()
#include <arpa/inet.h>
#include <netinet/in.h>
#ifdef __GLIBC__    // the <netinet/tcp.h> of glibc lacks tcpi_data_segs_out
#include <linux/tcp.h>
#else
#include <netinet/tcp.h>
#endif
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"
#include "../../common/loopback.h"

enum { TRIPS = 20, TURN = 5, SMALL = 64, LARGE = 4096, PARTS = 5, PART = 16 };

/* One of the two things that a step compares. */
struct side {
    int family;
    size_t size;    // of each message
    int sv[2];
    pid_t child;
    int came;               // how many bytes were received
    long switches;          // how many context switches there were
    double times[TRIPS];    // how long each round trip took
};

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

/* From here on, the lines are about this family. */
static void speak_for(int family)
{
    if (family == AF_UNIX)
        role("AF_UNIX");
    else
        role("TCP");
}

static void open_pair(int family, int sv[2])
{
    if (family == AF_UNIX)
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    else
        open_tcp_pair(sv);
}

static void close_pair(const int sv[2])
{
    CHECK(close(sv[0]));
    CHECK(close(sv[1]));
}

static double microseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
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

/* The median is the trip in the middle: half of the trips took longer. Beside
 * the times stands how much arrived. A benchmark that does not count this may
 * measure messages that nobody receives. */
static void say_trips(struct side *side)
{
    double *times = side->times;

    qsort(times, TRIPS, sizeof(times[0]), by_size);
    speak_for(side->family);
    say("%d round trips of %zu B: %d B came", TRIPS, side->size, side->came);
    say_measured("%zu B there and back: median %.1f us, fastest %.1f, "
                 "slowest %.1f",
                 side->size, times[TRIPS / 2], times[0], times[TRIPS - 1]);
}

/* Both have been sorted by say_trips(). */
static void say_ratio(const struct side *above, const struct side *below)
{
    say_measured("this median / the median above = %.1f",
                 below->times[TRIPS / 2] / above->times[TRIPS / 2]);
}

/* One thread plays both ends, so nobody ever waits: this is the cost of the
 * calls alone. */
static void trips_alone(struct side *side, int first)
{
    char buf[LARGE] = "";
    size_t size = side->size;

    for (int i = first; i < first + TURN; i++) {
        double start = microseconds();

        CHECK(send(side->sv[0], buf, size, 0));
        side->came += CHECK(recv(side->sv[1], buf, size, 0));
        CHECK(send(side->sv[1], buf, size, 0));
        side->came += CHECK(recv(side->sv[0], buf, size, 0));

        side->times[i] = microseconds() - start;
    }
}

/* A machine is faster now, and slower a moment later. So the two take turns:
 * what disturbs one of them disturbs the other one, too. */
static void compare_alone(struct side above, struct side below)
{
    open_pair(above.family, above.sv);
    open_pair(below.family, below.sv);

    for (int first = 0; first < TRIPS; first += TURN) {
        trips_alone(&above, first);
        trips_alone(&below, first);
    }
    say_trips(&above);
    say_trips(&below);
    say_ratio(&above, &below);

    close_pair(above.sv);
    close_pair(below.sv);
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

/* The child sends back what it receives. */
static void answer(int fd)
{
    char buf[SMALL];

    for (int i = 0; i < TRIPS; i++) {
        CHECK(recv(fd, buf, SMALL, 0));
        CHECK(send(fd, buf, SMALL, 0));
    }
}

/* The second child also has a copy of the first child's pair. This does no
 * harm, because nobody waits for end of file. */
static void open_pair_with_child(struct side *side)
{
    open_pair(side->family, side->sv);
    side->child = CHECK(fork());
    if (side->child == 0) {
        role("child");
        CHECK(close(side->sv[0]));
        answer(side->sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(side->sv[1]));
}

static void trips_with_child(struct side *side, int first)
{
    char buf[SMALL] = "";
    long before = context_switches();

    for (int i = first; i < first + TURN; i++) {
        double start = microseconds();

        CHECK(send(side->sv[0], buf, SMALL, 0));
        side->came += CHECK(recv(side->sv[0], buf, SMALL, 0));

        side->times[i] = microseconds() - start;
    }
    long after = context_switches();
    side->switches += after - before;
}

static void compare_with_child(struct side above, struct side below)
{
    open_pair_with_child(&above);
    open_pair_with_child(&below);

    for (int first = 0; first < TRIPS; first += TURN) {
        trips_with_child(&above, first);
        trips_with_child(&below, first);
    }
    reap(above.child);
    reap(below.child);
    say_trips(&above);
    say_measured("the parent's context switches: %ld", above.switches);
    say_trips(&below);
    say_measured("the parent's context switches: %ld", below.switches);
    say_ratio(&above, &below);

    CHECK(close(above.sv[0]));
    CHECK(close(below.sv[0]));
}

/* The kernel's memory that messages from this socket take until they are read.
 * On TCP the same request counts something else. See tcp(7), SIOCOUTQ. */
static int memory(int fd)
{
    int bytes;

    CHECK(ioctl(fd, TIOCOUTQ, &bytes));
    return bytes;
}

static void send_apart(int fd)
{
    char part[PART] = "";

    say("send(%d B), %d times ...", PART, PARTS);
    for (int i = 0; i < PARTS; i++)
        CHECK(send(fd, part, PART, 0));
}

static void send_joined(int fd)
{
    char part[PART] = "";
    struct iovec parts[PARTS];

    for (int i = 0; i < PARTS; i++)
        parts[i] = (struct iovec){.iov_base = part, .iov_len = PART};
    say("writev(%d parts of %d B), once ...", PARTS, PART);
    CHECK(writev(fd, parts, PARTS));
}

/* MSG_WAITALL: a TCP packet may still be on its way. */
static int receive_all(int fd)
{
    char buf[PARTS * PART];

    return CHECK(recv(fd, buf, sizeof(buf), MSG_WAITALL));
}

static void say_memory(int bytes, int one, int came)
{
    say_measured("memory of the kernel: %d B", bytes);
    say("memory = %.1f x that of one send(%d B), %d B came",
        (double)bytes / one, PART, came);
}

/* First one message is sent alone, to compare with. */
static void join_on_unix(void)
{
    char part[PART] = "";
    int sv[2];

    speak_for(AF_UNIX);
    open_pair(AF_UNIX, sv);
    CHECK(send(sv[0], part, PART, 0));
    int one = memory(sv[0]);
    CHECK(recv(sv[1], part, PART, 0));

    send_apart(sv[0]);
    int apart = memory(sv[0]);
    int came = receive_all(sv[1]);
    say_memory(apart, one, came);

    send_joined(sv[0]);
    int joined = memory(sv[0]);
    came = receive_all(sv[1]);
    say_memory(joined, one, came);

    close_pair(sv);
}

/* The packets with data that this socket has sent so far. */
static int packets(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);

    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    return (int)info.tcpi_data_segs_out;
}

static void join_on_tcp(void)
{
    int sv[2];

    speak_for(AF_INET);
    open_pair(AF_INET, sv);
    send_apart(sv[0]);
    int apart = packets(sv[0]);
    int came = receive_all(sv[1]);
    say("packets: %d, %d B came", apart, came);

    send_joined(sv[0]);
    int joined = packets(sv[0]) - apart;
    came = receive_all(sv[1]);
    say("packets: %d, %d B came", joined, came);

    close_pair(sv);
}

int main(void)
{
    struct side unix_small = {.family = AF_UNIX, .size = SMALL};
    struct side unix_byte = {.family = AF_UNIX, .size = 1};
    struct side unix_large = {.family = AF_UNIX, .size = LARGE};
    struct side tcp_small = {.family = AF_INET, .size = SMALL};

    need_loopback();

    step("How long do 64 bytes take, there and back?");
    compare_alone(unix_small, tcp_small);

    step("How much longer do 4096 bytes take than one byte?");
    compare_alone(unix_byte, unix_large);

    step("What if another process has to wake up and answer?");
    stay_on_one_processor();
    compare_with_child(unix_small, tcp_small);

    step("What do five small messages cost, and one that joins them?");
    join_on_unix();
    join_on_tcp();
}
