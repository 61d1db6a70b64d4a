/*
 * 21-named-server -- what do bind(), listen() and accept() each do?
 *
 * bind() gives the socket a name, and makes a file. listen() makes the socket a
 * listener: from then on clients can connect and write, and wait in its queue.
 * accept() takes one client out of the queue and returns a new socket. All data
 * go by the new socket. When the listener is closed, the new socket lives on,
 * and the clients in the queue lose their connection. A server that stays with
 * one client until the end lets all others wait.
 *
 *     client                                          server
 *
 *     to_server ---- connect() ---> [ queue ] ------- listener, "server.sock"
 *                                       |
 *                                       |  accept()
 *                                       v
 *     to_server <=============== data =============>  to_client
 *
 * See unix(7), bind(2), listen(2), accept(2), connect(2), poll(2).
 */
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,     // longer than any text that is sent here
    BACKLOG = 4    // more than ever wait in the queue here
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};
static const struct sockaddr_un ann_address = {.sun_family = AF_UNIX,
                                               .sun_path = "ann.sock"};

static int new_socket(void)
{
    return CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
    return bind(fd, (const struct sockaddr *)address, sizeof(*address));
}

static int connect_to(int fd, const struct sockaddr_un *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* Step 1 looks at each of these calls. */
static int open_server(void)
{
    int listener = new_socket();

    CHECK(bind_to(listener, &server_address));
    CHECK(listen(listener, BACKLOG));
    return listener;
}

/* The file stays after close(), and the next bind() would fail. So the file
 * goes, too. */
static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

/* A client without a name of its own. */
static int open_client(void)
{
    int to_server = new_socket();

    int result = CHECK(connect_to(to_server, &server_address));
    say("connect(\"%s\") = %d", server_address.sun_path, result);
    return to_server;
}

/* Before the call, the length says how much room there is for the address of
 * the client. After the call, it says how long that address is. */
static int accept_client(int listener)
{
    struct sockaddr_un from = {0};
    socklen_t length = sizeof(from);

    int to_client = CHECK(accept(listener, (struct sockaddr *)&from, &length));
    say("accept(listener) -> \"%s\", %u bytes", from.sun_path, length);
    return to_client;
}

static void write_text(const char *name, int fd, const char *text)
{
    int n = CHECK(write(fd, text, strlen(text)));

    say("write(%s, \"%s\") = %d", name, text, n);
}

/* `name` is what fd is called in the caller. */
static int read_text(const char *name, int fd, char buf[ROOM])
{
    int n = CHECK(read(fd, buf, ROOM));

    say("read(%s) = %d \"%.*s\"", name, n, n, buf);
    return n;
}

/* One process plays the server and the client. The server calls listen() once
 * before bind(), and accept() once before the listen() that succeeds. The
 * client tries to connect three times, with the same socket. */
static void one_by_one(void)
{
    const char *path = server_address.sun_path;
    int listener = new_socket();
    int to_server = new_socket();

    role("server");
    const char *result = RESULT(listen(listener, BACKLOG), EINVAL);
    say("listen(listener) = %s", result);
    role("client");
    result = RESULT(connect_to(to_server, &server_address), ENOENT);
    say("connect(\"%s\") = %s", path, result);

    role("server");
    int bound = CHECK(bind_to(listener, &server_address));
    say("bind(listener, \"%s\") = %d", path, bound);
    result = RESULT(accept(listener, NULL, NULL), EINVAL);
    say("accept(listener) = %s", result);
    role("client");
    result = RESULT(connect_to(to_server, &server_address), ECONNREFUSED);
    say("connect(\"%s\") = %s", path, result);

    role("server");
    int listening = CHECK(listen(listener, BACKLOG));
    say("listen(listener) = %d", listening);
    role("client");
    int connected = CHECK(connect_to(to_server, &server_address));
    say("connect(\"%s\") = %d", path, connected);

    CHECK(close(to_server));
    close_server(listener);
}

/* Asks, and does not wait. */
static void poll_now(const char *name, int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    const char *word = "";

    int n = CHECK(poll(&polled, 1, 0));
    if (polled.revents & POLLIN)
        word = " POLLIN";
    say("poll(%s) = %d%s", name, n, word);
}

/* A client needs no name. If it wants one, it binds before it connects. */
static void bind_and_connect(int to_server, const struct sockaddr_un *own)
{
    int bound = CHECK(bind_to(to_server, own));
    say("bind(to_server, \"%s\") = %d", own->sun_path, bound);

    int connected = CHECK(connect_to(to_server, &server_address));
    say("connect(\"%s\") = %d", server_address.sun_path, connected);
}

/* ann is a process of her own. She is gone when the server calls accept(). */
static void client_is_gone(void)
{
    char buf[ROOM];
    int listener = open_server();

    role("server");
    poll_now("listener", listener);
    pid_t ann = CHECK(fork());
    if (ann == 0) {
        role("ann");
        CHECK(close(listener));
        int to_server = new_socket();

        bind_and_connect(to_server, &ann_address);
        write_text("to_server", to_server, "tea");
        say("exit ...");
        _exit(EXIT_SUCCESS);    // and the kernel closes her socket
    }
    reap(ann);

    poll_now("listener", listener);
    int to_client = accept_client(listener);
    poll_now("listener", listener);
    poll_now("to_client", to_client);
    read_text("to_client", to_client, buf);
    read_text("to_client", to_client, buf);

    CHECK(close(to_client));
    CHECK(unlink(ann_address.sun_path));
    close_server(listener);
}

/* fcntl() returns all flags of the socket together. */
static void say_flag(const char *name, int fd)
{
    int flags = CHECK(fcntl(fd, F_GETFL));
    int nonblock = 0;

    if (flags & O_NONBLOCK)
        nonblock = 1;
    say("O_NONBLOCK of %s: %d", name, nonblock);
}

static void say_options(const char *name, int fd)
{
    struct timeval limit;
    int passcred;
    socklen_t length = sizeof(limit);

    CHECK(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &length));
    say("SO_SNDTIMEO of %s: %d s", name, (int)limit.tv_sec);

    length = sizeof(passcred);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &passcred, &length));
    say("SO_PASSCRED of %s: %d", name, passcred);
}

/* All is set before anybody connects. F_SETFL sets all flags, so those that
 * the socket has already are read first. One process plays the server and the
 * client. */
static void flags_and_options(void)
{
    const struct timeval limit = {.tv_sec = 5};
    const int on = 1;
    int listener = open_server();

    role("server");
    int flags = CHECK(fcntl(listener, F_GETFL));
    CHECK(fcntl(listener, F_SETFL, flags | O_NONBLOCK));
    CHECK(setsockopt(listener, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
    CHECK(setsockopt(listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    say_flag("listener", listener);
    say_options("listener", listener);
    const char *result = RESULT(accept(listener, NULL, NULL), EAGAIN);
    say("accept(listener) = %s", result);

    role("client");
    int to_server = open_client();
    role("server");
    int to_client = accept_client(listener);
    say_flag("to_client", to_client);
    say_options("to_client", to_client);

    CHECK(close(to_server));
    CHECK(close(to_client));
    close_server(listener);
}

/* The listener ends. Both clients are in its queue. */
static void end_listener(int listener, int carol_to_server, int dave_to_server)
{
    char byte;

    role("server");
    int closed = CHECK(close(listener));
    say("close(listener) = %d", closed);

    role("carol");
    const char *result = RESULT(read(carol_to_server, &byte, 1), ECONNRESET);
    say("read(to_server) = %s", result);
    role("dave");
    result = RESULT(read(dave_to_server, &byte, 1), ECONNRESET);
    say("read(to_server) = %s", result);

    CHECK(close(carol_to_server));
    CHECK(close(dave_to_server));
}

/* The file ends. The connection of ann does not need it. */
static void end_file(int bob_to_server, int to_client, int ann_to_server)
{
    const char *path = server_address.sun_path;
    char buf[ROOM];

    role("server");
    int removed = CHECK(unlink(path));
    say("unlink(\"%s\") = %d", path, removed);

    role("bob");
    const char *result =
        RESULT(connect_to(bob_to_server, &server_address), ENOENT);
    say("connect(\"%s\") = %s", path, result);
    role("server");
    write_text("to_client", to_client, "1 euro");
    role("ann");
    read_text("to_server", ann_to_server, buf);
}

/* The connection of ann ends. */
static void end_connection(int to_client, int ann_to_server)
{
    char buf[ROOM];

    role("server");
    int closed = CHECK(close(to_client));
    say("close(to_client) = %d", closed);
    role("ann");
    read_text("to_server", ann_to_server, buf);
    CHECK(close(ann_to_server));
}

/* One process plays the server and four clients. ann is accepted. carol and
 * dave are in the queue, and dave has written nothing. Then the listener, the
 * file and ann's connection end, one after the other. After each end, the lines
 * show who notices. */
static void without_listener(void)
{
    char buf[ROOM];
    int listener = open_server();
    int bob_to_server = new_socket();

    role("ann");
    int ann_to_server = open_client();
    role("server");
    int to_client = accept_client(listener);
    role("carol");
    int carol_to_server = open_client();
    write_text("to_server", carol_to_server, "soup");
    role("dave");
    int dave_to_server = open_client();

    end_listener(listener, carol_to_server, dave_to_server);
    role("bob");
    const char *result =
        RESULT(connect_to(bob_to_server, &server_address), ECONNREFUSED);
    say("connect(\"%s\") = %s", server_address.sun_path, result);
    role("ann");
    write_text("to_server", ann_to_server, "tea");
    role("server");
    read_text("to_client", to_client, buf);

    end_file(bob_to_server, to_client, ann_to_server);
    end_connection(to_client, ann_to_server);
    CHECK(close(bob_to_server));
}

/* For a text that the other process waits for. Print first, then write: after
 * write() the other process may print. The length is given, because a text that
 * was read has no 0 at its end. */
static void announce_and_write(const char *name, int fd, const char *text,
                               int length)
{
    say("write(%s, \"%.*s\") ...", name, length, text);
    CHECK(write(fd, text, (size_t)length));
}

/* Each text comes back in capitals, until the client has closed. */
static void answer_until_end(const char *name, int to_client)
{
    char text[ROOM];
    int n = read_text(name, to_client, text);

    while (n > 0) {
        /* toupper() takes no negative number, and a char may be negative. */
        for (int i = 0; i < n; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        announce_and_write(name, to_client, text, n);
        n = read_text(name, to_client, text);
    }
    CHECK(close(to_client));
}

/* One client after the other, as in many first servers. */
static _Noreturn void serve_two(int listener)
{
    role("server");
    int first = accept_client(listener);
    answer_until_end("first", first);
    int second = accept_client(listener);
    answer_until_end("second", second);

    CHECK(close(listener));
    _exit(EXIT_SUCCESS);
}

/* bob has written already. ann writes now, and gets her answer. bob gets none:
 * he looks, and does not wait. */
static void ask_while_bob_waits(int ann_to_server, int bob_to_server)
{
    const char *jam = "jam";
    char buf[ROOM];

    role("ann");
    announce_and_write("to_server", ann_to_server, jam, (int)strlen(jam));
    read_text("to_server", ann_to_server, buf);

    role("bob");
    const char *result =
        RESULT(recv(bob_to_server, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
    say("recv(to_server, %zu bytes, MSG_DONTWAIT) = %s", sizeof(buf), result);
}

/* The server is a process of its own. The first process plays both clients.
 *
 * ann has written when the server starts, so the server begins with her. After
 * fork(), one of the two processes always waits for the other, so the order of
 * the lines cannot change. */
static void two_clients(void)
{
    char buf[ROOM];
    int listener = open_server();

    role("ann");
    int ann_to_server = open_client();
    write_text("to_server", ann_to_server, "tea");
    pid_t server = CHECK(fork());
    if (server == 0) {
        CHECK(close(ann_to_server));    // or the server would never see her end
        serve_two(listener);
    }
    CHECK(close(listener));
    read_text("to_server", ann_to_server, buf);

    role("bob");
    int bob_to_server = open_client();
    write_text("to_server", bob_to_server, "cake");
    ask_while_bob_waits(ann_to_server, bob_to_server);

    role("ann");
    say("close(to_server) ...");
    CHECK(close(ann_to_server));
    role("bob");
    read_text("to_server", bob_to_server, buf);
    say("close(to_server) ...");
    CHECK(close(bob_to_server));
    reap(server);
    CHECK(unlink(server_address.sun_path));
}

int main(void)
{
    step("From when on can a client connect?");
    one_by_one();

    step("ann is gone before accept(). What does poll() say?");
    client_is_gone();

    step("What does the new socket have from its listener?");
    flags_and_options();

    step("The listener goes, then the file. Who notices?");
    without_listener();

    step("Two clients at one server: who is answered when?");
    two_clients();
}
