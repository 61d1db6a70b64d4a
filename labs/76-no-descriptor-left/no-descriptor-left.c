/*
 * 76-no-descriptor-left -- what can a server do without a free descriptor?
 *
 * accept() is -1 EMFILE, whether a client waits or not. A client that waits
 * stays in the queue and notices nothing, so poll() reports the listener again
 * and again. The server can have one of two plans. It keeps a spare descriptor:
 * it closes this descriptor, accepts a client, and closes the connection. Or it
 * does not look at the listener until one of its clients has gone. Until then
 * the others wait in the queue.
 *
 *     client ---> [ queue ] ---> accept() ---> table of descriptors: full
 *                    |
 *                  poll() = 1, for as long as somebody waits
 *
 * See accept(2), poll(2), setrlimit(2), listen(2), unix(7).
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,         // longer than any text that is sent here
    BACKLOG = 4,       // more than ever wait in a queue here
    MOST_TURNS = 10    // then the lab has seen enough of a loop
};

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

/* One process plays all roles, and so all have one table. What the clients need
 * is made before the limit is set: connect() needs no new descriptor. */
static int new_socket(int flags)
{
    return CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

static int open_server(int backlog)
{
    int listener = new_socket(0);

    role("server");
    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    CHECK(listen(listener, backlog));
    return listener;
}

static void close_server(int listener)
{
    CHECK(close(listener));
    CHECK(unlink(server_address.sun_path));
}

/* The limit now. */
static struct rlimit get_limit(void)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    return limit;
}

/* dup() takes the lowest number that is free. So this finds the lowest numbers
 * that are free, one or two, and forbids all that come after them. */
static void allow_more(int listener, int more)
{
    struct rlimit limit = get_limit();
    int first = CHECK(dup(listener));
    int second = CHECK(dup(listener));

    CHECK(close(first));
    CHECK(close(second));
    limit.rlim_cur = (rlim_t)(more == 1 ? first : second) + 1;
    int set = CHECK(setrlimit(RLIMIT_NOFILE, &limit));
    role("server");
    say("setrlimit(RLIMIT_NOFILE, %d more than now) = %d", more, set);
}

static void restore_limit(struct rlimit limit)
{
    CHECK(setrlimit(RLIMIT_NOFILE, &limit));
}

/* With a text, the client also writes. */
static void connect_to_server(const char *name, int to_server, const char *text)
{
    role(name);
    const char *result =
        RESULT(connect(to_server, (const struct sockaddr *)&server_address,
                       sizeof(server_address)),
               EAGAIN);
    say("connect(to_server) = %s", result);
    if (text) {
        int n = CHECK(write(to_server, text, strlen(text)));
        say("write(to_server, \"%s\") = %d", text, n);
    }
}

/* A client looks whether the server has said or done something. */
static void look_for_answer(const char *name, int to_server)
{
    char buf[ROOM];

    role(name);
    ssize_t n = recv(to_server, buf, sizeof(buf), MSG_DONTWAIT);
    if (n > 0)
        say("recv(to_server, MSG_DONTWAIT) = %d \"%.*s\"", (int)n, (int)n, buf);
    else if (n == 0)
        say("recv(to_server, MSG_DONTWAIT) = 0");
    else if (errno == EAGAIN || errno == ECONNRESET)
        say("recv(to_server, MSG_DONTWAIT) = -1 %s", error_name(errno));
    else
        fail("recv()", __FILE__, __LINE__);
}

/* `name` is what the new descriptor is called. */
static int accept_client(int listener, const char *name)
{
    role("server");
    int to_client = CHECK(accept(listener, NULL, NULL));

    say("accept(listener) -> %s", name);
    return to_client;
}

/* The listener has no O_NONBLOCK, and yet accept() does not wait. */
static void fail_to_accept(int listener)
{
    role("server");
    const char *result = RESULT(accept(listener, NULL, NULL), EMFILE);
    say("accept(listener) = %s", result);
}

static void read_text(const char *name, int fd)
{
    char buf[ROOM];

    role("server");
    int n = CHECK(read(fd, buf, sizeof(buf)));
    say("read(%s) = %d \"%.*s\"", name, n, n, buf);
}

static void close_client(const char *name, int fd)
{
    role("server");
    int closed = CHECK(close(fd));
    say("close(%s) = %d", name, closed);
}

/* Would a server that waits here be woken? */
static void poll_one(const char *name, int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    role("server");
    int ready = CHECK(poll(&polled, 1, 0));
    say("poll(%s) = %d%s%s", name, ready,
        polled.revents & POLLIN ? " POLLIN" : "",
        polled.revents & POLLHUP ? " POLLHUP" : "");
}

/* The same with two descriptors. */
static void poll_both(int listener, int to_ann)
{
    struct pollfd both[2] = {{.fd = listener, .events = POLLIN},
                             {.fd = to_ann, .events = POLLIN}};

    role("server");
    int ready = CHECK(poll(both, ARRAY_LEN(both), 0));
    say("poll(listener, to_ann) = %d%s%s", ready,
        both[0].revents & POLLIN ? " \"listener\" POLLIN" : "",
        both[1].revents & POLLIN ? " \"to_ann\" POLLIN" : "");
}

/* Not only accept() needs a number. */
static void fail_to_open_file(void)
{
    role("server");
    const char *result =
        RESULT(open("/dev/null", O_RDONLY | O_CLOEXEC), EMFILE);
    say("open(\"/dev/null\") = %s", result);
}

static void open_file(void)
{
    role("server");
    int file = CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC));
    say("open(\"/dev/null\") = file");
    CHECK(close(file));
}

/* ann takes the last number. bob comes after that. */
static void accept_without_number(void)
{
    const struct rlimit before = get_limit();
    int ann = new_socket(0);
    int bob = new_socket(0);
    int listener = open_server(BACKLOG);

    allow_more(listener, 1);
    connect_to_server("ann", ann, NULL);
    int to_ann = accept_client(listener, "to_ann");
    fail_to_accept(listener);
    fail_to_open_file();
    connect_to_server("bob", bob, "cake");
    fail_to_accept(listener);
    look_for_answer("bob", bob);
    close_client("to_ann", to_ann);
    int to_bob = accept_client(listener, "to_bob");
    read_text("to_bob", to_bob);

    restore_limit(before);
    CHECK(close(ann));
    CHECK(close(bob));
    CHECK(close(to_bob));
    close_server(listener);
}

/* The loop of a server that asks poll() and does what poll() says. It ends when
 * poll() does not report the listener, or accept() has succeeded, or after
 * MOST_TURNS. Returns how often accept() was -1 EMFILE. */
static int count_turns(int listener)
{
    struct pollfd polled = {.fd = listener, .events = POLLIN};
    int turns = 0;

    while (turns < MOST_TURNS) {
        int ready = CHECK(poll(&polled, 1, 0));
        if (ready == 0)
            break;
        int to_client = accept(listener, NULL, NULL);
        if (to_client == -1 && errno != EMFILE)
            fail("accept()", __FILE__, __LINE__);
        if (to_client != -1) {
            CHECK(close(to_client));
            break;
        }
        turns++;
    }
    return turns;
}

static void say_turns(int listener)
{
    role("server");
    int turns = count_turns(listener);
    say("turns with EMFILE at accept(listener): %d", turns);
}

/* The same loop twice: nobody waits, and bob waits. Each time, the poll() after
 * the loop tells whether it was poll() that has ended the loop. Then bob gives
 * up. */
static void turn_in_a_loop(void)
{
    const struct rlimit before = get_limit();
    int ann = new_socket(0);
    int bob = new_socket(0);
    int listener = open_server(BACKLOG);

    allow_more(listener, 1);
    connect_to_server("ann", ann, NULL);
    int to_ann = accept_client(listener, "to_ann");
    say_turns(listener);
    poll_one("listener", listener);
    connect_to_server("bob", bob, NULL);
    say_turns(listener);
    poll_one("listener", listener);

    role("bob");
    int closed = CHECK(close(bob));
    say("close(to_server) = %d", closed);
    poll_one("listener", listener);

    restore_limit(before);
    CHECK(close(ann));
    CHECK(close(to_ann));
    close_server(listener);
}

/* Takes one client out of the queue, and tells it by close() that it is not
 * served. Between close() and open() the number is free, and accept() takes it.
 * The caller has no other thread that could take it first. */
static int turn_away(int listener, int spare)
{
    role("server");
    int given = CHECK(close(spare));
    int to_client = CHECK(accept(listener, NULL, NULL));
    int closed = CHECK(close(to_client));
    say("close(spare) = %d, accept(listener) -> to_client, close(to_client) = "
        "%d",
        given, closed);
    spare = CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC));
    say("open(\"/dev/null\") = spare");
    return spare;
}

/* bob has written something, and carol has not. */
static void keep_a_spare(void)
{
    const struct rlimit before = get_limit();
    int bob = new_socket(0);
    int carol = new_socket(0);
    int listener = open_server(BACKLOG);

    allow_more(listener, 1);
    int spare = CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC));
    say("open(\"/dev/null\") = spare");
    connect_to_server("bob", bob, "cake");
    connect_to_server("carol", carol, NULL);
    fail_to_accept(listener);

    spare = turn_away(listener, spare);
    look_for_answer("bob", bob);
    spare = turn_away(listener, spare);
    look_for_answer("carol", carol);
    poll_one("listener", listener);

    restore_limit(before);
    CHECK(close(bob));
    CHECK(close(carol));
    CHECK(close(spare));
    close_server(listener);
}

/* The server serves one client at a time, although it has two numbers. While it
 * has this client, it does not look at the listener: the poll() with both is
 * there to show what it would see. There is one place in the queue, and carol
 * does not wait. */
static void stop_looking(void)
{
    const struct rlimit before = get_limit();
    int ann = new_socket(0);
    int bob = new_socket(0);
    int carol = new_socket(SOCK_NONBLOCK);
    int listener = open_server(0);

    allow_more(listener, 2);
    connect_to_server("ann", ann, NULL);
    int to_ann = accept_client(listener, "to_ann");
    connect_to_server("bob", bob, "cake");
    connect_to_server("carol", carol, NULL);
    poll_both(listener, to_ann);
    poll_one("to_ann", to_ann);
    open_file();

    role("ann");
    int closed = CHECK(close(ann));
    say("close(to_server) = %d", closed);
    poll_one("to_ann", to_ann);
    close_client("to_ann", to_ann);
    int to_bob = accept_client(listener, "to_bob");
    read_text("to_bob", to_bob);
    connect_to_server("carol", carol, NULL);

    restore_limit(before);
    CHECK(close(bob));
    CHECK(close(carol));
    CHECK(close(to_bob));
    close_server(listener);
}

int main(void)
{
    step("No number is free. What does bob notice?");
    accept_without_number();

    step("A server asks poll(), and then accepts. How often does it turn?");
    turn_in_a_loop();

    step("The server has a spare descriptor. What do the clients read?");
    keep_a_spare();

    step("The server does not look at the listener. Who waits where?");
    stop_looking();
}
