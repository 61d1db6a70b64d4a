/*
 * 15-transport-cost -- what does it cost to send a message?
 *
 * That depends on its size, and on who plays the other end: the same thread,
 * another process, another core. Without arguments this shows what holds on
 * any machine, with one thread. With arguments it measures, for 'make bench'.
 *
 *     end 0  out[0] ----> in[1]  end 1    self: one thread plays both ends
 *             in[0] <---- out[1]          same, cross: end 1 is a process of
 *                                         its own, on the same core or not
 *
 * See unix(7), tcp(7), udp(7), pipe(7), sched_setaffinity(2), clock_gettime(2).
 */
#define _GNU_SOURCE    // for sched_setaffinity and syscall
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    MOST = 1 << 20,       // bytes of a message
    PIECE = 64 << 10,     // what any stream has room for, and a reader offers
    BATCH = 16,           // messages that one thread writes before it reads
    SAMPLES = 1 << 16,    // round trips timed one by one, at most
    DATAGRAMS = 1000,
    SLICES = 10,    // of a verdict
    TRIPS = 4       // of 64 bytes: too short to be interrupted often
};

enum kind { SOCKETS, PIPES, EVENTFDS, SPIN, MEMCPY, SYSCALL, CLOCK };

enum { STREAM, SEQPACKET, DGRAM, TCP, UDP, PIPE };

static const struct transport {
    const char *name;
    enum kind kind;
    int family, type;
} transports[] = {
    {"unix-stream", SOCKETS, AF_UNIX, SOCK_STREAM},
    {"unix-seqpacket", SOCKETS, AF_UNIX, SOCK_SEQPACKET},
    {"unix-dgram", SOCKETS, AF_UNIX, SOCK_DGRAM},
    {"tcp", SOCKETS, AF_INET, SOCK_STREAM},
    {"udp", SOCKETS, AF_INET, SOCK_DGRAM},
    {"pipe", PIPES, 0, SOCK_STREAM},
    {"eventfd", EVENTFDS, 0, 0},    // from here on no transports, but floors:
    {"spin", SPIN, 0, 0},           // what these cost, they cannot be below
    {"memcpy", MEMCPY, 0, 0},
    {"syscall", SYSCALL, 0, 0},
    {"clock", CLOCK, 0, 0},
};

struct link {
    const struct transport *is;
    int in[2], out[2];    // by end
    int peer_cpu;         // of the process that plays end 1, or -1: no other
    size_t size;          // of a message, or of a piece of it, where one thread
    long pieces;          // could not write all before it reads
    long batch, count;    // messages written before one is read; in a slice
    bool one_way;
    int send_buffer;
};

/* What two processes share: the flags of spin, in cache lines of their own;
 * when end 1 had how many messages; what each end writes, and reads into. */
static struct shared {
    struct {
        _Alignas(128) _Atomic long turn;
    } flag[2];
    int64_t when, received;
    atomic_bool done;
    _Alignas(4096) char buf[2][MOST];
} * shared;

/* Touched, lest the first slice pay for the pages. */
static void share(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap", __FILE__, __LINE__);
    memset(shared, 1, sizeof(*shared));
}

static int64_t now(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t));
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

static void inet_pair(int type, int sv[2])
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *any = (struct sockaddr *)&addr;
    socklen_t len = sizeof(addr);
    int server = CHECK(socket(AF_INET, type, 0)), on = 1;

    CHECK(bind(server, any, len));    // port 0: it chooses one
    CHECK(getsockname(server, any, &len));
    if (type == SOCK_STREAM)
        CHECK(listen(server, 1));
    sv[0] = CHECK(socket(AF_INET, type, 0));
    CHECK(connect(sv[0], any, len));
    if (type == SOCK_DGRAM) {
        sv[1] = server;
        CHECK(getsockname(sv[0], any, &len));
        CHECK(connect(sv[1], any, len));
        return;
    }
    sv[1] = CHECK(accept(server, NULL, NULL));
    CHECK(close(server));
    for (int i = 0; i < 2; i++)
        CHECK(setsockopt(sv[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
}

/* An AF_UNIX message with boundaries must fit into SO_SNDBUF, and with it 32
 * bytes of the kernel's own. Only where it does not is that made larger. */
static int send_buffer(const struct transport *it, int s, size_t size)
{
    bool message = it->family == AF_UNIX && it->type != SOCK_STREAM;
    int has, wanted = message ? (int)size + 32 : 0;
    socklen_t len = sizeof(has);

    CHECK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &has, &len));
    if (has < wanted) {
        CHECK(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &wanted, len));
        CHECK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &has, &len));
    }
    return has < wanted ? -1 : has;
}

static struct link opened(const struct transport *it, size_t size, int cpu)
{
    struct link l = {it, .peer_cpu = cpu, .size = size, 1, 1, 1};
    int pair[2], sv[2];

    if (it->kind == SOCKETS && it->family == AF_INET)
        inet_pair(it->type, sv);
    else if (it->kind == SOCKETS)
        CHECK(socketpair(it->family, it->type, 0, sv));
    for (int end = 0; end < 2 && it->kind <= EVENTFDS; end++) {
        if (it->kind == SOCKETS)
            l.send_buffer = send_buffer(it, sv[end], size);
        if (it->kind == PIPES)
            CHECK(pipe(pair));
        else
            pair[0] = it->kind == SOCKETS ? sv[end] : CHECK(eventfd(0, 0));
        l.in[end] = pair[0];
        l.out[1 - end] = it->kind == PIPES ? pair[1] : pair[0];
    }
    if (it->kind == SOCKETS)
        memcpy(l.out, l.in, sizeof(l.out));    // each reads and writes
    if (cpu < 0 && it->type == SOCK_STREAM && size > PIECE) {
        l.size = PIECE;
        l.pieces = (long)(size / PIECE);
    } else if (cpu < 0 && size < PIECE) {
        l.batch = PIECE / size < BATCH ? (long)(PIECE / size) : BATCH;
    }
    return l;
}

static void closed(const struct link *l)
{
    for (int end = 0; end < 2; end++) {
        CHECK(close(l->in[end]));
        if (l->is->kind == PIPES)
            CHECK(close(l->out[end]));
    }
}

/* A call and its tests, four times a round trip, would be 5 % of a pipe's. */
#define IN_LOOP __attribute__((always_inline))

static inline IN_LOOP void put(const struct link *l, int end)
{
    /* Through a pointer, or the compiler would leave out a copy in vain. */
    static void *(*volatile copy)(void *, const void *, size_t) = memcpy;

    if (l->is->kind <= EVENTFDS)
        CHECK(write(l->out[end], shared->buf[end], l->size));
    else if (l->is->kind == SPIN)
        shared->flag[end].turn++;
    else if (l->is->kind == MEMCPY)
        copy(shared->buf[1 - end], shared->buf[end], l->size);
    else if (end == 0 && l->is->kind == SYSCALL)
        CHECK(syscall(SYS_getppid));
    else if (end == 0)
        now();
}

/* Reads so many messages; of fewer, if an empty one comes first. A stream may
 * deliver several at once, or a part. */
static inline IN_LOOP long take(const struct link *l, int end, long count)
{
    bool stream = l->is->type == SOCK_STREAM;
    size_t unit = stream ? l->size : 1, wanted = unit * (size_t)count, got = 0;
    size_t room = l->size < PIECE ? PIECE : l->size;

    if (l->is->kind > EVENTFDS) {
        while (l->is->kind == SPIN &&
               (shared->flag[0].turn == shared->flag[1].turn) == (end == 1))
            continue;
        return count;
    }
    while (got < wanted) {
        size_t at =
            count == 1 ? got : 0;    // only of one is the rest looked at
        ssize_t n = CHECK(read(l->in[end], shared->buf[end] + at, room - at));
        if (n == 0)
            break;
        got += stream ? (size_t)n : 1;
    }
    return got == wanted ? count : (long)(got / unit);
}

/* The timed loops. One thread plays both ends, or each process one of them. */
static void trips(const struct link *l, int end, long count)
{
    for (; count > 0; count--) {
        if (end == 0)
            put(l, 0);
        if (end == 1 || l->peer_cpu < 0) {
            take(l, 1, 1);
            put(l, 1);
        }
        if (end == 0)
            take(l, 0, 1);
    }
}

static void one_way(const struct link *l, long count)
{
    for (; count > 0; count -= l->batch) {
        for (long i = 0; i < l->batch; i++)
            put(l, 0);
        if (l->peer_cpu < 0)
            take(l, 1, l->batch);
    }
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set));
}

/* End 1, in a process of its own. The first round trip tells each that the
 * other is ready. An empty message before it was late, for the slice before. */
static void peer(const struct link *l, long count)
{
    role("peer");
    pin(l->peer_cpu);
    memset(shared->buf[1], 1, l->size < PIECE ? PIECE : l->size);    // touched
    while (take(l, 1, 1) == 0)
        continue;
    put(l, 1);
    if (l->one_way)
        shared->received = take(l, 1, count);
    else
        trips(l, 1, count);
    shared->when = now();
    shared->done = true;
    _exit(EXIT_SUCCESS);
}

/* The clock stops when the receiver has all. There may be room for samples:
 * then each trip is timed by itself, with one reading of the clock. */
static int64_t measured(const struct link *l, long count, int64_t *sample)
{
    bool udp = l->is->family == AF_INET && l->is->type == SOCK_DGRAM;
    pid_t child = 0;

    shared->done = false;
    shared->received = count;
    if (l->peer_cpu >= 0) {
        while (udp && recv(l->in[1], shared->buf[1], 1, MSG_DONTWAIT) == 0)
            continue;    // the empty ones that end 1 did not need
        child = CHECK(fork());
        if (child == 0)
            peer(l, count);
        trips(l, 0, 1);
    }
    int64_t start = now(), before = start;
    if (l->one_way)
        one_way(l, count * l->pieces);
    else if (sample == NULL)
        trips(l, 0, count * l->pieces);
    for (long i = 0; sample != NULL && i < count; i++, before = shared->when) {
        trips(l, 0, l->pieces);
        shared->when = now();
        sample[i] = shared->when - before;
    }
    int64_t end = now();
    while (child != 0 && l->one_way && udp && !shared->done) {
        CHECK(write(l->out[0], "", 0));    // the last may be lost, and so this
        sched_yield();
    }
    if (child != 0)
        reap(child);
    return (child != 0 && l->one_way ? shared->when : end) - start;
}

/* One message, of bytes that differ. Is its checksum the same at the end? */
static bool arrives(const struct link *l)
{
    unsigned sent = 0, came = 0;

    for (size_t i = 0; i < l->size; i++) {
        shared->buf[0][i] = (char)(i * 2654435761 >> 13 | 1);
        sent = 31 * sent + (unsigned char)shared->buf[0][i];
    }
    memset(shared->buf[1], 0, l->size);
    measured(l, 1, NULL);
    for (size_t i = 0; i < l->size; i++)
        came = 31 * came + (unsigned char)shared->buf[1][i];
    return came == sent;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* A row of the file that scripts/bench.sh makes. */
static void row(const struct link *l, char *argv[], int slice)
{
    static int64_t at[SAMPLES];
    int64_t ns = measured(l, l->count, NULL);
    long n = l->count / 3 < SAMPLES ? l->count / 3 + 1 : SAMPLES;

    printf("%s,%s,%s,%d,%d,%ld,%jd,%jd", argv[1], argv[2], l->is->name,
           l->send_buffer, slice, l->count, shared->received, ns);
    if (!l->one_way) {
        measured(l, n, at);
        qsort(at, (size_t)n, sizeof(at[0]), by_value);
        printf(",%jd,%jd,%jd,%jd", at[n / 2], at[n * 99 / 100],
               at[n * 999 / 1000], at[n - 1]);
    }
    printf("\n");
}

/* So many that they take so long. Twice, because the first may have met with
 * some other process. */
static void calibrate(struct link *l, double ns)
{
    double taken = 0;

    for (l->count = l->batch; taken < ns / 8; l->count *= 2)
        if ((double)measured(l, l->count, NULL) >= ns / 8)
            taken = (double)measured(l, l->count, NULL);
    l->count = (long)((double)l->count / 2 * ns / taken);
    l->count += l->batch - l->count % l->batch;
}

/* Called by scripts/bench.sh with
 * PLACE SIZE METRIC SLICES MILLISECONDS CPU PEER'S-CPU TRANSPORT... */
static int measure(int argc, char *argv[])
{
    bool self = strcmp(argv[1], "self") == 0;
    struct link links[ARRAY_LEN(transports)], *end = links;
    size_t size = strtoul(argv[2], NULL, 10);

    lab_process = getpid();    // or a peer that fails would not end this one
    pin(atoi(argv[6]));
    for (int i = 8; i < argc; i++) {
        const struct transport *it = transports;
        while (strcmp(it->name, argv[i]) != 0)
            it++;
        *end = opened(it, size, self ? -1 : atoi(argv[7]));
        end->one_way = strcmp(argv[3], "one-way") == 0;
        if (end->send_buffer == -1)
            continue;    // it may not have so much
        if (it->kind <= EVENTFDS && !arrives(end)) {
            fprintf(stderr, "%s: other bytes came than were sent\n", it->name);
            return EXIT_FAILURE;
        }
        calibrate(end++, atof(argv[5]) * 1e6);
    }
    for (int slice = 1; slice <= atoi(argv[4]); slice++)    // they take turns
        for (const struct link *l = links; l < end; l++)
            row(l, argv, slice);
    return EXIT_SUCCESS;
}

/* The fastest of five: what comes between one of them does not count. */
static int64_t fastest(const struct link *l, long count)
{
    int64_t best = INT64_MAX;

    for (int i = 0; i < 5; i++) {
        int64_t ns = measured(l, count, NULL);
        best = ns < best ? ns : best;
    }
    return best;
}

/* Does a round trip cost less than so much of TCP's? It does, if so in nine of
 * ten slices, in turn. Where it is not clear, it tries up to three times. */
static void below(double part, const struct transport *it, size_t size)
{
    struct link l = opened(it, size, -1);
    struct link tcp = opened(&transports[TCP], size, -1);
    int held = SLICES / 2;
    long n = size == 64 ? TRIPS : 1;

    for (int turn = 0; turn < 3 && held > 1 && held < SLICES - 1; turn++) {
        held = 0;
        for (int i = -1; i < SLICES; i++) {    // the first is to warm up
            int64_t ns = fastest(&l, n);
            int64_t limit = (int64_t)(part * (double)fastest(&tcp, n));
            held += i >= 0 && ns < limit;
        }
    }
    say("%s, %zu bytes: %s", it->name, size,
        held < 2            ? "no"
        : held < SLICES - 1 ? "not clear"
                            : "yes");
    closed(&l);
    closed(&tcp);
}

/* A reader that comes now and then. The buffer is the smallest there is. */
static void lost(const struct transport *it)
{
    struct mmsghdr some[DATAGRAMS] = {0};    // each of no bytes
    struct link l = opened(it, 1, -1);
    int sent = 0, got = 0, tiny = 1;

    CHECK(setsockopt(l.in[1], SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)));
    while (sent < DATAGRAMS) {
        unsigned n = (unsigned)(DATAGRAMS - sent);
        sent += CHECK(sendmmsg(l.out[0], some, n, MSG_DONTWAIT));
        got += CHECK(recvmmsg(l.in[1], some, n, MSG_WAITFORONE, NULL));
    }
    say("%s: %d written, as many read: %s", it->name, sent,
        got == sent ? "yes" : "no");
    closed(&l);
}

static void sums(const struct transport *it)
{
    bool agree = true;

    for (size_t size = 1; size <= PIECE / 4; size *= 4) {
        struct link l = opened(it, size, -1);
        agree = arrives(&l) && agree;
        closed(&l);
    }
    say("%s, 1 byte to 16 KiB: %s", it->name, agree ? "yes" : "no");
}

static void clock_of(const struct transport *it)
{
    struct link l = opened(it, PIECE, -1);
    int even = 0, early = 0;

    for (int i = 0; i < 100; i++) {
        int64_t start = now();
        put(&l, 0);
        int64_t written = now() - start;
        take(&l, 1, 1);
        int64_t taken = now() - start;
        even += written % 256 == 0 && taken % 256 == 0;
        early += 10 * written < 9 * taken;
    }
    say("each time is a multiple of 256 ns: %s", even == 100 ? "yes" : "no");
    say("write() returned before nine tenths of the time were over: %s",
        early >= 90 ? "yes" : "no");
    closed(&l);
}

int main(int argc, char *argv[])
{
    share();
    if (argc > 8)
        return measure(argc, argv);
    role("self");

    step("Which round trips cost less than half of TCP's?");
    for (int i = STREAM; i <= DGRAM; i++)
        below(0.5, &transports[i], 64);

    step("Do large messages cost less than TCP's?");
    for (size_t size = 16 << 10; size <= 256 << 10; size *= 4)
        below(1, &transports[STREAM], size);

    step("Are datagrams lost?");
    lost(&transports[DGRAM]);
    lost(&transports[UDP]);

    step("Does every byte arrive, by its checksum?");
    for (int i = STREAM; i <= PIPE; i++)
        sums(&transports[i]);

    step("Can the clock be believed, and when may it stop?");
    clock_of(&transports[STREAM]);
}
