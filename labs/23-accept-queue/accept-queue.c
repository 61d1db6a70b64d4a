/*
 * 23-accept-queue -- who waits to be accepted?
 *
 * A client that has connected waits in the queue of the listener until
 * accept(). The queue of listen(listener, n) has n + 1 places. When all of them
 * are taken, a connect() that may wait does so until accept() makes room. A
 * connect() that may not wait fails with EAGAIN. Then nothing has begun, and
 * poll() cannot tell when there is room.
 *
 *     connect() ---> [ queue, backlog + 1 places ] ---> accept()
 *
 * See listen(2), connect(2), accept(2), poll(2), socket(7), unix(7), proc(5),
 * clock_gettime(2).
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../common/lab.h"

/* Time limits, in milliseconds. SHORT_TIME is over before LONG_TIME is, and
 * that is all that matters. */
enum { NO_LIMIT = 0, SHORT_TIME = 50, LONG_TIME = 200 };

static const struct sockaddr_un server_address = {
    .sun_family = AF_UNIX,
    .sun_path = "server.sock",
};

static void listen_with(int listener, int backlog)
{
    int listening = CHECK(listen(listener, backlog));

    say("listen(listener, %d) = %d", backlog, listening);
}

/* accept() does not wait at this listener: EAGAIN tells that the queue is
 * empty. */
static int open_server(int backlog)
{
    role("server");
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    listen_with(listener, backlog);
    return listener;
}

static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

/* Somebody is in the queue. Nobody can tell who it is: no client has a name. */
static int accept_client(int listener)
{
    role("server");
    say("accept(listener) ...");
    return CHECK(accept(listener, NULL, NULL));
}

/* The same, if nobody knows whether a client is in the queue. Returns the new
 * socket, or -1 if the queue is empty. */
static int accept_once(int listener)
{
    role("server");
    int to_client = accept(listener, NULL, NULL);
    if (to_client == -1 && errno != EAGAIN)
        fail("accept()", __FILE__, __LINE__);

    say("accept(listener) once, clients: %d", to_client == -1 ? 0 : 1);
    return to_client;
}

static void accept_all(int listener)
{
    int count = 0;

    role("server");
    int to_client = accept(listener, NULL, NULL);
    while (to_client != -1) {
        count++;
        CHECK(close(to_client));
        to_client = accept(listener, NULL, NULL);
    }
    if (errno != EAGAIN)
        fail("accept()", __FILE__, __LINE__);
    say("accept(listener) until EAGAIN, clients: %d", count);
}

/* The lab prints the errors EAGAIN and ECONNREFUSED. Any other ends it. */
static void connect_to_server(int to_server)
{
    int connected = connect(to_server, (const struct sockaddr *)&server_address,
                            sizeof(server_address));

    if (connected == 0)
        say("connect(to_server) = %d", connected);
    else if (errno == EAGAIN || errno == ECONNREFUSED)
        say("connect(to_server) = -1 %s", error_name(errno));
    else
        fail("connect()", __FILE__, __LINE__);
}

/* The socket of a client that does not wait. */
static int new_client(const char *name)
{
    role(name);
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));

    return to_server;
}

/* The same, and it has tried to connect. */
static int open_client(const char *name)
{
    int to_server = new_client(name);

    connect_to_server(to_server);
    return to_server;
}

/* What poll() says of the client's socket now. It does not wait. */
static void look(int to_server)
{
    struct pollfd polled = {.fd = to_server, .events = POLLIN | POLLOUT};
    int ready = CHECK(poll(&polled, 1, 0));
    const char *in = polled.revents & POLLIN ? " POLLIN" : "";
    const char *out = polled.revents & POLLOUT ? " POLLOUT" : "";
    const char *hup = polled.revents & POLLHUP ? " POLLHUP" : "";

    say("poll(to_server) = %d%s%s%s", ready, in, out, hup);
}

static void say_error_option(int to_server)
{
    int error;
    socklen_t length = sizeof(error);

    CHECK(getsockopt(to_server, SOL_SOCKET, SO_ERROR, &error, &length));
    say("SO_ERROR of to_server: %d", error);
}

static void write_text(int to_server, const char *text)
{
    const char *result = RESULT(write(to_server, text, strlen(text)), ENOTCONN);

    say("write(to_server, \"%s\") = %s", text, result);
}

static void set_timeout(int to_server, int option, const char *name,
                        int milliseconds)
{
    const struct timeval timeout = {.tv_usec = milliseconds * 1000L};

    say("setsockopt(to_server, %s, %d ms) ...", name, milliseconds);
    CHECK(setsockopt(to_server, SOL_SOCKET, option, &timeout, sizeof(timeout)));
}

/* A client that waits is a process of its own. It says by a dot that connect()
 * comes next. If it has a limit, it sets SO_RCVTIMEO first. */
static _Noreturn void run_client(const char *name, int to_lab, int limit)
{
    role(name);
    int to_server = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    if (limit != NO_LIMIT)
        set_timeout(to_server, SO_RCVTIMEO, "SO_RCVTIMEO", limit);
    say("connect(to_server) ...");
    CHECK(send(to_lab, ".", 1, 0));

    connect_to_server(to_server);
    CHECK(close(to_server));
    CHECK(close(to_lab));
    _exit(EXIT_SUCCESS);
}

/* How the kernel calls the state of a process: R when it runs or could run, S
 * when it sleeps, Z when it has ended. The letter stands behind the name, which
 * is in brackets. See proc(5). */
static char state_of(pid_t process)
{
    char path[64];
    char text[512];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
    int fd = CHECK(open(path, O_RDONLY | O_CLOEXEC));
    int n = CHECK(read(fd, text, sizeof(text) - 1));
    CHECK(close(fd));

    text[n] = '\0';
    const char *bracket = strrchr(text, ')');
    if (bracket == NULL || bracket[1] != ' ') {
        errno = EINVAL;
        fail("state_of()", __FILE__, __LINE__);
    }
    return bracket[2];
}

/* A process that waits in connect() can tell nobody. So the server asks the
 * kernel until the process sleeps, or has ended. After its dot the client makes
 * no other call that sleeps. */
static void say_state(const char *name, pid_t process)
{
    role("server");
    char state = state_of(process);
    while (state != 'S' && state != 'Z') {
        CHECK(sched_yield());
        state = state_of(process);
    }
    say("state of %s: %c", name, state);
}

/* When this returns, the client sleeps in connect(). It has no copy of the
 * listener: with a copy, it would keep open what it waits for. */
static pid_t start_client(const char *name, int listener, int limit)
{
    int sv[2];
    char dot;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    pid_t client = CHECK(fork());
    if (client == 0) {
        CHECK(close(listener));
        CHECK(close(sv[0]));
        run_client(name, sv[1], limit);
    }
    CHECK(close(sv[1]));
    CHECK(recv(sv[0], &dot, 1, 0));
    CHECK(close(sv[0]));
    say_state(name, client);
    return client;
}

/* Backlog 1: ann and bob find a place, carol does not. Then the backlog grows.
 */
static void count_places(void)
{
    int listener = open_server(1);

    int ann = open_client("ann");
    int bob = open_client("bob");
    int carol = open_client("carol");
    role("server");
    listen_with(listener, 2);
    role("carol");
    connect_to_server(carol);

    accept_all(listener);
    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(carol));
    close_server(listener);
}

/* There is one place. ann takes it, and goes. */
static void give_back(void)
{
    int listener = open_server(0);

    int ann = open_client("ann");
    say("close(to_server) ...");
    CHECK(close(ann));
    int bob = open_client("bob");
    int to_ann = accept_once(listener);
    role("bob");
    connect_to_server(bob);
    int carol = open_client("carol");

    accept_all(listener);
    CHECK(close(bob));
    CHECK(close(carol));
    CHECK(close(to_ann));
    close_server(listener);
}

/* bob treats EAGAIN as a program for TCP treats EINPROGRESS. He looks at his
 * socket for the first time when it is new: this is what to compare with. */
static void poll_for_room(void)
{
    int listener = open_server(0);

    int ann = open_client("ann");
    int bob = new_client("bob");
    look(bob);
    connect_to_server(bob);
    look(bob);
    say_error_option(bob);
    write_text(bob, "cake");
    int to_ann = accept_client(listener);
    role("bob");
    look(bob);
    connect_to_server(bob);
    look(bob);

    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(to_ann));
    close_server(listener);
}

/* bob waits for ann's place, and carol for bob's. bob is woken by accept(), and
 * carol by close(). When carol is woken, the kernel looks up the path again, so
 * the file must still be there. */
static void wait_for_room(void)
{
    int listener = open_server(0);

    int ann = open_client("ann");
    pid_t bob = start_client("bob", listener, NO_LIMIT);
    int to_ann = accept_client(listener);
    reap(bob);    // his connection stays in the queue

    pid_t carol = start_client("carol", listener, NO_LIMIT);
    role("server");
    say("close(listener) ...");
    CHECK(close(listener));
    reap(carol);

    CHECK(unlink(server_address.sun_path));
    CHECK(close(ann));
    CHECK(close(to_ann));
}

static long milliseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now));
    return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

/* How long it took exactly is different on each run. That it was as long as
 * bob's limit, or longer, is not. */
static void connect_and_say_time(int to_server)
{
    long start = milliseconds();
    connect_to_server(to_server);
    long took = milliseconds() - start;

    long at_least = took < SHORT_TIME ? took : SHORT_TIME;
    say("connect() took: at least %ld ms", at_least);
    say_measured("connect() took: %ld ms", took);
}

/* bob's time is over before carol's: it is shorter, and began earlier. So when
 * carol's connect() has waited as long as his limit, he would be awake if the
 * limit held for connect(). */
static void wait_for_some_time(void)
{
    int listener = open_server(0);

    int ann = open_client("ann");
    pid_t bob = start_client("bob", listener, SHORT_TIME);

    role("carol");
    int carol = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
    set_timeout(carol, SO_SNDTIMEO, "SO_SNDTIMEO", LONG_TIME);
    connect_and_say_time(carol);

    say_state("bob", bob);
    int to_ann = accept_client(listener);
    reap(bob);

    CHECK(close(ann));
    CHECK(close(carol));
    CHECK(close(to_ann));
    close_server(listener);
}

int main(void)
{
    need_proc();

    step("For how many clients is there room?");
    count_places();

    step("Who gives a place back?");
    give_back();

    step("There is no room. What does poll() say?");
    poll_for_room();

    step("A connect() that waits: what ends the waiting?");
    wait_for_room();

    step("Which time limit ends a connect() that waits?");
    wait_for_some_time();
}
