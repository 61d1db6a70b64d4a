/*
 * 26-stop-and-take-over -- how does a server end without harm to its clients?
 *
 * When the last descriptor of the listener is closed, also by the end of the
 * server, the clients that wait in the queue are thrown out. shutdown() lets
 * nobody else in, and accept() still returns those who wait. When accept()
 * fails with EINVAL, the queue is empty, and the server can end. shutdown()
 * also ends the accept() of another thread, whether it waits there already or
 * comes later. If a new server has a copy of the listener, it has the queue,
 * too. If it has a listener of its own, rename() gives it the name in one step,
 * and the old server empties its own queue.
 *
 *     client ----> "server.sock" ----> [ queue ] ----> accept()    server
 *                  unlink(),           shutdown(): nobody else
 *                  rename()            close(): thrown out
 *
 * See unix(7), shutdown(2), accept(2), sigwait(3), rename(2), flock(2).
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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
static const struct sockaddr_un new_address = {.sun_family = AF_UNIX,
                                               .sun_path = "server.new"};
static const char *const lock_path = "server.lock";

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

static int open_server(const struct sockaddr_un *address)
{
    int listener = new_socket();

    int bound = CHECK(bind_to(listener, address));
    say("bind(listener, \"%s\") = %d", address->sun_path, bound);
    int listening = CHECK(listen(listener, BACKLOG));
    say("listen(listener) = %d", listening);
    return listener;
}

/* A client that is connected, and waits to be accepted. From here on the
 * process speaks as this client, until the caller calls role(). */
static int open_client(const char *name)
{
    int to_server = new_socket();

    role(name);
    int connected = CHECK(connect_to(to_server, &server_address));
    say("connect(\"%s\") = %d", server_address.sun_path, connected);
    return to_server;
}

static void write_text(const char *name, int fd, const char *text)
{
    int n = CHECK(write(fd, text, strlen(text)));

    say("write(%s, \"%s\") = %d", name, text, n);
}

static void read_text(const char *name, int fd)
{
    char buf[ROOM];
    int n = CHECK(read(fd, buf, sizeof(buf)));

    say("read(%s) = %d \"%.*s\"", name, n, n, buf);
}

static void close_listener(int listener)
{
    int closed = CHECK(close(listener));

    say("close(listener) = %d", closed);
}

static void shut_down_listener(int listener)
{
    int shut = CHECK(shutdown(listener, SHUT_RDWR));

    say("shutdown(listener, SHUT_RDWR) = %d", shut);
}

static int accept_client(int listener)
{
    char buf[ROOM];

    int to_client = CHECK(accept(listener, NULL, NULL));
    int n = CHECK(read(to_client, buf, sizeof(buf)));
    say("accept(listener), read(to_client) = %d \"%.*s\"", n, n, buf);
    return to_client;
}

/* The queue is empty, and nobody can come any more. So accept() fails, and
 * there is nothing to read. */
static void accept_nobody(int listener)
{
    const char *result = RESULT(accept(listener, NULL, NULL), EINVAL);

    say("accept(listener), read(to_client) = %s", result);
}

/* ---- Step 1. The server is a process of its own, and is killed. ---- */

/* It sends a dot when it listens. When the other end of the pair is closed, it
 * kills itself: a crash just when the lab wants one. */
static _Noreturn void run_killed_server(int to_clients)
{
    char byte;

    open_server(&server_address);
    CHECK(send(to_clients, ".", 1, 0));
    CHECK(recv(to_clients, &byte, 1, 0));    // returns 0
    say("kill(getpid(), SIGKILL) ...");
    CHECK(kill(getpid(), SIGKILL));
    _exit(EXIT_FAILURE);    // never comes to this
}

static void read_twice(const char *name, int to_server)
{
    char buf[ROOM];

    role(name);
    const char *result = RESULT(read(to_server, buf, sizeof(buf)), ECONNRESET);
    say("read(to_server) = %s", result);
    result = RESULT(read(to_server, buf, sizeof(buf)), ECONNRESET);
    say("read(to_server) = %s", result);
}

/* Two clients are in the queue. bob has written, carol has not. */
static void kill_with_a_queue(void)
{
    int sv[2];
    char dot;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t server = CHECK(fork());
    if (server == 0) {
        role("server");
        CHECK(close(sv[0]));
        run_killed_server(sv[1]);
    }
    CHECK(close(sv[1]));
    CHECK(recv(sv[0], &dot, 1, 0));
    int bob = open_client("bob");
    write_text("to_server", bob, "cake");
    int carol = open_client("carol");

    CHECK(close(sv[0]));
    CHECK(waitpid(server, NULL, 0));    // not reap(): it is killed on purpose
    read_twice("bob", bob);
    read_twice("carol", carol);

    CHECK(close(bob));
    CHECK(close(carol));
    CHECK(unlink(server_address.sun_path));
}

/* ---- Step 2. One process plays all roles. ---- */

/* bob is in the queue. eve comes too late. The listener has no O_NONBLOCK. */
static void shut_down_with_a_queue(void)
{
    int eve = new_socket();

    role("server");
    int listener = open_server(&server_address);
    int bob = open_client("bob");
    write_text("to_server", bob, "cake");

    role("server");
    shut_down_listener(listener);
    role("eve");
    const char *result = RESULT(connect_to(eve, &server_address), ECONNREFUSED);
    say("connect(\"%s\") = %s", server_address.sun_path, result);

    role("server");
    int to_bob = accept_client(listener);
    write_text("to_client", to_bob, "4 euro");
    accept_nobody(listener);
    role("bob");
    read_text("to_server", bob);

    CHECK(close(bob));
    CHECK(close(eve));
    CHECK(close(to_bob));
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

/* ---- Step 3. The server is a process of its own, with two threads. ---- */

struct worker {
    int listener;
    int to_admin;
};

/* The admin gets a dot just before the worker calls accept(). */
static void *work(void *arg)
{
    const struct worker *own = arg;

    role("worker");
    say("accept(listener) ...");
    CHECK(send(own->to_admin, ".", 1, 0));

    // It may wait here until shutdown().
    const char *result = RESULT(accept(own->listener, NULL, NULL), EINVAL);
    say("accept(listener) = %s", result);
    return NULL;
}

/* SIGTERM is blocked before the thread starts, so no thread is interrupted by
 * it: the signal waits until sigwait() takes it. */
static _Noreturn void run_server(int to_admin)
{
    sigset_t signals;
    pthread_t thread;
    int number;

    CHECK(sigemptyset(&signals));
    CHECK(sigaddset(&signals, SIGTERM));
    CHECK_PTHREAD(pthread_sigmask(SIG_BLOCK, &signals, NULL));

    struct worker worker = {.listener = open_server(&server_address),
                            .to_admin = to_admin};
    CHECK_PTHREAD(pthread_create(&thread, NULL, work, &worker));

    CHECK_PTHREAD(sigwait(&signals, &number));
    say("sigwait() -> %s", number == SIGTERM ? "SIGTERM" : "another signal");

    // The file first: after shutdown() a new server may make its own file here.
    int removed = CHECK(unlink(server_address.sun_path));
    say("unlink(\"%s\") = %d", server_address.sun_path, removed);
    say("shutdown(listener, SHUT_RDWR) ...");
    CHECK(shutdown(worker.listener, SHUT_RDWR));

    CHECK_PTHREAD(pthread_join(thread, NULL));
    close_listener(worker.listener);
    say("exit ...");
    _exit(EXIT_SUCCESS);
}

/* The dot says that the worker is about to call accept(). When the server has
 * ended, eve finds no file. */
static void stop_by_signal(void)
{
    int sv[2];
    char dot;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t server = CHECK(fork());
    if (server == 0) {
        role("server");
        CHECK(close(sv[0]));
        run_server(sv[1]);
    }
    role("admin");
    CHECK(close(sv[1]));
    CHECK(recv(sv[0], &dot, 1, 0));

    say("kill(server, SIGTERM) ...");
    CHECK(kill(server, SIGTERM));
    reap(server);

    role("eve");
    int eve = new_socket();
    const char *result = RESULT(connect_to(eve, &server_address), ENOENT);
    say("connect(\"%s\") = %s", server_address.sun_path, result);

    CHECK(close(eve));
    CHECK(close(sv[0]));
}

/* ---- Step 4. The new server is a child of the old one. ---- */

/* Makes the file of the lock if there is none. */
static int ask_for_lock(void)
{
    int lock = CHECK(open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));

    const char *result = RESULT(flock(lock, LOCK_EX | LOCK_NB), EAGAIN);
    say("flock(lock, LOCK_EX | LOCK_NB) = %s", result);
    return lock;
}

/* For a text that another process waits for. Print first, then write: after
 * write() the other process may print. */
static void announce_and_write(const char *name, int fd, const char *text)
{
    say("write(%s, \"%s\") ...", name, text);
    CHECK(write(fd, text, strlen(text)));
}

static void accept_and_answer(int listener, const char *text)
{
    int to_client = accept_client(listener);

    announce_and_write("to_client", to_client, text);
    CHECK(close(to_client));
}

/* Waits until the first process tells this one to go on. At end of file the
 * first process is gone, and the lab has ended. */
static void wait_for_dot(int fd)
{
    char dot;

    int n = CHECK(read(fd, &dot, 1));
    if (n == 0)
        _exit(EXIT_FAILURE);
}

/* The new server. It has the listener and the lock, because fork() has copied
 * all descriptors. The first dot comes when the old server has closed both, and
 * the third server has been refused. The second dot comes when eve has tried to
 * connect. Only edit 2 of "Break it" needs it: there accept() fails and ends
 * the lab, and without this dot that would be before eve tries. */
static _Noreturn void run_successor(int listener, int from_first)
{
    role("new");
    wait_for_dot(from_first);
    accept_and_answer(listener, "4 euro");
    wait_for_dot(from_first);
    accept_and_answer(listener, "2 euro");
    _exit(EXIT_SUCCESS);
}

/* The first process plays the old server, the third server, and the clients. A
 * pipe is enough for its dots: they all go one way. */
static void hand_over_the_listener(void)
{
    int ends[2];

    CHECK(pipe(ends));
    role("old");
    int lock = ask_for_lock();
    int listener = open_server(&server_address);
    int bob = open_client("bob");
    write_text("to_server", bob, "cake");

    role("old");
    say("fork() ...");
    pid_t new = CHECK(fork());
    if (new == 0) {
        CHECK(close(ends[1]));
        CHECK(close(bob));
        run_successor(listener, ends[0]);
    }
    CHECK(close(ends[0]));
    close_listener(listener);
    int closed = CHECK(close(lock));
    say("close(lock) = %d", closed);
    role("third");
    int third_lock = ask_for_lock();

    CHECK(write(ends[1], ".", 1));
    role("bob");
    read_text("to_server", bob);
    int eve = open_client("eve");
    CHECK(write(ends[1], ".", 1));
    announce_and_write("to_server", eve, "jam");
    read_text("to_server", eve);

    reap(new);
    CHECK(close(ends[1]));
    CHECK(close(bob));
    CHECK(close(eve));
    CHECK(close(third_lock));
    CHECK(unlink(lock_path));
    CHECK(unlink(server_address.sun_path));
}

/* ---- Step 5. The new server is a stranger. One process plays all. ---- */

/* Who is at the other end? */
static void say_peer(int to_server)
{
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof(peer);

    CHECK(getpeername(to_server, (struct sockaddr *)&peer, &length));
    say("getpeername(to_server) -> \"%s\", %u bytes", peer.sun_path, length);
}

/* The old server answers bob, who is in its queue, and ends. */
static void end_old_server(int old, int bob)
{
    role("old");
    shut_down_listener(old);
    int to_bob = accept_client(old);
    write_text("to_client", to_bob, "4 euro");
    accept_nobody(old);
    close_listener(old);
    CHECK(close(to_bob));

    role("bob");
    read_text("to_server", bob);
    CHECK(close(bob));
}

/* carol comes while both servers live, eve when the old one has ended. */
static void hand_over_the_name(void)
{
    role("old");
    int old = open_server(&server_address);
    role("new");
    int new = open_server(&new_address);
    int bob = open_client("bob");
    write_text("to_server", bob, "cake");

    role("starter");
    int renamed = CHECK(rename(new_address.sun_path, server_address.sun_path));
    say("rename(\"%s\", \"%s\") = %d", new_address.sun_path,
        server_address.sun_path, renamed);
    int carol = open_client("carol");
    write_text("to_server", carol, "tea");

    end_old_server(old, bob);

    int eve = open_client("eve");
    write_text("to_server", eve, "jam");
    role("new");
    int to_carol = accept_client(new);
    write_text("to_client", to_carol, "3 euro");
    int to_eve = accept_client(new);
    write_text("to_client", to_eve, "2 euro");
    role("carol");
    read_text("to_server", carol);
    role("eve");
    read_text("to_server", eve);
    say_peer(eve);

    CHECK(close(carol));
    CHECK(close(eve));
    CHECK(close(to_carol));
    CHECK(close(to_eve));
    CHECK(close(new));
    CHECK(unlink(server_address.sun_path));
}

int main(void)
{
    step("The server is killed. What do waiting clients read?");
    kill_with_a_queue();

    step("The server shuts its listener down. Whom does it still get?");
    shut_down_with_a_queue();

    step("SIGTERM comes. What does the worker's accept() return?");
    stop_by_signal();

    step("A new server has a copy of the listener. Who answers bob?");
    hand_over_the_listener();

    step("A new server gets the name. Who gets whom?");
    hand_over_the_name();
}
