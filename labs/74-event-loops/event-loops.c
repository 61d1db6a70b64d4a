/*
 * 74-event-loops -- what does epoll tell, and what not again?
 *
 * A program registers a socket once, and then asks epoll_wait() what has come.
 * Level-triggered, epoll tells what is there, as poll() does: again and again,
 * until it is read. Edge-triggered (EPOLLET), it tells that something has come,
 * and tells it once. A server that then accepts only one client, or reads only
 * a part, does not hear of the rest until more comes. A registration belongs to
 * the open file, and not to the descriptor.
 *
 *     descriptor ---+
 *                   +---> [ open file ] <--- registration: "ann", EPOLLIN
 *     copy ---------+      the socket                |
 *                                                [ epoll ] ---> epoll_wait()
 *
 * See epoll(7), epoll_ctl(2), epoll_wait(2), unix(7).
 */
#define _GNU_SOURCE    // for accept4() and EPOLLRDHUP
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/lab.h"

enum {
    ROOM = 64,      // longer than any text that is sent here
    HALF = 3,       // of the bytes of "abcdef"
    BACKLOG = 4,    // room for more clients than wait here
    NOW = 0,        // epoll_wait() looks, and does not wait
    FOREVER = -1    // epoll_wait() waits as long as it takes
};

/* What each registration here asks for. A step may add EPOLLET. */
enum { WANTED = EPOLLIN | EPOLLRDHUP };

static const struct sockaddr_un server_address = {.sun_family = AF_UNIX,
                                                  .sun_path = "server.sock"};

static int open_server(void)
{
    int listener = CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));

    CHECK(bind(listener, (const struct sockaddr *)&server_address,
               sizeof(server_address)));
    CHECK(listen(listener, BACKLOG));
    return listener;
}

static int new_epoll(void)
{
    return CHECK(epoll_create1(EPOLL_CLOEXEC));
}

static const char *word_if(unsigned is_set, const char *word)
{
    if (is_set)
        return word;
    return "";
}

/* The words of an event, each with a blank before it. */
static void write_words(char *text, size_t room, unsigned events)
{
    snprintf(text, room, "%s%s%s", word_if(events & EPOLLIN, " EPOLLIN"),
             word_if(events & EPOLLRDHUP, " EPOLLRDHUP"),
             word_if(events & EPOLLHUP, " EPOLLHUP"));
}

/* epoll_wait() gives the name back with each event. Nothing else in an event
 * says which socket it is about. The flags are 0 or EPOLLET. */
static void add(int epoll, int fd, const char *name, unsigned flags)
{
    struct epoll_event event = {.events = WANTED | flags,
                                .data.ptr = (void *)name};

    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

/* There is room for one event. This is enough: nowhere here do two sockets have
 * an event at the same time. */
static void say_event(const char *who, int epoll, int timeout)
{
    struct epoll_event event = {0};
    char words[80];

    role(who);
    int n = CHECK(epoll_wait(epoll, &event, 1, timeout));
    write_words(words, sizeof(words), event.events);
    if (n == 0)
        say("epoll_wait(%d) = %d", timeout, n);
    else
        say("epoll_wait(%d) = %d \"%s\"%s", timeout, n,
            (const char *)event.data.ptr, words);
}

/* The same socket may be registered with two epolls. Here one of them is
 * level-triggered, the other one edge-triggered. */
struct two_epolls {
    int level;
    int edge;
};

static struct two_epolls register_twice(int fd, const char *name)
{
    struct two_epolls epolls = {.level = new_epoll(), .edge = new_epoll()};

    add(epolls.level, fd, name, 0);
    add(epolls.edge, fd, name, EPOLLET);
    return epolls;
}

static void ask_level(struct two_epolls epolls, int timeout)
{
    say_event("level", epolls.level, timeout);
}

static void ask_edge(struct two_epolls epolls, int timeout)
{
    say_event("edge", epolls.edge, timeout);
}

static void ask_both(struct two_epolls epolls, int timeout)
{
    ask_level(epolls, timeout);
    ask_edge(epolls, timeout);
}

static void close_both(struct two_epolls epolls)
{
    CHECK(close(epolls.level));
    CHECK(close(epolls.edge));
}

/* A path that is too long ends the lab: cut off, it would be another path. */
static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path) + 1;

    if (size > sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail("address_of()", __FILE__, __LINE__);
    }
    memcpy(address.sun_path, path, size);
    return address;
}

/* A client binds a name, so that the server can say whom it has accepted. The
 * file can go at once, because nobody connects to it. */
static int arrive(const char *who, const char *path)
{
    struct sockaddr_un own = address_of(path);
    int fd = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));

    CHECK(bind(fd, (const struct sockaddr *)&own, sizeof(own)));
    CHECK(unlink(own.sun_path));

    role(who);
    int connected = CHECK(connect(fd, (const struct sockaddr *)&server_address,
                                  sizeof(server_address)));
    say("connect(\"%s\") = %d", server_address.sun_path, connected);
    return fd;
}

static int accept_one(int listener)
{
    struct sockaddr_un client = {0};
    socklen_t length = sizeof(client);

    role("server");
    int fd = CHECK(accept4(listener, (struct sockaddr *)&client, &length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC));
    say("accept4(listener) -> \"%s\"", client.sun_path);
    return fd;
}

static void find_nobody(int listener)
{
    role("server");
    const char *result = RESULT(
        accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), EAGAIN);
    say("accept4(listener) = %s", result);
}

/* Three clients are there before anybody asks. The server accepts one client
 * for each event of the edge-triggered epoll. At the end it does what it should
 * have done from the beginning: it accepts until nobody is left. */
static void three_clients(void)
{
    int listener = open_server();
    struct two_epolls epolls = register_twice(listener, "listener");
    int ann = arrive("ann", "ann.sock");
    int bob = arrive("bob", "bob.sock");
    int carol = arrive("carol", "carol.sock");

    ask_both(epolls, FOREVER);
    int first = accept_one(listener);
    ask_both(epolls, NOW);
    int dave = arrive("dave", "dave.sock");
    ask_both(epolls, FOREVER);
    int second = accept_one(listener);
    ask_both(epolls, NOW);
    int third = accept_one(listener);
    int fourth = accept_one(listener);
    find_nobody(listener);
    ask_both(epolls, NOW);

    close_both(epolls);
    const int all[] = {ann,    bob,   carol,  dave,    first,
                       second, third, fourth, listener};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        CHECK(close(all[i]));
    CHECK(unlink(server_address.sun_path));
}

/* The two ends of a connection: the client's and the server's. */
struct connection {
    int client;
    int server;
};

static struct connection open_connection(void)
{
    int sv[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
    struct connection connection = {.client = sv[0], .server = sv[1]};
    return connection;
}

static void send_text(const char *who, int fd, const char *text)
{
    role(who);
    int n = CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL));
    say("send(\"%s\") = %d", text, n);
}

static void receive(int fd, const char *name, size_t room)
{
    char buf[ROOM];

    role("server");
    int n = CHECK(recv(fd, buf, room, 0));
    say("recv(%s, %zu bytes) = %d \"%.*s\"", name, room, n, n, buf);
}

static void find_nothing(int fd, const char *name)
{
    char buf[ROOM];

    role("server");
    const char *result = RESULT(recv(fd, buf, sizeof(buf), 0), EAGAIN);
    say("recv(%s, %zu bytes) = %s", name, sizeof(buf), result);
}

/* The server reads the first half. Nothing more comes until ann sends "g". At
 * the end, "h" comes and is read before the server asks. */
static void six_bytes(void)
{
    struct connection ann = open_connection();
    struct two_epolls epolls = register_twice(ann.server, "ann");

    send_text("ann", ann.client, "abcdef");
    ask_both(epolls, FOREVER);
    receive(ann.server, "ann", HALF);
    ask_both(epolls, NOW);
    send_text("ann", ann.client, "g");
    ask_both(epolls, FOREVER);
    receive(ann.server, "ann", ROOM);
    find_nothing(ann.server, "ann");
    send_text("ann", ann.client, "h");
    receive(ann.server, "ann", ROOM);
    ask_both(epolls, NOW);

    close_both(epolls);
    CHECK(close(ann.client));
    CHECK(close(ann.server));
}

/* carol stays, bob ends one direction, and ann closes. Each event is fetched
 * before the next client does anything. */
static void data_and_end(void)
{
    struct connection ann = open_connection();
    struct connection bob = open_connection();
    struct connection carol = open_connection();
    struct two_epolls epolls = register_twice(ann.server, "ann");
    add(epolls.edge, bob.server, "bob", EPOLLET);
    add(epolls.edge, carol.server, "carol", EPOLLET);

    send_text("carol", carol.client, "bye");
    ask_edge(epolls, FOREVER);
    send_text("bob", bob.client, "bye");
    int ended = CHECK(shutdown(bob.client, SHUT_WR));
    say("shutdown(SHUT_WR) = %d", ended);
    ask_edge(epolls, FOREVER);
    send_text("ann", ann.client, "bye");
    ended = CHECK(close(ann.client));
    say("close() = %d", ended);
    ask_both(epolls, FOREVER);
    receive(ann.server, "ann", ROOM);
    ask_both(epolls, NOW);
    receive(ann.server, "ann", ROOM);
    ask_both(epolls, NOW);

    close_both(epolls);
    const int all[] = {ann.server, bob.client, bob.server, carol.client,
                       carol.server};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        CHECK(close(all[i]));
}

static void close_end(int fd, const char *name)
{
    role("server");
    int closed = CHECK(close(fd));
    say("close(%s) = %d", name, closed);
}

static int copy_end(int fd, const char *name)
{
    role("server");
    int copy = CHECK(dup(fd));
    say("dup(%s) -> copy", name);
    return copy;
}

static void find_peer_gone(const char *who, int fd, const char *text)
{
    role(who);
    const char *result =
        RESULT(send(fd, text, strlen(text), MSG_NOSIGNAL), EPIPE);
    say("send(\"%s\") = %s", text, result);
}

/* For comparison: the server has one descriptor of the socket, and closes it.
 * "tea" has come before, and nobody reads it. So if the registration went on,
 * there would be an event afterwards, too. */
static void close_only_descriptor(void)
{
    struct connection bob = open_connection();
    int epoll = new_epoll();
    add(epoll, bob.server, "bob", 0);

    send_text("bob", bob.client, "tea");
    say_event("level", epoll, NOW);
    close_end(bob.server, "bob");
    say_event("level", epoll, NOW);
    find_peer_gone("bob", bob.client, "more");

    CHECK(close(epoll));
    CHECK(close(bob.client));
}

/* The same, but somewhere there is a copy of the descriptor. Here dup() has
 * made it. A child after fork() has one, too. */
static void close_but_copy(void)
{
    struct connection ann = open_connection();
    int epoll = new_epoll();
    add(epoll, ann.server, "ann", 0);

    send_text("ann", ann.client, "tea");
    say_event("level", epoll, NOW);
    int copy = copy_end(ann.server, "ann");
    close_end(ann.server, "ann");
    say_event("level", epoll, NOW);
    send_text("ann", ann.client, "more");
    say_event("level", epoll, NOW);
    close_end(copy, "copy");
    say_event("level", epoll, NOW);

    CHECK(close(epoll));
    CHECK(close(ann.client));
}

/* old is the number of ann's closed descriptor. After this, it is a descriptor
 * of the copy's open file. */
static void take_old_number(int copy, int old)
{
    role("server");
    CHECK(dup2(copy, old));
    say("dup2(copy, ann) -> ann");
}

/* The server has closed its descriptor, and wants no more events. No socket is
 * opened before EPOLL_CTL_DEL: it could get the same number. */
static void remove_too_late(void)
{
    struct connection ann = open_connection();
    int epoll = new_epoll();
    add(epoll, ann.server, "ann", 0);
    int copy = copy_end(ann.server, "ann");
    close_end(ann.server, "ann");
    send_text("ann", ann.client, "tea");

    role("server");
    const char *result =
        RESULT(epoll_ctl(epoll, EPOLL_CTL_DEL, ann.server, NULL), EBADF);
    say("epoll_ctl(EPOLL_CTL_DEL, ann) = %s", result);
    result = RESULT(epoll_ctl(epoll, EPOLL_CTL_DEL, copy, NULL), ENOENT);
    say("epoll_ctl(EPOLL_CTL_DEL, copy) = %s", result);
    say_event("level", epoll, NOW);
    take_old_number(copy, ann.server);
    int removed = CHECK(epoll_ctl(epoll, EPOLL_CTL_DEL, ann.server, NULL));
    say("epoll_ctl(EPOLL_CTL_DEL, ann) = %d", removed);
    say_event("level", epoll, NOW);

    CHECK(close(ann.server));
    CHECK(close(copy));
    CHECK(close(epoll));
    CHECK(close(ann.client));
}

static void remove_in_time(void)
{
    struct connection bob = open_connection();
    int epoll = new_epoll();
    add(epoll, bob.server, "bob", 0);

    int copy = copy_end(bob.server, "bob");
    role("server");
    int removed = CHECK(epoll_ctl(epoll, EPOLL_CTL_DEL, bob.server, NULL));
    say("epoll_ctl(EPOLL_CTL_DEL, bob) = %d", removed);
    close_end(bob.server, "bob");
    send_text("bob", bob.client, "tea");
    say_event("level", epoll, NOW);

    CHECK(close(copy));
    CHECK(close(epoll));
    CHECK(close(bob.client));
}

int main(void)
{
    step("Three clients come, and the server accepts one. Who is told again?");
    three_clients();

    step("Six bytes come, and the server reads three. Who is told again?");
    six_bytes();

    step("Data and the end come together. What does one event say?");
    data_and_end();

    step("The server closes its descriptor. Do events still come?");
    close_only_descriptor();
    close_but_copy();

    step("How does the server get rid of these events?");
    remove_too_late();
    remove_in_time();
}
