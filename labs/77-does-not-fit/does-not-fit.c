/*
 * 77-does-not-fit -- which call does not fit which socket?
 *
 * A socket has a family, a type, and a state: bound, listening, connected. A
 * call fits some of them, and the error mostly tells which of the three was
 * wrong. But some calls that do not fit are taken without a word: a second
 * connect() of a datagram socket, an address on a SOCK_SEQPACKET connection, an
 * option that only TCP reads.
 *
 *     family    socket(), setsockopt()          EPROTONOSUPPORT, EOPNOTSUPP
 *     type      connect(), listen()             EPROTOTYPE, EOPNOTSUPP
 *     state     connect(), sendto(), accept()   EISCONN, ENOTCONN, EINVAL
 *
 * See unix(7), socket(2), connect(2), listen(2), accept(2), send(2).
 */
#define _GNU_SOURCE    // for accept4()
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum { BACKLOG = 4 };    // more than ever wait in a queue here

static const char *const first_path = "first.sock";
static const char *const second_path = "second.sock";

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return address;
}

static const char *name_of(int type)
{
    if (type == SOCK_STREAM)
        return "stream";
    if (type == SOCK_DGRAM)
        return "datagram";
    if (type == SOCK_SEQPACKET)
        return "seqpacket";
    return "other";
}

/* The result as text. The only error that may happen is the one that is given:
 * 0 for none. */
static const char *text_of(long result, int error, const char *call)
{
    return result_text(result, error, error_name(error), call, __FILE__,
                       __LINE__);
}

/* With SOCK_NONBLOCK no call of this lab waits. */
static int new_socket(int type)
{
    return CHECK(socket(AF_UNIX, type | SOCK_NONBLOCK, 0));
}

static int open_bound(int type, const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = new_socket(type);

    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    return fd;
}

/* A datagram server has no queue of connections, so it does not listen. */
static int open_server(int type, const char *path)
{
    int fd = open_bound(type, path);

    if (type != SOCK_DGRAM)
        CHECK(listen(fd, BACKLOG));
    return fd;
}

static void close_server(int fd, const char *path)
{
    CHECK(close(fd));
    CHECK(unlink(path));
}

static void try_connect(int fd, const char *path, int error)
{
    struct sockaddr_un address = address_of(path);

    int connected = connect(fd, (struct sockaddr *)&address, sizeof(address));
    const char *result = text_of(connected, error, "connect()");
    say("connect(\"%s\") = %s", path, result);
}

/* One client, with a new socket of this type, tries one server. Only a server
 * of the same type fits. */
static void try_one_server(int type, int type_of_server, const char *path)
{
    int fd = new_socket(type);
    int error = EPROTOTYPE;

    if (type == type_of_server)
        error = 0;
    try_connect(fd, path, error);
    CHECK(close(fd));
}

static void try_three_servers(int type)
{
    role(name_of(type));
    try_one_server(type, SOCK_STREAM, "stream.sock");
    try_one_server(type, SOCK_SEQPACKET, "seqpacket.sock");
    try_one_server(type, SOCK_DGRAM, "datagram.sock");
}

/* Three servers and three clients: each client tries each server. */
static void types_of_both(void)
{
    int stream = open_server(SOCK_STREAM, "stream.sock");
    int seqpacket = open_server(SOCK_SEQPACKET, "seqpacket.sock");
    int datagram = open_server(SOCK_DGRAM, "datagram.sock");

    try_three_servers(SOCK_STREAM);
    try_three_servers(SOCK_SEQPACKET);
    try_three_servers(SOCK_DGRAM);

    close_server(datagram, "datagram.sock");
    close_server(seqpacket, "seqpacket.sock");
    close_server(stream, "stream.sock");
}

static void say_peer(int fd)
{
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof(peer);

    CHECK(getpeername(fd, (struct sockaddr *)&peer, &length));
    say("getpeername() -> \"%s\"", peer.sun_path);
}

/* Both servers are there, and both fit the type of the client. */
static void connect_twice(int type, int error)
{
    int first = open_server(type, first_path);
    int second = open_server(type, second_path);
    int fd = new_socket(type);

    role(name_of(type));
    try_connect(fd, first_path, 0);
    try_connect(fd, second_path, error);
    say_peer(fd);

    CHECK(close(fd));
    close_server(second, second_path);
    close_server(first, first_path);
}

/* `name` is what the descriptor is called in the line. MSG_NOSIGNAL: an error
 * must not come as a signal. */
static void try_sendto(const char *name, int fd, const char *text,
                       const char *path, int error)
{
    struct sockaddr_un address = address_of(path);

    ssize_t n = sendto(fd, text, strlen(text), MSG_NOSIGNAL,
                       (struct sockaddr *)&address, sizeof(address));
    const char *result = text_of(n, error, "sendto()");
    say("sendto(%s, \"%s\", \"%s\") = %s", name, text, path, result);
}

/* What this server has got, if it has got anything. */
static void receive(const char *server, int fd)
{
    char text[64];    // longer than any text that is sent here

    role(server);
    ssize_t n = recv(fd, text, sizeof(text), 0);
    if (n > 0)
        say("recv() = %d \"%.*s\"", (int)n, (int)n, text);
    else
        say("recv() = %s", text_of(n, EAGAIN, "recv()"));
}

/* Nobody connects to the second server. So a text that was sent is with the
 * first server, or nowhere. The same holds for SOCK_SEQPACKET, below. */
static void address_on_stream(void)
{
    int first = open_server(SOCK_STREAM, first_path);
    int second = open_server(SOCK_STREAM, second_path);
    int alone = new_socket(SOCK_STREAM);
    int to_first = new_socket(SOCK_STREAM);
    struct sockaddr_un address = address_of(first_path);

    CHECK(connect(to_first, (struct sockaddr *)&address, sizeof(address)));
    int connection = CHECK(accept4(first, NULL, NULL, SOCK_NONBLOCK));
    role("stream");
    try_sendto("alone", alone, "for first", first_path, EOPNOTSUPP);
    try_sendto("to_first", to_first, "for second", second_path, EISCONN);
    receive("first", connection);

    CHECK(close(connection));
    CHECK(close(to_first));
    CHECK(close(alone));
    close_server(second, second_path);
    close_server(first, first_path);
}

static void address_on_seqpacket(void)
{
    int first = open_server(SOCK_SEQPACKET, first_path);
    int second = open_server(SOCK_SEQPACKET, second_path);
    int alone = new_socket(SOCK_SEQPACKET);
    int to_first = new_socket(SOCK_SEQPACKET);
    struct sockaddr_un address = address_of(first_path);

    CHECK(connect(to_first, (struct sockaddr *)&address, sizeof(address)));
    int connection = CHECK(accept4(first, NULL, NULL, SOCK_NONBLOCK));
    role("seqpacket");
    try_sendto("alone", alone, "for first", first_path, ENOTCONN);
    try_sendto("to_first", to_first, "for second", second_path, 0);
    receive("first", connection);

    CHECK(close(connection));
    CHECK(close(to_first));
    CHECK(close(alone));
    close_server(second, second_path);
    close_server(first, first_path);
}

static void address_on_datagram(void)
{
    int first = open_server(SOCK_DGRAM, first_path);
    int second = open_server(SOCK_DGRAM, second_path);
    int alone = new_socket(SOCK_DGRAM);
    int to_first = new_socket(SOCK_DGRAM);
    struct sockaddr_un address = address_of(first_path);

    CHECK(connect(to_first, (struct sockaddr *)&address, sizeof(address)));
    role("datagram");
    try_sendto("alone", alone, "for first", first_path, 0);
    receive("first", first);
    role("datagram");
    try_sendto("to_first", to_first, "for second", second_path, 0);
    receive("first", first);
    receive("second", second);
    role("datagram");
    int n = CHECK(send(to_first, "again", strlen("again"), MSG_NOSIGNAL));
    say("send(to_first, \"again\") = %d", n);
    receive("first", first);
    receive("second", second);

    CHECK(close(to_first));
    CHECK(close(alone));
    close_server(second, second_path);
    close_server(first, first_path);
}

/* There is no client, so accept() never returns a connection here. */
static void try_accept(int fd, int error)
{
    int connection = accept(fd, NULL, NULL);
    const char *result = text_of(connection, error, "accept()");

    say("accept() = %s", result);
}

static void try_listen(int fd, int error)
{
    int listening = listen(fd, BACKLOG);
    const char *result = text_of(listening, error, "listen()");

    say("listen() = %s", result);
}

/* A server with a name calls accept() before listen(), and after it. The
 * errors are those of the first accept(), of listen() and of the second
 * accept(). */
static void accept_listen_accept(int type, int before, int at_listen, int after)
{
    int fd = open_bound(type, first_path);

    role(name_of(type));
    try_accept(fd, before);
    try_listen(fd, at_listen);
    try_accept(fd, after);

    close_server(fd, first_path);
}

/* socket() returns a descriptor, whose number says nothing. */
static void try_socket(int family, int error)
{
    int fd = socket(family, SOCK_STREAM, IPPROTO_TCP);

    if (fd == -1) {
        const char *result = text_of(fd, error, "socket()");
        say("socket(SOCK_STREAM, IPPROTO_TCP) = %s", result);
        return;
    }
    say("socket(SOCK_STREAM, IPPROTO_TCP) = fd");
    CHECK(close(fd));
}

static void try_no_delay(int fd, int error)
{
    const int on = 1;

    int set = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const char *result = text_of(set, error, "setsockopt()");
    say("setsockopt(TCP_NODELAY, %d) = %s", on, result);
}

/* Sets the option, and asks what is set. */
static void set_keep_alive(int fd)
{
    const int on = 1;
    int value = 0;
    socklen_t length = sizeof(value);

    int set = CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
    CHECK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &length));
    say("setsockopt(SO_KEEPALIVE, %d) = %d, getsockopt() -> %d", on, set,
        value);
}

/* What a program for TCP does at the beginning, and the same with AF_UNIX. */
static void moved_from_tcp(void)
{
    int tcp = CHECK(socket(AF_INET, SOCK_STREAM, 0));
    int local = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    role("TCP");
    try_socket(AF_INET, 0);
    role("AF_UNIX");
    try_socket(AF_UNIX, EPROTONOSUPPORT);
    role("TCP");
    try_no_delay(tcp, 0);
    role("AF_UNIX");
    try_no_delay(local, EOPNOTSUPP);
    role("TCP");
    set_keep_alive(tcp);
    role("AF_UNIX");
    set_keep_alive(local);

    CHECK(close(local));
    CHECK(close(tcp));
}

int main(void)
{
    step("Three types of clients, and of servers. Which fit together?");
    types_of_both();

    step("connect() is called twice. Who is the peer?");
    connect_twice(SOCK_STREAM, EISCONN);
    connect_twice(SOCK_SEQPACKET, EISCONN);
    connect_twice(SOCK_DGRAM, 0);

    step("sendto() has an address. Who gets the text?");
    address_on_stream();
    address_on_seqpacket();
    address_on_datagram();

    step("accept() comes before listen(). What does each of them say?");
    accept_listen_accept(SOCK_STREAM, EINVAL, 0, EAGAIN);
    accept_listen_accept(SOCK_SEQPACKET, EINVAL, 0, EAGAIN);
    accept_listen_accept(SOCK_DGRAM, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP);

    step("A program is moved from TCP. What is refused?");
    moved_from_tcp();
}
