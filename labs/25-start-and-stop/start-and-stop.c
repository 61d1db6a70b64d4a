/*
 * 25-start-and-stop -- how does a server start and stop without harm?
 *
 * It takes a lock, which no one else can have while it lives. With the lock it
 * may unlink the file that it finds, and removes its own when SIGTERM comes.
 * rename() puts a server that listens in the place of one that does.
 *
 *     client ----> "server.sock" ----> listener  server
 *                  "server.lock" ----> lock      server
 *
 * See unix(7), rename(2), flock(2), signalfd(2), signal(7).
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/lab.h"

/* An address, as bind() and connect() take it, and its length. */
#define AT(path)                                                               \
    ((const struct sockaddr *)&(const struct sockaddr_un){                     \
        .sun_family = AF_UNIX, .sun_path = {path}})
enum { LEN = sizeof(struct sockaddr_un) };

static int new_socket(void)
{
    return CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int listening(void)
{
    int listener = new_socket();

    int bound = CHECK(bind(listener, AT("server.sock"), LEN));
    int result = CHECK(listen(listener, 8));    // so many may wait
    say("bind(\"server.sock\") = %d, listen() = %d", bound, result);
    return listener;
}

/* Here and in the next step one process plays all. */
static void gap(void)
{
    int client = new_socket(), new = new_socket();

    role("old");
    int old = listening();
    role("new");
    say("unlink() = %d", CHECK(unlink("server.sock")));
    role("client");
    say("connect() = %s",
        RESULT(connect(client, AT("server.sock"), LEN), ENOENT));
    role("new");
    say("bind() = %d", CHECK(bind(new, AT("server.sock"), LEN)));
    role("client");
    say("connect() = %s",
        RESULT(connect(client, AT("server.sock"), LEN), ECONNREFUSED));
    role("new");
    say("listen() = %d", CHECK(listen(new, 8)));
    role("client");
    say("connect() = %d", CHECK(connect(client, AT("server.sock"), LEN)));
    CHECK(close(client));
    CHECK(close(old));
    CHECK(close(new));
    CHECK(unlink("server.sock"));
}

/* A peer's name is the one that it has bound: it tells which server that is. */
static void reach_one(void)
{
    struct sockaddr_un name = {0};
    socklen_t len = sizeof(name);
    int client = new_socket();

    role("client");
    int result = CHECK(connect(client, AT("server.sock"), LEN));
    CHECK(getpeername(client, (struct sockaddr *)&name, &len));
    say("connect(\"server.sock\") = %d, getpeername() \"%s\"", result,
        name.sun_path);
    CHECK(close(client));
}

/* At each moment the name leads to a server that listens. */
static void no_gap(void)
{
    struct sockaddr_un name = {0};
    socklen_t len = sizeof(name);
    int new = new_socket();

    role("old");
    int old = listening();
    role("new");
    say("bind(\"server.tmp\") = %d", CHECK(bind(new, AT("server.tmp"), LEN)));
    reach_one();
    role("new");
    say("listen() = %d", CHECK(listen(new, 8)));
    reach_one();
    role("new");
    say("rename(\"server.tmp\", \"server.sock\") = %d",
        CHECK(rename("server.tmp", "server.sock")));
    reach_one();
    role("new");
    CHECK(getsockname(new, (struct sockaddr *)&name, &len));
    say("getsockname() \"%s\"", name.sun_path);
    CHECK(close(old));
    CHECK(close(new));
    CHECK(unlink("server.sock"));
}

/* Nobody unlinks this file while there may be servers: one would hold a lock
 * on the file that is gone, and another on the next of that name. */
static int open_lock(void)
{
    return CHECK(open("server.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

/* The lock is kept until the process ends, in whatever way that may be. */
static int alone(int lock)
{
    say("flock(LOCK_EX|LOCK_NB) = %d", CHECK(flock(lock, LOCK_EX | LOCK_NB)));
    say("unlink() = %s", RESULT(unlink("server.sock"), ENOENT));
    return listening();
}

/* A byte from the other end. At end of file, who had it has failed, and has
 * said why. */
static void wait_for_byte(int end)
{
    char byte;

    if (CHECK(read(end, &byte, 1)) == 0)
        _exit(EXIT_FAILURE);
}

/* The server writes to the other end as soon as it listens. */
static pid_t start(void (*server)(int end), int *end)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(close(sv[0]));
        server(sv[1]);
        _exit(EXIT_SUCCESS);
    }
    CHECK(close(sv[1]));
    wait_for_byte(sv[0]);
    *end = sv[0];
    return child;
}

static void doomed_server(int end)
{
    role("first");
    alone(open_lock());
    CHECK(write(end, "", 1));
    wait_for_byte(end);
    say("kill(getpid(), SIGKILL)");
    CHECK(kill(getpid(), SIGKILL));
}

/* The first has opened and locked the file by itself: if it had inherited the
 * descriptor, the two would share one lock. */
static void lock(void)
{
    int end, status;
    pid_t first = start(doomed_server, &end);

    role("second");
    int fd = open_lock();
    say("flock() = %s", RESULT(flock(fd, LOCK_EX | LOCK_NB), EAGAIN));
    CHECK(write(end, "", 1));
    CHECK(waitpid(first, &status, 0));
    say("the first was killed: %s",
        WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? "yes" : "no");
    CHECK(close(alone(fd)));
    CHECK(unlink("server.sock"));
    CHECK(close(fd));
    CHECK(close(end));
}

/* A blocked signal is not lost: it waits, and poll() sees it by signalfd().
 * With a handler that sets a flag, the signal could come after the flag has
 * been looked at and before accept() waits, and would not be noticed. */
static void polite_server(int end)
{
    sigset_t term;

    role("server");
    CHECK(sigemptyset(&term));
    CHECK(sigaddset(&term, SIGTERM));
    CHECK(sigprocmask(SIG_BLOCK, &term, NULL));
    int signals = CHECK(signalfd(-1, &term, SFD_CLOEXEC));
    int listener = alone(open_lock());
    CHECK(write(end, "", 1));

    struct pollfd event[] = {{.fd = listener, .events = POLLIN},
                             {.fd = signals, .events = POLLIN}};
    while (CHECK(poll(event, 2, -1)) > 0 && event[1].revents == 0) {
        int peer = CHECK(accept(listener, NULL, NULL));
        CHECK(write(peer, "welcome", 7));    // if it has gone: lab 22
        CHECK(close(peer));
    }
    say("poll(): SIGTERM; unlink() = %d", CHECK(unlink("server.sock")));
}

static void stop(void)
{
    char buf[16];
    int end, status;
    pid_t server = start(polite_server, &end);

    role("client");
    int client = new_socket();
    CHECK(connect(client, AT("server.sock"), LEN));
    ssize_t n = CHECK(read(client, buf, sizeof(buf)));
    say("connect(), read() = %zd \"%.*s\"", n, (int)n, buf);
    CHECK(close(client));
    say("kill(server, SIGTERM)");
    CHECK(kill(server, SIGTERM));
    CHECK(waitpid(server, &status, 0));
    say("waitpid(): exited: %s, with status %d",
        WIFEXITED(status) ? "yes" : "no", WEXITSTATUS(status));
    client = new_socket();
    say("connect() = %s",
        RESULT(connect(client, AT("server.sock"), LEN), ENOENT));
    CHECK(close(client));
    CHECK(close(end));
    say("unlink(\"server.lock\") = %s",    // no server is left
        RESULT(unlink("server.lock"), ENOENT));
}

int main(void)
{
    step("unlink(), bind(), listen(): what does a client meet meanwhile?");
    gap();

    step("And when rename() replaces the file?");
    no_gap();

    step("How does a server know that no other is alive?");
    lock();

    step("SIGTERM comes: what is left?");
    stop();
}
