/*
 * 75-started-on-demand -- who listens when the server does not?
 *
 * A manager does: it binds, listens, and never accepts. When somebody waits in
 * the queue, it executes the server, and the server has the listener as its
 * descriptor 3. Two variables of the environment tell the server so. The queue
 * belongs to the listener. So the server finds the clients that came before it
 * was started. If it crashes, the next server finds those that it has not
 * accepted.
 *
 *     client ---> [ queue ] <--- listener of the manager: poll()
 *                           <--- descriptor 3 of the server: accept()
 *
 * See sd_listen_fds(3), systemd.socket(5), execve(2), fcntl(2), unix(7).
 */
#define _GNU_SOURCE    // for struct ucred
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    LISTENER = 3,       // the number that the protocol gives to the listener
    ROOM = 64,          // longer than any text that is sent here
    BACKLOG = 4,        // more than ever wait in a queue here
    MOST_STARTS = 3,    // how often the manager of step 5 tries
    GIVES_UP = 2        // the status of a server that finds its setting wrong
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

/* ---- What the manager does, and the clients, in the first process ---- */

/* The listener has FD_CLOEXEC, as everything that the manager opens. So a
 * program that is executed gets the descriptor that is meant for it, and no
 * other one. */
static int open_listener(void)
{
    role("manager");
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    int listening = CHECK(listen(listener, BACKLOG));
    say("listen(listener, %d) = %d", BACKLOG, listening);
    return listener;
}

static void close_listener(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

/* Does somebody wait in the queue? With the timeout 0, poll() does not wait. */
static void poll_listener(int listener)
{
    struct pollfd polled = {.fd = listener, .events = POLLIN};

    role("manager");
    int ready = CHECK(poll(&polled, 1, 0));
    say("poll(listener) = %d%s%s%s", ready,
        polled.revents & POLLIN ? " POLLIN" : "",
        polled.revents & POLLHUP ? " POLLHUP" : "",
        polled.revents & POLLNVAL ? " POLLNVAL" : "");
}

static int new_client(const char *name)
{
    role(name);
    return CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int connect_to_server(int to_server)
{
    return connect(to_server, (const struct sockaddr *)&server_address,
                   sizeof(server_address));
}

static int open_client(const char *name, const char *text)
{
    int to_server = new_client(name);

    int connected = CHECK(connect_to_server(to_server));
    int n = CHECK(write(to_server, text, strlen(text)));
    say("connect(\"%s\") = %d, write(\"%s\") = %d", server_address.sun_path,
        connected, text, n);
    return to_server;
}

/* What comes is the answer, end of file, or an error. */
static void read_answer(const char *name, int to_server)
{
    char buf[ROOM];

    role(name);
    ssize_t n = read(to_server, buf, sizeof(buf));
    if (n > 0)
        say("read(to_server) = %d \"%.*s\"", (int)n, (int)n, buf);
    else if (n == 0 || errno == ECONNRESET)
        say("read(to_server) = %s", n == 0 ? "0" : "-1 ECONNRESET");
    else
        fail("read()", __FILE__, __LINE__);
}

/* Whose number is in the variable: this process's, or that of its parent? */
static const char *whose_number(const char *variable)
{
    const char *text = getenv(variable);

    if (text == NULL)
        return "not set";
    long number = strtol(text, NULL, 10);
    if (number == getpid())
        return "own";
    if (number == getppid())
        return "the parent's";
    return text;
}

/* What a server does first. Returns whether the descriptors are meant for this
 * process. */
static int look_at_variables(void)
{
    const char *count = getenv("LISTEN_FDS");
    const char *whose = whose_number("LISTEN_PID");

    say("LISTEN_FDS: %s, LISTEN_PID: %s", count ? count : "not set", whose);
    return count && strcmp(whose, "own") == 0;
}

/* Called in the child, because LISTEN_PID is the child's pid. execv() leaves
 * the variables and the pid as they are. */
static void set_variables(void)
{
    char number[16];

    snprintf(number, sizeof(number), "%d", (int)getpid());
    CHECK(setenv("LISTEN_FDS", "1", 1));
    CHECK(setenv("LISTEN_PID", number, 1));
}

/* Starts this program again. main() sees the two arguments, and plays a server
 * or a helper. */
static _Noreturn void execute(const char *name, const char *task)
{
    char *const arguments[] = {"program", (char *)name, (char *)task, NULL};

    CHECK(execv("/proc/self/exe", arguments));
    _exit(EXIT_FAILURE);    // never comes to this
}

/* Step 1 shows each call. If the listener is number 3 already, dup2() does
 * nothing, and FD_CLOEXEC is still set. So it is cleared in any case. */
static pid_t start_and_say(int listener, const char *name, const char *task)
{
    role("manager");
    say("fork() ...");
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        set_variables();
        look_at_variables();
        int copy = CHECK(dup2(listener, LISTENER));
        say("dup2(listener, %d) = %d", LISTENER, copy);
        int cleared = CHECK(fcntl(LISTENER, F_SETFD, 0));
        say("fcntl(%d, F_SETFD, 0) = %d", LISTENER, cleared);
        say("execv(\"/proc/self/exe\") ...");
        execute(name, task);
    }
    return child;
}

/* The same calls without a line, for the other steps. */
static pid_t start(int listener, const char *name, const char *task)
{
    role("manager");
    pid_t child = CHECK(fork());
    if (child == 0) {
        role("child");
        set_variables();
        CHECK(dup2(listener, LISTENER));
        CHECK(fcntl(LISTENER, F_SETFD, 0));
        execute(name, task);
    }
    return child;
}

/* ---- What the server does, in the program that is executed ---- */

/* The number comes from the protocol, so it may be printed. */
static int accept_client(void)
{
    char buf[ROOM];

    int to_client = CHECK(accept(LISTENER, NULL, NULL));
    int n = CHECK(read(to_client, buf, sizeof(buf)));
    say("accept(%d), read(to_client) = %d \"%.*s\"", LISTENER, n, n, buf);
    return to_client;
}

static void serve_one(void)
{
    int to_client = accept_client();

    CHECK(write(to_client, "done", strlen("done")));
    CHECK(close(to_client));
}

static _Noreturn void give_up(void)
{
    say("exit(%d) ...", GIVES_UP);
    _exit(GIVES_UP);
}

/* A server that listens itself, although the manager has done so. */
static void listen_and_serve_one(void)
{
    int listening = CHECK(listen(LISTENER, BACKLOG));

    say("listen(%d, %d) = %d", LISTENER, BACKLOG, listening);
    serve_one();
}

/* One client is read and not answered, and the other one is not even read. */
static void accept_two_and_crash(void)
{
    accept_client();
    CHECK(accept(LISTENER, NULL, NULL));
    say("accept(%d) -> to_client", LISTENER);
    say("kill(getpid(), SIGKILL) ...");
    CHECK(kill(getpid(), SIGKILL));
}

static void run_helper(void)
{
    pid_t helper = CHECK(fork());
    if (helper == 0)
        execute("helper", "look");
    reap(helper);
}

/* The first helper gets all that the server has, the second one does not. */
static void run_two_helpers(void)
{
    look_at_variables();
    run_helper();

    CHECK(unsetenv("LISTEN_FDS"));
    CHECK(unsetenv("LISTEN_PID"));
    look_at_variables();
    int set = CHECK(fcntl(LISTENER, F_SETFD, FD_CLOEXEC));
    say("fcntl(%d, F_SETFD, FD_CLOEXEC) = %d", LISTENER, set);
    run_helper();
}

/* It looks, and touches nothing. */
static void look(void)
{
    look_at_variables();
    const char *result = RESULT(fcntl(LISTENER, F_GETFD), EBADF);
    say("fcntl(%d, F_GETFD) = %s", LISTENER, result);
}

/* A server that follows the protocol. */
static void serve_if_meant(void)
{
    if (!look_at_variables())
        give_up();
    serve_one();
}

/* execute() has started this program again, and has said what it shall do. */
static int run_program(const char *name, const char *task)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);    // print each line at once
    role(name);
    if (strcmp(task, "serve if meant") == 0)
        serve_if_meant();
    else if (strcmp(task, "serve one") == 0)
        serve_one();
    else if (strcmp(task, "listen and serve one") == 0)
        listen_and_serve_one();
    else if (strcmp(task, "run two helpers") == 0)
        run_two_helpers();
    else if (strcmp(task, "look") == 0)
        look();
    else if (strcmp(task, "accept two and crash") == 0)
        accept_two_and_crash();
    else if (strcmp(task, "give up") == 0)
        give_up();
    return EXIT_SUCCESS;
}

/* ---- The steps ---- */

/* Waits for a server. If it did not end with the status that is wanted, the lab
 * says so, and ends. */
static void wait_for_status(pid_t server, int wanted)
{
    int status;

    role("manager");
    CHECK(waitpid(server, &status, 0));
    if (WIFEXITED(status))
        say("waitpid(server) -> exited: %d", WEXITSTATUS(status));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted) {
        fprintf(stderr, "step %d: the server has not ended with status %d\n",
                lab_step, wanted);
        _exit(EXIT_FAILURE);
    }
}

/* The manager waits for the server's end before ann reads: the answer waits in
 * her queue. */
static void start_when_needed(void)
{
    int listener = open_listener();

    poll_listener(listener);
    int ann = open_client("ann", "cake");
    poll_listener(listener);
    pid_t server = start_and_say(listener, "server", "serve if meant");
    wait_for_status(server, EXIT_SUCCESS);
    read_answer("ann", ann);
    poll_listener(listener);

    CHECK(close(ann));
    close_listener(listener);
}

/* `server` is the pid of the server, or 0 if there has been none. */
static void look_at_peer(const char *name, int to_server, pid_t server)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    char whose[ROOM];

    role(name);
    CHECK(getsockopt(to_server, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    snprintf(whose, sizeof(whose), "%d", peer.pid);
    if (peer.pid == getpid())
        snprintf(whose, sizeof(whose), "the manager's");
    if (server != 0 && peer.pid == server)
        snprintf(whose, sizeof(whose), "the server's");
    say("getsockopt(to_server, SO_PEERCRED) -> pid: %s", whose);
}

/* ann comes before the server, and bob when it has listened itself, has
 * answered ann and has ended. */
static void look_at_both_peers(void)
{
    int listener = open_listener();

    int ann = open_client("ann", "cake");
    look_at_peer("ann", ann, 0);
    pid_t server = start(listener, "server", "listen and serve one");
    wait_for_status(server, EXIT_SUCCESS);
    read_answer("ann", ann);
    look_at_peer("ann", ann, server);
    int bob = open_client("bob", "jam");
    look_at_peer("bob", bob, server);

    CHECK(close(ann));
    CHECK(close(bob));
    close_listener(listener);
}

/* No client comes in this step. */
static void start_helpers(void)
{
    int listener = open_listener();

    pid_t server = start(listener, "server", "run two helpers");
    reap(server);

    close_listener(listener);
}

/* If the first server ends without a signal, one of its calls has failed, and
 * fail() has said which. */
static void wait_for_crash(pid_t first)
{
    int status;

    role("manager");
    CHECK(waitpid(first, &status, 0));
    if (!WIFSIGNALED(status))
        _exit(EXIT_FAILURE);
    say("waitpid(first) -> killed: %s",
        WTERMSIG(status) == SIGKILL ? "SIGKILL" : "another one");
}

/* The server accepts ann and bob, and reads what ann has written. carol waits
 * in the queue when it crashes. */
static void crash_and_start_again(void)
{
    int listener = open_listener();

    int ann = open_client("ann", "cake");
    int bob = open_client("bob", "jam");
    int carol = open_client("carol", "tea");
    pid_t first = start(listener, "first", "accept two and crash");
    wait_for_crash(first);
    read_answer("ann", ann);
    read_answer("bob", bob);

    poll_listener(listener);
    pid_t second = start(listener, "second", "serve one");
    reap(second);
    read_answer("carol", carol);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(carol));
    close_listener(listener);
}

/* The server ends before it calls accept(). After the last attempt, the manager
 * gives up, too. */
static void start_too_often(void)
{
    int listener = open_listener();
    int ann = open_client("ann", "cake");

    poll_listener(listener);
    for (int starts = 0; starts < MOST_STARTS; starts++) {
        pid_t server = start(listener, "server", "give up");
        wait_for_status(server, GIVES_UP);
        poll_listener(listener);
    }
    int closed = CHECK(close(listener));
    say("close(listener) = %d", closed);
    read_answer("ann", ann);

    int bob = new_client("bob");
    const char *result = RESULT(connect_to_server(bob), ECONNREFUSED);
    say("connect(\"%s\") = %s", server_address.sun_path, result);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(unlink(server_address.sun_path));
}

int main(int argc, char *argv[])
{
    if (argc == 3)
        return run_program(argv[1], argv[2]);
    need_proc();    // execv() finds the program there

    step("ann comes before the server. Who answers her?");
    start_when_needed();

    step("Whom does a client see at the other end?");
    look_at_both_peers();

    step("The server starts a helper. What has the helper got?");
    start_helpers();

    step("The server crashes. Who is answered by the next one?");
    crash_and_start_again();

    step("The server never accepts. What ends ann's waiting?");
    start_too_often();
}
