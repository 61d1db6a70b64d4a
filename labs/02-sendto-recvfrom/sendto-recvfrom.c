/*
 * 02-sendto-recvfrom -- who sent this datagram, and can it be lost?
 *
 * recvfrom() names the sender if the sender has a name, and only then can it
 * be answered. A datagram arrives whole, once and in order: while there is no
 * room for it, its sender waits. A short buffer does lose data.
 *
 *     ann.sock, bob.sock, eve.sock  <---------->  server.sock
 *
 * See unix(7), sendto(2), recvfrom(2).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { DATAGRAMS = 1000 };

static const struct sockaddr_un server_addr = {.sun_family = AF_UNIX,
                                               .sun_path = "server.sock"};
static const struct client {
    const char *name, *request, *answer;
    struct sockaddr_un addr;
} clients[] = {
    {"ann", "tea", "1 euro", {.sun_family = AF_UNIX, .sun_path = "ann.sock"}},
    {"bob", "cake", "4 euro", {.sun_family = AF_UNIX, .sun_path = "bob.sock"}},
    {"eve", "jam", "3 euro", {.sun_family = AF_UNIX, .sun_path = "eve.sock"}},
};

struct sender {
    struct sockaddr_un addr;
    socklen_t len;    // how much of addr is meant: 0 for no name
};

static int open_at(const struct sockaddr_un *addr, int type)
{
    int fd = CHECK(socket(AF_UNIX, type, 0));
    CHECK(bind(fd, (const struct sockaddr *)addr, sizeof(*addr)));
    return fd;
}

/* bind() made a file, and close() leaves it: the next bind() would fail. */
static void close_at(int fd, const struct sockaddr_un *addr)
{
    CHECK(close(fd));
    CHECK(unlink(addr->sun_path));
}

static ssize_t sendto_server(int fd, const void *data, size_t len)
{
    return sendto(fd, data, len, 0, (const struct sockaddr *)&server_addr,
                  sizeof(server_addr));
}

/* It speaks before it sends: the server's next line can only come after. */
static void tell(const char *who, int fd, const char *text)
{
    role(who);
    say("sendto(server.sock, \"%s\")", text);
    CHECK(sendto_server(fd, text, strlen(text)));
}

static struct sender receive(const char *who, int fd)
{
    struct sender from = {.len = sizeof(from.addr)};
    char buf[64];    // longer than any text that is sent here

    role(who);
    ssize_t n = CHECK(recvfrom(fd, buf, sizeof(buf), 0,
                               (struct sockaddr *)&from.addr, &from.len));
    say("recvfrom() = %zd \"%.*s\" from \"%s\", %u bytes", n, (int)n, buf,
        from.addr.sun_path, from.len);
    return from;
}

static _Noreturn void client(const struct client *self)
{
    role(self->name);
    int fd = open_at(&self->addr, SOCK_DGRAM);
    tell(self->name, fd, self->request);
    receive(self->name, fd);
    close_at(fd, &self->addr);
    _exit(EXIT_SUCCESS);
}

/* All three wait at the same time, and the last is answered first. */
static void three_clients(void)
{
    struct sender from[ARRAY_LEN(clients)];
    pid_t child[ARRAY_LEN(clients)];
    int server = open_at(&server_addr, SOCK_DGRAM);

    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        child[i] = CHECK(fork());
        if (child[i] == 0) {
            CHECK(close(server));
            client(&clients[i]);
        }
        from[i] = receive("server", server);
    }
    for (size_t i = ARRAY_LEN(clients); i-- > 0;) {
        const char *text = clients[i].answer;
        say("sendto(%s, \"%s\")", from[i].addr.sun_path, text);
        CHECK(sendto(server, text, strlen(text), 0,
                     (struct sockaddr *)&from[i].addr, from[i].len));
        reap(child[i]);
    }
    close_at(server, &server_addr);
}

/* One process plays both: the kernel looks at sockets, not at processes. */
static void no_name(void)
{
    const struct sockaddr_un nothing = {.sun_family = AF_UNIX};
    int server = open_at(&server_addr, SOCK_DGRAM);
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    for (int named = 0; named <= 1; named++) {
        if (named)
            say("bind(the family alone) = %d",
                CHECK(bind(fd, (const struct sockaddr *)&nothing,
                           sizeof(nothing.sun_family))));
        tell("client", fd, "can you answer?");
        struct sender from = receive("server", server);
        say("sendto(that address, \"yes\") = %s",
            RESULT(sendto(server, "yes", 3, 0, (struct sockaddr *)&from.addr,
                          from.len),
                   ENOTCONN));
        role("client");
    }
    receive("client", fd);
    CHECK(close(fd));
    close_at(server, &server_addr);
}

/* One buffer too short, one datagram of no bytes, one length asked first. */
static void one_by_one(void)
{
    char buf[3];
    int server = open_at(&server_addr, SOCK_DGRAM);
    int ann = open_at(&clients[0].addr, SOCK_DGRAM);

    tell("ann", ann, "red wine");
    tell("ann", ann, "");
    role("server");
    say("recv(3 bytes) = %d \"%.3s\"", CHECK(recv(server, buf, 3, 0)), buf);
    receive("server", server);
    tell("ann", ann, "green tea");
    close_at(ann, &clients[0].addr);
    role("server");
    say("recv(3 bytes, MSG_PEEK|MSG_TRUNC) = %d \"%.3s\"",
        CHECK(recv(server, buf, 3, MSG_PEEK | MSG_TRUNC)), buf);
    receive("server", server);
    close_at(server, &server_addr);
}

static _Noreturn void count(int server)
{
    int number, next = 0, received = 0, disordered = 0;

    role("server");
    while (CHECK(recv(server, &number, sizeof(number), 0)) > 0) {
        disordered += number < next;
        next = number + 1;
        received++;
    }
    say("received %d, lost %d, doubled or out of order %d", received,
        DATAGRAMS - received, disordered);
    _exit(EXIT_SUCCESS);
}

/* Nobody reads until the queue is full: there is no server yet. */
static void ten_thousand(void)
{
    int number = -1;
    const char *result;
    int server = open_at(&server_addr, SOCK_DGRAM);
    int fd = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));

    role("client");
    CHECK(connect(fd, (const struct sockaddr *)&server_addr,
                  sizeof(server_addr)));
    do {
        number++;
        result =
            RESULT(send(fd, &number, sizeof(number), MSG_DONTWAIT), EAGAIN);
    } while (*result != '-');    // it says "-1 EAGAIN", or how much was sent
    say("send(MSG_DONTWAIT), again and again: %s", result);
    say("send() that one again, then all the others");
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(fd));
        count(server);
    }
    close_at(server, &server_addr);    // it is the child's now
    for (; number < DATAGRAMS; number++)
        CHECK(send(fd, &number, sizeof(number), 0));
    CHECK(send(fd, NULL, 0, 0));    // no number: that was all
    reap(child);
    CHECK(close(fd));
}

static void errors(void)
{
    static const char text[65536];
    int eve = CHECK(socket(AF_UNIX, SOCK_DGRAM, 0));
    role("eve");
    say("no file: sendto() = %s", RESULT(sendto_server(eve, "", 0), ENOENT));
    int stream = open_at(&server_addr, SOCK_STREAM);
    say("a stream: sendto() = %s",
        RESULT(sendto_server(eve, "", 0), EPROTOTYPE));
    CHECK(close(stream));
    say("its file, the stream closed: sendto() = %s",
        RESULT(sendto_server(eve, "", 0), ECONNREFUSED));
    CHECK(unlink(server_addr.sun_path));
    int server = open_at(&server_addr, SOCK_DGRAM);
    CHECK(setsockopt(eve, SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)));
    say("longer than SO_SNDBUF: sendto() = %s",
        RESULT(sendto_server(eve, text, sizeof(text)), EMSGSIZE));
    int ann = open_at(&clients[0].addr, SOCK_DGRAM);
    CHECK(connect(server, (const struct sockaddr *)&clients[0].addr,
                  sizeof(clients[0].addr)));
    say("a server connected to ann.sock: sendto() = %s",
        RESULT(sendto_server(eve, "", 0), EPERM));
    tell("ann", ann, "hello");
    receive("server", server);
    CHECK(close(eve));
    close_at(ann, &clients[0].addr);
    close_at(server, &server_addr);
}

int main(void)
{
    step("Who sent this datagram?");
    three_clients();

    step("Can a client without a name be answered?");
    no_name();

    step("Is one send one receive?");
    one_by_one();

    step("Nobody reads yet: how many of 1000 datagrams are lost?");
    ten_thousand();

    step("In how many ways can sendto() fail?");
    errors();
}
