/*
 * 62-transport-cost -- what does it cost to send a message?
 *
 * That depends on its size, and on who plays the other end. Without arguments
 * this shows what holds on any machine; with some, it measures (make bench).
 *
 *     end 0  out[0] ----> in[1]  end 1    self: one thread plays both ends;
 *             in[0] <---- out[1]          same, cross: one process each, on
 *                                         one core or on two
 *
 * See unix(7), tcp(7), udp(7), pipe(7), sched_setaffinity(2), clock_gettime(2).
 */
#define _GNU_SOURCE    // for sched_setaffinity(), sendmmsg()
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"

/* Any stream has room for a PIECE, and a reader offers as much. */
enum { MOST = 1 << 20, PIECE = 64 << 10, SAMPLES = 1 << 16, DATAGRAMS = 1000 };
enum { STREAM, SEQPACKET, DGRAM, TCP, UDP, PIPE };

static const struct transport {
    const char *name;
    int family, type;    // family 0: no socket
} transports[] = {
    {"unix-stream", AF_UNIX, SOCK_STREAM},
    {"unix-seqpacket", AF_UNIX, SOCK_SEQPACKET},
    {"unix-dgram", AF_UNIX, SOCK_DGRAM},
    {"tcp", AF_INET, SOCK_STREAM},
    {"udp", AF_INET, SOCK_DGRAM},
    {"pipe", 0, SOCK_STREAM},
};

struct link {
    const struct transport *is;
    int in[2], out[2];    // by end; they stay open until the program ends
    int peer_cpu;         // of the process that plays end 1; -1: there is none
    size_t size;          // of a message, or of a piece of it, where one thread
    long pieces, count;    // could not write all before it reads; in a slice
    bool one_way;
    int send_buffer;
};

/* What two processes share: when end 1 had how many messages; what each writes,
 * and reads into. The samples, too, or fork() would have each page copied. */
struct shared {
    _Atomic int64_t when, received;
    int64_t sample[SAMPLES];
    _Alignas(4096) char buf[2][MOST];
};
static struct shared *shared;

static void share(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap()", __FILE__, __LINE__);
    memset(shared, 1, sizeof(*shared));    // or slice 1 pays for the pages
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
    sv[1] = type == SOCK_STREAM ? CHECK(accept(server, NULL, NULL)) : server;
    if (type == SOCK_DGRAM) {
        CHECK(getsockname(sv[0], any, &len));
        CHECK(connect(sv[1], any, len));
    }
    for (int i = 0; i < 2 && type == SOCK_STREAM; i++)    // no Nagle
        CHECK(setsockopt(sv[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
}

/* A message with boundaries must fit into SO_SNDBUF, and in AF_UNIX with it 32
 * bytes of the kernel's own. Only where it does not is that made larger. */
static int send_buffer(const struct transport *it, int s, size_t size)
{
    int has, wanted = it->type == SOCK_STREAM ? 0 : (int)size + 32;
    socklen_t len = sizeof(has);

    CHECK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &has, &len));
    if (has < wanted)
        CHECK(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &wanted, len));
    CHECK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &has, &len));
    return has < wanted ? -1 : has;
}

static struct link opened(const struct transport *it, size_t size, int cpu)
{
    bool pieces = cpu < 0 && it->type == SOCK_STREAM && size > PIECE;
    struct link l = {it, .peer_cpu = cpu, .size = pieces ? PIECE : size};
    int sv[2] = {-1, -1};

    l.pieces = (long)(size / l.size);
    if (it->family == AF_INET)
        inet_pair(it->type, sv);
    else if (it->family == AF_UNIX)
        CHECK(socketpair(it->family, it->type, 0, sv));
    for (int end = 0; end < 2; end++) {
        int way[2] = {sv[end], sv[1 - end]};    // what end reads, other writes
        if (it->family == 0)
            CHECK(pipe(way));
        else
            l.send_buffer = send_buffer(it, sv[end], size);
        l.in[end] = way[0];
        l.out[1 - end] = way[1];
    }
    return l;
}

static void put(const struct link *l, int end)
{
    const char *buf = shared->buf[end];
    for (size_t n = 0; n < l->size;)    // Ctrl-Z may end a write() half-way
        n += (size_t)CHECK(write(l->out[end], buf + n, l->size - n));
}

/* Reads so many messages; of fewer, if an empty one comes first. A stream may
 * deliver several at once, or a part. Only of a single one is the rest kept. */
static long take(const struct link *l, int end, long count)
{
    bool stream = l->is->type == SOCK_STREAM;
    size_t unit = stream ? l->size : 1, wanted = unit * (size_t)count, got = 0;
    size_t room = l->size < PIECE ? PIECE : l->size;
    while (got < wanted) {
        size_t at = count == 1 ? got : 0;
        ssize_t n = CHECK(read(l->in[end], shared->buf[end] + at, room - at));
        if (n == 0)
            break;
        got += stream ? (size_t)n : 1;
    }
    return got == wanted ? count : (long)(got / unit);
}

/* The timed loop. One thread plays both ends, or each process one of them. Were
 * put() and take() calls in it, four a trip, a pipe's would take 5 % more. */
__attribute__((flatten)) static void trips(const struct link *l, long count)
{
    for (; count > 0; count--) {
        put(l, 0);
        if (l->peer_cpu < 0)
            take(l, 1, 1);
        if (l->one_way)
            continue;
        if (l->peer_cpu < 0)
            put(l, 1);
        take(l, 0, 1);
    }
}

/* End 1, in a process of its own. The first round trip tells each that the
 * other is ready. An empty message before it was late, for the slice before. */
static void peer(const struct link *l, long count)
{
    long answers = l->one_way ? 1 : count + 1;
    cpu_set_t set = {0};

    role("peer");
    CPU_SET((size_t)l->peer_cpu, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set));
    memset(shared->buf[1], 1, l->size < PIECE ? PIECE : l->size);    // touched
    for (; answers > 0; answers--) {
        while (take(l, 1, 1) == 0)
            continue;
        put(l, 1);
    }
    shared->received = l->one_way ? take(l, 1, count) : count;
    shared->when = now();
    _exit(EXIT_SUCCESS);
}

/* The clock stops when the receiver has all. There may be room for samples:
 * then each trip is timed by itself, with one reading of the clock. */
static int64_t measured(const struct link *l, long count, int64_t *sample)
{
    bool udp = l->is == &transports[UDP];
    pid_t child = 0;

    shared->when = 0;
    shared->received = count;
    if (l->peer_cpu >= 0) {
        while (udp && recv(l->in[1], shared->buf[1], 1, MSG_DONTWAIT) == 0)
            continue;    // the empty ones that end 1 did not need
        child = CHECK(fork());
        if (child == 0)
            peer(l, count);
        put(l, 0);
        take(l, 0, 1);
    }
    int64_t start = now(), end = start;
    if (!sample)
        trips(l, count * l->pieces);
    for (long i = 0; sample && i < count; i++) {
        trips(l, l->pieces);
        sample[i] = now() - end;
        end += sample[i];
    }
    end = now();
    while (child != 0 && l->one_way && udp && shared->when == 0) {
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

/* Of five tries: the others may have been interrupted. */
static double fastest(const struct link *l, long count)
{
    int64_t ns[5];
    for (int i = 0; i < 5; i++)
        ns[i] = measured(l, count, NULL);
    qsort(ns, 5, sizeof(ns[0]), by_value);
    return (double)ns[0];
}

/* A row of the file that scripts/bench.sh makes. */
static void row(const struct link *l, char *argv[], int slice)
{
    int64_t ns = measured(l, l->count, NULL), *at = shared->sample;
    long n = l->count / 3 < SAMPLES ? l->count / 3 + 1 : SAMPLES;

    printf("%s,%s,%s,%d,%d,%ld,%jd,%jd", argv[1], argv[2], l->is->name,
           l->send_buffer, slice, l->count, shared->received, ns);
    if (!l->one_way) {
        measured(l, n, at);
        qsort(at, (size_t)n, sizeof(at[0]), by_value);
        printf(",%jd,%jd,%jd,%jd,%ld", at[n / 2], at[n * 99 / 100],
               at[n * 999 / 1000], at[n - 1], n);
    }
    printf("\n");
}

/* Called by scripts/bench.sh, on the first CPU; the peer's is -1 for self:
 * PLACE SIZE METRIC SLICES MILLISECONDS PEER'S-CPU TRANSPORT... */
static int measure(int argc, char *argv[])
{
    struct link links[ARRAY_LEN(transports)], *end = links;
    double slice_ns = 1e6 * atof(argv[5]), ns;

    lab_process = getpid();    // or a peer that fails would not end this one
    for (int i = 7; i < argc; i++) {
        const struct transport *it = transports;
        while (strcmp(it->name, argv[i]) != 0)
            it++;
        *end = opened(it, strtoul(argv[2], NULL, 10), atoi(argv[6]));
        end->one_way = strcmp(argv[3], "one-way") == 0;
        if (end->send_buffer == -1)
            continue;    // it may not have so much
        if (!arrives(end))
            return fprintf(stderr, "%s: not what was sent\n", it->name);
        for (ns = 0, end->count = 1; ns < slice_ns / 8; end->count *= 2)
            ns = fastest(end, end->count);
        end->count = (long)((double)end->count / 2 * slice_ns / ns) + 1;
        end++;
    }
    for (int slice = 1; slice <= atoi(argv[4]); slice++)    // they take turns
        for (const struct link *l = links; l < end; l++)
            row(l, argv, slice);
    return EXIT_SUCCESS;
}

/* Is a round trip below that part of TCP's? Yes, if the fastest of five is in
 * nine of ten slices. Where it is not clear, it tries up to thrice. */
static void below(double part, const struct transport *it, size_t size)
{
    struct link l = opened(it, size, -1);
    struct link tcp = opened(&transports[TCP], size, -1);
    long n = size < PIECE / 4 ? 4 : 1;    // too few to be interrupted often
    int held = 5;
    for (int turn = 0; turn < 3 && held > 1 && held < 9; turn++) {
        held = 0;
        for (int slice = 0; slice < 10; slice++)
            held += fastest(&l, n) < part * fastest(&tcp, n);
    }
    const char *no = held < 2 ? "no" : "not clear";
    say("%s, %zu bytes: %s", it->name, size, held < 9 ? no : "yes");
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
}

static void sums(const struct transport *it)
{
    struct link l = opened(it, PIECE / 4, -1);
    bool agree = true;
    for (; l.size > 0; l.size /= 4)
        agree = arrives(&l) && agree;
    say("%s, 1 byte to 16 KiB: %s", it->name, agree ? "yes" : "no");
}

/* The fastest of a hundred counts: most of the others met with something. */
static void clock_of(const struct transport *it)
{
    struct link l = opened(it, PIECE, -1);
    int64_t written = INT64_MAX, taken = INT64_MAX, even = 0;
    for (int i = 0; i < 100; i++) {
        int64_t start = now();
        put(&l, 0);
        int64_t middle = now() - start;
        take(&l, 1, 1);
        int64_t end = now() - start;
        even += middle % 256 == 0 && end % 256 == 0;
        written = middle < written ? middle : written;
        taken = end < taken ? end : taken;
    }
    say("each time is a multiple of 256 ns: %s", even == 100 ? "yes" : "no");
    say("write() returned before nine tenths of the time were over: %s",
        10 * written < 9 * taken ? "yes" : "no");
}

int main(int argc, char *argv[])
{
    share();
    if (argc > 7)
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
