/*
 * 61-price-of-packets -- what is the price of packets?
 *
 * TCP sends packets even to itself. A late one might still come, so a port
 * stays taken for a while after its server. And every packet costs time; but
 * one packet can carry many writes, while AF_UNIX queues each by itself.
 *
 *     client ---- "server.sock" or 127.0.0.1, port ----> listener, peer
 *
 * See socket(7), unix(7), tcp(7), clock_gettime(2).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { PAIRS = 4, TURNS = 20, WRITES = 50, SIZE = 64 };

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

static double nanoseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

/* One thread plays both ends. Between two, the scheduler would be measured. */
static double round_trip(const int ends[2])
{
    char buf[SIZE] = "";
    double start = nanoseconds();

    for (int i = 0; i < 2; i++) {
        CHECK(send(ends[i], buf, SIZE, 0));
        CHECK(recv(ends[1 - i], buf, SIZE, 0));
    }
    return nanoseconds() - start;
}

/* With MSG_MORE TCP waits for the last write and makes one packet of them all;
 * AF_UNIX ignores it. Only the read is timed, and only once all has come. The
 * reply acknowledges it: otherwise that packet could come amid the next writes,
 * and TCP would send what it has. */
static double read_of_many(const int ends[2])
{
    char buf[WRITES * SIZE] = "";

    for (int i = 1; i <= WRITES; i++)
        CHECK(send(ends[0], buf, SIZE, i < WRITES ? MSG_MORE : 0));
    CHECK(recv(ends[1], buf, sizeof(buf), MSG_WAITALL | MSG_PEEK));
    double start = nanoseconds();
    CHECK(recv(ends[1], buf, sizeof(buf), MSG_WAITALL));
    double taken = nanoseconds() - start;

    CHECK(send(ends[1], buf, 1, 0));
    CHECK(recv(ends[0], buf, 1, 0));
    return taken;
}

static void pair(int family, int type, int ends[2])
{
    struct server it = opened(family, type);
    int on = 1;

    ends[0] = connected(&it);
    ends[1] = CHECK(accept(it.fd, NULL, NULL));
    for (int i = 0; i < 2 && family == AF_INET; i++)
        CHECK(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    closed(&it);
}

/* In multiples of what an AF_UNIX stream costs. The two take turns, and the
 * best of many counts: what delays one of them now and then does not. */
static double price(double (*work)(const int ends[2]), int family, int type)
{
    double best[2] = {1e12, 1e12};

    for (int i = 0; i < PAIRS; i++) {    // one pair may be slower than another
        int ends[2][2];

        pair(AF_UNIX, SOCK_STREAM, ends[0]);
        pair(family, type, ends[1]);
        for (int turn = 0; turn < 2 * TURNS; turn++) {
            double taken = work(ends[turn % 2]);
            if (taken < best[turn % 2])
                best[turn % 2] = taken;
        }
        for (int end = 0; end < 4; end++)
            CHECK(close(ends[end / 2][end % 2]));
    }
    return best[1] / best[0];
}

static void against_tcp(const char *what, double (*work)(const int ends[2]))
{
    role("AF_UNIX");
    double tcp = price(work, AF_INET, SOCK_STREAM);
    say("%s costs less than TCP's: %s", what, tcp > 1 ? "yes" : "no");
}

static void boundaries(void)
{
    role("AF_UNIX");
    double seqpacket = price(round_trip, AF_UNIX, SOCK_SEQPACKET);
    say("SEQPACKET costs less than 1.5 times as much as STREAM: %s",
        seqpacket < 1.5 ? "yes" : "no");
}

int main(void)
{
    both("Can a server bind again when nobody came?", restart);
    both("Can it when it has hung up on a client?", serve_and_restart);

    step("Which round trip of 64 bytes costs less?");
    against_tcp("round trip", round_trip);

    step("Which read costs less, of what 50 writes left?");
    against_tcp("read of 50 writes", read_of_many);

    step("Do boundaries make it slow?");
    boundaries();
}
