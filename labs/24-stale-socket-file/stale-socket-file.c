/*
 * 24-stale-socket-file -- what if the file is already there?
 *
 * Then bind() fails, whether the server that made the file lives or not. A
 * server that removes the file first can bind, but if the old server lives, no
 * new client finds it any more. connect() does not tell for certain whether it
 * lives: it may be about to call listen(), and what was true at connect() need
 * not be true at unlink().
 *
 *     client ----> "server.sock" ----> file ----> listener      server
 *                  until unlink()                 until close()
 *
 * See unix(7), bind(2), connect(2), unlink(2).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,     // longer than any text that is sent here
    BACKLOG = 4    // more than ever wait in a queue here
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

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

/* There must be no file of this name. */
static void bind_first(int fd)
{
    int bound = CHECK(bind_to(fd, &server_address));

    say("bind(listener, \"%s\") = %d", server_address.sun_path, bound);
}

/* There may be a file. */
static void try_to_bind(int fd)
{
    const char *result = RESULT(bind_to(fd, &server_address), EADDRINUSE);

    say("bind(listener, \"%s\") = %s", server_address.sun_path, result);
}

static void start_to_listen(int fd)
{
    int listening = CHECK(listen(fd, BACKLOG));

    say("listen(listener) = %d", listening);
}

static int open_server(void)
{
    int listener = new_socket();

    bind_first(listener);
    start_to_listen(listener);
    return listener;
}

/* The file may be gone already. */
static void remove_file(void)
{
    const char *result = RESULT(unlink(server_address.sun_path), ENOENT);

    say("unlink(\"%s\") = %s", server_address.sun_path, result);
}

/* What a careful server does first, to learn whether another server lives. */
static void ask_by_connect(void)
{
    int probe = new_socket();

    const char *result =
        RESULT(connect_to(probe, &server_address), ECONNREFUSED);
    say("connect(\"%s\") = %s", server_address.sun_path, result);
    CHECK(close(probe));
}

/* A client writes who it is, so that the server can say whom it has got. What
 * it has written stays in the server's queue when it closes its socket. From
 * here on the process speaks as the client, until the caller calls role(). */
static void run_client(const char *name, const char *text)
{
    int to_server = new_socket();

    role(name);
    int connected = CHECK(connect_to(to_server, &server_address));
    int n = CHECK(write(to_server, text, strlen(text)));
    say("connect(\"%s\") = %d, write(\"%s\") = %d", server_address.sun_path,
        connected, text, n);
    CHECK(close(to_server));
}

/* Without O_NONBLOCK, accept() would wait if nobody is in the queue. The
 * listener keeps the flag. */
static int accept_now(int listener)
{
    int flags = CHECK(fcntl(listener, F_GETFL));

    CHECK(fcntl(listener, F_SETFL, flags | O_NONBLOCK));
    return accept(listener, NULL, NULL);
}

/* If accept() fails, there is nothing to read. */
static void accept_client(int listener)
{
    char text[ROOM];

    int to_client = accept_now(listener);
    if (to_client == -1 && errno == EAGAIN) {
        say("accept(listener), read(to_client) = -1 %s", error_name(errno));
        return;
    }
    check(to_client, "accept()", __FILE__, __LINE__);

    int n = CHECK(read(to_client, text, sizeof(text)));
    say("accept(listener), read(to_client) = %d \"%.*s\"", n, n, text);
    CHECK(close(to_client));
}

/* A server that nobody can find: it listens, but its queue is empty. */
static void accept_nobody(int listener)
{
    const char *result = RESULT(accept_now(listener), EAGAIN);

    say("accept(listener) = %s", result);
}

/* The old server is a process of its own, so that it can end by SIGKILL. It
 * sends a dot when it listens. When the other end of the pair is closed, it
 * kills itself: a crash just when the lab wants one. */
static _Noreturn void run_old_server(int to_new)
{
    char byte;

    open_server();
    CHECK(send(to_new, ".", 1, 0));
    CHECK(recv(to_new, &byte, 1, 0));    // 0: the other end is closed
    say("kill(getpid(), SIGKILL) ...");
    CHECK(kill(getpid(), SIGKILL));
    _exit(EXIT_FAILURE);    // never comes to this
}

/* Returns when the old server listens. */
static pid_t start_old_server(int *to_old)
{
    char dot;
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t old = CHECK(fork());
    if (old == 0) {
        role("old");
        CHECK(close(sv[0]));
        run_old_server(sv[1]);
    }
    CHECK(close(sv[1]));
    CHECK(recv(sv[0], &dot, 1, 0));
    *to_old = sv[0];
    return old;
}

/* The new server tries to bind while the old one lives, when it has crashed,
 * and as a TCP server would. Then it removes the file. */
static void bind_again(void)
{
    const int on = 1;
    int to_old;

    pid_t old = start_old_server(&to_old);
    role("new");
    int listener = new_socket();
    try_to_bind(listener);

    CHECK(close(to_old));
    CHECK(waitpid(old, NULL, 0));    // not reap(): it is killed
    try_to_bind(listener);

    int set =
        CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    say("setsockopt(listener, SO_REUSEADDR) = %d", set);
    try_to_bind(listener);

    remove_file();
    try_to_bind(listener);

    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

/* What the socket itself remembers of bind(). */
static void say_own_name(int listener)
{
    struct sockaddr_un own = {0};
    socklen_t length = sizeof(own);

    CHECK(getsockname(listener, (struct sockaddr *)&own, &length));
    say("getsockname(listener) -> \"%s\", %u bytes", own.sun_path, length);
}

/* The old server lives. ann comes before the new server starts, bob after. From
 * here on one process plays all roles. */
static void unlink_and_bind(void)
{
    role("old");
    int old = open_server();
    run_client("ann", "I am ann");

    role("new");
    remove_file();
    int new = open_server();
    run_client("bob", "I am bob");

    role("old");
    accept_client(old);
    accept_client(old);
    say_own_name(old);
    role("new");
    accept_client(new);
    say_own_name(new);

    CHECK(close(old));
    CHECK(close(new));
    CHECK(unlink(server_address.sun_path));
}

/* After that, the old server ends as a tidy server does. There is a file at its
 * path, so its unlink() succeeds. */
static void old_server_tidies_up(void)
{
    int eve = new_socket();

    role("old");
    int old = open_server();
    role("new");
    remove_file();
    int new = open_server();

    role("old");
    int closed = CHECK(close(old));
    say("close(listener) = %d", closed);
    int removed = CHECK(unlink(server_address.sun_path));
    say("unlink(\"%s\") = %d", server_address.sun_path, removed);
    role("eve");
    const char *result = RESULT(connect_to(eve, &server_address), ENOENT);
    say("connect(\"%s\") = %s", server_address.sun_path, result);
    role("new");
    accept_nobody(new);

    CHECK(close(eve));
    CHECK(close(new));
}

/* It takes two calls to open a server. The new server comes between them. */
static void ask_between_bind_and_listen(void)
{
    int old = new_socket();

    role("old");
    bind_first(old);

    role("new");
    ask_by_connect();
    remove_file();
    int new = open_server();

    role("old");
    int listening = CHECK(listen(old, BACKLOG));
    say("only now listen(listener) = %d", listening);
    run_client("ann", "I am ann");
    role("old");
    accept_client(old);
    role("new");
    accept_client(new);

    CHECK(close(old));
    CHECK(close(new));
    CHECK(unlink(server_address.sun_path));
}

/* A file as a server leaves it that was killed: no socket belongs to it. */
static void make_stale_file(void)
{
    int listener = new_socket();

    role("dead");
    bind_first(listener);
    int closed = CHECK(close(listener));
    say("close(listener) = %d", closed);
}

/* Two servers start at the same time, and take turns at each call: both remove
 * the file before one of them binds. */
static void order_a(void)
{
    int first = new_socket();
    int second = new_socket();

    make_stale_file();
    role("first");
    ask_by_connect();
    role("second");
    ask_by_connect();

    role("first");
    remove_file();
    role("second");
    remove_file();

    role("first");
    try_to_bind(first);
    role("second");
    try_to_bind(second);

    role("first");
    start_to_listen(first);
    run_client("ann", "I am ann");
    role("first");
    accept_client(first);

    CHECK(close(first));
    CHECK(close(second));
    CHECK(unlink(server_address.sun_path));
}

/* Here the second server is slow. It has asked in time, but when it goes on,
 * the first server listens, and has a client. */
static void order_b(void)
{
    make_stale_file();
    role("first");
    ask_by_connect();
    role("second");
    ask_by_connect();

    role("first");
    remove_file();
    int first = open_server();
    run_client("ann", "I am ann");

    role("second");
    remove_file();
    int second = open_server();
    run_client("bob", "I am bob");

    role("first");
    accept_client(first);
    accept_client(first);
    role("second");
    accept_client(second);

    CHECK(close(first));
    CHECK(close(second));
    CHECK(unlink(server_address.sun_path));
}

int main(void)
{
    step("The file of an old server is there. When can a new one bind?");
    bind_again();

    step("The new server removes the file. Who gets which client?");
    unlink_and_bind();

    step("The old server ends, and removes its file. Which file is that?");
    old_server_tidies_up();

    step("The new server asks by connect(). Is the old one gone?");
    ask_between_bind_and_listen();

    step("Two servers start, and both ask first. Who has the name?");
    order_a();
    order_b();
}
