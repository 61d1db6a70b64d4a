/*
 * engine.c -- measures what it takes to carry a message
 *
 * usage: engine PLACE SIZE METRIC SLICES MILLISECONDS PEER_CPU TRANSPORT...
 *        engine --header METRIC
 *
 *     PLACE         self: one thread plays both ends
 *                   same, cross: end 1 is a process of its own, on PEER_CPU
 *     SIZE          bytes in a message
 *     METRIC        round-trip: there and back; one-way: there
 *     SLICES        each transport is measured so many times; they take turns
 *     MILLISECONDS  of a slice
 *     PEER_CPU      the number of a processor; in self nobody looks at it
 *     TRANSPORT     a name of the table below
 *
 * Prints one row of CSV for each slice of each transport; --header prints the
 * names of the columns. A transport that cannot have a large enough SO_SNDBUF
 * has no rows. The caller chooses the processor of end 0 (taskset).
 *
 *     end 0  out[0] ----> in[1]  end 1
 *             in[0] <---- out[1]
 *
 * Beside the transports stand floors: what is paid even without a message.
 *
 * Exit status: 0 measured; 1 a call failed, or a transport did not deliver what
 * was sent; 2 for wrong usage.
 */
#define _GNU_SOURCE    // for sched_setaffinity(), syscall()
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
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
    PAGE = 4096,
    MOST = 1 << 20,        // bytes in a message
    PIECE = 64 << 10,      // any stream has room for so many
    SAMPLES = 1 << 16,     // trips timed one by one in a slice
    SMALL = 8,             // bytes, of the floors that have one size only
    MOST_UDP = 65507,      // 65535, less the headers of IP and UDP
    UNIX_OVERHEAD = 32,    // the kernel's own, in each message of AF_UNIX
};

/* What the arguments say. */
static struct {
    const char *place;
    bool alone;    // one thread plays both ends
    bool one_way;
    size_t size;
    long slices;
    double slice_ns;
    int peer_cpu;
} options;

/* What two processes share. The samples, too: fork() would have each of their
 * pages copied. */
struct turns {
    _Alignas(128) _Atomic long of;    // each in cache lines of its own
};

struct shared {
    _Atomic int64_t when;     // end 1 had received all, or 0
    _Atomic long received;    // messages
    struct turns turn[2];
    int64_t sample[SAMPLES];
    _Alignas(PAGE) char buf[2][MOST + PAGE];    // what each end sends and has
};
static struct shared *shared;

struct link {
    const struct transport *transport;
    int in[2], out[2];    // by end; open until the program ends
    int send_buffer;      // SO_SNDBUF; 0 if there is none, -1 if too small
    size_t size;          // what one put() carries
    size_t room;          // what a read() offers; more than a small message
    long pieces;          // so many put() make one message
    long count;           // messages in a slice
};

enum carries { NOTHING, BYTES, MESSAGES, LOSSY_MESSAGES };

/* How the ends use what was opened. take() says how many bytes the message had,
 * take_all(), how many messages came. */
struct calls {
    void (*put)(const struct link *link, int end);
    size_t (*take)(const struct link *link, int end);
    long (*take_all)(const struct link *link, long count);    // by end 1
};

/* What has no two ends is a loop of its own: put() and take() would cost as
 * much as what they do. */
struct transport {
    const char *name;
    long least, most;    // bytes in a message
    enum carries carries;
    void (*open)(struct link *link);
    const struct calls *calls;
    void (*repeat)(const struct link *link, long count);
};

static int64_t now(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t));
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

static void allocate_shared(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap()", __FILE__, __LINE__);
    memset(shared, 1, sizeof(*shared));    // or slice 1 pays for the pages
    shared->turn[0].of = 0;
    shared->turn[1].of = 0;
}

/* Opening. Each transport fills in the descriptors of both ends. */

static void use_pair(struct link *link, const int sv[2])
{
    for (int end = 0; end < 2; end++) {
        link->in[end] = sv[end];
        link->out[end] = sv[end];
    }
}

/* A message with boundaries must fit into SO_SNDBUF. Only where it does not is
 * SO_SNDBUF made larger. */
static int enlarge_send_buffer(int s, int wanted)
{
    int has;
    socklen_t len = sizeof(has);

    CHECK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &has, &len));
    if (has < wanted) {
        CHECK(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &wanted, len));
        CHECK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &has, &len));
    }
    return has < wanted ? -1 : has;
}

static void size_send_buffers(struct link *link)
{
    int wanted = 0;

    if (link->transport->carries != BYTES)
        wanted = (int)options.size + UNIX_OVERHEAD;
    for (int end = 0; end < 2; end++)
        link->send_buffer = enlarge_send_buffer(link->out[end], wanted);
}

static void open_unix(struct link *link, int type)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, type, 0, sv));
    use_pair(link, sv);
    size_send_buffers(link);
}

static void open_unix_stream(struct link *link)
{
    open_unix(link, SOCK_STREAM);
}

static void open_unix_seqpacket(struct link *link)
{
    open_unix(link, SOCK_SEQPACKET);
}

static void open_unix_dgram(struct link *link)
{
    open_unix(link, SOCK_DGRAM);
}

static void open_tcp(struct link *link)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *any = (struct sockaddr *)&address;
    socklen_t len = sizeof(address);
    int on = 1;    // each message is a packet at once: without Nagle
    int sv[2];

    int listener = CHECK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(bind(listener, any, len));    // to a port that the kernel chooses
    CHECK(getsockname(listener, any, &len));
    CHECK(listen(listener, 1));

    sv[0] = CHECK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(connect(sv[0], any, len));
    sv[1] = CHECK(accept(listener, NULL, NULL));
    CHECK(close(listener));

    for (int end = 0; end < 2; end++)
        CHECK(setsockopt(sv[end], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    use_pair(link, sv);
    size_send_buffers(link);
}

/* Each is bound to a port, and connected to the port of the other. */
static void open_udp(struct link *link)
{
    struct sockaddr_in address[2];
    socklen_t len = sizeof(address[0]);
    int sv[2];

    for (int end = 0; end < 2; end++) {
        struct sockaddr *own = (struct sockaddr *)&address[end];

        address[end] = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        sv[end] = CHECK(socket(AF_INET, SOCK_DGRAM, 0));
        CHECK(bind(sv[end], own, len));
        CHECK(getsockname(sv[end], own, &len));
    }
    for (int end = 0; end < 2; end++)
        CHECK(connect(sv[end], (struct sockaddr *)&address[1 - end], len));
    use_pair(link, sv);
    size_send_buffers(link);
}

static void open_pipes(struct link *link)
{
    for (int end = 0; end < 2; end++) {
        int way[2];

        CHECK(pipe(way));
        link->in[end] = way[0];
        link->out[1 - end] = way[1];
    }
}

static void open_eventfds(struct link *link)
{
    for (int end = 0; end < 2; end++) {
        link->in[end] = CHECK(eventfd(0, 0));
        link->out[1 - end] = link->in[end];
    }
}

static void open_nothing(struct link *link)
{
    for (int end = 0; end < 2; end++) {
        link->in[end] = -1;
        link->out[end] = -1;
    }
}

/* Putting one message, and taking one. take() says how many bytes it had. */

static void write_all(const struct link *link, int end)
{
    const char *buf = shared->buf[end];
    size_t done = 0;

    while (done < link->size)    // Ctrl-Z may end a write() half-way
        done +=
            (size_t)CHECK(write(link->out[end], buf + done, link->size - done));
}

/* A stream may deliver a message in parts. */
static size_t read_stream(const struct link *link, int end)
{
    char *buf = shared->buf[end];
    size_t got = 0;

    while (got < link->size)
        got += (size_t)CHECK(read(link->in[end], buf + got, link->room - got));
    return got;
}

static size_t read_message(const struct link *link, int end)
{
    return (size_t)CHECK(read(link->in[end], shared->buf[end], link->room));
}

/* End 0 makes equal turns unequal, end 1 makes unequal ones equal. */
static void put_turn(const struct link *link, int end)
{
    (void)link;
    shared->turn[end].of++;
}

static size_t watch_turn(const struct link *link, int end)
{
    bool wanted = end == 0;    // equal

    while ((shared->turn[0].of == shared->turn[1].of) != wanted)
        continue;
    return link->size;
}

/* Taking all that is sent one way: how many messages were it? A stream may
 * deliver several at once. Of them the first is kept whole, to be looked at. */

static long read_bytes(const struct link *link, long count)
{
    size_t wanted = link->size * (size_t)count;
    size_t got = 0;

    while (got < wanted) {
        size_t at = got < link->size ? got : 0;
        char *buf = shared->buf[1] + at;

        got += (size_t)CHECK(read(link->in[1], buf, link->room - at));
    }
    return count;
}

/* An empty one comes after the last, if some were lost. */
static long read_messages(const struct link *link, long count)
{
    long got = 0;

    while (got < count && read_message(link, 1) > 0)
        got++;
    return got;
}

/* The floors that have no other end. */

/* Not to the same place in a page: otherwise the processor would take a load
 * from the one buffer for a load of what was just stored into the other, and
 * wait for that. Through a pointer, or the compiler would leave out a copy in
 * vain. */
static void repeat_copies(const struct link *link, long count)
{
    static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    char *here = shared->buf[0];
    char *there = shared->buf[1] + PAGE / 2;

    for (long i = 0; i < count; i++) {
        copy(there, here, link->size);
        if (!options.one_way)
            copy(here, there, link->size);
    }
}

static void repeat_syscalls(const struct link *link, long count)
{
    (void)link;
    for (long i = 0; i < count; i++)
        CHECK(syscall(SYS_getppid));
}

static void repeat_clock(const struct link *link, long count)
{
    (void)link;
    for (long i = 0; i < count; i++)
        now();
}

static const struct calls stream = {write_all, read_stream, read_bytes};
static const struct calls message = {write_all, read_message, read_messages};
static const struct calls event = {write_all, read_message, NULL};
static const struct calls turn = {put_turn, watch_turn, NULL};

/* An eventfd wakes who reads it; its message is a number of eight bytes. A turn
 * is seen by one that does not sleep. */
static const struct transport transports[] = {
    {"unix-stream", 1, MOST, BYTES, open_unix_stream, &stream, NULL},
    {"unix-seqpacket", 1, MOST, MESSAGES, open_unix_seqpacket, &message, NULL},
    {"unix-dgram", 1, MOST, MESSAGES, open_unix_dgram, &message, NULL},
    {"tcp", 1, MOST, BYTES, open_tcp, &stream, NULL},
    {"udp", 1, MOST_UDP, LOSSY_MESSAGES, open_udp, &message, NULL},
    {"pipe", 1, MOST, BYTES, open_pipes, &stream, NULL},

    {"eventfd", SMALL, SMALL, MESSAGES, open_eventfds, &event, NULL},
    {"spin", SMALL, SMALL, NOTHING, open_nothing, &turn, NULL},
    {"memcpy", 1, MOST, NOTHING, open_nothing, NULL, repeat_copies},
    {"syscall", SMALL, SMALL, NOTHING, open_nothing, NULL, repeat_syscalls},
    {"clock", SMALL, SMALL, NOTHING, open_nothing, NULL, repeat_clock},
};

/* These are measured as round trips only. */
static bool has_one_size(const struct transport *transport)
{
    return transport->least == transport->most;
}

/* One thread could not write much into a stream before it reads: it does so in
 * pieces. */
static void open_link(struct link *link, const struct transport *transport)
{
    bool in_pieces = transport->carries == BYTES && options.alone;

    *link = (struct link){.transport = transport, .size = options.size};
    if (in_pieces && options.size > PIECE)
        link->size = PIECE;
    link->pieces = (long)(options.size / link->size);
    link->room = link->size > PIECE ? link->size : PIECE;
    transport->open(link);
}

/* The timed loops. */

static void play_both_ends(const struct link *link, long count)
{
    const struct calls *calls = link->transport->calls;

    for (long i = 0; i < count; i++) {
        calls->put(link, 0);
        calls->take(link, 1);
        if (options.one_way)
            continue;
        calls->put(link, 1);
        calls->take(link, 0);
    }
}

static void ask(const struct link *link, long count)
{
    for (long i = 0; i < count; i++) {
        link->transport->calls->put(link, 0);
        link->transport->calls->take(link, 0);
    }
}

static void answer(const struct link *link, long count)
{
    for (long i = 0; i < count; i++) {
        link->transport->calls->take(link, 1);
        link->transport->calls->put(link, 1);
    }
}

/* End 1, in a process of its own. The first round trip tells each that the
 * other is ready. An empty message before it was meant for the slice before. */
static _Noreturn void play_peer(const struct link *link, long count)
{
    cpu_set_t set;

    role("peer");
    CPU_ZERO(&set);
    CPU_SET((size_t)options.peer_cpu, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set));
    memset(shared->buf[1], 1, link->room);    // so that its pages are there

    while (link->transport->calls->take(link, 1) == 0)
        continue;
    link->transport->calls->put(link, 1);

    if (options.one_way) {
        shared->received = link->transport->calls->take_all(link, count);
        shared->when = now();
    } else {
        answer(link, count);
    }
    _exit(EXIT_SUCCESS);
}

static pid_t start_peer(const struct link *link, long count)
{
    pid_t child = CHECK(fork());

    if (child == 0)
        play_peer(link, count);
    ask(link, 1);
    return child;
}

/* What the loop takes in all. If there is room for samples, each trip is timed
 * by itself, with one reading of the clock. */
static int64_t time_loop(const struct link *link, long count, int64_t *sample,
                         void (*loop)(const struct link *link, long count))
{
    int64_t start = now();
    int64_t last = start;

    if (!sample) {
        loop(link, count * link->pieces);
        return now() - start;
    }
    for (long i = 0; i < count; i++) {
        loop(link, link->pieces);
        int64_t end = now();
        sample[i] = end - last;
        last = end;
    }
    return last - start;
}

static int64_t time_there_and_back(const struct link *link, long count,
                                   int64_t *sample)
{
    pid_t child = start_peer(link, count);
    int64_t taken = time_loop(link, count, sample, ask);

    reap(child);
    return taken;
}

/* The clock stops when the receiver has all. The last message may be lost, and
 * so may the empty one that says so: it is sent until it is heard. */
static int64_t time_one_way(const struct link *link, long count)
{
    bool may_lose = link->transport->carries == LOSSY_MESSAGES;

    while (may_lose && recv(link->in[1], shared->buf[1], 1, MSG_DONTWAIT) == 0)
        continue;    // the empty ones that were not needed in the last slice

    shared->when = 0;
    pid_t child = start_peer(link, count);
    int64_t start = now();
    for (long i = 0; i < count; i++)
        link->transport->calls->put(link, 0);

    while (may_lose && shared->when == 0) {
        CHECK(write(link->out[0], "", 0));
        sched_yield();
    }
    reap(child);
    return shared->when - start;
}

/* So many messages, in nanoseconds. */
static int64_t measure(const struct link *link, long count, int64_t *sample)
{
    shared->received = count;
    if (link->transport->repeat)
        return time_loop(link, count, NULL, link->transport->repeat);
    if (options.alone)
        return time_loop(link, count, sample, play_both_ends);
    if (options.one_way)
        return time_one_way(link, count);
    return time_there_and_back(link, count, sample);
}

/* One message, of bytes that differ. Is its checksum the same at the end? */
static bool delivers(const struct link *link)
{
    unsigned sent = 0;
    unsigned came = 0;

    for (size_t i = 0; i < link->size; i++) {
        shared->buf[0][i] = (char)(1 + i * 31 % 251);
        sent = 31 * sent + (unsigned char)shared->buf[0][i];
    }
    memset(shared->buf[1], 0, link->size);
    measure(link, 1, NULL);
    for (size_t i = 0; i < link->size; i++)
        came = 31 * came + (unsigned char)shared->buf[1][i];
    return came == sent;
}

/* Of five tries: the others may have been interrupted. */
static double fastest(const struct link *link, long count)
{
    double best = (double)measure(link, count, NULL);

    for (int i = 1; i < 5; i++) {
        double again = (double)measure(link, count, NULL);
        if (again < best)
            best = again;
    }
    return best;
}

/* How many messages fill a slice. */
static long calibrate(const struct link *link)
{
    long count = 1;
    double ns = fastest(link, count);

    while (ns < options.slice_ns / 8) {
        count *= 2;
        ns = fastest(link, count);
    }
    return (long)((double)count * options.slice_ns / ns) + 1;
}

/* Rows. */

static void print_header(const char *metric)
{
    printf("place,transport,size_bytes,sndbuf_bytes,slice,");
    if (strcmp(metric, "round-trip") == 0)
        printf("round_trips,mean_ns,p50_ns,p99_ns,p99.9_ns,max_ns,samples\n");
    else
        printf("messages,lost,mean_ns,MB_per_s\n");
}

/* What both metrics have. A pipe and the floors have no SO_SNDBUF. */
static void print_first_columns(const struct link *link, long slice)
{
    printf("%s,%s,%zu,", options.place, link->transport->name, options.size);
    if (link->send_buffer > 0)
        printf("%d", link->send_buffer);
    printf(",%ld,%ld,", slice, link->count);
}

/* Of what was received, until the receiver had all. */
static void print_one_way(const struct link *link, long slice)
{
    int64_t ns = measure(link, link->count, NULL);
    double received = (double)shared->received;
    double bytes = received * (double)options.size;

    print_first_columns(link, slice);
    printf("%ld,%.1f,%.3f\n", link->count - shared->received,
           (double)ns / received, 1e3 * bytes / (double)ns);
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static void print_round_trip(const struct link *link, long slice)
{
    int64_t ns = measure(link, link->count, NULL);
    int64_t *sample = shared->sample;
    long n = link->count / 3 + 1;

    print_first_columns(link, slice);
    printf("%.1f,", (double)ns / (double)link->count);
    if (has_one_size(link->transport) || link->transport->repeat) {
        printf(",,,,\n");
        return;
    }
    if (n > SAMPLES)
        n = SAMPLES;
    measure(link, n, sample);
    qsort(sample, (size_t)n, sizeof(sample[0]), by_value);
    printf("%jd,%jd,%jd,%jd,%ld\n", (intmax_t)sample[n / 2],
           (intmax_t)sample[n * 99 / 100], (intmax_t)sample[n * 999 / 1000],
           (intmax_t)sample[n - 1], n);
}

/* Arguments. */

static _Noreturn void __attribute__((format(printf, 1, 2)))
refuse(const char *f, ...)
{
    va_list ap;

    fprintf(stderr, "engine: ");
    va_start(ap, f);
    vfprintf(stderr, f, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    exit(2);
}

/* The argument that is called name must be one of the words. */
static void check_word(const char *name, const char *text,
                       const char *const words[], const char *all)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return;
    refuse("%s: no %s; there are: %s", name, text, all);
}

static long read_number(const char *name, const char *text, long least,
                        long most)
{
    char *end;

    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0')
        refuse("%s: '%s' is not a number", name, text);
    if (errno != 0 || number < least || number > most)
        refuse("%s: %s is not from %ld to %ld", name, text, least, most);
    return number;
}

static const struct transport *find_transport(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(transports); i++)
        if (strcmp(transports[i].name, name) == 0)
            return &transports[i];

    fprintf(stderr, "engine: TRANSPORT: no %s; there are:", name);
    for (size_t i = 0; i < ARRAY_LEN(transports); i++)
        fprintf(stderr, " %s", transports[i].name);
    fprintf(stderr, "\n");
    exit(2);
}

/* Not everything can be measured everywhere. */
static void check_transport(const struct transport *transport)
{
    const char *name = transport->name;
    long size = (long)options.size;

    if (size < transport->least || size > transport->most)
        refuse("%s: SIZE: %ld is not from %ld to %ld", name, size,
               transport->least, transport->most);
    if (options.alone && transport->carries == BYTES && size > PIECE &&
        size % PIECE != 0)
        refuse("%s: SIZE: %ld is not a multiple of %d, a piece in self", name,
               size, PIECE);
    if (transport->repeat && !options.alone)
        refuse("%s: PLACE: it is measured in self only", name);
    if (has_one_size(transport) && options.one_way)
        refuse("%s: METRIC: it is measured as round-trip only", name);
}

static void check_place(const char *text)
{
    static const char *const places[] = {"self", "same", "cross", NULL};

    check_word("PLACE", text, places, "self same cross");
}

static void check_metric(const char *text)
{
    static const char *const metrics[] = {"round-trip", "one-way", NULL};

    check_word("METRIC", text, metrics, "round-trip one-way");
}

/* Fills in the options, and returns the first of the transports. */
static char **parse(int argc, char *argv[])
{
    if (argc < 8)
        refuse("usage: engine PLACE SIZE METRIC SLICES MILLISECONDS PEER_CPU "
               "TRANSPORT..., or engine --header METRIC");
    check_place(argv[1]);
    check_metric(argv[3]);
    options.place = argv[1];
    options.alone = strcmp(argv[1], "self") == 0;
    options.size = (size_t)read_number("SIZE", argv[2], 1, MOST);
    options.one_way = strcmp(argv[3], "one-way") == 0;
    options.slices = read_number("SLICES", argv[4], 1, 1000000);
    options.slice_ns =
        1e6 * (double)read_number("MILLISECONDS", argv[5], 1, 60000);
    options.peer_cpu =
        (int)read_number("PEER_CPU", argv[6], 0, CPU_SETSIZE - 1);

    for (char **name = argv + 7; *name; name++) {
        check_transport(find_transport(*name));
        for (char **before = argv + 7; before < name; before++)
            if (strcmp(*before, *name) == 0)
                refuse("TRANSPORT: %s is named twice", *name);
    }
    return argv + 7;
}

/* Returns false if the transport may not have so much room. */
static bool prepare(struct link *link, const char *name)
{
    open_link(link, find_transport(name));
    if (link->send_buffer < 0)
        return false;
    if (link->transport->carries != NOTHING && !delivers(link)) {
        fprintf(stderr, "engine: %s: not what was sent\n", name);
        exit(EXIT_FAILURE);
    }
    link->count = calibrate(link);
    return true;
}

int main(int argc, char *argv[])
{
    struct link links[ARRAY_LEN(transports)];
    int n = 0;

    if (argc == 3 && strcmp(argv[1], "--header") == 0) {
        check_metric(argv[2]);
        print_header(argv[2]);
        return EXIT_SUCCESS;
    }
    char **names = parse(argc, argv);

    lab_process = getpid();    // or a peer that fails would not end this one
    allocate_shared();
    for (char **name = names; *name; name++)
        if (prepare(&links[n], *name))
            n++;

    for (long slice = 1; slice <= options.slices; slice++)
        for (int i = 0; i < n; i++)
            if (options.one_way)
                print_one_way(&links[i], slice);
            else
                print_round_trip(&links[i], slice);
    return EXIT_SUCCESS;
}
