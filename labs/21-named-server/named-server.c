/*
 * 21-named-server -- what do bind(), listen() and accept() each do?
 *
 * bind() makes the name. listen() opens the door: from then on a client can
 * connect and write, if the queue has room. accept() only fetches one, that
 * is connected already, as a new socket; no data go by the listener.
 *
 *     client  server ---- "server.sock" ----> listener  server
 *             server <======================> peer
 *
 * See unix(7), bind(2), listen(2), accept(2), connect(2), poll(2).
 */
#define _GNU_SOURCE    // for accept4()
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = "server.sock"};

static void four_names(void)
{
    role("server");
    say("AF_UNIX %d, AF_LOCAL %d, PF_UNIX %d, PF_LOCAL %d", AF_UNIX, AF_LOCAL,
        PF_UNIX, PF_LOCAL);
}

/* One process plays both. On Linux the same socket may connect() again. */
static void one_by_one(void)
{
    const struct sockaddr *name = (const struct sockaddr *)&address;
    socklen_t len = sizeof(address);
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    int client = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    role("client");
    say("connect() = %s", RESULT(connect(client, name, len), ENOENT));
    role("server");
    say("bind() = %d", CHECK(bind(listener, name, len)));
    role("client");
    say("connect() = %s", RESULT(connect(client, name, len), ECONNREFUSED));
    role("server");
    say("accept() = %s", RESULT(accept(listener, NULL, NULL), EINVAL));
    say("listen() = %d", CHECK(listen(listener, 1)));
    role("client");
    say("connect() = %d", CHECK(connect(client, name, len)));
    CHECK(close(client));
    CHECK(close(listener));
    CHECK(unlink(address.sun_path));
}

static int opened(int type)
{
    role("server");
    int listener = CHECK(socket(AF_UNIX, type, 0));
    CHECK(bind(listener, (const struct sockaddr *)&address, sizeof(address)));
    CHECK(listen(listener, 8));
    return listener;
}

/* bind() made a file, and close() leaves it: the next bind() would fail. */
static void closed(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(address.sun_path));
}

static int connected(const char *who)
{
    role(who);
    int server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(connect(server, (const struct sockaddr *)&address, sizeof(address)));
    return server;
}

static void receive(int fd)
{
    char buf[64];    // longer than anything that is sent here
    ssize_t n = CHECK(read(fd, buf, sizeof(buf)));

    say("read() = %zd \"%.*s\"", n, (int)n, buf);
}

static void look(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    int n = CHECK(poll(&p, 1, 0));    // looks, does not wait

    say("poll(listener) = %d%s", n, p.revents & POLLIN ? " POLLIN" : "");
}

/* The client has come and gone before the server accepts it. */
static void client_first(void)
{
    int listener = opened(SOCK_STREAM);

    look(listener);
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(listener));
        role("client");
        int server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
        int result = CHECK(connect(server, (const struct sockaddr *)&address,
                                   sizeof(address)));
        int n = CHECK(write(server, "hello", 5));
        say("connect() = %d, write(\"hello\") = %d", result, n);
        _exit(EXIT_SUCCESS);    // and the kernel closes the connection
    }
    reap(child);
    look(listener);
    int peer = CHECK(accept(listener, NULL, NULL));
    say("accept(): the client");
    look(listener);
    receive(peer);
    receive(peer);
    CHECK(close(peer));
    closed(listener);
}

/* A client needs no name. If it binds one, it does so before it connects. */
static void who_is_who(int named)
{
    const struct sockaddr_un own = {.sun_family = AF_UNIX,
                                    .sun_path = "ann.sock"};
    struct sockaddr_un name = {0};
    socklen_t len = sizeof(name);
    int listener = opened(SOCK_STREAM);
    int server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    role("ann");
    if (named)
        CHECK(bind(server, (const struct sockaddr *)&own, sizeof(own)));
    CHECK(connect(server, (const struct sockaddr *)&address, sizeof(address)));
    say("%sconnect()", named ? "bind(\"ann.sock\"), " : "");
    role("server");
    int peer = CHECK(accept(listener, (struct sockaddr *)&name, &len));
    say("accept(): the client is \"%s\", %u bytes", name.sun_path, len);
    len = sizeof(name);
    CHECK(getsockname(peer, (struct sockaddr *)&name, &len));
    say("getsockname(peer): \"%s\", %u bytes", name.sun_path, len);
    CHECK(close(server));
    CHECK(close(peer));
    closed(listener);
    if (named)
        CHECK(unlink(own.sun_path));
}

static void say_flags(const char *what, int sock)
{
    int passcred;
    socklen_t len = sizeof(passcred);

    CHECK(getsockopt(sock, SOL_SOCKET, SO_PASSCRED, &passcred, &len));
    say("%s: O_NONBLOCK %s, FD_CLOEXEC %s, SO_PASSCRED %s", what,
        CHECK(fcntl(sock, F_GETFL)) & O_NONBLOCK ? "on" : "off",
        CHECK(fcntl(sock, F_GETFD)) & FD_CLOEXEC ? "on" : "off",
        passcred ? "on" : "off");
}

/* All is set before anybody connects: the kernel copies SO_PASSCRED as early
 * as that, or as late as accept(), depending on its version. */
static void inherited(void)
{
    int listener = opened(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

    CHECK(setsockopt(listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    say_flags("listener", listener);
    for (int i = 0; i < 2; i++) {
        int client = connected("client");
        role("server");
        int peer = CHECK(i == 0 ? accept(listener, NULL, NULL)
                                : accept4(listener, NULL, NULL,
                                          SOCK_NONBLOCK | SOCK_CLOEXEC));
        say_flags(i == 0 ? "accept()" : "accept4()", peer);
        CHECK(close(client));
        CHECK(close(peer));
    }
    closed(listener);
}

static void client(const char *who, const char *question)
{
    int server = connected(who);

    say("connect(), write(\"%s\")", question);
    CHECK(write(server, question, strlen(question)));
    receive(server);
    _exit(EXIT_SUCCESS);    // and the kernel closes the connection
}

/* Capitals for whatever comes, until the client has closed. The result is that
 * of the last read(). */
static ssize_t serve(int peer)
{
    char text[64];
    ssize_t n;

    while ((n = CHECK(read(peer, text, sizeof(text)))) > 0) {
        say("read() = %zd \"%.*s\"", n, (int)n, text);
        for (ssize_t i = 0; i < n; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        say("write(\"%.*s\")", (int)n, text);
        CHECK(write(peer, text, (size_t)n));
    }
    return n;
}

static void three_dialogues(void)
{
    static const char *const names[] = {"ann", "bob", "eve"};
    static const char *const questions[] = {"tea", "cake", "jam"};
    int listener = opened(SOCK_STREAM);

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        pid_t child = CHECK(fork());
        if (child == 0) {
            CHECK(close(listener));
            client(names[i], questions[i]);
        }
        int peer = CHECK(accept(listener, NULL, NULL));
        ssize_t n = serve(peer);
        say("read() = %zd, close(peer) = %d", n, CHECK(close(peer)));
        reap(child);
    }
    closed(listener);
}

int main(void)
{
    step("AF_UNIX, AF_LOCAL, PF_UNIX or PF_LOCAL?");
    four_names();

    step("From when on can a client connect?");
    one_by_one();

    step("The client is gone before accept(). What has the server got?");
    client_first();

    step("Who is at the other end, and who am I?");
    who_is_who(0);
    who_is_who(1);

    step("What does a new socket inherit from the listener?");
    inherited();

    step("How does one server talk to three clients?");
    three_dialogues();
}
