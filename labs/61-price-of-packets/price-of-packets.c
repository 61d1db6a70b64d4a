/*
 * 61-price-of-packets -- what is the price of packets?
 *
 * TCP sends packets even to itself. A late one might still come, so a port
 * stays taken for a while after its server. And every packet costs time; but
 * a program can ask for one packet with many writes (MSG_MORE), while AF_UNIX
 * queues each by itself.
 *
 *     client ---- "server.sock" or 127.0.0.1, port ----> listener, peer
 *
 * A line that begins with ~ is measured. Its figures are different on each run,
 * and only its words are compared.
 *
 * See socket(7), unix(7), tcp(7), clock_gettime(2).
 */
#define _GNU_SOURCE    // for struct tcp_info
#include <arpa/inet.h>
#include <netinet/in.h>
#ifdef __GLIBC__    // whose <netinet/tcp.h> does not have all of it
#include <linux/tcp.h>
#else
#include <netinet/tcp.h>
#endif
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"
#include "../../common/loopback.h"

enum { PAIRS = 2, TURNS = 2, WRITES = 50, SIZE = 64 };

struct server {
    int fd, family, type;
    socklen_t len;
    union {    // the address, of this length
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    };
};

/* Only here does the family matter. Port 0 lets bind() choose a free one. */
static struct server opened(int family, int type)
{
    struct server it = {.family = family, .type = type, .len = sizeof(it.un)};

    if (family == AF_UNIX) {
        it.un = (struct sockaddr_un){.sun_family = AF_UNIX,
                                     .sun_path = "server.sock"};
    } else {
        it.in.sin_family = AF_INET;
        it.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        it.len = sizeof(it.in);
    }
    it.fd = CHECK(socket(family, type, 0));
    int on = 1;    // or the next server's SO_REUSEADDR would be in vain
    CHECK(setsockopt(it.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    CHECK(bind(it.fd, &it.any, it.len));
    CHECK(getsockname(it.fd, &it.any, &it.len));
    CHECK(listen(it.fd, 1));
    return it;
}

static void closed(const struct server *it)
{
    CHECK(close(it->fd));
    if (it->family == AF_UNIX)
        CHECK(unlink(it->un.sun_path));
}

static int connected(const struct server *to)
{
    int s = CHECK(socket(to->family, to->type, 0));
    CHECK(connect(s, &to->any, to->len));
    return s;
}

/* A new socket for the old address: what a program does that is run again. */
static void restart(struct server *it)
{
    CHECK(close(it->fd));
    it->fd = CHECK(socket(it->family, it->type, 0));
    say("bind() = %s", RESULT(bind(it->fd, &it->any, it->len), EADDRINUSE));
}

/* The side that closes first keeps the address: in TCP it is in TIME_WAIT as
 * soon as it reads that the other has closed too. */
static void serve(const struct server *it)
{
    int client = connected(it);
    int peer = CHECK(accept(it->fd, NULL, NULL));
    char byte;

    CHECK(shutdown(peer, SHUT_WR));
    say("the client's read() = %d", CHECK(read(client, &byte, 1)));
    CHECK(close(client));
    say("the server's read() = %d", CHECK(read(peer, &byte, 1)));
    CHECK(close(peer));
}

static void serve_and_restart(struct server *it)
{
    int on = 1;

    serve(it);
    restart(it);
    CHECK(setsockopt(it->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    say("with SO_REUSEADDR, bind() = %s",
        RESULT(bind(it->fd, &it->any, it->len), EADDRINUSE));
    if (it->family == AF_UNIX) {
        CHECK(unlink(it->un.sun_path));
        int again = CHECK(bind(it->fd, &it->any, it->len));
        say("after unlink(), bind() = %d", again);
    }
}

static void both(const char *question, void (*show)(struct server *it))
{
    step(question);
    for (int i = 0; i < 2; i++) {
        struct server it = opened(i == 0 ? AF_UNIX : AF_INET, SOCK_STREAM);

        role(i == 0 ? "AF_UNIX" : "AF_INET");
        show(&it);
        closed(&it);
    }
}

static int64_t nanoseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double in_microseconds(int64_t nanoseconds)
{
    return (double)nanoseconds / 1000;
}

static void open_pair(int family, int type, int ends[2])
{
    struct server it = opened(family, type);
    int on = 1;

    ends[0] = connected(&it);
    ends[1] = CHECK(accept(it.fd, NULL, NULL));
    if (family == AF_INET)
        for (int i = 0; i < 2; i++)
            CHECK(
                setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    closed(&it);
}

static void close_pair(const int ends[2])
{
    CHECK(close(ends[0]));
    CHECK(close(ends[1]));
}

/* One thread plays both ends. Between two, the scheduler would be measured. The
 * fastest counts, because the others met with something else; and there are
 * several pairs, because one pair may be slower than another. */
static void round_trips(int family, int type, const char *name)
{
    char buf[SIZE] = "";
    int64_t fastest = INT64_MAX;
    int came = 0;

    for (int i = 0; i < PAIRS; i++) {
        int ends[2];

        open_pair(family, type, ends);
        for (int turn = 0; turn < TURNS; turn++) {
            int64_t start = nanoseconds();

            CHECK(send(ends[0], buf, SIZE, 0));
            came += CHECK(recv(ends[1], buf, SIZE, 0));
            CHECK(send(ends[1], buf, SIZE, 0));
            came += CHECK(recv(ends[0], buf, SIZE, 0));

            int64_t taken = nanoseconds() - start;
            if (taken < fastest)
                fastest = taken;
        }
        close_pair(ends);
    }
    say("%s: %d round trips of %d B: %d B came", name, PAIRS * TURNS, SIZE,
        came);
    say_measured("%s: the fastest round trip: %.1f us", name,
                 in_microseconds(fastest));
}

/* The packets with data that this socket has sent so far. */
static int packets(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    return (int)info.tcpi_data_segs_out;
}

/* With MSG_MORE TCP waits for the last write, and sends one packet; AF_UNIX
 * ignores it. */
static void write_many(int fd, int more)
{
    char buf[SIZE] = "";

    for (int i = 1; i < WRITES; i++)
        CHECK(send(fd, buf, SIZE, more));
    CHECK(send(fd, buf, SIZE, 0));
}

/* Only the read is timed, and only once all has come. The reply acknowledges
 * it: otherwise that packet could come amid the next writes, and TCP would send
 * what it has, MSG_MORE or not. */
static int64_t time_of_read(const int ends[2], int *came)
{
    char buf[WRITES * SIZE] = "";

    CHECK(recv(ends[1], buf, sizeof(buf), MSG_WAITALL | MSG_PEEK));
    int64_t start = nanoseconds();
    *came = CHECK(recv(ends[1], buf, sizeof(buf), MSG_WAITALL));
    int64_t taken = nanoseconds() - start;

    CHECK(send(ends[1], buf, 1, 0));
    CHECK(recv(ends[0], buf, 1, 0));
    return taken;
}

/* How many packets TCP makes depends on when the acknowledgements come, so they
 * are measured, too: those of the last pair, divided by its turns. */
static void read_of_many(int family, int more)
{
    const char *flags = more ? "MSG_MORE" : "0";
    int64_t fastest = INT64_MAX;
    int came = 0;
    int made = 0;

    for (int i = 0; i < PAIRS; i++) {
        int ends[2];

        open_pair(family, SOCK_STREAM, ends);
        for (int turn = 0; turn < TURNS; turn++) {
            write_many(ends[0], more);
            int64_t taken = time_of_read(ends, &came);
            if (taken < fastest)
                fastest = taken;
        }
        if (family == AF_INET)
            made = packets(ends[0]);
        close_pair(ends);
    }
    say("%d times send(%d B, %s), recv() = %d", WRITES, SIZE, flags, came);
    say_measured("the fastest recv(): %.1f us", in_microseconds(fastest));
    if (family == AF_INET)
        say_measured("packets for each recv(): %d", made / TURNS);
}

int main(void)
{
    need_loopback();

    both("Can a server bind again when nobody came?", restart);
    both("Can it when it has hung up on a client?", serve_and_restart);

    step("How long does a round trip of 64 bytes take?");
    role("AF_UNIX");
    round_trips(AF_UNIX, SOCK_STREAM, "SOCK_STREAM");
    role("AF_INET");
    round_trips(AF_INET, SOCK_STREAM, "SOCK_STREAM");

    step("How long does one recv() take, of what 50 writes left?");
    role("AF_UNIX");
    read_of_many(AF_UNIX, 0);
    read_of_many(AF_UNIX, MSG_MORE);
    role("AF_INET");
    read_of_many(AF_INET, 0);
    read_of_many(AF_INET, MSG_MORE);

    step("Do boundaries make it slow?");
    role("AF_UNIX");
    round_trips(AF_UNIX, SOCK_STREAM, "SOCK_STREAM");
    round_trips(AF_UNIX, SOCK_SEQPACKET, "SOCK_SEQPACKET");
}
