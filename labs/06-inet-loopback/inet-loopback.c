/*
 * 06-inet-loopback -- what changes when the address is 127.0.0.1?
 *
 * Not the dialogue: only the address differs. But AF_UNIX is a queue in one
 * kernel, which sees both ends. TCP and UDP go by packets, even to themselves:
 * what no packet carries does not arrive.
 *
 *     client ---- "server.sock" or 127.0.0.1, port ----> listener, peer
 *
 * See unix(7), ip(7), tcp(7), udp(7).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

struct server {
    int fd, family, type;
    socklen_t len;
    union {    // the address, of this length
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    };
};

/* The dialogue's only look at the family. Port 0 lets bind() choose a port. */
static struct server opened(int family, int type)
{
    struct server it = {.family = family, .type = type, .len = sizeof(it.un)};
    if (family == AF_UNIX) {
        it.un = (struct sockaddr_un){AF_UNIX, "server.sock"};
    } else {
        it.in.sin_family = AF_INET;
        it.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        it.len = sizeof(it.in);
    }
    it.fd = CHECK(socket(family, type, 0));
    CHECK(bind(it.fd, &it.any, it.len));
    CHECK(getsockname(it.fd, &it.any, &it.len));
    if (type == SOCK_STREAM)
        CHECK(listen(it.fd, 1));
    return it;
}

static int connected(const struct server *to)
{
    int s = CHECK(socket(to->family, to->type, 0));
    CHECK(connect(s, &to->any, to->len));
    return s;
}

static void receive(int s)
{
    char buf[64];
    ssize_t n = CHECK(read(s, buf, sizeof(buf)));
    say("read() = %zd \"%.*s\"", n, (int)n, buf);
}

static void client(const struct server *to)
{
    role("client");
    CHECK(close(to->fd));    // the server's own
    int s = connected(to);
    say("write(\"6 times 7\")");
    CHECK(write(s, "6 times 7", 9));
    receive(s);
    _exit(EXIT_SUCCESS);
}

static void serve(int listener)
{
    role("server");
    int peer = CHECK(accept(listener, NULL, NULL));
    receive(peer);
    say("write(\"42\")");
    CHECK(write(peer, "42", 2));
    CHECK(close(peer));
}

static void dialogue(const struct server *it)
{
    say("bind() = 0, listen() = 0");
    pid_t child = CHECK(fork());
    if (child == 0)
        client(it);
    serve(it->fd);
    reap(child);
}

static void place(const struct server *it)
{
    say("access(\"server.sock\") = %s",
        RESULT(access("server.sock", F_OK), ENOENT));
    if (it->family == AF_INET)
        say("bound to port 0, as asked: %s", it->in.sin_port ? "no" : "yes");
}

/* Swapped: as a little-endian machine has it, and this one perhaps not. */
static void byte_order(void)
{
    in_port_t port = htons(8080), swapped = (in_port_t)(port << 8 | port >> 8);
    const unsigned char *b = (unsigned char *)&port;
    role("AF_INET");
    say("htons(8080) is 0x%02x 0x%02x: port %d", b[0], b[1], ntohs(port));
    say("8080 swapped is 0x%02x 0x%02x: port %d", b[1], b[0], ntohs(swapped));
}

static void who_is_there(const struct server *it)
{
    struct server from = {.len = sizeof(from.un)};
    struct ucred id;
    socklen_t len = sizeof(id);
    pid_t child = CHECK(fork());
    if (child == 0) {
        connected(it);
        _exit(EXIT_SUCCESS);
    }
    int peer = CHECK(accept(it->fd, &from.any, &from.len));
    say("accept(): the client's address has %u bytes", from.len);
    CHECK(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &id, &len));
    say("SO_PEERCRED: the client's pid: %s; pid 0 and uid -1: %s",
        id.pid == child ? "yes" : "no",
        id.pid == 0 && id.uid == (uid_t)-1 ? "yes" : "no");
    reap(child);
    CHECK(close(peer));
}

static void descriptor(const struct server *it)
{
    union {
        struct cmsghdr header;    // aligns it
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec data = {.iov_base = &(char){'x'}, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1};
    int to_server = connected(it);
    int peer = CHECK(accept(it->fd, NULL, NULL));
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control);
    memcpy(CMSG_DATA(&control.header), &to_server, sizeof(int));
    say("sendmsg(SCM_RIGHTS) = %d", CHECK(sendmsg(to_server, &msg, 0)));
    say("recvmsg() = %d", CHECK(recvmsg(peer, &msg, MSG_CMSG_CLOEXEC)));
    const struct cmsghdr *came = CMSG_FIRSTHDR(&msg);
    say("a descriptor came: %s", came ? "yes" : "no");
    if (came)
        CHECK(close(*(const int *)CMSG_DATA(came)));
    CHECK(close(to_server));
    CHECK(close(peer));
}

static void only_one(const struct server *it)
{
    int s = CHECK(socket(it->family, SOCK_STREAM, 0)), on = 1;
    say("setsockopt(TCP_NODELAY) = %s",
        RESULT(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
               EOPNOTSUPP));
    CHECK(close(s));
    int protocol = it->family == AF_UNIX ? 0 : IPPROTO_TCP;
    s = socket(it->family, SOCK_SEQPACKET, protocol);
    if (s == -1 && errno != ESOCKTNOSUPPORT &&
        errno != EPROTONOSUPPORT)    // it depends on whether SCTP is loaded
        fail("socket(SOCK_SEQPACKET)", __FILE__, __LINE__);
    say("socket(SOCK_SEQPACKET%s): %s", protocol ? ", IPPROTO_TCP" : "",
        s == -1 ? "no" : "yes");
    if (s != -1)
        CHECK(close(s));
}

static void peer_gone(const struct server *it)
{
    struct pollfd end = {.fd = connected(it), .events = POLLRDHUP};
    CHECK(close(CHECK(accept(it->fd, NULL, NULL))));
    CHECK(poll(&end, 1, -1));    // until it knows that the peer sends no more
    say("send() = %s", RESULT(send(end.fd, "x", 1, MSG_NOSIGNAL), EPIPE));
    end.events = 0;
    CHECK(poll(&end, 1, -1));    // POLLHUP: that it receives no more, either
    say("send() = %s", RESULT(send(end.fd, "x", 1, MSG_NOSIGNAL), EPIPE));
    CHECK(close(end.fd));
}

/* A backlog of 1 has room for 2. */
static void full(const struct server *it)
{
    int waiting[] = {connected(it), connected(it)};
    int s = CHECK(socket(it->family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    struct pollfd third = {.fd = s, .events = POLLOUT};
    say("connect() = %s",
        it->family == AF_UNIX
            ? RESULT(connect(s, &it->any, it->len), EAGAIN)
            : RESULT(connect(s, &it->any, it->len), EINPROGRESS));
    int n = CHECK(poll(&third, 1, 0));
    say("poll() = %d%s", n, third.revents & POLLOUT ? " POLLOUT" : "");
    CHECK(close(s));
    CHECK(close(waiting[0]));
    CHECK(close(waiting[1]));
}

static void nobody_reads(const struct server *it)
{
    struct mmsghdr empty[1000] = {0};    // each a datagram of no bytes
    int sender = connected(it), tiny = 1;
    CHECK(setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny)));
    CHECK(setsockopt(it->fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)));
    int sent = CHECK(sendmmsg(sender, empty, 1000,    // AF_UNIX would wait
                              it->family == AF_UNIX ? MSG_DONTWAIT : 0));
    // Of datagrams over IP, even the first may still be on its way.
    int got = CHECK(recvmmsg(it->fd, empty, 1000, MSG_WAITFORONE, NULL));
    say("1000 offered, all accepted: %s", sent == 1000 ? "yes" : "no");
    say("all that were accepted arrived: %s", got == sent ? "yes" : "no");
    CHECK(close(sender));
}

static void both(const char *question, int type,
                 void (*show)(const struct server *it))
{
    step(question);
    for (int i = 0; i < 2; i++) {
        struct server it = opened(i == 0 ? AF_UNIX : AF_INET, type);
        role(i == 0 ? "AF_UNIX" : "AF_INET");
        show(&it);
        CHECK(close(it.fd));
        if (it.family == AF_UNIX)
            CHECK(unlink(it.un.sun_path));    // a port goes by itself
    }
}

int main(void)
{
    both("Must client and server know the family?", SOCK_STREAM, dialogue);
    both("What is the address of a server?", SOCK_STREAM, place);
    step("How is a port stored?");
    byte_order();
    both("Who is the client?", SOCK_STREAM, who_is_there);
    both("Can a descriptor be sent?", SOCK_STREAM, descriptor);
    both("What has only one of the two?", SOCK_STREAM, only_one);
    both("Does a write fail once the peer is gone?", SOCK_STREAM, peer_gone);
    both("What does connect() say to a full backlog?", SOCK_STREAM, full);
    both("What becomes of datagrams nobody reads?", SOCK_DGRAM, nobody_reads);
}
