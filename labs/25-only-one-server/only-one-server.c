/*
 * 25-only-one-server -- how does a server know that it is the only one?
 *
 * It takes a lock on a second file, before it looks at the socket file. Only
 * one server can have the lock, and the kernel releases it when the server
 * ends, however it ends. Who has the lock may remove the socket file that it
 * finds. But a copy of the descriptor keeps the lock, the file of the lock must
 * stay, and a program that does not ask for the lock can still do everything.
 *
 *     first   lock ---> [ open file ] ---+
 *                                        +---> server.lock
 *     second  lock ---> [ open file ] ---+
 *
 * See flock(2), open(2), fork(2), unlink(2), unix(7).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,     // longer than any text that is sent here
    BACKLOG = 4    // more than ever wait in a queue here
};

static const char *const lock_path = "server.lock";

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
static int open_server(void)
{
    int listener = new_socket();

    int bound = CHECK(bind_to(listener, &server_address));
    say("bind(listener, \"%s\") = %d", server_address.sun_path, bound);
    int listening = CHECK(listen(listener, BACKLOG));
    say("listen(listener) = %d", listening);
    return listener;
}

/* There need not be a file. */
static void remove_socket_file(void)
{
    const char *result = RESULT(unlink(server_address.sun_path), ENOENT);

    say("unlink(\"%s\") = %s", server_address.sun_path, result);
}

/* Makes the file if there is none. What is in it does not matter. */
static int open_lock(void)
{
    say("open(\"%s\", O_CREAT) ...", lock_path);
    return CHECK(open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

/* `name` is what the descriptor is called in the caller. */
static void try_to_lock(const char *name, int lock)
{
    const char *result = RESULT(flock(lock, LOCK_EX | LOCK_NB), EAGAIN);

    say("flock(%s, LOCK_EX | LOCK_NB) = %s", name, result);
}

/* Waits until the process at the other end of a pair says that it is ready. */
static void wait_for_dot(int fd)
{
    char dot;

    CHECK(recv(fd, &dot, 1, 0));
}

/* Waits until nobody can write at the other end of a pair any more: the end is
 * closed or shut down. */
static void wait_for_end_of_file(int fd)
{
    char byte;

    CHECK(recv(fd, &byte, 1, 0));    // returns 0
}

/* Waits until the second server closes its end of the pair, and then crashes.
 */
static _Noreturn void crash(int to_second)
{
    wait_for_end_of_file(to_second);
    say("kill(getpid(), SIGKILL) ...");
    CHECK(kill(getpid(), SIGKILL));
    _exit(EXIT_FAILURE);    // not reached
}

/* It asks for the lock before it touches the socket file. */
static _Noreturn void run_first(int to_second)
{
    int lock = open_lock();
    try_to_lock("lock", lock);
    remove_socket_file();
    open_server();    // stays open until the crash

    CHECK(send(to_second, ".", 1, 0));
    crash(to_second);
}

/* The second server asks while the first one lives, and after its crash. A
 * socket file cannot be opened. So the lock needs a file of its own. */
static void crash_with_lock(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t first = CHECK(fork());
    if (first == 0) {
        role("first");
        CHECK(close(sv[0]));
        run_first(sv[1]);
    }
    role("second");
    CHECK(close(sv[1]));
    wait_for_dot(sv[0]);

    int lock = open_lock();
    try_to_lock("lock", lock);
    const char *opened = RESULT(open(server_address.sun_path, O_RDWR), ENXIO);
    say("open(\"%s\") = %s", server_address.sun_path, opened);

    CHECK(close(sv[0]));               // the first one sees end of file
    CHECK(waitpid(first, NULL, 0));    // not reap(): it is killed
    const char *found = RESULT(access(lock_path, F_OK), ENOENT);
    say("access(\"%s\") = %s", lock_path, found);
    try_to_lock("lock", lock);
    remove_socket_file();
    int listener = open_server();

    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
    CHECK(close(lock));
    CHECK(unlink(lock_path));
}

/* The helper has a copy of the lock, and outlives the first server. So it calls
 * no role(): a process with a role ends with its parent (see lab.h).
 *
 * The helper closes the lock first. Its end of the pair is closed only when it
 * exits. So when the second server sees end of file, the lock is closed. */
static _Noreturn void run_helper(int lock, int to_second)
{
    CHECK(send(to_second, ".", 1, 0));
    wait_for_end_of_file(to_second);
    CHECK(close(lock));
    _exit(EXIT_SUCCESS);
}

/* The second server talks to the first one over one pair, and to the helper
 * over another. So it can end the first one alone. */
static _Noreturn void run_first_with_helper(int to_second, int helper_to_second)
{
    int lock = open_lock();
    try_to_lock("lock", lock);

    say("fork() ...");
    pid_t helper = CHECK(fork());
    if (helper == 0) {
        CHECK(close(to_second));
        run_helper(lock, helper_to_second);
    }
    CHECK(close(helper_to_second));
    crash(to_second);
}

/* The second server asks while both live, when the first one has crashed, and
 * when the helper has gone, too. */
static void ask_three_times(pid_t first, int to_first, int to_helper)
{
    int lock = open_lock();
    try_to_lock("lock", lock);

    CHECK(close(to_first));            // the first one sees end of file
    CHECK(waitpid(first, NULL, 0));    // not reap(): it is killed
    try_to_lock("lock", lock);

    say("shutdown(to_helper, SHUT_WR) ...");
    CHECK(shutdown(to_helper, SHUT_WR));
    wait_for_end_of_file(to_helper);
    try_to_lock("lock", lock);

    CHECK(close(to_helper));
    CHECK(close(lock));
}

/* The helper is a child of the first server. So the second server cannot wait
 * for the helper with waitpid(), and needs a pair to it. */
static void crash_with_helper(void)
{
    int sv[2];
    int helper_sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, helper_sv));
    pid_t first = CHECK(fork());
    if (first == 0) {
        role("first");
        CHECK(close(sv[0]));
        CHECK(close(helper_sv[0]));
        run_first_with_helper(sv[1], helper_sv[1]);
    }
    role("second");
    CHECK(close(sv[1]));
    CHECK(close(helper_sv[1]));

    wait_for_dot(helper_sv[0]);
    ask_three_times(first, sv[0], helper_sv[0]);
    CHECK(unlink(lock_path));
}

/* How many names has the file that is open as lock? */
static void say_links(int lock)
{
    struct stat status;

    CHECK(fstat(lock, &status));
    say("fstat(lock) -> links: %d", (int)status.st_nlink);
}

/* The first server has the lock. A second open() in the same process makes a
 * second open file, and dup() a second descriptor of the first one. From here
 * on one process plays all roles: it makes no difference who calls open(). */
static void lock_twice(void)
{
    role("first");
    int lock = open_lock();
    try_to_lock("lock", lock);
    int again = open_lock();
    try_to_lock("again", again);
    say("dup(lock) ...");
    int copy = CHECK(dup(lock));
    try_to_lock("copy", copy);

    CHECK(close(lock));
    CHECK(close(again));
    CHECK(close(copy));
    CHECK(unlink(lock_path));
}

/* The first server leaves nothing behind when it ends. The second one has the
 * file open already, the third one opens it after that. */
static void remove_lock_file(void)
{
    role("first");
    int first = open_lock();
    try_to_lock("lock", first);
    role("second");
    int second = open_lock();
    try_to_lock("lock", second);

    role("first");
    int removed = CHECK(unlink(lock_path));
    say("unlink(\"%s\") = %d", lock_path, removed);
    int closed = CHECK(close(first));
    say("close(lock) = %d", closed);

    role("second");
    try_to_lock("lock", second);
    role("third");
    int third = open_lock();
    try_to_lock("lock", third);

    role("second");
    say_links(second);
    role("third");
    say_links(third);

    CHECK(close(second));
    CHECK(close(third));
    CHECK(unlink(lock_path));
}

/* What it has written stays in the server's queue when it closes its socket. */
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

/* Without O_NONBLOCK, accept() would wait if nobody is in the queue. If it
 * fails, there is nothing to read. */
static void accept_client(int listener)
{
    char text[ROOM];
    int flags = CHECK(fcntl(listener, F_GETFL));
    CHECK(fcntl(listener, F_SETFL, flags | O_NONBLOCK));

    int to_client = accept(listener, NULL, NULL);
    if (to_client == -1 && errno == EAGAIN) {
        say("accept(listener), read(to_client) = -1 %s", error_name(errno));
        return;
    }
    check(to_client, "accept()", __FILE__, __LINE__);

    int n = CHECK(read(to_client, text, sizeof(text)));
    say("accept(listener), read(to_client) = %d \"%.*s\"", n, n, text);
    CHECK(close(to_client));
}

/* The other server was written by somebody who has not heard of the lock. The
 * second one asks for the lock, as it should. */
static void server_without_lock(void)
{
    role("first");
    int lock = open_lock();
    try_to_lock("lock", lock);
    int first = open_server();

    role("other");
    remove_socket_file();
    int other = open_server();
    run_client("ann", "I am ann");

    role("first");
    accept_client(first);
    role("other");
    accept_client(other);
    role("second");
    int second_lock = open_lock();
    try_to_lock("lock", second_lock);

    CHECK(close(second_lock));
    CHECK(close(first));
    CHECK(close(other));
    CHECK(unlink(server_address.sun_path));
    CHECK(close(lock));
    CHECK(unlink(lock_path));
}

int main(void)
{
    step("The first server has the lock, and crashes. What is left?");
    crash_with_lock();

    step("The first server crashes, and its helper does not. Who may start?");
    crash_with_helper();

    step("The first server asks once more. Is it refused by its own lock?");
    lock_twice();

    step("The first server removes its lock file. Who may start?");
    remove_lock_file();

    step("The other server does not ask for the lock. What can it do?");
    server_without_lock();
}
